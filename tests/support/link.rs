//! A TCP link to Postgres that can be cut at a chosen moment, or is slow.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// When to cut the link of the connection that next sends a commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// Postgres does not get it.
    BeforeCommit,
    /// Postgres does it, and its answer is lost.
    AfterCommit,
}

/// Passes connections on to Postgres.
pub struct Link {
    address: SocketAddr,
    next: Arc<Mutex<Option<(usize, Cut)>>>,
    accepting: JoinHandle<()>,
}

impl Link {
    /// A link to the server that the address names as `host:port`.
    pub async fn to(server: String) -> Self {
        Self::slow(server, Duration::ZERO).await
    }

    /// The same, to a server that is so far away.
    pub async fn slow(server: String, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let next = Arc::new(Mutex::new(None));
        let cut = Arc::clone(&next);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.expect("Postgres");
                tokio::spawn(pass(client, server, Arc::clone(&cut), delay));
            }
        });
        Self { address, next, accepting }
    }

    /// The address of the link, as `host:port`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the next connection that commits.
    pub fn cut_next(&self, cut: Cut) {
        self.cut_after(0, cut);
    }

    /// Lets so many commits pass and cuts the connection of the next one.
    pub fn cut_after(&self, passing: usize, cut: Cut) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some((passing, cut));
    }

    /// Whether the cut that was ordered has been made.
    pub fn has_cut(&self) -> bool {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Passes bytes both ways until one end closes or the link is cut.
async fn pass(client: TcpStream, server: TcpStream, next: Arc<Mutex<Option<(usize, Cut)>>>, delay: Duration) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers = tokio::spawn(async move { copy(&mut from_server, &mut to_client).await });
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = from_client.read(&mut buffer).await.unwrap_or(0);
        let sent = &buffer[..read];
        // A simple query: the statement and a zero byte, small enough never to be split.
        let commits = sent.windows(7).any(|bytes| bytes == b"COMMIT\0");
        let cut = if commits { due(&next) } else { None };
        if cut.is_some() {
            answers.abort();
            let _ = answers.await;
            if cut == Some(Cut::AfterCommit) {
                to_server.write_all(sent).await.expect("Postgres takes the commit");
            }
            return;
        }
        sleep(delay).await;
        if read == 0 || to_server.write_all(sent).await.is_err() {
            answers.abort();
            return;
        }
    }
}

/// The cut that this commit is to get.
fn due(next: &Mutex<Option<(usize, Cut)>>) -> Option<Cut> {
    let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
    match next.as_mut() {
        Some((passing, _)) if *passing > 0 => {
            *passing -= 1;
            None
        }
        _ => next.take().map(|(_, cut)| cut),
    }
}
