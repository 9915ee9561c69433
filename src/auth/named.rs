//! Shapes that the operator gives names to: a table, columns and a condition of the server's, with places for values.
//!
//! A place is `{claims.NAME}` or `{params.NAME}`. It becomes a numbered parameter when the service starts, so a value
//! is never a part of the text.

use std::collections::BTreeMap;

use super::claims::{find, scalar};
use super::principal::{Origin, Principal};
use super::scope::Condition;
use crate::config::{ShapeConfig, ShapesConfig};
use crate::engine::filter;
use crate::shape::{TableName, parse_relation};
use serde_json::Value;

#[cfg(test)]
mod tests;

/// All of them, by name.
#[derive(Debug, Default)]
pub struct NamedShapes {
    shapes: BTreeMap<String, NamedShape>,
}

/// One of them.
#[derive(Debug)]
pub struct NamedShape {
    pub table: TableName,
    /// As `columns` of a request has them; `None` for all.
    pub columns: Option<Vec<String>>,
    pub is_public: bool,
    condition: Option<Template>,
}

/// A condition whose parameters are yet to get values.
#[derive(Debug, PartialEq, Eq)]
struct Template {
    /// The text between the places: one more than there are places.
    texts: Vec<String>,
    places: Vec<Place>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Claim(String),
    Param(String),
}

/// Why a shape cannot be had under its name: for the log, at the start.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("shapes.{name}: {problem}")]
pub struct BadShape {
    pub name: String,
    pub problem: String,
}

/// Why a named shape has no condition for somebody.
#[derive(Debug, PartialEq, Eq)]
pub enum NoValue {
    /// The token does not say this.
    Claim(String),
    /// The request does not say this, or something of this name that no place takes.
    Param(String),
    UnknownParam(String),
}

impl NamedShapes {
    /// Reads the settings. `taken` are the names of tables that are followed under their own names.
    ///
    /// # Errors
    /// The first one that is wrong.
    pub fn new(config: &ShapesConfig, taken: &[&str]) -> Result<Self, BadShape> {
        let mut shapes = BTreeMap::new();
        for (name, shape) in config {
            let bad = |problem: String| BadShape { name: name.clone(), problem };
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if name.is_empty() || name.len() > 63 || !name.chars().all(plain) {
                return Err(bad("a name has 1 to 63 lower-case letters, digits and underscores".into()));
            }
            if taken.contains(&name.as_str()) {
                return Err(bad("a table of agent state has this name; choose another".into()));
            }
            shapes.insert(name.clone(), NamedShape::new(shape).map_err(bad)?);
        }
        Ok(Self { shapes })
    }

    /// Whether any of them is for everybody.
    pub fn are_any_public(&self) -> bool {
        self.shapes.values().any(|shape| shape.is_public)
    }

    /// The shape of a name.
    pub fn find(&self, name: &str) -> Option<&NamedShape> {
        self.shapes.get(name)
    }
}

impl NamedShape {
    fn new(config: &ShapeConfig) -> Result<Self, String> {
        let table = parse_relation(&config.table).map_err(|problem| format!("table: {problem}"))?;
        let condition = config.filter.as_deref().map(Template::parse).transpose()?;
        let of_claims = |place: &Place| matches!(place, Place::Claim(_));
        if config.public && condition.as_ref().is_some_and(|condition| condition.places.iter().any(of_claims)) {
            return Err("a public shape cannot depend on claims: those who follow it show no token".into());
        }
        let columns = (!config.columns.is_empty()).then(|| config.columns.clone());
        Ok(Self { table, columns, is_public: config.public, condition })
    }

    /// The condition for somebody who gives these values; its parameters numbered on from `taken`.
    ///
    /// # Errors
    /// A value is missing, or there is one too many.
    pub fn condition(
        &self,
        principal: &Principal,
        values: &[(String, String)],
        taken: usize,
    ) -> Result<Option<Condition>, NoValue> {
        let places = self.condition.as_ref().map_or(&[][..], |condition| &condition.places);
        let is_known = |name: &str| places.contains(&Place::Param(name.to_owned()));
        if let Some((name, _)) = values.iter().find(|(name, _)| !is_known(name)) {
            return Err(NoValue::UnknownParam(name.clone()));
        }
        let Some(template) = &self.condition else { return Ok(None) };
        let params = template.places.iter().map(|place| match place {
            Place::Claim(name) => claim(principal, name).ok_or_else(|| NoValue::Claim(name.clone())),
            Place::Param(name) => {
                let given = values.iter().rev().find(|(given, _)| given == name);
                given.map(|(_, value)| value.clone()).ok_or_else(|| NoValue::Param(name.clone()))
            }
        });
        let params = params.collect::<Result<_, _>>()?;
        Ok(Some(Condition { text: template.text(taken), params }))
    }
}

/// A claim as a parameter's text: a list as an array, for `= ANY (...)`.
fn claim(principal: &Principal, name: &str) -> Option<String> {
    // An open port knows nobody, so nothing may depend on who it is.
    let value = (principal.origin != Origin::Open).then(|| find(&principal.claims, name)).flatten()?;
    let Value::Array(items) = value else { return scalar(value) };
    let quoted = items.iter().map(|item| {
        let text = scalar(item)?.replace('\\', "\\\\").replace('"', "\\\"");
        Some(format!("\"{text}\""))
    });
    Some(format!("{{{}}}", quoted.collect::<Option<Vec<_>>>()?.join(",")))
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        match text.split_once('.') {
            Some(("claims", name)) if !name.is_empty() => Some(Self::Claim(name.to_owned())),
            Some(("params", name)) if !name.is_empty() => Some(Self::Param(name.to_owned())),
            _ => None,
        }
    }
}

impl Template {
    fn parse(text: &str) -> Result<Self, String> {
        let (mut texts, mut places, mut rest) = (vec![String::new()], Vec::new(), text);
        while let Some((before, behind)) = rest.split_once('{') {
            let place = behind.split_once('}').and_then(|(place, behind)| Some((Place::parse(place)?, behind)));
            let last = texts.last_mut().expect("there is one from the start");
            last.push_str(before);
            // Any other brace is one of the text, as in the array '{1,2}'.
            let Some((place, behind)) = place else {
                last.push('{');
                rest = behind;
                continue;
            };
            places.push(place);
            texts.push(String::new());
            rest = behind;
        }
        texts.last_mut().expect("there is one from the start").push_str(rest);
        let template = Self { texts, places };
        let outline = filter::outline(&template.text(0)).map_err(|error| format!("where: {}", error.message))?;
        // A place inside quotes is text and no parameter.
        if outline.parameters != template.places.len() {
            return Err("where: write a place without quotes around it, and no parameters of your own".into());
        }
        Ok(template)
    }

    fn text(&self, taken: usize) -> String {
        let (first, rest) = self.texts.split_first().expect("one more than there are places");
        rest.iter().zip(taken + 1..).fold(first.clone(), |text, (next, number)| format!("{text}${number}{next}"))
    }
}
