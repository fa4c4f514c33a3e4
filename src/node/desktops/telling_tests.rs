//! What a desktop node is told and asked, one thing after the other.

use super::tests::{D, E, World, apart, same};
use super::*;
use crate::ledger::Kind::Request;
use crate::node::desktop::End;
use crate::node::effects::testing::sign;

#[test]
fn a_desktop_node_that_nobody_else_speaks_to_is_asked_at_once_and_told_one_thing_at_a_time() {
    let mut world = World::new(3);
    let conn = world.meets(D);
    assert_eq!(world.told(conn), ["peer_announce", "request_chain"]);
    world.grow(1);
    assert_eq!(world.told(conn), [""; 0], "it has not said what it has");
    world.answers(conn, same(4));
    assert_eq!(world.told(conn), ["block 4", "ping"]);
    world.grow(2);
    world.live(4_000);
    assert_eq!(world.told(conn), [""; 0], "there was no pong");
    for block in ["block 5", "block 6"] {
        world.pongs(conn);
        assert_eq!(world.told(conn), [block, "ping"]);
    }
    world.pongs(conn);
    assert_eq!(world.told(conn), [""; 0]);
}

#[test]
fn a_pong_that_comes_late_has_it_asked_what_it_has() {
    for (late, words) in [(4_999, &[][..]), (5_000, &["request_chain"])] {
        let mut world = World::new(3);
        let conn = world.in_step(D);
        world.grow(1);
        assert_eq!(world.told(conn), ["block 4", "ping"]);
        world.live(late);
        world.pongs(conn);
        assert_eq!(world.told(conn), words, "{late}");
    }
}

#[test]
fn it_is_asked_every_15_seconds_and_more_often_for_a_while_when_it_was_apart() {
    let mut world = World::new(3);
    let conn = world.in_step(D);
    world.live(14_999);
    assert_eq!(world.told(conn), [""; 0]);
    world.live(1);
    assert_eq!(world.told(conn), ["request_chain"]);
    world.answers(conn, apart(3));
    assert_eq!(world.told(conn), ["chain 4 of 4", "ping", "request_chain"]);
    world.pongs(conn);
    let mut waits = Vec::new();
    for _ in 0..6 {
        world.cx.pass(1);
        world.answers(conn, same(4));
        let since = world.now().0;
        while world.told(conn).is_empty() {
            world.live(100);
        }
        waits.push(world.now().0 - since);
    }
    assert_eq!(waits, [5_000, 5_000, 5_000, 15_000, 15_000, 15_000]);
}

#[test]
fn many_blocks_short_it_is_told_the_whole_chain_and_not_again_before_its_time() {
    let many = limits::BRING_UP_BLOCKS + 1;
    let mut world = World::new(3);
    let conn = world.in_step(D);
    world.grow(many);
    let all = format!("chain {0} of {0}", 4 + many);
    assert_eq!(world.told(conn), [&all, "ping", "request_chain"]);
    world.pongs(conn);
    world.cx.pass(1);
    // It did not take it.
    world.answers(conn, same(4));
    world.live(4_998);
    assert_eq!(world.told(conn), [""; 0]);
    world.live(1);
    assert_eq!(world.told(conn), [&all, "ping", "request_chain"]);
    world.pongs(conn);
    world.cx.pass(1);
    // So few are told one by one.
    world.answers(conn, same(5));
    assert_eq!(world.told(conn), ["block 5", "ping"]);
}

#[test]
fn one_that_is_apart_and_shorter_is_told_the_whole_chain() {
    let mut world = World::new(3);
    let conn = world.meets(D);
    world.told(conn);
    world.answers(conn, apart(3));
    assert_eq!(world.told(conn), ["chain 4 of 4", "ping", "request_chain"]);
    assert!(!world.mempool.queue.lengthen);
}

#[test]
fn at_a_tie_ours_is_made_longer_after_a_while_if_nothing_else_does_that() {
    for waits in [false, true] {
        let mut world = World::new(3);
        let conn = world.meets(D);
        world.told(conn);
        world.answers(conn, apart(4));
        world.live(limits::DELAY_MS - 1);
        assert!(!world.mempool.queue.lengthen);
        if waits {
            let request = vec![sign(1, Request, "a", 1)];
            world.mempool.add_request(world.cx.now.mono, None, request);
        }
        world.live(limits::DELAY_SPREAD_MS);
        assert_eq!(world.mempool.queue.lengthen, !waits);
        let told = world.told(conn);
        assert!(!told.iter().any(|word| word.starts_with("chain")));
        world.grow(1);
        assert_eq!(world.told(conn)[..2], ["chain 5 of 5", "ping"]);
    }
}

#[test]
fn while_a_chain_is_looked_at_nobody_is_asked_and_no_block_is_made_for_a_tie() {
    let mut world = World::new(3);
    let conn = world.meets(D);
    world.told(conn);
    world.free = false;
    world.answers(conn, apart(9));
    world.live(60_000);
    assert_eq!(
        world.told(conn),
        ["peer_announce"],
        "whom it knows, once a minute"
    );
    assert!(!world.mempool.queue.lengthen);
    assert_eq!(world.due().map(|at| at > world.now()), Some(true));
}

#[test]
fn one_whose_chain_does_not_link_is_left_to_its_monitor_before_it_is_told_ours() {
    let spoiled = |length, loose| End {
        loose,
        ..same(length)
    };
    for (end, longer) in [(spoiled(2, 1), false), (spoiled(3, 2), true)] {
        let mut world = World::new(3);
        let conn = world.meets(D);
        world.told(conn);
        world.answers(conn, end);
        world.live(limits::DESKTOP_MONITOR_MS / 2);
        assert_eq!(world.told(conn), ["request_chain"]);
        world.cx.pass(1);
        // Its time is not begun anew by what it says.
        world.answers(conn, end);
        world.live(limits::DESKTOP_MONITOR_MS / 2 - 2);
        assert_eq!(world.told(conn), [""; 0]);
        assert!(!world.mempool.queue.lengthen);
        world.live(1);
        assert_eq!(world.mempool.queue.lengthen, longer);
        if longer {
            world.grow(2);
        }
        let first = world.told(conn).into_iter().next();
        let all = if longer {
            "chain 6 of 6"
        } else {
            "chain 4 of 4"
        };
        assert_eq!(first.as_deref(), Some(all));
    }
}

#[test]
fn blocks_without_content_are_not_made_without_end() {
    let mut world = World::new(3);
    let conn = world.meets(D);
    world.told(conn);
    world.answers(conn, apart(20));
    let mut made = 0;
    for _ in 0..5 {
        world.live(limits::DELAY_MS + limits::DELAY_SPREAD_MS);
        if core::mem::take(&mut world.mempool.queue.lengthen) {
            world.grow(1);
            made += 1;
        }
    }
    assert_eq!(made, 5, "it is near");
    while world.desktops.remembered.allowance.take(world.cx.now.mono) {}
    let since = world.now().0;
    while !world.mempool.queue.lengthen {
        world.live(1_000);
        assert!(world.now().0 <= since + limits::EMPTY_BLOCK_MS);
    }
    assert!(world.now().0 > since + limits::DELAY_MS + limits::DELAY_SPREAD_MS);
}

#[test]
fn who_asks_is_told_that_nothing_is_lacking_or_the_whole_chain() {
    let mut world = World::new(3);
    let conn = world.in_step(D);
    world.desktop_mut(conn).asks = true;
    assert_eq!(world.told(conn), ["chain 0 of 4"]);
    let now = world.now();
    world.desktop_mut(conn).doubt(now);
    world.desktop_mut(conn).asks = true;
    assert_eq!(world.told(conn), ["chain 4 of 4", "ping", "request_chain"]);
    world.pongs(conn);
    world.desktop_mut(conn).asks = true;
    world.live(4_999);
    assert_eq!(world.told(conn), [""; 0]);
    world.live(1);
    assert_eq!(world.told(conn), ["chain 4 of 4", "ping"]);
}

#[test]
fn who_asks_and_tells_nothing_is_told_the_chain_after_a_while() {
    let mut world = World::new(3);
    let conn = world.meets(D);
    world.told(conn);
    world.desktop_mut(conn).asks = true;
    world.live(limits::DESKTOP_WORDS_MS - 1);
    assert_eq!(world.told(conn), [""; 0]);
    world.live(1);
    assert_eq!(world.told(conn), ["chain 4 of 4", "ping"]);
}

#[test]
fn a_device_hears_all_and_is_told_its_chain_and_asked_nothing() {
    let mut world = World::new(3);
    let conn = world.device();
    world.told(conn);
    for _ in 0..2 {
        world.grow(1);
        let height = world.cx.chain.tip().length - 1;
        world.peers.relay(Outgoing::Block(height), None);
        world.peers.relay(Outgoing::OwnBlock(height), None);
        let block = format!("block {height}");
        assert_eq!(world.told(conn), [&*block, &block]);
    }
    world.desktop_mut(conn).asks = true;
    assert_eq!(world.told(conn), ["chain 6 of 6"]);
    world.live(120_000);
    assert_eq!(world.told(conn), [""; 0]);
    assert_eq!(world.due(), None);
}

#[test]
fn a_full_disk_answers_with_nothing_and_tells_nothing() {
    let mut world = World::new(3);
    let conn = world.in_step(D);
    let device = world.device();
    world.told(device);
    world.grow(1);
    world.cx.chain.disk().room = Some(0);
    let mut block = crate::ledger::Block::behind(&world.cx.chain.tip(), world.cx.block_time());
    block.hash = block.content_hash();
    assert!(world.cx.chain.append(&block).is_err());
    assert!(world.cx.chain.fault().is_some());
    world.desktop_mut(conn).asks = true;
    world.desktop_mut(device).asks = true;
    assert_eq!(world.told(conn), ["chain 0 of 0"]);
    assert_eq!(world.told(device), ["chain 5 of 5"]);
    world.live(120_000);
    assert_eq!(world.told(conn), [""; 0]);
}

#[test]
fn two_desktop_nodes_are_asked_one_after_the_other() {
    let mut world = World::new(3);
    let conns = [world.in_step(D), world.in_step(E)];
    world.live(15_000);
    let [first, second] = conns.map(|conn| world.told(conn));
    assert_eq!(first, ["request_chain"]);
    assert_eq!(second, [""; 0]);
    world.live(limits::DESKTOP_TURN_MS - 1);
    assert_eq!(world.told(conns[1]), [""; 0]);
    world.live(1);
    assert_eq!(world.told(conns[1]), ["request_chain"], "one is silent");
    for conn in conns {
        world.answers(conn, same(4));
        world.cx.pass(100);
    }
    world.live(14_900);
    assert_eq!(world.told(conns[0]), ["request_chain"]);
    world.live(500);
    assert_eq!(world.told(conns[1]), [""; 0]);
    world.answers(conns[0], same(4));
    assert_eq!(world.told(conns[1]), ["request_chain"]);
}

#[test]
fn while_another_chain_is_looked_at_it_is_asked_nothing_and_put_in_place_told_nothing() {
    let mut world = World::new(3);
    let conn = world.in_step(D);
    world.free = false;
    world.live(30_000);
    assert_eq!(world.told(conn), [""; 0]);
    world.grow(1);
    world.reorg = true;
    assert_eq!(world.told(conn), [""; 0]);
    world.reorg = false;
    assert_eq!(world.told(conn), ["block 4", "ping"]);
    world.free = true;
    world.pongs(conn);
    assert_eq!(world.told(conn), ["request_chain"]);
}

#[test]
fn what_our_user_did_is_told_with_its_transactions_before_the_block() {
    let mut world = World::new(0);
    let conn = world.in_step(D);
    world.cx.append(vec![sign(1, Request, "a", 1)]);
    world.desktops.made_own(1);
    assert_eq!(world.told(conn), ["new_transaction", "block 1", "ping"]);
}

#[test]
fn a_block_with_something_void_is_told_only_in_the_chain() {
    let mut world = World::new(0);
    let conn = world.in_step(D);
    let request = sign(2, Request, "a", 1);
    world
        .cx
        .reorg(1, vec![vec![request], vec![sign(3, Request, "a", 1)]]);
    assert_eq!(world.told(conn), ["block 1", "ping"]);
    world.pongs(conn);
    assert_eq!(world.told(conn), ["chain 3 of 3", "ping", "request_chain"]);
}
