//! Peers of every kind, good and bad.

use std::time::Instant;

use blx::ledger::{Block, Timestamp, canonical};
use blx::wire::MessageKind;

use super::harness::{Home, LIMIT, Node, PROMPT, Status};
use super::peer::{
    PING, Peer, Person, after, block_message, block_of, block_text, chain_message, listen, message,
    mine, plain, says,
};

/// The node shows that its chain is as it was.
fn unchanged(node: &mut Node, chain: &[Block]) {
    tells_of(&node.status(), chain);
}

fn tells_of(status: &Status, chain: &[Block]) {
    assert_eq!(status.blocks, chain.len() as u64);
    assert_eq!(status.tip, chain[chain.len() - 1].hash.to_string());
    assert_eq!(status.lines[0], "blockchain is A-OK! 😁");
}

#[test]
fn lines_that_are_no_json_are_skipped() {
    let home = Home::new();
    let mut node = home.node().logging().start();
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
    let home = Home::new();
    let mut node = home.node().logging().start();
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
            "type is hello, which is none of the eight",
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
    let home = Home::new();
    let mut node = home.node().logging().start();
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
    let home = Home::new();
    let mut node = home.node().logging().start();
    let (mut peer, chain) = Peer::join(node.port);
    let (mut other, _) = Peer::join(node.port);
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
    // Another node on that host.
    assert_eq!(other.settle_as(2), "", "nothing of it was passed on");
    other.say(&says(&block_message(&good), 2));
    node.expect("[network 📦] received and added block #1\n");
}

#[test]
fn a_block_without_work_is_refused() {
    let home = Home::new();
    let mut node = home.node().logging().start();
    let (mut peer, chain) = Peer::join(node.port);
    let mut block = after(&chain[0], vec![Person::new(1).requests("saw")]);
    // A true hash, but not one that begins with zeros.
    while block.hash.to_string().starts_with("00") {
        block.nonce += 1;
        block.hash = canonical::block_hash(&block);
    }
    peer.say(&block_message(&block));
    node.expect_log("dropped: block 1: its hash does not begin with 2 zeros");
    unchanged(&mut node, &chain);
}

#[test]
fn a_chain_that_breaks_a_rule_is_dropped_and_the_third_ends_the_connection() {
    let home = Home::new();
    let mut node = home.node().logging().start();
    let (mut peer, chain) = Peer::join(node.port);
    let mut bad = Person::new(2).chain(&["a", "b", "c"]);
    bad.remove(2);
    for count in 1..=3 {
        assert!(peer.try_send(chain_message(&bad).as_bytes()), "{count}");
        node.expect("[consensus ❌] peer chain failed validation: block 2: its index is 3");
    }
    peer.expect_close();
    node.expect_log("connection closed: it broke the rules three times");
    unchanged(&mut node, &chain);
}

#[test]
fn a_peer_that_we_dialed_and_that_breaks_rules_is_left_alone_for_ten_minutes() {
    let home = Home::new();
    let listener = listen();
    let port = listener.local_addr().expect("an address").port();
    let mut node = home.node().connect(port).start();
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
fn a_dialed_peer_is_greeted_and_asked_for_its_chain_once() {
    let home = Home::new();
    let listener = listen();
    let port = listener.local_addr().expect("an address").port();
    let node = home.node().connect(port).start();
    let mut peer = Peer::accept(&listener);
    let sender = format!(r#""sender": "127.0.0.1:{}"}}"#, node.port);
    let announce = peer.line().unwrap_or_default();
    let start = r#"{"type": "peer_announce", "payload": {"id": ""#;
    assert!(announce.starts_with(start), "{announce}");
    assert!(announce.contains(r#""length": 1, "tip": ""#), "{announce}");
    assert!(announce.ends_with(&format!("{sender}\n")), "{announce}");
    // Who answers like a desktop node is asked like one.
    peer.say(&message(MessageKind::PeerList, r#"{"peers": []}"#));
    let request = peer.line().unwrap_or_default();
    let start = r#"{"type": "request_chain", "payload": {"length": 1, "locator": [""#;
    assert!(request.starts_with(start), "{request}");
    peer.say(PING);
    let pong = peer.line().unwrap_or_default();
    assert!(
        pong.starts_with(r#"{"type": "pong", "payload": {"length": 1, "#),
        "{pong}"
    );
}

#[test]
fn who_dials_is_asked_for_its_chain_once_when_it_has_spoken() {
    let home = Home::new();
    let node = home.node().start();
    let mut first = Peer::dial(node.port);
    let with_port = |line: &str, port: &str| line.replace(":1\"", &format!(":{port}\""));
    first.say(&with_port(&plain("peer_announce"), "4321"));
    let sender = format!(r#""sender": "127.0.0.1:{}"}}"#, node.port);
    let mut said = [first.line(), first.line()].map(Option::unwrap_or_default);
    said.sort();
    let list = format!("{{\"type\": \"peer_list\", \"payload\": {{\"peers\": []}}, {sender}\n");
    assert_eq!(said[0], list);
    assert!(
        said[1].starts_with(r#"{"type": "request_chain", "#),
        "{}",
        said[1]
    );
    first.say(&with_port(PING, "4321"));
    let pong = first.line().unwrap_or_default();
    assert!(pong.starts_with(r#"{"type": "pong""#), "{pong}");

    // The next one is told of it, by the port on which it listens.
    let mut second = Peer::dial(node.port);
    second.say(&with_port(&plain("peer_announce"), "4322"));
    let list = second.expect("peer_list");
    let expected = r#"{"type": "peer_list", "payload": {"peers": ["127.0.0.1:4321"]}, "#;
    assert_eq!(list, format!("{expected}{sender}\n"));
}

/// What a desktop node would write of this block, word by word.
fn desktop_text(block: &Block) -> String {
    let one = |t: &blx::ledger::Transaction| {
        let der: String = t
            .signature
            .to_der()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        format!(
            "{{\"requester\": \"{}\", \"uid\": \"{}\", \"type\": {}, \"timestamp\": {:?}, \
             \"signature\": \"{der}\"}}",
            t.requester,
            t.uid
                .to_string()
                .replace('é', "\\u00e9")
                .replace('📦', "\\ud83d\\udce6"),
            t.kind.code(),
            t.timestamp.seconds(),
        )
    };
    let transactions: Vec<String> = block.transactions.iter().map(one).collect();
    format!(
        "{{\"index\": {}, \"prev_hash\": \"{}\", \"transactions\": [{}], \"nonce\": {}, \
         \"timestamp\": {:?}, \"hash\": \"{}\"}}",
        block.index,
        block.prev_hash,
        transactions.join(", "),
        block.nonce,
        block.timestamp.seconds(),
        block.hash
    )
}

#[test]
fn a_users_action_is_told_as_a_transaction_and_then_as_a_block_and_the_chain_has_it() {
    let home = Home::new();
    let mut node = home.node().start();
    let (mut peer, _) = Peer::join(node.port);
    node.ask(&["5", "caméra,📦"], "✅ requested 📦\n");
    let transactions = [peer.line(), peer.line()].map(Option::unwrap_or_default);
    let line = peer.line().unwrap_or_default();
    let block = block_of(&line);
    let sender = format!(r#""sender": "127.0.0.1:{}"}}"#, node.port);
    let text = desktop_text(&block);
    assert_eq!(
        line,
        format!("{{\"type\": \"new_block\", \"payload\": {text}, {sender}\n")
    );
    for (said, position) in transactions.iter().zip(0..) {
        let mut alone = block.clone();
        alone.transactions = vec![block.transactions[position].clone()];
        let text = desktop_text(&alone);
        let start = text.find("[{").expect("a transaction") + 1;
        let end = text.find("}]").expect("a transaction") + 1;
        let text = &text[start..end];
        let expected = format!("{{\"type\": \"new_transaction\", \"payload\": {text}, {sender}\n");
        assert_eq!(*said, expected);
    }

    let chain = peer.chain();
    assert_eq!(chain[1..], [block]);
    peer.say(&plain("request_chain"));
    let blocks: Vec<String> = chain.iter().map(desktop_text).collect();
    let expected = format!(
        "{{\"type\": \"chain_response\", \"payload\": {{\"chain\": [{}], \"length\": 2}}, {sender}\n",
        blocks.join(", ")
    );
    assert_eq!(peer.line(), Some(expected));
}

#[test]
fn a_block_that_extends_is_added_shown_and_relayed_to_the_others_alone() {
    let home = Home::new();
    let mut node = home.node().start();
    let (mut maker, chain) = Peer::join(node.port);
    let (mut other, _) = Peer::join(node.port);
    let block = after(&chain[0], vec![Person::new(1).requests("kamera-é")]);
    maker.say(&block_message(&block));
    node.expect("\n[network 📦] received and added block #1\n");
    let relayed = other.line().unwrap_or_default();
    let sender = format!("127.0.0.1:{}", node.port);
    assert_eq!(
        relayed,
        block_message(&block).replace("0.0.0.0:1", &sender) + "\n"
    );
    assert_eq!(maker.settle(), "", "its maker knows it");
    assert_eq!(node.reserved(), ["kamera-é"]);

    // What is known already, or behind, is no news.
    let rival = after(&chain[0], vec![Person::new(2).requests("axe")]);
    for old in [&block, &chain[0], &block] {
        maker.say(&block_message(old));
    }
    assert_eq!(maker.settle(), "");
    assert_eq!(other.settle(), "");
    // At the tip's height the lower hash wins, without asking for a chain. What is in the block
    // that loses is made again, whichever that is.
    maker.say(&block_message(&rival));
    node.expect("[network 📦] made block #2 of what others asked for (1)\n");
    node.expect(PROMPT);
    assert!(!maker.settle().contains("request_chain"));
    let blocks = other.chain();
    let winner = if rival.hash < block.hash {
        rival
    } else {
        block
    };
    assert_eq!(blocks[..2], [chain[0].clone(), winner]);
    assert_eq!(node.reserved(), ["axe", "kamera-é"]);
}

#[test]
fn a_transaction_is_shown_passed_on_once_and_put_into_a_block() {
    let home = Home::new();
    let mut node = home.node().start();
    let (mut peer, chain) = Peer::join(node.port);
    let (mut other, _) = Peer::join(node.port);
    let block = after(&chain[0], vec![Person::new(1).requests("saw")]);
    let text = block_text(&block);
    let start = text.find("[{").expect("a transaction") + 1;
    let end = text.find("}]").expect("a transaction") + 1;
    peer.say(&message(MessageKind::NewTransaction, &text[start..end]));
    node.expect("[network 📨] request of saw by ");
    // It waits, unless the node's answer took so long that the block came first.
    let status = node.status();
    if !node.out.text().contains("made block #1") {
        tells_of(&status, &chain);
    }
    assert!(other.expect("new_transaction").contains("\"saw\""));
    // Whoever says it again says nothing new.
    for _ in 0..2 {
        other.say(&message(MessageKind::NewTransaction, &text[start..end]));
    }
    let made = block_of(&other.expect("new_block"));
    assert_eq!(made.transactions, block.transactions);
    assert_eq!(node.reserved(), ["saw"]);
    // A replay, when the item is free again.
    node.ask(&["2", "saw"], "✅ released saw\n");
    peer.say(&message(MessageKind::NewTransaction, &text[start..end]));
    node.expect("[network 📨] request of saw by ");
    other.settle();
    assert!(!other.settle().contains("new_transaction"));
    assert_eq!(node.status().blocks, 3);
}

#[test]
fn a_device_that_sends_signed_lines_and_hangs_up_at_once_is_heard() {
    let home = Home::new();
    let mut node = home.node().start();
    let items: Vec<String> = (10..30).map(|number| format!("item-{number}")).collect();
    let mut lines = String::new();
    for item in &items {
        let block = after(
            &Block::genesis(Timestamp::Integer(0)),
            vec![Person::new(1).requests(item)],
        );
        let text = block_text(&block);
        let start = text.find("[{").expect("a transaction") + 1;
        let end = text.find("}]").expect("a transaction") + 1;
        lines += &message(MessageKind::NewTransaction, &text[start..end]);
        // Nobody is there for the answer, which the node finds out while lines still wait.
        lines += &format!("\n{PING}\n");
    }
    let mut device = Peer::dial(node.port);
    assert!(device.try_bytes(lines.as_bytes()));
    drop(device);
    node.expect(&format!("[network 📨] request of {} by ", items[19]));
    // One block of all, or more where they are read more slowly than they become due.
    node.expect("[network 📦] made block #1 of what others asked for (");
    node.expect(PROMPT);
    let end = Instant::now() + LIMIT;
    while node.reserved() != items {
        assert!(Instant::now() < end, "some are not made");
    }
    let text = node.out.text();
    let made = text.split("of what others asked for (").skip(1);
    let count = |rest: &str| rest.split(')').next()?.parse::<usize>().ok();
    assert_eq!(
        made.filter_map(count).sum::<usize>(),
        20,
        "each once: {text}"
    );
}

#[test]
fn a_block_that_does_not_link_makes_the_node_ask_for_the_chain_and_adopt_it() {
    let home = Home::new();
    let mut node = home.node().start();
    let (mut peer, chain) = Peer::join(node.port);
    let (mut other, _) = Peer::join(node.port);
    let person = Person::new(3);
    let theirs = person.chain(&["a", "b", "c"]);
    peer.say(&block_message(&theirs[1]));
    peer.expect("request_chain");
    peer.say(&chain_message(&theirs));
    node.expect("[consensus 📡] received chain (length 4) vs ours (length 1)\n");
    node.expect("[consensus ✅] adopted longer chain (4 blocks)\n");
    node.expect(PROMPT);
    for block in &theirs[1..] {
        let told = block_of(&other.expect("new_block"));
        assert_eq!(told, *block, "who had what we had is told what is new");
    }
    assert_eq!(other.chain(), theirs);
    unchanged(&mut node, &theirs);

    // A shorter one, asked for by the user, is not taken.
    node.ask(&["8"], "[consensus 📡] asked for their chains: 127.0.0.1:");
    peer.expect("request_chain");
    peer.say(&chain_message(&chain));
    node.expect("[consensus 📡] received chain (length 1) vs ours (length 4)\n");
    node.expect("[consensus ℹ️] kept current chain (already longest)\n");
    unchanged(&mut node, &theirs);
}

#[test]
fn what_our_user_asked_for_goes_back_on_top_of_a_longer_chain() {
    let home = Home::new();
    let mut node = home.node().start();
    node.request("tent");
    node.request("a");
    let (mut peer, _) = Peer::join(node.port);
    let theirs = Person::new(4).chain(&["a", "b", "c"]);
    peer.say(&chain_message(&theirs));
    node.expect("[consensus ✅] adopted longer chain (4 blocks)\n");
    let winner = theirs[1].transactions[0].requester.to_string();
    node.expect(&format!(
        "[consensus] your request of a lost to {} at block 1\n",
        &winner[..12]
    ));
    node.expect("[consensus ✅] your request of tent is in the chain again, block #4\n");
    node.expect(PROMPT);
    let block = block_of(&peer.expect("new_block"));
    assert_eq!((block.index, block.prev_hash), (4, theirs[3].hash));
    assert_eq!(node.reserved(), ["a", "b", "c", "tent"]);
}

#[test]
fn a_block_is_taken_whatever_way_its_bytes_are_cut_and_however_many_come_at_once() {
    let home = Home::new();
    let mut node = home.node().start();
    let (mut peer, chain) = Peer::join(node.port);
    let person = Person::new(5);
    let mut all = chain;
    let mut text = String::new();
    for number in 0..30 {
        let block = after(
            &all[all.len() - 1],
            vec![person.requests(&format!("i{number}"))],
        );
        text += &block_message(&block);
        text += "\r\n\n";
        all.push(block);
    }
    assert!(peer.try_send(text.as_bytes()));
    node.expect("[network 📦] received and added block #30\n");
    // A block of another shape and one with an unknown key, which is dropped before hashing.
    let odd = mine(Block {
        timestamp: Timestamp::Integer(7),
        ..after(&all[30], Vec::new())
    });
    let line = block_message(&odd).replace("{\"index\"", "{\"x\": [1], \"index\"");
    for byte in line.bytes() {
        assert!(peer.try_bytes(&[byte]));
    }
    peer.say("");
    node.expect("[network 📦] received and added block #31\n");
    assert_eq!(peer.chain()[31], odd);
}
