//! A shape's log on disk: frames in offset order, each with its checksum, written behind the journal.
//!
//! A frame is `length u32, crc32 u32, tx u64, op u64, ends u8, message`, little endian; the length counts
//! what follows the checksum, which covers the same bytes. A file is valid up to its first bad frame: what
//! a crash cut off is in the journal.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Ends, Entry};
use crate::shape::Offset;

/// Length and checksum.
const FRAME_HEAD: usize = 8;
/// Transaction, change and flag.
const ENTRY_HEAD: usize = 17;
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
    let size = entries.iter().map(|entry| entry.json.len() + FRAME_HEAD + ENTRY_HEAD).sum();
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

fn write_frame(out: &mut BytesMut, entry: &Entry) {
    let mut head = [0; ENTRY_HEAD];
    head[..8].copy_from_slice(&entry.offset.tx.to_le_bytes());
    head[8..16].copy_from_slice(&entry.offset.op.to_le_bytes());
    head[16] = match entry.ends {
        Ends::Nothing => 0,
        Ends::Transaction => 1,
        Ends::Batch => 2,
    };
    let mut crc = crc32fast::Hasher::new();
    crc.update(&head);
    crc.update(&entry.json);
    out.put_u32_le((ENTRY_HEAD + entry.json.len()) as u32);
    out.put_u32_le(crc.finalize());
    out.put_slice(&head);
    out.put_slice(&entry.json);
}

/// Takes the first frame off `bytes`, or `None` where it is cut short or its checksum is wrong.
fn read_frame(bytes: &mut Bytes) -> Option<Entry> {
    if bytes.len() < FRAME_HEAD + ENTRY_HEAD {
        return None;
    }
    let mut head = &bytes[..FRAME_HEAD];
    let (length, crc) = (head.get_u32_le() as usize, head.get_u32_le());
    if length < ENTRY_HEAD || bytes.len() < FRAME_HEAD + length {
        return None;
    }
    let body = bytes.slice(FRAME_HEAD..FRAME_HEAD + length);
    if crc32fast::hash(&body) != crc {
        return None;
    }
    bytes.advance(FRAME_HEAD + length);
    let mut head = &body[..ENTRY_HEAD];
    let offset = Offset { tx: head.get_u64_le(), op: head.get_u64_le() };
    let ends = match head.get_u8() {
        0 => Ends::Nothing,
        1 => Ends::Transaction,
        _ => Ends::Batch,
    };
    Some(Entry { offset, ends, json: body.slice(ENTRY_HEAD..) })
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
    let mut window = Window { file: &file, position: 0, length, held: Bytes::new() };
    let mut whole = (0, None, 0, 0);
    while let Some(entry) = window.next()? {
        log.note(entry.offset, window.position);
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

/// Frames read through a buffer that grows only for a frame larger than it.
struct Window<'a> {
    file: &'a File,
    /// After the last frame taken.
    position: u64,
    length: u64,
    held: Bytes,
}

impl Window<'_> {
    const BYTES: u64 = 1 << 20;

    fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut want = Self::BYTES;
        loop {
            let before = self.held.len();
            if let Some(entry) = read_frame(&mut self.held) {
                self.position += (before - self.held.len()) as u64;
                return Ok(Some(entry));
            }
            let left = self.length - self.position;
            if before as u64 >= left {
                return Ok(None);
            }
            let mut buffer = vec![0; want.max(before as u64 * 2).min(left) as usize];
            self.file.read_exact_at(&mut buffer, self.position)?;
            self.held = buffer.into();
            want *= 2;
        }
    }
}

impl Place {
    /// How much of the file is read.
    pub fn bytes(&self) -> u64 {
        self.until - self.from
    }

    /// Reads the entries. Costs in proportion to the range and at most [`MARK_EVERY`] before it.
    ///
    /// # Errors
    /// The file could not be read, or does not hold what was written to it.
    pub fn read(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut buffer = vec![0; self.bytes() as usize];
        File::open(path)?.read_exact_at(&mut buffer, self.from)?;
        let mut bytes = Bytes::from(buffer);
        let mut entries = Vec::new();
        while !bytes.is_empty() {
            let entry = read_frame(&mut bytes).ok_or(io::ErrorKind::InvalidData)?;
            if entry.offset > self.upto {
                break;
            }
            if entry.offset > self.after {
                entries.push(entry);
            }
        }
        Ok(entries)
    }
}
