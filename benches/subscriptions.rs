//! What the registry costs a request, and how soon readers are ended.
//!
//! Prints, with [`OPEN`] subscriptions open:
//! * what it takes to register a request and to give its place back, by the rules alone, and through the actor from
//!   another thread; beside a message to an actor that does nothing;
//! * the memory of the real program for each of [`READERS`] that wait, registered at the API and, beside it, at the engine's
//!   own port, which registers nobody;
//! * how long [`STREAMS`] event streams of the real program live after an operator has ended their session; beside a
//!   plain request to it.

mod support;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, Arbiter, Context, Handler, Message};
use anyhow::{Result, bail};
use plue_sync::config::{Config, SubscriptionsConfig};
use plue_sync::listener::Outlet;
use plue_sync::shape::{LogMode, Replica, Requested};
use plue_sync::subscription::{Asked, Follow, Followed, Name, Outcome, Position, Reader, Registry, Subscriptions};
use tokio::io::AsyncReadExt;

use support::{Server, percentiles};

const OPEN: usize = 20_000;
const SESSIONS: usize = 2_000;
const REQUESTS: usize = 20_000;
const READERS: usize = 2_000;
const STREAMS: usize = 500;
const ROUNDS: usize = 10;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    by_the_rules();
    actix_rt::System::new().block_on(through_the_actor())?;
    runtime.block_on(support::with_database(async |url| {
        waiting(&url).await?;
        ends(&url).await
    }))
}

fn settings() -> SubscriptionsConfig {
    let defaults = Config::load(None, &Default::default()).expect("the defaults").subscriptions;
    SubscriptionsConfig { max: 2 * OPEN, ..defaults }
}

/// A request of the reader of this number.
fn asked(number: usize) -> Asked {
    let session: Arc<str> = format!("ses_{}", number % SESSIONS).into();
    let followed = Followed {
        table: "parts".into(),
        filter: Some("session_id = $1".into()),
        params: vec![session.to_string()],
        columns: None,
        replica: Replica::Default,
        log: LogMode::Full,
    };
    let name = Name::Client(format!("client {number}").into());
    Asked {
        reader: Reader { principal: None, name, followed: Arc::new(followed) },
        session: Some(session),
        peer: Ipv4Addr::LOCALHOST.into(),
        position: Position { handle: None, offset: Requested::Start },
        transport: None,
        outlet: Outlet::default(),
    }
}

fn by_the_rules() {
    let mut registry = Registry::new(settings());
    let now = Instant::now();
    for number in 0..OPEN {
        registry.follow(asked(number), now).expect("room");
    }
    let outcome = Outcome { is_answered: true, has_stalled: false };
    let (mut new, mut known, mut left) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..REQUESTS {
        for (number, taken) in [(OPEN + number % OPEN, &mut new), (number % OPEN, &mut known)] {
            let asked = asked(number);
            let start = Instant::now();
            let place = registry.follow(asked, now).expect("room");
            taken.push(start.elapsed().as_nanos());
            let start = Instant::now();
            registry.leave(place.subscription.id, place.request, outcome, now);
            left.push(start.elapsed().as_nanos());
        }
    }
    println!("by the rules, {OPEN} to {} subscriptions open (nanoseconds):", registry.len());
    for (what, values) in [("a new reader", new), ("a known reader", known), ("a request ends", left)] {
        let (median, p99) = percentiles(values);
        println!("  {what:24} median {median:6}   99th {p99:6}");
    }
}

/// An actor that does nothing.
struct Nothing;

impl Actor for Nothing {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Ping;

impl Handler<Ping> for Nothing {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Context<Self>) {}
}

async fn through_the_actor() -> Result<()> {
    let nothing = Nothing::start_in_arbiter(&Arbiter::new().handle(), |_| Nothing);
    let registry = Subscriptions::start_in_arbiter(&Arbiter::new().handle(), |_| {
        Subscriptions::new(settings(), |_| {}, tokio::sync::oneshot::channel().0)
    });
    let mut tickets = Vec::new();
    for number in 0..OPEN {
        tickets.push(registry.send(Follow { asked: asked(number), lasts: false }).await?.ok());
    }
    let (mut bare, mut new, mut known) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..REQUESTS {
        let start = Instant::now();
        nothing.send(Ping).await?;
        bare.push(start.elapsed().as_nanos());
        for (number, taken) in [(OPEN + number % OPEN, &mut new), (number % OPEN, &mut known)] {
            let asked = asked(number);
            let start = Instant::now();
            let ticket = registry.send(Follow { asked, lasts: false }).await?;
            taken.push(start.elapsed().as_nanos());
            drop(ticket);
        }
    }
    let base = percentiles(bare.clone()).0 as f64;
    println!("through the actor, from another thread (nanoseconds):");
    for (what, values) in [("a message and nothing", bare), ("a new reader", new), ("a known reader", known)] {
        let (median, p99) = percentiles(values);
        println!("  {what:24} median {median:6}   99th {p99:6}   {:.2} of a message", median as f64 / base);
    }
    Ok(())
}

/// Has readers wait, each with a name of its own.
async fn waiting(url: &str) -> Result<()> {
    for (kind, live) in [("long-poll", ""), ("event stream", "&live_sse=true")] {
        let mut each = Vec::new();
        for at_api in [true, false] {
            let settings =
                [("PLUE_ENGINE__LONG_POLL_TIMEOUT", "600s"), ("PLUE_SUBSCRIPTIONS__MAX_PER_SESSION", "10000")];
            let server = if at_api { Server::api(url, &settings)? } else { Server::engine(url)? };
            server.ready(if at_api { "/ready" } else { "/v1/health" }).await?;
            let shape = "/v1/shape?table=parts&where=session_id='s'";
            let handle = server.handle(&format!("{shape}&offset=-1")).await?;
            let before = server.resident_kb()?;
            let mut held = Vec::with_capacity(READERS);
            for number in 0..READERS {
                let path = format!("{shape}&handle={handle}&offset=0_inf&live=true{live}&client=c{number}");
                held.push(server.send(&path).await?);
            }
            server.settled().await?;
            each.push(server.resident_kb()?.saturating_sub(before) as f64 / READERS as f64);
        }
        println!("a waiting {kind}: {:.1} KB at the API, {:.1} KB at the engine's own port", each[0], each[1]);
    }
    Ok(())
}

/// Ends all streams of a session, again and again.
async fn ends(url: &str) -> Result<()> {
    let server = Server::api(url, &[])?;
    server.ready("/ready").await?;
    let shape = "/v1/shape?table=parts&where=session_id='s'";
    let handle = server.handle(&format!("{shape}&offset=-1")).await?;
    let (mut last, mut plain) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let mut streams = Vec::with_capacity(STREAMS);
        for number in 0..STREAMS {
            let name = format!("&client=c{round}_{number}");
            let path = format!("{shape}&handle={handle}&offset=0_inf&live=true&live_sse=true{name}");
            let mut stream = server.send(&path).await?;
            let mut head = [0; 4096];
            if stream.read(&mut head).await? == 0 {
                bail!("a stream was cut off");
            }
            streams.push(tokio::spawn(async move {
                let mut rest = Vec::new();
                while !rest.ends_with(b"0\r\n\r\n") && matches!(stream.read_buf(&mut rest).await, Ok(1..)) {}
                Instant::now()
            }));
        }
        let asked = Instant::now();
        server.request("/ready").await?;
        plain.push(asked.elapsed());
        let mut order = tokio::net::TcpStream::connect(&server.address).await?;
        let text = "DELETE /v1/admin/sessions/s/subscriptions HTTP/1.1\r\nhost: bench\r\n\r\n";
        let asked = Instant::now();
        tokio::io::AsyncWriteExt::write_all(&mut order, text.as_bytes()).await?;
        let mut end = Duration::ZERO;
        for stream in streams {
            end = end.max(stream.await?.saturating_duration_since(asked));
        }
        last.push(end);
    }
    let ((median, worst), (plain, _)) = (percentiles(last), percentiles(plain));
    let ratio = median.as_secs_f64() / plain.as_secs_f64();
    println!(
        "{STREAMS} streams ended by an operator, until the last has closed: median {median:.1?}, worst {worst:.1?};"
    );
    println!("  a plain request beside them {plain:.1?}: {ratio:.1} of it");
    Ok(())
}
