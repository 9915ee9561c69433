//! DELETE: which shape it ends, and what becomes of those who read it.

use actix_web::http::Method;
use futures_util::future::join;
use tokio::time::timeout;

use super::{SOON, Scene, Tail};
use crate::support::{Engine, Reply, Shape, eventually};

const ITEMS: &str = "CREATE TABLE items (id int PRIMARY KEY, value text); INSERT INTO items VALUES (1, 'a'), (2, 'b'); \
                     CREATE TABLE other (id int PRIMARY KEY);";
const ALLOWED: (&str, &str) = ("ELECTRIC_ENABLE_INTEGRATION_TESTING", "true");
const MISMATCH: &str = "The specified shape definition and handle do not match. Please ensure the shape definition is \
                        correct or omit the shape handle from the request to obtain a new one.";

/// Parameters, and what they are answered.
type Case<'a> = (&'a [(&'a str, &'a str)], u16, serde_json::Value);

async fn delete(engine: &Engine, params: &[(&str, &str)]) -> Reply {
    let reply = engine.definition(params).send(Method::DELETE, &[], &[]).await;
    assert_eq!(reply.header("cache-control"), Some("no-cache"), "{params:?}");
    for absent in ["electric-handle", "electric-offset", "etag", "surrogate-control"] {
        assert_eq!(reply.header(absent), None, "{params:?}: {absent}");
    }
    reply
}

async fn handle_of(shape: &Shape) -> String {
    shape.first().await.is(200).handle()
}

#[actix_rt::test]
async fn nothing_is_deleted_unless_that_is_allowed() {
    let scene = Scene::new(ITEMS).await;
    let shape = scene.engine.shape("items");
    let handle = handle_of(&shape).await;
    for params in [&[("table", "items")][..], &[("handle", &handle)], &[]] {
        assert_eq!(delete(&scene.engine, params).await.is(405).text(), r#"{"message":"DELETE not allowed"}"#);
    }
    assert_eq!(handle_of(&shape).await, handle);
}

#[actix_rt::test]
async fn a_shape_is_deleted_by_its_definition_its_handle_or_both() {
    let scene = Scene::with(ITEMS, &[ALLOWED]).await;
    let shape = scene.engine.shape("items");
    for by in [&["table"][..], &["handle"], &["table", "handle"]] {
        let old = Tail::of(&shape).await;
        let own = [("table", "items"), ("handle", &*old.handle), ("offset", "whatever"), ("subset__limit", "x")];
        let params: Vec<_> = own.into_iter().filter(|(name, _)| by.contains(name) || name.len() > 6).collect();
        let reply = delete(&scene.engine, &params).await.is(202);
        assert_eq!((reply.text(), reply.header("electric-has-data")), (String::new(), Some("true")), "{by:?}");
        let refusal = shape.get(&[("offset", &old.offset), ("handle", &old.handle)]).await.is(409);
        let fresh = handle_of(&shape).await;
        assert_ne!(fresh, old.handle, "{by:?}");
        assert_eq!(refusal.handle(), fresh, "{by:?}");
        delete(&scene.engine, &[("handle", &old.handle)]).await.is(404);
    }
    scene.engine.binary.assert_quiet(&[]);
}

#[actix_rt::test]
async fn every_part_of_a_definition_counts() {
    let scene = Scene::with(ITEMS, &[ALLOWED]).await;
    let definitions: [&[(&str, &str)]; 6] = [
        &[("table", "items")],
        &[("table", "items"), ("where", "value = $1"), ("params[1]", "a")],
        &[("table", "items"), ("where", "value = $1"), ("params[1]", "b")],
        &[("table", "items"), ("columns", "id,value")],
        &[("table", "items"), ("replica", "full")],
        &[("table", "items"), ("log", "changes_only")],
    ];
    let shapes: Vec<Shape> = definitions.iter().map(|params| scene.engine.definition(params)).collect();
    for (deleted, definition) in definitions.iter().enumerate() {
        let mut before = Vec::new();
        for shape in &shapes {
            before.push(handle_of(shape).await);
        }
        delete(&scene.engine, definition).await.is(202);
        for (at, shape) in shapes.iter().enumerate() {
            let same = handle_of(shape).await == before[at];
            assert_eq!(same, at != deleted, "{} after {:?}", shape.name(), definition);
        }
    }
}

#[actix_rt::test]
async fn what_names_no_shape_deletes_none() {
    let scene = Scene::with(ITEMS, &[ALLOWED]).await;
    let handle = handle_of(&scene.engine.shape("items")).await;
    let invalid =
        |field: &str, text: &str| serde_json::json!({"message": "Invalid request", "errors": {field: [text]}});
    let message = |text: &str| serde_json::json!({"message": text});
    let no_shape = "No existing shape found";
    let no_table = "Table \"public\".\"none\" does not exist. If the table name contains capitals or special characters \
                    you must quote it.";
    let another = [("table", "other"), ("handle", &*handle)];
    let cases: [Case<'_>; 12] = [
        (&[], 400, invalid("handle", "can't be blank when shape definition is missing")),
        (&[("where", "true")], 400, invalid("handle", "can't be blank when shape definition is missing")),
        (&[("table", "none")], 400, invalid("table", no_table)),
        (&[("table", "items"), ("live", "banana")], 400, invalid("live", "is invalid")),
        (&[("table", "items"), ("replica", "x")], 400, invalid("replica", "is invalid")),
        (
            &[("table", "items"), ("columns", "value")],
            400,
            invalid("columns", "The list of columns must include all primary key columns, missing: id"),
        ),
        (&[("handle", "nobody's")], 404, message(no_shape)),
        (&[("table", "other")], 404, message(no_shape)),
        (&[("table", "items"), ("replica", "full")], 404, message(no_shape)),
        (&[("table", "other"), ("handle", "nobody's")], 404, message(no_shape)),
        (&another, 400, message(MISMATCH)),
        (&[("table", "items"), ("handle", "nobody's")], 400, message(MISMATCH)),
    ];
    for (params, status, body) in cases {
        let reply = delete(&scene.engine, params).await.is(status);
        assert_eq!(reply.json(), body, "{params:?}");
    }
    // Had a shape been made for it, this would find it.
    delete(&scene.engine, &[("table", "other")]).await.is(404);
    assert_eq!(handle_of(&scene.engine.shape("items")).await, handle);
}

#[actix_rt::test]
async fn readers_that_wait_are_told_and_a_restart_brings_nothing_back() {
    // The third reader of a shape that two wait for is refused: so the test knows that they wait.
    let limit = ("ELECTRIC_MAX_CONCURRENT_REQUESTS", r#"{"existing":2}"#);
    let mut scene = Scene::with(ITEMS, &[ALLOWED, limit]).await;
    let shape = scene.engine.shape("items");
    let tail = Tail::of(&shape).await;
    let at_end = [("offset", &*tail.offset), ("handle", &*tail.handle)];
    let mut events = shape.events(&tail.handle, &tail.offset).await;
    let live = [&at_end[..], &[("live", "true")]].concat();
    let deleting = async {
        eventually(SOON, "two readers that wait", async || match shape.get(&at_end).await {
            reply if reply.status == 503 => Ok(()),
            reply => Err(reply.status),
        })
        .await;
        delete(&scene.engine, &[("table", "items")]).await.is(202);
    };
    // The request that looks whether they wait may be there first, and this one refused.
    let waiting = eventually(SOON, "the end of the shape", async || match shape.get(&live).await {
        reply if reply.status == 503 => Err(reply.status),
        reply => Ok(reply),
    });
    let (held, ()) = join(waiting, deleting).await;
    assert_eq!(held.is(409).text(), r#"[{"headers":{"control":"must-refetch"}}]"#);
    assert_eq!(timeout(SOON, events.next()).await.expect("an end of the stream"), None);

    let fresh = handle_of(&shape).await;
    scene.engine.binary.kill();
    let dir = scene.engine.binary.dir().join("persistent");
    let storage = ("ELECTRIC_STORAGE_DIR", dir.to_str().expect("a path in UTF-8"));
    let again = Engine::with(&scene.database, &[ALLOWED, storage]).await;
    let shape = again.shape("items");
    assert_eq!(handle_of(&shape).await, fresh);
    assert_eq!(shape.get(&at_end).await.is(409).handle(), fresh);
    delete(&again, &[("handle", &tail.handle)]).await.is(404);
}

#[actix_rt::test]
async fn a_shape_whose_snapshot_is_being_made_can_be_deleted() {
    let scene = Scene::with(ITEMS, &[ALLOWED]).await;
    // An empty table: its snapshot is over as soon as it may begin.
    for (table, rows) in [("items", 2), ("other", 0)] {
        let shape = scene.engine.shape(table);
        let mut client = scene.database.connect().await;
        let lock = client.transaction().await.expect("a transaction");
        lock.batch_execute(&format!("LOCK TABLE {table}")).await.expect("the lock");
        let deleting = async {
            let deleted = eventually(SOON, "a shape to delete", async || {
                let reply = delete(&scene.engine, &[("table", table)]).await;
                if reply.status == 202 { Ok(()) } else { Err(reply.status) }
            });
            deleted.await;
            lock.rollback().await.expect("the end of the lock");
        };
        let (reply, ()) = join(shape.first(), deleting).await;
        reply.is(409);
        let fresh = Tail::of(&shape).await;
        assert_eq!(shape.first().await.is(200).changes().len(), rows);
        delete(&scene.engine, &[("handle", &fresh.handle)]).await.is(202);
        delete(&scene.engine, &[("table", table)]).await.is(404);
    }
}
