//! Who holds what: the item table, and changes to it that can be checked first and applied later.

use std::collections::BTreeMap;

use super::block::{Block, RuleError};
use super::tally;
use super::transaction::{Kind, Transaction, Uid};

/// What the chain says of an item it has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemState {
    /// Requested and not released since.
    pub reserved: bool,
    /// The height of the last block that changed it.
    pub since: u64,
}

/// Every item in the chain. Costs about 80 bytes and the name for each.
#[derive(Debug, Default, PartialEq)]
pub struct Items {
    states: BTreeMap<Uid, ItemState>,
    reserved: usize,
}

impl Items {
    /// What is known of an item.
    pub fn get(&self, uid: &Uid) -> Option<ItemState> {
        self.states.get(uid).copied()
    }

    /// The number of reserved items.
    pub fn reserved(&self) -> usize {
        self.reserved
    }

    /// The number of items that the chain has seen and nobody holds.
    pub fn available(&self) -> usize {
        self.states.len() - self.reserved
    }

    /// Items in the order of their names, behind `last` where it is given.
    pub fn after(&self, last: Option<&Uid>) -> impl Iterator<Item = (&Uid, &ItemState)> {
        use core::ops::Bound::{Excluded, Unbounded};
        let from = last.map_or(Unbounded, Excluded);
        self.states.range::<Uid, _>((from, Unbounded))
    }

    /// Puts an item into the table as it was there before: for a table that is read back.
    pub fn restore(&mut self, uid: Uid, state: ItemState) {
        let mut changes = Changes::default();
        changes.states.insert(uid, Some(state));
        self.commit(changes);
    }

    /// Makes the changes part of the table.
    pub fn commit(&mut self, changes: Changes) {
        if changes.from_nothing {
            *self = Items::default();
        }
        for (uid, state) in changes.states {
            let now = state.is_some_and(|state| state.reserved);
            let before = match state {
                Some(state) => self.states.insert(uid, state),
                None => self.states.remove(&uid),
            };
            let before = before.is_some_and(|state| state.reserved);
            self.reserved = self.reserved + usize::from(now) - usize::from(before);
        }
    }
}

/// Where an item was last changed before a transaction: one more than that block's height, or 0
/// if the item was new. Stored with each transaction, it is all that undoing one needs.
pub type Before = u64;

/// What blocks do to the item table, kept beside it: a new block is checked here before it is
/// durable, and another chain's state is built here while ours stays in force.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// The table beneath counts as empty: the other chain shares no block with ours.
    from_nothing: bool,
    states: BTreeMap<Uid, Option<ItemState>>,
}

impl Changes {
    /// Changes to an empty table, whatever table they are laid over.
    pub fn from_nothing() -> Changes {
        Changes {
            from_nothing: true,
            states: BTreeMap::new(),
        }
    }

    /// What is known of an item with these changes laid over `items`.
    pub fn get(&self, items: &Items, uid: &Uid) -> Option<ItemState> {
        match self.states.get(uid) {
            Some(state) => *state,
            None if self.from_nothing => None,
            None => items.get(uid),
        }
    }

    /// Applies one transaction of the block at `height`, if the item allows it: a request only of
    /// an item that is not reserved, a release only of one that is (PROTOCOL.md section 3).
    pub fn apply(
        &mut self,
        items: &Items,
        transaction: &Transaction,
        height: u64,
    ) -> Result<Before, RuleError> {
        tally::count(|done| done.applied += 1);
        let before = self.get(items, &transaction.uid);
        let reserved = before.is_some_and(|state| state.reserved);
        allows(reserved, transaction)?;
        let state = ItemState {
            reserved: !reserved,
            since: height,
        };
        self.states.insert(transaction.uid.clone(), Some(state));
        Ok(before.map_or(0, |state| state.since + 1))
    }

    /// Whether these transactions could be applied one after the other; applies none.
    pub fn check(&self, items: &Items, transactions: &[Transaction]) -> Result<(), RuleError> {
        let mut states: BTreeMap<&Uid, bool> = BTreeMap::new();
        for transaction in transactions {
            let uid = &transaction.uid;
            let reserved = states
                .entry(uid)
                .or_insert_with(|| self.get(items, uid).is_some_and(|state| state.reserved));
            allows(*reserved, transaction)?;
            *reserved = !*reserved;
        }
        Ok(())
    }

    /// Applies these transactions in order, or none of them.
    pub fn apply_all(
        &mut self,
        items: &Items,
        transactions: &[Transaction],
        height: u64,
    ) -> Result<(), RuleError> {
        self.check(items, transactions)?;
        for transaction in transactions {
            self.apply(items, transaction, height)?;
        }
        Ok(())
    }

    /// Applies a block's transactions in order. On an error some of them are applied, so the
    /// changes are to be thrown away.
    pub fn apply_block(&mut self, items: &Items, block: &Block) -> Result<Vec<Before>, RuleError> {
        let transactions = block.transactions.iter();
        transactions
            .map(|transaction| self.apply(items, transaction, block.index))
            .collect()
    }

    /// Takes back a block that was applied to the table or in these changes, the last one first.
    pub fn undo_block(&mut self, block: &Block, befores: &[Before]) {
        assert_eq!(block.transactions.len(), befores.len());
        tally::count(|done| done.applied += tally::bytes(befores.len()));
        for (transaction, before) in block.transactions.iter().zip(befores).rev() {
            let state = before.checked_sub(1).map(|since| ItemState {
                reserved: transaction.kind == Kind::Release,
                since,
            });
            self.states.insert(transaction.uid.clone(), state);
        }
    }

    /// Keeps these changes true while a block is added to the table beneath them: what they do
    /// not mention stays as it was before that block.
    pub fn shield_from(&mut self, items: &Items, block: &Block) {
        for transaction in &block.transactions {
            if !self.from_nothing && !self.states.contains_key(&transaction.uid) {
                self.states
                    .insert(transaction.uid.clone(), items.get(&transaction.uid));
            }
        }
    }
}

/// Whether an item in this state allows a transaction (PROTOCOL.md section 3).
fn allows(reserved: bool, transaction: &Transaction) -> Result<(), RuleError> {
    match transaction.kind {
        Kind::Request if reserved => Err(RuleError::NotAvailable(transaction.uid.clone())),
        Kind::Release if !reserved => Err(RuleError::NotReserved(transaction.uid.clone())),
        Kind::Request | Kind::Release => Ok(()),
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

    fn commit(items: &mut Items, block: &Block) -> Vec<Before> {
        let mut changes = Changes::default();
        let befores = changes.apply_block(items, block).expect("valid");
        items.commit(changes);
        befores
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
        let refused = Changes::default().apply_block(&items, &block(2, &[(Request, "a")]));
        assert_eq!(refused, Err(RuleError::NotAvailable("a".into())));
        let refused = Changes::default().apply_block(&items, &block(2, &[(Release, "b")]));
        assert_eq!(refused, Err(RuleError::NotReserved("b".into())));
        let twice = block(2, &[(Release, "a"), (Release, "a")]);
        assert!(Changes::default().apply_block(&items, &twice).is_err());
        assert_eq!((items.reserved(), items.available()), (1, 0));
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
        let mut befores = Vec::new();
        for block in &blocks {
            past.push(format!("{items:?}"));
            befores.push(commit(&mut items, block));
        }
        for (height, block) in blocks.iter().enumerate().rev() {
            let mut changes = Changes::default();
            changes.undo_block(block, &befores[height]);
            items.commit(changes);
            assert_eq!(format!("{items:?}"), past[height]);
        }
    }

    #[test]
    fn a_shielded_branch_does_not_see_what_ours_adds() {
        let mut items = Items::default();
        commit(&mut items, &block(1, &[(Request, "a")]));
        let branch = &mut Changes::default();
        let added = block(2, &[(Release, "a"), (Request, "b")]);
        branch.shield_from(&items, &added);
        commit(&mut items, &added);
        assert_eq!(branch.get(&items, &"b".into()), None);
        let held = branch.get(&items, &"a".into()).expect("known");
        assert!(held.reserved);
    }
}
