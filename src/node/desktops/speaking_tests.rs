//! Several connections that lead to one desktop node, or seem to, and who else is connected to it.

use super::tests::{D, E, World, apart, at, block_of, same};
use super::*;
use crate::node::desktop::End;
use crate::node::links::{Contact, Target};

#[test]
fn of_two_connections_to_a_desktop_node_the_one_that_we_dialed_is_too_many() {
    let mut world = World::new(0);
    let [dialed, came, again] = [world.reaches(D), world.meets(D), world.meets(D)];
    let other = world.reaches(E);
    let (now, peers) = (world.now(), &world.peers);
    let twin = |from| peers.next_twin(now, from);
    assert_eq!(twin(0), Some([dialed, came]));
    assert_eq!(
        twin(dialed + 1),
        None,
        "{again} came by itself, {other} is alone"
    );
    world.peers.free(came);
    world.peers.free(again);
    let twin = world.peers.next_twin(now, 0);
    assert_eq!(twin, None);
}

#[test]
fn two_behind_one_address_that_tell_different_chains_often_enough_are_two_and_both_are_told() {
    let mut world = World::new(3);
    let first = world.in_step(D);
    world.cx.pass(10);
    let second = world.meets(D);
    world.told(second);
    world.answers(second, apart(9));
    for round in 1..limits::DESKTOP_APART {
        assert!(!world.desktop(second).is_apart(), "{round}");
        world.live(20_000);
        assert_eq!(world.told(first), ["request_chain"], "{round}");
        world.answers(first, same(4));
        world.cx.pass(10);
        assert_eq!(world.told(second), ["request_chain"], "{round}");
        world.answers(second, apart(3));
    }
    assert!(world.desktop(second).is_apart());
    let now = world.now();
    assert_ne!(
        world.peers.desktop_id(now, first),
        world.peers.desktop_id(now, second)
    );
    world.live(limits::DESKTOP_QUIET_MS);
    assert!(world.desktops.speaks_to(world.now(), &world.peers, second));
}

#[test]
fn two_connections_that_tell_the_same_chain_which_is_nobody_elses_are_one_desktop_node() {
    let mut world = World::new(3);
    let first = world.in_step(D);
    world.cx.pass(10);
    let second = world.meets(D);
    world.told(second);
    world.answers(second, same(4));
    assert!(world.desktop(second).is_twin);
    for _ in 0..2 {
        world.live(20_000);
        assert_eq!(world.told(first), ["request_chain"]);
        world.answers(first, same(4));
    }
    assert_eq!(world.told(second), [""; 0], "that is known");
    // One that has just our chain may be anybody.
    let ours = world.cx.chain.tip();
    let end = End {
        hash: ours.hash,
        ..same(4)
    };
    world.live(20_000);
    world.answers(first, end);
    world.cx.pass(10);
    world.answers(second, end);
    assert!(!world.desktop(second).is_twin);
}

#[test]
fn strangers_that_a_desktop_node_is_connected_to_are_called_once_and_waited_for() {
    let mut world = World::new(3);
    let conn = world.in_step(D);
    let later = Millis(world.now().0 + 60_000);
    for host in ["10.0.0.5", "10.0.0.6"] {
        let mut target = Target::new(host.into(), 6000, later);
        target.kept = true;
        world.links.targets.push(target);
    }
    let known = world.ours(12, &[]);
    let told = ["10.0.1.12:5000", "127.0.0.1:6001", "10.0.0.5:40001"].map(str::to_owned);
    let now = world.now();
    let (peers, links) = (&mut world.peers, &mut world.links);
    Desktops::hear_friends(now, peers, links, conn, &told);
    let contacts: Vec<bool> = world.links.targets.iter().map(called(now)).collect();
    assert_eq!(contacts, [true, false], "{known} is connected");
    assert_eq!(world.desktop(conn).friends.len(), 3);
    world.grow(1);
    world.live(limits::DESKTOP_QUIET_MS - 1);
    assert_eq!(world.told(conn), [""; 0]);
    world.live(1);
    assert_eq!(world.told(conn), ["block 4", "ping"]);
    // What it says again delays nothing.
    let (now, peers, links) = (world.now(), &mut world.peers, &mut world.links);
    Desktops::hear_friends(now, peers, links, conn, &told);
    world.pongs(conn);
    world.grow(1);
    assert_eq!(world.told(conn), ["block 5", "ping"]);
}

fn called(now: Millis) -> impl Fn(&Target) -> bool {
    move |target| matches!(target.contact, Contact::Waiting(at) if at == now)
}

#[test]
fn a_desktop_node_that_forgot_its_connection_is_dialed_now_and_then() {
    let mut world = World::new(3);
    let (conn, dialed) = (world.in_step(D), world.reaches(E));
    world.told(dialed);
    world.answers(dialed, same(4));
    let hash = block_of(4, vec![]).hash;
    for conn in [conn, dialed] {
        let now = world.now();
        world.peers.note_unsaid(now, conn, &hash);
    }
    let mut dials = Vec::new();
    let begin = world.now().0;
    while world.now().0 < begin + 130_000 {
        let (now, peers, links) = (world.now(), &mut world.peers, &mut world.links);
        Desktops::dial_deaf(now, peers, links);
        for target in world.links.targets.drain(..) {
            assert_eq!(target.place(), Some(at(D)), "what we dialed knows us");
            dials.push(now.0 - begin);
        }
        world.cx.pass(1_000);
    }
    assert_eq!(dials, [5_000, 65_000, 125_000]);
    let now = world.now();
    world.peers.note_maker(now, conn, hash);
    assert!(!world.peers.is_deaf(now, conn), "its block came");
}
