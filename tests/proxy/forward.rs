//! What goes to the upstream and what comes back, for readers who do not wait.

use actix_web::http::Method;

use super::{SECRET, SOON, Setup};
use crate::support::{Binary, Database, Fault, Reply};

/// The headers that readers work with.
fn protocol_headers(reply: &Reply) -> Vec<(String, String)> {
    let names = ["content-type", "content-length", "cache-control", "etag", "electric-"];
    let mut headers: Vec<(String, String)> = reply
        .headers
        .iter()
        .filter(|(name, _)| names.iter().any(|known| name.as_str().starts_with(known)))
        .map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned()))
        .collect();
    headers.sort();
    headers
}

/// The body, and not how far the stream had come at the end of it: that moves from one answer to the next.
fn without_position(reply: &Reply) -> String {
    let text = reply.text();
    match text.split_once(r#""global_last_seen_lsn":""#) {
        Some((before, rest)) => format!("{before}{}", rest.trim_start_matches(|letter: char| letter.is_ascii_digit())),
        None => text,
    }
}

#[actix_rt::test]
async fn answers_are_those_of_the_upstream_byte_for_byte() {
    let setup = Setup::with(&[("ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD", "20000")], &[]).await;
    setup.add(0..500).await;
    let definitions: [&[(&str, &str)]; 4] = [
        &[("table", "sessions")],
        &[("table", "public.sessions"), ("where", "title <> $1"), ("params[1]", "Session & 7"), ("replica", "full")],
        &[("table", "sessions"), ("columns", "id,\"title\""), ("log", "changes_only")],
        &[("table", "messages")],
    ];
    for definition in definitions {
        let (direct, proxied) = (setup.direct(definition), setup.shape(definition));
        let first = direct.first().await.is(200);
        let handle = first.handle();
        let mut asked = vec![("offset", "-1".to_owned())];
        loop {
            let more: Vec<(&str, &str)> = asked.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let (expected, seen) = (direct.get(&more).await, proxied.get(&more).await);
            assert_eq!(without_position(&seen), without_position(&expected), "{definition:?} {more:?}");
            assert_eq!(protocol_headers(&seen), protocol_headers(&expected), "{definition:?} {more:?}");
            if seen.header("electric-up-to-date").is_some() {
                break;
            }
            asked = vec![("offset", seen.offset()), ("handle", handle.clone())];
        }
        let tag = first.header("etag").expect("a tag").to_owned();
        let known = proxied.send(Method::GET, &[("offset", "-1")], &[("if-none-match", &tag)]).await.is(304);
        assert!(known.body.is_empty() && known.header("etag") == Some(&tag), "{known:?}");
    }
    let refused = setup.shape(&[("table", "sessions"), ("where", "nonsense(")]);
    let (expected, seen) =
        (setup.direct(&[("table", "sessions"), ("where", "nonsense(")]).first().await, refused.first().await);
    assert_eq!((seen.status, &seen.body), (400, &expected.body));
    let unknown = [("offset", "0_0"), ("handle", "1-1")];
    let rotated = setup.sessions().get(&unknown).await.is(409);
    assert_eq!(rotated.text(), r#"[{"headers":{"control":"must-refetch"}}]"#);
    assert!(rotated.header("electric-handle").is_some() && rotated.header("cache-control").is_some(), "{rotated:?}");
    setup.serve.assert_quiet(&[]);
}

#[actix_rt::test]
async fn a_compressed_body_passes_as_it_is() {
    let setup = Setup::start().await;
    let head = "HTTP/1.1 200 OK\r\nelectric-handle: h\r\nelectric-offset: 0_0\r\nelectric-schema: {\"ä\":{}}\r\nage: 3\r\n\
                content-type: application/json\r\ncontent-encoding: br\r\nvary: accept-encoding\r\nset-cookie: a=b\r\n";
    for framing in ["content-length: 5\r\n\r\nabcde", "transfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"] {
        setup.relay.set(Some(Fault::Say(format!("{head}{framing}"))));
        let reply = setup.sessions().first().await.is(200);
        assert_eq!(reply.text(), "abcde");
        let kept = [("content-encoding", "br"), ("vary", "accept-encoding"), ("age", "3")];
        for (name, value) in kept {
            assert_eq!(reply.header(name), Some(value), "{framing:?}");
        }
        let schema = reply.headers.get("electric-schema").map(|schema| schema.as_bytes());
        assert_eq!(schema, Some("{\"ä\":{}}".as_bytes()));
        assert!(reply.header("set-cookie").is_none());
        assert_eq!(reply.header("content-length").is_some(), framing.starts_with("content-length"));
    }
    setup.serve.assert_quiet(&[]);
}

#[actix_rt::test]
async fn only_what_was_understood_goes_to_the_upstream_with_our_secret() {
    let setup = Setup::start().await;
    setup.add(0..3).await;
    let odd = [
        ("offset", "-1"),
        ("client", "spy"),
        ("secret", "guessed"),
        ("api_secret", "guessed"),
        ("foo[bar]", "1"),
        ("cache-buster", "b 1"),
        ("expired_handle", "old"),
        ("subset__where_expr", "{}"),
    ];
    let headers =
        [("cookie", "a=b"), ("authorization", "Bearer x"), ("accept-encoding", "br"), ("x-forwarded-for", "1.2.3.4")];
    setup.sessions().send(Method::GET, &odd, &headers).await.is(200);
    let seen = setup.relay.requests().pop().expect("a request");
    let line = seen.lines().next().expect("a line");
    let expected = "GET /v1/shape?table=sessions&offset=-1&cache-buster=b%201&expired_handle=old&subset__where=&secret=hunter%262 HTTP/1.1";
    assert_eq!(line, expected);
    let mut names: Vec<&str> =
        seen.lines().skip(1).filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept-encoding", "date", "host", "user-agent"], "{seen}");
    assert!(seen.contains("accept-encoding: br"), "{seen}");
    assert!(!setup.serve.log().contains(SECRET) && !setup.serve.log().contains("hunter"), "{}", setup.serve.log());

    let users = setup.shape(&[("table", "users")]).first().await;
    assert_eq!(users.status, 400, "a table that is not ours is not asked for");
    let deleted = setup.sessions().send(Method::DELETE, &[], &[]).await;
    assert_eq!(deleted.status, 405);
    assert_eq!(setup.relay.requests().len(), 1);
}

#[actix_rt::test]
async fn subsets_pass_also_where_their_url_would_be_too_long() {
    let setup = Setup::start().await;
    setup.add(0..20).await;
    let long = format!("id IN ('s1', 's7', '{}')", "x".repeat(7000));
    for (condition, method) in [("id IN ('s1', 's7')", "GET "), (long.as_str(), "POST ")] {
        let part = [("offset", "-1"), ("subset__where", condition), ("subset__order_by", "id"), ("subset__limit", "5")];
        let reply = setup.sessions().get(&part).await.is(200);
        assert_eq!(reply.header("electric-snapshot"), Some("true"));
        let rows = reply.json()["data"].as_array().expect("rows").len();
        assert_eq!(rows, 2, "{}", reply.text());
        let seen = setup.relay.requests().pop().expect("a request");
        assert!(seen.starts_with(method), "{seen}");
    }
    setup.serve.assert_quiet(&[]);
}

#[actix_rt::test]
async fn a_start_with_an_address_that_cannot_be_meant_says_how_to_mend_it() {
    let database = Database::fresh().await;
    let cases = [
        ("localhost:3000", "ELECTRIC_URL: it is no URL; write http://host:3000"),
        ("ftp://localhost", "ELECTRIC_URL: it must begin with http:// or https://"),
        ("http://me:hunter2@localhost:3000", "ELECTRIC_URL: it must not hold a user or password"),
    ];
    for (url, told) in cases {
        let env = [("DATABASE_URL", database.url()), ("ELECTRIC_URL", url)];
        let mut serve = Binary::spawn(&["serve", "--insecure", "--listen", "127.0.0.1:0"], &env);
        assert!(!serve.exit(SOON).await.success());
        let log = serve.log();
        assert!(log.contains(told) && !log.contains("hunter2") && log.lines().count() == 1, "{url}: {log}");
    }
}
