//! Frames into typed messages, and the three ways in which they can be wrong: no JSON (the line
//! is skipped), the wrong shape (the connection ends), a block or transaction whose fields have
//! the right types and impossible values (it is invalid, like one that breaks a rule).

use core::fmt;
use std::borrow::Cow;

use serde_json::value::RawValue;

use super::content;
use super::extension::{self, Greeting, Locator, Voice};
use super::json::{self, TextError};
use crate::ledger::{Block, Hash, RuleError, Tip, Transaction};
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
    /// `ping`, with the end of the peer's chain and the voices where it tells them.
    Ping(Option<Tip>, Vec<Voice>),
    /// `pong`, likewise.
    Pong(Option<Tip>, Vec<Voice>),
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
pub(super) struct Shape(String);

impl Shape {
    pub(super) fn missing(name: &str) -> Shape {
        Shape(format!("{name} is missing"))
    }

    pub(super) fn wrong(name: &str, expected: &str) -> Shape {
        Shape(format!("{name} is not {expected}"))
    }

    pub(super) fn within(self, outer: &str) -> Shape {
        Shape(format!("{outer}{}", self.0))
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
    match content::block(value) {
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
        "peers", "chain", "length", "start", "id", "tip", "pool", "locator", "voices",
    ];
    let [peers, chain, length, start, id, tip, pool, locator, voices] =
        json::fields(payload, &names).ok_or_else(|| Shape::wrong("payload", "an object"))?;
    let tip = || extension::read_tip(length, tip);
    let voices = || extension::read_voices(voices);
    Ok(match kind {
        MessageKind::PeerAnnounce => {
            Message::PeerAnnounce(Greeting::read(id, tip(), pool, voices()))
        }
        MessageKind::PeerList => Message::PeerList {
            peers: peer_list(peers.ok_or_else(|| Shape::missing("payload.peers"))?)?,
        },
        MessageKind::RequestChain => Message::RequestChain(Locator::read(
            length.and_then(json::number).and_then(whole_number),
            locator,
        )),
        MessageKind::ChainResponse => chain_end(chain, length, start)?,
        MessageKind::NewBlock => {
            Message::NewBlock(content::block(payload).map_err(|shape| shape.within("payload."))?)
        }
        MessageKind::NewTransaction => Message::NewTransaction(
            content::transaction(payload).map_err(|shape| shape.within("payload."))?,
        ),
        MessageKind::Ping => Message::Ping(tip(), voices()),
        MessageKind::Pong => Message::Pong(tip(), voices()),
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

pub(super) fn string<'a>(field: Option<&'a RawValue>, name: &str) -> Result<Cow<'a, [u8]>, Shape> {
    let value = field.ok_or_else(|| Shape::missing(name))?;
    json::string(value).ok_or_else(|| Shape::wrong(name, "a string"))
}

pub(super) fn number<'a>(field: Option<&'a RawValue>, name: &str) -> Result<&'a str, Shape> {
    let value = field.ok_or_else(|| Shape::missing(name))?;
    json::number(value).ok_or_else(|| Shape::wrong(name, "a number"))
}

/// A number without fraction and exponent; `-0` is 0, as it is to desktop nodes.
pub(super) fn whole_number(number: &str) -> Option<u64> {
    number.parse::<i128>().ok()?.try_into().ok()
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
