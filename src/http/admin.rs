//! `/v1/admin`: who follows what, and an end to it.
//!
//! | path | methods |
//! |---|---|
//! | `/subscriptions` | GET `?session=&principal=&table=&transport=&limit=&after=` |
//! | `/subscriptions/{id}` | GET; DELETE `?block=` |
//! | `/sessions/{session}/subscriptions`, `/principals/{principal}/subscriptions` | DELETE `?block=` |
//! | `/principals` | GET: those who are kept out |
//! | `/principals/{principal}/block` | PUT; DELETE |
//! | `/sessions` | GET `?limit=&after=` |
//! | `/events` | GET |
//! | `/shapes` | GET `?limit=&after=` |
//! | `/shapes/{handle}` | DELETE |
//! | `/replication` | GET |
//!
//! No page of another origin may use it: there are no CORS headers here.

mod blocks;
mod events;
mod query;
mod shapes;

use std::time::Duration;

use actix::Addr;
use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::web::{self, Data, Json, Path, ServiceConfig};
use serde::Serialize;

use super::access::{admins_only, authenticated};
use super::{not_found, resource};
use crate::auth::Revocations;
use crate::error::ApiError;
use crate::instances::{Answers, InstanceId, Instances};
use crate::subscription::{Ask, Counted, Listed, Question, Reply, Seen, Selection, Subscriptions, together};
use query::{Block, ListQuery, Paged};

/// How long other processes may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Readers that one order to keep out names: what processes tell each other has a bound, and a key takes 80 bytes.
const READERS_OF_A_BLOCK: usize = 500;

/// Principals that one question names, each of at most 255 bytes.
const PRINCIPALS_OF_A_QUESTION: usize = 200;

/// What the handlers ask. One of it is shared by all workers.
pub struct Admin {
    /// That of this process.
    pub registry: Addr<Subscriptions>,
    /// All that share this Postgres, this process among them.
    pub instances: Instances,
}

/// The routes of the admin API. Need `Data<Admin>` and `Data<Source>` in the application.
pub fn admin_routes(config: &mut ServiceConfig) {
    let admin = web::scope("/v1/admin").wrap(from_fn(admins_only)).wrap(from_fn(authenticated)).wrap(never_kept());
    config.service(
        admin
            .service(resource("/subscriptions").get(list))
            .service(resource("/subscriptions/{id}").get(read).delete(end))
            .service(resource("/sessions").get(sessions))
            .service(resource("/sessions/{session}/subscriptions").delete(end_session))
            .service(resource("/principals/{principal}/subscriptions").delete(end_principal))
            .service(resource("/principals").get(blocks::list))
            .service(resource("/principals/{principal}/block").put(blocks::block).delete(blocks::unblock))
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

/// What several processes said, and who said nothing.
struct Gathered {
    reply: Reply,
    silent: Silent,
}

/// Who was asked and did not answer. Told only where there is something to tell: what else was said is not all, then.
#[derive(Serialize)]
struct Silent {
    /// Processes that are alive and were too slow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
    /// Postgres could not be asked who else there is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unreachable: bool,
}

/// A page of subscriptions, and where the next one starts.
#[derive(Serialize)]
struct Subscribed {
    subscriptions: Vec<Seen>,
    next: Option<String>,
    #[serde(flatten)]
    silent: Silent,
}

/// `GET /v1/admin/subscriptions`: the oldest first.
async fn list(admin: Data<Admin>, listed: ListQuery) -> Result<Json<impl Serialize>, ApiError> {
    let ListQuery { filter, page } = listed;
    let Gathered { reply, silent } = admin.ask(Question::List { filter, page }).await;
    let Reply::Subscriptions(Listed { subscriptions, more }) = reply else { return Err(ApiError::Internal) };
    let next = subscriptions.last().filter(|_| more).map(|last| last.id.clone());
    Ok(Json(Subscribed { subscriptions, next, silent }))
}

#[derive(Serialize)]
struct One {
    subscription: Seen,
}

/// `GET /v1/admin/subscriptions/{id}`.
async fn read(admin: Data<Admin>, id: Path<String>) -> Result<Json<impl Serialize>, ApiError> {
    let Gathered { reply, silent } = admin.ask(Question::Find { id: id.into_inner() }).await;
    let Reply::Subscriptions(mut found) = reply else { return Err(ApiError::Internal) };
    match found.subscriptions.pop() {
        Some(subscription) => Ok(Json(One { subscription })),
        // It may be with one of those.
        None if silent.is_any() => Err(ApiError::Unavailable),
        None => Err(ApiError::NotFound("subscription")),
    }
}

/// A page of sessions that are followed, and where the next one starts.
#[derive(Serialize)]
struct Sessions {
    sessions: Vec<Counted>,
    next: Option<String>,
    #[serde(flatten)]
    silent: Silent,
}

/// `GET /v1/admin/sessions`: by name.
async fn sessions(admin: Data<Admin>, Paged(page): Paged) -> Result<Json<impl Serialize>, ApiError> {
    let limit = page.limit;
    let Gathered { reply, silent } = admin.ask(Question::Sessions { page }).await;
    let Reply::Sessions(sessions) = reply else { return Err(ApiError::Internal) };
    let next = sessions.last().filter(|_| sessions.len() == limit).map(|last| last.session.clone());
    Ok(Json(Sessions { sessions, next, silent }))
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

/// How many were ended.
#[derive(Serialize)]
pub struct Ended {
    ended: usize,
    #[serde(flatten)]
    silent: Silent,
}

impl Silent {
    const NOBODY: Self = Self { missing: Vec::new(), unreachable: false };

    fn is_any(&self) -> bool {
        self.unreachable || !self.missing.is_empty()
    }
}

impl Admin {
    /// Asks every process, and puts together what they say.
    async fn ask(&self, question: Question) -> Gathered {
        let text = serde_json::to_string(&question).expect("a question is JSON");
        let Answers { replies, missing, unreachable } = self.instances.ask(text, PATIENCE).await;
        let mut missing: Vec<String> = missing.iter().map(InstanceId::to_string).collect();
        let mut read = Vec::new();
        for (instance, reply) in replies {
            match serde_json::from_str(&reply) {
                Ok(reply) => read.push((instance.to_string(), reply)),
                // One of another version, that does not know this question.
                Err(_) => missing.push(instance.to_string()),
            }
        }
        Gathered { reply: together(&question, read), silent: Silent { missing, unreachable } }
    }

    /// Ends what principals follow who are kept out from now on, in every process. Says how many subscriptions that were, and
    /// who did not answer: such a process finds out by itself, a few seconds later.
    pub async fn throw_out(&self, principals: &[String]) -> Ended {
        let mut all = Ended { ended: 0, silent: Silent::NOBODY };
        for some in principals.chunks(PRINCIPALS_OF_A_QUESTION) {
            let Gathered { reply, silent } = self.ask(Question::ThrowOut { principals: some.to_vec() }).await;
            all.ended += if let Reply::Ended(readers) = reply { readers.len() } else { 0 };
            all.silent = if all.silent.is_any() { all.silent } else { silent };
        }
        all
    }

    /// Has every process look into Postgres who is kept out.
    pub async fn look_again(&self) {
        self.ask(Question::LookAgain).await;
    }

    /// Ends what is meant, and keeps the readers out, in every process: one may come back to another.
    async fn end(&self, selection: Selection, Block(seconds): Block) -> Result<HttpResponse, ApiError> {
        let question = Question::End { selection, block_seconds: seconds };
        let Gathered { reply, mut silent } = self.ask(question).await;
        let Reply::Ended(readers) = reply else { return Err(ApiError::Internal) };
        if seconds > 0 {
            for some in readers.chunks(READERS_OF_A_BLOCK) {
                let asked = self.ask(Question::Block { readers: some.to_vec(), seconds }).await;
                silent = if silent.is_any() { silent } else { asked.silent };
            }
        }
        Ok(HttpResponse::Ok().json(Ended { ended: readers.len(), silent }))
    }
}

/// What this process answers when it is asked by any.
pub async fn answer(registry: Addr<Subscriptions>, revocations: Option<Revocations>, question: String) -> String {
    let Ok(question) = serde_json::from_str::<Question>(&question) else { return "null".to_owned() };
    if let Question::ThrowOut { principals } = &question
        && let Some(revocations) = &revocations
    {
        // Before their subscriptions end: whoever comes back meanwhile must be known.
        revocations.add(principals);
    }
    let has_changed = matches!(question, Question::ThrowOut { .. } | Question::LookAgain);
    let answered = registry.send(Ask(question)).await;
    // Until when, Postgres says; and of whom this process was not told.
    if has_changed && let Some(revocations) = revocations {
        match revocations.read().await {
            Ok(principals) => registry.do_send(Ask(Question::ThrowOut { principals })),
            Err(cause) => tracing::warn!(%cause, "cannot read who is kept out: {cause}"),
        }
    }
    match answered {
        Ok(reply) => serde_json::to_string(&reply).expect("a reply is JSON"),
        Err(_) => "null".to_owned(),
    }
}
