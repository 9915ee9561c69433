//! A request in the registry: its ticket at the door, what its body tells of it, and its end on an operator's word.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix::Addr;
use actix_web::{HttpMessage, HttpRequest};
use bytes::Bytes;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::address;
use super::entrance::Entrance;
use super::stream::PIECE_BYTES;
use crate::config::{EngineConfig, SubscriptionsConfig};
use crate::listener::Outlet;
use crate::shape::control::resumes_after;
use crate::shape::{Answer, Body, CachePolicy, Handle, Invalid, Live, Requested, ShapeRequest};
use crate::subscription::Transport;
use crate::subscription::{Asked, Follow, Followed, Name, Position, Reader, Refusal, Sessions, Subscriptions, Ticket};

/// Longer names of clients are refused: each is kept as long as its subscription.
const MAX_CLIENT_BYTES: usize = 128;

/// What handlers need to have requests registered. One of it is shared by all workers.
pub struct Door {
    registry: Addr<Subscriptions>,
    sessions: Sessions,
    stream_lifetime: Option<Duration>,
    cache: CachePolicy,
}

impl Door {
    pub fn new(registry: Addr<Subscriptions>, subscriptions: &SubscriptionsConfig, engine: &EngineConfig) -> Self {
        let lifetime = subscriptions.stream_lifetime;
        let stream_lifetime = (!lifetime.is_zero()).then_some(lifetime);
        Self { registry, sessions: Sessions::default(), stream_lifetime, cache: engine.cache_policy() }
    }

    /// Has a request registered, and its session found; `client` is the name that the reader gives itself. `lasts` says whether
    /// the reader is known on if the request is given up.
    ///
    /// # Errors
    /// The answer to a request that may not be answered.
    pub async fn enter(
        &self,
        request: &HttpRequest,
        asked: &mut ShapeRequest,
        entrance: &Entrance,
        client: Option<String>,
        lasts: bool,
    ) -> Result<Ticket, Answer> {
        if client.as_ref().is_some_and(|name| name.is_empty() || name.len() > MAX_CLIENT_BYTES) {
            let text = format!("must be a name of 1 to {MAX_CLIENT_BYTES} bytes for this reader, or left out");
            return Err(Answer::invalid(&Invalid::one("client", text)));
        }
        // A connection without an address has gone.
        let Some(peer) = address::of(request) else {
            return Err(Answer::not_found());
        };
        let name = client.map_or(Name::Peer(peer), |client| Name::Client(client.into()));
        let followed = Arc::new(Followed::of(asked, entrance.name().to_owned()));
        // Whoever may not see a session is none of its readers.
        asked.session = match self.sessions.of(entrance.table(), asked) {
            Some(session) if entrance.shows(request, &session).await => Some(session),
            _ => None,
        };
        let asked = Asked {
            reader: Reader { principal: entrance.principal(), name, followed },
            session: asked.session.clone(),
            peer,
            // The handle that it names may be anything: what is noted is that of an answer.
            position: Position { handle: None, offset: asked.offset },
            transport: Transport::of(asked.live),
            outlet: outlet_of(request),
        };
        match self.registry.send(Follow { asked, lasts }).await {
            Ok(Ok(ticket)) => Ok(ticket),
            Ok(Err(Refusal::Full(limit))) => Err(Answer::too_many_subscriptions(&limit.to_string())),
            Ok(Err(Refusal::Blocked(left))) => Err(Answer::blocked(left)),
            // It has ended, so the server is about to.
            Err(_) => {
                Err(Answer::unavailable("The server is stopping. Please try again.", Duration::from_secs(1), false))
            }
        }
    }

    /// What a request is answered whose subscription has been ended while it waited: as if nothing had happened.
    pub fn ended(&self, asked: &ShapeRequest) -> Answer {
        Answer::nothing_new(asked, &self.cache).unwrap_or_else(interrupted)
    }

    /// Watches the answer to a registered request.
    pub fn watch(&self, mut ticket: Ticket, asked: &ShapeRequest, answer: &Answer, entrance: &Entrance) -> Watch {
        // 409 is an answer too: its reader starts over.
        ticket.lasts(answer.status < 400 || answer.status == 409);
        let offset = answer.header("electric-offset").and_then(Requested::parse);
        let offset = if let Some(Requested::After(offset)) = offset { Some(offset) } else { None };
        ticket.subscription().reached(answer.header("electric-handle").map(Handle::from), offset);
        let is_stream = asked.live == Live::Sse && answer.status == 200;
        let end = &ticket.subscription().end;
        // An answer of one piece is there already, be it because of the end, and is not to be cut. A longer one is.
        let is_short = match &answer.body {
            Body::Empty => true,
            Body::Full(bytes) => bytes.len() <= PIECE_BYTES,
            Body::Pieces { .. } | Body::Stream(_) => false,
        };
        let end = (!is_short).then(|| Box::pin(end.clone().cancelled_owned()));
        let lifetime = self.stream_lifetime.filter(|_| is_stream);
        let lifetime = lifetime.into_iter().chain(entrance.time_left().filter(|_| !is_short)).min();
        let lifetime = lifetime.map(|lifetime| Box::pin(sleep(lifetime)));
        Watch { ticket, end, lifetime, is_stream }
    }
}

/// For one that is no part of following: to be asked again.
fn interrupted() -> Answer {
    let message = "The subscription was ended while this was being answered. Please try again.";
    Answer::unavailable(message, Duration::from_secs(1), false)
}

/// The way of the answer to a request.
fn outlet_of(request: &HttpRequest) -> Outlet {
    let of_stream = request.extensions().get::<Outlet>().cloned();
    of_stream.or_else(|| request.conn_data::<Outlet>().cloned()).unwrap_or_default()
}

/// The body of an answer to a registered request.
pub struct Watch {
    ticket: Ticket,
    end: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    lifetime: Option<Pin<Box<Sleep>>>,
    is_stream: bool,
}

impl Watch {
    /// Ready when the body has to end.
    pub fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(end) = &mut self.end
            && end.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(());
        }
        self.lifetime.as_mut().map_or(Poll::Pending, |lifetime| lifetime.as_mut().poll(context))
    }

    /// Whether the body is whole wherever it ends: one of events is.
    pub fn may_end_anywhere(&self) -> bool {
        self.is_stream
    }

    /// A piece of the body is about to be sent.
    pub fn passes(&self, piece: &Bytes) {
        if self.is_stream
            && let Some(offset) = resumes_after(piece)
        {
            self.ticket.subscription().reached(None, Some(offset));
        }
    }

    /// So many bytes have been handed to the connection.
    pub fn sent(&self, bytes: usize) {
        self.ticket.subscription().sent(bytes);
    }
}
