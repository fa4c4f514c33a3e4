//! A peer that says exactly what a test wants, and the blocks it speaks of.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};

use blx::ledger::{Block, Identity, Kind, Timestamp, Transaction};
use blx::wire::{MessageKind, read_block};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub use super::blocks::*;
use super::{LIMIT, Node, free_port, until};

/// Leading zeros of the blocks that are made here: what nodes ask for when nothing else is said.
pub const DIFFICULTY: u8 = 2;

pub const PING: &str = r#"{"type": "ping", "payload": {}, "sender": "0.0.0.0:1"}"#;

/// What everybody answers to a ping.
const PONG: &str = r#"{"type": "pong", "payload": {}}"#;

/// One end of a connection to a node.
pub struct Peer {
    stream: BufReader<TcpStream>,
    /// How the node calls it.
    pub name: String,
    /// The port on which it says that it listens: where that is another one, it is another node.
    pub listens: u16,
    /// The chain that it tells whenever it is asked for it, as desktop nodes do.
    pub tells: Option<Vec<Block>>,
}

/// What a peer is to the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// One of its kind: taken at its word, struck for what is wrong, told what others say.
    Ours,
    /// A desktop node, of whose blocks the node makes its own.
    Desktop,
}

pub const ROLES: [Role; 2] = [Role::Ours, Role::Desktop];

/// Listens where nobody else does, on loopback only, and where no node of another test calls that
/// has not heard yet that its peer is gone.
pub fn listen() -> (TcpListener, u16) {
    let port = free_port();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    (listener.expect("a free port"), port)
}

impl Peer {
    pub fn dial(port: u16) -> Peer {
        Peer::dial_at(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
    }

    pub fn dial_at(address: IpAddr, port: u16) -> Peer {
        let address = SocketAddr::new(address, port);
        let stream = TcpStream::connect_timeout(&address, LIMIT);
        let stream = stream.expect("the node listens");
        let name = stream.local_addr().expect("an address").to_string();
        Peer::of(stream, name)
    }

    /// Waits for the node's call.
    pub fn accept(listener: &TcpListener) -> Peer {
        let limit = Timespec {
            tv_sec: LIMIT.as_secs() as i64,
            tv_nsec: 0,
        };
        let ready = poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&limit));
        assert_eq!(ready, Ok(1), "the node does not call");
        let (stream, _) = listener.accept().expect("a call is there");
        let name = stream.local_addr().expect("an address").to_string();
        Peer::of(stream, name)
    }

    pub fn of(stream: TcpStream, name: String) -> Peer {
        stream.set_read_timeout(Some(LIMIT)).expect("a time limit");
        stream.set_write_timeout(Some(LIMIT)).expect("a time limit");
        stream.set_nodelay(true).expect("an option");
        Peer {
            stream: BufReader::new(stream),
            name,
            listens: 1,
            tells: None,
        }
    }

    /// Sends a line.
    pub fn say(&mut self, line: &str) {
        let line = says(line, self.listens);
        assert!(self.try_send(line.as_bytes()), "the node closed");
    }

    /// Sends these bytes and a line end; false if the node hung up meanwhile.
    pub fn try_send(&mut self, line: &[u8]) -> bool {
        self.try_bytes(&[line, b"\n"].concat())
    }

    /// The same without a line end.
    pub fn try_bytes(&mut self, bytes: &[u8]) -> bool {
        self.stream.get_mut().write_all(bytes).is_ok()
    }

    /// The next line with its end; `None` if the node hung up.
    pub fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => Some(String::from_utf8(line).expect("a node sends ASCII")),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{}: the node neither speaks nor closes: {error}", self.name),
        }
    }

    /// The next line of this type; others before it are passed over.
    pub fn expect(&mut self, kind: &str) -> String {
        let start = format!("{{\"type\": \"{kind}\"");
        let mut passed = String::new();
        while let Some(line) = self.line() {
            if line.starts_with(&start) {
                return line;
            }
            self.answers(&line);
            passed += &line;
        }
        panic!(
            "{}: the node closed before {kind}, after {passed}",
            self.name
        );
    }

    /// Reads on until the node hangs up, and returns what it still said.
    pub fn expect_close(&mut self) -> String {
        let mut said = String::new();
        while let Some(line) = self.line() {
            said += &line;
        }
        said
    }

    /// Hangs up behind all that it has said. Merely closed, with something of the node's unread, a
    /// connection ends with a reset, which takes along what is still on its way to a slow node.
    pub fn hang_up(mut self) {
        self.ends();
        self.expect_close();
    }

    /// Says no more, and reads nothing.
    pub fn ends(&mut self) {
        let done = self.stream.get_mut().shutdown(Shutdown::Write);
        done.expect("a connection");
    }

    /// Reads on; true if the node has ended the connection with a reset.
    pub fn ends_in_reset(mut self) -> bool {
        let rest = self.stream.read_to_end(&mut Vec::new());
        rest.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
    }

    /// Says a block until it is in the chain of the node, which takes blocks that come too fast later.
    pub fn say_until_taken(&mut self, node: &Node, block: &Block) {
        let words = format!("received and added block #{}\n", block.index);
        until(|| {
            self.say(&block_message(block));
            self.settle();
            match node.said().contains(&words) {
                true => Ok(()),
                false => Err(words.clone()),
            }
        });
    }

    /// All it has said, once it has understood everything that was sent to it, but for what it asks
    /// whoever says nothing for long.
    pub fn settle(&mut self) -> String {
        self.say(PING);
        let mut said = String::new();
        loop {
            let line = self.line().expect("the node keeps the connection");
            if line.starts_with(r#"{"type": "pong""#) {
                return said;
            }
            if !self.answers(&line) {
                said += &line;
            }
        }
    }

    /// Answers what every node answers by itself; false if this line is nothing of that.
    fn answers(&mut self, line: &str) -> bool {
        if line.starts_with(r#"{"type": "ping""#) {
            self.say(PONG);
            return true;
        }
        let asks = self.tells.is_some() && line.starts_with(r#"{"type": "request_chain""#);
        if asks {
            self.tell();
        }
        asks
    }

    /// Tells its chain.
    pub fn tell(&mut self) {
        let chain = self.tells.as_ref().expect("it has a chain");
        let told = chain_message(chain);
        self.say(&told);
    }

    /// The node's chain, asked for as a node of its kind does, which need not tell its own first.
    pub fn chain(&mut self) -> Vec<Block> {
        let nothing = r#"{"length": 0, "locator": []}"#;
        self.say(&message(MessageKind::RequestChain, nothing));
        chain_of(&self.expect("chain_response"))
    }

    /// Greets as one of the node's kind does, each as another one.
    pub fn greet(&mut self) {
        static DRAWN: AtomicU64 = AtomicU64::new(1);
        let id = DRAWN.fetch_add(1, Ordering::Relaxed);
        let greeting = format!("{{{}}}", Ours::new(id).says());
        self.say(&message(MessageKind::PeerAnnounce, &greeting));
    }

    /// Says where its chain ends, as those of the node's kind do.
    pub fn has(&mut self, chain: &[Block]) {
        let (length, tip) = (chain.len(), chain[chain.len() - 1].hash);
        let end = format!(r#"{{"length": {length}, "tip": "{tip}"}}"#);
        self.say(&message(MessageKind::Ping, &end));
        self.expect("pong");
    }

    /// One of the node's kind that knows what the node knows, with nothing left to answer.
    pub fn join(port: u16) -> (Peer, Vec<Block>) {
        Peer::join_as(Role::Ours, port)
    }

    /// The same as a desktop node that has taken the node's chain, or as one of its kind.
    pub fn join_as(role: Role, port: u16) -> (Peer, Vec<Block>) {
        Peer::join_from(1, role, port)
    }

    /// The same as one that listens on this port.
    pub fn join_from(listens: u16, role: Role, port: u16) -> (Peer, Vec<Block>) {
        let mut peer = Peer::dial(port);
        peer.listens = listens;
        match role {
            Role::Ours => peer.greet(),
            Role::Desktop => peer.say(&plain("peer_announce")),
        }
        let chain = peer.chain();
        match role {
            Role::Ours => peer.has(&chain),
            Role::Desktop => {
                peer.say(&chain_message(&chain));
                peer.tells = Some(chain.clone());
            }
        }
        peer.settle();
        (peer, chain)
    }
}

/// A line as one says it that listens on this port: all the others here are of one node.
pub fn says(line: &str, port: u16) -> String {
    line.replace("0.0.0.0:1\"", &format!("0.0.0.0:{port}\""))
}

/// A message whose payload is empty.
pub fn plain(kind: &str) -> String {
    format!(r#"{{"type": "{kind}", "payload": {{}}, "sender": "0.0.0.0:1"}}"#)
}

pub fn message(kind: MessageKind, payload: &str) -> String {
    line(kind, payload, "0.0.0.0:1")
}

pub fn block_message(block: &Block) -> String {
    message(MessageKind::NewBlock, &block_text(block))
}

pub fn transaction_message(transaction: &Transaction) -> String {
    message(MessageKind::NewTransaction, &transaction_text(transaction))
}

/// The block of a `new_block`.
pub fn block_of(line: &str) -> Block {
    read_block(payload(line).as_bytes()).expect("a block")
}

pub fn chain_message(chain: &[Block]) -> String {
    message(MessageKind::ChainResponse, &chain_text(chain))
}

/// Somebody else, with a key.
pub struct Person(Identity);

impl Person {
    pub fn new(seed: u8) -> Person {
        Person(Identity::from_secret(&[seed; 32]).expect("a key"))
    }

    pub fn requests(&self, item: &str) -> Transaction {
        let time = Timestamp::Float(1_795_396_521.412_817_7);
        self.0.sign(Kind::Request, item.into(), time)
    }

    pub fn releases(&self, item: &str) -> Transaction {
        let time = Timestamp::Float(1_795_396_600.25);
        self.0.sign(Kind::Release, item.into(), time)
    }

    /// A chain of its own: a first block, and one block for each item it requests.
    pub fn chain(&self, items: &[&str]) -> Vec<Block> {
        let mut chain = vec![Block::genesis(Timestamp::Float(1_795_396_500.5))];
        for item in items {
            let block = after(&chain[chain.len() - 1], vec![self.requests(item)]);
            chain.push(block);
        }
        chain
    }
}

/// A block behind `tip`.
pub fn after(tip: &Block, transactions: Vec<Transaction>) -> Block {
    mine(Block {
        index: tip.index + 1,
        prev_hash: tip.hash,
        transactions,
        nonce: 0,
        timestamp: Timestamp::Float(1_795_396_521.41),
        hash: tip.hash,
    })
}

/// The same block with a nonce and a hash that fit.
pub fn mine(block: Block) -> Block {
    mined(block, DIFFICULTY)
}
