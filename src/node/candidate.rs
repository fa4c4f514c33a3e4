//! A chain that streams in, block by block: passed over where it is ours, checked and staged from
//! where it differs.

use super::gossip::invalid;
use super::lines::Origin;
use super::orphans::is_remade;
use super::sync::Sync;
use super::{Millis, Node};
use crate::ledger::{Block, Hash};
use crate::limits;
use crate::store::disk::{Disk, DiskError};
use crate::store::log::{AppendError, Log};
use crate::store::repair::Mended;
use crate::wire::message::InvalidBlock;

/// A chain that is being looked at.
pub struct Candidate {
    pub(super) line: usize,
    /// The height and the previous hash that its next block must have.
    pub(super) next: u64,
    pub(super) prev_hash: Hash,
    /// Its last block is not one of ours.
    pub(super) forked: bool,
    /// Its blocks have the same transactions as ours, as far as ours go.
    pub(super) same: bool,
    /// It was asked to go on where its last answer ended.
    pub(super) continued: bool,
    /// Blocks and signatures since then: a chain that trickles must not keep the others waiting.
    pub(super) progress: usize,
    pub(super) since: Millis,
}

impl Candidate {
    /// Passes over a block that our chain has too; false if it does not.
    fn share<D: Disk>(&mut self, log: &mut Log<D>, block: &Block) -> Result<bool, DiskError> {
        if block.index >= log.tip().length || log.hash(block.index)? != block.hash {
            return Ok(false);
        }
        self.advance(block);
        Ok(true)
    }

    /// Compares a block that is not ours with the one of ours at its height.
    fn measure<D: Disk>(&mut self, log: &mut Log<D>, block: &Block) -> Result<(), DiskError> {
        if self.same && block.index < log.tip().length {
            self.same = is_remade(&log.read(block.index)?.block, block);
        }
        Ok(())
    }

    /// A block of it has been dealt with.
    fn advance(&mut self, block: &Block) {
        self.next += 1;
        self.prev_hash = block.hash;
        self.progress += 1;
    }
}

impl<D: Disk> Node<D> {
    /// The next block of the chain that a peer sends.
    pub(super) fn chain_block(&mut self, line: usize, block: Box<Block>) {
        if self.begin_candidate(line, &block) {
            self.candidate_block(line, block);
        }
    }

    /// Whether a block belongs to the candidate, which begins with it if there is none. If it does
    /// not, the rest of its line is passed over.
    fn begin_candidate(&mut self, line: usize, block: &Block) -> bool {
        let now = self.now.mono;
        if let Sync::Candidate(candidate) = &mut self.sync
            && candidate.line == line
        {
            let again = core::mem::take(&mut candidate.continued);
            let goes_on = (candidate.next, candidate.prev_hash) == (block.index, block.prev_hash);
            if goes_on || !again {
                return true;
            }
            // Its chain is another one than when its last answer began.
            self.log.abandon();
            self.sync = Sync::Free;
        }
        let busy = !self.sync.is_free();
        let Some(peer) = self.slots[line].peer() else {
            return false;
        };
        if peer.unfollowed.is_some() {
            peer.skip();
            return false;
        }
        if busy {
            // It is not kept waiting: while it is not read it cannot answer, nor be answered.
            peer.skip();
            peer.deferred = Some(Millis(now.0 + limits::DEFERRED_MS));
            return false;
        }
        if self.log.fault().is_some() {
            peer.skip();
            return false;
        }
        let ours = peer.is_ours();
        let prev_hash = match self.log.tip().length {
            length if (1..=length).contains(&block.index) => self.log.hash(block.index - 1),
            _ => Ok(Hash::ZERO),
        };
        let links = match prev_hash {
            Ok(hash) => hash == block.prev_hash && (block.index > 0) == (hash != Hash::ZERO),
            Err(error) => {
                self.candidate_failed(line, &error);
                return false;
            }
        };
        if !links && ours {
            // A part of a chain that is no longer the same, there or here.
            if let Some(peer) = self.slots[line].peer() {
                peer.skip();
                peer.deferred = Some(Millis(now.0 + limits::LOOK_AGAIN_MS));
            }
            return false;
        }
        let (next, prev_hash) = match links {
            true => (block.index, block.prev_hash),
            false => (0, Hash::ZERO),
        };
        self.sync = Sync::Candidate(Candidate {
            line,
            next,
            prev_hash,
            forked: false,
            same: true,
            continued: false,
            progress: 0,
            since: now,
        });
        self.log.begin_mending();
        true
    }

    fn candidate_block(&mut self, line: usize, block: Box<Block>) {
        let goal = self.slots[line].peer().and_then(|peer| peer.goal());
        let Sync::Candidate(candidate) = &mut self.sync else {
            return;
        };
        self.progress.at(self.now.mono, line, candidate.next, goal);
        if !candidate.forked && block.index == candidate.next {
            match candidate.share(&mut self.log, &block) {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => return self.candidate_failed(line, &error),
            }
        }
        let alone = block.check_link(candidate.next, &candidate.prev_hash);
        let alone = alone.and_then(|()| block.check_alone(self.log.difficulty()));
        if let Err(error) = alone {
            let text = InvalidBlock {
                index: Some(candidate.next),
                error,
            }
            .to_string();
            return self.chain_invalid(line, &text);
        }
        if let Err(error) = candidate.measure(&mut self.log, &block) {
            return self.candidate_failed(line, &error);
        }
        let Some(peer) = self.slots[line].peer() else {
            return;
        };
        let place = Some((candidate.next, candidate.prev_hash));
        let helps = !candidate.forked && !peer.no_help && self.log.mending_tip() == place;
        if !helps && !candidate.forked {
            candidate.forked = true;
            if let Err(error) = self.log.begin(block.index) {
                return self.candidate_failed(line, &error);
            }
        }
        let origin = if helps { Origin::Hole } else { Origin::Chain };
        peer.hold(block, origin, 0);
    }

    /// A block of the candidate whose signatures are good.
    pub(super) fn stage(&mut self, line: usize, block: Box<Block>) {
        let staged = match self.log.unwind(limits::BLOCKS_PER_TURN) {
            Ok(false) => {
                self.sync.progress(limits::BLOCKS_PER_TURN);
                let next = block.transactions.len();
                if let Some(peer) = self.slots[line].peer() {
                    peer.hold(block, Origin::Chain, next);
                }
                return;
            }
            Ok(true) => self.log.stage(&block),
            Err(error) => Err(AppendError::Disk(error)),
        };
        match (staged, &mut self.sync) {
            (Ok(()), Sync::Candidate(candidate)) => {
                candidate.advance(&block);
            }
            (Ok(()), _) => unreachable!("a staged block belongs to a candidate"),
            (Err(AppendError::Rule(error)), _) if error.is_limit() => {
                self.not_followed(line, &error);
            }
            (Err(AppendError::Rule(error)), _) => {
                self.chain_invalid(line, &invalid(&block, error));
            }
            (Err(AppendError::Disk(error)), _) => self.candidate_failed(line, &error),
        }
    }

    /// A block of the candidate that may fill the hole in our chain, and whose signatures are good.
    pub(super) fn mend(&mut self, line: usize, block: &Block) {
        let mended = self.log.mend(block);
        if let (Ok(Mended::More | Mended::Done), Sync::Candidate(candidate)) =
            (&mended, &mut self.sync)
        {
            candidate.advance(block);
        }
        match mended {
            Ok(Mended::More) => {}
            Ok(Mended::Done) => {
                self.repaired();
                self.log.begin_mending();
                self.tip_changed();
            }
            Ok(Mended::Unfit) => {
                self.drop_candidate(line, None);
                if let Some(peer) = self.slots[line].peer() {
                    // It is told anew, and then looked at like any other chain.
                    peer.no_help = true;
                    peer.skip();
                    peer.ask(self.now.mono);
                }
            }
            Err(AppendError::Rule(error)) => {
                self.chain_invalid(line, &invalid(block, error));
            }
            Err(AppendError::Disk(error)) => {
                self.drop_candidate(line, Some("its chain was not looked at"));
                self.disk_failed(&error);
            }
        }
    }
}
