//! Passes an answer on that is not live: its head at once, its body as the reader takes it.

use std::rc::Rc;

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::{mpsc, oneshot};

use super::ask::Ask;
use super::failure::Failure;
use super::upstream::{Incoming, Upstream};
use crate::shape::{Answer, Body, BrokenStream, Pieces};

/// Pieces on their way to a reader, besides the one in hand: enough to keep both sides busy.
const PIECES: usize = 2;
/// A reader that takes nothing holds this much for each of them: a connection copies what it is given.
pub const PIECE_BYTES: usize = 32 * 1024;

/// A piece of a body, or its proper end. A channel that closes without it tells that the body broke off.
type Piece = Option<Bytes>;

/// Asks, answers, and passes the body on. Ends when the reader has left, and closes the connection then.
pub async fn exchange(upstream: Rc<Upstream>, ask: Ask, mut answer: oneshot::Sender<Answer>) {
    let exchanged = tokio::select! {
        biased;
        () = answer.closed() => return,
        exchanged = upstream.exchange(&ask) => exchanged,
    };
    match exchanged {
        // A reader that has just left does not hear it.
        Err(failure) => _ = answer.send(failure.answer()),
        Ok(incoming) => {
            let (sender, receiver) = mpsc::channel(PIECES);
            if answer.send(passed_on(&incoming, receiver)).is_ok() {
                forward(&upstream, incoming, sender).await;
            }
        }
    }
}

fn passed_on(incoming: &Incoming, body: mpsc::Receiver<Piece>) -> Answer {
    let (status, headers) = (incoming.head.status, incoming.head.headers.clone());
    let body = match incoming.length {
        _ if status == 304 => Body::Empty,
        Some(0) => Body::Empty,
        Some(length) => Body::Pieces { length, pieces: pieces(body) },
        None => Body::Stream(pieces(body)),
    };
    Answer { status, headers, body }
}

/// The reader's end of a body.
fn pieces(body: mpsc::Receiver<Piece>) -> Pieces {
    Box::pin(stream::unfold(Some(body), |body| async {
        let mut body = body?;
        match body.recv().await {
            Some(Some(bytes)) => Some((Ok(bytes), Some(body))),
            Some(None) => None,
            None => Some((Err(BrokenStream), None)),
        }
    }))
}

/// Reads only what there is room for: a reader that stalls stalls the upstream, and nobody else.
async fn forward(upstream: &Upstream, mut incoming: Incoming, reader: mpsc::Sender<Piece>) {
    loop {
        let Ok(mut place) = reader.reserve().await else { return };
        let next = tokio::select! {
            biased;
            () = reader.closed() => return,
            next = incoming.next() => next,
        };
        let mut bytes = match next {
            Some(Ok(bytes)) => bytes,
            Some(Err(_)) => return upstream.tell(Failure::Wrong("its answers break off")),
            None => return place.send(None),
        };
        while bytes.len() > PIECE_BYTES {
            place.send(Some(bytes.split_to(PIECE_BYTES)));
            let Ok(next) = reader.reserve().await else { return };
            place = next;
        }
        place.send(Some(bytes));
    }
}
