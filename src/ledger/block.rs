//! A block, its place in a chain, and the rules it must keep on its own.

use core::fmt;

use super::canonical;
use super::choice::Tip;
use super::timestamp::Timestamp;
use super::transaction::{Transaction, Uid};
use super::work;

/// A SHA-256 digest. Shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// What block 0 names as the block before it.
    pub const ZERO: Hash = Hash([0; 32]);

    /// A digest from its bytes.
    pub const fn new(bytes: [u8; 32]) -> Hash {
        Hash(bytes)
    }

    /// The digest's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A block as it travels.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Its height: the number of blocks before it.
    pub index: u64,
    /// The hash of the block before it.
    pub prev_hash: Hash,
    /// What it records, in order.
    pub transactions: Vec<Transaction>,
    /// The number that proof of work found.
    pub nonce: u64,
    /// When its maker says it was made.
    pub timestamp: Timestamp,
    /// What its maker says its hash is.
    pub hash: Hash,
}

impl Block {
    /// A first block (PROTOCOL.md section 2, "Genesis").
    pub fn genesis(timestamp: Timestamp) -> Block {
        let mut block = Block {
            index: 0,
            prev_hash: Hash::ZERO,
            transactions: Vec::new(),
            nonce: 0,
            timestamp,
            hash: Hash::ZERO,
        };
        block.hash = canonical::block_hash(&block);
        block
    }

    /// A block that comes next on a chain, still without transactions, nonce and hash.
    pub fn behind(tip: &Tip, timestamp: Timestamp) -> Block {
        Block {
            index: tip.length,
            prev_hash: tip.hash,
            transactions: Vec::new(),
            nonce: 0,
            timestamp,
            hash: Hash::ZERO,
        }
    }

    /// Checks what can be told without its chain: the hash, and proof of work at `difficulty`
    /// leading hexadecimal zeros.
    pub fn check_alone(&self, difficulty: u8) -> Result<(), RuleError> {
        if self.index > 0 && !work::meets(&self.hash, difficulty) {
            return Err(RuleError::NoWork { difficulty });
        }
        if canonical::block_hash(self) != self.hash {
            return Err(RuleError::WrongHash);
        }
        Ok(())
    }

    /// Checks that it stands at `index` behind the block whose hash is `prev_hash`.
    pub fn check_link(&self, index: u64, prev_hash: &Hash) -> Result<(), RuleError> {
        if self.index != index {
            return Err(RuleError::WrongIndex {
                expected: index,
                found: self.index,
            });
        }
        if self.prev_hash != *prev_hash {
            return Err(RuleError::WrongLink);
        }
        Ok(())
    }
}

/// Why a block cannot stand where it claims to (PROTOCOL.md section 3).
#[derive(Clone, Debug, PartialEq)]
pub enum RuleError {
    /// Its index is not the number of blocks before it.
    WrongIndex {
        /// The number of blocks before it.
        expected: u64,
        /// What it says.
        found: u64,
    },
    /// Its `prev_hash` is not the hash of the block before.
    WrongLink,
    /// Its hash does not begin with enough zeros.
    NoWork {
        /// How many hexadecimal zeros it should begin with.
        difficulty: u8,
    },
    /// Its `hash` is not the hash of its text.
    WrongHash,
    /// It requests an item that is reserved.
    NotAvailable(Uid),
    /// It releases an item that is not reserved.
    NotReserved(Uid),
    /// It has an item that the chain does not know, which knows as many as this node follows.
    TooManyItems(usize),
    /// With it, its chain takes more of the disk than this node gives for one that it compares with
    /// its own: bytes.
    ChainTooLong(u64),
    /// The signature of the transaction at this position does not verify.
    WrongSignature(usize),
    /// A field has the right type and a value that no valid block has.
    BadField(&'static str),
    /// Its text is longer than [`crate::limits::BLOCK_TEXT_MAX`].
    TooLong,
    /// It is of a desktop release with credits, which is another ledger (PROTOCOL.md section 6).
    Newer,
}

impl RuleError {
    /// Whether this is a limit of this node, and nobody's fault.
    pub fn is_limit(&self) -> bool {
        matches!(
            self,
            RuleError::TooManyItems(_) | RuleError::ChainTooLong(_) | RuleError::TooLong
        )
    }

    /// Whether it is void: no fault in a chain, where it changes nothing, and refused on its own
    /// (PROTOCOL.md section 3).
    pub fn is_void(&self) -> bool {
        matches!(self, RuleError::NotAvailable(_) | RuleError::NotReserved(_))
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RuleError::WrongIndex { expected, found } => {
                write!(f, "its index is {found} and should be {expected}")
            }
            RuleError::WrongLink => f.write_str("prev_hash is not the hash of the block before it"),
            RuleError::NoWork { difficulty } => {
                write!(
                    f,
                    "its hash does not begin with {difficulty} zeros: no proof of work"
                )
            }
            RuleError::WrongHash => f.write_str("hash is not the hash of its content"),
            RuleError::NotAvailable(uid) => {
                write!(f, "it requests {uid}, which is reserved")
            }
            RuleError::NotReserved(uid) => write!(f, "it releases {uid}, which is not reserved"),
            RuleError::TooManyItems(max) => {
                write!(f, "this node follows no chain of more than {max} items")
            }
            RuleError::ChainTooLong(max) => write!(
                f,
                "this node compares no chain with its own that takes more than {} KiB",
                max >> 10
            ),
            RuleError::WrongSignature(position) => {
                write!(f, "the signature of transaction {position} does not verify")
            }
            RuleError::BadField(field) => write!(f, "{field}"),
            RuleError::TooLong => f.write_str("its text is too long"),
            RuleError::Newer => f.write_str(
                "it is of desktop release 0.0.2 or newer, whose credits this node and release \
                 0.0.1 cannot follow",
            ),
        }
    }
}

impl core::error::Error for RuleError {}
