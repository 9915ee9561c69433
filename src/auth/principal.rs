//! Somebody who asks, as far as that matters here.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::Scope;
pub use crate::config::Role;

/// Where a principal comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// There is no authentication: whoever reaches the port.
    Open,
    /// Nobody in particular, who asks for what is public.
    Public,
    /// A signed token of the operator's own.
    Signed,
    /// A token that was minted here for one session.
    Capability,
}

/// Whoever a request is answered for.
#[derive(Debug, Clone)]
pub struct Principal {
    /// `None` where nobody is told apart.
    pub name: Option<Arc<str>>,
    pub origin: Origin,
    pub role: Role,
    pub scope: Scope,
    /// The tables that may be followed and read; `None` for all.
    pub tables: Option<Vec<String>>,
    pub expires: Option<SystemTime>,
    /// What named shapes may ask of it.
    pub claims: Map<String, Value>,
    /// Ends the entity tags of its answers, so that one of another's never matches.
    pub mark: Option<String>,
}

impl Principal {
    /// Whoever reaches a port without authentication.
    pub fn open() -> Self {
        Self::unnamed(Origin::Open, Role::Admin, Scope::everything())
    }

    /// Whoever asks for what is public.
    pub fn public() -> Self {
        Self::unnamed(Origin::Public, Role::Viewer, Scope::nothing())
    }

    fn unnamed(origin: Origin, role: Role, scope: Scope) -> Self {
        Self { name: None, origin, role, scope, tables: None, expires: None, claims: Map::new(), mark: None }
    }

    /// Somebody who has shown a token.
    pub fn named(name: &str, origin: Origin, role: Role, scope: Scope, expires: SystemTime) -> Self {
        let digest = Sha256::digest(name.as_bytes());
        let mark = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let mut principal = Self::unnamed(origin, role, scope);
        principal.name = Some(Arc::from(name));
        principal.expires = Some(expires);
        principal.mark = Some(mark);
        principal
    }

    /// Whether answers to it depend on who it is.
    pub fn is_told_apart(&self) -> bool {
        self.name.is_some()
    }

    /// Whether it may read these tables at all.
    pub fn may_read(&self, tables: &[&str]) -> bool {
        let may = |table: &&str| self.tables.as_ref().is_none_or(|tables| tables.iter().any(|may| may == table));
        tables.iter().all(may)
    }
}
