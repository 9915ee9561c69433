//! A stop with hundreds of live readers: each gets a proper end.

use std::fs;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::DEADLINE;
use super::load::make_table;
use super::program::Program;
use super::reader::{Live, Reader};
use crate::support::{Database, eventually};

const READERS: usize = 150;
/// A stop should take less than 2 s. Here it shares its machine with other tests.
const STOP_LIMIT: Duration = Duration::from_secs(10);

#[actix_web::test]
async fn a_stop_gives_every_live_reader_a_proper_end() {
    let database = Database::fresh().await;
    make_table(&database.connect().await).await;
    let mut engine = Program::engine(database.url(), database.url()).await;
    let mut reader = Reader::new(engine.address(), "items", "true", Live::Poll);
    reader.catch_up().await;
    let (live, port) = (reader.url(), engine.address().port());
    drop(reader);
    until_taken(port, 0).await;
    let mut waiting = Vec::new();
    for url in [live.clone(), format!("{live}&live_sse=true")] {
        for _ in 0..READERS {
            waiting.push(ask(port, &url).await);
        }
    }
    until_taken(port, 2 * READERS).await;
    let took = engine.terminate().await;
    println!("stopped in {took:?}");
    assert!(took < STOP_LIMIT, "it took {took:?}");
    for mut reader in waiting {
        let mut answer = String::new();
        reader.read_to_string(&mut answer).await.expect("a connection that was closed in order");
        assert_is_whole(&answer);
    }
    engine.assert_quiet(&[]);
}

/// Sends a request.
async fn ask(port: u16, url: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
    let path = &url[url.find("/v1").expect("a path")..];
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("a request");
    stream
}

/// Checks that an answer that reads as an answer has the end that it announced.
fn assert_is_whole(answer: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let status = head.split(' ').nth(1).expect("a status");
    assert!(status == "200" || (status == "503" && head.contains("retry-after")), "{answer}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    match length {
        Some(length) => assert_eq!(length.parse(), Ok(body.len()), "{answer}"),
        None => assert!(head.contains("transfer-encoding: chunked") && body.ends_with("0\r\n\r\n"), "{answer}"),
    }
}

/// Waits until the program has so many connections, and has read everything that was sent over them.
///
/// Source: Linux, Documentation/networking/proc_net_tcp.rst: local address, remote address, state (1 is established),
/// bytes that wait to be sent and to be read.
async fn until_taken(port: u16, count: usize) {
    let own = format!(":{port:04X}");
    eventually(DEADLINE, "every request to be taken", async || {
        let table = fs::read_to_string("/proc/net/tcp").expect("a list of connections");
        let taken = |line: &&str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields[1].ends_with(&own) && fields[3] == "01" && fields[4].ends_with(":00000000")
        };
        let taken = table.lines().skip(1).filter(taken).count();
        if taken == count { Ok(()) } else { Err(taken) }
    })
    .await;
}
