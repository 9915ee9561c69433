//! Bytes to and from the server: the socket, with or without TLS, and the frames on it.
//!
//! Many frames come with one read. They are split off the read buffer without copying; the buffer is used
//! again once nobody holds a frame of it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use postgres_protocol::message::frontend;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::config::{Host, SslMode, SslNegotiation};

use super::ReplicationError;
use super::channel_binding::end_point_hash;
use crate::postgres::Postgres;

/// Read buffer: one read takes all that the kernel holds of a busy stream.
const READ_BUFFER_BYTES: usize = 256 * 1024;
/// Postgres allocates no message larger than this.
const MAX_FRAME_BYTES: usize = 0x4000_0000;

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// One message of the server.
#[derive(Debug)]
pub struct RawFrame {
    pub tag: u8,
    pub body: Bytes,
}

/// An open connection that speaks in frames.
pub struct Transport {
    socket: Box<dyn Socket>,
    input: BytesMut,
    /// To be sent; whatever a cancelled [`Self::flush`] left goes first the next time.
    pub output: BytesMut,
    /// Hash of the server's certificate, where there is TLS and the certificate allows one.
    pub end_point: Option<Vec<u8>>,
}

impl Transport {
    /// Connects to the host at `index` of the configuration.
    pub async fn connect(postgres: &Postgres, index: usize) -> Result<Self, ReplicationError> {
        let config = postgres.config();
        let limit = config.get_connect_timeout().copied().unwrap_or(Duration::MAX);
        let address = address(postgres, index);
        let connecting = async {
            match config.get_hosts().get(index) {
                Some(Host::Unix(directory)) => {
                    let path = directory.join(format!(".s.PGSQL.{}", port(postgres, index)));
                    let socket = UnixStream::connect(path).await.map_err(|source| connect_error(&address, source))?;
                    Ok(Self::new(Box::new(socket), None))
                }
                Some(Host::Tcp(name)) => Self::connect_tcp(postgres, index, name, &address).await,
                None => Err(ReplicationError::Protocol("no host is configured".to_owned())),
            }
        };
        let timed_out = |_| connect_error(&address, io::ErrorKind::TimedOut.into());
        tokio::time::timeout(limit, connecting).await.map_err(timed_out)?
    }

    async fn connect_tcp(
        postgres: &Postgres,
        index: usize,
        name: &str,
        address: &str,
    ) -> Result<Self, ReplicationError> {
        let config = postgres.config();
        let port = port(postgres, index);
        let failed = |source| connect_error(address, source);
        let socket = match config.get_hostaddrs().get(index) {
            Some(ip) => TcpStream::connect((*ip, port)).await,
            None => TcpStream::connect((name, port)).await,
        };
        let mut socket = socket.map_err(failed)?;
        set_options(&socket, config).map_err(failed)?;
        match config.get_ssl_mode() {
            SslMode::Disable => return Ok(Self::new(Box::new(socket), None)),
            _ if config.get_ssl_negotiation() == SslNegotiation::Direct => {}
            mode => {
                if !offers_tls(&mut socket).await.map_err(failed)? {
                    return match mode {
                        SslMode::Prefer => Ok(Self::new(Box::new(socket), None)),
                        _ => Err(ReplicationError::NoTls { address: address.to_owned() }),
                    };
                }
            }
        }
        let server = ServerName::try_from(name.to_owned());
        let server = server.map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(&postgres.tls_config()));
        let socket = connector.connect(server, socket).await.map_err(|error| handshake_error(address, error))?;
        let certificate = socket.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let end_point = certificate.and_then(|certificate| end_point_hash(certificate));
        Ok(Self::new(Box::new(socket), end_point))
    }

    fn new(socket: Box<dyn Socket>, end_point: Option<Vec<u8>>) -> Self {
        let input = BytesMut::with_capacity(READ_BUFFER_BYTES);
        Self { socket, input, output: BytesMut::new(), end_point }
    }

    /// The next frame. Cancel-safe.
    pub async fn receive(&mut self) -> Result<RawFrame, ReplicationError> {
        loop {
            if let Some(frame) = self.take_frame()? {
                return Ok(frame);
            }
            if self.socket.read_buf(&mut self.input).await? == 0 {
                return Err(ReplicationError::Closed);
            }
        }
    }

    /// Sends all of `output`. When cancelled, the next call goes on where this one stopped.
    pub async fn flush(&mut self) -> Result<(), ReplicationError> {
        while !self.output.is_empty() {
            self.socket.write_buf(&mut self.output).await?;
        }
        self.socket.flush().await?;
        Ok(())
    }

    /// Splits a frame off what was read, or makes room for the rest of it.
    pub fn take_frame(&mut self) -> Result<Option<RawFrame>, ReplicationError> {
        let Some((&[tag, a, b, c, d], _)) = self.input.split_first_chunk() else {
            self.make_room(5);
            return Ok(None);
        };
        // The length counts itself, but not the tag.
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if !(4..=MAX_FRAME_BYTES).contains(&length) {
            return Err(ReplicationError::Protocol(format!("a frame of {length} bytes")));
        }
        if self.input.len() <= length {
            self.make_room(length + 1);
            return Ok(None);
        }
        let mut body = self.input.split_to(length + 1).freeze();
        bytes::Buf::advance(&mut body, 5);
        Ok(Some(RawFrame { tag, body }))
    }

    /// Room for a frame of `total` bytes, but never for more than twice of what has really arrived.
    fn make_room(&mut self, total: usize) {
        let (length, free) = (self.input.len(), self.input.capacity() - self.input.len());
        let wanted = (total - length).max(READ_BUFFER_BYTES / 4).min(length.max(READ_BUFFER_BYTES));
        if free < wanted {
            self.input.reserve(wanted.max(READ_BUFFER_BYTES));
        }
    }
}

/// Host and port as people write them.
pub fn address(postgres: &Postgres, index: usize) -> String {
    let port = port(postgres, index);
    match postgres.config().get_hosts().get(index) {
        Some(Host::Tcp(name)) => format!("{name}:{port}"),
        Some(Host::Unix(directory)) => format!("{}/.s.PGSQL.{port}", directory.display()),
        None => format!("?:{port}"),
    }
}

fn port(postgres: &Postgres, index: usize) -> u16 {
    let ports = postgres.config().get_ports();
    ports.get(index).or(ports.first()).copied().unwrap_or(5432)
}

fn connect_error(address: &str, source: io::Error) -> ReplicationError {
    ReplicationError::Connect { address: address.to_owned(), source }
}

/// A handshake that TLS itself refused is told apart from a connection that broke.
fn handshake_error(address: &str, error: io::Error) -> ReplicationError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(refused) => ReplicationError::Tls { address: address.to_owned(), source: refused.clone() },
        None => connect_error(address, error),
    }
}

/// Small messages leave at once, and a peer that vanished is noticed.
fn set_options(socket: &TcpStream, config: &tokio_postgres::Config) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let socket = SockRef::from(socket);
    if config.get_keepalives() {
        let mut keepalive = TcpKeepalive::new().with_time(config.get_keepalives_idle());
        if let Some(interval) = config.get_keepalives_interval() {
            keepalive = keepalive.with_interval(interval);
        }
        if let Some(retries) = config.get_keepalives_retries() {
            keepalive = keepalive.with_retries(retries);
        }
        socket.set_tcp_keepalive(&keepalive)?;
    }
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(config.get_tcp_user_timeout().copied())?;
    Ok(())
}

/// Asks for TLS before the start-up message; the answer is one byte.
async fn offers_tls(socket: &mut TcpStream) -> io::Result<bool> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    socket.write_all(&request).await?;
    // Nothing that came with this byte may be read as part of the encrypted connection: read it alone.
    match socket.read_u8().await? {
        b'S' => Ok(true),
        b'N' => Ok(false),
        _ => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "not the answer of a Postgres server to a request for TLS"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Transport {
        /// A transport whose other end is the test's, with room for this many bytes in between.
        pub fn pair(bytes: usize) -> (Self, tokio::io::DuplexStream) {
            let (near, far) = tokio::io::duplex(bytes);
            (Self::new(Box::new(near), None), far)
        }
    }

    #[tokio::test]
    async fn frames_are_whole_however_the_bytes_arrive() {
        let (mut transport, mut far) = Transport::pair(1024 * 1024);
        let large = vec![7; 3 * READ_BUFFER_BYTES];
        let mut bytes = b"Z\0\0\0\x05I".to_vec();
        bytes.push(b'd');
        bytes.extend((large.len() as u32 + 4).to_be_bytes());
        bytes.extend(&large);
        bytes.extend(b"c\0\0\0\x04");
        let sending = tokio::spawn(async move {
            let (first, rest) = bytes.split_at(8);
            for byte in first {
                far.write_all(&[*byte]).await.expect("room");
                tokio::task::yield_now().await;
            }
            for chunk in rest.chunks(10_007) {
                far.write_all(chunk).await.expect("room");
            }
            // Ends in the middle of a header.
            far.write_all(b"d\0").await.expect("room");
        });
        let mut received = Vec::new();
        for _ in 0..3 {
            let frame = transport.receive().await.expect("a frame");
            received.push((char::from(frame.tag), frame.body.len()));
        }
        assert_eq!(received, [('Z', 1), ('d', large.len()), ('c', 0)]);
        let end = transport.receive().await;
        assert!(matches!(end, Err(ReplicationError::Closed)), "{end:?}");
        sending.await.expect("all sent");
    }

    #[tokio::test]
    async fn a_length_that_cannot_be_is_refused_before_memory_is_taken() {
        for length in [0_u32, 3, 0x4000_0001, u32::MAX] {
            let (mut transport, mut far) = Transport::pair(1024 * 1024);
            far.write_all(&[&b"d"[..], &length.to_be_bytes()].concat()).await.expect("room");
            let refused = transport.receive().await;
            assert!(matches!(refused, Err(ReplicationError::Protocol(_))), "{length}: {refused:?}");
        }
        let (mut transport, mut far) = Transport::pair(1024 * 1024);
        far.write_all(&[&b"d"[..], &0x4000_0000_u32.to_be_bytes()].concat()).await.expect("room");
        drop(far);
        assert!(matches!(transport.receive().await, Err(ReplicationError::Closed)));
        assert!(transport.input.capacity() <= 2 * READ_BUFFER_BYTES, "{}", transport.input.capacity());
    }
}
