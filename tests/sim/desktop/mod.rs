//! A desktop node as PROTOCOL.md sections 1, 3, 4 and 5 tell of it, its loose habits and its faults
//! too. It is driven like a node of ours, so that the world need not tell them apart. Of its menu it
//! shows no more than the outcomes.
//!
//! [`chain`] is the chain that its threads spoil, [`threads`] what goes on at the same time, [`menu`]
//! its user.

mod chain;
mod menu;
mod threads;

use std::cell::{Ref, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;

use blx::ledger::Identity;
use blx::node::{Action, CONSOLE, Clock, ConnId, Event, Millis};
use blx::wire::{MessageKind, read_block, text};
use serde_json::Value;

pub use self::chain::{Saved, Who};
use self::menu::Question;
use self::threads::{Deed, Threads};
use crate::random::Random;

/// What one read takes, as the real one reads.
const READ_BYTES: usize = 4096;
/// What the system takes of what is sent; behind it a sender stands still, and reads no more.
const SYSTEM_BYTES: usize = 256 << 10;
const CONNS: usize = CONSOLE.0 as usize;
const SENDER: &str = "0.0.0.0:6000";

/// Its two front ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Console,
    /// Asks everybody for the whole chain every 30 s.
    Window,
}

impl Manner {
    fn look_ms(self) -> u64 {
        match self {
            Manner::Console => 5_000,
            Manner::Window => 10_000,
        }
    }
}

/// A connection.
struct Peer {
    /// What it is called in the set of peers: what was dialed, or where it came from.
    name: String,
    remote: SocketAddr,
    space: Box<[u8]>,
    /// What was read and is not handled yet.
    heard: VecDeque<u8>,
    out: Vec<u8>,
    sent: usize,
}

/// A desktop node that runs.
pub struct Desktop {
    saved: Rc<RefCell<Saved>>,
    identity: Identity,
    difficulty: u8,
    manner: Manner,
    random: Random,
    now: Clock,
    peers: Vec<Option<Peer>>,
    /// The set of peers. Of two that were dialed by the same name only the last one is in it.
    names: BTreeMap<String, usize>,
    threads: Threads,
    /// The menu waits for this dial, of this name.
    dialing: Option<(usize, String)>,
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
        (manner, seed): (Manner, u64),
        now: Clock,
    ) -> Desktop {
        Desktop {
            saved,
            identity: Identity::from_secret(secret).expect("a key"),
            difficulty,
            manner,
            random: Random::new(seed),
            now,
            peers: (0..CONNS).map(|_| None).collect(),
            names: BTreeMap::new(),
            threads: Threads::new(now.mono, manner),
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
            Event::Tick => self.pass(),
            Event::ConsoleOpened { .. } | Event::Networks { .. } => {}
            Event::Incoming { from } => self.incoming(from),
            Event::Connected { conn, remote, .. } => self.connected(conn, remote),
            Event::DialFailed { reason, .. } => {
                self.dialing = None;
                self.say(&format!("❌ could not connect: {reason}"));
            }
            Event::Received { conn, count } if conn == CONSOLE => {
                self.typed.extend_from_slice(&self.space[..count]);
            }
            Event::Received { conn, count } => self.received(usize::from(conn.0), count),
            Event::Sent { conn, count } if conn == CONSOLE => {
                self.taken += count;
                if self.taken == self.shown.len() {
                    (self.shown, self.taken) = (Vec::new(), 0);
                }
            }
            Event::Sent { conn, count } => {
                let peer = self.peers[usize::from(conn.0)]
                    .as_mut()
                    .expect("it is open");
                peer.sent += count;
                if peer.sent == peer.out.len() {
                    (peer.out, peer.sent) = (Vec::new(), 0);
                }
            }
            Event::Closed { conn, .. } if conn == CONSOLE => self.actions.push_back(Action::Exit),
            Event::Closed { conn, .. } => self.forget(usize::from(conn.0)),
            Event::Stop => self.actions.push_back(Action::Exit),
        }
        self.obey_user();
    }

    pub fn rx_space(&mut self, conn: ConnId) -> &mut [u8] {
        if conn == CONSOLE {
            return match self.is_away() {
                true => &mut [],
                false => &mut self.space,
            };
        }
        let busy = self.threads.is_busy(usize::from(conn.0));
        match &mut self.peers[usize::from(conn.0)] {
            Some(peer) if !busy && peer.out.len() - peer.sent < SYSTEM_BYTES => &mut peer.space,
            _ => &mut [],
        }
    }

    pub fn tx_pending(&self, conn: ConnId) -> &[u8] {
        if conn == CONSOLE {
            return &self.shown[self.taken..];
        }
        let peer = self.peers[usize::from(conn.0)].as_ref();
        peer.map_or(&[], |peer| &peer.out[peer.sent..])
    }

    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub fn deadline(&self) -> Option<Millis> {
        let typed = self.typed_line().map(|_| self.now.mono);
        Some(typed.unwrap_or_else(|| self.threads.deadline()))
    }

    /// The process was stopped for `millis` milliseconds, and goes on.
    pub fn stood_still(&mut self, millis: u64) {
        self.threads.stood_still(millis);
    }

    // Connections.

    fn free_conn(&self) -> Option<usize> {
        let mut conns = 0..CONNS;
        conns.find(|conn| {
            let dialed = self.dialing.as_ref().is_some_and(|(at, _)| at == conn);
            self.peers[*conn].is_none() && !dialed
        })
    }

    fn incoming(&mut self, from: SocketAddr) {
        let Some(conn) = self.free_conn() else {
            return self.actions.push_back(Action::Refuse);
        };
        self.actions.push_back(Action::Accept {
            conn: ConnId(conn as u8),
        });
        self.welcome(conn, from, from.to_string());
    }

    fn connected(&mut self, conn: ConnId, remote: SocketAddr) {
        let (_, name) = self.dialing.take().expect("its menu dials");
        let conn = usize::from(conn.0);
        self.welcome(conn, remote, name);
        self.send(conn, MessageKind::PeerAnnounce, b"{}");
        self.say(&format!("✅ connected to {remote}"));
    }

    fn welcome(&mut self, conn: usize, remote: SocketAddr, name: String) {
        self.names.insert(name.clone(), conn);
        self.peers[conn] = Some(Peer {
            name,
            remote,
            space: vec![0; READ_BYTES].into(),
            heard: VecDeque::new(),
            out: Vec::new(),
            sent: 0,
        });
    }

    /// The entry goes, whichever connection it stood for.
    fn forget(&mut self, conn: usize) {
        if let Some(peer) = self.peers[conn].take() {
            self.names.remove(&peer.name);
        }
        self.threads.detach(conn);
    }

    fn send(&mut self, conn: usize, kind: MessageKind, payload: &[u8]) {
        if let Some(peer) = &mut self.peers[conn] {
            text::open(&mut peer.out, kind);
            peer.out.extend_from_slice(payload);
            text::close(&mut peer.out, SENDER);
        }
    }

    fn broadcast(&mut self, kind: MessageKind, payload: &[u8]) {
        for conn in self.names.values().copied().collect::<Vec<_>>() {
            self.send(conn, kind, payload);
        }
    }

    fn ask_all(&mut self) {
        self.broadcast(MessageKind::RequestChain, b"{}");
    }

    // What its peers say.

    fn received(&mut self, conn: usize, count: usize) {
        let peer = self.peers[conn].as_mut().expect("it is open");
        let chunk = &peer.space[..count];
        // Each read is decoded on its own.
        if str::from_utf8(chunk).is_err() {
            return self.hang_up(conn);
        }
        peer.heard.extend(chunk);
        self.go_on(conn);
    }

    /// The thread of a connection handles what it has read, until something takes its time.
    fn go_on(&mut self, conn: usize) {
        while let Some(peer) = &mut self.peers[conn]
            && !self.threads.is_busy(conn)
            && let Some(end) = peer.heard.iter().position(|byte| *byte == b'\n')
        {
            let heard: Vec<u8> = peer.heard.drain(..=end).collect();
            if self.hear(conn, &heard).is_none() {
                self.hang_up(conn);
            }
        }
    }

    fn hang_up(&mut self, conn: usize) {
        self.forget(conn);
        let conn = ConnId(conn as u8);
        self.actions.push_back(Action::Hangup { conn });
    }

    /// `None` for what it answers by hanging up.
    fn hear(&mut self, conn: usize, heard: &[u8]) -> Option<()> {
        let Ok(message) = serde_json::from_slice::<Value>(heard) else {
            return Some(());
        };
        let payload = message.as_object()?.get("payload")?;
        match message["type"].as_str()? {
            "peer_announce" => {
                let others = self.names.iter().filter(|(_, at)| **at != conn);
                let others: Vec<String> = others.map(|(name, _)| format!("\"{name}\"")).collect();
                let list = format!("{{\"peers\": [{}]}}", others.join(", "));
                self.send(conn, MessageKind::PeerList, list.as_bytes());
            }
            "request_chain" => self.tell_chain(conn),
            "ping" => self.send(conn, MessageKind::Pong, b"{}"),
            "new_block" => self.hear_block(conn, payload),
            "chain_response" => self.hear_chain(conn, payload),
            "new_transaction" => self.say("[network 📨] received transaction"),
            "peer_list" | "pong" => {}
            _ => return None,
        }
        Some(())
    }

    fn tell_chain(&mut self, conn: usize) {
        let mut payload = b"{\"chain\": [".to_vec();
        let saved = self.saved.borrow();
        for (position, block) in saved.chain().iter().enumerate() {
            if position > 0 {
                payload.extend_from_slice(b", ");
            }
            text::block(&mut payload, block);
        }
        let length = format!("], \"length\": {}}}", saved.chain().len());
        payload.extend_from_slice(length.as_bytes());
        drop(saved);
        self.send(conn, MessageKind::ChainResponse, &payload);
    }

    /// Of a peer's block only the index and the transactions count: it mines its own of them.
    fn hear_block(&mut self, conn: usize, payload: &Value) {
        let Ok(block) = read_block(payload.to_string().as_bytes()) else {
            return;
        };
        let saved = self.saved();
        let next = block.index == saved.chain().len() as u64;
        if next && saved.takes(&block.transactions) {
            drop(saved);
            let who = self.who(conn);
            self.begin(Some(conn), who, Deed::Block(block.transactions));
        }
    }

    /// Whether it is longer is asked now, and not when it is put in place.
    fn hear_chain(&mut self, conn: usize, payload: &Value) {
        let Some(blocks) = payload["chain"].as_array() else {
            return;
        };
        if blocks.len() <= self.saved().chain().len() {
            return self.say("[consensus ℹ️] kept current chain (already longest)");
        }
        let who = self.who(conn);
        self.begin(Some(conn), who, Deed::Chain(blocks.clone()));
    }

    fn who(&self, conn: usize) -> Who {
        let peer = self.peers[conn].as_ref().expect("it is open");
        Who::Peer(peer.remote)
    }
}
