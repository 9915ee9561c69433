//! A relay in front of a shape service: counts what is under way, remembers what was asked, and does harm on demand.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Bytes of a body, as they are on the wire, that pass before it breaks off: less than any body has.
const BEFORE_BREAK: usize = 20;

/// What is done instead of passing an answer on. Except for [`Fault::Refuse`], to shape requests only.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Connections are reset before anything is read.
    Refuse,
    /// Nothing is answered.
    Silence,
    /// The head and some of the body, and then nothing.
    Stall,
    /// The head and some of the body, and then a reset.
    Reset,
    /// The head and some of the body, and then the end of the connection.
    Truncate,
    /// These bytes, and the end of the connection.
    Say(String),
}

/// A relay on a port of its own.
pub struct Relay {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    counts: Counts,
    requests: Vec<String>,
}

/// What is under way, and what has been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that are open.
    pub connections: usize,
    /// Shape requests with `live=true` that have not been answered to their end.
    pub live: usize,
    /// Other shape requests.
    pub plain: usize,
    /// Connections so far.
    pub accepted: usize,
    /// Bytes of answers so far.
    pub passed: usize,
}

impl Relay {
    /// A relay to the service at `http://host:port`.
    pub async fn to(url: &str) -> Self {
        let server = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            // Ends with this task, and all connections with it.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                connections.spawn(connection(client, server.clone(), Arc::clone(&shared)));
            }
        });
        Self { address, state, accepting }
    }

    /// `http://host:port` of the relay.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Does this to all requests from now on; `None` for no harm.
    pub fn set(&self, fault: Option<Fault>) {
        lock(&self.state).fault = fault;
    }

    /// What is under way.
    pub fn counts(&self) -> Counts {
        lock(&self.state).counts
    }

    /// The request lines of shape requests so far, each with the headers and the body that came with it.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.state).requests.clone()
    }

    /// Shape requests so far with `live=true`.
    pub fn live_requests(&self) -> usize {
        self.requests().iter().filter(|request| is_live(request)).count()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_live(request: &str) -> bool {
    request.lines().next().is_some_and(|line| line.contains("live=true"))
}

/// Counts something while it lives.
struct Counted(Arc<Mutex<State>>, fn(&mut Counts) -> &mut usize);

impl Counted {
    fn begin(state: &Arc<Mutex<State>>, which: fn(&mut Counts) -> &mut usize) -> Self {
        *which(&mut lock(state).counts) += 1;
        Self(Arc::clone(state), which)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        *(self.1)(&mut lock(&self.0).counts) -= 1;
    }
}

/// Serves one connection until one of its ends closes.
async fn connection(client: TcpStream, server: String, state: Arc<Mutex<State>>) {
    lock(&state).counts.accepted += 1;
    let _open = Counted::begin(&state, |counts| &mut counts.connections);
    if lock(&state).fault == Some(Fault::Refuse) {
        return reset(&client);
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, mut to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let (mut from_client, mut from_server) = (Source::new(from_client), Source::new(from_server));
    while let Some(request) = from_client.request().await {
        if lock(&state).fault == Some(Fault::Refuse) {
            return reset(to_client.as_ref());
        }
        let _under_way = note(&state, &request);
        let fault = if request.contains("/v1/shape") { lock(&state).fault.clone() } else { None };
        let sent = to_server.write_all(request.as_bytes()).await;
        let answered = tokio::select! {
            // A client sends nothing while it waits: this is its end.
            _ = from_client.fill() => false,
            answered = answer(&mut from_server, &mut to_client, fault, &state) => answered,
        };
        if sent.is_err() || !answered {
            return;
        }
    }
}

fn note(state: &Arc<Mutex<State>>, request: &str) -> Option<Counted> {
    if !request.contains(" /v1/shape") {
        return None;
    }
    lock(state).requests.push(request.to_owned());
    let which: fn(&mut Counts) -> &mut usize =
        if is_live(request) { |counts| &mut counts.live } else { |counts| &mut counts.plain };
    Some(Counted::begin(state, which))
}

/// Passes an answer on, or does harm. Says whether the connection can be used again.
async fn answer(server: &mut Source, client: &mut OwnedWriteHalf, fault: Option<Fault>, state: &Mutex<State>) -> bool {
    match &fault {
        Some(Fault::Silence) => std::future::pending().await,
        Some(Fault::Say(bytes)) => {
            let _ = client.write_all(bytes.as_bytes()).await;
            return false;
        }
        _ => {}
    }
    let Some(head) = server.head().await else { return false };
    if client.write_all(head.as_bytes()).await.is_err() {
        return false;
    }
    if fault.is_some() {
        while server.read.len() < BEFORE_BREAK && server.fill().await {}
        let some = server.read.split_to(server.read.len().min(BEFORE_BREAK));
        let _ = client.write_all(&some).await;
    }
    match fault {
        Some(Fault::Stall) => std::future::pending().await,
        Some(Fault::Reset) => {
            reset(client.as_ref());
            false
        }
        Some(_) => false,
        None => server.pass_body(&head, client, state).await,
    }
}

/// The connection will be reset when it is dropped.
fn reset(stream: &TcpStream) {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("an open socket");
}

/// What has been read of a connection, and the rest of it.
struct Source {
    stream: OwnedReadHalf,
    read: BytesMut,
}

impl Source {
    fn new(stream: OwnedReadHalf) -> Self {
        Self { stream, read: BytesMut::new() }
    }

    /// Reads more; false at the end.
    async fn fill(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.read).await, Ok(1..))
    }

    /// Everything up to and including `end`.
    async fn until(&mut self, end: &[u8]) -> Option<String> {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|bytes| bytes == end) {
                return Some(String::from_utf8_lossy(&self.read.split_to(at + end.len())).into_owned());
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    async fn head(&mut self) -> Option<String> {
        self.until(b"\r\n\r\n").await
    }

    /// A request with its body.
    async fn request(&mut self) -> Option<String> {
        let head = self.head().await?;
        let length = content_length(&head).unwrap_or(0);
        while self.read.len() < length {
            if !self.fill().await {
                return None;
            }
        }
        let body = self.read.split_to(length);
        Some(head + &String::from_utf8_lossy(&body))
    }

    /// Passes a body on as it is framed. Says whether it came to its end.
    async fn pass_body(&mut self, head: &str, to: &mut OwnedWriteHalf, state: &Mutex<State>) -> bool {
        if let Some(length) = content_length(head) {
            return self.pass(length, to, state).await;
        }
        if !head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            return true;
        }
        loop {
            let Some(line) = self.until(b"\r\n").await else { return false };
            let size = usize::from_str_radix(line.trim(), 16).expect("the size of a chunk");
            if to.write_all(line.as_bytes()).await.is_err() || !self.pass(size + 2, to, state).await {
                return false;
            }
            if size == 0 {
                return true;
            }
        }
    }

    async fn pass(&mut self, mut length: usize, to: &mut OwnedWriteHalf, state: &Mutex<State>) -> bool {
        while length > 0 {
            if self.read.is_empty() && !self.fill().await {
                return false;
            }
            let piece = self.read.len().min(length);
            if to.write_all(&self.read[..piece]).await.is_err() {
                return false;
            }
            self.read.advance(piece);
            length -= piece;
            lock(state).counts.passed += piece;
        }
        true
    }
}

fn content_length(head: &str) -> Option<usize> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut values = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    values.next().and_then(|(_, value)| value.trim().parse().ok())
}
