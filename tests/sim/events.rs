//! What can happen to a host, one event each: bytes come and go, connections are made and end, the
//! user types and reads.

use std::net::SocketAddr;

use blx::node::{CONSOLE, ConnId, Event};
use blx::wire::read_block;
use serde_json::Value;

use crate::net::{Connection, End};
use crate::world::{Use, World, address, alias};

impl World {
    /// One side closes: the other hears of it behind what is on its way, or at once.
    pub fn hang_up(&mut self, connection: usize, side: usize) {
        let rudely = self.random.one_in(3);
        let due = self.now + self.random.below(self.delay);
        let connection = &mut self.net.connections[connection];
        connection.ends[side] = End::Gone;
        connection.pipes[side].close(due, rudely);
    }

    pub fn read(&mut self, at: usize, conn: usize) {
        let Use::Open(number, side) = self.hosts[at].conns[conn] else {
            return;
        };
        let name = ConnId(conn as u8);
        let pipe = &mut self.net.connections[number].pipes[1 - side];
        if pipe.ended(self.now) {
            return self.closed(at, conn, None);
        }
        let node = self.hosts[at].node.as_mut().expect("it runs");
        let space = node.rx_space(name);
        let bytes = pipe.pull(self.random.bite(space.len()));
        space[..bytes.len()].copy_from_slice(&bytes);
        let count = bytes.len();
        if self.hosts[at].is_ours() {
            self.overhear(number, 1 - side, &bytes);
        }
        self.note(format_args!("{count}"));
        self.tell(at, Event::Received { conn: name, count });
    }

    pub fn closed(&mut self, at: usize, conn: usize, reason: Option<&str>) {
        let used = std::mem::replace(&mut self.hosts[at].conns[conn], Use::Free);
        if let Use::Open(connection, side) = used {
            self.hang_up(connection, side);
        }
        let conn = ConnId(conn as u8);
        self.tell(at, Event::Closed { conn, reason });
    }

    pub fn write(&mut self, at: usize, conn: usize) {
        let Use::Open(number, side) = self.hosts[at].conns[conn] else {
            return;
        };
        let connection = &mut self.net.connections[number];
        if connection.pipes[1 - side].ending(self.now) {
            return self.closed(at, conn, Some("broken pipe"));
        }
        let name = ConnId(conn as u8);
        let node = self.hosts[at].node.as_ref().expect("it runs");
        let pending = node.tx_pending(name);
        let most = pending.len().min(connection.pipes[side].room());
        let count = self.random.bite(most);
        let due = self.now + self.random.below(self.delay);
        connection.pipes[side].push(due, &pending[..count]);
        self.note(format_args!("{count}"));
        self.tell(at, Event::Sent { conn: name, count });
    }

    pub fn dialed(&mut self, at: usize, conn: usize) {
        let Use::Dialing(_, to) = self.hosts[at].conns[conn] else {
            return;
        };
        let name = ConnId(conn as u8);
        let named = |host: &usize| address(*host) == to || alias(*host) == to;
        let target = (0..self.hosts.len()).find(named);
        let up = target.filter(|host| self.hosts[*host].node.is_some());
        let Some(target) = up.filter(|host| !self.net.parts(at, *host)) else {
            self.hosts[at].conns[conn] = Use::Free;
            let reason = "connection refused";
            return self.tell(at, Event::DialFailed { conn: name, reason });
        };
        if alias(target) == to {
            self.two_named.insert(target);
        }
        let arrives = self.now + self.random.below(self.delay);
        let ends = [End::Host(at), End::Waiting(target)];
        let number = self.net.connections.len();
        let mut connection = Connection::new(ends, self.capacity, arrives);
        if self.hosts[at].is_ours() != self.hosts[target].is_ours() {
            connection.lines = Some(Default::default());
        }
        self.net.connections.push(connection);
        self.hosts[at].conns[conn] = Use::Open(number, 0);
        let ephemeral = 30_000 + (number % 30_000) as u16;
        let event = Event::Connected {
            conn: name,
            local: SocketAddr::new(address(at).ip(), ephemeral),
            remote: to,
        };
        self.tell(at, event);
    }

    pub fn arrive(&mut self, number: usize) {
        let connection = &mut self.net.connections[number];
        let End::Waiting(host) = connection.ends[1] else {
            return;
        };
        // Marks the one that the host's answer is about.
        connection.arrives = u64::MAX;
        let ephemeral = 30_000 + (number % 30_000) as u16;
        let from = match connection.ends[0] {
            End::Host(from) | End::Dead(from) => {
                let router = self.net.routers.get(&from);
                address(*router.unwrap_or(&from)).ip()
            }
            // A story is somebody else each time, unless it says who it is.
            _ => {
                let other = [10, 9, (number >> 8) as u8, number as u8].into();
                connection.source.unwrap_or(other)
            }
        };
        let from = SocketAddr::new(from, ephemeral);
        self.tell(host, Event::Incoming { from });
    }

    /// A call from a host, whose node knows nothing of it.
    pub fn call_from(&mut self, from: usize, to: usize) -> usize {
        let call = self.call(to);
        self.net.connections[call].source = Some(address(from).ip());
        call
    }

    pub fn type_some(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        let node = host.node.as_mut().expect("it runs");
        let space = node.rx_space(CONSOLE);
        let count = self.random.bite(host.screen.typed.len().min(space.len()));
        for (place, byte) in space.iter_mut().zip(host.screen.typed.drain(..count)) {
            *place = byte;
        }
        let conn = CONSOLE;
        self.tell(at, Event::Received { conn, count });
    }

    pub fn show(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        let pending = host.node.as_ref().expect("it runs").tx_pending(CONSOLE);
        let count = self.random.bite(pending.len());
        let bytes = pending[..count].to_vec();
        host.screen.bytes.extend_from_slice(&bytes);
        self.note(format_args!("{}", String::from_utf8_lossy(&bytes)));
        let conn = CONSOLE;
        self.tell(at, Event::Sent { conn, count });
    }

    /// Remembers the transactions that a desktop node has said and one of ours has read that could
    /// write.
    fn overhear(&mut self, number: usize, from: usize, bytes: &[u8]) {
        let End::Host(to) = self.net.connections[number].ends[1 - from] else {
            return;
        };
        let full = self.hosts[to].disk.is_broken();
        let Some(lines) = &mut self.net.connections[number].lines else {
            return;
        };
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            lines[from].extend_from_slice(part);
            if !part.ends_with(b"\n") {
                continue;
            }
            let line: Value = serde_json::from_slice(&lines[from]).unwrap_or_default();
            lines[from].clear();
            let payload = &line["payload"];
            let blocks = match line["type"].as_str() {
                Some("new_block") => std::slice::from_ref(payload),
                Some("chain_response") => payload["chain"].as_array().map_or(&[][..], |it| it),
                _ => continue,
            };
            let blocks = blocks.iter().map(|block| block.to_string());
            let blocks = blocks.filter_map(|block| read_block(block.as_bytes()).ok());
            let all = blocks.flat_map(|block| block.transactions);
            for transaction in all.filter(|_| !full) {
                self.heard.add(transaction.id(), to, self.now);
            }
        }
    }
}
