//! Calls that have a syntax of their own: `EXTRACT(YEAR FROM x)`, `x AT TIME ZONE 'zone'`, `INTERVAL '1 day'`, and what of them
//! depends on the server's configuration.

use sqlparser::ast::{CeilFloorKind, DateTimeField, Expr, Interval, Value as Literal};

use super::{Operand, Resolved, Resolver};
use crate::engine::filter::FilterError;
use crate::engine::filter::eval::evaluate;
use crate::engine::filter::functions::moment::Zone;
use crate::engine::filter::parse::error_at;
use crate::engine::filter::tree::{Kind, Node};
use crate::engine::filter::types::Type;
use crate::engine::filter::value::{Interval as Span, Value};

impl Resolver<'_> {
    pub(super) fn at_time_zone(&mut self, moment: &Expr, zone: &Expr) -> Resolved {
        let at = self.tokens.after(moment, |token| token.to_string().eq_ignore_ascii_case("AT"));
        let moment = self.operand(moment)?;
        let zone = self.operand(zone)?;
        self.call(at, "timezone", vec![zone, moment])
    }

    pub(super) fn extract(&mut self, at: usize, field: &DateTimeField, from: &Expr) -> Resolved {
        let field = match field {
            DateTimeField::Custom(name) => name.value.clone(),
            field => field.to_string(),
        };
        let field = Node::constant(Type::Text, Some(Value::Text(field.to_lowercase().into_bytes().into())));
        let from = self.operand(from)?;
        self.call(at, "extract", vec![field.into(), from])
    }

    pub(super) fn ceil_or_floor(&mut self, whole: &Expr, name: &str, inner: &Expr, field: &CeilFloorKind) -> Resolved {
        if !matches!(field, CeilFloorKind::DateTimeField(DateTimeField::NoDateTime)) {
            return Err(self.unsupported(whole));
        }
        let operand = self.operand(inner)?;
        self.call(self.tokens.start(whole), name, vec![operand])
    }

    pub(super) fn interval(&mut self, whole: &Expr, interval: &Interval) -> Resolved {
        let plain = interval.leading_field.is_none() && interval.last_field.is_none();
        match interval.value.as_ref() {
            Expr::Value(value) if plain && matches!(value.value, Literal::SingleQuotedString(_)) => {
                let operand = self.literal(&interval.value, &value.value)?;
                self.coerce(operand, Type::Interval).map(Operand::from)
            }
            _ => Err(error_at(self.tokens.start(whole), "this form of INTERVAL is not supported")),
        }
    }

    /// A constant part, such as `year`, has to be one of the type: a row would only fail.
    pub(super) fn check_part(&self, at: usize, name: &str, node: &Node) -> Result<(), FilterError> {
        let Kind::Call { function, arguments } = &node.kind else { return Ok(()) };
        let ("extract" | "date_part" | "date_trunc", [part, moment, ..]) = (name, arguments.as_slice()) else {
            return Ok(());
        };
        let Kind::Constant(Some(Value::Text(text))) = &part.kind else { return Ok(()) };
        let sample = match moment.ty {
            Type::Date => Value::Date(0),
            Type::Time => Value::Time(0),
            Type::Interval => Value::Interval(Span::default()),
            _ => Value::Timestamp(0),
        };
        let sample = Node::constant(moment.ty, Some(sample));
        let rest = arguments.iter().skip(2).cloned();
        let arguments = [part.clone(), sample].into_iter().chain(rest).collect::<Vec<_>>();
        if arguments.iter().any(|argument| !argument.is_constant()) {
            return Ok(());
        }
        let call = Node::new(node.ty, Kind::Call { function, arguments });
        evaluate(&call, &[]).map(drop).map_err(|_| {
            error_at(
                at,
                format_args!("unit \"{}\" is not supported for type {}", String::from_utf8_lossy(text), moment.ty),
            )
        })
    }

    /// A zone by name has to be a constant that we know: another may be an abbreviation of the server's configuration.
    pub(super) fn check_zone(&self, at: usize, name: &str, node: &Node) -> Result<(), FilterError> {
        let Kind::Call { arguments, .. } = &node.kind else { return Ok(()) };
        let zone = match (name, arguments.as_slice()) {
            ("timezone", [zone, _]) | ("date_trunc", [_, _, zone]) if zone.ty == Type::Text => zone,
            _ => return Ok(()),
        };
        match &zone.kind {
            Kind::Constant(None) => Ok(()),
            Kind::Constant(Some(Value::Text(text))) => {
                let text = String::from_utf8_lossy(text);
                let message = format!(
                    "time zone \"{text}\" is not supported: only names such as 'Europe/Paris', 'UTC', and intervals are the same on every server"
                );
                Zone::named(&text).map(drop).ok_or_else(|| error_at(at, message))
            }
            _ => Err(error_at(
                at,
                "the name of a time zone has to be a constant: some depend on the server's configuration",
            )),
        }
    }
}
