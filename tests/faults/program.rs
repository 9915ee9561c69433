//! The program under test, ended and started again on the same storage, each time on another port.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use plue_sync::shape::Lsn;
use tempfile::TempDir;

use super::DEADLINE;
use crate::support::{Binary, eventually};

/// Where the program listens at the moment. Clones follow it through its restarts.
#[derive(Clone, Default)]
pub struct Address(Rc<RefCell<String>>);

impl Address {
    /// The address of a path with its query.
    pub fn of(&self, path: &str) -> String {
        format!("http://{}{path}", self.0.borrow())
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.0.borrow().rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port")
    }
}

/// `plue-sync engine` or `plue-sync serve`.
pub struct Program {
    args: &'static [&'static str],
    env: Vec<(String, String)>,
    binary: Option<Binary>,
    address: Address,
    _storage: TempDir,
}

impl Program {
    /// Starts an engine alone. Changes come by the first address, everything else by the second.
    pub async fn engine(replication: &str, queries: &str) -> Self {
        let env = [
            ("DATABASE_URL", replication),
            ("ELECTRIC_POOLED_DATABASE_URL", queries),
            ("ELECTRIC_INSECURE", "true"),
            ("ELECTRIC_PORT", "0"),
            ("ELECTRIC_LONG_POLL_TIMEOUT", "4000"),
            ("ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD", "40000"),
        ];
        Self::new(&["engine"], &env, "ELECTRIC_STORAGE_DIR").await
    }

    /// Starts the API, which answers within seconds when Postgres is away.
    pub async fn serve(url: &str) -> Self {
        let env = [
            ("DATABASE_URL", url),
            ("PLUE_SERVER__LISTEN", "127.0.0.1:0"),
            ("PLUE_DATABASE__CONNECT_TIMEOUT", "500ms"),
            ("PLUE_ENGINE__LONG_POLL_TIMEOUT", "4s"),
            ("PLUE_ENGINE__READY_TIMEOUT", "500ms"),
        ];
        Self::new(&["serve", "--insecure"], &env, "PLUE_ENGINE__STORAGE_DIR").await
    }

    async fn new(args: &'static [&'static str], env: &[(&str, &str)], storage_variable: &str) -> Self {
        let storage = tempfile::tempdir().expect("a folder");
        let folder = storage.path().to_str().expect("a path in UTF-8");
        let env = env.iter().copied().chain([(storage_variable, folder)]);
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut program = Self { args, env, binary: None, address: Address::default(), _storage: storage };
        program.start().await;
        program
    }

    /// Starts it again, and waits until it listens.
    pub async fn start(&mut self) {
        let env: Vec<(&str, &str)> = self.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let binary = self.binary.insert(Binary::spawn(self.args, &env));
        let address = eventually(DEADLINE, "an address of the program", async || {
            let log = binary.log();
            let address = log.split_once("listens on ").and_then(|(_, rest)| rest.split_once([' ', '\n']));
            address.map(|(address, _)| address.replace("0.0.0.0", "127.0.0.1")).ok_or(log)
        });
        *self.address.0.borrow_mut() = address.await;
    }

    /// Points an engine to another database, from its next start on.
    pub fn move_to(&mut self, url: &str) {
        for (name, value) in &mut self.env {
            if name.ends_with("DATABASE_URL") {
                url.clone_into(value);
            }
        }
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.running().kill();
    }

    /// Asks it to stop, and says how long that took.
    pub async fn terminate(&mut self) -> Duration {
        let (status, took) = self.running().terminate().await;
        assert!(status.success(), "{status}: {}", self.log());
        took
    }

    /// Waits until it says this of itself.
    pub async fn until(&self, health: &str) {
        let path = if self.args[0] == "engine" { "/v1/health" } else { "/ready" };
        let client = awc::Client::default();
        eventually(DEADLINE, health, async || {
            let mut answer = client.get(self.address.of(path)).send().await.map_err(|error| error.to_string())?;
            let body = answer.body().await.map_err(|error| error.to_string())?;
            let body = String::from_utf8_lossy(&body).into_owned();
            if body.contains(&format!("\"{health}\"")) { Ok(()) } else { Err(body) }
        })
        .await;
    }

    /// The position up to which it found everything on disk when it started.
    pub async fn found(&self) -> Lsn {
        eventually(DEADLINE, "what it found on disk", async || {
            let log = self.log();
            let position = log.split_once("up to position ").and_then(|(_, rest)| rest.split_once([' ', '\n']));
            position.map(|(position, _)| position.parse().expect("a position")).ok_or(log)
        })
        .await
    }

    /// Waits until it has printed this.
    pub async fn until_told(&self, text: &str) {
        eventually(DEADLINE, text, async || {
            let log = self.log();
            if log.contains(text) { Ok(()) } else { Err(log) }
        })
        .await;
    }

    pub fn address(&self) -> Address {
        self.address.clone()
    }

    /// What it printed since it was started last.
    pub fn log(&self) -> String {
        self.binary.as_ref().map(Binary::log).unwrap_or_default()
    }

    /// See [`Binary::assert_quiet`].
    #[track_caller]
    pub fn assert_quiet(&self, expected: &[&str]) {
        self.binary.iter().for_each(|binary| binary.assert_quiet(expected));
    }

    fn running(&mut self) -> &mut Binary {
        self.binary.as_mut().expect("a program that was started")
    }
}
