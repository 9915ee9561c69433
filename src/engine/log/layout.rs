//! How messages become a body.

use bytes::{BufMut, Bytes, BytesMut};

use super::Entry;
use crate::shape::control::up_to_date;
use crate::shape::{Lsn, Offset};

/// How messages are laid out in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// One JSON array.
    Json,
    /// Server-sent events, one a message.
    Events,
}

/// Writes what is around messages, one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    framing: Framing,
    has_message: bool,
}

impl Framing {
    /// The position that the closing up-to-date message of a live answer names.
    ///
    /// A client that follows events builds its next offset as `<position>_0`. One past the commit makes
    /// that come after every change of the transaction, so that none is sent twice, and before the next
    /// transaction: records of the write-ahead log are longer than a byte.
    pub fn end_position(self, end: Offset) -> Lsn {
        match self {
            Self::Json => Lsn(end.tx),
            Self::Events => Lsn(end.tx + 1),
        }
    }
}

impl Layout {
    /// A body without messages so far.
    pub fn new(framing: Framing) -> Self {
        Self { framing, has_message: false }
    }

    /// Begins a message: its bytes are to follow.
    pub fn begin(&mut self, out: &mut BytesMut) {
        match self.framing {
            Framing::Json => out.put_u8(if self.has_message { b',' } else { b'[' }),
            Framing::Events => out.put_slice(b"data: "),
        }
        self.has_message = true;
    }

    /// Ends a message.
    pub fn end(&self, out: &mut BytesMut) {
        if self.framing == Framing::Events {
            out.put_slice(b"\n\n");
        }
    }

    /// Ends the body, with an up-to-date message if `position` is given.
    pub fn finish(&mut self, position: Option<Lsn>, out: &mut BytesMut) {
        if let Some(position) = position {
            self.begin(out);
            out.put_slice(&up_to_date(position));
            self.end(out);
        }
        if self.framing == Framing::Json {
            out.put_slice(if self.has_message { b"]" } else { b"[]" });
        }
    }
}

/// Lays out messages as a body, closed by an up-to-date message if `position` is given.
pub fn body(entries: &[Entry], framing: Framing, position: Option<Lsn>) -> Bytes {
    let size = entries.iter().map(|entry| entry.len() + 8).sum::<usize>() + 96;
    let mut out = BytesMut::with_capacity(size);
    let mut layout = Layout::new(framing);
    for entry in entries {
        layout.begin(&mut out);
        entry.write(&mut out);
        layout.end(&mut out);
    }
    layout.finish(position, &mut out);
    out.freeze()
}
