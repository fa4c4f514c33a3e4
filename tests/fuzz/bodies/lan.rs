//! A node, and whatever is around it: its disk, its clock, its lines. It has to keep the law of driving,
//! and what it says has to be what it would understand itself.

use std::collections::BTreeMap;

use blx::limits;
use blx::node::{Action, Clock, Config, ConnId, ConsoleKind, Event, Millis, Node};
use blx::wire::{Incoming, Reader};

use super::disk::SimDisk;

/// Microseconds since 1970 at the beginning.
const BEGIN: u64 = 1_800_000_000_000_000;

pub struct Lan {
    pub node: Node<SimDisk>,
    pub disk: SimDisk,
    pub now: u64,
    pub wall: u64,
    /// The lines that are open, and how what the node says on each is read; a console's is its text.
    pub lines: BTreeMap<u8, Heard>,
    /// Dials that have no end yet.
    pub dials: Vec<ConnId>,
    pub exited: bool,
}

/// What is heard on a line.
pub enum Heard {
    Peer(Box<Reader>),
    Console(ConsoleKind, Vec<u8>),
}

pub fn open(disk: &SimDisk, now: u64) -> Node<SimDisk> {
    let config = Config {
        listen: "0.0.0.0:6000".parse().expect("an address"),
        difficulty: Some(0),
        connect: vec![("10.0.0.9".to_owned(), 6000)],
        scrub_every: Some(Millis(60_000)),
        unclean_stops: 0,
        unclean_stop: false,
        built: BEGIN,
        id: 5,
        drop_disconnected: false,
        ways: blx::shell::remedy::WAYS,
        items_max: 40,
        staging_max: 1 << 20,
        secret: [9; 32],
        nonces: [8; 32],
        seed: 11,
    };
    let clock = Clock {
        mono: Millis(now),
        wall: BEGIN,
    };
    Node::open(disk.clone(), clock, config).expect("it opens")
}

impl Lan {
    pub fn new() -> Lan {
        let disk = SimDisk::default();
        Lan {
            node: open(&disk, 0),
            disk,
            now: 0,
            wall: BEGIN,
            lines: BTreeMap::new(),
            dials: Vec::new(),
            exited: false,
        }
    }

    pub fn tell(&mut self, event: Event<'_>) {
        if self.exited {
            return;
        }
        let incoming = matches!(event, Event::Incoming { .. });
        // No two events in the same microsecond.
        self.wall += 1;
        let clock = Clock {
            mono: Millis(self.now),
            wall: self.wall,
        };
        self.node.handle(clock, event);
        let mut answers = 0;
        while let Some(action) = self.node.poll() {
            match action {
                Action::Dial { conn, .. } => {
                    assert!(!self.is_used(conn), "a line has one use");
                    self.dials.push(conn);
                }
                Action::Accept { conn } => {
                    answers += 1;
                    self.open_line(conn);
                }
                Action::Refuse => answers += 1,
                Action::Hangup { conn } => {
                    self.lines.remove(&conn.0);
                    self.dials.retain(|dialed| *dialed != conn);
                }
                Action::Exit => self.exited = true,
            }
        }
        assert!(
            !incoming || answers == 1 || self.exited,
            "a caller is answered once"
        );
    }

    fn is_used(&self, conn: ConnId) -> bool {
        self.lines.contains_key(&conn.0) || self.dials.contains(&conn)
    }

    pub fn open_line(&mut self, conn: ConnId) {
        assert!(!self.is_used(conn), "a line has one use");
        let heard = Heard::Peer(Box::default());
        self.lines.insert(conn.0, heard);
    }

    /// Opens the first console that is free.
    pub fn open_console(&mut self, kind: ConsoleKind) -> Option<ConnId> {
        let mut free = (0..limits::CONSOLES).map(ConnId::of_console);
        let conn = free.find(|conn| !self.is_used(*conn))?;
        self.lines.insert(conn.0, Heard::Console(kind, Vec::new()));
        self.tell(Event::ConsoleOpened { conn, kind });
        Some(conn)
    }

    pub fn close(&mut self, conn: ConnId, reason: Option<&str>) {
        if self.lines.remove(&conn.0).is_some() {
            self.tell(Event::Closed { conn, reason });
        }
    }

    /// Says this on a line, in pieces of at most `chop` bytes, until the line is closed or not read.
    pub fn say(&mut self, conn: ConnId, bytes: &[u8], chop: usize) {
        let mut rest = bytes;
        let mut patience = 40;
        while !rest.is_empty() && patience > 0 && !self.exited {
            if !self.lines.contains_key(&conn.0) {
                return;
            }
            let space = self.node.rx_space(conn);
            let count = space.len().min(rest.len()).min(chop);
            if count == 0 {
                patience -= 1;
                self.settle(4);
                continue;
            }
            space[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            self.tell(Event::Received { conn, count });
        }
    }

    /// Lets the node work at this moment, so many turns at most.
    pub fn settle(&mut self, turns: usize) {
        for _ in 0..turns {
            let heard = self.hear();
            if self.exited {
                return;
            }
            if self.node.deadline().is_some_and(|due| due.0 <= self.now) {
                self.tell(Event::Tick);
            } else if !heard {
                return;
            }
        }
    }

    /// Takes all that the node has to say; whether it was anything.
    fn hear(&mut self) -> bool {
        let open: Vec<u8> = self.lines.keys().copied().collect();
        let mut any = false;
        for conn in open.into_iter().map(ConnId) {
            let bytes = self.node.tx_pending(conn).to_vec();
            if bytes.is_empty() || self.exited {
                continue;
            }
            any = true;
            match self.lines.get_mut(&conn.0) {
                Some(Heard::Peer(reader)) => understand(reader, &bytes),
                Some(Heard::Console(_, text)) => text.extend_from_slice(&bytes),
                None => continue,
            }
            let count = bytes.len();
            self.tell(Event::Sent { conn, count });
        }
        any
    }

    /// Time goes by, and the node works when it wants to, so often at most.
    pub fn pass(&mut self, millis: u64, turns: usize) {
        let end = self.now + millis;
        for _ in 0..turns {
            self.settle(30);
            let due = self.node.deadline().map_or(end, |due| due.0);
            if self.exited || due >= end {
                break;
            }
            self.sleep(due.max(self.now));
            self.tell(Event::Tick);
        }
        self.sleep(end);
        self.tell(Event::Tick);
    }

    fn sleep(&mut self, until: u64) {
        self.wall = self.wall.saturating_add((until - self.now) * 1_000);
        self.now = until;
    }
}

/// What a node says, a node understands.
fn understand(reader: &mut Reader, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let space = reader.space();
        let count = space.len().min(rest.len());
        assert!(count > 0, "it is read to its end");
        space[..count].copy_from_slice(&rest[..count]);
        rest = &rest[count..];
        reader.received(count);
        while let Some(frame) = reader.next() {
            match Incoming::read(frame).0 {
                Incoming::Line(Ok(_)) | Incoming::ChainEnd(Ok(_)) | Incoming::ChainBlock(Ok(_)) => {
                }
                Incoming::Line(Err(error)) | Incoming::ChainEnd(Err(error)) => {
                    panic!("it says a line that is none: {error}")
                }
                Incoming::ChainBlock(Err(error)) => panic!("it says a block that is none: {error}"),
                _ => panic!("it says what is no line"),
            }
        }
    }
}

/// What is shown moves no cursor and hides nothing.
pub fn check_shown(kind: ConsoleKind, text: &[u8]) {
    let wide = match kind {
        ConsoleKind::Standard { utf8, .. } => utf8,
        ConsoleKind::Serial => false,
        ConsoleKind::Socket => true,
    };
    let shown = String::from_utf8_lossy(text);
    for letter in shown.chars() {
        let control = letter.is_control() && !"\n\r\x07\x08".contains(letter);
        let allowed =
            !control && (wide || letter.is_ascii()) || matches!(kind, ConsoleKind::Socket);
        assert!(allowed, "{letter:?} is shown on {kind:?}");
    }
}
