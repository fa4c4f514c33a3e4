//! A LAN that was split comes together again by itself, and nobody's request is lost by it.

use crate::lan::Lan;
use crate::nodes::python;

/// What the halves do while they are apart: ten blocks each, unless `more` are made by the second,
/// with an item that both take and one that both give back.
fn live_apart(lan: &mut Lan, halves: [&[usize]; 2], more: usize) {
    for (half, members) in halves.into_iter().enumerate() {
        let blocks = 10 + half * more;
        for number in 0..blocks {
            let who = members[number % members.len()];
            match number {
                2 => lan.request(who, "drill"),
                4 => lan.release(who, "base-3"),
                5 => lan.release(who, BASE[half]),
                _ => lan.request(who, &format!("half-{half}-item-{number}")),
            }
            lan.agree(members);
        }
    }
}

const BASE: [&str; 2] = ["base-1", "base-2"];

#[test]
fn two_halves_of_ours_come_together() {
    let Some(python) = python() else { return };
    let mut lan = Lan::begun(&python, 4, 0);
    lan.link(0, 1);
    let bridge = lan.link(1, 2);
    lan.link(3, 2);
    lan.wire(bridge).cut();
    live_apart(&mut lan, [&[0, 1], &[2, 3]], 0);
    lan.wire(bridge).reconnect();
    lan.settle();
    lan.request(0, "after");
    lan.settle();
}

#[test]
fn two_desktop_nodes_with_one_of_ours_in_between_come_together() {
    let Some(python) = python() else { return };
    for more in [0, 2] {
        let mut lan = Lan::begun(&python, 1, 2);
        lan.link(1, 0);
        let bridge = lan.link(0, 2);
        lan.wire(bridge).cut();
        live_apart(&mut lan, [&[1, 0], &[2]], more);
        lan.wire(bridge).reconnect();
        lan.settle();
        lan.request(1, "after-1");
        lan.settle();
        lan.request(2, "after-2");
        lan.settle();
    }
}

#[test]
fn three_of_ours_with_two_desktop_nodes_come_together() {
    let Some(python) = python() else { return };
    let mut lan = Lan::begun(&python, 3, 2);
    lan.link(3, 0);
    let bridge = lan.link(0, 1);
    lan.link(1, 2);
    lan.link(2, 4);
    lan.wire(bridge).cut();
    live_apart(&mut lan, [&[0, 3], &[1, 2, 4]], 0);
    lan.wire(bridge).reconnect();
    lan.settle();
    lan.request(3, "after-3");
    lan.settle();
    lan.request(4, "after-4");
    lan.settle();
}
