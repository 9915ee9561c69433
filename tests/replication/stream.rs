//! Every kind of message, in a real stream.

use std::time::Duration;

use plue_sync::engine::replication::pgoutput::{Field, Message, Old, complete, decode};
use plue_sync::engine::replication::{Frame, ReplicationError};
use plue_sync::shape::Lsn;

use super::{DEADLINE, Reader, connect, ready};
use crate::support::{Database, OwnCluster, eventually};

#[tokio::test]
async fn changes_arrive_in_commit_order_as_postgres_made_them() {
    let database = Database::fresh().await;
    let client = database.connect().await;
    let tables = r#"CREATE TABLE items (id int PRIMARY KEY, a text, b text);
                    CREATE TABLE loose (x int, y int); ALTER TABLE loose REPLICA IDENTITY FULL;
                    CREATE SCHEMA "My ""Schema"""; CREATE TABLE "My ""Schema"""."Ta,ble" ("Käy" text PRIMARY KEY);"#;
    client.batch_execute(tables).await.expect("tables");
    let mut reader = Reader::start(&database, r#"items, loose, "My ""Schema"""."Ta,ble""#).await;
    //  one transaction, its changes; the relation is sent once
    let cases: [(&str, &[&str]); 9] = [
        (
            "INSERT INTO items VALUES (1, 'x', NULL), (2, '', 'ü')",
            &["relation public.items key id", "insert items (1, x, null)", "insert items (2, , ü)"],
        ),
        ("UPDATE items SET a = 'y' WHERE id = 1", &["update items (1, y, null)"]),
        ("UPDATE items SET id = 3 WHERE id = 1", &["update items key(1, null, null) (3, y, null)"]),
        ("DELETE FROM items WHERE id = 3", &["delete items key(3, null, null) "]),
        (
            "INSERT INTO loose VALUES (1, NULL); UPDATE loose SET y = 2; DELETE FROM loose",
            &[
                "relation public.loose key x,y",
                "insert loose (1, null)",
                "update loose full(1, null) (1, 2)",
                "delete loose full(1, 2) ",
            ],
        ),
        (
            r#"INSERT INTO "My ""Schema"""."Ta,ble" VALUES ('k')"#,
            &["relation My \"Schema\".Ta,ble key Käy", "insert Ta,ble (k)"],
        ),
        (
            "INSERT INTO items VALUES (7); SAVEPOINT s; INSERT INTO items VALUES (8); ROLLBACK TO s; DELETE FROM items WHERE id = 2",
            &["insert items (7, null, null)", "delete items key(2, null, null) "],
        ),
        (
            "ALTER TABLE items DROP COLUMN a; INSERT INTO items VALUES (9, 'b')",
            &["relation public.items key id", "insert items (9, b)"],
        ),
        // A truncated table is described again, though nothing about it has changed.
        (
            "TRUNCATE items, loose",
            &["relation public.items key id", "relation public.loose key x,y", "truncate items loose"],
        ),
    ];
    for (sql, expected) in cases {
        client.batch_execute("BEGIN; INSERT INTO loose VALUES (99, 99); ROLLBACK").await.expect("a rollback");
        client.batch_execute(&format!("BEGIN; {sql}; COMMIT")).await.expect(sql);
        assert_eq!(reader.changes().await, expected, "{sql}");
    }
}

#[tokio::test]
async fn what_a_server_really_sent_is_refused_when_damaged_and_never_a_panic() {
    let database = Database::fresh().await;
    let client = database.connect().await;
    let tables = "CREATE TYPE mood AS ENUM ('fine'); CREATE TABLE items (id int PRIMARY KEY, a text, m mood);
                  CREATE TABLE loose (x int); ALTER TABLE loose REPLICA IDENTITY FULL";
    client.batch_execute(tables).await.expect("tables");
    let mut reader = Reader::start(&database, "items, loose").await;
    let sql = "BEGIN; INSERT INTO items VALUES (1, NULL, 'fine'); UPDATE items SET id = 2; DELETE FROM items;
               INSERT INTO loose VALUES (1); UPDATE loose SET x = 2; DELETE FROM loose; TRUNCATE loose; COMMIT";
    client.batch_execute(sql).await.expect("changes");
    let mut kinds = Vec::new();
    while kinds.last() != Some(&b'C') {
        let frame = tokio::time::timeout(DEADLINE, reader.stream.next()).await.expect("a frame in time");
        let Frame::Data { payload } = frame.expect("a frame") else { continue };
        kinds.extend(payload.first());
        for length in 0..payload.len() {
            assert!(decode(payload.slice(..length)).is_err(), "{payload:?} cut at {length}");
            for byte in [0, 1, b'N', b'n', b't', b'u', 0x7F, 0xFF] {
                let mut damaged = payload.to_vec();
                damaged[length] = byte;
                let _ = decode(damaged.into());
            }
        }
        assert!(decode([&payload[..], &[0]].concat().into()).is_err(), "{payload:?} and one more");
    }
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(String::from_utf8_lossy(&kinds), "BCDIRTUY");
}

#[tokio::test]
async fn a_transaction_names_its_position_and_its_id() {
    let database = Database::fresh().await;
    let client = database.connect().await;
    client.batch_execute("CREATE TABLE items (id int PRIMARY KEY)").await.expect("a table");
    let mut reader = Reader::start(&database, "items").await;
    let sql = "INSERT INTO items VALUES (1) RETURNING pg_current_xact_id()::xid::text";
    let xid: String = client.query_one(sql, &[]).await.expect("an insert").get(0);
    let messages = reader.transaction().await;
    let (Some(Message::Begin { commit: first, xid: seen }), Some(Message::Commit { commit, end })) =
        (messages.first(), messages.last())
    else {
        panic!("a transaction begins and commits: {messages:?}");
    };
    assert_eq!((first, seen.to_string()), (commit, xid));
    let flushed: String =
        client.query_one("SELECT pg_current_wal_flush_lsn()::text", &[]).await.expect("a position").get(0);
    assert!(commit < end && *end <= flushed.parse().expect("a position"), "{commit} {end} {flushed}");
}

#[tokio::test]
async fn large_values_that_an_update_leaves_alone_are_taken_from_the_old_row() {
    let database = Database::fresh().await;
    let client = database.connect().await;
    let large = "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 1000) i)";
    let sql = format!(
        "CREATE TABLE by_key (id int PRIMARY KEY, n int, large text);
         CREATE TABLE in_full (id int PRIMARY KEY, n int, large text); ALTER TABLE in_full REPLICA IDENTITY FULL;
         INSERT INTO by_key VALUES (1, 1, {large}); INSERT INTO in_full VALUES (1, 1, {large})"
    );
    client.batch_execute(&sql).await.expect("tables");
    let mut reader = Reader::start(&database, "by_key, in_full").await;
    client.batch_execute("BEGIN; UPDATE by_key SET n = 2; UPDATE in_full SET n = 2; COMMIT").await.expect("updates");
    let mut updates = reader.transaction().await.into_iter().filter_map(|message| match message {
        Message::Update { old, new, .. } => Some((old, new)),
        _ => None,
    });
    let (old, new) = updates.next().expect("the first update");
    assert_eq!((old, new.get(2)), (None, Some(&Field::Unchanged)));
    assert_eq!(complete(new, None).expect_err("no old row to take it from").column, 2);

    let Some((Some(Old::Full(old)), new)) = updates.next() else { panic!("an update with its old row") };
    assert_eq!(new.get(2), Some(&Field::Unchanged), "also with REPLICA IDENTITY FULL");
    let row = complete(new, Some(&old)).expect("a complete row");
    let lengths: Vec<_> = row.iter().map(|value| value.as_ref().map(|value| value.len())).collect();
    assert_eq!(lengths, [Some(1), Some(1), Some(32_000)]);
}

#[tokio::test]
async fn a_row_of_five_megabytes_arrives_whole_between_small_ones() {
    let database = Database::fresh().await;
    let client = database.connect().await;
    client.batch_execute("CREATE TABLE items (id int PRIMARY KEY, a text)").await.expect("a table");
    let mut reader = Reader::start(&database, "items").await;
    let sql = "BEGIN; INSERT INTO items SELECT i, 'small' FROM generate_series(1, 5000) i;
               INSERT INTO items VALUES (5001, repeat('0123456789', 524288) || 'end');
               INSERT INTO items SELECT i, 'small' FROM generate_series(5002, 10000) i; COMMIT";
    client.batch_execute(sql).await.expect("rows");
    let mut sizes = Vec::new();
    for message in reader.transaction().await {
        if let Message::Insert { new, .. } = message {
            let [Field::Text(id), Field::Text(text)] = &new[..] else { panic!("two values: {new:?}") };
            sizes.push(text.len());
            assert_eq!(id, &sizes.len().to_string(), "in order");
            assert!(text.ends_with(b"end") || text == "small");
        }
    }
    assert_eq!(sizes.len(), 10_000);
    assert_eq!(sizes.get(5000), Some(&5_242_883));
}

#[tokio::test]
async fn values_are_printed_in_the_protocols_form_whatever_the_database_says() {
    let database = Database::fresh().await;
    let client = database.connect().await;
    let name = database.name();
    for setting in
        ["bytea_output = 'escape'", "DateStyle = 'German'", "TimeZone = 'Asia/Tokyo'", "extra_float_digits = -10"]
    {
        client.batch_execute(&format!("ALTER DATABASE {name} SET {setting}")).await.expect(setting);
    }
    client
        .batch_execute(&format!("ALTER DATABASE {name} SET IntervalStyle = 'sql_standard'"))
        .await
        .expect("a setting");
    client
        .batch_execute("CREATE TABLE items (id int PRIMARY KEY, a bytea, b date, c timestamptz, d float8, e interval)")
        .await
        .expect("a table");
    let mut reader = Reader::start(&database, "items").await;
    client.batch_execute("INSERT INTO items VALUES (1, '\\xff00', '2026-02-01', '2026-02-01 03:04:05+02', 0.1::float8 + 0.2, '1 day 2 hours')").await.expect("a row");
    let changes = reader.changes().await;
    let expected = "insert items (1, \\xff00, 2026-02-01, 2026-02-01 01:04:05+00, 0.30000000000000004, P1DT2H)";
    assert_eq!(changes.last().map(String::as_str), Some(expected));
}

#[tokio::test]
async fn a_confirmed_position_is_where_the_next_stream_goes_on() {
    let database = Database::fresh().await;
    let client = database.connect().await;
    client.batch_execute("CREATE TABLE items (id int PRIMARY KEY)").await.expect("a table");
    let mut reader = Reader::start(&database, "items").await;
    client.batch_execute("INSERT INTO items VALUES (1)").await.expect("a row");
    let Some(Message::Commit { end, .. }) = reader.transaction().await.pop() else { panic!("a commit") };
    client.batch_execute("INSERT INTO items VALUES (2)").await.expect("a row");
    reader.transaction().await;

    reader.stream.confirm(end, false).await.expect("a confirmation");
    let sql = "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE database = current_database()";
    eventually(DEADLINE, "the confirmed position", async || {
        let seen: String = client.query_one(sql, &[]).await.expect("a slot").get(0);
        if seen.parse::<Lsn>().expect("a position") == end { Ok(()) } else { Err(seen) }
    })
    .await;
    reader.stream.close().await;

    let mut again = Reader::start(&database, "").await;
    assert_eq!(again.changes().await, ["relation public.items key id", "insert items (2)"]);
}

#[tokio::test]
async fn a_confirmation_that_asks_is_answered_and_waiting_can_be_cut_off() {
    let database = Database::fresh().await;
    let client = database.connect().await;
    client.batch_execute("CREATE TABLE items (id int PRIMARY KEY)").await.expect("a table");
    let mut reader = Reader::start(&database, "items").await;
    // Cut off between reads and within them: no frame may be lost or torn.
    client.batch_execute("INSERT INTO items SELECT generate_series(1, 20000)").await.expect("rows");
    let mut inserts = 0;
    let mut ticker = tokio::time::interval(Duration::from_micros(50));
    let reading = async {
        while inserts < 20_000 {
            tokio::select! {
                biased;
                _ = ticker.tick() => reader.stream.confirm(Lsn(0), true).await.expect("a confirmation"),
                frame = reader.stream.next() => {
                    if let Frame::Data { payload } = frame.expect("a frame") {
                        inserts += u32::from(payload.starts_with(b"I"));
                    }
                }
            }
        }
        loop {
            if let Frame::KeepAlive { wal_end, .. } = reader.stream.next().await.expect("a frame") {
                return wal_end;
            }
        }
    };
    let wal_end = tokio::time::timeout(DEADLINE, reading).await.expect("all rows and a keep-alive");
    assert!(wal_end > Lsn(0));
}

#[tokio::test]
async fn a_shutdown_of_postgres_ends_at_once_when_its_question_is_answered() {
    let mut cluster = OwnCluster::start(&[]);
    let database = Database::in_cluster(&cluster.url()).await;
    let client = database.connect().await;
    client.batch_execute("CREATE TABLE items (id int PRIMARY KEY)").await.expect("a table");
    let mut reader = Reader::start(&database, "items").await;
    client.batch_execute("INSERT INTO items VALUES (1)").await.expect("a row");
    let reading = tokio::spawn(async move {
        let mut done = Lsn(0);
        loop {
            match reader.stream.next().await {
                Ok(Frame::Data { .. }) => {}
                Ok(Frame::KeepAlive { wal_end, reply_requested }) => {
                    done = done.max(wal_end);
                    if reply_requested {
                        reader.stream.confirm(done, false).await.expect("a confirmation");
                    }
                }
                Err(error) => return error,
            }
        }
    });
    let stopping = tokio::task::spawn_blocking(move || {
        let started = std::time::Instant::now();
        (cluster.postgres.stop(DEADLINE), started.elapsed())
    });
    let (stopped, took) = stopping.await.expect("a stop");
    assert!(stopped && took < Duration::from_secs(5), "took {took:?}");
    let error = reading.await.expect("the reader's end");
    assert!(matches!(error, ReplicationError::Closed), "{error:?}");
}

#[tokio::test]
async fn a_second_stream_from_one_slot_is_refused_as_active_and_a_killed_one_is_an_error() {
    let database = Database::fresh().await;
    let mut first = connect(database.url()).await;
    let set_up = ready(&mut first).await;
    let (slot, publication) = (&set_up.identity.slot, &set_up.publication);
    let mut stream = first.start(slot, publication).await.expect("a stream");
    let Err(error) = connect(database.url()).await.start(slot, publication).await else { panic!("a second stream") };
    assert!(error.is_slot_active(), "{error:?}");

    let sql = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = current_database()";
    database.connect().await.batch_execute(sql).await.expect("a signal");
    let ending = async {
        loop {
            if let Err(error) = stream.next().await {
                return error;
            }
        }
    };
    let error = tokio::time::timeout(DEADLINE, ending).await.expect("an end");
    assert_eq!(error.code(), Some("57P01"), "{error:?}");
}
