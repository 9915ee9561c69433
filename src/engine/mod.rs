//! The embedded shape engine: Postgres changes in, shape logs out.
//!
//! ```text
//! Postgres ─► replication ─► collector ─► filter ─► log ─► readers
//!     ▲                          │                   └──► store (journal, log files, catalogue)
//!     └── the position that is on disk ◄─────────────────────┘
//!
//! request ─► answer ─► catalog: the shape's log ─► read after an offset, or wait for its signal
//!                         └─ new ─► snapshot ─► collector (where the stream takes over)
//! ```

mod answer;
mod body;
pub mod casing;
mod catalog;
mod collector;
pub mod definition;
mod definitions;
mod delete;
mod entry;
mod events;
pub mod filter;
mod inventory;
mod log;
mod pool;
mod progress;
mod publication;
mod read;
mod reconcile;
pub mod replication;
pub mod schema;
mod session;
mod shape;
mod snapshot;
mod state;
mod store;
mod subquery;
mod subset;
pub mod tables;
mod usage;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admission::Permit;
use crate::config::EngineConfig;
use crate::postgres::Postgres;
use crate::shape::{Admission, Answer, Deletion, Handle, Health, ShapeRequest};
use collector::Collector;
use replication::Publishing;
use session::Sessions;
use shape::Files;
use state::State;

pub use inventory::ShapeInfo;
pub use progress::{ProgressError, ReplicationInfo};
pub use session::EngineError;

/// A running engine. Clones are the same engine.
#[derive(Debug, Clone)]
pub struct Engine {
    state: Arc<State>,
}

/// Ends an engine.
#[derive(Debug)]
pub struct Running {
    state: Arc<State>,
    stop: CancellationToken,
    sessions: JoinHandle<Result<(), EngineError>>,
}

impl Engine {
    /// Starts an engine on the current runtime, which must be a multi-thread one.
    ///
    /// `replication` is where changes come from, `queries` where snapshots are read. Returns at once; whether
    /// the engine follows Postgres is told by [`Engine::health`].
    ///
    /// # Errors
    /// The settings do not fit together.
    pub fn start(
        config: &EngineConfig,
        replication: Postgres,
        queries: Postgres,
    ) -> Result<(Self, Running), EngineError> {
        let (collector, commands) = Collector::new();
        let state = Arc::new(State::new(config, queries, replication.clone(), collector)?);
        let stop = CancellationToken::new();
        let sessions = Sessions {
            postgres: replication,
            stream_id: config.stream_id.clone(),
            publishing: if config.manual_publishing { Publishing::Manual } else { Publishing::Automatic },
            files: Files::new(&config.storage_dir),
            state: Arc::clone(&state),
            commands,
            stop: stop.clone(),
            reconcile_interval: config.reconcile_interval,
        };
        let sessions = tokio::spawn(sessions.run());
        Ok((Self { state: Arc::clone(&state) }, Running { state, stop, sessions }))
    }

    /// An engine that nothing runs: every request finds it starting, for a millisecond.
    #[cfg(test)]
    pub fn idle(limits: [usize; 2], allow_delete: bool) -> Self {
        let mut config = crate::config::Config::load(None, &Default::default()).expect("the defaults").engine;
        [config.max_initial_requests, config.max_existing_requests] = limits;
        (config.allow_delete, config.ready_timeout) = (allow_delete, Duration::from_millis(1));
        let nowhere = Postgres::from_url("postgresql://nobody@127.0.0.1:1/none").expect("a valid address");
        let (collector, _) = Collector::new();
        Self {
            state: Arc::new(
                State::new(&config, nowhere.clone(), nowhere, collector).expect("settings that fit together"),
            ),
        }
    }

    /// A place among the requests that are answered, for one that gives this handle.
    ///
    /// # Errors
    /// The answer to a request that is one too many.
    pub fn admit(&self, handle: Option<&Handle>) -> Result<Permit, Answer> {
        let known = handle
            .is_some_and(|handle| self.state.catalog().is_some_and(|catalog| catalog.find_by_handle(handle).is_some()));
        self.state.admissions.admit(if known { Admission::Existing } else { Admission::Initial })
    }

    /// The answer to a shape request; of a live one, once there is something to say.
    pub async fn answer(&self, request: &ShapeRequest, permit: &mut Permit) -> Answer {
        answer::answer(&self.state, request, permit).await
    }

    /// Whether shapes may be deleted, and can be just now.
    ///
    /// # Errors
    /// The answer, if not.
    pub async fn may_delete(&self) -> Result<(), Answer> {
        self.state.active().await?;
        if self.state.allow_delete { Ok(()) } else { Err(Answer::delete_not_allowed()) }
    }

    /// Ends a shape.
    pub async fn delete(&self, deletion: Deletion) -> Answer {
        delete::delete(&self.state, &deletion).await
    }

    /// The shapes that there are, oldest first: at most `limit`, after the one of the number `after`.
    pub fn shapes_after(&self, after: Option<u64>, limit: usize) -> Vec<ShapeInfo> {
        inventory::shapes_after(&self.state, after, limit)
    }

    /// Ends the shape of a handle, whether or not requests may delete shapes; false if there is none.
    pub async fn end_shape(&self, handle: &Handle) -> bool {
        inventory::end(&self.state, handle).await
    }

    /// Where the replication stream is. Takes half a second at most where it is behind.
    ///
    /// # Errors
    /// Postgres cannot be asked.
    pub async fn replication(&self) -> Result<ReplicationInfo, ProgressError> {
        progress::replication(&self.state).await
    }

    /// Frees memory of shapes that nobody waits for; they are read from their files when somebody comes again.
    pub fn release(&self, handles: &[Handle]) {
        inventory::release(&self.state, handles);
    }

    /// Whether shapes are served and follow Postgres.
    pub fn health(&self) -> Health {
        self.state.health()
    }
}

impl Running {
    /// Ends all live answers: held requests are answered, streams end. New ones are not held any more.
    pub fn end_readers(&self) {
        self.state.end_readers.cancel();
    }

    /// Completes when the engine has failed for good.
    pub async fn failed(&mut self) -> EngineError {
        match (&mut self.sessions).await {
            Ok(Err(error)) => error,
            // It ends without an error only after `stop`.
            Ok(Ok(())) | Err(_) => EngineError::Stopped,
        }
    }

    /// Stores and confirms what has been applied, and ends. Gives up after `limit`.
    pub async fn stop(self, limit: Duration) {
        self.end_readers();
        self.stop.cancel();
        if tokio::time::timeout(limit, self.sessions).await.is_err() {
            tracing::warn!("the engine did not end in time; the next start finds everything again");
        }
    }
}
