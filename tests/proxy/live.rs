//! Readers who wait: many here, one upstream.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{SOON, Setup};
use crate::support::{Event, Reader, eventually};

const READERS: usize = 20;

/// A connection on which a live request waits.
async fn waiting(setup: &Setup, handle: &str, offset: &str, streams: bool) -> TcpStream {
    let address = setup.serve.url().replace("http://", "");
    let mode = if streams { "&live_sse=true" } else { "" };
    let path = format!("/shape?table=sessions&handle={handle}&offset={offset}&live=true{mode}");
    let mut reader = TcpStream::connect(&address).await.expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    reader.write_all(request.as_bytes()).await.expect("a request");
    reader
}

/// How many requests for shapes the server has seen. Readers without names are one to it.
async fn requests(setup: &Setup) -> u64 {
    let url = format!("{}/v1/admin/subscriptions", setup.serve.url());
    let mut answer = awc::Client::default().get(url).send().await.expect("an answer");
    let listed: serde_json::Value = answer.json().await.expect("JSON");
    let all = listed["subscriptions"].as_array().expect("a list").iter();
    all.map(|one| one["requests"].as_u64().expect("a count")).sum()
}

/// Waits until the server has seen so many.
async fn has_seen(setup: &Setup, count: u64) {
    eventually(SOON, &format!("{count} requests"), async || match requests(setup).await {
        seen if seen >= count => Ok(()),
        seen => Err(seen),
    })
    .await;
}

/// Waits until one live request is under way.
async fn one_is_held(setup: &Setup) {
    eventually(SOON, "one live request", async || {
        let counts = setup.relay.counts();
        if counts.live == 1 { Ok(()) } else { Err(counts) }
    })
    .await;
}

/// Reads until this has come.
async fn read_until(reader: &mut TcpStream, what: &str) -> String {
    let mut read = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&read).contains(what) {
            assert!(
                reader.read_buf(&mut read).await.expect("bytes") > 0,
                "ended: {:?}",
                String::from_utf8_lossy(&read)
            );
        }
    };
    tokio::time::timeout(SOON, reading).await.unwrap_or_else(|_| panic!("no {what}"));
    String::from_utf8_lossy(&read).into_owned()
}

#[actix_rt::test]
async fn many_readers_at_one_place_make_one_request_and_leave_nothing_behind() {
    let setup = Setup::start().await;
    setup.add(0..3).await;
    let start = Reader::up_to_date(&setup.sessions()).await;
    let (before, mut readers) = (requests(&setup).await, Vec::new());
    for number in 0..READERS {
        readers.push(waiting(&setup, &start.handle, &start.offset, number % 2 == 0).await);
    }
    has_seen(&setup, before + READERS as u64).await;
    for stream in readers.iter_mut().step_by(2) {
        let head = read_until(stream, "\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("x-accel-buffering: no"), "{head}");
        assert!(head.contains("text/event-stream") && head.contains("electric-cursor"), "{head}");
    }
    assert_eq!(setup.relay.live_requests(), 1);
    assert_eq!(setup.relay.counts().live, 1);

    setup.add(3..4).await;
    let mut cursors = Vec::new();
    for (number, reader) in readers.iter_mut().enumerate() {
        let answer = read_until(reader, "up-to-date\",\"global_last_seen_lsn").await;
        assert!(answer.contains("Session 3"), "reader {number}: {answer}");
        cursors.extend(answer.lines().filter_map(|line| line.strip_prefix("electric-cursor: ")).map(str::to_owned));
    }
    assert_eq!(cursors.len(), READERS / 2);
    // The streams go on waiting, together again.
    one_is_held(&setup).await;
    assert_eq!(setup.relay.live_requests(), 2);

    drop(readers);
    setup.is_idle().await;
    assert_eq!(setup.relay.live_requests(), 2, "nobody asked again");
    // Whoever looks after the upstream's health closes what is idle, but for the connection that it takes itself.
    eventually(SOON, "few connections", async || match setup.relay.counts().connections {
        0 | 1 => Ok(()),
        more => Err(more),
    })
    .await;
    setup.serve.assert_quiet(&[]);
}

#[actix_rt::test]
async fn a_request_ends_when_its_last_reader_leaves_and_not_before() {
    let setup = Setup::start().await;
    let start = Reader::up_to_date(&setup.sessions()).await;
    let first = waiting(&setup, &start.handle, &start.offset, false).await;
    one_is_held(&setup).await;
    let mut second = waiting(&setup, &start.handle, &start.offset, true).await;
    read_until(&mut second, "\r\n\r\n").await;
    drop(first);
    setup.add(0..1).await;
    read_until(&mut second, "Session 0").await;
    let place = format!("&offset={}&", start.offset);
    let asked = setup.relay.requests().iter().filter(|request| request.contains(&place)).count();
    assert_eq!(asked, 1, "the first request was kept");
    drop(second);
    setup.is_idle().await;
}

#[actix_rt::test]
async fn followers_of_both_kinds_see_every_change_once() {
    // Streams end often, so that their readers go on from the positions that events named.
    let setup = Setup::with(&[("ELECTRIC_LONG_POLL_TIMEOUT", "1000")], &[("PLUE_ENGINE__SSE_TIMEOUT", "1s")]).await;
    setup.add(0..10).await;
    let (mut streams, mut polls) = (Reader::new(&setup.sessions()), Reader::new(&setup.sessions()));
    let write = async {
        for round in 1..8 {
            setup.add(round * 10..round * 10 + 10).await;
            setup.run(&format!("UPDATE sessions SET title = title || '{round}' WHERE id LIKE 's1%'")).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    // What the last transaction makes of a row that every update has touched.
    let last = Some("Session 11234567".to_owned());
    let all = |reader: &Reader| reader.rows.len() == 80 && reader.rows.values().any(|row| row["title"] == last);
    tokio::join!(write, streams.stream_until(SOON, "80 rows", all), polls.follow_until(SOON, "80 rows", all));
    assert!(streams.rows == polls.rows, "they hold different rows");
    assert_eq!((streams.refetches, streams.refused, polls.refetches, polls.refused), (0, 0, 0, 0));
    setup.serve.assert_quiet(&[]);
}

#[actix_rt::test]
async fn that_nothing_has_changed_is_told_to_polls_and_not_to_streams() {
    let settings = [("PLUE_ENGINE__SSE_KEEP_ALIVE", "500ms"), ("PLUE_ENGINE__SSE_TIMEOUT", "4s")];
    let setup = Setup::with(&[("ELECTRIC_LONG_POLL_TIMEOUT", "1000")], &settings).await;
    setup.add(0..1).await;
    let start = Reader::up_to_date(&setup.sessions()).await;
    let mut events = setup.sessions().events(&start.handle, &start.offset).await;
    let live = [("handle", start.handle.as_str()), ("offset", &start.offset), ("live", "true"), ("cursor", "7")];
    let poll = setup.sessions().get(&live).await.is(200);
    assert_eq!((poll.header("electric-has-data"), poll.offset()), (Some("false"), start.offset.clone()));
    assert_eq!(poll.header("cache-control"), Some("public, max-age=5, stale-while-revalidate=5"));
    assert!(poll.header("electric-cursor").is_some() && poll.header("electric-up-to-date").is_some(), "{poll:?}");
    let mut alive = 0;
    while let Some(event) = events.next().await {
        assert_eq!(event, Event::KeepAlive);
        alive += 1;
    }
    assert!(alive >= 3, "{alive} signs of life");
    assert!(setup.relay.live_requests() >= 3, "it went on polling");
    setup.is_idle().await;
    setup.serve.assert_quiet(&[]);
}

#[actix_rt::test]
async fn a_shape_that_ends_ends_streams_and_refuses_polls() {
    let setup = Setup::start().await;
    setup.add(0..1).await;
    let start = Reader::up_to_date(&setup.sessions()).await;
    let mut events = setup.sessions().events(&start.handle, &start.offset).await;
    let mut poll = waiting(&setup, &start.handle, &start.offset, false).await;
    one_is_held(&setup).await;
    setup.run("TRUNCATE sessions CASCADE").await;
    assert_eq!(events.next().await, None, "a proper end");
    let answer = read_until(&mut poll, "must-refetch").await;
    assert!(answer.starts_with("HTTP/1.1 409"), "{answer}");
    let refused = setup.sessions().events(&start.handle, &start.offset).await;
    assert_eq!(refused.status, 409, "a refusal comes before the stream");
    setup.is_idle().await;
}

#[actix_rt::test]
async fn a_stop_ends_live_readers_properly_and_at_once() {
    let mut setup = Setup::start().await;
    setup.add(0..1).await;
    let start = Reader::up_to_date(&setup.sessions()).await;
    let before = requests(&setup).await;
    let mut stream = waiting(&setup, &start.handle, &start.offset, true).await;
    read_until(&mut stream, "\r\n\r\n").await;
    let mut poll = waiting(&setup, &start.handle, &start.offset, false).await;
    has_seen(&setup, before + 2).await;
    let (status, took) = setup.serve.terminate().await;
    assert!(status.success() && took < Duration::from_secs(2), "{status} after {took:?}: {}", setup.serve.log());
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.expect("the rest");
    assert!(rest.ends_with("0\r\n\r\n"), "{rest:?}");
    let mut answer = String::new();
    poll.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("electric-has-data: false"), "{answer}");
    assert!(answer.contains(&format!("electric-offset: {}\r\n", start.offset)), "{answer}");
    setup.is_idle().await;
    setup.serve.assert_quiet(&[]);
}

#[actix_rt::test]
async fn an_answer_that_is_too_long_to_be_shared_reaches_who_polls_and_who_streams() {
    const ROWS: usize = 5;
    let setup = Setup::with(&[("ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD", "200000000")], &[]).await;
    setup.add(0..1).await;
    let mut poller = Reader::up_to_date(&setup.sessions()).await;
    let mut streamer = Reader::up_to_date(&setup.sessions()).await;
    let write = async {
        setup
            .run(&format!(
                "INSERT INTO sessions (id, title, directory, time_created, time_updated)
                     SELECT 'long' || n, 'Session', repeat('x\"],[{{', 150000), 0, 0 FROM generate_series(1, {ROWS}) n;"
            ))
            .await;
    };
    let all = |reader: &Reader| reader.rows.len() == ROWS + 1;
    let poll = poller.follow_until(SOON, "all rows by polls", all);
    let stream = streamer.stream_until(SOON, "all rows by events", all);
    futures_util::future::join3(poll, stream, write).await;
    assert_eq!(poller.rows, streamer.rows);
    assert_eq!((poller.log.len(), streamer.log.len()), (ROWS, ROWS));
    setup.add(1..2).await;
    let more = |reader: &Reader| reader.rows.len() == ROWS + 2;
    poller.follow_until(SOON, "another row by polls", more).await;
    streamer.stream_until(SOON, "another row by events", more).await;
    setup.is_idle().await;
    setup.serve.assert_quiet(&[]);
}
