//! Time and what happens in it: hosts with nodes on them, driven by the law of driving. One event,
//! the actions it asks for, the next event; when nothing is ready, straight to the next moment at
//! which something will be.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use blx::ledger::Tally;
use blx::node::{Action, CONSOLE, Clock, ConnId, Event, Millis};

use crate::heard::Heard;
pub use crate::host::{Host, Use, address, alias, host_at};
use crate::journal;
use crate::machine::Machine;
use crate::net::{End, Net};
use crate::random::Random;

pub const CONNS: usize = CONSOLE.0 as usize;
/// Events without a millisecond going by until it is certain that nothing moves any more.
const LIVELOCK: u32 = 1_000_000;
pub const WALL: u64 = 1_795_000_000_000_000;
/// Some days before.
pub const BUILT: u64 = WALL - 500_000_000_000;

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
            let spoils = self.hosts[host].desktop.iter();
            for spoil in spoils.flat_map(|saved| saved.borrow().spoils.clone()) {
                println!("spoiled: {spoil}");
            }
        }
        for (host, line) in &self.held_against {
            println!("host {host} held: {line}");
        }
        println!("== seed {}, {} ms", self.seed, self.now);
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
    pub seed: u64,
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
    /// The most work that one call did, of all kinds together: microseconds of a desktop.
    pub heaviest: u64,
    /// The consoles that nodes of ours have closed.
    pub let_go: Vec<ConnId>,
    /// What nodes of ours held against whom: the host, and its words.
    pub held_against: Vec<(usize, String)>,
    /// What desktop nodes have said, in a block or in a chain, and one of ours has read.
    pub heard: Heard,
    /// The hosts that were dialed by their second address.
    pub two_named: BTreeSet<usize>,
    /// Every dial: of which host, where to, and when.
    pub dials: Vec<(usize, SocketAddr, u64)>,
}

/// About how long this takes on a desktop: a signature 0.1 ms, a transaction applied 1 us, a comparison
/// 10 ns, a megabyte of text hashed 6 ms, made 4 ms, read 4 ms, and a megabyte of records read back 1 ms.
fn micros(done: Tally) -> u64 {
    let bytes = 6 * done.hashed + 4 * done.parsed + 4 * done.rendered + done.read;
    100 * done.signatures + done.applied + done.compared / 100 + bytes / 1_000
}

impl World {
    pub fn new(seed: u64) -> World {
        let mut random = Random::new(seed);
        let delay = 1 + random.below(40);
        let capacity = 1 << (11 + random.below(8));
        let difficulty = random.below(3) as u8;
        journal::open();
        World {
            seed,
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
            heaviest: 0,
            let_go: Vec::new(),
            held_against: Vec::new(),
            heard: Heard::default(),
            two_named: BTreeSet::new(),
            dials: Vec::new(),
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
        if self.hosts[at].works > self.now || self.hosts[at].paused.is_some() {
            return;
        }
        let clock = self.clock(at);
        let Some(node) = &mut self.hosts[at].node else {
            return;
        };
        let pending = |node: &Machine| -> Vec<usize> {
            (0..=CONNS)
                .map(|conn| node.tx_pending(ConnId(conn as u8)).len())
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
            let (Some(node), None) = (&mut host.node, host.paused) else {
                continue;
            };
            if let Some(deadline) = node.deadline() {
                at(Step::Tick(number), deadline.0.max(host.works));
            }
            if !host.screen.typed.is_empty() && !node.rx_space(CONSOLE).is_empty() {
                at(Step::Type(number), now);
            }
            if !node.tx_pending(CONSOLE).is_empty() {
                at(Step::Show(number), host.screen.asleep);
            }
            for (conn, used) in host.conns.iter().enumerate() {
                match *used {
                    Use::Free => {}
                    Use::Dialing(due, _) => at(Step::Dialed(number, conn), due),
                    Use::Open(connection, side) => {
                        if self.net.held_up(connection) {
                            continue;
                        }
                        let name = ConnId(conn as u8);
                        let connection = &self.net.connections[connection];
                        if let Some(due) = connection.pipes[1 - side].due()
                            && !node.rx_space(name).is_empty()
                        {
                            at(Step::Read(number, conn), due);
                        }
                        let over = connection.pipes[1 - side].ending(now);
                        let room = connection.pipes[side].room() > 0;
                        if (room || over) && !node.tx_pending(name).is_empty() {
                            at(Step::Write(number, conn), now);
                        }
                    }
                }
            }
        }
        for (number, connection) in self.net.connections.iter().enumerate() {
            if let End::Waiting(host) = connection.ends[1]
                && self.hosts[host].node.is_some()
                && self.hosts[host].paused.is_none()
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
            Step::Read(host, conn) => self.read(host, conn),
            Step::Write(host, conn) => self.write(host, conn),
            Step::Dialed(host, conn) => self.dialed(host, conn),
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

    pub fn clock(&self, at: usize) -> Clock {
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
        self.heaviest = self.heaviest.max(micros(node.tally()));
        let held = journal::take().into_iter().map(|conn| (at, conn));
        self.held_against.extend(held);
        while let Some(node) = &mut self.hosts[at].node
            && let Some(action) = node.poll()
        {
            self.note(format_args!("{action:?}"));
            self.obey(at, incoming, action);
        }
    }

    fn obey(&mut self, at: usize, incoming: Option<usize>, action: Action) {
        match action {
            Action::Dial { conn, host, port } => {
                let ip = host.parse().expect("hosts are named by address");
                let due = self.now + 1 + self.random.below(self.delay);
                let to = SocketAddr::new(ip, port);
                self.dials.push((at, to, self.now));
                let used = &mut self.hosts[at].conns[usize::from(conn.0)];
                assert!(matches!(used, Use::Free), "a line has one use");
                *used = Use::Dialing(due, to);
            }
            Action::Accept { conn } => {
                let connection = incoming.expect("somebody came in");
                self.net.connections[connection].ends[1] = End::Host(at);
                let used = &mut self.hosts[at].conns[usize::from(conn.0)];
                assert!(matches!(used, Use::Free), "a line has one use");
                *used = Use::Open(connection, 1);
            }
            Action::Refuse => self.hang_up(incoming.expect("somebody came in"), 1),
            Action::Hangup { conn } if conn.console().is_some() => self.let_go.push(conn),
            Action::Hangup { conn } => {
                let used = &mut self.hosts[at].conns[usize::from(conn.0)];
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
