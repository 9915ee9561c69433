//! A reader of one shape that behaves as the official client does, and that fails on whatever no client could mend: a change
//! twice or out of order, one that does not fit the rows, an answer that must not be.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use awc::http::header::HeaderMap;
use futures_util::StreamExt;
use serde_json::{Map, Value};
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::DEADLINE;
use super::load::{Rows, select};
use super::program::Address;
use crate::support::eventually;

/// Before a refused or broken request is repeated. A client would wait for longer; these tests want many restarts.
const PAUSE: Duration = Duration::from_millis(20);

/// How a reader waits for changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Live {
    Poll,
    Sse,
}

/// What a request came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    Answered,
    /// 503, with `retry-after`.
    Refused,
    /// No answer, or half of one, and why.
    Broken(String),
    /// 409, with the handle of the shape that took its place.
    Refetch(Option<String>),
}

/// What a reader has.
#[derive(Debug, Default)]
pub struct State {
    pub handle: Option<String>,
    pub offset: String,
    pub rows: Rows,
    pub changes: usize,
    pub refused: usize,
    pub broken: usize,
    cursor: String,
    up_to_date: bool,
    /// The position of the last change.
    last: Option<(u64, u64)>,
}

/// One reader.
pub struct Reader {
    client: awc::Client,
    address: Address,
    shape: String,
    condition: String,
    live: Live,
    pub state: Rc<RefCell<State>>,
}

impl Reader {
    /// A reader of the rows of `table` that match, which has nothing yet.
    pub fn new(address: Address, table: &str, condition: &str, live: Live) -> Self {
        let encoded: String = condition.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let (shape, condition) = (format!("table={table}&where={encoded}"), condition.to_owned());
        Self { client: client(), address, shape, condition, live, state: Rc::new(RefCell::new(State::new())) }
    }

    /// Asks until it has everything there is.
    pub async fn catch_up(&mut self) {
        eventually(DEADLINE, "the end of the log", async || match self.step().await {
            Step::Answered if self.state.borrow().up_to_date => Ok(()),
            step => Err(step),
        })
        .await;
    }

    /// Asks until it has the rows of `items` that Postgres has; how often it had to start over.
    pub async fn until_equal(&mut self, client: &Client) -> usize {
        let mut restarts = 0;
        let condition = self.condition.clone();
        eventually(DEADLINE, "the rows of Postgres", async || {
            let mut told = String::new();
            if self.state.borrow().up_to_date {
                let expected = select(client, &condition).await.map_err(|error| error.to_string())?;
                let found = self.state.borrow().by_id();
                if found == expected {
                    return Ok(());
                }
                told = difference(&found, &expected);
            }
            let step = self.step().await;
            if matches!(step, Step::Refetch(_)) {
                restarts += 1;
                self.state.replace(State::new());
            }
            Err(format!("{step:?}; {told}"))
        })
        .await;
        restarts
    }

    /// Waits in this way from now on.
    pub fn wait_by(&mut self, live: Live) {
        self.live = live;
    }

    /// Makes one request and takes in what it is answered.
    pub async fn step(&mut self) -> Step {
        let url = self.url();
        let mut response = match self.client.get(url.as_str()).send().await {
            Ok(response) => response,
            Err(error) => return self.broken(&error),
        };
        match response.status().as_u16() {
            200 if url.contains("live_sse") => return self.events(response).await,
            200 => {}
            503 => {
                let seconds = header(response.headers(), "retry-after").and_then(|text| text.parse::<u32>().ok());
                assert!(seconds.is_some_and(|seconds| seconds > 0), "{url}: 503 without retry-after");
                self.state.borrow_mut().refused += 1;
                return Step::Refused;
            }
            409 => return Step::Refetch(header(response.headers(), "electric-handle")),
            status => {
                let body = response.body().await;
                panic!("{url}: {status} {}", String::from_utf8_lossy(&body.unwrap_or_default()));
            }
        }
        let body = match response.body().limit(64 << 20).await {
            Ok(body) => body,
            Err(error) => return self.broken(&error),
        };
        if !body.ends_with(b"]") {
            // This client takes a connection that ends in the middle of a body for the end of the body.
            return self.broken(&std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
        }
        let messages: Vec<Value> = serde_json::from_slice(&body).expect("an array of messages");
        let mut state = self.state.borrow_mut();
        state.adopt(response.headers());
        messages.iter().for_each(|message| state.apply(message));
        Step::Answered
    }

    /// Reads events to the end of their stream. Messages count when an up-to-date message has come after them.
    async fn events(&mut self, mut response: awc::ClientResponse<impl EventBytes>) -> Step {
        let before = self.state.borrow().offset.clone();
        self.state.borrow_mut().adopt(response.headers());
        // A reader goes on from here if the stream breaks off before its first event.
        assert_eq!(self.state.borrow().offset, before, "a stream that has sent nothing moves its reader");
        let (mut text, mut batch) = (Vec::new(), Vec::new());
        while let Some(bytes) = response.next().await {
            match bytes {
                Ok(bytes) => text.extend_from_slice(&bytes),
                Err(error) => return self.broken(&error),
            }
            while let Some(end) = text.windows(2).position(|bytes| bytes == b"\n\n") {
                let event: Vec<u8> = text.drain(..end + 2).collect();
                let Some(data) = event.strip_prefix(b"data: ") else { continue };
                batch.push(serde_json::from_slice::<Value>(data).expect("a message"));
                let seen = batch.last().and_then(|message| message["headers"]["global_last_seen_lsn"].as_str());
                if let Some(seen) = seen {
                    let mut state = self.state.borrow_mut();
                    state.offset = format!("{seen}_0");
                    batch.drain(..).for_each(|message| state.apply(&message));
                }
            }
        }
        assert!(text.is_empty() && batch.is_empty(), "a stream ends within a batch: {text:?} {batch:?}");
        Step::Answered
    }

    fn broken(&mut self, error: &dyn std::error::Error) -> Step {
        self.state.borrow_mut().broken += 1;
        Step::Broken(error.to_string())
    }

    /// The next request.
    pub fn url(&self) -> String {
        let state = self.state.borrow();
        let mut query = format!("/v1/shape?{}&offset={}", self.shape, state.offset);
        if let Some(handle) = &state.handle {
            query += &format!("&handle={handle}");
        }
        if state.up_to_date {
            query += &format!("&live=true&cursor={}", state.cursor);
            if self.live == Live::Sse {
                query += "&live_sse=true";
            }
        }
        self.address.of(&query)
    }
}

/// The bytes of an answer as they come.
pub trait EventBytes: futures_util::Stream<Item = Result<bytes::Bytes, awc::error::PayloadError>> + Unpin {}
impl<T: futures_util::Stream<Item = Result<bytes::Bytes, awc::error::PayloadError>> + Unpin> EventBytes for T {}

impl State {
    fn new() -> Self {
        Self { offset: "-1".to_owned(), ..Self::default() }
    }

    fn adopt(&mut self, headers: &HeaderMap) {
        let handle = header(headers, "electric-handle").expect("a handle");
        let known = self.handle.get_or_insert_with(|| handle.clone());
        assert_eq!(*known, handle, "another handle without a 409");
        self.offset = header(headers, "electric-offset").expect("an offset");
        self.cursor = header(headers, "electric-cursor").unwrap_or_default();
    }

    fn apply(&mut self, message: &Value) {
        let headers = &message["headers"];
        let Some(operation) = headers["operation"].as_str() else {
            self.up_to_date |= headers["control"] == "up-to-date";
            return;
        };
        if let Some(lsn) = headers["lsn"].as_str() {
            let position = (lsn.parse().expect("a position"), headers["op_position"].as_u64().expect("a number"));
            assert!(self.last < Some(position), "after {:?} came {message}", self.last);
            self.last = Some(position);
            self.changes += 1;
        }
        let key = message["key"].as_str().expect("a key");
        let value = message["value"].as_object().expect("values");
        match operation {
            "insert" => {
                let before = self.rows.insert(key.to_owned(), value.clone());
                assert!(before.is_none(), "{before:?} was there before {message}");
            }
            "update" => {
                let row = self.rows.get_mut(key).unwrap_or_else(|| panic!("there is no row for {message}"));
                row.extend(value.clone());
            }
            "delete" => {
                let row = self.rows.remove(key);
                assert!(row.is_some(), "there is no row for {message}");
            }
            _ => panic!("{message}"),
        }
    }

    /// The rows by their id.
    pub fn by_id(&self) -> Rows {
        let id = |row: &Map<String, Value>| row["id"].as_str().expect("an id").to_owned();
        self.rows.values().map(|row| (id(row), row.clone())).collect()
    }
}

/// A reader at work in the background, which never needs to start over.
pub struct Follower {
    condition: String,
    pub state: Rc<RefCell<State>>,
    task: JoinHandle<()>,
}

impl Follower {
    /// Catches up, and then follows.
    pub async fn start(address: &Address, table: &str, condition: &str, live: Live) -> Self {
        let mut reader = Reader::new(address.clone(), table, condition, live);
        reader.catch_up().await;
        let state = Rc::clone(&reader.state);
        let task = actix_web::rt::spawn(async move {
            loop {
                match reader.step().await {
                    Step::Answered => {}
                    Step::Refused | Step::Broken(_) => tokio::time::sleep(PAUSE).await,
                    Step::Refetch(next) => panic!("{}: must start over, with {next:?}", reader.shape),
                }
            }
        });
        Self { condition: condition.to_owned(), state, task }
    }

    /// Waits until it has the rows of `items` that Postgres has, and nothing else.
    pub async fn until_equal(&mut self, client: &Client) {
        let condition = self.condition.clone();
        self.until(async |state| {
            let expected = select(client, &condition).await.map_err(|error| error.to_string())?;
            let found = state.borrow().by_id();
            if found == expected { Ok(()) } else { Err(difference(&found, &expected)) }
        })
        .await;
    }

    /// Waits until the check of its state succeeds. A reader that failed fails the test.
    pub async fn until(&mut self, check: impl AsyncFn(&RefCell<State>) -> Result<(), String>) {
        let what = format!("the rows where {}", self.condition);
        eventually(DEADLINE, &what, async || {
            if self.task.is_finished() {
                (&mut self.task).await.expect("a reader that goes on");
            }
            check(&self.state).await
        })
        .await;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How one set of rows differs from the one that was expected.
fn difference(found: &Rows, expected: &Rows) -> String {
    let ids = found.keys().chain(expected.keys().filter(|id| !found.contains_key(*id)));
    let different = ids.filter(|id| found.get(*id) != expected.get(*id));
    let told = different.take(3).map(|id| format!("{id}: has {:?}, not {:?}", found.get(id), expected.get(id)));
    told.collect::<Vec<_>>().join("; ")
}

/// A client for any number of requests that hang.
pub fn client() -> awc::Client {
    let connector = awc::Connector::new().limit(0);
    awc::Client::builder().connector(connector).timeout(DEADLINE).finish()
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}
