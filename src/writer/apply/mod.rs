//! What each write does inside a transaction.
//!
//! Every write first reads and decides, and only then changes something, so that a refused one leaves nothing behind and
//! the transaction stays good for the others. The locks on the sessions keep what was read true.

use std::collections::HashMap;

use chrono::Utc;
use diesel::QueryResult;
use diesel::result::Error;
use diesel_async::AsyncPgConnection;

use super::{Command, Rows, WriteError};
use crate::db::session;
use crate::ids::SessionId;

mod history;
mod messages;
mod parts;
mod replace;
mod sessions;

/// A transaction that holds the locks of all its sessions.
pub struct Transaction<'a> {
    conn: &'a mut AsyncPgConnection,
    /// The sessions that exist, by id.
    sessions: HashMap<SessionId, Locked>,
    /// The clock at the start, in Unix milliseconds.
    now: i64,
}

/// A session that nobody else can write to.
struct Locked {
    /// What `time_updated` becomes, or has become, by this transaction.
    time_updated: i64,
    touched: Touched,
}

/// Whether `time_updated` has moved in this transaction: it does so once, whatever the number of writes.
#[derive(PartialEq)]
enum Touched {
    No,
    Due,
    Done,
}

/// A write that was done, if the transaction commits.
pub struct Applied {
    pub rows: Rows,
    /// `false` if everything was so already.
    pub changed: bool,
}

/// Why a write was not done.
pub enum Stop {
    /// For a reason that callers are told of; the transaction goes on.
    Refused(WriteError),
    /// The transaction is over.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(cause: Error) -> Self {
        Self::Failed(cause)
    }
}

impl From<WriteError> for Stop {
    fn from(refusal: WriteError) -> Self {
        Self::Refused(refusal)
    }
}

impl<'a> Transaction<'a> {
    /// Locks the sessions of all commands, and the sessions that become parents, in id order.
    pub async fn lock(conn: &'a mut AsyncPgConnection, commands: &[Command]) -> QueryResult<Self> {
        let mut ids: Vec<_> =
            commands.iter().flat_map(|command| [Some(command.session()), command.parent()]).flatten().collect();
        ids.sort_unstable();
        ids.dedup();
        let locked = session::lock(conn, &ids).await?;
        let now = Utc::now().timestamp_millis();
        let state = |before: i64| Locked { time_updated: now.max(before.saturating_add(1)), touched: Touched::No };
        let sessions = locked.into_iter().map(|(id, before)| (id, state(before))).collect();
        Ok(Self { conn, sessions, now })
    }

    /// Does one write.
    pub async fn apply(&mut self, command: &Command) -> Result<Applied, Stop> {
        if !matches!(command, Command::CreateSession(_)) {
            self.locked(command.session(), "session")?;
        }
        let applied = match command {
            Command::CreateSession(new) => self.create_session(new).await?,
            Command::PatchSession { session, patch } => self.patch_session(session, patch).await?,
            Command::DeleteSession { session } => self.delete_session(session).await?,
            Command::ClearState { session } => self.clear_state(session).await?,
            Command::AppendMessage(new) => self.append_message(new).await?,
            Command::ReplaceMessages { session, messages } => self.replace_messages(session, messages).await?,
            Command::PatchMessage { session, message, patch } => self.patch_message(session, message, patch).await?,
            Command::DeleteMessage { session, message } => self.delete_message(session, message).await?,
            Command::PutPart(new) => self.put_part(new).await?,
            Command::AppendParts { session, message, parts } => self.append_parts(session, message, parts).await?,
            Command::DeletePart { session, message, part } => self.delete_part(session, message, part).await?,
            Command::AppendSnapshot { session, snapshot } => self.append_snapshot(session, snapshot).await?,
            Command::ReplaceSnapshots { session, snapshots } => self.replace_snapshots(session, snapshots).await?,
            Command::AppendSubtask(new) => self.append_subtask(new).await?,
            Command::ClearSubtasks { session } => self.clear_subtasks(session).await?,
        };
        if applied.changed {
            self.touch(command.session());
        }
        Ok(applied)
    }

    /// Moves `time_updated` of the sessions that were written to and have not moved yet. To be called before the commit.
    pub async fn finish(self) -> QueryResult<()> {
        let due = self.sessions.iter().filter(|(_, locked)| locked.touched == Touched::Due);
        let due: Vec<_> = due.map(|(id, _)| id).collect();
        if !due.is_empty() {
            session::touch(self.conn, &due, self.now).await?;
        }
        Ok(())
    }

    /// The session, or the refusal that names what is missing.
    fn locked(&mut self, session: &SessionId, what: &'static str) -> Result<&mut Locked, Stop> {
        self.sessions.get_mut(session).ok_or(Stop::Refused(WriteError::NotFound(what)))
    }

    fn touch(&mut self, session: &SessionId) {
        // A session that this transaction has deleted is not there any more.
        if let Some(locked) = self.sessions.get_mut(session)
            && locked.touched == Touched::No
        {
            locked.touched = Touched::Due;
        }
    }
}
