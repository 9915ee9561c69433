//! After a start: what became different in a shape while nobody followed it.
//!
//! What its readers have is in its own files. What they should have is read from Postgres, at the moment from which the shape is followed
//! again. The difference goes to its log.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, pin_mut};
use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use super::tags::rows_end;
use crate::engine::log::{Part, Read};
use crate::engine::shape::{Files, Shape};
use crate::engine::snapshot::{Chunk, Failure, Mark, Messages, failure};
use crate::shape::{Offset, Replica};

/// Files larger than this together are not read again: the shape starts over.
const MOST_BYTES: u64 = 256 << 20;

/// One message, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Message {
    key: Option<String>,
    #[serde(default)]
    value: BTreeMap<String, Option<String>>,
    headers: Headers,
}

#[derive(Debug, Deserialize)]
struct Headers {
    operation: Option<String>,
    event: Option<String>,
    #[serde(default)]
    patterns: Vec<Pattern>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    active_conditions: Vec<bool>,
}

#[derive(Debug, Deserialize)]
struct Pattern {
    pos: usize,
    value: String,
}

/// A row as readers have it.
#[derive(Debug, PartialEq, Eq)]
struct Known {
    value: BTreeMap<String, Option<String>>,
    tags: Vec<String>,
    active: Vec<bool>,
}

/// What readers of a shape have, by key.
#[derive(Debug, Default)]
struct Readers {
    rows: HashMap<String, Known>,
    /// Rows with a slot in a position.
    by_slot: HashMap<(usize, String), HashSet<String>>,
}

impl Known {
    fn slots(&self) -> impl Iterator<Item = (usize, &str)> {
        self.tags.iter().flat_map(|tag| tag.split('/').enumerate()).filter(|(_, slot)| !slot.is_empty())
    }

    /// As readers decide it: one tag's positions are all active.
    fn is_visible(&self) -> bool {
        self.tags.iter().any(|tag| {
            let mut positions = tag.split('/').enumerate().filter(|(_, slot)| !slot.is_empty());
            positions.all(|(at, _)| self.active.get(at) == Some(&true))
        })
    }
}

impl Readers {
    fn apply(&mut self, message: Message) {
        let Message { key, value, headers } = message;
        match (key, headers.operation.as_deref(), headers.event.as_deref()) {
            (Some(key), Some("delete"), _) => drop(self.forget(&key)),
            (Some(key), Some(_), _) => {
                let mut row = self.forget(&key).map(|known| known.value).unwrap_or_default();
                row.extend(value);
                self.learn(key, Known { value: row, tags: headers.tags, active: headers.active_conditions });
            }
            (_, _, Some(event)) => {
                headers.patterns.into_iter().for_each(|pattern| self.event(event == "move-in", pattern))
            }
            _ => {}
        }
    }

    fn event(&mut self, active: bool, Pattern { pos, value }: Pattern) {
        let keys = self.by_slot.get(&(pos, value)).cloned().unwrap_or_default();
        for key in keys {
            let Some(row) = self.rows.get_mut(&key) else { continue };
            if let Some(condition) = row.active.get_mut(pos) {
                *condition = active;
            }
            if !row.is_visible() {
                self.forget(&key);
            }
        }
    }

    fn learn(&mut self, key: String, row: Known) {
        for (at, slot) in row.slots() {
            self.by_slot.entry((at, slot.to_owned())).or_default().insert(key.clone());
        }
        self.rows.insert(key, row);
    }

    fn forget(&mut self, key: &str) -> Option<Known> {
        let row = self.rows.remove(key)?;
        for (at, slot) in row.slots() {
            if let Some(keys) = self.by_slot.get_mut(&(at, slot.to_owned())) {
                keys.remove(key);
            }
        }
        Some(row)
    }
}

/// What readers must be told so that they have the rows that `client`'s transaction, which is at `mark`, sees: messages without the end that every entry has.
///
/// # Errors
/// The files or the rows cannot be read, or there is too much of them.
pub async fn news(client: &Client, mark: &Mark, files: &Files, shape: &Arc<Shape>) -> Result<Vec<Bytes>, Failure> {
    let (owned, of) = (files.clone(), Arc::clone(shape));
    let read = tokio::task::spawn_blocking(move || read_files(&owned, &of)).await;
    let readers = read.map_err(io::Error::other).and_then(|read| read);
    let mut readers =
        readers.map_err(|error| Failure::Unexpected(format!("the shape's files cannot be read: {error}")))?;
    let mut messages = Messages::new(shape);
    let rows = client.copy_out(&messages.query()).await.map_err(|error| failure(&error))?;
    pin_mut!(rows);
    let (mut news, mut come, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    while let Some(line) = rows.next().await {
        let line = line.map_err(|error| failure(&error))?;
        let mut json = Vec::new();
        let unexpected = |what: &str| Failure::Unexpected(what.to_owned());
        messages
            .write(&mut json, &line, b",\"is_move_in\":true")
            .ok_or_else(|| unexpected("a row does not have its columns"))?;
        let whole = [&json[..], b"}}"].concat();
        let message: Message = serde_json::from_slice(&whole).map_err(|_| unexpected("a row is not JSON"))?;
        let key = message.key.unwrap_or_default();
        // Without a primary key, rows that are alike are one to readers.
        if !seen.insert(key.clone()) {
            continue;
        }
        let now = Known { value: message.value, tags: message.headers.tags, active: message.headers.active_conditions };
        match readers.forget(&key) {
            Some(known) if known == now => {}
            Some(known) => {
                news.push(gone(shape, &key, known));
                come.push(Bytes::from(json));
            }
            None => come.push(Bytes::from(json)),
        }
    }
    let left: Vec<String> = readers.rows.keys().cloned().collect();
    news.extend(left.into_iter().filter_map(|key| readers.forget(&key).map(|known| gone(shape, &key, known))));
    if !come.is_empty() {
        come.push(rows_end(mark));
    }
    news.extend(come);
    Ok(news)
}

/// A row that readers have and that is no more.
fn gone(shape: &Shape, key: &str, known: Known) -> Bytes {
    #[derive(Serialize)]
    struct Gone<'a> {
        key: &'a str,
        value: BTreeMap<String, Option<String>>,
        headers: GoneHeaders<'a>,
    }
    #[derive(Serialize)]
    struct GoneHeaders<'a> {
        operation: &'a str,
        relation: [&'a str; 2],
        tags: Vec<String>,
        active_conditions: Vec<bool>,
    }
    let table = &shape.definition.table;
    let Known { mut value, tags, active } = known;
    if shape.definition.replica == Replica::Default && table.has_primary_key {
        value.retain(|name, _| table.key.iter().any(|at| table.columns[*at].name == *name));
    }
    let relation = [table.name.schema.as_str(), table.name.name.as_str()];
    let headers = GoneHeaders { operation: "delete", relation, tags, active_conditions: active };
    let mut json = serde_json::to_vec(&Gone { key, value, headers }).expect("text and lists are always JSON");
    json.truncate(json.len() - b"}}".len());
    json.into()
}

fn read_files(files: &Files, shape: &Shape) -> io::Result<Readers> {
    let mut readers = Readers::default();
    let path: PathBuf = files.snapshot(&shape.handle);
    let file = std::fs::File::open(&path)?;
    let mut bytes = file.metadata()?.len();
    let mut number = 0;
    while let Some(Ok(Chunk::Bytes { start, end })) = shape.snapshot.find(number) {
        within_bounds(bytes)?;
        let mut chunk = vec![0; (end - start) as usize + 2];
        let last = chunk.len() - 1;
        file.read_exact_at(&mut chunk[1..last], start)?;
        (chunk[0], chunk[last]) = (b'[', b']');
        let messages: Vec<Message> = serde_json::from_slice(&chunk)?;
        messages.into_iter().for_each(|message| readers.apply(message));
        number += 1;
    }
    let mut after = Offset::SNAPSHOT_END;
    while let Read::Entries { end, .. } = shape.log.read_after(after) {
        let entries = match shape.log.part(after, end, MOST_BYTES as usize) {
            Part::Memory(entries) => entries,
            Part::File(place) => place.read(&files.log(&shape.handle))?,
            Part::Ended => break,
        };
        let Some(last) = entries.last().map(|entry| entry.offset) else { break };
        for entry in entries {
            let mut json = BytesMut::with_capacity(entry.len());
            entry.write(&mut json);
            bytes += json.len() as u64;
            readers.apply(serde_json::from_slice(&json)?);
        }
        within_bounds(bytes)?;
        after = last;
    }
    Ok(readers)
}

fn within_bounds(bytes: u64) -> io::Result<()> {
    if bytes > MOST_BYTES { Err(io::Error::other("they are too large to be compared")) } else { Ok(()) }
}
