//! The most that one call of a node does, whatever a peer sends: counted, not timed. There is one
//! story for each kind of frame, with the worst that fits into it.

use std::sync::OnceLock;

use blx::ledger::{Block, Hash, Kind, Signature, Tally, Timestamp, Tip, Transaction};
use blx::limits::{self, BLOCK_TEXT_MAX, MESSAGE_TEXT_MAX};
use blx::node::{ConnId, Event};
use blx::store::log::Log;
use blx::wire::text;

use crate::peer::{
    self, ASK, PING, Speaker, call_ours, chain_of, chain_response, new_block, new_transaction, sign,
};
use crate::wearing::HEAVIEST;
use crate::world::{Use, World};

/// What a call may do of each kind; all of it together takes some twenty milliseconds of a desktop at the
/// very most.
const MOST: Tally = Tally {
    signatures: 64,
    applied: 10_000,
    compared: 100_000,
    hashed: 5 << 19,
    parsed: 5 << 19,
    rendered: 6 << 16,
    read: 6 << 20,
};

/// Callers that have a place beside one that is there.
const CALLERS: usize = limits::PEERS - limits::PLACES_FOR_DIALS - 1;

/// A node with this difficulty and a chain of some blocks of its user, and a story's connection.
fn alone(seed: u64, difficulty: u8, blocks: usize) -> (World, usize) {
    let mut world = grown(seed, difficulty, blocks);
    let call = world.call(0);
    (world, call)
}

fn grown(seed: u64, difficulty: u8, blocks: usize) -> World {
    let mut world = World::new(seed);
    world.difficulty = difficulty;
    world.capacity = 1 << 22;
    world.add(&[]);
    world.start(0);
    for item in 0..blocks {
        world.type_in(0, &format!("1\nmine-{item}\n"));
        world.run(200);
    }
    assert_eq!(tip(&world).length, blocks as u64 + 1);
    world
}

/// The end of the chain on its disk.
fn tip(world: &World) -> Tip {
    let disk = world.hosts[0].disk.copy();
    let (log, _) = Log::open(disk, None, Timestamp::Integer(0)).expect("it opens");
    log.tip()
}

/// Whether a block is in the chain on its disk.
fn has(world: &World, block: &Block) -> bool {
    let disk = world.hosts[0].disk.copy();
    let (mut log, _) = Log::open(disk, None, Timestamp::Integer(0)).expect("it opens");
    block.index < log.tip().length && log.hash(block.index) == Ok(block.hash)
}

/// Whether a block that somebody told was taken: one of ours' as it is, of a desktop node's what is
/// in it.
fn is_taken(world: &World, speaker: Speaker, block: &Block) -> bool {
    let disk = world.hosts[0].disk.copy();
    let (mut log, _) = Log::open(disk, None, Timestamp::Integer(0)).expect("it opens");
    if block.index >= log.tip().length {
        return false;
    }
    let there = log.read(block.index).expect("sound").block;
    match speaker {
        Speaker::Ours => there.hash == block.hash,
        Speaker::Desktop => there.transactions == block.transactions,
    }
}

/// Runs until what was said is dealt with, and holds the work of each call against its bounds.
fn check(world: &mut World, what: &str) {
    world.most = Tally::default();
    world.run(20_000);
    hold(world, what);
}

fn hold(world: &World, what: &str) {
    let most = world.most;
    let kinds = [
        ("signatures", most.signatures, MOST.signatures),
        ("applied", most.applied, MOST.applied),
        ("compared", most.compared, MOST.compared),
        ("hashed", most.hashed, MOST.hashed),
        ("parsed", most.parsed, MOST.parsed),
        ("rendered", most.rendered, MOST.rendered),
        ("read", most.read, MOST.read),
    ];
    let over = kinds.iter().filter(|(_, most, bound)| most > bound);
    let over: Vec<String> = over
        .map(|(kind, most, bound)| format!("{most} {kind}, at most {bound}"))
        .collect();
    assert!(over.is_empty(), "{what}: in one call {over:?} of {most:?}");
    let heaviest = world.heaviest;
    assert!(heaviest <= HEAVIEST, "{what}: {heaviest} us in one call");
}

/// As many requests as fit into a block, and the releases of the same items. About 3,600 each.
fn many() -> &'static [Vec<Transaction>; 2] {
    static MANY: OnceLock<[Vec<Transaction>; 2]> = OnceLock::new();
    MANY.get_or_init(|| {
        let most = BLOCK_TEXT_MAX / 290;
        [Kind::Request, Kind::Release].map(|kind| {
            let request = |item: usize| sign(kind, &format!("{item}"), 0.5);
            (0..most).map(request).collect()
        })
    })
}

/// A single request that fills a block.
fn long(mark: char) -> Transaction {
    sign(
        Kind::Request,
        &mark.to_string().repeat(BLOCK_TEXT_MAX - 1_000),
        0.5,
    )
}

/// The block of these transactions behind a chain, which is about as large as a block may be.
fn behind(world: &World, chain: &[Block], transactions: Vec<Transaction>) -> Block {
    let block = peer::behind(world, chain, transactions);
    let bytes = text::block_bytes(&block);
    assert!(
        bytes <= BLOCK_TEXT_MAX && bytes > BLOCK_TEXT_MAX * 9 / 10,
        "{bytes}"
    );
    block
}

/// The last signature is another one's.
fn spoiled(mut transactions: Vec<Transaction>) -> Vec<Transaction> {
    let last = transactions.last_mut().expect("some");
    let (r, s) = last.signature.halves();
    last.signature = Signature::from_halves(s, r);
    transactions
}

/// A chain of its own with `blocks` blocks of a megabyte, of many transactions or of one.
fn heavy(world: &World, blocks: usize, is_long: bool) -> Vec<Block> {
    let mut chain = vec![Block::genesis(Timestamp::Integer(7))];
    for at in 0..blocks {
        let transactions = match is_long {
            true => vec![long(char::from(b'a' + at as u8))],
            false => many()[at % 2].clone(),
        };
        let block = behind(world, &chain, transactions);
        chain.push(block);
    }
    chain
}

#[test]
fn a_block_that_extends_the_chain() {
    for (good, speaker) in Speaker::each_of([true, false]) {
        let mut world = grown(1, 0, 1);
        let call = speaker.call(&mut world, 0);
        let ours = chain_of(&mut world, 0);
        let requests = many()[0].clone();
        let requests = if good { requests } else { spoiled(requests) };
        let block = behind(&world, &ours, requests);
        world.say(call, &new_block(&block));
        check(&mut world, "a block on top of ours");
        assert_eq!(is_taken(&world, speaker, &block), good);
    }
}

#[test]
fn a_block_that_loses() {
    for good in [true, false] {
        let (mut world, call) = alone(2, 0, 2);
        let ours = chain_of(&mut world, 0);
        let requests = many()[0].clone();
        let requests = if good { requests } else { spoiled(requests) };
        world.say(call, PING);
        world.say(call, &new_block(&behind(&world, &ours[..1], requests)));
        check(&mut world, "a losing block");
    }
}

#[test]
fn blocks_that_lose_one_after_the_other_beside_a_full_mempool() {
    let (mut world, call) = alone(3, 0, 3);
    let ours = chain_of(&mut world, 0);
    for item in 0..limits::MEMPOOL_BYTES_PER_PEER / 500 {
        let request = sign(Kind::Request, &format!("waits-{item}"), 7.5);
        world.say(call, &new_transaction(&request));
    }
    for height in 1..3 {
        let block = behind(&world, &ours[..height], many()[0].clone());
        world.say(call, &new_block(&block));
        let block = behind(&world, &ours[..height], many()[1].clone());
        world.say(call, &new_block(&block));
    }
    check(&mut world, "losing blocks");
}

#[test]
fn a_block_in_the_place_of_our_last_one() {
    for good in [true, false] {
        let mut world = grown(4, 0, 1);
        let call = call_ours(&mut world, 0);
        let ours = chain_of(&mut world, 0);
        let requests = many()[0].clone();
        let requests = if good { requests } else { spoiled(requests) };
        let mut rival = behind(&world, &ours[..1], requests);
        while rival.hash >= ours[1].hash {
            rival.nonce += 1;
            rival.hash = rival.content_hash();
        }
        world.say(call, &new_block(&rival));
        check(&mut world, "a rival");
        assert_eq!(has(&world, &rival), good);
    }
}

#[test]
fn a_chain_that_wins() {
    for (is_long, speaker) in Speaker::each_of([false, true]) {
        let mut world = grown(5, 0, 2);
        let call = speaker.call(&mut world, 0);
        let chain = heavy(&world, 12, is_long);
        world.say(call, &chain_response(&chain));
        check(&mut world, "a chain that wins");
        assert!(is_taken(&world, speaker, &chain[12]));
    }
}

#[test]
fn a_chain_in_the_place_of_a_heavy_one() {
    for (is_long, speaker) in Speaker::each_of([false, true]) {
        let mut world = grown(6, 0, 0);
        let call = speaker.call(&mut world, 0);
        let chain = heavy(&world, 10, is_long);
        world.say(call, &chain_response(&chain));
        world.run(20_000);
        assert!(is_taken(&world, speaker, &chain[10]));
        // The same transactions in other blocks, or none of them.
        let mut other = vec![Block::genesis(Timestamp::Integer(8))];
        for block in &chain[1..] {
            let block = behind(&world, &other, block.transactions.clone());
            other.push(block);
        }
        let other = crate::peer::longer(&world, other, 12);
        world.say(call, &chain_response(&other));
        check(&mut world, "a remade chain");
        assert!(is_taken(&world, speaker, &other[11]));
        let empty = crate::peer::longer(&world, Vec::new(), 14);
        world.say(call, &chain_response(&empty));
        check(&mut world, "an empty chain");
        assert!(is_taken(&world, speaker, &empty[13]));
    }
}

#[test]
fn a_chain_that_loses() {
    for (is_long, speaker) in Speaker::each_of([false, true]) {
        let mut world = grown(7, 0, 12);
        let call = speaker.call(&mut world, 0);
        let chain = heavy(&world, 10, is_long);
        world.say(call, &chain_response(&chain));
        check(&mut world, "a chain that loses");
    }
}

#[test]
fn a_chain_whose_block_is_wrong() {
    for speaker in Speaker::BOTH {
        let mut world = grown(8, 0, 1);
        let call = speaker.call(&mut world, 0);
        let mut chain = heavy(&world, 2, false);
        let bad = behind(&world, &chain, spoiled(many()[0].clone()));
        chain.push(bad.clone());
        world.say(call, &chain_response(&chain));
        check(&mut world, "a wrong chain");
        for block in &chain[1..] {
            assert!(!is_taken(&world, speaker, block));
        }
    }
}

/// The connection of a host that leads to a story.
fn conn_of(world: &World, call: usize) -> ConnId {
    let is_it = |used: &Use| matches!(used, Use::Open(number, _) if *number == call);
    let conn = world.hosts[0].conns.iter().position(is_it);
    ConnId(conn.expect("it is open") as u8)
}

/// Bytes come over a connection, although nobody else had a turn.
fn feed(world: &mut World, conn: ConnId, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let node = world.hosts[0].node.as_mut().expect("it runs");
        let space = node.rx_space(conn);
        let count = space.len().min(bytes.len());
        assert!(count > 0, "the line is read");
        space[..count].copy_from_slice(&bytes[..count]);
        bytes = &bytes[count..];
        world.tell(0, Event::Received { conn, count });
    }
}

#[test]
fn a_peer_that_hangs_up_behind_its_block() {
    for (is_next, speaker) in Speaker::each_of([false, true]) {
        let mut world = grown(9, 0, 2);
        let call = speaker.call(&mut world, 0);
        let ours = chain_of(&mut world, 0);
        let height = 1 + usize::from(is_next);
        let block = behind(&world, &ours[..=height], many()[0].clone());
        world.run(1_000);
        let conn = conn_of(&world, call);
        world.most = Tally::default();
        feed(&mut world, conn, &new_block(&block));
        world.hosts[0].conns[usize::from(conn.0)] = Use::Free;
        world.tell(0, Event::Closed { conn, reason: None });
        world.run(20_000);
        hold(&world, "who hangs up");
    }
}

#[test]
fn a_transaction_with_a_long_name() {
    let (mut world, call) = alone(10, 0, 1);
    let other = world.call(0);
    for (call, mark) in [(call, 'a'), (call, 'b'), (other, 'c'), (other, 'd')] {
        world.say(call, &new_transaction(&long(mark)));
    }
    check(&mut world, "long names");
}

#[test]
fn transactions_of_control_characters() {
    let (mut world, _) = alone(11, 2, 1);
    for peer in 0..4 {
        let call = world.call(0);
        for item in 0..50 {
            let name = format!("{peer}-{item}-{}", "\u{1}".repeat(1_000));
            world.say(call, &new_transaction(&sign(Kind::Request, &name, 7.5)));
        }
    }
    check(&mut world, "names that are long as text");
}

#[test]
fn a_block_of_ours_at_a_high_difficulty_is_made_in_slices_of_text() {
    let (mut world, call) = alone(12, 4, 0);
    for item in 0..60 {
        let name = format!("{item}-{}", "x".repeat(1_000));
        world.say(call, &new_transaction(&sign(Kind::Request, &name, 7.5)));
    }
    check(&mut world, "a block of long names");
}

#[test]
fn many_transactions_at_once() {
    let (mut world, _) = alone(13, 0, 1);
    for peer in 0..8 {
        let call = world.call(0);
        for request in &many()[0][peer * 100..(peer + 1) * 100] {
            world.say(call, &new_transaction(request));
        }
    }
    check(&mut world, "many transactions");
}

fn said(kind: &str, payload: &str) -> Vec<u8> {
    format!("{{\"type\": \"{kind}\", \"payload\": {payload}}}\n").into_bytes()
}

#[test]
fn words_that_fill_a_line() {
    let room = MESSAGE_TEXT_MAX - 1_000;
    let addresses = vec!["\"10.9.8.7:65535\""; room / 18].join(", ");
    let ids = vec![format!("\"{}\"", "ab".repeat(16)); room / 36].join(", ");
    let hashes = vec![format!("\"{}\"", "cd".repeat(32)); room / 68].join(", ");
    let tip = format!(
        "\"length\": 18446744073709551615, \"tip\": \"{}\"",
        "0".repeat(64)
    );
    let rest = "x".repeat(room);
    for line in [
        said("peer_list", &format!("{{\"peers\": [{addresses}]}}")),
        said(
            "peer_announce",
            &format!("{{\"id\": \"0000000000000007\", {tip}, \"pool\": [{ids}]}}"),
        ),
        said("ping", &format!("{{{tip}, \"rest\": \"{rest}\"}}")),
        said("pong", &format!("{{{tip}, \"rest\": \"{rest}\"}}")),
        said(
            "request_chain",
            &format!("{{\"length\": 18446744073709551615, \"locator\": [{hashes}]}}"),
        ),
        said("nonsense", &format!("\"{rest}\"")),
        vec![b'['; room],
    ] {
        let (mut world, call) = alone(14, 0, 3);
        let requests = (0..60).map(|item| sign(Kind::Request, &format!("w-{item}"), 7.5));
        let other = world.call(0);
        requests.for_each(|request| world.say(other, &new_transaction(&request)));
        world.run(500);
        world.say(call, &line);
        check(&mut world, &String::from_utf8_lossy(&line[..30]));
    }
}

#[test]
fn a_look_for_what_is_shared_with_a_heavy_chain() {
    let (mut world, call) = alone(15, 0, 0);
    let chain = heavy(&world, 24, true);
    world.say(call, &chain_response(&chain));
    world.run(20_000);
    assert!(has(&world, &chain[24]));
    let hashes = vec![format!("\"{}\"", "cd".repeat(32)); 65].join(", ");
    for length in 20..25 {
        let locator = format!("{{\"length\": {length}, \"locator\": [{hashes}]}}");
        world.say(call, &said("request_chain", &locator));
    }
    check(&mut world, "a locator");
    // A block on its own is held against the one of ours at its height.
    for block in &heavy(&world, 24, true)[1..] {
        let mut block = block.clone();
        block.nonce += 1;
        block.hash = Hash::ZERO;
        block.transactions.clear();
        world.say(call, &new_block(&block));
    }
    check(&mut world, "old blocks");
}

#[test]
fn many_who_ask_for_a_heavy_chain_and_do_not_take_it() {
    let (mut world, call) = alone(16, 0, 0);
    let chain = heavy(&world, 4, true);
    world.say(call, &chain_response(&chain));
    world.run(20_000);
    world.most = Tally::default();
    for _ in 0..CALLERS {
        let call = world.call(0);
        world.deafen(call);
        world.say(call, ASK);
    }
    check(&mut world, "deaf peers");
}

#[test]
fn many_who_ask_for_a_heavy_chain_at_once() {
    let (mut world, call) = alone(17, 0, 0);
    let chain = heavy(&world, 2, true);
    world.say(call, &chain_response(&chain));
    world.run(20_000);
    let calls: Vec<usize> = (0..CALLERS).map(|_| world.call(0)).collect();
    // They have no chain, or would have to tell it first.
    let none = said("chain_response", "{\"chain\": []}");
    calls.iter().for_each(|call| world.say(*call, &none));
    world.run(1_000);
    world.most = Tally::default();
    for call in calls {
        let conn = conn_of(&world, call);
        feed(&mut world, conn, &said("request_chain", "{}"));
    }
    check(&mut world, "listeners");
}

#[test]
fn a_list_of_what_heavy_blocks_changed() {
    let (mut world, call) = alone(19, 0, 0);
    let chain = heavy(&world, 3, false);
    world.say(call, &chain_response(&chain));
    world.run(20_000);
    world.most = Tally::default();
    world.type_in(0, "3\n4\n");
    check(&mut world, "a list");
    let listed = world.shown(0).matches("taken").count();
    assert!(listed > 100, "the list goes on: {listed}");
}

#[test]
fn the_scrubber_before_a_heavy_block() {
    let (mut world, call) = alone(18, 0, 0);
    let chain = heavy(&world, 2, false);
    world.say(call, &chain_response(&chain));
    world.run(20_000);
    world.most = Tally::default();
    // It makes a pass a minute.
    world.run(70_000);
    hold(&world, "the scrubber");
}
