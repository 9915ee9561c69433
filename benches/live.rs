//! What waiting readers cost, and how long a commit takes to their sockets.
//!
//! Runs the real program against the Postgres of `PLUE_TEST_POSTGRES` (`make bench` starts one) and prints:
//! * the program's memory idle, and with [`READERS`] long-polls or event streams held;
//! * for [`WRITES`] single-row transactions, the time from the commit's return to the bytes at a reader, beside
//!   the time that a bare replication client needs to see the same commit;
//! * how long one change takes to all long-polls that wait for it.

mod support;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use plue_sync::engine::replication::{Connection, Frame, Publishing, SetUp, pgoutput, set_up};
use plue_sync::postgres::Postgres;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::sleep;

use support::{Server, percentiles};

const READERS: usize = 2_000;
const WRITES: usize = 1_000;

#[tokio::main]
async fn main() -> Result<()> {
    support::with_database(async |url| measure(&url).await).await
}

async fn measure(url: &str) -> Result<()> {
    let writer = Postgres::from_url(url)?.connect().await?;
    writer.batch_execute("CREATE TABLE t (id bigint PRIMARY KEY, s text NOT NULL, body text)").await?;
    for (kind, live) in [("long-polls", ""), ("event streams", "&live_sse=true")] {
        // A program of its own for each: memory that one kind has freed would hide what the other needs.
        let server = Server::engine(url)?;
        server.ready("/v1/health").await?;
        println!("idle: {} MB resident", server.resident_kb()? / 1024);
        server.request("/v1/shape?table=t&offset=-1&where=s='busy'").await?;
        // A shape that nobody writes to: these readers only wait.
        let handle = server.handle("/v1/shape?table=t&offset=-1&where=s='quiet'").await?;
        let path = format!("/v1/shape?table=t&where=s='quiet'&handle={handle}&offset=0_inf&live=true{live}");
        let before = server.resident_kb()?;
        let mut held = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            held.push(server.send(&path).await?);
        }
        server.settled().await?;
        let after = server.resident_kb()?;
        let each = (after.saturating_sub(before)) as f64 / READERS as f64;
        println!("{READERS} waiting {kind}: {} MB resident, {each:.1} KB each", after / 1024);
        latency(url, &server, &writer, kind).await?;
        if live.is_empty() {
            fan_out(&writer, &mut held).await?;
        }
    }
    Ok(())
}

/// Single-row transactions, seen by a reader of events and by a bare replication client.
async fn latency(url: &str, server: &Server, writer: &tokio_postgres::Client, beside: &str) -> Result<()> {
    let handle = server.handle("/v1/shape?table=t&offset=-1&where=s='busy'").await?;
    let last = server.offset(&format!("/v1/shape?table=t&where=s='busy'&handle={handle}&offset=0_0")).await?;
    let path = format!("/v1/shape?table=t&where=s='busy'&handle={handle}&offset={last}&live=true&live_sse=true");
    let mut reader = server.send(&path).await?;
    let (seen, mut events) = mpsc::unbounded_channel();
    let reading = tokio::spawn(async move {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = reader.read(&mut buffer).await {
            let now = Instant::now();
            if memchr::memmem::find(&buffer[..count], b"up-to-date\",").is_some() && seen.send(now).is_err() {
                return;
            }
        }
    });
    let (bare_seen, mut bare_events) = mpsc::unbounded_channel();
    let bare = tokio::spawn(bare_client(url.to_owned(), beside.replace(['-', ' '], "_"), bare_seen));
    bare_events.recv().await.context("the bare client starts")?;
    let (mut ours, mut bares) = (Vec::new(), Vec::new());
    for _ in 0..WRITES {
        writer
            .execute("INSERT INTO t SELECT coalesce(max(id), 0) + 1, 'busy', 'a part of a message' FROM t", &[])
            .await?;
        let committed = Instant::now();
        let at_reader = events.recv().await.context("the reader sees each change")?;
        let at_bare = bare_events.recv().await.context("the bare client sees each commit")?;
        ours.push(signed_micros(at_reader, committed));
        bares.push(signed_micros(at_bare, committed));
        sleep(Duration::from_millis(2)).await;
    }
    reading.abort();
    bare.abort();
    let added = ours.iter().zip(&bares).map(|(ours, bare)| ours - bare).collect();
    println!("commit to a reader, beside {READERS} waiting {beside}, over {WRITES} writes (microseconds):");
    for (name, values) in [("reader", ours), ("bare replication client", bares), ("added by us", added)] {
        let (median, p99) = percentiles(values);
        println!("  {name:24} median {median:6}   99th {p99:6}");
    }
    Ok(())
}

/// Follows a slot of its own, and tells when each commit arrives.
async fn bare_client(url: String, stream_id: String, seen: mpsc::UnboundedSender<Instant>) -> Result<()> {
    let mut connection = Connection::connect(&Postgres::from_url(&url)?).await?;
    let SetUp::Ready(ready) = set_up(&mut connection, &stream_id, Publishing::Automatic).await? else {
        bail!("the slot is taken")
    };
    connection.query(&format!("ALTER PUBLICATION {} SET TABLE t", ready.publication)).await?;
    let mut stream = connection.start(&ready.identity.slot, &ready.publication).await?;
    seen.send(Instant::now())?;
    loop {
        match stream.next().await? {
            Frame::Data { payload } => {
                if let pgoutput::Message::Commit { .. } = pgoutput::decode(payload)? {
                    seen.send(Instant::now())?;
                }
            }
            Frame::KeepAlive { wal_end, .. } => stream.confirm(wal_end, false).await?,
        }
    }
}

/// One change, and all the long-polls that wait for it.
async fn fan_out(writer: &tokio_postgres::Client, held: &mut [TcpStream]) -> Result<()> {
    writer.execute("INSERT INTO t SELECT max(id) + 1, 'quiet', 'for all' FROM t", &[]).await?;
    let committed = Instant::now();
    let mut buffer = vec![0; 16 << 10];
    for reader in held.iter_mut() {
        if reader.read(&mut buffer).await? == 0 {
            bail!("a reader was cut off");
        }
    }
    println!("one change to {READERS} long-polls: {:.1} ms to the last", committed.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

fn signed_micros(at: Instant, since: Instant) -> i64 {
    match at.checked_duration_since(since) {
        Some(after) => after.as_micros() as i64,
        None => -(since.duration_since(at).as_micros() as i64),
    }
}
