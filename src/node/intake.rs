//! Transactions that somebody sent without a block, or in a block or chain that lost: taken into
//! the pool if they are possible and not in the chain already.
//!
//! Whether a transaction is in the chain is found out by going back from block to block in which
//! its item was changed, a few in one call. Its time says nothing: clocks on a LAN differ, and a
//! machine without a battery has none.

use std::collections::VecDeque;

use super::gossip::menu_name;
use super::mine::verb;
use super::pool::{Batch, Origin};
use super::{Millis, Node};
use crate::ledger::{Block, Kind, Transaction};
use crate::limits;
use crate::store::disk::Disk;
use crate::store::waiting;
use crate::wire::write::Intent;

/// A batch whose first transaction is looked for in the chain.
pub struct Inquiry {
    pub batch: Batch,
    /// The line on which it came, if it is to be passed on to the others.
    relay: Option<usize>,
    /// One more than the height of the next block to look into; none before the first.
    next: Option<u64>,
}

/// Reads what of our own the last run left undone; what is wrong with it is added to `notices`.
pub fn open_waiting(
    disk: &mut impl Disk,
    now: Millis,
    notices: &mut Vec<String>,
) -> VecDeque<Inquiry> {
    let list =
        match waiting::read(disk) {
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
    let inquiries = list.into_iter().map(|waiting| {
        let origin = match waiting.fresh {
            true => Origin::User,
            false => Origin::Own,
        };
        let mut batch = Batch::new(waiting.transactions, origin, now);
        (batch.ended, batch.kept) = (waiting.ended, true);
        Inquiry {
            batch,
            relay: None,
            next: None,
        }
    });
    inquiries.collect()
}

impl<D: Disk> Node<D> {
    /// A peer sent a transaction on its own.
    pub(super) fn new_transaction(&mut self, line: usize, transaction: Transaction) {
        if self.pool.knows(&transaction) || self.is_asked_about(&transaction) {
            return;
        }
        if !self.verifier.verify(&transaction) {
            return self.strike(line, "a transaction: its signature does not verify");
        }
        let Some(peer) = self.slots[line].peer() else {
            return;
        };
        let from = peer.remote.ip();
        let (verb, uid) = (verb(&transaction), &transaction.uid);
        let who = menu_name(&transaction.requester.to_string());
        self.notify(&format!("[network 📨] {verb} of {uid} by {who}"));
        let asked = self.inquiries.iter();
        let asked = asked.filter(|i| i.batch.origin == Origin::Peer(from));
        let full = self.inquiries.len() >= limits::POOL
            || asked.count() >= limits::POOL_PER_PEER
            || !self.pool.has_room_for(from);
        if full {
            return log::info!("{from}: too many transactions wait, one is dropped");
        }
        if self.check_news(&transaction).is_ok() {
            let now = self.now.mono;
            let mut batch = Batch::new(vec![transaction], Origin::Peer(from), self.delayed());
            batch.expires = Some(Millis(now.0 + limits::POOL_MS));
            self.inquire_about(batch, Some(line));
        }
    }

    /// What is not our own wish waits so long, if no block comes before.
    pub(super) fn delayed(&mut self) -> Millis {
        let spread = self.random() % (limits::DELAY_SPREAD_MS + 1);
        Millis(self.now.mono.0 + limits::DELAY_MS + spread)
    }

    /// Looks for a batch in the chain; if it is not there, takes it into the pool.
    pub(super) fn inquire_about(&mut self, batch: Batch, relay: Option<usize>) {
        self.inquiries.push_back(Inquiry {
            batch,
            relay,
            next: None,
        });
        self.busy = true;
    }

    fn is_asked_about(&self, transaction: &Transaction) -> bool {
        let mut asked = self.inquiries.iter().flat_map(|i| &i.batch.transactions);
        asked.any(|other| other.is_same_as(transaction))
    }

    /// Takes a transaction of a chain or block that lost, if it is still possible; its signature
    /// has been checked. A release counts only for the reservation that it was made for: `ended`,
    /// or, where that is not known, one that is not younger than itself.
    /// True if it is.
    pub(super) fn glean(&mut self, transaction: &Transaction, ended: Option<&Transaction>) -> bool {
        let known = self.pool.knows(transaction) || self.is_asked_about(transaction);
        if known || self.check_news(transaction).is_err() {
            return false;
        }
        if transaction.kind == Kind::Release && ended.is_none() {
            let time = transaction.timestamp.seconds();
            let younger = |holder: &Transaction| holder.timestamp.seconds() > time;
            if self.holder(transaction).as_ref().is_some_and(younger) {
                return false;
            }
        }
        let mut batch = Batch::new(vec![transaction.clone()], Origin::Other, self.delayed());
        batch.ended = ended.cloned();
        self.inquire_about(batch, None);
        true
    }

    /// The transactions of a checked block that has no place in our chain.
    pub(super) fn glean_block(&mut self, block: &Block) {
        for transaction in &block.transactions {
            self.glean(transaction, None);
        }
    }

    /// The request by which a transaction's item is reserved.
    fn holder(&mut self, transaction: &Transaction) -> Option<Transaction> {
        let state = self.log.items().get(&transaction.uid)?;
        let stored = self.log.read(state.since).ok()?;
        let mut changes = stored.block.transactions;
        changes.retain(|change| change.uid == transaction.uid);
        changes.pop().filter(|_| state.reserved)
    }

    /// The chain has a new end: what is looked for may be there.
    pub(super) fn inquire_anew(&mut self) {
        for inquiry in &mut self.inquiries {
            inquiry.next = None;
        }
    }

    /// Goes on looking for what came; true if there is more to do.
    pub(super) fn inquire(&mut self) -> bool {
        let Some(mut inquiry) = self.inquiries.pop_front() else {
            return false;
        };
        let Some(wanted) = inquiry.batch.transactions.first().cloned() else {
            return true;
        };
        for _ in 0..limits::HISTORY_PER_TURN {
            let items = self.log.items();
            let last = || items.get(&wanted.uid).map_or(0, |state| state.since + 1);
            let Some(height) = inquiry.next.unwrap_or_else(last).checked_sub(1) else {
                self.admit(inquiry);
                return true;
            };
            let stored = match self.log.read(height) {
                Ok(stored) => stored,
                // Nobody can tell whether it is in the chain, so it is not taken.
                Err(error) => {
                    log::info!("{error}: a transaction is not taken");
                    return true;
                }
            };
            let transactions = stored.block.transactions.iter().zip(&stored.befores);
            let mut changes = transactions.filter(|(t, _)| t.uid == wanted.uid);
            let Some((first, before)) = changes.next() else {
                return true;
            };
            if first.is_same_as(&wanted) || changes.any(|(t, _)| t.is_same_as(&wanted)) {
                self.is_there(&inquiry.batch, height);
                return true;
            }
            inquiry.next = Some(*before);
        }
        self.inquiries.push_front(inquiry);
        true
    }

    /// What was looked for is in the chain: our own of the last run came through.
    fn is_there(&mut self, batch: &Batch, height: u64) {
        self.pool.ended(core::slice::from_ref(batch));
        for transaction in batch.transactions.iter().filter(|_| batch.is_own()) {
            let (verb, uid) = (verb(transaction), &transaction.uid);
            self.notify(&format!(
                "[consensus ✅] your {verb} of {uid} is in the chain, block #{height}"
            ));
        }
    }

    fn admit(&mut self, inquiry: Inquiry) {
        let Inquiry { batch, relay, .. } = inquiry;
        if !batch.is_own() && self.check_wish(&batch.transactions).is_err() {
            return;
        }
        self.pool.add(batch);
        if let Some(line) = relay
            && let Some(added) = self.pool.batches.back()
        {
            self.relay(Intent::Transaction(added.number), Some(line));
        }
    }
}
