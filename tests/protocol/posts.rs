//! POST: statements 82 to 85.

use actix_web::http::Method;
use serde_json::json;

use super::{A, ITEMS, Server, insert};

const QUERY: &str = "table=items&offset=-1";

#[actix_rt::test]
async fn c082_c083_c084_bodies_that_are_refused() {
    let server = Server::new(ITEMS).await;
    for body in ["[]", "1", "\"a\"", "null"] {
        let reply = server.send(Method::POST, QUERY, &[], body.as_bytes()).await.is(400);
        assert_eq!(reply.json(), json!({"error": "Request body must be a JSON object"}), "{body}");
    }
    for body in ["{", "{\"where\":}", "\u{0}"] {
        let json = server.send(Method::POST, QUERY, &[], body.as_bytes()).await.is(400).json();
        assert_eq!(json["error"], "Invalid JSON in request body", "{body}");
        assert!(json["details"].is_string(), "{body}: {json}");
    }
    let large = vec![b' '; 9_000_000];
    let reply = server.send(Method::POST, QUERY, &[], &large).await.is(413);
    assert_eq!(reply.json(), json!({"error": "Request body too large"}));
}

#[actix_rt::test]
async fn c085_a_post_without_a_body_is_the_log() {
    let server = Server::new(&format!("{ITEMS} {}", insert(A, "a"))).await;
    let get = server.get(QUERY).await.is(200);
    let post = server.send(Method::POST, QUERY, &[("content-type", "application/json")], b"").await.is(200);
    assert_eq!((&post.body, post.handle()), (&get.body, get.handle()));
    assert_eq!(post.header("cache-control"), Some("no-cache"));
    // A body without a field of a subset gives parameters and no subset.
    let body = br#"{"table":"items","replica":"default"}"#;
    let post = server.send(Method::POST, "offset=-1", &[], body).await.is(200);
    assert_eq!((&post.body, post.handle()), (&get.body, get.handle()));
}
