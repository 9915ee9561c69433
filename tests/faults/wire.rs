//! A wire to Postgres that is cut after so many bytes, or that goes silent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, tcp};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// No cut is ordered.
const NEVER: usize = usize::MAX;

/// Passes connections on to Postgres.
pub struct Wire {
    address: SocketAddr,
    orders: Arc<Orders>,
    accepting: JoinHandle<()>,
}

struct Orders {
    /// What Postgres may still send, over all connections together.
    cut_after_bytes: AtomicUsize,
    /// Whether replication streams are silent, from the end of their set-up on.
    silent: watch::Sender<bool>,
}

impl Wire {
    /// A wire to the server that the URL names.
    pub async fn to(url: &str) -> Self {
        let server = server(url).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let orders = Arc::new(Orders { cut_after_bytes: AtomicUsize::new(NEVER), silent: watch::Sender::new(false) });
        let given = Arc::clone(&orders);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // Postgres is not always there; then nobody is.
                let Ok(server) = TcpStream::connect(&server).await else { continue };
                tokio::spawn(pass(client, server, Arc::clone(&given)));
            }
        });
        Self { address, orders, accepting }
    }

    /// The URL that leads through the wire.
    pub fn url(&self, url: &str) -> String {
        url.replace(server(url), &self.address.to_string())
    }

    /// Cuts the connection over which Postgres sends so many more bytes.
    pub fn cut_after(&self, bytes: usize) {
        self.orders.cut_after_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Whether the cut that was ordered has been made.
    pub fn has_cut(&self) -> bool {
        self.orders.cut_after_bytes.load(Ordering::Relaxed) == NEVER
    }

    /// Lets replication streams begin, and then nothing of them pass; or all of it again.
    pub fn silence(&self, silent: bool) {
        self.orders.silent.send_replace(silent);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn server(url: &str) -> &str {
    let (_, rest) = url.rsplit_once('@').expect("a user");
    rest.split_once('/').expect("a database").0
}

/// Passes bytes until one end closes or a cut is due. Both connections close with it.
async fn pass(client: TcpStream, server: TcpStream, orders: Arc<Orders>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let streams = watch::Sender::new(false);
    let begun = streams.subscribe();
    tokio::select! {
        () = questions(from_client, to_server, streams) => {}
        () = answers(from_server, to_client, begun, &orders) => {}
    }
}

async fn questions(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, streams: watch::Sender<bool>) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        let sent = &buffer[..read];
        if sent.windows(17).any(|bytes| bytes == b"START_REPLICATION") {
            streams.send_replace(true);
        }
        if read == 0 || to.write_all(sent).await.is_err() {
            return;
        }
    }
}

async fn answers(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    begun: watch::Receiver<bool>,
    orders: &Orders,
) {
    let mut silent = orders.silent.subscribe();
    let mut buffer = vec![0; 1 << 16];
    let mut passed_start = false;
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        let mut sent = &buffer[..read];
        if *begun.borrow() {
            // The first frame says that the stream begins: a tag, and a length that does not count it.
            if !passed_start && read > 5 {
                passed_start = true;
                let length = 1 + u32::from_be_bytes([sent[1], sent[2], sent[3], sent[4]]) as usize;
                let (start, rest) = sent.split_at(length.min(sent.len()));
                if to.write_all(start).await.is_err() {
                    return;
                }
                sent = rest;
            }
            if silent.wait_for(|silent| !silent).await.is_err() {
                return;
            }
        }
        let left = orders.cut_after_bytes.load(Ordering::Relaxed);
        if left != NEVER && left <= sent.len() {
            let _ = to.write_all(&sent[..left]).await;
            orders.cut_after_bytes.store(NEVER, Ordering::Relaxed);
            return;
        }
        if left != NEVER {
            orders.cut_after_bytes.fetch_sub(sent.len(), Ordering::Relaxed);
        }
        if read == 0 || to.write_all(sent).await.is_err() {
            return;
        }
    }
}
