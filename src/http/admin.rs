//! `/v1/admin`: who follows what, and an end to it.
//!
//! | path | methods |
//! |---|---|
//! | `/subscriptions` | GET `?session=&principal=&table=&transport=&limit=&after=` |
//! | `/subscriptions/{id}` | GET; DELETE `?block=` |
//! | `/sessions/{session}/subscriptions`, `/principals/{principal}/subscriptions` | DELETE `?block=` |
//! | `/sessions` | GET `?limit=&after=` |
//! | `/events` | GET |
//! | `/shapes` | GET `?limit=&after=` |
//! | `/shapes/{handle}` | DELETE |
//! | `/replication` | GET |
//!
//! No page of another origin may use it: there are no CORS headers here.

mod events;
mod query;
mod shapes;

use std::net::IpAddr;

use actix::Addr;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::{DefaultHeaders, Next, from_fn};
use actix_web::web::{self, Data, Json, Path, ServiceConfig};
use actix_web::{Error, HttpResponse};
use serde::Serialize;

use super::{not_found, resource};
use crate::error::ApiError;
use crate::subscription::{Ask, Counted, Question, Reply, Seen, Selection, Subscriptions};
use query::{Block, Listed, Paged};

/// What the handlers ask. One of it is shared by all workers.
pub struct Admin {
    pub registry: Addr<Subscriptions>,
    /// Whether everybody may use it, and not this machine alone.
    pub is_open: bool,
}

/// The routes of the admin API. Need `Data<Admin>` and `Data<Source>` in the application.
pub fn admin_routes(config: &mut ServiceConfig) {
    let admin = web::scope("/v1/admin").wrap(from_fn(admins_only)).wrap(never_kept());
    config.service(
        admin
            .service(resource("/subscriptions").get(list))
            .service(resource("/subscriptions/{id}").get(read).delete(end))
            .service(resource("/sessions").get(sessions))
            .service(resource("/sessions/{session}/subscriptions").delete(end_session))
            .service(resource("/principals/{principal}/subscriptions").delete(end_principal))
            .service(resource("/events").get(events::watch))
            .service(resource("/shapes").get(shapes::list))
            .service(resource("/shapes/{handle}").delete(shapes::end))
            .service(resource("/replication").get(shapes::replication))
            .default_service(web::to(not_found)),
    );
}

fn never_kept() -> DefaultHeaders {
    DefaultHeaders::new().add((header::CACHE_CONTROL, "no-store"))
}

/// Lets only this machine in, unless the operator has said that everybody may.
async fn admins_only(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let is_open = request.app_data::<Data<Admin>>().is_some_and(|admin| admin.is_open);
    let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
    if is_open || peer.as_ref().is_some_and(IpAddr::is_loopback) {
        return next.call(request).await;
    }
    Err(ApiError::Forbidden.into())
}

/// A page of subscriptions, and where the next one starts.
#[derive(Serialize)]
struct Subscribed {
    subscriptions: Vec<Seen>,
    next: Option<String>,
}

/// `GET /v1/admin/subscriptions`: the oldest first.
async fn list(admin: Data<Admin>, listed: Listed) -> Result<Json<impl Serialize>, ApiError> {
    let Listed { filter, page } = listed;
    let limit = page.limit;
    let Reply::Subscriptions(subscriptions) = admin.ask(Question::List { filter, page }).await? else {
        return Err(ApiError::Internal);
    };
    let next = subscriptions.last().filter(|_| subscriptions.len() == limit).map(|last| last.id.clone());
    Ok(Json(Subscribed { subscriptions, next }))
}

#[derive(Serialize)]
struct One {
    subscription: Seen,
}

/// `GET /v1/admin/subscriptions/{id}`.
async fn read(admin: Data<Admin>, id: Path<String>) -> Result<Json<impl Serialize>, ApiError> {
    match admin.ask(Question::Find { id: id.into_inner() }).await? {
        Reply::Subscriptions(mut found) => found.pop().map(|subscription| Json(One { subscription })),
        _ => return Err(ApiError::Internal),
    }
    .ok_or(ApiError::NotFound("subscription"))
}

/// A page of sessions that are followed, and where the next one starts.
#[derive(Serialize)]
struct Sessions {
    sessions: Vec<Counted>,
    next: Option<String>,
}

/// `GET /v1/admin/sessions`: by name.
async fn sessions(admin: Data<Admin>, page: Paged) -> Result<Json<impl Serialize>, ApiError> {
    let limit = page.0.limit;
    let Reply::Sessions(sessions) = admin.ask(Question::Sessions { page: page.0 }).await? else {
        return Err(ApiError::Internal);
    };
    let next = sessions.last().filter(|_| sessions.len() == limit).map(|last| last.session.clone());
    Ok(Json(Sessions { sessions, next }))
}

/// `DELETE /v1/admin/subscriptions/{id}?block=`.
async fn end(admin: Data<Admin>, id: Path<String>, block: Block) -> Result<HttpResponse, ApiError> {
    admin.end(Selection::Id(id.into_inner()), block).await
}

/// `DELETE /v1/admin/sessions/{session}/subscriptions?block=`.
async fn end_session(admin: Data<Admin>, session: Path<String>, block: Block) -> Result<HttpResponse, ApiError> {
    admin.end(Selection::Session(session.into_inner()), block).await
}

/// `DELETE /v1/admin/principals/{principal}/subscriptions?block=`.
async fn end_principal(admin: Data<Admin>, principal: Path<String>, block: Block) -> Result<HttpResponse, ApiError> {
    admin.end(Selection::Principal(principal.into_inner()), block).await
}

#[derive(Serialize)]
struct Ended {
    ended: usize,
}

impl Admin {
    async fn ask(&self, question: Question) -> Result<Reply, ApiError> {
        self.registry.send(Ask(question)).await.map_err(|_| ApiError::Unavailable)
    }

    async fn end(&self, selection: Selection, Block(block_seconds): Block) -> Result<HttpResponse, ApiError> {
        match self.ask(Question::End { selection, block_seconds }).await? {
            Reply::Ended(ended) => Ok(HttpResponse::Ok().json(Ended { ended })),
            _ => Err(ApiError::Internal),
        }
    }
}
