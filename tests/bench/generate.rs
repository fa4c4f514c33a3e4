//! Long chains, the same ones on every run: each block holds one signed transaction and its work.
//!
//! Made once and kept under `target/bench`, since a million blocks take minutes: two threads, one
//! that signs ahead and one that mines and appends.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use blx::ledger::{Block, Identity, Kind, Timestamp, Tip, Transaction, Uid, Work};
use blx::limits;
use blx::store::log::Log;
use blx::store::record;

use crate::disk::Counted;

/// Items that the chain knows once it has as many blocks.
pub const ITEMS: usize = 1_000;
/// Keys that sign.
pub const AUTHORS: usize = 16;

const NAMES: [&str; 4] = ["laptop", "camera", "tripod", "tablet"];
const SEED: u64 = 0x626c_7821;
const START_MICROS: u64 = 1_795_000_000_000_000;
const APART_MICROS: u64 = 37_000_000;
const BATCH: usize = 1_024;

/// What happens in which block: the same for every run.
pub struct Plan {
    random: u64,
    height: u64,
    reserved: [bool; ITEMS],
    authors: Vec<Identity>,
}

/// A block's transaction, not signed yet.
struct Step {
    author: usize,
    item: usize,
    kind: Kind,
    micros: u64,
}

impl Plan {
    /// What happens from block 1 on.
    fn new() -> Plan {
        let author = |number: usize| {
            let secret = [u8::try_from(number + 1).expect("few authors"); 32];
            Identity::from_secret(&secret).expect("a key")
        };
        Plan {
            random: SEED,
            height: 1,
            reserved: [false; ITEMS],
            authors: (0..AUTHORS).map(author).collect(),
        }
    }

    /// What happens from the block at `height` on.
    pub fn from(height: u64) -> Plan {
        let mut plan = Plan::new();
        while plan.height < height {
            plan.step();
        }
        plan
    }

    fn below(&mut self, limit: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let limit = u64::try_from(limit).expect("small");
        usize::try_from(self.random % limit).expect("below a usize")
    }

    fn step(&mut self) -> Step {
        let known = usize::try_from(self.height - 1).expect("a height");
        let item = if known < ITEMS {
            known
        } else {
            self.below(ITEMS)
        };
        let author = self.below(AUTHORS);
        let jitter = self.below(1_000_000) as u64;
        let kind = match self.reserved[item] {
            false => Kind::Request,
            true => Kind::Release,
        };
        self.reserved[item] = !self.reserved[item];
        let micros = START_MICROS + self.height * APART_MICROS + jitter;
        self.height += 1;
        Step {
            author,
            item,
            kind,
            micros,
        }
    }

    fn sign(&mut self) -> Signed {
        let step = self.step();
        let name = format!("{}-{:03}", NAMES[step.item % 4], step.item / 4);
        let time = Timestamp::from_micros(step.micros);
        let author = &self.authors[step.author];
        Signed {
            transaction: author.sign(step.kind, Uid::from(&*name), time),
            made: Timestamp::from_micros(step.micros + 4_321),
        }
    }

    /// The next block, to stand behind `tip`.
    pub fn block(&mut self, tip: Tip, difficulty: u8) -> Block {
        assert_eq!(tip.length, self.height, "blocks come in order");
        self.sign().into_block(tip, difficulty)
    }
}

struct Signed {
    transaction: Transaction,
    made: Timestamp,
}

impl Signed {
    fn into_block(self, tip: Tip, difficulty: u8) -> Block {
        let mut block = Block::genesis(self.made);
        block.index = tip.length;
        block.prev_hash = tip.hash;
        block.transactions.push(self.transaction);
        let mut work = Work::new(block, difficulty);
        while !work.step(u32::MAX) {}
        work.into_block()
    }
}

/// The chain file of `blocks` blocks, made if it is not there yet.
pub fn chain(folder: &Path, blocks: u64) -> PathBuf {
    let kept = folder.join(format!("chain-{}-{blocks}", record::VERSION));
    if !kept.exists() {
        let making = folder.join("making");
        // What an interrupted run left is not gone on with.
        let _ = fs::remove_dir_all(&making);
        make(&making, blocks);
        fs::rename(&making, &kept).expect("a name");
    }
    kept.join("chain.blx")
}

/// The first `blocks` blocks of a longer chain, in an empty data directory.
pub fn begin(chain: &Path, blocks: u64, directory: &Path) {
    let whole = chain.parent().expect("a data directory");
    let (mut whole, _) =
        Log::open(Counted::careless(whole), None, Timestamp::Integer(0)).expect("a chain");
    let mut log = new_log(directory);
    assert_eq!(log.tip().hash, whole.hash(0).expect("a first block"));
    for height in 1..blocks {
        let block = whole.read(height).expect("a block").block;
        log.append(&block).expect("a valid block");
    }
}

/// A chain with the first block that all of them have.
fn new_log(directory: &Path) -> Log<Counted> {
    let difficulty = limits::DIFFICULTY_DEFAULT;
    let start = Timestamp::from_micros(START_MICROS);
    let disk = Counted::careless(directory);
    let (log, _) = Log::open(disk, Some(difficulty), start).expect("a new chain");
    log
}

fn make(directory: &Path, blocks: u64) {
    let mut log = new_log(directory);
    let difficulty = log.difficulty();
    let began = Instant::now();
    thread::scope(|scope| {
        let (send, signed) = mpsc::sync_channel::<Vec<Signed>>(64);
        scope.spawn(move || {
            let mut plan = Plan::new();
            while plan.height < blocks {
                let batch = BATCH.min(usize::try_from(blocks - plan.height).expect("a count"));
                let batch = (0..batch).map(|_| plan.sign()).collect();
                send.send(batch).expect("somebody takes them");
            }
        });
        for batch in signed {
            for signed in batch {
                let block = signed.into_block(log.tip(), difficulty);
                log.append(&block).expect("a valid block");
            }
            let seconds = began.elapsed().as_secs();
            eprint!(
                "\rmaking {blocks} blocks: {} ({seconds} s)",
                log.tip().length
            );
            let _ = std::io::stderr().flush();
        }
    });
    eprintln!();
    log.disk().settle();
}
