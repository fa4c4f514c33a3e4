//! `blx export`, `import`, `backup`, `restore`, `compact` and `events`, from the real binary.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Output, Stdio};

use blx::ledger::work::Work;
use blx::ledger::{Block, Identity, Kind, Timestamp, Uid};
use blx::wire::text;
use serde_json::value::RawValue;

mod backup;
mod branch;
mod compact;
mod crafted;
mod durable;
mod events;
// The other tests use the rest of it.
#[allow(dead_code)]
#[path = "../needs.rs"]
mod needs;
#[path = "../records.rs"]
mod records;
#[allow(dead_code)]
#[path = "../harness/runner.rs"]
mod runner;
mod transfer;

fn vectors(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(name)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn finish(child: Child) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().expect("ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let code = status.code().expect("no signal");
    (code, text(stdout), text(stderr))
}

fn spawn(arguments: &[&str], directory: &Path) -> Child {
    let (name, rest) = arguments.split_first().expect("a sub-command");
    runner::blx()
        .args([name, "--data-dir"])
        .arg(directory)
        .args(rest)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts")
}

/// Runs a sub-command on a data directory: exit code, standard output, standard error without what
/// depends on the time that it took.
fn blx(arguments: &[&str], directory: &Path, input: &[u8]) -> (i32, String, String) {
    let mut child = spawn(arguments, directory);
    let mut stdin = child.stdin.take().expect("piped");
    // A fault may be out before everything is read.
    let _ = stdin.write_all(input);
    drop(stdin);
    let (code, out, err) = finish(child);
    (code, out, runner::remarks(&err))
}

/// One that goes well and has nothing to remark; its standard output.
fn done(arguments: &[&str], directory: &Path, input: &[u8]) -> String {
    let (code, out, err) = blx(arguments, directory, input);
    assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}: {out}");
    out
}

/// One that is refused with one sentence.
fn refused(arguments: &[&str], directory: &Path, input: &[u8]) -> String {
    let (code, out, err) = blx(arguments, directory, input);
    assert_eq!((code, out.as_str()), (1, ""), "{arguments:?}: {err}");
    assert!(
        err.starts_with("blx: ") && err.lines().count() == 1,
        "{err}"
    );
    err
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

/// A chain of blocks with these transactions, as text.
fn chain_of(blocks: impl IntoIterator<Item = Vec<(Kind, Uid, Timestamp)>>) -> String {
    let identity = Identity::from_secret(&[7; 32]).expect("a key");
    let mut block = Block::genesis(Timestamp::Integer(0));
    let mut text = b"[".to_vec();
    text::block(&mut text, &block);
    for (index, steps) in (1..).zip(blocks) {
        let sign = |(kind, uid, time)| identity.sign(kind, uid, time);
        let next = Block {
            index,
            prev_hash: block.hash,
            transactions: steps.into_iter().map(sign).collect(),
            nonce: 0,
            timestamp: Timestamp::Integer(index.into()),
            hash: block.hash,
        };
        let mut work = Work::new(next, 1);
        while !work.step(1_000) {}
        block = work.into_block();
        text.extend_from_slice(b", ");
        text::block(&mut text, &block);
    }
    text.push(b']');
    String::from_utf8(text).expect("ASCII")
}

fn long_chain(blocks: u64) -> String {
    chain_of((0..blocks).map(|step| {
        let kind = [Kind::Request, Kind::Release][usize::from(step % 2 == 1)];
        vec![(kind, "ladder".into(), Timestamp::Float(step as f64))]
    }))
}

/// A node with its menu.
struct Node {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Node {
    fn start(directory: &Path) -> Node {
        let mut child = runner::blx()
            .args(["--bind", "127.0.0.1", "--data-dir"])
            .arg(directory)
            .arg(runner::free_port().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let stdin = child.stdin.take();
        Node { child, stdin }
    }

    fn type_in(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("still open");
        stdin.write_all(text.as_bytes()).expect("reads");
    }

    /// Ends it; what it printed.
    fn end(mut self) -> String {
        drop(self.stdin.take());
        let output = self.child.wait_with_output().expect("ends");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

/// A data directory of a node on which three items were requested.
fn used() -> tempfile::TempDir {
    let directory = folder();
    let mut node = Node::start(directory.path());
    node.type_in("1\na\n1\nb\n1\nc\n");
    node.end();
    directory
}
