//! Damage in the middle of the chain file: what comes behind it is kept, the hole is filled with
//! the blocks that were there, and everything is as it was.
//!
//! A block has only one record: the same block, behind the same blocks, is written with the same
//! bytes. So a hole is filled in place by writing the missing blocks, which any peer can tell,
//! once more; and that they are the right ones is proved by the record behind the hole, whose
//! check was made over the check of the record in front of it. Until that proof is there nothing
//! is written. These are the only bytes of the file that are ever written twice, and no others
//! than those that failed their check.
//!
//! While there is a hole the chain ends in front of it. What cannot be filled, because nobody has
//! the blocks, is given up in the end: copied into a file beside and cut, and what can be read behind it
//! is made again (`behind`).

use super::disk::{Disk, DiskError, File};
use super::log::Log;
use super::mark::{Place, tip_of};
use super::opening::{Ending, Recovery};
use super::record::{BlockBody, Body, HEADER_BYTES};
use super::record_reader::Found;
use super::state::{AppendError, State};
use super::unfinished::{Filling, Hole};
use crate::ledger::{Block, Changes, Hash};

/// What became of a block that might fill a hole.
#[derive(Debug, PartialEq, Eq)]
pub enum Filled {
    /// It may be one of several.
    More,
    /// The hole is filled, and the chain goes on behind it.
    Done,
    /// It is not what was there.
    Unfit,
}

impl<D: Disk> Log<D> {
    /// If there is a hole behind the chain: the length that the chain had before.
    pub fn hole(&self) -> Option<u64> {
        self.hole
            .as_ref()
            .map(|hole| hole.length.max(self.tip().length.saturating_add(1)))
    }

    /// Remembers the hole at the end of the state, behind which something sound stands.
    pub(super) fn find_hole(&mut self) -> Result<(), DiskError> {
        let mut hole: Option<Hole> = None;
        let mut from = self.state.end + 1;
        while let Some(offset) = self.next_sound(from)? {
            let found = self.reader.record(&mut self.disk, offset)?;
            let Found::Record { body, next, .. } = found else {
                break;
            };
            let hole = hole.get_or_insert(Hole {
                next: offset,
                length: 0,
                filling: None,
            });
            if let Some(Body::Block(body)) = Body::read(body) {
                hole.length = body.index.saturating_add(1);
            }
            from = next;
        }
        self.hole = hole;
        Ok(())
    }

    /// Begins to fill the hole anew.
    pub fn begin_filling(&mut self) {
        if let Some(hole) = &mut self.hole {
            hole.filling = Some(Filling {
                bytes: Vec::new(),
                tip: self.state.tip,
                check: self.state.check,
                keys: self.state.keys.clone(),
                changes: Changes::default(),
            });
        }
    }

    /// Takes a block that is said to follow the chain, or the ones that were taken before. Its
    /// hash, work and signatures have been checked.
    pub fn fill_hole(&mut self, block: &Block) -> Result<Filled, AppendError> {
        let Some(hole) = &mut self.hole else {
            return Ok(Filled::Unfit);
        };
        let Some(filling) = &mut hole.filling else {
            return Ok(Filled::Unfit);
        };
        block.check_link(filling.tip.length, &filling.tip.hash)?;
        let undo_data = filling.changes.apply_block(&self.state.items, block)?;
        let body = Body::Block(BlockBody::new(block, &undo_data, &mut filling.keys));
        filling.check = body.write(filling.check, &mut filling.bytes)?;
        filling.tip = tip_of(block);
        let end = self.state.end + filling.bytes.len() as u64;
        if end < hole.next {
            return Ok(Filled::More);
        }
        if end > hole.next {
            hole.filling = None;
            return Ok(Filled::Unfit);
        }
        let (bytes, check, next) = (
            core::mem::take(&mut filling.bytes),
            filling.check,
            hole.next,
        );
        hole.filling = None;
        if !self.reader.follows(&mut self.disk, next, check)? {
            return Ok(Filled::Unfit);
        }
        self.check_writable()?;
        let written = self.disk.write(File::Chain, self.state.end, &bytes);
        if let Err(error) = written.and_then(|()| self.sync()) {
            // Nothing is cut: what is behind the hole is sound.
            return Err(self.stop(error).into());
        }
        self.reader.forget();
        // What follows is sound and not known: a block that is added must not be written over it.
        self.take_up().map_err(|error| self.stop(error))?;
        Ok(Filled::Done)
    }

    /// Goes on reading behind the state's end.
    fn take_up(&mut self) -> Result<(), DiskError> {
        self.hole = None;
        let ending = self.replay()?;
        self.end_reading(ending).map(|_| ())
    }

    /// Cuts what does not count; says what that was.
    fn end_reading(&mut self, ending: Ending) -> Result<Option<Recovery>, DiskError> {
        match ending {
            Ending::Clean | Ending::Hole => Ok(None),
            ending => self.cut(ending).map(Some),
        }
    }

    /// Gives up what is behind the hole: its blocks go into a file from which they are made again, all
    /// of it is copied into another one beside, whose name this returns, and cut. The chain can grow
    /// again.
    ///
    /// Of a branch that is given up from its first block on nothing stays in the file, for a branch
    /// without a block would have to be closed behind blocks that are no longer the chain's. Until
    /// a block comes, a start finds the chain that the branch had replaced.
    pub fn give_up(&mut self) -> Result<Option<String>, DiskError> {
        let Some(hole) = &self.hole else {
            return Ok(None);
        };
        let next = hole.next;
        self.check_writable()?;
        self.given_up = self.save_behind(next)?;
        let end = Place {
            offset: self.state.end,
            check: self.state.check,
        };
        let empty = self.open_branch.filter(|_| self.state.forked);
        let Place { offset, check } = empty.unwrap_or(end);
        let name = self.disk.set_aside(File::Chain, offset)?;
        self.hole = None;
        (self.state.end, self.state.check) = (offset, check);
        if empty.is_some() {
            self.open_branch = None;
        }
        let cut = self.disk.set_len(File::Chain, self.state.end);
        if let Err(error) = cut.and_then(|()| self.sync()) {
            return Err(self.fail(error));
        }
        self.reader.forget();
        match self.close_branch() {
            Ok(()) => Ok(Some(name)),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Reads the whole file again, as after a start without a checkpoint: damage that was found
    /// while running becomes a hole that can be filled. What was cut, because nothing sound stood
    /// behind the damage, is returned.
    pub fn reopen(&mut self) -> Result<Option<Recovery>, DiskError> {
        self.check_writable()?;
        self.abandon();
        self.compaction = None;
        (self.hole, self.open_branch) = (None, None);
        self.reader.forget();
        self.forget_cursor();
        self.forget_damage();
        let begin = State::new(HEADER_BYTES as u64, self.first_check);
        let before = core::mem::replace(&mut self.state, begin);
        let cut = match self.replay() {
            Ok(ending) => self.end_reading(ending).map_err(|error| self.stop(error))?,
            Err(error) => {
                // Whatever cannot be read now is there all the same.
                self.state = before;
                (self.hole, self.open_branch, self.branch) = (None, None, None);
                self.forget_cursor();
                return Err(error);
            }
        };
        self.last_reorg = None;
        Ok(cut)
    }

    /// The hash that a block behind the chain, or behind what fills its hole so far, must name.
    pub fn filling_tip(&self) -> Option<(u64, Hash)> {
        let filling = self.hole.as_ref()?.filling.as_ref()?;
        Some((filling.tip.length, filling.tip.hash))
    }
}
