//! What stands behind damage is read as far as it can be, whatever the file looks like.

use super::*;
use crate::ledger::Hash;
use crate::store::disk::memory::MemoryDisk;
use crate::store::record::HEADER_BYTES;
use crate::store::tests::{open, stage, toggle};
use crate::store::upkeep_tests::grown;

/// A record of a chain file: where it is, and the height and hash of its block if it is one.
struct Record {
    offset: u64,
    block: Option<(u64, Hash)>,
}

fn records(log: &mut Log<MemoryDisk>) -> Vec<Record> {
    let (mut records, mut offset) = (Vec::new(), HEADER_BYTES as u64);
    while let Found::Record { body, next, .. } =
        log.reader.record(&mut log.disk, offset).expect("reads")
    {
        let block = match Body::read(body) {
            Some(Body::Block(body)) => Some((body.index, Hash::new(body.hash))),
            _ => None,
        };
        records.push(Record { offset, block });
        offset = next;
    }
    records
}

/// The blocks of the chain from a height on.
fn chain(log: &mut Log<MemoryDisk>, from: u64) -> Vec<(u64, Hash)> {
    let heights = from..log.tip().length;
    let block = |height| (height, log.hash(height).expect("reads"));
    heights.map(block).collect()
}

/// The blocks that are kept to be made again.
fn kept(disk: &mut MemoryDisk) -> Vec<(u64, Hash)> {
    let mut kept = Vec::new();
    if let Some(mut behind) = Extract::behind(disk).expect("it is whole") {
        while let Some(stored) = behind.next(disk).expect("reads") {
            kept.push((stored.block.index, stored.block.hash));
        }
    }
    kept
}

/// A start with these records damaged, and the last resort.
fn give_up(log: &Log<MemoryDisk>, damaged: &[u64]) -> Log<MemoryDisk> {
    let mut disk = log.disk.clone();
    for offset in damaged {
        disk.live(File::Chain)[usize::try_from(*offset).expect("small") + 8] ^= 4;
    }
    let (mut log, _) = open(disk);
    log.give_up()
        .expect("copied and cut")
        .expect("there is a hole");
    log
}

#[test]
fn all_but_the_damaged_blocks_are_kept_whatever_branches_there_are() {
    let (mut log, _) = open(MemoryDisk::default());
    // All whose blocks come later.
    for author in [1, 2, 3, 4, 5, 9] {
        toggle(&mut log, author, "known").expect("appended");
    }
    for round in 0..6 {
        for step in 0..15 {
            toggle(&mut log, step % 5 + 1, &format!("item-{round}-{step}")).expect("appended");
        }
        let length = log.tip().length;
        stage(&mut log, length - 3, 6, &format!("fork-{round}"));
        while log.adopt(4).expect("adopts").is_none() {}
    }
    let (records, tip) = (records(&mut log), log.tip().length);
    let counts = |log: &mut Log<MemoryDisk>, record: &Record| {
        let block = record.block;
        block.is_some_and(|(height, hash)| height < tip && log.hash(height) == Ok(hash))
    };
    let mut tried = 0;
    for first in 7..records.len() - 2 {
        // A second one, further on or none.
        for second in [first, first + 1, first + 7, records.len() - 2] {
            let Some(other) = records.get(second).filter(|it| it.block.is_some()) else {
                continue;
            };
            let one = &records[first];
            if !counts(&mut log, one) {
                continue;
            }
            let damaged = [one.offset, other.offset];
            let mut gone = give_up(
                &log,
                if first == second {
                    &damaged[..1]
                } else {
                    &damaged
                },
            );
            let mut expected = chain(&mut log, gone.tip().length);
            expected.retain(|block| ![one.block, other.block].contains(&Some(*block)));
            assert_eq!(kept(&mut gone.disk), expected, "{first} {second}");
            assert_eq!(gone.take_given_up(), !expected.is_empty());
            tried += 1;
        }
    }
    assert!(tried > 200, "{tried}");
}

#[test]
fn a_branch_that_never_counted_is_not_kept() {
    let mut log = grown(60);
    let (first, length) = (records(&mut log)[40].offset, log.tip().length);
    let expected = chain(&mut log, 41);
    stage(&mut log, length - 8, 20, "unfinished");
    assert!(log.adopt(9).expect("copies").is_none());
    let mut gone = give_up(&log, &[first]);
    assert_eq!(kept(&mut gone.disk), expected);
}

#[test]
fn a_key_that_was_told_in_the_damage_hides_only_what_it_signed() {
    let (mut log, _) = open(MemoryDisk::default());
    for (author, item) in [(1, "a"), (2, "b"), (3, "c"), (2, "d"), (4, "e"), (3, "f")] {
        toggle(&mut log, author, item).expect("appended");
    }
    let records = records(&mut log);
    // Block 2 is the first of author 2.
    let mut gone = give_up(&log, &[records[2].offset]);
    let mut expected = chain(&mut log, 3);
    expected.remove(1);
    assert_eq!(kept(&mut gone.disk), expected);
}

#[test]
fn damage_that_is_found_before_all_is_made_again_takes_nothing_of_that_away() {
    let mut log = grown(60);
    let first = records(&mut log);
    let mut gone = give_up(&log, &[first[40].offset]);
    let before = kept(&mut gone.disk);
    assert!(before.len() > 10);
    let second = records(&mut gone);
    let mut gone = give_up(&gone, &[second[30].offset]);
    let mut expected = chain(&mut log, 31);
    expected.retain(|(height, _)| *height != gone.tip().length);
    expected.retain(|(height, _)| *height < 40);
    expected.extend(before);
    assert_eq!(kept(&mut gone.disk), expected);
}

#[test]
fn a_process_that_ends_before_the_cut_keeps_nothing_twice() {
    let mut log = grown(60);
    let records = records(&mut log);
    let mut gone = give_up(&log, &[records[40].offset]);
    let once = kept(&mut gone.disk);
    // The file is there, and the damage as well.
    *log.disk.live(File::Behind) = gone.disk.live(File::Behind).clone();
    let mut again = give_up(&log, &[records[40].offset]);
    assert!(again.take_given_up());
    assert_eq!(kept(&mut again.disk), once);
}

#[test]
fn a_full_disk_leaves_the_damage_and_what_is_behind_it_as_they_were() {
    let log = grown(60);
    let mut disk = log.disk.clone();
    let half = disk.live(File::Chain).len() / 2;
    disk.live(File::Chain)[half] ^= 4;
    let (mut log, _) = open(disk);
    let (tip, bytes) = (log.tip(), log.disk.live(File::Chain).clone());
    let rooms = (0..).step_by(97).take_while(|room| {
        log.disk.room = Some(*room);
        let given_up = log.give_up();
        if given_up.is_err() {
            let is_there = log.hole().is_some() && log.disk.live(File::Chain) == &bytes;
            assert!(is_there && log.tip() == tip && !log.take_given_up());
        }
        given_up.is_err()
    });
    assert!(rooms.count() > 10);
    assert!(log.take_given_up() && !kept(&mut log.disk).is_empty());
}
