//! What a line is to send, as intents; the bytes are made when there is room for them.
//!
//! A queue of intents is small whatever they stand for: "the chain" is one, and its blocks are
//! read one by one while they leave. Text that does not fit is made again when there is room, from
//! the byte where it stopped.

use core::net::SocketAddr;
use std::rc::Rc;

use super::message::MessageKind;
use super::text;
use crate::ledger::Block;
use crate::ledger::canonical::{self, Sink};
use crate::limits;

/// A thing to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// A message whose payload is empty.
    Plain(MessageKind),
    /// Whom we know.
    PeerList,
    /// The whole chain.
    Chain,
    /// The block at this height.
    Block(u64),
    /// The block at this height, which our user made: first its transactions, each on its own,
    /// as somebody who waits for one wants to see them.
    OwnBlock(u64),
}

/// Where the content of messages comes from.
pub trait Source {
    /// The chain's length.
    fn length(&self) -> u64;
    /// The block at a height; `None` if it cannot be read.
    fn block(&mut self, height: u64) -> Option<Block>;
    /// Addresses for a peer list.
    fn peers(&self) -> Vec<SocketAddr>;
    /// What stands in `sender`.
    fn sender(&self) -> &str;
}

/// The queue did not take an intent: the peer is too slow.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

/// What was sent, for the list of peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Blocks, alone or in a chain.
    pub blocks: u64,
    /// Messages.
    pub messages: u64,
}

/// Text that is made in one go, and again if it does not fit.
enum Unit {
    Plain(MessageKind),
    PeerList(Vec<SocketAddr>),
    Transaction(Rc<Block>, usize),
    Block(Rc<Block>),
    ChainOpen,
    ChainElement(Rc<Block>),
    ChainClose(u64),
    /// Ends a chain that is no longer ours in the middle: a line that is not JSON is skipped by
    /// everybody (PROTOCOL.md section 1).
    ChainBreak,
}

/// An intent that takes more than one unit.
enum Progress {
    Chain { next: u64 },
    BrokenChain,
    OwnBlock { block: Rc<Block>, next: usize },
}

/// The sending half of a line. Costs [`limits::WRITE_BYTES`] and one block.
pub struct Writer {
    queue: heapless::Deque<Intent, { limits::INTENTS }>,
    progress: Option<Progress>,
    unit: Option<(Unit, usize)>,
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    sent: Sent,
}

impl Default for Writer {
    fn default() -> Writer {
        Writer {
            queue: heapless::Deque::new(),
            progress: None,
            unit: None,
            bytes: vec![0; limits::WRITE_BYTES].into_boxed_slice(),
            start: 0,
            end: 0,
            sent: Sent::default(),
        }
    }
}

impl Writer {
    /// Queues an intent. A chain that is queued or on its way already answers for another one.
    pub fn push(&mut self, intent: Intent) -> Result<(), Full> {
        let streaming = matches!(self.progress, Some(Progress::Chain { .. }));
        if intent == Intent::Chain && (streaming || self.queue.iter().any(|i| *i == intent)) {
            return Ok(());
        }
        self.queue.push_back(intent).map_err(|_| Full)
    }

    /// Forgets the blocks that wait to be sent, and the chain that would tell the same; true if
    /// there were any.
    pub fn drop_blocks(&mut self) -> bool {
        let before = self.queue.len();
        self.queue
            .retain(|intent| matches!(intent, Intent::Plain(_) | Intent::PeerList));
        self.queue.len() < before
    }

    /// The chain has changed from height `fork` on: a chain that is on its way is told anew if it
    /// is beyond that.
    pub fn switched(&mut self, fork: u64) {
        if let Some(Progress::Chain { next }) = self.progress
            && next > fork
        {
            self.progress = Some(Progress::BrokenChain);
        }
    }

    /// The bytes to send now.
    pub fn pending(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The first `count` of them were sent.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.end - self.start, "no more than was pending");
        self.start += count;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Whether everything was sent.
    pub fn is_idle(&self) -> bool {
        self.start == self.end
            && self.unit.is_none()
            && self.progress.is_none()
            && self.queue.is_empty()
    }

    /// What was made so far.
    pub fn sent(&self) -> Sent {
        self.sent
    }

    /// Makes bytes while there is room and something to say; at most [`limits::WRITE_BYTES`].
    pub fn fill(&mut self, source: &mut impl Source) {
        if self.start > 0 {
            return;
        }
        loop {
            let Some((unit, offset)) = &mut self.unit else {
                match self.next_unit(source) {
                    Some(unit) => self.unit = Some((unit, 0)),
                    None => return,
                }
                continue;
            };
            let mut room = Room {
                skip: *offset,
                out: &mut self.bytes[self.end..],
                filled: 0,
                cut: false,
            };
            unit.render(&mut room, source.sender());
            let (filled, cut) = (room.filled, room.cut);
            self.end += filled;
            *offset += filled;
            if cut {
                return;
            }
            let (blocks, messages) = unit.counts();
            self.sent.blocks += blocks;
            self.sent.messages += messages;
            self.unit = None;
        }
    }

    fn next_unit(&mut self, source: &mut impl Source) -> Option<Unit> {
        loop {
            match self.progress.take() {
                Some(Progress::Chain { next }) if next == source.length() => {
                    return Some(Unit::ChainClose(next));
                }
                Some(Progress::Chain { next }) => {
                    let Some(block) = source.block(next) else {
                        return Some(Unit::ChainBreak);
                    };
                    self.progress = Some(Progress::Chain { next: next + 1 });
                    return Some(Unit::ChainElement(Rc::new(block)));
                }
                Some(Progress::BrokenChain) => {
                    // The chain tells all the blocks that wait. Where the queue is full of other
                    // things, the last of them gives way.
                    self.drop_blocks();
                    if self.queue.is_full() {
                        self.queue.pop_back();
                    }
                    let _ = self.queue.push_front(Intent::Chain);
                    return Some(Unit::ChainBreak);
                }
                Some(Progress::OwnBlock { block, next }) if next < block.transactions.len() => {
                    self.progress = Some(Progress::OwnBlock {
                        block: Rc::clone(&block),
                        next: next + 1,
                    });
                    return Some(Unit::Transaction(block, next));
                }
                Some(Progress::OwnBlock { block, .. }) => return Some(Unit::Block(block)),
                None => {}
            }
            match self.queue.pop_front()? {
                Intent::Plain(kind) => return Some(Unit::Plain(kind)),
                Intent::PeerList => return Some(Unit::PeerList(source.peers())),
                Intent::Chain => {
                    self.progress = Some(Progress::Chain { next: 0 });
                    return Some(Unit::ChainOpen);
                }
                // A switch may have made the chain shorter than it was when this was queued.
                Intent::Block(height) | Intent::OwnBlock(height) if height >= source.length() => {}
                Intent::Block(height) => {
                    if let Some(block) = source.block(height) {
                        return Some(Unit::Block(Rc::new(block)));
                    }
                }
                Intent::OwnBlock(height) => {
                    self.progress = source.block(height).map(|block| Progress::OwnBlock {
                        block: Rc::new(block),
                        next: 0,
                    });
                }
            }
        }
    }
}

impl Unit {
    fn render(&self, sink: &mut impl Sink, sender: &str) {
        match self {
            Unit::Plain(kind) => {
                text::open(sink, *kind);
                sink.put(b"{}");
                text::close(sink, sender);
            }
            Unit::PeerList(peers) => {
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
            Unit::Transaction(block, position) => {
                text::open(sink, MessageKind::NewTransaction);
                text::transaction(sink, &block.transactions[*position]);
                text::close(sink, sender);
            }
            Unit::Block(block) => {
                text::open(sink, MessageKind::NewBlock);
                text::block(sink, block);
                text::close(sink, sender);
            }
            Unit::ChainOpen => {
                text::open(sink, MessageKind::ChainResponse);
                sink.put(b"{\"chain\": [");
            }
            Unit::ChainElement(block) => {
                if block.index > 0 {
                    sink.put(b", ");
                }
                text::block(sink, block);
            }
            Unit::ChainClose(length) => {
                sink.put(b"], \"length\": ");
                canonical::number(sink, *length);
                sink.put(b"}");
                text::close(sink, sender);
            }
            Unit::ChainBreak => sink.put(b"\n"),
        }
    }

    fn counts(&self) -> (u64, u64) {
        match self {
            Unit::Plain(_) | Unit::PeerList(_) | Unit::Transaction(..) | Unit::ChainClose(_) => {
                (0, 1)
            }
            Unit::Block(_) => (1, 1),
            Unit::ChainElement(_) => (1, 0),
            Unit::ChainOpen | Unit::ChainBreak => (0, 0),
        }
    }
}

/// Takes the part of a text that fits, behind what was taken before.
struct Room<'a> {
    skip: usize,
    out: &'a mut [u8],
    filled: usize,
    cut: bool,
}

impl Sink for Room<'_> {
    fn put(&mut self, piece: &[u8]) {
        let skipped = self.skip.min(piece.len());
        self.skip -= skipped;
        let piece = &piece[skipped..];
        let room = &mut self.out[self.filled..];
        let count = piece.len().min(room.len());
        room[..count].copy_from_slice(&piece[..count]);
        self.filled += count;
        self.cut |= count < piece.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Hash, Identity, Kind, Timestamp};

    struct Chain(Vec<Block>);

    impl Source for Chain {
        fn length(&self) -> u64 {
            self.0.len() as u64
        }
        fn block(&mut self, height: u64) -> Option<Block> {
            self.0.get(usize::try_from(height).ok()?).cloned()
        }
        fn peers(&self) -> Vec<SocketAddr> {
            vec![
                "10.0.0.1:6000".parse().expect("an address"),
                "[::1]:7".parse().expect("an address"),
            ]
        }
        fn sender(&self) -> &str {
            "0.0.0.0:6000"
        }
    }

    fn chain(length: u64, name_bytes: usize) -> Chain {
        let identity = Identity::from_secret(&[3; 32]).expect("a key");
        let block = |index| {
            let mut block = Block::genesis(Timestamp::Float(0.5));
            block.index = index;
            let name = "x".repeat(name_bytes);
            block.transactions.push(identity.sign(
                Kind::Request,
                name.as_str().into(),
                Timestamp::Integer(1),
            ));
            block
        };
        Chain((0..length).map(block).collect())
    }

    /// Takes everything in bites of `bite` bytes.
    fn drain(writer: &mut Writer, source: &mut Chain, bite: usize) -> String {
        let mut out = Vec::new();
        loop {
            writer.fill(source);
            let bytes = writer.pending();
            if bytes.is_empty() {
                return String::from_utf8(out).expect("ASCII");
            }
            let count = bytes.len().min(bite);
            out.extend_from_slice(&bytes[..count]);
            writer.advance(count);
        }
    }

    #[test]
    fn the_same_text_leaves_whatever_the_room() {
        for name_bytes in [10, 3 * limits::WRITE_BYTES] {
            let mut source = chain(5, name_bytes);
            let mut whole = Vec::new();
            text::open(&mut whole, MessageKind::NewBlock);
            text::block(&mut whole, &source.0[4]);
            text::close(&mut whole, "0.0.0.0:6000");
            let mut texts = Vec::new();
            for bite in [1000, 1013, limits::WRITE_BYTES] {
                let mut writer = Writer::default();
                writer.push(Intent::Chain).expect("room");
                writer.push(Intent::Chain).expect("answered by the first");
                writer.push(Intent::OwnBlock(4)).expect("room");
                writer.push(Intent::PeerList).expect("room");
                texts.push(drain(&mut writer, &mut source, bite));
                assert!(writer.is_idle());
                assert_eq!(
                    writer.sent(),
                    Sent {
                        blocks: 6,
                        messages: 4
                    }
                );
            }
            assert!(texts.iter().all(|text| *text == texts[0]));
            let lines: Vec<_> = texts[0].lines().collect();
            assert_eq!(lines.len(), 4);
            assert!(lines[0].ends_with(r#"], "length": 5}, "sender": "0.0.0.0:6000"}"#));
            assert!(
                lines[1].starts_with(r#"{"type": "new_transaction", "payload": {"requester": "#)
            );
            assert_eq!(format!("{}\n", lines[2]).as_bytes(), whole);
            assert_eq!(
                lines[3],
                r#"{"type": "peer_list", "payload": {"peers": ["10.0.0.1:6000", "[::1]:7"]}, "sender": "0.0.0.0:6000"}"#
            );
        }
    }

    #[test]
    fn a_chain_that_is_overtaken_by_a_switch_is_told_anew() {
        let mut source = chain(200, 10);
        let mut writer = Writer::default();
        writer.push(Intent::Chain).expect("room");
        writer.fill(&mut source);
        let begun = writer.pending().len();
        let mut start = String::from_utf8(writer.pending().to_vec()).expect("ASCII");
        writer.advance(begun);
        writer.switched(150);
        writer.switched(2);
        for block in &mut source.0[2..] {
            block.hash = Hash::new([7; 32]);
        }
        start += &drain(&mut writer, &mut source, 1 << 20);
        let lines: Vec<_> = start.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(!lines[0].contains("length"), "cut before its end");
        assert!(lines[1].ends_with(r#""length": 200}, "sender": "0.0.0.0:6000"}"#));
        assert!(lines[1].contains("0707070707"));
    }

    #[test]
    fn a_block_that_is_gone_is_not_sent() {
        let mut source = chain(2, 1);
        let mut writer = Writer::default();
        writer.push(Intent::Block(2)).expect("room");
        writer.push(Intent::OwnBlock(7)).expect("room");
        writer.push(Intent::Plain(MessageKind::Pong)).expect("room");
        let text = drain(&mut writer, &mut source, 1 << 20);
        assert_eq!(
            text,
            "{\"type\": \"pong\", \"payload\": {}, \"sender\": \"0.0.0.0:6000\"}\n"
        );
    }

    #[test]
    fn a_full_queue_says_so() {
        let mut writer = Writer::default();
        let taken = (0..1000).take_while(|height| writer.push(Intent::Block(*height)).is_ok());
        assert_eq!(taken.count(), limits::INTENTS);
        assert!(writer.drop_blocks());
        assert!(!writer.drop_blocks());
        assert!(writer.is_idle());
    }

    #[test]
    fn a_chain_that_breaks_behind_a_full_queue_is_told_anew_all_the_same() {
        let mut source = chain(200, 10);
        let mut writer = Writer::default();
        writer.push(Intent::Chain).expect("room");
        writer.fill(&mut source);
        while writer.push(Intent::Plain(MessageKind::Pong)).is_ok() {}
        writer.switched(1);
        let text = drain(&mut writer, &mut source, 1 << 20);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2 + limits::INTENTS - 1);
        assert!(!lines[0].contains("length"), "cut before its end");
        assert!(lines[1].contains("\"length\": 200"));
    }
}
