//! Other chains, as far as they win or not, without a node around them.

use super::*;
use crate::ledger::{Block, Kind, Timestamp, Tip, Transaction, Work};
use crate::node::answer::{Answer, SessionId};
use crate::node::desktop::Desktop;
use crate::node::effects::testing::{key, sign, who};
use crate::node::effects::{Fault, Notice};
use crate::node::event::ConnId;
use crate::node::peer::{self, BlockOrigin, Held, Peer};
use crate::store::disk::File;
use crate::store::disk::memory::MemoryDisk;
use Kind::Request;

/// Two nodes of this project, and a desktop node.
pub(super) const OURS: usize = 0;
pub(super) const OTHER: usize = 1;
pub(super) const DESKTOP: usize = 2;

/// Our user, and who asked for a chain.
pub(super) const OWN: u8 = 1;
const ASKER: SessionId = SessionId(7);

/// The other chain, and as much of a node as drives it.
pub(super) struct World {
    pub cx: Cx<MemoryDisk>,
    pub peers: Peers,
    pub mempool: Mempool,
    pub sync: ChainSync,
}

/// Blocks of others behind this one.
pub(super) fn grow(mut tip: Tip, time: u64, contents: &[&[Transaction]]) -> Vec<Block> {
    let mut blocks = Vec::new();
    for transactions in contents {
        let mut block = Block::behind(&tip, Timestamp::from_micros(time));
        block.transactions = transactions.to_vec();
        let mut work = Work::new(block, 0);
        while !work.turn() {}
        let block = work.into_block();
        tip = end_of(&block);
        blocks.push(block);
    }
    blocks
}

pub(super) fn end_of(block: &Block) -> Tip {
    Tip {
        length: block.index + 1,
        hash: block.hash,
    }
}

fn address(conn: usize) -> core::net::SocketAddr {
    let last = u8::try_from(conn + 1).expect("small");
    ([10, 0, 0, last], 6000).into()
}

impl World {
    pub fn new() -> World {
        World::on(MemoryDisk::default(), false)
    }

    pub fn on(disk: MemoryDisk, drops: bool) -> World {
        let mut cx = Cx::on(disk, 0);
        let now = cx.now.mono;
        let of = (key(OWN), drops);
        let mempool = Mempool::open(cx.chain.disk(), now, of, &mut Vec::new());
        let mut peers = Peers::default();
        let desktop = Box::new(Desktop::new(now, true));
        let kinds = [
            peer::Kind::Ours(Some(who(1))),
            peer::Kind::Ours(Some(who(2))),
            peer::Kind::Desktop(desktop),
        ];
        for (conn, kind) in kinds.into_iter().enumerate() {
            let mut peer = Peer::new(now, address(conn), true);
            peer.kind = kind;
            peers.open(ConnId::of_peer(conn), peer);
        }
        let sync = ChainSync::resume(cx.chain.take_last_reorg());
        World {
            cx,
            peers,
            mempool,
            sync,
        }
    }

    /// A block of our chain.
    pub fn comes(&mut self, transactions: &[Transaction]) -> Block {
        self.cx.append(transactions.to_vec())
    }

    /// Blocks that leave our chain at this height.
    pub fn fork(&mut self, length: u64, contents: &[&[Transaction]]) -> Vec<Block> {
        let hash = self.cx.chain.hash(length - 1).expect("reads");
        grow(Tip { length, hash }, self.cx.now.wall + 1, contents)
    }

    /// A block beside our last one, whose hash is lower or not.
    pub fn rival(&mut self, lower: bool, transactions: &[Transaction]) -> Block {
        let ours = self.cx.chain.tip();
        let (length, wall) = (ours.length - 1, self.cx.now.wall);
        let hash = self.cx.chain.hash(length - 1).expect("reads");
        let mut times = (wall + 1)..;
        loop {
            let time = times.next().expect("no end");
            let block = grow(Tip { length, hash }, time, &[transactions]).remove(0);
            if (block.hash < ours.hash) == lower {
                return block;
            }
        }
    }

    pub fn peer(&mut self, conn: usize) -> &mut Peer {
        self.peers.get_mut(conn).expect("it is connected")
    }

    /// A user asks for the chain of a peer.
    pub fn ask(&mut self, conn: usize) {
        let now = self.cx.now.mono;
        let peer = self.peer(conn);
        peer.asked_by.push(ASKER);
        peer.ask(now);
    }

    /// Blocks come in a chain; whether their signatures are good is not looked at here.
    pub fn send(&mut self, conn: usize, blocks: &[Block]) -> Result<(), Fault> {
        for block in blocks {
            let (sync, cx) = (&mut self.sync, &mut self.cx);
            sync.chain_block(cx, &mut self.peers, conn, Box::new(block.clone()))?;
            while let Some(held) = self.peer(conn).held.take() {
                self.checked(conn, held)?;
            }
        }
        Ok(())
    }

    fn checked(&mut self, conn: usize, held: Held) -> Result<(), Fault> {
        let (sync, cx, peers) = (&mut self.sync, &mut self.cx, &mut self.peers);
        match held.origin {
            BlockOrigin::Chain => sync.stage(cx, peers, conn, held.block),
            BlockOrigin::Hole => sync.fill_hole(cx, peers, conn, &held.block).map(|_| ()),
            BlockOrigin::Salvage => {
                for transaction in &held.block.transactions {
                    if self.mempool.salvage(cx, Due::Later, transaction, None) {
                        sync.salvaged();
                    }
                }
                Ok(())
            }
            other => panic!("{other:?} in a chain"),
        }
    }

    /// A chain, or a part of it, is complete; true if it won.
    pub fn end(&mut self, conn: usize, told: Option<u64>) -> bool {
        let (sync, cx, drops) = (&mut self.sync, &mut self.cx, self.mempool.drops());
        let winner = sync.chain_end(cx, &mut self.peers, conn, told, drops);
        let won = winner.is_some();
        if let Some(winner) = winner {
            self.sync.win(&mut self.cx, &mut self.peers, conn, winner);
        }
        won
    }

    /// What becomes of the other chain by a fault of its own, or of none.
    pub fn fails(&mut self, conn: usize, fault: Fault) {
        let is_rule = matches!(fault, Fault::Rule(_) | Fault::ChainRule(_));
        let (sync, cx) = (&mut self.sync, &mut self.cx);
        let broken = sync.fails(cx, &mut self.peers, conn, fault);
        assert_eq!(broken.is_some(), is_rule);
    }

    /// One step of a reorg, or of a chain that lost.
    pub fn step(&mut self) {
        let due = self.sync.salvages_of().map(|_| Due::Later);
        let (cx, peers, mempool) = (&mut self.cx, &mut self.peers, &mut self.mempool);
        if let Some(reorged) = self.sync.step(cx, peers, mempool, due) {
            mempool.tip_changed(cx);
            reorged.announce(cx, peers);
        }
    }

    /// Steps until nothing is to be done.
    pub fn rest(&mut self) {
        for _ in 0..1_000 {
            if !self.sync.is_reorg() && !self.sync.is_salvage() {
                return;
            }
            self.step();
        }
        panic!("it never rests");
    }

    /// What waits for a block, after it was looked for.
    pub fn waiting(&mut self) -> Vec<Transaction> {
        while self.mempool.looks_up() {
            self.mempool.look_up(&mut self.cx);
        }
        let all = self.mempool.queue.iter();
        all.flat_map(|batch| batch.transactions.clone()).collect()
    }

    pub fn staging_bytes(&mut self) -> usize {
        self.cx.chain.disk().live(File::Candidate).len()
    }

    /// Nothing is left of another chain, and ours ends here.
    pub fn is_as_before(&mut self, tip: Tip) {
        assert!(self.sync.is_free());
        assert_eq!(self.cx.chain.tip(), tip);
        assert_eq!(self.cx.chain.branch_tip(), None);
        assert_eq!(self.staging_bytes(), 0);
    }
}

pub(super) fn event(text: impl Into<String>) -> Notice {
    Notice::Event(text.into())
}

pub(super) fn alert(text: impl Into<String>) -> Notice {
    Notice::Alert(text.into())
}

/// What whoever asked is told.
pub(super) fn told(conn: usize, outcome: &str) -> Notice {
    let answer = Answer::Outcome {
        peer: address(conn).to_string(),
        outcome: outcome.into(),
    };
    Notice::Answer(Some(ASKER), answer)
}

#[test]
fn a_chain_that_goes_on_where_ours_ends_is_taken() {
    let mut world = World::new();
    world.comes(&[]);
    let blocks = world.fork(2, &[&[sign(2, Request, "a", 1)], &[]]);
    world.ask(OURS);
    world.send(OURS, &blocks).expect("good");
    assert_eq!(
        (world.sync.conn(), world.cx.chain.tip().length),
        (Some(OURS), 2)
    );
    assert!(world.end(OURS, Some(4)) && world.sync.is_reorg());
    world.rest();
    world.is_as_before(end_of(&blocks[1]));
    let now = world.cx.now.mono;
    assert_eq!(world.peer(OURS).brought, Some(now));
    let words = [
        event("[consensus 📡] received chain (length 4) vs ours (length 2)"),
        event("[consensus ✅] adopted longer chain (4 blocks)"),
        told(OURS, "its chain is ours now"),
    ];
    assert_eq!(world.cx.words(), words);
    assert!(world.waiting().is_empty());
}

#[test]
fn a_longer_chain_that_forks_takes_the_place_of_ours() {
    let mut world = World::new();
    world.comes(&[sign(2, Request, "a", 1)]);
    let blocks = world.fork(1, &[&[sign(3, Request, "a", 1)], &[]]);
    world.send(OURS, &blocks).expect("good");
    assert!(world.end(OURS, None));
    world.rest();
    world.is_as_before(end_of(&blocks[1]));
    let holder = world.cx.chain.items().get(&"a".into()).expect("known");
    assert!(holder.reserved);
    assert_eq!(world.cx.chain.read(1).expect("reads").block, blocks[0]);
}

#[test]
fn a_chain_that_loses_is_read_for_what_ours_lacks_and_whoever_asked_hears_why() {
    for drops in [false, true] {
        let mut world = World::on(MemoryDisk::default(), drops);
        let shared = sign(2, Request, "a", 1);
        world.comes(core::slice::from_ref(&shared));
        world.comes(&[]);
        let tip = world.cx.chain.tip();
        let lacking = sign(3, Request, "b", 1);
        let blocks = world.fork(1, &[&[shared, lacking.clone()]]);
        world.ask(OURS);
        world.send(OURS, &blocks).expect("good");
        assert!(!world.end(OURS, Some(2)));
        assert_eq!(world.sync.is_salvage(), !drops);
        world.rest();
        world.is_as_before(tip);
        let words = [
            event("[consensus 📡] received chain (length 2) vs ours (length 3)"),
            event("[consensus ℹ️] kept current chain (already longest)"),
            told(OURS, "ours is kept, its chain has 2 blocks"),
        ];
        assert_eq!(world.cx.words(), words);
        let expected: &[Transaction] = if drops { &[] } else { &[lacking] };
        assert_eq!(world.waiting(), expected);
    }
}

#[test]
fn a_chain_that_loses_and_has_the_content_of_ours_is_not_read_again() {
    let mut world = World::new();
    let content = [sign(2, Request, "a", 1)];
    world.comes(&content);
    world.comes(&[]);
    let tip = world.cx.chain.tip();
    let blocks = world.fork(1, &[&content]);
    world.send(OURS, &blocks).expect("good");
    assert!(!world.end(OURS, Some(2)));
    world.is_as_before(tip);
}

#[test]
fn a_peer_with_the_same_chain_costs_nothing_and_whoever_asked_hears_so() {
    let mut world = World::new();
    let block = world.comes(&[sign(2, Request, "a", 1)]);
    let genesis = world.cx.chain.read(0).expect("reads").block;
    world.ask(OURS);
    world.send(OURS, &[genesis, block.clone()]).expect("good");
    assert_eq!(world.staging_bytes(), 0);
    assert!(!world.end(OURS, Some(2)));
    world.is_as_before(end_of(&block));
    let words = world.cx.words();
    assert_eq!(words.last(), Some(&told(OURS, "it has the same chain")));
}

#[test]
fn of_two_equally_long_chains_the_one_with_the_lower_hash_wins() {
    for lower in [true, false] {
        let mut world = World::new();
        world.comes(&[sign(2, Request, "a", 1)]);
        let before = world.cx.chain.tip();
        let block = world.rival(lower, &[sign(3, Request, "a", 1)]);
        world
            .send(OURS, core::slice::from_ref(&block))
            .expect("good");
        assert_eq!(world.end(OURS, Some(2)), lower);
        world.rest();
        world.is_as_before(if lower { end_of(&block) } else { before });
        let text = "[consensus ✅] adopted equally long chain, its last hash is lower (2 blocks)";
        assert_eq!(world.cx.words().contains(&event(text)), lower);
    }
}

#[test]
fn a_fork_in_parts_is_taken_when_it_is_complete() {
    let mut world = World::new();
    (0..3).for_each(|_| drop(world.comes(&[])));
    let before = world.cx.chain.tip();
    let blocks = world.fork(2, &[&[sign(2, Request, "a", 1)], &[], &[], &[]]);
    world.ask(OURS);
    world.send(OURS, &blocks[..3]).expect("good");
    assert!(
        !world.end(OURS, Some(6)),
        "longer than ours, and not complete"
    );
    assert_eq!(world.cx.chain.tip(), before);
    let goes_on = Some((5, blocks[2].hash));
    assert_eq!(world.sync.continues(OURS), goes_on);
    assert_eq!(world.sync.continues(OTHER), None);
    assert!(world.peer(OURS).asked.is_some() && world.cx.words().is_empty());
    world.send(OURS, &blocks[3..]).expect("good");
    assert_eq!(world.sync.continues(OURS), None, "that is asked for once");
    assert!(world.end(OURS, Some(6)));
    world.rest();
    world.is_as_before(end_of(&blocks[3]));
    assert_eq!(world.cx.words().len(), 3);
}

#[test]
fn parts_that_go_on_where_ours_ends_are_taken_at_once_and_told_at_the_end() {
    let mut world = World::new();
    let blocks = world.fork(1, &[&[sign(2, Request, "a", 1)], &[], &[], &[]]);
    world.peer(OURS).tip = Some(end_of(&blocks[3]));
    world.ask(OURS);
    world.send(OURS, &blocks[..2]).expect("good");
    assert!(world.end(OURS, Some(5)));
    assert_eq!(world.sync.continues(OURS), Some((3, blocks[1].hash)));
    assert!(
        world.peer(OURS).asked.is_some(),
        "it can send while we write"
    );
    world.rest();
    world.is_as_before(end_of(&blocks[1]));
    assert_eq!(world.cx.words(), []);
    world.send(OURS, &blocks[2..]).expect("good");
    assert!(world.end(OURS, Some(5)));
    world.rest();
    world.is_as_before(end_of(&blocks[3]));
    let words = [
        event("[consensus 📡] received chain (length 5) vs ours (length 1)"),
        event("[consensus ✅] adopted longer chain (5 blocks)"),
        told(OURS, "its chain is ours now"),
    ];
    assert_eq!(world.cx.words(), words);
}

#[test]
fn a_chain_that_is_another_one_than_when_its_last_answer_began_is_looked_at_anew() {
    for links in [true, false] {
        let mut world = World::new();
        (0..3).for_each(|_| drop(world.comes(&[])));
        let tip = world.cx.chain.tip();
        let blocks = world.fork(2, &[&[sign(2, Request, "a", 1)], &[]]);
        world.send(OURS, &blocks).expect("good");
        assert!(!world.end(OURS, Some(7)));
        let another = world.fork(1, &[&[sign(3, Request, "b", 1)], &[], &[], &[]]);
        let now = world.cx.now.mono;
        if links {
            world.send(OURS, &another).expect("good");
            assert!(world.end(OURS, Some(5)));
            world.rest();
            world.is_as_before(end_of(&another[3]));
        } else {
            // Where it goes on is in neither chain.
            world
                .send(OURS, &another[3..])
                .expect("no fault of its own");
            world.is_as_before(tip);
            let again = Millis(now.0 + limits::LOOK_AGAIN_MS);
            assert_eq!(world.peer(OURS).deferred, Some(again));
        }
    }
}

#[test]
fn a_losing_chain_and_a_block_that_is_to_be_made_take_turns() {
    let mut world = World::new();
    assert!(!world.sync.salvages(true), "nothing lost");
    world.comes(&[]);
    world.comes(&[]);
    let blocks = world.fork(1, &[&[sign(2, Request, "a", 1)]]);
    world.send(OURS, &blocks).expect("good");
    assert!(!world.end(OURS, Some(2)) && world.sync.is_salvage());
    let turns = [true, true, true, false, false].map(|makes| world.sync.salvages(makes));
    assert_eq!(turns, [false, true, false, true, true]);
}

#[test]
fn a_longer_chain_comes_in_while_it_was_just_asked_for_or_streams_in() {
    let mut world = World::new();
    let now = world.cx.now.mono;
    let blocks = world.fork(1, &[&[], &[]]);
    world.ask(OURS);
    let catching_up = |world: &World| world.sync.catching_up(&world.cx, &world.peers);
    assert_eq!(catching_up(&world), None, "it has told nothing");
    world.peer(OURS).tip = Some(end_of(&blocks[1]));
    assert_eq!(
        catching_up(&world),
        Some(Millis(now.0 + limits::LOOK_AHEAD_MS))
    );
    world.cx.pass(limits::LOOK_AHEAD_MS);
    assert_eq!(catching_up(&world), None, "it takes too long");
    world.send(OURS, &blocks[..1]).expect("good");
    let looked_at = Millis(world.cx.now.mono.0 + limits::STALL_MS);
    assert_eq!(world.sync.due(), Some(looked_at));
    let believed = Millis(world.cx.now.mono.0 + limits::BELIEF_MAX_MS);
    assert_eq!(catching_up(&world), Some(believed.min(looked_at)));
    let hash = world.cx.chain.tip().hash;
    world.peer(OURS).tip = Some(Tip { length: 1, hash });
    assert_eq!(catching_up(&world), None, "it would not win");
}
