//! What a switch took out of the chain: found, compared with the new chain, and made again where
//! that still means what it meant.

use std::collections::BTreeMap;

use super::Node;
use super::mine::verb;
use super::pool::{Batch, Origin};
use super::settle::Stage;
use crate::ledger::{Block, Kind, Transaction, TransactionId, Uid};
use crate::limits;
use crate::store::branch::Fallen;
use crate::store::disk::{Disk, DiskError};
use crate::store::fallen::Saving;
use crate::store::record::StoredBlock;

/// What fell out. Costs about 300 bytes for each transaction, until it is known whether the new
/// chain has it too.
#[derive(Default)]
pub struct Lost {
    /// In their order; `None` once the new chain has it.
    batches: Vec<Option<(u64, Batch)>>,
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
        for transaction in &batch.transactions {
            self.places.insert(transaction.id(), self.batches.len());
        }
        self.batches.push(Some((height, batch)));
    }

    /// Whether this fell out, and the new chain lacks it.
    fn has(&self, transaction: &Transaction) -> bool {
        self.places.contains_key(&transaction.id())
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
        let end = fallen.to.min(next + limits::BLOCKS_PER_TURN as u64);
        for height in next..end {
            let ours = self.log.read_fallen(&fallen, height);
            match (ours, self.log.read(height)) {
                (Ok(ours), Ok(theirs)) if is_remade(&ours.block, &theirs.block) => {
                    // Who still has that one has no other branch.
                    if fallen.to - height <= limits::BRANCHES as u64 / 2 {
                        self.branches.know(ours.block.hash);
                    }
                }
                _ => {
                    self.branch(source);
                    return gather(fallen, height);
                }
            }
        }
        if end < fallen.to {
            return Stage::Differing { fallen, next: end };
        }
        gather(fallen, end)
    }

    /// Gathers the transactions of the next blocks that fell out.
    pub(super) fn collect(
        &mut self,
        fallen: Fallen,
        from: u64,
        next: u64,
        mut lost: Lost,
    ) -> Stage {
        let end = fallen.to.min(next + limits::BLOCKS_PER_TURN as u64);
        for height in next..end {
            let found = self.orphans_of(&fallen, height, &mut lost);
            if let Err(error) = found {
                self.alert(&format!(
                    "[store ❌] block {height} of the chain before cannot be read, \
                     so what was asked for in it is not made again: {error}."
                ));
            }
        }
        if end < fallen.to {
            let next = end;
            return Stage::Collecting {
                fallen,
                from,
                next,
                lost,
            };
        }
        for batch in self.pool.take_others() {
            lost.add(fallen.to, batch);
        }
        let next = from;
        Stage::Comparing { fallen, next, lost }
    }

    fn orphans_of(
        &mut self,
        fallen: &Fallen,
        height: u64,
        lost: &mut Lost,
    ) -> Result<(), DiskError> {
        let stored = self.log.read_fallen(fallen, height)?;
        let ours = self.identity.public();
        let later = self.delayed();
        for (position, transaction) in stored.block.transactions.iter().enumerate() {
            let own = transaction.requester == ours;
            let (origin, due) = match own {
                true => (Origin::Own, self.now.mono),
                false => (Origin::Other, later),
            };
            let mut batch = Batch::new(vec![transaction.clone()], origin, due);
            if transaction.kind == Kind::Release {
                batch.ended = self.ended_by(fallen, &stored, position)?;
            }
            lost.add(height, batch);
        }
        Ok(())
    }

    /// The request that the release at `position` ended, in the chain before.
    fn ended_by(
        &mut self,
        fallen: &Fallen,
        stored: &StoredBlock,
        position: usize,
    ) -> Result<Option<Transaction>, DiskError> {
        let uid = &stored.block.transactions[position].uid;
        let Some(height) = stored.befores[position].checked_sub(1) else {
            return Ok(None);
        };
        let mut before = if height == stored.block.index {
            stored.block.transactions[..position].to_vec()
        } else if height >= fallen.from {
            self.log.read_fallen(fallen, height)?.block.transactions
        } else {
            self.log.read(height)?.block.transactions
        };
        before.retain(|transaction| transaction.uid == *uid);
        Ok(before.pop())
    }

    /// Strikes off what the new chain has too.
    pub(super) fn compare(&mut self, fallen: Fallen, next: u64, mut lost: Lost) -> Option<Stage> {
        let length = self.log.tip().length;
        let deep = fallen.to.saturating_sub(limits::ALARM_DEPTH);
        let end = length.min(next + limits::BLOCKS_PER_TURN as u64);
        for height in next..end {
            match self.log.read(height) {
                Ok(stored) => {
                    for transaction in &stored.block.transactions {
                        lost.strike_off(transaction, deep);
                    }
                    self.tell_found(&stored.block);
                }
                Err(error) => self.alert(&format!("[store ❌] {error}.")),
            }
        }
        if end < length {
            let next = end;
            return Some(Stage::Comparing { fallen, next, lost });
        }
        let alarming = lost.is_alarming(deep);
        self.make_again(lost);
        alarming.then(|| {
            let saving = Saving::default();
            Stage::Saving { fallen, saving }
        })
    }

    /// What was called lost, and a block of the chain has it.
    pub(super) fn tell_found(&mut self, block: &Block) {
        let ours = self.identity.public();
        for mine in block.transactions.iter().filter(|t| t.requester == ours) {
            let told = self.pool.lost.iter().position(|told| told.is_same_as(mine));
            if told.is_some_and(|at| self.pool.lost.remove(at).is_some()) {
                let (verb, uid, index) = (verb(mine), &mine.uid, block.index);
                self.notify(&format!(
                    "[consensus ✅] your {verb} of {uid} counts after all, block #{index}"
                ));
            }
        }
    }

    /// Puts what is left back into the pool, in its order. Whether its item allows it shows when
    /// its turn comes.
    fn make_again(&mut self, lost: Lost) {
        if lost.own_found {
            // Not before all that is left is in the pool: the file must never say less than that.
            self.pool.save_anew();
        }
        // After a start it may be looked for in the chain as well, as what waited in the last run.
        self.inquiries.retain_mut(|inquiry| {
            let wanted = &mut inquiry.batch.transactions;
            wanted.retain(|transaction| !lost.has(transaction));
            !wanted.is_empty()
        });
        for (_, batch) in lost.batches.into_iter().flatten() {
            let dropped = self.drop_orphans && !matches!(batch.origin, Origin::Peer(_));
            match (dropped, batch.origin) {
                (false, _) => self.pool.add(batch),
                (true, Origin::Own) => {
                    self.pool.ended(core::slice::from_ref(&batch));
                    for transaction in &batch.transactions {
                        let why =
                            "another chain was longer, and --orphans drop makes nothing again";
                        self.lost(transaction, why);
                    }
                }
                (true, _) => {}
            }
        }
    }

    /// Keeps the branch that a switch took out, of which something deep is lost, and warns.
    pub(super) fn save_fallen(&mut self, fallen: Fallen, mut saving: Saving) -> Option<Stage> {
        let blocks = limits::BLOCKS_PER_TURN;
        match self.log.save_fallen(&fallen, &mut saving, blocks) {
            Ok(false) => return Some(Stage::Saving { fallen, saving }),
            Ok(true) => {}
            Err(error) => self.alert(&format!(
                "[store ❌] the branch that was left cannot be kept: {error}."
            )),
        }
        let old = fallen.to - 1;
        let old_tip = match self.log.read_fallen(&fallen, old) {
            Ok(stored) => stored.block.hash.to_string(),
            Err(error) => error.to_string(),
        };
        let tip = self.log.tip();
        let (fork, new) = (fallen.from, tip.length - 1);
        self.alert(&format!(
            "[consensus ⚠️] this switch loses or changes what stood more than {} blocks deep: from \
             block {fork} on, tip {old_tip} (block {old}) gave way to tip {} (block {new}); what was \
             there is read back with blx export --branch",
            limits::ALARM_DEPTH,
            tip.hash,
        ));
        None
    }
}

/// From `from` on the chains differ.
fn gather(fallen: Fallen, from: u64) -> Stage {
    Stage::Collecting {
        fallen,
        from,
        next: from,
        lost: Lost::default(),
    }
}

/// Whether two blocks have the same transactions in the same order.
pub(super) fn is_remade(one: &Block, other: &Block) -> bool {
    let (one, other) = (&one.transactions, &other.transactions);
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| a.is_same_as(b))
}
