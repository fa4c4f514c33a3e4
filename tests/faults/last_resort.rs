//! A damaged chain file whose damage nobody can heal: what is behind it is given up, and life goes
//! on. Whatever is done then, every start has the blocks that are known, at every height.

use blx::store::disk::File;
use blx::store::log::Log;
use blx::store::recover::Ending;
use blx::store::repair::Filled;

use super::disk::SimDisk;
use super::full;
use super::history::{
    Chain, History, NOW, Step, check_one_of, next_block, open, perform, read_all,
};
use super::random::Random;

/// A history of some forty blocks with many reorgs, the chain file that it leaves, and the last
/// checkpoint before its end.
fn history(seed: u64) -> (History, Vec<u8>, Vec<u8>) {
    let mut random = Random::new(seed);
    let mut history = History::new(0, usize::MAX);
    while history.chain().len() < 40 {
        match random.below(8) {
            0 => {
                let from_nothing = random.below(12) == 0;
                history.branch(&mut random, from_nothing, true);
            }
            1 => history.branch(&mut random, false, false),
            2 => history.take(Step::Checkpoint),
            _ => history.append(&mut random, 1),
        }
    }
    let disk = SimDisk::default();
    assert!(history.run(&disk).is_ok(), "a sound disk takes it all");
    let file = |file| disk.live(file);
    let files = (file(File::Chain), file(File::Checkpoint));
    (history, files.0, files.1)
}

/// The beginning of a chain that once was and that ends as the file's does.
fn beginning(log: &Log<SimDisk>, chains: &[Chain]) -> Result<Chain, String> {
    let tip = log.tip();
    let length = usize::try_from(tip.length).expect("small");
    let ends_so = |chain: &&Chain| {
        let last = length.checked_sub(1).and_then(|last| chain.get(last));
        last.is_some_and(|last| last.hash == tip.hash)
    };
    let chain = chains.iter().rev().find(ends_so);
    let chain = chain.ok_or(format!("its {length} blocks never were a chain"))?;
    Ok(chain[..length].to_vec())
}

/// Gives up what is behind each hole, if somebody who knows a part of the chain does not fill it.
fn give_up(log: &mut Log<SimDisk>, chain: &Chain, random: &mut Random) -> Result<bool, String> {
    let mut given_up = false;
    while log.hole().is_some() {
        log.begin_filling();
        let from = usize::try_from(log.tip().length).expect("small");
        let known = (from + random.place(3)).min(chain.len());
        let mut outcome = Ok(Filled::More);
        for block in chain.get(from..known).unwrap_or_default() {
            if outcome == Ok(Filled::More) {
                outcome = log.fill_hole(block);
            }
        }
        if outcome != Ok(Filled::Done) {
            log.give_up().map_err(|error| format!("give up: {error}"))?;
            given_up = true;
        }
    }
    Ok(given_up)
}

/// One thing that a node does with its chain file; what the chain is then.
fn live_on(log: &mut Log<SimDisk>, chain: &Chain, random: &mut Random) -> Result<Chain, String> {
    let mut history = History {
        steps: Vec::new(),
        chains: vec![chain.clone()],
    };
    match random.below(6) {
        0 => history.branch(random, false, true),
        1 => history.branch(random, false, false),
        2 => history.take(Step::Checkpoint),
        3 => (0..9).for_each(|step| history.take(Step::Compact { first: step == 0 })),
        _ => history.append(random, 2),
    }
    let mut compacting = false;
    for step in &history.steps {
        perform(log, step, &mut compacting).map_err(|error| error.to_string())?;
    }
    Ok(history.chain().clone())
}

/// What the next start finds.
fn start_again(log: &mut Log<SimDisk>, kill: bool) -> Result<Log<SimDisk>, String> {
    let disk = match kill {
        true => log.disk().after_kill(),
        false => log.disk().now().after_power_cut(|_| false),
    };
    let (log, recovery) = open(&disk)?;
    match recovery.ending {
        Ending::Clean => Ok(log),
        _ => Err(format!("the next start: {recovery:?}")),
    }
}

/// Damage, the last resort, and some things after it, with starts between them. True if anything
/// was given up.
fn story(disk: &SimDisk, chains: &[Chain], random: &mut Random) -> Result<bool, String> {
    let (mut log, _) =
        Log::open(disk.clone(), None, NOW).map_err(|error| format!("open: {error}"))?;
    let last = chains.last().expect("a chain");
    if read_all(&mut log).is_err() {
        // Found as a node finds it, behind a checkpoint.
        log.reopen().map_err(|error| format!("reopen: {error}"))?;
        if log.hole().is_none() {
            log.begin_chain(NOW).map_err(|error| error.to_string())?;
        }
    }
    let given_up = give_up(&mut log, last, random)?;
    log.begin_chain(NOW).map_err(|error| error.to_string())?;
    let genesis = vec![chains[0].clone()];
    let mut chain = beginning(&log, chains).or_else(|_| beginning(&log, &genesis))?;
    check_one_of(&mut log, std::slice::from_ref(&chain))?;
    // Until something comes, what a branch had replaced may come back.
    let mut again = start_again(&mut log, true)?;
    let found = beginning(&again, chains)?;
    check_one_of(&mut again, std::slice::from_ref(&found))?;
    if random.below(4) == 0 {
        (log, chain) = (again, found);
    }
    let mut settled = false;
    for _ in 0..5 {
        let before = chain.clone();
        chain = live_on(&mut log, &chain, random)?;
        settled |= chain != before;
        check_one_of(&mut log, std::slice::from_ref(&chain))?;
        if settled {
            let mut again = start_again(&mut log, random.below(2) == 0)?;
            check_one_of(&mut again, std::slice::from_ref(&chain))
                .map_err(|why| format!("after a start: {why}"))?;
            if random.below(3) == 0 {
                log = again;
            }
        }
    }
    let block = next_block(&chain, 9, &["the last".into()]);
    log.append(&block).map_err(|error| error.to_string())?;
    chain.push(block);
    let mut again = start_again(&mut log, false)?;
    check_one_of(&mut again, &[chain])?;
    Ok(given_up)
}

/// Who reads all of the file passes over damage in stale blocks, and so never meets the keys
/// that stood there. A checkpoint from before knows them.
#[test]
fn a_checkpoint_from_before_the_damage_does_not_take_the_blocks_behind_it() {
    let disk = SimDisk::default();
    let (mut log, _) = Log::open(disk.clone(), None, NOW).expect("opens");
    let mut chain = read_all(&mut log).expect("reads");
    let append = |log: &mut Log<SimDisk>, chain: &mut Chain, author| {
        let block = next_block(chain, author, &["an item".into()]);
        log.append(&block).expect("appends");
        chain.push(block);
    };
    append(&mut log, &mut chain, 1);
    let fork = chain.len();
    let falls = usize::try_from(log.bytes()).expect("small");
    append(&mut log, &mut chain, 2);
    chain.truncate(fork);
    let mut compacting = false;
    let mut take = |log: &mut Log<SimDisk>, step| {
        perform(log, &step, &mut compacting).expect("a sound disk takes it");
    };
    take(&mut log, Step::Begin(fork as u64));
    for author in [1, 1] {
        let block = next_block(&chain, author, &["an item".into()]);
        take(&mut log, Step::Stage(block.clone()));
        chain.push(block);
    }
    take(&mut log, Step::Adopt);
    take(&mut log, Step::Checkpoint);

    let mut damaged = disk.live(File::Chain);
    damaged[falls + 20] ^= 1;
    let disk = SimDisk::with(&damaged, &disk.live(File::Checkpoint));
    let (mut log, _) = Log::open(disk.clone(), None, NOW).expect("opens");
    assert_eq!(log.reopen(), Ok(None));
    check_one_of(&mut log, std::slice::from_ref(&chain)).expect("nothing is lost");
    append(&mut log, &mut chain, 3);
    append(&mut log, &mut chain, 3);
    for start in 0..2 {
        let mut again = start_again(&mut log, start == 0).expect("a clean start");
        check_one_of(&mut again, std::slice::from_ref(&chain)).expect("the same chain");
        append(&mut again, &mut chain, 4);
        log = again;
    }
}

#[test]
fn what_is_left_after_the_last_resort_is_a_chain_at_every_height() {
    let (mut stories, mut given_up) = (0, 0);
    for seed in 0..if full() { 40 } else { 3 } {
        let (history, chain, checkpoint) = history(seed);
        let mut random = Random::new(seed + 1_000);
        let stride = if full() { 5 } else { 101 };
        for at in (16..chain.len()).step_by(stride) {
            let mut damaged = chain.clone();
            damaged[at] ^= 1 << random.below(8);
            for _ in 0..random.below(3) {
                let other = 16 + random.place(damaged.len() - 16);
                damaged[other] ^= 1 << random.below(8);
            }
            let kept: &[u8] = if random.below(2) == 0 {
                &checkpoint
            } else {
                &[]
            };
            let disk = SimDisk::with(&damaged, kept);
            let told = story(&disk, &history.chains, &mut random);
            let told = told.unwrap_or_else(|why| panic!("history {seed}, byte {at}: {why}"));
            given_up += usize::from(told);
            stories += 1;
        }
    }
    assert!(given_up * 2 > stories, "{given_up} of {stories}");
}
