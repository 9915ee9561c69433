//! The replication connection against real servers: what it decodes, how it signs in, how it sets up.

mod set_up;
mod sign_in;
mod stream;

use std::collections::HashMap;
use std::time::Duration;

use plue_sync::engine::replication::pgoutput::{Field, Message, Old, Relation, Tuple, decode};
use plue_sync::engine::replication::{Connection, Frame, Publishing, Ready, SetUp, Stream, set_up};
use plue_sync::postgres::Postgres;

use crate::support::{Database, eventually};

const DEADLINE: Duration = Duration::from_secs(30);

async fn connect(url: &str) -> Connection {
    let postgres = Postgres::from_url(url).expect("a valid URL");
    Connection::connect(&postgres).await.expect("a replication connection")
}

/// Sets up slot and publication, and waits while the server still holds an earlier connection of ours.
async fn ready(connection: &mut Connection) -> Ready {
    eventually(DEADLINE, "a slot of our own", async || {
        match set_up(connection, "test", Publishing::Automatic).await.expect("a set-up") {
            SetUp::Ready(ready) => Ok(ready),
            SetUp::Waiting { reason } | SetUp::Unpublished { cure: reason } => Err(reason),
        }
    })
    .await
}

/// A stream with its relations, read transaction by transaction.
struct Reader {
    stream: Stream,
    relations: HashMap<u32, Relation>,
}

impl Reader {
    /// Publishes `tables` (or nothing, if empty) and starts to stream.
    async fn start(database: &Database, tables: &str) -> Self {
        let mut connection = connect(database.url()).await;
        let ready = ready(&mut connection).await;
        if !tables.is_empty() {
            let publish = format!("ALTER PUBLICATION {} ADD TABLE {tables}", ready.publication);
            connection.query(&publish).await.expect("published tables");
        }
        let stream = connection.start(&ready.identity.slot, &ready.publication).await.expect("a stream");
        Self { stream, relations: HashMap::new() }
    }

    /// The messages of the next transaction that changed something.
    async fn transaction(&mut self) -> Vec<Message> {
        let reading = async {
            let mut messages = Vec::new();
            loop {
                let Frame::Data { payload } = self.stream.next().await.expect("a frame") else { continue };
                let message = decode(payload).expect("a well-formed message");
                let complete = matches!(message, Message::Commit { .. });
                messages.push(message);
                match messages.len() {
                    // Servers before version 15 send these.
                    2 if complete => messages.clear(),
                    _ if complete => return messages,
                    _ => {}
                }
            }
        };
        tokio::time::timeout(DEADLINE, reading).await.expect("a transaction in time")
    }

    /// The changes of the next transaction, one line each.
    async fn changes(&mut self) -> Vec<String> {
        let messages = self.transaction().await;
        let changes = messages.into_iter().filter_map(|message| self.describe(message));
        changes.collect()
    }

    fn describe(&mut self, message: Message) -> Option<String> {
        match message {
            Message::Relation(relation) => {
                let key = relation.columns.iter().filter(|column| column.key).map(|column| column.name.as_str());
                let key: Vec<_> = key.collect();
                let line = format!("relation {}.{} key {}", relation.schema, relation.name, key.join(","));
                self.relations.insert(relation.oid, relation);
                Some(line)
            }
            Message::Insert { relation, new } => Some(format!("insert {} {}", self.name(relation), values(&new))),
            Message::Update { relation, old, new } => {
                let (name, old) = (self.name(relation), old.as_ref().map(old_values).unwrap_or_default());
                Some(format!("update {name} {old}{}", values(&new)))
            }
            Message::Delete { relation, old } => Some(format!("delete {} {}", self.name(relation), old_values(&old))),
            Message::Truncate { relations } => {
                let names: Vec<_> = relations.iter().map(|relation| self.name(*relation)).collect();
                Some(format!("truncate {}", names.join(" ")))
            }
            Message::Begin { .. } | Message::Commit { .. } => None,
            other => Some(format!("{other:?}")),
        }
    }

    fn name(&self, relation: u32) -> String {
        self.relations.get(&relation).expect("a relation before its changes").name.clone()
    }
}

fn values(tuple: &Tuple) -> String {
    let value = |field: &Field| match field {
        Field::Null => "null".to_owned(),
        Field::Unchanged => "unchanged".to_owned(),
        Field::Text(text) => String::from_utf8(text.to_vec()).expect("UTF-8"),
    };
    format!("({})", tuple.iter().map(value).collect::<Vec<_>>().join(", "))
}

fn old_values(old: &Old) -> String {
    match old {
        Old::Full(tuple) => format!("full{} ", values(tuple)),
        Old::Key(tuple) => format!("key{} ", values(tuple)),
    }
}
