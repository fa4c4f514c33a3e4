//! Stories of wall clocks that were never set, or are set while a node runs: a jump of years, either
//! way, moves nothing but the times that people read.

use blx::ledger::{Kind, Timestamp};

use crate::blocks::mined;
use crate::oracle::{self, Chain};
use crate::peer::{
    behind, call_ours, chain_of, chain_response, longer, new_block, new_transaction, sign,
};
use crate::scenario::agree;
use crate::stories::star;
use crate::world::{BUILT, WALL, World};

/// 1970, a year before all that happens, and one a century behind it: microseconds.
const YEARS: [u64; 3] = [0, WALL - 31_536_000_000_000, WALL + 3_153_600_000_000_000];

/// A LAN on which much waits for a time: a peer that is not there is dialed again, pings are on
/// their way and unanswered, and a chain streams in.
fn busy_lan(seed: u64) -> World {
    let mut world = World::new(seed);
    world.difficulty = 0;
    for _ in 0..4 {
        world.add(&[0, 3]);
    }
    world.hosts[0].connect.clear();
    for host in 0..2 {
        world.start(host);
    }
    let chain = longer(&world, Vec::new(), 400);
    let call = world.call(0);
    world.say(call, &chain_response(&chain));
    world.run(15_000);
    assert_eq!(Chain::of(&mut world, 1).length(), 400);
    // One that answers nothing, and is pinged in a moment.
    let mute = world.call(1);
    world.say(mute, b"{\"type\": \"ping\", \"payload\": {}}\n");
    let pinged = |world: &mut World| world.heard(mute).contains("\"ping\"");
    assert!(world.run_until(12_000, pinged));
    world.start(2);
    world
}

#[test]
fn a_jump_of_years_changes_nothing_that_happens_or_when() {
    for seed in 0..4 {
        for steps in [0, 40, 150, 400] {
            let run = |jumps: &[u64]| {
                let mut world = busy_lan(seed);
                world.run_steps(steps);
                // In the same parts, so that whoever is woken early between two is so in every run.
                for part in 0..3 {
                    for host in 0..3 {
                        let own = &mut world.hosts[host].wall;
                        *own = *jumps.get(part).unwrap_or(own);
                    }
                    world.run(20_000);
                }
                assert_eq!(Chain::of(&mut world, 2).length(), 400);
                (
                    world.now,
                    world.steps,
                    world.trace,
                    world.net.connections.len(),
                )
            };
            let calm = run(&[]);
            let [past, year_ago, future] = YEARS;
            for jumps in [[past, future], [future, past], [year_ago, WALL]] {
                assert_eq!(run(&jumps), calm, "seed {seed}, {steps} steps, {jumps:?}");
            }
        }
    }
}

/// What is read of the blocks' and transactions' times, in their order.
fn times(world: &mut World, host: usize) -> (Vec<f64>, Vec<f64>) {
    let chain = Chain::of(world, host);
    let transactions = chain.transactions().map(|it| it.time.seconds());
    let blocks = chain.blocks().map(|it| it.time.seconds());
    (blocks.collect(), transactions.collect())
}

#[test]
fn no_block_goes_back_in_time_and_no_release_is_older_than_its_request() {
    for seed in 0..6 {
        let mut world = star(seed, 2);
        let mut walls = vec![0, WALL, 0, YEARS[1], YEARS[2], 0, WALL, YEARS[2], 7];
        if seed % 2 == 0 {
            walls.reverse();
        }
        for wall in walls {
            world.hosts[1].wall = wall;
            // The clock stands in 1970 at each start, as it does without a battery.
            world.stop(1, false);
            world.start(1);
            world.run(3_000);
            for _ in 0..2 {
                world.type_in(1, "1\ndrill\n");
                world.run(300);
                world.type_in(1, "2\ndrill\n");
                world.run(300);
            }
        }
        let (blocks, requests) = times(&mut world, 1);
        assert_eq!((blocks.len(), requests.len()), (37, 36), "seed {seed}");
        assert!(blocks.is_sorted(), "seed {seed}: {blocks:?}");
        let pairs = requests.chunks(2).all(|pair| pair[0] < pair[1]);
        assert!(pairs, "seed {seed}: {requests:?}");
        // None can be taken for another one.
        let mut sorted = requests.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.dedup();
        assert_eq!(sorted.len(), requests.len(), "seed {seed}: {requests:?}");
        oracle::check(&mut world);
    }
}

#[test]
fn one_block_of_a_far_year_takes_no_request_there_and_no_release_is_older_than_its_request() {
    const YEAR_2239: f64 = 8.5e9;
    for set in [true, false] {
        let mut world = star(2, 1);
        let wall = if set { WALL } else { 0 };
        world.hosts[0].wall = wall;
        let call = call_ours(&mut world, 0);
        world.type_in(0, "1\ndrill\n");
        world.run(1_000);
        let chain = chain_of(&mut world, 0);
        let mut block = behind(&world, &chain, vec![sign(Kind::Request, "saw", YEAR_2239)]);
        block.timestamp = Timestamp::Float(YEAR_2239);
        world.say(call, &new_block(&mined(block, world.difficulty)));
        world.run(1_000);
        let said = "the last block is of 2239-05-10 15:06 UTC, and this clock shows 2026-";
        assert_eq!(world.shown(0).matches(said).count(), usize::from(set));
        world.type_in(0, "2\ndrill\n");
        world.run(1_000);
        world.type_in(0, "2\nsaw\n1\ndrill\n2\ndrill\n");
        world.run(3_000);
        let (blocks, requests) = times(&mut world, 0);
        assert!(blocks.is_sorted() && requests.len() == 6, "{requests:?}");
        let early = requests.iter().map(|time| *time < YEAR_2239);
        let early: Vec<bool> = early.collect();
        let expected = match set {
            true => [true, false, true, false, true, true],
            // Nobody could tell which of the two is wrong.
            false => [true, false, false, false, false, false],
        };
        assert_eq!(early, expected, "{requests:?}");
        assert!(requests[3] >= YEAR_2239 && requests[2] > requests[0]);
        assert_eq!(world.shown(0).matches(said).count(), usize::from(set));
        world.cut(call);
        oracle::check(&mut world);
    }
}

#[test]
fn a_time_beyond_all_clocks_is_not_signed() {
    let mut world = star(3, 1);
    world.difficulty = 0;
    let mut chain = longer(&world, Vec::new(), 2);
    chain[0].timestamp = blx::ledger::Timestamp::Float(1e300);
    let first = blx::ledger::Block::genesis(chain[0].timestamp);
    let chain = longer(&world, vec![first], 3);
    let call = world.call(0);
    world.say(call, &chain_response(&chain));
    let taken = |world: &mut World| world.shown(0).contains("adopted longer chain");
    assert!(world.run_until(2_000, taken), "{}", world.shown(0));
    world.type_in(0, "1\ndrill\n2\ndrill\n1\ndrill\n");
    world.run(2_000);
    let (blocks, requests) = times(&mut world, 0);
    assert!(blocks.is_sorted());
    assert_eq!(requests.len(), 3);
    let today = WALL as f64 / 1e6;
    assert!(
        requests
            .iter()
            .all(|time| (today..today + 100.0).contains(time))
    );
    world.cut(call);
    oracle::check(&mut world);
}

#[test]
fn what_waits_for_a_block_waits_as_long_whatever_the_clock_shows() {
    for seed in 0..6 {
        for wall in YEARS {
            let mut world = star(seed, 2);
            let call = world.call(0);
            world.run(100);
            let line = sign(Kind::Request, "drill", 7.5);
            world.say(call, &new_transaction(&line));
            let begun = world.now + world.delay;
            world.run(1_000);
            for host in 0..2 {
                world.hosts[host].wall = wall;
            }
            let taken = |world: &mut World| world.heard(call).contains("\"new_block\"");
            assert!(world.run_until(6_000, taken), "seed {seed}");
            let delay = world.now - begun;
            assert!((2_000..5_500).contains(&delay), "seed {seed}: {delay} ms");
            let (blocks, _) = times(&mut world, 0);
            assert!(blocks.is_sorted(), "seed {seed}: {blocks:?}");
            world.cut(call);
            agree(&mut world);
            oracle::check(&mut world);
        }
    }
}

/// What key 9 says of the clock.
fn doubt(world: &mut World, host: usize) -> Option<String> {
    let shown = world.says(host, "9\n", 300);
    assert!(shown.contains("[status] node key: "), "{shown}");
    let mut lines = shown.lines();
    lines.find_map(|line| Some(line.split_once("[status] clock not set: ")?.1.to_owned()))
}

#[test]
fn a_clock_that_is_not_set_is_told_and_one_that_is_a_little_behind_is_not() {
    let mut world = World::new(1);
    world.add(&[]);
    world.hosts[0].wall = 0;
    world.start(0);
    world.run(1_000);
    let built =
        Some("it shows 1970-01-01 00:00 UTC, but this blx was built 2026-11-12 16:13 UTC".into());
    assert_eq!(doubt(&mut world, 0), built);
    world.type_in(0, "1\ndrill\n");
    world.run(500);
    assert!(
        world.shown(0).contains("✅ requested drill"),
        "nothing else changes"
    );
    world.hosts[0].wall = BUILT;
    assert_eq!(doubt(&mut world, 0), None);
    // The last block is made now.
    world.hosts[0].wall = WALL;
    world.type_in(0, "2\ndrill\n");
    world.run(500);
    let (made, minute) = (WALL + 1000 * world.now, 60_000_000);
    for (behind, known) in [(4, true), (6, false), (600, false)] {
        world.hosts[0].wall = made - behind * minute - 1000 * world.now;
        let doubt = doubt(&mut world, 0);
        assert_eq!(doubt.is_none(), known, "{behind} minutes: {doubt:?}");
        let why = doubt.unwrap_or_else(|| ", but the last block is of 2026-11-1".into());
        assert!(
            why.contains(", but the last block is of 2026-11-1"),
            "{why}"
        );
    }
    world.hosts[0].wall = YEARS[2];
    assert_eq!(doubt(&mut world, 0), None, "that nobody can know");
}
