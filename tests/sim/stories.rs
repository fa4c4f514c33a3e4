//! Scripted runs: one user, and what becomes of what they ask for.

use blx::ledger::Kind;
use blx::store::disk::File;
use blx::store::waiting;

use crate::oracle;
use crate::peer::{ASK, chain_of, chain_response, grow, longer, sign};
use crate::world::World;

/// Hosts that all run, the first of which the others connect to.
pub fn star(seed: u64, count: usize) -> World {
    let mut world = World::new(seed);
    for host in 0..count {
        let connect: &[usize] = if host == 0 { &[] } else { &[0] };
        world.add(connect);
        world.start(host);
    }
    world.run(3_000);
    world
}

#[test]
fn a_node_alone_does_nothing_but_check_its_chain() {
    let mut world = star(1, 1);
    let steps = world.steps;
    world.run(600_000);
    // These hosts do so once a minute: a step to read, and one to see what that took.
    assert_eq!(world.steps - steps, 2 * 10);
}

#[test]
fn an_ending_node_that_has_something_to_dial_sleeps() {
    let mut world = star(2, 2);
    world.stop(0, false);
    // Somebody does not take what is sent, so the end waits for the last moment.
    let call = world.call(1);
    world.deafen(call);
    world.say(call, ASK);
    world.run(100);
    world.type_in(1, "10\n");
    let before = world.steps;
    world.run(5_000);
    assert!(world.hosts[1].node.is_none(), "it ended");
    assert!(world.steps - before < 5_000, "{}", world.steps - before);
}

#[test]
fn a_dial_of_a_kept_peer_that_fails_is_answered() {
    let mut world = star(3, 2);
    world.stop(0, false);
    world.run(5_000);
    world.type_in(1, "6\n10.0.0.1\n6000\n1\ndrill\n");
    world.run(500);
    let shown = world.shown(1);
    assert!(
        shown.contains("❌ cannot connect to 10.0.0.1:6000: connection refused"),
        "{shown}"
    );
    assert!(shown.contains("✅ requested drill"), "{shown}");
    // Input that ends ends the node, as nothing is owed any more.
    world.end_input(1);
    world.run(100);
    assert!(world.hosts[1].node.is_none());
}

#[test]
fn a_dial_has_a_place_that_no_caller_gets() {
    let mut world = star(4, 2);
    for _ in 0..blx::limits::PEERS {
        world.call(1);
    }
    world.run(100);
    world.type_in(1, "6\n10.0.0.9\n6000\n");
    world.run(100);
    let shown = world.shown(1);
    let tried = "cannot connect to 10.0.0.9:6000: connection refused";
    assert!(shown.contains(tried), "{shown}");
}

#[test]
fn a_terminal_that_goes_away_in_the_middle_of_a_list_ends_the_node() {
    let mut world = star(5, 1);
    for page in 0..8 {
        let items: Vec<String> = (0..100).map(|item| format!("{page}-{item}")).collect();
        world.type_in(0, &format!("5\n{}\n", items.join(",")));
        world.run(500);
    }
    world.hosts[0].screen.asleep = u64::MAX;
    world.type_in(0, "3\n");
    world.run(500);
    assert!(world.hosts[0].node.is_some());
    world.break_output(0);
    world.run(5_000);
    assert!(world.hosts[0].node.is_none(), "it ended");
}

#[test]
fn what_falls_out_and_comes_back_by_itself_is_not_called_lost() {
    let mut world = World::new(6);
    world.difficulty = 4;
    world.add(&[]);
    world.start(0);
    world.type_in(0, "1\ndrill\n");
    world.run(1_000);
    let ours = chain_of(&mut world, 0);
    assert_eq!(ours.len(), 2);
    let other = longer(&world, Vec::new(), 3);
    let back = longer(&world, ours, 4);
    let call = world.call(0);
    world.say(
        call,
        &[chain_response(&other), chain_response(&back)].concat(),
    );
    let kept = |world: &mut World| !world.hosts[0].disk.live(File::Waiting).is_empty();
    assert!(world.run_until(3_000, kept), "while it is in no chain");
    world.run(3_000);
    let shown = world.shown(0);
    assert_eq!(
        shown.matches("[consensus ✅] adopted longer chain").count(),
        2,
        "{shown}"
    );
    assert!(!shown.contains("is lost"), "{shown}");
    assert!(!shown.contains("in the chain again"), "{shown}");
    // Nor does the next run have anything to do with it.
    let left = waiting::read(&mut world.hosts[0].disk.copy()).expect("it reads");
    assert_eq!(left, (Vec::new(), None));
}

#[test]
fn a_request_is_fulfilled_at_once() {
    let mut world = star(7, 1);
    world.type_in(0, "1\n");
    world.run(100);
    world.type_in(0, "drill\n");
    world.run(10);
    let shown = world.shown(0);
    assert!(shown.contains("✅ requested drill"), "{shown}");
}

#[test]
fn what_a_reorg_took_out_is_made_again_after_a_power_cut() {
    for steps in 0..40 {
        let mut world = star(8, 2);
        world.net.islands[1] = 1;
        world.type_in(0, "5\na,b\n1\nc\n1\nd\n");
        world.type_in(1, "1\ndrill\n2\ndrill\n");
        world.run(1_000);
        world.net.islands[1] = 0;
        world.type_in(1, "8\n");
        let adopted = |world: &mut World| world.shown(1).contains("✅] adopted");
        assert!(world.run_until(1_000, adopted), "{}", world.shown(1));
        world.run_steps(steps);
        world.cut_power(1);
        world.run(1_000);
        world.start(1);
        world.run(15_000);
        let shown = world.shown(1);
        for verb in ["request", "release"] {
            let text = format!("your {verb} of drill is in the chain");
            assert_eq!(shown.matches(&text).count(), 1, "{shown}");
        }
        oracle::check(&mut world);
    }
}

#[test]
fn what_is_typed_behind_a_list_does_not_wait_for_a_reader() {
    for seed in 0..20 {
        let mut world = star(seed, 1);
        world.hosts[0].screen.asleep = u64::MAX;
        world.type_in(0, "3\n1\ndrill\n");
        world.run(100);
        let shown = world.shown(0);
        assert!(shown.contains("✅ requested drill"), "{shown}");
    }
}

#[test]
fn what_was_called_lost_and_comes_back_is_told() {
    let mut world = star(10, 1);
    world.type_in(0, "1\ndrill\n");
    world.run(1_000);
    let ours = chain_of(&mut world, 0);
    let mut other = longer(&world, Vec::new(), 2);
    grow(&world, &mut other, Some("drill"));
    let back = longer(&world, ours, 4);
    let call = world.call(0);
    world.say(call, &chain_response(&other));
    world.run(1_000);
    let shown = world.shown(0);
    let winner = &sign(Kind::Request, "", 0.5).requester.to_string()[..12];
    let told = format!("[consensus] your request of drill lost to {winner} at block 2\n");
    assert!(shown.contains(&told), "{shown}");
    world.say(call, &chain_response(&back));
    world.run(1_000);
    let shown = world.shown(0);
    assert!(
        shown.contains("your request of drill counts after all, block #1"),
        "{shown}"
    );
    oracle::check(&mut world);
}

#[test]
fn a_release_that_fell_out_does_not_give_back_what_somebody_else_took() {
    let mut world = star(11, 1);
    world.type_in(0, "1\ndrill\n2\ndrill\n");
    world.run(1_000);
    let mut other = longer(&world, Vec::new(), 3);
    grow(&world, &mut other, Some("drill"));
    let call = world.call(0);
    world.say(call, &chain_response(&other));
    world.run(1_000);
    assert!(oracle::listed(&mut world, 0, "3").contains("drill"));
    let shown = world.shown(0);
    let winner = &sign(Kind::Request, "", 0.5).requester.to_string()[..12];
    let told = format!("[consensus] your release of drill lost to {winner} at block 3\n");
    assert!(shown.contains(&told), "{shown}");
    oracle::check(&mut world);
}
