//! Stories of the ring of events: what is kept, and how often the disk is written for it.

use blx::store::disk::File;

use crate::peer::{chain_response, longer};
use crate::scenario::is_short;
use crate::stories::star;
use crate::world::World;

/// What a host's ring holds, without the times.
fn kept(world: &World, host: usize) -> Vec<String> {
    let bytes = world.hosts[host].disk.live(File::Events);
    let text = String::from_utf8(bytes).expect("UTF-8");
    let event = |line: &str| line.split_once("Z ").expect("a time").1.to_owned();
    text.lines().map(event).collect()
}

#[test]
fn a_day_of_peers_that_come_and_go_costs_two_writes() {
    let mut world = star(1, 3);
    // Where few seeds are wanted the machine is slow; six hours have every kind of them.
    let hours = if is_short() { 6 } else { 24 };
    for hour in 0..hours {
        let host = 1 + hour % 2;
        world.type_in(host, &format!("1\nitem-{hour}\n"));
        world.run(60_000);
        match hour % 3 {
            0 => world.cut_power(host),
            1 => world.stop(host, false),
            _ => world.net.islands[host] = 1,
        }
        // Both sides have something of their own, so that one of them has a reorg.
        world.type_in(0, &format!("1\nours-{hour}\n"));
        world.run(1_740_000);
        if world.hosts[host].node.is_none() {
            world.start(host);
        }
        world.type_in(host, &format!("1\nmore-{hour}\n"));
        world.net.islands[host] = 0;
        world.run(1_800_000);
    }
    world.type_in(0, "10\n");
    world.run(5_000);
    assert!(world.hosts[0].node.is_none(), "it ended");
    let [start, stop] = &kept(&world, 0)[..] else {
        panic!("{:?}", kept(&world, 0));
    };
    assert!(start.starts_with("start blx ") && start.ends_with(", block count 1"));
    assert!(stop.starts_with("stop, block count "), "{stop}");
    assert_eq!(world.hosts[0].disk.syncs(File::Events), 2);
    // The others were started and stopped, and that is all.
    for host in 1..3 {
        let events = kept(&world, host);
        assert!(
            events.iter().all(|event| event.starts_with("start blx ")),
            "{events:?}"
        );
        let unclean = events
            .iter()
            .filter(|event| event.ends_with(", after an unclean stop"));
        assert_eq!(unclean.count(), events.len() - 1);
    }
}

#[test]
fn a_reorg_that_loses_something_is_kept() {
    let mut world = star(2, 1);
    for item in 0..10 {
        world.type_in(0, &format!("1\nitem-{item}\n"));
        world.run(300);
    }
    let other = longer(&world, Vec::new(), 20);
    let call = world.call(0);
    world.say(call, &chain_response(&other));
    world.run(5_000);
    world.cut(call);
    let events = kept(&world, 0);
    let alarm = "consensus: this reorg loses or changes what stood more than 6 blocks deep: from ";
    assert!(events[1].starts_with(alarm), "{events:?}");
    assert!(
        events[1].ends_with("(blx export --branch writes them)"),
        "it is not cut: {events:?}"
    );
    assert_eq!(events.len(), 2, "{events:?}");
    world.type_in(0, "11\n");
    world.run(100);
    assert!(world.shown(0).contains(alarm), "{}", world.shown(0));
}

#[test]
fn damage_and_its_end_are_kept() {
    let mut world = star(3, 1);
    for item in 0..30 {
        world.type_in(0, &format!("1\nitem-{item}\n"));
        world.run(200);
    }
    world.cut_power(0);
    let at = world.hosts[0].disk.live(File::Chain).len() / 2;
    world.hosts[0].disk.rot(File::Chain, at);
    world.start(0);
    world.run(1_000);
    world.type_in(0, "1\ndrill\n");
    world.run(2_000);
    let events = kept(&world, 0);
    assert!(events[1].ends_with(", after an unclean stop"), "{events:?}");
    assert!(
        events[2].starts_with("monitor: corruption detected at block "),
        "{events:?}"
    );
    assert!(
        events[3].starts_with("monitor: nobody had block "),
        "{events:?}"
    );
}

#[test]
fn a_ring_that_cannot_be_written_costs_the_node_nothing() {
    let mut world = star(4, 1);
    world.type_in(0, "1\ndrill\n");
    world.run(500);
    world.hosts[0].disk.set_broken(true);
    world.type_in(0, "2\ndrill\n");
    world.run(500);
    assert!(
        world
            .shown(0)
            .contains("[store ❌] cannot write chain.blx: ")
    );
    // The disk error was not kept, and the node serves and ends as ever.
    world.type_in(0, "3\n10\n");
    world.run(5_000);
    assert!(
        world.shown(0).contains("reserved items: 1"),
        "{}",
        world.shown(0)
    );
    assert!(world.hosts[0].node.is_none(), "it ended");
    assert_eq!(kept(&world, 0).len(), 1);
    world.hosts[0].disk.set_broken(false);
    world.start(0);
    world.run(500);
    assert_eq!(kept(&world, 0).len(), 2);
}
