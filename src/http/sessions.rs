//! `/v1/sessions`: the sessions themselves.

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path, Query};
use chrono::Utc;
use serde::Serialize;

use super::AgentState;
use super::access::Who;
use super::body::{Body, Fields, boolean, id, int4, int8, json, one_of, text, varchar};
use crate::auth::principal::Origin;
use crate::auth::{Principal, Scope};
use crate::db::session::{self, Listed, REASONING_EFFORTS, Session, SessionPatch};
use crate::error::ApiError;
use crate::ids::SessionId;
use crate::json;
use crate::writer::{Command, NewSession};

/// Sessions in one page of a list, unless the caller asks for another number.
const PAGE: i64 = 50;
/// And at most this many.
const MAX_PAGE: i64 = 500;

/// `POST /v1/sessions`: an agent starts a session.
pub async fn create(state: Data<AgentState>, Who(principal): Who, body: Body) -> Result<HttpResponse, ApiError> {
    let session = new_session(body.object()?)?;
    let NewSession { row, named, .. } = &session;
    if !principal.scope.has_new(named.then_some(&row.id), &row.project_id) {
        return Err(ApiError::Forbidden("the token is not for a session of this id or project".into()));
    }
    require_parent(&state, &principal, row.parent_id.as_ref()).await?;
    state.create(Command::CreateSession(Box::new(session))).await
}

/// A page of sessions, and where the next one starts.
#[derive(Serialize)]
pub struct Page {
    sessions: Vec<Session>,
    /// What `after` must be for the next page; `null` at the end.
    next: Option<String>,
}

/// `GET /v1/sessions?project_id=&archived=&limit=&after=`: the one updated last first.
pub async fn list(
    state: Data<AgentState>,
    Who(principal): Who,
    query: Query<HashMap<String, String>>,
) -> Result<Json<Page>, ApiError> {
    let listed = listed(query.into_inner(), principal.scope.clone())?;
    let sessions = state.database.read(async |conn| session::list(conn, &listed).await).await?;
    let more = i64::try_from(sessions.len()).is_ok_and(|found| found == listed.limit);
    let next = sessions.last().filter(|_| more).map(|last| format!("{}_{}", last.time_updated, last.id));
    Ok(Json(Page { sessions, next }))
}

/// One session.
#[derive(Serialize)]
pub struct One {
    session: Session,
}

/// `GET /v1/sessions/{session}`.
pub async fn read(state: Data<AgentState>, path: Path<SessionId>) -> Result<Json<One>, ApiError> {
    let found = state.database.read(async |conn| session::find(conn, &path).await).await?;
    Ok(Json(One { session: found.ok_or(ApiError::NotFound("session"))? }))
}

/// `PATCH /v1/sessions/{session}`: changes the fields that are named.
pub async fn change(
    state: Data<AgentState>,
    Who(principal): Who,
    path: Path<SessionId>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let fields = body.object()?;
    let is_kept_in = |(column, _): &&(String, String)| column != "project_id" && fields.has(column);
    if let Some((column, _)) = principal.scope.columns.iter().find(is_kept_in) {
        return Err(ApiError::Forbidden(format!("the token is confined by {column}, and may not change it").into()));
    }
    if principal.origin == Origin::Capability && fields.has("project_id") {
        return Err(ApiError::Forbidden("a token for one session may not move it to another project".into()));
    }
    let patch = Box::new(session_patch(fields)?);
    if let Some(project) = &patch.project_id
        && !principal.scope.has_new(Some(&path), project)
    {
        return Err(ApiError::Forbidden("the token is not for a session of this project".into()));
    }
    require_parent(&state, &principal, patch.parent_id.as_ref().and_then(Option::as_ref)).await?;
    state.write(Command::PatchSession { session: path.into_inner(), patch }).await
}

/// `DELETE /v1/sessions/{session}`: with everything below it.
pub async fn delete(state: Data<AgentState>, path: Path<SessionId>) -> Result<HttpResponse, ApiError> {
    state.write(Command::DeleteSession { session: path.into_inner() }).await
}

/// `DELETE /v1/sessions/{session}/state`: everything below it.
pub async fn clear(state: Data<AgentState>, path: Path<SessionId>) -> Result<HttpResponse, ApiError> {
    state.write(Command::ClearState { session: path.into_inner() }).await
}

/// Refuses a parent that the caller may not see, in the words for one that is not there.
async fn require_parent(state: &AgentState, principal: &Principal, parent: Option<&SessionId>) -> Result<(), ApiError> {
    let Some(parent) = parent.filter(|_| !principal.scope.is_everything()) else { return Ok(()) };
    if state.shows(principal, parent).await? { Ok(()) } else { Err(ApiError::NotFound("parent session")) }
}

fn new_session(mut fields: Fields) -> Result<NewSession, ApiError> {
    let given_id = fields.nullable("id", id)?;
    let time_created = fields.optional("time_created", int8)?;
    let (named, timed) = (given_id.is_some(), time_created.is_some());
    let now = Utc::now().timestamp_millis();
    let row = Session {
        id: given_id.unwrap_or_else(SessionId::generate),
        project_id: fields.optional("project_id", varchar(255))?.unwrap_or_else(|| "default".to_owned()),
        directory: fields.required("directory", text)?,
        title: fields.required("title", varchar(512))?,
        version: fields.optional("version", varchar(32))?.unwrap_or_else(|| "1.0.0".to_owned()),
        time_created: time_created.unwrap_or(now),
        time_updated: now,
        time_archived: fields.nullable("time_archived", int8)?,
        parent_id: fields.nullable("parent_id", id)?,
        fork_point: fields.nullable("fork_point", varchar(64))?,
        summary: fields.nullable("summary", json)?,
        revert: fields.nullable("revert", json)?,
        compaction: fields.nullable("compaction", json)?,
        token_count: fields.optional("token_count", int4)?.unwrap_or(0),
        bypass_mode: fields.optional("bypass_mode", boolean)?.unwrap_or(false),
        model: fields.nullable("model", varchar(255))?,
        reasoning_effort: fields.nullable("reasoning_effort", one_of(REASONING_EFFORTS))?,
        ghost_commit: fields.nullable("ghost_commit", json)?,
        plugins: fields.optional("plugins", json)?.unwrap_or_else(json::Json::empty_list),
    };
    fields.finish()?;
    Ok(NewSession { row, named, timed })
}

fn session_patch(mut fields: Fields) -> Result<SessionPatch, ApiError> {
    let patch = SessionPatch {
        project_id: fields.optional("project_id", varchar(255))?,
        directory: fields.optional("directory", text)?,
        title: fields.optional("title", varchar(512))?,
        version: fields.optional("version", varchar(32))?,
        time_created: fields.optional("time_created", int8)?,
        time_archived: fields.clearable("time_archived", int8)?,
        parent_id: fields.clearable("parent_id", id)?,
        fork_point: fields.clearable("fork_point", varchar(64))?,
        summary: fields.clearable("summary", json)?,
        revert: fields.clearable("revert", json)?,
        compaction: fields.clearable("compaction", json)?,
        token_count: fields.optional("token_count", int4)?,
        bypass_mode: fields.optional("bypass_mode", boolean)?,
        model: fields.clearable("model", varchar(255))?,
        reasoning_effort: fields.clearable("reasoning_effort", one_of(REASONING_EFFORTS))?,
        ghost_commit: fields.clearable("ghost_commit", json)?,
        plugins: fields.optional("plugins", json)?,
    };
    fields.finish()?;
    Ok(patch)
}

fn listed(mut query: HashMap<String, String>, scope: Scope) -> Result<Listed, ApiError> {
    let listed = Listed {
        project_id: query.remove("project_id"),
        archived: match query.remove("archived").as_deref() {
            None => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => return Err(ApiError::invalid("archived", "true or false")),
        },
        limit: match query.remove("limit") {
            None => PAGE,
            Some(limit) => {
                let limit = limit.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
                limit.ok_or_else(|| ApiError::invalid("limit", format!("a number from 1 to {MAX_PAGE}")))?
            }
        },
        after: query.remove("after").map(page_start).transpose()?,
        scope,
    };
    if listed.project_id.as_ref().is_some_and(|project_id| project_id.contains('\0')) {
        return Err(ApiError::invalid("project_id", "text without U+0000"));
    }
    match query.into_keys().next() {
        None => Ok(listed),
        Some(unknown) => Err(ApiError::invalid(unknown, "no such parameter")),
    }
}

/// Reads what a page called `next`.
fn page_start(after: String) -> Result<(i64, SessionId), ApiError> {
    let parts = after
        .split_once('_')
        .and_then(|(time_updated, id)| Some((time_updated.parse().ok()?, SessionId::try_from(id.to_owned()).ok()?)));
    parts.ok_or_else(|| ApiError::invalid("after", "what `next` of the page before said"))
}
