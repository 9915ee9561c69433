//! The route table, in all spellings of its paths, and the secret on the route behind them.
//!
//! The engine behind the routes here never starts: a request that is told so has passed everything that is tested.

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::test::{TestRequest, call_service, init_service, read_body};

use super::*;
use crate::engine::Engine;

const BAD_REQUEST: u16 = 400;
const NO_OFFSET: &str = r#"{"errors":{"offset":["can't be blank"]},"message":"Invalid request"}"#;
const NOT_READY: (u16, &str) = (503, r#"{"message":"Timeout waiting for replication client to be ready"}"#);
const UNAUTHORIZED: &str = r#"{"message":"Unauthorized - Invalid API secret"}"#;
const NOT_FOUND: &str = "Not found";

fn method(name: &str) -> Method {
    Method::from_bytes(name.as_bytes()).expect("a method")
}

async fn call(access: &Access, name: &str, uri: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, String) {
    ask(access, Engine::idle([1, 1], false), name, uri, headers, "").await
}

async fn ask(
    access: &Access,
    engine: Engine,
    name: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> (StatusCode, HeaderMap, String) {
    let app = init_service(electric_app(access.clone()).app_data(Data::new(Source::Engine(engine)))).await;
    let mut request = TestRequest::with_uri(uri).method(method(name)).set_payload(body);
    for header in headers {
        request = request.insert_header(*header);
    }
    let response = call_service(&app, request.to_request()).await;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = String::from_utf8(read_body(response).await.to_vec()).expect("bodies here are text");
    (status, headers, body)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().expect("headers here are text"))
}

fn secret() -> Access {
    Access::Secret(SecretString::from("s+1"))
}

#[actix_web::test]
async fn paths_are_routed_after_normalisation() {
    let shape = (BAD_REQUEST, NO_OFFSET);
    let cases = [
        ("GET", "/", (200, "")),
        ("HEAD", "/", (200, "")),
        ("POST", "/", (404, NOT_FOUND)),
        ("GET", "/v1/shape?table=items", shape),
        ("GET", "/v1/shape/?table=items", shape),
        ("GET", "/v1//shape", shape),
        ("GET", "//v1/shape//?table=items", shape),
        ("GET", "/v1/%73hape", shape),
        ("GET", "/%76%31/shape/", shape),
        ("HEAD", "/v1/shape?table=items", (BAD_REQUEST, "")),
        ("GET", "/v1/shape?table=items&offset=-1", NOT_READY),
        ("POST", "/v1/%73hape?table=items&offset=-1", NOT_READY),
        ("POST", "/v1/shape?table=items", shape),
        ("DELETE", "/v1/shape/?table=items", NOT_READY),
        ("OPTIONS", "/v1/shape", (204, "")),
        ("OPTIONS", "/v1/%73hape", (204, "")),
        ("PUT", "/v1/shape", (404, NOT_FOUND)),
        ("PATCH", "/v1/shape/", (404, NOT_FOUND)),
        ("OPTIONS", "/v1/health", (404, NOT_FOUND)),
        ("POST", "/v1/health", (404, NOT_FOUND)),
        ("GET", "/nonexistent", (404, NOT_FOUND)),
        ("GET", "/shape", (404, NOT_FOUND)),
        ("GET", "/v1/shape/items", (404, NOT_FOUND)),
        ("GET", "/v1%2Fshape", (404, NOT_FOUND)),
        ("GET", "/v1/shapes", (404, NOT_FOUND)),
        ("GET", "/V1/shape", (404, NOT_FOUND)),
    ];
    for (name, uri, expected) in cases {
        let (status, headers, body) = call(&Access::Open, name, uri, &[]).await;
        assert_eq!((status.as_u16(), body.as_str()), expected, "{name} {uri}");
        assert_eq!(header(&headers, "access-control-allow-origin"), Some("*"), "{name} {uri}");
        assert_eq!(header(&headers, "electric-server"), Some("plue-sync/0.1.0"), "{name} {uri}");
        assert_eq!(header(&headers, "x-request-id").map(str::len), Some(32), "{name} {uri}");
    }
}

#[actix_web::test]
async fn the_secret_is_asked_for_by_the_route_whatever_its_spelling() {
    let refused = (401, UNAUTHORIZED);
    let passed = (BAD_REQUEST, NO_OFFSET);
    let cases = [
        ("GET", "/v1/shape", refused),
        ("HEAD", "/v1/shape", (401, "")),
        ("POST", "/v1/shape", refused),
        ("DELETE", "/v1/shape?table=items", refused),
        ("PUT", "/v1/shape", refused),
        ("GET", "/v1/shape/", refused),
        ("GET", "/v1//shape", refused),
        ("GET", "/v1/%73hape", refused),
        ("GET", "/v1/shape?secret=", refused),
        ("GET", "/v1/shape?secret=s", refused),
        ("GET", "/v1/shape?secret=s%2B12", refused),
        ("GET", "/v1/shape?secret[]=s%2B1", refused),
        ("GET", "/v1/shape?secret=s%2B1&where=%ff", refused),
        ("GET", "/v1/shape?secret=wrong&api_secret=s%2B1", refused),
        ("GET", "/v1/shape?secret=s%2B1&secret=wrong", refused),
        ("GET", "/v1/shape?secret=wrong&secret=s%2B1", passed),
        ("GET", "/v1/shape?secret=s%2B1", passed),
        ("GET", "/v1/shape?api_secret=s%2B1", passed),
        ("GET", "/v1/shape?secret=s%2B1&api_secret=wrong", passed),
        ("OPTIONS", "/v1/shape", (204, "")),
        ("GET", "/", (200, "")),
        ("GET", "/nonexistent", (404, NOT_FOUND)),
    ];
    for (name, uri, expected) in cases {
        let (status, headers, body) = call(&secret(), name, uri, &[]).await;
        assert_eq!((status.as_u16(), body.as_str()), expected, "{name} {uri}");
        if expected == refused {
            assert_eq!(header(&headers, "content-type"), None, "{name} {uri}");
            assert_eq!(header(&headers, "cache-control"), Some(DEFAULT_CACHE_CONTROL), "{name} {uri}");
            assert_eq!(header(&headers, "access-control-allow-origin"), Some("*"), "{name} {uri}");
        }
    }
    let (status, ..) = call(&Access::Open, "GET", "/v1/shape?secret=any", &[]).await;
    assert_eq!(status, BAD_REQUEST, "insecure mode ignores the secret");
}

#[actix_web::test]
async fn headers_say_what_browsers_and_caches_may_do() {
    const SHAPE: &str = "GET, POST, HEAD, DELETE, OPTIONS";
    const OTHER: &str = "GET, HEAD";
    //   request, allowed methods, cache-control, surrogate-control, content type
    let json = Some("application/json; charset=utf-8");
    let cases = [
        ("GET", "/v1/shape", SHAPE, Some("no-store"), Some("no-store"), json),
        ("HEAD", "/v1/shape", SHAPE, Some("no-store"), Some("no-store"), json),
        ("POST", "/v1/shape", SHAPE, Some("no-cache"), None, json),
        ("DELETE", "/v1/shape", SHAPE, Some("no-cache"), None, json),
        ("OPTIONS", "/v1/%73hape", SHAPE, None, None, None),
        ("GET", "/", OTHER, Some(DEFAULT_CACHE_CONTROL), None, None),
        ("GET", "/nonexistent", OTHER, Some(DEFAULT_CACHE_CONTROL), None, None),
        ("POST", "/v1/health", OTHER, Some(DEFAULT_CACHE_CONTROL), None, None),
    ];
    for (name, uri, methods, cache_control, surrogate_control, content_type) in cases {
        let (_, headers, _) = call(&Access::Open, name, uri, &[]).await;
        let expected = [
            ("access-control-allow-methods", Some(methods)),
            ("cache-control", cache_control),
            ("surrogate-control", surrogate_control),
            ("content-type", content_type),
            ("access-control-allow-credentials", None),
            ("access-control-max-age", (name == "OPTIONS").then_some("86400")),
            (
                "access-control-expose-headers",
                Some(
                    "electric-cursor,electric-handle,electric-has-data,electric-offset,electric-schema,\
                     electric-up-to-date,electric-internal-known-error,retry-after,plue-index",
                ),
            ),
        ];
        for (header_name, value) in expected {
            assert_eq!(header(&headers, header_name), value, "{name} {uri}: {header_name}");
        }
        assert!(headers.iter().all(|(key, _)| headers.get_all(key).count() == 1), "{name} {uri}: {headers:?}");
    }
}

#[actix_web::test]
async fn a_preflight_and_a_request_id_are_answered_from_their_headers() {
    let asked = [("access-control-request-headers", "if-none-match, x-other"), ("origin", "https://a.example")];
    let (_, headers, _) = call(&secret(), "OPTIONS", "/v1/shape", &asked).await;
    assert_eq!(header(&headers, "access-control-allow-headers"), Some("if-none-match"));

    let long = "x".repeat(201);
    //   x-request-id, echoed
    let cases = [("0193e1c5-8d2c-7000-8000-000000000001", true), ("short", false), (long.as_str(), false)];
    for (id, echoed) in cases {
        for uri in ["/v1/shape", "/nonexistent"] {
            let (_, headers, _) = call(&Access::Open, "GET", uri, &[("x-request-id", id)]).await;
            assert_eq!(header(&headers, "x-request-id") == Some(id), echoed, "{uri} {id}");
        }
    }
}

#[actix_web::test]
async fn only_an_active_source_is_healthy() {
    let cases = [
        (Health::Active, 200, r#"{"status":"active"}"#),
        (Health::Waiting, 202, r#"{"status":"waiting"}"#),
        (Health::Starting, 202, r#"{"status":"starting"}"#),
    ];
    for (health, status, body) in cases {
        let answer = health_answer(health);
        assert_eq!(answer.status, status, "{health:?}");
        assert_eq!(answer.header("cache-control"), Some("no-cache, no-store, must-revalidate"));
        assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
        let Body::Full(sent) = answer.body else { panic!("{health:?} has a body") };
        assert_eq!(sent, body);
    }
}

#[actix_web::test]
async fn a_body_that_cannot_be_read_is_refused_before_anything_it_could_say() {
    let large = vec![b' '; 9_000_000];
    let cases: [(&[u8], u16, &str); 6] = [
        (b"[]", 400, r#"{"error":"Request body must be a JSON object"}"#),
        (
            b"{",
            400,
            r#"{"details":"EOF while parsing an object at line 1 column 1","error":"Invalid JSON in request body"}"#,
        ),
        (&large, 413, r#"{"error":"Request body too large"}"#),
        (b"", 400, NO_OFFSET),
        (b"{}", 400, NO_OFFSET),
        (br#"{"offset":"-1"}"#, 400, NO_OFFSET),
    ];
    for (body, status, told) in cases {
        let body = Bytes::copy_from_slice(body);
        let case = String::from_utf8_lossy(&body[..body.len().min(20)]).into_owned();
        let (got, headers, text) =
            ask(&Access::Open, Engine::idle([1, 1], false), "POST", "/v1/shape", &[], body).await;
        assert_eq!((got.as_u16(), text.as_str()), (status, told), "{case}");
        let cache_control = if told == NO_OFFSET { "no-cache" } else { DEFAULT_CACHE_CONTROL };
        assert_eq!(header(&headers, "cache-control"), Some(cache_control), "{case}");
    }
}

#[actix_web::test]
async fn a_request_too_many_is_refused_before_it_is_read() {
    for (name, cache_control) in [("GET", "no-store"), ("HEAD", "no-store"), ("POST", "no-cache")] {
        let uri = "/v1/shape?handle=unknown";
        let (status, headers, body) = ask(&Access::Open, Engine::idle([0, 1], false), name, uri, &[], "[").await;
        assert_eq!(status.as_u16(), 503, "{name}");
        let told = r#"{"code":"concurrent_request_limit_exceeded","message":"Concurrent initial request limit exceeded (limit: 0), please retry"}"#;
        assert_eq!(body, if name == "HEAD" { "" } else { told }, "{name}");
        assert_eq!(header(&headers, "electric-internal-known-error"), Some("true"), "{name}");
        assert_eq!(header(&headers, "cache-control"), Some(cache_control), "{name}");
    }
    let (status, ..) = ask(&secret(), Engine::idle([0, 0], false), "GET", "/v1/shape", &[], "").await;
    assert_eq!(status.as_u16(), 401, "who does not know the secret is told nothing else");
    for (name, expected) in [("OPTIONS", 204), ("DELETE", 503)] {
        let (status, _, body) = ask(&Access::Open, Engine::idle([0, 0], true), name, "/v1/shape", &[], "").await;
        assert_eq!(status.as_u16(), expected, "{name} is not counted");
        assert!(!body.contains("concurrent"), "{name}: {body}");
    }
}

#[actix_web::test]
async fn a_place_is_given_back_with_the_end_of_the_answer() {
    let engine = Engine::idle([1, 1], false);
    let app = init_service(electric_app(Access::Open).app_data(Data::new(Source::Engine(engine)))).await;
    let ask = || call_service(&app, TestRequest::with_uri("/v1/shape?offset=x").to_request());
    let first = ask().await;
    assert_eq!(first.status(), 400);
    assert_eq!(ask().await.status(), 503, "the first answer has not been sent");
    read_body(first).await;
    assert_eq!(ask().await.status(), 400);
}
