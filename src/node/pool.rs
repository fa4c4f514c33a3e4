//! What our user wants and is not in the chain yet, and the making of blocks from it.

use std::collections::VecDeque;

use super::Node;
use super::orphans::Orphan;
use crate::ledger::{Block, Changes, Kind, RuleError, Timestamp, Transaction, Uid, Work};
use crate::limits;
use crate::store::disk::Disk;
use crate::store::log::AppendError;
use crate::wire::write::Intent;

/// Transactions that go into one block or into none.
struct Batch {
    transactions: Vec<Transaction>,
    /// The user waits for it; else it was in the chain before and fell out.
    fresh: bool,
    /// For a release that fell out, the request that it ended.
    ended: Option<Transaction>,
}

/// Transactions of ours that wait for a block.
#[derive(Default)]
pub struct Pool {
    batches: VecDeque<Batch>,
    /// The block that is being made of the first `taken` batches.
    work: Option<Work>,
    taken: usize,
    /// What the user was told to be lost, the last few.
    pub lost: VecDeque<Transaction>,
}

impl Pool {
    /// Adds what the user asks for: transactions that belong together.
    pub fn add(&mut self, transactions: Vec<Transaction>) {
        self.batches.push_back(Batch {
            transactions,
            fresh: true,
            ended: None,
        });
    }

    /// Adds what fell out of the chain.
    pub fn add_orphan(&mut self, orphan: Orphan) {
        self.batches.push_back(Batch {
            transactions: vec![orphan.transaction],
            fresh: false,
            ended: orphan.ended,
        });
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Whether the user waits for something.
    pub fn owes_answer(&self) -> bool {
        self.batches.iter().any(|batch| batch.fresh)
    }

    /// Takes out what was in the chain before and waits to be made again.
    pub fn take_orphans(&mut self) -> Vec<Orphan> {
        self.begin_again();
        let batches = core::mem::take(&mut self.batches).into_iter();
        let (fresh, fallen): (VecDeque<_>, VecDeque<_>) = batches.partition(|batch| batch.fresh);
        self.batches = fresh;
        let orphans = fallen.into_iter().flat_map(|batch| {
            let ended = batch.ended;
            let transactions = batch.transactions.into_iter();
            transactions.map(move |transaction| Orphan {
                transaction,
                ended: ended.clone(),
            })
        });
        orphans.collect()
    }

    /// The block that was being made has lost its place.
    pub fn begin_again(&mut self) {
        self.work = None;
    }

    /// Says what the end of the node leaves undone.
    pub fn report_unfinished(&self) {
        for transaction in self.batches.iter().flat_map(|batch| &batch.transactions) {
            log::warn!("not done: {} of {}", verb(transaction), transaction.uid);
        }
    }
}

/// What a transaction does, as a word.
pub(super) fn verb(transaction: &Transaction) -> &'static str {
    match transaction.kind {
        Kind::Request => "request",
        Kind::Release => "release",
    }
}

impl<D: Disk> Node<D> {
    /// Whether the items allow these transactions behind everything that waits already.
    pub(super) fn check_wish(&self, wish: &[Transaction]) -> Result<(), RuleError> {
        let mut changes = Changes::default();
        let height = self.log.tip().length;
        for batch in &self.pool.batches {
            let mut with = changes.clone();
            let mut all = batch.transactions.iter();
            // One that is no longer possible will be reported when its turn comes.
            if all.all(|transaction| with.apply(self.log.items(), transaction, height).is_ok()) {
                changes = with;
            }
        }
        for transaction in wish {
            changes.apply(self.log.items(), transaction, height)?;
        }
        Ok(())
    }

    /// Goes on making a block of what waits.
    pub(super) fn mine(&mut self) {
        if self.pool.is_empty() {
            return;
        }
        if let Some(fault) = self.log.fault() {
            let text = format!("❌ nothing was changed: {fault}.");
            self.pool.batches.clear();
            self.pool.work = None;
            self.answer(&text);
            return;
        }
        if self.pool.work.is_none() {
            self.begin_work();
        }
        let Some(work) = &mut self.pool.work else {
            return;
        };
        if work.step(limits::NONCES_PER_TURN)
            && let Some(work) = self.pool.work.take()
        {
            self.found(&work.into_block());
        }
    }

    /// Starts a block of as many batches as fit; those that are no longer possible are reported.
    fn begin_work(&mut self) {
        let height = self.log.tip().length;
        let mut changes = Changes::default();
        let mut transactions = Vec::new();
        let mut taken = VecDeque::new();
        let mut missed: Vec<Uid> = Vec::new();
        while let Some(batch) = self.pool.batches.pop_front() {
            let count = transactions.len() + batch.transactions.len();
            if count > limits::TRANSACTIONS_PER_BLOCK && !transactions.is_empty() {
                self.pool.batches.push_front(batch);
                break;
            }
            if let [only] = &batch.transactions[..]
                && only.kind == Kind::Release
                && !batch.fresh
                && missed.contains(&only.uid)
            {
                // Somebody else holds it: what was given back is not his.
                self.lost(only, "somebody else has it now");
                continue;
            }
            let mut with = changes.clone();
            let refused = batch.transactions.iter().find_map(|t| {
                with.apply(self.log.items(), t, height)
                    .err()
                    .map(|e| (t.clone(), e))
            });
            match refused {
                None => {
                    changes = with;
                    transactions.extend(batch.transactions.iter().cloned());
                    taken.push_back(batch);
                }
                Some((transaction, error)) => {
                    self.refused(&batch, &transaction, &error);
                    if !batch.fresh && transaction.kind == Kind::Request {
                        missed.push(transaction.uid);
                    }
                }
            }
        }
        self.pool.taken = taken.len();
        taken.append(&mut self.pool.batches);
        self.pool.batches = taken;
        if transactions.is_empty() {
            return;
        }
        let mut block = Block::genesis(self.block_time());
        block.index = height;
        block.prev_hash = self.log.tip().hash;
        block.transactions = transactions;
        self.pool.work = Some(Work::new(block, self.log.difficulty()));
    }

    /// Never before the tip: the clock of a machine without a battery may do anything
    /// (PROTOCOL.md section 3).
    fn block_time(&self) -> Timestamp {
        Timestamp::from_micros(self.now.wall).max(self.log.tip_time())
    }

    fn refused(&mut self, batch: &Batch, transaction: &Transaction, error: &RuleError) {
        if batch.fresh {
            self.refuse(error, batch.transactions.len());
        } else {
            let why = match error {
                RuleError::NotAvailable(_) => "somebody else has it now",
                _ => "it has been released already",
            };
            self.lost(transaction, why);
        }
    }

    /// Tells the user that something of his will not come back.
    pub(super) fn lost(&mut self, transaction: &Transaction, why: &str) {
        let told = &mut self.pool.lost;
        told.push_back(transaction.clone());
        if told.len() > limits::LOST_REMEMBERED {
            told.pop_front();
        }
        let (verb, uid) = (verb(transaction), &transaction.uid);
        self.notify(&format!(
            "[consensus ❌] your {verb} of {uid} is lost: {why}."
        ));
    }

    /// Tells the user why a wish of `count` items was not fulfilled.
    pub(super) fn refuse(&mut self, error: &RuleError, count: usize) {
        let text = match error {
            RuleError::NotAvailable(uid) => format!("❌ item {uid} is not available."),
            RuleError::NotReserved(uid) => format!("❌ item {uid} is ready for request."),
            other => format!("❌ {other}."),
        };
        let rest = if count > 1 {
            " nothing was requested."
        } else {
            ""
        };
        self.answer(&format!("{text}{rest}"));
    }

    /// The block is made: first to disk, then to the user, then to the peers.
    fn found(&mut self, block: &Block) {
        match self.log.append(block) {
            Ok(()) => {}
            Err(AppendError::Disk(error)) => return self.disk_failed(&error),
            Err(AppendError::Rule(error)) => {
                unreachable!("a block of ours breaks no rule: {error}")
            }
        }
        let mut fresh = false;
        for batch in self
            .pool
            .batches
            .drain(..self.pool.taken)
            .collect::<Vec<_>>()
        {
            fresh |= batch.fresh;
            for transaction in &batch.transactions {
                let uid = &transaction.uid;
                match (batch.fresh, transaction.kind) {
                    (true, Kind::Request) => self.answer(&format!("✅ requested {uid}")),
                    (true, Kind::Release) => self.answer(&format!("✅ released {uid}")),
                    (false, _) => {
                        let (verb, index) = (verb(transaction), block.index);
                        self.notify(&format!(
                            "[consensus ✅] your {verb} of {uid} is in the chain again, block #{index}"
                        ));
                    }
                }
            }
        }
        let intent = if fresh {
            Intent::OwnBlock
        } else {
            Intent::Block
        };
        self.relay(intent(block.index), None);
        self.tip_changed();
    }
}
