//! The chain as it is stored: append, read back, and what can be told without reading.
//!
//! The file only grows. In memory stays what grows slowly: the items, the keys, and a mark for
//! every [`limits::MARK_SPACING`] blocks that says where they begin.

use core::time::Duration;

use super::bounds::Bounds;
use super::branch::{Branch, DisconnectedBlocks};
use super::disk::{Disk, DiskError, File};
use super::mark::{Mark, Place, tip_of};
use super::record::{BlockBody, Body, StoredBlock};
use super::record_reader::{Found, RecordReader};
use super::state::{AppendError, Read, State, Verified};
use super::unfinished::{Compaction, Hole};
use crate::ledger::changes::Undo;
use crate::ledger::{Block, Changes, Hash, Items, Timestamp, Tip};
use crate::limits;

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
    pub(super) reader: RecordReader,
    pub(super) scratch: Vec<u8>,
    pub(super) branch: Option<Branch>,
    pub(super) last_reorg: Option<DisconnectedBlocks>,
    pub(super) hole: Option<Hole>,
    /// Blocks that stood behind damage are to be made again.
    pub(super) given_up: bool,
    /// The last branch was adopted without its closing record, since there is a hole in it: where
    /// it begins.
    pub(super) open_branch: Option<Place>,
    /// Reading passed over damage among stale blocks.
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
    /// Bytes of records that were read so far.
    bytes_read: u64,
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
        reader: RecordReader,
    ) -> Log<D> {
        Log {
            disk,
            checkpointed: state.end,
            state,
            reader,
            scratch: Vec::new(),
            branch: None,
            last_reorg: None,
            hole: None,
            given_up: false,
            open_branch: None,
            passed: false,
            first_check,
            compaction: None,
            no_compaction: false,
            bounds: Bounds::NONE,
            syncs: Syncs::default(),
            cursor: None,
            bytes_read: 0,
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

    /// From now on what is beyond these bounds is refused. What the file has already stays.
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

    /// Bytes of it that hold stale blocks.
    pub fn stale_bytes(&self) -> u64 {
        self.state.stale_bytes
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

    /// The blocks that a reorg disconnected, if the file was opened and ends with that reorg: the
    /// node that made it had no time to deal with their transactions.
    pub fn take_last_reorg(&mut self) -> Option<DisconnectedBlocks> {
        self.last_reorg.take()
    }

    /// Whether blocks stood behind damage that was given up, and are in [`File::Behind`]: told once.
    pub fn take_given_up(&mut self) -> bool {
        core::mem::take(&mut self.given_up)
    }

    /// Adds a block to the chain. It is durable when this returns.
    ///
    /// The caller has checked what can be told of the block alone, and its signatures; its place,
    /// its size ([`limits::RECORD_BODY_MAX`]) and what it does to the items are checked here. Nothing
    /// in a block that comes alone may be void, which the caller has checked as well.
    pub fn append(&mut self, block: &Block) -> Result<(), AppendError> {
        assert!(
            self.branch
                .as_ref()
                .is_none_or(|branch| !branch.is_adopted()),
            "a branch is being adopted"
        );
        assert!(self.hole.is_none(), "a hole is filled or given up first");
        block.check_link(self.state.tip.length, &self.state.tip.hash)?;
        let mut changes = Changes::default();
        let undo_data = changes.apply_block(&self.state.items, block)?;
        self.check_writable()?;
        self.scratch.clear();
        let keys_before = self.state.keys.count();
        let written = self.write_block(block, &undo_data);
        let (start, check) = match written {
            Ok(written) => written,
            Err(error) => {
                self.state.keys.truncate(keys_before);
                return Err(match error {
                    AppendError::Disk(error) => self.fail(error).into(),
                    rule => rule,
                });
            }
        };
        if let Some(branch) = &mut self.branch {
            branch.overlay_current(&self.state.items, &changes, self.scratch.len() as u64);
        }
        let end = self.state.end + self.scratch.len() as u64;
        self.state.end += start;
        self.state.extend(block, changes, end, check);
        self.scratch.shrink_to(limits::FILE_READ_BYTES);
        Ok(())
    }

    /// Writes a block's record behind the last one, durably. At a fork that the file does not tell
    /// of, it is a branch of one block. Returns where the record begins in what was written, which
    /// stays in `scratch`, and the last check.
    fn write_block(
        &mut self,
        block: &Block,
        undo_data: &[Undo],
    ) -> Result<(u64, u32), AppendError> {
        let (mut check, forked) = (self.state.check, self.state.forked);
        let mut ends = Vec::with_capacity(3);
        if forked {
            let fork = self.state.tip.length;
            check = Body::Branch { fork }.write(check, &mut self.scratch)?;
            ends.push(self.scratch.len());
        }
        let start = self.scratch.len() as u64;
        let body = Body::Block(BlockBody::new(block, undo_data, &mut self.state.keys));
        check = body.write(check, &mut self.scratch)?;
        ends.push(self.scratch.len());
        if forked {
            check = Body::close(tip_of(block)).write(check, &mut self.scratch)?;
            ends.push(self.scratch.len());
        }
        let mut from = 0;
        // One after the other, as in a reorg: each record proves that those before it are there.
        for end in ends {
            let at = self.state.end + from as u64;
            self.disk.write(File::Chain, at, &self.scratch[from..end])?;
            self.sync()?;
            from = end;
        }
        Ok((start, check))
    }

    pub(super) fn check_writable(&self) -> Result<(), DiskError> {
        self.fault.clone().map_or(Ok(()), Err)
    }

    /// Remembers a failed write. What it left behind is cut off if the disk can still do that;
    /// otherwise the next start cuts it. Nobody was told of it.
    pub(super) fn fail(&mut self, error: DiskError) -> DiskError {
        if let Err(second) = self.disk.set_len(File::Chain, self.state.end) {
            log::error!("{second}");
        }
        self.stop(error)
    }

    /// Remembers an error after which nothing more is written.
    pub(super) fn stop(&mut self, error: DiskError) -> DiskError {
        self.fault = Some(error.clone());
        error
    }

    /// The point from which [`Log::is_over`] counts: a call that reads much stops by it.
    pub fn budget(&self) -> u64 {
        self.bytes_read + limits::BYTES_PER_TURN
    }

    /// Counts a record of another file.
    pub(super) fn count_read(&mut self, bytes: u64) {
        self.bytes_read += bytes;
    }

    /// Whether [`limits::BYTES_PER_TURN`] of records were read since this budget was given.
    pub fn is_over(&self, budget: u64) -> bool {
        self.bytes_read >= budget
    }

    /// Reads a block of the chain back.
    pub fn read(&mut self, height: u64) -> Result<StoredBlock, DiskError> {
        Ok(self.read_record(height)?.stored)
    }

    /// Reads a block of the chain back, with the place of its record.
    pub(super) fn read_record(&mut self, height: u64) -> Result<Read, DiskError> {
        if height >= self.state.tip.length {
            return Err(DiskError {
                file: File::Chain,
                action: "read",
                reason: format!("it has no block {height}"),
            });
        }
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
        let named = match self.state.marks.get(at) {
            _ if height + 1 == self.state.tip.length => Some(self.state.tip.hash),
            Some(next) if next.height == height + 1 => Some(next.prev_hash),
            _ => None,
        };
        let read = self.read_from(from, height).and_then(|read| {
            // Known without reading, so what is handed out ends where the next part begins.
            match named.is_none_or(|hash| hash == read.stored.block.hash) {
                true => Ok(read),
                false => Err(damaged(height, from.offset)),
            }
        });
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
        let marks = &self.state.marks;
        let next = marks.binary_search_by_key(&(height + 1), |mark| mark.height);
        if let Ok(next) = next {
            return Ok(marks[next].prev_hash);
        }
        Ok(self.read(height)?.block.hash)
    }

    /// The branches of the file have changed, so what follows a block may be another one.
    pub(super) fn forget_cursor(&mut self) {
        self.cursor = None;
    }

    /// Reads on from a mark to the block at `height`; also returns the mark behind it.
    pub(super) fn read_from(&mut self, mut from: Mark, height: u64) -> Result<Read, DiskError> {
        let damaged = |offset| damaged(height, offset);
        loop {
            let found = self.reader.record(&mut self.disk, from.offset)?;
            let Found::Record { body, next, .. } = found else {
                return Err(damaged(from.offset));
            };
            self.bytes_read += next - from.offset;
            match Body::read(body) {
                Some(Body::Block(body)) if body.index == from.height => {
                    let hash = Hash::new(body.hash);
                    let after = Mark {
                        height: from.height + 1,
                        offset: next,
                        prev_hash: hash,
                    };
                    if from.height == height {
                        let keys = self.state.keys.count();
                        let block = body.into_block(from.prev_hash, &mut self.state.keys);
                        self.state.keys.truncate(keys);
                        return Ok(Read {
                            stored: block.ok_or_else(|| damaged(from.offset))?,
                            bytes: next - from.offset,
                            after,
                        });
                    }
                    from = after;
                }
                // Where a branch begins there is a mark.
                Some(Body::Close { .. }) => from.offset = next,
                _ => return Err(damaged(from.offset)),
            }
        }
    }
}

fn damaged(height: u64, offset: u64) -> DiskError {
    DiskError {
        file: File::Chain,
        action: "read",
        reason: format!("block {height} is damaged at byte {offset}"),
    }
}
