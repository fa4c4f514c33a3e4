//! Two connections between a desktop node and one of ours, of which the desktop node forgets one.

use crate::oracle;
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

fn says(world: &mut World, words: &str) -> String {
    let before = world.shown(0).len();
    world.type_in(0, words);
    world.run(100);
    world.shown(0)[before..].to_owned()
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
            let list = says(world, "7\n");
            list.contains("(we dialed), desktop") && list.contains(", we speak, 2 connections")
        };
        assert!(
            world.run_until(30_000, dialed),
            "{}",
            says(&mut world, "7\n")
        );
        world.type_in(desktop, "1\naxe\n");
        let has = |world: &mut World| oracle::reserved(world, 0).contains("axe");
        assert!(world.run_until(1_000, has), "it tells us");
        // The connection that it dialed is never closed, nor is there one more each time.
        world.run(200_000);
        let list = says(&mut world, "7\n");
        assert_eq!(list.matches(", desktop, ").count(), 1, "{list}");
        assert!(list.contains(", we speak, 2 connections"), "{list}");
        assert!(list.contains(", agrees with us, "), "{list}");
    }
}
