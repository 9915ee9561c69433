//! A client of the shape protocol that believes nothing: it checks every message against what it holds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::shape::{Event, Message, Reply, Row, Shape};
use super::tags::Tags;

/// How long a refused (503) request is left alone. The server says whole seconds; a test asks again sooner.
const RETRY: Duration = Duration::from_millis(100);
const RETRIES: usize = 600;

/// Messages that a failure shows.
const RECENT: usize = 60;

/// Where a change stands: commit LSN and position in the transaction.
pub type Position = (u64, u64);

/// A reader of one shape, and the rows that it holds.
pub struct Reader {
    shape: Shape,
    pub handle: String,
    pub offset: String,
    /// By key.
    pub rows: BTreeMap<String, Row>,
    /// What the log told, in order: position, operation, key.
    pub log: Vec<(Position, String, String)>,
    /// How often it had to start over (409).
    pub refetches: usize,
    /// How often it was told to come again (503).
    pub refused: usize,
    /// The columns of the primary key; empty if there is none.
    key: BTreeSet<String>,
    snapshot_ended: bool,
    /// Whether the last change was the last of its transaction.
    complete: bool,
    /// Why rows are there, in a shape with subqueries.
    tags: Tags,
    /// Whether rows of a move have come, and not their end.
    moving_in: bool,
    /// The new key, after the first half of a change of key.
    moving: Option<(String, String)>,
    cursor: String,
    /// The messages that came last.
    recent: VecDeque<String>,
}

impl Reader {
    /// A reader that has read nothing yet.
    pub fn new(shape: &Shape) -> Self {
        Self {
            shape: shape.clone(),
            handle: String::new(),
            offset: "-1".to_owned(),
            rows: BTreeMap::new(),
            log: Vec::new(),
            refetches: 0,
            refused: 0,
            key: BTreeSet::new(),
            snapshot_ended: false,
            complete: true,
            tags: Tags::default(),
            moving_in: false,
            moving: None,
            cursor: String::new(),
            recent: VecDeque::new(),
        }
    }

    /// Goes on at another address of the same shape: that of a restarted server.
    pub fn go_on_at(&mut self, shape: &Shape) {
        self.shape = shape.clone();
    }

    /// A reader that has read all there is.
    pub async fn up_to_date(shape: &Shape) -> Self {
        let mut reader = Self::new(shape);
        reader.catch_up().await;
        reader
    }

    /// Reads until it is up to date, without waiting for anything.
    pub async fn catch_up(&mut self) {
        while !self.read(false).await {}
    }

    /// Follows by long-polls until the rows are as wanted. Panics after `limit`.
    pub async fn follow_until(&mut self, limit: Duration, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + limit;
        let following = async {
            self.catch_up().await;
            let mut up_to_date = true;
            // A chunk may end within a transaction: only where it says so, the rows are those of one moment.
            while !(up_to_date && done(self)) {
                up_to_date = self.read(true).await;
            }
        };
        if timeout_at(deadline, following).await.is_err() {
            self.give_up(limit, what);
        }
    }

    /// The rows' `id`, sorted as text.
    pub fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.rows.values().filter_map(|row| row["id"].clone()).collect();
        ids.sort();
        ids
    }

    /// Follows by long-polls until the rows are those with these ids. Panics after `limit`.
    pub async fn until_ids(&mut self, limit: Duration, wanted: &[&str]) {
        self.follow_until(limit, &format!("rows {wanted:?}"), |reader| reader.ids() == wanted).await;
    }

    fn give_up(&self, limit: Duration, what: &str) -> ! {
        let (name, rows) = (self.shape.name(), self.rows.keys().collect::<Vec<_>>());
        panic!("{name}: waited {limit:?} for {what}; at {} with {rows:?}, after {:#?}", self.offset, self.recent);
    }

    /// Follows by streams of events until the rows are as wanted. Panics after `limit`.
    pub async fn stream_until(&mut self, limit: Duration, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + limit;
        let following = async {
            self.catch_up().await;
            while !done(self) {
                self.stream(&done).await;
            }
        };
        if timeout_at(deadline, following).await.is_err() {
            self.give_up(limit, what);
        }
    }

    /// The long-poll that the reader would send next, once it has caught up.
    pub fn next_poll(&self) -> String {
        let at = [("offset", self.offset.as_str()), ("handle", &self.handle), ("cursor", &self.cursor)];
        self.shape.query(&[&at[..], &[("live", "true")]].concat())
    }

    /// Takes the answer to that, whoever asked for it. Says whether the reader is up to date.
    pub async fn answered(&mut self, reply: &Reply) -> bool {
        if reply.status == 200 { self.take(reply, true) } else { self.refused(reply).await }
    }

    /// One request. Says whether the reader is up to date.
    async fn read(&mut self, live: bool) -> bool {
        let mut more = vec![("offset", self.offset.as_str())];
        if self.offset != "-1" {
            more.push(("handle", &self.handle));
        }
        let live = live && self.offset != "-1";
        if live {
            more.extend([("live", "true"), ("cursor", self.cursor.as_str())]);
        }
        let reply = self.shape.get(&more).await;
        match reply.status {
            200 => self.take(&reply, live),
            _ => self.refused(&reply).await,
        }
    }

    /// Reads events until the stream ends, or the reader is up to date and done.
    async fn stream(&mut self, done: &impl Fn(&Self) -> bool) {
        let mut events = self.shape.events(&self.handle, &self.offset).await;
        if events.status != 200 {
            self.read(false).await;
            return;
        }
        let mut between = true;
        while let Some(event) = events.next().await {
            let Event::Message(message) = event else { continue };
            between = message.kind() == "up-to-date";
            if between {
                let seen = message.headers.global_last_seen_lsn.as_deref().expect("a position");
                // As the official client does.
                self.offset = format!("{seen}_0");
            }
            self.apply(*message);
            if between && done(self) {
                return;
            }
        }
        assert!(between, "{}: the stream ended within a transaction", self.shape.name());
    }

    async fn refused(&mut self, reply: &Reply) -> bool {
        match reply.status {
            409 => {
                assert_eq!(reply.text(), r#"[{"headers":{"control":"must-refetch"}}]"#, "{}", self.shape.name());
                let (refetches, refused) = (self.refetches + 1, self.refused);
                let shape = self.shape.clone();
                *self = Self { refetches, refused, ..Self::new(&shape) };
            }
            503 => {
                self.refused += 1;
                assert!(reply.header("retry-after").is_some(), "{reply:?}");
                assert!(self.refused < RETRIES, "{}: still refused: {}", self.shape.name(), reply.text());
                tokio::time::sleep(RETRY).await;
            }
            status => panic!("{} at {}: {status} {}", self.shape.name(), self.offset, reply.text()),
        }
        false
    }

    fn take(&mut self, reply: &Reply, live: bool) -> bool {
        let at = || format!("{} after {}", self.shape.name(), self.offset);
        let handle = reply.handle();
        assert!(self.offset == "-1" || handle == self.handle, "{}: another handle, {handle}", at());
        if let Some(schema) = reply.header("electric-schema") {
            assert!(!live, "{}: a schema in a live answer", at());
            let schema: BTreeMap<String, Value> = serde_json::from_str(schema).expect("a schema in JSON");
            self.key =
                schema.into_iter().filter(|(_, of)| of.get("pk_index").is_some()).map(|(name, _)| name).collect();
        }
        let messages = reply.messages();
        let up_to_date = messages.last().is_some_and(|message| message.kind() == "up-to-date");
        assert_eq!(reply.header("electric-up-to-date").is_some(), up_to_date, "{}: {:?}", at(), reply.headers);
        let early = messages.iter().rev().skip(1).any(|message| message.kind() == "up-to-date");
        assert!(!early, "{}: up-to-date before the end", at());
        let ends = messages.iter().rev().find(|message| message.kind() != "up-to-date");
        let (offset, last) = (reply.offset(), ends.and_then(Message::position));
        if let Some((lsn, op)) = last {
            assert_eq!(offset, format!("{lsn}_{op}"), "{}: not the offset of the last change", at());
        }
        self.handle = handle;
        self.offset = offset;
        self.cursor = reply.header("electric-cursor").unwrap_or_default().to_owned();
        for message in messages {
            self.apply(message);
        }
        up_to_date
    }

    fn apply(&mut self, message: Message) {
        self.recent.push_back(format!("{} {:?} {:?} {:?}", self.offset, message.kind(), message.key, message.headers));
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        match message.kind() {
            "snapshot-end" => {
                let expected = !self.snapshot_ended || self.moving_in;
                self.check(expected, &message, "an end of rows that did not come");
                self.snapshot_ended = true;
                self.moving_in = false;
            }
            "up-to-date" => {
                self.check(self.snapshot_ended, &message, "up to date within the snapshot");
                self.check(self.complete, &message, "up to date within a transaction");
                self.check(self.moving.is_none(), &message, "up to date within a change of key");
                self.check(!self.moving_in, &message, "up to date within the rows of a move");
            }
            "move-in" | "move-out" => {
                self.check(message.headers.txids.is_some(), &message, "an event without its transactions");
                for key in self.tags.event(&message) {
                    self.rows.remove(&key);
                }
            }
            "insert" | "update" | "delete" => {
                self.check_place(&message);
                self.change(message);
            }
            _ => panic!("{}: {message:?}", self.shape.name()),
        }
    }

    /// Whether a change stands where it may.
    fn check_place(&mut self, message: &Message) {
        let Some(position) = message.position() else {
            if message.headers.is_move_in == Some(true) {
                self.check(message.kind() == "insert", message, "a move of something else than a row");
                self.moving_in = true;
                return;
            }
            if self.snapshot_ended && message.headers.tags.is_some() {
                // What became different while nobody followed: old rows go, before the new ones come.
                self.check(message.kind() == "delete", message, "a change without a position");
                return;
            }
            self.check(!self.snapshot_ended, message, "a row of the snapshot after its end");
            self.check(message.kind() == "insert", message, "a change in the snapshot");
            return;
        };
        self.check(self.snapshot_ended, message, "a change before the end of the snapshot");
        self.check(message.headers.txids.as_ref().is_some_and(|ids| ids.len() == 1), message, "not one transaction");
        if let Some((before, ..)) = self.log.last() {
            self.check(*before < position, message, "a change out of order");
            self.check(self.complete != (before.0 == position.0), message, "`last` at the wrong change");
        }
        self.complete = message.headers.last == Some(true);
        self.check(self.complete || message.headers.last.is_none(), message, "`last` is neither true nor absent");
        let (kind, key) = (message.kind().to_owned(), message.key.clone().expect("a key"));
        self.log.push((position, kind, key));
    }

    fn change(&mut self, message: Message) {
        let key = message.key.clone().unwrap_or_else(|| panic!("no key in {message:?}"));
        let value = message.value.clone().unwrap_or_else(|| panic!("no value in {message:?}"));
        let (from, to) = (message.headers.key_change_from.clone(), message.headers.key_change_to.clone());
        let expected = self.moving.take();
        let given = from.map(|from| (from, key.clone()));
        self.check(given == expected, &message, "not the second half of the change of key before it");
        let has_tags = self.tags.change(&key, &message);
        self.check(has_tags || self.tags.is_empty(), &message, "a row without tags");
        match message.kind() {
            "insert" => {
                self.check(!self.rows.contains_key(&key), &message, "an insert of a known key");
                self.rows.insert(key, value);
            }
            "update" => self.update(&message, &key, value),
            _ => {
                let Some(old) = self.rows.remove(&key) else { self.fail(&message, "a delete of an unknown row") };
                let whole = self.shape.is_full() || self.key.is_empty();
                let shown: Row = old.into_iter().filter(|(name, _)| whole || self.key.contains(name)).collect();
                self.check(value == shown, &message, "a delete that shows another row");
                self.moving = to.map(|to| (key, to));
            }
        }
    }

    fn update(&mut self, message: &Message, key: &str, value: Row) {
        let Some(row) = self.rows.get(key) else { self.fail(message, "an update of an unknown row") };
        let mut new = row.clone();
        new.extend(value.clone());
        let changed: Row =
            row.iter().filter(|(name, old)| new[*name] != **old).map(|(n, v)| (n.clone(), v.clone())).collect();
        let tagged = message.headers.tags.is_some();
        self.check(!changed.is_empty() || tagged, message, "an update that changes nothing");
        self.check(new.len() == row.len(), message, "an update with other columns");
        if self.shape.is_full() {
            self.check(value.len() == row.len(), message, "not the whole row");
            self.check(message.old_value.as_ref() == Some(&changed), message, "other old values than were there");
        } else {
            let told = value.keys().filter(|name| !self.key.contains(*name));
            self.check(told.eq(changed.keys()), message, "not just what changed");
            self.check(self.key.iter().all(|name| value.contains_key(name)), message, "without the key");
            self.check(message.old_value.is_none(), message, "with old values");
        }
        self.rows.insert(key.to_owned(), new);
    }

    fn check(&self, holds: bool, message: &Message, otherwise: &str) {
        if !holds {
            self.fail(message, otherwise);
        }
    }

    fn fail(&self, message: &Message, reason: &str) -> ! {
        panic!("{}: {reason}: {message:?}, after {:#?}", self.shape.name(), self.recent);
    }
}
