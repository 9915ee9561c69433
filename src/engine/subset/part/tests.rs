//! The queries of parts of one shape.

use std::sync::Arc;

use super::*;
use crate::engine::definition::{Selection, queryable};
use crate::engine::log::Log;
use crate::engine::shape;
use crate::engine::shape::Shape;
use crate::engine::snapshot::Snapshot;
use crate::engine::tables::Column;
use crate::shape::{Dialect, Handle, ShapeRequest, TableName};

fn table() -> Table {
    let column = |name: &str, type_name: &str, type_oid: u32| Column {
        name: name.into(),
        type_oid,
        type_name: type_name.into(),
        type_kind: 'b',
        type_modifier: -1,
        dims: 0,
        not_null: false,
        generated: false,
        deterministic: true,
        labels: Default::default(),
        casing: Default::default(),
    };
    let columns = vec![
        column("id", "int4", 23),
        column("value", "text", 25),
        column("n", "int4", 23),
        column("secret", "text", 25),
    ];
    let name = TableName { schema: "public".into(), name: "items".into() };
    Table { oid: 1, name, columns, key: vec![0], has_primary_key: true, partitions: None }
}

/// The query of a request on the table, or what is wrong with its subset.
fn sql(query: &str) -> Result<String, String> {
    let request = ShapeRequest::parse(&format!("table=items&offset=-1&{query}"), None, Dialect::Protocol);
    let request = request.expect("a valid request");
    let table = Arc::new(table());
    let selection = Selection::resolve(&request, &table).expect("columns of the table");
    let condition = request.filter.as_ref().map(|text| {
        let filter = Filter::compile(text, &request.params, &table).expect("a valid filter of the shape");
        shape::Condition { text: text.clone(), params: request.params.clone(), filter: Arc::new(filter) }
    });
    let names = queryable(&request, &table).expect("queryable columns of the table");
    let definition = Definition::new(table, condition, selection, request.replica, request.log).expect("a definition");
    let part = Part::compile(&request.subset.expect("a subset"), &definition, names);
    part.map(|part| {
        let (snapshot, log) = (Snapshot::pending(), Log::new(1));
        let shape = Shape::new(1, Handle::from("1-1"), definition.clone(), snapshot, log);
        part.sql(&definition, &Messages::new(&shape)).text
    })
    .map_err(|invalid| serde_json::to_string(invalid.errors()).expect("JSON"))
}

#[test]
fn both_filters_stand_in_parentheses_of_their_own() {
    let own = r#"("n" = '1'::int4)"#;
    let from = r#"SELECT "id", "n", "secret", "value" FROM ONLY "public"."items""#;
    let cases = [
        ("subset__x=".to_owned(), from.to_owned()),
        ("subset__where=n=1".to_owned(), format!("{from} WHERE ({own})")),
        ("where=id=1 or id=2&subset__x=".to_owned(), format!(r#"{from} WHERE ((("id" = '1'::int4) OR ("id" = '2'::int4)))"#)),
        (
            "where=id=1 or id=2&subset__where=n=1".to_owned(),
            format!(r#"{from} WHERE ((("id" = '1'::int4) OR ("id" = '2'::int4))) AND ({own})"#),
        ),
        (
            "where=id=$1&params[1]=7&subset__where=n=$1&subset__params={\"1\":1}".to_owned(),
            format!(r#"{from} WHERE (("id" = '7'::int4)) AND ({own})"#),
        ),
        (
            "columns=id,value&subset__order_by=2 desc, secret nulls first&subset__limit=5&subset__offset=3".to_owned(),
            r#"SELECT "id", "value" FROM ONLY "public"."items" ORDER BY "value" DESC, "secret" NULLS FIRST LIMIT 5 OFFSET 3"#
                .to_owned(),
        ),
    ];
    for (query, expected) in cases {
        assert_eq!(sql(&query), Ok(expected), "{query}");
    }
}

#[test]
fn strings_are_compared_as_they_are_ordered() {
    let printed = sql("where=value>'a'&subset__where=value>'b'&subset__order_by=value").expect("a query");
    assert_eq!(printed.matches("COLLATE").count(), 1, "the shape's own filter alone: {printed}");
    assert!(printed.contains(r#"AND (("value" > 'b'::text)) ORDER BY "value""#), "{printed}");
    let rows = sql("subset__where=(value,id)>('b',1)&subset__order_by=value,id").expect("a query");
    assert!(!rows.contains("COLLATE"), "{rows}");
    let columns = sql("subset__where=value>secret").expect("a query");
    assert!(columns.contains("COLLATE"), "whose collation is not told: {columns}");
}

#[test]
fn a_filter_that_can_fail_sees_only_rows_of_the_shape() {
    for (filter, fenced) in [
        ("n = 1", false),
        ("n IN (1, 2) AND value IS NOT NULL OR NOT n > 5", false),
        ("1 / n = 1", true),
        ("n + 1 > 5", true),
        ("value LIKE 'a%'", true),
        ("-n = 1", true),
        ("n::int8 = 1 OR n > 1.5", false),
        ("n::int2 = 1", true),
        ("value::int4 = 1", true),
        ("(n, value) > (1, 'a')", false),
        ("n = ANY('{1,2}')", false),
        ("CASE WHEN n = 0 THEN false ELSE 1 / n = 1 END", true),
    ] {
        let encoded: String = filter.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let open = sql(&format!("subset__where={encoded}")).expect(filter);
        assert!(!open.contains("OFFSET"), "nothing is hidden without a filter of the shape: {open}");
        let query = format!("columns=id&where=secret='x'&subset__where={encoded}&subset__order_by=value");
        let printed = sql(&query).expect(filter);
        assert_eq!(printed.contains(" OFFSET 0) AS rows WHERE ("), fenced, "{printed}");
        if fenced {
            assert!(printed.starts_with(r#"SELECT "id" FROM (SELECT "id", "#), "{printed}");
            let (inside, outside) = printed.split_once("OFFSET 0").expect("a fence");
            assert!(inside.contains(r#"("secret" = 'x'::text)"#) && !outside.contains("secret"), "{printed}");
        }
    }
}

#[test]
fn what_may_not_be_asked_is_told_under_its_field() {
    let cases = [
        (
            "subset__where=id IN (SELECT id FROM items)",
            r#"{"subset":{"where":["Subqueries are not allowed in subsets"]}}"#,
        ),
        ("subset__where=id in (select 1)", r#"{"subset":{"where":["Subqueries are not allowed in subsets"]}}"#),
        ("subset__where=EXISTS(TABLE items)", r#"{"subset":{"where":["Subqueries are not allowed in subsets"]}}"#),
        (
            "queryable_columns=id,value&subset__where=secret='x'",
            r#"{"subset":{"where":["At location 0: unknown reference secret"]}}"#,
        ),
        (
            "queryable_columns=id,value&subset__order_by=secret",
            r#"{"subset":{"order_by":["At location 18: unknown reference secret"]}}"#,
        ),
        ("subset__where=n=$1", r#"{"subset":{"where":["At location 2: parameter $1 was not provided"]}}"#),
    ];
    for (query, expected) in cases {
        assert_eq!(sql(query), Err(expected.to_owned()), "{query}");
    }
    // The shape's own filter, and a column that is named but not selected.
    let allowed = sql(
        "queryable_columns=id,value&columns=id&where=secret='x'&subset__where=value='select'&subset__order_by=value",
    );
    assert!(allowed.is_ok(), "{allowed:?}");
}
