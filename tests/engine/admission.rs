//! How many requests are answered at once, and that one kind does not keep the other out.

use futures_util::future::join;

use super::{SOON, Scene, Tail};
use crate::support::{Reply, Shape, eventually};

const ITEMS: &str = "CREATE TABLE items (id int PRIMARY KEY, value text); INSERT INTO items VALUES (1, 'a'); \
                     CREATE TABLE slow (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY);";
const ALLOWED: (&str, &str) = ("ELECTRIC_ENABLE_INTEGRATION_TESTING", "true");

fn limits(json: &'static str) -> [(&'static str, &'static str); 2] {
    [("ELECTRIC_MAX_CONCURRENT_REQUESTS", json), ALLOWED]
}

#[track_caller]
fn assert_refused(reply: &Reply, kind: &str, limit: usize) {
    assert_eq!(reply.status, 503, "{}", reply.text());
    let message = format!("Concurrent {kind} request limit exceeded (limit: {limit}), please retry");
    let expected = serde_json::json!({"code": "concurrent_request_limit_exceeded", "message": message});
    assert_eq!(reply.json(), expected);
    let retry_after: u64 = reply.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((6..=10).contains(&retry_after), "{retry_after}");
    for (name, value) in [
        ("electric-internal-known-error", Some("true")),
        ("cache-control", Some("no-store")),
        ("surrogate-control", Some("no-store")),
        ("electric-handle", None),
    ] {
        assert_eq!(reply.header(name), value, "{name}");
    }
}

/// Asks until the answer has this status.
async fn until(status: u16, shape: &Shape, more: &[(&str, &str)]) -> Reply {
    eventually(SOON, &format!("{status} for {}", shape.name()), async || match shape.get(more).await {
        reply if reply.status == status => Ok(reply),
        reply => Err((reply.status, reply.text())),
    })
    .await
}

#[actix_rt::test]
async fn a_snapshot_that_waits_keeps_out_new_shapes_and_no_readers() {
    let scene = Scene::with(ITEMS, &limits(r#"{"initial":1}"#)).await;
    let tail = Tail::of(&scene.engine.shape("items")).await;
    let (slow, other) = (scene.engine.shape("slow"), scene.engine.shape("other"));
    let mut client = scene.database.connect().await;
    let lock = client.transaction().await.expect("a transaction");
    lock.batch_execute("LOCK TABLE slow").await.expect("the lock");
    let meanwhile = async {
        assert_refused(&until(503, &tail.shape, &[("offset", "-1")]).await, "initial", 1);
        assert_refused(&other.first().await, "initial", 1);
        let unknown = [("offset", "0_0"), ("handle", "nobody's")];
        assert_refused(&other.get(&unknown).await, "initial", 1);
        assert_refused(&other.get(&[("offset", "now"), ("handle", "nobody's")]).await, "initial", 1);
        let none = other.send(actix_web::http::Method::DELETE, &[], &[]).await;
        none.is(404);
        // The handle decides alone: the same request with a known one reads what is there.
        tail.shape.get(&[("offset", &tail.offset), ("handle", &tail.handle)]).await.is(200);
        tail.shape.get(&[("offset", "-1"), ("handle", &tail.handle)]).await.is(200);
        assert_refused(&tail.shape.first().await, "initial", 1);
        lock.rollback().await.expect("the end of the lock");
    };
    // It may come second, and be refused once itself.
    let (first, ()) = join(until(200, &slow, &[("offset", "-1")]), meanwhile).await;
    first.is(200);
    // The place is free from when the snapshot began.
    other.first().await.is(200);
    scene.engine.binary.assert_quiet(&[]);
}

#[actix_rt::test]
async fn those_who_wait_are_counted_as_long_as_they_do() {
    let scene = Scene::with(ITEMS, &limits(r#"{"initial":2,"existing":1}"#)).await;
    let tail = Tail::of(&scene.engine.shape("items")).await;
    let at_end = [("offset", &*tail.offset), ("handle", &*tail.handle)];
    let live = [&at_end[..], &[("live", "true")]].concat();
    let meanwhile = async {
        assert_refused(&until(503, &tail.shape, &at_end).await, "existing", 1);
        // It finds a place among the initial ones, and none to read from.
        assert_refused(&scene.engine.shape("other").first().await, "existing", 1);
        assert_refused(&tail.shape.first().await, "existing", 1);
        scene.sql("INSERT INTO items VALUES (2, 'b')").await;
    };
    let (released, ()) = join(until(200, &tail.shape, &live), meanwhile).await;
    assert_eq!(released.changes().len(), 1);
    scene.engine.shape("other").first().await.is(200);

    let events = tail.shape.events(&tail.handle, &released.offset()).await;
    assert_eq!(events.status, 200);
    assert_refused(&tail.shape.get(&at_end).await, "existing", 1);
    drop(events);
    until(200, &tail.shape, &at_end).await;
}

#[actix_rt::test]
async fn a_crowd_is_served_one_after_another_and_nobody_is_lost() {
    let scene = Scene::with(ITEMS, &limits(r#"{"initial":3,"existing":3}"#)).await;
    let shapes: Vec<Shape> =
        (0..40).map(|n| scene.engine.shape("items").with("where", &format!("id > {n} OR value = '{n}'"))).collect();
    let replies = futures_util::future::join_all(shapes.iter().map(|shape| until(200, shape, &[("offset", "-1")])));
    for (at, reply) in replies.await.iter().enumerate() {
        assert_eq!(reply.changes().len(), usize::from(at == 0), "{at}");
    }
    // Every place was given back.
    let held = futures_util::future::join_all((0..3).map(|_| shapes[0].first())).await;
    assert!(held.iter().all(|reply| reply.status == 200), "{held:?}");
}
