//! Rows that move at every level of four tables, under a hundred shapes with random conditions, with restarts in between.

use std::collections::BTreeMap;
use std::env;
use std::time::Duration;

use tokio_postgres::{Client, SimpleQueryMessage};

use super::filters::{TABLES, condition, create};
use super::writes::{fill, write};
use crate::support::{Database, Engine, Random, Reader, Row, Shape};

/// How much of it; a soak run sets more.
const BATCHES: &str = "PLUE_TEST_BATCHES";
const USUAL_BATCHES: usize = 6;
const SHAPES: usize = 100;
const WRITERS: u64 = 4;
const TRANSACTIONS: usize = 15;
const SOON: Duration = Duration::from_secs(120);

struct Followed {
    table: &'static str,
    filter: String,
    reader: Reader,
}

#[actix_rt::test]
async fn after_every_batch_each_shape_is_what_its_query_gives() {
    let seed = Random::seed();
    let batches = env::var(BATCHES).map_or(USUAL_BATCHES, |text| text.parse().expect("PLUE_TEST_BATCHES is a number"));
    println!("PLUE_TEST_SEED={seed} repeats these choices");
    let mut random = Random::new(seed, 0);
    let database = Database::fresh().await;
    let client = database.connect().await;
    client.batch_execute(&create()).await.expect("the tables");
    client.batch_execute(&fill(&mut random)).await.expect("the rows");
    let storage = tempfile::tempdir().expect("a folder");
    let storage = storage.path().to_str().expect("a path in UTF-8").to_owned();
    let settings = [("ELECTRIC_LONG_POLL_TIMEOUT", "1000"), ("ELECTRIC_STORAGE_DIR", &*storage)];
    let mut engine = Engine::with(&database, &settings).await;
    let mut shapes = Vec::new();
    let mut refused = 0;
    while shapes.len() < SHAPES {
        let level = 1 + random.below(TABLES.len() - 1);
        let filter = condition(&mut random, level);
        let shape = shape(&engine, TABLES[level], &filter);
        let first = shape.first().await;
        if first.status == 400 {
            let text = first.text();
            assert!(text.contains("polarity") || text.contains("too complex"), "seed {seed}: {filter}: {text}");
            refused += 1;
            continue;
        }
        shapes.push(Followed { table: TABLES[level], filter, reader: Reader::new(&shape) });
    }
    let (mut committed, mut told) = (0, 0);
    for batch in 0..batches {
        if batch > 0 && batch % 2 == 0 {
            match batch % 4 {
                0 => engine.binary.kill(),
                _ => drop(engine.binary.terminate().await),
            }
            // Some are written while nobody follows.
            committed += write(database.connect().await, Random::new(seed, 1000 + batch as u64), 5).await;
            engine = Engine::with(&database, &settings).await;
            for followed in &mut shapes {
                followed.reader.go_on_at(&shape(&engine, followed.table, &followed.filter));
            }
        }
        let mut writers = Vec::new();
        for number in 1..=WRITERS {
            let random = Random::new(seed, 10 * (batch as u64 + 1) + number);
            writers.push(actix_rt::spawn(write(database.connect().await, random, TRANSACTIONS)));
        }
        for writer in writers {
            committed += writer.await.expect("a writer's end");
        }
        for Followed { table, filter, reader } in &mut shapes {
            let expected = rows(&client, table, filter).await;
            let what = format!("the rows of {table} WHERE {filter} (seed {seed}, batch {batch})");
            let by_events = random.one_in(3);
            match by_events {
                true => reader.stream_until(SOON, &what, |reader| reader.rows == expected).await,
                false => reader.follow_until(SOON, &what, |reader| reader.rows == expected).await,
            }
        }
    }
    let refetches: usize = shapes.iter().map(|followed| followed.reader.refetches).sum();
    told += shapes.iter().map(|followed| followed.reader.log.len()).sum::<usize>();
    println!("{committed} transactions, {told} changes told, {refetches} refetches, {refused} conditions refused");
    assert!(committed > 100 && told > 100, "too little happened: {committed} transactions, {told} changes");
}

fn shape(engine: &Engine, table: &str, filter: &str) -> Shape {
    engine.shape(table).with("where", filter)
}

/// What the shape's query gives on Postgres, by key.
async fn rows(client: &Client, table: &str, filter: &str) -> BTreeMap<String, Row> {
    let answer = client.simple_query(&format!("SELECT * FROM {table} WHERE {filter}")).await.expect("the same query");
    let rows = answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            let columns = row.columns().iter().enumerate();
            Some(
                columns.map(|(at, column)| (column.name().to_owned(), row.get(at).map(str::to_owned))).collect::<Row>(),
            )
        }
        _ => None,
    });
    rows.map(|row| (format!("\"public\".\"{table}\"/\"{}\"", row["id"].as_deref().unwrap_or_default()), row)).collect()
}
