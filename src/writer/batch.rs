//! One batch of writes: first as one transaction, and if that fails for a reason nobody expected, one by one.
//!
//! What must stay true: a write is called done only after its commit was confirmed, called not done only if it cannot
//! have been committed, and is repeated only in the second case or where repeating it changes nothing.

use std::time::Duration;

use diesel::QueryResult;
use diesel::result::DatabaseErrorKind::UniqueViolation;
use diesel::result::Error;
use diesel::sql_types::Text;
use diesel_async::{AnsiTransactionManager, AsyncPgConnection, RunQueryDsl, TransactionManager};
use tokio::time::timeout;
use tracing::{error, warn};

use super::apply::{Applied, Stop, Transaction};
use super::{Command, WriteError, Written};
use crate::db::{self, Connection, Database};
use crate::shape::Lsn;

/// A deadlock or a lost connection is over at the next try; whatever fails so often will fail again.
const ATTEMPTS: u32 = 4;

/// Times the number of attempts made: long enough for the other side of a deadlock to finish.
const BACKOFF: Duration = Duration::from_millis(10);

/// How long Postgres may take for a transaction up to its commit, and for the commit: a row that another program has locked, or a
/// network that swallows everything, must not hold the writes of all other sessions for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a transaction gave no results.
enum Failure {
    /// No connection: nothing was sent.
    Unreachable,
    /// The connection was cut before the commit was sent: nothing was written.
    Lost,
    /// Postgres did not come as far as the commit in time, and gets none any more: nothing was written.
    Stalled,
    /// The connection was cut, or silent, after the commit was sent: it may have happened.
    Unknown,
    /// Postgres refused a statement and rolled back: nothing was written.
    Refused(Error),
}

/// Does the writes, in order, and says of each what became of it.
pub async fn write(database: &Database, commands: &[Command]) -> Vec<Result<Written, WriteError>> {
    if let [command] = commands {
        return vec![write_alone(database, command, false).await];
    }
    let unknown = match transact(database, commands).await {
        Ok(results) => return results,
        Err(Failure::Unreachable) => return vec![Err(WriteError::Unavailable); commands.len()],
        Err(Failure::Unknown) => true,
        Err(Failure::Lost | Failure::Stalled) => false,
        Err(Failure::Refused(cause)) => {
            warn!(writes = commands.len(), %cause, "redoing a batch one by one: {cause}");
            false
        }
    };
    let mut results = Vec::with_capacity(commands.len());
    // Whoever waits behind should not wait for a connection, or for another program's lock, as well.
    let mut gone = false;
    let not_tried = if unknown { WriteError::OutcomeUnknown } else { WriteError::Unavailable };
    for command in commands {
        if gone || (unknown && !command.is_repeatable()) {
            results.push(Err(not_tried.clone()));
            continue;
        }
        let result = write_alone(database, command, unknown).await;
        gone = result.as_ref().is_err_and(|failure| *failure == not_tried);
        results.push(result);
    }
    results
}

/// Does one write, and again where that is safe and may help. `unknown`: it may have been committed already.
async fn write_alone(database: &Database, command: &Command, mut unknown: bool) -> Result<Written, WriteError> {
    let mut refused = None;
    for attempt in 1..=ATTEMPTS {
        match transact(database, std::slice::from_ref(command)).await {
            Ok(mut results) => return results.pop().unwrap_or(Err(WriteError::Internal)),
            Err(Failure::Unreachable | Failure::Stalled) => break,
            Err(Failure::Lost) => {}
            Err(Failure::Unknown) if command.is_repeatable() => unknown = true,
            Err(Failure::Unknown) => return Err(WriteError::OutcomeUnknown),
            // Deadlocks have no kind of their own, so every refusal gets another chance.
            Err(Failure::Refused(cause)) => refused = Some(cause),
        }
        tokio::time::sleep(BACKOFF * attempt).await;
    }
    match refused {
        _ if unknown => Err(WriteError::OutcomeUnknown),
        None => Err(WriteError::Unavailable),
        // Another process takes ids faster than we see them.
        Some(Error::DatabaseError(UniqueViolation, _)) => Err(WriteError::AlreadyExists("id")),
        Some(cause) => {
            error!(session.id = %command.session(), %cause, "a write failed: {cause}");
            Err(WriteError::Internal)
        }
    }
}

/// Does the writes in one transaction. A write that is refused changes nothing and does not disturb the others.
async fn transact(database: &Database, commands: &[Command]) -> Result<Vec<Result<Written, WriteError>>, Failure> {
    let mut connection = database.connection().await.map_err(|db::Unavailable| Failure::Unreachable)?;
    // A connection that is given up in the middle is closed, and with it goes what was not committed.
    let applied = timeout(PATIENCE, apply_all(&mut connection, commands)).await;
    let (applied, txid) = match applied.map_err(|_| Failure::Stalled)? {
        Ok(applied) => applied,
        Err(cause) => return Err(roll_back(&mut connection, cause).await),
    };
    timeout(PATIENCE, commit(&mut connection)).await.map_err(|_| Failure::Unknown)??;
    let lsn = timeout(PATIENCE, position(database, connection)).await.map_err(|_| Failure::Unknown)??;
    let written = |Applied { rows, changed }| Written { rows, txid: txid.filter(|_| changed), lsn };
    Ok(applied.into_iter().map(|result| result.map(written)).collect())
}

async fn commit(connection: &mut AsyncPgConnection) -> Result<(), Failure> {
    let Err(cause) = AnsiTransactionManager::commit_transaction(&mut *connection).await else { return Ok(()) };
    // A connection that still answers has answered the commit, with a refusal.
    let refused = db::answers(connection).await;
    Err(if refused { Failure::Refused(cause) } else { Failure::Unknown })
}

/// Everything of the transaction before its commit: the outcome of each write, and the transaction's number if it changed anything.
async fn apply_all(
    connection: &mut AsyncPgConnection,
    commands: &[Command],
) -> QueryResult<(Vec<Result<Applied, WriteError>>, Option<u32>)> {
    AnsiTransactionManager::begin_transaction(&mut *connection).await?;
    let mut transaction = Transaction::lock(connection, commands).await?;
    let mut results = Vec::with_capacity(commands.len());
    for command in commands {
        results.push(match transaction.apply(command).await {
            Ok(applied) => Ok(applied),
            Err(Stop::Refused(refusal)) => Err(refusal),
            Err(Stop::Failed(cause)) => return Err(cause),
        });
    }
    transaction.finish().await?;
    let changed = results.iter().flatten().any(|applied| applied.changed);
    let txid = if changed { Some(transaction_id(connection).await?) } else { None };
    Ok((results, txid))
}

/// Ends a transaction that failed before its commit, and tells a refusal from a lost connection.
async fn roll_back(connection: &mut AsyncPgConnection, cause: Error) -> Failure {
    let rolled_back = AnsiTransactionManager::rollback_transaction(connection).await.is_ok();
    // `BEGIN` itself may have failed: then there was nothing to roll back.
    if rolled_back || db::answers(connection).await { Failure::Refused(cause) } else { Failure::Lost }
}

/// A position behind the commit. If the connection went after it, the write is done, but only another one can say where.
async fn position(database: &Database, mut connection: Connection<'_>) -> Result<Lsn, Failure> {
    if let Ok(lsn) = insert_position(&mut connection).await {
        return Ok(lsn);
    }
    drop(connection);
    let mut connection = database.connection().await.map_err(|db::Unavailable| Failure::Unknown)?;
    insert_position(&mut connection).await.map_err(|_| Failure::Unknown)
}

/// The position behind everything written so far, by whomever.
async fn insert_position(connection: &mut AsyncPgConnection) -> QueryResult<Lsn> {
    #[derive(diesel::QueryableByName)]
    struct Position {
        #[diesel(sql_type = Text)]
        lsn: String,
    }
    let position: Position =
        diesel::sql_query("SELECT pg_current_wal_insert_lsn()::text AS lsn").get_result(connection).await?;
    position.lsn.parse().map_err(|invalid| Error::DeserializationError(Box::new(invalid)))
}

async fn transaction_id(connection: &mut AsyncPgConnection) -> QueryResult<u32> {
    #[derive(diesel::QueryableByName)]
    struct Transaction {
        #[diesel(sql_type = Text)]
        xid: String,
    }
    // Cast to the 32 bits that the replication stream has.
    let transaction: Transaction =
        diesel::sql_query("SELECT pg_current_xact_id()::xid::text AS xid").get_result(connection).await?;
    transaction.xid.parse().map_err(|invalid| Error::DeserializationError(Box::new(invalid)))
}
