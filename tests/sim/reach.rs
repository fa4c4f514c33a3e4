//! Stories of who is connected to whom, and for how long.

use blx::limits;

use crate::net::End;
use crate::oracle;
use crate::peer::{PING, call_desktop, call_ours};
use crate::scenario::{agree, connect};
use crate::stories::star;
use crate::world::{World, address, alias};

/// The connections between two hosts that are open on both sides.
pub fn open(world: &World, one: usize, other: usize) -> Vec<usize> {
    let connections = world.net.connections.iter().enumerate();
    let those = connections.filter(|(_, connection)| {
        let ends = &connection.ends;
        let pair = match ends {
            [End::Host(from), End::Host(to)] => [*from, *to],
            _ => return false,
        };
        pair == [one, other] || pair == [other, one]
    });
    those.map(|(number, _)| number).collect()
}

#[test]
fn nodes_that_know_each_other_only_through_a_third_connect() {
    for seed in 0..6 {
        let mut world = star(seed, 4);
        world.run(10_000);
        for (one, other) in [(1, 2), (1, 3), (2, 3)] {
            assert_eq!(open(&world, one, other).len(), 1, "{one} and {other}");
        }
        // The third is not needed any more.
        world.stop(0, true);
        world.type_in(1, "1\ndrill\n");
        world.run(1_000);
        assert!(oracle::listed(&mut world, 3, "3").contains("drill"));
        world.start(0);
        world.run(5_000);
        agree(&mut world);
        oracle::check(&mut world);
    }
}

#[test]
fn who_was_met_in_the_last_run_is_dialed_first_in_the_next() {
    for quietly in [false, true] {
        let mut world = star(7, 3);
        // Long enough for the book to be written.
        world.run(100_000);
        assert_eq!(open(&world, 1, 2).len(), 1);
        world.stop(1, quietly);
        if quietly {
            world.hosts[1].disk.cut_power(&mut world.random);
        }
        world.hosts[1].connect.clear();
        world.run(1_000);
        world.start(1);
        world.run(3_000);
        for other in [0, 2] {
            assert_eq!(open(&world, 1, other).len(), 1, "{other} {quietly}");
        }
        world.run(60_000);
        oracle::check(&mut world);
    }
}

#[test]
fn two_nodes_that_dial_each_other_keep_one_connection() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        world.add(&[1]);
        world.add(&[0]);
        world.start(0);
        let pause = world.random.below(100);
        world.run(pause);
        world.start(1);
        world.run(10_000);
        let kept = open(&world, 0, 1);
        assert_eq!(kept.len(), 1, "seed {seed}");
        let made = world.net.connections.len();
        world.run(100_000);
        assert_eq!(open(&world, 0, 1), kept, "seed {seed}: it stays");
        let more = world.net.connections.len() - made;
        assert!(more <= 3, "seed {seed}: {more} more dials");
        world.type_in(0, "1\ndrill\n");
        world.run(1_000);
        oracle::check(&mut world);
    }
}

#[test]
fn a_second_connection_under_another_address_is_closed() {
    for seed in 0..6 {
        let mut world = star(seed, 2);
        let to = alias(0).ip();
        world.type_in(1, &format!("6\n{to}\n6000\n"));
        world.run(5_000);
        assert_eq!(open(&world, 0, 1).len(), 1, "seed {seed}");
        oracle::check(&mut world);
    }
}

#[test]
fn a_node_that_dials_itself_hangs_up() {
    for seed in 0..6 {
        let mut world = World::new(seed);
        world.add(&[]);
        world.hosts[0].connect.push(alias(0));
        world.start(0);
        world.run(5_000);
        assert!(open(&world, 0, 0).is_empty(), "told by its options");
        let to = alias(0).ip();
        world.type_in(0, &format!("6\n{to}\n6000\n"));
        world.run(5_000);
        assert!(open(&world, 0, 0).is_empty(), "told by its user");
        connect(&mut world, 0, 0);
        world.run(5_000);
        assert!(
            open(&world, 0, 0).is_empty(),
            "by the address that it knows"
        );
        let made = world.net.connections.len();
        world.run(600_000);
        let more = world.net.connections.len() - made;
        assert!(more <= 12, "it dials itself {more} times in ten minutes");
        oracle::check(&mut world);
    }
}

#[test]
fn a_peer_that_answers_nothing_is_dropped_forty_seconds_after_its_last_word_and_without_one_after_thirty()
 {
    let mut world = star(1, 1);
    let (dumb, silent) = (world.call(0), call_ours(&mut world, 0));
    world.run(3_000);
    world.say(silent, PING);
    world.run(26_500);
    assert!(!world.is_over(dumb), "29.5 s");
    world.run(1_000);
    assert!(world.is_over(dumb), "it never said a word, for 30.5 s");
    world.run(12_000);
    assert!(!world.is_over(silent), "39.5 s");
    world.run(1_000);
    assert!(world.is_over(silent), "40.5 s");
    oracle::check(&mut world);
}

#[test]
fn a_desktop_that_answers_nothing_has_two_minutes_for_it_and_is_asked_once() {
    let mut world = star(1, 1);
    let silent = call_desktop(&mut world, 0);
    // Its first word is on its way for some time.
    world.run(129_500);
    assert!(!world.is_over(silent), "129.5 s");
    world.run(1_000);
    assert!(world.is_over(silent), "130.5 s");
    assert_eq!(world.heard(silent).matches("\"ping\"").count(), 1);
    oracle::check(&mut world);
}

#[test]
fn pings_that_are_due_soon_leave_with_the_first() {
    let mut world = star(1, 1);
    let mut calls = Vec::new();
    for _ in 0..3 {
        let call = world.call(0);
        world.say(call, PING);
        calls.push(call);
        world.run(3_000);
    }
    let pinged = |world: &mut World, call| world.heard(call).contains("\"ping\"");
    assert!(world.run_until(2_000, |world| pinged(world, calls[0])));
    world.run(100);
    assert!(pinged(&mut world, calls[1]), "it would have been in 3 s");
    assert!(!pinged(&mut world, calls[2]), "it would have been in 6 s");
    // That is no later than if it were pinged alone.
    assert!(world.run_until(6_100, |world| pinged(world, calls[2])));
    oracle::check(&mut world);
}

#[test]
fn a_peer_that_keeps_pinging_is_kept() {
    let mut world = star(2, 1);
    let call = world.call(0);
    for _ in 0..30 {
        world.say(call, PING);
        world.run(9_000);
    }
    assert!(!world.is_over(call));
    assert_eq!(world.heard(call).matches("\"pong\"").count(), 30);
    world.cut(call);
    oracle::check(&mut world);
}

#[test]
fn an_idle_desktop_is_kept_for_it_answers_pings() {
    let mut world = star(3, 1);
    let desktop = world.add_desktop();
    world.start(desktop);
    connect(&mut world, desktop, 0);
    world.run(1_000);
    let kept = open(&world, 0, desktop);
    assert_eq!(kept.len(), 1);
    world.run(300_000);
    assert_eq!(open(&world, 0, desktop), kept);
    world.type_in(desktop, "1\ndrill\n");
    world.run(1_000);
    agree(&mut world);
    oracle::check(&mut world);
}

#[test]
fn a_newcomer_is_told_addresses_that_can_be_dialed() {
    let mut world = star(4, 3);
    let call = world.call(0);
    world.say(call, b"{\"type\": \"peer_announce\", \"payload\": {}}\n");
    world.run(1_000);
    let heard = world.heard(call);
    let list = heard.lines().find(|line| line.contains("\"peer_list\""));
    let list = list.expect("an answer");
    for host in [1, 2] {
        let address = address(host);
        assert!(list.contains(&format!("\"{address}\"")), "{list}");
    }
    let addresses = list.matches("10.").count();
    assert_eq!(addresses, 2, "no ephemeral ports, and not its own: {list}");
    world.cut(call);
    oracle::check(&mut world);
}

#[test]
fn a_newcomer_takes_the_place_of_who_is_worth_least() {
    let mut world = star(5, 2);
    let callers = limits::PEERS - limits::PLACES_FOR_DIALS;
    let idlers: Vec<usize> = (0..callers).map(|_| world.call(0)).collect();
    world.run(11_000);
    let newcomer = world.call(0);
    world.say(newcomer, PING);
    world.run(500);
    assert!(world.heard(newcomer).contains("\"pong\""));
    let over = idlers.iter().filter(|call| world.is_over(**call)).count();
    assert_eq!(over, 2, "one was refused, and one made way");
    assert_eq!(open(&world, 0, 1).len(), 1, "it is worth more");
    for call in idlers {
        world.cut(call);
    }
    world.cut(newcomer);
    world.run(500);
    oracle::check(&mut world);
}
