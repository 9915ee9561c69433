//! What an operator asks of the registry, and what it says: of one process, and put together for several.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::reader::{Followed, Name, Reason, SubscriptionId, Transport, unix_ms};
use super::registry::{Entry, Registry, Selection};
use crate::shape::{Handle, LogMode, Replica};

/// Which subscriptions to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    pub session: Option<String>,
    pub principal: Option<String>,
    pub table: Option<String>,
    pub transport: Option<Transport>,
}

/// A page of a list: what comes after the last one of the page before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    pub after: Option<String>,
    pub limit: usize,
}

/// A question to the registries of all processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    List { filter: Filter, page: Page },
    Find { id: String },
    Sessions { page: Page },
    Shapes,
    End { selection: Selection, block_seconds: u64 },
}

/// What one registry says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Subscriptions(Vec<Seen>),
    Sessions(Vec<Counted>),
    Shapes(Vec<SeenShape>),
    Ended(usize),
}

/// A subscription as the operator sees it. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub id: String,
    pub instance: String,
    pub session: Option<String>,
    #[serde(flatten)]
    pub definition: Definition,
    pub handle: Option<String>,
    /// Where the reader goes on.
    pub offset: String,
    pub principal: Option<String>,
    pub peer: String,
    pub client: Option<String>,
    pub transport: Transport,
    pub time_opened: i64,
    pub time_last_seen: i64,
    pub requests: u64,
    /// Of bodies, as far as the connection took them.
    pub bytes: u64,
}

/// A session and how many follow it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    pub session: String,
    pub subscriptions: usize,
}

/// A shape as its readers know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenShape {
    #[serde(flatten)]
    pub definition: Definition,
    pub handle: Option<String>,
    pub readers: usize,
}

/// What is followed, in the words of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Definition {
    pub table: String,
    #[serde(rename = "where")]
    pub filter: Option<String>,
    pub params: Vec<String>,
    pub columns: Option<String>,
    pub replica: String,
    pub log: String,
}

/// What happens in the registry of one process.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Event {
    Opened { subscription: Box<Seen> },
    Ended { subscription: Box<Seen>, reason: Reason },
}

impl Event {
    /// The type of the event, as its stream names it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::Ended { .. } => "ended",
        }
    }
}

impl Filter {
    fn takes(&self, entry: &Entry) -> bool {
        let subscription = &entry.subscription;
        let is = |asked: &Option<String>, of: Option<&str>| asked.is_none() || asked.as_deref() == of;
        is(&self.session, subscription.session.as_deref())
            && is(&self.principal, subscription.reader.principal.as_deref())
            && is(&self.table, Some(&subscription.reader.followed.table))
            && self.transport.is_none_or(|transport| transport == entry.transport)
    }
}

impl Seen {
    pub fn of(entry: &Entry, instance: &str) -> Self {
        let subscription = &entry.subscription;
        let (reader, position) = (&subscription.reader, subscription.position());
        let client = match &reader.name {
            Name::Client(client) => Some(client.to_string()),
            Name::Peer(_) => None,
        };
        Self {
            id: subscription.id.to_string(),
            instance: instance.to_owned(),
            session: subscription.session.as_deref().map(str::to_owned),
            definition: Definition::from(&*reader.followed),
            handle: position.handle.map(|handle| handle.to_string()),
            offset: position.offset.to_string(),
            principal: reader.principal.as_deref().map(str::to_owned),
            peer: subscription.peer.to_string(),
            client,
            transport: entry.transport,
            time_opened: unix_ms(subscription.opened),
            time_last_seen: unix_ms(entry.last_seen),
            requests: entry.requests,
            bytes: subscription.bytes(),
        }
    }
}

impl From<&Followed> for Definition {
    fn from(followed: &Followed) -> Self {
        let Followed { table, filter, params, columns, replica, log } = followed.clone();
        let replica = match replica {
            Replica::Default => "default",
            Replica::Full => "full",
        };
        let log = match log {
            LogMode::Full => "full",
            LogMode::ChangesOnly => "changes_only",
        };
        Self { table, filter, params, columns, replica: replica.to_owned(), log: log.to_owned() }
    }
}

/// Answers a question that changes nothing.
pub fn reply(registry: &Registry, instance: &str, question: &Question) -> Reply {
    match question {
        Question::List { filter, page } => {
            let after = page.after.as_deref().and_then(SubscriptionId::parse);
            let entries = registry.after(filter.session.as_deref(), filter.principal.as_deref(), after);
            let taken = entries.filter(|entry| filter.takes(entry)).take(page.limit);
            Reply::Subscriptions(taken.map(|entry| Seen::of(entry, instance)).collect())
        }
        Question::Find { id } => {
            let entry = SubscriptionId::parse(id).and_then(|id| registry.get(id));
            Reply::Subscriptions(entry.map(|entry| Seen::of(entry, instance)).into_iter().collect())
        }
        Question::Sessions { page } => {
            let sessions = registry.sessions_after(page.after.as_deref()).take(page.limit);
            let counted =
                |(session, subscriptions): (&str, usize)| Counted { session: session.to_owned(), subscriptions };
            Reply::Sessions(sessions.map(counted).collect())
        }
        Question::Shapes => Reply::Shapes(shapes(registry)),
        // Whoever may change the registry answers these.
        Question::End { .. } => Reply::Ended(0),
    }
}

/// Each generation of a shape that somebody follows.
fn shapes(registry: &Registry) -> Vec<SeenShape> {
    let mut readers: HashMap<(&Followed, Option<Handle>), usize> = HashMap::new();
    for entry in registry.after(None, None, None) {
        let subscription = &entry.subscription;
        *readers.entry((&subscription.reader.followed, subscription.position().handle)).or_default() += 1;
    }
    let shape = |((followed, handle), readers): ((&Followed, Option<Handle>), usize)| SeenShape {
        definition: Definition::from(followed),
        handle: handle.map(|handle| handle.to_string()),
        readers,
    };
    readers.into_iter().map(shape).collect()
}

/// Puts together what several registries said to one question.
pub fn together(question: &Question, replies: impl IntoIterator<Item = Reply>) -> Reply {
    let (mut subscriptions, mut sessions, mut shapes, mut ended) = (Vec::new(), BTreeMap::new(), BTreeMap::new(), 0);
    for reply in replies {
        match reply {
            Reply::Subscriptions(some) => subscriptions.extend(some),
            Reply::Sessions(some) => {
                for Counted { session, subscriptions } in some {
                    *sessions.entry(session).or_insert(0) += subscriptions;
                }
            }
            Reply::Shapes(some) => {
                for SeenShape { definition, handle, readers } in some {
                    *shapes.entry((definition, handle)).or_insert(0) += readers;
                }
            }
            Reply::Ended(some) => ended += some,
        }
    }
    match question {
        Question::List { page, .. } => {
            subscriptions.sort_by(|one, other| one.id.cmp(&other.id));
            subscriptions.truncate(page.limit);
            Reply::Subscriptions(subscriptions)
        }
        Question::Find { .. } => Reply::Subscriptions(subscriptions),
        Question::Sessions { page } => {
            let counted = sessions.into_iter().map(|(session, subscriptions)| Counted { session, subscriptions });
            Reply::Sessions(counted.take(page.limit).collect())
        }
        Question::Shapes => {
            let seen = |((definition, handle), readers)| SeenShape { definition, handle, readers };
            Reply::Shapes(shapes.into_iter().map(seen).collect())
        }
        Question::End { .. } => Reply::Ended(ended),
    }
}
