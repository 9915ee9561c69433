//! The typed tree as SQL: every node in parentheses, every constant quoted and cast, so that Postgres reads exactly this tree.

use super::catalog::{Collation, Function};
use super::tree::{Kind, Node};
use super::types::Type;
use super::value::Value;
use crate::engine::tables::{Table, quote_literal};
use crate::shape::quote_identifier;

/// The SQL of an expression over the table's columns.
pub fn print(node: &Node, table: &Table) -> String {
    print_with(node, table, true, false)
}

/// The same, but subqueries are guarded ([`Membership::sql_to_run`]).
///
/// [`Membership::sql_to_run`]: super::subquery::Membership::sql_to_run
pub fn print_to_run(node: &Node, table: &Table) -> String {
    print_with(node, table, true, true)
}

/// The same, but a string is compared with a constant by the collation of its column.
pub fn print_by_collation(node: &Node, table: &Table) -> String {
    print_with(node, table, false, true)
}

fn print_with(node: &Node, table: &Table, orders_by_bytes: bool, to_run: bool) -> String {
    let mut printer = Printer { table, orders_by_bytes, to_run, sql: String::new() };
    printer.node(node);
    printer.sql
}

struct Printer<'a> {
    table: &'a Table,
    /// Whether strings are ordered by code point where a collation could say something else.
    orders_by_bytes: bool,
    to_run: bool,
    sql: String,
}

impl Printer<'_> {
    fn node(&mut self, node: &Node) {
        match &node.kind {
            Kind::Column(position) => {
                let name = self.table.columns.get(*position).map_or("", |column| &column.name);
                self.sql.push_str(&quote_identifier(name));
            }
            Kind::Constant(value) => self.constant(value.as_ref(), node.ty),
            // Up to Postgres 17 a `null` is no number, from 18 on it is NULL: so it is here.
            Kind::Cast { value, .. } if value.ty == Type::Jsonb && (node.ty.is_number() || node.ty == Type::Bool) => {
                self.sql.push_str("NULLIF(");
                self.node(value);
                self.sql.push_str(", 'null'::jsonb)::");
                self.sql.push_str(&node.ty.to_string());
            }
            Kind::Cast { value, .. } => {
                self.sql.push('(');
                self.node(value);
                self.sql.push_str(")::");
                self.sql.push_str(&node.ty.to_string());
            }
            Kind::InSubquery(membership) => {
                self.sql.push_str(if self.to_run { &membership.sql_to_run } else { &membership.sql });
            }
            Kind::Call { function, arguments } | Kind::Matches { function, arguments, .. } => {
                self.call(function, arguments);
            }
            Kind::Quantified { all, function, value, array } => self.quantified(*all, function, value, array),
            Kind::Array(list) => {
                self.sql.push_str("ARRAY[");
                for (index, node) in list.iter().enumerate() {
                    self.sql.push_str(if index == 0 { "" } else { ", " });
                    self.node(node);
                }
                self.sql.push(']');
            }
            Kind::Element { array, indexes } => {
                self.sql.push_str("((");
                self.node(array);
                self.sql.push(')');
                for index in indexes {
                    self.sql.push('[');
                    self.node(index);
                    self.sql.push(']');
                }
                self.sql.push(')');
            }
            Kind::Slice { array, bounds } => {
                self.sql.push_str("((");
                self.node(array);
                self.sql.push(')');
                for (low, high) in bounds {
                    self.sql.push('[');
                    low.iter().for_each(|low| self.node(low));
                    // Apart: two colons would be a cast.
                    self.sql.push_str(" : ");
                    high.iter().for_each(|high| self.node(high));
                    self.sql.push(']');
                }
                self.sql.push(')');
            }
            Kind::Compare(comparison, left, right) => {
                let ordered = comparison.orders() && self.orders_by_bytes;
                let by_bytes = left.ty.is_collatable() && (ordered || collations_may_differ(left, right));
                self.infix(left, comparison.sign(), right, by_bytes);
            }
            Kind::Distinct { negated, left, right } => {
                let sign = if *negated { "IS NOT DISTINCT FROM" } else { "IS DISTINCT FROM" };
                self.infix(left, sign, right, left.ty.is_collatable() && collations_may_differ(left, right));
            }
            Kind::In { negated, value, list } => {
                self.sql.push('(');
                self.node(value);
                self.by_bytes(value.ty.is_string() && (list.ty == Type::Name || is_of_several_columns(value)));
                self.sql.push_str(if *negated { " NOT IN (" } else { " IN (" });
                // Never one alone: Postgres would make a comparison of it.
                let nulls = if !list.has_null { 0 } else { 2usize.saturating_sub(list.values.len()).max(1) };
                let nulls = std::iter::repeat_n(None, nulls);
                for (index, constant) in list.values.iter().map(Some).chain(nulls).enumerate() {
                    self.sql.push_str(if index == 0 { "" } else { ", " });
                    self.constant(constant, list.ty);
                }
                self.sql.push_str("))");
            }
            Kind::Case { branches, otherwise } => {
                self.sql.push_str("(CASE");
                for (condition, result) in branches {
                    self.sql.push_str(" WHEN ");
                    self.node(condition);
                    self.sql.push_str(" THEN ");
                    self.node(result);
                }
                self.sql.push_str(" ELSE ");
                self.node(otherwise);
                self.sql.push_str(" END)");
            }
            Kind::Coalesce(list) => self.arguments("COALESCE", list, false),
            Kind::Extreme { greatest, list } => {
                self.arguments(if *greatest { "GREATEST" } else { "LEAST" }, list, true);
            }
            Kind::NullIf(left, right) => {
                self.sql.push_str("NULLIF(");
                self.node(left);
                self.by_bytes(left.ty.is_collatable() && collations_may_differ(left, right));
                self.sql.push_str(", ");
                self.node(right);
                self.sql.push(')');
            }
            Kind::Rows(comparison, pairs) => {
                self.sql.push_str("(ROW(");
                for (index, (left, right)) in pairs.iter().enumerate() {
                    self.sql.push_str(if index == 0 { "" } else { ", " });
                    self.node(left);
                    let by_bytes = self.orders_by_bytes || collations_may_differ(left, right);
                    self.by_bytes(left.ty.is_collatable() && by_bytes);
                }
                self.sql.push_str(") ");
                self.sql.push_str(comparison.sign());
                self.sql.push_str(" ROW(");
                for (index, (_, right)) in pairs.iter().enumerate() {
                    self.sql.push_str(if index == 0 { "" } else { ", " });
                    self.node(right);
                }
                self.sql.push_str("))");
            }
            Kind::Not(value) => self.prefix("NOT ", value),
            Kind::And(list) => self.list(" AND ", list),
            Kind::Or(list) => self.list(" OR ", list),
            // Of a composite value, IS NULL would ask for the fields.
            Kind::IsNull { negated, value } if self.is_composite(value) => {
                self.test(value, !*negated, "DISTINCT FROM NULL");
            }
            Kind::IsNull { negated, value } => self.test(value, *negated, "NULL"),
            Kind::IsNullRow { negated, column } => {
                let ty = Type::Other(0);
                self.test(&Node::new(ty, Kind::Column(*column)), *negated, "NULL");
            }
            Kind::IsBool { negated, wanted, value } => {
                let wanted = match wanted {
                    Some(true) => "TRUE",
                    Some(false) => "FALSE",
                    None => "UNKNOWN",
                };
                self.test(value, *negated, wanted);
            }
        }
    }

    fn constant(&mut self, value: Option<&Value<'_>>, ty: Type) {
        match value {
            Some(value) => self.sql.push_str(&quote_literal(&value.print(ty))),
            None => self.sql.push_str("NULL"),
        }
        // An enum's constant takes its type from the column beside it.
        if matches!(ty, Type::Enum(_) | Type::Other(_)) || ty.element().is_some_and(|ty| matches!(ty, Type::Enum(_))) {
            return;
        }
        self.sql.push_str("::");
        self.sql.push_str(&ty.to_string());
    }

    /// `by_bytes`: compared by code point, whatever the collations of the operands are. Left out where the column's own collation
    /// gives the same, because Postgres then finds its index.
    fn infix(&mut self, left: &Node, sign: &str, right: &Node, by_bytes: bool) {
        self.sql.push('(');
        self.node(left);
        self.by_bytes(by_bytes);
        self.sql.push(' ');
        self.sql.push_str(sign);
        self.sql.push(' ');
        self.node(right);
        self.sql.push(')');
    }

    fn is_composite(&self, node: &Node) -> bool {
        let Kind::Column(position) = node.kind else { return false };
        self.table.columns.get(position).is_some_and(|column| column.type_kind == 'c' && column.dims == 0)
    }

    fn by_bytes(&mut self, wanted: bool) {
        if wanted {
            self.sql.push_str(" COLLATE \"C\"");
        }
    }

    /// A call or an operator, with the collation of its first string argument.
    fn call(&mut self, function: &Function, arguments: &[Node]) {
        let strings = || arguments.iter().filter(|node| node.ty.is_collatable());
        let wanted = match function.collation {
            Collation::Free => false,
            Collation::Known => {
                let several = strings().filter(|node| has_collation(node)).count() > 1;
                several || strings().any(is_of_several_columns)
            }
            Collation::Bytes => true,
        };
        let collated = if wanted { arguments.iter().position(|node| node.ty.is_collatable()) } else { None };
        match arguments {
            [value] if function.is_operator() => {
                self.sql.push('(');
                self.sql.push_str(function.name);
                self.sql.push(' ');
                self.node(value);
                self.sql.push(')');
            }
            [left, right] if function.is_operator() => {
                self.sql.push('(');
                self.node(left);
                self.by_bytes(collated == Some(0));
                self.sql.push(' ');
                self.sql.push_str(function.name);
                self.sql.push(' ');
                self.node(right);
                self.by_bytes(collated == Some(1));
                self.sql.push(')');
            }
            _ => {
                // Quoted: some names are words of the grammar with a syntax of their own.
                self.sql.push_str(&quote_identifier(function.name));
                self.sql.push('(');
                for (index, node) in arguments.iter().enumerate() {
                    self.sql.push_str(if index == 0 { "" } else { ", " });
                    self.node(node);
                    self.by_bytes(collated == Some(index));
                }
                self.sql.push(')');
            }
        }
    }

    fn quantified(&mut self, all: bool, function: &Function, value: &Node, array: &Node) {
        let by_bytes = match function.collation {
            Collation::Free => false,
            Collation::Known => collations_may_differ(value, array),
            Collation::Bytes => true,
        };
        self.sql.push('(');
        self.node(value);
        self.by_bytes(by_bytes && value.ty.is_collatable());
        self.sql.push(' ');
        self.sql.push_str(function.name);
        self.sql.push_str(if all { " ALL (" } else { " ANY (" });
        self.node(array);
        self.sql.push_str("))");
    }

    fn arguments(&mut self, name: &str, list: &[Node], by_bytes: bool) {
        self.sql.push_str(name);
        self.sql.push('(');
        for (index, node) in list.iter().enumerate() {
            self.sql.push_str(if index == 0 { "" } else { ", " });
            self.node(node);
            self.by_bytes(by_bytes && index == 0 && node.ty.is_collatable());
        }
        self.sql.push(')');
    }

    fn prefix(&mut self, sign: &str, value: &Node) {
        self.sql.push('(');
        self.sql.push_str(sign);
        self.node(value);
        self.sql.push(')');
    }

    fn list(&mut self, sign: &str, list: &[Node]) {
        self.sql.push('(');
        for (index, node) in list.iter().enumerate() {
            self.sql.push_str(if index == 0 { "" } else { sign });
            self.node(node);
        }
        self.sql.push(')');
    }

    /// The inner parentheses keep Postgres from taking a row test for a null test, and the other way round.
    fn test(&mut self, value: &Node, negated: bool, what: &str) {
        self.sql.push('(');
        self.node(value);
        self.sql.push_str(if negated { " IS NOT " } else { " IS " });
        self.sql.push_str(what);
        self.sql.push(')');
    }
}

/// Whether Postgres may not know by which collation to compare: both sides have one, or one is made of several columns.
fn collations_may_differ(left: &Node, right: &Node) -> bool {
    let both = has_collation(left) && has_collation(right);
    both || is_of_several_columns(left) || is_of_several_columns(right)
}

/// The collation of a constant gives way to any other, but for that of a `name`.
fn has_collation(node: &Node) -> bool {
    !node.is_constant() || node.ty == Type::Name
}

fn is_of_several_columns(node: &Node) -> bool {
    node.text_column().is_none() && node.columns().len() > 1
}
