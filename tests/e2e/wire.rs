//! What the node and its peers tell each other.

use blx::ledger::{Block, Timestamp, Transaction};
use blx::wire::MessageKind;

use super::harness::{Launch, Node, PROMPT, Status, until};
use super::peer::{
    PING, Peer, Person, Role, after, block_message, block_of, chain_message, listen, message, mine,
    plain, transaction_message,
};

/// The node shows that its chain is as it was.
pub fn unchanged(node: &mut Node, chain: &[Block]) {
    tells_of(&node.status(), chain);
}

fn tells_of(status: &Status, chain: &[Block]) {
    assert_eq!(status.blocks, chain.len());
    assert_eq!(status.tip, chain[chain.len() - 1].hash.to_string());
    assert_eq!(status.lines[0], "blockchain is A-OK! 😁");
}

#[test]
fn a_dialed_peer_is_greeted_and_asked_for_its_chain_once() {
    let (listener, port) = listen();
    let node = Launch::new().connect(port).start();
    let mut peer = Peer::accept(&listener);
    let sender = format!(r#""sender": "127.0.0.1:{}"}}"#, node.port);
    let announce = peer.line().unwrap_or_default();
    let start = r#"{"type": "peer_announce", "payload": {"id": ""#;
    assert!(announce.starts_with(start), "{announce}");
    assert!(announce.contains(r#""length": 1, "tip": ""#), "{announce}");
    assert!(announce.ends_with(&format!("{sender}\n")), "{announce}");
    // Who answers like a desktop node is asked like one: also whom it knows from now on.
    peer.say(&message(MessageKind::PeerList, r#"{"peers": []}"#));
    let mut asked = [peer.line(), peer.line()].map(Option::unwrap_or_default);
    asked.sort();
    let [announce, request] = asked;
    let start = r#"{"type": "peer_announce", "payload": {"id": ""#;
    assert!(announce.starts_with(start), "{announce}");
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
    let node = Launch::new().start();
    let mut first = Peer::dial(node.port);
    let with_port = |line: &str, port: &str| line.replace(":1\"", &format!(":{port}\""));
    first.say(&with_port(&plain("peer_announce"), "4321"));
    let sender = format!(r#""sender": "127.0.0.1:{}"}}"#, node.port);
    let announce = first.line().unwrap_or_default();
    let start = r#"{"type": "peer_announce", "payload": {"id": ""#;
    assert!(announce.starts_with(start), "{announce}");
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

/// What a desktop node would write of this, word by word.
fn desktop_transaction(signed: &Transaction) -> String {
    let der = signed.signature.to_der();
    let der: String = der.iter().map(|byte| format!("{byte:02x}")).collect();
    let uid = signed.uid.to_string();
    format!(
        "{{\"requester\": \"{}\", \"uid\": \"{}\", \"type\": {}, \"timestamp\": {:?}, \
         \"signature\": \"{der}\"}}",
        signed.requester,
        uid.replace('é', "\\u00e9").replace('📦', "\\ud83d\\udce6"),
        signed.kind.code(),
        signed.timestamp.seconds(),
    )
}

/// And of this.
fn desktop_text(block: &Block) -> String {
    let transactions = block.transactions.iter().map(desktop_transaction);
    let transactions: Vec<String> = transactions.collect();
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
    let mut node = Launch::new().start();
    let (mut peer, _) = Peer::join_as(Role::Desktop, node.port);
    let (mut other, _) = Peer::join(node.port);
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
    for (said, signed) in transactions.iter().zip(&block.transactions) {
        let text = desktop_transaction(signed);
        let expected = format!("{{\"type\": \"new_transaction\", \"payload\": {text}, {sender}\n");
        assert_eq!(*said, expected);
    }
    // One of ours takes them from the block.
    assert_eq!(other.line(), Some(line));

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
    let mut node = Launch::new().start();
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
    for old in [&block, &chain[0], &block] {
        maker.say(&block_message(old));
    }
    assert_eq!(maker.settle(), "");
    assert_eq!(other.settle(), "");
}

/// Two blocks behind `tip` in which somebody takes an item, that with the lower hash first.
fn rivals(tip: &Block) -> [Block; 2] {
    let mut rivals = [(1, "saw"), (2, "axe")]
        .map(|(seed, item)| after(tip, vec![Person::new(seed).requests(item)]));
    rivals.sort_by_key(|block| block.hash);
    rivals
}

#[test]
fn of_two_blocks_at_the_tips_height_the_lower_hash_wins_without_a_chain_asked_for() {
    for lower_first in [true, false] {
        let mut node = Launch::new().start();
        let (mut maker, chain) = Peer::join(node.port);
        let (mut other, _) = Peer::join(node.port);
        let [lower, higher] = rivals(&chain[0]);
        let (first, second) = match lower_first {
            true => (&lower, &higher),
            false => (&higher, &lower),
        };
        for block in [first, second] {
            maker.say(&block_message(block));
        }
        if lower_first {
            // Whoever made the other one makes it again when they hear of this.
            assert!(!maker.settle().contains("request_chain"));
            let chain = [chain[0].clone(), lower];
            unchanged(&mut node, &chain);
            assert_eq!(other.chain(), chain);
            continue;
        }
        // What is in the block that loses is made again.
        node.expect("[network 📦] made block #2 of what others asked for (1)\n");
        node.expect(PROMPT);
        assert!(!maker.settle().contains("request_chain"));
        assert_eq!(other.chain()[..2], [chain[0].clone(), lower]);
        assert_eq!(node.reserved(), ["axe", "saw"]);
    }
}

#[test]
fn a_desktop_nodes_block_that_comes_too_late_is_made_again_whatever_its_hash() {
    for lower_first in [true, false] {
        let mut node = Launch::new().start();
        let (mut maker, chain) = Peer::join(node.port);
        let (mut desktop, _) = Peer::join_as(Role::Desktop, node.port);
        let [lower, higher] = rivals(&chain[0]);
        let (first, second) = match lower_first {
            true => (&lower, &higher),
            false => (&higher, &lower),
        };
        maker.say(&block_message(first));
        node.expect("[network 📦] received and added block #1\n");
        desktop.say(&block_message(second));
        node.expect("[network 📦] made block #2 of what others asked for (1)\n");
        node.expect(PROMPT);
        assert_eq!(maker.chain()[..2], [chain[0].clone(), first.clone()]);
        assert_eq!(node.reserved(), ["axe", "saw"]);
    }
}

#[test]
fn a_transaction_is_shown_passed_on_once_and_put_into_a_block() {
    let mut node = Launch::new().start();
    let (mut peer, chain) = Peer::join(node.port);
    let (mut other, _) = Peer::join(node.port);
    let block = after(&chain[0], vec![Person::new(1).requests("saw")]);
    let request = transaction_message(&block.transactions[0]);
    peer.say(&request);
    node.expect("[network 📨] request of saw by ");
    // It waits, unless the node's answer took so long that the block came first.
    let status = node.status();
    if !node.said().contains("made block #1") {
        tells_of(&status, &chain);
    }
    assert!(other.expect("new_transaction").contains("\"saw\""));
    // Whoever says it again says nothing new.
    for _ in 0..2 {
        other.say(&request);
    }
    let made = block_of(&other.expect("new_block"));
    assert_eq!(made.transactions, block.transactions);
    assert_eq!(node.reserved(), ["saw"]);
    // A replay, when the item is free again.
    node.ask(&["2", "saw"], "✅ released saw\n");
    peer.say(&request);
    node.expect("[network 📨] request of saw by ");
    other.settle();
    assert!(!other.settle().contains("new_transaction"));
    assert_eq!(node.status().blocks, 3);
}

#[test]
fn a_device_that_sends_signed_lines_and_hangs_up_at_once_is_heard() {
    let mut node = Launch::new().start();
    let items: Vec<String> = (10..30).map(|number| format!("item-{number}")).collect();
    let mut lines = String::new();
    for item in &items {
        lines += &transaction_message(&Person::new(1).requests(item));
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
    until(|| {
        let made = node.reserved() == items;
        made.then_some(()).ok_or("some are not made")
    });
    let text = node.said();
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
    let mut node = Launch::new().start();
    let (mut peer, chain) = Peer::join(node.port);
    let (mut desktop, _) = Peer::join_as(Role::Desktop, node.port);
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
        let told = block_of(&desktop.expect("new_block"));
        assert_eq!(told, *block, "who had what we had is told what is new");
    }
    // One of ours asks for what it lacks before that.
    assert_eq!(block_of(&other.expect("new_block")), theirs[3]);
    for other in [&mut desktop, &mut other] {
        assert_eq!(other.chain(), theirs);
    }
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
    let mut node = Launch::new().start();
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
    let mut node = Launch::new().start();
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
    peer.tells = Some(all.clone());
    let mut has = |peer: &mut Peer, blocks: usize| {
        until(|| {
            peer.settle();
            let status = node.status();
            match status.blocks == blocks {
                true => Ok(()),
                false => Err(format!("{status:?}")),
            }
        });
    };
    has(&mut peer, 31);
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
    all.push(odd.clone());
    peer.tells = Some(all);
    has(&mut peer, 32);
    assert_eq!(peer.chain()[31], odd);
}
