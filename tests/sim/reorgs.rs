//! Scripted runs: chains that meet.

use std::collections::BTreeSet;
use std::rc::Rc;

use blx::ledger::Block;
use blx::limits;
use blx::store::disk::File;

use crate::oracle::{self, Chain};
use crate::peer::{PING, behind, call_ours, chain_of, chain_response, grow_by, longer};
use crate::scenario::connect;
use crate::stories::star;
use crate::world::World;

#[test]
fn a_reorg_at_block_0_keeps_what_the_user_was_shown() {
    let mut world = star(1, 1);
    world.type_in(0, "1\ndrill\n5\na,b\n");
    world.run(1_000);
    let other = longer(&world, Vec::new(), 400);
    let call = world.call(0);
    world.say(call, &chain_response(&other));
    world.run(5_000);
    let chain = Chain::of(&mut world, 0);
    assert_eq!(chain.length(), 401);
    oracle::check(&mut world);
}

#[test]
fn a_reorg_while_another_candidate_streams_in() {
    let mut world = star(2, 2);
    let short = longer(&world, Vec::new(), 300);
    let long = longer(&world, short[..100].to_vec(), 320);
    let (slow, fast) = (world.call(0), world.call(0));
    let line = chain_response(&long);
    world.say(slow, &line[..line.len() / 2]);
    world.run(1_000);
    // This one has to wait for the first; a block of our own comes between the two.
    world.say(fast, &chain_response(&short));
    world.type_in(0, "1\ndrill\n");
    world.run(1_000);
    assert_eq!(chain_of(&mut world, 0).len(), 2);
    world.say(slow, &line[line.len() / 2..]);
    world.run(5_000);
    assert_eq!(Chain::of(&mut world, 0).length(), 321);
    oracle::check(&mut world);
}

#[test]
fn a_chain_of_large_blocks_may_come_slowly() {
    let mut world = star(1, 1);
    let mut chain = longer(&world, Vec::new(), 1);
    for number in 0..10 {
        let name = "x".repeat(limits::MESSAGE_TEXT_MAX / 2) + &number.to_string();
        grow_by(&world, &mut chain, &[name]);
    }
    let call = world.call(0);
    let line = chain_response(&chain);
    // 64 kB a second: a block in 8 seconds.
    for second in line.chunks(64_000) {
        world.say(call, second);
        world.run(1_000);
    }
    world.run(5_000);
    assert!(!world.is_over(call));
    assert_eq!(Chain::of(&mut world, 0).length(), 11);
    oracle::check(&mut world);
}

#[test]
fn a_peer_that_stops_in_the_middle_of_its_chain_gives_its_place_to_the_others() {
    let mut world = star(3, 2);
    let chain = longer(&world, Vec::new(), 50);
    let (stopped, other) = (world.call(0), world.call(0));
    let line = chain_response(&chain);
    world.say(stopped, &line[..line.len() - 100]);
    world.run(500);
    world.say(other, PING);
    world.say(other, &chain_response(&chain[..40]));
    world.type_in(1, "1\ndrill\n");
    let asked = |world: &mut World| world.heard(other).matches("request_chain").count();
    world.run(limits::STALL_MS / 2);
    world.say(other, PING);
    world.run(500);
    let pongs = world.heard(other).matches("pong").count();
    assert_eq!(pongs, 2, "the others are answered meanwhile");
    assert!(!world.is_over(stopped));
    let before = asked(&mut world);
    world.run(limits::STALL_MS);
    assert!(world.is_over(stopped) && !world.is_over(other));
    assert_eq!(
        asked(&mut world),
        before + 1,
        "what was skipped is asked for again"
    );
    world.say(other, &chain_response(&chain[..40]));
    world.run(1_000);
    assert_eq!(Chain::of(&mut world, 0).length(), 41);
    oracle::check(&mut world);
}

#[test]
fn a_chain_that_takes_long_shows_how_far_it_is_on_one_line() {
    let mut world = star(3, 1);
    let chain = longer(&world, Vec::new(), 400);
    let line = chain_response(&chain);
    let call = world.call(0);
    let part = line.len() / 8;
    for piece in line.chunks(part) {
        world.say(call, piece);
        world.run(1_000);
    }
    world.run(1_000);
    assert_eq!(Chain::of(&mut world, 0).length(), 400);
    let shown = world.shown(0);
    let first = shown.find("blocks have come, ").expect("it is shown");
    let last = shown.rfind("blocks have come, ").expect("it is shown");
    let between = &shown[first..last];
    assert!(between.matches('\r').count() > 5, "{shown}");
    assert!(!between.contains('\n'), "on one line: {between:?}");
    // And a short one shows nothing.
    let end = shown.len();
    world.say(call, &chain_response(&longer(&world, chain, 450)));
    world.run(1_000);
    assert!(!world.shown(0)[end..].contains("blocks have come"));
    oracle::check(&mut world);
}

#[test]
fn a_chain_that_trickles_is_given_up() {
    let mut world = star(3, 1);
    let chain = longer(&world, Vec::new(), 100);
    let line = chain_response(&chain);
    let call = world.call(0);
    let mut sent = 0;
    // A block each second or two: no silence is long enough to end it.
    for _ in 0..100 {
        let end = line.len().min(sent + 100);
        world.say(call, &line[sent..end]);
        sent = end;
        world.run(1_000);
    }
    assert!(world.is_over(call));
    assert_eq!(Chain::of(&mut world, 0).length(), 1);
    oracle::check(&mut world);
}

#[test]
fn a_chain_that_is_invalid_in_its_last_block_leaves_no_trace() {
    let mut world = star(4, 1);
    world.type_in(0, "1\ndrill\n");
    world.run(1_000);
    let before = world.hosts[0].disk.live(File::Chain);
    let ours = chain_of(&mut world, 0);
    let mut chain = longer(&world, ours, 30);
    chain.last_mut().expect("the last").nonce += 1;
    let call = world.call(0);
    for misbehaviour in 1..=limits::MISBEHAVIOURS_MAX {
        assert!(!world.is_over(call));
        world.say(call, &chain_response(&chain));
        world.run(1_000);
        let shown = world.shown(0);
        let told = shown
            .matches("peer chain failed validation: block 29")
            .count();
        assert_eq!(told, usize::from(misbehaviour), "{shown}");
    }
    assert!(world.is_over(call));
    assert!(world.hosts[0].disk.live(File::Chain) == before);
    assert!(world.hosts[0].disk.live(File::Candidate).is_empty());
    oracle::check(&mut world);
}

/// A host that is copying a chain of 800 blocks into its file, and the length of that file before.
fn reorging(seed: u64) -> (World, usize, usize) {
    let mut world = star(seed, 2);
    world.type_in(0, "1\ndrill\n");
    world.run(1_000);
    let before = world.hosts[0].disk.live(File::Chain).len();
    let chain = longer(&world, Vec::new(), 800);
    let call = world.call(0);
    world.say(call, &chain_response(&chain));
    let begun = |world: &mut World| world.hosts[0].disk.live(File::Chain).len() > before;
    assert!(world.run_until(10_000, begun), "the reorg begins");
    (world, call, before)
}

#[test]
fn a_restart_in_the_middle_of_a_reorg_has_the_one_chain_or_the_other() {
    let mut lengths = Vec::new();
    for seed in 0..12 {
        let (mut world, _, _) = reorging(seed);
        let steps = world.random.below(16);
        world.run_steps(steps);
        if world.random.one_in(2) {
            world.cut_power(0);
        } else {
            world.stop(0, false);
        }
        world.net.islands[1] = 1;
        world.start(0);
        world.run(1_000);
        let chain = Chain::of(&mut world, 0);
        chain.replay();
        lengths.push(chain.length());
        world.net.islands[1] = 0;
        world.run(20_000);
        oracle::check(&mut world);
    }
    assert!(
        lengths.contains(&2) && lengths.contains(&801),
        "{lengths:?}"
    );
}

/// A chain that goes on with the same transactions in blocks of its own, as a desktop node makes
/// them, after one that is not ours.
fn remade(world: &World, ours: &[Block]) -> Vec<Block> {
    let mut chain = longer(world, Vec::new(), 2);
    for block in &ours[1..] {
        let block_of_its_own = behind(world, &chain, block.transactions.clone());
        chain.push(block_of_its_own);
    }
    chain
}

#[test]
fn a_reorg_that_loses_something_old_is_an_alarm_and_one_that_keeps_it_all_is_none() {
    for (kept, alarms) in [(12, 0), (0, 1)] {
        let mut world = star(6, 1);
        for item in 0..12 {
            world.type_in(0, &format!("1\nitem-{item}\n"));
        }
        world.run(1_000);
        let ours = chain_of(&mut world, 0);
        assert_eq!(ours.len(), 13);
        let chain = remade(&world, &ours[..kept + 1]);
        let chain = longer(&world, chain, 20);
        let call = call_ours(&mut world, 0);
        world.say(call, &chain_response(&chain));
        world.run(10_000);
        let shown = world.shown(0);
        assert!(shown.contains("adopted longer chain"), "{shown}");
        let lines = shown.lines();
        let warned: Vec<&str> = lines
            .filter(|line| line.contains("[consensus ⚠️]"))
            .collect();
        assert_eq!(warned.len(), alarms, "{shown}");
        for warning in warned {
            let tips = [&ours, &chain].map(|chain| chain.last().expect("a tip").hash);
            assert!(tips.iter().all(|tip| warning.contains(&tip.to_string())));
        }
        world.cut(call);
        oracle::check(&mut world);
    }
}

#[test]
fn what_falls_out_comes_back_however_much_it_is() {
    let (mut world, reserved) = with_much_that_falls_out();
    world.run(120_000);
    assert_eq!(Chain::of(&mut world, 0).replay()[0], reserved);
    oracle::check(&mut world);
}

#[test]
fn what_a_desktop_node_did_alone_is_ours_however_much_it_is() {
    const BLOCKS: usize = 50;
    let mut world = star(5, 1);
    let kilobyte = "x".repeat(1_000);
    let mut chain = longer(&world, Vec::new(), 1);
    for number in 0..BLOCKS {
        let items = (0..30).map(|item| format!("{number}-{item}-{kilobyte}"));
        grow_by(&world, &mut chain, &items.collect::<Vec<_>>());
    }
    let ours = longer(&world, Vec::new(), BLOCKS + 10);
    let call = call_ours(&mut world, 0);
    world.say(call, &chain_response(&ours));
    world.run(10_000);
    world.cut(call);
    assert_eq!(Chain::of(&mut world, 0).length(), BLOCKS + 10);
    let desktop = world.add_desktop();
    let blocks = chain.into_iter().map(Rc::new);
    world.restore(desktop, Some(blocks.collect()));
    world.start(desktop);
    connect(&mut world, desktop, 0);
    world.run(180_000);
    let [reserved, _] = Chain::of(&mut world, 0).replay();
    assert_eq!(reserved.len(), 30 * BLOCKS);
    let bytes: usize = reserved.iter().map(String::len).sum();
    assert!(
        bytes > limits::RESTORED_BYTES,
        "{bytes} fit into the mempool"
    );
    oracle::check(&mut world);
}

#[test]
fn a_power_cut_costs_nothing_of_our_own_that_fell_out_and_had_to_wait() {
    let (mut world, reserved) = with_much_that_falls_out();
    world.cut_power(0);
    world.start(0);
    world.run(120_000);
    let [again, _] = Chain::of(&mut world, 0).replay();
    assert!(again.contains("first") && again.contains("last"));
    assert!(again.len() < reserved.len(), "what was others' is not kept");
    oracle::check(&mut world);
}

/// A world in which another chain has just taken the place of one with more than fits into the mempool,
/// and the items of that one, of which the first and the last are our own.
fn with_much_that_falls_out() -> (World, BTreeSet<String>) {
    const BLOCKS: usize = 50;
    let mut world = star(4, 1);
    world.type_in(0, "1\nfirst\n");
    world.run(1_000);
    let mut chain = chain_of(&mut world, 0);
    let kilobyte = "x".repeat(1_000);
    for number in 0..BLOCKS {
        let items = (0..40).map(|item| format!("{number}-{item}-{kilobyte}"));
        grow_by(&world, &mut chain, &items.collect::<Vec<_>>());
    }
    let call = world.call(0);
    world.say(call, &chain_response(&chain));
    let adopted = |length: usize| format!("adopted longer chain ({length} blocks)");
    let told = |length| move |world: &mut World| world.shown(0).contains(&adopted(length));
    assert!(world.run_until(600_000, told(BLOCKS + 2)));
    world.type_in(0, "1\nlast\n");
    world.run(1_000);
    let [reserved, _] = Chain::of(&mut world, 0).replay();
    assert_eq!(reserved.len(), 40 * BLOCKS + 2);
    let bytes: usize = reserved.iter().map(String::len).sum();
    assert!(
        bytes > limits::RESTORED_BYTES,
        "{bytes} fit into the mempool"
    );
    // It is longer, and has none of these items.
    let other = longer(&world, Vec::new(), BLOCKS + 10);
    world.say(call, &chain_response(&other));
    assert!(world.run_until(600_000, told(BLOCKS + 10)));
    assert!(Chain::of(&mut world, 0).replay()[0].len() < reserved.len() / 2);
    world.cut(call);
    (world, reserved)
}
