//! The history that shapes are made of is not the one that Postgres goes on with: they start over, and never go on in silence.

use super::DEADLINE;
use super::load::make_table;
use super::program::Program;
use super::reader::{Live, Reader, Step};
use super::server::Server;
use crate::support::{Database, eventually};

#[actix_web::test]
async fn a_postgres_restored_to_an_earlier_state_starts_every_shape_over() {
    let mut server = Server::start_with(&[]);
    let database = Database::in_cluster(&server.url()).await;
    let client = database.connect().await;
    make_table(&client).await;
    let mut engine = Program::engine(database.url(), database.url()).await;
    let mut reader = Reader::new(engine.address(), "items", "true", Live::Poll);
    reader.catch_up().await;
    server.stop().await;
    server.save();
    server.start().await;
    let client = database.connect().await;
    let lost = "INSERT INTO items SELECT i, 1, 1, repeat(md5(i::text), 30) FROM generate_series(1000, 1999) i";
    client.batch_execute(lost).await.expect("rows");
    assert_eq!(reader.until_equal(&client).await, 0);

    server.stop().await;
    server.restore();
    server.start().await;
    let client = database.connect().await;
    let mut reader = replaced(reader, &engine).await;
    assert_eq!(reader.until_equal(&client).await, 0);
    client.batch_execute("INSERT INTO items VALUES (500, 1, 1, 'after')").await.expect("a row");
    assert_eq!(reader.until_equal(&client).await, 0);

    // While nobody listens, the server passes the position that it had before it was restored.
    engine.kill();
    client.batch_execute("INSERT INTO items VALUES (501, 1, 1, 'unheard')").await.expect("a row");
    for sql in ["SELECT pg_switch_wal()", "INSERT INTO items VALUES (502, 1, 1, 'later')", "SELECT pg_switch_wal()"] {
        client.batch_execute(sql).await.expect(sql);
    }
    engine.start().await;
    engine.until("active").await;
    client.batch_execute("INSERT INTO items VALUES (503, 1, 1, 'last')").await.expect("a row");
    // Its position is now behind that of the server again.
    println!("{} more restarts", reader.until_equal(&client).await);
}

#[actix_web::test]
async fn another_server_whose_log_is_far_behind_starts_every_shape_over() {
    let servers = [Server::start_with(&[]), Server::start_with(&[])];
    let old = Database::in_cluster(&servers[0].url()).await;
    let new = Database::in_cluster(&servers[1].url()).await;
    let (before, client) = (old.connect().await, new.connect().await);
    make_table(&before).await;
    make_table(&client).await;
    for _ in 0..3 {
        let sql = "INSERT INTO items SELECT max(id) + 1, 1, 1, 'old' FROM items; SELECT pg_switch_wal()";
        before.batch_execute(sql).await.expect(sql);
    }
    let mut engine = Program::engine(old.url(), old.url()).await;
    let mut reader = Reader::new(engine.address(), "items", "true", Live::Poll);
    assert_eq!(reader.until_equal(&before).await, 0);
    engine.terminate().await;

    engine.move_to(new.url());
    engine.start().await;
    let mut reader = replaced(reader, &engine).await;
    assert_eq!(reader.until_equal(&client).await, 0);
    // What it had of the old server must not be what it confirms to the new one.
    for id in 500..503 {
        engine.kill();
        client.batch_execute(&format!("INSERT INTO items VALUES ({id}, 1, 1, 'new')")).await.expect("a row");
        client.batch_execute("SELECT pg_switch_wal()").await.expect("a new segment");
        engine.start().await;
        assert_eq!(reader.until_equal(&client).await, 0);
    }
}

#[actix_web::test]
async fn a_slot_that_was_dropped_starts_every_shape_over() {
    let database = Database::fresh().await;
    let client = database.connect().await;
    make_table(&client).await;
    let mut engine = Program::engine(database.url(), database.url()).await;
    let mut reader = Reader::new(engine.address(), "items", "true", Live::Poll);
    reader.catch_up().await;
    for how in ["in order", "by a crash"] {
        match how {
            "in order" => drop(engine.terminate().await),
            _ => engine.kill(),
        }
        client.batch_execute("DELETE FROM items WHERE id = (SELECT max(id) FROM items)").await.expect("one row less");
        eventually(DEADLINE, "the slot to be dropped", async || {
            let sql = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()";
            client.execute(sql, &[]).await.map_err(|error| error.to_string())
        })
        .await;
        engine.start().await;
        engine.until("active").await;
        reader = replaced(reader, &engine).await;
        assert_eq!(reader.until_equal(&client).await, 0);
    }
}

/// Lets a reader come to the end of its shape, and gives one of the shape that took its place.
async fn replaced(mut reader: Reader, engine: &Program) -> Reader {
    let old = reader.state.borrow().handle.clone();
    eventually(DEADLINE, "a new handle", async || match reader.step().await {
        Step::Refetch(Some(next)) if Some(&next) != old.as_ref() => Ok(()),
        step => Err(step),
    })
    .await;
    let mut next = Reader::new(engine.address(), "items", "true", Live::Poll);
    next.catch_up().await;
    assert_ne!(next.state.borrow().handle, old);
    next
}
