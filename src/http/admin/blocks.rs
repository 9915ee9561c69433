//! `/v1/admin/principals`: who is kept out, whatever token it shows.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path};
use chrono::Utc;
use serde::Serialize;

use super::Admin;
use crate::auth::Guard;
use crate::auth::claims::MAX_NAME_BYTES;
use crate::db::access::{self, BlockedPrincipal};
use crate::error::ApiError;
use crate::http::body::{Body, int8};
use crate::http::{AgentState, answer};

/// The longest block that ends: ten years. One that is to last longer has no end.
const MAX_SECONDS: i64 = 10 * 366 * 24 * 60 * 60;

const NO_AUTHENTICATION: &str = "there is no authentication here, so nobody can be told from others";

/// All who are kept out.
#[derive(Serialize)]
pub struct Blocked {
    blocked: Vec<BlockedPrincipal>,
}

/// `GET /v1/admin/principals`: by name.
pub async fn list(state: Data<AgentState>) -> Result<Json<Blocked>, ApiError> {
    Ok(Json(Blocked { blocked: state.database.read(async |conn| access::blocked(conn).await).await? }))
}

/// `PUT /v1/admin/principals/{principal}/block`: `{"seconds": 3600}`, or `{}` for good. Answers how many subscriptions it ended.
pub async fn block(
    state: Data<AgentState>,
    admin: Data<Admin>,
    guard: Data<Guard>,
    path: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let principal = named(&guard, path)?;
    let mut fields = body.object()?;
    let seconds = fields.nullable("seconds", int8)?;
    fields.finish()?;
    if seconds.is_some_and(|seconds| !(1..=MAX_SECONDS).contains(&seconds)) {
        return Err(ApiError::invalid("seconds", format!("a number from 1 to {MAX_SECONDS}, or nothing")));
    }
    let expires_at = seconds.map(|seconds| Utc::now() + Duration::from_secs(seconds.unsigned_abs()));
    let blocked = BlockedPrincipal { principal, expires_at };
    // To its end, also where its caller goes away.
    let blocking = actix_web::rt::spawn(async move {
        state.database.read(async |conn| access::block(conn, &blocked).await).await?;
        Ok::<_, ApiError>(admin.throw_out(&[blocked.principal]).await)
    });
    Ok(answer(StatusCode::OK, &blocking.await.map_err(|_| ApiError::Internal)??))
}

#[derive(Serialize)]
struct Unblocked {
    unblocked: usize,
}

/// `DELETE /v1/admin/principals/{principal}/block`.
pub async fn unblock(
    state: Data<AgentState>,
    admin: Data<Admin>,
    guard: Data<Guard>,
    path: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let principal = named(&guard, path)?;
    let unblocked = state.database.read(async |conn| access::unblock(conn, &principal).await).await?;
    admin.look_again().await;
    Ok(answer(StatusCode::OK, &Unblocked { unblocked }))
}

fn named(guard: &Guard, path: Path<String>) -> Result<String, ApiError> {
    if guard.is_open() {
        return Err(ApiError::NotAvailable(NO_AUTHENTICATION));
    }
    let name = path.into_inner();
    let fits = name.len() <= MAX_NAME_BYTES && !name.contains('\0');
    if fits {
        Ok(name)
    } else {
        Err(ApiError::invalid("principal", format!("at most {MAX_NAME_BYTES} bytes without U+0000")))
    }
}
