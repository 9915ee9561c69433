//! A condition with subqueries as alternatives: a disjunction of conjunctions, as readers are told of it in tags.
//!
//! Three-valued logic distributes as two-valued logic does, so the condition is true exactly if all parts of one alternative are.

use std::sync::Arc;

use super::FilterError;
use super::leak::Conjuncts;
use super::print::print;
use super::subquery::{Alternatives, Membership, Position};
use super::tree::{Kind, Node};
use super::types::Type;
use crate::engine::tables::Table;

/// More alternatives are refused: every row carries a tag for each.
const MAX_DISJUNCTS: usize = 100;

/// The alternatives of a condition; `None` if it has no subqueries.
pub fn alternatives(condition: &Node, table: &Table) -> Result<Option<Alternatives>, FilterError> {
    if !has_subquery(condition) {
        return Ok(None);
    }
    let mut builder = Builder { table, positions: Vec::new() };
    let mut disjuncts = builder.disjuncts(condition, false)?;
    disjuncts.dedup();
    builder.check_polarity()?;
    Ok(Some(Alternatives { positions: builder.positions, disjuncts }))
}

fn has_subquery(node: &Node) -> bool {
    matches!(node.kind, Kind::InSubquery(_)) || node.children().into_iter().any(has_subquery)
}

struct Builder<'a> {
    table: &'a Table,
    positions: Vec<Position>,
}

type Disjuncts = Vec<Vec<usize>>;

impl Builder<'_> {
    fn disjuncts(&mut self, node: &Node, negated: bool) -> Result<Disjuncts, FilterError> {
        if !has_subquery(node) {
            return Ok(vec![vec![self.row(node, negated)]]);
        }
        match &node.kind {
            Kind::Not(inner) => self.disjuncts(inner, !negated),
            Kind::InSubquery(membership) => Ok(vec![vec![self.membership(membership, negated)]]),
            Kind::And(list) if !negated => self.every(list, false),
            Kind::Or(list) if negated => self.every(list, true),
            Kind::And(list) | Kind::Or(list) => {
                let mut all = Vec::new();
                for part in grouped(list, matches!(node.kind, Kind::And(_))) {
                    all.extend(self.disjuncts(&part, negated)?);
                    within_limit(all.len())?;
                }
                Ok(all)
            }
            _ => Err(FilterError::in_where("`IN (SELECT ...)` may only be combined by AND, OR and NOT")),
        }
    }

    /// Each choice of one alternative of every part.
    fn every(&mut self, list: &[Node], negated: bool) -> Result<Disjuncts, FilterError> {
        let mut all: Disjuncts = vec![Vec::new()];
        for part in grouped(list, !negated) {
            let alternatives = self.disjuncts(&part, negated)?;
            within_limit(all.len().saturating_mul(alternatives.len()))?;
            let with = |one: &Vec<usize>, other: &Vec<usize>| {
                let mut both = [one.as_slice(), other].concat();
                both.sort_unstable();
                both.dedup();
                both
            };
            all = all.iter().flat_map(|one| alternatives.iter().map(move |other| with(one, other))).collect();
        }
        Ok(all)
    }

    fn row(&mut self, node: &Node, negated: bool) -> usize {
        let condition = if negated { Node::new(Type::Bool, Kind::Not(Box::new(node.clone()))) } else { node.clone() };
        let sql = print(&condition, self.table);
        let conjuncts = Conjuncts::of(&condition, self.table);
        self.position(Position::Row { condition, sql, conjuncts })
    }

    fn membership(&mut self, membership: &Arc<Membership>, negated: bool) -> usize {
        self.position(Position::In { membership: Arc::clone(membership), negated })
    }

    fn position(&mut self, position: Position) -> usize {
        let known = self.positions.iter().position(|known| known.sql() == position.sql());
        known.unwrap_or_else(|| {
            self.positions.push(position);
            self.positions.len() - 1
        })
    }

    /// A subquery is asked for values that are there, or for values that are not: readers know one way only in which it moves rows.
    fn check_polarity(&self) -> Result<(), FilterError> {
        let asked = |wanted: bool| {
            self.positions.iter().filter_map(move |position| match position {
                Position::In { membership, negated } if *negated == wanted => Some(&membership.subquery.sql),
                _ => None,
            })
        };
        if asked(true).any(|sql| asked(false).any(|other| sql == other)) {
            let text =
                "a subquery dependency cannot be used with both positive and negative polarity in the same filter";
            return Err(FilterError::in_where(text));
        }
        Ok(())
    }
}

/// The parts of a conjunction or disjunction; those without a subquery are one part.
fn grouped(list: &[Node], conjunction: bool) -> Vec<Node> {
    let (with, without): (Vec<&Node>, Vec<&Node>) = list.iter().partition(|node| has_subquery(node));
    let without: Vec<Node> = without.into_iter().cloned().collect();
    let together = match without.len() {
        0 | 1 => without.into_iter().next(),
        _ => Some(Node::new(Type::Bool, if conjunction { Kind::And(without) } else { Kind::Or(without) })),
    };
    together.into_iter().chain(with.into_iter().cloned()).collect()
}

fn within_limit(count: usize) -> Result<(), FilterError> {
    if count <= MAX_DISJUNCTS {
        return Ok(());
    }
    let text =
        format!("WHERE clause too complex for DNF decomposition ({count} disjuncts exceeds limit of {MAX_DISJUNCTS})");
    Err(FilterError::in_where(text))
}
