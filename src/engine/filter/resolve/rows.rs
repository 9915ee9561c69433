//! Row values: `(a, b) = (c, d)` and its kin are conditions on the pairs of their entries, as in Postgres' grammar.

use sqlparser::ast::Expr;

use super::function::plain_arguments;
use super::{Operand, Place, Resolved, Resolver, connect};
use crate::engine::filter::parse::error_at;
use crate::engine::filter::tree::{Comparison, Kind, Node};
use crate::engine::filter::types::Type;

/// The entries of `(a, b)` or `ROW(a, b)`.
pub(super) fn entries(expr: &Expr) -> Option<Vec<&Expr>> {
    match expr {
        Expr::Nested(inner) => entries(inner),
        Expr::Tuple(list) => Some(list.iter().collect()),
        Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("row") => plain_arguments(function),
        _ => None,
    }
}

impl Resolver<'_> {
    /// A comparison of which one side is a row; `None` if neither is.
    pub(super) fn compare_rows(&mut self, sign: &str, left: &Expr, right: &Expr) -> Option<Resolved<Node>> {
        let (one, other) = (entries(left), entries(right));
        if one.is_none() && other.is_none() {
            return None;
        }
        let comparison = [Comparison::Equal, Comparison::NotEqual].into_iter().chain(Comparison::ORDERS);
        let comparison = comparison.into_iter().find(|comparison| comparison.sign() == sign);
        let place = Place { left, sign };
        Some(match (one, other, comparison) {
            (Some(one), Some(other), Some(comparison)) => self.pairs(comparison, &one, &other, place),
            _ => Err(super::no_operator(self.at(place))),
        })
    }

    fn entries(&mut self, list: &[&Expr]) -> Resolved<Vec<Operand>> {
        list.iter().map(|entry| self.operand(entry)).collect()
    }

    fn pairs(&mut self, sign: Comparison, left: &[&Expr], right: &[&Expr], place: Place<'_>) -> Resolved<Node> {
        let left = self.entries(left)?;
        self.compare_entries(sign, left, right, place)
    }

    fn compare_entries(
        &mut self,
        sign: Comparison,
        left: Vec<Operand>,
        right: &[&Expr],
        place: Place<'_>,
    ) -> Resolved<Node> {
        self.check_lengths(left.len(), right.len(), place)?;
        let mut tests = Vec::with_capacity(left.len());
        let mut pairs = Vec::with_capacity(left.len());
        for (one, other) in left.into_iter().zip(right) {
            let other = self.operand(other)?;
            if sign.orders() {
                pairs.push(self.comparable(sign, one, other, place)?);
            } else {
                tests.push(self.compare(sign, one, other, place)?);
            }
        }
        if sign.orders() {
            return self.fold(Node::new(Type::Bool, Kind::Rows(sign, pairs)), self.at(place));
        }
        Ok(connect(sign == Comparison::Equal, tests))
    }

    fn check_lengths(&self, left: usize, right: usize, place: Place<'_>) -> Resolved<()> {
        if left == 0 {
            return Err(error_at(self.at(place), "cannot compare rows of zero length"));
        }
        if left != right {
            return Err(error_at(self.at(place), "unequal number of entries in row expressions"));
        }
        Ok(())
    }

    /// `(a, b) IN ((c, d), ..)`; `None` if the left side is no row.
    pub(super) fn row_in_list(&mut self, value: &Expr, list: &[Expr], negated: bool) -> Option<Resolved<Node>> {
        let left = entries(value)?;
        Some(self.one_of_rows(value, &left, list, negated))
    }

    fn one_of_rows(&mut self, value: &Expr, left: &[&Expr], list: &[Expr], negated: bool) -> Resolved<Node> {
        let place = Place { left: value, sign: "IN" };
        let sign = if negated { Comparison::NotEqual } else { Comparison::Equal };
        let left = self.entries(left)?;
        for entry in &left {
            self.check_copies(entry, list.len(), place)?;
        }
        let mut tests = Vec::with_capacity(list.len());
        for item in list {
            let right = entries(item).ok_or_else(|| super::no_operator(self.at(place)))?;
            tests.push(self.compare_entries(sign, left.clone(), &right, place)?);
        }
        Ok(connect(negated, tests))
    }

    /// `IS [NOT] DISTINCT FROM` between rows; `None` if neither side is one.
    pub(super) fn distinct_rows(&mut self, left: &Expr, right: &Expr, negated: bool) -> Option<Resolved<Node>> {
        let (one, other) = (entries(left), entries(right));
        if one.is_none() && other.is_none() {
            return None;
        }
        let place = Place { left, sign: "IS" };
        let (Some(one), Some(other)) = (one, other) else { return Some(Err(super::no_operator(self.at(place)))) };
        Some(self.distinct_pairs(&one, &other, negated, place))
    }

    fn distinct_pairs(&mut self, left: &[&Expr], right: &[&Expr], negated: bool, place: Place<'_>) -> Resolved<Node> {
        self.check_lengths(left.len(), right.len(), place)?;
        let mut tests = Vec::with_capacity(left.len());
        for (one, other) in left.iter().zip(right) {
            tests.push(self.distinct(one, other, negated)?.node);
        }
        Ok(connect(negated, tests))
    }

    /// `(a, b) IS NULL` asks whether all entries are NULL, `IS NOT NULL` whether none is; `None` if it is no row.
    pub(super) fn row_null_test(&mut self, inner: &Expr, negated: bool) -> Option<Resolved<Node>> {
        let tests: Resolved<Vec<Node>> = entries(inner)?
            .into_iter()
            .map(|entry| match entries(entry) {
                // A row in a row is a value of its own, and never NULL.
                Some(_) => Err(self.unsupported(entry)),
                // Postgres does not look into a composite value that is an entry.
                None => self.null_test(entry, negated).map(|operand| match operand.node.kind {
                    Kind::IsNullRow { negated, column } => {
                        let value = Box::new(self.column_node(column));
                        Node::new(Type::Bool, Kind::IsNull { negated, value })
                    }
                    _ => operand.node,
                }),
            })
            .collect();
        Some(tests.map(|tests| connect(true, tests)))
    }
}
