//! Transactions that somebody sent without a block, or in a block or chain that lost: taken into
//! the pool if they are possible and not in the chain already.
//!
//! Whether a transaction is in the chain is found out by going back from block to block in which
//! its item was changed, a few in one call. Its time says nothing: clocks on a LAN differ, and a
//! machine without a battery has none.

use std::collections::{BTreeSet, VecDeque};

use super::answer::{menu_name, verb};
use super::pool::{Batch, Origin, Pool, may_stand_alone};
use super::usage::Usage;
use super::{Millis, Node};
use crate::ledger::{Changes, Hash, Items, Kind, Tip, Transaction, TransactionId};
use crate::limits;
use crate::store::disk::Disk;
use crate::store::record::StoredBlock;
use crate::store::waiting;
use crate::wire::write::Intent;

/// A batch whose first transaction is looked for in the chain.
pub struct Inquiry {
    pub batch: Batch,
    /// The line on which it came, if it is to be passed on to the others.
    relay: Option<usize>,
    /// A desktop node's user was told that it is done: if somebody else was first, that is told.
    salvaged: bool,
    /// One more than the height of the next block to look into; none before the first.
    next: Option<u64>,
}

impl Inquiry {
    fn new(batch: Batch) -> Inquiry {
        Inquiry {
            batch,
            relay: None,
            salvaged: false,
            next: None,
        }
    }
}

/// What is looked for in the chain before it may wait in the pool, in its order.
#[derive(Default)]
pub struct Inquiries {
    list: VecDeque<Inquiry>,
    ids: BTreeSet<TransactionId>,
    usage: Usage,
    news: Option<News>,
}

/// What the pool, and behind it the first of these, do to the items.
struct News {
    /// The chain's last hash, and the pool's version.
    behind: (Hash, u64),
    /// How many of the list are in it.
    count: usize,
    changes: Changes,
}

impl Inquiries {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Inquiry> {
        self.list.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether this transaction is looked for.
    pub fn knows(&self, id: &TransactionId) -> bool {
        self.ids.contains(id)
    }

    /// The memory that they take.
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    fn push(&mut self, inquiry: Inquiry) {
        self.ids.extend(&inquiry.batch.ids);
        self.usage.add(&inquiry.batch);
        self.list.push_back(inquiry);
    }

    /// Takes out the first one.
    fn pop(&mut self) -> Option<Inquiry> {
        let inquiry = self.list.pop_front()?;
        for id in &inquiry.batch.ids {
            self.ids.remove(id);
        }
        self.usage.remove(&inquiry.batch);
        Some(inquiry)
    }

    /// Looks for none of these transactions any more.
    pub fn forget(&mut self, is_known: impl Fn(&TransactionId) -> bool) {
        if !self.ids.iter().any(&is_known) {
            return;
        }
        for mut inquiry in core::mem::take(self).list {
            inquiry.batch.forget(&is_known);
            if !inquiry.batch.transactions.is_empty() {
                self.push(inquiry);
            }
        }
    }

    /// What everything in the pool, and then everything here, does to the items, as far as it is
    /// possible.
    fn changes(&mut self, pool: &mut Pool, items: &Items, tip: Tip) -> &Changes {
        let behind = (tip.hash, pool.version());
        let known = self.news.take().filter(|news| news.behind == behind);
        let mut news = known.unwrap_or_else(|| News {
            behind,
            count: 0,
            changes: pool.changes(items, tip).clone(),
        });
        for inquiry in self.list.range(news.count..) {
            // What is impossible now changes nothing.
            let all = &inquiry.batch.transactions;
            let _ = news.changes.apply_all(items, all, tip.length);
        }
        news.count = self.list.len();
        &self.news.insert(news).changes
    }

    /// The first of them went into the pool behind all that was there: together they still do the
    /// same, if that was known when the pool had this version.
    fn admitted(&mut self, version: u64, pool: &Pool) {
        let known = |news: &News| news.behind.1 == version && news.count > 0;
        self.news = self.news.take().filter(known);
        if let Some(news) = &mut self.news {
            news.behind.1 = pool.version();
            news.count -= 1;
        }
    }
}

/// Reads what of our own the last run left undone; what is wrong with it is added to `notices`.
pub fn open_waiting(disk: &mut impl Disk, now: Millis, notices: &mut Vec<String>) -> Inquiries {
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
    let mut inquiries = Inquiries::default();
    for waiting in list {
        let origin = match waiting.fresh {
            true => Origin::User,
            false => Origin::Own,
        };
        let mut batch = Batch::new(waiting.transactions, origin, now);
        (batch.ended, batch.kept) = (waiting.ended, true);
        inquiries.push(Inquiry::new(batch));
    }
    inquiries
}

impl<D: Disk> Node<D> {
    /// A peer sent a transaction on its own.
    pub(super) fn new_transaction(&mut self, line: usize, transaction: Transaction) {
        let Some(peer) = self.slots[line].peer() else {
            return;
        };
        let from = peer.remote.ip();
        if !may_stand_alone(&transaction) {
            let most = limits::ITEM_BYTES_MAX;
            return log::info!(
                "{from}: a transaction is refused, its item's name has more than {most} bytes"
            );
        }
        let mut batch = Batch::new(vec![transaction], Origin::Peer(from), self.cx.now.mono);
        if self.is_waiting(&batch) {
            return;
        }
        self.checked += 1;
        let [transaction] = &batch.transactions[..] else {
            return;
        };
        if !self.cx.verifier.verify(transaction) {
            return self.strike(line, "a transaction: its signature does not verify");
        }
        let (verb, uid) = (verb(transaction), &transaction.uid);
        let who = menu_name(&transaction.requester.to_string());
        self.cx
            .effects
            .notify(format!("[network 📨] {verb} of {uid} by {who}"));
        batch.due = self.cx.jitter.delayed(self.cx.now.mono);
        batch.expires = Some(Millis(self.cx.now.mono.0 + limits::POOL_MS));
        if !self.has_room_for(&batch) {
            return log::info!("{from}: too many transactions wait, one is dropped");
        }
        match self.check_news(&batch) {
            true => self.inquire_about(batch, Some(line)),
            // What a desktop node takes and we do not is behind something that we lack.
            false => self.doubt(line),
        }
    }

    fn is_waiting(&self, batch: &Batch) -> bool {
        let waits = |id| self.pool.knows(id) || self.inquiries.knows(id);
        batch.ids.iter().any(waits)
    }

    pub(super) fn has_room_for(&self, batch: &Batch) -> bool {
        let (waiting, asked) = (self.pool.usage(), self.inquiries.usage());
        waiting.has_room_beside(asked, batch)
    }

    /// Whether the items allow a batch behind everything that came before.
    fn check_news(&mut self, batch: &Batch) -> bool {
        let (items, tip) = (self.cx.chain.items(), self.cx.chain.tip());
        let changes = self.inquiries.changes(&mut self.pool, items, tip);
        changes.check(items, &batch.transactions).is_ok()
    }

    /// Looks for a batch in the chain; if it is not there, takes it into the pool.
    pub(super) fn inquire_about(&mut self, batch: Batch, relay: Option<usize>) {
        self.inquiries.push(Inquiry {
            relay,
            ..Inquiry::new(batch)
        });
        self.cx.effects.busy = true;
    }

    /// Takes a transaction of a desktop node that is in no block of ours; its signature has been
    /// checked. What has become of it shows when it is looked for. True if it is taken.
    pub(super) fn salvage(
        &mut self,
        line: usize,
        transaction: &Transaction,
        ended: Option<&Transaction>,
    ) -> bool {
        let known = self.desktop_at(line).is_some_and(|it| it.said.is_some());
        let due = match known && self.makes_for(line) {
            // Before it has told its chain, that may come with this in it.
            true => self.cx.now.mono,
            false => self.cx.jitter.delayed(self.cx.now.mono),
        };
        let mut batch = Batch::new(vec![transaction.clone()], Origin::Other, due);
        batch.ended = ended.cloned();
        if self.drop_orphans || self.is_waiting(&batch) || !self.has_room_for(&batch) {
            // It may wait for somebody else to make it again, and nobody does that for its maker.
            self.pool.hasten(&batch.ids, due);
            return false;
        }
        self.inquiries.push(Inquiry {
            salvaged: true,
            ..Inquiry::new(batch)
        });
        self.cx.effects.busy = true;
        true
    }

    /// Takes a transaction of a chain or block that lost, if it is still possible and there is room;
    /// its signature has been checked. A release counts only for the reservation that it was made
    /// for: `ended`, or, where that is not known, one that is not younger than itself, which shows
    /// when it is looked for. True if it is taken.
    pub(super) fn glean(&mut self, transaction: &Transaction, ended: Option<&Transaction>) -> bool {
        let mut batch = Batch::new(
            vec![transaction.clone()],
            Origin::Other,
            self.cx.jitter.delayed(self.cx.now.mono),
        );
        batch.ended = ended.cloned();
        let waits = self.is_waiting(&batch);
        let taken = !waits && self.has_room_for(&batch) && self.check_news(&batch);
        if taken {
            self.inquire_about(batch, None);
        }
        taken
    }

    /// The chain has a new end: what is looked for may be there.
    pub(super) fn inquire_anew(&mut self) {
        for inquiry in &mut self.inquiries.list {
            inquiry.next = None;
        }
    }

    /// Goes on looking for what came; true if there is more to do.
    pub(super) fn inquire(&mut self) -> bool {
        if self.inquiries.is_empty() {
            return false;
        }
        match self.look_back() {
            Found::Unknown(next) => {
                if let Some(inquiry) = self.inquiries.list.front_mut() {
                    inquiry.next = Some(next);
                }
            }
            Found::Nothing => self.admit(),
            Found::There(height) => {
                if let Some(inquiry) = self.take_inquiry() {
                    self.is_there(&inquiry.batch, height);
                }
            }
            Found::Useless => {
                self.take_inquiry();
            }
            Found::Late => {
                if let Some(inquiry) = self.take_inquiry()
                    && inquiry.salvaged
                {
                    self.tell_late(&inquiry.batch);
                }
            }
        }
        true
    }

    /// The first inquiry comes to its end without going into the pool.
    fn take_inquiry(&mut self) -> Option<Inquiry> {
        self.inquiries.news = None;
        self.inquiries.pop()
    }

    /// Looks for the first inquiry's transaction in the blocks in which its item was changed, the
    /// last one first.
    fn look_back(&mut self) -> Found {
        let Some(Inquiry { batch, next, .. }) = self.inquiries.list.front() else {
            return Found::Useless;
        };
        let Some(wanted) = batch.transactions.first() else {
            return Found::Useless;
        };
        let budget = self.cx.chain.budget();
        let mut newest = next.is_none();
        let last = || self.cx.chain.items().get(&wanted.uid);
        let mut next = next.unwrap_or_else(|| last().map_or(0, |state| state.since + 1));
        for _ in 0..limits::HISTORY_PER_TURN {
            let Some(height) = next.checked_sub(1) else {
                return Found::Nothing;
            };
            let stored = match self.cx.chain.read(height) {
                Ok(stored) => stored,
                // Nobody can tell whether it is in the chain, so it is not taken.
                Err(error) => {
                    log::info!("{error}: a transaction is not taken");
                    return Found::Useless;
                }
            };
            if core::mem::take(&mut newest) && is_older_than_holder(batch, wanted, &stored) {
                return Found::Late;
            }
            let mut changes = stored.effective().filter(|(t, _)| t.uid == wanted.uid);
            let Some((first, before)) = changes.next() else {
                return Found::Useless;
            };
            if first.is_same_as(wanted) || changes.any(|(t, _)| t.is_same_as(wanted)) {
                return Found::There(height);
            }
            next = before.height().map_or(0, |height| height + 1);
            if self.cx.chain.is_over(budget) {
                break;
            }
        }
        Found::Unknown(next)
    }

    /// What was looked for is in the chain: our own of the last run came through.
    fn is_there(&mut self, batch: &Batch, height: u64) {
        self.pool.ended(core::slice::from_ref(batch));
        for transaction in batch.transactions.iter().filter(|_| batch.is_own()) {
            let (verb, uid) = (verb(transaction), &transaction.uid);
            self.cx.effects.notify(format!(
                "[consensus ✅] your {verb} of {uid} is in the chain, block #{height}"
            ));
        }
    }

    /// The first inquiry's batch is not in the chain, and goes into the pool if it is possible.
    fn admit(&mut self) {
        let Some(inquiry) = self.inquiries.pop() else {
            return;
        };
        let Inquiry { batch, relay, .. } = inquiry;
        if !batch.is_own() && self.check_wish(&batch.transactions).is_err() {
            self.inquiries.news = None;
            if inquiry.salvaged {
                self.tell_late(&batch);
            }
            return;
        }
        let version = self.pool.version();
        match self.pool.add(batch) {
            Some(number) => {
                self.inquiries.admitted(version, &self.pool);
                if let Some(line) = relay {
                    self.relay(Intent::Transaction(number), Some(line));
                }
            }
            None => self.inquiries.news = None,
        }
    }
}

/// What has come of looking for a transaction.
enum Found {
    /// There are more blocks to look into, the next one below this height.
    Unknown(u64),
    /// It is not in the chain.
    Nothing,
    /// It is in the block at this height.
    There(u64),
    /// It is of no use, or nobody can tell.
    Useless,
    /// It is a release, and the item is held by a younger request.
    Late,
}

/// Whether this is a release of which nobody knows what it ended, and the item is held by a younger
/// request: `newest` is the block in which it was changed last.
fn is_older_than_holder(batch: &Batch, wanted: &Transaction, newest: &StoredBlock) -> bool {
    let unsure = batch.origin == Origin::Other && batch.ended.is_none();
    if !unsure || wanted.kind != Kind::Release {
        return false;
    }
    let last = newest.last_change(|uid| *uid == wanted.uid);
    last.is_some_and(|last| {
        last.kind == Kind::Request && last.timestamp.seconds() > wanted.timestamp.seconds()
    })
}
