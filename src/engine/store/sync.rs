//! Makes thousands of files durable at once.

use std::fs::File;
use std::io;
use std::path::Path;

/// Syncs everything that was written below `folder`.
///
/// One call for the whole file system: a call for each of 10,000 files would take as many waits.
#[cfg(target_os = "linux")]
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(folder)?)?)
}

/// Syncs everything below `folder`, file by file: this system knows no other way.
#[cfg(not(target_os = "linux"))]
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => sync_folder(&entry.path())?,
            false => File::open(entry.path())?.sync_all()?,
        }
    }
    File::open(folder)?.sync_all()
}
