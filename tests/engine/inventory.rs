//! What an administrator sees of the engine, and what it can be told: an engine inside this process.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use plue_sync::config::Config;
use plue_sync::engine::{Engine, Running, ShapeInfo};
use plue_sync::postgres::Postgres;
use plue_sync::shape::{Answer, Body, Dialect, Handle, Health, ShapeRequest};
use tokio_postgres::Client;

use super::SOON;
use crate::support::{Database, eventually};

const ITEMS: &str = "CREATE TABLE items (id int PRIMARY KEY, value text); \
                     INSERT INTO items SELECT n, 'row ' || n FROM generate_series(1, 100) n;";

/// An engine on a database. What is named first is dropped first.
struct Inside {
    engine: Engine,
    running: Option<Running>,
    client: Client,
    folder: tempfile::TempDir,
    database: Database,
}

impl Inside {
    async fn new() -> Self {
        let database = Database::fresh().await;
        let client = database.connect().await;
        client.batch_execute(ITEMS).await.expect("the table");
        let folder = tempfile::tempdir().expect("a folder");
        let (engine, running) = start(&database, &folder).await;
        Self { engine, running: Some(running), client, folder, database }
    }

    async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop(SOON).await;
        }
    }

    async fn restart(&mut self) {
        self.stop().await;
        let (engine, running) = start(&self.database, &self.folder).await;
        (self.engine, self.running) = (engine, Some(running));
    }

    async fn ask(&self, query: &str) -> Answer {
        let request = ShapeRequest::parse(query, None, Dialect::Protocol).expect("a request");
        let mut permit = self.engine.admit(None).expect("room");
        self.engine.answer(&request, &mut permit).await
    }

    /// The handle of a shape that is whole.
    async fn shape(&self, query: &str) -> Handle {
        let first = self.ask(&format!("{query}&offset=-1")).await;
        assert_eq!(first.status, 200, "{first:?}");
        Handle::from(first.header("electric-handle").expect("a handle"))
    }

    fn info(&self, handle: &Handle) -> ShapeInfo {
        let found = self.engine.shapes_after(None, 1000).into_iter().find(|shape| shape.handle == *handle);
        found.unwrap_or_else(|| panic!("no shape {handle}"))
    }

    async fn sql(&self, text: &str) {
        self.client.batch_execute(text).await.unwrap_or_else(|error| panic!("{text}: {error:?}"));
    }

    /// Waits for a shape's log to have this many entries.
    async fn has_entries(&self, handle: &Handle, entries: u64) -> ShapeInfo {
        eventually(SOON, "the entries", async || match self.info(handle) {
            info if info.entries == entries => Ok(info),
            info => Err(info.entries),
        })
        .await
    }
}

async fn start(database: &Database, folder: &tempfile::TempDir) -> (Engine, Running) {
    let mut config = Config::load(None, &Default::default()).expect("the defaults").engine;
    config.storage_dir = folder.path().to_owned();
    config.long_poll_timeout = Duration::from_secs(30);
    let postgres = Postgres::from_url(database.url()).expect("an address");
    let (engine, running) = Engine::start(&config, postgres.clone(), postgres).expect("settings");
    eventually(SOON, "an active engine", async || match engine.health() {
        Health::Active => Ok(()),
        other => Err(other),
    })
    .await;
    (engine, running)
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(now.as_millis()).expect("before the year 500 million")
}

#[tokio::test(flavor = "multi_thread")]
async fn shapes_are_listed_with_what_they_show_and_what_they_cost() {
    let mut inside = Inside::new().await;
    assert_eq!(inside.engine.shapes_after(None, 1000), []);
    let before = now_ms();
    let all = inside.shape("table=items").await;
    let some = inside.shape("table=items&where=id+%3C+$1&params[1]=10&columns=id&replica=full&log=changes_only").await;
    let infos = inside.engine.shapes_after(None, 1000);
    assert_eq!(infos.iter().map(|info| &info.handle).collect::<Vec<_>>(), [&all, &some], "oldest first");
    let [first, second] = &infos[..] else { panic!("two shapes") };
    let expected = ShapeInfo {
        handle: all.clone(),
        table: "public.items".to_owned(),
        filter: None,
        params: vec![],
        columns: vec!["id".to_owned(), "value".to_owned()],
        replica: "default",
        log: "full",
        readers: 0,
        entries: 0,
        rows: Some(100),
        log_bytes: 0,
        memory_bytes: 0,
        time_changed: None,
        ..first.clone()
    };
    assert_eq!(*first, expected);
    assert!(first.snapshot_bytes > Some(5_000) && first.time_created >= Some(before), "{first:?}");
    assert_eq!((second.filter.as_deref(), &second.params[..]), (Some("id < $1"), &["10".to_owned()][..]));
    assert_eq!((second.columns.len(), second.replica, second.log, second.rows), (1, "full", "changes_only", Some(0)));
    let json = serde_json::to_value(second).expect("JSON");
    assert_eq!((json["where"].as_str(), json["handle"].as_str()), (Some("id < $1"), Some(some.as_str())));

    inside.sql("UPDATE items SET value = 'other'").await;
    let changed = inside.has_entries(&all, 100).await;
    assert!(changed.log_bytes > 5_000 && changed.memory_bytes > 5_000, "{changed:?}");
    assert!(changed.time_changed >= Some(before) && changed.time_changed <= Some(now_ms()), "{changed:?}");
    inside.restart().await;
    let found = inside.info(&all);
    assert_eq!((found.entries, found.rows, found.time_changed, found.memory_bytes), (100, Some(100), None, 0));
    assert_eq!((found.snapshot_bytes, found.time_created), (changed.snapshot_bytes, changed.time_created));
    assert!(found.log_bytes > 5_000, "{found:?}");
    inside.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_ends_a_shape_under_its_readers() {
    let mut inside = Inside::new().await;
    let handle = inside.shape("table=items").await;
    let live = format!("table=items&offset=0_inf&handle={handle}&live=true");
    let waiting = inside.ask(&live);
    let ending = async {
        eventually(SOON, "a reader", async || match inside.info(&handle).readers {
            1 => Ok(()),
            other => Err(other),
        })
        .await;
        inside.engine.end_shape(&handle).await
    };
    let (answer, ended) = tokio::join!(waiting, ending);
    assert_eq!((answer.status, ended), (409, true), "{answer:?}");
    assert!(!inside.engine.end_shape(&handle).await, "it is no more");
    assert_eq!(inside.engine.shapes_after(None, 1000), []);
    assert_ne!(inside.shape("table=items").await, handle);
    inside.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_of_a_shape_is_given_back_when_nobody_waits_for_it() {
    let mut inside = Inside::new().await;
    let handle = inside.shape("table=items").await;
    inside.sql("UPDATE items SET value = repeat('x', 1000)").await;
    let before = inside.has_entries(&handle, 100).await;
    assert!(before.memory_bytes > 100_000, "{before:?}");
    let read = async || {
        let answer = inside.ask(&format!("table=items&offset=0_inf&handle={handle}")).await;
        let Body::Full(bytes) = answer.body else { panic!("a small body") };
        bytes
    };
    let expected = read().await;
    let at = inside.ask(&format!("table=items&offset=0_inf&handle={handle}")).await;
    let at = at.header("electric-offset").expect("an offset").to_owned();
    let live = format!("table=items&offset={at}&handle={handle}&live=true");
    let waiting = inside.ask(&live);
    let releasing = async {
        eventually(SOON, "a reader", async || match inside.info(&handle).readers {
            1 => Ok(()),
            other => Err(other),
        })
        .await;
        // Long enough for the file to have it all.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        inside.engine.release(&[handle.clone(), Handle::from("unknown")]);
        assert_eq!(inside.info(&handle).memory_bytes, before.memory_bytes, "somebody waits");
        inside.sql("UPDATE items SET value = 'y' WHERE id = 1").await;
    };
    let (answer, ()) = tokio::join!(waiting, releasing);
    assert_eq!(answer.status, 200);
    eventually(SOON, "nothing in memory", async || {
        inside.engine.release(std::slice::from_ref(&handle));
        match inside.info(&handle).memory_bytes {
            0 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    let after = read().await;
    let messages = |body: &[u8]| serde_json::from_slice::<Vec<serde_json::Value>>(body).expect("JSON");
    let (expected, after) = (messages(&expected), messages(&after));
    assert_eq!((expected.len(), after.len()), (101, 102));
    assert_eq!(expected[..100], after[..100], "the same from the file");
    inside.sql("UPDATE items SET value = 'z' WHERE id = 1").await;
    inside.has_entries(&handle, 102).await;
    assert_eq!(messages(&read().await).len(), 103);
    inside.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_replication_is_told() {
    let mut inside = Inside::new().await;
    inside.shape("table=items").await;
    inside.sql("UPDATE items SET value = 'other'").await;
    let info = inside.engine.replication().await.expect("Postgres is there");
    let oid: u32 = inside
        .client
        .query_one("SELECT oid FROM pg_database WHERE datname = current_database()", &[])
        .await
        .expect("the database")
        .get(0);
    assert_eq!(
        (info.slot.as_str(), info.publication.as_str()),
        (&*format!("plue_sync_default_{oid}"), "plue_sync_default")
    );
    assert_eq!(
        (info.status, info.active, info.wal_status.as_deref()),
        ("active", Some(true), Some("reserved")),
        "{info:?}"
    );
    assert!(info.confirmed_flush_lsn.is_some() && info.restart_lsn.is_some() && info.retained_bytes.is_some());
    assert!(info.lag_bytes < 64 << 20, "{info:?}");
    eventually(SOON, "an engine that keeps up", async || match inside.engine.replication().await {
        Ok(info) if info.lag_seconds == Some(0.0) => Ok(()),
        other => Err(other),
    })
    .await;
    // Without the stream it falls behind, and says since when.
    let engine = inside.engine.clone();
    inside.stop().await;
    inside.sql("UPDATE items SET value = 'more'").await;
    let info = engine.replication().await.expect("Postgres is there");
    assert!(info.lag_bytes > 0 && info.lag_seconds.is_some_and(|seconds| seconds > 0.0), "{info:?}");
    assert_eq!(info.active, Some(false));
    inside
        .sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()")
        .await;
    let info = engine.replication().await.expect("Postgres is there");
    assert_eq!((info.active, info.restart_lsn, info.retained_bytes), (None, None, None));
}
