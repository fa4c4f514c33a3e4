//! What hits one node hard while others go on: a full disk, a chain that is spoiled by strangers.

use std::time::Duration;

use crate::nodes::python;
use crate::peer::{Peer, Person, after, block_message};
use crate::rows::{HURRY, busy_square, comes_back};
use crate::street::Street;

#[test]
fn the_disk_of_who_speaks_is_full_in_the_middle() {
    let Some(python) = python() else { return };
    let (mut street, speaker) = busy_square(&python);
    let other = 1 - speaker;
    street.fill_disk(speaker);
    street.take_in_turn(&[2, other, 3], "meanwhile", 12, HURRY);
    assert_eq!(street.speaker(&[other]), other);
    street.settle();
    let full = street.node(speaker).told(&["7"]);
    assert!(full.contains("nothing is written any more"), "{full}");
    assert!(!full.contains(", we speak"), "{full}");
    // There is room again.
    street.kill(speaker);
    comes_back(&mut street, speaker);
}

/// Until then the second thread has appended what the first one has, or it never will.
const MOMENT: Duration = Duration::from_secs(2);

/// Two strangers say the same block at once, until both of the desktop node's threads append it.
fn spoil(street: &mut Street, desktop: usize, strangers: &mut [Peer; 2], item: &str) {
    let person = Person::new(7);
    let mut before = person.chain(&[])[0].clone();
    let node = street.node(desktop);
    for attempt in 0.. {
        // Where another one comes first it is not taken, by neither of them.
        let length = node.status().blocks;
        before.index = length as u64 - 1;
        let block = block_message(&after(
            &before,
            vec![person.requests(&format!("{item}-{attempt}"))],
        ));
        let added = format!("received and added block #{length}\n");
        let count = node.said().matches(&added).count();
        for stranger in &mut *strangers {
            stranger.say(&block);
        }
        // Not by its length: its monitor may have cut that again.
        node.wait_for_count(&added, count + 1);
        if node.out.await_count(MOMENT, &added, count + 2) {
            return;
        }
    }
}

const DAMAGE: &str = "[monitor ⚠️] corruption detected";
/// Said when its chain is cut, and not a moment before.
const REPAIRED: &str = "[monitor ✅] repair completed.";

/// Its monitor repairs the first time and not the second: it has found damage in the look before.
#[test]
fn a_desktop_node_is_spoiled_twice_where_its_monitor_is_blind() {
    let Some(python) = python() else { return };
    let mut street = Street::new(&python);
    let ours = [street.blx(&[]), street.blx(&[])];
    let desktop = street.desktop(&["--handling", "200", "--late", "0", "--look", "10"]);
    street.dial(ours[0], ours[1]);
    for blx in ours {
        street.dial(desktop, blx);
    }
    street.take_in_turn(&[ours[0], desktop, ours[1]], "before", 6, HURRY * 4);
    street.settle();
    let port = street.node(desktop).port;
    // On a busy machine the monitor may look in between.
    for round in 0.. {
        assert!(round < 5, "its monitor is never blind");
        let mut strangers = [1, 2].map(|number| {
            let mut stranger = Peer::dial(port);
            stranger.listens = number;
            stranger
        });
        let repairs = street.node(desktop).said().matches(DAMAGE).count();
        spoil(
            &mut street,
            desktop,
            &mut strangers,
            &format!("lamp-{round}"),
        );
        street.node(desktop).wait_for_count(REPAIRED, repairs + 1);
        spoil(
            &mut street,
            desktop,
            &mut strangers,
            &format!("vice-{round}"),
        );
        drop(strangers);
        street.take_in_turn(&ours, &format!("after-{round}"), 4, HURRY);
        street.settle();
        let said = street.node(desktop).said();
        if said.matches(DAMAGE).count() == repairs + 1 {
            break;
        }
    }
}
