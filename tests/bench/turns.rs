//! What a block costs a node that two desktop nodes are connected to, which take things in turn: each
//! of them makes a block of its own of every block, so between them nothing has the same hash twice.
//!
//! `cargo bench --bench turns`, with `-- --quick` for 200 blocks instead of 1,000. A count that is
//! over its goal ends it with exit code 1: it is the same on every machine. Times are only shown.

// The other benchmarks use the rest of these.
#[allow(dead_code)]
mod disk;
mod stand_in;
mod street;
#[allow(dead_code)]
mod table;
#[allow(dead_code)]
#[path = "../harness/usage.rs"]
mod usage;

use std::env;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use street::{Spent, Street};
use table::{Row, grouped};

/// Blocks of which a figure is the mean.
const WINDOW: u64 = 50;

const WRITTEN_MAX: u64 = 2 << 10;
const WIRE_MAX: u64 = 8 << 10;
const SIGNATURES_MAX: u64 = 4;
/// Flat: hundredths by which a figure may be greater than at the first length, as numbers get more
/// digits.
const GROWTH_PERCENT_MAX: u64 = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    // `cargo test --all-targets` runs this too, without the word that `cargo bench` adds.
    if !arguments.iter().any(|word| word == "--bench") {
        println!("run it with: cargo bench --bench turns");
        return ExitCode::SUCCESS;
    }
    let lengths: [u64; 3] = match arguments.iter().any(|word| word == "--quick") {
        true => [50, 100, 200],
        false => [50, 500, 1_000],
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
    fs::create_dir_all(&folder).expect("a folder to work in");
    let place = tempfile::tempdir_in(&folder).expect("a folder");
    let mut street = Street::new(place.path());
    let mut before = street.spent();
    let mut windows = Vec::new();
    for length in 1..=lengths[2] {
        street.turn(usize::try_from(length - 1).expect("a short chain"));
        if lengths.contains(&length) {
            windows.push((length, street.spent() - before));
        }
        // A window begins where it ends at one of the lengths.
        if lengths.contains(&(length + WINDOW)) {
            before = street.spent();
        }
    }
    let rows = rows(&windows);
    println!();
    table::print(&["a block", "a poll"], &rows);
    println!(
        "\nMeans of the {WINDOW} blocks up to there. A poll: one desktop node is asked for its chain \
         because it is time, and answers; of all that is asked earlier the cost is the block's."
    );
    match rows.iter().all(|row| row.goal.is_none_or(|(_, met)| met)) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Something that is counted, and what is wanted of it.
struct Count {
    figure: &'static str,
    of: fn(&Spent) -> u64,
    /// Of all polls, where they have a share of their own.
    of_polls: Option<fn(&Spent) -> u64>,
    max: u64,
    goal: &'static str,
}

const COUNTS: [Count; 3] = [
    Count {
        figure: "bytes written to disk",
        of: |spent| spent.written,
        of_polls: None,
        max: WRITTEN_MAX,
        goal: "2,048 at most, flat",
    },
    Count {
        figure: "bytes on the wire",
        of: |spent| spent.wire,
        of_polls: Some(|spent| spent.poll_bytes),
        max: WIRE_MAX,
        goal: "8,192 at most, flat",
    },
    Count {
        figure: "signature checks",
        of: |spent| spent.signatures,
        of_polls: None,
        max: SIGNATURES_MAX,
        goal: "4 at most, flat",
    },
];

fn rows(windows: &[(u64, Spent)]) -> Vec<Row> {
    let mut rows = Vec::new();
    for count in &COUNTS {
        let first = (count.of)(&windows[0].1);
        for (length, spent) in windows {
            let all = (count.of)(spent);
            let flat = all * 100 <= first * (100 + GROWTH_PERCENT_MAX);
            let polled = count
                .of_polls
                .map(|of| grouped(of(spent) / spent.polls.max(1)));
            rows.push(Row {
                figure: count.figure.into(),
                blocks: *length,
                cells: vec![mean(all), polled.unwrap_or_default()],
                goal: Some((count.goal, all <= count.max * WINDOW && flat)),
            });
        }
    }
    rows.extend(windows.iter().map(|(length, spent)| {
        let polls = u32::try_from(spent.polls.max(1)).expect("few");
        let window = u32::try_from(WINDOW).expect("few");
        let times = [spent.busy / window, spent.poll_busy / polls];
        Row {
            figure: "processor time".into(),
            blocks: *length,
            cells: times.map(table::time).into(),
            goal: None,
        }
    }));
    rows
}

/// Of a window, with hundredths if it is small.
fn mean(all: u64) -> String {
    match all / WINDOW {
        0..100 => format!("{:.2}", all as f64 / WINDOW as f64),
        whole => grouped(whole),
    }
}
