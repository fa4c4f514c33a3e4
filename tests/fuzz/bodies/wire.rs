//! What peers and `blx ctl` say.

use std::net::SocketAddr;
use std::rc::Rc;

use blx::ledger::{Block, Hash, Tip, Transaction};
use blx::wire::control::{Ask, Reply};
use blx::wire::extension::{Greeting, Life, Locator};
use blx::wire::write::{Outgoing, Source, Writer};
use blx::wire::{Incoming, Message, MessageKind, address as spelled, message as read, read_block};

use super::blocks::{block_text, transaction_text};
use super::frames::{Piece, cut};
use super::random::Random;
use super::script::Script;

/// The frames of these bytes. Where `gives_up`, the rest of the line behind each third is not wanted.
fn pieces(bytes: &[u8], gives_up: bool, chop: impl FnMut() -> usize) -> Vec<Piece> {
    let (pieces, rest) = cut(bytes, chop, |frame, count| {
        let _ = Incoming::read(frame);
        gives_up && count.is_multiple_of(3)
    });
    let stopped = matches!(pieces.last(), Some(Piece::Error(_)));
    assert!(rest == 0 || stopped, "it stops at an error only");
    pieces
}

/// The same frames, however the bytes are cut.
pub fn frames(data: &[u8]) {
    let mut script = Script::new(data);
    let (seed, gives_up) = (script.byte(), script.byte() % 2 == 1);
    let bytes = script.rest();
    let whole = pieces(bytes, gives_up, || usize::MAX);
    assert_eq!(whole, pieces(bytes, gives_up, || 1), "byte by byte");
    let mut random = Random::new(seed.into());
    let some = pieces(bytes, gives_up, || random.bite(700));
    assert_eq!(whole, some, "in pieces");
}

/// What a message said, to be said again.
struct Said<'a> {
    message: &'a Message,
    block: Option<Rc<Block>>,
}

const NOWHERE: Tip = Tip {
    length: 0,
    hash: Hash::ZERO,
};

impl Source for Said<'_> {
    fn tip(&self) -> Tip {
        match self.message {
            Message::Ping(life) | Message::Pong(life) => life.tip.unwrap_or(NOWHERE),
            _ => NOWHERE,
        }
    }

    fn block(&mut self, _: u64) -> Option<Rc<Block>> {
        self.block.clone()
    }

    fn single(&mut self, _: u64) -> Option<Rc<Block>> {
        self.block.clone()
    }

    fn transaction(&self, _: u64) -> Option<Transaction> {
        match self.message {
            Message::NewTransaction(read) => read.clone().ok(),
            _ => None,
        }
    }

    fn greeting(&self) -> Greeting {
        match self.message {
            Message::PeerAnnounce(greeting) => greeting.clone(),
            _ => Greeting::default(),
        }
    }

    fn locator(&mut self) -> Locator {
        match self.message {
            Message::RequestChain(Some(locator)) => locator.clone(),
            _ => Locator {
                length: 0,
                hashes: Vec::new(),
            },
        }
    }

    fn life(&self) -> Life {
        let life = match self.message {
            Message::Ping(life) | Message::Pong(life) => life.clone(),
            _ => Life::default(),
        };
        Life {
            tip: Some(self.tip()),
            ..life
        }
    }

    fn peers(&self) -> Vec<SocketAddr> {
        let Message::PeerList { peers } = self.message else {
            return Vec::new();
        };
        peers.iter().filter_map(|peer| peer.parse().ok()).collect()
    }

    fn sender(&self) -> &str {
        "0.0.0.0:6000"
    }
}

/// The line with which this is said again; `None` of what is no message of its own.
fn again(message: &Message) -> Option<Vec<u8>> {
    let block = match message {
        Message::NewBlock(read) => Some(Rc::new(read.clone().ok()?)),
        _ => None,
    };
    let outgoing = match message {
        Message::PeerAnnounce(_) => Outgoing::Announce,
        Message::PeerList { .. } => Outgoing::PeerList,
        Message::RequestChain(_) => Outgoing::Request,
        Message::ChainEnd { .. } => return None,
        Message::NewBlock(_) => Outgoing::Block(0),
        Message::NewTransaction(read) => {
            read.as_ref().ok()?;
            Outgoing::Transaction(0)
        }
        Message::Ping(..) => Outgoing::Ping,
        Message::Pong(..) => Outgoing::Pong,
    };
    let mut source = Said { message, block };
    let (mut writer, mut line) = (Writer::default(), Vec::new());
    writer.push(outgoing).expect("there is room");
    loop {
        writer.fill(&mut source);
        let count = writer.pending().len();
        if count == 0 {
            break;
        }
        line.extend_from_slice(writer.pending());
        writer.advance(count);
    }
    assert!(writer.is_idle() && line.is_ascii(), "it says all of it");
    Some(line).filter(|line| !line.is_empty())
}

/// A line is read or refused; what is read can be said, and means the same then.
fn line(line: &[u8]) {
    let Ok(envelope) = read::read(line) else {
        return;
    };
    match &envelope.message {
        Message::NewBlock(Ok(block)) => {
            let text = block_text(block);
            assert_eq!(read_block(text.as_bytes()).as_ref(), Ok(block));
        }
        Message::NewTransaction(Ok(transaction)) => drop(transaction_text(transaction)),
        _ => {}
    }
    let Some(said) = again(&envelope.message) else {
        return;
    };
    let text = said.strip_suffix(b"\n").expect("a line");
    let heard = read::read(text).expect("what we say is a message").message;
    match (&envelope.message, &heard) {
        (Message::NewBlock(_) | Message::NewTransaction(_), _) => {
            assert_eq!(envelope.message, heard);
        }
        (Message::RequestChain(Some(_)), _) => assert_eq!(envelope.message, heard),
        _ => {}
    }
    // Of the rest, something may be left out, but only once.
    assert_eq!(again(&heard).as_ref(), Some(&said));
}

/// Any line.
pub fn message(data: &[u8]) {
    line(data);
    let _ = read_block(data);
}

/// A payload in a message of any kind: what only nodes of this project say stands there.
pub fn extension(data: &[u8]) {
    let mut script = Script::new(data);
    let kind = MessageKind::ALL[script.below(MessageKind::ALL.len())].name();
    let mut text = format!("{{\"type\": \"{kind}\", \"payload\": ").into_bytes();
    text.extend_from_slice(script.rest());
    text.extend_from_slice(b", \"sender\": \"0.0.0.0:6000\"}");
    line(&text);
}

/// A question on a control socket, and an answer.
pub fn control(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    match Ask::read(text) {
        Ok(ask) => {
            let line = ask.to_line();
            assert!(
                line.ends_with('\n') && line.lines().count() == 1,
                "{line:?}"
            );
            assert_eq!(Ask::read(line.trim_end()), Ok(ask));
        }
        Err(reason) => assert!(!reason.is_empty()),
    }
    let _ = serde_json::from_str::<Reply<'_>>(text);
}

/// A host, a port, both, or a number.
pub fn address(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if let Ok(port) = spelled::parse_port(text) {
        assert_eq!(spelled::parse_port(&port.to_string()), Ok(port));
    }
    if let Some(host) = spelled::parse_host(text) {
        assert_eq!(spelled::parse_host(host), Some(host));
    }
    if let Some(number) = spelled::digits(text) {
        assert_eq!(spelled::digits(&number.to_string()), Some(number));
    }
    let _ = spelled::unbracketed(text);
    match spelled::parse_host_port(text) {
        Ok((host, port)) => {
            let again = match host.contains(':') {
                true => format!("[{host}]:{port}"),
                false => format!("{host}:{port}"),
            };
            assert_eq!(spelled::parse_host_port(&again), Ok((host, port)));
        }
        Err(reason) => assert!(!reason.is_empty()),
    }
}
