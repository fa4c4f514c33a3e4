//! Changes to the item table that can be checked first and applied later.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::block::{Block, RuleError};
use super::items::Items;
use super::table::{ItemKey, ItemState, Table};
use super::tally;
use super::transaction::{Kind, Transaction, Uid};
use crate::limits;

/// The undo data of a transaction: where its item was last changed before it, or that the
/// transaction is void. It is stored with the transaction, and is all that undoing it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo(
    /// One more than the height; 0 if the item was new.
    u64,
);

impl Undo {
    /// The item was new.
    pub const NEW: Undo = Undo(0);
    /// The transaction changes nothing (PROTOCOL.md section 3, "void").
    pub const VOID: Undo = Undo(u64::MAX);

    /// The item was last changed in the block at this height.
    pub fn at(height: u64) -> Undo {
        Undo(height + 1)
    }

    /// The height of the block in which the item was last changed, if it was there before, and the
    /// transaction changes it.
    pub fn height(self) -> Option<u64> {
        self.0.checked_sub(1).filter(|_| !self.is_void())
    }

    /// Whether the transaction changes nothing.
    pub fn is_void(self) -> bool {
        self == Undo::VOID
    }
}

/// An overlay over the item table: what blocks change in it. A new block is checked here before it
/// is durable, and the state of another chain is built here while ours stays in force. Costs at
/// most 64 bytes for each item that is mentioned.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// The table beneath counts as empty: the other chain shares no block with ours.
    from_nothing: bool,
    states: Table,
    /// How many more items there are than in the table beneath.
    added: i64,
}

impl Changes {
    /// Changes to an empty table, whatever table they are laid over.
    pub fn from_nothing() -> Changes {
        Changes {
            from_nothing: true,
            ..Changes::default()
        }
    }

    /// Whether the table beneath counts as empty.
    pub fn is_from_nothing(&self) -> bool {
        self.from_nothing
    }

    /// What is mentioned: each item's state, `None` if it is gone. Memory is given back on the way.
    pub(super) fn into_rows(self) -> impl Iterator<Item = (ItemKey, Option<ItemState>)> {
        self.states.into_rows()
    }

    /// The number of items that are mentioned.
    pub fn mentioned(&self) -> usize {
        self.states.count()
    }

    /// The number of items with these changes laid over `items`.
    pub fn count(&self, items: &Items) -> usize {
        let beneath = if self.from_nothing { 0 } else { items.count() };
        let count = i64::try_from(beneath).map_or(i64::MAX, |count| count + self.added);
        usize::try_from(count).unwrap_or(0)
    }

    /// What is known of an item with these changes laid over `items`.
    pub fn get(&self, items: &Items, uid: &Uid) -> Option<ItemState> {
        self.look_up(items, &ItemKey::of(uid))
    }

    fn look_up(&self, items: &Items, key: &ItemKey) -> Option<ItemState> {
        match self.states.get(key) {
            Some(state) => state,
            None if self.from_nothing => None,
            None => items.look_up(key),
        }
    }

    /// Applies one transaction of the block at `height`, if the item allows it: a request only of
    /// an item that is not reserved, a release only of one that is (PROTOCOL.md section 3). A new
    /// item is refused where there are as many as `items` may have.
    fn apply(
        &mut self,
        items: &Items,
        transaction: &Transaction,
        height: u64,
    ) -> Result<Undo, RuleError> {
        tally::count(|done| done.applied += 1);
        let key = ItemKey::of(&transaction.uid);
        let before = self.look_up(items, &key);
        let reserved = before.is_some_and(|state| state.reserved);
        allows(reserved, transaction)?;
        if before.is_none() {
            if limits::Full::TooManyItems.when(self.count(items) >= items.max()) {
                return Err(RuleError::TooManyItems(items.max()));
            }
            self.added += 1;
        }
        let state = ItemState {
            reserved: !reserved,
            since: height,
        };
        self.states.insert(key, Some(state));
        Ok(before.map_or(Undo::NEW, |state| Undo::at(state.since)))
    }

    /// Whether these transactions could be applied one after the other, none of them void; applies
    /// none.
    pub fn check(&self, items: &Items, transactions: &[Transaction]) -> Result<(), RuleError> {
        let mut states: BTreeMap<&Uid, bool> = BTreeMap::new();
        let mut count = self.count(items);
        for transaction in transactions {
            let uid = &transaction.uid;
            let before = match states.get(uid) {
                Some(reserved) => Some(*reserved),
                None => self.get(items, uid).map(|state| state.reserved),
            };
            let reserved = before == Some(true);
            allows(reserved, transaction)?;
            if before.is_none() {
                if limits::Full::TooManyItems.when(count >= items.max()) {
                    return Err(RuleError::TooManyItems(items.max()));
                }
                count += 1;
            }
            states.insert(uid, !reserved);
        }
        Ok(())
    }

    /// Applies these transactions in order, or none of them if one is void or refused.
    pub fn apply_all(
        &mut self,
        items: &Items,
        transactions: &[Transaction],
        height: u64,
    ) -> Result<(), RuleError> {
        let mut undo_data = Vec::with_capacity(transactions.len());
        for transaction in transactions {
            match self.apply(items, transaction, height) {
                Ok(before) => undo_data.push(before),
                Err(error) => {
                    self.undo(&transactions[..undo_data.len()], &undo_data);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Applies a block's transactions in order, as those of a chain, in which one that the item does
    /// not allow is void. On an error some of them are applied, so the changes are to be thrown away.
    pub fn apply_block(&mut self, items: &Items, block: &Block) -> Result<Vec<Undo>, RuleError> {
        let all = block.transactions.iter();
        let applied = all.map(|transaction| self.apply(items, transaction, block.index));
        let as_in_a_chain = applied.map(|applied| match applied {
            Err(error) if error.is_void() => Ok(Undo::VOID),
            applied => applied,
        });
        as_in_a_chain.collect()
    }

    /// Applies a block that our chain has, whose rules were checked when it came.
    pub fn apply_known(&mut self, block: &Block, undo_data: &[Undo]) {
        for (transaction, _) in effective(&block.transactions, undo_data) {
            let state = ItemState {
                reserved: transaction.kind == Kind::Request,
                since: block.index,
            };
            let key = ItemKey::of(&transaction.uid);
            let before = self.states.insert(key, Some(state));
            self.added += i64::from(before.flatten().is_none());
        }
    }

    /// Takes back a block that was applied to the table or in these changes, the last one first.
    pub fn undo_block(&mut self, block: &Block, undo_data: &[Undo]) {
        assert_eq!(block.transactions.len(), undo_data.len());
        self.undo(&block.transactions, undo_data);
    }

    fn undo(&mut self, transactions: &[Transaction], undo_data: &[Undo]) {
        tally::count(|done| done.applied += tally::bytes(undo_data.len()));
        for (transaction, before) in effective(transactions, undo_data).rev() {
            let state = before.height().map(|since| ItemState {
                reserved: transaction.kind == Kind::Release,
                since,
            });
            if state.is_none() {
                self.added -= 1;
            }
            self.states.insert(ItemKey::of(&transaction.uid), state);
        }
    }

    /// Keeps the overlay as it is while `own`, which a block of our chain changes, goes into the
    /// table beneath: items that only `own` mentions are overlaid with what the table says of them
    /// now.
    pub fn overlay_current(&mut self, items: &Items, own: &Changes) {
        if self.from_nothing {
            return;
        }
        self.added -= own.added;
        for (key, _) in own.states.after(None) {
            if self.states.get(key).is_none() {
                self.states.insert(*key, items.look_up(key));
            }
        }
    }
}

/// Transactions that are not void, each with its undo data.
pub fn effective<'a>(
    transactions: &'a [Transaction],
    undo_data: &'a [Undo],
) -> impl DoubleEndedIterator<Item = (&'a Transaction, Undo)> {
    let all = transactions.iter().zip(undo_data.iter().copied());
    all.filter(|(_, before)| !before.is_void())
}

/// Whether an item in this state allows a transaction (PROTOCOL.md section 3).
fn allows(reserved: bool, transaction: &Transaction) -> Result<(), RuleError> {
    match transaction.kind {
        Kind::Request if reserved => Err(RuleError::NotAvailable(transaction.uid.clone())),
        Kind::Release if !reserved => Err(RuleError::NotReserved(transaction.uid.clone())),
        Kind::Request | Kind::Release => Ok(()),
    }
}

impl Items {
    /// Makes the changes part of the table. This takes no more memory than both have now: the
    /// changes give theirs back on the way.
    pub fn commit(&mut self, changes: Changes) {
        if changes.is_from_nothing() {
            self.clear();
        }
        for (key, state) in changes.into_rows() {
            self.put(key, state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Identity, Timestamp};

    fn block(index: u64, steps: &[(Kind, &str)]) -> Block {
        let identity = Identity::from_secret(&[1; 32]).expect("a key");
        let mut block = Block::genesis(Timestamp::Integer(0));
        block.index = index;
        block.transactions = steps
            .iter()
            .map(|(kind, name)| identity.sign(*kind, (*name).into(), Timestamp::Integer(0)))
            .collect();
        block
    }

    fn commit(items: &mut Items, block: &Block) -> Vec<Undo> {
        let mut changes = Changes::default();
        let undo_data = changes.apply_block(items, block).expect("valid");
        items.commit(changes);
        undo_data
    }

    /// Takes these blocks back, the last one first, each of which ends where it began.
    fn undo_all(mut items: Items, blocks: &[Block], undo_data: &[Vec<Undo>], past: &[String]) {
        for (height, block) in blocks.iter().enumerate().rev() {
            let mut changes = Changes::default();
            changes.undo_block(block, &undo_data[height]);
            items.commit(changes);
            assert_eq!(format!("{items:?}"), past[height]);
        }
    }

    use Kind::{Release, Request};

    #[test]
    fn the_rules_hold_within_a_block_and_across_blocks() {
        let mut items = Items::default();
        commit(
            &mut items,
            &block(1, &[(Request, "a"), (Release, "a"), (Request, "a")]),
        );
        assert_eq!((items.reserved(), items.available()), (1, 0));
        let refused = |steps| {
            let block = block(2, steps);
            let refused = Changes::default().apply_all(&items, &block.transactions, 2);
            assert!(Changes::default().apply_block(&items, &block).is_ok());
            refused.expect_err("refused")
        };
        let reserved = RuleError::NotAvailable("a".into());
        assert_eq!(refused(&[(Request, "a")]), reserved);
        let free = RuleError::NotReserved("b".into());
        assert_eq!(refused(&[(Release, "b")]), free);
        refused(&[(Release, "a"), (Release, "a")]);
        assert_eq!((items.reserved(), items.available()), (1, 0));
    }

    #[test]
    fn what_is_void_in_a_chain_changes_nothing_and_is_undone_as_nothing() {
        let blocks = [
            block(1, &[(Request, "a"), (Request, "a"), (Release, "b")]),
            block(2, &[(Request, "a"), (Release, "a"), (Release, "a")]),
            block(3, &[(Release, "a"), (Request, "c"), (Request, "c")]),
        ];
        let states = [Some((true, 1)), Some((false, 2)), Some((false, 2))];
        let mut items = Items::default();
        items.set_max(2);
        let (mut past, mut undo_data) = (Vec::new(), Vec::new());
        for (block, state) in blocks.iter().zip(states) {
            past.push(format!("{items:?}"));
            undo_data.push(commit(&mut items, block));
            let a = items.get(&"a".into());
            assert_eq!(a.map(|a| (a.reserved, a.since)), state);
        }
        assert_eq!((items.reserved(), items.available()), (1, 1));
        let void = |undo_data: &Vec<Undo>| undo_data.iter().filter(|b| b.is_void()).count();
        assert_eq!(undo_data.iter().map(void).collect::<Vec<_>>(), [2, 2, 2]);
        let mut known = Changes::from_nothing();
        for (block, undo_data) in blocks.iter().zip(&undo_data) {
            known.apply_known(block, undo_data);
        }
        assert_eq!(known.count(&items), items.count());
        undo_all(items, &blocks, &undo_data, &past);
    }

    #[test]
    fn several_are_applied_together_or_not_at_all() {
        let mut items = Items::default();
        commit(&mut items, &block(1, &[(Request, "a")]));
        let mut changes = Changes::default();
        let half = block(2, &[(Request, "b"), (Request, "a")]).transactions;
        let refused = Err(RuleError::NotAvailable("a".into()));
        assert_eq!(changes.apply_all(&items, &half, 2), refused);
        assert_eq!(changes.get(&items, &"b".into()), None);
        let all = block(2, &[(Release, "a"), (Request, "a"), (Request, "b")]).transactions;
        assert_eq!(changes.check(&items, &all), Ok(()));
        assert_eq!(changes.apply_all(&items, &all, 2), Ok(()));
        let refused = Err(RuleError::NotAvailable("b".into()));
        assert_eq!(changes.check(&items, &all[2..]), refused);
    }

    #[test]
    fn undoing_every_block_ends_where_it_began() {
        let blocks = [
            block(1, &[(Request, "a"), (Request, "b")]),
            block(2, &[(Release, "a"), (Request, "a"), (Release, "b")]),
            block(3, &[(Release, "a"), (Request, "c")]),
        ];
        let mut items = Items::default();
        let mut past = Vec::new();
        let mut undo_data = Vec::new();
        for block in &blocks {
            past.push(format!("{items:?}"));
            undo_data.push(commit(&mut items, block));
        }
        undo_all(items, &blocks, &undo_data, &past);
    }

    #[test]
    fn an_overlaid_branch_does_not_see_what_ours_adds() {
        let mut items = Items::default();
        commit(&mut items, &block(1, &[(Request, "a")]));
        let branch = &mut Changes::default();
        let added = block(2, &[(Release, "a"), (Request, "b")]);
        let mut own = Changes::default();
        own.apply_block(&items, &added).expect("valid");
        branch.overlay_current(&items, &own);
        items.commit(own);
        assert_eq!(branch.get(&items, &"b".into()), None);
        assert_eq!((branch.count(&items), items.count()), (1, 2));
        let held = branch.get(&items, &"a".into()).expect("known");
        assert!(held.reserved);
    }

    #[test]
    fn a_new_item_is_refused_where_there_are_enough() {
        let mut items = Items::default();
        commit(&mut items, &block(1, &[(Request, "a"), (Request, "b")]));
        items.set_max(2);
        let new = block(2, &[(Request, "c")]);
        let refused = Changes::default().apply_block(&items, &new);
        assert_eq!(refused, Err(RuleError::TooManyItems(2)));
        let refused = Changes::default().check(&items, &new.transactions);
        assert_eq!(refused, Err(RuleError::TooManyItems(2)));
        // Those that are there stay of use, and a void transaction adds none.
        commit(&mut items, &block(2, &[(Release, "a"), (Request, "a")]));
        let void = Changes::default().apply_block(&items, &block(3, &[(Release, "c")]));
        assert_eq!(void, Ok(vec![Undo::VOID]));
        // Another chain may have other ones, as many.
        let mut other = Changes::default();
        other.undo_block(&block(1, &[(Request, "b")]), &[Undo::NEW]);
        other
            .apply_block(&items, &block(1, &[(Request, "c")]))
            .expect("one has gone");
        assert_eq!(other.count(&items), 2);
        let refused = other.apply_block(&items, &block(2, &[(Request, "b")]));
        assert_eq!(refused, Err(RuleError::TooManyItems(2)));
        let mut new = Changes::from_nothing();
        new.apply_block(&items, &block(0, &[(Request, "x"), (Request, "y")]))
            .expect("no item is there yet");
        let refused = new.apply_block(&items, &block(1, &[(Request, "z")]));
        assert_eq!(refused, Err(RuleError::TooManyItems(2)));
        // A table that has more already goes on.
        items.set_max(1);
        commit(&mut items, &block(3, &[(Release, "a")]));
        items.commit(new.clone());
        assert_eq!((items.count(), items.reserved()), (2, 2));
        let refused = Changes::default().apply_block(&items, &block(4, &[(Request, "z")]));
        assert_eq!(refused, Err(RuleError::TooManyItems(1)));
    }
}
