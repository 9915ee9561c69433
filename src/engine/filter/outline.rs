//! What a condition mentions, read from its syntax alone: for those who decide whether it may be asked at all.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{BinaryOperator, Expr, ObjectName, Query, SetExpr, Value, Visit, Visitor};

use super::{FilterError, SHORT_TEXT_BYTES, on_deep_stack, parse};
use crate::shape::{TableName, parse_relation};

/// What is in a condition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// Different parameters.
    pub parameters: usize,
    /// The highest number of a parameter; 0 without any.
    pub last_parameter: usize,
    /// Names of columns, as Postgres stores them.
    pub columns: BTreeSet<String>,
    /// Whether there is a subquery of any kind.
    pub has_subquery: bool,
    /// The tables that subqueries read; `None` if one of them reads something else.
    pub tables: Option<BTreeSet<TableName>>,
}

/// Reads a condition.
///
/// # Errors
/// It cannot be parsed.
pub fn outline(text: &str) -> Result<Outline, FilterError> {
    of_any_length(text, || {
        let mut reading = Reading { numbers: BTreeSet::new(), outline: Outline::default(), is_readable: true };
        reading.outline.tables = Some(BTreeSet::new());
        let parsed = read(text)?;
        let _ = parsed.tree.visit(&mut reading);
        let Reading { numbers, mut outline, is_readable } = reading;
        outline.parameters = numbers.len();
        outline.last_parameter = numbers.last().copied().unwrap_or(0);
        outline.tables = outline.tables.filter(|_| is_readable);
        Ok(outline)
    })
}

/// Joins two conditions with AND, so that each keeps its meaning: both are parsed alone, and the whole must be the two.
///
/// # Errors
/// `theirs` cannot be parsed, or not beside another.
pub fn both(ours: &str, theirs: &str) -> Result<String, FilterError> {
    // What is behind the text may be in a comment of its last line.
    let text = format!("({ours}) AND ({theirs}\n)");
    of_any_length(&text, || {
        let alone = [read(ours)?.tree, read(theirs)?.tree];
        let is = |nested: &Expr, alone: &Expr| matches!(nested, Expr::Nested(inner) if inner.to_string() == alone.to_string());
        match &read(&text)?.tree {
            Expr::BinaryOp { left, op: BinaryOperator::And, right } if is(left, &alone[0]) && is(right, &alone[1]) => {
                Ok(())
            }
            _ => Err(FilterError::in_where("the condition cannot be joined with another")),
        }
    })?;
    Ok(text)
}

/// Parses a condition that somebody else may be asked with: what is not understood here must not go there.
fn read(text: &str) -> Result<parse::Parsed, FilterError> {
    let parsed = parse::parse(text)?;
    if parsed.tokens.have_foreign_operator() {
        return Err(FilterError::in_where("the condition has an operator that is not known here"));
    }
    Ok(parsed)
}

fn of_any_length<T: Send>(text: &str, read: impl FnOnce() -> Result<T, FilterError> + Send) -> Result<T, FilterError> {
    if text.len() <= SHORT_TEXT_BYTES || text.len() > parse::MAX_BYTES { read() } else { on_deep_stack(read) }
}

struct Reading {
    numbers: BTreeSet<usize>,
    outline: Outline,
    is_readable: bool,
}

impl Visitor for Reading {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.outline.has_subquery = true;
        // Other bodies name tables in ways that are not visited as relations.
        self.is_readable &= matches!(*query.body, SetExpr::Select(_));
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        match (parse_relation(&relation.to_string()), &mut self.outline.tables) {
            (Ok(table), Some(tables)) => _ = tables.insert(table),
            _ => self.is_readable = false,
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let stored = |ident: &sqlparser::ast::Ident| match ident.quote_style {
            Some(_) => ident.value.clone(),
            None => ident.value.to_ascii_lowercase(),
        };
        match expr {
            Expr::Identifier(ident) => _ = self.outline.columns.insert(stored(ident)),
            Expr::CompoundIdentifier(path) => self.outline.columns.extend(path.last().map(stored)),
            Expr::Value(value) => {
                if let Value::Placeholder(name) = &value.value {
                    // One that is no number is refused by whoever compiles the condition.
                    let number = name.strip_prefix('$').and_then(|digits| digits.parse().ok());
                    self.numbers.insert(number.unwrap_or(usize::MAX));
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_condition_mentions_is_found_wherever_it_is() {
        //   text; parameters, the last one, columns, tables of subqueries
        type Seen<'a> = (usize, usize, &'a [&'a str], Option<&'a [&'a str]>);
        let cases: [(&str, Seen); 9] = [
            ("a = 1", (0, 0, &["a"], Some(&[]))),
            ("a = $1 OR $1 = \"B\" AND lower(t.C) = $7", (2, 7, &["B", "a", "c"], Some(&[]))),
            ("a = '$1'", (0, 0, &["a"], Some(&[]))),
            (
                "CASE WHEN a IS NULL THEN b > ANY (ARRAY[c, $2]) ELSE NOT d END",
                (1, 2, &["a", "b", "c", "d"], Some(&[])),
            ),
            ("a IN (SELECT b FROM t WHERE c = $1)", (1, 1, &["a", "b", "c"], Some(&["public.t"]))),
            (
                "a IN (SELECT b FROM S.\"T\" WHERE b IN (SELECT x FROM u))",
                (0, 0, &["a", "b", "x"], Some(&["S.T", "public.u"])),
            ),
            ("EXISTS (SELECT 1 FROM t, u)", (0, 0, &[], Some(&["public.t", "public.u"]))),
            ("a IN (SELECT b FROM t UNION SELECT b FROM u)", (0, 0, &["a", "b"], None)),
            ("a = (SELECT max(b) FROM x.y.z)", (0, 0, &["a", "b"], None)),
        ];
        for (text, (parameters, last_parameter, columns, tables)) in cases {
            let seen = outline(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let columns = columns.iter().map(|name| (*name).to_owned()).collect();
            let has_subquery = text.contains("SELECT");
            let names = |tables: &[&str]| {
                tables
                    .iter()
                    .map(|name| {
                        let (schema, name) = name.split_once('.').expect("two parts");
                        TableName { schema: schema.to_ascii_lowercase(), name: name.to_owned() }
                    })
                    .collect()
            };
            let expected = Outline { parameters, last_parameter, columns, has_subquery, tables: tables.map(names) };
            assert_eq!(seen, expected, "{text}");
        }
    }

    #[test]
    fn two_conditions_stay_two() {
        let texts = ["a = 1", "a = 1 OR b = 2", "a = 1 -- c", "a /* ) OR (1=1 */ = 1", "a = ') OR (1=1'", "(a) = (1)"];
        for theirs in texts {
            let text = both("s = 'x' OR s = 'y'", theirs).unwrap_or_else(|error| panic!("{theirs}: {error}"));
            assert!(text.starts_with("(s = 'x' OR s = 'y') AND (") && parse::parse(&text).is_ok(), "{text}");
        }
        let breakers = [
            "a = 1) OR (1 = 1",
            "a = 1; DELETE",
            "a = 1 /*",
            "a = '",
            "1 = 1)",
            "(1 = 1",
            "",
            "-- a",
            "a = 1 --\n) OR (1=1",
            // Comments to Postgres and operators to others.
            "a >--(\n'') OR (2 >--2)\n-1",
            "a ->>--'\n'x' OR b = 'y' --'",
            "a >/*'*/ 0 OR b = 'x' /*'*/",
            "a ||--'\n'x' = b --'",
            "a >-- b\n0",
            "a @#@ 1",
        ];
        for theirs in breakers {
            assert!(both("s = 'x'", theirs).is_err(), "{theirs}");
        }
    }
}
