//! A shape answer as HTTP: its headers as they are, its body with a length or in chunks.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BodyStream, BoxBody, MessageBody, SizedStream};
use actix_web::http::{Method, StatusCode};
use bytes::Bytes;

use crate::shape::{Answer, Body};

#[cfg(test)]
mod tests;

/// A connection copies whatever it is given into its buffer: a reader that takes nothing holds one piece.
const PIECE_BYTES: usize = 32 * 1024;

/// Prints an answer to a request of this method.
///
/// HEAD gets the headers of GET, with the length that the body would have, and the body is dropped unread.
/// A stream that fails cuts its connection: the reader must see that the body has no end.
pub fn respond(method: &Method, answer: Answer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    for header in answer.headers {
        response.insert_header(header);
    }
    if matches!(&answer.body, Body::Stream(_)) {
        // A proxy that collects a stream makes its readers wait, for nothing, until it ends.
        response.insert_header(("x-accel-buffering", "no"));
    }
    if status == StatusCode::NOT_MODIFIED {
        // A length here would be that of the answer which the caller has.
        return response.body(BoxBody::new(actix_web::body::None::new()));
    }
    response.body(sent_body(method, answer.body))
}

/// The same, and keeps `held` until the body has been taken by the connection, or given up.
pub fn respond_holding(method: &Method, answer: Answer, held: impl Unpin + 'static) -> HttpResponse {
    respond(method, answer).map_body(|_, body| BoxBody::new(Holding { body, _held: held }))
}

fn sent_body(method: &Method, body: Body) -> BoxBody {
    match body {
        Body::Empty => BoxBody::new(()),
        _ if method == Method::HEAD => BoxBody::new(Unsent(size_of_body(&body))),
        Body::Full(bytes) if bytes.len() > PIECE_BYTES => BoxBody::new(Slices { length: bytes.len(), rest: bytes }),
        Body::Full(bytes) => BoxBody::new(bytes),
        Body::Pieces { length, pieces } => BoxBody::new(SizedStream::new(length, pieces)),
        Body::Stream(pieces) => BoxBody::new(BodyStream::new(pieces)),
    }
}

fn size_of_body(body: &Body) -> BodySize {
    match body {
        Body::Empty => BodySize::ZERO,
        Body::Full(bytes) => BodySize::Sized(bytes.len() as u64),
        Body::Pieces { length, .. } => BodySize::Sized(*length),
        Body::Stream(_) => BodySize::Stream,
    }
}

/// The body of an answer to HEAD: a size without bytes.
struct Unsent(BodySize);

impl MessageBody for Unsent {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}

/// A large body, handed over as the connection takes it.
struct Slices {
    length: usize,
    rest: Bytes,
}

impl MessageBody for Slices {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.length as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let piece = self.rest.len().min(PIECE_BYTES);
        Poll::Ready((piece > 0).then(|| Ok(self.rest.split_to(piece))))
    }
}

/// A body with something that lives as long as it does.
struct Holding<T> {
    body: BoxBody,
    _held: T,
}

impl<T: Unpin> MessageBody for Holding<T> {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
