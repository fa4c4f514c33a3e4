//! What needs no running node: a chain checked, taken out and put in, a data directory saved and
//! put back, and what was kept of a node's past read.
//!
//! Reading goes through [`snapshot`], which takes no lock and writes nothing, so a node may be
//! running. Writing goes through [`staging`] into a data directory and through [`output`] anywhere
//! else: under a name that counts for nothing, until everything is checked and durable.
//!
//! An error is one sentence with the cause and the way out.

use std::fs;
use std::io;
use std::path::Path;

pub mod backup;
pub mod compact;
pub mod events;
pub mod output;
pub mod progress;
pub mod snapshot;
pub mod staging;
pub mod transfer;
pub mod verify;

/// Gives a file its name, unless something has that name already. Not even two processes that do
/// this at once lose a file.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // What a file system says that has no such call; it may still have links.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        result => Ok(result?),
    }
}

/// Makes the names in a file's directory durable, as far as the file system does that.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // A directory that may be written but not read cannot be opened to sync it.
    let Ok(directory) = fs::File::open(parent) else {
        return Ok(());
    };
    match directory.sync_all() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}
