//! Runs with the feature `tiny-limits`, in which everything that can be full is: connections, queues,
//! the mempool, consoles. The oracle asks for the same as ever, and behind the runs stands how often each
//! path ran that runs when something is full (`limits::Full`).
//!
//! Not in that list, as nothing here comes to them: what only the shell knows (more consoles than there may
//! be, more addresses of a name, a console that blocks); what only `blx verify` reads; a book or a chain file
//! that was written with larger limits; a record that is too long, since its block's text would be; and more
//! addresses of a node's own than it remembers, since a host has one that it knows.

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};

use blx::ledger::Kind;
use blx::limits::{self, Full};
use blx::node::{CONSOLE, ConnId, ConsoleKind, Event};
use blx::store::disk::File;
use blx::wire::text;

use crate::foe::{Foe, ITEMS, chain_on};
use crate::host::{address, alias};
use crate::net::End;
use crate::oracle::{self, Chain};
use crate::peer::{
    ASK, PING, behind, call_desktop, call_ours, chain_response, grow_by, longer, new_block, sign,
};
use crate::scenario::{self, seeds_wanted};
use crate::stories::star;
use crate::throng::{Throng, WAYS, Way};
use crate::words::Words;
use crate::world::{CONNS, World};

/// Seeds that are run where nothing else is said: in these each path runs.
const SEEDS: u64 = 400;

/// Milliseconds after the last fault until a LAN comes to rest: what a reorg disconnected and has no
/// room goes into blocks part by part.
const REST_MS: u64 = 900_000;

/// Milliseconds until all agree: one of ours that was not told a block hears of it with a ping, and a
/// desktop node may have to wait for an empty block.
const AGREE_MS: u64 = 60_000;

/// Machines at most: all others of them have a place at each, whatever keeps its own.
const HOSTS: usize = limits::PEERS;

/// What is different in a run.
struct Switches {
    ways: Vec<Way>,
    foe: bool,
    wild_clocks: bool,
}

/// Hosts with their connections.
fn build(seed: u64) -> (World, Switches) {
    let mut world = World::new(seed);
    let ours = 2 + world.random.place(3);
    let desktops = match world.random.below(2) {
        0 => 0,
        _ => (HOSTS - ours).min(1 + world.random.place(2)),
    };
    let ways: Vec<Way> = (0..3)
        .map(|_| WAYS[world.random.place(WAYS.len())])
        .filter(|way| desktops == 0 || !way.is_for_ours_alone())
        .collect();
    let switches = Switches {
        foe: world.random.one_in(6),
        wild_clocks: world.random.one_in(3),
        ways,
    };
    let items = match desktops == 0 && world.random.one_in(3) {
        true => 5,
        false => 200_000,
    };
    for host in 0..ours {
        let connect: Vec<usize> = (host > 0)
            .then(|| world.random.place(host))
            .into_iter()
            .collect();
        let at = world.add(&connect);
        world.hosts[at].items_max = items;
        if switches.ways.contains(&Way::LongChains) {
            world.hosts[at].staging_max = 32 << 10;
        }
    }
    for _ in 0..desktops {
        world.add_desktop();
    }
    if switches.foe || switches.ways.contains(&Way::LongChains) {
        world.difficulty = world.difficulty.min(1);
    }
    (world, switches)
}

/// Nothing is larger than it may be.
fn check_bounds(world: &mut World) {
    for host in world.ours() {
        let Some(node) = &mut world.hosts[host].node else {
            continue;
        };
        for conn in 0..CONNS {
            let conn = ConnId(conn as u8);
            assert!(node.tx_pending(conn).len() <= limits::WRITE_BYTES);
            assert!(node.rx_space(conn).len() <= limits::READ_BYTES_MAX);
        }
        let disk = &world.hosts[host].disk;
        assert!(disk.live(File::Events).len() <= limits::EVENTS_BYTES);
        let staged = disk.live(File::Candidate).len() as u64;
        assert!(staged <= world.hosts[host].staging_max);
    }
}

/// Whether every host runs and all are connected, by whichever way: the one that a host was told to
/// dial may have no place left.
fn is_whole(world: &World) -> bool {
    let ours = world.ours();
    let mut reached = BTreeSet::from([ours[0]]);
    for _ in &ours {
        let more = ours
            .iter()
            .filter(|to| reached.iter().any(|from| world.linked(*from, **to)));
        let more: Vec<usize> = more.copied().collect();
        reached.extend(more);
    }
    let heard = |host: &usize| scenario::is_heard(world, *host);
    let runs = world.hosts.iter().all(|host| host.node.is_some());
    runs && reached.len() == ours.len() && world.desktops().iter().all(heard)
}

/// What everybody's chain ends with.
fn tips(world: &World) -> Vec<String> {
    let blocks = |host: usize| format!("{:?}", oracle::tip_of(world, host));
    let mut tips: Vec<String> = world.ours().into_iter().map(blocks).collect();
    let theirs = world.desktops().into_iter();
    tips.extend(theirs.map(|host| format!("{:?}", world.desktop(host).chain().last())));
    tips
}

/// Waits until nothing more changes.
fn rest(world: &mut World) {
    let end = world.now + REST_MS;
    loop {
        let before = tips(world);
        world.run(30_000);
        if tips(world) == before {
            return;
        }
        assert!(world.now < end, "seed {}: it never rests", world.seed);
    }
}

/// What a run came to.
#[derive(Debug, PartialEq)]
struct Outcome {
    trace: u64,
    /// Users of ours who were not shown everything, so that nothing can be said of what they were.
    gaps: u64,
}

fn run(seed: u64) -> Outcome {
    let (mut world, switches) = build(seed);
    let count = world.hosts.len();
    for host in 0..count {
        world.start(host);
        if switches.ways.contains(&Way::Typists) && host == 0 {
            for own in [address(0), alias(0)] {
                scenario::connect_to(&mut world, 0, own);
                world.run(500);
            }
        }
        let pause = world.random.below(2_000);
        world.run(pause);
    }
    for host in world.desktops() {
        scenario::connect(&mut world, host, 0);
    }
    let mut foe = switches.foe.then(|| Foe::new(seed));
    let mut throng = Throng::new(seed, switches.ways);
    let calm = 2 + world.random.below(10);
    for _ in 0..40 + world.random.below(40) {
        let host = world.random.place(count);
        if world.random.one_in(calm) {
            scenario::trouble(&mut world, switches.wild_clocks);
        } else if world.hosts[host].node.is_some() {
            scenario::request(&mut world, host);
        }
        if let Some(foe) = &mut foe
            && world.random.one_in(4)
        {
            foe.act(&mut world);
        }
        if world.random.one_in(2) {
            throng.act(&mut world);
        }
        let pause = match world.random.below(4) {
            0 => 0,
            1 => world.random.below(50),
            _ => world.random.below(3_000),
        };
        world.run(pause);
        check_bounds(&mut world);
    }
    let hostile = foe.is_some() || throng.is_hostile();
    if let Some(foe) = foe {
        foe.leave(&mut world);
    }
    throng.leave(&mut world);
    assert!(
        scenario::try_join_as(&mut world, is_whole),
        "seed {seed}: they do not find each other"
    );
    assert!(
        oracle::one_tip_within(&mut world, AGREE_MS),
        "seed {seed}: ours do not agree"
    );
    rest(&mut world);
    check_bounds(&mut world);
    let missing = oracle::check_all(&mut world);
    assert!(
        hostile || missing.is_empty(),
        "lost without a reason: {missing:?}"
    );
    let gaps =
        |host: &usize| world.hosts[*host].screen.unseen || Words::of(&world.shown(*host)).gaps;
    Outcome {
        trace: world.trace,
        gaps: world.ours().iter().filter(|host| gaps(host)).count() as u64,
    }
}

/// A chain is told slowly to somebody who asks much else, and gives way to another one meanwhile: the
/// other one is told all the same.
fn told_anew(seed: u64) {
    let mut world = star(seed, 1);
    for item in 0..6 {
        world.type_in(0, &format!("1\nitem-{item}\n"));
        world.run(500);
    }
    let call = world.call(0);
    world.net.connections[call].pipes[1].capacity = 1_500;
    world.net.connections[call].ends[0] = End::Gone;
    world.say(call, ASK);
    world.run(500);
    for _ in 0..2 * limits::OUTGOING_MESSAGES {
        world.say(call, PING);
    }
    world.run(500);
    let other = call_ours(&mut world, 0);
    world.say(other, &chain_response(&longer(&world, Vec::new(), 12)));
    world.run(2_000);
    assert!(Chain::of(&mut world, 0).length() >= 12);
    world.net.connections[call].ends[0] = End::Story(Vec::new());
    world.run(5_000);
    let (_, tip) = oracle::tip_of(&world, 0);
    let heard = world.heard(call);
    let mut whole = heard.lines().filter(|line| line.contains("chain_response"));
    assert!(
        whole.next_back().is_some_and(|line| line.contains(&tip)),
        "{heard}"
    );
    oracle::check(&mut world);
}

/// A desktop node's chain has a block that is as long as can be, and too long when it is made again.
fn long_when_remade(seed: u64) {
    let mut world = star(seed, 1);
    world.type_in(0, "1\ndrill\n");
    world.run(500);
    let mut chain = longer(&world, Vec::new(), 1);
    let mut length = limits::BLOCK_TEXT_MAX;
    let long = loop {
        let name = format!("{ITEMS}{}", "x".repeat(length));
        let block = behind(&world, &chain, vec![sign(Kind::Request, &name, 0.5)]);
        match text::block_bytes(&block) {
            bytes if bytes > limits::BLOCK_TEXT_MAX => length -= bytes - limits::BLOCK_TEXT_MAX,
            _ => break block,
        }
    };
    chain.push(long);
    grow_by(&world, &mut chain, &[format!("{ITEMS}saw")]);
    let call = call_desktop(&mut world, 0);
    world.say(call, &chain_response(&chain));
    world.run(5_000);
    let told = world
        .shown(0)
        .matches("a peer's chain is not followed")
        .count();
    assert_eq!(told, 1, "{}", world.shown(0));
    oracle::check(&mut world);
}

/// A desktop node's block is as long as can be, and too long when it is made ours: its wish is taken all
/// the same if a block has room for it.
fn long_when_made_ours(seed: u64) {
    let mut world = star(seed, 1);
    let chain = chain_on(&world, 0);
    let call = call_desktop(&mut world, 0);
    world.say(call, &chain_response(&chain));
    world.run(1_000);
    let of = |length: usize| {
        let name = format!("{ITEMS}{}", "x".repeat(length));
        behind(&world, &chain, vec![sign(Kind::Request, &name, 0.5)])
    };
    let beside = text::block_bytes(&of(0));
    let block = of((limits::BLOCK_TEXT_MAX + limits::TEMPLATE_TEXT_MAX) / 2 - beside);
    assert!(text::block_bytes(&block) > limits::TEMPLATE_TEXT_MAX);
    world.say(call, &new_block(&block));
    world.run(10_000);
    oracle::check(&mut world);
}

/// A chain that loses brings more than the mempool has room for: the rest is left, and what was taken
/// is made ours.
fn more_than_there_is_room_for(seed: u64) {
    let mut world = star(seed, 1);
    for item in 0..3 {
        world.type_in(0, &format!("1\nitem-{item}\n"));
        world.run(500);
    }
    let mut chain = longer(&world, Vec::new(), 1);
    let items: Vec<String> = (0..9).map(|item| format!("{ITEMS}{item}")).collect();
    grow_by(&world, &mut chain, &items);
    let call = call_ours(&mut world, 0);
    world.say(call, &chain_response(&chain));
    world.run(20_000);
    let [reserved, _] = Chain::of(&mut world, 0).replay();
    let taken = reserved.iter().filter(|item| item.starts_with(ITEMS));
    assert!((3..9).contains(&taken.count()), "{reserved:?}");
    oracle::check(&mut world);
}

/// What a desktop node did alone is ours, however little room there is.
fn all_of_a_desktop_nodes(seed: u64) {
    let mut world = star(seed, 1);
    for item in 0..8 {
        world.type_in(0, &format!("1\nitem-{item}\n"));
        world.run(500);
    }
    let mut chain = longer(&world, Vec::new(), 1);
    for block in 0..6 {
        let items = (0..5).map(|item| format!("{ITEMS}{block}-{item}"));
        grow_by(&world, &mut chain, &items.collect::<Vec<_>>());
    }
    let call = call_desktop(&mut world, 0);
    world.say(call, &chain_response(&chain));
    world.run(90_000);
    let [reserved, _] = Chain::of(&mut world, 0).replay();
    assert_eq!(reserved.len(), 8 + 30, "{reserved:?}");
    oracle::check(&mut world);
}

/// Somebody names one more than can be dialed, and desktop nodes leave before they have answered.
fn one_too_many(seed: u64) {
    let mut world = World::new(seed);
    let nobody: Vec<usize> = (1..=limits::PEERS).collect();
    world.add(&nobody);
    world.start(0);
    let told = world.says(0, "6\n10.0.0.9\n6000\n", 1_000);
    assert!(told.contains("peers are enough"), "{told}");
    for item in 0..4 {
        let call = call_desktop(&mut world, 0);
        let chain = chain_on(&world, 0);
        world.say(call, &chain_response(&chain));
        world.run(9_000);
        world.type_in(0, &format!("1\nitem-{item}\n"));
        world.run(1_000);
        world.cut(call);
        world.run(100);
    }
    oracle::check(&mut world);
}

/// All who have a place keep it, so one more that is named is not dialed.
fn no_place_left(seed: u64) {
    let mut world = star(seed, 1);
    let call = call_ours(&mut world, 0);
    for host in 1..limits::PEERS {
        world.add(&[]);
        world.start(host);
        scenario::connect(&mut world, 0, host);
        world.run(500);
    }
    let chain = chain_on(&world, 0);
    let block = behind(&world, &chain, vec![sign(Kind::Request, "foe-saw", 0.5)]);
    world.say(call, &new_block(&block));
    world.run(1_000);
    let told = world.says(0, "6\n10.0.0.9\n6000\n", 1_000);
    assert!(told.contains("places are taken"), "{told}");
    oracle::check(&mut world);
}

/// What is typed on a serial line is longer than a line may be.
fn long_on_a_serial_line(seed: u64) {
    let mut world = star(seed, 1);
    let (conn, kind) = (ConnId(CONSOLE.0 + 1), ConsoleKind::Serial);
    world.tell(0, Event::ConsoleOpened { conn, kind });
    for byte in [b'y', b'y', b'y', b'\r'] {
        let node = world.hosts[0].node.as_mut().expect("it runs");
        let count = node.tx_pending(conn).len();
        world.tell(0, Event::Sent { conn, count });
        let node = world.hosts[0].node.as_mut().expect("it runs");
        let space = node.rx_space(conn);
        let count = match byte {
            b'y' => space.len(),
            _ => space.len().min(1),
        };
        space[..count].fill(byte);
        world.tell(0, Event::Received { conn, count });
        world.run(10);
    }
}

/// Seeds that are run twice.
const TWICE: u64 = 10;

fn run_whole(seed: u64, twice: bool) -> Option<Outcome> {
    let whole = || {
        let first = run(seed);
        if twice {
            assert_eq!(first, run(seed), "the same seed, the same run");
        }
        first
    };
    catch_unwind(whole)
        .inspect_err(|_| println!("BLX_SEED={seed} failed"))
        .ok()
}

#[test]
fn seeds() {
    let seeds = seeds_wanted(SEEDS);
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let (mut gaps, mut failed) = (0, Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return (gaps, failed);
            }
            match run_whole(seed, seed - seeds.start < TWICE) {
                Some(outcome) => gaps += outcome.gaps,
                None => failed.push(seed),
            }
        }
    };
    let (one, other) = std::thread::scope(|scope| {
        let second = scope.spawn(work);
        (work(), second.join().expect("what panics is caught"))
    });
    for seed in 0..8 {
        told_anew(seed);
        long_when_remade(seed);
        long_when_made_ours(seed);
        more_than_there_is_room_for(seed);
        all_of_a_desktop_nodes(seed);
        one_too_many(seed);
        no_place_left(seed);
        long_on_a_serial_line(seed);
    }
    println!("{} users were not shown everything", one.0 + other.0);
    for (path, what) in Full::ALL {
        println!("{:>9} times: {what}", path.count());
    }
    let failed = [one.1, other.1].concat();
    assert!(failed.is_empty(), "these seeds failed: {failed:?}");
    let never = Full::ALL.iter().filter(|(path, _)| path.count() == 0);
    let never: Vec<&str> = never.map(|(_, what)| *what).collect();
    let all = seeds.end - seeds.start >= SEEDS;
    assert!(!all || never.is_empty(), "never ran: {never:#?}");
}
