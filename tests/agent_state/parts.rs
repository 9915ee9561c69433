//! Parts: put, append, delete, and their order.

use serde_json::{Value, json};

use crate::support::{Api, Database};

const PARTS: &str = "/v1/sessions/s/messages/m/parts";

#[actix_web::test]
async fn a_part_is_created_replaced_and_deleted() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    api.session("s").await;
    api.message("s", "m").await;
    let path = format!("{PARTS}/p");
    let first = api.put(&path, json!({"type": "text", "text": "a", "time_start": 1})).await.is(200);
    assert_eq!(first["part"]["sort_order"], 0);
    assert_eq!((&first["part"]["session_id"], &first["part"]["message_id"]), (&json!("s"), &json!("m")));
    let second = api.put(&format!("{PARTS}/q"), json!({"type": "reasoning"})).await.is(200);
    assert_eq!(second["part"]["sort_order"], 1);

    let updated = api.get("/v1/sessions/s").await.is(200);
    let again = api.put(&path, json!({"type": "text", "text": "a", "time_start": 1})).await.is(200);
    assert_eq!((&again["part"], &again["txid"]), (&first["part"], &Value::Null));
    assert_eq!(api.get("/v1/sessions/s").await.is(200), updated);

    // What is not given is not kept, but for the place.
    let replaced = api.put(&path, json!({"id": "p", "type": "tool", "tool_state": [1]})).await.is(200);
    assert_eq!((&replaced["part"]["text"], &replaced["part"]["time_start"]), (&Value::Null, &Value::Null));
    assert_eq!(replaced["part"]["sort_order"], 0);
    let back = api.put(&path, replaced["part"].clone()).await.is(200);
    assert_eq!(back["txid"], Value::Null, "a row of ours can be sent back");
    let moved = api.put(&path, json!({"type": "tool", "tool_state": [1], "sort_order": 9})).await.is(200);
    assert_eq!(moved["part"]["sort_order"], 9);

    api.message("s", "m2").await;
    api.put("/v1/sessions/s/messages/m2/parts/p", json!({"type": "text"})).await.refuses(409, "already_exists");
    api.delete("/v1/sessions/s/messages/m2/parts/p").await.refuses(404, "not_found");
    assert_eq!(api.delete(&path).await.is(200)["part"], moved["part"]);
    api.delete(&path).await.refuses(404, "not_found");
    api.stop().await;
}

#[actix_web::test]
async fn parts_are_appended_in_order_and_again_without_effect() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    api.session("s").await;
    api.message("s", "m").await;
    let named = json!([{"id": "b", "type": "text"}, {"id": "a", "type": "text", "text": "x"}]);
    let first = api.post(PARTS, named.clone()).await.is(201);
    let ids: Vec<_> = first["parts"].as_array().expect("a list").iter().map(|part| &part["id"]).collect();
    assert_eq!(ids, ["b", "a"]);
    let again = api.post(PARTS, json!({"parts": named})).await.is(200);
    assert_eq!((&again["parts"], &again["txid"]), (&first["parts"], &Value::Null));

    // Some there, some new: only the new ones are written, behind the rest.
    let more = json!([{"id": "a", "type": "text", "text": "x"}, {"id": "c", "type": "text"}]);
    let written = api.post(PARTS, more).await.is(201);
    assert_eq!(written["parts"][1]["sort_order"], 2);
    api.post(PARTS, json!([{"id": "a", "type": "text", "text": "y"}, {"id": "d", "type": "text"}]))
        .await
        .refuses(409, "already_exists");
    let nothing = api.post(PARTS, json!([])).await.is(200);
    assert_eq!((&nothing["parts"], &nothing["txid"]), (&json!([]), &Value::Null));

    api.put(&format!("{PARTS}/last"), json!({"type": "text", "sort_order": i32::MAX})).await.is(200);
    let full = api.post(PARTS, json!([{"type": "text"}])).await;
    assert_eq!(full.refuses(400, "invalid_request").as_deref(), Some("sort_order"));
    let stored = api.get("/v1/sessions/s/messages").await.is(200);
    assert_eq!(stored["messages"][0]["parts"].as_array().map(Vec::len), Some(4), "{stored}");
    api.stop().await;
}

#[actix_web::test]
async fn more_parts_than_one_statement_takes_are_appended_at_once() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    api.session("s").await;
    api.message("s", "m").await;
    let many: Vec<_> = (0..6000).map(|n| json!({"type": "text", "text": n.to_string()})).collect();
    let written = api.post(PARTS, Value::from(many)).await.is(201);
    let parts = written["parts"].as_array().expect("a list");
    assert_eq!(parts.len(), 6000);
    for (n, part) in parts.iter().enumerate() {
        assert_eq!((&part["sort_order"], &part["text"]), (&json!(n), &json!(n.to_string())));
    }
    api.stop().await;
}

#[actix_web::test]
async fn the_database_refuses_a_part_whose_session_is_not_its_messages() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    api.session("s").await;
    api.session("other").await;
    api.message("s", "m").await;
    let sql = "INSERT INTO parts (id, session_id, message_id, type) VALUES ('p', 'other', 'm', 'text')";
    let refused = database.connect().await.batch_execute(sql).await.expect_err("a refusal");
    assert_eq!(refused.as_db_error().and_then(|error| error.constraint()), Some("parts_message"));
    api.stop().await;
}
