//! The other processes on the same Postgres: a question asked here is answered by all of them.
//!
//! ```text
//! ask ──► own answer ────────────────────────────────────────────────────────────┐
//!  └───► who is alive (pg_stat_activity) ──► NOTIFY, the channel of all           ├──► Answers
//!            every other instance ──► its answer ──► NOTIFY, the asker's channel ─┘
//! ```
//!
//! Each process has one connection that listens, and is named by it: whoever is in `pg_stat_activity` is alive, and nothing is
//! stored. What is asked and answered means nothing here. NOTIFY belongs to one database, so that deployments in two
//! databases of a server do not hear each other.
//!
//! Whoever may connect to the database can listen, and can ask: no secret belongs into a question or a reply.

mod asked;
mod chunk;
mod heard;
mod id;
mod link;
mod task;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::postgres::Postgres;
use asked::Asks;
use chunk::{Chunk, Kind};
use link::Link;

pub use id::InstanceId;

/// Questions of this process at once; more wait. Each may hold a reply of every instance.
const MAX_ASKS: usize = 16;

/// What an instance answers, as JSON without U+0000: at most [`MAX_REPLY_BYTES`], or the asker gets nothing.
pub type Reply = String;
/// What is asked, as JSON without U+0000: at most [`MAX_QUESTION_BYTES`], or only the asker's own process hears it.
pub type Question = String;

pub use chunk::{MAX_QUESTION_BYTES, MAX_REPLY_BYTES};

/// The instances of this deployment. Clones are the same.
#[derive(Debug, Clone)]
pub struct Instances {
    inner: Arc<Inner>,
}

/// Ends the part of this instance in it.
#[derive(Debug)]
pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// What came of a question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// Each instance that replied: this one first, the others by age.
    pub replies: Vec<(InstanceId, Reply)>,
    /// Instances that are alive and did not reply in time; by age.
    pub missing: Vec<InstanceId>,
    /// Postgres was away, at the start or before all had replied: there may be others, of whom nothing is known.
    pub unreachable: bool,
}

struct Inner {
    id: InstanceId,
    answer: Box<dyn Fn(Question) -> BoxFuture<'static, Reply> + Send + Sync>,
    /// The connection, while there is one that listens.
    link: Mutex<Option<Link>>,
    asks: Asks,
    turns: Semaphore,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("id", &self.id).field("link", &self.link).finish_non_exhaustive()
    }
}

impl Instances {
    /// Makes this process one of the instances, under a new id, on the current runtime, which must be a multi-thread one.
    ///
    /// `postgres` must be the server itself: a pooler that gives a connection to others between transactions does not
    /// listen. `answer` gives this instance's answer to whatever is asked, by whomever.
    pub fn start(
        postgres: Postgres,
        answer: impl Fn(Question) -> BoxFuture<'static, Reply> + Send + Sync + 'static,
    ) -> (Self, Running) {
        let inner = Arc::new(Inner {
            id: InstanceId::generate(),
            answer: Box::new(answer),
            link: Mutex::new(None),
            asks: Asks::default(),
            turns: Semaphore::new(MAX_ASKS),
        });
        let stop = CancellationToken::new();
        let task = tokio::spawn(task::run(Arc::clone(&inner), postgres, stop.clone()));
        (Self { inner }, Running { stop, task })
    }

    /// The id of this process.
    pub fn id(&self) -> &InstanceId {
        &self.inner.id
    }

    /// Whether the other instances can be asked just now.
    pub fn is_connected(&self) -> bool {
        self.inner.link.lock().is_some()
    }

    /// Asks all instances, this one among them, and waits until all that are alive have replied, for at most `limit`.
    ///
    /// Without a connection to Postgres this one answers alone, and nothing is waited for. Dropping the future forgets the question.
    pub async fn ask(&self, question: Question, limit: Duration) -> Answers {
        let deadline = Instant::now() + limit;
        let own = timeout_at(deadline, (self.inner.answer)(question.clone()));
        let (own, mut answers) = tokio::join!(own, self.inner.ask_others(&question, deadline));
        let id = self.inner.id;
        match own {
            Ok(reply) => answers.replies.insert(0, (id, reply)),
            Err(_) => answers.missing.insert(0, id),
        }
        answers
    }
}

impl Running {
    /// Ends the task and closes its connection: from now on this instance asks and answers for itself alone.
    pub async fn stop(self) {
        self.stop.cancel();
        // It has nothing to finish. A panic in it was logged when it happened.
        let _ = self.task.await;
    }
}

impl Inner {
    async fn ask_others(&self, question: &str, deadline: Instant) -> Answers {
        let alone = Answers { unreachable: true, ..Answers::default() };
        let Some(link) = self.link.lock().clone() else { return alone };
        let Ok(Ok(_turn)) = timeout_at(deadline, self.turns.acquire()).await else { return alone };
        let Ok(Ok(others)) = timeout_at(deadline, link.others(&self.id)).await else { return alone };
        let mut asked = self.asks.begin(&others);
        let Some(chunks) = Chunk::split(Kind::Question, asked.id(), &self.id, question) else {
            return Answers { missing: others, ..Answers::default() };
        };
        let mut answers = Answers::default();
        if !others.is_empty() && !matches!(timeout_at(deadline, link.ask(&chunks)).await, Ok(Ok(()))) {
            return Answers { missing: others, ..alone };
        }
        while answers.replies.len() < others.len() {
            match timeout_at(deadline, asked.reply()).await {
                Ok(Some(reply)) => answers.replies.push(reply),
                Ok(None) => {
                    answers.unreachable = true;
                    break;
                }
                Err(_) => break,
            }
        }
        answers.replies.sort_unstable_by_key(|(from, _)| *from);
        let has_replied = |id: &InstanceId| answers.replies.iter().any(|(from, _)| from == id);
        answers.missing = others.into_iter().filter(|id| !has_replied(id)).collect();
        answers
    }
}
