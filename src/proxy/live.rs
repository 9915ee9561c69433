//! Live requests to the upstream, each for all readers who wait for the same.
//!
//! ```text
//! reader ─┐                                      ┌─► poll: the body as it came
//! reader ─┼─► entry (definition, handle, offset) ┼─► poll
//! reader ─┘     └── one long-poll upstream       └─► stream: the same messages as events
//! ```
//!
//! A reader holds the receiving end of a channel, and leaves by dropping it. When nobody holds one, the request is dropped, and
//! with it its connection; where readers come back within a moment, after that moment.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::answer::Head;
use super::ask::{Ask, LiveAsk};
use super::failure::Failure;
use super::frame;
use super::upstream::{Incoming, Upstream};
use crate::shape::{Answer, Body, Handle, Lsn, Offset, Requested};

/// A live answer up to this is read whole and shared. Each reader of a longer one has it fetched for itself, as it takes it: a
/// reader that stalls must not hold a chunk of the log.
const SHARED_BYTES: usize = 1 << 20;

/// What a live request came to; the same for all who waited.
#[derive(Debug)]
pub enum Outcome {
    News(News),
    /// More than is shared.
    Long {
        is_plue_sync: bool,
    },
    /// 400, 409, 429 or 503, which readers know what to do with.
    Refused(Head, Bytes),
    Failed(Failure),
}

/// An answer of the log.
#[derive(Debug)]
pub struct News {
    /// 200, or 204 where a service answers so when nothing has changed.
    pub status: u16,
    pub handle: Handle,
    /// Where readers go on.
    pub end: Offset,
    /// What to send as `cursor` next.
    pub cursor: Option<u64>,
    pub cache_control: Option<String>,
    pub up_to_date: bool,
    /// The hold was over, and nothing had changed.
    pub no_change: bool,
    pub body: Bytes,
    messages: Vec<Bytes>,
    /// What the last message of a stream says instead of its own position.
    seen: Option<Lsn>,
    events: OnceLock<Bytes>,
}

impl News {
    /// The messages as events, made once for all who stream.
    pub fn events(&self) -> Bytes {
        self.events.get_or_init(|| frame::events(&self.messages, self.seen)).clone()
    }
}

impl Outcome {
    /// The news; `None` if they are too long to be shared.
    ///
    /// # Errors
    /// The answer to readers, if there are none.
    pub fn news(&self) -> Result<Option<&News>, Answer> {
        match self {
            Self::News(news) => Ok(Some(news)),
            Self::Long { .. } => Ok(None),
            Self::Refused(head, body) => {
                let (status, headers) = (head.status, head.headers.clone());
                Err(Answer { status, headers, body: Body::Full(body.clone()) })
            }
            Self::Failed(failure) => Err(failure.answer()),
        }
    }
}

/// A reader's share of a live request.
pub struct Share {
    outcome: watch::Receiver<Option<Arc<Outcome>>>,
    /// When the request was begun, by whomever.
    pub begun: Instant,
}

impl Share {
    /// What the request comes to. May be dropped and asked again.
    pub async fn outcome(&mut self) -> Arc<Outcome> {
        let come = self.outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        come.unwrap_or_else(|| Arc::new(Outcome::Failed(Failure::Stopped)))
    }
}

/// All live requests that are held.
#[derive(Clone, Default)]
pub struct LiveRequests(Rc<RefCell<HashMap<String, Rc<Entry>>>>);

struct Entry {
    begun: Instant,
    outcome: watch::Sender<Option<Arc<Outcome>>>,
    /// Readers so far.
    joined: Cell<u64>,
    lingers: Cell<bool>,
}

impl LiveRequests {
    /// A share of the request that waits for this; the first one begins it.
    pub fn join(&self, live: LiveAsk, upstream: &Rc<Upstream>, linger: Duration) -> Share {
        let known = self.0.borrow().get(&live.key).map(Rc::clone);
        let entry = known.unwrap_or_else(|| {
            let entry = Rc::new(Entry {
                begun: Instant::now(),
                outcome: watch::channel(None).0,
                joined: Cell::new(0),
                lingers: Cell::new(false),
            });
            self.0.borrow_mut().insert(live.key.clone(), Rc::clone(&entry));
            let open = Open { requests: self.clone(), key: live.key, entry: Rc::clone(&entry) };
            actix_rt::spawn(hold(open, live.ask, Rc::clone(upstream), linger));
            entry
        });
        entry.joined.set(entry.joined.get() + 1);
        entry.lingers.set(entry.lingers.get() || live.lingers);
        // The task begins later: it always finds the first reader.
        Share { outcome: entry.outcome.subscribe(), begun: entry.begun }
    }
}

/// An entry that can be found, until this is dropped, whatever ends its task.
struct Open {
    requests: LiveRequests,
    key: String,
    entry: Rc<Entry>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.requests.0.borrow_mut().remove(&self.key);
    }
}

/// Holds one request until it is answered, or nobody waits for it any more.
async fn hold(open: Open, ask: Ask, upstream: Rc<Upstream>, linger: Duration) {
    let entry = Rc::clone(&open.entry);
    let outcome = tokio::select! {
        biased;
        outcome = outcome_of(&upstream, &ask) => outcome,
        () = deserted(&entry, linger) => return,
    };
    // Nobody may join what is over.
    drop(open);
    entry.outcome.send_replace(Some(Arc::new(outcome)));
}

/// Completes when the last reader has gone, and for `linger` none has come.
async fn deserted(entry: &Entry, linger: Duration) {
    loop {
        entry.outcome.closed().await;
        if !entry.lingers.get() {
            return;
        }
        let joined = entry.joined.get();
        sleep(linger).await;
        if entry.outcome.receiver_count() == 0 && entry.joined.get() == joined {
            return;
        }
    }
}

async fn outcome_of(upstream: &Upstream, ask: &Ask) -> Outcome {
    let mut incoming = match upstream.exchange(ask).await {
        Ok(incoming) => incoming,
        Err(failure) => return Outcome::Failed(failure),
    };
    let is_refusal = incoming.head.status >= 400;
    let read = match incoming.whole(SHARED_BYTES).await {
        Err(_) => Err(Failure::Wrong("its answers break off")),
        Ok(None) if is_refusal => Err(Failure::Wrong("its refusals have no end")),
        Ok(None) => return Outcome::Long { is_plue_sync: incoming.is_plue_sync },
        Ok(Some(body)) if is_refusal => return Outcome::Refused(incoming.head, body),
        Ok(Some(body)) => news(&incoming, body),
    };
    read.map_or_else(
        |failure| {
            upstream.tell(failure);
            Outcome::Failed(failure)
        },
        Outcome::News,
    )
}

fn news(incoming: &Incoming, body: Bytes) -> Result<News, Failure> {
    let head = &incoming.head;
    let messages = frame::messages(&body).ok_or(Failure::Wrong("its live answers are no JSON arrays"))?;
    let end = match head.get("electric-offset").and_then(Requested::parse) {
        Some(Requested::After(end)) => end,
        _ => return Err(Failure::Wrong("its live answers have no offset")),
    };
    let seen = seen_by_streams(end, incoming.is_plue_sync);
    // Services before Electric 1.4.8 do not say so in a header.
    let nothing_new = messages.iter().all(|message| frame::is_up_to_date(message));
    Ok(News {
        status: head.status,
        handle: Handle::from(head.get("electric-handle").unwrap_or_default()),
        end,
        cursor: head.get("electric-cursor").and_then(|cursor| cursor.parse().ok()),
        cache_control: head.get("cache-control").map(str::to_owned),
        up_to_date: head.get("electric-up-to-date").is_some(),
        no_change: nothing_new || head.get("electric-has-data") == Some("false"),
        body,
        messages,
        seen,
        events: OnceLock::new(),
    })
}

/// The position that the last message of a stream names, if it is another than the upstream's.
///
/// Whoever follows events goes on from `<position>_0`. One past the transaction, none of its changes comes twice; but only
/// our own engine takes such a position.
pub fn seen_by_streams(end: Offset, is_plue_sync: bool) -> Option<Lsn> {
    let is_in_log = end.tx > 0 && end.op != u64::MAX;
    (is_plue_sync && is_in_log).then(|| Lsn(end.tx.saturating_add(1)))
}

#[cfg(test)]
mod tests;
