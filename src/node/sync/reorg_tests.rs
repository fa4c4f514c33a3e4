//! A reorg on its way.

use super::tests::{DESKTOP, OTHER, OURS, OWN, World, end_of, grow, told};
use super::*;
use crate::ledger::{Block, Kind, Transaction, tally};
use crate::node::effects::Notice;
use crate::node::effects::testing::sign;
use crate::node::peer;
use crate::store::disk::File;
use Kind::Request;

/// A fork that is complete and won, at the first block of ours.
fn won(world: &mut World, contents: &[&[Transaction]]) -> Vec<Block> {
    let blocks = world.fork(1, contents);
    world.ask(OURS);
    world.send(OURS, &blocks).expect("good");
    assert!(world.end(OURS, None) && world.sync.is_reorg());
    blocks
}

#[test]
fn what_a_reorg_takes_out_waits_to_be_made_again_behind_what_waited() {
    let mut world = World::new();
    let [own, other, shared] =
        [(OWN, "a"), (2, "b"), (3, "c")].map(|(author, name)| sign(author, Request, name, 1));
    world.comes(&[other.clone(), shared.clone()]);
    world.comes(core::slice::from_ref(&own));
    let last = sign(2, Kind::Release, "b", 2);
    let (mempool, cx) = (&mut world.mempool, &mut world.cx);
    assert!(mempool.salvage(cx, Due::Later, &last, Some(&other)));
    assert_eq!(world.waiting(), core::slice::from_ref(&last));
    won(&mut world, &[&[shared], &[], &[]]);
    world.rest();
    let waiting = world.waiting();
    assert_eq!(waiting.len(), 3, "{waiting:?}");
    assert_eq!(waiting[2], last);
    assert!(waiting.contains(&own) && waiting.contains(&other));
    assert!(world.mempool.has_own());
}

#[test]
fn the_new_chain_is_read_to_compare_it_only_with_what_waits_or_was_told_to_be_lost() {
    let read = |prepare: fn(&mut World)| {
        let mut world = World::new();
        let length = world.cx.chain.tip().length;
        let blocks = world.fork(length, &[&[sign(2, Request, "a", 1)], &[]]);
        prepare(&mut world);
        world.ask(OURS);
        world.send(OURS, &blocks).expect("good");
        assert!(world.end(OURS, None));
        while world.cx.chain.tip() != end_of(&blocks[1]) {
            world.step();
        }
        let before = tally::total().read;
        world.rest();
        assert!(!world.sync.is_reorg());
        tally::total().read - before
    };
    // The last block is told to others.
    let nothing = read(|_| ());
    let waits = |world: &mut World| {
        let waits = sign(3, Request, "b", 1);
        let (cx, mempool) = (&mut world.cx, &mut world.mempool);
        assert!(mempool.salvage(cx, Due::Later, &waits, None));
        assert_eq!(world.waiting(), [waits]);
    };
    assert!(read(waits) > nothing);
    let is_lost = |world: &mut World| {
        let lost = sign(OWN, Request, "c", 1);
        world.mempool.queue.lost.push_back(lost);
    };
    assert!(read(is_lost) > nothing);
}

#[test]
fn a_reorg_takes_its_time_in_steps_and_no_other_chain_is_looked_at_meanwhile() {
    let mut world = World::new();
    let blocks = won(&mut world, &vec![&[][..]; limits::BLOCKS_PER_TURN + 1]);
    let before = world.cx.chain.tip();
    world.step();
    assert_eq!(world.cx.chain.tip(), before, "not all of it is copied");
    let now = world.cx.now.mono;
    world
        .send(OTHER, &blocks[..1])
        .expect("no fault of its own");
    assert_eq!(
        world.peer(OTHER).deferred,
        Some(Millis(now.0 + limits::DEFERRED_MS))
    );
    assert_eq!((world.sync.conn(), world.sync.due()), (None, None));
    world.ask(OTHER);
    world.cx.pass(limits::ANSWER_MAX_MS);
    let now = world.cx.now.mono;
    assert_eq!(world.sync.tend(&world.cx, &mut world.peers), None);
    assert_eq!(
        world.peer(OTHER).asked,
        Some(now),
        "that time is ours, not theirs"
    );
    world.rest();
    world.is_as_before(end_of(blocks.last().expect("many")));
}

#[test]
fn a_reorg_that_loses_something_deep_keeps_the_branch_and_warns() {
    for (depth, alarms) in [
        (limits::ALARM_DEPTH, true),
        (limits::ALARM_DEPTH - 1, false),
    ] {
        let mut world = World::new();
        world.comes(&[sign(2, Request, "a", 1)]);
        let depth = usize::try_from(depth).expect("small");
        let mut old = world.cx.chain.tip();
        for _ in 0..depth {
            old = end_of(&world.comes(&[]));
        }
        let blocks = won(&mut world, &vec![&[][..]; depth + 2]);
        world.rest();
        let tip = end_of(&blocks[depth + 1]);
        world.is_as_before(tip);
        let kept = world.cx.chain.disk().live(File::Disconnected).len();
        assert_eq!(kept > 0, alarms);
        let words = world.cx.words();
        let named = |word: &Notice| {
            matches!(word, Notice::Alert(text)
                if text.contains(&old.hash.to_string())
                && text.contains(&tip.hash.to_string())
                && text.contains("from block 1 on"))
        };
        assert_eq!(words.iter().any(named), alarms, "{words:?}");
    }
}

#[test]
fn a_branch_that_cannot_be_kept_is_told_and_the_reorg_stands() {
    let mut world = World::new();
    let depth = usize::try_from(limits::ALARM_DEPTH).expect("small");
    world.comes(&[sign(2, Request, "a", 1)]);
    (0..depth).for_each(|_| drop(world.comes(&[])));
    let blocks = won(&mut world, &vec![&[][..]; depth + 2]);
    while world.cx.chain.branch_tip().is_some() {
        world.step();
    }
    world.cx.chain.disk().room = Some(0);
    world.rest();
    world.is_as_before(end_of(&blocks[depth + 1]));
    let words = world.cx.words();
    let told = |word: &Notice| matches!(word, Notice::Alert(text) if text.contains("the branch that was left cannot be kept"));
    assert!(words.iter().any(told), "{words:?}");
}

#[test]
fn a_full_disk_leaves_the_old_chain_and_whoever_asked_hears_so() {
    let mut world = World::new();
    world.comes(&[sign(OWN, Request, "a", 1)]);
    let tip = world.cx.chain.tip();
    won(&mut world, &[&[], &[]]);
    world.cx.chain.disk().room = Some(10);
    world.rest();
    assert!(world.sync.is_free());
    assert_eq!(world.cx.chain.tip(), tip);
    assert!(world.waiting().is_empty(), "nothing fell out");
    let words = world.cx.words();
    let full = matches!(&words[0], Notice::Alert(text)
        if text.contains("no space left") && text.contains("no new blocks are taken"));
    assert!(full, "{words:?}");
    assert_eq!(words[1..], [told(OURS, "its chain was not taken")]);
    let block = world.cx.chain.read(1).expect("it is still there").block;
    assert_eq!(end_of(&block), tip);
}

#[test]
fn a_branch_that_cannot_be_read_back_is_not_asked_for_again_at_once_and_ours_goes_on() {
    let mut world = World::new();
    world.comes(&[]);
    let tip = world.cx.chain.tip();
    let blocks = won(&mut world, &[&[], &[]]);
    world.peer(OURS).tip = Some(end_of(&blocks[1]));
    world.cx.chain.disk().live(File::Candidate).clear();
    world.rest();
    world.is_as_before(tip);
    assert_eq!(
        world.peer(OURS).asked,
        None,
        "it could fail like this for ever"
    );
    let words = world.cx.words();
    let not_taken = matches!(&words[0], Notice::Alert(text)
        if text.starts_with("[store ❌] a peer's chain was not taken: "));
    assert!(not_taken, "{words:?}");
    assert_eq!(words[1..], [told(OURS, "its chain was not taken")]);
    world.comes(&[]);
}

#[test]
fn a_disk_that_fails_leaves_the_old_chain_and_nothing_is_looked_at_any_more() {
    let mut world = World::new();
    world.comes(&[]);
    let tip = world.cx.chain.tip();
    let blocks = won(&mut world, &[&[], &[]]);
    world.cx.chain.disk().sync_fails = true;
    world.rest();
    assert!(world.sync.is_free());
    assert_eq!(
        (world.cx.chain.tip(), world.cx.chain.branch_tip()),
        (tip, None)
    );
    assert!(world.cx.chain.fault().is_some());
    let words = world.cx.words();
    let stops =
        matches!(&words[0], Notice::Alert(text) if text.contains("no new blocks are taken"));
    assert!(stops, "{words:?}");
    assert_eq!(words[1..], [told(OURS, "its chain was not taken")]);
    world.send(OURS, &blocks).expect("it is passed over");
    assert!(world.sync.is_free());
    let rival = world.rival(true, &[]);
    let (sync, cx, peers) = (&mut world.sync, &mut world.cx, &mut world.peers);
    assert_eq!(sync.take_rival(cx, peers, OURS, &rival), Ok(()));
    assert!(world.sync.is_free());
}

#[test]
fn a_reorg_that_a_restart_cut_off_still_makes_again_what_fell_out() {
    let mut world = World::new();
    let own = sign(OWN, Request, "a", 1);
    world.comes(core::slice::from_ref(&own));
    let blocks = won(&mut world, &[&[], &[]]);
    while world.cx.chain.branch_tip().is_some() {
        world.step();
    }
    assert!(world.sync.is_reorg() && !world.mempool.has_own());
    let disk = world.cx.chain.disk().clone();
    let mut world = World::on(disk, false);
    assert!(world.sync.is_reorg());
    world.rest();
    world.is_as_before(end_of(&blocks[1]));
    assert_eq!(world.waiting(), [own]);
}

#[test]
fn a_reorg_is_told_to_all_but_whom_it_came_from_who_is_asked_on_if_he_has_more() {
    for more in [false, true] {
        let mut world = World::new();
        for conn in [OURS, OTHER, DESKTOP] {
            world.peer(conn).kind = peer::Kind::Unknown;
        }
        // Who has not spoken yet remembers that there was something to be told.
        world.comes(&[]);
        let blocks = won(&mut world, &[&[], &[]]);
        world.peer(OURS).asked = None;
        let last = &blocks[1];
        let further = grow(end_of(last), world.cx.now.wall, &[&[]]).remove(0);
        world.peer(OURS).tip = more.then(|| end_of(&further));
        world.rest();
        let missed = [OURS, OTHER, DESKTOP].map(|conn| world.peer(conn).missed);
        assert_eq!(missed, [false, !more, !more]);
        assert_eq!(world.peer(OURS).asked.is_some(), more);
    }
}
