//! A shape answer as HTTP: its headers as they are, its body with a length or in chunks.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BodyStream, BoxBody, MessageBody, SizedStream};
use actix_web::http::{Method, StatusCode};
use bytes::Bytes;

use super::watch::Watch;
use crate::shape::{Answer, Body, BrokenStream};

#[cfg(test)]
mod tests;

/// A connection copies whatever it is given into its buffer: a reader that takes nothing holds one piece.
pub const PIECE_BYTES: usize = 32 * 1024;

/// Prints an answer to a request of this method.
///
/// HEAD gets the headers of GET, with the length that the body would have, and the body is dropped unread.
/// A stream that fails cuts its connection: the reader must see that the body has no end.
pub fn respond(method: &Method, answer: Answer) -> HttpResponse {
    respond_to(method, answer, (), None)
}

/// The same, and keeps `held` until the body has been taken by the connection, or given up. A `watch` is told what is
/// taken, and may end the body.
pub fn respond_to(method: &Method, answer: Answer, held: impl Unpin + 'static, watch: Option<Watch>) -> HttpResponse {
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
    let body = sent_body(method, answer.body);
    response.body(BoxBody::new(Sent { body, rest: Bytes::new(), watch, ended: false, _held: held }))
}

fn sent_body(method: &Method, body: Body) -> BoxBody {
    match body {
        Body::Empty => BoxBody::new(()),
        _ if method == Method::HEAD => BoxBody::new(Unsent(size_of_body(&body))),
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

/// A body that is handed over in pieces that are small enough, with something that lives as long as it does.
struct Sent<T> {
    body: BoxBody,
    /// What of the last piece is still to be handed over.
    rest: Bytes,
    watch: Option<Watch>,
    ended: bool,
    _held: T,
}

impl<T: Unpin> Sent<T> {
    /// What the body has next, of whatever size.
    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Box<dyn Error>>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.rest))));
        }
        let piece = ready!(Pin::new(&mut self.body).poll_next(context));
        if let (Some(watch), Some(Ok(piece))) = (&self.watch, &piece) {
            watch.passes(piece);
        }
        Poll::Ready(piece)
    }
}

impl<T: Unpin> MessageBody for Sent<T> {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(watch) = &mut self.watch
            && watch.poll_end(context).is_ready()
        {
            let is_whole = watch.may_end_anywhere();
            self.ended = true;
            return Poll::Ready((!is_whole).then(|| Err(BrokenStream.into())));
        }
        let Some(mut piece) = ready!(self.poll_body(context)).transpose()? else {
            self.ended = true;
            return Poll::Ready(None);
        };
        self.rest = piece.split_off(piece.len().min(PIECE_BYTES));
        if let Some(watch) = &self.watch {
            watch.sent(piece.len());
        }
        Poll::Ready(Some(Ok(piece)))
    }
}
