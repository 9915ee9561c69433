//! A JWKS: the public keys of an issuer, each bound to the algorithms that it may verify.
//!
//! A key that is of no use to us is left out, whatever is wrong with it, and the others count: issuers mix keys of many kinds. What a
//! key says of itself (`alg`, `use`, `key_ops`) can only narrow what its kind allows. Secrets are no keys here, since everybody can read
//! a JWKS; and neither is a key that comes with its private half, which everybody could sign with.
//!
//! Source: RFC 7517 (JWK), RFC 7518, 6 (its parameters).

use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// Issuers have two or three keys, and some keep the old ones for a year.
const MAX_KEYS: usize = 64;
/// A key is 2 KiB with its certificates.
pub const MAX_BYTES: usize = 256 << 10;
/// Keys that one token is tried with. Each costs up to 0.2 ms, and whoever sends a token needs no permission to.
const MAX_TRIED: usize = 8;
/// RFC 7518, 3.3 wants 2048 bits; above 4096 nothing is verified.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// The keys of one JWKS that are of use.
pub struct KeySet {
    keys: Vec<Arc<Key>>,
    /// How many of it are not.
    pub left_out: usize,
}

/// A public key, and what it may verify.
pub struct Key {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    public: DecodingKey,
}

/// Why what was read gives no keys.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error(transparent)]
    File(#[from] io::Error),
    #[error("it cannot be fetched: {0}")]
    Fetch(String),
    #[error("it did not answer within {0:?}")]
    Late(std::time::Duration),
    #[error("it answered with status {0}, not with 200; redirects are not followed")]
    Status(u16),
    #[error("it is larger than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("it is no JWKS: a JSON object with a list `keys`")]
    NotJwks,
    #[error("it has more than {MAX_KEYS} keys")]
    TooMany,
    #[error(
        "none of its {0} keys is of use: wanted are public keys (RSA of 2048 to 4096 bits, P-256, P-384, Ed25519) for \
         an algorithm of auth.algorithms"
    )]
    NoneOfUse(usize),
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

/// What counts of a JWK.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// The private half.
    d: Option<IgnoredAny>,
}

impl KeySet {
    /// Reads a JWKS and keeps the keys for `pinned` algorithms: perhaps none.
    ///
    /// # Errors
    ///
    /// Text that is no JWKS, or has too many keys.
    pub fn parse(json: &[u8], pinned: &[Algorithm]) -> Result<Self, Unusable> {
        let jwks: Jwks = serde_json::from_slice(json).map_err(|_| Unusable::NotJwks)?;
        let all = jwks.keys.len();
        if all > MAX_KEYS {
            return Err(Unusable::TooMany);
        }
        let jwks = jwks.keys.into_iter().filter_map(|jwk| serde_json::from_value::<Jwk>(jwk).ok());
        let keys: Vec<_> = jwks.filter_map(|jwk| Key::new(jwk, pinned)).map(Arc::new).collect();
        let left_out = all - keys.len();
        Ok(Self { keys, left_out })
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys that may have signed a token: those of its key id, or all if it has none; at most 8.
    pub fn candidates(&self, algorithm: Algorithm, kid: Option<&str>) -> Vec<Arc<Key>> {
        let of_kind = self.keys.iter().filter(|key| key.algorithms.contains(&algorithm));
        let named = of_kind.filter(|key| kid.is_none() || key.kid.as_deref() == kid);
        named.take(MAX_TRIED).cloned().collect()
    }
}

impl Key {
    pub fn public(&self) -> &DecodingKey {
        &self.public
    }

    fn new(jwk: Jwk, pinned: &[Algorithm]) -> Option<Self> {
        let signs = jwk.usage.as_deref().is_none_or(|usage| usage == "sig");
        let verifies = jwk.key_ops.as_ref().is_none_or(|all| all.iter().any(|one| one == "verify"));
        if !signs || !verifies || jwk.d.is_some() {
            return None;
        }
        let (public, kind) = public_key(&jwk)?;
        let says = |algorithm: &Algorithm| jwk.alg.as_deref().is_none_or(|name| is_name_of(name, *algorithm));
        let chosen = |algorithm: &&Algorithm| pinned.contains(algorithm) && says(algorithm);
        let algorithms: Vec<_> = kind.iter().filter(chosen).copied().collect();
        // A point that is not on its curve shows only in use: better now than with the first token.
        let works = |algorithm: &Algorithm| jsonwebtoken::crypto::verify("", b"", &public, *algorithm).is_ok();
        let useful = !algorithms.is_empty() && algorithms.iter().all(works);
        useful.then_some(Self { kid: jwk.kid, algorithms, public })
    }
}

/// The key and all that its kind may verify.
fn public_key(jwk: &Jwk) -> Option<(DecodingKey, &'static [Algorithm])> {
    use Algorithm::{ES256, ES384, EdDSA, RS256, RS384, RS512};
    match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => Some((rsa(jwk.n.as_deref()?, jwk.e.as_deref()?)?, &[RS256, RS384, RS512])),
        ("EC", Some("P-256")) => Some((point(jwk, 32)?, &[ES256])),
        ("EC", Some("P-384")) => Some((point(jwk, 48)?, &[ES384])),
        ("OKP", Some("Ed25519")) => {
            let x = sized(jwk.x.as_deref()?, 32)?;
            Some((DecodingKey::from_ed_der(&x), &[EdDSA]))
        }
        _ => None,
    }
}

fn rsa(n: &str, e: &str) -> Option<DecodingKey> {
    let (n, e) = (number(n)?, number(e)?);
    let bits = n.len() * 8 - n.first()?.leading_zeros() as usize;
    // An exponent of 1 would make every signature right. 5 bytes are more than anybody takes.
    let exponent = e.len() <= 5 && e.last()? % 2 == 1 && e != [1];
    (RSA_BITS.contains(&bits) && exponent).then(|| DecodingKey::from_rsa_raw_components(&n, &e))
}

/// A point on a curve whose coordinates have `bytes` bytes.
fn point(jwk: &Jwk, bytes: usize) -> Option<DecodingKey> {
    let (x, y) = (sized(jwk.x.as_deref()?, bytes)?, sized(jwk.y.as_deref()?, bytes)?);
    // SEC 1, 2.3.3: 4 is "uncompressed".
    Some(DecodingKey::from_ec_der(&[&[4], x.as_slice(), y.as_slice()].concat()))
}

fn sized(text: &str, bytes: usize) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok().filter(|decoded| decoded.len() == bytes)
}

/// Without zeros before it, which some issuers send.
fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let start = bytes.iter().position(|byte| *byte != 0)?;
    Some(bytes[start..].to_vec())
}

/// RFC 9864 calls EdDSA with this curve by the curve's name.
fn is_name_of(name: &str, algorithm: Algorithm) -> bool {
    let name = if name == "Ed25519" { "EdDSA" } else { name };
    crate::config::algorithm_named(name) == Some(algorithm)
}
