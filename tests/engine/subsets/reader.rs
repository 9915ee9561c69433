//! A reader that loads parts of a shape and follows its log, and merges the two as the protocol says (9.6).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::sleep;

use crate::support::{Message, Position, Reply, Row, Shape};

/// How long a refused (503) request is left alone.
const RETRY: Duration = Duration::from_millis(50);
const RETRIES: usize = 200;

/// The reader, its rows, and what it has to compare the log with.
pub struct Merging {
    shape: Shape,
    pub handle: String,
    pub offset: String,
    /// By key.
    pub rows: BTreeMap<String, Row>,
    /// Subsets that the log may still repeat.
    open: Vec<Loaded>,
    /// Those that it has caught up with.
    past: Vec<Mark>,
    /// The newest version seen of each row, also of those that are gone: column `v` of the table.
    versions: BTreeMap<String, u64>,
    /// Every subset: where the reader could have gone on, and what it contains.
    loaded: Vec<(Position, Mark)>,
    /// Every change of the log: where it is, and of which transaction.
    log: Vec<(Position, u64)>,
    /// Changes that a subset had already.
    pub ignored: usize,
}

struct Loaded {
    mark: Mark,
    keys: BTreeSet<String>,
    lsn: u64,
}

/// The answer to a request for a subset. A member that the protocol does not have is an error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subset {
    metadata: Metadata,
    data: Vec<Message>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    xmin: String,
    xmax: String,
    xip_list: Vec<String>,
    snapshot_mark: u64,
    database_lsn: String,
}

#[derive(Clone, Debug)]
struct Mark {
    xmin: u64,
    xmax: u64,
    open: Vec<u64>,
}

impl Mark {
    fn contains(&self, xid: u64) -> bool {
        xid < self.xmin || (xid < self.xmax && !self.open.contains(&xid))
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|e| panic!("{text:?}: {e}"))
}

/// `0_inf` and the like are before all changes.
fn position(offset: &str) -> Position {
    let (lsn, op) = offset.split_once('_').expect("an offset");
    if lsn == "0" { (0, 0) } else { (number(lsn), number(op)) }
}

impl Merging {
    /// A reader that has nothing yet.
    pub fn new(shape: &Shape) -> Self {
        Self {
            shape: shape.clone(),
            handle: String::new(),
            offset: "-1".to_owned(),
            rows: BTreeMap::new(),
            open: Vec::new(),
            past: Vec::new(),
            versions: BTreeMap::new(),
            loaded: Vec::new(),
            log: Vec::new(),
            ignored: 0,
        }
    }

    /// Loads a part of the rows. A reader that has no position takes that of the answer.
    pub async fn load(&mut self, part: &[(&str, &str)]) {
        let reply = self.ask(part).await;
        let subset: Subset = serde_json::from_slice(&reply.body).unwrap_or_else(|e| panic!("{e} in {}", reply.text()));
        let Metadata { xmin, xmax, xip_list, snapshot_mark, database_lsn } = subset.metadata;
        let open = xip_list.iter().map(|xid| number(xid)).collect();
        let mark = Mark { xmin: number(&xmin), xmax: number(&xmax), open };
        for (at, xid) in &self.log {
            assert!(mark.contains(*xid), "{xid} at {at:?} was seen before, and is not in {mark:?} of {part:?}");
        }
        if self.offset == "-1" {
            (self.handle, self.offset) = (reply.handle(), reply.offset());
        }
        assert_eq!(reply.handle(), self.handle);
        self.loaded.push((position(&reply.offset()), mark.clone()));
        let mut keys = BTreeSet::new();
        for row in subset.data {
            assert_eq!((row.kind(), row.headers.snapshot_mark), ("insert", Some(snapshot_mark)), "{row:?}");
            let key = row.key.expect("a key");
            assert!(keys.insert(key.clone()), "{key} twice");
            let value = row.value.expect("a row");
            self.note_version(&key, &value);
            self.rows.insert(key, value);
        }
        self.open.push(Loaded { mark, keys, lsn: number(&database_lsn) });
    }

    /// Reads what the log has after its position; says whether it is up to date.
    pub async fn read(&mut self, live: bool) -> bool {
        let more: &[(&str, &str)] = if live && self.offset != "-1" { &[("live", "true")] } else { &[] };
        let reply = self.ask(more).await;
        (self.handle, self.offset) = (reply.handle(), reply.offset());
        let mut up_to_date = false;
        for message in reply.messages() {
            match message.kind() {
                "snapshot-end" => {}
                "up-to-date" => {
                    up_to_date = true;
                    self.reach(number(&message.headers.global_last_seen_lsn.expect("a position")));
                }
                _ => self.apply(message),
            }
        }
        up_to_date
    }

    async fn ask(&self, more: &[(&str, &str)]) -> Reply {
        let mut all = vec![("offset", self.offset.as_str())];
        if self.offset != "-1" {
            all.push(("handle", &self.handle));
        }
        all.extend(more);
        for _ in 0..RETRIES {
            let reply = self.shape.get(&all).await;
            if reply.status != 503 {
                return reply.is(200);
            }
            sleep(RETRY).await;
        }
        panic!("{}: refused {RETRIES} times", self.shape.name());
    }

    /// Subsets that the log has caught up with need not be compared any more.
    fn reach(&mut self, lsn: u64) {
        let (past, open) = self.open.drain(..).partition(|subset| subset.lsn <= lsn);
        self.open = open;
        self.past.extend(Vec::into_iter(past).map(|subset: Loaded| subset.mark));
    }

    /// A row never goes back to what it was.
    fn note_version(&mut self, key: &str, value: &Row) {
        let Some(version) = value.get("v") else { return };
        let version = number(version.as_deref().expect("a version"));
        let newest = self.versions.entry(key.to_owned()).or_default();
        assert!(*newest <= version, "{key} went back from {newest} to {version}, at {}", self.offset);
        *newest = version;
    }

    fn apply(&mut self, message: Message) {
        let key = message.key.clone().expect("a key");
        let value = message.value.clone().expect("a value");
        if let (Some(at), Some([xid])) = (message.position(), message.headers.txids.as_deref()) {
            self.log.push((at, *xid));
            self.reach(at.0);
            let repeated = self.past.iter().find(|mark| mark.contains(*xid));
            assert!(repeated.is_none(), "{xid} at {at:?} is in {repeated:?}, which the log had caught up with");
            if self.open.iter().any(|subset| subset.keys.contains(&key) && subset.mark.contains(*xid)) {
                self.ignored += 1;
                return;
            }
        }
        if message.kind() != "delete" {
            self.note_version(&key, &value);
        }
        match message.kind() {
            "insert" => drop(self.rows.insert(key, value)),
            // Of a row that is not loaded, an update tells too little.
            "update" => drop(self.rows.get_mut(&key).map(|row| row.extend(value))),
            _ => drop(self.rows.remove(&key)),
        }
    }

    /// Panics unless every subset contained all that lies before the position that it named.
    pub fn check_positions(&self) {
        for (end, mark) in &self.loaded {
            for (at, xid) in self.log.iter().filter(|(at, _)| at <= end) {
                assert!(mark.contains(*xid), "{xid} at {at:?} is before {end:?}, and not in {mark:?}");
            }
        }
    }
}
