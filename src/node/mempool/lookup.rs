//! Duplicate look-up: a batch that somebody sent may be in the chain already, so it is looked up there
//! before it may wait for a block.
//!
//! A look-up goes back from block to block in which the item was changed, a few in one call. A transaction's time says nothing: clocks on a LAN differ, and a machine without a battery
//! has none.

use std::collections::{BTreeSet, VecDeque};

use super::batch::{Batch, BatchOrigin};
use super::queue::Queue;
use super::usage::Usage;
use crate::ledger::{Changes, Hash, Items, Kind, Tip, Transaction, TransactionId};
use crate::limits;
use crate::node::event::Millis;
use crate::store::disk::Disk;
use crate::store::log::Log;
use crate::store::record::StoredBlock;

/// A batch whose first transaction is looked up in the chain.
pub struct LookUp {
    pub batch: Batch,
    /// The connection over which it came, if it is to be passed on to the others.
    pub relay: Option<usize>,
    /// A desktop node's user was told that it is done: if somebody else was first, that is
    /// reported.
    pub salvaged: bool,
    /// One more than the height of the next block to look into; `None` before the first.
    pub next: Option<u64>,
}

impl LookUp {
    /// A look-up that begins.
    pub fn new(batch: Batch) -> LookUp {
        LookUp {
            batch,
            relay: None,
            salvaged: false,
            next: None,
        }
    }
}

/// The look-ups, in their order.
#[derive(Default)]
pub struct LookUps {
    list: VecDeque<LookUp>,
    ids: BTreeSet<TransactionId>,
    usage: Usage,
    news: Option<News>,
}

/// What the mempool, and behind it the first of the look-ups, do to the items.
struct News {
    /// The chain's last hash, and the mempool's version.
    behind: (Hash, u64),
    /// How many look-ups are included.
    count: usize,
    changes: Changes,
}

impl LookUps {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &LookUp> {
        self.list.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether this transaction is being looked up.
    pub fn knows(&self, id: &TransactionId) -> bool {
        self.ids.contains(id)
    }

    /// The memory that they take.
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Adds a look-up behind the others.
    pub fn push(&mut self, lookup: LookUp) {
        self.ids.extend(&lookup.batch.ids);
        self.usage.add(&lookup.batch);
        self.list.push_back(lookup);
    }

    /// If one of these transactions is looked up and not in the chain, a block is made for it at
    /// this time at the latest.
    pub fn hasten(&mut self, ids: &[TransactionId], due: Millis) {
        if !ids.iter().any(|id| self.knows(id)) {
            return;
        }
        for LookUp { batch, .. } in &mut self.list {
            if batch.ids.iter().any(|id| ids.contains(id)) {
                batch.due = batch.due.min(due);
            }
        }
    }

    /// Takes out the first one.
    pub fn pop(&mut self) -> Option<LookUp> {
        let lookup = self.list.pop_front()?;
        for id in &lookup.batch.ids {
            self.ids.remove(id);
        }
        self.usage.remove(&lookup.batch);
        Some(lookup)
    }

    /// Ends the look-ups of these transactions.
    pub fn forget(&mut self, is_known: impl Fn(&TransactionId) -> bool) {
        if !self.ids.iter().any(&is_known) {
            return;
        }
        for mut lookup in core::mem::take(self).list {
            lookup.batch.forget(&is_known);
            if !lookup.batch.transactions.is_empty() {
                self.push(lookup);
            }
        }
    }

    /// What everything in the mempool, and then every look-up, does to the items, as far as it is
    /// possible.
    pub fn changes(&mut self, queue: &mut Queue, items: &Items, tip: Tip) -> &Changes {
        let behind = (tip.hash, queue.version());
        let known = self.news.take().filter(|news| news.behind == behind);
        let mut news = known.unwrap_or_else(|| News {
            behind,
            count: 0,
            changes: queue.changes(items, tip).clone(),
        });
        for lookup in self.list.range(news.count..) {
            // What is impossible now changes nothing.
            let all = &lookup.batch.transactions;
            let _ = news.changes.apply_all(items, all, tip.length);
        }
        news.count = self.list.len();
        &self.news.insert(news).changes
    }

    /// The first look-up went into the mempool, behind all that was there: together they still do
    /// the same, if that was known when the mempool had this version.
    pub fn admitted(&mut self, version: u64, queue: &Queue) {
        let known = |news: &News| news.behind.1 == version && news.count > 0;
        self.news = self.news.take().filter(known);
        if let Some(news) = &mut self.news {
            news.behind.1 = queue.version();
            news.count -= 1;
        }
    }

    /// The chain has a new tip: what is looked up may be there.
    pub fn begin_anew(&mut self) {
        for lookup in &mut self.list {
            lookup.next = None;
        }
    }

    /// The first look-up continues from this height.
    pub fn goes_on(&mut self, next: u64) {
        if let Some(lookup) = self.list.front_mut() {
            lookup.next = Some(next);
        }
    }

    /// Removes the first look-up, whose batch does not go into the mempool.
    pub fn take(&mut self) -> Option<LookUp> {
        self.forget_changes();
        self.pop()
    }

    /// What the look-ups do to the items has to be found out anew.
    pub fn forget_changes(&mut self) {
        self.news = None;
    }

    /// Looks the first transaction up in the blocks in which its item was changed, the last one
    /// first.
    pub fn look_back(&self, chain: &mut Log<impl Disk>) -> Found {
        let Some(LookUp { batch, next, .. }) = self.list.front() else {
            return Found::Useless;
        };
        let Some(wanted) = batch.transactions.first() else {
            return Found::Useless;
        };
        let budget = chain.budget();
        let mut newest = next.is_none();
        let last = || chain.items().get(&wanted.uid);
        let mut next = next.unwrap_or_else(|| last().map_or(0, |state| state.since + 1));
        for _ in 0..limits::HISTORY_PER_TURN {
            let Some(height) = next.checked_sub(1) else {
                return Found::Nothing;
            };
            let stored = match chain.read(height) {
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
            if chain.is_over(budget) {
                break;
            }
        }
        limits::Full::LookedBack.ran();
        Found::Unknown(next)
    }
}

/// What a look-up has found.
pub enum Found {
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

/// Whether this is a release of which nobody knows what it ended, while the item is held by a
/// younger request. `newest` is the block in which the item was changed last.
fn is_older_than_holder(batch: &Batch, wanted: &Transaction, newest: &StoredBlock) -> bool {
    let unsure = batch.origin == BatchOrigin::Other && batch.ended.is_none();
    if !unsure || wanted.kind != Kind::Release {
        return false;
    }
    let last = newest.last_change(|uid| *uid == wanted.uid);
    last.is_some_and(|last| {
        last.kind == Kind::Request && last.timestamp.seconds() > wanted.timestamp.seconds()
    })
}
