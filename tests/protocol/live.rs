//! Long-polls: statements 172, 173, 175 to 186. How long they are held by default is in `waits.rs`.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::future::{Either, join, join_all, select};

use super::{A, AT_ONCE, B, C, ITEMS, Server, Tail, insert, key, kinds};

const ONE_SECOND: &[(&str, &str)] = &[("ELECTRIC_LONG_POLL_TIMEOUT", "1000")];
const MUST_REFETCH: &str = r#"[{"headers":{"control":"must-refetch"}}]"#;

#[actix_rt::test]
async fn c172_c173_c176_c177_c178_c179_c180_c183_a_change_releases() {
    let server = Server::new(ITEMS).await;
    let tail = server.tail("table=items").await;
    let waiting = pin!(join_all((0..30).map(|_| tail.poll())));
    let others = pin!(async {
        for _ in 0..20 {
            server.tail("table=items").await;
        }
    });
    let Either::Right(((), waiting)) = select(waiting, others).await else { panic!("it does not hold") };
    let began = Instant::now();
    let (replies, ()) = join(waiting, server.sql(&insert(A, "a"))).await;
    assert!(began.elapsed() < AT_ONCE, "released by time: {:?}", began.elapsed());
    for reply in replies {
        let reply = reply.is(200);
        assert_eq!(kinds(&reply.messages()), ["insert", "up-to-date"]);
        assert_eq!(reply.changes()[0].key, Some(key(A)));
        for (name, value) in [
            ("electric-has-data", Some("true")),
            ("electric-up-to-date", Some("")),
            ("electric-schema", None),
            ("cache-control", Some("public, max-age=5, stale-while-revalidate=5")),
        ] {
            assert_eq!(reply.header(name), value, "{name}");
        }
        cursor(&reply);
    }
    // What is there is not waited for.
    let began = Instant::now();
    for more in ["", "&cursor=", "&cursor=abc"] {
        let reply = tail.read(&format!("&live=true{more}")).await.is(200);
        assert_eq!(kinds(&reply.messages()), ["insert", "up-to-date"]);
        assert!(cursor(&reply).is_multiple_of(20), "{more}");
    }
    for sent in [cursor(&tail.poll().await), 99_999_999_999] {
        let next = cursor(&tail.read(&format!("&live=true&cursor={sent}")).await.is(200));
        assert!(next > sent && next <= sent + 3_600, "{next} after {sent}");
    }
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
}

fn cursor(reply: &crate::support::Reply) -> u64 {
    let cursor = reply.header("electric-cursor").unwrap_or_else(|| panic!("no cursor in {reply:?}"));
    cursor.parse().unwrap_or_else(|e| panic!("{e}: {cursor}"))
}

#[actix_rt::test]
async fn c175_c181_c182_answers_without_a_change() {
    let server = Server::with(&format!("{ITEMS} {}", insert(A, "a")), ONE_SECOND).await;
    let mut tail = server.tail("table=items").await;
    tail.offset = "0_0".to_owned();
    let mut etags = Vec::new();
    for _ in 0..2 {
        let reply = tail.poll().await.is(200);
        assert_eq!((kinds(&reply.messages()), reply.header("electric-has-data")), (vec!["up-to-date"], Some("false")));
        assert_eq!(reply.header("electric-offset"), Some("0_inf"));
        etags.push(reply.header("etag").expect("an etag").to_owned());
    }
    assert_ne!(etags[0], etags[1]);
    for etag in &etags {
        tail.read_with("&live=true", &[("if-none-match", etag)]).await.is(200);
    }

    let usual = Server::new(ITEMS).await;
    let mut tail = usual.tail("table=items").await;
    usual.sql(&insert(A, "a")).await;
    tail.changes(1).await;
    let plain = tail.read("").await.is(200);
    let etag = plain.header("etag").expect("an etag");
    assert_eq!(etag, format!("\"{0}:{1}:{1}\"", tail.handle, tail.offset));
    let began = Instant::now();
    let unchanged = tail.read_with("&live=true", &[("if-none-match", etag)]).await.is(304);
    assert!(began.elapsed() < AT_ONCE, "it was held: {:?}", began.elapsed());
    assert_eq!((unchanged.text().as_str(), unchanged.offset()), ("", tail.offset.clone()));
    cursor(&unchanged);
}

#[actix_rt::test]
async fn c184_a_change_outside_the_filter_releases_nobody() {
    let server = Server::with(ITEMS, &[("ELECTRIC_LONG_POLL_TIMEOUT", "2000")]).await;
    let filtered = server.tail("table=items&where=value%20%3D%20%27in%27").await;
    let mut all = server.tail("table=items").await;
    let began = Instant::now();
    let write = async {
        server.sql(&insert(A, "out")).await;
        server.sql(&format!("UPDATE items SET value = 'away' WHERE id = '{A}'")).await;
        all.changes(2).await
    };
    let (held, written) = join(filtered.poll(), write).await;
    assert_eq!(kinds(&written), ["insert", "update"]);
    assert!(began.elapsed() >= Duration::from_millis(1_990), "{:?}", began.elapsed());
    assert_eq!(held.header("electric-has-data"), Some("false"));
    // One that was in and goes out, and one that comes in, do.
    let release = async |sql: &str| {
        let tail = server.tail("table=items&where=value%20%3D%20%27in%27").await;
        server.sql(sql).await;
        kinds(&tail.poll().await.is(200).changes()).join(",")
    };
    assert_eq!(release(&format!("{}{}", insert(B, "out"), insert(C, "in"))).await, "insert");
    assert_eq!(release("UPDATE items SET value = 'out'").await, "delete");
}

#[actix_rt::test]
async fn c185_c186_truncate_releases_with_409() {
    let server = Server::new(&format!("{ITEMS} {}", insert(A, "a"))).await;
    let tails: Vec<Tail> = vec![server.tail("table=items").await, server.tail("table=items&columns=id").await];
    let waiting = pin!(join_all(tails.iter().flat_map(|tail| (0..5).map(move |_| tail.poll()))));
    let others = pin!(async {
        for _ in 0..20 {
            server.tail("table=items").await;
        }
    });
    let Either::Right(((), waiting)) = select(waiting, others).await else { panic!("it does not hold") };
    let began = Instant::now();
    let (replies, ()) = join(waiting, server.sql("TRUNCATE items")).await;
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    for reply in replies {
        assert_eq!((reply.status, reply.text().as_str()), (409, MUST_REFETCH));
    }
    for tail in &tails {
        assert_eq!(tail.poll().await.is(409).text(), MUST_REFETCH);
        assert_eq!(tail.read("").await.is(409).text(), MUST_REFETCH);
    }
}
