//! Time and what happens in it: hosts with nodes on them, driven by the law of driving. One event,
//! the actions it asks for, the next event; when nothing is ready, straight to the next moment at
//! which something will be.

use std::cell::{Ref, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;

use blx::ledger::{Identity, Tally, Timestamp};
use blx::node::{Action, CONSOLE, Clock, Config, ConsoleKind, Event, Line, Millis, Node};

use crate::desktop::{Desktop, Saved};
use crate::disk::SimDisk;
use crate::machine::Machine;
use crate::net::{Connection, End, Net};
use crate::random::Random;

const LINES: usize = CONSOLE.0 as usize;
/// So many events without a millisecond going by: nothing moves any more.
const LIVELOCK: u32 = 1_000_000;
pub const WALL: u64 = 1_795_000_000_000_000;
/// Some days before.
pub const BUILT: u64 = WALL - 500_000_000_000;

/// What a line of a host is used for.
#[derive(Clone, Copy)]
pub enum Use {
    Free,
    Dialing(u64, SocketAddr),
    /// A connection and the side of it that is here.
    Open(usize, usize),
}

/// What the user types and reads.
#[derive(Default)]
pub struct Screen {
    pub typed: VecDeque<u8>,
    pub bytes: Vec<u8>,
    /// Nobody reads before this time.
    pub asleep: u64,
}

/// A machine on the LAN.
pub struct Host {
    pub node: Option<Machine>,
    pub disk: SimDisk,
    /// What a desktop node keeps instead of a disk; it connects to nobody by itself.
    pub desktop: Option<Rc<RefCell<Saved>>>,
    pub screen: Screen,
    pub secret: [u8; 32],
    pub connect: Vec<SocketAddr>,
    pub drop_orphans: bool,
    pub starts: u32,
    /// What the next start is told to follow at most.
    pub items_max: usize,
    pub staging_max: u64,
    /// Its last run has not ended by itself.
    unclean: bool,
    pub lines: [Use; LINES],
    /// What its wall clock shows at the beginning of the run: microseconds.
    pub wall: u64,
    /// What a turn of its work takes: milliseconds.
    pub turn: u64,
    /// It works until then.
    pub works: u64,
}

impl Host {
    pub fn is_ours(&self) -> bool {
        self.desktop.is_none()
    }

    /// The key that its user signs with.
    pub fn key(&self) -> String {
        let identity = Identity::from_secret(&self.secret).expect("a key");
        identity.public().to_string()
    }
}

/// Of a run that fails, what everybody saw is told.
impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for host in 0..self.hosts.len() {
            let kind = match self.hosts[host].is_ours() {
                true => "of ours",
                false => "a desktop",
            };
            println!("== host {host}, {kind}, key {}", self.hosts[host].key());
            let menu = |line: &&str| !line.is_empty() && !line.starts_with(char::is_numeric);
            for line in self.shown(host).lines().filter(menu) {
                println!("{line}");
            }
        }
        println!("== {} ms", self.now);
    }
}

/// What can happen next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Tick(usize),
    Read(usize, usize),
    Write(usize, usize),
    Dialed(usize, usize),
    Arrive(usize),
    Type(usize),
    Show(usize),
    Hear(usize, usize),
}

pub struct World {
    pub now: u64,
    pub random: Random,
    pub hosts: Vec<Host>,
    pub net: Net,
    pub difficulty: u8,
    /// The longest that bytes are on their way, in milliseconds.
    pub delay: u64,
    pub capacity: usize,
    pub trace: u64,
    pub steps: u64,
    /// The most of each kind of work that one call of a node of ours did.
    pub most: Tally,
}

pub fn address(host: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host as u8 + 1], 6000))
}

/// Another address that leads to the same host, which does not know it.
pub fn alias(host: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, host as u8 + 1], 6000))
}

/// The host that one of its addresses names.
pub fn host_at(address: SocketAddr) -> usize {
    let SocketAddr::V4(address) = address else {
        panic!("hosts have no other addresses");
    };
    usize::from(address.ip().octets()[3]) - 1
}

impl World {
    pub fn new(seed: u64) -> World {
        let mut random = Random::new(seed);
        let delay = 1 + random.below(40);
        let capacity = 1 << (11 + random.below(8));
        let difficulty = random.below(3) as u8;
        World {
            now: 0,
            random,
            hosts: Vec::new(),
            net: Net::default(),
            difficulty,
            delay,
            capacity,
            trace: 0xcbf2_9ce4_8422_2325,
            steps: 0,
            most: Tally::default(),
        }
    }

    /// A new machine, which is not started yet.
    pub fn add(&mut self, connect: &[usize]) -> usize {
        self.hosts.push(Host {
            node: None,
            disk: SimDisk::default(),
            desktop: None,
            screen: Screen::default(),
            secret: self.random.bytes(),
            connect: connect.iter().map(|to| address(*to)).collect(),
            drop_orphans: false,
            starts: 0,
            items_max: 200_000,
            staging_max: 256 << 20,
            unclean: false,
            lines: [Use::Free; LINES],
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
        let host = &mut self.hosts[at];
        if let Some(saved) = &host.desktop {
            let node = Desktop::open(saved.clone(), &host.secret, self.difficulty, clock);
            return Machine::Desktop(Box::new(node));
        }
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
            drop_orphans: host.drop_orphans,
            items_max: host.items_max,
            staging_max: host.staging_max,
            secret: host.secret,
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
        let line = CONSOLE;
        let (utf8, echoes) = (true, true);
        let kind = ConsoleKind::Standard { utf8, echoes };
        self.tell(at, Event::ConsoleOpened { line, kind });
    }

    /// The process is gone. `quietly`: so is the machine, and nobody hears of it.
    pub fn stop(&mut self, at: usize, quietly: bool) {
        // What it said counts, although perhaps nobody read it.
        let said = self.hosts[at].node.take();
        let said = said.map(|node| node.tx_pending(CONSOLE).to_vec());
        self.hosts[at].screen.bytes.extend(said.unwrap_or_default());
        self.hosts[at].screen.typed.clear();
        self.hosts[at].screen.bytes.extend_from_slice(b"\n");
        for line in 0..LINES {
            let used = std::mem::replace(&mut self.hosts[at].lines[line], Use::Free);
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

    /// A power cut: what the disk did not sync is lost.
    pub fn cut_power(&mut self, at: usize) {
        self.stop(at, true);
        let host = &mut self.hosts[at];
        host.disk.cut_power(&mut self.random);
    }

    pub fn type_in(&mut self, at: usize, text: &str) {
        self.hosts[at].screen.typed.extend(text.as_bytes());
    }

    /// The user has nothing more to type.
    pub fn end_input(&mut self, at: usize) {
        let (line, reason) = (CONSOLE, None);
        self.tell(at, Event::Closed { line, reason });
    }

    /// The user's terminal is gone.
    pub fn break_output(&mut self, at: usize) {
        let (line, reason) = (CONSOLE, Some("broken pipe"));
        self.tell(at, Event::Closed { line, reason });
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

    pub fn run(&mut self, millis: u64) {
        let until = self.now + millis;
        self.run_while(until, |_| true);
    }

    /// Runs on until a time or until something is so; true if it is.
    pub fn run_until(&mut self, millis: u64, mut done: impl FnMut(&mut World) -> bool) -> bool {
        let until = self.now + millis;
        !self.run_while(until, |world| !done(world))
    }

    /// Runs a number of events, however little time they take.
    pub fn run_steps(&mut self, steps: u64) {
        let last = self.steps + steps;
        let until = self.now + 1_000;
        self.run_while(until, |world| world.steps < last);
    }

    fn run_while(&mut self, until: u64, mut on: impl FnMut(&mut World) -> bool) -> bool {
        let mut same = 0;
        while on(self) {
            let mut ready = Vec::new();
            let next = self.look(&mut ready);
            if ready.is_empty() {
                if next > until {
                    self.now = self.now.max(until);
                    return true;
                }
                if self.random.one_in(4) {
                    self.disturb();
                }
                self.now = next;
                same = 0;
                continue;
            }
            same += 1;
            assert!(same < LIVELOCK, "a livelock at {} ms: {ready:?}", self.now);
            let step = ready[self.random.place(ready.len())];
            self.take(step);
        }
        false
    }

    /// A node that waits has nothing to do: it does nothing when it is woken early. One whose turn
    /// takes its time does not wait.
    fn disturb(&mut self) {
        let at = self.random.place(self.hosts.len());
        if self.hosts[at].works > self.now {
            return;
        }
        let clock = self.clock(at);
        let Some(node) = &mut self.hosts[at].node else {
            return;
        };
        let pending = |node: &Machine| -> Vec<usize> {
            (0..=LINES)
                .map(|line| node.tx_pending(Line(line as u8)).len())
                .collect()
        };
        let before = pending(node);
        node.handle(clock, Event::Tick);
        let (action, after) = (node.poll(), pending(node));
        let idle = action.is_none() && after == before;
        assert!(
            idle,
            "host {at} had something to do at {} ms and slept: {action:?}, {before:?} {after:?}: {}",
            self.now,
            self.shown(at)
        );
    }

    /// What is ready, and when something will be if nothing is.
    fn look(&mut self, ready: &mut Vec<Step>) -> u64 {
        let mut next = u64::MAX;
        let now = self.now;
        let mut at = |step, due: u64| match due <= now {
            true => ready.push(step),
            false => next = next.min(due),
        };
        for (number, host) in self.hosts.iter_mut().enumerate() {
            let Some(node) = &mut host.node else { continue };
            if let Some(deadline) = node.deadline() {
                at(Step::Tick(number), deadline.0.max(host.works));
            }
            if !host.screen.typed.is_empty() && !node.rx_space(CONSOLE).is_empty() {
                at(Step::Type(number), now);
            }
            if !node.tx_pending(CONSOLE).is_empty() {
                at(Step::Show(number), host.screen.asleep);
            }
            for (line, used) in host.lines.iter().enumerate() {
                match *used {
                    Use::Free => {}
                    Use::Dialing(due, _) => at(Step::Dialed(number, line), due),
                    Use::Open(connection, side) => {
                        if self.net.held_up(connection) {
                            continue;
                        }
                        let name = Line(line as u8);
                        let connection = &self.net.connections[connection];
                        if let Some(due) = connection.pipes[1 - side].due()
                            && !node.rx_space(name).is_empty()
                        {
                            at(Step::Read(number, line), due);
                        }
                        let over = connection.pipes[1 - side].ending(now);
                        let room = connection.pipes[side].room() > 0;
                        if (room || over) && !node.tx_pending(name).is_empty() {
                            at(Step::Write(number, line), now);
                        }
                    }
                }
            }
        }
        for (number, connection) in self.net.connections.iter().enumerate() {
            if let End::Waiting(host) = connection.ends[1]
                && self.hosts[host].node.is_some()
            {
                at(Step::Arrive(number), connection.arrives);
            }
            for side in 0..2 {
                if let End::Story(_) = connection.ends[side]
                    && let Some(due) = connection.pipes[1 - side].due()
                    && !connection.pipes[1 - side].ended(now)
                {
                    at(Step::Hear(number, side), due);
                }
            }
        }
        next
    }

    fn take(&mut self, step: Step) {
        self.steps += 1;
        let now = self.now;
        self.note(format_args!("{now} {step:?}"));
        match step {
            Step::Tick(host) => {
                self.hosts[host].works = now + self.hosts[host].turn;
                self.tell(host, Event::Tick);
            }
            Step::Read(host, line) => self.read(host, line),
            Step::Write(host, line) => self.write(host, line),
            Step::Dialed(host, line) => self.dialed(host, line),
            Step::Arrive(connection) => self.arrive(connection),
            Step::Type(host) => self.type_some(host),
            Step::Show(host) => self.show(host),
            Step::Hear(connection, side) => {
                let connection = &mut self.net.connections[connection];
                let bytes = connection.pipes[1 - side].pull(usize::MAX);
                if let End::Story(heard) = &mut connection.ends[side] {
                    heard.extend_from_slice(&bytes);
                }
            }
        }
    }

    /// Adds to the hash of everything that happened.
    pub fn note(&mut self, what: std::fmt::Arguments<'_>) {
        for byte in what.to_string().bytes() {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    fn clock(&self, at: usize) -> Clock {
        Clock {
            mono: Millis(self.now),
            // No two events in the same microsecond: a user who asks twice signs twice.
            wall: self.hosts[at].wall + self.now * 1000 + self.steps,
        }
    }

    pub fn tell(&mut self, at: usize, event: Event<'_>) {
        let clock = self.clock(at);
        let incoming = match event {
            Event::Incoming { .. } => self.net.connections.iter().position(|connection| {
                matches!(connection.ends[1], End::Waiting(host) if host == at)
                    && connection.arrives == u64::MAX
            }),
            _ => None,
        };
        let node = self.hosts[at].node.as_mut().expect("it runs");
        node.handle(clock, event);
        self.most = self.most.max(node.tally());
        while let Some(node) = &mut self.hosts[at].node
            && let Some(action) = node.poll()
        {
            self.note(format_args!("{action:?}"));
            self.obey(at, incoming, action);
        }
    }

    fn obey(&mut self, at: usize, incoming: Option<usize>, action: Action) {
        match action {
            Action::Dial { line, host, port } => {
                let ip = host.parse().expect("hosts are named by address");
                let due = self.now + 1 + self.random.below(self.delay);
                let to = SocketAddr::new(ip, port);
                let used = &mut self.hosts[at].lines[usize::from(line.0)];
                assert!(matches!(used, Use::Free), "a line has one use");
                *used = Use::Dialing(due, to);
            }
            Action::Accept { line } => {
                let connection = incoming.expect("somebody came in");
                self.net.connections[connection].ends[1] = End::Host(at);
                let used = &mut self.hosts[at].lines[usize::from(line.0)];
                assert!(matches!(used, Use::Free), "a line has one use");
                *used = Use::Open(connection, 1);
            }
            Action::Refuse => self.hang_up(incoming.expect("somebody came in"), 1),
            Action::Hangup { line } => {
                let used = &mut self.hosts[at].lines[usize::from(line.0)];
                if let Use::Open(connection, side) = std::mem::replace(used, Use::Free) {
                    self.hang_up(connection, side);
                }
            }
            Action::Exit => {
                self.stop(at, false);
                self.hosts[at].unclean = false;
            }
        }
    }
}
