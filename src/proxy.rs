//! Shapes from an upstream service instead of an engine in this process.
//!
//! ```text
//! handler ──► Proxy ──[message]──► Client (actor, on a thread of its own) ──► upstream
//!                │                    ├─ not live: its body goes back through a channel of two pieces
//!                │                    └─ live: one long-poll for all who wait for the same
//!                └─ events: one long-poll after the other, as a stream
//! ```
//!
//! The HTTP client cannot change threads, so an actor owns it, and handlers get bytes through channels. A reader leaves by
//! dropping its end of a channel; whatever was done for it alone ends then, and its connection is closed. What is forwarded is
//! printed anew from the request as it was understood: nothing that a client sends reaches the upstream unread.

mod answer;
mod ask;
mod breaker;
mod connection;
mod events;
mod failure;
mod forward;
mod frame;
mod health;
mod live;
mod places;
mod upstream;
mod url;

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix::{Actor, Addr, Arbiter, Context, Handler, Message, MessageResult};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::admission::{Admissions, Permit};
use crate::config::{EngineConfig, UpstreamConfig};
use crate::shape::{
    Admission, Answer, Body, CachePolicy, Handle, Health, Live, LogHead, Offset, Requested, ShapeRequest,
};
use ask::{Ask, LiveAsk};
use failure::Failure;
use live::{LiveRequests, News, Share};
use upstream::Upstream;

pub use url::{InvalidUpstream, UpstreamUrl};

/// Handling a message only begins something, so the mailbox is empty but for what arrives in the same instant.
const MAILBOX: usize = 1024;

/// The proxy, for those who ask it. Clones are the same proxy.
#[derive(Clone)]
pub struct Proxy {
    shared: Arc<Shared>,
}

struct Shared {
    client: Addr<Client>,
    admissions: Arc<Admissions>,
    health: watch::Receiver<Health>,
    rules: Rules,
    end_readers: CancellationToken,
}

/// What readers of events and of polls can rely on here as they can with the engine.
struct Rules {
    cache: CachePolicy,
    sse_keep_alive: Duration,
}

/// Ends a proxy.
pub struct Running {
    arbiter: Arbiter,
    end_readers: CancellationToken,
    /// Completes with an error when the actor is gone.
    ended: oneshot::Receiver<()>,
}

/// What an answer says of its end, besides where it is.
struct Reached {
    up_to_date: bool,
    no_change: bool,
}

impl Proxy {
    /// Starts the actor on a thread of its own. To be called inside an actix system.
    ///
    /// Of the engine's settings, those count that readers notice: limits, times and cache rules. A live request of a session that
    /// nobody waits for any more is kept for `session_linger`.
    pub fn start(
        url: UpstreamUrl,
        upstream: &UpstreamConfig,
        engine: &EngineConfig,
        session_linger: Duration,
    ) -> (Self, Running) {
        let arbiter = Arbiter::new();
        let (told, health) = watch::channel(Health::Starting);
        let (alive, ended) = oneshot::channel();
        let config = upstream.clone();
        let client = Client::start_in_arbiter(&arbiter.handle(), move |_| Client {
            upstream: Rc::new(Upstream::new(url, config)),
            live: LiveRequests::default(),
            session_linger,
            health: Some(told),
            _alive: alive,
        });
        let end_readers = CancellationToken::new();
        let shared = Shared {
            client,
            admissions: Admissions::new(engine.max_initial_requests, engine.max_existing_requests),
            health,
            rules: Rules { cache: engine.cache_policy(), sse_keep_alive: engine.sse_keep_alive },
            end_readers: end_readers.clone(),
        };
        (Self { shared: Arc::new(shared) }, Running { arbiter, end_readers, ended })
    }

    /// A place among the requests that are answered. One with a handle is taken for one of a shape that is there.
    ///
    /// # Errors
    /// The answer to a request that is one too many.
    pub fn admit(&self, handle: Option<&Handle>) -> Result<Permit, Answer> {
        self.shared.admissions.admit(if handle.is_some() { Admission::Existing } else { Admission::Initial })
    }

    /// The answer to a shape request; of a live one, once there is something to say.
    pub async fn answer(&self, request: &ShapeRequest, permit: &mut Permit) -> Answer {
        let answer = match (request.live, request.offset) {
            (Live::Poll, Requested::After(_)) if request.subset.is_none() => self.poll(request).await,
            // Boxed, both: a held long-poll would keep room for them.
            (Live::Sse, Requested::After(after)) => Box::pin(events::answer(self, request, after)).await,
            _ => Box::pin(self.fetch(Ask::of(request))).await,
        };
        // Until its head was here, the upstream may have been making the shape.
        match permit.exchange() {
            Ok(()) => answer,
            Err(refusal) => refusal,
        }
    }

    /// What the upstream's health route said last.
    pub fn health(&self) -> Health {
        *self.shared.health.borrow()
    }

    /// Passes an answer on as it comes.
    async fn fetch(&self, ask: Ask) -> Answer {
        let (sender, answer) = oneshot::channel();
        let sent = self.shared.client.send(Fetch { ask, answer: sender }).await;
        match sent {
            Ok(()) => answer.await.unwrap_or_else(|_| Failure::Stopped.answer()),
            Err(_) => Failure::Stopped.answer(),
        }
    }

    async fn poll(&self, request: &ShapeRequest) -> Answer {
        let mut share = match self.join(LiveAsk::of(request)).await {
            Ok(share) => share,
            Err(failure) => return failure.answer(),
        };
        let outcome = tokio::select! {
            biased;
            outcome = share.outcome() => outcome,
            () = self.shared.end_readers.cancelled() => {
                let ended = Answer::nothing_new(request, &self.shared.rules.cache);
                return ended.unwrap_or_else(|| Failure::Stopped.answer());
            }
        };
        match outcome.news() {
            Ok(Some(news)) => self.news(request, news),
            Ok(None) => Box::pin(self.fetch(LiveAsk::of(request).ask)).await,
            Err(refusal) => refusal,
        }
    }

    /// A share of the live request that waits for this.
    async fn join(&self, live: LiveAsk) -> Result<Share, Failure> {
        self.shared.client.send(Join { live }).await.map_err(|_| Failure::Stopped)
    }

    /// The answer to one of the readers who waited for it: body and cache rules are everybody's, cursor and tag its own.
    fn news(&self, request: &ShapeRequest, news: &News) -> Answer {
        let reached = Reached { up_to_date: news.up_to_date, no_change: news.no_change };
        let head = self.head(request, &news.handle, news.end, reached);
        let mut answer = head.answer(if news.body.is_empty() { Body::Empty } else { Body::Full(news.body.clone()) });
        answer.status = news.status;
        if let Some(rule) = &news.cache_control {
            answer.headers.retain(|(name, _)| *name != "cache-control");
            answer.headers.push(("cache-control", rule.clone()));
        }
        answer
    }

    /// The head of an answer to a live request.
    fn head<'a>(&'a self, request: &'a ShapeRequest, handle: &'a Handle, end: Offset, reached: Reached) -> LogHead<'a> {
        let Reached { up_to_date, no_change } = reached;
        let (cache, now) = (&self.shared.rules.cache, SystemTime::now());
        LogHead { request, handle, end, schema: "", up_to_date, no_change, cache, now }
    }
}

impl Running {
    /// Ends all live answers: held requests are answered, streams end. New ones are not held any more.
    pub fn end_readers(&self) {
        self.end_readers.cancel();
    }

    /// Completes when the actor is gone, which it never is by itself.
    pub async fn failed(&mut self) {
        let _ = (&mut self.ended).await;
    }

    /// Closes all connections and ends the thread. Gives up after `limit`.
    pub async fn stop(self, limit: Duration) {
        self.end_readers();
        self.arbiter.stop();
        let joined = tokio::task::spawn_blocking(move || self.arbiter.join());
        if tokio::time::timeout(limit, joined).await.is_err() {
            tracing::warn!("the proxy did not end in time");
        }
    }
}

/// The actor: owns the HTTP client.
struct Client {
    upstream: Rc<Upstream>,
    live: LiveRequests,
    session_linger: Duration,
    /// Until the actor has started.
    health: Option<watch::Sender<Health>>,
    _alive: oneshot::Sender<()>,
}

/// A reader wants an answer that is not live.
#[derive(Message)]
#[rtype(result = "()")]
struct Fetch {
    ask: Ask,
    answer: oneshot::Sender<Answer>,
}

/// A reader wants to wait for what comes next.
#[derive(Message)]
#[rtype(result = "Share")]
struct Join {
    live: LiveAsk,
}

impl Actor for Client {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX);
        if let Some(told) = self.health.take() {
            actix_rt::spawn(health::watch(Rc::clone(&self.upstream), told));
        }
    }
}

/// Answered at once: the exchange is a task of its own, which ends when its reader has left.
impl Handler<Fetch> for Client {
    type Result = ();

    fn handle(&mut self, Fetch { ask, answer }: Fetch, _: &mut Self::Context) {
        actix_rt::spawn(forward::exchange(Rc::clone(&self.upstream), ask, answer));
    }
}

/// Answered at once, by a share in what may take long.
impl Handler<Join> for Client {
    type Result = MessageResult<Join>;

    fn handle(&mut self, Join { live }: Join, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.live.join(live, &self.upstream, self.session_linger))
    }
}
