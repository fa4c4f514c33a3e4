//! Transactions that are in no block yet: those of our user, those of disconnected blocks, those that
//! peers sent.
//!
//! `queue` has them in their order, `batch` is what goes together, `usage` what they cost. What is not
//! our user's comes in by `admission`, after a `lookup` whether it is in the chain already. The
//! transactions of disconnected blocks are collected by `gathering`, and wait in `disconnected` while
//! there is no room. What stood behind damage goes in front of all that (`behind`). `assembly` makes
//! blocks, `outcome` tells what became of everything.

mod admission;
mod assembly;
mod batch;
mod behind;
mod disconnected;
mod gathering;
mod lookup;
mod outcome;
mod queue;
mod usage;

use std::collections::VecDeque;

use super::answer::SessionId;
use super::effects::Cx;
use super::event::Millis;
use crate::ledger::{PublicKey, RuleError, Transaction, TransactionId};
use crate::limits;
use crate::store::disk::Disk;
use crate::store::waiting::{self, Waiting};
pub use admission::{Due, Received};
pub use assembly::Making;
pub use batch::{Batch, BatchOrigin};
use behind::Behind;
pub use disconnected::Disconnected;
pub use gathering::{DisconnectedTransactions, Gathered, Looked};
use lookup::{LookUp, LookUps};
use queue::Queue;

/// All that is in no block yet.
pub struct Mempool {
    /// What waits for a block.
    pub queue: Queue,
    /// The look-ups: what may be in the chain already.
    lookups: LookUps,
    /// Disconnected blocks whose transactions have no room yet.
    disconnected: VecDeque<Disconnected>,
    /// What stood behind damage.
    behind: Option<Behind>,
    /// The block that is being made.
    pub making: Option<Making>,
    /// When the last one was made.
    made: Millis,
    /// Our user's key.
    own: PublicKey,
    /// The user chose that transactions of disconnected blocks are not made again.
    drops: bool,
    /// Our own waiting transactions could not be kept on disk.
    unkept: bool,
    /// Transactions that came from desktop nodes too late, and of which the user was told.
    late: heapless::HistoryBuf<TransactionId, { limits::LOST_REMEMBERED }>,
}

impl Mempool {
    /// The mempool of a node with this key. Reads our own transactions that the last run left
    /// undone; what is wrong with them is added to `notices`.
    pub fn open(
        disk: &mut impl Disk,
        now: Millis,
        (own, drops): (PublicKey, bool),
        notices: &mut Vec<String>,
    ) -> Mempool {
        let list = match waiting::read(disk) {
            Ok((list, aside)) => {
                notices.extend(aside.map(|name| {
                    format!("what waited for a block was damaged and is kept as {name}.")
                }));
                list
            }
            Err(error) => {
                notices.push(format!("{error}: what waited for a block is not made."));
                Vec::new()
            }
        };
        let mut lookups = LookUps::default();
        for waiting in list {
            let origin = match waiting.fresh {
                true => BatchOrigin::User,
                false => BatchOrigin::Own,
            };
            let mut batch = Batch::new(waiting.transactions, origin, now);
            (batch.ended, batch.kept) = (waiting.ended, true);
            lookups.push(LookUp::new(batch));
        }
        Mempool {
            queue: Queue::default(),
            lookups,
            disconnected: VecDeque::new(),
            behind: Behind::open(disk, false),
            making: None,
            made: Millis(0),
            own,
            drops,
            unkept: false,
            late: heapless::HistoryBuf::new(),
        }
    }

    /// Whether the items allow these transactions behind everything that waits already.
    pub fn check<D: Disk>(&mut self, cx: &Cx<D>, request: &[Transaction]) -> Result<(), RuleError> {
        let (items, tip) = (cx.chain.items(), cx.chain.tip());
        self.queue.changes(items, tip).check(items, request)
    }

    /// Adds a pending request of a user.
    pub fn add_request(
        &mut self,
        now: Millis,
        session: Option<SessionId>,
        request: Vec<Transaction>,
    ) {
        let mut batch = Batch::new(request, BatchOrigin::User, now);
        batch.session = session;
        self.queue.add(batch);
    }

    /// Whether a look-up is going on.
    pub fn looks_up(&self) -> bool {
        !self.lookups.is_empty()
    }

    /// Whether nothing waits, neither here nor in the chain file.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && !self.looks_up() && !self.waits_outside()
    }

    /// Whether transactions of disconnected blocks have no room yet.
    pub fn waits_outside(&self) -> bool {
        let behind = self.behind.as_ref().is_some_and(|behind| !behind.is_read());
        behind || !self.disconnected.is_empty()
    }

    /// Whether the user chose that transactions of disconnected blocks are not made again.
    pub fn drops(&self) -> bool {
        self.drops
    }

    /// Whether the look-ups take half of the memory for restored transactions.
    pub fn is_half_full(&self) -> bool {
        let half = self.lookups.usage().restored() >= limits::RESTORED_BYTES / 2;
        limits::Full::HalfFull.when(half)
    }

    /// Whether half of it is taken by all that waits: what goes into blocks makes room.
    pub fn is_half_full_of_all(&self) -> bool {
        let [waiting, asked] = [self.queue.usage(), self.lookups.usage()];
        waiting.restored() + asked.restored() >= limits::RESTORED_BYTES / 2
    }

    /// Whether something of our own is in no block yet.
    pub fn has_own(&self) -> bool {
        let mut later = self.disconnected.iter().flat_map(Disconnected::own);
        self.queue.has_own() || later.next().is_some()
    }

    /// The chain has a new tip: it is longer already, and what is looked up may be in it.
    pub fn tip_changed<D>(&mut self, cx: &mut Cx<D>) {
        self.queue.lengthen = false;
        // There may be room for disconnected transactions.
        cx.effects.busy |= self.waits_outside();
        self.lookups.begin_anew();
    }

    /// The desktop node of a connection is not connected any more: somebody else may have the block
    /// that is being made of its own.
    pub fn ends_making_of(&mut self, conn: usize) {
        if let Some(making) = &mut self.making {
            making.ended |= making.from == Some(conn);
        }
    }

    /// The chain is another one from this height on.
    pub fn reorged(&mut self, fork: u64) {
        for rest in &mut self.disconnected {
            rest.reorged(fork);
        }
        if let Some(behind) = &mut self.behind {
            behind.reorged(fork);
        }
    }

    /// These disconnected blocks wait until there is room.
    pub fn keep_outside(&mut self, rest: Disconnected) {
        self.disconnected.push_back(rest);
        // The last save did not include our own transactions among them.
        self.queue.save_anew();
    }

    /// The node ends: keeps everything of our own that is not done, whatever was kept before.
    pub fn save_undone<D: Disk>(&mut self, cx: &mut Cx<D>) {
        self.queue.keep_pending_requests();
        self.queue.save_anew();
        self.save(cx);
    }

    /// Keeps our own waiting transactions on disk, if they have changed: they must survive a
    /// restart.
    pub fn save<D: Disk>(&mut self, cx: &mut Cx<D>) {
        if !self.queue.take_unsaved() {
            return;
        }
        if cx.chain.fault().is_some() {
            self.unkept = true;
            return;
        }
        let asked = self.lookups.iter().map(|lookup| &lookup.batch);
        let later = self.disconnected.iter().flat_map(|rest| rest.own());
        let kept = asked.chain(self.queue.iter()).chain(later);
        let kept = kept.filter(|b| b.is_saved());
        let list: Vec<Waiting> = kept
            .map(|batch| Waiting {
                transactions: batch.transactions.clone(),
                fresh: batch.origin == BatchOrigin::User,
                ended: batch.ended.clone(),
            })
            .collect();
        let written = waiting::write(cx.chain.disk(), &list);
        self.unkept = written.is_err();
        if let Err(error) = written {
            cx.effects.alert(format!(
                "[store ⚠️] {error}: what waits for a block would be lost in a restart."
            ));
        }
    }
}

#[cfg(test)]
mod admission_tests;
#[cfg(test)]
mod restoring_tests;
#[cfg(test)]
mod tests;
