//! The slot and the publication: found again, mended, or made, before each start of the stream.
//!
//! The slot is Postgres' memory of what we have stored. One that had to be made anew remembers nothing, and every
//! shape must start over. That must be known also if we end right after making it: so each slot is one
//! *generation*, noted on the publication before the slot is there, and part of the [`Identity`].

use tracing::{info, warn};

use super::set_up_error::{Refusal, SetUpError};
use super::{Connection, Publishing, ReplicationError, publication};
use crate::engine::tables::quote_literal;
use crate::shape::{Lsn, quote_identifier};

#[cfg(test)]
mod tests;

/// The oldest server that works: `pg_publication_rel`, row filters and snapshot functions came until then.
const OLDEST_SERVER: u32 = 140_000;

/// What our slot and publication are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Slots belong to the whole cluster, so its name contains the database's oid.
    pub slot: String,
    pub publication: String,
}

/// The stream id has characters that a slot's name cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the replication stream id {0:?} is not valid: use 1 to 30 lower-case letters, digits and underscores")]
pub struct InvalidStreamId(String);

impl Names {
    /// The names for one stream id in one database.
    pub fn new(stream_id: &str, database_oid: u32) -> Result<Self, InvalidStreamId> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if !(1..=30).contains(&stream_id.len()) || !stream_id.bytes().all(allowed) {
            return Err(InvalidStreamId(stream_id.to_owned()));
        }
        let publication = format!("plue_sync_{stream_id}");
        Ok(Self { slot: format!("{publication}_{database_oid}"), publication })
    }
}

/// Which unbroken history of changes a position belongs to. Shapes stored under another identity have missed
/// changes, or know some that this history does not have: they must start over.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Identity {
    /// The cluster's, given by `initdb`.
    pub system_id: String,
    /// Grows when a standby is promoted, or a backup restored to a point in time.
    pub timeline: u32,
    pub database_oid: u32,
    pub slot: String,
    /// Another one each time that the slot is made, and when the publication was changed by others.
    pub generation: String,
}

/// The server is ready to stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    pub identity: Identity,
    pub publication: String,
    /// `server_version_num`, such as 150004.
    pub server_version: u32,
    /// The slot was made just now; the identity is new with it.
    pub created: bool,
    /// Where the stream will go on: the end of what was confirmed last.
    pub confirmed: Lsn,
    /// The end of the flushed write-ahead log, read after the slot was there.
    pub wal_end: Lsn,
    /// The next transaction id, 64 bits wide: its upper half completes the 32-bit ids of the stream.
    pub next_xid: u64,
}

/// How a set-up ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetUp {
    Ready(Ready),
    /// Another engine streams from this slot. Ask again on the same connection, which keeps its place.
    Waiting {
        /// For the log: who is ahead of us.
        reason: String,
    },
    /// The operator makes the publication, and has not yet.
    Unpublished {
        /// What to run.
        cure: String,
    },
}

/// Checks the server and brings publication and slot into the state that the stream needs.
///
/// Safe to repeat. The connection holds an advisory lock afterwards, so that no second engine can pass; keep
/// the connection, and start the stream on it.
///
/// # Errors
///
/// [`SetUpError::Fatal`] says in one sentence what the operator must do. [`SetUpError::Retry`] may pass by itself.
pub async fn set_up(connection: &mut Connection, stream_id: &str, publishing: Publishing) -> Result<SetUp, SetUpError> {
    let server = Server::check(connection).await?;
    let names = Names::new(stream_id, server.database_oid).map_err(|error| SetUpError::Fatal(error.into()))?;
    if !try_lock(connection, &names).await? {
        return Ok(SetUp::Waiting { reason: format!("another engine holds slot {}", names.slot) });
    }
    let found = find_slot(connection, &names, &server).await?;
    if let Some(Found { active_pid: Some(pid), .. }) = &found {
        return Ok(SetUp::Waiting { reason: format!("slot {} is in use by process {pid}", names.slot) });
    }
    let generation = match publishing {
        Publishing::Automatic => publication::set_up(connection, &names.publication, &server).await?,
        Publishing::Manual => match publication::find_manual(connection, &names.publication).await? {
            Some(generation) => Some(generation),
            None => return Ok(SetUp::Unpublished { cure: publication::missing(&names.publication) }),
        },
    };
    let (created, generation, confirmed) = match (found, generation) {
        (Some(Found { usable: Some(confirmed), .. }), Some(generation)) => (false, generation, confirmed),
        (found, generation) => {
            if found.is_some() {
                warn!("slot {} has not kept every change; making it anew", names.slot);
                drop_slot(connection, &names).await?;
            }
            let generation = match publishing {
                Publishing::Automatic => publication::renew(connection, &names.publication).await?,
                // Nothing of the operator's is altered. A slot made anew has a later position than any that was stored.
                Publishing::Manual => generation.unwrap_or_default(),
            };
            (true, generation, create_slot(connection, &names).await?)
        }
    };
    let (wal_end, next_xid) = position(connection).await?;
    let Server { system_id, timeline, database_oid, version, .. } = server;
    let identity = Identity { system_id, timeline, database_oid, slot: names.slot, generation };
    let publication = names.publication;
    Ok(SetUp::Ready(Ready { identity, publication, server_version: version, created, confirmed, wal_end, next_xid }))
}

/// Forgets what was confirmed: the next [`set_up`] makes the slot anew. For a stream that cannot go on.
pub async fn drop_slot(connection: &mut Connection, names: &Names) -> Result<(), SetUpError> {
    let sql = format!("SELECT pg_drop_replication_slot({})", quote_literal(&names.slot));
    connection.query(&sql).await?;
    Ok(())
}

/// The server, as far as it matters here.
pub struct Server {
    system_id: String,
    timeline: u32,
    database_oid: u32,
    pub version: u32,
    pub role: String,
    pub database: String,
}

impl Server {
    async fn check(connection: &mut Connection) -> Result<Self, SetUpError> {
        let [Some(system_id), Some(timeline)] = row(connection, "IDENTIFY_SYSTEM").await? else {
            return Err(unreadable("IDENTIFY_SYSTEM"));
        };
        let sql = "SELECT current_setting('server_version_num'), current_setting('wal_level'), pg_is_in_recovery(), \
                   current_user, current_database(), (SELECT oid FROM pg_database WHERE datname = current_database())";
        let [version, wal_level, standby, role, database, oid] =
            row::<6>(connection, sql).await?.map(Option::unwrap_or_default);
        let server = Self {
            system_id,
            timeline: parse(&timeline)?,
            database_oid: parse(&oid)?,
            version: parse(&version)?,
            role,
            database,
        };
        if server.version < OLDEST_SERVER {
            return Err(SetUpError::Fatal(Refusal::TooOld { version: server.version / 10_000 }));
        }
        if standby == "t" {
            return Err(SetUpError::Fatal(Refusal::Standby));
        }
        if wal_level != "logical" {
            return Err(SetUpError::Fatal(Refusal::WalLevel { wal_level }));
        }
        Ok(server)
    }
}

async fn try_lock(connection: &mut Connection, names: &Names) -> Result<bool, SetUpError> {
    let sql = format!("SELECT pg_try_advisory_lock(hashtextextended({}, 0))", quote_literal(&names.slot));
    let [locked] = row(connection, &sql).await?;
    Ok(locked.as_deref() == Some("t"))
}

/// A slot of our name.
struct Found {
    active_pid: Option<String>,
    /// Where it goes on, unless it has lost the changes from there.
    usable: Option<Lsn>,
}

async fn find_slot(connection: &mut Connection, names: &Names, server: &Server) -> Result<Option<Found>, SetUpError> {
    let lost = match server.version {
        170_000.. => "wal_status = 'lost' OR conflicting OR invalidation_reason IS NOT NULL",
        160_000.. => "wal_status = 'lost' OR conflicting",
        _ => "wal_status = 'lost'",
    };
    let sql = format!(
        "SELECT plugin = 'pgoutput' AND slot_type = 'logical' AND datoid = {} AND NOT temporary AND NOT two_phase, \
         active_pid, confirmed_flush_lsn, coalesce({lost}, false) FROM pg_replication_slots WHERE slot_name = {}",
        server.database_oid,
        quote_literal(&names.slot)
    );
    let rows = connection.query(&sql).await?;
    let Some([ours, active_pid, confirmed, lost]) = rows.first().map(Vec::as_slice) else {
        return Ok(None);
    };
    if ours.as_deref() != Some("t") {
        return Err(SetUpError::Fatal(Refusal::ForeignSlot { slot: names.slot.clone() }));
    }
    let usable = match confirmed {
        Some(position) if lost.as_deref() == Some("f") => Some(parse(position)?),
        _ => None,
    };
    Ok(Some(Found { active_pid: active_pid.clone(), usable }))
}

/// Makes the slot, and returns the position from which it knows every change.
///
/// Postgres waits here for the end of all transactions that write at this moment.
async fn create_slot(connection: &mut Connection, names: &Names) -> Result<Lsn, SetUpError> {
    info!("creating slot {}; this waits for the transactions that are open now", names.slot);
    let slot = quote_identifier(&names.slot);
    let sql = format!("CREATE_REPLICATION_SLOT {slot} LOGICAL pgoutput NOEXPORT_SNAPSHOT");
    let [_, consistent, _, _] = row::<4>(connection, &sql).await?;
    parse(&consistent.unwrap_or_default())
}

async fn position(connection: &mut Connection) -> Result<(Lsn, u64), SetUpError> {
    let sql = "SELECT pg_current_wal_flush_lsn(), pg_snapshot_xmax(pg_current_snapshot())";
    let [flushed, next_xid] = row(connection, sql).await?.map(Option::unwrap_or_default);
    Ok((parse(&flushed)?, parse(&next_xid)?))
}

/// The first `N` values of the one row that a command returns.
async fn row<const N: usize>(connection: &mut Connection, sql: &str) -> Result<[Option<String>; N], SetUpError> {
    let mut rows = connection.query(sql).await?;
    let mut row = rows.pop().ok_or_else(|| unreadable(sql))?;
    row.truncate(N);
    row.try_into().map_err(|_| unreadable(sql))
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, SetUpError> {
    text.parse().map_err(|_| unreadable(text))
}

fn unreadable(what: &str) -> SetUpError {
    ReplicationError::Protocol(format!("unreadable answer: {what}")).into()
}
