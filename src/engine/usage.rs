//! When a shape was used last, so that the limit on shapes can end those that nobody misses.

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use super::shape::Shape;

/// What stamps count from.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The last use of one shape. A shape that nobody has asked for since the process began has the stamp 0.
#[derive(Debug, Default)]
pub struct Usage {
    /// Microseconds since the first use of any shape.
    stamp: AtomicU64,
    waiting: AtomicU32,
}

/// A live reader of a shape: while it waits, the shape is in use.
#[derive(Debug)]
pub struct Waiting(Arc<Shape>);

impl Usage {
    /// Notes that the shape is used now.
    pub fn touch(&self) {
        let now = u64::try_from(START.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.stamp.store(now.max(1), Ordering::Relaxed);
    }

    /// The last use; of two shapes, the one with the lower stamp has been left alone for longer.
    pub fn stamp(&self) -> u64 {
        self.stamp.load(Ordering::Relaxed)
    }

    /// How many live readers wait for a change of it.
    pub fn readers(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether somebody waits for a change of it.
    pub fn is_waited_for(&self) -> bool {
        self.readers() > 0
    }
}

impl Waiting {
    /// A reader that waits from now until this is dropped.
    pub fn on(shape: &Arc<Shape>) -> Self {
        shape.usage.waiting.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(shape))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.usage.touch();
        self.0.usage.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
