//! The chain file under power cuts, full disks and damage.

use std::collections::BTreeMap;

use super::bounds::Bounds;
use super::disk::memory::MemoryDisk;
use super::disk::{Disk, File};
use super::log::Log;
use super::recover::Ending;
use super::state::AppendError;
use crate::ledger::{Block, Hash, Identity, Kind, Timestamp, Uid, Work};

pub(super) const NOW: Timestamp = Timestamp::Integer(1_000);

pub(super) fn open(disk: MemoryDisk) -> (Log<MemoryDisk>, Ending) {
    let (log, recovery) = Log::open(disk, None, NOW).expect("opens");
    (log, recovery.ending)
}

/// A block of `author`s behind another one: requests or releases each named item.
pub(super) fn block(prev: (u64, Hash), author: u8, steps: &[(Kind, &str)]) -> Block {
    let identity = Identity::from_secret(&[author; 32]).expect("a key");
    let mut block = Block::genesis(NOW);
    block.index = prev.0;
    block.prev_hash = prev.1;
    block.transactions = steps
        .iter()
        .map(|(kind, name)| identity.sign(*kind, (*name).into(), NOW))
        .collect();
    let mut work = Work::new(block, 0);
    assert!(work.step(1));
    work.into_block()
}

pub(super) fn tip(log: &Log<MemoryDisk>) -> (u64, Hash) {
    (log.tip().length, log.tip().hash)
}

use Kind::{Release, Request};

/// Adds a block that requests the item, or releases it if somebody has it.
pub(super) fn toggle(log: &mut Log<MemoryDisk>, author: u8, name: &str) -> Result<(), AppendError> {
    let held = log
        .items()
        .get(&name.into())
        .is_some_and(|item| item.reserved);
    let kind = if held { Release } else { Request };
    log.append(&block(tip(log), author, &[(kind, name)]))
}

/// A branch of `count` blocks that leaves the chain before `fork`, staged and ready.
pub(super) fn stage(log: &mut Log<MemoryDisk>, fork: u64, count: u64, name: &str) -> (u64, Hash) {
    log.begin(fork).expect("begins");
    while !log.unwind(3).expect("unwinds") {}
    for step in 0..count {
        let before = log.branch_tip().expect("open");
        let kind = if step % 2 == 0 { Request } else { Release };
        let steps: &[_] = if before.length == 0 {
            &[]
        } else {
            &[(kind, name)]
        };
        // A first block moves the pair of request and release by one.
        let steps = if fork == 0 && before.length > 0 {
            &[(if step % 2 == 1 { Request } else { Release }, name)]
        } else {
            steps
        };
        log.stage(&block((before.length, before.hash), 9, steps))
            .expect("stages");
    }
    let tip = log.branch_tip().expect("open");
    (tip.length, tip.hash)
}

/// What the whole chain says, read block by block: the dullest way to know.
fn reread(log: &mut Log<MemoryDisk>) -> BTreeMap<Uid, bool> {
    let mut items = BTreeMap::new();
    let mut hash = Hash::ZERO;
    for height in 0..log.tip().length {
        let block = log.read(height).expect("reads").block;
        block.check_alone(0).expect("its own hash");
        block.check_link(height, &hash).expect("linked");
        hash = block.hash;
        for transaction in block.transactions {
            items.insert(transaction.uid, transaction.kind == Request);
        }
    }
    assert_eq!(hash, log.tip().hash);
    items
}

pub(super) fn check(log: &mut Log<MemoryDisk>) {
    let items = reread(log);
    let table: BTreeMap<_, _> = log
        .items()
        .after(None)
        .map(|(key, state)| (key.name().expect("a short one"), state.reserved))
        .collect();
    assert_eq!(table, items);
    assert_eq!(
        log.items().reserved(),
        items.values().filter(|held| **held).count()
    );
}

#[test]
fn a_chain_is_the_same_after_a_restart() {
    let (mut log, ending) = open(MemoryDisk::default());
    assert_eq!(ending, Ending::Clean);
    for step in 0..200 {
        toggle(&mut log, step % 5 + 1, &format!("item-{}", step % 17)).expect("appended");
    }
    check(&mut log);
    let before = tip(&log);
    let bytes = log.bytes();
    let (mut log, ending) = open(log.disk.clone());
    assert_eq!(
        (tip(&log), log.bytes(), ending),
        (before, bytes, Ending::Clean)
    );
    check(&mut log);
    for height in [0, 63, 64, 65, 1, 200, 127, 128] {
        assert_eq!(log.read(height).expect("reads").block.index, height);
    }
}

#[test]
fn a_power_cut_at_any_byte_of_an_append_loses_nothing_that_was_acknowledged() {
    let (mut log, _) = open(MemoryDisk::default());
    for name in ["a", "b", "a"] {
        toggle(&mut log, 1, name).expect("appended");
    }
    let (acknowledged, before) = (tip(&log), log.disk.clone());
    toggle(&mut log, 2, "c").expect("appended");
    let (next, grown) = (tip(&log), log.disk.clone());
    let size = usize::try_from(log.bytes()).expect("small");
    let start = usize::try_from(before.clone().len(File::Chain).expect("size")).expect("small");
    for kept in start..=size {
        let mut disk = before.clone();
        *disk.live(File::Chain) = grown.clone().live(File::Chain)[..kept].to_vec();
        let (mut log, ending) = open(disk);
        let expected = match kept {
            _ if kept == start => (acknowledged, Ending::Clean),
            _ if kept == size => (next, Ending::Clean),
            _ => (acknowledged, Ending::Torn),
        };
        assert_eq!((tip(&log), ending), expected, "{kept} bytes");
        check(&mut log);
        toggle(&mut log, 3, "d").expect("goes on");
        let (mut log, ending) = open(log.disk.clone());
        assert_eq!(ending, Ending::Clean);
        check(&mut log);
    }
}

#[test]
fn a_reorg_is_all_or_nothing_at_every_byte() {
    for fork in [0, 1, 3, 5] {
        let (mut log, _) = open(MemoryDisk::default());
        for name in ["a", "b", "a", "c"] {
            toggle(&mut log, 1, name).expect("appended");
        }
        let (old, before) = (tip(&log), log.disk.clone());
        let old_blocks: Vec<_> = (0..5).map(|h| log.read(h).expect("reads").block).collect();
        let new = stage(&mut log, fork, 7, "z");
        let disconnected = loop {
            if let Some(disconnected) = log.adopt(2).expect("adopts") {
                break disconnected;
            }
            assert_eq!(tip(&log), old, "nothing counts yet");
        };
        assert_eq!(tip(&log), new);
        check(&mut log);
        for height in fork..5 {
            let block = log
                .read_disconnected(&disconnected, height)
                .expect("still there")
                .block;
            assert_eq!(block, old_blocks[usize::try_from(height).expect("small")]);
        }
        let grown = log.disk.clone();
        let start = before.clone().live(File::Chain).len();
        let size = grown.clone().live(File::Chain).len();
        for kept in start..=size {
            let mut disk = grown.clone();
            disk.live(File::Chain).truncate(kept);
            let (mut log, ending) = open(disk);
            assert_eq!(
                tip(&log),
                if kept == size { new } else { old },
                "{kept} of {size}"
            );
            assert_ne!(ending, Ending::Damaged, "{kept} of {size}");
            check(&mut log);
            toggle(&mut log, 2, "later").expect("goes on");
            check(&mut open(log.disk.clone()).0);
        }
    }
}

#[test]
fn many_reorgs_keep_every_height_readable() {
    let (mut log, _) = open(MemoryDisk::default());
    let mut random = 12345_u64;
    for round in 0..60 {
        random = random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let length = log.tip().length;
        if round % 3 == 0 {
            let fork = length - (random >> 33) % length.min(90);
            let name = format!("reorg-{round}");
            stage(&mut log, fork, length - fork + 1, &name);
            // Ours grows while the other one is staged.
            if random.is_multiple_of(2) {
                toggle(&mut log, 4, "meanwhile").expect("appended");
            }
            while log.adopt(5).expect("adopts").is_none() {}
        } else {
            for step in 0..random % 40 {
                toggle(&mut log, 1, &format!("item-{}", step % 7)).expect("appended");
            }
        }
        check(&mut log);
    }
    let before = tip(&log);
    let (mut log, ending) = open(log.disk.clone());
    assert_eq!((tip(&log), ending), (before, Ending::Clean));
    check(&mut log);
}

#[test]
fn a_dropped_branch_leaves_no_trace() {
    let (mut log, _) = open(MemoryDisk::default());
    toggle(&mut log, 1, "a").expect("appended");
    let before = log.disk.live(File::Chain).clone();
    stage(&mut log, 1, 5, "z");
    // It stands behind another block.
    let elsewhere = (6, Hash::ZERO);
    let refused = log.stage(&block(elsewhere, 9, &[(Request, "y")]));
    assert!(matches!(refused, Err(AppendError::Rule(_))), "{refused:?}");
    log.abandon();
    assert_eq!(*log.disk.live(File::Chain), before);
    toggle(&mut log, 1, "a").expect("appended");
    check(&mut log);
}

#[test]
fn a_full_disk_stops_writing_and_nothing_else() {
    for room in 0..120 {
        let (mut log, _) = open(MemoryDisk::default());
        toggle(&mut log, 1, "a").expect("appended");
        let before = tip(&log);
        log.disk.room = Some(room);
        let refused = toggle(&mut log, 2, "b");
        assert!(matches!(refused, Err(AppendError::Disk(_))), "{refused:?}");
        log.disk.room = None;
        assert!(toggle(&mut log, 2, "b").is_err(), "the first error stays");
        assert!(log.fault().is_some());
        assert_eq!(tip(&log), before);
        check(&mut log);
        let (mut log, ending) = open(log.disk.clone());
        assert_eq!((tip(&log), ending), (before, Ending::Clean));
        toggle(&mut log, 2, "b").expect("there is room again");
    }
}

#[test]
fn a_full_disk_during_a_reorg_leaves_the_old_chain() {
    let (mut whole, _) = open(MemoryDisk::default());
    toggle(&mut whole, 1, "a").expect("appended");
    let (before, start) = (tip(&whole), whole.disk.clone());
    for room in (0..700).step_by(13) {
        let (mut log, _) = open(start.clone());
        stage(&mut log, 1, 5, "z");
        log.disk.room = Some(room);
        let outcome = loop {
            match log.adopt(1) {
                Ok(None) => {}
                Ok(Some(_)) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        assert_eq!(outcome.is_err(), tip(&log) == before, "{room} bytes");
        check(&mut log);
        let (mut log, _) = open(log.disk.clone());
        assert_eq!(outcome.is_err(), tip(&log) == before);
        check(&mut log);
    }
}

#[test]
fn a_failed_sync_is_not_retried() {
    let (mut log, _) = open(MemoryDisk::default());
    let syncs = log.disk.syncs;
    log.disk.sync_fails = true;
    assert!(toggle(&mut log, 1, "a").is_err());
    log.disk.sync_fails = false;
    assert!(toggle(&mut log, 1, "a").is_err());
    assert_eq!(log.disk.syncs, syncs, "not even asked again");
}

#[test]
fn damage_is_set_aside_and_never_blessed() {
    let (mut log, _) = open(MemoryDisk::default());
    for name in ["a", "b", "c", "d"] {
        toggle(&mut log, 1, name).expect("appended");
    }
    let before = log.bytes();
    toggle(&mut log, 1, "last").expect("appended");
    let last = usize::try_from(log.bytes() - before).expect("small");
    let whole = log.disk.clone();
    let size = usize::try_from(log.bytes()).expect("small");
    for at in 0..size {
        let mut disk = whole.clone();
        disk.live(File::Chain)[at] ^= 0x10;
        let damaged = disk.live(File::Chain).clone();
        let (mut log, recovery) = Log::open(disk, None, NOW).expect("opens");
        let last = at >= size - last - 4;
        let expected = match at {
            0..16 => Ending::Clean,
            _ if last => Ending::Damaged,
            _ => Ending::Hole,
        };
        assert_eq!(recovery.ending, expected, "byte {at}");
        check(&mut log);
        let kept = match expected {
            Ending::Hole => log.give_up().expect("copied and cut").is_some(),
            other => other == Ending::Damaged,
        };
        if kept {
            let aside = log.disk.aside.last().expect("kept").clone();
            assert_eq!(damaged[damaged.len() - aside.len()..], aside[..]);
            assert!(
                aside.len() + at >= damaged.len() - 160,
                "only from the damaged record on"
            );
        }
        check(&mut log);
        toggle(&mut log, 1, "e").expect("goes on");
    }
}

#[test]
fn a_deep_reorg_needs_no_more_than_two_tables() {
    for items_max in [4, 10, 1_000] {
        let (mut log, _) = open(MemoryDisk::default());
        for step in 0..10 {
            toggle(&mut log, 1, &format!("item-{}", step % 10)).expect("appended");
        }
        log.set_bounds(Bounds {
            items: items_max,
            staging: u64::MAX,
        });
        for fork in [8, 5, 2, 1, 0] {
            log.begin(fork).expect("begins");
            while !log.unwind(3).expect("unwinds") {}
            let branch = log.branch.as_ref().expect("open");
            let left = usize::try_from(fork).expect("small").saturating_sub(1);
            assert_eq!(branch.changes.count(&log.state.items), left, "{fork}");
            let beneath = match branch.changes.is_from_nothing() {
                true => left,
                false => items_max / 2,
            };
            assert!(
                branch.changes.mentioned() <= beneath,
                "{fork} of {items_max}"
            );
            for item in 0..10 {
                let name = format!("item-{item}");
                let state = branch.changes.get(&log.state.items, &name.as_str().into());
                assert_eq!(state.is_some(), item < left, "{item} before {fork}");
            }
            log.abandon();
        }
    }
}

#[test]
fn a_block_in_the_place_of_half_a_copy_is_the_one_that_is_read() {
    let (mut log, _) = open(MemoryDisk::default());
    for step in 0..40 {
        toggle(&mut log, 1, &format!("item-{}", step % 7)).expect("appended");
    }
    let before = tip(&log);
    // More than is read at once.
    stage(&mut log, before.0 - 2, 100, &"x".repeat(1_000));
    assert!(log.adopt(3).expect("copies").is_none());
    // A look at the last block reads on into what was copied so far.
    log.reader.forget();
    log.read(before.0 - 1).expect("reads");
    log.disk.live(File::Candidate).clear();
    let lost = loop {
        match log.adopt(9) {
            Ok(done) => assert!(done.is_none(), "nothing is left to copy"),
            Err(error) => break error,
        }
    };
    assert_eq!(lost.file, File::Candidate);
    assert_eq!((tip(&log), log.fault()), (before, None));
    toggle(&mut log, 2, "item-1").expect("goes on");
    let last = log.read(before.0).expect("reads").block;
    assert_eq!((last.index, last.hash), (before.0, log.tip().hash));
    check(&mut log);
}
