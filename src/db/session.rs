//! Table `sessions`.

use diesel::prelude::*;
use diesel_async::{AnsiTransactionManager, AsyncPgConnection, RunQueryDsl, TransactionManager};
use serde::Serialize;

use super::access::shown;
use super::patch::patch;
use super::schema::sessions;
use crate::auth::Scope;
use crate::ids::SessionId;
use crate::json::Json;

/// What `reasoning_effort` may be.
pub const REASONING_EFFORTS: &[&str] = &["minimal", "low", "medium", "high"];

/// One session. Times are Unix milliseconds.
#[derive(Debug, Clone, Queryable, Selectable, Insertable, Serialize)]
#[diesel(table_name = sessions, check_for_backend(diesel::pg::Pg), treat_none_as_default_value = false)]
pub struct Session {
    pub id: SessionId,
    pub project_id: String,
    pub directory: String,
    pub title: String,
    pub version: String,
    pub time_created: i64,
    /// Moves with every write to the session or to anything below it.
    pub time_updated: i64,
    pub time_archived: Option<i64>,
    pub parent_id: Option<SessionId>,
    pub fork_point: Option<String>,
    pub summary: Option<Json>,
    pub revert: Option<Json>,
    pub compaction: Option<Json>,
    pub token_count: i32,
    pub bypass_mode: bool,
    pub model: Option<String>,
    pub reasoning_effort: Option<String>,
    pub ghost_commit: Option<Json>,
    pub plugins: Json,
}

patch! {
    /// Changes to a session.
    SessionPatch of Session in sessions {
        project_id: String,
        directory: String,
        title: String,
        version: String,
        time_created: i64,
        time_archived: Option<i64>,
        parent_id: Option<SessionId>,
        fork_point: Option<String>,
        summary: Option<Json>,
        revert: Option<Json>,
        compaction: Option<Json>,
        token_count: i32,
        bypass_mode: bool,
        model: Option<String>,
        reasoning_effort: Option<String>,
        ghost_commit: Option<Json>,
        plugins: Json,
    }
}

/// Which sessions a list shows.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Of this project only.
    pub project_id: Option<String>,
    /// Only those that are archived, or only those that are not.
    pub archived: Option<bool>,
    /// Only what comes after the session with this `time_updated` and id.
    pub after: Option<(i64, SessionId)>,
    /// At most this many.
    pub limit: i64,
    /// Only those that are in it.
    pub scope: Scope,
}

/// Locks sessions against every other writer until the transaction ends, in id order, so that two writers cannot
/// wait for each other. Returns `(id, time_updated)` of those that exist.
pub async fn lock(conn: &mut AsyncPgConnection, ids: &[&SessionId]) -> QueryResult<Vec<(SessionId, i64)>> {
    sessions::table
        .filter(sessions::id.eq_any(ids.iter().copied()))
        .order(sessions::id)
        .select((sessions::id, sessions::time_updated))
        .for_update()
        .load(conn)
        .await
}

/// The session, if it exists.
pub async fn find(conn: &mut AsyncPgConnection, id: &SessionId) -> QueryResult<Option<Session>> {
    sessions::table.find(id).select(Session::as_select()).first(conn).await.optional()
}

/// Whether the session exists.
pub async fn exists(conn: &mut AsyncPgConnection, id: &SessionId) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(sessions::table.find(id))).get_result(conn).await
}

/// Sessions, the one updated last first; sessions of the same time by id.
pub async fn list(conn: &mut AsyncPgConnection, listed: &Listed) -> QueryResult<Vec<Session>> {
    let mut query = sessions::table.select(Session::as_select()).limit(listed.limit).into_boxed();
    if !listed.scope.is_everything() {
        query = query.filter(shown(&listed.scope));
    }
    if let Some(project_id) = &listed.project_id {
        query = query.filter(sessions::project_id.eq(project_id));
    }
    match listed.archived {
        Some(true) => query = query.filter(sessions::time_archived.is_not_null()),
        Some(false) => query = query.filter(sessions::time_archived.is_null()),
        None => {}
    }
    if let Some((time_updated, id)) = &listed.after {
        let same_time = sessions::time_updated.eq(*time_updated).and(sessions::id.gt(id));
        query = query.filter(sessions::time_updated.lt(*time_updated).or(same_time));
    }
    query.order((sessions::time_updated.desc(), sessions::id)).load(conn).await
}

/// Inserts a session whose id is free.
pub async fn insert(conn: &mut AsyncPgConnection, session: &Session) -> QueryResult<Session> {
    diesel::insert_into(sessions::table).values(session).returning(Session::as_returning()).get_result(conn).await
}

/// Changes the session's columns and its `time_updated`.
pub async fn update(
    conn: &mut AsyncPgConnection,
    id: &SessionId,
    patch: &SessionPatch,
    time_updated: i64,
) -> QueryResult<Session> {
    diesel::update(sessions::table.find(id))
        .set((patch, sessions::time_updated.eq(time_updated)))
        .returning(Session::as_returning())
        .get_result(conn)
        .await
}

/// Moves `time_updated` of each session to `now`, or past its own value where the clock has not moved on.
pub async fn touch(conn: &mut AsyncPgConnection, ids: &[&SessionId], now: i64) -> QueryResult<usize> {
    diesel::sql_query("UPDATE sessions SET time_updated = greatest(time_updated + 1, $1) WHERE id = ANY($2)")
        .bind::<diesel::sql_types::BigInt, _>(now)
        .bind::<diesel::sql_types::Array<diesel::sql_types::Text>, _>(ids)
        .execute(conn)
        .await
}

/// Deletes the session and everything below it.
pub async fn delete(conn: &mut AsyncPgConnection, id: &SessionId) -> QueryResult<Option<Session>> {
    diesel::delete(sessions::table.find(id)).returning(Session::as_returning()).get_result(conn).await.optional()
}

/// Reads what is below a session as of one moment, or nothing if there is no such session.
pub async fn read_at_once<T>(
    conn: &mut AsyncPgConnection,
    id: &SessionId,
    read: impl AsyncFn(&mut AsyncPgConnection) -> QueryResult<T>,
) -> QueryResult<Option<T>> {
    AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let rows = async { if exists(conn, id).await? { read(conn).await.map(Some) } else { Ok(None) } };
    match rows.await {
        Ok(rows) => {
            AnsiTransactionManager::commit_transaction(conn).await?;
            Ok(rows)
        }
        Err(cause) => {
            // If this fails too, the pool sees the connection's state and drops it.
            let _ = AnsiTransactionManager::rollback_transaction(conn).await;
            Err(cause)
        }
    }
}
