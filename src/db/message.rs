//! Table `messages`.

use std::collections::HashMap;

use bigdecimal::BigDecimal;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Serialize, Serializer, ser};

use super::MAX_PARAMETERS;
use super::part::{self, Part};
use super::patch::patch;
use super::schema::messages;
use crate::ids::{MessageId, SessionId};
use crate::json::Json;

/// What `role` may be.
pub const ROLES: &[&str] = &["user", "assistant"];
/// What `status` may be.
pub const STATUSES: &[&str] = &["pending", "streaming", "completed", "failed", "aborted"];

const COLUMNS: usize = 27;

/// One message of a session. Times are Unix milliseconds.
#[derive(Debug, Clone, Queryable, Selectable, Insertable, Serialize)]
#[diesel(table_name = messages, check_for_backend(diesel::pg::Pg), treat_none_as_default_value = false)]
pub struct Message {
    pub id: MessageId,
    pub session_id: SessionId,
    pub role: String,
    pub time_created: i64,
    pub time_completed: Option<i64>,
    pub status: Option<String>,
    pub thinking_text: Option<String>,
    pub error_message: Option<String>,
    pub agent: Option<String>,
    pub model_provider_id: Option<String>,
    pub model_model_id: Option<String>,
    pub system_prompt: Option<String>,
    pub tools: Option<Json>,
    pub parent_id: Option<MessageId>,
    pub mode: Option<String>,
    pub path_cwd: Option<String>,
    pub path_root: Option<String>,
    /// With at most ten digits after the decimal point.
    #[serde(serialize_with = "as_plain_number")]
    pub cost: Option<BigDecimal>,
    pub tokens_input: Option<i32>,
    pub tokens_output: Option<i32>,
    pub tokens_reasoning: Option<i32>,
    pub tokens_cache_read: Option<i32>,
    pub tokens_cache_write: Option<i32>,
    pub finish: Option<String>,
    pub is_summary: Option<bool>,
    pub error: Option<Json>,
    pub created_at: DateTime<Utc>,
}

patch! {
    /// Changes to a message.
    MessagePatch of Message in messages {
        role: String,
        time_created: i64,
        time_completed: Option<i64>,
        status: Option<String>,
        thinking_text: Option<String>,
        error_message: Option<String>,
        agent: Option<String>,
        model_provider_id: Option<String>,
        model_model_id: Option<String>,
        system_prompt: Option<String>,
        tools: Option<Json>,
        parent_id: Option<MessageId>,
        mode: Option<String>,
        path_cwd: Option<String>,
        path_root: Option<String>,
        cost: Option<BigDecimal>,
        tokens_input: Option<i32>,
        tokens_output: Option<i32>,
        tokens_reasoning: Option<i32>,
        tokens_cache_read: Option<i32>,
        tokens_cache_write: Option<i32>,
        finish: Option<String>,
        is_summary: Option<bool>,
        error: Option<Json>,
    }
}

/// A JSON number with all digits of the column and no exponent.
fn as_plain_number<S: Serializer>(cost: &Option<BigDecimal>, serializer: S) -> Result<S::Ok, S::Error> {
    let number = cost.as_ref().map(|cost| cost.to_plain_string().parse::<serde_json::Number>());
    number.transpose().map_err(ser::Error::custom)?.serialize(serializer)
}

/// A message, and its parts in order where they were asked for.
#[derive(Debug, Clone, Serialize)]
pub struct MessageWithParts {
    #[serde(flatten)]
    pub message: Message,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<Vec<Part>>,
}

/// The message, whatever session it is of.
pub async fn find(conn: &mut AsyncPgConnection, id: &MessageId) -> QueryResult<Option<Message>> {
    messages::table.find(id).select(Message::as_select()).first(conn).await.optional()
}

/// Those of the messages that exist, whatever sessions they are of, in no order.
pub async fn find_all(conn: &mut AsyncPgConnection, ids: &[&MessageId]) -> QueryResult<Vec<Message>> {
    let found = messages::table.filter(messages::id.eq_any(ids.iter().copied()));
    found.select(Message::as_select()).load(conn).await
}

/// Whether the session has the message.
pub async fn exists(conn: &mut AsyncPgConnection, session: &SessionId, id: &MessageId) -> QueryResult<bool> {
    let found = messages::table.find(id).filter(messages::session_id.eq(session));
    diesel::select(diesel::dsl::exists(found)).get_result(conn).await
}

/// The session's messages in order.
pub async fn of_session(conn: &mut AsyncPgConnection, session: &SessionId) -> QueryResult<Vec<Message>> {
    messages::table
        .filter(messages::session_id.eq(session))
        .order((messages::time_created, messages::id))
        .select(Message::as_select())
        .load(conn)
        .await
}

/// The session's messages in order, each with its parts in order.
pub async fn of_session_with_parts(
    conn: &mut AsyncPgConnection,
    session: &SessionId,
) -> QueryResult<Vec<MessageWithParts>> {
    let messages = of_session(conn, session).await?;
    let mut parts: HashMap<MessageId, Vec<Part>> = HashMap::with_capacity(messages.len());
    for part in part::of_session(conn, session).await? {
        parts.entry(part.message_id.clone()).or_default().push(part);
    }
    let with_parts = |message: Message| {
        let parts = Some(parts.remove(&message.id).unwrap_or_default());
        MessageWithParts { message, parts }
    };
    Ok(messages.into_iter().map(with_parts).collect())
}

/// Inserts messages whose ids are free.
pub async fn insert(conn: &mut AsyncPgConnection, new: &[&Message]) -> QueryResult<Vec<Message>> {
    // A statement for one row is always the same and stays prepared.
    if let [one] = new {
        let insert = diesel::insert_into(messages::table).values(*one).returning(Message::as_returning());
        return Ok(vec![insert.get_result(conn).await?]);
    }
    let mut inserted = Vec::with_capacity(new.len());
    for rows in new.chunks(MAX_PARAMETERS / COLUMNS) {
        let insert = diesel::insert_into(messages::table).values(rows.to_vec()).returning(Message::as_returning());
        inserted.extend(insert.load::<Message>(conn).await?);
    }
    Ok(inserted)
}

/// Changes columns of a message; the patch must not be empty.
pub async fn update(conn: &mut AsyncPgConnection, id: &MessageId, patch: &MessagePatch) -> QueryResult<Message> {
    diesel::update(messages::table.find(id)).set(patch).returning(Message::as_returning()).get_result(conn).await
}

/// Deletes messages with their parts.
pub async fn delete(conn: &mut AsyncPgConnection, ids: &[&MessageId]) -> QueryResult<usize> {
    diesel::delete(messages::table.filter(messages::id.eq_any(ids.iter().copied()))).execute(conn).await
}

/// Deletes all messages of the session with their parts, and says how many messages that were.
pub async fn delete_of_session(conn: &mut AsyncPgConnection, session: &SessionId) -> QueryResult<usize> {
    diesel::delete(messages::table.filter(messages::session_id.eq(session))).execute(conn).await
}
