//! Readers who do not read, and readers who leave in the middle.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::{SOON, Setup};
use crate::support::eventually;

/// Rows of a megabyte each; what connections hold in the kernel on the way is far less than all of them.
const ROWS: u32 = 60;
const STALLED: usize = 3;

/// A reader that has read the head of a large answer and reads no further.
async fn stalled(setup: &Setup) -> TcpStream {
    let address = setup.serve.url().replace("http://", "");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let mut reader = socket.connect(address.parse().expect("an address")).await.expect("a connection");
    let request = format!("GET /shape?table=sessions&offset=-1 HTTP/1.1\r\nhost: {address}\r\n\r\n");
    reader.write_all(request.as_bytes()).await.expect("a request");
    let mut head = [0; 12];
    reader.read_exact(&mut head).await.expect("a head");
    assert_eq!(&head, b"HTTP/1.1 200");
    reader
}

async fn large() -> Setup {
    let setup = Setup::with(&[("ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD", "200000000")], &[]).await;
    setup
        .run(&format!(
            "INSERT INTO sessions (id, title, directory, time_created, time_updated) \
             SELECT 's' || n, 'Session ' || n, repeat('x', 1000000), 0, 0 \
             FROM generate_series(1, {ROWS}) n"
        ))
        .await;
    let whole = setup.recovers().await;
    assert_eq!(whole.changes().len(), ROWS as usize);
    setup
}

/// Waits until no more bytes pass the relay, and says how many have.
async fn settled(setup: &Setup) -> usize {
    let mut last = (usize::MAX, 0);
    eventually(SOON, "bytes to stop", async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let passed = setup.relay.counts().passed;
        last = if passed == last.0 { (passed, last.1 + 1) } else { (passed, 0) };
        if last.1 >= 5 { Ok(passed) } else { Err(last) }
    })
    .await
}

#[actix_rt::test]
async fn a_reader_that_stalls_stalls_the_upstream_and_holds_next_to_nothing() {
    let setup = large().await;
    let (before, memory) = (settled(&setup).await, setup.serve.resident());
    let mut readers = Vec::new();
    for _ in 0..STALLED {
        readers.push(stalled(&setup).await);
    }
    let passed = settled(&setup).await - before;
    let all = STALLED * ROWS as usize * 1_000_000;
    assert!(passed < all / 2, "{passed} of {all} bytes were drained");
    assert_eq!(setup.relay.counts().plain, STALLED, "the upstream waits");
    let held = setup.serve.resident().saturating_sub(memory);
    assert!(held < (STALLED as u64) << 20, "{held} bytes are held for {STALLED} readers");

    // Reading on, one of them gets everything.
    let mut whole = readers.pop().expect("a reader");
    let reading = async {
        let (mut read, mut buffer) = (0, vec![0; 1 << 20]);
        while read < ROWS as usize * 1_000_000 {
            match whole.read(&mut buffer).await.expect("bytes") {
                0 => panic!("the body ended after {read} bytes"),
                some => read += some,
            }
        }
    };
    tokio::time::timeout(SOON, reading).await.expect("the rest of the body");
    drop((readers, whole));
    setup.is_idle().await;
    setup.serve.assert_quiet(&[]);
}

#[actix_rt::test]
async fn a_reader_that_leaves_frees_its_request_at_once() {
    let setup = large().await;
    for _ in 0..3 {
        let reader = stalled(&setup).await;
        assert_eq!(setup.relay.counts().plain, 1);
        drop(reader);
        setup.is_idle().await;
    }
    // One that leaves before there is an answer.
    setup.relay.set(Some(crate::support::Fault::Silence));
    let address = setup.serve.url().replace("http://", "");
    let mut reader = TcpStream::connect(&address).await.expect("a connection");
    let request = format!("GET /shape?table=sessions&offset=-1 HTTP/1.1\r\nhost: {address}\r\n\r\n");
    reader.write_all(request.as_bytes()).await.expect("a request");
    eventually(SOON, "its request", async || match setup.relay.counts().plain {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
    drop(reader);
    setup.is_idle().await;
    setup.serve.assert_quiet(&[]);
}
