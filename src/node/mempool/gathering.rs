//! The transactions of disconnected blocks, gathered block by block and compared with the new
//! chain.

use std::collections::BTreeMap;

use super::batch::Batch;
use crate::ledger::{Kind, PublicKey, Transaction, TransactionId, Uid};
use crate::limits;
use crate::node::effects::Cx;
use crate::store::branch::DisconnectedBlocks;
use crate::store::disk::{Disk, DiskError};
use crate::store::record::StoredBlock;

/// Some transactions of disconnected blocks, at most about [`limits::RESTORED_BYTES`] / 2, until it
/// is known whether the new chain has them too.
#[derive(Default)]
pub struct DisconnectedTransactions {
    /// In their order; `None` once the new chain has it.
    batches: Vec<Option<(u64, Batch)>>,
    /// What they cost in memory.
    bytes: usize,
    /// The index of each in `batches`.
    places: BTreeMap<TransactionId, usize>,
    /// For each item, the last transaction that the new chain has too.
    last: BTreeMap<Uid, usize>,
    /// A transaction that stood deep in the old chain stands elsewhere in the new one.
    changed: bool,
    /// The new chain has something of our own that was kept over a restart until now.
    pub own_found: bool,
}

impl DisconnectedTransactions {
    /// Adds a batch that stood at this height.
    pub fn add(&mut self, height: u64, batch: Batch) {
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

    /// The batches that the new chain lacks, in their order, each with the height at which it
    /// stood.
    pub fn into_lacking(self) -> impl Iterator<Item = (u64, Batch)> {
        self.batches.into_iter().flatten()
    }

    /// Whether as much is here as is compared together.
    pub fn is_full(&self) -> bool {
        limits::Full::Gathered.when(self.bytes >= limits::RESTORED_BYTES / 2)
    }

    /// Whether this is a transaction of a disconnected block that the new chain lacks.
    pub fn has(&self, id: &TransactionId) -> bool {
        self.places.contains_key(id)
    }

    /// The new chain has this transaction too.
    pub fn confirm_known(&mut self, transaction: &Transaction, deep: u64) {
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
    pub fn is_alarming(&self, deep: u64) -> bool {
        let mut left = self.batches.iter().flatten();
        self.changed || left.any(|(height, _)| *height < deep)
    }
}

/// How far the transactions of disconnected blocks are gathered.
pub struct Gathered {
    /// The next block.
    next: u64,
    /// The next block, if some of its transactions are gathered, and how many.
    block: Option<StoredBlock>,
    position: usize,
    /// Which of these transactions changed each item last.
    earlier: BTreeMap<Uid, usize>,
    /// The block in which the request that a release ended was looked up last.
    ended: Option<Looked>,
}

impl Gathered {
    /// Everything below this height is gathered.
    pub fn to(next: u64) -> Gathered {
        Gathered {
            next,
            block: None,
            position: 0,
            earlier: BTreeMap::new(),
            ended: None,
        }
    }

    /// The height of the block that is gathered next, or further.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Gathers some more transactions of the disconnected blocks; true if as many blocks are there
    /// as are compared together.
    pub fn gather<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        own: PublicKey,
        disconnected: &DisconnectedBlocks,
        unconfirmed: &mut DisconnectedTransactions,
    ) -> bool {
        let budget = cx.chain.budget();
        for _ in 0..limits::BLOCKS_PER_TURN {
            if self.block.is_none() && (self.next == disconnected.to || unconfirmed.is_full()) {
                return true;
            }
            if cx.chain.is_over(budget) {
                break;
            }
            if let Err(error) = self.gather_block(cx, own, disconnected, unconfirmed, budget) {
                let height = self.next;
                cx.effects.alert(format!(
                    "[store ❌] block {height} of the old chain cannot be read, \
                     so its transactions are not made again: {error}."
                ));
                self.pass();
            }
        }
        false
    }

    /// Gathers transactions of one block, until the budget is over.
    fn gather_block<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        own: PublicKey,
        disconnected: &DisconnectedBlocks,
        unconfirmed: &mut DisconnectedTransactions,
        budget: u64,
    ) -> Result<(), DiskError> {
        let stored = match self.block.take() {
            Some(stored) => stored,
            None => cx.chain.read_disconnected(disconnected, self.next)?,
        };
        let later = cx.delayed();
        let all = &stored.block.transactions;
        while let Some(transaction) = all.get(self.position) {
            if stored.undo_data[self.position].is_void() {
                self.position += 1;
                continue;
            }
            let mut batch = Batch::again(transaction, own, [cx.now.mono, later]);
            if transaction.kind == Kind::Release {
                batch.ended = self.ended_by(cx, disconnected, &stored)?;
            }
            unconfirmed.add(self.next, batch);
            self.earlier.insert(transaction.uid.clone(), self.position);
            self.position += 1;
            if cx.chain.is_over(budget) && self.position < all.len() {
                self.block = Some(stored);
                return Ok(());
            }
        }
        self.pass();
        Ok(())
    }

    /// The request in the old chain that the release which is gathered next ended.
    fn ended_by<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        disconnected: &DisconnectedBlocks,
        stored: &StoredBlock,
    ) -> Result<Option<Transaction>, DiskError> {
        let all = &stored.block.transactions;
        let uid = &all[self.position].uid;
        let Some(height) = stored.undo_data[self.position].height() else {
            return Ok(None);
        };
        if height == stored.block.index {
            return Ok(self.earlier.get(uid).map(|position| all[*position].clone()));
        }
        let is_disconnected = height >= disconnected.from;
        if !is_disconnected && height >= cx.chain.tip().length {
            return Ok(None);
        }
        Looked::last(&mut self.ended, height, uid, || match is_disconnected {
            true => cx.chain.read_disconnected(disconnected, height),
            false => cx.chain.read(height),
        })
    }

    /// The next block is done with.
    fn pass(&mut self) {
        *self = Gathered {
            ended: self.ended.take(),
            ..Gathered::to(self.next + 1)
        };
    }
}

/// The last block that was read because of an item. It is kept for the next item: the releases of a
/// block tend to end requests of one other block, which may be large.
pub struct Looked {
    height: u64,
    /// Its last change of each item.
    last: BTreeMap<Uid, Transaction>,
}

impl Looked {
    /// The last change of an item in the block at this height, which is read unless it is the one
    /// that is kept.
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
