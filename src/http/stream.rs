//! A shape answer as HTTP: its headers as they are, its body with a length or in chunks.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BodyStream, BoxBody, MessageBody};
use actix_web::http::{Method, StatusCode};
use bytes::Bytes;

use crate::shape::{Answer, Body};

#[cfg(test)]
mod tests;

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
    response.body(sent_body(method, answer.body))
}

fn sent_body(method: &Method, body: Body) -> BoxBody {
    match body {
        Body::Empty => BoxBody::new(()),
        _ if method == Method::HEAD => BoxBody::new(Unsent(size_of_body(&body))),
        Body::Full(bytes) => BoxBody::new(bytes),
        Body::Stream(stream) => BoxBody::new(BodyStream::new(stream)),
    }
}

fn size_of_body(body: &Body) -> BodySize {
    match body {
        Body::Empty => BodySize::ZERO,
        Body::Full(bytes) => BodySize::Sized(bytes.len() as u64),
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
