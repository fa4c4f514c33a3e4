//! A desktop node for a benchmark: its words and rules (PROTOCOL.md sections 1, 3 and 4) without its
//! faults. It handles one message after the other, and relays nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use blx::ledger::{
    Block, Changes, Identity, Items, Kind, Timestamp, Transaction, Uid, Verifier, Work,
};
use blx::limits;
use blx::node::Clock;
use blx::wire::{MessageKind, read_block, text};
use serde_json::Value;

/// The port of every desktop node that nobody has moved.
const SENDER: &str = "0.0.0.0:6000";

/// What a connection has carried, both ways.
#[derive(Clone, Copy, Default)]
pub struct Carried {
    /// All bytes.
    pub bytes: u64,
    /// Those of questions for the chain that came when it was time for one, and of their answers.
    pub poll_bytes: u64,
    /// Such questions.
    pub polls: u64,
}

/// A desktop node, connected to one node.
pub struct Desktop {
    identity: Identity,
    verifier: Verifier,
    chain: Vec<Block>,
    items: Items,
    /// The chain as it is told: the blocks and what is between them.
    told: Vec<u8>,
    stream: TcpStream,
    heard: Vec<u8>,
    out: Vec<u8>,
    /// Bytes that came, and that went.
    pub flowed: [u64; 2],
    /// When it told its chain last.
    asked: Option<u64>,
    carried: Carried,
}

impl Desktop {
    /// Starts one, and presses key 6.
    pub fn connected(to: SocketAddr, secret: u8, now: Clock) -> Desktop {
        let stream = TcpStream::connect(to).expect("somebody listens");
        stream.set_nonblocking(true).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        let mut desktop = Desktop {
            identity: Identity::from_secret(&[secret; 32]).expect("a key"),
            verifier: Verifier::default(),
            chain: Vec::new(),
            items: Items::default(),
            told: Vec::new(),
            stream,
            heard: Vec::new(),
            out: Vec::new(),
            flowed: [0; 2],
            asked: None,
            carried: Carried::default(),
        };
        desktop.append(Block::genesis(Timestamp::from_micros(now.wall)));
        desktop.say(MessageKind::PeerAnnounce, b"{}");
        desktop
    }

    /// How many blocks it has.
    pub fn length(&self) -> usize {
        self.chain.len()
    }

    /// What its connection has carried.
    pub fn carried(&self) -> Carried {
        self.carried
    }

    /// Its user takes an item, or brings it back.
    pub fn act(&mut self, kind: Kind, item: &str, now: Clock) {
        let time = Timestamp::from_micros(now.wall);
        let transaction = self.identity.sign(kind, Uid::from(item), time);
        assert!(self.make(vec![transaction], now), "{item} can be had");
        let mut block = Vec::new();
        text::block(&mut block, &self.chain[self.chain.len() - 1]);
        self.say(MessageKind::NewBlock, &block);
    }

    /// Reads, answers and writes as far as that goes without waiting; whether anything moved.
    pub fn serve(&mut self, now: Clock) -> bool {
        let mut buffer = [0; 1 << 16];
        let read = match self.stream.read(&mut buffer) {
            Ok(0) => panic!("a desktop node is hung up on"),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => panic!("a desktop node cannot read: {error}"),
        };
        self.heard.extend_from_slice(&buffer[..read]);
        self.flowed[0] += read as u64;
        while let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.heard.drain(..=end).collect();
            self.carried.bytes += line.len() as u64;
            self.hear(&line, now);
        }
        let written = match self.stream.write(&self.out) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => panic!("a desktop node cannot write: {error}"),
        };
        self.out.drain(..written);
        self.flowed[1] += written as u64;
        read + written > 0
    }

    fn hear(&mut self, line: &[u8], now: Clock) {
        let said: Value = serde_json::from_slice(line).expect("what is said is JSON");
        let payload = &said["payload"];
        match said["type"].as_str().expect("a type") {
            "peer_announce" => _ = self.say(MessageKind::PeerList, b"{\"peers\": []}"),
            "ping" => _ = self.say(MessageKind::Pong, b"{}"),
            "request_chain" => self.tell_chain(line.len() as u64, now),
            "new_block" => {
                let block = read(payload);
                if block.index == self.chain.len() as u64 {
                    self.make(block.transactions, now);
                }
            }
            "chain_response" => self.adopt(payload),
            _ => {}
        }
    }

    /// How many bytes it says.
    fn say(&mut self, kind: MessageKind, payload: &[u8]) -> u64 {
        let before = self.out.len();
        text::open(&mut self.out, kind);
        self.out.extend_from_slice(payload);
        text::close(&mut self.out, SENDER);
        let bytes = (self.out.len() - before) as u64;
        self.carried.bytes += bytes;
        bytes
    }

    /// Whoever asks out of turn does it because of a block, and its cost is the block's.
    fn tell_chain(&mut self, question: u64, now: Clock) {
        let in_turn = limits::DESKTOP_POLL_MS;
        let is_poll = self.asked.is_some_and(|at| now.mono.0 >= at + in_turn);
        self.asked = Some(now.mono.0);
        let mut payload = b"{\"chain\": [".to_vec();
        payload.extend_from_slice(&self.told);
        payload.extend_from_slice(format!("], \"length\": {}}}", self.chain.len()).as_bytes());
        let answer = self.say(MessageKind::ChainResponse, &payload);
        if is_poll {
            self.carried.polls += 1;
            self.carried.poll_bytes += question + answer;
        }
    }

    /// A block of its own of these; false if they are impossible.
    fn make(&mut self, transactions: Vec<Transaction>, now: Clock) -> bool {
        let signed = transactions.iter().all(|each| self.verifier.verify(each));
        if !signed
            || Changes::default()
                .check(&self.items, &transactions)
                .is_err()
        {
            return false;
        }
        let mut block = Block::genesis(Timestamp::from_micros(now.wall));
        block.index = self.chain.len() as u64;
        block.prev_hash = self.chain[self.chain.len() - 1].hash;
        block.transactions = transactions;
        let mut work = Work::new(block, limits::DIFFICULTY_DEFAULT);
        while !work.step(u32::MAX) {}
        self.append(work.into_block());
        true
    }

    fn append(&mut self, block: Block) {
        let mut changes = Changes::default();
        let applied = changes.apply_block(&self.items, &block);
        applied.expect("few items");
        self.items.commit(changes);
        if !self.told.is_empty() {
            self.told.extend_from_slice(b", ");
        }
        text::block(&mut self.told, &block);
        self.chain.push(block);
    }

    fn adopt(&mut self, payload: &Value) {
        let told = payload["chain"].as_array().expect("a chain");
        if told.len() <= self.chain.len() {
            return;
        }
        let blocks: Vec<Block> = told.iter().map(read).collect();
        let links = blocks
            .windows(2)
            .all(|pair| pair[0].hash == pair[1].prev_hash);
        let mut transactions = blocks.iter().flat_map(|block| &block.transactions);
        let signed = transactions.all(|each| self.verifier.verify(each));
        assert!(links && signed, "a chain that is told is valid");
        self.chain.clear();
        self.told.clear();
        self.items = Items::default();
        blocks.into_iter().for_each(|block| self.append(block));
    }
}

fn read(block: &Value) -> Block {
    read_block(block.to_string().as_bytes()).expect("what is said is a block")
}
