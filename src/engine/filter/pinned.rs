//! What value a condition fixes a column to, read from its syntax alone.

use sqlparser::ast::{BinaryOperator, Expr, Ident, Value};

use super::parse;

/// The text that `column` has in every row for which the condition is true, if the condition says so itself:
/// `column = 'text'` or `column = $1`, alone or as one of several that are joined by AND.
///
/// Nothing is checked that compiling the condition checks. A condition that cannot be read says nothing.
pub fn pinned(text: &str, params: &[String], column: &str) -> Option<String> {
    // Deep trees need a stack of their own, and whoever writes one is not asking for the rows of one session.
    const MAX_BYTES: usize = 4096;
    if text.len() > MAX_BYTES {
        return None;
    }
    let parsed = parse::parse(text).ok()?;
    let mut open = vec![&parsed.tree];
    while let Some(expr) = open.pop() {
        match expr {
            Expr::Nested(inner) => open.push(inner),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => open.extend([&**right, &**left]),
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
                let value = if is_column(left, column) {
                    constant(right, params)
                } else if is_column(right, column) {
                    constant(left, params)
                } else {
                    None
                };
                if value.is_some() {
                    return value;
                }
            }
            _ => {}
        }
    }
    None
}

fn is_column(expr: &Expr, column: &str) -> bool {
    let is = |ident: &Ident| match ident.quote_style {
        Some(_) => ident.value == column,
        None => ident.value.eq_ignore_ascii_case(column),
    };
    match expr {
        Expr::Nested(inner) => is_column(inner, column),
        Expr::Identifier(ident) => is(ident),
        Expr::CompoundIdentifier(path) => path.last().is_some_and(is),
        _ => false,
    }
}

fn constant(expr: &Expr, params: &[String]) -> Option<String> {
    match expr {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => constant(inner, params),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            Value::Placeholder(name) => {
                let number: usize = name.strip_prefix('$')?.parse().ok()?;
                params.get(number.checked_sub(1)?).cloned()
            }
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_pins_a_column_where_every_row_must_have_one_value() {
        let params = ["ses_1".to_owned(), "x".to_owned()];
        let cases = [
            ("session_id = 'ses_1'", Some("ses_1")),
            ("'ses_1' = session_id", Some("ses_1")),
            ("session_id = $1", Some("ses_1")),
            ("(SESSION_ID) = ($1)", Some("ses_1")),
            ("\"session_id\" = $1::varchar", Some("ses_1")),
            ("parts.session_id = $1", Some("ses_1")),
            ("type = $2 AND (sort_order > 3 AND session_id = $1)", Some("ses_1")),
            ("session_id = 'it''s'", Some("it's")),
            ("session_id = $1 OR type = 'text'", None),
            ("NOT session_id = $1", None),
            ("session_id <> $1", None),
            ("session_id IN ('ses_1', 'ses_2')", None),
            ("session_id = $3", None),
            ("session_id = id", None),
            ("\"SESSION_ID\" = $1", None),
            ("text = 'session_id = ''ses_1'''", None),
            ("session_id = ", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(pinned(text, &params, "session_id").as_deref(), expected, "{text}");
        }
    }
}
