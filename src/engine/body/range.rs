//! A range of a shape's log, laid out as its reader takes it.
//!
//! Between two steps it keeps an offset and no entries: what the log forgets meanwhile is in its file, and what the file
//! has is read from there. A log that ends takes its file along: then the body cannot be finished.

use std::io;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{StreamExt, stream};

use super::{STEP_BYTES, blocking, in_pieces};
use crate::engine::log::{Ends, Entry, Framing, Layout, Messages, Part, Piece};
use crate::engine::read::end_if_damaged;
use crate::engine::shape::Shape;
use crate::engine::state::State;
use crate::shape::{Body, BrokenStream, Lsn, Offset};

#[cfg(test)]
mod tests;

/// The entries in `(after, end]` as a body.
#[derive(Debug)]
pub struct RangeBody {
    state: Arc<State>,
    shape: Arc<Shape>,
    cursor: Cursor,
    end: Offset,
    /// What the closing up-to-date message names, if there is to be one.
    position: Option<Lsn>,
    /// The part of the file that is being read.
    file: Option<Messages>,
    is_finished: bool,
}

/// How far a body has been laid out.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    layout: Layout,
    /// Entries up to this one have been laid out,
    after: Offset,
    /// and this much of the JSON of the one that follows it.
    begun: usize,
}

impl RangeBody {
    /// The entries after `after` up to `end`, both as [`crate::engine::log::Log::read_after`] knows them, closed by an up-to-date
    /// message if `position` is given.
    pub fn new(
        state: &Arc<State>,
        shape: &Arc<Shape>,
        (after, end): (Offset, Offset),
        framing: Framing,
        position: Option<Lsn>,
    ) -> Self {
        let cursor = Cursor { layout: Layout::new(framing), after, begun: 0 };
        let (state, shape) = (Arc::clone(state), Arc::clone(shape));
        Self { state, shape, cursor, end, position, file: None, is_finished: false }
    }

    /// The body of an answer: whole if it is small, and else as a stream whose first step has been made.
    ///
    /// # Errors
    /// The log has ended, or its file cannot be read.
    pub async fn into_body(mut self) -> io::Result<Body> {
        let first = self.next().await?.unwrap_or_default();
        if self.is_finished {
            return Ok(Body::Full(first));
        }
        let rest = stream::unfold(self, |mut body| async {
            let step = match body.next().await {
                Ok(step) => Ok(step?),
                Err(error) => {
                    end_if_damaged(&body.state, &body.shape, &error).await;
                    Err(BrokenStream)
                }
            };
            Some((step, body))
        });
        Ok(Body::Stream(in_pieces(stream::iter([Ok(first)]).chain(rest))))
    }

    /// The next bytes: [`STEP_BYTES`] or a little more, fewer only at the end; `None` after it.
    ///
    /// # Errors
    /// The log has ended, or its file cannot be read.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let mut out = BytesMut::new();
        while out.len() < STEP_BYTES && !self.is_finished {
            if let Some(messages) = self.file.take() {
                out = self.lay_out_file(messages, out).await?;
            } else if self.cursor.after >= self.end {
                self.cursor.layout.finish(self.position, &mut out);
                self.is_finished = true;
            } else {
                self.lay_out_part(&mut out).await?;
            }
        }
        Ok((!out.is_empty()).then(|| out.freeze()))
    }

    async fn lay_out_part(&mut self, out: &mut BytesMut) -> io::Result<()> {
        match self.shape.log.part(self.cursor.after, self.end, STEP_BYTES - out.len()) {
            Part::Memory(entries) if entries.is_empty() => Err(io::ErrorKind::InvalidData.into()),
            Part::Memory(entries) => {
                self.cursor.lay_out(&entries, out);
                Ok(())
            }
            Part::File(place) => {
                // Of an entry that the log has forgotten meanwhile, the reader has some already.
                let (path, begun) = (self.state.files.log(&self.shape.handle), self.cursor.begun);
                self.file = Some(blocking(move || place.open(&path, begun)).await?);
                Ok(())
            }
            Part::Ended => Err(io::ErrorKind::NotFound.into()),
        }
    }

    async fn lay_out_file(&mut self, mut messages: Messages, mut out: BytesMut) -> io::Result<BytesMut> {
        let mut cursor = self.cursor;
        let read = blocking(move || {
            let is_over = cursor.lay_out_messages(&mut messages, &mut out)?;
            Ok((cursor, out, (!is_over).then_some(messages)))
        });
        let (cursor, out, messages) = read.await?;
        (self.cursor, self.file) = (cursor, messages);
        Ok(out)
    }
}

impl Cursor {
    /// Lays out entries until a step is full.
    fn lay_out(&mut self, entries: &[Entry], out: &mut BytesMut) {
        let size: usize = entries.iter().map(|entry| entry.len() + 8).sum();
        // Some more for what ends the body.
        out.reserve(size.min(STEP_BYTES) + 128);
        for entry in entries {
            let room = STEP_BYTES.saturating_sub(out.len());
            if room == 0 {
                return;
            }
            let left = &entry.json[self.begun..];
            self.json(&left[..left.len().min(room)], out);
            if left.len() > room {
                return;
            }
            self.end(entry.offset, entry.ends, out);
        }
    }

    /// Lays out messages until a step is full; true when there are no more.
    fn lay_out_messages(&mut self, messages: &mut Messages, out: &mut BytesMut) -> io::Result<bool> {
        while out.len() < STEP_BYTES {
            match messages.next()? {
                Some(Piece::Json(json)) => self.json(&json, out),
                Some(Piece::End(offset, ends)) => self.end(offset, ends, out),
                None => {
                    // The last entry that the place has. What follows is in the tail, or has come to the file since.
                    self.after = messages.upto();
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn json(&mut self, json: &[u8], out: &mut BytesMut) {
        if self.begun == 0 {
            self.layout.begin(out);
        }
        out.put_slice(json);
        self.begun += json.len();
    }

    fn end(&mut self, offset: Offset, ends: Ends, out: &mut BytesMut) {
        out.put_slice(ends.closing());
        self.layout.end(out);
        (self.after, self.begun) = (offset, 0);
    }
}
