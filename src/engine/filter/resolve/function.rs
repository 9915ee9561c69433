//! Calls: functions by name, and what the grammar writes like one.

use sqlparser::ast::{CaseWhen, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::overload::{NotChosen, choose, common};
use super::refusal::unknown_function;
use super::{Operand, Place, Resolved, Resolver};
use crate::engine::filter::catalog::casts::Context;
use crate::engine::filter::parse::error_at;
use crate::engine::filter::tree::{Comparison, Kind, Node};
use crate::engine::filter::types::Type;
use crate::engine::filter::value::Value;

/// Types whose name is a function too; the names of the others are words of the grammar.
const CASTS: [&str; 12] =
    ["bool", "int2", "int4", "int8", "float4", "float8", "text", "name", "uuid", "date", "timestamptz", "bytea"];

impl Resolver<'_> {
    pub(super) fn function(&mut self, expr: &Expr, function: &Function) -> Resolved {
        let at = self.tokens.start(expr);
        let written = function.name.to_string();
        let lower = written.to_lowercase();
        let name = lower.strip_prefix("pg_catalog.").unwrap_or(&lower);
        let Some(arguments) = plain_arguments(function) else { return Err(self.unsupported(expr)) };
        match (name, arguments.as_slice()) {
            ("coalesce", [_, ..]) => self.coalesce(at, &arguments),
            ("greatest" | "least", [_, ..]) => self.extreme(at, name == "greatest", &arguments),
            ("nullif", [left, right]) => self.null_if(left, right),
            _ => {
                let mut operands = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    operands.push(self.operand(argument)?);
                }
                self.call(at, name, operands)
            }
        }
    }

    /// A function by its name in the catalogue, also for the grammar's own forms of calls.
    pub(super) fn call(&mut self, at: usize, name: &str, operands: Vec<Operand>) -> Resolved {
        let mut known = Vec::with_capacity(operands.len());
        for operand in operands {
            known.push(self.known(operand)?);
        }
        let types: Vec<_> = known.iter().map(|operand| operand.node.ty).collect();
        let chosen = match choose(self.cased(name, &known), &types) {
            Ok(chosen) => chosen,
            Err(_) if CASTS.contains(&name) && known.len() == 1 => {
                let (Some(to), Some(operand)) = (Type::named(name), known.into_iter().next()) else {
                    return Err(unknown_function(at, name, 1));
                };
                let operand = Operand { at, ..operand };
                return self.cast(at, operand, to, Context::Explicit).map(Operand::from);
            }
            Err(NotChosen::Unknown) => return Err(unknown_function(at, name, types.len())),
            Err(NotChosen::NoneFits) => return Err(self.no_overload(at, name, &known)),
        };
        let node = self.apply(chosen, known.clone())?.ok_or_else(|| self.no_overload(at, name, &known))?;
        self.check_zone(at, name, &node)?;
        self.check_part(at, name, &node)?;
        self.fold(node, at).map(Operand::from)
    }

    fn no_overload(&self, at: usize, name: &str, operands: &[Operand]) -> super::FilterError {
        let types: Vec<String> = operands.iter().map(|operand| self.type_name(&operand.node)).collect();
        error_at(at, format_args!("Could not select a function overload for {name}({})", types.join(", ")))
    }

    /// Converts all to the type that Postgres finds for them together. `what` names the construct in an error.
    pub(super) fn unify(&mut self, at: usize, what: &str, operands: Vec<Operand>) -> Resolved<Vec<Node>> {
        let mut known = Vec::with_capacity(operands.len());
        for operand in operands {
            known.push(self.known(operand)?);
        }
        let types = || known.iter().map(|operand| operand.node.ty);
        let Some(shared) = common(types()) else {
            let mut names: Vec<String> = known.iter().map(|operand| self.type_name(&operand.node)).collect();
            names.dedup();
            return Err(error_at(at, format_args!("{what} types {} cannot be matched", names.join(" and "))));
        };
        let mut nodes = Vec::with_capacity(known.len());
        for operand in known {
            let operand = Operand { at: if operand.at == 0 { at } else { operand.at }, ..operand };
            nodes.push(self.coerce(operand, shared)?);
        }
        Ok(nodes)
    }

    fn operands(&mut self, list: &[&Expr]) -> Resolved<Vec<Operand>> {
        list.iter().map(|expr| self.operand(expr)).collect()
    }

    fn coalesce(&mut self, at: usize, list: &[&Expr]) -> Resolved {
        let operands = self.operands(list)?;
        let mut nodes = self.unify(at, "COALESCE", operands)?;
        let ty = nodes[0].ty;
        // As in Postgres' planner, a NULL does not count and nothing behind a constant does.
        if !has_name(ty) {
            return self.fold(Node::new(ty, Kind::Coalesce(nodes)), at).map(Operand::from);
        }
        nodes.retain(|node| !matches!(node.kind, Kind::Constant(None)));
        let constant = nodes.iter().position(Node::is_constant);
        nodes.truncate(constant.map_or(nodes.len(), |last| last + 1));
        if nodes.is_empty() {
            return Ok(Node::constant(ty, None).into());
        }
        if constant == Some(0) {
            return Ok(nodes.swap_remove(0).into());
        }
        self.fold(Node::new(ty, Kind::Coalesce(nodes)), at).map(Operand::from)
    }

    fn extreme(&mut self, at: usize, greatest: bool, list: &[&Expr]) -> Resolved {
        let operands = self.operands(list)?;
        let what = if greatest { "GREATEST" } else { "LEAST" };
        let nodes = self.unify(at, what, operands)?;
        let ty = nodes[0].ty;
        // It needs the order of the type, and of an array's elements.
        let ordered = |ty| choose("<", &[ty, ty]).is_ok_and(|chosen| chosen.function.is_evaluated());
        if !ordered(ty) || !ty.element().is_none_or(ordered) {
            return Err(error_at(at, format_args!("could not identify a comparison function for type {ty}")));
        }
        self.fold(Node::new(ty, Kind::Extreme { greatest, list: nodes }), at).map(Operand::from)
    }

    /// `CASE value WHEN ..` compares the value with each; the results take the type that Postgres finds for them, of which
    /// the one behind ELSE counts most.
    pub(super) fn case(
        &mut self,
        expr: &Expr,
        value: Option<&Expr>,
        conditions: &[CaseWhen],
        otherwise: Option<&Expr>,
    ) -> Resolved {
        let at = self.tokens.start(expr);
        let value = match value {
            Some(value) => {
                let operand = self.operand(value)?;
                // A literal is text for all of its comparisons.
                let node = self.settled(operand, Type::Text)?;
                self.check_copies(&node.clone().into(), conditions.len(), Place { left: value, sign: "WHEN" })?;
                Some((value, node))
            }
            None => None,
        };
        let mut tests = Vec::with_capacity(conditions.len());
        let mut results = Vec::with_capacity(conditions.len() + 1);
        results.push(match otherwise {
            Some(otherwise) => self.operand(otherwise)?,
            None => Node::constant(Type::Unknown, None).into(),
        });
        for CaseWhen { condition, result } in conditions {
            let operand = self.operand(condition)?;
            tests.push(match &value {
                Some((left, node)) => {
                    let place = Place { left, sign: "WHEN" };
                    self.compare(Comparison::Equal, node.clone().into(), operand, place)?
                }
                None => self.truth(condition, operand)?,
            });
            results.push(self.operand(result)?);
        }
        let mut results = self.unify(at, "CASE", results)?.into_iter();
        let Some(otherwise) = results.next().map(Box::new) else { return Err(self.unsupported(expr)) };
        let ty = otherwise.ty;
        let mut branches = Vec::with_capacity(tests.len());
        let mut otherwise = otherwise;
        for (test, result) in tests.into_iter().zip(results) {
            // As in Postgres' planner, a constant condition decides now.
            match test.kind {
                Kind::Constant(Some(Value::Bool(true))) if has_name(ty) => {
                    otherwise = Box::new(result);
                    break;
                }
                Kind::Constant(_) if has_name(ty) => {}
                _ => branches.push((test, result)),
            }
        }
        if branches.is_empty() {
            return Ok((*otherwise).into());
        }
        self.fold(Node::new(ty, Kind::Case { branches, otherwise }), at).map(Operand::from)
    }

    fn null_if(&mut self, left: &Expr, right: &Expr) -> Resolved {
        let place = Place { left, sign: "," };
        let (one, other) = (self.operand(left)?, self.operand(right)?);
        let (one, other) = self.comparable(Comparison::Equal, one, other, place)?;
        let ty = one.ty;
        self.fold(Node::new(ty, Kind::NullIf(Box::new(one), Box::new(other))), 0).map(Operand::from)
    }
}

/// Whether a constant of the type says so in the SQL: an enum's takes its type from what is beside it, which then has to stay.
fn has_name(ty: Type) -> bool {
    !matches!(ty.element().unwrap_or(ty), Type::Enum(_))
}

/// The arguments of an ordinary call; `None` for aggregates, named arguments and the like.
pub(super) fn plain_arguments(function: &Function) -> Option<Vec<&Expr>> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let ordinary = !matches!(list.duplicate_treatment, Some(DuplicateTreatment::Distinct | DuplicateTreatment::All))
        && list.clauses.is_empty()
        && function.filter.is_none()
        && function.over.is_none()
        && function.within_group.is_empty()
        && function.null_treatment.is_none()
        && matches!(function.parameters, FunctionArguments::None);
    let plain = |argument| match argument {
        &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref expr)) => Some(expr),
        _ => None,
    };
    if ordinary { list.args.iter().map(plain).collect() } else { None }
}
