//! Parts of a shape's rows, and readers that merge them with its log.

mod merge;
mod reader;

use std::time::Duration;

use actix_web::http::Method;
use serde_json::{Value, json};

use super::{SOON, Scene};
use crate::support::{Api, Database, Engine, OwnCluster, Reply, eventually};

const ITEMS: &str = "CREATE TABLE items (id int PRIMARY KEY, value text, n int, data json); \
                     INSERT INTO items VALUES (1, 'a', 0, '{}'), (2, 'B', 5, '{}'), (3, 'c', 5, NULL);";

fn values(reply: &Reply, name: &str) -> Vec<Value> {
    reply.json()["data"].as_array().expect("rows").iter().map(|row| row["value"][name].clone()).collect()
}

#[actix_rt::test]
async fn an_idle_shape_comes_to_the_position_of_a_subset() {
    let scene = Scene::with(ITEMS, &[("ELECTRIC_LONG_POLL_TIMEOUT", "300")]).await;
    let shape = scene.engine.shape("items");
    shape.first().await.is(200);
    for write in ["", "SET synchronous_commit = off; INSERT INTO other DEFAULT VALUES", "SELECT pg_switch_wal()"] {
        scene.sql("CREATE TABLE IF NOT EXISTS other (id serial)").await;
        scene.sql(write).await;
        let subset = shape.get(&[("offset", "-1"), ("subset__x", "")]).await.is(200);
        let json = subset.json();
        let wanted: u64 = json["metadata"]["database_lsn"].as_str().and_then(|text| text.parse().ok()).expect("an LSN");
        let live = [("offset", "0_inf"), ("handle", &*subset.handle()), ("live", "true")];
        for live in [&live[..2], &live] {
            eventually(SOON, "an up-to-date at the subset's position", async || {
                let log = shape.get(live).await.is(200);
                let seen = log.messages().pop().and_then(|message| message.headers.global_last_seen_lsn);
                let seen: u64 = seen.and_then(|text| text.parse().ok()).expect("an LSN");
                if seen >= wanted { Ok(()) } else { Err(format!("{seen} before {wanted}")) }
            })
            .await;
        }
    }
    scene.engine.binary.assert_quiet(&[]);
}

/// Postgres sends a commit to its followers before others can see it. A synchronous standby that does not exist keeps a
/// transaction there for as long as a test likes.
#[actix_rt::test]
async fn a_subset_contains_all_that_its_reader_has_seen() {
    let cluster = OwnCluster::start(&[]);
    let database = Database::in_cluster(&cluster.url()).await;
    let client = database.connect().await;
    client.batch_execute(ITEMS).await.expect("the table");
    let engine = Engine::with(&database, &[]).await;
    let shape = engine.shape("items");
    let handle = shape.first().await.is(200).handle();
    let set = async |value: &str| {
        let sql = format!("ALTER SYSTEM SET synchronous_standby_names = '{value}'");
        client.batch_execute(&sql).await.expect("a setting");
        client.batch_execute("SELECT pg_reload_conf()").await.expect("a reload");
    };
    set("nobody").await;
    let writer = database.connect().await;
    eventually(SOON, "the setting", async || {
        let row = writer.query_one("SHOW synchronous_standby_names", &[]).await.expect("a setting");
        let value: String = row.get(0);
        if value == "nobody" { Ok(()) } else { Err(value) }
    })
    .await;
    let update =
        actix_rt::spawn(async move { writer.batch_execute("UPDATE items SET value = 'new' WHERE id = 1").await });
    let mut at = "0_inf".to_owned();
    eventually(SOON, "the update in the log", async || {
        let log = shape.get(&[("offset", &at), ("handle", &handle), ("live", "true")]).await.is(200);
        at = log.offset();
        if log.changes().is_empty() { Err(at.clone()) } else { Ok(()) }
    })
    .await;
    let seen = client.query_one("SELECT value FROM items WHERE id = 1", &[]).await.expect("a row");
    assert_eq!(seen.get::<_, &str>(0), "a", "others cannot see it yet");

    let asked = [("offset", &*at), ("handle", &*handle), ("subset__where", "id = 1")];
    let subset = shape.get(&asked);
    tokio::pin!(subset);
    let early = tokio::time::timeout(Duration::from_millis(500), &mut subset).await;
    assert!(early.is_err(), "answered from before what the reader has seen: {early:?}");
    set("").await;
    let subset = subset.await.is(200);
    assert_eq!((values(&subset, "value"), subset.offset()), (vec![json!("new")], at.clone()));
    update.await.expect("the writer's end").expect("the update");
}

#[actix_rt::test]
async fn strings_are_compared_and_ordered_by_their_collation() {
    let sql = "CREATE TABLE items (id int PRIMARY KEY, value text COLLATE \"en-x-icu\"); \
               INSERT INTO items VALUES (1, 'a'), (2, 'B'), (3, 'c'), (4, 'C'), (5, 'ä')";
    let scene = Scene::new(sql).await;
    let shape = scene.engine.shape("items").with("offset", "-1");
    let expected = scene.client.query("SELECT value FROM items ORDER BY value", &[]).await.expect("rows");
    let expected: Vec<String> = expected.iter().map(|row| row.get(0)).collect();
    let (mut pages, mut last) = (Vec::new(), String::new());
    // As clients page: what comes after the last row seen.
    while pages.len() < expected.len() {
        let params = json!({"1": last}).to_string();
        let more = [
            ("subset__where", "value > $1"),
            ("subset__params", &params),
            ("subset__order_by", "value"),
            ("subset__limit", "1"),
        ];
        let page = shape.get(&more).await.is(200);
        let [Value::String(value)] = &values(&page, "value")[..] else { panic!("after {last:?}: {}", page.text()) };
        last.clone_from(value);
        pages.push(value.clone());
    }
    assert_eq!(pages, expected);
}

#[actix_rt::test]
async fn what_postgres_cannot_calculate_or_order_is_a_bad_request() {
    let scene = Scene::new(ITEMS).await;
    let shape = scene.engine.shape("items").with("offset", "-1");
    let refused = async |more: &[(&str, &str)]| shape.get(more).await.is(400).json()["errors"].clone();
    let division = refused(&[("subset__where", "10 / n = 2")]).await;
    assert_eq!(division, json!({"subset": {"where": "division by zero"}}));
    let order = refused(&[("subset__order_by", "id, data")]).await;
    assert_eq!(order, json!({"subset": {"order_by": ["could not identify an ordering operator for type json"]}}));
    let both = refused(&[("subset__where", "n = 5"), ("subset__order_by", "data desc")]).await;
    assert_eq!(both["subset"]["order_by"][0], "could not identify an ordering operator for type json");
    // A row that is not the shape's tells nothing, not even by an error.
    for hidden in ["n > 0", "n = 5"] {
        let fenced = [("where", hidden), ("subset__where", "10 / n = 2"), ("subset__order_by", "id")];
        assert_eq!(values(&shape.get(&fenced).await.is(200), "id"), [json!("2"), json!("3")], "{hidden}");
    }
    scene.engine.binary.assert_quiet(&[]);
}

#[actix_rt::test]
async fn a_large_subset_is_whole_and_leaves_nothing_behind() {
    let sql = "CREATE TABLE items (id int PRIMARY KEY, body text); \
               INSERT INTO items SELECT n, repeat(md5(n::text), 32) FROM generate_series(1, 30000) n";
    let scene = Scene::new(sql).await;
    let shape = scene.engine.shape("items").with("where", "id > 0").with("log", "full");
    let more = [("offset", "-1"), ("subset__order_by", "id DESC")];
    let reply = shape.get(&more).await.is(200);
    assert!(reply.body.len() > 30 << 20, "{} bytes", reply.body.len());
    let ids = values(&reply, "id");
    assert!(ids.iter().zip((1..=30000).rev()).all(|(id, n)| *id == json!(n.to_string())) && ids.len() == 30000);
    let head = shape.send(Method::HEAD, &more, &[]).await.is(200);
    assert!(head.body.is_empty());
    // Files without a name are no files; what a crash would leave is nothing.
    let trash = scene.engine.binary.dir().join("persistent").join("trash");
    let left: Vec<_> = std::fs::read_dir(&trash).expect("the folder").collect();
    assert!(left.is_empty(), "{left:?}");
    scene.engine.binary.assert_quiet(&[]);
}

#[actix_rt::test]
async fn the_query_of_a_reader_that_goes_away_is_cancelled() {
    let scene = Scene::new(ITEMS).await;
    let shape = scene.engine.shape("items");
    shape.first().await.is(200);
    scene.sql("BEGIN; LOCK TABLE items IN ACCESS EXCLUSIVE MODE").await;
    let waiting = async || {
        let sql = "SELECT count(*) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%LOCK TABLE%'";
        scene.client.query_one(sql, &[]).await.expect("a count").get::<_, i64>(0)
    };
    let asked = tokio::time::timeout(Duration::from_secs(1), async {
        tokio::join!(shape.get(&[("offset", "-1"), ("subset__x", "")]), async {
            eventually(SOON, "a query that waits", async || match waiting().await {
                1 => Ok(()),
                other => Err(other),
            })
            .await;
        })
    });
    assert!(asked.await.is_err(), "the subset waits for the lock");
    // Far below the ten seconds that the lock is waited for.
    eventually(Duration::from_secs(5), "the end of the query", async || match waiting().await {
        0 => Ok(()),
        other => Err(other),
    })
    .await;
    scene.sql("COMMIT").await;
    shape.get(&[("offset", "-1"), ("subset__x", "")]).await.is(200);
}

#[actix_rt::test]
async fn a_subset_that_takes_too_long_is_told_so() {
    let database = Database::fresh().await;
    let api = Api::with_settings(database.url(), &[("PLUE_ENGINE__SNAPSHOT_TIMEOUT", "2s")]).await;
    let path = "/v1/shape?table=sessions&offset=-1";
    let ok = async |path: &str| {
        eventually(SOON, "an answer", async || match api.get(path).await {
            answer if answer.status == 200 => Ok(()),
            answer => Err(answer),
        })
        .await;
    };
    ok(path).await;
    let client = database.connect().await;
    client.batch_execute("BEGIN; LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    let subset = format!("{path}&subset__x=");
    let answer = api.get(&subset).await;
    let message = answer.body["message"].as_str().unwrap_or_default();
    assert!(message.contains("took too long to return data (cancelled after 2000ms)"), "{answer:?}");
    assert_eq!((answer.status.as_u16(), answer.headers.contains_key("retry-after")), (503, true), "{answer:?}");
    client.batch_execute("COMMIT").await.expect("its end");
    ok(&subset).await;
}

#[actix_rt::test]
async fn a_table_that_changes_under_a_subset_ends_the_shape() {
    let scene = Scene::new(ITEMS).await;
    let shape = scene.engine.shape("items");
    let handle = shape.first().await.is(200).handle();
    scene.sql("TRUNCATE items; ALTER TABLE items RENAME COLUMN value TO other").await;
    let reply = shape.get(&[("offset", "0_0"), ("handle", &handle), ("subset__order_by", "id")]).await;
    assert_eq!(reply.status, 409, "{}", reply.text());
}
