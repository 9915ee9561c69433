//! A live answer as server-sent events: one message an event, until the time is up or the shape ends.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::log::{Framing, Read, body};
use super::read::{Position, blocking, head};
use super::shape::Shape;
use super::state::State;
use crate::shape::{Answer, Body, BrokenStream, Lsn, Offset, ShapeRequest};

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
        state: Arc::clone(state),
        shape: Arc::clone(&shape),
        after,
        until: now + state.cache.sse_timeout,
        spoke: now,
    };
    head.answer(Body::Stream(Box::pin(stream::unfold(events, |events| events.next()))))
}

/// One reader: a cursor, and two times.
struct Events {
    state: Arc<State>,
    shape: Arc<Shape>,
    after: Offset,
    until: Instant,
    /// When something was sent last.
    spoke: Instant,
}

impl Events {
    /// The next piece of the body, and what comes after it.
    async fn next(mut self) -> Option<(Result<Bytes, BrokenStream>, Self)> {
        loop {
            let changed = self.shape.log.changed();
            match self.available().await {
                Available::Bytes(bytes, end) => {
                    (self.after, self.spoke) = (end, Instant::now());
                    return Some((Ok(bytes), self));
                }
                Available::Ended => return None,
                Available::Nothing => {}
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

    async fn available(&self) -> Available {
        if let Some((bytes, end)) = self.shape.log.live_body(self.after, Framing::Events) {
            return Available::Bytes(bytes, end);
        }
        let seen = |end: Offset, at_end: bool| at_end.then_some(Lsn(end.tx + 1));
        match self.shape.log.read_after(self.after) {
            Read::Nothing | Read::Ahead | Read::Ending => Available::Nothing,
            Read::Ended => Available::Ended,
            Read::Memory { entries, end, at_end } => {
                Available::Bytes(body(&entries, Framing::Events, seen(end, at_end)), end)
            }
            Read::Mixed { place, entries, end, at_end } => {
                let path = self.state.files.log(&self.shape.handle);
                let read = blocking(move || {
                    let mut all = place.read(&path)?;
                    all.extend(entries);
                    Ok(body(&all, Framing::Events, seen(end, at_end)))
                });
                match read.await {
                    Ok(bytes) => Available::Bytes(bytes, end),
                    Err(error) => {
                        warn!(shape.handle = %self.shape.handle, %error, "the log of a shape cannot be read");
                        Available::Ended
                    }
                }
            }
        }
    }
}

enum Available {
    Bytes(Bytes, Offset),
    Nothing,
    Ended,
}
