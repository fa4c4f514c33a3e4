//! Two connections between a desktop node and one of ours, of which the desktop node forgets one.

use crate::oracle;
use crate::peer::{ANNOUNCE, chain_of, chain_response, grow, new_block};
use crate::scenario::connect;
use crate::stories::star;
use crate::world::World;

/// A desktop node that dialed ours twice by the same name, and has lost one of the two since.
fn forgotten(seed: u64) -> (World, usize) {
    let mut world = star(seed, 1);
    let desktop = world.add_desktop();
    world.start(desktop);
    connect(&mut world, desktop, 0);
    connect(&mut world, desktop, 0);
    world.run(8_000);
    let calls: Vec<usize> = (0..world.net.connections.len()).collect();
    let calls = calls.into_iter().filter(|call| {
        let hosts = world.net.connections[*call].hosts();
        hosts == [Some(desktop), Some(0)]
    });
    let calls: Vec<usize> = calls.collect();
    assert_eq!(calls.len(), 2, "it dialed twice");
    world.cut(calls[(seed % 2) as usize]);
    world.run(1_000);
    (world, desktop)
}

/// What the node of ours says of its peers.
fn peers(world: &mut World) -> String {
    world.says(0, "7\n", 100)
}

#[test]
fn a_desktop_that_forgot_its_connection_is_dialed_and_heard_again() {
    for seed in 0..10 {
        let (mut world, desktop) = forgotten(seed);
        world.type_in(desktop, "1\nsaw\n");
        let has = |world: &mut World| oracle::reserved(world, 0).contains("saw");
        assert!(!world.run_until(1_000, has), "it tells nobody");
        assert!(world.run_until(30_000, has), "it is asked");
        let dialed = |world: &mut World| {
            let list = peers(world);
            list.contains("(we dialed), desktop") && list.contains(", we speak, 2 connections")
        };
        assert!(world.run_until(30_000, dialed), "{}", peers(&mut world));
        world.type_in(desktop, "1\naxe\n");
        let has = |world: &mut World| oracle::reserved(world, 0).contains("axe");
        assert!(world.run_until(1_000, has), "it tells us");
        // The connection that it dialed is never closed, nor is there one more each time.
        world.run(200_000);
        let list = peers(&mut world);
        assert_eq!(list.matches(", desktop, ").count(), 1, "{list}");
        assert!(list.contains(", we speak, 2 connections"), "{list}");
        assert!(list.contains(", agrees with us, "), "{list}");
    }
}

#[test]
fn two_desktops_that_show_one_address_are_told_apart_by_what_they_say() {
    for seed in 0..10 {
        let mut world = star(seed, 1);
        world.type_in(0, "1\nsaw\n");
        let two = [world.add_desktop(), world.add_desktop()];
        world.net.routers.insert(two[1], two[0]);
        for desktop in two {
            world.start(desktop);
            connect(&mut world, desktop, 0);
            world.run(1_000);
        }
        // The user of the second one takes nothing, and only looks.
        let has = |world: &mut World| oracle::reserved(world, two[1]).contains("saw");
        assert!(world.run_until(60_000, has), "seed {seed}");
        world.type_in(0, "1\naxe\n");
        let has = |world: &mut World| two.map(|it| oracle::reserved(world, it).contains("axe"));
        assert!(
            world.run_until(60_000, |world| has(world) == [true; 2]),
            "seed {seed}: {:?}",
            has(&mut world)
        );
        let list = peers(&mut world);
        assert_eq!(list.matches(", we speak").count(), 2, "{list}");
    }
}

#[test]
fn one_desktop_that_dialed_twice_stays_one() {
    for seed in 0..10 {
        let mut world = star(seed, 1);
        let desktop = world.add_desktop();
        world.start(desktop);
        for _ in 0..2 {
            connect(&mut world, desktop, 0);
        }
        // It has nothing that ours has not.
        world.run(300_000);
        for round in 0..60 {
            let who = [0, desktop][round % 2];
            world.type_in(who, &format!("1\nitem-{round}\n"));
            world.run(500 + 97 * (round as u64 % 40));
            let list = peers(&mut world);
            assert_eq!(list.matches(", we speak").count(), 1, "{list}");
        }
    }
}

#[test]
fn one_desktop_that_goes_on_between_its_answers_is_not_taken_for_two() {
    let mut world = star(3, 1);
    let desktop = world.add_desktop();
    let mut chain = chain_of(&mut world, 0);
    let calls = [0, 1].map(|_| {
        let call = world.call_from(desktop, 0);
        world.say(call, ANNOUNCE);
        world.say(call, &chain_response(&chain));
        call
    });
    let mut answered = [0, 0];
    let mut acts = 0;
    for _ in 0..15_000 {
        for (place, call) in calls.into_iter().enumerate() {
            let asked = world.heard(call).matches("\"request_chain\"").count();
            if answered[place] == asked {
                continue;
            }
            answered[place] = asked;
            if place == 1 {
                // Its user is quick.
                acts += 1;
                grow(&world, &mut chain, Some(&format!("item-{acts}")));
                let block = chain.last().expect("just added").clone();
                for told in calls {
                    world.say(told, &new_block(&block));
                }
            }
            world.say(call, &chain_response(&chain));
        }
        world.run(20);
    }
    assert!(acts > 5, "{acts}");
    let list = peers(&mut world);
    assert_eq!(list.matches(", we speak").count(), 1, "{list}");
}
