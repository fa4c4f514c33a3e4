//! Who holds what: the item table.

use super::table::{ItemKey, ItemState, Table};
use super::transaction::Uid;

/// Every item in the chain. Costs at most 64 bytes for each, however long its name is.
#[derive(Debug)]
pub struct Items {
    states: Table,
    reserved: usize,
    max: usize,
}

impl Default for Items {
    fn default() -> Items {
        Items {
            states: Table::default(),
            reserved: 0,
            max: usize::MAX,
        }
    }
}

/// Two tables are the same if they say the same.
impl PartialEq for Items {
    fn eq(&self, other: &Items) -> bool {
        self.states == other.states
    }
}

impl Items {
    /// What is known of an item.
    pub fn get(&self, uid: &Uid) -> Option<ItemState> {
        self.look_up(&ItemKey::of(uid))
    }

    pub(super) fn look_up(&self, key: &ItemKey) -> Option<ItemState> {
        self.states.get(key).flatten()
    }

    /// The number of items.
    pub fn count(&self) -> usize {
        self.states.count()
    }

    /// The number of reserved items.
    pub fn reserved(&self) -> usize {
        self.reserved
    }

    /// The number of items that the chain has seen and nobody holds.
    pub fn available(&self) -> usize {
        self.states.count() - self.reserved
    }

    /// From now on [`Changes::apply_block`](super::Changes::apply_block) refuses a new item when
    /// there are this many. Items that are there already stay, and can still be used. Without this
    /// there is no limit.
    pub fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    /// The most items that are followed.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// Items in the order of their keys, behind `last` where it is given.
    pub fn after(&self, last: Option<&ItemKey>) -> impl Iterator<Item = (&ItemKey, ItemState)> {
        let rows = self.states.after(last);
        rows.filter_map(|(key, state)| Some((key, state?)))
    }

    /// Puts an item into the table as it was there before: for a table that is read back.
    pub fn restore(&mut self, key: ItemKey, state: ItemState) {
        self.put(key, Some(state));
    }

    /// Gives an item this state, or takes it out.
    pub(super) fn put(&mut self, key: ItemKey, state: Option<ItemState>) {
        let now = state.is_some_and(|state| state.reserved);
        let before = match state {
            Some(_) => self.states.insert(key, state),
            None => self.states.remove(&key),
        };
        let before = before.flatten().is_some_and(|state| state.reserved);
        self.reserved = self.reserved + usize::from(now) - usize::from(before);
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        (self.states, self.reserved) = (Table::default(), 0);
    }
}
