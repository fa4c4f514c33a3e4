//! Transactions that are in no block yet: what our user wants, what fell out of the chain, what
//! peers sent. They wait here in their order; `mine` makes blocks of them.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::answer::SessionId;
use super::usage::Usage;
use super::{Millis, Node};
use crate::ledger::{Changes, Hash, Items, RuleError, Tip, Transaction, TransactionId, Uid};
use crate::limits;
use crate::store::disk::Disk;
use crate::store::waiting::{self, Waiting};

/// Whose wish it is, which says how long it waits and who is told of its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Our user waits for the outcome.
    User,
    /// Our user was told that it is done, and then it fell out of the chain.
    Own,
    /// Somebody else's, of a chain or block that lost.
    Other,
    /// Sent by this peer.
    Peer(IpAddr),
}

/// Transactions that go into one block or into none.
#[derive(Clone)]
pub struct Batch {
    /// They, in order: one, or what our user asked for at once.
    pub transactions: Vec<Transaction>,
    /// Their ids.
    pub ids: Vec<TransactionId>,
    /// Whose.
    pub origin: Origin,
    /// Who waits for the outcome, if that is known.
    pub asker: Option<SessionId>,
    /// For a release that fell out, the request that it ended.
    pub ended: Option<Transaction>,
    /// A block is made for it at this time.
    pub due: Millis,
    /// By then it is forgotten.
    pub expires: Option<Millis>,
    /// Names it in what waits to be sent.
    pub number: u64,
    /// Its user was told that it takes a while, so it must survive a restart.
    pub kept: bool,
}

impl Batch {
    /// A batch that waits for nothing.
    pub fn new(transactions: Vec<Transaction>, origin: Origin, due: Millis) -> Batch {
        Batch {
            ids: transactions.iter().map(Transaction::id).collect(),
            transactions,
            origin,
            asker: None,
            ended: None,
            due,
            expires: None,
            number: 0,
            kept: false,
        }
    }

    /// Takes these transactions out of it.
    pub fn forget(&mut self, is_known: impl Fn(&TransactionId) -> bool) {
        let mut known = self.ids.iter().map(&is_known);
        self.transactions.retain(|_| known.next() == Some(false));
        self.ids.retain(|id| !is_known(id));
    }

    /// Whether it is our user's.
    pub fn is_own(&self) -> bool {
        matches!(self.origin, Origin::User | Origin::Own)
    }

    /// Whether it survives a restart.
    pub fn is_saved(&self) -> bool {
        self.origin == Origin::Own || self.kept
    }

    /// The items that it changes.
    pub fn items(&self) -> impl Iterator<Item = &Uid> {
        self.transactions.iter().map(|transaction| &transaction.uid)
    }

    /// What it costs in memory: bytes.
    pub fn bytes(&self) -> usize {
        let all = self.transactions.iter().chain(&self.ended);
        let bytes = |t: &Transaction| size_of::<Transaction>() + t.uid.as_wtf8().len();
        size_of::<Batch>() + limits::POOL_ENTRY_BYTES + all.map(bytes).sum::<usize>()
    }

    /// Whether peers take it as a message of its own.
    fn is_told_alone(&self) -> bool {
        self.origin != Origin::User && self.transactions.iter().all(may_stand_alone)
    }
}

/// Whether a transaction is taken that is not in a block: not with a name that no menu takes, or
/// some names would fit into no block of ours with others.
pub(super) fn may_stand_alone(transaction: &Transaction) -> bool {
    transaction.uid.as_wtf8().len() <= limits::ITEM_BYTES_MAX
}

/// What the batches up to a number do to the items of a chain that ends in this hash.
struct Overlay {
    tip: Hash,
    last: u64,
    changes: Changes,
}

/// What waits.
#[derive(Default)]
pub struct Pool {
    /// By their numbers, and so in their order.
    batches: BTreeMap<u64, Batch>,
    /// Which batch a transaction is in.
    ids: BTreeMap<TransactionId, u64>,
    usage: Usage,
    next_number: u64,
    /// How often something was added or taken out.
    version: u64,
    /// What all of it does to the items, as far as it is possible; none while that is not known.
    overlay: Option<Overlay>,
    /// Transactions that were applied for that since the last call.
    applied: usize,
    /// What the user was told to be lost, the last few.
    pub lost: VecDeque<Transaction>,
    /// A block is wanted even if nothing waits.
    pub(super) lengthen: bool,
    /// What waits of our own is not what the file says.
    unsaved: bool,
}

impl Pool {
    /// Adds what waits behind everything else; returns its number. What waits already is not added
    /// again, unless it is our own now.
    pub fn add(&mut self, mut batch: Batch) -> Option<u64> {
        if batch.origin != Origin::User {
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
        let number = self.next_number;
        batch.number = number;
        self.unsaved |= batch.is_saved();
        self.usage.add(&batch);
        self.ids.extend(batch.ids.iter().map(|id| (*id, number)));
        self.batches.insert(number, batch);
        self.version += 1;
        Some(number)
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

    /// A block is made for what is known by one of these at this time at the latest.
    pub fn hasten(&mut self, ids: &[TransactionId], due: Millis) {
        for number in ids.iter().filter_map(|id| self.ids.get(id)) {
            if let Some(batch) = self.batches.get_mut(number) {
                batch.due = batch.due.min(due);
            }
        }
    }

    /// Another number whenever something was added or taken out.
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
    pub fn owes(&self, asker: SessionId) -> bool {
        let mut wishes = self.wishes();
        wishes.any(|wish| wish.asker == Some(asker))
    }

    /// What our user waits for.
    pub fn wishes(&self) -> impl Iterator<Item = &Batch> {
        self.iter().filter(|b| b.origin == Origin::User)
    }

    /// Whether something of our own waits.
    pub fn has_own(&self) -> bool {
        self.iter().any(Batch::is_own)
    }

    /// The user was told that it takes a while: from now on it survives a restart.
    pub fn keep_wishes(&mut self) {
        for batch in self.batches.values_mut() {
            if batch.origin == Origin::User && !core::mem::replace(&mut batch.kept, true) {
                self.unsaved = true;
            }
        }
    }

    /// Nobody waits for an outcome any more.
    pub fn forget_askers(&mut self) {
        for batch in self.batches.values_mut() {
            batch.asker = None;
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
        let all = self.iter().filter(|b| b.origin != Origin::User);
        all.flat_map(|b| &b.ids)
            .take(limits::POOL_IDS)
            .copied()
            .collect()
    }

    /// The numbers of what waits and is not among these.
    pub fn lacking(&self, known: &[TransactionId]) -> Vec<u64> {
        let known: BTreeSet<&TransactionId> = known.iter().collect();
        let told = self.iter().filter(|batch| batch.is_told_alone());
        let lacks = |batch: &&Batch| batch.ids.iter().any(|id| !known.contains(id));
        let all = told.take(limits::POOL_IDS).filter(lacks);
        all.take(limits::INTENTS / 2).map(|b| b.number).collect()
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

    /// Takes out what a block has now; returns it.
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

    /// Takes out everything but what the user waits for.
    pub fn take_others(&mut self) -> Vec<Batch> {
        let others = self.iter().filter(|b| b.origin != Origin::User);
        let others: Vec<u64> = others.map(|b| b.number).collect();
        others.into_iter().filter_map(|n| self.remove(n)).collect()
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        let lost = core::mem::take(&mut self.lost);
        *self = Pool {
            lost,
            next_number: self.next_number,
            version: self.version + 1,
            unsaved: self.unsaved,
            ..Pool::default()
        };
    }

    /// These came to their end, one way or the other.
    pub fn ended(&mut self, batches: &[Batch]) {
        self.unsaved |= batches.iter().any(Batch::is_saved);
    }

    /// What everything that waits does to the items of a chain that ends in `tip`, as far as it is
    /// possible. Of several at once, one that is impossible will be reported when its turn comes.
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

    /// Transactions that were applied for that since this was asked last.
    pub fn take_applied(&mut self) -> usize {
        core::mem::take(&mut self.applied)
    }
}

impl<D: Disk> Node<D> {
    /// Whether the items allow these transactions behind everything that waits already.
    pub(super) fn check_wish(&mut self, wish: &[Transaction]) -> Result<(), RuleError> {
        let (items, tip) = (self.cx.chain.items(), self.cx.chain.tip());
        self.pool.changes(items, tip).check(items, wish)
    }

    /// Keeps on disk what waits of our own, if that has changed: it must survive a restart.
    pub(super) fn save_waiting(&mut self) {
        if !core::mem::take(&mut self.pool.unsaved) || self.cx.chain.fault().is_some() {
            return;
        }
        let asked = self.inquiries.iter().map(|inquiry| &inquiry.batch);
        let later = self.disconnected.iter().flat_map(|rest| rest.own());
        let kept = asked.chain(self.pool.iter()).chain(later);
        let kept = kept.filter(|b| b.is_saved());
        let list: Vec<Waiting> = kept
            .map(|batch| Waiting {
                transactions: batch.transactions.clone(),
                fresh: batch.origin == Origin::User,
                ended: batch.ended.clone(),
            })
            .collect();
        if let Err(error) = waiting::write(self.cx.chain.disk(), &list) {
            self.cx.effects.alert(format!(
                "[store ⚠️] {error}: what waits for a block would be lost in a restart."
            ));
        }
    }
}
