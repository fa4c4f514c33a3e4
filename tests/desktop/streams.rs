//! Chains that come slowly, stop, or are wrong at their very end, and a node that is killed while
//! it takes one.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use blx::ledger::{Block, Timestamp};

use crate::harness::{LIMIT, until, usage};
use crate::lan::export;
use crate::nodes::{Node, Place};
use crate::peer::{Peer, Person, ROLES, Role, chain_message, mined};
use crate::relay::Relay;
use crate::runner;

/// No work is asked for, so that long chains are made at once.
const EASY: [&str; 2] = ["--difficulty", "0"];
/// A message that stops halfway ends the connection after 30 seconds, and not much sooner.
const STALL: [Duration; 2] = [Duration::from_secs(25), Duration::from_secs(45)];
/// A node at work on a chain of any length has no more than this.
const MEMORY_MAX: u64 = 16 << 20;
/// What one block of one request adds to the chain file at most: bytes.
const BLOCK_BYTES_MAX: u64 = 400;
/// Between two pieces of a chain that comes slowly.
const PACE: Duration = Duration::from_millis(50);

fn chain_file(place: &Place) -> PathBuf {
    place.directory().join("chain.blx")
}

fn size(place: &Place) -> u64 {
    fs::metadata(chain_file(place)).map_or(0, |data| data.len())
}

/// Blocks without transactions, with a first block of their own and no work.
fn empty_blocks(length: usize) -> Vec<Block> {
    let mut chain = vec![Block::genesis(Timestamp::Float(1_795_396_500.5))];
    while chain.len() < length {
        let block = empty_after(&chain[chain.len() - 1]);
        chain.push(block);
    }
    chain
}

fn empty_after(tip: &Block) -> Block {
    let mut block = Block::genesis(Timestamp::Float(1_795_396_521.41));
    (block.index, block.prev_hash) = (tip.index + 1, tip.hash);
    mined(block, 0)
}

fn named(start: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("{start}-{number}"))
        .collect()
}

/// A chain of requests, with a first block of its own.
fn requests(start: &str, count: usize) -> Vec<Block> {
    let items = named(start, count);
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    Person::new(77).chain(&items)
}

/// How often each item is requested in the chain of a data directory.
fn requested(place: &Place) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    let chain = export(place.directory());
    let transactions = chain
        .iter()
        .filter_map(|block| block["transactions"].as_array());
    for transaction in transactions.flatten() {
        let item = transaction["uid"].as_str().expect("a name").to_owned();
        *count.entry(item).or_default() += 1;
    }
    count
}

/// Waits until each of these items is requested once, in a chain of more than `blocks` blocks.
fn await_once(node: &mut Node, place: &Place, items: &[String], blocks: usize) {
    until(|| {
        let status = node.status();
        let count = requested(place);
        let once = items.iter().all(|item| count.get(item) == Some(&1));
        match once && status.blocks > blocks {
            true => Ok(()),
            false => Err(format!("{status:?}, {count:?}")),
        }
    });
}

#[test]
fn a_peer_that_sends_half_a_chain_and_stops_is_let_go() {
    let place = Place::new();
    let mut blx = place.start(&[]);
    blx.request("saw");
    let message = chain_message(&requests("item", 200));
    let mut peer = Peer::dial(blx.port);
    assert!(peer.try_bytes(&message.as_bytes()[..message.len() / 2]));
    let start = Instant::now();
    blx.request("axe");
    let before = fs::read(chain_file(&place)).expect("a chain");
    peer.expect_close();
    let took = start.elapsed();
    assert!(took > STALL[0] && took < STALL[1], "after {took:?}");
    assert_eq!(fs::read(chain_file(&place)).expect("a chain"), before);
    assert_eq!(blx.status().blocks, 3);

    // Nothing is in the way of the same chain when it comes whole.
    Peer::dial(blx.port).say(&message);
    let ours = ["saw", "axe"].map(String::from);
    await_once(&mut blx, &place, &ours, 201);
}

#[test]
fn a_chain_of_100_000_blocks_that_is_invalid_in_its_last_one_changes_nothing() {
    let good = empty_blocks(99_999);
    let tip = &good[good.len() - 1];
    // A signature that is another transaction's.
    let mut transaction = Person::new(77).requests("lamp");
    transaction.signature = Person::new(77).requests("vice").signature;
    let mut forged = empty_after(tip);
    forged.transactions.push(transaction);
    // Another block's work.
    let mut without_work = mined(empty_after(tip), 0);
    without_work.nonce += 1;
    let mut unlinked = empty_after(tip);
    unlinked.prev_hash = good[0].hash;
    for (last, roles) in [
        (mined(forged, 0), &ROLES[..]),
        (without_work, &ROLES[..]),
        // A desktop node's chain that does not link is no lie: it is taken as far as it does.
        (mined(unlinked, 0), &[Role::Ours]),
    ] {
        let mut chain = good.clone();
        chain.push(last);
        let message = chain_message(&chain);
        for role in roles {
            refuses(*role, &message);
        }
    }
}

fn refuses(role: Role, message: &str) {
    let place = Place::new();
    let mut blx = place.start(&EASY);
    blx.request("saw");
    let before = fs::read(chain_file(&place)).expect("a chain");
    // What an emulator takes is none of the node's.
    let emulator = match runner::environment() {
        Some(_) => usage::memory(blx.id()).peak,
        None => 0,
    };
    let mut peer = Peer::dial(blx.port);
    if role == Role::Ours {
        peer.greet();
    }
    thread::scope(|scope| {
        scope.spawn(|| peer.try_send(message.as_bytes()));
        // Its user does not wait for the end of that.
        blx.request("axe");
        let failed = "[consensus ❌] peer chain failed validation";
        blx.wait_for(failed);
    });
    let now = fs::read(chain_file(&place)).expect("a chain");
    assert!(now.starts_with(&before));
    let more = (now.len() - before.len()) as u64;
    assert!(more < BLOCK_BYTES_MAX, "{more} bytes more");
    let peak = usage::memory(blx.id()).peak - emulator;
    assert!(peak < MEMORY_MAX, "{peak} bytes of memory");
    assert_eq!(blx.status().blocks, 3);
    assert_eq!(requested(&place).len(), 2);
    blx.assert_never_said(&["is lost: ", "adopted"]);
}

#[test]
fn a_desktop_nodes_chain_of_100_000_blocks_is_taken_as_far_as_it_links() {
    let mut chain = empty_blocks(99_999);
    let mut unlinked = empty_after(&chain[chain.len() - 1]);
    unlinked.prev_hash = chain[0].hash;
    unlinked.transactions = vec![Person::new(77).requests("lamp")];
    chain.push(mined(unlinked, 0));
    let message = chain_message(&chain);

    let place = Place::new();
    let mut blx = place.start(&EASY);
    blx.request("saw");
    let emulator = match runner::environment() {
        Some(_) => usage::memory(blx.id()).peak,
        None => 0,
    };
    let mut peer = Peer::dial(blx.port);
    thread::scope(|scope| {
        scope.spawn(|| peer.try_send(message.as_bytes()));
        blx.request("axe");
        let adopted = "[consensus ✅] adopted longer chain (99999 blocks)";
        blx.wait_for(adopted);
    });
    // Ours and what is in the block that does not link stand behind it.
    let items = ["axe", "lamp", "saw"].map(String::from);
    await_once(&mut blx, &place, &items, 99_999);
    let peak = usage::memory(blx.id()).peak - emulator;
    assert!(peak < MEMORY_MAX, "{peak} bytes of memory");
    blx.assert_never_said(&["is lost: ", "lost to", "failed validation"]);
}

#[test]
fn a_reorg_while_another_chain_streams_in() {
    // The slow one wins in the end, or breaks off.
    for whole in [true, false] {
        let places = [Place::new(), Place::new()];
        let [mut a, mut b] = [0, 1].map(|at| places[at].start_as(&format!("blx {at}")));
        let wire = Relay::to(b.port);
        a.dial(&wire);
        a.wait_for("✅ connected to ");
        let started = requests("first", 3);
        Peer::dial(a.port).say(&chain_message(&started));
        for node in [&mut a, &mut b] {
            node.wait_for_status("4 blocks", |status| status.blocks == 4);
        }
        wire.hold(true);
        for item in ["b-0", "b-1", "b-2"] {
            b.request(item);
        }
        a.request("a-0");

        let message = chain_message(&requests("slow", 200));
        let pieces: Vec<&[u8]> = message.as_bytes().chunks(message.len() / 100 + 1).collect();
        let mut peer = Peer::dial(a.port);
        let (early, late) = pieces.split_at(pieces.len() / 2);
        for piece in early {
            assert!(peer.try_bytes(piece));
            thread::sleep(PACE);
        }
        a.request("a-1");
        wire.hold(false);
        // At most as long as a chain may take, so that the other one is not given up.
        for piece in late {
            assert!(peer.try_bytes(piece));
            thread::sleep(PACE);
        }
        if whole {
            assert!(peer.try_bytes(b"\n"));
        } else {
            drop(peer);
        }
        let items = ["a-0", "a-1", "b-0", "b-1", "b-2"].map(String::from);
        let blocks = if whole { 201 } else { 7 };
        for (node, place) in [&mut a, &mut b].into_iter().zip(&places) {
            await_once(node, place, &items, blocks);
        }
        let tip = b.status().tip;
        a.wait_for_status("one tip", |status| status.tip == tip);
        for node in [&a, &b] {
            node.assert_never_said(&["is lost: ", "lost to", "failed validation"]);
        }
    }
}

/// When it is killed: as soon as the chain file has grown by a share of what the other chain
/// takes, in percent; or when the new chain is in place.
#[derive(Clone, Copy)]
enum Moment {
    Grown(u64),
    Adopted,
}

/// Who has the other chain.
enum Source {
    /// Somebody who says all of it at once, as a desktop node does.
    Line(String),
    /// One of ours, on this port.
    Ours(u16),
}

impl Source {
    /// Lets a node know of the chain, and waits for nothing.
    fn tell(&self, node: &mut Node) {
        match self {
            Source::Line(message) => {
                let (message, port) = (message.clone(), node.port);
                // It fails if the node is killed meanwhile.
                thread::spawn(move || Peer::dial(port).try_send(message.as_bytes()));
            }
            Source::Ours(port) => node.dial_port(*port),
        }
    }
}

const SWITCH_BLOCKS: usize = 20_000;

#[test]
fn a_kill_in_the_middle_of_a_reorg_costs_no_request() {
    let chain = Source::Line(chain_message(&empty_blocks(SWITCH_BLOCKS)));
    let place = Place::new();
    let mut long = place.start(&EASY);
    chain.tell(&mut long);
    long.wait_for_status("all of it", |status| status.blocks == SWITCH_BLOCKS);
    let whole = size(&place);
    for source in [chain, Source::Ours(long.port)] {
        let moments = [0, 10, 50, 95].map(Moment::Grown);
        let mut torn = 0;
        for (round, moment) in moments.into_iter().chain([Moment::Adopted]).enumerate() {
            // The long chain of ours keeps what came into it in the rounds before.
            let items = named(&format!("round-{round}"), 3);
            torn += u32::from(killed_in_reorg(&source, &items, whole, moment));
        }
        assert!(torn > 0, "no kill came in the middle");
    }
}

/// Whether the old chain was still there after the kill.
fn killed_in_reorg(source: &Source, ours: &[String], whole: u64, moment: Moment) -> bool {
    let place = Place::new();
    let mut blx = place.start(&EASY);
    for item in ours {
        blx.request(item);
    }
    let before = size(&place);
    let old = blx.status().tip;
    source.tell(&mut blx);
    let adopted = || blx.said().contains("adopted longer chain");
    match moment {
        // Looked at all the time: the moment is short.
        Moment::Grown(percent) => {
            let end = Instant::now() + LIMIT;
            while size(&place) <= before + whole * percent / 100 && !adopted() {
                assert!(Instant::now() < end, "the chain does not come");
            }
        }
        Moment::Adopted => blx.wait_for("adopted longer chain"),
    }
    blx.kill();
    let mut blx = place.start(&EASY);
    let status = blx.status();
    let torn = status.tip == old;
    assert!(torn || status.blocks >= SWITCH_BLOCKS, "{status:?}");
    source.tell(&mut blx);
    await_once(&mut blx, &place, ours, SWITCH_BLOCKS);
    blx.assert_never_said(&["is lost: ", "lost to", "damage"]);
    torn
}
