//! Stories of peers that a user named, of peers that are left alone, and of how one of ours is known.

use std::net::SocketAddr;

use blx::ledger::Kind;
use blx::limits;

use crate::foe;
use crate::net::End;
use crate::oracle;
use crate::peer::{Ours, PING, greeting, new_transaction, sign};
use crate::reach::open;
use crate::scenario::connect;
use crate::stories::star;
use crate::world::{World, address, alias};

/// Two hosts that dial each other at these addresses, the second of which starts later.
fn both_ways(seed: u64, first: SocketAddr, second: SocketAddr) -> World {
    let mut world = World::new(seed);
    world.add(&[]);
    world.add(&[]);
    world.hosts[0].connect.push(second);
    world.hosts[1].connect.push(first);
    world.start(0);
    let pause = world.random.below(2_000);
    world.run(pause);
    world.start(1);
    world.run(10_000);
    world
}

/// What a host's list of peers says now.
fn peers(world: &mut World, host: usize) -> String {
    let before = world.shown(host).len();
    world.type_in(host, "7\n9\n");
    let all = |world: &mut World| world.shown(host)[before..].contains("node key: ");
    assert!(world.run_until(5_000, all), "host {host} lists");
    let shown = world.shown(host)[before..].to_owned();
    let (list, _) = shown.split_once("[status]").expect("what follows");
    list.to_owned()
}

#[test]
fn two_that_name_each_other_are_connected_once_and_for_all() {
    let places = [
        [address(0), address(1)],
        [alias(0), address(1)],
        [alias(0), alias(1)],
    ];
    for (seed, [first, second]) in (0..30).map(|seed| (seed, places[seed as usize % 3])) {
        let mut world = both_ways(seed, first, second);
        let kept = open(&world, 0, 1);
        assert_eq!(kept.len(), 1, "seed {seed}");
        world.run(200_000);
        assert_eq!(open(&world, 0, 1), kept, "seed {seed}");
        for host in 0..2 {
            let shown = world.shown(host);
            assert!(!shown.contains("] lost "), "seed {seed}: {shown}");
            // After the dials that failed while the other was not there.
            assert!(shown.matches(" again").count() <= 1, "seed {seed}: {shown}");
            let list = peers(&mut world, host);
            let entries = list.lines().filter(|line| line.contains(" ("));
            let entries: Vec<&str> = entries.collect();
            assert_eq!(entries.len(), 1, "seed {seed}: {list}");
            assert!(entries[0].contains(", connected "), "seed {seed}: {list}");
        }
        oracle::check(&mut world);
    }
}

#[test]
fn a_peer_that_dialed_us_and_is_named_is_dialed_when_it_is_lost() {
    for seed in 0..6 {
        let mut world = star(seed, 2);
        let kept = open(&world, 0, 1);
        let made = world.net.connections.len();
        connect(&mut world, 0, 1);
        world.run(2_000);
        let shown = world.shown(0);
        assert!(
            shown.contains("✅ connected to 10.0.0.2:6000 already"),
            "{shown}"
        );
        assert_eq!(world.net.connections.len(), made, "nobody was dialed");
        assert_eq!(open(&world, 0, 1), kept);
        world.cut(kept[0]);
        world.hosts[1].connect.clear();
        world.stop(1, false);
        world.run(5_000);
        let shown = world.shown(0);
        assert!(shown.contains("] lost 10.0.0.2:6000: "), "{shown}");
        assert!(peers(&mut world, 0).contains("10.0.0.2:6000 (not connected), dialing in"));
        world.start(1);
        world.run(70_000);
        let shown = world.shown(0);
        assert!(shown.contains("] connected to 10.0.0.2:6000 again"));
        assert_eq!(open(&world, 0, 1).len(), 1);
        oracle::check(&mut world);
    }
}

#[test]
fn a_desktop_node_that_dialed_us_and_is_named_is_not_dialed() {
    for seed in 0..6 {
        let mut world = star(seed, 1);
        let desktop = world.add_desktop();
        world.start(desktop);
        connect(&mut world, desktop, 0);
        world.run(2_000);
        let made = world.net.connections.len();
        connect(&mut world, 0, desktop);
        world.run(2_000);
        assert_eq!(world.net.connections.len(), made);
        let list = peers(&mut world, 0);
        assert!(list.contains("desktop"), "{list}");
        assert!(!list.contains("not connected"), "{list}");
        oracle::check(&mut world);
    }
}

/// As a node at port 6000 says it.
fn said(line: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(line);
    let envelope = text.trim_end().strip_suffix('}').expect("an object");
    format!("{envelope}, \"sender\": \"0.0.0.0:6000\"}}\n").into_bytes()
}

/// Breaks the rules as the node of a host, which has no part in it, until it is banned.
fn banish(world: &mut World, from: usize, by: usize) {
    let mut forged = sign(Kind::Request, "saw", 7.5);
    forged.uid = "axe".into();
    let call = world.call_from(from, by);
    for _ in 0..limits::MISBEHAVIOURS_MAX {
        assert!(!world.is_over(call));
        world.say(call, &new_transaction(&forged));
        world.run(500);
    }
    assert!(world.is_over(call));
}

/// The dials of a host to another one that were ever made.
fn dials(world: &World, from: usize, to: usize) -> usize {
    let connections = world.net.connections.iter();
    let made = connections.filter(|connection| {
        let by = matches!(connection.ends[0], End::Host(host) if host == from);
        by && connection.hosts()[1] == Some(to)
    });
    made.count()
}

#[test]
fn a_ban_holds_for_all_who_dial_us_from_there_and_for_who_is_learned() {
    for seed in 0..6 {
        let mut world = star(seed, 2);
        world.add(&[0]);
        banish(&mut world, 2, 0);
        let begun = world.now;
        world.start(2);
        // Somebody else keeps the rules, and tells where that one is.
        let other = world.call(0);
        let list = "{\"type\": \"peer_list\", \"payload\": {\"peers\": [\"10.0.0.3:6000\"]}}\n";
        world.say(other, list.as_bytes());
        world.type_in(2, "1\ndrill\n");
        while world.now < begun + limits::BAN_MS - 10_000 {
            world.say(other, PING);
            world.run(5_000);
            assert!(
                !world.is_over(other),
                "seed {seed}: nothing is wrong with it"
            );
            // By its address, whatever node it says that it is.
            for line in [said(PING), PING.to_vec()] {
                let call = world.call_from(2, 0);
                world.say(call, &line);
                world.run(200);
                assert!(world.is_over(call), "seed {seed}");
                assert_eq!(world.heard(call), "", "seed {seed}");
            }
        }
        assert_eq!(dials(&world, 0, 2), 0, "seed {seed}");
        assert!(!oracle::listed(&mut world, 0, "3").contains("drill"));
        world.run(80_000);
        assert!(oracle::listed(&mut world, 0, "3").contains("drill"));
        assert!(world.linked(0, 2), "seed {seed}");
        world.cut(other);
        oracle::check(&mut world);
    }
}

#[test]
fn a_user_who_names_somebody_that_is_left_alone_is_obeyed() {
    for seed in 0..6 {
        let mut world = star(seed, 1);
        world.add(&[]);
        banish(&mut world, 1, 0);
        // Nobody is there: the user was obeyed, and the ban goes on.
        connect(&mut world, 0, 1);
        world.run(5_000);
        let shown = world.shown(0);
        assert!(shown.contains("❌ cannot connect to 10.0.0.2"), "{shown}");
        world.start(1);
        let call = world.call_from(1, 0);
        world.say(call, &said(PING));
        world.run(500);
        assert!(world.is_over(call), "seed {seed}");
        connect(&mut world, 0, 1);
        world.run(5_000);
        let shown = world.shown(0);
        assert!(shown.contains("✅ connected to 10.0.0.2:6000\n"), "{shown}");
        assert_eq!(open(&world, 0, 1).len(), 1, "seed {seed}");
        let list = peers(&mut world, 0);
        assert!(list.contains("blx, "), "seed {seed}: {list}");
        oracle::check(&mut world);
    }
}

#[test]
fn one_of_ours_is_known_whatever_it_has_to_say_first() {
    for seed in 0..40 {
        let mut world = World::new(seed);
        world.add(&[]);
        world.add(&[0]);
        world.start(0);
        world.start(1);
        // A block of it is told to everybody as soon as there is anybody.
        let met = |world: &mut World| {
            let mut connections = world.net.connections.iter();
            connections.any(|connection| matches!(connection.ends[1], End::Host(0)))
        };
        assert!(world.run_until(5_000, met));
        let device = world.call(0);
        world.type_in(0, "1\ndrill\n");
        world.run(2_000);
        for host in 0..2 {
            let list = peers(&mut world, host);
            assert!(list.contains("blx, "), "seed {seed}: {list}");
            assert!(!list.contains("desktop"), "seed {seed}: {list}");
        }
        let heard = world.heard(device);
        if !heard.is_empty() {
            let first = heard.lines().next().unwrap_or_default();
            assert!(first.contains("peer_announce"), "seed {seed}: {first}");
        }
        world.cut(device);
        oracle::check(&mut world);
    }
}

#[test]
fn one_of_ours_that_says_so_late_is_known_from_then_on() {
    let mut world = star(9, 1);
    let call = world.call(0);
    world.say(call, PING);
    world.run(500);
    assert!(peers(&mut world, 0).contains("desktop"));
    let who = Ours::new(7);
    let end = format!(", \"length\": 1, \"tip\": \"{}\"", "0".repeat(64));
    // Whoever it is, it hears first who we are.
    let first = world.heard(call);
    let line = first.lines().next().unwrap_or_default();
    assert!(line.contains("peer_announce"), "{first}");
    let id = "\"payload\": {\"id\": ";
    assert!(line.contains(id), "{first}");
    world.say(call, &greeting(&who, &end));
    let proof = who.proves(true, line);
    world.say(call, &foe::said("ping", &proof));
    world.run(500);
    let heard = world.heard(call)[first.len()..].to_owned();
    for word in ["peer_list", "\"ping\", \"payload\": {\"length\""] {
        assert!(heard.contains(word), "{word}: {heard}");
    }
    let list = peers(&mut world, 0);
    assert!(list.contains("blx, 1 blocks, "), "{list}");
    // A second connection of it stays, for it is the one who dialed who closes one.
    let second = world.call(0);
    world.say(second, &greeting(&who, &end));
    world.run(500);
    let first = world.heard(second);
    let proof = who.proves(true, first.lines().next().unwrap_or_default());
    world.say(second, &foe::said("ping", &proof));
    world.run(500);
    // It proves itself in turn, where it was proven to.
    for call in [call, second] {
        assert_eq!(world.heard(call).matches("\"proof\": ").count(), 1);
    }
    assert!(!world.is_over(call) && !world.is_over(second));
    for call in [call, second] {
        world.cut(call);
    }
    oracle::check(&mut world);
}
