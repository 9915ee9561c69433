//! The first answer of a shape: statements 88 to 104.

use std::collections::BTreeSet;

use futures_util::future::{join, join_all};
use serde_json::Value;

use super::{A, B, C, ITEMS, Server, insert, key, kinds};
use crate::support::Reply;

const ROWS: &str = "INSERT INTO items SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, repeat('x', 100) \
                    FROM generate_series(1, 100) n;";

#[actix_rt::test]
async fn c088_c089_c090_c091_c092_c093_c094_c096_the_first_answer() {
    let server = Server::new(&format!("{ITEMS} {} {}", insert(A, "a"), insert(B, "b"))).await;
    let first = server.get("table=items&offset=-1").await.is(200);
    let handle = first.handle();
    for (name, value) in [
        ("content-type", Some("application/json; charset=utf-8")),
        ("electric-offset", Some("0_0")),
        ("electric-has-data", Some("true")),
        ("etag", Some(&*format!("\"{handle}:-1:0_0\""))),
        ("electric-up-to-date", None),
        ("electric-cursor", None),
        ("cache-control", Some("public, max-age=604800, s-maxage=3600, stale-while-revalidate=2629746")),
    ] {
        assert_eq!(first.header(name), value, "{name}");
    }
    assert!(!handle.is_empty() && handle.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{handle}");
    serde_json::from_str::<Value>(first.header("electric-schema").expect("a schema")).expect("JSON");

    let log = first.json();
    let (end, rows) = log.as_array().and_then(|log| log.split_last()).expect("an array");
    assert_eq!(rows.len(), 2);
    for row in rows {
        let id = row["value"]["id"].as_str().expect("an id");
        let value = if id == A { "a" } else { "b" };
        let expected = serde_json::json!({
            "key": key(id), "value": {"id": id, "value": value},
            "headers": {"operation": "insert", "relation": ["public", "items"]},
        });
        assert_eq!(row, &expected, "exactly these members");
    }
    let headers = end["headers"].as_object().expect("headers");
    assert_eq!(headers.keys().collect::<BTreeSet<_>>().len(), 4, "{end}");
    assert_eq!(headers["control"], "snapshot-end");
    let decimal = |value: &Value| value.as_str().is_some_and(|text| text.parse::<u64>().is_ok());
    assert!(decimal(&headers["xmin"]) && decimal(&headers["xmax"]), "{end}");
    assert!(headers["xip_list"].as_array().is_some_and(|list| list.iter().all(decimal)), "{end}");

    assert_eq!(server.get("offset=-1&table=items").await.is(200).handle(), handle);
}

#[actix_rt::test]
async fn c095_c097_an_empty_table_asked_for_by_many_at_once() {
    let server = Server::new(ITEMS).await;
    let replies = join_all((0..20).map(|_| server.get("table=items&offset=-1"))).await;
    let handles: BTreeSet<_> = replies.iter().map(Reply::handle).collect();
    assert_eq!(handles.len(), 1, "{handles:?}");
    for reply in replies {
        assert_eq!(kinds(&reply.is(200).messages()), ["snapshot-end"]);
    }
}

#[actix_rt::test]
async fn c098_c099_c100_logs_filters_and_columns() {
    let server = Server::new(&format!("{ITEMS} {} {}", insert(A, "a"), insert(B, "b"))).await;
    let full = server.get("table=items&offset=-1&log=full").await.is(200);
    let changes_only = server.get("table=items&offset=-1&log=changes_only").await.is(200);
    assert_eq!(kinds(&changes_only.messages()), ["snapshot-end"]);
    assert_ne!(changes_only.handle(), full.handle());
    assert_eq!(changes_only.header("electric-offset"), Some("0_0"));

    let filtered = server.ask(&[("table", "items"), ("offset", "-1"), ("where", "value = 'b'")]).await.is(200);
    let keys: Vec<_> = filtered.changes().into_iter().filter_map(|change| change.key).collect();
    assert_eq!(keys, [key(B)]);

    let ids = server.get("table=items&offset=-1&columns=id").await.is(200);
    let values: BTreeSet<String> = ids.changes().iter().map(|change| format!("{:?}", change.value)).collect();
    let expected = [A, B].map(|id| {
        format!("{:?}", Some([("id".to_owned(), Some(id.to_owned()))].into_iter().collect::<crate::support::Row>()))
    });
    assert_eq!(values, BTreeSet::from(expected));
}

#[actix_rt::test]
async fn c101_a_large_snapshot_comes_in_chunks() {
    let settings = [("ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD", "5000")];
    let server = Server::with(&format!("{ITEMS} {ROWS}"), &settings).await;
    let mut reply = server.get("table=items&offset=-1").await.is(200);
    let (handle, mut offsets, mut all) = (reply.handle(), vec![reply.offset()], reply.messages());
    while reply.header("electric-up-to-date").is_none() {
        assert!(offsets.len() < 100, "it does not end: {offsets:?}");
        reply = server.get(&format!("table=items&offset={}&handle={handle}", reply.offset())).await.is(200);
        offsets.push(reply.offset());
        all.extend(reply.messages());
    }
    // About 230 bytes a row: more than two chunks, and one that says that this is all.
    let expected: Vec<_> = (0..offsets.len() - 1).map(|n| format!("0_{n}")).chain(["0_inf".to_owned()]).collect();
    assert!(offsets.len() > 3 && offsets == expected, "{offsets:?}");
    let ids: BTreeSet<_> = all.iter().filter_map(|message| message.key.clone()).collect();
    assert_eq!((ids.len(), all.len()), (100, 102), "each row once, the snapshot's end and up-to-date");
    assert_eq!(kinds(&all)[100..], ["snapshot-end", "up-to-date"]);
}

#[actix_rt::test]
async fn c102_a_row_larger_than_a_chunk_is_alone_in_it() {
    let settings = [("ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD", "5000")];
    let server = Server::with(&format!("{ITEMS} {}", insert(A, &"x".repeat(20_000))), &settings).await;
    let first = server.get("table=items&offset=-1").await.is(200);
    assert_eq!((kinds(&first.messages()), first.offset()), (vec!["insert"], "0_0".to_owned()));
    let next = server.get(&format!("table=items&offset=0_0&handle={}", first.handle())).await.is(200);
    assert_eq!((kinds(&next.messages()), next.offset()), (vec!["snapshot-end"], "0_1".to_owned()));
}

#[actix_rt::test]
async fn c103_rows_that_come_meanwhile_come_once() {
    const SHAPES: usize = 8;
    const WRITES: usize = 400;
    let server = Server::new(&format!("{ITEMS} {ROWS}")).await;
    // A table that is not published yet cannot be while somebody writes to it.
    server.get("table=items&offset=-1").await.is(200);
    let write = async {
        for n in 0..WRITES {
            server.sql(&insert(&format!("10000000-0000-0000-0000-{n:012}"), "new")).await;
        }
    };
    // New definitions, one after another, while rows are written.
    let make = async {
        let mut firsts = Vec::new();
        for n in 0..SHAPES {
            let definition = format!("table=items&where=value%20%3C%3E%20%27{n}%27");
            firsts.push((server.get(&format!("{definition}&offset=-1")).await.is(200), definition));
        }
        firsts
    };
    let ((), firsts) = join(write, make).await;
    server.sql(&insert(C, "last")).await;
    for (first, definition) in firsts {
        let mut keys: Vec<_> = first.changes().into_iter().filter_map(|change| change.key).collect();
        let mut offset = first.offset();
        while keys.last() != Some(&key(C)) {
            let query = format!("{definition}&handle={}&offset={offset}&live=true", first.handle());
            let reply = server.get(&query).await.is(200);
            assert_eq!(reply.header("electric-has-data"), Some("true"), "{definition}: the last row does not come");
            keys.extend(reply.changes().into_iter().filter_map(|change| change.key));
            offset = reply.offset();
        }
        let distinct: BTreeSet<_> = keys.iter().collect();
        assert_eq!((keys.len(), distinct.len()), (100 + WRITES + 1, 100 + WRITES + 1), "{definition}");
    }
}

#[actix_rt::test]
async fn c104_the_end_of_an_empty_log() {
    let server = Server::new(&format!("{ITEMS} {}", insert(A, "a"))).await;
    let first = server.get("table=items&offset=-1").await.is(200);
    let next = server.get(&format!("table=items&offset=0_0&handle={}", first.handle())).await.is(200);
    assert_eq!(kinds(&next.messages()), ["up-to-date"]);
    assert_eq!(next.header("electric-offset"), Some("0_inf"));
    assert_eq!(next.header("electric-up-to-date"), Some(""));
}
