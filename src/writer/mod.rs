//! Owns every write to agent state.
//!
//! Writes wait in a queue of the actor's own, because a mailbox makes senders wait where it should refuse them. One flush
//! is in flight at a time, and everything that waited meanwhile goes into the next transaction (group commit): one
//! commit of the disk for many writes, in the order in which they came. A write is answered after its commit.
//!
//! A caller that goes away takes nothing with it: a write that was queued is done, whether or not its answer is read.

use std::collections::VecDeque;

use actix::fut::wrap_future;
use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, ResponseFuture};
use tokio::sync::oneshot;
use tracing::{debug, error};

use crate::config::WriterConfig;
use crate::db::Database;

mod apply;
mod batch;
mod command;

pub use command::{Command, NewMessage, NewPart, NewSession, Rows, SnapshotAt, WriteError, Written};

/// Handling a message only moves it to the queue, so the mailbox is empty but for what arrives in the same instant.
const MAILBOX: usize = 256;

/// The actor.
pub struct Writer {
    database: Database,
    config: WriterConfig,
    /// At most `config.queue_length`.
    queue: VecDeque<Waiting>,
    flushing: bool,
    /// A stop was asked for: no more writes are taken.
    closed: bool,
    /// Told when nothing waits and nothing is in flight.
    draining: Vec<oneshot::Sender<()>>,
}

struct Waiting {
    command: Command,
    answer: Answer,
}

type Answer = oneshot::Sender<Result<Written, WriteError>>;

impl Writer {
    /// A Writer with an empty queue; start it on an arbiter that outlives the HTTP server's workers.
    pub fn new(database: Database, config: WriterConfig) -> Self {
        Self { database, config, queue: VecDeque::new(), flushing: false, closed: false, draining: Vec::new() }
    }

    /// Puts a write at the end of the queue, or refuses it.
    fn enqueue(&mut self, command: Command, answer: Answer) {
        let refusal = if self.closed {
            Some(WriteError::Unavailable)
        } else if self.queue.len() >= self.config.queue_length {
            Some(WriteError::Busy)
        } else {
            None
        };
        match refusal {
            // A caller that has gone does not hear it.
            Some(refusal) => {
                let _ = answer.send(Err(refusal));
            }
            None => self.queue.push_back(Waiting { command, answer }),
        }
    }

    /// Takes what waits into one transaction, unless one is in flight.
    fn flush(&mut self, context: &mut Context<Self>) {
        if self.flushing {
            return;
        }
        if self.queue.is_empty() {
            for drained in self.draining.drain(..) {
                // Whoever asked may have gone.
                let _ = drained.send(());
            }
            return;
        }
        self.flushing = true;
        let taken = self.queue.len().min(self.config.max_batch.max(1));
        let (commands, answers) = self.queue.drain(..taken).map(|waiting| (waiting.command, waiting.answer)).unzip();
        let flush = flush(self.database.clone(), commands, answers);
        context.spawn(wrap_future(flush).map(|(), writer: &mut Self, context| {
            writer.flushing = false;
            writer.flush(context);
        }));
    }
}

/// Writes a batch and answers each of its writes.
async fn flush(database: Database, commands: Vec<Command>, answers: Vec<Answer>) {
    debug!(writes = commands.len(), "flushing");
    // A task of its own, so that a panic costs its batch and not the Writer.
    match tokio::spawn(async move { batch::write(&database, &commands).await }).await {
        Ok(results) => {
            for (answer, result) in answers.into_iter().zip(results) {
                let _ = answer.send(result);
            }
        }
        Err(panic) => {
            error!(%panic, "a batch of writes panicked");
            for answer in answers {
                let _ = answer.send(Err(WriteError::OutcomeUnknown));
            }
        }
    }
}

impl Actor for Writer {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX);
    }
}

/// A write. Answered after its commit; the order of writes to one session is the order in which they were sent.
#[derive(Message)]
#[rtype(result = "Result<Written, WriteError>")]
pub struct Write(pub Command);

impl Handler<Write> for Writer {
    type Result = ResponseFuture<Result<Written, WriteError>>;

    fn handle(&mut self, Write(command): Write, context: &mut Self::Context) -> Self::Result {
        let (answer, answered) = oneshot::channel();
        self.enqueue(command, answer);
        self.flush(context);
        Box::pin(async { answered.await.unwrap_or(Err(WriteError::OutcomeUnknown)) })
    }
}

/// Refuses writes from now on, and answers when all that were taken are done.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Drain;

impl Handler<Drain> for Writer {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, context: &mut Self::Context) -> Self::Result {
        let (drained, done) = oneshot::channel();
        self.closed = true;
        self.draining.push(drained);
        self.flush(context);
        // The sender is dropped only with the actor, and then there is nothing to wait for either.
        Box::pin(async { done.await.unwrap_or_default() })
    }
}
