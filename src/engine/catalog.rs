//! Shape ↔ handle ↔ log: each definition has one shape at a time, created once, however many ask for it at once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;

use super::log::Log;
use super::shape::{Definition, Shape};
use super::snapshot::Snapshot;
use crate::shape::Handle;

#[cfg(test)]
mod tests;

/// The live shapes.
#[derive(Debug)]
pub struct Catalog {
    chunk_bytes: u64,
    /// Shapes that may be there; 0 for any number.
    max_shapes: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    by_identity: HashMap<Arc<str>, Arc<Shape>>,
    by_handle: HashMap<Handle, Arc<Shape>>,
    next_number: u64,
    /// Shapes by their last use, as it was when they were put here: those that were used since go back when they come
    /// to the front. Shapes that have ended are left out there, or when they are as many as the live ones.
    by_use: BinaryHeap<Reverse<(u64, u64, Handle)>>,
}

/// The shape of a definition.
#[derive(Debug)]
pub enum Found {
    Known(Arc<Shape>),
    /// Made by this call, whose caller has its snapshot taken.
    New(Arc<Shape>),
}

impl Catalog {
    /// A catalogue of what the store held. No shape has had `next_number` or a higher number.
    pub fn new(shapes: Vec<Arc<Shape>>, next_number: u64, chunk_bytes: u64, max_shapes: usize) -> Self {
        let mut state = State { next_number, ..State::default() };
        for shape in shapes {
            state.note_use(&shape);
            state.by_identity.insert(Arc::clone(shape.definition.identity()), Arc::clone(&shape));
            state.by_handle.insert(shape.handle.clone(), shape);
        }
        Self { chunk_bytes, max_shapes, state: Mutex::new(state) }
    }

    /// The live shape of a definition, if there is one.
    pub fn find(&self, definition: &Definition) -> Option<Arc<Shape>> {
        self.state.lock().by_identity.get(definition.identity()).filter(|shape| !shape.log.has_ended()).cloned()
    }

    /// The live shape of this handle, if there is one.
    pub fn find_by_handle(&self, handle: &Handle) -> Option<Arc<Shape>> {
        self.state.lock().by_handle.get(handle).filter(|shape| !shape.log.has_ended()).cloned()
    }

    /// The live shape of a definition, made if there is none.
    pub fn find_or_create(&self, definition: &Definition) -> Found {
        let identity = definition.identity();
        let mut state = self.state.lock();
        if let Some(shape) = state.by_identity.get(identity)
            && !shape.log.has_ended()
        {
            return Found::Known(Arc::clone(shape));
        }
        let number = state.next_number;
        state.next_number += 1;
        let handle = Handle::new(number, unix_micros());
        let log = Log::new(self.chunk_bytes);
        let shape = Arc::new(Shape::new(number, handle, definition.clone(), Snapshot::pending(), log));
        state.by_identity.insert(Arc::clone(identity), Arc::clone(&shape));
        state.by_handle.insert(shape.handle.clone(), Arc::clone(&shape));
        shape.usage.touch();
        state.note_use(&shape);
        Found::New(shape)
    }

    /// Takes a shape out: the next request for its definition makes another.
    pub fn remove(&self, shape: &Shape) {
        self.state.lock().take_out(shape);
    }

    /// Takes out the shapes that have been used least recently, as many as there are above the limit: their callers end them.
    ///
    /// Those that readers wait for stay, unless `also_waited_for`: when a new shape is made, nobody who waits shall be
    /// sent away for it, but from time to time the limit must hold. Costs in proportion to what is taken out, and
    /// to what was used since it was looked at last.
    pub fn above_limit(&self, also_waited_for: bool) -> Vec<Arc<Shape>> {
        let mut state = self.state.lock();
        let mut taken = Vec::new();
        let mut waited_for = Vec::new();
        while self.max_shapes > 0 && state.by_handle.len() > self.max_shapes {
            let Some(Reverse((stamp, number, handle))) = state.by_use.pop() else { break };
            let Some(shape) = state.by_handle.get(&handle).cloned() else { continue };
            let used = shape.usage.stamp();
            if used > stamp {
                state.by_use.push(Reverse((used, number, handle)));
            } else if shape.usage.is_waited_for() {
                waited_for.push(shape);
            } else {
                state.take_out(&shape);
                taken.push(shape);
            }
        }
        for shape in waited_for {
            if also_waited_for && state.by_handle.len() > self.max_shapes {
                state.take_out(&shape);
                taken.push(shape);
            } else {
                state.note_use(&shape);
            }
        }
        taken
    }

    /// All live shapes.
    pub fn shapes(&self) -> Vec<Arc<Shape>> {
        self.state.lock().by_handle.values().cloned().collect()
    }

    /// The tables of all live shapes.
    pub fn tables(&self) -> HashSet<u32> {
        let state = self.state.lock();
        let tables = state.by_handle.values().flat_map(|shape| shape.definition.tables());
        tables.map(|table| table.oid).collect()
    }

    /// The number that the next shape will get.
    pub fn next_number(&self) -> u64 {
        self.state.lock().next_number
    }
}

impl State {
    fn note_use(&mut self, shape: &Shape) {
        if self.by_use.len() > 2 * self.by_handle.len() + 64 {
            let known = std::mem::take(&mut self.by_use).into_iter();
            self.by_use = known.filter(|Reverse((.., handle))| self.by_handle.contains_key(handle)).collect();
        }
        self.by_use.push(Reverse((shape.usage.stamp(), shape.number, shape.handle.clone())));
    }

    fn take_out(&mut self, shape: &Shape) {
        let identity = shape.definition.identity();
        self.by_handle.remove(&shape.handle);
        if self.by_identity.get(identity).is_some_and(|found| found.number == shape.number) {
            self.by_identity.remove(identity);
        }
    }
}

fn unix_micros() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}
