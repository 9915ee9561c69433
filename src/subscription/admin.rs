//! What an operator asks of the registry, and what it says: of one process, and put together for several.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::reader::{Followed, Name, ReaderKey, Reason, SubscriptionId, Transport};
use super::registry::{Entry, Registry, Selection};
use crate::shape::Handle;

/// Texts that one list holds: what processes tell each other has a bound.
const MAX_LIST_BYTES: usize = 1 << 20;
/// Entries of one page, whatever the caller asks for.
pub const MAX_PAGE: usize = 500;

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
    List {
        filter: Filter,
        page: Page,
    },
    Find {
        id: String,
    },
    Sessions {
        page: Page,
    },
    Shapes {
        page: Page,
    },
    /// Ends subscriptions; their readers are kept out for so long, 0 for not at all.
    End {
        selection: Selection,
        block_seconds: u64,
    },
    /// Keeps readers out who were ended somewhere.
    Block {
        readers: Vec<ReaderKey>,
        seconds: u64,
    },
    /// Ends what principals follow who are kept out from now on.
    ThrowOut {
        principals: Vec<String>,
    },
    /// Who is kept out has changed.
    LookAgain,
}

/// What one registry says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Subscriptions(Listed),
    Sessions(Vec<Counted>),
    Shapes(Vec<SeenShape>),
    /// The readers whose subscriptions were ended.
    Ended(Vec<ReaderKey>),
    Blocked,
}

/// A part of a list, in order of age.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    pub subscriptions: Vec<Seen>,
    /// Whether there are more after the last one, or may be.
    pub more: bool,
}

/// A subscription as the operator sees it. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub id: String,
    /// The process that it is open in; known to whoever asked that.
    #[serde(default)]
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
    pub handle: String,
    /// As one of them asked for it.
    #[serde(flatten)]
    pub definition: Definition,
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
    /// The same, under the name of the process that it happened in.
    pub fn of_instance(mut self, name: &str) -> Self {
        let (Self::Opened { subscription } | Self::Ended { subscription, .. }) = &mut self;
        name.clone_into(&mut subscription.instance);
        self
    }

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
    pub fn of(entry: &Entry) -> Self {
        let subscription = &entry.subscription;
        let (reader, position) = (&subscription.reader, subscription.position());
        let client = match &reader.name {
            Name::Client(client) => Some(client.to_string()),
            Name::Peer(_) => None,
        };
        Self {
            id: subscription.id.to_string(),
            instance: String::new(),
            session: subscription.session.as_deref().map(str::to_owned),
            definition: Definition::from(&*reader.followed),
            handle: position.handle.map(|handle| handle.to_string()),
            offset: position.offset.to_string(),
            principal: reader.principal.as_deref().map(str::to_owned),
            peer: subscription.peer.to_string(),
            client,
            transport: entry.transport,
            time_opened: DateTime::<Utc>::from(subscription.opened).timestamp_millis(),
            time_last_seen: DateTime::<Utc>::from(entry.last_seen).timestamp_millis(),
            requests: entry.requests,
            bytes: subscription.bytes(),
        }
    }
}

impl Seen {
    /// Bytes of what others have chosen, and of what that may be long.
    fn text_bytes(&self) -> usize {
        let Definition { table, filter, params, columns, .. } = &self.definition;
        let some = [filter, columns, &self.session, &self.handle, &self.principal, &self.client];
        let some: usize = some.into_iter().flatten().map(String::len).sum();
        some + table.len() + params.iter().map(String::len).sum::<usize>()
    }
}

impl From<&Followed> for Definition {
    fn from(followed: &Followed) -> Self {
        let Followed { table, filter, params, columns, replica, log } = followed.clone();
        let (replica, log) = (replica.as_str().to_owned(), log.as_str().to_owned());
        Self { table, filter, params, columns, replica, log }
    }
}

/// Answers a question that changes nothing.
pub fn reply(registry: &Registry, question: &Question) -> Reply {
    match question {
        Question::List { filter, page } => Reply::Subscriptions(list(registry, filter, page)),
        Question::Find { id } => {
            let entry = SubscriptionId::parse(id).and_then(|id| registry.get(id));
            Reply::Subscriptions(Listed { subscriptions: entry.map(Seen::of).into_iter().collect(), more: false })
        }
        Question::Sessions { page } => {
            let sessions = registry.sessions_after(page.after.as_deref()).take(page.limit.min(MAX_PAGE));
            let counted =
                |(session, subscriptions): (&str, usize)| Counted { session: session.to_owned(), subscriptions };
            Reply::Sessions(sessions.map(counted).collect())
        }
        Question::Shapes { page } => Reply::Shapes(shapes(registry, page)),
        // Whoever may change the registry answers these.
        Question::End { .. } | Question::Block { .. } | Question::ThrowOut { .. } | Question::LookAgain => {
            Reply::Blocked
        }
    }
}

/// A page, which ends early where it becomes too long to be told to others.
fn list(registry: &Registry, filter: &Filter, page: &Page) -> Listed {
    let after = page.after.as_deref().and_then(SubscriptionId::parse);
    let entries = registry.after(filter.session.as_deref(), filter.principal.as_deref(), after);
    let (mut listed, mut bytes) = (Listed::default(), 0);
    for entry in entries.filter(|entry| filter.takes(entry)) {
        listed.more = listed.subscriptions.len() == page.limit.min(MAX_PAGE) || bytes > MAX_LIST_BYTES;
        if listed.more {
            break;
        }
        let seen = Seen::of(entry);
        bytes += seen.text_bytes();
        listed.subscriptions.push(seen);
    }
    listed
}

/// Generations of shapes that somebody follows, by handle; as far as a page goes.
fn shapes(registry: &Registry, page: &Page) -> Vec<SeenShape> {
    let mut readers: BTreeMap<Handle, (&Followed, usize)> = BTreeMap::new();
    for entry in registry.after(None, None, None) {
        let subscription = &entry.subscription;
        let Some(handle) = subscription.position().handle else { continue };
        if page.after.as_deref().is_none_or(|after| handle.as_str() > after) {
            readers.entry(handle).or_insert((&subscription.reader.followed, 0)).1 += 1;
        }
    }
    let shape = |(handle, (followed, readers)): (Handle, (&Followed, usize))| SeenShape {
        handle: handle.to_string(),
        definition: Definition::from(followed),
        readers,
    };
    readers.into_iter().take(page.limit.min(MAX_PAGE)).map(shape).collect()
}

/// Puts together what several registries said to one question, each under the name of its process.
pub fn together(question: &Question, replies: impl IntoIterator<Item = (String, Reply)>) -> Reply {
    let (mut listed, mut sessions, mut shapes, mut ended) = (Vec::new(), BTreeMap::new(), BTreeMap::new(), Vec::new());
    for (instance, reply) in replies {
        match reply {
            Reply::Subscriptions(mut some) => {
                some.subscriptions.iter_mut().for_each(|one| one.instance.clone_from(&instance));
                listed.push(some);
            }
            Reply::Sessions(some) => {
                for Counted { session, subscriptions } in some {
                    *sessions.entry(session).or_insert(0) += subscriptions;
                }
            }
            Reply::Shapes(some) => {
                for SeenShape { handle, definition, readers } in some {
                    shapes.entry(handle).or_insert((definition, 0)).1 += readers;
                }
            }
            Reply::Ended(some) => ended.extend(some),
            Reply::Blocked => {}
        }
    }
    match question {
        Question::List { page, .. } => Reply::Subscriptions(merged(listed, page.limit)),
        Question::Find { .. } => Reply::Subscriptions(merged(listed, 1)),
        Question::Sessions { page } => {
            let counted = sessions.into_iter().map(|(session, subscriptions)| Counted { session, subscriptions });
            Reply::Sessions(counted.take(page.limit).collect())
        }
        Question::Shapes { page } => {
            let seen = |(handle, (definition, readers))| SeenShape { handle, definition, readers };
            Reply::Shapes(shapes.into_iter().take(page.limit).map(seen).collect())
        }
        Question::End { .. } | Question::ThrowOut { .. } => Reply::Ended(ended),
        Question::Block { .. } | Question::LookAgain => Reply::Blocked,
    }
}

/// One page of several. It goes as far as each of them does: behind the end of one that has more, there may be some that are
/// not listed.
fn merged(lists: Vec<Listed>, limit: usize) -> Listed {
    let ends = lists.iter().filter(|list| list.more).filter_map(|list| list.subscriptions.last());
    let end = ends.map(|last| last.id.clone()).min();
    let mut subscriptions: Vec<Seen> = lists.into_iter().flat_map(|list| list.subscriptions).collect();
    subscriptions.sort_by(|one, other| one.id.cmp(&other.id));
    let all = subscriptions.len();
    if let Some(end) = &end {
        subscriptions.retain(|one| one.id <= *end);
    }
    subscriptions.truncate(limit);
    Listed { more: end.is_some() || subscriptions.len() < all, subscriptions }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(id: u32) -> Seen {
        let definition = Definition {
            table: "parts".into(),
            filter: None,
            params: vec![],
            columns: None,
            replica: "default".into(),
            log: "full".into(),
        };
        Seen {
            id: format!("sub_{id:032}"),
            instance: String::new(),
            session: None,
            definition,
            handle: None,
            offset: "-1".into(),
            principal: None,
            peer: "::1".into(),
            client: None,
            transport: Transport::LongPoll,
            time_opened: 0,
            time_last_seen: 0,
            requests: 0,
            bytes: 0,
        }
    }

    #[test]
    fn a_page_of_several_processes_leaves_nothing_out() {
        //   what two processes list and whether they have more, the limit; what is listed, and whether there is more
        type Part<'a> = (&'a [u32], bool);
        let cases: [(Part, Part, usize, Part); 7] = [
            ((&[], false), (&[], false), 3, (&[], false)),
            ((&[1, 4], false), (&[2, 3], false), 9, (&[1, 2, 3, 4], false)),
            ((&[1, 4], false), (&[2, 3], false), 3, (&[1, 2, 3], true)),
            ((&[1, 2, 3], true), (&[4, 5, 6], true), 3, (&[1, 2, 3], true)),
            ((&[1, 5], true), (&[2, 3, 4, 6], false), 9, (&[1, 2, 3, 4, 5], true)),
            ((&[1], true), (&[2, 3], true), 9, (&[1], true)),
            ((&[1, 2], false), (&[], false), 2, (&[1, 2], false)),
        ];
        for (one, other, limit, (expected, more)) in cases {
            let part = |(ids, more): Part| Listed { subscriptions: ids.iter().map(|id| seen(*id)).collect(), more };
            let question = Question::List { filter: Filter::default(), page: Page { after: None, limit } };
            let replies = [("ins_1".to_owned(), part(one)), ("ins_2".to_owned(), part(other))];
            let replies = replies.map(|(instance, listed)| (instance, Reply::Subscriptions(listed)));
            let Reply::Subscriptions(page) = together(&question, replies) else { panic!("another kind of reply") };
            let ids: Vec<String> = page.subscriptions.iter().map(|one| one.id.clone()).collect();
            let expected: Vec<String> = expected.iter().map(|id| seen(*id).id).collect();
            assert_eq!((ids, page.more), (expected, more), "{one:?} {other:?} {limit}");
            for seen in page.subscriptions {
                let from_one = one.0.iter().any(|id| seen.id.ends_with(&id.to_string()));
                assert_eq!(seen.instance, if from_one { "ins_1" } else { "ins_2" });
            }
        }
    }
}
