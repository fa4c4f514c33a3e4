//! The transactions of disconnected blocks: made again if the new chain lacks them, in their order.

use super::tests::{OWN, World, alert, event};
use super::*;
use crate::ledger::{Kind, Signature};
use crate::node::answer::Answer;
use crate::node::effects::Notice;
use crate::node::effects::testing::sign;
use crate::store::branch::DisconnectedBlocks;
use crate::store::disk::File;
use crate::store::disk::memory::MemoryDisk;
use Kind::{Release, Request};

/// So long what is not urgent waits at most, and whoever looks again a moment too early.
const LATER_MS: u64 = limits::DELAY_MS + limits::DELAY_SPREAD_MS + limits::LOOK_AGAIN_MS;

/// What fits into memory of the others of [`many`].
const FIT: usize = limits::RESTORED_BYTES / LONG;

/// So many of twice as many, with ours, nobody else makes again.
const KEPT: usize = 2 * FIT - 20;

/// Bytes of a name.
const LONG: usize = 20_000;

impl World {
    /// The chain from `fork` on is another one; returns the blocks that this disconnects.
    fn reorg(&mut self, fork: u64, blocks: &[&[Transaction]]) -> DisconnectedBlocks {
        let blocks = blocks.iter().map(|block| block.to_vec()).collect();
        let disconnected = self.cx.reorg(fork, blocks);
        self.mempool.making = None;
        self.mempool.reorged(fork);
        disconnected
    }

    /// Sorts disconnected blocks, without a rest; true if they are alarming.
    fn sort(&mut self, disconnected: &DisconnectedBlocks) -> bool {
        let (mempool, cx) = (&mut self.mempool, &mut self.cx);
        let (mut gathered, mut rest) = (Gathered::to(disconnected.from), None);
        let deep = disconnected.to.saturating_sub(limits::ALARM_DEPTH);
        let (mut waited, mut alarming) = (mempool.queue.take_others(), false);
        while gathered.next() < disconnected.to {
            let mut lost = DisconnectedTransactions::default();
            while !mempool.gather(cx, disconnected, &mut gathered, &mut lost) {}
            if gathered.next() == disconnected.to {
                for batch in core::mem::take(&mut waited) {
                    lost.add(disconnected.to, batch);
                }
            }
            let mut next = disconnected.from;
            while !mempool.confirm_known(cx, &mut next, &mut lost, deep) {}
            alarming |= lost.is_alarming(deep);
            mempool.make_again(cx, lost, (disconnected, disconnected.from), &mut rest);
            mempool.save(cx);
        }
        if let Some(rest) = rest {
            mempool.keep_outside(rest);
        }
        mempool.tip_changed(cx);
        alarming
    }

    fn falls_out(&mut self, fork: u64, blocks: &[&[Transaction]]) -> bool {
        let disconnected = self.reorg(fork, blocks);
        self.sort(&disconnected)
    }
}

/// Requests of somebody else, with names so long that not all fit into memory; in front of them, in
/// the middle and at the end one of ours.
fn many(count: usize) -> Vec<Transaction> {
    let other = Transaction {
        signature: Signature::from_halves([1; 32], [1; 32]),
        ..sign(2, Request, "", 1)
    };
    let name = "x".repeat(LONG);
    let others = (0..count).map(|number| Transaction {
        uid: format!("{number:03}{name}").as_str().into(),
        ..other.clone()
    });
    let mut all: Vec<Transaction> = others.collect();
    all.insert(count / 2, sign(OWN, Request, "middle", 1));
    all.insert(0, sign(OWN, Request, "first", 1));
    all.push(sign(OWN, Request, "last", 1));
    all
}

/// A world whose chain has lost all of these, in blocks of five, behind two blocks that stay.
fn world_that_lost(all: &[Transaction]) -> World {
    let mut world = World::new();
    world.comes(&[]);
    world.comes(&[]);
    for some in all.chunks(5) {
        world.comes(some);
    }
    let length = world.cx.chain.tip().length;
    let empty: Vec<&[Transaction]> = (2..length).map(|_| &[][..]).collect();
    world.falls_out(3, &empty);
    world
}

#[test]
fn what_fell_out_comes_back_in_its_order_and_not_what_the_new_chain_has() {
    let mut world = World::new();
    let (shared, own) = (sign(2, Request, "a", 1), sign(OWN, Request, "c", 3));
    let lost = [sign(2, Release, "a", 2), sign(3, Request, "b", 2)];
    world.comes(&[shared.clone(), sign(4, Request, "d", 1)]);
    world.comes(&lost);
    world.comes(core::slice::from_ref(&own));
    world.other(sign(3, Release, "b", 4));
    let also = sign(4, Request, "d", 1);
    let alarming = world.falls_out(1, &[&[also], &[shared], &[], &[]]);
    assert!(!alarming, "it did not stand deep");
    world.rest();
    // Ours is made at once; whoever made the others makes them again first, if they are there.
    assert_eq!(world.blocks(5), [[own]]);
    let text = "[consensus ✅] your request of c is in the chain again, block #5";
    assert_eq!(world.cx.words(), [event(text)]);
    world.live(LATER_MS);
    let [release, request] = lost;
    let behind = sign(3, Release, "b", 4);
    assert_eq!(world.blocks(6), [[release, request, behind]]);
    assert!(world.mempool.is_empty());
}

#[test]
fn what_somebody_makes_again_before_us_is_not_made_twice() {
    let mut world = World::new();
    let lost = [sign(2, Request, "a", 1), sign(OWN, Request, "b", 1)];
    world.comes(&lost);
    world.falls_out(1, &[&[], &[]]);
    world.comes(&lost);
    assert!(world.mempool.is_empty());
    let text = "[consensus ✅] your request of b is in the chain again, block #3";
    assert_eq!(world.cx.words(), [event(text)]);
}

#[test]
fn a_release_that_fell_out_does_not_end_what_somebody_else_took_meanwhile() {
    let mut world = World::new();
    world.comes(&[sign(OWN, Request, "a", 1), sign(OWN, Request, "b", 1)]);
    let back = |name| sign(OWN, Release, name, 2);
    world.comes(&[back("a"), back("b")]);
    // Of one the request is shared, of the other there is another one now.
    let theirs = [sign(OWN, Request, "a", 1), sign(3, Request, "b", 1)];
    world.falls_out(1, &[&theirs, &[], &[]]);
    let waiting = world.waiting();
    assert_eq!(waiting.len(), 3, "{waiting:?}");
    world.rest();
    assert!(!world.holds("a") && world.holds("b"));
    let lost = |verb| {
        let name = super::tests::name_of(3);
        format!("[consensus] your {verb} of b lost to {name} at block 1")
    };
    let words = world.cx.words();
    for verb in ["request", "release"] {
        assert!(words.contains(&alert(lost(verb))), "{verb}: {words:?}");
    }
    assert!(world.mempool.is_empty());
}

#[test]
fn a_release_knows_what_it_ended_before_the_fork_in_the_branch_and_in_its_block() {
    let mut world = World::new();
    let request = |name| sign(OWN, Request, name, 1);
    let release = |name| sign(OWN, Release, name, 2);
    world.comes(&[request("a")]);
    world.comes(&[request("b")]);
    let block = [request("c"), release("a"), release("b"), release("c")];
    world.comes(&block);
    world.falls_out(2, &[&[], &[], &[]]);
    let all = world.mempool.queue.iter();
    let ended: Vec<_> = all.filter_map(|batch| batch.ended.clone()).collect();
    assert_eq!(ended, [request("a"), request("b"), request("c")]);
    // That is kept over a restart.
    let mut world = world.restarted();
    world.turn();
    let saved = waiting::read(world.cx.chain.disk()).expect("reads").0;
    let ended: Vec<_> = saved.into_iter().filter_map(|its| its.ended).collect();
    assert_eq!(ended, [request("a"), request("b"), request("c")]);
    world.rest();
    assert!(world.mempool.is_empty() && !["a", "b", "c"].iter().any(|name| world.holds(name)));
}

#[test]
fn what_is_lost_or_changes_its_place_deep_in_the_chain_is_alarming() {
    let deep = usize::try_from(limits::ALARM_DEPTH).expect("small") + 1;
    let of = |author, name| {
        let (taken, back) = (Request, Release);
        [sign(author, taken, name, 1), sign(author, back, name, 2)]
    };
    let first = [of(2, "a"), of(3, "a"), of(2, "b")].concat();
    let moved = [of(2, "b"), of(2, "a"), of(3, "a")].concat();
    let changed = [of(3, "a"), of(2, "a"), of(2, "b")].concat();
    for (theirs, alarms) in [
        (&first[..], false),
        (&moved[..], false),
        (&first[..5], true),
        (&changed[..], true),
    ] {
        let mut world = World::new();
        world.comes(&first);
        for _ in 0..deep {
            world.comes(&[]);
        }
        let mut blocks: Vec<&[Transaction]> = vec![theirs];
        blocks.resize(deep + 2, &[]);
        assert_eq!(world.falls_out(1, &blocks), alarms, "{theirs:?}");
    }
}

#[test]
fn what_there_is_no_room_for_waits_outside_and_comes_as_the_mempool_drains() {
    let all = many(2 * FIT);
    let mut world = world_that_lost(&all);
    assert!(world.mempool.waits_outside() && world.mempool.has_own());
    let restored = world.mempool.queue.usage().restored();
    assert!(restored <= limits::RESTORED_BYTES && restored > limits::RESTORED_BYTES / 2);
    let length = world.cx.chain.tip().length;
    for _ in 0..10 {
        world.live(LATER_MS);
        assert!(world.mempool.queue.usage().restored() <= limits::RESTORED_BYTES);
    }
    assert!(world.mempool.is_empty());
    let made = world.blocks(length).concat();
    let of = |own: bool, list: &[Transaction]| -> Vec<Transaction> {
        let named = |t: &&Transaction| (t.requester == world.mempool.own) == own;
        list.iter().filter(named).cloned().collect()
    };
    for own in [false, true] {
        assert_eq!(of(own, &made), of(own, &all), "each once, in their order");
    }
}

#[test]
fn ours_that_waits_outside_survives_a_restart_and_the_others_answer_for_theirs() {
    let all = many(2 * FIT);
    let mut world = world_that_lost(&all);
    world.rest();
    assert!(!world.holds("last") && world.mempool.waits_outside());
    world.mempool.report_unfinished(&mut world.cx);
    let text = "not done yet: request of last; it is tried again at the next start.";
    let told = Notice::AnswerProgram(None, Answer::Refused(text.into()));
    assert!(world.cx.words().contains(&told));
    let mut world = world.restarted();
    world.rest();
    assert!(world.holds("middle") && world.holds("last") && world.mempool.is_empty());
}

#[test]
fn what_waits_outside_is_compared_with_the_chain_of_the_day_on_which_it_comes() {
    let all = many(2 * FIT);
    let middle = sign(OWN, Request, "middle", 1);
    let mut theirs = all[KEPT..].to_vec();
    theirs.push(middle.clone());
    for compares in [false, true] {
        let mut world = world_that_lost(&all);
        while compares && world.mempool.disconnected[0].compared.is_none() {
            world.turn();
            if !world.cx.effects.busy {
                world.cx.pass(LATER_MS);
            }
        }
        let length = world.cx.chain.tip().length;
        // Somebody else has made some, in a chain that leaves ours still earlier.
        let again: Vec<&[Transaction]> = theirs.rchunks(5).collect();
        let mut blocks: Vec<&[Transaction]> = vec![&[]; usize::try_from(length).expect("small")];
        blocks[..again.len()].copy_from_slice(&again);
        world.falls_out(1, &blocks);
        let length = world.cx.chain.tip().length;
        for _ in 0..10 {
            world.live(LATER_MS);
        }
        let made = world.blocks(length).concat();
        let mut ours = all[..KEPT].iter().filter(|t| **t != middle);
        assert_eq!(made.len(), KEPT - 1);
        assert!(ours.all(|t| made.contains(t)));
        assert!(world.mempool.is_empty());
        let lost = |word: &Notice| matches!(word, Notice::Alert(_));
        assert!(!world.cx.words().iter().any(lost), "ours is there");
    }
}

#[test]
fn by_the_users_wish_nothing_is_made_again_and_ours_is_told_as_lost() {
    let mut world = World::on(MemoryDisk::default(), 0, true);
    let own = sign(OWN, Request, "a", 1);
    world.comes(&[own.clone(), sign(2, Request, "b", 1)]);
    let from = (core::net::IpAddr::from([10, 0, 0, 1]), 0);
    let told = sign(3, Request, "c", 1);
    let (mempool, cx) = (&mut world.mempool, &mut world.cx);
    mempool.receive(cx, from, told.clone()).expect("good");
    world.rest();
    world.cx.words();
    world.falls_out(1, &[&[], &[]]);
    let why = "another chain was longer, and nothing is made again (that is dropped)";
    let text = format!("[consensus ❌] your request of a is lost: {why}.");
    assert_eq!(world.cx.words(), [alert(text)]);
    assert!(!world.mempool.has_own() && world.mempool.drops());
    let other = sign(2, Request, "b", 1);
    let (mempool, cx) = (&mut world.mempool, &mut world.cx);
    assert!(!mempool.salvage(cx, Due::Now, &other, None));
    world.live(LATER_MS);
    assert_eq!(world.blocks(3), [[told]], "what a peer sent never fell out");
    world.cx.words();
    world.falls_out(1, &[&[], &[], &[own], &[]]);
    let text = "[consensus ✅] your request of a counts after all, block #3";
    assert_eq!(world.cx.words(), [event(text)]);
}

#[test]
fn what_is_looked_for_after_a_start_and_turns_out_to_have_fallen_out_is_made_once() {
    let mut world = World::new();
    let own = sign(OWN, Request, "a", 1);
    world.own(own.clone());
    let mut world = world.restarted();
    world.cx.append(vec![own.clone()]);
    assert!(world.mempool.looks_up() && world.mempool.queue.is_empty());
    world.falls_out(1, &[&[], &[]]);
    assert!(!world.mempool.looks_up());
    assert_eq!(world.waiting(), core::slice::from_ref(&own));
    world.rest();
    assert_eq!(world.blocks(3), [[own]]);
}

#[test]
fn a_block_that_cannot_be_read_costs_only_what_it_has() {
    let mut world = World::new();
    world.comes(&[sign(OWN, Request, "a", 1)]);
    let start = world.cx.chain.disk().live(File::Chain).len();
    // So long that the one behind it is found without it.
    let long = "x".repeat(2 * limits::FILE_READ_BYTES);
    world.comes(&[sign(OWN, Request, &long, 1)]);
    world.comes(&[sign(OWN, Request, "b", 1)]);
    let disconnected = world.reorg(1, &[&[], &[], &[], &[]]);
    world.cx.chain.disk().live(File::Chain)[start + 40] ^= 1;
    // What was read before is not kept beside this.
    world.cx.chain.read(4).expect("reads");
    world.sort(&disconnected);
    let words = world.cx.words();
    let told = "block 2 of the old chain cannot be read, so its transactions are not made";
    assert!(
        matches!(&words[0], Notice::Alert(text) if text.contains(told)),
        "{words:?}"
    );
    world.rest();
    assert!(world.holds("a") && !world.holds(&long) && world.holds("b"));
}

#[test]
fn ours_outside_survives_a_restart_where_none_of_ours_has_room() {
    let mut all = many(2 * FIT);
    all.remove(0);
    let mut world = world_that_lost(&all);
    world.rest();
    let mut world = world.restarted();
    world.rest();
    assert!(world.holds("middle") && world.holds("last"));
}
