//! What is measured, and what is wanted of it.

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use blx::ledger::canonical::Length;
use blx::ledger::{Block, Hash, Timestamp, Verifier};
use blx::limits;
use blx::offline::verify::{self, Verdict};
use blx::store::disk::File;
use blx::store::log::Log;
use blx::wire::text;

use crate::disk::Counted;
use crate::generate::Plan;
use crate::process;
use crate::rewrite::{self, Rewrite};
use crate::table::{self, Row, grouped};
use crate::usage::Memory;

/// Appends that are measured.
pub const APPENDS: usize = 100;
/// The first argument of the process that stands in for a node with a file that is written whole.
pub const HOLD: &str = "--hold";

/// Of the file that is written whole: as many appends at a thousand blocks, and fewer in a longer
/// chain, but some.
const REWRITES: u64 = 60;
const REWRITES_MIN: u64 = 3;
/// Openings that are measured.
const OPENINGS: usize = 5;

/// What a block may cost in the chain file of the longest chain: bytes.
const BLOCK_BYTES_MAX: u64 = 150;
/// An append is flat if in the longest chain it writes at most these bytes more than in the shortest,
/// as numbers have more digits there.
const FLAT_BYTES: u64 = 8;
/// It is flat if it takes at most this many times as long there, each measured beside what the disk
/// alone takes, which differs from minute to minute.
const FLAT_TIMES: f64 = 2.0;
const PROMPT_MAX: Duration = Duration::from_secs(1);
const PROMPT_ALL_MAX: Duration = Duration::from_secs(10);
const MEMORY_MAX: u64 = 6 << 20;

type Goal = Option<(&'static str, bool)>;

/// The measured rows.
pub struct Bench {
    work: PathBuf,
    longest: u64,
    rows: Vec<Row>,
    /// What an append cost in the shortest chain: bytes, and time beside the disk's own.
    first: Option<(u64, f64)>,
}

impl Bench {
    /// Chains are copied into `work` before anything is done with them.
    pub fn new(work: PathBuf, longest: u64) -> Bench {
        Bench {
            work,
            longest,
            rows: Vec::new(),
            first: None,
        }
    }

    /// The rows, what is alike side by side, in the order of the longest chain's.
    pub fn into_rows(mut self) -> Vec<Row> {
        let longest = self.rows.iter().filter(|row| row.blocks == self.longest);
        let figures: Vec<String> = longest.map(|row| row.figure.clone()).collect();
        self.rows.sort_by_key(|row| {
            let place = figures.iter().position(|figure| *figure == row.figure);
            place.unwrap_or(usize::MAX)
        });
        self.rows
    }

    fn row(&mut self, figure: &str, blocks: u64, cells: [String; 2], goal: Goal) {
        self.rows.push(Row {
            figure: figure.into(),
            blocks,
            cells: cells.into(),
            goal: goal.filter(|_| blocks == self.longest),
        });
    }

    /// Everything about the chain in this file.
    pub fn measure(&mut self, chain: &Path, blocks: u64) {
        eprintln!("measuring {} blocks", grouped(blocks));
        // A run that was interrupted leaves its copies.
        let _ = fs::remove_dir_all(&self.work);
        fs::create_dir_all(&self.work).expect("a folder to work in");
        copy_durably(chain, &self.chain_file());
        let mut rewrite = Rewrite::new(&self.work.join("chain.rewrite"), read_all(&self.work));
        rewrite.save().expect("a file written whole");
        self.appends(&mut rewrite, blocks);
        copy_durably(chain, &self.chain_file());
        self.openings(rewrite.path(), blocks);
        self.starts(rewrite.path(), blocks);
        // The rate does not hang on the length.
        if blocks == self.longest.min(100_000) {
            self.verification(rewrite.blocks(), blocks);
        }
        fs::remove_dir_all(&self.work).expect("the folder");
    }

    fn chain_file(&self) -> PathBuf {
        self.work.join(File::Chain.name())
    }

    fn appends(&mut self, rewrite: &mut Rewrite, blocks: u64) {
        let mut log = open(&self.work);
        let mut plan = Plan::from(blocks);
        let mut plain = fs::File::create(self.work.join("plain")).expect("a file");
        let mut plain_times: Vec<Duration> = Vec::new();
        let mut made: Vec<Block> = Vec::new();
        let mut ours: Vec<(u64, Duration)> = Vec::new();
        for _ in 0..APPENDS {
            let block = plan.block(log.tip(), log.difficulty());
            plain_times.push(plain_write(&mut plain));
            let before = log.disk().written().get();
            let start = Instant::now();
            log.append(&block).expect("a valid block");
            let took = start.elapsed();
            ours.push((log.disk().written().get() - before, took));
            made.push(block);
        }
        let count = (REWRITES * 1_000 / blocks).clamp(REWRITES_MIN, REWRITES);
        let mut theirs: Vec<(u64, Duration)> = Vec::new();
        for block in made.iter().zip(0..count).map(|(block, _)| block) {
            let start = Instant::now();
            let written = rewrite.append(block.clone()).expect("a disk that takes it");
            theirs.push((written, start.elapsed()));
        }
        let (bytes, times): (Vec<u64>, Vec<Duration>) = ours.into_iter().unzip();
        let (their_bytes, their_times): (Vec<u64>, Vec<Duration>) = theirs.into_iter().unzip();
        if blocks == self.longest {
            self.block_bytes(&made[APPENDS - 1], bytes[APPENDS - 1], blocks);
        }
        let ratio = median(&times).as_secs_f64() / median(&plain_times).as_secs_f64();
        let now = (median(&bytes), ratio);
        let (first_bytes, first_ratio) = *self.first.get_or_insert(now);
        let goal = Some(("flat", now.0 <= first_bytes + FLAT_BYTES));
        let cells = [spread(&bytes, grouped), spread(&their_bytes, grouped)];
        self.row("append a block: bytes written", blocks, cells, goal);
        let goal = Some(("flat", ratio <= first_ratio * FLAT_TIMES));
        let cells = [
            spread(&times, table::time),
            spread(&their_times, table::time),
        ];
        self.row("append a block: time till durable", blocks, cells, goal);
        let cells = [spread(&plain_times, table::time), String::new()];
        let figure = "the disk alone: 150 bytes and a sync";
        self.row(figure, blocks, cells, None);
    }

    fn block_bytes(&mut self, block: &Block, bytes: u64, blocks: u64) {
        let mut record = Vec::new();
        rewrite::write_block(&mut record, block);
        let cells = [bytes.to_string(), record.len().to_string()];
        let goal = Some(("150 at most", bytes <= BLOCK_BYTES_MAX));
        self.row("bytes of a one-transaction block", blocks, cells, goal);
        let mut json = Length::default();
        text::block(&mut json, block);
        let cells = [json.0.to_string(), json.0.to_string()];
        self.row("the same block as JSON", blocks, cells, None);
    }

    /// Reading the files, inside this process.
    fn openings(&mut self, rewritten: &Path, blocks: u64) {
        let theirs = || drop(Rewrite::open(rewritten).expect("it was written"));
        let theirs = table::time(median_time(theirs));
        let work = self.work.clone();
        let without = median_time(|| drop(open(&work)));
        open(&work).checkpoint();
        let with = self.with_checkpoint(|| table::time(median_time(|| drop(open(&work)))));
        let cells = [with, theirs.clone()];
        self.row("open, with checkpoint", blocks, cells, None);
        let cells = [table::time(without), theirs];
        self.row("open, without checkpoint", blocks, cells, None);
    }

    fn with_checkpoint(&self, measured: impl FnOnce() -> String) -> String {
        match self.checkpoint().exists() {
            true => measured(),
            false => "too short for one".into(),
        }
    }

    fn checkpoint(&self) -> PathBuf {
        self.work.join(File::Checkpoint.name())
    }

    /// The program, from its start on.
    fn starts(&mut self, rewritten: &Path, blocks: u64) {
        let stand_in = || {
            let mut command = Command::new(env::current_exe().expect("this program"));
            command.arg(HOLD).arg(rewritten);
            command
        };
        let theirs: Vec<_> = (0..OPENINGS).map(|_| process::prompt(stand_in())).collect();
        let their_memory = table::memory(theirs[0].0.memory());
        let their_times: Vec<Duration> = theirs.iter().map(|(_, took)| *took).collect();
        drop(theirs);
        let their_time = table::time(median(&their_times));
        for with in [true, false] {
            let name = match with {
                true => "with checkpoint",
                false => "without checkpoint",
            };
            let (took, memory) = self.start(with);
            let (text, max) = match with {
                true => ("1 s at most", PROMPT_MAX),
                false => ("10 s at most", PROMPT_ALL_MAX),
            };
            let goal = took.map(|took| (text, took <= max));
            let shown = took.map_or_else(|| "too short for one".into(), table::time);
            let figure = format!("from exec to the prompt, {name}");
            self.row(&figure, blocks, [shown, their_time.clone()], goal);
            if blocks == self.longest {
                let goal = memory.map(|memory| ("6 MiB at most", memory.resident <= MEMORY_MAX));
                let shown = memory.map_or_else(|| "too short for one".into(), table::memory);
                let figure = format!("resident memory, idle, {name}");
                self.row(&figure, blocks, [shown, their_memory.clone()], goal);
            }
        }
    }

    /// Its time to the prompt, and its memory without a menu; nothing where there is no checkpoint
    /// to start with.
    fn start(&self, with: bool) -> (Option<Duration>, Option<Memory>) {
        let prepare = || {
            if with {
                open(&self.work).checkpoint();
            } else {
                let _ = fs::remove_file(self.checkpoint());
            }
        };
        prepare();
        if with && !self.checkpoint().exists() {
            return (None, None);
        }
        let mut times = Vec::new();
        for _ in 0..OPENINGS {
            times.push(process::prompt(process::blx(&self.work)).1);
            prepare();
        }
        let node = process::idle(&self.work);
        (Some(median(&times)), Some(node.memory()))
    }

    /// Everything checked from the first byte on: what `blx verify` does.
    fn verification(&mut self, chain: &[Block], blocks: u64) {
        let rate = |count: usize, start: Instant| {
            let rate = count as f64 / start.elapsed().as_secs_f64();
            format!("{} blocks/s", grouped(rate as u64))
        };
        let start = Instant::now();
        let verdict = verify::run(&self.chain_file(), None);
        let ours = rate(usize::try_from(blocks).expect("a count"), start);
        assert!(matches!(verdict, Ok(Verdict::Valid { .. })), "{verdict:?}");
        let start = Instant::now();
        let mut verifier = Verifier::default();
        let mut before = Hash::ZERO;
        for (index, block) in (0..).zip(chain) {
            let sound = block.check_link(index, &before);
            let sound = sound.and(block.check_alone(limits::DIFFICULTY_DEFAULT));
            assert_eq!(sound, Ok(()));
            let mut transactions = block.transactions.iter();
            assert!(transactions.all(|transaction| verifier.verify(transaction)));
            before = block.hash;
        }
        let theirs = rate(chain.len(), start);
        self.row("full verification", blocks, [ours, theirs], None);
    }
}

/// What the disk takes for a write like an append's.
fn plain_write(file: &mut fs::File) -> Duration {
    let start = Instant::now();
    file.write_all(&[0x5a; 150]).expect("a disk that takes it");
    file.sync_data().expect("a sync");
    start.elapsed()
}

fn copy_durably(from: &Path, to: &Path) {
    fs::copy(from, to).expect("a copy");
    let copy = fs::File::open(to).expect("the copy");
    copy.sync_all().expect("a sync");
}

fn open(directory: &Path) -> Log<Counted> {
    let (log, opening) = Log::open(Counted::open(directory), None, Timestamp::Integer(0))
        .expect("the chain that was generated");
    assert_eq!(opening.cut, 0, "it is sound");
    log
}

fn read_all(directory: &Path) -> Vec<Block> {
    let mut log = open(directory);
    let length = log.tip().length;
    let read = |height| log.read(height).expect("a block").block;
    (0..length).map(read).collect()
}

fn median_time(mut work: impl FnMut()) -> Duration {
    let one = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    median(&(0..OPENINGS).map(one).collect::<Vec<_>>())
}

fn sorted<T: Copy + Ord>(values: &[T]) -> Vec<T> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted
}

fn median<T: Copy + Ord>(values: &[T]) -> T {
    sorted(values)[values.len() / 2]
}

/// The median and the 99th percentile.
fn spread<T: Copy + Ord>(values: &[T], shown: impl Fn(T) -> String) -> String {
    let high = sorted(values)[(values.len() * 99).div_ceil(100) - 1];
    format!("{} / {}", shown(median(values)), shown(high))
}
