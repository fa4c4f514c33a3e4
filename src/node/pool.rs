//! Transactions that are in no block yet: what our user wants, what fell out of the chain, what
//! peers sent. They wait here in their order; `mine` makes blocks of them.

use core::net::IpAddr;
use std::collections::VecDeque;

use super::seats::Asker;
use super::{Millis, Node};
use crate::ledger::{Changes, RuleError, Transaction, TransactionId, Uid};
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
    /// Whose.
    pub origin: Origin,
    /// Who waits for the outcome, if that is known.
    pub asker: Option<Asker>,
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

    /// Whether it is our user's.
    pub fn is_own(&self) -> bool {
        matches!(self.origin, Origin::User | Origin::Own)
    }

    /// Whether it survives a restart.
    pub fn is_saved(&self) -> bool {
        self.origin == Origin::Own || self.kept
    }

    /// Whether it changes this item.
    pub fn touches(&self, uid: &Uid) -> bool {
        self.transactions.iter().any(|t| t.uid == *uid)
    }
}

/// What waits.
#[derive(Default)]
pub struct Pool {
    pub(super) batches: VecDeque<Batch>,
    next_number: u64,
    /// What the user was told to be lost, the last few.
    pub lost: VecDeque<Transaction>,
    /// A block is wanted even if nothing waits.
    pub(super) lengthen: bool,
    /// What waits of our own is not what the file says.
    unsaved: bool,
}

impl Pool {
    /// Adds what waits behind everything else.
    pub fn add(&mut self, mut batch: Batch) {
        self.next_number += 1;
        batch.number = self.next_number;
        self.unsaved |= batch.is_saved();
        self.batches.push_back(batch);
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
    pub fn owes(&self, asker: Asker) -> bool {
        let mut wishes = self.wishes();
        wishes.any(|wish| wish.asker == Some(asker))
    }

    /// What our user waits for.
    pub fn wishes(&self) -> impl Iterator<Item = &Batch> {
        self.batches.iter().filter(|b| b.origin == Origin::User)
    }

    /// Whether something of our own waits.
    pub fn has_own(&self) -> bool {
        self.batches.iter().any(Batch::is_own)
    }

    /// The user was told that it takes a while: from now on it survives a restart.
    pub fn keep_wishes(&mut self) {
        for batch in &mut self.batches {
            if batch.origin == Origin::User && !core::mem::replace(&mut batch.kept, true) {
                self.unsaved = true;
            }
        }
    }

    /// When the first of what waits is due.
    pub fn due(&self) -> Option<Millis> {
        let lengthen = self.lengthen.then_some(Millis(0));
        self.batches.iter().map(|b| b.due).chain(lengthen).min()
    }

    /// The transaction that waits under this number.
    pub fn transaction(&self, number: u64) -> Option<&Transaction> {
        let at = self.batches.binary_search_by_key(&number, |b| b.number);
        let batch = &self.batches[at.ok()?];
        batch.transactions.first()
    }

    /// Whether it waits already.
    pub fn knows(&self, transaction: &Transaction) -> bool {
        let mut all = self.batches.iter().flat_map(|b| &b.transactions);
        all.any(|waiting| waiting.is_same_as(transaction))
    }

    /// The ids of what waits, as far as a greeting tells them.
    pub fn ids(&self) -> Vec<TransactionId> {
        let all = self.batches.iter().filter(|b| b.origin != Origin::User);
        let all = all.flat_map(|b| &b.transactions);
        all.take(limits::POOL).map(Transaction::id).collect()
    }

    /// The numbers of what waits and is not among these.
    pub fn lacking(&self, known: &[TransactionId]) -> Vec<u64> {
        let single = |batch: &&Batch| batch.origin != Origin::User;
        let lacks = |batch: &&Batch| batch.transactions.iter().any(|t| !known.contains(&t.id()));
        let all = self.batches.iter().filter(single).filter(lacks);
        all.take(limits::INTENTS / 2).map(|b| b.number).collect()
    }

    /// Whether another one of this peer has room.
    pub fn has_room_for(&self, from: IpAddr) -> bool {
        let sent = |batch: &&Batch| matches!(batch.origin, Origin::Peer(_));
        let his = |batch: &&Batch| batch.origin == Origin::Peer(from);
        self.batches.iter().filter(sent).count() < limits::POOL
            && self.batches.iter().filter(his).count() < limits::POOL_PER_PEER
    }

    /// Forgets what has waited too long.
    pub fn expire(&mut self, now: Millis) {
        self.batches.retain(|b| b.expires.is_none_or(|at| at > now));
    }

    /// When something has waited too long.
    pub fn expires(&self) -> Option<Millis> {
        self.batches.iter().filter_map(|b| b.expires).min()
    }

    /// Takes out what a block has now; returns it.
    pub fn take_done(&mut self, transactions: &[Transaction]) -> Vec<Batch> {
        let mut done = Vec::new();
        for transaction in transactions {
            let same = |b: &Batch| b.transactions.iter().any(|t| t.is_same_as(transaction));
            if let Some(at) = self.batches.iter().position(same) {
                done.extend(self.batches.remove(at));
            }
        }
        self.ended(&done);
        done
    }

    /// Takes out everything but what the user waits for.
    pub fn take_others(&mut self) -> Vec<Batch> {
        let all = core::mem::take(&mut self.batches).into_iter();
        let (fresh, others) = all.partition(|b| b.origin == Origin::User);
        self.batches = fresh;
        Vec::from(others)
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.batches.clear();
        self.lengthen = false;
    }

    /// These came to their end, one way or the other.
    pub fn ended(&mut self, batches: &[Batch]) {
        self.unsaved |= batches.iter().any(Batch::is_saved);
    }
}

impl<D: Disk> Node<D> {
    /// What everything that waits, and then these batches, do to the items, as far as it is
    /// possible.
    fn waiting_changes<'a>(&'a self, more: impl Iterator<Item = &'a Batch>) -> Changes {
        let height = self.log.tip().length;
        let mut changes = Changes::default();
        for batch in self.pool.batches.iter().chain(more) {
            let all = &batch.transactions;
            // Of several at once, one that is impossible will be reported when its turn comes.
            let mut with = match all.len() {
                1 => core::mem::take(&mut changes),
                _ => changes.clone(),
            };
            let done = all
                .iter()
                .all(|t| with.apply(self.log.items(), t, height).is_ok());
            if done || all.len() == 1 {
                changes = with;
            }
        }
        changes
    }

    /// Whether the items allow these transactions behind everything that waits already.
    pub(super) fn check_wish(&self, wish: &[Transaction]) -> Result<(), RuleError> {
        self.check_behind(core::iter::empty(), wish)
    }

    /// The same behind what came before them as well, and is still looked for in the chain.
    pub(super) fn check_news(&self, news: &Transaction) -> Result<(), RuleError> {
        let asked = self.inquiries.iter().map(|inquiry| &inquiry.batch);
        self.check_behind(asked, core::slice::from_ref(news))
    }

    fn check_behind<'a>(
        &'a self,
        more: impl Iterator<Item = &'a Batch>,
        wish: &[Transaction],
    ) -> Result<(), RuleError> {
        let mut changes = self.waiting_changes(more);
        let height = self.log.tip().length;
        for transaction in wish {
            changes.apply(self.log.items(), transaction, height)?;
        }
        Ok(())
    }

    /// Keeps on disk what waits of our own, if that has changed: it must survive a restart.
    pub(super) fn save_waiting(&mut self) {
        if !core::mem::take(&mut self.pool.unsaved) || self.log.fault().is_some() {
            return;
        }
        let asked = self.inquiries.iter().map(|inquiry| &inquiry.batch);
        let kept = asked.chain(&self.pool.batches).filter(|b| b.is_saved());
        let list: Vec<Waiting> = kept
            .map(|batch| Waiting {
                transactions: batch.transactions.clone(),
                fresh: batch.origin == Origin::User,
                ended: batch.ended.clone(),
            })
            .collect();
        if let Err(error) = waiting::write(self.log.disk(), &list) {
            self.alert(&format!(
                "[store ⚠️] {error}: what waits for a block would be lost in a restart."
            ));
        }
    }
}
