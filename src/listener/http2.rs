//! HTTP/2, by prior knowledge or ALPN, on the same application. Our own loop, because that of actix gives nobody a hold on a
//! stream: one whose reader takes nothing would stay for as long as its connection, with all that it holds.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use actix_http::body::{BodySize, MessageBody};
use actix_http::header::{HttpDate, TryIntoHeaderValue};
use actix_http::{HttpMessage, Payload, Request, Response};
use actix_server::GracefulShutdownSignal;
use actix_service::Service;
use actix_web::HttpResponse;
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use actix_web::http::{Method, StatusCode, Version};
use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use h2::server::{Builder, SendResponse};
use h2::{Ping, PingPong, Reason, RecvStream, SendStream};
use tokio::time::{Instant, sleep, timeout};

use super::FIRST_BYTES;
use super::connection::Connection;
use super::outlet::{Outlet, Patience};

/// Requests of one connection that are answered at once. A page, or a proxy for several; others open another connection.
const MAX_STREAMS: u32 = 250;
/// Bytes of one stream that wait for the socket: with all streams, what a connection that is not read can hold.
const UNSENT_BYTES: usize = 64 * 1024;
/// How long a connection may be without a request.
const IDLE: Duration = Duration::from_secs(10);
/// How often a client is asked whether it is there while its requests are held. One that has not answered until then is gone.
const PING_EVERY: Duration = Duration::from_secs(20);
/// Bytes that are handed to a stream at once.
const SLICE_BYTES: usize = 16 * 1024;
/// The headers of one request, together.
const MAX_HEADER_BYTES: u32 = 160 * 1024;

/// Serves HTTP/2 connections. Clones are the same service.
pub struct Http2<S> {
    application: Rc<S>,
    patience: Duration,
    stopping: GracefulShutdownSignal,
}

impl<S> Clone for Http2<S> {
    fn clone(&self) -> Self {
        Self { application: Rc::clone(&self.application), patience: self.patience, stopping: self.stopping.clone() }
    }
}

impl<S, B> Http2<S>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = HttpResponse> + 'static,
    B: MessageBody + 'static,
{
    pub fn new(application: S, patience: Duration, stopping: GracefulShutdownSignal) -> Self {
        Self { application: Rc::new(application), patience, stopping }
    }

    /// Answers the requests of a connection until it ends. Whatever is in progress then ends with it.
    pub async fn serve(&self, socket: Connection, peer: Option<SocketAddr>) {
        let mut settings = Builder::new();
        settings.max_concurrent_streams(MAX_STREAMS).max_header_list_size(MAX_HEADER_BYTES);
        settings.max_send_buffer_size(UNSENT_BYTES);
        let outlet = socket.outlet();
        let Ok(Ok(mut connection)) = timeout(FIRST_BYTES, settings.handshake::<_, Bytes>(socket)).await else { return };
        let mut streams = FuturesUnordered::new();
        let (mut stopping, mut is_stopping) = (pin!(self.stopping.notified()), false);
        let mut pings = connection.ping_pong();
        let (mut looked, mut is_asked) = (Box::pin(sleep(IDLE)), false);
        loop {
            // The connection before its streams: it is what moves the bytes of all of them.
            tokio::select! {
                biased;
                () = &mut stopping, if !is_stopping => {
                    is_stopping = true;
                    connection.graceful_shutdown();
                }
                accepted = connection.accept() => match accepted {
                    Some(Ok((request, respond))) => streams.push(self.answer(request, respond, peer, outlet.clone())),
                    Some(Err(_)) | None => return,
                },
                Some(()) = streams.next() => if streams.is_empty() {
                    looked.as_mut().reset(Instant::now() + IDLE);
                },
                answered = pong(&mut pings), if is_asked => match answered {
                    Ok(()) => is_asked = false,
                    Err(_) => return,
                },
                () = &mut looked => {
                    if is_asked {
                        return;
                    }
                    if streams.is_empty() {
                        connection.graceful_shutdown();
                    }
                    // Also where it is being shut down: a client that is gone does not notice that.
                    is_asked = pings.as_mut().is_some_and(|pings| pings.send_ping(Ping::opaque()).is_ok());
                    looked.as_mut().reset(Instant::now() + PING_EVERY);
                }
            }
        }
    }

    async fn answer(
        &self,
        request: http::Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
        peer: Option<SocketAddr>,
        connection: Outlet,
    ) {
        let mut patience = Patience::of_stream(connection, self.patience);
        let (parts, body) = request.into_parts();
        let is_head = parts.method == Method::HEAD;
        let mut request = Request::with_payload(Payload::from(body));
        let head = request.head_mut();
        (head.uri, head.method, head.version) = (parts.uri, parts.method, parts.version);
        (head.headers, head.peer_addr) = (parts.headers.into(), peer);
        request.extensions_mut().insert(patience.outlet());
        let answered = tokio::select! {
            biased;
            answered = self.application.call(request) => answered,
            // The client does not want it any more.
            _ = poll_fn(|context| respond.poll_reset(context)) => return,
        };
        match answered {
            Ok(response) => send(Response::from(response), respond, is_head, &mut patience).await,
            Err(refusal) => send(Response::from(refusal), respond, is_head, &mut patience).await,
        }
    }
}

/// Completes when the client has answered.
async fn pong(pings: &mut Option<PingPong>) -> Result<(), h2::Error> {
    match pings {
        Some(pings) => poll_fn(|context| pings.poll_pong(context)).await.map(drop),
        None => std::future::pending().await,
    }
}

async fn send<B: MessageBody>(
    response: Response<B>,
    mut respond: SendResponse<Bytes>,
    is_head: bool,
    patience: &mut Patience,
) {
    let (response, body) = response.into_parts();
    let size = body.size();
    let ends = is_head || size.is_eof();
    let Ok(mut stream) = respond.send_response(head_of(&response, size), ends) else { return };
    if ends {
        return;
    }
    let mut body = pin!(body);
    loop {
        let piece = tokio::select! {
            biased;
            _ = poll_fn(|context| stream.poll_reset(context)) => return,
            piece = poll_fn(|context| body.as_mut().poll_next(context)) => piece,
        };
        match piece {
            Some(Ok(piece)) => match deliver(piece, &mut stream, patience).await {
                Ok(()) => {}
                Err(NotTaken) => return stream.send_reset(Reason::CANCEL),
            },
            // The reader must see that the body has no end.
            Some(Err(_)) => return stream.send_reset(Reason::INTERNAL_ERROR),
            None => {
                let _ = stream.send_data(Bytes::new(), true);
                return;
            }
        }
    }
}

/// The reader has gone, or takes nothing.
struct NotTaken;

/// Sends a piece as the reader takes it.
async fn deliver(mut piece: Bytes, stream: &mut SendStream<Bytes>, patience: &mut Patience) -> Result<(), NotTaken> {
    while !piece.is_empty() {
        stream.reserve_capacity(piece.len().min(SLICE_BYTES));
        let room = poll_fn(|context| match stream.poll_capacity(context) {
            Poll::Ready(Some(Ok(room))) => Poll::Ready(Ok(room)),
            Poll::Ready(_) => Poll::Ready(Err(NotTaken)),
            Poll::Pending if patience.is_over(context) => Poll::Ready(Err(NotTaken)),
            Poll::Pending => Poll::Pending,
        });
        let room = room.await?;
        patience.flows();
        stream.send_data(piece.split_to(room.min(piece.len())), false).map_err(|_| NotTaken)?;
    }
    Ok(())
}

/// The head of a response, without what HTTP/2 says in another way.
fn head_of(response: &Response<()>, size: BodySize) -> http::Response<()> {
    let mut head = http::Response::new(());
    *head.status_mut() = response.status();
    *head.version_mut() = Version::HTTP_2;
    for (name, value) in response.headers() {
        if ![CONNECTION, TRANSFER_ENCODING, UPGRADE, CONTENT_LENGTH].contains(name) {
            head.headers_mut().append(name, value.clone());
        }
    }
    if let (BodySize::Sized(length), false) = (size, response.status() == StatusCode::NO_CONTENT) {
        head.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if !head.headers().contains_key(DATE)
        && let Ok(now) = HttpDate::from(SystemTime::now()).try_into_value()
    {
        head.headers_mut().insert(DATE, now);
    }
    head
}
