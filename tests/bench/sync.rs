//! What it costs to catch up with another node, beside a desktop node that does the same.
//!
//! `cargo bench --bench sync`, with `-- --quick` for chains a tenth as long. Every byte goes over
//! loopback, through a relay that counts it; headers of TCP are not counted. A goal that is missed
//! is said and fails nothing: machines differ. Without Python (see tests/needs.rs) the columns of the
//! stand-in for a desktop node stay empty.

mod catch_up;
// The other benchmark, and the tests beside desktop nodes, use the rest of these.
#[allow(dead_code)]
mod disk;
#[allow(dead_code)]
mod generate;
#[path = "../harness/mod.rs"]
mod harness;
#[allow(dead_code)]
#[path = "../needs.rs"]
mod needs;
#[allow(dead_code)]
#[path = "../desktop/nodes.rs"]
mod nodes;
#[allow(dead_code)]
#[path = "../desktop/relay.rs"]
mod relay;
#[allow(dead_code)]
mod table;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use catch_up::{Bench, Cost, Program};
use harness::{run, usage};
use table::{Row, grouped};

/// What is compared: who asks, and who is asked.
const PAIRS: [(&str, Program, Program); 3] = [
    ("blx from blx", Program::Ours, Program::Ours),
    ("blx from desktop", Program::Ours, Program::Desktop),
    ("desktop from desktop", Program::Desktop, Program::Desktop),
];

/// One block behind in a long chain: bytes on the wire.
const ONE_BEHIND_MAX: u64 = 4 << 10;
/// Of a first sync: what the signatures take.
const SHARE_MIN: f64 = 0.85;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    // `cargo test --all-targets` runs this too, without the word that `cargo bench` adds.
    if !arguments.iter().any(|word| word == "--bench") {
        println!("run it with: cargo bench --bench sync");
        return;
    }
    let quick = arguments.iter().any(|word| word == "--quick");
    let (height, long) = if quick {
        (1_000, 10_000)
    } else {
        (10_000, 100_000)
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
    fs::create_dir_all(&folder).expect("a folder for the chains");
    let chain = generate::chain(&folder, long);
    let bench = Bench::new(&folder.join("sync"), chain);

    let mut rows = Vec::new();
    for behind in [1, 100, height] {
        rows.extend(compared(&bench, height, behind));
    }
    rows.push(one_behind(&bench, long));
    for length in [height, long] {
        rows.extend(first_sync(&bench, length));
    }
    println!();
    let columns = PAIRS.map(|(name, ..)| name);
    table::print(&columns, &rows);
    println!(
        "\nTime from asking to the tip, and until then the most memory of who asks / who is asked. \
         Bytes until the wire is still, connection set-up included: from who asks + to it."
    );
}

/// Catching up by `behind` blocks, in each of the pairs.
fn compared(bench: &Bench, height: u64, behind: u64) -> Vec<Row> {
    let costs = PAIRS.map(|(name, asks, asked)| {
        eprintln!("{name}: behind by {}", grouped(behind));
        bench.catch_up(asks, asked, height - behind, height)
    });
    let row = |figure: &str, shown: fn(&Cost) -> String| Row {
        figure: format!("behind by {}: {figure}", grouped(behind)),
        blocks: height,
        cells: costs
            .iter()
            .map(|cost| cost.as_ref().map(shown).unwrap_or_default())
            .collect(),
        goal: None,
    };
    vec![
        row("time", |cost| table::time(cost.time)),
        row("bytes", shown_bytes),
        row("peak memory", shown_memory),
    ]
}

fn one_behind(bench: &Bench, height: u64) -> Row {
    let cost = bench.catch_up(Program::Ours, Program::Ours, height - 1, height);
    let cost = cost.expect("no Python in it");
    ours_only(
        "behind by 1: bytes",
        height,
        shown_bytes(&cost),
        Some((
            "under 4,096 in all",
            cost.bytes.iter().sum::<u64>() < ONE_BEHIND_MAX,
        )),
    )
}

/// How much of it is the checking of signatures.
fn first_sync(bench: &Bench, length: u64) -> Vec<Row> {
    eprintln!("first sync of {}", grouped(length));
    // On both sides of it: a machine is not equally fast all the time.
    let before = bench.signatures_alone(length);
    let cost = bench.catch_up(Program::Ours, Program::Ours, 0, length);
    let cost = cost.expect("no Python in it");
    let alone = (before + bench.signatures_alone(length)) / 2;
    let share = |time: Duration| alone.as_secs_f64() / time.as_secs_f64();
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let row = |figure: &str, shown: String, goal| {
        ours_only(&format!("first sync: {figure}"), length, shown, goal)
    };
    let busy = share(cost.busy);
    vec![
        row("time", table::time(cost.time), None),
        row("processor time", table::time(cost.busy), None),
        row("the same signatures alone", table::time(alone), None),
        row(
            "share of the processor time",
            percent(busy),
            Some(("85 % at least", busy >= SHARE_MIN)),
        ),
        row("share of the time", percent(share(cost.time)), None),
        row("peak memory", shown_memory(&cost), None),
    ]
}

fn ours_only(figure: &str, blocks: u64, shown: String, goal: Option<(&'static str, bool)>) -> Row {
    Row {
        figure: figure.into(),
        blocks,
        cells: vec![shown, String::new(), String::new()],
        goal,
    }
}

fn shown_bytes(cost: &Cost) -> String {
    let [asked, answered] = cost.bytes.map(grouped);
    format!("{asked} + {answered}")
}

fn shown_memory(cost: &Cost) -> String {
    let [asks, asked] = cost
        .peaks
        .map(|peak| format!("{:.1}", peak as f64 / f64::from(1 << 20)));
    format!("{asks} / {asked} MiB")
}

/// A file with the first `length` blocks of a chain as `blx export` writes them.
fn exported(directory: &Path) -> PathBuf {
    let file = directory.join("chain.json");
    run::done(run::on(&["export"], directory).arg(&file), b"");
    file
}
