//! The chain as it is stored: append, read back, and what can be told without reading.
//!
//! The file only grows. In memory stays what grows slowly: the items, the keys, and a mark for
//! every [`limits::MARK_SPACING`] blocks that says where they begin.

use core::fmt;
use core::time::Duration;

use super::branch::{Branch, Fallen};
use super::compact::Compaction;
use super::disk::{Disk, DiskError, File};
use super::keys::KeyTable;
use super::record::{BlockBody, Body, StoredBlock};
use super::repair::Gap;
use super::window::{Found, Window};
use crate::ledger::{Block, Changes, Hash, Items, RuleError, Timestamp, Tip};
use crate::limits;

/// Why a block was not added.
#[derive(Debug, PartialEq)]
pub enum AppendError {
    /// It breaks a rule.
    Rule(RuleError),
    /// The disk did not take it, or did not take an earlier one.
    Disk(DiskError),
}

impl From<RuleError> for AppendError {
    fn from(error: RuleError) -> AppendError {
        AppendError::Rule(error)
    }
}

impl From<DiskError> for AppendError {
    fn from(error: DiskError) -> AppendError {
        AppendError::Disk(error)
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AppendError::Rule(error) => error.fmt(f),
            AppendError::Disk(error) => error.fmt(f),
        }
    }
}

/// The last time that the whole chain was read back from the file and found good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verified {
    /// Seconds since 1970.
    pub seconds: f64,
    /// The chain's length then.
    pub length: u64,
}

/// What this node holds of chains at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Items in a chain.
    pub items: usize,
    /// Bytes of a chain that is compared with ours.
    pub staging: u64,
}

impl Bounds {
    /// Whatever comes is held: for what a user brings himself.
    pub const NONE: Bounds = Bounds {
        items: usize::MAX,
        staging: u64::MAX,
    };
}

/// Where a block begins. 48 bytes, so less than a byte of memory for a block of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The block's height.
    pub height: u64,
    /// Its record's offset.
    pub offset: u64,
    /// The hash of the block before.
    pub prev_hash: Hash,
}

/// A block that was read back.
pub(super) struct Read {
    pub stored: StoredBlock,
    /// The size of its record.
    pub bytes: u64,
    /// Where the next record begins.
    pub after: Mark,
}

/// Adds the mark of a block if it needs one: the first after a gap, and one every so many blocks or bytes.
pub(super) fn mark(marks: &mut Vec<Mark>, block: &Block, offset: u64) {
    let far = |last: &Mark| offset.saturating_sub(last.offset) >= limits::MARK_BYTES;
    let due = block.index.is_multiple_of(limits::MARK_SPACING);
    if due || marks.last().is_none_or(far) {
        marks.push(Mark {
            height: block.index,
            offset,
            prev_hash: block.prev_hash,
        });
    }
}

/// What the records up to `end` say.
pub(super) struct State {
    /// The offset behind the last record that counts.
    pub end: u64,
    /// That record's check.
    pub check: u32,
    pub keys: KeyTable,
    pub marks: Vec<Mark>,
    pub tip: Tip,
    pub tip_time: Timestamp,
    pub items: Items,
    /// Bytes of blocks that fell out of the chain.
    pub garbage: u64,
    pub verified: Option<Verified>,
}

impl State {
    /// The state behind a file's header.
    pub fn new(end: u64, check: u32) -> State {
        State {
            end,
            check,
            keys: KeyTable::default(),
            marks: Vec::new(),
            tip: Tip {
                length: 0,
                hash: Hash::ZERO,
            },
            tip_time: Timestamp::Integer(0),
            items: Items::default(),
            garbage: 0,
            verified: None,
        }
    }

    /// Takes the next block, whose record lies from `self.end` to `end`.
    pub fn extend(&mut self, block: &Block, changes: Changes, end: u64, check: u32) {
        assert_eq!(block.prev_hash, self.tip.hash, "a block extends the tip");
        self.items.commit(changes);
        mark(&mut self.marks, block, self.end);
        self.tip = Tip {
            length: block.index + 1,
            hash: block.hash,
        };
        self.tip_time = block.timestamp;
        (self.end, self.check) = (end, check);
    }
}

/// How long the disk took to make a block durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Syncs {
    /// The last time.
    pub last: Duration,
    /// The longest time since the start.
    pub slowest: Duration,
}

/// The chain in its file.
pub struct Log<D> {
    pub(super) disk: D,
    pub(super) state: State,
    pub(super) window: Window,
    pub(super) scratch: Vec<u8>,
    pub(super) branch: Option<Branch>,
    pub(super) last_switch: Option<Fallen>,
    pub(super) gap: Option<Gap>,
    /// The last branch was taken in without its closing record, for there is a hole in it.
    pub(super) open_branch: bool,
    /// Replaying passed over damage in what had fallen out of the chain.
    pub(super) passed: bool,
    /// What the first record's check begins with.
    pub(super) first_check: u32,
    pub(super) compaction: Option<Compaction>,
    /// One has failed in this run.
    pub(super) no_compaction: bool,
    /// The end of what the checkpoint file knows.
    pub(super) checkpointed: u64,
    pub(super) bounds: Bounds,
    syncs: Syncs,
    /// The record behind the block that was read last.
    cursor: Option<Mark>,
    fault: Option<DiskError>,
    /// A block that could not be read back.
    damaged: Option<u64>,
    difficulty: u8,
}

impl<D: Disk> Log<D> {
    pub(super) fn new(
        disk: D,
        difficulty: u8,
        first_check: u32,
        state: State,
        window: Window,
    ) -> Log<D> {
        Log {
            disk,
            checkpointed: state.end,
            state,
            window,
            scratch: Vec::new(),
            branch: None,
            last_switch: None,
            gap: None,
            open_branch: false,
            passed: false,
            first_check,
            compaction: None,
            no_compaction: false,
            bounds: Bounds::NONE,
            syncs: Syncs::default(),
            cursor: None,
            fault: None,
            damaged: None,
            difficulty,
        }
    }

    /// The chain's length and its last block's hash.
    pub fn tip(&self) -> Tip {
        self.state.tip
    }

    /// The last block's time.
    pub fn tip_time(&self) -> Timestamp {
        self.state.tip_time
    }

    /// Who holds what.
    pub fn items(&self) -> &Items {
        &self.state.items
    }

    /// From now on what goes beyond these bounds is refused. What the file has stays.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
        self.state.items.set_max(bounds.items);
    }

    /// Leading hexadecimal zeros of a block's hash; fixed when the file was made.
    pub fn difficulty(&self) -> u8 {
        self.difficulty
    }

    /// The file's size in bytes.
    pub fn bytes(&self) -> u64 {
        self.state.end
    }

    /// Bytes of it that only hold blocks that fell out of the chain.
    pub fn garbage(&self) -> u64 {
        self.state.garbage
    }

    /// The last time that the whole chain was found good.
    pub fn verified(&self) -> Option<Verified> {
        self.state.verified
    }

    /// Notes that the whole chain was found good; kept over a restart where there is a checkpoint.
    pub fn note_verified(&mut self, verified: Verified) {
        self.state.verified = Some(verified);
        if self.state.end >= limits::CHECKPOINT_BYTES && self.may_checkpoint() {
            self.write_checkpoint();
        }
    }

    /// How long syncs take.
    pub fn syncs(&self) -> Syncs {
        self.syncs
    }

    /// Makes the chain file durable.
    pub(super) fn sync(&mut self) -> Result<(), DiskError> {
        let took = self.disk.sync(File::Chain)?;
        self.syncs.last = took;
        self.syncs.slowest = self.syncs.slowest.max(took);
        Ok(())
    }

    /// The first write or sync that failed. From then on nothing more is written.
    pub fn fault(&self) -> Option<&DiskError> {
        self.fault.as_ref()
    }

    /// A block that could not be read back since the file was opened.
    pub fn damaged(&self) -> Option<u64> {
        self.damaged
    }

    pub(super) fn forget_damage(&mut self) {
        self.damaged = None;
    }

    /// The disk, for the files beside the chain.
    pub fn disk(&mut self) -> &mut D {
        &mut self.disk
    }

    /// What a switch took out of the chain, if the file was opened and ended with that switch:
    /// whoever made it had no time to see to what fell out.
    pub fn take_last_switch(&mut self) -> Option<Fallen> {
        self.last_switch.take()
    }

    /// Adds a block to the chain. It is durable when this returns.
    ///
    /// The caller has checked what can be told of the block alone, and its signatures; its place
    /// and what it does to the items are checked here.
    pub fn append(&mut self, block: &Block) -> Result<(), AppendError> {
        assert!(
            self.branch
                .as_ref()
                .is_none_or(|branch| !branch.is_adopted()),
            "a branch is being adopted"
        );
        assert!(self.gap.is_none(), "a hole is filled or given up first");
        block.check_link(self.state.tip.length, &self.state.tip.hash)?;
        let mut changes = Changes::default();
        let befores = changes.apply_block(&self.state.items, block)?;
        self.check_writable()?;
        self.scratch.clear();
        let keys_before = self.state.keys.count();
        let body = Body::Block(BlockBody::new(block, &befores, &mut self.state.keys));
        let check = body.write(self.state.check, &mut self.scratch);
        let end = self.state.end + self.scratch.len() as u64;
        let written = self.disk.write(File::Chain, self.state.end, &self.scratch);
        if let Err(error) = written.and_then(|()| self.sync()) {
            self.state.keys.truncate(keys_before);
            return Err(self.fail(error).into());
        }
        if let Some(branch) = &mut self.branch {
            branch.shield_from(&self.state.items, &changes, self.scratch.len() as u64);
        }
        self.state.extend(block, changes, end, check);
        self.scratch.shrink_to(limits::WINDOW_BYTES);
        Ok(())
    }

    pub(super) fn check_writable(&self) -> Result<(), DiskError> {
        self.fault.clone().map_or(Ok(()), Err)
    }

    /// Remembers a failed write. What it left behind is cut off as far as the disk still does
    /// that; otherwise the next start cuts it, and nobody was told of it.
    pub(super) fn fail(&mut self, error: DiskError) -> DiskError {
        if let Err(second) = self.disk.set_len(File::Chain, self.state.end) {
            log::error!("{second}");
        }
        self.window.forget();
        self.stop(error)
    }

    /// Remembers an error after which nothing more is written.
    pub(super) fn stop(&mut self, error: DiskError) -> DiskError {
        self.fault = Some(error.clone());
        error
    }

    /// Reads a block of the chain back.
    pub fn read(&mut self, height: u64) -> Result<StoredBlock, DiskError> {
        Ok(self.read_record(height)?.stored)
    }

    /// Reads a block of the chain back, with the place of its record.
    pub(super) fn read_record(&mut self, height: u64) -> Result<Read, DiskError> {
        assert!(height < self.state.tip.length, "the chain is shorter");
        let at = self
            .state
            .marks
            .partition_point(|mark| mark.height <= height);
        let mut from = self.state.marks[at - 1];
        // A mark of the same height wins: a branch may begin there, elsewhere in the file.
        if let Some(cursor) = self.cursor
            && from.height < cursor.height
            && cursor.height <= height
        {
            from = cursor;
        }
        let read = self.read_from(from, height);
        if read.is_err() {
            self.damaged.get_or_insert(height);
        }
        let read = read?;
        self.cursor = Some(read.after);
        Ok(read)
    }

    /// The hash of a block of the chain.
    pub fn hash(&mut self, height: u64) -> Result<Hash, DiskError> {
        if height + 1 == self.state.tip.length {
            return Ok(self.state.tip.hash);
        }
        Ok(self.read(height)?.block.hash)
    }

    /// The branches of the file have changed, so what follows a block may be another one.
    pub(super) fn forget_cursor(&mut self) {
        self.cursor = None;
    }

    /// Reads on from a mark to the block at `height`; also returns the mark behind it.
    pub(super) fn read_from(&mut self, mut from: Mark, height: u64) -> Result<Read, DiskError> {
        let damaged = |offset| DiskError {
            file: File::Chain,
            action: "read",
            reason: format!("block {height} is damaged at byte {offset}"),
        };
        loop {
            let found = self.window.record(&mut self.disk, from.offset)?;
            let Found::Record { body, next, .. } = found else {
                return Err(damaged(from.offset));
            };
            match Body::read(body) {
                Some(Body::Block(body)) if body.index == from.height => {
                    let hash = Hash::new(body.hash);
                    let after = Mark {
                        height: from.height + 1,
                        offset: next,
                        prev_hash: hash,
                    };
                    if from.height == height {
                        let block = body.into_block(from.prev_hash, &mut self.state.keys);
                        return Ok(Read {
                            stored: block.ok_or_else(|| damaged(from.offset))?,
                            bytes: next - from.offset,
                            after,
                        });
                    }
                    from = after;
                }
                Some(Body::Branch { .. } | Body::Close { .. }) => from.offset = next,
                _ => return Err(damaged(from.offset)),
            }
        }
    }
}
