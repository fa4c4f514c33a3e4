//! What a newcomer does with three terminals.

use std::time::{Duration, Instant};

use super::harness::{Home, Launch, Node, PROMPT, Status, free_port, wait_for};

/// What three nodes may take after the start of the one in the middle.
const TOGETHER: Duration = Duration::from_secs(30);

/// How many events the nodes have shown.
fn events(nodes: &[&mut Node]) -> usize {
    let shown = nodes.iter().map(|node| {
        let text = node.said();
        let lines = text.lines();
        lines
            .filter(|line| line.starts_with("[network") || line.starts_with("[consensus"))
            .count()
    });
    shown.sum()
}

/// Looks at the nodes after every event that one of them shows, until all have the same chain and
/// it is as wanted.
fn agree(nodes: &mut [&mut Node], limit: Duration, wanted: impl Fn(&Status) -> bool) -> Status {
    let start = Instant::now();
    loop {
        let before = events(nodes);
        let all: Vec<Status> = nodes.iter_mut().map(|node| node.status()).collect();
        if all.iter().all(|one| one.ledger() == all[0].ledger()) && wanted(&all[0]) {
            return all[0].clone();
        }
        let left = limit.saturating_sub(start.elapsed());
        let more = wait_for(left, || (events(nodes) > before).then_some(()));
        assert!(more.is_some(), "the nodes stay apart: {all:#?}");
    }
}

fn is(blocks: usize, reserved: usize, available: usize) -> impl Fn(&Status) -> bool {
    move |one| (one.blocks, one.reserved, one.available) == (blocks, reserved, available)
}

fn sorted(mut items: Vec<String>) -> Vec<String> {
    items.sort();
    items
}

#[test]
fn three_nodes_play_the_walk_through_and_nothing_is_lost() {
    let home = Home::new();
    let mut a = home.node().start();
    let mut b = home.node().start();
    let mut c = home.node().start();
    let port = a.port;
    for node in [&mut b, &mut c] {
        let answer = format!("✅ connected to localhost:{port}\n");
        node.ask(&["6", "localhost", &port.to_string()], &answer);
    }
    // One first block wins; then the item goes in.
    agree(&mut [&mut a, &mut b, &mut c], TOGETHER, is(1, 0, 0));
    a.request("laptop-001");
    agree(&mut [&mut a, &mut b, &mut c], TOGETHER, is(2, 1, 0));
    c.release("laptop-001");
    let before = agree(&mut [&mut a, &mut b, &mut c], TOGETHER, is(3, 0, 1));
    // Of the one who made the last block, its end is known.
    a.ask(&["7"], "blx, 3 blocks, agrees with us, ");

    a.exit();
    for node in [&mut b, &mut c] {
        node.expect(&format!("[network 🔗] lost localhost:{port}"));
        // They have learned of each other from the first.
        assert_eq!(node.status().peers, 1);
    }
    b.ask(&["5", "cam-1,cam-2,tripod"], "✅ requested tripod\n");
    c.request("drill");
    agree(&mut [&mut b, &mut c], TOGETHER, |one| one.reserved == 4);

    let restart = Instant::now();
    let mut a = home.node().port(port).start();
    let four = |one: &Status| one.reserved == 4 && one.available == 1;
    let after = agree(&mut [&mut a, &mut b, &mut c], TOGETHER, four);
    println!("same tip {:?} after the restart", restart.elapsed());
    assert_eq!(after.blocks, before.blocks + 2);
    for node in [&mut a, &mut b, &mut c] {
        let items = sorted(node.reserved());
        assert_eq!(items, ["cam-1", "cam-2", "drill", "tripod"]);
        assert_eq!(node.items("4"), ["laptop-001"]);
    }

    let ports = [a.port, b.port, c.port];
    let last = [a.status(), b.status(), c.status()];
    for node in [&mut a, &mut b, &mut c] {
        node.kill();
    }
    for (port, last) in ports.into_iter().zip(last) {
        let mut node = home.node().port(port).start();
        let now = node.status();
        assert_eq!(now.ledger(), last.ledger());
        assert_eq!(now.key, last.key);
        assert_eq!(now.bytes, last.bytes);
        let items = sorted(node.reserved());
        assert_eq!(items, ["cam-1", "cam-2", "drill", "tripod"]);
        node.stop();
    }
}

#[test]
fn a_block_made_at_one_end_reaches_the_other_through_the_node_between() {
    let mut middle = Launch::new().start();
    let mut left = Launch::new().connect(middle.port).start();
    let mut right = Launch::new().connect(middle.port).start();
    let ends = &mut [&mut left, &mut middle, &mut right];
    // Each began with a first block of its own: the same tip means that all have met.
    agree(ends, TOGETHER, is(1, 0, 0));
    left.request("ladder");
    right.expect("[network 📦] received and added block #1\n");
    right.expect(PROMPT);
    assert_eq!(right.reserved(), ["ladder"]);
    assert_eq!(right.status().tip, left.status().tip);
}

#[test]
fn a_node_that_was_away_takes_the_longer_chain_when_it_comes_back() {
    let home = Home::new();
    let mut ahead = home.node().start();
    for number in 0..20 {
        ahead.request(&format!("item-{number}"));
    }
    let mut late = home.node().port(free_port()).connect(ahead.port).start();
    late.expect("[consensus 📡] received chain (length 21) vs ours (length 1)\n");
    late.expect("[consensus ✅] adopted longer chain (21 blocks)\n");
    late.expect(PROMPT);
    assert_eq!(late.status().ledger(), ahead.status().ledger());
}

#[test]
fn two_nodes_that_dial_each_other_agree() {
    let home = Home::new();
    let (left, right) = (free_port(), free_port());
    let mut left = home.node().port(left).connect(right).start();
    let mut right = home.node().port(right).connect(left.port).start();
    left.expect(&format!("connected to 127.0.0.1:{} again\n", right.port));
    left.request("saw");
    right.request("axe");
    agree(&mut [&mut left, &mut right], TOGETHER, is(3, 2, 0));
    assert_eq!(left.reserved(), ["axe", "saw"]);
}
