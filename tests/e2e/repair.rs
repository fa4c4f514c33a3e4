//! Damage in the middle of the chain file, healed from a peer over real sockets.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::harness::{Home, Node, PROMPT};

/// Two nodes with the same chain, the second of which dials the first. The file is larger than what
/// a node keeps in memory of it.
fn pair(home: &Home) -> (Node, Node) {
    let mut first = home.node().start();
    for block in 0..32 {
        let items: Vec<String> = (0..30).map(|item| format!("item-{block}-{item}")).collect();
        let last = format!("✅ requested item-{block}-29\n");
        first.ask(&["5", &items.join(",")], &last);
    }
    let mut second = home.node().connect(first.port).start();
    second.expect("[consensus ✅] adopted longer chain (33 blocks)\n");
    second.expect(PROMPT);
    assert_eq!(second.status().ledger(), first.status().ledger());
    (first, second)
}

/// Turns a bit over, in place and at a place by the file's size; returns what the file was.
pub fn rot(file: &Path, at: impl Fn(usize) -> usize) -> Vec<u8> {
    let whole = fs::read(file).expect("reads");
    let at = at(whole.len());
    let open = OpenOptions::new().write(true).open(file).expect("opens");
    let written = open.write_all_at(&[whole[at] ^ 4], at as u64);
    written.expect("writes");
    whole
}

fn assert_told(node: &Node) {
    let text = node.said();
    assert!(
        text.contains("[monitor ⚠️] corruption detected at block 2"),
        "{text}"
    );
}

#[test]
fn a_hole_that_a_start_finds_is_filled_with_the_bytes_that_were_there() {
    let home = Home::new();
    let (mut first, mut second) = pair(&home);
    second.kill();
    let file = home.chain_file(second.port);
    let whole = rot(&file, |size| size * 3 / 4);
    let mut second = home.node().port(second.port).connect(first.port).start();
    second.expect("[monitor ✅] repair completed.\n");
    assert_told(&second);
    second.expect(PROMPT);
    assert!(fs::read(&file).expect("reads") == whole);
    let theirs = first.status();
    assert_eq!(second.status().ledger(), theirs.ledger());
    // And all is well the next time.
    second.kill();
    let mut second = home.node().port(second.port).start();
    assert_eq!(second.status().ledger(), theirs.ledger());
    assert!(!second.out.text().contains("[monitor"));
}

#[test]
fn damage_that_a_running_node_meets_is_healed_without_a_restart() {
    let home = Home::new();
    let (mut first, mut second) = pair(&home);
    let file = home.chain_file(second.port);
    let whole = rot(&file, |size| size * 3 / 4);
    // Whoever asks for the chain makes the node read it.
    let _third = home.node().connect(second.port).start();
    second.expect("[monitor ✅] repair completed.\n");
    assert_told(&second);
    second.expect(PROMPT);
    assert!(fs::read(&file).expect("reads") == whole);
    assert_eq!(second.status().ledger(), first.status().ledger());
    first.request("rope");
    second.expect("[network 📦] received and added block #33\n");
    second.expect(PROMPT);
    assert_eq!(second.status().ledger(), first.status().ledger());
}
