//! In front of the routes: who asks is known before anything else is looked at, and what it may do.

use std::future::{Ready, ready};
use std::net::IpAddr;
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::{Data, Path};
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, ResponseError};
use serde::Deserialize;

use super::{AgentState, address};
use crate::auth::guard::Shown;
use crate::auth::narrow::AGENT_TABLES;
use crate::auth::{Guard, Principal, Refused, Role};
use crate::db::access;
use crate::error::ApiError;
use crate::ids::{InvalidId, SessionId};

/// The longest head of a request that is looked at, without its URL.
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// What answers differ by, where they differ by who asks.
pub const VARY: HeaderValue = HeaderValue::from_static("authorization, cookie");

/// Who sends a request, for handlers behind [`authenticated`].
pub struct Who(pub Arc<Principal>);

impl FromRequest for Who {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let who = request.extensions().get::<Arc<Principal>>().cloned();
        // Only a route that nobody guards has none, and none is to be answered then.
        ready(who.map(Self).ok_or(ApiError::Internal))
    }
}

/// Wraps routes: answers only those who are known, each for itself.
pub async fn authenticated(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let principal = match Box::pin(identify(&request)).await {
        Ok(principal) => principal,
        Err(refused) => return Ok(refuse(request, &refused)),
    };
    let is_told_apart = principal.is_told_apart();
    request.extensions_mut().insert(principal);
    let mut response = next.call(request).await?.map_into_boxed_body();
    if is_told_apart {
        let headers = response.headers_mut();
        headers.append(header::VARY, VARY);
        if !headers.contains_key(header::CACHE_CONTROL) {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }
    Ok(response)
}

/// Wraps a resource of `/v1/sessions` behind [`authenticated`]: a session that is not to be seen looks like one that is not there.
pub async fn permitted(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match Box::pin(permit(&mut request)).await {
        Ok(()) => Ok(next.call(request).await?.map_into_boxed_body()),
        Err(refused) => Ok(refuse(request, &refused)),
    }
}

/// Wraps the admin API behind [`authenticated`].
pub async fn admins_only(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let is_admin = request.extensions().get::<Arc<Principal>>().is_some_and(|who| who.role == Role::Admin);
    if is_admin {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    Ok(refuse(request, &ApiError::Forbidden("this needs the role admin".into())))
}

pub fn refuse(request: ServiceRequest, refused: &ApiError) -> ServiceResponse<BoxBody> {
    request.into_response(refused.error_response())
}

/// Whether who sends a request is still to be answered, some time after it was let in.
///
/// # Errors
/// It is not.
pub fn check_again(request: &HttpRequest) -> Result<(), ApiError> {
    let principal = request.extensions().get::<Arc<Principal>>().cloned();
    match (request.app_data::<Data<Guard>>(), principal) {
        (Some(guard), Some(principal)) => Ok(guard.check_again(&principal)?),
        _ => Err(ApiError::Internal),
    }
}

/// Who follows a shape: whoever it is, where the shape is public.
pub async fn identify_reader(request: &ServiceRequest) -> Result<Arc<Principal>, ApiError> {
    let guard = request.app_data::<Data<Guard>>();
    match guard {
        Some(guard) if guard.narrow.is_public(request.query_string()) => {
            admit(request, guard)?;
            Ok(Arc::clone(guard.public()))
        }
        _ => identify(request).await,
    }
}

/// Whether a request may be looked at, whoever sends it. Gives the address that it comes from.
fn admit(request: &ServiceRequest, guard: &Guard) -> Result<IpAddr, ApiError> {
    let head: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if head > MAX_HEADER_BYTES {
        return Err(ApiError::HeadersTooLarge(MAX_HEADER_BYTES));
    }
    // A connection without an address has gone.
    let address = address::note(request).ok_or(ApiError::Internal)?;
    guard.admit_address(address)?;
    Ok(address)
}

async fn identify(request: &ServiceRequest) -> Result<Arc<Principal>, ApiError> {
    let guard = request.app_data::<Data<Guard>>().ok_or(ApiError::Internal)?;
    if let Some(anybody) = guard.anybody() {
        address::note(request);
        return Ok(Arc::clone(anybody));
    }
    let address = admit(request, guard)?;
    let text = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    // Two of them could mean two different principals to two readers of the request.
    if request.headers().get_all(header::AUTHORIZATION).count() > 1 {
        return Err(Refused::NotBearer.into());
    }
    let is_given = request.headers().contains_key(header::AUTHORIZATION);
    let cookie = guard.cookie().and_then(|name| request.cookie(name));
    let shown = Shown {
        authorization: is_given.then(|| text(header::AUTHORIZATION).unwrap_or_default()),
        cookie: cookie.as_ref().map(|cookie| cookie.value()),
        address,
        is_read: request.method().is_safe(),
        origin: text(header::ORIGIN),
        host: request.uri().authority().map(|authority| authority.as_str()).or_else(|| text(header::HOST)),
        fetch_site: text(HeaderName::from_static("sec-fetch-site")),
    };
    Ok(guard.principal(&shown).await?)
}

#[derive(Deserialize)]
struct InSession {
    session: SessionId,
}

async fn permit(request: &mut ServiceRequest) -> Result<(), ApiError> {
    let Who(principal) = request.extensions().get::<Arc<Principal>>().cloned().map(Who).ok_or(ApiError::Internal)?;
    if !request.method().is_safe() && principal.role < Role::Agent {
        return Err(ApiError::Forbidden("this needs the role agent".into()));
    }
    let tables = match request.match_pattern().as_deref() {
        // All that is below goes with the session.
        Some(pattern) if request.method() == Method::DELETE && pattern.ends_with("/{session}") => &AGENT_TABLES,
        pattern => tables_of(pattern.unwrap_or_default()),
    };
    if !principal.may_read(tables) {
        return Err(ApiError::Forbidden(format!("the token is not for {}", tables.join(" and ")).into()));
    }
    if principal.scope.is_everything() {
        return Ok(());
    }
    if request.match_info().get("session").is_none() {
        return Ok(());
    }
    let path = request.extract::<Path<InSession>>().await.map_err(|_| InvalidId("session"))?;
    let is_seen = match principal.scope.has_session(&path.session) {
        Some(is_seen) => is_seen,
        None => {
            let state = request.app_data::<Data<AgentState>>().ok_or(ApiError::Internal)?;
            state.shows(&principal, &path.session).await?
        }
    };
    if is_seen { Ok(()) } else { Err(ApiError::NotFound("session")) }
}

impl AgentState {
    /// Whether there is a session of this id that somebody may see.
    pub async fn shows(&self, principal: &Principal, session: &SessionId) -> Result<bool, ApiError> {
        Ok(self.database.read(async |conn| access::shows(conn, &principal.scope, session).await).await?)
    }
}

/// The tables that a route reads or writes.
fn tables_of(pattern: &str) -> &'static [&'static str] {
    let below = pattern.split_once("/{session}").map_or("", |(_, below)| below);
    match below.split('/').nth(1) {
        None | Some("") => &["sessions"],
        Some("messages") => &["messages", "parts"],
        Some("snapshots") => &["snapshot_history"],
        Some("subtasks") => &["subtasks"],
        Some("tokens") => &[],
        // What clears a session, and whatever comes to be.
        Some(_) => &AGENT_TABLES,
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::TooMany(wait) => Self::TooManyRequests(wait.retry_after()),
            Refused::Unavailable => Self::NotChecked,
            Refused::Blocked | Refused::OtherSite => Self::Forbidden(refused.to_string().into()),
            Refused::NoToken | Refused::NotBearer | Refused::BadToken(_) | Refused::Revoked => {
                Self::Unauthorized(refused.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_below_a_session_is_for_tables_that_a_token_must_name() {
        let cases: [(&str, &[&str]); 8] = [
            ("/v1/sessions", &["sessions"]),
            ("/v1/sessions/{session}", &["sessions"]),
            ("/v1/sessions/{session}/messages", &["messages", "parts"]),
            ("/v1/sessions/{session}/messages/{message}/parts/{part}", &["messages", "parts"]),
            ("/v1/sessions/{session}/snapshots", &["snapshot_history"]),
            ("/v1/sessions/{session}/subtasks", &["subtasks"]),
            ("/v1/sessions/{session}/tokens/{token}", &[]),
            ("/v1/sessions/{session}/state", &AGENT_TABLES),
        ];
        for (pattern, tables) in cases {
            assert_eq!(tables_of(pattern), tables, "{pattern}");
        }
    }
}
