//! The pieces of text that messages are made of.

use core::net::SocketAddr;
use core::slice;
use std::rc::Rc;

use super::extension::{Greeting, Life, Locator};
use super::kind::MessageKind;
use super::text;
use crate::ledger::canonical::{self, Sink};
use crate::ledger::{Block, Transaction};
use crate::limits::NAME_BYTES_PER_PART;

/// A piece of text. One with transactions is made part by part, as there is room; any other in one go.
pub(super) enum Chunk {
    Announce(Greeting),
    PeerList(Vec<SocketAddr>),
    Request(Locator),
    Ping(MessageKind, Life),
    Transaction(Rc<Transaction>),
    OwnTransaction(Rc<Block>, usize),
    Block(Rc<Block>),
    /// Begins a chain, or a partial response that starts at a height.
    ChainOpen(Option<u64>),
    ChainElement {
        block: Rc<Block>,
        first: bool,
    },
    ChainClose {
        length: u64,
    },
    NoChain(u64),
    /// Breaks off a chain that is no longer ours: a line that is not JSON is skipped by everybody
    /// (PROTOCOL.md section 1).
    ChainBreak,
}

/// What of a chunk's text is made next.
#[derive(Clone, Copy, Default)]
pub(super) enum Part {
    /// What stands before its transactions, or all of it.
    #[default]
    Head,
    /// A transaction, or the rest of one whose name is long: so many bytes of that are made.
    Transaction { number: usize, name: usize },
    /// What stands behind its transactions.
    Tail,
}

impl Chunk {
    /// Makes a part of the text, at most [`limits::PART_TEXT_MAX`](crate::limits::PART_TEXT_MAX) bytes where
    /// it is of transactions, and says which one is next; none behind the last one.
    pub(super) fn put(&self, part: Part, sink: &mut impl Sink, sender: &str) -> Option<Part> {
        match part {
            Part::Head => {
                self.put_head(sink, sender);
                let transactions = self.transactions()?;
                Some(Part::of(0, transactions))
            }
            Part::Transaction { number, name } => {
                let transactions = self.transactions()?;
                let transaction = &transactions[number];
                if name == 0 {
                    if number > 0 {
                        sink.put(b", ");
                    }
                    text::transaction_open(sink, transaction);
                }
                let rest = &transaction.uid.as_wtf8()[name..];
                let piece = canonical::beginning(rest, NAME_BYTES_PER_PART);
                canonical::escaped(sink, piece);
                if piece.len() < rest.len() {
                    let name = name + piece.len();
                    return Some(Part::Transaction { number, name });
                }
                text::transaction_close(sink, transaction);
                Some(Part::of(number + 1, transactions))
            }
            Part::Tail => {
                self.put_tail(sink, sender);
                None
            }
        }
    }

    /// The transactions in it, if it is about transactions.
    fn transactions(&self) -> Option<&[Transaction]> {
        match self {
            Chunk::Block(block) | Chunk::ChainElement { block, .. } => Some(&block.transactions),
            Chunk::Transaction(transaction) => Some(slice::from_ref(transaction)),
            Chunk::OwnTransaction(block, at) => Some(slice::from_ref(&block.transactions[*at])),
            _ => None,
        }
    }

    fn put_head(&self, sink: &mut impl Sink, sender: &str) {
        match self {
            Chunk::Announce(greeting) => {
                text::open(sink, MessageKind::PeerAnnounce);
                greeting.write(sink);
                text::close(sink, sender);
            }
            Chunk::PeerList(peers) => put_peers(sink, peers, sender),
            Chunk::Request(locator) => {
                text::open(sink, MessageKind::RequestChain);
                locator.write(sink);
                text::close(sink, sender);
            }
            Chunk::Ping(kind, life) => {
                text::open(sink, *kind);
                life.write(sink);
                text::close(sink, sender);
            }
            Chunk::Transaction(_) | Chunk::OwnTransaction(..) => {
                text::open(sink, MessageKind::NewTransaction);
            }
            Chunk::Block(block) => {
                text::open(sink, MessageKind::NewBlock);
                text::block_open(sink, block);
            }
            Chunk::ChainOpen(start) => {
                text::open(sink, MessageKind::ChainResponse);
                sink.put(b"{");
                if let Some(start) = start {
                    sink.put(b"\"start\": ");
                    canonical::number(sink, *start);
                    sink.put(b", ");
                }
                sink.put(b"\"chain\": [");
            }
            Chunk::ChainElement { block, first } => {
                if !first {
                    sink.put(b", ");
                }
                text::block_open(sink, block);
            }
            Chunk::ChainClose { length } => {
                sink.put(b"], \"length\": ");
                canonical::number(sink, *length);
                sink.put(b"}");
                text::close(sink, sender);
            }
            Chunk::NoChain(length) => {
                text::open(sink, MessageKind::ChainResponse);
                sink.put(b"{\"chain\": [], \"length\": ");
                canonical::number(sink, *length);
                sink.put(b"}");
                text::close(sink, sender);
            }
            Chunk::ChainBreak => sink.put(b"\n"),
        }
    }

    fn put_tail(&self, sink: &mut impl Sink, sender: &str) {
        match self {
            Chunk::Block(block) => {
                text::block_close(sink, block);
                text::close(sink, sender);
            }
            Chunk::ChainElement { block, .. } => text::block_close(sink, block),
            _ => text::close(sink, sender),
        }
    }

    /// Blocks and messages that end with this chunk.
    pub(super) fn counts(&self) -> (u64, u64) {
        match self {
            Chunk::Block(_) => (1, 1),
            Chunk::ChainElement { .. } => (1, 0),
            Chunk::ChainOpen(_) | Chunk::ChainBreak => (0, 0),
            _ => (0, 1),
        }
    }
}

impl Part {
    /// The transaction with this number, or what stands behind the last one.
    fn of(number: usize, transactions: &[Transaction]) -> Part {
        match number < transactions.len() {
            true => Part::Transaction { number, name: 0 },
            false => Part::Tail,
        }
    }
}

fn put_peers(sink: &mut impl Sink, peers: &[SocketAddr], sender: &str) {
    text::open(sink, MessageKind::PeerList);
    sink.put(b"{\"peers\": [");
    for (position, peer) in peers.iter().enumerate() {
        if position > 0 {
            sink.put(b", ");
        }
        canonical::string(sink, peer.to_string().as_bytes());
    }
    sink.put(b"]}");
    text::close(sink, sender);
}
