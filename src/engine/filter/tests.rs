//! The catalogue of errors, the protocol's samples, and what must hold for any input.

use std::sync::Arc;

use bytes::Bytes;

use super::{Filter, Index};
use crate::engine::tables::{Column, Labels, Table};
use crate::shape::TableName;

fn column(name: &str, type_name: &str, type_oid: u32) -> Column {
    Column {
        name: name.into(),
        type_oid,
        type_name: type_name.into(),
        type_kind: if type_name == "mood" { 'e' } else { 'b' },
        type_modifier: -1,
        dims: 0,
        not_null: false,
        generated: false,
        deterministic: true,
        casing: Default::default(),
        labels: match type_name {
            "mood" => Labels { type_oid, list: ["sad", "ok", "very happy"].map(String::from).to_vec() },
            _ => Labels::default(),
        },
    }
}

pub fn table() -> Table {
    let columns = vec![
        column("id", "int4", 23),
        column("value", "text", 25),
        column("flag", "bool", 16),
        column("feeling", "mood", 99_999),
        column("data", "jsonb", 3802),
        column("Mixed Case", "int8", 20),
        column("code", "bpchar", 1042),
        column("price", "numeric", 1700),
        column("label", "name", 19),
        Column { deterministic: false, ..column("folded", "text", 25) },
        column("place", "point", 600),
    ];
    let name = TableName { schema: "public".into(), name: "items".into() };
    Table { oid: 1, name, columns, key: vec![0], has_primary_key: true, partitions: None }
}

fn compile(text: &str) -> Result<Filter, String> {
    Filter::compile(text, &[], &table()).map_err(|error| error.message)
}

fn compiled(text: &str) -> Filter {
    compile(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refusal(text: &str) -> String {
    compile(text).map_or_else(|error| error, |filter| panic!("{text} is accepted as {}", filter.sql()))
}

/// A row of the table with these columns set.
fn row(values: &[(&str, &str)]) -> Vec<Option<Bytes>> {
    let table = table();
    let mut row = vec![None; table.columns.len()];
    for (name, value) in values {
        let position = table.column(name).expect("the test names a column of its table");
        row[position] = Some(Bytes::copy_from_slice(value.as_bytes()));
    }
    row
}

#[test]
fn refuses_with_the_texts_of_the_catalogue() {
    let cases = [
        ("1 x 1", "At location 17: syntax error at or near \"x\""),
        ("foo = 1", "At location 0: unknown reference foo"),
        ("\"Foo\" = 1", "At location 0: unknown reference \"Foo\""),
        ("items.id = 1", "At location 0: unknown reference items.id"),
        (
            "value = now()::text",
            "At location 8: unknown or unsupported function now/0: its value changes with time, and rows do not enter or leave a shape unless they change",
        ),
        (
            "id = random()",
            "At location 5: unknown or unsupported function random/0: its value is another one at each call",
        ),
        ("id = 1 AND pg_typeof(id) = 2", "At location 11: unknown or unsupported function pg_typeof/1"),
        ("count(*) = 1", "At location 0: aggregation is not supported in this context"),
        (
            "value = CURRENT_DATE",
            "At location 8: SQLValueFunction is not supported in this context: its value changes with time, and rows do not enter or leave a shape unless they change",
        ),
        ("1", "WHERE clause must return a boolean"),
        ("'x'", "WHERE clause must return a boolean"),
        ("id", "WHERE clause must return a boolean"),
        ("true; DROP TABLE items", "unescaped \";\" causing statement split"),
        ("true ORDER BY 1", "malformed query ending with SQL clauses"),
        ("true LIMIT 1", "malformed query ending with SQL clauses"),
        ("id IS TRUE", "At location 0: argument of IS TRUE must be bool, not int4"),
        ("id IS NOT FALSE", "At location 0: argument of IS NOT FALSE must be bool, not int4"),
        (
            "EXISTS (SELECT id FROM items)",
            "At location 0: only `value IN (SELECT ...)` sublinks are supported right now",
        ),
        ("id = 'test'", "At location 5: invalid syntax for type int4: test"),
        ("feeling = 'okay'", "At location 10: invalid syntax for type enum mood: okay"),
        ("feeling < feeling", "At location 8: Could not select an operator overload"),
        ("data < data", "At location 5: Could not select an operator overload"),
        ("place = place", "At location 6: Could not select an operator overload"),
        ("value > 5", "At location 6: Could not select an operator overload"),
        ("value @@ 'a' = 'b'", "At location 6: unknown binary operator \"@@\""),
        ("data @? 'a'", "At location 5: unknown binary operator \"@?\""),
        ("id AND flag", "At location 0: reference id of type int4 is not castable to bool"),
        ("id = $1", "At location 5: parameter $1 was not provided"),
        ("value = B'01'", "At location 8: BitString values are not supported"),
        ("1 / 0 = 1", "At location 2: Failed to apply function to constant arguments"),
        ("value::bpchar = 'x'", "At location 0: unsupported type bpchar"),
        ("id::uuid = value::uuid", "At location 2: unknown cast from type int4 to type uuid"),
        ("id =", "At location 19: syntax error at end of input"),
        ("id = 'x", "At location 20: Unterminated string literal"),
        ("ctid = '1'", "At location 0: unknown reference ctid"),
        (
            "user = 'x'",
            "At location 0: SQLValueFunction is not supported in this context: its value depends on the session of the server that asks",
        ),
        ("value LIKE 'x\\'", "At location 6: LIKE pattern must not end with escape character"),
        ("id IN ()", "At location 22: syntax error at or near \")\""),
        ("", "At location 15: syntax error at end of input"),
    ];
    for (text, expected) in cases {
        assert_eq!(refusal(text), expected, "{text}");
    }
}

#[test]
fn refuses_a_text_that_is_too_long_or_holds_a_zero_character() {
    let long = format!("value = '{}'", "x".repeat(70_000));
    assert!(refusal(&long).contains("bigger than maximum size"), "{}", refusal(&long));
    assert_eq!(refusal("value = 'a\0b'"), "the character U+0000 is not allowed");
    let error = Filter::compile("value = $1", &["a\0b".into()], &table()).expect_err("a zero character");
    assert_eq!(error.field, "params");
}

#[test]
fn evaluates_the_samples_of_the_protocol() {
    let cases = [
        ("1 IN (NULL, 1)", "'t'::bool"),
        ("2 IN (1, NULL)", "NULL::bool"),
        ("NULL IN (NULL, 1)", "NULL::bool"),
        ("'test' NOT IN ('hello', 'world')", "'t'::bool"),
        ("1 IS DISTINCT FROM NULL", "'t'::bool"),
        ("NULL IS NOT DISTINCT FROM NULL", "'t'::bool"),
        ("1 BETWEEN 3 AND 1", "'f'::bool"),
        ("NULL IS UNKNOWN", "'t'::bool"),
        ("null IS NOT FALSE", "'t'::bool"),
        ("(1 = NULL) IS NULL", "'t'::bool"),
        ("'hello' LIKE 'h%o' AND 'hello' NOT LIKE 'hell\\%'", "'t'::bool"),
        ("1 = 1.0", "'t'::bool"),
        ("7 / 2 = 3 AND -7 / 2 = -3", "'t'::bool"),
        ("2 BETWEEN SYMMETRIC 3 AND 1 AND 2 BETWEEN asymmetric 1 AND 3", "'t'::bool"),
        ("2 NOT BETWEEN SYMMETRIC 3 AND 1", "'f'::bool"),
        ("(NULL ISNULL) AND (1 NOTNULL)", "'t'::bool"),
        ("timestamp '2001-02-16 20:38:40' at time zone 'America/Denver' = '2001-02-17 03:38:40+00'", "'t'::bool"),
        ("date '2024-01-01' < interval '1 month 1 hour' + date '2023-12-01'", "'t'::bool"),
        ("greatest(NULL::int4, 2, 3) = 3 AND least('b', 'a') = 'a'", "'t'::bool"),
        ("CASE 2 WHEN 1 THEN 'one' WHEN 2 THEN 'two' END = 'two'", "'t'::bool"),
        ("CASE WHEN NULL THEN true END", "NULL::bool"),
        ("CASE WHEN false THEN id = 1 WHEN true THEN true ELSE id / 0 = 1 END", "'t'::bool"),
        ("coalesce(NULL, 1, id) = 1", "'t'::bool"),
        ("nullif(1, 1) IS NULL AND nullif(1, 2) = 1", "'t'::bool"),
        ("(1, 2) < (1, 3) AND (1, 'a') = (1, 'a') AND ROW(1, 2) <> (1, 3)", "'t'::bool"),
        ("(1, NULL) = (2, 3)", "'f'::bool"),
        ("(1, NULL) < (1, 3)", "NULL::bool"),
        ("(1, 2) IN ((3, 4), (1, 2))", "'t'::bool"),
        ("(1, NULL) IS DISTINCT FROM (1, NULL)", "'f'::bool"),
        ("'10%' LIKE '10!%' ESCAPE '!' AND '10x' NOT LIKE '10!%' ESCAPE '!'", "'t'::bool"),
        ("extract(dow FROM date '2024-02-29') = 4", "'t'::bool"),
        ("ceil(1.2) = 2 AND floor(-1.2) = -2 AND pg_catalog.abs(-1) = 1", "'t'::bool"),
        ("7 / 2.0 = 3.5", "'t'::bool"),
        ("(1 / 3.0)::text = '0.33333333333333333333'", "'t'::bool"),
        ("-2147483648 = - 2147483648", "'t'::bool"),
        ("E'\\b\\f\\n\\r\\t\\\\\\'' = $$\u{8}\u{c}\n\r\t\\'$$", "'t'::bool"),
    ];
    for (text, expected) in cases {
        assert_eq!(compiled(text).sql(), expected, "{text}");
    }
}

#[test]
fn prints_the_same_sql_for_the_same_meaning() {
    let same = [
        "id = 5 AND value = 'it''s'",
        "  (ID)=(5)and((\"value\"=E'it\\'s'))",
        "id = '5' AND 'it''s' = value -- a comment",
        "id=/* another */5 AND value = $$it's$$",
    ];
    let sql = compiled(same[0]);
    assert_eq!(sql.sql(), "((\"id\" = '5'::int4) AND (\"value\" = 'it''s'::text))");
    assert_eq!(compiled(same[1]).sql(), sql.sql());
    assert_eq!(compiled(same[3]).sql(), sql.sql());
    let with_params = Filter::compile("id = $1 AND value = $2", &["5".into(), "it's".into()], &table());
    assert_eq!(with_params.expect("two parameters").sql(), sql.sql());
    assert_ne!(compiled("value = 'it''s' AND id = 5").sql(), sql.sql());
    assert_eq!(compiled("value < 'a'").sql(), "(\"value\" COLLATE \"C\" < 'a'::text)");
    assert_eq!(compiled("value = 'a\\b'").sql(), "(\"value\" = E'a\\\\b'::text)");
    assert_eq!(compiled("- - id = 1").sql(), "((- (- \"id\")) = '1'::int4)");
}

#[test]
fn prints_what_postgres_evaluates_in_the_same_way() {
    let cases = [
        ("coalesce(id, 5) > 3", "(COALESCE(\"id\", '5'::int4) > '3'::int4)"),
        ("greatest(value, 'x') = 'y'", "(GREATEST(\"value\" COLLATE \"C\", 'x'::text) = 'y'::text)"),
        ("abs(id) % 2 = 1", "((\"abs\"(\"id\") % '2'::int4) = '1'::int4)"),
        ("(id, value) < (1, 'a')", "(ROW(\"id\", \"value\" COLLATE \"C\") < ROW('1'::int4, 'a'::text))"),
        ("feeling IN ('ok', 'sad')", "(\"feeling\" IN ('ok', 'sad'))"),
        ("CASE WHEN flag THEN id END = 1", "((CASE WHEN \"flag\" THEN \"id\" ELSE NULL::int4 END) = '1'::int4)"),
    ];
    for (text, expected) in cases {
        assert_eq!(compiled(text).sql(), expected, "{text}");
    }
}

#[test]
fn a_time_zone_is_a_constant_that_every_server_has() {
    let zoned = |zone: &str| format!("timestamp '2024-01-01' AT TIME ZONE {zone} > '2000-01-01'");
    for zone in ["'Europe/Paris'", "'utc'", "'Asia/Kolkata'", "interval '2 hours'", "NULL"] {
        compiled(&zoned(zone));
    }
    for zone in ["'EST'", "'<+03>-3'", "'Europe/Nowhere'", "value", "'+02'"] {
        let error = refusal(&zoned(zone));
        assert!(error.starts_with("At location 23:") && error.contains("time zone"), "{error}");
    }
}

#[test]
fn a_parameter_has_the_type_of_its_first_use() {
    let with = |text: &str, params: &[&str]| {
        let params: Vec<String> = params.iter().map(|param| (*param).to_owned()).collect();
        Filter::compile(text, &params, &table()).map(|filter| filter.sql().to_owned()).map_err(|error| error.message)
    };
    let refused = |text: &str, params: &[&str]| with(text, params).expect_err("a refusal");
    let conflict = refused("$1 > 5 AND $1 + 'test' > 10", &["7"]);
    assert_eq!(conflict, "At location 16: invalid syntax for type int4: test");
    assert_eq!(refused("id = $1", &["x"]), "At location 5: invalid syntax for type int4: x");
    assert_eq!(refused("id = $1 AND value = $1", &["1"]), "At location 18: type conflict for $1: int4 and text");
    assert_eq!(refused("id = $2", &["1"]), "At location 5: parameter $2 was not provided");
    assert_eq!(with("value = $1", &["1' OR '1'='1"]).expect("a text"), "(\"value\" = '1'' OR ''1''=''1'::text)");
    assert_eq!(with("$1::text = value", &["5"]).expect("a cast"), "('5'::text = \"value\")");
    assert_eq!(with("id = $1 AND price = $1", &["5"]).expect("widening").matches('5').count(), 2);
    assert!(with("id = 1", &["not", "used"]).is_ok());
}

#[test]
fn refuses_what_binds_differently_in_postgres() {
    refusal("id BETWEEN value::int4 COLLATE \"C\" AND 3");
    refusal("'2000-01-01' BETWEEN timestamp '2000-01-01' AT TIME ZONE 'UTC' AND now()");
    refusal("interval '1 day-24:00:00' > '1 day'");
    for text in ["id = 1 = flag", "id < 2 < 3", "flag IS NULL IS NULL", "value LIKE 'a' LIKE 'b'"] {
        let error = refusal(text);
        assert!(error.contains("parentheses") || error.contains("syntax error"), "{text}: {error}");
    }
    assert_eq!(compiled("NOT id = 1").sql(), "(NOT (\"id\" = '1'::int4))");
    assert_eq!(compiled("id IN (1) = flag").sql(), compiled("(id IN (1)) = flag").sql());
    assert_eq!(compiled("id = 1 IS NULL").sql(), compiled("(id = 1) IS NULL").sql());
    assert_eq!(compiled("flag OR flag AND NOT flag").sql(), compiled("flag OR (flag AND (NOT flag))").sql());
    assert_eq!(compiled("id - 1 - 2 * 3 = 0").sql(), compiled("((id - 1) - (2 * 3)) = 0").sql());
}

#[test]
fn refuses_strings_that_postgres_reads_in_another_way() {
    for text in ["value = E'\\101'", "value = E'\\u0041'", "value = U&'\\0041'", "value = N'a'", "value = X'41'"] {
        refusal(text);
    }
    for text in ["id NOT NULL", "(id) NOT NULL", "NULL NOT NULL", "id = 1OR flag", "id !=-1", "1.5.5 = price"] {
        refusal(text);
    }
    compiled("id IS NOT NULL AND NOT NULL");
    for operator in ["=", "<>", "<", "<=", ">", ">="] {
        let sql = compiled(&format!("id{operator}-1")).sql().to_owned();
        assert_eq!(sql, format!("(\"id\" {operator} '-1'::int4)"));
        assert_eq!(compiled(&format!("id{operator}+1")).sql(), format!("(\"id\" {operator} '1'::int4)"));
    }
    for operator in ["+", "*", "/"] {
        let sql = compiled(&format!("id{operator}-1 = 0")).sql().to_owned();
        assert_eq!(sql, format!("((\"id\" {operator} '-1'::int4) = '0'::int4)"));
    }
    assert_eq!(refusal("id<>-x"), "At location 5: unknown reference x");
    for text in ["value = 'a' 'b'", "id = 1_000", "id = 0x10", "id = 1 == 1", "value = \"a\"", "id = 1abc", "id = ?"] {
        refusal(text);
    }
}

#[test]
fn a_null_test_works_on_any_type_and_nothing_else_does() {
    assert!(compiled("data IS NOT NULL").matches(&row(&[("data", "{}")])));
    assert!(!compiled("(data) IS NULL").matches(&row(&[("data", "{}")])));
    assert!(compiled("folded IS NULL").matches(&row(&[])));
    assert!(refusal("folded = 'a'").contains("not deterministic"));
    assert!(refusal("folded IN ('a')").contains("not deterministic"));
    refusal("data < '{}'");
    refusal("place = '(1,2)'");
    assert!(compiled("place IS NOT NULL").matches(&row(&[("place", "(1,2)")])));
}

#[test]
fn an_error_while_evaluating_does_not_match() {
    let filter = compiled("100 / id > 1");
    assert!(filter.matches(&row(&[("id", "5")])));
    assert!(!filter.matches(&row(&[("id", "0")])));
    assert!(!filter.matches(&row(&[])));
    assert!(!filter.matches(&[]), "a row without columns");
    assert!(!filter.matches(&row(&[("id", "not a number")])));
    assert!(!compiled("id + 1 < 0").matches(&row(&[("id", "2147483647")])));
    assert!(!compiled("price > 1").matches(&row(&[("price", "1.2.3")])));
}

#[test]
fn reads_columns_by_their_exact_name() {
    let filter = compiled("\"Mixed Case\" = 7 AND VALUE = 'x' AND value <> 'y'");
    assert_eq!(filter.columns(), [1, 5]);
    assert!(filter.matches(&row(&[("Mixed Case", "7"), ("value", "x")])));
    assert!(compiled("true").columns().is_empty());
}

#[test]
fn enums_compare_by_label_after_a_cast() {
    let filter = compiled("feeling::text IN ('ok', 'very happy')");
    assert!(filter.matches(&row(&[("feeling", "ok")])));
    assert!(!filter.matches(&row(&[("feeling", "sad")])));
    assert_eq!(filter.key(), Some((3, vec!["ok".into(), "very happy".into()])));
    assert!(compiled("feeling = feeling").matches(&row(&[("feeling", "ok")])));
}

#[test]
fn a_key_is_taken_only_where_equal_means_the_same_bytes() {
    let key = |text: &str| compiled(text).key();
    let texts = |list: &[&str]| list.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect::<Vec<_>>();
    assert_eq!(key("value = 'a' AND id > 1"), Some((1, texts(&["a"]))));
    assert_eq!(key("id IN (3, 1, 2, 1)"), Some((0, texts(&["1", "2", "3"]))));
    assert_eq!(key("id = 1 OR id = 2"), Some((0, texts(&["1", "2"]))));
    assert_eq!(key("value IN ('a', 'b', 'c') AND id = 7"), Some((0, texts(&["7"]))));
    assert_eq!(key("flag"), Some((2, texts(&["t"]))));
    let none = [
        "price = 1",
        "code = 'a'",
        "id = 1 OR value = 'a'",
        "NOT id = 1",
        "id <> 1",
        "id NOT IN (1)",
        "id = 1.0",
        "true",
    ];
    for text in none {
        assert_eq!(key(text), None, "{text}");
    }
}

#[test]
fn the_index_finds_each_condition_that_may_match_once() {
    let filter = |text: &str| Arc::new(compiled(text));
    let mut index = Index::new();
    index.insert(1, Some(&filter("value = 'a'")));
    index.insert(2, Some(&filter("value IN ('a', 'b')")));
    index.insert(3, Some(&filter("id > 5")));
    index.insert(4, None);
    index.insert(5, Some(&filter("id = 7 AND value <> 'a'")));
    let candidates = |index: &Index, old: Option<&[(&str, &str)]>, new: Option<&[(&str, &str)]>| {
        let (old, new) = (old.map(row), new.map(row));
        let mut found = Vec::new();
        index.candidates(old.as_deref(), new.as_deref(), &mut found);
        found.sort_unstable();
        found
    };
    assert_eq!(candidates(&index, None, Some(&[("value", "a")])), [1, 2, 3, 4]);
    assert_eq!(candidates(&index, Some(&[("value", "a")]), Some(&[("value", "b")])), [1, 2, 3, 4]);
    assert_eq!(candidates(&index, Some(&[("value", "b"), ("id", "7")]), None), [2, 3, 4, 5]);
    assert_eq!(candidates(&index, None, Some(&[])), [3, 4]);
    index.insert(1, Some(&filter("value = 'z'")));
    index.remove(4);
    index.remove(99);
    assert_eq!(candidates(&index, None, Some(&[("value", "a")])), [2, 3]);
    for id in [1, 2, 3, 5] {
        index.remove(id);
    }
    assert_eq!(candidates(&index, None, Some(&[("value", "a")])), [0; 0]);
}

/// Deep and long texts, on a stack as small as a server's thread may have.
#[test]
fn huge_conditions_are_refused_or_evaluated_without_a_deep_stack() {
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(|| {
        let repeated = |part: &str, bytes: usize| part.repeat(bytes / part.len());
        let started = std::time::Instant::now();
        for bytes in [100, 250, 500, 510, 5_000, 60_000] {
            let sides = bytes / 2;
            let refused_or_not = [
                format!("{}true{}", "(".repeat(sides - 2), ")".repeat(sides - 2)),
                "(".repeat(bytes),
                format!("{}true", repeated("NOT ", bytes - 4)),
                format!("{}1 = 1", repeated("1+", bytes - 6)),
                format!("id = {}1", repeated("- ", bytes - 6)),
                format!("id{} = '1'", repeated("::text", bytes - 8)),
                format!("{}(", repeated("1+", bytes - 1)),
                format!("{}1", repeated("1=", bytes - 1)),
                format!("{}flag", repeated("flag AND NOT ", bytes)),
                repeated("f(", bytes),
                repeated("CASE WHEN ", bytes),
                repeated("id IN (", bytes),
            ];
            let mut growing = [String::from("flag"), String::from("id")];
            while growing[0].len() + 20 < bytes && growing[0].len() < 1_500 {
                growing[0] = format!("({} IN (flag, flag))", growing[0]);
                growing[1] = format!("({} BETWEEN id AND id)::int4", growing[1]);
            }
            let wide = format!("({}flag) IN ({}flag)", repeated("flag OR ", sides), repeated("flag,", sides));
            for text in growing.iter().chain([&wide]).chain(&refused_or_not) {
                let _ = compile(text);
            }
            let chain = format!("{}flag", repeated("flag OR ", bytes));
            assert!(compiled(&chain).matches(&row(&[("flag", "t")])), "a chain of OR");
            let chain = format!("{}id = 1", repeated("id = 1 AND ", bytes));
            assert!(compiled(&chain).matches(&row(&[("id", "1")])), "a chain of AND");
            let sum = format!("{}id > 0", "id+".repeat(bytes.min(550) / 3));
            assert!(compiled(&sum).matches(&row(&[("id", "1")])), "a deep sum");
            let list = format!("id IN ({}7)", repeated("9,", bytes));
            assert!(compiled(&list).matches(&row(&[("id", "7")])), "a long list");
        }
        started.elapsed()
    });
    let elapsed = thread.expect("a thread").join().expect("no panic");
    assert!(elapsed < std::time::Duration::from_secs(20), "took {elapsed:?}");
}

#[test]
fn names_are_cut_where_postgres_cuts_them() {
    let long = "é".repeat(40);
    let kept = "é".repeat(31);
    for text in [format!("label = '{long}'"), format!("label IN ('{long}'::text, 'x')")] {
        assert!(compiled(&text).matches(&row(&[("label", &kept)])), "{text}");
    }
    assert!(!compiled(&format!("label = '{long}'::text")).matches(&row(&[("label", &kept)])));
}
