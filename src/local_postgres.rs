//! A private Postgres cluster for `plue-sync dev` and the tests: find the server's programs, make a cluster, start it, stop it.
//!
//! A cluster listens on loopback only, has no Unix socket (a path that could be too long), and has `wal_level=logical`. One process owns a
//! cluster at a time: it holds a lock on the folder, and the lock ends with the process, however that ends. So a server that still runs in a
//! folder whose lock is free is an orphan, and the next start stops it before it starts its own. Only two processes are ever
//! signalled: the child that was started here, and the orphan that the folder's `postmaster.pid` names and that works in that very folder.
//!
//! All of it blocks; an asynchronous caller uses `spawn_blocking`. Postgres refuses to run as root: see `place.rs`.

mod place;
mod postmaster;
mod programs;

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use place::Place;
use programs::Programs;

/// The superuser of every private cluster.
pub const SUPERUSER: &str = "postgres";

/// A start that takes longer has failed. Recovery after a crash is the slow case.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a server that was told to end at once may take before it is killed.
const FORCED_STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Tries to find a port that stays free until the server has it.
const FREE_PORT_ATTEMPTS: u32 = 10;
const POLL: Duration = Duration::from_millis(10);
/// Lines of the server's log that go into an error.
const LOG_TAIL_LINES: usize = 8;

/// What a private cluster should be like.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of the cluster and its log; made if it is missing.
    pub dir: PathBuf,
    /// The port on 127.0.0.1; 0 takes any free one.
    pub port: u16,
    /// The superuser's password; without one everybody on this machine may connect.
    pub password: Option<String>,
    /// Server settings (`name`, `value`) that come after, and so win over, our own.
    pub server: Vec<(String, String)>,
    /// `false` skips every fsync: for clusters whose data nobody will miss.
    pub durable: bool,
}

/// Why a private cluster does not run, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "found no Postgres server programs (`postgres` and `initdb`, version {} or newer); install them with \
         `apt-get install postgresql` or `brew install postgresql@17`, or put their folder on PATH",
        programs::OLDEST_VERSION
    )]
    NoPrograms,
    #[error("Postgres in {dir} is version {version}; version {} or newer is needed", programs::OLDEST_VERSION)]
    TooOld { dir: PathBuf, version: u32 },
    #[error(
        "Postgres does not run as root, and /etc/passwd names neither `postgres` nor `nobody`; add one of these users"
    )]
    NoUser,
    #[error("{dir} belongs to another user; delete it or choose another folder")]
    Foreign { dir: PathBuf },
    #[error("another plue-sync uses the cluster in {dir}; stop that one or choose another folder")]
    InUse { dir: PathBuf },
    #[error("port {port} is taken; stop what listens there or choose another port")]
    PortTaken { port: u16 },
    #[error("cannot {doing} {path}")]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{program} failed: {output}")]
    Program { program: &'static str, output: String },
    #[error("Postgres did not start; the end of {log} says:\n{tail}")]
    NotStarted { log: PathBuf, tail: String },
}

/// A running cluster. Dropping it stops the server.
#[derive(Debug)]
pub struct Cluster {
    settings: Settings,
    place: Place,
    programs: Programs,
    /// The one server that this process started; `None` once it is stopped.
    server: Option<Child>,
    port: u16,
    /// Held for as long as this process may touch the folder.
    _lock: File,
}

impl Cluster {
    /// Makes the cluster if its folder is empty, stops an orphan that still runs there, and starts the server.
    ///
    /// # Errors
    ///
    /// One sentence with its cure, see [`Error`]. Nothing keeps running after an error.
    pub fn start(settings: Settings) -> Result<Self, Error> {
        let programs = Programs::find()?;
        let place = Place::prepare(&settings.dir)?;
        let lock = lock(&place.dir)?;
        let data = place.data();
        postmaster::stop_orphan(&data)?;
        if !data.join("PG_VERSION").exists() {
            programs.make_cluster(&place, &settings)?;
        }
        let mut cluster = Self { port: settings.port, settings, place, programs, server: None, _lock: lock };
        for _ in 0..FREE_PORT_ATTEMPTS {
            match cluster.start_again() {
                // Free a moment ago, and taken by somebody else since.
                Err(Error::PortTaken { .. }) if cluster.settings.port == 0 => cluster.port = 0,
                result => return result.map(|()| cluster),
            }
        }
        Err(Error::PortTaken { port: 0 })
    }

    /// Starts the server of a cluster that was stopped, on the port it had before.
    ///
    /// # Errors
    ///
    /// [`Error::PortTaken`] or [`Error::NotStarted`].
    pub fn start_again(&mut self) -> Result<(), Error> {
        if self.server.is_some() {
            return Ok(());
        }
        if self.port == 0 {
            self.port = free_port()?;
        }
        if TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            return Err(Error::PortTaken { port: self.port });
        }
        let log = self.log();
        let out = File::create(&log).map_err(|source| Error::Io { doing: "write", path: log.clone(), source })?;
        let errors = out.try_clone().map_err(|source| Error::Io { doing: "write", path: log.clone(), source })?;
        let child = self.command().stdout(out).stderr(errors).spawn().map_err(|source| Error::Io {
            doing: "run",
            path: self.programs.postgres(),
            source,
        })?;
        self.server = Some(child);
        self.wait_until_ready()
    }

    /// The address of `database` for the superuser.
    pub fn url(&self, database: &str) -> String {
        let password = self.settings.password.as_deref().map(|word| format!(":{word}")).unwrap_or_default();
        format!("postgresql://{SUPERUSER}{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder it really lives in: the one asked for, or one in the system's temporary folder (see `place.rs`).
    pub fn dir(&self) -> &Path {
        &self.place.dir
    }

    /// What the server said.
    pub fn log(&self) -> PathBuf {
        self.place.dir.join("postgres.log")
    }

    /// Stops the server as `pg_ctl stop -m fast` does, and waits for it.
    ///
    /// `true` if it ended by itself within `patience`. Otherwise it was made to end at once, as in a crash: nothing that was committed
    /// is lost, the next start recovers it.
    pub fn stop(&mut self, patience: Duration) -> bool {
        let Some(mut server) = self.server.take() else { return true };
        postmaster::signal(server.id(), Signal::INT);
        if ended(&mut server, patience) {
            return true;
        }
        postmaster::signal(server.id(), Signal::QUIT);
        if !ended(&mut server, FORCED_STOP_TIMEOUT) {
            let _ = server.kill();
            let _ = server.wait();
        }
        false
    }

    /// Ends the server as a crash would, without a checkpoint and without a word to its clients.
    pub fn crash(&mut self) {
        if let Some(server) = &self.server {
            postmaster::signal(server.id(), Signal::QUIT);
        }
        self.stop(FORCED_STOP_TIMEOUT);
    }

    fn command(&self) -> Command {
        let mut command = self.place.command(&self.programs.postgres());
        command.arg("-D").arg(self.place.data()).arg("-p").arg(self.port.to_string());
        let ours = [("listen_addresses", "127.0.0.1"), ("unix_socket_directories", ""), ("wal_level", "logical")];
        let careless = [("fsync", "off"), ("full_page_writes", "off")];
        let careless = if self.settings.durable { &[][..] } else { &careless[..] };
        for (name, value) in ours.iter().chain(careless) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        for (name, value) in &self.settings.server {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command
    }

    fn wait_until_ready(&mut self) -> Result<(), Error> {
        let Some(pid) = self.server.as_ref().map(Child::id) else { return Ok(()) };
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if postmaster::is_ready(&self.place.data(), pid) {
                return Ok(());
            }
            if self.server.as_mut().is_some_and(|server| !matches!(server.try_wait(), Ok(None))) {
                break;
            }
            std::thread::sleep(POLL);
        }
        self.stop(Duration::ZERO);
        let log = self.log();
        let text = fs::read(&log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        // Somebody may have taken the port since it was looked at.
        if text.contains("Address already in use") {
            return Err(Error::PortTaken { port: self.port });
        }
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n");
        Err(Error::NotStarted { log, tail })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop(Duration::from_secs(5));
    }
}

/// Makes `database` on the server of `url` (its superuser's address of another database) unless it is there.
///
/// # Errors
///
/// What Postgres said.
pub async fn create_database(url: &str, database: &str) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    let connection = tokio::spawn(connection);
    let there = client.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&database]).await?;
    if there.is_none() {
        client.batch_execute(&format!("CREATE DATABASE \"{}\"", database.replace('"', "\"\""))).await?;
    }
    drop(client);
    let _ = connection.await;
    Ok(())
}

fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join("lock");
    let opened = File::options().create(true).append(true).open(&path);
    let file = opened.map_err(|source| Error::Io { doing: "write", path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(Error::Io { doing: "lock", path, source }),
    }
}

fn free_port() -> Result<u16, Error> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
    bound.map(|address| address.port()).map_err(|_| Error::PortTaken { port: 0 })
}

fn ended(server: &mut Child, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        if !matches!(server.try_wait(), Ok(None)) {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(POLL);
    }
}

/// Runs a program to its end; its output becomes the error.
fn run(program: &'static str, command: &mut Command) -> Result<String, Error> {
    let done = command.stdin(Stdio::null()).output();
    let done = done.map_err(|source| Error::Io { doing: "run", path: PathBuf::from(command.get_program()), source })?;
    let mut output = String::from_utf8_lossy(&done.stdout).into_owned();
    if !done.status.success() {
        output.push_str(&String::from_utf8_lossy(&done.stderr));
        return Err(Error::Program { program, output: output.trim().to_owned() });
    }
    Ok(output)
}

#[cfg(test)]
mod tests;
