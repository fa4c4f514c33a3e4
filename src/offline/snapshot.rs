//! A data directory as it was at one moment: read without its lock, never written.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use crate::shell::disk::refuse_shared;
use crate::shell::{reason, remedy};
use crate::store::disk::{Disk, DiskError, File};
use crate::store::log::Log;
use crate::store::recover::{Ending, OpenError};

/// Where the bytes of a file are.
#[derive(Debug)]
enum Bytes {
    File(fs::File),
    Memory(Vec<u8>),
}

/// One file of a data directory. A node may be appending: what it adds later is not seen. Any other
/// file is empty.
#[derive(Debug)]
pub struct Snapshot {
    file: File,
    bytes: Bytes,
    size: u64,
}

impl Snapshot {
    /// A chain file.
    pub fn of_file(chain: fs::File) -> io::Result<Snapshot> {
        Snapshot::of(File::Chain, chain)
    }

    fn of(file: File, bytes: fs::File) -> io::Result<Snapshot> {
        Ok(Snapshot {
            file,
            size: bytes.metadata()?.len(),
            bytes: Bytes::File(bytes),
        })
    }

    /// A chain file's bytes.
    pub fn of_bytes(chain: Vec<u8>) -> Snapshot {
        Snapshot::of_memory(File::Chain, chain)
    }

    /// An identity file's bytes.
    pub fn of_identity(identity: Vec<u8>) -> Snapshot {
        Snapshot::of_memory(File::Identity, identity)
    }

    fn of_memory(file: File, bytes: Vec<u8>) -> Snapshot {
        Snapshot {
            file,
            size: bytes.len() as u64,
            bytes: Bytes::Memory(bytes),
        }
    }

    /// The chain in a data directory.
    pub fn of_directory(path: &Path) -> Result<Snapshot, String> {
        let chain = Snapshot::of_present(path, File::Chain)?;
        chain.ok_or_else(|| absent(path, File::Chain))
    }

    /// The blocks that a reorg disconnected in a data directory, if it has that file.
    pub fn of_disconnected(path: &Path) -> Result<Option<Snapshot>, String> {
        Snapshot::of_present(path, File::Disconnected)
    }

    /// The event log in a data directory, if it has that file.
    pub fn of_events(path: &Path) -> Result<Option<Snapshot>, String> {
        Snapshot::of_present(path, File::Events)
    }

    fn of_present(path: &Path, file: File) -> Result<Option<Snapshot>, String> {
        match fs::File::open(path.join(file.name())).and_then(|bytes| Snapshot::of(file, bytes)) {
            Ok(snapshot) => Ok(Some(snapshot)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(path, file, &error)),
        }
    }

    fn refuse(file: File, action: &'static str) -> DiskError {
        DiskError {
            file,
            action,
            reason: "it is only being read".into(),
        }
    }
}

/// The bytes of the key in a data directory, which nobody else may read; none if there is no such
/// file. A chain that was imported has no node's key until a node has run on it.
pub fn identity_in(directory: &Path) -> Result<Vec<u8>, String> {
    let path = directory.join(File::Identity.name());
    let failed = |error: io::Error| unreadable(directory, File::Identity, &error);
    let mut key = match fs::File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened.map_err(failed)?,
    };
    refuse_shared(&key, &path).map_err(|fault| fault.to_string())?;
    let mut bytes = Vec::new();
    key.read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// A data directory without a file that is asked for, as a sentence for the user.
pub fn absent(path: &Path, file: File) -> String {
    format!(
        "there is no {} in {}: choose another data directory with --data-dir or --port",
        file.name(),
        path.display()
    )
}

fn unreadable(path: &Path, file: File, error: &io::Error) -> String {
    format!(
        "cannot read {} in {}: {}: correct that or choose another data directory with --data-dir",
        file.name(),
        path.display(),
        reason(error)
    )
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
        Err(error) => Err(remedy::of_chain(&error)),
    }
}

impl Disk for Snapshot {
    fn len(&mut self, file: File) -> Result<u64, DiskError> {
        Ok(match file {
            _ if file == self.file => self.size,
            _ => 0,
        })
    }

    fn read(&mut self, file: File, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        let left = self.len(file)?.saturating_sub(offset);
        let count = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let buffer = &mut buffer[..count];
        if file != self.file {
            return Ok(0);
        }
        let bytes = match &self.bytes {
            Bytes::File(source) => {
                let read = source.read_exact_at(buffer, offset);
                read.map_err(|error| DiskError {
                    file,
                    action: "read",
                    reason: reason(&error),
                })?;
                return Ok(count);
            }
            Bytes::Memory(bytes) => bytes,
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
