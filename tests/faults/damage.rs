//! A chain file of 64 blocks that was cut, flipped and mixed up. Whatever happened to it, a start
//! finds a chain that once was, and what it takes out of the file is kept beside.

use blx::ledger::Block;
use blx::store::disk::File;
use blx::store::log::Log;
use blx::store::recover::OpenError;
use blx::store::repair::Filled;

use super::disk::{SECTOR, SimDisk};
use super::full;
use super::history::{Chain, History, NOW, Step, check_one_of, goes_on, open, read_all};
use super::random::Random;

const BLOCKS: usize = 64;

/// A history that ends with this many blocks, has a reorg in it and a block of many sectors.
fn history() -> (History, Vec<u8>) {
    let mut random = Random::new(3);
    let mut history = History::new(0, usize::MAX);
    while history.chain().len() < BLOCKS {
        match history.chain().len() {
            40 => history.branch(&mut random, false, true),
            20 | 55 => history.append(&mut random, 8),
            _ => history.append(&mut random, 1),
        }
        if [39, 50].contains(&history.chain().len()) {
            history.take(Step::Checkpoint);
        }
    }
    assert_eq!(history.chain().len(), BLOCKS);
    let file = file_after(&history, history.steps.len(), File::Chain);
    (history, file)
}

fn file_after(history: &History, steps: usize, file: File) -> Vec<u8> {
    let history = History {
        steps: history.steps[..steps].to_vec(),
        chains: Vec::new(),
    };
    let disk = SimDisk::default();
    assert!(history.run(&disk).is_ok(), "a sound disk takes it all");
    disk.live(file)
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Refused,
    /// The start noticed.
    Noticed,
    /// A block could not be read back.
    Unreadable,
    Unnoticed,
}

/// Somebody with the undamaged file.
struct Peer<'a> {
    bytes: &'a [u8],
    blocks: Vec<Block>,
}

fn peer(bytes: &[u8]) -> Peer<'_> {
    let disk = SimDisk::with(bytes, &[]);
    let (mut log, _) = Log::open(disk, None, NOW).expect("a sound file");
    let heights = 0..log.tip().length;
    let blocks = heights
        .map(|height| log.read(height).expect("reads").block)
        .collect();
    Peer { bytes, blocks }
}

/// Fills the holes of a file from a peer; what that cannot tell is given up.
fn heal(log: &mut Log<SimDisk>, peer: &[Block]) -> Result<bool, String> {
    let mut filled = true;
    while log.hole().is_some() {
        log.begin_filling();
        let from = usize::try_from(log.tip().length).expect("small");
        let mut outcome = Ok(Filled::More);
        for block in peer.get(from..).unwrap_or_default() {
            if outcome == Ok(Filled::More) {
                outcome = log.fill_hole(block);
            }
        }
        if outcome != Ok(Filled::Done) {
            filled = false;
            log.give_up().map_err(|error| format!("give up: {error}"))?;
        }
    }
    Ok(filled)
}

/// Starts with a damaged file and says what came of it; an error is what must never be.
fn start(
    disk: &SimDisk,
    chains: &[Chain],
    peer: &Peer<'_>,
    go_on: bool,
) -> Result<Outcome, String> {
    let before = disk.live(File::Chain);
    let (mut log, recovery) = match Log::open(disk.clone(), None, NOW) {
        Ok(opened) => opened,
        Err(OpenError::Foreign | OpenError::Newer(_)) if disk.live(File::Chain) == before => {
            return Ok(Outcome::Refused);
        }
        Err(error) => return Err(format!("open: {error}")),
    };
    let hole = log.hole().is_some();
    let filled = heal(&mut log, &peer.blocks)?;
    let after = disk.live(File::Chain);
    // Whatever is not as it was before was written as it was before the damage.
    let sound = |size: usize| {
        let healed = |at: usize| after[at] == before[at] || after[at] == peer.bytes[at];
        size <= after.len() && (0..size).all(healed)
    };
    // A first block may be there again, behind the cut.
    let kept = match disk.aside().pop() {
        Some(aside) => before.ends_with(&aside) && sound(before.len() - aside.len()),
        None => filled && before.len() == after.len() && sound(before.len()),
    };
    if !kept {
        return Err("bytes are gone that were not set aside".into());
    }
    let outcome = match read_all(&mut log) {
        Err(_) => Outcome::Unreadable,
        Ok(_) => {
            // A branch that ends in a hole is a beginning of the chain that it once became.
            let beginnings = (1..peer.blocks.len()).map(|length| peer.blocks[..length].to_vec());
            let legal: Vec<Chain> = chains.iter().cloned().chain(beginnings).collect();
            check_one_of(&mut log, &legal)?;
            let noticed =
                hole || before != after || recovery.cut > 0 || recovery.notice().is_some();
            if noticed {
                Outcome::Noticed
            } else {
                Outcome::Unnoticed
            }
        }
    };
    if go_on {
        goes_on(log)?;
    }
    Ok(outcome)
}

#[test]
fn every_beginning_of_a_file_opens_and_goes_on() {
    let (history, whole) = history();
    let mut lengths = Vec::new();
    for size in 0..=whole.len() {
        let disk = SimDisk::with(&whole[..size], &[]);
        let result = open(&disk).and_then(|(mut log, recovery)| {
            if full() || size % 4 == 0 || lengths.last() != Some(&log.tip().length) {
                check_one_of(&mut log, &history.chains)?;
            }
            assert!(size < 16 || disk.aside().is_empty(), "{recovery:?}");
            lengths.push(log.tip().length);
            if full() || size % 16 == 0 {
                goes_on(log)
            } else {
                Ok(())
            }
        });
        if let Err(why) = result {
            // Less than a magic number may be anybody's file.
            assert!((1..8).contains(&size), "cut at {size}: {why}");
        }
    }
    assert_eq!(lengths.last(), Some(&(BLOCKS as u64)));
    assert!(lengths.is_sorted());
}

#[test]
fn every_flipped_bit_is_found() {
    let (history, whole) = history();
    let peer = peer(&whole);
    let (mut as_it_was, mut flips) = (0, 0);
    for bit in 0..whole.len() * 8 {
        if !full() && bit % 37 != 0 && bit >= 512 {
            continue;
        }
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let disk = SimDisk::with(&damaged, &[]);
        let outcome = start(&disk, &history.chains, &peer, bit % 64 == 0);
        let outcome = outcome.unwrap_or_else(|why| panic!("bit {bit}: {why}"));
        assert_eq!(outcome, Outcome::Noticed, "bit {bit}");
        as_it_was += usize::from(disk.live(File::Chain) == whole);
        flips += 1;
    }
    assert!(
        as_it_was * 10 > flips * 6,
        "{as_it_was} of {flips} are as they were"
    );
}

/// A start from a checkpoint does not look at what is before it, and must not fail over it.
#[test]
fn every_flipped_bit_is_found_or_harmless_behind_a_checkpoint() {
    let (history, whole) = history();
    let peer = peer(&whole);
    let steps = history.steps.iter().enumerate();
    let checkpoints = steps.filter(|(_, step)| matches!(step, Step::Checkpoint));
    // A reorg comes between the two.
    let [before, after] = [0, 1].map(|n| checkpoints.clone().nth(n).expect("two of them").0);
    let (mut unreadable, mut unnoticed) = (0, 0);
    for (last, steps) in [before, after].into_iter().enumerate() {
        let checkpoint = file_after(&history, steps + 1, File::Checkpoint);
        for bit in (64..whole.len() * 8).filter(|bit| full() || bit % 61 == 0) {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let disk = SimDisk::with(&damaged, &checkpoint);
            let outcome = start(&disk, &history.chains, &peer, last == 1);
            match outcome.unwrap_or_else(|why| panic!("bit {bit}: {why}")) {
                Outcome::Unreadable => unreadable += 1,
                Outcome::Unnoticed => unnoticed += 1,
                Outcome::Noticed | Outcome::Refused => {}
            }
        }
    }
    // Stale blocks are read by nobody.
    assert!(unreadable > unnoticed, "{unreadable}, {unnoticed}");
}

#[test]
fn sectors_that_are_zero_or_elsewhere_are_found() {
    let (history, whole) = history();
    let peer = peer(&whole);
    for size in [SECTOR, 4096] {
        let count = whole.len() / size;
        let of = |number: usize| number * size..(number + 1) * size;
        for one in 0..count {
            let mut zeroed = whole.clone();
            zeroed[of(one)].fill(0);
            let mut images = vec![zeroed];
            for other in 0..count {
                let mut repeated = whole.clone();
                repeated.copy_within(of(other), one * size);
                images.push(repeated);
                let mut swapped = whole.clone();
                swapped[of(one)].copy_from_slice(&whole[of(other)]);
                swapped[of(other)].copy_from_slice(&whole[of(one)]);
                images.push(swapped);
            }
            for (number, image) in images
                .iter()
                .enumerate()
                .filter(|(_, image)| **image != whole)
            {
                let disk = SimDisk::with(image, &[]);
                let outcome = start(&disk, &history.chains, &peer, true);
                let outcome = outcome.unwrap_or_else(|why| panic!("{one}, image {number}: {why}"));
                assert!(
                    matches!(outcome, Outcome::Noticed | Outcome::Refused),
                    "{size}: sector {one}, image {number}: {outcome:?}"
                );
            }
        }
    }
}
