//! Readers that take nothing, take little, or are cut, over real sockets.

use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use actix_web::web::{self, Data};
use actix_web::{App, HttpMessage, HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::stream;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use super::*;

pub const PATIENCE: Duration = Duration::from_millis(600);
/// What the system keeps in its buffers for a reader that takes nothing is less than a quarter of this.
pub const BODY_BYTES: usize = 64 << 20;
const DEADLINE: Duration = Duration::from_secs(60);

/// What became of the bodies that a server has begun.
#[derive(Clone, Default)]
pub struct Fate {
    outlets: Arc<Mutex<Vec<Outlet>>>,
    /// Of each that has ended: whether its reader had stalled.
    ended: Arc<Mutex<Vec<bool>>>,
}

/// Tells when a body is dropped whether its reader had stalled.
struct Told(Fate, Outlet);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.ended.lock().push(self.1.has_stalled());
    }
}

impl Fate {
    /// Waits until a body has ended, and says whether its reader had stalled.
    pub async fn next(&self) -> bool {
        let start = Instant::now();
        loop {
            let told = self.ended.lock().pop();
            match told {
                Some(stalled) => return stalled,
                None => assert!(start.elapsed() < DEADLINE, "no body has ended after {DEADLINE:?}"),
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn large(request: HttpRequest, fate: Data<Fate>) -> HttpResponse {
    let of_stream = request.extensions().get::<Outlet>().cloned();
    let outlet = of_stream.or_else(|| request.conn_data::<Outlet>().cloned()).expect("an outlet");
    fate.outlets.lock().push(outlet.clone());
    let told = Rc::new(Told((**fate).clone(), outlet));
    let pieces = stream::unfold((0, told), |(sent, told)| async move {
        let piece = Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 32 << 10]));
        (sent < BODY_BYTES).then_some((piece, (sent + (32 << 10), told)))
    });
    HttpResponse::Ok().streaming(pieces)
}

/// A server of its own, which ends with the test.
fn serve() -> (SocketAddr, Fate) {
    serve_with(PATIENCE)
}

fn serve_with(patience: Duration) -> (SocketAddr, Fate) {
    serve_as(patience, None)
}

pub fn serve_as(patience: Duration, tls: Option<Tls>) -> (SocketAddr, Fate) {
    let fate = Fate::default();
    let data = Data::new(fate.clone());
    let application = move || {
        let small = |body: Bytes| async move { HttpResponse::Ok().body(body) };
        App::new().app_data(data.clone()).route("/large", web::get().to(large)).route("/small", web::post().to(small))
    };
    let listener = Listener::start((Ipv4Addr::LOCALHOST, 0).into(), patience, tls, application).expect("a free port");
    let address = listener.address();
    // It serves until the test's system ends.
    std::mem::forget(listener);
    (address, fate)
}

async fn ask(address: SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.expect("the server listens");
    socket.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("the server reads");
    let mut first = [0; 1024];
    socket.read_exact(&mut first).await.expect("the beginning of an answer");
    socket
}

#[actix_web::test]
async fn a_reader_that_takes_nothing_is_cut_off() {
    let (address, fate) = serve();
    let mut socket = ask(address).await;
    assert!(fate.next().await, "it was not for stalling that the body ended");
    let mut rest = Vec::new();
    let read = socket.read_to_end(&mut rest).await;
    assert!(read.is_err() || rest.len() < BODY_BYTES / 4, "{} bytes were kept for it", rest.len());
}

#[actix_web::test]
async fn a_slow_reader_is_not_cut_off() {
    let (address, fate) = serve();
    let mut socket = ask(address).await;
    let (start, mut buffer) = (Instant::now(), vec![0; 256 << 10]);
    while start.elapsed() < 5 * PATIENCE {
        let read = socket.read(&mut buffer).await.expect("more of the answer");
        assert!(read > 0, "the answer ended early");
        sleep(PATIENCE / 6).await;
    }
    assert!(fate.ended.lock().is_empty(), "the body has ended");
    drop(socket);
    assert!(!fate.next().await, "it has left, and not stalled");
}

#[actix_web::test]
async fn a_reader_that_takes_nothing_can_be_cut_off_at_once() {
    let (address, fate) = serve_with(DEADLINE * 2);
    let _socket = ask(address).await;
    let start = Instant::now();
    while fate.ended.lock().is_empty() {
        // Nothing happens to one that takes what there is.
        fate.outlets.lock().iter().for_each(Outlet::cut_if_blocked);
        assert!(start.elapsed() < DEADLINE, "it was not cut off after {DEADLINE:?}");
        sleep(Duration::from_millis(5)).await;
    }
    assert!(!fate.next().await, "on somebody's word, and not for stalling");
}

#[actix_web::test]
async fn one_stream_of_a_connection_is_cut_off_and_the_others_go_on() {
    let (address, fate) = serve();
    let socket = TcpStream::connect(address).await.expect("the server listens");
    let (mut client, connection) = h2::client::handshake(socket).await.expect("HTTP/2");
    actix_web::rt::spawn(connection);
    let get = |path: &str, method: &str| {
        http::Request::builder().method(method).uri(format!("http://x{path}")).body(()).expect("a request")
    };
    let (stalled, _) = client.send_request(get("/large", "GET"), true).expect("a stream");
    let stalled = stalled.await.expect("an answer");
    assert_eq!(stalled.status(), 200);
    assert!(fate.next().await, "it was not for stalling that the body ended");
    // It comes through the window of the whole connection, of which the stalled stream holds a part.
    let mut stalled = stalled.into_body();
    let cut = loop {
        match stalled.data().await {
            Some(Ok(piece)) => stalled.flow_control().release_capacity(piece.len()).expect("room"),
            other => break other,
        }
    };
    assert!(matches!(&cut, Some(Err(error)) if error.reason() == Some(h2::Reason::CANCEL)), "{cut:?}");

    let (answer, mut body) = client.send_request(get("/small", "POST"), false).expect("a stream");
    body.send_data(Bytes::from_static(b"hello"), true).expect("a body");
    let answer = answer.await.expect("an answer");
    assert_eq!(answer.headers()["content-length"], "5");
    assert!(answer.headers().contains_key("date"));
    let echoed = answer.into_body().data().await.expect("a piece").expect("a piece");
    assert_eq!(echoed, "hello");
}

#[actix_web::test]
async fn a_connection_that_is_not_read_is_cut_off_with_all_its_streams() {
    let (address, fate) = serve();
    let socket = TcpStream::connect(address).await.expect("the server listens");
    let mut settings = h2::client::Builder::new();
    settings.initial_window_size(1 << 30).initial_connection_window_size(1 << 30);
    let (mut client, mut connection) = settings.handshake::<_, Bytes>(socket).await.expect("HTTP/2");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    actix_web::rt::spawn(async move {
        tokio::select! {
            _ = &mut connection => {}
            _ = stopped => {}
        }
        // It is there, and takes nothing.
        std::future::pending::<()>().await;
        drop(connection);
    });
    let get = || http::Request::builder().uri("http://x/large").body(()).expect("a request");
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(client.send_request(get(), true).expect("a stream").0.await.expect("an answer"));
    }
    stop.send(()).expect("a connection");
    for _ in 0..3 {
        assert!(fate.next().await, "it was not for stalling that the body ended");
    }
}
