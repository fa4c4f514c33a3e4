//! Stories of chain files that rot.

use blx::store::disk::File;

use crate::oracle;
use crate::peer::{ASK, chain_of, chain_response};
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

#[test]
fn the_last_resort_keeps_the_rest_in_a_file_and_goes_on() {
    let mut world = grown(4, 1);
    world.stop(0, false);
    let at = middle(&world, 0);
    world.hosts[0].disk.rot(File::Chain, at);
    world.start(0);
    world.run(1_000);
    world.type_in(0, "1\ndrill\n");
    world.run(2_000);
    let shown = world.shown(0);
    assert!(shown.contains("kept as chain.blx.damaged-"), "{shown}");
    assert!(shown.contains("✅ requested drill"), "{shown}");
    let length = oracle::Chain::of(&mut world, 0).length();
    assert!((10..20).contains(&length), "{length}");
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
