//! Two processes on one database: the second waits, says so, and takes over.

use std::collections::BTreeSet;

use serde_json::json;
use tokio_postgres::Client;

use super::DEADLINE;
use super::program::Program;
use super::reader::{Live, Reader, Step, client};
use crate::support::{Database, eventually};

#[actix_web::test]
async fn a_second_process_waits_and_takes_over_when_the_first_ends() {
    let database = Database::fresh().await;
    let postgres = database.connect().await;
    let mut serve = Program::serve(database.url()).await;
    serve.until("active").await;
    let mut engine = Program::engine(database.url(), database.url()).await;
    engine.until("waiting").await;
    let health = awc::Client::default().get(engine.address().of("/v1/health")).send().await.expect("an answer");
    assert_eq!(health.status(), 202);
    make_session(&serve, "first").await;
    let mut reader = Reader::new(serve.address(), "sessions", "true", Live::Poll);
    until_equal(&mut reader, &serve, &postgres).await;
    let mut other = Reader::new(engine.address(), "sessions", "true", Live::Poll);
    assert_eq!(other.step().await, Step::Refused);

    serve.terminate().await;
    engine.until("active").await;
    until_equal(&mut other, &engine, &postgres).await;

    // Now the API waits, and does everything but shapes.
    serve.start().await;
    serve.until("waiting").await;
    make_session(&serve, "second").await;
    assert_eq!(reader.step().await, Step::Refused);
    until_equal(&mut other, &engine, &postgres).await;

    engine.kill();
    serve.until("active").await;
    make_session(&serve, "third").await;
    // Its own shape has missed what the other one followed.
    assert!(matches!(reader.step().await, Step::Refetch(Some(_))));
    let mut reader = Reader::new(serve.address(), "sessions", "true", Live::Poll);
    until_equal(&mut reader, &serve, &postgres).await;
}

async fn make_session(serve: &Program, id: &str) {
    let new = json!({"id": id, "directory": "/src", "title": "A session"});
    let answer = client().post(serve.address().of("/v1/sessions")).send_json(&new).await.expect("an answer");
    assert_eq!(answer.status(), 201);
}

async fn until_equal(reader: &mut Reader, program: &Program, postgres: &Client) {
    eventually(DEADLINE, "the sessions", async || {
        let rows = postgres.query("SELECT id FROM sessions", &[]).await.expect("sessions");
        let expected: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
        let found: BTreeSet<String> = reader.state.borrow().by_id().into_keys().collect();
        if found == expected {
            return Ok(());
        }
        let step = reader.step().await;
        assert!(!matches!(step, Step::Refetch(_)), "{step:?}: {}", program.log());
        Err((step, found))
    })
    .await;
}
