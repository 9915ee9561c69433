//! Bodies in both layouts, and what is wrong with those that are none.

use super::*;
use crate::shape::{Dialect, Invalid, Live, Reason, ShapeRequest, Subset};

fn post(query: &str, body: &str) -> Result<ShapeRequest, Invalid> {
    let body = PostBody::read(body.as_bytes()).unwrap_or_else(|bad| panic!("{body}: {bad}"));
    ShapeRequest::parse_post(query, body, Dialect::Protocol)
}

fn get(query: &str) -> Result<ShapeRequest, Invalid> {
    ShapeRequest::parse(query, None, Dialect::Protocol)
}

#[test]
fn a_body_that_is_no_object_is_refused() {
    for (body, refusal) in [("[]", "Request body must be a JSON object"), ("1", "Request body must be a JSON object")] {
        assert_eq!(PostBody::read(body.as_bytes()).map_err(|bad| bad.to_string()).err().as_deref(), Some(refusal));
    }
    let deep = "[".repeat(100_000);
    for body in ["{", " ", "{\"a\":1,}", "{}{}", "\u{feff}{}", deep.as_str()] {
        let refusal = PostBody::read(body.as_bytes()).err();
        assert!(matches!(refusal, Some(BadBody::NotJson(_))), "{refusal:?}");
    }
    assert!(matches!(PostBody::read(b"{\"a\":\"\xff\"}"), Err(BadBody::NotJson(_))), "not UTF-8");
}

#[test]
fn a_body_says_the_same_as_a_query_string() {
    let cases = [
        ("table=t&offset=-1", "", "table=t&offset=-1"),
        ("table=t&offset=-1", "{}", "table=t&offset=-1"),
        ("table=u&offset=-1", r#"{"table":"t","replica":"full"}"#, "table=t&offset=-1&replica=full"),
        ("table=u&offset=-1&replica=full", r#"{"table":"t","replica":null,"subset":null}"#, "table=t&offset=-1"),
        ("table=t&offset=-1", r#"{"columns":["id","a,b"]}"#, "table=t&offset=-1&columns=%22id%22,%22a,b%22"),
        ("table=t&offset=-1", r#"{"columns":"id,x","live":false}"#, "table=t&offset=-1&columns=id,x"),
        (
            "table=t&offset=-1",
            r#"{"queryable_columns":["I\"d"]}"#,
            "table=t&offset=-1&queryable_columns=%22I%22%22d%22",
        ),
        (
            "table=t&offset=0_1&handle=h",
            r#"{"live":true,"cursor":7}"#,
            "table=t&offset=0_1&handle=h&live=true&cursor=7",
        ),
        ("table=t&offset=0_1&handle=h", r#"{"live":1,"live_sse":"false"}"#, "table=t&offset=0_1&handle=h&live=true"),
        (
            "table=t&offset=0_1&handle=h&live",
            r#"{"experimental_live_sse":true}"#,
            "table=t&offset=0_1&handle=h&live&live_sse",
        ),
        (
            "table=t&offset=-1&where=x",
            r#"{"where":"a = $1","params":{"1":5,"2":true},"order_by":"a","limit":3,"offset":"4","where_expr":{}}"#,
            "table=t&offset=-1&where=x&subset__where=a+=+$1&subset__params={\"1\":\"5\",\"2\":\"true\"}&subset__order_by=a\
             &subset__limit=3&subset__offset=4",
        ),
        (
            "subset__limit=3",
            r#"{"subset":{"order_by":"a","params":"{\"1\":\"x\"}"},"table":"t","offset":"-1","where":"b = $1","params":{"1":"y"}}"#,
            "table=t&offset=-1&where=b+=+$1&params[1]=y&subset__limit=3&subset__order_by=a&subset__params[1]=x",
        ),
        ("table=t&offset=-1&subset__limit=3", r#"{"limit":null}"#, "table=t&offset=-1&subset__foo"),
        ("table=t&offset=-1", r#"{"subset":{}}"#, "table=t&offset=-1&subset__foo"),
        ("table=t", r#"{"subset":{"where":" "},"offset":-1}"#, "table=t&offset=-1&subset__foo"),
        ("table=t&offset=-1", r#"{"subset__where":"a"}"#, "table=t&offset=-1&subset__where=a"),
        ("table=t&offset=-1", r#"{"unknown":[1,{}],"params[1]":"x","secret":"s"}"#, "table=t&offset=-1"),
    ];
    for (query, body, same) in cases {
        assert_eq!(post(query, body), get(same), "{query} {body}");
        assert!(get(same).is_ok(), "{same}");
    }
}

#[test]
fn members_of_the_wrong_type_are_refused() {
    let cases = [
        (r#"{"columns":[]}"#, r#"{"columns":["is invalid"]}"#),
        (r#"{"columns":["id",""]}"#, r#"{"columns":["Invalid zero-length identifier"]}"#),
        (r#"{"columns":[1]}"#, r#"{"columns":["is invalid"]}"#),
        (r#"{"columns":["a\u0000"]}"#, r#"{"columns":["is invalid"]}"#),
        (r#"{"queryable_columns":[]}"#, r#"{"queryable_columns":["The list of queryable columns must not be empty"]}"#),
        (r#"{"table":5,"handle":{}}"#, r#"{"handle":["is invalid"],"table":["is invalid"]}"#),
        (r#"{"live":[]}"#, r#"{"live":["is invalid"]}"#),
        (r#"{"replica":true}"#, r#"{"replica":["is invalid"]}"#),
        (r#"{"subset":{},"where":"a","params":{"1":5}}"#, r#"{"params":["is invalid"]}"#),
        (r#"{"subset":{},"where":"a","params":["x"]}"#, r#"{"params":["is invalid"]}"#),
        (r#"{"subset":5}"#, r#"{"subset":["is invalid"]}"#),
        (r#"{"where":5}"#, r#"{"subset":{"where":["is invalid"]}}"#),
        (r#"{"limit":1.5,"order_by":"a"}"#, r#"{"subset":{"limit":["is invalid"]}}"#),
        (r#"{"limit":true,"offset":"x"}"#, r#"{"subset":{"limit":["is invalid"],"offset":["is invalid"]}}"#),
        (r#"{"params":[1]}"#, r#"{"subset":{"params":["params must be a JSON object"]}}"#),
        (
            r#"{"params":{"1":null}}"#,
            r#"{"subset":{"params":["values of params must be texts, numbers or booleans"]}}"#,
        ),
    ];
    for (body, errors) in cases {
        let invalid = post("table=t&offset=-1", body).expect_err(body);
        assert_eq!(serde_json::to_string(invalid.errors()).expect("texts are JSON"), errors, "{body}");
    }
}

#[test]
fn a_subset_is_read_from_the_url() {
    let asked = |query: &str| get(&format!("table=t&offset=-1&{query}")).map(|request| request.subset);
    let one = |field, text: &str| Err(Invalid::one(field, text).in_subset());
    let paged = Subset { order_by: Some("a".to_owned()), limit: Some(1), ..Subset::default() };
    let text = "x".to_owned();
    let cases = [
        ("subset_=1", Ok(None)),
        ("subset__foo=1", Ok(Some(Subset::default()))),
        ("subset__limit=&subset__where=+&subset__params=", Ok(Some(Subset::default()))),
        ("subset__limit=1&subset__order_by=a", Ok(Some(paged.clone()))),
        ("subset__limit=01&subset__order_by=a&subset__offset=0", Ok(Some(Subset { offset: Some(0), ..paged }))),
        (
            "subset__params={\"2\":\"x\",\"1\":1.50}",
            Ok(Some(Subset { params: vec!["1.50".to_owned(), text.clone()], ..Subset::default() })),
        ),
        ("subset__params[1]=x", Ok(Some(Subset { params: vec![text], ..Subset::default() }))),
        ("subset__limit=1", one("order_by", "order_by is required when limit or offset is present")),
        (
            "subset__offset=1&subset__order_by=+",
            one("order_by", "order_by is required when limit or offset is present"),
        ),
        ("subset__limit=0&subset__order_by=a", one("limit", "must be greater than 0")),
        ("subset__limit=-7", one("limit", "must be greater than 0")),
        ("subset__limit=1x", one("limit", "is invalid")),
        ("subset__limit=9223372036854775808", one("limit", "is invalid")),
        ("subset__offset=-1", one("offset", "must be greater than or equal to 0")),
        ("subset__offset[]=1", one("offset", "is invalid")),
        ("subset__order_by=%00", one("order_by", "is invalid")),
        ("subset__params=[1]", one("params", "params must be a JSON object")),
        ("subset__params=null", one("params", "params must be a JSON object")),
        ("subset__params[]=1", one("params", "params must be a JSON object")),
        ("subset__params={", one("params", "params must be valid JSON")),
        ("subset__params={\"2\":\"x\"}", one("params", "Parameters must be numbered sequentially, starting from 1")),
        ("subset__params={\"a\":\"x\"}", one("params", "Parameters can only use numbers as keys")),
        ("subset__params={\"1\":\"\\u0000\"}", one("params", "is invalid")),
    ];
    for (query, expected) in cases {
        assert_eq!(asked(query), expected, "{query}");
    }
    let both = asked("subset__limit=0&subset__params={").expect_err("two things are wrong");
    let Some(Reason::Fields(fields)) = both.errors().get("subset") else { panic!("{both:?}") };
    assert_eq!(fields.keys().copied().collect::<Vec<_>>(), ["limit", "params"]);
}

#[test]
fn a_subset_is_never_a_stream() {
    let live = get("table=t&offset=0_1&handle=h&live&subset__limit=1&subset__order_by=a").expect("live means nothing");
    assert_eq!(live.live, Live::Poll);
    let stream = get("table=t&offset=0_1&handle=h&live&live_sse&subset__where=a");
    assert_eq!(stream, Err(Invalid::one("live_sse", "can't be true for a subset")));
}

proptest::proptest! {
    #[test]
    fn no_body_panics(body in ".*", name in "[a-z_]{1,12}", value in ".*") {
        let mut object = Map::new();
        object.insert(name.clone(), Value::String(value.clone()));
        object.insert("subset".to_owned(), Value::Object(Map::from_iter([(name, Value::String(value))])));
        for text in [body, Value::Object(object).to_string()] {
            if let Ok(body) = PostBody::read(text.as_bytes()) {
                let _ = ShapeRequest::parse_post("table=t&offset=-1", body, Dialect::Api);
            }
        }
    }
}
