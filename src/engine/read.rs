//! Reads a shape for a request: a chunk of its snapshot, what its log has after an offset, or what comes next.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::answer::no_snapshot;
use super::body::{FileBody, RangeBody, in_pieces};
use super::events;
use super::log::{Framing, Read};
use super::schema::schema_header;
use super::shape::Shape;
use super::snapshot::{Chunk, Failure};
use super::state::State;
use super::usage::Waiting;
use crate::shape::control::nothing_new;
use crate::shape::{Answer, Body, BrokenStream, Invalid, Live, LogHead, Lsn, Offset, Requested, ShapeRequest};

/// How often an offset past the log's end is compared with the stream's progress.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// `retry-after` while the stream is on its way to what a reader has seen already.
const CATCHING_UP: Duration = Duration::from_secs(1);

/// Answers a request whose shape has been found.
pub async fn answer(state: &Arc<State>, request: &ShapeRequest, shape: Arc<Shape>) -> Answer {
    let after = match request.offset {
        Requested::After(offset) => offset,
        Requested::Start => return start(state, request, &shape).await,
        Requested::Now => return now(state, request, &shape).await,
    };
    if after.is_in_snapshot() && after != Offset::SNAPSHOT_END {
        match unless_stopping(state, shape.snapshot.chunk(after.op + 1)).await {
            Ok(Chunk::Bytes { start, end }) => {
                return chunk(state, request, &shape, Offset::chunk(after.op + 1), start, end).await;
            }
            Ok(Chunk::Beyond) => {}
            Err(failure) => return no_snapshot(failure),
        }
    } else if let Err(failure) = unless_stopping(state, shape.snapshot.whole()).await {
        return no_snapshot(failure);
    }
    match settle(state, &shape, after).await {
        Ok(()) if request.live == Live::Sse => events::answer(state, request, shape, after),
        Ok(()) => log(state, request, &shape, after).await,
        Err(refusal) => refusal,
    }
}

/// Waits for a part of a snapshot, but not into the stop of the server.
pub async fn unless_stopping<T>(state: &State, part: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::select! {
        biased;
        part = part => part,
        () = state.end_readers.cancelled() => Err(Failure::Retry("The server is stopping".into())),
    }
}

/// `offset=-1`.
async fn start(state: &Arc<State>, request: &ShapeRequest, shape: &Arc<Shape>) -> Answer {
    match unless_stopping(state, shape.snapshot.chunk(0)).await {
        Ok(Chunk::Bytes { start, end }) => chunk(state, request, shape, Offset::chunk(0), start, end).await,
        Ok(Chunk::Beyond) => Answer::server_error("Unable to retrieve shape log: the snapshot is empty"),
        Err(failure) => no_snapshot(failure),
    }
}

/// `offset=now`: where the log ends, and none of it.
async fn now(state: &Arc<State>, request: &ShapeRequest, shape: &Arc<Shape>) -> Answer {
    if let Err(failure) = unless_stopping(state, shape.snapshot.whole()).await {
        return no_snapshot(failure);
    }
    loop {
        let (processed, changed) = (shape.held.limit(state.processed()), shape.log.changed());
        let end = shape.log.last();
        match shape.log.read_after(end) {
            Read::Ended => return ended(state, shape),
            Read::Ending => changed.await,
            _ => {
                let schema = schema(request, shape);
                let position = Position { end, up_to_date: true, no_change: true };
                return head(state, request, shape, &schema, position).answer(Body::Full(nothing_new(processed)));
            }
        }
    }
}

/// One chunk of the snapshot.
async fn chunk(
    state: &Arc<State>,
    request: &ShapeRequest,
    shape: &Arc<Shape>,
    at: Offset,
    start: u64,
    end: u64,
) -> Answer {
    let schema = schema(request, shape);
    let head = head(state, request, shape, &schema, Position { end: at, up_to_date: false, no_change: false });
    if let Some(answer) = head.not_modified() {
        return answer;
    }
    match chunk_body(state, shape, start, end).await {
        Ok(body) => head.answer(body),
        Err(error) => unreadable(state, shape, &error).await,
    }
}

/// The messages of a chunk as a list. An error is known before the head is sent if the chunk's beginning shows it.
async fn chunk_body(state: &Arc<State>, shape: &Arc<Shape>, start: u64, end: u64) -> io::Result<Body> {
    let (open, close) = (Bytes::from_static(b"["), Bytes::from_static(b"]"));
    let (first, file) = FileBody::open(state.files.snapshot(&shape.handle), start..end, close.clone()).await?;
    if first.len() as u64 == end - start {
        return Ok(Body::Full([open, first, close].concat().into()));
    }
    let (state, shape) = (Arc::clone(state), Arc::clone(shape));
    let rest = stream::unfold((state, shape, file), |(state, shape, mut file)| async {
        let step = match file.next().await {
            Ok(step) => Ok(step?),
            Err(error) => {
                end_if_damaged(&state, &shape, &error).await;
                Err(BrokenStream)
            }
        };
        Some((step, (state, shape, file)))
    });
    let pieces = in_pieces(stream::iter([Ok(open), Ok(first)]).chain(rest));
    Ok(Body::Pieces { length: end - start + 2, pieces })
}

/// What the log has after an offset; a long-poll waits for it.
async fn log(state: &Arc<State>, request: &ShapeRequest, shape: &Arc<Shape>, after: Offset) -> Answer {
    let deadline = Instant::now() + state.cache.long_poll_timeout;
    let _waiting = (request.live == Live::Poll).then(|| Waiting::on(shape));
    let mut first = true;
    loop {
        // Read before the log, so that "up to date" never claims more than the answer holds.
        let processed = shape.held.limit(state.processed());
        let changed = shape.log.changed();
        if let Some(answer) = log_now(state, request, shape, after, processed, first).await {
            return answer;
        }
        first = false;
        if matches!(shape.log.read_after(after), Read::Ending) {
            changed.await;
            continue;
        }
        let timed_out = tokio::select! {
            biased;
            () = changed => false,
            () = state.end_readers.cancelled() => true,
            () = sleep_until(deadline) => true,
        };
        let processed = shape.held.limit(state.processed());
        // A change may have come with the deadline: then it is the answer.
        if timed_out && matches!(shape.log.read_after(after), Read::Nothing | Read::Ahead) {
            let position = Position { end: resting(shape, after), up_to_date: true, no_change: true };
            return head(state, request, shape, "", position).answer(Body::Full(nothing_new(processed)));
        }
    }
}

/// The answer that can be given at once; `None` where a long-poll has to wait.
async fn log_now(
    state: &Arc<State>,
    request: &ShapeRequest,
    shape: &Arc<Shape>,
    after: Offset,
    processed: Lsn,
    first: bool,
) -> Option<Answer> {
    let live = request.live == Live::Poll;
    let schema = schema(request, shape);
    let head_at = |end: Offset, up_to_date: bool| {
        head(state, request, shape, &schema, Position { end, up_to_date, no_change: false })
    };
    // A reader that has waited gets what it waited for.
    let known = |head: LogHead<'_>| if first { head.not_modified() } else { None };
    // A move that is being read concerns this shape too: nothing after it has begun may be called complete.
    let held = shape.held.limit_of_reads(Lsn(u64::MAX));
    if live
        && held == Lsn(u64::MAX)
        && let Some((bytes, end)) = shape.log.live_body(after, Framing::Json)
    {
        let head = head_at(end, true);
        return Some(known(head).unwrap_or_else(|| head.answer(Body::Full(bytes))));
    }
    match shape.log.read_after(after) {
        Read::Ended => Some(ended(state, shape)),
        Read::Ending => None,
        Read::Nothing | Read::Ahead => {
            let head = head_at(resting(shape, after), true);
            match known(head) {
                None if live => None,
                known => Some(known.unwrap_or_else(|| head.answer(Body::Full(nothing_new(processed))))),
            }
        }
        Read::Entries { end, at_end } => {
            let head = head_at(end, at_end);
            if let Some(answer) = known(head) {
                return Some(answer);
            }
            let position = if live { Lsn(end.tx) } else { Lsn(end.tx).max(processed) };
            let seen = at_end.then(|| shape.held.limit_of_reads(position.min(held)));
            let body = RangeBody::new(state, shape, (after, end), Framing::Json, seen).into_body();
            Some(match body.await {
                Ok(body) => head.answer(body),
                Err(error) => unreadable(state, shape, &error).await,
            })
        }
    }
}

/// Waits while the offset is past everything the log can have; then it is refused.
///
/// A position up to which the stream has been followed is not past the end, even if this shape has nothing
/// there: followers of events build such offsets.
///
/// Source: protocol, 6.8; after a crash a reader may have seen what is only now being sent again.
async fn settle(state: &State, shape: &Shape, after: Offset) -> Result<(), Answer> {
    let deadline = Instant::now() + state.cache.long_poll_timeout / 2;
    loop {
        let processed = state.processed();
        if shape.log.has_ended() {
            return Err(ended(state, shape));
        }
        // Followers of events go on from one past the last entry, whose position may itself be past the last commit.
        let known = shape.log.last().tx.saturating_add(1).max(processed.0);
        if after.is_in_snapshot() || after.tx <= known {
            return Ok(());
        }
        let now = Instant::now();
        if now >= deadline || state.end_readers.is_cancelled() {
            break;
        }
        sleep_until(deadline.min(now + LOOK_AGAIN)).await;
    }
    if state.is_replaying() || state.end_readers.is_cancelled() {
        let message =
            "The server is catching up with Postgres and has not reached this offset again. Please try again.";
        return Err(Answer::unavailable(message, CATCHING_UP, false));
    }
    Err(Answer::invalid(&Invalid::one("offset", "out of bounds for this shape")))
}

/// The shape is no more; the answer names the one that has taken its place, if there is one.
pub fn ended(state: &State, shape: &Shape) -> Answer {
    let next = state.catalog().and_then(|catalog| catalog.find(&shape.definition));
    Answer::must_refetch(next.as_ref().map(|next| &next.handle))
}

/// Where a reader goes on that has everything: never before where it is.
fn resting(shape: &Shape, after: Offset) -> Offset {
    shape.log.last().max(after)
}

/// Where an answer ends.
pub struct Position {
    pub end: Offset,
    pub up_to_date: bool,
    pub no_change: bool,
}

/// The head of an answer.
pub fn head<'a>(
    state: &'a State,
    request: &'a ShapeRequest,
    shape: &'a Shape,
    schema: &'a str,
    position: Position,
) -> LogHead<'a> {
    let Position { end, up_to_date, no_change } = position;
    let (handle, cache, now) = (&shape.handle, &state.cache, SystemTime::now());
    LogHead { request, handle, end, schema, up_to_date, no_change, cache, now }
}

/// The schema header; only answers that are not live have one.
pub fn schema(request: &ShapeRequest, shape: &Shape) -> String {
    if request.live != Live::No {
        return String::new();
    }
    let table = shape.table_now();
    // A table that has lost a column has ended the shape, or is about to.
    let columns = shape.definition.selection.positions(&table);
    columns.map(|columns| schema_header(&table, &columns)).unwrap_or_else(|| "{}".to_owned())
}

/// A file of a shape cannot be read. What is missing or damaged ends the shape; another error may pass.
async fn unreadable(state: &State, shape: &Arc<Shape>, error: &io::Error) -> Answer {
    if shape.log.has_ended() {
        return ended(state, shape);
    }
    if end_if_damaged(state, shape, error).await {
        return Answer::must_refetch(None);
    }
    Answer::unavailable("The shape cannot be read just now. Please try again.", CATCHING_UP, false)
}

/// Ends a shape whose files are missing or damaged: whoever read on would find the same again. True if it has ended.
pub async fn end_if_damaged(state: &State, shape: &Arc<Shape>, error: &io::Error) -> bool {
    if shape.log.has_ended() {
        return true;
    }
    warn!(shape.handle = %shape.handle, %error, "files of shape {} cannot be read", shape.handle);
    let is_damaged =
        matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData);
    if is_damaged {
        state.collector.end(Arc::clone(shape)).await;
    }
    is_damaged
}
