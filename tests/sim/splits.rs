//! Stories of a LAN that was in pieces, with desktop nodes in them, and comes together again.

use crate::oracle::{self, Chain};
use crate::scenario::{agree, connect};
use crate::stories::star;
use crate::world::World;

/// Two halves that know each other: 0 and 1 are ours, 2 and 3 the desktop nodes beside them.
fn two_halves(seed: u64) -> World {
    let mut world = star(seed, 2);
    for half in 0..2 {
        let desktop = world.add_desktop();
        world.start(desktop);
        connect(&mut world, desktop, half);
    }
    world.run(10_000);
    world
}

/// Ten blocks in each half, by turns of ours and of its desktop node.
fn live_apart(world: &mut World, pause: u64) {
    world.net.islands = vec![0, 1, 0, 1];
    for round in 0..5 {
        for host in 0..4 {
            world.type_in(host, &format!("1\nitem-{host}-{round}\n"));
            world.run(pause);
        }
    }
    world.run(500);
    for half in 0..2 {
        let length = Chain::of(world, half).length();
        assert!(length >= 11, "ten blocks in each half, not {length}");
    }
    world.net.islands.fill(0);
}

/// Everything that was asked for in `live_apart` is reserved, everywhere.
fn check_all_reserved(world: &mut World) {
    oracle::check(world);
    let [reserved, _] = Chain::of(world, 0).replay();
    for host in 0..4 {
        for round in 0..5 {
            let item = format!("item-{host}-{round}");
            assert!(reserved.contains(&item), "{item} is lost");
        }
    }
}

#[test]
fn two_halves_of_ten_blocks_each_lose_nothing() {
    for seed in 0..6 {
        let mut world = two_halves(seed);
        live_apart(&mut world, 200);
        agree(&mut world);
        check_all_reserved(&mut world);
    }
}

#[test]
fn halves_that_were_apart_until_nobody_was_connected_any_more_lose_nothing() {
    for seed in 0..3 {
        let mut world = two_halves(seed);
        live_apart(&mut world, 6_000);
        let linked = |world: &mut World| world.linked(0, 1);
        assert!(world.run_until(70_000, linked), "ours dial again");
        agree(&mut world);
        check_all_reserved(&mut world);
    }
}

#[test]
fn who_lost_an_item_to_the_other_half_is_told_once() {
    for seed in 0..6 {
        let mut world = two_halves(seed);
        world.net.islands = vec![0, 1, 0, 1];
        world.type_in(0, "1\ndrill\n");
        world.type_in(1, "1\ndrill\n1\nsaw\n1\naxe\n");
        world.run(1_000);
        world.net.islands.fill(0);
        agree(&mut world);
        oracle::check(&mut world);
        let told = world.shown(0).matches("your request of drill").count();
        assert_eq!(told, 1, "{}", world.shown(0));
        assert!(!world.shown(1).contains("your request"));
    }
}

/// Every order of these.
fn orders(of: &[usize]) -> Vec<Vec<usize>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, first) in of.iter().enumerate() {
        let mut rest = of.to_vec();
        rest.remove(at);
        for mut order in orders(&rest) {
            order.insert(0, *first);
            all.push(order);
        }
    }
    all
}

/// Five nodes, each with a first block of its own and up to three requests; `desktops` of them are
/// desktop nodes.
fn five_apart(seed: u64, desktops: usize) -> World {
    let mut world = World::new(seed);
    for host in 0..5 {
        if host < 5 - desktops {
            world.add(&[]);
        } else {
            world.add_desktop();
        }
        world.start(host);
        let count = world.random.below(4);
        for item in 0..count {
            world.type_in(host, &format!("1\nitem-{host}-{item}\n"));
        }
    }
    world.run(1_000);
    world
}

/// They come one after the other and connect to one of ours, or are connected to; desktop nodes
/// wait for the first of ours.
fn join_in_order(world: &mut World, order: &[usize]) {
    let (mut joined, mut waiting) = (Vec::new(), Vec::new());
    for host in order {
        if world.hosts[*host].is_ours() {
            let early: Vec<usize> = std::mem::take(&mut waiting);
            for desktop in early {
                connect(world, desktop, *host);
            }
        } else if joined.is_empty() {
            waiting.push(*host);
            continue;
        }
        if !joined.is_empty() {
            let other = joined[world.random.place(joined.len())];
            if world.random.one_in(2) {
                connect(world, *host, other);
            } else {
                connect(world, other, *host);
            }
        }
        if world.hosts[*host].is_ours() {
            joined.push(*host);
        }
        let pause = world.random.below(200);
        world.run(pause);
    }
    world.run(200);
}

#[test]
fn five_nodes_that_began_apart_are_joined_in_every_order() {
    for (seed, order) in orders(&[0, 1, 2, 3, 4]).into_iter().enumerate() {
        let mut world = five_apart(seed as u64, seed % 4);
        join_in_order(&mut world, &order);
        agree(&mut world);
        oracle::check(&mut world);
        let [reserved, _] = Chain::of(&mut world, 0).replay();
        let shown: usize = (0..5)
            .map(|host| world.shown(host).matches("✅ requested").count())
            .sum();
        assert_eq!(reserved.len(), shown, "{order:?}: nothing is lost");
    }
}

/// The words for the one whose item somebody else has.
fn lost_to(world: &World, winner: usize, block: usize) -> String {
    let key = &world.hosts[winner].key()[..12];
    format!("[consensus] your request of drill lost to {key} at block {block}\n")
}

#[test]
fn two_of_ours_that_take_an_item_in_the_same_millisecond_agree_in_a_round_trip() {
    for seed in 0..20 {
        let mut world = star(seed, 2);
        world.type_in(0, "1\ndrill\n");
        world.type_in(1, "1\ndrill\n");
        let both = |world: &mut World| {
            let mut hosts = 0..2;
            hosts.all(|host| world.shown(host).contains("✅ requested drill"))
        };
        assert!(world.run_until(0, both), "in the same millisecond");
        let round_trip = 2 * world.delay;
        world.run(round_trip);
        assert!(oracle::one_tip_within(&mut world, 0), "seed {seed}");
        let lost = [0, 1].map(|host| world.shown(host).contains(&lost_to(&world, 1 - host, 1)));
        assert_ne!(lost[0], lost[1], "seed {seed}: {}", world.shown(0));
        agree(&mut world);
        oracle::check(&mut world);
        let told: usize = (0..2)
            .map(|host| world.shown(host).matches("your request of drill").count())
            .sum();
        assert_eq!(told, 1, "seed {seed}: the loser is told, once");
    }
}

#[test]
fn one_of_ours_and_a_desktop_take_an_item_in_the_same_millisecond() {
    let mut winners = [0, 0];
    for seed in 0..20 {
        let mut world = star(seed, 2);
        let desktop = world.add_desktop();
        world.start(desktop);
        connect(&mut world, desktop, 0);
        world.run(10_000);
        let length = Chain::of(&mut world, 0).length();
        world.type_in(0, "1\ndrill\n");
        world.type_in(desktop, "1\ndrill\n");
        world.run(100);
        agree(&mut world);
        oracle::check(&mut world);
        let chain = Chain::of(&mut world, 0);
        let drill = ("request".to_owned(), "drill".to_owned());
        let theirs = chain.deeds(&world.hosts[desktop].key());
        let won = theirs.contains_key(&drill);
        let told = world.shown(0).contains(&lost_to(&world, desktop, length));
        let shown = world.shown(0);
        let had = shown.contains("✅ requested drill");
        assert_eq!(told, won && had, "seed {seed}: {shown}");
        winners[usize::from(won)] += 1;
    }
    assert!(winners[0] > 0 && winners[1] > 0, "{winners:?}");
}
