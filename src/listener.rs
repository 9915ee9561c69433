//! One HTTP server on one address: HTTP/1.1, and HTTP/2 by prior knowledge; with a certificate, both inside TLS, by ALPN.
//!
//! ```text
//! socket ─► Guarded (counts what the reader does not take) ─► TLS, if there is any ─┬─► actix' HTTP/1 ─► application
//!                                                                                   └─► http2         ─► application
//! ```
//! A reader that takes nothing is not noticed above: a body whose connection is full is not asked for more. So it is
//! judged here, by its socket, or by its stream of an HTTP/2 connection: whoever takes no byte for the patience of the
//! listener, while there are some to take, is cut off. How that looks from above is the [`Outlet`] of a request.

mod connection;
mod guarded;
mod http2;
mod outlet;
#[cfg(test)]
mod tests;
mod tls;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use actix_http::{HttpService, Request};
use actix_server::{Server, ServerHandle};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_factory, fn_service, map_config,
};
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, ServiceResponse};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

pub use outlet::Outlet;
pub use tls::{BadCertificate, Tls};

use connection::Connection;

use guarded::Guarded;
use http2::Http2;

/// How long requests in flight may take after a stop was asked for.
const GRACE_SECONDS: u64 = 1;
/// Connections that the system holds until they are accepted: a crowd of readers comes back at once after a restart.
const BACKLOG: i32 = 2048;
/// How long a connection may take to begin a request.
const FIRST_BYTES: Duration = Duration::from_secs(5);
/// Bytes of a response that the system takes and has not sent yet. More would only hide that a reader does not take them.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_BYTES: u32 = 128 * 1024;
/// What an HTTP/2 connection begins with, as far as one look at its first bytes can tell.
const HTTP2_PREFACE: [u8; 12] = *b"PRI * HTTP/2";

/// A server that answers requests.
pub struct Listener {
    address: SocketAddr,
    handle: ServerHandle,
    ended: JoinHandle<io::Result<()>>,
    is_tls: bool,
    /// Ends with it.
    _certificate: Option<AbortOnDropHandle<()>>,
}

impl Listener {
    /// Listens on an address and serves one application per thread. To be called inside an actix system.
    ///
    /// Readers that take no byte for `patience` while there are some to take are cut off. With `tls`, nothing else is spoken.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub fn start<F, I, S, B>(
        address: SocketAddr,
        patience: Duration,
        tls: Option<Tls>,
        application: F,
    ) -> io::Result<Self>
    where
        F: Fn() -> I + Send + Clone + 'static,
        I: IntoServiceFactory<S, Request>,
        S: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse<B>, Error = Error, InitError = ()>,
        S: 'static,
        <S::Service as Service<Request>>::Future: 'static,
        B: MessageBody + 'static,
    {
        let socket = listen(address)?;
        let address = socket.local_addr()?;
        let server = Server::build().disable_signals().shutdown_timeout(GRACE_SECONDS);
        let stopping = server.graceful_shutdown_signal();
        let is_tls = tls.is_some();
        let certificate = tls.as_ref().map(|tls| AbortOnDropHandle::new(tls.keep_reading()));
        let connections = move || {
            let (application, stopping, tls) = (application.clone(), stopping.clone(), tls.clone());
            fn_factory(move || {
                let make = || {
                    let service = application().into_factory().map_err(|error: Error| error.error_response());
                    map_config(service, |()| AppConfig::default())
                };
                let (stopping, stopping_http2) = (stopping.clone(), stopping.clone());
                let http1 = HttpService::build()
                    .graceful_shutdown_signal(move || {
                        let stopping = stopping.clone();
                        async move { stopping.notified().await }
                    })
                    .client_request_timeout(FIRST_BYTES)
                    .client_disconnect_timeout(Duration::from_secs(1))
                    // Otherwise a client that has gone is not noticed while it waits for an answer.
                    .h1_allow_half_closed(false)
                    .on_connect_ext(|connection: &Connection, data| {
                        data.insert(connection.outlet());
                    })
                    .h1(make())
                    .new_service(());
                let http2 = make().new_service(());
                let tls = tls.clone();
                async move {
                    let (http1, http2) = (Rc::new(http1.await?), Http2::new(http2.await?, patience, stopping_http2));
                    Ok::<_, ()>(fn_service(move |socket: TcpStream| {
                        let (http1, http2, tls) = (Rc::clone(&http1), http2.clone(), tls.clone());
                        async move {
                            let peer = socket.peer_addr().ok();
                            let begun = match tls {
                                // Boxed: each connection would keep room for what only its beginning needs.
                                Some(tls) => Box::pin(tls.accept(prepared(socket, patience))).await,
                                None => begin(socket, patience).await,
                            };
                            let Some((connection, is_http2)) = begun else { return Ok::<_, ()>(()) };
                            // How a connection ends is its client's business.
                            if is_http2 {
                                // Boxed: each HTTP/1 connection would keep room for it.
                                Box::pin(http2.serve(connection, peer)).await;
                            } else {
                                let _ = http1.call((connection, peer)).await;
                            }
                            Ok(())
                        }
                    }))
                }
            })
        };
        let server = server.listen(address.to_string(), socket, connections)?.run();
        let (handle, ended) = (server.handle(), actix_web::rt::spawn(server));
        Ok(Self { address, handle, ended, is_tls, _certificate: certificate })
    }

    /// How to reach it: `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.is_tls { "https" } else { "http" }
    }

    /// Where it listens; tells the port where that was left open.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new connections. Before readers are sent away: those who come back at once would be accepted and then dropped.
    pub async fn refuse(&self) {
        self.handle.pause().await;
    }

    /// Takes no new requests and waits for those in flight.
    pub async fn stop(self) {
        self.handle.stop(true).await;
        // It has ended already if there is nobody to tell us so.
        let _ = self.ended.await;
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a server that has just ended must not keep the next one from its port.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Readies a new connection.
fn prepared(socket: TcpStream, patience: Duration) -> Guarded<TcpStream> {
    // Without these it works as well, only not as well.
    let _ = socket.set_nodelay(true);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT_BYTES);
    Guarded::new(socket, patience)
}

/// Begins a connection without TLS, and says whether it speaks HTTP/2; `None` if it says nothing.
async fn begin(socket: TcpStream, patience: Duration) -> Option<(Connection, bool)> {
    let mut first = [0; HTTP2_PREFACE.len()];
    match timeout(FIRST_BYTES, socket.peek(&mut first)).await {
        Ok(Ok(1..)) => Some((Connection::Plain(prepared(socket, patience)), first == HTTP2_PREFACE)),
        _ => None,
    }
}
