//! Tables are changed while they are written to, by several at once: what readers hold is always what a query gives.
//!
//! Each reader checks every message against the rows that it holds. After each round its rows must become those of the
//! query on Postgres, whether the shape went on or had to be fetched anew.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::{SOON, Scene};
use crate::support::{Random, Reader, Row, eventually};

const ROUNDS: usize = 30;
const TABLES: &str = "
    CREATE TABLE events (id int, day int NOT NULL, note text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
    CREATE TABLE p0 PARTITION OF events FOR VALUES FROM (0) TO (10);
    CREATE TABLE p1 PARTITION OF events FOR VALUES FROM (10) TO (20);
    CREATE TABLE p4 PARTITION OF events FOR VALUES FROM (40) TO (50) PARTITION BY HASH (id);
    CREATE TABLE p4a PARTITION OF p4 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
    CREATE TABLE items (id int PRIMARY KEY, title text NOT NULL, more int);
";

/// What a reader asks for: the table, further parameters, and the same on Postgres.
type Wanted = (&'static str, &'static [(&'static str, &'static str)], &'static str);

const SHAPES: [Wanted; 7] = [
    ("events", &[], "SELECT * FROM events"),
    ("events", &[("replica", "full")], "SELECT * FROM events"),
    ("events", &[("where", "day < 25 AND note <> 'n1'")], "SELECT * FROM events WHERE day < 25 AND note <> 'n1'"),
    ("events", &[("columns", "id,day")], "SELECT id, day FROM events"),
    ("items", &[], "SELECT * FROM items"),
    ("items", &[("columns", "id,title")], "SELECT id, title FROM items"),
    ("items", &[("replica", "full"), ("where", "id > 3")], "SELECT * FROM items WHERE id > 3"),
];

/// One statement, or several in one transaction. Some fail: what they need is not there just now.
fn statement(random: &mut Random) -> String {
    let (id, day, note) = (random.below(12), random.below(50), random.below(4));
    let slot = random.below(4);
    let (from, to) = (slot * 10, slot * 10 + 10);
    match random.below(40) {
        0..8 => format!("INSERT INTO events (id, day, note) VALUES ({id}, {day}, 'n{note}') ON CONFLICT DO NOTHING"),
        8..12 => format!("UPDATE events SET note = 'n{note}' WHERE id = {id}"),
        12 | 13 => format!("UPDATE events SET day = {day} WHERE id = {id}"),
        14 => format!("DELETE FROM events WHERE id = {id}"),
        15..18 => format!("CREATE TABLE p{slot} PARTITION OF events FOR VALUES FROM ({from}) TO ({to})"),
        18 => format!(
            "BEGIN; CREATE TABLE p{slot} PARTITION OF events FOR VALUES FROM ({from}) TO ({to}); \
             INSERT INTO events (id, day, note) VALUES ({id}, {from}, 'born'); COMMIT"
        ),
        19 => format!("ALTER TABLE events DETACH PARTITION p{slot}"),
        20 | 21 => format!("ALTER TABLE events ATTACH PARTITION p{slot} FOR VALUES FROM ({from}) TO ({to})"),
        22 => format!("DROP TABLE p{slot}"),
        23 => format!(
            "BEGIN; CREATE TABLE p{slot} (note text, day int NOT NULL, id int NOT NULL); \
             INSERT INTO p{slot} VALUES ('came', {from}, {id}); \
             ALTER TABLE events ATTACH PARTITION p{slot} FOR VALUES FROM ({from}) TO ({to}); \
             INSERT INTO events (id, day, note) VALUES ({id} + 20, {from}, 'later'); COMMIT"
        ),
        24 => format!("INSERT INTO p{slot} (id, day, note) VALUES ({id}, {from}, 'direct')"),
        25 => format!("TRUNCATE p{slot}"),
        26 => "BEGIN; ALTER TABLE events DETACH PARTITION p4; INSERT INTO p4 VALUES (1, 44, 'away') ON CONFLICT DO NOTHING; \
               ALTER TABLE events ATTACH PARTITION p4 FOR VALUES FROM (40) TO (50); COMMIT"
            .to_owned(),
        27 => random.pick(&["ALTER TABLE events ADD COLUMN IF NOT EXISTS extra int DEFAULT 7", "ALTER TABLE events DROP COLUMN IF EXISTS extra"]).to_owned(),
        28..34 => format!(
            "INSERT INTO items (id, title) VALUES ({id}, 't{note}') ON CONFLICT DO NOTHING; \
             UPDATE items SET title = 'u{note}' WHERE id = {day} % 12"
        ),
        34 => format!("DELETE FROM items WHERE id = {id}"),
        35 => random.pick(&["ALTER TABLE items DROP COLUMN IF EXISTS more", "ALTER TABLE items ADD COLUMN IF NOT EXISTS more int"]).to_owned(),
        36 => random
            .pick(&[
                "BEGIN; ALTER TABLE items DROP CONSTRAINT items_pkey; ALTER TABLE items ADD PRIMARY KEY (id, title); COMMIT",
                "BEGIN; ALTER TABLE items DROP CONSTRAINT items_pkey; ALTER TABLE items ADD PRIMARY KEY (id); COMMIT",
            ])
            .to_owned(),
        37 => random
            .pick(&[
                "BEGIN; DROP TABLE items; CREATE TABLE items (more int, title text NOT NULL, id int PRIMARY KEY); \
                 INSERT INTO items VALUES (1, 'fresh', 5); COMMIT",
                "TRUNCATE items",
            ])
            .to_owned(),
        38 => random.pick(&["ALTER TABLE items REPLICA IDENTITY DEFAULT", "ALTER TABLE items ALTER title TYPE varchar(50)", "ALTER TABLE items ALTER title TYPE text"]).to_owned(),
        _ => random
            .pick(&[
                "ALTER PUBLICATION plue_sync_default DROP TABLE items",
                "ALTER PUBLICATION plue_sync_default ADD TABLE items",
                "ALTER TABLE items ALTER more SET NOT NULL",
                "ALTER TABLE items ALTER more DROP NOT NULL",
            ])
            .to_owned(),
    }
}

/// Runs some statements; gives how many were done.
async fn write(client: &Client, mut random: Random, count: usize) -> usize {
    let mut done = 0;
    for _ in 0..count {
        let sql = statement(&mut random);
        match client.batch_execute(&format!("SET lock_timeout = '2s'; {sql}")).await {
            Ok(()) => done += 1,
            Err(error) => {
                assert!(error.as_db_error().is_some(), "{sql}: {error:?}");
                client.batch_execute("ROLLBACK").await.expect("a connection that goes on");
            }
        }
    }
    done
}

/// The columns of a table's key, in key order.
async fn key_columns(client: &Client, table: &str) -> Vec<String> {
    let sql = "SELECT a.attname::text FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k(attnum, place) \
               JOIN pg_attribute a ON a.attnum = k.attnum \
               WHERE i.indrelid = to_regclass($1) AND i.indisprimary AND a.attrelid = i.indrelid ORDER BY k.place";
    client.query(sql, &[&table]).await.expect("a key").iter().map(|row| row.get(0)).collect()
}

/// What a query gives, by key.
async fn rows(client: &Client, table: &str, query: &str) -> BTreeMap<String, Row> {
    let key = key_columns(client, table).await;
    let answer = client.simple_query(query).await.unwrap_or_else(|e| panic!("{query}: {e:?}"));
    let rows = answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            let columns = row.columns().iter().enumerate();
            Some(
                columns.map(|(at, column)| (column.name().to_owned(), row.get(at).map(str::to_owned))).collect::<Row>(),
            )
        }
        _ => None,
    });
    let keyed = rows.map(|row| {
        let parts = key.iter().map(|name| format!("/\"{}\"", row[name].as_deref().unwrap_or_default()));
        (format!("\"public\".\"{table}\"{}", parts.collect::<String>()), row)
    });
    keyed.collect()
}

#[actix_rt::test]
async fn readers_hold_what_a_query_gives_while_tables_are_changed() {
    let seed = Random::seed();
    println!("PLUE_TEST_SEED={seed} repeats these choices");
    let scene = Scene::with(TABLES, &[("ELECTRIC_TWEAKS_SCHEMA_RECONCILER_PERIOD", "200ms")]).await;
    let mut writers = Vec::new();
    for _ in 0..3 {
        writers.push(scene.database.connect().await);
    }
    let shape = |(table, params, _): &Wanted| {
        params.iter().fold(scene.engine.shape(table), |shape, (name, value)| shape.with(name, value))
    };
    let mut readers: Vec<Reader> = SHAPES.iter().map(|wanted| Reader::new(&shape(wanted))).collect();
    let mut done = 0;
    for round in 0..ROUNDS {
        let streams = (0..3).map(|number| Random::new(seed, (round * 3 + number) as u64));
        let write = join_all(writers.iter().zip(streams).map(|(client, random)| write(client, random, 6)));
        // Some read while the tables are changed, others come back to what has become of them.
        let read = join_all(readers.iter_mut().step_by(2).map(Reader::catch_up));
        let (counts, _) = futures_util::future::join(write, read).await;
        done += counts.into_iter().sum::<usize>();
        for ((table, params, query), reader) in SHAPES.iter().zip(&mut readers) {
            let expected = rows(&scene.client, table, query).await;
            let what = format!("seed {seed}, round {round}: the rows of {table} {params:?}, {expected:#?}");
            eventually(SOON, &what, async || {
                reader.catch_up().await;
                if reader.rows == expected { Ok(()) } else { Err(reader.rows.clone()) }
            })
            .await;
        }
    }
    let refetches: Vec<usize> = readers.iter().map(|reader| reader.refetches).collect();
    println!("{done} statements, fetched anew: {refetches:?}");
    assert!(done > ROUNDS * 6, "only {done} statements");
    assert!(refetches.iter().all(|count| *count > 0), "nothing ended a shape: {refetches:?}");
    // Never a 500: a reader would have failed at it.
}
