//! Ends a shape because somebody asked for it: for tests and administration (protocol, 7.6).

use std::sync::Arc;
use std::time::Duration;

use super::answer::{define, refused};
use super::log::Read;
use super::shape::Shape;
use super::snapshot::Failure;
use super::state::State;
use crate::shape::{Answer, Deletion, Invalid};

/// How long the answer waits for the shape's end to be on disk. After that it ends all the same.
const DURABLE: Duration = Duration::from_secs(5);

/// Ends the shape that is named by its definition, its handle, or both.
pub async fn delete(state: &Arc<State>, deletion: &Deletion) -> Answer {
    match find(state, deletion).await {
        Ok(shape) => {
            end(state, shape).await;
            Answer::deleted()
        }
        Err(refusal) => refusal,
    }
}

async fn find(state: &Arc<State>, deletion: &Deletion) -> Result<Arc<Shape>, Answer> {
    let catalog = state.active().await?;
    let named = deletion.handle.as_ref().map(|handle| catalog.find_by_handle(handle));
    let Some(request) = &deletion.definition else {
        let no_handle = || refused(&Invalid::one("handle", "can't be blank when shape definition is missing"));
        return named.ok_or_else(no_handle)?.ok_or_else(Answer::no_such_shape);
    };
    let defined = catalog.find(&*define(state, request).await?);
    match (defined, named) {
        (Some(shape), None) => Ok(shape),
        (Some(shape), Some(Some(named))) if named.number == shape.number => Ok(shape),
        (None, None | Some(None)) => Err(Answer::no_such_shape()),
        _ => Err(Answer::handle_of_another()),
    }
}

/// Nobody finds the shape from here on; who reads it is told when its end is on disk.
pub async fn end(state: &State, shape: Arc<Shape>) {
    if let Some(catalog) = state.catalog() {
        catalog.remove(&shape);
    }
    // A snapshot that is being made notices, and gives up.
    shape.log.begin_end();
    shape.snapshot.fail(Failure::Changed);
    state.collector.end(Arc::clone(&shape)).await;
    let ended = async {
        loop {
            let changed = shape.log.changed();
            if matches!(shape.log.read_after(shape.log.last()), Read::Ended) {
                return;
            }
            changed.await;
        }
    };
    let _ = tokio::time::timeout(DURABLE, ended).await;
}
