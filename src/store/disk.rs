//! What this node asks of a disk. The simulator's disk and the system's are implementations of it.

use core::fmt;

/// The files of a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// The chain: append-only.
    Chain,
    /// A candidate chain while it is checked; worthless after a restart.
    Candidate,
    /// This node's key: readable by its owner only.
    Identity,
}

impl File {
    /// Its name in the data directory.
    pub fn name(self) -> &'static str {
        match self {
            File::Chain => "chain.blx",
            File::Candidate => "candidate.blx",
            File::Identity => "identity.blx",
        }
    }
}

/// A failed call: what was tried, and the system's reason. One sentence when shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskError {
    /// The file.
    pub file: File,
    /// What was tried, as a verb: "read", "write", "sync".
    pub action: &'static str,
    /// The system's words.
    pub reason: String,
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot {} {}: {}",
            self.action,
            self.file.name(),
            self.reason
        )
    }
}

impl core::error::Error for DiskError {}

/// The calls that the chain file and its neighbours need. All of them wait until they are done.
/// After one of them failed the node writes no more; nothing here retries.
pub trait Disk {
    /// The file's size in bytes; 0 if there is no such file.
    fn len(&mut self, file: File) -> Result<u64, DiskError>;

    /// Fills `buffer` from `offset` on; fewer bytes only where the file ends.
    fn read(&mut self, file: File, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError>;

    /// Writes all of `bytes` at `offset`, creating the file if need be. Durable only after `sync`.
    fn write(&mut self, file: File, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;

    /// Cuts the file. Durable only after `sync`.
    fn set_len(&mut self, file: File, size: u64) -> Result<(), DiskError>;

    /// Returns when everything written to the file, and its name, would survive a power cut.
    fn sync(&mut self, file: File) -> Result<(), DiskError>;

    /// Puts `bytes` in the place of the whole file, durably, so that at any moment a power cut
    /// leaves either the old file or the new one.
    fn replace(&mut self, file: File, bytes: &[u8]) -> Result<(), DiskError>;

    /// Copies the file from `offset` to its end into a new file beside it, whose name ends in
    /// `.damaged-` and something unique, durably; returns that name.
    fn set_aside(&mut self, file: File, offset: u64) -> Result<String, DiskError>;
}
