//! `blx export`, `import`, `backup`, `restore`, `compact`, `events` and `verify`: what takes no node.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use blx::ledger::{Block, Identity, Kind, Timestamp, Uid};
use serde_json::Value;
use serde_json::value::RawValue;

use super::blocks::{array_text, mined};
use super::harness::run::{self, Outcome};
use super::harness::{Launch, Node, until};

mod backup;
mod branch;
mod compact;
mod crafted;
mod durable;
pub mod events;
mod transfer;
mod verify;

fn vectors(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(name)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Runs a sub-command on a data directory.
fn blx(arguments: &[&str], directory: &Path, input: &[u8]) -> Outcome {
    run::run(&mut run::on(arguments, directory), input)
}

fn done(arguments: &[&str], directory: &Path, input: &[u8]) -> String {
    run::done(&mut run::on(arguments, directory), input)
}

fn refused(arguments: &[&str], directory: &Path, input: &[u8]) -> String {
    run::refused(&mut run::on(arguments, directory), input)
}

/// Runs `blx verify` with these arguments.
fn verify(arguments: &[&str], input: &[u8]) -> Outcome {
    let mut command = run::command(&["verify"]);
    run::run(command.args(arguments), input)
}

fn name(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a folder");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    let mut names: Vec<String> = entries
        .map(|entry| name(entry).into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path)
        .expect("it is there")
        .permissions()
        .mode()
        & 0o777
}

/// The array that a text begins with.
fn array(text: &str) -> &str {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    values.next().expect("a value").expect("JSON").get()
}

/// The chain of a desktop node.
fn desktop_chain() -> String {
    let line = fs::read_to_string(vectors("chain_response.line")).expect("reads");
    array(&line[line.find("\"chain\": ").expect("a chain") + 9..]).to_owned()
}

/// The altered chains, with what is to be said of each, and their text: the numbers in it must stay
/// as they are, so it is cut out, not written anew.
fn cases() -> Vec<(Value, String)> {
    let text = fs::read_to_string(vectors("verdicts.json")).expect("reads");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    assert_eq!(cases.len(), 23);
    let chain = |case: &Value| {
        let start = text.find(&format!("\"name\": {}", case["name"]));
        let case = &text[start.expect("it is there")..];
        array(&case[case.find("\"chain\": ").expect("a chain") + 9..]).to_owned()
    };
    cases
        .into_iter()
        .map(|case| (case.clone(), chain(&case)))
        .collect()
}

/// A chain of blocks with these transactions, as text.
fn chain_of(blocks: impl IntoIterator<Item = Vec<(Kind, Uid, Timestamp)>>) -> String {
    let identity = Identity::from_secret(&[7; 32]).expect("a key");
    let mut chain = vec![Block::genesis(Timestamp::Integer(0))];
    for (index, steps) in (1..).zip(blocks) {
        let mut block = Block::genesis(Timestamp::Integer(index.into()));
        (block.index, block.prev_hash) = (index, chain[chain.len() - 1].hash);
        let sign = |(kind, uid, time)| identity.sign(kind, uid, time);
        block.transactions = steps.into_iter().map(sign).collect();
        chain.push(mined(block, 1));
    }
    array_text(&chain)
}

fn long_chain(blocks: u64) -> String {
    chain_of((0..blocks).map(|step| {
        let kind = [Kind::Request, Kind::Release][usize::from(step % 2 == 1)];
        vec![(kind, "ladder".into(), Timestamp::Float(step as f64))]
    }))
}

/// A node on a data directory, at its prompt.
fn node(directory: &Path) -> Node {
    Launch::on(directory).start()
}

/// A data directory of a node on which three items were requested.
fn used() -> tempfile::TempDir {
    let directory = folder();
    let mut node = node(directory.path());
    node.enter(&["1", "a", "1", "b", "1", "c"]);
    node.finish();
    directory
}
