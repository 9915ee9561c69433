//! The registry: who follows which shape of which session, since when and how far. An actor on a thread of its own.
//!
//! A *subscription* is one reader that follows one shape. It begins with a reader's first request and lives across
//! requests, until its reader is idle, takes nothing any more, or is ended by an operator. Each request takes a
//! [`Ticket`] first and gives it back by dropping it, so whatever becomes of a request is known here.

mod admin;
mod reader;
mod registry;
mod session;

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, MessageResult, SpawnHandle};
use tokio::sync::{broadcast, oneshot};

use crate::config::SubscriptionsConfig;
use crate::listener::Outlet;
use crate::shape::Handle;

pub use admin::{
    Counted, Definition, Event, Filter, Listed, MAX_PAGE, Page, Question, Reply, Seen, SeenShape, together,
};
pub use reader::{Followed, Name, Position, Reader, ReaderKey, Reason, Subscription, SubscriptionId, Transport};
pub use registry::{Asked, Entry, Limit, Outcome, Place, Refusal, Registry, Selection, Swept};
pub use session::Sessions;

/// Events that a watcher may be behind; it is told how many it has missed. Each may hold a long condition.
const EVENTS: usize = 256;
/// Messages that may wait. Requests hold one at most, and they are limited themselves.
const MAILBOX: usize = 4096;

/// Owns the open subscriptions, and ends those that go quiet.
pub struct Subscriptions {
    registry: Registry,
    events: broadcast::Sender<Event>,
    /// Frees what is held for shapes of a session that nobody follows any more.
    release: Box<dyn Fn(Vec<Handle>) + Send>,
    timer: Option<(Instant, SpawnHandle)>,
    _alive: oneshot::Sender<()>,
}

impl Subscriptions {
    /// An empty registry. `release` must not take long; `alive` is dropped when the actor is gone, which it never is by itself.
    pub fn new(
        config: SubscriptionsConfig,
        release: impl Fn(Vec<Handle>) + Send + 'static,
        alive: oneshot::Sender<()>,
    ) -> Self {
        let (registry, events) = (Registry::new(config), broadcast::Sender::new(EVENTS));
        Self { registry, events, release: Box::new(release), timer: None, _alive: alive }
    }

    /// Has the next sweep come when something is due, and not before.
    fn arm(&mut self, context: &mut Context<Self>) {
        let Some(due) = self.registry.next_due() else { return };
        if self.timer.is_some_and(|(at, _)| at <= due) {
            return;
        }
        if let Some((_, later)) = self.timer.take() {
            context.cancel_future(later);
        }
        let sweep = context.run_later(due.saturating_duration_since(Instant::now()), |registry, context| {
            registry.timer = None;
            registry.sweep(Instant::now());
            registry.arm(context);
        });
        self.timer = Some((due, sweep));
    }

    fn sweep(&mut self, now: Instant) {
        let swept = self.registry.sweep(now);
        for entry in &swept.ended {
            self.tell_end(entry, Reason::Idle);
        }
        if !swept.released.is_empty() {
            (self.release)(swept.released);
        }
    }

    fn tell_end(&self, entry: &Entry, reason: Reason) {
        let subscription = &entry.subscription;
        tracing::debug!(subscription.id = %subscription.id, ?reason, "ended subscription {}", subscription.id);
        self.tell(|| Event::Ended { subscription: Box::new(Seen::of(entry)), reason });
    }

    fn tell(&self, event: impl FnOnce() -> Event) {
        if self.events.receiver_count() > 0 {
            // There may be none any more.
            let _ = self.events.send(event());
        }
    }
}

impl Actor for Subscriptions {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.set_mailbox_capacity(MAILBOX);
    }
}

/// A request of a reader begins. Answered with its ticket.
#[derive(Message)]
#[rtype(result = "Result<Ticket, Refusal>")]
pub struct Follow {
    pub asked: Asked,
    /// Whether the subscription lasts beyond a request that is given up, be it before its ticket has come.
    pub lasts: bool,
}

impl Handler<Follow> for Subscriptions {
    type Result = MessageResult<Follow>;

    fn handle(&mut self, Follow { asked, lasts }: Follow, context: &mut Context<Self>) -> Self::Result {
        let outlet = asked.outlet.clone();
        let place = match self.registry.follow(asked, Instant::now()) {
            Ok(place) => place,
            Err(refusal) => return MessageResult(Err(refusal)),
        };
        let Place { subscription, request, is_new } = place;
        if is_new && let Some(entry) = self.registry.get(subscription.id) {
            self.tell(|| Event::Opened { subscription: Box::new(Seen::of(entry)) });
        }
        let registry = context.address();
        MessageResult(Ok(Ticket { registry, subscription, request, outlet, is_answered: lasts }))
    }
}

/// One request's place in the registry. Dropped when the whole answer has been taken, or given up.
pub struct Ticket {
    registry: Addr<Subscriptions>,
    subscription: Arc<Subscription>,
    request: u64,
    outlet: Outlet,
    is_answered: bool,
}

impl Ticket {
    /// What the request is part of.
    pub fn subscription(&self) -> &Arc<Subscription> {
        &self.subscription
    }

    /// Notes whether there is something to follow: then the subscription lasts beyond this request.
    pub fn lasts(&mut self, is_answered: bool) {
        self.is_answered = is_answered;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let outcome = Outcome { is_answered: self.is_answered, has_stalled: self.outlet.has_stalled() };
        // Past the mailbox's limit, because it must not be lost; there is one for each request that has begun.
        self.registry.do_send(Leave { id: self.subscription.id, request: self.request, outcome });
    }
}

/// A request is over.
#[derive(Message)]
#[rtype(result = "()")]
struct Leave {
    id: SubscriptionId,
    request: u64,
    outcome: Outcome,
}

impl Handler<Leave> for Subscriptions {
    type Result = ();

    fn handle(&mut self, Leave { id, request, outcome }: Leave, context: &mut Context<Self>) {
        if let Some((entry, reason)) = self.registry.leave(id, request, outcome, Instant::now()) {
            self.tell_end(&entry, reason);
        }
        self.arm(context);
    }
}

/// An operator asks or orders something, of the subscriptions of this process.
#[derive(Message)]
#[rtype(result = "Reply")]
pub struct Ask(pub Question);

impl Handler<Ask> for Subscriptions {
    type Result = MessageResult<Ask>;

    fn handle(&mut self, Ask(question): Ask, context: &mut Context<Self>) -> Self::Result {
        match question {
            Question::End { selection, block_seconds } => {
                let block = (block_seconds > 0).then(|| Duration::from_secs(block_seconds));
                let ended = self.registry.end_selected(&selection, block, Instant::now());
                for entry in &ended {
                    self.tell_end(entry, Reason::Admin);
                }
                self.arm(context);
                MessageResult(Reply::Ended(ended.iter().map(|entry| entry.subscription.reader.key()).collect()))
            }
            Question::Block { readers, seconds } => {
                for entry in self.registry.block(readers, Duration::from_secs(seconds), Instant::now()) {
                    self.tell_end(&entry, Reason::Admin);
                }
                self.arm(context);
                MessageResult(Reply::Blocked)
            }
            Question::ThrowOut { principals } => {
                let selections = principals.into_iter().map(Selection::Principal);
                let now = Instant::now();
                let ended: Vec<Entry> =
                    selections.flat_map(|selection| self.registry.end_selected(&selection, None, now)).collect();
                for entry in &ended {
                    self.tell_end(entry, Reason::Revoked);
                }
                self.arm(context);
                MessageResult(Reply::Ended(ended.iter().map(|entry| entry.subscription.reader.key()).collect()))
            }
            question => MessageResult(admin::reply(&self.registry, &question)),
        }
    }
}

/// The server stops: every answer ends, and so does every stream of events.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Stop;

impl Handler<Stop> for Subscriptions {
    type Result = ();

    fn handle(&mut self, _: Stop, _: &mut Context<Self>) {
        for entry in self.registry.end_all(Instant::now()) {
            self.tell_end(&entry, Reason::Stopped);
        }
        // Its watchers end with it.
        self.events = broadcast::Sender::new(1);
    }
}

/// Somebody watches what opens and ends in this process.
#[derive(Message)]
#[rtype(result = "broadcast::Receiver<Event>")]
pub struct Watch;

impl Handler<Watch> for Subscriptions {
    type Result = MessageResult<Watch>;

    fn handle(&mut self, _: Watch, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.events.subscribe())
    }
}
