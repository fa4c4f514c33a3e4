//! Another chain while it is compared with ours: where it leaves ours, what it does to the items, and
//! its blocks as they are read back from the staging file. `reorg` drives it.

use super::disk::{Disk, DiskError, File};
use super::keys::KeyTable;
use super::mark::{Mark, tip_of};
use super::record::{Body, HEADER_BYTES, StoredBlock};
use super::record_reader::{Found, RecordReader};
use crate::ledger::changes::Undo;
use crate::ledger::{Block, Changes, Hash, Items, RuleError, Timestamp, Tip};
use crate::limits;

/// A chain that leaves ours at `fork`.
pub(super) struct Branch {
    pub(super) fork: u64,
    /// The hash of the block before it.
    pub(super) before: Hash,
    /// Our blocks from this height on are undone in `changes`.
    pub(super) unwound: u64,
    pub(super) tip: Tip,
    pub(super) tip_time: Timestamp,
    pub(super) changes: Changes,
    /// If undoing would change too many items, our blocks up to the fork are applied to an empty
    /// table instead: those below this height are.
    pub(super) rebuilt: u64,
    /// The staging file's records: where the next goes, the last one's check, their keys.
    pub(super) end: u64,
    pub(super) check: u32,
    pub(super) keys: KeyTable,
    pub(super) adoption: Option<Adoption>,
    /// Bytes of our blocks that become stale when the branch is adopted.
    pub(super) stale_bytes: u64,
}

impl Branch {
    /// A branch that leaves a chain of `length` blocks behind the block at `fork - 1`, whose hash
    /// is `before`. `check` begins the first staged record's check.
    pub fn new(fork: u64, length: u64, before: Hash) -> Branch {
        Branch {
            fork,
            before,
            unwound: if fork == 0 { 0 } else { length },
            tip: Tip {
                length: fork,
                hash: before,
            },
            tip_time: Timestamp::Integer(0),
            changes: if fork == 0 {
                Changes::from_nothing()
            } else {
                Changes::default()
            },
            rebuilt: fork,
            end: HEADER_BYTES as u64,
            check: 0,
            keys: KeyTable::default(),
            adoption: None,
            stale_bytes: 0,
        }
    }

    /// Takes the next block into the item table.
    pub fn extend(&mut self, items: &Items, block: &Block) -> Result<Vec<Undo>, RuleError> {
        let unwound = (self.unwound, self.rebuilt) == (self.fork, self.fork);
        assert!(unwound, "the branch is unwound first");
        block.check_link(self.tip.length, &self.tip.hash)?;
        let undo_data = self.changes.apply_block(items, block)?;
        self.tip = tip_of(block);
        self.tip_time = block.timestamp;
        Ok(undo_data)
    }

    /// Undoes a block of ours, while at most `most` items are mentioned by that.
    pub fn take_back(&mut self, stored: &StoredBlock, most: usize) {
        if self.changes.is_from_nothing() {
            return;
        }
        self.changes.undo_block(&stored.block, &stored.undo_data);
        if limits::Full::Rebuilt.when(self.changes.mentioned() > most) {
            (self.changes, self.rebuilt) = (Changes::from_nothing(), 0);
        }
    }

    /// The branch's length and last hash.
    pub fn tip(&self) -> Tip {
        self.tip
    }

    /// Whether it is being copied into the chain file.
    pub fn is_adopted(&self) -> bool {
        self.adoption.is_some()
    }

    /// Our chain takes a block that the branch does not have: a record of `bytes` that makes the
    /// changes `own`.
    pub fn overlay_current(&mut self, items: &Items, own: &Changes, bytes: u64) {
        self.changes.overlay_current(items, own);
        self.stale_bytes += bytes;
    }
}

/// Reads a staged branch from its first block on.
pub struct Staged {
    pub(super) reader: RecordReader,
    pub(super) offset: u64,
    pub(super) height: u64,
    pub(super) prev_hash: Hash,
    pub(super) keys: KeyTable,
}

impl Staged {
    pub(super) fn of(branch: &Branch) -> Staged {
        Staged {
            reader: RecordReader::new(File::Candidate),
            offset: HEADER_BYTES as u64,
            height: branch.fork,
            prev_hash: branch.before,
            keys: KeyTable::default(),
        }
    }

    /// Reads the next staged block; also returns the bytes of its record.
    pub(super) fn read(&mut self, disk: &mut impl Disk) -> Result<(StoredBlock, u64), DiskError> {
        let damaged = || DiskError {
            file: File::Candidate,
            action: "read",
            reason: "what was just written reads back damaged".into(),
        };
        let Found::Record { body, next, .. } = self.reader.record(disk, self.offset)? else {
            return Err(damaged());
        };
        let Some(Body::Block(body)) = Body::read(body) else {
            return Err(damaged());
        };
        let stored = body
            .into_block(self.prev_hash, &mut self.keys)
            .filter(|stored| stored.block.index == self.height)
            .ok_or_else(damaged)?;
        let bytes = next - self.offset;
        self.offset = next;
        self.height += 1;
        self.prev_hash = stored.block.hash;
        Ok((stored, bytes))
    }
}

/// The copying of a branch into the chain file.
pub(super) struct Adoption {
    pub(super) staged: Staged,
    pub(super) marks: Vec<Mark>,
    pub(super) end: u64,
    pub(super) check: u32,
    pub(super) first_key: usize,
}

/// The blocks that a reorg disconnected. They can be read until the next reorg.
#[derive(Clone, Debug)]
pub struct DisconnectedBlocks {
    /// The height of the first one.
    pub from: u64,
    /// The length of the chain that they ended.
    pub to: u64,
    pub(super) marks: Vec<Mark>,
}

impl DisconnectedBlocks {
    /// From where a block is read on; `cursor` is behind one that was read before.
    pub(super) fn place(&self, height: u64, cursor: Option<Mark>) -> Mark {
        let at = self.marks.partition_point(|mark| mark.height <= height);
        let mark = self.marks[at - 1];
        // At the same height the mark wins: another branch may begin there.
        let nearer = |cursor: &Mark| mark.height < cursor.height && cursor.height <= height;
        cursor.filter(nearer).unwrap_or(mark)
    }
}
