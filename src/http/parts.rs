//! `/v1/sessions/{session}/messages/{message}/parts`: what a message consists of.

use std::collections::HashSet;

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};

use super::AgentState;
use super::body::{Body, Fields, id, int4, int8, json, one_of, text, varchar};
use crate::db::part::{Part, TYPES};
use crate::error::ApiError;
use crate::ids::{MessageId, PartId, SessionId};
use crate::writer::{Command, NewPart};

/// `POST /v1/sessions/{session}/messages/{message}/parts`: an agent appends what it just produced.
pub async fn append(
    state: Data<AgentState>,
    path: Path<(SessionId, MessageId)>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let (session, message) = path.into_inner();
    let parts = new_parts(body.list("parts")?, &session, &message)?;
    require_unique_ids(&parts)?;
    state.create(Command::AppendParts { session, message, parts }).await
}

/// `PUT /v1/sessions/{session}/messages/{message}/parts/{part}`: creates the part, or replaces it as a whole.
pub async fn put(
    state: Data<AgentState>,
    path: Path<(SessionId, MessageId, PartId)>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let (session, message, part) = path.into_inner();
    let mut fields = body.object()?;
    fields.repeated("id", part.as_str())?;
    let new = NewPart { named: true, ..new_part(fields, &session, &message, Some(part))? };
    state.write(Command::PutPart(Box::new(new))).await
}

/// `DELETE /v1/sessions/{session}/messages/{message}/parts/{part}`.
pub async fn delete(
    state: Data<AgentState>,
    path: Path<(SessionId, MessageId, PartId)>,
) -> Result<HttpResponse, ApiError> {
    let (session, message, part) = path.into_inner();
    state.write(Command::DeletePart { session, message, part }).await
}

/// Reads a list of parts of one message.
pub fn new_parts(list: Vec<Fields>, session: &SessionId, message: &MessageId) -> Result<Vec<NewPart>, ApiError> {
    list.into_iter().map(|fields| new_part(fields, session, message, None)).collect()
}

/// One request cannot name a part twice.
pub fn require_unique_ids<'a>(parts: impl IntoIterator<Item = &'a NewPart>) -> Result<(), ApiError> {
    let mut seen = HashSet::new();
    match parts.into_iter().position(|part| !seen.insert(&part.row.id)) {
        None => Ok(()),
        Some(_) => Err(ApiError::invalid("parts.id", "each id once")),
    }
}

/// `known`: the id, where the path has it.
fn new_part(
    mut fields: Fields,
    session: &SessionId,
    message: &MessageId,
    known: Option<PartId>,
) -> Result<NewPart, ApiError> {
    // What we gave out can be sent back.
    fields.repeated("session_id", session.as_str())?;
    fields.repeated("message_id", message.as_str())?;
    let given_id = if known.is_some() { known } else { fields.nullable("id", id)? };
    let sort_order = fields.optional("sort_order", int4)?;
    let (named, ordered) = (given_id.is_some(), sort_order.is_some());
    let row = Part {
        id: given_id.unwrap_or_else(PartId::generate),
        session_id: session.clone(),
        message_id: message.clone(),
        type_: fields.required("type", one_of(TYPES))?,
        text: fields.nullable("text", text)?,
        tool_name: fields.nullable("tool_name", varchar(255))?,
        tool_state: fields.nullable("tool_state", json)?,
        mime: fields.nullable("mime", varchar(255))?,
        url: fields.nullable("url", text)?,
        filename: fields.nullable("filename", varchar(512))?,
        time_start: fields.nullable("time_start", int8)?,
        time_end: fields.nullable("time_end", int8)?,
        sort_order: sort_order.unwrap_or(0),
    };
    fields.finish()?;
    Ok(NewPart { row, named, ordered })
}
