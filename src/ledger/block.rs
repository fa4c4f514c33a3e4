//! A block, its place in a chain, and the rules it must keep on its own.

use core::fmt;

use super::canonical::{Digester, Sink, hex, number};
use super::fork_choice::Tip;
use super::hash::Hash;
use super::timestamp::Timestamp;
use super::transaction::{Transaction, Uid};

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
        block.hash = block.content_hash();
        block
    }

    /// Whether two blocks have the same transactions in the same order: a desktop node makes a block of
    /// its own of each that it hears (PROTOCOL.md section 4).
    pub fn has_content_of(&self, other: &Block) -> bool {
        let (ours, theirs) = (&self.transactions, &other.transactions);
        ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| a.is_same_as(b))
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

    /// Puts the text whose hash names it.
    pub fn put(&self, sink: &mut impl Sink) {
        self.put_before_nonce(sink);
        number(sink, self.nonce);
        self.put_after_nonce(sink);
    }

    /// The part of its text in front of the nonce, which proof of work keeps.
    pub fn put_before_nonce(&self, sink: &mut impl Sink) {
        sink.put(b"{\"index\": ");
        number(sink, self.index);
        sink.put(b", \"nonce\": ");
    }

    /// The part of its text behind the nonce, which proof of work keeps.
    pub fn put_after_nonce(&self, sink: &mut impl Sink) {
        sink.put(b", \"prev_hash\": \"");
        hex(sink, self.prev_hash.as_bytes());
        sink.put(b"\", \"timestamp\": ");
        sink.put(self.timestamp.text().as_bytes());
        sink.put(b", \"transactions\": [");
        for (position, transaction) in self.transactions.iter().enumerate() {
            if position > 0 {
                sink.put(b", ");
            }
            transaction.put(sink);
        }
        sink.put(b"]}");
    }

    /// The SHA-256 of its text: what its `hash` must be.
    pub fn content_hash(&self) -> Hash {
        let mut text = Digester::default();
        self.put(&mut text);
        Hash::new(text.finish())
    }

    /// Checks what can be told without its chain: the hash, and proof of work at `difficulty`
    /// leading hexadecimal zeros.
    pub fn check_alone(&self, difficulty: u8) -> Result<(), RuleError> {
        if self.index > 0 && !self.hash.meets(difficulty) {
            return Err(RuleError::NoWork { difficulty });
        }
        if self.content_hash() != self.hash {
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
    /// It brings a new item, and the chain has as many as this node follows already.
    TooManyItems(usize),
    /// With it, its chain takes more space on disk than this node gives to a chain that it compares
    /// with its own: bytes.
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
