//! The types of the condition language, and which operator Postgres picks for two of them.

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
    Date,
    Time,
    Timestamp,
    Timestamptz,
    /// Known by its OID: two enums are the same type only if they are the same enum.
    Enum(u32),
    /// A type without operators here. Only null tests work on it.
    Other(u32),
    /// A literal or parameter whose position has not decided its type yet.
    Unknown,
}

/// Types that convert into each other implicitly lie in the same family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Number,
    String,
    Moment,
    Single,
}

/// The built-in types, by the OID that Postgres fixes for each.
const BUILT_IN: [(u32, Type); 16] = [
    (16, Type::Bool),
    (21, Type::Int2),
    (23, Type::Int4),
    (20, Type::Int8),
    (700, Type::Float4),
    (701, Type::Float8),
    (1700, Type::Numeric),
    (25, Type::Text),
    (1043, Type::Varchar),
    (1042, Type::Bpchar),
    (19, Type::Name),
    (2950, Type::Uuid),
    (1082, Type::Date),
    (1083, Type::Time),
    (1114, Type::Timestamp),
    (1184, Type::Timestamptz),
];

impl Type {
    /// The type of a column's values.
    pub fn of(column: &Column) -> Type {
        let built_in = BUILT_IN.iter().find(|(oid, _)| *oid == column.type_oid);
        match built_in {
            _ if column.dims > 0 => Type::Other(column.type_oid),
            Some((_, ty)) => *ty,
            None if column.type_kind == 'e' => Type::Enum(column.type_oid),
            None => Type::Other(column.type_oid),
        }
    }

    /// A type that a cast may name.
    pub fn named(name: &str) -> Option<Type> {
        Some(match name {
            "bool" | "boolean" => Type::Bool,
            "int2" | "smallint" => Type::Int2,
            "int4" | "int" | "integer" => Type::Int4,
            "int8" | "bigint" => Type::Int8,
            "float4" | "real" => Type::Float4,
            "float8" | "double precision" => Type::Float8,
            "numeric" | "decimal" | "dec" => Type::Numeric,
            "text" => Type::Text,
            "varchar" | "character varying" => Type::Varchar,
            "uuid" => Type::Uuid,
            "date" => Type::Date,
            "time" | "time without time zone" => Type::Time,
            "timestamp" | "timestamp without time zone" => Type::Timestamp,
            "timestamptz" | "timestamp with time zone" => Type::Timestamptz,
            _ => return None,
        })
    }

    /// The name in error texts and in printed casts.
    pub fn name(self) -> &'static str {
        match self {
            Type::Bool => "bool",
            Type::Int2 => "int2",
            Type::Int4 => "int4",
            Type::Int8 => "int8",
            Type::Float4 => "float4",
            Type::Float8 => "float8",
            Type::Numeric => "numeric",
            Type::Text => "text",
            Type::Varchar => "varchar",
            Type::Bpchar => "bpchar",
            Type::Name => "name",
            Type::Uuid => "uuid",
            Type::Date => "date",
            Type::Time => "time",
            Type::Timestamp => "timestamp",
            Type::Timestamptz => "timestamptz",
            Type::Enum(_) => "enum",
            Type::Other(_) => "unsupported",
            Type::Unknown => "unknown",
        }
    }

    fn family(self) -> Family {
        match self {
            Type::Int2 | Type::Int4 | Type::Int8 | Type::Float4 | Type::Float8 | Type::Numeric => Family::Number,
            Type::Text | Type::Varchar | Type::Bpchar | Type::Name => Family::String,
            Type::Date | Type::Timestamp | Type::Timestamptz => Family::Moment,
            _ => Family::Single,
        }
    }

    pub fn is_number(self) -> bool {
        self.family() == Family::Number
    }

    pub fn is_integer(self) -> bool {
        matches!(self, Type::Int2 | Type::Int4 | Type::Int8)
    }

    pub fn is_float(self) -> bool {
        matches!(self, Type::Float4 | Type::Float8)
    }

    pub fn is_string(self) -> bool {
        self.family() == Family::String
    }

    /// How far a number type is along Postgres' implicit casts: each converts to all that come later.
    fn number_rank(self) -> u8 {
        match self {
            Type::Int2 => 0,
            Type::Int4 => 1,
            Type::Int8 => 2,
            Type::Numeric => 3,
            Type::Float4 => 4,
            _ => 5,
        }
    }

    /// Whether Postgres converts `self` to `to` without being asked.
    pub fn converts_to(self, to: Type) -> bool {
        if self == to || self == Type::Unknown {
            return true;
        }
        match (self.family(), to.family()) {
            (Family::Number, Family::Number) => self.number_rank() < to.number_rank(),
            // `name` becomes text; the blank-padded type is reached by assignment only.
            (Family::String, Family::String) => !(self == Type::Name && matches!(to, Type::Varchar | Type::Bpchar)),
            (Family::Moment, Family::Moment) => {
                self == Type::Date || (self == Type::Timestamp && to == Type::Timestamptz)
            }
            _ => false,
        }
    }

    /// Whether equal values always have equal text, so that text can be looked up by its bytes.
    /// Not for `numeric` (`1.0` and `1`), floats (`-0`), and `bpchar` (padding).
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
                | Type::Date
                | Type::Time
                | Type::Timestamp
                | Type::Timestamptz
                | Type::Enum(_)
        )
    }

    /// Whether `<` and its kin exist here.
    pub fn is_ordered(self) -> bool {
        !matches!(self, Type::Bool | Type::Enum(_) | Type::Other(_))
    }
}

/// The argument types of the comparison operator that Postgres picks for `left op right`; `None` if it finds none or we do
/// not follow it there. Unknown operands must have been given the other's type before.
pub fn comparison(left: Type, right: Type) -> Option<(Type, Type)> {
    use Type::*;
    if matches!(left, Other(_)) || matches!(right, Other(_)) {
        return None;
    }
    if left.is_number() && right.is_number() {
        return Some(numbers(left, right));
    }
    if left.is_string() && right.is_string() {
        return Some(strings(left, right));
    }
    match (left.family(), right.family()) {
        // An operator for every pair exists, so nothing is converted.
        (Family::Moment, Family::Moment) => Some((left, right)),
        _ if left == right => Some((left, right)),
        _ => None,
    }
}

fn numbers(left: Type, right: Type) -> (Type, Type) {
    use Type::*;
    let wide = |ty: Type| if ty.is_float() { ty } else { Float8 };
    if left.is_float() || right.is_float() {
        // The preferred type of the category wins where one side has to be converted.
        return (wide(left), wide(right));
    }
    if left == Numeric || right == Numeric { (Numeric, Numeric) } else { (left, right) }
}

fn strings(left: Type, right: Type) -> (Type, Type) {
    use Type::*;
    match (left, right) {
        (Bpchar, Bpchar | Varchar) | (Varchar, Bpchar) => (Bpchar, Bpchar),
        (Name, Name) => (Name, Name),
        (Name, _) => (Name, Text),
        (_, Name) => (Text, Name),
        _ => (Text, Text),
    }
}

/// The argument types of `+ - * /`, and the type of the result.
pub fn arithmetic(left: Type, right: Type) -> Option<(Type, Type, Type)> {
    if !left.is_number() || !right.is_number() {
        return None;
    }
    let (left, right) = numbers(left, right);
    let wider = if left.number_rank() >= right.number_rank() { left } else { right };
    Some((left, right, wider))
}

/// The type that Postgres gives the elements of `x IN (a, b, ..)`: the first type wins unless a later one is
/// reached from it and not the other way round. `None`: no common type.
pub fn common(types: impl IntoIterator<Item = Type>) -> Option<Type> {
    let mut common = Type::Unknown;
    for ty in types {
        if ty == Type::Unknown || ty == common {
            continue;
        }
        let preferred = matches!(common, Type::Float8 | Type::Text | Type::Timestamptz | Type::Bool);
        if common == Type::Unknown {
            common = ty;
        } else if common.family() != ty.family() || common.family() == Family::Single {
            return None;
        } else if !preferred && common.converts_to(ty) && !ty.converts_to(common) {
            common = ty;
        }
    }
    Some(if common == Type::Unknown { Type::Text } else { common })
}
