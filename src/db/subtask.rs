//! Table `subtasks`: what the tasks that a session handed out came back with.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;

use super::schema::subtasks;
use crate::ids::SessionId;
use crate::json::Json;

/// One subtask of a session.
#[derive(Debug, Clone, Queryable, Selectable, Serialize)]
#[diesel(table_name = subtasks, check_for_backend(diesel::pg::Pg))]
pub struct Subtask {
    pub id: i32,
    pub session_id: SessionId,
    /// The caller's name for it, unique in the session.
    pub key: Option<String>,
    pub result: Json,
    pub created_at: DateTime<Utc>,
}

/// A subtask before the database has numbered it.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = subtasks, treat_none_as_default_value = false)]
pub struct NewSubtask {
    pub session_id: SessionId,
    pub key: Option<String>,
    pub result: Json,
}

/// The session's subtasks, oldest first.
pub async fn of_session(conn: &mut AsyncPgConnection, session: &SessionId) -> QueryResult<Vec<Subtask>> {
    let found = subtasks::table.filter(subtasks::session_id.eq(session));
    found.order(subtasks::id).select(Subtask::as_select()).load(conn).await
}

/// The session's subtask of that key, if there is one.
pub async fn with_key(conn: &mut AsyncPgConnection, session: &SessionId, key: &str) -> QueryResult<Option<Subtask>> {
    let found = subtasks::table.filter(subtasks::session_id.eq(session).and(subtasks::key.eq(key)));
    found.select(Subtask::as_select()).first(conn).await.optional()
}

/// Inserts a subtask whose key is free.
pub async fn insert(conn: &mut AsyncPgConnection, new: &NewSubtask) -> QueryResult<Subtask> {
    diesel::insert_into(subtasks::table).values(new).returning(Subtask::as_returning()).get_result(conn).await
}

/// Deletes all subtasks of the session, and says how many that were.
pub async fn delete_of_session(conn: &mut AsyncPgConnection, session: &SessionId) -> QueryResult<usize> {
    diesel::delete(subtasks::table.filter(subtasks::session_id.eq(session))).execute(conn).await
}
