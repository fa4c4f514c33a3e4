//! Taking another chain: compared with ours while it streams in, checked from where it differs,
//! adopted at once, and what fell out of ours made again.

use super::gossip::invalid;
use super::lines::{Held, Origin, Slot};
use super::orphans::Orphan;
use super::{Millis, Node};
use crate::ledger::{Block, Hash};
use crate::limits;
use crate::store::branch::Fallen;
use crate::store::disk::{Disk, DiskError};
use crate::store::log::{AppendError, Log};
use crate::store::repair::Mended;
use crate::wire::message::InvalidBlock;
use crate::wire::write::Intent;

/// What is going on. There is one candidate at a time; other chains are skipped and asked for again.
pub enum Sync {
    /// Nothing.
    Free,
    /// A peer's chain streams in.
    Candidate(Candidate),
    /// It won. Until it is in place nothing else may touch the chain.
    Settling(Settling),
}

/// A chain that is being looked at.
pub struct Candidate {
    line: usize,
    /// The height and the previous hash that its next block must have.
    next: u64,
    prev_hash: Hash,
    /// Its last block is not one of ours.
    forked: bool,
    /// Blocks and signatures since then: a chain that trickles must not keep the others waiting.
    progress: usize,
    since: Millis,
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

    /// A block of it has been dealt with.
    fn advance(&mut self, block: &Block) {
        self.next += 1;
        self.prev_hash = block.hash;
        self.progress += 1;
    }
}

/// A switch on its way.
pub struct Settling {
    /// The line it came from; none if that was before a restart.
    source: Option<usize>,
    equal: bool,
    stage: Stage,
}

pub enum Stage {
    /// The branch is being copied into the chain file.
    Adopting,
    /// What fell out is being read for transactions of ours.
    Collecting {
        fallen: Fallen,
        next: u64,
        lost: Vec<Orphan>,
    },
    /// Those that the new chain has too are being struck off.
    Comparing { next: u64, lost: Vec<Orphan> },
}

impl Sync {
    /// Whether a new candidate may begin.
    pub fn is_free(&self) -> bool {
        matches!(self, Sync::Free)
    }

    /// Goes on where a switch was cut off by the end of the process: the chain is in place, and
    /// what fell out is still to be seen to.
    pub fn resume(last_switch: Option<Fallen>) -> Sync {
        last_switch.map_or(Sync::Free, |fallen| {
            let (next, lost) = (fallen.from, Vec::new());
            Sync::Settling(Settling {
                source: None,
                equal: false,
                stage: Stage::Collecting { fallen, next, lost },
            })
        })
    }

    /// The candidate has come so many blocks or signatures further.
    pub fn progress(&mut self, count: usize) {
        if let Sync::Candidate(candidate) = self {
            candidate.progress += count;
        }
    }

    /// When it has to be looked at again.
    pub fn deadline(&self) -> Option<Millis> {
        match self {
            Sync::Candidate(candidate) => Some(Millis(candidate.since.0 + limits::STALL_MS)),
            Sync::Free | Sync::Settling(_) => None,
        }
    }

    /// Whether nothing else may touch the chain.
    pub fn is_settling(&self) -> bool {
        matches!(self, Sync::Settling(_))
    }
}

impl<D: Disk> Node<D> {
    /// Looks after the time: gives a candidate up that trickles, and asks for a chain that was
    /// skipped.
    pub(super) fn tend_sync(&mut self) {
        let now = self.now.mono;
        match &mut self.sync {
            Sync::Settling(_) => self.excuse_peers(),
            Sync::Candidate(candidate) if now.0 >= candidate.since.0 + limits::STALL_MS => {
                let enough = candidate.progress >= limits::PROGRESS_MIN;
                (candidate.progress, candidate.since) = (0, now);
                let line = candidate.line;
                if !enough {
                    self.hang_up(line, "its chain comes too slowly", None);
                }
            }
            Sync::Candidate(_) => {}
            Sync::Free => {
                let mut peers = self.slots.iter_mut().filter_map(Slot::peer);
                let due = peers.find(|peer| peer.deferred.is_some_and(|at| at <= now));
                if let Some(peer) = due {
                    peer.deferred = None;
                    peer.ask();
                }
            }
        }
    }

    /// Another chain may be looked at now: the first that was skipped is asked for at once.
    fn freed(&mut self) {
        let mut peers = self.slots.iter_mut().filter_map(Slot::peer);
        if let Some(peer) = peers.find(|peer| peer.deferred.is_some()) {
            peer.deferred = Some(self.now.mono);
        }
    }

    /// The time that went by was ours.
    pub(super) fn excuse_peers(&mut self) {
        for peer in self.slots.iter_mut().filter_map(Slot::peer) {
            peer.excuse(self.now.mono);
        }
    }

    /// The next block of the chain that a peer sends.
    pub(super) fn chain_block(&mut self, line: usize, block: Box<Block>) {
        if self.sync.is_free() && self.log.fault().is_none() {
            let (next, prev_hash) = (0, Hash::ZERO);
            self.sync = Sync::Candidate(Candidate {
                line,
                next,
                prev_hash,
                forked: false,
                progress: 0,
                since: self.now.mono,
            });
            self.log.begin_mending();
        }
        let Some(peer) = self.slots[line].peer() else {
            return;
        };
        let candidate = match &mut self.sync {
            Sync::Candidate(candidate) if candidate.line == line => candidate,
            Sync::Free => return peer.reader.skip_line(),
            _ => {
                // It is not kept waiting: while it is not read it cannot answer, nor be answered.
                peer.reader.skip_line();
                peer.asked = false;
                peer.deferred = Some(Millis(self.now.mono.0 + limits::DEFERRED_MS));
                return;
            }
        };
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
        let place = Some((candidate.next, candidate.prev_hash));
        let helps = !candidate.forked && !peer.no_help && self.log.mending_tip() == place;
        if !helps && !candidate.forked {
            candidate.forked = true;
            if let Err(error) = self.log.begin(block.index) {
                return self.candidate_failed(line, &error);
            }
        }
        let origin = if helps { Origin::Hole } else { Origin::Chain };
        let next = 0;
        peer.held = Some(Held {
            block,
            origin,
            next,
        });
    }

    /// A block of the candidate whose signatures are good.
    pub(super) fn stage(&mut self, line: usize, block: Box<Block>) {
        let staged = match self.log.unwind(limits::BLOCKS_PER_TURN) {
            Ok(false) => {
                self.sync.progress(limits::BLOCKS_PER_TURN);
                let next = block.transactions.len();
                if let Some(peer) = self.slots[line].peer() {
                    peer.held = Some(Held {
                        block,
                        origin: Origin::Chain,
                        next,
                    });
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
                self.drop_candidate(line);
                if let Some(peer) = self.slots[line].peer() {
                    // It is told anew, and then looked at like any other chain.
                    peer.no_help = true;
                    peer.reader.skip_line();
                    peer.ask();
                }
            }
            Err(AppendError::Rule(error)) => {
                self.chain_invalid(line, &invalid(block, error));
            }
            Err(AppendError::Disk(error)) => {
                self.drop_candidate(line);
                self.disk_failed(&error);
            }
        }
    }

    /// A peer's chain is complete.
    pub(super) fn chain_end(&mut self, line: usize) {
        let Some(peer) = self.slots[line].peer() else {
            return;
        };
        peer.asked = false;
        let user_asked = core::mem::take(&mut peer.user_asked);
        let ask_again = peer.seen;
        let ours = self.log.tip();
        let theirs = match &self.sync {
            Sync::Candidate(candidate) if candidate.line == line => Some(candidate.next),
            _ => None,
        };
        let length = theirs.unwrap_or(0);
        let branch = theirs.and_then(|_| self.log.branch_tip());
        // While there is a hole, what is behind it counts too.
        let whole = self.log.gap().unwrap_or(0);
        let wins = branch.is_some_and(|tip| tip.beats(&ours) && tip.length > whole);
        if user_asked || wins {
            self.notify(&format!(
                "[consensus 📡] received chain (length {length}) vs ours (length {})",
                ours.length
            ));
        }
        if wins && self.give_up_hole() {
            let equal = length == ours.length;
            self.sync = Sync::Settling(Settling {
                source: Some(line),
                equal,
                stage: Stage::Adopting,
            });
            return;
        }
        if theirs.is_some() {
            self.drop_candidate(line);
        }
        if user_asked {
            self.notify("[consensus ℹ️] kept current chain (already longest)");
        }
        if ask_again >= ours.length
            && let Some(peer) = self.slots[line].peer()
        {
            peer.ask();
        }
    }

    /// Forgets the candidate of a line, if it has one.
    pub(super) fn drop_candidate(&mut self, line: usize) {
        if let Sync::Candidate(candidate) = &self.sync
            && candidate.line == line
        {
            self.log.abandon();
            self.sync = Sync::Free;
            self.freed();
        }
        if let Some(peer) = self.slots[line].peer() {
            (peer.asked, peer.user_asked) = (false, false);
        }
    }

    /// A chain breaks a rule.
    pub(super) fn chain_invalid(&mut self, line: usize, reason: &str) {
        self.drop_candidate(line);
        if let Some(peer) = self.slots[line].peer() {
            peer.reader.skip_line();
        }
        self.notify(&format!(
            "[consensus ❌] peer chain failed validation: {reason}"
        ));
        self.strike(line, reason);
    }

    /// A chain could not be looked at, through no fault of the peer.
    fn candidate_failed(&mut self, line: usize, error: &DiskError) {
        self.drop_candidate(line);
        if let Some(peer) = self.slots[line].peer() {
            peer.reader.skip_line();
        }
        self.notify(&format!(
            "[store ❌] a peer's chain was not looked at: {error}."
        ));
    }

    /// Goes on with a switch, a bounded step at a time.
    pub(super) fn settle(&mut self) {
        let Sync::Settling(mut settling) = core::mem::replace(&mut self.sync, Sync::Free) else {
            return;
        };
        let stage = match settling.stage {
            Stage::Adopting => match self.log.adopt(limits::BLOCKS_PER_TURN) {
                Ok(None) => Some(Stage::Adopting),
                Ok(Some(fallen)) => {
                    self.adopted(&fallen, settling.equal);
                    let next = fallen.from;
                    // The new chain may have what an earlier one lacked.
                    let lost = self.pool.take_orphans();
                    Some(Stage::Collecting { fallen, next, lost })
                }
                Err(error) if self.log.fault().is_none() => {
                    self.notify(&format!(
                        "[store ❌] a peer's chain was not taken: {error}."
                    ));
                    // Asked again at once, it could fail like this for ever.
                    settling.source = None;
                    None
                }
                Err(error) => {
                    self.log.abandon();
                    self.disk_failed(&error);
                    None
                }
            },
            Stage::Collecting { fallen, next, lost } => self.collect(fallen, next, lost),
            Stage::Comparing { next, lost } => self.compare(next, lost),
        };
        match stage {
            Some(stage) => {
                settling.stage = stage;
                self.sync = Sync::Settling(settling);
            }
            None => self.settled(settling.source),
        }
    }

    fn adopted(&mut self, fallen: &Fallen, equal: bool) {
        for slot in &mut self.slots {
            if let Some(peer) = slot.peer() {
                peer.writer.switched(fallen.from);
            }
        }
        let length = self.log.tip().length;
        self.notify(&if equal {
            format!("[consensus ✅] adopted equally long chain, its last hash is lower ({length} blocks)")
        } else {
            format!("[consensus ✅] adopted longer chain ({length} blocks)")
        });
    }

    fn settled(&mut self, source: Option<usize>) {
        self.freed();
        self.tip_changed();
        let tip = self.log.tip();
        self.relay(Intent::Block(tip.length - 1), source);
        if let Some(source) = source
            && let Some(peer) = self.slots[source].peer()
            && peer.seen >= tip.length
        {
            peer.ask();
        }
    }
}
