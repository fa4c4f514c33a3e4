//! A run in which everything is drawn from the seed, and the test that runs many.

use std::net::SocketAddr;
use std::ops::Range;

use crate::foe::Foe;
use crate::oracle;
use crate::words;
use crate::world::{World, address, host_at};

const ITEMS: u64 = 6;

pub fn request(world: &mut World, host: usize) {
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
    world.cut_power(host);
    if world.hosts[host].is_ours() {
        words::check_disk(world, host, &world.hosts[host].key(), &shown);
    }
}

/// The user of a host connects to another one.
pub fn connect(world: &mut World, from: usize, to: usize) {
    connect_to(world, from, address(to));
}

/// The same, by one of its addresses.
pub fn connect_to(world: &mut World, from: usize, to: SocketAddr) {
    let ip = to.ip();
    world.type_in(from, &format!("6\n{ip}\n6000\n"));
}

/// A year, in microseconds.
const YEAR: u64 = 365 * 86_400 * 1_000_000;

/// The clock of a host shows another year.
fn jump(world: &mut World, host: usize) {
    let year = world.random.below(100);
    world.hosts[host].wall = year * YEAR + world.random.below(YEAR);
}

pub fn trouble(world: &mut World, wild_clocks: bool) {
    let host = world.random.place(world.hosts.len());
    let runs = world.hosts[host].node.is_some();
    match world.random.below(11) {
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
        9 if wild_clocks => jump(world, host),
        _ => {
            let other = world.random.place(world.hosts.len());
            if other != host || world.hosts[host].is_ours() {
                connect(world, host, other);
            }
        }
    }
}

/// Whether every host runs and is connected as it should be: ours to whom they were told to dial,
/// a desktop node to one of ours.
pub fn is_whole(world: &World) -> bool {
    (0..world.hosts.len()).all(|host| {
        let dialed = &world.hosts[host].connect;
        world.hosts[host].node.is_some()
            && dialed.iter().all(|to| world.linked(host, host_at(*to)))
            && (world.hosts[host].is_ours() || is_heard(world, host))
    })
}

/// Whether a desktop node's host is connected to one of ours.
pub fn is_heard(world: &World, host: usize) -> bool {
    let mut ours = world.ours().into_iter();
    ours.any(|other| world.linked(host, other))
}

/// Ends all trouble and waits until the hosts have found each other.
fn join(world: &mut World) {
    assert!(try_join(world), "they do not find each other");
}

/// The same; whether they have.
pub fn try_join(world: &mut World) -> bool {
    try_join_as(world, is_whole)
}

/// The same, where all is well when this is so.
pub fn try_join_as(world: &mut World, is_whole: impl Fn(&World) -> bool) -> bool {
    world.net.islands.fill(0);
    for connection in 0..world.net.connections.len() {
        let mut pipes = world.net.connections[connection].pipes.iter();
        if pipes.any(|pipe| pipe.room() == 0) {
            world.cut(connection);
        }
    }
    for host in 0..world.hosts.len() {
        world.hosts[host].screen.asleep = 0;
    }
    // A dead connection is noticed after a minute, and dialed again after another one at most. An
    // exit that was typed before is obeyed now.
    for _ in 0..20 {
        for host in 0..world.hosts.len() {
            if world.hosts[host].node.is_none() {
                world.start(host);
            }
        }
        for host in world.desktops() {
            if !is_heard(world, host) {
                let ours = world.ours();
                let to = ours[world.random.place(ours.len())];
                connect(world, host, to);
            }
        }
        world.run(3_000);
        if world.run_until(12_000, |world| is_whole(world)) {
            return true;
        }
    }
    false
}

/// Milliseconds after the last fault until everybody has everybody's items.
pub const WHOLE_MS: u64 = 30_000;

/// Ours agree in ten seconds, or with the desktop nodes in thirty; all are connected.
pub fn agree(world: &mut World) {
    let joined = world.now;
    let millis = match world.desktops().is_empty() {
        true => 10_000,
        false => WHOLE_MS,
    };
    assert!(
        oracle::one_tip_within(world, millis),
        "seed {}: ours do not agree after {millis} ms",
        world.seed
    );
    let end = joined + millis.max(15_000);
    world.run(end - world.now);
}

/// Hosts with their connections, and whether clocks may show anything.
fn build(seed: u64) -> (World, bool) {
    let mut world = World::new(seed);
    let ours = 2 + world.random.place(4);
    let desktops = match world.random.below(2) {
        0 => 0,
        _ => 1 + world.random.place(2),
    };
    let wild_clocks = world.random.one_in(3);
    for host in 0..ours {
        let mut connect = Vec::new();
        if host > 0 {
            connect.push(world.random.place(host));
        }
        if world.random.one_in(3) {
            let other = world.random.place(ours + desktops);
            let new = other != host && !connect.contains(&other);
            connect.extend(new.then_some(other));
        }
        world.add(&connect);
    }
    for _ in 0..desktops {
        world.add_desktop();
    }
    if is_hostile(seed) {
        // What is long has to get through, and a long block is a lot of work.
        world.capacity = world.capacity.max(4 << 20);
        world.difficulty = world.difficulty.min(1);
    }
    for host in 0..world.hosts.len() {
        if wild_clocks && world.random.one_in(2) {
            jump(&mut world, host);
        }
    }
    (world, wild_clocks)
}

/// Whether somebody is there who means harm.
fn is_hostile(seed: u64) -> bool {
    seed % 16 == 7
}

/// What a run came to.
#[derive(Debug, PartialEq)]
struct Outcome {
    trace: u64,
    steps: u64,
    /// Requests and releases of desktop nodes' users that are nowhere, although nobody wanted the same.
    missing: usize,
}

fn run(seed: u64) -> Outcome {
    let (mut world, wild_clocks) = build(seed);
    let count = world.hosts.len();
    for host in 0..count {
        world.start(host);
        let pause = world.random.below(2_000);
        world.run(pause);
    }
    for host in world.desktops() {
        connect(&mut world, host, 0);
    }
    let mut foe = is_hostile(seed).then(|| Foe::new(seed));
    let calm = 2 + world.random.below(10);
    let trouble_free = world.random.one_in(4);
    for _ in 0..40 + world.random.below(40) {
        let host = world.random.place(count);
        if !trouble_free && world.random.one_in(calm) {
            trouble(&mut world, wild_clocks);
        } else if world.hosts[host].node.is_some() {
            request(&mut world, host);
        }
        if let Some(foe) = &mut foe
            && world.random.one_in(4)
        {
            foe.act(&mut world);
        }
        let pause = match world.random.below(4) {
            0 => 0,
            1 => world.random.below(50),
            _ => world.random.below(3_000),
        };
        world.run(pause);
    }
    let hostile = foe.is_some();
    if let Some(foe) = foe {
        foe.leave(&mut world);
    }
    join(&mut world);
    agree(&mut world);
    let missing = oracle::check_all(&mut world);
    if !hostile {
        assert!(missing.is_empty(), "lost without a reason: {missing:?}");
    }
    Outcome {
        trace: world.trace,
        steps: world.steps,
        missing: missing.len(),
    }
}

/// Seeds that are run where nothing else is said.
const SEEDS: u64 = 300;

/// Whether fewer seeds are wanted than usual.
pub fn is_short() -> bool {
    number("BLX_SEEDS").is_some_and(|seeds| seeds < SEEDS)
}

pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The seeds to run: the one that is asked for, or some, usually so many, from the first. That is 0
/// unless it is drawn: whoever only runs the tests gets the same ones each time.
pub fn seeds_wanted(usually: u64) -> Range<u64> {
    if let Some(seed) = number("BLX_SEED") {
        return seed..seed + 1;
    }
    let first = number("BLX_FIRST_SEED").unwrap_or(0);
    first..first + number("BLX_SEEDS").unwrap_or(usually)
}

/// Seeds that are run twice. What makes two runs of a seed differ, such as an order that a hash
/// map gives, is in most of them.
const TWICE: u64 = 25;

/// Runs a seed; `None` if that panics, be it a node or the oracle that does.
fn run_whole(seed: u64, twice: bool) -> Option<Outcome> {
    let whole = || {
        let first = run(seed);
        if twice {
            assert_eq!(first, run(seed), "the same seed, the same run");
        }
        first
    };
    std::panic::catch_unwind(whole)
        .inspect_err(|_| println!("BLX_SEED={seed} failed"))
        .ok()
}

#[test]
fn seeds() {
    let seeds = seeds_wanted(SEEDS);
    let next = std::sync::atomic::AtomicU64::new(seeds.start);
    let work = || {
        let (mut steps, mut missing, mut failed) = (0, 0, Vec::new());
        let mut traces = 0;
        loop {
            let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if seed >= seeds.end {
                return (steps, missing, failed, traces);
            }
            match run_whole(seed, seed - seeds.start < TWICE) {
                Some(outcome) => {
                    steps += outcome.steps;
                    missing += outcome.missing;
                    // The same whoever ran which.
                    traces ^= outcome.trace.rotate_left((seed % 64) as u32);
                }
                None => failed.push(seed),
            }
        }
    };
    let (one, other) = std::thread::scope(|scope| {
        let second = scope.spawn(work);
        (work(), second.join().expect("what panics is caught"))
    });
    // A change of the source that changes nothing a node does leaves these figures as they are.
    println!(
        "seeds {seeds:?}: {} events, traces {:016x}, {} acts of desktop users are nowhere",
        one.0 + other.0,
        one.3 ^ other.3,
        one.1 + other.1
    );
    let failed = [one.2, other.2].concat();
    assert!(failed.is_empty(), "these seeds failed: {failed:?}");
}
