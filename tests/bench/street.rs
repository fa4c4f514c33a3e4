//! One node and two desktop nodes that know nobody else, on real sockets and a real disk. All are in
//! one thread, where only the node's work is counted, and driven by the law that the crate's
//! documentation gives. The clock moves only when everything is said: nothing has to be waited for,
//! what a block causes some time later is seen before the next one, and counts are the same on
//! every machine.

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::ops::Sub;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use blx::ledger::Kind;
use blx::limits;
use blx::node::{Action, CONSOLE, Clock, Config, ConnId, Event, Millis, Node, Ways};
use blx::shell::net::Listener;
use rustix::time::{ClockId, clock_gettime};

use crate::disk::Counted;
use crate::stand_in::Desktop;

/// From one act of a user to the next: more than anything waits for that a block causes, and less
/// than a poll.
const APART_MS: u64 = 5_000;
const START_MICROS: u64 = 1_795_000_000_000_000;
/// Things that are lent out.
const ITEMS: usize = 100;
/// Of the machine's own time: far more than a turn takes.
const LIMIT: Duration = Duration::from_secs(60);

/// Counts and times since the start.
#[derive(Clone, Copy, Default)]
pub struct Spent {
    /// Bytes that the node wrote to its disk.
    pub written: u64,
    /// Bytes on both wires but those of polls.
    pub wire: u64,
    /// Signatures that the node checked.
    pub signatures: u64,
    /// What the node had of a processor from a user's act until all had it.
    pub busy: Duration,
    /// Questions for a chain that came because it was time, their bytes and their answers'.
    pub polls: u64,
    pub poll_bytes: u64,
    /// What the node had of a processor between that and the next act.
    pub poll_busy: Duration,
}

impl Sub for Spent {
    type Output = Spent;

    fn sub(self, before: Spent) -> Spent {
        Spent {
            written: self.written - before.written,
            wire: self.wire - before.wire,
            signatures: self.signatures - before.signatures,
            busy: self.busy - before.busy,
            polls: self.polls - before.polls,
            poll_bytes: self.poll_bytes - before.poll_bytes,
            poll_busy: self.poll_busy - before.poll_busy,
        }
    }
}

/// All three.
pub struct Street {
    node: Node<Counted>,
    now: Clock,
    listener: Listener,
    incoming: Option<TcpStream>,
    conns: [Option<TcpStream>; CONSOLE.0 as usize],
    desktops: Vec<Desktop>,
    /// Bytes that went from the node, and to it.
    flowed: [u64; 2],
    written: Rc<Cell<u64>>,
    signatures: u64,
    busy: Duration,
    poll_busy: Duration,
}

impl Street {
    /// Starts them with nothing but their first blocks.
    pub fn new(directory: &Path) -> Street {
        let now = Clock {
            mono: Millis(0),
            wall: START_MICROS,
        };
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        let listen = listener.address().expect("it listens");
        let disk = Counted::open(directory);
        let written = disk.written();
        let config = config(listen);
        let mut street = Street {
            node: Node::open(disk, now, config).expect("an empty directory"),
            now,
            listener,
            incoming: None,
            conns: [const { None }; CONSOLE.0 as usize],
            desktops: Vec::new(),
            flowed: [0; 2],
            written,
            signatures: 0,
            busy: Duration::ZERO,
            poll_busy: Duration::ZERO,
        };
        street.settle();
        for secret in [2, 3] {
            let desktop = Desktop::connected(listen, secret, street.now);
            street.desktops.push(desktop);
            street.accept(Ipv4Addr::new(10, 0, 0, secret));
            street.settle();
            // Users do not start at the same moment: asked for its chain while that of the other is
            // looked at, the second one would be asked again each time.
            street.pass(limits::DESKTOP_POLL_MS / 2);
        }
        street.pass(limits::DESKTOP_POLL_MS);
        street
    }

    /// The users take things and bring them back, one block each, in turn.
    pub fn turn(&mut self, number: usize) {
        let kind = match number / ITEMS % 2 {
            0 => Kind::Request,
            _ => Kind::Release,
        };
        let item = format!("thing-{:03}", number % ITEMS);
        let maker = number % self.desktops.len();
        self.desktops[maker].act(kind, &item, self.now);
        let length = self.desktops[maker].length();
        let (told, passed) = (self.settle(), self.pass(APART_MS));
        self.busy += told;
        self.poll_busy += passed;
        let lengths = self.desktops.iter().map(Desktop::length);
        assert!(
            lengths.chain([self.height()]).all(|each| each == length),
            "block {length} has not come to everybody in {APART_MS} ms"
        );
    }

    fn height(&self) -> usize {
        usize::try_from(self.node.summary().height + 1).expect("a short chain")
    }

    /// What all of it has cost so far.
    pub fn spent(&self) -> Spent {
        let mut spent = Spent {
            written: self.written.get(),
            signatures: self.signatures,
            busy: self.busy,
            poll_busy: self.poll_busy,
            ..Spent::default()
        };
        let mut bytes = 0;
        for carried in self.desktops.iter().map(Desktop::carried) {
            bytes += carried.bytes;
            spent.wire += carried.bytes - carried.poll_bytes;
            spent.polls += carried.polls;
            spent.poll_bytes += carried.poll_bytes;
        }
        let flowed: u64 = self.flowed.iter().sum();
        assert_eq!(bytes, flowed, "every byte is of a line that was counted");
        spent
    }

    /// Lets time go by, from one thing that is due to the next. Returns what the node had of a processor.
    fn pass(&mut self, millis: u64) -> Duration {
        let until = Millis(self.now.mono.0 + millis);
        let mut busy = Duration::ZERO;
        while let Some(due) = self.node.deadline().filter(|due| *due <= until) {
            self.set_clock(due);
            busy += self.settle();
        }
        self.set_clock(until);
        busy
    }

    fn set_clock(&mut self, mono: Millis) {
        self.now = Clock {
            mono,
            wall: START_MICROS + mono.0 * 1_000,
        };
    }

    /// Lets everybody read and write until all that was said was heard, and nothing is left to do;
    /// what the node had of a processor.
    fn settle(&mut self) -> Duration {
        let end = Instant::now() + LIMIT;
        let mut busy = Duration::ZERO;
        loop {
            assert!(Instant::now() < end, "there is no end to it");
            let before = processor_time();
            let mut moved = self.serve();
            busy += processor_time() - before;
            for desktop in &mut self.desktops {
                moved |= desktop.serve(self.now);
            }
            // What was written may be on its way.
            let heard = [0, 1].map(|way| self.desktops.iter().map(|d| d.flowed[way]).sum::<u64>());
            if !moved && heard == self.flowed {
                return busy;
            }
        }
    }

    /// One turn of the node's loop; whether anything moved.
    fn serve(&mut self) -> bool {
        let mut moved = false;
        for index in 0..self.conns.len() {
            moved |= self.write(index);
            moved |= self.read(index);
        }
        if self.node.deadline().is_some_and(|due| due <= self.now.mono) {
            self.tell(Event::Tick);
            moved = true;
        }
        moved
    }

    fn write(&mut self, index: usize) -> bool {
        let conn = conn(index);
        let (Some(stream), bytes) = (&mut self.conns[index], self.node.tx_pending(conn)) else {
            return false;
        };
        if bytes.is_empty() {
            return false;
        }
        match stream.write(bytes) {
            Ok(count) => {
                self.flowed[0] += count as u64;
                self.tell(Event::Sent { conn, count });
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => panic!("the node cannot write: {error}"),
        }
    }

    fn read(&mut self, index: usize) -> bool {
        let conn = conn(index);
        let (Some(stream), space) = (&mut self.conns[index], self.node.rx_space(conn)) else {
            return false;
        };
        if space.is_empty() {
            return false;
        }
        match stream.read(space) {
            Ok(0) => panic!("a desktop node never hangs up"),
            Ok(count) => {
                self.flowed[1] += count as u64;
                self.tell(Event::Received { conn, count });
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => panic!("the node cannot read: {error}"),
        }
    }

    /// Two machines: by their real addresses the node would take them for one.
    fn accept(&mut self, host: Ipv4Addr) {
        let end = Instant::now() + LIMIT;
        let (stream, real) = loop {
            if let Some(incoming) = self.listener.accept(self.now.mono) {
                break incoming;
            }
            assert!(Instant::now() < end, "nobody comes");
        };
        self.incoming = Some(stream);
        let from = SocketAddr::new(host.into(), real.port());
        self.tell(Event::Incoming { from });
    }

    fn tell(&mut self, event: Event<'_>) {
        self.node.handle(self.now, event);
        self.signatures += self.node.tally().signatures;
        while let Some(action) = self.node.poll() {
            match action {
                Action::Accept { conn } => {
                    self.conns[usize::from(conn.0)] = self.incoming.take();
                }
                action => panic!("{action:?}: nothing here asks for that"),
            }
        }
    }
}

fn config(listen: SocketAddr) -> Config {
    Config {
        listen,
        difficulty: None,
        connect: Vec::new(),
        scrub_every: Some(Millis(24 * 3_600_000)),
        unclean_stops: 0,
        unclean_stop: false,
        built: 0,
        id: 1,
        drop_disconnected: false,
        ways: Ways::default(),
        items_max: limits::ITEMS_MAX,
        staging_max: limits::STAGING_MIB << 20,
        secret: [1; 32],
        nonces: [1; 32],
        seed: 1,
    }
}

fn conn(index: usize) -> ConnId {
    ConnId(u8::try_from(index).expect("peers are few"))
}

/// What this thread had of a processor; what the kernel shows of it in /proc is late by a tick.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("it began at zero")
}
