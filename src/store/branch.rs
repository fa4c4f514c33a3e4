//! Another chain, from where it leaves ours: staged in a file of its own while it is checked, then
//! appended to the chain file as a branch that counts from its closing record on.
//!
//! The steps are the caller's to drive, so that none of them takes long: `begin`, `unwind` until
//! done, `stage` each block, then `adopt` until done; or `abandon` at any time before that.

use super::disk::{Disk, DiskError, File};
use super::keys::KeyTable;
use super::log::{AppendError, Log, Mark, Read, mark, tip_of};
use super::record::{BlockBody, Body, HEADER_BYTES, StoredBlock, too_long};
use super::window::{Found, Window};
use crate::ledger::changes::Before;
use crate::ledger::{Block, Changes, Hash, Items, RuleError, Timestamp, Tip};
use crate::limits;

/// A chain that leaves ours at `fork`.
pub(super) struct Branch {
    fork: u64,
    /// The hash of the block before it.
    before: Hash,
    /// Our blocks from this height on are taken back in `changes`.
    unwound: u64,
    tip: Tip,
    tip_time: Timestamp,
    pub(super) changes: Changes,
    /// Where taking back would change too many items, our blocks up to the fork are applied to an
    /// empty table instead: those below this height are.
    rebuilt: u64,
    /// The staging file's records: where the next goes, the last one's check, their keys.
    end: u64,
    check: u32,
    keys: KeyTable,
    adoption: Option<Adoption>,
    /// Bytes of our blocks that are not in the branch.
    fallen: u64,
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
            fallen: 0,
        }
    }

    /// Takes the next block into the item table.
    pub fn extend(&mut self, items: &Items, block: &Block) -> Result<Vec<Before>, RuleError> {
        let unwound = (self.unwound, self.rebuilt) == (self.fork, self.fork);
        assert!(unwound, "the branch is unwound first");
        block.check_link(self.tip.length, &self.tip.hash)?;
        let befores = self.changes.apply_block(items, block)?;
        self.tip = tip_of(block);
        self.tip_time = block.timestamp;
        Ok(befores)
    }

    /// Takes a block of ours back, while not more than `most` items are mentioned by that.
    fn take_back(&mut self, stored: &StoredBlock, most: usize) {
        if self.changes.is_from_nothing() {
            return;
        }
        self.changes.undo_block(&stored.block, &stored.befores);
        if self.changes.mentioned() > most {
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

    /// Our chain takes a block, a record of `bytes` that makes the changes `own`; the branch does
    /// not.
    pub fn shield_from(&mut self, items: &Items, own: &Changes, bytes: u64) {
        self.changes.shield_from(items, own);
        self.fallen += bytes;
    }
}

/// Reads a staged branch from its first block on.
pub struct Staged {
    window: Window,
    offset: u64,
    height: u64,
    prev_hash: Hash,
    keys: KeyTable,
}

impl Staged {
    fn of(branch: &Branch) -> Staged {
        Staged {
            window: Window::new(File::Candidate),
            offset: HEADER_BYTES as u64,
            height: branch.fork,
            prev_hash: branch.before,
            keys: KeyTable::default(),
        }
    }
}

/// The copying of a branch into the chain file.
struct Adoption {
    staged: Staged,
    marks: Vec<Mark>,
    end: u64,
    check: u32,
    first_key: usize,
}

/// The blocks that a switch took out of the chain. They can be read until the next switch.
#[derive(Clone, Debug)]
pub struct Fallen {
    /// The height of the first one.
    pub from: u64,
    /// The length of the chain that they ended.
    pub to: u64,
    marks: Vec<Mark>,
}

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

    /// Takes back at most `blocks` of our blocks, and no more when [`limits::BYTES_PER_TURN`] were
    /// read, in the branch's item table; true when it stands as it did before the fork.
    ///
    /// What is taken back of more than half of all items would, with those that the branch brings,
    /// be more than a table of its own: then the blocks up to the fork are read again instead.
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
                branch.changes.apply_known(&stored.block, &stored.befores);
                branch.rebuilt += 1;
            } else {
                branch.fallen += bytes;
                branch.unwound = height;
                branch.take_back(&stored, most);
            }
            if self.is_over(budget) {
                break;
            }
        }
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
        let befores = branch.extend(&self.state.items, block)?;
        self.scratch.clear();
        let body = Body::Block(BlockBody::new(block, &befores, &mut branch.keys));
        let check = body.write(branch.check, &mut self.scratch)?;
        let end = branch.end + self.scratch.len() as u64;
        if end > self.bounds.staging {
            return Err(RuleError::ChainTooLong(self.bounds.staging).into());
        }
        self.disk
            .write(File::Candidate, branch.end, &self.scratch)?;
        (branch.check, branch.end) = (check, end);
        self.scratch.shrink_to(limits::WINDOW_BYTES);
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

    /// Copies at most `blocks` of the branch, and no more behind [`limits::BYTES_PER_TURN`], into the
    /// chain file. When all are there, makes them
    /// durable and switches to them, at once: before that, not even a power cut shows any of it.
    /// Nothing may be appended in the meantime.
    pub fn adopt(&mut self, blocks: usize) -> Result<Option<Fallen>, DiskError> {
        self.check_writable()?;
        assert!(self.gap.is_none(), "a hole is filled or given up first");
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
                Ok(Some(self.switch(branch, marks, end, check)))
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
        self.window.forget();
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
            let body = Body::Block(BlockBody::new(&stored.block, &stored.befores, keys));
            let check = body.write(adoption.check, &mut self.scratch);
            adoption.check = check.map_err(too_long(File::Candidate))?;
        }
        self.disk.write(File::Chain, start, &self.scratch)?;
        adoption.end = start + self.scratch.len() as u64;
        let done = adoption.staged.height == branch.tip.length;
        if done {
            // A closing record that can be read proves that all its blocks were durable.
            self.sync()?;
            self.scratch.clear();
            let check = Body::close(branch.tip).write(adoption.check, &mut self.scratch);
            adoption.check = check.map_err(too_long(File::Chain))?;
            self.disk.write(File::Chain, adoption.end, &self.scratch)?;
            adoption.end += self.scratch.len() as u64;
            self.sync()?;
        }
        self.scratch.shrink_to(limits::WINDOW_BYTES);
        Ok(done)
    }

    /// The branch, whose blocks begin at `added` in the chain file, is the chain from now on.
    pub(super) fn switch(
        &mut self,
        branch: Branch,
        added: Vec<Mark>,
        end: u64,
        check: u32,
    ) -> Fallen {
        let to = self.state.tip.length;
        // Where no block is shared, none was unwound, and all that is there is garbage.
        self.state.garbage = match branch.fork {
            0 => self.state.end - HEADER_BYTES as u64,
            _ => self.state.garbage + branch.fallen,
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
        Fallen {
            from: branch.fork,
            to,
            marks: old,
        }
    }

    /// Reads a block that fell out of the chain.
    pub fn read_fallen(&mut self, fallen: &Fallen, height: u64) -> Result<StoredBlock, DiskError> {
        assert!(
            (fallen.from..fallen.to).contains(&height),
            "it did not fall out"
        );
        Ok(self.read_from(fallen.place(height, None), height)?.stored)
    }
}

impl Fallen {
    /// From where a block is read on; `cursor` is behind one that was read before.
    pub(super) fn place(&self, height: u64, cursor: Option<Mark>) -> Mark {
        let at = self.marks.partition_point(|mark| mark.height <= height);
        let mark = self.marks[at - 1];
        // At the same height the mark wins: another branch may begin there.
        let nearer = |cursor: &Mark| mark.height < cursor.height && cursor.height <= height;
        cursor.filter(nearer).unwrap_or(mark)
    }
}

impl Staged {
    /// Reads the next staged block; its record's bytes are told besides.
    fn read(&mut self, disk: &mut impl Disk) -> Result<(StoredBlock, u64), DiskError> {
        let damaged = || DiskError {
            file: File::Candidate,
            action: "read",
            reason: "what was just written reads back damaged".into(),
        };
        let Found::Record { body, next, .. } = self.window.record(disk, self.offset)? else {
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
