//! What is refused for now: statements 222 to 224.

use futures_util::future::join;
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::{A, B, ITEMS, SOON, Server, insert, kinds};
use crate::support::{Database, Engine, eventually};

const ONE: &[(&str, &str)] = &[
    ("ELECTRIC_MAX_CONCURRENT_REQUESTS", r#"{"initial":1,"existing":100}"#),
    ("ELECTRIC_ENABLE_INTEGRATION_TESTING", "true"),
];

#[actix_rt::test]
async fn c222_c223_too_many_first_requests() {
    let server = Server::with(&format!("{ITEMS} CREATE TABLE locked (id int PRIMARY KEY);"), ONE).await;
    let mut tail = server.tail("table=items").await;
    let lock = server.database.connect().await;
    lock.batch_execute("BEGIN; LOCK TABLE locked IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    let other = async {
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'locked'::regclass";
        eventually(SOON, "a first request that waits for the lock", async || {
            match server.client.query_one(waits, &[]).await.expect("a count").get::<_, i64>(0) {
                0 => Err("nobody waits"),
                _ => Ok(()),
            }
        })
        .await;
        for definition in ["table=items&replica=full", "table=items&replica=full&handle=unknown"] {
            let refused = server.get(&format!("{definition}&offset=-1")).await.is(503);
            let json = refused.json();
            assert_eq!(json["code"], "concurrent_request_limit_exceeded", "{json}");
            let text = "Concurrent initial request limit exceeded (limit: 1), please retry";
            assert_eq!(json["message"], text);
            let seconds: u64 = refused.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
            assert!((6..=10).contains(&seconds), "{seconds}");
            assert_eq!(refused.header("electric-internal-known-error"), Some("true"));
        }
        // No shape was made of it, and who is known is served.
        server.delete("table=items&replica=full").await.is(404);
        tail.read("").await.is(200);
        server.sql(&insert(A, "a")).await;
        assert_eq!(kinds(&tail.changes(1).await), ["insert"]);
        lock.batch_execute("ROLLBACK").await.expect("its end");
    };
    let (first, ()) = join(server.get("table=locked&offset=-1"), other).await;
    first.is(200);
    server.get("table=items&replica=full&offset=-1").await.is(200);
}

/// Passes connections on to Postgres until it is dropped, and cuts them then.
struct Line {
    address: String,
    passing: JoinHandle<()>,
}

impl Line {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        let passing = tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let mut server = TcpStream::connect(&server).await.expect("Postgres");
                open.spawn(async move { copy_bidirectional(&mut client, &mut server).await });
            }
        });
        Self { address, passing }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.passing.abort();
    }
}

#[actix_rt::test]
async fn c224_a_database_that_cannot_be_asked() {
    let database = Database::fresh().await;
    let client = database.connect().await;
    let sql = format!("{ITEMS} CREATE TABLE others (id int PRIMARY KEY);");
    client.batch_execute(&sql).await.expect("the tables");
    let (before, rest) = database.url().rsplit_once('@').expect("an address with a user");
    let (host, name) = rest.split_once('/').expect("an address with a database");
    let line = Line::to(host.to_owned()).await;
    let pooled = format!("{before}@{}/{name}", line.address);
    let engine = Engine::with(&database, &[("ELECTRIC_POOLED_DATABASE_URL", &pooled)]).await;
    let server = Server::of(engine, client, database);
    let mut tail = server.tail("table=items").await;
    drop(line);
    let refused = server.get("table=others&offset=-1").await.is(503);
    let text = "Cannot connect to the database to verify the shape. Please try again later.";
    assert_eq!(refused.json(), json!({"message": text}));
    assert_eq!(refused.header("retry-after"), Some("1"));
    // Replication goes on, and so do those who follow.
    server.sql(&insert(B, "b")).await;
    assert_eq!(kinds(&tail.changes(1).await), ["insert"]);
}
