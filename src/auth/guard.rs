//! At the gate: what a request shows becomes a principal, or a refusal.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{debug, error};

use super::jwt::{self, MAX_TOKEN_BYTES, Verifier};
use super::limits::{Limits, Rate, Wait};
use super::revocations::Out;
use super::{Narrow, Principal, Revocations, capability, claims};
use crate::config::AuthConfig;
use crate::db::{Database, ReadError, access};

/// Tokens that have been looked at and are remembered, as long as keys are before they are read again: a reader shows the same
/// one again and again.
const REMEMBERED: usize = 16 * 1024;
/// Tokens that are looked up in Postgres at once.
const LOOKUPS: usize = 4;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Who stands at the gate. One of it is shared by all workers.
pub struct Guard {
    /// What becomes of the requests of those who are let in.
    pub narrow: Narrow,
    /// `None`: there is no authentication, and everybody may do everything.
    closed: Option<Closed>,
    open: Arc<Principal>,
    public: Arc<Principal>,
}

struct Closed {
    config: AuthConfig,
    verifier: Verifier,
    database: Database,
    revocations: Revocations,
    limits: Limits,
    /// Origins whose pages may use a cookie.
    origins: Vec<String>,
    known: Cache<[u8; 32], Known>,
    /// Turns at looking up tokens in Postgres: those who guess must not have all its connections.
    lookups: Semaphore,
}

/// Whom a token was found to let in, and when.
#[derive(Clone)]
struct Known {
    principal: Arc<Principal>,
    at: Instant,
}

/// What a request shows of who sends it.
pub struct Shown<'a> {
    /// The header `authorization`.
    pub authorization: Option<&'a str>,
    /// The value of the cookie.
    pub cookie: Option<&'a str>,
    pub address: IpAddr,
    /// Whether the method changes nothing.
    pub is_read: bool,
    /// The headers that browsers add of themselves, and pages cannot choose.
    pub origin: Option<&'a str>,
    pub host: Option<&'a str>,
    pub fetch_site: Option<&'a str>,
}

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("this needs a token: send `authorization: Bearer <token>`")]
    NoToken,
    #[error("the header authorization must be `Bearer <token>`")]
    NotBearer,
    /// What is wrong with it, and no more than that.
    #[error("{0}")]
    BadToken(String),
    #[error("the token was revoked")]
    Revoked,
    #[error("an operator keeps this principal out")]
    Blocked,
    #[error("a page of another site may not use the cookie; list its origin in server.cors_origins to permit it")]
    OtherSite,
    #[error("too many requests; try again later")]
    TooMany(Wait),
    #[error("the token cannot be checked just now; try again")]
    Unavailable,
}

impl Guard {
    /// Lets everybody do everything.
    pub fn open(narrow: Narrow) -> Self {
        Self { narrow, closed: None, open: Arc::new(Principal::open()), public: Arc::new(Principal::public()) }
    }

    /// Lets in who shows a token.
    pub fn closed(
        narrow: Narrow,
        config: &AuthConfig,
        verifier: Verifier,
        database: Database,
        revocations: Revocations,
        origins: &[String],
    ) -> Self {
        let rate = |per_second, burst| Rate { per_second, burst };
        let limits = Limits::new(
            rate(config.requests_per_second, config.burst),
            rate(config.address_requests_per_second, config.address_burst),
            config.failures_per_minute,
        );
        let origins = origins.iter().filter(|origin| *origin != "*").cloned().collect();
        let (config, known) = (config.clone(), Cache::new(REMEMBERED));
        let lookups = Semaphore::new(LOOKUPS);
        let closed = Some(Closed { config, verifier, database, revocations, limits, origins, known, lookups });
        Self { closed, ..Self::open(narrow) }
    }

    /// Whether there is no authentication.
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// The name of the cookie that may hold a token, if any may.
    pub fn cookie(&self) -> Option<&str> {
        self.closed.as_ref().map(|closed| closed.config.cookie.as_str()).filter(|name| !name.is_empty())
    }

    /// How long a token that is minted here may last; `None` without authentication.
    pub fn max_token_lifetime(&self) -> Option<Duration> {
        self.closed.as_ref().map(|closed| closed.config.max_token_lifetime)
    }

    /// Who is kept out, where anybody can be.
    pub fn revocations(&self) -> Option<&Revocations> {
        self.closed.as_ref().map(|closed| &closed.revocations)
    }

    /// Whoever asks for what is public.
    pub fn public(&self) -> &Arc<Principal> {
        &self.public
    }

    /// Whoever it is that asks, where that does not matter.
    pub fn anybody(&self) -> Option<&Arc<Principal>> {
        self.is_open().then_some(&self.open)
    }

    /// Who sends a request.
    ///
    /// # Errors
    /// [`Refused`]: it may not be answered.
    pub async fn principal(&self, shown: &Shown<'_>) -> Result<Arc<Principal>, Refused> {
        match &self.closed {
            None => Ok(Arc::clone(&self.open)),
            Some(closed) => closed.principal(shown).await,
        }
    }

    /// Whether a request of an address may be looked at, whoever sends it.
    ///
    /// # Errors
    /// [`Refused::TooMany`].
    pub fn admit_address(&self, address: IpAddr) -> Result<(), Refused> {
        let Some(closed) = &self.closed else { return Ok(()) };
        closed.limits.address(address).map_err(Refused::from)
    }

    /// Completes when somebody is thrown out, or its token expires.
    pub async fn until_out(&self, principal: &Principal) {
        let Some(closed) = &self.closed else { return std::future::pending().await };
        let mut changes = closed.revocations.changes();
        while closed.check(principal, SystemTime::now()).is_ok() {
            let left = principal.expires.map_or(DAY, |at| at.duration_since(SystemTime::now()).unwrap_or_default());
            // Whichever it is, it is looked at again.
            let _ = timeout(left.min(DAY), changes.changed()).await;
        }
    }

    /// Whether somebody has been thrown out since, or its token has expired.
    ///
    /// # Errors
    /// Why.
    pub fn check_again(&self, principal: &Principal) -> Result<(), Refused> {
        self.closed.as_ref().map_or(Ok(()), |closed| closed.check(principal, SystemTime::now()))
    }
}

impl From<Wait> for Refused {
    fn from(wait: Wait) -> Self {
        Self::TooMany(wait)
    }
}

impl Closed {
    async fn principal(&self, shown: &Shown<'_>) -> Result<Arc<Principal>, Refused> {
        let (token, by_cookie) = match (shown.authorization, shown.cookie) {
            (Some(header), _) => (bearer(header).ok_or(Refused::NotBearer)?, false),
            (None, Some(cookie)) => (cookie, true),
            (None, None) => return Err(Refused::NoToken),
        };
        if by_cookie && !self.is_of_this_site(shown) {
            return Err(Refused::OtherSite);
        }
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refused::BadToken(format!("the token is longer than {MAX_TOKEN_BYTES} bytes")));
        }
        let key: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let now = SystemTime::now();
        let known = self.known.get(&key);
        let principal = match known {
            Some(Known { principal, at }) if at.elapsed() < self.config.jwks_refresh => principal,
            known => {
                // Those who guess are slowed, and those who are known are not.
                if known.is_none() {
                    self.limits.may_try(shown.address)?;
                }
                let read = Box::pin(self.read(token, shown.address, now)).await;
                if let Err(Refused::BadToken(_)) = &read {
                    self.known.remove(&key);
                    self.limits.failed(shown.address);
                }
                let principal = Arc::new(read?);
                self.known.insert(key, Known { principal: Arc::clone(&principal), at: Instant::now() });
                principal
            }
        };
        if let Err(refused) = self.check(&principal, now) {
            self.known.remove(&key);
            return Err(refused);
        }
        if let Some(name) = &principal.name {
            self.limits.principal(name)?;
        }
        Ok(principal)
    }

    async fn read(&self, token: &str, address: IpAddr, now: SystemTime) -> Result<Principal, Refused> {
        if capability::is_capability(token) {
            let _turn = self.lookups.acquire().await;
            // Those who guessed before, in the meantime, may have used up what an address may try.
            self.limits.may_try(address)?;
            let hash = capability::hash(token);
            let found = self.database.read(async |conn| access::find_token(conn, &hash).await).await;
            let found = found.map_err(|cause| {
                if let ReadError::Query(cause) = &cause {
                    error!(%cause, "a token could not be looked up: {cause}");
                }
                Refused::Unavailable
            })?;
            let unknown = || Refused::BadToken("the token is unknown, expired or revoked".to_owned());
            return found.map(capability::principal).ok_or_else(unknown);
        }
        let verified = self.verifier.verify(token, now).await.map_err(|denied| match denied {
            jwt::Denied::KeysUnavailable => Refused::Unavailable,
            denied => Refused::BadToken(format!("the token is not valid: {denied}")),
        })?;
        let bad = |bad: claims::BadClaim| Refused::BadToken(format!("the token is not valid here: {bad}"));
        claims::principal(verified, &self.config).map_err(bad)
    }

    /// What may change while a token is remembered.
    fn check(&self, principal: &Principal, now: SystemTime) -> Result<(), Refused> {
        if principal.expires.is_some_and(|expires| expires <= now) {
            return Err(Refused::BadToken("the token is not valid: it has expired".to_owned()));
        }
        let out = principal.name.as_ref().and_then(|name| self.revocations.find(name, now));
        match out {
            None => Ok(()),
            Some(out) => {
                debug!(principal = principal.name.as_deref(), ?out, "refused somebody who is kept out");
                Err(if out == Out::Revoked { Refused::Revoked } else { Refused::Blocked })
            }
        }
    }

    /// Whether a request that shows the cookie comes from a page that may use it. Browsers send the cookie whatever page
    /// asks; who is no browser sends none of these headers, and writes with `authorization`.
    fn is_of_this_site(&self, shown: &Shown<'_>) -> bool {
        let Some(origin) = shown.origin else {
            return match shown.fetch_site {
                Some("same-origin" | "none") => true,
                // A page cannot see what it reads there; and old browsers say nothing of the site.
                Some("same-site") | None => shown.is_read,
                Some(_) => false,
            };
        };
        let own = origin.split_once("://").map(|(_, host)| host);
        (own.is_some() && own == shown.host) || self.origins.iter().any(|listed| listed == origin)
    }
}

/// The token of a header, whose scheme may be written in any case.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
