//! An engine on a database with tables, and readers at the end of a log.

use actix_web::http::Method;
use serde_json::Value;
use tokio::time::timeout;
use tokio_postgres::Client;

use super::{Http, SOON, encoded};
use crate::support::{Database, Engine, Message, Reply};

/// An engine on a database of its own. What is named first is dropped first.
pub struct Server {
    _engine: Engine,
    pub http: Http,
    pub client: Client,
    pub database: Database,
}

/// A reader at the end of a shape's log, by long-polls.
pub struct Tail {
    pub http: Http,
    /// The definition, as a query string.
    pub definition: String,
    pub handle: String,
    pub offset: String,
}

impl Server {
    /// Runs `sql` in a fresh database and starts an engine on it.
    pub async fn new(sql: &str) -> Self {
        Self::with(sql, &[]).await
    }

    /// The same with settings of the engine.
    pub async fn with(sql: &str, settings: &[(&str, &str)]) -> Self {
        let database = Database::fresh().await;
        let client = database.connect().await;
        client.batch_execute(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        let engine = Engine::with(&database, settings).await;
        Self::of(engine, client, database)
    }

    /// An engine that runs on the database.
    pub fn of(engine: Engine, client: Client, database: Database) -> Self {
        let http = Http::to(&engine.binary.url());
        Self { _engine: engine, http, client, database }
    }

    /// Runs statements, in one transaction if they are in one text.
    pub async fn sql(&self, text: &str) {
        self.client.batch_execute(text).await.unwrap_or_else(|e| panic!("{text}: {e:?}"));
    }

    /// `GET /v1/shape?…` with a query that is sent as it is.
    pub async fn get(&self, query: &str) -> Reply {
        self.http.get(&format!("/v1/shape?{query}")).await
    }

    /// The same with a query of names and values.
    pub async fn ask(&self, params: &[(&str, &str)]) -> Reply {
        self.get(&encoded(params)).await
    }

    /// `/v1/shape?…` by another method, with headers and a body.
    pub async fn send(&self, method: Method, query: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.http.send(method, &format!("/v1/shape?{query}"), headers, body).await
    }

    /// `DELETE /v1/shape?…`
    pub async fn delete(&self, query: &str) -> Reply {
        self.send(Method::DELETE, query, &[], b"").await
    }

    /// The end of the log of a shape, whose definition is a query string such as `table=items`.
    pub async fn tail(&self, definition: &str) -> Tail {
        let mut reply = self.get(&format!("{definition}&offset=-1")).await.is(200);
        let handle = reply.handle();
        while reply.header("electric-up-to-date").is_none() {
            let next = format!("{definition}&handle={handle}&offset={}", reply.offset());
            reply = self.get(&next).await.is(200);
        }
        Tail { http: self.http.clone(), definition: definition.to_owned(), handle, offset: reply.offset() }
    }

    /// The `errors` of a request that is refused as invalid.
    #[track_caller]
    pub fn errors(reply: Reply) -> Value {
        let reply = reply.is(400);
        let mut body = reply.json();
        assert_eq!(body["message"], "Invalid request", "{body}");
        assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"), "{body}");
        body["errors"].take()
    }

    /// What a query is refused for, as JSON.
    pub async fn refusal(&self, query: &str) -> Value {
        Self::errors(self.get(query).await)
    }
}

impl Tail {
    /// The request for what follows, as a query string.
    pub fn query(&self) -> String {
        format!("{}&handle={}&offset={}", self.definition, self.handle, self.offset)
    }

    /// Asks for what follows, without moving on.
    pub async fn read(&self, more: &str) -> Reply {
        self.http.get(&format!("/v1/shape?{}{more}", self.query())).await
    }

    /// The same with headers.
    pub async fn read_with(&self, more: &str, headers: &[(&str, &str)]) -> Reply {
        self.http.send(Method::GET, &format!("/v1/shape?{}{more}", self.query()), headers, b"").await
    }

    /// Asks for what follows and waits for it, without moving on.
    pub async fn poll(&self) -> Reply {
        self.read("&live=true").await
    }

    /// Waits for so many changes, and moves on. The answer with the last of them is the second.
    pub async fn answers(&mut self, count: usize) -> (Vec<Message>, Reply) {
        let mut all = Vec::new();
        loop {
            let reply = timeout(SOON, self.poll()).await;
            let reply = reply.unwrap_or_else(|_| panic!("{count} changes did not come; there were {all:#?}")).is(200);
            self.offset = reply.offset();
            all.extend(reply.changes());
            assert!(all.len() <= count, "more than {count} changes: {all:#?}");
            if all.len() == count {
                return (all, reply);
            }
        }
    }

    /// Waits for so many changes, and moves on.
    pub async fn changes(&mut self, count: usize) -> Vec<Message> {
        self.answers(count).await.0
    }
}

/// What each message is.
pub fn kinds(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(Message::kind).collect()
}
