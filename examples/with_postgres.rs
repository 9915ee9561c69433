//! Runs a command with one private Postgres cluster around it: `cargo run --example with_postgres -- cargo test`.
//!
//! The command finds the superuser's address in `PLUE_TEST_POSTGRES`. The cluster is stopped whatever happens to the command, and on SIGINT
//! and SIGTERM; one that a kill -9 left behind is taken over by the next run. Ends with the command's exit code.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use plue_sync::local_postgres::{Cluster, Settings};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

const STOP_PATIENCE: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let program = args.next().context("usage: with_postgres COMMAND [ARGUMENT...]")?;
    let mut cluster = Cluster::start(settings())?;
    let code = run(program, args.collect(), &cluster.url("postgres")).await;
    cluster.stop(STOP_PATIENCE);
    let _ = std::fs::remove_dir_all(cluster.dir().join("data"));
    Ok(ExitCode::from(code?))
}

/// Large enough for every test process at once; each test has a database, a slot and a pool of its own.
fn settings() -> Settings {
    let server = [("max_connections", "500"), ("max_wal_senders", "200"), ("max_replication_slots", "200")];
    Settings {
        dir: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/test-postgres"),
        port: 0,
        password: None,
        server: server.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        durable: false,
    }
}

/// Waits for the command, passing on the signals that ask us to stop.
async fn run(program: OsString, args: Vec<OsString>, url: &str) -> anyhow::Result<u8> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let mut command = Command::new(&program);
    // A process group of its own: Ctrl-C in a terminal would reach the command twice, and a second one often means "at once".
    command.args(args).env("PLUE_TEST_POSTGRES", url).process_group(0);
    let mut child = command.spawn().with_context(|| format!("cannot run {}", program.display()))?;
    loop {
        let asked = tokio::select! {
            status = child.wait() => {
                let status = status?;
                let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
                return Ok(u8::try_from(code).unwrap_or(1));
            }
            _ = interrupts.recv() => Signal::INT,
            _ = terminations.recv() => Signal::TERM,
        };
        if let Some(group) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
            let _ = kill_process_group(group, asked);
        }
    }
}
