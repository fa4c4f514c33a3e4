//! What a node holds in memory while a peer sends it all that it can.
//!
//! What takes minutes is ignored where nothing is said: `cargo test --test e2e memory -- --ignored`.

use std::mem;

use blx::ledger::{Block, Identity, Kind, Timestamp, Transaction};

use super::harness::usage::memory;
use super::harness::{Launch, Node};
use super::peer::{Peer, Person, block_text, mined};

const MIB: u64 = 1 << 20;

/// What a node may have resident, whatever its peers do.
const RESIDENT_MAX: u64 = 32 * MIB;

fn check_peak(node: &Node, what: &str) {
    let peak = memory(node.id()).peak;
    eprintln!("{what}: {} KiB resident at most", peak >> 10);
    assert!(peak <= RESIDENT_MAX, "{what}: {peak} bytes");
}

/// A chain without proof of work, as the text of its blocks.
struct Chain {
    tip: Block,
    texts: Vec<String>,
}

impl Chain {
    fn new(time: f64) -> Chain {
        let tip = Block::genesis(Timestamp::Float(time));
        let texts = vec![block_text(&tip)];
        Chain { tip, texts }
    }

    fn add(&mut self, transactions: Vec<Transaction>) {
        let mut block = Block::genesis(self.tip.timestamp);
        (block.index, block.prev_hash) = (self.tip.index + 1, self.tip.hash);
        block.transactions = transactions;
        let block = mined(block, 0);
        self.texts.push(block_text(&block));
        self.tip = block;
    }

    /// A chain of blocks that are nearly as large as blocks may be, each with an item of its own.
    fn of_large_blocks(blocks: usize) -> Chain {
        let mut chain = Chain::new(1.5);
        let name = "x".repeat(1_000_000);
        for number in 0..blocks {
            let transaction = Person::new(1).requests(&format!("{name}{number}"));
            chain.add(vec![transaction]);
        }
        chain
    }

    /// Blocks of 200 requests, each of an item of its own, signed by `identity` of their number.
    fn add_items(&mut self, items: usize, mut identity: impl FnMut(usize) -> Identity) {
        let mut requests = Vec::new();
        for number in 0..items {
            let item = format!("item-{:06}", number * 7_919 % items);
            let time = Timestamp::Float(1.5);
            requests.push(identity(number).sign(Kind::Request, item.as_str().into(), time));
            if requests.len() == 200 {
                self.add(mem::take(&mut requests));
            }
        }
    }

    /// Tells the first `length` blocks, as fast as the node takes them.
    fn send(&self, peer: &mut Peer, length: usize) {
        let kind = r#"{"type": "chain_response", "payload": {"chain": ["#;
        assert!(peer.try_bytes(kind.as_bytes()));
        for (at, text) in self.texts[..length].iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            assert!(peer.try_bytes(format!("{comma}{text}").as_bytes()));
        }
        peer.say(&format!(
            r#"], "length": {length}}}, "sender": "0.0.0.0:1"}}"#
        ));
    }
}

fn same_key(_: usize) -> Identity {
    Identity::from_secret(&[1; 32]).expect("a key")
}

fn own_key(number: usize) -> Identity {
    let mut secret = [1; 32];
    secret[8..16].copy_from_slice(&(number as u64).to_le_bytes());
    Identity::from_secret(&secret).expect("a key")
}

/// A chain that is too long for `staging` MiB, and then one that just fits.
fn large_blocks(staging: usize) {
    let mut node = Launch::new()
        .arg("--difficulty=0")
        .arg(format!("--staging-max={staging}"))
        .start();
    let fits = staging * 1_048_576 / 1_000_400;
    let chain = Chain::of_large_blocks(fits + 8);
    let mut peer = Peer::dial(node.port);
    chain.send(&mut peer, fits + 9);
    node.expect("a peer's chain is not followed");
    check_peak(&node, "a chain that is too long");
    let mut peer = Peer::dial(node.port);
    chain.send(&mut peer, fits);
    node.expect(&format!("adopted longer chain ({fits} blocks)"));
    assert_eq!(node.status().ledger().0, fits);
    check_peak(&node, "a chain of large blocks");
    assert_eq!(node.reserved().len(), fits - 1);
    check_peak(&node, "a list of large names");
}

#[test]
fn large_blocks_are_held_on_disk() {
    large_blocks(48);
}

#[test]
#[ignore = "a minute"]
fn hundreds_of_large_blocks_are_held_on_disk() {
    large_blocks(256);
}

#[test]
#[ignore = "some minutes"]
fn a_ledger_of_200_000_items_is_joined_and_replaced() {
    let mut node = Launch::new().arg("--difficulty=0").start();
    let mut chain = Chain::new(1.5);
    chain.add_items(200_000, same_key);
    let mut peer = Peer::dial(node.port);
    chain.send(&mut peer, chain.texts.len());
    node.expect("adopted longer chain (1001 blocks)");
    check_peak(&node, "200,000 items");
    let mut new = Launch::new()
        .arg("--difficulty=0")
        .connect(node.port)
        .start();
    new.expect("adopted longer chain (1001 blocks)");
    check_peak(&new, "a new node");
    check_peak(&node, "and the one that it joined");
    // One item more.
    chain.add(vec![Person::new(2).requests("one-more")]);
    let mut lone = Launch::new().arg("--difficulty=0").start();
    let mut peer = Peer::dial(lone.port);
    chain.send(&mut peer, chain.texts.len());
    lone.expect("this node follows no chain of more than 200000 items");
    check_peak(&lone, "an item too many");
    // One block with another item, and all others behind it.
    let mut other = Chain::new(2.5);
    other.add(vec![Person::new(2).requests("another")]);
    other.add_items(199_800, same_key);
    other.add(Vec::new());
    other.add(Vec::new());
    let mut peer = Peer::dial(node.port);
    other.send(&mut peer, other.texts.len());
    node.expect("adopted longer chain (1003 blocks)");
    check_peak(&node, "two tables of 200,000 items");
    // What was disconnected is made again as far as the node takes items.
    node.expect("made block #1003");
    check_peak(&node, "what was disconnected");
}

#[test]
#[ignore = "some minutes"]
fn a_key_for_each_transaction_is_not_kept() {
    let mut node = Launch::new().arg("--difficulty=0").start();
    let mut chain = Chain::new(1.5);
    chain.add_items(100_000, own_key);
    let mut peer = Peer::dial(node.port);
    chain.send(&mut peer, chain.texts.len());
    node.expect("adopted longer chain (501 blocks)");
    check_peak(&node, "100,000 keys");
}
