//! The edge: read the request, ask one owner, answer. The routes are all on this page.

use std::time::Instant;

use actix::Addr;
use actix_web::error::PathError;
use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, PathConfig, PayloadConfig, QueryConfig, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Resource};
use quick_cache::sync::Cache;
use serde::Serialize;

use crate::db::Database;
use crate::error::ApiError;
use crate::ids::SessionId;
use crate::writer::{Command, Write, Writer, Written};

pub mod access;
pub mod address;
pub mod admin;
mod body;
pub mod cors;
pub mod demo;
pub mod electric;
mod entrance;
pub mod health;
pub mod loopback;
mod messages;
mod parts;
mod sessions;
pub mod shape;
mod snapshots;
pub mod stream;
mod subtasks;
mod tokens;
pub mod viewer;
pub mod watch;

use access::{authenticated, permitted};
use cors::Origins;

/// What the handlers of agent state ask. One of it is shared by all workers.
pub struct AgentState {
    pub database: Database,
    pub writer: Addr<Writer>,
    /// Who may see which session, as it was found lately.
    pub shown: Cache<(String, SessionId), (bool, Instant)>,
}

/// Pairs that are remembered of who may see which session.
const SHOWN: usize = 16 * 1024;

/// Bodies above this are refused with 413.
struct MaxBodyBytes(usize);

/// The routes of agent state. Pages of `origins` may use them from browsers. Need `Data<AgentState>`, `Data<Guard>` and
/// `Data<Admin>` in the application.
pub fn agent_state(app: &mut ServiceConfig, max_body_bytes: usize, origins: &Origins) {
    let sessions = web::scope("/v1/sessions")
        .wrap(from_fn(authenticated))
        .wrap(origins.of_agent_state())
        .app_data(Data::new(MaxBodyBytes(max_body_bytes)))
        .app_data(PayloadConfig::new(max_body_bytes))
        .app_data(QueryConfig::default().error_handler(|_, _| ApiError::invalid("query", "name=value&...").into()))
        .app_data(PathConfig::default().error_handler(|error, _| invalid_path(&error).into()));
    let at = |path: &str| resource(&format!("/{{session}}{path}")).wrap(from_fn(permitted));
    app.service(
        sessions
            .service(resource("").wrap(from_fn(permitted)).get(sessions::list).post(sessions::create))
            .service(at("").get(sessions::read).patch(sessions::change).delete(sessions::delete))
            .service(at("/state").delete(sessions::clear))
            .service(at("/messages").get(messages::list).post(messages::append).put(messages::replace))
            .service(at("/messages/{message}").patch(messages::change).delete(messages::delete))
            .service(at("/messages/{message}/parts").post(parts::append))
            .service(at("/messages/{message}/parts/{part}").put(parts::put).delete(parts::delete))
            .service(at("/snapshots").get(snapshots::list).post(snapshots::append).put(snapshots::replace))
            .service(at("/subtasks").get(subtasks::list).post(subtasks::append).delete(subtasks::clear))
            .service(at("/tokens").get(tokens::list).post(tokens::mint).delete(tokens::revoke_all))
            .service(at("/tokens/{token}").delete(tokens::revoke))
            .default_service(web::to(not_found)),
    );
}

/// A path of ours, which refuses other methods in our own words.
fn resource(path: &str) -> Resource {
    web::resource(path).default_service(web::to(method_not_allowed))
}

async fn method_not_allowed() -> Result<HttpResponse, ApiError> {
    Err(ApiError::MethodNotAllowed)
}

/// Answers every path that no route has.
pub async fn not_found(_: HttpRequest) -> Result<HttpResponse, ApiError> {
    Err(ApiError::NotFound("path"))
}

/// The ids in a path say themselves what is wrong with them, after their own name.
fn invalid_path(error: &PathError) -> ApiError {
    let said = error.to_string();
    let field = ["session", "message", "part"].into_iter().find(|name| said.contains(&format!("{name}: ")));
    ApiError::invalid(field.unwrap_or("path"), "1 to 64 characters without U+0000")
}

impl AgentState {
    pub fn new(database: Database, writer: Addr<Writer>) -> Self {
        Self { database, writer, shown: Cache::new(SHOWN) }
    }

    /// Has the Writer do a write, and answers when it is committed.
    async fn write(&self, command: Command) -> Result<HttpResponse, ApiError> {
        Ok(answer(StatusCode::OK, &self.commit(command).await?))
    }

    /// The same, and says whether something came to be or was there already.
    async fn create(&self, command: Command) -> Result<HttpResponse, ApiError> {
        let written = self.commit(command).await?;
        Ok(answer(if written.txid.is_some() { StatusCode::CREATED } else { StatusCode::OK }, &written))
    }

    async fn commit(&self, command: Command) -> Result<Written, ApiError> {
        // Only a Writer that has ended does not answer.
        Ok(self.writer.send(Write(command)).await.map_err(|_| ApiError::Unavailable)??)
    }
}

fn answer(status: StatusCode, body: &impl Serialize) -> HttpResponse {
    HttpResponse::build(status).json(body)
}
