//! A connection, as it is or inside TLS. Either way its socket is guarded: what TLS has made of a response is what the reader does not take.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::guarded::Guarded;
use super::outlet::Outlet;

/// What HTTP is spoken on.
#[derive(Debug)]
pub enum Connection {
    Plain(Guarded<TcpStream>),
    /// Boxed: plain connections would keep room for it.
    Tls(Box<TlsStream<Guarded<TcpStream>>>),
}

impl Connection {
    /// What others see of the reader.
    pub fn outlet(&self) -> Outlet {
        match self {
            Self::Plain(socket) => socket.outlet(),
            Self::Tls(stream) => stream.get_ref().0.outlet(),
        }
    }
}

/// Both kinds of stream take the same calls.
macro_rules! forward {
    ($connection:ident, $stream:ident => $call:expr) => {
        match $connection.get_mut() {
            Connection::Plain(socket) => {
                let $stream = Pin::new(socket);
                $call
            }
            Connection::Tls(stream) => {
                let $stream = Pin::new(stream.as_mut());
                $call
            }
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        forward!(self, stream => stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self, stream => stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => stream.poll_shutdown(context))
    }
}
