//! What a signed token says, as a principal.

use serde_json::Value;

use super::jwt::Claims;
use super::principal::Origin;
use super::scope::Sessions;
use super::{Principal, Role, Scope, capability};
use crate::config::{AuthConfig, ColumnClaim};
use crate::ids::SessionId;

#[cfg(test)]
mod tests;

/// Longer names are refused: each is kept as long as somebody of this name follows something.
pub const MAX_NAME_BYTES: usize = 255;

/// Claims that make nobody: which, and what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the claim {claim} must be {expected}")]
pub struct BadClaim {
    pub claim: String,
    pub expected: &'static str,
}

/// Whom verified claims speak of.
///
/// # Errors
/// A claim is missing or of another kind than the settings say.
pub fn principal(claims: Claims, config: &AuthConfig) -> Result<Principal, BadClaim> {
    let Claims { map, expires } = claims;
    let find = |name: &str| find(&map, name).filter(|value| !value.is_null());
    let bad = |claim: &str, expected| BadClaim { claim: claim.to_owned(), expected };
    let name = find(&config.subject_claim).and_then(Value::as_str);
    let is_name = |name: &&str| {
        let fits = (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.contains('\0');
        fits && !capability::is_id(name)
    };
    let name = name.filter(is_name);
    let name = name.ok_or_else(|| bad(&config.subject_claim, "a text of 1 to 255 bytes, and none like tok_..."))?;
    let role = match find(&config.role_claim) {
        Some(role) => role.as_str().and_then(|role| role.parse().ok()),
        None => config.default_role,
    };
    let role = role.ok_or_else(|| bad(&config.role_claim, "viewer, agent or admin"))?;
    if role == Role::Admin {
        return Ok(with_claims(Principal::named(name, Origin::Signed, role, Scope::everything(), expires), map));
    }
    let sessions = find(&config.sessions_claim).map(|value| {
        sessions(value).ok_or_else(|| bad(&config.sessions_claim, "\"*\" or a list of the ids of sessions"))
    });
    let projects = find(&config.projects_claim)
        .map(|value| texts(value).ok_or_else(|| bad(&config.projects_claim, "a list of the names of projects")));
    let columns = config.column_claims.iter().map(|ColumnClaim { column, claim }| {
        let value = find(claim).and_then(scalar).ok_or_else(|| bad(claim, "a text or a number"))?;
        Ok((column.clone(), value))
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let sessions = match (sessions.transpose()?, projects.is_some(), columns.is_empty()) {
        (Some(sessions), _, _) => sessions,
        // The columns are all that it is confined by.
        (None, false, false) => Sessions::All,
        (None, _, _) => Sessions::These(Vec::new()),
    };
    let scope = Scope { sessions, projects: projects.transpose()?.unwrap_or_default(), columns };
    Ok(with_claims(Principal::named(name, Origin::Signed, role, scope, expires), map))
}

fn with_claims(mut principal: Principal, claims: serde_json::Map<String, Value>) -> Principal {
    principal.claims = claims;
    principal
}

/// The claim of a name: of this very name, or at the end of a path of names with dots between.
pub fn find<'a>(claims: &'a serde_json::Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    find(claims.get(first)?.as_object()?, rest)
}

/// A value as the text of a parameter.
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.contains('\0') => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

fn sessions(value: &Value) -> Option<Sessions> {
    if value == "*" {
        return Some(Sessions::All);
    }
    let ids = texts(value)?.into_iter().map(|text| SessionId::try_from(text).ok());
    ids.collect::<Option<Vec<_>>>().map(Sessions::These)
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_str().filter(|text| !text.contains('\0')).map(str::to_owned);
    value.as_array()?.iter().map(text).collect()
}
