//! The catalogue on disk: which shapes there are, under which handles, and of which database.
//!
//! Holds finished shapes only. A shape whose snapshot was being made when the process died is not in it,
//! and so is dropped at the next start.

use std::path::Path;
use std::{fs, io};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::engine::replication::Identity;
use crate::engine::shape::Stored;
use crate::engine::snapshot::Mark;
use crate::shape::Handle;

const SHAPES: TableDefinition<u64, &[u8]> = TableDefinition::new("shapes");
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const IDENTITY: &str = "identity";
const NEXT_NUMBER: &str = "next_number";

/// A finished shape.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    pub number: u64,
    pub handle: Handle,
    pub definition: Stored,
    pub mark: Mark,
    /// Where each chunk of the snapshot ends in its file, in bytes.
    pub chunk_ends: Vec<u64>,
    /// What has put the table into the publication; 0 if that was not known.
    #[serde(default)]
    pub entry: u32,
    /// Rows of the snapshot; absent in catalogues of versions that did not count them.
    #[serde(default)]
    pub rows: Option<u64>,
}

/// A change of the catalogue.
#[derive(Debug)]
pub enum Change {
    Put(Box<Record>),
    Remove(u64),
    Identity(Identity),
    /// No shape has had a number from here on.
    NextNumber(u64),
}

/// Everything the catalogue held at the start.
#[derive(Debug, Default)]
pub struct Contents {
    pub identity: Option<Identity>,
    pub next_number: u64,
    /// Ascending by number.
    pub records: Vec<Record>,
}

/// The catalogue could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    #[error("another process uses it")]
    InUse,
    #[error(transparent)]
    Disk(#[from] redb::Error),
    #[error("it holds a record that this version cannot read")]
    Record(#[from] serde_json::Error),
}

/// The open file.
#[derive(Debug)]
pub struct Records {
    file: Database,
}

impl Records {
    /// Opens the file, which is created if need be.
    pub fn open(path: &Path) -> Result<Self, RecordsError> {
        if !path.exists() {
            create(path)?;
        }
        match Database::open(path) {
            Ok(file) => Ok(Self { file }),
            Err(redb::DatabaseError::DatabaseAlreadyOpen) => Err(RecordsError::InUse),
            Err(error) => Err(RecordsError::Disk(error.into())),
        }
    }

    /// Reads everything.
    pub fn contents(&self) -> Result<Contents, RecordsError> {
        let mut contents = Contents { next_number: 1, ..Contents::default() };
        let read = self.file.begin_read().map_err(redb::Error::from)?;
        let meta = match read.open_table(META) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(contents),
            other => other.map_err(redb::Error::from)?,
        };
        if let Some(bytes) = meta.get(IDENTITY).map_err(redb::Error::from)? {
            contents.identity = Some(serde_json::from_slice(bytes.value())?);
        }
        if let Some(bytes) = meta.get(NEXT_NUMBER).map_err(redb::Error::from)? {
            contents.next_number = serde_json::from_slice(bytes.value())?;
        }
        let shapes = read.open_table(SHAPES).map_err(redb::Error::from)?;
        for row in shapes.iter().map_err(redb::Error::from)? {
            let (_, bytes) = row.map_err(redb::Error::from)?;
            contents.records.push(serde_json::from_slice(bytes.value())?);
        }
        Ok(contents)
    }

    /// Makes changes durable, all or none.
    pub fn commit(&self, changes: &[Change]) -> Result<(), RecordsError> {
        let write = self.file.begin_write().map_err(redb::Error::from)?;
        {
            let mut shapes = write.open_table(SHAPES).map_err(redb::Error::from)?;
            let mut meta = write.open_table(META).map_err(redb::Error::from)?;
            for change in changes {
                match change {
                    Change::Put(record) => {
                        let bytes = serde_json::to_vec(record)?;
                        shapes.insert(record.number, bytes.as_slice()).map_err(redb::Error::from)?;
                    }
                    Change::Remove(number) => drop(shapes.remove(number).map_err(redb::Error::from)?),
                    Change::Identity(identity) => {
                        let bytes = serde_json::to_vec(identity)?;
                        meta.insert(IDENTITY, bytes.as_slice()).map_err(redb::Error::from)?;
                    }
                    Change::NextNumber(number) => {
                        let bytes = serde_json::to_vec(number)?;
                        meta.insert(NEXT_NUMBER, bytes.as_slice()).map_err(redb::Error::from)?;
                    }
                }
            }
        }
        write.commit().map_err(redb::Error::from)?;
        Ok(())
    }
}

/// Makes an empty file under another name first: one that a crash left half made could not be opened any more.
fn create(path: &Path) -> Result<(), RecordsError> {
    let disk = |error: io::Error| RecordsError::Disk(redb::Error::Io(error));
    let new = path.with_extension(format!("{}.new", Uuid::new_v4().simple()));
    drop(Database::create(&new).map_err(redb::Error::from)?);
    let named = match fs::hard_link(&new, path) {
        // Another process was first; which of us may use it is decided by opening it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        named => named,
    };
    fs::remove_file(&new).map_err(disk)?;
    named.map_err(disk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("catalog.redb");
        // What a crash has left of an earlier start.
        fs::write(path.with_extension("0.new"), [0; 4096]).expect("a file");
        let first = Records::open(&path).expect("a new file");
        assert!(matches!(Records::open(&path), Err(RecordsError::InUse)));
        drop(first);
        let again = Records::open(&path).expect("the same file");
        assert!(again.contents().expect("nothing yet").records.is_empty());
        // One who was a moment later finds the file of the first.
        create(&path).expect("nothing to do");
        assert_eq!(fs::read_dir(folder.path()).expect("it").count(), 2, "nothing else is left");
    }
}
