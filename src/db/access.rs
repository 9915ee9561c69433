//! Tables `capability_tokens` and `blocked_principals`: what lets in and what keeps out, and which sessions a scope shows.

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text, Timestamptz};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use serde::Serialize;

use super::schema::{blocked_principals, capability_tokens, sessions};
use crate::auth::Scope;
use crate::auth::scope::Sessions;
use crate::ids::SessionId;
use crate::shape::quote_identifier;

/// A token that was minted here, without what makes it one.
#[derive(Debug, Clone, Queryable, Selectable, Serialize)]
#[diesel(table_name = capability_tokens, check_for_backend(diesel::pg::Pg))]
pub struct CapabilityToken {
    pub id: String,
    pub session_id: SessionId,
    pub role: String,
    /// `None`: all.
    pub tables: Option<Vec<Option<String>>>,
    pub minted_by: Option<String>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// One that is minted.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = capability_tokens)]
pub struct NewCapabilityToken {
    pub id: String,
    pub hash: Vec<u8>,
    pub session_id: SessionId,
    pub role: String,
    pub tables: Option<Vec<Option<String>>>,
    pub minted_by: Option<String>,
    pub expires_at: DateTime<Utc>,
}

/// A principal that is kept out.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, Serialize)]
#[diesel(table_name = blocked_principals, check_for_backend(diesel::pg::Pg), treat_none_as_default_value = false)]
pub struct BlockedPrincipal {
    pub principal: String,
    pub expires_at: Option<DateTime<Utc>>,
}

/// Inserts a token; nothing if its session does not exist.
pub async fn mint(conn: &mut AsyncPgConnection, new: &NewCapabilityToken) -> QueryResult<Option<CapabilityToken>> {
    conn.transaction(async |conn| {
        // Held until the token is there, so that a session that is being deleted finds it.
        let session = sessions::table.find(&new.session_id).select(sessions::id).for_key_share();
        if session.first::<SessionId>(conn).await.optional()?.is_none() {
            return Ok(None);
        }
        let minted = diesel::insert_into(capability_tokens::table).values(new);
        minted.returning(CapabilityToken::as_returning()).get_result(conn).await.map(Some)
    })
    .await
}

/// The token of this hash, if it may be used.
pub async fn find_token(conn: &mut AsyncPgConnection, hash: &[u8]) -> QueryResult<Option<CapabilityToken>> {
    capability_tokens::table
        .filter(capability_tokens::hash.eq(hash))
        .filter(capability_tokens::revoked_at.is_null().and(capability_tokens::expires_at.gt(moment())))
        .select(CapabilityToken::as_select())
        .first(conn)
        .await
        .optional()
}

/// The session's tokens that may be used, the newest first.
pub async fn tokens_of(conn: &mut AsyncPgConnection, session: &SessionId) -> QueryResult<Vec<CapabilityToken>> {
    capability_tokens::table
        .filter(capability_tokens::session_id.eq(session))
        .filter(capability_tokens::revoked_at.is_null().and(capability_tokens::expires_at.gt(moment())))
        .order(capability_tokens::id.desc())
        .select(CapabilityToken::as_select())
        .load(conn)
        .await
}

/// Revokes tokens of a session: one, or all that may be used. Returns the ids of those that are revoked now and were not before.
pub async fn revoke(conn: &mut AsyncPgConnection, session: &SessionId, id: Option<&str>) -> QueryResult<Vec<String>> {
    let mut meant = diesel::update(capability_tokens::table)
        .filter(capability_tokens::session_id.eq(session))
        .filter(capability_tokens::revoked_at.is_null().and(capability_tokens::expires_at.gt(moment())))
        .set(capability_tokens::revoked_at.eq(moment_or_null()))
        .into_boxed();
    if let Some(id) = id {
        meant = meant.filter(capability_tokens::id.eq(id));
    }
    meant.returning(capability_tokens::id).get_results(conn).await
}

/// Whether sessions have a column of this name.
pub async fn has_column(conn: &mut AsyncPgConnection, column: &str) -> QueryResult<bool> {
    let found = diesel::sql_query(
        "SELECT 1 FROM pg_attribute WHERE attrelid = 'sessions'::regclass AND attname = $1 AND attnum > 0 AND NOT attisdropped",
    );
    Ok(found.bind::<Text, _>(column).execute(conn).await? > 0)
}

/// Tokens that are revoked and would not have expired yet.
pub async fn revoked(conn: &mut AsyncPgConnection) -> QueryResult<Vec<String>> {
    capability_tokens::table
        .filter(capability_tokens::revoked_at.is_not_null().and(capability_tokens::expires_at.gt(moment())))
        .select(capability_tokens::id)
        .load(conn)
        .await
}

/// Forgets tokens that expired more than a day ago, and blocks that are over.
pub async fn forget_expired(conn: &mut AsyncPgConnection) -> QueryResult<usize> {
    let tokens = diesel::sql_query("DELETE FROM capability_tokens WHERE expires_at < now() - interval '1 day'");
    let blocks = diesel::delete(blocked_principals::table.filter(blocked_principals::expires_at.le(moment_or_null())));
    Ok(tokens.execute(conn).await? + blocks.execute(conn).await?)
}

/// Keeps a principal out, in place of what was said of it before.
pub async fn block(conn: &mut AsyncPgConnection, blocked: &BlockedPrincipal) -> QueryResult<usize> {
    diesel::insert_into(blocked_principals::table)
        .values(blocked)
        .on_conflict(blocked_principals::principal)
        .do_update()
        .set(blocked_principals::expires_at.eq(blocked.expires_at))
        .execute(conn)
        .await
}

/// Lets a principal in again; 0 if it was not kept out.
pub async fn unblock(conn: &mut AsyncPgConnection, principal: &str) -> QueryResult<usize> {
    diesel::delete(blocked_principals::table.find(principal)).execute(conn).await
}

/// Principals that are kept out, by name.
pub async fn blocked(conn: &mut AsyncPgConnection) -> QueryResult<Vec<BlockedPrincipal>> {
    blocked_principals::table
        .filter(blocked_principals::expires_at.is_null().or(blocked_principals::expires_at.gt(moment_or_null())))
        .order(blocked_principals::principal)
        .select(BlockedPrincipal::as_select())
        .load(conn)
        .await
}

/// Whether there is a session of this id that the scope shows. The same one query whether there is none or it is not shown.
pub async fn shows(conn: &mut AsyncPgConnection, scope: &Scope, id: &SessionId) -> QueryResult<bool> {
    let found = sessions::table.find(id).filter(shown(scope)).select(sessions::id);
    Ok(found.first::<SessionId>(conn).await.optional()?.is_some())
}

/// Postgres' own clock: that of this machine may be off.
fn moment() -> diesel::expression::SqlLiteral<Timestamptz> {
    sql("now()")
}

fn moment_or_null() -> diesel::expression::SqlLiteral<Nullable<Timestamptz>> {
    sql("now()")
}

/// A condition on sessions.
pub type Shown = Box<dyn BoxableExpression<sessions::table, diesel::pg::Pg, SqlType = Bool>>;

/// What the scope says of a row of `sessions`.
pub fn shown(scope: &Scope) -> Shown {
    let mut shown: Shown = match &scope.sessions {
        Sessions::All => Box::new(sql::<Bool>("TRUE")),
        Sessions::These(ids) => {
            let named = sessions::id.eq_any(ids.clone());
            Box::new(named.or(sessions::project_id.eq_any(scope.projects.clone())))
        }
    };
    for (column, value) in &scope.columns {
        let column = format!("{}::text = ", quote_identifier(column));
        let is = sql::<Bool>(&column).bind::<Text, _>(value.clone());
        shown = Box::new(shown.and(is));
    }
    shown
}
