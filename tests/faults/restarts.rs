//! The program ends, in order or not, and starts again: readers go on where they were.

use std::rc::Rc;

use plue_sync::shape::Lsn;
use tokio_postgres::Client;

use super::load::{Load, make_table};
use super::program::Program;
use super::reader::{Follower, Live, Reader, Step};
use super::wire::Wire;
use super::{DEADLINE, pass_time, seeded};
use crate::support::{Database, eventually};

const ROUNDS: u64 = 6;

/// Conditions of the shapes that are followed: all rows, rows that move in and out, and a condition without a key.
const CONDITIONS: [&str; 3] = ["true", "owner = 2", "n > 50 OR body IS NULL"];

#[actix_web::test]
async fn readers_go_on_after_restarts_under_load_and_postgres_never_forgets_what_is_not_on_disk() {
    let mut random = seeded();
    let database = Database::fresh().await;
    let client = database.connect().await;
    make_table(&client).await;
    let mut engine = Program::engine(database.url(), database.url()).await;
    let mut followers = Vec::new();
    for condition in CONDITIONS {
        for live in [Live::Poll, Live::Sse] {
            followers.push(Follower::start(&engine.address(), "items", condition, live).await);
        }
    }
    let load = Load::start(database.url(), &mut random, 6);
    for round in 0..ROUNDS {
        let moment = pass_time(&mut random, 50, 700).await;
        let crash = round != 2 && round != 4;
        match crash {
            true => engine.kill(),
            false => drop(engine.terminate().await),
        }
        let confirmed = confirmed_after_end(&client).await;
        engine.start().await;
        let found = engine.found().await;
        println!("round {round}: crash {crash} after {moment:?}; confirmed {confirmed:#}, on disk {found:#}");
        assert!(confirmed <= found, "round {round}: Postgres was told {confirmed:#}, and only {found:#} is on disk");
        engine.until("active").await;
    }
    let done = load.stop().await;
    for follower in &mut followers {
        follower.until_equal(&client).await;
        let state = follower.state.borrow();
        println!("{} changes, {} refused, {} broken", state.changes, state.refused, state.broken);
        assert!(state.changes > 0 && state.broken > 0, "nothing happened");
    }
    println!("{done} transactions");
    engine.assert_quiet(&[]);
}

/// What Postgres believes to be stored, once the program's connection is over.
async fn confirmed_after_end(client: &Client) -> Lsn {
    eventually(DEADLINE, "the end of the stream", async || {
        let sql =
            "SELECT active, confirmed_flush_lsn::text FROM pg_replication_slots WHERE database = current_database()";
        let row = client.query_one(sql, &[]).await.expect("one slot");
        if row.get(0) { Err("still active") } else { Ok(row.get::<_, String>(1).parse().expect("a position")) }
    })
    .await
}

#[actix_web::test]
async fn a_reader_ahead_of_what_was_recovered_waits_and_goes_on() {
    let database = Database::fresh().await;
    let client = database.connect().await;
    make_table(&client).await;
    let wire = Wire::to(database.url()).await;
    let mut engine = Program::engine(&wire.url(database.url()), database.url()).await;
    let mut readers = [Live::Poll, Live::Sse].map(|live| Reader::new(engine.address(), "items", "true", live));
    for reader in &mut readers {
        reader.catch_up().await;
    }
    engine.until("active").await;
    // Entries are shown before they are on disk, so a crash right after leaves a reader ahead; the disk may have been faster.
    let mut ahead = false;
    for id in 1000..1030 {
        client.batch_execute(&format!("INSERT INTO items VALUES ({id}, 1, 1, 'new')")).await.expect("a row");
        let seen = readers[0].state.borrow().changes;
        while readers[0].state.borrow().changes == seen {
            assert_eq!(readers[0].step().await, Step::Answered);
        }
        engine.kill();
        wire.silence(true);
        engine.start().await;
        let found = engine.found().await;
        let offset = readers[0].state.borrow().offset.clone();
        let at: u64 = offset.split_once('_').and_then(|(tx, _)| tx.parse().ok()).expect("an offset");
        ahead = at >= found.0;
        if ahead {
            engine.until("active").await;
            break;
        }
        wire.silence(false);
        engine.until("active").await;
    }
    assert!(ahead, "every row was on disk before its reader had it");

    // The second reader stands before the row, and hangs; the first is past everything that is there.
    let [first, second] = &mut readers;
    let (handle, offset) = (first.state.borrow().handle.clone(), first.state.borrow().offset.clone());
    for live in [Live::Sse, Live::Poll] {
        first.wait_by(live);
        assert_eq!(first.step().await, Step::Refused);
    }
    assert_eq!(first.state.borrow().offset, offset);
    wire.silence(false);
    client.batch_execute("INSERT INTO items VALUES (2000, 1, 1, 'last')").await.expect("a row");
    for reader in [first, second] {
        // An event stream would end only after a minute.
        reader.wait_by(Live::Poll);
        assert_eq!(reader.until_equal(&client).await, 0);
        assert_eq!(reader.state.borrow().handle, handle);
    }
    engine.assert_quiet(&[]);
}

#[actix_web::test]
async fn a_crash_while_snapshots_are_made_leaves_no_half_of_one() {
    let mut random = seeded();
    let database = Database::fresh().await;
    let client = database.connect().await;
    make_table(&client).await;
    let many = "INSERT INTO items SELECT i, i % 5, i, repeat('y', 300) FROM generate_series(1000, 4000) i";
    client.batch_execute(many).await.expect("rows");
    let mut engine = Program::engine(database.url(), database.url()).await;
    engine.until("active").await;
    let mut readers = Vec::new();
    for round in 0..6 {
        let condition = format!("n <> {round}");
        let mut reader = Reader::new(engine.address(), "items", &condition, Live::Poll);
        let state = Rc::clone(&reader.state);
        let reading = actix_web::rt::spawn(async move {
            while reader.step().await == Step::Answered && reader.state.borrow().rows.len() < 2900 {}
            reader
        });
        let load = Load::start(database.url(), &mut random, 2);
        // Before there is a snapshot, while there is one, and while it is being read.
        let moment = match round % 2 {
            0 => pass_time(&mut random, 5, 250).await,
            _ => {
                let begun = async || if state.borrow().rows.is_empty() { Err("no row") } else { Ok(()) };
                eventually(DEADLINE, "a first chunk", begun).await;
                pass_time(&mut random, 0, 30).await
            }
        };
        engine.kill();
        engine.start().await;
        load.stop().await;
        let reader = reading.await.expect("a reader that goes on");
        let (rows, offset) = (state.borrow().rows.len(), state.borrow().offset.clone());
        println!("killed after {moment:?}, the reader had {rows} rows, at {offset}");
        readers.push(reader);
    }
    for reader in &mut readers {
        println!("{} restarts", reader.until_equal(&client).await);
    }
}
