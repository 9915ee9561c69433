//! The thread: what it does with each command, and in which order things become durable.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use tracing::{error, warn};

use super::behind::Behind;
use super::records::{Change, Record, Records, RecordsError};
use super::sync::sync_folder;
use super::{Command, Held};
use crate::engine::log::{Journal, Reference};
use crate::engine::replication::Identity;
use crate::engine::shape::{Files, Shape};
use crate::shape::Lsn;

/// A batch is written when it has this size,
const BATCH_BYTES: usize = 4 << 20;
/// or when this has passed since its first transaction. Readers do not wait for it, only Postgres does.
const BATCH_DELAY: Duration = Duration::from_millis(50);
/// A segment of the journal ends at this size.
const SEGMENT_BYTES: u64 = 64 << 20;

/// The thread's state.
pub struct Worker {
    files: Files,
    records: Records,
    journal: Journal,
    durable: watch::Sender<Lsn>,
    batch: Batch,
    behind: Behind,
    /// The thread that syncs the log files of an ended segment.
    retiring: Option<thread::JoinHandle<()>>,
}

/// What the next sync makes durable.
#[derive(Default)]
struct Batch {
    since: Option<Instant>,
    urgent: bool,
    changes: Vec<Change>,
    done: Vec<oneshot::Sender<()>>,
    ended: Vec<Arc<Shape>>,
    updated: Vec<Record>,
    shapes: Vec<Arc<Shape>>,
    held: Vec<Held>,
    room: Vec<OwnedSemaphorePermit>,
    bytes: u64,
}

#[derive(Debug, thiserror::Error)]
enum StoreError {
    #[error("the journal could not be written")]
    Journal(#[from] io::Error),
    #[error("the catalogue could not be written")]
    Catalog(#[from] RecordsError),
}

impl Worker {
    /// A worker on what was found at the start.
    pub fn new(
        files: Files,
        records: Records,
        journal: Journal,
        durable: watch::Sender<Lsn>,
        memory_bytes: u64,
    ) -> Self {
        let (batch, behind) = (Batch::default(), Behind::new(memory_bytes));
        Self { files, records, journal, durable, batch, behind, retiring: None }
    }

    /// Does what commands ask until the last; a failure of the disk is logged and ends it as well.
    pub fn run(&mut self, inbox: &Receiver<Command>) {
        if let Err(failure) = self.serve(inbox) {
            let cause = std::error::Error::source(&failure).map(ToString::to_string).unwrap_or_default();
            error!(cause, "{failure}; free the disk or mend it, then start again");
        }
        self.finish_retiring();
    }

    fn serve(&mut self, inbox: &Receiver<Command>) -> Result<(), StoreError> {
        loop {
            let mut stop = match inbox.recv_timeout(self.patience()) {
                Ok(command) => self.take(command)?,
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            // Whatever has come meanwhile shares the sync.
            while !stop && self.journal.waiting_bytes() < BATCH_BYTES {
                let Ok(command) = inbox.try_recv() else { break };
                stop = self.take(command)?;
            }
            if stop || self.batch.is_due(self.journal.waiting_bytes()) {
                self.sync()?;
            }
            if stop || self.behind.is_due() {
                self.write_behind()?;
            }
            if self.journal.bytes() >= SEGMENT_BYTES {
                self.roll()?;
            }
            if stop {
                return Ok(());
            }
        }
    }

    /// How long nothing needs to be done if nothing comes.
    fn patience(&self) -> Duration {
        let batch = self.batch.since.map(|since| BATCH_DELAY.saturating_sub(since.elapsed()));
        batch.into_iter().chain(self.behind.patience()).min().unwrap_or(Duration::from_secs(3600))
    }

    /// Adds a command to the batch; true if it was the last.
    fn take(&mut self, command: Command) -> Result<bool, StoreError> {
        let batch = &mut self.batch;
        match command {
            Command::Stop => return Ok(true),
            Command::Restart(position, identity, done) => {
                self.restart(position, identity)?;
                // Whoever asked may have gone.
                let _ = done.send(());
                return Ok(false);
            }
            Command::Transaction(transaction, room) => {
                for entry in &transaction.entries {
                    self.journal.entry(entry.offset, &entry.json, &entry.shapes);
                    batch.bytes += (entry.json.len() * entry.shapes.len()) as u64;
                }
                for (shape, entries) in &transaction.held.entries {
                    for entry in entries {
                        let shapes = [Reference { shape: shape.number, ends: entry.ends }];
                        self.journal.entry(entry.offset, &entry.json, &shapes);
                        batch.bytes += entry.len() as u64;
                    }
                }
                self.journal.position(transaction.end);
                batch.shapes.extend(transaction.shapes);
                if !transaction.held.is_empty() {
                    batch.held.push(transaction.held);
                    // Readers wait for it.
                    batch.urgent = true;
                }
                batch.room.push(room);
            }
            Command::Position(position, urgent) => {
                self.journal.position(position);
                batch.urgent |= urgent;
            }
            Command::Change(change, done) => {
                batch.changes.push(change);
                batch.done.push(done);
                batch.urgent = true;
            }
            Command::Update(record) => batch.updated.push(*record),
            Command::End(shape) => {
                batch.ended.push(shape);
                batch.urgent = true;
            }
        }
        batch.since.get_or_insert_with(Instant::now);
        Ok(false)
    }

    /// In this order, each durable before the next: what was asked for so far, with it the end of shapes that the new
    /// history does not continue; the position; and whose position it is.
    fn restart(&mut self, position: Lsn, identity: Identity) -> Result<(), StoreError> {
        self.sync()?;
        self.write_behind()?;
        self.finish_retiring();
        self.journal.restart(position)?;
        self.records.commit(&[Change::Identity(identity)])?;
        self.durable.send_replace(position);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        let mut batch = std::mem::take(&mut self.batch);
        if batch.since.is_none() {
            return Ok(());
        }
        // A shape's end comes before the position: once that is confirmed, what ended it is not sent again. A
        // finished shape comes after it: what it has beyond its snapshot may be in this batch.
        let is_over = |number: u64| batch.ended.iter().any(|shape| shape.number == number);
        let ended = batch.ended.iter().map(|shape| Change::Remove(shape.number));
        let mut updated: HashMap<u64, Record> =
            batch.updated.into_iter().filter(|record| !is_over(record.number)).map(|new| (new.number, new)).collect();
        let mut changes = Vec::new();
        for change in batch.changes {
            match change {
                Change::Put(record) if is_over(record.number) => {}
                // Finished in this batch, and changed since.
                Change::Put(record) => {
                    changes.push(Change::Put(updated.remove(&record.number).map_or(record, Box::new)))
                }
                other => changes.push(other),
            }
        }
        let first: Vec<Change> =
            ended.chain(updated.into_values().map(|record| Change::Put(Box::new(record)))).collect();
        if !first.is_empty() {
            self.records.commit(&first)?;
        }
        let position = self.journal.sync()?;
        if !changes.is_empty() {
            self.records.commit(&changes)?;
        }
        self.durable.send_replace(position);
        for done in batch.done {
            // Whoever asked may have gone.
            let _ = done.send(());
        }
        for held in batch.held {
            batch.shapes.extend(held.show());
        }
        self.behind.add(batch.shapes, batch.bytes);
        for shape in &batch.ended {
            shape.log.end();
            self.behind.remove(shape.number);
        }
        discard(&self.files, &batch.ended);
        Ok(())
    }

    /// Writes what the log files lack. A file that cannot be written ends its shape alone.
    fn write_behind(&mut self) -> Result<(), StoreError> {
        for (shape, error) in self.behind.write(&self.files) {
            warn!(shape.handle = %shape.handle, %error, "a log file could not be written: the shape ends");
            shape.log.begin_end();
            self.take(Command::End(shape))?;
        }
        Ok(())
    }

    fn finish_retiring(&mut self) {
        if let Some(retiring) = self.retiring.take() {
            let _ = retiring.join();
        }
    }

    /// Starts a new segment. The old one is deleted, by a thread, once the log files are synced.
    fn roll(&mut self) -> Result<(), StoreError> {
        if self.retiring.as_ref().is_some_and(|retiring| !retiring.is_finished()) {
            return Ok(());
        }
        // What is in the batch so far belongs to the old segment.
        self.sync()?;
        self.write_behind()?;
        let segment = self.journal.roll()?;
        let shapes = self.files.shapes();
        self.retiring = thread::Builder::new().name("retire".into()).spawn(move || retire(&shapes, &segment)).ok();
        Ok(())
    }
}

impl Batch {
    fn is_due(&self, waiting_bytes: usize) -> bool {
        self.since.is_some_and(|since| self.urgent || waiting_bytes >= BATCH_BYTES || since.elapsed() >= BATCH_DELAY)
    }
}

/// Moves the files of shapes out of the way and deletes them: unlinking a large file takes milliseconds.
fn discard(files: &Files, shapes: &[Arc<Shape>]) {
    let paths = shapes.iter().flat_map(|shape| [files.snapshot(&shape.handle), files.log(&shape.handle)]);
    let moved: Vec<PathBuf> = paths
        .filter_map(|path| {
            let trash = files.trash().join(path.file_name()?);
            fs::rename(&path, &trash).ok()?;
            Some(trash)
        })
        .collect();
    if !moved.is_empty() {
        let delete = move || moved.iter().for_each(|path| drop(fs::remove_file(path)));
        // Without a thread they stay where they are until the next start.
        let _ = thread::Builder::new().name("trash".into()).spawn(delete);
    }
}

/// Syncs the file system that the log files are on, then deletes a segment that they have taken over.
fn retire(shapes: &Path, segment: &Path) {
    match sync_folder(shapes).and_then(|()| fs::remove_file(segment)) {
        Ok(()) => {}
        // The segment stays, and is read again at the next start.
        Err(error) => warn!(%error, "a segment of the journal could not be retired"),
    }
}
