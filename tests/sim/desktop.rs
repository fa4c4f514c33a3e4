//! A desktop node as PROTOCOL.md sections 1, 3 and 4 tell of it, its loose habits too. It is driven
//! like a node of ours, so that the world need not tell them apart. It has no timers, and of its menu
//! it shows no more than the outcomes.

use std::cell::{Ref, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;

use blx::ledger::{
    Block, Hash, Identity, Kind, Timestamp, Transaction, Uid, Verifier, Work, canonical,
};
use blx::node::{Action, CONSOLE, Clock, Event, Line, Millis};
use blx::wire::{MessageKind, message, text};
use serde_json::Value;

/// What one read takes, as the real one reads.
const READ_BYTES: usize = 4096;
/// What the system takes of what is sent; behind it a sender stands still, and reads no more.
const SYSTEM_BYTES: usize = 256 << 10;
const LINES: usize = CONSOLE.0 as usize;
const SENDER: &str = "0.0.0.0:6000";

/// What it finds again when it is started again.
pub struct Saved {
    chain: Vec<Rc<Block>>,
    /// Every item seen, and whether it is reserved.
    items: BTreeMap<Uid, bool>,
    /// Blocks whose hash and signatures were found right before: they need not be checked twice.
    known: BTreeMap<Hash, Rc<Block>>,
    verifier: Verifier,
    /// What its user was told to be done.
    pub done: Vec<Transaction>,
}

impl Saved {
    pub fn new(time: Timestamp) -> Saved {
        Saved {
            chain: vec![Rc::new(Block::genesis(time))],
            items: BTreeMap::new(),
            known: BTreeMap::new(),
            verifier: Verifier::default(),
            done: Vec::new(),
        }
    }

    pub fn chain(&self) -> &[Rc<Block>] {
        &self.chain
    }

    /// The items that are reserved, or those that are not.
    pub fn items(&self, reserved: bool) -> BTreeSet<String> {
        let those = self.items.iter().filter(|(_, is)| **is == reserved);
        those.map(|(uid, _)| uid.to_string()).collect()
    }

    fn allows(items: &BTreeMap<Uid, bool>, transaction: &Transaction) -> bool {
        let reserved = items.get(&transaction.uid).copied().unwrap_or(false);
        reserved == (transaction.kind == Kind::Release)
    }

    /// What is not in order is void: it changes nothing.
    fn apply(items: &mut BTreeMap<Uid, bool>, transaction: &Transaction) {
        if Saved::allows(items, transaction) {
            let reserved = transaction.kind == Kind::Request;
            items.insert(transaction.uid.clone(), reserved);
        }
    }

    /// Mines a block of these, or none if one of them is not in order.
    fn extend(&mut self, transactions: Vec<Transaction>, time: Timestamp, difficulty: u8) -> bool {
        let mut items = self.items.clone();
        for transaction in &transactions {
            if !Saved::allows(&items, transaction) || !self.verifier.verify(transaction) {
                return false;
            }
            Saved::apply(&mut items, transaction);
        }
        let last = self.chain.last().expect("a first block");
        let mut block = Block::genesis(time);
        (block.index, block.prev_hash) = (self.chain.len() as u64, last.hash);
        block.transactions = transactions;
        let mut work = Work::new(block, difficulty);
        while !work.step(1 << 16) {}
        self.chain.push(Rc::new(work.into_block()));
        self.items = items;
        true
    }

    /// Takes a chain if it is longer and valid: hashes, links and signatures, nothing else.
    fn adopt(&mut self, blocks: &[Value]) -> bool {
        if blocks.len() <= self.chain.len() {
            return false;
        }
        let mut chain: Vec<Rc<Block>> = Vec::new();
        for value in blocks {
            let Ok(block) = message::block(value.to_string().as_bytes()) else {
                return false;
            };
            let links = chain.last().is_none_or(|last| last.hash == block.prev_hash);
            let Some(block) = self.sound(block).filter(|_| links) else {
                return false;
            };
            chain.push(block);
        }
        self.items.clear();
        for transaction in chain.iter().flat_map(|block| &block.transactions) {
            Saved::apply(&mut self.items, transaction);
        }
        self.chain = chain;
        true
    }

    fn sound(&mut self, block: Block) -> Option<Rc<Block>> {
        if let Some(known) = self.known.get(&block.hash)
            && **known == block
        {
            return Some(known.clone());
        }
        let sound = canonical::block_hash(&block) == block.hash
            && block.transactions.iter().all(|t| self.verifier.verify(t));
        let block = Rc::new(block);
        sound.then(|| self.known.insert(block.hash, block.clone()));
        sound.then_some(block)
    }
}

/// A connection.
struct Peer {
    remote: SocketAddr,
    space: Box<[u8]>,
    /// A line that has not ended yet.
    heard: Vec<u8>,
    out: Vec<u8>,
    sent: usize,
}

/// What the next line of the user answers.
enum Question {
    Menu,
    Request,
    Release,
    Many,
    Host,
    Port(String),
}

/// A desktop node that runs.
pub struct Desktop {
    saved: Rc<RefCell<Saved>>,
    identity: Identity,
    difficulty: u8,
    now: Clock,
    peers: Vec<Option<Peer>>,
    /// The menu waits for this dial.
    dialing: Option<usize>,
    actions: VecDeque<Action>,
    question: Question,
    space: Box<[u8]>,
    typed: Vec<u8>,
    shown: Vec<u8>,
    taken: usize,
}

impl Desktop {
    pub fn open(
        saved: Rc<RefCell<Saved>>,
        secret: &[u8; 32],
        difficulty: u8,
        now: Clock,
    ) -> Desktop {
        Desktop {
            saved,
            identity: Identity::from_secret(secret).expect("a key"),
            difficulty,
            now,
            peers: (0..LINES).map(|_| None).collect(),
            dialing: None,
            actions: VecDeque::new(),
            question: Question::Menu,
            space: vec![0; READ_BYTES].into(),
            typed: Vec::new(),
            shown: Vec::new(),
            taken: 0,
        }
    }

    pub fn saved(&self) -> Ref<'_, Saved> {
        self.saved.borrow()
    }

    // The law of driving.

    pub fn handle(&mut self, clock: Clock, event: Event<'_>) {
        self.now = clock;
        match event {
            Event::Tick | Event::ConsoleOpened { .. } => {}
            Event::Incoming { from } => self.incoming(from),
            Event::Connected { line, remote, .. } => self.connected(line, remote),
            Event::DialFailed { reason, .. } => {
                self.dialing = None;
                self.say(&format!("❌ could not connect: {reason}"));
            }
            Event::Received { line, count } if line == CONSOLE => {
                self.typed.extend_from_slice(&self.space[..count]);
            }
            Event::Received { line, count } => self.received(usize::from(line.0), count),
            Event::Sent { line, count } if line == CONSOLE => {
                self.taken += count;
                if self.taken == self.shown.len() {
                    (self.shown, self.taken) = (Vec::new(), 0);
                }
            }
            Event::Sent { line, count } => {
                let peer = self.peers[usize::from(line.0)]
                    .as_mut()
                    .expect("it is open");
                peer.sent += count;
                if peer.sent == peer.out.len() {
                    (peer.out, peer.sent) = (Vec::new(), 0);
                }
            }
            Event::Closed { line, .. } if line == CONSOLE => self.actions.push_back(Action::Exit),
            Event::Closed { line, .. } => self.peers[usize::from(line.0)] = None,
            Event::Stop => self.actions.push_back(Action::Exit),
        }
        self.obey_user();
    }

    pub fn rx_space(&mut self, line: Line) -> &mut [u8] {
        if line == CONSOLE {
            return match self.dialing {
                Some(_) => &mut [],
                None => &mut self.space,
            };
        }
        match &mut self.peers[usize::from(line.0)] {
            Some(peer) if peer.out.len() - peer.sent < SYSTEM_BYTES => &mut peer.space,
            _ => &mut [],
        }
    }

    pub fn tx_pending(&self, line: Line) -> &[u8] {
        if line == CONSOLE {
            return &self.shown[self.taken..];
        }
        let peer = self.peers[usize::from(line.0)].as_ref();
        peer.map_or(&[], |peer| &peer.out[peer.sent..])
    }

    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub fn deadline(&self) -> Option<Millis> {
        self.typed_line().map(|_| self.now.mono)
    }

    // Connections.

    fn free_line(&self) -> Option<usize> {
        let mut lines = 0..LINES;
        lines.find(|line| self.peers[*line].is_none() && self.dialing != Some(*line))
    }

    fn incoming(&mut self, from: SocketAddr) {
        let Some(line) = self.free_line() else {
            return self.actions.push_back(Action::Refuse);
        };
        self.actions.push_back(Action::Accept {
            line: Line(line as u8),
        });
        self.welcome(line, from);
    }

    fn connected(&mut self, line: Line, remote: SocketAddr) {
        self.dialing = None;
        let line = usize::from(line.0);
        self.welcome(line, remote);
        self.send(line, MessageKind::PeerAnnounce, b"{}");
        self.say(&format!("✅ connected to {remote}"));
    }

    fn welcome(&mut self, line: usize, remote: SocketAddr) {
        self.peers[line] = Some(Peer {
            remote,
            space: vec![0; READ_BYTES].into(),
            heard: Vec::new(),
            out: Vec::new(),
            sent: 0,
        });
    }

    fn send(&mut self, line: usize, kind: MessageKind, payload: &[u8]) {
        if let Some(peer) = &mut self.peers[line] {
            text::open(&mut peer.out, kind);
            peer.out.extend_from_slice(payload);
            text::close(&mut peer.out, SENDER);
        }
    }

    fn broadcast(&mut self, kind: MessageKind, payload: &[u8]) {
        for line in 0..LINES {
            self.send(line, kind, payload);
        }
    }

    // What its peers say.

    fn received(&mut self, line: usize, count: usize) {
        let peer = self.peers[line].as_mut().expect("it is open");
        let chunk = peer.space[..count].to_vec();
        // Each read is decoded on its own.
        let mut sane = str::from_utf8(&chunk).is_ok();
        for byte in chunk.into_iter().filter(|_| sane).collect::<Vec<_>>() {
            if byte != b'\n' {
                let peer = self.peers[line].as_mut().expect("it is open");
                peer.heard.push(byte);
                continue;
            }
            let peer = self.peers[line].as_mut().expect("it is open");
            let heard = std::mem::take(&mut peer.heard);
            if self.hear(line, &heard).is_none() {
                sane = false;
                break;
            }
        }
        if !sane {
            self.peers[line] = None;
            let line = Line(line as u8);
            self.actions.push_back(Action::Hangup { line });
        }
    }

    /// `None` for what it answers by hanging up.
    fn hear(&mut self, line: usize, heard: &[u8]) -> Option<()> {
        let Ok(message) = serde_json::from_slice::<Value>(heard) else {
            return Some(());
        };
        let payload = message.as_object()?.get("payload")?;
        match message["type"].as_str()? {
            "peer_announce" => {
                let others = self.peers.iter().enumerate().filter(|(at, _)| *at != line);
                let others = others.filter_map(|(_, peer)| Some(peer.as_ref()?.remote));
                let others: Vec<String> = others.map(|remote| format!("\"{remote}\"")).collect();
                let list = format!("{{\"peers\": [{}]}}", others.join(", "));
                self.send(line, MessageKind::PeerList, list.as_bytes());
            }
            "request_chain" => self.tell_chain(line),
            "ping" => self.send(line, MessageKind::Pong, b"{}"),
            "new_block" => self.hear_block(payload),
            "chain_response" => {
                let adopted = payload["chain"].as_array().is_some_and(|chain| {
                    let mut saved = self.saved.borrow_mut();
                    saved.adopt(chain)
                });
                if adopted {
                    let length = self.saved().chain.len();
                    self.say(&format!(
                        "[consensus ✅] adopted longer chain ({length} blocks)"
                    ));
                }
            }
            "new_transaction" => self.say("[network 📨] received transaction"),
            "peer_list" | "pong" => {}
            _ => return None,
        }
        Some(())
    }

    fn tell_chain(&mut self, line: usize) {
        let mut payload = b"{\"chain\": [".to_vec();
        let saved = self.saved.borrow();
        for (position, block) in saved.chain.iter().enumerate() {
            if position > 0 {
                payload.extend_from_slice(b", ");
            }
            text::block(&mut payload, block);
        }
        let length = format!("], \"length\": {}}}", saved.chain.len());
        payload.extend_from_slice(length.as_bytes());
        drop(saved);
        self.send(line, MessageKind::ChainResponse, &payload);
    }

    /// Of a peer's block only the index and the transactions count: it mines its own of them.
    fn hear_block(&mut self, payload: &Value) {
        let Ok(block) = message::block(payload.to_string().as_bytes()) else {
            return;
        };
        let length = self.saved().chain.len() as u64;
        if block.index == length && self.extend(block.transactions) {
            self.say(&format!("[network 📦] received and added block #{length}"));
        }
    }

    fn time(&self) -> Timestamp {
        Timestamp::from_micros(self.now.wall)
    }

    fn extend(&mut self, transactions: Vec<Transaction>) -> bool {
        let (time, difficulty) = (self.time(), self.difficulty);
        let mut saved = self.saved.borrow_mut();
        saved.extend(transactions, time, difficulty)
    }

    // What its user does.

    fn say(&mut self, line: &str) {
        self.shown.extend_from_slice(line.as_bytes());
        self.shown.push(b'\n');
    }

    /// Where the next line of the user ends; he is not heard while the menu dials.
    fn typed_line(&self) -> Option<usize> {
        let end = self.typed.iter().position(|byte| *byte == b'\n');
        end.filter(|_| self.dialing.is_none())
    }

    /// One line for each event, so that no two wishes are signed at the same time.
    fn obey_user(&mut self) {
        if let Some(end) = self.typed_line() {
            let line: Vec<u8> = self.typed.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).trim().to_owned();
            self.answered(&line);
        }
    }

    fn answered(&mut self, line: &str) {
        self.question = match std::mem::replace(&mut self.question, Question::Menu) {
            Question::Menu => match line {
                "1" => Question::Request,
                "2" => Question::Release,
                "5" => Question::Many,
                "6" => Question::Host,
                "8" => {
                    self.broadcast(MessageKind::RequestChain, b"{}");
                    Question::Menu
                }
                "10" => {
                    self.actions.push_back(Action::Exit);
                    Question::Menu
                }
                _ => Question::Menu,
            },
            Question::Request => self.submit(Kind::Request, &[line]),
            Question::Release => self.submit(Kind::Release, &[line]),
            Question::Many => {
                let mut names: Vec<&str> = Vec::new();
                for name in line.split(',').map(str::trim) {
                    if !name.is_empty() && !names.contains(&name) {
                        names.push(name);
                    }
                }
                self.submit(Kind::Request, &names)
            }
            Question::Host => Question::Port(line.to_owned()),
            Question::Port(host) => {
                if let (Some(line), Ok(port)) = (self.free_line(), line.parse()) {
                    self.dialing = Some(line);
                    let line = Line(line as u8);
                    self.actions.push_back(Action::Dial { line, host, port });
                }
                Question::Menu
            }
        };
    }

    /// One block of the items that may be requested or released, and a word on every item.
    fn submit(&mut self, kind: Kind, names: &[&str]) -> Question {
        let time = self.time();
        let mut signed = Vec::new();
        for name in names {
            let wish = self.identity.sign(kind, (*name).into(), time);
            if Saved::allows(&self.saved().items, &wish) {
                signed.push(wish);
            } else {
                self.say(&format!("❌ {name}"));
            }
        }
        if !signed.is_empty() && self.extend(signed.clone()) {
            for wish in &signed {
                let done = match kind {
                    Kind::Request => "requested",
                    Kind::Release => "released",
                };
                self.say(&format!("✅ {done} {}", wish.uid));
            }
            self.saved.borrow_mut().done.extend(signed);
            let mut payload = Vec::new();
            let last = self.saved().chain.last().expect("just mined").clone();
            text::block(&mut payload, &last);
            self.broadcast(MessageKind::NewBlock, &payload);
        }
        Question::Menu
    }
}
