//! A switch on its way, in bounded steps: the branch is put in place, and what fell out is seen
//! to. And a chain that lost, which is read for what ours lacks.

use std::collections::BTreeMap;

use super::Node;
use super::lines::Slot;
use super::orphans::Sorting;
use super::sync::Sync;
use crate::ledger::items::Before;
use crate::ledger::{Hash, Kind, Transaction, Uid};
use crate::limits;
use crate::store::branch::{Fallen, Staged};
use crate::store::disk::Disk;
use crate::store::fallen::Saving;
use crate::wire::write::Intent;

/// A switch.
pub struct Settling {
    /// The line it came from; none if that was before a restart.
    pub source: Option<usize>,
    /// The chain is as long as ours was.
    pub equal: bool,
    /// The length and last hash of what is being put in place, if the rest was asked for already.
    pub goes_on: Option<(u64, Hash)>,
    /// What is being done.
    pub stage: Stage,
}

/// What is being done about a switch.
pub enum Stage {
    /// The branch is being copied into the chain file.
    Adopting,
    /// The two chains are compared block by block, up to where their transactions differ.
    Differing { fallen: Fallen, next: u64 },
    /// What fell out from there on is being read.
    Collecting(Box<Sorting>),
    /// What the new chain has too is being struck off.
    Comparing { sorting: Box<Sorting>, next: u64 },
    /// The branch that fell out is being kept for `blx export --branch`.
    Saving { fallen: Fallen, saving: Saving },
}

/// A chain that lost, while it is read.
pub struct Gleaning {
    staged: Staged,
    /// The requests that are open at the end of what was read.
    open: BTreeMap<Uid, Transaction>,
    /// Transactions that were taken.
    taken: usize,
}

impl Gleaning {
    /// Begins at its first block that is not ours.
    pub fn new(staged: Staged) -> Gleaning {
        Gleaning {
            staged,
            open: BTreeMap::new(),
            taken: 0,
        }
    }
}

impl<D: Disk> Node<D> {
    /// Goes on with a switch, or a chain that lost.
    pub(super) fn settle(&mut self) {
        match core::mem::replace(&mut self.sync, Sync::Free) {
            Sync::Settling(settling) => self.settle_step(settling),
            Sync::Gleaning(gleaning) => self.glean_step(gleaning),
            other => self.sync = other,
        }
    }

    fn settle_step(&mut self, mut settling: Settling) {
        let source = settling.source;
        let stage = match settling.stage {
            Stage::Adopting => {
                let equal = settling.equal;
                self.adopt_step(&mut settling.source, equal)
            }
            Stage::Differing { fallen, next } => Some(self.find_difference(fallen, next, source)),
            Stage::Collecting(sorting) => Some(self.collect(sorting)),
            Stage::Comparing { sorting, next } => self.compare(sorting, next),
            Stage::Saving { fallen, saving } => self.save_fallen(fallen, saving),
        };
        match stage {
            Some(stage) => {
                settling.stage = stage;
                self.sync = Sync::Settling(settling);
            }
            None => self.settled(settling.source),
        }
    }

    fn adopt_step(&mut self, source: &mut Option<usize>, equal: bool) -> Option<Stage> {
        match self.log.adopt(limits::BLOCKS_PER_TURN) {
            Ok(None) => Some(Stage::Adopting),
            Ok(Some(fallen)) => {
                self.adopted(&fallen, *source, equal);
                let next = fallen.from;
                Some(Stage::Differing { fallen, next })
            }
            Err(error) if self.log.fault().is_none() => {
                self.alert(&format!(
                    "[store ❌] a peer's chain was not taken: {error}."
                ));
                // Asked again at once, it could fail like this for ever.
                self.not_taken(source.take());
                None
            }
            Err(error) => {
                self.log.abandon();
                self.disk_failed(&error);
                self.not_taken(*source);
                None
            }
        }
    }

    fn not_taken(&mut self, source: Option<usize>) {
        if let Some(line) = source {
            self.tell_outcome(line, "its chain was not taken");
        }
    }

    fn adopted(&mut self, fallen: &Fallen, source: Option<usize>, equal: bool) {
        for peer in self.slots.iter_mut().filter_map(Slot::peer) {
            // That was the chain before: noted later, it would count for this one.
            peer.note_told();
            peer.writer.switched(fallen.from);
        }
        for rest in &mut self.disconnected {
            rest.switched(fallen.from);
        }
        let tip = self.log.tip();
        let length = tip.length;
        let mut ours = fallen.to;
        if let Some(peer) = source.and_then(|line| self.slots[line].peer()) {
            peer.brought = Some(self.now.mono);
            if peer.is_ahead_of(&tip) && peer.is_ours() {
                // More comes; one word at the end is enough.
                peer.from.get_or_insert(fallen.to);
                return;
            }
            ours = peer.from.take().unwrap_or(ours);
        }
        self.notify(&format!(
            "[consensus 📡] received chain (length {length}) vs ours (length {ours})"
        ));
        self.notify(&if equal {
            format!("[consensus ✅] adopted equally long chain, its last hash is lower ({length} blocks)")
        } else {
            format!("[consensus ✅] adopted longer chain ({length} blocks)")
        });
        if let Some(line) = source {
            self.tell_outcome(line, "its chain is ours now");
        }
    }

    fn settled(&mut self, source: Option<usize>) {
        self.freed();
        self.tip_changed();
        let (tip, now) = (self.log.tip(), self.now.mono);
        let peer = source.and_then(|line| self.slots[line].peer());
        let mut more = false;
        if let Some(peer) = peer
            && (peer.seen >= tip.length || peer.is_ahead_of(&tip))
        {
            more = peer.is_ahead_of(&tip);
            peer.ask(now);
        }
        if !more {
            self.relay(Intent::Block(tip.length - 1), source);
        }
    }

    /// Reads on in a chain that lost, for what ours lacks. What there is no room for is left: whoever
    /// has that chain makes it again when it takes ours.
    fn glean_step(&mut self, mut gleaning: Gleaning) {
        let budget = self.log.budget();
        for _ in 0..limits::BLOCKS_PER_TURN {
            if self.inquiries.usage().restored() >= limits::RESTORED_BYTES / 2
                || self.log.is_over(budget)
            {
                break;
            }
            let stored = match self.log.next_staged(&mut gleaning.staged) {
                Ok(Some(stored)) if gleaning.taken < limits::GLEANED_MAX => stored,
                Ok(_) => return self.gleaned(),
                Err(error) => {
                    self.alert(&format!("[store ❌] a losing chain was not read: {error}."));
                    return self.gleaned();
                }
            };
            for (transaction, before) in stored.block.transactions.iter().zip(&stored.befores) {
                gleaning.taken +=
                    usize::from(self.glean_staged(transaction, *before, &mut gleaning.open));
            }
        }
        self.sync = Sync::Gleaning(gleaning);
    }

    /// True if it is taken.
    fn glean_staged(
        &mut self,
        transaction: &Transaction,
        before: Before,
        open: &mut BTreeMap<Uid, Transaction>,
    ) -> bool {
        let uid = &transaction.uid;
        if transaction.kind == Kind::Request {
            open.insert(uid.clone(), transaction.clone());
            return self.glean(transaction, None);
        }
        let ended = open.remove(uid).or_else(|| {
            // It stands in what the two chains share.
            let height = before.checked_sub(1)?;
            let mut changes = self.log.read(height).ok()?.block.transactions;
            changes.retain(|change| change.uid == *uid);
            changes.pop()
        });
        // A release of a reservation that nobody can tell is no use.
        ended.is_some_and(|ended| self.glean(transaction, Some(&ended)))
    }

    fn gleaned(&mut self) {
        self.log.abandon();
        self.freed();
    }
}
