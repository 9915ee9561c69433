//! The way out of a response, as those who did not write it can see and close it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::{Instant, Sleep, sleep_until};

use std::pin::Pin;

/// The way of bytes to one reader: a connection, or one stream of an HTTP/2 connection. Clones are the same outlet.
#[derive(Debug, Clone, Default)]
pub struct Outlet(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Of a stream: its connection, which may be what stalls.
    connection: Option<Outlet>,
    state: AtomicU8,
    /// Who writes, while it waits for the reader.
    writer: AtomicWaker,
}

/// Bytes are taken as they come.
const FLOWING: u8 = 0;
/// There are bytes that the reader has not taken yet.
const BLOCKED: u8 = 1;
/// The same, and somebody wants it to end: there is only a moment left.
const HURRIED: u8 = 2;
/// Cut because the reader took none for too long.
const STALLED: u8 = 3;
/// Cut on somebody's word.
const CUT: u8 = 4;

/// How long a reader may still take nothing when its answer is to end. One that is only slow takes some meanwhile, and gets a
/// proper end.
const MOMENT: Duration = Duration::from_millis(30);

impl Outlet {
    /// Whether it was cut because its reader took nothing.
    pub fn has_stalled(&self) -> bool {
        let stalled = self.0.state.load(Ordering::Acquire) == STALLED;
        stalled || self.0.connection.as_ref().is_some_and(Self::has_stalled)
    }

    /// Has it cut off in a moment, if its reader goes on not taking what there is: an end of the body would not reach it either.
    pub fn cut_if_blocked(&self) {
        if self.0.state.compare_exchange(BLOCKED, HURRIED, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.0.writer.wake();
        }
    }

    fn is_hurried(&self) -> bool {
        self.0.state.load(Ordering::Acquire) == HURRIED
    }

    fn is_cut(&self) -> bool {
        self.0.state.load(Ordering::Acquire) >= STALLED
    }

    /// Moves on, unless it is cut.
    fn set(&self, state: u8) {
        let _ = self.0.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| (now < STALLED).then_some(state));
    }
}

/// Judges how long a writer waits for its reader.
#[derive(Debug)]
pub struct Patience {
    outlet: Outlet,
    limit: Duration,
    since: Option<Instant>,
    /// Since when it has been in a hurry.
    hurried: Option<Instant>,
    /// Made at the first wait. It is not set anew at each: most are over long before it goes off.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// Waits at most `limit` for one byte to be taken.
    pub fn new(limit: Duration) -> Self {
        Self { outlet: Outlet::default(), limit, since: None, hurried: None, timer: None }
    }

    /// The same for a stream of a connection.
    pub fn of_stream(connection: Outlet, limit: Duration) -> Self {
        let shared = Shared { connection: Some(connection), ..Shared::default() };
        Self { outlet: Outlet(Arc::new(shared)), ..Self::new(limit) }
    }

    /// What others see of it.
    pub fn outlet(&self) -> Outlet {
        self.outlet.clone()
    }

    /// The reader took something, or there is nothing to take.
    pub fn flows(&mut self) {
        if self.since.take().is_some() {
            self.hurried = None;
            self.outlet.set(FLOWING);
        }
    }

    /// The reader takes nothing now: says whether it is over, and otherwise has the writer woken when it may be.
    pub fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        if self.since.is_none() {
            self.since = Some(Instant::now());
            self.outlet.set(BLOCKED);
        }
        // Before the look: whoever hurries between the two wakes this writer.
        self.wake_by_others(context.waker());
        let (until, end) = self.deadline();
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() > until {
            timer.as_mut().reset(until);
        }
        while timer.as_mut().poll(context).is_ready() {
            if Instant::now() >= until {
                self.outlet.set(end);
                break;
            }
            timer.as_mut().reset(until);
        }
        self.outlet.is_cut()
    }

    /// When the reader must have taken something, and what becomes of it otherwise.
    fn deadline(&mut self) -> (Instant, u8) {
        let now = Instant::now();
        let patient = self.since.unwrap_or(now) + self.limit;
        if !self.outlet.is_hurried() {
            return (patient, STALLED);
        }
        let hurried = *self.hurried.get_or_insert(now) + MOMENT;
        if hurried < patient { (hurried, CUT) } else { (patient, STALLED) }
    }

    fn wake_by_others(&self, waker: &Waker) {
        self.outlet.0.writer.register(waker);
    }
}
