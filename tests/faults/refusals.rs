//! A start that cannot succeed ends with one sentence that names the cure.

use std::fs;

use tokio_postgres::NoTls;

use super::DEADLINE;
use super::program::Program;
use super::server::Server;
use crate::support::{Binary, Database};

/// Arguments and environment of the two commands that follow Postgres.
struct Start<'a> {
    args: &'a [&'a str],
    env: Vec<(&'a str, &'a str)>,
}

impl<'a> Start<'a> {
    fn engine(url: &'a str, storage: &'a str) -> Self {
        let env = [("ELECTRIC_INSECURE", "true"), ("ELECTRIC_PORT", "0"), ("ELECTRIC_STORAGE_DIR", storage)];
        Self { args: &["engine"], env: [("DATABASE_URL", url)].into_iter().chain(env).collect() }
    }

    fn serve(url: &'a str, storage: &'a str) -> Self {
        let env = [("DATABASE_URL", url), ("PLUE_ENGINE__STORAGE_DIR", storage)];
        Self { args: &["serve", "--insecure", "--listen", "127.0.0.1:0"], env: env.to_vec() }
    }

    /// Checks that it ends with one line of complaint that contains all of these words.
    async fn is_refused(&self, words: &[&str]) {
        let mut binary = Binary::spawn(self.args, &self.env);
        let status = binary.exit(DEADLINE).await;
        let log = binary.log();
        assert_eq!(status.code(), Some(1), "{:?}: {log}", self.args);
        let complaints: Vec<&str> = log.lines().filter(|line| !line.contains(" INFO ")).collect();
        let [complaint] = complaints[..] else { panic!("{:?}: {complaints:#?}", self.args) };
        println!("{complaint}");
        assert!(complaint.starts_with("plue-sync: "), "{complaint}");
        for word in words {
            assert!(complaint.contains(word), "{:?}: no {word:?} in {complaint:?}", self.args);
        }
    }
}

#[tokio::test]
async fn a_postgres_without_logical_decoding_is_refused() {
    let server = Server::start_with(&[("wal_level", "replica")]);
    let storage = tempfile::tempdir().expect("a folder");
    let storage = storage.path().to_str().expect("a path in UTF-8");
    let url = server.url();
    for start in [Start::engine(&url, storage), Start::serve(&url, storage)] {
        start.is_refused(&["wal_level=replica", "set wal_level = logical", "restart"]).await;
    }
}

#[tokio::test]
async fn a_role_that_may_not_and_a_slot_that_is_not_to_be_had_are_refused() {
    let server = Server::start_with(&[("max_replication_slots", "1")]);
    let storage = tempfile::tempdir().expect("a folder");
    let storage = storage.path().to_str().expect("a path in UTF-8");
    let url = server.url();
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("a connection");
    tokio::spawn(connection);
    for sql in [
        "CREATE ROLE plain LOGIN",
        "CREATE DATABASE plain OWNER plain",
        "CREATE ROLE locked LOGIN REPLICATION PASSWORD 'right'",
        "SELECT pg_create_physical_replication_slot('taken')",
    ] {
        client.batch_execute(sql).await.expect(sql);
    }
    server.ask_password_of("locked");
    client.batch_execute("SELECT pg_reload_conf()").await.expect("a reload");
    let (_, place) = url.split_once('@').expect("a user");
    let (place, _) = place.split_once('/').expect("a database");
    let plain = format!("postgresql://plain@{place}/plain");
    let locked = format!("postgresql://locked:wrong@{place}/postgres");
    let missing = format!("postgresql://postgres@{place}/missing");
    // What is wrong, and the cure that the engine and the API tell.
    let cases = [
        (&plain, "no REPLICATION right", ["ALTER ROLE"; 2]),
        (&url, "all replication slots", ["raise max_replication_slots"; 2]),
        (
            &locked,
            "password authentication failed for user \"locked\"",
            ["check user and password", "correct DATABASE_URL"],
        ),
        (&missing, "database \"missing\" does not exist", ["create it", "correct DATABASE_URL"]),
    ];
    for (url, wrong, cures) in cases {
        for (start, cure) in [Start::engine(url, storage), Start::serve(url, storage)].iter().zip(cures) {
            start.is_refused(&[wrong, cure]).await;
        }
    }
}

#[tokio::test]
async fn a_storage_folder_that_is_none_is_refused() {
    let database = Database::fresh().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("storage");
    fs::write(&file, "a file in its place").expect("a file");
    let storage = file.to_str().expect("a path in UTF-8");
    for start in [Start::engine(database.url(), storage), Start::serve(database.url(), storage)] {
        start.is_refused(&["storage folder", storage]).await;
    }
}

#[actix_web::test]
async fn an_unreachable_postgres_ends_the_api_and_is_waited_for_by_the_engine() {
    let url = "postgresql://postgres@127.0.0.1:1/postgres";
    let storage = tempfile::tempdir().expect("a folder");
    let storage = storage.path().to_str().expect("a path in UTF-8");
    Start::serve(url, storage).is_refused(&["cannot connect to Postgres", "refused", "correct DATABASE_URL"]).await;
    let mut engine = Program::engine(url, url).await;
    engine.until("starting").await;
    engine.until_told(" WARN ").await;
    let log = engine.log();
    assert!(log.contains("no replication stream") && log.contains("127.0.0.1:1"), "{log}");
    engine.terminate().await;
}
