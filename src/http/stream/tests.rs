//! Answers over a real socket: what HEAD, a length, chunks and a broken stream look like there.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use actix_web::{App, HttpServer, web};
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::shape::BrokenStream;

/// Every answer here is there at once; a test that waits longer has found a body that does not end.
const DEADLINE: Duration = Duration::from_secs(10);
/// More than one piece, and not a whole number of them.
const LARGE: usize = 3 * PIECE_BYTES + 7;

fn answer(status: u16, body: Body) -> Answer {
    Answer { status, headers: vec![("electric-up-to-date", String::new()), ("etag", "\"h:-1:0_0\"".to_owned())], body }
}

/// A stream that pauses before each event, as a real one does: what came before is written meanwhile.
fn events(events: Vec<Result<Bytes, BrokenStream>>) -> Body {
    Body::Stream(Box::pin(stream::iter(events).then(async |event| {
        tokio::task::yield_now().await;
        event
    })))
}

/// Starts a server of its own; it ends with the test's runtime.
fn serve() -> SocketAddr {
    let route = |make: fn() -> Answer| web::to(move |method: Method| async move { respond(&method, make()) });
    let server = HttpServer::new(move || {
        App::new()
            .route("/full", route(|| answer(200, Body::Full(Bytes::from_static(b"[1,2]")))))
            .route("/large", route(|| answer(200, Body::Full(Bytes::from(vec![b'x'; LARGE])))))
            .route("/empty", route(|| answer(200, Body::Empty)))
            .route("/unchanged", route(|| answer(304, Body::Empty)))
            .route("/stream", route(|| answer(200, events(vec![Ok("[1,".into()), Ok("2]".into())]))))
            .route("/broken", route(|| answer(200, events(vec![Ok("[1,".into()), Err(BrokenStream)]))))
    });
    let server = server.workers(1).bind(("127.0.0.1", 0)).expect("a free port");
    let address = server.addrs().first().copied().expect("one address is bound");
    actix_web::rt::spawn(server.disable_signals().run());
    address
}

/// Head and body as they came over the wire, read until the server closes.
async fn exchange(address: SocketAddr, method: &str, path: &str, connection: &str) -> (String, String) {
    let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: {connection}\r\n\r\n");
    let mut socket = TcpStream::connect(address).await.expect("the server listens");
    socket.write_all(request.as_bytes()).await.expect("the server reads");
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(DEADLINE, socket.read_to_end(&mut bytes)).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(read.is_ok(), "{method} {path} did not end after {DEADLINE:?}: {text}");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {path}: no head in {text:?}"));
    (head.to_ascii_lowercase(), body.to_owned())
}

#[actix_web::test]
async fn bodies_have_a_length_or_come_in_chunks_and_head_has_none() {
    let address = serve();
    //   path, status line, a header of the framing, body of GET
    let cases = [
        ("/full", "http/1.1 200 ok", Some("content-length: 5"), "[1,2]"),
        ("/empty", "http/1.1 200 ok", Some("content-length: 0"), ""),
        ("/unchanged", "http/1.1 304 not modified", None, ""),
        ("/stream", "http/1.1 200 ok", Some("transfer-encoding: chunked"), "3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n"),
    ];
    for (path, status, framing, sent) in cases {
        for (method, expected) in [("GET", sent), ("HEAD", "")] {
            let (head, body) = exchange(address, method, path, "close").await;
            assert!(head.starts_with(status), "{method} {path}: {head}");
            for header in ["electric-up-to-date: ", "etag: \"h:-1:0_0\""].into_iter().chain(framing) {
                assert!(head.lines().any(|line| line == header), "{method} {path}: {header} in {head}");
            }
            assert_eq!(head.contains("x-accel-buffering: no"), path == "/stream", "{method} {path}: {head}");
            assert_eq!(body, expected, "{method} {path}");
        }
    }
}

#[actix_web::test]
async fn a_large_body_is_whole() {
    let (head, body) = exchange(serve(), "GET", "/large", "close").await;
    assert!(head.contains(&format!("content-length: {LARGE}")), "{head}");
    assert!(body.len() == LARGE && body.bytes().all(|byte| byte == b'x'), "{} bytes", body.len());
}

#[actix_web::test]
async fn what_is_held_lives_as_long_as_the_body() {
    let held = Rc::new(());
    let body = Body::Full(Bytes::from(vec![b'x'; LARGE]));
    let mut response = respond_to(&Method::GET, answer(200, body), Rc::clone(&held), None).into_body();
    let mut read = 0;
    while let Some(piece) = std::future::poll_fn(|context| Pin::new(&mut response).poll_next(context)).await {
        let piece = piece.expect("a body in memory");
        assert!(piece.len() <= PIECE_BYTES, "{}", piece.len());
        read += piece.len();
        assert_eq!(Rc::strong_count(&held), 2);
    }
    assert_eq!(read, LARGE);
    drop(response);
    assert_eq!(Rc::strong_count(&held), 1);
}

#[actix_web::test]
async fn a_broken_stream_is_cut_without_an_end() {
    let (head, body) = exchange(serve(), "GET", "/broken", "keep-alive").await;
    assert!(head.starts_with("http/1.1 200 ok"), "{head}");
    assert_eq!(body, "3\r\n[1,\r\n", "no last chunk");
}
