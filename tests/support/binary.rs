//! The real program, started on free ports.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use uuid::Uuid;

use super::eventually;

/// A start may have to make a cluster and wait for a slot, on a machine that runs other tests too.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// What the program prints before the address of each of its listeners.
const LISTENING: &str = " listens on ";

/// A running `plue-sync`, with everything it printed. Dropping it stops it; a failed test then shows what it printed.
pub struct Binary {
    child: Child,
    output: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    /// An empty working folder, so that no `.env` of the developer's is read.
    dir: PathBuf,
}

impl Binary {
    /// Starts the program and waits until it says where it listens.
    ///
    /// None of our environment names is inherited; `env` is added to the rest.
    pub async fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut binary = Self::spawn(args, env);
        eventually(START_TIMEOUT, "an address of the program", async || {
            let gone = matches!(binary.child.try_wait(), Ok(Some(_)));
            match binary.addresses().is_empty() {
                true if gone => panic!("the program ended at once: {}", binary.log()),
                true => Err(binary.log()),
                false => Ok(()),
            }
        })
        .await;
        binary
    }

    /// Starts the program and waits for nothing.
    pub fn spawn(args: &[&str], env: &[(&str, &str)]) -> Self {
        let dir = env::temp_dir().join(format!("plue-sync-run-{}", Uuid::now_v7().simple()));
        fs::create_dir(&dir).expect("a working folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_plue-sync"));
        for (name, _) in env::vars_os() {
            let ours = ["PLUE_", "ELECTRIC_", "DATABASE_URL", "PUBLIC_CLIENT_", "RUST_LOG", "PG"];
            if name.to_str().is_some_and(|name| ours.iter().any(|prefix| name.starts_with(prefix))) {
                command.env_remove(name);
            }
        }
        command.args(args).envs(env.iter().copied()).current_dir(&dir);
        if args == ["engine"] {
            // By itself it listens on all addresses; tests stay on this machine.
            let port = env.iter().find(|(name, _)| *name == "ELECTRIC_PORT").map_or("0", |(_, port)| port);
            command.arg(format!("--listen=127.0.0.1:{port}"));
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program");
        let output = Arc::new(Mutex::new(String::new()));
        let out = child.stdout.take().expect("its output");
        let errors = child.stderr.take().expect("its errors");
        let readers = vec![collect(out, &output), collect(errors, &output)];
        Self { child, output, readers, dir }
    }

    /// `http://127.0.0.1:<port>` of the first listener it named.
    pub fn url(&self) -> String {
        self.addresses().into_iter().next().unwrap_or_else(|| panic!("no address yet: {}", self.log()))
    }

    /// The address of every listener it named, in that order.
    pub fn addresses(&self) -> Vec<String> {
        let log = self.log();
        let after = log.lines().filter_map(|line| line.split_once(LISTENING));
        let address = |rest: &str| rest.split([' ', '"']).next().unwrap_or(rest).to_owned();
        let url = |address: String| if address.contains("://") { address } else { format!("http://{address}") };
        after.map(|(_, rest)| url(address(rest))).collect()
    }

    /// Everything it printed so far, both streams.
    pub fn log(&self) -> String {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its working folder.
    pub fn dir(&self) -> &std::path::Path {
        &self.dir
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Panics if it logged a warning or an error that contains none of the `expected` texts.
    #[track_caller]
    pub fn assert_quiet(&self, expected: &[&str]) {
        let log = self.log();
        let loud = |line: &&str| line.contains(" WARN ") || line.contains(" ERROR ") || line.contains("panicked at");
        let told: Vec<_> = log.lines().filter(loud).filter(|line| !expected.iter().any(|t| line.contains(t))).collect();
        assert!(told.is_empty(), "unexpected in the log: {told:#?}");
    }

    /// Ends it as a crash would (`kill -9`).
    pub fn kill(&mut self) {
        self.child.kill().expect("a process to kill");
        self.child.wait().expect("its end");
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("a running process");
    }

    /// Bytes of memory that it has, as Linux counts them.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its resident memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
    }

    /// The same once it does not change any more.
    pub async fn settled_memory(&self) -> u64 {
        eventually(START_TIMEOUT, "memory that does not change", async || {
            let before = self.resident();
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = self.resident();
            if now.abs_diff(before) < 1 << 20 { Ok(now) } else { Err((before, now)) }
        })
        .await
    }

    /// Asks it to stop (SIGTERM), and says how it ended and how long that took.
    pub async fn terminate(&mut self) -> (ExitStatus, Duration) {
        let asked = Instant::now();
        self.signal(Signal::TERM);
        let status = self.exit(STOP_TIMEOUT).await;
        (status, asked.elapsed())
    }

    /// Waits for its end, and for the rest of what it printed.
    pub async fn exit(&mut self, deadline: Duration) -> ExitStatus {
        let (child, output) = (&mut self.child, &self.output);
        let status = eventually(deadline, "the end of the program", async || {
            let status = child.try_wait().expect("a child of ours");
            status.ok_or_else(|| output.lock().unwrap_or_else(PoisonError::into_inner).clone())
        })
        .await;
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader of its output");
        }
        status
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // `dev` must get the chance to stop its Postgres.
            self.signal(Signal::TERM);
            let deadline = Instant::now() + STOP_TIMEOUT;
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the program printed ---\n{}", self.log());
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Appends each line of `stream` to `output`, in a thread that ends with the stream.
fn collect(stream: impl Read + Send + 'static, output: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let output = Arc::clone(output);
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stream);
        let mut line = Vec::new();
        while matches!(lines.read_until(b'\n', &mut line), Ok(1..)) {
            output.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    })
}
