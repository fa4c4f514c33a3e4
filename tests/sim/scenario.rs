//! A run in which everything is drawn from the seed, and the test that runs many.

use blx::ledger::Identity;

use crate::oracle;
use crate::world::World;

const ITEMS: u64 = 6;

fn wish(world: &mut World, host: usize) {
    let item = |world: &mut World| format!("item-{}", world.random.below(ITEMS));
    let text = match world.random.below(12) {
        0..=4 => format!("1\n{}\n", item(world)),
        5..=7 => format!("2\n{}\n", item(world)),
        8 => format!("5\n{},{}, {}\n", item(world), item(world), item(world)),
        9 => "8\n".into(),
        10 => "3\n\n7\n99\n".into(),
        _ => "9\n4\n".into(),
    };
    world.type_in(host, &text);
}

fn lose_power(world: &mut World, host: usize) {
    // Only what was taken from the node was shown.
    let shown = world.shown(host);
    let key = Identity::from_secret(&world.hosts[host].secret)
        .expect("a key")
        .public();
    world.cut_power(host);
    oracle::check_disk(world, host, &key.to_string(), &shown);
}

fn trouble(world: &mut World) {
    let host = world.random.place(world.hosts.len());
    let runs = world.hosts[host].node.is_some();
    match world.random.below(10) {
        0 | 1 if runs => {
            // In the middle of whatever is going on.
            let steps = world.random.below(400);
            world.run_steps(steps);
            if world.hosts[host].node.is_some() {
                lose_power(world, host);
            }
        }
        2 if runs => world.stop(host, false),
        3 if runs => world.type_in(host, "10\n"),
        0..=3 => world.start(host),
        4 | 5 => {
            for at in 0..world.net.islands.len() {
                world.net.islands[at] = world.random.below(2) as u8;
            }
        }
        6 => world.net.islands.fill(0),
        7 => {
            let connection = world.random.place(world.net.connections.len().max(1));
            if connection < world.net.connections.len() {
                world.cut(connection);
            }
        }
        8 => world.hosts[host].screen.asleep = world.now + world.random.below(5_000),
        _ => {
            let other = world.random.place(world.hosts.len());
            let ip = crate::world::address(other).ip();
            world.type_in(host, &format!("6\n{ip}\n6000\n"));
        }
    }
}

/// Ends all trouble, waits until the hosts have found each other, and ten seconds more.
pub fn heal(world: &mut World) {
    world.net.islands.fill(0);
    for connection in 0..world.net.connections.len() {
        if world.net.connections[connection]
            .pipes
            .iter()
            .any(|pipe| pipe.room() == 0)
        {
            world.cut(connection);
        }
    }
    for host in 0..world.hosts.len() {
        world.hosts[host].screen.asleep = 0;
        if world.hosts[host].node.is_none() {
            world.start(host);
        }
    }
    // A dead connection is noticed after a minute, and dialed again after another one at most.
    let whole = |world: &mut World| {
        (0..world.hosts.len()).all(|host| {
            let connect = world.hosts[host].connect.clone();
            world.hosts[host].node.is_some() && connect.iter().all(|to| world.linked(host, *to))
        })
    };
    world.run(200);
    for host in 0..world.hosts.len() {
        // An exit that was typed before is obeyed now at the latest.
        world.run(3_000);
        if world.hosts[host].node.is_none() {
            world.start(host);
        }
    }
    assert!(world.run_until(200_000, whole), "they find each other");
    world.run(10_000);
}

fn run(seed: u64) -> (u64, u64) {
    let mut world = World::new(seed);
    let count = 2 + world.random.place(4);
    for host in 0..count {
        let mut connect = Vec::new();
        if host > 0 {
            connect.push(world.random.place(host));
            if world.random.one_in(3) {
                let other = world.random.place(host);
                if other != connect[0] {
                    connect.push(other);
                }
            }
        }
        world.add(&connect);
    }
    for host in 0..count {
        world.start(host);
        let pause = world.random.below(2_000);
        world.run(pause);
    }
    let calm = 2 + world.random.below(10);
    for _ in 0..40 + world.random.below(40) {
        let host = world.random.place(count);
        if world.random.one_in(calm) {
            trouble(&mut world);
        } else if world.hosts[host].node.is_some() {
            wish(&mut world, host);
        }
        let pause = match world.random.below(4) {
            0 => 0,
            1 => world.random.below(50),
            _ => world.random.below(3_000),
        };
        world.run(pause);
    }
    heal(&mut world);
    oracle::check(&mut world);
    (world.trace, world.steps)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn seeds() {
    let seeds = match number("BLX_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("BLX_SEEDS").unwrap_or(60),
    };
    let mut steps = 0;
    for seed in seeds {
        println!("BLX_SEED={seed}");
        let first = run(seed);
        assert_eq!(first, run(seed), "the same seed, the same run");
        steps += first.1;
    }
    println!("{steps} events");
}
