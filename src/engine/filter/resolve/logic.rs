//! Truth values: AND, OR, and the tests IS NULL, IS TRUE and their kin.

use sqlparser::ast::{BinaryOperator, Expr};

use super::{Operand, Resolved, Resolver};
use crate::engine::filter::parse::error_at;
use crate::engine::filter::tree::{Kind, Node};
use crate::engine::filter::types::Type;
use crate::engine::filter::value::Value;

impl Resolver<'_> {
    /// AND and OR as flat lists: a chain is as deep in the syntax tree as it is long.
    pub(super) fn logic(&mut self, expr: &Expr, wanted: &BinaryOperator) -> Resolved {
        let mut reversed = Vec::new();
        let mut rest = expr;
        loop {
            match rest {
                Expr::Nested(inner) => rest = inner,
                Expr::BinaryOp { left, op, right } if op == wanted => {
                    reversed.push(right.as_ref());
                    rest = left;
                }
                _ => break,
            }
        }
        reversed.push(rest);
        let mut list = Vec::with_capacity(reversed.len());
        for part in reversed.into_iter().rev() {
            let operand = self.operand(part)?;
            list.push(self.truth(part, operand)?);
        }
        Ok(connect(*wanted == BinaryOperator::And, list).into())
    }

    pub(super) fn truth(&mut self, expr: &Expr, operand: Operand) -> Resolved<Node> {
        if matches!(operand.node.ty, Type::Bool | Type::Unknown) {
            return self.coerce(operand, Type::Bool);
        }
        let what = match operand.node.kind {
            Kind::Column(position) => {
                format!("reference {}", self.table.columns.get(position).map_or("", |column| &column.name))
            }
            _ => "expression".into(),
        };
        let ty = self.type_name(&operand.node);
        Err(error_at(self.tokens.start(expr), format_args!("{what} of type {ty} is not castable to bool")))
    }

    /// Presence only: works on every type.
    pub(super) fn null_test(&mut self, inner: &Expr, negated: bool) -> Resolved {
        let mut plain = inner;
        while let Expr::Nested(nested) = plain {
            plain = nested;
        }
        if let Some(test) = self.row_null_test(plain, negated) {
            return test.map(Operand::from);
        }
        let value = match plain {
            Expr::Identifier(name) => {
                let column = self.column(name)?;
                if self.table.columns.get(column).is_some_and(|column| column.type_kind == 'c' && column.dims == 0) {
                    return Ok(Node::new(Type::Bool, Kind::IsNullRow { negated, column }).into());
                }
                self.column_node(column)
            }
            _ => {
                let operand = self.operand(inner)?;
                self.settled(operand, Type::Text)?
            }
        };
        let test = Node::new(Type::Bool, Kind::IsNull { negated, value: Box::new(value) });
        self.fold(test, 0).map(Operand::from)
    }

    pub(super) fn bool_test(&mut self, inner: &Expr, name: &str, wanted: Option<bool>, negated: bool) -> Resolved {
        let operand = self.operand(inner)?;
        if !matches!(operand.node.ty, Type::Bool | Type::Unknown) {
            let ty = self.type_name(&operand.node);
            let at = self.tokens.start(inner);
            return Err(error_at(at, format_args!("argument of {name} must be bool, not {ty}")));
        }
        let value = Box::new(self.coerce(operand, Type::Bool)?);
        self.fold(Node::new(Type::Bool, Kind::IsBool { negated, wanted, value }), 0).map(Operand::from)
    }
}

/// AND or OR of truth values. As in Postgres' planner, a constant that decides leaves only itself, and one that does not count
/// disappears.
pub(super) fn connect(and: bool, list: Vec<Node>) -> Node {
    let is =
        |node: &Node, wanted: bool| matches!(node.kind, Kind::Constant(Some(Value::Bool(value))) if value == wanted);
    if list.iter().any(|node| is(node, !and)) {
        return Node::constant(Type::Bool, Some(Value::Bool(!and)));
    }
    let mut left: Vec<Node> = list.into_iter().filter(|node| !is(node, and)).collect();
    if left.iter().all(|node| matches!(node.kind, Kind::Constant(None))) {
        left.truncate(1);
    }
    match left.len() {
        0 => Node::constant(Type::Bool, Some(Value::Bool(and))),
        1 => left.remove(0),
        _ => Node::new(Type::Bool, if and { Kind::And(left) } else { Kind::Or(left) }),
    }
}

/// Only TRUE counts of a whole condition, so NULL is as good as FALSE in its ANDs and ORs. Postgres' planner sees that before it
/// looks at a row, and then an error beside the NULL does not come up.
pub(super) fn filtering(node: Node) -> Node {
    let null_is_false = |node: Node| match node.kind {
        Kind::Constant(None) => Node::constant(Type::Bool, Some(Value::Bool(false))),
        _ => filtering(node),
    };
    match node.kind {
        Kind::And(list) => connect(true, list.into_iter().map(null_is_false).collect()),
        Kind::Or(list) => connect(false, list.into_iter().map(null_is_false).collect()),
        kind => Node { kind, ..node },
    }
}
