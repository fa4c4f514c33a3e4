//! Nodes that meet for the first time, each with its own first block, and nodes that do the same at
//! the same moment.

use std::thread;

use crate::lan::{Lan, exported};
use crate::nodes::{Place, python, wait_in_step};

/// Five nodes, each with a first block and a block of its own, are connected in this order.
fn five(desktops: usize, links: &[(usize, usize)]) {
    let Some(python) = python() else { return };
    let mut lan = Lan::apart(&python, 5 - desktops, desktops);
    for who in 0..5 {
        lan.request(who, &format!("item-{who}"));
    }
    // Ours only: a desktop node would not tell its user who lost.
    for who in 0..5 - desktops {
        lan.request(who, "drill");
    }
    for (from, to) in links {
        lan.link(*from, *to);
    }
    lan.settle();
    lan.request(4, "after");
    let chain = lan.settle();
    assert_eq!(chain[0]["index"], 0);
}

#[test]
fn five_of_ours_meet_in_a_line() {
    five(0, &[(0, 1), (1, 2), (2, 3), (3, 4)]);
}

#[test]
fn five_of_ours_meet_in_a_line_that_closes_in_the_middle() {
    five(0, &[(3, 4), (1, 0), (4, 0), (2, 3)]);
}

#[test]
fn five_of_ours_meet_around_one() {
    five(0, &[(1, 0), (2, 0), (3, 0), (4, 0)]);
}

#[test]
fn five_of_ours_meet_each_with_each() {
    let pairs = (0..5).flat_map(|to| (to + 1..5).map(move |from| (from, to)));
    five(0, &pairs.collect::<Vec<_>>());
}

#[test]
fn three_of_ours_and_two_desktop_nodes_meet_in_a_line() {
    five(2, &[(3, 0), (0, 1), (1, 2), (2, 4)]);
}

#[test]
fn three_of_ours_and_two_desktop_nodes_meet_around_one_of_ours() {
    five(2, &[(0, 4), (0, 3), (0, 2), (0, 1)]);
}

/// The most that may travel for a tie of two blocks: no chain is asked for.
const TIE_BYTES_MAX: u64 = 4 << 10;

#[test]
fn two_of_ours_that_take_the_same_item_at_once_agree_without_a_chain() {
    let Some(python) = python() else { return };
    for round in 0..4 {
        let mut lan = Lan::begun(&python, 2, 0);
        let link = lan.link(0, 1);
        // Long enough that a chain would be seen on the wire.
        for number in 0..10 {
            lan.request(number % 2, &format!("item-{number}"));
            lan.agree(&[0, 1]);
        }
        lan.settle();
        lan.wire(link).hold(true);
        let before: u64 = lan.wire(link).carried().iter().sum();
        let item = format!("laptop-{round:03}");
        lan.request(0, &item);
        lan.request(1, &item);
        lan.wire(link).hold(false);
        let chain = lan.settle();
        let after: u64 = lan.wire(link).carried().iter().sum();
        assert!(after - before < TIE_BYTES_MAX, "{} bytes", after - before);

        let tip = &chain[chain.len() - 1];
        let winner = tip["transactions"][0]["requester"].as_str();
        let winner = winner.expect("a key");
        let keys = [0, 1].map(|who| lan.node(who).status().key);
        let loser = keys.iter().position(|key| key != winner).expect("one");
        let (key, at) = (&winner[..12], &tip["index"]);
        let told = format!("[consensus] your request of {item} lost to {key} at block {at}\n");
        lan.node(loser).wait_for(&told);
        let picture = format!("[consensus ❌] your request of {item}");
        lan.node(loser).assert_never_said(&[&picture]);
    }
}

#[test]
fn users_who_press_at_the_same_time_are_told_who_has_it() {
    let Some(python) = python() else { return };
    let mut lan = Lan::begun(&python, 3, 0);
    lan.link(0, 1);
    lan.link(1, 2);
    for round in 0..10 {
        let item = format!("laptop-{round:03}");
        let lines = ["1", &item];
        let [mut a, mut b] = lan.pair(0, 2);
        thread::scope(|scope| {
            for node in [&mut a, &mut b] {
                scope.spawn(|| node.enter(&lines));
            }
        });
        for who in [0, 2] {
            if lan.node(who).was_taken(&item) {
                lan.done(who, "request", &item);
            }
        }
        lan.settle();
    }
}

#[test]
fn one_of_ours_and_a_desktop_node_at_once() {
    let Some(python) = python() else { return };
    // The same item, and two that have nothing to do with each other.
    for round in 0..4 {
        for [ours, theirs] in [["saw", "saw"], ["saw", "axe"]] {
            let mut lan = Lan::begun(&python, 1, 1);
            let link = lan.link(round % 2, (round + 1) % 2);
            lan.request(0, "ours-first");
            lan.agree(&[0, 1]);
            lan.wire(link).hold(true);
            lan.request(0, ours);
            lan.request(1, theirs);
            lan.wire(link).hold(false);
            lan.settle();
            lan.request(1, "after");
            lan.settle();
        }
    }
}

#[test]
fn a_reorg_at_block_0_warns_and_keeps_what_it_took_out() {
    let Some(python) = python() else { return };
    let mut lan = Lan::apart(&python, 2, 0);
    lan.request(0, "drill");
    lan.request(1, "drill");
    for number in 0..8 {
        lan.request(0, &format!("item-{number}"));
    }
    for number in 10..20 {
        lan.request(1, &format!("item-{number}"));
    }
    let [old, new] = [0, 1].map(|who| lan.node(who).status().tip);
    lan.link(0, 1);
    let chain = lan.settle();
    assert_eq!(chain.len(), 12 + 1, "the rest came back as one block");
    let said = lan.node(0).said();
    let warning = said
        .lines()
        .filter(|line| line.starts_with("[consensus ⚠️] "));
    let warning: Vec<&str> = warning.collect();
    assert_eq!(warning.len(), 1, "{said}");
    assert!(
        warning[0].contains(&old[..12]) && warning[0].contains(&new[..12]),
        "{warning:?}"
    );
    let branch = exported(lan.directory(0), &["--branch"]);
    assert_eq!(branch[branch.len() - 1]["hash"], *old);
}

#[test]
fn ours_find_each_other_through_one_in_common_and_keep_one_connection_a_pair() {
    let places = [Place::new(), Place::new(), Place::new()];
    let start = |at: usize| places[at].start_as(&format!("blx {at}"));
    let [mut a, mut b, mut c] = [0, 1, 2].map(start);
    a.connect(&mut b);
    // The same pair the other way around, and one with itself.
    b.dial_port(a.port);
    a.dial_port(a.port);
    c.dial_port(b.port);
    // Each with each, and nothing twice.
    for node in [&mut a, &mut b, &mut c] {
        node.wait_for_peers(2);
    }
    a.request("drill");
    wait_in_step(&mut [&mut a, &mut b, &mut c], 2, 1, 0);
    b.kill();
    drop(b);
    for node in [&mut a, &mut c] {
        node.wait_for_peers(1);
    }
    c.request("saw");
    wait_in_step(&mut [&mut a, &mut c], 3, 2, 0);
}
