//! The migrations, there and back, and what they leave.

use plue_sync::db::migrations;
use plue_sync::postgres::Postgres;

use crate::support::Database;

const OURS: &str = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname !~ 'diesel'";

#[tokio::test]
async fn migrations_run_once_and_can_be_taken_back() {
    let database = Database::fresh().await;
    let postgres = Postgres::from_url(database.url()).expect("an address");
    let client = database.connect().await;
    let ours = async || client.query_one(OURS, &[]).await.expect("a count").get::<_, i64>(0);
    for _ in 0..2 {
        let ran = migrations::run(&postgres).await.expect("a migration");
        assert!(!ran.is_empty());
        assert!(ours().await > 5);
        assert_eq!(migrations::run(&postgres).await.expect("nothing to do"), Vec::<String>::new());
        assert_eq!(migrations::revert(&postgres).await.expect("the way back").len(), ran.len());
        assert_eq!(ours().await, 0);
    }
}

#[tokio::test]
async fn every_table_sends_whole_old_rows_and_every_foreign_key_has_an_index() {
    let database = Database::fresh().await;
    migrations::run(&Postgres::from_url(database.url()).expect("an address")).await.expect("a migration");
    let client = database.connect().await;
    let full = "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relreplident = 'f' ORDER BY 1";
    let full: Vec<String> = client.query(full, &[]).await.expect("tables").iter().map(|row| row.get(0)).collect();
    assert_eq!(full, ["messages", "parts", "sessions", "snapshot_history", "subtasks"]);
    // The first column of each key leads an index.
    let bare = "SELECT conname::text FROM pg_constraint WHERE contype = 'f' AND NOT EXISTS \
                (SELECT FROM pg_index WHERE indrelid = conrelid AND indkey[0] = conkey[1])";
    let bare: Vec<String> = client.query(bare, &[]).await.expect("keys").iter().map(|row| row.get(0)).collect();
    assert_eq!(bare, Vec::<String>::new());
}
