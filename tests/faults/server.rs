//! A Postgres of a test's own, whose stops and starts do not hold up the test's other tasks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::OwnCluster;

/// A stop that takes longer has failed: something that is connected does not let go.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// One cluster.
pub struct Server(Option<OwnCluster>);

impl Server {
    /// Makes and starts it, with settings such as `("wal_level", "replica")`.
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        Self(Some(OwnCluster::start(settings)))
    }

    /// The superuser's address.
    pub fn url(&self) -> String {
        self.0.as_ref().expect("a cluster").url()
    }

    /// Stops it as `pg_ctl stop -m fast` does, and says how long that took.
    pub async fn stop(&mut self) -> Duration {
        self.act(|cluster| {
            let asked = Instant::now();
            assert!(cluster.postgres.stop(STOP_LIMIT), "Postgres did not end within {STOP_LIMIT:?}");
            asked.elapsed()
        })
        .await
    }

    /// Ends it as `pg_ctl stop -m immediate` does.
    pub async fn crash(&mut self) {
        self.act(|cluster| cluster.postgres.crash()).await;
    }

    pub async fn start(&mut self) {
        self.act(|cluster| cluster.postgres.start_again().expect("a start")).await;
    }

    /// Copies the data of a stopped server.
    pub fn save(&self) {
        copy(&self.data(), &self.saved());
    }

    /// Puts the copy back in the place of the data of a stopped server.
    pub fn restore(&self) {
        fs::remove_dir_all(self.data()).expect("a stopped server");
        copy(&self.saved(), &self.data());
    }

    /// Asks this role for a password, from the next reload of the configuration on.
    pub fn ask_password_of(&self, role: &str) {
        let path = self.data().join("pg_hba.conf");
        let rules = fs::read_to_string(&path).expect("the rules");
        // The first rule that matches counts. Written in place: the file keeps its owner.
        fs::write(path, format!("host all {role} 127.0.0.1/32 scram-sha-256\n{rules}")).expect("one rule more");
    }

    fn data(&self) -> PathBuf {
        self.0.as_ref().expect("a cluster").postgres.dir().join("data")
    }

    fn saved(&self) -> PathBuf {
        self.data().with_file_name("saved")
    }

    async fn act<T: Send + 'static>(&mut self, act: impl FnOnce(&mut OwnCluster) -> T + Send + 'static) -> T {
        let mut cluster = self.0.take().expect("a cluster");
        let acting = tokio::task::spawn_blocking(move || {
            let done = act(&mut cluster);
            (cluster, done)
        });
        let (cluster, done) = acting.await.expect("it is done");
        self.0 = Some(cluster);
        done
    }
}

/// A copy with owners and modes, which Postgres looks at.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status().expect("cp");
    assert!(status.success(), "{status}");
}
