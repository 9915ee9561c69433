//! Connections to the upstream, counted.
//!
//! The HTTP client takes the end of a connection for the end of a body: a chunked body that breaks off would look
//! whole. But a connection whose answer has ended properly leaves its response, for the pool or to be closed, before the end
//! is told. One that broke off is dropped together with the response; so the number of open sockets tells the two apart. This
//! holds while all of it is on one thread, as it is: neither the client nor a response can leave the arbiter.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_rt::net::{ActixStream, Ready, TcpStream};
use actix_service::ServiceExt;
use actix_tls::connect::{Connection, Connector, Resolver};
use awc::http::{Uri, Version, header};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Less than servers keep a connection that is idle: ours closes it after 5 s.
const KEEP_IDLE: Duration = Duration::from_secs(4);

/// How many connections are open.
#[derive(Debug, Clone, Default)]
pub struct Sockets(Rc<Cell<usize>>);

impl Sockets {
    /// All that are open, idle ones included.
    pub fn open(&self) -> usize {
        self.0.get()
    }
}

/// A client that leaves bodies as they are, follows nowhere, and has no limits but `connect_timeout`: the others are ours.
///
/// HTTP/1.1 only: over HTTP/2, a reader that stalls could hold up to a megabyte, and in the end all others.
pub fn client(connect_timeout: Duration) -> (awc::Client, Sockets) {
    let sockets = Sockets::default();
    let counting = sockets.clone();
    let counted = Connector::new(Resolver::default()).service().map(move |connection: Connection<Uri, TcpStream>| {
        let (stream, uri) = connection.into_parts();
        Connection::new(uri, Counted::new(stream, &counting))
    });
    let connector = awc::Connector::new()
        .connector(counted)
        .limit(0)
        .timeout(connect_timeout)
        .handshake_timeout(connect_timeout)
        .conn_keep_alive(KEEP_IDLE)
        .max_http_version(Version::HTTP_11);
    let client = awc::Client::builder()
        .connector(connector)
        .disable_timeout()
        .disable_redirects()
        .add_default_header((header::USER_AGENT, concat!("plue-sync/", env!("CARGO_PKG_VERSION"))))
        .finish();
    (client, sockets)
}

/// A socket that is counted while it is open.
#[derive(Debug)]
struct Counted {
    stream: TcpStream,
    sockets: Sockets,
}

impl Counted {
    fn new(stream: TcpStream, sockets: &Sockets) -> Self {
        sockets.0.set(sockets.0.get() + 1);
        Self { stream, sockets: sockets.clone() }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.sockets.0.set(self.sockets.0.get() - 1);
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl ActixStream for Counted {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(&self.stream, context)
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&self.stream, context)
    }
}
