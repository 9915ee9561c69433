//! Shapes of partitioned tables, and of their partitions.

use std::collections::BTreeSet;

use super::{LONG_POLL, SOON, Scene, Tail, told};
use crate::support::{Reader, Reply, Row, Shape, eventually};

/// The partitions have the columns in other orders, and one of them has partitions of its own.
const EVENTS: &str = r#"
    CREATE TABLE events (id int, day int NOT NULL, note text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
    CREATE TABLE one PARTITION OF events FOR VALUES FROM (0) TO (10);
    CREATE TABLE two (note text, gone int, day int NOT NULL, id int NOT NULL);
    ALTER TABLE two DROP gone;
    ALTER TABLE events ATTACH PARTITION two FOR VALUES FROM (10) TO (20);
    CREATE TABLE three PARTITION OF events FOR VALUES FROM (20) TO (40) PARTITION BY LIST (day);
    CREATE TABLE "Three 21" PARTITION OF three FOR VALUES IN (21);
    INSERT INTO events VALUES (1, 1, 'a'), (2, 11, 'b'), (3, 21, 'c');
"#;

/// The rows of a shape as `id/day/note`, by a reader that has just come.
async fn rows(shape: &Shape) -> Vec<String> {
    Reader::up_to_date(shape).await.rows.values().map(in_short).collect()
}

fn in_short(row: &Row) -> String {
    let part = |name: &str| row[name].clone().unwrap_or_else(|| "null".to_owned());
    format!("{}/{}/{}", part("id"), part("day"), part("note"))
}

/// What the old handle is answered.
async fn ask(tail: &Tail) -> Reply {
    tail.shape.get(&[("offset", &tail.offset), ("handle", &tail.handle)]).await
}

async fn ends(tail: &Tail, why: &str) {
    eventually(SOON, why, async || match ask(tail).await {
        reply if reply.status == 409 => Ok(()),
        reply => Err(reply.text()),
    })
    .await;
}

#[actix_rt::test]
async fn a_partitioned_table_is_one_table_whatever_its_partitions_look_like() {
    let scene = Scene::new(EVENTS).await;
    let shape = scene.engine.shape("events").with("replica", "full");
    let snapshot = shape.first().await.is(200).changes();
    assert_eq!(snapshot.len(), 3);
    let mut tail = Tail::of(&shape).await;
    scene.sql("INSERT INTO events VALUES (4, 2, 'd'), (5, 12, 'e'), (6, 21, NULL)").await;
    scene.sql("UPDATE events SET note = 'B' WHERE id = 2").await;
    // From one partition to another, with the key and without it.
    scene.sql("UPDATE events SET day = 21 WHERE id = 5; DELETE FROM events WHERE id = 1").await;
    scene.sql("INSERT INTO events VALUES (9, 9, 'end')").await;
    let log = tail.before(r#"/"9"/"9""#).await;
    for message in snapshot.iter().chain(&log) {
        assert_eq!(message.headers.relation, Some(["public".to_owned(), "events".to_owned()]));
        assert!(message.key.as_ref().is_some_and(|key| key.starts_with(r#""public"."events"/"#)), "{message:?}");
    }
    let expected = [
        r#"insert "4"/"2": day=2 id=4 note=d"#,
        r#"insert "5"/"12": day=12 id=5 note=e"#,
        r#"insert "6"/"21": day=21 id=6 note=null"#,
        r#"update "2"/"11": day=11 id=2 note=B, was note=b"#,
        r#"delete "5"/"12": day=12 id=5 note=e"#,
        r#"insert "5"/"21": day=21 id=5 note=e"#,
        r#"delete "1"/"1": day=1 id=1 note=a"#,
    ];
    assert_eq!(log.iter().map(told).collect::<Vec<_>>(), expected);
    scene.engine.binary.assert_quiet(&[]);
}

#[actix_rt::test]
async fn tables_at_every_level_have_their_own_rows() {
    let scene = Scene::new(EVENTS).await;
    let names = ["events", "three", r#""Three 21""#, "two"];
    let shapes = names.map(|name| scene.engine.shape(name));
    let mut readers = Vec::new();
    for shape in &shapes {
        readers.push(Reader::up_to_date(shape).await);
    }
    scene.sql("BEGIN; UPDATE events SET day = 21 WHERE id = 1; UPDATE events SET day = 12 WHERE id = 3; COMMIT").await;
    scene.sql("INSERT INTO events VALUES (8, 21, 'end'), (9, 11, 'end')").await;
    let expected: [&[&str]; 4] = [
        &["1/21/a", "2/11/b", "3/12/c", "8/21/end", "9/11/end"],
        &["1/21/a", "8/21/end"],
        &["1/21/a", "8/21/end"],
        &["2/11/b", "3/12/c", "9/11/end"],
    ];
    for ((reader, name), expected) in readers.iter_mut().zip(names).zip(expected) {
        reader
            .follow_until(SOON, "the last row", |reader| reader.rows.values().any(|row| in_short(row).ends_with("end")))
            .await;
        let rows: Vec<_> = reader.rows.values().map(in_short).collect();
        assert_eq!(rows, expected, "{name}");
        let schema = name.trim_matches('"');
        assert!(reader.rows.keys().all(|key| key.starts_with(&format!(r#""public"."{schema}"/"#))), "{name}");
        assert_eq!(reader.refetches, 0, "{name}");
    }
    scene.engine.binary.assert_quiet(&[]);
}

#[actix_rt::test]
async fn a_truncation_ends_the_shapes_above_it_and_below_it() {
    let scene = Scene::new(EVENTS).await;
    let open = async |name: &str| Tail::of(&scene.engine.shape(name)).await;
    let (events, two, three, last) =
        (open("events").await, open("two").await, open("three").await, open(r#""Three 21""#).await);
    scene.sql("TRUNCATE two").await;
    ends(&two, "the end of the partition's shape").await;
    ends(&events, "the end of the root's shape").await;
    assert_eq!((ask(&three).await.status, ask(&last).await.status), (200, 200), "what it is no part of goes on");
    assert_eq!(rows(&events.shape).await, ["1/1/a", "3/21/c"]);
    let events = open("events").await;
    scene.sql("TRUNCATE events; INSERT INTO events VALUES (7, 7, 'g')").await;
    for tail in [&events, &three, &last] {
        ends(tail, "the end of every shape of the table").await;
    }
    assert_eq!(rows(&events.shape).await, ["7/7/g"]);
    assert_eq!(rows(&three.shape).await, Vec::<String>::new());
}

#[actix_rt::test]
async fn a_new_partition_is_followed_from_its_first_row() {
    // Nobody looks at the tables but for the stream.
    let scene = Scene::with(EVENTS, &[("ELECTRIC_TWEAKS_SCHEMA_RECONCILER_PERIOD", "1h")]).await;
    let shape = scene.engine.shape("events");
    let mut tail = Tail::of(&shape).await;
    scene
        .sql(
            "BEGIN; CREATE TABLE four PARTITION OF events FOR VALUES FROM (40) TO (50); \
             INSERT INTO events VALUES (40, 40, 'new'); COMMIT",
        )
        .await;
    assert_eq!(tail.next().await.iter().map(told).collect::<Vec<_>>(), [r#"insert "40"/"40": day=40 id=40 note=new"#]);
    scene
        .sql("CREATE TABLE deep PARTITION OF three FOR VALUES IN (30); INSERT INTO events VALUES (30, 30, 'deep')")
        .await;
    assert_eq!(tail.next().await.iter().map(told).collect::<Vec<_>>(), [r#"insert "30"/"30": day=30 id=30 note=deep"#]);
    // The partition gets what its updates need without anybody's help.
    eventually(SOON, "REPLICA IDENTITY FULL", async || {
        let full = "SELECT count(*) FROM pg_class WHERE relname IN ('four', 'deep') AND relreplident = 'f'";
        match scene.client.query_one(full, &[]).await.expect("a count").get::<_, i64>(0) {
            2 => Ok(()),
            count => Err(count),
        }
    })
    .await;
    scene.sql("UPDATE events SET note = 'newer' WHERE id = 40; DELETE FROM events WHERE id = 30").await;
    scene.sql("INSERT INTO events VALUES (41, 41, 'end')").await;
    let expected = [r#"update "40"/"40": day=40 id=40 note=newer"#, r#"delete "30"/"30": day=30 id=30"#];
    assert_eq!(tail.told_before(r#"/"41"/"41""#).await, expected);
    assert_eq!(shape.first().await.is(200).handle(), tail.handle, "the same shape");
    scene.engine.binary.assert_quiet(&[]);
}

#[actix_rt::test]
async fn an_update_in_a_partition_that_sends_no_old_rows_ends_the_shape() {
    let scene = Scene::new(EVENTS).await;
    let shape = scene.engine.shape("events");
    let tail = Tail::of(&shape).await;
    let sql = "BEGIN; CREATE TABLE four PARTITION OF events FOR VALUES FROM (40) TO (50); \
               INSERT INTO events VALUES (40, 40, 'new'); UPDATE events SET note = 'newer' WHERE id = 40; COMMIT";
    scene.sql(sql).await;
    ends(&tail, "the end of the shape").await;
    let mut tail = Tail::of(&shape).await;
    scene.sql("UPDATE events SET note = 'newest' WHERE id = 40").await;
    assert_eq!(
        tail.next().await.iter().map(told).collect::<Vec<_>>(),
        [r#"update "40"/"40": day=40 id=40 note=newest"#]
    );
}

/// What changes the rows of the table without a change of a row, and what is there afterwards.
const MOVES: [(&str, &[&str]); 7] = [
    ("ALTER TABLE events DETACH PARTITION two CONCURRENTLY", &["1/1/a", "3/21/c"]),
    ("ALTER TABLE events ATTACH PARTITION two FOR VALUES FROM (10) TO (20)", &["1/1/a", "2/11/b", "3/21/c"]),
    ("ALTER TABLE events DETACH PARTITION two", &["1/1/a", "3/21/c"]),
    ("ALTER TABLE events ATTACH PARTITION two FOR VALUES FROM (10) TO (20)", &["1/1/a", "2/11/b", "3/21/c"]),
    ("DROP TABLE one", &["2/11/b", "3/21/c"]),
    (
        "CREATE TABLE extra (LIKE events INCLUDING ALL); INSERT INTO extra VALUES (50, 50, 'x'); \
         ALTER TABLE events ATTACH PARTITION extra FOR VALUES FROM (50) TO (60)",
        &["2/11/b", "3/21/c", "50/50/x"],
    ),
    (
        "BEGIN; ALTER TABLE events DETACH PARTITION three; DELETE FROM three; ALTER TABLE events ATTACH PARTITION three FOR VALUES FROM (20) TO (40); COMMIT",
        &["2/11/b", "50/50/x"],
    ),
];

#[actix_rt::test]
async fn rows_that_come_or_go_with_a_partition_end_the_shape() {
    let scene = Scene::with(EVENTS, &[("ELECTRIC_TWEAKS_SCHEMA_RECONCILER_PERIOD", "100ms")]).await;
    let shape = scene.engine.shape("events");
    for (sql, expected) in MOVES {
        let tail = Tail::of(&shape).await;
        scene.sql(sql).await;
        ends(&tail, sql).await;
        assert_eq!(rows(&shape).await, expected, "{sql}");
    }
}

#[actix_rt::test]
async fn no_change_is_told_by_partitions_that_are_no_more() {
    // Nobody looks but for the stream: each time a row comes that would be wrong.
    let scene = Scene::with(EVENTS, &[("ELECTRIC_TWEAKS_SCHEMA_RECONCILER_PERIOD", "1h"), LONG_POLL]).await;
    let shape = scene.engine.shape("events");
    let cases: [(&str, &str, &[&str]); 4] = [
        (
            "ALTER TABLE events DETACH PARTITION two",
            "INSERT INTO two (id, day, note) VALUES (77, 17, 'lost')",
            &["1/1/a", "3/21/c"],
        ),
        (
            "ALTER TABLE events ATTACH PARTITION two FOR VALUES FROM (10) TO (20)",
            "UPDATE two SET note = 'found' WHERE id = 77",
            &["1/1/a", "2/11/b", "77/17/found", "3/21/c"],
        ),
        (
            "DROP TABLE one; CREATE TABLE one PARTITION OF events FOR VALUES FROM (0) TO (10)",
            "INSERT INTO events VALUES (1, 1, 'again')",
            &["1/1/again", "2/11/b", "77/17/found", "3/21/c"],
        ),
        (
            "CREATE TABLE rest PARTITION OF events DEFAULT",
            "INSERT INTO events VALUES (90, 90, 'rest')",
            &["1/1/again", "2/11/b", "77/17/found", "3/21/c", "90/90/rest"],
        ),
    ];
    // Its shape keeps the partition published when it is on its own.
    let two = Reader::up_to_date(&scene.engine.shape("two")).await;
    for (sql, change, expected) in cases {
        let mut reader = Reader::up_to_date(&shape).await;
        scene.sql(sql).await;
        scene.sql(change).await;
        let expected: BTreeSet<String> = expected.iter().map(|row| (*row).to_owned()).collect();
        let as_expected = |reader: &Reader| reader.rows.values().map(in_short).collect::<BTreeSet<_>>() == expected;
        reader.follow_until(SOON, change, as_expected).await;
    }
    assert_eq!(two.rows.len(), 1);
}

#[actix_rt::test]
async fn tables_that_postgres_does_not_replicate_are_refused() {
    let sql = "CREATE UNLOGGED TABLE fast (id int PRIMARY KEY); CREATE VIEW seen AS SELECT 1 AS id; \
               CREATE MATERIALIZED VIEW kept AS SELECT 1 AS id; CREATE TABLE none (); CREATE TABLE whole (id int) PARTITION BY RANGE (id); \
               CREATE UNLOGGED TABLE part PARTITION OF whole FOR VALUES FROM (0) TO (1); CREATE SEQUENCE counts;";
    let scene = Scene::new(sql).await;
    let error = async |table: &str| {
        let body = scene.engine.shape(table).first().await.is(400).json();
        body["errors"]["table"][0].as_str().expect("a reason").to_owned()
    };
    assert_eq!(
        error("fast").await,
        r#"Table "public"."fast" is unlogged, and Postgres does not replicate its changes"#
    );
    let expected = r#"Table "public"."whole" has a partition that is foreign or unlogged, and Postgres does not replicate its changes"#;
    assert_eq!(error("whole").await, expected);
    let missing =
        ["seen", "kept", "none", "counts", "pg_catalog.pg_class", "information_schema.sql_features", "pg_toast.x"];
    for table in missing {
        assert!(error(table).await.contains("does not exist"), "{table}");
    }
    scene.client.batch_execute("CREATE TEMP TABLE passing (id int)").await.expect("a table");
    let schema = "SELECT nspname::text FROM pg_namespace WHERE oid = pg_my_temp_schema()";
    let schema: String = scene.client.query_one(schema, &[]).await.expect("a schema").get(0);
    assert!(error(&format!("{schema}.passing")).await.contains("is temporary, and"));
    scene.engine.binary.assert_quiet(&[]);
}

#[actix_rt::test]
async fn children_of_a_table_that_is_not_partitioned_are_tables_of_their_own() {
    let sql = "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (more text, PRIMARY KEY (id)) INHERITS (parent); \
               INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2, 'x')";
    let scene = Scene::new(sql).await;
    let (parent, child) = (scene.engine.shape("parent"), scene.engine.shape("child"));
    let (mut one, mut two) = (Tail::of(&parent).await, Tail::of(&child).await);
    scene
        .sql("INSERT INTO child VALUES (3, 'y'); INSERT INTO parent VALUES (4); INSERT INTO child VALUES (5, 'z')")
        .await;
    assert_eq!(one.next().await.iter().map(told).collect::<Vec<_>>(), [r#"insert "4": id=4"#]);
    assert_eq!(two.told_before(r#"/"5""#).await, [r#"insert "3": id=3 more=y"#]);
    assert_eq!((Reader::up_to_date(&parent).await.rows.len(), Reader::up_to_date(&child).await.rows.len()), (2, 3));
}
