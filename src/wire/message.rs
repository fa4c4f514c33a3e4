//! Frames into typed messages, and the three ways in which they can be wrong: no JSON (the line
//! is skipped), the wrong shape (the connection ends), a block or transaction whose fields have
//! the right types and impossible values (it is invalid, like one that breaks a rule).

use core::fmt;

use serde_json::value::RawValue;

use super::content::{self, InvalidBlock};
use super::extension::{self, Greeting, Life, Locator};
use super::json::{self, TextError, whole_number};
use super::kind::MessageKind;
use super::shape::{Shape, number, string};
use crate::ledger::{Block, RuleError, Transaction};
use crate::limits;

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
        /// The height of the first of them, in a partial response.
        start: Option<u64>,
    },
    /// `new_block`.
    NewBlock(Result<Block, InvalidBlock>),
    /// `new_transaction`.
    NewTransaction(Result<Transaction, RuleError>),
    /// `ping`.
    Ping(Life),
    /// `pong`.
    Pong(Life),
}

/// A line's meaning.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// What it says.
    pub message: Message,
    /// The port on which its sender listens, if `sender` says so. The host it names is a bind
    /// address and of no use (PROTOCOL.md section 1).
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

/// Reads a whole line, or the text around a chain.
pub fn read(line: &[u8]) -> Result<Envelope, LineError> {
    let line = json::value(line).map_err(|error| match error {
        TextError::NotJson => LineError::NotJson,
        TextError::NotUtf8 => LineError::Shape("the line is not UTF-8".into()),
    })?;
    envelope(line).map_err(|shape| LineError::Shape(shape.0))
}

fn envelope(line: &RawValue) -> Result<Envelope, Shape> {
    let [kind, payload, sender] = json::fields(line, &["type", "payload", "sender"])
        .ok_or_else(|| Shape::wrong("the line", "an object"))?;
    let name = string(kind, "type")?;
    let kind = MessageKind::from_name(&name).ok_or_else(|| {
        // What a peer wrote may go to a terminal.
        let shown: String = name.escape_ascii().take(32).map(char::from).collect();
        Shape(format!("type is {shown}, which this node does not know"))
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
        "peers", "chain", "length", "start", "id", "key", "nonce", "tip", "pool", "locator",
        "voices", "proof",
    ];
    let [
        peers,
        chain,
        length,
        start,
        id,
        key,
        nonce,
        tip,
        mempool,
        locator,
        voices,
        proof,
    ] = json::fields(payload, &names).ok_or_else(|| Shape::wrong("payload", "an object"))?;
    let tip = || extension::read_tip(length, tip);
    let voices = || extension::read_voices(voices);
    let life = || Life::read(tip(), voices(), proof);
    Ok(match kind {
        MessageKind::PeerAnnounce => {
            let from = extension::read_end(id, key, nonce);
            Message::PeerAnnounce(Greeting::read(from, tip(), mempool, voices()))
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
        MessageKind::Ping => Message::Ping(life()),
        MessageKind::Pong => Message::Pong(life()),
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
        let long = limits::Full::PeerLong.when(peer.len() > limits::PEER_TEXT_MAX);
        let plausible = !long && peer.iter().all(u8::is_ascii_graphic);
        if plausible && !limits::Full::PeerList.when(peers.len() >= limits::PEER_LIST_MAX) {
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

#[cfg(test)]
#[path = "message_tests.rs"]
pub(super) mod tests;
