//! `/v1/sessions/{session}/subtasks`: what the tasks that a session handed out came back with.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path};
use serde::Serialize;

use super::AgentState;
use super::body::{Body, json, varchar};
use crate::db::session;
use crate::db::subtask::{self, NewSubtask, Subtask};
use crate::error::ApiError;
use crate::ids::SessionId;
use crate::writer::Command;

/// The subtasks of a session.
#[derive(Serialize)]
pub struct Subtasks {
    subtasks: Vec<Subtask>,
}

/// `GET /v1/sessions/{session}/subtasks`: oldest first.
pub async fn list(state: Data<AgentState>, path: Path<SessionId>) -> Result<Json<Subtasks>, ApiError> {
    let read = async |conn: &mut _| {
        session::read_at_once(conn, &path, async |conn| subtask::of_session(conn, &path).await).await
    };
    let subtasks = state.database.read(read).await?.ok_or(ApiError::NotFound("session"))?;
    Ok(Json(Subtasks { subtasks }))
}

/// `POST /v1/sessions/{session}/subtasks`: appends one. With a `key` the same can be sent again.
pub async fn append(state: Data<AgentState>, path: Path<SessionId>, body: Body) -> Result<HttpResponse, ApiError> {
    let mut fields = body.object()?;
    let new = NewSubtask {
        session_id: path.into_inner(),
        key: fields.nullable("key", varchar(64))?,
        result: fields.required("result", json)?,
    };
    fields.finish()?;
    state.create(Command::AppendSubtask(Box::new(new))).await
}

/// `DELETE /v1/sessions/{session}/subtasks`: all of them.
pub async fn clear(state: Data<AgentState>, path: Path<SessionId>) -> Result<HttpResponse, ApiError> {
    state.write(Command::ClearSubtasks { session: path.into_inner() }).await
}
