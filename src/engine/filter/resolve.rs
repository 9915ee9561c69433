//! Gives every expression its type and picks operators as Postgres does: syntax tree to typed tree.
//!
//! Literals and parameters start without a type and take it from their first use. What has no columns in it is calculated
//! here, so that its errors show when the shape is requested.

mod array;
mod function;
mod grammar;
mod literal;
mod logic;
mod operator;
mod overload;
mod pattern;
mod refusal;
mod rows;
mod subquery;

use std::sync::Arc;

use sqlparser::ast::{BinaryOperator, Expr, Ident, UnaryOperator};
use sqlparser::tokenizer::Token;

use self::literal::Parameters;
use self::logic::{connect, filtering};
use super::FilterError;
use super::eval::evaluate;
use super::parse::{Parsed, Tokens, error_at, is_reserved};
use super::tree::{Kind, Node};
use super::types::Type;
use super::value::Value;
use crate::engine::tables::Table;
use crate::shape::quote_identifier;

/// The deepest typed tree. AND and OR are flat, so only nested parentheses and chains such as `1 + 1 + ..` count.
const MAX_DEPTH: usize = 200;

/// The typed tree of a whole condition, whose subqueries read `tables`.
pub fn resolve(parsed: Parsed, params: &[String], table: &Table, tables: &[Arc<Table>]) -> Result<Node, FilterError> {
    let Parsed { tree, tokens } = parsed;
    let mut resolver = Resolver { table, tables, tokens: &tokens, parameters: Parameters::new(params), depth: 0 };
    resolver.condition(&tree)
}

/// An expression on its way into an operator.
#[derive(Clone)]
struct Operand {
    node: Node,
    /// Where a literal begins, in characters.
    at: usize,
    /// The parameter that it is, counted from 0.
    parameter: Option<usize>,
}

impl From<Node> for Operand {
    fn from(node: Node) -> Operand {
        Operand { node, at: 0, parameter: None }
    }
}

/// The operator in the text, to be found when an error has to name its position.
#[derive(Clone, Copy)]
struct Place<'e> {
    left: &'e Expr,
    sign: &'e str,
}

struct Resolver<'a> {
    table: &'a Table,
    /// Those that subqueries may read.
    tables: &'a [Arc<Table>],
    tokens: &'a Tokens,
    parameters: Parameters<'a>,
    depth: usize,
}

type Resolved<T = Operand> = Result<T, FilterError>;

impl Resolver<'_> {
    /// A whole WHERE.
    fn condition(&mut self, tree: &Expr) -> Resolved<Node> {
        let condition = self.operand(tree)?;
        let text_only = condition.node.ty == Type::Unknown
            && condition.parameter.is_none()
            && matches!(condition.node.kind, Kind::Constant(Some(_)));
        if text_only || !matches!(condition.node.ty, Type::Bool | Type::Unknown) {
            return Err(FilterError::in_where("WHERE clause must return a boolean"));
        }
        Ok(filtering(self.coerce(condition, Type::Bool)?))
    }

    fn operand(&mut self, expr: &Expr) -> Resolved {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(FilterError::in_where("the condition is nested too deeply"));
        }
        let operand = self.any(expr);
        self.depth -= 1;
        operand
    }

    /// One arm per kind of syntax that the language has.
    fn any(&mut self, expr: &Expr) -> Resolved {
        match expr {
            Expr::Nested(inner) => self.operand(inner),
            Expr::Identifier(name) => self.reference(name),
            Expr::Value(value) => self.literal(expr, &value.value),
            Expr::TypedString(typed) => self.typed_string(expr, typed),
            Expr::Cast { expr: inner, data_type, format: None, .. } => self.explicit_cast(inner, data_type),
            Expr::BinaryOp { left, op, right } => self.binary(expr, left, op, right),
            Expr::UnaryOp { op, expr: inner } => self.unary(expr, op, inner),
            Expr::IsNull(inner) => self.null_test(inner, false),
            Expr::IsNotNull(inner) => self.null_test(inner, true),
            Expr::IsTrue(inner) => self.bool_test(inner, "IS TRUE", Some(true), false),
            Expr::IsNotTrue(inner) => self.bool_test(inner, "IS NOT TRUE", Some(true), true),
            Expr::IsFalse(inner) => self.bool_test(inner, "IS FALSE", Some(false), false),
            Expr::IsNotFalse(inner) => self.bool_test(inner, "IS NOT FALSE", Some(false), true),
            Expr::IsUnknown(inner) => self.bool_test(inner, "IS UNKNOWN", None, false),
            Expr::IsNotUnknown(inner) => self.bool_test(inner, "IS NOT UNKNOWN", None, true),
            Expr::IsDistinctFrom(left, right) => self.distinct(left, right, false),
            Expr::IsNotDistinctFrom(left, right) => self.distinct(left, right, true),
            Expr::InSubquery { expr: left, subquery, negated } => self.subquery(expr, left, subquery, *negated),
            Expr::InList { expr: value, list, negated } => self.in_list(value, list, *negated),
            Expr::Between { expr: value, negated, low, high } => self.between(value, low, high, *negated),
            Expr::Like { negated, any: false, expr: value, pattern, escape_char: None } => {
                let sign = if *negated { "!~~" } else { "~~" };
                self.like(sign, value, pattern, Place { left: value, sign: "LIKE" })
            }
            Expr::Like { negated, any: false, expr: value, pattern, escape_char: Some(escape) } => {
                let sign = if *negated { "!~~" } else { "~~" };
                self.like_escape(sign, value, pattern, escape, Place { left: value, sign: "LIKE" })
            }
            Expr::ILike { negated, any: false, expr: value, pattern, escape_char: Some(escape) } => {
                let sign = if *negated { "!~~*" } else { "~~*" };
                self.like_escape(sign, value, pattern, escape, Place { left: value, sign: "ILIKE" })
            }
            Expr::Like { negated, any: true, expr: value, pattern, escape_char: None }
                if matches!(pattern.as_ref(), Expr::Nested(_)) =>
            {
                let sign = if *negated { "!~~" } else { "~~" };
                self.quantified(false, value, sign, pattern, Place { left: value, sign: "LIKE" })
            }
            Expr::ILike { negated, any: true, expr: value, pattern, escape_char: None }
                if matches!(pattern.as_ref(), Expr::Nested(_)) =>
            {
                let sign = if *negated { "!~~*" } else { "~~*" };
                self.quantified(false, value, sign, pattern, Place { left: value, sign: "ILIKE" })
            }
            Expr::ILike { negated, any: false, expr: value, pattern, escape_char: None } => {
                let sign = if *negated { "!~~*" } else { "~~*" };
                self.like(sign, value, pattern, Place { left: value, sign: "ILIKE" })
            }
            Expr::AnyOp { left, compare_op, right, .. } => {
                let sign = array::sign_of(compare_op);
                self.quantified(false, left, &sign, right, Place { left, sign: &compare_op.to_string() })
            }
            Expr::AllOp { left, compare_op, right } => {
                let sign = array::sign_of(compare_op);
                self.quantified(true, left, &sign, right, Place { left, sign: &compare_op.to_string() })
            }
            Expr::Array(array) if array.named => self.array(expr, array, None),
            Expr::CompoundFieldAccess { root, access_chain } => self.subscripts(expr, root, access_chain),
            Expr::Substring { expr: text, substring_from, substring_for, shorthand, .. } => {
                self.substring(expr, *shorthand, text, substring_from.as_deref(), substring_for.as_deref())
            }
            Expr::Trim { trim_where, trim_what, expr: text, trim_characters } => {
                self.trim(expr, *trim_where, trim_what.as_deref(), text, trim_characters.as_deref())
            }
            Expr::Position { expr: what, r#in } => self.special_call(expr, "position", &[r#in, what]),
            Expr::Overlay { expr: text, overlay_what, overlay_from, overlay_for } => {
                let given = [Some(text), Some(overlay_what), Some(overlay_from), overlay_for.as_ref()];
                let given: Vec<&Expr> = given.into_iter().flatten().map(Box::as_ref).collect();
                self.special_call(expr, "overlay", &given)
            }
            Expr::Function(function) => self.function(expr, function),
            Expr::AtTimeZone { timestamp, time_zone } => self.at_time_zone(timestamp, time_zone),
            Expr::Extract { field, expr: inner, .. } => self.extract(self.tokens.start(expr), field, inner),
            Expr::Ceil { expr: inner, field } => self.ceil_or_floor(expr, "ceil", inner, field),
            Expr::Floor { expr: inner, field } => self.ceil_or_floor(expr, "floor", inner, field),
            Expr::Interval(interval) => self.interval(expr, interval),
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(expr, operand.as_deref(), conditions, else_result.as_deref())
            }
            _ => Err(self.unsupported(expr)),
        }
    }

    /// Where a name begins, in characters.
    fn position(&self, name: &Ident) -> usize {
        let token = usize::try_from(name.span.start.column).unwrap_or_default().saturating_sub(1);
        self.tokens.offset(token)
    }

    fn column(&self, name: &Ident) -> Resolved<usize> {
        let at = self.position(name);
        let exact = match name.quote_style {
            Some(_) => name.value.clone(),
            None if is_reserved(&name.value) => {
                return Err(refusal::value_function(at, &name.value));
            }
            None => name.value.to_ascii_lowercase(),
        };
        let plain = exact.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        let shown = if plain { exact.clone() } else { quote_identifier(&exact) };
        self.table.column(&exact).ok_or_else(|| error_at(at, format_args!("unknown reference {shown}")))
    }

    fn reference(&self, name: &Ident) -> Resolved {
        let position = self.column(name)?;
        let node = self.column_node(position);
        if self.table.columns.get(position).is_some_and(|column| !column.deterministic) {
            let message = format!("the collation of {} is not deterministic, only null tests work on it", name.value);
            return Err(error_at(self.position(name), message));
        }
        Ok(node.into())
    }

    fn column_node(&self, position: usize) -> Node {
        let ty = self.table.columns.get(position).map_or(Type::Unknown, Type::of);
        Node::new(ty, Kind::Column(position))
    }

    fn type_name(&self, node: &Node) -> String {
        let column = |position: usize| self.table.columns.get(position);
        match node.kind {
            Kind::Column(position) => match (node.ty, column(position)) {
                (Type::Enum(_), Some(column)) => format!("enum {}", column.type_name),
                (Type::Other(_), Some(column)) => column.type_name.clone() + &"[]".repeat(column.dims as usize),
                _ => node.ty.to_string(),
            },
            _ => node.ty.to_string(),
        }
    }

    fn binary(&mut self, expr: &Expr, left: &Expr, op: &BinaryOperator, right: &Expr) -> Resolved {
        if matches!(op, BinaryOperator::And | BinaryOperator::Or) {
            return self.logic(expr, op);
        }
        let written = op.to_string();
        let sign = if written == "!=" { "<>" } else { &written };
        if let Some(node) = self.compare_rows(sign, left, right) {
            return node.map(Operand::from);
        }
        let (left_operand, right_operand) = (self.operand(left)?, self.operand(right)?);
        self.infix(sign, left_operand, right_operand, Place { left, sign }).map(Operand::from)
    }

    fn unary(&mut self, whole: &Expr, op: &UnaryOperator, inner: &Expr) -> Resolved {
        let before = |sign: Token| self.tokens.before(inner, |token| *token == sign);
        match op {
            UnaryOperator::Not => {
                let operand = self.operand(inner)?;
                let value = Box::new(self.truth(inner, operand)?);
                self.fold(Node::new(Type::Bool, Kind::Not(value)), 0).map(Operand::from)
            }
            UnaryOperator::Minus => {
                if let Some(number) = literal::signed_number(whole) {
                    return literal::number(&number).map(Operand::from).ok_or_else(|| {
                        error_at(before(Token::Minus), format_args!("invalid syntax for type numeric: {number}"))
                    });
                }
                let at = before(Token::Minus);
                let value = self.operand(inner)?;
                self.prefix("-", value, at).map(Operand::from)
            }
            UnaryOperator::Plus => {
                let at = before(Token::Plus);
                let value = self.operand(inner)?;
                self.prefix("+", value, at).map(Operand::from)
            }
            _ => {
                let sign = op.to_string();
                let at = self.tokens.before(inner, |token| token.to_string() == sign);
                let value = self.operand(inner)?;
                self.prefix(&sign, value, at).map(Operand::from)
            }
        }
    }

    /// Calculates what has no columns in it, and what is NULL because one operand is. Postgres' planner does the same before it
    /// looks at a row, so an error in the other operand does not count.
    fn fold(&self, node: Node, at: usize) -> Resolved<Node> {
        let strict = match &node.kind {
            Kind::Call { function, .. } => function.strict,
            kind => matches!(kind, Kind::Compare(..) | Kind::Cast { .. }),
        };
        let children = node.children();
        if strict && children.iter().any(|child| matches!(child.kind, Kind::Constant(None))) {
            return Ok(Node::constant(node.ty, None));
        }
        let open = children.is_empty() || children.iter().any(|child| !child.is_constant());
        if open {
            return Ok(node);
        }
        match evaluate(&node, &[]) {
            Ok(value) => Ok(Node::constant(node.ty, value.map(Value::into_owned))),
            Err(_) => Err(error_at(at, "Failed to apply function to constant arguments")),
        }
    }
}

fn no_operator(at: usize) -> FilterError {
    error_at(at, "Could not select an operator overload")
}
