//! The server's programs: where they are, how new they are, and the one that makes a cluster.
//!
//! Looked for in this order: PATH, Debian's folders (newest first), what `pg_config` says, Homebrew's folders.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::place::Place;
use super::{Error, SUPERUSER, Settings, run};

/// The oldest major version that the engine works with.
pub const OLDEST_VERSION: u32 = 14;

/// A folder with `postgres` and `initdb` of one version.
#[derive(Debug, Clone)]
pub struct Programs {
    dir: PathBuf,
}

impl Programs {
    /// The first folder that has both programs in a version that is new enough.
    pub fn find() -> Result<Self, Error> {
        let mut too_old = None;
        for dir in candidates() {
            let Some(version) = version(&dir) else { continue };
            if version >= OLDEST_VERSION {
                return Ok(Self { dir });
            }
            too_old.get_or_insert(Error::TooOld { dir, version });
        }
        Err(too_old.unwrap_or(Error::NoPrograms))
    }

    /// The server itself.
    pub fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    /// Makes a cluster in the place's data folder: UTF-8, sorted by code point, so that it is the same on every machine.
    pub fn make_cluster(&self, place: &Place, settings: &Settings) -> Result<(), Error> {
        let data = place.make_data()?;
        let mut command = place.command(&self.dir.join("initdb"));
        command.args(["--username", SUPERUSER, "--encoding", "UTF8", "--no-locale", "--no-instructions"]);
        command.arg("-D").arg(&data);
        if !settings.durable {
            command.arg("--no-sync");
        }
        let secret = match &settings.password {
            Some(password) => Some(place.write_secret(password)?),
            None => None,
        };
        match &secret {
            Some(path) => command.arg("--auth=scram-sha-256").arg("--pwfile").arg(path),
            None => command.arg("--auth=trust"),
        };
        let made = run("initdb", &mut command);
        if let Some(path) = secret {
            let _ = fs::remove_file(path);
        }
        if made.is_err() {
            // Half a cluster would be taken for a whole one by the next start.
            let _ = fs::remove_dir_all(&data);
        }
        made.map(|_| ())
    }
}

fn candidates() -> Vec<PathBuf> {
    let on_path = env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = env::split_paths(&on_path).filter_map(|dir| real_dir(&dir.join("postgres"))).collect();
    dirs.extend(versions_under("/usr/lib/postgresql", ""));
    let asked = Command::new("pg_config").arg("--bindir").stdin(Stdio::null()).stderr(Stdio::null()).output();
    if let Ok(answer) = asked {
        dirs.push(PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim()));
    }
    for homebrew in ["/opt/homebrew/opt", "/usr/local/opt", "/home/linuxbrew/.linuxbrew/opt"] {
        dirs.extend(versions_under(homebrew, "postgresql@"));
    }
    dirs.retain(|dir| is_program(&dir.join("postgres")) && is_program(&dir.join("initdb")));
    dirs
}

/// Where a program found on PATH really is: `initdb` looks for `postgres` beside itself.
fn real_dir(program: &Path) -> Option<PathBuf> {
    fs::canonicalize(program).ok()?.parent().map(Path::to_owned)
}

/// `<parent>/<prefix><major version>/bin`, newest first.
fn versions_under(parent: &str, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    found.sort_by(|left, right| right.cmp(left));
    found.into_iter().map(|(_, dir)| dir).collect()
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

fn version(dir: &Path) -> Option<u32> {
    let answer = run("postgres", Command::new(dir.join("postgres")).arg("--version")).ok()?;
    major_version(&answer)
}

/// The major version in `postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)`.
pub fn major_version(answer: &str) -> Option<u32> {
    let number = answer.split_whitespace().find(|word| word.starts_with(|letter: char| letter.is_ascii_digit()))?;
    number.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}
