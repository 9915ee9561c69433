//! The first promise: snapshot and log together are the committed rows that match, in commit order.
//!
//! Eight connections write random transactions while thirty readers open shapes at random moments and follow them. At the end every reader,
//! and every log replayed from its start, must hold what the same query gives on Postgres.

mod definitions;
mod tables;
mod transactions;

use std::collections::BTreeMap;
use std::env;
use std::time::Duration;

use actix_rt::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_postgres::{Client, SimpleQueryMessage};

use self::definitions::Definition;
use self::tables::TABLES;
use self::transactions::{Done, write};
use crate::support::{Database, Engine, Random, Reader, Row};

/// How long to write, in seconds; a soak run sets more.
const SECONDS: &str = "PLUE_TEST_SECONDS";
const USUAL_SECONDS: u64 = 8;
const WRITERS: u64 = 8;
const SHAPES: usize = 30;
/// For a reader to get to the end after the last write.
const CATCH_UP: Duration = Duration::from_secs(90);

#[actix_rt::test]
async fn every_log_replayed_equals_the_same_query_on_postgres() {
    let seed = Random::seed();
    let seconds = env::var(SECONDS).map_or(USUAL_SECONDS, |text| text.parse().expect("PLUE_TEST_SECONDS is a number"));
    println!("PLUE_TEST_SEED={seed} repeats these choices");
    let database = Database::fresh().await;
    let client = database.connect().await;
    client.batch_execute(&tables::create()).await.expect("the tables");
    let mut random = Random::new(seed, 0);
    // Now and then chunks that hold a few rows, and answers that come from files.
    let chunk_bytes = random.pick(&["4000", "30000", "10485760"]);
    let settings = [("ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD", chunk_bytes), ("ELECTRIC_LONG_POLL_TIMEOUT", "2000")];
    let engine = Engine::with(&database, &settings).await;

    let (start, length) = (Instant::now(), Duration::from_secs(seconds));
    let end = start + length;
    let mut writers = Vec::new();
    for number in 1..=WRITERS {
        let client = database.connect().await;
        writers.push(actix_rt::spawn(write(client, Random::new(seed, number), end)));
    }
    let definitions: Vec<_> = (0..SHAPES).map(|number| Definition::random(&mut random, number)).collect();
    let mut readers = Vec::new();
    for definition in &definitions {
        let opened = start + length.mul_f64(random.below(900) as f64 / 1000.0);
        readers.push(follow(&engine, definition.clone(), opened, end + CATCH_UP, random.one_in(2)));
    }
    let mut done = Done::default();
    for writer in writers {
        done += writer.await.expect("a writer's end");
    }
    for table in &TABLES {
        client.batch_execute(&definitions::last_rows(table, &definitions)).await.expect("the last rows");
    }

    let mut told = 0;
    for (definition, reader) in definitions.iter().zip(readers) {
        let name = definition.shape(&engine).name();
        let followed = reader.await.unwrap_or_else(|_| panic!("seed {seed}: the reader of {name} failed"));
        let replayed = Reader::up_to_date(&definition.shape(&engine)).await;
        let expected = rows(&client, definition).await;
        for (how, reader) in [("followed live", &followed), ("replayed", &replayed)] {
            assert_eq!(reader.refetches, 0, "seed {seed}: {name} {how} had to start over");
            let difference = difference(&expected, &reader.rows);
            assert!(difference.is_empty(), "seed {seed}: {name} {how} differs from Postgres: {difference:#?}");
        }
        assert_eq!(followed.handle, replayed.handle, "seed {seed}: {name}");
        let same = followed.log.iter().zip(&replayed.log).position(|(one, other)| one != other);
        assert!(
            same.is_none() && followed.log.len() == replayed.log.len(),
            "seed {seed}: {name}: other logs at {same:?}"
        );
        told += followed.log.len();
    }
    println!("{done:?}, {told} changes told, chunks of {chunk_bytes} bytes");
    assert!(
        done.committed > 100 && done.rolled_back > 10 && told > 1000,
        "too little happened: {done:?}, {told} changes"
    );
    engine.binary.assert_quiet(&[]);
}

/// Opens a shape at a moment and follows it until its last row.
fn follow(
    engine: &Engine,
    definition: Definition,
    opened: Instant,
    limit: Instant,
    by_events: bool,
) -> JoinHandle<Reader> {
    let shape = definition.shape(engine);
    actix_rt::spawn(async move {
        sleep_until(opened).await;
        let mut reader = Reader::new(&shape);
        let limit = limit - Instant::now();
        let last = definition.last_row();
        let done = |reader: &Reader| reader.rows.values().any(|row| row[last.0].as_deref() == Some(&*last.1));
        match by_events {
            true => reader.stream_until(limit, "its last row", done).await,
            false => reader.follow_until(limit, "its last row", done).await,
        }
        reader
    })
}

/// What the definition's query gives on Postgres, by key.
async fn rows(client: &Client, definition: &Definition) -> BTreeMap<String, Row> {
    let answer = client.simple_query(&definition.query()).await.expect("the same query on Postgres");
    let rows = answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            let columns = row.columns().iter().enumerate();
            let values = columns.map(|(at, column)| (column.name().to_owned(), row.get(at).map(str::to_owned)));
            Some(values.collect::<Row>())
        }
        _ => None,
    });
    rows.map(|row| (definition.table.key(&row), definition.select(row))).collect()
}

fn difference(expected: &BTreeMap<String, Row>, seen: &BTreeMap<String, Row>) -> Vec<String> {
    let keys = expected.keys().chain(seen.keys().filter(|key| !expected.contains_key(*key)));
    let differing = keys.filter(|key| expected.get(*key) != seen.get(*key)).take(5);
    differing.map(|key| format!("{key}: expected {:?}, has {:?}", expected.get(key), seen.get(key))).collect()
}
