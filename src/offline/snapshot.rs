//! A data directory as it was at one moment: read without its lock, never written.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use crate::shell::reason;
use crate::store::disk::{Disk, DiskError, File};
use crate::store::log::Log;
use crate::store::recover::{Ending, OpenError};

/// Where the bytes of a chain file are.
#[derive(Debug)]
enum Bytes {
    File(fs::File),
    Memory(Vec<u8>),
}

/// A chain file and the key beside it. A node may be appending: what it adds later is not seen.
/// Any other file is empty.
#[derive(Debug)]
pub struct Snapshot {
    chain: Bytes,
    size: u64,
    identity: Vec<u8>,
}

impl Snapshot {
    /// A chain file.
    pub fn of_file(chain: fs::File) -> io::Result<Snapshot> {
        Ok(Snapshot {
            size: chain.metadata()?.len(),
            chain: Bytes::File(chain),
            identity: Vec::new(),
        })
    }

    /// A chain file's bytes.
    pub fn of_bytes(chain: Vec<u8>) -> Snapshot {
        Snapshot {
            size: chain.len() as u64,
            chain: Bytes::Memory(chain),
            identity: Vec::new(),
        }
    }

    /// An identity file's bytes.
    pub fn of_identity(identity: Vec<u8>) -> Snapshot {
        Snapshot {
            identity,
            ..Snapshot::of_bytes(Vec::new())
        }
    }

    /// A data directory.
    pub fn of_directory(path: &Path) -> Result<Snapshot, String> {
        let failed = |file: File, error: &io::Error| {
            let (shown, name) = (path.display(), file.name());
            match error.kind() {
                ErrorKind::NotFound => format!(
                    "there is no {name} in {shown}: choose another data directory with --data-dir \
                     or --port"
                ),
                _ => format!(
                    "cannot read {name} in {shown}: {}: correct that or choose another data \
                     directory with --data-dir",
                    reason(error)
                ),
            }
        };
        let snapshot = fs::File::open(path.join(File::Chain.name())).and_then(Snapshot::of_file);
        let mut snapshot = snapshot.map_err(|error| failed(File::Chain, &error))?;
        match fs::read(path.join(File::Identity.name())) {
            Ok(identity) => snapshot.identity = identity,
            // A chain that was imported has no node's key until a node has run on it.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed(File::Identity, &error)),
        }
        Ok(snapshot)
    }

    /// The identity file's bytes; none if there is no such file.
    pub fn identity(&self) -> &[u8] {
        &self.identity
    }

    fn refuse(file: File, action: &'static str) -> DiskError {
        DiskError {
            file,
            action,
            reason: "it is only being read".into(),
        }
    }
}

/// Reads the chain in a data directory as far as it is sound. It has at least one block.
pub fn open_chain(directory: &Path) -> Result<(Log<Snapshot>, Ending), String> {
    let shown = directory.display();
    match Log::examine(Snapshot::of_directory(directory)?) {
        Ok((log, Ending::Clean | Ending::Torn)) if log.tip().length == 0 => Err(format!(
            "the chain in {shown} has no block yet: start blx there first"
        )),
        Ok((log, _)) if log.tip().length == 0 => Err(format!(
            "the chain in {shown} is damaged from its first block on: start blx there, which sets \
             it aside and asks peers"
        )),
        Ok(examined) => Ok(examined),
        Err(OpenError::Header) => Err(format!(
            "{} in {shown}: start blx there, which sets it aside and asks peers",
            OpenError::Header
        )),
        Err(error) => Err(error.to_string()),
    }
}

impl Disk for Snapshot {
    fn len(&mut self, file: File) -> Result<u64, DiskError> {
        Ok(match file {
            File::Chain => self.size,
            File::Identity => self.identity.len() as u64,
            _ => 0,
        })
    }

    fn read(&mut self, file: File, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        let left = self.len(file)?.saturating_sub(offset);
        let count = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let buffer = &mut buffer[..count];
        let bytes = match (file, &self.chain) {
            (File::Chain, Bytes::File(source)) => {
                let read = source.read_exact_at(buffer, offset);
                read.map_err(|error| DiskError {
                    file,
                    action: "read",
                    reason: reason(&error),
                })?;
                return Ok(count);
            }
            (File::Chain, Bytes::Memory(bytes)) => bytes,
            _ => &self.identity,
        };
        if count > 0 {
            let from = usize::try_from(offset).expect("it lies in memory, as count tells");
            buffer.copy_from_slice(&bytes[from..from + count]);
        }
        Ok(count)
    }

    fn write(&mut self, file: File, _: u64, _: &[u8]) -> Result<(), DiskError> {
        Err(Snapshot::refuse(file, "write"))
    }

    fn set_len(&mut self, file: File, _: u64) -> Result<(), DiskError> {
        Err(Snapshot::refuse(file, "cut"))
    }

    fn sync(&mut self, file: File) -> Result<Duration, DiskError> {
        Err(Snapshot::refuse(file, "sync"))
    }

    fn rename(&mut self, _: File, to: File) -> Result<(), DiskError> {
        Err(Snapshot::refuse(to, "replace"))
    }

    fn replace(&mut self, file: File, _: &[u8]) -> Result<(), DiskError> {
        Err(Snapshot::refuse(file, "replace"))
    }

    fn set_aside(&mut self, file: File, _: u64) -> Result<String, DiskError> {
        Err(Snapshot::refuse(file, "copy"))
    }
}
