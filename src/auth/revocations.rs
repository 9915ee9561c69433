//! Who is kept out: revoked tokens and blocked principals, in the memory of each process.
//!
//! Postgres has the truth. A process reads it at the start, when another tells that something has changed, and every
//! few seconds, in case it was not told. So a request costs one look into a map.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use crate::db::{Database, ReadError, access};

/// How often Postgres is asked, and how long a change may stay unknown of which this process was not told.
const REFRESH: Duration = Duration::from_secs(5);
/// How many of these until what has expired is forgotten.
const REFRESHES_UNTIL_FORGETTING: u32 = 720;

/// Who is kept out. Clones are the same.
#[derive(Clone)]
pub struct Revocations {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    known: RwLock<Known>,
    /// Told of every change.
    changes: watch::Sender<()>,
    /// Held while Postgres is read, so that an older reading never follows a newer one.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    /// By the principal's name.
    out: HashMap<String, Out>,
    /// Names that were added, and the number of the reading after which they were: an older one may lack them.
    added: HashMap<String, u64>,
    /// Readings that have begun.
    readings: u64,
}

/// Why somebody is kept out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Out {
    /// The token was revoked.
    Revoked,
    /// An operator blocks the principal, until this time if it ends.
    Blocked(Option<SystemTime>),
}

/// Keeps reading as long as it lives.
pub struct Refreshing(JoinHandle<()>);

impl Drop for Refreshing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Revocations {
    /// Nobody is out until the first reading.
    pub fn new(database: Database) -> Self {
        let (known, changes, turn) = (RwLock::default(), watch::Sender::new(()), tokio::sync::Mutex::default());
        Self { inner: Arc::new(Inner { database, known, changes, turn }) }
    }

    /// Reads again and again, and tells `thrown_out` who was not out before.
    pub fn keep_reading(&self, thrown_out: impl Fn(Vec<String>) + Send + 'static) -> Refreshing {
        let own = self.clone();
        Refreshing(tokio::spawn(async move {
            let mut refresh = interval(REFRESH);
            refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
            for count in 0_u32.. {
                refresh.tick().await;
                // While Postgres is away nobody can be revoked, and who is out stays out.
                match own.read().await {
                    Ok(new) if !new.is_empty() => thrown_out(new),
                    Ok(_) => {}
                    Err(cause) => warn!(%cause, "cannot read who is kept out: {cause}"),
                }
                if count.is_multiple_of(REFRESHES_UNTIL_FORGETTING) {
                    let _ = own.inner.database.read(async |conn| access::forget_expired(conn).await).await;
                }
            }
        }))
    }

    /// Reads from Postgres who is out. Gives those who were not known to be.
    ///
    /// # Errors
    /// Postgres cannot be asked; what was known stays known.
    pub async fn read(&self) -> Result<Vec<String>, ReadError> {
        let _turn = self.inner.turn.lock().await;
        let reading = {
            let mut known = self.inner.known.write();
            known.readings += 1;
            known.readings
        };
        let (tokens, blocked) = self
            .inner
            .database
            .read(async |conn| Ok((access::revoked(conn).await?, access::blocked(conn).await?)))
            .await?;
        let tokens = tokens.into_iter().map(|id| (id, Out::Revoked));
        let blocked =
            blocked.into_iter().map(|one| (one.principal, Out::Blocked(one.expires_at.map(SystemTime::from))));
        let mut known = self.inner.known.write();
        let mut out: HashMap<String, Out> = tokens.chain(blocked).collect();
        known.added.retain(|_, after| *after >= reading);
        for name in known.added.keys() {
            out.entry(name.clone()).or_insert(Out::Revoked);
        }
        let new = out.keys().filter(|name| !known.out.contains_key(*name)).cloned().collect();
        known.out = out;
        drop(known);
        self.inner.changes.send_replace(());
        Ok(new)
    }

    /// Keeps principals out from now on, before Postgres has been read: it has them already.
    pub fn add(&self, principals: &[String]) {
        let mut known = self.inner.known.write();
        let after = known.readings;
        for principal in principals {
            known.out.entry(principal.clone()).or_insert(Out::Revoked);
            known.added.insert(principal.clone(), after);
        }
        drop(known);
        self.inner.changes.send_replace(());
    }

    /// Tells of every change from now on.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.inner.changes.subscribe()
    }

    /// Whether a principal is kept out, and why.
    pub fn find(&self, principal: &str, now: SystemTime) -> Option<Out> {
        let out = self.inner.known.read().out.get(principal).copied()?;
        let is_over = matches!(out, Out::Blocked(Some(until)) if until <= now);
        (!is_over).then_some(out)
    }
}
