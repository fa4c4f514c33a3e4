//! The model of a desktop node against PROTOCOL.md section 5: what goes wrong in one, and how it is
//! repaired.

use crate::peer::{PING, chain_response, grow, longer, new_block};
use crate::scenario::connect;
use crate::world::World;

/// A desktop node alone, and two connections to it.
fn alone(seed: u64) -> (World, [usize; 2]) {
    let mut world = World::new(seed);
    world.delay = 1;
    world.add_desktop();
    world.start(0);
    let calls = [world.call(0), world.call(0)];
    world.run(500);
    (world, calls)
}

/// The length of the chain, and where it is damaged.
fn state(world: &World) -> (usize, Option<usize>) {
    let saved = world.desktop(0);
    (saved.chain().len(), saved.damage())
}

#[test]
fn the_same_block_on_two_connections_spoils_the_chain_in_two_ways() {
    let mut ways = [0, 0];
    for seed in 0..20 {
        let (mut world, calls) = alone(seed);
        let mut chain = longer(&world, Vec::new(), 1);
        grow(&world, &mut chain, Some("drill"));
        for call in calls {
            world.say(call, &new_block(&chain[1]));
        }
        world.run(100);
        let (length, damage) = state(&world);
        assert_eq!(length, 3, "{seed}");
        ways[usize::from(damage.is_some())] += 1;
        assert!(world.desktop(0).items(true).contains("drill"));
        // The monitor cuts what does not link.
        world.run(6_000);
        let length = if damage.is_some() { 2 } else { 3 };
        assert_eq!(state(&world), (length, None), "{seed}");
        assert!(world.desktop(0).items(true).contains("drill"));
    }
    assert!(ways[0] > 2 && ways[1] > 2, "{ways:?}");
}

#[test]
fn the_same_block_twice_on_one_connection_is_one_block() {
    for seed in 0..20 {
        let (mut world, [call, _]) = alone(seed);
        let mut chain = longer(&world, Vec::new(), 1);
        grow(&world, &mut chain, Some("drill"));
        let line = new_block(&chain[1]);
        world.say(call, &[&line, &line, PING].concat());
        world.run(2);
        assert_eq!(world.heard(call), "", "what came before is not handled yet");
        world.run(100);
        assert_eq!(state(&world), (2, None));
        assert!(world.heard(call).contains("pong"));
    }
}

#[test]
fn what_is_added_while_a_chain_is_checked_is_gone() {
    let (mut world, [one, other]) = alone(1);
    let chain = longer(&world, Vec::new(), 600);
    world.say(one, &chain_response(&chain));
    let mut single = longer(&world, Vec::new(), 1);
    grow(&world, &mut single, Some("drill"));
    world.say(other, &new_block(&single[1]));
    world.run(70);
    assert_eq!(state(&world).0, 2, "the chain takes 104 ms");
    world.run(60);
    assert_eq!(state(&world), (600, None));
    assert!(world.desktop(0).items(true).is_empty());
}

#[test]
fn damage_that_follows_damage_stays_until_a_longer_chain_comes() {
    let (mut world, [call, _]) = alone(1);
    world.spoil(0);
    assert!(state(&world).1.is_some());
    world.run(5_000);
    assert_eq!(state(&world), (2, None));
    world.spoil(0);
    world.run(60_000);
    assert!(state(&world).1.is_some(), "its monitor is blind");
    let chain = longer(&world, Vec::new(), 9);
    world.say(call, &chain_response(&chain));
    world.run(6_000);
    assert_eq!(state(&world), (9, None));
    world.spoil(0);
    world.run(5_000);
    assert_eq!(state(&world), (10, None), "it sees again");
}

#[test]
fn a_window_asks_for_chains_and_a_console_does_not() {
    let mut world = World::new(1);
    world.add_window();
    world.add_desktop();
    for (host, asked) in [(0, [0, 1, 1, 2]), (1, [0; 4])] {
        world.start(host);
        let call = world.call(host);
        for (millis, asked) in [9_000, 2_000, 28_000, 2_000].into_iter().zip(asked) {
            world.run(millis);
            assert_eq!(world.heard(call).matches("request_chain").count(), asked);
        }
    }
}

#[test]
fn of_two_dialed_by_one_name_none_is_told_when_one_has_closed() {
    let mut world = World::new(1);
    for host in 0..2 {
        world.add_desktop();
        world.start(host);
    }
    for _ in 0..2 {
        connect(&mut world, 0, 1);
        world.run(500);
    }
    world.type_in(0, "1\ndrill\n");
    world.run(500);
    assert!(world.desktop(1).items(true).contains("drill"));
    world.cut(0);
    world.run(500);
    world.type_in(0, "1\nsaw\n");
    world.run(500);
    assert!(!world.desktop(1).items(true).contains("saw"), "not told");
    world.type_in(1, "8\n");
    world.run(500);
    assert!(world.desktop(1).items(true).contains("saw"), "answered");
}

#[test]
fn an_empty_chain_changes_nothing() {
    let (mut world, [call, _]) = alone(1);
    let line = b"{\"type\": \"chain_response\", \"payload\": {\"chain\": [], \"length\": 1}}\n";
    world.say(call, line);
    world.run(100);
    assert_eq!(state(&world), (1, None));
    assert!(world.shown(0).contains("kept current chain"));
}

#[test]
fn what_is_sent_to_one_that_stands_still_waits() {
    let (mut world, calls) = alone(1);
    let mut chain = longer(&world, Vec::new(), 1);
    grow(&world, &mut chain, Some("drill"));
    world.pause(0);
    for call in calls {
        world.say(call, &new_block(&chain[1]));
        world.say(call, PING);
    }
    world.cut(calls[1]);
    let late = world.call(0);
    world.say(late, PING);
    world.run(70_000);
    assert_eq!((state(&world).0, world.heard(late)), (1, String::new()));
    world.resume(0);
    world.run(200);
    assert_eq!(state(&world).0, 2);
    assert!(world.heard(calls[0]).contains("pong") && world.heard(late).contains("pong"));
}

#[test]
fn a_void_transaction_in_a_chain_leaves_the_item_to_who_has_it() {
    let (mut world, [call, _]) = alone(1);
    let mut chain = longer(&world, Vec::new(), 1);
    for item in ["drill", "drill", "saw"] {
        grow(&world, &mut chain, Some(item));
    }
    world.say(call, &chain_response(&chain));
    world.run(200);
    assert_eq!(state(&world), (4, None));
    assert_eq!(world.desktop(0).items(true).len(), 2);
    grow(&world, &mut chain, Some("drill"));
    world.say(call, &new_block(&chain[4]));
    world.run(200);
    assert_eq!(state(&world).0, 4, "alone it is refused");
}
