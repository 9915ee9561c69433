//! Shape ↔ handle ↔ log: each definition has one shape at a time, created once, however many ask for it at once.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::log::Log;
use super::shape::{Definition, Shape};
use super::snapshot::Snapshot;
use crate::shape::Handle;

/// The live shapes.
#[derive(Debug)]
pub struct Catalog {
    chunk_bytes: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    by_identity: HashMap<Arc<str>, Arc<Shape>>,
    by_handle: HashMap<Handle, Arc<Shape>>,
    next_number: u64,
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
    pub fn new(shapes: Vec<Arc<Shape>>, next_number: u64, chunk_bytes: u64) -> Self {
        let mut state = State { next_number, ..State::default() };
        for shape in shapes {
            state.by_identity.insert(Arc::clone(shape.definition.identity()), Arc::clone(&shape));
            state.by_handle.insert(shape.handle.clone(), shape);
        }
        Self { chunk_bytes, state: Mutex::new(state) }
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
        Found::New(shape)
    }

    /// Takes a shape out: the next request for its definition makes another.
    pub fn remove(&self, shape: &Shape) {
        let identity = shape.definition.identity();
        let mut state = self.state.lock();
        state.by_handle.remove(&shape.handle);
        if state.by_identity.get(identity).is_some_and(|found| found.number == shape.number) {
            state.by_identity.remove(identity);
        }
    }

    /// All live shapes.
    pub fn shapes(&self) -> Vec<Arc<Shape>> {
        self.state.lock().by_handle.values().cloned().collect()
    }

    /// The number that the next shape will get.
    pub fn next_number(&self) -> u64 {
        self.state.lock().next_number
    }
}

fn unix_micros() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}
