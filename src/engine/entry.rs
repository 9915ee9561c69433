//! Rows and changes as JSON messages: encoded once for all shapes that show the same columns.
//!
//! The same code writes the rows of a snapshot and the changes of the log, so that keys and values of one
//! row never differ between the two.

use bytes::Bytes;

use super::tables::Table;
use crate::shape::{Lsn, Replica, quote_identifier};

#[cfg(test)]
mod tests;

/// A row in the order of [`Table::columns`]: text as Postgres prints it, or NULL.
pub type Row<V> = [Option<V>];

/// Which columns a shape shows, and how much of an old row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Projection {
    /// Positions in [`Table::columns`], in the order in which values are written.
    pub columns: Vec<usize>,
    pub replica: Replica,
}

/// What a change does to the rows of one shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    Insert,
    Update,
    Delete,
}

impl Operation {
    /// What readers of a shape are told, by whether the old and the new row match its filter.
    pub fn for_readers(old_matches: bool, new_matches: bool) -> Option<Self> {
        match (old_matches, new_matches) {
            (true, true) => Some(Self::Update),
            (false, true) => Some(Self::Insert),
            (true, false) => Some(Self::Delete),
            (false, false) => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// Writes the messages of one table for one projection.
#[derive(Debug)]
pub struct Encoder {
    /// `{"key":"\"public\".\"items\"`, ready to be followed by the key's values.
    key_start: Vec<u8>,
    /// Positions of the key, in key order.
    key: Vec<usize>,
    /// `"name":` of every column of the table.
    names: Vec<Vec<u8>>,
    /// `,"headers":{"operation":"..","relation":[..]` up to the operation, and after it.
    relation: Vec<u8>,
    projection: Projection,
    has_primary_key: bool,
}

/// Where in the stream a change stands.
#[derive(Debug, Clone, Copy)]
pub struct Position {
    pub commit: Lsn,
    pub xid: u32,
    pub op: u64,
}

impl Encoder {
    /// An encoder for `projection` of `table`.
    pub fn new(table: &Table, projection: Projection) -> Self {
        let mut key_start = b"{\"key\":\"".to_vec();
        let name = format!("{}.{}", quote_identifier(&table.name.schema), quote_identifier(&table.name.name));
        write_escaped(&mut key_start, name.as_bytes());
        let names = table.columns.iter().map(|column| {
            let mut name = json_string(column.name.as_bytes());
            name.push(b':');
            name
        });
        let mut relation = b",\"relation\":[".to_vec();
        relation.extend(json_string(table.name.schema.as_bytes()));
        relation.push(b',');
        relation.extend(json_string(table.name.name.as_bytes()));
        relation.push(b']');
        Self {
            key_start,
            key: table.key.clone(),
            names: names.collect(),
            relation,
            projection,
            has_primary_key: table.has_primary_key,
        }
    }

    /// Writes a row with all its columns, up to where more headers may follow.
    pub fn row<V: AsRef<[u8]>>(&self, out: &mut Vec<u8>, operation: Operation, row: &Row<V>) {
        self.start(out, row);
        self.object(out, row, |_| true);
        self.headers(out, operation);
    }

    /// The message of a change without its end (see [`super::log::Entry::json`]).
    ///
    /// `row` is the new row, for a delete the old one; `old` the old row of an update.
    pub fn change(&self, operation: Operation, row: &Row<Bytes>, old: Option<&Row<Bytes>>, at: Position) -> Bytes {
        let size = row.iter().flatten().map(|value| value.len() + 16).sum::<usize>() + 192;
        let mut out = Vec::with_capacity(size);
        self.start(&mut out, row);
        let full = self.projection.replica == Replica::Full;
        match (operation, old) {
            (Operation::Update, Some(old)) if full => {
                self.object(&mut out, row, |_| true);
                out.extend_from_slice(b",\"old_value\":");
                self.object(&mut out, old, |column| old[column] != row[column]);
            }
            (Operation::Update, Some(old)) => {
                self.object(&mut out, row, |column| self.key.contains(&column) || old[column] != row[column]);
            }
            (Operation::Delete, _) if !full && self.has_primary_key => {
                self.object(&mut out, row, |column| self.key.contains(&column));
            }
            _ => self.object(&mut out, row, |_| true),
        }
        self.headers(&mut out, operation);
        write_position(&mut out, at);
        out.into()
    }

    /// The two halves of a change of key: the old row goes, the new one comes. `at` is the first half's.
    pub fn key_change(&self, old: &Row<Bytes>, new: &Row<Bytes>, at: Position) -> [Bytes; 2] {
        let mut halves = [(Operation::Delete, old, at), (Operation::Insert, new, Position { op: at.op + 1, ..at })]
            .map(|(operation, row, at)| Vec::from(self.change(operation, row, None, at)));
        for (half, name, row) in [(0, "key_change_to", new), (1, "key_change_from", old)] {
            let out = &mut halves[half];
            out.extend_from_slice(format!(",\"{name}\":\"").as_bytes());
            out.extend_from_slice(&self.key_start[b"{\"key\":\"".len()..]);
            self.key_values(out, row);
            out.push(b'"');
        }
        halves.map(Bytes::from)
    }

    /// Whether an update shows in this projection at all.
    pub fn shows(&self, old: &Row<Bytes>, new: &Row<Bytes>) -> bool {
        self.projection.columns.iter().any(|&column| old[column] != new[column])
    }

    /// Whether both rows have the same key.
    pub fn same_key(&self, old: &Row<Bytes>, new: &Row<Bytes>) -> bool {
        self.key.iter().all(|&column| old[column] == new[column])
    }

    fn start<V: AsRef<[u8]>>(&self, out: &mut Vec<u8>, row: &Row<V>) {
        out.extend_from_slice(&self.key_start);
        self.key_values(out, row);
        out.extend_from_slice(b"\",\"value\":");
    }

    /// `/"<value>"` for each column of the key, inside a JSON string; NULL is `/_`.
    fn key_values<V: AsRef<[u8]>>(&self, out: &mut Vec<u8>, row: &Row<V>) {
        for &column in &self.key {
            match &row[column] {
                None => out.extend_from_slice(b"/_"),
                Some(value) => {
                    out.extend_from_slice(b"/\\\"");
                    // A slash within a value is doubled, so that it cannot be taken for the next part.
                    for (part, text) in value.as_ref().split(|byte| *byte == b'/').enumerate() {
                        if part > 0 {
                            out.extend_from_slice(b"//");
                        }
                        write_escaped(out, text);
                    }
                    out.extend_from_slice(b"\\\"");
                }
            }
        }
    }

    fn object<V: AsRef<[u8]>>(&self, out: &mut Vec<u8>, row: &Row<V>, shown: impl Fn(usize) -> bool) {
        let mut separator = b'{';
        for &column in &self.projection.columns {
            if !shown(column) {
                continue;
            }
            out.push(separator);
            separator = b',';
            out.extend_from_slice(&self.names[column]);
            match &row[column] {
                None => out.extend_from_slice(b"null"),
                Some(value) => {
                    out.push(b'"');
                    write_escaped(out, value.as_ref());
                    out.push(b'"');
                }
            }
        }
        if separator == b'{' {
            out.push(b'{');
        }
        out.push(b'}');
    }

    fn headers(&self, out: &mut Vec<u8>, operation: Operation) {
        out.extend_from_slice(b",\"headers\":{\"operation\":\"");
        out.extend_from_slice(operation.name().as_bytes());
        out.push(b'"');
        out.extend_from_slice(&self.relation);
    }
}

fn write_position(out: &mut Vec<u8>, at: Position) {
    let mut digits = itoa::Buffer::new();
    out.extend_from_slice(b",\"lsn\":\"");
    out.extend_from_slice(digits.format(at.commit.0).as_bytes());
    out.extend_from_slice(b"\",\"op_position\":");
    out.extend_from_slice(digits.format(at.op).as_bytes());
    out.extend_from_slice(b",\"txids\":[");
    out.extend_from_slice(digits.format(at.xid).as_bytes());
    out.push(b']');
}

fn json_string(text: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    write_escaped(&mut out, text);
    out.push(b'"');
    out
}

/// Writes UTF-8 text as the inside of a JSON string.
pub fn write_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\') {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}
