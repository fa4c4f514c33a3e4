//! What a story does to the machines: it adds, starts and stops them, lets their processes stand
//! still, types, and speaks as somebody else.

use std::cell::{Ref, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use blx::ledger::{Block, Timestamp};
use blx::limits;
use blx::node::{CONSOLE, Clock, Config, ConsoleKind, Event, Node};

use crate::desktop::{Desktop, Manner, Saved, Who};
use crate::disk::SimDisk;
use crate::host::{Host, LAN, Screen, Use, address, alias};
use crate::machine::Machine;
use crate::net::{Connection, End};
use crate::oracle;
use crate::world::{BUILT, CONNS, WALL, World};

impl World {
    /// A new machine, which is not started yet.
    pub fn add(&mut self, connect: &[usize]) -> usize {
        self.hosts.push(Host {
            node: None,
            disk: SimDisk::default(),
            judged: RefCell::default(),
            desktop: None,
            manner: Manner::Console,
            paused: None,
            screen: Screen::default(),
            secret: self.random.bytes(),
            connect: connect.iter().map(|to| address(*to)).collect(),
            drop_disconnected: false,
            starts: 0,
            items_max: 200_000,
            staging_max: 256 << 20,
            unclean: false,
            conns: [Use::Free; CONNS],
            wall: WALL + self.random.below(20_000_000),
            turn: 0,
            works: 0,
        });
        self.net.islands.push(0);
        self.hosts.len() - 1
    }

    /// A new machine with a desktop node, which is not started yet.
    pub fn add_desktop(&mut self) -> usize {
        let at = self.add(&[]);
        let time = Timestamp::from_micros(self.clock(at).wall);
        self.hosts[at].desktop = Some(Rc::new(RefCell::new(Saved::new(time))));
        at
    }

    /// The same, with the front end that asks for whole chains by itself.
    pub fn add_window(&mut self) -> usize {
        let at = self.add_desktop();
        self.hosts[at].manner = Manner::Window;
        at
    }

    /// What a host's desktop node knows.
    pub fn desktop(&self, at: usize) -> Ref<'_, Saved> {
        let saved = self.hosts[at].desktop.as_ref();
        saved.expect("a desktop node's host").borrow()
    }

    /// The hosts of our nodes.
    pub fn ours(&self) -> Vec<usize> {
        let all = 0..self.hosts.len();
        all.filter(|host| self.hosts[*host].is_ours()).collect()
    }

    /// The hosts of desktop nodes.
    pub fn desktops(&self) -> Vec<usize> {
        let all = 0..self.hosts.len();
        all.filter(|host| !self.hosts[*host].is_ours()).collect()
    }

    fn open(&mut self, at: usize, clock: Clock) -> Machine {
        let (id, seed) = (self.random.next(), self.random.next());
        if let Some(saved) = self.hosts[at].desktop.clone() {
            // A desktop node makes a new key at each start.
            self.hosts[at].secret = self.random.bytes();
            let host = &self.hosts[at];
            let how = (host.manner, seed);
            let node = Desktop::open(saved, &host.secret, self.difficulty, how, clock);
            return Machine::Desktop(Box::new(node));
        }
        let host = &self.hosts[at];
        let connect = host.connect.iter();
        let config = Config {
            listen: "0.0.0.0:6000".parse().expect("an address"),
            difficulty: Some(self.difficulty),
            connect: connect.map(|to| (to.ip().to_string(), 6000)).collect(),
            scrub_every: Some(blx::node::Millis(60_000)),
            unclean_stops: 0,
            unclean_stop: host.unclean,
            built: BUILT,
            id,
            drop_disconnected: host.drop_disconnected,
            ways: blx::shell::remedy::WAYS,
            items_max: host.items_max,
            staging_max: host.staging_max,
            secret: host.secret,
            nonces: nonces(seed),
            seed,
        };
        let node = Node::open(host.disk.clone(), clock, config).expect("it opens");
        Machine::Ours(Box::new(node))
    }

    pub fn start(&mut self, at: usize) {
        let clock = self.clock(at);
        assert!(self.hosts[at].node.is_none(), "it runs already");
        let node = self.open(at, clock);
        let host = &mut self.hosts[at];
        host.starts += 1;
        host.unclean = true;
        host.node = Some(node);
        // The first packet to a host that knows nothing of the connection ends it.
        for connection in &mut self.net.connections {
            for side in 0..2 {
                if matches!(connection.ends[side], End::Dead(host) if host == at) {
                    connection.ends[side] = End::Gone;
                    connection.pipes[side].close(self.now, true);
                }
            }
        }
        let conn = CONSOLE;
        let (utf8, echoes) = (true, true);
        let kind = ConsoleKind::Standard { utf8, echoes };
        self.tell(at, Event::ConsoleOpened { conn, kind });
        let networks = &[LAN];
        self.tell(at, Event::Networks { networks });
    }

    /// The process is gone. `quietly`: so is the machine, and nobody hears of it.
    pub fn stop(&mut self, at: usize, quietly: bool) {
        // What it said counts, although perhaps nobody read it.
        let said = self.hosts[at].node.take();
        let said = said.map(|node| node.tx_pending(CONSOLE).to_vec());
        let said = said.unwrap_or_default();
        self.hosts[at].screen.unseen |= said.len() >= limits::OUTPUT_BYTES / 4;
        self.hosts[at].screen.bytes.extend(said);
        self.hosts[at].screen.typed.clear();
        self.resume(at);
        self.interrupt(at);
        self.hosts[at].screen.bytes.extend_from_slice(b"\n");
        for conn in 0..CONNS {
            let used = std::mem::replace(&mut self.hosts[at].conns[conn], Use::Free);
            if let Use::Open(connection, side) = used {
                if quietly {
                    self.net.connections[connection].ends[side] = End::Dead(at);
                } else {
                    self.hang_up(connection, side);
                }
            }
        }
        for connection in 0..self.net.connections.len() {
            if matches!(self.net.connections[connection].ends[1], End::Waiting(host) if host == at)
            {
                self.hang_up(connection, 1);
            }
        }
    }

    /// The process stands still: nothing is handled, what it is sent waits.
    pub fn pause(&mut self, at: usize) {
        let runs = self.hosts[at].node.is_some() && self.hosts[at].paused.is_none();
        assert!(runs, "host {at} runs");
        self.hosts[at].paused = Some(self.now);
    }

    /// It goes on, if it stood still.
    pub fn resume(&mut self, at: usize) {
        let since = self.hosts[at].paused.take();
        if let Some(since) = since {
            self.heard.stood_still(at, since, self.now);
        }
        if let (Some(since), Some(Machine::Desktop(node))) = (since, &mut self.hosts[at].node) {
            node.stood_still(self.now - since);
        }
    }

    /// From now on nothing can be written.
    pub fn fill_disk(&mut self, at: usize) {
        self.hosts[at].disk.set_broken(true);
        self.interrupt(at);
    }

    /// A host of ours has no time any more for what it read a moment ago.
    fn interrupt(&mut self, at: usize) {
        if self.hosts[at].is_ours() && self.heard.is_new(at, self.now) {
            let there = oracle::ids_on_disk(self, at);
            self.heard
                .interrupted(at, self.now, |id| there.contains(id));
        }
    }

    /// A desktop node that does not run has another file: this one, or none.
    pub fn restore(&mut self, at: usize, chain: Option<Vec<Rc<Block>>>) {
        assert!(self.hosts[at].node.is_none(), "its file is its own");
        let time = Timestamp::from_micros(self.clock(at).wall);
        let chain = chain.unwrap_or_else(|| vec![Rc::new(Block::genesis(time))]);
        let saved = self.hosts[at].desktop.as_ref().expect("a desktop node's");
        saved.borrow_mut().put(chain);
    }

    /// What a desktop node has on its disk.
    pub fn file(&self, at: usize) -> Vec<Rc<Block>> {
        self.desktop(at).chain().to_vec()
    }

    /// A desktop node makes its last block twice, as its threads do; the second does not link.
    pub fn spoil(&mut self, at: usize) {
        let how = (Timestamp::from_micros(self.clock(at).wall), self.difficulty);
        let saved = self.hosts[at].desktop.as_ref().expect("a desktop node's");
        let mut saved = saved.borrow_mut();
        let last = saved.chain().last().expect("a first block").clone();
        let base = saved.base();
        for links in [true, false] {
            saved.append(last.transactions.clone(), base, links, how);
            saved.changed(Who::Monitor);
        }
    }

    /// How often a desktop node's chain was spoiled: by two messages of ours, by what its user did
    /// beside a message, and otherwise.
    pub fn spoiled(&self, at: usize) -> [usize; 3] {
        let mut counts = [0; 3];
        for spoil in &self.desktop(at).spoils {
            let ours = |who: &Who| matches!(who, Who::Peer(from) if self.is_ours_at(*from));
            let place = if ours(&spoil.by) && spoil.before.iter().any(ours) {
                0
            } else if spoil.by == Who::User || spoil.before.contains(&Who::User) {
                1
            } else {
                2
            };
            counts[place] += 1;
        }
        counts
    }

    /// What spoiled a desktop node so far is not counted.
    pub fn forgive(&mut self, at: usize) {
        let saved = self.hosts[at].desktop.as_ref().expect("a desktop node's");
        saved.borrow_mut().spoils.clear();
    }

    /// Whether a node of ours has this address.
    fn is_ours_at(&self, from: SocketAddr) -> bool {
        let mut hosts = 0..self.hosts.len();
        let is = |host: &usize| address(*host).ip() == from.ip() || alias(*host).ip() == from.ip();
        hosts
            .find(is)
            .is_some_and(|host| self.hosts[host].is_ours())
    }

    /// A power cut: what the disk did not sync is lost.
    pub fn cut_power(&mut self, at: usize) {
        self.stop(at, true);
        self.hosts[at].disk.cut_power(&mut self.random);
        self.interrupt(at);
    }

    pub fn type_in(&mut self, at: usize, text: &str) {
        self.hosts[at].screen.typed.extend(text.as_bytes());
    }

    /// The user has nothing more to type.
    pub fn end_input(&mut self, at: usize) {
        let (conn, reason) = (CONSOLE, None);
        self.tell(at, Event::Closed { conn, reason });
    }

    /// The user's terminal is gone.
    pub fn break_output(&mut self, at: usize) {
        let (conn, reason) = (CONSOLE, Some("broken pipe"));
        self.tell(at, Event::Closed { conn, reason });
    }

    /// All that a host ever showed, and what it has not shown yet but would.
    pub fn shown(&self, at: usize) -> String {
        let host = &self.hosts[at];
        let mut bytes = host.screen.bytes.clone();
        if let Some(node) = &host.node {
            bytes.extend_from_slice(node.tx_pending(CONSOLE));
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What a host shows within `millis` milliseconds after its user typed `words`.
    pub fn says(&mut self, at: usize, words: &str, millis: u64) -> String {
        let before = self.shown(at).len();
        self.type_in(at, words);
        self.run(millis);
        self.shown(at)[before..].to_owned()
    }

    /// A connection to a host, the other end of which is the story's.
    pub fn call(&mut self, to: usize) -> usize {
        let story = End::Story(Vec::new());
        let ends = [story, End::Waiting(to)];
        let connection = Connection::new(ends, self.capacity.max(1 << 16), self.now);
        self.net.connections.push(connection);
        self.net.connections.len() - 1
    }

    pub fn say(&mut self, connection: usize, bytes: &[u8]) {
        let due = self.now + self.delay;
        for piece in bytes.chunks(1 << 16) {
            self.net.connections[connection].pipes[0].push(due, piece);
        }
    }

    pub fn heard(&mut self, connection: usize) -> String {
        match &self.net.connections[connection].ends[0] {
            End::Story(heard) => String::from_utf8_lossy(heard).into_owned(),
            _ => panic!("not a story's"),
        }
    }

    /// From now on the story takes nothing of what it is sent.
    pub fn deafen(&mut self, connection: usize) {
        self.net.connections[connection].pipes[1].capacity = 0;
    }

    /// Whether the host has ended it.
    pub fn is_over(&self, connection: usize) -> bool {
        self.net.connections[connection].pipes[1].ending(u64::MAX)
    }

    /// Whether two hosts have a connection that both know of.
    pub fn linked(&self, one: usize, other: usize) -> bool {
        self.net.connections.iter().any(|connection| {
            let both = connection
                .ends
                .iter()
                .all(|end| matches!(end, End::Host(..)));
            let hosts = connection.hosts();
            both && (hosts == [Some(one), Some(other)] || hosts == [Some(other), Some(one)])
        })
    }

    /// Cuts a connection as a cable does that both sides notice.
    pub fn cut(&mut self, connection: usize) {
        for pipe in &mut self.net.connections[connection].pipes {
            pipe.close(self.now, true);
        }
    }
}

/// What a start draws of its connections' nonces: another start's are others.
fn nonces(seed: u64) -> [u8; 32] {
    let mut nonces = [0; 32];
    nonces[..8].copy_from_slice(&seed.to_le_bytes());
    nonces
}
