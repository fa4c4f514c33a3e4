//! What comes from others without a block: who is believed, what is taken, and when it is made.

use core::net::IpAddr;

use super::admission::Admitted;
use super::tests::{OWN, World, alert, event, name_of};
use super::*;
use crate::ledger::{Kind, Signature};
use crate::node::answer::Answer;
use crate::node::effects::testing::sign;
use crate::node::effects::{Fault, Notice};
use Kind::{Release, Request};

/// The connection over which everything of peers comes.
const LINE: usize = 5;

/// So long what is not urgent waits at most.
const LATER_MS: u64 = limits::DELAY_MS + limits::DELAY_SPREAD_MS;

impl World {
    fn receive(&mut self, peer: u8, transaction: &Transaction) -> Result<Received, Fault> {
        let from = (IpAddr::from([10, 0, 0, peer]), LINE);
        self.mempool
            .receive(&mut self.cx, from, transaction.clone())
    }

    fn salvage(&mut self, due: Due, transaction: &Transaction) -> bool {
        self.mempool.salvage(&mut self.cx, due, transaction, None)
    }

    fn salvage_from_chain(
        &mut self,
        transaction: &Transaction,
        ended: Option<&Transaction>,
    ) -> bool {
        self.mempool
            .salvage_from_chain(&mut self.cx, transaction, ended)
    }

    /// Calls until nothing is to be done; returns what came in and is told to others.
    fn admits(&mut self) -> Vec<Admitted> {
        let done = self.rest().into_iter();
        done.filter_map(|done| done.admitted).collect()
    }
}

/// One that nobody signed, which is as good where no signature is checked.
fn unsigned(kind: Kind, name: &str, seconds: i128) -> Transaction {
    Transaction {
        uid: name.into(),
        signature: Signature::from_halves([1; 32], [1; 32]),
        ..sign(2, kind, "", seconds)
    }
}

#[test]
fn what_a_peer_sends_with_a_wrong_signature_is_a_fault() {
    let mut world = World::new();
    let mut wrong = sign(2, Request, "a", 1);
    wrong.uid = "b".into();
    let why = "a transaction: its signature does not verify";
    assert_eq!(world.receive(1, &wrong), Err(Fault::Rule(why.into())));
    assert!(world.mempool.is_empty() && world.cx.words().is_empty());
    assert_eq!(world.cx.checked, 1);
}

#[test]
fn what_a_peer_sends_is_taken_once_told_once_and_made_a_while_later() {
    let mut world = World::new();
    let good = sign(2, Request, "a", 1);
    assert_eq!(world.receive(1, &good), Ok(Received::Fine));
    let text = format!("[network 📨] request of a by {}", name_of(2));
    assert_eq!(world.cx.words(), [event(text)]);
    // While it is looked for, and when it waits, it is known.
    assert_eq!(world.receive(2, &good), Ok(Received::Fine));
    let admitted = world.admits();
    let [Admitted::Waits { number, from: LINE }] = admitted[..] else {
        panic!("{admitted:?}");
    };
    assert_eq!(world.mempool.queue.transaction(number), Some(&good));
    assert_eq!(world.receive(2, &good), Ok(Received::Fine));
    assert!(world.admits().is_empty() && world.cx.words().is_empty());
    assert_eq!(world.cx.checked, 1);
    world.live(limits::DELAY_MS - 1);
    assert!(world.blocks(1).is_empty());
    world.live(limits::DELAY_SPREAD_MS + 2);
    assert_eq!(world.blocks(1), [[good]]);
    let text = "[network 📦] made block #1 of what others asked for (1)";
    assert_eq!(world.cx.words(), [event(text)]);
}

#[test]
fn what_the_items_do_not_allow_is_told_to_be_impossible() {
    let mut world = World::new();
    world.comes(&[sign(2, Request, "a", 1)]);
    let impossible = Ok(Received::Impossible);
    assert_eq!(world.receive(1, &sign(3, Request, "a", 2)), impossible);
    assert_eq!(world.receive(1, &sign(3, Release, "b", 2)), impossible);
    assert!(!world.mempool.looks_up());
    // What waits counts as well, and what is only looked for when it does.
    for somebody in [3, 4] {
        let wanted = sign(somebody, Request, "b", 2);
        assert_eq!(world.receive(1, &wanted), Ok(Received::Fine));
    }
    assert!(matches!(
        world.admits()[..],
        [Admitted::Waits { .. }, Admitted::Impossible { from: LINE }]
    ));
    assert_eq!(world.receive(1, &sign(4, Request, "b", 2)), impossible);
    assert_eq!(
        world.receive(1, &sign(4, Release, "b", 3)),
        Ok(Received::Fine)
    );
    assert_eq!(world.admits().len(), 1);
}

#[test]
fn what_becomes_impossible_while_it_is_looked_for_is_not_taken() {
    let mut world = World::new();
    let late = sign(2, Request, "a", 1);
    assert_eq!(world.receive(1, &late), Ok(Received::Fine));
    world.comes(&[sign(3, Request, "a", 2)]);
    assert_eq!(world.admits(), [Admitted::Impossible { from: LINE }]);
    assert!(world.mempool.is_empty());
}

#[test]
fn what_is_in_the_chain_already_is_not_taken_however_deep_it_stands() {
    let mut world = World::new();
    let first = [sign(2, Request, "a", 0), sign(4, Request, "a", 1)];
    let back = sign(4, Release, "a", 0);
    world.comes(&[first[0].clone(), back, first[1].clone()]);
    world.comes(&[sign(4, Release, "a", 1)]);
    let depth = 2 * limits::HISTORY_PER_TURN + 2;
    for step in 2..depth {
        let kind = [Request, Release][step % 2];
        world.comes(&[sign(3, kind, "a", step as i128)]);
    }
    assert!(!world.holds("a"));
    let length = world.cx.chain.tip().length;
    for known in first {
        assert_eq!(world.receive(1, &known), Ok(Received::Fine));
        let turns = world.rest();
        assert!(turns.len() > 2, "no call reads more than a few blocks");
        assert!(turns.iter().all(|done| done.admitted.is_none()));
    }
    assert!(world.salvage_from_chain(&sign(3, Request, "a", 2), None));
    assert!(world.admits().is_empty());
    assert!(world.salvage(Due::Now, &sign(3, Request, "a", 4)));
    world.live(LATER_MS);
    assert_eq!(world.cx.chain.tip().length, length);
    assert!(world.mempool.is_empty());
    // It has never been there, and is of the same time.
    let other = sign(4, Request, "a", 2);
    assert_eq!(world.receive(1, &other), Ok(Received::Fine));
    assert_eq!(world.admits().len(), 1);
}

#[test]
fn a_new_end_of_the_chain_is_looked_at_although_the_look_was_half_done() {
    let mut world = World::new();
    for step in 0..2 * limits::HISTORY_PER_TURN {
        let kind = [Request, Release][step % 2];
        world.comes(&[sign(3, kind, "a", step as i128)]);
    }
    let wanted = sign(2, Request, "a", 1);
    assert_eq!(world.receive(1, &wanted), Ok(Received::Fine));
    assert!(world.turn().admitted.is_none() && world.mempool.looks_up());
    world.comes(&[wanted, sign(2, Release, "a", 2)]);
    assert!(world.admits().is_empty() && world.mempool.is_empty());
}

#[test]
fn a_name_that_no_menu_takes_is_not_taken_and_is_no_fault() {
    let mut world = World::new();
    let name = "x".repeat(limits::ITEM_BYTES_MAX);
    let long = sign(2, Request, &format!("{name}x"), 1);
    assert_eq!(world.receive(1, &long), Ok(Received::Fine));
    assert!(world.mempool.is_empty());
    let just = sign(2, Request, &name, 1);
    assert_eq!(world.receive(1, &just), Ok(Received::Fine));
    assert_eq!(world.admits().len(), 1);
}

#[test]
fn too_many_of_one_peer_are_dropped_and_another_ones_are_taken_until_they_expire() {
    let mut world = World::new();
    let long = "x".repeat(limits::ITEM_BYTES_MAX - 4);
    let of = |number| sign(2, Request, &format!("{number:04}{long}"), 1);
    let most = limits::MEMPOOL_BYTES_PER_PEER / limits::ITEM_BYTES_MAX;
    for number in 0..most {
        assert_eq!(world.receive(1, &of(number)), Ok(Received::Fine));
    }
    let taken = world.admits().len();
    assert!(taken > most / 4 && taken < most, "{taken}");
    assert_eq!(world.receive(2, &of(most)), Ok(Received::Fine));
    assert_eq!(world.admits().len(), 1);
    assert_eq!(world.receive(1, &of(most + 1)), Ok(Received::Fine));
    assert!(world.admits().is_empty());
    // Nothing is made of them while a longer chain comes in.
    let end = Millis(world.cx.now.mono.0 + limits::MEMPOOL_MS);
    world.ahead = Some(Millis(end.0 + 1));
    assert_eq!(world.mempool.queue.expires(), Some(end));
    world.live(limits::MEMPOOL_MS - 1);
    assert_eq!(world.waiting().len(), taken + 1);
    assert_eq!(world.due(), Some(end));
    world.live(1);
    world.rest();
    assert!(world.mempool.is_empty());
    assert_eq!(world.receive(1, &of(most + 1)), Ok(Received::Fine));
    assert_eq!(world.admits().len(), 1);
}

#[test]
fn what_is_ours_to_make_is_made_in_the_same_moment_and_what_is_not_a_while_later() {
    let mut world = World::new();
    let (now, later) = (sign(2, Request, "a", 1), sign(2, Request, "b", 1));
    assert!(world.salvage(Due::Later, &later) && world.salvage(Due::Now, &now));
    assert!(!world.salvage(Due::Now, &now), "it is known");
    world.rest();
    assert_eq!(world.blocks(1), [[now]]);
    world.live(limits::DELAY_MS - 1);
    assert_eq!(world.waiting(), core::slice::from_ref(&later));
    world.live(limits::DELAY_SPREAD_MS + 2);
    assert_eq!(world.blocks(2), [[later]]);
}

#[test]
fn what_waits_for_somebody_else_is_made_at_once_when_it_turns_out_to_be_ours_to_make() {
    let mut world = World::new();
    let transaction = sign(2, Request, "a", 1);
    assert_eq!(world.receive(1, &transaction), Ok(Received::Fine));
    world.rest();
    assert!(!world.salvage(Due::Later, &transaction));
    world.rest();
    assert!(world.blocks(1).is_empty());
    assert!(!world.salvage(Due::Now, &transaction));
    world.rest();
    assert_eq!(world.blocks(1), [[transaction]]);
}

#[test]
fn an_older_release_of_what_somebody_else_holds_does_not_count() {
    let mut world = World::new();
    world.comes(&[sign(3, Request, "a", 10), sign(4, Request, "b", 10)]);
    world.salvage(Due::Now, &sign(2, Release, "a", 5));
    world.salvage_from_chain(&sign(2, Release, "b", 5), None);
    world.live(LATER_MS + 1);
    assert!(world.holds("a") && world.holds("b") && world.mempool.is_empty());
    let text = format!(
        "[consensus] {}'s release of a came late: it was taken at block 1",
        name_of(2)
    );
    assert_eq!(world.cx.words(), [alert(text)]);
    // A younger one may be of that very request.
    world.salvage(Due::Now, &sign(2, Release, "a", 15));
    world.rest();
    assert!(!world.holds("a"));
}

#[test]
fn a_release_counts_only_for_the_request_that_it_was_made_for() {
    let mut world = World::new();
    let (hers, his) = (sign(2, Request, "a", 1), sign(3, Request, "a", 2));
    let release = sign(2, Release, "a", 9);
    world.comes(core::slice::from_ref(&his));
    assert!(world.salvage_from_chain(&release, Some(&hers)));
    world.live(LATER_MS + 1);
    assert!(world.holds("a") && world.mempool.is_empty());
    assert!(world.salvage_from_chain(&release, Some(&his)));
    world.live(LATER_MS + 1);
    assert!(!world.holds("a"));
}

#[test]
fn a_release_does_not_end_what_the_same_block_takes_for_somebody_else() {
    let mut world = World::new();
    let (hers, his) = (sign(2, Request, "a", 1), sign(3, Request, "a", 2));
    assert!(world.salvage_from_chain(&his, None));
    assert!(world.salvage_from_chain(&sign(2, Release, "a", 9), Some(&hers)));
    world.live(LATER_MS + 1);
    assert_eq!(world.blocks(1), [[his]]);
    assert!(world.mempool.is_empty());
}

#[test]
fn who_asked_too_late_is_told_of_once() {
    let mut world = World::new();
    world.comes(&[sign(3, Request, "a", 1)]);
    let late = sign(2, Request, "a", 2);
    for _ in 0..3 {
        assert!(world.salvage(Due::Now, &late));
        world.rest();
    }
    let text = format!(
        "[consensus] {}'s request of a came late: it was taken at block 1",
        name_of(2)
    );
    assert_eq!(world.cx.words(), [alert(text)]);
    // A peer's may come in any order, and nobody waits for one of a chain that lost.
    assert_eq!(
        world.receive(1, &sign(4, Request, "a", 2)),
        Ok(Received::Impossible)
    );
    world.cx.words();
    assert!(!world.salvage_from_chain(&sign(4, Request, "a", 3), None));
    world.rest();
    assert!(world.cx.words().is_empty());
}

#[test]
fn what_losing_chains_have_is_taken_up_to_its_bound() {
    let mut world = World::new();
    let long = "x".repeat(100_000);
    let of = |number: u8| unsigned(Request, &format!("{number}{long}"), 1);
    let taken: Vec<bool> = (0..12)
        .map(|number| world.salvage_from_chain(&of(number), None))
        .collect();
    let count = limits::RESTORED_BYTES / 100_000;
    assert!(world.mempool.is_half_full());
    assert!(taken[..count].iter().all(|taken| *taken), "{taken:?}");
    assert!(!taken[count..].iter().any(|taken| *taken), "{taken:?}");
    assert!(!world.salvage(Due::Now, &of(99)));
    world.live(LATER_MS + limits::LOOK_AGAIN_MS);
    assert_eq!(world.blocks(1).concat().len(), count);
    assert!(world.salvage_from_chain(&of(99), None));
}

/// Anybody does anything with one of a few items.
fn at_random(world: &mut World, number: u64, seconds: i128) -> usize {
    let name = ["a", "b", "c"][(number >> 8) as usize % 3];
    let kind = [Request, Release][(number >> 16) as usize % 2];
    let author = (number >> 24) as u8 % 3 + 2;
    let his = sign(author, kind, name, seconds);
    match number % 7 {
        0 => drop(world.receive(author, &his)),
        1 => drop(world.salvage(Due::Now, &his)),
        2 => drop(world.salvage(Due::Later, &his)),
        3 => drop(world.salvage_from_chain(&his, None)),
        4 => {
            let until = Millis(world.cx.now.mono.0 + limits::LOOK_AHEAD_MS);
            world.ahead = Some(until);
        }
        5 => world.own(sign(OWN, kind, name, seconds)),
        _ => {
            let request = [sign(OWN, kind, name, seconds)];
            if world.mempool.check(&world.cx, &request).is_ok() {
                world.request(&request);
                return 1;
            }
        }
    }
    0
}

#[test]
fn whoever_wakes_only_when_something_is_due_makes_all_of_it() {
    for seed in 0..30 {
        let mut world = World::new();
        let (mut requests, mut woken) = (0, 0);
        for step in 0..40 {
            let number = world.cx.jitter.number().wrapping_mul(2 * seed + 1) >> 8;
            requests += at_random(&mut world, number, step);
            // `rest` finds a time that is over while no block is wanted.
            woken += world.live([0, 0, 1, 50, 400, 3_000][(number >> 40) as usize % 6]);
        }
        woken += world.live(limits::LOOK_AHEAD_MS + LATER_MS + limits::LOOK_AGAIN_MS);
        assert!(
            world.mempool.is_empty(),
            "seed {seed}: {:?}",
            world.waiting()
        );
        assert_eq!(world.due(), None);
        assert!(woken < 200, "seed {seed}: woken {woken} times");
        let words = world.cx.words();
        let answers = words.iter().filter(|word| {
            use Answer::{Refused, Released, Requested};
            let ends = |answer: &Answer| matches!(answer, Requested(_) | Released(_) | Refused(_));
            matches!(word, Notice::Answer(Some(_), answer) | Notice::AnswerProgram(Some(_), answer)
                if ends(answer))
        });
        assert_eq!(answers.count(), requests, "seed {seed}: {words:?}");
    }
}

#[test]
fn what_is_looked_for_already_is_hastened_where_nobody_else_makes_it() {
    let mut world = World::new();
    let wanted = sign(2, Request, "a", 1);
    assert!(world.salvage(Due::Later, &wanted));
    assert!(!world.salvage(Due::Now, &wanted));
    world.rest();
    assert_eq!(world.blocks(1), [[wanted]]);
}

/// Or anybody could keep an item from others by sending again what was done with it before.
#[test]
fn what_is_old_and_looked_for_is_in_nobodys_way() {
    let mut world = World::new();
    let old = [sign(2, Request, "a", 1), sign(2, Release, "a", 2)];
    world.comes(&old);
    assert_eq!(world.receive(1, &old[0]), Ok(Received::Fine));
    let wanted = sign(3, Request, "a", 3);
    assert_eq!(world.receive(1, &wanted), Ok(Received::Fine));
    world.rest();
    world.cx.pass(LATER_MS);
    world.rest();
    assert_eq!(world.blocks(2), [[wanted]]);
}

/// What a desktop node said in one block is looked for one by one, which takes a small machine a while.
#[test]
fn what_is_looked_for_slowly_becomes_few_blocks() {
    const TURN_MS: u64 = 20;
    let mut world = World::new();
    let count = limits::TRANSACTIONS_PER_BLOCK;
    for number in 0..count {
        let wanted = sign(2, Request, &format!("item-{number}"), 1);
        assert!(world.salvage(Due::Now, &wanted));
    }
    while world.cx.chain.items().reserved() < count {
        world.turn();
        world.cx.pass(TURN_MS);
    }
    let looked = TURN_MS * count as u64;
    let most = looked / limits::LOOK_AGAIN_MS + 2;
    let blocks = world.cx.chain.tip().length - 1;
    assert!(blocks <= most, "{blocks} blocks");
}
