//! Operators: which one Postgres picks for two types, and what it converts first.

use sqlparser::ast::Expr;

use super::array::quantifier;
use super::overload::{Chosen, NotChosen, choose, common};
use super::{Operand, Place, Resolved, Resolver, connect, no_operator};
use crate::engine::filter::FilterError;
use crate::engine::filter::catalog::Body;
use crate::engine::filter::catalog::casts::converts;
use crate::engine::filter::parse::error_at;
use crate::engine::filter::tree::{Comparison, Kind, List, Node};
use crate::engine::filter::types::Type;
use crate::engine::filter::value::Value;

/// The most nodes that one BETWEEN or IN may make out of its left side. A list of columns can be this long.
const MAX_COPIED_NODES: usize = 20_000;

impl Resolver<'_> {
    pub(super) fn at(&self, place: Place<'_>) -> usize {
        self.tokens.after(place.left, |token| token.to_string().eq_ignore_ascii_case(place.sign))
    }

    /// `left sign right`, with the operator that Postgres picks.
    pub(super) fn infix(&mut self, sign: &str, left: Operand, right: Operand, place: Place<'_>) -> Resolved<Node> {
        let (left, right) = (self.known(left)?, self.known(right)?);
        let operands = [left, right];
        let name = self.cased(sign, &operands);
        let [left, right] = operands;
        let chosen = match choose(name, &[left.node.ty, right.node.ty]) {
            Ok(chosen) => chosen,
            Err(NotChosen::Unknown) => {
                return Err(error_at(self.at(place), format_args!("unknown binary operator \"{sign}\"")));
            }
            Err(NotChosen::NoneFits) => return Err(self.no_operator(&left, &right, place)),
        };
        if let Some(ty) = chosen.arguments.first() {
            self.check_order(chosen.function, *ty, place)?;
        }
        let node = self.apply(chosen, vec![left, right])?.ok_or_else(|| no_operator(self.at(place)))?;
        let node = self.compiled(node, place)?;
        self.fold_at(node, place)
    }

    /// `sign value`, at a position.
    pub(super) fn prefix(&mut self, sign: &str, value: Operand, at: usize) -> Resolved<Node> {
        let value = self.known(value)?;
        let chosen = match choose(sign, &[value.node.ty]) {
            Ok(chosen) => chosen,
            Err(NotChosen::Unknown) => {
                return Err(error_at(at, format_args!("unknown unary operator \"{sign}\"")));
            }
            Err(NotChosen::NoneFits) => return Err(no_operator(at)),
        };
        let node = self.apply(chosen, vec![value])?.ok_or_else(|| no_operator(at))?;
        self.fold(node, at)
    }

    /// A call of a row on its arguments, not folded; `None` if we do not have what Postgres picks.
    pub(super) fn apply(&mut self, chosen: Chosen, operands: Vec<Operand>) -> Resolved<Option<Node>> {
        let mut arguments = Vec::with_capacity(operands.len());
        for (operand, to) in operands.into_iter().zip(chosen.arguments) {
            arguments.push(self.coerce(operand, to)?);
        }
        let kind = match chosen.function.body {
            Body::Missing => return Ok(None),
            Body::Run(_) => Kind::Call { function: chosen.function, arguments },
            Body::Compare(comparison) => match <[Node; 2]>::try_from(arguments) {
                Ok([left, right]) => Kind::Compare(comparison, Box::new(left), Box::new(right)),
                Err(_) => return Ok(None),
            },
        };
        Ok(Some(Node::new(chosen.result, kind)))
    }

    pub(super) fn compare(
        &mut self,
        sign: Comparison,
        left: Operand,
        right: Operand,
        place: Place<'_>,
    ) -> Resolved<Node> {
        self.infix(sign.sign(), left, right, place)
    }

    pub(super) fn fold_at(&self, node: Node, place: Place<'_>) -> Resolved<Node> {
        // The position is needed, and found, only if it fails.
        self.fold(node, 0).map_err(|error| {
            let message = error.message.split_once(": ").map_or("", |(_, message)| message);
            error_at(self.at(place), message)
        })
    }

    /// A parameter with a type from an earlier use is named, so that the client sees why.
    fn no_operator(&self, left: &Operand, right: &Operand, place: Place<'_>) -> FilterError {
        let at = self.at(place);
        let (parameter, own, other) = match (left.parameter, right.parameter) {
            (Some(index), _) => (index, left, right),
            (None, Some(index)) => (index, right, left),
            (None, None) => return no_operator(at),
        };
        let (own, other) = (self.type_name(&own.node), self.type_name(&other.node));
        error_at(at, format_args!("type conflict for ${}: {own} and {other}", parameter + 1))
    }

    /// Both operands converted to what the comparison takes.
    pub(super) fn comparable(
        &mut self,
        sign: Comparison,
        left: Operand,
        right: Operand,
        place: Place<'_>,
    ) -> Resolved<(Node, Node)> {
        let (left, right) = (self.known(left)?, self.known(right)?);
        let Ok(chosen) = choose(sign.sign(), &[left.node.ty, right.node.ty]) else {
            return Err(self.no_operator(&left, &right, place));
        };
        match (chosen.function.body, chosen.arguments.as_slice()) {
            (Body::Compare(_), [left_to, right_to]) => {
                self.check_order(chosen.function, *left_to, place)?;
                Ok((self.coerce(left, *left_to)?, self.coerce(right, *right_to)?))
            }
            _ => Err(no_operator(self.at(place))),
        }
    }

    pub(super) fn distinct(&mut self, left: &Expr, right: &Expr, negated: bool) -> Resolved {
        let place = Place { left, sign: "IS" };
        if let Some(node) = self.distinct_rows(left, right, negated) {
            return node.map(Operand::from);
        }
        let (left, right) = (self.operand(left)?, self.operand(right)?);
        let (left, right) = self.comparable(Comparison::NotEqual, left, right, place)?;
        let node = Kind::Distinct { negated, left: Box::new(left), right: Box::new(right) };
        self.fold_at(Node::new(Type::Bool, node), place).map(Operand::from)
    }

    /// Postgres' grammar makes comparisons of it too. SYMMETRIC takes the bounds in both orders.
    pub(super) fn between(&mut self, value: &Expr, low: &Expr, high: &Expr, negated: bool) -> Resolved {
        let place = Place { left: value, sign: "BETWEEN" };
        let symmetric = self.tokens.is_symmetric(value);
        let value = self.operand(value)?;
        self.check_copies(&value, 2, place)?;
        let (low, high) = (self.operand(low)?, self.operand(high)?);
        if !symmetric {
            return self.within(value, low, high, negated, place).map(Operand::from);
        }
        self.check_copies(&value, 4, place)?;
        self.check_copies(&low, 2, place)?;
        self.check_copies(&high, 2, place)?;
        let one = self.within(value.clone(), low.clone(), high.clone(), negated, place)?;
        let other = self.within(value, high, low, negated, place)?;
        Ok(connect(negated, vec![one, other]).into())
    }

    fn within(
        &mut self,
        value: Operand,
        low: Operand,
        high: Operand,
        negated: bool,
        place: Place<'_>,
    ) -> Resolved<Node> {
        let (first, second) = match negated {
            false => (Comparison::GreaterOrEqual, Comparison::LessOrEqual),
            true => (Comparison::Less, Comparison::Greater),
        };
        let both = vec![self.compare(first, value.clone(), low, place)?, self.compare(second, value, high, place)?];
        Ok(connect(!negated, both))
    }

    /// `value LIKE pattern ESCAPE escape`: the pattern is rewritten for a backslash.
    pub(super) fn like_escape(
        &mut self,
        sign: &str,
        value: &Expr,
        pattern: &Expr,
        escape: &Expr,
        place: Place<'_>,
    ) -> Resolved {
        let (value, pattern, escape) = (self.operand(value)?, self.operand(pattern)?, self.operand(escape)?);
        let pattern = self.call(self.at(place), "like_escape", vec![pattern, escape])?;
        self.infix(sign, value, pattern, place).map(Operand::from)
    }

    pub(super) fn like(&mut self, sign: &str, value: &Expr, pattern: &Expr, place: Place<'_>) -> Resolved {
        if let Some((all, array)) = quantifier(pattern) {
            return self.quantified(all, value, sign, array, place);
        }
        let (value, pattern) = (self.operand(value)?, self.operand(pattern)?);
        let node = self.infix(sign, value, pattern, place)?;
        if let Kind::Call { arguments, .. } = &node.kind
            && let [_, pattern] = arguments.as_slice()
            && let Kind::Constant(Some(Value::Text(text))) = &pattern.kind
            && text.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
        {
            return Err(error_at(self.at(place), "LIKE pattern must not end with escape character"));
        }
        Ok(node.into())
    }

    /// Constants share one type and become a list, as Postgres makes an array of them; others are compared one by one.
    pub(super) fn in_list(&mut self, value: &Expr, list: &[Expr], negated: bool) -> Resolved {
        let place = Place { left: value, sign: "IN" };
        if let Some(node) = self.row_in_list(value, list, negated) {
            return node.map(Operand::from);
        }
        let value = self.operand(value)?;
        let mut items = Vec::with_capacity(list.len());
        for item in list {
            let item = self.operand(item)?;
            items.push(self.known(item)?);
        }
        let value = self.known(value)?;
        let constants = items.iter().filter(|item| item.node.is_constant());
        let types = std::iter::once(&value).chain(constants.clone()).map(|operand| operand.node.ty);
        let shared = common(types).filter(|shared| constants.clone().all(|item| converts(item.node.ty, *shared)));
        let mut tests = Vec::new();
        if let Some(shared) = shared.filter(|_| constants.clone().count() > 1) {
            let constants = constants.cloned().collect();
            tests.push(self.one_of(value.clone(), constants, shared, negated, place)?);
            items.retain(|item| !item.node.is_constant());
        }
        self.check_copies(&value, items.len(), place)?;
        let sign = if negated { Comparison::NotEqual } else { Comparison::Equal };
        for item in items {
            tests.push(self.compare(sign, value.clone(), item, place)?);
        }
        Ok(connect(negated, tests).into())
    }

    /// BETWEEN and IN repeat their left side: nested in each other they would grow without bound.
    pub(super) fn check_copies(&self, value: &Operand, copies: usize, place: Place<'_>) -> Resolved<()> {
        if copies > 1 && value.node.size().saturating_mul(copies) > MAX_COPIED_NODES {
            return Err(error_at(self.at(place), "the expression before it is too large"));
        }
        Ok(())
    }

    fn one_of(
        &mut self,
        value: Operand,
        constants: Vec<Operand>,
        shared: Type,
        negated: bool,
        place: Place<'_>,
    ) -> Resolved<Node> {
        let own = if value.node.ty == Type::Unknown { shared } else { value.node.ty };
        let chosen = choose("=", &[own, shared]).map_err(|_| no_operator(self.at(place)))?;
        let (Body::Compare(_), [value_to, items_to]) = (chosen.function.body, chosen.arguments.as_slice()) else {
            return Err(no_operator(self.at(place)));
        };
        let (value_to, items_to) = (*value_to, *items_to);
        let value = self.coerce(value, value_to)?;
        let mut list = List { ty: items_to, values: Vec::new(), has_null: false, texts: None };
        for item in constants {
            let item = self.coerce(item, shared)?;
            match self.coerce(item.into(), items_to)?.kind {
                Kind::Constant(Some(constant)) => list.values.push(constant),
                _ => list.has_null = true,
            }
        }
        list.index_texts(&value);
        let node = Node::new(Type::Bool, Kind::In { negated, value: Box::new(value), list });
        self.fold_at(node, place)
    }
}
