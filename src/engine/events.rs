//! A live answer as server-sent events: one message an event, until the time is up or the shape ends.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use tokio::time::{Instant, sleep_until};

use super::body::{RangeBody, take_piece};
use super::log::{Framing, Read};
use super::read::{Position, end_if_damaged, head};
use super::shape::Shape;
use super::state::State;
use super::usage::Waiting;
use crate::shape::{Answer, Body, BrokenStream, Offset, ShapeRequest};

const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// The stream of what comes after an offset.
///
/// It does not end after what was there at its start, as the reference implementation's does: clients take
/// three short streams in a row as the sign of a buffering proxy, and stop streaming.
pub fn answer(state: &Arc<State>, request: &ShapeRequest, shape: Arc<Shape>, after: Offset) -> Answer {
    let up_to_date = matches!(shape.log.read_after(after), Read::Nothing);
    // Clients take this offset over before the first event: a stream that breaks off then must not have moved them.
    let head = head(state, request, &shape, "", Position { end: after, up_to_date, no_change: false });
    if let Some(answer) = head.not_modified() {
        return answer;
    }
    let now = Instant::now();
    let events = Events {
        _waiting: Waiting::on(&shape),
        state: Arc::clone(state),
        shape: Arc::clone(&shape),
        after,
        ready: Bytes::new(),
        large: None,
        until: now + state.cache.sse_timeout,
        spoke: now,
    };
    head.answer(Body::Stream(Box::pin(stream::unfold(events, |events| events.next()))))
}

/// One reader: a cursor, what is being sent, and two times.
struct Events {
    state: Arc<State>,
    shape: Arc<Shape>,
    _waiting: Waiting,
    /// Entries up to this one have been sent, or are being sent.
    after: Offset,
    /// What has been made and not been sent: bytes that others share, or a step of `large`.
    ready: Bytes,
    /// More than is made at once.
    large: Option<RangeBody>,
    until: Instant,
    /// When something was sent last.
    spoke: Instant,
}

impl Events {
    /// The next piece of the body, and what comes after it.
    async fn next(mut self) -> Option<(Result<Bytes, BrokenStream>, Self)> {
        loop {
            let changed = self.shape.log.changed();
            if let Err(error) = self.get_ready().await {
                end_if_damaged(&self.state, &self.shape, &error).await;
                return Some((Err(BrokenStream), self));
            }
            if let Some(piece) = take_piece(&mut self.ready) {
                self.spoke = Instant::now();
                return Some((Ok(piece), self));
            }
            if matches!(self.shape.log.read_after(self.after), Read::Ended) {
                return None;
            }
            let quiet_until = self.spoke + self.state.sse_keep_alive;
            tokio::select! {
                biased;
                () = changed => {}
                () = self.state.end_readers.cancelled() => return None,
                () = sleep_until(self.until) => return None,
                () = sleep_until(quiet_until) => {
                    self.spoke = Instant::now();
                    return Some((Ok(KEEP_ALIVE), self));
                }
            }
        }
    }

    /// Has something ready, if there is something.
    async fn get_ready(&mut self) -> io::Result<()> {
        while self.ready.is_empty() {
            if let Some(large) = &mut self.large {
                match large.next().await? {
                    Some(step) => self.ready = step,
                    // Another chunk of the log may follow at once.
                    None => self.large = None,
                }
            } else if !self.begin() {
                break;
            }
        }
        Ok(())
    }

    /// Begins with what the log has after the last batch; false if it has nothing.
    fn begin(&mut self) -> bool {
        if let Some((bytes, end)) = self.shape.log.live_body(self.after, Framing::Events) {
            (self.ready, self.after) = (bytes, end);
            return true;
        }
        let Read::Entries { end, at_end } = self.shape.log.read_after(self.after) else { return false };
        let position = at_end.then(|| Framing::Events.end_position(end));
        let range = (self.after, end);
        self.large = Some(RangeBody::new(&self.state, &self.shape, range, Framing::Events, position));
        self.after = end;
        true
    }
}
