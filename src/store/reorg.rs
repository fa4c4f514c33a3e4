//! Taking another chain in the place of ours: staged in a file of its own while it is checked, then
//! appended to the chain file as a branch that counts from its closing record on.
//!
//! The steps are the caller's to drive, so that none of them takes long: `begin`, `unwind` until
//! done, `stage` each block, then `adopt` until done; or `abandon` at any time before that.

use super::branch::{Adoption, Branch, DisconnectedBlocks, Staged};
use super::disk::{Disk, DiskError, File};
use super::log::Log;
use super::mark::{Mark, mark};
use super::record::{BlockBody, Body, HEADER_BYTES, StoredBlock, too_long};
use super::state::{AppendError, Read};
use crate::ledger::{Block, Hash, RuleError, Timestamp, Tip};
use crate::limits;

impl<D: Disk> Log<D> {
    /// Begins a branch whose first block stands at height `fork`, at most our length.
    pub fn begin(&mut self, fork: u64) -> Result<(), DiskError> {
        self.check_writable()?;
        let before = self.hash_before(fork)?;
        self.disk.set_len(File::Candidate, 0)?;
        self.branch = Some(Branch::new(fork, self.state.tip.length, before));
        Ok(())
    }

    /// What a block at `height` names as the block before it.
    pub(super) fn hash_before(&mut self, height: u64) -> Result<Hash, DiskError> {
        height
            .checked_sub(1)
            .map_or(Ok(Hash::ZERO), |before| self.hash(before))
    }

    /// Undoes at most `blocks` of our blocks in the branch's item table, and no further one after
    /// [`limits::BYTES_PER_TURN`] were read; true when the table is as it was before the fork.
    ///
    /// Undoing more than half of all items would, together with those that the branch brings, take
    /// more than a table of its own: then the blocks up to the fork are read again instead.
    pub fn unwind(&mut self, blocks: usize) -> Result<bool, DiskError> {
        let most = self.bounds.items.min(limits::ITEMS_MAX) / 2;
        let budget = self.budget();
        for _ in 0..blocks {
            let branch = self.branch.as_ref().expect("a branch is open");
            let down = branch.unwound > branch.fork;
            let height = match down {
                true => branch.unwound - 1,
                false if branch.rebuilt < branch.fork => branch.rebuilt,
                false => return Ok(true),
            };
            let Read { stored, bytes, .. } = self.read_record(height)?;
            let branch = self.branch.as_mut().expect("a branch is open");
            if !down {
                branch.changes.apply_known(&stored.block, &stored.undo_data);
                branch.rebuilt += 1;
            } else {
                branch.stale_bytes += bytes;
                branch.unwound = height;
                branch.take_back(&stored, most);
            }
            if self.is_over(budget) {
                break;
            }
        }
        limits::Full::TurnUnwound.ran();
        Ok(false)
    }

    /// The branch's length and last hash.
    pub fn branch_tip(&self) -> Option<Tip> {
        self.branch.as_ref().map(|branch| branch.tip)
    }

    /// The time of the branch's last block; zero where that cannot be read.
    pub fn branch_time(&mut self) -> Timestamp {
        let zero = Timestamp::Integer(0);
        let Some(branch) = &self.branch else {
            return zero;
        };
        if branch.tip.length > branch.fork {
            return branch.tip_time;
        }
        let last = branch.fork.checked_sub(1);
        let read = last.and_then(|height| self.read(height).ok());
        read.map_or(zero, |read| read.block.timestamp)
    }

    /// Adds a block to the branch. As in [`Log::append`], the caller has checked its hash, work
    /// and signatures; not durable, and nothing of it counts yet. After an error the branch can only
    /// be abandoned.
    pub fn stage(&mut self, block: &Block) -> Result<(), AppendError> {
        let branch = self.branch.as_mut().expect("a branch is open");
        let undo_data = branch.extend(&self.state.items, block)?;
        self.scratch.clear();
        let body = Body::Block(BlockBody::new(block, &undo_data, &mut branch.keys));
        let check = body.write(branch.check, &mut self.scratch)?;
        let end = branch.end + self.scratch.len() as u64;
        if limits::Full::StagingFull.when(end > self.bounds.staging) {
            return Err(RuleError::ChainTooLong(self.bounds.staging).into());
        }
        self.disk
            .write(File::Candidate, branch.end, &self.scratch)?;
        (branch.check, branch.end) = (check, end);
        self.scratch.shrink_to(limits::FILE_READ_BYTES);
        Ok(())
    }

    /// The height at which the branch leaves our chain.
    pub fn branch_fork(&self) -> Option<u64> {
        self.branch.as_ref().map(|branch| branch.fork)
    }

    /// Where reading the branch begins.
    ///
    /// # Panics
    /// Without a branch.
    pub fn staged(&self) -> Staged {
        Staged::of(self.branch.as_ref().expect("a branch is open"))
    }

    /// The next block of the branch; `None` at its end.
    pub fn next_staged(&mut self, staged: &mut Staged) -> Result<Option<StoredBlock>, DiskError> {
        let end = self.branch.as_ref().map_or(0, |branch| branch.tip.length);
        if staged.height >= end {
            return Ok(None);
        }
        let (stored, bytes) = staged.read(&mut self.disk)?;
        self.count_read(bytes);
        Ok(Some(stored))
    }

    /// Drops the branch without a trace in the chain file.
    pub fn abandon(&mut self) {
        let Some(branch) = self.branch.take() else {
            return;
        };
        assert!(branch.adoption.is_none(), "an adoption is carried through");
        if let Err(error) = self.disk.set_len(File::Candidate, 0) {
            log::warn!("{error}");
        }
    }

    /// Copies at most `blocks` of the branch into the chain file, and no further one after
    /// [`limits::BYTES_PER_TURN`]. When all are there, makes them durable and the branch our chain, at
    /// once: before that, not even a power cut shows any of it. Nothing may be appended in the
    /// meantime.
    pub fn adopt(&mut self, blocks: usize) -> Result<Option<DisconnectedBlocks>, DiskError> {
        self.check_writable()?;
        assert!(self.hole.is_none(), "a hole is filled or given up first");
        let mut branch = self.branch.take().expect("a branch is open");
        assert!(branch.tip.length > branch.fork, "a branch has blocks");
        match self.copy(&mut branch, blocks) {
            Ok(false) => {
                self.branch = Some(branch);
                Ok(None)
            }
            Ok(true) => {
                let adoption = branch.adoption.take().expect("everything was copied");
                // A power cut here would leave a file that the next branch overwrites.
                if let Err(error) = self.disk.set_len(File::Candidate, 0) {
                    log::warn!("{error}");
                }
                let Adoption {
                    marks, end, check, ..
                } = adoption;
                Ok(Some(self.reorg(branch, marks, end, check)))
            }
            Err(error) => {
                if let Some(adoption) = branch.adoption {
                    self.state.keys.truncate(adoption.first_key);
                }
                Err(match error.file {
                    File::Candidate => self.drop_copied(error),
                    _ => self.fail(error),
                })
            }
        }
    }

    /// The staged blocks cannot be read, for which the chain file is not to blame: it goes on
    /// without those that were copied.
    fn drop_copied(&mut self, error: DiskError) -> DiskError {
        self.reader.forget();
        match self.disk.set_len(File::Chain, self.state.end) {
            Ok(()) => error,
            Err(worse) => self.stop(worse),
        }
    }

    fn copy(&mut self, branch: &mut Branch, blocks: usize) -> Result<bool, DiskError> {
        let staged = Staged::of(branch);
        let adoption = match &mut branch.adoption {
            Some(adoption) => adoption,
            empty => {
                self.scratch.clear();
                let record = Body::Branch { fork: branch.fork };
                let check = record.write(self.state.check, &mut self.scratch);
                let check = check.map_err(too_long(File::Chain))?;
                self.disk
                    .write(File::Chain, self.state.end, &self.scratch)?;
                // Before any block of it: else a power cut could leave blocks without the record
                // that says that they do not count yet, and they would look like a chain with a
                // hole in front.
                self.disk.sync(File::Chain)?;
                empty.insert(Adoption {
                    staged,
                    marks: Vec::new(),
                    end: self.state.end + self.scratch.len() as u64,
                    check,
                    first_key: self.state.keys.count(),
                })
            }
        };
        self.scratch.clear();
        let start = adoption.end;
        for _ in 0..blocks {
            let full = self.scratch.len() as u64 >= limits::BYTES_PER_TURN;
            if adoption.staged.height == branch.tip.length || full {
                break;
            }
            let (stored, _) = adoption.staged.read(&mut self.disk)?;
            mark(
                &mut adoption.marks,
                &stored.block,
                start + self.scratch.len() as u64,
            );
            let keys = &mut self.state.keys;
            let body = Body::Block(BlockBody::new(&stored.block, &stored.undo_data, keys));
            let check = body.write(adoption.check, &mut self.scratch);
            adoption.check = check.map_err(too_long(File::Candidate))?;
        }
        self.disk.write(File::Chain, start, &self.scratch)?;
        adoption.end = start + self.scratch.len() as u64;
        let done = adoption.staged.height == branch.tip.length;
        if !limits::Full::TurnAdopted.when(!done) {
            // A closing record that can be read proves that all its blocks were durable.
            self.sync()?;
            self.scratch.clear();
            let check = Body::close(branch.tip).write(adoption.check, &mut self.scratch);
            adoption.check = check.map_err(too_long(File::Chain))?;
            self.disk.write(File::Chain, adoption.end, &self.scratch)?;
            adoption.end += self.scratch.len() as u64;
            self.sync()?;
        }
        self.scratch.shrink_to(limits::FILE_READ_BYTES);
        Ok(done)
    }

    /// The branch, whose blocks begin at `added` in the chain file, is the chain from now on.
    pub(super) fn reorg(
        &mut self,
        branch: Branch,
        added: Vec<Mark>,
        end: u64,
        check: u32,
    ) -> DisconnectedBlocks {
        let to = self.state.tip.length;
        // If no block is shared, none was undone, and all that is there is stale.
        self.state.stale_bytes = match branch.fork {
            0 => self.state.end - HEADER_BYTES as u64,
            _ => self.state.stale_bytes + branch.stale_bytes,
        };
        self.compaction = None;
        self.state.forked = added.is_empty();
        let marks = &mut self.state.marks;
        let kept = marks.partition_point(|mark| mark.height < branch.fork);
        let mut old = marks.split_off(kept);
        if let Some(last) = marks.last() {
            old.insert(0, *last);
        }
        marks.extend(added);
        self.state.items.commit(branch.changes);
        self.state.tip = branch.tip;
        self.state.tip_time = branch.tip_time;
        (self.state.end, self.state.check) = (end, check);
        self.forget_cursor();
        DisconnectedBlocks {
            from: branch.fork,
            to,
            marks: old,
        }
    }

    /// Reads a disconnected block.
    pub fn read_disconnected(
        &mut self,
        disconnected: &DisconnectedBlocks,
        height: u64,
    ) -> Result<StoredBlock, DiskError> {
        assert!(
            (disconnected.from..disconnected.to).contains(&height),
            "it did not fall out"
        );
        Ok(self
            .read_from(disconnected.place(height, None), height)?
            .stored)
    }
}
