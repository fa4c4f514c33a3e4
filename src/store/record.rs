//! One record of the chain file, to bytes and back.
//!
//! ```text
//! file    header | record | record | ...
//!
//! header  magic 8 | version 2 | difficulty 1 | zero 1 | check 4          16 bytes
//! record  length 4 | length check 2 | body `length` | check 4           10 bytes and the body
//! ```
//!
//! Numbers are little-endian. A record's check covers the check in front of it (the four bytes
//! before the record), its length and its body, so a record that was once valid elsewhere does
//! not pass for this one, and behind a damaged record the next one can still be told. The length
//! has a check of its own, so a damaged length is never followed.
//!
//! Bodies are postcard: variable-length integers, nothing between the fields. A block's body
//! leaves out what the file knows already: the previous hash is the record's before, a key is
//! written once and then called by its number, a signature is r and s. When a file has numbers for
//! [`limits::KEYS_MAX`] keys, every other one stands in full wherever it is needed.

use serde::{Deserialize, Serialize};

use super::disk::{DiskError, File};
use super::keys::{KeyTable, Numbered};
use crate::ledger::changes::{Undo, effective};
use crate::ledger::{
    Block, Hash, Kind, PublicKey, RuleError, Signature, Timestamp, Tip, Transaction, Uid,
};
use crate::limits;

/// The first bytes of a chain file: not text, and broken by whatever alters line ends.
const MAGIC: [u8; 8] = *b"\x89BLX\r\n\x1a\n";
/// The format this program writes, and the newest it reads.
pub const VERSION: u16 = 2;
/// The first one. Its files differ only in that none of their keys stands in full.
pub const VERSION_FIRST: u16 = 1;

const VERSION_AT: usize = MAGIC.len();
const DIFFICULTY_AT: usize = VERSION_AT + 2;
const HEADER_CHECK_AT: usize = DIFFICULTY_AT + 2;
/// The size of the file's header in bytes.
pub const HEADER_BYTES: usize = HEADER_CHECK_AT + 4;

const LENGTH_CHECK_AT: usize = 4;
/// The size of what stands before a record's body.
pub const PREFIX_BYTES: usize = LENGTH_CHECK_AT + 2;
/// The size of a record's check, and of what a record's own check begins with.
pub const CHECK_BYTES: usize = 4;

/// What a file's first bytes say.
#[derive(Debug, PartialEq, Eq)]
pub enum Header {
    /// A chain file that this program reads.
    Ours {
        /// Leading hexadecimal zeros of its blocks' hashes.
        difficulty: u8,
        /// What the first record's check begins with.
        check: u32,
    },
    /// A chain file of a later format.
    Newer(u16),
    /// A chain file whose header fails its check, or asks for more work than
    /// [`limits::DIFFICULTY_MAX`].
    Damaged,
    /// Something else.
    Foreign,
}

/// The header of a new file.
pub fn header(difficulty: u8) -> [u8; HEADER_BYTES] {
    header_of(VERSION, difficulty)
}

/// The header of a file of this format.
pub fn header_of(version: u16, difficulty: u8) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..VERSION_AT].copy_from_slice(&MAGIC);
    bytes[VERSION_AT..DIFFICULTY_AT].copy_from_slice(&version.to_le_bytes());
    bytes[DIFFICULTY_AT] = difficulty;
    let check = crc32fast::hash(&bytes[..HEADER_CHECK_AT]);
    bytes[HEADER_CHECK_AT..].copy_from_slice(&check.to_le_bytes());
    bytes
}

/// Reads a header; `bytes` may be shorter than one.
pub fn read_header(bytes: &[u8]) -> Header {
    if !bytes.starts_with(&MAGIC) {
        return Header::Foreign;
    }
    let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
        return Header::Damaged;
    };
    let check = le_u32(&bytes[HEADER_CHECK_AT..]);
    let version = u16::from_le_bytes([bytes[VERSION_AT], bytes[VERSION_AT + 1]]);
    if crc32fast::hash(&bytes[..HEADER_CHECK_AT]) != check {
        Header::Damaged
    } else if version > VERSION {
        Header::Newer(version)
    } else if bytes[DIFFICULTY_AT] > limits::DIFFICULTY_MAX {
        Header::Damaged
    } else {
        Header::Ours {
            difficulty: bytes[DIFFICULTY_AT],
            check,
        }
    }
}

/// The little-endian number that `bytes` begin with, which are at least four.
pub fn le_u32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn length_check(length: [u8; 4]) -> [u8; 2] {
    let [low, high, ..] = crc32fast::hash(&length).to_le_bytes();
    [low, high]
}

fn check(before: u32, record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&before.to_le_bytes());
    hasher.update(record);
    hasher.finalize()
}

/// The length of the body behind a prefix, if the prefix is sound.
pub fn body_length(prefix: &[u8; PREFIX_BYTES]) -> Option<usize> {
    let (length, own_check) = prefix.split_at(LENGTH_CHECK_AT);
    let length: [u8; 4] = length.try_into().ok()?;
    let bytes = usize::try_from(u32::from_le_bytes(length)).ok()?;
    (length_check(length) == *own_check && bytes <= limits::RECORD_BODY_MAX).then_some(bytes)
}

/// Cuts a whole record (prefix, body, check) into its body and its check, if the check holds.
pub fn open(record: &[u8], before: u32) -> Option<(&[u8], u32)> {
    let (covered, own_check) = record.split_at_checked(record.len().checked_sub(CHECK_BYTES)?)?;
    let own_check = le_u32(own_check);
    (check(before, covered) == own_check).then_some((covered.get(PREFIX_BYTES..)?, own_check))
}

/// A record's meaning. Borrows the items' names from the bytes.
#[derive(Serialize, Deserialize)]
pub enum Body<'a> {
    /// The next block of the chain, or of the branch that is open.
    #[serde(borrow)]
    Block(BlockBody<'a>),
    /// The blocks that follow replace those from `fork` on, once the branch is closed.
    Branch {
        /// The height of the first block that differs.
        fork: u64,
    },
    /// The branch counts from here on.
    Close {
        /// The chain's length with it.
        length: u64,
        /// Its last block's hash.
        tip: [u8; 32],
    },
}

/// A block as it is stored.
#[derive(Serialize, Deserialize)]
pub struct BlockBody<'a> {
    /// Its height.
    pub index: u64,
    /// Its hash. Stored although it could be computed: so that a peer's chain can be compared
    /// with ours, and a block read back, without hashing all that is before it.
    pub hash: [u8; 32],
    nonce: u64,
    timestamp: Time,
    #[serde(borrow)]
    transactions: Vec<TransactionBody<'a>>,
}

#[derive(Serialize, Deserialize)]
struct TransactionBody<'a> {
    author: Author,
    release: bool,
    uid: &'a [u8],
    before: Undo,
    timestamp: Time,
    r: [u8; 32],
    s: [u8; 32],
}

/// A time as it is stored.
#[derive(Serialize, Deserialize)]
pub(super) enum Time {
    Float(f64),
    Integer(i128),
}

#[derive(Serialize, Deserialize)]
enum Author {
    Known(u32),
    New { number: u32, sign: u8, x: [u8; 32] },
    Unnumbered { sign: u8, x: [u8; 32] },
}

impl Author {
    /// What a record says of a key; `keys` may learn it.
    fn of(key: PublicKey, keys: &mut KeyTable) -> Author {
        let (sign, x) = key.parts();
        match keys.number_or_add(key) {
            Numbered::Known(number) => Author::Known(number),
            Numbered::New(number) => Author::New { number, sign, x },
            Numbered::Unnumbered => Author::Unnumbered { sign, x },
        }
    }
}

impl From<Timestamp> for Time {
    fn from(time: Timestamp) -> Time {
        match time {
            Timestamp::Float(value) => Time::Float(value),
            Timestamp::Integer(value) => Time::Integer(value),
        }
    }
}

impl Time {
    /// The time; `None` if it is not a number or infinite, which no text can spell.
    pub fn timestamp(self) -> Option<Timestamp> {
        match self {
            Time::Float(value) => value.is_finite().then_some(Timestamp::Float(value)),
            Time::Integer(value) => Some(Timestamp::Integer(value)),
        }
    }
}

impl<'a> BlockBody<'a> {
    /// What is stored of a block. Keys that `keys` does not know yet are added to it.
    pub fn new(block: &'a Block, undo_data: &[Undo], keys: &mut KeyTable) -> BlockBody<'a> {
        let transactions = block.transactions.iter().zip(undo_data);
        let transactions = transactions.map(|(transaction, before)| {
            let (r, s) = transaction.signature.halves();
            TransactionBody {
                author: Author::of(transaction.requester, keys),
                release: transaction.kind == Kind::Release,
                uid: transaction.uid.as_wtf8(),
                before: *before,
                timestamp: transaction.timestamp.into(),
                r,
                s,
            }
        });
        BlockBody {
            index: block.index,
            hash: *block.hash.as_bytes(),
            nonce: block.nonce,
            timestamp: block.timestamp.into(),
            transactions: transactions.collect(),
        }
    }

    /// The block behind `prev_hash`. Keys it brings are added to `keys`; `None` if it calls a key
    /// by a number that is not known or not the next, or has a value that no block has: a record
    /// may have been made by anybody, with all its checks.
    pub fn into_block(self, prev_hash: Hash, keys: &mut KeyTable) -> Option<StoredBlock> {
        let mut undo_data = Vec::with_capacity(self.transactions.len());
        let mut transactions = Vec::with_capacity(self.transactions.len());
        for stored in self.transactions {
            if stored.before.height() > Some(self.index) {
                return None;
            }
            undo_data.push(stored.before);
            transactions.push(Transaction {
                requester: match stored.author {
                    Author::Known(number) => keys.key(number)?,
                    Author::New { number, sign, x } => {
                        let key = PublicKey::from_parts(sign, x)?;
                        keys.learn(number, key)?;
                        key
                    }
                    Author::Unnumbered { sign, x } => PublicKey::from_parts(sign, x)?,
                },
                uid: Uid::read_wtf8(stored.uid)?,
                kind: if stored.release {
                    Kind::Release
                } else {
                    Kind::Request
                },
                timestamp: stored.timestamp.timestamp()?,
                signature: Signature::from_halves(stored.r, stored.s),
            });
        }
        let block = Block {
            index: self.index,
            prev_hash,
            transactions,
            nonce: self.nonce,
            timestamp: self.timestamp.timestamp()?,
            hash: Hash::new(self.hash),
        };
        Some(StoredBlock { block, undo_data })
    }
}

/// A block as it was read back.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredBlock {
    /// The block.
    pub block: Block,
    /// For each transaction, where its item was changed before.
    pub undo_data: Vec<Undo>,
}

impl StoredBlock {
    /// The transactions that are not void.
    pub fn effective(&self) -> impl DoubleEndedIterator<Item = (&Transaction, Undo)> {
        effective(&self.block.transactions, &self.undo_data)
    }

    /// The last change of an item in it.
    pub fn last_change(&self, of: impl Fn(&Uid) -> bool) -> Option<&Transaction> {
        let mut changes = self.effective().rev();
        let last = changes.find(|(change, _)| of(&change.uid));
        last.map(|(change, _)| change)
    }

    /// Whether something in it is void. As a block of its own nobody takes it then, only as part of
    /// a chain (PROTOCOL.md section 3).
    pub fn has_void(&self) -> bool {
        self.undo_data.iter().any(|before| before.is_void())
    }
}

impl<'a> Body<'a> {
    /// Reads a body; `None` if it is not one.
    pub fn read(bytes: &'a [u8]) -> Option<Body<'a>> {
        match postcard::take_from_bytes(bytes) {
            Ok((body, [])) => Some(body),
            _ => None,
        }
    }

    /// The record that makes a branch count, with which the chain ends so.
    pub fn close(tip: Tip) -> Body<'a> {
        Body::Close {
            length: tip.length,
            tip: *tip.hash.as_bytes(),
        }
    }

    /// Adds the record of this body to `out` and returns its check. `before` is the check of the
    /// record in front of it. A body above [`limits::RECORD_BODY_MAX`] is refused as too long, and
    /// `out` is as it was.
    pub fn write(&self, before: u32, out: &mut Vec<u8>) -> Result<u32, RuleError> {
        let start = out.len();
        out.extend_from_slice(&[0; PREFIX_BYTES]);
        let mut bytes =
            postcard::to_extend(self, core::mem::take(out)).expect("memory takes every record");
        let body = bytes.len() - start - PREFIX_BYTES;
        if body > limits::RECORD_BODY_MAX {
            bytes.truncate(start);
            *out = bytes;
            return Err(RuleError::TooLong);
        }
        let length = u32::try_from(body).expect("a body is small").to_le_bytes();
        bytes[start..][..LENGTH_CHECK_AT].copy_from_slice(&length);
        bytes[start + LENGTH_CHECK_AT..][..2].copy_from_slice(&length_check(length));
        let check = check(before, &bytes[start..]);
        bytes.extend_from_slice(&check.to_le_bytes());
        *out = bytes;
        Ok(check)
    }
}

/// What a record that cannot be written is to whoever writes a file of blocks that are known.
pub(super) fn too_long(file: File) -> impl Fn(RuleError) -> DiskError {
    move |_| DiskError {
        file,
        action: "write",
        reason: "a block is too long for a record".into(),
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
