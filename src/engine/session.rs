//! From one connection to Postgres to the next: sets the stream up, feeds the collector, reports what is stored.
//!
//! ```text
//! connect ─► set up slot and publication ─► same history? ─► stream ─► lost: wait, connect again
//!               └► another engine has it: wait                └► told to stop: store, confirm, close
//! ```

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::catalog::Catalog;
use super::collector::{ApplyError, Command, Reads, Worker};
use super::replication::{Connection, Frame, ReplicationError, SetUpError, Stream};
use super::replication::{Identity, InvalidStreamId, Publishing, Ready, SetUp, set_up};
use super::shape::{Files, Shape};
use super::snapshot::{Failure, rejoin};
use super::state::State;
use super::store::{RecoverError, Recovered, Stopped, Store, recover};
use super::{publication, reconcile};
use crate::postgres::Postgres;
use crate::shape::{LogMode, Lsn};

/// A status goes to Postgres at least this often; it hangs up after `wal_sender_timeout`, by default 60 s.
const STATUS_EVERY: Duration = Duration::from_secs(10);
/// It is asked to answer each of them; after this long without a word the connection is given up. Decoding a huge
/// transaction may keep Postgres silent for a while; a link that is dead is noticed earlier, by TCP.
const SILENCE: Duration = Duration::from_secs(180);
/// While rows that have been read wait for the stream to come as far, it is asked for its position this often.
const NUDGE: Duration = Duration::from_millis(5);
/// Pauses between attempts to connect.
const RETRY: Duration = Duration::from_millis(250);
const RETRY_MOST: Duration = Duration::from_secs(5);
/// A waiting engine looks this often whether the other one has gone.
const WAIT: Duration = Duration::from_secs(1);
/// A shape with subqueries that cannot be told what became different by then starts over: its readers stand still for so long.
const REPAIR: Duration = Duration::from_secs(60);
/// Frames taken at once before anything else gets its turn.
const BURST: usize = 512;

/// The engine cannot run; one sentence with the cure.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    SetUp(SetUpError),
    #[error(transparent)]
    StreamId(InvalidStreamId),
    #[error("the storage folder {} {cause}", folder.display())]
    Store { folder: PathBuf, cause: RecoverError },
    #[error("the shape engine has stopped; the lines before this say why")]
    Stopped,
}

/// Why a session ended.
enum Ended {
    /// We were told to stop, and everything is confirmed.
    Told,
    /// The connection, or what came over it, failed.
    Lost(String),
    /// Another engine streams.
    Waiting(String),
}

/// Runs sessions until told to stop.
pub struct Sessions {
    pub postgres: Postgres,
    pub stream_id: String,
    pub publishing: Publishing,
    pub files: Files,
    pub state: Arc<State>,
    pub commands: mpsc::Receiver<Command>,
    pub stop: CancellationToken,
    pub reconcile_interval: Duration,
}

/// What is there from the first session on.
struct Running {
    worker: Worker,
    store: Store,
    thread: std::thread::JoinHandle<()>,
    identity: Option<Identity>,
    durable: watch::Receiver<Lsn>,
    asked_visible: Instant,
    /// What an operator must mend ends the process before the first stream; later it may pass.
    has_streamed: bool,
}

impl Sessions {
    /// Runs until told to stop. Errors that pass by themselves are waited out.
    ///
    /// # Errors
    /// Something that an operator must mend, found before the first stream began; or the disk failed.
    pub async fn run(mut self) -> Result<(), EngineError> {
        let mut running: Option<Running> = None;
        let mut pause = RETRY;
        let mut last_reason = String::new();
        loop {
            let session = self.session(&mut running).await;
            match session {
                Ok(Ended::Told) => break,
                Ok(Ended::Waiting(reason)) => {
                    if self.state.set_waiting() {
                        info!("waiting, another engine runs: {reason}");
                    }
                    pause = WAIT;
                }
                Ok(Ended::Lost(reason)) => {
                    let first = self.state.set_starting();
                    pause = if first { RETRY } else { (pause * 2).min(RETRY_MOST) };
                    if first || reason != last_reason {
                        warn!("no replication stream, trying again until there is one: {reason}");
                    }
                    last_reason = reason;
                }
                Err(error) => {
                    self.state.set_starting();
                    return Err(error);
                }
            }
            if self.idle(&mut running, pause).await {
                break;
            }
        }
        if let Some(running) = running {
            running.store.stop();
            let _ = tokio::task::spawn_blocking(move || running.thread.join()).await;
        }
        Ok(())
    }

    /// Passes the time between two sessions; true if told to stop.
    async fn idle(&mut self, running: &mut Option<Running>, pause: Duration) -> bool {
        let awake = sleep(pause);
        tokio::pin!(awake);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return true,
                () = &mut awake => return false,
                Some(command) = self.commands.recv(), if running.is_some() => {
                    if let Some(running) = running
                        && running.worker.command(command).await.is_err()
                    {
                        // The next session finds the store gone and says so.
                        return false;
                    }
                }
            }
        }
    }

    async fn session(&mut self, running: &mut Option<Running>) -> Result<Ended, EngineError> {
        let stop = self.stop.clone();
        let begun = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(Ended::Told),
            begun = self.begin(running) => begun?,
        };
        let (mut stream, running) = match begun {
            Begun::Stream(stream, running) => (stream, running),
            Begun::Not(ended) => return Ok(ended),
        };
        match self.follow(&mut stream, running).await {
            Ok(()) => {
                stream.close().await;
                Ok(Ended::Told)
            }
            Err(SessionError::Stopped(_)) => Err(EngineError::Stopped),
            Err(error) => Ok(Ended::Lost(error.to_string())),
        }
    }

    /// Opens the store, connects, finds or makes slot and publication, and checks that the logs can go on from there.
    async fn begin<'a>(&mut self, running: &'a mut Option<Running>) -> Result<Begun<'a>, EngineError> {
        // Before anything is made in Postgres: a folder that another engine uses must not leave a slot behind.
        if running.is_none() {
            *running = match self.recover().await {
                Ok(recovered) => Some(recovered),
                Err(cause) => {
                    let in_use = matches!(cause, RecoverError::InUse);
                    let error = EngineError::Store { folder: self.files.root().to_owned(), cause };
                    // Whoever has it may end, and leave it to us.
                    return if in_use { Ok(Begun::Not(Ended::Waiting(error.to_string()))) } else { Err(error) };
                }
            };
        }
        let Some(running) = running.as_mut() else { return Err(EngineError::Stopped) };
        let mut connection = match Connection::connect(&self.postgres).await {
            Ok(connection) => connection,
            Err(error) => return refused(error.into(), running.has_streamed),
        };
        let ready = match set_up(&mut connection, &self.stream_id, self.publishing).await {
            Ok(SetUp::Ready(ready)) => ready,
            Ok(SetUp::Unpublished { cure }) => {
                self.state.set_trouble(&cure);
                return Ok(Begun::Not(Ended::Lost(cure)));
            }
            Ok(SetUp::Waiting { reason }) => return Ok(Begun::Not(Ended::Waiting(reason))),
            Err(error) => return refused(error, running.has_streamed),
        };
        running.check_history(&ready).await.map_err(|_| EngineError::Stopped)?;
        running.worker.start_stream(ready.next_xid);
        let stream = match connection.start(&ready.identity.slot, &ready.publication).await {
            Ok(stream) => stream,
            Err(error) if error.is_slot_active() => return Ok(Begun::Not(Ended::Waiting(error.to_string()))),
            Err(error) => return Ok(Begun::Not(Ended::Lost(error.to_string()))),
        };
        running.has_streamed = true;
        self.state.publication.begin_stream(ready.server_version);
        self.state.begin_stream(&ready, running.worker.catalog());
        for shape in running.worker.take_unrepaired() {
            tokio::spawn(repair(Arc::clone(&self.state), shape));
        }
        info!(slot = ready.identity.slot, "following slot {} from {:#}", ready.identity.slot, ready.confirmed);
        Ok(Begun::Stream(stream, running))
    }

    async fn recover(&self) -> Result<Running, RecoverError> {
        let (files, chunk_bytes, memory_bytes) = (self.files.clone(), self.state.chunk_bytes, self.state.memory_bytes);
        let recovered = tokio::task::spawn_blocking(move || recover(&files, chunk_bytes, memory_bytes)).await;
        let Recovered { store, thread, identity, position, shapes, next_number } =
            recovered.map_err(|error| RecoverError::Disk(std::io::Error::other(error)))??;
        let catalog = Arc::new(Catalog::new(shapes, next_number, chunk_bytes, self.state.max_shapes));
        let reads = Reads {
            connections: self.state.connections.clone(),
            collector: self.state.collector.clone(),
            timeout: self.state.snapshot_timeout,
        };
        // Before there are shapes: readers are told of it.
        self.state.processed.fetch_max(position.0, Ordering::AcqRel);
        let (processed, inspector) = (Arc::clone(&self.state.processed), self.state.inspector());
        let worker = Worker::new(catalog, store.clone(), processed, inspector, reads);
        worker.reach(position);
        let durable = store.durable();
        Ok(Running { worker, store, thread, identity, durable, asked_visible: Instant::now(), has_streamed: false })
    }

    /// Follows the stream until it fails or we are told to stop.
    ///
    /// In order of priority: the stop; commands, since requests wait for them; what we owe Postgres, which
    /// hangs up if it hears nothing; how far it is, if somebody waits for that; the state of the tables; and then the stream, which always has more.
    async fn follow(&mut self, stream: &mut Stream, running: &mut Running) -> Result<(), SessionError> {
        let mut status = interval(STATUS_EVERY);
        status.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reconcile = interval(self.reconcile_interval);
        reconcile.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut nudge = interval(NUDGE);
        nudge.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut durable = running.durable.clone();
        // The answer tells how far the stream is, also when nothing is in it.
        let position = *durable.borrow_and_update();
        stream.confirm(position, true).await?;
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return running.finish(stream).await,
                Some(command) = self.commands.recv() => running.worker.command(command).await?,
                changed = durable.changed() => {
                    changed.map_err(|_| Stopped)?;
                    let position = *durable.borrow_and_update();
                    stream.confirm(position, false).await?;
                }
                _ = status.tick() => {
                    if heard.elapsed() > SILENCE {
                        return Err(SessionError::Silence);
                    }
                    let position = *durable.borrow();
                    stream.confirm(position, true).await?;
                }
                _ = nudge.tick(), if running.worker.awaits_position() => {
                    let position = *durable.borrow();
                    stream.confirm(position, true).await?;
                }
                _ = reconcile.tick() => reconcile::spawn(&self.state, running.worker.tables()),
                frame = stream.next() => {
                    let mut asked = running.frame(frame?).await?;
                    for _ in 0..BURST {
                        let Some(frame) = stream.try_next()? else { break };
                        asked |= running.frame(frame).await?;
                    }
                    if asked {
                        let position = *durable.borrow();
                        stream.confirm(position, false).await?;
                    }
                    heard = Instant::now();
                    self.ask_visible(running);
                    if running.worker.takes_wish_to_look() {
                        reconcile::spawn(&self.state, running.worker.tables());
                    }
                }
            }
        }
    }

    /// Asks Postgres what snapshots contain by now, if many transactions are held for those that may not.
    fn ask_visible(&self, running: &mut Running) {
        if !running.worker.wants_visible() || running.asked_visible.elapsed() < Duration::from_millis(100) {
            return;
        }
        running.asked_visible = Instant::now();
        let state = Arc::clone(&self.state);
        tokio::spawn(async move {
            if let Ok(client) = state.connections.get().await
                && let Ok(mark) = publication::current(&client).await
            {
                state.collector.visible(mark).await;
            }
        });
    }
}

/// Has a shape with subqueries, which the store had, go on. One that cannot starts over.
async fn repair(state: Arc<State>, shape: Arc<Shape>) {
    let (of, to) = (Arc::clone(&state), Arc::clone(&shape));
    // A task of its own, so that a panic ends this shape and leaves nobody waiting for it.
    if tokio::spawn(async move { try_repair(of, to).await }).await.is_err() {
        state.collector.end(shape).await;
    }
}

async fn try_repair(state: Arc<State>, shape: Arc<Shape>) {
    let context = state.snapshots();
    // What the stream has yet to replay would have to be waited for, in a transaction.
    while state.is_replaying() && !shape.log.has_ended() {
        sleep(RETRY).await;
    }
    // Each holds the shape's rows twice.
    let Ok(_turn) = state.repairs.acquire().await else { return };
    if shape.log.has_ended() {
        return;
    }
    if shape.definition.log == LogMode::ChangesOnly {
        // Which rows its readers have is not in its files: they have asked for them in subsets.
        return state.collector.end(shape).await;
    }
    let mut give_up = Instant::now() + REPAIR;
    loop {
        match rejoin(&context, &shape, give_up).await {
            Ok(()) => return,
            Err(Failure::Retry(_)) if !shape.log.has_ended() && Instant::now() < give_up => sleep(RETRY).await,
            Err(Failure::Unreachable) if !shape.log.has_ended() => {
                sleep(RETRY).await;
                give_up = Instant::now() + REPAIR;
            }
            Err(failure) => {
                debug!(shape.handle = %shape.handle, ?failure, "shape {} cannot go on after the start", shape.handle);
                return state.collector.end(shape).await;
            }
        }
    }
}

fn refused<'a>(error: SetUpError, has_streamed: bool) -> Result<Begun<'a>, EngineError> {
    match error {
        SetUpError::Fatal(_) if !has_streamed => Err(EngineError::SetUp(error)),
        SetUpError::Fatal(refusal) => Ok(Begun::Not(Ended::Lost(refusal.to_string()))),
        SetUpError::Retry(error) => Ok(Begun::Not(Ended::Lost(error.to_string()))),
    }
}

enum Begun<'a> {
    Stream(Stream, &'a mut Running),
    Not(Ended),
}

#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error(transparent)]
    Replication(#[from] ReplicationError),
    #[error(transparent)]
    Apply(ApplyError),
    #[error("Postgres has not answered for {} s", SILENCE.as_secs())]
    Silence,
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl From<ApplyError> for SessionError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Stopped(stopped) => Self::Stopped(stopped),
            other => Self::Apply(other),
        }
    }
}

impl Running {
    /// Ends all shapes if the slot does not continue what their logs are made of.
    async fn check_history(&mut self, ready: &Ready) -> Result<(), Stopped> {
        let stored = *self.durable.borrow();
        let reason = match &self.identity {
            None => None,
            Some(identity) if *identity != ready.identity => Some("this is another server, or another history of it"),
            Some(_) if ready.created => Some("the replication slot had to be made anew"),
            Some(_) if ready.confirmed > stored => Some("the slot has moved on without this engine"),
            Some(_) if ready.wal_end < stored || self.worker.is_ahead_of(ready.next_xid) => {
                Some("the server is behind what was stored: it was restored")
            }
            Some(_) => None,
        };
        match reason {
            Some(reason) => {
                self.worker.end_all(reason)?;
                // The old position says nothing of the new history, which may not have come so far yet: confirming
                // it would make Postgres skip what is still to be written.
                self.store.restart(ready.confirmed, ready.identity.clone()).await?;
                self.worker.restart(ready.confirmed);
            }
            None => {
                if self.identity.is_none() {
                    self.store.restart(ready.confirmed, ready.identity.clone()).await?;
                }
                // What the slot will not send again is behind us.
                self.store.position(ready.confirmed, false)?;
                self.worker.reach(ready.confirmed);
            }
        }
        self.identity = Some(ready.identity.clone());
        Ok(())
    }

    /// Takes one frame; true if Postgres waits for an answer that cannot move the position.
    async fn frame(&mut self, frame: Frame) -> Result<bool, SessionError> {
        match frame {
            Frame::Data { payload } => self.worker.apply(payload).await?,
            Frame::KeepAlive { wal_end, reply_requested } if self.worker.is_between_transactions() => {
                self.worker.reach(wal_end);
                self.worker.advance_nodes().await?;
                if reply_requested || wal_end > *self.durable.borrow() {
                    self.store.position(wal_end, reply_requested)?;
                }
            }
            // Within a transaction the position says nothing about what has been applied.
            Frame::KeepAlive { reply_requested, .. } => return Ok(reply_requested),
        }
        Ok(false)
    }

    /// Stores what has been applied and confirms it.
    async fn finish(&mut self, stream: &mut Stream) -> Result<(), SessionError> {
        let mut durable = self.durable.clone();
        durable.borrow_and_update();
        self.store.position(Lsn(0), true)?;
        durable.changed().await.map_err(|_| Stopped)?;
        let position = *durable.borrow();
        Ok(stream.confirm(position, false).await?)
    }
}
