//! Stories of chain files that rot.

use std::collections::BTreeSet;

use blx::store::disk::File;

use crate::oracle;
use crate::peer::{ASK, behind, chain_of, chain_response, longer};
use crate::stories::star;
use crate::world::World;

/// Hosts with the same chain of some thirty blocks.
fn grown(seed: u64, count: usize) -> World {
    let mut world = star(seed, count);
    for item in 0..30 {
        world.type_in(0, &format!("1\nitem-{item}\n"));
        world.run(200);
    }
    assert_eq!(oracle::Chain::of(&mut world, 0).length(), 31);
    world
}

/// In the middle of the chain file of a host.
fn middle(world: &World, host: usize) -> usize {
    world.hosts[host].disk.live(File::Chain).len() / 2
}

#[test]
fn a_hole_that_a_start_finds_is_filled_by_a_peer() {
    let mut world = grown(1, 2);
    let whole = world.hosts[1].disk.live(File::Chain);
    world.stop(1, false);
    let at = middle(&world, 1);
    world.hosts[1].disk.rot(File::Chain, at);
    world.start(1);
    world.run(3_000);
    let shown = world.shown(1);
    assert!(shown.contains("corruption detected at block 1"), "{shown}");
    assert!(shown.contains("repair completed."), "{shown}");
    assert!(
        world.hosts[1].disk.live(File::Chain) == whole,
        "the bytes that were there"
    );
    world.type_in(1, "9\n");
    world.run(100);
    assert!(world.shown(1).contains("A-OK"));
    oracle::check(&mut world);
}

#[test]
fn the_scrubber_finds_what_rots_and_a_peer_heals_it() {
    let mut world = grown(2, 2);
    let whole = world.hosts[1].disk.live(File::Chain);
    let at = middle(&world, 1);
    world.hosts[1].disk.rot(File::Chain, at);
    // The scrubber of these hosts makes a pass a minute.
    world.run(130_000);
    let shown = world.shown(1);
    assert!(shown.contains("corruption detected at block 1"), "{shown}");
    assert!(shown.contains("repair completed."), "{shown}");
    assert!(
        world.hosts[1].disk.live(File::Chain) == whole,
        "the bytes that were there"
    );
    oracle::check(&mut world);
}

#[test]
fn alone_a_node_keeps_what_is_behind_a_hole_until_its_user_acts() {
    let mut world = grown(3, 1);
    let chain = chain_of(&mut world, 0);
    world.stop(0, false);
    let at = middle(&world, 0);
    world.hosts[0].disk.rot(File::Chain, at);
    let rotten = world.hosts[0].disk.live(File::Chain);
    world.start(0);
    world.run(100_000);
    assert!(world.shown(0).contains("corruption detected at block 1"));
    assert!(
        world.hosts[0].disk.live(File::Chain) == rotten,
        "nothing is cut"
    );
    world.type_in(0, "9\n");
    world.run(100);
    assert!(world.shown(0).contains("CORRUPTED"), "{}", world.shown(0));
    // Somebody who has it all comes by.
    let call = world.call(0);
    world.say(call, &chain_response(&chain));
    world.run(2_000);
    assert!(
        world.shown(0).contains("repair completed."),
        "{}",
        world.shown(0)
    );
    assert_eq!(oracle::Chain::of(&mut world, 0).length(), 31);
    oracle::check(&mut world);
}

/// All that was taken in a world that is [`grown`], but for what `damaged` says.
fn taken(damaged: usize) -> BTreeSet<String> {
    let items = (0..30).filter(|item| *item != damaged);
    items.map(|item| format!("item-{item}")).collect()
}

/// The block that is damaged in the chain file of a host, which has just started.
fn damaged(world: &World, host: usize) -> usize {
    let shown = world.shown(host);
    let (_, behind) = shown
        .rsplit_once("corruption detected at block ")
        .expect("it is told");
    let number = behind.split(' ').next().expect("a number");
    number.parse().expect("a number")
}

/// A host alone that has started with damage in the middle of a chain that is [`grown`].
fn damaged_alone() -> World {
    let mut world = grown(4, 1);
    world.stop(0, false);
    let at = middle(&world, 0);
    world.hosts[0].disk.rot(File::Chain, at);
    world.start(0);
    world.run(1_000);
    world
}

#[test]
fn the_last_resort_makes_again_what_can_be_read_behind_the_damage() {
    let mut world = damaged_alone();
    // Block 1 has item 0. The last one was taken behind the damage, and nobody else may have it now.
    let lost = damaged(&world, 0) - 1;
    world.type_in(0, "1\nitem-29\n1\ndrill\n");
    world.run(5_000);
    let shown = world.shown(0);
    assert!(shown.contains("kept as chain.blx.damaged-"), "{shown}");
    assert!(
        shown.contains("❌ item item-29 is not available."),
        "{shown}"
    );
    assert!(shown.contains("✅ requested drill"), "{shown}");
    let mut expected = taken(lost);
    expected.insert("drill".into());
    assert_eq!(oracle::listed(&mut world, 0, "3"), expected);
    assert_eq!(world.hosts[0].disk.live(File::Behind), [0; 0], "it is done");
    oracle::Chain::of(&mut world, 0).check_once();
}

#[test]
fn what_stood_behind_the_damage_survives_a_power_cut_at_any_moment_of_the_last_resort() {
    for turns in 0..40 {
        let mut world = damaged_alone();
        let lost = damaged(&world, 0) - 1;
        world.type_in(0, "1\ndrill\n");
        world.run(turns);
        world.cut_power(0);
        world.start(0);
        world.run(1_000);
        world.type_in(0, "1\nsaw\n");
        world.run(5_000);
        let mut listed = oracle::listed(&mut world, 0, "3");
        // Nobody was told yet that this is done.
        listed.remove("drill");
        let mut expected = taken(lost);
        expected.insert("saw".into());
        assert_eq!(listed, expected, "after {turns} ms");
        oracle::Chain::of(&mut world, 0).check_once();
    }
}

#[test]
fn a_longer_chain_in_the_place_of_damage_takes_nothing_that_stood_behind_it() {
    let chain = chain_of(&mut grown(4, 1), 0);
    let mut world = damaged_alone();
    let lost = damaged(&world, 0) - 1;
    // It leaves ours in front of the damage, and has some of what is behind it.
    let mut other = longer(&world, chain[..5].to_vec(), 70);
    let later = chain[25..28]
        .iter()
        .flat_map(|block| block.transactions.clone());
    let block = behind(&world, &other, later.collect());
    other.push(block);
    let call = world.call(0);
    world.say(call, &chain_response(&other));
    world.run(10_000);
    let shown = world.shown(0);
    assert!(
        shown.contains("adopted longer chain (71 blocks)"),
        "{shown}"
    );
    assert_eq!(oracle::listed(&mut world, 0, "3"), taken(lost));
    let chain = oracle::Chain::of(&mut world, 0);
    assert!(chain.length() > 71);
    chain.check_once();
}

#[test]
fn a_last_block_that_rots_while_the_next_one_is_made_is_followed_by_none() {
    let mut world = World::new(5);
    // So that a block takes hundreds of turns.
    world.difficulty = 5;
    world.add(&[]);
    world.hosts[0].turn = 5;
    world.start(0);
    let requested = |item: &'static str| {
        let text = format!("✅ requested {item}");
        move |world: &mut World| world.shown(0).contains(&text)
    };
    world.type_in(0, "1\nlamp\n");
    assert!(world.run_until(600_000, requested("lamp")));
    let last = world.hosts[0].disk.live(File::Chain).len() - 10;
    world.hosts[0].disk.rot(File::Chain, last);
    world.type_in(0, "1\ndrill\n");
    let call = world.call(0);
    world.run(100);
    assert!(!requested("drill")(&mut world), "it is still being made");
    world.say(call, ASK);
    assert!(world.run_until(600_000, requested("drill")));
    let shown = world.shown(0);
    assert!(shown.contains("corruption detected at block 1"), "{shown}");
    assert!(shown.contains("kept as chain.blx.damaged-"), "{shown}");
    assert!(!shown.contains("repair completed"), "{shown}");
    assert_eq!(oracle::Chain::of(&mut world, 0).length(), 2);
}

#[test]
fn a_first_block_that_rots_is_made_anew_where_it_was_all() {
    let mut world = World::new(6);
    world.add(&[]);
    world.start(0);
    world.hosts[0].disk.rot(File::Chain, 40);
    let call = world.call(0);
    world.say(call, ASK);
    world.run(2_000);
    let shown = world.shown(0);
    assert!(shown.contains("kept as chain.blx.damaged-"), "{shown}");
    world.type_in(0, "1\ndrill\n");
    world.run(2_000);
    assert!(world.shown(0).contains("✅ requested drill"), "{shown}");
    assert_eq!(oracle::Chain::of(&mut world, 0).length(), 2);
}
