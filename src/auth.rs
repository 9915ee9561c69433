//! Who asks, and what they may see: everything about permission, and nothing about HTTP.
//!
//! ```text
//! token ──► jwt ────────┐
//!   └─────► capability ─┴──► Principal (role, scope, expiry) ──► scope: the condition that its shapes get
//!                                   ▲
//!                     revocations: who is kept out, in every process
//! ```

pub mod capability;
pub mod claims;
pub mod guard;
pub mod jwt;
pub mod limits;
pub mod named;
pub mod narrow;
pub mod principal;
pub mod revocations;
pub mod scope;

pub use guard::{Guard, Refused};
pub use named::{NamedShape, NamedShapes};
pub use narrow::{Denied, Narrow};
pub use principal::{Principal, Role};
pub use revocations::Revocations;
pub use scope::Scope;
