//! Who is accepted, and for whom somebody else gives up a place.

use super::*;
use crate::node::effects::testing::who;
use crate::node::event::{Action, ConnId};
use crate::node::links::tests::{ASKER, World, at};
use crate::node::peer::Kind;

const NAMED: &str = "10.0.0.9:6000";
const SILENT: u64 = limits::NEWCOMER_MS;

/// A caller from another address each.
fn caller(number: usize) -> String {
    format!("10.0.3.{number}:50000")
}

impl World {
    /// Whether somebody from here is accepted; if so, on which connection.
    fn admits(&mut self, from: &str) -> Option<usize> {
        let conn = self.peers.free_conn();
        self.links.incoming(&mut self.cx, &mut self.peers, at(from));
        match &self.actions()[..] {
            [Action::Accept { conn }] => Some(usize::from(conn.0)),
            [Action::Refuse] => None,
            other => panic!("{conn:?}: {other:?}"),
        }
    }

    fn way_to_caller(&self, from: &str) -> Option<usize> {
        let (now, peers) = (self.now(), &self.peers);
        self.links.gives_way_to_caller(now, peers, at(from), None)
    }

    fn way_to_named(&self) -> Option<usize> {
        self.links.gives_way_to_named(self.now(), &self.peers, None)
    }

    /// As many callers as have places, each of whom has spoken.
    fn fill(&mut self) {
        for number in 0..CALLERS {
            let conn = self.admits(&caller(number)).expect("a place");
            self.peer(conn).kind = Kind::Ours(Some(who(1_000 + number as u64)));
        }
    }

    /// A connection that we made to somebody who was learned.
    fn learned(&mut self, number: usize) -> usize {
        let conn = self.peers.free_conn().expect("a place");
        let mut peer = Peer::new(self.now(), at(&format!("10.0.4.{number}:6000")), true);
        peer.kind = Kind::Ours(Some(who(2_000 + number as u64)));
        self.peers.open(conn, peer);
        usize::from(conn.0)
    }
}

#[test]
fn callers_have_most_places_and_dials_the_others() {
    let mut world = World::new(&[]);
    world.fill();
    assert_eq!(world.admits(&caller(99)), None);
    for number in 0..limits::PLACES_FOR_DIALS {
        assert_eq!(world.admits(&caller(99)), None, "{number}");
        world.learned(number);
    }
    assert!(world.peers.free_conn().is_none());
    world.peers.free(3);
    assert_eq!(world.admits(&caller(99)), Some(3));
    // Where dials have more than their places, callers have fewer.
    world.peers.free(3);
    world.learned(90);
    assert_eq!(world.admits(&caller(98)), None);
}

#[test]
fn of_one_address_only_some_are_accepted_but_of_this_machine_and_of_who_was_named() {
    for (from, most) in [
        ("10.0.0.8:50000", limits::PEERS_PER_ADDRESS),
        ("[::ffff:10.0.0.8]:50000", limits::PEERS_PER_ADDRESS),
        ("127.0.0.1:50000", CALLERS),
        ("10.0.0.9:50000", CALLERS),
    ] {
        let mut world = World::new(&[NAMED]);
        // What was dialed counts for nobody.
        world.peers.open(
            ConnId::of_peer(31),
            Peer::new(world.now(), at("10.0.0.8:6000"), true),
        );
        let accepted = (0..=CALLERS).take_while(|_| world.admits(from).is_some());
        assert_eq!(accepted.count(), most, "{from}");
        let other = world.admits(&caller(1)).is_some();
        assert_eq!(other, most < CALLERS, "{from}");
    }
}

#[test]
fn who_comes_from_a_full_address_gets_the_place_of_one_there_that_is_of_no_use() {
    let mut world = World::new(&[]);
    let from = "10.0.0.8:50000";
    let elsewhere = world.admits(&caller(1)).expect("a place");
    let there: Vec<usize> = (0..limits::PEERS_PER_ADDRESS)
        .map(|_| world.admits(from).expect("a place"))
        .collect();
    for conn in there.iter().chain([&elsewhere]) {
        world.peer(*conn).kind = Kind::Ours(Some(who(1_000 + *conn as u64)));
    }
    world.peer(elsewhere).kind = Kind::Unknown;
    world.cx.pass(SILENT);
    assert_eq!(world.way_to_caller(from), None, "all are of use");
    world.peer(there[1]).pinged = Some(world.now());
    world.cx.pass(limits::SILENT_MS);
    assert_eq!(world.way_to_caller(from), Some(there[1]));
    world.peer(there[2]).kind = Kind::Unknown;
    assert_eq!(world.way_to_caller(from), Some(there[2]));
}

#[test]
fn a_caller_gets_the_place_of_a_caller_and_not_at_once() {
    let mut world = World::new(&[]);
    assert_eq!(world.way_to_caller(&caller(99)), None, "there is room");
    world.fill();
    let dialed = world.learned(1);
    assert_eq!(world.way_to_caller(&caller(99)), None, "all are new");
    world.cx.pass(SILENT - 1);
    assert_eq!(world.way_to_caller(&caller(99)), None);
    world.cx.pass(1);
    assert_eq!(world.way_to_caller(&caller(99)), Some(CALLERS - 1));
    world.peer(7).kind = Kind::Unknown;
    assert_eq!(world.way_to_caller(&caller(99)), Some(7));
    // The dialed one came later, and is looked at only where callers have less than their places.
    world.peers.free(7);
    for number in 2..=limits::PLACES_FOR_DIALS + 1 {
        world.learned(number);
    }
    world.peer(dialed).kind = Kind::Unknown;
    assert_eq!(world.way_to_caller(&caller(99)), Some(dialed));
}

#[test]
fn who_is_left_alone_is_not_accepted_and_nobody_gives_way() {
    let mut world = World::new(&[]);
    world.fill();
    world.cx.pass(SILENT);
    let from = caller(99);
    assert!(world.way_to_caller(&from).is_some());
    let peer = Peer::new(world.now(), at(&from), false);
    world.links.ban(world.now(), &peer, 1_000);
    assert_eq!(world.way_to_caller(&from), None);
    world.peers.free(1);
    let other_port = from.replace("50000", "50001");
    assert_eq!(world.admits(&other_port), None);
    assert_eq!(world.admits(&caller(98)), Some(1));
    world.peers.free(1);
    world.cx.pass(1_000);
    assert_eq!(world.admits(&other_port), Some(1));
}

#[test]
fn who_was_named_gets_the_place_of_anybody() {
    let mut world = World::new(&[]);
    world.fill();
    for number in 1..limits::PLACES_FOR_DIALS {
        world.learned(number);
    }
    let dial = |world: &mut World| {
        let host = "10.0.0.9".to_owned();
        world.links.dial(&mut world.cx, ASKER, host, 6000);
    };
    dial(&mut world);
    assert_eq!(world.way_to_named(), None, "a place is free");
    let last = world.learned(60);
    assert_eq!(world.way_to_named(), Some(last), "no newcomer is spared");
    world.peer(CALLERS).kind = Kind::Unknown;
    assert_eq!(world.way_to_named(), Some(CALLERS));
    world.peer(CALLERS).kind = Kind::Ours(Some(who(8)));
    world.peer(last).kind = Kind::Unknown;
    assert_eq!(world.way_to_named(), Some(last));
    world.peer(4).kind = Kind::Unknown;
    world.peer(4).remote = at(NAMED);
    world.peer(4).port = Some(6000);
    assert!(world.way_to_named().is_some());
    world.peer(4).kind = Kind::Ours(Some(who(7)));
    assert_eq!(world.way_to_named(), None, "it is connected");
    world.peers.free(4);
    world.learned(61);
    assert_eq!(world.way_to_named(), Some(last));
    world.links.targets[0].learned = true;
    assert_eq!(world.way_to_named(), None, "nobody named it");
    world.links.targets[0].learned = false;
    world.links.targets[0].contact = Contact::Waiting(Millis(world.now().0 + 1));
    assert_eq!(world.way_to_named(), None, "not yet");
    world.cx.pass(1);
    assert_eq!(world.way_to_named(), Some(last));
    let peer = Peer::new(world.now(), at(NAMED), true);
    world.links.ban(world.now(), &peer, 1_000);
    assert!(world.way_to_named().is_some(), "its user asks for it");
    world.links.targets[0].asked.clear();
    assert_eq!(world.way_to_named(), None, "it is left alone");
}
