//! A new list of messages in place of the old one: only the difference is written.

use serde_json::{Value, json};

use crate::support::{Api, Database};

const MESSAGES: &str = "/v1/sessions/s/messages";

/// Every row of messages and parts: its id, its version, and its content.
async fn rows(database: &Database) -> Vec<(String, String, String)> {
    let sql = "SELECT id, concat(xmin, '/', ctid, '/', xmax), to_jsonb(messages)::text FROM messages UNION ALL \
               SELECT id, concat(xmin, '/', ctid, '/', xmax), to_jsonb(parts)::text FROM parts ORDER BY 1";
    let rows = database.connect().await.query(sql, &[]).await.expect("rows");
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

fn list() -> Value {
    json!([
        {"id": "m1", "role": "user", "time_created": 1, "parts": [{"id": "p1", "type": "text", "text": "a"}]},
        {"id": "m2", "role": "assistant", "time_created": 2, "cost": 0.1, "tools": {"n": 1}, "parts": [
            {"id": "p2", "type": "text", "text": "b"}, {"id": "p3", "type": "tool", "tool_state": {"x": 1}}
        ]},
        {"id": "m3", "role": "user", "time_created": 3, "parts": [{"id": "p4", "type": "text"}]}
    ])
}

#[actix_web::test]
async fn replacing_the_list_writes_the_difference_only() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    api.session("s").await;
    let first = api.put(MESSAGES, list()).await.is(200);
    assert_eq!(first["messages"], api.get(MESSAGES).await.is(200)["messages"]);
    let before = rows(&database).await;
    let session = api.get("/v1/sessions/s").await.is(200);

    for same in [list(), first["messages"].clone(), json!({"messages": first["messages"]})] {
        let again = api.put(MESSAGES, same).await.is(200);
        assert_eq!((&again["messages"], &again["txid"]), (&first["messages"], &Value::Null));
    }
    assert_eq!(rows(&database).await, before);
    assert_eq!(api.get("/v1/sessions/s").await.is(200), session);

    // m1 stays as it is, m2 loses a part and changes another, m3 goes, and m0 comes with the part of m3.
    let mut next = list();
    next[1]["parts"] = json!([{"id": "p3", "type": "tool", "tool_state": {"x": 2}, "sort_order": 1}]);
    next[2] = json!({"id": "m0", "role": "user", "time_created": 0, "parts": [{"id": "p4", "type": "text"}, {"type": "text"}]});
    let changed = api.put(MESSAGES, next).await.is(200);
    let ids: Vec<_> = changed["messages"].as_array().expect("a list").iter().map(|message| &message["id"]).collect();
    assert_eq!(ids, ["m0", "m1", "m2"]);
    assert_eq!(changed["messages"][0]["parts"][0]["id"], "p4");
    assert_eq!(changed["messages"][0]["parts"][1]["sort_order"], 1);
    assert_eq!(changed["messages"], api.get(MESSAGES).await.is(200)["messages"]);
    let after = rows(&database).await;
    let untouched: Vec<_> = before.iter().filter(|row| after.contains(row)).map(|row| row.0.as_str()).collect();
    // m1 and m2 are locked for their new parts' sake at most: their versions are the old ones.
    assert_eq!(untouched, ["m1", "m2", "p1"]);
    assert!(!after.iter().any(|row| row.0 == "p2" || row.0 == "m3"));

    assert!(api.put(MESSAGES, json!([])).await.is(200)["txid"].is_u64());
    assert_eq!(rows(&database).await, []);
    api.stop().await;
}

#[actix_web::test]
async fn a_list_that_needs_the_ids_of_another_session_is_refused_as_a_whole() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    api.session("s").await;
    api.session("other").await;
    api.put("/v1/sessions/other/messages", list()).await.is(200);
    api.message("s", "mine").await;
    let before = rows(&database).await;
    let lists = [
        json!([{"role": "user"}, {"id": "m1", "role": "user"}]),
        json!([{"role": "user", "parts": [{"id": "p1", "type": "text"}]}]),
    ];
    for list in lists {
        api.put(MESSAGES, list).await.refuses(409, "already_exists");
    }
    assert_eq!(rows(&database).await, before);
    api.stop().await;
}

#[actix_web::test]
async fn a_list_of_thousands_is_replaced_at_once() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    api.session("s").await;
    let message = |n: usize| {
        let part = json!({"id": format!("p{n}"), "type": "text"});
        json!({"id": format!("m{n:05}"), "role": "user", "time_created": n, "parts": [part]})
    };
    let mut many: Vec<_> = (0..3000).map(message).collect();
    let written = api.put(MESSAGES, json!(many)).await.is(200);
    assert_eq!(written["messages"].as_array().map(Vec::len), Some(3000));
    let before = rows(&database).await;
    many[1500]["status"] = json!("completed");
    many.truncate(2999);
    let written = api.put(MESSAGES, json!(many)).await.is(200);
    assert_eq!(written["messages"][1500]["status"], "completed");
    let after = rows(&database).await;
    assert_eq!(after.len(), 5998);
    assert_eq!(after.iter().filter(|row| !before.contains(row)).count(), 1);
    api.stop().await;
}
