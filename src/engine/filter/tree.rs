//! The typed tree of a condition: every conversion that Postgres makes silently is a node of its own.

use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashSet;
use regex::Regex;

use super::catalog::Function;
use super::catalog::casts::Convert;
use super::subquery::Membership;
use super::types::Type;
use super::value::Value;

/// An expression and its type.
#[derive(Debug, Clone)]
pub struct Node {
    pub kind: Kind,
    pub ty: Type,
}

#[derive(Debug, Clone)]
pub enum Kind {
    /// A column of the row, by position.
    Column(usize),
    /// A literal, or what an expression without columns came to. `None` is NULL.
    Constant(Option<Value<'static>>),
    /// A conversion to the node's type.
    Cast {
        by: Convert,
        value: Box<Node>,
    },
    /// An operator or function, on arguments of the types that it takes.
    Call {
        function: &'static Function,
        arguments: Vec<Node>,
    },
    Compare(Comparison, Box<Node>, Box<Node>),
    /// `IS DISTINCT FROM`, or its negation.
    Distinct {
        negated: bool,
        left: Box<Node>,
        right: Box<Node>,
    },
    /// `IN` a list of constants.
    In {
        negated: bool,
        value: Box<Node>,
        list: List,
    },
    /// A regular expression, compiled. The function's second argument is the pattern, a constant.
    Matches {
        function: &'static Function,
        arguments: Vec<Node>,
        regex: Regex,
    },
    /// `value operator ANY (array)`, or ALL.
    Quantified {
        all: bool,
        function: &'static Function,
        value: Box<Node>,
        array: Box<Node>,
    },
    /// `ARRAY[a, b, ..]`; of arrays, one with a dimension more.
    Array(Vec<Node>),
    /// `array[i][j]..`.
    Element {
        array: Box<Node>,
        indexes: Vec<Node>,
    },
    /// `array[a:b][c:d]..`.
    Slice {
        array: Box<Node>,
        bounds: Vec<(Option<Node>, Option<Node>)>,
    },
    /// `CASE WHEN condition THEN result .. ELSE otherwise END`.
    Case {
        branches: Vec<(Node, Node)>,
        otherwise: Box<Node>,
    },
    Coalesce(Vec<Node>),
    /// `GREATEST`, or `LEAST`.
    Extreme {
        greatest: bool,
        list: Vec<Node>,
    },
    /// `NULLIF`: the first, but NULL if the two are equal.
    NullIf(Box<Node>, Box<Node>),
    /// The order of two rows: the first pair that differs decides.
    Rows(Comparison, Vec<(Node, Node)>),
    /// `IN (SELECT ..)`: not known from the row.
    InSubquery(Arc<Membership>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    IsNull {
        negated: bool,
        value: Box<Node>,
    },
    /// A null test of a column of a composite type: of all of its fields.
    IsNullRow {
        negated: bool,
        column: usize,
    },
    /// `IS TRUE`, `IS FALSE`, and `IS UNKNOWN` with `None`.
    IsBool {
        negated: bool,
        wanted: Option<bool>,
        value: Box<Node>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The constants of an `IN`, all of one type.
#[derive(Debug, Clone)]
pub struct List {
    pub ty: Type,
    pub values: Vec<Value<'static>>,
    pub has_null: bool,
    /// Texts of the values where equal values have equal texts: a long list is looked up instead of walked.
    pub texts: Option<HashSet<Bytes, foldhash::fast::RandomState>>,
}

impl Comparison {
    /// Those that ask for an order, not only for equality.
    pub const ORDERS: [Comparison; 4] =
        [Comparison::Less, Comparison::LessOrEqual, Comparison::Greater, Comparison::GreaterOrEqual];

    pub fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }

    pub fn sign(self) -> &'static str {
        match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "<>",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }

    /// Whether it asks for an order, not only for equality.
    pub fn orders(self) -> bool {
        Self::ORDERS.contains(&self)
    }
}

impl List {
    /// Prepares the lookup by text, if `value` is a column whose text tells whether it is one of the constants.
    pub fn index_texts(&mut self, value: &Node) {
        let alike = value.ty == self.ty
            || (value.ty.is_integer() && self.ty.is_integer())
            || (value.ty.is_string() && self.ty.is_string());
        if value.text_column().is_some() && alike && value.ty.equal_by_text() && self.ty.equal_by_text() {
            self.texts = Some(self.values.iter().map(|constant| constant.print(self.ty).into()).collect());
        }
    }
}

impl Node {
    pub fn new(ty: Type, kind: Kind) -> Node {
        Node { kind, ty }
    }

    pub fn constant(ty: Type, value: Option<Value<'static>>) -> Node {
        Node { ty, kind: Kind::Constant(value) }
    }

    /// The column whose text is the text of this expression: a column, or a column cast to a string where that prints no
    /// other text than the row has.
    pub fn text_column(&self) -> Option<usize> {
        match &self.kind {
            Kind::Column(position) => Some(*position),
            Kind::Cast { value, .. } if self.ty.is_string() && value.ty.prints_as_read(self.ty) => value.text_column(),
            _ => None,
        }
    }

    pub fn is_constant(&self) -> bool {
        matches!(self.kind, Kind::Constant(_))
    }

    pub fn children(&self) -> Vec<&Node> {
        match &self.kind {
            Kind::Column(_) | Kind::Constant(_) | Kind::InSubquery(_) | Kind::IsNullRow { .. } => Vec::new(),
            Kind::Cast { value, .. }
            | Kind::Not(value)
            | Kind::In { value, .. }
            | Kind::IsNull { value, .. }
            | Kind::IsBool { value, .. } => vec![value],
            Kind::Compare(_, left, right) | Kind::NullIf(left, right) | Kind::Distinct { left, right, .. } => {
                vec![left, right]
            }
            Kind::Quantified { value, array, .. } => vec![value, array],
            Kind::Element { array, indexes } => std::iter::once(array.as_ref()).chain(indexes).collect(),
            Kind::Slice { array, bounds } => {
                let bounds = bounds.iter().flat_map(|(low, high)| low.iter().chain(high));
                std::iter::once(array.as_ref()).chain(bounds).collect()
            }
            Kind::Call { arguments: list, .. }
            | Kind::Matches { arguments: list, .. }
            | Kind::Array(list)
            | Kind::Coalesce(list)
            | Kind::Extreme { list, .. } => list.iter().collect(),
            Kind::Case { branches, otherwise } => {
                let branches = branches.iter().flat_map(|(condition, result)| [condition, result]);
                branches.chain([otherwise.as_ref()]).collect()
            }
            Kind::Rows(_, pairs) => pairs.iter().flat_map(|(left, right)| [left, right]).collect(),
            Kind::And(list) | Kind::Or(list) => list.iter().collect(),
        }
    }

    /// How many nodes it has.
    pub fn size(&self) -> usize {
        let (mut size, mut open) = (0, vec![self]);
        while let Some(node) = open.pop() {
            size += 1;
            open.extend(node.children());
        }
        size
    }

    /// Positions of the columns that it reads, ascending, each once.
    pub fn columns(&self) -> Vec<usize> {
        let mut found = Vec::new();
        let mut open = vec![self];
        while let Some(node) = open.pop() {
            match &node.kind {
                Kind::Column(position) | Kind::IsNullRow { column: position, .. } => found.push(*position),
                Kind::InSubquery(membership) => found.extend(membership.left.iter().map(|left| left.position)),
                _ => {}
            }
            open.extend(node.children());
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}
