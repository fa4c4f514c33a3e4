//! Blocks and transactions out of their JSON: types first, then values. What only a ledger with
//! credits has is looked for before either, since all else is judged by rules that are not its own.

use core::fmt;

use serde_json::value::RawValue;

use super::json::{self, TextError, digest, whole_number};
use super::shape::{Shape, number, string};
use super::text;
use crate::ledger::transaction::Kind;
use crate::ledger::{Block, RuleError, Timestamp, Transaction, Uid};
use crate::limits;

/// A block that no valid chain holds, wherever it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct InvalidBlock {
    /// Its index, where that can be read.
    pub index: Option<u64>,
    /// What is wrong with it: a field's value, or its length.
    pub error: RuleError,
}

impl fmt::Display for InvalidBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "block {index}: {}", self.error),
            None => write!(f, "a block: {}", self.error),
        }
    }
}

impl core::error::Error for InvalidBlock {}

/// Why the text of a block gives none.
#[derive(Clone, Debug, PartialEq)]
pub enum BlockError {
    /// No JSON: the line it came in is to be skipped.
    NotJson,
    /// JSON of the wrong shape, or no UTF-8: the connection is to be closed.
    Shape(String),
    /// An invalid block: what it belongs to is to be dropped.
    Rule(InvalidBlock),
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BlockError::NotJson => f.write_str("it is not JSON"),
            BlockError::Shape(reason) => f.write_str(reason),
            BlockError::Rule(invalid) => invalid.fmt(f),
        }
    }
}

impl core::error::Error for BlockError {}

/// A field's value as far as the types go; what is impossible about values is noted aside, so
/// that a wrong type is found whatever the values.
#[derive(Default)]
struct Impossible(Option<&'static str>);

impl Impossible {
    fn unless<T>(&mut self, value: Option<T>, reason: &'static str) -> Option<T> {
        if value.is_none() {
            self.0.get_or_insert(reason);
        }
        value
    }
}

/// Why a value that went through [`Impossible::unless`] is there when no reason was noted.
const POSSIBLE: &str = "every value that is missing has left its reason";

/// Reads a block: an element of a chain.
pub fn read_block(text: &[u8]) -> Result<Block, BlockError> {
    let value = json::value(text).map_err(|error| match error {
        TextError::NotJson => BlockError::NotJson,
        TextError::NotUtf8 => BlockError::Shape("a block is not UTF-8".into()),
    })?;
    match block(value) {
        Ok(Ok(block)) => Ok(block),
        Ok(Err(invalid)) => Err(BlockError::Rule(invalid)),
        Err(shape) => Err(BlockError::Shape(shape.within("of a block, ").0)),
    }
}

/// Reads a block of any place.
pub(super) fn block(value: &RawValue) -> Result<Result<Block, InvalidBlock>, Shape> {
    let names = [
        "index",
        "prev_hash",
        "transactions",
        "nonce",
        "timestamp",
        "hash",
    ];
    let [index, prev_hash, transactions, nonce, time, hash] =
        json::fields(value, &names).ok_or_else(|| Shape::wrong("it", "an object"))?;
    let listed = transactions.map(Listed::read);
    if let Some(Ok(Listed { newer: true, .. })) = listed {
        return Ok(Err(InvalidBlock {
            index: index.and_then(json::number).and_then(whole_number),
            error: RuleError::Newer,
        }));
    }
    let mut impossible = Impossible::default();
    let index = impossible.unless(
        whole_number(number(index, "index")?),
        "index is no whole number of 64 bits",
    );
    let prev_hash = impossible.unless(
        digest(&string(prev_hash, "prev_hash")?),
        "prev_hash is not 64 lower-case hexadecimal digits",
    );
    let listed = listed.ok_or_else(|| Shape::missing("transactions"))??;
    impossible.0 = impossible.0.or(listed.impossible.0);
    let nonce = impossible.unless(
        whole_number(number(nonce, "nonce")?),
        "nonce is no whole number of 64 bits",
    );
    let timestamp = timestamp(time, &mut impossible)?;
    let hash = impossible.unless(
        digest(&string(hash, "hash")?),
        "hash is not 64 lower-case hexadecimal digits",
    );
    let invalid = |error| Ok(Err(InvalidBlock { index, error }));
    if let Some(reason) = impossible.0 {
        return invalid(RuleError::BadField(reason));
    }
    let block = Block {
        index: index.expect(POSSIBLE),
        prev_hash: prev_hash.expect(POSSIBLE),
        transactions: listed.transactions,
        nonce: nonce.expect(POSSIBLE),
        timestamp: timestamp.expect(POSSIBLE),
        hash: hash.expect(POSSIBLE),
    };
    // No byte of the peer's text takes more than eight in ours.
    let may_be_long = value.get().len() > limits::BLOCK_TEXT_MAX / 8;
    if may_be_long && text::block_bytes(&block) > limits::BLOCK_TEXT_MAX {
        limits::Full::BlockLong.ran();
        return invalid(RuleError::TooLong);
    }
    Ok(Ok(block))
}

/// Reads a transaction on its own.
pub(super) fn transaction(payload: &RawValue) -> Result<Result<Transaction, RuleError>, Shape> {
    let fields = Fields::of(payload);
    if fields.as_ref().is_some_and(Fields::is_newer) {
        return Ok(Err(RuleError::Newer));
    }
    let mut impossible = Impossible::default();
    let Some(transaction) = read_transaction(fields, &mut impossible)? else {
        let reason = impossible.0.expect(POSSIBLE);
        return Ok(Err(RuleError::BadField(reason)));
    };
    if text::transaction_bytes(&transaction) > limits::BLOCK_TEXT_MAX {
        limits::Full::TransactionLong.ran();
        return Ok(Err(RuleError::TooLong));
    }
    Ok(Ok(transaction))
}

/// A block's transactions.
struct Listed {
    /// The transactions whose values are possible.
    transactions: Vec<Transaction>,
    /// What is wrong with the first transaction whose values are impossible.
    impossible: Impossible,
    /// One of them is of a ledger with credits; then nothing is said of the others.
    newer: bool,
}

impl Listed {
    fn read(list: &RawValue) -> Result<Listed, Shape> {
        let mut listed = Listed {
            transactions: Vec::new(),
            impossible: Impossible::default(),
            newer: false,
        };
        let (mut position, mut wrong) = (0, None);
        json::elements(list, |value| {
            let fields = Fields::of(value);
            listed.newer |= fields.as_ref().is_some_and(Fields::is_newer);
            if !listed.newer && wrong.is_none() {
                match read_transaction(fields, &mut listed.impossible) {
                    Ok(read) => listed.transactions.extend(read),
                    Err(shape) => wrong = Some(shape.within(&format!("transactions[{position}]."))),
                }
            }
            position += 1;
            Ok::<(), Shape>(())
        })
        .ok_or_else(|| Shape::wrong("transactions", "an array"))??;
        match wrong {
            Some(shape) if !listed.newer => Err(shape),
            _ => Ok(listed),
        }
    }
}

/// The words that stand for a signature in the releases with credits (PROTOCOL.md section 6).
const WORDS: [&str; 4] = [
    "\"COINBASE\"",
    "\"GENESIS\"",
    "\"BUYOUT_PAYMENT\"",
    "\"ESCROW_DISTRIBUTION\"",
];

/// A transaction's fields, whatever they are.
struct Fields<'a> {
    plain: [Option<&'a RawValue>; 5],
    /// Those that only the releases with credits have.
    credits: [Option<&'a RawValue>; 3],
}

impl<'a> Fields<'a> {
    /// Nothing if the value is no object.
    fn of(value: &'a RawValue) -> Option<Fields<'a>> {
        let names = [
            "requester",
            "uid",
            "type",
            "timestamp",
            "signature",
            "amount",
            "recipient",
            "accepted_offer",
        ];
        let [
            requester,
            uid,
            kind,
            time,
            signature,
            amount,
            recipient,
            offer,
        ] = json::fields(value, &names)?;
        Some(Fields {
            plain: [requester, uid, kind, time, signature],
            credits: [amount, recipient, offer],
        })
    }

    /// Whether it is of a desktop release with credits (PROTOCOL.md section 6). A key without a
    /// value says nothing, and is dropped like any that is unknown.
    fn is_newer(&self) -> bool {
        let [_, _, kind, _, signature] = self.plain;
        let code = kind.and_then(json::number).and_then(whole_number);
        matches!(code, Some(0 | 3 | 4))
            || signature.is_some_and(|text| WORDS.contains(&text.get()))
            || (self.credits.iter().flatten()).any(|value| value.get() != "null")
    }
}

fn read_transaction(
    fields: Option<Fields<'_>>,
    impossible: &mut Impossible,
) -> Result<Option<Transaction>, Shape> {
    let fields = fields.ok_or_else(|| Shape::wrong("it", "an object"))?;
    let [requester, uid, kind, time, signature] = fields.plain;
    let requester = impossible.unless(
        json::public_key(&string(requester, "requester")?),
        "the requester of a transaction is no point of P-256",
    );
    let uid = Uid::from_wtf8(string(uid, "uid")?.into_owned());
    let kind = impossible.unless(
        whole_number(number(kind, "type")?).and_then(Kind::from_code),
        "the type of a transaction is neither 1 nor 2",
    );
    let timestamp = timestamp(time, impossible)?;
    let signature = impossible.unless(
        json::signature(&string(signature, "signature")?),
        "the signature of a transaction is not in DER",
    );
    let (Some(requester), Some(kind), Some(timestamp), Some(signature)) =
        (requester, kind, timestamp, signature)
    else {
        return Ok(None);
    };
    Ok(Some(Transaction {
        requester,
        uid,
        kind,
        timestamp,
        signature,
    }))
}

/// Keeps apart integers and floats, which hash differently (PROTOCOL.md section 2). std reads
/// doubles exactly, as that section demands.
fn timestamp(
    field: Option<&RawValue>,
    impossible: &mut Impossible,
) -> Result<Option<Timestamp>, Shape> {
    let number = number(field, "timestamp")?;
    let timestamp = if number.contains(['.', 'e', 'E']) {
        let value = number.parse().ok().filter(|value: &f64| value.is_finite());
        value.map(Timestamp::Float)
    } else {
        number.parse().ok().map(Timestamp::Integer)
    };
    Ok(impossible.unless(
        timestamp,
        "a timestamp is neither a finite double nor an integer of 128 bits",
    ))
}

#[cfg(test)]
#[path = "content_tests.rs"]
pub(super) mod tests;
