//! `/v1/sessions/{session}/messages`: what was said, in order.

use std::collections::HashSet;

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path};
use chrono::Utc;
use serde::Serialize;

use super::AgentState;
use super::body::{Body, Fields, boolean, id, int4, int8, json, numeric_20_10, one_of, text, varchar};
use super::parts::new_parts;
use crate::db::message::{self, Message, MessagePatch, MessageWithParts, ROLES, STATUSES};
use crate::db::session;
use crate::error::ApiError;
use crate::ids::{MessageId, SessionId};
use crate::writer::{Command, NewMessage};

/// The messages of a session, each with its parts.
#[derive(Serialize)]
pub struct Messages {
    messages: Vec<MessageWithParts>,
}

/// `GET /v1/sessions/{session}/messages`: as they were at one moment.
pub async fn list(state: Data<AgentState>, path: Path<SessionId>) -> Result<Json<Messages>, ApiError> {
    let read = async |conn: &mut _| {
        session::read_at_once(conn, &path, async |conn| message::of_session_with_parts(conn, &path).await).await
    };
    let messages = state.database.read(read).await?.ok_or(ApiError::NotFound("session"))?;
    Ok(Json(Messages { messages }))
}

/// `POST /v1/sessions/{session}/messages`: one message, with its parts if it has some already.
pub async fn append(state: Data<AgentState>, path: Path<SessionId>, body: Body) -> Result<HttpResponse, ApiError> {
    let message = new_message(body.object()?, &path)?;
    require_unique_ids(std::slice::from_ref(&message))?;
    state.create(Command::AppendMessage(Box::new(message))).await
}

/// `PUT /v1/sessions/{session}/messages`: the whole list, in place of what is there.
pub async fn replace(state: Data<AgentState>, path: Path<SessionId>, body: Body) -> Result<HttpResponse, ApiError> {
    let list = body.list("messages")?;
    let messages = list.into_iter().map(|fields| new_message(fields, &path)).collect::<Result<Vec<_>, _>>()?;
    require_unique_ids(&messages)?;
    state.write(Command::ReplaceMessages { session: path.into_inner(), messages }).await
}

/// `PATCH /v1/sessions/{session}/messages/{message}`: changes the fields that are named.
pub async fn change(
    state: Data<AgentState>,
    path: Path<(SessionId, MessageId)>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let (session, message) = path.into_inner();
    let patch = Box::new(message_patch(body.object()?)?);
    state.write(Command::PatchMessage { session, message, patch }).await
}

/// `DELETE /v1/sessions/{session}/messages/{message}`: with its parts.
pub async fn delete(state: Data<AgentState>, path: Path<(SessionId, MessageId)>) -> Result<HttpResponse, ApiError> {
    let (session, message) = path.into_inner();
    state.write(Command::DeleteMessage { session, message }).await
}

fn new_message(mut fields: Fields, session: &SessionId) -> Result<NewMessage, ApiError> {
    // What we gave out can be sent back.
    fields.repeated("session_id", session.as_str())?;
    fields.ignored("created_at");
    let given_id = fields.nullable("id", id)?;
    let time_created = fields.optional("time_created", int8)?;
    let (named, timed) = (given_id.is_some(), time_created.is_some());
    let now = Utc::now();
    let status = fields.clearable("status", one_of(STATUSES))?;
    let row = Message {
        id: given_id.unwrap_or_else(MessageId::generate),
        session_id: session.clone(),
        role: fields.required("role", one_of(ROLES))?,
        time_created: time_created.unwrap_or(now.timestamp_millis()),
        time_completed: fields.nullable("time_completed", int8)?,
        status: status.unwrap_or_else(|| Some("pending".to_owned())),
        thinking_text: fields.nullable("thinking_text", text)?,
        error_message: fields.nullable("error_message", text)?,
        agent: fields.nullable("agent", text)?,
        model_provider_id: fields.nullable("model_provider_id", text)?,
        model_model_id: fields.nullable("model_model_id", text)?,
        system_prompt: fields.nullable("system_prompt", text)?,
        tools: fields.nullable("tools", json)?,
        parent_id: fields.nullable("parent_id", id)?,
        mode: fields.nullable("mode", text)?,
        path_cwd: fields.nullable("path_cwd", text)?,
        path_root: fields.nullable("path_root", text)?,
        cost: fields.nullable("cost", numeric_20_10)?,
        tokens_input: fields.nullable("tokens_input", int4)?,
        tokens_output: fields.nullable("tokens_output", int4)?,
        tokens_reasoning: fields.nullable("tokens_reasoning", int4)?,
        tokens_cache_read: fields.nullable("tokens_cache_read", int4)?,
        tokens_cache_write: fields.nullable("tokens_cache_write", int4)?,
        finish: fields.nullable("finish", varchar(64))?,
        is_summary: fields.nullable("is_summary", boolean)?,
        error: fields.nullable("error", json)?,
        created_at: now,
    };
    let parts = new_parts(fields.objects("parts")?.unwrap_or_default(), session, &row.id)?;
    fields.finish()?;
    Ok(NewMessage { row, named, timed, parts })
}

fn message_patch(mut fields: Fields) -> Result<MessagePatch, ApiError> {
    let patch = MessagePatch {
        role: fields.optional("role", one_of(ROLES))?,
        time_created: fields.optional("time_created", int8)?,
        time_completed: fields.clearable("time_completed", int8)?,
        status: fields.clearable("status", one_of(STATUSES))?,
        thinking_text: fields.clearable("thinking_text", text)?,
        error_message: fields.clearable("error_message", text)?,
        agent: fields.clearable("agent", text)?,
        model_provider_id: fields.clearable("model_provider_id", text)?,
        model_model_id: fields.clearable("model_model_id", text)?,
        system_prompt: fields.clearable("system_prompt", text)?,
        tools: fields.clearable("tools", json)?,
        parent_id: fields.clearable("parent_id", id)?,
        mode: fields.clearable("mode", text)?,
        path_cwd: fields.clearable("path_cwd", text)?,
        path_root: fields.clearable("path_root", text)?,
        cost: fields.clearable("cost", numeric_20_10)?,
        tokens_input: fields.clearable("tokens_input", int4)?,
        tokens_output: fields.clearable("tokens_output", int4)?,
        tokens_reasoning: fields.clearable("tokens_reasoning", int4)?,
        tokens_cache_read: fields.clearable("tokens_cache_read", int4)?,
        tokens_cache_write: fields.clearable("tokens_cache_write", int4)?,
        finish: fields.clearable("finish", varchar(64))?,
        is_summary: fields.clearable("is_summary", boolean)?,
        error: fields.clearable("error", json)?,
    };
    fields.finish()?;
    Ok(patch)
}

/// One request cannot name a message or a part twice.
fn require_unique_ids(messages: &[NewMessage]) -> Result<(), ApiError> {
    let mut seen = HashSet::with_capacity(messages.len());
    if let Some(twice) = messages.iter().position(|message| !seen.insert(&message.row.id)) {
        return Err(ApiError::invalid(format!("[{twice}].id"), "each id once"));
    }
    super::parts::require_unique_ids(messages.iter().flat_map(|message| &message.parts))
}
