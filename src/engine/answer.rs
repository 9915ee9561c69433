//! From a request to its shape, and from there to the answer: the protocol's rules, in its order.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, warn};

use super::admission::Permit;
use super::catalog::{Catalog, Found};
use super::definition::Selection;
use super::filter::Filter;
use super::read;
use super::shape::{Condition, Definition, Shape};
use super::snapshot::{Failure, take};
use super::state::State;
use super::tables::{Table, TableError};
use crate::shape::{Answer, Invalid, ShapeRequest, parse_relation};

/// `retry-after` while the engine is not ready, after a failed snapshot, and while the database is away.
pub const NOT_READY: Duration = Duration::from_secs(5);
const SNAPSHOT_FAILED: Duration = Duration::from_secs(10);
const UNREACHABLE: Duration = Duration::from_secs(1);

/// Answers a request. Errors are answers too.
pub async fn answer(state: &Arc<State>, request: &ShapeRequest, permit: &mut Permit) -> Answer {
    if request.subset.is_some() {
        return refused(&Invalid::unsupported("subset"));
    }
    match find(state, request, permit).await {
        Ok(shape) => read::answer(state, request, shape).await,
        Err(refusal) => refusal,
    }
}

/// The shape that a request may read.
async fn find(state: &Arc<State>, request: &ShapeRequest, permit: &mut Permit) -> Result<Arc<Shape>, Answer> {
    let catalog = state.ready().await?;
    let definition = define(state, request).await?;
    let shape = match catalog.find(&definition) {
        Some(shape) => shape,
        None => create(state, catalog, request).await?,
    };
    if permit.is_initial() {
        // Until then it is the initial requests that Postgres is asked for.
        tokio::select! {
            biased;
            () = shape.snapshot.begun() => {}
            () = state.end_readers.cancelled() => {}
        }
        permit.exchange()?;
    }
    match request.resumes() {
        Some(handle) if *handle != shape.handle => Err(Answer::must_refetch(Some(&shape.handle))),
        _ => Ok(shape),
    }
}

/// What a request asks for, by what is known of the table.
pub async fn define(state: &Arc<State>, request: &ShapeRequest) -> Result<Arc<Definition>, Answer> {
    let name = parse_relation(&request.table).map_err(|text| refused(&Invalid::one("table", text)))?;
    let table = state.table(&name).await.map_err(|error| no_table(&error))?;
    let table = table.ok_or_else(|| refused(&Invalid::unknown_table(&name)))?;
    if let Some(known) = state.definitions.find(request, &table) {
        return Ok(known);
    }
    let definition = Arc::new(definition(state, request, table).map_err(|invalid| refused(&invalid))?);
    state.definitions.note(request, &definition);
    Ok(definition)
}

fn definition(state: &State, request: &ShapeRequest, table: Arc<Table>) -> Result<Definition, Invalid> {
    let selection = Selection::resolve(request, &table, state.server_version())?;
    let condition = match &request.filter {
        None => None,
        Some(text) => {
            let filter = Filter::compile(text, &request.params, &table);
            let filter = filter.map_err(|error| Invalid::one(error.field, error.message))?;
            refuse_generated(&filter, &table)?;
            Some(Condition { text: text.clone(), params: request.params.clone(), filter: Arc::new(filter) })
        }
    };
    let gone = || Invalid::one("columns", "a column of the table is gone");
    Definition::new(table, condition, selection, request.replica, request.log).ok_or_else(gone)
}

/// The stream does not tell the values of generated columns, so a condition on one cannot be followed.
fn refuse_generated(filter: &Filter, table: &Table) -> Result<(), Invalid> {
    let generated = filter.columns().iter().map(|at| &table.columns[*at]).find(|column| column.generated);
    generated.map_or(Ok(()), |column| {
        Err(Invalid::one("where", format!("column {} is generated, and cannot be used in a condition", column.name)))
    })
}

/// The shape of a request that has none yet. The table is looked up anew: what is known may be old.
async fn create(state: &Arc<State>, catalog: &Arc<Catalog>, request: &ShapeRequest) -> Result<Arc<Shape>, Answer> {
    let name = parse_relation(&request.table).map_err(|text| refused(&Invalid::one("table", text)))?;
    state.look_up_table(&name).await.map_err(|error| no_table(&error))?;
    let definition = define(state, request).await?;
    match catalog.find_or_create(&definition) {
        Found::Known(shape) => Ok(shape),
        Found::New(shape) => {
            state.runtime.spawn(make(Arc::clone(state), Arc::clone(catalog), Arc::clone(&shape)));
            Ok(shape)
        }
    }
}

/// Has the snapshot of a new shape taken, whether or not whoever asked for it is still there.
async fn make(state: Arc<State>, catalog: Arc<Catalog>, shape: Arc<Shape>) {
    let (context, taken) = (state.snapshots(), Arc::clone(&shape));
    // A task of its own, so that a panic fails this shape and leaves nobody waiting for it.
    let made = tokio::spawn(async move { take(&context, &taken).await }).await;
    if let Err(failure) = made.unwrap_or_else(|panic| Err(Failure::Unexpected(panic.to_string()))) {
        debug!(shape.handle = %shape.handle, ?failure, "no snapshot for shape {}", shape.handle);
        catalog.remove(&shape);
        // Whoever waits is told before the files go.
        shape.snapshot.fail(failure);
        state.collector.end(shape).await;
    }
}

pub fn refused(invalid: &Invalid) -> Answer {
    Answer::invalid(invalid)
}

fn unreachable() -> Answer {
    let message = "Cannot connect to the database to verify the shape. Please try again later.";
    Answer::unavailable(message, UNREACHABLE, false)
}

fn no_table(error: &TableError) -> Answer {
    match error {
        TableError::Unreachable(_) => unreachable(),
        TableError::Partitioned => refused(&Invalid::one("table", error.to_string())),
    }
}

/// What readers of a shape without a snapshot are told.
pub fn no_snapshot(failure: Failure) -> Answer {
    match failure {
        Failure::Retry(reason) => Answer::unavailable(&reason, SNAPSHOT_FAILED, true),
        Failure::Unreachable => unreachable(),
        Failure::Changed => Answer::must_refetch(None),
        Failure::Unexpected(cause) => {
            warn!(cause, "a snapshot could not be made");
            Answer::server_error("Unexpected error while creating snapshot")
        }
    }
}
