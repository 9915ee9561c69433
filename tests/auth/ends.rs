//! The end of what somebody may see, in the middle of seeing it.

use actix_web::http::Method;
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::{SOON, Scene, Source, admin, now, shape_at, token, with_both_sources};
use crate::support::{Reply, Shape, eventually};

with_both_sources!(
    a_stream_and_a_wait_end_with_their_token,
    who_is_thrown_out_is_out_at_once,
    a_row_that_leaves_the_scope_leaves_the_shape,
);

/// A shape read to its end, and where that is.
async fn tail(shape: &Shape) -> Vec<(&'static str, String)> {
    let mut reply = shape.first().await.is(200);
    while reply.header("electric-up-to-date").is_none() {
        reply = shape.get(&[("handle", &reply.handle()), ("offset", &reply.offset())]).await.is(200);
    }
    vec![("handle", reply.handle()), ("offset", reply.offset()), ("live", "true".to_owned())]
}

async fn ask(shape: &Shape, query: &[(&'static str, String)]) -> Reply {
    let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    shape.get(&query).await
}

/// Reads a stream until it ends, and says whether it ended as it should.
async fn ends(shape: &Shape, query: &[(&'static str, String)]) -> bool {
    // Under a name of its own: otherwise it is one reader with whoever waits beside it.
    let stream = [("live_sse", "true".to_owned()), ("client", "stream".to_owned())];
    let query: Vec<_> = query.iter().chain(&stream).map(|(name, value)| (*name, value.as_str())).collect();
    let mut response = shape.open(Method::GET, &query, &[]).await;
    assert_eq!(response.status(), 200);
    let read = async {
        while let Some(piece) = response.next().await {
            if piece.is_err() {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(SOON, read).await.expect("an end of the stream")
}

async fn a_stream_and_a_wait_end_with_their_token(source: Source) {
    let scene = Scene::new(source, &[]).await;
    let parts = [("table", "parts"), ("where", "session_id = 'mine'")];
    // As long as reading the shape may take on a busy machine, and far less than a request is held.
    let expires = now() + 6;
    let claims = json!({"sub": "short", "role": "viewer", "sessions": ["mine"], "exp": expires});
    let shape = scene.shape(&token(claims), &parts);
    let at = tail(&shape).await;
    let (waited, ended) = futures_util::future::join(ask(&shape, &at), ends(&shape, &at)).await;
    assert!(now() >= expires, "they ended before the token did");
    assert!(ended, "the stream was cut");
    let waited = waited.is(200);
    assert_eq!(Some(waited.offset()), at.iter().find(|(name, _)| *name == "offset").map(|(_, offset)| offset.clone()));
    for query in [&at[..], &at[..2]] {
        assert_eq!(ask(&shape, query).await.status, 401);
    }
}

async fn who_is_thrown_out_is_out_at_once(source: Source) {
    let scene = Scene::new(source, &[]).await;
    // Only proxies share an upstream; the engine of one process serves one.
    let second = if source == Source::Proxy { Some(scene.another().await) } else { None };
    let api = second.as_ref().unwrap_or(&scene.api);
    let parts = [("table", "parts"), ("where", "session_id = 'mine'")];
    let until_following = async |principal: &str| {
        let path = format!("/v1/admin/subscriptions?principal={principal}");
        eventually(SOON, "an open stream", async || {
            let listed = scene.api.get(&path).await.is(200);
            let open = listed["subscriptions"].as_array().expect("a list");
            if open.iter().any(|one| one["client"] == "stream") { Ok(()) } else { Err(listed) }
        })
        .await;
    };
    // One token of a session, all of them, and a principal.
    let (one, id) = scene.mint("mine", json!({})).await;
    let (another, another_id) = scene.mint("mine", json!({"role": "agent"})).await;
    let somebody = token(json!({"sub": "some body", "role": "viewer", "sessions": ["mine"]}));
    let revoke_one = format!("/v1/sessions/mine/tokens/{id}");
    let steps = [
        (&one, id.as_str(), Method::DELETE, revoke_one.as_str(), 401),
        (&another, another_id.as_str(), Method::DELETE, "/v1/sessions/mine/tokens", 401),
        (&somebody, "some%20body", Method::PUT, "/v1/admin/principals/some%20body/block", 403),
    ];
    for (token, principal, method, path, status) in steps {
        let shape = shape_at(api, token, &parts);
        let at = tail(&shape).await;
        let order = async {
            until_following(principal).await;
            scene.send(Some(&admin()), method, path, json!({})).await.is(200)
        };
        let (waited, ended, done) = futures_util::future::join3(ask(&shape, &at), ends(&shape, &at), order).await;
        assert!(ended, "{path}: the stream was cut");
        // It waited, or came when it was out already.
        assert!([200, status].contains(&waited.status), "{path}: {waited:?}");
        let revoked = done["revoked"].as_u64().or_else(|| done["ended"].as_u64());
        assert!(revoked >= Some(1), "{path}: {done}");
        assert_eq!(ask(&shape, &at).await.status, status, "{path}");
        let bearer = format!("Bearer {token}");
        let seen = scene.api.send_with(Method::GET, "/v1/sessions/mine", &[("authorization", &bearer)], "").await;
        assert_eq!(seen.status, status, "{path}");
    }
    let blocked = scene.api.get("/v1/admin/principals").await.is(200);
    assert_eq!(blocked["blocked"][0]["principal"], "some body");
    assert_eq!(scene.api.delete("/v1/admin/principals/some%20body/block").await.is(200)["unblocked"], 1);
    let shape = shape_at(api, &somebody, &parts);
    assert_eq!(shape.first().await.status, 200);
}

async fn a_row_that_leaves_the_scope_leaves_the_shape(source: Source) {
    let scene = Scene::new(source, &[]).await;
    let by_project = token(json!({"sub": "p", "role": "viewer", "projects": ["p1"]}));
    let shape = scene.shape(&by_project, &[("table", "parts")]);
    let at = tail(&shape).await;
    let moved = scene.api.patch("/v1/sessions/other", json!({"project_id": "p1"}));
    let (seen, _) = futures_util::future::join(ask(&shape, &at), moved).await;
    assert!(String::from_utf8_lossy(&seen.is(200).body).contains("prt_other"), "a session that came in");

    let at = tail(&shape).await;
    let moved = scene.api.patch("/v1/sessions/mine", json!({"project_id": "p2"}));
    let (seen, _) = futures_util::future::join(ask(&shape, &at), moved).await;
    let seen = seen.is(200);
    let body: Value = serde_json::from_slice(&seen.body).expect("JSON");
    let out = body.as_array().expect("messages").iter().any(|message| message["headers"]["event"] == "move-out");
    assert!(out, "{body}");
    let at = [("handle", seen.handle()), ("offset", seen.offset())];
    scene.write("mine", "hidden").await;
    scene.write("other", "shown").await;
    let at: Vec<(&str, &str)> = at.iter().map(|(name, value)| (*name, value.as_str())).collect();
    eventually(SOON, "the row that may be seen", async || {
        let seen = shape.get(&at).await.is(200);
        let text = String::from_utf8_lossy(&seen.body).into_owned();
        assert!(!text.contains("prt_hidden"), "{text}");
        if text.contains("prt_shown") { Ok(()) } else { Err(text) }
    })
    .await;
}

#[actix_rt::test]
async fn an_operators_view_ends_with_the_right_to_it() {
    let scene = Scene::new(Source::Engine, &[]).await;
    let events = async |token: &str| {
        let url = format!("http://{}/v1/admin/events", scene.api.address());
        let request = awc::Client::builder().timeout(SOON).finish().get(url);
        let mut response =
            request.insert_header(("authorization", format!("Bearer {token}"))).send().await.expect("a head");
        assert_eq!(response.status(), 200);
        assert!(response.next().await.expect("a piece").expect("a whole one").starts_with(b": watching"));
        response
    };
    let mut blocked = events(&token(json!({"sub": "boss", "role": "admin"}))).await;
    let mut expired = events(&token(json!({"sub": "visitor", "role": "admin", "exp": now() + 2}))).await;
    scene.api.put("/v1/admin/principals/boss/block", json!({"seconds": 600})).await.is(200);
    for stream in [&mut blocked, &mut expired] {
        let end = async {
            while let Some(piece) = stream.next().await {
                piece.expect("a proper end");
            }
        };
        tokio::time::timeout(SOON, end).await.expect("an end");
    }
}
