//! Peers that say what is wrong, and what becomes of them.

use blx::ledger::Timestamp;
use blx::wire::MessageKind;

use super::harness::{Launch, PROMPT};
use super::peer::{
    Peer, Person, ROLES, Role, after, block_message, block_text, chain_message, listen, message,
    mine, plain,
};
use super::wire::unchanged;

#[test]
fn lines_that_are_no_json_are_skipped() {
    let mut node = Launch::new().logging().start();
    let (mut peer, _) = Peer::join(node.port);
    for line in [
        "hello",
        "{",
        "",
        "\r",
        "{\"type\": \"ping\", \"payload\": {}",
        "'{}'",
    ] {
        peer.say(line);
    }
    assert_eq!(peer.settle(), "");
    let skipped = format!("{}: a line that is not JSON is skipped\n", peer.name);
    for _ in 0..4 {
        node.expect_log(&skipped);
    }
}

#[test]
fn a_line_of_the_wrong_shape_ends_the_connection_with_a_reason() {
    let mut node = Launch::new().logging().start();
    let (_, chain) = Peer::join(node.port);
    let block = block_text(&chain[0]);
    let wrong_index = block.replace("\"index\": 0", "\"index\": \"0\"");
    let no_hash = block.replace("\"hash\"", "\"hush\"");
    let new_block = |text: &str| message(MessageKind::NewBlock, text).into_bytes();
    let table: [(Vec<u8>, &str); 17] = [
        (b"[1, 2]".into(), "the line is not an object"),
        (b"7".into(), "the line is not an object"),
        (b"null".into(), "the line is not an object"),
        (
            plain("hello").into(),
            "type is hello, which this node does not know",
        ),
        (
            br#"{"type": 5, "payload": {}}"#.into(),
            "type is not a string",
        ),
        (br#"{"payload": {}}"#.into(), "type is missing"),
        (br#"{"type": "ping"}"#.into(), "payload is missing"),
        (
            br#"{"type": "ping", "payload": 5}"#.into(),
            "payload is not an object",
        ),
        (
            br#"{"type": "ping", "payload": null}"#.into(),
            "payload is not an object",
        ),
        (
            br#"{"type": "ping", "payload": {}, "sender": 7}"#.into(),
            "sender is not a string",
        ),
        (
            b"{\"type\": \"ping\", \"payload\": {\"x\": \"\xff\"}}".into(),
            "the line is not UTF-8",
        ),
        (
            message(MessageKind::PeerList, "{}").into(),
            "payload.peers is missing",
        ),
        (
            message(MessageKind::PeerList, r#"{"peers": 5}"#).into(),
            "payload.peers is not",
        ),
        (new_block("{}"), "index is missing"),
        (new_block(&wrong_index), "index is not"),
        (new_block(&no_hash), "hash is missing"),
        (
            message(MessageKind::ChainResponse, r#"{"chain": [5]}"#).into(),
            "is not an object",
        ),
    ];
    for (line, reason) in table {
        let mut peer = Peer::dial(node.port);
        assert!(peer.try_send(&line));
        peer.expect_close();
        node.expect_log(&format!("{}: connection closed: ", peer.name));
        let logged = node.rest_of_log_line();
        let shown = String::from_utf8_lossy(&line);
        assert!(logged.contains(reason), "{shown}: {logged}");
    }
    unchanged(&mut node, &chain);
}

#[test]
fn a_message_over_a_mebibyte_ends_the_connection() {
    let mut node = Launch::new().logging().start();
    let mut peer = Peer::dial(node.port);
    let fits = format!(
        r#"{{"type": "ping", "payload": {{"x": "{}"}}}}"#,
        "x".repeat(1_000_000)
    );
    peer.say(&fits);
    peer.expect("pong");
    // The node may hang up before all of it is sent.
    peer.try_send(&vec![b'x'; (1 << 20) + 2]);
    peer.expect_close();
    node.expect_log("connection closed: a message of more than 1 MiB");
    assert_eq!(node.status().peers, 0);
}

#[test]
fn the_third_invalid_block_ends_the_connection_and_changes_nothing() {
    for role in ROLES {
        three_invalid_blocks(role);
    }
}

fn three_invalid_blocks(role: Role) {
    let mut node = Launch::new().logging().start();
    let (mut peer, chain) = Peer::join_as(role, node.port);
    // Another node on that host.
    let (mut other, _) = Peer::join_from(2, Role::Ours, node.port);
    let person = Person::new(1);
    let good = after(&chain[0], vec![person.requests("saw")]);

    let mut wrong_hash = good.clone();
    wrong_hash.timestamp = Timestamp::Float(5.5);
    peer.say(&block_message(&wrong_hash));
    node.expect_log(&format!(
        "{}: dropped: block 1: hash is not the hash",
        peer.name
    ));

    let mut forged = person.requests("saw");
    forged.uid = "axe".into();
    peer.say(&block_message(&after(&chain[0], vec![forged])));
    node.expect_log("dropped: block 1: the signature of transaction 0 does not verify");
    assert_eq!(peer.settle(), "", "two are forgiven");

    let void = after(&chain[0], vec![person.releases("saw")]);
    peer.say(&block_message(&void));
    peer.expect("request_chain");
    assert_eq!(peer.settle(), "", "void is no fault");

    let mut wrong_index = good.clone();
    wrong_index.index = 1 << 40;
    assert!(peer.try_send(block_message(&wrong_index).as_bytes()));
    node.expect_log("dropped: block 1099511627776: hash is not the hash");
    peer.expect_close();
    node.expect_log("connection closed: it broke the rules three times");
    unchanged(&mut node, &chain);
    assert_eq!(other.settle(), "", "nothing of it was passed on");
    other.say(&block_message(&good));
    node.expect("[network 📦] received and added block #1\n");
}

#[test]
fn a_block_without_work_is_refused() {
    for role in ROLES {
        let mut node = Launch::new().logging().start();
        let (mut peer, chain) = Peer::join_as(role, node.port);
        let mut block = after(&chain[0], vec![Person::new(1).requests("saw")]);
        // A true hash, but not one that begins with zeros.
        while block.hash.to_string().starts_with("00") {
            block.nonce += 1;
            block.hash = block.content_hash();
        }
        peer.say(&block_message(&block));
        node.expect_log("dropped: block 1: its hash does not begin with 2 zeros");
        unchanged(&mut node, &chain);
    }
}

#[test]
fn a_chain_that_breaks_a_rule_is_dropped_and_the_third_ends_the_connection() {
    let good = Person::new(2).chain(&["a", "b", "c"]);
    let mut unlinked = good.clone();
    unlinked.remove(2);
    let mut without_work = good;
    without_work[2].nonce += 1;
    for (role, bad, why) in [
        (Role::Ours, &unlinked, "its index is 3"),
        (Role::Ours, &without_work, "hash is not the hash"),
        // What does not link there is another matter.
        (Role::Desktop, &without_work, "hash is not the hash"),
    ] {
        let mut node = Launch::new().logging().start();
        let (mut peer, chain) = Peer::join_as(role, node.port);
        for count in 1..=3 {
            assert!(peer.try_send(chain_message(bad).as_bytes()), "{count}");
            node.expect(&format!(
                "[consensus ❌] peer chain failed validation: block 2: {why}"
            ));
        }
        peer.expect_close();
        node.expect_log("connection closed: it broke the rules three times");
        unchanged(&mut node, &chain);
    }
}

#[test]
fn a_desktop_nodes_chain_that_does_not_link_is_no_fault_and_what_is_in_it_counts() {
    let mut node = Launch::new().start();
    node.request("ours");
    let (mut peer, chain) = Peer::join_as(Role::Desktop, node.port);
    let mut spoiled = chain.clone();
    for item in ["a", "b", "c"] {
        let request = Person::new(2).requests(item);
        spoiled.push(after(&spoiled[spoiled.len() - 1], vec![request]));
    }
    spoiled.remove(3);
    peer.tells = Some(spoiled.clone());
    for _ in 0..4 {
        peer.say(&chain_message(&spoiled));
        peer.settle();
    }
    node.expect("[network 📦] made block #");
    node.expect(PROMPT);
    assert_eq!(node.reserved(), ["a", "c", "ours"]);
    assert_eq!(
        Peer::join(node.port).1[..2],
        chain,
        "nothing of ours was disconnected"
    );
    peer.settle();
}

#[test]
fn a_peer_that_we_dialed_and_that_breaks_rules_is_left_alone_for_ten_minutes() {
    let (listener, port) = listen();
    let mut node = Launch::new().connect(port).start();
    let mut peer = Peer::accept(&listener);
    let mut bad = Person::new(2).chain(&["a"]);
    bad[1].nonce += 1;
    for _ in 0..3 {
        assert!(peer.try_send(block_message(&bad[1]).as_bytes()));
    }
    peer.expect_close();
    node.expect("it broke the rules three times; not dialed for 10 minutes\n");
    let list = node.ask(&["7"], "last error: it broke the rules three times");
    assert!(list.contains("(not connected), dialing in "), "{list}");
}

#[test]
fn a_block_of_a_far_year_takes_no_request_of_this_node_there() {
    const YEAR_2239: f64 = 8.5e9;
    let mut node = Launch::new().start();
    let (mut peer, mut chain) = Peer::join(node.port);
    let taken = Person::new(9).chain(&["saw"]).remove(1).transactions;
    let mut block = after(&chain[0], taken);
    block.timestamp = Timestamp::Float(YEAR_2239);
    let block = mine(block);
    peer.say(&block_message(&block));
    node.expect("the last block is of 2239-05-10 15:06 UTC, and this clock shows ");
    node.request("drill");
    node.release("drill");
    chain = peer.chain();
    assert_eq!(chain.len(), 4);
    for made in &chain[2..] {
        assert!(made.timestamp.seconds() >= YEAR_2239, "{made:?}");
        assert!(
            made.transactions[0].timestamp.seconds() < YEAR_2239 / 2.0,
            "{made:?}"
        );
    }
}
