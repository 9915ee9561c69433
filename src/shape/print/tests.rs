//! What is printed, and that it is read as what it was.

use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::shape::{Dialect, Offset, PostBody, Requested};

fn parse(query: &str) -> ShapeRequest {
    ShapeRequest::parse(query, None, Dialect::Protocol).unwrap_or_else(|invalid| panic!("{query}: {invalid:?}"))
}

#[test]
fn a_request_is_printed_with_what_was_understood_and_nothing_else() {
    let cases = [
        ("offset=-1&table=t&client=me&secret=s&foo", "table=t&offset=-1"),
        ("table=%22A+b%22&offset=now&log=full&replica=default", "table=%22A%20b%22&offset=now"),
        (
            "table=t&offset=0_inf&handle=h-1&live&cursor=7&cache-buster=x%26y&expired_handle=old",
            "table=t&offset=0_inf&handle=h-1&live=true&cursor=7&cache-buster=x%26y&expired_handle=old",
        ),
        (
            "table=t&offset=5_1&handle=h&live=true&live_sse=true&experimental_live_sse=true",
            "table=t&offset=5_1&handle=h&live=true&live_sse=true",
        ),
        (
            "table=t&offset=-1&where=a=$1+AND+b=$2&params[2]=y&params[1]=",
            "table=t&offset=-1&where=a%3D%241%20AND%20b%3D%242&params%5B1%5D=&params%5B2%5D=y",
        ),
        (
            "table=t&offset=-1&subset__foo&replica=full&log=changes_only&experimental_compaction=1&columns=id,%C3%A4",
            "table=t&offset=-1&replica=full&log=changes_only&experimental_compaction=true&columns=id%2C%C3%A4&subset__where=",
        ),
        (
            "table=t&offset=-1&subset__params={\"1\":5}&subset__order_by=a&subset__limit=3&subset__offset=0&subset__where=x",
            "table=t&offset=-1&subset__where=x&subset__params=%7B%221%22%3A%225%22%7D&subset__order_by=a&subset__limit=3&subset__offset=0",
        ),
    ];
    for (query, printed) in cases {
        assert_eq!(parse(query).to_query(), printed, "{query}");
    }
}

/// A text that is there: blank counts as absent.
fn text() -> impl Strategy<Value = String> {
    "[^\u{0}]{0,6}[a-zA-Zä&=+%\"'$\\[\\]{},;#?/]"
}

fn value() -> impl Strategy<Value = String> {
    "[^\u{0}]{0,8}"
}

prop_compose! {
    fn subsets()(
        filter in option::of(text()),
        params in proptest::collection::vec(value(), 0..12),
        order_by in option::of(text()),
        limit in option::of(1..=i64::MAX as u64),
        offset in option::of(0..=i64::MAX as u64),
    ) -> Subset {
        let ordered = order_by.is_some();
        Subset { filter, params, order_by, limit: limit.filter(|_| ordered), offset: offset.filter(|_| ordered) }
    }
}

prop_compose! {
    fn places()(
        tx in any::<u64>(), op in any::<u64>(), handle in option::of(text()), form in 0..4, live in 0..3,
    ) -> (Requested, Option<String>, Live) {
        match (form, handle) {
            (0, handle) => (Requested::Start, handle, Live::No),
            (1, handle) => (Requested::Now, handle, Live::No),
            (_, None) => (Requested::Start, None, Live::No),
            (_, handle) => {
                let live = [Live::No, Live::Poll, Live::Sse][usize::try_from(live).unwrap_or_default()];
                (Requested::After(Offset { tx, op }), handle, live)
            }
        }
    }
}

prop_compose! {
    fn requests()(
        (offset, handle, live) in places(),
        cursor in option::of(any::<u64>()),
        texts in proptest::collection::vec(option::of(text()), 5),
        table in text(),
        params in proptest::collection::vec(value(), 0..12),
        switches in any::<[bool; 3]>(),
        subset in option::of(subsets()),
    ) -> ShapeRequest {
        let [columns, queryable_columns, filter, cache_buster, expired_handle] =
            <[_; 5]>::try_from(texts).unwrap_or_default();
        let [full, changes_only, compaction] = switches;
        ShapeRequest {
            table, offset, live: if subset.is_some() && live == Live::Sse { Live::Poll } else { live }, cursor, columns,
            handle: handle.as_deref().map(Into::into),
            queryable_columns, compaction, subset, cache_buster, expired_handle,
            params: if filter.is_some() { params } else { Vec::new() },
            filter, values: Vec::new(),
            replica: if full { Replica::Full } else { Replica::Default },
            log: if changes_only { LogMode::ChangesOnly } else { LogMode::Full },
            session: None, if_none_match: Vec::new(), accept_encoding: None,
        }
    }
}

proptest! {
    #[test]
    fn what_is_printed_is_read_as_the_same_request(request in requests()) {
        let query = request.to_query();
        prop_assert!(query.is_ascii(), "{}", query);
        prop_assert_eq!(&parse(&query), &request);
        if let Some((query, body)) = request.to_post() {
            let body = PostBody::read(body.as_bytes()).expect("a JSON object");
            let read = ShapeRequest::parse_post(&query, body, Dialect::Protocol).expect("a request");
            prop_assert_eq!(&read, &request);
        }
    }
}
