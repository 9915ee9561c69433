//! Table `parts`.

use diesel::dsl::max;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;

use super::MAX_PARAMETERS;
use super::patch::patch;
use super::schema::parts;
use crate::ids::{MessageId, PartId, SessionId};
use crate::json::Json;

/// What `type` may be.
pub const TYPES: &[&str] = &["text", "reasoning", "tool", "file"];

const COLUMNS: usize = 13;

/// One part of a message. Times are Unix milliseconds.
#[derive(Debug, Clone, Queryable, Selectable, Insertable, Serialize)]
#[diesel(table_name = parts, check_for_backend(diesel::pg::Pg), treat_none_as_default_value = false)]
pub struct Part {
    pub id: PartId,
    /// Always the message's own: the database sees to it.
    pub session_id: SessionId,
    pub message_id: MessageId,
    #[serde(rename = "type")]
    pub type_: String,
    pub text: Option<String>,
    pub tool_name: Option<String>,
    pub tool_state: Option<Json>,
    pub mime: Option<String>,
    pub url: Option<String>,
    pub filename: Option<String>,
    pub time_start: Option<i64>,
    pub time_end: Option<i64>,
    pub sort_order: i32,
}

patch! {
    /// Changes to a part. The message changes when a new list of messages moves the part.
    PartPatch of Part in parts {
        message_id: MessageId,
        type_: String,
        text: Option<String>,
        tool_name: Option<String>,
        tool_state: Option<Json>,
        mime: Option<String>,
        url: Option<String>,
        filename: Option<String>,
        time_start: Option<i64>,
        time_end: Option<i64>,
        sort_order: i32,
    }
}

/// Those of the parts that exist, whatever messages they are of, in no order.
pub async fn find_all(conn: &mut AsyncPgConnection, ids: &[&PartId]) -> QueryResult<Vec<Part>> {
    parts::table.filter(parts::id.eq_any(ids.iter().copied())).select(Part::as_select()).load(conn).await
}

/// The message's parts in order.
pub async fn of_message(conn: &mut AsyncPgConnection, message: &MessageId) -> QueryResult<Vec<Part>> {
    let found = parts::table.filter(parts::message_id.eq(message)).order((parts::sort_order, parts::id));
    found.select(Part::as_select()).load(conn).await
}

/// All parts of the session, those of each message in order.
pub async fn of_session(conn: &mut AsyncPgConnection, session: &SessionId) -> QueryResult<Vec<Part>> {
    let found = parts::table.filter(parts::session_id.eq(session)).order((parts::sort_order, parts::id));
    found.select(Part::as_select()).load(conn).await
}

/// The highest `sort_order` in the message, if it has parts.
pub async fn last_sort_order(conn: &mut AsyncPgConnection, message: &MessageId) -> QueryResult<Option<i32>> {
    parts::table.filter(parts::message_id.eq(message)).select(max(parts::sort_order)).first(conn).await
}

/// Inserts parts whose ids are free.
pub async fn insert(conn: &mut AsyncPgConnection, new: &[&Part]) -> QueryResult<Vec<Part>> {
    // A statement for one row is always the same and stays prepared.
    if let [one] = new {
        let insert = diesel::insert_into(parts::table).values(*one).returning(Part::as_returning());
        return Ok(vec![insert.get_result(conn).await?]);
    }
    let mut inserted = Vec::with_capacity(new.len());
    for rows in new.chunks(MAX_PARAMETERS / COLUMNS) {
        let insert = diesel::insert_into(parts::table).values(rows.to_vec()).returning(Part::as_returning());
        inserted.extend(insert.load::<Part>(conn).await?);
    }
    Ok(inserted)
}

/// Changes columns of a part; the patch must not be empty.
pub async fn update(conn: &mut AsyncPgConnection, id: &PartId, patch: &PartPatch) -> QueryResult<Part> {
    diesel::update(parts::table.find(id)).set(patch).returning(Part::as_returning()).get_result(conn).await
}

/// Deletes parts.
pub async fn delete(conn: &mut AsyncPgConnection, ids: &[&PartId]) -> QueryResult<usize> {
    diesel::delete(parts::table.filter(parts::id.eq_any(ids.iter().copied()))).execute(conn).await
}
