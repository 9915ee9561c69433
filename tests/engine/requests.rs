//! Requests that are refused, and the routes and headers of the engine's port.

use actix_web::http::Method;

use super::Scene;
use crate::support::{Database, Engine};

const TABLES: &str = "CREATE TABLE items (id int PRIMARY KEY, value text, grp int); INSERT INTO items VALUES (1, 'a', 1); \
                      CREATE TABLE \"My Table\" (id int PRIMARY KEY); CREATE VIEW seen AS SELECT * FROM items; \
                      CREATE TABLE made (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED);";
const NO_TABLE: &str = "does not exist. If the table name contains capitals or special characters you must quote it.";
const FORMAT: &str = "has invalid format";

/// Parameters, the field that is blamed, and the text.
type Case = (&'static [(&'static str, &'static str)], &'static str, &'static str);

const CASES: &[Case] = &[
    (&[], "offset", "can't be blank"),
    (&[("table", "items")], "offset", "can't be blank"),
    (&[("table", "items"), ("offset", " ")], "offset", "can't be blank"),
    (&[("offset", "-1")], "table", "can't be blank"),
    (&[("offset", "-1"), ("table", "")], "table", "can't be blank"),
    (
        &[("offset", "-1"), ("table", "foo.bar.baz")],
        "table",
        "Invalid relation identifier, too many delimiters: foo.bar.baz",
    ),
    (
        &[("offset", "-1"), ("table", "foob@r")],
        "table",
        "Invalid unquoted identifier contains special characters: foob@r",
    ),
    (&[("offset", "-1"), ("table", "\"\"")], "table", "Invalid zero-length delimited identifier"),
    (&[("offset", "-1"), ("table", "\"Foo\"Bar\"")], "table", "Invalid identifier with unescaped quote: Foo\"Bar"),
    (
        &[("offset", "-1"), ("table", "a234567890b234567890c234567890d234567890e234567890f234567890g234")],
        "table",
        "Identifier is too long (max length is 63)",
    ),
    (&[("table", "items"), ("offset", "10")], "offset", FORMAT),
    (&[("table", "items"), ("offset", "1_2_3")], "offset", FORMAT),
    (&[("table", "items"), ("offset", "0_-1")], "offset", FORMAT),
    (&[("table", "items"), ("offset", "10_32.1")], "offset", FORMAT),
    (&[("table", "items"), ("offset", "1_2 ")], "offset", FORMAT),
    (&[("table", "items"), ("offset", "x")], "offset", FORMAT),
    (&[("table", "items"), ("offset", "0_0")], "handle", "can't be blank when offset != -1"),
    (&[("table", "items"), ("offset", "0_inf"), ("handle", "")], "handle", "can't be blank when offset != -1"),
    (&[("table", "items"), ("offset", "-1"), ("live", "true")], "live", "can't be true when offset == -1"),
    (&[("table", "items"), ("offset", "-1"), ("live", "")], "live", "can't be true when offset == -1"),
    (&[("table", "items"), ("offset", "now"), ("live", "true")], "live", "can't be true when offset is 'now'"),
    (
        &[("table", "items"), ("offset", "0_0"), ("handle", "h"), ("live_sse", "true")],
        "live_sse",
        "can't be true unless live is also true",
    ),
    (
        &[("table", "items"), ("offset", "0_0"), ("handle", "h"), ("experimental_live_sse", "true")],
        "live_sse",
        "can't be true unless live is also true",
    ),
    (&[("table", "items"), ("offset", "-1"), ("experimental_live_sse", "maybe")], "live_sse", "is invalid"),
    (&[("table", "items"), ("offset", "-1"), ("replica", "foo")], "replica", "is invalid"),
    (&[("table", "items"), ("offset", "-1"), ("log", "foo")], "log", "is invalid"),
    (
        &[("table", "items"), ("offset", "-1"), ("experimental_compaction", "banana")],
        "experimental_compaction",
        "is invalid",
    ),
    (
        &[("table", "items"), ("offset", "-1"), ("columns", "value")],
        "columns",
        "The list of columns must include all primary key columns, missing: id",
    ),
    (
        &[("table", "items"), ("offset", "-1"), ("columns", "id,invalid,worse")],
        "columns",
        "The following columns are not found on the table: invalid, worse",
    ),
    (
        &[("table", "items"), ("offset", "-1"), ("columns", "id,")],
        "columns",
        "Invalid zero-length delimited identifier",
    ),
    (
        &[("table", "items"), ("offset", "-1"), ("columns", "id, value")],
        "columns",
        "Invalid unquoted identifier contains special characters:  value",
    ),
    (
        &[("table", "items"), ("offset", "-1"), ("queryable_columns", "id"), ("columns", "id,value")],
        "columns",
        "The following columns are not found on the table: value",
    ),
    (
        &[("table", "items"), ("offset", "-1"), ("queryable_columns", "value")],
        "queryable_columns",
        "The list of queryable columns must include all primary key columns, missing: id",
    ),
    (
        &[("table", "made"), ("offset", "-1")],
        "columns",
        "The following columns are generated and cannot be included in the shape: twice. You can exclude them from the shape by \
         explicitly listing which columns to fetch in the 'columns' query param",
    ),
    (
        &[("table", "made"), ("offset", "-1"), ("columns", "id,twice")],
        "columns",
        "The following columns are generated and cannot be included in the shape: twice",
    ),
    (
        &[("table", "items"), ("offset", "-1"), ("where", "value = $1")],
        "where",
        "At location 8: parameter $1 was not provided",
    ),
    (
        &[("table", "items"), ("offset", "-1"), ("where", "value = $2"), ("params[2]", "x")],
        "params",
        "Parameters must be numbered sequentially, starting from 1",
    ),
    (
        &[("table", "items"), ("offset", "-1"), ("where", "value = $1"), ("params[a]", "x")],
        "params",
        "Parameters can only use numbers as keys",
    ),
    (&[("table", "items"), ("offset", "-1"), ("where", "value = $1"), ("params", "abc")], "params", "is invalid"),
    (&[("table", "items"), ("offset", "-1"), ("where", "foo = 1")], "where", "At location 0: unknown reference foo"),
];

#[actix_rt::test]
async fn a_refusal_names_the_field_and_the_reason_and_nothing_of_a_shape() {
    let scene = Scene::new(TABLES).await;
    for (params, field, text) in CASES {
        let reply = scene.engine.definition(params).get(&[]).await;
        let expected = serde_json::json!({"message": "Invalid request", "errors": {*field: [text]}});
        assert_eq!((reply.status, reply.json()), (400, expected), "{params:?}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{params:?}");
        assert_eq!(reply.header("surrogate-control"), Some("no-store"), "{params:?}");
        for absent in ["electric-handle", "electric-offset", "electric-has-data", "etag"] {
            assert_eq!(reply.header(absent), None, "{params:?}: {absent}");
        }
    }
    scene.engine.binary.assert_quiet(&[]);
}

#[actix_rt::test]
async fn a_table_that_cannot_be_followed_is_not_there() {
    let scene = Scene::new(TABLES).await;
    for (table, name) in [
        ("nonexistent", r#""public"."nonexistent""#),
        (r#""ITEMS""#, r#""public"."ITEMS""#),
        ("seen", r#""public"."seen""#),
        ("nowhere.items", r#""nowhere"."items""#),
        ("\"it''s; DROP TABLE items\"", r#""public"."it''s; DROP TABLE items""#),
    ] {
        let errors = scene.engine.shape(table).first().await.is(400).json()["errors"].clone();
        assert_eq!(errors, serde_json::json!({"table": [format!("Table {name} {NO_TABLE}")]}), "{table}");
    }
    for table in ["ITEMS", "public.items", "Public.Items", r#""items""#, r#""My Table""#] {
        scene.engine.shape(table).first().await.is(200);
    }
}

#[actix_rt::test]
async fn errors_of_several_fields_are_told_together() {
    let scene = Scene::new(TABLES).await;
    let reply = scene.engine.shape("items").get(&[("replica", "foo"), ("log", "bar")]).await.is(400);
    let blamed = serde_json::json!({"replica": ["is invalid"], "log": ["is invalid"], "offset": ["can't be blank"]});
    assert_eq!(reply.json()["errors"], blamed);
}

#[actix_rt::test]
async fn conditions_that_are_none_are_refused_with_the_place() {
    let scene = Scene::new(TABLES).await;
    for (text, told) in [
        ("1 x 1", "syntax error"),
        ("value = now()::text", "unknown or unsupported function now/0"),
        ("count(*) = 1", "aggregation is not supported in this context"),
        ("ctid IS NULL", "unknown reference ctid"),
        ("1", "WHERE clause must return a boolean"),
        ("true; DROP TABLE items", "unescaped \";\" causing statement split"),
        ("true ORDER BY 1", "malformed query ending with SQL clauses"),
        ("id IS TRUE", "argument of IS TRUE must be bool"),
        ("id = 'abc'", "abc"),
    ] {
        let errors = scene.engine.shape("items").with("where", text).first().await.is(400).json()["errors"].clone();
        let first = errors["where"][0].as_str().unwrap_or_default();
        assert!(first.contains(told), "{text}: {errors}");
    }
    let hostile = scene.engine.shape("items").with("where", "value = $1").with("params[1]", "'; DROP TABLE items; --");
    assert!(hostile.first().await.is(200).changes().is_empty());
    assert_eq!(scene.engine.shape("items").first().await.is(200).changes().len(), 1);
}

#[actix_rt::test]
async fn a_condition_that_fails_on_a_row_is_the_callers_to_mend() {
    let scene = Scene::new(TABLES).await;
    for (text, code) in [("10 / (grp - 1) = 1", "22012"), ("grp + 2147483647 > 0", "22003")] {
        let told = format!(
            "Postgres cannot evaluate it on a row of the table (SQLSTATE {code}); CASE can keep such rows from it"
        );
        let shape = scene.engine.shape("items").with("where", text);
        for offset in ["-1", "now", "0_0"] {
            let reply = shape.get(&[("offset", offset), ("handle", "h")]).await;
            // An unknown handle is told the one of a shape that is made for it, and only that one fails.
            if offset == "0_0" && reply.status == 409 {
                continue;
            }
            let expected = serde_json::json!({"message": "Invalid request", "errors": {"where": [&told]}});
            assert_eq!((reply.status, reply.json()), (400, expected), "{text} {offset}");
        }
    }
    scene.engine.binary.assert_quiet(&[]);
}

#[actix_rt::test]
async fn parameters_that_mean_nothing_change_nothing() {
    let scene = Scene::new(TABLES).await;
    let shape = scene.engine.shape("items");
    let first = shape.first().await.is(200);
    let handle = first.handle();
    for more in [
        [("offset", "-1"), ("handle", "whatever")],
        [("offset", "-1"), ("unrelated", "foo")],
        [("offset", "-1"), ("cache-buster", "1")],
        [("offset", "-1"), ("expired_handle", "x")],
        [("offset", "-1"), ("cursor", "abc")],
        [("offset", "-1"), ("live", "false")],
        [("offset", "-1"), ("where", " ")],
        [("offset", "-1"), ("columns", "")],
        [("offset", "-1"), ("params[1]", "x")],
    ] {
        assert_eq!(shape.get(&more).await.is(200).handle(), handle, "{more:?}");
    }
    for offset in ["0_0", "0_inf", "00_00"] {
        assert_eq!(shape.get(&[("offset", offset), ("handle", &handle)]).await.is(200).offset(), "0_inf", "{offset}");
    }
}

#[actix_rt::test]
async fn the_port_has_the_routes_of_an_electric_service() {
    let scene = Scene::new(TABLES).await;
    let url = scene.engine.binary.url();
    for (method, path, status, body) in [
        (Method::GET, "/", 200, ""),
        (Method::HEAD, "/", 200, ""),
        (Method::GET, "/nonexistent", 404, "Not found"),
        (Method::PUT, "/v1/shape", 404, "Not found"),
        (Method::POST, "/", 404, "Not found"),
        (Method::OPTIONS, "/v1/health", 404, "Not found"),
        (Method::GET, "/v1/health", 200, r#"{"status":"active"}"#),
        (Method::OPTIONS, "/v1/shape", 204, ""),
    ] {
        // Until it is active, a shape's first request waits.
        scene.engine.shape("items").first().await.is(200);
        let request = scene.engine.http.request(method.clone(), format!("{url}{path}"));
        let mut response = request.send().await.expect("an answer");
        let bytes = response.body().await.expect("a body");
        assert_eq!((response.status().as_u16(), &*bytes), (status, body.as_bytes()), "{method} {path}");
        assert!(response.headers().contains_key("x-request-id"), "{method} {path}");
        assert_eq!(
            response.headers().get("access-control-allow-origin").map(|v| v.as_bytes()),
            Some(&b"*"[..]),
            "{method} {path}"
        );
    }
    for path in ["/v1/shape/", "/v1//shape", "/v1/shape//", "/v1/%73hape"] {
        let request = scene.engine.http.get(format!("{url}{path}?table=items&offset=-1"));
        assert_eq!(request.send().await.expect("an answer").status(), 200, "{path}");
    }
}

#[actix_rt::test]
async fn a_head_request_has_the_headers_of_the_get() {
    let scene = Scene::new(TABLES).await;
    let shape = scene.engine.shape("items");
    let own = |reply: &crate::support::Reply| {
        let headers = reply.headers.iter().filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()));
        let mut headers: Vec<_> = headers.map(|(name, value)| format!("{name}: {value:?}")).collect();
        headers.sort();
        headers
    };
    let get = shape.first().await.is(200);
    let head = shape.send(Method::HEAD, &[("offset", "-1")], &[]).await.is(200);
    assert_eq!(own(&head), own(&get));
    assert!(head.body.is_empty());
}

#[actix_rt::test]
async fn who_does_not_know_the_secret_is_told_nothing_else() {
    let database = Database::fresh().await;
    let client = database.connect().await;
    client.batch_execute(TABLES).await.expect("the tables");
    let engine = Engine::with(&database, &[("ELECTRIC_INSECURE", "false"), ("ELECTRIC_SECRET", "s e&cret")]).await;
    let shape = engine.shape("items");
    shape.clone().with("secret", "s e&cret").first().await.is(200);
    shape.clone().with("api_secret", "s e&cret").first().await.is(200);
    let wrong = shape.clone().with("secret", "wrong").with("api_secret", "s e&cret");
    for shape in [shape, wrong, engine.definition(&[])] {
        let reply = shape.first().await.is(401);
        assert_eq!(reply.text(), r#"{"message":"Unauthorized - Invalid API secret"}"#);
    }
}
