//! What is to be sent on a connection: messages in a queue, whose bytes are made when there is room.
//!
//! The queue is small whatever is in it: "the chain" is one entry, and its blocks are read one by
//! one while they leave. A message is made of chunks (`chunk`), and a long one of those of parts, each of
//! which is made once, when there is room for it.

use core::net::SocketAddr;
use std::rc::Rc;

use super::chunk::{Chunk, Part};
use super::extension::{Greeting, Life, Locator};
use super::kind::MessageKind;
use super::text;
use crate::ledger::{Block, Tip, Transaction, tally};
use crate::limits;

/// A message that waits to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// Who we are.
    Announce,
    /// Whom we know.
    PeerList,
    /// Asks for what we lack of a chain; a desktop node tells all of it.
    Request,
    /// The whole chain.
    Chain,
    /// A chain without blocks that claims this length: it changes nothing (PROTOCOL.md section 5).
    NoChain(u64),
    /// A partial response: the chain from this height on, as far as it fits into one answer.
    PartialResponse(u64),
    /// The block at this height.
    Block(u64),
    /// The block at this height, which our user made. Its transactions are sent first, each on its
    /// own, for whoever waits for one of them.
    OwnBlock(u64),
    /// The transaction that waits under this number.
    Transaction(u64),
    /// Asks for a sign of life.
    Ping,
    /// Gives one.
    Pong,
}

/// Where the content of messages comes from.
pub trait Source {
    /// The chain's end.
    fn tip(&self) -> Tip;
    /// The block at a height; `None` if it cannot be read.
    fn block(&mut self, height: u64) -> Option<Rc<Block>>;
    /// The block at a height, to be told on its own; `None` if it cannot be read, or something in
    /// it is void, so that nobody would take it like this (PROTOCOL.md section 3).
    fn single(&mut self, height: u64) -> Option<Rc<Block>>;
    /// A transaction that waits for a block, unless it is gone.
    fn transaction(&self, number: u64) -> Option<Transaction>;
    /// Who we are.
    fn greeting(&self) -> Greeting;
    /// What a request is about: our chain, or the part of a candidate that is here already.
    fn locator(&mut self) -> Locator;
    /// The chain's end, and for one of ours the voices and once the proof of who we are.
    fn life(&self) -> Life;
    /// Addresses for a peer list.
    fn peers(&self) -> Vec<SocketAddr>;
    /// What stands in `sender`.
    fn sender(&self) -> &str;
}

/// The queue is full: the peer is too slow.
#[derive(Debug, PartialEq, Eq)]
pub struct QueueFull;

/// What was sent, for the list of peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Blocks, alone or in a chain.
    pub blocks: u64,
    /// Messages.
    pub messages: u64,
}

/// A message that takes more than one chunk, and how far it has come.
enum InProgress {
    Chain {
        next: u64,
    },
    /// `room`: bytes of text that still fit into this response.
    PartialResponse {
        start: u64,
        next: u64,
        room: usize,
    },
    /// Its rest is of a chain that is no longer ours.
    EndingResponse,
    /// Broken off; `whole` if it was the whole chain, which is then told anew.
    BrokenChain {
        whole: bool,
    },
    OwnBlock {
        block: Rc<Block>,
        next: usize,
    },
}

/// What a connection's buffer of bytes to send holds, unless a message that is made in one go is longer.
const BUFFER_BYTES: usize = limits::WRITE_BYTES + limits::PART_TEXT_MAX;

/// The sending half of a connection. Costs [`limits::WRITE_BYTES`], a part, and one block.
#[derive(Default)]
pub struct Writer {
    queue: heapless::Deque<Outgoing, { limits::OUTGOING_MESSAGES }>,
    progress: Option<InProgress>,
    /// What is being made, and the part of it that comes next.
    chunk: Option<(Chunk, Part)>,
    /// What is made; up to `start` it was sent.
    bytes: Vec<u8>,
    start: usize,
    sent: Sent,
}

impl Writer {
    /// Makes bytes in this buffer from now on, and returns the one before. To be asked of a writer that
    /// has sent nothing, or is to send nothing more.
    pub fn exchange(&mut self, buffer: Vec<u8>) -> Vec<u8> {
        let mut old = core::mem::replace(&mut self.bytes, buffer);
        self.bytes.clear();
        self.start = 0;
        old.clear();
        old.shrink_to(BUFFER_BYTES);
        old
    }

    /// Queues a message. A chain that is queued or on its way already answers for another one.
    pub fn push(&mut self, message: Outgoing) -> Result<(), QueueFull> {
        let answer =
            |message: &Outgoing| matches!(message, Outgoing::Chain | Outgoing::PartialResponse(_));
        let answering = self.is_telling() || self.queue.iter().any(answer);
        let again = matches!(message, Outgoing::NoChain(_))
            && self.queue.iter().any(|queued| *queued == message);
        if again || (answer(&message) && answering) {
            return Ok(());
        }
        self.queue.push_back(message).map_err(|_| QueueFull)
    }

    /// Whether something more can be queued.
    pub fn has_room(&self) -> bool {
        !self.queue.is_full()
    }

    /// Whether a chain or a partial response is on its way.
    fn is_telling(&self) -> bool {
        matches!(
            self.progress,
            Some(
                InProgress::Chain { .. }
                    | InProgress::PartialResponse { .. }
                    | InProgress::EndingResponse
            )
        )
    }

    /// Whether a message is queued that will tell the voices when it leaves.
    pub fn will_tell(&self) -> bool {
        let life = [Outgoing::Announce, Outgoing::Ping, Outgoing::Pong];
        self.queue.iter().any(|message| life.contains(message))
    }

    /// Forgets the blocks and transactions that are queued, and a queued chain, which would tell
    /// the same; true if there were any.
    pub fn drop_blocks(&mut self) -> bool {
        let before = self.queue.len();
        self.queue.retain(|message| {
            matches!(
                message,
                Outgoing::Announce
                    | Outgoing::PeerList
                    | Outgoing::NoChain(_)
                    | Outgoing::Request
                    | Outgoing::Ping
                    | Outgoing::Pong
            )
        });
        self.queue.len() < before
    }

    /// Nothing of the chain may leave any more: what is queued of it is forgotten, and a chain on
    /// its way breaks off.
    pub fn withhold(&mut self) {
        self.drop_blocks();
        self.progress = match self.progress {
            None | Some(InProgress::OwnBlock { .. }) => None,
            Some(_) => Some(InProgress::BrokenChain { whole: false }),
        };
    }

    /// A reorg has changed the chain from height `fork` on. A chain on its way that is beyond that
    /// is told anew. A partial response ends, since its receiver asks for the rest.
    pub fn reorged(&mut self, fork: u64) {
        match self.progress {
            Some(InProgress::Chain { next }) if next > fork => {
                self.progress = Some(InProgress::BrokenChain { whole: true });
            }
            Some(InProgress::PartialResponse { next, start, .. })
                if next > fork && next > start =>
            {
                self.progress = Some(InProgress::EndingResponse);
            }
            _ => {}
        }
    }

    /// The bytes to send now, at most [`limits::WRITE_BYTES`].
    pub fn pending(&self) -> &[u8] {
        let rest = &self.bytes[self.start..];
        &rest[..rest.len().min(limits::WRITE_BYTES)]
    }

    /// The first `count` of them were sent.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.pending().len(), "no more than was pending");
        self.start += count;
        if self.start == self.bytes.len() {
            self.start = 0;
            self.bytes.clear();
            // Something that was made in one go may have been longer.
            self.bytes.shrink_to(BUFFER_BYTES);
        }
    }

    /// Whether everything was sent.
    pub fn is_idle(&self) -> bool {
        self.bytes.is_empty()
            && self.chunk.is_none()
            && self.progress.is_none()
            && self.queue.is_empty()
    }

    /// What was made so far.
    pub fn sent(&self) -> Sent {
        self.sent
    }

    /// Makes bytes while there is room and something to say: up to [`limits::WRITE_BYTES`], and what of
    /// the last part is beyond that. Nothing is made twice. Returns how many bytes of text were made.
    pub fn fill(&mut self, source: &mut impl Source) -> usize {
        if self.start > 0 {
            return 0;
        }
        let before = self.bytes.len();
        while self.bytes.len() < limits::WRITE_BYTES {
            let begun = self.chunk.take();
            let next = begun.or_else(|| Some((self.next_chunk(source)?, Part::default())));
            let Some((chunk, part)) = next else {
                break;
            };
            if self.bytes.capacity() == 0 {
                self.bytes.reserve_exact(BUFFER_BYTES);
            }
            if let Some(part) = chunk.put(part, &mut self.bytes, source.sender()) {
                self.chunk = Some((chunk, part));
                continue;
            }
            let (blocks, messages) = chunk.counts();
            self.sent.blocks += blocks;
            self.sent.messages += messages;
        }
        let over = self.chunk.is_some() || self.bytes.len() > limits::WRITE_BYTES;
        limits::Full::WriteFull.when(over);
        let made = self.bytes.len() - before;
        tally::count(|done| done.rendered += tally::bytes(made));
        made
    }

    fn next_chunk(&mut self, source: &mut impl Source) -> Option<Chunk> {
        loop {
            if let Some(progress) = self.progress.take() {
                return Some(self.go_on(progress, source));
            }
            let chunk = match self.queue.pop_front()? {
                Outgoing::Announce => Chunk::Announce(source.greeting()),
                Outgoing::PeerList => Chunk::PeerList(source.peers()),
                Outgoing::Request => Chunk::Request(source.locator()),
                Outgoing::Ping => life(MessageKind::Ping, source),
                Outgoing::Pong => life(MessageKind::Pong, source),
                Outgoing::NoChain(length) => Chunk::NoChain(length),
                Outgoing::Chain => {
                    self.progress = Some(InProgress::Chain { next: 0 });
                    Chunk::ChainOpen(None)
                }
                Outgoing::PartialResponse(start) => {
                    // A reorg may have made the chain shorter since this was queued.
                    let start = start.min(source.tip().length);
                    self.progress = Some(InProgress::PartialResponse {
                        start,
                        next: start,
                        room: limits::PARTIAL_RESPONSE_TEXT_MAX - limits::ENVELOPE_TEXT_MAX,
                    });
                    Chunk::ChainOpen(Some(start))
                }
                Outgoing::Block(height) | Outgoing::OwnBlock(height)
                    if height >= source.tip().length =>
                {
                    continue;
                }
                Outgoing::Block(height) => match source.single(height) {
                    Some(block) => Chunk::Block(block),
                    // A node of this project learns from it that there is more, and asks.
                    None => life(MessageKind::Ping, source),
                },
                Outgoing::OwnBlock(height) => {
                    self.progress = source
                        .block(height)
                        .map(|block| InProgress::OwnBlock { block, next: 0 });
                    continue;
                }
                Outgoing::Transaction(number) => match source.transaction(number) {
                    Some(transaction) => Chunk::Transaction(Rc::new(transaction)),
                    None => continue,
                },
            };
            return Some(chunk);
        }
    }

    /// The next chunk of a message that takes several.
    fn go_on(&mut self, progress: InProgress, source: &mut impl Source) -> Chunk {
        let length = source.tip().length;
        match progress {
            // A reorg does not change it any more, even if it does not fit yet.
            InProgress::Chain { next } if next == length => Chunk::ChainClose { length },
            InProgress::Chain { next } => {
                let Some(block) = source.block(next) else {
                    return Chunk::ChainBreak;
                };
                self.progress = Some(InProgress::Chain { next: next + 1 });
                Chunk::ChainElement {
                    block,
                    first: next == 0,
                }
            }
            InProgress::PartialResponse { start, next, room } => {
                let close = Chunk::ChainClose { length };
                if next >= length {
                    return close;
                }
                let Some(block) = source.block(next) else {
                    return Chunk::ChainBreak;
                };
                let bytes = text::block_bytes(&block);
                let first = next == start;
                // A block that is too long for any response gets one of its own.
                if limits::Full::PartFull.when(!first && bytes > room) {
                    return close;
                }
                self.progress = Some(InProgress::PartialResponse {
                    start,
                    next: next + 1,
                    room: room.saturating_sub(bytes + 2),
                });
                Chunk::ChainElement { block, first }
            }
            InProgress::EndingResponse => Chunk::ChainClose { length },
            InProgress::BrokenChain { whole } => {
                if whole {
                    // It tells all blocks that are queued. Where there is no room, the last gives way.
                    self.drop_blocks();
                    if limits::Full::QueueAnew.when(self.queue.is_full()) {
                        self.queue.pop_back();
                    }
                    let _ = self.queue.push_front(Outgoing::Chain);
                }
                Chunk::ChainBreak
            }
            InProgress::OwnBlock { block, next } if next < block.transactions.len() => {
                self.progress = Some(InProgress::OwnBlock {
                    block: Rc::clone(&block),
                    next: next + 1,
                });
                Chunk::OwnTransaction(block, next)
            }
            InProgress::OwnBlock { block, .. } => Chunk::Block(block),
        }
    }
}

fn life(kind: MessageKind, source: &impl Source) -> Chunk {
    Chunk::Ping(kind, source.life())
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
