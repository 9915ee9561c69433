//! A request and who sends it become the request that is answered: with the server's table, and with the server's
//! condition beside the client's. A client narrows what it may see, and never widens it.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::named::{NamedShape, NoValue};
use super::principal::Origin;
use super::scope::Condition;
use super::{NamedShapes, Principal};
use crate::engine::filter::{self, FilterError, Outline};
use crate::shape::{Given, Invalid, Query, ShapeRequest, TableName, parse_columns, parse_relation, quote_identifier};
use crate::subscription::Sessions;

#[cfg(test)]
mod tests;

/// The tables of agent state, all in schema `public`.
pub const AGENT_TABLES: [&str; 5] = ["sessions", "messages", "parts", "snapshot_history", "subtasks"];

/// Texts that have been looked at and are remembered.
const REMEMBERED: usize = 4096;
/// Longer texts are looked at each time.
const MAX_REMEMBERED_BYTES: usize = 1024;

/// Makes the requests that are answered. One of it is shared by all workers.
pub struct Narrow {
    shapes: NamedShapes,
    are_any_public: bool,
    sessions: Sessions,
    outlines: Cache<String, Arc<Result<Outline, FilterError>>>,
    joined: Cache<(String, String), Arc<Result<String, FilterError>>>,
}

/// What a request asks for, now that it may be answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Narrowed {
    /// Under its own name, or that of a named shape.
    pub name: String,
    /// The table of the database.
    pub table: TableName,
    /// Whether everybody gets the same answer.
    pub is_public: bool,
}

/// Why a request may not be answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Denied {
    Invalid(Invalid),
    /// Nobody in particular asks for what is not public.
    NoToken,
    /// The token lacks a claim that the shape depends on.
    NoClaim(String),
}

impl From<Invalid> for Denied {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl Narrow {
    pub fn new(shapes: NamedShapes) -> Self {
        let (outlines, joined) = (Cache::new(REMEMBERED), Cache::new(REMEMBERED));
        Self { are_any_public: shapes.are_any_public(), shapes, sessions: Sessions::default(), outlines, joined }
    }

    /// Whether everybody may follow what a URL names. What a body says besides is judged with the request.
    pub fn is_public(&self, query: &str) -> bool {
        self.are_any_public && {
            let table = Query::decode(query).ok().and_then(|mut query| query.take("table"));
            matches!(table, Some(Given::Text(name)) if self.shapes.find(&name).is_some_and(|shape| shape.is_public))
        }
    }

    /// Confines a request to what its sender may see.
    ///
    /// # Errors
    /// [`Denied`]: then it is not to be answered.
    pub fn narrow(&self, principal: &Principal, asked: &mut ShapeRequest) -> Result<Narrowed, Denied> {
        match self.shapes.find(&asked.table) {
            Some(shape) => self.narrow_named(principal, shape, asked),
            None => self.narrow_table(principal, asked),
        }
    }

    fn narrow_table(&self, principal: &Principal, asked: &mut ShapeRequest) -> Result<Narrowed, Denied> {
        if principal.origin == Origin::Public {
            return Err(Denied::NoToken);
        }
        let table = parse_relation(&asked.table).map_err(|text| Invalid::one("table", text))?;
        if !is_agent_table(&table) || !principal.may_read(&[&table.name]) {
            return Err(Invalid::unknown_table(&table).into());
        }
        if !asked.values.is_empty() && asked.filter.is_some() {
            return Err(Invalid::one("params", "Parameters can only use numbers as keys").into());
        }
        let subqueries = if principal.scope.is_everything() { Subqueries::OfAgentState } else { Subqueries::None };
        self.check_conditions(asked, subqueries, None)?;
        let session = self.sessions.of(&table.name, asked);
        let ours = principal.scope.condition(&table.name, session.as_deref(), asked.params.len());
        self.join(ours, asked)?;
        Ok(Narrowed { name: table.name.clone(), table, is_public: false })
    }

    fn narrow_named(
        &self,
        principal: &Principal,
        shape: &NamedShape,
        asked: &mut ShapeRequest,
    ) -> Result<Narrowed, Denied> {
        if principal.origin == Origin::Public && !shape.is_public {
            return Err(Denied::NoToken);
        }
        // A token for one session shows others' tables only if it names them.
        let is_named = principal.tables.as_ref().is_some_and(|tables| tables.contains(&asked.table));
        let is_free = principal.origin != Origin::Capability && principal.tables.is_none();
        if !(shape.is_public || is_named || is_free) {
            let table = parse_relation(&asked.table).map_err(|text| Invalid::one("table", text))?;
            return Err(Invalid::unknown_table(&table).into());
        }
        self.check_conditions(asked, Subqueries::None, shape.columns.as_deref())?;
        if let Some(columns) = &shape.columns {
            show_only(columns, asked)?;
        }
        let values = std::mem::take(&mut asked.values);
        let condition = shape.condition(principal, &values, asked.params.len());
        self.join(condition.map_err(Denied::from)?, asked)?;
        if is_agent_table(&shape.table) && !shape.is_public {
            let session = self.sessions.of(&shape.table.name, asked);
            let ours = principal.scope.condition(&shape.table.name, session.as_deref(), asked.params.len());
            self.join(ours, asked)?;
        }
        let name = std::mem::replace(&mut asked.table, shape.table.quoted());
        Ok(Narrowed { name, table: shape.table.clone(), is_public: shape.is_public })
    }

    /// Looks into the client's own conditions: nothing in them may reach what is not to be seen.
    fn check_conditions(
        &self,
        asked: &ShapeRequest,
        subqueries: Subqueries,
        columns: Option<&[String]>,
    ) -> Result<(), Invalid> {
        if let Some(text) = &asked.filter {
            let outline = self.outline(text).map_err(|error| Invalid::one("where", error.message))?;
            outline.check("where", subqueries, columns)?;
            // It would be one of ours, which follow the client's.
            if outline.last_parameter > asked.params.len() {
                let missing = format!("${} of the condition has no value", outline.last_parameter);
                return Err(Invalid::one("params", missing));
            }
        }
        if let Some(text) = asked.subset.as_ref().and_then(|subset| subset.filter.as_deref()) {
            let invalid = |error: FilterError| Invalid::one("where", error.message).in_subset();
            let outline = self.outline(text).map_err(invalid)?;
            outline.check("where", subqueries, columns).map_err(Invalid::in_subset)?;
        }
        let order_by = asked.subset.as_ref().and_then(|subset| subset.order_by.as_deref());
        if let (Some(columns), Some(order_by)) = (columns, order_by) {
            check_order(columns, order_by)?;
        }
        Ok(())
    }

    fn outline(&self, text: &str) -> Result<Outline, FilterError> {
        if text.len() > MAX_REMEMBERED_BYTES {
            return filter::outline(text);
        }
        let known = self.outlines.get_or_insert_with(text, || Ok::<_, ()>(Arc::new(filter::outline(text))));
        known.map_or_else(|()| filter::outline(text), |known| (*known).clone())
    }

    /// Puts a condition of ours beside that of a request.
    fn join(&self, ours: Option<Condition>, asked: &mut ShapeRequest) -> Result<(), Invalid> {
        let Some(Condition { text, params }) = ours else { return Ok(()) };
        asked.filter = Some(match asked.filter.take() {
            None => text,
            Some(theirs) => self.both(text, theirs).map_err(|error| Invalid::one("where", error.message))?,
        });
        asked.params.extend(params);
        Ok(())
    }

    fn both(&self, ours: String, theirs: String) -> Result<String, FilterError> {
        if ours.len() + theirs.len() > MAX_REMEMBERED_BYTES {
            return filter::both(&ours, &theirs);
        }
        let texts = (ours, theirs);
        if let Some(known) = self.joined.get(&texts) {
            return (*known).clone();
        }
        let joined = filter::both(&texts.0, &texts.1);
        self.joined.insert(texts, Arc::new(joined.clone()));
        joined
    }
}

impl From<NoValue> for Denied {
    fn from(missing: NoValue) -> Self {
        match missing {
            NoValue::Claim(name) => Self::NoClaim(name),
            NoValue::Param(name) => Invalid::one("params", format!("params[{name}] is missing")).into(),
            NoValue::UnknownParam(name) => {
                Invalid::one("params", format!("params[{name}] is nothing that this shape takes")).into()
            }
        }
    }
}

/// Which subqueries a client's condition may have.
#[derive(Clone, Copy)]
enum Subqueries {
    /// Whoever sees a part of a table could ask the rest of it, or other tables.
    None,
    OfAgentState,
}

impl Outline {
    fn check(&self, field: &'static str, allowed: Subqueries, columns: Option<&[String]>) -> Result<(), Invalid> {
        match allowed {
            _ if !self.has_subquery => {}
            Subqueries::None => {
                return Err(Invalid::one(field, "subqueries are for those who may see everything"));
            }
            Subqueries::OfAgentState => {
                let other = self.tables.as_ref().map(|tables| tables.iter().find(|table| !is_agent_table(table)));
                match other {
                    Some(None) => {}
                    Some(Some(table)) => return Err(Invalid::one(field, Invalid::no_such_table(table))),
                    None => return Err(Invalid::one(field, "a subquery can only select from tables")),
                }
            }
        }
        let hidden = columns.and_then(|columns| self.columns.iter().find(|name| !columns.contains(name)));
        match hidden {
            // In the words of a column that is not there: the two look the same.
            Some(name) => Err(Invalid::one(field, format!("unknown reference {name}"))),
            None => Ok(()),
        }
    }
}

fn is_agent_table(table: &TableName) -> bool {
    table.schema == "public" && AGENT_TABLES.contains(&table.name.as_str())
}

/// Refuses to sort a subset by what is not shown: the order would tell of it.
fn check_order(columns: &[String], order_by: &str) -> Result<(), Invalid> {
    let is_plain = |word: &str| ["asc", "desc", "nulls", "first", "last"].contains(&word.to_ascii_lowercase().as_str());
    let shown = |part: &str| {
        let mut words = part.split_whitespace();
        let column = words.next().and_then(|name| parse_columns(name).ok()).unwrap_or_default();
        column.iter().all(|name| columns.contains(name)) && column.len() == 1 && words.all(is_plain)
    };
    let all = order_by.split(',').all(shown);
    let text = "must name columns of the shape, each with ASC, DESC, NULLS FIRST or NULLS LAST behind it";
    if all { Ok(()) } else { Err(Invalid::one("order_by", text).in_subset()) }
}

/// Leaves a request only these columns.
fn show_only(columns: &[String], asked: &mut ShapeRequest) -> Result<(), Invalid> {
    let wanted = asked.columns.as_deref().map(parse_columns).transpose();
    let wanted = wanted.map_err(|text| Invalid::one("columns", text))?;
    let hidden = wanted.iter().flatten().find(|name| !columns.contains(name));
    if let Some(hidden) = hidden {
        let text = format!("The following columns are not found on the table: {hidden}");
        return Err(Invalid::one("columns", text));
    }
    let all = columns.iter().map(|name| quote_identifier(name)).collect::<Vec<_>>().join(",");
    // Both: a server that does not know the second shows the first, and one that does judges subsets by it.
    asked.columns.get_or_insert_with(|| all.clone());
    asked.queryable_columns = Some(all);
    Ok(())
}
