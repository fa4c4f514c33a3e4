//! Transactions that are in no block yet: what our user wants, what fell out of the chain, what
//! peers sent. `queue` has them in their order, `batch` what goes together, `usage` what it costs.
//! What is not our user's is first looked for in the chain (`admission`, `lookup`); what fell out
//! of it is gathered and compared (`gathering`), and waits outside while there is no room
//! (`disconnected`). What stood behind damage comes before all that (`behind`). `assembly` makes
//! blocks, `outcome` tells what became of it.

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
    /// What is looked for in the chain before it may wait.
    lookups: LookUps,
    /// What fell out of the chain and has no room yet.
    disconnected: VecDeque<Disconnected>,
    /// What stood behind damage, and whether it was looked for.
    behind: Option<Behind>,
    looked_behind: bool,
    /// The block that is being made.
    pub making: Option<Making>,
    /// When the last one was made.
    made: Millis,
    /// Our user's key.
    own: PublicKey,
    /// By the user's wish, nothing that falls out of the chain is made again.
    drops: bool,
    /// What waits of our own could not be kept on disk.
    unkept: bool,
    /// What desktop nodes said too late, of which the user was told.
    late: heapless::HistoryBuf<TransactionId, { limits::LOST_REMEMBERED }>,
}

impl Mempool {
    /// That of a node with this key. What of our own the last run left undone is read; what is wrong
    /// with it is added to `notices`.
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
            behind: None,
            looked_behind: false,
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

    /// What a user wishes waits from now on.
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

    /// Whether something is looked for.
    pub fn looks_up(&self) -> bool {
        !self.lookups.is_empty()
    }

    /// Whether nothing waits, here or outside.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && !self.looks_up() && !self.waits_outside()
    }

    /// Whether something fell out of the chain and has no room yet.
    pub fn waits_outside(&self) -> bool {
        let behind = self.behind.as_ref().is_some_and(|behind| !behind.is_read());
        behind || !self.disconnected.is_empty()
    }

    /// Whether what fell out is not made again, by the user's wish.
    pub fn drops(&self) -> bool {
        self.drops
    }

    /// Whether half of the memory for what others lost is taken by what is looked for.
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

    /// The chain has a new end: it is longer already, and what is looked for may be in it.
    pub fn tip_changed<D>(&mut self, cx: &mut Cx<D>) {
        self.queue.lengthen = false;
        // There may be room for what fell out.
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

    /// Something that fell out waits outside.
    pub fn keep_outside(&mut self, rest: Disconnected) {
        self.disconnected.push_back(rest);
        // What is ours of it was saved with none of this.
        self.queue.save_anew();
    }

    /// What is not done at the end of the node is to survive that: it is kept now, whatever was kept
    /// before.
    pub fn save_undone<D: Disk>(&mut self, cx: &mut Cx<D>) {
        self.queue.keep_pending_requests();
        self.queue.save_anew();
        self.save(cx);
    }

    /// Keeps on disk what waits of our own, if that has changed: it must survive a restart.
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
