//! Who has credits, and who has to show first whether they have, without a node.

use super::*;
use crate::ledger::{Timestamp, Transaction};
use crate::node::desktops::Voices;
use crate::node::effects::testing::{key, sign, who};
use crate::node::effects::{Cx, Notice};
use crate::node::mempool::Mempool;
use crate::node::outbox::Outbox;
use crate::node::peer::BlockOrigin;
use crate::node::sync::ChainSync;
use crate::store::disk::memory::MemoryDisk;
use crate::wire::extension::{Life, Locator};

const REMOTE: ([u8; 4], u16) = ([10, 0, 0, 1], 6000);

/// One connection, and what drives it.
struct World {
    cx: Cx<MemoryDisk>,
    peers: Peers,
    outbox: Outbox,
    conn: usize,
}

impl World {
    /// With somebody who has dialed and not spoken.
    fn new() -> World {
        let cx = Cx::on(MemoryDisk::default(), 0);
        let mut peers = Peers::default();
        let conn = peers.free_conn().expect("a free line");
        let mut peer = Peer::new(cx.now.mono, REMOTE.into(), false);
        peer.announce();
        peers.open(conn, peer);
        let mut world = World {
            cx,
            peers,
            outbox: Outbox::new(who(1), REMOTE.into()),
            conn: usize::from(conn.0),
        };
        world.told();
        world
    }

    /// With a desktop node that was asked for its chain, as all are that have spoken.
    fn desktop() -> World {
        let mut world = World::new();
        let now = world.now();
        world.peer().kind = Kind::Desktop(Box::new(Desktop::new(now, true)));
        world.peer().ask(now);
        assert_eq!(world.told(), ["request_chain"]);
        world
    }

    /// With one that has credits, of which the user knows.
    fn newer() -> World {
        let mut world = World::desktop();
        assert!(world.takes(block_with_credits()).is_none());
        assert!(world.peer().is_newer());
        world.cx.words();
        world
    }

    fn now(&self) -> Millis {
        self.cx.now.mono
    }

    fn peer(&mut self) -> &mut Peer {
        self.peers.get_mut(self.conn).expect("it is there")
    }

    fn takes(&mut self, message: Message) -> Option<Message> {
        let now = self.now();
        self.peers
            .sieve(&mut self.cx.effects, now, self.conn, message)
    }

    fn note_no_credits(&mut self, is_empty: bool) {
        let now = self.now();
        self.peer().asked = None;
        self.peers.note_no_credits(now, self.conn, is_empty);
    }

    fn tends(&mut self) {
        let now = self.now();
        self.peers.tend_newer(now, self.conn);
    }

    fn told(&mut self) -> Vec<String> {
        let (cx, peers) = (&mut self.cx, &mut self.peers);
        let (now, of) = (cx.now.mono, (key(1), false));
        let mempool = Mempool::open(cx.chain.disk(), now, of, &mut Vec::new());
        let seen = (&mempool, &Voices::new(1), &ChainSync::resume(None));
        let told = self.outbox.send(cx, peers, seen);
        told.into_iter().map(|(_, word)| word).collect()
    }
}

fn invalid(error: RuleError) -> InvalidBlock {
    let index = Some(1);
    InvalidBlock { index, error }
}

fn block_with_credits() -> Message {
    Message::NewBlock(Err(invalid(RuleError::Newer)))
}

fn transaction_with_credits() -> Message {
    Message::NewTransaction(Err(RuleError::Newer))
}

fn block(seconds: i128) -> Message {
    Message::NewBlock(Ok(Block::genesis(Timestamp::Integer(seconds))))
}

fn transaction() -> Transaction {
    sign(2, crate::ledger::Kind::Request, "a", 1)
}

fn question() -> Message {
    Message::RequestChain(None)
}

#[test]
fn who_has_credits_is_known_by_a_block_or_a_transaction_and_the_user_hears_of_it_once() {
    for first in [block_with_credits, transaction_with_credits] {
        let mut world = World::desktop();
        world.peer().misbehaviours = 2;
        assert!(world.takes(first()).is_none());
        assert!(world.peer().is_newer());
        assert_eq!(world.peer().misbehaviours, 0, "it broke no rule of its own");
        let text = format!("[network ⚠️] 10.0.0.1:6000 {WHAT}.");
        assert_eq!(world.cx.words(), [Notice::Alert(text)]);
        for again in [block_with_credits(), transaction_with_credits()] {
            assert!(world.takes(again).is_none());
        }
        assert_eq!(world.cx.words(), []);
        // Nor when it had another chain for a while.
        world.note_no_credits(false);
        assert!(!world.peer().is_newer());
        assert!(world.takes(first()).is_none());
        assert!(world.peer().is_newer());
        assert_eq!(world.cx.words(), []);
    }
}

#[test]
fn a_block_of_a_chain_shows_credits_by_their_sign_and_of_whom_has_them_by_any_fault() {
    let newer = || BlockError::Rule(invalid(RuleError::Newer));
    let wrong = || BlockError::Rule(invalid(RuleError::WrongSignature(0)));
    let shape = || BlockError::Shape("no block".into());
    let shows = |world: &World| {
        let errors = [newer(), wrong(), shape(), BlockError::NotJson];
        errors.map(|error| world.peers.has_credits(world.conn, &error))
    };
    let mut world = World::desktop();
    assert_eq!(shows(&world), [true, false, false, false]);
    assert_eq!(shows(&World::newer()), [true, true, true, false]);
    world.peer().kind = Kind::Ours(Some(who(3)));
    assert_eq!(shows(&world), [false; 4], "one of ours has no excuse");
}

#[test]
fn who_has_credits_is_told_nothing_of_our_chain() {
    let mut world = World::desktop();
    for message in [Outgoing::Block(0), Outgoing::Chain, Outgoing::Ping] {
        world.peer().push(message);
    }
    assert!(world.takes(block_with_credits()).is_none());
    assert_eq!(world.told(), ["ping"], "what waited is forgotten");
    world.peers.relay(Outgoing::Block(0), None);
    assert_eq!(world.told(), [""; 0]);
    for question in [
        question(),
        Message::RequestChain(Some(Locator {
            length: 1,
            hashes: vec![],
        })),
    ] {
        assert!(world.takes(question).is_none());
        assert_eq!(world.told(), ["chain 0 of 0"]);
    }
}

#[test]
fn what_one_with_credits_says_is_of_no_concern_but_for_words_of_the_connection() {
    let mut world = World::newer();
    let before = world.peer().blocks_in;
    assert!(world.takes(block(1)).is_none());
    assert!(
        world
            .takes(Message::NewBlock(Err(invalid(RuleError::WrongSignature(
                0
            )))))
            .is_none()
    );
    assert!(
        world
            .takes(Message::NewTransaction(Ok(transaction())))
            .is_none()
    );
    assert_eq!(world.peer().blocks_in, before + 2);
    assert!(world.peer().ledger.early.is_none());
    for word in [
        Message::Ping(Life::default()),
        Message::Pong(Life::default()),
    ] {
        assert_eq!(world.takes(word.clone()), Some(word));
    }
}

#[test]
fn one_of_ours_is_never_taken_for_one_with_credits_nor_waited_for() {
    let mut world = World::new();
    world.peer().kind = Kind::Ours(Some(who(3)));
    for word in [
        block_with_credits(),
        transaction_with_credits(),
        block(1),
        question(),
    ] {
        assert_eq!(world.takes(word.clone()), Some(word));
    }
    assert_eq!(world.peer().newer_deadline(), None);
}

#[test]
fn who_has_credits_is_asked_for_its_chain_now_and_then() {
    let mut world = World::newer();
    world.peer().asked = None;
    for _ in 0..2 {
        let due = Millis(world.now().0 + limits::NEWER_POLL_MS);
        assert_eq!(world.peer().newer_deadline(), Some(due));
        world.cx.pass(limits::NEWER_POLL_MS - 1);
        world.tends();
        assert_eq!(world.told(), [""; 0]);
        world.cx.pass(1);
        world.tends();
        assert_eq!(world.told(), ["request_chain"]);
        world.note_no_credits(true);
        assert!(world.peer().is_newer(), "an empty chain shows nothing");
    }
    world.cx.pass(limits::NEWER_POLL_MS);
    let now = world.now();
    world.peer().asked = Some(now);
    world.tends();
    assert_eq!(world.told(), [""; 0], "the answer is on its way");
    assert!(world.peer().newer_deadline() > Some(now));
}

#[test]
fn when_its_chain_has_no_credits_any_more_it_is_a_desktop_node_like_others() {
    let mut world = World::newer();
    world.note_no_credits(false);
    let desktop = world.peer().desktop().expect("it is one");
    assert!(!desktop.is_device());
    assert!(!desktop.asks);
    assert_eq!(world.peer().newer_deadline(), None);
    assert!(world.takes(block(1)).is_some());
    assert!(world.takes(question()).is_some());
}

#[test]
fn a_question_that_comes_before_the_chain_of_its_node_is_answered_when_that_is_known() {
    let mut world = World::desktop();
    assert!(world.takes(question()).is_none());
    let due = Millis(world.now().0 + limits::QUESTION_MS);
    world.cx.pass(1_000);
    assert!(world.takes(question()).is_none());
    assert_eq!(world.peer().newer_deadline(), Some(due), "as it was first");
    world.note_no_credits(false);
    assert!(world.peer().desktop().is_some_and(|desktop| desktop.asks));
    assert_eq!(world.told(), [""; 0], "when it is its turn");
    assert!(world.takes(question()).is_some(), "that is known");

    let mut world = World::desktop();
    world.takes(question());
    world.takes(block_with_credits());
    assert_eq!(world.told(), ["chain 0 of 0"]);
    assert!(world.peer().ledger.question.is_none());

    // One that says where it stands is one of ours.
    let mut world = World::new();
    let locator = Locator {
        length: 1,
        hashes: vec![],
    };
    assert!(world.takes(Message::RequestChain(Some(locator))).is_some());
}

#[test]
fn a_question_of_somebody_who_tells_nothing_is_answered_in_time() {
    let mut world = World::desktop();
    world.takes(question());
    world.cx.pass(limits::QUESTION_MS - 1);
    world.tends();
    assert!(!world.peer().desktop().is_some_and(|desktop| desktop.asks));
    world.cx.pass(1);
    world.tends();
    assert!(world.peer().desktop().is_some_and(|desktop| desktop.asks));
    assert_eq!(world.peer().newer_deadline(), None);

    let mut world = World::new();
    world.takes(question());
    world.cx.pass(limits::QUESTION_MS);
    world.tends();
    assert_eq!(
        world.told(),
        ["chain 1 of 1"],
        "who is nobody hears all of it"
    );
}

#[test]
fn a_block_that_comes_before_the_chain_of_its_node_is_looked_at_behind_that_or_in_time() {
    let mut world = World::desktop();
    assert!(world.takes(block(1)).is_none());
    assert_eq!(world.peer().blocks_in, 1);
    let due = Millis(world.now().0 + limits::QUESTION_MS);
    assert_eq!(world.peer().newer_deadline(), Some(due));
    assert!(world.takes(block(2)).is_some(), "one is kept");
    let (conn, now) = (world.conn, world.now());
    assert!(world.peers.take_late(now, conn).is_none());
    // While another block of it is being checked there is no place for this one.
    let other = Box::new(Block::genesis(Timestamp::Integer(9)));
    world.peer().hold(other, BlockOrigin::Desktop, 0);
    assert!(world.peers.take_early(conn).is_none());
    assert!(world.peers.take_late(due, conn).is_none());
    world.peer().held = None;
    let late = world.peers.take_late(due, conn).expect("it is time");
    assert_eq!(late.timestamp, Timestamp::Integer(1));
    assert!(world.peers.take_early(conn).is_none(), "once");

    assert!(world.takes(block(3)).is_none());
    world.note_no_credits(false);
    let early = world.peers.take_early(conn).expect("its chain is known");
    assert_eq!(early.timestamp, Timestamp::Integer(3));
    assert!(world.takes(block(4)).is_some());
}

#[test]
fn a_block_that_came_early_is_forgotten_if_its_node_has_credits() {
    let mut world = World::desktop();
    world.takes(block(1));
    world.takes(transaction_with_credits());
    let (conn, now) = (world.conn, world.now());
    assert!(world.peers.take_early(conn).is_none());
    assert!(world.peer().newer_deadline() > Some(Millis(now.0 + limits::QUESTION_MS)));
}
