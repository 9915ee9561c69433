//! What the registry knows of readers, and when it forgets them.

use futures_util::future::join;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{SOON, Scene, Source, Tail, with_both_sources};

with_both_sources!(
    a_reader_is_listed_with_all_that_is_known_of_it,
    readers_are_told_apart_by_their_names_and_otherwise_by_address_and_shape,
    a_reader_that_has_gone_is_forgotten_after_the_timeout,
    limits_refuse_new_readers_and_none_that_are_in,
    a_request_that_gets_nothing_leaves_nothing,
    a_stream_lives_as_long_as_the_settings_allow_and_its_subscription_lives_on,
);

async fn a_reader_is_listed_with_all_that_is_known_of_it(source: Source) {
    let scene = Scene::new(source, &[]).await;
    let tail = Tail::of(scene.parts("ses_1", Some("tab 1"))).await;
    let held = tail.poll();
    let seen = async {
        let listed = scene.until_open(1).await;
        let id = listed[0]["id"].as_str().expect("an id").to_owned();
        let one = scene.api.get(&format!("/v1/admin/subscriptions/{id}")).await.is(200)["subscription"].clone();
        scene.write("m1").await;
        one
    };
    let (reply, mut seen) = join(held, seen).await;
    let changed = reply.is(200);
    let taken = |seen: &mut Value, name: &str| seen[name].take();
    assert!(taken(&mut seen, "id").as_str().is_some_and(|id| id.starts_with("sub_") && id.len() == 36));
    assert!(taken(&mut seen, "instance").as_str().is_some_and(|id| id.starts_with("ins_")));
    let (opened, last_seen) = (taken(&mut seen, "time_opened").as_i64(), taken(&mut seen, "time_last_seen").as_i64());
    assert!(opened > Some(1_700_000_000_000) && last_seen >= opened, "{opened:?} {last_seen:?}");
    assert!(taken(&mut seen, "bytes").as_u64() > Some(0));
    assert!(taken(&mut seen, "requests").as_u64() >= Some(2));
    let expected = json!({
        "id": null, "instance": null, "time_opened": null, "time_last_seen": null, "bytes": null, "requests": null,
        "session": "ses_1", "table": "parts", "where": "session_id = $1", "params": ["ses_1"], "columns": null,
        "replica": "default", "log": "full", "handle": tail.handle, "offset": tail.offset,
        "principal": null, "peer": "127.0.0.1", "client": "tab 1", "transport": "long_poll",
    });
    assert_eq!(seen, expected);
    let listed = scene.until_open(1).await;
    assert_eq!(listed[0]["offset"], changed.offset(), "it has moved with the answer");
    let counted = scene.api.get("/v1/admin/sessions").await.is(200);
    assert_eq!(counted["sessions"], json!([{"session": "ses_1", "subscriptions": 1}]));

    // The same, followed by events.
    let mut events = tail.shape.events(&tail.handle, &tail.offset).await;
    events.batch().await;
    let listed = scene.until_open(1).await;
    assert_eq!(listed[0]["transport"], "sse");
    let reached = listed[0]["offset"].as_str().expect("an offset");
    assert!(reached.ends_with("_0") && reached != tail.offset, "{reached}");
}

async fn readers_are_told_apart_by_their_names_and_otherwise_by_address_and_shape(source: Source) {
    let scene = Scene::new(source, &[]).await;
    let named = [Some("a"), Some("a"), Some("b"), None, None];
    for client in named {
        scene.parts("ses_1", client).first().await.is(200);
    }
    scene.parts("ses_2", None).first().await.is(200);
    let mut whole = scene.parts("ses_1", Some("a"));
    whole = whole.with("replica", "full");
    whole.first().await.is(200);
    let seen: Vec<Value> = scene.until_open(5).await;
    let seen: Vec<_> =
        seen.iter().map(|seen| json!([seen["client"], seen["session"], seen["replica"], seen["requests"]])).collect();
    let expected = [
        json!(["a", "ses_1", "default", 2]),
        json!(["b", "ses_1", "default", 1]),
        json!([null, "ses_1", "default", 2]),
        json!([null, "ses_2", "default", 1]),
        json!(["a", "ses_1", "full", 1]),
    ];
    assert_eq!(seen, expected);
    let all = scene.parts("ses_1", Some("all"));
    let (name, handle) = (all.name(), scene.listed().await[0]["handle"].clone());
    assert_eq!(all.first().await.is(200).handle(), handle, "{name}: a name is no part of the shape");

    let long = "x".repeat(129);
    for bad in ["", &long] {
        let refused = scene.parts("ses_1", Some(bad)).first().await.is(400);
        assert!(refused.json()["errors"]["client"][0].as_str().is_some_and(|text| text.contains("1 to 128 bytes")));
    }
}

async fn a_reader_that_has_gone_is_forgotten_after_the_timeout(source: Source) {
    let scene = Scene::new(source, &[("PLUE_SUBSCRIPTIONS__IDLE_TIMEOUT", "2s")]).await;
    let (stays, goes) =
        (Tail::of(scene.parts("ses_1", Some("stays"))).await, Tail::of(scene.parts("ses_1", Some("goes"))).await);
    let stays = async {
        // It is held far longer than the timeout of one that asks for nothing.
        let reply = stays.poll().await.is(200);
        assert_eq!(reply.changes().len(), 1, "{reply:?}");
    };
    let goes = async {
        {
            let waiting = std::pin::pin!(goes.poll());
            let both = std::pin::pin!(scene.until_open(2));
            futures_util::future::select(waiting, both).await;
        }
        let left = scene.until_open(1).await;
        assert_eq!(left[0]["client"], "stays");
        scene.write("m1").await;
    };
    join(stays, goes).await;
    scene.until_open(0).await;
    assert_eq!(scene.api.get("/v1/admin/sessions").await.is(200)["sessions"], json!([]));
}

async fn limits_refuse_new_readers_and_none_that_are_in(source: Source) {
    let settings = [("PLUE_SUBSCRIPTIONS__MAX", "3"), ("PLUE_SUBSCRIPTIONS__MAX_PER_SESSION", "2")];
    let scene = Scene::new(source, &settings).await;
    for (client, session, status) in [
        ("a", "ses_1", 200),
        ("b", "ses_1", 200),
        ("c", "ses_1", 429),
        ("a", "ses_2", 200),
        ("b", "ses_2", 429),
        ("a", "ses_1", 200),
    ] {
        let reply = scene.parts(session, Some(client)).first().await.is(status);
        if status == 429 {
            let retry_after: u64 = reply.header("retry-after").expect("a time").parse().expect("seconds");
            assert!((5..=10).contains(&retry_after), "{retry_after}");
            assert_eq!(reply.json()["code"], "too_many_subscriptions");
            assert_eq!(reply.header("cache-control"), Some("no-store"));
        }
    }
    scene.until_open(3).await;
}

async fn a_request_that_gets_nothing_leaves_nothing(source: Source) {
    let scene = Scene::new(source, &[]).await;
    let shape = scene.parts("ses_1", Some("a"));
    shape.clone().with("offset", "nonsense").get(&[]).await.is(400);
    shape.clone().with("where", "no_such_column = 1").first().await.is(400);
    shape.send(actix_web::http::Method::HEAD, &[("offset", "-1")], &[]).await.is(200);
    shape.send(actix_web::http::Method::OPTIONS, &[], &[]).await.is(204);
    scene.until_open(0).await;
}

async fn a_stream_lives_as_long_as_the_settings_allow_and_its_subscription_lives_on(source: Source) {
    let scene = Scene::new(source, &[("PLUE_SUBSCRIPTIONS__STREAM_LIFETIME", "1s")]).await;
    let tail = Tail::of(scene.parts("ses_1", Some("a"))).await;
    let id = scene.until_open(1).await[0]["id"].clone();
    let mut events = tail.shape.events(&tail.handle, &tail.offset).await;
    assert_eq!(timeout(SOON, events.next()).await.expect("the end of the stream"), None);
    let mut events = tail.shape.events(&tail.handle, &tail.offset).await;
    scene.write("m1").await;
    assert_eq!(timeout(SOON, events.batch()).await.expect("a change").len(), 2);
    assert_eq!(scene.until_open(1).await[0]["id"], id);
}
