//! The system's disk, with a count of what is written to it.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use blx::shell::disk::SystemDisk;
use blx::store::disk::{Disk, DiskError, File};

/// A data directory that is watched.
pub struct Counted {
    disk: SystemDisk,
    /// The generator's disk does not wait: a million syncs take hours.
    waits: bool,
    /// Shared, as a node keeps its disk to itself.
    written: Rc<Cell<u64>>,
}

impl Counted {
    /// A node's data directory.
    pub fn open(directory: &Path) -> Counted {
        Counted {
            disk: SystemDisk::open(directory).expect("a data directory"),
            waits: true,
            written: Rc::default(),
        }
    }

    /// A data directory where nothing is durable before [`Counted::settle`].
    pub fn careless(directory: &Path) -> Counted {
        Counted {
            waits: false,
            ..Counted::open(directory)
        }
    }

    /// Bytes written since it was opened.
    pub fn written(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.written)
    }

    fn count(&self, bytes: &[u8]) {
        self.written.set(self.written.get() + bytes.len() as u64);
    }

    /// Makes the chain file durable after all.
    pub fn settle(&mut self) {
        self.disk.sync(File::Chain).expect("a sync");
    }
}

impl Disk for Counted {
    fn len(&mut self, file: File) -> Result<u64, DiskError> {
        self.disk.len(file)
    }

    fn read(&mut self, file: File, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        self.disk.read(file, offset, buffer)
    }

    fn write(&mut self, file: File, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.count(bytes);
        self.disk.write(file, offset, bytes)
    }

    fn set_len(&mut self, file: File, size: u64) -> Result<(), DiskError> {
        self.disk.set_len(file, size)
    }

    fn sync(&mut self, file: File) -> Result<Duration, DiskError> {
        match self.waits {
            true => self.disk.sync(file),
            false => Ok(Duration::ZERO),
        }
    }

    fn rename(&mut self, from: File, to: File) -> Result<(), DiskError> {
        self.disk.rename(from, to)
    }

    fn replace(&mut self, file: File, bytes: &[u8]) -> Result<(), DiskError> {
        self.count(bytes);
        self.disk.replace(file, bytes)
    }

    fn set_aside(&mut self, file: File, offset: u64) -> Result<String, DiskError> {
        self.disk.set_aside(file, offset)
    }
}
