//! What requests and the collector share.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer::NOT_READY;
use super::catalog::Catalog;
use super::collector::Collector;
use super::definitions::Definitions;
use super::pool::{Connections, connections};
use super::progress::Samples;
use super::publication::Publication;
use super::reconcile::Inspector;
use super::replication::{Names, Ready};
use super::session::EngineError;
use super::shape::Files;
use super::snapshot::Context;
use super::subset::Subsets;
use super::tables::{self, Table, TableError};
use crate::admission::Admissions;
use crate::config::EngineConfig;
use crate::postgres::Postgres;
use crate::shape::{Answer, CachePolicy, Health, Lsn, TableName};

/// Where the engine stands with Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not following. Shapes that are there may be read.
    Starting,
    /// Another engine follows: what we have is out of date.
    Waiting,
    Active,
}

/// Stored shapes with subqueries that are compared with their tables at once, after a start.
const REPAIRS: usize = 4;

/// Shared by all requests.
#[derive(Debug)]
pub struct State {
    /// Where the engine's own tasks run.
    pub runtime: Handle,
    pub connections: Connections,
    pub subsets: Subsets,
    /// Where the stream comes from.
    replication: Postgres,
    pub collector: Collector,
    pub publication: Arc<Publication>,
    pub files: Files,
    pub cache: CachePolicy,
    pub sse_keep_alive: Duration,
    pub snapshot_timeout: Duration,
    pub ready_timeout: Duration,
    pub chunk_bytes: u64,
    pub memory_bytes: u64,
    pub admissions: Arc<Admissions>,
    /// Whether DELETE ends shapes.
    pub allow_delete: bool,
    /// Shapes that may be there; 0 for any number.
    pub max_shapes: usize,
    /// How long a table stays published that no shape uses.
    pub publication_keep: Duration,
    /// Everything before this position is in the logs.
    pub processed: Arc<AtomicU64>,
    /// Where Postgres was, and when.
    pub samples: Samples,
    /// Turns to compare stored shapes with their tables.
    pub repairs: Semaphore,
    /// Cancelled when live answers are to end.
    pub end_readers: CancellationToken,
    phase: watch::Sender<Phase>,
    /// Set by the first session.
    catalog: OnceLock<Arc<Catalog>>,
    /// The stream must reach this before an offset past the end of a log is wrong.
    replay_until: AtomicU64,
    /// What an operator must do before a stream can begin; empty if nothing is known.
    trouble: Mutex<String>,
    tables: Mutex<HashMap<TableName, Arc<Table>>>,
    /// What requests mean.
    pub definitions: Definitions,
}

impl State {
    /// The state of an engine that has not started.
    pub fn new(
        config: &EngineConfig,
        queries: Postgres,
        replication: Postgres,
        collector: Collector,
    ) -> Result<Self, EngineError> {
        let names = Names::new(&config.stream_id, 0).map_err(EngineError::StreamId)?;
        Ok(Self {
            runtime: Handle::current(),
            connections: connections(queries, config.pool_size),
            subsets: Subsets::new(config.pool_size),
            replication,
            collector,
            publication: Arc::new(Publication::new(names.publication, config.manual_publishing)),
            files: Files::new(&config.storage_dir),
            cache: config.cache_policy(),
            sse_keep_alive: config.sse_keep_alive,
            snapshot_timeout: config.snapshot_timeout,
            ready_timeout: config.ready_timeout,
            chunk_bytes: config.chunk_bytes,
            memory_bytes: config.memory_bytes,
            admissions: Admissions::new(config.max_initial_requests, config.max_existing_requests),
            allow_delete: config.allow_delete,
            max_shapes: config.max_shapes,
            publication_keep: config.publication_keep,
            processed: Arc::default(),
            samples: Samples::default(),
            repairs: Semaphore::new(REPAIRS),
            end_readers: CancellationToken::new(),
            phase: watch::Sender::new(Phase::Starting),
            catalog: OnceLock::new(),
            replay_until: AtomicU64::new(u64::MAX),
            trouble: Mutex::default(),
            tables: Mutex::default(),
            definitions: Definitions::default(),
        })
    }

    /// Another engine follows; true if that is new.
    pub fn set_waiting(&self) -> bool {
        self.phase.send_replace(Phase::Waiting) != Phase::Waiting
    }

    /// There is no stream; true if that is new. Whoever waited for another engine goes on waiting: what we
    /// have is out of date until a stream begins.
    pub fn set_starting(&self) -> bool {
        self.phase.send_if_modified(|phase| {
            let was_active = *phase == Phase::Active;
            if was_active {
                *phase = Phase::Starting;
            }
            was_active
        })
    }

    /// What health checks are told.
    pub fn health(&self) -> Health {
        match *self.phase.borrow() {
            Phase::Starting => Health::Starting,
            Phase::Waiting => Health::Waiting,
            Phase::Active => Health::Active,
        }
    }

    /// A stream has begun that continues the logs of `catalog`.
    pub fn begin_stream(&self, ready: &Ready, catalog: &Arc<Catalog>) {
        self.catalog.get_or_init(|| Arc::clone(catalog));
        self.replay_until.store(ready.wal_end.0, Ordering::Release);
        // It may be another server, or another history of it.
        self.samples.restart();
        self.samples.note(ready.wal_end, Instant::now());
        self.trouble.lock().clear();
        self.phase.send_replace(Phase::Active);
    }

    /// The shapes, once there are any to be asked for, or `Err` with the answer to
    /// who asks.
    ///
    /// Waits for the first session, at most [`State::ready_timeout`].
    pub async fn ready(&self) -> Result<&Arc<Catalog>, Answer> {
        self.once(|phase| *phase == Phase::Active || (*phase == Phase::Starting && self.catalog.get().is_some())).await
    }

    /// The same, but only while the stream is followed.
    pub async fn active(&self) -> Result<&Arc<Catalog>, Answer> {
        self.once(|phase| *phase == Phase::Active).await
    }

    async fn once(&self, usable: impl FnMut(&Phase) -> bool) -> Result<&Arc<Catalog>, Answer> {
        let mut phase = self.phase.subscribe();
        let waited = tokio::time::timeout(self.ready_timeout, phase.wait_for(usable)).await;
        let reason = match (waited, self.catalog.get()) {
            (Ok(Ok(_)), Some(catalog)) => return Ok(catalog),
            _ if self.health() == Health::Waiting => "Timeout waiting for Postgres lock acquisition",
            _ => "Timeout waiting for replication client to be ready",
        };
        Err(Answer::unavailable(&self.not_ready(reason), NOT_READY, false))
    }

    /// The shapes, if the first session has found them.
    pub fn catalog(&self) -> Option<&Arc<Catalog>> {
        self.catalog.get()
    }

    /// The position up to which the logs are complete.
    pub fn processed(&self) -> Lsn {
        Lsn(self.processed.load(Ordering::Acquire))
    }

    /// Whether the stream is still on its way to where Postgres stood when it began.
    pub fn is_replaying(&self) -> bool {
        *self.phase.borrow() != Phase::Active || self.processed().0 < self.replay_until.load(Ordering::Acquire)
    }

    /// Notes what an operator must do before a stream can begin.
    pub fn set_trouble(&self, cure: &str) {
        *self.trouble.lock() = cure.to_owned();
    }

    /// Why requests cannot be answered, with what an operator must do if that is known.
    pub fn not_ready(&self, reason: &str) -> String {
        let trouble = self.trouble.lock();
        if trouble.is_empty() { reason.to_owned() } else { format!("{reason}: {trouble}") }
    }

    /// What looks at tables for the collector.
    pub fn inspector(&self) -> Inspector {
        // Not through the pooler: while the stream comes, what it comes from can be asked.
        Inspector::new(self.replication.clone(), Arc::clone(&self.publication))
    }

    /// What a snapshot needs.
    pub fn snapshots(&self) -> Context {
        Context {
            connections: self.connections.clone(),
            publication: Arc::clone(&self.publication),
            collector: self.collector.clone(),
            files: self.files.clone(),
            chunk_bytes: self.chunk_bytes,
            timeout: self.snapshot_timeout,
        }
    }

    /// A table by name: as it was last seen, or looked up.
    pub async fn table(self: &Arc<Self>, name: &TableName) -> Result<Option<Arc<Table>>, TableError> {
        let known = self.tables.lock().get(name).cloned();
        match known {
            Some(table) => Ok(Some(table)),
            None => self.look_up_table(name).await,
        }
    }

    /// Whether a table is still known as it is here.
    pub fn knows(&self, table: &Arc<Table>) -> bool {
        self.tables.lock().get(&table.name).is_some_and(|known| Arc::ptr_eq(known, table) || known == table)
    }

    /// A table by name, as it is now.
    pub async fn look_up_table(self: &Arc<Self>, name: &TableName) -> Result<Option<Arc<Table>>, TableError> {
        let (state, name) = (Arc::clone(self), name.clone());
        // Connections live on the runtime that opens them: that must not be a request's thread.
        let look_up = self.runtime.spawn(async move {
            let client = state.connections.get().await.map_err(|error| TableError::Unreachable(error.into()))?;
            let found = tables::find(&client, &name).await?;
            Ok(state.note_table(&name, found))
        });
        look_up.await.map_err(|error| TableError::Unreachable(error.into()))?
    }

    /// Notes how a table looks, or that there is none. What is equal to what was known stays the same value:
    /// shapes share it, and requests are recognised by it.
    pub fn note_table(&self, name: &TableName, found: Option<Table>) -> Option<Arc<Table>> {
        let mut tables = self.tables.lock();
        let Some(found) = found else {
            tables.remove(name);
            return None;
        };
        match tables.get(name) {
            Some(known) if **known == found => Some(Arc::clone(known)),
            _ => {
                let found = Arc::new(found);
                tables.insert(name.clone(), Arc::clone(&found));
                Some(found)
            }
        }
    }

    /// The tables that requests have named.
    pub fn known_tables(&self) -> Vec<Arc<Table>> {
        self.tables.lock().values().cloned().collect()
    }
}
