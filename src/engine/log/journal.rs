//! The shared journal: one fsync makes positions durable, however many shapes a batch touched.
//!
//! A segment is a file of frames `length u32, crc32 u32, payload`. A payload is an entry with the shapes that
//! have it, or a position: everything before it in the journal is complete. What follows the last position is
//! half a transaction and is dropped; Postgres sends it again.
//!
//! A segment starts with the position reached before it, and is deleted once the log files have all that
//! it holds and have been synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut, Bytes};

use super::{Ends, Entry};
use crate::shape::{Lsn, Offset};

const ENTRY: u8 = 1;
const POSITION: u8 = 2;

/// Marks a reference whose entry ends a batch; shapes' numbers are far below it.
const BATCH: u64 = 1 << 63;

/// A shape that has an entry, by number, and what is whole with it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    pub shape: u64,
    pub ends: Ends,
}

/// The open segment, and what waits to be written to it.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    file: File,
    number: u64,
    bytes: u64,
    position: Lsn,
    buffer: Vec<u8>,
}

impl Journal {
    /// Starts segment `number` at `position`, durably.
    pub fn create(folder: &Path, number: u64, position: Lsn) -> io::Result<Self> {
        let path = segment_path(folder, number);
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        let mut journal = Self { folder: folder.to_owned(), file, number, bytes: 0, position, buffer: Vec::new() };
        journal.position(position);
        journal.sync()?;
        File::open(folder)?.sync_all()?;
        Ok(journal)
    }

    /// Adds an entry and the shapes that have it.
    pub fn entry(&mut self, offset: Offset, json: &[u8], shapes: &[Reference]) {
        self.frame(|out| {
            out.put_u8(ENTRY);
            out.put_u64_le(offset.tx);
            out.put_u64_le(offset.op);
            out.put_u32_le(shapes.len() as u32);
            for shape in shapes {
                let ends = match shape.ends {
                    Ends::Nothing => 0,
                    Ends::Transaction => 1,
                    Ends::Batch => BATCH,
                };
                out.put_u64_le(shape.shape << 1 | ends);
            }
            out.put_slice(json);
        });
    }

    /// Marks everything added so far as complete up to `position`.
    pub fn position(&mut self, position: Lsn) {
        self.position = self.position.max(position);
        let position = self.position.0;
        self.frame(|out| {
            out.put_u8(POSITION);
            out.put_u64_le(position);
        });
    }

    fn frame(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.buffer.len();
        self.buffer.put_u64_le(0);
        write(&mut self.buffer);
        let payload = &self.buffer[start + 8..];
        let (length, crc) = (payload.len() as u32, crc32fast::hash(payload));
        self.buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.buffer[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    }

    /// Makes everything added so far durable and returns the position reached.
    ///
    /// # Errors
    /// After an error nothing more may be written: what a failed fsync left on disk is unknown.
    pub fn sync(&mut self) -> io::Result<Lsn> {
        self.file.write_all(&self.buffer)?;
        self.file.sync_data()?;
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        // One huge batch must not hold its memory for good.
        self.buffer.shrink_to(1 << 20);
        Ok(self.position)
    }

    /// Bytes that wait for [`Journal::sync`].
    pub fn waiting_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Bytes of this segment on disk.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Syncs, and goes on in a new segment; returns the path of the one that ended.
    pub fn roll(&mut self) -> io::Result<PathBuf> {
        self.sync()?;
        let ended = segment_path(&self.folder, self.number);
        *self = Self::create(&self.folder, self.number + 1, self.position)?;
        Ok(ended)
    }
    /// Begins a new history at `position`, which may lie before what was reached: all segments so far go.
    pub fn restart(&mut self, position: Lsn) -> io::Result<()> {
        let ended = segment_numbers(&self.folder)?;
        self.buffer.clear();
        *self = Self::create(&self.folder, self.number + 1, position)?;
        for number in ended {
            fs::remove_file(segment_path(&self.folder, number))?;
        }
        File::open(&self.folder)?.sync_all()
    }
}

/// The numbers of the segments in a folder, ascending.
fn segment_numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers: Vec<u64> = fs::read_dir(folder)?
        .filter_map(|file| {
            let name = file.ok()?.file_name().into_string().ok()?;
            u64::from_str_radix(name.strip_suffix(".journal")?, 16).ok()
        })
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn segment_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016x}.journal"))
}

/// What was found in the journal's folder.
#[derive(Debug, Default)]
pub struct Replayed {
    /// The last complete position; 0 where there was none.
    pub position: Lsn,
    /// The segments read, to be deleted once their entries are in synced log files.
    pub segments: Vec<PathBuf>,
    /// The number for the next segment.
    pub next_number: u64,
}

/// Reads all segments in order and gives each complete entry, once for each shape that has it.
pub fn replay(folder: &Path, mut entry: impl FnMut(u64, Entry)) -> io::Result<Replayed> {
    let mut replayed = Replayed { next_number: 1, ..Replayed::default() };
    let mut whole = true;
    for number in segment_numbers(folder)? {
        let path = segment_path(folder, number);
        // Only the newest segment can have been cut by a crash. Past any other damage positions would
        // claim what is missing; without them the engine sees that its slot is ahead, and starts over.
        if whole {
            whole = replay_segment(fs::read(&path)?.into(), &mut replayed.position, &mut entry);
        }
        replayed.segments.push(path);
        replayed.next_number = number + 1;
    }
    Ok(replayed)
}

/// Returns whether the segment was good to its end.
fn replay_segment(mut bytes: Bytes, reached: &mut Lsn, entry: &mut impl FnMut(u64, Entry)) -> bool {
    let mut waiting = Vec::new();
    while !bytes.is_empty() {
        match read_frame(&mut bytes).and_then(read_payload) {
            Some(Payload::Entry(offset, shapes, json)) => waiting.push((offset, shapes, json)),
            Some(Payload::Position(position)) => {
                *reached = position.max(*reached);
                for (offset, shapes, json) in waiting.drain(..) {
                    for shape in shapes {
                        entry(shape.shape, Entry { offset, json: json.clone(), ends: shape.ends });
                    }
                }
            }
            None => return false,
        }
    }
    true
}

fn read_frame(bytes: &mut Bytes) -> Option<Bytes> {
    if bytes.len() < 8 {
        return None;
    }
    let mut head = &bytes[..8];
    let (length, crc) = (head.get_u32_le() as usize, head.get_u32_le());
    if bytes.len() < 8 + length {
        return None;
    }
    let payload = bytes.slice(8..8 + length);
    bytes.advance(8 + length);
    (crc32fast::hash(&payload) == crc).then_some(payload)
}

enum Payload {
    Entry(Offset, Vec<Reference>, Bytes),
    Position(Lsn),
}

fn read_payload(mut payload: Bytes) -> Option<Payload> {
    match payload.try_get_u8().ok()? {
        POSITION => Some(Payload::Position(Lsn(payload.try_get_u64_le().ok()?))),
        ENTRY => {
            let offset = Offset { tx: payload.try_get_u64_le().ok()?, op: payload.try_get_u64_le().ok()? };
            let count = payload.try_get_u32_le().ok()?;
            let mut shapes = Vec::with_capacity((count as usize).min(payload.len() / 8));
            for _ in 0..count {
                let reference = payload.try_get_u64_le().ok()?;
                let ends = match reference {
                    _ if reference & BATCH != 0 => Ends::Batch,
                    _ => Ends::transaction(reference & 1 == 1),
                };
                shapes.push(Reference { shape: (reference & !BATCH) >> 1, ends });
            }
            Some(Payload::Entry(offset, shapes, payload))
        }
        _ => None,
    }
}
