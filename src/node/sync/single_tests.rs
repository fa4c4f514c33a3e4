//! Blocks that come alone, without a node around them.

use super::*;
use crate::ledger::{Kind, Timestamp, Transaction};
use crate::node::effects::Notice;
use crate::node::effects::testing::sign;
use crate::node::sync::tests::{DESKTOP, OTHER, OURS, OWN, World, end_of, event, grow};
use crate::store::bounds::Bounds;
use Kind::Request;

/// A block comes on a line.
fn comes(world: &mut World, conn: usize, block: &Block) -> Result<(), Fault> {
    let (sync, cx, peers) = (&world.sync, &mut world.cx, &mut world.peers);
    sync.new_block(cx, peers, conn, Box::new(block.clone()))
}

/// Its signatures are good; true if it is the end of the chain now.
fn is_taken(world: &mut World, conn: usize) -> Result<bool, Fault> {
    let held = world.peer(conn).held.take().expect("a block is held");
    assert_eq!(held.origin, BlockOrigin::NewBlock);
    let (sync, cx, peers) = (&mut world.sync, &mut world.cx, &mut world.peers);
    sync.take_block(cx, peers, &mut world.mempool, conn, held.block)
}

/// The block behind our last one.
fn next(world: &World, transactions: &[Transaction]) -> Block {
    grow(world.cx.chain.tip(), world.cx.now.wall, &[transactions]).remove(0)
}

/// Whether the chain of a peer was asked for since this was called last.
fn was_asked(world: &mut World, conn: usize) -> bool {
    let peer = world.peer(conn);
    peer.asked.take().is_some() | peer.deferred.take().is_some()
}

fn is_rival(world: &mut World, block: &Block) -> bool {
    world.sync.is_rival(&mut world.cx, block)
}

/// Whether a block takes the place of our last one; if not, its chain is asked for.
fn takes_rival(world: &mut World, conn: usize, block: &Block) -> bool {
    let (sync, cx, peers) = (&mut world.sync, &mut world.cx, &mut world.peers);
    assert_eq!(sync.take_rival(cx, peers, conn, block), Ok(()));
    let taken = world.sync.is_reorg();
    assert_eq!(was_asked(world, conn), !taken);
    taken
}

#[test]
fn a_block_behind_our_last_one_is_taken_and_told_to_the_others() {
    let mut world = World::new();
    let block = next(&world, &[sign(2, Request, "a", 1)]);
    comes(&mut world, OURS, &block).expect("good");
    assert_eq!(is_taken(&mut world, OURS), Ok(true));
    world.is_as_before(end_of(&block));
    let words = [event("[network 📦] received and added block #1")];
    assert_eq!(world.cx.words(), words);
    assert!(world.peer(OURS).brought.is_some() && world.peer(OTHER).brought.is_none());
    assert!(world.peer(OURS).is_told() && !world.peer(OTHER).is_told());
    // It comes from another one as well.
    comes(&mut world, OTHER, &block).expect("it is known");
    assert!(world.peer(OTHER).held.is_none() && !was_asked(&mut world, OTHER));
}

#[test]
fn a_block_whose_place_is_taken_while_it_is_checked_is_looked_at_anew() {
    let mut world = World::new();
    let block = next(&world, &[]);
    comes(&mut world, OURS, &block).expect("good");
    world.comes(&[]);
    world.comes(&[]);
    let tip = world.cx.chain.tip();
    assert_eq!(is_taken(&mut world, OURS), Ok(false));
    assert!(world.peer(OURS).held.is_none() && !was_asked(&mut world, OURS));
    world.is_as_before(tip);
}

#[test]
fn a_block_of_a_longer_chain_is_asked_for_with_all_before_it() {
    let mut world = World::new();
    let tip = world.cx.chain.tip();
    let last = grow(tip, world.cx.now.wall, &[&[], &[]]).remove(1);
    comes(&mut world, OURS, &last).expect("good");
    assert_eq!(world.peer(OURS).tip, Some(end_of(&last)));
    assert_eq!(world.peer(OURS).seen, 2);
    assert!(world.peer(OURS).held.is_none() && was_asked(&mut world, OURS));
    world.is_as_before(tip);
}

#[test]
fn what_is_wrong_with_a_block_is_its_senders_fault_or_only_beyond_our_limits() {
    let mut world = World::new();
    world.comes(&[sign(2, Request, "a", 1)]);
    let mut wrong = next(&world, &[]);
    wrong.timestamp = Timestamp::Integer(9);
    let rule = comes(&mut world, OURS, &wrong);
    assert!(matches!(rule, Err(Fault::Rule(_))), "{rule:?}");
    assert!(!was_asked(&mut world, OURS));
    // Taken already: no block of ours may have that, a desktop node's chain may.
    let void = next(&world, &[sign(3, Request, "a", 2)]);
    comes(&mut world, OURS, &void).expect("it may stand in a chain");
    assert!(was_asked(&mut world, OURS));
    let (items, staging) = (1, u64::MAX);
    world.cx.chain.set_bounds(Bounds { items, staging });
    let more = next(&world, &[sign(3, Request, "b", 2)]);
    let taken = comes(&mut world, OURS, &more).and_then(|()| is_taken(&mut world, OURS));
    assert!(matches!(taken, Err(Fault::Limit(_))), "{taken:?}");
    assert!(world.peer(OURS).held.is_none());
}

#[test]
fn a_desktop_nodes_block_is_made_again_and_not_taken() {
    let mut world = World::new();
    let block = next(&world, &[sign(2, Request, "a", 1)]);
    comes(&mut world, DESKTOP, &block).expect("good");
    let held = world.peer(DESKTOP).held.take().expect("it is checked");
    assert_eq!(held.origin, BlockOrigin::Desktop);
}

#[test]
fn nothing_comes_where_nothing_is_written_any_more() {
    let mut world = World::new();
    let block = next(&world, &[]);
    comes(&mut world, OURS, &block).expect("good");
    world.cx.chain.disk().sync_fails = true;
    assert_eq!(is_taken(&mut world, OURS), Ok(false));
    assert!(world.cx.chain.fault().is_some());
    let words = world.cx.words();
    assert!(matches!(&words[..], [Notice::Alert(_)]), "{words:?}");
    comes(&mut world, OURS, &block).expect("passed over");
    assert!(world.peer(OURS).held.is_none() && !was_asked(&mut world, OURS));
}

#[test]
fn a_block_with_a_lower_hash_takes_the_place_of_our_last_one() {
    let mut world = World::new();
    let own = sign(OWN, Request, "a", 1);
    world.comes(core::slice::from_ref(&own));
    let before = world.cx.chain.tip();
    let higher = world.rival(false, &[]);
    assert!(!takes_rival(&mut world, OURS, &higher));
    world.is_as_before(before);
    let lower = world.rival(true, &[]);
    assert!(is_rival(&mut world, &lower));
    assert!(takes_rival(&mut world, OURS, &lower));
    assert!(world.sync.is_reorg() && !is_rival(&mut world, &lower));
    world.rest();
    world.is_as_before(end_of(&lower));
    assert_eq!(world.waiting(), [own]);
    let words = [
        event("[consensus 📡] received chain (length 2) vs ours (length 2)"),
        event("[consensus ✅] adopted equally long chain, its last hash is lower (2 blocks)"),
    ];
    assert_eq!(world.cx.words(), words);
}

#[test]
fn a_block_elsewhere_or_beside_another_chain_is_no_rival() {
    let mut world = World::new();
    world.comes(&[]);
    let lower = world.rival(true, &[]);
    let tip = world.cx.chain.tip();
    let behind = grow(tip, world.cx.now.wall, &[&[]]).remove(0);
    let nowhere = grow(Tip { length: 1, ..tip }, world.cx.now.wall, &[&[]]).remove(0);
    for block in [&behind, &nowhere] {
        assert!(!is_rival(&mut world, block));
    }
    let blocks = world.fork(1, &[&[], &[]]);
    world.send(OURS, &blocks[..1]).expect("good");
    assert!(!takes_rival(&mut world, OTHER, &lower));
    assert_eq!(world.sync.conn(), Some(OURS), "the candidate goes on");
}

#[test]
fn a_rival_for_which_there_is_no_room_is_told_and_ours_stays() {
    let mut world = World::new();
    world.comes(&[]);
    let tip = world.cx.chain.tip();
    let lower = world.rival(true, &[sign(2, Request, "a", 1)]);
    world.cx.chain.disk().room = Some(10);
    let (sync, cx, peers) = (&mut world.sync, &mut world.cx, &mut world.peers);
    assert_eq!(sync.take_rival(cx, peers, OURS, &lower), Ok(()));
    assert!(!world.sync.is_reorg() && world.peer(OURS).asked.is_none());
    world.is_as_before(tip);
    let words = world.cx.words();
    let [Notice::Alert(text)] = &words[..] else {
        panic!("{words:?}");
    };
    let begin = "[store ❌] a peer's block was not taken: ";
    assert!(text.starts_with(begin), "{text}");
}
