//! Table `snapshot_history`: the states of the working copy that a session went through.

use chrono::{DateTime, Utc};
use diesel::dsl::max;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;

use super::MAX_PARAMETERS;
use super::schema::snapshot_history;
use crate::ids::SessionId;

const COLUMNS: usize = 3;

/// One snapshot of a session.
#[derive(Debug, Clone, Queryable, Selectable, Serialize)]
#[diesel(table_name = snapshot_history, check_for_backend(diesel::pg::Pg))]
pub struct Snapshot {
    pub id: i32,
    pub session_id: SessionId,
    pub change_id: String,
    /// Unique in the session.
    pub sort_order: i32,
    pub created_at: DateTime<Utc>,
}

/// A snapshot before the database has numbered it.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = snapshot_history)]
pub struct NewSnapshot {
    pub session_id: SessionId,
    pub change_id: String,
    pub sort_order: i32,
}

/// The session's snapshots in order.
pub async fn of_session(conn: &mut AsyncPgConnection, session: &SessionId) -> QueryResult<Vec<Snapshot>> {
    let found = snapshot_history::table.filter(snapshot_history::session_id.eq(session));
    found.order(snapshot_history::sort_order).select(Snapshot::as_select()).load(conn).await
}

/// The session's snapshot at a place, if there is one.
pub async fn at(conn: &mut AsyncPgConnection, session: &SessionId, sort_order: i32) -> QueryResult<Option<Snapshot>> {
    snapshot_history::table
        .filter(snapshot_history::session_id.eq(session).and(snapshot_history::sort_order.eq(sort_order)))
        .select(Snapshot::as_select())
        .first(conn)
        .await
        .optional()
}

/// The highest `sort_order` of the session, if it has snapshots.
pub async fn last_sort_order(conn: &mut AsyncPgConnection, session: &SessionId) -> QueryResult<Option<i32>> {
    let found = snapshot_history::table.filter(snapshot_history::session_id.eq(session));
    found.select(max(snapshot_history::sort_order)).first(conn).await
}

/// Inserts snapshots at free places.
pub async fn insert(conn: &mut AsyncPgConnection, new: &[NewSnapshot]) -> QueryResult<Vec<Snapshot>> {
    let mut inserted = Vec::with_capacity(new.len());
    for rows in new.chunks(MAX_PARAMETERS / COLUMNS) {
        let insert = diesel::insert_into(snapshot_history::table).values(rows).returning(Snapshot::as_returning());
        inserted.extend(insert.load::<Snapshot>(conn).await?);
    }
    Ok(inserted)
}

/// Puts another change at a snapshot's place.
pub async fn update(conn: &mut AsyncPgConnection, id: i32, change_id: &str) -> QueryResult<usize> {
    let update = diesel::update(snapshot_history::table.find(id)).set(snapshot_history::change_id.eq(change_id));
    update.execute(conn).await
}

/// Deletes snapshots.
pub async fn delete(conn: &mut AsyncPgConnection, ids: &[i32]) -> QueryResult<usize> {
    diesel::delete(snapshot_history::table.filter(snapshot_history::id.eq_any(ids))).execute(conn).await
}

/// Deletes all snapshots of the session, and says how many that were.
pub async fn delete_of_session(conn: &mut AsyncPgConnection, session: &SessionId) -> QueryResult<usize> {
    let found = snapshot_history::table.filter(snapshot_history::session_id.eq(session));
    diesel::delete(found).execute(conn).await
}
