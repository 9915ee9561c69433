//! What benchmarks stand on: a database of their own, and the real program.

#![allow(dead_code, reason = "each benchmark takes what it needs")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use plue_sync::postgres::Postgres;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

/// Runs something on a database of its own, in the Postgres of `PLUE_TEST_POSTGRES`.
pub async fn with_database(measure: impl AsyncFnOnce(String) -> Result<()>) -> Result<()> {
    let address = std::env::var("PLUE_TEST_POSTGRES").context("run `make bench`, which starts a Postgres")?;
    let name = format!("bench_{}", std::process::id());
    let admin = Postgres::from_url(&address)?.connect().await?;
    admin.batch_execute(&format!("CREATE DATABASE {name}")).await?;
    let measured = measure(database_url(&address, &name)).await;
    let slots =
        format!("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '{name}'");
    // A slot is active for a moment after its reader has gone.
    for _ in 0..100 {
        if admin.batch_execute(&slots).await.is_ok() {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    admin.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await?;
    measured
}

fn database_url(admin: &str, name: &str) -> String {
    let (base, query) = admin.split_once('?').map_or((admin, None), |(base, query)| (base, Some(query)));
    let base = base.rsplit_once('/').map_or(base, |(base, _)| base);
    query.map_or(format!("{base}/{name}"), |query| format!("{base}/{name}?{query}"))
}

/// The middle and the 99th of a hundred.
pub fn percentiles<T: Ord + Copy>(mut values: Vec<T>) -> (T, T) {
    values.sort_unstable();
    (values[values.len() / 2], values[values.len() * 99 / 100])
}

/// The program, on a port of its own.
pub struct Server {
    child: Child,
    pub address: String,
    _storage: tempfile::TempDir,
}

impl Server {
    /// The engine alone, which holds long-polls for as long as anything here takes.
    pub fn engine(url: &str) -> Result<Self> {
        let settings = [("ELECTRIC_INSECURE", "true"), ("ELECTRIC_LONG_POLL_TIMEOUT", "600000")];
        Self::start(&["engine", "--listen=127.0.0.1:0"], url, &settings)
    }

    /// The API, with these settings.
    pub fn api(url: &str, settings: &[(&str, &str)]) -> Result<Self> {
        Self::start(&["serve", "--insecure", "--listen=127.0.0.1:0"], url, settings)
    }

    /// The API for those who show a token, with these settings.
    pub fn closed(url: &str, settings: &[(&str, &str)]) -> Result<Self> {
        Self::start(&["serve", "--listen=127.0.0.1:0"], url, settings)
    }

    fn start(arguments: &[&str], url: &str, settings: &[(&str, &str)]) -> Result<Self> {
        let storage = tempfile::tempdir()?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_plue-sync"))
            .args(arguments)
            .env("DATABASE_URL", url)
            .env("ELECTRIC_STORAGE_DIR", storage.path())
            .env("PLUE_ENGINE__STORAGE_DIR", storage.path())
            .env("PLUE_LOG", "info")
            .envs(settings.iter().copied())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut log = BufReader::new(child.stderr.take().context("its log")?).lines();
        let address = log.by_ref().find_map(|line| {
            let line = line.ok()?;
            Some(line.split_once("listens on ")?.1.split_whitespace().next()?.to_owned())
        });
        // The log must not fill its pipe.
        std::thread::spawn(move || log.for_each(drop));
        Ok(Self { child, address: address.context("the address in the log")?, _storage: storage })
    }

    /// Waits until shapes are served; `path` is where it says so.
    pub async fn ready(&self, path: &str) -> Result<()> {
        for _ in 0..200 {
            if self.request(path).await?.contains("\"active\"") {
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
        bail!("shapes are not served")
    }

    /// Resident memory, as Linux counts it.
    pub fn resident_kb(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
    }

    /// Waits until memory no longer grows: all requests are held.
    pub async fn settled(&self) -> Result<()> {
        let (mut last, mut calm) = (0, 0);
        while calm < 4 {
            sleep(Duration::from_millis(250)).await;
            let now = self.resident_kb()?;
            calm = if now == last { calm + 1 } else { 0 };
            last = now;
        }
        Ok(())
    }

    /// Sends a request, whose answer is still to be read.
    pub async fn send(&self, path: &str) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let path = path.replace('\'', "%27");
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n").as_bytes()).await?;
        Ok(stream)
    }

    /// The answer to a request, head and body.
    pub async fn request(&self, path: &str) -> Result<String> {
        let mut stream = self.send(&path.replace(' ', "%20")).await?;
        let mut answer = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        // Answers here are short: one read after the head is enough to have both.
        while !answer.ends_with(b"]") && !answer.ends_with(b"}") {
            match tokio::time::timeout(Duration::from_secs(20), stream.read(&mut buffer)).await?? {
                0 => break,
                count => answer.extend_from_slice(&buffer[..count]),
            }
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// A header of the answer to a request.
    pub async fn header(&self, path: &str, name: &str) -> Result<String> {
        let answer = self.request(path).await?;
        let value = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        Ok(value.with_context(|| format!("{name} in {answer}"))?.to_owned())
    }

    /// The handle in the answer to a request.
    pub async fn handle(&self, path: &str) -> Result<String> {
        self.header(path, "electric-handle").await
    }

    /// The offset in the answer to a request.
    pub async fn offset(&self, path: &str) -> Result<String> {
        self.header(path, "electric-offset").await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
