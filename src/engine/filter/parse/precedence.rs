//! No operator binds differently than in Postgres.

use std::ops::ControlFlow;

use sqlparser::ast::{BinaryOperator, CastKind, Expr, UnaryOperator, Visit, Visitor};

use super::{Tokens, error_at};
use crate::engine::filter::FilterError;

/// How strongly Postgres' grammar binds the outermost operator of a node, from its list of precedences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    Or,
    And,
    Not,
    Is,
    Comparison,
    /// BETWEEN, IN, LIKE.
    Membership,
    /// Any operator without a rule of its own.
    Operator,
    Sum,
    Product,
    Power,
    AtTimeZone,
    Collate,
    Sign,
    Cast,
    /// Names, literals, calls and everything in parentheses.
    Whole,
}

fn strength(expr: &Expr) -> Strength {
    match expr {
        Expr::BinaryOp { op, .. } => match op {
            BinaryOperator::Or => Strength::Or,
            BinaryOperator::And => Strength::And,
            BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq => Strength::Comparison,
            BinaryOperator::Plus | BinaryOperator::Minus => Strength::Sum,
            BinaryOperator::Multiply | BinaryOperator::Divide | BinaryOperator::Modulo => Strength::Product,
            BinaryOperator::PGExp | BinaryOperator::BitwiseXor => Strength::Power,
            _ => Strength::Operator,
        },
        Expr::UnaryOp { op, .. } => match op {
            UnaryOperator::Not => Strength::Not,
            UnaryOperator::Plus | UnaryOperator::Minus => Strength::Sign,
            _ => Strength::Operator,
        },
        Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_)
        | Expr::IsDistinctFrom(..)
        | Expr::IsNotDistinctFrom(..) => Strength::Is,
        Expr::InList { .. }
        | Expr::InSubquery { .. }
        | Expr::Between { .. }
        | Expr::Like { .. }
        | Expr::ILike { .. }
        | Expr::SimilarTo { .. } => Strength::Membership,
        Expr::AnyOp { .. } | Expr::AllOp { .. } => Strength::Operator,
        Expr::AtTimeZone { .. } => Strength::AtTimeZone,
        Expr::Collate { .. } => Strength::Collate,
        Expr::Cast { kind: CastKind::DoubleColon, .. } => Strength::Cast,
        _ => Strength::Whole,
    }
}

/// Postgres' grammar does not have these before the AND of a BETWEEN, but in parentheses.
fn is_no_bound(low: &Expr) -> bool {
    match low {
        Expr::AtTimeZone { .. } | Expr::Collate { .. } => true,
        Expr::BinaryOp { left, right, .. } => is_no_bound(left) || is_no_bound(right),
        Expr::UnaryOp { expr, .. } | Expr::Cast { kind: CastKind::DoubleColon, expr, .. } => is_no_bound(expr),
        _ => false,
    }
}

/// Walks the tree and compares each node with its operands: if every operand binds at least as strongly as its place asks,
/// the tree is the one that Postgres' grammar builds. (A long chain is a deep tree; the caller provides the stack.)
struct Precedence<'t> {
    tokens: &'t Tokens,
}

/// Refuses a tree that Postgres would not build from the same text.
pub fn check(tree: &Expr, tokens: &Tokens) -> Result<(), FilterError> {
    match tree.visit(&mut Precedence { tokens }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

impl Precedence<'_> {
    fn at_least(&self, least: Strength, operand: &Expr) -> ControlFlow<FilterError> {
        if strength(operand) >= least { ControlFlow::Continue(()) } else { self.refuse(operand) }
    }

    fn above(&self, strength_of_node: Strength, operand: &Expr) -> ControlFlow<FilterError> {
        if strength(operand) > strength_of_node { ControlFlow::Continue(()) } else { self.refuse(operand) }
    }

    fn refuse(&self, operand: &Expr) -> ControlFlow<FilterError> {
        let offset = self.tokens.start(operand);
        ControlFlow::Break(error_at(offset, "use parentheses to say which operator comes first"))
    }
}

/// Whether an operand has AT TIME ZONE or COLLATE outside of parentheses.
fn zoned_or_collated(expr: &Expr) -> bool {
    match expr {
        Expr::AtTimeZone { .. } | Expr::Collate { .. } => true,
        Expr::BinaryOp { left, right, .. } => zoned_or_collated(left) || zoned_or_collated(right),
        Expr::UnaryOp { expr, .. } => zoned_or_collated(expr),
        Expr::Cast { expr, kind: CastKind::DoubleColon, .. } => zoned_or_collated(expr),
        _ => false,
    }
}

impl Visitor for Precedence<'_> {
    type Break = FilterError;

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<FilterError> {
        let own = strength(expr);
        match expr {
            Expr::BinaryOp { left, right, .. } => {
                // Comparisons do not chain, everything else leans to the left.
                if own == Strength::Comparison {
                    self.above(own, left)?
                } else {
                    self.at_least(own, left)?
                }
                self.above(own, right)
            }
            Expr::UnaryOp { expr, .. } => self.at_least(own, expr),
            Expr::IsNull(inner)
            | Expr::IsNotNull(inner)
            | Expr::IsTrue(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsFalse(inner)
            | Expr::IsNotFalse(inner)
            | Expr::IsUnknown(inner)
            | Expr::IsNotUnknown(inner) => self.above(own, inner),
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                self.above(own, left)?;
                self.above(own, right)
            }
            Expr::InList { expr, .. } | Expr::InSubquery { expr, .. } => self.above(own, expr),
            Expr::Between { expr, low, high, .. } => {
                self.above(own, expr)?;
                if is_no_bound(low) {
                    self.refuse(low)?;
                }
                self.above(own, low)?;
                // The grammar's `b_expr`, which has neither of these.
                if zoned_or_collated(low) {
                    return self.refuse(low);
                }
                self.above(own, high)
            }
            Expr::Like { expr, pattern, .. }
            | Expr::ILike { expr, pattern, .. }
            | Expr::SimilarTo { expr, pattern, .. } => {
                self.above(own, expr)?;
                self.above(own, pattern)
            }
            Expr::AnyOp { left, .. } | Expr::AllOp { left, .. } => self.at_least(own, left),
            Expr::AtTimeZone { timestamp, time_zone } => {
                self.at_least(own, timestamp)?;
                self.above(own, time_zone)
            }
            Expr::Collate { expr, .. } => self.at_least(own, expr),
            Expr::Cast { expr, .. } if own == Strength::Cast => self.at_least(own, expr),
            _ => ControlFlow::Continue(()),
        }
    }
}
