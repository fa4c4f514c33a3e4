//! How much was done, counted where it is done: what a call of the machine costs is bounded by
//! these numbers, which are the same on every machine, and not by the time that it takes on one.
//!
//! The counts are the thread's. Whoever wants those of a piece of work takes the difference of
//! [`total`] before and behind it. Counting one thing costs an addition.

use core::cell::Cell;
use core::ops::Sub;

/// Work that was done. Counts wrap around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Signatures checked, whatever came of it, or made.
    pub signatures: u64,
    /// Transactions applied to the item table, or taken back in it.
    pub applied: u64,
    /// Transactions compared with one another.
    pub compared: u64,
    /// Bytes of text hashed: of blocks, of each nonce that was tried, of transactions' ids.
    pub hashed: u64,
    /// Bytes of text of peers that were read as JSON.
    pub parsed: u64,
    /// Bytes of text made for peers.
    pub rendered: u64,
    /// Bytes of the bodies of records read back from the disk.
    pub read: u64,
}

thread_local! {
    static TOTAL: Cell<Tally> = const { Cell::new(ZERO) };
}

const ZERO: Tally = Tally {
    signatures: 0,
    applied: 0,
    compared: 0,
    hashed: 0,
    parsed: 0,
    rendered: 0,
    read: 0,
};

/// Everything that was done in this thread.
pub fn total() -> Tally {
    TOTAL.get()
}

/// Adds to the thread's counts.
pub fn count(add: impl FnOnce(&mut Tally)) {
    let mut total = TOTAL.get();
    add(&mut total);
    TOTAL.set(total);
}

/// A number of bytes, for a count.
pub fn bytes(count: usize) -> u64 {
    count as u64
}

impl Tally {
    /// Of each kind of work the greater number.
    #[must_use]
    pub fn max(self, other: Tally) -> Tally {
        Tally {
            signatures: self.signatures.max(other.signatures),
            applied: self.applied.max(other.applied),
            compared: self.compared.max(other.compared),
            hashed: self.hashed.max(other.hashed),
            parsed: self.parsed.max(other.parsed),
            rendered: self.rendered.max(other.rendered),
            read: self.read.max(other.read),
        }
    }
}

impl Sub for Tally {
    type Output = Tally;

    /// What was done since `before`.
    fn sub(self, before: Tally) -> Tally {
        Tally {
            signatures: self.signatures.wrapping_sub(before.signatures),
            applied: self.applied.wrapping_sub(before.applied),
            compared: self.compared.wrapping_sub(before.compared),
            hashed: self.hashed.wrapping_sub(before.hashed),
            parsed: self.parsed.wrapping_sub(before.parsed),
            rendered: self.rendered.wrapping_sub(before.rendered),
            read: self.read.wrapping_sub(before.read),
        }
    }
}
