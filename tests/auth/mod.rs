//! Who may see what: the real server with authentication on, and those who try to get round it.

mod attacks;
mod caches;
mod ends;
mod first;
mod gate;
mod parsers;
mod properties;
mod rest;
mod tokens;

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::http::Method;
use jsonwebtoken::Algorithm;
use plue_sync::auth::jwt;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::support::{Api, Database, Engine, Reply, Shape, Source, eventually, with_both_sources};

/// Everything here happens within seconds, also on a machine that runs other tests.
const SOON: Duration = Duration::from_secs(60);
const SECRET: &str = "a secret of the tests that is long enough";

/// Shapes with names, one for everybody.
const SHAPES: &str = r#"
[shapes.tickets]
table = "tickets"
columns = ["id", "title"]
where = "org = {claims.org} AND id > {params.since}"

[shapes.news]
table = "news"
public = true
"#;

/// Two sessions, `mine` in project `p1` and `other` in `p2`, each with one message and one part, and tables of others.
struct Scene {
    api: Api,
    /// The engine in another process, if there is one.
    _upstream: Option<Engine>,
    database: Database,
    settings: Vec<(String, String)>,
    file: NamedTempFile,
}

impl Scene {
    async fn new(source: Source, settings: &[(&str, &str)]) -> Self {
        let database = Database::fresh().await;
        let tables = "
            CREATE TABLE tickets (id int PRIMARY KEY, title text, org text, secret text);
            INSERT INTO tickets VALUES (1, 'mine', 'o1', 's1'), (2, 'other', 'o2', 's2'), (3, 'mine too', 'o1', 's3');
            CREATE TABLE news (id int PRIMARY KEY, text text);
            INSERT INTO news VALUES (1, 'hello')";
        database.connect().await.batch_execute(tables).await.expect("tables");
        let upstream = match source {
            Source::Engine => None,
            Source::Proxy => Some(Engine::with(&database, &[("ELECTRIC_LONG_POLL_TIMEOUT", "600000")]).await),
        };
        let url = upstream.as_ref().map(|engine| ("ELECTRIC_URL".to_owned(), engine.binary.url()));
        // What waits ends when somebody ends it, and not by itself.
        let own = [
            ("PLUE_AUTH__JWT_SECRET", SECRET),
            ("PLUE_AUTH__LEEWAY", "0s"),
            ("PLUE_ENGINE__LONG_POLL_TIMEOUT", "10m"),
            ("PLUE_ENGINE__SSE_TIMEOUT", "10m"),
            ("PLUE_UPSTREAM__LIVE_TIMEOUT", "15m"),
        ];
        let settings = own.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let settings: Vec<(String, String)> = settings.chain(url).collect();
        let mut file = NamedTempFile::with_suffix(".toml").expect("a file");
        file.write_all(SHAPES.as_bytes()).expect("settings");
        let api = start(&database, &settings, &file).await;
        let scene = Self { api, _upstream: upstream, database, settings, file };
        for (session, project) in [("mine", "p1"), ("other", "p2")] {
            let new = json!({"id": session, "project_id": project, "directory": "/src", "title": session});
            scene.api.post("/v1/sessions", new).await.is(201);
            scene.write(session, session).await;
        }
        scene
    }

    /// Another process of the same deployment.
    async fn another(&self) -> Api {
        start(&self.database, &self.settings, &self.file).await
    }

    /// Adds a message with one part.
    async fn write(&self, session: &str, id: &str) {
        let part = json!({"id": format!("prt_{id}"), "type": "text", "text": format!("text of {id}")});
        let message = json!({"id": format!("msg_{id}"), "role": "user", "parts": [part]});
        self.api.post(&format!("/v1/sessions/{session}/messages"), message).await.is(201);
    }

    /// A shape for who shows this token.
    fn shape(&self, token: &str, params: &[(&str, &str)]) -> Shape {
        shape_at(&self.api, token, params)
    }

    /// Sends a request with a token, or without one.
    async fn send(&self, token: Option<&str>, method: Method, path: &str, body: Value) -> crate::support::Answer {
        let token = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = token.iter().map(|token| ("authorization", token.as_str())).collect();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.api.send_with(method, path, &headers, body).await
    }

    async fn get(&self, token: Option<&str>, path: &str) -> crate::support::Answer {
        self.send(token, Method::GET, path, Value::Null).await
    }

    /// Mints a token for a session.
    async fn mint(&self, session: &str, body: Value) -> (String, String) {
        let minted = self.api.post(&format!("/v1/sessions/{session}/tokens"), body).await.is(201);
        let text = |name: &str| minted[name].as_str().expect("a text").to_owned();
        (text("token"), text("id"))
    }
}

async fn start(database: &Database, settings: &[(String, String)], file: &NamedTempFile) -> Api {
    let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut api = Api::with_file(database.url(), &settings, Some(file.path())).await;
    api.show(&token(json!({"sub": "root", "role": "admin"})));
    eventually(SOON, "shapes", async || {
        let ready = api.get("/ready").await;
        if ready.status == 200 { Ok(()) } else { Err(ready.body) }
    })
    .await;
    api
}

fn shape_at(api: &Api, token: &str, params: &[(&str, &str)]) -> Shape {
    let client = awc::Client::builder().timeout(SOON).add_default_header(("authorization", format!("Bearer {token}")));
    Shape::new(client.finish(), format!("http://{}", api.address()), params)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock behind 1970").as_secs()
}

/// A token with these claims, which lasts an hour if they do not say how long.
fn token(claims: Value) -> String {
    let Value::Object(mut claims) = claims else { panic!("no object") };
    claims.entry("exp").or_insert_with(|| json!(now() + 3600));
    jwt::sign(&SECRET.into(), Algorithm::HS256, &claims).expect("a token")
}

/// Somebody who may see the session `mine`.
fn viewer() -> String {
    token(json!({"sub": "viewer", "role": "viewer", "sessions": ["mine"], "org": "o1"}))
}

fn agent() -> String {
    token(json!({"sub": "agent", "role": "agent", "sessions": ["mine"]}))
}

fn admin() -> String {
    token(json!({"sub": "admin", "role": "admin"}))
}

/// The `id`s of all rows that a shape shows up to its end, or the status of the answer that shows none.
async fn rows(shape: &Shape) -> Result<Vec<String>, u16> {
    let (mut reply, mut ids) = (shape.first().await, Vec::new());
    loop {
        if reply.status != 200 {
            return Err(reply.status);
        }
        ids.extend(ids_of(&reply));
        if reply.header("electric-up-to-date").is_some() {
            ids.sort_unstable();
            return Ok(ids);
        }
        reply = shape.get(&[("handle", &reply.handle()), ("offset", &reply.offset())]).await;
    }
}

/// The `id`s of an answer's rows.
fn ids_of(reply: &Reply) -> Vec<String> {
    let body: Value = serde_json::from_slice(&reply.body).expect("JSON");
    let messages = body.as_array().cloned().or_else(|| body["data"].as_array().cloned()).unwrap_or_default();
    let id = |message: &Value| message["value"]["id"].as_str().map(str::to_owned);
    messages.iter().filter_map(id).collect()
}
