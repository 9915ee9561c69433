//! What the language does not have, in the words of the protocol's catalogue of errors.

use sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::Resolver;
use crate::engine::filter::FilterError;
use crate::engine::filter::parse::error_at;

impl Resolver<'_> {
    /// Names what the language does not have, as the protocol's catalogue of errors does.
    pub(super) fn unsupported(&self, expr: &Expr) -> FilterError {
        let at = self.tokens.start(expr);
        let node = match expr {
            Expr::CompoundIdentifier(parts) => {
                let name: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
                return error_at(at, format_args!("unknown reference {}", name.join(".")));
            }
            Expr::Function(function) => return self.unsupported_function(at, function),
            Expr::Exists { subquery, .. } => {
                let select = Expr::Subquery(subquery.clone());
                let at = self.tokens.before(&select, |token| token.to_string().eq_ignore_ascii_case("EXISTS"));
                return error_at(at, "only `value IN (SELECT ...)` sublinks are supported right now");
            }
            Expr::Subquery(_) | Expr::AnyOp { .. } | Expr::AllOp { .. } => {
                return error_at(at, "only `value IN (SELECT ...)` sublinks are supported right now");
            }
            Expr::Like { .. } | Expr::ILike { .. } => "this form of LIKE",
            Expr::SimilarTo { .. } => {
                return error_at(at, "expression SIMILAR TO of :AEXPR_SIMILAR is not currently supported");
            }
            Expr::Array(_) => "A_ArrayExpr",
            Expr::Tuple(_) => "RowExpr",
            Expr::Collate { .. } => "CollateClause",
            Expr::InSubquery { .. } => "SubLink",
            Expr::CompoundFieldAccess { .. } => "A_Indirection",
            Expr::Substring { .. } => return error_at(at, "unknown or unsupported function substring/3"),
            Expr::Trim { .. } => return error_at(at, "unknown or unsupported function btrim/1"),
            Expr::Position { .. } => return error_at(at, "unknown or unsupported function position/2"),
            Expr::Overlay { .. } => return error_at(at, "unknown or unsupported function overlay/4"),
            _ => "this expression",
        };
        error_at(at, format_args!("{node} is not supported in this context"))
    }

    fn unsupported_function(&self, at: usize, function: &Function) -> FilterError {
        let name = function.name.to_string().to_lowercase();
        let FunctionArguments::List(list) = &function.args else {
            let none = matches!(function.args, FunctionArguments::None);
            let node = if none { "SQLValueFunction" } else { "SubLink" };
            return error_at(at, format_args!("{node} is not supported in this context"));
        };
        let star = matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]);
        let aggregate = star
            || list.duplicate_treatment.is_some()
            || !list.clauses.is_empty()
            || function.filter.is_some()
            || function.over.is_some()
            || !function.within_group.is_empty();
        if aggregate {
            return error_at(at, "aggregation is not supported in this context");
        }
        unknown_function(at, &name, list.args.len())
    }
}

/// A function that the language does not have.
pub(super) fn unknown_function(at: usize, name: &str, arguments: usize) -> FilterError {
    error_at(at, format_args!("unknown or unsupported function {name}/{arguments}"))
}
