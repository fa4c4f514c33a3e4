//! The transactions of disconnected blocks that have no room in the mempool. They are read from the
//! chain file a few at a time, as other transactions go into blocks, and made again if the new
//! chain lacks them.

use super::Mempool;
use super::batch::{Batch, BatchOrigin};
use super::gathering::{DisconnectedTransactions, Gathered};
use crate::ledger::Transaction;
use crate::limits;
use crate::node::answer::verb;
use crate::node::effects::Cx;
use crate::store::branch::DisconnectedBlocks;
use crate::store::disk::Disk;

/// Disconnected blocks whose transactions are not in the mempool yet, because it has no room for
/// more.
pub struct Disconnected {
    disconnected: DisconnectedBlocks,
    /// The new chain differs from this height on.
    from: u64,
    gathered: Gathered,
    /// Our own transactions of these blocks, which are kept over a restart; those of others are
    /// not.
    own: Vec<(u64, Batch)>,
    unconfirmed: DisconnectedTransactions,
    /// The next block of the new chain to compare with `unconfirmed`; `None` while that is being
    /// gathered.
    pub(super) compared: Option<u64>,
}

impl Disconnected {
    /// The disconnected blocks from the height `next` on; the new chain differs from `from` on.
    pub fn new(disconnected: DisconnectedBlocks, from: u64, next: u64) -> Disconnected {
        Disconnected {
            disconnected,
            from,
            gathered: Gathered::to(next),
            own: Vec::new(),
            unconfirmed: DisconnectedTransactions::default(),
            compared: None,
        }
    }

    /// Adds a transaction of our own that stood at this height.
    pub fn keep_own(&mut self, height: u64, batch: Batch) {
        self.own.push((height, batch));
    }

    /// Our own transactions that are in no mempool yet.
    pub fn own(&self) -> impl Iterator<Item = &Batch> {
        self.own.iter().map(|(_, batch)| batch)
    }

    /// The chain is another one from this height on.
    pub fn reorged(&mut self, fork: u64) {
        self.from = self.from.min(fork);
        self.compared = self.compared.map(|_| self.from);
    }
}

impl Mempool {
    /// Continues with disconnected transactions that had no room in the mempool; true if there is
    /// more to do now.
    pub fn restore_some<D: Disk>(&mut self, cx: &mut Cx<D>) -> bool {
        let room = self.queue.usage().restored() <= limits::RESTORED_BYTES / 2;
        if !cx.may_append() {
            return false;
        }
        if self.restore_behind(cx) {
            return true;
        }
        let Some(mut rest) = self.disconnected.pop_front() else {
            return false;
        };
        if rest.compared.is_none() && rest.unconfirmed.is_empty() && !room {
            limits::Full::OutsideWaits.ran();
            self.disconnected.push_front(rest);
            return false;
        }
        if let Some(at) = &mut rest.compared {
            if self.confirm_known(cx, at, &mut rest.unconfirmed, 0) {
                rest.compared = None;
                self.restore(&mut rest);
                if rest.gathered.next() == rest.disconnected.to {
                    return true;
                }
            }
        } else if self.gather(
            cx,
            &rest.disconnected,
            &mut rest.gathered,
            &mut rest.unconfirmed,
        ) {
            rest.compared = Some(rest.from);
        }
        self.disconnected.push_front(rest);
        true
    }

    /// Puts the transactions that were gathered and that the chain lacks into the mempool.
    fn restore(&mut self, rest: &mut Disconnected) {
        let unconfirmed = core::mem::take(&mut rest.unconfirmed);
        self.forget_gathered(&unconfirmed);
        for (_, batch) in unconfirmed.into_lacking() {
            self.queue.add(batch);
        }
        let next = rest.gathered.next();
        rest.own.retain(|(height, _)| *height >= next);
        self.queue.save_anew();
    }

    /// Gathers some more transactions of the disconnected blocks; true if as many blocks are there
    /// as are compared together.
    pub fn gather<D: Disk>(
        &self,
        cx: &mut Cx<D>,
        disconnected: &DisconnectedBlocks,
        at: &mut Gathered,
        unconfirmed: &mut DisconnectedTransactions,
    ) -> bool {
        at.gather(cx, self.own, disconnected, unconfirmed)
    }

    /// Compares some more blocks of the new chain, from `next` on: transactions that they have too
    /// are confirmed. True behind the last block.
    pub fn confirm_known<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        next: &mut u64,
        unconfirmed: &mut DisconnectedTransactions,
        deep: u64,
    ) -> bool {
        let (length, budget) = (cx.chain.tip().length, cx.chain.budget());
        for _ in 0..limits::BLOCKS_PER_TURN {
            if *next >= length || cx.chain.is_over(budget) {
                break;
            }
            match cx.chain.read(*next) {
                Ok(stored) => {
                    for (transaction, _) in stored.effective() {
                        unconfirmed.confirm_known(transaction, deep);
                        self.tell_found(cx, transaction, *next);
                    }
                }
                Err(error) => cx.effects.alert(format!("[store ❌] {error}.")),
            }
            *next += 1;
        }
        *next >= length
    }

    /// The block of the chain at this height has a transaction that the user was told is lost.
    pub fn tell_found<D>(&mut self, cx: &mut Cx<D>, transaction: &Transaction, height: u64) {
        if transaction.requester != self.own {
            return;
        }
        let mut lost = self.queue.lost.iter();
        let told = lost.position(|told| told.is_same_as(transaction));
        if told.is_some_and(|at| self.queue.lost.remove(at).is_some()) {
            let (verb, uid) = (verb(transaction), &transaction.uid);
            cx.effects.notify(format!(
                "[consensus ✅] your {verb} of {uid} counts after all, block #{height}"
            ));
        }
    }

    /// Puts disconnected transactions that the new chain lacks back into the mempool, in their
    /// order, as far as there is room. The others go into `rest`, which reads them later. Whether
    /// an item allows a transaction shows when its turn comes.
    pub fn make_again<D>(
        &mut self,
        cx: &mut Cx<D>,
        unconfirmed: DisconnectedTransactions,
        (disconnected, from): (&DisconnectedBlocks, u64),
        rest: &mut Option<Disconnected>,
    ) {
        self.forget_gathered(&unconfirmed);
        for (height, batch) in unconfirmed.into_lacking() {
            if self.drops && !matches!(batch.origin, BatchOrigin::Peer(_)) {
                self.drop_batch(cx, &batch);
                continue;
            }
            let room = batch.origin != BatchOrigin::Other || self.has_room_for(&batch);
            if height == disconnected.to || (room && rest.is_none()) {
                self.queue.add(batch);
                continue;
            }
            limits::Full::Outside.ran();
            let rest =
                rest.get_or_insert_with(|| Disconnected::new(disconnected.clone(), from, height));
            if limits::Full::OwnOutside.when(batch.is_own()) {
                rest.keep_own(height, batch);
            }
        }
    }

    /// Transactions that were gathered and are not in the new chain need no look-up any more.
    pub(super) fn forget_gathered(&mut self, unconfirmed: &DisconnectedTransactions) {
        if unconfirmed.own_found {
            // Not before all that is left is in the mempool: the file must never say less than the
            // mempool.
            self.queue.save_anew();
        }
        // After a start it may also be among the look-ups, as something that waited in the last
        // run.
        self.lookups.forget(|id| unconfirmed.has(id));
    }

    /// Drops a batch of a disconnected block, as the user chose.
    pub(super) fn drop_batch<D>(&mut self, cx: &mut Cx<D>, batch: &Batch) {
        if batch.origin != BatchOrigin::Own {
            return;
        }
        self.queue.ended(core::slice::from_ref(batch));
        for transaction in &batch.transactions {
            let way = cx.ways.drop_disconnected;
            let why = format!("another chain was longer, and nothing is made again ({way})");
            self.lost(cx, transaction, &why);
        }
    }
}
