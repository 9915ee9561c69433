//! The rules by hand: every time is made up.

use std::net::Ipv4Addr;

use super::*;
use crate::shape::{LogMode, Offset, Replica, Requested};
use crate::subscription::Name;

const IDLE: Duration = Duration::from_secs(30);
const LINGER: Duration = Duration::from_secs(1);
const FOLLOWED: Outcome = Outcome { is_answered: true, has_stalled: false };

fn registry() -> Registry {
    let config = SubscriptionsConfig {
        idle_timeout: IDLE,
        session_linger: LINGER,
        stream_lifetime: Duration::ZERO,
        max: 5,
        max_per_session: 3,
        max_per_principal: 2,
    };
    Registry::new(config)
}

/// A request of the client of this name, on a table of a session.
fn asked(client: &str, session: &str, principal: Option<&str>) -> Asked {
    let followed = Followed {
        table: "parts".into(),
        filter: Some("session_id = $1".into()),
        params: vec![session.into()],
        columns: None,
        replica: Replica::Default,
        log: LogMode::Full,
    };
    let name = Name::Client(client.into());
    Asked {
        reader: Reader { principal: principal.map(Arc::from), name, followed: Arc::new(followed) },
        session: Some(session.into()),
        peer: Ipv4Addr::LOCALHOST.into(),
        position: Position { handle: Some(Handle::from("1-1")), offset: Requested::Start },
        transport: Some(Transport::LongPoll),
        outlet: Outlet::default(),
    }
}

/// Everything that is kept for nobody.
fn left_over(registry: &Registry) -> Vec<&'static str> {
    let kept = [
        ("subscriptions", registry.open.len()),
        ("readers", registry.readers.len()),
        ("sessions", registry.sessions.len()),
        ("principals", registry.principals.len()),
        ("definitions", registry.followed.len()),
        ("idle", registry.idle.len()),
        ("lingering", registry.lingering.len()),
        ("blocked", registry.blocked.len() + registry.unblocked_at.len()),
    ];
    kept.into_iter().filter(|(_, count)| *count > 0).map(|(name, _)| name).collect()
}

#[test]
fn a_reader_without_a_request_is_idle_after_the_timeout_and_its_session_is_let_go_later() {
    let (mut registry, start) = (registry(), Instant::now());
    let place = registry.follow(asked("a", "s", None), start).expect("room");
    assert!(place.is_new);
    assert_eq!(registry.next_due(), None, "nothing is due while a request is open");
    assert!(registry.sweep(start + 9 * IDLE).ended.is_empty(), "a held request is no idleness");

    let id = place.subscription.id;
    let later = start + Duration::from_secs(20);
    assert!(registry.leave(id, place.request, FOLLOWED, later).is_none());
    assert_eq!(registry.next_due(), Some(later + IDLE));
    let again = registry.follow(asked("a", "s", None), later + IDLE - LINGER).expect("room");
    assert!(!again.is_new && again.subscription.id == id, "the same reader goes on");
    assert!(registry.sweep(later + IDLE).ended.is_empty(), "it was back in time");
    let left = later + IDLE;
    assert!(registry.leave(id, again.request, FOLLOWED, left).is_none());

    assert!(registry.sweep(left + IDLE - Duration::from_nanos(1)).ended.is_empty());
    let ended = registry.sweep(left + IDLE).ended;
    assert_eq!(ended.iter().map(|entry| (entry.subscription.id, entry.requests)).collect::<Vec<_>>(), [(id, 2)]);
    assert!(place.subscription.end.is_cancelled());
    assert_eq!(left_over(&registry), ["sessions", "lingering"]);
    let swept = registry.sweep(left + IDLE + LINGER);
    assert_eq!(swept.released, [Handle::from("1-1")]);
    assert!(left_over(&registry).is_empty(), "{:?}", left_over(&registry));
    assert_eq!(registry.next_due(), None);
}

#[test]
fn a_reader_that_is_back_before_its_session_is_let_go_finds_it_kept() {
    let (mut registry, start) = (registry(), Instant::now());
    let place = registry.follow(asked("a", "s", None), start).expect("room");
    registry.end_selected(&Selection::Session("s".into()), None, start);
    let back = registry.follow(asked("a", "s", None), start + LINGER / 2).expect("room");
    assert!(back.is_new && back.subscription.id != place.subscription.id);
    assert!(registry.sweep(start + 2 * LINGER).released.is_empty());
    assert!(registry.leave(place.subscription.id, place.request, FOLLOWED, start).is_none(), "it has ended before");
    assert_eq!(registry.len(), 1);
}

#[test]
fn several_requests_of_one_reader_are_one_subscription_until_the_last_is_over() {
    let (mut registry, start) = (registry(), Instant::now());
    let places: Vec<Place> = (0..3).map(|_| registry.follow(asked("a", "s", None), start).expect("room")).collect();
    let id = places[0].subscription.id;
    for place in &places[..2] {
        assert!(registry.leave(id, place.request, FOLLOWED, start).is_none());
        assert_eq!(registry.next_due(), None);
    }
    let outcome = Outcome { is_answered: false, ..FOLLOWED };
    assert!(registry.leave(id, places[2].request, outcome, start).is_none(), "earlier ones were answered");
    assert_eq!(registry.next_due(), Some(start + IDLE));
}

#[test]
fn a_request_that_gets_nothing_leaves_nothing_and_a_stalled_one_ends_its_subscription() {
    let (mut registry, start) = (registry(), Instant::now());
    let place = registry.follow(asked("a", "s", None), start).expect("room");
    let outcome = Outcome { is_answered: false, has_stalled: false };
    let (_, reason) = registry.leave(place.subscription.id, place.request, outcome, start).expect("its end");
    assert_eq!(reason, Reason::Refused);

    let place = registry.follow(asked("a", "s", None), start).expect("room");
    let other = registry.follow(asked("a", "s", None), start).expect("room");
    let outcome = Outcome { is_answered: true, has_stalled: true };
    assert!(registry.leave(place.subscription.id, place.request, outcome, start).is_none(), "the other goes on");
    assert!(!other.subscription.end.is_cancelled());
    let (_, reason) = registry.leave(other.subscription.id, other.request, outcome, start).expect("its end");
    assert_eq!(reason, Reason::Stalled);
    registry.sweep(start + LINGER);
    assert!(left_over(&registry).is_empty(), "{:?}", left_over(&registry));
}

#[test]
fn limits_count_new_subscriptions_by_session_by_principal_and_in_all() {
    let (mut registry, now) = (registry(), Instant::now());
    let mut follow =
        |client: &str, session: &str, principal| registry.follow(asked(client, session, principal), now).err();
    for client in ["a", "b", "c"] {
        assert_eq!(follow(client, "s", None), None);
    }
    assert_eq!(follow("d", "s", None), Some(Refusal::Full(Limit::Session(3))));
    assert_eq!(follow("a", "s", None), None, "who is in stays in");
    assert_eq!(follow("a", "t", Some("p")), None);
    assert_eq!(follow("a", "u", Some("p")), None);
    assert_eq!(follow("a", "v", Some("p")), Some(Refusal::Full(Limit::All(5))));
    let ended = registry.end_selected(&Selection::Session("s".into()), None, now);
    assert_eq!(ended.len(), 3);
    let mut follow = |session: &str, principal| registry.follow(asked("a", session, principal), now).err();
    assert_eq!(follow("v", Some("p")), Some(Refusal::Full(Limit::Principal(2))));
    assert_eq!(follow("v", Some("q")), None);
}

#[test]
fn an_operator_ends_by_id_session_or_principal_and_may_keep_readers_out() {
    let (mut registry, start) = (registry(), Instant::now());
    let one = registry.follow(asked("a", "s", Some("p")), start).expect("room").subscription;
    let two = registry.follow(asked("b", "s", None), start).expect("room").subscription;
    let three = registry.follow(asked("a", "t", Some("p")), start).expect("room").subscription;
    for unknown in ["", "sub_", "sub_0", "nonsense", &format!("{}0", one.id), &SubscriptionId::new().to_string()] {
        assert!(registry.end_selected(&Selection::Id(unknown.into()), None, start).is_empty(), "{unknown}");
    }
    assert!(registry.end_selected(&Selection::Session("u".into()), None, start).is_empty());
    let ended = registry.end_selected(&Selection::Id(two.id.to_string()), Some(IDLE), start);
    assert_eq!(ended.len(), 1);
    assert!(two.end.is_cancelled() && !one.end.is_cancelled());
    let half = start + IDLE / 2;
    assert_eq!(registry.follow(asked("b", "s", None), half).err(), Some(Refusal::Blocked(IDLE / 2)));
    assert!(registry.follow(asked("c", "s", None), half).is_ok(), "another reader");
    assert!(registry.follow(asked("b", "t", None), half).is_ok(), "another shape");
    assert!(registry.follow(asked("b", "s", None), start + IDLE).is_ok(), "the time is over");

    assert_eq!(registry.end_selected(&Selection::Principal("p".into()), None, start).len(), 2);
    assert!(one.end.is_cancelled() && three.end.is_cancelled());
    for session in ["s", "t"] {
        registry.end_selected(&Selection::Session(session.into()), None, start);
    }
    registry.sweep(start + 2 * IDLE);
    assert!(left_over(&registry).is_empty(), "{:?}", left_over(&registry));
}

#[test]
fn a_block_that_is_made_longer_holds_until_its_new_end() {
    let (mut registry, start) = (registry(), Instant::now());
    for (at, block) in [(start, 1), (start + Duration::from_secs(1), 10)] {
        registry.follow(asked("a", "s", None), at).expect("room");
        registry.end_selected(&Selection::Session("s".into()), None, at);
        // As another process has it done, to which the reader has come meanwhile.
        registry.follow(asked("a", "s", None), at).expect("room");
        let ended = registry.block(vec![asked("a", "s", None).reader.key()], Duration::from_secs(block), at);
        assert_eq!(ended.len(), 1);
    }
    registry.sweep(start + Duration::from_secs(5));
    assert!(registry.follow(asked("a", "s", None), start + Duration::from_secs(5)).is_err());
    registry.sweep(start + Duration::from_secs(11));
    assert!(registry.follow(asked("a", "s", None), start + Duration::from_secs(11)).is_ok());
}

#[test]
fn pages_follow_each_other_without_gaps_however_they_are_filtered() {
    let (mut registry, now) = (registry(), Instant::now());
    let mut all = Vec::new();
    for (client, session, principal) in
        [("a", "s", Some("p")), ("b", "s", None), ("a", "t", Some("p")), ("b", "t", None)]
    {
        all.push(registry.follow(asked(client, session, principal), now).expect("room").subscription.id);
    }
    all.sort_unstable();
    let pages = |session: Option<&str>, principal: Option<&str>| {
        let (mut ids, mut after) = (Vec::new(), None);
        while let Some(entry) = registry.after(session, principal, after).next() {
            after = Some(entry.subscription.id);
            ids.extend(after);
        }
        ids
    };
    assert_eq!(pages(None, None), all);
    let by = |keep: &dyn Fn(&Subscription) -> bool| {
        let kept = all.iter().copied().filter(|id| keep(&registry.get(*id).expect("open").subscription));
        kept.collect::<Vec<_>>()
    };
    assert_eq!(pages(Some("s"), None), by(&|it| it.session.as_deref() == Some("s")));
    assert_eq!(pages(None, Some("p")), by(&|it| it.reader.principal.as_deref() == Some("p")));
    assert_eq!(registry.sessions_after(None).collect::<Vec<_>>(), [("s", 2), ("t", 2)]);
    assert_eq!(registry.sessions_after(Some("s")).collect::<Vec<_>>(), [("t", 2)]);
}

#[test]
fn a_reader_goes_on_where_its_answers_end() {
    let (mut registry, now) = (registry(), Instant::now());
    let subscription = registry.follow(asked("a", "s", None), now).expect("room").subscription;
    subscription.reached(Some(Handle::from("2-2")), Some(Offset { tx: 7, op: 1 }));
    subscription.reached(None, None);
    subscription.sent(5);
    subscription.sent(6);
    let position = subscription.position();
    assert_eq!((position.handle, position.offset.to_string()), (Some(Handle::from("2-2")), "7_1".to_owned()));
    assert_eq!(subscription.bytes(), 11);
}
