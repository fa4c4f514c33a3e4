//! A good chain file, to which something happens.

use std::sync::OnceLock;

use blx::ledger::Block;
use blx::store::disk::File;
use blx::store::log::Log;
use blx::store::recover::OpenError;

use super::disk::SimDisk;
use super::history::{Chain, History, NOW, Step, goes_on, own_table, read_all, table};
use super::random::Random;
use super::script::Script;

/// A chain file, its checkpoint, and the chains that it ever held.
pub struct Good {
    pub chain: Vec<u8>,
    pub checkpoint: Vec<u8>,
    pub chains: Vec<Chain>,
}

/// One with two reorgs, a checkpoint, and a block of several sectors. Made once: signing takes long.
pub fn good() -> &'static Good {
    static GOOD: OnceLock<Good> = OnceLock::new();
    GOOD.get_or_init(|| {
        let mut random = Random::new(3);
        let mut history = History::new(0, usize::MAX);
        while history.chain().len() < 20 {
            match history.chain().len() {
                6 | 15 => history.branch(&mut random, false, true),
                10 => history.append(&mut random, 8),
                _ => history.append(&mut random, 1),
            }
            if history.chain().len() == 13 {
                history.take(Step::Checkpoint);
            }
        }
        let disk = SimDisk::default();
        assert!(history.run(&disk).is_ok(), "a sound disk takes it all");
        Good {
            chain: disk.live(File::Chain),
            checkpoint: disk.live(File::Checkpoint),
            chains: history.chains,
        }
    })
}

/// Does to a file what a card does. No bytes are put there that were chosen: a checksum could be right.
fn hurt(file: &mut Vec<u8>, script: &mut Script<'_>) {
    while !script.is_over() {
        let how = script.below(6);
        let at = script.place(file.len());
        let end = (at + script.place(600)).min(file.len());
        match how {
            0 => file.truncate(at),
            1 => file[at..end].fill(0),
            2 => drop(file.drain(at..end)),
            3 => {
                let again = file[at..end].to_vec();
                let place = script.place(file.len());
                file.splice(place..place, again);
            }
            4 => file.resize(file.len() + (end - at), 0),
            _ => {
                if let Some(byte) = file.get_mut(at) {
                    *byte ^= script.byte();
                }
            }
        }
        file.truncate(1 << 16);
    }
}

/// Opens the file, gives up what cannot be read, and has all blocks that are left.
pub fn survivors(log: &mut Log<SimDisk>) -> Chain {
    // Each time something is given up that was met when it was read.
    for _ in 0..50 {
        while log.hole().is_some() {
            log.give_up().expect("the disk is sound");
        }
        match read_all(log) {
            Ok(blocks) => return blocks,
            Err(_) => drop(log.reopen().expect("the disk is sound")),
        }
    }
    panic!("it does not come to an end");
}

/// Whatever happened to it, a start finds the beginning of a chain that once was, and goes on.
pub fn damage(data: &[u8]) {
    let good = good();
    let mut script = Script::new(data);
    let mut file = good.chain.clone();
    let kept = script.byte() % 2 == 1;
    hurt(&mut file, &mut script);
    let checkpoint: &[u8] = if kept { &good.checkpoint } else { &[] };
    let disk = SimDisk::with(&file, checkpoint);
    let mut log = match Log::open(disk.clone(), None, NOW) {
        Ok((log, recovery)) => {
            let _ = recovery.notice();
            log
        }
        Err(OpenError::Foreign | OpenError::Newer(_)) => {
            assert_eq!(disk.live(File::Chain), file, "what is not ours stays");
            return;
        }
        Err(error) => panic!("open: {error}"),
    };
    let blocks = survivors(&mut log);
    if blocks.is_empty() {
        log.begin_chain(NOW).expect("the disk is sound");
        return goes_on(log).unwrap_or_else(|why| panic!("from nothing: {why}"));
    }
    let begins = |chain: &Vec<Block>| chain.starts_with(&blocks);
    let alone = [Block::genesis(NOW)];
    assert!(
        blocks == alone || good.chains.iter().any(begins) || theirs(good, &blocks),
        "{} blocks that never were",
        blocks.len()
    );
    assert_eq!(own_table(&log), table(&blocks));
    goes_on(log).unwrap_or_else(|why| panic!("{} blocks: {why}", blocks.len()));
}

/// Whether each block once stood where it is: a beginning of one chain with what another went on with,
/// which the links allow only if it did.
fn theirs(good: &Good, blocks: &[Block]) -> bool {
    let known = |(height, block): (usize, &Block)| {
        let mut chains = good.chains.iter();
        chains.any(|chain| chain.get(height) == Some(block))
    };
    blocks.iter().enumerate().all(known)
}
