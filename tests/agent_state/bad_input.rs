//! What is refused, on every endpoint that writes, and that nothing is written then.

use awc::http::Method;
use serde_json::{Value, json};

use crate::support::{Api, Database};

/// Method, path, a body that is right, and the list that a body may be wrapped in.
const WRITES: [(&str, &str, &str); 10] = [
    ("POST", "/v1/sessions", r#"{"directory":"/","title":"t"}"#),
    ("PATCH", "/v1/sessions/s", r#"{"title":"t2"}"#),
    ("POST", "/v1/sessions/s/messages", r#"{"role":"user"}"#),
    ("PUT", "/v1/sessions/s/messages", r#"[{"role":"user"}]"#),
    ("PATCH", "/v1/sessions/s/messages/m", r#"{"status":"failed"}"#),
    ("PUT", "/v1/sessions/s/messages/m/parts/p", r#"{"type":"text"}"#),
    ("POST", "/v1/sessions/s/messages/m/parts", r#"[{"type":"text"}]"#),
    ("POST", "/v1/sessions/s/snapshots", r#"{"change_id":"c"}"#),
    ("PUT", "/v1/sessions/s/snapshots", r#"[{"change_id":"c"}]"#),
    ("POST", "/v1/sessions/s/subtasks", r#"{"result":1}"#),
];

/// An API with one session and one message, and what tells whether anything was written since.
struct Untouched {
    database: Database,
    api: Api,
    before: String,
}

impl Untouched {
    async fn start() -> Self {
        let database = Database::fresh().await;
        let api = Api::with_settings(database.url(), &[("PLUE_SERVER__MAX_BODY_BYTES", "100000")]).await;
        api.session("s").await;
        api.message("s", "m").await;
        let before = everything(&database).await;
        Self { database, api, before }
    }

    async fn check(self) {
        assert_eq!(everything(&self.database).await, self.before, "something was written");
        self.api.stop().await;
    }
}

async fn everything(database: &Database) -> String {
    let sql = "SELECT concat((SELECT array_agg(r) FROM sessions r), (SELECT array_agg(r) FROM messages r), \
               (SELECT array_agg(r) FROM parts r), (SELECT array_agg(r) FROM snapshot_history r), \
               (SELECT array_agg(r) FROM subtasks r))";
    database.connect().await.query_one(sql, &[]).await.expect("all rows").get(0)
}

fn method(name: &str) -> Method {
    name.parse().expect("a method")
}

#[actix_web::test]
async fn a_body_that_is_not_the_right_json_is_refused_everywhere() {
    let state = Untouched::start().await;
    for (name, path, right) in WRITES {
        let list = right.starts_with('[');
        let bodies: [&[u8]; 9] = [
            b"",
            b"{",
            b"\"text\"",
            b"null",
            b"1",
            b"\xff\xfe",
            br#"{"a":1}x"#,
            &[b'['; 500],
            if list { b"[1]" } else { b"[]" },
        ];
        for body in bodies {
            let answer = state.api.send(method(name), path, body).await;
            let said = String::from_utf8_lossy(body);
            assert!(answer.refuses(400, "invalid_request").is_some(), "{name} {path} {said:?}");
        }
        let unknown = right.replacen('{', r#"{"nonsense":1,"#, 1);
        let blamed = state.api.send(method(name), path, unknown).await.refuses(400, "invalid_request");
        let expected = if list { "[0].nonsense" } else { "nonsense" };
        assert_eq!(blamed.as_deref(), Some(expected), "{name} {path}");
    }
    state.check().await;
}

#[actix_web::test]
async fn a_body_that_is_too_long_is_refused_everywhere() {
    let state = Untouched::start().await;
    for (name, path, right) in WRITES {
        let long = format!("{}{right}", " ".repeat(100_001 - right.len()));
        state.api.send(method(name), path, long).await.refuses(413, "too_large");
    }
    state.check().await;
}

#[actix_web::test]
async fn a_field_that_breaks_its_column_is_named() {
    let state = Untouched::start().await;
    let long = |chars: usize| Value::from("é".repeat(chars + 1));
    let nul = || json!("a\u{0}b");
    let session = vec![
        ("id", vec![long(64), json!(""), nul(), json!(1)]),
        ("project_id", vec![long(255), nul(), Value::Null, json!([])]),
        ("directory", vec![nul(), Value::Null, json!(1)]),
        ("title", vec![long(512), nul(), Value::Null]),
        ("version", vec![long(32), nul(), Value::Null]),
        ("time_created", vec![json!(1.5), json!("1"), json!(u64::MAX), Value::Null]),
        ("time_archived", vec![json!(9.3e18), json!(true)]),
        ("parent_id", vec![long(64), nul()]),
        ("fork_point", vec![long(64), nul()]),
        ("summary", vec![nul(), json!({"a": [{"b\u{0}": 1}]})]),
        ("revert", vec![nul()]),
        ("compaction", vec![nul()]),
        ("token_count", vec![json!(2_147_483_648_i64), json!(-2_147_483_649_i64), json!(0.1), Value::Null]),
        ("bypass_mode", vec![json!(0), json!("true"), Value::Null]),
        ("model", vec![long(255), nul()]),
        ("reasoning_effort", vec![json!("extreme"), json!(""), nul()]),
        ("ghost_commit", vec![nul()]),
        ("plugins", vec![nul(), Value::Null]),
        ("time_updated", vec![json!(1)]),
    ];
    let texts = [
        "thinking_text",
        "error_message",
        "agent",
        "model_provider_id",
        "model_model_id",
        "system_prompt",
        "mode",
        "path_cwd",
        "path_root",
    ];
    let int4s = ["tokens_input", "tokens_output", "tokens_reasoning", "tokens_cache_read", "tokens_cache_write"];
    let mut message = vec![
        ("role", vec![json!("system"), nul(), Value::Null]),
        ("time_created", vec![json!("now"), Value::Null]),
        ("time_completed", vec![json!(1.5)]),
        ("status", vec![json!("done"), json!(1)]),
        ("tools", vec![nul()]),
        ("parent_id", vec![long(64), nul()]),
        ("cost", vec![json!("1.5"), json!(10_000_000_000_i64)]),
        ("finish", vec![long(64), nul()]),
        ("is_summary", vec![json!(1)]),
        ("error", vec![nul()]),
    ];
    message.extend(texts.map(|name| (name, vec![nul(), json!(1)])));
    message.extend(int4s.map(|name| (name, vec![json!(2_147_483_648_i64), json!(0.5)])));
    let part = vec![
        ("type", vec![json!("image"), nul(), Value::Null]),
        ("text", vec![nul(), json!(1)]),
        ("tool_name", vec![long(255), nul()]),
        ("tool_state", vec![nul(), json!([[nul()]])]),
        ("mime", vec![long(255), nul()]),
        ("url", vec![nul()]),
        ("filename", vec![long(512), nul()]),
        ("time_start", vec![json!(0.5)]),
        ("time_end", vec![json!({})]),
        ("sort_order", vec![json!(2_147_483_648_i64), Value::Null]),
        ("session_id", vec![json!("other")]),
        ("message_id", vec![json!("other")]),
        ("id", vec![long(64), nul()]),
    ];
    let snapshot =
        vec![("change_id", vec![long(255), nul(), Value::Null]), ("sort_order", vec![json!("1"), Value::Null])];
    let subtask = vec![("key", vec![long(64), nul()]), ("result", vec![nul(), Value::Null])];

    let fields_of = |path: &str| match path {
        path if path.contains("parts") => part.clone(),
        path if path.contains("messages") => message.clone(),
        path if path.contains("snapshots") => snapshot.clone(),
        path if path.contains("subtasks") => subtask.clone(),
        _ => session.clone(),
    };
    let mut asked = 0;
    for (name, path, right) in WRITES {
        for (field, values) in fields_of(path) {
            for value in values {
                let mut body: Value = serde_json::from_str(right).expect("a right body");
                let object = if body.is_array() { &mut body[0] } else { &mut body };
                object[field] = value;
                let expected = if body.is_array() { format!("[0].{field}") } else { field.to_owned() };
                let answer = state.api.send(method(name), path, body.to_string()).await;
                assert_eq!(answer.refuses(400, "invalid_request"), Some(expected), "{name} {path} {body}");
                asked += 1;
            }
        }
    }
    assert!(asked > 150, "{asked}");
    state.check().await;
}

#[actix_web::test]
async fn json_that_jsonb_cannot_hold_is_refused_before_postgres_sees_it() {
    let state = Untouched::start().await;
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let documents =
        ["1e131072", "[1e-16384]", "1e99999999999999999999", r#""\ud800""#, r#""\u0000""#, "01", "NaN", &deep];
    for document in documents {
        let body = format!(r#"{{"result":{document}}}"#);
        let answer = state.api.send(Method::POST, "/v1/sessions/s/subtasks", body).await;
        assert!(answer.refuses(400, "invalid_request").is_some(), "{document}");
    }
    state.check().await;
}

#[actix_web::test]
async fn a_nested_field_is_named_with_its_place() {
    let state = Untouched::start().await;
    let parts = json!([{"type": "text"}, {"type": "text", "text": 1}]);
    let cases = [
        ("POST", "messages", json!({"role": "user", "parts": parts}), "parts[1].text"),
        ("PUT", "messages", json!([{"role": "user"}, {"role": "user", "parts": parts}]), "[1].parts[1].text"),
        ("PUT", "messages", json!({"messages": [{"role": "user", "parts": [3]}]}), "messages[0].parts[0]"),
        ("PUT", "messages", json!([{"id": "a", "role": "user"}, {"id": "a", "role": "user"}]), "[1].id"),
        ("PUT", "messages", json!({"messages": [], "more": 1}), "more"),
        ("POST", "messages", json!({"role": "user", "parts": {}}), "parts"),
        ("POST", "messages/m/parts", json!({"parts": parts}), "parts[1].text"),
        ("POST", "messages/m/parts", json!({"part": []}), "parts"),
        ("POST", "messages/m/parts", json!([{"id": "a", "type": "text"}, {"id": "a", "type": "text"}]), "parts.id"),
    ];
    for (name, path, body, field) in cases {
        let answer = state.api.send(method(name), &format!("/v1/sessions/s/{path}"), body.to_string()).await;
        assert_eq!(answer.refuses(400, "invalid_request").as_deref(), Some(field), "{body}");
    }
    state.check().await;
}

#[actix_web::test]
async fn paths_and_methods_that_do_not_exist_are_refused_in_our_words() {
    let state = Untouched::start().await;
    let long = "x".repeat(65);
    let cases = [
        ("GET", "/".to_owned(), 404, "not_found"),
        ("GET", "/v1/nothing".to_owned(), 404, "not_found"),
        ("GET", "/v1/sessions/".to_owned(), 404, "not_found"),
        ("POST", "/v1/sessions/s/messages/m/parts/p/q".to_owned(), 404, "not_found"),
        ("PUT", "/v1/sessions".to_owned(), 405, "method_not_allowed"),
        ("POST", "/v1/sessions/s".to_owned(), 405, "method_not_allowed"),
        ("GET", "/v1/sessions/s/messages/m/parts/p".to_owned(), 405, "method_not_allowed"),
    ];
    for (name, path, status, code) in cases {
        state.api.send(method(name), &path, "").await.refuses(status, code);
    }
    let ids = [
        ("GET", format!("/v1/sessions/{long}"), "session"),
        ("GET", "/v1/sessions/a%00b".to_owned(), "session"),
        ("DELETE", format!("/v1/sessions/s/messages/{long}"), "message"),
        ("DELETE", format!("/v1/sessions/s/messages/m/parts/{long}"), "part"),
    ];
    for (name, path, field) in ids {
        let blamed = state.api.send(method(name), &path, "").await.refuses(400, "invalid_request");
        assert_eq!(blamed.as_deref(), Some(field), "{path}");
    }
    state.check().await;
}
