//! Postgres goes away under load, in order or not, and comes back: everything goes on by itself.

use super::load::{Load, make_table};
use super::posts::Posts;
use super::program::Program;
use super::reader::{Follower, Live, Reader, Step};
use super::server::Server;
use super::{DEADLINE, pass_time, posts, seeded};
use crate::support::{Database, eventually};

#[actix_web::test]
async fn a_fast_stop_of_postgres_waits_for_nobody_and_readers_go_on_afterwards() {
    let mut random = seeded();
    let mut server = Server::start_with(&[]);
    let database = Database::in_cluster(&server.url()).await;
    make_table(&database.connect().await).await;
    let engine = Program::engine(database.url(), database.url()).await;
    let mut followers = Vec::new();
    for live in [Live::Poll, Live::Sse] {
        followers.push(Follower::start(&engine.address(), "items", "owner < 4", live).await);
    }
    let load = Load::start(database.url(), &mut random, 4);
    for round in 0..2 {
        pass_time(&mut random, 100, 600).await;
        println!("round {round}: Postgres stopped in {:?}", server.stop().await);
        engine.until("starting").await;
        server.start().await;
        engine.until("active").await;
    }
    let done = load.stop().await;
    let client = database.connect().await;
    for follower in &mut followers {
        follower.until_equal(&client).await;
        let state = follower.state.borrow();
        assert!(state.changes > 0, "of {done} transactions none was seen");
        assert_eq!(state.broken, 0, "the connection of a reader does not end with that to Postgres");
    }
    engine.assert_quiet(&["no replication stream"]);
}

#[actix_web::test]
async fn a_crash_of_postgres_loses_no_acknowledged_write_and_readers_and_writers_go_on() {
    let mut random = seeded();
    let mut server = Server::start_with(&[]);
    let database = Database::in_cluster(&server.url()).await;
    let serve = Program::serve(database.url()).await;
    posts::make_session(&serve.address()).await;
    let mut followers = Vec::new();
    for live in [Live::Poll, Live::Sse] {
        followers.push(Follower::start(&serve.address(), "messages", "session_id = 's'", live).await);
    }
    let posts = Posts::start(&serve.address(), 8);
    pass_time(&mut random, 100, 600).await;
    server.crash().await;
    eventually(DEADLINE, "writes to be refused", async || match posts.unavailable() {
        0 => Err("none was"),
        _ => Ok(()),
    })
    .await;
    // A shape that nobody has asked for yet.
    let mut stranger = Reader::new(serve.address(), "subtasks", "session_id = 's'", Live::Poll);
    assert_eq!(stranger.step().await, Step::Refused);
    server.start().await;
    serve.until("active").await;
    stranger.catch_up().await;
    // Some crashes are over before anybody asks.
    for _ in 0..2 {
        posts.until_all_go_on().await;
        pass_time(&mut random, 1, 300).await;
        server.crash().await;
        server.start().await;
    }
    serve.until("active").await;
    posts.until_all_go_on().await;
    let acknowledged = posts.stop().await;
    let client = database.connect().await;
    posts::assert_written(&client, &acknowledged).await;
    for follower in &mut followers {
        follower.until(async |state| posts::compare(state, &acknowledged)).await;
    }
}
