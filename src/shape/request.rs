//! A shape request: the query string as typed fields, or the reasons why it is none.
//!
//! Checks run in the protocol's order (2.2). What needs the catalogue stays text here: `table`,
//! `columns`, `queryable_columns` and `where` are resolved by whoever answers the request.

use std::sync::Arc;

use super::cast::{Cast, INVALID, numbered};
use super::{Handle, Invalid, PostBody, Query, Requested, Subset};

#[cfg(test)]
mod tests;

const BLANK: &str = "can't be blank";
const NO_NAMES: &str = "The list of queryable columns must not be empty";

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
    /// Parameters that have names instead of numbers: the protocol knows none, and shapes of the operator's take them.
    pub values: Vec<(String, String)>,
    pub replica: Replica,
    pub log: LogMode,
    /// Whether the log may be compacted. Nothing here does that; it is refused for shapes with subqueries (protocol, 2.16).
    pub compaction: bool,
    /// Part of the shape's rows instead of its log.
    pub subset: Option<Subset>,
    /// What clients add to get round a cache that answers with something old. Means nothing to a shape.
    pub cache_buster: Option<String>,
    /// The handle that a client knows to have ended; means as little.
    pub expired_handle: Option<String>,
    /// The session that the request is confined to, if it is to one.
    pub session: Option<Arc<str>>,
    /// Entity tags of `If-None-Match`, without quotes.
    pub if_none_match: Vec<String>,
    /// The header `Accept-Encoding` of a request that is not live: only a proxied body may be compressed.
    pub accept_encoding: Option<String>,
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

impl Replica {
    /// Its name in the protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Full => "full",
        }
    }
}

/// What a shape's log holds (protocol, 2.1 and 6.2). Part of the shape's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum LogMode {
    /// The rows that were there at its beginning, and then the changes.
    Full,
    /// The changes alone: rows are asked for by subsets.
    ChangesOnly,
}

impl LogMode {
    /// Its name in the protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ChangesOnly => "changes_only",
        }
    }
}

/// How strictly a request is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// As the protocol says.
    Protocol,
    /// As the API takes it: without `offset` from the start, and parameters may have names.
    Api,
}

impl ShapeRequest {
    /// Reads a query string and the `If-None-Match` header (several lines joined by commas).
    ///
    /// # Errors
    ///
    /// [`Invalid`] with the first stage of protocol 2.2 that fails: (a) to (f) up to the numbers of the
    /// parameters, then (g).
    pub fn parse(query: &str, if_none_match: Option<&str>, dialect: Dialect) -> Result<Self, Invalid> {
        let mut request = Self::read(decode(query)?, dialect)?;
        request.if_none_match = if_none_match.map(entity_tags).unwrap_or_default();
        Ok(request)
    }

    /// Reads a query string with a body laid over it. Conditions mean nothing to a POST.
    ///
    /// # Errors
    ///
    /// As [`ShapeRequest::parse`].
    pub fn parse_post(query: &str, body: PostBody, dialect: Dialect) -> Result<Self, Invalid> {
        let mut query = decode(query)?;
        body.merge_into(&mut query)?;
        Self::read(query, dialect)
    }

    fn read(query: Query, dialect: Dialect) -> Result<Self, Invalid> {
        let (mut fields, rest) = Fields::cast(query, dialect)?;
        let values = if dialect == Dialect::Api { fields.take_values() } else { Vec::new() };
        let offset = Requested::parse(&fields.offset).ok_or_else(|| Invalid::one("offset", "has invalid format"))?;
        fields.check_handle(offset)?;
        let live = fields.live(offset)?;
        let request = fields.request(offset, live)?;
        Ok(Self { subset: Subset::take(rest)?, values, ..request })
    }

    /// The handle of the shape that a reader goes on with; `None` if it starts over.
    pub fn resumes(&self) -> Option<&Handle> {
        match self.offset {
            Requested::After(_) => self.handle.as_ref(),
            Requested::Start | Requested::Now => None,
        }
    }
}

/// Which shape a DELETE means: by its definition, its handle, or both; at least one (protocol, 7.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// A request from the start, for the shape of this definition.
    pub definition: Option<Box<ShapeRequest>>,
    pub handle: Option<Handle>,
}

impl Deletion {
    /// Reads a query string; a DELETE has no body. What only reading needs must be of its type, and means nothing.
    ///
    /// # Errors
    ///
    /// [`Invalid`], in the order of [`ShapeRequest::parse`].
    pub fn parse(query: &str) -> Result<Self, Invalid> {
        let mut cast = Cast::new(decode(query)?);
        cast.position("offset");
        cast.boolean("live", "live");
        cast.boolean("live_sse", "live_sse");
        cast.boolean("experimental_live_sse", "live_sse");
        if !cast.invalid.is_empty() {
            return Err(cast.invalid);
        }
        let (fields, _) = Fields::cast(cast.query, Dialect::Api)?;
        let handle = fields.handle.as_deref().map(Handle::from);
        if fields.table.is_none() {
            let missing = || Invalid::one("handle", "can't be blank when shape definition is missing");
            return Ok(Self { definition: None, handle: Some(handle.ok_or_else(missing)?) });
        }
        Ok(Self { definition: Some(Box::new(fields.request(Requested::Start, Live::No)?)), handle })
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
    log: LogMode,
    compaction: bool,
    cache_buster: Option<String>,
    expired_handle: Option<String>,
    subset: bool,
}

impl Fields {
    /// Casts all fields but a subset's, which are left; their errors are reported together.
    fn cast(query: Query, dialect: Dialect) -> Result<(Self, Query), Invalid> {
        let subset = query.wants_subset();
        let mut cast = Cast::new(query);
        let fields = Self {
            table: cast.text("table"),
            offset: offset(&mut cast, dialect),
            handle: cast.text("handle"),
            live: cast.flag("live").unwrap_or(false),
            live_sse: live_sse(&mut cast),
            cursor: cast.cursor(),
            columns: cast.names("columns", INVALID),
            queryable_columns: cast.names("queryable_columns", NO_NAMES),
            filter: cast.text("where"),
            params: cast.params(),
            replica: cast
                .one_of("replica", [Replica::Default, Replica::Full].map(|replica| (replica.as_str(), replica))),
            log: cast.one_of("log", [LogMode::Full, LogMode::ChangesOnly].map(|log| (log.as_str(), log))),
            compaction: cast.boolean("experimental_compaction", "experimental_compaction"),
            cache_buster: cast.unjudged("cache-buster"),
            expired_handle: cast.unjudged("expired_handle"),
            subset,
        };

        if cast.invalid.is_empty() { Ok((fields, cast.query)) } else { Err(cast.invalid) }
    }

    /// The parameters that have names.
    fn take_values(&mut self) -> Vec<(String, String)> {
        let is_named = |(key, _): &(String, String)| key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let (named, others) = std::mem::take(&mut self.params).into_iter().partition(is_named);
        self.params = others;
        named
    }

    /// Stage (c).
    fn check_handle(&self, offset: Requested) -> Result<(), Invalid> {
        match (offset, &self.handle) {
            (Requested::After(_), None) => Err(Invalid::one("handle", "can't be blank when offset != -1")),
            _ => Ok(()),
        }
    }

    /// The request that these fields make, as far as stage (f) can be judged without the catalogue.
    fn request(self, offset: Requested, live: Live) -> Result<ShapeRequest, Invalid> {
        let table = self.table.ok_or_else(|| Invalid::one("table", BLANK))?;
        // The protocol ignores parameters that no filter can refer to.
        let params = if self.filter.is_some() { numbered(&self.params) } else { Ok(Vec::new()) };
        let params = params.map_err(|text| Invalid::one("params", text))?;
        Ok(ShapeRequest {
            table,
            offset,
            handle: self.handle.as_deref().map(Handle::from),
            live,
            cursor: self.cursor,
            columns: self.columns,
            queryable_columns: self.queryable_columns,
            filter: self.filter,
            params,
            values: Vec::new(),
            replica: self.replica,
            log: self.log,
            compaction: self.compaction,
            subset: None,
            cache_buster: self.cache_buster,
            expired_handle: self.expired_handle,
            session: None,
            if_none_match: Vec::new(),
            accept_encoding: None,
        })
    }

    /// Stages (d) and (e).
    fn live(&self, offset: Requested) -> Result<Live, Invalid> {
        match (self.live, self.live_sse, offset) {
            (true, _, Requested::Start) => Err(Invalid::one("live", "can't be true when offset == -1")),
            (true, _, Requested::Now) => Err(Invalid::one("live", "can't be true when offset is 'now'")),
            (_, true, _) if self.subset => Err(Invalid::one("live_sse", "can't be true for a subset")),
            (false, true, _) => Err(Invalid::one("live_sse", "can't be true unless live is also true")),
            (false, false, _) => Ok(Live::No),
            (true, false, Requested::After(_)) => Ok(Live::Poll),
            (true, true, Requested::After(_)) => Ok(Live::Sse),
        }
    }
}

/// The text of the offset, which is not yet looked into.
fn offset(cast: &mut Cast, dialect: Dialect) -> String {
    match (cast.position("offset"), dialect) {
        (Some(text), _) => text,
        (None, Dialect::Api) => Requested::Start.to_string(),
        (None, Dialect::Protocol) => {
            if !cast.invalid.blames("offset") {
                cast.invalid.add("offset", BLANK);
            }
            String::new()
        }
    }
}

/// `live_sse`, or in its absence the older name, which clients still send beside it.
fn live_sse(cast: &mut Cast) -> bool {
    match cast.flag("live_sse") {
        Some(on) => on,
        None => cast.boolean("experimental_live_sse", "live_sse"),
    }
}

fn decode(query: &str) -> Result<Query, Invalid> {
    Query::decode(query).map_err(|malformed| Invalid::one("query", malformed.to_string()))
}

/// The list of `If-None-Match`; `W/` and `*` mean nothing here and match nothing (protocol, 4.7).
fn entity_tags(header: &str) -> Vec<String> {
    let stripped = header.split(',').map(|tag| tag.trim_matches([' ', '"']));
    stripped.filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
}
