//! Places in the chain file: where a block begins, and where a record does.

use crate::ledger::{Block, Hash, Tip};
use crate::limits;

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

impl Mark {
    /// Where this block begins.
    pub(super) fn of(block: &Block, offset: u64) -> Mark {
        Mark {
            height: block.index,
            offset,
            prev_hash: block.prev_hash,
        }
    }
}

/// A chain that ends with this block.
pub(super) fn tip_of(block: &Block) -> Tip {
    Tip {
        length: block.index + 1,
        hash: block.hash,
    }
}

/// Adds the mark of a block if it needs one: the first after a hole, and one whenever enough blocks
/// or bytes lie behind the last mark.
pub(super) fn mark(marks: &mut Vec<Mark>, block: &Block, offset: u64) {
    let far = |last: &Mark| offset.saturating_sub(last.offset) >= limits::MARK_BYTES;
    let due = block.index.is_multiple_of(limits::MARK_SPACING);
    if due || marks.last().is_none_or(far) {
        marks.push(Mark::of(block, offset));
    }
}

/// Where a record begins, and the check of the one in front of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub offset: u64,
    pub check: u32,
}
