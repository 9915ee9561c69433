//! JSON Web Tokens: whether somebody whom the settings believe has signed one, and whether it counts now.
//!
//! ```text
//! token ─► three parts ─► header: algorithm ─┬─ HS: the secret, and nothing else ─┬─► signature ─► claims: exp nbf iss aud
//!                         (one of the pinned) └─ RS, ES, EdDSA: keys of that kind ─┘
//! ```
//!
//! The algorithm of a token only ever chooses among those that the settings pin, and each has keys of its own kind: a public key
//! is never a secret, whatever a header says. Claims are read after the signature has proved right, and no error and no `Debug` output
//! has a word of them.
//!
//! Source: RFC 7515 (signatures), RFC 7519 (claims), RFC 8725 (what goes wrong with both).

mod keys;
mod ring;

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value};

pub use keys::Unusable;
pub use ring::{KeysError, Running};

use crate::config::{AuthConfig, algorithm_named};
use ring::{Pace, Ring};

/// A cookie holds 4 KiB and a line of a request's head often no more than 8: what is longer was not made to be sent.
pub const MAX_TOKEN_BYTES: usize = 8 << 10;
/// The end of the year 9999, in seconds. A later `exp` was meant in milliseconds, and would never come.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// Verifies tokens. All workers share one.
pub struct Verifier {
    pinned: Vec<Algorithm>,
    secret: Option<DecodingKey>,
    keys: Option<Ring>,
    issuer: String,
    audience: String,
    leeway: Duration,
}

/// What a token that counts says.
#[derive(Clone)]
pub struct Claims {
    pub map: Map<String, Value>,
    /// From then on the token is refused: its `exp` and the leeway. What it began must end then.
    pub expires: SystemTime,
}

/// Why a token does not count. No variant has anything of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Denied {
    #[error("it is no signed JSON Web Token")]
    Malformed,
    #[error("its algorithm is none that counts here")]
    Algorithm,
    #[error("no key is known by which it could be signed")]
    UnknownKey,
    #[error("its signature is not right")]
    Signature,
    #[error("it has expired")]
    Expired,
    #[error("it does not count yet")]
    NotYet,
    #[error("it was issued by somebody else")]
    Issuer,
    #[error("it was meant for somebody else")]
    Audience,
    #[error("it would never expire")]
    NoExpiry,
    /// Not the caller's fault: the same token may count in a moment.
    #[error("the keys could not be read yet")]
    KeysUnavailable,
}

/// The algorithm is not one of those that sign with a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("only HS256, HS384 and HS512 sign with a secret")]
pub struct NotBySecret;

/// What counts of a token's header. `crit` is there to be refused: it names what must be understood, and nothing is here.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl Verifier {
    /// A verifier for the settings, or `None` where they have neither a secret nor keys. To be called inside an actix system.
    ///
    /// A file with keys is read at once. A URL is asked in the background, again and again: that it cannot be reached is logged, and
    /// tokens that need its keys are [`Denied::KeysUnavailable`] until it can.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or that has no key for the algorithms that are pinned.
    pub async fn start(config: &AuthConfig) -> Result<Option<(Self, Running)>, KeysError> {
        let pace = Pace { refresh: config.jwks_refresh, ..Pace::default() };
        Self::start_at(config, pace).await
    }

    async fn start_at(config: &AuthConfig, pace: Pace) -> Result<Option<(Self, Running)>, KeysError> {
        if !config.is_set() {
            return Ok(None);
        }
        let pinned = config.pinned();
        let secret = config.jwt_secret.expose_secret().as_bytes();
        let secret = (!secret.is_empty()).then(|| DecodingKey::from_secret(secret));
        let by_keys: Vec<_> = pinned.iter().copied().filter(|algorithm| !is_by_secret(*algorithm)).collect();
        let (keys, running) = if by_keys.is_empty() {
            (None, Running::nothing())
        } else {
            let (ring, running) = Ring::start(config, by_keys, pace).await?;
            (Some(ring), running)
        };
        let (issuer, audience) = (config.issuer.clone(), config.audience.clone());
        Ok(Some((Self { pinned, secret, keys, issuer, audience, leeway: config.leeway }, running)))
    }

    /// The claims of a token that counts at `now`.
    ///
    /// Waits only where no key is known that could have signed it, for the keys to be read again: as long as a fetch may take, 10 s.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it, in the order of the picture above.
    pub async fn verify(&self, token: &str, now: SystemTime) -> Result<Claims, Denied> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Denied::Malformed);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Denied::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(Denied::Malformed)?;
        let header: Header = decoded(header)?;
        if header.crit.is_some() || payload.contains('.') {
            return Err(Denied::Malformed);
        }
        let algorithm = algorithm_named(&header.alg).filter(|algorithm| self.pinned.contains(algorithm));
        let algorithm = algorithm.ok_or(Denied::Algorithm)?;
        let signed = match (is_by_secret(algorithm), &self.secret, &self.keys) {
            (true, Some(secret), _) => is_signed(message, signature, secret, algorithm),
            (false, _, Some(keys)) => {
                let candidates = keys.candidates(algorithm, header.kid.as_deref()).await?;
                candidates.iter().any(|key| is_signed(message, signature, key.public(), algorithm))
            }
            _ => return Err(Denied::Algorithm),
        };
        if !signed {
            return Err(Denied::Signature);
        }
        self.claims(decoded(payload)?, now)
    }

    fn claims(&self, map: Map<String, Value>, now: SystemTime) -> Result<Claims, Denied> {
        let exp = map.get("exp").ok_or(Denied::NoExpiry)?;
        let expires = instant(exp)? + self.leeway;
        if now >= expires {
            return Err(Denied::Expired);
        }
        if let Some(nbf) = map.get("nbf")
            && instant(nbf)? > now + self.leeway
        {
            return Err(Denied::NotYet);
        }
        if !self.issuer.is_empty() && map.get("iss").and_then(Value::as_str) != Some(&self.issuer) {
            return Err(Denied::Issuer);
        }
        if !self.is_for_us(map.get("aud")) {
            return Err(Denied::Audience);
        }
        Ok(Claims { map, expires })
    }

    /// RFC 7519, 4.1.3: whoever does not find itself in `aud` must refuse the token, and that is so for one that has no name, too.
    fn is_for_us(&self, aud: Option<&Value>) -> bool {
        let Some(aud) = aud else { return self.audience.is_empty() };
        let is_us = |name: &Value| name.as_str() == Some(&self.audience);
        !self.audience.is_empty() && (is_us(aud) || aud.as_array().is_some_and(|names| names.iter().any(is_us)))
    }
}

/// A token that `secret` signs. It has no key id: there is one secret.
///
/// # Errors
///
/// [`NotBySecret`] for an algorithm that needs a private key.
pub fn sign(secret: &SecretString, algorithm: Algorithm, claims: &Map<String, Value>) -> Result<String, NotBySecret> {
    let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::new(algorithm), claims, &key).map_err(|_| NotBySecret)
}

/// Whether an algorithm signs and verifies with the same secret.
pub fn is_by_secret(algorithm: Algorithm) -> bool {
    algorithm.family() == AlgorithmFamily::Hmac
}

fn is_signed(message: &str, signature: &str, key: &DecodingKey, algorithm: Algorithm) -> bool {
    // The key's family is compared with the algorithm's there once more.
    jsonwebtoken::crypto::verify(signature, message.as_bytes(), key, algorithm).unwrap_or(false)
}

fn decoded<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, Denied> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| Denied::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| Denied::Malformed)
}

/// A `NumericDate`: seconds since 1970, which may have a fraction.
fn instant(claim: &Value) -> Result<SystemTime, Denied> {
    let seconds = claim.as_f64().filter(|seconds| (0.0..=LAST_SECOND).contains(seconds)).ok_or(Denied::Malformed)?;
    Ok(UNIX_EPOCH + Duration::from_secs_f64(seconds))
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims").field("expires", &self.expires).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
