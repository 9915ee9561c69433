//! A request for a shape from its admission to its answer; the same whether it came alone or among others.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, ResponseError};

use super::cached;
use crate::admission::Permit;
use crate::auth::Refused;
use crate::error::ApiError;
use crate::http::access::check_again;
use crate::http::entrance::Entrance;
use crate::http::stream;
use crate::http::watch::Door;
use crate::shape::{Answer, Given, Handle, Query, ShapeRequest};
use crate::source::Source;
use crate::subscription::Ticket;

/// A request that has been read and may be answered, and all that it holds until its answer has been taken.
pub struct Held {
    pub asked: Box<ShapeRequest>,
    /// `None` on a port where everybody sees everything.
    pub entrance: Option<Entrance>,
    /// The name that its reader gives itself, until it is registered.
    pub client: Option<String>,
    pub permit: Permit,
    /// Its place in the registry, once it has one.
    pub ticket: Option<Ticket>,
    /// Whether it may be given up because another request is answered, and will be back then: its reader is no new one.
    pub among_others: bool,
}

impl Held {
    /// Has the request registered, where there is a door, and waits for its answer. May be dropped at any time.
    ///
    /// By reference: each layer of futures would keep room for a copy as long as the request is held.
    ///
    /// # Errors
    /// Its sender has been thrown out.
    pub async fn answer(
        &mut self,
        request: &HttpRequest,
        source: &Source,
        door: Option<&Door>,
    ) -> Result<Answer, ApiError> {
        let Some(entrance) = &self.entrance else { return Ok(source.answer(&self.asked, &mut self.permit).await) };
        let Some(door) = door else {
            return tokio::select! {
                answer = source.answer(&self.asked, &mut self.permit) => Ok(entrance.marked(answer)),
                () = entrance.until_out(request) => Err(Refused::Revoked.into()),
            };
        };
        // Boxed: a request that is held must not keep room for it.
        let entered = door.enter(request, &mut self.asked, entrance, self.client.take(), self.among_others);
        let ticket = match Box::pin(entered).await {
            Ok(ticket) => self.ticket.insert(ticket),
            Err(refusal) => return Ok(refusal),
        };
        // Whoever was thrown out before its ticket was known has not been thrown out by it.
        if let Err(refused) = check_again(request) {
            ticket.lasts(false);
            return Err(refused);
        }
        let answer = tokio::select! {
            biased;
            answer = source.answer(&self.asked, &mut self.permit) => answer,
            () = ticket.subscription().end.cancelled() => door.ended(&self.asked),
            () = entrance.expired() => door.ended(&self.asked),
        };
        Ok(entrance.marked(answer))
    }

    /// Sends the answer that it came to, to a request of this method.
    pub fn respond(self, method: &Method, door: Option<&Door>, answer: Result<Answer, ApiError>) -> HttpResponse {
        let answer = match answer {
            Ok(answer) => answer,
            Err(refused) => return refused.error_response(),
        };
        let watch = match (door, self.ticket, &self.entrance) {
            (Some(door), Some(ticket), Some(entrance)) => Some(door.watch(ticket, &self.asked, &answer, entrance)),
            _ => None,
        };
        stream::respond_to(method, cached(method, answer), self.permit, watch)
    }
}

/// A place for a request among those that are answered, and the name that its reader gives itself.
///
/// # Errors
/// The answer to one for which there is none.
pub fn admit(query: &str, source: &Source) -> Result<(Permit, Option<String>), Answer> {
    let Named { handle, client } = Named::of(query);
    Ok((source.admit(handle.as_ref())?, client))
}

/// What a query string says of who asks, whatever else is wrong with it.
#[derive(Default)]
struct Named {
    /// It alone decides among whom a request is counted.
    handle: Option<Handle>,
    /// The name that a reader gives itself. No part of the protocol: no source ever sees it.
    client: Option<String>,
}

impl Named {
    fn of(query: &str) -> Self {
        let Ok(mut query) = Query::decode(query) else { return Self::default() };
        let mut text = |name: &str| match query.take(name) {
            Some(Given::Text(text)) => Some(text),
            _ => None,
        };
        Self { handle: text("handle").map(|handle| Handle::from(handle.as_str())), client: text("client") }
    }
}
