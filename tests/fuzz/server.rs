//! The real program gets requests that no client would send, over plain sockets: it answers each that is HTTP, never with 500, and goes on serving.

use std::collections::BTreeMap;
use std::time::Duration;

use plue_sync::engine::tables::quote_literal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::times;
use crate::filter::generator::Generator;
use crate::filter::values::{DECLARED, KINDS};
use crate::support::{Database, Engine, Random, eventually};

const REQUESTS: u32 = 1_600;
const WORKERS: u32 = 4;
/// Longer than any of these requests may be held, on a machine that runs other tests.
const PATIENCE: Duration = Duration::from_secs(60);
const TABLES: &str = "CREATE TABLE items (id int PRIMARY KEY, value text, \"A b\" int); INSERT INTO items SELECT i, 'x' || i, i FROM generate_series(1, 50) i; \
                      CREATE TABLE \"My \"\"Table\" (id int PRIMARY KEY); CREATE VIEW seen AS SELECT * FROM items; CREATE TABLE bare ();";

/// Values of each parameter: right ones, and such as are right elsewhere.
const PARAMETERS: &[(&str, &[&str])] = &[
    (
        "table",
        &[
            "items",
            "public.items",
            "odd",
            "odd",
            "\"My \"\"Table\"",
            "seen",
            "bare",
            "nope",
            "pg_catalog.pg_class",
            "a.b.c",
            "\"",
            "",
            "é",
            "x\0y",
            "items;",
            "ITEMS",
        ],
    ),
    (
        "offset",
        &[
            "-1",
            "-1",
            "-1",
            "now",
            "0_0",
            "0_inf",
            "123_4",
            "18446744073709551615_18446744073709551615",
            "1_-1",
            "x",
            "",
            "-1 ",
            "99999999999999999999_0",
        ],
    ),
    ("handle", &["", "x", "123-456", "9999999999999999999999-1", "../../etc/passwd", "é\n", "\0", "a/b"]),
    ("live", &["true", "false", "", "0", "x"]),
    ("live_sse", &["true", "false", "x"]),
    ("experimental_live_sse", &["true", "false", "x"]),
    ("cursor", &["1", "-1", "x", "99999999999999999999999"]),
    ("columns", &["id", "id,value", "id,\"A b\"", "value", "nope", "", ",", "id,id", "\"", "id, value"]),
    ("queryable_columns", &["id", "id,value", "nope", ""]),
    ("replica", &["full", "default", "x"]),
    ("log", &["full", "changes_only", "x"]),
    (
        "where",
        &[
            "id > 5",
            "value = 'x1'",
            "id = $1",
            "value LIKE $1 AND id < $2",
            "1",
            "true",
            "1 x 1",
            "now() = now()",
            "id IN (SELECT id FROM items)",
            "'",
            "(((",
            "\0",
            "id = 1/0",
            "1 / (id - 5) = 1",
            "value::int = 1",
            "value::date > '2024-01-01'",
        ],
    ),
    ("params", &["{\"1\":\"x\"}", "[\"x\"]", "x", "{}", "{\"1\":1}", "{\"1\":null}", "[", "{\"2\":\"x\"}"]),
    ("params[1]", &["1", "x", "", "\0", "é"]),
    ("params[2]", &["2", "{1,2}"]),
    ("params[0]", &["2"]),
    ("params[a][b]", &["2"]),
    ("params[9999999999999999999999]", &["2"]),
    (
        "subset__where",
        &["id > 5", "id = $1", "nope = 1", "1", "'", "id IN (SELECT id FROM items)", "true; DROP TABLE items"],
    ),
    ("subset__params", &["{\"1\":\"5\"}", "[\"5\"]", "x"]),
    ("subset__params[1]", &["5", "x"]),
    ("subset__limit", &["1", "0", "-1", "x", "99999999999999999999"]),
    ("subset__offset", &["1", "0", "-1", "x"]),
    ("subset__order_by", &["id", "id DESC, value", "nope", "1", "id; DROP TABLE items", "(SELECT 1)", "random()"]),
    ("secret", &["x", ""]),
    ("api_secret", &["x"]),
    ("expired_handle", &["x"]),
    ("cache-buster", &["1"]),
    ("experimental_compaction", &["true", "x"]),
];

const PATHS: &[&str] = &[
    "/v1/shape/",
    "//v1//shape",
    "/v1/health",
    "/",
    "/v1",
    "/v1/shape/x",
    "/nope",
    "/v1/../v1/shape",
    "/v1/shape%2f",
    "/%76%31/shape",
    "/v1/shape;x=1",
    "/%00",
    "/%ff",
    "/v1/%E2%82%AC",
    "/V1/SHAPE",
    "/..%2f..%2fetc",
];

const METHODS: &[&str] = &[
    "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "POST", "POST", "POST", "DELETE", "HEAD", "OPTIONS", "PUT",
    "PATCH", "TRACE", "PROPFIND", "X",
];

const HEADERS: &[&str] = &[
    "Accept: text/event-stream",
    "Accept-Encoding: gzip, br",
    "If-None-Match: \"a:b:c\"",
    "If-None-Match: *",
    "If-None-Match: \u{1}",
    "Origin: http://localhost",
    "Origin: null",
    "Cookie: a=b",
    "Authorization: Bearer x",
    "Authorization: é",
    "X-Forwarded-For: ::1",
    "Range: bytes=0-1",
    "Expect: 100-continue",
    "Upgrade: h2c",
    "Content-Type: application/json",
    "Content-Type: application/x-www-form-urlencoded",
    "Content-Type: multipart/form-data; boundary=x",
    "Content-Type: \"",
    "Content-Encoding: gzip",
    "Access-Control-Request-Method: GET",
    "Access-Control-Request-Headers: x",
    "Cache-Control: no-cache",
    "Accept: ",
    "Electric-Protocol-Version: 9",
];

const BODIES: &[&str] = &[
    "",
    "{}",
    "[]",
    "null",
    "x",
    "{",
    "{\"where\":\"id > 5\"}",
    "{\"where\":\"id = $1\",\"params\":{\"1\":\"5\"}}",
    "{\"where\":1}",
    "{\"params\":[1]}",
    "{\"subset\":{\"where\":\"id > 5\",\"limit\":1}}",
    "{\"subset\":{\"where\":\"id = $1\",\"params\":{\"1\":\"5\"},\"order_by\":\"id\"}}",
    "{\"subset\":[]}",
    "{\"subset\":null}",
    "{\"where\":\"id > 5\",\"limit\":10,\"offset\":1,\"order_by\":\"id DESC\"}",
    "{\"limit\":-1}",
    "{\"limit\":1e99}",
    "{\"limit\":\"x\"}",
    "{\"order_by\":\"random()\"}",
    "where=id%3D1&params[1]=2",
    "{\"table\":\"items\",\"offset\":\"-1\"}",
    "{\"where\":\"\\ud800\"}",
    "{\"where\":\"\\u0000\"}",
    "[[[[[[[[[[[[[[[[[[[[",
    "{\"columns\":[\"id\"]}",
    "{\"columns\":\"id\",\"where\":null}",
    "{\"where_expr\":{\"$\":1}}",
];

/// A request that is HTTP whatever is in it; and the same damaged, which need not be answered.
struct Request {
    bytes: Vec<u8>,
    whole: bool,
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.,".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// One of the texts, or one with a random change.
fn value(random: &mut Random, texts: &[&str]) -> String {
    let mut text = random.pick(texts).to_owned();
    for _ in 0..random.below(8).saturating_sub(5) {
        let at = (0..=text.len())
            .filter(|at| text.is_char_boundary(*at))
            .nth(random.below(text.chars().count() + 1))
            .unwrap_or_default();
        text.insert_str(
            at,
            random.pick(&[
                "'", "\"", "\\", "\0", "%", "é", "😀", "(", ")", "{", "]", "$1", " ", "-", "9", ";", "a", "\n", ",",
            ]),
        );
    }
    text
}

fn request(random: &mut Random, generator: &mut Generator) -> Request {
    let mut query = Vec::new();
    // Most requests get as far as to be looked at.
    for name in ["table", "offset"] {
        if !random.one_in(12) {
            let (_, texts) = PARAMETERS.iter().find(|(own, _)| *own == name).expect("a parameter");
            query.push(format!(
                "{name}={}",
                encoded(&if random.one_in(3) { value(random, texts) } else { texts[0].to_owned() })
            ));
        }
    }
    for _ in 0..random.below(6).saturating_sub(1) {
        let (name, texts) = PARAMETERS[random.below(PARAMETERS.len())];
        query.push(format!("{}={}", encoded(name), encoded(&value(random, texts))));
    }
    if random.one_in(4) {
        let condition = generator.condition().condition();
        query.push(format!("table=odd&where={}", encoded(&condition.ours)));
        let params =
            condition.params.iter().enumerate().map(|(at, value)| format!("params[{}]={}", at + 1, encoded(value)));
        query.extend(params);
    }
    if random.one_in(20) {
        query.push(encoded(&"(".repeat(random.below(60_000))));
    }
    let body = if random.one_in(3) { value(random, BODIES) } else { String::new() };
    let headers: String = (0..random.below(4)).map(|_| format!("{}\r\n", random.pick(HEADERS))).collect();
    // A body that the head announces, or the reader would wait for it; a wait for permission to send it is not what is tried here.
    let headers = format!("{}Content-Length: {}\r\n", headers.replace("Expect: 100-continue\r\n", ""), body.len());
    let path = if random.one_in(6) { random.pick(PATHS) } else { "/v1/shape" };
    let target = format!("{path}?{}", query.join("&"));
    let head =
        format!("{} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n", random.pick(METHODS));
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body.as_bytes());
    // Header values of other bytes than these are no HTTP.
    let mut whole = headers.bytes().all(|byte| matches!(byte, b'\r' | b'\n' | 0x20..0x7F));
    for _ in 0..random.below(6).saturating_sub(3) {
        whole = false;
        let at = random.below(bytes.len());
        match random.below(3) {
            0 => bytes[at] = random.below(256) as u8,
            1 => bytes.truncate(at),
            _ => bytes.splice(at..at, b"\r\n\0 %\xff:"[..random.below(8)].iter().copied()).for_each(drop),
        }
        if bytes.is_empty() {
            break;
        }
    }
    Request { bytes, whole }
}

/// The status, or `None` if there was no answer.
async fn answer(address: &str, request: &Request) -> Option<u16> {
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    // It may be refused before all of it has been sent.
    let _ = socket.write_all(&request.bytes).await;
    if !request.whole {
        let _ = socket.shutdown().await;
    }
    let mut read = Vec::new();
    let mut piece = [0; 4096];
    let reading = async {
        while !read.windows(4).any(|four| four == b"\r\n\r\n") {
            match socket.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(length) => read.extend_from_slice(&piece[..length]),
            }
        }
    };
    let told = || String::from_utf8_lossy(&request.bytes[..request.bytes.len().min(2_000)]).into_owned();
    tokio::time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("no answer in {PATIENCE:?} to {}", told()));
    let head = String::from_utf8_lossy(&read);
    let status = head.strip_prefix("HTTP/1.1 ").or(head.strip_prefix("HTTP/1.0 ")).and_then(|rest| rest.get(..3));
    let status = status.and_then(|status| status.parse().ok());
    assert!(status.is_some() || !request.whole, "no answer but {head:?} to {}", told());
    if let Some(status @ 500..) = status {
        // Busy is an answer. Anything else would be a mistake of ours.
        assert_eq!(status, 503, "{head}\nto {}", told());
    }
    status
}

#[actix_rt::test]
async fn no_request_is_answered_with_500_and_none_stops_the_engine() {
    let seed = Random::seed();
    println!("PLUE_TEST_SEED={seed}");
    let database = Database::fresh().await;
    let client = database.connect().await;
    client.batch_execute(&format!("{DECLARED}{TABLES}{}", odd_table())).await.expect("the tables");
    // Live requests end soon; shapes beyond the limit make room for others.
    let settings = [("ELECTRIC_LONG_POLL_TIMEOUT", "50"), ("ELECTRIC_LOG_LEVEL", "warning")];
    let engine = Engine::with(&database, &settings).await;
    let address = engine.binary.url().trim_start_matches("http://").to_owned();
    let work = |worker: u32| {
        let address = address.clone();
        async move {
            let mut random = Random::new(seed, u64::from(worker));
            let values = KINDS.iter().map(|kind| kind.values.to_vec()).collect();
            let mut generator = Generator::new(Random::new(seed, u64::from(worker) + 100), values);
            let mut seen = BTreeMap::<Option<u16>, usize>::new();
            for _ in 0..times(REQUESTS) / WORKERS {
                let request = request(&mut random, &mut generator);
                *seen.entry(answer(&address, &request).await).or_default() += 1;
            }
            seen
        }
    };
    let seen = futures_util::future::join_all((0..WORKERS).map(work)).await;
    println!("{seen:?}");
    let ok: usize = seen.iter().filter_map(|seen| seen.get(&Some(200))).sum();
    assert!(ok > times(REQUESTS) as usize / 50, "PLUE_TEST_SEED={seed}: hardly any request was right: {seen:?}");
    let panicked = engine.binary.log().contains("panicked at");
    assert!(!panicked, "PLUE_TEST_SEED={seed}: {}", engine.binary.log());
    // It still follows changes.
    let shape = engine.shape("items");
    let first = shape.first().await.is(200);
    client.batch_execute("INSERT INTO items VALUES (1000, 'after')").await.expect("an insert");
    eventually(PATIENCE, "the change of a row", async || {
        let more = shape.get(&[("handle", &first.handle()), ("offset", &first.offset())]).await;
        if more.status == 200 && more.text().contains("after") {
            Ok(())
        } else {
            Err(format!("{} {}", more.status, more.text()))
        }
    })
    .await;
}

/// With rows of the first values of each kind, which every server takes.
fn odd_table() -> String {
    let columns = KINDS.iter().flat_map(|kind| ["a", "b"].map(|half| format!(", {}{half} {}", kind.name, kind.sql)));
    let mut sql = format!("CREATE TABLE odd (id int4 PRIMARY KEY{});", columns.collect::<String>());
    for id in 0..4 {
        let value = |at: usize| quote_literal(KINDS[at / 2].values[(id + at) % KINDS[at / 2].values.len().min(4)]);
        let values: Vec<_> = (0..KINDS.len() * 2).map(value).collect();
        sql.push_str(&format!("INSERT INTO odd VALUES ({id}, {});", values.join(", ")));
    }
    sql
}
