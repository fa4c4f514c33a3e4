//! Whom a number is worth something to: only who has proven it, with its key.

use super::tests::{World, at};
use super::*;
use crate::node::effects::testing::{key, who};
use crate::node::peer::Kind;

const LAN: &str = "10.0.0.9:6000";

/// With a node that was named and is met at the other end of connection 0.
fn met() -> World {
    let mut world = World::new(&[LAN]);
    world.tend();
    world.reaches(0, LAN);
    assert_eq!(world.tells(0, 7), Met::Alone);
    world
}

#[test]
fn who_has_not_proven_a_number_is_nobody_that_was_named() {
    let mut world = met();
    let conn = world.comes("10.0.0.9:50000");
    (world.peer(conn).kind, world.peer(conn).port) = (Kind::Ours(None), Some(6000));
    let open = |world: &World| matches!(world.links.targets[0].contact, Contact::Open(..));
    assert!(open(&world));
    world.loses(0);
    assert!(!open(&world), "it is dialed again");
    // Nor is it when its time has come, until it proves that.
    let (_, done) = world.sleep();
    assert!(matches!(done[..], [Action::Dial { .. }]), "{done:?}");
    world.fails(0);
    assert!(!open(&world));
    assert_eq!(world.tells(conn, 7), Met::Alone);
    assert!(open(&world));
}

#[test]
fn who_has_proven_a_number_with_another_key_is_another_node() {
    let mut world = met();
    let conn = world.comes("10.0.0.8:50000");
    let other = Who {
        key: key(9),
        ..who(7)
    };
    world.peer(conn).kind = Kind::Ours(Some(other));
    let (links, cx, peers) = (&mut world.links, &mut world.cx, &mut world.peers);
    assert_eq!(links.meet(cx, peers, conn, other), Met::Alone);
    // Nor is it this node itself.
    let conn = world.comes("10.0.0.7:50000");
    let own = Who {
        key: key(9),
        ..world.links.own
    };
    world.peer(conn).kind = Kind::Ours(Some(own));
    let (links, cx, peers) = (&mut world.links, &mut world.cx, &mut world.peers);
    assert_eq!(links.meet(cx, peers, conn, own), Met::Alone);
    assert!(
        world
            .peers
            .get(0)
            .is_some_and(|peer| peer.remote == at(LAN))
    );
    assert!(world.actions().is_empty());
}
