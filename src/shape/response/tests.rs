//! The presence matrix of protocol 4.1 row by row, and the values of 4.5 to 4.8.

use super::*;
use crate::shape::Dialect;

const EVERY_HEADER: [&str; 13] = [
    "content-type",
    "cache-control",
    "electric-handle",
    "electric-offset",
    "electric-schema",
    "electric-cursor",
    "electric-up-to-date",
    "electric-has-data",
    "etag",
    "electric-snapshot",
    "retry-after",
    "electric-internal-known-error",
    "surrogate-control",
];

const POLICY: CachePolicy = CachePolicy {
    max_age: Duration::from_secs(60),
    stale_age: Duration::from_secs(300),
    long_poll_timeout: Duration::from_secs(20),
    sse_timeout: Duration::from_secs(60),
};

const SCHEMA: &str = r#"{"id":{"type":"int8"}}"#;

/// 7,257,601 seconds into the epoch of cursors.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_728_432_000 + 7_257_601)
}

fn request(query: &str, if_none_match: Option<&str>) -> ShapeRequest {
    ShapeRequest::parse(&format!("table=t&{query}"), if_none_match, Dialect::Protocol).expect("a valid request")
}

/// The headers an answer has, among [`EVERY_HEADER`].
type Expected<'a> = &'a [(&'a str, &'a str)];

/// What the engine knows beside the request.
#[derive(Clone, Copy)]
struct Known {
    end: Offset,
    up_to_date: bool,
    no_change: bool,
}

const AT_END: Known = Known { end: Offset { tx: 9, op: 2 }, up_to_date: true, no_change: false };
const TIMED_OUT: Known = Known { no_change: true, ..AT_END };
const CLOSED_CHUNK: Known = Known { up_to_date: false, ..AT_END };
const FIRST_CHUNK: Known = Known { end: Offset { tx: 0, op: 0 }, ..CLOSED_CHUNK };

fn with_head<T>(request: &ShapeRequest, known: Known, use_it: impl FnOnce(LogHead<'_>) -> T) -> T {
    let handle = Handle::from("3-17");
    let Known { end, up_to_date, no_change } = known;
    use_it(LogHead { request, handle: &handle, end, schema: SCHEMA, up_to_date, no_change, cache: &POLICY, now: now() })
}

fn answer(query: &str, known: Known) -> Answer {
    with_head(&request(query, None), known, |head| head.answer(Body::Empty))
}

fn not_modified(query: &str, tag: &str, known: Known) -> Option<Answer> {
    with_head(&request(query, Some(tag)), known, |head| head.not_modified())
}

fn assert_headers(case: &str, answer: &Answer, expected: Expected) {
    for name in EVERY_HEADER {
        let wanted = expected.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        assert_eq!(answer.header(name), wanted, "{case}: {name}");
    }
    let mut names: Vec<&str> = answer.headers.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), answer.headers.len(), "{case}: no header twice");
}

fn text(answer: &Answer) -> &str {
    match &answer.body {
        Body::Full(bytes) => std::str::from_utf8(bytes).expect("bodies here are text"),
        Body::Empty => "",
        Body::Pieces { .. } | Body::Stream(_) => panic!("a stream where a body was expected"),
    }
}

#[test]
fn log_answers_have_the_headers_of_their_column() {
    let json = ("content-type", JSON);
    let handle = ("electric-handle", "3-17");
    let has_data = ("electric-has-data", "true");
    let schema = ("electric-schema", SCHEMA);
    let week = ("cache-control", "public, max-age=604800, s-maxage=3600, stale-while-revalidate=2629746");
    let minute = ("cache-control", "public, max-age=60, stale-while-revalidate=300");
    let moment = ("cache-control", "public, max-age=5, stale-while-revalidate=5");
    let up_to_date = ("electric-up-to-date", "");
    let at_end = ("electric-offset", "9_2");
    let cursor = ("electric-cursor", "7257620");
    let cases: &[(&str, Known, Expected)] = &[
        (
            "offset=-1",
            FIRST_CHUNK,
            &[json, week, handle, ("electric-offset", "0_0"), schema, has_data, ("etag", "\"3-17:-1:0_0\"")],
        ),
        (
            "offset=0_0&handle=3-17",
            AT_END,
            &[json, minute, handle, at_end, schema, up_to_date, has_data, ("etag", "\"3-17:0_0:9_2\"")],
        ),
        (
            "offset=0_0&handle=3-17",
            CLOSED_CHUNK,
            &[json, minute, handle, at_end, schema, has_data, ("etag", "\"3-17:0_0:9_2\"")],
        ),
        (
            "offset=0_0&handle=3-17&live&cursor=7257600",
            AT_END,
            &[json, moment, handle, at_end, cursor, up_to_date, has_data, ("etag", "\"3-17:0_0:9_2\"")],
        ),
        (
            "offset=0_0&handle=3-17&live",
            CLOSED_CHUNK,
            &[json, moment, handle, at_end, cursor, has_data, ("etag", "\"3-17:0_0:9_2\"")],
        ),
        (
            "offset=9_2&handle=3-17&live&live_sse",
            AT_END,
            &[
                ("content-type", "text/event-stream"),
                ("cache-control", "public, max-age=59"),
                handle,
                at_end,
                cursor,
                up_to_date,
                has_data,
                ("etag", "\"3-17:9_2:9_2\""),
            ],
        ),
    ];
    for (query, known, expected) in cases {
        let answer = answer(query, *known);
        assert_eq!(answer.status, 200, "{query}");
        assert_headers(query, &answer, expected);
    }
}

#[test]
fn a_timeout_has_no_data_and_a_tag_of_its_own() {
    let query = "offset=9_2&handle=3-17&live";
    let [first, second] = [0, 1].map(|_| answer(query, TIMED_OUT));
    assert_eq!(first.header("electric-has-data"), Some("false"));
    assert_eq!(first.header("electric-up-to-date"), Some(""));
    let tag = first.header("etag").expect("a timeout has a tag");
    assert!(tag.starts_with("\"3-17:9_2:9_2:"), "{tag}");
    assert_ne!(Some(tag), second.header("etag"));
    assert!(not_modified(query, tag, TIMED_OUT).is_none(), "{tag} is never revalidated");
}

#[test]
fn a_matching_tag_is_answered_304_with_the_headers_of_the_200() {
    let live = "offset=9_2&handle=3-17&live";
    //   request, If-None-Match, cache-control of the 304 if there is one
    let cases = [
        ("offset=-1", "\"3-17:-1:9_2\"", Some("public, max-age=604800, s-maxage=3600, stale-while-revalidate=2629746")),
        ("offset=0_0&handle=h", "\"3-17:0_0:9_2\"", Some("public, max-age=60, stale-while-revalidate=300")),
        ("offset=0_0&handle=h", "\"x\", \"3-17:0_0:9_2\"", Some("public, max-age=60, stale-while-revalidate=300")),
        (live, "\"3-17:9_2:9_2\"", Some("public, max-age=5, stale-while-revalidate=5")),
        (live, "\"3-17:9_2:9_2:1\"", None),
        (live, "W/\"3-17:9_2:9_2\"", None),
        (live, "*", None),
        ("offset=0_0&handle=h", "\"3-17:0_0:9_1\"", None),
        ("offset=0_0&handle=h", "", None),
    ];
    for (query, tag, cache_control) in cases {
        let answer = not_modified(query, tag, AT_END);
        let case = format!("{query} with {tag}");
        assert_eq!(answer.as_ref().and_then(|answer| answer.header("cache-control")), cache_control, "{case}");
        let Some(answer) = answer else { continue };
        assert_eq!((answer.status, text(&answer)), (304, ""), "{case}");
        let requested = query.trim_start_matches("offset=").split('&').next().unwrap_or_default();
        let etag = format!("\"3-17:{requested}:9_2\"");
        let mut expected = vec![
            ("content-type", JSON),
            ("cache-control", cache_control.unwrap_or_default()),
            ("electric-handle", "3-17"),
            ("electric-offset", "9_2"),
            ("electric-up-to-date", ""),
            ("electric-has-data", "true"),
            ("etag", &etag),
        ];
        if query == live {
            expected.push(("electric-cursor", "7257620"));
        }
        assert_headers(&case, &answer, &expected);
    }
}

#[test]
fn durations_of_the_configuration_reach_cache_control() {
    let policy = CachePolicy {
        max_age: Duration::from_secs(7),
        stale_age: Duration::from_millis(8500),
        long_poll_timeout: Duration::from_millis(900),
        sse_timeout: Duration::from_millis(1500),
    };
    //   request, cache-control, cursor
    let cases = [
        ("offset=0_0&handle=h", "public, max-age=7, stale-while-revalidate=8", None),
        ("offset=0_0&handle=h&live", "public, max-age=5, stale-while-revalidate=5", Some("0")),
        ("offset=0_0&handle=h&live&live_sse", "public, max-age=1", Some("0")),
    ];
    for (query, cache_control, cursor) in cases {
        let request = request(query, None);
        let answer = with_head(&request, AT_END, |head| LogHead { cache: &policy, ..head }.answer(Body::Empty));
        assert_eq!(answer.header("cache-control"), Some(cache_control), "{query}");
        assert_eq!(answer.header("electric-cursor"), cursor, "{query}");
    }
}

#[test]
fn a_cursor_is_greater_than_one_from_the_future() {
    let answer = answer("offset=0_0&handle=h&live&cursor=9000000", AT_END);
    let cursor: u64 = answer.header("electric-cursor").expect("live").parse().expect("a number");
    assert!((9_000_001..=9_003_600).contains(&cursor), "{cursor}");
}

#[test]
fn refusals_have_the_headers_and_bodies_of_the_catalogue() {
    let no_store = [("cache-control", "no-store"), ("surrogate-control", "no-store")];
    let error = [("content-type", JSON), no_store[0], no_store[1]];
    let routing = ("cache-control", "max-age=0, private, must-revalidate");
    let known = ("electric-internal-known-error", "true");
    let uncached = ("cache-control", "no-cache");
    let handle = Handle::from("8-99");
    let mut invalid = Invalid::one("offset", "can't be blank");
    invalid.add("replica", "is invalid");
    let second = Duration::from_secs(1);
    let cases = [
        (
            Answer::invalid(&invalid),
            400,
            r#"{"errors":{"offset":["can't be blank"],"replica":["is invalid"]},"message":"Invalid request"}"#,
            error.to_vec(),
        ),
        (
            Answer::must_refetch(Some(&handle)),
            409,
            r#"[{"headers":{"control":"must-refetch"}}]"#,
            vec![
                error[0],
                ("cache-control", "public, max-age=60, must-revalidate"),
                ("electric-handle", "8-99"),
                ("etag", "\"8-99::\""),
            ],
        ),
        (
            Answer::must_refetch(None),
            409,
            r#"[{"headers":{"control":"must-refetch"}}]"#,
            vec![error[0], ("cache-control", "public, max-age=1, must-revalidate")],
        ),
        (
            Answer::unavailable("not \"yet\"", Duration::from_millis(5900), false),
            503,
            r#"{"message":"not \"yet\""}"#,
            [&error[..], &[("retry-after", "5")]].concat(),
        ),
        (
            Answer::unavailable("no", Duration::ZERO, true),
            503,
            r#"{"message":"no"}"#,
            [&error[..], &[("retry-after", "1"), known]].concat(),
        ),
        (
            Answer::too_many_requests(Admission::Initial, 300, second),
            503,
            r#"{"code":"concurrent_request_limit_exceeded","message":"Concurrent initial request limit exceeded (limit: 300), please retry"}"#,
            [&error[..], &[("retry-after", "1"), known]].concat(),
        ),
        (
            Answer::invalid(&Invalid::one("table", "can't be blank")).uncached(),
            400,
            r#"{"errors":{"table":["can't be blank"]},"message":"Invalid request"}"#,
            vec![error[0], ("cache-control", "no-cache")],
        ),
        (Answer::server_error("no"), 500, r#"{"message":"no"}"#, error.to_vec()),
        (
            Answer::bad_body(&BadBody::NotJson("no \"end\"".to_owned())),
            400,
            r#"{"details":"no \"end\"","error":"Invalid JSON in request body"}"#,
            vec![error[0], routing],
        ),
        (
            Answer::bad_body(&BadBody::Unreadable),
            400,
            r#"{"error":"Failed to read request body"}"#,
            vec![error[0], routing],
        ),
        (Answer::bad_body(&BadBody::TooLarge), 413, r#"{"error":"Request body too large"}"#, vec![error[0], routing]),
        (Answer::deleted(), 202, "", vec![error[0], uncached, ("electric-has-data", "true")]),
        (Answer::no_such_shape(), 404, r#"{"message":"No existing shape found"}"#, vec![error[0], uncached]),
        (Answer::delete_not_allowed(), 405, r#"{"message":"DELETE not allowed"}"#, vec![error[0], uncached]),
        (
            Answer::handle_of_another(),
            400,
            r#"{"message":"The specified shape definition and handle do not match. Please ensure the shape definition is correct or omit the shape handle from the request to obtain a new one."}"#,
            vec![error[0], uncached],
        ),
        (Answer::unauthorized(), 401, r#"{"message":"Unauthorized - Invalid API secret"}"#, vec![routing]),
        (Answer::not_found(), 404, "Not found", vec![routing]),
    ];
    for (answer, status, body, headers) in cases {
        assert_eq!((answer.status, text(&answer)), (status, body));
        assert_headers(body, &answer, &headers);
    }
}
