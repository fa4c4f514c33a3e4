//! Stories of how one of ours is known.

use crate::net::End;
use crate::oracle;
use crate::peer::PING;
use crate::stories::star;
use crate::world::World;

/// What a host's list of peers says now.
fn peers(world: &mut World, host: usize) -> String {
    let before = world.shown(host).len();
    world.type_in(host, "7\n9\n");
    let all = |world: &mut World| world.shown(host)[before..].contains("node key: ");
    assert!(world.run_until(5_000, all), "host {host} lists");
    let shown = world.shown(host)[before..].to_owned();
    let (list, _) = shown.split_once("[status]").expect("what follows");
    list.to_owned()
}

#[test]
fn one_of_ours_is_known_whatever_it_has_to_say_first() {
    for seed in 0..40 {
        let mut world = World::new(seed);
        world.add(&[]);
        world.add(&[0]);
        world.start(0);
        world.start(1);
        // A block of it is told to everybody as soon as there is anybody.
        let met = |world: &mut World| {
            let mut connections = world.net.connections.iter();
            connections.any(|connection| matches!(connection.ends[1], End::Host(0)))
        };
        assert!(world.run_until(5_000, met));
        let device = world.call(0);
        world.type_in(0, "1\ndrill\n");
        world.run(2_000);
        for host in 0..2 {
            let list = peers(&mut world, host);
            assert!(list.contains("blx, "), "seed {seed}: {list}");
            assert!(!list.contains("desktop"), "seed {seed}: {list}");
        }
        let heard = world.heard(device);
        if !heard.is_empty() {
            let first = heard.lines().next().unwrap_or_default();
            assert!(first.contains("peer_announce"), "seed {seed}: {first}");
        }
        world.cut(device);
        oracle::check(&mut world);
    }
}

#[test]
fn one_of_ours_that_says_so_late_is_known_from_then_on() {
    let mut world = star(9, 1);
    let call = world.call(0);
    world.say(call, PING);
    world.run(500);
    assert!(peers(&mut world, 0).contains("desktop"));
    let greeting = format!(
        "{{\"type\": \"peer_announce\", \"payload\": {{\"id\": \"0000000000000007\", \
         \"length\": 1, \"tip\": \"{}\"}}}}\n",
        "0".repeat(64)
    );
    let before = world.heard(call).len();
    world.say(call, greeting.as_bytes());
    world.run(500);
    let heard = world.heard(call)[before..].to_owned();
    for word in [
        "peer_announce",
        "peer_list",
        "\"ping\", \"payload\": {\"length\"",
    ] {
        assert!(heard.contains(word), "{word}: {heard}");
    }
    let list = peers(&mut world, 0);
    assert!(list.contains("blx, 1 blocks, "), "{list}");
    world.cut(call);
    oracle::check(&mut world);
}
