//! What stood behind damage that was given up: made again in its order, before anything that came later,
//! read part by part from the file that has it.

use std::collections::BTreeMap;

use super::Mempool;
use super::batch::Batch;
use super::gathering::{DisconnectedTransactions, Looked};
use super::queue::Queue;
use crate::ledger::{Kind, PublicKey, Transaction, Uid};
use crate::limits;
use crate::node::effects::Cx;
use crate::store::disk::{Disk, DiskError, File};
use crate::store::extract::Extract;
use crate::store::record::StoredBlock;

/// How far it is.
pub struct Behind {
    /// None behind its last block.
    blocks: Option<Extract>,
    /// The height of the first block that was damaged.
    damaged: u64,
    /// From this height on the chain may have some of it.
    from: u64,
    lost: DisconnectedTransactions,
    /// The last changes of items in what is gathered.
    earlier: BTreeMap<Uid, Transaction>,
    /// The block of the chain in which what a release ended was looked up last.
    looked: Option<Looked>,
    /// The next block of the chain that is compared with `lost`; none while that is gathered.
    compared: Option<u64>,
}

impl Behind {
    /// What the file has, if anything. `known`: it was written in this run, and the chain has not been
    /// another one since.
    pub fn open(disk: &mut impl Disk, known: bool) -> Option<Behind> {
        let blocks = Extract::behind(disk).unwrap_or_else(|error| {
            // The process ended while it was written: the damage is still where it was.
            log::warn!("{error}");
            None
        })?;
        let damaged = blocks.before.length;
        Some(Behind {
            blocks: Some(blocks),
            damaged,
            from: if known { damaged } else { 0 },
            lost: DisconnectedTransactions::default(),
            earlier: BTreeMap::new(),
            looked: None,
            compared: None,
        })
    }

    /// The chain is another one from this height on.
    pub fn reorged(&mut self, fork: u64) {
        self.from = self.from.min(fork);
        self.compared = self.compared.map(|_| self.from);
        self.looked = None;
    }

    /// Whether all of it is in the mempool.
    pub fn is_read(&self) -> bool {
        self.blocks.is_none() && self.lost.is_empty()
    }

    /// Gathers some more of it.
    fn gather<D: Disk>(&mut self, cx: &mut Cx<D>, own: PublicKey) -> Result<(), DiskError> {
        for _ in 0..limits::BLOCKS_PER_TURN {
            let Some(blocks) = &mut self.blocks else {
                break;
            };
            if self.lost.is_full() {
                break;
            }
            match blocks.next(cx.chain.disk())? {
                Some(stored) => self.gather_block(cx, own, &stored)?,
                None => self.blocks = None,
            }
        }
        if self.blocks.is_none() || self.lost.is_full() {
            self.compared = Some(self.from);
            self.earlier.clear();
        }
        Ok(())
    }

    fn gather_block<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        own: PublicKey,
        stored: &StoredBlock,
    ) -> Result<(), DiskError> {
        for (transaction, before) in stored.effective() {
            let now = cx.now.mono;
            let mut batch = Batch::again(transaction, own, [now, now]);
            if transaction.kind == Kind::Release {
                batch.ended = match (self.earlier.get(&transaction.uid), before.height()) {
                    (Some(request), _) => Some(request.clone()),
                    (None, Some(height)) if height < self.damaged.min(cx.chain.tip().length) => {
                        let read = || cx.chain.read(height);
                        Looked::last(&mut self.looked, height, &transaction.uid, read)?
                    }
                    (None, _) => None,
                };
            }
            self.lost.add(stored.block.index, batch);
            self.earlier
                .insert(transaction.uid.clone(), transaction.clone());
        }
        Ok(())
    }
}

impl Mempool {
    /// Goes on with it; true if there is more to do now.
    pub(super) fn restore_behind<D: Disk>(&mut self, cx: &mut Cx<D>) -> bool {
        if cx.chain.take_given_up() {
            self.behind = Behind::open(cx.chain.disk(), true);
        }
        let Some(mut behind) = self.behind.take() else {
            return false;
        };
        if behind.is_read() {
            if self.queue.has_first() {
                self.behind = Some(behind);
            } else if let Err(error) = cx.chain.disk().set_len(File::Behind, 0) {
                log::warn!("{error}");
            }
            return false;
        }
        let mut more = true;
        if let Some(next) = &mut behind.compared {
            if self.confirm_known(cx, next, &mut behind.lost, 0) {
                behind.compared = None;
                self.restore_first(cx, core::mem::take(&mut behind.lost));
            }
        } else if behind.lost.is_empty() && self.queue.has_first() {
            // As many as there is room for wait for their blocks.
            more = false;
        } else if let Err(error) = behind.gather(cx, self.own) {
            cx.effects.alert(format!(
                "[store ❌] {error}: what stood behind the damage is not made again."
            ));
            (behind.blocks, behind.compared) = (None, Some(behind.from));
        }
        self.behind = Some(behind);
        more
    }

    /// Whether this waits until all that stood behind the damage is made again.
    pub(super) fn waits_for_behind(&self, number: u64) -> bool {
        let reads = self.behind.as_ref().is_some_and(|behind| !behind.is_read());
        reads && !Queue::is_first(number)
    }

    /// Puts what the chain lacks in front of everything else.
    fn restore_first<D: Disk>(&mut self, cx: &mut Cx<D>, lost: DisconnectedTransactions) {
        self.forget_gathered(&lost);
        for (_, batch) in lost.into_lacking() {
            match self.drops {
                true => self.drop_batch(cx, &batch),
                false => self.queue.add_first(batch),
            }
        }
    }
}
