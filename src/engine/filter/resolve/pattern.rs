//! Patterns: ILIKE, regular expressions, and the grammar's own forms of functions on strings.

use sqlparser::ast::{Expr, TrimWhereField};

use super::{Operand, Place, Resolved, Resolver};
use crate::engine::casing::{self, Casing};
use crate::engine::filter::catalog::Collation;
use crate::engine::filter::parse::error_at;
use crate::engine::filter::posix;
use crate::engine::filter::tree::{Kind, Node};
use crate::engine::filter::types::Type;
use crate::engine::filter::value::Value;

/// Whether an operator takes a regular expression.
pub(super) fn is_regex(name: &str) -> bool {
    matches!(name, "~" | "~*" | "!~" | "!~*")
}

/// Whether no `COLLATE` is printed within an expression, which would decide the collation around it.
fn keeps_collation(node: &Node) -> bool {
    let own = match &node.kind {
        Kind::Column(_)
        | Kind::Constant(_)
        | Kind::Cast { .. }
        | Kind::Case { .. }
        | Kind::Coalesce(_)
        | Kind::Array(_)
        | Kind::Element { .. }
        | Kind::Slice { .. } => true,
        Kind::Call { function, arguments } => match function.collation {
            Collation::Free => true,
            Collation::Known => {
                arguments.iter().filter(|node| node.ty.is_collatable() && !node.is_constant()).count() < 2
            }
            Collation::Bytes => false,
        },
        _ => !node.ty.is_collatable(),
    };
    own && (!node.ty.is_collatable() || node.children().into_iter().all(keeps_collation))
}

impl Resolver<'_> {
    /// An operator with its pattern checked and compiled, if it takes one.
    pub(super) fn compiled(&self, node: Node, place: Place<'_>) -> Resolved<Node> {
        let (function, arguments) = match node.kind {
            Kind::Call { function, arguments } if arguments.len() == 2 => (function, arguments),
            kind => return Ok(Node { kind, ..node }),
        };
        let pattern = match arguments.get(1).map(|pattern| &pattern.kind) {
            Some(Kind::Constant(Some(Value::Text(text)))) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        };
        let null = matches!(arguments.get(1).map(|pattern| &pattern.kind), Some(Kind::Constant(None)));
        let kind = match (function.name, pattern) {
            (name, Some(pattern)) if is_regex(name) => {
                let regex =
                    posix::compile(&pattern, name.ends_with('*')).map_err(|reason| error_at(self.at(place), reason))?;
                Kind::Matches { function, arguments, regex }
            }
            (name, None) if is_regex(name) && !null => {
                return Err(error_at(self.at(place), "a regular expression must be a constant"));
            }
            ("~~*" | "!~~*", Some(pattern)) => {
                let casing = self.casing(&arguments.iter().collect::<Vec<_>>());
                let unclear = |letter: &char| match casing {
                    Casing::Ascii => false,
                    Casing::Unicode => !casing::is_known(*letter),
                    Casing::Other => !letter.is_ascii() && casing::has_other_case(*letter),
                };
                if let Some(letter) = pattern.chars().find(unclear) {
                    let reason = format!("\"{letter}\" cannot be matched regardless of case in this collation");
                    return Err(error_at(self.at(place), reason));
                }
                Kind::Call { function, arguments }
            }
            _ => Kind::Call { function, arguments },
        };
        Ok(Node::new(node.ty, kind))
    }

    /// The name in the catalogue of an operator or function that maps letters: one for collations of which we know how.
    pub(super) fn cased<'n>(&self, name: &'n str, operands: &[Operand]) -> &'n str {
        let unicode = match name {
            "lower" => "unicode lower",
            "upper" => "unicode upper",
            "~~*" => "unicode ~~*",
            "!~~*" => "unicode !~~*",
            _ => return name,
        };
        let nodes: Vec<&Node> = operands.iter().map(|operand| &operand.node).collect();
        if self.casing(&nodes) == Casing::Unicode { unicode } else { name }
    }

    /// Which letters have two cases in Postgres' collation of these expressions together.
    fn casing(&self, nodes: &[&Node]) -> Casing {
        if !nodes.iter().all(|node| keeps_collation(node)) {
            return Casing::Other;
        }
        let read: Vec<usize> = nodes.iter().flat_map(|node| node.columns()).collect();
        let read = read.iter().filter_map(|position| self.table.columns.get(*position));
        let collated: Vec<Casing> =
            read.filter(|column| Type::of(column).is_collatable()).map(|column| column.casing).collect();
        let all = |casing: Casing| collated.iter().all(|other| *other == casing);
        let some = |casing: Casing| self.table.columns.iter().any(|column| column.casing == casing);
        // The text of a constant, a number or a `json` has the database's own collation. So has some column.
        let (unicode, ascii) = match collated.is_empty() {
            true => (some(Casing::Unicode), !some(Casing::Other)),
            false => (all(Casing::Unicode), all(Casing::Ascii)),
        };
        match (unicode, ascii) {
            (true, _) => Casing::Unicode,
            (false, true) => Casing::Ascii,
            (false, false) => Casing::Other,
        }
    }

    pub(super) fn substring(
        &mut self,
        expr: &Expr,
        shorthand: bool,
        text: &Expr,
        from: Option<&Expr>,
        length: Option<&Expr>,
    ) -> Resolved {
        let mut operands = vec![self.operand(text)?];
        match from {
            Some(from) => operands.push(self.operand(from)?),
            // `FOR length` alone begins at the first character; nothing at all is no function.
            None if length.is_some() => operands.push(Node::constant(Type::Int4, Some(Value::Int(1))).into()),
            None => {}
        }
        if let Some(length) = length {
            operands.push(self.operand(length)?);
        }
        let name = if shorthand { "substr" } else { "substring" };
        self.call(self.tokens.start(expr), name, operands)
    }

    pub(super) fn trim(
        &mut self,
        expr: &Expr,
        side: Option<TrimWhereField>,
        what: Option<&Expr>,
        text: &Expr,
        characters: Option<&[Expr]>,
    ) -> Resolved {
        let name = match side {
            None | Some(TrimWhereField::Both) => "btrim",
            Some(TrimWhereField::Leading) => "ltrim",
            Some(TrimWhereField::Trailing) => "rtrim",
        };
        let mut operands: Vec<Operand> = vec![self.operand(text)?];
        for characters in what.into_iter().chain(characters.unwrap_or_default()) {
            operands.push(self.operand(characters)?);
        }
        self.call(self.tokens.start(expr), name, operands)
    }

    /// `POSITION(what IN text)` and `OVERLAY(text PLACING what FROM start FOR length)`.
    pub(super) fn special_call(&mut self, expr: &Expr, name: &str, arguments: &[&Expr]) -> Resolved {
        let mut operands = Vec::with_capacity(arguments.len());
        for argument in arguments {
            operands.push(self.operand(argument)?);
        }
        self.call(self.tokens.start(expr), name, operands)
    }
}
