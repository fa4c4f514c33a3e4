//! Stories of several of ours beside one desktop node: one of them speaks.

use crate::peer::{ANNOUNCE, chain_of, chain_response};
use crate::reach::open;
use crate::scenario::connect;
use crate::world::{Use, World};

/// Three of ours in a row, the first and the last of which a desktop node is connected to. It is the
/// last host; the two cannot reach each other.
fn row(seed: u64) -> World {
    let mut world = World::new(seed);
    for connect in [&[][..], &[0], &[1]] {
        let host = world.add(connect);
        world.start(host);
    }
    world.net.walls.push((0, 2));
    let desktop = world.add_desktop();
    world.start(desktop);
    world.run(3_000);
    connect(&mut world, desktop, 0);
    connect(&mut world, desktop, 2);
    never_both(&mut world, 15_000);
    world
}

/// Runs on, and at no time two speak.
fn never_both(world: &mut World, millis: u64) {
    let until = world.now + millis;
    while world.now < until {
        let both = [says(world, 0), says(world, 2)];
        assert_ne!(both, [Some(true); 2], "at {} ms", world.now);
        world.run(90);
    }
}

/// What a host of ours says of its connection to the desktop node.
fn says(world: &mut World, host: usize) -> Option<bool> {
    let shown = world.says(host, "7\n", 5);
    let mut lines = shown.lines().filter(|line| line.contains(", desktop, "));
    let line = lines.next()?;
    assert_eq!(lines.next(), None, "one connection");
    let speaks = line.ends_with(", we speak");
    assert!(speaks || line.ends_with(", listening"), "{line}");
    Some(speaks)
}

/// The one of the two that speaks.
fn speaker(world: &mut World) -> usize {
    match [says(world, 0), says(world, 2)] {
        [Some(true), Some(false)] => 0,
        [Some(false), Some(true)] => 2,
        both => panic!("{both:?}"),
    }
}

#[test]
fn of_three_in_a_row_one_speaks_and_always_the_same_one() {
    let mut speakers = [0, 0];
    for seed in 0..12 {
        let mut world = row(seed);
        let first = speaker(&mut world);
        speakers[first / 2] += 1;
        for minute in 0..5 {
            world.type_in(minute % 3, &format!("1\nitem-{minute}\n"));
            world.run(60_000);
            assert_eq!(speaker(&mut world), first, "seed {seed}");
        }
        assert!(!world.linked(0, 2));
    }
    assert!(speakers[0] > 0 && speakers[1] > 0, "{speakers:?}");
}

#[test]
fn who_loses_its_connection_is_replaced_in_five_seconds() {
    for seed in 0..12 {
        let mut world = row(seed);
        let (first, desktop) = (speaker(&mut world), 3);
        // One of ours would dial whom it knows.
        world.net.walls.push((first, desktop));
        for conn in 0..world.hosts[first].conns.len() {
            if let Use::Open(connection, _) = world.hosts[first].conns[conn]
                && world.net.connections[connection]
                    .hosts()
                    .contains(&Some(desktop))
            {
                world.closed(first, conn, None);
            }
        }
        world.run(5_000);
        assert_eq!(says(&mut world, first), None);
        assert_eq!(says(&mut world, 2 - first), Some(true), "seed {seed}");
        // It comes back, and has its turn again.
        world.net.walls.pop();
        connect(&mut world, desktop, first);
        never_both(&mut world, 5_000);
        assert_eq!(speaker(&mut world), first, "seed {seed}");
    }
}

#[test]
fn who_freezes_is_replaced_in_a_minute_and_who_starts_again_is_somebody_else() {
    for seed in 0..12 {
        let mut world = row(seed);
        let first = speaker(&mut world);
        // Nothing comes from it any more, and nobody says so.
        world.stop(first, true);
        world.run(20_000);
        assert_eq!(says(&mut world, 2 - first), Some(false), "seed {seed}");
        world.run(40_000);
        assert_eq!(says(&mut world, 2 - first), Some(true), "seed {seed}");
        world.start(first);
        world.run(70_000);
        connect(&mut world, 3, first);
        never_both(&mut world, 5_000);
        speaker(&mut world);
    }
}

#[test]
fn of_two_connections_to_the_same_desktop_one_is_spoken_on() {
    let mut world = World::new(1);
    world.add(&[]);
    let desktop = world.add_desktop();
    world.start(0);
    world.start(desktop);
    connect(&mut world, desktop, 0);
    world.run(3_000);
    assert_eq!(says(&mut world, 0), Some(true));
    connect(&mut world, desktop, 0);
    world.run(3_000);
    let shown = world.says(0, "7\n", 5);
    let mut lines = shown.lines().filter(|line| line.contains(", desktop, "));
    let line = lines.next().expect("its line");
    assert!(line.ends_with(", we speak, 2 connections"), "{shown}");
    assert_eq!(lines.next(), None, "one line for one node: {shown}");
    assert_eq!(open(&world, 0, desktop).len(), 2, "it dialed both");
}

#[test]
fn what_changes_a_desktops_chain_goes_over_one_of_its_connections() {
    let mut world = World::new(2);
    world.add(&[]);
    let desktop = world.add_desktop();
    world.start(0);
    let chain = chain_response(&chain_of(&mut world, 0));
    let calls = [0, 1].map(|_| {
        let call = world.call_from(desktop, 0);
        world.say(call, ANNOUNCE);
        world.say(call, &chain);
        world.run(1_000);
        call
    });
    world.type_in(0, "1\ndrill\n");
    world.run(1_000);
    let told = |world: &mut World| {
        let words = ["\"new_block\"", "\"chain_response\""];
        calls.map(|call| words.map(|word| world.heard(call).matches(word).count()))
    };
    assert_eq!(told(&mut world), [[1, 0], [0, 0]]);
    // Asked over the other one, it answers there, with nothing that could be put in place.
    world.say(
        calls[1],
        b"{\"type\": \"request_chain\", \"payload\": {}}\n",
    );
    world.run(1_000);
    assert_eq!(told(&mut world), [[1, 0], [0, 1]]);
    let nothing = "{\"chain\": [], \"length\": 0}";
    assert!(world.heard(calls[1]).contains(nothing));
}
