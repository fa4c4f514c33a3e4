//! A history of a chain file, made without it: what is asked of the file, and what the chain is
//! after each step, by a replay that is too dull to be wrong.

use std::collections::BTreeMap;

use blx::ledger::{Block, Hash, Identity, ItemKey, Kind, Timestamp, Transaction, Uid, Work};
use blx::store::log::Log;
use blx::store::recover::{OpenError, Recovery};
use blx::store::state::AppendError;

use super::disk::SimDisk;
use super::random::Random;

pub const NOW: Timestamp = Timestamp::Integer(1_000);
const AUTHORS: u8 = 30;

pub type Chain = Vec<Block>;
/// Of each item whether it is held, and the block that changed it last.
pub type Table = BTreeMap<ItemKey, (bool, u64)>;

pub fn table(chain: &[Block]) -> Table {
    let mut table = Table::new();
    for block in chain {
        for transaction in &block.transactions {
            let held = transaction.kind == Kind::Request;
            table.insert(ItemKey::of(&transaction.uid), (held, block.index));
        }
    }
    table
}

/// A block behind `chain` in which `author` takes these items, or gives them back.
pub fn next_block(chain: &[Block], author: u8, names: &[String]) -> Block {
    let identity = Identity::from_secret(&[author; 32]).expect("a key");
    let table = table(chain);
    let mut block = Block::genesis(NOW);
    block.index = chain.len() as u64;
    block.prev_hash = chain.last().map_or(Hash::ZERO, |last| last.hash);
    for name in names {
        let uid = Uid::from(name.as_str());
        let held = table.get(&ItemKey::of(&uid)).is_some_and(|state| state.0);
        let kind = if held { Kind::Release } else { Kind::Request };
        block.transactions.push(identity.sign(kind, uid, NOW));
    }
    let mut work = Work::new(block, 0);
    assert!(work.step(1));
    work.into_block()
}

#[derive(Clone)]
pub enum Step {
    Append(Block),
    Begin(u64),
    Stage(Block),
    Adopt,
    Abandon,
    Checkpoint,
    /// A slice of a compaction; the first one begins it.
    Compact {
        first: bool,
    },
}

pub struct History {
    pub steps: Vec<Step>,
    /// The chain before the first step, and after each.
    pub chains: Vec<Chain>,
}

impl History {
    /// A history of `operations` steps: appends, and among them all else.
    pub fn new(operations: usize, compact_from: usize) -> History {
        let genesis = vec![Block::genesis(NOW)];
        let mut history = History {
            steps: Vec::new(),
            chains: vec![genesis],
        };
        let mut random = Random::new(7);
        for operation in 0..operations {
            match operation % 20 {
                7 => history.branch(&mut random, operation == 27, true),
                13 => history.branch(&mut random, false, false),
                17 => history.take(Step::Checkpoint),
                3 => history.append(&mut random, 12),
                _ => history.append(&mut random, 1),
            }
            if operation >= compact_from {
                let first = (operation - compact_from).is_multiple_of(40);
                history.take(Step::Compact { first });
            }
        }
        history
    }

    pub fn chain(&self) -> &Chain {
        self.chains.last().expect("at least one")
    }

    pub fn take(&mut self, step: Step) {
        let mut chain = self.chain().clone();
        if let Step::Append(block) = &step {
            chain.push(block.clone());
        }
        self.steps.push(step);
        self.chains.push(chain);
    }

    fn block(random: &mut Random, chain: &[Block], count: usize) -> Block {
        let author = random.place(AUTHORS.into()) as u8 + 1;
        let first = random.place(23);
        let names: Vec<String> = (first..first + count)
            .map(|n| format!("item-{n}"))
            .collect();
        next_block(chain, author, &names)
    }

    pub fn append(&mut self, random: &mut Random, count: usize) {
        let block = History::block(random, self.chain(), count);
        self.take(Step::Append(block));
    }

    /// Another chain, to which ours is left or not.
    pub fn branch(&mut self, random: &mut Random, from_nothing: bool, taken: bool) {
        let length = self.chain().len();
        let back = 1 + random.place(9.min(length));
        let fork = if from_nothing { 0 } else { length - back };
        let mut theirs = self.chain()[..fork].to_vec();
        self.take(Step::Begin(fork as u64));
        let count = length - fork + 2;
        for number in 0..count {
            let block = match theirs.len() {
                0 => Block::genesis(Timestamp::Integer(2_000)),
                _ => History::block(random, &theirs, 1 + number % 2),
            };
            theirs.push(block.clone());
            self.take(Step::Stage(block));
            // Ours grows in the meantime.
            if number == count / 2 {
                self.append(random, 1);
            }
        }
        if taken {
            self.take(Step::Adopt);
            *self.chains.last_mut().expect("just taken") = theirs;
        } else {
            self.take(Step::Abandon);
        }
    }

    /// Does it all to a file. On an error says at which step and which it was.
    pub fn run(&self, disk: &SimDisk) -> Result<Log<SimDisk>, Broken> {
        let (mut log, _) = Log::open(disk.clone(), None, NOW).map_err(Broken::Open)?;
        let mut compacting = false;
        for (number, step) in self.steps.iter().enumerate() {
            match perform(&mut log, step, &mut compacting) {
                Ok(()) => disk.acknowledge(number + 1),
                Err(error) => return Err(Broken::Step(Box::new(log), error)),
            }
        }
        Ok(log)
    }

    /// What a start may find if `acknowledged` steps were.
    pub fn legal(&self, acknowledged: usize) -> &[Chain] {
        let last = (acknowledged + 1).min(self.steps.len());
        &self.chains[acknowledged..=last]
    }
}

pub enum Broken {
    Open(OpenError),
    Step(Box<Log<SimDisk>>, AppendError),
}

pub fn perform(
    log: &mut Log<SimDisk>,
    step: &Step,
    compacting: &mut bool,
) -> Result<(), AppendError> {
    match step {
        Step::Append(block) => log.append(block)?,
        Step::Begin(fork) => {
            log.begin(*fork)?;
            while !log.unwind(3)? {}
        }
        Step::Stage(block) => log.stage(block)?,
        Step::Adopt => while log.adopt(2)?.is_none() {},
        Step::Abandon => log.abandon(),
        Step::Checkpoint => log.write_checkpoint(),
        Step::Compact { first } => {
            *compacting |= first;
            if *compacting {
                *compacting = !log.compact(16)?;
            }
        }
    }
    Ok(())
}

/// All blocks, read back one by one.
pub fn read_all(log: &mut Log<SimDisk>) -> Result<Chain, blx::store::disk::DiskError> {
    let length = log.tip().length;
    let blocks = (0..length).map(|height| log.read(height).map(|stored| stored.block));
    blocks.collect()
}

/// The item table as the file's reader keeps it.
pub fn own_table(log: &Log<SimDisk>) -> Table {
    let items = log.items().after(None);
    let table: Table = items
        .map(|(key, state)| (*key, (state.reserved, state.since)))
        .collect();
    let held = table.values().filter(|state| state.0).count();
    assert_eq!(log.items().reserved(), held);
    table
}

/// Whether it is one of these chains, whole, with its items. Else says what is wrong.
pub fn check_one_of(log: &mut Log<SimDisk>, legal: &[Chain]) -> Result<(), String> {
    let tip = log.tip();
    let chain = legal.iter().find(|chain| {
        let last = chain.last().map(|block| block.hash);
        (chain.len() as u64, last) == (tip.length, Some(tip.hash))
    });
    let Some(chain) = chain else {
        let lengths: Vec<usize> = legal.iter().map(Vec::len).collect();
        return Err(format!("{} blocks, not one of {lengths:?}", tip.length));
    };
    match read_all(log) {
        Ok(blocks) if blocks == *chain => {}
        Ok(_) => return Err("a block reads back wrong".into()),
        Err(error) => return Err(error.to_string()),
    }
    if own_table(log) == table(chain) {
        Ok(())
    } else {
        Err("the item table is wrong".into())
    }
}

thread_local! {
    /// One request by each author of a history.
    static REQUESTS: Vec<Transaction> = (1..=AUTHORS)
        .map(|author| {
            let identity = Identity::from_secret(&[author; 32]).expect("a key");
            let uid = Uid::from(format!("spare-{author}").as_str());
            identity.sign(Kind::Request, uid, NOW)
        })
        .collect();
}

/// The file takes another block and still has it after another start. Everybody has a part in it,
/// also who is only known from what was cut.
pub fn goes_on(mut log: Log<SimDisk>) -> Result<(), String> {
    let tip = log.tip();
    let mut block = Block::genesis(NOW);
    (block.index, block.prev_hash) = (tip.length, tip.hash);
    block.transactions = REQUESTS.with(Clone::clone);
    let mut work = Work::new(block, 0);
    assert!(work.step(1));
    let block = work.into_block();
    log.append(&block)
        .map_err(|error| format!("append: {error}"))?;
    let disk = log.disk().now().after_power_cut(|_| false);
    let (mut log, recovery) = open(&disk)?;
    if recovery.cut > 0 || log.tip().hash != block.hash {
        return Err(format!("the next start: {recovery:?}"));
    }
    let last = log.read(block.index).map_err(|error| error.to_string())?;
    (last.block == block)
        .then_some(())
        .ok_or("the next start has another block".into())
}

pub fn open(disk: &SimDisk) -> Result<(Log<SimDisk>, Recovery), String> {
    Log::open(disk.clone(), None, NOW).map_err(|error| format!("open: {error}"))
}
