//! The rules of the registry, without actors and clocks: every time is an argument.
//!
//! Invariants: a subscription is due to end as idle exactly while none of its requests is open; a session is known
//! exactly while it has subscriptions, or lingers. What is due is found in order of time, so a sweep costs what has
//! become due and nothing for what is open.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::reader::{Followed, Position, Reader, ReaderKey, Reason, Subscription, SubscriptionId, Transport};
use crate::config::SubscriptionsConfig;
use crate::listener::Outlet;
use crate::shape::Handle;

/// The open subscriptions of this process.
#[derive(Debug)]
pub struct Registry {
    config: SubscriptionsConfig,
    /// By id, so in order of age.
    open: BTreeMap<SubscriptionId, Entry>,
    readers: HashMap<Reader, SubscriptionId>,
    sessions: BTreeMap<Arc<str>, Session>,
    principals: HashMap<Arc<str>, BTreeSet<SubscriptionId>>,
    /// What is followed, and by how many: one value for all readers of the same.
    followed: HashMap<Arc<Followed>, usize>,
    idle: BTreeSet<(Instant, SubscriptionId)>,
    lingering: BTreeSet<(Instant, Arc<str>)>,
    blocked: HashMap<ReaderKey, Instant>,
    unblocked_at: BTreeMap<Instant, Vec<ReaderKey>>,
    next_request: u64,
}

/// An open subscription.
#[derive(Debug)]
pub struct Entry {
    pub subscription: Arc<Subscription>,
    pub transport: Transport,
    pub requests: u64,
    pub last_seen: SystemTime,
    /// Requests that are being answered, and the way of each answer.
    answering: Vec<(u64, Outlet)>,
    /// Whether any of them was answered with something to follow.
    is_answered: bool,
    idle_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Session {
    open: BTreeSet<SubscriptionId>,
    /// Shapes that ended subscriptions have followed.
    handles: BTreeSet<Handle>,
    release_at: Option<Instant>,
}

/// One request of a reader.
#[derive(Debug)]
pub struct Asked {
    pub reader: Reader,
    pub session: Option<Arc<str>>,
    pub peer: IpAddr,
    pub position: Position,
    /// `None` for a request that does not wait.
    pub transport: Option<Transport>,
    pub outlet: Outlet,
}

/// A request that may be answered.
#[derive(Debug)]
pub struct Place {
    pub subscription: Arc<Subscription>,
    pub request: u64,
    pub is_new: bool,
}

/// Why a request has no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Full(Limit),
    /// Ended by an operator, for this much longer.
    Blocked(Duration),
}

/// Which bound on subscriptions was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    All(usize),
    Session(usize),
    Principal(usize),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(most) => write!(f, "limit: {most} in all"),
            Self::Session(most) => write!(f, "limit: {most} for one session"),
            Self::Principal(most) => write!(f, "limit: {most} for one principal"),
        }
    }
}

/// How a request went.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Its answer gave something to follow.
    pub is_answered: bool,
    /// Its reader took nothing, and was cut off.
    pub has_stalled: bool,
}

/// Which subscriptions an operator means.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    Id(String),
    Session(String),
    Principal(String),
}

/// What a sweep found.
#[derive(Debug, Default)]
pub struct Swept {
    pub ended: Vec<Entry>,
    /// Shapes of sessions that nobody follows any more.
    pub released: Vec<Handle>,
}

impl Registry {
    pub fn new(config: SubscriptionsConfig) -> Self {
        Self {
            config,
            open: BTreeMap::new(),
            readers: HashMap::new(),
            sessions: BTreeMap::new(),
            principals: HashMap::new(),
            followed: HashMap::new(),
            idle: BTreeSet::new(),
            lingering: BTreeSet::new(),
            blocked: HashMap::new(),
            unblocked_at: BTreeMap::new(),
            next_request: 0,
        }
    }

    /// Gives a request its place: in the subscription that its reader has, or in a new one.
    ///
    /// # Errors
    /// The reader is kept out, or a limit on new subscriptions is met.
    pub fn follow(&mut self, mut asked: Asked, now: Instant) -> Result<Place, Refusal> {
        // The key is made only when somebody is kept out.
        if !self.blocked.is_empty()
            && let Some(until) = self.blocked.get(&asked.reader.key())
            && *until > now
        {
            return Err(Refusal::Blocked(*until - now));
        }
        let known = self.readers.get(&asked.reader).and_then(|id| self.open.get_mut(id));
        let is_new = known.is_none();
        let request = self.next_request;
        let entry = match known {
            Some(entry) => entry,
            None => {
                self.refuse_more(&asked)?;
                asked.reader.followed = self.share(&asked.reader.followed);
                self.open(&asked)
            }
        };
        entry.answering.push((request, asked.outlet));
        entry.requests += 1;
        entry.last_seen = SystemTime::now();
        entry.transport = asked.transport.unwrap_or(entry.transport);
        let (subscription, idle_at) = (Arc::clone(&entry.subscription), entry.idle_at.take());
        if let Some(at) = idle_at {
            self.idle.remove(&(at, subscription.id));
        }
        self.next_request += 1;
        Ok(Place { subscription, request, is_new })
    }

    /// A request is over. Returns the subscription if it ends with it.
    pub fn leave(
        &mut self,
        id: SubscriptionId,
        request: u64,
        outcome: Outcome,
        now: Instant,
    ) -> Option<(Entry, Reason)> {
        let entry = self.open.get_mut(&id)?;
        entry.answering.retain(|(open, _)| *open != request);
        entry.is_answered |= outcome.is_answered;
        entry.last_seen = SystemTime::now();
        if entry.answering.is_empty() {
            // Of several requests, one that stalls says nothing of the others: they may even be of others behind one address.
            if outcome.has_stalled {
                return self.end(id, now).map(|entry| (entry, Reason::Stalled));
            }
            if !entry.is_answered {
                return self.end(id, now).map(|entry| (entry, Reason::Refused));
            }
            let at = now + self.config.idle_timeout;
            entry.idle_at = Some(at);
            self.idle.insert((at, id));
        }
        None
    }

    /// Ends what is due.
    pub fn sweep(&mut self, now: Instant) -> Swept {
        let mut swept = Swept::default();
        while let Some((at, id)) = self.idle.first().copied()
            && at <= now
        {
            self.idle.pop_first();
            swept.ended.extend(self.end(id, now));
        }
        while let Some((at, _)) = self.lingering.first()
            && *at <= now
            && let Some((_, session)) = self.lingering.pop_first()
        {
            swept.released.extend(self.sessions.remove(&session).into_iter().flat_map(|session| session.handles));
        }
        while let Some(entry) = self.unblocked_at.first_entry()
            && *entry.key() <= now
        {
            for reader in entry.remove() {
                // It may have been blocked again, for longer.
                if self.blocked.get(&reader).is_some_and(|until| *until <= now) {
                    self.blocked.remove(&reader);
                }
            }
        }
        swept
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<Instant> {
        let idle = self.idle.first().map(|(at, _)| *at);
        let lingering = self.lingering.first().map(|(at, _)| *at);
        let unblocked = self.unblocked_at.first_key_value().map(|(at, _)| *at);
        [idle, lingering, unblocked].into_iter().flatten().min()
    }

    /// Ends all that an operator means; their readers are kept out for `block`, if that is given.
    pub fn end_selected(&mut self, selection: &Selection, block: Option<Duration>, now: Instant) -> Vec<Entry> {
        let selected: Vec<SubscriptionId> = match selection {
            Selection::Id(id) => SubscriptionId::parse(id).into_iter().collect(),
            Selection::Session(session) => self.of_session(session).into_iter().flatten().copied().collect(),
            Selection::Principal(principal) => self.of_principal(principal).into_iter().flatten().copied().collect(),
        };
        let ended: Vec<Entry> = selected.into_iter().filter_map(|id| self.end(id, now)).collect();
        if let Some(block) = block {
            // At once: a reader is back sooner than its operator's next word.
            self.keep_out(ended.iter().map(|entry| entry.subscription.reader.key()).collect(), block, now);
        }
        ended
    }

    /// Keeps readers out for this long who were ended elsewhere; those who have come here meanwhile are ended.
    pub fn block(&mut self, readers: Vec<ReaderKey>, time: Duration, now: Instant) -> Vec<Entry> {
        // An operator's word is rare enough to look at every reader.
        let wanted: HashSet<&ReaderKey> = readers.iter().collect();
        let here = self.readers.iter().filter(|(reader, _)| wanted.contains(&reader.key()));
        let here: Vec<SubscriptionId> = here.map(|(_, id)| *id).collect();
        self.keep_out(readers, time, now);
        here.into_iter().filter_map(|id| self.end(id, now)).collect()
    }

    fn keep_out(&mut self, readers: Vec<ReaderKey>, time: Duration, now: Instant) {
        let Some(until) = now.checked_add(time) else { return };
        self.blocked.extend(readers.iter().map(|reader| (*reader, until)));
        self.unblocked_at.entry(until).or_default().extend(readers);
    }

    /// Ends all there are.
    pub fn end_all(&mut self, now: Instant) -> Vec<Entry> {
        let all: Vec<SubscriptionId> = self.open.keys().copied().collect();
        all.into_iter().filter_map(|id| self.end(id, now)).collect()
    }

    /// A subscription by its id.
    pub fn get(&self, id: SubscriptionId) -> Option<&Entry> {
        self.open.get(&id)
    }

    /// Subscriptions after `after` in order of age: of a session, of a principal, or all of them.
    pub fn after<'a>(
        &'a self,
        session: Option<&str>,
        principal: Option<&str>,
        after: Option<SubscriptionId>,
    ) -> Box<dyn Iterator<Item = &'a Entry> + 'a> {
        let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let some = match (session, principal) {
            (Some(session), _) => self.of_session(session),
            (None, Some(principal)) => self.of_principal(principal),
            (None, None) => return Box::new(self.open.range(range).map(|(_, entry)| entry)),
        };
        let ids = some.into_iter().flat_map(move |ids| ids.range(range));
        Box::new(ids.filter_map(|id| self.open.get(id)))
    }

    /// Sessions that are followed, after the one of this name, with their subscriptions.
    pub fn sessions_after(&self, after: Option<&str>) -> impl Iterator<Item = (&str, usize)> {
        let range: (Bound<&str>, Bound<&str>) = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let all = self.sessions.range::<str, _>(range);
        all.filter(|(_, session)| !session.open.is_empty()).map(|(name, session)| (&**name, session.open.len()))
    }

    /// How many subscriptions are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn of_session(&self, session: &str) -> Option<&BTreeSet<SubscriptionId>> {
        self.sessions.get(session).map(|session| &session.open)
    }

    fn of_principal(&self, principal: &str) -> Option<&BTreeSet<SubscriptionId>> {
        self.principals.get(principal)
    }

    fn refuse_more(&self, asked: &Asked) -> Result<(), Refusal> {
        let SubscriptionsConfig { max, max_per_session, max_per_principal, .. } = self.config;
        let session = asked.session.as_deref().and_then(|session| self.of_session(session));
        let principal = asked.reader.principal.as_deref().and_then(|principal| self.of_principal(principal));
        match () {
            () if self.open.len() >= max => Err(Refusal::Full(Limit::All(max))),
            () if session.is_some_and(|open| open.len() >= max_per_session) => {
                Err(Refusal::Full(Limit::Session(max_per_session)))
            }
            () if principal.is_some_and(|open| open.len() >= max_per_principal) => {
                Err(Refusal::Full(Limit::Principal(max_per_principal)))
            }
            () => Ok(()),
        }
    }

    /// The one value of what is followed, for one more reader.
    fn share(&mut self, followed: &Arc<Followed>) -> Arc<Followed> {
        let shared =
            self.followed.get_key_value(followed).map_or_else(|| Arc::clone(followed), |(known, _)| Arc::clone(known));
        *self.followed.entry(Arc::clone(&shared)).or_default() += 1;
        shared
    }

    fn open(&mut self, asked: &Asked) -> &mut Entry {
        let Asked { reader, session, peer, position, .. } = asked;
        let subscription = Subscription::new(reader.clone(), session.clone(), *peer, position.clone());
        let id = subscription.id;
        self.readers.insert(reader.clone(), id);
        if let Some(name) = session {
            let session = self.sessions.entry(Arc::clone(name)).or_default();
            session.open.insert(id);
            // Somebody is back in time: all is as it was.
            if let Some(at) = session.release_at.take() {
                self.lingering.remove(&(at, Arc::clone(name)));
            }
        }
        if let Some(principal) = &reader.principal {
            self.principals.entry(Arc::clone(principal)).or_default().insert(id);
        }
        self.open.entry(id).or_insert(Entry {
            subscription: Arc::new(subscription),
            transport: Transport::LongPoll,
            requests: 0,
            last_seen: SystemTime::now(),
            answering: Vec::new(),
            is_answered: false,
            idle_at: None,
        })
    }

    /// Takes a subscription out of everything, and has its answers end.
    fn end(&mut self, id: SubscriptionId, now: Instant) -> Option<Entry> {
        let entry = self.open.remove(&id)?;
        let subscription = &entry.subscription;
        self.readers.remove(&subscription.reader);
        if let Some(at) = entry.idle_at {
            self.idle.remove(&(at, id));
        }
        if let Some(principal) = &subscription.reader.principal
            && let Some(open) = self.principals.get_mut(principal)
        {
            open.remove(&id);
            if open.is_empty() {
                self.principals.remove(principal);
            }
        }
        if let Some(name) = &subscription.session
            && let Some(session) = self.sessions.get_mut(name)
        {
            session.open.remove(&id);
            if entry.is_answered {
                session.handles.extend(subscription.position().handle);
            }
            if session.open.is_empty() {
                let at = now + self.config.session_linger;
                session.release_at = Some(at);
                self.lingering.insert((at, Arc::clone(name)));
            }
        }
        if let Some(readers) = self.followed.get_mut(&subscription.reader.followed) {
            *readers -= 1;
            if *readers == 0 {
                self.followed.remove(&subscription.reader.followed);
            }
        }
        subscription.end.cancel();
        for (_, outlet) in &entry.answering {
            outlet.cut_if_blocked();
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests;
