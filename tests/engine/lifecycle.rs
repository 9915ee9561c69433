//! How tables come into the publication and go, and how many shapes there may be.

use std::time::Duration;

use super::{LONG_POLL, SOON, Scene, Tail};
use crate::support::{Engine, Reply, Shape, eventually};

const ITEMS: &str = "CREATE TABLE items (id int PRIMARY KEY, title text); INSERT INTO items VALUES (1, 'a');";
const OFTEN: (&str, &str) = ("ELECTRIC_TWEAKS_SCHEMA_RECONCILER_PERIOD", "50ms");
const MANUAL: (&str, &str) = ("ELECTRIC_MANUAL_TABLE_PUBLISHING", "true");
const MUST_REFETCH: &str = r#"[{"headers":{"control":"must-refetch"}}]"#;

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

/// The message of a 503 that the operator can do something about.
#[track_caller]
fn known_error(reply: Reply) -> String {
    let reply = reply.is(503);
    assert_eq!(reply.header("electric-internal-known-error"), Some("true"), "{reply:?}");
    assert!(reply.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{reply:?}");
    reply.json()["message"].as_str().expect("a message").to_owned()
}

/// The tables in the engine's publication.
async fn published(scene: &Scene) -> Vec<String> {
    let sql = "SELECT tablename::text FROM pg_publication_tables WHERE pubname = 'plue_sync_default' ORDER BY 1";
    scene.client.query(sql, &[]).await.expect("names").iter().map(|row| row.get(0)).collect()
}

#[actix_rt::test]
async fn a_table_that_no_shape_uses_leaves_the_publication_and_comes_back() {
    let settings = [OFTEN, ("ELECTRIC_TWEAKS_PUBLICATION_REFRESH_PERIOD", "300ms"), ("ELECTRIC_MAX_SHAPES", "1")];
    let scene = Scene::with(&format!("{ITEMS} CREATE TABLE other (id int PRIMARY KEY)"), &settings).await;
    let items = scene.engine.shape("items");
    let tail = Tail::of(&items).await;
    assert_eq!(published(&scene).await, ["items"]);
    let other = Tail::of(&scene.engine.shape("other")).await;
    let left = async |expected: &str| {
        let what = format!("only {expected}");
        eventually(SOON, &what, async || match published(&scene).await {
            found if found == [expected] => Ok(()),
            found => Err(found),
        })
        .await;
    };
    left("other").await;
    scene.sql("INSERT INTO items VALUES (2, 'while nobody listened')").await;
    ends(&tail, "the end of the first shape").await;
    assert_eq!(items.first().await.is(200).changes().len(), 2, "published again");
    left("items").await;
    assert_eq!(other.shape.first().await.is(200).changes().len(), 0);
    scene.engine.binary.assert_quiet(&[]);
}

#[actix_rt::test]
async fn a_table_that_was_out_of_the_publication_for_a_moment_is_fetched_anew() {
    // Nobody looks but for the stream.
    let scene = Scene::with(ITEMS, &[("ELECTRIC_TWEAKS_SCHEMA_RECONCILER_PERIOD", "1h")]).await;
    let shape = scene.engine.shape("items");
    for number in 0..2 {
        let mut tail = Tail::of(&shape).await;
        scene.sql(&format!("INSERT INTO items VALUES ({number} + 10, 'seen')")).await;
        assert_eq!(tail.next().await.len(), 1);
        scene.sql("ALTER PUBLICATION plue_sync_default DROP TABLE items").await;
        scene.sql(&format!("INSERT INTO items VALUES ({number} + 20, 'lost')")).await;
        scene.sql("ALTER PUBLICATION plue_sync_default ADD TABLE items").await;
        scene.sql(&format!("INSERT INTO items VALUES ({number} + 30, 'told')")).await;
        ends(&tail, "the end of the shape").await;
        assert_eq!(shape.first().await.is(200).changes().len(), 1 + 3 * (number + 1));
    }
}

#[actix_rt::test]
async fn a_table_that_was_out_of_the_publication_while_the_engine_was_down_is_fetched_anew() {
    let mut scene = Scene::with(ITEMS, &[("ELECTRIC_STORAGE_DIR", "shapes")]).await;
    let tail = Tail::of(&scene.engine.shape("items")).await;
    let keep = tempfile::tempdir().expect("a folder");
    let storage = keep.path().join("shapes");
    scene.engine.binary.terminate().await;
    std::fs::rename(scene.engine.binary.dir().join("shapes"), &storage).expect("the shapes");
    scene.sql("ALTER PUBLICATION plue_sync_default DROP TABLE items; INSERT INTO items VALUES (2, 'lost')").await;
    scene.sql("ALTER PUBLICATION plue_sync_default ADD TABLE items").await;
    let storage = storage.to_str().expect("a path");
    let engine = Engine::with(&scene.database, &[("ELECTRIC_STORAGE_DIR", storage), OFTEN]).await;
    let shape = engine.shape("items");
    let stale = Tail { shape: shape.clone(), ..tail };
    ends(&stale, "the end of the shape").await;
    assert_eq!(shape.first().await.is(200).changes().len(), 2);
}

#[actix_rt::test]
async fn a_partition_that_was_dropped_while_the_engine_was_down_takes_its_rows_along() {
    let sql = "CREATE TABLE events (id int PRIMARY KEY) PARTITION BY RANGE (id); \
               CREATE TABLE one PARTITION OF events FOR VALUES FROM (0) TO (10); INSERT INTO events VALUES (1)";
    let mut scene = Scene::with(sql, &[("ELECTRIC_STORAGE_DIR", "shapes")]).await;
    let mut tail = Tail::of(&scene.engine.shape("events")).await;
    // It has come after the shape, and its rows are known from the stream alone.
    scene
        .sql("CREATE TABLE two PARTITION OF events FOR VALUES FROM (10) TO (20); INSERT INTO events VALUES (11)")
        .await;
    assert_eq!(tail.next().await.len(), 1);
    let keep = tempfile::tempdir().expect("a folder");
    let storage = keep.path().join("shapes");
    scene.engine.binary.terminate().await;
    std::fs::rename(scene.engine.binary.dir().join("shapes"), &storage).expect("the shapes");
    let settings = [("ELECTRIC_STORAGE_DIR", storage.to_str().expect("a path")), OFTEN];
    // What has not changed goes on.
    let mut engine = Engine::with(&scene.database, &settings).await;
    let mut same = Tail { shape: engine.shape("events"), ..tail };
    scene.sql("INSERT INTO events VALUES (12)").await;
    assert_eq!(same.next().await.len(), 1);
    engine.binary.terminate().await;
    scene.sql("DROP TABLE two").await;
    let engine = Engine::with(&scene.database, &settings).await;
    let stale = Tail { shape: engine.shape("events"), ..same };
    ends(&stale, "the end of the shape").await;
    assert_eq!(engine.shape("events").first().await.is(200).changes().len(), 1);
}

#[actix_rt::test]
async fn an_operator_who_publishes_by_hand_is_told_what_is_missing() {
    let scene = Scene::with("CREATE PUBLICATION plue_sync_default", &[MANUAL, OFTEN]).await;
    scene.sql(ITEMS).await;
    let items = scene.engine.shape("items");
    let missing = known_error(items.first().await);
    let start = r#"Database table "public.items" is missing from the publication "plue_sync_default" and the ELECTRIC_MANUAL_TABLE_PUBLISHING setting prevents"#;
    assert!(missing.starts_with(start), "{missing}");
    scene.sql("ALTER PUBLICATION plue_sync_default ADD TABLE items").await;
    let identity = known_error(items.first().await);
    assert!(
        identity.starts_with(r#"Database table "public.items" does not have its replica identity set to FULL"#),
        "{identity}"
    );
    scene.sql("ALTER TABLE items REPLICA IDENTITY FULL").await;
    let mut tail = Tail::of(&items).await;
    scene.sql("INSERT INTO items VALUES (2, 'b')").await;
    assert_eq!(tail.next().await.len(), 1);
    // What is taken back ends the shape, and is told again.
    scene.sql("ALTER TABLE items REPLICA IDENTITY DEFAULT").await;
    ends(&tail, "the end of the shape").await;
    assert_eq!(known_error(items.first().await), identity);
    scene
        .sql("ALTER TABLE items REPLICA IDENTITY FULL; ALTER PUBLICATION plue_sync_default SET (publish = 'insert')")
        .await;
    let operations = known_error(items.first().await);
    assert!(
        operations.contains("does not publish all required operations: INSERT, UPDATE, DELETE, TRUNCATE"),
        "{operations}"
    );
    scene.sql("ALTER PUBLICATION plue_sync_default SET (publish = 'insert, update, delete, truncate')").await;
    scene.sql("ALTER PUBLICATION plue_sync_default DROP TABLE items; ALTER PUBLICATION plue_sync_default ADD TABLE items WHERE (id > 0)").await;
    let in_part = known_error(items.first().await);
    assert!(in_part.contains("with a row filter or a column list"), "{in_part}");
    let nothing = "SELECT count(*) FROM pg_publication p WHERE obj_description(p.oid, 'pg_publication') IS NOT NULL";
    assert_eq!(scene.client.query_one(nothing, &[]).await.expect("a count").get::<_, i64>(0), 0, "nothing was altered");
}

#[actix_rt::test]
async fn a_publication_of_everything_may_be_the_operators() {
    let sql = "CREATE PUBLICATION plue_sync_default FOR ALL TABLES; \
               CREATE TABLE events (id int PRIMARY KEY) PARTITION BY RANGE (id); \
               CREATE TABLE one PARTITION OF events FOR VALUES FROM (0) TO (10); ALTER TABLE one REPLICA IDENTITY FULL;";
    let scene = Scene::with(sql, &[MANUAL]).await;
    let mut tails = [Tail::of(&scene.engine.shape("events")).await, Tail::of(&scene.engine.shape("one")).await];
    scene.sql("INSERT INTO events VALUES (1)").await;
    for tail in &mut tails {
        assert_eq!(tail.next().await.len(), 1, "{}", tail.shape.name());
    }
    scene.sql("CREATE TABLE two PARTITION OF events FOR VALUES FROM (10) TO (20)").await;
    let again = scene.engine.shape("events").with("replica", "full");
    let message = known_error(again.first().await);
    assert!(
        message.starts_with(r#"Database table "public.two" does not have its replica identity set to FULL"#),
        "{message}"
    );
    scene.engine.binary.assert_quiet(&[]);
}

#[actix_rt::test]
async fn an_engine_waits_for_the_publication_that_the_operator_makes() {
    let database = crate::support::Database::fresh().await;
    let client = database.connect().await;
    client.batch_execute(&format!("{ITEMS} ALTER TABLE items REPLICA IDENTITY FULL")).await.expect("a table");
    let env = [("DATABASE_URL", database.url()), ("ELECTRIC_PORT", "0"), ("ELECTRIC_INSECURE", "true"), MANUAL];
    let binary = crate::support::Binary::start(&["engine"], &env).await;
    let shape = Shape::new(awc::Client::builder().timeout(SOON).finish(), binary.url(), &[("table", "items")]);
    let reply = shape.first().await.is(503);
    assert!(
        reply.text().contains(r#"Publication \"plue_sync_default\" not found in the database"#),
        "{}",
        reply.text()
    );
    client.batch_execute("CREATE PUBLICATION plue_sync_default FOR TABLE items").await.expect("a publication");
    eventually(SOON, "the shape", async || match shape.first().await {
        reply if reply.status == 200 => Ok(()),
        reply => Err(reply.text()),
    })
    .await;
}

#[actix_rt::test]
async fn a_role_without_privileges_is_told_what_it_lacks() {
    let name = format!("life_{}", uuid::Uuid::now_v7().simple());
    let database = crate::support::Database::fresh().await;
    let client = database.connect().await;
    let db = database.name();
    let sql = format!(
        "CREATE ROLE {name} LOGIN REPLICATION; GRANT CREATE ON DATABASE {db} TO {name}; {ITEMS} \
         CREATE TABLE mine (id int PRIMARY KEY); ALTER TABLE mine OWNER TO {name}; REVOKE ALL ON mine FROM {name}"
    );
    client.batch_execute(&sql).await.expect("a role");
    let url = database.url().replacen("//postgres@", &format!("//{name}@"), 1);
    let engine = Engine::with(&database, &[("DATABASE_URL", &url), OFTEN]).await;
    let items = engine.shape("items");
    let message = known_error(items.first().await);
    let start = r#"Database table "public.items" is missing from the publication "plue_sync_default" and the role of DATABASE_URL lacks privileges"#;
    assert!(message.starts_with(start), "{message}");
    let message = known_error(engine.shape("mine").first().await);
    assert!(message.contains("(permission denied for table mine)"), "{message}");
    client.batch_execute(&format!("GRANT UPDATE ON mine TO {name}")).await.expect("privileges");
    let message = known_error(engine.shape("mine").first().await);
    assert!(message.starts_with("Unable to create initial snapshot: permission denied for table mine; "), "{message}");
    let mend = format!("ALTER TABLE items OWNER TO {name}; GRANT SELECT ON mine TO {name}");
    client.batch_execute(&mend).await.expect("privileges");
    items.first().await.is(200);
    engine.shape("mine").first().await.is(200);
    engine.binary.assert_quiet(&[]);
    drop(engine);
    drop(client);
    drop(database);
    let admin = crate::support::Database::fresh().await;
    admin.connect().await.batch_execute(&format!("DROP ROLE {name}")).await.expect("no role");
}

#[actix_rt::test]
async fn above_the_limit_the_shape_that_was_left_alone_for_longest_ends() {
    let scene = Scene::with(ITEMS, &[("ELECTRIC_MAX_SHAPES", "3"), LONG_POLL]).await;
    let shape = |number: usize| scene.engine.shape("items").with("where", &format!("id <> {}", 100 + number));
    let mut tails = Vec::new();
    for number in 0..3 {
        tails.push(Tail::of(&shape(number)).await);
    }
    // The first is used again, and the second is waited for.
    let waiting = tails[1].shape.events(&tails[1].handle, &tails[1].offset).await;
    ask(&tails[0]).await.is(200);
    let fourth = Tail::of(&shape(3)).await;
    // Asking for a shape that has ended would make another.
    let ended = format!("shape {} on public.items ends", tails[2].handle);
    eventually(SOON, &ended, async || match scene.engine.binary.log() {
        log if log.contains(&ended) => Ok(()),
        log => Err(log),
    })
    .await;
    for tail in [&tails[0], &tails[1], &fourth] {
        ask(tail).await.is(200);
    }
    let refusal = ask(&tails[2]).await;
    assert_eq!((refusal.status, refusal.text()), (409, MUST_REFETCH.to_owned()));
    drop(waiting);
    scene.engine.binary.assert_quiet(&[]);
}

#[actix_rt::test]
async fn the_limit_holds_also_when_readers_wait_for_every_shape() {
    let scene =
        Scene::with(ITEMS, &[("ELECTRIC_MAX_SHAPES", "2"), OFTEN, ("ELECTRIC_LONG_POLL_TIMEOUT", "60000")]).await;
    let shape = |number: usize| scene.engine.shape("items").with("where", &format!("id <> {}", 100 + number));
    let mut tails = Vec::new();
    for number in 0..3 {
        tails.push(Tail::of(&shape(number)).await);
    }
    let live = tails.iter().map(async |tail| {
        let more = [("offset", &*tail.offset), ("handle", &tail.handle), ("live", "true")];
        tokio::time::timeout(Duration::from_secs(20), tail.shape.get(&more)).await
    });
    let (first, _) =
        futures_util::future::select_ok(live.map(|wait| Box::pin(async move { wait.await.map_err(drop) })))
            .await
            .expect("one of them is told");
    assert_eq!(first.is(409).text(), MUST_REFETCH);
}
