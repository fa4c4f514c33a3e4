//! The pieces of text that messages are made of.

use core::net::SocketAddr;
use std::rc::Rc;

use super::extension::{Greeting, Locator, Voice, put_life};
use super::kind::MessageKind;
use super::text;
use crate::ledger::canonical::{self, Sink};
use crate::ledger::{Block, Tip, Transaction};

/// A piece of text that is made in one go, and again if it does not fit.
pub(super) enum Chunk {
    Announce(Greeting),
    PeerList(Vec<SocketAddr>),
    Request(Locator),
    Ping(MessageKind, Tip, Vec<Voice>),
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

impl Chunk {
    pub(super) fn render(&self, sink: &mut impl Sink, sender: &str) {
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
            Chunk::Ping(kind, tip, voices) => {
                text::open(sink, *kind);
                put_life(sink, tip, voices);
                text::close(sink, sender);
            }
            Chunk::Transaction(transaction) => put_transaction(sink, transaction, sender),
            Chunk::OwnTransaction(block, position) => {
                put_transaction(sink, &block.transactions[*position], sender);
            }
            Chunk::Block(block) => {
                text::open(sink, MessageKind::NewBlock);
                text::block(sink, block);
                text::close(sink, sender);
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
                text::block(sink, block);
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

fn put_transaction(sink: &mut impl Sink, transaction: &Transaction, sender: &str) {
    text::open(sink, MessageKind::NewTransaction);
    text::transaction(sink, transaction);
    text::close(sink, sender);
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
