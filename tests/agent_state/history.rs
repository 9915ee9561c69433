//! Snapshots and subtasks.

use serde_json::{Value, json};

use crate::support::{Api, Database};

const SNAPSHOTS: &str = "/v1/sessions/s/snapshots";
const SUBTASKS: &str = "/v1/sessions/s/subtasks";

#[actix_web::test]
async fn snapshots_are_appended_read_and_replaced() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    api.session("s").await;
    for n in 0..3 {
        let written = api.post(SNAPSHOTS, json!({"change_id": format!("c{n}")})).await.is(201);
        assert_eq!(written["snapshot"]["sort_order"], n);
    }
    let updated = api.get("/v1/sessions/s").await.is(200);
    let again = api.post(SNAPSHOTS, json!({"change_id": "c1", "sort_order": 1})).await.is(200);
    assert_eq!(again["txid"], Value::Null);
    assert_eq!(api.get("/v1/sessions/s").await.is(200), updated);
    api.post(SNAPSHOTS, json!({"change_id": "x", "sort_order": 1})).await.refuses(409, "already_exists");

    let before = versions(&database, "snapshot_history").await;
    let list = json!([
        {"change_id": "c0"}, {"change_id": "new"}, {"change_id": "late", "sort_order": 7}, {"change_id": "later"}
    ]);
    let replaced = api.put(SNAPSHOTS, list.clone()).await.is(200);
    let rows: Vec<_> =
        replaced["snapshots"].as_array().expect("a list").iter().map(|s| (&s["sort_order"], &s["change_id"])).collect();
    let expected = [(0, "c0"), (1, "new"), (7, "late"), (8, "later")].map(|(at, id)| (json!(at), json!(id)));
    assert_eq!(rows, expected.iter().map(|(at, id)| (at, id)).collect::<Vec<_>>());
    let after = versions(&database, "snapshot_history").await;
    assert_eq!(before[0], after[0], "the equal row is untouched");
    assert_ne!(before[1], after[1]);
    assert_eq!(api.put(SNAPSHOTS, list).await.is(200)["txid"], Value::Null);
    let rows = api.get(SNAPSHOTS).await.is(200);
    assert_eq!(rows["snapshots"], replaced["snapshots"]);
    assert_eq!(
        api.put(SNAPSHOTS, rows["snapshots"].clone()).await.is(200)["txid"],
        Value::Null,
        "rows of ours can be sent back"
    );

    let twice = json!([{"change_id": "a", "sort_order": 1}, {"change_id": "b", "sort_order": 1}]);
    assert_eq!(api.put(SNAPSHOTS, twice).await.refuses(400, "invalid_request").as_deref(), Some("sort_order"));
    assert!(api.put(SNAPSHOTS, json!([])).await.is(200)["txid"].is_u64());
    assert_eq!(api.get(SNAPSHOTS).await.is(200)["snapshots"], json!([]));
    for path in ["/v1/sessions/nobody/snapshots", "/v1/sessions/nobody/subtasks"] {
        api.get(path).await.refuses(404, "not_found");
    }
    api.stop().await;
}

#[actix_web::test]
async fn subtasks_are_appended_once_for_each_key_and_cleared() {
    let database = Database::fresh().await;
    let api = Api::start(&database).await;
    api.session("s").await;
    api.session("other").await;
    let keyed = json!({"key": "k", "result": {"n": 1.0}});
    let first = api.post(SUBTASKS, keyed.clone()).await.is(201);
    assert!(first["subtask"]["id"].is_i64(), "{first}");
    let again = api.post(SUBTASKS, json!({"key": "k", "result": {"n": 1}})).await.is(200);
    assert_eq!((&again["subtask"], &again["txid"]), (&first["subtask"], &Value::Null));
    api.post(SUBTASKS, json!({"key": "k", "result": 2})).await.refuses(409, "already_exists");
    api.post("/v1/sessions/other/subtasks", keyed).await.is(201);
    for _ in 0..2 {
        api.post(SUBTASKS, json!({"result": "no key"})).await.is(201);
    }
    assert_eq!(api.get(SUBTASKS).await.is(200)["subtasks"].as_array().map(Vec::len), Some(3));
    let cleared = api.delete(SUBTASKS).await.is(200);
    assert!(cleared["txid"].is_u64() && cleared["subtasks"] == json!([]), "{cleared}");
    assert_eq!(api.delete(SUBTASKS).await.is(200)["txid"], Value::Null);
    assert_eq!(api.get("/v1/sessions/other/subtasks").await.is(200)["subtasks"].as_array().map(Vec::len), Some(1));
    api.stop().await;
}

/// The row versions of the table's rows, in the order of their ids.
async fn versions(database: &Database, table: &str) -> Vec<String> {
    let sql = format!("SELECT xmin::text FROM {table} ORDER BY id");
    database.connect().await.query(&sql, &[]).await.expect("rows").iter().map(|row| row.get(0)).collect()
}
