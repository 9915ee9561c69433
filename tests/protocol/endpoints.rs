//! Routes, health, and what a browser of another origin may see: statements 1 to 20, 29 and 30.

use actix_web::http::Method;
use serde_json::json;

use super::{A, B, Http, ITEMS, SOON, Server, insert};
use crate::support::{Binary, Reply, eventually};

const SHAPE: &str = "/v1/shape?table=items&offset=-1";
const EXPOSED: [&str; 8] = [
    "electric-cursor",
    "electric-handle",
    "electric-has-data",
    "electric-offset",
    "electric-schema",
    "electric-up-to-date",
    "electric-internal-known-error",
    "retry-after",
];

/// The methods that an answer allows, sorted.
fn allowed(reply: &Reply) -> Vec<&str> {
    let list = reply.header("access-control-allow-methods").unwrap_or_default();
    let mut methods: Vec<_> = list.split(',').map(str::trim).collect();
    methods.sort_unstable();
    methods
}

#[actix_rt::test]
async fn c001_c002_c003_c004_c005_c006_c020_c030_routes() {
    let server = Server::new(ITEMS).await;
    let http = &server.http;
    for method in [Method::GET, Method::HEAD] {
        let root = http.send(method.clone(), "/", &[], b"").await.is(200);
        assert_eq!(root.text(), "", "{method}");
    }
    for (method, path) in [
        (Method::GET, "/nonexistent"),
        (Method::PUT, "/v1/shape"),
        (Method::PUT, SHAPE),
        (Method::OPTIONS, "/v1/health"),
        (Method::POST, "/"),
    ] {
        let reply = http.send(method.clone(), path, &[], b"").await.is(404);
        assert_eq!(reply.text(), "Not found", "{method} {path}");
    }
    let unknown = http.get("/nonexistent").await.is(404);
    assert_eq!(allowed(&unknown), ["GET", "HEAD"]);
    for path in ["/v1/shape/", "/v1//shape", "/v1/shape//", "/v1/%73hape"] {
        let reply = http.get(&format!("{path}?table=items&offset=-1")).await;
        assert_eq!((reply.status, reply.header("electric-offset")), (200, Some("0_0")), "{path}: {}", reply.text());
    }
    for path in ["/", "/nonexistent", "/v1/health", SHAPE, "/v1/shape", "/v1/shape?table=items&offset=0_0&handle=no"] {
        let reply = http.get(path).await;
        assert!(reply.header("x-request-id").is_some_and(|id| !id.is_empty()), "{path}: {:?}", reply.headers);
    }
    let preflight = http.send(Method::OPTIONS, "/v1/shape", &[], b"").await;
    assert!(preflight.header("x-request-id").is_some());
}

#[actix_rt::test]
async fn c007_c010_health_is_active() {
    let server = Server::new(ITEMS).await;
    let health = server.http.get("/v1/health").await.is(200);
    assert_eq!(health.json(), json!({"status": "active"}));
    assert_eq!(health.header("cache-control"), Some("no-cache, no-store, must-revalidate"));
    assert_eq!(health.header("content-type"), Some("application/json; charset=utf-8"));
}

#[actix_rt::test]
async fn c008_health_says_starting_while_the_slot_waits_for_an_open_transaction() {
    let database = crate::support::Database::fresh().await;
    let client = database.connect().await;
    client.batch_execute("BEGIN; SELECT pg_current_xact_id()").await.expect("a transaction");
    let settings = [("DATABASE_URL", database.url()), ("ELECTRIC_INSECURE", "true")];
    let binary = Binary::start(&["engine"], &settings).await;
    let http = Http::to(&binary.url());
    let starting = http.get("/v1/health").await.is(202);
    assert_eq!(starting.json(), json!({"status": "starting"}));
    assert_eq!(starting.header("cache-control"), Some("no-cache, no-store, must-revalidate"));
    client.batch_execute("COMMIT").await.expect("its end");
    eventually(SOON, "an active engine", async || match http.get("/v1/health").await {
        reply if reply.status == 200 => Ok(()),
        reply => Err(reply.text()),
    })
    .await;
}

#[actix_rt::test]
async fn c009_a_second_instance_waits() {
    let first = Server::new(ITEMS).await;
    let settings = [("DATABASE_URL", first.database.url()), ("ELECTRIC_INSECURE", "true")];
    let second = Binary::start(&["engine"], &settings).await;
    let http = Http::to(&second.url());
    eventually(SOON, "a second instance that waits", async || match http.get("/v1/health").await {
        reply if reply.status == 202 && reply.json() == json!({"status": "waiting"}) => Ok(()),
        reply => Err((reply.status, reply.text())),
    })
    .await;
    first.http.get("/v1/health").await.is(200);
}

#[actix_rt::test]
async fn c011_c012_c013_c014_c016_preflight() {
    let server = Server::new(ITEMS).await;
    let preflight = server.http.send(Method::OPTIONS, "/v1/shape", &[], b"").await.is(204);
    assert_eq!(preflight.text(), "");
    assert_eq!(allowed(&preflight), ["DELETE", "GET", "HEAD", "OPTIONS", "POST"]);
    assert_eq!(preflight.header("access-control-max-age"), Some("86400"));
    assert_eq!(preflight.header("cache-control"), None);
    // The list is what browsers send for a POST; 13 asks for it.
    for asked in ["if-none-match", "content-type,if-none-match", "authorization, traceparent"] {
        let headers = [("origin", "https://a.example"), ("access-control-request-headers", asked)];
        let reply = server.http.send(Method::OPTIONS, "/v1/shape", &headers, b"").await.is(204);
        let list = reply.header("access-control-allow-headers").unwrap_or_default().to_lowercase();
        for name in asked.split(',').map(str::trim) {
            assert!(list.split(',').any(|allowed| allowed.trim() == name), "{name} is not in {list:?}");
        }
    }
    let escaped = server.http.send(Method::OPTIONS, "/v1/%73hape", &[], b"").await.is(204);
    assert_eq!(allowed(&escaped), allowed(&preflight));
}

#[actix_rt::test]
async fn c017_c018_c019_origins() {
    let server = Server::new(ITEMS).await;
    for path in [SHAPE, "/v1/shape", "/v1/shape?table=items&offset=0_0&handle=no"] {
        let reply = server.http.get(path).await;
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"), "{path}");
        let headers = [("origin", "https://a.example")];
        let reply = server.http.send(Method::GET, path, &headers, b"").await;
        let origin = reply.header("access-control-allow-origin");
        assert!(matches!(origin, Some("*" | "https://a.example")), "{path}: {origin:?}");
        let exposed = reply.header("access-control-expose-headers").unwrap_or_default();
        for name in EXPOSED {
            assert!(exposed.split(',').any(|of| of.trim() == name), "{path}: {name} is not in {exposed}");
        }
    }
}

#[actix_rt::test]
async fn c029_head_is_get_without_a_body() {
    let server = Server::new(&format!("{ITEMS} {} {}", insert(A, "a"), insert(B, "b"))).await;
    let kept = |reply: &Reply| {
        // The length of a body that is streamed is known only when it has been sent.
        let own = ["date", "x-request-id", "transfer-encoding", "content-length"];
        let headers = reply.headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
        let mut headers: Vec<_> = headers.map(|(name, value)| format!("{name}: {value:?}")).collect();
        headers.sort();
        headers
    };
    for query in ["table=items&offset=-1", "table=items&offset=now", "offset=-1"] {
        let get = server.send(Method::GET, query, &[], b"").await;
        let head = server.send(Method::HEAD, query, &[], b"").await;
        assert_eq!((head.status, head.text().as_str()), (get.status, ""), "{query}");
        let (of_head, of_get) = (kept(&head), kept(&get));
        // An answer of now is never the same twice.
        let same = |header: &&String| !header.starts_with("etag") || !query.contains("now");
        assert_eq!(
            of_head.iter().filter(same).collect::<Vec<_>>(),
            of_get.iter().filter(same).collect::<Vec<_>>(),
            "{query}"
        );
    }
}
