//! A power cut after every single change of a history, with every choice of what it leaves.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use blx::store::disk::File;
use blx::store::recover::Ending;

use super::disk::{Moment, SimDisk};
use super::full;
use super::history::{Chain, History, check_one_of, goes_on, open};
use super::random::Random;

/// Loose things of which every choice is tried, at most.
const EVERY_UP_TO: usize = 10;

/// What a power cut at this moment may leave.
fn choices(moment: &Moment, random: &mut Random) -> Vec<Vec<bool>> {
    let loose = moment.loose();
    if loose <= if full() { EVERY_UP_TO } else { 5 } {
        let choice = |bits: usize| (0..loose).map(|n| bits >> n & 1 == 1).collect();
        return (0..1 << loose).map(choice).collect();
    }
    let times = if full() { 1_000 } else { 8 };
    let mut choices = vec![vec![true; loose], vec![false; loose]];
    choices.extend((0..times).map(|_| (0..loose).map(|_| random.below(3) > 0).collect()));
    choices
}

fn fingerprint(disk: &SimDisk) -> u64 {
    let mut hasher = DefaultHasher::new();
    disk.live(File::Chain).hash(&mut hasher);
    disk.live(File::Checkpoint).hash(&mut hasher);
    hasher.finish()
}

/// A start, and the one after a power cut in every moment of that start.
fn check(disk: &SimDisk, legal: &[Chain], again: bool) -> Result<Ending, String> {
    if again {
        disk.record();
    }
    let (mut log, recovery) = open(disk)?;
    let moments = disk.moments();
    check_one_of(&mut log, legal)?;
    goes_on(log)?;
    for moment in moments {
        for kept in [true, false] {
            let disk = moment.after_power_cut(|_| kept);
            check(&disk, legal, false).map_err(|why| format!("in the start after it: {why}"))?;
        }
    }
    Ok(recovery.ending)
}

#[test]
fn a_power_cut_at_any_moment_leaves_all_that_was_acknowledged_and_nothing_by_halves() {
    let history = History::new(200, 124);
    let disk = SimDisk::default();
    disk.record();
    assert!(history.run(&disk).is_ok(), "a sound disk takes it all");
    let moments = disk.moments();
    let mut random = Random::new(11);
    let mut seen = BTreeSet::new();
    let (mut torn, mut open_branches, mut damaged) = (0, 0, 0);
    for (number, moment) in moments.iter().enumerate() {
        for kept in choices(moment, &mut random) {
            let disk = moment.after_power_cut(|thing| kept.get(thing).is_some_and(|kept| *kept));
            if !seen.insert((moment.acknowledged, fingerprint(&disk))) {
                continue;
            }
            let legal = history.legal(moment.acknowledged);
            let ending = check(&disk, legal, full() || seen.len().is_multiple_of(3));
            match ending.unwrap_or_else(|why| panic!("change {number}, {kept:?}: {why}")) {
                Ending::Torn => torn += 1,
                Ending::OpenBranch => open_branches += 1,
                Ending::Damaged => damaged += 1,
                Ending::Clean | Ending::NoHeader => {}
                Ending::Hole => panic!("change {number}, {kept:?}: a power cut makes no hole"),
            }
        }
    }
    println!(
        "{} changes, {} disks: {torn} torn, {open_branches} open branches, {damaged} damaged",
        moments.len(),
        seen.len()
    );
    assert!(torn > 0 && open_branches > 0 && damaged > 0);
}
