//! Measures how fast the replication stream is read and decoded: `DATABASE_URL=... cargo run --release --example
//! replication_rate [rows]`. Makes a table, a slot and a publication of its own in that database, and removes them.

use std::time::{Duration, Instant};

use plue_sync::engine::replication::pgoutput::{Message, decode};
use plue_sync::engine::replication::{Connection, Frame, Names, Publishing, SetUp, drop_slot, set_up};
use plue_sync::postgres::Postgres;

const STREAM_ID: &str = "rate";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let postgres = Postgres::from_url(&std::env::var("DATABASE_URL")?)?;
    let rows: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |rows| rows.parse())?;
    let client = postgres.connect().await?;
    client
        .batch_execute(
            "DROP TABLE IF EXISTS rate; CREATE TABLE rate (id bigint PRIMARY KEY, name text, at timestamptz)",
        )
        .await?;

    let mut connection = Connection::connect(&postgres).await?;
    let SetUp::Ready(ready) = set_up(&mut connection, STREAM_ID, Publishing::Automatic).await? else {
        anyhow::bail!("another process uses the slot");
    };
    connection.query(&format!("ALTER PUBLICATION {} ADD TABLE rate", ready.publication)).await?;
    // Many transactions of a thousand rows, written before the clock starts: the writer must not be measured.
    for first in (0..rows).step_by(1000) {
        let insert =
            format!("INSERT INTO rate SELECT i, 'row ' || i, now() FROM generate_series({first}, {first} + 999) i");
        client.batch_execute(&insert).await?;
    }
    let mut stream = connection.start(&ready.identity.slot, &ready.publication).await?;
    let (started, before) = (Instant::now(), cpu_time()?);
    let (mut inserts, mut bytes) = (0, 0);
    let mut end = ready.confirmed;
    while inserts < rows {
        if let Frame::Data { payload } = stream.next().await? {
            bytes += payload.len();
            match decode(payload)? {
                Message::Insert { .. } => inserts += 1,
                Message::Commit { end: commit_end, .. } => end = commit_end,
                _ => {}
            }
        }
    }
    let (elapsed, cpu) = (started.elapsed(), cpu_time()?.saturating_sub(before));
    println!(
        "{inserts} row messages, {bytes} bytes in {elapsed:?}: {:.0} messages/s, {:.0} ns of CPU a message",
        inserts as f64 / elapsed.as_secs_f64(),
        cpu.as_nanos() as f64 / inserts as f64
    );
    stream.confirm(end, false).await?;
    stream.close().await;

    let mut connection = Connection::connect(&postgres).await?;
    drop_slot(&mut connection, &Names::new(STREAM_ID, ready.identity.database_oid)?).await?;
    client.batch_execute(&format!("DROP PUBLICATION {}; DROP TABLE rate", ready.publication)).await?;
    Ok(())
}

/// Processor time of this process so far, from /proc; a hundredth of a second is its grain.
fn cpu_time() -> anyhow::Result<Duration> {
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name in parentheses may hold spaces; user and system time are the 12th and 13th field after it.
    let after = stat.rsplit_once(") ").map(|(_, after)| after).unwrap_or_default();
    let ticks: u32 = after.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u32>().ok()).sum();
    Ok(TICK * ticks)
}
