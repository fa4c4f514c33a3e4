//! Peers that keep a node busy: with a chain that never ends, with words that nothing comes of, and with
//! valid blocks as fast as they can.

use std::thread::sleep;
use std::time::{Duration, Instant};

use blx::ledger::Block;

use super::harness::{Launch, Node};
use super::peer::{
    Peer, Person, ROLES, Role, after, block_message, block_text, chain_message, transaction_message,
};

/// What a chain begins with that never ends.
const HEAD: &str = r#"{"type": "chain_response", "payload": {"chain": ["#;

/// Says something each now and then until something is so, and how long that took.
fn until_so(each: Duration, mut say: impl FnMut(), mut so: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < Duration::from_secs(300), "it never is");
        say();
        sleep(each);
    }
    began.elapsed()
}

/// How often a node has said this.
fn count(node: &Node, words: &str) -> usize {
    node.said().matches(words).count()
}

#[test]
fn a_chain_without_end_takes_turns_with_the_others() {
    let mut honest = Launch::new().start();
    let (mut peer, chain) = Peer::join(honest.port);
    let mut longer = chain;
    for _ in 0..600 {
        longer.push(after(&longer[longer.len() - 1], Vec::new()));
    }
    peer.say(&chain_message(&longer));
    honest.wait_for_status("as long as it was told", |status| status.blocks == 601);
    let mut node = Launch::new().start();
    let (mut liar, ours) = Peer::join(node.port);
    let mut last = after(&ours[0], Vec::new());
    let begun = format!("{HEAD}{}, {}", block_text(&ours[0]), block_text(&last));
    assert!(liar.try_bytes(begun.as_bytes()), "the node closed");
    node.enter(&["6", "127.0.0.1", &honest.port.to_string()]);
    let tell = || {
        last = after(&last, Vec::new());
        liar.try_bytes(format!(", {}", block_text(&last)).as_bytes());
    };
    let took = until_so(Duration::from_millis(300), tell, || {
        node.status().blocks >= 601
    });
    assert_eq!(node.status().tip, honest.status().tip);
    eprintln!(
        "beside a chain of 3 blocks a second without end, a longer one was taken in {took:.1?}"
    );
}

#[test]
fn words_alone_keep_nothing_waiting() {
    let mut node = Launch::new().start();
    let mut liars: Vec<Peer> = (0..8).map(|_| Peer::join(node.port).0).collect();
    let mut device = Peer::dial(node.port);
    device.say(&transaction_message(&Person::new(9).requests("theirs")));
    let (mut length, count) = (1_000, liars.len());
    let boast = || {
        // Each is asked, and says that it has nothing as soon as it was waited for it for long enough.
        let liar = &mut liars[length % count];
        length += 1;
        let tip = "0".repeat(64);
        liar.say(&format!(
            r#"{{"type": "chain_response", "payload": {{"start": 0, "chain": [], "length": {length}}}, "sender": "0.0.0.0:1"}}"#
        ));
        liar.say(&format!(
            r#"{{"type": "ping", "payload": {{"length": {length}, "tip": "{tip}"}}, "sender": "0.0.0.0:1"}}"#
        ));
    };
    let each = Duration::from_millis(1_900 / 8);
    let took = until_so(each, boast, || node.status().reserved == 1);
    assert_eq!(node.status().blocks, 2);
    eprintln!(
        "beside 8 that say all the time that they are ahead, a device's request stood in a block in {took:.1?}"
    );
}

#[test]
fn a_chain_that_is_broken_off_after_it_was_checked_broke_the_rules() {
    for role in ROLES {
        let mut node = Launch::new().start();
        let (mut peer, mut chain) = Peer::join_as(role, node.port);
        let person = Person::new(9);
        for item in 0..40 {
            let request = person.requests(&format!("item-{item}"));
            chain.push(after(&chain[item], vec![request]));
        }
        let texts: Vec<String> = chain.iter().map(block_text).collect();
        for _ in 0..3 {
            assert!(peer.try_send(format!("{HEAD}{}", texts.join(", ")).as_bytes()));
        }
        peer.expect_close();
        assert_eq!(node.status().blocks, 1);
        // Who only hangs up has done nothing.
        let mut node = Launch::new().start();
        for _ in 0..4 {
            let (mut peer, _) = Peer::join_as(role, node.port);
            assert!(peer.try_bytes(format!("{HEAD}{}", texts.join(", ")).as_bytes()));
            peer.hang_up();
        }
        let (mut peer, _) = Peer::join_as(role, node.port);
        peer.say(&chain_message(&chain));
        node.wait_for_status("told", |status| status.reserved == 40);
    }
}

/// A chain of one block, and what one says of the node's kind that has others in the place of the next,
/// each with a lower hash than the one before.
fn rivals(chain: &[Block], count: usize) -> Vec<Block> {
    let person = Person::new(9);
    let block = |item: usize| after(&chain[0], vec![person.requests(&format!("item-{item}"))]);
    let mut rivals: Vec<Block> = (0..count).map(block).collect();
    rivals.sort_by_key(|block| core::cmp::Reverse(block.hash));
    rivals
}

#[test]
fn of_blocks_that_replace_our_last_one_one_a_second_does() {
    let node = Launch::new().start();
    let (mut peer, chain) = Peer::join(node.port);
    let began = Instant::now();
    for rival in rivals(&chain, 60) {
        peer.say(&block_message(&rival));
        sleep(Duration::from_millis(20));
    }
    peer.settle();
    let switches = count(&node, "adopted equally long chain");
    let took = began.elapsed();
    eprintln!("60 blocks of one height in {took:.1?}: {switches} switches");
    assert!(
        switches as u64 <= 1 + took.as_secs(),
        "{switches} in {took:?}"
    );
}

#[test]
fn of_many_blocks_a_second_those_that_came_together_are_one_change() {
    for role in ROLES {
        let mut node = Launch::new().start();
        let (mut peer, mut chain) = Peer::join_as(role, node.port);
        let person = Person::new(9);
        for item in 0..600 {
            let request = person.requests(&format!("item-{item}"));
            chain.push(after(&chain[item], vec![request]));
        }
        peer.tells = Some(chain.clone());
        let began = Instant::now();
        for block in &chain[1..] {
            peer.say(&block_message(block));
        }
        let mut changes = 0;
        while node.status().reserved < 600 {
            assert!(
                began.elapsed() < Duration::from_secs(300),
                "{}",
                node.said()
            );
            peer.settle();
            if began.elapsed() < Duration::from_secs(2) {
                changes = changed(&node, role);
            }
        }
        let took = began.elapsed();
        eprintln!(
            "600 blocks at once, {role:?}: {changes} changes of the chain in 2 s, all of it in {took:.1?}"
        );
        assert!(changes <= 10 + 20 + 1, "{changes}");
    }
}

/// How often the chain has changed: by a block that came alone, or by a chain.
fn changed(node: &Node, role: Role) -> usize {
    let alone = match role {
        Role::Ours => count(node, "received and added block"),
        Role::Desktop => count(node, "of what others asked for") + count(node, "made block"),
    };
    alone + count(node, "adopted longer chain")
}
