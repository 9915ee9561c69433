//! Requests made of odd parts: whatever comes, the answer is one of the protocol's, and the engine lives.

use actix_web::http::Method;
use futures_util::{StreamExt, stream};
use serde_json::{Map, Value};

use super::Scene;
use crate::support::Random;

const TABLES: &str = "CREATE TYPE mood AS ENUM ('sad', 'ok'); \
                      CREATE TABLE items (id int PRIMARY KEY, value text, m mood, tags text[], at timestamptz, n numeric); \
                      INSERT INTO items VALUES (1, 'a', 'ok', '{x}', now(), 1.5); \
                      CREATE TABLE \"Odd \"\"Name\" (\"the id\" int PRIMARY KEY); CREATE TABLE bare (a int, b text);";
const SETTINGS: [(&str, &str); 2] =
    [("ELECTRIC_LONG_POLL_TIMEOUT", "200"), ("ELECTRIC_ENABLE_INTEGRATION_TESTING", "true")];
const REQUESTS: usize = 600;
const AT_ONCE: usize = 8;

const NAMES: [&str; 24] = [
    "table",
    "table",
    "offset",
    "offset",
    "handle",
    "live",
    "live_sse",
    "experimental_live_sse",
    "cursor",
    "columns",
    "queryable_columns",
    "where",
    "where",
    "params[1]",
    "params",
    "replica",
    "log",
    "subset__where",
    "subset__params",
    "subset__limit",
    "subset__order_by",
    "subset__offset",
    "experimental_compaction",
    "subset",
];

const VALUES: [&str; 60] = [
    "",
    " ",
    "\0",
    "-1",
    "-1",
    "now",
    "0_0",
    "0_inf",
    "99999999999999999_0",
    "18446744073709551615_18446744073709551615",
    "1_2_3",
    "true",
    "false",
    "True",
    "1",
    "0",
    "banana",
    "items",
    "items",
    "items",
    "public.items",
    "bare",
    "\"Odd \"\"Name\"",
    "pg_catalog.pg_class",
    "information_schema.tables",
    "a.b.c",
    "\"",
    "\"\"",
    "id",
    "id,value",
    "id,id",
    "value",
    "id,",
    "\"id\",\"value\"",
    "id = 1",
    "id = $1",
    "value = $1 AND id > $2",
    "m = 'ok'",
    "m::text = 'ok'",
    "tags @> '{x}'",
    "at > now()",
    "n / 0 = 1",
    "id / 0 = 1",
    "id = 99999999999999999999",
    "value LIKE '%\\'",
    "value ~ '('",
    "((((((((((",
    "'",
    "$0",
    "$99999999999",
    "1; DROP TABLE items",
    "id IN (SELECT 1)",
    "id ASC",
    "id DESC NULLS LAST, 2",
    "pg_sleep(9)",
    "{\"1\":\"x\"}",
    "{",
    "[1]",
    "full",
    "changes_only",
];

const METHODS: [Method; 8] =
    [Method::GET, Method::GET, Method::GET, Method::POST, Method::POST, Method::DELETE, Method::HEAD, Method::PUT];

/// One request: method, query string, body.
fn request(random: &mut Random, handle: &str) -> (Method, String, String) {
    let method = METHODS[random.below(METHODS.len())].clone();
    let mut query = String::new();
    if !random.one_in(4) {
        query.push_str("table=items&offset=-1&");
    }
    for _ in 0..random.below(5) {
        let name = NAMES[random.below(NAMES.len())];
        let value = value(random, handle);
        // Bytes that are no text, and half an escape.
        let noise = if random.one_in(20) { random.pick(&["%ff", "%f", "%"]) } else { "" };
        query.push_str(&format!("{name}={}{noise}&", encoded(&value)));
    }
    (method, query, body(random, handle))
}

fn value(random: &mut Random, handle: &str) -> String {
    match random.below(12) {
        0 => handle.to_owned(),
        1 => format!("{}{}", VALUES[random.below(VALUES.len())], VALUES[random.below(VALUES.len())]),
        2 => (0..random.below(40)).map(|_| char::from_u32(random.below(0x3000) as u32).unwrap_or('x')).collect(),
        3 => VALUES[random.below(VALUES.len())].repeat(random.below(50)),
        _ => VALUES[random.below(VALUES.len())].to_owned(),
    }
}

fn body(random: &mut Random, handle: &str) -> String {
    match random.below(8) {
        0 => value(random, handle),
        1 | 2 => String::new(),
        _ => json_object(random, handle, 2).to_string(),
    }
}

fn json_object(random: &mut Random, handle: &str, depth: usize) -> Value {
    let mut members = Map::new();
    for _ in 0..random.below(4) {
        let name = NAMES[random.below(NAMES.len())];
        let name = if random.one_in(2) { name.trim_start_matches("subset__") } else { name };
        members.insert(name.to_owned(), json(random, handle, depth));
    }
    Value::Object(members)
}

fn json(random: &mut Random, handle: &str, depth: usize) -> Value {
    match random.below(9) {
        0 => Value::Null,
        1 => Value::Bool(random.one_in(2)),
        2 => Value::from(random.next() as i64 >> random.below(64)),
        3 => Value::from(random.below(100) as f64 / 3.0),
        4 => Value::Array((0..random.below(3)).map(|_| Value::String(value(random, handle))).collect()),
        5 if depth > 0 => json_object(random, handle, depth - 1),
        _ => Value::String(value(random, handle)),
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[actix_rt::test]
async fn no_request_is_answered_500_and_none_ends_the_engine() {
    let seed = Random::seed();
    println!("seed {seed}");
    let scene = Scene::with(TABLES, &SETTINGS).await;
    let url = format!("{}/v1/shape", scene.engine.binary.url());
    let first = scene.engine.shape("items").first().await.is(200);
    let requests = (0..REQUESTS).map(|number| {
        let (method, query, body) = request(&mut Random::new(seed, number as u64), &first.handle());
        let sent = scene.engine.http.request(method.clone(), format!("{url}?{query}")).send_body(body.clone());
        async move {
            let mut response = sent.await.unwrap_or_else(|e| panic!("seed {seed}, {method} {query} {body}: {e}"));
            let status = response.status().as_u16();
            let is_stream = response.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream");
            let told = if is_stream { None } else { Some(response.body().await.expect("a body")) };
            let known = [200, 202, 400, 404, 405, 409, 503].contains(&status);
            let json = told.as_ref().is_none_or(|told| {
                told.is_empty() || serde_json::from_slice::<Value>(told).is_ok() || told == "Not found"
            });
            assert!(known && json, "seed {seed}: {status} to {method} {query} {body}: {told:?}");
            (status, method)
        }
    });
    let answers: Vec<(u16, Method)> = stream::iter(requests).buffer_unordered(AT_ONCE).collect().await;
    for status in [200, 400, 409] {
        let count = answers.iter().filter(|(answered, _)| *answered == status).count();
        assert!(count > 0, "seed {seed}: nothing was answered {status}");
        println!("{count} answers {status}");
    }
    scene.engine.shape("items").first().await.is(200);
    scene.engine.binary.assert_quiet(&[]);
}
