//! The types of the condition language: names, categories and numbers as Postgres' catalogue has them.

use std::fmt;

use crate::engine::tables::Column;

/// The type of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Text,
    Varchar,
    Bpchar,
    Name,
    Uuid,
    Bytea,
    Date,
    Time,
    Timetz,
    Timestamp,
    Timestamptz,
    Interval,
    Json,
    Jsonb,
    /// Known by its OID: two enums are the same type only if they are the same enum.
    Enum(u32),
    /// Known by the OID of its elements' type.
    Array(u32),
    /// A type without operators here. Only null tests work on it.
    Other(u32),
    /// A literal or parameter whose position has not decided its type yet.
    Unknown,
    /// Stands for any type in the row of a function, each argument on its own.
    Any,
    /// Stand for types that belong together in the row of a function, as in Postgres.
    AnyNonArray,
    AnyEnum,
    AnyArray,
    AnyCompatible,
    AnyCompatibleArray,
}

/// `pg_type.typcategory`, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    Bool,
    Number,
    String,
    Moment,
    Span,
    Array,
    Enum,
    /// Everything else: types that share this category have nothing in common.
    User,
    Unknown,
}

struct BuiltIn {
    ty: Type,
    name: &'static str,
    /// What `CAST` may call it besides its name.
    aliases: &'static [&'static str],
    oid: u32,
    array_oid: u32,
    category: Category,
    preferred: bool,
}

const fn built_in(ty: Type, name: &'static str, oid: u32, array_oid: u32, category: Category) -> BuiltIn {
    let preferred = matches!(ty, Type::Bool | Type::Float8 | Type::Text | Type::Timestamptz | Type::Interval);
    BuiltIn { ty, name, aliases: &[], oid, array_oid, category, preferred }
}

const fn called(row: BuiltIn, aliases: &'static [&'static str]) -> BuiltIn {
    BuiltIn { aliases, ..row }
}

/// The built-in types, with the numbers that Postgres fixes for each.
const BUILT_IN: [BuiltIn; 21] = [
    called(built_in(Type::Bool, "bool", 16, 1000, Category::Bool), &["boolean"]),
    called(built_in(Type::Int2, "int2", 21, 1005, Category::Number), &["smallint"]),
    called(built_in(Type::Int4, "int4", 23, 1007, Category::Number), &["int", "integer"]),
    called(built_in(Type::Int8, "int8", 20, 1016, Category::Number), &["bigint"]),
    called(built_in(Type::Float4, "float4", 700, 1021, Category::Number), &["real"]),
    called(built_in(Type::Float8, "float8", 701, 1022, Category::Number), &["double precision", "float"]),
    called(built_in(Type::Numeric, "numeric", 1700, 1231, Category::Number), &["decimal", "dec"]),
    built_in(Type::Text, "text", 25, 1009, Category::String),
    called(built_in(Type::Varchar, "varchar", 1043, 1015, Category::String), &["character varying"]),
    built_in(Type::Bpchar, "bpchar", 1042, 1014, Category::String),
    built_in(Type::Name, "name", 19, 1003, Category::String),
    built_in(Type::Uuid, "uuid", 2950, 2951, Category::User),
    built_in(Type::Bytea, "bytea", 17, 1001, Category::User),
    built_in(Type::Date, "date", 1082, 1182, Category::Moment),
    called(built_in(Type::Time, "time", 1083, 1183, Category::Moment), &["time without time zone"]),
    called(built_in(Type::Timetz, "timetz", 1266, 1270, Category::Moment), &["time with time zone"]),
    called(built_in(Type::Timestamp, "timestamp", 1114, 1115, Category::Moment), &["timestamp without time zone"]),
    called(built_in(Type::Timestamptz, "timestamptz", 1184, 1185, Category::Moment), &["timestamp with time zone"]),
    built_in(Type::Interval, "interval", 1186, 1187, Category::Span),
    built_in(Type::Json, "json", 114, 199, Category::User),
    built_in(Type::Jsonb, "jsonb", 3802, 3807, Category::User),
];

impl Type {
    /// The type of a column's values.
    pub fn of(column: &Column) -> Type {
        if column.dims > 0 {
            let element = BUILT_IN.iter().find(|row| row.array_oid == column.type_oid);
            return match element {
                Some(row) => Type::Array(row.oid),
                None if column.type_kind == 'e' && column.labels.type_oid > 0 => Type::Array(column.labels.type_oid),
                None => Type::Other(column.type_oid),
            };
        }
        match Type::by_oid(column.type_oid) {
            Some(ty) => ty,
            None if column.type_kind == 'e' => Type::Enum(column.type_oid),
            None => Type::Other(column.type_oid),
        }
    }

    fn by_oid(oid: u32) -> Option<Type> {
        BUILT_IN.iter().find(|row| row.oid == oid).map(|row| row.ty)
    }

    fn row(self) -> Option<&'static BuiltIn> {
        BUILT_IN.iter().find(|row| row.ty == self)
    }

    /// A type that a cast may name, in lower case: `int4`, `double precision`, `text[]`.
    pub fn named(name: &str) -> Option<Type> {
        if let Some(element) = name.strip_suffix("[]") {
            // All numbers of dimensions are one type.
            return Type::named(element.trim_end_matches("[]"))?.array();
        }
        // The protocol's clients are told that they cannot cast to the blank-padded type.
        let mut rows = BUILT_IN.iter().filter(|row| row.ty != Type::Bpchar);
        rows.find(|row| row.name == name || row.aliases.contains(&name)).map(|row| row.ty)
    }

    /// The type of arrays of this type. An enum's arrays count as arrays of that enum.
    pub fn array(self) -> Option<Type> {
        match self {
            Type::Enum(oid) => Some(Type::Array(oid)),
            _ => self.row().map(|row| Type::Array(row.oid)),
        }
    }

    /// The type of an array's elements.
    pub fn element(self) -> Option<Type> {
        match self {
            Type::Array(oid) => Some(Type::by_oid(oid).unwrap_or(Type::Enum(oid))),
            _ => None,
        }
    }

    /// The name in error texts and in printed casts, without `[]`.
    pub fn name(self) -> &'static str {
        match self {
            Type::Enum(_) => "enum",
            Type::Array(_) => self.element().map_or("array", Type::name),
            Type::Other(_) => "unsupported",
            Type::Unknown => "unknown",
            _ => self.row().map_or("any", |row| row.name),
        }
    }

    pub fn category(self) -> Category {
        match self {
            Type::Enum(_) | Type::AnyEnum => Category::Enum,
            Type::Array(_) | Type::AnyArray | Type::AnyCompatibleArray => Category::Array,
            Type::Unknown => Category::Unknown,
            _ => self.row().map_or(Category::User, |row| row.category),
        }
    }

    /// Whether Postgres prefers it within its category.
    pub fn is_preferred(self) -> bool {
        self.row().is_some_and(|row| row.preferred)
    }

    pub fn is_number(self) -> bool {
        self.category() == Category::Number
    }

    pub fn is_integer(self) -> bool {
        matches!(self, Type::Int2 | Type::Int4 | Type::Int8)
    }

    /// Whether its values have a collation.
    pub fn is_collatable(self) -> bool {
        self.is_string() || self.element().is_some_and(Type::is_string)
    }

    pub fn is_string(self) -> bool {
        self.category() == Category::String
    }

    /// Whether it stands for other types in the row of a function.
    pub fn is_polymorphic(self) -> bool {
        self.is_simple_polymorphic() || matches!(self, Type::AnyCompatible | Type::AnyCompatibleArray)
    }

    /// The family in which types have to be the same, and not only convertible to one type.
    pub fn is_simple_polymorphic(self) -> bool {
        matches!(self, Type::AnyNonArray | Type::AnyEnum | Type::AnyArray)
    }

    /// Whether a cast to the string type `to` gives the text that a row has: not for `bool` (`t` and `true`), the padding of
    /// `bpchar`, and what `name` cuts off.
    pub fn prints_as_read(self, to: Type) -> bool {
        !matches!(self, Type::Bool | Type::Bpchar) && (to != Type::Name || self == Type::Name)
    }

    /// Whether equal values always have equal text, so that text can be looked up by its bytes.
    /// Not for `numeric` (`1.0` and `1`), floats (`-0`), `interval` (a day and 24 hours), and `bpchar` (padding).
    pub fn equal_by_text(self) -> bool {
        matches!(
            self,
            Type::Bool
                | Type::Int2
                | Type::Int4
                | Type::Int8
                | Type::Text
                | Type::Varchar
                | Type::Name
                | Type::Uuid
                | Type::Bytea
                | Type::Date
                | Type::Time
                | Type::Timestamp
                | Type::Timestamptz
                | Type::Enum(_)
        )
    }
}

impl fmt::Display for Type {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())?;
        if matches!(self, Type::Array(_)) { formatter.write_str("[]") } else { Ok(()) }
    }
}
