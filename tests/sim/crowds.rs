//! Runs with desktop nodes that race, in which everything is drawn from the seed: who is there, who
//! is connected to whom and how often, what they do, and what happens to them.

use crate::host::alias;
use crate::rows::{desktop, give_void, meet, rush, take};
use crate::scenario::{connect, connect_to, number, try_join};
use crate::verdict::{Eaten, Ours, hold_for};
use crate::world::World;

/// Items that several want.
const WANTED: u64 = 6;

/// What may fail.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Faults {
    /// Desktop nodes only: ours stay connected.
    Theirs,
    Everywhere,
}

/// Seeds of each kind where nothing else is said.
const CROWD_SEEDS: u64 = 40;

fn crowd_seeds() -> u64 {
    number("BLX_SEEDS").map_or(CROWD_SEEDS, |seeds| seeds / 10)
}

/// Ours in a tree, and desktop nodes that are connected to some of them and to each other, some of
/// them twice.
fn build(seed: u64) -> World {
    let mut world = World::new(seed);
    let ours = 1 + world.random.place(3);
    for host in 0..ours {
        let connect = match host {
            0 => Vec::new(),
            _ => vec![world.random.place(host)],
        };
        world.add(&connect);
        world.start(host);
    }
    world.run(3_000);
    let desktops = 1 + world.random.place(4);
    for _ in 0..desktops {
        let desktop = desktop(&mut world);
        let host = world.random.place(ours);
        meet(&mut world, desktop, host);
    }
    for _ in 0..world.random.below(4) {
        more(&mut world);
    }
    world.run(8_000);
    world
}

/// One connection more: to anybody, by any address, perhaps the second one of the two.
fn more(world: &mut World) {
    let from = world.random.place(world.hosts.len());
    let to = world.random.place(world.hosts.len());
    let desktops = [from, to].iter().any(|host| !world.hosts[*host].is_ours());
    if from == to || !desktops || world.hosts[from].node.is_none() {
        return;
    }
    match world.random.one_in(3) {
        true => connect_to(world, from, alias(to)),
        false => connect(world, from, to),
    }
}

fn request(world: &mut World, host: usize) {
    let item = world.random.below(WANTED);
    match world.random.below(10) {
        0..=5 => take(world, host),
        6 | 7 => world.type_in(host, &format!("1\nwanted-{item}\n")),
        8 => world.type_in(host, &format!("2\nwanted-{item}\n")),
        _ => world.type_in(host, &format!("5\n{host}-a-{item},wanted-{item}\n")),
    }
}

/// Something happens to a desktop node.
fn trouble_theirs(world: &mut World, old: &mut [Option<Vec<std::rc::Rc<blx::ledger::Block>>>]) {
    let desktops = world.desktops();
    let host = desktops[world.random.place(desktops.len())];
    if world.hosts[host].node.is_none() {
        let file = match world.random.below(4) {
            0 => Some(None),
            1 => old[host].take().map(Some),
            _ => None,
        };
        if let Some(file) = file {
            world.restore(host, file);
        }
        world.start(host);
        let ours = world.ours();
        let to = ours[world.random.place(ours.len())];
        return connect(world, host, to);
    }
    match world.random.below(9) {
        _ if world.hosts[host].paused.is_some() => world.resume(host),
        0 | 1 => world.pause(host),
        2 => {
            let quietly = world.random.one_in(2);
            world.stop(host, quietly);
        }
        3 => old[host] = Some(world.file(host)),
        4 => world.type_in(host, "8\n"),
        5 => give_void(world, host),
        6 => rush(world, 1),
        _ => more(world),
    }
}

/// Something happens to one of ours, or to cables.
fn trouble_ours(world: &mut World) {
    let ours = world.ours();
    let host = ours[world.random.place(ours.len())];
    match world.random.below(8) {
        _ if world.hosts[host].node.is_none() => world.start(host),
        _ if world.hosts[host].paused.is_some() => world.resume(host),
        0 => {
            let steps = world.random.below(400);
            world.run_steps(steps);
            if world.hosts[host].node.is_some() {
                world.cut_power(host);
            }
        }
        1 => world.stop(host, false),
        2 => world.pause(host),
        3 => world.fill_disk(host),
        4 | 5 => {
            for at in 0..world.net.islands.len() {
                world.net.islands[at] = world.random.below(2) as u8;
            }
        }
        6 => world.net.islands.fill(0),
        _ => {
            let connection = world.random.place(world.net.connections.len());
            world.cut(connection);
        }
    }
}

fn run(seed: u64, faults: Faults) -> World {
    let mut world = build(seed);
    let mut old = vec![None; world.hosts.len()];
    let calm = 3 + world.random.below(10);
    for _ in 0..30 + world.random.below(30) {
        let host = world.random.place(world.hosts.len());
        if world.random.one_in(calm) {
            match faults == Faults::Everywhere && world.random.one_in(2) {
                true => trouble_ours(&mut world),
                false => trouble_theirs(&mut world, &mut old),
            }
        } else if world.hosts[host].node.is_some() {
            request(&mut world, host);
        }
        let pause = match world.random.below(4) {
            0 => 0,
            1 => world.random.below(50),
            2 => world.random.below(3_000),
            _ => world.random.below(8_000),
        };
        world.run(pause);
    }
    end(&mut world);
    world
}

/// The last faults are over.
fn end(world: &mut World) {
    for host in 0..world.hosts.len() {
        world.resume(host);
        if world.hosts[host].disk.is_broken() {
            world.stop(host, false);
            world.hosts[host].disk.set_broken(false);
        }
    }
    try_join(world);
}

#[test]
fn crowds_with_desktops_that_fail() {
    let seeds = crowd_seeds();
    hold_for("crowds", 0..seeds, Ours::Crowd, Eaten::Rare, |seed| {
        run(seed, Faults::Theirs)
    });
}

#[test]
fn crowds_in_which_everybody_fails() {
    let seeds = crowd_seeds();
    hold_for(
        "all fail",
        0..seeds,
        Ours::Interrupted,
        Eaten::Rare,
        |seed| run(seed, Faults::Everywhere),
    );
}

#[test]
fn the_same_seed_is_the_same_crowd() {
    for seed in 0..4 {
        let traces = [0, 1].map(|_| run(seed, Faults::Everywhere).trace);
        assert_eq!(traces[0], traces[1], "seed {seed}");
    }
}
