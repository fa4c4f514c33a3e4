//! A candidate that has to wait, is a desktop node's, or ends in a fault.

use super::tests::{DESKTOP, OTHER, OURS, World, alert, end_of, event, grow, told};
use super::*;
use crate::ledger::{Block, Kind, RuleError, Signature, Tip, Transaction};
use crate::node::effects::Fault;
use crate::node::effects::testing::sign;
use crate::store::bounds::Bounds;
use crate::store::disk::File;
use Kind::Request;

/// A desktop node's chain of these, which begins with a first block of its own.
fn desktops_chain(contents: &[&[Transaction]]) -> Vec<Block> {
    let nothing = Tip {
        length: 0,
        hash: Hash::ZERO,
    };
    grow(nothing, 77, &[&[&[][..]], contents].concat())
}

#[test]
fn a_chain_that_comes_while_another_one_is_looked_at_is_asked_for_when_that_is_over() {
    let mut world = World::new();
    let now = world.cx.now.mono;
    let blocks = world.fork(1, &[&[], &[]]);
    world.send(OURS, &blocks[..1]).expect("good");
    world.ask(OTHER);
    world
        .send(OTHER, &blocks[..1])
        .expect("no fault of its own");
    assert_eq!(world.sync.conn(), Some(OURS));
    let later = Millis(now.0 + limits::DEFERRED_MS);
    assert_eq!(
        (world.peer(OTHER).deferred, world.peer(OTHER).asked),
        (Some(later), None)
    );
    world.cx.pass(limits::DEFERRED_MS);
    assert_eq!(world.sync.tend(&world.cx, &mut world.peers), None);
    assert_eq!(
        world.peer(OTHER).asked,
        None,
        "the other one is still looked at"
    );
    world.peer(OTHER).deferred = Some(Millis(u64::MAX));
    world.send(OURS, &blocks[1..]).expect("good");
    assert!(world.end(OURS, None));
    world.sync.tend(&world.cx, &mut world.peers);
    assert_eq!(
        world.peer(OTHER).asked,
        None,
        "nor while it is put in place"
    );
    world.rest();
    let now = world.cx.now.mono;
    assert_eq!(world.peer(OTHER).deferred, Some(now));
    assert_eq!(world.sync.tend(&world.cx, &mut world.peers), None);
    assert_eq!(
        (world.peer(OTHER).deferred, world.peer(OTHER).asked),
        (None, Some(now))
    );
}

#[test]
fn a_chain_that_was_skipped_is_not_asked_for_before_its_time() {
    let mut world = World::new();
    let now = world.cx.now.mono;
    world.peer(OTHER).deferred = Some(Millis(now.0 + 1));
    world.sync.tend(&world.cx, &mut world.peers);
    assert_eq!(world.peer(OTHER).asked, None);
    world.cx.pass(1);
    world.sync.tend(&world.cx, &mut world.peers);
    assert!(world.peer(OTHER).asked.is_some());
}

#[test]
fn a_candidate_that_trickles_is_given_up_and_one_that_comes_on_is_not() {
    for count in [limits::PROGRESS_MIN - 1, limits::PROGRESS_MIN] {
        let mut world = World::new();
        let blocks = world.fork(1, &vec![&[][..]; count]);
        world.send(OURS, &blocks).expect("good");
        // Taking back nothing of ours is no progress, signatures are.
        world.cx.pass(limits::STALL_MS - 1);
        assert_eq!(world.sync.tend(&world.cx, &mut world.peers), None);
        world.cx.pass(1);
        let given_up = world.sync.tend(&world.cx, &mut world.peers);
        assert_eq!(given_up, (count < limits::PROGRESS_MIN).then_some(OURS));
        world.sync.comes_on(limits::PROGRESS_MIN - 1);
        world.cx.pass(limits::STALL_MS);
        let given_up = world.sync.tend(&world.cx, &mut world.peers);
        assert_eq!(given_up, Some(OURS), "what came before counts once");
    }
}

#[test]
fn a_desktop_nodes_chain_with_the_content_of_ours_costs_nothing() {
    let mut world = World::new();
    let (first, second) = ([sign(2, Request, "a", 1)], [sign(3, Request, "b", 1)]);
    world.comes(&first);
    world.comes(&second);
    let tip = world.cx.chain.tip();
    let written = world.cx.chain.bytes();
    let blocks = desktops_chain(&[&first, &second]);
    world.send(DESKTOP, &blocks).expect("good");
    let end = world.sync.end_of(DESKTOP).expect("it is looked at");
    assert!(end.same && !end.forked && end.length == 3);
    assert_eq!(
        (world.cx.chain.branch_tip(), world.staging_bytes()),
        (None, 0)
    );
    assert!(!world.end(DESKTOP, None));
    world.is_as_before(tip);
    assert!(world.waiting().is_empty());
    assert_eq!(world.cx.chain.bytes(), written);
}

#[test]
fn what_a_desktop_nodes_chain_has_more_is_made_again_as_blocks_of_ours() {
    let mut world = World::new();
    let (first, second) = ([sign(2, Request, "a", 1)], [sign(3, Request, "b", 1)]);
    let ours = world.comes(&first);
    let blocks = desktops_chain(&[&first, &second]);
    world.send(DESKTOP, &blocks).expect("good");
    assert!(world.end(DESKTOP, None));
    world.rest();
    let tip = world.cx.chain.tip();
    world.is_as_before(tip);
    let last = world.cx.chain.read(2).expect("reads").block;
    assert_eq!((last.index, last.prev_hash), (2, ours.hash));
    assert!(last.has_content_of(&blocks[2]) && last.hash != blocks[2].hash);
    assert_eq!(last.check_alone(0), Ok(()));
}

#[test]
fn a_desktop_nodes_chain_that_is_only_as_long_as_ours_does_not_win_by_its_hash() {
    let mut world = World::new();
    world.comes(&[sign(2, Request, "a", 1)]);
    let tip = world.cx.chain.tip();
    let lacking = sign(3, Request, "b", 1);
    let block = world.rival(true, core::slice::from_ref(&lacking));
    let genesis = world.cx.chain.read(0).expect("reads").block;
    world.send(DESKTOP, &[genesis, block]).expect("good");
    assert!(!world.end(DESKTOP, None));
    assert_eq!(world.sync.salvages_of(), Some(DESKTOP));
    world.rest();
    world.is_as_before(tip);
    assert_eq!(world.waiting(), [lacking]);
}

#[test]
fn a_chain_that_has_only_its_first_block_takes_a_desktop_nodes_chain_as_it_is() {
    let mut world = World::new();
    let blocks = desktops_chain(&[&[sign(2, Request, "a", 1)]]);
    world.send(DESKTOP, &blocks).expect("good");
    assert!(world.end(DESKTOP, None));
    world.rest();
    world.is_as_before(end_of(&blocks[1]));
}

#[test]
fn of_a_desktop_nodes_blocks_that_do_not_link_the_transactions_are_taken() {
    let mut world = World::new();
    let (first, second) = ([sign(2, Request, "a", 1)], [sign(3, Request, "b", 1)]);
    world.comes(&first);
    world.comes(&[]);
    let tip = world.cx.chain.tip();
    let mut blocks = desktops_chain(&[&first]);
    // Two threads have each made a block behind the same one; the other one of ours is known.
    let raced = blocks[1].clone();
    let behind = grow(end_of(&raced), 78, &[&second]).remove(0);
    blocks.extend([raced, behind]);
    world.send(DESKTOP, &blocks).expect("no fault");
    let end = world.sync.end_of(DESKTOP).expect("it is looked at");
    assert_eq!((end.length, end.loose, end.forked), (2, 2, false));
    assert!(!world.end(DESKTOP, None));
    world.is_as_before(tip);
    assert_eq!(world.waiting(), second);
}

#[test]
fn of_blocks_that_do_not_link_no_more_are_taken_when_there_were_enough() {
    const EACH: usize = limits::SALVAGED_MAX / 2;
    let mut world = World::new();
    world.comes(&[]);
    let model = Transaction {
        signature: Signature::from_halves([1; 32], [1; 32]),
        ..sign(2, Request, "", 1)
    };
    let named = |number: usize| Transaction {
        uid: format!("{number}").as_str().into(),
        ..model.clone()
    };
    let all: Vec<Transaction> = (0..3 * EACH).map(named).collect();
    let mut blocks = desktops_chain(&[]);
    for some in all.chunks(EACH) {
        let nowhere = Tip {
            length: 9,
            hash: Hash::ZERO,
        };
        blocks.extend(grow(nowhere, 78, &[some]));
    }
    world.send(DESKTOP, &blocks).expect("no fault");
    assert!(!world.end(DESKTOP, None));
    assert_eq!(world.waiting(), &all[..limits::SALVAGED_MAX]);
}

#[test]
fn a_wrong_link_or_hash_in_a_chain_of_one_of_ours_is_its_fault() {
    for (breaks, why) in [
        (
            true,
            "block 2: prev_hash is not the hash of the block before it",
        ),
        (false, "block 2: "),
    ] {
        let mut world = World::new();
        world.comes(&[]);
        let tip = world.cx.chain.tip();
        let mut blocks = world.fork(1, &[&[sign(2, Request, "a", 1)], &[], &[]]);
        match breaks {
            true => blocks[1].prev_hash = tip.hash,
            false => blocks[1].nonce += 1,
        }
        world.peer(OURS).tip = Some(end_of(&blocks[2]));
        world.ask(OURS);
        let fault = world.send(OURS, &blocks).expect_err("a fault");
        let Fault::ChainRule(text) = &fault else {
            panic!("{fault:?}");
        };
        assert!(text.starts_with(why), "{text}");
        assert!(world.staging_bytes() > 0);
        let reason = text.clone();
        world.fails(OURS, fault);
        world.is_as_before(tip);
        assert_eq!((world.peer(OURS).tip, world.peer(OURS).asked), (None, None));
        let words = [
            told(OURS, &format!("its chain is invalid, {reason}")),
            event(format!(
                "[consensus ❌] peer chain failed validation: {reason}"
            )),
        ];
        assert_eq!(world.cx.words(), words);
    }
}

#[test]
fn a_chain_beyond_a_limit_is_left_alone_for_a_while_and_told_once() {
    let none = Bounds::NONE;
    for (bounds, limit, way) in [
        (
            Bounds { items: 1, ..none },
            RuleError::TooManyItems(1),
            "more items",
        ),
        (
            Bounds { staging: 9, ..none },
            RuleError::ChainTooLong(9),
            "more room",
        ),
    ] {
        let mut world = World::new();
        let now = world.cx.now.mono;
        let tip = world.cx.chain.tip();
        world.cx.chain.set_bounds(bounds);
        let content = [sign(2, Request, "a", 1), sign(2, Request, "b", 1)];
        let blocks = world.fork(1, &[&content]);
        world.ask(OURS);
        world.peer(OURS).deferred = Some(now);
        let fault = world.send(OURS, &blocks);
        assert_eq!(fault, Err(Fault::Limit(limit.clone())));
        world.fails(OURS, Fault::Limit(limit.clone()));
        world.is_as_before(tip);
        let until = Millis(now.0 + limits::UNFOLLOWED_MS);
        let peer = world.peer(OURS);
        assert_eq!((peer.unfollowed, peer.deferred), (Some(until), None));
        let text = format!("[consensus ⚠️] a peer's chain is not followed: {limit} ({way}).");
        let words = [
            told(OURS, &format!("its chain is not followed: {limit}")),
            alert(text.clone()),
        ];
        assert_eq!(world.cx.words(), words);
        world.send(OURS, &blocks).expect("it is passed over");
        world.peer(OURS).ask(now);
        assert!(world.sync.is_free() && world.peer(OURS).asked.is_none());
        world.fails(OTHER, Fault::Limit(limit.clone()));
        assert_eq!(world.cx.words(), [], "the user knows it");
        world.cx.pass(limits::UNFOLLOWED_MS);
        world.sync.tend(&world.cx, &mut world.peers);
        assert_eq!(world.peer(OURS).unfollowed, None);
        world.fails(OTHER, Fault::Limit(limit));
        assert_eq!(world.cx.words(), [alert(text)]);
    }
}

#[test]
fn a_chain_for_which_the_disk_has_no_room_is_nobodys_fault() {
    let mut world = World::new();
    let tip = world.cx.chain.tip();
    let blocks = world.fork(1, &[&[sign(2, Request, "a", 1)]]);
    world.ask(OURS);
    world.cx.chain.disk().room = Some(10);
    let fault = world.send(OURS, &blocks).expect_err("no room");
    let Fault::Disk(error) = &fault else {
        panic!("{fault:?}");
    };
    let text = format!("[store ❌] a peer's chain was not looked at: {error}.");
    world.fails(OURS, fault);
    world.is_as_before(tip);
    let words = [told(OURS, "its chain was not looked at"), alert(text)];
    assert_eq!(world.cx.words(), words);
    assert_eq!(
        (world.peer(OURS).unfollowed, world.peer(OURS).asked),
        (None, None)
    );
    world.cx.chain.disk().room = None;
    world.send(OURS, &blocks).expect("there is room now");
    assert!(world.end(OURS, None));
    world.rest();
    world.is_as_before(end_of(&blocks[0]));
}

/// One whose chain has a hole where its second block was, and that block.
fn world_with_hole() -> (World, Block) {
    // So long that the blocks behind one are found without it.
    let long = |name: &str| sign(2, Request, &name.repeat(2 * limits::FILE_READ_BYTES), 1);
    let mut world = World::new();
    world.comes(&[long("a")]);
    let start = world.cx.chain.disk().live(File::Chain).len();
    let missing = world.comes(&[long("b")]);
    world.comes(&[long("c")]);
    world.cx.chain.disk().live(File::Chain)[start + 40] ^= 1;
    world.cx.chain.reopen().expect("reads");
    let (hole, tip) = (world.cx.chain.hole(), world.cx.chain.tip());
    assert_eq!((hole, tip.length), (Some(4), 2));
    (world, missing)
}

#[test]
fn a_hole_is_filled_with_what_a_peers_chain_has_there() {
    let (mut world, missing) = world_with_hole();
    world.send(OURS, &[missing]).expect("good");
    assert_eq!(
        (world.cx.chain.hole(), world.cx.chain.tip().length),
        (None, 4)
    );
    let tip = world.cx.chain.tip();
    // The rest of its chain is the same as ours.
    assert!(world.sync.is_free() && world.peer(OURS).asked.is_some());
    assert!(!world.end(OURS, Some(3)));
    world.is_as_before(tip);
}

#[test]
fn a_chain_that_does_not_fill_a_hole_is_looked_at_anew_and_counts_against_what_is_behind_it() {
    let (mut world, missing) = world_with_hole();
    let tip = world.cx.chain.tip();
    let long = "y".repeat(3 * limits::FILE_READ_BYTES);
    let blocks = world.fork(2, &[&[sign(3, Request, &long, 1)], &[]]);
    world.send(OURS, &blocks[..1]).expect("no fault of its own");
    world.is_as_before(tip);
    let peer = world.peer(OURS);
    assert!(peer.no_help && peer.asked.is_some());
    world.send(OURS, &blocks).expect("good");
    assert!(world.staging_bytes() > 0);
    assert!(
        !world.end(OURS, Some(4)),
        "not longer than what is behind the hole"
    );
    world.is_as_before(tip);
    world.send(OTHER, &[missing]).expect("good");
    assert_eq!(world.cx.chain.hole(), None);
}
