//! The typed tree as SQL: every node in parentheses, every constant quoted and cast, so that Postgres reads exactly this tree.

use super::tree::{Kind, Node};
use super::types::Type;
use super::value::Value;
use crate::engine::tables::{Table, quote_literal};
use crate::shape::quote_identifier;

/// The SQL of an expression over the table's columns.
pub fn print(node: &Node, table: &Table) -> String {
    print_with(node, table, true)
}

/// The same, with strings in the order of their columns' collations.
pub fn print_by_collation(node: &Node, table: &Table) -> String {
    print_with(node, table, false)
}

fn print_with(node: &Node, table: &Table, by_bytes: bool) -> String {
    let mut printer = Printer { table, by_bytes, sql: String::new() };
    printer.node(node);
    printer.sql
}

struct Printer<'a> {
    table: &'a Table,
    by_bytes: bool,
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
            Kind::Cast(value) => {
                self.sql.push('(');
                self.node(value);
                self.sql.push_str(")::");
                self.sql.push_str(node.ty.name());
            }
            Kind::Compare(comparison, left, right) => {
                let between_columns = !left.is_constant() && !right.is_constant();
                let by_bytes = left.ty.is_string() && (comparison.orders() || between_columns);
                self.infix(left, comparison.sign(), right, by_bytes);
            }
            Kind::Distinct { negated, left, right } => {
                let sign = if *negated { "IS NOT DISTINCT FROM" } else { "IS DISTINCT FROM" };
                self.infix(left, sign, right, left.ty.is_string() && !left.is_constant() && !right.is_constant());
            }
            Kind::In { negated, value, list } => {
                self.sql.push('(');
                self.node(value);
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
            Kind::Like { negated, value, pattern } => {
                let sign = if *negated { "NOT LIKE" } else { "LIKE" };
                self.infix(value, sign, pattern, !pattern.is_constant());
            }
            Kind::Arithmetic(operator, left, right) => self.infix(left, operator.sign(), right, false),
            Kind::Negate(value) => self.prefix("- ", value),
            Kind::Not(value) => self.prefix("NOT ", value),
            Kind::And(list) => self.list(" AND ", list),
            Kind::Or(list) => self.list(" OR ", list),
            Kind::IsNull { negated, value } => self.test(value, *negated, "NULL"),
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
            // An enum's constant can only be NULL, and takes its type from the column beside it.
            None if matches!(ty, Type::Enum(_)) => return self.sql.push_str("NULL"),
            None => self.sql.push_str("NULL"),
        }
        self.sql.push_str("::");
        self.sql.push_str(ty.name());
    }

    /// `by_bytes`: compared by code point, whatever the collations of the operands are. Left out where the column's own collation
    /// gives the same, because Postgres then finds its index.
    fn infix(&mut self, left: &Node, sign: &str, right: &Node, by_bytes: bool) {
        self.sql.push('(');
        self.node(left);
        if by_bytes && self.by_bytes {
            self.sql.push_str(" COLLATE \"C\"");
        }
        self.sql.push(' ');
        self.sql.push_str(sign);
        self.sql.push(' ');
        self.node(right);
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
