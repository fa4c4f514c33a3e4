//! Void transactions (PROTOCOL.md section 3): in a chain they are valid and change nothing; alone
//! nobody takes them.

use std::rc::Rc;

use blx::ledger::{Block, Kind};

use crate::oracle::{self, Chain};
use crate::peer::{
    Speaker, behind, call_ours, chain_of, chain_response, longer, new_block, new_transaction, sign,
};
use crate::scenario::connect;
use crate::stories::star;
use crate::world::World;

/// The void transactions behind which a chain goes on.
const VOID: usize = 5;

/// A chain that goes on where that of a host ends: every kind of void transaction, and something
/// behind it of which each would be another chain's.
fn with_void(world: &mut World, host: usize) -> Vec<Block> {
    let chain = chain_of(world, host);
    and_void(world, chain)
}

/// The same behind this chain.
fn and_void(world: &World, mut chain: Vec<Block>) -> Vec<Block> {
    let twice = sign(Kind::Request, "saw", 1.0);
    let steps = [
        vec![twice.clone(), twice.clone()],
        vec![
            sign(Kind::Request, "saw", 2.0),
            sign(Kind::Release, "axe", 2.0),
            sign(Kind::Request, "cup", 2.0),
        ],
        vec![
            sign(Kind::Release, "saw", 3.0),
            sign(Kind::Release, "saw", 3.5),
        ],
        vec![sign(Kind::Request, "saw", 4.0), twice],
    ];
    for step in steps {
        let block = behind(world, &chain, step);
        chain.push(block);
    }
    chain
}

/// A desktop node whose threads have made this chain, connected to a host.
fn desktop_with(world: &mut World, chain: &[Block], host: usize) -> usize {
    let desktop = world.add_desktop();
    let blocks = chain.iter().cloned().map(Rc::new);
    world.restore(desktop, Some(blocks.collect()));
    world.start(desktop);
    connect(world, desktop, host);
    desktop
}

/// What the hosts of this project say: everybody the same chain, these items in it.
fn check(world: &mut World, reserved: &[&str], available: &[&str]) {
    oracle::check(world);
    for host in world.ours() {
        let names = Chain::of(world, host).replay();
        let names = names.map(|names| names.into_iter().collect::<Vec<_>>());
        assert_eq!(names, [reserved, available]);
    }
}

#[test]
fn a_longer_chain_with_void_transactions_is_everybodys() {
    let mut world = star(1, 3);
    world.type_in(0, "1\nkey\n");
    world.run(2_000);
    let chain = with_void(&mut world, 0);
    let desktop = desktop_with(&mut world, &chain, 0);
    world.run(10_000);
    assert!(world.linked(desktop, 0), "no strikes");
    assert!(chain_of(&mut world, 2) == chain, "it is adopted as it is");
    assert_eq!(Chain::of(&mut world, 2).void().len(), VOID);
    check(&mut world, &["cup", "key", "saw"], &[]);

    // The items are right behind it, after a start too.
    world.stop(2, false);
    world.start(2);
    world.run(15_000);
    world.type_in(2, "2\nsaw\n");
    world.run(5_000);
    check(&mut world, &["cup", "key"], &["saw"]);
}

#[test]
fn void_transactions_of_a_chain_that_is_made_again_are_made_with_it() {
    let mut world = star(5, 3);
    // Its chain has the same content as ours in other blocks, and goes on.
    let first = longer(&world, Vec::new(), 1);
    world.type_in(0, "1\nkey\n");
    world.run(2_000);
    let ours = chain_of(&mut world, 0);
    let mut remade = first;
    let block = behind(&world, &remade, ours[1].transactions.clone());
    remade.push(block);
    let theirs = and_void(&world, remade);
    let desktop = desktop_with(&mut world, &theirs, 0);
    world.run(20_000);
    assert!(world.linked(desktop, 0), "no strikes");
    let chain = chain_of(&mut world, 2);
    assert!(chain.starts_with(&ours), "no block of ours is given up");
    assert_eq!(chain.len(), theirs.len());
    for (own, its) in chain.iter().zip(&theirs) {
        assert_eq!(own.transactions, its.transactions);
    }
    assert_eq!(Chain::of(&mut world, 2).void().len(), VOID);
    check(&mut world, &["cup", "key", "saw"], &[]);
}

#[test]
fn what_is_void_is_taken_out_again_without_a_trace() {
    let mut world = star(2, 2);
    world.type_in(0, "5\nkey,axe\n");
    world.run(2_000);
    let shared = chain_of(&mut world, 0);
    let chain = with_void(&mut world, 0);
    let desktop = desktop_with(&mut world, &chain, 1);
    world.run(10_000);
    // Its release of the axe counts: it is held there.
    check(&mut world, &["cup", "key", "saw"], &["axe"]);
    let mut other = shared;
    while other.len() <= chain.len() {
        let name = format!("other-{}", other.len());
        let block = behind(&world, &other, vec![sign(Kind::Request, &name, 9.0)]);
        other.push(block);
    }
    let call = call_ours(&mut world, 1);
    world.say(call, &chain_response(&other));
    world.run(20_000);
    world.cut(call);
    let chain = Chain::of(&mut world, 0);
    chain.check_once();
    let [reserved, available] = chain.replay();
    let names = |names: &std::collections::BTreeSet<String>| {
        let known = names.iter().filter(|name| !name.starts_with("other"));
        known.cloned().collect::<Vec<_>>()
    };
    // What was not void in the chain before is made again behind the other one.
    assert_eq!(names(&reserved), ["cup", "key", "saw"]);
    assert_eq!(names(&available), ["axe"]);
    assert!(chain.void().is_empty(), "{:?}", chain.void());
    assert_eq!(world.file(desktop).len(), chain.length());
    oracle::check(&mut world);
}

#[test]
fn alone_a_void_transaction_is_refused_and_is_no_misbehaviour() {
    let mut world = star(3, 2);
    world.type_in(0, "1\nsaw\n");
    world.run(2_000);
    let ours = chain_of(&mut world, 0);
    for speaker in Speaker::BOTH {
        let call = speaker.call(&mut world, 0);
        world.run(1_000);
        let asked = |world: &mut World| world.heard(call).matches("request_chain").count();
        if speaker == Speaker::Desktop {
            world.say(call, &chain_response(&ours));
            world.run(1_000);
        }
        let before = asked(&mut world);
        for time in 0..10 {
            let request = sign(Kind::Request, "saw", f64::from(time));
            world.say(call, &new_transaction(&request));
            world.say(call, &new_block(&behind(&world, &ours, vec![request])));
            world.run(500);
        }
        assert!(!world.is_over(call), "no strikes for {speaker:?}");
        assert!(asked(&mut world) > before, "its chain is asked for");
        assert!(chain_of(&mut world, 0) == ours);
        assert!(chain_of(&mut world, 1) == ours);
        world.cut(call);
    }
}

#[test]
fn a_block_with_something_void_is_told_with_the_chain_only() {
    let mut world = star(4, 2);
    let desktop = world.add_desktop();
    world.start(desktop);
    connect(&mut world, desktop, 0);
    world.type_in(0, "1\nkey\n");
    world.run(5_000);
    let listeners = [world.call(1), call_ours(&mut world, 1)];
    world.run(1_000);
    let before = world.shown(desktop).len();
    let mut chain = with_void(&mut world, 0);
    // The last block has something void.
    chain.truncate(chain.len() - 1);
    desktop_with(&mut world, &chain, 0);
    world.run(20_000);
    for listener in listeners {
        let heard = world.heard(listener);
        let mut told = heard.lines().filter(|line| line.contains("new_block"));
        assert!(!told.any(|line| line.contains("\"saw\"")), "{heard}");
    }
    assert_eq!(world.desktop(desktop).chain().len(), chain.len());
    let shown = world.shown(desktop)[before..].to_owned();
    assert!(shown.contains("adopted longer chain"), "{shown}");
    assert!(!shown.contains("added block #"), "{shown}");
    check(&mut world, &["cup", "key"], &["saw"]);
}
