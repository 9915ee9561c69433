//! A part of a shape's rows, read from Postgres now, for a reader that follows the shape's log (protocol, 9).
//!
//! ```text
//! check the part ─► the shape, joined to the stream ─► ask what the stream has shown ─► a transaction that contains all of it
//!                                                                                       └─► COPY ─► spool ─► the reader
//! ```
//!
//! What must hold for a reader that merges the two: what it has seen of the log before it asked is in the part, and what is
//! not in the part comes in the log after `electric-offset`. The first is not so by itself, because Postgres sends a commit
//! a moment before others can see it.

mod order;
mod part;
mod query;
mod spool;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use self::part::Part;
use self::query::Refusal;
use self::spool::Budget;
use super::answer::{define, find, no_snapshot};
use super::definition::queryable;
use super::read::{ended, schema, unless_stopping};
use super::shape::Shape;
use super::snapshot::Failure;
use super::state::State;
use crate::admission::Permit;
use crate::shape::{Answer, Invalid, Live, Offset, Requested, ShapeRequest, Subset};

/// `retry-after` where too much is being sent already: readers take seconds for that much.
const TOO_MUCH: Duration = Duration::from_secs(5);

/// What all subsets share: places to run in, and room for what they have read.
#[derive(Debug)]
pub struct Subsets {
    /// Those that have a connection, or are about to.
    running: Semaphore,
    budget: Budget,
}

impl Subsets {
    /// Half of the pool is for subsets: snapshots and questions about tables go on while they are slow.
    pub fn new(pool_size: u32) -> Self {
        let places = usize::try_from(pool_size / 2).unwrap_or(1).max(1);
        Self { running: Semaphore::new(places), budget: Budget::default() }
    }
}

/// Answers a request for a subset. Errors are answers too.
pub async fn answer(state: &Arc<State>, request: &ShapeRequest, subset: &Subset, permit: &mut Permit) -> Answer {
    match read(state, request, subset, permit).await {
        Ok(answer) | Err(answer) => answer,
    }
}

async fn read(
    state: &Arc<State>,
    request: &ShapeRequest,
    subset: &Subset,
    permit: &mut Permit,
) -> Result<Answer, Answer> {
    let part = check(state, request, subset).await?;
    let shape = find(state, request, permit).await?;
    // From here on the log has, or will have, whatever this snapshot lacks: nothing is lost between it and the part.
    unless_stopping(state, shape.snapshot.joined()).await.map_err(no_snapshot)?;
    let end = end(state, &shape, request.offset);
    let reading = state.runtime.spawn(query::read(Arc::clone(state), Arc::clone(&shape), part));
    // Whoever goes away takes the query along.
    let reading = AbortOnDropHandle::new(reading);
    let rows = unless_stopping(state, async { Ok(reading.await) }).await.map_err(no_snapshot)?;
    if shape.log.has_ended() {
        return Err(ended(state, &shape));
    }
    let rows = rows.unwrap_or_else(|panic| Err(Failure::Unexpected(panic.to_string()).into()));
    let body = rows.map_err(refused)?.into_body();
    let schema = (request.live == Live::No).then(|| schema(request, &shape));
    Ok(Answer::subset(&shape.handle, end, schema, body))
}

/// What the subset asks for, checked before any shape is made for it.
async fn check(state: &Arc<State>, request: &ShapeRequest, subset: &Subset) -> Result<Part, Answer> {
    state.ready().await?;
    let definition = define(state, request).await?;
    let part =
        queryable(request, &definition.table).and_then(|queryable| Part::compile(subset, &definition, queryable));
    part.map_err(|invalid| Answer::invalid(&invalid))
}

/// Where a reader goes on: where it is. Clients take this for their place, also those that have asked for other parts before:
/// what the log has for them since must not be passed over.
fn end(state: &State, shape: &Shape, requested: Requested) -> Offset {
    match requested {
        Requested::Start => Offset::chunk(0),
        Requested::Now => shape.log.last(),
        // A follower of events builds offsets where this shape has nothing; others past the end are nobody's.
        Requested::After(after) if after > shape.log.last() && after.tx > state.processed().0 => shape.log.last(),
        Requested::After(after) => after,
    }
}

fn refused(refusal: Refusal) -> Answer {
    match refusal {
        Refusal::Failed(failure) => no_snapshot(failure),
        Refusal::Invalid(invalid) => Answer::invalid(&invalid),
        Refusal::TooLarge => {
            let text = format!("the subset is larger than {} MiB: ask for fewer rows at once", spool::MAX_BYTES >> 20);
            Answer::invalid(&Invalid::one("limit", text).in_subset())
        }
        Refusal::TooMuch => {
            Answer::unavailable("Too many rows of subsets are being sent. Please try again.", TOO_MUCH, true)
        }
    }
}
