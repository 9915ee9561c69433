//! Slot and publication: made, found again, mended; and what is refused, with its cure.

use plue_sync::engine::replication::{Connection, Ready, SetUp, SetUpError, drop_slot, set_up};
use plue_sync::engine::replication::{Names, Publishing, Refusal};
use plue_sync::postgres::Postgres;
use tokio_postgres::Client;

use super::{DEADLINE, connect, ready};
use crate::support::{Database, OwnCluster, eventually};

/// Sets up on a connection of its own, which ends afterwards.
async fn set_up_once(database: &Database) -> Ready {
    ready(&mut connect(database.url()).await).await
}

async fn text(client: &Client, sql: &str) -> String {
    client.query_one(sql, &[]).await.expect(sql).get(0)
}

#[tokio::test]
async fn slot_and_publication_are_made_once_and_found_again() {
    let database = Database::fresh().await;
    let client = database.connect().await;
    let first = set_up_once(&database).await;
    assert!(first.created);
    let oid = text(&client, "SELECT oid::text FROM pg_database WHERE datname = current_database()").await;
    let system_id = text(&client, "SELECT system_identifier::text FROM pg_control_system()").await;
    assert_eq!(first.identity.slot, format!("plue_sync_test_{oid}"));
    assert_eq!(first.identity.database_oid.to_string(), oid);
    assert_eq!(first.identity.system_id, system_id);
    assert!(first.confirmed <= first.wal_end, "{first:?}");
    let xid: i64 = text(&client, "SELECT pg_current_xact_id()::text").await.parse().expect("an id");
    assert!(first.next_xid <= u64::try_from(xid).expect("an id"), "{first:?}, then {xid}");

    let second = set_up_once(&database).await;
    assert!(!second.created);
    assert_eq!((second.identity, second.confirmed), (first.identity, first.confirmed));
}

#[tokio::test]
async fn a_publication_that_others_changed_is_mended_and_begins_a_new_history() {
    let database = Database::fresh().await;
    let client = database.connect().await;
    let mut last = set_up_once(&database).await;
    let options = "SELECT concat_ws(' ', pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot) FROM pg_publication";
    assert_eq!(text(&client, options).await, "t t t t f");
    let changes = [
        "ALTER PUBLICATION plue_sync_test SET (publish = 'insert, update, delete')",
        "ALTER PUBLICATION plue_sync_test SET (publish_via_partition_root = true)",
        "COMMENT ON PUBLICATION plue_sync_test IS NULL",
        "DROP PUBLICATION plue_sync_test",
        "DROP PUBLICATION plue_sync_test; CREATE PUBLICATION plue_sync_test",
    ];
    for change in changes {
        client.batch_execute(change).await.expect(change);
        let next = set_up_once(&database).await;
        assert_eq!(text(&client, options).await, "t t t t f", "{change}");
        assert!(next.created && next.confirmed > last.confirmed, "{change}: {next:?}");
        assert_ne!(next.identity.generation, last.identity.generation, "{change}");
        last = set_up_once(&database).await;
        assert_eq!((last.created, &last.identity), (false, &next.identity), "{change}");
    }
}

#[tokio::test]
async fn a_new_slot_is_a_new_identity_for_those_who_did_not_see_it_made() {
    let database = Database::fresh().await;
    let first = set_up_once(&database).await;
    let names = Names::new("test", first.identity.database_oid).expect("a valid stream id");
    let mut connection = connect(database.url()).await;
    eventually(DEADLINE, "the slot to be free", async || drop_slot(&mut connection, &names).await).await;
    // The engine that makes the slot ends before it notes anything.
    assert!(set_up_once(&database).await.created);
    let third = set_up_once(&database).await;
    assert!(!third.created && third.identity != first.identity, "{third:?}");
}

#[tokio::test]
async fn a_slot_whose_changes_postgres_has_thrown_away_is_made_anew_and_said_to_be() {
    let cluster = OwnCluster::start(&[("max_slot_wal_keep_size", "1MB"), ("min_wal_size", "32MB")]);
    let database = Database::in_cluster(&cluster.url()).await;
    let client = database.connect().await;
    let first = set_up_once(&database).await;
    client.batch_execute("CREATE TABLE items (id int)").await.expect("a table");
    eventually(DEADLINE, "a lost slot", async || {
        client.batch_execute("INSERT INTO items VALUES (1)").await.expect("a row");
        client.batch_execute("SELECT pg_switch_wal()").await.expect("a new segment");
        client.batch_execute("CHECKPOINT").await.expect("a checkpoint");
        let status = text(&client, "SELECT wal_status FROM pg_replication_slots").await;
        if status == "lost" { Ok(()) } else { Err(status) }
    })
    .await;
    let second = set_up_once(&database).await;
    assert!(second.created && second.confirmed > first.confirmed, "{second:?}");
    assert_ne!(second.identity, first.identity);
}

#[tokio::test]
async fn a_second_engine_waits_and_goes_on_when_the_first_ends() {
    let database = Database::fresh().await;
    let mut first = connect(database.url()).await;
    let set_up_first = ready(&mut first).await;
    let mut second = connect(database.url()).await;
    let waiting = set_up(&mut second, "test", Publishing::Automatic).await.expect("an answer");
    assert!(
        matches!(&waiting, SetUp::Waiting { reason } if reason.contains(&set_up_first.identity.slot)),
        "{waiting:?}"
    );

    let stream = first.start(&set_up_first.identity.slot, &set_up_first.publication).await.expect("a stream");
    let waiting = set_up(&mut second, "test", Publishing::Automatic).await.expect("an answer");
    assert!(matches!(waiting, SetUp::Waiting { .. }), "the stream keeps the lock: {waiting:?}");
    stream.close().await;
    assert!(!ready(&mut second).await.created);
}

#[tokio::test]
async fn a_slot_that_somebody_else_streams_from_is_waited_for() {
    let database = Database::fresh().await;
    let before = set_up_once(&database).await;
    // Whoever takes the slot without the lock: an older release, or pg_recvlogical.
    let stranger = connect(database.url()).await;
    let start = eventually(DEADLINE, "a free slot", async || {
        let free = "SELECT count(*) FROM pg_replication_slots WHERE active AND database = current_database()";
        let count = database.connect().await.query_one(free, &[]).await.expect("slots").get::<_, i64>(0);
        if count == 0 { Ok(()) } else { Err(count) }
    });
    start.await;
    let _stream = stranger.start(&before.identity.slot, &before.publication).await.expect("a stream");
    let waiting = set_up(&mut connect(database.url()).await, "test", Publishing::Automatic).await.expect("an answer");
    assert!(matches!(&waiting, SetUp::Waiting { reason } if reason.contains("process")), "{waiting:?}");
}

/// The refusal that an engine starting here would print.
async fn refusal(url: &str) -> String {
    let postgres = Postgres::from_url(url).expect("a valid URL");
    let attempt = async {
        let mut connection = Connection::connect(&postgres).await?;
        set_up(&mut connection, "test", Publishing::Automatic).await
    };
    match attempt.await {
        Err(SetUpError::Fatal(refusal)) => refusal.to_string(),
        other => panic!("{url}: expected a refusal, not {other:?}"),
    }
}

/// The address of `database` for another role.
fn as_role(database: &Database, role: &str) -> String {
    database.url().replacen("postgres@", &format!("{role}@"), 1)
}

#[tokio::test]
async fn missing_rights_are_named_with_their_cure() {
    let database = Database::fresh().await;
    let client = database.connect().await;
    let (weak, replicator) = (format!("weak_{}", database.name()), format!("replicator_{}", database.name()));
    let roles = format!("CREATE ROLE {weak} LOGIN; CREATE ROLE {replicator} LOGIN REPLICATION");
    client.batch_execute(&roles).await.expect("roles");
    let said = refusal(&as_role(&database, &weak)).await;
    assert!(said.contains("REPLICATION right; run ALTER ROLE"), "{said}");

    let said = refusal(&as_role(&database, &replicator)).await;
    let grant = format!("GRANT CREATE ON DATABASE {:?} TO {replicator:?}", database.name());
    assert!(said.contains(&grant), "{said}");
    client.batch_execute(&grant).await.expect("the cure");
    let mut cured = connect(&as_role(&database, &replicator)).await;
    assert!(ready(&mut cured).await.created, "no superuser is needed");
    drop(cured);

    client.batch_execute("ALTER PUBLICATION plue_sync_test OWNER TO postgres").await.expect("another owner");
    let said = eventually(DEADLINE, "the lock to be free", async || {
        let said = refusal(&as_role(&database, &replicator)).await;
        if said.contains("belongs to") { Ok(said) } else { Err(said) }
    });
    assert!(said.await.contains("OWNER TO"));
    client
        .batch_execute("DROP PUBLICATION plue_sync_test; CREATE PUBLICATION plue_sync_test FOR ALL TABLES")
        .await
        .expect("all");
    let said = refusal(database.url()).await;
    assert!(said.contains("FOR ALL TABLES; drop it"), "{said}");
    client
        .batch_execute(&format!("DROP OWNED BY {weak}, {replicator}; DROP ROLE {weak}, {replicator}"))
        .await
        .expect("clean");
}

#[tokio::test]
async fn a_foreign_slot_of_our_name_is_not_touched() {
    let database = Database::fresh().await;
    let client = database.connect().await;
    let oid = text(&client, "SELECT oid::text FROM pg_database WHERE datname = current_database()").await;
    let create = format!("SELECT pg_create_physical_replication_slot('plue_sync_test_{oid}')");
    client.batch_execute(&create).await.expect("a slot");
    let said = refusal(database.url()).await;
    assert!(said.contains("not a pgoutput slot of this database; drop it"), "{said}");
    client
        .batch_execute(&format!("SELECT pg_drop_replication_slot('plue_sync_test_{oid}')"))
        .await
        .expect("it is there");
}

#[tokio::test]
async fn a_server_that_cannot_replicate_is_named_with_its_cure() {
    let cluster = OwnCluster::start(&[("wal_level", "replica")]);
    let said = refusal(&cluster.url()).await;
    assert_eq!(said, "Postgres runs with wal_level=replica; set wal_level = logical in postgresql.conf and restart it");

    let said = refusal(&cluster.postgres.url("missing")).await;
    assert!(said.contains("no such database"), "{said}");
}

#[tokio::test]
async fn a_standby_is_named_with_its_cure() {
    let mut cluster = OwnCluster::start(&[]);
    assert!(cluster.postgres.stop(DEADLINE));
    std::fs::write(cluster.postgres.dir().join("data/standby.signal"), "").expect("a standby");
    cluster.postgres.start_again().expect("a second start");
    let said = refusal(&cluster.url()).await;
    assert!(said.contains("standby") && said.contains("point the database URL at the primary"), "{said}");
}

#[tokio::test]
async fn exhausted_slots_and_connections_are_named_with_their_cure() {
    let cluster = OwnCluster::start(&[("max_replication_slots", "1"), ("max_wal_senders", "1")]);
    let other = Database::in_cluster(&cluster.url()).await;
    let taken = "SELECT pg_create_logical_replication_slot('taken', 'pgoutput')";
    other.connect().await.batch_execute(taken).await.expect("a slot");
    let said = refusal(&cluster.url()).await;
    assert!(
        said.contains("slots of Postgres are in use; drop one") && said.contains("max_replication_slots"),
        "{said}"
    );

    let database = Database::in_cluster(&cluster.url()).await;
    let _only = eventually(DEADLINE, "the connection to be free", async || {
        let postgres = Postgres::from_url(database.url()).expect("a valid URL");
        Connection::connect(&postgres).await.map_err(|error| error.to_string())
    });
    let _only = _only.await;
    let said = refusal(database.url()).await;
    assert!(said.contains("raise max_wal_senders"), "{said}");
}

#[tokio::test]
async fn a_server_that_is_away_is_tried_again() {
    let postgres = Postgres::from_url("postgresql://postgres@127.0.0.1:1/postgres").expect("a valid URL");
    let Err(error) = Connection::connect(&postgres).await else { panic!("nobody listens there") };
    assert!(matches!(SetUpError::from(error), SetUpError::Retry(_)));
    let refusal = SetUpError::from(Refusal::Standby);
    assert!(matches!(refusal, SetUpError::Fatal(_)));
}
