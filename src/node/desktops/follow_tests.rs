//! What becomes of what a desktop node's user did.

use super::tests::{D, E, World, block_of, same};
use super::*;
use crate::ledger::Kind::{Release, Request};
use crate::ledger::{Block, Transaction};
use crate::node::desktop::Stand;
use crate::node::effects::Fault;
use crate::node::effects::testing::sign;
use crate::node::peer::BlockOrigin;

impl World {
    /// A desktop node announces a block; whether it is looked at.
    fn announces(&mut self, conn: usize, block: &Block) -> bool {
        let (cx, peers) = (&mut self.cx, &mut self.peers);
        Desktops::block(cx, peers, conn, Box::new(block.clone())).expect("a block");
        let peer = self.peers.get_mut(conn).expect("it is there");
        let held = peer.held.take();
        held.is_some_and(|held| held.origin == BlockOrigin::Desktop && *held.block == *block)
    }

    /// Its signatures are good.
    fn follows(&mut self, conn: usize, block: &Block) {
        let (cx, peers, mempool) = (&mut self.cx, &mut self.peers, &mut self.mempool);
        self.desktops.follow(cx, peers, mempool, conn, block);
    }

    /// What is being made, and for which connection.
    fn makes(&self) -> Option<(&[Transaction], Option<usize>)> {
        let making = self.mempool.making.as_ref()?;
        Some((&making.work.block().transactions, making.from))
    }

    /// What waits to be made part of our chain, and whether at once.
    fn salvaged(&mut self) -> Vec<(Transaction, bool)> {
        while self.mempool.looks_up() {
            self.mempool.look_up(&mut self.cx);
        }
        let now = self.now();
        let all = self.mempool.queue.iter();
        all.map(|batch| (batch.transactions[0].clone(), batch.due <= now))
            .collect()
    }

    fn is_doubted(&self, conn: usize) -> bool {
        !self.desktop(conn).proven && self.desktop(conn).ask_at.0 < self.now().0 + 2_000
    }
}

fn taken(name: &str) -> Vec<Transaction> {
    vec![sign(2, Request, name, 1)]
}

#[test]
fn its_block_that_comes_next_becomes_the_block_that_is_being_made() {
    let mut world = World::new(3);
    let conn = world.in_step(D);
    let block = block_of(4, taken("a"));
    assert!(world.announces(conn, &block));
    world.follows(conn, &block);
    assert_eq!(world.makes(), Some((&*taken("a"), Some(conn))));
    let making = world.mempool.making.as_ref().expect("it is made");
    let tip = world.cx.chain.tip();
    assert_eq!(making.work.block().prev_hash, tip.hash, "behind our own");
    assert!(world.cx.effects.busy && world.salvaged().is_empty());
    world.cx.append(taken("a"));
    let now = world.now();
    world.desktops.followed(now, &mut world.peers, conn, 4);
    assert_eq!(world.desktop(conn).stand, Stand::Same(5));
    assert_eq!(world.told(conn), [""; 0], "it has it");
    world.desktops.followed(now, &mut world.peers, conn, 9);
    assert!(world.is_doubted(conn), "what it has is not what was made");
}

#[test]
fn what_cannot_be_the_next_block_is_a_persons_act_all_the_same() {
    let free = vec![sign(2, Request, "a", 1), sign(2, Release, "x", 1)];
    for (block, possible) in [
        (block_of(9, taken("a")), true),
        (block_of(2, taken("a")), true),
        // One of them is impossible.
        (block_of(4, free), true),
        (block_of(4, vec![]), false),
    ] {
        for said in [true, false] {
            let mut world = World::new(3);
            let conn = match said {
                true => world.in_step(D),
                false => world.meets(D),
            };
            world.rest();
            world.announces(conn, &block);
            world.follows(conn, &block);
            assert!(world.makes().is_none());
            let expected = possible.then(|| (taken("a").remove(0), said));
            let salvaged = world.salvaged().into_iter().next();
            assert_eq!(salvaged, expected, "{said} {}", block.index);
            assert!(world.is_doubted(conn));
        }
    }
}

#[test]
fn of_several_of_ours_the_speaker_makes_it_and_the_others_wait() {
    let mut world = World::new(3);
    let conn = world.in_step(D);
    world.ours(3, &[D]);
    world.rest();
    let block = block_of(4, taken("a"));
    assert!(world.announces(conn, &block));
    world.follows(conn, &block);
    assert!(world.makes().is_none());
    assert_eq!(world.salvaged(), [(taken("a").remove(0), false)]);
}

#[test]
fn a_block_that_is_announced_again_or_elsewhere_is_not_followed() {
    let mut world = World::new(3);
    let (conn, other) = (world.in_step(D), world.in_step(E));
    let block = block_of(4, taken("a"));
    assert!(world.announces(conn, &block));
    assert!(!world.is_doubted(conn));
    assert!(!world.announces(conn, &block));
    assert!(world.is_doubted(conn), "it stands for something else");
    world.live(20_000);
    assert!(world.announces(conn, &block_of(4, taken("b"))));
    assert!(!world.announces(other, &block));
    assert!(world.is_doubted(other));
}

#[test]
fn over_another_connection_of_the_same_desktop_node_the_same_block_says_nothing() {
    let mut world = World::new(3);
    let conn = world.in_step(D);
    let again = world.meets(D);
    world.told(again);
    let block = block_of(4, taken("a"));
    assert!(world.announces(conn, &block));
    assert!(!world.announces(again, &block));
    assert!(!world.is_doubted(conn));
}

#[test]
fn what_came_from_here_or_has_the_content_of_ours_only_says_that_it_may_have_more() {
    let mut world = World::new(3);
    let ours = world.cx.append(taken("a"));
    for block in [ours, block_of(4, taken("a"))] {
        let conn = world.in_step(D);
        assert!(!world.announces(conn, &block));
        assert!(world.is_doubted(conn));
        world.leaves(conn);
    }
}

#[test]
fn who_claims_the_hash_of_another_block_is_not_its_maker() {
    let mut world = World::new(3);
    let (conn, maker) = (world.in_step(D), world.in_step(E));
    let block = block_of(4, taken("a"));
    let mut false_one = block_of(4, taken("b"));
    false_one.hash = block.hash;
    let (cx, peers) = (&mut world.cx, &mut world.peers);
    let taken = Desktops::block(cx, peers, conn, Box::new(false_one));
    assert!(matches!(taken, Err(Fault::Rule(_))));
    assert!(!world.desktop(conn).has_made(&block.hash));
    assert!(world.announces(maker, &block));
}

#[test]
fn what_it_said_is_not_lost_with_the_block_that_was_being_made_of_it() {
    for (ended, replaced) in [(false, false), (true, false), (false, true)] {
        let mut world = World::new(3);
        let conn = world.in_step(D);
        world.follows(conn, &block_of(4, taken("a")));
        world.desktop_mut(conn).proven = true;
        if ended {
            world.mempool.ends_making_of(conn);
        }
        match replaced {
            true => world.follows(conn, &block_of(4, taken("b"))),
            false => {
                let (cx, peers) = (&mut world.cx, &mut world.peers);
                world.desktops.drop_making(cx, peers, &mut world.mempool);
            }
        }
        assert_eq!(world.makes().is_some(), replaced);
        assert_eq!(world.is_doubted(conn), !ended);
        assert_eq!(world.salvaged(), [(taken("a").remove(0), true)]);
    }
}

#[test]
fn what_one_made_goes_to_another_that_is_connected_to_it_a_little_later() {
    for friends in [true, false] {
        let mut world = World::new(3);
        let (conn, other) = (world.in_step(D), world.in_step(E));
        let now = world.now();
        if friends {
            let told = [D.to_owned()];
            let (peers, links) = (&mut world.peers, &mut world.links);
            Desktops::hear_friends(now, peers, links, other, &told);
        }
        world.grow(1);
        world.desktops.followed(now, &mut world.peers, conn, 4);
        assert_eq!(world.told(conn), [""; 0]);
        if friends {
            world.live(limits::DESKTOP_FRIEND_MS - 1);
            assert_eq!(world.told(other), [""; 0]);
            world.live(1);
        }
        assert_eq!(world.told(other), ["block 4", "ping"]);
    }
}

#[test]
fn what_a_desktop_node_has_said_before_it_was_heard_counts_for_all_of_its_connections() {
    let mut world = World::new(3);
    let conn = world.in_step(D);
    let again = world.meets(D);
    world.told(again);
    world.answers(again, same(4));
    let block = block_of(4, taken("a"));
    world.follows(again, &block);
    assert_eq!(world.makes(), Some((&*taken("a"), Some(conn))));
}
