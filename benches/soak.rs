//! Endurance: readers come, follow, stall and go while sessions are written to, and memory stays where it was.
//!
//! Runs `plue-sync serve` for [`SECONDS`] (or `SOAK_SECONDS`), first with the engine in its process, then as a proxy to
//! another (or one of them: `SOAK_SOURCE=engine` or `proxy`), and prints its resident memory by the minute. Fails if the
//! memory at the end is more than [`MOST_GROWTH`] above that after the first minute, or if anything is registered when
//! everybody has gone.

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use plue_sync::postgres::Postgres;
use rand::RngExt;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use support::{Server, percentiles};

const SECONDS: u64 = 600;
/// What is there after this is what should be there at the end.
const WARM_UP: Duration = Duration::from_secs(60);
/// Memory is judged by the middle of what was seen in a time of this length: from one moment to the next it differs by a tenth, by
/// how many readers are just being answered.
const WINDOW: Duration = Duration::from_secs(60);
const MOST_GROWTH: f64 = 1.10;
const SESSIONS: usize = 40;
/// Readers at once, of which a tenth stalls.
const READERS: usize = 200;
/// Parts of the session that stalled readers read: more than all buffers on the way hold.
const LARGE_ROWS: usize = 400;
const LARGE_ROW_BYTES: usize = 50_000;
/// Longer than a reader may take nothing.
const STALL: Duration = Duration::from_secs(8);
const WRITE_EVERY: Duration = Duration::from_millis(10);

#[tokio::main]
async fn main() -> Result<()> {
    let seconds = std::env::var("SOAK_SECONDS").ok().map_or(Ok(SECONDS), |text| text.parse())?;
    let only = std::env::var("SOAK_SOURCE").ok();
    for source in ["engine", "proxy"] {
        if only.as_deref().is_none_or(|only| only == source) {
            let run = async |url: String| soak(&url, source, Duration::from_secs(seconds)).await;
            support::with_database(run).await?;
        }
    }
    Ok(())
}

async fn soak(url: &str, source: &str, time: Duration) -> Result<()> {
    // Enough for the tail of every log, so that it is full long before the first minute is over.
    let memory = ("PLUE_ENGINE__MEMORY_BYTES", "4000000");
    let upstream = if source == "proxy" { Some(Server::engine(url)?) } else { None };
    let address = upstream.as_ref().map(|engine| format!("http://{}", engine.address)).unwrap_or_default();
    let settings = [
        memory,
        ("ELECTRIC_URL", &address),
        ("PLUE_SUBSCRIPTIONS__IDLE_TIMEOUT", "5s"),
        ("PLUE_ENGINE__LONG_POLL_TIMEOUT", "5s"),
        ("PLUE_ENGINE__SSE_TIMEOUT", "10s"),
    ];
    let server = Server::api(url, &settings)?;
    if let Some(engine) = &upstream {
        engine.ready("/v1/health").await?;
    }
    server.ready("/ready").await?;
    fill(url).await?;
    let reached = server.address.parse::<SocketAddr>()?;
    let mut crowd = JoinSet::new();
    for number in 0..READERS {
        crowd.spawn(readers(reached, number));
    }
    crowd.spawn(write(url.to_owned()));
    let (start, mut seen, mut told) = (Instant::now(), Vec::new(), 0);
    while start.elapsed() < time {
        sleep(Duration::from_millis(500)).await;
        seen.push((start.elapsed(), server.resident_kb()?));
        if start.elapsed().as_secs() / 60 > told {
            told += 1;
            println!("{source}: {told} min, {} MB resident", server.resident_kb()? / 1024);
        }
    }
    let middle = |from: Duration, until: Duration| {
        let within = seen.iter().filter(|(at, _)| (from..until).contains(at)).map(|(_, kb)| *kb).collect::<Vec<_>>();
        (!within.is_empty()).then(|| percentiles(within).0).context("a shorter run than can be judged")
    };
    let (early, late) = (middle(WARM_UP, WARM_UP + WINDOW)?, middle(time.saturating_sub(WINDOW), time)?);
    let growth = late as f64 / early as f64;
    println!("{source}: {early} KB after the first minute, {late} KB at the end: {growth:.3} of it");
    crowd.shutdown().await;
    let empty = timeout(Duration::from_secs(30), async {
        while !server.request("/v1/admin/sessions").await?.contains("\"sessions\":[]") {
            sleep(Duration::from_millis(100)).await;
        }
        anyhow::Ok(())
    });
    empty.await.context("readers are registered who have all gone")??;
    ensure!(growth <= MOST_GROWTH, "memory has grown");
    Ok(())
}

/// Sessions with a part each, and one with many.
async fn fill(url: &str) -> Result<()> {
    let client = Postgres::from_url(url)?.connect().await?;
    let sql = format!(
        "INSERT INTO sessions (id, directory, title, time_created, time_updated)
             SELECT 'ses_' || n, '/', 'one of many', 1, 1 FROM generate_series(0, {SESSIONS}) n;
         INSERT INTO messages (id, session_id, role, time_created)
             SELECT 'msg_' || n, 'ses_' || n, 'assistant', 1 FROM generate_series(0, {SESSIONS}) n;
         INSERT INTO parts (id, session_id, message_id, type, text)
             SELECT 'prt_' || n, 'ses_' || n, 'msg_' || n, 'text', '' FROM generate_series(0, {SESSIONS}) n;
         INSERT INTO parts (id, session_id, message_id, type, text)
             SELECT 'large_' || n, 'ses_{SESSIONS}', 'msg_{SESSIONS}', 'text', repeat('x', {LARGE_ROW_BYTES})
             FROM generate_series(1, {LARGE_ROWS}) n;"
    );
    Ok(client.batch_execute(&sql).await?)
}

/// Changes a part of some session again and again.
async fn write(url: String) {
    let client = Postgres::from_url(&url).expect("an address").connect().await.expect("Postgres");
    for number in 0_usize.. {
        let text = format!("{number} {}", "token ".repeat(number % 200));
        let session = number % SESSIONS;
        let update = format!("UPDATE parts SET text = '{text}' WHERE id = 'prt_{session}'");
        client.batch_execute(&update).await.expect("a write");
        sleep(WRITE_EVERY).await;
    }
}

/// One reader after the other.
async fn readers(server: SocketAddr, number: usize) {
    for turn in 0.. {
        let name = format!("{number}_{turn}");
        // It may be refused, or the connection be cut: the next one comes anyway.
        let _ = match number % 10 {
            0 => stall(server, &name).await,
            at => follow(server, &name, at % 2 == 0).await,
        };
    }
}

/// Asks for much and takes a little of it, until the server has had enough.
async fn stall(server: SocketAddr, name: &str) -> Result<()> {
    let mut socket = ask(server, &format!("offset=-1&where=session_id='ses_{SESSIONS}'&client={name}")).await?;
    let mut some = vec![0; 100_000];
    socket.read_exact(&mut some).await?;
    sleep(STALL).await;
    Ok(())
}

/// Reads a session's parts, follows them for a while, and leaves without a word.
async fn follow(server: SocketAddr, name: &str, by_events: bool) -> Result<()> {
    let (session, stay) = {
        let mut random = rand::rng();
        (random.random_range(0..SESSIONS), Duration::from_millis(random.random_range(100..4000)))
    };
    let shape = format!("where=session_id='ses_{session}'&client={name}");
    head(&mut ask(server, &format!("offset=-1&{shape}")).await?).await?;
    // On from the end: what a reader costs must not depend on how long the log has become.
    let first = head(&mut ask(server, &format!("offset=now&{shape}")).await?).await?;
    let header = |name: &str| first.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    let handle = header("electric-handle: ").context("a handle")?;
    let mut offset = header("electric-offset: ").context("an offset")?;
    let until = tokio::time::Instant::now() + stay;
    let following = async {
        loop {
            let how = if by_events { "&live_sse=true" } else { "" };
            let mut socket = ask(server, &format!("offset={offset}&handle={handle}&live=true{how}&{shape}")).await?;
            let answered = head(&mut socket).await?;
            let next = answered.lines().find_map(|line| line.strip_prefix("electric-offset: ")).context("an offset")?;
            offset = next.to_owned();
            let mut rest = vec![0; 16 << 10];
            while by_events && socket.read(&mut rest).await? > 0 {}
        }
    };
    let followed: Result<Result<()>, _> = tokio::time::timeout_at(until, following).await;
    followed.unwrap_or(Ok(()))
}

async fn ask(server: SocketAddr, query: &str) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(server).await?;
    let path = format!("/v1/shape?table=parts&{}", query.replace('\'', "%27"));
    let request = format!("GET {path} HTTP/1.1\r\nhost: soak\r\nconnection: close\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut socket, request.as_bytes()).await?;
    Ok(socket)
}

/// The head of an answer, and what came with it.
async fn head(socket: &mut TcpStream) -> Result<String> {
    let mut read = Vec::new();
    while memchr::memmem::find(&read, b"\r\n\r\n").is_none() {
        ensure!(socket.read_buf(&mut read).await? > 0, "an answer without an end of its head");
    }
    Ok(String::from_utf8_lossy(&read).into_owned())
}
