//! Writing the chain file anew without stale blocks.
//!
//! The new file is written beside the old one, a bounded piece at a time, while the old one goes
//! on growing; when it has caught up it is synced and takes the old one's name. A power cut leaves
//! one or the other, whole.

use super::disk::{Disk, DiskError, File};
use super::log::Log;
use super::mark::mark;
use super::record::{self, BlockBody, Body, HEADER_BYTES, too_long};
use super::unfinished::Compaction;
use crate::limits;

impl<D: Disk> Log<D> {
    /// Whether so much of the file is stale that writing it anew is worth the wear.
    pub fn wants_compaction(&self) -> bool {
        let halves = self.state.stale_bytes * 2 > self.state.end;
        let open = self
            .branch
            .as_ref()
            .is_some_and(|branch| branch.is_adopted());
        halves
            && self.state.end > limits::COMPACT_BYTES_MIN
            && !open
            && self.hole.is_none()
            && !self.no_compaction
            && self.fault().is_none()
    }

    /// Copies at most `blocks` of the chain into a new file; true when that has taken the old
    /// one's place. On an error the old one stays as it is, and no other try is wanted.
    pub fn compact(&mut self, blocks: usize) -> Result<bool, DiskError> {
        self.check_writable()?;
        let step = self.compact_step(blocks);
        self.no_compaction = step.is_err();
        step
    }

    fn compact_step(&mut self, blocks: usize) -> Result<bool, DiskError> {
        assert!(self.hole.is_none(), "a hole is filled or given up first");
        let mut compaction = match self.compaction.take() {
            Some(compaction) => compaction,
            None => self.begin_compaction()?,
        };
        if self.copy_blocks(&mut compaction, blocks)? {
            self.disk.sync(File::Compacted)?;
            // Nobody knows which file has the name now: a block that went into the old one could
            // be gone at the next start.
            if let Err(error) = self.disk.rename(File::Compacted, File::Chain) {
                return Err(self.stop(error));
            }
            self.state.keys = compaction.keys;
            self.state.marks = compaction.marks;
            self.first_check = compaction.first_check;
            (self.state.end, self.state.check) = (compaction.end, compaction.check);
            (self.state.stale_bytes, self.state.forked) = (0, false);
            self.checkpointed = HEADER_BYTES as u64;
            self.reader.forget();
            self.forget_cursor();
            return Ok(true);
        }
        self.compaction = Some(compaction);
        Ok(false)
    }

    fn begin_compaction(&mut self) -> Result<Compaction, DiskError> {
        let header = record::header(self.difficulty());
        self.disk.set_len(File::Compacted, 0)?;
        self.disk.write(File::Compacted, 0, &header)?;
        let check = record::le_u32(&header[HEADER_BYTES - record::CHECK_BYTES..]);
        Ok(Compaction {
            end: HEADER_BYTES as u64,
            check,
            first_check: check,
            ..Compaction::default()
        })
    }

    fn copy_blocks(&mut self, into: &mut Compaction, blocks: usize) -> Result<bool, DiskError> {
        let length = self.tip().length;
        let mut bytes = Vec::new();
        for height in into.next..length.min(into.next + blocks as u64) {
            if bytes.len() as u64 >= limits::BYTES_PER_TURN {
                break;
            }
            let stored = self.read(height)?;
            let offset = into.end + bytes.len() as u64;
            mark(&mut into.marks, &stored.block, offset);
            let body = BlockBody::new(&stored.block, &stored.undo_data, &mut into.keys);
            let check = Body::Block(body).write(into.check, &mut bytes);
            into.check = check.map_err(too_long(File::Compacted))?;
            into.next = height + 1;
        }
        self.disk.write(File::Compacted, into.end, &bytes)?;
        into.end += bytes.len() as u64;
        // Not all at the end: a sync of the whole file would stop everything for long.
        if into.end - into.synced > limits::COPY_SYNC_BYTES {
            self.disk.sync(File::Compacted)?;
            into.synced = into.end;
        }
        Ok(!limits::Full::TurnCompacted.when(into.next < length))
    }
}
