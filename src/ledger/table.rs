//! A sorted table of items that costs at most 64 bytes for each, whatever their names are.
//!
//! The rows lie in order in pieces of a fixed size. A piece that is full first gives some of its
//! rows to a neighbour; only where both are full, a third of two becomes a new one. So, whatever the
//! order in which rows come, two thirds of each piece are in use and a row of 40 bytes costs at most
//! 63. Rows that are taken out leave room for others. Pieces of one size leave no holes in memory
//! that others could not fill.

use core::fmt;

use sha2::{Digest, Sha256};

use super::transaction::Uid;

/// Rows in a piece. More make looking up and adding slower, fewer add to what a piece costs beside
/// its rows, which is 40 bytes.
const PIECE: usize = 64;

/// The longest name that is kept as it is: bytes of UTF-8.
const INLINE_MAX: usize = 30;

/// Bytes of a longer name that are kept, for its place in the order.
const PREFIX: usize = 14;

/// Bytes of the SHA-256 of a longer name that are kept: nobody finds two names that agree in these
/// and in the bytes that are kept.
const DIGEST: usize = INLINE_MAX - PREFIX;

/// Stands where a short name has its length.
const LONG: u8 = u8::MAX;

/// What the chain says of an item it has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemState {
    /// Requested and not released since.
    pub reserved: bool,
    /// The height of the last block that changed it.
    pub since: u64,
}

/// What an item is called in a table, in 31 bytes. A name of at most 30 bytes stands for itself;
/// of a longer one its first 14 bytes and half of its SHA-256. Ordered as names are, but for long
/// ones that begin alike.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ItemKey([u8; INLINE_MAX + 1]);

impl ItemKey {
    /// The key of an item.
    pub fn of(uid: &Uid) -> ItemKey {
        let name = uid.as_wtf8();
        let mut bytes = [0; INLINE_MAX + 1];
        if name.len() <= INLINE_MAX {
            bytes[..name.len()].copy_from_slice(name);
            bytes[INLINE_MAX] = name.len() as u8;
        } else {
            bytes[..PREFIX].copy_from_slice(&name[..PREFIX]);
            bytes[PREFIX..INLINE_MAX].copy_from_slice(&Sha256::digest(name)[..DIGEST]);
            bytes[INLINE_MAX] = LONG;
        }
        ItemKey(bytes)
    }

    /// The name, if it is a short one. A longer one stands in the block that changed the item last.
    pub fn name(&self) -> Option<Uid> {
        let name = self.0.get(..usize::from(self.0[INLINE_MAX]))?;
        Some(Uid::from_wtf8(name.to_vec()))
    }

    /// A key from its bytes; `None` if [`ItemKey::as_bytes`] gives no such bytes.
    pub fn read(bytes: [u8; INLINE_MAX + 1]) -> Option<ItemKey> {
        let key = ItemKey(bytes);
        match bytes.get(..usize::from(bytes[INLINE_MAX])) {
            Some(name) => Some(key)
                .filter(|key| Uid::read_wtf8(name).is_some_and(|uid| ItemKey::of(&uid) == *key)),
            None => (bytes[INLINE_MAX] == LONG).then_some(key),
        }
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8; INLINE_MAX + 1] {
        &self.0
    }

    /// What can be shown of the name where the block that has it cannot be read.
    pub fn beginning(&self) -> Uid {
        let name = self.name();
        name.unwrap_or_else(|| Uid::from_wtf8([&self.0[..PREFIX], b"..."].concat()))
    }
}

impl fmt::Debug for ItemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.beginning())
    }
}

/// What a row says of its item.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holding {
    /// There is no such item.
    Absent,
    Available,
    Reserved,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Row {
    since: u64,
    key: ItemKey,
    holding: Holding,
}

const _: () = assert!(size_of::<Row>() == 40);

impl Row {
    fn new(key: ItemKey, state: Option<ItemState>) -> Row {
        let holding = match state {
            None => Holding::Absent,
            Some(state) if state.reserved => Holding::Reserved,
            Some(_) => Holding::Available,
        };
        Row {
            since: state.map_or(0, |state| state.since),
            key,
            holding,
        }
    }

    fn state(&self) -> Option<ItemState> {
        (self.holding != Holding::Absent).then_some(ItemState {
            reserved: self.holding == Holding::Reserved,
            since: self.since,
        })
    }
}

/// Rows in the order of their keys. A row may also say that an item is not there.
#[derive(Clone, Default)]
pub struct Table {
    pieces: Vec<Vec<Row>>,
    len: usize,
}

impl Table {
    /// The number of rows.
    pub fn count(&self) -> usize {
        self.len
    }

    /// The row of a key: `Some(None)` if it says that there is no such item.
    pub fn get(&self, key: &ItemKey) -> Option<Option<ItemState>> {
        let (piece, place) = self.place(key);
        let row = self.pieces.get(piece)?.get(place.ok()?)?;
        Some(row.state())
    }

    /// Puts a row in; returns what the row of this key said before.
    pub fn insert(&mut self, key: ItemKey, state: Option<ItemState>) -> Option<Option<ItemState>> {
        let row = Row::new(key, state);
        let (mut piece, mut place) = self.place(&key);
        if let Ok(at) = place {
            let before = core::mem::replace(&mut self.pieces[piece][at], row);
            return Some(before.state());
        }
        if self.pieces.is_empty() {
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        if self.pieces[piece].len() == PIECE {
            self.make_room(piece);
            (piece, place) = self.place(&key);
        }
        let (Ok(at) | Err(at)) = place;
        self.pieces[piece].insert(at, row);
        self.len += 1;
        None
    }

    /// Takes a row out; returns what it said.
    pub fn remove(&mut self, key: &ItemKey) -> Option<Option<ItemState>> {
        let (piece, place) = self.place(key);
        let row = self.pieces.get_mut(piece)?.remove(place.ok()?);
        self.len -= 1;
        self.join(piece);
        Some(row.state())
    }

    /// The rows behind `last`, or all.
    pub fn after(
        &self,
        last: Option<&ItemKey>,
    ) -> impl Iterator<Item = (&ItemKey, Option<ItemState>)> {
        let (piece, at) = match last.map(|key| self.place(key)) {
            None => (0, 0),
            Some((piece, Ok(at))) => (piece, at + 1),
            Some((piece, Err(at))) => (piece, at),
        };
        let rows = self.pieces.iter().skip(piece).flatten().skip(at);
        rows.map(|row| (&row.key, row.state()))
    }

    /// The rows, whose pieces are given back as they are used up.
    pub fn into_rows(self) -> impl Iterator<Item = (ItemKey, Option<ItemState>)> {
        let rows = self.pieces.into_iter().flatten();
        rows.map(|row| (row.key, row.state()))
    }

    /// The piece in which a key belongs, and where in it that is or would be.
    fn place(&self, key: &ItemKey) -> (usize, Result<usize, usize>) {
        let behind = self.pieces.partition_point(|rows| rows[0].key <= *key);
        let piece = behind.saturating_sub(1);
        let rows = self.pieces.get(piece).map_or(&[][..], Vec::as_slice);
        (piece, rows.binary_search_by(|row| row.key.cmp(key)))
    }

    /// Moves some rows of a full piece into a neighbour, or a third of both into a new one.
    fn make_room(&mut self, piece: usize) {
        let (before, from) = self.pieces.split_at_mut(piece);
        let (full, behind) = from.split_first_mut().expect("the piece is there");
        // A piece with room for one row would be full at once, and the new row may belong into it.
        let not_full = |rows: &&mut Vec<Row>| rows.len() + 1 < PIECE;
        if let Some(before) = before.last_mut().filter(not_full) {
            let count = (PIECE - before.len()) / 2;
            before.extend(full.drain(..count));
        } else if let Some(behind) = behind.first_mut().filter(not_full) {
            let count = (PIECE - behind.len()) / 2;
            behind.splice(..0, full.drain(PIECE - count..));
        } else {
            let mut new = Vec::with_capacity(PIECE);
            let (first, second) = match (before.last_mut(), behind.first_mut()) {
                (_, Some(behind)) => (full, Some(behind)),
                (Some(before), None) => (before, Some(full)),
                (None, None) => (full, None),
            };
            new.extend(first.drain(first.len() - PIECE / 3..));
            new.extend(second.into_iter().flat_map(|rows| rows.drain(..PIECE / 3)));
            let last = piece + 1 == self.pieces.len() && piece > 0;
            self.pieces.insert(piece + usize::from(!last), new);
        }
    }

    /// Drops a piece that is empty, and joins one with its neighbour if a piece can hold both.
    fn join(&mut self, piece: usize) {
        let len = |at: usize| self.pieces.get(at).map_or(PIECE, Vec::len);
        if len(piece) == 0 {
            self.pieces.remove(piece);
        } else if len(piece) + len(piece + 1) <= PIECE {
            let behind = self.pieces.remove(piece + 1);
            self.pieces[piece].extend(behind);
        } else if piece > 0 && len(piece - 1) + len(piece) <= PIECE {
            let rows = self.pieces.remove(piece);
            self.pieces[piece - 1].extend(rows);
        }
    }
}

impl PartialEq for Table {
    fn eq(&self, other: &Table) -> bool {
        self.len == other.len && self.after(None).eq(other.after(None))
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.after(None)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn key(name: &str) -> ItemKey {
        ItemKey::of(&name.into())
    }

    fn state(since: u64) -> Option<ItemState> {
        let reserved = since % 3 == 1;
        Some(ItemState { reserved, since })
    }

    /// What the table holds of the heap, with what the allocator adds to each piece.
    fn bytes(table: &Table) -> usize {
        let piece = |rows: &Vec<Row>| rows.capacity() * size_of::<Row>() + 16;
        let pieces: usize = table.pieces.iter().map(piece).sum();
        pieces + table.pieces.capacity() * size_of::<Vec<Row>>()
    }

    /// Numbers below `count`, each once, in an order that looks like chance.
    fn shuffled(count: u64) -> impl Iterator<Item = u64> {
        (0..count).map(move |n| n * 7_919 % count)
    }

    #[test]
    fn names_are_ordered_as_before_and_long_ones_are_told_apart() {
        let names = [
            "", "\0", "a", "a\0", "ab", "b", "drill-1", "drill-10", "drill-2", "\u{fc}",
        ];
        assert!(names.is_sorted());
        assert!(names.map(key).is_sorted());
        for name in names {
            assert_eq!(key(name).name(), Some(name.into()));
        }
        let long = |end: &str| "x".repeat(INLINE_MAX) + end;
        let inline = long("");
        assert_eq!(key(&inline).name(), Some(inline.as_str().into()));
        assert_eq!(key(&long("y")).name(), None);
        assert!(key(&long("y")) != key(&long("z")));
        assert!(key("w") < key(&long("y")) && key(&long("y")) < key("y"));
        // A name that is spelled like the key of a long one is another item.
        let spelled = Uid::from_wtf8(key(&long("y")).as_bytes()[..INLINE_MAX].to_vec());
        assert!(ItemKey::of(&spelled) != key(&long("y")));
        assert_eq!(format!("{:?}", key(&long("y"))), "x".repeat(PREFIX) + "...");
    }

    #[test]
    fn it_is_a_sorted_map() {
        let (mut table, mut model) = (Table::default(), BTreeMap::new());
        for (step, number) in shuffled(2_003).chain(shuffled(977)).enumerate() {
            let key = key(&format!("item-{number}"));
            let state = state(step as u64).filter(|_| step % 5 != 0);
            if step % 4 == 3 {
                assert_eq!(table.remove(&key), model.remove(&key));
            }
            assert_eq!(table.insert(key, state), model.insert(key, state));
        }
        for number in shuffled(2_003) {
            let key = key(&format!("item-{number}"));
            assert_eq!(table.get(&key), model.get(&key).copied());
            let behind: Vec<_> = table.after(Some(&key)).take(3).collect();
            use core::ops::Bound::{Excluded, Unbounded};
            let expected = model.range((Excluded(key), Unbounded)).take(3);
            assert_eq!(behind, expected.map(|(k, s)| (k, *s)).collect::<Vec<_>>());
            if number % 3 > 0 {
                assert_eq!(table.remove(&key), model.remove(&key));
                assert_eq!(table.remove(&key), None);
            }
            assert_eq!(table.count(), model.len());
        }
        assert!(table.after(None).eq(model.iter().map(|(k, s)| (k, *s))));
        assert!(table.clone().into_rows().eq(model));
    }

    #[test]
    fn an_item_costs_at_most_64_bytes_in_whatever_order_items_come() {
        let count = 20_011;
        let inward = |n: u64| {
            if n.is_multiple_of(2) {
                n / 2
            } else {
                count - n / 2
            }
        };
        let orders: [Vec<u64>; 4] = [
            (0..count).collect(),
            (0..count).rev().collect(),
            shuffled(count).collect(),
            (0..count).map(inward).collect(),
        ];
        for order in orders {
            let mut table = Table::default();
            for number in order {
                table.insert(key(&format!("{number:0200}")), state(number));
                table.insert(key(&format!("{number:06}")), state(number));
                let most = 64 * table.count() + 2 * PIECE * size_of::<Row>();
                let each = bytes(&table) / table.count();
                assert!(
                    bytes(&table) <= most,
                    "{} rows of {each} bytes",
                    table.count()
                );
            }
        }
    }
}
