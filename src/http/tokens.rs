//! `/v1/sessions/{session}/tokens`: tokens that let their holder into one session, and nowhere else.
//!
//! A backend that has checked its own user mints one and hands it to the browser.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::access::Who;
use super::admin::{Admin, Ended};
use super::body::{Body, Expected, Fields, int8, one_of};
use super::{AgentState, answer};
use crate::auth::capability::{Secret, new_id};
use crate::auth::narrow::AGENT_TABLES;
use crate::auth::principal::Origin;
use crate::auth::{Guard, Principal, Role};
use crate::db::access::{self, CapabilityToken, NewCapabilityToken};
use crate::error::ApiError;
use crate::ids::SessionId;

/// How long a token lasts, unless its minter says otherwise.
const LIFETIME: Duration = Duration::from_secs(60 * 60);
/// What a token may be minted for.
const ROLES: &[&str] = &["viewer", "agent"];
/// Tokens of one session that may be used: each is a principal of its own, with limits of its own.
const MAX_TOKENS: usize = 1000;
/// Tables and named shapes that one token may list.
const MAX_TABLES: usize = 32;

const NO_AUTHENTICATION: &str = "there is no authentication here, so there is nothing to mint or revoke";

/// A token and what it is for. Nobody is ever told the token again.
#[derive(Serialize)]
struct Minted<'a> {
    token: &'a str,
    #[serde(flatten)]
    about: CapabilityToken,
}

/// `POST /v1/sessions/{session}/tokens`: `{"role": "viewer", "tables": [...], "lifetime_seconds": 3600}`, all of it optional.
pub async fn mint(
    state: Data<AgentState>,
    guard: Data<Guard>,
    Who(principal): Who,
    path: Path<SessionId>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let most = guard.max_token_lifetime().ok_or(ApiError::NotAvailable(NO_AUTHENTICATION))?;
    let secret = Secret::generate();
    let new = new_token(body.object()?, &principal, path.into_inner(), &secret, most)?;
    let open = state.database.read(async |conn| access::tokens_of(conn, &new.session_id).await).await?.len();
    if open >= MAX_TOKENS {
        let text = format!("this session has {MAX_TOKENS} tokens already; revoke some, or let them expire");
        return Err(ApiError::Forbidden(text.into()));
    }
    // If the connection dies at the commit, the second try meets the first one's id and fails: a token that nobody has been told.
    let minted = state.database.read(async |conn| access::mint(conn, &new).await).await?;
    let about = minted.ok_or(ApiError::NotFound("session"))?;
    Ok(answer(StatusCode::CREATED, &Minted { token: secret.expose(), about }))
}

/// What may be used.
#[derive(Serialize)]
pub struct Tokens {
    tokens: Vec<CapabilityToken>,
}

/// `GET /v1/sessions/{session}/tokens`: the newest first, without the tokens themselves.
pub async fn list(
    state: Data<AgentState>,
    Who(principal): Who,
    path: Path<SessionId>,
) -> Result<Json<Tokens>, ApiError> {
    refuse_capability(&principal)?;
    let tokens = state.database.read(async |conn| access::tokens_of(conn, &path).await).await?;
    Ok(Json(Tokens { tokens }))
}

#[derive(Deserialize)]
pub struct One {
    session: SessionId,
    token: String,
}

/// `DELETE /v1/sessions/{session}/tokens/{token}`: by the id of a token.
pub async fn revoke(
    state: Data<AgentState>,
    admin: Data<Admin>,
    Who(principal): Who,
    path: Path<One>,
) -> Result<HttpResponse, ApiError> {
    end(&state, &admin, &principal, &path.session, Some(&path.token)).await
}

/// `DELETE /v1/sessions/{session}/tokens`: all of them.
pub async fn revoke_all(
    state: Data<AgentState>,
    admin: Data<Admin>,
    Who(principal): Who,
    path: Path<SessionId>,
) -> Result<HttpResponse, ApiError> {
    end(&state, &admin, &principal, &path, None).await
}

/// How many tokens, and how many subscriptions ended with them.
#[derive(Serialize)]
struct Revoked {
    revoked: usize,
    #[serde(flatten)]
    ended: Ended,
}

/// Revokes in Postgres first, so that it is known wherever it is not told.
async fn end(
    state: &Data<AgentState>,
    admin: &Data<Admin>,
    principal: &Principal,
    session: &SessionId,
    id: Option<&str>,
) -> Result<HttpResponse, ApiError> {
    refuse_capability(principal)?;
    let (state, admin, session, id) = (state.clone(), admin.clone(), session.clone(), id.map(str::to_owned));
    // To its end, also where its caller goes away: what is revoked must be told.
    let revoking = actix_web::rt::spawn(async move {
        let revoked = state.database.read(async |conn| access::revoke(conn, &session, id.as_deref()).await).await?;
        let ended = admin.throw_out(&revoked).await;
        Ok::<_, ApiError>(Revoked { revoked: revoked.len(), ended })
    });
    let revoked = revoking.await.map_err(|_| ApiError::Internal)??;
    Ok(answer(StatusCode::OK, &revoked))
}

/// Whoever holds a token for a session shall not make it last, or see who else holds one.
fn refuse_capability(principal: &Principal) -> Result<(), ApiError> {
    if principal.origin == Origin::Capability {
        return Err(ApiError::Forbidden(
            "this needs a token of your own, not one that was minted for a session".into(),
        ));
    }
    Ok(())
}

fn new_token(
    mut fields: Fields,
    principal: &Principal,
    session_id: SessionId,
    secret: &Secret,
    most: Duration,
) -> Result<NewCapabilityToken, ApiError> {
    refuse_capability(principal)?;
    let role = fields.optional("role", one_of(ROLES))?.unwrap_or_else(|| Role::Viewer.as_str().to_owned());
    let tables = fields.nullable("tables", tables)?;
    let seconds = fields.optional("lifetime_seconds", int8)?;
    fields.finish()?;
    let most = most.as_secs();
    let seconds = match seconds {
        None => LIFETIME.as_secs().min(most),
        Some(seconds) => {
            let seconds = u64::try_from(seconds).ok().filter(|seconds| (1..=most).contains(seconds));
            seconds.ok_or_else(|| ApiError::invalid("lifetime_seconds", format!("a number from 1 to {most}")))?
        }
    };
    Ok(NewCapabilityToken {
        id: new_id(),
        hash: secret.hash(),
        session_id,
        role,
        tables,
        minted_by: principal.name.as_deref().map(str::to_owned),
        expires_at: expiry(seconds).ok_or_else(|| ApiError::invalid("lifetime_seconds", "a smaller number"))?,
    })
}

fn expiry(seconds: u64) -> Option<DateTime<Utc>> {
    Utc::now().checked_add_signed(TimeDelta::try_seconds(i64::try_from(seconds).ok()?)?)
}

/// Names of tables, or of shapes that have a name.
fn tables(list: serde_json::Value) -> Result<Vec<Option<String>>, Expected> {
    let plain = |name: &&str| {
        let fits = (1..=63).contains(&name.len());
        fits && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let names = list.as_array().filter(|list| (1..=MAX_TABLES).contains(&list.len()));
    let names = names.map(|list| list.iter().map(|name| name.as_str().filter(plain).map(|name| Some(name.to_owned()))));
    names.and_then(Iterator::collect).ok_or_else(|| {
        let known = AGENT_TABLES.join(", ");
        format!("a list of 1 to {MAX_TABLES} of {known}, or names of shapes").into()
    })
}
