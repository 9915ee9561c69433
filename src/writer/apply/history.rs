//! Writes to a session's snapshots and subtasks.

use std::collections::HashMap;

use super::parts::next;
use super::{Applied, Stop, Transaction};
use crate::db::snapshot::{self, NewSnapshot};
use crate::db::subtask::{self, NewSubtask};
use crate::ids::SessionId;
use crate::writer::{Rows, SnapshotAt, WriteError};

impl Transaction<'_> {
    pub(super) async fn append_snapshot(&mut self, session: &SessionId, new: &SnapshotAt) -> Result<Applied, Stop> {
        let sort_order = match new.sort_order {
            Some(sort_order) => sort_order,
            // The session's lock keeps this the last one.
            None => next(snapshot::last_sort_order(self.conn, session).await?)?,
        };
        if new.sort_order.is_some()
            && let Some(stored) = snapshot::at(self.conn, session, sort_order).await?
        {
            if stored.change_id != new.change_id {
                return Err(WriteError::AlreadyExists("snapshot").into());
            }
            return Ok(Applied { rows: Rows::Snapshot(stored), changed: false });
        }
        let row = NewSnapshot { session_id: session.clone(), change_id: new.change_id.clone(), sort_order };
        let inserted = snapshot::insert(self.conn, &[row]).await?.pop().ok_or(diesel::result::Error::NotFound)?;
        Ok(Applied { rows: Rows::Snapshot(inserted), changed: true })
    }

    pub(super) async fn replace_snapshots(&mut self, session: &SessionId, new: &[SnapshotAt]) -> Result<Applied, Stop> {
        let mut wanted = HashMap::with_capacity(new.len());
        let mut last = None;
        for snapshot in new {
            let sort_order = snapshot.sort_order.map_or_else(|| next(last), Ok)?;
            last = last.max(Some(sort_order));
            if wanted.insert(sort_order, snapshot.change_id.as_str()).is_some() {
                return Err(WriteError::Invalid { field: "sort_order", expected: "each number once" }.into());
            }
        }
        let mut surplus = Vec::new();
        let mut changed = false;
        for stored in snapshot::of_session(self.conn, session).await? {
            match wanted.remove(&stored.sort_order) {
                None => surplus.push(stored.id),
                Some(change_id) if change_id == stored.change_id => {}
                Some(change_id) => changed |= snapshot::update(self.conn, stored.id, change_id).await? > 0,
            }
        }
        if !surplus.is_empty() {
            changed |= snapshot::delete(self.conn, &surplus).await? > 0;
        }
        let mut missing: Vec<_> = wanted
            .into_iter()
            .map(|(sort_order, change_id)| NewSnapshot {
                session_id: session.clone(),
                change_id: change_id.to_owned(),
                sort_order,
            })
            .collect();
        missing.sort_by_key(|snapshot| snapshot.sort_order);
        changed |= !snapshot::insert(self.conn, &missing).await?.is_empty();
        Ok(Applied { rows: Rows::Snapshots(snapshot::of_session(self.conn, session).await?), changed })
    }

    pub(super) async fn append_subtask(&mut self, new: &NewSubtask) -> Result<Applied, Stop> {
        if let Some(key) = &new.key
            && let Some(stored) = subtask::with_key(self.conn, &new.session_id, key).await?
        {
            if stored.result != new.result {
                return Err(WriteError::AlreadyExists("subtask").into());
            }
            return Ok(Applied { rows: Rows::Subtask(stored), changed: false });
        }
        Ok(Applied { rows: Rows::Subtask(subtask::insert(self.conn, new).await?), changed: true })
    }

    pub(super) async fn clear_subtasks(&mut self, session: &SessionId) -> Result<Applied, Stop> {
        let deleted = subtask::delete_of_session(self.conn, session).await?;
        Ok(Applied { rows: Rows::Subtasks(Vec::new()), changed: deleted > 0 })
    }
}
