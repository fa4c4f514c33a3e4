//! Checkpoints and compaction: what is written beside the chain file changes nothing about it.

use super::disk::memory::MemoryDisk;
use super::disk::{Disk, File};
use super::log::Log;
use super::recover::Ending;
use super::state::Verified;
use super::tests::{check, open, stage, tip, toggle};

/// A chain of several authors with a reorg in it.
pub(super) fn grown(blocks: u64) -> Log<MemoryDisk> {
    let (mut log, _) = open(MemoryDisk::default());
    for step in 0..blocks {
        let author = u8::try_from(step % 5 + 1).expect("small");
        toggle(&mut log, author, &format!("item-{}", step % 17)).expect("appended");
    }
    let length = log.tip().length;
    stage(&mut log, length - 5, 7, "z");
    while log.adopt(4).expect("adopts").is_none() {}
    log
}

fn whole(disk: &mut MemoryDisk) -> Vec<u8> {
    disk.live(File::Chain).clone()
}

#[test]
fn a_checkpoint_changes_nothing_but_what_a_start_reads() {
    let mut log = grown(900);
    let verified = Verified {
        seconds: 5.5,
        length: 900,
    };
    log.note_verified(verified);
    log.write_checkpoint();
    for name in ["later", "item-3"] {
        toggle(&mut log, 7, name).expect("appended");
    }
    let expected = (tip(&log), log.stale_bytes(), log.bytes());

    let mut without = log.disk.clone();
    without.live(File::Checkpoint).clear();
    without.bytes_read = 0;
    let (mut slow, ending) = open(without);
    assert_eq!((tip(&slow), slow.stale_bytes(), slow.bytes()), expected);
    assert_eq!(ending, Ending::Clean);
    check(&mut slow);

    let mut with = log.disk.clone();
    with.bytes_read = 0;
    let (mut fast, ending) = open(with);
    let (fast_read, slow_read) = (fast.disk.bytes_read, slow.disk.bytes_read);
    assert_eq!((tip(&fast), fast.stale_bytes(), fast.bytes()), expected);
    assert_eq!(ending, Ending::Clean);
    assert_eq!(fast.items(), slow.items());
    assert_eq!((fast.verified(), slow.verified()), (Some(verified), None));
    check(&mut fast);
    for log in [&mut fast, &mut slow] {
        toggle(log, 3, "item-3").expect("goes on");
    }
    assert_eq!(
        whole(&mut fast.disk),
        whole(&mut slow.disk),
        "the same bytes from here on"
    );
    assert!(
        fast_read > 0 && fast_read < slow_read,
        "{fast_read} of {slow_read}"
    );
}

#[test]
fn a_checkpoint_that_does_not_fit_is_ignored() {
    let mut log = grown(60);
    log.write_checkpoint();
    let checkpoint = log.disk.live(File::Checkpoint).clone();
    let expected = tip(&log);
    for at in 0..checkpoint.len() {
        let mut disk = log.disk.clone();
        disk.live(File::Checkpoint)[at] ^= 0x20;
        assert_eq!(tip(&open(disk).0), expected, "byte {at}");
    }
    for size in [0, 1, 11, 12, checkpoint.len() - 1] {
        let mut disk = log.disk.clone();
        disk.live(File::Checkpoint).truncate(size);
        assert_eq!(tip(&open(disk).0), expected, "{size} bytes");
    }
    // Of another chain, and of a file that has become shorter.
    let mut other = grown(61);
    *other.disk.live(File::Checkpoint) = checkpoint.clone();
    let tip_of_other = tip(&other);
    assert_eq!(tip(&open(other.disk.clone()).0), tip_of_other);
    let mut disk = log.disk.clone();
    let size = disk.live(File::Chain).len();
    disk.live(File::Chain).truncate(size - 1);
    let (mut cut, ending) = open(disk);
    assert_eq!(
        ending,
        Ending::OpenBranch,
        "the last record closed a branch"
    );
    check(&mut cut);
}

#[test]
fn compaction_keeps_the_chain_and_drops_the_rest() {
    let mut log = grown(100);
    let length = log.tip().length;
    stage(&mut log, 3, length, "long");
    while log.adopt(9).expect("adopts").is_none() {}
    let (before, bytes) = (tip(&log), log.bytes());
    assert!(
        log.stale_bytes() * 2 > bytes - 2_000,
        "{} of {bytes}",
        log.stale_bytes()
    );
    let mut steps = 0;
    while !log.compact(10).expect("compacts") {
        steps += 1;
        let (mut cut, ending) = open(log.disk.after_power_cut(3));
        assert_eq!((tip(&cut), ending), (before, Ending::Clean));
        check(&mut cut);
    }
    assert!(steps > 3);
    assert_eq!((tip(&log), log.stale_bytes()), (before, 0));
    // It does not stand where it would in the old file.
    toggle(&mut log, 2, "next").expect("goes on");
    let next = log.read(before.0).expect("reads").block;
    assert_eq!((next.index, next.hash), (before.0, log.tip().hash));
    assert!(log.bytes() < bytes * 6 / 10, "{} of {bytes}", log.bytes());
    check(&mut log);
    toggle(&mut log, 2, "after").expect("goes on");
    let after = tip(&log);
    let (mut log, ending) = open(log.disk.clone());
    assert_eq!((tip(&log), ending), (after, Ending::Clean));
    check(&mut log);
}

#[test]
fn a_chain_that_grows_or_reorgs_while_it_is_compacted_stays_whole() {
    let mut log = grown(80);
    for round in 0..40 {
        let done = log.compact(5).expect("compacts");
        if round % 2 == 0 {
            toggle(&mut log, 3, "busy").expect("appended");
        }
        if round % 7 == 6 {
            let fork = log.tip().length - 2 - round;
            let name = format!("reorg-{round}");
            let count = log.tip().length - fork + 1;
            stage(&mut log, fork, count, &name);
            while log.adopt(50).expect("adopts").is_none() {}
        }
        check(&mut log);
        let before = (tip(&log), log.stale_bytes());
        let (reopened, ending) = open(log.disk.clone());
        assert_eq!(ending, Ending::Clean);
        assert_eq!((tip(&reopened), reopened.stale_bytes()), before, "{done}");
    }
    while !log.compact(50).expect("compacts") {}
    check(&mut log);
}

#[test]
fn a_checkpoint_from_before_a_compaction_is_ignored() {
    let mut log = grown(80);
    log.write_checkpoint();
    while !log.compact(50).expect("compacts") {}
    let before = tip(&log);
    let (mut reopened, ending) = open(log.disk.clone());
    assert_eq!((tip(&reopened), ending), (before, Ending::Clean));
    check(&mut reopened);
}

#[test]
fn a_disk_that_is_full_while_compacting_leaves_the_old_file() {
    let mut log = grown(60);
    let before = (tip(&log), log.bytes());
    log.disk.room = Some(2_000);
    let failed = loop {
        match log.compact(5) {
            Ok(done) => assert!(!done),
            Err(error) => break error,
        }
    };
    assert_eq!(failed.file, File::Compacted);
    log.disk.room = None;
    assert_eq!((tip(&log), log.bytes()), before);
    check(&mut log);
    toggle(&mut log, 3, "after").expect("the chain file is not at fault");
    let mut disk = log.disk.clone();
    assert!(disk.len(File::Compacted).expect("a size") > 0);
    check(&mut open(disk).0);
}
