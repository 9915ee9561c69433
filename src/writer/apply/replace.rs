//! Replaces a session's whole list of messages by writing the difference.
//!
//! A row that is as it should be is read and never written: readers see no change of it.

use std::collections::HashMap;

use super::messages::difference;
use super::{Applied, Stop, Transaction};
use crate::db::message::{self, Message, MessagePatch};
use crate::db::part::{self, Part, PartPatch};
use crate::ids::{MessageId, PartId, SessionId};
use crate::writer::{NewMessage, Rows, WriteError};

/// What to do so that the stored rows become the wanted ones.
struct Difference<'a> {
    new_messages: Vec<&'a Message>,
    changed_messages: Vec<(&'a MessageId, MessagePatch)>,
    surplus_messages: Vec<MessageId>,
    new_parts: Vec<&'a Part>,
    changed_parts: Vec<(&'a PartId, PartPatch)>,
    surplus_parts: Vec<PartId>,
}

impl Transaction<'_> {
    pub(super) async fn replace_messages(
        &mut self,
        session: &SessionId,
        wanted: &[NewMessage],
    ) -> Result<Applied, Stop> {
        let mut parts = Vec::new();
        for message in wanted {
            parts.extend(self.parts_in_order(None, &message.parts)?);
        }
        let stored_messages = message::of_session(self.conn, session).await?;
        let stored_parts = part::of_session(self.conn, session).await?;
        let difference = Difference::between(stored_messages, stored_parts, wanted, &parts);
        self.refuse_ids_of_others(&difference).await?;
        let changed = !difference.is_empty();
        self.write_difference(&difference).await?;
        Ok(Applied { rows: Rows::Messages(message::of_session_with_parts(self.conn, session).await?), changed })
    }

    /// A row that is not in this session and must be made may not exist in another.
    async fn refuse_ids_of_others(&mut self, difference: &Difference<'_>) -> Result<(), Stop> {
        let messages: Vec<_> = difference.new_messages.iter().map(|message| &message.id).collect();
        if !messages.is_empty() && !message::find_all(self.conn, &messages).await?.is_empty() {
            return Err(WriteError::AlreadyExists("message").into());
        }
        let parts: Vec<_> = difference.new_parts.iter().map(|part| &part.id).collect();
        if !parts.is_empty() && !part::find_all(self.conn, &parts).await?.is_empty() {
            return Err(WriteError::AlreadyExists("part").into());
        }
        Ok(())
    }

    async fn write_difference(&mut self, difference: &Difference<'_>) -> Result<(), Stop> {
        // Messages first and deletions last: a part may move from a message that goes to one that comes.
        message::insert(self.conn, &difference.new_messages).await?;
        for (id, patch) in &difference.changed_messages {
            message::update(self.conn, id, patch).await?;
        }
        for (id, patch) in &difference.changed_parts {
            part::update(self.conn, id, patch).await?;
        }
        part::insert(self.conn, &difference.new_parts).await?;
        if !difference.surplus_parts.is_empty() {
            part::delete(self.conn, &difference.surplus_parts.iter().collect::<Vec<_>>()).await?;
        }
        if !difference.surplus_messages.is_empty() {
            message::delete(self.conn, &difference.surplus_messages.iter().collect::<Vec<_>>()).await?;
        }
        Ok(())
    }
}

impl<'a> Difference<'a> {
    fn between(
        stored_messages: Vec<Message>,
        stored_parts: Vec<Part>,
        wanted: &'a [NewMessage],
        wanted_parts: &'a [Part],
    ) -> Self {
        let mut messages: HashMap<_, _> = stored_messages.into_iter().map(|row| (row.id.clone(), row)).collect();
        let mut parts: HashMap<_, _> = stored_parts.into_iter().map(|row| (row.id.clone(), row)).collect();
        let mut new_messages = Vec::new();
        let mut changed_messages = Vec::new();
        for wanted in wanted {
            match messages.remove(&wanted.row.id) {
                None => new_messages.push(&wanted.row),
                Some(stored) => changed_messages.push((&wanted.row.id, difference(&stored, wanted))),
            }
        }
        let mut new_parts = Vec::new();
        let mut changed_parts = Vec::new();
        for wanted in wanted_parts {
            match parts.remove(&wanted.id) {
                None => new_parts.push(wanted),
                Some(stored) => changed_parts.push((&wanted.id, PartPatch::between(&stored, wanted))),
            }
        }
        changed_messages.retain(|(_, patch)| !patch.is_empty());
        changed_parts.retain(|(_, patch)| !patch.is_empty());
        let surplus_messages: Vec<_> = messages.into_keys().collect();
        let surplus_parts = parts.into_keys().collect();
        Self { new_messages, changed_messages, surplus_messages, new_parts, changed_parts, surplus_parts }
    }

    fn is_empty(&self) -> bool {
        self.new_messages.is_empty()
            && self.changed_messages.is_empty()
            && self.surplus_messages.is_empty()
            && self.new_parts.is_empty()
            && self.changed_parts.is_empty()
            && self.surplus_parts.is_empty()
    }
}
