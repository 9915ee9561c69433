//! The file `postmaster.pid` in a data folder: who runs there, is it ready, and is it really that server.
//!
//! The file survives a crash, and its process id may belong to somebody else by then. So a process counts as the server of a folder only
//! if the file names it *and* its working directory (on Linux) or its arguments (elsewhere) are that folder.
//!
//! Source: PostgreSQL `src/include/utils/pidfile.h`: line 1 is the process id, line 2 the data folder, line 8 the status.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::{Error, POLL};

/// How long an orphan gets for each way of being told to stop.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(10);

/// Whether the server with this process id accepts connections.
pub fn is_ready(data: &Path, pid: u32) -> bool {
    let Ok(text) = fs::read_to_string(file(data)) else { return false };
    let mut lines = text.lines();
    lines.next().and_then(|line| line.trim().parse().ok()) == Some(pid) && lines.nth(6).map(str::trim) == Some("ready")
}

/// Sends a signal; a process that has just ended is no failure.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Stops the server that a process before us left running in `data`, and removes a file that names somebody else.
///
/// The caller holds the folder's lock, so no living process of ours owns that server.
pub fn stop_orphan(data: &Path) -> Result<(), Error> {
    let Some(pid) = named_in_file(data) else { return Ok(()) };
    if !is_alive(pid) {
        // Postgres itself clears this up, and looks for the dead server's children while doing so.
        return Ok(());
    }
    if !works_in(pid, data) {
        // The id was given to another process since; Postgres would refuse to start because of it.
        let path = file(data);
        return fs::remove_file(&path).map_err(|source| Error::Io { doing: "remove", path, source });
    }
    for order in [Signal::INT, Signal::QUIT, Signal::KILL] {
        signal(pid, order);
        let deadline = Instant::now() + ORPHAN_PATIENCE;
        while Instant::now() < deadline {
            if !is_alive(pid) {
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
    }
    Err(Error::InUse { dir: data.to_owned() })
}

fn file(data: &Path) -> PathBuf {
    data.join("postmaster.pid")
}

fn named_in_file(data: &Path) -> Option<u32> {
    let text = fs::read_to_string(file(data)).ok()?;
    let pid: u32 = text.lines().next()?.trim().parse().ok()?;
    (pid > 1).then_some(pid)
}

fn is_alive(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    match test_kill_process(pid) {
        Ok(()) => !is_zombie(pid),
        // It lives, but is not ours to signal.
        Err(error) => error == rustix::io::Errno::PERM,
    }
}

/// An ended process whose parent has not asked after it yet: in a container nobody may ever do so.
fn is_zombie(pid: Pid) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())) else { return false };
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
}

fn works_in(pid: u32, data: &Path) -> bool {
    if cfg!(target_os = "linux") {
        return fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|dir| dir == data);
    }
    let asked = Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).stdin(Stdio::null()).output();
    asked.is_ok_and(|answer| {
        let line = String::from_utf8_lossy(&answer.stdout).into_owned();
        line.contains("postgres") && line.contains(&*data.to_string_lossy())
    })
}
