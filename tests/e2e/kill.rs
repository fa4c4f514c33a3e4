//! Ends without warning, torn files and full disks: what was confirmed is there afterwards.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::Stdio;

use super::harness::{Home, Launch, Node, PROMPT, free_port, shown};
use super::needs;
use super::peer::{
    Peer, Person, ROLES, Role, after, block_message, block_of, chain_message, mined,
};
use super::repair::rot;

/// The items that the node has confirmed.
fn confirmed(node: &Node) -> Vec<String> {
    let text = node.said();
    let whole = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    let items = whole.filter_map(|line| line.trim_end().strip_prefix("✅ requested "));
    items.map(str::to_owned).collect()
}

#[test]
fn two_hundred_kills_in_a_stream_of_requests_lose_nothing_that_was_confirmed() {
    kills_lose_nothing(200);
}

/// A new chain now and then, or the starts would take longer and longer.
#[test]
#[ignore = "takes minutes"]
fn fifteen_thousand_kills_in_a_stream_of_requests_lose_nothing_that_was_confirmed() {
    for _ in 0..30 {
        kills_lose_nothing(500);
    }
}

fn kills_lose_nothing(rounds: usize) {
    let home = Home::new();
    let port = free_port();
    let mut all: Vec<String> = Vec::new();
    for round in 0..rounds {
        let mut node = home.node().port(port).start();
        let status = node.status();
        // A block that was written and not yet confirmed may be there too.
        assert!(status.reserved >= all.len(), "round {round}");
        assert_eq!(status.blocks, 1 + status.reserved, "round {round}");
        let names: Vec<String> = (0..20)
            .map(|number| format!("r{round}-i{number}"))
            .collect();
        let lines: Vec<&str> = names.iter().flat_map(|name| ["1", name]).collect();
        node.enter(&lines);
        // Sooner in one round, later in another.
        node.expect(&format!("✅ requested r{round}-i{}\n", round * 7 % 16));
        node.kill();
        all.extend(confirmed(&node));
    }
    let mut node = home.node().port(port).start();
    let there = node.reserved();
    let lost: Vec<&String> = all.iter().filter(|item| !there.contains(item)).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert!(all.len() >= rounds, "{} were confirmed", all.len());
    assert_eq!(node.status().lines[0], "blockchain is A-OK! 😁");
}

#[test]
fn a_kill_in_a_reorg_leaves_the_old_chain_or_the_new_one() {
    let home = Home::new();
    let port = free_port();
    let mut taken = 0;
    let mut ours = None;
    for round in 0..12_u8 {
        let mut node = home.node().port(port).start();
        let old = Peer::dial(port).chain();
        assert!(
            ours.is_none_or(|either: [Vec<_>; 2]| either.contains(&old)),
            "round {round}"
        );
        assert_eq!(node.status().lines[0], "blockchain is A-OK! 😁");
        let names: Vec<String> = (0..old.len() + 20)
            .map(|number| format!("i{number}"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let new = Person::new(round + 1).chain(&names);
        let mut peer = Peer::dial(port);
        peer.say(&chain_message(&new));
        match round % 3 {
            0 => node.expect("[consensus 📡] received chain"),
            1 => node.expect("[consensus ✅] adopted longer chain"),
            _ => String::new(),
        };
        node.kill();
        taken += usize::from(node.said().contains("adopted"));
        ours = Some([old, new]);
    }
    assert!(taken >= 4, "{taken} were adopted");
}

#[test]
fn a_kill_between_a_reorg_and_the_block_that_makes_it_good_loses_no_confirmed_request() {
    const DIFFICULTY: u8 = 4;
    let home = Home::new();
    let mut node = home
        .node()
        .arg(format!("--difficulty={DIFFICULTY}"))
        .start();
    let port = node.port;
    node.request("tent");
    let mut theirs = Person::new(1).chain(&[]);
    for item in ["saw", "axe"] {
        let block = after(
            &theirs[theirs.len() - 1],
            vec![Person::new(1).requests(item)],
        );
        theirs.push(mined(block, DIFFICULTY));
    }
    Peer::dial(port).say(&chain_message(&theirs));
    node.expect("[consensus ✅] adopted longer chain (3 blocks)\n");
    node.kill();
    let mut node = home.node().port(port).start();
    if node.reserved() != ["axe", "saw", "tent"] {
        // It may have been said in the middle of the answers.
        node.wait_for("your request of tent is in the chain again, block #3\n");
    }
}

#[test]
fn a_block_is_synced_before_its_user_or_a_peer_hears_of_it() {
    if !needs::strace() {
        return;
    }
    for role in ROLES {
        syncs_before_it_tells(role);
    }
}

/// A shell's words that run a program and write down what it writes, syncs and sends.
fn traced(trace: &Path, program: &str) -> String {
    // The last is how a program of 32 bits sends on x86; elsewhere there is no such call.
    let calls = "trace=pwrite64,fdatasync,write,sendto,?send";
    format!(
        "strace -f -s 200 -e '{calls}' -o {} {program}",
        trace.display()
    )
}

fn syncs_before_it_tells(role: Role) {
    let home = Home::new();
    let trace = home.path().join("trace");
    let launch = home.node().env("PATH", "/usr/bin:/bin");
    let mut node = launch
        .shell(&format!("exec {}", traced(&trace, "\"$0\" \"$@\"")))
        .start();
    let (mut peer, chain) = Peer::join_as(role, node.port);
    node.request("saw");
    let ours = block_of(&peer.expect("new_block"));
    assert_eq!(ours.prev_hash, chain[0].hash);
    peer.say(&block_message(&after(
        &ours,
        vec![Person::new(1).requests("axe")],
    )));
    node.expect("received and added block #2");
    node.exit();

    let text = fs::read_to_string(&trace).expect("a trace");
    let (mut written, mut dirty, mut told) = (0, false, 0);
    for line in text.lines() {
        let tells = [
            "requested saw",
            "new_transaction",
            "new_block",
            "added block",
        ];
        if line.contains(" pwrite64(") {
            (written, dirty) = (written + 1, true);
        } else if line.contains(" fdatasync(") {
            dirty = false;
        } else if tells.iter().any(|text| line.contains(text)) {
            told += 1;
            assert!(!dirty, "told before it was durable: {line}");
            assert!(written >= 2, "told before it was written: {line}");
        }
    }
    assert!(told >= 3, "{text}");
}

/// A data directory with these items requested, and where it is.
fn with_items(home: &Home, items: &[&str]) -> u16 {
    let mut node = home.node().start();
    for item in items {
        node.request(item);
    }
    node.kill();
    node.port
}

#[test]
fn a_torn_tail_is_cut_with_a_word_and_the_node_goes_on() {
    let home = Home::new();
    let port = with_items(&home, &["saw", "axe", "kayak"]);
    let file = OpenOptions::new().write(true).open(home.chain_file(port));
    let file = file.expect("a chain file");
    let size = file.metadata().expect("its size").len();
    file.set_len(size - 5).expect("cuts");
    let mut node = home.node().port(port).start();
    let text = node.said();
    assert!(text.contains("\n[store ⚠️] the chain file ended in an unfinished record: "));
    assert!(text.contains(" bytes cut, nothing that was confirmed is lost.\nselect > "));
    assert_eq!(node.reserved(), ["axe", "saw"]);
    node.request("kayak");
    node.kill();
    let mut node = home.node().port(port).start();
    assert_eq!(node.reserved(), ["axe", "kayak", "saw"]);
    assert!(!node.said().contains("[store"), "a clean file is no news");
}

#[test]
fn a_tail_that_is_no_record_is_kept_aside_and_the_peers_fill_the_hole() {
    let home = Home::new();
    let port = with_items(&home, &["saw", "axe"]);
    let mut other = home.node().start();
    let mut node = home.node().port(port).connect(other.port).start();
    other.expect("adopted longer chain (3 blocks)\n");
    node.kill();
    // In the last block's record.
    rot(&home.chain_file(port), |size| size - 20);

    let mut node = home.node().port(port).connect(other.port).start();
    let text = node.said();
    assert!(text.contains("\n[store ⚠️] the chain file ended in damaged bytes: "));
    assert!(text.contains(" bytes cut, kept as chain.blx.damaged-"));
    node.expect("[consensus ✅] adopted longer chain (3 blocks)\n");
    node.expect(PROMPT);
    assert_eq!(node.reserved(), ["axe", "saw"]);
    assert_eq!(node.status().ledger(), other.status().ledger());
}

/// Takes items until the disk is full; what was taken, and what is said of the next one.
pub fn fill(node: &mut Node) -> (Vec<String>, String) {
    let mut items = Vec::new();
    loop {
        assert!(items.len() < 50, "the disk never fills");
        let item = format!("{}-{}", items.len(), "x".repeat(900));
        node.enter(&["1", &item]);
        let answer = node.expect(PROMPT);
        if !answer.contains("✅ requested ") {
            return (items, answer);
        }
        items.push(item);
    }
}

#[test]
fn on_a_full_disk_a_node_says_so_refuses_what_is_new_and_goes_on_serving() {
    let home = Home::new();
    // The first nonce will do, so no request is kept for the next start before its block is written.
    let mut node = home.node().arg("--difficulty=0").full_disk(16).start();
    let port = node.port;
    let (items, refusal) = fill(&mut node);
    let cause = "cannot write chain.blx: ";
    assert!(
        refusal.contains(&format!("[store ❌] {cause}")),
        "{refusal}"
    );
    assert!(
        refusal.contains(&format!("❌ nothing was changed: {cause}")),
        "{refusal}"
    );

    let status = node.status();
    let count = items.len();
    assert_eq!((status.blocks, status.reserved), (count + 1, count));
    let first = &status.lines[0];
    assert!(
        first.starts_with(&format!("❌ nothing is written any more: {cause}")),
        "{first}"
    );
    assert!(!status.lines.iter().any(|line| line.contains("A-OK")));
    node.ask(&["1", "small"], "❌ nothing was changed: ");

    // Others are served, and what they have is not taken.
    for role in ROLES {
        let (mut peer, chain) = Peer::join_as(role, port);
        assert_eq!(chain.len(), count + 1);
        let block = after(
            &chain[chain.len() - 1],
            vec![Person::new(1).requests("saw")],
        );
        peer.say(&block_message(&block));
        assert_eq!(peer.settle(), "");
    }
    let now = node.status();
    assert_eq!(now.ledger(), status.ledger());
    assert_eq!(now.bytes, status.bytes);
    node.exit();

    // With room again, all is as it was.
    let mut node = home.node().port(port).start();
    let items: Vec<String> = items.iter().map(|item| shown(item)).collect();
    assert_eq!(node.reserved(), items);
    node.request("small");
    for (role, item) in [(Role::Ours, "saw"), (Role::Desktop, "axe")] {
        let (mut peer, chain) = Peer::join_as(role, port);
        let block = after(&chain[chain.len() - 1], vec![Person::new(1).requests(item)]);
        peer.say(&block_message(&block));
        node.expect("[network 📦] received and added block #");
    }
}

#[test]
fn a_start_on_a_full_disk_is_refused_with_the_cause() {
    let launch = Launch::new().full_disk(0);
    let mut node = launch.spawn(Stdio::piped());
    assert_eq!(node.code(), 1);
    let said = node.err.text();
    assert!(said.starts_with("blx: cannot "), "{said}");
    assert_eq!(
        (said.lines().count(), node.said()),
        (1, String::new()),
        "{said}"
    );
}
