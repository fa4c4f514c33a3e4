//! What waits for a block, in its order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::batch::{Batch, BatchOrigin};
use super::usage::Usage;
use crate::ledger::{Changes, Hash, Items, Tip, Transaction, TransactionId};
use crate::limits;
use crate::node::answer::SessionId;
use crate::node::event::Millis;

/// What the batches up to a number do to the items, on a chain with this tip.
struct Overlay {
    tip: Hash,
    last: u64,
    changes: Changes,
}

/// Behind these are the numbers of all but what goes first.
const FIRST_NUMBERS: u64 = 1 << 48;

/// What waits.
#[derive(Default)]
pub struct Queue {
    /// By their numbers, and so in their order.
    batches: BTreeMap<u64, Batch>,
    /// Which batch a transaction is in.
    ids: BTreeMap<TransactionId, u64>,
    usage: Usage,
    next_number: u64,
    /// The number of the last that was put in front of the others.
    last_first: u64,
    /// How often something was added or taken out.
    version: u64,
    /// What all of it does to the items, as far as it is possible; none while that is not known.
    overlay: Option<Overlay>,
    /// Transactions that were applied for that since the last call.
    applied: usize,
    /// Transactions that the user was told are lost, the last few.
    pub lost: VecDeque<Transaction>,
    /// A block is wanted even if nothing waits.
    pub lengthen: bool,
    /// Our own waiting transactions differ from what the file says.
    unsaved: bool,
}

impl Queue {
    /// Adds a batch behind everything else; returns its number. One that waits already is not added
    /// again, unless it is our own now.
    pub fn add(&mut self, mut batch: Batch) -> Option<u64> {
        if batch.origin != BatchOrigin::User {
            let known = batch.ids.iter().filter_map(|id| self.ids.get(id).copied());
            let known: Vec<u64> = known.collect();
            let own = |number: &u64| self.batches.get(number).is_some_and(Batch::is_own);
            if known.iter().any(own) || (!known.is_empty() && !batch.is_own()) {
                return None;
            }
            for number in known {
                self.remove(number);
            }
        }
        self.next_number += 1;
        batch.number = FIRST_NUMBERS + self.next_number;
        Some(self.insert(batch))
    }

    /// Adds what goes in front of all that is added otherwise, behind what was so before; in the place
    /// of what waits already.
    pub fn add_first(&mut self, mut batch: Batch) {
        let known = batch.ids.iter().filter_map(|id| self.ids.get(id).copied());
        for number in known.collect::<Vec<u64>>() {
            self.remove(number);
        }
        self.last_first += 1;
        batch.number = self.last_first;
        self.overlay = None;
        self.insert(batch);
    }

    /// Whether this is the number of one of these.
    pub fn is_first(number: u64) -> bool {
        number <= FIRST_NUMBERS
    }

    /// Whether one of them waits.
    pub fn has_first(&self) -> bool {
        let first = self.batches.first_key_value();
        first.is_some_and(|(number, _)| Queue::is_first(*number))
    }

    fn insert(&mut self, batch: Batch) -> u64 {
        let number = batch.number;
        self.unsaved |= batch.is_saved();
        self.usage.add(&batch);
        self.ids.extend(batch.ids.iter().map(|id| (*id, number)));
        self.batches.insert(number, batch);
        self.version += 1;
        number
    }

    /// Takes out the batch of this number.
    pub fn remove(&mut self, number: u64) -> Option<Batch> {
        let batch = self.batches.remove(&number)?;
        for id in &batch.ids {
            if self.ids.get(id) == Some(&number) {
                self.ids.remove(id);
            }
        }
        self.usage.remove(&batch);
        self.overlay = None;
        self.version += 1;
        Some(batch)
    }

    /// Everything that waits, in its order.
    pub fn iter(&self) -> impl Iterator<Item = &Batch> {
        self.batches.values()
    }

    /// The batch of this number.
    pub fn get(&self, number: u64) -> Option<&Batch> {
        self.batches.get(&number)
    }

    /// A block is made for this batch at another time.
    pub fn postpone(&mut self, number: u64, due: Millis) {
        if let Some(batch) = self.batches.get_mut(&number) {
            batch.due = due;
        }
    }

    /// A block is made for the transaction with one of these ids at this time at the latest.
    pub fn hasten(&mut self, ids: &[TransactionId], due: Millis) {
        for number in ids.iter().filter_map(|id| self.ids.get(id)) {
            if let Some(batch) = self.batches.get_mut(number) {
                batch.due = batch.due.min(due);
            }
        }
    }

    /// A number that changes whenever something is added or taken out.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The memory that it takes.
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// What waits of our own has changed.
    pub fn save_anew(&mut self) {
        self.unsaved = true;
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty() && !self.lengthen
    }

    /// A block is wanted even if it has no transaction.
    pub fn lengthen(&mut self) {
        self.lengthen = true;
    }

    /// Whether this user waits for something.
    pub fn owes(&self, session: SessionId) -> bool {
        let mut pending_requests = self.pending_requests();
        pending_requests.any(|request| request.session == Some(session))
    }

    /// The pending requests of our users.
    pub fn pending_requests(&self) -> impl Iterator<Item = &Batch> {
        self.iter().filter(|b| b.origin == BatchOrigin::User)
    }

    /// Whether something of our own waits.
    pub fn has_own(&self) -> bool {
        self.iter().any(Batch::is_own)
    }

    /// The users were told that it takes a while: from now on their pending requests survive a
    /// restart.
    pub fn keep_pending_requests(&mut self) {
        for batch in self.batches.values_mut() {
            if batch.origin == BatchOrigin::User && !core::mem::replace(&mut batch.kept, true) {
                self.unsaved = true;
            }
        }
    }

    /// Nobody waits for an outcome any more.
    pub fn forget_sessions(&mut self) {
        for batch in self.batches.values_mut() {
            batch.session = None;
        }
    }

    /// When the first of what waits is due.
    pub fn due(&self) -> Option<Millis> {
        let lengthen = self.lengthen.then_some(Millis(0));
        self.iter().map(|b| b.due).chain(lengthen).min()
    }

    /// The transaction that waits under this number.
    pub fn transaction(&self, number: u64) -> Option<&Transaction> {
        self.get(number)?.transactions.first()
    }

    /// Whether it waits already.
    pub fn knows(&self, id: &TransactionId) -> bool {
        self.ids.contains_key(id)
    }

    /// The ids of what waits, as far as a greeting tells them.
    pub fn ids(&self) -> Vec<TransactionId> {
        let all = self.iter().filter(|b| b.origin != BatchOrigin::User);
        let all = all.flat_map(|b| &b.ids).copied();
        let ids: Vec<TransactionId> = all.take(limits::MEMPOOL_IDS).collect();
        limits::Full::GreetingPool.when(ids.len() < self.ids.len());
        ids
    }

    /// The numbers of what waits and is not among these.
    pub fn lacking(&self, known: &[TransactionId]) -> Vec<u64> {
        let known: BTreeSet<&TransactionId> = known.iter().collect();
        let told = self.iter().filter(|batch| batch.is_told_alone());
        let lacks = |batch: &&Batch| batch.ids.iter().any(|id| !known.contains(id));
        let all = told.take(limits::MEMPOOL_IDS).filter(lacks);
        let numbers: Vec<u64> = all
            .take(limits::OUTGOING_MESSAGES / 2)
            .map(|b| b.number)
            .collect();
        limits::Full::GreetingLacks.when(numbers.len() == limits::OUTGOING_MESSAGES / 2);
        numbers
    }

    /// Forgets what has waited too long.
    pub fn expire(&mut self, now: Millis) {
        let over = |batch: &&Batch| batch.expires.is_some_and(|at| at <= now);
        let over: Vec<u64> = self.iter().filter(over).map(|b| b.number).collect();
        for number in over {
            self.remove(number);
        }
    }

    /// When something has waited too long.
    pub fn expires(&self) -> Option<Millis> {
        self.iter().filter_map(|b| b.expires).min()
    }

    /// Takes out the batches that are in a block now; returns them.
    pub fn take_done(&mut self, transactions: &[Transaction]) -> Vec<Batch> {
        let mut done = Vec::new();
        for transaction in transactions {
            if self.ids.is_empty() {
                break;
            }
            if let Some(number) = self.ids.get(&transaction.id()).copied() {
                done.extend(self.remove(number));
            }
        }
        self.ended(&done);
        done
    }

    /// Takes out everything but pending requests.
    pub fn take_others(&mut self) -> Vec<Batch> {
        let others = self.iter().filter(|b| b.origin != BatchOrigin::User);
        let others: Vec<u64> = others.map(|b| b.number).collect();
        others.into_iter().filter_map(|n| self.remove(n)).collect()
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        let lost = core::mem::take(&mut self.lost);
        *self = Queue {
            lost,
            next_number: self.next_number,
            last_first: self.last_first,
            version: self.version + 1,
            unsaved: self.unsaved,
            ..Queue::default()
        };
    }

    /// These came to their end, one way or the other.
    pub fn ended(&mut self, batches: &[Batch]) {
        self.unsaved |= batches.iter().any(Batch::is_saved);
    }

    /// What everything that waits does to the items of a chain with this tip, as far as it is
    /// possible. What is impossible is reported when its turn comes.
    pub fn changes(&mut self, items: &Items, tip: Tip) -> &Changes {
        let known = self
            .overlay
            .take()
            .filter(|overlay| overlay.tip == tip.hash);
        let mut overlay = known.unwrap_or_else(|| Overlay {
            tip: tip.hash,
            last: 0,
            changes: Changes::default(),
        });
        for (number, batch) in self.batches.range(overlay.last + 1..) {
            // What is impossible now changes nothing.
            let _ = overlay
                .changes
                .apply_all(items, &batch.transactions, tip.length);
            overlay.last = *number;
            self.applied += batch.transactions.len();
        }
        &self.overlay.insert(overlay).changes
    }

    /// Whether what waits of our own has changed since this was asked last.
    pub fn take_unsaved(&mut self) -> bool {
        core::mem::take(&mut self.unsaved)
    }

    /// Transactions that were applied for that since this was asked last.
    pub fn take_applied(&mut self) -> usize {
        core::mem::take(&mut self.applied)
    }
}
