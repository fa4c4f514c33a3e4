//! Stories of one LAN each, with desktop nodes that race: who is connected to whom, and when.

use crate::host::alias;
use crate::peer::{behind, chain_of, chain_response, sign};
use crate::scenario::{connect, connect_to};
use crate::stories::star;
use crate::verdict::{Eaten, Ours, hold};
use crate::world::World;
use blx::ledger::Kind;

/// The user of a host takes an item that nobody else wants.
pub fn take(world: &mut World, host: usize) {
    let item = world.steps;
    let tail = world.random.below(1 << 30);
    world.type_in(host, &format!("1\n{host}-{item}-{tail}\n"));
}

/// In each round some of those that run take something; behind it comes a pause of at most `pause`
/// milliseconds.
pub fn live(world: &mut World, rounds: usize, pause: u64) {
    for _ in 0..rounds {
        for host in 0..world.hosts.len() {
            if world.hosts[host].node.is_some() && world.random.one_in(2) {
                take(world, host);
            }
        }
        let pause = world.random.below(pause);
        world.run(pause);
    }
}

/// Everybody takes ten items a second.
pub fn rush(world: &mut World, seconds: u64) {
    for _ in 0..seconds * 10 {
        for host in 0..world.hosts.len() {
            if world.hosts[host].node.is_some() {
                take(world, host);
            }
        }
        world.run(100);
    }
}

/// Some of ours that know each other, and a desktop node that is connected to all of them; who dials
/// is drawn.
pub fn with_one(seed: u64, ours: usize) -> (World, usize) {
    let mut world = star(seed, ours);
    let desktop = desktop(&mut world);
    for host in 0..ours {
        meet(&mut world, desktop, host);
    }
    world.run(8_000);
    (world, desktop)
}

/// A desktop node that runs, a console or a window.
pub fn desktop(world: &mut World) -> usize {
    let desktop = match world.random.one_in(3) {
        true => world.add_window(),
        false => world.add_desktop(),
    };
    world.start(desktop);
    desktop
}

/// One of the two dials the other.
pub fn meet(world: &mut World, one: usize, other: usize) {
    match world.random.one_in(2) {
        true => connect(world, one, other),
        false => connect(world, other, one),
    }
    world.run(200);
}

#[test]
fn one_desktop_on_one_connection_whose_user_waits_for_the_others() {
    hold("by turns", Ours::Linked, Eaten::Whatever, |seed| {
        let mut world = star(seed, 2);
        let desktop = desktop(&mut world);
        meet(&mut world, desktop, 0);
        world.run(8_000);
        for round in 0..24 {
            take(&mut world, [0, desktop, 1][round % 3]);
            world.run(500);
        }
        world
    });
}

#[test]
fn one_desktop_on_one_connection() {
    hold("one connection", Ours::Linked, Eaten::Whatever, |seed| {
        let mut world = star(seed, 2);
        let desktop = desktop(&mut world);
        meet(&mut world, desktop, 0);
        world.run(8_000);
        live(&mut world, 24, 1_000);
        world
    });
}

#[test]
fn one_desktop_connected_both_ways() {
    hold("both ways", Ours::Linked, Eaten::Whatever, |seed| {
        let mut world = star(seed, 1);
        let desktop = desktop(&mut world);
        connect(&mut world, desktop, 0);
        connect(&mut world, 0, desktop);
        world.run(8_000);
        live(&mut world, 24, 1_000);
        world
    });
}

#[test]
fn one_desktop_connected_twice_by_the_same_name() {
    hold("twice", Ours::Linked, Eaten::Whatever, |seed| {
        let mut world = star(seed, 1);
        let desktop = desktop(&mut world);
        connect(&mut world, desktop, 0);
        live(&mut world, 4, 1_000);
        connect(&mut world, desktop, 0);
        world.run(8_000);
        live(&mut world, 20, 1_000);
        world
    });
}

#[test]
fn one_desktop_connected_at_two_addresses() {
    hold("two addresses", Ours::Linked, Eaten::Whatever, |seed| {
        let mut world = star(seed, 1);
        let desktop = desktop(&mut world);
        let (from, to) = match seed % 2 {
            0 => (desktop, 0),
            _ => (0, desktop),
        };
        connect(&mut world, from, to);
        connect_to(&mut world, from, alias(to));
        world.run(8_000);
        live(&mut world, 24, 1_000);
        world
    });
}

/// Before it has said something of its own, nobody can know that it is one.
#[test]
fn one_desktop_at_two_addresses_beside_two_of_ours() {
    hold("two names", Ours::Linked, Eaten::Whatever, |seed| {
        let mut world = star(seed, 2);
        let desktop = desktop(&mut world);
        connect(&mut world, 0, desktop);
        connect_to(&mut world, 1, alias(desktop));
        world.run(8_000);
        take(&mut world, desktop);
        world.run(30_000);
        live(&mut world, 24, 1_000);
        world
    });
}

#[test]
fn two_of_ours_that_are_connected_beside_one_desktop() {
    hold("two of ours", Ours::Linked, Eaten::Whatever, |seed| {
        let (mut world, _) = with_one(seed, 2);
        live(&mut world, 20, 1_500);
        world
    });
}

#[test]
fn three_of_ours_that_are_connected_beside_one_desktop() {
    hold("three of ours", Ours::Linked, Eaten::Whatever, |seed| {
        let (mut world, _) = with_one(seed, 3);
        live(&mut world, 20, 1_500);
        world
    });
}

#[test]
fn two_of_ours_that_are_connected_over_a_third_beside_one_desktop() {
    hold("over a third", Ours::Linked, Eaten::Whatever, |seed| {
        let mut world = World::new(seed);
        world.net.walls.push((1, 2));
        for connect in [&[][..], &[0], &[0]] {
            let host = world.add(connect);
            world.start(host);
        }
        world.run(3_000);
        let desktop = desktop(&mut world);
        for host in [1, 2] {
            meet(&mut world, desktop, host);
        }
        world.run(8_000);
        live(&mut world, 20, 1_500);
        world
    });
}

/// Two of ours that cannot reach each other, and a desktop node that is connected to both.
fn strangers(seed: u64) -> (World, usize) {
    let mut world = World::new(seed);
    world.net.walls.push((0, 1));
    for _ in 0..2 {
        let host = world.add(&[]);
        world.start(host);
    }
    let desktop = desktop(&mut world);
    for host in 0..2 {
        meet(&mut world, desktop, host);
    }
    world.run(8_000);
    live(&mut world, 16, 2_000);
    (world, desktop)
}

#[test]
fn two_of_ours_that_are_not_connected_beside_one_desktop() {
    hold("strangers", Ours::Strangers, Eaten::Whatever, |seed| {
        strangers(seed).0
    });
}

#[test]
fn two_of_ours_that_are_connected_later_beside_one_desktop() {
    hold("connected later", Ours::Linked, Eaten::Whatever, |seed| {
        let (mut world, desktop) = strangers(seed);
        world.net.walls.clear();
        connect(&mut world, 0, 1);
        world.run(8_000);
        // They could not know of each other before.
        world.forgive(desktop);
        live(&mut world, 16, 1_500);
        world
    });
}

/// Some of ours, and two desktop nodes that are connected to each other and to all of them, or each
/// to one.
fn two_desktops(seed: u64, ours: usize, all: bool) -> World {
    let mut world = star(seed, ours);
    let two = [desktop(&mut world), desktop(&mut world)];
    connect(&mut world, two[0], two[1]);
    for (at, desktop) in two.into_iter().enumerate() {
        for host in 0..ours {
            if all || at % ours == host {
                meet(&mut world, desktop, host);
            }
        }
    }
    world.run(8_000);
    live(&mut world, 20, 1_500);
    world
}

#[test]
fn two_desktops_that_are_connected_beside_one_of_ours() {
    hold("two desktops, one", Ours::Linked, Eaten::Whatever, |seed| {
        two_desktops(seed, 1, true)
    });
}

#[test]
fn two_desktops_that_are_connected_beside_two_of_ours() {
    hold("two desktops, two", Ours::Linked, Eaten::Whatever, |seed| {
        two_desktops(seed, 2, true)
    });
}

#[test]
fn two_desktops_that_are_connected_each_to_one_of_ours() {
    hold("a desktop each", Ours::Linked, Eaten::Whatever, |seed| {
        two_desktops(seed, 2, false)
    });
}

/// Two desktop nodes behind a router that gives both its own address, and some of ours.
fn behind_a_router(seed: u64, ours: usize) -> World {
    let mut world = star(seed, ours);
    let two = [desktop(&mut world), desktop(&mut world)];
    world.net.routers.insert(two[1], two[0]);
    for host in 0..ours {
        for desktop in two {
            connect(&mut world, desktop, host);
        }
    }
    world.run(60_000);
    live(&mut world, 20, 1_500);
    world
}

#[test]
fn two_desktops_behind_one_address_beside_one_of_ours() {
    hold("one address, one", Ours::Linked, Eaten::Whatever, |seed| {
        behind_a_router(seed, 1)
    });
}

#[test]
fn two_desktops_behind_one_address_beside_two_of_ours() {
    hold("one address, two", Ours::Linked, Eaten::Whatever, |seed| {
        behind_a_router(seed, 2)
    });
}

#[test]
fn two_desktops_that_act_in_the_same_millisecond() {
    hold("same millisecond", Ours::Linked, Eaten::Rare, |seed| {
        let mut world = star(seed, 2);
        let two = [desktop(&mut world), desktop(&mut world)];
        for (host, desktop) in two.into_iter().enumerate() {
            meet(&mut world, desktop, host * (seed % 2) as usize);
        }
        world.run(8_000);
        for round in 0..25 {
            for desktop in two {
                match round % 5 {
                    // Both want the same.
                    0 => world.type_in(desktop, &format!("1\nboth-{round}\n")),
                    _ => take(&mut world, desktop),
                }
            }
            let pause = world.random.below(3_000);
            world.run(pause);
        }
        world
    });
}

#[test]
fn bursts_of_ten_items_a_second_from_everybody() {
    hold("bursts", Ours::Linked, Eaten::Rare, |seed| {
        let (mut world, _) = with_one(seed, 2);
        let other = desktop(&mut world);
        meet(&mut world, other, 0);
        world.run(8_000);
        rush(&mut world, 3);
        world.run(5_000);
        rush(&mut world, 2);
        world
    });
}

#[test]
fn key_8_on_a_desktop_in_the_middle() {
    hold("key 8", Ours::Linked, Eaten::Whatever, |seed| {
        let (mut world, desktop) = with_one(seed, 2);
        for _ in 0..10 {
            live(&mut world, 2, 1_000);
            world.type_in(desktop, "8\n");
            live(&mut world, 1, 200);
        }
        world
    });
}

/// A desktop node takes a longer chain from somebody, in which an item is requested twice and one
/// is released that nobody has.
pub fn give_void(world: &mut World, desktop: usize) {
    let mut chain = chain_of(world, desktop);
    let wall = world.clock(desktop).wall as f64 / 1e6;
    for (step, (kind, item)) in [
        (Kind::Request, "void-item"),
        (Kind::Request, "void-item"),
        (Kind::Release, "never-seen"),
    ]
    .into_iter()
    .enumerate()
    {
        let request = sign(kind, item, wall + step as f64);
        let block = behind(world, &chain, vec![request]);
        chain.push(block);
    }
    let call = world.call(desktop);
    world.say(call, &chain_response(&chain));
    world.run(200);
    world.cut(call);
}

#[test]
fn a_chain_with_void_transactions_comes_from_a_desktop() {
    hold("void", Ours::Linked, Eaten::Whatever, |seed| {
        let (mut world, desktop) = with_one(seed, 2);
        live(&mut world, 4, 1_500);
        world.run(3_000);
        give_void(&mut world, desktop);
        take(&mut world, desktop);
        world.run(3_000);
        live(&mut world, 8, 1_500);
        world
    });
}

#[test]
fn a_chain_with_void_transactions_meets_another_after_a_split() {
    hold("void in a split", Ours::Linked, Eaten::Whatever, |seed| {
        let mut world = star(seed, 2);
        let two = [desktop(&mut world), desktop(&mut world)];
        for (host, desktop) in two.into_iter().enumerate() {
            meet(&mut world, desktop, host);
        }
        world.run(8_000);
        world.net.islands = vec![0, 1, 0, 1];
        give_void(&mut world, two[0]);
        take(&mut world, two[0]);
        live(&mut world, 4, 1_500);
        world.run(5_000);
        world.net.islands.fill(0);
        world.run(3_000);
        world
    });
}
