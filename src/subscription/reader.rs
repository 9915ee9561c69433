//! Who follows what: the identity of a reader, and what is known of its subscription.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::shape::{Handle, Live, LogMode, Offset, Replica, Requested, ShapeRequest};

/// The name of one subscription. Those of later ones sort later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(Uuid);

/// What a reader follows, as it asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Followed {
    pub table: String,
    pub filter: Option<String>,
    pub params: Vec<String>,
    pub columns: Option<String>,
    pub replica: Replica,
    pub log: LogMode,
}

/// One reader of one shape. Two requests with the same are of one subscription.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reader {
    /// Who asks, where that is known.
    pub principal: Option<Arc<str>>,
    pub name: Name,
    pub followed: Arc<Followed>,
}

/// A reader's identity in a few bytes, the same in every process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReaderKey([u8; 16]);

impl Reader {
    /// Its key. Two readers have the same one only by an accident that never happens.
    pub fn key(&self) -> ReaderKey {
        let digest = Sha256::digest(format!("{self:?}"));
        ReaderKey(std::array::from_fn(|at| digest[at]))
    }
}

/// What tells the readers of one principal and shape apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Name {
    /// The name that a client gives itself.
    Client(Box<str>),
    /// Where it comes from, without the port: that differs from one connection to the next.
    Peer(IpAddr),
}

/// How a reader waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    LongPoll,
    Sse,
}

/// Why a subscription ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its reader asked for nothing any more.
    Idle,
    /// Its reader took nothing any more, while there was something to take.
    Stalled,
    /// Somebody with the right to it ended it.
    Admin,
    /// Its token was revoked, or its principal is kept out.
    Revoked,
    /// The server stops.
    Stopped,
    /// Nothing of what its reader asked for could be given.
    Refused,
}

/// What a subscription's requests and the registry share.
#[derive(Debug)]
pub struct Subscription {
    pub id: SubscriptionId,
    pub reader: Reader,
    pub session: Option<Arc<str>>,
    /// Where the first request came from.
    pub peer: IpAddr,
    pub opened: SystemTime,
    /// Cancelled when the subscription has ended: its answers end.
    pub end: CancellationToken,
    bytes: AtomicU64,
    position: Mutex<Position>,
}

/// How far a reader has come.
#[derive(Debug, Clone)]
pub struct Position {
    pub handle: Option<Handle>,
    pub offset: Requested,
}

impl SubscriptionId {
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// Reads what [`fmt::Display`] prints.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX).filter(|digits| digits.len() == 32)?;
        Uuid::try_parse(digits).ok().map(Self)
    }
}

const PREFIX: &str = "sub_";

impl Default for SubscriptionId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.0.simple())
    }
}

impl Followed {
    /// What a request follows, of a table whose name has been read.
    pub fn of(request: &ShapeRequest, table: String) -> Self {
        Self {
            table,
            filter: request.filter.clone(),
            params: request.params.clone(),
            columns: request.columns.clone(),
            replica: request.replica,
            log: request.log,
        }
    }
}

impl Transport {
    /// How a request waits; `None` if it does not.
    pub fn of(live: Live) -> Option<Self> {
        match live {
            Live::No => None,
            Live::Poll => Some(Self::LongPoll),
            Live::Sse => Some(Self::Sse),
        }
    }
}

impl Subscription {
    pub fn new(reader: Reader, session: Option<Arc<str>>, peer: IpAddr, position: Position) -> Self {
        Self {
            id: SubscriptionId::new(),
            reader,
            session,
            peer,
            opened: SystemTime::now(),
            end: CancellationToken::new(),
            bytes: AtomicU64::new(0),
            position: Mutex::new(position),
        }
    }

    /// Counts bytes of a body that were handed to the reader's connection.
    pub fn sent(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Notes where the reader goes on.
    pub fn reached(&self, handle: Option<Handle>, offset: Option<Offset>) {
        let mut position = self.position.lock();
        if handle.is_some() {
            position.handle = handle;
        }
        if let Some(offset) = offset {
            position.offset = Requested::After(offset);
        }
    }

    pub fn position(&self) -> Position {
        self.position.lock().clone()
    }
}
