//! Rotation and life cycle (§14.8), and the statements of other parts that are about the life of tables.

use std::time::Duration;

use tokio_postgres::Client;

use crate::support::{Database, Engine, Reply, Shape, eventually};

const SOON: Duration = Duration::from_secs(60);
const MUST_REFETCH: &str = r#"[{"headers":{"control":"must-refetch"}}]"#;
const ITEMS: &str = "CREATE TABLE items (id int PRIMARY KEY, title text NOT NULL); INSERT INTO items VALUES (1, 'a');";
const EVENTS: &str = "CREATE TABLE events (id int PRIMARY KEY) PARTITION BY RANGE (id); \
                      CREATE TABLE one PARTITION OF events FOR VALUES FROM (0) TO (10); \
                      CREATE TABLE two PARTITION OF events FOR VALUES FROM (10) TO (20); INSERT INTO events VALUES (1), (11);";
const OFTEN: (&str, &str) = ("ELECTRIC_TWEAKS_SCHEMA_RECONCILER_PERIOD", "50ms");
const MANUAL: (&str, &str) = ("ELECTRIC_MANUAL_TABLE_PUBLISHING", "true");

/// A database and an engine on it.
struct Place {
    engine: Engine,
    client: Client,
    database: Database,
}

impl Place {
    async fn new(sql: &str, settings: &[(&str, &str)]) -> Self {
        let database = Database::fresh().await;
        let client = database.connect().await;
        client.batch_execute(sql).await.expect("the tables");
        let engine = Engine::with(&database, settings).await;
        Self { engine, client, database }
    }

    async fn sql(&self, text: &str) {
        self.client.batch_execute(text).await.unwrap_or_else(|e| panic!("{text}: {e:?}"));
    }
}

/// The handle of a shape, and the offset where it is up to date.
async fn end_of(shape: &Shape) -> (String, String) {
    let mut reply = shape.first().await.is(200);
    let handle = reply.handle();
    while reply.header("electric-up-to-date").is_none() {
        reply = shape.get(&[("offset", &reply.offset()), ("handle", &handle)]).await.is(200);
    }
    (handle, reply.offset())
}

/// What an old handle is answered at an offset.
async fn ask(shape: &Shape, at: &(String, String)) -> Reply {
    shape.get(&[("handle", &at.0), ("offset", &at.1)]).await
}

/// Waits until an old handle is refused; gives the refusal.
async fn refused(shape: &Shape, at: &(String, String)) -> Reply {
    let refusal = eventually(SOON, "a refusal", async || match ask(shape, at).await {
        reply if reply.status == 409 => Ok(reply),
        reply => Err(reply.text()),
    });
    let refusal = refusal.await;
    assert_eq!(refusal.text(), MUST_REFETCH);
    refusal
}

/// Waits until a shape can be fetched; gives the first answer.
async fn fetched(shape: &Shape) -> Reply {
    eventually(SOON, "a snapshot", async || match shape.first().await {
        reply if reply.status == 200 => Ok(reply),
        reply if matches!(reply.status, 409 | 503) => Err(reply.text()),
        reply => panic!("{reply:?}"),
    })
    .await
}

/// The first error of a field.
fn error(reply: Reply, field: &str) -> String {
    let body = reply.is(400).json();
    body["errors"][field][0].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
}

/// The message of a 503 whose cause is known.
fn known_error(reply: Reply) -> String {
    let reply = reply.is(503);
    assert_eq!(reply.header("electric-internal-known-error"), Some("true"));
    assert!(reply.header("retry-after").is_some_and(|after| after.parse::<u32>().is_ok()), "{reply:?}");
    reply.json()["message"].as_str().expect("a message").to_owned()
}

/// A table with a generated column, and whether this server cannot send such columns.
async fn generated() -> (Place, bool) {
    let place =
        Place::new("CREATE TABLE g (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED)", &[]).await;
    let version = place.client.query_one("SELECT current_setting('server_version_num')::int", &[]).await;
    let old = version.expect("a version").get::<_, i32>(0) < 180_000;
    (place, old)
}

#[actix_rt::test]
async fn c066_a_generated_column_without_support_is_refused_with_advice() {
    let (place, old) = generated().await;
    let reply = place.engine.shape("g").first().await;
    match old {
        true => {
            let text = error(reply, "columns");
            assert!(
                text.ends_with("by explicitly listing which columns to fetch in the 'columns' query param"),
                "{text}"
            );
        }
        false => drop(reply.is(200)),
    }
    place.engine.shape("g").with("columns", "id").first().await.is(200);
}

#[actix_rt::test]
async fn c067_a_generated_column_that_is_listed_without_support_is_named() {
    let (place, old) = generated().await;
    let reply = place.engine.shape("g").with("columns", "id,twice").first().await;
    match old {
        true => {
            let expected = "The following columns are generated and cannot be included in the shape: twice";
            assert_eq!(error(reply, "columns"), expected);
        }
        false => drop(reply.is(200)),
    }
}

#[actix_rt::test]
async fn c105_a_table_without_privileges_is_a_known_error() {
    let place = Place::new(ITEMS, &[]).await;
    let role = format!("reader_{}", place.database.name());
    let grants = format!("GRANT CREATE ON DATABASE {} TO {role}", place.database.name());
    place.sql(&format!("CREATE ROLE {role} LOGIN REPLICATION; {grants}")).await;
    let url = place.database.url().replacen("//postgres@", &format!("//{role}@"), 1);
    let settings = [("DATABASE_URL", url.as_str()), ("ELECTRIC_REPLICATION_STREAM_ID", "second")];
    let engine = Engine::with(&place.database, &settings).await;
    let message = known_error(engine.shape("items").first().await);
    assert!(message.contains("lacks privileges"), "{message}");
    drop(engine);
    place.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[actix_rt::test]
async fn c106_a_table_that_the_operator_has_not_published_is_a_known_error() {
    let place = Place::new(&format!("CREATE PUBLICATION plue_sync_default; {ITEMS}"), &[MANUAL]).await;
    let message = known_error(place.engine.shape("items").first().await);
    assert!(message.starts_with(r#"Database table "public.items" is missing from the publication"#), "{message}");
}

#[actix_rt::test]
async fn c107_a_table_that_the_operator_has_left_without_old_rows_is_a_known_error() {
    let place = Place::new(&format!("{ITEMS} CREATE PUBLICATION plue_sync_default FOR TABLE items"), &[MANUAL]).await;
    let message = known_error(place.engine.shape("items").first().await);
    let start = r#"Database table "public.items" does not have its replica identity set to FULL"#;
    assert!(message.starts_with(start), "{message}");
    place.sql("ALTER TABLE items REPLICA IDENTITY FULL").await;
    place.engine.shape("items").first().await.is(200);
}

#[actix_rt::test]
async fn c134_not_null_leaves_the_header_of_the_same_handle() {
    let place = Place::new(ITEMS, &[OFTEN]).await;
    let shape = place.engine.shape("items");
    let first = shape.first().await.is(200);
    let not_null = |reply: &Reply| {
        let schema: serde_json::Value =
            serde_json::from_str(reply.header("electric-schema").expect("a schema")).expect("JSON");
        schema["title"]["not_null"] == true
    };
    assert!(not_null(&first));
    place.sql("ALTER TABLE items ALTER COLUMN title DROP NOT NULL").await;
    let later = eventually(SOON, "another header", async || match shape.first().await.is(200) {
        reply if not_null(&reply) => Err(reply.headers),
        reply => Ok(reply),
    });
    assert_eq!(later.await.handle(), first.handle());
}

#[actix_rt::test]
async fn c199_an_unknown_handle_without_a_shape_is_told_a_new_one_that_works() {
    let place = Place::new(ITEMS, &[]).await;
    let shape = place.engine.shape("items");
    let told = shape.get(&[("handle", "1-1"), ("offset", "0_0")]).await.is(409);
    assert_eq!(told.text(), MUST_REFETCH);
    assert_eq!(shape.first().await.is(200).handle(), told.handle());
}

#[actix_rt::test]
async fn c200_an_unknown_handle_is_told_that_of_the_shape() {
    let place = Place::new(ITEMS, &[]).await;
    let shape = place.engine.shape("items");
    let handle = shape.first().await.is(200).handle();
    assert_eq!(shape.get(&[("handle", "1-1"), ("offset", "0_0")]).await.is(409).handle(), handle);
}

#[actix_rt::test]
async fn c201_a_handle_of_another_definition_is_told_its_own() {
    let place = Place::new(ITEMS, &[]).await;
    let (one, other) = (place.engine.shape("items"), place.engine.shape("items").with("where", "id = 1"));
    let (at, expected) = (end_of(&one).await, other.first().await.is(200).handle());
    let told = ask(&other, &at).await.is(409).handle();
    assert_eq!(told, expected);
    assert_ne!(told, at.0);
}

#[actix_rt::test]
async fn c202_a_refusal_may_be_kept_for_a_minute_with_a_handle_and_a_second_without() {
    let place = Place::new(ITEMS, &[]).await;
    let shape = place.engine.shape("items");
    let at = end_of(&shape).await;
    let with = shape.get(&[("handle", "1-1"), ("offset", "0_0")]).await.is(409);
    assert_eq!(with.header("cache-control"), Some("public, max-age=60, must-revalidate"));
    // Held while the shape ends, and before there is another.
    let live = [("handle", at.0.as_str()), ("offset", &at.1), ("live", "true")];
    let (held, ()) = futures_util::future::join(shape.get(&live), place.sql("TRUNCATE items")).await;
    let held = held.is(409);
    let seconds = if held.header("electric-handle").is_some() { 60 } else { 1 };
    assert_eq!(held.header("cache-control"), Some(&*format!("public, max-age={seconds}, must-revalidate")));
}

#[actix_rt::test]
async fn c203_a_refusal_has_no_offset_no_data_no_schema_and_no_location() {
    let place = Place::new(ITEMS, &[]).await;
    let told = place.engine.shape("items").get(&[("handle", "1-1"), ("offset", "0_0")]).await.is(409);
    for name in ["electric-offset", "electric-has-data", "electric-schema", "location"] {
        assert_eq!(told.header(name), None, "{name}");
    }
}

#[actix_rt::test]
async fn c204_after_a_truncation_there_are_only_rows_of_now() {
    let place = Place::new(ITEMS, &[]).await;
    let shape = place.engine.shape("items");
    let at = end_of(&shape).await;
    place.sql("TRUNCATE items; INSERT INTO items VALUES (2, 'b')").await;
    refused(&shape, &at).await;
    let fresh = fetched(&shape).await;
    assert_ne!(fresh.handle(), at.0);
    let rows = fresh.changes();
    assert_eq!((rows.len(), rows[0].column("id")), (1, Some("2")));
}

#[actix_rt::test]
async fn c205_a_table_dropped_and_made_again_is_served_anew() {
    let place = Place::new(ITEMS, &[OFTEN]).await;
    let shape = place.engine.shape("items");
    let at = end_of(&shape).await;
    place.sql("BEGIN; DROP TABLE items; CREATE TABLE items (id int PRIMARY KEY, other text); INSERT INTO items VALUES (7, 'x'); COMMIT").await;
    refused(&shape, &at).await;
    assert_eq!(fetched(&shape).await.changes()[0].column("other"), Some("x"));
}

#[actix_rt::test]
async fn c206_a_dropped_table_is_never_a_500() {
    let place = Place::new(ITEMS, &[OFTEN]).await;
    let shape = place.engine.shape("items");
    let at = end_of(&shape).await;
    place.sql("DROP TABLE items").await;
    let refusal = eventually(SOON, "no such table", async || {
        let old = ask(&shape, &at).await;
        assert!(matches!(old.status, 200 | 400 | 409 | 503), "{old:?}");
        match shape.first().await {
            reply if reply.status == 400 => Ok(reply),
            reply if matches!(reply.status, 200 | 409 | 503) => Err(reply.text()),
            reply => panic!("{reply:?}"),
        }
    });
    let expected = r#"Table "public"."items" does not exist. If the table name contains capitals or special characters you must quote it."#;
    assert_eq!(error(refusal.await, "table"), expected);
}

#[actix_rt::test]
async fn c207_a_new_column_ends_shapes_of_all_columns_and_no_others() {
    let place = Place::new(ITEMS, &[OFTEN]).await;
    let (all, some) = (place.engine.shape("items"), place.engine.shape("items").with("columns", "id,title"));
    let (at_all, at_some) = (end_of(&all).await, end_of(&some).await);
    place.sql("ALTER TABLE items ADD COLUMN added int DEFAULT 3").await;
    refused(&all, &at_all).await;
    assert_eq!(fetched(&all).await.changes()[0].column("added"), Some("3"));
    place.sql("INSERT INTO items VALUES (2, 'b')").await;
    let told = eventually(SOON, "the next row", async || match ask(&some, &at_some).await.is(200).changes() {
        changes if changes.is_empty() => Err(()),
        changes => Ok(changes),
    });
    assert_eq!(told.await[0].column("id"), Some("2"));
}

#[actix_rt::test]
async fn c208_another_type_of_a_selected_column_ends_the_shape() {
    let place = Place::new(ITEMS, &[OFTEN]).await;
    let shape = place.engine.shape("items").with("columns", "id,title");
    let at = end_of(&shape).await;
    place.sql("ALTER TABLE items ALTER COLUMN title TYPE varchar(40)").await;
    refused(&shape, &at).await;
    assert!(fetched(&shape).await.header("electric-schema").expect("a schema").contains("varchar"));
}

/// Stops an engine and starts another on the same folder, doing something in between.
async fn restarted(between: impl AsyncFnOnce(&Place)) -> (Place, Engine, (String, String), tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let storage = folder.path().join("shapes");
    let settings = [("ELECTRIC_STORAGE_DIR", storage.to_str().expect("a path"))];
    let mut place = Place::new(ITEMS, &settings).await;
    let at = end_of(&place.engine.shape("items")).await;
    place.engine.binary.terminate().await;
    between(&place).await;
    let engine = Engine::with(&place.database, &settings).await;
    (place, engine, at, folder)
}

#[actix_rt::test]
async fn c216_handles_survive_a_restart_and_clients_go_on_at_their_offset() {
    let (place, engine, at, _folder) = restarted(async |_| {}).await;
    let shape = engine.shape("items");
    assert_eq!(ask(&shape, &at).await.is(200).handle(), at.0);
    place.sql("INSERT INTO items VALUES (2, 'b')").await;
    let live = [("handle", at.0.as_str()), ("offset", &at.1), ("live", "true")];
    assert_eq!(shape.get(&live).await.is(200).changes()[0].column("id"), Some("2"));
}

#[actix_rt::test]
async fn c217_changes_made_while_the_server_was_down_appear() {
    let write = async |place: &Place| place.sql("INSERT INTO items VALUES (2, 'while it was down')").await;
    let (_place, engine, at, _folder) = restarted(write).await;
    let shape = engine.shape("items");
    let told = eventually(SOON, "the row", async || match ask(&shape, &at).await {
        reply if reply.status == 200 && !reply.changes().is_empty() => Ok(reply.changes()),
        reply => Err(reply.text()),
    });
    assert_eq!(told.await[0].column("title"), Some("while it was down"));
}

#[actix_rt::test]
async fn c218_above_the_limit_the_least_recently_used_shape_is_rotated() {
    let place = Place::new(ITEMS, &[("ELECTRIC_MAX_SHAPES", "2"), OFTEN]).await;
    let shapes = [1, 2, 3].map(|id| place.engine.shape("items").with("where", &format!("id = {id}")));
    let first = end_of(&shapes[0]).await;
    let second = end_of(&shapes[1]).await;
    ask(&shapes[0], &first).await.is(200);
    let third = end_of(&shapes[2]).await;
    // The others first: asking for the second makes it anew, and ends another.
    ask(&shapes[0], &first).await.is(200);
    ask(&shapes[2], &third).await.is(200);
    assert_eq!(ask(&shapes[1], &second).await.is(409).text(), MUST_REFETCH);
}

#[actix_rt::test]
async fn c219_a_row_of_a_partition_is_one_of_the_root() {
    let place = Place::new(EVENTS, &[]).await;
    let shape = place.engine.shape("events");
    let snapshot = shape.first().await.is(200).changes();
    let at = end_of(&shape).await;
    place.sql("INSERT INTO events VALUES (2); DELETE FROM events WHERE id IN (1, 2)").await;
    let told = eventually(SOON, "three changes", async || match ask(&shape, &at).await.is(200).changes() {
        changes if changes.len() < 3 => Err(changes),
        changes => Ok(changes),
    })
    .await;
    for message in snapshot.iter().chain(&told) {
        assert_eq!(message.headers.relation, Some(["public".to_owned(), "events".to_owned()]));
    }
    assert_eq!(told[0].key.as_deref(), Some(r#""public"."events"/"2""#));
    assert!(
        snapshot.iter().any(|row| row.key == Some(r#""public"."events"/"1""#.to_owned()) && told[1].key == row.key)
    );
}

#[actix_rt::test]
async fn c220_the_shape_of_a_partition_has_only_its_rows() {
    let place = Place::new(EVENTS, &[]).await;
    let shape = place.engine.shape("one");
    let first = shape.first().await.is(200).changes();
    assert_eq!(first.iter().map(|row| row.column("id")).collect::<Vec<_>>(), [Some("1")]);
    let at = end_of(&shape).await;
    place.sql("INSERT INTO events VALUES (12); INSERT INTO events VALUES (2)").await;
    let told = eventually(SOON, "a change", async || match ask(&shape, &at).await.is(200).changes() {
        changes if changes.is_empty() => Err(()),
        changes => Ok(changes),
    });
    assert_eq!(told.await.iter().map(|row| row.column("id")).collect::<Vec<_>>(), [Some("2")]);
}

#[actix_rt::test]
async fn c221_a_truncation_of_a_partition_ends_the_roots_shape() {
    let place = Place::new(EVENTS, &[]).await;
    let (root, other) = (place.engine.shape("events"), place.engine.shape("two"));
    let (at, at_other) = (end_of(&root).await, end_of(&other).await);
    place.sql("TRUNCATE one").await;
    refused(&root, &at).await;
    assert_eq!(fetched(&root).await.changes().len(), 1);
    ask(&other, &at_other).await.is(200);
}
