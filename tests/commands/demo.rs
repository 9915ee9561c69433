//! The demo: what is played is what its scripts say, and a stop ends it.

use std::slice::Iter;
use std::time::Duration;

use plue_sync::demo::PLAYED_AT_ONCE;
use plue_sync::demo::script::{FAILED, MAIN, Script, Step, Usage, YESTERDAY};
use serde_json::{Value, json};

use super::{Folder, SOON, STOP_LIMIT};
use crate::support::{Binary, eventually};

/// It writes some hundred times.
const PLAYED: Duration = Duration::from_secs(60);
const SECRET: (&str, &str) = ("PLUE_AUTH__JWT_SECRET", "a secret of the tests that is long enough");

struct Dev {
    binary: Binary,
    token: Option<String>,
}

impl Dev {
    async fn start(folder: &Folder, more: &[&str], env: &[(&str, &str)]) -> Self {
        let args = [&folder.dev()[..], more].concat();
        Self { binary: Binary::start(&args, env).await, token: None }
    }

    async fn send(&self, method: awc::http::Method, path: &str) -> (u16, Value) {
        let mut request = awc::Client::default().request(method, format!("{}{path}", self.binary.url()));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let mut answer = request.send().await.unwrap_or_else(|error| panic!("{path}: {error}"));
        let body = answer.body().limit(8 << 20).await.expect("a body");
        (answer.status().as_u16(), serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.send(awc::http::Method::GET, path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn play(&self) -> (u16, Value) {
        self.send(awc::http::Method::POST, "/v1/demo").await
    }

    async fn messages(&self, session: &str) -> Vec<Value> {
        let mut body = self.get(&format!("/v1/sessions/{session}/messages")).await;
        serde_json::from_value(body["messages"].take()).expect("a list")
    }

    /// Waits until as many messages are there as the script has, and all are over.
    async fn is_over(&self, session: &str, script: &Script) {
        let count = script.steps.iter().filter(|step| matches!(step, Step::User(_) | Step::Assistant)).count();
        eventually(PLAYED, "the end of the demo", async || {
            let messages = self.messages(session).await;
            let is_over =
                |message: &Value| ["completed", "failed"].contains(&message["status"].as_str().unwrap_or_default());
            let tokens = self.get(&format!("/v1/sessions/{session}")).await["session"]["token_count"].as_i64();
            let is_counted = tokens == Some(script.steps.iter().filter_map(usage).map(tokens_of).sum());
            if messages.len() == count && messages.iter().all(is_over) && is_counted {
                Ok(())
            } else {
                Err(json!(messages))
            }
        })
        .await;
    }

    /// Checks that everything the script says is there, in its order, and nothing else.
    async fn is_as_in(&self, session: &str, script: &Script) {
        let messages = self.messages(session).await;
        let (mut messages, mut parts): (Iter<Value>, Iter<Value>) = (messages.iter(), [].iter());
        let (mut message, mut snapshots, mut subtasks) = (&Value::Null, Vec::new(), Vec::new());
        for step in script.steps {
            if matches!(step, Step::User(_) | Step::Assistant) {
                assert_eq!(parts.next(), None, "a part too much before {step:?}");
                message = messages.next().unwrap_or_else(|| panic!("no message for {step:?}"));
                parts = message["parts"].as_array().expect("parts").iter();
            }
            let mut part = || parts.next().unwrap_or_else(|| panic!("no part for {step:?}"));
            match step {
                Step::Wait(_) => {}
                Step::User(text) => {
                    assert_eq!((&message["role"], &part()["text"]), (&json!("user"), &json!(text)));
                }
                Step::Assistant => assert_eq!(message["role"], "assistant"),
                Step::Reason(text) | Step::Say(text) => {
                    let (kind, part) = (if matches!(step, Step::Say(_)) { "text" } else { "reasoning" }, part());
                    assert_eq!((&part["type"], &part["text"]), (&json!(kind), &json!(text)));
                    assert!(part["time_start"].as_i64() <= part["time_end"].as_i64(), "{part}");
                }
                Step::Use(tool) => {
                    let (part, input) = (part(), serde_json::from_str::<Value>(tool.input).expect("JSON"));
                    let mut state = json!({"title": tool.title, "input": input});
                    match tool.result {
                        Ok(output) => (state["status"], state["output"]) = (json!("completed"), json!(output)),
                        Err(error) => (state["status"], state["error"]) = (json!("error"), json!(error)),
                    }
                    assert_eq!((&part["type"], &part["tool_name"]), (&json!("tool"), &json!(tool.name)));
                    assert_eq!(part["tool_state"], state);
                    assert!(
                        part["time_start"].as_i64().is_some_and(|start| Some(start) <= part["time_end"].as_i64()),
                        "{part}"
                    );
                }
                Step::File { filename, mime, url } => {
                    let part = part();
                    let seen = ["type", "filename", "mime", "url"].map(|name| &part[name]);
                    assert_eq!(seen.map(Value::as_str), ["file", filename, mime, url].map(Some));
                }
                Step::Snapshot(change_id) => snapshots.push(*change_id),
                Step::Subtask { key, result } => {
                    subtasks.push((*key, serde_json::from_str::<Value>(result).expect("JSON")))
                }
                Step::Done(used) | Step::Failed(used, _) => {
                    let (status, error) = match step {
                        Step::Failed(_, error) => ("failed", json!(error)),
                        _ => ("completed", Value::Null),
                    };
                    assert_eq!((&message["status"], &message["error_message"]), (&json!(status), &error));
                    assert_eq!(message["finish"], used.finish);
                    let cost = message["cost"].as_f64().expect("a cost");
                    assert!((cost * 1e6 - f64::from(used.cost)).abs() < 0.5, "{cost} for {used:?}");
                    assert_eq!(message["tokens_output"], used.output);
                }
            }
        }
        assert_eq!((messages.next(), parts.next()), (None, None));
        let listed = self.get(&format!("/v1/sessions/{session}/snapshots")).await;
        let listed: Vec<_> =
            listed["snapshots"].as_array().expect("a list").iter().map(|it| it["change_id"].as_str()).collect();
        assert_eq!(listed, snapshots.into_iter().map(Some).collect::<Vec<_>>());
        let listed = self.get(&format!("/v1/sessions/{session}/subtasks")).await;
        let listed = listed["subtasks"].as_array().expect("a list").iter();
        let listed: Vec<_> =
            listed.map(|it| (it["key"].as_str().unwrap_or_default().to_owned(), it["result"].clone())).collect();
        assert_eq!(listed, subtasks.into_iter().map(|(key, result)| (key.to_owned(), result)).collect::<Vec<_>>());
    }
}

fn usage(step: &Step) -> Option<&Usage> {
    match step {
        Step::Done(usage) | Step::Failed(usage, _) => Some(usage),
        _ => None,
    }
}

fn tokens_of(usage: &Usage) -> i64 {
    i64::from(usage.input + usage.output + usage.reasoning)
}

#[actix_rt::test]
async fn dev_plays_its_scripts_and_again_when_it_is_asked_to() {
    let folder = Folder::new();
    let mut dev = Dev::start(&folder, &["--demo", "--demo-pace", "0.01"], &[]).await;
    let list = eventually(SOON, "three sessions", async || {
        let list = dev.get("/v1/sessions?project_id=demo").await["sessions"].take();
        if list.as_array().is_some_and(|list| list.len() == 3) { Ok(list) } else { Err(list) }
    })
    .await;
    let named = |script: &Script| {
        let session = list.as_array().expect("a list").iter().find(|session| session["title"] == script.title);
        session.and_then(|session| session["id"].as_str()).unwrap_or_else(|| panic!("no {}", script.title)).to_owned()
    };
    for script in [&YESTERDAY, &FAILED, &MAIN] {
        dev.is_over(&named(script), script).await;
        dev.is_as_in(&named(script), script).await;
    }
    let of = |session: &Value| session["time_created"].as_i64().expect("a time");
    let [main, before] = [&MAIN, &YESTERDAY].map(|script| dev_session(&list, script.title).map(of).expect("a session"));
    assert!(main - before > 20 * 60 * 60 * 1000, "{list}");

    assert_eq!(dev.get("/v1/viewer").await["demo"], true);
    let asked = [dev.play().await, dev.play().await];
    let [first, second] = asked.each_ref().map(|(status, body)| {
        assert_eq!(*status, 202, "{body}");
        body["session"].as_str().expect("a session")
    });
    assert_ne!(first, second);
    for session in [first, second] {
        dev.is_over(session, &MAIN).await;
        dev.is_as_in(session, &MAIN).await;
    }
    // What is there already is left as it is.
    assert!(dev.binary.terminate().await.0.success(), "{}", dev.binary.log());
    dev.binary.assert_quiet(&[]);
    let again = Dev::start(&folder, &["--demo", "--demo-pace", "0"], &[]).await;
    eventually(SOON, "one more session", async || {
        let list = again.get("/v1/sessions?project_id=demo").await["sessions"].take();
        if list.as_array().is_some_and(|list| list.len() == 6) { Ok(()) } else { Err(list) }
    })
    .await;
    again.binary.assert_quiet(&[]);
}

fn dev_session<'a>(list: &'a Value, title: &str) -> Option<&'a Value> {
    list.as_array()?.iter().find(|session| session["title"] == title)
}

#[actix_rt::test]
async fn few_are_played_at_once_and_a_stop_ends_them_where_they_are() {
    let folder = Folder::new();
    let mut dev = Dev::start(&folder, &[], &[]).await;
    let mut sessions = Vec::new();
    for _ in 0..PLAYED_AT_ONCE {
        let (status, body) = dev.play().await;
        assert_eq!(status, 202, "{body}");
        sessions.push(body["session"].as_str().expect("a session").to_owned());
    }
    let (status, body) = dev.play().await;
    assert_eq!((status, &body["code"]), (429, &json!("too_many_requests")));
    for session in &sessions {
        eventually(PLAYED, "a tool that runs", async || {
            let messages = dev.messages(session).await;
            let parts = messages.iter().flat_map(|message| message["parts"].as_array().expect("parts"));
            let is_there = parts.into_iter().any(|part| part["tool_state"]["status"] == "running");
            if is_there { Ok(()) } else { Err(json!(messages)) }
        })
        .await;
    }
    // One that is deleted ends.
    let deleted = sessions.pop().expect("sessions");
    assert_eq!(dev.send(awc::http::Method::DELETE, &format!("/v1/sessions/{deleted}")).await.0, 200);
    eventually(SOON, "a place for another", async || match dev.play().await {
        (202, _) => Ok(()),
        refused => Err(refused),
    })
    .await;
    let (status, took) = dev.binary.terminate().await;
    assert!(status.success() && took < STOP_LIMIT, "{status} after {took:?}: {}", dev.binary.log());
    dev.binary.assert_quiet(&[]);

    let dev = Dev::start(&folder, &[], &[]).await;
    for session in &sessions {
        let messages = dev.messages(session).await;
        let last = messages.last().expect("messages");
        assert_eq!((&last["status"], last["time_completed"].is_i64()), (&json!("aborted"), true), "{last}");
        let parts = messages.iter().flat_map(|message| message["parts"].as_array().expect("parts"));
        for part in parts.filter(|part| part["type"] == "tool") {
            assert_ne!(part["tool_state"]["status"], "running", "{part}");
        }
    }
}

/// A token by these flags.
async fn token(flags: &[&str]) -> Option<String> {
    let mut made = Binary::spawn(&[&["token"], flags].concat(), &[SECRET]);
    assert!(made.exit(SOON).await.success(), "{}", made.log());
    made.log().lines().find(|line| !line.starts_with("plue-sync: ")).map(str::to_owned)
}

#[actix_rt::test]
async fn a_demo_that_may_write_no_more_says_so_in_its_session() {
    let folder = Folder::new();
    // Far fewer than the demo wants, and enough for its end.
    let limits = [("PLUE_AUTH__REQUESTS_PER_SECOND", "5"), ("PLUE_AUTH__BURST", "30"), SECRET];
    let mut dev = Dev::start(&folder, &["--demo-pace", "0.1"], &limits).await;
    dev.token = token(&["--role", "agent", "--all-sessions"]).await;
    let (status, body) = dev.play().await;
    assert_eq!(status, 202, "{body}");
    dev.token = token(&["--role", "viewer", "--all-sessions", "--subject", "another"]).await;
    let path = format!("/v1/sessions/{}/messages", body["session"].as_str().expect("a session"));
    eventually(SOON, "the end of its message", async || {
        let (_, mut body) = dev.send(awc::http::Method::GET, &path).await;
        let last = body["messages"].as_array_mut().and_then(Vec::pop).unwrap_or(body);
        if last["status"] == "aborted" { Ok(()) } else { Err(last) }
    })
    .await;
    dev.binary.assert_quiet(&["the demo ends: "]);
}

#[actix_rt::test]
async fn the_demo_writes_as_whoever_asks_for_it() {
    let folder = Folder::new();
    let mut dev = Dev::start(&folder, &["--demo", "--demo-pace", "0.01"], &[SECRET]).await;
    assert_eq!(dev.play().await.0, 401);
    for (flags, expected) in [
        (["--role", "viewer", "--all-sessions"], 403),
        (["--role", "agent", "--session=ses_other"], 403),
        (["--role", "agent", "--all-sessions"], 202),
    ] {
        dev.token = token(&flags).await;
        let (status, body) = dev.play().await;
        assert_eq!(status, expected, "{flags:?}: {body}");
    }
    let list = eventually(SOON, "four sessions", async || {
        let list = dev.get("/v1/sessions?project_id=demo").await["sessions"].take();
        if list.as_array().is_some_and(|list| list.len() == 4) { Ok(list) } else { Err(list) }
    })
    .await;
    let opened = dev_session(&list, FAILED.title).and_then(|session| session["id"].as_str()).expect("a session");
    dev.is_as_in(opened, &FAILED).await;
    dev.binary.assert_quiet(&[]);
}
