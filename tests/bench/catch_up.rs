//! One node that is behind, one that is not, and the wire between them.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use blx::ledger::{Block, Hash, Timestamp, Verifier};
use blx::store::disk::File;
use blx::store::log::Log;

use crate::disk::Counted;
use crate::harness::usage;
use crate::nodes::{self, Node, Place};
use crate::relay::Relay;
use crate::{exported, generate};

/// A wire that carried nothing for this time has nothing left to carry.
const STILL: Duration = Duration::from_millis(300);
/// From one look at a status to the next: a share of the time so far, between these.
const PAUSES: [Duration; 2] = [Duration::from_micros(500), Duration::from_millis(100)];
const PAUSE_SHARE: u32 = 50;

/// Who asks, or is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// A node of this crate.
    Ours,
    /// The stand-in for a desktop node.
    Desktop,
}

/// What catching up took.
pub struct Cost {
    /// From asking to the tip.
    pub time: Duration,
    /// What the asking node had of a processor until then.
    pub busy: Duration,
    /// On the wire, from who asks and to it.
    pub bytes: [u64; 2],
    /// The most memory of who asks and who is asked, in bytes.
    pub peaks: [u64; 2],
}

/// The long chain, and where its beginnings are put.
pub struct Bench {
    folder: PathBuf,
    chain: PathBuf,
    python: Option<String>,
}

/// A node and its data directory.
struct Running {
    node: Node,
    _place: Place,
}

impl Bench {
    /// Works in `folder`, with beginnings of the chain in this file.
    pub fn new(folder: &Path, chain: PathBuf) -> Bench {
        // What an interrupted run left is in the way.
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).expect("a folder to work in");
        Bench {
            folder: folder.to_owned(),
            chain,
            python: nodes::python(),
        }
    }

    /// A node with `from` blocks catches up with one that has `to`. Nothing without Python where it
    /// is needed.
    pub fn catch_up(&self, asks: Program, asked: Program, from: u64, to: u64) -> Option<Cost> {
        let (asked, tip) = self.start(asked, to)?;
        let (mut asking, _) = self.start(asks, from)?;
        let relay = Relay::to(asked.node.port);
        let ids = [&asking, &asked].map(|running| running.node.id());
        let busy = || usage::processor_time(&ids[0].to_string());
        let before = busy();
        let time = match asks {
            Program::Ours => ask_ours(&mut asking.node, &relay, &tip),
            Program::Desktop => ask_desktop(&mut asking.node, &relay, to),
        };
        Some(Cost {
            time,
            busy: busy() - before,
            peaks: ids.map(|id| usage::memory(id).peak),
            bytes: still(&relay),
        })
    }

    /// A node that has the first `length` blocks, and its tip.
    fn start(&self, program: Program, length: u64) -> Option<(Running, String)> {
        let place = Place::within(&self.folder);
        let tip = self.begin(place.directory(), length);
        let node = match program {
            Program::Ours => place.start(&[]),
            Program::Desktop => {
                let python = self.python.as_ref()?;
                let chain = (length > 0).then(|| exported(place.directory()));
                nodes::desktop_from(python, "desktop", chain.as_deref())
            }
        };
        let running = Running {
            node,
            _place: place,
        };
        Some((running, tip))
    }

    /// Puts the first `length` blocks into a data directory, each length made once; their tip.
    fn begin(&self, directory: &Path, length: u64) -> String {
        if length == 0 {
            return Hash::ZERO.to_string();
        }
        let kept = self.folder.join(format!("first-{length}"));
        if !kept.exists() {
            fs::create_dir(&kept).expect("a folder");
            generate::begin(&self.chain, length, &kept);
        }
        let name = File::Chain.name();
        fs::copy(kept.join(name), directory.join(name)).expect("a copy");
        open(directory).tip().hash.to_string()
    }

    /// What checking the signatures of the first `length` blocks takes of a processor.
    pub fn signatures_alone(&self, length: u64) -> Duration {
        let mut log = open(self.chain.parent().expect("a data directory"));
        let read = |height| log.read(height).expect("a block").block;
        let blocks: Vec<Block> = (0..length).map(read).collect();
        let mut verifier = Verifier::default();
        let busy = || usage::processor_time("thread-self");
        let before = busy();
        for transaction in blocks.iter().flat_map(|block| &block.transactions) {
            assert!(verifier.verify(transaction));
        }
        busy() - before
    }
}

fn open(directory: &Path) -> Log<Counted> {
    let disk = Counted::careless(directory);
    let (log, _) = Log::open(disk, None, Timestamp::Integer(0)).expect("a chain");
    log
}

/// Dials, and looks at the status until it shows the tip.
fn ask_ours(node: &mut Node, relay: &Relay, tip: &str) -> Duration {
    let start = Instant::now();
    node.dial(relay);
    loop {
        let there = node.status().tip == tip;
        let time = start.elapsed();
        if there {
            return time;
        }
        thread::sleep((time / PAUSE_SHARE).clamp(PAUSES[0], PAUSES[1]));
    }
}

/// Presses 8, and waits for the word; its status would check the whole chain once more.
fn ask_desktop(node: &mut Node, relay: &Relay, length: u64) -> Duration {
    node.dial(relay);
    node.wait_for("✅ connected to ");
    let start = Instant::now();
    node.sync();
    let word = format!("[consensus ✅] adopted longer chain ({length} blocks)");
    node.wait_for(&word);
    start.elapsed()
}

/// What the wire has carried when it has nothing more to carry.
fn still(relay: &Relay) -> [u64; 2] {
    let mut before = relay.carried();
    loop {
        thread::sleep(STILL);
        let now = relay.carried();
        if now == before {
            return now;
        }
        before = now;
    }
}
