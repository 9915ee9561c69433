//! A shape's log on disk: frames in offset order, each with its checksum, written behind the journal.
//!
//! A file is valid up to its first bad frame: what a crash cut off is in the journal.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::BytesMut;

use super::frames::{Frames, Messages, frame_len, write_frame};
use super::{Ends, Entry};
use crate::shape::Offset;

/// A place to start reading is remembered this often.
const MARK_EVERY: u64 = 64 << 10;

/// What is known of a log file: its valid length, and where to find an offset in it.
#[derive(Debug, Default)]
pub struct LogFile {
    bytes: u64,
    last: Option<Offset>,
    /// An entry's offset and the position after its frame, ascending.
    marks: Vec<(Offset, u64)>,
}

/// Where in a file the entries of a range lie.
#[derive(Debug)]
pub struct Place {
    from: u64,
    until: u64,
    after: Offset,
    upto: Offset,
}

/// Where a file ends.
#[derive(Debug, Clone, Copy)]
pub struct End {
    bytes: u64,
    /// The position of the last mark.
    mark: u64,
}

/// What an append added to a file.
#[derive(Debug)]
pub struct Appended {
    bytes: u64,
    last: Offset,
    marks: Vec<(Offset, u64)>,
}

impl LogFile {
    /// Where the file ends.
    pub fn end(&self) -> End {
        End { bytes: self.bytes, mark: self.marks.last().map_or(0, |mark| mark.1) }
    }

    /// How long it is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The offset of the last entry in the file.
    pub fn last(&self) -> Option<Offset> {
        self.last
    }

    /// Takes note of what [`append`] wrote.
    pub fn extend(&mut self, appended: Appended) {
        self.bytes = appended.bytes;
        self.last = Some(appended.last);
        self.marks.extend(appended.marks);
    }

    /// Where the entries with offsets in `(after, upto]` are.
    pub fn place(&self, after: Offset, upto: Offset) -> Place {
        let before = self.marks.partition_point(|(offset, _)| *offset <= after);
        let beyond = self.marks.partition_point(|(offset, _)| *offset < upto);
        Place {
            from: before.checked_sub(1).map_or(0, |mark| self.marks[mark].1),
            until: self.marks.get(beyond).map_or(self.bytes, |mark| mark.1),
            after,
            upto,
        }
    }

    /// Adds one frame that ends at `end`.
    fn note(&mut self, offset: Offset, end: u64) {
        if end - self.marks.last().map_or(0, |mark| mark.1) >= MARK_EVERY {
            self.marks.push((offset, end));
        }
        self.bytes = end;
        self.last = Some(offset);
    }
}

/// Writes `entries` to the file, which is created if need be. `end` is where it ends, and where the last mark is.
///
/// Not synced: the journal has the same entries until the file is.
pub fn append(path: &Path, end: End, entries: &[Entry]) -> io::Result<Appended> {
    let start = end.bytes;
    let size = entries.iter().map(frame_len).sum();
    let mut out = BytesMut::with_capacity(size);
    let mut noted = LogFile { bytes: start, last: None, marks: vec![(Offset::SNAPSHOT_END, end.mark)] };
    for entry in entries {
        write_frame(&mut out, entry);
        noted.note(entry.offset, start + out.len() as u64);
    }
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    file.write_all_at(&out, start)?;
    noted.marks.remove(0);
    Ok(Appended { bytes: noted.bytes, last: noted.last.unwrap_or(Offset::SNAPSHOT_END), marks: noted.marks })
}

/// Reads a file from its start and cuts off what follows the last whole transaction.
///
/// A file that does not exist is empty. Returns each entry's offset and the bytes of its message as well.
pub fn scan(path: &Path) -> io::Result<(LogFile, Vec<(Offset, u64)>)> {
    let (mut log, mut sizes) = (LogFile::default(), Vec::new());
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((log, sizes)),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let mut frames = Frames::new(&file, 0, length);
    let mut whole = (0, None, 0, 0);
    while let Some(entry) = frames.next()? {
        log.note(entry.offset, frames.position());
        sizes.push((entry.offset, entry.len() as u64));
        if entry.ends != Ends::Nothing {
            whole = (log.bytes, log.last, log.marks.len(), sizes.len());
        }
    }
    // Half a transaction must not look like the end of the log. The rest is in the journal, or comes again.
    (log.bytes, log.last) = (whole.0, whole.1);
    log.marks.truncate(whole.2);
    sizes.truncate(whole.3);
    if log.bytes < length {
        file.set_len(log.bytes)?;
    }
    Ok((log, sizes))
}

impl Place {
    /// How much of the file is read.
    #[cfg(test)]
    pub fn bytes(&self) -> u64 {
        self.until - self.from
    }

    /// Reads the entries. Costs in proportion to the range and at most [`MARK_EVERY`] before it.
    ///
    /// # Errors
    /// The file could not be read, or does not hold what was written to it.
    pub fn read(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let file = File::open(path)?;
        let mut frames = Frames::new(&file, self.from, self.until);
        let mut entries = Vec::new();
        while frames.position() < self.until {
            let entry = frames.next()?.ok_or(io::ErrorKind::InvalidData)?;
            if entry.offset > self.upto {
                break;
            }
            if entry.offset > self.after {
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    /// The messages of the entries, to be read in pieces; of the first, what follows `begun` bytes of its JSON.
    ///
    /// # Errors
    /// The file could not be opened.
    pub fn open(&self, path: &Path, begun: usize) -> io::Result<Messages> {
        Ok(Messages::new(File::open(path)?, (self.from, self.until), (self.after, self.upto), begun))
    }
}
