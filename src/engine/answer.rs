//! From a request to its shape, and from there to the answer: the protocol's rules, in its order.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, warn};

use super::catalog::{Catalog, Found};
use super::definition::Selection;
use super::filter::{Filter, FilterError};
use super::read;
use super::shape::{Condition, Definition, Shape};
use super::snapshot::{Failure, take};
use super::state::State;
use super::subset;
use super::tables::{Table, TableError};
use crate::admission::Permit;
use crate::shape::{Answer, Invalid, ShapeRequest, parse_relation};

/// `retry-after` while the engine is not ready, after a failed snapshot, and while the database is away.
pub const NOT_READY: Duration = Duration::from_secs(5);
const SNAPSHOT_FAILED: Duration = Duration::from_secs(10);
const UNREACHABLE: Duration = Duration::from_secs(1);

/// Tables that one condition may read: each is looked up.
const MAX_TABLES: usize = 32;

/// Answers a request. Errors are answers too.
pub async fn answer(state: &Arc<State>, request: &ShapeRequest, permit: &mut Permit) -> Answer {
    if let Some(subset) = &request.subset {
        // Boxed: a held long-poll would keep room for it.
        return Box::pin(subset::answer(state, request, subset, permit)).await;
    }
    match find(state, request, permit).await {
        Ok(shape) => read::answer(state, request, shape).await,
        Err(refusal) => refusal,
    }
}

/// The shape that a request may read.
pub async fn find(state: &Arc<State>, request: &ShapeRequest, permit: &mut Permit) -> Result<Arc<Shape>, Answer> {
    let catalog = state.ready().await?;
    let definition = define(state, request).await?;
    if request.compaction && definition.has_subqueries() {
        let text = "can't be enabled for shapes with subqueries";
        return Err(refused(&Invalid::one("experimental_compaction", text)));
    }
    let shape = match catalog.find(&definition) {
        Some(shape) => shape,
        None => create(state, catalog, request).await?,
    };
    shape.usage.touch();
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
    if let Some(known) = state.definitions.find(request, &table)
        && known.tables().iter().skip(1).all(|inner| state.knows(inner))
    {
        return Ok(known);
    }
    let selection = Selection::resolve(request, &table).map_err(|invalid| refused(&invalid))?;
    let condition = match &request.filter {
        None => None,
        Some(text) => Some(condition(state, text, &request.params, &table).await?),
    };
    let gone = || refused(&Invalid::one("columns", "a column of the table is gone"));
    let definition = Definition::new(table, condition, selection, request.replica, request.log).ok_or_else(gone)?;
    let definition = Arc::new(definition);
    state.definitions.note(request, &definition);
    Ok(definition)
}

/// Compiles a condition; the tables of its subqueries are looked up as they turn up.
async fn condition(state: &Arc<State>, text: &str, params: &[String], table: &Arc<Table>) -> Result<Condition, Answer> {
    let mut tables = vec![Arc::clone(table)];
    let filter = loop {
        match Filter::compile_with(text, params, table, &tables) {
            Ok(filter) => break filter,
            Err(FilterError { needs: Some(name), .. }) if tables.len() < MAX_TABLES => {
                let found = state.table(&name).await.map_err(|error| no_table(&error))?;
                tables.push(found.ok_or_else(|| refused(&Invalid::unknown_table(&name)))?);
            }
            Err(FilterError { needs: Some(_), .. }) => {
                let text = format!("subqueries of a condition may read at most {MAX_TABLES} tables");
                return Err(refused(&Invalid::one("where", text)));
            }
            Err(error) => return Err(refused(&Invalid::one(error.field, error.message))),
        }
    };
    refuse_generated(&filter, table).map_err(|invalid| refused(&invalid))?;
    Ok(Condition { text: text.to_owned(), params: params.to_vec(), filter: Arc::new(filter) })
}

/// The stream does not tell the values of generated columns, so a condition on one cannot be followed.
fn refuse_generated(filter: &Filter, table: &Table) -> Result<(), Invalid> {
    let generated = filter.columns().iter().map(|at| &table.columns[*at]).find(|column| column.generated);
    generated.map_or(Ok(()), |column| {
        Err(Invalid::one("where", format!("column {} is generated, and cannot be used in a condition", column.name)))
    })
}

/// The shape of a request that has none yet. Its tables are looked up anew: what is known may be old.
async fn create(state: &Arc<State>, catalog: &Arc<Catalog>, request: &ShapeRequest) -> Result<Arc<Shape>, Answer> {
    let name = parse_relation(&request.table).map_err(|text| refused(&Invalid::one("table", text)))?;
    state.look_up_table(&name).await.map_err(|error| no_table(&error))?;
    let mut definition = define(state, request).await?;
    for inner in definition.tables().iter().skip(1) {
        state.look_up_table(&inner.name).await.map_err(|error| no_table(&error))?;
    }
    if definition.has_subqueries() {
        definition = define(state, request).await?;
    }
    match catalog.find_or_create(&definition) {
        Found::Known(shape) => Ok(shape),
        Found::New(shape) => {
            state.runtime.spawn(make(Arc::clone(state), Arc::clone(catalog), Arc::clone(&shape)));
            for unused in catalog.above_limit(false) {
                state.collector.end(unused).await;
            }
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
        TableError::NotReplicated(_) => refused(&Invalid::one("table", error.to_string())),
    }
}

/// What readers of a shape without a snapshot are told.
pub fn no_snapshot(failure: Failure) -> Answer {
    match failure {
        Failure::Retry(reason) => Answer::unavailable(&reason, SNAPSHOT_FAILED, true),
        Failure::Unreachable => unreachable(),
        Failure::Changed => Answer::must_refetch(None),
        Failure::Condition(code) => refused(&Invalid::one(
            "where",
            format!(
                "Postgres cannot evaluate it on a row of the table (SQLSTATE {code}); CASE can keep such rows from it"
            ),
        )),
        Failure::Unexpected(cause) => {
            warn!(cause, "a snapshot could not be made");
            Answer::server_error("Unexpected error while creating snapshot")
        }
    }
}
