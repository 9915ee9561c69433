//! Who shares a request, and when it ends.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::proxy::url::UpstreamUrl;
use crate::shape::{Dialect, ShapeRequest};

const SOON: Duration = Duration::from_secs(10);
const LINGER: Duration = Duration::from_millis(200);

/// An upstream whose connections a test answers by hand.
struct Scene {
    listener: TcpListener,
    upstream: Rc<Upstream>,
    live: LiveRequests,
}

impl Scene {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let url = UpstreamUrl::parse(&format!("http://{address}"), &"".into()).expect("an address");
        let config = crate::config::Config::load(None, &Default::default()).expect("the defaults").upstream;
        Self { listener, upstream: Rc::new(Upstream::new(url, config)), live: LiveRequests::default() }
    }

    fn join(&self, lingers: bool) -> Share {
        let query = "table=t&offset=5_1&handle=h&live=true";
        let request = ShapeRequest::parse(query, None, Dialect::Protocol).expect("a request");
        self.live.join(LiveAsk { lingers, ..LiveAsk::of(&request) }, &self.upstream, LINGER)
    }

    /// The next request that comes.
    async fn asked(&self) -> TcpStream {
        let (mut stream, _) = timeout(SOON, self.listener.accept()).await.expect("in time").expect("a connection");
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).await.expect("a request") > 0);
        stream
    }

    fn is_empty(&self) -> bool {
        self.live.0.borrow().is_empty()
    }
}

/// Waits until the other end has closed the connection.
async fn closed(stream: &mut TcpStream) {
    let read = timeout(SOON, stream.read(&mut [0; 16])).await.expect("its end");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

/// Whether the connection is open, a moment later.
async fn is_open(stream: &mut TcpStream) -> bool {
    timeout(LINGER / 4, stream.read(&mut [0; 16])).await.is_err()
}

async fn answer(stream: &mut TcpStream, headers: &str, body: &str) {
    let head = "HTTP/1.1 200 OK\r\nelectric-handle: h\r\nelectric-cursor: 9\r\n";
    let answer = format!("{head}{headers}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await.expect("a reader");
}

#[actix_rt::test]
async fn a_request_ends_with_its_last_reader() {
    let scene = Scene::new().await;
    let (first, second) = (scene.join(false), scene.join(false));
    let mut stream = scene.asked().await;
    drop(first);
    assert!(is_open(&mut stream).await, "one is left");
    drop(second);
    closed(&mut stream).await;
    assert!(scene.is_empty());
}

#[actix_rt::test]
async fn a_request_of_a_session_waits_a_moment_for_a_reader_to_come_back() {
    let scene = Scene::new().await;
    let first = scene.join(true);
    let mut stream = scene.asked().await;
    for _ in 0..3 {
        drop(scene.join(false));
        assert!(is_open(&mut stream).await);
    }
    drop(first);
    assert!(is_open(&mut stream).await, "its moment has not passed");
    let mut back = scene.join(false);
    tokio::time::sleep(2 * LINGER).await;
    assert!(is_open(&mut stream).await, "a reader came back");
    answer(&mut stream, "electric-offset: 6_0\r\n", "[{}]").await;
    assert!(matches!(&*back.outcome().await, Outcome::News(news) if news.end == Offset { tx: 6, op: 0 }));
    assert!(scene.is_empty());

    // On connections of its own: the other one is kept.
    let scene = Scene::new().await;
    drop(scene.join(true));
    let mut stream = scene.asked().await;
    closed(&mut stream).await;
    assert!(scene.is_empty());
}

#[actix_rt::test]
async fn all_who_wait_get_the_same_bytes() {
    let up_to_date = r#"{"headers":{"control":"up-to-date","global_last_seen_lsn":"6"}}"#;
    let body = format!(r#"[{{"key":"a"}},{up_to_date}]"#);
    let plue = up_to_date.replace("\"6\"", "\"7\"");
    //   headers, body, no change, the last event
    let cases = [
        ("electric-offset: 6_2\r\nelectric-server: plue-sync/1.0\r\n", body.as_str(), false, plue.as_str()),
        ("electric-offset: 6_2\r\nelectric-server: ElectricSQL/1.0\r\n", &body, false, up_to_date),
        ("electric-offset: 0_3\r\nelectric-server: plue-sync/1.0\r\n", &body, false, up_to_date),
        ("electric-offset: 5_1\r\nelectric-has-data: false\r\n", &body, true, up_to_date),
        ("electric-offset: 5_1\r\n", &format!("[{up_to_date}]"), true, up_to_date),
    ];
    for (headers, body, no_change, last) in cases {
        let scene = Scene::new().await;
        let mut shares = [scene.join(false), scene.join(false)];
        answer(&mut scene.asked().await, headers, body).await;
        let [one, two] = &mut shares;
        let (one, two) = (one.outcome().await, two.outcome().await);
        let (Outcome::News(one), Outcome::News(two)) = (&*one, &*two) else { panic!("{one:?} {two:?}") };
        assert_eq!((one.body.as_ptr(), one.events().as_ptr()), (two.body.as_ptr(), two.events().as_ptr()));
        assert_eq!((one.body.as_ref(), one.no_change, one.cursor), (body.as_bytes(), no_change, Some(9)), "{headers}");
        assert!(one.events().ends_with(format!("data: {last}\n\n").as_bytes()), "{headers}: {:?}", one.events());
    }
}
