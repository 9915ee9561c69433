//! The first rows of a new shape, and the exact point where the stream takes over.
//!
//! ```text
//! register with the collector ─► read the mark ─► tell the collector ─► copy the rows ─► sync ─► catalogue
//!        (it buffers)                             (it drops what the mark contains)      (readers see chunks)
//! ```

mod copy;
mod mark;
mod messages;
mod rejoin;
mod take;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

pub use copy::fields;
pub use mark::{Mark, widen};
pub use messages::Messages;
pub use rejoin::rejoin;
pub use take::{Context, begin, begin_with, connection, failure, slow, take, unexpected_row, wait_for_flush};

/// Why a shape has no snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The same request may work in a while; the sentence says why it did not now.
    Retry(String),
    /// The database is out of reach.
    Unreachable,
    /// The table is not what it was when the shape was defined.
    Changed,
    /// The condition fails on a row, such as by a division by zero; with the SQLSTATE.
    Condition(String),
    /// Nothing that a caller can mend.
    Unexpected(String),
}

/// The snapshot of one shape: bytes of a file, in chunks, readable while later ones are being made.
#[derive(Debug)]
pub struct Snapshot {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    chunk_ends: Arc<[u64]>,
    /// All of them, before readers may see the last.
    whole: Option<Arc<[u64]>>,
    mark: Option<Mark>,
    /// How many rows it has, once all are read.
    rows: Option<u64>,
    outcome: Option<Result<(), Failure>>,
}

/// What a reader finds where it asks for a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    /// The chunk's bytes in the file: messages with commas between.
    Bytes { start: u64, end: u64 },
    /// The snapshot had ended before this chunk: the log goes on.
    Beyond,
}

impl Snapshot {
    /// A snapshot that is yet to be made.
    pub fn pending() -> Self {
        Self::with(State { chunk_ends: Arc::default(), whole: None, mark: None, rows: None, outcome: None })
    }

    /// A finished snapshot, found again; of how many rows, if that was counted.
    pub fn finished(chunk_ends: Vec<u64>, mark: Mark, rows: Option<u64>) -> Self {
        let chunk_ends = chunk_ends.into();
        Self::with(State { chunk_ends, whole: None, mark: Some(mark), rows, outcome: Some(Ok(())) })
    }

    fn with(state: State) -> Self {
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    /// Waits until chunk `number` can be read, or is known not to be.
    ///
    /// # Errors
    /// The snapshot could not be made.
    pub async fn chunk(&self, number: u64) -> Result<Chunk, Failure> {
        loop {
            let changed = self.changed.notified();
            if let Some(found) = self.find(number) {
                return found;
            }
            changed.await;
        }
    }

    /// Waits until all chunks can be read.
    ///
    /// # Errors
    /// The snapshot could not be made.
    pub async fn whole(&self) -> Result<(), Failure> {
        self.chunk(u64::MAX).await.map(drop)
    }

    /// Waits until Postgres reads the rows, or the snapshot is known not to come.
    pub async fn begun(&self) {
        loop {
            let changed = self.changed.notified();
            {
                let state = self.state.lock();
                if state.mark.is_some() || state.outcome.is_some() {
                    return;
                }
            }
            changed.await;
        }
    }

    /// As [`Snapshot::chunk`], without waiting.
    pub fn find(&self, number: u64) -> Option<Result<Chunk, Failure>> {
        let state = self.state.lock();
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        if let Some(&end) = state.chunk_ends.get(number) {
            let start = number.checked_sub(1).map_or(0, |before| state.chunk_ends[before]);
            return Some(Ok(Chunk::Bytes { start, end }));
        }
        state.outcome.clone().map(|outcome| outcome.map(|()| Chunk::Beyond))
    }

    /// The transactions that the snapshot contains, once known.
    pub fn mark(&self) -> Option<Mark> {
        self.state.lock().mark.clone()
    }

    /// Waits until it is known which transactions the snapshot contains: the log has, or will have, all others.
    ///
    /// # Errors
    /// The snapshot could not be made.
    pub async fn joined(&self) -> Result<Mark, Failure> {
        loop {
            let changed = self.changed.notified();
            {
                let state = self.state.lock();
                match (&state.mark, &state.outcome) {
                    (_, Some(Err(failure))) => return Err(failure.clone()),
                    (Some(mark), _) => return Ok(mark.clone()),
                    (None, _) => {}
                }
            }
            changed.await;
        }
    }

    /// Notes where all chunks end. Readers see those that are not shown yet when the shape is in the catalogue, durably.
    pub fn note_whole(&self, chunk_ends: &[u64]) {
        self.state.lock().whole = Some(chunk_ends.into());
    }

    /// Where all chunks end, as far as that is known.
    pub fn chunk_ends(&self) -> Vec<u64> {
        let state = self.state.lock();
        state.whole.as_ref().unwrap_or(&state.chunk_ends).to_vec()
    }

    /// Whether it is whole, and in the catalogue.
    pub fn is_finished(&self) -> bool {
        matches!(self.state.lock().outcome, Some(Ok(())))
    }

    /// How many rows it has, as far as that is known.
    pub fn rows(&self) -> Option<u64> {
        self.state.lock().rows
    }

    fn set_rows(&self, rows: u64) {
        self.state.lock().rows = Some(rows);
    }

    fn set_mark(&self, mark: Mark) {
        self.state.lock().mark = Some(mark);
        self.changed.notify_waiters();
    }

    /// Lets readers see the chunks up to these ends, which are synced.
    pub fn show(&self, chunk_ends: &[u64]) {
        self.state.lock().chunk_ends = chunk_ends.into();
        self.changed.notify_waiters();
    }

    fn finish(&self, chunk_ends: &[u64]) {
        {
            let mut state = self.state.lock();
            state.chunk_ends = chunk_ends.into();
            state.outcome = Some(Ok(()));
        }
        self.changed.notify_waiters();
    }

    /// Tells those who wait that there will be no snapshot.
    pub fn fail(&self, failure: Failure) {
        self.state.lock().outcome.get_or_insert(Err(failure));
        self.changed.notify_waiters();
    }
}
