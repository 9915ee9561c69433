//! The messages of Postgres' `pgoutput` plugin, protocol version 1 with values as text: bytes in, types out.
//!
//! ```text
//! Begin  (Relation* (Insert | Update | Delete | Truncate))*  Commit      one transaction, in commit order
//! ```
//! A `Relation` comes before the first change of a table, and again when the table's definition has
//! changed. Values are slices of the buffer that was read from the network: what is kept must be copied,
//! or it keeps its whole buffer alive.
//!
//! Source: PostgreSQL documentation, 55.9 "Logical Replication Message Formats".

use bytes::Bytes;

use super::cursor::{Cursor, DecodeError};
use crate::shape::Lsn;

#[cfg(test)]
mod tests;

/// One message of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A transaction starts. `commit` is the position of its commit record, the same as in [`Self::Commit`];
    /// `xid` is its 32-bit id.
    Begin {
        commit: Lsn,
        xid: u32,
    },
    /// The transaction is complete. `end` is the position after its commit record: confirming it says
    /// that the transaction need not come again.
    Commit {
        commit: Lsn,
        end: Lsn,
    },
    /// The transaction came here by replication from elsewhere.
    Origin,
    /// The name of a type that is not built in.
    Type,
    /// The definition of a table, before its first change.
    Relation(Relation),
    Insert {
        relation: u32,
        new: Tuple,
    },
    /// `old` is there if the replica identity is `FULL`, or if the update changed the key.
    Update {
        relation: u32,
        old: Option<Old>,
        new: Tuple,
    },
    Delete {
        relation: u32,
        old: Old,
    },
    Truncate {
        relations: Vec<u32>,
    },
    /// `pg_logical_emit_message`; only sent to those who ask.
    Message,
}

/// A table, as the stream describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    /// `pg_class.relreplident`: `d`efault, `n`othing, `f`ull or `i`ndex.
    pub replica_identity: u8,
    /// The published columns, in attribute order; tuples have one field for each.
    pub columns: Vec<RelationColumn>,
}

/// A column of a [`Relation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationColumn {
    pub name: String,
    pub type_oid: u32,
    /// `pg_attribute.atttypmod`; -1 for none.
    pub type_modifier: i32,
    /// Whether the column is part of the replica identity. With `FULL`, all are.
    pub key: bool,
}

/// The row before an update or a delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Old {
    /// All columns: the replica identity is `FULL`.
    Full(Tuple),
    /// Only the columns of the replica identity; the others are [`Field::Null`] whatever they were.
    Key(Tuple),
}

/// One field for each column of the relation.
pub type Tuple = Vec<Field>;

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    Null,
    /// A large value stored outside the row, which the update did not touch and Postgres did not send.
    Unchanged,
    /// As the type's output function prints it. UTF-8, unless the database's encoding is `SQL_ASCII`.
    Text(Bytes),
}

/// An update left a large value unchanged, and the old row does not say what it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stream has no value for column {column} (counted from 0): its table needs REPLICA IDENTITY FULL")]
pub struct MissingValue {
    pub column: usize,
}

/// Reads one message.
///
/// # Errors
///
/// [`DecodeError`] if `payload` is not exactly one well-formed message of protocol version 1.
pub fn decode(payload: Bytes) -> Result<Message, DecodeError> {
    let mut cursor = Cursor::new(payload);
    let message = match cursor.u8()? {
        b'B' => begin(&mut cursor)?,
        b'C' => commit(&mut cursor)?,
        b'R' => Message::Relation(relation(&mut cursor)?),
        b'I' => insert(&mut cursor)?,
        b'U' => update(&mut cursor)?,
        b'D' => delete(&mut cursor)?,
        b'T' => truncate(&mut cursor)?,
        b'O' => origin(&mut cursor)?,
        b'Y' => type_name(&mut cursor)?,
        b'M' => logical_message(&mut cursor)?,
        other => return Err(DecodeError::UnknownMessage(other)),
    };
    cursor.end()?;
    Ok(message)
}

/// The relation that a message is about which cannot be read, if it says so much: other relations may go on.
///
/// A truncation may be of several, and so is of none.
pub fn relation_of(payload: &[u8]) -> Option<u32> {
    match payload {
        [b'R' | b'I' | b'U' | b'D', oid @ ..] => oid.first_chunk().copied().map(u32::from_be_bytes),
        _ => None,
    }
}

/// The new row, with unchanged large values taken from the old one.
///
/// # Errors
///
/// [`MissingValue`] if there is no old row, or it has no value for such a column either.
pub fn complete(new: Tuple, old: Option<&Tuple>) -> Result<Vec<Option<Bytes>>, MissingValue> {
    let value = |(column, field)| match field {
        Field::Null => Ok(None),
        Field::Text(text) => Ok(Some(text)),
        Field::Unchanged => match old.and_then(|old| old.get(column)) {
            Some(Field::Null) => Ok(None),
            Some(Field::Text(text)) => Ok(Some(text.clone())),
            Some(Field::Unchanged) | None => Err(MissingValue { column }),
        },
    };
    new.into_iter().enumerate().map(value).collect()
}

fn begin(cursor: &mut Cursor) -> Result<Message, DecodeError> {
    let commit = Lsn(cursor.u64()?);
    let _committed_at = cursor.u64()?;
    Ok(Message::Begin { commit, xid: cursor.u32()? })
}

fn commit(cursor: &mut Cursor) -> Result<Message, DecodeError> {
    let _flags = cursor.u8()?;
    let (commit, end) = (Lsn(cursor.u64()?), Lsn(cursor.u64()?));
    let _committed_at = cursor.u64()?;
    Ok(Message::Commit { commit, end })
}

fn relation(cursor: &mut Cursor) -> Result<Relation, DecodeError> {
    let oid = cursor.u32()?;
    let mut schema = cursor.name()?;
    if schema.is_empty() {
        // The protocol leaves out this one schema's name.
        schema.push_str("pg_catalog");
    }
    let name = cursor.name()?;
    let replica_identity = cursor.u8()?;
    let count = usize::from(cursor.u16()?);
    let mut columns = Vec::with_capacity(count.min(cursor.remaining()));
    for _ in 0..count {
        let key = cursor.u8()? & 1 == 1;
        let name = cursor.name()?;
        let (type_oid, type_modifier) = (cursor.u32()?, cursor.i32()?);
        columns.push(RelationColumn { name, type_oid, type_modifier, key });
    }
    Ok(Relation { oid, schema, name, replica_identity, columns })
}

fn insert(cursor: &mut Cursor) -> Result<Message, DecodeError> {
    let relation = cursor.u32()?;
    match cursor.u8()? {
        b'N' => Ok(Message::Insert { relation, new: tuple(cursor)? }),
        other => Err(DecodeError::UnknownTuple(other)),
    }
}

fn update(cursor: &mut Cursor) -> Result<Message, DecodeError> {
    let relation = cursor.u32()?;
    let (old, kind) = match cursor.u8()? {
        b'O' => (Some(Old::Full(tuple(cursor)?)), cursor.u8()?),
        b'K' => (Some(Old::Key(tuple(cursor)?)), cursor.u8()?),
        kind => (None, kind),
    };
    match kind {
        b'N' => Ok(Message::Update { relation, old, new: tuple(cursor)? }),
        other => Err(DecodeError::UnknownTuple(other)),
    }
}

fn delete(cursor: &mut Cursor) -> Result<Message, DecodeError> {
    let relation = cursor.u32()?;
    let old = match cursor.u8()? {
        b'O' => Old::Full(tuple(cursor)?),
        b'K' => Old::Key(tuple(cursor)?),
        other => return Err(DecodeError::UnknownTuple(other)),
    };
    Ok(Message::Delete { relation, old })
}

fn truncate(cursor: &mut Cursor) -> Result<Message, DecodeError> {
    let count = cursor.u32()?;
    let _cascade_and_restart = cursor.u8()?;
    let mut relations = Vec::new();
    for _ in 0..count {
        relations.push(cursor.u32()?);
    }
    Ok(Message::Truncate { relations })
}

fn origin(cursor: &mut Cursor) -> Result<Message, DecodeError> {
    let _position = cursor.u64()?;
    cursor.name()?;
    Ok(Message::Origin)
}

fn type_name(cursor: &mut Cursor) -> Result<Message, DecodeError> {
    let _oid = cursor.u32()?;
    cursor.name()?;
    cursor.name()?;
    Ok(Message::Type)
}

fn logical_message(cursor: &mut Cursor) -> Result<Message, DecodeError> {
    let (_flags, _position) = (cursor.u8()?, cursor.u64()?);
    cursor.name()?;
    let length = length(cursor)?;
    cursor.take(length)?;
    Ok(Message::Message)
}

fn tuple(cursor: &mut Cursor) -> Result<Tuple, DecodeError> {
    let count = usize::from(cursor.u16()?);
    // Each field takes a byte at least: a wrong count cannot make us reserve more than we were sent.
    let mut fields = Vec::with_capacity(count.min(cursor.remaining()));
    for _ in 0..count {
        fields.push(match cursor.u8()? {
            b't' => {
                let length = length(cursor)?;
                Field::Text(cursor.take(length)?)
            }
            b'n' => Field::Null,
            b'u' => Field::Unchanged,
            other => return Err(DecodeError::UnknownField(other)),
        });
    }
    Ok(fields)
}

fn length(cursor: &mut Cursor) -> Result<usize, DecodeError> {
    usize::try_from(cursor.i32()?).map_err(|_| DecodeError::CutShort)
}
