//! A chain on its way into a data directory that has none.
//!
//! It grows as the directory's candidate file, which no node ever takes for its chain, and gets the
//! chain's name when it is complete and durable. Killed at any moment, the directory has the whole
//! chain or none.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{rename_new, sync_parent};
use crate::shell::disk::SystemDisk;
use crate::shell::reason;
use crate::shell::remedy::{self, of_disk};
use crate::store::disk::{Disk, DiskError, File};

/// The directory, locked for as long as this lives.
#[derive(Debug)]
pub struct Staging {
    disk: SystemDisk,
    directory: PathBuf,
}

impl Staging {
    /// Locks the directory, which is made if need be, and refuses one that has any of `files`.
    pub fn open(directory: &Path, files: &[File]) -> Result<Staging, String> {
        // Before the lock: whoever names a running node's directory is to hear that it is used.
        refuse_used(directory, files)?;
        let mut disk = SystemDisk::open(directory).map_err(|fault| fault.to_string())?;
        refuse_used(directory, files)?;
        disk.set_len(File::Candidate, 0).map_err(of_disk)?;
        Ok(Staging {
            disk,
            directory: directory.to_owned(),
        })
    }

    /// Puts a small file in place, durably.
    pub fn put(&mut self, file: File, bytes: &[u8]) -> Result<(), String> {
        self.disk.replace(file, bytes).map_err(of_disk)
    }

    /// Makes the chain durable, then gives it its name.
    pub fn commit(&mut self) -> Result<(), String> {
        self.disk.sync(File::Candidate).map_err(of_disk)?;
        let chain = self.directory.join(File::Chain.name());
        let named = rename_new(&self.staged(), &chain).and_then(|()| sync_parent(&chain));
        named.map_err(|error: io::Error| {
            format!(
                "cannot name {}: {}: {}",
                chain.display(),
                reason(&error),
                remedy::DISK
            )
        })
    }

    fn staged(&self) -> PathBuf {
        self.directory.join(File::Candidate.name())
    }
}

fn refuse_used(directory: &Path, files: &[File]) -> Result<(), String> {
    let names: Vec<&str> = files.iter().map(|file| file.name()).collect();
    let used = |name: &&str| fs::symlink_metadata(directory.join(name)).is_ok();
    let found: Vec<&str> = names.into_iter().filter(used).collect();
    if found.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} already holds {}, which is not overwritten: choose an empty data directory with \
         --data-dir, or move that away",
        directory.display(),
        found.join(" and ")
    ))
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Only what was not committed is still there; if it stays, it is a temporary file that is
        // safe to delete.
        let _ = fs::remove_file(self.staged());
    }
}

/// Under the name that it has here.
fn staged(file: File) -> File {
    match file {
        File::Chain => File::Candidate,
        other => other,
    }
}

impl Disk for Staging {
    fn len(&mut self, file: File) -> Result<u64, DiskError> {
        self.disk.len(staged(file))
    }

    fn read(&mut self, file: File, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        self.disk.read(staged(file), offset, buffer)
    }

    fn write(&mut self, file: File, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.disk.write(staged(file), offset, bytes)
    }

    fn set_len(&mut self, file: File, size: u64) -> Result<(), DiskError> {
        self.disk.set_len(staged(file), size)
    }

    /// Nobody is told of a block before all of them are durable.
    fn sync(&mut self, _: File) -> Result<Duration, DiskError> {
        Ok(Duration::ZERO)
    }

    fn rename(&mut self, from: File, to: File) -> Result<(), DiskError> {
        self.disk.rename(staged(from), staged(to))
    }

    fn replace(&mut self, file: File, bytes: &[u8]) -> Result<(), DiskError> {
        let offset = 0;
        self.set_len(file, offset)?;
        self.write(file, offset, bytes)
    }

    fn set_aside(&mut self, file: File, _: u64) -> Result<String, DiskError> {
        Err(DiskError {
            file,
            action: "copy",
            reason: "it is still being made".into(),
        })
    }
}
