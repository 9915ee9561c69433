//! The SQL that is run for a condition that can fail.

use std::sync::Arc;

use crate::engine::filter::Filter;
use crate::engine::filter::tests::table;

const SAFE: &str = r#"("value" = 'a'::text)"#;
const RISKY: &str = r#"(('1'::int4 / "id") > '0'::int4)"#;

fn compiled(text: &str) -> Filter {
    let table = Arc::new(table());
    let filter = Filter::compile_with(text, &[], &table, &[Arc::clone(&table)]);
    filter.unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn what_can_fail_is_calculated_only_for_rows_that_pass_what_cannot() {
    let guarded = |safe: &str, risky: &str| format!("({safe} AND CASE WHEN {safe} THEN {risky} ELSE FALSE END)");
    let cases = [
        ("value = 'a' AND 1 / id > 0", guarded(SAFE, RISKY)),
        ("1 / id > 0 AND value = 'a'", guarded(SAFE, RISKY)),
        // As a scope and a client's condition come together.
        ("(value = 'a' AND flag) AND (1 / id > 0)", guarded(&format!(r#"{SAFE} AND "flag""#), RISKY)),
        (
            "(value = 'a') AND ((1 / id > 0 AND flag) AND -id = 1)",
            guarded(&format!(r#"{SAFE} AND "flag""#), &format!(r#"{RISKY} AND ((- "id") = '1'::int4)"#)),
        ),
        ("value = 'a' AND (flag OR 1 / id > 0)", guarded(SAFE, &format!(r#"("flag" OR {RISKY})"#))),
        ("value = 'a' AND NOT (flag AND 1 / id > 0)", guarded(SAFE, &format!(r#"(NOT ("flag" AND {RISKY}))"#))),
    ];
    for (text, expected) in cases {
        let filter = compiled(text);
        assert_eq!(filter.sql_to_run(), expected, "{text}");
        assert!(!filter.sql().contains("CASE"), "the identity stays: {}", filter.sql());
    }
}

#[test]
fn conditions_without_both_kinds_are_run_as_they_are() {
    for text in [
        "value = 'a'",
        "1 / id > 0",
        "value = 'a' AND flag AND id IN (1, 2)",
        "1 / id > 0 AND -id = 1",
        "value = 'a' OR 1 / id > 0",
        "NOT (value = 'a' AND 1 / id > 0)",
        "id IN (SELECT id FROM items WHERE flag) AND value = 'a'",
        "id IN (SELECT id FROM items WHERE 1 / id > 0) AND -id = 1",
    ] {
        let filter = compiled(text);
        assert_eq!(filter.sql_to_run(), filter.sql(), "{text}");
    }
}

#[test]
fn subqueries_guard_and_are_guarded() {
    // Its value decides who sees a row.
    let inner = r#"(("id") IN (SELECT "id" FROM ONLY "public"."items" WHERE "flag"))"#;
    let filter = compiled("1 / id > 0 AND id IN (SELECT id FROM items WHERE flag)");
    assert_eq!(filter.sql_to_run(), format!("({inner} AND CASE WHEN {inner} THEN {RISKY} ELSE FALSE END)"));
    // Its own condition hides rows, at any depth and in every combination.
    for text in [
        "id IN (SELECT id FROM items WHERE value = 'a' AND 1 / id > 0)",
        "NOT id IN (SELECT id FROM items WHERE value = 'a' AND 1 / id > 0) OR flag",
        "id IN (SELECT id FROM items WHERE id IN (SELECT id FROM items WHERE value = 'a' AND 1 / id > 0))",
        "id IN (SELECT id FROM items WHERE value = 'a' AND 1 / id > 0) AND flag",
    ] {
        let filter = compiled(text);
        let expected = format!("WHERE ({SAFE} AND CASE WHEN {SAFE} THEN {RISKY} ELSE FALSE END)");
        assert!(filter.sql_to_run().contains(&expected), "{}", filter.sql_to_run());
        assert!(!filter.sql().contains("CASE"), "the identity stays: {}", filter.sql());
    }
}

#[test]
fn rows_of_a_move_are_asked_only_what_cannot_tell_of_others() {
    let subquery = |column: &str| format!("id IN (SELECT id FROM items WHERE {column})");
    let (one, other) = (subquery("flag"), subquery("value = 'x'"));
    let guarded = |asked: &str| format!("(moved AND CASE WHEN moved THEN ({asked}) ELSE FALSE END)");
    let cases = [
        (one.clone(), "moved".to_owned()),
        (format!("{one} AND value = 'a'"), format!("(moved AND (({SAFE})))")),
        (format!("{one} AND 1 / id > 0"), guarded(&format!("({RISKY})"))),
        (
            format!("1 / id > 0 AND value = 'a' AND {one}"),
            guarded(&format!("({SAFE} AND CASE WHEN {SAFE} THEN {RISKY} ELSE FALSE END)")),
        ),
        // Apart in the text, together in the alternative.
        (
            format!("value = 'a' AND (1 / id > 0 AND {one} OR {other})"),
            guarded(&format!("({SAFE} AND CASE WHEN {SAFE} THEN {RISKY} ELSE FALSE END)")),
        ),
        // Whether the other subquery has the row is not known where the rows are read.
        (format!("{one} AND {other} AND value = 'a' AND 1 / id > 0"), format!("(moved AND (({SAFE})))")),
        (format!("{one} AND {other} AND 1 / id > 0"), "moved".to_owned()),
        (format!("{one} AND 1 / id > 0 OR {one}"), "moved".to_owned()),
    ];
    for (text, expected) in cases {
        let filter = compiled(&text);
        let alternatives = filter.alternatives().expect("subqueries");
        let at = alternatives.positions.iter().position(|position| position.sql().contains(r#"WHERE "flag""#));
        assert_eq!(alternatives.rows_sql(at.expect("its position"), "moved"), expected, "{text}");
    }
}
