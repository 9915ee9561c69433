//! The write API and its reads: roles, scopes, and sessions that look as if they were not there.

use actix_web::http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Scene, Source, agent, token, viewer};
use crate::support::Answer;

/// Every route below a session, with a body that is right.
fn routes(session: &str) -> Vec<(Method, String, Value)> {
    let at = |path: &str| format!("/v1/sessions/{session}{path}");
    let message = json!({"id": "m", "role": "user"});
    let part = json!({"type": "text", "text": "t"});
    vec![
        (Method::GET, at(""), Value::Null),
        (Method::PATCH, at(""), json!({"title": "t"})),
        (Method::PATCH, at(""), json!({"nothing": "t"})),
        (Method::GET, at("/messages"), Value::Null),
        (Method::POST, at("/messages"), message.clone()),
        (Method::PUT, at("/messages"), json!([message])),
        (Method::PATCH, at("/messages/msg_other"), json!({"status": "completed"})),
        (Method::DELETE, at("/messages/msg_other"), Value::Null),
        (Method::POST, at("/messages/msg_other/parts"), json!([part])),
        (Method::PUT, at("/messages/msg_other/parts/prt_other"), part),
        (Method::DELETE, at("/messages/msg_other/parts/prt_other"), Value::Null),
        (Method::GET, at("/snapshots"), Value::Null),
        (Method::POST, at("/snapshots"), json!({"change_id": "c"})),
        (Method::PUT, at("/snapshots"), json!([])),
        (Method::GET, at("/subtasks"), Value::Null),
        (Method::POST, at("/subtasks"), json!({"result": 1})),
        (Method::DELETE, at("/subtasks"), Value::Null),
        (Method::GET, at("/tokens"), Value::Null),
        (Method::POST, at("/tokens"), json!({})),
        (Method::DELETE, at("/tokens"), Value::Null),
        (Method::DELETE, at("/tokens/tok_1"), Value::Null),
        (Method::DELETE, at("/state"), Value::Null),
        (Method::DELETE, at(""), Value::Null),
    ]
}

/// All of an answer but what differs from one to the next.
fn seen(answer: &Answer) -> (u16, String, Vec<String>) {
    let varies = ["date", "x-request-id", "connection"];
    let headers = answer.headers.iter().filter(|(name, _)| !varies.contains(&name.as_str()));
    let mut headers: Vec<String> = headers.map(|(name, value)| format!("{name}: {value:?}")).collect();
    headers.sort_unstable();
    (answer.status.as_u16(), answer.body.to_string(), headers)
}

#[actix_rt::test]
async fn a_session_of_others_looks_like_one_that_is_not_there() {
    let scene = Scene::new(Source::Engine, &[]).await;
    let by_list = agent();
    let by_project = token(json!({"sub": "a2", "role": "agent", "projects": ["p1"]}));
    for token in [&by_list, &by_project] {
        for ((method, theirs, body), (_, nobodys, _)) in routes("other").into_iter().zip(routes("nobodys")) {
            let one = scene.send(Some(token), method.clone(), &theirs, body.clone()).await;
            let other = scene.send(Some(token), method.clone(), &nobodys, body).await;
            assert_eq!(one.status, 404, "{method} {theirs}: {}", one.body);
            assert_eq!(seen(&one), seen(&other), "{method} {theirs}");
        }
    }
    // Nothing of it was written, and nothing of another's session is reached through one's own.
    let theirs = scene.api.get("/v1/sessions/other/messages").await.is(200);
    assert_eq!(
        (theirs["messages"][0]["id"].clone(), theirs["messages"].as_array().map(Vec::len)),
        (json!("msg_other"), Some(1))
    );
    for (method, path) in
        [(Method::PATCH, "/messages/msg_other"), (Method::DELETE, "/messages/msg_other/parts/prt_other")]
    {
        let answer =
            scene.send(Some(&by_list), method, &format!("/v1/sessions/mine{path}"), json!({"status": "failed"})).await;
        answer.refuses(404, "not_found");
    }
}

#[actix_rt::test]
async fn a_session_that_may_not_be_seen_and_one_that_is_not_there_cost_the_same_queries() {
    let scene = Scene::new(Source::Engine, &[]).await;
    let by_project = token(json!({"sub": "a2", "role": "agent", "projects": ["p1"]}));
    // Statements that name the table, of the API's own connections, as the server has seen them last.
    let client = scene.database.connect().await;
    let mut last = Vec::new();
    for session in ["other", "nobodys"] {
        scene.get(Some(&by_project), &format!("/v1/sessions/{session}")).await.refuses(404, "not_found");
        let sql = "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                   AND query LIKE '%\"sessions\"%' AND backend_type = 'client backend' ORDER BY query_start DESC LIMIT 1";
        let row = client.query_one(sql, &[]).await.expect("a statement");
        last.push(row.get::<_, String>(0));
    }
    assert_eq!(last[0], last[1]);
    assert!(last[0].contains("project_id"), "{last:?}");
}

#[actix_rt::test]
async fn roles_read_write_and_administer() {
    let scene = Scene::new(Source::Engine, &[]).await;
    let (viewer, agent) = (viewer(), agent());
    for (method, path, body) in routes("mine") {
        let reads = method == Method::GET;
        let answer = scene.send(Some(&viewer), method.clone(), &path, body).await;
        match reads {
            true => assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body),
            false => assert_eq!(answer.refuses(403, "forbidden"), None, "{method} {path}"),
        }
    }
    for path in ["/v1/admin/subscriptions", "/v1/admin/principals", "/v1/admin/shapes", "/v1/admin/nothing"] {
        for token in [&viewer, &agent] {
            scene.get(Some(token), path).await.refuses(403, "forbidden");
        }
        assert_ne!(scene.api.get(path).await.status, 403, "{path}");
    }
    let patched = scene.send(Some(&agent), Method::PATCH, "/v1/sessions/mine", json!({"title": "new"})).await.is(200);
    assert_eq!(patched["session"]["title"], "new");
    let listed = scene.get(Some(&viewer), "/v1/sessions").await;
    let vary = listed.headers.get("vary").and_then(|vary| vary.to_str().ok()).expect("a rule");
    assert!(vary.starts_with("authorization, cookie"), "{vary}");
    assert_eq!(listed.headers.get("cache-control").expect("a rule"), "no-store");
    let listed = listed.is(200);
    let ids: Vec<&Value> =
        listed["sessions"].as_array().expect("a list").iter().map(|session| &session["id"]).collect();
    assert_eq!(ids, ["mine"]);
}

#[actix_rt::test]
async fn sessions_are_made_and_moved_within_the_scope() {
    let scene = Scene::new(Source::Engine, &[]).await;
    let by_list = token(json!({"sub": "a", "role": "agent", "sessions": ["mine", "next"]}));
    let by_project = token(json!({"sub": "b", "role": "agent", "projects": ["p1"]}));
    let new = |id: Option<&str>, project: &str, parent: Option<&str>| {
        let mut new = json!({"project_id": project, "directory": "/", "title": "t", "parent_id": parent});
        if let Some(id) = id {
            new["id"] = json!(id);
        }
        new
    };
    //   who, the new session, the status
    let cases = [
        (&by_list, new(Some("next"), "p9", None), 201),
        (&by_list, new(Some("far"), "p1", None), 403),
        // Whether there is one of this id is not to be known.
        (&by_list, new(Some("other"), "p2", None), 403),
        (&by_list, new(None, "p1", None), 403),
        (&by_project, new(None, "p1", None), 201),
        (&by_project, new(None, "p2", None), 403),
        (&by_project, new(None, "p1", Some("mine")), 201),
        (&by_project, new(None, "p1", Some("other")), 404),
        (&by_project, new(None, "p1", Some("nobodys")), 404),
    ];
    for (token, body, status) in cases {
        let answer = scene.send(Some(token), Method::POST, "/v1/sessions", body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
    }
    for (body, status) in [
        (json!({"project_id": "p2"}), 403),
        (json!({"parent_id": "other"}), 404),
        (json!({"parent_id": "nobodys"}), 404),
        (json!({"project_id": "p1", "title": "kept"}), 200),
    ] {
        let answer = scene.send(Some(&by_project), Method::PATCH, "/v1/sessions/mine", body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
    }
}

#[actix_rt::test]
async fn who_is_thrown_out_while_its_body_is_on_the_way_writes_nothing() {
    let scene = Scene::new(Source::Engine, &[]).await;
    let token = token(json!({"sub": "late", "role": "agent", "sessions": ["mine"]}));
    let mut socket = tokio::net::TcpStream::connect(scene.api.address()).await.expect("a connection");
    let body = r#"{"title":"late"}"#;
    let head = format!(
        "PATCH /v1/sessions/mine HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await.expect("a head");
    // The server asks for the body when it has let the head in.
    let mut asked = [0; 25];
    socket.read_exact(&mut asked).await.expect("a word to go on");
    assert!(asked.starts_with(b"HTTP/1.1 100"), "{:?}", String::from_utf8_lossy(&asked));
    scene.api.put("/v1/admin/principals/late/block", json!({})).await.is(200);
    socket.write_all(body.as_bytes()).await.expect("a body");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert_eq!(scene.api.get("/v1/sessions/mine").await.is(200)["session"]["title"], "mine");
}

#[actix_rt::test]
async fn a_session_is_not_moved_out_of_the_scope_that_shows_it() {
    let scene = Scene::new(Source::Engine, &[("PLUE_AUTH__COLUMN_CLAIMS", "directory=home")]).await;
    let at_home = token(json!({"sub": "h", "role": "agent", "home": "/src"}));
    let patch = async |token: &str, body| scene.send(Some(token), Method::PATCH, "/v1/sessions/mine", body).await;
    patch(&at_home, json!({"title": "new"})).await.is(200);
    patch(&at_home, json!({"directory": "/other"})).await.refuses(403, "forbidden");
    let (minted, _) = scene.mint("mine", json!({"role": "agent"})).await;
    patch(&minted, json!({"title": "newer"})).await.is(200);
    patch(&minted, json!({"project_id": "p2"})).await.refuses(403, "forbidden");
    // And a part of the tables is not enough to delete all of them.
    let (part, _) = scene.mint("mine", json!({"role": "agent", "tables": ["sessions"]})).await;
    scene.send(Some(&part), Method::DELETE, "/v1/sessions/mine", Value::Null).await.refuses(403, "forbidden");
}

#[actix_rt::test]
async fn who_may_not_see_a_session_is_none_of_its_readers() {
    let scene = Scene::new(Source::Engine, &[]).await;
    let by_project = token(json!({"sub": "p", "role": "viewer", "projects": ["p1"]}));
    for (session, is_counted) in [("mine", true), ("other", false)] {
        let wanted = format!("session_id = '{session}'");
        let shape = scene.shape(&by_project, &[("table", "parts"), ("where", &wanted)]);
        shape.first().await.is(200);
        let listed = scene.api.get("/v1/admin/subscriptions?principal=p").await.is(200);
        let sessions: Vec<&Value> =
            listed["subscriptions"].as_array().expect("a list").iter().map(|one| &one["session"]).collect();
        assert_eq!(sessions.contains(&&json!(session)), is_counted, "{listed}");
    }
}
