//! Readers that stop reading in the middle of a long answer: what the process holds for them, and what they get in the end.

use std::time::Duration;

use actix_web::http::Method;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::{SOON, Scene};
use crate::support::{Engine, Shape, eventually};

/// A little over 50 MB.
const ROWS: usize = 50_000;
const READERS: u64 = 20;
/// What one of them may make the process hold.
const MOST_BYTES: u64 = 2 << 20;
/// So that there is one answer for all of it.
const ONE_CHUNK: (&str, &str) = ("ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD", "200000000");

/// A table of many rows, and the same again as changes.
async fn scene(settings: &[(&str, &str)]) -> (Scene, Shape, String) {
    let sql = format!(
        "CREATE TABLE items (id int PRIMARY KEY, body text);
         INSERT INTO items SELECT n, repeat(md5(n::text), 31) FROM generate_series(1, {ROWS}) n"
    );
    let scene = Scene::with(&sql, settings).await;
    let shape = scene.engine.shape("items");
    let handle = shape.first().await.is(200).handle();
    (scene, shape, handle)
}

async fn rest(body: &mut awc::ClientResponse, mut all: BytesMut) -> Bytes {
    while let Some(bytes) = body.next().await {
        all.extend_from_slice(&bytes.expect("the next bytes"));
    }
    all.freeze()
}

/// A body without the up-to-date message that may close it: its position moves on with whatever else is written.
fn without_end(body: &[u8]) -> &[u8] {
    let end = br#",{"headers":{"control":"up-to-date""#;
    let at = body.windows(end.len()).rposition(|window| window == end);
    &body[..at.unwrap_or(body.len())]
}

/// Has many readers stop after the first bytes of an answer, then lets one of them go on.
async fn stall(case: &str, engine: &Engine, shape: &Shape, more: &[(&str, &str)], ends: bool) {
    let expected = match ends {
        true => rest(&mut shape.open(Method::GET, more, &[]).await, BytesMut::new()).await,
        false => Bytes::new(),
    };
    assert!(!ends || expected.len() > 50_000_000, "{case}: {} bytes", expected.len());
    let before = engine.binary.settled_memory().await;
    let mut stalled = Vec::new();
    for _ in 0..READERS {
        let mut body = shape.open(Method::GET, more, &[]).await;
        let first = body.next().await.expect("a body").expect("its first bytes");
        stalled.push((body, BytesMut::from(&first[..])));
    }
    let held = engine.binary.settled_memory().await.saturating_sub(before) / READERS;
    assert!(held < MOST_BYTES, "{case}: {held} bytes for each of them");
    println!("{case}: {held} bytes for each reader that stalls");
    let (mut body, first) = stalled.pop().expect("a reader");
    if ends {
        let read = rest(&mut body, first).await;
        let (read, expected) = (without_end(&read), without_end(&expected));
        let differs = read.iter().zip(expected).position(|(one, other)| one != other);
        assert!(read == expected, "{case}: {} and not {} bytes, different at {differs:?}", read.len(), expected.len());
    }
}

#[cfg(target_os = "linux")]
#[actix_rt::test]
async fn a_reader_that_stalls_in_a_long_answer_costs_little_while_the_log_is_in_memory() {
    let (scene, shape, handle) = scene(&[ONE_CHUNK]).await;
    let engine = &scene.engine;
    stall("snapshot", engine, &shape, &[("offset", "-1")], true).await;
    scene.sql("UPDATE items SET body = body || 'x'").await;
    let log = [("offset", "0_inf"), ("handle", handle.as_str())];
    eventually(SOON, "the changes", async || {
        match shape.send(Method::HEAD, &log, &[]).await.header("electric-offset") {
            Some("0_inf") | None => Err(()),
            Some(_) => Ok(()),
        }
    })
    .await;
    stall("log in memory", engine, &shape, &log, true).await;
    stall("events", engine, &shape, &[log[0], log[1], ("live", "true"), ("live_sse", "true")], false).await;
    engine.binary.assert_quiet(&[]);
}

#[cfg(target_os = "linux")]
#[actix_rt::test]
async fn a_reader_that_stalls_in_a_long_answer_costs_little_while_the_log_is_on_disk() {
    let (scene, shape, handle) = scene(&[ONE_CHUNK, ("PLUE_ENGINE__MEMORY_BYTES", "0")]).await;
    let engine = &scene.engine;
    scene.sql("UPDATE items SET body = body || 'x'").await;
    let log = [("offset", "0_inf"), ("handle", handle.as_str())];
    let folder = engine.binary.dir().to_owned();
    eventually(SOON, "the changes in a file", async || {
        let bytes = log_bytes(&folder);
        if bytes > 50_000_000 { Ok(()) } else { Err(bytes) }
    })
    .await;
    stall("log on disk", engine, &shape, &log, true).await;
    stall("events", engine, &shape, &[log[0], log[1], ("live", "true"), ("live_sse", "true")], false).await;
    engine.binary.assert_quiet(&[]);
}

#[actix_rt::test]
async fn events_of_several_chunks_follow_each_other_without_a_pause() {
    let (scene, shape, handle) = scene(&[("ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD", "400000")]).await;
    scene.sql("UPDATE items SET body = body || 'x' WHERE id <= 5000").await;
    let mut events = shape.events(&handle, "0_inf").await;
    let asked = std::time::Instant::now();
    let mut messages = Vec::new();
    while messages.len() <= 5000 {
        messages.extend(events.batch().await);
    }
    // A stream lasts for a minute, and is silent for at most 21 seconds.
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
    assert_eq!(messages.iter().filter(|message| message.kind() == "update").count(), 5000);
    scene.engine.binary.assert_quiet(&[]);
}

/// Bytes of all log files below a folder.
fn log_bytes(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => log_bytes(&entry.path()),
        Ok(_) if entry.path().extension().is_some_and(|extension| extension == "log") => {
            entry.metadata().map_or(0, |found| found.len())
        }
        _ => 0,
    };
    entries.map(size).sum()
}

#[actix_rt::test]
async fn a_snapshot_that_is_cut_short_cuts_the_body_and_ends_the_shape() {
    let (scene, shape, handle) = scene(&[ONE_CHUNK]).await;
    let mut body = shape.open(Method::GET, &[("offset", "-1")], &[]).await;
    let length = body.headers().get("content-length").expect("a length").to_str().expect("digits").to_owned();
    let length: usize = length.parse().expect("a number");
    let file = snapshot_file(scene.engine.binary.dir()).expect("a snapshot");
    std::fs::OpenOptions::new().write(true).open(file).expect("it").set_len(100_000).expect("cut");
    let mut read = 0;
    // A body that is shorter than its length is an error to most clients; this one takes it as it comes.
    while let Some(Ok(bytes)) = body.next().await {
        read += bytes.len();
    }
    assert!(length > 50_000_000 && read < length, "{read} of {length} bytes");
    let other = eventually(SOON, "another shape", async || match shape.first().await {
        reply if reply.status == 200 && reply.handle() != handle => Ok(reply),
        reply => Err(reply.status),
    })
    .await;
    assert_eq!(other.changes().len(), ROWS);
    scene.engine.binary.assert_quiet(&["cannot be read", "BrokenStream"]);
}

fn snapshot_file(folder: &std::path::Path) -> Option<std::path::PathBuf> {
    std::fs::read_dir(folder).ok()?.flatten().find_map(|entry| match entry.path() {
        path if path.is_dir() => snapshot_file(&path),
        path => path.extension().is_some_and(|extension| extension == "snapshot").then_some(path),
    })
}
