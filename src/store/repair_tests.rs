//! Holes in the chain file are filled with the bytes that were there.

use super::disk::File;
use super::disk::memory::MemoryDisk;
use super::keys::KeyTable;
use super::log::Log;
use super::record::{self, BlockBody, Body, HEADER_BYTES, VERSION_FIRST};
use super::record_reader::Found;
use super::recover::Ending;
use super::repair::Filled;
use super::state::AppendError;
use super::tests::{NOW, check, open, stage, tip, toggle};
use super::upkeep_tests::grown;
use crate::ledger::{Block, Changes, Items, Kind, RuleError};
use crate::limits;

/// What a peer that has the whole chain can tell.
fn chain(log: &mut Log<MemoryDisk>) -> Vec<Block> {
    let heights = 0..log.tip().length;
    heights
        .map(|height| log.read(height).expect("reads").block)
        .collect()
}

/// How a damaged file came to be whole.
#[derive(Debug, Default, PartialEq, Eq)]
struct Healed {
    filled: usize,
    given_up: usize,
    adopted: usize,
}

/// Brings a log to the end of the peer's chain.
fn heal(log: &mut Log<MemoryDisk>, peer: &[Block]) -> Healed {
    let mut healed = Healed::default();
    while log.hole().is_some() {
        log.begin_filling();
        let from = usize::try_from(log.tip().length).expect("small");
        let mut outcome = Ok(Filled::More);
        for block in peer.get(from..).unwrap_or_default() {
            if outcome == Ok(Filled::More) {
                outcome = log.fill_hole(block);
            }
        }
        if outcome == Ok(Filled::Done) {
            healed.filled += 1;
        } else {
            log.give_up().expect("copied and cut");
            healed.given_up += 1;
        }
    }
    let shared = |log: &mut Log<MemoryDisk>, block: &Block| {
        block.index < log.tip().length && log.hash(block.index) == Ok(block.hash)
    };
    let fork = peer.iter().take_while(|block| shared(log, block)).count();
    if fork < peer.len() {
        log.begin(fork as u64).expect("begins");
        while !log.unwind(100).expect("unwinds") {}
        for block in &peer[fork..] {
            log.stage(block).expect("follows");
        }
        while log.adopt(100).expect("adopts").is_none() {}
        healed.adopted += 1;
    }
    healed
}

#[test]
fn every_damaged_byte_is_healed_from_a_peer() {
    let mut whole = grown(40);
    toggle(&mut whole, 2, "last").expect("appended");
    let peer = chain(&mut whole);
    let bytes = whole.disk.live(File::Chain).clone();
    let mut sums = Healed::default();
    for at in 0..bytes.len() {
        let mut disk = whole.disk.clone();
        disk.live(File::Chain)[at] ^= 1 << (at % 8);
        let (mut log, _) = open(disk);
        // A reorg behind the damage may have made it stale; then nothing is missing.
        let healed = heal(&mut log, &peer);
        assert_eq!(tip(&log), tip(&whole), "byte {at}: {healed:?}");
        check(&mut log);
        if healed.filled > 0 && healed.given_up == 0 {
            assert!(
                *log.disk.live(File::Chain) == bytes,
                "byte {at}: other bytes"
            );
        }
        let (mut again, ending) = open(log.disk.clone());
        assert_eq!(
            (tip(&again), ending),
            (tip(&whole), Ending::Clean),
            "byte {at}"
        );
        check(&mut again);
        sums.filled += usize::from(healed.filled > 0);
        sums.given_up += usize::from(healed.given_up > 0);
        sums.adopted += usize::from(healed.adopted > 0);
    }
    assert!(sums.filled > bytes.len() * 7 / 10, "{sums:?}");
}

#[test]
fn a_hole_of_several_blocks_is_filled_at_once_or_not_at_all() {
    let mut whole = grown(60);
    let peer = chain(&mut whole);
    let bytes = whole.disk.live(File::Chain).clone();
    let mut disk = whole.disk.clone();
    disk.live(File::Chain)[2_000..4_048].fill(0);
    let (mut log, ending) = open(disk);
    assert_eq!(ending, Ending::Hole);
    let (short, damaged) = (tip(&log), log.disk.live(File::Chain).clone());
    let behind = log.hole().expect("a hole");
    assert!(behind > short.0 + 10 && behind <= tip(&whole).0);
    log.begin_filling();
    let from = usize::try_from(short.0).expect("small");
    for block in &peer[from..from + 5] {
        assert_eq!(log.fill_hole(block), Ok(Filled::More));
    }
    assert_eq!(tip(&log), short, "nothing counts before the proof");
    assert_eq!(*log.disk.live(File::Chain), damaged);
    log.begin_filling();
    assert_eq!(
        heal(&mut log, &peer),
        Healed {
            filled: 1,
            ..Healed::default()
        }
    );
    assert_eq!(tip(&log), tip(&whole));
    assert_eq!(*log.disk.live(File::Chain), bytes);
    check(&mut log);
}

#[test]
fn other_blocks_do_not_fill_a_hole() {
    let mut whole = grown(60);
    let mut disk = whole.disk.clone();
    disk.live(File::Chain)[3_000] ^= 1;
    let (mut log, _) = open(disk);
    let damaged = log.disk.live(File::Chain).clone();
    let (length, hash) = tip(&log);
    // As large as what was there, and another one.
    let original = whole.read(length).expect("reads").block;
    let name = original.transactions[0].uid.to_string();
    let held = log.items().get(&name.as_str().into());
    let kind = original.transactions[0].kind;
    assert_eq!(
        held.is_some_and(|item| item.reserved),
        kind == crate::ledger::Kind::Release
    );
    let other = super::tests::block((length, hash), 4, &[(kind, &name)]);
    log.begin_filling();
    assert_eq!(log.fill_hole(&other), Ok(Filled::Unfit));
    assert_eq!(
        *log.disk.live(File::Chain),
        damaged,
        "not a byte is written"
    );
    let aside = log.give_up().expect("copied").expect("a name");
    assert!(aside.contains("damaged"));
    let kept = log.disk.aside.last().expect("kept").clone();
    assert!(damaged.ends_with(&kept) && kept.len() > 1_000);
    log.append(&other).expect("the chain goes on");
    check(&mut log);
    check(&mut open(log.disk.clone()).0);
}

#[test]
fn damage_that_is_found_while_running_is_healed_too() {
    let mut log = grown(60);
    let (before, peer) = (tip(&log), chain(&mut log));
    let bytes = log.disk.live(File::Chain).clone();
    log.write_checkpoint();
    log.disk.live(File::Chain)[2_500] ^= 4;
    log.reopen().expect("reads");
    assert!(log.hole().is_some() && tip(&log).0 < before.0);
    assert_eq!(heal(&mut log, &peer).filled, 1);
    assert_eq!(tip(&log), before);
    assert_eq!(*log.disk.live(File::Chain), bytes);
    toggle(&mut log, 3, "after").expect("goes on");
    check(&mut open(log.disk.clone()).0);
}

#[test]
fn a_damaged_header_is_written_as_it_was() {
    let mut whole = grown(5);
    let bytes = whole.disk.live(File::Chain).clone();
    for at in 0..16 {
        let mut disk = whole.disk.clone();
        disk.live(File::Chain)[at] ^= 0x40;
        let (mut log, recovery) = Log::open(disk, None, NOW).expect("opens");
        assert_eq!(recovery.ending, Ending::Clean, "byte {at}");
        assert_eq!(*log.disk.live(File::Chain), bytes, "byte {at}");
        assert_eq!(tip(&log), tip(&whole));
    }
}

#[test]
fn a_first_block_that_rots_while_running_is_healed_or_made_anew() {
    let mut log = grown(20);
    let (before, peer) = (tip(&log), chain(&mut log));
    let bytes = log.disk.live(File::Chain).clone();
    log.disk.live(File::Chain)[30] ^= 1;
    log.reopen().expect("reads");
    assert_eq!(tip(&log).0, 0);
    let mut alone = open_again(&log);
    assert_eq!(heal(&mut log, &peer).filled, 1);
    assert_eq!(tip(&log), before);
    assert_eq!(*log.disk.live(File::Chain), bytes);
    assert!(alone.give_up().expect("copied and cut").is_some());
    alone.begin_chain(NOW).expect("begins");
    assert_eq!(tip(&alone).0, 1);
    toggle(&mut alone, 1, "a").expect("goes on");
    check(&mut alone);
}

/// Another node that has met the same damage in the same file.
fn open_again(log: &Log<MemoryDisk>) -> Log<MemoryDisk> {
    let (mut log, ending) = Log::examine(log.disk.clone()).expect("reads");
    assert_eq!(ending, Ending::Hole);
    log.reopen().expect("reads");
    log
}

/// A chain whose last five blocks a reorg replaced, with a flipped bit in the first block that it
/// brought; and the offset of the record that opens the branch.
fn damaged_behind_a_fork(blocks: u64) -> (Log<MemoryDisk>, u64) {
    let (mut log, _) = open(MemoryDisk::default());
    for step in 0..blocks {
        let author = u8::try_from(step % 5 + 1).expect("small");
        toggle(&mut log, author, &format!("item-{}", step % 17)).expect("appended");
    }
    let (length, fork) = (log.tip().length, log.bytes());
    stage(&mut log, length - 5, 7, "z");
    while log.adopt(4).expect("adopts").is_none() {}
    toggle(&mut log, 2, "last").expect("appended");
    let Found::Record { next, .. } = log.reader.record(&mut log.disk, fork).expect("reads") else {
        panic!("a branch begins there");
    };
    let first = usize::try_from(next).expect("small");
    log.disk.live(File::Chain)[first + 20] ^= 1;
    (log, fork)
}

#[test]
fn the_first_block_of_a_branch_that_nobody_has_takes_nothing_else_with_it() {
    for blocks in [12, 69, 70, 128] {
        let (whole, fork) = damaged_behind_a_fork(blocks);
        let (mut log, ending) = open(whole.disk.clone());
        assert_eq!(ending, Ending::Hole);
        let expected = chain(&mut log);
        log.give_up().expect("copied and cut");
        assert_eq!(log.bytes(), fork, "no branch without a block is left");
        assert_eq!(chain(&mut log), expected);
        // A start before anything else came finds what the reorg had replaced.
        let (mut again, ending) = open(log.disk.clone());
        assert_eq!((tip(&again).0, ending), (blocks + 1, Ending::Clean));
        check(&mut again);
        for name in ["one", "two", "three"] {
            toggle(&mut log, 3, name).expect("goes on");
            check(&mut log);
            let known = chain(&mut log);
            let (mut again, ending) = open(log.disk.after_power_cut(0));
            assert_eq!((tip(&again), ending), (tip(&log), Ending::Clean));
            assert!(
                chain(&mut again) == known,
                "{blocks}: old blocks under the right tip"
            );
            check(&mut again);
        }
    }
}

/// A node whose chain ends at a fork that its file does not tell of.
fn at_a_fork() -> Log<MemoryDisk> {
    let (mut log, _) = open(damaged_behind_a_fork(70).0.disk);
    log.give_up().expect("copied and cut");
    log
}

#[test]
fn a_checkpoint_does_not_know_more_than_the_file() {
    let mut log = at_a_fork();
    log.write_checkpoint();
    log.checkpoint();
    let (mut again, _) = open(log.disk.after_power_cut(0));
    toggle(&mut again, 3, "one").expect("goes on");
    let expected = chain(&mut again);
    let mut disk = again.disk.after_power_cut(0);
    disk.live(File::Checkpoint).clear();
    let (mut slow, ending) = open(disk);
    assert_eq!((tip(&slow), ending), (tip(&again), Ending::Clean));
    assert!(chain(&mut slow) == expected);
}

#[test]
fn a_compaction_at_a_fork_leaves_a_file_that_tells_of_it() {
    let mut log = at_a_fork();
    let expected = chain(&mut log);
    while !log.compact(20).expect("compacts") {}
    let (mut again, ending) = open(log.disk.after_power_cut(0));
    assert_eq!((tip(&again), ending), (tip(&log), Ending::Clean));
    assert!(chain(&mut again) == expected);
    for log in [&mut log, &mut again] {
        toggle(log, 3, "one").expect("goes on");
        check(log);
    }
    assert!(log.disk.live(File::Chain) == again.disk.live(File::Chain));
}

#[test]
fn a_file_that_was_compacted_can_be_read_again_without_a_start() {
    let blocks = chain(&mut grown(80));
    for header in [record::header(2), record::header_of(VERSION_FIRST, 2)] {
        let (mut log, _) = open(file_behind(header, &blocks));
        while !log.compact(20).expect("compacts") {}
        assert_eq!(log.reopen(), Ok(None));
        assert!(chain(&mut log) == blocks);
        check(&mut log);
        toggle(&mut log, 3, "one").expect("goes on");
        let (mut again, ending) = open(log.disk.after_power_cut(0));
        assert_eq!((tip(&again), ending), (tip(&log), Ending::Clean));
        check(&mut again);

        // Of all blocks nothing is left, and what comes then has only the header before it.
        log.disk.live(File::Chain)[HEADER_BYTES..].fill(0);
        let cut = log.reopen().expect("reads").expect("damage");
        assert_eq!((tip(&log).0, cut.ending), (0, Ending::Damaged));
        toggle(&mut log, 3, "first").expect("goes on");
        let (mut again, ending) = open(log.disk.after_power_cut(0));
        assert_eq!((tip(&again), ending), (tip(&log), Ending::Clean));
        check(&mut again);
    }
}

#[test]
fn a_chain_that_grows_again_after_a_reopening_is_read_from_its_own_places() {
    let (mut log, _) = open(MemoryDisk::default());
    for step in 0..60 {
        toggle(&mut log, 1, &format!("item-{}", step % 7)).expect("appended");
    }
    log.read(49).expect("reads");
    log.disk.live(File::Chain)[4_000..].fill(0);
    log.reopen().expect("reads").expect("damage");
    assert!(log.tip().length < 40, "{:?}", log.tip());
    for step in 0..60 {
        toggle(&mut log, 2, &format!("longer-name-{}", step % 7)).expect("appended");
    }
    assert_eq!(log.read(55).expect("reads").block.index, 55);
    check(&mut log);
}

#[test]
fn a_compaction_copies_nothing_that_a_reopening_cut() {
    let mut log = grown(80);
    assert_eq!(log.compact(60), Ok(false));
    // Of all blocks but the first few nothing is left.
    let bytes = log.disk.live(File::Chain);
    for byte in bytes.iter_mut().skip(4_000) {
        *byte = !*byte;
    }
    let cut = log.reopen().expect("reads").expect("damage");
    assert_eq!(cut.ending, Ending::Damaged);
    assert!(log.tip().length < 60, "{:?}", log.tip());
    for step in 0..80 {
        toggle(&mut log, 9, &format!("other-{}", step % 7)).expect("appended");
    }
    let expected = chain(&mut log);
    while !log.compact(20).expect("compacts") {}
    assert!(chain(&mut log) == expected);
    let (mut again, ending) = open(log.disk.after_power_cut(0));
    assert_eq!((tip(&again), ending), (tip(&log), Ending::Clean));
    assert!(chain(&mut again) == expected);
    check(&mut again);
}

#[test]
fn the_branch_that_comes_after_the_last_resort_is_the_chain() {
    for back in [0, 3] {
        let mut log = at_a_fork();
        let fork = log.tip().length - back;
        stage(&mut log, fork, back + 2, "other");
        while log.adopt(1).expect("adopts").is_none() {}
        check(&mut log);
        let expected = chain(&mut log);
        let (mut again, ending) = open(log.disk.after_power_cut(0));
        assert_eq!((tip(&again), ending), (tip(&log), Ending::Clean));
        assert!(chain(&mut again) == expected);
    }
}

/// What a file of these blocks looks like, whether they follow each other or not.
fn file_of(blocks: &[Block]) -> MemoryDisk {
    file_behind(record::header(2), blocks)
}

fn file_behind(header: [u8; HEADER_BYTES], blocks: &[Block]) -> MemoryDisk {
    let mut bytes = header.to_vec();
    let mut check = record::le_u32(&bytes[bytes.len() - 4..]);
    let (mut keys, mut items) = (KeyTable::default(), Items::default());
    for block in blocks {
        let mut changes = Changes::default();
        let undo_data = changes.apply_block(&items, block).expect("fits");
        items.commit(changes);
        let body = Body::Block(BlockBody::new(block, &undo_data, &mut keys));
        check = body.write(check, &mut bytes).expect("short");
    }
    let mut disk = MemoryDisk::default();
    *disk.live(File::Chain) = bytes;
    disk
}

#[test]
fn a_block_behind_another_one_than_it_names_is_damage() {
    let mut old = grown(20);
    let mut new = open(old.disk.clone()).0;
    let fork = old.tip().length - 3;
    toggle(&mut old, 1, "old").expect("appended");
    stage(&mut new, fork, 4, "new");
    while new.adopt(9).expect("adopts").is_none() {}
    let (old, mut mixed) = (chain(&mut old), chain(&mut new));
    assert_eq!(tip(&open(file_of(&mixed)).0), tip(&new));
    let last = mixed.len() - 1;
    mixed[last] = old[last].clone();
    let (mut log, ending) = open(file_of(&mixed));
    assert_eq!((tip(&log).0, ending), (last as u64, Ending::Damaged));
    check(&mut log);
}

#[test]
fn a_read_that_ends_elsewhere_than_the_next_mark_says_is_damage() {
    let mut log = grown(65);
    assert!(log.read(63).is_ok());
    log.forget_cursor();
    let fork = log.state.marks.remove(1);
    assert_eq!(
        fork.height, 61,
        "in front of what it names an old block stands"
    );
    assert!(log.read(63).is_err());
    assert_eq!(log.damaged(), Some(63));
}

#[test]
fn the_last_height_of_all_behind_a_hole_is_no_danger() {
    let mut blocks = chain(&mut grown(6));
    blocks.truncate(2);
    let mut last = blocks[1].clone();
    (last.index, last.transactions) = (u64::MAX, Vec::new());
    let mut disk = file_of(&[blocks[0].clone(), blocks[1].clone(), last]);
    disk.live(File::Chain)[120] ^= 1;
    let (log, ending) = open(disk);
    assert_eq!((tip(&log).0, ending), (1, Ending::Hole));
    assert_eq!(log.hole(), Some(u64::MAX));
}

#[test]
fn a_block_that_is_too_long_for_a_record_is_refused_and_leaves_no_trace() {
    let mut log = grown(10);
    let before = (tip(&log), log.disk.live(File::Chain).clone());
    let long = "x".repeat(limits::RECORD_BODY_MAX);
    let refused = toggle(&mut log, 77, &long);
    assert_eq!(refused, Err(AppendError::Rule(RuleError::TooLong)));
    let (length, hash) = before.0;
    log.begin(length).expect("begins");
    while !log.unwind(9).expect("unwinds") {}
    let block = super::tests::block((length, hash), 77, &[(Kind::Request, &long)]);
    assert_eq!(
        log.stage(&block),
        Err(AppendError::Rule(RuleError::TooLong))
    );
    log.abandon();
    assert!(before == (tip(&log), log.disk.live(File::Chain).clone()));
    toggle(&mut log, 77, "short").expect("goes on");
    check(&mut open(log.disk.clone()).0);
}
