//! A disk that remembers what a power cut would leave: every file has a live image, a durable one,
//! and the sectors in which they differ. Every call can be made to fail, and every change noted.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use blx::store::disk::{Disk, DiskError, File};

pub const SECTOR: usize = 512;

#[derive(Clone, Default)]
struct Image {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors that were written and not synced.
    dirty: BTreeSet<usize>,
    /// The size was changed and not synced.
    resized: bool,
    /// The name was made and not synced.
    unnamed: bool,
    /// The name belongs to this file now; the process still holds the one above.
    usurper: Option<Vec<u8>>,
}

/// What of a file a power cut may leave or take.
#[derive(Clone, Copy, PartialEq)]
enum Loose {
    Name,
    Size,
    Sector(usize),
}

impl Image {
    fn whole(bytes: Vec<u8>) -> Image {
        Image {
            durable: bytes.clone(),
            live: bytes,
            ..Image::default()
        }
    }

    fn resize(&mut self, size: usize) {
        self.resized |= size != self.live.len();
        self.live.resize(size, 0);
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        if self.live.len() < offset + bytes.len() {
            self.resize(offset + bytes.len());
        }
        self.live[offset..offset + bytes.len()].copy_from_slice(bytes);
        if !bytes.is_empty() {
            let last = (offset + bytes.len() - 1) / SECTOR;
            self.dirty.extend(offset / SECTOR..=last);
        }
    }

    fn sync(&mut self) {
        self.durable.clone_from(&self.live);
        self.forget_changes();
    }

    /// What is not durable by now never will be: a system that failed to write a page calls it
    /// clean all the same.
    fn forget_changes(&mut self) {
        self.dirty.clear();
        (self.resized, self.unnamed) = (false, false);
    }

    fn loose(&self) -> Vec<Loose> {
        let mut loose = Vec::new();
        loose.extend(self.unnamed.then_some(Loose::Name));
        loose.extend(self.resized.then_some(Loose::Size));
        loose.extend(self.dirty.iter().copied().map(Loose::Sector));
        loose
    }

    fn after_power_cut(&self, kept: impl Fn(Loose) -> bool) -> Vec<u8> {
        if let Some(usurper) = &self.usurper {
            return usurper.clone();
        }
        if self.unnamed && !kept(Loose::Name) {
            return Vec::new();
        }
        let resized = self.resized && kept(Loose::Size);
        let size = if resized {
            self.live.len()
        } else {
            // Without a size of its own a file reaches as far as what was written of it.
            let kept = self.dirty.iter().filter(|s| kept(Loose::Sector(**s)));
            let reach = kept.max().map_or(0, |sector| (sector + 1) * SECTOR);
            self.durable.len().max(reach.min(self.live.len()))
        };
        let mut bytes = self.durable.clone();
        bytes.resize(size, 0);
        for sector in self.dirty.iter().filter(|s| kept(Loose::Sector(**s))) {
            let from = sector * SECTOR;
            let to = (from + SECTOR).min(size).min(self.live.len());
            if from < to {
                bytes[from..to].copy_from_slice(&self.live[from..to]);
            }
        }
        bytes
    }
}

/// The disk at one moment.
#[derive(Clone)]
pub struct Moment {
    images: [Image; File::COUNT],
    /// What was acknowledged by then.
    pub acknowledged: usize,
}

impl Moment {
    /// How many things of the chain file a power cut may leave or take.
    pub fn loose(&self) -> usize {
        self.loose_of(File::Chain)
    }

    /// The same of another file.
    pub fn loose_of(&self, file: File) -> usize {
        self.images[file as usize].loose().len()
    }

    /// The disk after a power cut that leaves of the chain file's loose things those that are
    /// `kept`, by their number. Of the other files, all or nothing.
    pub fn after_power_cut(&self, kept: impl Fn(usize) -> bool) -> SimDisk {
        self.after_power_cut_in(File::Chain, kept)
    }

    /// The same with another file in the chain file's place.
    pub fn after_power_cut_in(&self, cut: File, kept: impl Fn(usize) -> bool) -> SimDisk {
        let disk = SimDisk::default();
        for file in File::ALL {
            let image = &self.images[file as usize];
            let loose = image.loose();
            let number = |thing| loose.iter().position(|other| *other == thing);
            let bytes = match file == cut {
                true => image.after_power_cut(|thing| number(thing).is_some_and(&kept)),
                false => image.after_power_cut(|_| kept(0)),
            };
            disk.0.borrow_mut().images[file as usize] = Image::whole(bytes);
        }
        disk
    }
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Failure {
    /// It does nothing.
    Refused,
    /// It writes a part; anything but a write does nothing.
    Short,
    /// It is done, and the answer gets lost; of a sync and a cut nothing is done.
    Late,
}

#[derive(Clone, Copy)]
struct Plan {
    call: usize,
    failure: Failure,
    /// Every later change fails too.
    lasts: bool,
}

#[derive(Default)]
struct Inner {
    images: [Image; File::COUNT],
    aside: Vec<Vec<u8>>,
    calls: usize,
    changes: usize,
    syncs: usize,
    plan: Option<Plan>,
    hit: Option<(File, &'static str)>,
    journal: Option<Vec<Moment>>,
    acknowledged: usize,
}

impl Inner {
    /// Counts a call and says how it fails, if it does.
    fn call(&mut self, file: File, action: &'static str) -> Option<(Failure, DiskError)> {
        self.calls += 1;
        let changes = !matches!(action, "read" | "measure");
        self.changes += usize::from(changes);
        let plan = self.plan?;
        let fails = self.calls == plan.call || plan.lasts && changes && self.calls > plan.call;
        if !fails {
            return None;
        }
        self.hit.get_or_insert((file, action));
        let reason = match plan.failure {
            Failure::Refused | Failure::Late => "input/output error",
            Failure::Short => "no space left on device",
        };
        let reason = reason.into();
        let error = DiskError {
            file,
            action,
            reason,
        };
        Some((plan.failure, error))
    }

    fn note(&mut self) {
        let (images, acknowledged) = (&self.images, self.acknowledged);
        if let Some(journal) = &mut self.journal {
            journal.push(Moment {
                images: images.clone(),
                acknowledged,
            });
        }
    }

    fn touch(&mut self, file: File) -> &mut Image {
        let image = &mut self.images[file as usize];
        image.unnamed |= image.live.is_empty() && image.durable.is_empty();
        image
    }
}

/// A handle on the disk; the test keeps another one.
#[derive(Clone, Default)]
pub struct SimDisk(Rc<RefCell<Inner>>);

impl SimDisk {
    /// A disk with this chain file and this checkpoint.
    pub fn with(chain: &[u8], checkpoint: &[u8]) -> SimDisk {
        let disk = SimDisk::default();
        for (file, bytes) in [(File::Chain, chain), (File::Checkpoint, checkpoint)] {
            disk.0.borrow_mut().images[file as usize] = Image::whole(bytes.to_vec());
        }
        disk
    }

    pub fn live(&self, file: File) -> Vec<u8> {
        self.0.borrow().images[file as usize].live.clone()
    }

    pub fn aside(&self) -> Vec<Vec<u8>> {
        self.0.borrow().aside.clone()
    }

    /// From now on every change is noted.
    pub fn record(&self) {
        self.0.borrow_mut().journal = Some(Vec::new());
    }

    pub fn moments(&self) -> Vec<Moment> {
        self.0.borrow_mut().journal.take().unwrap_or_default()
    }

    pub fn now(&self) -> Moment {
        let inner = self.0.borrow();
        Moment {
            images: inner.images.clone(),
            acknowledged: inner.acknowledged,
        }
    }

    pub fn acknowledge(&self, acknowledged: usize) {
        self.0.borrow_mut().acknowledged = acknowledged;
    }

    pub fn acknowledged(&self) -> usize {
        self.0.borrow().acknowledged
    }

    pub fn fail(&self, call: usize, failure: Failure, lasts: bool) {
        self.0.borrow_mut().plan = Some(Plan {
            call,
            failure,
            lasts,
        });
    }

    pub fn repair(&self) {
        self.0.borrow_mut().plan = None;
    }

    /// The call that was the first to fail.
    pub fn hit(&self) -> Option<(File, &'static str)> {
        self.0.borrow().hit
    }

    /// Calls, changes and syncs so far.
    pub fn counts(&self) -> (usize, usize, usize) {
        let inner = self.0.borrow();
        (inner.calls, inner.changes, inner.syncs)
    }

    /// What the next process finds when this one is killed.
    pub fn after_kill(&self) -> SimDisk {
        let disk = SimDisk::default();
        for file in File::ALL {
            let mut image = self.0.borrow().images[file as usize].clone();
            if let Some(usurper) = image.usurper.take() {
                image = Image::whole(usurper);
            }
            disk.0.borrow_mut().images[file as usize] = image;
        }
        disk
    }

    fn put(
        &self,
        from: Image,
        to: File,
        failed: Option<(Failure, DiskError)>,
    ) -> Result<(), DiskError> {
        let mut inner = self.0.borrow_mut();
        match failed {
            None => inner.images[to as usize] = from,
            Some((failure, error)) => {
                if failure == Failure::Late {
                    inner.images[to as usize].usurper = Some(from.live);
                }
                return Err(error);
            }
        }
        inner.note();
        Ok(())
    }
}

impl Disk for SimDisk {
    fn len(&mut self, file: File) -> Result<u64, DiskError> {
        let mut inner = self.0.borrow_mut();
        match inner.call(file, "measure") {
            None => Ok(inner.images[file as usize].live.len() as u64),
            Some((_, error)) => Err(error),
        }
    }

    fn read(&mut self, file: File, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        let mut inner = self.0.borrow_mut();
        if let Some((_, error)) = inner.call(file, "read") {
            return Err(error);
        }
        let live = &inner.images[file as usize].live;
        let from = usize::try_from(offset).expect("small").min(live.len());
        let count = buffer.len().min(live.len() - from);
        buffer[..count].copy_from_slice(&live[from..from + count]);
        Ok(count)
    }

    fn write(&mut self, file: File, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut inner = self.0.borrow_mut();
        let failed = inner.call(file, "write");
        let done = match &failed {
            None | Some((Failure::Late, _)) => bytes.len(),
            Some((Failure::Short, _)) => bytes.len() / 2,
            Some((Failure::Refused, _)) => 0,
        };
        let offset = usize::try_from(offset).expect("small");
        inner.touch(file).write(offset, &bytes[..done]);
        inner.note();
        failed.map_or(Ok(()), |(_, error)| Err(error))
    }

    fn set_len(&mut self, file: File, size: u64) -> Result<(), DiskError> {
        let mut inner = self.0.borrow_mut();
        if let Some((_, error)) = inner.call(file, "cut") {
            return Err(error);
        }
        let size = usize::try_from(size).expect("small");
        inner.touch(file).resize(size);
        inner.note();
        Ok(())
    }

    fn sync(&mut self, file: File) -> Result<Duration, DiskError> {
        let mut inner = self.0.borrow_mut();
        let failed = inner.call(file, "sync");
        inner.syncs += 1;
        let image = &mut inner.images[file as usize];
        if let Some((_, error)) = failed {
            image.forget_changes();
            return Err(error);
        }
        image.sync();
        inner.note();
        Ok(Duration::ZERO)
    }

    fn rename(&mut self, from: File, to: File) -> Result<(), DiskError> {
        let failed = self.0.borrow_mut().call(to, "replace");
        let image = self.0.borrow().images[from as usize].clone();
        if failed.is_none() {
            self.0.borrow_mut().images[from as usize] = Image::default();
        }
        self.put(image, to, failed)
    }

    fn replace(&mut self, file: File, bytes: &[u8]) -> Result<(), DiskError> {
        let failed = self.0.borrow_mut().call(file, "replace");
        self.put(Image::whole(bytes.to_vec()), file, failed)
    }

    fn set_aside(&mut self, file: File, offset: u64) -> Result<String, DiskError> {
        let mut inner = self.0.borrow_mut();
        if let Some((_, error)) = inner.call(file, "set aside the damaged part of") {
            return Err(error);
        }
        let from = usize::try_from(offset).expect("small");
        let bytes = inner.images[file as usize].live[from..].to_vec();
        inner.aside.push(bytes);
        inner.note();
        Ok(format!("{}.damaged-{}", file.name(), inner.aside.len()))
    }
}
