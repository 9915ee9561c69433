//! A live answer as server-sent events, fed by one long-poll upstream after the other.
//!
//! The polls are shared: a reader who streams and one who polls wait for the same request. What a poll brings is sent as it
//! comes; that nothing has changed is not sent at all.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::ask::LiveAsk;
use super::failure::Failure;
use super::forward::PIECE_BYTES;
use super::frame::Splitter;
use super::live::{Outcome, Share, seen_by_streams};
use super::{Proxy, Reached};
use crate::shape::{Answer, Body, BrokenStream, Handle, Offset, Pieces, Requested, ShapeRequest};

const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");
/// What a refusal may take to be given as one; later, the stream has begun.
const REFUSAL_PATIENCE: Duration = Duration::from_millis(500);
/// Between two polls of which the first brought nobody further: an upstream that does not hold its answers back is not
/// asked as fast as it answers.
const PACE: Duration = Duration::from_secs(1);

/// The stream of what comes after an offset.
pub async fn answer(proxy: &Proxy, request: &ShapeRequest, after: Offset) -> Answer {
    let mut events = Events::begin(proxy.clone(), request.clone());
    // What has been held for longer, for others, will not be refused: then the head is sent at once.
    let refused_until = events.join().await + REFUSAL_PATIENCE;
    let first = tokio::select! {
        biased;
        first = timeout_at(refused_until, events.wait()) => first.ok(),
        () = proxy.shared.end_readers.cancelled() => None,
    };
    let is_long = matches!(first.as_deref(), Some(Outcome::Long { .. }));
    let first = match first.as_deref().map(Outcome::news).transpose() {
        Ok(news) => news.flatten(),
        Err(refusal) => return refusal,
    };
    // Clients take the head's offset over before the first event: a stream that breaks off then must not have moved them.
    let handle = first.map(|news| &news.handle).or(request.handle.as_ref());
    let Some(handle) = handle else { return Failure::Stopped.answer() };
    let up_to_date = !is_long && first.is_none_or(|news| news.no_change);
    let head = proxy.head(request, handle, after, Reached { up_to_date, no_change: false });
    head.answer(Body::Stream(Box::pin(stream::unfold(events, Events::next))))
}

/// One reader: where it is, its share of a live request, and two times.
struct Events {
    proxy: Proxy,
    /// As it would ask now.
    request: ShapeRequest,
    share: Option<Share>,
    /// When the next one may be asked for.
    not_before: Instant,
    /// What came before the stream began.
    come: Option<Arc<Outcome>>,
    /// An answer that is too long to be shared, on its way.
    long: Option<Long>,
    /// Events on their way: bytes that all share who are sent the same, handed over in pieces.
    unsent: Bytes,
    until: Instant,
    /// When something was sent last.
    spoke: Instant,
}

impl Events {
    fn begin(proxy: Proxy, request: ShapeRequest) -> Self {
        let now = Instant::now();
        let until = now + proxy.shared.rules.cache.sse_timeout;
        Self {
            proxy,
            request,
            share: None,
            not_before: now,
            come: None,
            long: None,
            unsent: Bytes::new(),
            until,
            spoke: now,
        }
    }

    /// Has a share of the live request that waits for what comes next, and says when that was begun.
    async fn join(&mut self) -> Instant {
        if self.share.is_none() {
            sleep_until(self.not_before).await;
            self.not_before = Instant::now() + PACE;
            self.share = self.proxy.join(LiveAsk::of(&self.request)).await.ok();
        }
        self.share.as_ref().map_or_else(Instant::now, |share| share.begun)
    }

    /// What comes next from upstream. May be dropped and asked again: nothing is lost.
    async fn wait(&mut self) -> Arc<Outcome> {
        if let Some(come) = &self.come {
            return Arc::clone(come);
        }
        self.join().await;
        let outcome = match &mut self.share {
            Some(share) => share.outcome().await,
            None => Arc::new(Outcome::Failed(Failure::Stopped)),
        };
        self.share = None;
        self.come = Some(Arc::clone(&outcome));
        outcome
    }

    /// The next piece of the body, and what comes after it.
    ///
    /// The branches, by priority: what has come; the server's stop; the end of the stream's time; a sign of life.
    async fn next(mut self) -> Option<(Result<Bytes, BrokenStream>, Self)> {
        loop {
            if !self.unsent.is_empty() {
                self.spoke = Instant::now();
                let piece = self.unsent.split_to(self.unsent.len().min(PIECE_BYTES));
                return Some((Ok(piece), self));
            }
            if let Some(long) = self.long.take() {
                self.go_on_with(long).await?;
                continue;
            }
            let stop = self.proxy.shared.end_readers.clone();
            let (until, quiet_until) = (self.until, self.spoke + self.proxy.shared.rules.sse_keep_alive);
            let outcome = tokio::select! {
                biased;
                outcome = self.wait() => outcome,
                () = stop.cancelled() => return None,
                () = sleep_until(until) => return None,
                () = sleep_until(quiet_until) => {
                    self.spoke = Instant::now();
                    return Some((Ok(KEEP_ALIVE), self));
                }
            };
            // A shape that has ended, or an upstream that fails, ends the stream: its reader asks again, and is told why.
            self.come = None;
            match (&*outcome, outcome.news().ok()?) {
                (_, Some(news)) => {
                    self.reach(news.end, news.handle.clone(), news.cursor);
                    if !news.no_change {
                        self.unsent = news.events();
                    }
                }
                (Outcome::Long { is_plue_sync }, None) => {
                    let answer = self.proxy.fetch(LiveAsk::of(&self.request).ask).await;
                    self.long = Some(Long::of(answer, *is_plue_sync)?);
                }
                _ => return None,
            }
        }
    }

    /// Where the next poll goes on.
    fn reach(&mut self, end: Offset, handle: Handle, cursor: Option<u64>) {
        let next = Requested::After(end);
        if self.request.offset != next {
            self.not_before = Instant::now();
        }
        self.request.offset = next;
        self.request.handle = Some(handle);
        self.request.cursor = cursor;
    }

    /// Makes events of the next piece of a long answer. `None` where it broke off: its reader asks again.
    async fn go_on_with(&mut self, mut long: Long) -> Option<()> {
        let mut out = BytesMut::new();
        let stop = self.proxy.shared.end_readers.clone();
        let piece = tokio::select! {
            biased;
            piece = long.pieces.next() => piece,
            () = stop.cancelled() => return None,
        };
        match piece {
            Some(piece) => {
                long.splitter.take(&piece.ok()?, &mut out)?;
                self.long = Some(long);
            }
            None => {
                long.splitter.finish(&mut out)?;
                self.reach(long.end, long.handle, long.cursor);
            }
        }
        self.unsent = out.freeze();
        Some(())
    }
}

/// A live answer that is made into events as its reader takes it.
struct Long {
    pieces: Pieces,
    splitter: Splitter,
    end: Offset,
    handle: Handle,
    cursor: Option<u64>,
}

impl Long {
    /// `None` for what is no such answer.
    fn of(answer: Answer, is_plue_sync: bool) -> Option<Self> {
        let Some(Requested::After(end)) = answer.header("electric-offset").and_then(Requested::parse) else {
            return None;
        };
        let handle = Handle::from(answer.header("electric-handle")?);
        let cursor = answer.header("electric-cursor").and_then(|cursor| cursor.parse().ok());
        let pieces: Pieces = match answer.body {
            Body::Pieces { pieces, .. } | Body::Stream(pieces) if answer.status == 200 => pieces,
            _ => return None,
        };
        Some(Self { pieces, splitter: Splitter::new(seen_by_streams(end, is_plue_sync)), end, handle, cursor })
    }
}
