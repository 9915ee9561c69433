//! Databases and clusters for tests. Everything made here is gone at the end of its test, also of one that failed.

use std::env;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use plue_sync::local_postgres::{Cluster, Settings};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use super::eventually;

/// The superuser's address of the cluster that all test processes share; set by `examples/with_postgres.rs`.
const SHARED_CLUSTER: &str = "PLUE_TEST_POSTGRES";

/// A database of one test, in the shared cluster or in one of its own.
pub struct Database {
    name: String,
    url: String,
    /// The superuser's address of another database of the same cluster.
    admin: String,
}

impl Database {
    /// Makes an empty database in the shared cluster.
    pub async fn fresh() -> Self {
        Self::in_cluster(&shared_cluster()).await
    }

    /// Makes an empty database in the cluster with this superuser's address.
    pub async fn in_cluster(admin: &str) -> Self {
        Self::create(admin, "").await
    }

    /// Makes an empty database whose letters are those of a locale, such as `C.UTF-8`, in the shared cluster.
    pub async fn with_letters_of(locale: &str) -> Self {
        let options = format!("TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE '{locale}'");
        Self::create(&shared_cluster(), &options).await
    }

    async fn create(admin: &str, options: &str) -> Self {
        let name = format!("test_{}", Uuid::now_v7().simple());
        let (client, _) = connect(admin).await;
        client.batch_execute(&format!("CREATE DATABASE {name} {options}")).await.expect("a new database");
        let (server, _) = admin.rsplit_once('/').expect("an address with a database");
        Self { url: format!("{server}/{name}"), admin: admin.to_owned(), name }
    }

    /// Its address for the superuser.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A new connection to it.
    pub async fn connect(&self) -> Client {
        connect(&self.url).await.0
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (admin, name) = (self.admin.clone(), self.name.clone());
        // A test may end inside any runtime, where a second one cannot block.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(remove(&admin, &name));
        });
        if dropped.join().is_err() && !std::thread::panicking() {
            panic!("database {} could not be dropped", self.name);
        }
    }
}

/// Drops a database with the slots that belong to it, which would otherwise hold its WAL and a slot of the cluster for ever.
async fn remove(admin: &str, name: &str) {
    // A test that stopped its own cluster has nothing left to remove.
    let Ok((client, connection)) = tokio_postgres::connect(admin, NoTls).await else { return };
    tokio::spawn(connection);
    let end_readers = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots \
                       WHERE database = $1 AND active_pid IS NOT NULL";
    let drop_slots = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1";
    let drop_database = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    eventually(Duration::from_secs(20), "the database to be dropped", async || {
        let steps = async {
            client.execute(end_readers, &[&name]).await?;
            client.execute(drop_slots, &[&name]).await?;
            client.batch_execute(&drop_database).await
        };
        steps.await.map_err(|error| error.as_db_error().map_or_else(|| error.to_string(), |error| error.to_string()))
    })
    .await;
}

/// A cluster of one test, for those that stop Postgres or need other settings.
pub struct OwnCluster {
    pub postgres: Cluster,
    _guard: Guard,
}

impl OwnCluster {
    /// Makes and starts a cluster; `server` are settings that win over the usual ones, such as `("wal_level", "replica")`.
    pub fn start(server: &[(&str, &str)]) -> Self {
        let usual = [("max_connections", "300"), ("max_wal_senders", "100"), ("max_replication_slots", "100")];
        let server = usual.iter().chain(server).map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let dir = env::temp_dir().join(format!("plue-sync-test-{}", Uuid::now_v7().simple()));
        let settings = Settings { dir, port: 0, password: None, server, durable: false };
        let postgres = Cluster::start(settings).expect("a cluster");
        let _guard = Guard::over(&postgres);
        Self { postgres, _guard }
    }

    /// The superuser's address.
    pub fn url(&self) -> String {
        self.postgres.url("postgres")
    }
}

impl Drop for OwnCluster {
    fn drop(&mut self) {
        self.postgres.stop(Duration::from_secs(5));
        // Before the guard looks: a crashed server's file would name a process that is no longer ours.
        let _ = fs::remove_dir_all(self.postgres.dir());
    }
}

/// A shell that outlives this process and then stops the server and removes its folder.
///
/// A value in a `static` is never dropped, and a killed process drops nothing; but the pipe that the shell reads from closes in any case.
struct Guard(Child);

impl Guard {
    fn over(cluster: &Cluster) -> Self {
        let script = r#"read -r _
            file="$1/data/postmaster.pid"
            if [ -f "$file" ]; then kill -INT "$(head -n 1 "$file")"; fi
            while [ -f "$file" ] && kill -0 "$(head -n 1 "$file")"; do sleep 0.05; done
            rm -rf "$1""#;
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(cluster.dir()).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Self(command.spawn().expect("a shell"))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The superuser's address of the shared cluster, which is this process' own where `make test` did not start one.
fn shared_cluster() -> String {
    static OURS: OnceLock<OwnCluster> = OnceLock::new();
    env::var(SHARED_CLUSTER).unwrap_or_else(|_| OURS.get_or_init(|| OwnCluster::start(&[])).url())
}

async fn connect(url: &str) -> (Client, tokio::task::JoinHandle<Result<(), tokio_postgres::Error>>) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
    (client, tokio::spawn(connection))
}

#[tokio::test]
async fn a_database_and_its_slot_are_gone_after_the_test() {
    let database = Database::fresh().await;
    let admin = database.admin.clone();
    let count = async |name: &str| {
        let (client, _) = connect(&admin).await;
        let query = "SELECT (SELECT count(*) FROM pg_database WHERE datname = $1) \
                     + (SELECT count(*) FROM pg_replication_slots WHERE database = $1)";
        client.query_one(query, &[&name]).await.expect("a count").get::<_, i64>(0)
    };
    let open = database.connect().await;
    let slot = format!("SELECT pg_create_logical_replication_slot('{}', 'pgoutput')", database.name());
    open.batch_execute(&slot).await.expect("a slot");
    let name = database.name().to_owned();
    assert_eq!(count(&name).await, 2);
    drop(database);
    assert_eq!(count(&name).await, 0);
}

#[tokio::test]
async fn a_test_can_have_a_cluster_of_its_own_with_other_settings() {
    let mut cluster = OwnCluster::start(&[("wal_level", "replica")]);
    let level = async |cluster: &OwnCluster| {
        let (client, _) = connect(&cluster.url()).await;
        client.query_one("SHOW wal_level", &[]).await.expect("a setting").get::<_, String>(0)
    };
    assert_eq!(level(&cluster).await, "replica");
    assert!(cluster.postgres.stop(Duration::from_secs(20)));
    assert!(tokio_postgres::connect(&cluster.url(), NoTls).await.is_err(), "it is stopped");
    cluster.postgres.start_again().expect("a second start");
    assert_eq!(level(&cluster).await, "replica");
    let dir = cluster.postgres.dir().to_owned();
    drop(cluster);
    assert!(!dir.exists(), "{} is left", dir.display());
}
