//! Chains once more, from the documents and without the product's code: small, slow and plain, so
//! that one mistake would have to be made twice to stay unseen. Where the product takes a library
//! this takes another one or none: SHA-256 is ring's, signatures are p256's, the checksum, the
//! numbers of the file and JSON are read here.
//!
//! [`file`] reads a chain file (FILES.md), [`json`] what is told of blocks, [`text`] makes what is
//! hashed (PROTOCOL.md section 2), [`rules`] says what is valid and who has what (section 3).

pub mod file;
pub mod json;
pub mod rules;
#[cfg(test)]
mod tests;
pub mod text;

use blx::ledger;

/// Seconds since 1970, as their author wrote them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Time {
    Float(f64),
    Integer(i128),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Transaction {
    /// A compressed point.
    pub key: [u8; 33],
    pub release: bool,
    /// UTF-8, in which surrogates that are no pair stand as three bytes.
    pub name: Vec<u8>,
    pub time: Time,
    /// r and s.
    pub signature: [u8; 64],
}

#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    pub index: u64,
    pub prev_hash: [u8; 32],
    pub transactions: Vec<Transaction>,
    pub nonce: u64,
    pub time: Time,
    pub hash: [u8; 32],
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Transaction {
    /// An item as a report names it.
    pub fn item(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }

    pub fn verb(&self) -> &'static str {
        match self.release {
            true => "release",
            false => "request",
        }
    }
}

impl Time {
    pub fn seconds(self) -> f64 {
        match self {
            Time::Float(value) => value,
            Time::Integer(value) => value as f64,
        }
    }
}

impl From<ledger::Timestamp> for Time {
    fn from(time: ledger::Timestamp) -> Time {
        match time {
            ledger::Timestamp::Float(value) => Time::Float(value),
            ledger::Timestamp::Integer(value) => Time::Integer(value),
        }
    }
}

/// What a story or a desktop node made, whose blocks are made with the product's types.
impl From<&ledger::Transaction> for Transaction {
    fn from(made: &ledger::Transaction) -> Transaction {
        let (r, s) = made.signature.halves();
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&r);
        signature[32..].copy_from_slice(&s);
        Transaction {
            key: *made.requester.as_bytes(),
            release: made.kind == ledger::Kind::Release,
            name: made.uid.as_wtf8().to_vec(),
            time: made.timestamp.into(),
            signature,
        }
    }
}

impl From<&ledger::Block> for Block {
    fn from(made: &ledger::Block) -> Block {
        Block {
            index: made.index,
            prev_hash: *made.prev_hash.as_bytes(),
            transactions: made.transactions.iter().map(Transaction::from).collect(),
            nonce: made.nonce,
            time: made.timestamp.into(),
            hash: *made.hash.as_bytes(),
        }
    }
}
