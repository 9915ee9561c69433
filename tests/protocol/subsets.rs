//! Subsets: statements 255 to 275 of the protocol's checklist (14.11), each by its number.

use std::collections::BTreeSet;

use actix_web::http::Method;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::support::{Database, Engine, Reply};

const ITEMS: &str = "CREATE TABLE items (id uuid PRIMARY KEY, value text); \
                     INSERT INTO items VALUES ('00000000-0000-0000-0000-000000000001', 'one'), \
                     ('00000000-0000-0000-0000-000000000002', 'two'), ('00000000-0000-0000-0000-000000000003', 'three');";

/// An engine on a database with tables. What is named first is dropped first.
struct Server {
    engine: Engine,
    client: Client,
    database: Database,
}

impl Server {
    async fn with(tables: &str) -> Self {
        let database = Database::fresh().await;
        let client = database.connect().await;
        client.batch_execute(tables).await.expect("the tables");
        let engine = Engine::start(&database).await;
        Self { engine, client, database }
    }

    async fn items() -> Self {
        Self::with(ITEMS).await
    }

    /// `GET /v1/shape?table=items&offset=-1` with more parameters, the last of a name counting.
    async fn get(&self, more: &[(&str, &str)]) -> Reply {
        self.engine.shape("items").with("offset", "-1").get(more).await
    }

    async fn post(&self, query: &[(&str, &str)], body: &Value) -> Reply {
        let url = format!("{}/v1/shape", self.engine.binary.url());
        let request = self.engine.http.post(url).query(&query).expect("a query string");
        let mut response = request.send_json(body).await.expect("an answer");
        let body = response.body().await.expect("a body");
        Reply { status: response.status().as_u16(), headers: response.headers().clone(), body }
    }

    /// The errors of a 400, by field of the subset.
    async fn refusal(&self, more: &[(&str, &str)]) -> Value {
        let reply = self.get(more).await.is(400);
        assert_eq!(reply.json()["message"], "Invalid request", "{}", reply.text());
        reply.json()["errors"]["subset"].clone()
    }
}

/// A column of a subset's rows, in their order.
#[track_caller]
fn column(reply: &Reply, name: &str) -> Vec<String> {
    let json = reply.json();
    let rows = json["data"].as_array().unwrap_or_else(|| panic!("no data in {json}"));
    rows.iter().map(|row| row["value"][name].as_str().unwrap_or_else(|| panic!("{row}")).to_owned()).collect()
}

#[track_caller]
fn values(reply: &Reply) -> Vec<String> {
    column(reply, "value")
}

#[track_caller]
fn sorted(reply: &Reply) -> Vec<String> {
    let mut values = values(reply);
    values.sort();
    values
}

/// The only text that is told of a field.
#[track_caller]
fn only(errors: &Value, field: &str) -> String {
    let texts = errors[field].as_array().unwrap_or_else(|| panic!("nothing of {field} in {errors}"));
    assert_eq!((texts.len(), errors.as_object().map(serde_json::Map::len)), (1, Some(1)), "{errors}");
    texts[0].as_str().expect("a text").to_owned()
}

#[actix_rt::test]
async fn c255_any_subset_parameter_makes_an_object_of_the_answer() {
    let server = Server::items().await;
    for name in
        ["subset__where", "subset__params", "subset__limit", "subset__offset", "subset__order_by", "subset__foo"]
    {
        let reply = server.get(&[(name, "")]).await.is(200);
        let json = reply.json();
        let members: BTreeSet<&str> = json.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(members, BTreeSet::from(["data", "metadata"]), "{name}");
        assert!(reply.text().starts_with(r#"{"metadata":{"#), "{}", reply.text());
        assert_eq!(sorted(&reply), ["one", "three", "two"], "{name}");
    }
    server.engine.binary.assert_quiet(&[]);
}

#[actix_rt::test]
async fn c256_metadata_says_what_the_snapshot_contains() {
    let server = Server::items().await;
    // A table that is not yet published cannot be while somebody writes to it.
    let before = server.get(&[]).await.is(200).json();
    let before =
        before.as_array().and_then(|log| log.last()).expect("an end of the snapshot")["headers"]["xmin"].clone();
    let before: u64 = before.as_str().and_then(|text| text.parse().ok()).expect("a number");
    // A transaction that is open is in the list.
    let write = "BEGIN; INSERT INTO items VALUES (gen_random_uuid(), 'open')";
    server.client.batch_execute(write).await.expect("a transaction");
    let open = server.client.query_one("SELECT pg_current_xact_id()::text", &[]).await.expect("an id");
    let open: &str = open.get(0);
    // Only what began before another that is over.
    let other = server.database.connect().await;
    other.batch_execute("INSERT INTO items VALUES (gen_random_uuid(), 'over')").await.expect("a row");
    let page = server.get(&[("subset__limit", "2"), ("subset__order_by", "id")]).await.is(200);
    let metadata = page.json()["metadata"].clone();
    server.client.batch_execute("COMMIT").await.expect("its end");
    let number = |name: &str| metadata[name].as_str().and_then(|text| text.parse::<u64>().ok());
    let [xmin, xmax, lsn] = ["xmin", "xmax", "database_lsn"].map(number);
    assert!(xmin >= Some(before) && xmax >= xmin && lsn > Some(0), "{metadata}, not before {before}");
    let list = metadata["xip_list"].as_array().expect("a list");
    assert!(list.iter().all(Value::is_string) && list.contains(&json!(open)), "{open} in {metadata}");
    assert!(metadata["snapshot_mark"].as_u64().is_some_and(|mark| mark < 1 << 31), "{metadata}");
    let members: Vec<&String> = metadata.as_object().expect("an object").keys().collect();
    assert_eq!(members.len(), 5, "{metadata}");
}

#[actix_rt::test]
async fn c257_every_row_is_an_insert_with_the_mark_of_its_subset() {
    let server = Server::items().await;
    let json = server.get(&[("subset__order_by", "id")]).await.is(200).json();
    let mark = &json["metadata"]["snapshot_mark"];
    let rows = json["data"].as_array().expect("rows");
    assert_eq!(rows.len(), 3);
    for row in rows {
        let headers = json!({"operation": "insert", "relation": ["public", "items"], "snapshot_mark": mark});
        assert_eq!(row["headers"], headers);
    }
    // The same row has the same key and value in the log.
    let log = server.get(&[]).await.is(200).json();
    let of = |rows: &[Value]| -> BTreeSet<String> {
        rows.iter().filter(|row| row["key"].is_string()).map(|row| format!("{} {}", row["key"], row["value"])).collect()
    };
    assert_eq!(of(rows), of(log.as_array().expect("a log")));
    let again = server.get(&[("subset__order_by", "id")]).await.is(200).json();
    assert_ne!(&again["metadata"]["snapshot_mark"], mark);
}

#[actix_rt::test]
async fn c258_where_with_params_filters() {
    let server = Server::items().await;
    for (condition, params, expected) in [
        ("value LIKE $1", r#"{"1":"%o%"}"#, vec!["one", "two"]),
        ("value = $1 OR value = $2", r#"{"1":"two","2":"three"}"#, vec!["three", "two"]),
        ("value = $1", r#"{"1":"'; DROP TABLE items; --"}"#, vec![]),
        ("value > $1", r#"{"1":"three"}"#, vec!["two"]),
    ] {
        let reply = server.get(&[("subset__where", condition), ("subset__params", params)]).await.is(200);
        assert_eq!(sorted(&reply), expected, "{condition} {params}");
    }
    // Numbered independently of the shape's own.
    let own = [
        ("where", "value <> $1"),
        ("params[1]", "one"),
        ("subset__where", "value LIKE $1"),
        ("subset__params", r#"{"1":"%o%"}"#),
    ];
    assert_eq!(sorted(&server.get(&own).await.is(200)), ["two"]);
    let brackets = server.get(&[("subset__where", "value = $1"), ("subset__params[1]", "two")]).await.is(200);
    assert_eq!(values(&brackets), ["two"]);
}

#[actix_rt::test]
async fn c259_limit_without_an_order_is_refused() {
    let server = Server::items().await;
    let text = "order_by is required when limit or offset is present";
    for more in [("subset__limit", "1"), ("subset__offset", "1"), ("subset__offset", "0")] {
        assert_eq!(server.refusal(&[more]).await, json!({"order_by": [text]}), "{more:?}");
    }
}

#[actix_rt::test]
async fn c260_limit_and_order_give_the_greatest() {
    let server = Server::items().await;
    let page = async |order: &str, limit: &str, offset: &str| {
        let more = [("subset__order_by", order), ("subset__limit", limit), ("subset__offset", offset)];
        values(&server.get(&more).await.is(200))
    };
    assert_eq!(page("value DESC", "1", "").await, ["two"]);
    assert_eq!(page("value DESC", "2", "1").await, ["three", "one"]);
    assert_eq!(page("id", "", "2").await, ["three"]);
    // The selected columns are shown by name: id, value.
    assert_eq!(page("2 DESC, 1", "1", "").await, ["two"]);
    server.client.batch_execute("INSERT INTO items VALUES (gen_random_uuid(), NULL)").await.expect("a row");
    let first = server.get(&[("subset__order_by", "value DESC"), ("subset__limit", "1")]).await.is(200);
    assert_eq!(first.json()["data"][0]["value"]["value"], Value::Null);
    assert_eq!(page("value DESC NULLS LAST", "1", "").await, ["two"]);
    assert_eq!(page("value desc nulls last, id asc", "2", "1").await, ["three", "one"]);
}

#[actix_rt::test]
async fn c261_limit_and_offset_have_a_least_value() {
    let server = Server::items().await;
    let ordered = ("subset__order_by", "id");
    for (name, value, text) in [
        ("limit", "0", "must be greater than 0"),
        ("limit", "-1", "must be greater than 0"),
        ("limit", "ten", "is invalid"),
        ("offset", "-1", "must be greater than or equal to 0"),
        ("offset", "1.5", "is invalid"),
    ] {
        let errors = server.refusal(&[ordered, (&format!("subset__{name}"), value)]).await;
        assert_eq!(only(&errors, name), text, "{name}={value}");
    }
    let largest = i64::MAX.to_string();
    let reply = server.get(&[ordered, ("subset__limit", &largest), ("subset__offset", &largest)]).await.is(200);
    assert!(values(&reply).is_empty());
}

#[actix_rt::test]
async fn c262_params_must_be_an_object() {
    let server = Server::items().await;
    for (params, text) in [("[1]", "params must be a JSON object"), ("{", "params must be valid JSON")] {
        let errors = server.refusal(&[("subset__where", "value = $1"), ("subset__params", params)]).await;
        assert_eq!(only(&errors, "params"), text);
    }
    let errors = server.refusal(&[("subset__where", "value = $2"), ("subset__params", r#"{"1":"x"}"#)]).await;
    assert_eq!(only(&errors, "where"), "At location 8: parameter $2 was not provided");
}

#[actix_rt::test]
async fn c263_expressions_are_no_order() {
    let server = Server::items().await;
    for (order, node) in [
        ("pg_sleep(5)", "FuncCall"),
        ("id, pg_read_file('/etc/passwd')", "FuncCall"),
        ("id::text", "TypeCast"),
        ("(SELECT value FROM items LIMIT 1)", "SubLink"),
        ("CASE WHEN value = 'one' THEN 1 ELSE 2 END", "CaseExpr"),
        ("value || 'x'", "A_Expr"),
    ] {
        let text = only(&server.refusal(&[("subset__order_by", order)]).await, "order_by");
        assert!(text.starts_with("At location "), "{order}: {text}");
        assert!(
            text.ends_with(&format!(": {node} expressions are not allowed in ORDER BY clauses")),
            "{order}: {text}"
        );
    }
    for (order, told) in [
        ("id; DROP TABLE items", "Unexpected `;` in order by"),
        ("id LIMIT 1", "malformed query ending with SQL clauses"),
        ("nothing", "At location 18: unknown reference nothing"),
        ("7", "ORDER BY position 7 is not in select list"),
    ] {
        assert_eq!(only(&server.refusal(&[("subset__order_by", order)]).await, "order_by"), told);
    }
}

#[actix_rt::test]
async fn c264_a_parameter_is_no_order() {
    let server = Server::items().await;
    let more = [("subset__order_by", "$1"), ("subset__params", r#"{"1":"value"}"#)];
    let text = only(&server.refusal(&more).await, "order_by");
    assert_eq!(text, "At location 18: parameter $1 is not supported in ORDER BY clauses");
}

#[actix_rt::test]
async fn c265_subqueries_are_no_part_of_a_subset() {
    let server = Server::items().await;
    for condition in ["id IN (SELECT id FROM items)", "EXISTS (SELECT 1)", "value = (select 'one')"] {
        let text = only(&server.refusal(&[("subset__where", condition)]).await, "where");
        assert_eq!(text, "Subqueries are not allowed in subsets", "{condition}");
    }
    assert!(values(&server.get(&[("subset__where", "value = 'select'")]).await.is(200)).is_empty());
}

const HIDDEN: &str = "CREATE TABLE items (id int PRIMARY KEY, value text, secret_token text); \
                      INSERT INTO items VALUES (1, 'one', 'x'), (2, 'two', 'y');";

#[actix_rt::test]
async fn c266_columns_outside_queryable_columns_are_unknown() {
    let server = Server::with(HIDDEN).await;
    let queryable = ("queryable_columns", "id,value");
    for condition in ["secret_token = 'x'", "value = 'one' OR secret_token IS NULL", "\"secret_token\" > 'a'"] {
        let text = only(&server.refusal(&[queryable, ("subset__where", condition)]).await, "where");
        assert!(text.contains("unknown reference secret_token"), "{condition}: {text}");
    }
    for order in ["secret_token", "id, secret_token DESC", "\"secret_token\""] {
        let text = only(&server.refusal(&[queryable, ("subset__order_by", order)]).await, "order_by");
        assert!(text.contains("unknown reference secret_token"), "{order}: {text}");
    }
    // An ordinal counts what is selected, and the hidden column is not.
    let text = only(&server.refusal(&[queryable, ("subset__order_by", "3")]).await, "order_by");
    assert_eq!(text, "ORDER BY position 3 is not in select list");
    // The shape's own filter is set by who may see it.
    let own = server.get(&[queryable, ("where", "secret_token = 'y'"), ("subset__where", "id > 0")]).await.is(200);
    assert_eq!(values(&own), ["two"]);
    assert_eq!(own.json()["data"][0]["value"], json!({"id": "2", "value": "two"}));
}

#[actix_rt::test]
async fn c267_a_column_that_may_be_queried_need_not_be_selected() {
    let server = Server::with(HIDDEN).await;
    let more = [
        ("queryable_columns", "id,value,secret_token"),
        ("columns", "id"),
        ("subset__where", "value = 'two' OR value = 'one'"),
        ("subset__order_by", "secret_token DESC"),
    ];
    let reply = server.get(&more).await.is(200);
    assert_eq!(column(&reply, "id"), ["2", "1"]);
    assert_eq!(reply.json()["data"][0]["value"], json!({"id": "2"}));
    assert_eq!(reply.header("electric-schema").map(|schema| schema.contains("value")), Some(false));
}

#[actix_rt::test]
async fn c268_labels_of_enums_can_be_compared() {
    let tables = "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy'); CREATE TABLE items (id int PRIMARY KEY, mood mood); \
                  INSERT INTO items VALUES (1, 'sad'), (2, 'happy'), (3, NULL);";
    let server = Server::with(tables).await;
    for (condition, params, expected) in [
        ("mood = 'happy'", "", vec!["2"]),
        ("mood IN ('sad', 'ok')", "", vec!["1"]),
        ("mood = $1", r#"{"1":"sad"}"#, vec!["1"]),
    ] {
        let more = [("subset__where", condition), ("subset__params", params), ("subset__order_by", "mood")];
        assert_eq!(column(&server.get(&more).await.is(200), "id"), expected, "{condition}");
    }
    let errors = server.refusal(&[("subset__where", "mood = 'joyful'")]).await;
    assert!(errors["where"].as_str().is_some_and(|text| text.contains("joyful")), "a plain string: {errors}");
    let errors = server.refusal(&[("subset__where", "mood = $1"), ("subset__params", r#"{"1":"merry"}"#)]).await;
    assert!(errors["where"].as_str().is_some_and(|text| text.contains("merry")), "a plain string: {errors}");
}

#[actix_rt::test]
async fn c269_headers_of_a_subset() {
    let server = Server::items().await;
    let reply = server.get(&[("subset__limit", "1"), ("subset__order_by", "id")]).await.is(200);
    let headers =
        ["content-type", "cache-control", "electric-snapshot", "electric-offset"].map(|name| reply.header(name));
    let expected = ["application/json; charset=utf-8", "no-cache", "true", "0_0"];
    assert_eq!(headers, expected.map(Some));
    let schema: Value = serde_json::from_str(reply.header("electric-schema").expect("a schema")).expect("JSON");
    assert_eq!(schema, json!({"id": {"type": "uuid", "pk_index": 0, "not_null": true}, "value": {"type": "text"}}));
    for absent in ["etag", "electric-has-data", "electric-up-to-date", "electric-cursor", "surrogate-control"] {
        assert_eq!(reply.header(absent), None, "{absent}");
    }
    assert!(reply.header("access-control-expose-headers").is_some(), "{reply:?}");
    // The same shape as the log's, and its position.
    let log = server.get(&[]).await.is(200);
    assert_eq!(reply.handle(), log.handle());
    let at = |offset: &'static str| {
        let (shape, handle) = (server.engine.shape("items"), log.handle());
        async move { shape.get(&[("offset", offset), ("handle", &handle), ("subset__x", "")]).await.is(200).offset() }
    };
    // Differs from the protocol: the reader is left where it is.
    assert_eq!(at("0_0").await, "0_0");
    assert_eq!(at("0_inf").await, "0_inf");
    assert_eq!(at("99999999999999_0").await, "0_inf", "never after the subset");
    let handle = log.handle();
    let live = [("offset", "0_inf"), ("handle", handle.as_str()), ("live", "true"), ("subset__x", "")];
    let live = server.engine.shape("items").get(&live).await.is(200);
    assert_eq!((live.header("electric-schema"), live.header("electric-snapshot")), (None, Some("true")));
    let head =
        server.engine.shape("items").send(Method::HEAD, &[("offset", "-1"), ("subset__x", "")], &[]).await.is(200);
    assert_eq!((head.header("electric-snapshot"), head.body.len()), (Some("true"), 0));
}

#[actix_rt::test]
async fn c270_conditions_of_a_request_mean_nothing() {
    let server = Server::items().await;
    let etag = server.get(&[]).await.is(200).header("etag").expect("an etag").to_owned();
    let shape = server.engine.shape("items").with("offset", "-1");
    let tagged = async |more: &[(&str, &str)]| shape.send(Method::GET, more, &[("if-none-match", &etag)]).await.status;
    assert_eq!(tagged(&[]).await, 304);
    assert_eq!(tagged(&[("subset__x", "")]).await, 200);
}

#[actix_rt::test]
async fn c271_an_unknown_handle_is_409() {
    let server = Server::items().await;
    let known = server.get(&[]).await.is(200).handle();
    let shape = server.engine.shape("items").with("subset__limit", "1").with("subset__order_by", "id");
    let reply = shape.get(&[("offset", "0_0"), ("handle", "unknown")]).await.is(409);
    assert_eq!(
        (reply.handle(), reply.text()),
        (known.clone(), r#"[{"headers":{"control":"must-refetch"}}]"#.to_owned())
    );
    let other =
        shape.clone().with("where", "value = 'one'").get(&[("offset", "0_0"), ("handle", &known)]).await.is(409);
    assert_ne!(other.handle(), known);
    shape.get(&[("offset", "0_0"), ("handle", &known)]).await.is(200);
    // As for the log, a handle means nothing at the start.
    shape.get(&[("offset", "-1"), ("handle", "unknown")]).await.is(200);
}

#[actix_rt::test]
async fn c272_the_filter_of_the_shape_holds_also_with_or() {
    let server = Server::items().await;
    let own = ("where", "value = 'one' OR value = 'two'");
    let subset = server.get(&[own, ("subset__where", "value = 'two' OR value = 'three'")]).await.is(200);
    assert_eq!(values(&subset), ["two"]);
    assert_eq!(sorted(&server.get(&[own, ("subset__x", "")]).await.is(200)), ["one", "two"]);
    for escape in ["true) OR (true", "true OR true) --", "value = 'one') OR ('a' = 'a'"] {
        let reply = server.get(&[own, ("subset__where", escape)]).await;
        assert_eq!(reply.status, 400, "{escape}: {}", reply.text());
    }
}

#[actix_rt::test]
async fn c273_a_flat_body_is_the_same_as_the_url() {
    let server = Server::items().await;
    let body = json!({"where": "value LIKE $1", "params": {"1": "t%"}, "order_by": "value DESC", "limit": 1,
                      "where_expr": {"type": "x"}, "order_by_expr": []});
    let reply = server.post(&[("table", "items"), ("offset", "-1")], &body).await.is(200);
    let url = [
        ("subset__where", "value LIKE $1"),
        ("subset__params", r#"{"1":"t%"}"#),
        ("subset__order_by", "value DESC"),
        ("subset__limit", "1"),
    ];
    let same = server.get(&url).await.is(200);
    assert_eq!((values(&reply), values(&same)), (vec!["two".to_owned()], vec!["two".to_owned()]));
    for name in ["electric-handle", "electric-offset", "electric-schema", "electric-snapshot", "cache-control"] {
        assert_eq!(reply.header(name), same.header(name), "{name}");
    }
    // Without a field of a subset it is none.
    assert!(server.post(&[("table", "items"), ("offset", "-1")], &json!({})).await.is(200).json().is_array());
    let refused = server.post(&[("table", "items"), ("offset", "-1")], &json!({"order_by": "random()"})).await.is(400);
    assert_eq!(refused.header("cache-control"), Some("no-cache"));
    assert!(only(&refused.json()["errors"]["subset"], "order_by").contains("FuncCall"), "{}", refused.text());
}

#[actix_rt::test]
async fn c274_a_nested_body_needs_no_parameters_in_the_url() {
    let server = Server::items().await;
    let body = json!({"subset": {"where": "value = 'one'"}, "table": "items", "offset": "-1"});
    assert_eq!(values(&server.post(&[], &body).await.is(200)), ["one"]);
    let body = json!({"subset": {"order_by": "value"}, "table": "items", "offset": "-1", "where": "value < 'p'"});
    assert_eq!(values(&server.post(&[], &body).await.is(200)), ["one"]);
}

#[actix_rt::test]
async fn c275_what_is_committed_after_the_subset_comes_in_the_log() {
    let server = Server::items().await;
    for offset in ["-1", "0_0", "now"] {
        let shape = server.engine.shape("items");
        let handle = shape.first().await.is(200).handle();
        let subset =
            shape.get(&[("offset", offset), ("handle", &handle), ("subset__where", "value = 'one'")]).await.is(200);
        let value = format!("after {offset}");
        let insert = format!("INSERT INTO items VALUES (gen_random_uuid(), '{value}')");
        server.client.batch_execute(&insert).await.expect("a row");
        let (mut at, mut seen) = (subset.offset(), Vec::new());
        while !seen.contains(&value) {
            let more = [("offset", at.as_str()), ("handle", &handle), ("live", "true")];
            let log = shape.get(&more).await.is(200);
            seen.extend(log.changes().iter().map(|change| change.column("value").expect("a value").to_owned()));
            at = log.offset();
        }
        assert!(!values(&subset).contains(&value), "{offset}");
    }
}
