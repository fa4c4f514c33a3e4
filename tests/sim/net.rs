//! Byte streams between hosts: late, chopped, cut, and held up by partitions.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::net::IpAddr;

/// Who has an end of a connection.
pub enum End {
    /// A host.
    Host(usize),
    /// It waits to be accepted by a host.
    Waiting(usize),
    /// A story; what it heard so far.
    Story(Vec<u8>),
    /// A host without power: nobody answers, nobody says so.
    Dead(usize),
    /// Nobody any more.
    Gone,
}

/// One direction.
pub struct Pipe {
    chunks: VecDeque<(u64, Vec<u8>)>,
    held: usize,
    pub capacity: usize,
    last: u64,
    closed: Option<u64>,
}

impl Pipe {
    fn new(capacity: usize) -> Pipe {
        Pipe {
            chunks: VecDeque::new(),
            held: 0,
            capacity,
            last: 0,
            closed: None,
        }
    }

    /// How many bytes it takes now.
    pub fn room(&self) -> usize {
        self.capacity.saturating_sub(self.held)
    }

    pub fn push(&mut self, due: u64, bytes: &[u8]) {
        self.last = self.last.max(due);
        self.held += bytes.len();
        self.chunks.push_back((self.last, bytes.to_vec()));
    }

    /// No more will come; nothing that is on its way either, if it ends rudely.
    pub fn close(&mut self, due: u64, rudely: bool) {
        if rudely {
            self.chunks.clear();
            self.held = 0;
        }
        self.last = self.last.max(due);
        self.closed.get_or_insert(self.last);
    }

    /// When the next bytes, or the end, can be read.
    pub fn due(&self) -> Option<u64> {
        self.chunks.front().map(|(due, _)| *due).or(self.closed)
    }

    /// Whether the end was reached.
    pub fn ended(&self, now: u64) -> bool {
        self.chunks.is_empty() && self.closed.is_some_and(|due| due <= now)
    }

    /// Whether the end was reached, or will be once everything is read.
    pub fn ending(&self, now: u64) -> bool {
        self.closed.is_some_and(|due| due <= now)
    }

    /// The first bytes, at most `most`.
    pub fn pull(&mut self, most: usize) -> Vec<u8> {
        let Some((_, chunk)) = self.chunks.front_mut() else {
            return Vec::new();
        };
        let rest = chunk.split_off(most.min(chunk.len()));
        let bytes = std::mem::replace(chunk, rest);
        if self.chunks.front().is_some_and(|(_, rest)| rest.is_empty()) {
            self.chunks.pop_front();
        }
        self.held -= bytes.len();
        bytes
    }
}

/// Pipe 0 leads from end 0 to end 1, pipe 1 back.
pub struct Connection {
    pub ends: [End; 2],
    pub pipes: [Pipe; 2],
    /// When the one who waits to be accepted is seen.
    pub arrives: u64,
    /// Between a desktop node and one of ours: what ours has read from each end of the line that is
    /// not whole yet.
    pub lines: Option<[Vec<u8>; 2]>,
    /// Where a story's call comes from, if that matters to it.
    pub source: Option<IpAddr>,
}

impl Connection {
    pub fn new(ends: [End; 2], capacity: usize, arrives: u64) -> Connection {
        Connection {
            ends,
            pipes: [Pipe::new(capacity), Pipe::new(capacity)],
            arrives,
            lines: None,
            source: None,
        }
    }

    /// The hosts at both ends, where there are hosts.
    pub fn hosts(&self) -> [Option<usize>; 2] {
        [0, 1].map(|side| match self.ends[side] {
            End::Host(host) | End::Waiting(host) | End::Dead(host) => Some(host),
            End::Story(_) | End::Gone => None,
        })
    }
}

/// Every connection that ever was, and who cannot reach whom.
#[derive(Default)]
pub struct Net {
    pub connections: Vec<Connection>,
    /// Hosts of different numbers cannot reach each other.
    pub islands: Vec<u8>,
    /// Nor can these two, whoever dials.
    pub walls: Vec<(usize, usize)>,
    /// Hosts that show the address of another one, for they are behind a router: they can dial, and
    /// not be dialed.
    pub routers: BTreeMap<usize, usize>,
}

impl Net {
    pub fn parts(&self, one: usize, other: usize) -> bool {
        let walls = &self.walls;
        self.islands[one] != self.islands[other]
            || walls.contains(&(one, other))
            || walls.contains(&(other, one))
    }

    pub fn held_up(&self, at: usize) -> bool {
        match self.connections[at].hosts() {
            [Some(one), Some(other)] => self.parts(one, other),
            _ => false,
        }
    }
}
