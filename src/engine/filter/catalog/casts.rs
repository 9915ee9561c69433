//! Casts: which pairs of types convert, when Postgres does it unasked, and how.

use super::super::types::{Category, Type};
use super::super::value::{Failure, Value};
use crate::engine::filter::functions::{array, convert, json};

/// When a cast is used: each context includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Context {
    Implicit,
    Assignment,
    Explicit,
}

/// Converts a value that is not NULL, from one type to another.
pub type Convert = for<'a> fn(Value<'a>, Type, Type) -> Result<Value<'a>, Failure>;

struct Cast {
    from: Type,
    to: Type,
    context: Context,
    /// `None`: exists in Postgres, and not here.
    run: Option<Convert>,
}

const fn cast(from: Type, to: Type, context: Context, run: Convert) -> Cast {
    Cast { from, to, context, run: Some(run) }
}

const fn missing(from: Type, to: Type, context: Context) -> Cast {
    Cast { from, to, context, run: None }
}

use Context::{Assignment, Explicit, Implicit};
use Type::*;

/// The rows of `pg_cast` between the types that we have.
static CASTS: [Cast; 69] = [
    cast(Int2, Int4, Implicit, convert::integer),
    cast(Int2, Int8, Implicit, convert::integer),
    cast(Int2, Float4, Implicit, convert::float),
    cast(Int2, Float8, Implicit, convert::float),
    cast(Int2, Numeric, Implicit, convert::numeric),
    cast(Int4, Int8, Implicit, convert::integer),
    cast(Int4, Float4, Implicit, convert::float),
    cast(Int4, Float8, Implicit, convert::float),
    cast(Int4, Numeric, Implicit, convert::numeric),
    cast(Int8, Float4, Implicit, convert::float),
    cast(Int8, Float8, Implicit, convert::float),
    cast(Int8, Numeric, Implicit, convert::numeric),
    cast(Numeric, Float4, Implicit, convert::float),
    cast(Numeric, Float8, Implicit, convert::float),
    cast(Float4, Float8, Implicit, convert::float),
    cast(Int4, Int2, Assignment, convert::integer),
    cast(Int8, Int2, Assignment, convert::integer),
    cast(Int8, Int4, Assignment, convert::integer),
    cast(Float4, Int2, Assignment, convert::integer),
    cast(Float4, Int4, Assignment, convert::integer),
    cast(Float4, Int8, Assignment, convert::integer),
    cast(Float4, Numeric, Assignment, convert::numeric),
    cast(Float8, Int2, Assignment, convert::integer),
    cast(Float8, Int4, Assignment, convert::integer),
    cast(Float8, Int8, Assignment, convert::integer),
    cast(Float8, Numeric, Assignment, convert::numeric),
    cast(Float8, Float4, Assignment, convert::float),
    cast(Numeric, Int2, Assignment, convert::integer),
    cast(Numeric, Int4, Assignment, convert::integer),
    cast(Numeric, Int8, Assignment, convert::integer),
    cast(Bool, Int4, Explicit, convert::truth),
    cast(Int4, Bool, Explicit, convert::truth),
    cast(Bool, Text, Assignment, convert::string),
    cast(Bool, Varchar, Assignment, convert::string),
    cast(Bool, Bpchar, Assignment, convert::string),
    cast(Text, Varchar, Implicit, convert::string),
    cast(Text, Bpchar, Implicit, convert::string),
    cast(Text, Name, Implicit, convert::string),
    cast(Varchar, Text, Implicit, convert::string),
    cast(Varchar, Bpchar, Implicit, convert::string),
    cast(Varchar, Name, Implicit, convert::string),
    cast(Bpchar, Text, Implicit, convert::string),
    cast(Bpchar, Varchar, Implicit, convert::string),
    cast(Bpchar, Name, Implicit, convert::string),
    cast(Name, Text, Implicit, convert::string),
    cast(Name, Varchar, Assignment, convert::string),
    cast(Name, Bpchar, Assignment, convert::string),
    cast(Date, Timestamp, Implicit, convert::moment),
    cast(Date, Timestamptz, Implicit, convert::moment),
    cast(Timestamp, Timestamptz, Implicit, convert::moment),
    cast(Timestamp, Date, Assignment, convert::moment),
    cast(Timestamp, Time, Assignment, convert::moment),
    cast(Timestamptz, Date, Assignment, convert::moment),
    cast(Timestamptz, Time, Assignment, convert::moment),
    cast(Timestamptz, Timestamp, Assignment, convert::moment),
    cast(Time, Interval, Implicit, convert::moment),
    cast(Interval, Time, Assignment, convert::moment),
    missing(Time, Timetz, Implicit),
    missing(Timetz, Time, Assignment),
    missing(Timestamptz, Timetz, Assignment),
    cast(Json, Jsonb, Assignment, json::cast),
    cast(Jsonb, Json, Assignment, json::cast),
    cast(Jsonb, Bool, Explicit, json::scalar),
    cast(Jsonb, Int2, Explicit, json::scalar),
    cast(Jsonb, Int4, Explicit, json::scalar),
    cast(Jsonb, Int8, Explicit, json::scalar),
    cast(Jsonb, Float4, Explicit, json::scalar),
    cast(Jsonb, Float8, Explicit, json::scalar),
    cast(Jsonb, Numeric, Explicit, json::scalar),
];

/// How Postgres converts one type to another in a context.
#[derive(Debug, Clone, Copy)]
pub enum Pathway {
    Run(Convert),
    /// It converts, and we do not.
    Missing,
}

/// How `from` becomes `to`, as `find_coercion_pathway` finds it; `None` if it does not in this context. Both are types of
/// values, neither the same nor unknown.
pub fn pathway(from: Type, to: Type, context: Context) -> Option<Pathway> {
    if let Some(row) = CASTS.iter().find(|row| row.from == from && row.to == to) {
        return (row.context <= context).then(|| row.run.map_or(Pathway::Missing, Pathway::Run));
    }
    if let (Some(from), Some(to)) = (from.element(), to.element()) {
        return array::converts(from, to, context);
    }
    let to_string = to.category() == Category::String && context >= Assignment;
    let from_string = from.category() == Category::String && context >= Explicit;
    if matches!(from, Type::Other(_)) || matches!(to, Type::Other(_)) {
        return (to_string || from_string).then_some(Pathway::Missing);
    }
    if to_string {
        return Some(convert::to_text(from).map_or(Pathway::Missing, Pathway::Run));
    }
    from_string.then(|| convert::from_text(to).map_or(Pathway::Missing, Pathway::Run))
}

/// Whether Postgres converts `from` to `to` without being asked: the `can_coerce_type` of an implicit cast.
pub fn converts(from: Type, to: Type) -> bool {
    from == to || from == Type::Unknown || to == Type::Any || pathway(from, to, Context::Implicit).is_some()
}
