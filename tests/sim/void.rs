//! Void transactions (PROTOCOL.md section 3): in a chain they are valid and change nothing; alone
//! nobody takes them.

use blx::ledger::{Block, Kind};

use crate::oracle::{self, Chain};
use crate::peer::{behind, chain_of, chain_response, new_block, new_transaction, sign};
use crate::stories::star;
use crate::world::World;

/// A chain that goes on where that of a host ends: every kind of void transaction, and something
/// behind it of which each would be another chain's.
fn with_void(world: &mut World, host: usize) -> Vec<Block> {
    let mut chain = chain_of(world, host);
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
    let call = world.call(0);
    world.say(call, &chain_response(&chain));
    world.run(10_000);
    assert!(!world.is_over(call), "no strikes");
    assert!(chain_of(&mut world, 2) == chain, "it is adopted as it is");
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
fn what_is_void_is_taken_out_again_without_a_trace() {
    let mut world = star(2, 2);
    world.type_in(0, "5\nkey,axe\n");
    world.run(2_000);
    let shared = chain_of(&mut world, 0);
    let chain = with_void(&mut world, 0);
    let call = world.call(1);
    world.say(call, &chain_response(&chain));
    world.run(10_000);
    // Its release of the axe counts: it is held there.
    check(&mut world, &["cup", "key", "saw"], &["axe"]);
    let mut other = shared;
    while other.len() <= chain.len() {
        let name = format!("other-{}", other.len());
        let block = behind(&world, &other, vec![sign(Kind::Request, &name, 9.0)]);
        other.push(block);
    }
    world.say(call, &chain_response(&other));
    world.run(20_000);
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
    oracle::check(&mut world);
}

#[test]
fn alone_a_void_transaction_is_refused_and_is_no_strike() {
    let mut world = star(3, 2);
    world.type_in(0, "1\nsaw\n");
    world.run(2_000);
    let ours = chain_of(&mut world, 0);
    let call = world.call(0);
    for time in 0..10 {
        let wish = sign(Kind::Request, "saw", f64::from(time));
        world.say(call, &new_transaction(&wish));
        world.say(call, &new_block(&behind(&world, &ours, vec![wish])));
        world.run(500);
    }
    assert!(!world.is_over(call), "no strikes");
    let heard = world.heard(call);
    assert!(
        heard.contains("request_chain"),
        "its chain is asked for: {heard}"
    );
    assert!(chain_of(&mut world, 0) == ours);
    assert!(chain_of(&mut world, 1) == ours);
}

#[test]
fn a_block_with_something_void_is_told_with_the_chain_only() {
    let mut world = star(4, 2);
    let desktop = world.add_desktop();
    world.start(desktop);
    world.type_in(desktop, "6\n10.0.0.1\n6000\n");
    world.type_in(0, "1\nkey\n");
    world.run(5_000);
    let listener = world.call(1);
    world.run(1_000);
    let mut chain = with_void(&mut world, 0);
    // The last block has something void.
    chain.truncate(chain.len() - 1);
    let call = world.call(0);
    world.say(call, &chain_response(&chain));
    world.run(20_000);
    let heard = world.heard(listener);
    let told = heard.lines().filter(|line| line.contains("new_block"));
    assert!(
        !told.clone().any(|line| line.contains("\"saw\"")),
        "{heard}"
    );
    assert_eq!(world.desktop(desktop).chain().len(), chain.len());
    check(&mut world, &["cup", "key"], &["saw"]);
}
