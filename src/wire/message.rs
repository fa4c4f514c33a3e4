//! Frames into typed messages, and the three ways in which they can be wrong: no JSON (the line
//! is skipped), the wrong shape (the connection ends), a block or transaction whose fields have
//! the right types and impossible values (it is invalid, like one that breaks a rule).

use core::fmt;
use std::borrow::Cow;

use serde_json::value::RawValue;

use super::extension::{self, Greeting, Locator};
use super::json::{self, TextError};
use super::text;
use crate::ledger::transaction::Kind;
use crate::ledger::{
    Block, Hash, PublicKey, RuleError, Signature, Timestamp, Tip, Transaction, Uid,
};
use crate::limits;

/// The eight values of `type` (PROTOCOL.md section 1); a desktop node hangs up on any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// The dialer's first word.
    PeerAnnounce,
    /// Its answer: whom the other knows.
    PeerList,
    /// Asks for the whole chain.
    RequestChain,
    /// The whole chain, asked for or not.
    ChainResponse,
    /// A block.
    NewBlock,
    /// A transaction, before a block holds it.
    NewTransaction,
    /// Asks for a `pong`.
    Ping,
    /// Answers a `ping`.
    Pong,
}

impl MessageKind {
    /// All of them.
    pub const ALL: [MessageKind; 8] = [
        MessageKind::PeerAnnounce,
        MessageKind::PeerList,
        MessageKind::RequestChain,
        MessageKind::ChainResponse,
        MessageKind::NewBlock,
        MessageKind::NewTransaction,
        MessageKind::Ping,
        MessageKind::Pong,
    ];

    /// What stands in `type`.
    pub fn name(self) -> &'static str {
        match self {
            MessageKind::PeerAnnounce => "peer_announce",
            MessageKind::PeerList => "peer_list",
            MessageKind::RequestChain => "request_chain",
            MessageKind::ChainResponse => "chain_response",
            MessageKind::NewBlock => "new_block",
            MessageKind::NewTransaction => "new_transaction",
            MessageKind::Ping => "ping",
            MessageKind::Pong => "pong",
        }
    }

    fn from_name(name: &[u8]) -> Option<MessageKind> {
        let mut all = MessageKind::ALL.into_iter();
        all.find(|kind| kind.name().as_bytes() == name)
    }
}

/// What a peer said.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// `peer_announce`; a desktop node's is empty.
    PeerAnnounce(Greeting),
    /// `peer_list`.
    PeerList {
        /// The first [`limits::PEER_LIST_MAX`] that could be addresses: printable ASCII of at
        /// most [`limits::PEER_TEXT_MAX`] bytes.
        peers: Vec<String>,
    },
    /// `request_chain`: the whole chain, or what a node with this locator lacks.
    RequestChain(Option<Locator>),
    /// `chain_response`, whose blocks were handed out before as `Frame::ChainElement`.
    ChainEnd {
        /// The length of the peer's chain, where it says so.
        length: Option<u64>,
        /// The height of the first of them, where the peer tells only a part of its chain.
        start: Option<u64>,
    },
    /// `new_block`.
    NewBlock(Result<Block, InvalidBlock>),
    /// `new_transaction`.
    NewTransaction(Result<Transaction, RuleError>),
    /// `ping`, with the end of the peer's chain where it tells that.
    Ping(Option<Tip>),
    /// `pong`, likewise.
    Pong(Option<Tip>),
}

/// A line's meaning.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// What it says.
    pub message: Message,
    /// The port on which its sender listens, as far as `sender` tells. The host it names is a
    /// bind address and of no use (PROTOCOL.md section 1).
    pub sender: Option<u16>,
}

/// Why a line means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineError {
    /// No JSON: the line is to be skipped.
    NotJson,
    /// JSON of the wrong shape, or no UTF-8: the connection is to be closed. One clause that
    /// names the field.
    Shape(String),
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineError::NotJson => f.write_str("it is not JSON"),
            LineError::Shape(reason) => f.write_str(reason),
        }
    }
}

impl core::error::Error for LineError {}

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

/// A field that is missing or of the wrong type.
struct Shape(String);

impl Shape {
    fn missing(name: &str) -> Shape {
        Shape(format!("{name} is missing"))
    }

    fn wrong(name: &str, expected: &str) -> Shape {
        Shape(format!("{name} is not {expected}"))
    }

    fn within(self, outer: &str) -> Shape {
        Shape(format!("{outer}{}", self.0))
    }
}

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

/// Reads a whole line, or the text around a chain.
pub fn read(line: &[u8]) -> Result<Envelope, LineError> {
    let line = json::value(line).map_err(|error| match error {
        TextError::NotJson => LineError::NotJson,
        TextError::NotUtf8 => LineError::Shape("the line is not UTF-8".into()),
    })?;
    envelope(line).map_err(|shape| LineError::Shape(shape.0))
}

/// Reads a block: an element of a chain.
pub fn block(text: &[u8]) -> Result<Block, BlockError> {
    let value = json::value(text).map_err(|error| match error {
        TextError::NotJson => BlockError::NotJson,
        TextError::NotUtf8 => BlockError::Shape("a block is not UTF-8".into()),
    })?;
    match read_block(value) {
        Ok(Ok(block)) => Ok(block),
        Ok(Err(invalid)) => Err(BlockError::Rule(invalid)),
        Err(shape) => Err(BlockError::Shape(shape.within("of a block, ").0)),
    }
}

fn envelope(line: &RawValue) -> Result<Envelope, Shape> {
    let [kind, payload, sender] = json::fields(line, &["type", "payload", "sender"])
        .ok_or_else(|| Shape::wrong("the line", "an object"))?;
    let name = string(kind, "type")?;
    let kind = MessageKind::from_name(&name).ok_or_else(|| {
        // What a peer wrote may go to a terminal.
        let shown: String = name.escape_ascii().take(32).map(char::from).collect();
        Shape(format!("type is {shown}, which is none of the eight"))
    })?;
    let payload = payload.ok_or_else(|| Shape::missing("payload"))?;
    let message = message(kind, payload)?;
    let sender = match sender {
        Some(_) => listening_port(&string(sender, "sender")?),
        None => None,
    };
    Ok(Envelope { message, sender })
}

fn message(kind: MessageKind, payload: &RawValue) -> Result<Message, Shape> {
    let names = [
        "peers", "chain", "length", "start", "id", "tip", "pool", "locator",
    ];
    let [peers, chain, length, start, id, tip, pool, locator] =
        json::fields(payload, &names).ok_or_else(|| Shape::wrong("payload", "an object"))?;
    let tip = || extension::read_tip(length, tip);
    Ok(match kind {
        MessageKind::PeerAnnounce => Message::PeerAnnounce(Greeting::read(id, tip(), pool)),
        MessageKind::PeerList => Message::PeerList {
            peers: peer_list(peers.ok_or_else(|| Shape::missing("payload.peers"))?)?,
        },
        MessageKind::RequestChain => Message::RequestChain(Locator::read(
            length.and_then(json::number).and_then(whole_number),
            locator,
        )),
        MessageKind::ChainResponse => chain_end(chain, length, start)?,
        MessageKind::NewBlock => {
            Message::NewBlock(read_block(payload).map_err(|shape| shape.within("payload."))?)
        }
        MessageKind::NewTransaction => Message::NewTransaction(
            new_transaction(payload).map_err(|shape| shape.within("payload."))?,
        ),
        MessageKind::Ping => Message::Ping(tip()),
        MessageKind::Pong => Message::Pong(tip()),
    })
}

fn chain_end(
    chain: Option<&RawValue>,
    length: Option<&RawValue>,
    start: Option<&RawValue>,
) -> Result<Message, Shape> {
    let chain = chain.ok_or_else(|| Shape::missing("payload.chain"))?;
    // The elements were cut out, so there are none left, unless the key was spelled with escapes
    // or stands twice: no node writes either.
    json::elements(chain, |_| {
        Err(Shape("payload.chain could not be told apart".into()))
    })
    .ok_or_else(|| Shape::wrong("payload.chain", "an array"))??;
    let length = match length {
        Some(_) => whole_number(number(length, "payload.length")?),
        None => None,
    };
    let start = start.and_then(json::number).and_then(whole_number);
    Ok(Message::ChainEnd { length, start })
}

fn peer_list(value: &RawValue) -> Result<Vec<String>, Shape> {
    let mut peers = Vec::new();
    json::elements(value, |peer| {
        let peer = string(Some(peer), "an address in payload.peers")?;
        let plausible =
            peer.len() <= limits::PEER_TEXT_MAX && peer.iter().all(u8::is_ascii_graphic);
        if plausible && peers.len() < limits::PEER_LIST_MAX {
            peers.push(String::from_utf8_lossy(&peer).into_owned());
        }
        Ok(())
    })
    .ok_or_else(|| Shape::wrong("payload.peers", "an array"))??;
    Ok(peers)
}

/// The port in `HOST:PORT`.
fn listening_port(sender: &[u8]) -> Option<u16> {
    let (_, port) = str::from_utf8(sender).ok()?.rsplit_once(':')?;
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|port| *port > 0)?;
    digits.then_some(port)
}

fn read_block(value: &RawValue) -> Result<Result<Block, InvalidBlock>, Shape> {
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
    let mut impossible = Impossible::default();
    let index = impossible.unless(
        whole_number(number(index, "index")?),
        "index is no whole number of 64 bits",
    );
    let prev_hash = impossible.unless(
        digest(&string(prev_hash, "prev_hash")?),
        "prev_hash is not 64 lower-case hexadecimal digits",
    );
    let list = transactions.ok_or_else(|| Shape::missing("transactions"))?;
    let transactions = read_transactions(list, &mut impossible)?;
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
        transactions,
        nonce: nonce.expect(POSSIBLE),
        timestamp: timestamp.expect(POSSIBLE),
        hash: hash.expect(POSSIBLE),
    };
    // No byte of the peer's text takes more than eight in ours.
    let may_be_long = value.get().len() > limits::BLOCK_TEXT_MAX / 8;
    if may_be_long && text::block_bytes(&block) > limits::BLOCK_TEXT_MAX {
        return invalid(RuleError::TooLong);
    }
    Ok(Ok(block))
}

/// Why a value that was asked for through [`Impossible::unless`] is there.
const POSSIBLE: &str = "every value that is missing has left its reason";

/// Those of a block's transactions whose values are possible.
fn read_transactions(
    list: &RawValue,
    impossible: &mut Impossible,
) -> Result<Vec<Transaction>, Shape> {
    let mut transactions = Vec::new();
    let mut position = 0;
    json::elements(list, |value| {
        let read = read_transaction(value, impossible)
            .map_err(|shape| shape.within(&format!("transactions[{position}].")))?;
        position += 1;
        transactions.extend(read);
        Ok(())
    })
    .ok_or_else(|| Shape::wrong("transactions", "an array"))??;
    Ok(transactions)
}

fn new_transaction(payload: &RawValue) -> Result<Result<Transaction, RuleError>, Shape> {
    let mut impossible = Impossible::default();
    let Some(transaction) = read_transaction(payload, &mut impossible)? else {
        let reason = impossible.0.expect(POSSIBLE);
        return Ok(Err(RuleError::BadField(reason)));
    };
    if text::transaction_bytes(&transaction) > limits::BLOCK_TEXT_MAX {
        return Ok(Err(RuleError::TooLong));
    }
    Ok(Ok(transaction))
}

fn read_transaction(
    value: &RawValue,
    impossible: &mut Impossible,
) -> Result<Option<Transaction>, Shape> {
    let names = ["requester", "uid", "type", "timestamp", "signature"];
    let [requester, uid, kind, time, signature] =
        json::fields(value, &names).ok_or_else(|| Shape::wrong("it", "an object"))?;
    let requester = impossible.unless(
        hex::<65>(&string(requester, "requester")?).and_then(|point| PublicKey::from_sec1(&point)),
        "the requester of a transaction is no point of P-256",
    );
    let uid = Uid::from_wtf8(string(uid, "uid")?.into_owned());
    let kind = impossible.unless(
        whole_number(number(kind, "type")?).and_then(Kind::from_code),
        "the type of a transaction is neither 1 nor 2",
    );
    let timestamp = timestamp(time, impossible)?;
    let signature = impossible.unless(
        hex::<72>(&string(signature, "signature")?).and_then(|der| Signature::from_der(&der)),
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

fn string<'a>(field: Option<&'a RawValue>, name: &str) -> Result<Cow<'a, [u8]>, Shape> {
    let value = field.ok_or_else(|| Shape::missing(name))?;
    json::string(value).ok_or_else(|| Shape::wrong(name, "a string"))
}

fn number<'a>(field: Option<&'a RawValue>, name: &str) -> Result<&'a str, Shape> {
    let value = field.ok_or_else(|| Shape::missing(name))?;
    json::number(value).ok_or_else(|| Shape::wrong(name, "a number"))
}

/// A number without fraction and exponent; `-0` is 0, as it is to desktop nodes.
pub(super) fn whole_number(number: &str) -> Option<u64> {
    number.parse::<i128>().ok()?.try_into().ok()
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

pub(super) fn digest(text: &[u8]) -> Option<Hash> {
    if text.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let bytes = hex::<32>(text)?;
    bytes.as_slice().try_into().ok().map(Hash::new)
}

/// At most `N` bytes from hexadecimal digits in either case.
pub(super) fn hex<const N: usize>(text: &[u8]) -> Option<heapless::Vec<u8, N>> {
    let (pairs, odd) = text.as_chunks::<2>();
    if !odd.is_empty() || pairs.len() > N {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok())
        .collect()
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
