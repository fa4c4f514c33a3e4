//! Peers that mean to have a node to themselves: they take its places, begin anew after each broken
//! rule, or have it look for them where somebody listens. Whoever keeps the rules is served meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use blx::ledger::Kind;
use blx::limits;

use crate::foe::said;
use crate::net::End;
use crate::oracle;
use crate::peer::{ANNOUNCE, PING, new_transaction, sign};
use crate::scenario::connect;
use crate::stories::star;
use crate::world::{World, address};

/// Callers that have a place.
const CALLERS: usize = limits::PEERS - limits::PLACES_FOR_DIALS;

/// An address of the LAN at which no host is.
fn at(number: usize) -> IpAddr {
    IpAddr::from([10, 0, 1, 100 + number as u8])
}

fn call_from(world: &mut World, from: IpAddr, to: usize) -> usize {
    let call = world.call(to);
    world.net.connections[call].source = Some(from);
    call
}

/// How long it takes from now until somebody who has just called is answered, calling again as ours do.
fn served_after(world: &mut World, from: IpAddr) -> u64 {
    let begun = world.now;
    for wait in [1_000, 1_000, 2_000, 5_000, 10_000, 20_000, 40_000] {
        let call = call_from(world, from, 0);
        world.say(call, PING);
        let answered = |world: &mut World| world.heard(call).contains("\"pong\"");
        if world.run_until(wait, answered) {
            world.cut(call);
            return world.now - begun;
        }
    }
    panic!("nobody is served");
}

#[test]
fn whoever_breaks_a_rule_and_calls_again_is_left_alone_after_the_third() {
    for seed in 0..6 {
        let mut world = star(seed, 2);
        let mut forged = sign(Kind::Request, "saw", 7.5);
        forged.uid = "axe".into();
        for round in 1..20 {
            let call = call_from(&mut world, at(0), 0);
            world.say(call, PING);
            world.say(call, &new_transaction(&forged));
            world.run(500);
            let (heard, most) = (world.heard(call), u64::from(limits::MISBEHAVIOURS_MAX));
            assert_eq!(
                world.is_over(call),
                round >= most,
                "{seed} {round}: {heard}"
            );
            assert!(round <= most || heard.is_empty(), "{seed} {round}: {heard}");
            world.cut(call);
        }
        let held = &world.held_against;
        let dropped = held.iter().filter(|(_, line)| line.contains("dropped"));
        assert_eq!(
            dropped.count(),
            3,
            "seed {seed}: it is not even listened to"
        );
        assert!(served_after(&mut world, at(1)) < 500, "seed {seed}");
        world.run(limits::BAN_MS);
        assert!(
            served_after(&mut world, at(0)) < 500,
            "seed {seed}: it ends"
        );
        assert!(world.linked(0, 1), "seed {seed}");
        world.run(500);
        oracle::check(&mut world);
    }
}

/// What somebody says who has nothing to say.
const NOTHING: [&[u8]; 3] = [b"\n", b"what?\n", b"\r\n \n"];

/// Connections from addresses that a number has each, on which nothing is said again and again for so long;
/// how many there are then, and how long until somebody else is served in the middle of it.
fn crowd(world: &mut World, from: impl Fn(usize) -> IpAddr, millis: u64) -> (usize, u64) {
    let calls: Vec<usize> = (0..2 * limits::PEERS)
        .map(|number| call_from(world, from(number), 0))
        .collect();
    world.run(1_000);
    let served = served_after(world, at(99));
    let end = world.now + millis;
    while world.now < end {
        for call in &calls {
            let line = NOTHING[world.random.place(NOTHING.len())];
            world.say(*call, line);
        }
        world.run(9_000);
    }
    let open = calls.iter().filter(|call| !world.is_over(**call)).count();
    for call in calls {
        world.cut(call);
    }
    (open, served)
}

#[test]
fn whoever_says_nothing_that_means_anything_has_his_place_for_half_a_minute() {
    for seed in 0..6 {
        let mut world = star(seed, 2);
        let (open, served) = crowd(&mut world, at, 18_000);
        assert!(open > 0, "seed {seed}: they are there for a while");
        // As soon as the first of them has been there for ten seconds.
        assert!(served < 12_000, "seed {seed}: {served} ms");
        let (open, _) = crowd(&mut world, at, 27_000);
        assert_eq!(open, 0, "seed {seed}");
        assert!(world.linked(0, 1), "seed {seed}");
        world.run(500);
        oracle::check(&mut world);
    }
}

#[test]
fn whoever_comes_from_one_address_leaves_room_for_others() {
    for seed in 0..6 {
        let mut world = star(seed, 2);
        let (open, served) = crowd(&mut world, |_| at(0), 18_000);
        assert!(open <= limits::PEERS_PER_ADDRESS, "seed {seed}: {open}");
        assert!(served < 500, "seed {seed}: {served} ms");
    }
}

/// Everybody who has a place speaks, so that nothing but that he came late can be said of him.
#[test]
fn who_is_named_is_dialed_although_others_have_taken_all_that_they_can() {
    for seed in 0..6 {
        let mut world = star(seed, 2);
        let calls: Vec<usize> = (0..CALLERS)
            .map(|number| call_from(&mut world, at(number), 0))
            .collect();
        for call in &calls {
            world.say(*call, PING);
        }
        world.run(1_000);
        let named: Vec<usize> = (0..limits::PLACES_FOR_DIALS + 2)
            .map(|_| world.add(&[]))
            .collect();
        for host in named {
            world.start(host);
            connect(&mut world, 0, host);
            let linked = |world: &mut World| world.linked(0, host);
            assert!(world.run_until(1_000, linked), "seed {seed}: {host}");
        }
        let over = calls.iter().filter(|call| world.is_over(**call)).count();
        // One had no place beside the one that was there before, and the last two had that of others.
        assert_eq!(over, 3, "seed {seed}");
        calls.into_iter().for_each(|call| world.cut(call));
        world.run(2_000);
        oracle::check(&mut world);
    }
}

fn list(addresses: &[SocketAddr]) -> Vec<u8> {
    let all = addresses.iter().map(|address| format!("\"{address}\""));
    let all = all.collect::<Vec<_>>().join(", ");
    said("peer_list", &format!("{{\"peers\": [{all}]}}"))
}

/// Tells other addresses each minute, for an hour, on a new connection each time.
fn tell_lists(world: &mut World, liar: IpAddr) {
    for minute in 0..60 {
        let call = call_from(world, liar, 0);
        world.say(call, ANNOUNCE);
        let told: Vec<SocketAddr> = (0..60)
            .map(|_| {
                let ip = match world.random.below(4) {
                    0 => IpAddr::from([10, 0, 0, 2 + world.random.below(9) as u8]),
                    1 => at(world.random.place(100)),
                    2 => IpAddr::from([10, 0, 1, world.random.below(256) as u8]),
                    _ => IpAddr::from([192, 168, 0, world.random.below(256) as u8]),
                };
                let port = match world.random.below(3) {
                    0 => 6000,
                    1 => 1 + world.random.below(1_023) as u16,
                    _ => 1_024 + world.random.below(60_000) as u16,
                };
                SocketAddr::new(ip, port)
            })
            .collect();
        world.say(call, &list(&told));
        // The answer to a greeting is the list of all that are known.
        world.run(60_000);
        let heard = world.heard(call);
        assert!(heard.contains("\"peer_list\""), "minute {minute}");
        world.cut(call);
    }
}

#[test]
fn whoever_names_hosts_and_ports_has_few_of_them_dialed() {
    for seed in 0..3 {
        let mut world = star(seed, 2);
        let begun = world.dials.len();
        let liar = at(150);
        tell_lists(&mut world, liar);
        let dialed = world.dials[begun..].iter().filter(|(by, to, _)| {
            // Its own port is one that it names as well.
            *by == 0 && *to != address(1)
        });
        let dialed: Vec<SocketAddr> = dialed.map(|(_, to, _)| *to).collect();
        assert!(dialed.len() > 10, "seed {seed}: it is listened to");
        assert!(
            dialed.len() <= limits::DIALS_PER_SOURCE,
            "seed {seed}: {} dials",
            dialed.len()
        );
        assert!(
            dialed
                .iter()
                .all(|to| to.port() >= limits::LEARNED_PORT_MIN)
        );
        let far = |to: &SocketAddr| to.ip().to_string().starts_with("192.");
        assert!(!dialed.iter().any(far), "seed {seed}: {dialed:?}");
        let mut ports: BTreeMap<IpAddr, BTreeSet<u16>> = BTreeMap::new();
        for to in &dialed {
            ports.entry(to.ip()).or_default().insert(to.port());
        }
        println!(
            "seed {seed}: {} dials to {} hosts",
            dialed.len(),
            ports.len()
        );
        // What an honest one tells is believed at once.
        let honest = world.add(&[]);
        world.start(honest);
        let call = call_from(&mut world, at(151), 0);
        world.say(call, &list(&[address(honest)]));
        let linked = |world: &mut World| world.linked(0, honest);
        // It may have been dialed before it was there.
        assert!(world.run_until(150_000, linked), "seed {seed}");
        world.cut(call);
    }
}

#[test]
fn nobody_is_told_of_who_has_not_spoken() {
    let mut world = star(8, 1);
    let silent = world.add_desktop();
    world.start(silent);
    world.pause(silent);
    let there = address(silent);
    let liar = call_from(&mut world, at(150), 0);
    world.say(liar, &list(&[there]));
    world.run(3_000);
    assert!(world.dials.iter().any(|(_, to, _)| *to == there));
    let told = |world: &mut World| {
        let call = call_from(world, at(151), 0);
        world.say(call, ANNOUNCE);
        world.run(500);
        let heard = world.heard(call);
        world.cut(call);
        assert!(heard.contains("\"peer_list\""), "{heard}");
        heard.contains(&there.to_string())
    };
    assert!(!told(&mut world), "it listens, and that is all");
    world.resume(silent);
    world.run(3_000);
    assert!(told(&mut world), "it is a node");
}

#[test]
fn what_is_told_of_wrong_ports_keeps_nobody_from_his_own() {
    let mut world = star(7, 1);
    let host = world.add(&[]);
    let there = address(host);
    world.start(host);
    let liar = call_from(&mut world, at(150), 0);
    let wrong = [1_111, 2_222].map(|port| SocketAddr::new(there.ip(), port));
    world.say(liar, &list(&wrong));
    world.run(5_000);
    let call = call_from(&mut world, at(151), 0);
    world.say(call, &list(&[there]));
    assert!(world.run_until(5_000, |world| world.linked(0, host)));
    let ends = &world.net.connections[call].ends;
    assert!(matches!(ends[0], End::Story(_)));
}
