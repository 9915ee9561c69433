//! Shapes with subqueries: what they begin with, and how they go on after a start.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, pin_mut};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_postgres::Client;

use super::take::{publish, rows_failure, unexpected_row};
use super::{Context, Failure, Mark, begin, connection};
use crate::engine::collector::Verdict;
use crate::engine::filter::Key;
use crate::engine::shape::{Definition, Shape};
use crate::engine::subquery::{Count, Join, MOST_VALUES, repair};
use crate::shape::Lsn;

/// Pauses between attempts to join the stream.
const PAUSE: Duration = Duration::from_millis(10);
const PAUSE_MOST: Duration = Duration::from_secs(1);

/// Counts the subqueries that nobody follows yet, in the same transaction, and joins with them. With `repair`, also what readers
/// of the shape as it is stored must be told.
pub async fn join_with_subqueries(
    context: &Context,
    shape: &Arc<Shape>,
    client: &Client,
    mark: &Mark,
    read: Lsn,
    repair: bool,
) -> Result<Verdict, Failure> {
    let mut counts = Vec::new();
    for count in context.collector.plan(shape.number).await? {
        counts.push((count.number, count_values(client, &count, &shape.definition).await?));
    }
    let news = if repair { repair::news(client, mark, &context.files, shape).await? } else { Vec::new() };
    let join = Join { mark: mark.clone(), read, counts, news };
    context.collector.join(shape.number, join).await
}

/// Lets a shape with subqueries, which the store had, go on: tells its readers what became different since it was followed.
///
/// # Errors
/// It cannot by `deadline`, or not at all. The caller ends the shape, or tries again.
pub async fn rejoin(context: &Context, shape: &Arc<Shape>, deadline: Instant) -> Result<(), Failure> {
    let mut pause = PAUSE;
    let late = |_| Failure::Retry("it takes too long to compare the shape with its table".into());
    while timeout_at(deadline, attempt(context, shape)).await.map_err(late)?? == Verdict::TooEarly {
        // Without a connection: others may be what it waits for.
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MOST);
    }
    Ok(())
}

async fn attempt(context: &Context, shape: &Arc<Shape>) -> Result<Verdict, Failure> {
    let mut client = connection(&context.connections).await?;
    publish(context, shape, &client).await?;
    client.spoiled = true;
    let (mark, read) = begin(&client, &shape.definition.tables()).await?;
    let verdict = join_with_subqueries(context, shape, &client, &mark, read, true).await?;
    // Whatever comes of this, the verdict stands.
    client.spoiled = client.batch_execute("ROLLBACK").await.is_err();
    Ok(verdict)
}

/// The values of a subquery, each with the number of its rows.
async fn count_values(client: &Client, count: &Count, definition: &Definition) -> Result<Vec<(Key, u64)>, Failure> {
    let failed = |error: tokio_postgres::Error| rows_failure(&error, definition);
    let rows = client.copy_out(&count.sql()).await.map_err(failed)?;
    pin_mut!(rows);
    let (mut values, mut scratch) = (Vec::new(), Vec::new());
    while let Some(line) = rows.next().await {
        let line = line.map_err(failed)?;
        values.push(count.read(&line, &mut scratch).ok_or_else(unexpected_row)?);
        if values.len() > MOST_VALUES {
            return Err(Failure::Retry(format!(
                "A subquery of the condition returns more than {MOST_VALUES} values; narrow it by a condition of its own"
            )));
        }
    }
    Ok(values)
}
