//! What the chain file costs, beside a file that is written whole after each block.
//!
//! `cargo bench --bench store`, with `-- --quick` for 1,000 and 20,000 blocks and `-- --blocks N`
//! for N at most. A goal that is missed is said and fails nothing: machines differ.

mod disk;
// The other benchmark uses the rest.
#[allow(dead_code)]
mod generate;
#[path = "../harness/mod.rs"]
mod harness;
mod measure;
mod process;
mod rewrite;
mod table;

use std::env;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use harness::{PROMPT, usage};
use measure::{APPENDS, Bench, HOLD};
use rewrite::Rewrite;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [first, file] = &arguments[..]
        && first == HOLD
    {
        return hold(Path::new(file));
    }
    // `cargo test --all-targets` runs this too, without the word that `cargo bench` adds.
    if !arguments.iter().any(|word| word == "--bench") {
        println!("run it with: cargo bench --bench store");
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
    fs::create_dir_all(&folder).expect("a folder for the chains");
    let sizes = sizes(&arguments);
    let longest = *sizes.last().expect("at least one");
    let mut bench = Bench::new(folder.join("work"), longest);
    for blocks in sizes {
        let chain = generate::chain(&folder, blocks);
        bench.measure(&chain, blocks);
    }
    println!();
    table::print(&["blx", "rewrite"], &bench.into_rows());
    println!(
        "\nAppends: median / 99th percentile of {APPENDS}, of the rewritten file fewer. Openings: \
         median, with the files in the system's cache."
    );
}

/// The lengths of the chains, the longest last.
fn sizes(arguments: &[String]) -> Vec<u64> {
    let at = arguments.iter().position(|word| word == "--blocks");
    let asked = at.map(|at| {
        let count = arguments.get(at + 1).and_then(|count| count.parse().ok());
        count.expect("a number behind --blocks")
    });
    let quick = arguments.iter().any(|word| word == "--quick");
    let usual: &[u64] = match quick {
        true => &[1_000, 20_000],
        false => &[1_000, 100_000, 1_000_000],
    };
    let longest: u64 = asked.unwrap_or(u64::MAX);
    let shorter = usual.iter().copied().filter(|blocks| *blocks < longest);
    shorter.chain(asked).collect()
}

/// Stands in for a node that keeps its whole chain in memory.
fn hold(path: &Path) {
    let chain = Rewrite::open(path).expect("a file written whole");
    assert!(!chain.blocks().is_empty());
    print!("{PROMPT}");
    io::stdout().flush().expect("a pipe");
    let _ = io::stdin().read(&mut [0]);
}
