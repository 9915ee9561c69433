//! The frames of a log file: written one after the other, read whole, or piece by piece where one may be large.
//!
//! A frame is `length u32, crc32 u32, tx u64, op u64, ends u8, message`, little endian; the length counts
//! what follows the checksum, which covers the same bytes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Ends, Entry};
use crate::shape::Offset;

/// Length and checksum.
const FRAME_HEAD: usize = 8;
/// Transaction, change and flag.
const ENTRY_HEAD: usize = 17;
/// All that comes before a message.
const HEAD: usize = FRAME_HEAD + ENTRY_HEAD;

/// What a frame says before its message.
struct Head {
    /// Bytes of the message.
    message: usize,
    crc: u32,
    offset: Offset,
    ends: Ends,
}

impl Head {
    /// Reads the first bytes of a frame; `None` if there are too few, or no message can follow.
    fn read(mut bytes: &[u8]) -> Option<Self> {
        if bytes.len() < HEAD {
            return None;
        }
        let (length, crc) = (bytes.get_u32_le() as usize, bytes.get_u32_le());
        let offset = Offset { tx: bytes.get_u64_le(), op: bytes.get_u64_le() };
        let ends = match bytes.get_u8() {
            0 => Ends::Nothing,
            1 => Ends::Transaction,
            _ => Ends::Batch,
        };
        Some(Self { message: length.checked_sub(ENTRY_HEAD)?, crc, offset, ends })
    }
}

/// Bytes of the frame of an entry.
pub fn frame_len(entry: &Entry) -> usize {
    HEAD + entry.json.len()
}

/// Appends the frame of an entry.
pub fn write_frame(out: &mut BytesMut, entry: &Entry) {
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
    let head = Head::read(bytes)?;
    let end = HEAD + head.message;
    if bytes.len() < end || crc32fast::hash(&bytes[FRAME_HEAD..end]) != head.crc {
        return None;
    }
    let frame = bytes.split_to(end);
    Some(Entry { offset: head.offset, ends: head.ends, json: frame.slice(HEAD..) })
}

/// Frames read whole, through a buffer that grows only for one larger than it.
pub struct Frames<'a> {
    file: &'a File,
    /// After the last frame taken.
    position: u64,
    until: u64,
    held: Bytes,
}

impl<'a> Frames<'a> {
    const BYTES: u64 = 1 << 20;

    /// The frames between two positions of a file.
    pub fn new(file: &'a File, position: u64, until: u64) -> Self {
        Self { file, position, until, held: Bytes::new() }
    }

    /// The position after the last frame taken.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next frame; `None` where there is none, or a bad one.
    pub fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut want = Self::BYTES;
        loop {
            let before = self.held.len();
            if let Some(entry) = read_frame(&mut self.held) {
                self.position += (before - self.held.len()) as u64;
                return Ok(Some(entry));
            }
            let left = self.until - self.position;
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

/// The messages of a place in a file, through a buffer that does not grow: a large one comes in pieces.
#[derive(Debug)]
pub struct Messages {
    file: File,
    /// What has not been read begins here.
    position: u64,
    until: u64,
    after: Offset,
    upto: Offset,
    /// Of the first message, bytes that are not wanted.
    begun: usize,
    held: Bytes,
    open: Option<Open>,
}

/// A message of which not all has been taken.
#[derive(Debug)]
struct Open {
    offset: Offset,
    ends: Ends,
    left: usize,
    crc: u32,
    sum: crc32fast::Hasher,
}

/// Part of a message.
#[derive(Debug)]
pub enum Piece {
    /// Bytes of [`Entry::json`], which are known to be good only when the end has come.
    Json(Bytes),
    /// The message has ended, and was good.
    End(Offset, Ends),
}

impl Messages {
    const BYTES: u64 = 64 << 10;

    /// The messages with offsets in `(after, upto]`, which are between two positions of a file; of the first, what follows
    /// `begun` bytes of its JSON.
    pub fn new(file: File, (position, until): (u64, u64), (after, upto): (Offset, Offset), begun: usize) -> Self {
        Self { file, position, until, after, upto, begun, held: Bytes::new(), open: None }
    }

    /// The offset of the last message.
    pub fn upto(&self) -> Offset {
        self.upto
    }

    /// The next piece; `None` after the last message.
    ///
    /// # Errors
    /// The file could not be read, or does not hold what was written to it.
    pub fn next(&mut self) -> io::Result<Option<Piece>> {
        loop {
            let Some(open) = &mut self.open else {
                if !self.open_next()? {
                    return Ok(None);
                }
                continue;
            };
            let is_wanted = open.offset > self.after;
            if open.left == 0 {
                let (offset, ends, good) = (open.offset, open.ends, open.sum.clone().finalize() == open.crc);
                self.open = None;
                match good {
                    false => return Err(io::ErrorKind::InvalidData.into()),
                    true if is_wanted => return Ok(Some(Piece::End(offset, ends))),
                    true => continue,
                }
            }
            if self.held.is_empty() {
                self.fill(1)?;
                continue;
            }
            let mut piece = self.held.split_to(open.left.min(self.held.len()));
            open.left -= piece.len();
            open.sum.update(&piece);
            if is_wanted {
                let unwanted = self.begun.min(piece.len());
                self.begun -= unwanted;
                piece.advance(unwanted);
                if !piece.is_empty() {
                    return Ok(Some(Piece::Json(piece)));
                }
            }
        }
    }

    /// Opens the next frame; false if there is none in the range.
    fn open_next(&mut self) -> io::Result<bool> {
        if self.held.is_empty() && self.position == self.until {
            return Ok(false);
        }
        self.fill(HEAD)?;
        let head = Head::read(&self.held).ok_or(io::ErrorKind::InvalidData)?;
        if head.offset > self.upto {
            return Ok(false);
        }
        let mut sum = crc32fast::Hasher::new();
        sum.update(&self.held[FRAME_HEAD..HEAD]);
        self.held.advance(HEAD);
        self.open = Some(Open { offset: head.offset, ends: head.ends, left: head.message, crc: head.crc, sum });
        Ok(true)
    }

    /// Has at least `least` bytes held.
    fn fill(&mut self, least: usize) -> io::Result<()> {
        if self.held.len() >= least {
            return Ok(());
        }
        let size = (self.until - self.position).min(Self::BYTES) as usize;
        if self.held.len() + size < least {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let kept = self.held.len();
        let mut buffer = vec![0; kept + size];
        buffer[..kept].copy_from_slice(&self.held);
        self.file.read_exact_at(&mut buffer[kept..], self.position)?;
        self.position += size as u64;
        self.held = buffer.into();
        Ok(())
    }
}
