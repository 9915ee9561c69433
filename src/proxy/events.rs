//! A live answer as server-sent events, fed by one long-poll upstream after the other.
//!
//! The polls are shared: a reader who streams and one who polls wait for the same request. What a poll brings is sent as it
//! comes; that nothing has changed is not sent at all.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::ask::LiveAsk;
use super::failure::Failure;
use super::forward::PIECE_BYTES;
use super::live::{Outcome, Share};
use super::{Proxy, Reached};
use crate::shape::{Answer, Body, BrokenStream, Offset, Requested, ShapeRequest};

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
    let first = match first.as_deref().map(Outcome::news).transpose() {
        Ok(news) => news,
        Err(refusal) => return refusal,
    };
    // Clients take the head's offset over before the first event: a stream that breaks off then must not have moved them.
    let handle = first.map(|news| &news.handle).or(request.handle.as_ref());
    let Some(handle) = handle else { return Failure::Stopped.answer() };
    let up_to_date = first.is_none_or(|news| news.no_change);
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
        Self { proxy, request, share: None, not_before: now, come: None, unsent: Bytes::new(), until, spoke: now }
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
            let Ok(news) = outcome.news() else { return None };
            self.come = None;
            let next = Requested::After(news.end);
            if self.request.offset != next {
                self.not_before = Instant::now();
            }
            self.request.offset = next;
            self.request.handle = Some(news.handle.clone());
            self.request.cursor = news.cursor;
            if !news.no_change {
                self.unsent = news.events();
            }
        }
    }
}
