//! The changes of one shape as they come, for tests that say what is told.

use tokio::time::timeout;

use super::SOON;
use crate::support::{Message, Shape};

/// A reader at the end of a log.
pub struct Tail {
    pub shape: Shape,
    pub handle: String,
    pub offset: String,
}

impl Tail {
    /// The end of a shape's log, as it is now.
    pub async fn of(shape: &Shape) -> Self {
        let mut reply = shape.first().await.is(200);
        let handle = reply.handle();
        while reply.header("electric-up-to-date").is_none() {
            reply = shape.get(&[("offset", &reply.offset()), ("handle", &handle)]).await.is(200);
        }
        Self { shape: shape.clone(), handle, offset: reply.offset() }
    }

    /// The next changes, by a long-poll.
    pub async fn next(&mut self) -> Vec<Message> {
        let waiting = async {
            loop {
                let more = [("offset", self.offset.as_str()), ("handle", &self.handle), ("live", "true")];
                let reply = self.shape.get(&more).await.is(200);
                self.offset = reply.offset();
                let changes = reply.changes();
                if !changes.is_empty() {
                    return changes;
                }
            }
        };
        timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("no change of {} in {SOON:?}", self.shape.name()))
    }

    /// All changes before the one of the row whose key ends like this.
    pub async fn before(&mut self, key: &str) -> Vec<Message> {
        let mut all = Vec::new();
        loop {
            all.extend(self.next().await);
            let ends = |message: &Message| message.key.as_ref().is_some_and(|of| of.ends_with(key));
            if let Some(at) = all.iter().position(ends) {
                assert_eq!(at + 1, all.len(), "more than expected after {key}: {all:?}");
                all.pop();
                return all;
            }
        }
    }

    /// The same, each in a few words.
    pub async fn told_before(&mut self, key: &str) -> Vec<String> {
        self.before(key).await.iter().map(told).collect()
    }
}

/// A change in a few words: `update "1": id=1 title=b, was title=a`.
pub fn told(message: &Message) -> String {
    let row = |row: &crate::support::Row| {
        let columns = row.iter().map(|(name, value)| format!("{name}={}", value.as_deref().unwrap_or("null")));
        columns.collect::<Vec<_>>().join(" ")
    };
    let key = |key: &str| key.split_once('/').map_or(key, |(_, values)| values).to_owned();
    let mut text = format!("{} {}", message.kind(), key(message.key.as_deref().unwrap_or_default()));
    if let Some(value) = &message.value {
        text += &format!(": {}", row(value));
    }
    if let Some(old) = &message.old_value {
        text += &format!(", was {}", row(old));
    }
    if let Some(to) = &message.headers.key_change_to {
        text += &format!(", to {}", key(to));
    }
    if let Some(from) = &message.headers.key_change_from {
        text += &format!(", from {}", key(from));
    }
    text
}
