//! What a switch took out of the chain: found, compared with the new chain, and made again where
//! that still means what it meant.

use std::collections::BTreeMap;

use super::Node;
use super::answer::verb;
use super::disconnected::Disconnected;
use super::pool::{Batch, Origin};
use super::settle::Stage;
use crate::ledger::{Block, Kind, Transaction, TransactionId, Uid};
use crate::limits;
use crate::store::branch::Fallen;
use crate::store::disk::{Disk, DiskError};
use crate::store::fallen::Saving;
use crate::store::record::StoredBlock;

/// Some of what fell out, at most about [`limits::RESTORED_BYTES`] / 2, until it is known whether the
/// new chain has it too.
#[derive(Default)]
pub struct Lost {
    /// In their order; `None` once the new chain has it.
    batches: Vec<Option<(u64, Batch)>>,
    /// What they cost in memory.
    bytes: usize,
    /// Where each is in the list.
    places: BTreeMap<TransactionId, usize>,
    /// The last of those of an item that the new chain has too.
    last: BTreeMap<Uid, usize>,
    /// Something that stood deep in the chain now stands elsewhere.
    changed: bool,
    /// The new chain has something of our own that was kept over a restart until now.
    own_found: bool,
}

impl Lost {
    fn add(&mut self, height: u64, batch: Batch) {
        for id in &batch.ids {
            self.places.insert(*id, self.batches.len());
        }
        self.bytes += batch.bytes();
        self.batches.push(Some((height, batch)));
    }

    /// Whether nothing was gathered.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// What the new chain lacks, in its order, each with the height at which it stood.
    pub fn into_lacking(self) -> impl Iterator<Item = (u64, Batch)> {
        self.batches.into_iter().flatten()
    }

    /// Whether as much is here as is looked at together.
    fn is_full(&self) -> bool {
        self.bytes >= limits::RESTORED_BYTES / 2
    }

    /// Whether this fell out, and the new chain lacks it.
    fn has(&self, id: &TransactionId) -> bool {
        self.places.contains_key(id)
    }

    /// The new chain has this too.
    fn strike_off(&mut self, transaction: &Transaction, deep: u64) {
        let Some(place) = self.places.remove(&transaction.id()) else {
            return;
        };
        let Some((height, batch)) = self.batches[place].take() else {
            return;
        };
        self.own_found |= batch.is_saved();
        let last = self.last.insert(transaction.uid.clone(), place);
        self.changed |= height < deep && last.is_some_and(|last| last > place);
    }

    /// Whether something is lost or changed that stood below this height.
    fn is_alarming(&self, deep: u64) -> bool {
        let mut left = self.batches.iter().flatten();
        self.changed || left.any(|(height, _)| *height < deep)
    }
}

/// How far the transactions of what fell out are gathered.
pub struct Gathered {
    /// The next block.
    next: u64,
    /// It, if some of its transactions are gathered, and how many.
    block: Option<StoredBlock>,
    position: usize,
    /// Where among these each item was changed last.
    earlier: BTreeMap<Uid, usize>,
    /// The block in which what a release ended was looked up last.
    ended: Option<Looked>,
}

impl Gathered {
    /// Up to this height.
    pub fn to(next: u64) -> Gathered {
        Gathered {
            next,
            block: None,
            position: 0,
            earlier: BTreeMap::new(),
            ended: None,
        }
    }

    /// The height of the next block that is gathered, or goes on being so.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The next block is done with.
    fn pass(&mut self) {
        *self = Gathered {
            ended: self.ended.take(),
            ..Gathered::to(self.next + 1)
        };
    }
}

/// A block that was read because of an item, kept for the next one: the releases of a block tend to
/// end requests of one other block, which may be large.
pub struct Looked {
    height: u64,
    /// Its last change of each item.
    last: BTreeMap<Uid, Transaction>,
}

impl Looked {
    /// The last change of an item in the block at this height, which is read if another one, or
    /// none, is kept.
    pub fn last<E>(
        kept: &mut Option<Looked>,
        height: u64,
        uid: &Uid,
        read: impl FnOnce() -> Result<StoredBlock, E>,
    ) -> Result<Option<Transaction>, E> {
        let looked = match kept.take().filter(|looked| looked.height == height) {
            Some(looked) => looked,
            None => {
                let stored = read()?;
                let changes = stored.effective();
                let last = changes.map(|(change, _)| (change.uid.clone(), change.clone()));
                let last = last.collect();
                Looked { height, last }
            }
        };
        Ok(kept.insert(looked).last.get(uid).cloned())
    }
}

/// What a switch took out, while it is sorted.
pub struct Sorting {
    fallen: Fallen,
    from: u64,
    gathered: Gathered,
    lost: Lost,
    /// What waited in the pool when the switch came.
    waited: Vec<Batch>,
    /// What the pool has no room for.
    rest: Option<Disconnected>,
    alarming: bool,
}

impl Sorting {
    /// What fell out from the height `from` on, where the chains begin to differ.
    fn new(fallen: Fallen, from: u64) -> Sorting {
        Sorting {
            fallen,
            from,
            gathered: Gathered::to(from),
            lost: Lost::default(),
            waited: Vec::new(),
            rest: None,
            alarming: false,
        }
    }

    /// A transaction or block below this height is deep in the chain that fell out.
    fn deep(&self) -> u64 {
        self.fallen.to.saturating_sub(limits::ALARM_DEPTH)
    }
}

impl<D: Disk> Node<D> {
    /// Goes on looking for the first block that has not the same transactions in both chains:
    /// beside desktop nodes there is mostly none, since they make blocks of their own of what they
    /// hear.
    pub(super) fn find_difference(
        &mut self,
        fallen: Fallen,
        next: u64,
        source: Option<usize>,
    ) -> Stage {
        let (end, budget) = (
            fallen.to.min(next + limits::BLOCKS_PER_TURN as u64),
            self.cx.chain.budget(),
        );
        for height in next..end {
            if self.cx.chain.is_over(budget) {
                return Stage::Differing {
                    fallen,
                    next: height,
                };
            }
            let ours = self.cx.chain.read_fallen(&fallen, height);
            match (ours, self.cx.chain.read(height)) {
                (Ok(ours), Ok(theirs)) if is_remade(&ours.block, &theirs.block) => {}
                _ => {
                    self.doubt_all(source);
                    return self.begin_sorting(fallen, height);
                }
            }
        }
        if end < fallen.to {
            return Stage::Differing { fallen, next: end };
        }
        self.begin_sorting(fallen, end)
    }

    /// From `from` on the chains differ.
    fn begin_sorting(&mut self, fallen: Fallen, from: u64) -> Stage {
        let mut sorting = Sorting::new(fallen, from);
        sorting.waited = self.pool.take_others();
        Stage::Collecting(Box::new(sorting))
    }

    /// Gathers the transactions of the next blocks that fell out; behind the last one, what waited
    /// in the pool.
    pub(super) fn collect(&mut self, mut sorting: Box<Sorting>) -> Stage {
        let Sorting {
            fallen,
            gathered,
            lost,
            ..
        } = &mut *sorting;
        if !self.gather(fallen, gathered, lost) {
            return Stage::Collecting(sorting);
        }
        if gathered.next == fallen.to {
            for batch in core::mem::take(&mut sorting.waited) {
                sorting.lost.add(sorting.fallen.to, batch);
            }
        }
        let next = sorting.from;
        Stage::Comparing { sorting, next }
    }

    /// Gathers some more transactions of the blocks that fell out; true if as many blocks are there
    /// as are looked at together.
    pub(super) fn gather(&mut self, fallen: &Fallen, at: &mut Gathered, lost: &mut Lost) -> bool {
        let budget = self.cx.chain.budget();
        for _ in 0..limits::BLOCKS_PER_TURN {
            if at.block.is_none() && (at.next == fallen.to || lost.is_full()) {
                return true;
            }
            if self.cx.chain.is_over(budget) {
                break;
            }
            if let Err(error) = self.gather_block(fallen, at, lost, budget) {
                let height = at.next;
                self.cx.effects.alert(format!(
                    "[store ❌] block {height} of the chain before cannot be read, \
                     so what was asked for in it is not made again: {error}."
                ));
                at.pass();
            }
        }
        false
    }

    /// Gathers transactions of one block, until the budget is over.
    fn gather_block(
        &mut self,
        fallen: &Fallen,
        at: &mut Gathered,
        lost: &mut Lost,
        budget: u64,
    ) -> Result<(), DiskError> {
        let stored = match at.block.take() {
            Some(stored) => stored,
            None => self.cx.chain.read_fallen(fallen, at.next)?,
        };
        let ours = self.identity.public();
        let later = self.cx.jitter.delayed(self.cx.now.mono);
        let all = &stored.block.transactions;
        while let Some(transaction) = all.get(at.position) {
            if stored.befores[at.position].is_void() {
                at.position += 1;
                continue;
            }
            let own = transaction.requester == ours;
            let (origin, due) = match own {
                true => (Origin::Own, self.cx.now.mono),
                false => (Origin::Other, later),
            };
            let mut batch = Batch::new(vec![transaction.clone()], origin, due);
            if transaction.kind == Kind::Release {
                batch.ended = self.ended_by(fallen, &stored, at)?;
            }
            lost.add(at.next, batch);
            at.earlier.insert(transaction.uid.clone(), at.position);
            at.position += 1;
            if self.cx.chain.is_over(budget) && at.position < all.len() {
                at.block = Some(stored);
                return Ok(());
            }
        }
        at.pass();
        Ok(())
    }

    /// The request that the release which is gathered next ended, in the chain before.
    fn ended_by(
        &mut self,
        fallen: &Fallen,
        stored: &StoredBlock,
        at: &mut Gathered,
    ) -> Result<Option<Transaction>, DiskError> {
        let all = &stored.block.transactions;
        let uid = &all[at.position].uid;
        let Some(height) = stored.befores[at.position].height() else {
            return Ok(None);
        };
        if height == stored.block.index {
            return Ok(at.earlier.get(uid).map(|position| all[*position].clone()));
        }
        let is_fallen = height >= fallen.from;
        if !is_fallen && height >= self.cx.chain.tip().length {
            return Ok(None);
        }
        Looked::last(&mut at.ended, height, uid, || match is_fallen {
            true => self.cx.chain.read_fallen(fallen, height),
            false => self.cx.chain.read(height),
        })
    }

    /// Goes on striking off what the new chain has too.
    pub(super) fn compare(&mut self, mut sorting: Box<Sorting>, mut next: u64) -> Option<Stage> {
        let deep = sorting.deep();
        if !self.strike_off(&mut next, &mut sorting.lost, deep) {
            return Some(Stage::Comparing { sorting, next });
        }
        sorting.alarming |= sorting.lost.is_alarming(deep);
        self.make_again(&mut sorting);
        if sorting.gathered.next < sorting.fallen.to {
            return Some(Stage::Collecting(sorting));
        }
        let Sorting {
            fallen,
            rest,
            alarming,
            ..
        } = *sorting;
        self.disconnected.extend(rest);
        alarming.then(|| {
            let saving = Saving::default();
            Stage::Saving { fallen, saving }
        })
    }

    /// Strikes off what some more blocks of the chain have too, from `next` on; true behind the last
    /// one.
    pub(super) fn strike_off(&mut self, next: &mut u64, lost: &mut Lost, deep: u64) -> bool {
        let (length, budget) = (self.cx.chain.tip().length, self.cx.chain.budget());
        for _ in 0..limits::BLOCKS_PER_TURN {
            if *next >= length || self.cx.chain.is_over(budget) {
                break;
            }
            match self.cx.chain.read(*next) {
                Ok(stored) => {
                    for (transaction, _) in stored.effective() {
                        lost.strike_off(transaction, deep);
                        self.tell_found(transaction, *next);
                    }
                }
                Err(error) => self.cx.effects.alert(format!("[store ❌] {error}.")),
            }
            *next += 1;
        }
        *next >= length
    }

    /// What was called lost, and the block of the chain at this height has it.
    pub(super) fn tell_found(&mut self, transaction: &Transaction, height: u64) {
        if transaction.requester != self.identity.public() {
            return;
        }
        let mut lost = self.pool.lost.iter();
        let told = lost.position(|told| told.is_same_as(transaction));
        if told.is_some_and(|at| self.pool.lost.remove(at).is_some()) {
            let (verb, uid) = (verb(transaction), &transaction.uid);
            self.cx.effects.notify(format!(
                "[consensus ✅] your {verb} of {uid} counts after all, block #{height}"
            ));
        }
    }

    /// Puts what is left back into the pool, in its order, as far as there is room. Whether its item
    /// allows it shows when its turn comes.
    fn make_again(&mut self, sorting: &mut Sorting) {
        let lost = core::mem::take(&mut sorting.lost);
        self.forget_gathered(&lost);
        for (height, batch) in lost.into_lacking() {
            if self.drop_orphans && !matches!(batch.origin, Origin::Peer(_)) {
                self.drop_batch(&batch);
                continue;
            }
            let room = batch.origin != Origin::Other || self.has_room_for(&batch);
            if height == sorting.fallen.to || (room && sorting.rest.is_none()) {
                self.pool.add(batch);
                continue;
            }
            let rest = sorting.rest.get_or_insert_with(|| {
                Disconnected::new(sorting.fallen.clone(), sorting.from, height)
            });
            if batch.is_own() {
                rest.keep_own(height, batch);
            }
        }
    }

    /// What was gathered and is not in the new chain is not looked for in it any more.
    pub(super) fn forget_gathered(&mut self, lost: &Lost) {
        if lost.own_found {
            // Not before all that is left is in the pool: the file must never say less than that.
            self.pool.save_anew();
        }
        // After a start it may be looked for in the chain as well, as what waited in the last run.
        self.inquiries.forget(|id| lost.has(id));
    }

    /// By the user's wish, nothing that fell out is made again.
    fn drop_batch(&mut self, batch: &Batch) {
        if batch.origin != Origin::Own {
            return;
        }
        self.pool.ended(core::slice::from_ref(batch));
        for transaction in &batch.transactions {
            let why = "another chain was longer, and --orphans drop makes nothing again";
            self.lost(transaction, why);
        }
    }

    /// Keeps the branch that a switch took out, of which something deep is lost, and warns.
    pub(super) fn save_fallen(&mut self, fallen: Fallen, mut saving: Saving) -> Option<Stage> {
        let blocks = limits::BLOCKS_PER_TURN;
        match self.cx.chain.save_fallen(&fallen, &mut saving, blocks) {
            Ok(false) => return Some(Stage::Saving { fallen, saving }),
            Ok(true) => {}
            Err(error) => self.cx.effects.alert(format!(
                "[store ❌] the branch that was left cannot be kept: {error}."
            )),
        }
        let old = fallen.to - 1;
        let old_tip = match self.cx.chain.read_fallen(&fallen, old) {
            Ok(stored) => stored.block.hash.to_string(),
            Err(error) => error.to_string(),
        };
        let tip = self.cx.chain.tip();
        let (fork, new) = (fallen.from, tip.length - 1);
        self.cx.effects.alert(format!(
            "[consensus ⚠️] this switch loses or changes what stood more than {} blocks deep: from \
             block {fork} on, tip {old_tip} (block {old}) gave way to tip {} (block {new}); what was \
             there is read back with blx export --branch",
            limits::ALARM_DEPTH,
            tip.hash,
        ));
        None
    }
}

/// Whether two blocks have the same transactions in the same order.
pub(super) fn is_remade(one: &Block, other: &Block) -> bool {
    let (one, other) = (&one.transactions, &other.transactions);
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| a.is_same_as(b))
}
