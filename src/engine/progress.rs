//! How far the engine is behind Postgres, for administrators.
//!
//! Behind in bytes is a subtraction. Behind in time is known from samples: a position that Postgres had reached at some
//! time, and that the engine has reached since, proves that everything up to that time has been applied.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::state::State;
use crate::shape::Lsn;

/// How long the stream has to come to where Postgres is, before it is called behind. Without writes it is there in
/// milliseconds; what Postgres has not flushed is sent after 200 ms.
const GRACE: Duration = Duration::from_millis(500);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Samples that wait to be reached. More are of no use: a new one takes the place of the newest.
const MAX_SAMPLES: usize = 64;

/// The replication stream, as Postgres and the engine see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReplicationInfo {
    /// The slot's name.
    pub slot: String,
    /// The publication's name.
    pub publication: String,
    /// What `/v1/health` says: `starting`, `waiting` or `active`.
    pub status: &'static str,
    /// Whether somebody streams from the slot: this engine, or another one that it waits for. `null` without a slot, as
    /// are all that Postgres says of it.
    pub active: Option<bool>,
    /// Up to here Postgres need not send anything again, such as `16/B374D848`.
    pub confirmed_flush_lsn: Option<String>,
    /// From here on Postgres keeps its write-ahead log for the slot.
    pub restart_lsn: Option<String>,
    /// The end of the write-ahead log.
    pub current_lsn: String,
    /// Everything before it is in the logs of the shapes.
    pub processed_lsn: String,
    /// Bytes of the write-ahead log that have not been processed when it was asked for, of whatever tables.
    pub lag_bytes: u64,
    /// Everything that was committed up to this many seconds ago has been applied. 0 if the engine came to the end of the
    /// write-ahead log within half a second. Otherwise no less than the truth, and more by at most the time between two
    /// questions: it is known from the last one that was answered fully, or from the start of the stream.
    /// `null` if neither is known.
    pub lag_seconds: Option<f64>,
    /// Bytes of the write-ahead log that Postgres keeps for the slot.
    pub retained_bytes: Option<u64>,
    /// `reserved`, `extended`, `unreserved` or `lost`.
    pub wal_status: Option<String>,
    /// Bytes that can be written before the slot may be lost; `null` also where Postgres keeps any number
    /// (`max_slot_wal_keep_size = -1`).
    pub safe_wal_size: Option<i64>,
}

/// Postgres could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("the state of replication cannot be read")]
pub struct ProgressError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// Positions that Postgres had reached, by time.
#[derive(Debug, Default)]
pub struct Samples(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Not reached yet when it was looked last; ascending in both.
    waiting: VecDeque<(Lsn, Instant)>,
    /// Everything up to this time has been applied.
    reached: Option<Instant>,
}

impl Samples {
    /// Postgres was here at this time.
    pub fn note(&self, position: Lsn, at: Instant) {
        let mut known = self.0.lock();
        if known.waiting.len() == MAX_SAMPLES {
            known.waiting.pop_back();
        }
        known.waiting.push_back((position, at));
    }

    /// The newest time up to which everything has been applied, if everything before `processed` has.
    pub fn reached(&self, processed: Lsn) -> Option<Instant> {
        let mut known = self.0.lock();
        while let Some(&(position, at)) = known.waiting.front()
            && position <= processed
        {
            known.waiting.pop_front();
            known.reached = Some(at);
        }
        known.reached
    }

    /// Another history begins: what was known says nothing of it.
    pub fn restart(&self) {
        *self.0.lock() = Known::default();
    }
}

/// Asks Postgres, and waits a moment for the stream.
pub async fn replication(state: &Arc<State>) -> Result<ReplicationInfo, ProgressError> {
    let asked = Arc::clone(state);
    // Connections live on the runtime that opens them: that must not be a request's thread.
    let seen = state.runtime.spawn(async move { ask(&asked).await }).await;
    let slot = seen.map_err(|error| ProgressError(error.into()))??;
    let at = Instant::now();
    let processed = state.processed();
    state.samples.note(slot.current, at);
    while state.processed() < slot.current && at.elapsed() < GRACE {
        sleep(LOOK_AGAIN).await;
    }
    let reached = state.samples.reached(state.processed());
    let is_there = state.processed() >= slot.current;
    let lag_seconds = if is_there { Some(0.0) } else { reached.map(|time| time.elapsed().as_secs_f64()) };
    Ok(ReplicationInfo {
        slot: slot.name,
        publication: state.publication.name().to_owned(),
        status: state.health().as_str(),
        active: slot.active,
        confirmed_flush_lsn: slot.confirmed,
        restart_lsn: slot.restart.map(|lsn| format!("{lsn:#}")),
        current_lsn: format!("{:#}", slot.current),
        processed_lsn: format!("{processed:#}"),
        lag_bytes: slot.current.0.saturating_sub(processed.0),
        lag_seconds,
        retained_bytes: slot.restart.map(|restart| slot.current.0.saturating_sub(restart.0)),
        wal_status: slot.wal_status,
        safe_wal_size: slot.safe_wal_size,
    })
}

/// What Postgres says.
struct Slot {
    name: String,
    active: Option<bool>,
    confirmed: Option<String>,
    restart: Option<Lsn>,
    current: Lsn,
    wal_status: Option<String>,
    safe_wal_size: Option<i64>,
}

async fn ask(state: &State) -> Result<Slot, ProgressError> {
    // Postgres 13 has all of these columns, and 14 is the oldest that works.
    let sql = "SELECT ours.name, active, confirmed_flush_lsn::text, restart_lsn::text, pg_current_wal_lsn()::text, \
               wal_status, safe_wal_size \
               FROM (SELECT $1 || '_' || oid AS name FROM pg_database WHERE datname = current_database()) AS ours \
               LEFT JOIN pg_replication_slots ON slot_name = ours.name";
    let client = state.connections.get().await.map_err(|error| ProgressError(error.into()))?;
    let row = client.query_one(sql, &[&state.publication.name()]).await;
    let row = row.map_err(|error| ProgressError(error.into()))?;
    let position = |text: &str| text.parse::<Lsn>().map_err(|error| ProgressError(error.into()));
    Ok(Slot {
        name: row.get(0),
        active: row.get(1),
        confirmed: row.get(2),
        restart: row.get::<_, Option<&str>>(3).map(position).transpose()?,
        current: position(row.get(4))?,
        wal_status: row.get(5),
        safe_wal_size: row.get(6),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_reached_when_its_position_is() {
        let (samples, start) = (Samples::default(), Instant::now());
        let second = |number: u64| start + Duration::from_secs(number);
        assert_eq!(samples.reached(Lsn(5)), None);
        for number in 1..=3 {
            samples.note(Lsn(number * 10), second(number));
        }
        for (processed, reached) in [(9, None), (10, Some(1)), (29, Some(2)), (15, Some(2)), (99, Some(3))] {
            assert_eq!(samples.reached(Lsn(processed)), reached.map(second), "at {processed}");
        }
        for number in 4..200 {
            samples.note(Lsn(number * 10), second(number));
        }
        assert_eq!(samples.0.lock().waiting.len(), MAX_SAMPLES);
        assert_eq!(samples.reached(Lsn(40)), Some(second(4)), "the oldest is reached first, and kept");
        assert_eq!(samples.reached(Lsn(1990)), Some(second(199)), "the newest tells most, and is kept");
        samples.restart();
        assert_eq!(samples.reached(Lsn(5000)), None);
    }
}
