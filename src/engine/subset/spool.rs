//! The body of a subset between Postgres and its reader: in memory while it is small, then in a file that has no name.
//!
//! The whole body is here before its first byte is sent. So the connection to Postgres is free, and an error is still a status,
//! however slowly the reader reads; what it costs is disk.

use std::fs::{File, OpenOptions, remove_file};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream;
use uuid::Uuid;

use crate::engine::body::{FileBody, blocking, in_pieces};
use crate::engine::shape::Files;
use crate::shape::{Body, BrokenStream};

/// What one body keeps in memory, and the pieces in which the rest is written.
const PIECE_BYTES: usize = 256 << 10;
/// The longest body. A reader holds it in memory as a whole.
pub const MAX_BYTES: u64 = 1 << 30;
/// All bodies that are being made, or sent from a file: what they may take of the disk.
const MAX_TOGETHER: u64 = 4 << 30;

/// How much all bodies hold.
#[derive(Debug, Default)]
pub struct Budget(Arc<AtomicU64>);

/// A body in the making.
#[derive(Debug)]
pub struct Spool {
    files: Files,
    memory: Vec<u8>,
    file: Option<Arc<File>>,
    /// What the file has.
    written: u64,
    share: Share,
}

/// Why a body cannot grow.
#[derive(Debug)]
pub enum SpoolError {
    TooLarge,
    TooMuch,
    Disk(io::Error),
}

/// What one body holds of the budget; given back when it is dropped.
#[derive(Debug)]
struct Share {
    together: Arc<AtomicU64>,
    bytes: u64,
}

impl Spool {
    /// An empty body.
    pub fn new(files: &Files, budget: &Budget) -> Self {
        let share = Share { together: Arc::clone(&budget.0), bytes: 0 };
        Self { files: files.clone(), memory: Vec::new(), file: None, written: 0, share }
    }

    /// Adds to the body.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        self.share.take(bytes.len() as u64)?;
        self.memory.extend_from_slice(bytes);
        if self.memory.len() >= PIECE_BYTES { self.spill().await.map_err(SpoolError::Disk) } else { Ok(()) }
    }

    async fn spill(&mut self) -> io::Result<()> {
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => {
                let files = self.files.clone();
                Arc::clone(self.file.insert(Arc::new(blocking(move || nameless(&files)).await?)))
            }
        };
        let (piece, at) = (std::mem::take(&mut self.memory), self.written);
        self.written += piece.len() as u64;
        self.memory = blocking(move || {
            file.write_all_at(&piece, at)?;
            Ok(piece)
        })
        .await?;
        self.memory.clear();
        Ok(())
    }

    /// The body, sent piece by piece as its reader takes them.
    pub fn into_body(self) -> Body {
        let Some(file) = self.file else { return Body::Full(self.memory.into()) };
        let length = self.written + self.memory.len() as u64;
        let body = FileBody::new(file, 0..self.written, self.memory.into());
        let steps = stream::unfold((body, self.share), |(mut body, share)| async {
            let step = body.next().await.transpose()?.map_err(|_| BrokenStream);
            Some((step, (body, share)))
        });
        Body::Pieces { length, pieces: in_pieces(steps) }
    }
}

/// A file that is gone when nobody has it open.
fn nameless(files: &Files) -> io::Result<File> {
    let path = files.trash().join(format!("subset-{}", Uuid::new_v4().simple()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    remove_file(path)?;
    Ok(file)
}

impl Share {
    fn take(&mut self, bytes: u64) -> Result<(), SpoolError> {
        self.bytes += bytes;
        let together = self.together.fetch_add(bytes, Ordering::Relaxed) + bytes;
        match () {
            () if self.bytes > MAX_BYTES => Err(SpoolError::TooLarge),
            () if together > MAX_TOGETHER => Err(SpoolError::TooMuch),
            () => Ok(()),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.together.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    fn spool(budget: &Budget) -> (Spool, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let files = Files::new(folder.path());
        std::fs::create_dir(files.trash()).expect("a folder");
        (Spool::new(&files, budget), folder)
    }

    #[tokio::test]
    async fn a_body_is_what_was_written_in_memory_or_not() {
        for size in [0, 5, PIECE_BYTES - 1, PIECE_BYTES, 3 * PIECE_BYTES + 7] {
            let budget = Budget::default();
            let (mut spool, folder) = spool(&budget);
            let written: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            for part in written.chunks(1000) {
                spool.write(part).await.expect("room");
            }
            let (mut read, in_file) = (Vec::new(), size >= PIECE_BYTES);
            match spool.into_body() {
                Body::Full(bytes) if !in_file => read.extend_from_slice(&bytes),
                Body::Pieces { length, mut pieces } if in_file => {
                    assert_eq!(length, size as u64);
                    assert_eq!(budget.0.load(Ordering::Relaxed), size as u64, "held while it is sent");
                    while let Some(piece) = pieces.next().await {
                        read.extend_from_slice(&piece.expect("a piece of the file"));
                    }
                }
                _ => panic!("{size} bytes in the wrong place"),
            }
            assert_eq!((read == written, budget.0.load(Ordering::Relaxed)), (true, 0), "{size} bytes");
            let left = std::fs::read_dir(folder.path().join("trash")).expect("the folder").count();
            assert_eq!(left, 0, "{size} bytes");
        }
    }

    #[test]
    fn one_body_and_all_together_have_a_bound() {
        let together = Arc::new(AtomicU64::new(0));
        let share = || Share { together: Arc::clone(&together), bytes: 0 };
        let mut full: Vec<Share> = (0..MAX_TOGETHER / MAX_BYTES).map(|_| share()).collect();
        for one in &mut full {
            assert!(one.take(MAX_BYTES).is_ok());
        }
        assert!(matches!(full[0].take(1), Err(SpoolError::TooLarge)));
        assert!(matches!(share().take(1), Err(SpoolError::TooMuch)));
        full.pop();
        assert!(share().take(1).is_ok());
        drop(full);
        assert_eq!(together.load(Ordering::Relaxed), 0);
    }
}
