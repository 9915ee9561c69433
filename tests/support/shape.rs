//! Requests for shapes to a running engine, and what they were answered.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use actix_web::http::Method;
use awc::http::header::HeaderMap;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::Value;

use super::{Binary, Database, eventually};

/// Longer than any request is held, also on a machine that runs other tests.
const PATIENCE: Duration = Duration::from_secs(120);
const BODY_LIMIT: usize = 1 << 30;

/// A running `plue-sync engine`, which keeps its shapes in the working folder that goes with it.
pub struct Engine {
    pub binary: Binary,
    pub http: awc::Client,
}

/// A shape's definition, and where to ask for it.
#[derive(Clone)]
pub struct Shape {
    http: awc::Client,
    url: String,
    params: Vec<(String, String)>,
    /// Sees every answer, whoever asked for it.
    witness: Option<Witness>,
}

/// Is shown answers.
pub type Witness = Rc<dyn Fn(&Reply)>;

/// What a request was answered.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// The columns of a row: text as Postgres prints it, or NULL.
pub type Row = BTreeMap<String, Option<String>>;

/// One message of a log. A member that the protocol does not have is an error.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    pub key: Option<String>,
    pub value: Option<Row>,
    pub old_value: Option<Row>,
    pub headers: Headers,
}

/// The `headers` of a message.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Headers {
    pub operation: Option<String>,
    pub relation: Option<[String; 2]>,
    pub lsn: Option<String>,
    pub op_position: Option<u64>,
    pub txids: Option<Vec<u64>>,
    pub last: Option<bool>,
    pub key_change_to: Option<String>,
    pub key_change_from: Option<String>,
    pub snapshot_mark: Option<u64>,
    pub control: Option<String>,
    pub global_last_seen_lsn: Option<String>,
    pub xmin: Option<String>,
    pub xmax: Option<String>,
    pub xip_list: Option<Vec<String>>,
    pub tags: Option<Vec<String>>,
    pub removed_tags: Option<Vec<String>>,
    pub active_conditions: Option<Vec<bool>>,
    pub is_move_in: Option<bool>,
    pub event: Option<String>,
    pub patterns: Option<Vec<Pattern>>,
}

/// Values that moved: a slot of tags, at a position.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    pub pos: usize,
    pub value: String,
}

/// An open stream of server-sent events.
pub struct Events {
    pub status: u16,
    pub headers: HeaderMap,
    body: awc::ClientResponse,
    read: BytesMut,
}

/// One event of a stream.
#[derive(Debug, PartialEq)]
pub enum Event {
    Message(Box<Message>),
    KeepAlive,
}

impl Engine {
    /// Starts an engine on a database, with the usual settings.
    pub async fn start(database: &Database) -> Self {
        Self::with(database, &[]).await
    }

    /// Starts an engine with settings such as `("ELECTRIC_LONG_POLL_TIMEOUT", "1000")`.
    pub async fn with(database: &Database, settings: &[(&str, &str)]) -> Self {
        let usual = [("DATABASE_URL", database.url()), ("ELECTRIC_PORT", "0"), ("ELECTRIC_INSECURE", "true")];
        // What is named last wins.
        let settings: Vec<_> = usual.iter().chain(settings).copied().collect();
        let binary = Binary::start(&["engine"], &settings).await;
        // Less than the server keeps a connection: a test that was busy for longer must not take up a closed one.
        let connector = awc::Connector::new().conn_keep_alive(Duration::from_secs(2));
        let engine = Self { binary, http: awc::Client::builder().connector(connector).timeout(PATIENCE).finish() };
        // A new slot waits for every transaction that is open in the cluster, also those of other tests.
        let health = format!("{}/v1/health", engine.binary.url());
        eventually(PATIENCE, "an active engine", async || match engine.http.get(&health).send().await {
            Ok(answer) if answer.status() == 200 => Ok(()),
            Ok(answer) => Err(answer.status().to_string()),
            Err(error) => Err(error.to_string()),
        })
        .await;
        engine
    }

    /// The shape of a whole table, by the name that the parameter `table` gets.
    pub fn shape(&self, table: &str) -> Shape {
        self.definition(&[("table", table)])
    }

    /// A shape by all of its parameters.
    pub fn definition(&self, params: &[(&str, &str)]) -> Shape {
        Shape::new(self.http.clone(), self.binary.url(), params)
    }
}

impl Shape {
    /// A shape by all of its parameters, at `http://<host>:<port>`.
    pub fn new(http: awc::Client, url: String, params: &[(&str, &str)]) -> Self {
        let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { http, url, params, witness: None }
    }

    /// The same with one more parameter.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.params.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same, of which `witness` sees every answer that has come whole.
    pub fn witnessed(mut self, witness: Witness) -> Self {
        self.witness = Some(witness);
        self
    }

    /// Whether changes show whole rows.
    pub fn is_full(&self) -> bool {
        self.params.iter().any(|(name, value)| name == "replica" && value == "full")
    }

    /// The definition, for messages of failed tests.
    pub fn name(&self) -> String {
        self.params.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    }

    /// Asks with more parameters.
    pub async fn get(&self, more: &[(&str, &str)]) -> Reply {
        self.send(Method::GET, more, &[]).await
    }

    /// `offset=-1`.
    pub async fn first(&self) -> Reply {
        self.get(&[("offset", "-1")]).await
    }

    /// Asks with another method, more parameters, and headers.
    pub async fn send(&self, method: Method, more: &[(&str, &str)], headers: &[(&str, &str)]) -> Reply {
        let mut response = self.open(method, more, headers).await;
        let body = response.body().limit(BODY_LIMIT).await.unwrap_or_else(|e| panic!("{}: {e}", self.name()));
        let reply = Reply { status: response.status().as_u16(), headers: response.headers().clone(), body };
        if let Some(witness) = &self.witness {
            witness(&reply);
        }
        reply
    }

    /// Opens a stream of events after an offset.
    pub async fn events(&self, handle: &str, offset: &str) -> Events {
        let more = [("handle", handle), ("offset", offset), ("live", "true"), ("live_sse", "true")];
        let body = self.open(Method::GET, &more, &[]).await;
        let (status, headers) = (body.status().as_u16(), body.headers().clone());
        Events { status, headers, body, read: BytesMut::new() }
    }

    /// The query string of a request with more parameters.
    pub fn query(&self, more: &[(&str, &str)]) -> String {
        let request = self.request(Method::GET, more);
        request.get_uri().query().expect("a query string").to_owned()
    }

    /// The same, with the body still to be read.
    pub async fn open(&self, method: Method, more: &[(&str, &str)], headers: &[(&str, &str)]) -> awc::ClientResponse {
        let mut request = self.request(method, more);
        for header in headers {
            request = request.insert_header(*header);
        }
        request.send().await.unwrap_or_else(|e| panic!("{} {more:?}: {e}", self.name()))
    }

    fn request(&self, method: Method, more: &[(&str, &str)]) -> awc::ClientRequest {
        let own = self.params.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let query: Vec<_> = own.chain(more.iter().copied()).collect();
        let request = self.http.request(method, format!("{}/v1/shape", self.url));
        request.query(&query).expect("a query string")
    }
}

impl Reply {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a header of letters"))
    }

    /// The shape's handle.
    #[track_caller]
    pub fn handle(&self) -> String {
        self.header("electric-handle").unwrap_or_else(|| panic!("no handle in {self:?}")).to_owned()
    }

    /// The offset to go on from.
    #[track_caller]
    pub fn offset(&self) -> String {
        self.header("electric-offset").unwrap_or_else(|| panic!("no offset in {self:?}")).to_owned()
    }

    /// Panics unless this is the status.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// The messages of a log.
    #[track_caller]
    pub fn messages(&self) -> Vec<Message> {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e} in {:?}", self.text()))
    }

    /// The messages that are changes of rows.
    #[track_caller]
    pub fn changes(&self) -> Vec<Message> {
        self.messages().into_iter().filter(|message| message.headers.control.is_none()).collect()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e} in {:?}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Message {
    /// `insert`, `update`, `delete`; or what control message or event it is.
    pub fn kind(&self) -> &str {
        let headers = &self.headers;
        let kind = headers.operation.as_deref().or(headers.control.as_deref()).or(headers.event.as_deref());
        kind.unwrap_or("neither operation nor control nor event")
    }

    /// The position of a replicated change.
    pub fn position(&self) -> Option<(u64, u64)> {
        let lsn = self.headers.lsn.as_ref()?.parse().expect("a decimal LSN");
        Some((lsn, self.headers.op_position.expect("an operation's position")))
    }

    /// The value of a column.
    #[track_caller]
    pub fn column(&self, name: &str) -> Option<&str> {
        let value = self.value.as_ref().and_then(|value| value.get(name));
        value.unwrap_or_else(|| panic!("no column {name} in {self:?}")).as_deref()
    }
}

impl Events {
    /// The next event; `None` at the stream's end.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.take() {
                return Some(event);
            }
            let Some(bytes) = self.body.next().await else {
                assert!(self.read.is_empty(), "the stream ended within an event: {:?}", self.read);
                return None;
            };
            self.read.extend_from_slice(&bytes.expect("the next bytes of the stream"));
        }
    }

    /// The messages up to and including the next up-to-date.
    pub async fn batch(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            match self.next().await {
                Some(Event::Message(message)) => messages.push(*message),
                Some(Event::KeepAlive) => continue,
                None => panic!("the stream ended after {messages:?}"),
            }
            if messages.last().is_some_and(|message| message.kind() == "up-to-date") {
                return messages;
            }
        }
    }

    fn take(&mut self) -> Option<Event> {
        let end = self.read.windows(2).position(|two| two == b"\n\n")?;
        let event = self.read.split_to(end + 2);
        let event = std::str::from_utf8(&event[..end]).expect("UTF-8");
        if event == ": keep-alive" {
            return Some(Event::KeepAlive);
        }
        let data = event.strip_prefix("data: ").unwrap_or_else(|| panic!("an event of another form: {event:?}"));
        let message = serde_json::from_str(data).unwrap_or_else(|e| panic!("{e} in {data:?}"));
        Some(Event::Message(Box::new(message)))
    }
}
