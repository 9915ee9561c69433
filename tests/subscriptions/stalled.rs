//! Readers of a long answer: one that takes nothing is ended and holds little meanwhile, one that takes little is not.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::{SOON, Source};
use crate::support::{Binary, Database, Engine, eventually};

/// A little over 50 MB in one answer.
const ROWS: usize = 1000;
const ROW_BYTES: usize = 50_000;
const TIMEOUT: Duration = Duration::from_secs(8);
const STALLED: usize = 10;
/// What a reader that stalls may make the process hold.
const MOST_BYTES: u64 = 2 << 20;

#[cfg(target_os = "linux")]
super::with_both_sources!(a_reader_that_takes_nothing_is_ended_and_one_that_takes_little_is_not);

async fn a_reader_that_takes_nothing_is_ended_and_one_that_takes_little_is_not(source: Source) {
    let database = Database::fresh().await;
    let chunk = ("ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD", "200000000");
    let upstream = match source {
        Source::Engine => None,
        Source::Proxy => Some(Engine::with(&database, &[chunk]).await),
    };
    let url = upstream.as_ref().map(|engine| engine.binary.url()).unwrap_or_default();
    let settings = [
        ("DATABASE_URL", database.url()),
        ("ELECTRIC_URL", &url),
        ("PLUE_ENGINE__CHUNK_BYTES", "200000000"),
        ("PLUE_SUBSCRIPTIONS__IDLE_TIMEOUT", "8s"),
    ];
    let serve = Binary::start(&["serve", "--insecure", "--listen=127.0.0.1:0"], &settings).await;
    let sql = format!(
        "INSERT INTO sessions (id, directory, title, time_created, time_updated) VALUES ('ses_1', '/', 'one', 1, 1);
         INSERT INTO messages (id, session_id, role, time_created) VALUES ('msg_1', 'ses_1', 'user', 1);
         INSERT INTO parts (id, session_id, message_id, type, text)
             SELECT 'prt_' || n, 'ses_1', 'msg_1', 'text', repeat('x', {ROW_BYTES}) FROM generate_series(1, {ROWS}) n;"
    );
    database.connect().await.batch_execute(&sql).await.expect("rows");
    let admin = Admin { http: awc::Client::builder().timeout(SOON).finish(), url: serve.url() };
    eventually(SOON, "shapes", async || match admin.status("/ready").await {
        200 => Ok(()),
        status => Err(status),
    })
    .await;

    let address: SocketAddr = serve.url().trim_start_matches("http://").parse().expect("an address");
    let whole = Slow::open(address, "whole").await.rest().await;
    assert!(whole > ROWS * ROW_BYTES, "{whole} bytes");
    let before = serve.settled_memory().await;
    let mut stalled = Vec::new();
    for at in 0..STALLED {
        stalled.push(Slow::open(address, &format!("stalled{at}")).await);
    }
    let mut slow = Slow::open(address, "slow").await;
    let (began, mut most) = (Instant::now(), 0);
    // It takes 3 MB in all: far less than there is, and some of it all the time.
    while began.elapsed() < 2 * TIMEOUT {
        slow.take(48 << 10).await;
        most = most.max(serve.resident());
        sleep(Duration::from_millis(250)).await;
    }
    let held = most.saturating_sub(before) / (STALLED as u64 + 1);
    println!("{source:?}: {held} bytes for each reader that stalls");
    assert!(held < MOST_BYTES, "{held} bytes for each of them");
    let open = eventually(SOON, "the end of those that take nothing", async || {
        let open = admin.clients().await;
        if open.iter().any(|client| client.starts_with("stalled")) { Err(open) } else { Ok(open) }
    })
    .await;
    assert!(open.iter().any(|client| client == "slow"), "{open:?}");
    for mut reader in stalled {
        reader.is_cut().await;
    }
    slow.take(1 << 20).await;
    serve.assert_quiet(&[]);
}

/// A reader on a bare socket.
struct Slow {
    socket: TcpStream,
    taken: usize,
}

impl Slow {
    /// Asks for all parts, and takes the first bytes.
    async fn open(address: SocketAddr, client: &str) -> Self {
        let mut socket = TcpStream::connect(address).await.expect("the server listens");
        let path = format!("/v1/shape?table=parts&offset=-1&where=session_id='ses_1'&client={client}");
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.expect("the server reads");
        let mut reader = Self { socket, taken: 0 };
        reader.take(64 << 10).await;
        reader
    }

    async fn take(&mut self, bytes: usize) {
        let mut buffer = vec![0; bytes];
        self.socket.read_exact(&mut buffer).await.expect("more of the answer");
        self.taken += bytes;
    }

    /// Takes all that is left, and says how much it was together.
    async fn rest(mut self) -> usize {
        let mut rest = Vec::new();
        self.socket.read_to_end(&mut rest).await.expect("the rest of the answer");
        self.taken + rest.len()
    }

    /// Finds that there is no proper end.
    async fn is_cut(&mut self) {
        let mut rest = Vec::new();
        let read = self.socket.read_to_end(&mut rest).await;
        let taken = self.taken + rest.len();
        assert!(read.is_err() || taken < ROWS * ROW_BYTES, "{taken} bytes came, and an end");
    }
}

struct Admin {
    http: awc::Client,
    url: String,
}

impl Admin {
    async fn status(&self, path: &str) -> u16 {
        self.http.get(format!("{}{path}", self.url)).send().await.map_or(0, |answer| answer.status().as_u16())
    }

    /// The names of all readers.
    async fn clients(&self) -> Vec<String> {
        let url = format!("{}/v1/admin/subscriptions", self.url);
        let mut answer = self.http.get(url).send().await.expect("an answer");
        let listed: serde_json::Value = answer.json().limit(1 << 20).await.expect("JSON");
        let clients = listed["subscriptions"].as_array().expect("a list").iter();
        clients.filter_map(|one| one["client"].as_str().map(str::to_owned)).collect()
    }
}
