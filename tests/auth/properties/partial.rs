//! A reader of a log of changes alone, which has loaded its rows as a subset.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{sleep, timeout};

use crate::support::{Message, Reply, Shape, Tags};

/// How long a refused (503) request is left alone.
const RETRY: Duration = Duration::from_millis(50);
const RETRIES: usize = 200;

/// The reader, and the ids of its rows by their keys.
pub struct Partial {
    shape: Shape,
    handle: String,
    offset: String,
    /// `None` until they are loaded.
    rows: Option<BTreeMap<String, String>>,
    tags: Tags,
    /// How often it had to start over.
    pub refetches: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subset {
    #[serde(rename = "metadata")]
    _metadata: Box<RawValue>,
    data: Vec<Message>,
}

impl Partial {
    pub fn new(shape: &Shape) -> Self {
        let (handle, offset) = (String::new(), "-1".to_owned());
        Self { shape: shape.clone(), handle, offset, rows: None, tags: Tags::default(), refetches: 0 }
    }

    /// The ids of its rows, sorted as text.
    pub fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.rows.iter().flat_map(BTreeMap::values).cloned().collect();
        ids.sort_unstable();
        ids
    }

    /// Goes on with the same shape as another.
    pub fn go_on_at(&mut self, shape: &Shape) {
        self.shape = shape.clone();
    }

    /// Follows until the rows are these. Nobody may write meanwhile: what the log repeats of the loaded rows is not looked into.
    pub async fn until_ids(&mut self, limit: Duration, what: &str, wanted: &[String]) {
        let following = async {
            loop {
                while !self.read(false).await {}
                if self.rows.is_none() && !self.load().await {
                    continue;
                }
                if self.ids() == wanted {
                    return;
                }
                self.read(true).await;
            }
        };
        if timeout(limit, following).await.is_err() {
            panic!(
                "{}: waited {limit:?} for {what}, {wanted:?}; has {:?} at {}",
                self.shape.name(),
                self.ids(),
                self.offset
            );
        }
    }

    /// Follows for ever.
    pub async fn follow(&mut self) {
        loop {
            self.read(true).await;
        }
    }

    /// Loads all rows. Says whether it did.
    async fn load(&mut self) -> bool {
        let Some(reply) = self.ask(&[("subset__where", "TRUE")]).await else { return false };
        let subset: Subset = serde_json::from_slice(&reply.body).unwrap_or_else(|e| panic!("{e} in {}", reply.text()));
        let mut rows = BTreeMap::new();
        for message in subset.data {
            let key = message.key.clone().expect("a key");
            self.tags.change(&key, &message);
            rows.insert(key, message.column("id").expect("an id").to_owned());
        }
        self.rows = Some(rows);
        true
    }

    /// Reads what the log has after its position. Says whether it is up to date.
    async fn read(&mut self, live: bool) -> bool {
        let live: &[(&str, &str)] = if live && self.offset != "-1" { &[("live", "true")] } else { &[] };
        let Some(reply) = self.ask(live).await else { return false };
        (self.handle, self.offset) = (reply.handle(), reply.offset());
        for message in reply.messages() {
            self.apply(&message);
        }
        reply.header("electric-up-to-date").is_some()
    }

    /// `None` if it has to start over.
    async fn ask(&mut self, more: &[(&str, &str)]) -> Option<Reply> {
        for _ in 0..RETRIES {
            let mut all = vec![("offset", self.offset.as_str())];
            if self.offset != "-1" {
                all.push(("handle", &self.handle));
            }
            all.extend(more);
            let reply = self.shape.get(&all).await;
            match reply.status {
                200 => return Some(reply),
                409 => {
                    let refetches = self.refetches + 1;
                    *self = Self { refetches, ..Self::new(&self.shape) };
                    return None;
                }
                503 => sleep(RETRY).await,
                status => panic!("{} at {}: {status} {}", self.shape.name(), self.offset, reply.text()),
            }
        }
        panic!("{}: refused {RETRIES} times", self.shape.name());
    }

    fn apply(&mut self, message: &Message) {
        let Some(rows) = &mut self.rows else { return };
        match message.kind() {
            "snapshot-end" | "up-to-date" => {}
            "move-in" | "move-out" => {
                for key in self.tags.event(message) {
                    rows.remove(&key);
                }
            }
            kind => {
                let key = message.key.clone().expect("a key");
                // Of a row that it does not have, an update tells too little.
                if kind == "update" && !rows.contains_key(&key) {
                    return;
                }
                self.tags.change(&key, message);
                match kind {
                    "delete" => drop(rows.remove(&key)),
                    _ => drop(rows.insert(key, message.column("id").expect("an id").to_owned())),
                }
            }
        }
    }
}
