//! Messages: append, change, delete, and who may not.

use serde_json::{Value, json};

use crate::support::{Api, Database};

#[actix_web::test]
async fn a_message_is_appended_with_its_parts_in_one_transaction_and_read_back() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    let session = api.session("s").await;
    let new = json!({
        "id": "m1", "role": "assistant", "time_created": 10, "time_completed": 11, "status": "streaming", "thinking_text": "t",
        "error_message": "e", "agent": "a", "model_provider_id": "p", "model_model_id": "mm", "system_prompt": "sp",
        "tools": {"x": [1]}, "parent_id": "m0", "mode": "build", "path_cwd": "/c", "path_root": "/r", "tokens_input": 1,
        "tokens_output": 2, "tokens_reasoning": 3, "tokens_cache_read": 4, "tokens_cache_write": -2147483648_i64, "finish": "stop",
        "is_summary": true, "error": {"name": "E"}
    });
    let parts = json!([
        {"id": "p2", "type": "text", "text": "late", "sort_order": 5},
        {"id": "p1", "type": "tool", "tool_name": "bash", "tool_state": {"s": null}, "time_start": 1, "time_end": 2},
        {"type": "file", "mime": "text/plain", "url": "file:///x", "filename": "x"}
    ]);
    let mut body = new.clone();
    body["parts"] = parts;
    let written = api.post("/v1/sessions/s/messages", body).await.is(201);
    let message = &written["message"];
    for (name, value) in new.as_object().expect("an object") {
        assert_eq!(&message[name], value, "{name}");
    }
    assert_eq!(message["session_id"], "s");
    assert!(message["created_at"].as_str().is_some(), "{message}");
    let orders: Vec<_> =
        message["parts"].as_array().expect("a list").iter().map(|p| (&p["id"], &p["sort_order"])).collect();
    assert_eq!(orders[..2], [(&json!("p2"), &json!(5)), (&json!("p1"), &json!(6))]);
    assert!(orders[2].0.as_str().is_some_and(|id| id.starts_with("prt_")) && orders[2].1 == 7);

    // Rows of one transaction carry its number; Postgres knows it too.
    let sql = "SELECT DISTINCT xmin::text FROM (SELECT xmin FROM messages UNION ALL SELECT xmin FROM parts \
               UNION ALL SELECT xmin FROM sessions) all_rows";
    let rows = database.connect().await.query(sql, &[]).await.expect("rows");
    assert_eq!(rows.len(), 1, "one transaction");
    assert_eq!(rows[0].get::<_, String>(0), written["txid"].to_string());

    api.message("s", "m0").await;
    let read = api.get("/v1/sessions/s/messages").await.is(200);
    assert_eq!(&read["messages"][0], message, "the older time comes first");
    assert_eq!(read["messages"][1]["parts"], json!([]));
    let touched = api.get("/v1/sessions/s").await.is(200);
    assert!(touched["session"]["time_updated"].as_i64() > session["time_updated"].as_i64());
    api.stop().await;
}

#[actix_web::test]
async fn a_cost_keeps_its_digits() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    api.session("s").await;
    let cases = [
        ("9999999999.9999999999", Some("9999999999.9999999999")),
        ("0.00123", Some("0.0012300000")),
        ("-1e-10", Some("-0.0000000001")),
        ("0.00000000005", Some("0.0000000001")),
        ("1e9", Some("1000000000.0000000000")),
        ("0e999999999", Some("0.0000000000")),
        ("9999999999.99999999999", None),
        ("1e10", None),
        ("1e999999999", None),
        ("1e-999999999", None),
        ("\"1\"", None),
    ];
    for (n, (given, stored)) in cases.into_iter().enumerate() {
        let body = format!(r#"{{"id":"m{n}","role":"user","cost":{given}}}"#);
        let answer = api.send(awc::http::Method::POST, "/v1/sessions/s/messages", body.clone()).await;
        let Some(stored) = stored else {
            assert_eq!(answer.refuses(400, "invalid_request").as_deref(), Some("cost"), "{given}");
            continue;
        };
        let written = answer.is(201);
        assert_eq!(written["message"]["cost"].to_string(), stored, "{given}");
        let again = api.send(awc::http::Method::POST, "/v1/sessions/s/messages", body).await.is(200);
        assert_eq!(again["txid"], Value::Null, "{given}");
    }
    api.stop().await;
}

#[actix_web::test]
async fn appending_the_same_message_again_changes_nothing() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    api.session("s").await;
    api.session("other").await;
    let new = json!({"id": "m", "role": "user", "parts": [
        {"type": "text", "text": "same"}, {"type": "text", "text": "same"}, {"id": "p", "type": "text", "text": "named"}
    ]});
    let first = api.post("/v1/sessions/s/messages", new.clone()).await.is(201);
    let before = api.get("/v1/sessions/s").await.is(200);
    // What comes later does not make it another request.
    api.post("/v1/sessions/s/messages/m/parts", json!([{"type": "text", "text": "more"}])).await.is(201);
    let touched = api.get("/v1/sessions/s").await.is(200);
    assert_ne!(touched, before);
    let again = api.post("/v1/sessions/s/messages", new.clone()).await.is(200);
    assert_eq!(again["txid"], Value::Null);
    assert_eq!(again["message"]["id"], first["message"]["id"]);
    assert_eq!(again["message"]["parts"].as_array().map(Vec::len), Some(4));
    assert_eq!(api.get("/v1/sessions/s").await.is(200), touched);

    let mut others =
        vec![json!({"id": "m", "role": "assistant"}), json!({"id": "m", "role": "user", "parts": [{"type": "file"}]})];
    for change in ["text", "type"] {
        let mut other = new.clone();
        other["parts"][2][change] = json!("reasoning");
        others.push(other);
    }
    let mut three = new.clone();
    three["parts"][2] = json!({"type": "text", "text": "same"});
    others.push(three);
    for other in others {
        api.post("/v1/sessions/s/messages", other).await.refuses(409, "already_exists");
    }
    api.post("/v1/sessions/other/messages", new).await.refuses(409, "already_exists");
    let taken =
        json!({"id": "m2", "role": "user", "parts": [{"type": "text"}, {"id": "p", "type": "text", "text": "named"}]});
    api.post("/v1/sessions/s/messages", taken).await.refuses(409, "already_exists");
    let read = api.get("/v1/sessions/s/messages").await.is(200);
    assert_eq!(read["messages"].as_array().map(Vec::len), Some(1), "a refused append leaves nothing: {read}");
    assert_eq!(api.get("/v1/sessions/s").await.is(200), touched);
    api.stop().await;
}

#[actix_web::test]
async fn a_message_is_changed_and_deleted_only_in_its_own_session() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    api.session("s").await;
    api.session("other").await;
    let message = api.message("s", "m").await;
    let before = api.get("/v1/sessions/other").await.is(200);

    let patch =
        json!({"status": "failed", "error": {"e": "\u{1}"}, "cost": 0.5, "tokens_input": 3, "time_completed": 77});
    let changed = api.patch("/v1/sessions/s/messages/m", patch.clone()).await.is(200);
    assert_eq!((&changed["message"]["status"], &changed["message"]["role"]), (&json!("failed"), &message["role"]));
    let again = api.patch("/v1/sessions/s/messages/m", patch).await.is(200);
    assert_eq!((&again["txid"], &again["message"]), (&Value::Null, &changed["message"]));
    let cleared = api.patch("/v1/sessions/s/messages/m", json!({"status": null, "error": null})).await.is(200);
    assert_eq!((&cleared["message"]["status"], &cleared["message"]["error"]), (&Value::Null, &Value::Null));
    assert_eq!(cleared["message"]["tokens_input"], 3);
    assert_eq!(api.patch("/v1/sessions/s/messages/m", json!({})).await.is(200)["txid"], Value::Null);
    assert_eq!(
        api.patch("/v1/sessions/s/messages/m", json!({"role": null})).await.refuses(400, "invalid_request").as_deref(),
        Some("role")
    );

    for path in ["other/messages/m", "nobody/messages/m", "s/messages/nothing", "s/messages/m/parts/nothing"] {
        api.delete(&format!("/v1/sessions/{path}")).await.refuses(404, "not_found");
    }
    for path in ["other/messages/m", "nobody/messages/m", "s/messages/nothing"] {
        api.patch(&format!("/v1/sessions/{path}"), json!({"status": "pending"})).await.refuses(404, "not_found");
        let part = json!({"type": "text"});
        api.put(&format!("/v1/sessions/{path}/parts/p"), part.clone()).await.refuses(404, "not_found");
        api.post(&format!("/v1/sessions/{path}/parts"), json!([part])).await.refuses(404, "not_found");
    }
    api.post("/v1/sessions/nobody/messages", json!({"role": "user"})).await.refuses(404, "not_found");
    api.put("/v1/sessions/nobody/messages", json!([])).await.refuses(404, "not_found");
    api.get("/v1/sessions/nobody/messages").await.refuses(404, "not_found");
    assert_eq!(api.get("/v1/sessions/other").await.is(200), before);

    api.put("/v1/sessions/s/messages/m/parts/p", json!({"type": "text"})).await.is(200);
    api.delete("/v1/sessions/s/messages/m").await.is(200);
    assert_eq!(api.get("/v1/sessions/s/messages").await.is(200)["messages"], json!([]));
    api.stop().await;
}
