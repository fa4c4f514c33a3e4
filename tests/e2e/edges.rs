//! Numbers at the edges, in whatever a peer can say. The program is built with checks of its
//! arithmetic here: one number too many and it is gone.

use blx::ledger::Kind;

use super::harness::{Launch, Node};
use super::numbers::{
    edge_block, edges, far_blocks, greeting, lines, stranger, times, transaction_line,
};
use super::peer::{PING, Peer, ROLES, Role, block_message};

/// A node that takes every nonce, and a connection to it that says nothing wrong.
fn started(role: Role) -> (Node, Peer) {
    let mut node = Launch::new().arg("--difficulty=0").start();
    node.request("saw");
    let (watch, _) = Peer::join_as(role, node.port);
    (node, watch)
}

/// Whether a peer's ping is answered; if so, everything before it was understood.
fn answers(peer: &mut Peer) -> bool {
    let mut said = peer.try_send(PING.as_bytes()).then(|| peer.line());
    while let Some(Some(line)) = said {
        if line.starts_with(r#"{"type": "pong""#) {
            return true;
        }
        said = Some(peer.line());
    }
    false
}

/// Says each line on a connection of its own: as a stranger, as a desktop node, and as one of ours.
fn say_each(node: &Node, watch: &mut Peer, lines: &[String]) {
    let ours = greeting("1", &watch.chain()[0]);
    for line in lines {
        for first in ["", PING, &ours] {
            let mut peer = Peer::dial(node.port);
            peer.try_send(format!("{first}\n{line}").as_bytes());
            // It may be hung up on.
            answers(&mut peer);
            let shown: String = line.chars().take(300).collect();
            assert!(answers(watch), "the node is gone after {first} and {shown}");
        }
    }
}

/// Waits until there is one block more, made here or taken of one of ours, and no other.
fn grown(node: &mut Node) {
    node.wait_for_status("grown", |status| status.blocks != 2);
    assert_eq!(node.status().blocks, 3);
}

#[test]
fn no_number_in_any_field_of_any_message_ends_the_node() {
    let (mut node, mut watch) = started(Role::Ours);
    let tip = watch.chain().pop().expect("a block");
    say_each(&node, &mut watch, &lines(&tip));
    // What a desktop node says at no height of ours is its user's act all the same.
    grown(&mut node);
    node.request("axe");
}

#[test]
fn no_index_of_a_block_that_is_valid_alone_ends_the_node() {
    let (mut node, mut watch) = started(Role::Ours);
    let tip = watch.chain().pop().expect("a block");
    say_each(&node, &mut watch, &far_blocks(&tip, 0));
    // What a desktop node says at no height of ours is its user's act all the same.
    grown(&mut node);
    node.request("axe");
}

#[test]
fn no_number_in_what_is_taken_ends_the_node() {
    for role in ROLES {
        takes_every_edge(role);
    }
}

fn takes_every_edge(role: Role) {
    let (mut node, mut watch) = started(role);
    for (number, edge) in edges().into_iter().enumerate() {
        let chain = watch.chain();
        let tip = &chain[chain.len() - 1];
        let block = edge_block(tip, &format!("edge-{number}"), edge);
        match role {
            Role::Ours => watch.say_until_taken(&node, &block),
            Role::Desktop => {
                watch.say(&block_message(&block));
                node.expect(&format!("received and added block #{}\n", block.index));
            }
        }
        // What is signed and made behind it, and what is shown of it.
        node.request(&format!("ours-{number}"));
        assert_eq!(node.status().blocks, chain.len() + 2, "{edge:?}");
        if role == Role::Desktop {
            // As a part of its chain, too.
            let mut all = chain.clone();
            all.push(block);
            watch.tells = Some(all);
        }
    }
    assert_eq!(node.reserved().len(), 1 + 2 * edges().len());
    for (number, time) in times().into_iter().enumerate() {
        for kind in [Kind::Request, Kind::Release] {
            let item = format!("waits-{number}").as_str().into();
            watch.say(&transaction_line(&stranger().sign(kind, item, time)));
        }
        watch.settle();
    }
    node.request("axe");
}
