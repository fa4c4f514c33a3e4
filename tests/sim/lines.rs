//! Stories of signed lines: a device that can do no more than sign one and send it uses the LAN.

use blx::ledger::{Kind, Signature, Transaction, Verifier};
use blx::limits;

use crate::oracle::{self, Chain};
use crate::peer::{Ours, greeting, new_transaction, sign};
use crate::scenario::agree;
use crate::stories::star;
use crate::world::World;

/// The order of P-256's group.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
    0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The same transaction with the other signature that everybody can make of its own.
fn altered(transaction: &Transaction) -> Transaction {
    let (r, s) = transaction.signature.halves();
    let mut other = [0; 32];
    let mut borrow = 0;
    for at in (0..32).rev() {
        let difference = i16::from(ORDER[at]) - i16::from(s[at]) - borrow;
        borrow = i16::from(difference < 0);
        other[at] = difference.rem_euclid(256) as u8;
    }
    let signature = Signature::from_halves(r, other);
    let altered = Transaction {
        signature,
        ..transaction.clone()
    };
    assert!(Verifier::default().verify(&altered), "it is valid");
    altered
}

/// How many transactions a story heard of.
fn told(world: &mut World, call: usize) -> usize {
    world.heard(call).matches("\"new_transaction\"").count()
}

fn length(world: &mut World) -> usize {
    Chain::of(world, 0).length()
}

#[test]
fn a_signed_line_is_in_the_chain_after_two_to_five_seconds() {
    let mut delays = Vec::new();
    for seed in 0..8 {
        let mut world = star(seed, 2);
        let (call, other) = (world.call(0), world.call(0));
        world.run(100);
        let line = sign(Kind::Request, "drill", 7.5);
        world.say(call, &new_transaction(&line));
        let begun = world.now + world.delay;
        // Of a block of either.
        let taken = |world: &mut World| world.heard(call).contains("\"new_block\"");
        assert!(world.run_until(6_000, taken), "seed {seed}");
        // Half a second for all ways.
        let delay = world.now - begun;
        assert!((2_000..5_500).contains(&delay), "seed {seed}: {delay} ms");
        delays.push(delay);
        world.run(1_000);
        assert_eq!(Chain::of(&mut world, 1).count(&line), 1);
        assert_eq!(length(&mut world), 2);
        assert_eq!(told(&mut world, other), 1, "it is relayed once");
        assert_eq!(told(&mut world, call), 0, "not to who said it");
        world.cut(call);
        world.cut(other);
        oracle::check(&mut world);
    }
    delays.sort_unstable();
    assert!(delays[7] - delays[0] > 500, "chance: {delays:?}");
}

#[test]
fn a_signed_line_is_in_the_next_block_of_the_node_it_was_sent_to() {
    let mut world = star(1, 2);
    let call = world.call(0);
    let line = sign(Kind::Request, "drill", 7.5);
    world.say(call, &new_transaction(&line));
    world.run(500);
    world.type_in(0, "1\nsaw\n");
    world.run(500);
    assert_eq!(length(&mut world), 2);
    assert_eq!(Chain::of(&mut world, 0).count(&line), 1);
    world.run(10_000);
    assert_eq!(length(&mut world), 2);
    world.cut(call);
    oracle::check(&mut world);
}

#[test]
fn a_signed_line_does_not_wait_for_a_peer_that_promises_a_chain_and_does_not_tell_it() {
    for seed in 0..20 {
        let mut world = star(seed, 1);
        let (device, liar) = (world.call(0), world.call(0));
        world.say(device, &new_transaction(&sign(Kind::Request, "drill", 0.5)));
        world.run(limits::DELAY_MS - 500);
        let end = format!(", \"length\": 9, \"tip\": \"{}\"", "0".repeat(64));
        world.say(liar, &greeting(&Ours::new(7), &end));
        world.run(limits::LOOK_AHEAD_MS);
        assert!(world.heard(liar).contains("request_chain"), "{seed}");
        world.run(limits::DELAY_SPREAD_MS - limits::LOOK_AHEAD_MS + 700);
        assert!(world.heard(device).contains("new_block"), "{seed}");
    }
}

#[test]
fn a_line_that_is_impossible_or_not_signed_gets_nowhere() {
    let mut world = star(2, 2);
    let (call, other) = (world.call(0), world.call(0));
    let release = sign(Kind::Release, "drill", 7.5);
    let mut forged = sign(Kind::Request, "saw", 7.5);
    forged.uid = "axe".into();
    for line in [release, forged] {
        world.say(call, &new_transaction(&line));
    }
    world.run(8_000);
    assert_eq!(length(&mut world), 1);
    assert_eq!(told(&mut world, other), 0);
    world.cut(other);
    oracle::check(&mut world);
}

#[test]
fn an_old_line_that_is_sent_again_is_neither_mined_nor_relayed() {
    let mut world = star(3, 2);
    let call = world.call(0);
    let line = sign(Kind::Request, "drill", 7.5);
    world.say(call, &new_transaction(&line));
    world.run(7_000);
    world.type_in(1, "2\ndrill\n");
    world.run(1_000);
    assert_eq!(length(&mut world), 3);
    // It would be possible again.
    for at in 0..2 {
        let (replayer, other) = (world.call(at), world.call(at));
        world.run(100);
        world.say(replayer, &new_transaction(&line));
        world.run(1_000);
        world.say(replayer, &new_transaction(&altered(&line)));
        world.run(9_000);
        assert_eq!(told(&mut world, other), 0, "not relayed by {at}");
        assert_eq!(length(&mut world), 3, "not mined");
        world.cut(replayer);
        world.cut(other);
    }
    world.cut(call);
    oracle::check(&mut world);
}

#[test]
fn a_line_is_not_taken_twice_for_its_other_signature() {
    let mut world = star(4, 2);
    let call = world.call(0);
    let line = sign(Kind::Request, "drill", 7.5);
    world.say(call, &new_transaction(&line));
    world.say(call, &new_transaction(&altered(&line)));
    world.run(8_000);
    let chain = Chain::of(&mut world, 0);
    assert_eq!((chain.length(), chain.count(&line)), (2, 1));
    world.cut(call);
    oracle::check(&mut world);
}

#[test]
fn one_peer_can_fill_a_quarter_of_the_mempool_and_no_more() {
    let mut world = star(5, 2);
    let (many, few) = (world.call(0), world.call(0));
    let kilobyte = "x".repeat(900);
    for item in 0..300 {
        let line = sign(Kind::Request, &format!("many-{item}-{kilobyte}"), 7.5);
        world.say(many, &new_transaction(&line));
    }
    world.run(1_000);
    for item in 0..10 {
        let line = sign(Kind::Request, &format!("few-{item}"), 7.5);
        world.say(few, &new_transaction(&line));
    }
    world.run(10_000);
    let [reserved, _] = Chain::of(&mut world, 0).replay();
    let of = |name: &str| {
        let named = reserved.iter().filter(|item| item.starts_with(name));
        (named.clone().count(), named.map(String::len).sum::<usize>())
    };
    let ((many_taken, bytes), (few_taken, _)) = (of("many"), of("few"));
    // With what each costs besides its name: more than half of the share, and not beyond it.
    assert!(many_taken < 300, "all were taken");
    let share = blx::limits::MEMPOOL_BYTES_PER_PEER;
    assert!(
        (share / 2..share).contains(&bytes),
        "{bytes} bytes of names"
    );
    assert_eq!(few_taken, 10);
    world.cut(many);
    world.cut(few);
    oracle::check(&mut world);
}

#[test]
fn a_line_is_passed_on_to_one_that_connects_later_and_makes_the_block() {
    for seed in 0..6 {
        let mut world = star(seed, 1);
        let call = world.call(0);
        let line = sign(Kind::Request, "drill", 7.5);
        world.say(call, &new_transaction(&line));
        world.run(200);
        let late = world.add(&[0]);
        world.start(late);
        world.run(1_000);
        world.cut_power(0);
        world.run(6_000);
        let chain = Chain::of(&mut world, late);
        assert_eq!(chain.count(&line), 1, "seed {seed}");
        world.start(0);
        let linked = |world: &mut World| world.linked(0, late);
        assert!(world.run_until(70_000, linked));
        agree(&mut world);
        oracle::check(&mut world);
    }
}

#[test]
fn a_request_that_takes_a_while_survives_a_restart_and_is_told() {
    for seed in 0..4 {
        let mut world = World::new(seed);
        world.difficulty = 5;
        world.add(&[]);
        world.hosts[0].turn = 20;
        world.start(0);
        world.run(1_000);
        world.type_in(0, "1\ndrill\n");
        world.run(1_200);
        if world.shown(0).contains("✅ requested") {
            continue;
        }
        match seed % 2 {
            0 => world.cut_power(0),
            _ => world.stop(0, false),
        }
        let before = world.shown(0).len();
        world.start(0);
        let told = |world: &mut World| {
            let shown = world.shown(0)[before..].to_owned();
            let again = "your request of drill is in the chain";
            shown.contains("✅ requested drill") || shown.contains(again)
        };
        assert!(world.run_until(120_000, told), "{}", world.shown(0));
        let chain = Chain::of(&mut world, 0);
        assert_eq!(chain.length(), 2);
        let [reserved, _] = chain.replay();
        assert!(reserved.contains("drill"));
        // And that was it.
        world.stop(0, false);
        world.start(0);
        world.run(60_000);
        assert_eq!(length(&mut world), 2);
        oracle::check(&mut world);
    }
}
