//! Section `[auth]`: whose tokens are believed, what their claims are called, and how much one caller may ask.
//!
//! Which algorithms are believed is settled here and never by a token: [`AuthConfig::pinned`].

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use awc::http::Uri;
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, de};

use super::{ConfigError, at_least_one, duration, refused};

/// What may be pinned, by the names that tokens use.
const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];
/// Claims that mean the same in every token (RFC 7519), so that none of ours can be one of them. `sub` may.
const REGISTERED: [&str; 6] = ["iss", "aud", "exp", "nbf", "iat", "jti"];
/// Clocks that differ by more are broken, and every expired token would live on for as long.
const MAX_LEEWAY: Duration = Duration::from_secs(600);
/// Refreshing more often would only load the issuer: an unknown key is looked for at once anyway.
const MIN_JWKS_REFRESH: Duration = Duration::from_secs(10);
/// Names of columns, as Postgres takes them without quotes.
const MAX_COLUMN_BYTES: usize = 63;
const MAX_COOKIE_NAME_BYTES: usize = 64;

/// Who is believed, and what one caller may do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// The secret of HS256, HS384 and HS512; empty: none.
    pub jwt_secret: SecretString,
    /// Where the public keys of the other algorithms are: a file or an http(s) URL; empty: nowhere.
    pub jwks: String,
    /// As they were set; [`AuthConfig::pinned`] has what counts.
    #[serde(deserialize_with = "algorithms")]
    pub algorithms: Vec<Algorithm>,
    /// What `iss` must be; empty: anything.
    pub issuer: String,
    /// What `aud` must be or contain; empty: a token must not have one.
    pub audience: String,
    /// How far the clock of an issuer may be off.
    #[serde(deserialize_with = "duration::deserialize")]
    pub leeway: Duration,
    /// How often the keys are read again.
    #[serde(deserialize_with = "duration::deserialize")]
    pub jwks_refresh: Duration,
    pub subject_claim: String,
    pub role_claim: String,
    pub sessions_claim: String,
    pub projects_claim: String,
    /// The role of a token without that claim; `None`: such a token is refused.
    #[serde(deserialize_with = "role")]
    pub default_role: Option<Role>,
    /// Claims that must equal a column of `sessions`.
    #[serde(deserialize_with = "column_claims")]
    pub column_claims: Vec<ColumnClaim>,
    /// The cookie that may carry a token; empty: none.
    pub cookie: String,
    /// The longest life of a capability token.
    #[serde(deserialize_with = "duration::deserialize")]
    pub max_token_lifetime: Duration,
    /// Requests of one principal that are answered in the long run; 0 for any number.
    pub requests_per_second: u32,
    /// How many of them may come at once; at least one.
    pub burst: u32,
    /// The same for one address.
    pub address_requests_per_second: u32,
    pub address_burst: u32,
    /// Tokens of one address that may fail; 0 for any number.
    pub failures_per_minute: u32,
}

/// What a caller may do with what it may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads and writes.
    Agent,
    /// Everything, in every session.
    Admin,
}

/// A claim that must equal a column of `sessions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnClaim {
    pub column: String,
    pub claim: String,
}

/// A text that names no role.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("viewer, agent or admin")]
pub struct InvalidRole;

impl AuthConfig {
    /// Whether there is anything to verify a token with.
    pub fn is_set(&self) -> bool {
        self.has_secret() || !self.jwks.is_empty()
    }

    /// The algorithms that are believed: those of the settings, or else HS256 by the secret, and RS256, ES256 and EdDSA by the keys.
    pub fn pinned(&self) -> Vec<Algorithm> {
        if !self.algorithms.is_empty() {
            return self.algorithms.clone();
        }
        let by_secret = self.has_secret().then_some([Algorithm::HS256]);
        let by_keys = (!self.jwks.is_empty()).then_some([Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]);
        by_secret.into_iter().flatten().chain(by_keys.into_iter().flatten()).collect()
    }

    /// The URL in `jwks`, if it is none of a file.
    pub fn jwks_url(&self) -> Option<&str> {
        let scheme = |name: &str| self.jwks.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        (scheme("http://") || scheme("https://")).then_some(self.jwks.as_str())
    }

    fn has_secret(&self) -> bool {
        !self.jwt_secret.expose_secret().is_empty()
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.check_keys()?;
        self.check_claims()?;
        if self.leeway > MAX_LEEWAY {
            return Err(refused("auth.leeway", "10m or less"));
        }
        if self.jwks_refresh < MIN_JWKS_REFRESH {
            return Err(refused("auth.jwks_refresh", "10s or more"));
        }
        at_least_one("auth.max_token_lifetime", self.max_token_lifetime.as_secs())?;
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
        if self.cookie.len() > MAX_COOKIE_NAME_BYTES || !self.cookie.chars().all(plain) {
            return Err(refused(
                "auth.cookie",
                "at most 64 letters, digits, `_`, `-` and `.`; or empty, for no cookie",
            ));
        }
        Ok(())
    }

    /// Each algorithm has what it is verified with, and that is strong enough.
    fn check_keys(&self) -> Result<(), ConfigError> {
        let pinned = self.pinned();
        let by_secret = |algorithm: &Algorithm| algorithm.family() == AlgorithmFamily::Hmac;
        if pinned.iter().any(by_secret) && !self.has_secret() {
            let expected = "set, because auth.algorithms has an HS algorithm: to what `openssl rand -hex 32` prints";
            return Err(refused("auth.jwt_secret", expected));
        }
        if !pinned.iter().all(by_secret) && self.jwks.is_empty() {
            let expected = "set, because auth.algorithms has one that needs public keys: to their file or URL";
            return Err(refused("auth.jwks", expected));
        }
        // RFC 7518, 3.2: a key as long as the hash, or longer.
        let least = pinned.iter().map(|algorithm| hash_bytes(*algorithm)).max().unwrap_or(32);
        if self.has_secret() && self.jwt_secret.expose_secret().len() < least {
            let expected = format!("{least} bytes or more: take what `openssl rand -hex 32` prints");
            return Err(refused("auth.jwt_secret", expected));
        }
        self.check_jwks()
    }

    fn check_jwks(&self) -> Result<(), ConfigError> {
        let wrong = |expected: &str| Err(refused("auth.jwks", expected));
        let Some(url) = self.jwks_url() else {
            return if self.jwks.contains("://") { wrong("a file, or a URL with http:// or https://") } else { Ok(()) };
        };
        let host = Uri::from_str(url).ok().and_then(|url| Some((url.host()?.to_owned(), url.authority()?.to_string())));
        match host {
            None => wrong("a file, or a URL such as https://issuer.example/.well-known/jwks.json"),
            // It would be logged with the settings, and public keys need no password.
            Some((_, authority)) if authority.contains('@') => wrong("a URL without user and password"),
            Some((host, _)) if host.is_empty() => wrong("a URL with a host"),
            Some(_) => Ok(()),
        }
    }

    fn check_claims(&self) -> Result<(), ConfigError> {
        let names = [
            ("auth.subject_claim", &self.subject_claim),
            ("auth.role_claim", &self.role_claim),
            ("auth.sessions_claim", &self.sessions_claim),
            ("auth.projects_claim", &self.projects_claim),
        ];
        for (at, (key, name)) in names.iter().enumerate() {
            if name.is_empty() || REGISTERED.contains(&name.as_str()) {
                return Err(refused(key, "the name of a claim, and none of iss, aud, exp, nbf, iat, jti"));
            }
            if names[..at].iter().any(|(_, other)| other == name) {
                return Err(refused(key, "another claim than the settings before it name"));
            }
        }
        Ok(())
    }
}

impl Role {
    /// Its name in claims and settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Agent => "agent",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        let all = [Self::Viewer, Self::Agent, Self::Admin];
        all.into_iter().find(|role| role.as_str() == text).ok_or(InvalidRole)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The algorithm that a token or a setting means by `name`, of those that may be pinned.
pub fn algorithm_named(name: &str) -> Option<Algorithm> {
    ALGORITHMS.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
}

fn hash_bytes(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::HS384 => 48,
        Algorithm::HS512 => 64,
        _ => 32,
    }
}

fn algorithms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Algorithm>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    if names.iter().any(|name| name.eq_ignore_ascii_case("none")) {
        return Err(de::Error::custom("without `none`: a token that nobody signed is anybody's"));
    }
    let known = names.iter().map(|name| algorithm_named(name)).collect::<Option<Vec<_>>>();
    known.ok_or_else(|| {
        let all = ALGORITHMS.map(|(name, _)| name).join(", ");
        de::Error::custom(format!("a list of {all}"))
    })
}

fn role<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Role>, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "" => Ok(None),
        name => name.parse().map(Some).map_err(|_| de::Error::custom("viewer, agent, admin or empty")),
    }
}

fn column_claims<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ColumnClaim>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let mut pairs: Vec<ColumnClaim> = Vec::new();
    for text in &texts {
        let pair = column_claim(text).ok_or_else(|| {
            de::Error::custom("a list of column=claim, such as \"org_id=org_id\", each with a column's plain name")
        })?;
        if pairs.iter().any(|other| other.column == pair.column) {
            return Err(de::Error::custom("a list of column=claim with each column once"));
        }
        pairs.push(pair);
    }
    Ok(pairs)
}

/// A claim's name may be anything: some issuers want URLs.
fn column_claim(text: &str) -> Option<ColumnClaim> {
    let (column, claim) = text.split_once('=')?;
    let (column, claim) = (column.trim(), claim.trim());
    let plain = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '_');
    let is_name = !column.is_empty() && column.len() <= MAX_COLUMN_BYTES && column.chars().all(plain);
    (is_name && !claim.is_empty()).then(|| ColumnClaim { column: column.to_owned(), claim: claim.to_owned() })
}

#[cfg(test)]
mod tests;
