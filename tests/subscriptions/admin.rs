//! What operators see and end.

use futures_util::StreamExt;
use futures_util::future::join;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tokio::time::timeout;

use super::{SOON, Scene, Source, Tail, with_both_sources};
use crate::support::eventually;

with_both_sources!(
    a_held_long_poll_that_is_ended_is_answered_properly_and_its_reader_goes_on,
    a_stream_that_is_ended_closes_and_its_reader_goes_on,
    who_is_kept_out_is_refused_until_the_time_is_over,
    pages_and_filters_find_each_subscription_once,
    watchers_are_told_what_opens_and_ends_and_why,
    shapes_are_listed_and_ended_and_replication_is_told_where_the_engine_is,
);

async fn a_held_long_poll_that_is_ended_is_answered_properly_and_its_reader_goes_on(source: Source) {
    let scene = Scene::new(source, &[]).await;
    let mut tail = Tail::of(scene.parts("ses_1", Some("a"))).await;
    let path = "/v1/admin/sessions/ses_1/subscriptions";
    let before = scene.requests().await;
    let ended = async {
        scene.until_asked(before + 1).await;
        assert_eq!(scene.api.delete("/v1/admin/sessions/ses_2/subscriptions").await.is(200), json!({"ended": 0}));
        assert_eq!(scene.api.delete(path).await.is(200), json!({"ended": 1}));
    };
    let (reply, ()) = join(tail.poll(), ended).await;
    let reply = reply.is(200);
    let kinds: Vec<_> = reply.messages().iter().map(|message| message.kind().to_owned()).collect();
    assert_eq!(
        (kinds, reply.offset(), reply.handle()),
        (vec!["up-to-date".to_owned()], tail.offset.clone(), tail.handle.clone())
    );
    assert_eq!(reply.header("electric-has-data"), Some("false"));
    assert!(reply.header("electric-cursor").is_some() && reply.header("electric-up-to-date").is_some());
    scene.until_open(0).await;
    tail.offset = reply.offset();
    let (reply, ()) = join(tail.poll(), async {
        scene.until_asked(1).await;
        scene.write("m1").await;
    })
    .await;
    assert_eq!(reply.is(200).changes().len(), 1, "it goes on where it was");
}

async fn a_stream_that_is_ended_closes_and_its_reader_goes_on(source: Source) {
    let scene = Scene::new(source, &[]).await;
    let tail = Tail::of(scene.parts("ses_1", Some("a"))).await;
    let mut events = tail.shape.events(&tail.handle, &tail.offset).await;
    let listed = scene.until_open(1).await;
    let path = format!("/v1/admin/subscriptions/{}", listed[0]["id"].as_str().expect("an id"));
    assert_eq!(scene.api.delete(&path).await.is(200), json!({"ended": 1}));
    assert_eq!(timeout(SOON, events.next()).await.expect("the end of the stream"), None);
    assert_eq!(scene.api.delete(&path).await.is(200), json!({"ended": 0}));
    scene.api.get(&path).await.refuses(404, "not_found");
    let mut events = tail.shape.events(&tail.handle, &tail.offset).await;
    scene.write("m1").await;
    assert_eq!(timeout(SOON, events.batch()).await.expect("a change").len(), 2);
}

async fn who_is_kept_out_is_refused_until_the_time_is_over(source: Source) {
    let scene = Scene::new(source, &[]).await;
    let (one, other) = (scene.parts("ses_1", Some("a")), scene.parts("ses_1", Some("b")));
    let tail = Tail::of(one.clone()).await;
    let listed = scene.until_open(1).await;
    let path = format!("/v1/admin/subscriptions/{}?block=2", listed[0]["id"].as_str().expect("an id"));
    let before = scene.requests().await;
    let ended = async {
        scene.until_asked(before + 1).await;
        assert_eq!(scene.api.delete(&path).await.is(200), json!({"ended": 1}));
    };
    let (reply, ()) = join(tail.poll(), ended).await;
    reply.is(200);
    let refused = tail.poll().await.is(403);
    assert_eq!(refused.json()["code"], "blocked");
    other.first().await.is(200);
    eventually(SOON, "the end of the block", async || {
        let reply = one.first().await;
        if reply.status == 200 { Ok(()) } else { Err(reply.is(403).text()) }
    })
    .await;
}

async fn pages_and_filters_find_each_subscription_once(source: Source) {
    let scene = Scene::new(source, &[]).await;
    for at in 0..7 {
        scene.parts(["ses_1", "ses_2"][at % 2], Some(&format!("c{at}"))).first().await.is(200);
    }
    scene.parts("ses_1", None).with("table", "messages").first().await.is(200);
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = scene.api.get(&format!("/v1/admin/subscriptions?limit=3{after}")).await.is(200);
        let some = page["subscriptions"].as_array().expect("a list");
        assert!(some.len() <= 3);
        seen.extend(some.iter().map(|one| one["id"].as_str().expect("an id").to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!((seen.len(), seen.iter().collect::<BTreeSet<_>>().len()), (8, 8), "{seen:?}");
    for (filter, count) in [
        ("session=ses_1", 5),
        ("session=ses_2", 3),
        ("session=none", 0),
        ("table=messages", 1),
        ("table=parts&session=ses_1", 4),
        ("transport=sse", 0),
        ("transport=long_poll", 8),
        ("principal=p", 0),
    ] {
        let page = scene.api.get(&format!("/v1/admin/subscriptions?{filter}")).await.is(200);
        assert_eq!(page["subscriptions"].as_array().map(Vec::len), Some(count), "{filter}");
    }
    let first = scene.api.get("/v1/admin/sessions?limit=1").await.is(200);
    assert_eq!(first["sessions"], json!([{"session": "ses_1", "subscriptions": 5}]));
    let rest = scene.api.get("/v1/admin/sessions?after=ses_1").await.is(200);
    assert_eq!(rest["sessions"], json!([{"session": "ses_2", "subscriptions": 3}]));
    for (method, path, field) in [
        ("GET", "/v1/admin/subscriptions?limit=0", "limit"),
        ("GET", "/v1/admin/subscriptions?tables=parts", "tables"),
        ("DELETE", "/v1/admin/sessions/ses_1/subscriptions?block=never", "block"),
    ] {
        let method = actix_web::http::Method::from_bytes(method.as_bytes()).expect("a method");
        let refused = scene.api.send(method, path, "").await.refuses(400, "invalid_request");
        assert_eq!(refused.as_deref(), Some(field), "{path}");
    }
    scene.api.get("/v1/admin/nothing").await.refuses(404, "not_found");
    scene.api.delete("/v1/admin/sessions").await.refuses(405, "method_not_allowed");
    assert_eq!(scene.api.delete("/v1/admin/sessions/ses_1/subscriptions").await.is(200), json!({"ended": 5}));
    scene.until_open(3).await;
}

async fn watchers_are_told_what_opens_and_ends_and_why(source: Source) {
    let scene = Scene::new(source, &[("PLUE_SUBSCRIPTIONS__IDLE_TIMEOUT", "1s")]).await;
    let http = awc::Client::builder().timeout(SOON).finish();
    let url = format!("http://{}/v1/admin/events", scene.api.address());
    let mut stream = http.get(url).send().await.expect("a stream");
    assert_eq!(stream.headers().get("content-type").map(|value| value.as_bytes()), Some(&b"text/event-stream"[..]));
    let mut text = String::new();
    let mut until = async |events: usize| {
        while text.matches("\ndata: ").count() < events {
            let piece = timeout(SOON, stream.next()).await;
            let piece = piece.unwrap_or_else(|_| panic!("no event came after {text}")).expect("more").expect("bytes");
            text.push_str(std::str::from_utf8(&piece).expect("text"));
        }
        text.clone()
    };
    // The first piece is there before anything happens.
    until(0).await;
    scene.parts("ses_1", Some("a")).first().await.is(200);
    until(2).await;
    scene.parts("ses_1", Some("b")).first().await.is(200);
    until(3).await;
    scene.api.delete("/v1/admin/sessions/ses_1/subscriptions").await.is(200);
    let text = until(4).await;
    let seen: Vec<Value> = text
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("event: ")?.split_once("\ndata: "))
        .map(|(name, data)| {
            let data: Value = serde_json::from_str(data).expect("JSON");
            json!([name, data["subscription"]["client"], data["reason"]])
        })
        .collect();
    let expected = [
        json!(["opened", "a", null]),
        json!(["ended", "a", "idle"]),
        json!(["opened", "b", null]),
        json!(["ended", "b", "admin"]),
    ];
    assert_eq!(seen, expected);
}

async fn shapes_are_listed_and_ended_and_replication_is_told_where_the_engine_is(source: Source) {
    let scene = Scene::new(source, &[]).await;
    let tail = Tail::of(scene.parts("ses_1", Some("a"))).await;
    Tail::of(scene.parts("ses_1", Some("b"))).await;
    scene.parts("ses_2", None).first().await.is(200);
    let page = scene.api.get("/v1/admin/shapes").await.is(200);
    let shapes = page["shapes"].as_array().expect("a list");
    assert_eq!((shapes.len(), &page["next"]), (2, &Value::Null), "{page}");
    let one = shapes.iter().find(|shape| shape["handle"] == tail.handle).expect("the shape");
    assert_eq!((&one["where"], &one["params"]), (&json!("session_id = $1"), &json!(["ses_1"])));
    let path = format!("/v1/admin/shapes/{}", tail.handle);
    match source {
        Source::Proxy => {
            assert_eq!((&one["table"], &one["readers"]), (&json!("parts"), &json!(2)), "{one}");
            scene.api.delete(&path).await.refuses(501, "not_available");
            scene.api.get("/v1/admin/replication").await.refuses(501, "not_available");
        }
        Source::Engine => {
            assert_eq!((&one["table"], &one["rows"]), (&json!("public.parts"), &json!(0)), "{one}");
            let first = scene.api.get("/v1/admin/shapes?limit=1").await.is(200);
            let next = first["next"].as_str().expect("a next page");
            let rest = scene.api.get(&format!("/v1/admin/shapes?after={next}")).await.is(200);
            assert_eq!(rest["shapes"].as_array().map(Vec::len), Some(1), "{rest}");
            assert_eq!(scene.api.delete(&path).await.is(200), json!({"ended": 1}));
            assert_eq!(scene.api.delete(&path).await.is(200), json!({"ended": 0}));
            tail.poll().await.is(409);
            let progress = scene.api.get("/v1/admin/replication").await.is(200);
            assert_eq!(progress["status"], "active", "{progress}");
            assert!(progress["slot"].is_string() && progress["lag_bytes"].is_u64(), "{progress}");
        }
    }
}

#[actix_rt::test]
async fn an_operator_of_one_process_ends_and_keeps_out_readers_of_another() {
    let scene = Scene::new(Source::Proxy, &[]).await;
    let other = scene.another().await;
    let there = eventually(SOON, "shapes at the other process", async || {
        let reply = scene.parts_at(&other, "ses_1", Some("a")).first().await;
        if reply.status == 200 { Ok(reply) } else { Err(reply.text()) }
    })
    .await;
    scene.parts("ses_1", Some("b")).first().await.is(200);
    // The processes hear each other once both have a connection for it.
    let listed = scene.until_open(2).await;
    assert_eq!((&listed[0]["client"], &listed[1]["client"]), (&json!("a"), &json!("b")));
    assert_eq!(listed[0]["handle"], there.handle());
    assert_ne!(listed[0]["instance"], listed[1]["instance"]);
    let ended = scene.api.delete("/v1/admin/sessions/ses_1/subscriptions?block=600").await.is(200);
    assert_eq!(ended, json!({"ended": 2}));
    for client in ["a", "b"] {
        for api in [&scene.api, &other] {
            let refused = scene.parts_at(api, "ses_1", Some(client)).first().await.is(403);
            assert_eq!(refused.json()["code"], "blocked");
        }
    }
    scene.parts_at(&other, "ses_1", Some("c")).first().await.is(200);
    other.stop().await;
}
