//! The publication: which operations the stream contains, and the note of the slot's generation.
//!
//! Which tables it contains is not decided here: it is made without any, and tables come with the shapes.
//!
//! Postgres reads a publication as it was at each change. So what was changed by others is mended for the
//! future only; what it left out until now is lost, and so is the generation.

use tracing::{info, warn};
use uuid::Uuid;

use super::set_up_error::{Refusal, SetUpError};
use super::slot::Server;
use super::{Connection, ReplicationError};
use crate::engine::tables::quote_literal;
use crate::shape::quote_identifier;

/// Operations that it must send, as `CREATE PUBLICATION` takes them.
const PUBLISH: &str = "insert, update, delete, truncate";
/// The version that can send generated columns. Streams of older ones leave them out.
const GENERATED_COLUMNS: u32 = 180_000;
/// The generation is in the publication's comment, after this.
const COMMENT: &str = "Made by plue-sync; without this comment its shapes start over. Generation ";

/// Who decides which tables the publication has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publishing {
    /// The engine: the publication is made, and tables come with the shapes.
    Automatic,
    /// The operator: nothing is altered.
    Manual,
}

/// The generation of a publication that the operator has made: another one if it is made again. `None` without one.
pub async fn find_manual(connection: &mut Connection, name: &str) -> Result<Option<String>, ReplicationError> {
    let sql = format!("SELECT oid FROM pg_publication WHERE pubname = {}", quote_literal(name));
    let mut rows = connection.query(&sql).await?;
    let oid = rows.pop().and_then(|row| row.into_iter().next().flatten());
    Ok(oid.map(|oid| format!("manual {oid}")))
}

/// What to do without a publication that the operator was to make.
pub fn missing(name: &str) -> String {
    let name = quote_identifier(name);
    format!(
        "Publication {name} not found in the database; with ELECTRIC_MANUAL_TABLE_PUBLISHING it is yours to make: run CREATE \
         PUBLICATION {name} FOR TABLE ..., and ALTER TABLE ... REPLICA IDENTITY FULL for each of its tables"
    )
}

/// Finds, mends or makes the publication `name`.
///
/// Returns its generation, or `None` if changes may be missing from a slot that is already there.
pub async fn set_up(connection: &mut Connection, name: &str, server: &Server) -> Result<Option<String>, SetUpError> {
    let publication = quote_identifier(name);
    let options = options(server);
    let Some(found) = find(connection, name, server).await? else {
        let created = connection.query(&format!("CREATE PUBLICATION {publication} WITH ({options})")).await;
        created.map_err(|error| may_not_create(error, server))?;
        info!("created publication {name}");
        return Ok(None);
    };
    if !found.ours {
        let (publication, owner, role) = (name.to_owned(), found.owner, server.role.clone());
        return Err(SetUpError::Fatal(Refusal::PublicationOwner { publication, owner, role }));
    }
    if found.all_tables {
        return Err(SetUpError::Fatal(Refusal::PublicationForAllTables { publication: name.to_owned() }));
    }
    if !found.as_wanted {
        warn!("mending publication {name}: it does not publish all that is needed");
        // Both or neither: these two are one transaction.
        let mend =
            format!("ALTER PUBLICATION {publication} SET ({options}); COMMENT ON PUBLICATION {publication} IS NULL");
        connection.query(&mend).await?;
        return Ok(None);
    }
    Ok(found.comment.and_then(|comment| comment.strip_prefix(COMMENT).map(str::to_owned)))
}

/// Starts a new generation. To be called before the slot is made: if we end in between, the next set-up finds no
/// slot and starts another one.
pub async fn renew(connection: &mut Connection, name: &str) -> Result<String, ReplicationError> {
    let generation = Uuid::now_v7().to_string();
    let comment = quote_literal(&format!("{COMMENT}{generation}"));
    connection.query(&format!("COMMENT ON PUBLICATION {} IS {comment}", quote_identifier(name))).await?;
    Ok(generation)
}

fn options(server: &Server) -> String {
    let generated = if server.version >= GENERATED_COLUMNS { ", publish_generated_columns = stored" } else { "" };
    format!("publish = '{PUBLISH}', publish_via_partition_root = false{generated}")
}

/// A publication of our name.
struct Found {
    as_wanted: bool,
    all_tables: bool,
    /// Whether our role may alter it.
    ours: bool,
    owner: String,
    comment: Option<String>,
}

async fn find(connection: &mut Connection, name: &str, server: &Server) -> Result<Option<Found>, ReplicationError> {
    let generated = if server.version >= GENERATED_COLUMNS { "pubgencols = 's'" } else { "true" };
    let sql = format!(
        "SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate AND NOT pubviaroot AND {generated}, \
         puballtables, pg_has_role(pubowner, 'USAGE'), pg_get_userbyid(pubowner), obj_description(oid, 'pg_publication') \
         FROM pg_publication WHERE pubname = {}",
        quote_literal(name)
    );
    let mut rows = connection.query(&sql).await?;
    let Some(row) = rows.pop() else { return Ok(None) };
    let [as_wanted, all_tables, ours, owner, comment] = <[Option<String>; 5]>::try_from(row)
        .map_err(|_| ReplicationError::Protocol("an answer with too few columns".to_owned()))?;
    let is_true = |value: Option<String>| value.as_deref() == Some("t");
    Ok(Some(Found {
        as_wanted: is_true(as_wanted),
        all_tables: is_true(all_tables),
        ours: is_true(ours),
        owner: owner.unwrap_or_default(),
        comment,
    }))
}

fn may_not_create(error: ReplicationError, server: &Server) -> SetUpError {
    match error.code() {
        Some("42501") => {
            let (role, database) = (server.role.clone(), server.database.clone());
            SetUpError::Fatal(Refusal::MayNotCreatePublication { role, database })
        }
        _ => error.into(),
    }
}
