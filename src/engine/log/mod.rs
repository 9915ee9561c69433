//! One append-only log per shape: append, read after an offset, wake those who wait.
//!
//! ```text
//! collector ── append ──► tail (memory) ── store, after the journal's fsync ──► file
//!                           │                                                     │
//!                         readers at the end                         readers further back
//! ```
//!
//! Invariants: offsets strictly increase; what left the tail is in the file; a chunk that has closed
//! never changes, so the same offset always ends at the same place.

mod file;
mod frames;
mod journal;
mod layout;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::{BufMut, Bytes};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use crate::shape::Offset;

pub use file::{LogFile, Place, scan};
pub use frames::{Messages, Piece};
pub use journal::{Journal, Reference, replay};
pub use layout::{Framing, Layout, body};

/// Live answers of up to this size are made once for all who wait. Of larger ones a reader that stalls would keep too much,
/// so each reader has its own made, piece by piece.
const SHARED_BYTES: usize = 1 << 20;

/// One change as readers see it.
#[derive(Debug, Clone)]
pub struct Entry {
    pub offset: Offset,
    /// The message without its end: `ends` differs from shape to shape, the rest is shared by all of them.
    pub json: Bytes,
    pub ends: Ends,
}

/// What is whole with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// Nothing: what belongs with it follows.
    Nothing,
    /// What was told together, but is no change of a transaction.
    Batch,
    /// Its transaction, in this shape.
    Transaction,
}

impl Ends {
    /// Of the last change of a transaction, or of another.
    pub fn transaction(last: bool) -> Self {
        if last { Self::Transaction } else { Self::Nothing }
    }

    /// What closes the message after [`Entry::json`].
    pub fn closing(self) -> &'static [u8] {
        if self == Self::Transaction { b",\"last\":true}}" } else { b"}}" }
    }
}

impl Entry {
    /// Bytes of the whole message.
    pub fn len(&self) -> usize {
        self.json.len() + self.ends.closing().len()
    }

    /// Appends the whole message.
    pub fn write(&self, out: &mut impl BufMut) {
        out.put_slice(&self.json);
        out.put_slice(self.ends.closing());
    }
}

/// The log of one shape.
#[derive(Debug)]
pub struct Log {
    chunk_bytes: u64,
    state: Mutex<State>,
    changed: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    /// The newest entries. Everything older is in the file.
    tail: VecDeque<Entry>,
    /// The position before the first entry of `tail`: reading after it needs no file.
    tail_after: Offset,
    /// Entries of `tail` that the file has too, counted from its front, and the bytes of their messages.
    filed: usize,
    filed_bytes: u64,
    last: Offset,
    size: Size,
    /// Ends of the closed chunks, ascending.
    chunk_ends: Vec<Offset>,
    open_chunk_bytes: u64,
    file: LogFile,
    /// The live answers built last: whoever waits for the same range gets the same bytes.
    built: [Option<Built>; 2],
    phase: Phase,
}

/// How much a log has, and since when.
#[derive(Debug, Clone, Copy, Default)]
pub struct Size {
    pub entries: u64,
    /// Bytes of the messages in memory.
    pub memory_bytes: u64,
    /// Bytes of the file, and of the messages that it lacks.
    pub bytes: u64,
    /// When something was appended last; `None` if nothing was since the log was made or found again.
    pub changed: Option<SystemTime>,
}

/// How a log ends: first it is decided, then it is durable and its readers are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Ending,
    Ended,
}

#[derive(Debug)]
struct Built {
    after: Offset,
    end: Offset,
    body: Bytes,
}

/// What follows an offset.
#[derive(Debug)]
pub enum Read {
    /// Nothing yet: the offset is the log's end.
    Nothing,
    /// The offset is past the log's end.
    Ahead,
    /// Entries up to `end`, to be taken by [`Log::part`]; `at_end` if there are no more.
    Entries { end: Offset, at_end: bool },
    /// Nothing more, and the end is near: it comes as a change.
    Ending,
    /// The shape is no more: its readers must fetch anew.
    Ended,
}

/// The first entries of a range.
#[derive(Debug)]
pub enum Part {
    /// In memory, as many as were asked for; never none.
    Memory(Vec<Entry>),
    /// In the file.
    File(Place),
    /// The shape is no more, and neither is its file.
    Ended,
}

impl Log {
    /// An empty log, whose chunks close at `chunk_bytes`.
    pub fn new(chunk_bytes: u64) -> Self {
        Self::with_file(chunk_bytes, LogFile::default(), Vec::new(), 0, 0)
    }

    /// A log whose entries so far are all in its file.
    fn with_file(
        chunk_bytes: u64,
        file: LogFile,
        chunk_ends: Vec<Offset>,
        open_chunk_bytes: u64,
        entries: u64,
    ) -> Self {
        let last = file.last().unwrap_or(Offset::SNAPSHOT_END);
        let state = State {
            tail: VecDeque::new(),
            tail_after: last,
            filed: 0,
            filed_bytes: 0,
            last,
            size: Size { entries, ..Size::default() },
            chunk_ends,
            open_chunk_bytes,
            file,
            built: [None, None],
            phase: Phase::Open,
        };
        Self { chunk_bytes, state: Mutex::new(state), changed: Arc::default() }
    }

    /// Finds a log again from what its file holds, as `LogFile` read it.
    pub fn recover(chunk_bytes: u64, file: LogFile, sizes: impl IntoIterator<Item = (Offset, u64)>) -> Self {
        let (mut chunk_ends, mut open, mut entries) = (Vec::new(), 0, 0);
        for (offset, bytes) in sizes {
            entries += 1;
            open += bytes;
            if open >= chunk_bytes {
                chunk_ends.push(offset);
                open = 0;
            }
        }
        Self::with_file(chunk_bytes, file, chunk_ends, open, entries)
    }

    /// The offset of the last entry, or the end of the snapshot.
    pub fn last(&self) -> Offset {
        self.state.lock().last
    }

    /// Whether the shape is over, or about to be.
    pub fn has_ended(&self) -> bool {
        self.state.lock().phase != Phase::Open
    }

    /// Appends entries in order and wakes the readers; what the log already has (a replay) is left out.
    ///
    /// The entries of one transaction come in one call: readers never see half of it as the end.
    /// Returns the bytes that the tail grew by.
    pub fn append(&self, entries: impl IntoIterator<Item = Entry>) -> u64 {
        let grown = self.append_quietly(entries);
        if grown > 0 {
            self.wake();
        }
        grown
    }

    /// Wakes the readers.
    pub fn wake(&self) {
        self.changed.notify_waiters();
    }

    /// As [`Log::append`], for a caller who wakes the readers a moment later.
    pub fn append_quietly(&self, entries: impl IntoIterator<Item = Entry>) -> u64 {
        let mut state = self.state.lock();
        let grown = state.append(self.chunk_bytes, entries);
        if grown > 0 {
            state.size.changed = Some(SystemTime::now());
        }
        grown
    }

    /// Appends an entry that a start has found in the journal: it is no change, and nobody is there to be woken.
    pub fn append_again(&self, entry: Entry) {
        self.state.lock().append(self.chunk_bytes, [entry]);
    }

    /// How much there is.
    pub fn size(&self) -> Size {
        let state = self.state.lock();
        Size { bytes: state.file.bytes() + state.size.memory_bytes - state.filed_bytes, ..state.size }
    }

    /// Begins the end: from now on nobody is told that the log is up to date.
    pub fn begin_end(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Ending;
            state.built = [None, None];
        }
    }

    /// Ends the log: every reader is woken and told to fetch anew.
    pub fn end(&self) {
        self.state.lock().phase = Phase::Ended;
        self.changed.notify_waiters();
    }

    /// Completes at the next append or end after this call, even if that happens before it is first polled.
    pub fn changed(&self) -> OwnedNotified {
        Arc::clone(&self.changed).notified_owned()
    }

    /// What follows `after`, up to the end of the chunk that it lies in.
    pub fn read_after(&self, after: Offset) -> Read {
        self.state.lock().read_after(after)
    }

    /// The first of the entries after `after` up to `end`, both as [`Log::read_after`] knows them. Those in memory are
    /// at most `bytes`, or one that is larger.
    ///
    /// What is in memory when it is asked for the first time may be in the file the next time, never the other way
    /// round: whoever takes a range part by part holds one part.
    pub fn part(&self, after: Offset, end: Offset, bytes: usize) -> Part {
        self.state.lock().part(after, end, bytes)
    }

    /// The body of a live answer: all that follows `after`, in memory, at the log's end.
    ///
    /// Built once for all who ask for the same range. `None` where there is nothing, more than is shared, or not all
    /// in memory.
    pub fn live_body(&self, after: Offset, framing: Framing) -> Option<(Bytes, Offset)> {
        let mut state = self.state.lock();
        let slot = framing as usize;
        if let Some(built) = &state.built[slot]
            && built.after == after
            && built.end == state.last
        {
            return Some((built.body.clone(), built.end));
        }
        let Read::Entries { end, at_end: true } = state.read_after(after) else { return None };
        let Part::Memory(entries) = state.part(after, end, SHARED_BYTES) else { return None };
        if entries.last().is_none_or(|last| last.offset != end) {
            return None;
        }
        let body = body(&entries, framing, Some(framing.end_position(end)));
        state.built[slot] = Some(Built { after, end, body: body.clone() });
        Some((body, end))
    }

    /// Writes what the file lacks: one caller at a time, the store.
    ///
    /// The file may run ahead of the journal: what is not whole in it is cut off after a crash.
    ///
    /// Returns the last offset in the file, and the bytes of the messages written.
    ///
    /// # Errors
    /// The file could not be written: the shape must be ended.
    pub fn write_behind(&self, path: &Path) -> io::Result<(Offset, u64)> {
        let (entries, end) = {
            let state = self.state.lock();
            (state.tail.range(state.filed..).cloned().collect::<Vec<_>>(), state.file.end())
        };
        let Some(last) = entries.last().map(|entry| entry.offset) else { return Ok((self.last(), 0)) };
        let appended = file::append(path, end, &entries)?;
        let bytes = entries.iter().map(|entry| entry.len() as u64).sum();
        let mut state = self.state.lock();
        state.filed += entries.len();
        state.filed_bytes += bytes;
        state.file.extend(appended);
        Ok((last, bytes))
    }

    /// Drops entries from memory, oldest first, that the file has: all up to `upto`. Returns the bytes freed.
    pub fn forget(&self, upto: Offset) -> u64 {
        self.state.lock().forget(upto)
    }

    /// Drops all from memory that can be read or made again.
    pub fn release(&self) {
        let mut state = self.state.lock();
        state.built = [None, None];
        let last = state.last;
        state.forget(last);
    }
}

impl State {
    /// Appends what is newer than the last entry; returns the bytes.
    fn append(&mut self, chunk_bytes: u64, entries: impl IntoIterator<Item = Entry>) -> u64 {
        let mut grown = 0;
        for entry in entries {
            if entry.offset <= self.last || self.phase != Phase::Open {
                continue;
            }
            let bytes = entry.len() as u64;
            grown += bytes;
            self.size.entries += 1;
            self.open_chunk_bytes += bytes;
            if self.open_chunk_bytes >= chunk_bytes {
                self.chunk_ends.push(entry.offset);
                self.open_chunk_bytes = 0;
            }
            self.last = entry.offset;
            self.tail.push_back(entry);
        }
        self.size.memory_bytes += grown;
        if grown > 0 {
            self.built = [None, None];
        }
        grown
    }

    fn forget(&mut self, upto: Offset) -> u64 {
        let mut freed = 0;
        while self.filed > 0 && self.tail.front().is_some_and(|entry| entry.offset <= upto) {
            if let Some(entry) = self.tail.pop_front() {
                freed += entry.len() as u64;
                self.tail_after = entry.offset;
                self.filed -= 1;
            }
        }
        self.filed_bytes -= freed;
        self.size.memory_bytes -= freed;
        if self.tail.is_empty() {
            self.tail.shrink_to_fit();
        }
        freed
    }

    fn read_after(&self, after: Offset) -> Read {
        if self.phase == Phase::Ended {
            return Read::Ended;
        }
        let empty = self.last.is_in_snapshot();
        if after >= self.last || (empty && after.is_in_snapshot()) {
            return match self.phase {
                Phase::Open if after > self.last => Read::Ahead,
                Phase::Open => Read::Nothing,
                _ => Read::Ending,
            };
        }
        let chunk = self.chunk_ends.partition_point(|end| *end <= after);
        let end = self.chunk_ends.get(chunk).copied().unwrap_or(self.last);
        Read::Entries { end, at_end: end == self.last && self.phase == Phase::Open }
    }

    fn part(&self, after: Offset, end: Offset, bytes: usize) -> Part {
        if self.phase == Phase::Ended {
            return Part::Ended;
        }
        if after < self.tail_after && !self.tail_after.is_in_snapshot() {
            // The tail may repeat what the file has: each entry is taken from the tail where it is there.
            return Part::File(self.file.place(after, self.tail_after.min(end)));
        }
        let first = self.tail.partition_point(|entry| entry.offset <= after);
        let mut taken = 0;
        let fits = |entry: &&Entry| {
            let is_first = taken == 0;
            taken += entry.len();
            entry.offset <= end && (is_first || taken <= bytes)
        };
        Part::Memory(self.tail.range(first..).take_while(fits).cloned().collect())
    }
}
