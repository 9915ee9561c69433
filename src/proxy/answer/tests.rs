//! The table of headers and the table of statuses.

use awc::http::header::{HeaderName, HeaderValue};

use super::*;

const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

fn head(status: u16, headers: &[(&'static str, &'static str)]) -> Head {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    Head::of(status, &map)
}

type Headers = &'static [(&'static str, &'static str)];

#[test]
fn headers_of_the_protocol_go_on_and_others_do_not() {
    let seen = head(
        200,
        &[
            ("electric-up-to-date", ""),
            ("electric-offset", "0_0"),
            ("vary", "accept-encoding"),
            ("vary", "x-tenant"),
            ("connection", "keep-alive"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("access-control-allow-origin", "*"),
            ("set-cookie", "a=b"),
            ("x-request-id", "abc"),
            ("electric-server", "ElectricSQL/1.0"),
        ],
    );
    let expected = [("electric-offset", "0_0"), ("electric-up-to-date", ""), ("vary", "accept-encoding, x-tenant")];
    assert_eq!(seen.headers, expected.map(|(name, value)| (name, value.to_owned())));
    let mut map = HeaderMap::new();
    map.insert(
        HeaderName::from_static("electric-schema"),
        HeaderValue::from_bytes("{\"ä\":1}".as_bytes()).expect("a value"),
    );
    map.insert(HeaderName::from_static("etag"), HeaderValue::from_bytes(b"\xff").expect("a value"));
    assert_eq!(Head::of(200, &map).headers, [("electric-schema", "{\"ä\":1}".to_owned())]);
    assert!(KEPT.is_sorted(), "a table that can be read");
}

#[test]
fn an_answer_goes_on_if_readers_know_it() {
    let live: Headers = &[("electric-handle", "h"), ("electric-offset", "1_0"), ("electric-cursor", "5")];
    let log: Headers = &[("electric-handle", "h"), ("electric-offset", "1_0"), ("electric-schema", "{}")];
    let wrong = |status| match head(status, &[JSON]).check(Kind::Log, false) {
        Err(Failure::Wrong(what)) => what,
        other => panic!("{status}: {other:?}"),
    };
    let accepted: [(u16, Headers, Kind, bool); 10] = [
        (200, log, Kind::Log, false),
        (200, live, Kind::Live, false),
        (204, live, Kind::Live, false),
        (200, &log[..1], Kind::Subset, false),
        (304, &[], Kind::Log, true),
        (400, &[JSON], Kind::Log, false),
        (409, &[JSON], Kind::Live, false),
        (429, &[JSON], Kind::Log, false),
        (503, &[JSON], Kind::Subset, false),
        (503, &[("content-type", "Application/JSON")], Kind::Live, false),
    ];
    for (status, headers, kind, conditional) in accepted {
        assert_eq!(head(status, headers).check(kind, conditional), Ok(()), "{status} {kind:?}");
    }
    let missing: [(u16, Headers, Kind); 5] = [
        (200, live, Kind::Log),
        (200, log, Kind::Live),
        (200, &[JSON], Kind::Subset),
        (200, &log[1..], Kind::Log),
        (204, &live[..2], Kind::Live),
    ];
    for (status, headers, kind) in missing {
        let checked = head(status, headers).check(kind, false);
        assert!(matches!(checked, Err(Failure::Wrong(_))), "{status} {kind:?}: {checked:?}");
    }
    for status in [100, 201, 204, 206, 301, 302, 304, 501, 502, 504, 599] {
        assert!(!wrong(status).is_empty(), "{status}");
    }
    for (status, failure) in
        [(405, Failure::Failed), (410, Failure::Failed), (500, Failure::Failed), (414, Failure::TooLong)]
    {
        assert_eq!(head(status, &[JSON]).check(Kind::Log, false), Err(failure), "{status}");
    }
    for status in [401, 403, 404] {
        assert_eq!(head(status, &[JSON]).check(Kind::Log, false), Err(Failure::Refused(status)));
    }
    for status in [429, 503] {
        let page = head(status, &[("content-type", "text/html")]);
        assert_eq!(page.check(Kind::Log, false), Err(Failure::Unavailable { status }));
        assert_eq!(head(status, &[JSON]).with_retry_after().get("retry-after"), Some("1"));
        let given = head(status, &[JSON, ("retry-after", "7")]).with_retry_after();
        assert_eq!(given.get("retry-after"), Some("7"));
    }
    let page: Headers = &[("content-type", "text/html")];
    assert_eq!(head(400, page).check(Kind::Log, false), Err(Failure::Failed), "of a proxy in between");
    assert!(matches!(head(500, page).check(Kind::Log, false), Err(Failure::Wrong(_))), "nothing that a service says");
}
