//! What a log holds in memory of its file, and what its calls give.

use core::fmt;

use super::disk::DiskError;
use super::keys::KeyTable;
use super::mark::{Mark, mark, tip_of};
use super::record::StoredBlock;
use crate::ledger::{Block, Changes, Hash, Items, RuleError, Timestamp, Tip};

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

/// A block that was read back.
pub(super) struct Read {
    pub stored: StoredBlock,
    /// The size of its record.
    pub bytes: u64,
    /// Where the next record begins.
    pub after: Mark,
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
    /// The last block is not what stands last in the file: the chain ends at the fork of a branch
    /// of which no block is left.
    pub forked: bool,
    /// Bytes of stale blocks.
    pub stale_bytes: u64,
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
            forked: false,
            stale_bytes: 0,
            verified: None,
        }
    }

    /// Takes the next block, whose record lies from `self.end` to `end`.
    pub fn extend(&mut self, block: &Block, changes: Changes, end: u64, check: u32) {
        self.items.commit(changes);
        match core::mem::take(&mut self.forked) {
            // From the mark before, reading would go on to what the branch replaced.
            true => self.marks.push(Mark::of(block, self.end)),
            false => mark(&mut self.marks, block, self.end),
        }
        self.tip = tip_of(block);
        self.tip_time = block.timestamp;
        (self.end, self.check) = (end, check);
    }
}
