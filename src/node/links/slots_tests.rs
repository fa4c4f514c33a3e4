//! Who has a slot, and who is dialed because somebody told of them.

use super::tests::{ASKER, World, at, dial};
use super::*;
use crate::node::effects::testing::who;
use crate::node::peer::Kind;
use crate::store::address_book;
use crate::store::disk::File;

/// A host of the LAN.
fn host(number: usize) -> String {
    format!("10.0.2.{number}:6000")
}

fn learned(count: usize) -> Vec<String> {
    (1..=count).map(host).collect()
}

/// A node whose address book has this many addresses.
fn knowing(count: usize) -> World {
    let known = learned(count);
    World::with_book(&[], &known.iter().map(String::as_str).collect::<Vec<_>>())
}

fn candidate(world: &World, syncing: Option<usize>) -> Option<usize> {
    let links = &world.links;
    links.eviction_candidate(&world.peers, syncing, &|_| true)
}

/// A full house: everybody has spoken, and each came after the one before.
fn full() -> World {
    let mut world = World::new(&["pi.local:6000"]);
    world.tend();
    world.reaches(0, "10.0.0.9:6000");
    for conn in 1..limits::PEERS {
        world.cx.pass(1);
        let peer = Peer::new(world.now(), at(&host(conn)), false);
        world.peers.open(ConnId::of_peer(conn), peer);
    }
    for conn in 0..limits::PEERS {
        world.peer(conn).kind = Kind::Ours(Some(who(1_000 + conn as u64)));
    }
    world
}

#[test]
fn who_comes_waits_to_be_greeted() {
    let mut world = World::new(&[]);
    let conn = world.comes(&host(1));
    let peer = world.peer(conn);
    assert!(!peer.outbound && !peer.announced && peer.remote == at(&host(1)));
}

#[test]
fn only_those_give_up_a_place_that_may() {
    let world = full();
    let links = &world.links;
    let old = |peer: &Peer| peer.opened.0 <= world.now().0 - 29;
    let found = links.eviction_candidate(&world.peers, None, &old);
    assert_eq!(found, Some(2));
}

#[test]
fn who_said_nothing_gives_up_a_place_first_and_then_who_came_last() {
    let mut world = full();
    assert_eq!(candidate(&world, None), Some(31));
    for conn in [5, 6] {
        world.peer(conn).kind = Kind::Unknown;
    }
    assert_eq!(candidate(&world, None), Some(6));
}

#[test]
fn whoever_is_of_use_keeps_a_place() {
    let mut world = full();
    world.peer(0).kind = Kind::Unknown;
    for (conn, ping) in [(31, 1), (30, 2), (29, 3)] {
        world.peer(conn).ping_ms = Some(ping);
    }
    for (conn, brought) in [(28, 9), (27, 8), (26, 7)] {
        world.peer(conn).brought = Some(Millis(brought));
    }
    let mut gone = Vec::new();
    for _ in 0..4 {
        let conn = candidate(&world, Some(25)).expect("somebody");
        world.peers.free(conn);
        gone.push(conn);
    }
    assert_eq!(gone, [29, 26, 24, 23]);
    for conn in 1..limits::PEERS - 9 {
        world.peers.free(conn);
    }
    // Of those that are left four are of use, one is being followed, and one was named.
    assert_eq!(candidate(&world, Some(25)), None);
    assert_eq!(candidate(&world, None), Some(25));
}

#[test]
fn addresses_that_were_learned_are_dialed_one_at_a_time_and_apart() {
    let mut world = knowing(3);
    assert_eq!(world.tend(), [dial(0, &host(1))]);
    world.cx.pass(5_000);
    assert!(world.tend().is_empty(), "that dial is still under way");
    world.reaches(0, &host(1));
    world.peer(0).kind = Kind::Ours(Some(who(1)));
    world.links.reached(&mut world.cx, &mut world.peers, 0);
    assert!(world.links.targets.is_empty() && world.peers.count() == 1);
    assert_eq!(world.tend(), [dial(1, &host(2))]);
    world.fails(1);
    assert!(world.cx.words().is_empty(), "nobody asked for it");
    assert_eq!(world.sleep(), (1_000, vec![dial(1, &host(3))]));
    world.fails(1);
    let (slept, dialed) = world.sleep();
    assert_eq!(dialed, [dial(1, &host(2))]);
    assert!(slept + 1_000 >= limits::ADDRESS_BOOK_BACKOFF_MS, "{slept}");
}

#[test]
fn nobody_who_was_learned_is_dialed_where_there_are_enough_connections() {
    let mut world = knowing(12);
    let mut dialed = 0;
    while world.due().is_some_and(|due| due.0 < world.now().0 + 2_000) {
        let (_, done) = world.sleep();
        dialed += 1;
        let conn = dialed - 1;
        assert_eq!(done, [dial(conn, &host(dialed))]);
        world.reaches(conn, &host(dialed));
    }
    assert_eq!(dialed, limits::LEARNED_PEERS);
    assert_eq!(world.due(), None);
    world.loses(0);
    assert_eq!(world.tend().len(), 0);
    let (slept, done) = world.sleep();
    assert_eq!((slept, done), (1_000, vec![dial(0, &host(9))]));
}

#[test]
fn who_was_learned_and_is_connected_or_banned_is_not_dialed() {
    let mut world = knowing(3);
    let conn = world.comes("10.0.2.1:50000");
    world.peer(conn).port = Some(6000);
    let banned = Peer::new(world.now(), at(&host(2)), true);
    world.links.ban(world.now(), &banned, 600_000);
    assert_eq!(world.tend(), [dial(1, &host(3))]);
    world.reaches(1, &host(3));
    assert_eq!(world.due(), Some(Millis(world.now().0 + 600_000)));
}

#[test]
fn who_was_learned_and_is_named_by_a_user_is_kept() {
    let mut world = knowing(1);
    world.tend();
    let ip = at(&host(1)).ip().to_string();
    world.links.dial(&mut world.cx, ASKER, ip, 6000);
    world.reaches(0, &host(1));
    assert!(world.links.targets[0].kept && !world.links.owes(ASKER));
    assert_eq!(world.cx.words().len(), 1);
    assert_eq!(world.loses(0).len(), 1);
    assert!(matches!(
        world.links.targets[0].contact,
        Contact::Waiting(_)
    ));
}

#[test]
fn a_peer_is_listened_to_about_others_once_in_a_while() {
    let mut world = World::new(&[]);
    let mut peer = Peer::new(world.now(), at("10.0.0.9:6000"), false);
    let told = |number| [host(number), "nonsense".into()];
    let count = |world: &World| world.links.book.entries(world.now()).len();
    world.links.learn(world.now(), &mut peer, &told(1));
    world.links.learn(world.now(), &mut peer, &told(2));
    world.cx.pass(limits::PEER_LIST_MS - 1);
    world.links.learn(world.now(), &mut peer, &told(2));
    assert_eq!(count(&world), 1);
    world.cx.pass(1);
    world.links.learn(world.now(), &mut peer, &told(2));
    assert_eq!(count(&world), 2);
}

#[test]
fn what_is_told_of_hosts_that_are_not_in_our_subnets_is_not_dialed() {
    let mut world = World::new(&[]);
    let mut peer = Peer::new(world.now(), at("10.0.0.9:6000"), false);
    let far = ["10.1.0.1:6000", "10.0.2.1:22", "10.0.2.1:1023"].map(str::to_owned);
    world.links.learn(world.now(), &mut peer, &far);
    assert!(world.links.book.entries(world.now()).is_empty());
    let conn = world.comes("10.1.0.5:50000");
    world.peer(conn).kind = Kind::Ours(Some(who(1)));
    world.peer(conn).port = Some(80);
    world.links.reached(&mut world.cx, &mut world.peers, conn);
    assert_eq!(world.due(), None, "nor where somebody says that he listens");
    world.peer(conn).port = Some(6000);
    world.links.reached(&mut world.cx, &mut world.peers, conn);
    world.peers.free(conn);
    assert_eq!(world.tend(), [dial(0, "10.1.0.5:6000")]);
}

#[test]
fn one_peer_can_have_so_many_hosts_dialed_in_an_hour() {
    let mut world = World::new(&[]);
    let mut peer = Peer::new(world.now(), at("10.0.0.9:6000"), false);
    let (begun, mut dialed) = (world.now(), 0);
    let mut number = 0;
    while world.now().0 < begun.0 + limits::DIALS_MS {
        // New ones each minute, two ports of each host, as many as a list has.
        let told: Vec<String> = (0..32)
            .flat_map(|_| {
                number += 1;
                [6000, 6001].map(|port| format!("10.0.{}.{}:{port}", number / 250, number % 250))
            })
            .collect();
        world.links.learn(world.now(), &mut peer, &told);
        for _ in 0..60 {
            dialed += world.tend().len();
            if !world.links.targets.is_empty() {
                world.fails(0);
            }
            world.cx.pass(1_000);
        }
    }
    assert_eq!(dialed, limits::DIALS_PER_SOURCE);
    // Others are listened to meanwhile.
    let mut other = Peer::new(world.now(), at("10.0.0.8:6000"), false);
    world.links.learn(world.now(), &mut other, &[host(1)]);
    assert!(world.tend().len() == 1 || world.sleep().1.len() == 1);
}

#[test]
fn the_book_is_saved_when_it_is_due_and_not_more_often() {
    let mut world = World::new(&[]);
    let conn = world.comes("10.0.0.9:50000");
    let mut peer = world.peers.free(conn).expect("a connection");
    let own = |world: &mut World| {
        let (entries, _) = address_book::read(world.cx.chain.disk()).expect("reads");
        let addresses = entries.iter().map(|entry| entry.address.to_string());
        addresses.collect::<Vec<_>>()
    };
    let enough = limits::LEARNED_PEERS;
    for number in 0..enough {
        world.comes(&format!("10.0.0.{number}:50000"));
    }
    world.links.learn(world.now(), &mut peer, &[host(1)]);
    let due = Millis(world.now().0 + limits::ADDRESS_BOOK_SETTLE_MS);
    assert_eq!(world.due(), Some(due));
    world.cx.pass(limits::ADDRESS_BOOK_SETTLE_MS - 1);
    world.tend();
    assert!(own(&mut world).is_empty());
    world.cx.pass(1);
    world.tend();
    assert_eq!(own(&mut world), [host(1)]);
    assert_eq!(world.due(), None);
    world.links.learn(world.now(), &mut peer, &[host(2)]);
    let due = Millis(world.now().0 + limits::ADDRESS_BOOK_WRITE_MS);
    assert_eq!(world.due(), Some(due));
    world.links.save_book(&mut world.cx);
    assert_eq!(own(&mut world), [host(1)], "it was written just now");
    world.cx.pass(limits::ADDRESS_BOOK_WRITE_MS);
    // At the end of the node it does not matter that it is due.
    world.links.save_book(&mut world.cx);
    assert_eq!(own(&mut world), [host(1), host(2)]);
}

#[test]
fn a_book_that_cannot_be_written_is_tried_again_later() {
    let mut world = World::new(&[]);
    for number in 0..limits::LEARNED_PEERS {
        world.comes(&format!("10.0.0.{number}:50000"));
    }
    let mut peer = Peer::new(world.now(), at("10.0.0.9:6000"), false);
    world.links.learn(world.now(), &mut peer, &[host(1)]);
    world.cx.pass(limits::ADDRESS_BOOK_SETTLE_MS);
    let kept = |world: &mut World| {
        let mut cut = world.cx.chain.disk().after_power_cut(0);
        let (entries, _) = address_book::read(&mut cut).expect("reads");
        entries.len()
    };
    world.cx.chain.disk().sync_fails = true;
    world.tend();
    assert_eq!(kept(&mut world), 0);
    world.cx.chain.disk().sync_fails = false;
    let due = Millis(world.now().0 + limits::ADDRESS_BOOK_WRITE_MS);
    assert_eq!(world.due(), Some(due));
    world.cx.pass(limits::ADDRESS_BOOK_WRITE_MS);
    world.tend();
    assert_eq!(kept(&mut world), 1);
    assert_eq!(world.due(), None);
}

#[test]
fn a_damaged_book_is_told_and_learned_anew() {
    let mut world = knowing(2);
    world.cx.chain.disk().live(File::Peers).push(0);
    let mut notices = Vec::new();
    let (now, of) = (world.now(), (at("0.0.0.0:6000"), who(1)));
    let links = Links::open(world.cx.chain.disk(), now, of, Vec::new(), &mut notices);
    assert!(notices.len() == 1 && notices[0].starts_with("the address book was damaged"));
    assert_eq!(links.slots_due(now, &world.peers), None);
}

#[test]
fn an_ending_node_dials_nobody_and_waits_for_no_time_to_do_so() {
    let mut world = World::with_book(&["pi.local:6000"], &[&host(1)]);
    world.cx.ending = Some(Millis(world.now().0 + 2_000));
    assert_eq!(world.due(), None);
    assert!(world.tend().is_empty());
    world.cx.ending = None;
    assert_eq!(world.tend().len(), 2);
}

#[test]
fn who_is_called_back_is_dialed_at_once() {
    let mut world = World::new(&["10.0.0.9:6000", "10.0.0.8:6000"]);
    world.tend();
    world.fails(0);
    world.fails(1);
    let there = at("10.0.0.8:6000");
    world.links.call(world.now(), |address| address == there);
    assert_eq!(world.tend(), [dial(0, "10.0.0.8:6000")]);
}

#[test]
fn who_is_dialed_once_and_not_reached_is_left_at_that() {
    let mut world = World::new(&[]);
    world.links.dial_once(world.now(), at("10.0.0.8:6000"));
    assert_eq!(world.tend(), [dial(0, "10.0.0.8:6000")]);
    world.fails(0);
    assert!(world.links.targets.is_empty() && world.cx.words().is_empty());
    assert_eq!(world.due(), None);
}

#[test]
fn who_is_dialed_once_and_banned_keeps_nobody_else_from_being_dialed() {
    let mut world = knowing(1);
    let banned = Peer::new(world.now(), at("10.0.0.8:6000"), true);
    world.links.ban(world.now(), &banned, 600_000);
    world.links.dial_once(world.now(), banned.remote);
    let (slept, dialed) = world.sleep();
    assert_eq!((slept < 2_000, dialed), (true, vec![dial(0, &host(1))]));
}
