//! Writes to a session's own row.

use super::{Applied, Locked, Stop, Touched, Transaction};
use crate::db::session::{self, Session, SessionPatch};
use crate::db::{message, snapshot, subtask};
use crate::ids::SessionId;
use crate::writer::{NewSession, Rows, WriteError};

impl Transaction<'_> {
    pub(super) async fn create_session(&mut self, new: &NewSession) -> Result<Applied, Stop> {
        let id = &new.row.id;
        if self.sessions.contains_key(id) {
            let stored = self.read_session(id).await?;
            let mut difference = SessionPatch::between(&stored, &new.row);
            if !new.timed {
                difference.time_created = None;
            }
            if !difference.is_empty() {
                return Err(WriteError::AlreadyExists("session").into());
            }
            return Ok(Applied { rows: Rows::Session(Box::new(stored)), changed: false });
        }
        if let Some(parent) = &new.row.parent_id {
            self.locked(parent, "parent session")?;
        }
        let row = Session { time_updated: self.now, ..new.row.clone() };
        let created = session::insert(self.conn, &row).await?;
        self.sessions.insert(id.clone(), Locked { time_updated: self.now, touched: Touched::Done });
        Ok(Applied { rows: Rows::Session(Box::new(created)), changed: true })
    }

    pub(super) async fn patch_session(&mut self, id: &SessionId, patch: &SessionPatch) -> Result<Applied, Stop> {
        let stored = self.read_session(id).await?;
        let patch = patch.effect_on(&stored);
        if patch.is_empty() {
            return Ok(Applied { rows: Rows::Session(Box::new(stored)), changed: false });
        }
        if let Some(Some(parent)) = &patch.parent_id {
            self.locked(parent, "parent session")?;
        }
        let changed = self.write_session(id, &patch).await?;
        Ok(Applied { rows: Rows::Session(Box::new(changed)), changed: true })
    }

    pub(super) async fn delete_session(&mut self, id: &SessionId) -> Result<Applied, Stop> {
        let deleted = session::delete(self.conn, id).await?.ok_or(WriteError::NotFound("session"))?;
        self.sessions.remove(id);
        Ok(Applied { rows: Rows::Session(Box::new(deleted)), changed: true })
    }

    pub(super) async fn clear_state(&mut self, id: &SessionId) -> Result<Applied, Stop> {
        // The parts go with their messages.
        let deleted = message::delete_of_session(self.conn, id).await?
            + snapshot::delete_of_session(self.conn, id).await?
            + subtask::delete_of_session(self.conn, id).await?;
        let changed = deleted > 0;
        let session = if changed {
            self.write_session(id, &SessionPatch::default()).await?
        } else {
            self.read_session(id).await?
        };
        Ok(Applied { rows: Rows::Session(Box::new(session)), changed })
    }

    async fn read_session(&mut self, id: &SessionId) -> Result<Session, Stop> {
        Ok(session::find(self.conn, id).await?.ok_or(WriteError::NotFound("session"))?)
    }

    /// Changes the row and moves `time_updated` with the same statement.
    async fn write_session(&mut self, id: &SessionId, patch: &SessionPatch) -> Result<Session, Stop> {
        let locked = self.locked(id, "session")?;
        locked.touched = Touched::Done;
        let time_updated = locked.time_updated;
        Ok(session::update(self.conn, id, patch, time_updated).await?)
    }
}
