//! A disk in memory that can lose its power: what was synced stays, of the rest a beginning.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use blx::store::disk::{Disk, DiskError, File};

use crate::random::Random;

/// A change that may not have reached the platter yet.
#[derive(Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Cut(u64),
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Change::Write(offset, bytes) => {
                let offset = *offset as usize;
                if image.len() < offset + bytes.len() {
                    image.resize(offset + bytes.len(), 0);
                }
                image[offset..offset + bytes.len()].copy_from_slice(bytes);
            }
            Change::Cut(size) => image.truncate(*size as usize),
        }
    }
}

#[derive(Clone, Default)]
struct Image {
    live: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone, Default)]
struct Files {
    images: [Image; File::COUNT],
    aside: usize,
    syncs: [usize; File::COUNT],
    /// From now on every write and sync fails.
    broken: bool,
}

/// A handle on the disk; the world keeps another one.
#[derive(Clone, Default)]
pub struct SimDisk(Rc<RefCell<Files>>);

impl SimDisk {
    /// A disk of its own with the same content.
    pub fn copy(&self) -> SimDisk {
        SimDisk(Rc::new(RefCell::new(self.0.borrow().clone())))
    }

    /// The power is cut: of what was not synced a random number of changes is left, the last of
    /// them in part.
    pub fn cut_power(&self, random: &mut Random) {
        for image in &mut self.0.borrow_mut().images {
            let kept = random.place(image.unsynced.len() + 1);
            let torn = image.unsynced.get(kept).cloned();
            for change in &image.unsynced[..kept] {
                change.apply(&mut image.durable);
            }
            if let Some(Change::Write(offset, bytes)) = torn {
                let part = bytes[..random.place(bytes.len() + 1)].to_vec();
                Change::Write(offset, part).apply(&mut image.durable);
            }
            image.unsynced.clear();
            image.live = image.durable.clone();
        }
    }

    pub fn set_broken(&self, broken: bool) {
        self.0.borrow_mut().broken = broken;
    }

    pub fn is_broken(&self) -> bool {
        self.0.borrow().broken
    }

    /// A bit of what is on the platter turns over.
    pub fn rot(&self, file: File, at: usize) {
        let image = &mut self.0.borrow_mut().images[file as usize];
        image.live[at] ^= 0x10;
        image.durable[at] ^= 0x10;
    }

    pub fn live(&self, file: File) -> Vec<u8> {
        self.0.borrow().images[file as usize].live.clone()
    }

    /// What of a file would be there after a power cut.
    pub fn durable(&self, file: File) -> Vec<u8> {
        self.0.borrow().images[file as usize].durable.clone()
    }

    /// How often a file was made durable.
    pub fn syncs(&self, file: File) -> usize {
        self.0.borrow().syncs[file as usize]
    }

    fn change(&self, file: File, action: &'static str, change: Change) -> Result<(), DiskError> {
        let mut files = self.0.borrow_mut();
        if files.broken {
            let reason = "no space left on device".into();
            return Err(DiskError {
                file,
                action,
                reason,
            });
        }
        let image = &mut files.images[file as usize];
        change.apply(&mut image.live);
        image.unsynced.push(change);
        Ok(())
    }
}

impl Disk for SimDisk {
    fn len(&mut self, file: File) -> Result<u64, DiskError> {
        Ok(self.0.borrow().images[file as usize].live.len() as u64)
    }

    fn read(&mut self, file: File, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        let files = self.0.borrow();
        let live = &files.images[file as usize].live;
        let from = (offset as usize).min(live.len());
        let count = buffer.len().min(live.len() - from);
        buffer[..count].copy_from_slice(&live[from..from + count]);
        Ok(count)
    }

    fn write(&mut self, file: File, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.change(file, "write", Change::Write(offset, bytes.to_vec()))
    }

    fn set_len(&mut self, file: File, size: u64) -> Result<(), DiskError> {
        self.change(file, "cut", Change::Cut(size))
    }

    fn sync(&mut self, file: File) -> Result<Duration, DiskError> {
        let mut files = self.0.borrow_mut();
        if files.broken {
            let (action, reason) = ("sync", "input/output error".into());
            return Err(DiskError {
                file,
                action,
                reason,
            });
        }
        files.syncs[file as usize] += 1;
        let image = &mut files.images[file as usize];
        for change in std::mem::take(&mut image.unsynced) {
            change.apply(&mut image.durable);
        }
        Ok(Duration::ZERO)
    }

    fn rename(&mut self, from: File, to: File) -> Result<(), DiskError> {
        let mut files = self.0.borrow_mut();
        let image = std::mem::take(&mut files.images[from as usize]);
        files.images[to as usize] = image;
        Ok(())
    }

    fn replace(&mut self, file: File, bytes: &[u8]) -> Result<(), DiskError> {
        self.change(file, "replace", Change::Cut(0))?;
        self.change(file, "replace", Change::Write(0, bytes.to_vec()))?;
        self.sync(file).map(|_| ())
    }

    fn set_aside(&mut self, file: File, _: u64) -> Result<String, DiskError> {
        let mut files = self.0.borrow_mut();
        files.aside += 1;
        Ok(format!("{}.damaged-{}", file.name(), files.aside))
    }
}
