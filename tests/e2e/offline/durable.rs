//! What is promised to survive a power cut: the order of syncs and renames, as strace sees it.
//!
//! In an emulator these tests pass over: the order does not depend on the processor.

use std::env;

use blx::limits;
use blx::shell::resolve::RUNNER;

use super::super::needs;
use super::super::repair::rot;
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

/// A shell's words that run a program and write down its calls.
fn traced(trace: &Path) -> String {
    let trace = trace.display();
    format!("exec strace -y -qq -s 0 -e {TRACED} -o {trace} \"$0\" \"$@\"")
}

/// The calls of one sub-command that goes well.
fn calls_of(arguments: &[&str], directory: &Path) -> Vec<Call> {
    let (_beside, _, trace) = places();
    let mut command = run::on(arguments, directory);
    command.env("PATH", "/usr/bin:/bin");
    run::done(&mut run::behind(&traced(&trace), &command), b"");
    read(&trace)
}

/// A node whose calls are traced.
struct Traced {
    node: Node,
    trace: PathBuf,
    _beside: tempfile::TempDir,
}

impl Traced {
    fn start(directory: &Path, arguments: &[&str]) -> Traced {
        let (beside, _, trace) = places();
        let launch = Launch::on(directory).args(arguments);
        // What it logs is told to nobody.
        let words = traced(&trace) + " 2>/dev/null";
        let node = launch.env("PATH", "/usr/bin:/bin").shell(&words).start();
        Traced {
            node,
            trace,
            _beside: beside,
        }
    }

    /// Ends it; its calls.
    fn end(mut self) -> Vec<Call> {
        self.node.finish();
        read(&self.trace)
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

#[test]
fn a_new_node_and_its_folders_are_durable_before_it_says_anything() {
    if !is_possible() {
        return;
    }
    let (_folder, outer, _) = places();
    let other = used();
    let mut node = node(other.path());
    let path = outer.join("a/b/node");
    let mut traced = Traced::start(&path, &[]);
    let port = node.port.to_string();
    let dial = ["6", "127.0.0.1", &port];
    traced.node.ask(&dial, "✅ connected to ");
    // Only who has spoken is kept as a peer.
    traced.node.wait_for("adopted longer chain");
    traced.node.request("lamp");
    let calls = traced.end();
    node.finish();
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
fn a_request_that_waits_is_durable() {
    if !is_possible() {
        return;
    }
    let (_folder, path, _) = places();
    let mut traced = Traced::start(&path, &["--difficulty", "16"]);
    traced.node.ask(&["1", "lamp"], "that takes a while");
    // Without that it would go on until the request is done.
    traced.node.enter(&["10"]);
    let file = path.join("waiting.blx");
    let calls = traced.end();
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
            rot(&path.join(file), |size| size - at);
        }
        let mut traced = Traced::start(&path, &[]);
        traced.node.request("zebra");
        let calls = traced.end();
        check(&calls);
        set_aside(&calls, file);
    }
}

/// Fills a directory with a chain that is longer than a start without a checkpoint may read, and
/// with as much again that a reorg disconnected.
fn fill(directory: &Path) {
    const NAME_BYTES: u64 = 900_000;
    let count = limits::CHECKPOINT_BYTES / NAME_BYTES + 2;
    let names = |word: &str, count| -> Vec<String> {
        let long = word.repeat(NAME_BYTES as usize / word.len());
        (0..count).map(|index| format!("{index}{long}")).collect()
    };
    compact::reorg_to(directory, &names("old", count), &names("new", count - 1));
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
    // What was disconnected is not made again: it would be read from the file as it is, and longer in the end.
    let mut traced = Traced::start(&path, &["--orphans", "drop"]);
    until(|| {
        let size = fs::metadata(&chain).expect("is there").len();
        (size < before).then_some(()).ok_or("it is not compacted")
    });
    traced.node.request("lamp");
    let calls = traced.end();
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
        let calls = calls_of(&[command, name(file)], &path);
        check(&calls);
        assert_eq!(placed(&calls, file), 1, "{command}");
    }
    let calls = calls_of(&["compact"], &path);
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
        let calls = calls_of(&command, &path);
        check(&calls);
        assert!(calls.contains(&Made(path.clone())), "{command:?}");
        for file in files {
            assert_eq!(placed(&calls, &path.join(file)), 1, "{command:?}: {file}");
        }
    }
}
