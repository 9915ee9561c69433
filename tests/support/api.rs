//! The API of agent state, served inside the test's process, and a client of it.

use awc::http::header::HeaderMap;
use awc::http::{Method, StatusCode};
use plue_sync::config::{Config, Environment};
use plue_sync::server::{Server, ServerError};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Database;

/// A running API on a port of its own.
pub struct Api {
    address: std::net::SocketAddr,
    stop: CancellationToken,
    running: JoinHandle<Result<(), ServerError>>,
    client: awc::Client,
    /// Shown with every request, if there is one.
    token: Option<String>,
    /// Where its engine keeps shapes; deleted with it.
    _storage: TempDir,
}

/// What a request was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Api {
    /// Serves the database, with the usual settings.
    pub async fn start(database: &Database) -> Self {
        Self::with_settings(database.url(), &[]).await
    }

    /// Serves the database behind the address, with settings such as `("PLUE_WRITER__QUEUE_LENGTH", "1")`.
    pub async fn with_settings(url: &str, settings: &[(&str, &str)]) -> Self {
        Self::with_file(url, settings, None).await
    }

    /// The same over a file of settings.
    pub async fn with_file(url: &str, settings: &[(&str, &str)], file: Option<&Path>) -> Self {
        let storage = tempfile::tempdir().expect("a temporary folder");
        let usual = [
            ("DATABASE_URL", url),
            ("PLUE_SERVER__LISTEN", "127.0.0.1:0"),
            ("PLUE_DATABASE__POOL_SIZE", "4"),
            ("PLUE_ENGINE__STORAGE_DIR", storage.path().to_str().expect("a path in UTF-8")),
        ];
        let environment: Environment = usual.iter().chain(settings).copied().collect();
        let config = Config::load(file, &environment).expect("the test's settings");
        let server = Server::start(&config).await.expect("a start");
        let (address, stop) = (server.addresses()[0], CancellationToken::new());
        let running = actix_web::rt::spawn(server.run(stop.clone()));
        let client = awc::Client::builder().timeout(Duration::from_secs(30)).finish();
        Self { address, stop, running, client, token: None, _storage: storage }
    }

    /// Shows this token from now on.
    pub fn show(&mut self, token: &str) {
        self.token = Some(format!("Bearer {token}"));
    }

    /// Sends a request with the bytes as they are.
    pub async fn send(&self, method: Method, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        let token = self.token.iter().map(|token| ("authorization", token.as_str())).collect::<Vec<_>>();
        self.send_with(method, path, &token, body).await
    }

    /// The same with these headers, and no token of its own.
    pub async fn send_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let mut request = self.client.request(method.clone(), format!("http://{}{path}", self.address));
        for header in headers {
            request = request.append_header(*header);
        }
        let mut response = request.send_body(body.into()).await.unwrap_or_else(|e| panic!("{method} {path}: {e}"));
        let bytes = response.body().limit(64 << 20).await.expect("a body");
        let text = String::from_utf8_lossy(&bytes);
        let body = if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&bytes) };
        let body = body.unwrap_or_else(|e| panic!("{method} {path}: {e} in {text:?}"));
        Answer { status: response.status(), headers: response.headers().clone(), body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "").await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, body.to_string()).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, body.to_string()).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, body.to_string()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, "").await
    }

    /// Makes a session with this id and nothing special about it.
    pub async fn session(&self, id: &str) -> Value {
        let new = serde_json::json!({"id": id, "directory": "/src", "title": "A session"});
        self.post("/v1/sessions", new).await.is(201)["session"].clone()
    }

    /// Makes a message with this id and nothing special about it.
    pub async fn message(&self, session: &str, id: &str) -> Value {
        let new = serde_json::json!({"id": id, "role": "assistant"});
        self.post(&format!("/v1/sessions/{session}/messages"), new).await.is(201)["message"].clone()
    }

    /// Where it listens, as `host:port`.
    pub fn address(&self) -> std::net::SocketAddr {
        self.address
    }

    /// Stops the server as a signal would.
    pub async fn stop(self) {
        self.stop.cancel();
        self.running.await.expect("an end without panic").expect("an end without failure");
    }
}

impl Answer {
    /// The body, if the status is this one.
    #[track_caller]
    pub fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// Checks that it is our error of this status and code, and gives the field it blames.
    #[track_caller]
    pub fn refuses(self, status: u16, code: &str) -> Option<String> {
        assert_eq!((self.status.as_u16(), &self.body["code"]), (status, &Value::from(code)), "{}", self.body);
        assert!(self.body["message"].as_str().is_some_and(|message| !message.is_empty()), "{}", self.body);
        self.body["field"].as_str().map(str::to_owned)
    }
}
