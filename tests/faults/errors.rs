//! The first call that fails, the second, the third: until a history runs to its end.

use blx::store::disk::File;
use blx::store::log::Log;
use blx::store::recover::OpenError;
use blx::store::state::AppendError;

use super::disk::{Failure, SimDisk};
use super::full;
use super::history::{Broken, Chain, History, check_one_of, goes_on, next_block, open};
use super::random::Random;

fn error(why: impl ToString) -> String {
    why.to_string()
}

/// A log whose chain file failed: it can be read, and nothing is written any more.
fn is_read_only(log: &mut Log<SimDisk>, chain: &Chain) -> Result<(), String> {
    let before = log.disk().counts();
    let fault = log.fault().cloned().ok_or("it does not say so")?;
    let block = next_block(chain, 40, &["another".into()]);
    for _ in 0..3 {
        if log.append(&block) != Err(AppendError::Disk(fault.clone())) {
            return Err("it takes a block".into());
        }
    }
    log.checkpoint();
    if log.wants_compaction() || log.compact(5).is_ok() {
        return Err("it would compact".into());
    }
    if log.begin(0).is_ok() {
        return Err("it begins a branch".into());
    }
    let after = log.disk().counts();
    if (after.1, after.2) != (before.1, before.2) {
        return Err("something was written after the fault".into());
    }
    check_one_of(log, std::slice::from_ref(chain))
}

/// The chain goes on after something beside it failed.
fn is_sound(log: &mut Log<SimDisk>, chain: &Chain) -> Result<Chain, String> {
    if let Some(fault) = log.fault() {
        return Err(format!("read-only over {fault}"));
    }
    check_one_of(log, std::slice::from_ref(chain))?;
    let mut longer = chain.clone();
    longer.push(next_block(chain, 40, &["another".into()]));
    log.append(&longer[chain.len()]).map_err(error)?;
    check_one_of(log, std::slice::from_ref(&longer))?;
    Ok(longer)
}

/// One run with one failure; true if the run ended before it.
fn run(history: &History, call: usize, failure: Failure, lasts: bool) -> Result<bool, String> {
    let disk = SimDisk::default();
    disk.fail(call, failure, lasts);
    let result = history.run(&disk);
    let acknowledged = disk.acknowledged();
    let chain = &history.chains[acknowledged];
    let mut legal = history.legal(acknowledged).to_vec();
    match result {
        Err(Broken::Open(OpenError::Disk(_))) => {}
        Err(Broken::Open(why)) => return Err(error(why)),
        Ok(_) if disk.hit().is_none() => return Ok(true),
        // What failed was of no account.
        Ok(mut log) => {
            if !lasts {
                legal = vec![is_sound(&mut log, chain)?];
            }
        }
        Err(Broken::Step(mut log, why)) => {
            let AppendError::Disk(_) = why else {
                return Err(error(why));
            };
            let hit = disk.hit().ok_or("nothing failed")?;
            log.abandon();
            if hit.0 == File::Chain && !["read", "measure"].contains(&hit.1) {
                disk.repair();
                is_read_only(&mut log, chain)?;
            } else if !lasts {
                legal = vec![is_sound(&mut log, chain)?];
            }
        }
    }
    disk.repair();
    for disk in [
        disk.after_kill(),
        disk.now().after_power_cut(|_| true),
        disk.now().after_power_cut(|_| false),
    ] {
        let (mut log, _) = open(&disk)?;
        check_one_of(&mut log, &legal)?;
        goes_on(log)?;
    }
    Ok(false)
}

#[test]
fn any_call_may_fail() {
    let history = match full() {
        true => History::new(200, 124),
        false => History::new(30, 16),
    };
    for failure in [Failure::Refused, Failure::Short, Failure::Late] {
        for lasts in [false, true] {
            for call in 1.. {
                match run(&history, call, failure, lasts) {
                    Ok(true) => break,
                    Ok(false) => {}
                    Err(why) => panic!("call {call}, {failure:?}, lasts {lasts}: {why}"),
                }
            }
        }
    }
}

#[test]
fn a_failed_sync_is_never_tried_again() {
    let mut history = History::new(0, usize::MAX);
    let mut random = Random::new(5);
    for _ in 0..3 {
        history.append(&mut random, 1);
    }
    let whole = SimDisk::default();
    assert!(history.run(&whole).is_ok(), "a sound disk takes it all");
    let last = whole.counts();
    let disk = SimDisk::default();
    disk.fail(last.0, Failure::Refused, false);
    let Err(Broken::Step(mut log, _)) = history.run(&disk) else {
        panic!("the last call is a sync");
    };
    assert_eq!(disk.hit(), Some((File::Chain, "sync")));
    let acknowledged = disk.acknowledged();
    assert_eq!(acknowledged, 2);
    is_read_only(&mut log, &history.chains[acknowledged]).expect("read-only");
    assert_eq!(disk.counts().2, last.2, "not even asked again");
}

#[test]
fn a_checkpoint_that_cannot_be_read_costs_nothing_but_time() {
    let history = History::new(30, usize::MAX);
    let whole = SimDisk::default();
    assert!(history.run(&whole).is_ok(), "a sound disk takes it all");
    let mut hits = 0;
    for call in 1.. {
        let disk = whole.after_kill();
        disk.fail(call, Failure::Refused, false);
        let opened = open(&disk);
        match disk.hit() {
            None => break,
            Some((File::Checkpoint, _)) => {
                hits += 1;
                let (mut log, _) = opened.unwrap_or_else(|why| panic!("call {call}: {why}"));
                check_one_of(&mut log, &[history.chain().clone()]).expect("the whole chain");
            }
            Some(_) => {}
        }
    }
    assert_eq!(hits, 2, "its size and its content");
}
