//! A shape request: the query string as typed fields, or the reasons why it is none.
//!
//! Checks run in the protocol's order (2.2). What needs the catalogue stays text here: `table`,
//! `columns`, `queryable_columns` and `where` are resolved by whoever answers the request.

use std::collections::BTreeMap;

use super::query::{Given, Query};
use super::{Handle, Offset, Requested, Subset, TableName};

#[cfg(test)]
mod tests;

/// Filter parameters above this number are refused: each becomes part of a parsed condition.
const MAX_PARAMS: usize = 10_000;

const BLANK: &str = "can't be blank";
const INVALID: &str = "is invalid";
const UNSUPPORTED: &str = "is not supported yet";

/// One request for a shape's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeRequest {
    /// As given, not yet parsed as an identifier; never blank.
    pub table: String,
    pub offset: Requested,
    /// As given. Means nothing at [`Requested::Start`]; see [`ShapeRequest::resumes`].
    pub handle: Option<Handle>,
    pub live: Live,
    /// The last `electric-cursor` that the client saw; `None` if absent or no number.
    pub cursor: Option<u64>,
    /// The text of `columns`, not yet parsed.
    pub columns: Option<String>,
    /// The text of `queryable_columns`, not yet parsed.
    pub queryable_columns: Option<String>,
    /// The text of `where`, not yet parsed.
    pub filter: Option<String>,
    /// The values of `$1`, `$2`, ... in order; empty without `where`.
    pub params: Vec<String>,
    pub replica: Replica,
    pub log: LogMode,
    /// Part of the shape's rows instead of its log.
    pub subset: Option<Subset>,
    /// Entity tags of `If-None-Match`, without quotes.
    pub if_none_match: Vec<String>,
}

/// Whether a reader waits at the end of the log, and how it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Live {
    /// Answered at once with what there is.
    No,
    /// Held until there is something new: one answer.
    Poll,
    /// Server-sent events until the stream ends.
    Sse,
}

/// How much of a row a change shows (protocol, 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Replica {
    /// Key and changed columns.
    Default,
    /// Whole rows, with the old values of an update.
    Full,
}

/// What a shape's log holds (protocol, 2.1 and 6.2). Part of the shape's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum LogMode {
    /// The rows that were there at its beginning, and then the changes.
    Full,
    /// The changes alone: rows are asked for by subsets.
    ChangesOnly,
}

/// What a request without `offset` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingOffset {
    /// A 400, as the protocol says.
    Refuse,
    /// The same as `-1`.
    Start,
}

impl ShapeRequest {
    /// Reads a query string and the `If-None-Match` header (several lines joined by commas).
    ///
    /// # Errors
    ///
    /// [`Invalid`] with the first stage of protocol 2.2 that fails, (a) to (f) up to a blank table,
    /// and then what this server does not support.
    pub fn parse(query: &str, if_none_match: Option<&str>, missing_offset: MissingOffset) -> Result<Self, Invalid> {
        let query = Query::decode(query).map_err(|malformed| Invalid::one("query", malformed.to_string()))?;
        let fields = Fields::cast(query, missing_offset)?;
        let offset = Requested::parse(&fields.offset).ok_or_else(|| Invalid::one("offset", "has invalid format"))?;
        fields.check_handle(offset)?;
        let live = fields.live(offset)?;
        let table = fields.table.clone().ok_or_else(|| Invalid::one("table", BLANK))?;
        // The protocol ignores parameters that no filter can refer to.
        let params = if fields.filter.is_some() { numbered(&fields.params)? } else { Vec::new() };
        fields.refuse_unsupported(offset)?;
        Ok(Self {
            table,
            offset,
            handle: fields.handle.as_deref().map(Handle::from),
            live,
            cursor: fields.cursor,
            columns: fields.columns,
            queryable_columns: fields.queryable_columns,
            filter: fields.filter,
            params,
            replica: fields.replica,
            log: LogMode::Full,
            subset: None,
            if_none_match: if_none_match.map(entity_tags).unwrap_or_default(),
        })
    }

    /// The handle and position that a reader goes on from; `None` if it starts over.
    pub fn resumes(&self) -> Option<(&Handle, Offset)> {
        match self.offset {
            Requested::After(offset) => self.handle.as_ref().map(|handle| (handle, offset)),
            Requested::Start | Requested::Now => None,
        }
    }
}

/// Why a request was refused: texts by field, as the client reads them in a 400.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Invalid {
    errors: BTreeMap<&'static str, Vec<String>>,
}

impl Invalid {
    /// One reason for one field.
    pub fn one(field: &'static str, text: impl Into<String>) -> Self {
        let mut invalid = Self::default();
        invalid.add(field, text);
        invalid
    }

    /// A table that is not there, or that the caller cannot be told of.
    pub fn unknown_table(name: &TableName) -> Self {
        Self::one("table", Self::no_such_table(name))
    }

    /// What is said of a table that is not there.
    pub fn no_such_table(name: &TableName) -> String {
        format!(
            "Table {} does not exist. If the table name contains capitals or special characters you must quote it.",
            name.quoted()
        )
    }

    /// A part of the protocol that this server does not have.
    pub fn unsupported(field: &'static str) -> Self {
        Self::one(field, UNSUPPORTED)
    }

    /// Adds a reason to those there are.
    pub fn add(&mut self, field: &'static str, text: impl Into<String>) {
        self.errors.entry(field).or_default().push(text.into());
    }

    /// The texts by field.
    pub fn errors(&self) -> &BTreeMap<&'static str, Vec<String>> {
        &self.errors
    }
}

/// Every field with its type, before the checks between fields: stage (a).
struct Fields {
    table: Option<String>,
    offset: String,
    handle: Option<String>,
    live: bool,
    live_sse: bool,
    cursor: Option<u64>,
    columns: Option<String>,
    queryable_columns: Option<String>,
    filter: Option<String>,
    params: Vec<(String, String)>,
    replica: Replica,
    changes_only: bool,
    subset: bool,
}

impl Fields {
    /// Casts all fields; their errors are reported together.
    fn cast(query: Query, missing_offset: MissingOffset) -> Result<Self, Invalid> {
        let mut cast = Cast { query, invalid: Invalid::default() };
        let fields = Self {
            table: cast.text("table"),
            offset: cast.offset(missing_offset),
            handle: cast.text("handle"),
            live: cast.flag("live").unwrap_or(false),
            live_sse: cast.live_sse(),
            cursor: cast.cursor(),
            columns: cast.text("columns"),
            queryable_columns: cast.text("queryable_columns"),
            filter: cast.text("where"),
            params: cast.params(),
            replica: cast.one_of("replica", [("default", Replica::Default), ("full", Replica::Full)]),
            changes_only: cast.one_of("log", [("full", false), ("changes_only", true)]),
            subset: cast.query.has_prefix("subset__"),
        };
        // A hint for storage that changes no answer: checked and ignored.
        cast.boolean("experimental_compaction", "experimental_compaction");
        if cast.invalid.errors.is_empty() { Ok(fields) } else { Err(cast.invalid) }
    }

    /// Stage (c).
    fn check_handle(&self, offset: Requested) -> Result<(), Invalid> {
        match (offset, &self.handle) {
            (Requested::After(_), None) => Err(Invalid::one("handle", "can't be blank when offset != -1")),
            _ => Ok(()),
        }
    }

    /// Stages (d) and (e).
    fn live(&self, offset: Requested) -> Result<Live, Invalid> {
        match (self.live, self.live_sse, offset) {
            (true, _, Requested::Start) => Err(Invalid::one("live", "can't be true when offset == -1")),
            (true, _, Requested::Now) => Err(Invalid::one("live", "can't be true when offset is 'now'")),
            (false, true, _) => Err(Invalid::one("live_sse", "can't be true unless live is also true")),
            (false, false, _) => Ok(Live::No),
            (true, false, Requested::After(_)) => Ok(Live::Poll),
            (true, true, Requested::After(_)) => Ok(Live::Sse),
        }
    }

    fn refuse_unsupported(&self, offset: Requested) -> Result<(), Invalid> {
        let unsupported = [("log", self.changes_only), ("offset", offset == Requested::Now), ("subset", self.subset)];
        match unsupported.into_iter().find(|(_, asked)| *asked) {
            Some((field, _)) => Err(Invalid::unsupported(field)),
            None => Ok(()),
        }
    }
}

/// Takes fields from the query one by one and collects what is wrong with them.
struct Cast {
    query: Query,
    invalid: Invalid,
}

impl Cast {
    /// The text of a field; blank counts as absent. U+0000 exists in no Postgres text.
    fn text(&mut self, field: &'static str) -> Option<String> {
        match self.query.take(field)? {
            Given::Text(text) if text.trim().is_empty() => None,
            Given::Text(text) if !text.contains('\0') => Some(text),
            _ => self.refuse(field, INVALID),
        }
    }

    /// The text of the offset, which is not yet looked into.
    fn offset(&mut self, missing: MissingOffset) -> String {
        match (self.text("offset"), missing) {
            (Some(text), _) => text,
            (None, MissingOffset::Start) => Requested::Start.to_string(),
            (None, MissingOffset::Refuse) => {
                if !self.invalid.errors.contains_key("offset") {
                    self.invalid.add("offset", BLANK);
                }
                String::new()
            }
        }
    }

    /// A switch that is on by being there: off only if absent, `false` or `0` (protocol, 2.6 and 13.3).
    fn flag(&mut self, field: &'static str) -> Option<bool> {
        match self.query.take(field)? {
            Given::Text(text) => Some(!text.eq_ignore_ascii_case("false") && text != "0"),
            _ => self.refuse(field, INVALID),
        }
    }

    /// A boolean that must look like one; errors go to `reported`.
    fn boolean(&mut self, field: &'static str, reported: &'static str) -> bool {
        match self.query.take(field) {
            None => false,
            Some(Given::Text(text)) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" => true,
                "false" | "0" | "" => false,
                _ => self.refuse(reported, INVALID).unwrap_or(false),
            },
            Some(_) => self.refuse(reported, INVALID).unwrap_or(false),
        }
    }

    /// `live_sse`, or in its absence the older name, which clients still send beside it.
    fn live_sse(&mut self) -> bool {
        match self.flag("live_sse") {
            Some(on) => on,
            None => self.boolean("experimental_live_sse", "live_sse"),
        }
    }

    /// Never wrong: what is no number is absent.
    fn cursor(&mut self) -> Option<u64> {
        match self.query.take("cursor")? {
            Given::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// `params[n]=value`, whose keys are looked at only where there is a filter.
    fn params(&mut self) -> Vec<(String, String)> {
        match self.query.take("params") {
            None => Vec::new(),
            Some(Given::Text(text)) if text.trim().is_empty() => Vec::new(),
            Some(Given::Members(members)) if members.iter().all(|(_, value)| !value.contains('\0')) => members,
            Some(_) => self.refuse("params", INVALID).unwrap_or_default(),
        }
    }

    /// One of two words, of which the first is the default.
    fn one_of<T: Copy>(&mut self, field: &'static str, words: [(&str, T); 2]) -> T {
        let [(_, default), _] = words;
        let Some(text) = self.text(field) else { return default };
        match words.into_iter().find(|(word, _)| *word == text) {
            Some((_, meaning)) => meaning,
            None => self.refuse(field, INVALID).unwrap_or(default),
        }
    }

    fn refuse<T>(&mut self, field: &'static str, text: &str) -> Option<T> {
        self.invalid.add(field, text);
        None
    }
}

/// The values of parameters numbered 1..n without holes, in order (protocol, 2.11).
fn numbered(members: &[(String, String)]) -> Result<Vec<String>, Invalid> {
    let mut by_number = BTreeMap::new();
    for (key, value) in members {
        let digits = key.strip_prefix(['-', '+']).unwrap_or(key);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Invalid::one("params", "Parameters can only use numbers as keys"));
        }
        // A number that does not fit is as far from a sequence as a negative one.
        by_number.insert(key.parse::<i64>().unwrap_or(-1), value);
    }
    if by_number.len() > MAX_PARAMS {
        return Err(Invalid::one("params", format!("must not be more than {MAX_PARAMS}")));
    }
    let sequential = by_number.keys().zip(1_i64..).all(|(number, expected)| *number == expected);
    if !sequential {
        return Err(Invalid::one("params", "Parameters must be numbered sequentially, starting from 1"));
    }
    Ok(by_number.into_values().cloned().collect())
}

/// The list of `If-None-Match`; `W/` and `*` mean nothing here and match nothing (protocol, 4.7).
fn entity_tags(header: &str) -> Vec<String> {
    let stripped = header.split(',').map(|tag| tag.trim_matches([' ', '"']));
    stripped.filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
}
