//! Writes to one message.

use super::{Applied, Stop, Transaction};
use crate::db::message::{self, Message, MessagePatch, MessageWithParts};
use crate::db::part;
use crate::ids::{MessageId, SessionId};
use crate::writer::{NewMessage, Rows, WriteError};

impl Transaction<'_> {
    pub(super) async fn append_message(&mut self, new: &NewMessage) -> Result<Applied, Stop> {
        if new.named
            && let Some(stored) = message::find(self.conn, &new.row.id).await?
        {
            return self.repeat_message(new, stored).await;
        }
        let parts = self.parts_in_order(None, &new.parts)?;
        self.refuse_taken(&new.parts).await?;
        let inserted = message::insert(self.conn, &[&new.row]).await?.pop();
        let message = inserted.ok_or(diesel::result::Error::NotFound)?;
        let parts = self.insert_parts(&parts).await?;
        Ok(Applied { rows: with_parts(message, Some(parts)), changed: true })
    }

    /// The message is there: either the caller asks for the same again, or the id is taken.
    async fn repeat_message(&mut self, new: &NewMessage, stored: Message) -> Result<Applied, Stop> {
        let same = stored.session_id == new.row.session_id && difference(&stored, new).is_empty();
        let stored_parts = if same { part::of_message(self.conn, &stored.id).await? } else { Vec::new() };
        if !same || !super::parts::all_among(&new.parts, &stored_parts) {
            return Err(WriteError::AlreadyExists("message").into());
        }
        Ok(Applied { rows: with_parts(stored, Some(stored_parts)), changed: false })
    }

    pub(super) async fn patch_message(
        &mut self,
        session: &SessionId,
        id: &MessageId,
        patch: &MessagePatch,
    ) -> Result<Applied, Stop> {
        let stored = self.read_message(session, id).await?;
        let patch = patch.effect_on(&stored);
        if patch.is_empty() {
            return Ok(Applied { rows: with_parts(stored, None), changed: false });
        }
        let changed = message::update(self.conn, id, &patch).await?;
        Ok(Applied { rows: with_parts(changed, None), changed: true })
    }

    pub(super) async fn delete_message(&mut self, session: &SessionId, id: &MessageId) -> Result<Applied, Stop> {
        let stored = self.read_message(session, id).await?;
        message::delete(self.conn, &[id]).await?;
        Ok(Applied { rows: with_parts(stored, None), changed: true })
    }

    /// The message, if it is of this session.
    async fn read_message(&mut self, session: &SessionId, id: &MessageId) -> Result<Message, Stop> {
        let found = message::find(self.conn, id).await?.filter(|message| message.session_id == *session);
        Ok(found.ok_or(WriteError::NotFound("message"))?)
    }
}

/// What would turn the stored message into the given one. A time that the caller left to us never differs.
pub(super) fn difference(stored: &Message, new: &NewMessage) -> MessagePatch {
    let mut difference = MessagePatch::between(stored, &new.row);
    if !new.timed {
        difference.time_created = None;
    }
    difference
}

fn with_parts(message: Message, parts: Option<Vec<part::Part>>) -> Rows {
    Rows::Message(Box::new(MessageWithParts { message, parts }))
}
