//! Literals, parameters and conversions.

use sqlparser::ast::{DataType, Expr, TypedString, UnaryOperator, Value as Literal};

use super::{Operand, Resolved, Resolver};
use crate::engine::filter::catalog::casts::{Context, Convert, Pathway, pathway};
use crate::engine::filter::parse::error_at;
use crate::engine::filter::tree::{Kind, Node};
use crate::engine::filter::types::{Category, Type};
use crate::engine::filter::value::{Failure, Value};

/// The values of `$1`, `$2`, .. and the type that each got at its first use.
pub(super) struct Parameters<'a> {
    texts: &'a [String],
    types: Vec<Type>,
}

impl<'a> Parameters<'a> {
    pub(super) fn new(texts: &'a [String]) -> Parameters<'a> {
        Parameters { texts, types: vec![Type::Unknown; texts.len()] }
    }
}

/// The digits of a number literal with the minus signs before it, which belong to it in Postgres.
pub(super) fn signed_number(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Nested(inner) => signed_number(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => {
            let digits = signed_number(expr)?;
            Some(digits.strip_prefix('-').map_or_else(|| format!("-{digits}"), str::to_owned))
        }
        Expr::Value(value) => match &value.value {
            Literal::Number(digits, _) => Some(digits.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// The smallest of int4, int8 and numeric that holds it.
pub(super) fn number(digits: &str) -> Option<Node> {
    let small = digits.parse::<i32>().is_ok();
    let ty = match digits.parse::<i64>() {
        Ok(_) if small => Type::Int4,
        Ok(_) => Type::Int8,
        Err(_) => Type::Numeric,
    };
    Value::parse(ty, digits).map(|value| Node::constant(ty, Some(value)))
}

impl Resolver<'_> {
    pub(super) fn literal(&mut self, expr: &Expr, literal: &Literal) -> Resolved {
        let at = self.tokens.start(expr);
        let unknown = |value: Option<&str>| {
            let value = value.map(|text| Value::Text(text.as_bytes().to_vec().into()));
            Operand { node: Node::constant(Type::Unknown, value), at, parameter: None }
        };
        match literal {
            Literal::Number(digits, _) => number(digits)
                .map(Operand::from)
                .ok_or_else(|| error_at(at, format_args!("invalid syntax for type numeric: {digits}"))),
            Literal::Boolean(value) => Ok(Node::constant(Type::Bool, Some(Value::Bool(*value))).into()),
            Literal::Null => Ok(unknown(None)),
            Literal::SingleQuotedString(text) | Literal::EscapedStringLiteral(text) => Ok(unknown(Some(text))),
            Literal::DollarQuotedString(text) => Ok(unknown(Some(&text.value))),
            Literal::Placeholder(name) => self.parameter(at, name),
            _ => Err(error_at(at, "this form of literal is not supported")),
        }
    }

    fn parameter(&mut self, at: usize, name: &str) -> Resolved {
        let index = name.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok());
        let index = index.and_then(|number| number.checked_sub(1));
        let Some((index, text)) = index.and_then(|index| Some((index, self.parameters.texts.get(index)?))) else {
            return Err(error_at(at, format_args!("parameter {name} was not provided")));
        };
        let value = Value::Text(text.as_bytes().to_vec().into());
        let node = Node::constant(Type::Unknown, Some(value));
        self.known(Operand { node, at, parameter: Some(index) })
    }

    /// A parameter that has a type from an earlier use keeps it.
    pub(super) fn known(&mut self, operand: Operand) -> Resolved {
        let ty = operand.parameter.and_then(|index| self.parameters.types.get(index).copied());
        match ty {
            Some(ty) if ty != Type::Unknown && operand.node.ty == Type::Unknown => {
                let (at, parameter) = (operand.at, operand.parameter);
                Ok(Operand { node: self.coerce_literal(operand, ty)?, at, parameter })
            }
            _ => Ok(operand),
        }
    }

    /// The expression with the type that it has, or `default` if it is a literal that nothing decides.
    pub(super) fn settled(&mut self, operand: Operand, default: Type) -> Resolved<Node> {
        let operand = self.known(operand)?;
        if operand.node.ty == Type::Unknown { self.coerce(operand, default) } else { Ok(operand.node) }
    }

    /// Converts to a type that Postgres reaches from the operand's without being asked.
    pub(super) fn coerce(&mut self, operand: Operand, to: Type) -> Resolved<Node> {
        let operand = self.known(operand)?;
        if operand.node.ty == to {
            return Ok(operand.node);
        }
        if operand.node.ty == Type::Unknown {
            return self.coerce_literal(operand, to);
        }
        let at = operand.at;
        match self.conversion(&operand.node, to, Context::Implicit) {
            Some(by) => self.fold(Node::new(to, Kind::Cast { by, value: Box::new(operand.node) }), at),
            None => {
                let from = self.type_name(&operand.node);
                Err(error_at(at, format_args!("unknown cast from type {from} to type {to}")))
            }
        }
    }

    /// How a value becomes another type, if Postgres does it in this context and we do too.
    fn conversion(&self, node: &Node, to: Type, context: Context) -> Option<Convert> {
        match pathway(node.ty, to, context)? {
            Pathway::Run(by) => Some(by),
            // A column's own text is what its output function prints.
            Pathway::Missing if matches!(node.kind, Kind::Column(_)) && matches!(to, Type::Text | Type::Varchar) => {
                (!matches!(node.ty, Type::Other(_))).then_some(|_, _, _| Err(Failure))
            }
            Pathway::Missing => None,
        }
    }

    fn coerce_literal(&mut self, operand: Operand, to: Type) -> Resolved<Node> {
        if let Some(ty) = operand.parameter.and_then(|index| self.parameters.types.get_mut(index)) {
            *ty = to;
        }
        let Kind::Constant(Some(Value::Text(text))) = &operand.node.kind else {
            return Ok(Node::constant(to, None));
        };
        let text = String::from_utf8_lossy(text);
        let parsed = Value::parse(to, &text).filter(|_| match to {
            Type::Enum(oid) => self.labels(oid).any(|label| label == text),
            _ => true,
        });
        match parsed {
            Some(value) => Ok(Node::constant(to, Some(value))),
            None => {
                let name = match to {
                    Type::Enum(oid) => {
                        let column = self.table.columns.iter().find(|column| column.labels.type_oid == oid);
                        format!("enum {}", column.map_or("", |column| &column.type_name))
                    }
                    _ => to.to_string(),
                };
                Err(error_at(operand.at, format_args!("invalid syntax for type {name}: {text}")))
            }
        }
    }

    fn labels(&self, oid: u32) -> impl Iterator<Item = &str> {
        let column = self.table.columns.iter().find(|column| column.labels.type_oid == oid);
        column.into_iter().flat_map(|column| column.labels.list.iter().map(String::as_str))
    }

    pub(super) fn typed_string(&mut self, expr: &Expr, typed: &TypedString) -> Resolved {
        let at = self.tokens.start(expr);
        let to = self.named_type(at, &typed.data_type)?;
        if matches!(
            typed.value.value,
            Literal::Null | Literal::Number(..) | Literal::Boolean(_) | Literal::Placeholder(_)
        ) {
            return Err(error_at(at, "a type before a literal needs a string"));
        }
        self.literal(expr, &typed.value.value).and_then(|operand| self.coerce(operand, to)).map(Operand::from)
    }

    fn named_type(&self, at: usize, data_type: &DataType) -> Resolved<Type> {
        let name = data_type.to_string().to_lowercase();
        let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
        Type::named(name).ok_or_else(|| error_at(at, format_args!("unsupported type {name}")))
    }

    /// `x::T` and `CAST(x AS T)`.
    pub(super) fn explicit_cast(&mut self, inner: &Expr, data_type: &DataType) -> Resolved {
        let to = self.named_type(self.tokens.start(inner), data_type)?;
        let mut plain = inner;
        while let Expr::Nested(nested) = plain {
            plain = nested;
        }
        if let (Expr::Array(array), Some(_)) = (plain, to.element())
            && array.named
        {
            return self.array(plain, array, Some(to));
        }
        let operand = self.operand(inner)?;
        let at = self.tokens.after(inner, |token| token.to_string() == "::");
        self.convert(at, operand, to)
    }

    /// An explicit cast; `at` is the position of its error.
    pub(super) fn convert(&mut self, at: usize, operand: Operand, to: Type) -> Resolved {
        self.cast(at, operand, to, Context::Explicit).map(Operand::from)
    }

    /// Converts as far as the context allows; `at` is the position of its error.
    pub(super) fn cast(&mut self, at: usize, operand: Operand, to: Type, context: Context) -> Resolved<Node> {
        let operand = self.known(operand)?;
        let from = operand.node.ty;
        if from == Type::Unknown || from == to {
            return self.coerce(operand, to);
        }
        let reads = matches!(to.category(), Category::Moment | Category::Span);
        if from.is_string() && reads && !operand.node.is_constant() {
            let message = format!(
                "a string of a row is not cast to {to}: Postgres reads more forms of it than are known here; compare ISO 8601 as text"
            );
            return Err(error_at(at, message));
        }
        let Some(by) = self.conversion(&operand.node, to, context) else {
            let from = self.type_name(&operand.node);
            return Err(error_at(at, format_args!("unknown cast from type {from} to type {to}")));
        };
        self.fold(Node::new(to, Kind::Cast { by, value: Box::new(operand.node) }), at)
    }
}
