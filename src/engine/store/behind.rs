//! What the log files lack, and what may leave memory because they have it.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use crate::engine::shape::{Files, Shape};
use crate::shape::Offset;

/// Log files are written when this much has waited for them, or for this long.
const BEHIND_BYTES: u64 = 8 << 20;
const BEHIND_DELAY: Duration = Duration::from_secs(1);

/// Shapes whose log files lack entries, and entries in memory that the files have.
#[derive(Debug, Default)]
pub struct Behind {
    since: Option<Instant>,
    bytes: u64,
    shapes: HashMap<u64, Arc<Shape>>,
    /// Oldest first: a shape, an offset up to which its file is complete, and the bytes that this freed.
    written: VecDeque<(Arc<Shape>, Offset, u64)>,
    written_bytes: u64,
    memory_bytes: u64,
}

impl Behind {
    /// Whether much or long has waited.
    pub fn is_due(&self) -> bool {
        self.since.is_some_and(|since| self.bytes >= BEHIND_BYTES || since.elapsed() >= BEHIND_DELAY)
    }

    /// Notes shapes whose logs have grown by `bytes` in all.
    pub fn add(&mut self, shapes: Vec<Arc<Shape>>, bytes: u64) {
        if shapes.is_empty() {
            return;
        }
        self.bytes += bytes;
        self.since.get_or_insert_with(Instant::now);
        self.shapes.extend(shapes.into_iter().map(|shape| (shape.number, shape)));
    }

    /// Writes what the log files lack; returns the shapes whose files could not be written.
    pub fn write(&mut self, files: &Files) -> Vec<(Arc<Shape>, io::Error)> {
        let mut failed = Vec::new();
        for (_, shape) in self.shapes.drain() {
            match shape.log.write_behind(&files.log(&shape.handle)) {
                Ok((last, bytes)) => {
                    self.written_bytes += bytes;
                    self.written.push_back((shape, last, bytes));
                }
                Err(error) => failed.push((shape, error)),
            }
        }
        self.bytes = 0;
        self.since = None;
        while self.written_bytes > self.memory_bytes
            && let Some((shape, upto, bytes)) = self.written.pop_front()
        {
            shape.log.forget(upto);
            self.written_bytes -= bytes;
        }
        failed
    }

    /// Nothing of an ended shape is written any more.
    pub fn remove(&mut self, number: u64) {
        self.shapes.remove(&number);
    }

    /// How long nothing is due if nothing is added.
    pub fn patience(&self) -> Option<Duration> {
        self.since.map(|since| BEHIND_DELAY.saturating_sub(since.elapsed()))
    }

    /// With nothing written; `memory_bytes` of entries that the files have may stay in memory.
    pub fn new(memory_bytes: u64) -> Self {
        Self { memory_bytes, ..Self::default() }
    }
}
