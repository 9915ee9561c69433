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
            if matches!(function.args, FunctionArguments::None) {
                return value_function(at, &name);
            }
            return error_at(at, "SubLink is not supported in this context");
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

/// A function that the language does not have, with the reason if it can have none here.
pub(super) fn unknown_function(at: usize, name: &str, arguments: usize) -> FilterError {
    let reason = reason(name).map(|reason| format!(": {reason}")).unwrap_or_default();
    error_at(at, format_args!("unknown or unsupported function {name}/{arguments}{reason}"))
}

const CLOCK: &str = "its value changes with time, and rows do not enter or leave a shape unless they change";
const RANDOM: &str = "its value is another one at each call";
const SESSION: &str = "its value depends on the session of the server that asks";

/// Why a condition cannot call a function, whatever the language may have one day.
fn reason(name: &str) -> Option<&'static str> {
    let name = name.rsplit('.').next().unwrap_or(name);
    Some(match name {
        "now"
        | "transaction_timestamp"
        | "statement_timestamp"
        | "clock_timestamp"
        | "timeofday"
        | "age"
        | "current_date"
        | "current_time"
        | "current_timestamp"
        | "localtime"
        | "localtimestamp"
        | "pg_postmaster_start_time"
        | "pg_sleep" => CLOCK,
        "random" | "setseed" | "gen_random_uuid" | "uuid_generate_v1" | "uuid_generate_v4" | "uuidv4" | "uuidv7"
        | "random_normal" | "nextval" => RANDOM,
        "current_user"
        | "session_user"
        | "current_role"
        | "user"
        | "current_catalog"
        | "current_database"
        | "current_schema"
        | "current_schemas"
        | "current_setting"
        | "set_config"
        | "pg_backend_pid"
        | "currval"
        | "lastval"
        | "txid_current"
        | "txid_current_snapshot"
        | "pg_current_xact_id"
        | "version"
        | "inet_client_addr"
        | "inet_server_addr"
        | "has_table_privilege"
        | "system_user" => SESSION,
        "to_char" | "to_date" | "to_timestamp" | "to_number" => "its patterns are not implemented",
        "exp" | "ln" | "log" | "log10" | "cbrt" | "sin" | "cos" | "tan" | "asin" | "acos" | "atan" | "atan2"
        | "degrees" | "radians" | "pi" => "its last digit depends on the server's library",
        _ => return None,
    })
}

/// Names that are calls without parentheses, such as `CURRENT_DATE`.
pub(super) fn value_function(at: usize, name: &str) -> FilterError {
    let reason = reason(&name.to_ascii_lowercase()).map(|reason| format!(": {reason}")).unwrap_or_default();
    error_at(at, format_args!("SQLValueFunction is not supported in this context{reason}"))
}
