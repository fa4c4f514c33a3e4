//! What no peer may bring into the chain, whichever way it comes, and what nobody says unasked.

use blx::ledger::{Block, Hash, Kind, Signature, Timestamp, Transaction};
use blx::limits;
use blx::store::disk::File;
use blx::store::log::Log;

use crate::oracle::{self, Chain};
use crate::peer::{
    self, Speaker, behind, call_desktop, call_ours, chain_of, chain_response, grow, longer,
    new_block, sign,
};
use crate::stories::star;
use crate::world::World;

/// A signature that belongs to nothing.
fn forged(transaction: &Transaction) -> Transaction {
    let (r, s) = transaction.signature.halves();
    Transaction {
        signature: Signature::from_halves(s, r),
        ..transaction.clone()
    }
}

/// A block of these behind a chain, with a lower hash than `below`.
fn mined(world: &World, chain: &[Block], requests: Vec<Transaction>, below: Option<Hash>) -> Block {
    let mut block = behind(world, chain, requests);
    while below.is_some_and(|below| block.hash >= below) {
        block.nonce += 1;
        block = peer::mined(block, world.difficulty);
    }
    block
}

/// A block of these whose hash is right and was no work.
fn without_work(world: &World, chain: &[Block], requests: Vec<Transaction>) -> Block {
    let mut block = mined(world, chain, requests, None);
    while block.hash.as_bytes()[0] == 0 {
        block.nonce += 1;
        block.hash = block.content_hash();
    }
    block
}

/// A host of difficulty 2 whose user reserved some items, one in a block.
fn grown(seed: u64, blocks: usize) -> (World, Vec<Block>) {
    let mut world = World::new(seed);
    world.difficulty = 2;
    world.add(&[]);
    world.start(0);
    for item in 0..blocks {
        world.type_in(0, &format!("1\nmine-{item}\n"));
        world.run(500);
    }
    let chain = chain_of(&mut world, 0);
    assert_eq!(chain.len(), blocks + 1);
    (world, chain)
}

#[test]
fn a_block_on_top_of_ours_is_signed() {
    for (good, speaker) in Speaker::each_of([false, true]) {
        let (mut world, ours) = grown(12, 2);
        let request = sign(Kind::Request, "drill", 0.5);
        let request = if good { request } else { forged(&request) };
        let block = mined(&world, &ours, vec![request.clone()], None);
        let call = speaker.call(&mut world, 0);
        world.say(call, &new_block(&block));
        world.run(10_000);
        assert_eq!(Chain::of(&mut world, 0).count(&request), usize::from(good));
        oracle::check(&mut world);
    }
}

#[test]
fn a_block_in_the_place_of_our_last_one_is_signed() {
    for good in [false, true] {
        let (mut world, ours) = grown(1, 2);
        let request = sign(Kind::Request, "drill", 0.5);
        let request = if good { request } else { forged(&request) };
        let rival = mined(
            &world,
            &ours[..2],
            vec![request.clone()],
            Some(ours[2].hash),
        );
        let call = call_ours(&mut world, 0);
        world.say(call, &new_block(&rival));
        world.run(10_000);
        let chain = Chain::of(&mut world, 0);
        assert_eq!(chain.count(&request), usize::from(good));
        assert_eq!(world.shown(0).contains("adopted equally long"), good);
        oracle::check(&mut world);
    }
}

#[test]
fn a_block_in_the_place_of_our_last_one_has_the_hash_that_it_names() {
    let (mut world, ours) = grown(2, 2);
    let request = sign(Kind::Request, "drill", 0.5);
    let mut rival = mined(&world, &ours[..2], vec![request.clone()], None);
    rival.hash = Hash::ZERO;
    let call = call_ours(&mut world, 0);
    world.say(call, &new_block(&rival));
    world.run(10_000);
    let chain = chain_of(&mut world, 0);
    assert!(chain.starts_with(&ours));
    assert_eq!(Chain::of(&mut world, 0).count(&request), 0);
}

#[test]
fn what_is_taken_of_a_desktops_losing_block_is_signed() {
    for good in [false, true] {
        let (mut world, ours) = grown(3, 3);
        let request = sign(Kind::Request, "drill", 0.5);
        let request = if good { request } else { forged(&request) };
        let loser = mined(&world, &ours[..1], vec![request.clone()], None);
        let call = call_desktop(&mut world, 0);
        world.say(call, &new_block(&loser));
        world.run(10_000);
        let count = Chain::of(&mut world, 0).count(&request);
        assert_eq!(count, usize::from(good), "made again if it is signed");
        oracle::check(&mut world);
    }
}

#[test]
fn what_is_taken_of_a_losing_chain_is_signed() {
    for (good, speaker) in Speaker::each_of([false, true]) {
        let (mut world, ours) = grown(4, 4);
        let request = sign(Kind::Request, "drill", 0.5);
        let request = if good { request } else { forged(&request) };
        let loser = mined(&world, &ours[..1], vec![request.clone()], None);
        let call = speaker.call(&mut world, 0);
        world.say(call, &chain_response(&[ours[0].clone(), loser]));
        world.run(10_000);
        let count = Chain::of(&mut world, 0).count(&request);
        assert_eq!(count, usize::from(good), "made again if it is signed");
        oracle::check(&mut world);
    }
}

#[test]
fn what_is_taken_of_a_desktops_chain_that_does_not_link_is_signed() {
    for good in [false, true] {
        let (mut world, ours) = grown(13, 4);
        let request = sign(Kind::Request, "drill", 0.5);
        let request = if good { request } else { forged(&request) };
        // Its threads have made two blocks of the same height, one after the other.
        let mut chain = ours[..3].to_vec();
        let late = mined(&world, &ours[..2], vec![request.clone()], None);
        chain.push(late);
        let call = call_desktop(&mut world, 0);
        world.say(call, &chain_response(&chain));
        world.run(10_000);
        let count = Chain::of(&mut world, 0).count(&request);
        assert_eq!(count, usize::from(good), "made again if it is signed");
        oracle::check(&mut world);
    }
}

#[test]
fn each_block_of_a_longer_chain_was_work() {
    // From our first block on, from a block of ours on, and behind our last one.
    for (kept, speaker) in Speaker::each_of([0, 2, 3]) {
        for lazy in [Some(kept.max(1)), Some(5), Some(7), None] {
            longer_chain(kept, lazy, speaker);
        }
    }
}

/// A longer chain that shares `kept` blocks with ours; for its block `lazy` no work was done.
fn longer_chain(kept: usize, lazy: Option<usize>, speaker: Speaker) {
    let (mut world, ours) = grown(5, 2);
    let mut chain = longer(&world, ours[..kept].to_vec(), kept.max(1));
    while chain.len() < 8 {
        let block = match lazy {
            Some(at) if at == chain.len() => without_work(&world, &chain, Vec::new()),
            _ => mined(&world, &chain, Vec::new(), None),
        };
        chain.push(block);
    }
    let call = speaker.call(&mut world, 0);
    world.say(call, &chain_response(&chain));
    world.run(2_000);
    let shown = world.shown(0);
    let told = shown.contains("no proof of work");
    assert_eq!(told, lazy.is_some(), "{kept} {lazy:?} {speaker:?}: {shown}");
    let length = Chain::of(&mut world, 0).length();
    match lazy {
        Some(_) => assert_eq!(chain_of(&mut world, 0), ours, "{kept} {lazy:?} {speaker:?}"),
        None => assert!(length >= 8, "{kept} {speaker:?}: {length}"),
    }
    oracle::check(&mut world);
}

#[test]
fn a_block_on_its_own_was_work() {
    for speaker in Speaker::BOTH {
        let (mut world, ours) = grown(6, 2);
        let call = speaker.call(&mut world, 0);
        let request = sign(Kind::Request, "drill", 0.5);
        for chain in [&ours[..], &ours[..1]] {
            let block = without_work(&world, chain, vec![request.clone()]);
            world.say(call, &new_block(&block));
        }
        world.run(10_000);
        assert_eq!(chain_of(&mut world, 0), ours, "{speaker:?}");
    }
}

/// Bits of the last `length` bytes of a record's body which, turned over, leave its check as it is:
/// a CRC is linear, so of any 33 bits some do. None of them is in the first or last byte.
fn blind_spot(length: usize, behind: usize) -> Vec<u8> {
    let blank = vec![0; length + behind];
    let zero = crc32fast::hash(&blank);
    // Differences that are in use, with the bits that make them up.
    let mut basis: Vec<(u32, Vec<u8>)> = Vec::new();
    for bit in 8..8 * (length - 1) {
        let mut bits = vec![0; length];
        bits[bit / 8] |= 1 << (bit % 8);
        let mut message = blank.clone();
        message[..length].copy_from_slice(&bits);
        let mut difference = crc32fast::hash(&message) ^ zero;
        for (other, its) in &basis {
            if difference ^ other < difference {
                difference ^= other;
                bits.iter_mut().zip(its).for_each(|(bit, its)| *bit ^= its);
            }
        }
        if difference == 0 {
            return bits;
        }
        basis.push((difference, bits));
        basis.sort_by_key(|(difference, _)| core::cmp::Reverse(*difference));
    }
    panic!("more bits than a check has");
}

/// A host with a hole where its block 2 was, and its chain.
fn with_hole(seed: u64) -> (World, Vec<Block>, Vec<u8>) {
    let (mut world, ours) = grown(seed, 4);
    let disk = &world.hosts[0].disk;
    let whole = disk.live(File::Chain);
    let hash = ours[2].hash;
    let place = whole.windows(32).position(|w| w == hash.as_bytes());
    disk.rot(File::Chain, place.expect("its record"));
    world.stop(0, false);
    world.start(0);
    world.run(1_000);
    assert!(world.shown(0).contains("corruption detected at block 2"));
    (world, ours, whole)
}

/// Tells a chain in which block 2 is another one with the same check, and then the right one.
fn fill_wrongly(seed: u64, alter: impl Fn(&Block) -> Block, told: &str) {
    for speaker in Speaker::BOTH {
        fill_wrongly_as(speaker, seed, &alter, told);
    }
}

fn fill_wrongly_as(speaker: Speaker, seed: u64, alter: impl Fn(&Block) -> Block, told: &str) {
    let (mut world, ours, whole) = with_hole(seed);
    let mut chain = ours.clone();
    chain[2] = alter(&ours[2]);
    assert_ne!(chain[2], ours[2]);
    let call = speaker.call(&mut world, 0);
    world.say(call, &chain_response(&chain[..3]));
    world.run(2_000);
    let shown = world.shown(0);
    assert!(!shown.contains("repair completed"), "{shown}");
    assert!(shown.contains(told), "{shown}");
    let other = speaker.call(&mut world, 0);
    world.say(other, &chain_response(&ours));
    world.run(2_000);
    assert!(world.shown(0).contains("repair completed"));
    assert!(world.hosts[0].disk.live(File::Chain) == whole);
    oracle::check(&mut world);
}

#[test]
fn what_fills_damage_is_signed_although_its_check_is_right() {
    let alter = |block: &Block| {
        let mut block = block.clone();
        let signature = &mut block.transactions[0].signature;
        let (r, mut s) = signature.halves();
        // The last bytes of the body.
        let bits = blind_spot(32, 0);
        s.iter_mut().zip(&bits).for_each(|(byte, bit)| *byte ^= bit);
        *signature = Signature::from_halves(r, s);
        block
    };
    fill_wrongly(7, alter, "the signature of transaction 0 does not verify");
}

#[test]
fn what_fills_damage_has_the_hash_that_it_names_although_its_check_is_right() {
    let (_, ours) = grown(8, 4);
    let (mut world, _) = grown(8, 4);
    // What stands behind the hash in the record.
    let file = world.hosts[0].disk.live(File::Chain);
    let place = |block: &Block| {
        let hash = block.hash;
        let place = file.windows(32).position(|w| w == hash.as_bytes());
        place.expect("its record")
    };
    // Check, prefix, and the bytes of the body in front of the hash.
    let front = 4 + 6 + place(&ours[1]).min(2);
    let behind = place(&ours[3]) - front - place(&ours[2]) - 32;
    let alter = move |block: &Block| {
        let mut block = block.clone();
        let mut hash = *block.hash.as_bytes();
        let bits = blind_spot(32, behind);
        hash.iter_mut()
            .zip(&bits)
            .for_each(|(byte, bit)| *byte ^= bit);
        block.hash = Hash::new(hash);
        block
    };
    world.stop(0, false);
    fill_wrongly(8, alter, "hash is not the hash of its content");
}

/// A host whose chain file has the checks that it should, and this as its second block.
fn with_file_of(seed: u64, make: impl Fn(&World, &[Block]) -> Block) -> World {
    let mut world = World::new(seed);
    world.difficulty = 2;
    world.add(&[]);
    let disk = world.hosts[0].disk.clone();
    let (mut log, _) = Log::open(disk, Some(2), Timestamp::Integer(7)).expect("it opens");
    let mut chain = vec![log.read(0).expect("a first block").block];
    for at in 1..4 {
        let block = match at {
            2 => make(&world, &chain),
            _ => {
                let item = format!("item-{at}");
                let request = sign(Kind::Request, &item, 0.5);
                mined(&world, &chain, vec![request], None)
            }
        };
        log.append(&block).expect("it is taken");
        chain.push(block);
    }
    drop(log);
    world.start(0);
    world
}

/// What the scrubber says within two of its passes.
fn scrubbed(world: &mut World) -> String {
    world.run(130_000);
    world.type_in(0, "9\n");
    world.run(1_000);
    world.shown(0)
}

#[test]
fn the_scrubber_finds_nothing_wrong_with_a_good_file() {
    let request = sign(Kind::Request, "drill", 0.5);
    let mut world = with_file_of(9, |world, chain| {
        mined(world, chain, vec![request.clone()], None)
    });
    let shown = scrubbed(&mut world);
    assert!(!shown.contains("corruption"), "{shown}");
    assert!(shown.contains("4 of them again from disk"), "{shown}");
    assert!(shown.contains("A-OK"), "{shown}");
}

#[test]
fn the_scrubber_looks_at_signatures_and_work() {
    let request = sign(Kind::Request, "drill", 0.5);
    let bad = forged(&request);
    let signature = |world: &World, chain: &[Block]| mined(world, chain, vec![bad.clone()], None);
    type Make<'a> = &'a dyn Fn(&World, &[Block]) -> Block;
    // A wrong hash does not get so far: a start takes such a block as damage.
    let work = |world: &World, chain: &[Block]| without_work(world, chain, Vec::new());
    let cases: [(Make<'_>, &str); 2] = [
        (&signature, "the signature of drill is wrong"),
        (&work, "no proof of work"),
    ];
    for (make, told) in cases {
        let mut world = with_file_of(10, make);
        let shown = scrubbed(&mut world);
        let line = format!("corruption detected: block 2 is invalid: {told}");
        let line = match told.starts_with("no proof") {
            true => "corruption detected: block 2 is invalid: its hash does not begin",
            false => &line,
        };
        assert!(shown.contains(line), "{told}: {shown}");
        assert!(!shown.contains("A-OK"), "{shown}");
    }
}

#[test]
fn a_desktop_that_is_silently_ahead_is_asked() {
    let mut world = star(11, 1);
    world.type_in(0, "1\ndrill\n");
    world.run(1_000);
    let ours = chain_of(&mut world, 0);
    let call = call_desktop(&mut world, 0);
    world.run(1_000);
    world.say(call, &chain_response(&ours));
    let asked = |world: &mut World| world.heard(call).matches("request_chain").count();
    let rounds = limits::DESKTOP_POLL_MS / 5_000;
    for _ in 0..rounds - 1 {
        world.run(5_000);
        // It is there, and has nothing to say.
        world.say(call, b"{\"type\": \"pong\", \"payload\": {}}\n");
        assert_eq!(asked(&mut world), 1, "when it first spoke");
    }
    let mut ahead = ours.clone();
    grow(&world, &mut ahead, Some("saw"));
    world.run(15_000);
    assert_eq!(asked(&mut world), 2, "now and then");
    world.say(call, &chain_response(&ahead));
    world.run(1_000);
    assert_eq!(chain_of(&mut world, 0), ahead);
    oracle::check(&mut world);
}
