//! Desktop nodes beside this one, without a node: who speaks to which, on which connection, and when.

use super::voices::tests::voice;
use super::*;
use crate::ledger::{Block, Transaction, Work};
use crate::node::desktop::{Desktop, End};
use crate::node::effects::testing::{key, who};
use crate::node::links::Links;
use crate::node::outbox::Outbox;
use crate::node::peer::Kind;
use crate::node::sync::ChainSync;
use crate::store::disk::memory::MemoryDisk;

/// Where a desktop node is.
pub(super) const D: &str = "10.0.0.9:6000";
pub(super) const E: &str = "10.0.0.8:6001";
/// This node's number.
const ID: u64 = 9;

pub(super) fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// The organ, and as much of a node as drives it.
pub(super) struct World {
    pub cx: Cx<MemoryDisk>,
    pub peers: Peers,
    pub mempool: Mempool,
    pub links: Links,
    pub desktops: Desktops,
    outbox: Outbox,
    sync: ChainSync,
    /// Another chain could be looked at, and one is put in place.
    pub free: bool,
    pub reorg: bool,
    /// What was sent on each connection and was not looked at yet.
    sent: Vec<(usize, String)>,
}

impl World {
    /// With this many blocks behind the first.
    pub fn new(blocks: u64) -> World {
        let mut cx = Cx::on(MemoryDisk::default(), 0);
        let (now, of) = (cx.now.mono, (key(1), false));
        let mut notices = Vec::new();
        let mempool = Mempool::open(cx.chain.disk(), now, of, &mut notices);
        let listen = at("0.0.0.0:6000");
        let links = Links::open(
            cx.chain.disk(),
            now,
            (listen, who(ID)),
            vec![],
            &mut notices,
        );
        assert!(notices.is_empty(), "{notices:?}");
        let mut world = World {
            cx,
            peers: Peers::default(),
            mempool,
            links,
            desktops: Desktops::new(ID),
            outbox: Outbox::new(who(ID), listen),
            sync: ChainSync::resume(None),
            free: true,
            reorg: false,
            sent: Vec::new(),
        };
        world.grow(blocks);
        world
    }

    /// Empty blocks come to the end of our chain.
    pub fn grow(&mut self, blocks: u64) {
        for _ in 0..blocks {
            self.cx.append(vec![]);
        }
        self.mempool.tip_changed(&mut self.cx);
    }

    pub fn now(&self) -> Millis {
        self.cx.now.mono
    }

    fn opens(&mut self, remote: &str, outbound: bool) -> usize {
        let conn = self.peers.free_conn().expect("a free line");
        let peer = Peer::new(self.now(), at(remote), outbound);
        self.peers.open(conn, peer);
        let conn = usize::from(conn.0);
        let peer = self.peers.get_mut(conn).expect("it is open");
        peer.announce();
        conn
    }

    /// A desktop node that has dialed us and says that it listens at this address; the port that the
    /// connection shows is `conn`'s own.
    pub fn meets(&mut self, address: &str) -> usize {
        let host = at(address).ip();
        let conn = self.opens(&format!("{host}:40000"), false);
        let (port, now) = (at(address).port(), self.now());
        let peer = self.peers.get_mut(conn).expect("it is open");
        peer.remote.set_port(40_000 + conn as u16);
        peer.port = Some(port);
        peer.kind = Kind::Desktop(Box::new(Desktop::new(now, true)));
        peer.ask(now);
        conn
    }

    /// One that we have dialed.
    pub fn reaches(&mut self, address: &str) -> usize {
        let conn = self.meets(address);
        let peer = self.peers.get_mut(conn).expect("it is open");
        (peer.remote, peer.outbound) = (at(address), true);
        conn
    }

    /// Something that sends signed lines, and no more.
    pub fn device(&mut self) -> usize {
        let conn = self.meets("10.0.0.7:6000");
        let now = self.now();
        let peer = self.peers.get_mut(conn).expect("it is open");
        peer.kind = Kind::Desktop(Box::new(Desktop::new(now, false)));
        peer.asked = None;
        conn
    }

    /// One of ours of this number, which tells that it is connected to these.
    pub fn ours(&mut self, id: u64, desktops: &[&str]) -> usize {
        let conn = self.opens(&format!("10.0.1.{id}:6000"), true);
        let peer = self.peers.get_mut(conn).expect("it is open");
        peer.kind = Kind::Ours(Some(who(id)));
        self.tells_voice(conn, id, 0, desktops);
        conn
    }

    pub fn tells_voice(&mut self, conn: usize, id: u64, count: u64, desktops: &[&str]) {
        let voice = voice(id, count, desktops);
        let now = self.now();
        self.desktops
            .hear_voices(now, &mut self.peers, conn, vec![voice]);
    }

    /// Its connection ends.
    pub fn leaves(&mut self, conn: usize) {
        let now = self.now();
        self.desktops.leaves_under_way(now, &mut self.peers, conn);
        let peer = self.peers.free(conn).expect("it was there");
        self.desktops.lose_voice(now, &self.peers, &peer);
    }

    pub fn desktop(&self, conn: usize) -> &Desktop {
        self.peers.desktop_at(conn).expect("a desktop node")
    }

    pub fn desktop_mut(&mut self, conn: usize) -> &mut Desktop {
        self.peers.desktop_of(conn).expect("a desktop node")
    }

    /// A desktop node tells its whole chain, which ends so.
    pub fn answers(&mut self, conn: usize, end: End) {
        let now = self.now();
        let peer = self.peers.get_mut(conn).expect("it is there");
        let asked = peer.asked.take();
        self.desktop_mut(conn).has_told(now, asked, Some(end));
        Desktops::compare_twin(&mut self.cx, &mut self.peers, conn);
    }

    pub fn pongs(&mut self, conn: usize) {
        let now = self.now();
        self.peers.get_mut(conn).expect("it is there").ponged(now);
    }

    /// One call of a node.
    fn turn(&mut self) {
        self.cx.effects.busy = false;
        let (cx, peers) = (&mut self.cx, &mut self.peers);
        self.desktops.tend_voices(cx, peers, self.free);
        if !self.reorg {
            self.desktops.tell(cx, peers, &mut self.mempool, self.free);
        }
        let (cx, peers) = (&mut self.cx, &mut self.peers);
        let seen = (&self.mempool, &self.desktops.voices, &self.sync);
        self.sent.append(&mut self.outbox.send(cx, peers, seen));
    }

    pub fn due(&self) -> Option<Millis> {
        let (free, reorg) = (self.free, self.reorg);
        self.desktops
            .due(&self.cx, &self.peers, &self.mempool, free, reorg)
    }

    /// Calls until what is left to do lies in the future: nothing is due for which nothing is done.
    pub fn rest(&mut self) {
        for _ in 0..100 {
            self.turn();
            let (now, due) = (self.now(), self.due());
            if due.is_none_or(|due| due > now) {
                return;
            }
        }
        panic!("it never rests: {:?}", self.sent);
    }

    /// Lets time go by and wakes only when something is due, which is not more often than a node could
    /// bear.
    pub fn live(&mut self, millis: u64) {
        let end = Millis(self.now().0 + millis);
        for _ in 0..(100 + millis / 100) {
            self.rest();
            // Asked when it is time, it would say so however late that is.
            let due = self.due();
            let next = due.filter(|due| *due < end).unwrap_or(end);
            self.cx.pass(next.0 - self.now().0);
            if next == end {
                let lengthen = self.mempool.queue.lengthen;
                let before = self.sent.len();
                self.rest();
                let done = self.sent.len() > before || self.mempool.queue.lengthen != lengthen;
                assert!(!done || due.is_some_and(|due| due <= end), "{due:?}");
                return;
            }
        }
        panic!("it wakes all the time: {:?}", self.sent);
    }

    /// What was told over a connection since this was asked last, after all that is to be done now.
    pub fn told(&mut self, conn: usize) -> Vec<String> {
        self.rest();
        let all = core::mem::take(&mut self.sent);
        let (told, rest) = all.into_iter().partition(|(at, _)| *at == conn);
        self.sent = rest;
        let told: Vec<(usize, String)> = told;
        told.into_iter().map(|(_, word)| word).collect()
    }

    /// A desktop node that has what we have, and was told so.
    pub fn in_step(&mut self, address: &str) -> usize {
        let conn = self.meets(address);
        assert_eq!(self.told(conn), ["peer_announce", "request_chain"]);
        let length = self.cx.chain.tip().length;
        self.answers(conn, same(length));
        assert_eq!(self.told(conn), [""; 0]);
        conn
    }
}

/// A chain of this many blocks with the content of ours.
pub(super) fn same(length: u64) -> End {
    End {
        length,
        hash: block_of(length, vec![]).hash,
        forked: true,
        same: true,
        loose: 0,
    }
}

/// One of another content.
pub(super) fn apart(length: u64) -> End {
    End {
        same: false,
        ..same(length)
    }
}

/// A desktop node's block.
pub(super) fn block_of(index: u64, transactions: Vec<Transaction>) -> Block {
    let tip = crate::ledger::Tip {
        length: index,
        hash: crate::ledger::Hash::ZERO,
    };
    let mut block = Block::behind(&tip, crate::ledger::Timestamp::Integer(7));
    block.transactions = transactions;
    let mut work = Work::new(block, 0);
    while !work.turn() {}
    work.into_block()
}

#[test]
fn of_ours_the_one_with_the_lowest_number_speaks_and_the_others_listen() {
    let mut world = World::new(3);
    let conn = world.in_step(D);
    let other = world.ours(3, &[D]);
    assert_eq!(world.told(conn), [""; 0]);
    assert!(!world.desktops.speaks_to(world.now(), &world.peers, conn));
    world.grow(1);
    world.desktop_mut(conn).asks = true;
    assert_eq!(world.told(conn), ["chain 0 of 0"]);
    world.live(30_000);
    assert_eq!(world.told(conn), [""; 0], "it is another one's to ask");
    // What goes round tells the others of it.
    assert!(world.told(other).contains(&"ping".to_owned()));
    world.leaves(other);
    world.live(limits::VOICE_SETTLE_MS - 1);
    assert_eq!(world.told(conn), [""; 0]);
    world.live(1);
    assert_eq!(world.told(conn), ["request_chain"]);
    world.answers(conn, same(4));
    world.live(limits::DESKTOP_QUIET_MS - 1);
    assert_eq!(world.told(conn), [""; 0], "something may be under way");
}

#[test]
fn whoever_has_a_greater_number_changes_nothing() {
    let mut world = World::new(3);
    let conn = world.in_step(D);
    world.ours(12, &[D]);
    world.grow(1);
    assert_eq!(world.told(conn), ["block 4", "ping"]);
}

#[test]
fn what_is_under_way_on_a_connection_that_ended_makes_the_next_one_wait() {
    for under_way in [true, false] {
        let mut world = World::new(3);
        let conn = world.in_step(D);
        world.grow(1);
        assert_eq!(world.told(conn), ["block 4", "ping"]);
        if !under_way {
            world.pongs(conn);
        }
        world.cx.pass(100);
        world.leaves(conn);
        let next = world.meets(D);
        assert_eq!(world.told(next), ["peer_announce", "request_chain"]);
        world.answers(next, same(4));
        if !under_way {
            assert_eq!(world.told(next), ["block 4", "ping"]);
            continue;
        }
        assert_eq!(world.told(next), [""; 0]);
        world.live(limits::DESKTOP_QUIET_MS - 1);
        assert_eq!(world.told(next), [""; 0]);
        world.live(1);
        assert_eq!(world.told(next), ["request_chain"]);
        // It is known when it says the same twice.
        world.answers(next, same(4));
        world.live(limits::DESKTOP_QUIET_MS);
        assert_eq!(world.told(next), ["block 4", "ping"]);
    }
}

#[test]
fn beside_what_is_under_way_on_one_connection_the_other_one_is_told_nothing() {
    let mut world = World::new(3);
    let first = world.in_step(D);
    world.cx.pass(10);
    let second = world.meets(D);
    assert_eq!(world.told(second), ["peer_announce", "request_chain"]);
    world.answers(second, same(4));
    world.grow(1);
    assert_eq!(world.told(first), ["block 4", "ping"]);
    world.grow(1);
    world.cx.pass(2_000);
    // It has forgotten the first one.
    let now = world.now();
    world.desktop_mut(first).deaf = Some(now);
    assert_eq!(world.told(first), [""; 0]);
    assert_eq!(world.told(second), ["request_chain"]);
    world.answers(second, same(5));
    assert_eq!(world.told(second), [""; 0]);
    world.pongs(first);
    assert_eq!(world.told(second), ["block 5", "ping"]);
}

#[test]
fn two_addresses_with_the_same_port_may_be_one_desktop_node_and_are_told_apart() {
    let mut world = World::new(3);
    let first = world.in_step(D);
    let second = world.in_step("10.0.0.8:6000");
    let elsewhere = world.in_step(E);
    world.grow(1);
    assert_eq!(world.told(first), ["block 4", "ping"]);
    assert_eq!(world.told(elsewhere), ["block 4", "ping"]);
    world.live(limits::DESKTOP_TURN_MS - 1);
    assert_eq!(world.told(second), [""; 0]);
    world.live(1);
    assert_eq!(world.told(second), ["block 4", "ping"]);
}
