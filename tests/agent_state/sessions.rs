//! Sessions: create, list, change, delete, clear.

use serde_json::{Value, json};

use crate::support::{Api, Database};

#[actix_web::test]
async fn a_session_is_created_read_changed_and_deleted() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    let new = json!({
        "id": "ses_1", "project_id": "p", "directory": "/src", "title": "é\u{1F980}", "version": "2", "time_created": 5,
        "time_archived": -1, "fork_point": "msg_0", "summary": {"a": [1.50, null]}, "revert": [], "compaction": "text",
        "token_count": 7, "bypass_mode": true, "model": "m", "reasoning_effort": "minimal", "ghost_commit": 1e2, "plugins": ["x"]
    });
    let written = api.post("/v1/sessions", new.clone()).await.is(201);
    let session = &written["session"];
    for (name, value) in new.as_object().expect("an object") {
        if name != "ghost_commit" {
            assert_eq!(&session[name], value, "{name}");
        }
    }
    assert_eq!(session["ghost_commit"].as_f64(), Some(100.0));
    assert!(session["time_updated"].as_i64() > Some(1_600_000_000_000), "{session}");
    assert!(written["txid"].as_u64().is_some_and(|txid| txid > 0 && u32::try_from(txid).is_ok()), "{written}");
    let lsn = written["lsn"].as_str().expect("text").parse::<u64>().expect("a decimal number");
    assert!(lsn > 0);
    assert_eq!(&api.get("/v1/sessions/ses_1").await.is(200)["session"], session);

    let patch = json!({"title": "B", "model": null, "summary": null, "token_count": 8});
    let changed = api.patch("/v1/sessions/ses_1", patch.clone()).await.is(200);
    assert_eq!(changed["session"]["title"], "B");
    assert_eq!((&changed["session"]["model"], &changed["session"]["summary"]), (&Value::Null, &Value::Null));
    assert_eq!(changed["session"]["directory"], "/src");
    assert!(changed["session"]["time_updated"].as_i64() > session["time_updated"].as_i64());
    assert!(changed["lsn"].as_str().expect("text").parse::<u64>().expect("a number") > lsn);
    let again = api.patch("/v1/sessions/ses_1", patch).await.is(200);
    assert_eq!((&again["session"], &again["txid"]), (&changed["session"], &Value::Null));

    assert_eq!(api.delete("/v1/sessions/ses_1").await.is(200)["session"], changed["session"]);
    api.get("/v1/sessions/ses_1").await.refuses(404, "not_found");
    api.delete("/v1/sessions/ses_1").await.refuses(404, "not_found");
    api.stop().await;
}

#[actix_web::test]
async fn defaults_are_those_of_the_tables_and_ids_sort() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    let new = json!({"directory": "/", "title": ""});
    let first = api.post("/v1/sessions", new.clone()).await.is(201)["session"].clone();
    let second = api.post("/v1/sessions", new).await.is(201)["session"].clone();
    let expected = json!({
        "id": first["id"], "project_id": "default", "directory": "/", "title": "", "version": "1.0.0",
        "time_created": first["time_created"], "time_updated": first["time_updated"], "time_archived": null, "parent_id": null,
        "fork_point": null, "summary": null, "revert": null, "compaction": null, "token_count": 0, "bypass_mode": false,
        "model": null, "reasoning_effort": null, "ghost_commit": null, "plugins": []
    });
    assert_eq!(first, expected);
    let (first, second) = (first["id"].as_str().expect("text"), second["id"].as_str().expect("text"));
    assert!(first.starts_with("ses_") && first < second, "{first} {second}");
    api.stop().await;
}

#[actix_web::test]
async fn creating_the_same_session_again_changes_nothing_and_another_one_under_its_id_is_refused() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    let new = json!({"id": "s", "directory": "/", "title": "t", "summary": {"a": 1, "b": 2.0}});
    let first = api.post("/v1/sessions", new.clone()).await.is(201);
    let same = json!({"id": "s", "title": "t", "directory": "/", "summary": {"b": 2, "a": 1.0}, "version": "1.0.0"});
    for repeat in [new, same] {
        let again = api.post("/v1/sessions", repeat).await.is(200);
        assert_eq!((&again["session"], &again["txid"]), (&first["session"], &Value::Null));
        assert!(again["lsn"].as_str().is_some());
    }
    let others = [
        json!({"id": "s", "directory": "/", "title": "other", "summary": {"a": 1, "b": 2}}),
        json!({"id": "s", "directory": "/", "title": "t"}),
        json!({"id": "s", "directory": "/", "title": "t", "summary": {"a": 1, "b": 2}, "time_created": 1}),
    ];
    for other in others {
        api.post("/v1/sessions", other).await.refuses(409, "already_exists");
    }
    assert_eq!(api.get("/v1/sessions/s").await.is(200)["session"], first["session"]);
    api.stop().await;
}

#[actix_web::test]
async fn a_list_has_the_newest_first_in_pages_of_any_size() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    for n in 0..7 {
        let new = json!({"id": format!("s_{n}"), "directory": "/", "title": "t", "project_id": if n % 2 == 0 { "even" } else { "odd" }});
        api.post("/v1/sessions", new).await.is(201);
    }
    api.patch("/v1/sessions/s_2", json!({"time_archived": 9})).await.is(200);
    // Sessions of the same time are in the order of their ids.
    let sql = "UPDATE sessions SET time_updated = 1000 WHERE id <> 's_6'";
    database.connect().await.batch_execute(sql).await.expect("an update");

    let pages = async |query: &str| {
        let mut ids = Vec::new();
        let mut after = String::new();
        loop {
            let page = api.get(&format!("/v1/sessions?limit=2{query}{after}")).await.is(200);
            let sessions = page["sessions"].as_array().expect("a list");
            assert!(sessions.len() <= 2);
            ids.extend(sessions.iter().map(|session| session["id"].as_str().expect("text").to_owned()));
            let Some(next) = page["next"].as_str() else { return ids };
            after = format!("&after={next}");
        }
    };
    assert_eq!(pages("").await, ["s_6", "s_0", "s_1", "s_2", "s_3", "s_4", "s_5"]);
    assert_eq!(pages("&project_id=odd").await, ["s_1", "s_3", "s_5"]);
    assert_eq!(pages("&archived=true").await, ["s_2"]);
    assert_eq!(pages("&archived=false&project_id=even").await, ["s_6", "s_0", "s_4"]);

    let wrong = [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("limit=501", "limit"),
        ("archived=1", "archived"),
        ("after=x", "after"),
        ("after=1_", "after"),
        ("project_id=%00", "project_id"),
        ("sort=asc", "sort"),
    ];
    for (query, field) in wrong {
        let blamed = api.get(&format!("/v1/sessions?{query}")).await.refuses(400, "invalid_request");
        assert_eq!(blamed.as_deref(), Some(field), "{query}");
    }
    api.stop().await;
}

#[actix_web::test]
async fn a_parent_must_exist_and_its_end_leaves_the_child() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    let child = json!({"id": "child", "directory": "/", "title": "t", "parent_id": "parent"});
    api.post("/v1/sessions", child.clone()).await.refuses(404, "not_found");
    api.get("/v1/sessions/child").await.refuses(404, "not_found");
    api.session("parent").await;
    api.post("/v1/sessions", child).await.is(201);
    api.patch("/v1/sessions/child", json!({"parent_id": "nobody"})).await.refuses(404, "not_found");
    api.delete("/v1/sessions/parent").await.is(200);
    assert_eq!(api.get("/v1/sessions/child").await.is(200)["session"]["parent_id"], Value::Null);
    api.stop().await;
}

#[actix_web::test]
async fn clearing_the_state_leaves_the_session_alone() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    let before = api.session("s").await;
    assert_eq!(api.delete("/v1/sessions/s/state").await.is(200)["txid"], Value::Null);
    api.post("/v1/sessions/s/messages", json!({"role": "user", "parts": [{"type": "text", "text": "x"}]}))
        .await
        .is(201);
    api.post("/v1/sessions/s/snapshots", json!({"change_id": "c"})).await.is(201);
    api.post("/v1/sessions/s/subtasks", json!({"result": 1})).await.is(201);
    let cleared = api.delete("/v1/sessions/s/state").await.is(200);
    assert!(cleared["txid"].is_u64());
    assert!(cleared["session"]["time_updated"].as_i64() > before["time_updated"].as_i64());
    let sql = "SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM parts) + (SELECT count(*) FROM snapshot_history) \
               + (SELECT count(*) FROM subtasks)";
    assert_eq!(database.connect().await.query_one(sql, &[]).await.expect("a count").get::<_, i64>(0), 0);
    assert_eq!(api.get("/v1/sessions/s").await.is(200)["session"], cleared["session"]);
    api.stop().await;
}

#[actix_web::test]
async fn ids_of_any_characters_are_found_by_their_path() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    let ids = [
        ("a/b", "a%2Fb"),
        ("a b", "a%20b"),
        ("é\u{1F980}", "%C3%A9%F0%9F%A6%80"),
        ("100%", "100%25"),
        ("%2F", "%252F"),
        ("..", "%2E%2E"),
        ("?#", "%3F%23"),
    ];
    for (id, path) in ids {
        api.session(id).await;
        assert_eq!(api.get(&format!("/v1/sessions/{path}")).await.is(200)["session"]["id"], id);
        let message =
            api.post(&format!("/v1/sessions/{path}/messages"), json!({"id": id, "role": "user"})).await.is(201);
        assert_eq!(message["message"]["session_id"], id);
        api.delete(&format!("/v1/sessions/{path}/messages/{path}")).await.is(200);
    }
    for path in ["%FF", "a%C3"] {
        let answer = api.get(&format!("/v1/sessions/{path}")).await;
        assert!(answer.status.is_client_error() && answer.body["code"].is_string(), "{path} {answer:?}");
    }
    api.get("/v1/sessions?limit=%FF").await.refuses(400, "invalid_request");
    api.stop().await;
}

#[actix_web::test]
async fn time_updated_moves_also_where_the_clock_does_not() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    api.session("s").await;
    let ahead = 9_000_000_000_000_i64;
    let sql = format!("UPDATE sessions SET time_updated = {ahead}");
    database.connect().await.batch_execute(&sql).await.expect("an update");
    assert_eq!(
        api.patch("/v1/sessions/s", json!({"title": "new"})).await.is(200)["session"]["time_updated"],
        ahead + 1
    );
    api.message("s", "m").await;
    assert_eq!(api.get("/v1/sessions/s").await.is(200)["session"]["time_updated"], ahead + 2);
    api.stop().await;
}
