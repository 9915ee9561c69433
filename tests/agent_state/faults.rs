//! Postgres goes away, connections are cut, clients leave: nothing that was acknowledged is lost, and all goes on by itself.

use std::cell::Cell;
use std::time::Duration;

use awc::http::Method;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::{Api, Cut, Database, Link, OwnCluster, eventually};

const DEADLINE: Duration = Duration::from_secs(30);

/// Ends every connection to the database but the one that asks, and says how many there were.
const KILL: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// An API whose connections to Postgres can be cut.
async fn behind_a_link(database: &Database) -> (Link, Api) {
    let (head, name) = database.url().rsplit_once('/').expect("an address");
    let (user, server) = head.rsplit_once('@').expect("a user and a server");
    let link = Link::to(server.to_owned()).await;
    let api = Api::with_settings(&format!("{user}@{}/{name}", link.address()), &[]).await;
    (link, api)
}

/// Waits until so many connections of the write path wait for a lock. The engine's waits as well, while it makes its
/// slot, for transactions that are open; it is no client.
async fn waiting_for_a_lock(database: &Database, expected: i64) {
    let client = database.connect().await;
    eventually(DEADLINE, "a flush that waits for a lock", async || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND wait_event_type = 'Lock' AND backend_type = 'client backend'";
        let seen: i64 = client.query_one(sql, &[]).await.expect("a count").get(0);
        if seen == expected { Ok(()) } else { Err(seen) }
    })
    .await;
}

#[actix_web::test]
async fn connections_killed_while_eight_write_lose_no_acknowledged_write() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    api.session("s").await;
    let killer = database.connect().await;
    let working = Cell::new(8);
    let writer = async |writer: usize| {
        let mut acknowledged = Vec::new();
        for n in 0..20 {
            let (id, named) = (format!("m_{writer}_{n}"), n % 2 == 0);
            let parts = json!([{"type": "text", "text": id}]);
            let new = if named {
                json!({"id": id, "role": "user", "parts": parts})
            } else {
                json!({"role": "user", "parts": parts})
            };
            let answer = api.post("/v1/sessions/s/messages", new.clone()).await;
            match answer.status.as_u16() {
                200 | 201 => acknowledged.push(id),
                503 => {
                    assert!(answer.headers.get("retry-after").is_some());
                    let code = answer.body["code"].as_str().expect("a code").to_owned();
                    assert!(["unavailable", "outcome_unknown"].contains(&code.as_str()), "{code}");
                    if named {
                        let again = async || {
                            let answer = api.post("/v1/sessions/s/messages", new.clone()).await;
                            if answer.status.is_success() { Ok(()) } else { Err(answer) }
                        };
                        eventually(DEADLINE, "the same write once more", again).await;
                        acknowledged.push(id);
                    }
                }
                _ => panic!("{answer:?}"),
            }
        }
        working.set(working.get() - 1);
        acknowledged
    };
    let kill = async {
        let mut killed = 0;
        while working.get() > 0 {
            killed += killer.query_one(KILL, &[]).await.expect("a count").get::<_, i64>(0);
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        killed
    };
    let (acknowledged, killed) = futures_util::join!(join_all((0..8).map(writer)), kill);
    assert!(killed > 3, "only {killed} connections were there to kill");
    let read = api.get("/v1/sessions/s/messages").await.is(200);
    let messages = read["messages"].as_array().expect("a list");
    let mut texts: Vec<_> =
        messages.iter().map(|message| message["parts"][0]["text"].as_str().expect("its part")).collect();
    texts.sort_unstable();
    let count = texts.len();
    texts.dedup();
    assert_eq!(texts.len(), count, "a write was done twice");
    for id in acknowledged.iter().flatten() {
        assert!(texts.binary_search(&id.as_str()).is_ok(), "{id} was acknowledged and is lost");
    }
    api.stop().await;
}

#[actix_web::test]
async fn connections_that_died_idle_are_noticed_by_nobody() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    api.session("s").await;
    let killer = database.connect().await;
    for n in 0..5 {
        api.get("/v1/sessions/s").await.is(200);
        killer.query_one(KILL, &[]).await.expect("a count");
        match n % 2 {
            0 => drop(api.get("/v1/sessions/s/messages").await.is(200)),
            _ => drop(api.message("s", &format!("m{n}")).await),
        }
    }
    api.stop().await;
}

#[actix_web::test]
async fn a_connection_cut_at_commit_leaves_the_outcome_open_only_where_it_must() {
    let database = Database::fresh().await;
    let (link, api) = behind_a_link(&database).await;
    api.session("s").await;
    api.message("s", "m").await;
    let count = async |table: &str| {
        let sql = format!("SELECT count(*) FROM {table}");
        database.connect().await.query_one(&sql, &[]).await.expect("a count").get::<_, i64>(0)
    };

    for (cut, happened) in [(Cut::BeforeCommit, 0), (Cut::AfterCommit, 1)] {
        let before = count("messages").await;
        link.cut_next(cut);
        let answer = api.post("/v1/sessions/s/messages", json!({"role": "user"})).await;
        assert!(answer.headers.get("retry-after").is_some());
        answer.refuses(503, "outcome_unknown");
        assert!(link.has_cut());
        assert_eq!(count("messages").await - before, happened, "{cut:?}: never again by ourselves");

        let id = format!("named_{cut:?}");
        link.cut_next(cut);
        let answer = api.post("/v1/sessions/s/messages", json!({"id": id, "role": "user"})).await;
        assert!(answer.status.is_success(), "{cut:?} {answer:?}");
        assert!(link.has_cut());
        assert_eq!(answer.body["txid"].is_u64(), happened == 0, "{cut:?}: {}", answer.body);
        assert_eq!(count("messages").await - before, happened + 1, "{cut:?}");
    }

    let unnamed = [
        (Method::POST, "", json!({"directory": "/", "title": "t"})),
        (Method::POST, "/s/messages/m/parts", json!([{"type": "text"}])),
        (Method::POST, "/s/snapshots", json!({"change_id": "c"})),
        (Method::POST, "/s/subtasks", json!({"result": 1})),
        (Method::DELETE, "/s/messages/m", Value::Null),
    ];
    for (method, path, body) in unnamed {
        link.cut_next(Cut::AfterCommit);
        let answer = api.send(method.clone(), &format!("/v1/sessions{path}"), body.to_string()).await;
        answer.refuses(503, "outcome_unknown");
        assert!(link.has_cut(), "{method} {path}");
    }
    assert_eq!([count("sessions").await, count("snapshot_history").await, count("subtasks").await], [2, 1, 1]);
    let repeatable = [
        (Method::PATCH, "/s", json!({"title": "new"})),
        (Method::PUT, "/s/messages", json!([{"id": "m9", "role": "user"}])),
        (Method::PUT, "/s/messages/m9/parts/p9", json!({"type": "text"})),
        (Method::POST, "/s/snapshots", json!({"change_id": "c", "sort_order": 5})),
        (Method::POST, "/s/subtasks", json!({"result": 1, "key": "k"})),
        (Method::DELETE, "/s/state", Value::Null),
    ];
    for (method, path, body) in repeatable {
        link.cut_next(Cut::AfterCommit);
        let answer = api.send(method.clone(), &format!("/v1/sessions{path}"), body.to_string()).await;
        assert!(answer.status.is_success(), "{method} {path}: {answer:?}");
        assert!(link.has_cut(), "{method} {path}");
    }
    api.stop().await;
}

#[actix_web::test]
async fn a_batch_cut_at_its_commit_is_done_once_and_each_write_is_told_what_is_known() {
    for (cut, happened) in [(Cut::BeforeCommit, false), (Cut::AfterCommit, true)] {
        let database = Database::fresh().await;
        let (link, api) = behind_a_link(&database).await;
        api.session("s").await;
        let holder = database.connect().await;
        holder.batch_execute("BEGIN; SELECT 1 FROM sessions FOR UPDATE").await.expect("a lock");
        // The first write waits for the lock in a transaction of its own, the others behind it for the next one.
        let first = api.message("s", "first");
        let others = async {
            waiting_for_a_lock(&database, 1).await;
            link.cut_after(1, cut);
            let write = async |n: usize| {
                let new = if n.is_multiple_of(2) {
                    json!({"id": format!("m{n}"), "role": "user"})
                } else {
                    json!({"role": "user"})
                };
                (n, api.post("/v1/sessions/s/messages", new).await)
            };
            let release = async {
                // A read on every worker's connection comes after the writes sent before it.
                for _ in 0..10 {
                    api.get("/v1/sessions/s").await.is(200);
                }
                holder.batch_execute("COMMIT").await.expect("the end of the lock");
            };
            futures_util::join!(join_all((0..12).map(write)), release).0
        };
        let (_, answers) = futures_util::join!(first, others);
        assert!(link.has_cut());
        let (mut unknown, mut repeated) = (0, 0);
        for (n, answer) in answers {
            match answer.status.as_u16() {
                503 => {
                    assert_eq!(n % 2, 1, "{cut:?}: a named write can be repeated: {answer:?}");
                    answer.refuses(503, "outcome_unknown");
                    unknown += 1;
                }
                200 => repeated += 1,
                _ => assert_eq!(answer.status, 201, "{answer:?}"),
            }
        }
        assert!(unknown > 1, "{cut:?}: only {unknown} unnamed writes were in the batch");
        assert_eq!(repeated > 0, happened, "{cut:?}: {repeated} named writes found themselves done");
        let stored = api.get("/v1/sessions/s/messages").await.is(200)["messages"].as_array().map(Vec::len);
        assert_eq!(stored, Some(if happened { 13 } else { 13 - unknown }), "{cut:?}");
        api.stop().await;
    }
}

#[actix_web::test]
async fn a_stopped_postgres_is_unavailable_and_all_goes_on_when_it_is_back() {
    let mut cluster = OwnCluster::start(&[]);
    let api = Api::with_settings(&cluster.url(), &[("PLUE_DATABASE__CONNECT_TIMEOUT", "300ms")]).await;
    api.session("s").await;
    assert!(cluster.postgres.stop(DEADLINE));
    let (written, read) = futures_util::join!(
        api.post("/v1/sessions/s/messages", json!({"role": "user"})),
        api.get("/v1/sessions/s/messages")
    );
    for answer in [written, read] {
        assert!(answer.headers.get("retry-after").is_some());
        answer.refuses(503, "unavailable");
    }
    cluster.postgres.start_again().expect("a second start");
    let back = eventually(DEADLINE, "a write", async || {
        let answer = api.post("/v1/sessions/s/messages", json!({"id": "m", "role": "user"})).await;
        if answer.status.is_success() { Ok(()) } else { Err(answer) }
    });
    back.await;
    assert_eq!(api.get("/v1/sessions/s/messages").await.is(200)["messages"].as_array().map(Vec::len), Some(1));
    api.stop().await;
}

#[actix_web::test]
async fn a_deadlock_with_another_program_is_tried_again() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    api.session("a").await;
    api.session("b").await;
    let other = database.connect().await;
    other
        .batch_execute("SET deadlock_timeout = '20s'; BEGIN; SELECT 1 FROM sessions WHERE id = 'b' FOR UPDATE")
        .await
        .expect("a lock");
    // Takes a, then waits for b; the other then waits for a, and ours is the one that Postgres ends.
    let patch = api.patch("/v1/sessions/a", json!({"parent_id": "b"}));
    let cross = async {
        waiting_for_a_lock(&database, 1).await;
        other
            .batch_execute("SELECT 1 FROM sessions WHERE id = 'a' FOR UPDATE; COMMIT")
            .await
            .expect("the other goes on");
    };
    let (answer, ()) = futures_util::join!(patch, cross);
    assert_eq!(answer.is(200)["session"]["parent_id"], "b");
    api.stop().await;
}

#[actix_web::test]
async fn a_client_that_leaves_takes_no_queued_write_with_it_and_a_stop_waits_for_it() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    api.session("s").await;
    let holder = database.connect().await;
    holder.batch_execute("BEGIN; SELECT 1 FROM sessions FOR UPDATE").await.expect("a lock");
    let body = r#"{"id":"left","role":"user","parts":[{"type":"text"},{"type":"text"}]}"#;
    let mut client = tokio::net::TcpStream::connect(api.address()).await.expect("a connection");
    let length = body.len();
    let request = format!("POST /v1/sessions/s/messages HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}");
    client.write_all(request.as_bytes()).await.expect("a request");
    waiting_for_a_lock(&database, 1).await;
    drop(client);
    let stop = async {
        api.stop().await;
        let sql = "SELECT count(*) FROM parts WHERE message_id = 'left'";
        database.connect().await.query_one(sql, &[]).await.expect("a count").get::<_, i64>(0)
    };
    let (parts, ()) =
        futures_util::join!(stop, async { holder.batch_execute("COMMIT").await.expect("the end of the lock") });
    assert_eq!(parts, 2, "the stop ended before the queue was done");
}

#[actix_web::test]
async fn a_session_that_another_program_has_locked_holds_no_other_for_long() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    api.session("locked").await;
    api.session("free").await;
    let holder = database.connect().await;
    holder.batch_execute("BEGIN; SELECT 1 FROM sessions WHERE id = 'locked' FOR UPDATE").await.expect("a lock");
    let (stalled, written) = futures_util::join!(
        api.post("/v1/sessions/locked/messages", json!({"id": "m", "role": "user"})),
        api.post("/v1/sessions/free/messages", json!({"role": "user"}))
    );
    stalled.refuses(503, "unavailable");
    written.is(201);
    holder.batch_execute("COMMIT").await.expect("the end of the lock");
    assert_eq!(api.get("/v1/sessions/locked/messages").await.is(200)["messages"], json!([]), "nothing was written");
    api.post("/v1/sessions/locked/messages", json!({"id": "m", "role": "user"})).await.is(201);
    api.stop().await;
}
