//! Writes to the parts of one message.

use super::{Applied, Stop, Transaction};
use crate::db::message;
use crate::db::part::{self, Part, PartPatch};
use crate::ids::{MessageId, PartId, SessionId};
use crate::writer::{NewPart, Rows, WriteError};

impl Transaction<'_> {
    pub(super) async fn put_part(&mut self, new: &NewPart) -> Result<Applied, Stop> {
        self.require_message(&new.row.session_id, &new.row.message_id).await?;
        let Some(stored) = self.read_part(&new.row.id).await? else {
            let parts = self.parts_after_last(&new.row.message_id, std::slice::from_ref(new)).await?;
            let inserted = self.insert_parts(&parts).await?.pop().ok_or(diesel::result::Error::NotFound)?;
            return Ok(Applied { rows: Rows::Part(Box::new(inserted)), changed: true });
        };
        if stored.message_id != new.row.message_id {
            return Err(WriteError::AlreadyExists("part").into());
        }
        let difference = difference(&stored, new);
        if difference.is_empty() {
            return Ok(Applied { rows: Rows::Part(Box::new(stored)), changed: false });
        }
        let replaced = part::update(self.conn, &new.row.id, &difference).await?;
        Ok(Applied { rows: Rows::Part(Box::new(replaced)), changed: true })
    }

    pub(super) async fn append_parts(
        &mut self,
        session: &SessionId,
        message: &MessageId,
        parts: &[NewPart],
    ) -> Result<Applied, Stop> {
        self.require_message(session, message).await?;
        let named: Vec<_> = parts.iter().filter(|new| new.named).collect();
        let ids: Vec<_> = named.iter().map(|new| &new.row.id).collect();
        let stored = if ids.is_empty() { Vec::new() } else { part::find_all(self.conn, &ids).await? };
        let is_stored = |new: &NewPart| stored.iter().any(|stored| stored.id == new.row.id);
        for stored in &stored {
            let same = named.iter().any(|new| new.row.id == stored.id && is_same(stored, new));
            if stored.message_id != *message || !same {
                return Err(WriteError::AlreadyExists("part").into());
            }
        }
        let fresh: Vec<_> = parts.iter().filter(|new| !is_stored(new)).cloned().collect();
        let fresh = self.parts_after_last(message, &fresh).await?;
        let changed = !fresh.is_empty();
        let mut rows = self.insert_parts(&fresh).await?;
        rows.extend(stored);
        sort(&mut rows);
        Ok(Applied { rows: Rows::Parts(rows), changed })
    }

    pub(super) async fn delete_part(
        &mut self,
        session: &SessionId,
        message: &MessageId,
        id: &PartId,
    ) -> Result<Applied, Stop> {
        self.require_message(session, message).await?;
        let stored = self.read_part(id).await?.filter(|part| part.message_id == *message);
        let stored = stored.ok_or(WriteError::NotFound("part"))?;
        part::delete(self.conn, &[id]).await?;
        Ok(Applied { rows: Rows::Part(Box::new(stored)), changed: true })
    }

    /// The rows to insert behind the parts that the message has.
    async fn parts_after_last(&mut self, message: &MessageId, new: &[NewPart]) -> Result<Vec<Part>, Stop> {
        let last = match new.iter().all(|new| new.ordered) {
            true => None,
            false => part::last_sort_order(self.conn, message).await?,
        };
        self.parts_in_order(last, new)
    }

    /// The rows to insert, where each without a `sort_order` comes after the highest so far.
    pub(super) fn parts_in_order(&self, mut last: Option<i32>, new: &[NewPart]) -> Result<Vec<Part>, Stop> {
        let mut rows = Vec::with_capacity(new.len());
        for new in new {
            let sort_order = if new.ordered { new.row.sort_order } else { next(last)? };
            last = last.max(Some(sort_order));
            rows.push(Part { sort_order, ..new.row.clone() });
        }
        Ok(rows)
    }

    /// Refuses parts whose ids the caller chose and something else has.
    pub(super) async fn refuse_taken(&mut self, new: &[NewPart]) -> Result<(), Stop> {
        let ids: Vec<_> = new.iter().filter(|new| new.named).map(|new| &new.row.id).collect();
        if !ids.is_empty() && !part::find_all(self.conn, &ids).await?.is_empty() {
            return Err(WriteError::AlreadyExists("part").into());
        }
        Ok(())
    }

    /// Inserts and returns the rows in order.
    pub(super) async fn insert_parts(&mut self, rows: &[Part]) -> Result<Vec<Part>, Stop> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut inserted = part::insert(self.conn, &rows.iter().collect::<Vec<_>>()).await?;
        sort(&mut inserted);
        Ok(inserted)
    }

    async fn require_message(&mut self, session: &SessionId, id: &MessageId) -> Result<(), Stop> {
        match message::exists(self.conn, session, id).await? {
            true => Ok(()),
            false => Err(WriteError::NotFound("message").into()),
        }
    }

    async fn read_part(&mut self, id: &PartId) -> Result<Option<Part>, Stop> {
        Ok(part::find_all(self.conn, &[id]).await?.pop())
    }
}

/// The place after the last one.
pub(super) fn next(last: Option<i32>) -> Result<i32, WriteError> {
    let full = WriteError::Invalid { field: "sort_order", expected: "to be given: the highest number is taken" };
    last.map_or(Some(0), |last| last.checked_add(1)).ok_or(full)
}

/// Whether every given part is among the stored ones: under its id if it has one, otherwise under one that we gave it.
pub(super) fn all_among(given: &[NewPart], stored: &[Part]) -> bool {
    let mut claimed: Vec<bool> =
        stored.iter().map(|part| given.iter().any(|new| new.named && new.row.id == part.id)).collect();
    given.iter().all(|new| {
        if new.named {
            return stored.iter().any(|part| part.id == new.row.id && is_same(part, new));
        }
        let found = stored.iter().zip(&claimed).position(|(part, claimed)| !claimed && is_same(part, new));
        found.inspect(|at| claimed[*at] = true).is_some()
    })
}

fn is_same(stored: &Part, new: &NewPart) -> bool {
    stored.message_id == new.row.message_id && difference(stored, new).is_empty()
}

/// What would turn the stored part into the given one. A place that the caller left to us never differs.
fn difference(stored: &Part, new: &NewPart) -> PartPatch {
    let mut difference = PartPatch::between(stored, &new.row);
    if !new.ordered {
        difference.sort_order = None;
    }
    difference
}

fn sort(parts: &mut [Part]) {
    parts.sort_by(|a, b| (a.sort_order, &a.id).cmp(&(b.sort_order, &b.id)));
}
