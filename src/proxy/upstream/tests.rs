//! Exchanges with a server that answers with given bytes.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::shape::{Dialect, ShapeRequest};

const HEAD: &str = "electric-handle: h\r\nelectric-offset: 0_0\r\nelectric-schema: {}\r\n";

/// A server that sends these bytes in answer to each request, and then closes the connection if asked to.
async fn server(answer: String, closes: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    actix_rt::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                stream.write_all(answer.as_bytes()).await.expect("a reader");
                if closes {
                    break;
                }
            }
        }
    });
    address
}

fn upstream(address: SocketAddr) -> Upstream {
    let mut config = crate::config::Config::load(None, &Default::default()).expect("the defaults").upstream;
    (config.body_timeout, config.response_timeout) = (Duration::from_millis(200), Duration::from_millis(500));
    Upstream::new(UpstreamUrl::parse(&format!("http://{address}"), &"".into()).expect("an address"), config)
}

fn ask() -> Ask {
    Ask::of(&ShapeRequest::parse("table=t&offset=-1", None, Dialect::Protocol).expect("a request"))
}

#[actix_rt::test]
async fn a_body_that_breaks_off_is_told_from_one_that_ends() {
    let chunked = "transfer-encoding: chunked\r\n";
    let closing = "transfer-encoding: chunked\r\nconnection: close\r\n";
    //   headers, body, whether the connection is closed after it, what is read
    let cases = [
        (chunked, "3\r\nabc\r\n0\r\n\r\n", false, Ok("abc")),
        (chunked, "3\r\nabc\r\n0\r\n\r\n", true, Ok("abc")),
        (closing, "3\r\nabc\r\n0\r\n\r\n", true, Ok("abc")),
        (closing, "3\r\nabc\r\n0\r\n\r\n", false, Ok("abc")),
        ("content-length: 3\r\n", "abc", false, Ok("abc")),
        ("content-length: 3\r\nconnection: close\r\n", "abc", true, Ok("abc")),
        ("content-length: 0\r\n", "", false, Ok("")),
        (chunked, "3\r\nabc\r\n", true, Err(Broken)),
        (closing, "3\r\nabc\r\n", true, Err(Broken)),
        (chunked, "3\r\nabc\r\n0\r\n", true, Err(Broken)),
        (chunked, "9\r\nabc", true, Err(Broken)),
        (chunked, "x\r\nabc", false, Err(Broken)),
        (chunked, "3\r\nabc\r\n", false, Err(Broken)),
        ("content-length: 4\r\n", "abc", true, Err(Broken)),
        ("content-length: 4\r\n", "abc", false, Err(Broken)),
    ];
    for (headers, body, closes, expected) in cases {
        let case = format!("{headers:?} {body:?} {closes}");
        let upstream = upstream(server(format!("HTTP/1.1 200 OK\r\n{HEAD}{headers}\r\n{body}"), closes).await);
        for _ in 0..2 {
            let mut incoming = upstream.exchange(&ask()).await.unwrap_or_else(|failure| panic!("{case}: {failure:?}"));
            let read = incoming.whole(100).await;
            assert_eq!(read, expected.map(|text| Some(Bytes::from_static(text.as_bytes()))), "{case}");
        }
    }
}

#[actix_rt::test]
async fn what_is_no_answer_of_a_shape_service_is_a_failure() {
    let cases = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK", Failure::Wrong("")),
        ("HTTP/1.1 200 OK\r\n\0\r\n\r\n", Failure::Wrong("")),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", Failure::Wrong("")),
        ("HTTP/1.1 301 Moved\r\nlocation: http://elsewhere/\r\ncontent-length: 0\r\n\r\n", Failure::Wrong("")),
        ("HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n", Failure::Refused(401)),
        ("HTTP/1.1 200 OK\r\nelectric-han", Failure::Unreachable { repeatable: false }),
        ("", Failure::Unreachable { repeatable: true }),
    ];
    for (answer, expected) in cases {
        let upstream = upstream(server(answer.to_owned(), true).await);
        let failure = upstream.exchange(&ask()).await.err();
        match (failure, expected) {
            (Some(Failure::Wrong(_)), Failure::Wrong(_)) => {}
            (failure, expected) => assert_eq!(failure, Some(expected), "{answer:?}"),
        }
    }
    let silent = upstream(server(String::new(), false).await);
    assert_eq!(silent.exchange(&ask()).await.err(), Some(Failure::Slow));
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    assert_eq!(upstream(gone).exchange(&ask()).await.err(), Some(Failure::Unreachable { repeatable: true }));
}

#[actix_rt::test]
async fn an_upstream_with_tls_is_asked_by_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let hello = actix_rt::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        stream.read_u8().await.expect("a byte")
    });
    let config = crate::config::Config::load(None, &Default::default()).expect("the defaults").upstream;
    let url = UpstreamUrl::parse(&format!("https://{address}"), &"".into()).expect("an address");
    let failure = Upstream::new(url, config).exchange(&ask()).await.err();
    assert!(matches!(failure, Some(Failure::Unreachable { .. })), "{failure:?}");
    assert_eq!(hello.await.expect("a server"), 22, "the type of a handshake record");
}

/// A server that sends each of these in answer to one connection.
async fn server_of(answers: Vec<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    actix_rt::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(&answer).await;
        }
    });
    address
}

#[actix_rt::test]
async fn no_bytes_of_an_upstream_panic() {
    let whole =
        format!("HTTP/1.1 200 OK\r\n{HEAD}transfer-encoding: chunked\r\n\r\n5\r\n[{{}},\r\n3\r\n{{}}]\r\n0\r\n\r\n");
    let mutated = |_| {
        let mut bytes = whole.clone().into_bytes();
        for _ in 0..rand::random_range(1..4) {
            let at = rand::random_range(0..bytes.len());
            match rand::random_range(0..3) {
                0 => bytes[at] = rand::random(),
                1 => _ = bytes.remove(at),
                _ => bytes.truncate(at),
            }
            bytes.push(rand::random());
        }
        bytes
    };
    const CASES: usize = 300;
    // A case may be asked twice.
    let address = server_of((0..2 * CASES).map(mutated).collect()).await;
    let limits = crate::config::Config::load(None, &Default::default()).expect("the defaults").upstream;
    for _ in 0..CASES {
        let url = UpstreamUrl::parse(&format!("http://{address}"), &"".into()).expect("an address");
        let config = UpstreamConfig { response_timeout: Duration::from_secs(5), ..limits.clone() };
        // Each with a breaker of its own.
        if let Ok(mut incoming) = Upstream::new(url, config).exchange(&ask()).await
            && let Ok(Some(body)) = incoming.whole(100).await
        {
            let _ = super::super::frame::messages(&body);
        }
    }
}

#[test]
fn only_active_is_active() {
    let cases = [
        (200, r#"{"status":"active"}"#, Health::Active),
        (202, r#"{"status":"waiting"}"#, Health::Waiting),
        (202, r#"{"status":"starting","more":1}"#, Health::Starting),
        (202, r#"{"status":"active"}"#, Health::Unreachable),
        (200, "OK", Health::Unreachable),
        (200, "", Health::Unreachable),
        (404, r#"{"status":"active"}"#, Health::Unreachable),
        (500, "\u{fffd}", Health::Unreachable),
    ];
    for (status, body, health) in cases {
        assert_eq!(health_of(status, body.as_bytes()), health, "{status} {body}");
    }
}
