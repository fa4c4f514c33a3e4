//! The fuzzer's bodies over their corpora, and over what chance makes of those: what the fuzzer has found
//! once is found again by `cargo test`, with no other compiler and no libFuzzer.
//!
//! What fails is kept as a file, which `tests/fuzz/run` takes too. `BLX_MUTATIONS=n` makes so many of each
//! corpus.

mod bodies;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use bodies::random::Random;
use bodies::{ALL, Body, seeds};

/// Altered inputs of each corpus where nothing else is said.
const MUTATIONS: u64 = 3_000;

/// Those that take so many times as long, of which there are fewer.
const SLOW: [(&str, u64); 4] = [("node", 40), ("typing", 8), ("damage", 6), ("checksums", 6)];

fn folder(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/fuzz/corpus").join(name)
}

/// The inputs of a corpus, in the order of their names.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder(name)).expect("a corpus");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    let read = |path: &PathBuf| fs::read(path).expect("an input");
    let inputs: Vec<Vec<u8>> = paths.iter().map(read).collect();
    assert!(!inputs.is_empty(), "{name} has no corpus");
    inputs
}

/// Alters some bytes, or puts a piece of another input among them.
fn mutate(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.place(input.len() + 1);
        let end = (at + random.bite(16)).min(input.len());
        match random.below(6) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..end)),
            2 => drop(input.splice(at..end, random.bytes())),
            3 if !other.is_empty() => {
                let from = random.place(other.len());
                let to = (from + random.bite(200)).min(other.len());
                input.splice(at..end, other[from..to].iter().copied());
            }
            _ if at < input.len() => input[at] ^= 1 << random.below(8),
            _ => input.push(random.next() as u8),
        }
    }
}

/// Runs a body; what it fails with is kept.
fn hold(name: &str, body: Body, input: &[u8]) {
    if catch_unwind(|| body(input)).is_err() {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
        fs::write(&path, input).expect("it is kept");
        panic!("{name} fails with {}", path.display());
    }
}

fn over(name: &str) {
    let body = bodies::named(name).expect("a body");
    let inputs = corpus(name);
    for input in &inputs {
        hold(name, body, input);
    }
    let count = std::env::var("BLX_MUTATIONS").ok();
    let count = count
        .and_then(|count| count.parse().ok())
        .unwrap_or(MUTATIONS);
    let slow = SLOW.iter().find(|(slow, _)| *slow == name);
    let mut random = Random::new(1);
    for _ in 0..count / slow.map_or(1, |(_, times)| *times) {
        let mut input = inputs[random.place(inputs.len())].clone();
        let other = &inputs[random.place(inputs.len())];
        mutate(&mut input, other, &mut random);
        hold(name, body, &input);
    }
}

macro_rules! over_corpora {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            over(stringify!($name));
        })*

        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

over_corpora! {
    frames message extension control address command_line import files damage checksums typing node
}

#[test]
fn each_body_has_a_test_and_the_corpora_are_small() {
    assert_eq!(ALL.map(|(name, _)| name), NAMES);
    let bytes = |name: &&str| corpus(name).iter().map(Vec::len).sum::<usize>();
    let all: usize = NAMES.iter().map(bytes).sum();
    assert!(all < 300_000, "{all} bytes");
}

/// To be run when a script has changed its meaning. Leaves what else is in the corpora.
#[test]
#[ignore = "it writes the beginnings of the corpora"]
fn the_corpora_are_begun_anew() {
    for (name, inputs) in seeds::corpora() {
        fs::create_dir_all(folder(name)).expect("a folder");
        for (at, input) in inputs.iter().enumerate() {
            fs::write(folder(name).join(format!("seed-{at:02}")), input).expect("it writes");
        }
    }
}
