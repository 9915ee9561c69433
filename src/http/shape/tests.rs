//! The API's shape routes as far as they go without a source, and what they keep of a request.

use std::cell::Cell;
use std::rc::Rc;

use actix_web::App;
use actix_web::error::PayloadError;
use actix_web::test::{TestRequest, call_service, init_service, read_body};

use bytes::Bytes;

use super::*;
use crate::auth::{NamedShapes, Narrow};
use crate::engine::Engine;

fn origins() -> Data<Origins> {
    Data::new(Origins::Listed { origins: vec!["https://app.example".to_owned()], with_credentials: false })
}

fn guard() -> Data<Guard> {
    Data::new(Guard::open(Narrow::new(NamedShapes::default())))
}

#[actix_web::test]
async fn both_paths_serve_the_tables_of_agent_state_and_no_other() {
    let source = Data::new(Source::Engine(Engine::idle([1, 1], true)));
    let app =
        init_service(App::new().app_data(origins()).app_data(guard()).app_data(source).configure(api_routes)).await;
    let unknown = |name: &str| {
        format!(
            "Table {name} does not exist. If the table name contains capitals or special characters you must quote it."
        )
    };
    let cases = [
        ("GET", "table=users", "table", unknown("\"public\".\"users\"")),
        ("GET", "table=other.sessions", "table", unknown("\"other\".\"sessions\"")),
        ("GET", "table=%22Sessions%22", "table", unknown("\"public\".\"Sessions\"")),
        ("GET", "table=pg_catalog.pg_authid", "table", unknown("\"pg_catalog\".\"pg_authid\"")),
        ("GET", "table=a.b.c", "table", "Invalid relation identifier, too many delimiters: a.b.c".to_owned()),
        ("GET", "", "table", "can't be blank".to_owned()),
        ("GET", "table=sessions&offset=x", "offset", "has invalid format".to_owned()),
        ("GET", "table=sessions&live=true", "live", "can't be true when offset == -1".to_owned()),
        ("POST", "table=users", "table", unknown("\"public\".\"users\"")),
        ("POST", "table=sessions&offset=x", "offset", "has invalid format".to_owned()),
    ];
    for path in ["/shape", "/v1/shape", "/shape/", "/v1/%73hape/"] {
        for (method, query, field, text) in &cases {
            let request = TestRequest::with_uri(&format!("{path}?{query}"))
                .method(Method::from_bytes(method.as_bytes()).expect("a method"))
                .insert_header((header::ORIGIN, "https://app.example"))
                .to_request();
            let response = call_service(&app, request).await;
            let case = format!("{method} {path}?{query}");
            assert_eq!(response.status(), 400, "{case}");
            let allowed = response.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).cloned();
            assert_eq!(allowed, Some(HeaderValue::from_static("https://app.example")), "{case}");
            let body: serde_json::Value = serde_json::from_slice(&read_body(response).await).expect("JSON");
            let expected = serde_json::json!({"message": "Invalid request", "errors": {*field: [text]}});
            assert_eq!(body, expected, "{case}");
        }
        let body = r#"{"table":"users"}"#;
        let request = TestRequest::post().uri(&format!("{path}?table=sessions")).set_payload(body).to_request();
        let response = call_service(&app, request).await;
        assert_eq!(response.status(), 400, "a body cannot name another table");
        read_body(response).await;
        let response = call_service(&app, TestRequest::delete().uri(path).to_request()).await;
        assert_eq!(response.status(), 405, "nobody ends a shape here, whatever the engine's own port allows");
    }
}

#[actix_web::test]
async fn a_handler_keeps_only_the_headers_it_reads() {
    let names = |request: HttpRequest| async move {
        let mut names: Vec<String> =
            request.headers().iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        names.sort_unstable();
        names.join(" ")
    };
    let route = web::resource("/").wrap(from_fn(shape_route)).route(web::get().to(names));
    let app = init_service(App::new().service(route)).await;
    let request = TestRequest::get()
        .insert_header((header::COOKIE, "a=b"))
        .insert_header((header::USER_AGENT, "curl"))
        .insert_header((header::ACCEPT_ENCODING, "gzip"))
        .append_header((header::IF_NONE_MATCH, "\"x\""))
        .append_header((header::IF_NONE_MATCH, "\"y\""))
        .to_request();
    let response = call_service(&app, request).await;
    assert_eq!(response.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN), None, "no origins are permitted");
    let kept = read_body(response).await;
    assert_eq!(kept, r#"accept-encoding="gzip" if-none-match="\"x\"" if-none-match="\"y\"""#);
    let live = TestRequest::with_uri("/?offset=0_0&live=true").insert_header((header::ACCEPT_ENCODING, "gzip"));
    assert_eq!(read_body(call_service(&app, live.to_request()).await).await, "", "a request that is held keeps less");
}

/// What becomes of a body that comes in these pieces, and how many of them were read.
async fn read_pieces(pieces: Vec<Result<Bytes, PayloadError>>) -> (Result<PostBody, BadBody>, usize) {
    let read = Rc::new(Cell::new(0));
    let count = Rc::clone(&read);
    let stream = futures_util::stream::iter(pieces).inspect(move |_| count.set(count.get() + 1)).boxed_local();
    let mut payload = actix_web::dev::Payload::Stream { payload: stream };
    let request = TestRequest::post().to_http_request();
    let payload = Payload::from_request(&request, &mut payload).await.expect("a body");
    (super::read_body(payload).await, read.get())
}

#[actix_web::test]
async fn a_body_is_read_to_its_end_or_far_enough() {
    let piece = || Ok(Bytes::from(vec![b' '; 1_000_000]));
    let many = |count: usize| (0..count).map(|_| piece()).collect::<Vec<_>>();
    let object = || Ok(Bytes::from_static(b"{}"));
    assert!(read_pieces(vec![Ok(Bytes::from_static(b"{")), Ok(Bytes::from_static(b"}"))]).await.0.is_ok());
    let mut largest = many(7);
    largest.extend([Ok(Bytes::from(vec![b' '; 999_998])), object()]);
    assert!(read_pieces(largest).await.0.is_ok(), "exactly as large as it may be");
    //   pieces, refusal, pieces read
    let mut over = many(8);
    over.push(object());
    let cases = [
        (over, BadBody::TooLarge, 9),
        (many(100), BadBody::TooLarge, 33),
        (vec![object(), Err(PayloadError::Incomplete(None)), object()], BadBody::Unreadable, 2),
    ];
    for (pieces, refusal, count) in cases {
        let (body, read) = read_pieces(pieces).await;
        assert_eq!((body.err(), read), (Some(refusal), count));
    }
}
