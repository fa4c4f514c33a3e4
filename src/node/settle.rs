//! A switch on its way, in bounded steps: the branch is put in place, and what fell out is seen
//! to. And a chain that lost, which is read for what ours lacks.

use std::collections::BTreeMap;

use super::Node;
use super::mempool::Looked;
use super::sorting::Sorting;
use super::sync::Sync;
use crate::ledger::changes::Before;
use crate::ledger::{Block, Hash, Kind, Transaction, Uid};
use crate::limits;
use crate::store::branch::{Fallen, Staged};
use crate::store::disk::Disk;
use crate::store::fallen::Saving;
use crate::store::record::StoredBlock;
use crate::store::state::AppendError;
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
    /// The line of the desktop node whose chain it is.
    salvage: Option<usize>,
    /// The block that is being read, and the next of its transactions.
    block: Option<StoredBlock>,
    position: usize,
    /// The requests that are open at the end of what was read, and the bytes of their names.
    open: BTreeMap<Uid, Transaction>,
    open_bytes: usize,
    /// The block of our chain in which what a release ended was looked up last.
    looked: Option<Looked>,
    /// Transactions that were taken.
    taken: usize,
    /// It waits for a turn.
    pub rests: bool,
}

impl Gleaning {
    /// Begins at its first block that is not ours.
    pub fn new(staged: Staged, salvage: Option<usize>) -> Gleaning {
        Gleaning {
            staged,
            salvage,
            block: None,
            position: 0,
            open: BTreeMap::new(),
            open_bytes: 0,
            looked: None,
            taken: 0,
            rests: false,
        }
    }

    /// Whether no more of it is read.
    fn is_enough(&self) -> bool {
        self.taken >= limits::GLEANED_MAX || self.open_bytes >= limits::RESTORED_BYTES
    }

    /// Notes a request, which a release further on may end.
    fn note(&mut self, request: &Transaction) {
        self.open_bytes += size_of::<Transaction>() + 2 * request.uid.as_wtf8().len();
        self.open.insert(request.uid.clone(), request.clone());
    }
}

impl<D: Disk> Node<D> {
    /// Whether a block could stand in the place of our last one, now.
    pub(super) fn is_rival(&mut self, block: &Block) -> bool {
        let tip = self.cx.chain.tip();
        let before = tip.length.checked_sub(2);
        block.index.checked_add(1) == Some(tip.length)
            && self.sync.is_free()
            && self.cx.may_append()
            && before.is_some_and(|at| self.cx.chain.hash(at) == Ok(block.prev_hash))
    }

    /// Puts a checked block in the place of our last one, if it still can stand there.
    pub(super) fn take_rival(&mut self, line: usize, block: &Block) {
        let tip = self.cx.chain.tip();
        if !self.is_rival(block) || block.hash >= tip.hash || self.cx.chain.fault().is_some() {
            return self.ask_for_block(line, block);
        }
        let begun = self.cx.chain.begin(block.index).and_then(|()| {
            while !self.cx.chain.unwind(1)? {}
            Ok(())
        });
        let staged = begun.map_err(AppendError::Disk);
        match staged.and_then(|()| self.cx.chain.stage(block)) {
            Ok(()) => {
                self.sync = Sync::Settling(Settling {
                    source: Some(line),
                    equal: true,
                    goes_on: None,
                    stage: Stage::Adopting,
                });
            }
            Err(AppendError::Rule(error)) => {
                self.cx.chain.abandon();
                self.refuse_block(line, block, &error);
            }
            Err(AppendError::Disk(error)) => {
                self.cx.chain.abandon();
                self.cx
                    .effects
                    .alert(format!("[store ❌] a peer's block was not taken: {error}."));
            }
        }
    }

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
        match self.cx.chain.adopt(limits::BLOCKS_PER_TURN) {
            Ok(None) => Some(Stage::Adopting),
            Ok(Some(fallen)) => {
                self.adopted(&fallen, *source, equal);
                let next = fallen.from;
                Some(Stage::Differing { fallen, next })
            }
            Err(error) if self.cx.chain.fault().is_none() => {
                self.cx
                    .effects
                    .alert(format!("[store ❌] a peer's chain was not taken: {error}."));
                // Asked again at once, it could fail like this for ever.
                self.not_taken(source.take());
                None
            }
            Err(error) => {
                self.cx.chain.abandon();
                self.cx.disk_failed(&error);
                self.not_taken(*source);
                None
            }
        }
    }

    fn not_taken(&mut self, source: Option<usize>) {
        if let Some(line) = source {
            self.peers
                .tell_outcome(&mut self.cx.effects, line, "its chain was not taken");
        }
    }

    fn adopted(&mut self, fallen: &Fallen, source: Option<usize>, equal: bool) {
        for (_, peer) in self.peers.iter_mut() {
            peer.writer.switched(fallen.from);
        }
        self.mempool.switched(fallen.from);
        let tip = self.cx.chain.tip();
        let length = tip.length;
        let mut ours = fallen.to;
        if let Some(peer) = source.and_then(|line| self.peers.get_mut(line)) {
            peer.brought = Some(self.cx.now.mono);
            if peer.is_ahead_of(&tip) && peer.is_ours() {
                // More comes; one word at the end is enough.
                peer.from.get_or_insert(fallen.to);
                return;
            }
            ours = peer.from.take().unwrap_or(ours);
        }
        self.cx.effects.notify(format!(
            "[consensus 📡] received chain (length {length}) vs ours (length {ours})"
        ));
        self.cx.effects.notify(if equal {
            format!("[consensus ✅] adopted equally long chain, its last hash is lower ({length} blocks)")
        } else {
            format!("[consensus ✅] adopted longer chain ({length} blocks)")
        });
        if let Some(line) = source {
            self.peers
                .tell_outcome(&mut self.cx.effects, line, "its chain is ours now");
        }
    }

    fn settled(&mut self, source: Option<usize>) {
        self.freed();
        self.tip_changed();
        let (tip, now) = (self.cx.chain.tip(), self.cx.now.mono);
        let peer = source.and_then(|line| self.peers.get_mut(line));
        let mut more = false;
        if let Some(peer) = peer
            && (peer.seen >= tip.length || peer.is_ahead_of(&tip))
        {
            more = peer.is_ahead_of(&tip);
            peer.ask(now);
        }
        if !more {
            let last = tip.length - 1;
            let void = self.cx.chain.read(last).is_ok_and(|read| read.has_void());
            // Such a block is told to nobody alone, and no desktop node must count as having it.
            let word = match void {
                true => Intent::Ping,
                false => Intent::Block(last),
            };
            self.peers.relay(word, source);
        }
    }

    /// Reads on in a chain that lost, for what ours lacks. What there is no room for is left: whoever
    /// has that chain makes it again when it takes ours.
    fn glean_step(&mut self, mut gleaning: Gleaning) {
        let budget = self.cx.chain.budget();
        for _ in 0..limits::BLOCKS_PER_TURN {
            if self.mempool.is_half_full() || self.cx.chain.is_over(budget) {
                break;
            }
            let stored = match gleaning.block.take() {
                Some(stored) => stored,
                None if gleaning.is_enough() => return self.gleaned(),
                None => match self.cx.chain.next_staged(&mut gleaning.staged) {
                    Ok(Some(stored)) => stored,
                    Ok(None) => return self.gleaned(),
                    Err(error) => {
                        self.cx
                            .effects
                            .alert(format!("[store ❌] a losing chain was not read: {error}."));
                        return self.gleaned();
                    }
                },
            };
            self.glean_some(&mut gleaning, &stored);
            match gleaning.position < stored.block.transactions.len() {
                true => gleaning.block = Some(stored),
                false => gleaning.position = 0,
            }
        }
        self.sync = Sync::Gleaning(gleaning);
    }

    /// Takes some of the transactions of a block of a chain that lost.
    fn glean_some(&mut self, gleaning: &mut Gleaning, stored: &StoredBlock) {
        let budget = self.cx.chain.budget();
        let due = gleaning.salvage.map(|line| self.salvage_due(line));
        let all = stored.block.transactions.iter().zip(&stored.befores);
        let some = all.skip(gleaning.position).take(limits::ITEMS_PER_TURN);
        for (transaction, before) in some {
            gleaning.position += 1;
            if before.is_void() {
                continue;
            }
            let ended = match transaction.kind {
                Kind::Request => {
                    gleaning.note(transaction);
                    None
                }
                Kind::Release => {
                    let ended = gleaning.open.remove(&transaction.uid);
                    let ended = ended.or_else(|| {
                        self.shared_request(&mut gleaning.looked, transaction, *before)
                    });
                    if ended.is_none() {
                        // A release of a reservation that nobody can tell is no use.
                        continue;
                    }
                    ended
                }
            };
            let (cx, ended) = (&mut self.cx, ended.as_ref());
            let taken = match due {
                Some(due) => self.mempool.salvage(cx, due, transaction, ended),
                None => self.mempool.glean(cx, transaction, ended),
            };
            gleaning.taken += usize::from(taken);
            if self.cx.chain.is_over(budget) {
                return;
            }
        }
    }

    /// The request that a release of a losing chain ended, if that stands in what the two chains
    /// share.
    fn shared_request(
        &mut self,
        looked: &mut Option<Looked>,
        release: &Transaction,
        before: Before,
    ) -> Option<Transaction> {
        let height = before.height()?;
        if height >= self.cx.chain.tip().length {
            return None;
        }
        let read = || self.cx.chain.read(height);
        Looked::last(looked, height, &release.uid, read).ok()?
    }

    fn gleaned(&mut self) {
        self.cx.chain.abandon();
        self.freed();
    }
}
