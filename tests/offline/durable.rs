//! What is promised to survive a power cut: the order of syncs and renames, as strace sees it.
//!
//! In an emulator these tests pass over: the order does not depend on the processor.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{ChildStdout, Command};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use blx::limits;
use blx::shell::disk::SystemDisk;
use blx::shell::resolve::RUNNER;
use blx::store::log::Log;

use super::*;

/// A system call that has to do with files and succeeded.
#[derive(Debug, PartialEq)]
enum Call {
    Created(PathBuf),
    /// Written or cut.
    Written(PathBuf),
    Synced(PathBuf),
    Renamed(PathBuf, PathBuf),
    Made(PathBuf),
    /// Something went to a pipe: somebody is told.
    Told,
}

use Call::{Created, Made, Renamed, Synced, Told, Written};

const TRACED: &str = "trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat,openat,open,\
                      mkdir,mkdirat,write,pwrite64,writev,ftruncate";

/// Whether the calls can be seen here.
fn is_possible() -> bool {
    if env::var_os(RUNNER).is_some() {
        // The calls are those of the emulator; where the program runs by itself they are seen.
        return false;
    }
    needs::strace()
}

/// A folder by its real name, and a file beside it for a trace.
fn places() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = folder();
    let path = folder.path().canonicalize().expect("it is there");
    let trace = path.join("trace");
    (folder, path, trace)
}

fn traced(trace: &Path) -> Command {
    let mut command = Command::new("strace");
    command
        .args(["-y", "-qq", "-s", "0", "-e", TRACED, "-o"])
        .arg(trace)
        .arg(env!("CARGO_BIN_EXE_blx"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The calls of one sub-command that goes well.
fn calls_of(arguments: &[&str], directory: &Path, input: &[u8]) -> Vec<Call> {
    let (_beside, _, trace) = places();
    let (name, rest) = arguments.split_first().expect("a sub-command");
    let mut command = traced(&trace);
    command.args([name, "--data-dir"]).arg(directory).args(rest);
    let mut child = command.spawn().expect("starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input).expect("reads");
    drop(stdin);
    let (code, out, err) = finish(child);
    assert_eq!(code, 0, "{arguments:?}: {out}{err}");
    read(&trace)
}

/// A node whose calls are traced.
struct Traced {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    trace: PathBuf,
    _beside: tempfile::TempDir,
}

impl Traced {
    fn start(directory: &Path, arguments: &[&str]) -> Traced {
        let (beside, _, trace) = places();
        let mut command = traced(&trace);
        command
            .args(["--bind", "127.0.0.1", "--data-dir"])
            .arg(directory);
        command.args(arguments).arg(runner::free_port().to_string());
        command.stderr(Stdio::null());
        let mut child = command.spawn().expect("starts");
        Traced {
            stdin: child.stdin.take().expect("piped"),
            lines: lines(child.stdout.take().expect("piped")),
            child,
            trace,
            _beside: beside,
        }
    }

    /// Types something and reads until a line has this in it.
    fn ask(&mut self, typed: &str, expected: &str) {
        self.stdin.write_all(typed.as_bytes()).expect("reads");
        while let Ok(line) = self.lines.recv_timeout(LIMIT) {
            if line.contains(expected) {
                return;
            }
        }
        panic!("it does not say {expected:?}");
    }

    /// Ends it; its calls.
    fn end(mut self) -> Vec<Call> {
        drop(self.stdin);
        while self.lines.recv_timeout(LIMIT).is_ok() {}
        assert!(self.child.wait().expect("ends").success());
        read(&self.trace)
    }
}

/// What a program says, line by line, so that waiting for it can have a limit.
fn lines(out: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(out).lines();
        while let Some(Ok(line)) = lines.next() {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// How long a test waits for what has to come.
const LIMIT: Duration = Duration::from_secs(120);

fn wait_for(mut done: impl FnMut() -> bool) {
    let limit = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < limit, "it does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn read(trace: &Path) -> Vec<Call> {
    let text = fs::read_to_string(trace).expect("a trace");
    text.lines().filter_map(call).collect()
}

/// A line of the trace: `fsync(5</path>) = 0`, `rename("/from", "/to") = 0`.
fn call(line: &str) -> Option<Call> {
    let (call, result) = line.rsplit_once(" = ")?;
    let call = call.trim_end().strip_suffix(')')?;
    let (name, arguments) = call.split_once('(')?;
    if result.starts_with('-') {
        return None;
    }
    let strings: Vec<&str> = arguments.split('"').skip(1).step_by(2).collect();
    let string = |at: usize| PathBuf::from(strings[at]);
    let open = || {
        let (_, path) = arguments.split_once('<')?;
        Some(path.split_once('>')?.0)
    };
    match name {
        "open" | "openat" => {
            let created = arguments.contains("O_CREAT").then(|| string(0));
            // Whoever opens what is there for writing may have found it half made.
            created.map(Created)
        }
        "mkdir" | "mkdirat" => Some(Made(string(0))),
        "rename" | "renameat" | "renameat2" | "link" | "linkat" => {
            Some(Renamed(string(0), string(1)))
        }
        "fsync" | "fdatasync" => open().map(|path| Synced(path.into())),
        _ => match open()? {
            pipe if pipe.starts_with("pipe:") => Some(Told),
            path => Some(Written(path.into())),
        },
    }
}

fn parent(path: &Path) -> PathBuf {
    path.parent().expect("it is in a folder").to_owned()
}

/// The next of these calls that is not only an opening.
fn next(calls: &[Call]) -> Option<&Call> {
    calls.iter().find(|call| !matches!(call, Created(_)))
}

/// Whether what was written to a file in these calls was synced after that.
fn is_synced(calls: &[Call], file: &Path) -> bool {
    let on = |call: &&Call| matches!(call, Written(path) | Synced(path) if path == file);
    matches!(calls.iter().rfind(on), Some(Synced(_)))
}

/// Holds of every run: whatever gets a name by a rename is synced before and the name after, a name
/// of a file that is synced too, a folder's as well; and nobody is told of what is not on the disk.
fn check(calls: &[Call]) {
    for (at, call) in calls.iter().enumerate() {
        let (before, behind) = (&calls[..at], &calls[at + 1..]);
        match call {
            Renamed(from, to) => {
                assert!(
                    is_synced(before, from),
                    "{from:?} gets the name {to:?}: {before:?}"
                );
                assert_eq!(next(behind), Some(&Synced(parent(to))), "{to:?}");
            }
            Made(path) => {
                assert_eq!(next(behind), Some(&Synced(parent(path))), "{path:?}");
            }
            Synced(path) if calls.contains(&Created(path.clone())) => {
                let renamed = behind
                    .iter()
                    .any(|call| matches!(call, Renamed(from, _) if from == path));
                let named = before.contains(&Synced(parent(path)));
                let first = !before.contains(call);
                if first && !renamed && !named {
                    assert_eq!(next(behind), Some(&Synced(parent(path))), "{path:?}");
                }
            }
            Told => {
                let on_chain = |call: &&Call| matches!(call, Written(path) | Synced(path) if path.ends_with("chain.blx"));
                let chain = before.iter().rfind(on_chain);
                assert!(
                    !matches!(chain, Some(Written(_))),
                    "told too early: {before:?}"
                );
            }
            Created(_) | Written(_) | Synced(_) => {}
        }
    }
}

/// How often a file got its name by a rename.
fn placed(calls: &[Call], file: &Path) -> usize {
    let into = |call: &&Call| matches!(call, Renamed(_, to) if to == file);
    calls.iter().filter(into).count()
}

/// The place of the first call that is so.
fn place(calls: &[Call], is: impl Fn(&Call) -> bool) -> usize {
    let found = calls.iter().position(is);
    found.unwrap_or_else(|| panic!("it is not among {calls:?}"))
}

/// A part of `file` was set aside: the copy and its name were durable before anything was cut or
/// replaced.
fn set_aside(calls: &[Call], file: &str) {
    let beside = format!("{file}.damaged-");
    let named = |path: &Path, start: &str| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(start))
    };
    let copy = place(
        calls,
        |call| matches!(call, Created(path) if named(path, &beside)),
    );
    let Created(path) = &calls[copy] else {
        unreachable!()
    };
    let behind = &calls[copy..];
    let synced = place(behind, |call| *call == Synced(path.clone()));
    assert!(is_synced(&behind[..=synced], path));
    assert!(
        !behind[synced..].contains(&Written(path.clone())),
        "{behind:?}"
    );
    assert_eq!(behind[synced + 1], Synced(parent(path)), "{path:?}");
    let changed = |call: &Call| match call {
        Written(other) | Renamed(_, other) => *other == path.with_file_name(file),
        _ => false,
    };
    assert!(!behind[..synced + 1].iter().any(changed), "{behind:?}");
}

fn flip(file: &Path, at: impl Fn(usize) -> usize) {
    let mut bytes = fs::read(file).expect("reads");
    let at = at(bytes.len());
    bytes[at] ^= 1;
    fs::write(file, bytes).expect("writes");
}

#[test]
fn a_new_node_and_its_folders_are_durable_before_it_says_anything() {
    if !is_possible() {
        return;
    }
    let (_folder, outer, _) = places();
    let other = used();
    let port = runner::free_port().to_string();
    let mut node = runner::blx()
        .args(["--bind", "127.0.0.1", "--data-dir"])
        .arg(other.path())
        .arg(&port)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("starts");
    let path = outer.join("a/b/node");
    let mut traced = Traced::start(&path, &[]);
    traced.ask(&format!("6\n127.0.0.1\n{port}\n"), "✅ connected to ");
    // Only who has spoken is kept as a peer.
    traced.ask("", "adopted longer chain");
    traced.ask("1\nlamp\n", "✅ requested lamp");
    let calls = traced.end();
    drop(node.stdin.take());
    assert!(node.wait().expect("ends").success());
    check(&calls);
    for made in [outer.join("a"), outer.join("a/b"), path.clone()] {
        assert!(calls.contains(&Made(made)), "{calls:?}");
    }
    for file in ["identity.blx", "chain.blx", "peers.blx"] {
        assert_eq!(placed(&calls, &path.join(file)), 1, "{file}");
    }
    assert!(calls.contains(&Synced(path.join("chain.blx"))));
    assert!(calls.contains(&Synced(path.join("events.blx"))));
}

#[test]
fn a_wish_that_waits_is_durable() {
    if !is_possible() {
        return;
    }
    let (_folder, path, _) = places();
    let mut node = Traced::start(&path, &["--difficulty", "16"]);
    node.ask("1\nlamp\n", "that takes a while");
    // Without that it would go on until the wish is done.
    node.stdin.write_all(b"10\n").expect("reads");
    let file = path.join("waiting.blx");
    let calls = node.end();
    check(&calls);
    assert!(placed(&calls, &file) > 0);
}

#[test]
fn what_is_set_aside_is_durable_before_it_is_cut() {
    if !is_possible() {
        return;
    }
    for (file, at) in [("chain.blx", 1), ("chain.blx", 200), ("waiting.blx", 1)] {
        let directory = used();
        let path = directory.path().canonicalize().expect("it is there");
        fs::write(path.join("waiting.blx"), [7; 40]).expect("writes");
        if file == "chain.blx" {
            fs::remove_file(path.join("waiting.blx")).expect("was there");
            flip(&path.join(file), |size| size - at);
        }
        let mut node = Traced::start(&path, &[]);
        node.ask("1\nzebra\n", "✅ requested zebra");
        let calls = node.end();
        check(&calls);
        set_aside(&calls, file);
    }
}

/// Fills a directory with a chain that is longer than a start without a checkpoint may read, and
/// with as much again that a switch took out.
fn fill(directory: &Path) {
    let disk = SystemDisk::open(directory).expect("opens");
    let now = Timestamp::Integer(1_000);
    let (mut log, _) = Log::open(disk, Some(0), now).expect("opens");
    let identity = Identity::from_secret(&[1; 32]).expect("a key");
    let next = |index: u64, prev_hash, word: &str| {
        let mut block = Block::genesis(now);
        (block.index, block.prev_hash) = (index, prev_hash);
        let name = format!("{index}{}", word.repeat(900_000 / word.len()));
        let wish = identity.sign(Kind::Request, Uid::from(&*name), now);
        block.transactions.push(wish);
        let mut work = Work::new(block, 0);
        assert!(work.step(1));
        work.into_block()
    };
    let count = limits::CHECKPOINT_BYTES / 900_000 + 2;
    for index in 1..=count {
        let block = next(index, log.tip().hash, "old");
        log.append(&block).expect("appends");
    }
    log.begin(1).expect("begins");
    while !log.unwind(100).expect("unwinds") {}
    for index in 1..count {
        let tip = log.branch_tip().expect("a branch");
        log.stage(&next(index, tip.hash, "new")).expect("stages");
    }
    while log.adopt(2).expect("adopts").is_none() {}
}

#[test]
fn compactions_and_checkpoints_are_durable() {
    if !is_possible() {
        return;
    }
    let (_folder, path, _) = places();
    fill(&path);
    let (chain, checkpoint) = (path.join("chain.blx"), path.join("checkpoint.blx"));
    let before = fs::metadata(&chain).expect("is there").len();
    // What fell out is not made again: it would be read from the file as it is, and longer in the end.
    let mut node = Traced::start(&path, &["--orphans", "drop"]);
    wait_for(|| fs::metadata(&chain).expect("is there").len() < before);
    node.ask("1\nlamp\n", "✅ requested lamp");
    let calls = node.end();
    check(&calls);
    assert_eq!(placed(&calls, &chain), 1);
    assert_eq!(placed(&calls, &checkpoint), 2);
    let into = |file: &Path| {
        let last = calls
            .iter()
            .rposition(|call| matches!(call, Renamed(_, to) if to == file));
        last.expect("it was placed")
    };
    assert!(
        into(&chain) < into(&checkpoint),
        "the old one knows another file"
    );
}

#[test]
fn the_outcome_of_every_sub_command_is_durable() {
    if !is_possible() {
        return;
    }
    let (_folder, outer, _) = places();
    let directory = used();
    let path = directory.path().canonicalize().expect("it is there");
    let (saved, text) = (outer.join("saved"), outer.join("chain.json"));
    for (command, file) in [("backup", &saved), ("export", &text)] {
        let calls = calls_of(&[command, name(file)], &path, b"");
        check(&calls);
        assert_eq!(placed(&calls, file), 1, "{command}");
    }
    let calls = calls_of(&["compact"], &path, b"");
    check(&calls);
    assert_eq!(placed(&calls, &path.join("chain.blx")), 1);
    for (command, files) in [
        (
            ["restore", name(&saved)],
            &["identity.blx", "chain.blx"][..],
        ),
        (["import", name(&text)], &["chain.blx"]),
    ] {
        let path = outer.join(command[0]).join("new");
        let calls = calls_of(&command, &path, b"");
        check(&calls);
        assert!(calls.contains(&Made(path.clone())), "{command:?}");
        for file in files {
            assert_eq!(placed(&calls, &path.join(file)), 1, "{command:?}: {file}");
        }
    }
}
