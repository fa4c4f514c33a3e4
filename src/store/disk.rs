//! What this node asks of a disk. The simulator's disk and the system's are implementations of it.

use core::fmt;
use core::time::Duration;

/// The files of a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// The chain: append-only.
    Chain,
    /// A candidate chain while it is checked; temporary, safe to delete.
    Candidate,
    /// This node's key: readable by its owner only.
    Identity,
    /// What the chain file says up to some record, so that a start need not read it all.
    Checkpoint,
    /// The chain file without stale blocks, while it is written.
    Compacted,
    /// Whom this node may dial.
    Peers,
    /// This node's own transactions that are in no block yet.
    Waiting,
    /// The blocks that the last alarming reorg disconnected.
    Disconnected,
    /// Blocks that stood behind damage that was given up, until they are made again.
    Behind,
    /// The event log: lines of text.
    Events,
    /// A checkpoint while it is written; temporary, safe to delete.
    Draft,
}

impl File {
    /// All of them, in their order.
    pub const ALL: [File; 11] = [
        File::Chain,
        File::Candidate,
        File::Identity,
        File::Checkpoint,
        File::Compacted,
        File::Peers,
        File::Waiting,
        File::Disconnected,
        File::Behind,
        File::Events,
        File::Draft,
    ];
    /// How many there are.
    pub const COUNT: usize = File::ALL.len();

    /// Its name in the data directory.
    pub fn name(self) -> &'static str {
        match self {
            File::Chain => "chain.blx",
            File::Candidate => "candidate.blx",
            File::Identity => "identity.blx",
            File::Checkpoint => "checkpoint.blx",
            File::Compacted => "compacted.blx",
            File::Peers => "peers.blx",
            File::Waiting => "waiting.blx",
            File::Disconnected => "fallen.blx",
            File::Behind => "behind.blx",
            File::Events => "events.blx",
            File::Draft => "checkpoint.blx.new",
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

    /// Returns when everything written to the file, and its name, would survive a power cut; says
    /// how long that took.
    fn sync(&mut self, file: File) -> Result<Duration, DiskError>;

    /// Puts `from`, which is synced, in the place of `to`, durably and at once.
    fn rename(&mut self, from: File, to: File) -> Result<(), DiskError>;

    /// Puts `bytes` in the place of the whole file, durably, so that at any moment a power cut
    /// leaves either the old file or the new one.
    fn replace(&mut self, file: File, bytes: &[u8]) -> Result<(), DiskError>;

    /// Copies the file from `offset` to its end into a new file beside it, whose name ends in
    /// `.damaged-` and something unique, durably; returns that name.
    fn set_aside(&mut self, file: File, offset: u64) -> Result<String, DiskError>;
}

#[cfg(test)]
pub mod memory {
    //! A disk in memory: what was written, and beside it what would survive a power cut.
    #![allow(missing_docs)]

    use super::*;

    #[derive(Clone, Default)]
    pub struct MemoryDisk {
        live: [Vec<u8>; File::COUNT],
        durable: [Vec<u8>; File::COUNT],
        pub aside: Vec<Vec<u8>>,
        pub syncs: usize,
        pub bytes_read: usize,
        /// Bytes that can still be written before the disk is full.
        pub room: Option<usize>,
        pub sync_fails: bool,
    }

    impl MemoryDisk {
        pub fn live(&mut self, file: File) -> &mut Vec<u8> {
            &mut self.live[file as usize]
        }

        /// What a power cut leaves: everything synced, and any prefix of the rest.
        pub fn after_power_cut(&self, kept: usize) -> MemoryDisk {
            let mut cut = MemoryDisk::default();
            for (file, durable) in self.durable.iter().enumerate() {
                let live = &self.live[file];
                let keep = (durable.len() + kept).min(live.len());
                let survives = if live.starts_with(durable) {
                    &live[..keep]
                } else {
                    &durable[..]
                };
                cut.live[file] = survives.to_vec();
                cut.durable[file] = survives.to_vec();
            }
            cut
        }

        fn error(file: File, action: &'static str, reason: &str) -> DiskError {
            DiskError {
                file,
                action,
                reason: reason.into(),
            }
        }
    }

    impl Disk for MemoryDisk {
        fn len(&mut self, file: File) -> Result<u64, DiskError> {
            Ok(self.live(file).len() as u64)
        }

        fn read(&mut self, file: File, offset: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
            let bytes = self.live(file);
            let from = usize::try_from(offset).expect("small").min(bytes.len());
            let count = buf.len().min(bytes.len() - from);
            buf[..count].copy_from_slice(&bytes[from..from + count]);
            self.bytes_read += count;
            Ok(count)
        }

        fn write(&mut self, file: File, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
            let room = self.room.unwrap_or(usize::MAX);
            let fits = &bytes[..bytes.len().min(room)];
            self.room = self.room.map(|room| room - fits.len());
            let offset = usize::try_from(offset).expect("small");
            let live = self.live(file);
            if live.len() < offset + fits.len() {
                live.resize(offset + fits.len(), 0);
            }
            live[offset..offset + fits.len()].copy_from_slice(fits);
            if fits.len() < bytes.len() {
                return Err(Self::error(file, "write", "no space left on device"));
            }
            Ok(())
        }

        fn set_len(&mut self, file: File, size: u64) -> Result<(), DiskError> {
            let size = usize::try_from(size).expect("small");
            self.live(file).truncate(size);
            Ok(())
        }

        fn sync(&mut self, file: File) -> Result<Duration, DiskError> {
            if self.sync_fails {
                return Err(Self::error(file, "sync", "input/output error"));
            }
            self.syncs += 1;
            self.durable[file as usize] = self.live(file).clone();
            Ok(Duration::ZERO)
        }

        fn rename(&mut self, from: File, to: File) -> Result<(), DiskError> {
            assert_eq!(
                self.live[from as usize], self.durable[from as usize],
                "synced"
            );
            self.live[to as usize] = core::mem::take(&mut self.live[from as usize]);
            self.durable[to as usize] = core::mem::take(&mut self.durable[from as usize]);
            Ok(())
        }

        fn replace(&mut self, file: File, bytes: &[u8]) -> Result<(), DiskError> {
            *self.live(file) = bytes.to_vec();
            self.sync(file).map(|_| ())
        }

        fn set_aside(&mut self, file: File, offset: u64) -> Result<String, DiskError> {
            let from = usize::try_from(offset).expect("small");
            let bytes = self.live(file)[from..].to_vec();
            self.aside.push(bytes);
            Ok(format!("{}.damaged-{}", file.name(), self.aside.len()))
        }
    }
}
