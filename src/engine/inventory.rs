//! Which shapes there are and what each costs, for administrators; and how memory is given back that nobody needs.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::delete;
use super::shape::Shape;
use super::state::State;
use crate::shape::Handle;

/// A shape, as it is at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShapeInfo {
    pub handle: Handle,
    /// `schema.name`, without quotes.
    pub table: String,
    /// The condition as its client wrote it.
    #[serde(rename = "where")]
    pub filter: Option<String>,
    /// `$1` and so on of the condition.
    pub params: Vec<String>,
    /// The columns that it shows, by name.
    pub columns: Vec<String>,
    /// `default` or `full`.
    pub replica: &'static str,
    /// `full` or `changes_only`.
    pub log: &'static str,
    /// Live readers that wait for a change now: held long-polls and open streams.
    pub readers: u32,
    /// Changes in the log. Those that its snapshot contains are none.
    pub entries: u64,
    /// Rows of the snapshot, as they were when it was taken: changes since are entries. `null` while it is being taken, and
    /// for shapes of a version that did not count them.
    pub rows: Option<u64>,
    /// Bytes of the snapshot on disk; `null` while it is being taken.
    pub snapshot_bytes: Option<u64>,
    /// Bytes of the log on disk, and of what is still to be written there.
    pub log_bytes: u64,
    /// Bytes of entries in memory. Entries that several shapes show are counted for each of them.
    pub memory_bytes: u64,
    /// When it was created, in milliseconds since 1970.
    pub time_created: Option<u64>,
    /// When its log grew last, in milliseconds since 1970; `null` if it has not since the shape was created or the engine
    /// was started.
    pub time_changed: Option<u64>,
}

impl ShapeInfo {
    fn of(shape: &Shape) -> Self {
        let definition = &shape.definition;
        let condition = definition.condition.as_ref();
        let (snapshot, log) = (&shape.snapshot, shape.log.size());
        let snapshot_bytes = || snapshot.chunk_ends().last().copied().unwrap_or(0);
        Self {
            handle: shape.handle.clone(),
            table: definition.table.name.to_string(),
            filter: condition.map(|condition| condition.text.clone()),
            params: condition.map(|condition| condition.params.clone()).unwrap_or_default(),
            columns: definition.selection.columns.clone(),
            replica: definition.replica.as_str(),
            log: definition.log.as_str(),
            readers: shape.usage.readers(),
            entries: log.entries,
            rows: snapshot.rows(),
            snapshot_bytes: snapshot.is_finished().then(snapshot_bytes),
            log_bytes: log.bytes,
            memory_bytes: log.memory_bytes,
            time_created: shape.handle.unix_micros().map(|micros| micros / 1000),
            time_changed: log.changed.map(unix_ms),
        }
    }
}

/// Live shapes, oldest first: at most `limit`, after the one of the number `after`. None before the first session has found them.
pub fn shapes_after(state: &State, after: Option<u64>, limit: usize) -> Vec<ShapeInfo> {
    let mut shapes = state.catalog().map(|catalog| catalog.shapes()).unwrap_or_default();
    shapes.retain(|shape| !shape.log.has_ended() && after.is_none_or(|after| shape.number > after));
    shapes.sort_unstable_by_key(|shape| shape.number);
    shapes.iter().take(limit).map(|shape| ShapeInfo::of(shape)).collect()
}

/// Ends the shape of a handle; false if there is none. Its readers are told when that is on disk.
pub async fn end(state: &Arc<State>, handle: &Handle) -> bool {
    let Some(shape) = state.catalog().and_then(|catalog| catalog.find_by_handle(handle)) else { return false };
    delete::end(state, shape).await;
    true
}

/// Frees what is in memory of shapes that nobody waits for, and that can be read from their files again.
///
/// The bound on all shapes' entries in memory takes them for still there until their turn comes: meanwhile others may
/// leave memory a little earlier than they must.
pub fn release(state: &State, handles: &[Handle]) {
    let Some(catalog) = state.catalog() else { return };
    for shape in handles.iter().filter_map(|handle| catalog.find_by_handle(handle)) {
        if !shape.usage.is_waited_for() {
            shape.log.release();
        }
    }
}

fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
