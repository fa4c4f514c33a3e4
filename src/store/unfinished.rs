//! What a log may be in the middle of, beside a branch.

use super::keys::KeyTable;
use super::mark::Mark;
use crate::ledger::{Changes, Tip};

/// A chain file that is being written without stale blocks.
#[derive(Default)]
pub(super) struct Compaction {
    /// The next block to copy.
    pub(super) next: u64,
    pub(super) keys: KeyTable,
    pub(super) marks: Vec<Mark>,
    pub(super) end: u64,
    pub(super) check: u32,
    /// What the first record's check begins with.
    pub(super) first_check: u32,
    /// The end of what was synced.
    pub(super) synced: u64,
}

/// A hole in the chain file: from the end of what is sound in front of it to the next sound record.
pub(super) struct Hole {
    /// The offset of the first sound record behind it.
    pub(super) next: u64,
    /// The length of the chain with what is behind it.
    pub(super) length: u64,
    pub(super) filling: Option<Filling>,
}

/// The blocks of a hole as far as somebody has told them, in memory only.
pub(super) struct Filling {
    pub(super) bytes: Vec<u8>,
    pub(super) tip: Tip,
    pub(super) check: u32,
    pub(super) keys: KeyTable,
    pub(super) changes: Changes,
}
