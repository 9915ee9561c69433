//! Finds everything again after a stop or a crash.
//!
//! The catalogue says which shapes there are. Each log file is good up to its first bad frame; what it lacks is
//! in the journal. When all files are whole and synced, a new segment begins and the old ones go.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use hashbrown::{HashMap, HashSet};
use tracing::{info, warn};

use super::super::log::{Log, replay, scan};
use super::super::snapshot::Snapshot;
use super::super::tables::Table;
use super::records::RecordsError;
use super::sync::sync_folder;
use super::{Change, Files, Identity, Journal, Record, Records, Shape, Store};
use crate::shape::Lsn;

/// What the store held.
#[derive(Debug)]
pub struct Recovered {
    pub store: Store,
    /// The store's thread, to be joined after [`Store::stop`].
    pub thread: JoinHandle<()>,
    /// Which database the shapes are of; `None` in a new store.
    pub identity: Option<Identity>,
    /// Everything before it is in the shapes' logs.
    pub position: Lsn,
    pub shapes: Vec<Arc<Shape>>,
    /// No shape has had this number or a higher one.
    pub next_number: u64,
}

/// Why the storage folder cannot be used; goes on after its path.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    #[error("is in use by another process; give this one its own")]
    InUse,
    #[error("cannot be read or written ({0}); it must be a folder that this process may write to")]
    Disk(#[from] io::Error),
    #[error("has a catalogue of shapes that cannot be read ({0}); move the folder away to start anew")]
    Catalog(#[source] RecordsError),
}

impl From<RecordsError> for RecoverError {
    fn from(error: RecordsError) -> Self {
        match error {
            RecordsError::InUse => Self::InUse,
            other => Self::Catalog(other),
        }
    }
}

/// Opens the store in `files`, which is created if need be, and starts its thread.
pub fn recover(files: &Files, chunk_bytes: u64, memory_bytes: u64) -> Result<Recovered, RecoverError> {
    make_folders(files)?;
    let records = Records::open(&files.catalog())?;
    let contents = records.contents()?;
    let mut shapes = HashMap::new();
    let mut tables = Vec::new();
    let mut identities = HashSet::new();
    let mut dropped = Vec::new();
    // A crash between the end of a shape and its removal leaves two with one definition: the newer counts.
    for record in contents.records.into_iter().rev() {
        let (number, handle) = (record.number, record.handle.clone());
        match restore(files, chunk_bytes, record, &mut tables)? {
            Some(shape) if identities.insert(Arc::clone(shape.definition.identity())) => {
                drop(shapes.insert(number, shape))
            }
            _ => {
                warn!(shape.handle = %handle, "a stored shape cannot be continued and is dropped");
                dropped.push(Change::Remove(number));
            }
        }
    }
    records.commit(&dropped)?;
    delete_strays(files, shapes.values())?;
    let replayed = replay(&files.journal(), |number, entry| {
        if let Some(shape) = shapes.get(&number) {
            shape.log.append_again(entry);
        }
    })?;
    for shape in shapes.values() {
        let (last, _) = shape.log.write_behind(&files.log(&shape.handle))?;
        shape.log.forget(last);
    }
    sync_folder(&files.shapes())?;
    let journal = Journal::create(&files.journal(), replayed.next_number, replayed.position)?;
    for segment in &replayed.segments {
        fs::remove_file(segment)?;
    }
    let count = shapes.len();
    info!(shapes = count, position = %replayed.position, "found {count} shapes, up to position {:#}", replayed.position);
    let (store, thread) = Store::start(files.clone(), records, journal, replayed.position, memory_bytes);
    Ok(Recovered {
        store,
        thread,
        identity: contents.identity,
        position: replayed.position,
        shapes: shapes.into_values().collect(),
        next_number: contents.next_number,
    })
}

fn make_folders(files: &Files) -> io::Result<()> {
    for folder in [files.journal(), files.trash()] {
        fs::create_dir_all(folder)?;
    }
    for number in 0..=u8::MAX {
        fs::create_dir_all(files.shapes().join(format!("{number:02x}")))?;
    }
    Ok(())
}

/// The shape of a record, or `None` where its files or its condition are not what they should be.
///
/// `tables` are those restored before: shapes of one table share it.
fn restore(
    files: &Files,
    chunk_bytes: u64,
    record: Record,
    tables: &mut Vec<Arc<Table>>,
) -> io::Result<Option<Arc<Shape>>> {
    let snapshot = fs::metadata(files.snapshot(&record.handle));
    let expected = record.chunk_ends.last().copied().unwrap_or(0);
    if !snapshot.is_ok_and(|found| found.len() == expected) {
        return Ok(None);
    }
    let Some(definition) = record.definition.restore(tables) else { return Ok(None) };
    let (file, sizes) = scan(&files.log(&record.handle))?;
    let log = Log::recover(chunk_bytes, file, sizes);
    let snapshot = Snapshot::finished(record.chunk_ends, record.mark, record.rows);
    let shape = Shape::new(record.number, record.handle, definition, snapshot, log);
    shape.set_entry(record.entry);
    Ok(Some(Arc::new(shape)))
}

/// Deletes files of shapes that are not in the catalogue: half-made ones, and those that ended.
fn delete_strays<'a>(files: &Files, shapes: impl Iterator<Item = &'a Arc<Shape>>) -> io::Result<()> {
    let kept: HashSet<_> = shapes.flat_map(|shape| [files.snapshot(&shape.handle), files.log(&shape.handle)]).collect();
    let delete = |folder: &Path| -> io::Result<()> {
        for file in fs::read_dir(folder)? {
            let path = file?.path();
            if !kept.contains(&path) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    };
    delete(&files.trash())?;
    for folder in fs::read_dir(files.shapes())? {
        delete(&folder?.path())?;
    }
    Ok(())
}
