//! What the grammar has for arrays: `ARRAY[..]`, subscripts, ANY and ALL.

use sqlparser::ast::{AccessExpr, Array, BinaryOperator, Expr, Subscript, Value as Literal};

use super::function::plain_arguments;
use super::overload::{NotChosen, choose};
use super::pattern::is_regex;
use super::{Operand, Place, Resolved, Resolver, connect, no_operator};
use crate::engine::filter::catalog::Body;
use crate::engine::filter::catalog::casts::Context;
use crate::engine::filter::functions::array::read;
use crate::engine::filter::parse::error_at;
use crate::engine::filter::tree::{Comparison, Kind, List, Node};
use crate::engine::filter::types::Type;
use crate::engine::filter::value::Value;

impl Resolver<'_> {
    /// `ARRAY[a, b, ..]`. With a target, from a cast right behind it, every element is cast to the element type of that.
    pub(super) fn array(&mut self, expr: &Expr, array: &Array, target: Option<Type>) -> Resolved {
        let at = self.tokens.before(expr, |token| token.to_string().eq_ignore_ascii_case("ARRAY"));
        let mut nested = false;
        let mut operands = Vec::with_capacity(array.elem.len());
        for element in &array.elem {
            let operand = match element {
                Expr::Array(inner) => {
                    nested = true;
                    self.array(element, inner, target)?
                }
                _ => self.operand(element)?,
            };
            let operand = self.known(operand)?;
            nested |= operand.node.ty.element().is_some();
            operands.push(operand);
        }
        let nodes = match target {
            Some(target) => {
                let Some(to) = (if nested { Some(target) } else { target.element() }) else {
                    return Err(self.unsupported(expr));
                };
                self.cast_all(at, operands, to)?
            }
            None if operands.is_empty() => {
                return Err(error_at(at, "cannot determine type of empty array, cast it: ARRAY[]::int4[]"));
            }
            None => self.unify(at, "ARRAY", operands)?,
        };
        let own = nodes.first().map(|node| node.ty);
        let ty = match (target, own) {
            (Some(target), _) => Some(target),
            (None, Some(own)) if nested => own.element().and(Some(own)),
            (None, own) => own.and_then(Type::array),
        };
        let Some(ty) = ty else { return Err(error_at(at, "there are no arrays of this type")) };
        if nodes.is_empty() {
            let empty = ty.element().and_then(|element| Value::parse(element.array()?, "{}"));
            return Ok(Node::constant(ty, empty).into());
        }
        self.fold(Node::new(ty, Kind::Array(nodes)), at).map(Operand::from)
    }

    fn cast_all(&mut self, at: usize, operands: Vec<Operand>, to: Type) -> Resolved<Vec<Node>> {
        let mut nodes = Vec::with_capacity(operands.len());
        for operand in operands {
            nodes.push(self.cast(at, operand, to, Context::Explicit)?);
        }
        Ok(nodes)
    }

    /// `array[i]`, `array[a:b]`, and several of them. One slice makes slices of all: an index alone is then the upper bound.
    pub(super) fn subscripts(&mut self, expr: &Expr, root: &Expr, chain: &[AccessExpr]) -> Resolved {
        let at = self.tokens.start(expr);
        let placeholder = matches!(root, Expr::Value(value) if matches!(value.value, Literal::Placeholder(_)));
        if !placeholder && !matches!(root, Expr::Identifier(_) | Expr::Nested(_)) {
            return Err(error_at(at, "an expression needs parentheses before subscripts"));
        }
        let array = self.operand(root)?;
        let array = self.known(array)?;
        let Some(element) = array.node.ty.element() else {
            let ty = self.type_name(&array.node);
            return Err(error_at(at, format_args!("cannot subscript type {ty}")));
        };
        let mut subscripts = Vec::with_capacity(chain.len());
        for access in chain {
            match access {
                AccessExpr::Subscript(Subscript::Index { index }) => subscripts.push((None, Some(index), false)),
                AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, stride: None }) => {
                    subscripts.push((lower_bound.as_ref(), upper_bound.as_ref(), true));
                }
                _ => return Err(self.unsupported(expr)),
            }
        }
        let slices = subscripts.iter().any(|(_, _, slice)| *slice);
        let (mut indexes, mut bounds) = (Vec::new(), Vec::new());
        for (low, high, slice) in subscripts {
            let low = low.map(|low| self.index(low)).transpose()?;
            let high = high.map(|high| self.index(high)).transpose()?;
            match (slice, high) {
                (false, Some(high)) if slices => {
                    bounds.push((Some(Node::constant(Type::Int4, Some(Value::Int(1)))), Some(high)));
                }
                (false, Some(high)) => indexes.push(high),
                (_, high) => bounds.push((low, high)),
            }
        }
        let (ty, array) = (array.node.ty, Box::new(array.node));
        let node = match slices {
            true => Node::new(ty, Kind::Slice { array, bounds }),
            false => Node::new(element, Kind::Element { array, indexes }),
        };
        self.fold(node, at).map(Operand::from)
    }

    /// An index is assigned to `int4`: other numbers are rounded.
    fn index(&mut self, expr: &Expr) -> Resolved<Node> {
        let at = self.tokens.start(expr);
        let operand = self.operand(expr)?;
        if !(operand.node.ty == Type::Unknown || operand.node.ty.is_number()) {
            return Err(error_at(at, "array subscript must have type integer"));
        }
        self.cast(at, operand, Type::Int4, Context::Assignment)
    }

    /// `value sign ANY (array)`, or ALL.
    pub(super) fn quantified(
        &mut self,
        all: bool,
        left: &Expr,
        sign: &str,
        right: &Expr,
        place: Place<'_>,
    ) -> Resolved {
        if matches!(right, Expr::Subquery(_)) {
            let at = self.tokens.start(left);
            return Err(error_at(at, "only `value IN (SELECT ...)` sublinks are supported right now"));
        }
        let (value, array) = (self.operand(left)?, self.operand(right)?);
        let (value, array) = (self.known(value)?, self.known(array)?);
        let element = match array.node.ty {
            Type::Unknown => Type::Unknown,
            ty => match ty.element() {
                Some(element) => element,
                None => {
                    let what = if all { "ALL" } else { "ANY" };
                    return Err(error_at(self.at(place), format_args!("argument of {what} must be an array")));
                }
            },
        };
        let name = self.cased(sign, &[value.clone(), array.clone()]);
        let chosen = match choose(name, &[value.node.ty, element]) {
            Ok(chosen) => chosen,
            Err(NotChosen::Unknown) => {
                return Err(error_at(self.at(place), format_args!("unknown binary operator \"{sign}\"")));
            }
            Err(NotChosen::NoneFits) => return Err(no_operator(self.at(place))),
        };
        if chosen.result != Type::Bool {
            return Err(error_at(self.at(place), "ANY/ALL requires operator that returns bool"));
        }
        let (function, [value_to, element_to]) = (chosen.function, chosen.arguments.as_slice()) else {
            return Err(no_operator(self.at(place)));
        };
        let Some(array_to) = element_to.array().filter(|_| function.is_evaluated()) else {
            return Err(no_operator(self.at(place)));
        };
        self.check_order(function, *element_to, place)?;
        let value = self.coerce(value, *value_to)?;
        let array = self.coerce(array, array_to)?;
        let list = match &array.kind {
            Kind::Constant(None) => return Ok(Node::constant(Type::Bool, None).into()),
            Kind::Constant(Some(list)) => Some(list),
            _ => None,
        };
        match (function.body, list) {
            (Body::Compare(Comparison::Equal), Some(list)) if !all => {
                self.listed(false, value, *element_to, list, place)
            }
            (Body::Compare(Comparison::NotEqual), Some(list)) if all => {
                self.listed(true, value, *element_to, list, place)
            }
            (_, Some(list)) if is_regex(function.name) => {
                let list = list.clone();
                self.each(all, sign, value, *element_to, &list, place)
            }
            (_, None) if is_regex(function.name) => {
                Err(error_at(self.at(place), "a regular expression must be a constant"))
            }
            _ => {
                let node = Kind::Quantified { all, function, value: Box::new(value), array: Box::new(array) };
                self.fold_at(Node::new(Type::Bool, node), place).map(Operand::from)
            }
        }
    }

    /// `= ANY` and `<> ALL` of constants are IN and NOT IN: those are looked up.
    fn listed(&mut self, negated: bool, value: Node, ty: Type, list: &Value<'_>, place: Place<'_>) -> Resolved {
        let wrong = |_| no_operator(self.at(place));
        let array = read(Some(list)).map_err(wrong)?;
        let mut list = List { ty, values: Vec::new(), has_null: false, texts: None };
        for element in &array.elements {
            match element {
                Some(text) => list.values.push(Value::read(ty, text).map_err(wrong)?.into_owned()),
                None => list.has_null = true,
            }
        }
        if array.elements.is_empty() {
            return Ok(Node::constant(Type::Bool, Some(Value::Bool(negated))).into());
        }
        list.index_texts(&value);
        let node = Node::new(Type::Bool, Kind::In { negated, value: Box::new(value), list });
        self.fold_at(node, place).map(Operand::from)
    }

    /// The operator with every constant by itself.
    fn each(&mut self, all: bool, sign: &str, value: Node, ty: Type, list: &Value<'_>, place: Place<'_>) -> Resolved {
        let array = read(Some(list)).map_err(|_| no_operator(self.at(place)))?;
        let value = Operand::from(value);
        self.check_copies(&value, array.elements.len(), place)?;
        let mut tests = Vec::with_capacity(array.elements.len());
        for element in &array.elements {
            let constant = element.as_ref().map(|text| Value::Text(text.to_vec().into()));
            let constant = Operand::from(Node::constant(ty, constant));
            tests.push(self.infix(sign, value.clone(), constant, place)?);
        }
        Ok(connect(all, tests).into())
    }

    /// The order of some types is not known here, so their arrays have none either.
    pub(super) fn check_order(
        &self,
        function: &crate::engine::filter::catalog::Function,
        ty: Type,
        place: Place<'_>,
    ) -> Resolved<()> {
        let orders = matches!(function.body, Body::Compare(comparison) if comparison.orders());
        let mut ty = ty;
        let array = ty.element().is_some();
        while let Some(element) = ty.element() {
            ty = element;
        }
        let sign = if orders { "<" } else { "=" };
        let compares = matches!(function.body, Body::Compare(_)) && array;
        if compares && !choose(sign, &[ty, ty]).is_ok_and(|chosen| chosen.function.is_evaluated()) {
            return Err(no_operator(self.at(place)));
        }
        Ok(())
    }
}

/// The name of an operator as the catalogue has it.
pub(super) fn sign_of(op: &BinaryOperator) -> String {
    let written = op.to_string();
    if written == "!=" { "<>".into() } else { written }
}

/// `ALL (array)` or `SOME (array)` behind LIKE, which the parser takes for calls: both words are reserved. Whether it is ALL.
pub(super) fn quantifier(pattern: &Expr) -> Option<(bool, &Expr)> {
    let Expr::Function(function) = pattern else { return None };
    let name = function.name.to_string();
    let all = name.eq_ignore_ascii_case("all");
    match plain_arguments(function)?.as_slice() {
        [array] if all || name.eq_ignore_ascii_case("some") => Some((all, *array)),
        _ => None,
    }
}
