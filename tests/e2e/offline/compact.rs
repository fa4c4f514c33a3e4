//! `blx compact`, and what a node does of it by itself.

use std::process::Stdio;

use super::*;
use blx::ledger::Tip;
use blx::shell::disk::SystemDisk;
use blx::store::branch::DisconnectedBlocks;
use blx::store::log::Log;

const NOW: Timestamp = Timestamp::Integer(1_000);

/// A directory whose chain of `blocks` was replaced from block 1 on by `others`.
fn with_stale_blocks(blocks: u64, others: u64) -> tempfile::TempDir {
    let directory = folder();
    reorg(directory.path(), blocks, others);
    directory
}

/// Makes such a chain, and tells what a reorg disconnected.
pub fn reorg(directory: &Path, blocks: u64, others: u64) -> (Log<SystemDisk>, DisconnectedBlocks) {
    let [old, new] = [("old", blocks), ("new", others)].map(|(word, count)| {
        let name = |index| format!("{word}-{index}");
        (1..=count).map(name).collect::<Vec<String>>()
    });
    reorg_to(directory, &old, &new)
}

/// The same with a block for each of these names.
pub fn reorg_to(
    directory: &Path,
    old: &[String],
    new: &[String],
) -> (Log<SystemDisk>, DisconnectedBlocks) {
    let disk = SystemDisk::open(directory).expect("opens");
    let (mut log, _) = Log::open(disk, Some(0), NOW).expect("opens");
    let identity = Identity::from_secret(&[1; 32]).expect("a key");
    let next = |tip: Tip, name: &String| {
        let mut block = Block::genesis(NOW);
        (block.index, block.prev_hash) = (tip.length, tip.hash);
        let request = identity.sign(Kind::Request, Uid::from(&**name), NOW);
        block.transactions.push(request);
        mined(block, 0)
    };
    for name in old {
        log.append(&next(log.tip(), name)).expect("appends");
    }
    log.begin(1).expect("begins");
    while !log.unwind(100).expect("unwinds") {}
    for name in new {
        let tip = log.branch_tip().expect("a branch");
        log.stage(&next(tip, name)).expect("stages");
    }
    loop {
        if let Some(disconnected) = log.adopt(100).expect("adopts") {
            return (log, disconnected);
        }
    }
}

fn verdict(directory: &Path) -> String {
    let file = directory.join("chain.blx");
    run::done(run::command(&["verify"]).arg(file), b"")
}

fn size(directory: &Path) -> u64 {
    let chain = directory.join("chain.blx");
    chain.metadata().expect("there is a chain").len()
}

#[test]
fn a_compacted_chain_is_the_same_chain_in_half_the_bytes() {
    let directory = with_stale_blocks(200, 201);
    let (before, chain) = (size(directory.path()), verdict(directory.path()));
    let (code, out, err) = blx(&["compact"], directory.path(), b"");
    let after = size(directory.path());
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(
        out,
        format!("compacted: {before} bytes before, {after} now\n")
    );
    assert!(after < before * 6 / 10, "{after} of {before}");
    assert_eq!(verdict(directory.path()), chain);
}

#[test]
fn only_a_directory_that_is_at_rest_is_compacted() {
    let directory = with_stale_blocks(3, 4);
    let lock = SystemDisk::open(directory.path()).expect("locks");
    let before = size(directory.path());
    let (code, _, err) = blx(&["compact"], directory.path(), b"");
    assert_eq!(code, 1);
    assert!(err.contains("in use by another blx"), "{err}");
    assert_eq!(size(directory.path()), before);
    drop(lock);
    let chain = directory.path().join("chain.blx");
    let mut rotten = fs::read(&chain).expect("reads");
    let at = rotten.len() - 300;
    rotten[at] ^= 1;
    fs::write(&chain, &rotten).expect("writes");
    let (code, _, err) = blx(&["compact"], directory.path(), b"");
    assert_eq!(code, 1);
    assert!(err.contains("damaged between blocks"), "{err}");
    assert_eq!(
        fs::read(&chain).expect("reads"),
        rotten,
        "what is behind it is kept"
    );
    let (code, _, err) = blx(&["compact"], folder().path(), b"");
    assert_eq!(code, 1);
    assert!(err.contains("there is no chain.blx"), "{err}");
    assert_eq!(blx(&["compact", "file"], directory.path(), b"").0, 2);
}

#[test]
fn a_node_compacts_by_itself_when_more_than_half_is_stale() {
    let directory = with_stale_blocks(600, 300);
    let (before, chain) = (size(directory.path()), verdict(directory.path()));
    let launch = Launch::on(directory.path()).arg("--headless").logging();
    let mut node = launch.spawn(Stdio::null());
    node.expect_log("is compacted");
    let told = node.rest_of_log_line();
    node.kill();
    let after = size(directory.path());
    assert!(
        told.ends_with(&format!("{before} bytes before, {after} now")),
        "{told}"
    );
    assert_eq!(verdict(directory.path()), chain);
}
