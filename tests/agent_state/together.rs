//! Many writers at once: group commit, order, and the bounds of the queue.

use std::cell::Cell;
use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Api, Database, eventually};

#[actix_web::test]
async fn eight_writers_of_one_session_each_keep_their_order_and_share_transactions() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    api.session("s").await;
    let before = api.get("/v1/sessions/s").await.is(200);
    let writer = async |writer: usize| {
        let mut written = Vec::new();
        for n in 0..20 {
            let new = json!({"role": "user", "parts": [{"type": "text", "text": format!("{writer}/{n}")}]});
            written.push(api.post("/v1/sessions/s/messages", new).await.is(201));
        }
        written
    };
    let written = join_all((0..8).map(writer)).await;
    let read = api.get("/v1/sessions/s/messages").await.is(200);
    let texts: Vec<_> =
        read["messages"].as_array().expect("a list").iter().map(|m| m["parts"][0]["text"].as_str()).collect();
    assert_eq!(texts.len(), 160);
    for writer in 0..8 {
        let prefix = format!("{writer}/");
        let own: Vec<_> = texts.iter().flatten().filter(|text| text.starts_with(&prefix)).copied().collect();
        assert_eq!(own, (0..20).map(|n| format!("{writer}/{n}")).collect::<Vec<_>>());
    }
    let transactions: HashSet<_> =
        written.iter().flatten().map(|written| written["txid"].as_u64().expect("a number")).collect();
    assert!(transactions.len() < 120, "{} transactions for 160 writes of 8 writers", transactions.len());
    // One batch moves the session once: no more versions of it than there were transactions.
    let moved = api.get("/v1/sessions/s").await.is(200)["session"]["time_updated"].as_i64()
        > before["session"]["time_updated"].as_i64();
    assert!(moved);
    let sql = "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'sessions'";
    let updates = eventually(Duration::from_secs(20), "the statistics", async || {
        let updates: i64 = database.connect().await.query_one(sql, &[]).await.expect("a count").get(0);
        if updates as usize >= transactions.len() { Ok(updates) } else { Err(updates) }
    });
    assert_eq!(updates.await as usize, transactions.len());
    api.stop().await;
}

#[actix_web::test]
async fn snapshots_appended_by_two_processes_at_once_take_places_of_their_own() {
    let database = Database::fresh().await;
    // Two servers on one database: what keeps them apart must be the database.
    let apis = [Api::start(&database).await, Api::start(&database).await];
    apis[0].session("s").await;
    let append = async |n: usize| {
        let answer = apis[n % 2].post("/v1/sessions/s/snapshots", json!({"change_id": n.to_string()})).await;
        answer.is(201)["snapshot"]["sort_order"].as_i64().expect("a number")
    };
    let mut places = join_all((0..60).map(append)).await;
    places.sort_unstable();
    assert_eq!(places, (0..60).collect::<Vec<_>>());
    for api in apis {
        api.stop().await;
    }
}

#[actix_web::test]
async fn two_processes_that_start_at_once_both_migrate() {
    let database = Database::fresh().await;
    let apis = join_all((0..3).map(|_| Api::start(&database))).await;
    for (n, api) in apis.into_iter().enumerate() {
        api.session(&n.to_string()).await;
        api.stop().await;
    }
}

#[actix_web::test]
async fn the_same_create_sent_by_many_makes_one_row() {
    let database = Database::fresh().await;
    let apis = [Api::start(&database).await, Api::start(&database).await];
    let new = json!({"id": "s", "directory": "/", "title": "t", "time_created": 1});
    let answers = join_all((0..20).map(|n| apis[n % 2].post("/v1/sessions", new.clone()))).await;
    let created = answers.into_iter().filter(|answer| match answer.status.as_u16() {
        201 => answer.body["txid"].is_u64(),
        200 => answer.body["txid"] != Value::Null,
        _ => panic!("{answer:?}"),
    });
    assert_eq!(created.count(), 1);

    let message = json!({"id": "m", "role": "user", "parts": [{"id": "p", "type": "text"}]});
    let answers = join_all((0..20).map(|n| apis[n % 2].post("/v1/sessions/s/messages", message.clone()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert!(answers.iter().all(|answer| answer.status.is_success()), "{answers:?}");
    for api in apis {
        api.stop().await;
    }
}

#[actix_web::test]
async fn a_refused_write_does_not_disturb_its_batch() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    api.session("s").await;
    api.message("s", "m").await;
    let write = async |n: usize| match n % 4 {
        0 => api.message("s", &format!("m{n}")).await,
        1 => api
            .post("/v1/sessions/s/messages", json!({"id": "m", "role": "user"}))
            .await
            .refuses(409, "already_exists")
            .into(),
        2 => api.patch("/v1/sessions/s/messages/none", json!({"mode": "x"})).await.refuses(404, "not_found").into(),
        _ => api.post("/v1/sessions/none/messages", json!({"role": "user"})).await.refuses(404, "not_found").into(),
    };
    join_all((0..80).map(write)).await;
    let read = api.get("/v1/sessions/s/messages").await.is(200);
    assert_eq!(read["messages"].as_array().map(Vec::len), Some(21));
    api.stop().await;
}

#[actix_web::test]
async fn a_full_queue_refuses_at_once_and_takes_more_when_it_has_emptied() {
    let database = Database::fresh().await;
    let settings = [("PLUE_WRITER__QUEUE_LENGTH", "2"), ("PLUE_WRITER__MAX_BATCH", "2")];
    let api = Api::with_settings(database.url(), &settings).await;
    api.session("s").await;
    // Whoever holds the session's lock holds the flush that is in flight.
    let holder = database.connect().await;
    holder.batch_execute("BEGIN; SELECT 1 FROM sessions FOR UPDATE").await.expect("a lock");
    // One in flight, two waiting, and ten too many, which are refused while the lock is held.
    let refused = Cell::new(0);
    let append = async |_| {
        let answer = api.post("/v1/sessions/s/messages", json!({"role": "user"})).await;
        if answer.status != 201 {
            assert!(answer.headers.get("retry-after").is_some());
            answer.refuses(503, "busy");
            refused.set(refused.get() + 1);
        }
    };
    let release = async {
        eventually(Duration::from_secs(20), "ten refusals", async || match refused.get() {
            10 => Ok(()),
            refused => Err(refused),
        })
        .await;
        holder.batch_execute("COMMIT").await.expect("the end of the lock");
    };
    futures_util::join!(join_all((0..13).map(append)), release);
    assert_eq!(refused.get(), 10);
    let read = api.get("/v1/sessions/s/messages").await.is(200);
    assert_eq!(read["messages"].as_array().map(Vec::len), Some(3), "all that were acknowledged and no other");
    api.message("s", "after").await;
    api.stop().await;
}
