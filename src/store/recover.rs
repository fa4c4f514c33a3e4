//! Opening the chain file.
//!
//! | what stands at the end of what is sound | what is done |
//! | --- | --- |
//! | nothing | nothing: a clean end |
//! | a record that goes on behind the file's end, nothing sound after | cut: it was never acknowledged |
//! | a branch without its closing record | cut: it never counted |
//! | damage, and nothing sound behind it | copied into a file beside, then cut |
//! | damage, and behind it a closed branch that leaves the chain in front of it | passed over: it is among stale blocks |
//! | damage, and other sound records behind it | a hole, which [`super::repair`] fills |
//!
//! | what stands at the file's beginning | what is done |
//! | --- | --- |
//! | nothing: an empty file, or none | a new chain with a first block of our own |
//! | a damaged header, and a first record that tells what it was | written as it was |
//! | a damaged header otherwise | the file is copied into one beside, then as if it were empty |
//! | a newer format, or something else altogether | refused, nothing is touched |
//!
//! Bytes that failed their check never get a new one: they are copied, cut, or written as they
//! were, which the check of the next record proves. Whatever is cut and was once acknowledged comes
//! back from any peer that has it.

use super::branch::Branch;
use super::checkpoint;
use super::disk::{Disk, DiskError, File};
use super::log::Log;
use super::mark::{Mark, Place, mark};
use super::opening::Stop;
pub use super::opening::{Ending, OpenError, Recovery};
use super::record::{self, Body, CHECK_BYTES, HEADER_BYTES, Header, StoredBlock, too_long};
use super::record_reader::{Found, RecordReader};
use super::state::{AppendError, State};
use crate::ledger::{Block, Changes, Hash, Timestamp};

/// What became of a branch in the file.
#[derive(PartialEq, Eq)]
enum Replayed {
    /// It is the chain now.
    Closed,
    /// What is sound ends in it, behind the last of these blocks.
    Unfinished {
        marks: Vec<Mark>,
        end: u64,
        check: u32,
    },
    /// A sound record in it does not fit.
    Unfit,
}

/// What stands behind damage.
#[derive(Default)]
struct Behind {
    /// Records.
    sound: bool,
    /// A branch's closing record among them.
    closed: bool,
}

impl<D: Disk> Log<D> {
    /// Opens the chain file, or makes it with `difficulty` and a first block made at `now`.
    pub fn open(
        mut disk: D,
        difficulty: Option<u8>,
        now: Timestamp,
    ) -> Result<(Log<D>, Recovery), OpenError> {
        let mut recovery = Recovery {
            ending: Ending::Clean,
            cut: 0,
            aside: None,
            passed: false,
        };
        let new = difficulty.unwrap_or(crate::limits::DIFFICULTY_DEFAULT);
        let size = disk.len(File::Chain)?;
        if size == 0 {
            disk.replace(File::Chain, &record::header(new))?;
        }
        // A file whose first bytes are not ours may still be ours.
        if matches!(read_header(&mut disk)?, Header::Damaged | Header::Foreign)
            && let Some(header) = lost_header(&mut disk)?
        {
            disk.write(File::Chain, 0, &header)?;
            disk.sync(File::Chain)?;
        }
        if read_header(&mut disk)? == Header::Damaged {
            let aside = Some(disk.set_aside(File::Chain, 0)?);
            recovery = Recovery {
                ending: Ending::NoHeader,
                cut: size,
                aside,
                passed: false,
            };
            disk.replace(File::Chain, &record::header(new))?;
        }
        let (mut log, ending) = Log::examine(disk)?;
        if let Some(asked) = difficulty
            && asked != log.difficulty()
        {
            let file = log.difficulty();
            return Err(OpenError::Difficulty { file, asked });
        }
        match ending {
            Ending::Clean => {}
            Ending::Hole => recovery.ending = Ending::Hole,
            ending => recovery = log.cut(ending)?,
        }
        if log.tip().length == 0 {
            // Without a first block there is no chain whose hole could be filled.
            log.give_up()?;
            if log.state.forked {
                log.reopen()?;
            }
        }
        log.begin_chain(now)?;
        recovery.passed = log.passed;
        Ok((log, recovery))
    }

    /// Makes a first block, if there is none.
    pub fn begin_chain(&mut self, now: Timestamp) -> Result<(), DiskError> {
        if self.state.tip.length > 0 {
            return Ok(());
        }
        self.append(&Block::genesis(now))
            .map_err(|error| match error {
                AppendError::Disk(error) => error,
                AppendError::Rule(error) => DiskError {
                    file: File::Chain,
                    action: "begin",
                    reason: error.to_string(),
                },
            })
    }

    /// Reads a chain file as far as it is sound, and says how that part ends. Writes nothing.
    pub fn examine(mut disk: D) -> Result<(Log<D>, Ending), OpenError> {
        let (difficulty, check) = match read_header(&mut disk)? {
            Header::Ours { difficulty, check } => (difficulty, check),
            Header::Newer(version) => return Err(OpenError::Newer(version)),
            Header::Foreign => return Err(OpenError::Foreign),
            Header::Damaged => return Err(OpenError::Header),
        };
        let mut reader = RecordReader::new(File::Chain);
        let state = read_checkpoint(&mut disk, &mut reader);
        let skips = state.is_some();
        let start = || State::new(HEADER_BYTES as u64, check);
        let state = state.unwrap_or_else(start);
        let mut log = Log::new(disk, difficulty, check, state, reader);
        let ending = log.replay();
        if !skips
            || matches!(
                ending,
                Ok(Ending::Clean | Ending::Torn | Ending::OpenBranch)
            )
        {
            return Ok((log, ending?));
        }
        // Damage that the checkpoint skipped is no hindrance only to those who start with it: a
        // branch may begin there, and whoever passed over it has since numbered the keys without
        // those that were met there first. The reading that comes further is the right one.
        let reached = ending.map_or(0, |_| log.state.end);
        let mut log = Log::new(log.disk, difficulty, check, start(), log.reader);
        let mut ending = log.replay()?;
        if log.state.end < reached
            && let Some(state) = read_checkpoint(&mut log.disk, &mut log.reader)
        {
            log = Log::new(log.disk, difficulty, check, state, log.reader);
            ending = log.replay()?;
        }
        Ok((log, ending))
    }

    /// Takes every sound record in, however many items that are, and says why it stopped.
    pub(super) fn replay(&mut self) -> Result<Ending, DiskError> {
        self.state.items.set_max(usize::MAX);
        let ending = self.replay_all();
        self.state.items.set_max(self.bounds.items);
        ending
    }

    fn replay_all(&mut self) -> Result<Ending, DiskError> {
        loop {
            let stopped = match self.replay_record()? {
                None => continue,
                Some(stopped) => stopped,
            };
            match stopped {
                Ending::Hole if self.skip_to_branch()? => {}
                Ending::Hole => {
                    self.find_hole()?;
                    return Ok(Ending::Hole);
                }
                Ending::Clean => {
                    self.close_branch()?;
                    return Ok(Ending::Clean);
                }
                ending => return Ok(ending),
            }
        }
    }

    /// Takes the next record in; else says why not.
    fn replay_record(&mut self) -> Result<Option<Ending>, DiskError> {
        let found = self.reader.record(&mut self.disk, self.state.end)?;
        let Found::Record { body, check, next } = found else {
            return self.ending(self.state.end, false).map(Some);
        };
        let keys = self.state.keys.count();
        let sound = match Body::read(body) {
            Some(Body::Block(body)) if body.index == self.state.tip.length => {
                let stored = body.into_block(self.state.tip.hash, &mut self.state.keys);
                stored.filter(names_its_place).is_some_and(|stored| {
                    let mut changes = Changes::default();
                    let undo_data = changes.apply_block(&self.state.items, &stored.block);
                    let sound = undo_data == Ok(stored.undo_data);
                    if sound {
                        self.last_reorg = None;
                        self.state.extend(&stored.block, changes, next, check);
                    }
                    sound
                })
            }
            Some(Body::Branch { fork }) if fork <= self.state.tip.length => {
                return self.take_branch(fork, next);
            }
            // Of a branch that was adopted although there was a hole in it.
            Some(Body::Close { length, tip }) if self.open_branch.is_some() => {
                let fits = length == self.state.tip.length && Hash::new(tip) == self.state.tip.hash;
                if fits {
                    (self.state.end, self.state.check) = (next, check);
                    self.open_branch = None;
                }
                fits
            }
            _ => false,
        };
        if sound {
            return Ok(None);
        }
        // A block that is written next would call them by numbers that the file does not explain.
        self.state.keys.truncate(keys);
        self.ending(self.state.end, false).map(Some)
    }

    /// Takes a branch in whose first block is at `offset`. One that ends in damage is taken as far
    /// as it goes if a closing record stands behind that: no branch follows one that was not closed.
    fn take_branch(&mut self, fork: u64, offset: u64) -> Result<Option<Ending>, DiskError> {
        let keys = self.state.keys.count();
        let replayed = self.replay_branch(fork, offset)?;
        match replayed {
            Replayed::Closed => return Ok(None),
            Replayed::Unfit => {}
            Replayed::Unfinished { marks, end, check } => {
                let ending = self.ending(end, true)?;
                if ending == Ending::Hole
                    && self.behind(end)?.closed
                    && let Some(branch) = self.branch.take()
                {
                    self.open_branch = Some(Place {
                        offset: self.state.end,
                        check: self.state.check,
                    });
                    self.reorg(branch, marks, end, check);
                    return Ok(Some(Ending::Hole));
                }
                self.branch = None;
                self.state.keys.truncate(keys);
                // What is behind it is of a branch that never counted.
                let ending = match ending {
                    Ending::Hole => Ending::Damaged,
                    other => other,
                };
                return Ok(Some(ending));
            }
        }
        self.branch = None;
        self.state.keys.truncate(keys);
        self.ending(self.state.end, false).map(Some)
    }

    /// Takes a branch in, block by block.
    fn replay_branch(&mut self, fork: u64, mut offset: u64) -> Result<Replayed, DiskError> {
        let before = self.hash_before(fork)?;
        self.branch = Some(Branch::new(fork, self.state.tip.length, before));
        while !self.unwind(usize::MAX)? {}
        let mut marks: Vec<Mark> = Vec::new();
        let at = offset - CHECK_BYTES as u64;
        let mut last = record::le_u32(self.reader.get(&mut self.disk, at, CHECK_BYTES)?);
        loop {
            let found = self.reader.record(&mut self.disk, offset)?;
            let Found::Record { body, check, next } = found else {
                let (end, check) = (offset, last);
                return Ok(Replayed::Unfinished { marks, end, check });
            };
            let branch = self.branch.as_mut().expect("it was opened above");
            match Body::read(body) {
                Some(Body::Block(body)) => {
                    let stored = body.into_block(branch.tip().hash, &mut self.state.keys);
                    let Some(stored) = stored.filter(names_its_place) else {
                        return Ok(Replayed::Unfit);
                    };
                    let undo_data = branch.extend(&self.state.items, &stored.block);
                    if undo_data != Ok(stored.undo_data) {
                        return Ok(Replayed::Unfit);
                    }
                    mark(&mut marks, &stored.block, offset);
                }
                Some(Body::Close { length, tip })
                    if length == branch.tip().length && Hash::new(tip) == branch.tip().hash =>
                {
                    let branch = self.branch.take().expect("it was opened above");
                    self.last_reorg = Some(self.reorg(branch, marks, next, check));
                    self.open_branch = None;
                    return Ok(Replayed::Closed);
                }
                _ => return Ok(Replayed::Unfit),
            }
            (offset, last) = (next, check);
        }
    }

    /// Behind damage, looks for a closed branch that leaves the chain in front of it: then the
    /// damage is among stale blocks.
    fn skip_to_branch(&mut self) -> Result<bool, DiskError> {
        let (damage, known) = (self.state.end, self.state.keys.clone());
        let mut learned = known.clone();
        let mut from = damage + 1;
        while let Some(offset) = self.next_sound(from)? {
            let found = self.reader.record(&mut self.disk, offset)?;
            let Found::Record { body, next, .. } = found else {
                break;
            };
            match Body::read(body) {
                Some(Body::Branch { fork }) if fork <= self.state.tip.length => {
                    // Its keys may have been met only in what is skipped.
                    self.state.keys = learned.clone();
                    if self.replay_branch(fork, next)? == Replayed::Closed {
                        self.state.stale_bytes += offset - damage;
                        self.passed = true;
                        return Ok(true);
                    }
                    self.branch = None;
                    self.state.keys = known.clone();
                }
                Some(Body::Block(body)) => {
                    // Only its keys are wanted, and those that do not fit are not.
                    let _ = body.into_block(Hash::ZERO, &mut learned);
                }
                _ => {}
            }
            from = next;
        }
        Ok(false)
    }

    /// Closes a branch whose hole is filled and that never came to its closing record. One without
    /// a block is never closed.
    pub(super) fn close_branch(&mut self) -> Result<(), DiskError> {
        if self.open_branch.is_none() || self.state.forked {
            return Ok(());
        }
        self.scratch.clear();
        let check = Body::close(self.state.tip).write(self.state.check, &mut self.scratch);
        let check = check.map_err(too_long(File::Chain))?;
        self.disk
            .write(File::Chain, self.state.end, &self.scratch)?;
        self.sync()?;
        self.state.end += self.scratch.len() as u64;
        self.state.check = check;
        self.open_branch = None;
        Ok(())
    }

    /// What the end of what is sound is called: see the table in [`super::opening`].
    fn ending(&mut self, end: u64, in_branch: bool) -> Result<Ending, DiskError> {
        let stop = match self.reader.record(&mut self.disk, end)? {
            Found::End => Stop::Nothing,
            Found::Torn => Stop::Beginning,
            Found::Bad => Stop::Garbage,
            Found::Record { .. } => Stop::Unexpected,
        };
        let behind = stop != Stop::Nothing && self.behind(end)?.sound;
        Ok(Ending::of(stop, in_branch, behind))
    }

    /// Looks for sound records behind `end`, where none is.
    fn behind(&mut self, end: u64) -> Result<Behind, DiskError> {
        let mut behind = Behind::default();
        let mut from = end + 1;
        while let Some(offset) = self.next_sound(from)? {
            let found = self.reader.record(&mut self.disk, offset)?;
            let Found::Record { body, next, .. } = found else {
                break;
            };
            behind.sound = true;
            behind.closed |= matches!(Body::read(body), Some(Body::Close { .. }));
            from = next;
        }
        Ok(behind)
    }

    /// The offset of the first sound record from `offset` on.
    pub(super) fn next_sound(&mut self, mut offset: u64) -> Result<Option<u64>, DiskError> {
        let size = self.disk.len(File::Chain)?;
        while offset < size {
            if let Found::Record { .. } = self.reader.record(&mut self.disk, offset)? {
                return Ok(Some(offset));
            }
            offset += 1;
        }
        Ok(None)
    }

    /// Cuts what is behind the last record that counts.
    pub(super) fn cut(&mut self, ending: Ending) -> Result<Recovery, DiskError> {
        let size = self.disk.len(File::Chain)?;
        let aside = match ending {
            Ending::Damaged => Some(self.disk.set_aside(File::Chain, self.state.end)?),
            _ => None,
        };
        self.disk.set_len(File::Chain, self.state.end)?;
        self.disk.sync(File::Chain)?;
        self.reader.forget();
        self.close_branch()?;
        Ok(Recovery {
            ending,
            cut: size - self.state.end,
            aside,
            passed: self.passed,
        })
    }
}

/// Whether a block's hash is that of its content, and so of the block before it, which its record
/// leaves out.
fn names_its_place(stored: &StoredBlock) -> bool {
    stored.block.check_alone(0).is_ok()
}

/// The checkpoint, if there is one that can be used.
fn read_checkpoint(disk: &mut impl Disk, reader: &mut RecordReader) -> Option<State> {
    checkpoint::read(disk, reader).unwrap_or_else(|error| {
        log::warn!("{error}: the whole chain file is read");
        None
    })
}

fn read_header(disk: &mut impl Disk) -> Result<Header, DiskError> {
    let mut bytes = [0; HEADER_BYTES];
    let read = disk.read(File::Chain, 0, &mut bytes)?;
    Ok(record::read_header(&bytes[..read]))
}

/// The header that a file with a damaged one had: the one that its first record is chained to.
fn lost_header(disk: &mut impl Disk) -> Result<Option<[u8; HEADER_BYTES]>, DiskError> {
    let mut reader = RecordReader::new(File::Chain);
    let difficulties = 0..=crate::limits::DIFFICULTY_MAX;
    let versions = record::VERSION_FIRST..=record::VERSION;
    let headers = versions.flat_map(|version| {
        let of = move |difficulty| record::header_of(version, difficulty);
        difficulties.clone().map(of)
    });
    for header in headers {
        let check = record::le_u32(&header[HEADER_BYTES - CHECK_BYTES..]);
        if reader.follows(disk, HEADER_BYTES as u64, check)? {
            return Ok(Some(header));
        }
    }
    Ok(None)
}
