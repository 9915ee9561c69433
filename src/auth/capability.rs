//! Tokens that are minted here, each for one session: opaque, and revocable.
//!
//! `pst_` and 64 hexadecimal digits, 256 random bits. Postgres has only their hash.

use std::time::SystemTime;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::principal::Origin;
use super::{Principal, Role, Scope};
use crate::db::access::CapabilityToken;

const PREFIX: &str = "pst_";
const ID_PREFIX: &str = "tok_";
const SECRET_BYTES: usize = 32;

/// A token as its holder shows it. Never stored, and never printed by `Debug`.
pub struct Secret(String);

impl Secret {
    /// A new one.
    pub fn generate() -> Self {
        let bytes: [u8; SECRET_BYTES] = rand::random();
        Self(bytes.iter().fold(PREFIX.to_owned(), |text, byte| format!("{text}{byte:02x}")))
    }

    /// The token, for its holder.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn hash(&self) -> Vec<u8> {
        hash(&self.0)
    }
}

/// What Postgres knows of a token.
pub fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

/// Whether a text looks like one of these tokens.
pub fn is_capability(token: &str) -> bool {
    let digits = token.strip_prefix(PREFIX).filter(|digits| digits.len() == 2 * SECRET_BYTES);
    digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A new name for a token: it can be told, and is the name of the principal that shows the token.
pub fn new_id() -> String {
    format!("{ID_PREFIX}{}", Uuid::now_v7().simple())
}

/// Whether a name is one that only tokens have.
pub fn is_id(name: &str) -> bool {
    name.starts_with(ID_PREFIX)
}

/// Whom a token lets in.
pub fn principal(token: CapabilityToken) -> Principal {
    // Postgres holds it to these two; a role that is not known gives the least.
    let role = token.role.parse().ok().filter(|role| *role < Role::Admin).unwrap_or(Role::Viewer);
    let scope = Scope::session(token.session_id);
    let mut principal =
        Principal::named(&token.id, Origin::Capability, role, scope, SystemTime::from(token.expires_at));
    principal.tables = token.tables.map(|tables| tables.into_iter().flatten().collect());
    principal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_told_from_signed_ones_by_their_form() {
        let (one, other) = (Secret::generate(), Secret::generate());
        assert!(is_capability(one.expose()) && one.expose() != other.expose());
        assert_eq!(one.hash(), hash(one.expose()));
        for text in ["", "pst_", "eyJ.x.y", &one.expose()[4..], &format!("{}0", one.expose()), &"pst_g".repeat(13)] {
            assert!(!is_capability(text), "{text}");
        }
    }
}
