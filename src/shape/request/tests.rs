//! Requests as clients send them, and each refusal of protocol 3.1 that a query string alone can earn.

use super::*;
use crate::shape::{Offset, Reason};

fn parse(query: &str) -> Result<ShapeRequest, Invalid> {
    ShapeRequest::parse(query, None, Dialect::Protocol)
}

fn plain(table: &str) -> ShapeRequest {
    ShapeRequest {
        table: table.to_owned(),
        offset: Requested::Start,
        handle: None,
        live: Live::No,
        cursor: None,
        columns: None,
        queryable_columns: None,
        filter: None,
        params: Vec::new(),
        values: Vec::new(),
        replica: Replica::Default,
        log: LogMode::Full,
        compaction: false,
        subset: None,
        cache_buster: None,
        expired_handle: None,
        session: None,
        if_none_match: Vec::new(),
        accept_encoding: None,
    }
}

fn position(tx: u64, op: u64) -> Requested {
    Requested::After(Offset { tx, op })
}

#[test]
fn a_request_is_read_field_by_field() {
    let resumed = ShapeRequest { offset: position(0, 2), handle: Some("h".into()), ..plain("t") };
    let live = ShapeRequest { live: Live::Poll, ..resumed.clone() };
    let sse = ShapeRequest { live: Live::Sse, ..resumed.clone() };
    let filtered = ShapeRequest { filter: Some("a = $1".to_owned()), params: vec!["x".to_owned()], ..plain("t") };
    let cases = [
        ("table=t&offset=-1", plain("t")),
        ("table=%22My+Table%22&offset=-1_0", plain("\"My Table\"")),
        ("table=u&table=t&offset=-1", plain("t")),
        ("table=t&offset=-1&unrelated=foo&secret=s&cache-buster=&cache-buster[]=1&expired_handle=+", plain("t")),
        (
            "table=t&offset=-1&cache-buster=1&expired_handle=x",
            ShapeRequest { cache_buster: Some("1".to_owned()), expired_handle: Some("x".to_owned()), ..plain("t") },
        ),
        (
            "table=t&offset=-1&handle=&columns=&queryable_columns=+&where=%20&params=&replica=&log=&live_sse=false",
            plain("t"),
        ),
        ("table=t&offset=-1&log=full&replica=default&experimental_compaction=false", plain("t")),
        ("table=t&offset=-1&experimental_compaction=true", ShapeRequest { compaction: true, ..plain("t") }),
        ("table=t&offset=0_02&handle=h", resumed.clone()),
        ("table=t&offset=0_2&handle=h&live=false", resumed.clone()),
        ("table=t&offset=0_2&handle=h&live=FALSE", resumed.clone()),
        ("table=t&offset=0_2&handle=h&live=0", resumed.clone()),
        ("table=t&offset=0_2&handle=h&experimental_live_sse=", resumed.clone()),
        ("table=t&offset=0_2&handle=h&live", live.clone()),
        ("table=t&offset=0_2&handle=h&live=", live.clone()),
        ("table=t&offset=0_2&handle=h&live=True", live.clone()),
        ("table=t&offset=0_2&handle=h&live=1", live.clone()),
        ("table=t&offset=0_2&handle=h&live=banana", live.clone()),
        ("table=t&offset=0_2&handle=h&live&live_sse=false&experimental_live_sse=banana", live.clone()),
        ("table=t&offset=0_2&handle=h&live&live_sse", sse.clone()),
        ("table=t&offset=0_2&handle=h&live=true&experimental_live_sse=1", sse.clone()),
        ("table=t&offset=0_2&handle=h&live=true&live_sse=true&experimental_live_sse=true", sse),
        ("table=t&offset=0_2&handle=h&live&cursor=7257620", ShapeRequest { cursor: Some(7_257_620), ..live.clone() }),
        ("table=t&offset=0_2&handle=h&live&cursor=", live.clone()),
        ("table=t&offset=0_2&handle=h&live&cursor=abc", live.clone()),
        ("table=t&offset=0_2&handle=h&live&cursor=12x", live.clone()),
        ("table=t&offset=0_2&handle=h&live&cursor=-3", live.clone()),
        ("table=t&offset=0_2&handle=h&live&cursor[a]=3", live.clone()),
        ("table=t&offset=0_2&handle=h&live&cursor=99999999999999999999", live),
        (
            "table=t&offset=0_inf&handle=h",
            ShapeRequest { offset: position(0, u64::MAX), handle: Some("h".into()), ..plain("t") },
        ),
        ("table=t&offset=-1&replica=full", ShapeRequest { replica: Replica::Full, ..plain("t") }),
        (
            "table=t&offset=-1&columns=id,%22a,b%22",
            ShapeRequest { columns: Some("id,\"a,b\"".to_owned()), ..plain("t") },
        ),
        (
            "table=t&offset=-1&queryable_columns=id",
            ShapeRequest { queryable_columns: Some("id".to_owned()), ..plain("t") },
        ),
        ("table=t&offset=-1&where=a+=+$1&params[1]=x", filtered.clone()),
        ("table=t&offset=-1&where=a+%3D+%241&params%5B1%5D=x", filtered.clone()),
        ("table=t&offset=-1&where=a = $1&params[01]=x", filtered.clone()),
        ("table=t&offset=-1&where=a = $1&params[1]=y&params[1]=x", filtered),
        (
            "table=t&offset=-1&where=a = $1&params[2]=&params[1]=+;%20--",
            ShapeRequest {
                filter: Some("a = $1".to_owned()),
                params: vec![" ; --".to_owned(), String::new()],
                ..plain("t")
            },
        ),
        (
            "table=t&offset=now&handle=h",
            ShapeRequest { offset: Requested::Now, handle: Some("h".into()), ..plain("t") },
        ),
        ("table=t&offset=-1&log=changes_only", ShapeRequest { log: LogMode::ChangesOnly, ..plain("t") }),
        (
            "table=t&offset=-1&columns[]=id&columns[]=a,b",
            ShapeRequest { columns: Some("\"id\",\"a,b\"".to_owned()), ..plain("t") },
        ),
        ("table=t&offset=-1&params[1]=x", plain("t")),
        ("table=t&offset=-1&params[7]=x&params[a]=y&where=", plain("t")),
    ];
    for (query, expected) in cases {
        assert_eq!(parse(query), Ok(expected), "{query}");
    }
}

#[test]
fn a_refusal_names_the_first_stage_that_fails() {
    const SEQUENTIAL: &str = "Parameters must be numbered sequentially, starting from 1";
    const NUMBERS: &str = "Parameters can only use numbers as keys";
    const NO_HANDLE: &str = "can't be blank when offset != -1";
    const NOT_LIVE: &str = "can't be true unless live is also true";
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("", &[("offset", BLANK)]),
        ("offset=+", &[("offset", BLANK)]),
        ("offset[]=-1", &[("offset", INVALID)]),
        ("table=t", &[("offset", BLANK)]),
        ("offset=-1", &[("table", BLANK)]),
        ("offset=-1&table=", &[("table", BLANK)]),
        ("offset=-1&table=%20%09", &[("table", BLANK)]),
        ("offset=-1&table[a]=t", &[("table", INVALID)]),
        ("table=t&offset=10", &[("offset", "has invalid format")]),
        ("table=t&offset=1_2_3", &[("offset", "has invalid format")]),
        ("table=t&offset=0_-1", &[("offset", "has invalid format")]),
        ("table=t&offset=10_32.1", &[("offset", "has invalid format")]),
        ("table=t&offset=1_2+", &[("offset", "has invalid format")]),
        ("table=t&offset=x", &[("offset", "has invalid format")]),
        ("table=t&offset=0_0", &[("handle", NO_HANDLE)]),
        ("table=t&offset=0_0&handle=+", &[("handle", NO_HANDLE)]),
        ("table=t&offset=0_0&handle[]=h", &[("handle", INVALID)]),
        ("offset=0_0&live=true&live_sse=true", &[("handle", NO_HANDLE)]),
        ("table=t&offset=-1&live=true", &[("live", "can't be true when offset == -1")]),
        ("offset=-1&live&live_sse", &[("live", "can't be true when offset == -1")]),
        ("table=t&offset=now&live=true", &[("live", "can't be true when offset is 'now'")]),
        ("table=t&offset=0_0&handle=h&live[]=true", &[("live", INVALID)]),
        ("offset=0_0&handle=h&live_sse=true", &[("live_sse", NOT_LIVE)]),
        ("table=t&offset=0_0&handle=h&live=false&experimental_live_sse=true", &[("live_sse", NOT_LIVE)]),
        ("table=t&offset=-1&live_sse=true", &[("live_sse", NOT_LIVE)]),
        ("table=t&offset=0_0&handle=h&live&experimental_live_sse=banana", &[("live_sse", INVALID)]),
        ("table=t&offset=-1&replica=foo", &[("replica", INVALID)]),
        ("table=t&offset=-1&replica=FULL", &[("replica", INVALID)]),
        ("table=t&offset=-1&log=foo", &[("log", INVALID)]),
        ("table=t&offset=-1&experimental_compaction=banana", &[("experimental_compaction", INVALID)]),
        ("replica=foo", &[("offset", BLANK), ("replica", INVALID)]),
        ("replica=foo&log=bar&params=abc&offset=x", &[("log", INVALID), ("params", INVALID), ("replica", INVALID)]),
        ("table=t&offset=-1&params=abc", &[("params", INVALID)]),
        ("table=t&offset=-1&params={\"1\":\"v\"}&where=a=$1", &[("params", INVALID)]),
        ("table=t&offset=-1&params[]=abc", &[("params", INVALID)]),
        ("table=t&offset=-1&params[1][2]=abc", &[("params", INVALID)]),
        ("table=t&offset=-1&where=a&params[2]=x", &[("params", SEQUENTIAL)]),
        ("table=t&offset=-1&where=a&params[1]=x&params[3]=x", &[("params", SEQUENTIAL)]),
        ("table=t&offset=-1&where=a&params[0]=x&params[1]=x", &[("params", SEQUENTIAL)]),
        ("table=t&offset=-1&where=a&params[-1]=x", &[("params", SEQUENTIAL)]),
        ("table=t&offset=-1&where=a&params[99999999999999999999]=x", &[("params", SEQUENTIAL)]),
        ("table=t&offset=-1&where=a&params[a]=x", &[("params", NUMBERS)]),
        ("table=t&offset=-1&where=a&params[1]=x&params[1.5]=x", &[("params", NUMBERS)]),
        ("table=t&offset=-1&where=a&params[-]=x", &[("params", NUMBERS)]),
        ("table=t%00&offset=-1", &[("table", INVALID)]),
        ("table=t&offset=-1&where=a='%00'", &[("where", INVALID)]),
        ("table=t&offset=-1&where=a=$1&params[1]=%00", &[("params", INVALID)]),
        ("table=t&offset=-1&where=%ff", &[("query", "is not valid UTF-8")]),
        ("table=t&offset=-1&where=%f", &[("query", "has a malformed percent escape")]),
        ("table=t&offset=now&live=true&live_sse=true", &[("live", "can't be true when offset is 'now'")]),
        ("offset=now&log=changes_only&subset__limit=x", &[("table", BLANK)]),
        ("table=t&offset=-1&columns[]=id&columns[]=", &[("columns", "Invalid zero-length identifier")]),
    ];
    for (query, expected) in cases {
        let expected = expected.iter().map(|(field, text)| (*field, Reason::Texts(vec![(*text).to_owned()]))).collect();
        match parse(query) {
            Err(invalid) => assert_eq!(invalid.errors(), &expected, "{query}"),
            Ok(request) => panic!("{query} was read as {request:?}"),
        }
    }
}

#[test]
fn a_dialect_means_the_start_only_where_that_is_asked_for() {
    for query in ["table=t", "table=t&offset="] {
        assert_eq!(ShapeRequest::parse(query, None, Dialect::Api), Ok(plain("t")), "{query}");
    }
    let live = ShapeRequest::parse("table=t&live", None, Dialect::Api);
    assert_eq!(live, Err(Invalid::one("live", "can't be true when offset == -1")));
}

#[test]
fn only_a_reader_past_the_start_resumes() {
    let start = parse("table=t&offset=-1&handle=whatever").expect("a handle at the start is ignored");
    assert_eq!(start.resumes(), None);
    let later = parse("table=t&offset=7_1&handle=h").expect("a valid request");
    assert_eq!(later.resumes(), Some(&Handle::from("h")));
}

#[test]
fn entity_tags_are_a_list_without_quotes() {
    let cases: &[(&str, &[&str])] = &[
        ("", &[]),
        ("\"\"", &[]),
        ("\"h:-1:0_0\"", &["h:-1:0_0"]),
        ("h:-1:0_0", &["h:-1:0_0"]),
        (" \"x\" ,\"h:0_0:5_1\"", &["x", "h:0_0:5_1"]),
        ("W/\"x\", *", &["W/\"x", "*"]),
    ];
    for (header, expected) in cases {
        let request = ShapeRequest::parse("table=t&offset=-1", Some(header), Dialect::Protocol);
        assert_eq!(request.expect("a valid request").if_none_match, *expected, "{header}");
    }
}
