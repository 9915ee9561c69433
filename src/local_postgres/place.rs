//! Where a cluster lives and who runs it.
//!
//! Postgres refuses to run as root. For root (a container, usually) the server runs as the user `postgres`, or `nobody` where that one is
//! missing. That user must be able to walk to the cluster's folder. Below a folder such as `/root` it cannot, and then the cluster lives in
//! the system's temporary folder instead, under a name made from the path that was asked for, so that it is found again.

use std::env;
use std::fs::{self, DirBuilder, File, Permissions};
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Error;

/// A user that Postgres may run as, when we are root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

/// A folder that exists and that the server's user can reach.
#[derive(Debug)]
pub struct Place {
    pub dir: PathBuf,
    /// `None`: the server runs as we do.
    user: Option<User>,
}

impl Place {
    /// Makes `wanted`, or its stand-in in the temporary folder where the server's user cannot reach it.
    pub fn prepare(wanted: &Path) -> Result<Self, Error> {
        make_dir(wanted)?;
        let wanted = fs::canonicalize(wanted).map_err(|source| failed("find", wanted, source))?;
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { dir: wanted, user: None });
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let user = unprivileged_user(&passwd).ok_or(Error::NoUser)?;
        let dir = if reaches(user, &wanted) { wanted } else { stand_in(user, &wanted)? };
        Ok(Self { dir, user: Some(user) })
    }

    /// The folder that Postgres calls its data directory.
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Makes the data folder, closed to everybody but the server's user.
    pub fn make_data(&self) -> Result<PathBuf, Error> {
        let data = self.data();
        match DirBuilder::new().mode(0o700).create(&data) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => return Err(failed("make", &data, source)),
            _ => self.give_away(&data)?,
        }
        Ok(data)
    }

    /// Writes the superuser's password to a file that only the server's user can read.
    pub fn write_secret(&self, secret: &str) -> Result<PathBuf, Error> {
        let path = self.dir.join("password");
        let opened = File::options().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let written = opened.and_then(|mut file| writeln!(file, "{secret}"));
        written.map_err(|source| failed("write", &path, source))?;
        self.give_away(&path)?;
        Ok(path)
    }

    /// A command that runs as the server's user, in a process group of its own: Ctrl-C in a terminal reaches us, and we stop the server.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        // The current folder may be closed to that user, and a locale or PG* variable of ours may not suit the server.
        command.current_dir("/").env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").env("TZ", "UTC");
        command.stdin(Stdio::null()).process_group(0);
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
        command
    }

    fn give_away(&self, path: &Path) -> Result<(), Error> {
        let Some(user) = self.user else { return Ok(()) };
        chown(path, Some(user.uid), Some(user.gid)).map_err(|source| failed("change the owner of", path, source))
    }
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io { doing, path: path.to_owned(), source }
}

fn make_dir(dir: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).create(dir).map_err(|source| failed("make", dir, source))
}

/// `postgres`, else `nobody`, from the text of `/etc/passwd`.
pub fn unprivileged_user(passwd: &str) -> Option<User> {
    let find = |name: &str| {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            if fields.next() != Some(name) {
                return None;
            }
            // The second field is the password; macOS writes the highest ids as negative numbers.
            let uid = fields.nth(1)?.parse::<i64>().ok()? as u32;
            let gid = fields.next()?.parse::<i64>().ok()? as u32;
            (uid != 0).then_some(User { uid, gid })
        })
    };
    find("postgres").or_else(|| find("nobody"))
}

/// Whether `user` may walk through every folder down to `dir`, which is absolute and free of links.
fn reaches(user: User, dir: &Path) -> bool {
    dir.ancestors().all(|folder| {
        fs::metadata(folder).is_ok_and(|folder| {
            let mode = folder.mode();
            let bit = match folder {
                _ if folder.uid() == user.uid => 0o100,
                _ if folder.gid() == user.gid => 0o010,
                _ => 0o001,
            };
            mode & bit != 0
        })
    })
}

/// The stand-in for `wanted` in the temporary folder, ours alone: others may write there too, and must not choose our server's data.
fn stand_in(user: User, wanted: &Path) -> Result<PathBuf, Error> {
    let mut hasher = std::hash::DefaultHasher::new();
    wanted.hash(&mut hasher);
    let name = format!("plue-sync-{:016x}", hasher.finish());
    let temporary = fs::canonicalize(env::temp_dir()).ok().filter(|dir| reaches(user, dir));
    let dir = temporary.unwrap_or_else(|| PathBuf::from("/tmp")).join(name);
    match DirBuilder::new().mode(0o711).create(&dir) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => return Err(failed("make", &dir, source)),
        _ => {}
    }
    let found = fs::symlink_metadata(&dir).map_err(|source| failed("read", &dir, source))?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
        return Err(Error::Foreign { dir });
    }
    // The process' umask may have closed it.
    fs::set_permissions(&dir, Permissions::from_mode(0o711)).map_err(|source| failed("open", &dir, source))?;
    Ok(dir)
}
