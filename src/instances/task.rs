//! The task that owns the connection: it connects, listens, hands on what it hears, and begins anew when that ends.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt, pin_mut, stream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{AsyncMessage, Error};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::chunk::{Chunk, Kind};
use super::heard::Heard;
use super::link::Link;
use super::{Inner, InstanceId};
use crate::postgres::{Postgres, reason};

/// Pauses between attempts to connect; each is up to half shorter, so that many instances do not come at once.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MOST: Duration = Duration::from_secs(10);
/// A connection that has lasted for this long was a good one: the next attempt comes soon.
const GOOD: Duration = Duration::from_secs(10);
/// For a connection to begin to listen.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);
/// For one answer. Whoever asked waits for about a second.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Answers in the making. One more question is not answered: its asker counts this instance among the missing.
const MAX_ANSWERS: usize = 32;

/// Keeps this instance reachable until `stop`.
pub async fn run(inner: Arc<Inner>, postgres: Postgres, stop: CancellationToken) {
    let mut pause = PAUSE;
    loop {
        let began = Instant::now();
        let ended = stop.run_until_cancelled(connected(&inner, &postgres)).await;
        *inner.link.lock() = None;
        inner.asks.end();
        let Some(cause) = ended else { return };
        if began.elapsed() > GOOD {
            pause = PAUSE;
        }
        debug!(instance.id = %inner.id, cause, "no connection to the other instances");
        if stop.run_until_cancelled(sleep(pause.mul_f64(rand::random_range(0.5..1.0)))).await.is_none() {
            return;
        }
        pause = (pause * 2).min(PAUSE_MOST);
    }
}

/// One connection, from its beginning to its end; returns why it ended.
async fn connected(inner: &Arc<Inner>, postgres: &Postgres) -> String {
    let mut config = postgres.config().clone();
    config.application_name("plue-sync (about to listen)");
    let (client, mut connection) = match config.connect(postgres.tls()).await {
        Ok(connected) => connected,
        Err(error) => return reason(&error),
    };
    let link = Link::new(client);
    let messages = stream::poll_fn(move |context| connection.poll_message(context));
    pin_mut!(messages);
    let listening = timeout(LISTEN_TIMEOUT, link.listen(&inner.id));
    let begun = tokio::select! {
        begun = listening => begun,
        // Nothing is heard yet: whatever it is, it ends the connection, or says nothing.
        cause = until_end(&mut messages) => return cause,
    };
    match begun {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return reason(&error),
        Err(_) => return "Postgres does not answer".to_owned(),
    }
    *inner.link.lock() = Some(link.clone());
    info!(instance.id = %inner.id, "this is instance {}", inner.id);
    let cause = listen(inner, &link, &mut messages).await;
    info!(instance.id = %inner.id, cause, "the connection to the other instances has ended");
    cause
}

async fn until_end(messages: &mut (impl Stream<Item = Result<AsyncMessage, Error>> + Unpin)) -> String {
    loop {
        match messages.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return reason(&error),
            None => return "it was closed".to_owned(),
        }
    }
}

/// Hands on what is heard until the connection ends. Answers are made beside it, and end with it.
///
/// In order of priority: answers that are ready, which make room; and then what is heard, which may always be more.
async fn listen(
    inner: &Arc<Inner>,
    link: &Link,
    messages: &mut (impl Stream<Item = Result<AsyncMessage, Error>> + Unpin),
) -> String {
    let mut heard = Heard::default();
    let mut answers = JoinSet::new();
    loop {
        let message = tokio::select! {
            biased;
            Some(_) = answers.join_next() => continue,
            message = messages.next() => message,
        };
        let notification = match message {
            Some(Ok(AsyncMessage::Notification(notification))) => notification,
            Some(Ok(_)) => continue,
            Some(Err(error)) => return reason(&error),
            None => return "it was closed".to_owned(),
        };
        // Anybody may say anything on a channel.
        let Some(chunk) = Chunk::parse(notification.payload()) else { continue };
        match chunk.kind {
            Kind::Reply => inner.asks.add(&chunk),
            // Its own it has answered already.
            Kind::Question if chunk.from == inner.id => {}
            Kind::Question => {
                if let Some(question) = heard.add(&chunk, Instant::now())
                    && answers.len() < MAX_ANSWERS
                {
                    answers.spawn(answer(Arc::clone(inner), link.clone(), chunk.from, chunk.question, question));
                }
            }
        }
    }
}

async fn answer(inner: Arc<Inner>, link: Link, from: InstanceId, question: Uuid, text: String) {
    let made = async {
        let reply = (inner.answer)(text).await;
        match Chunk::split(Kind::Reply, question, &inner.id, &reply) {
            Some(chunks) => link.reply(&from, &chunks).await,
            None => {
                warn!(bytes = reply.len(), "a reply to instance {from} is too long and is not sent");
                Ok(())
            }
        }
    };
    match timeout(ANSWER_TIMEOUT, made).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(cause = reason(&error), "a reply to instance {from} could not be sent"),
        Err(_) => debug!("a reply to instance {from} was not ready in time"),
    }
}
