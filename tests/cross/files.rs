//! What a node for one kind of processor leaves on disk, in the hands of the other kind.

use std::fs;
use std::path::Path;

use blx::ledger::{Block, Timestamp};
use blx::limits::CHECKPOINT_BYTES;

use crate::harness::{Status, run, until};
use crate::nodes::{Node, Place};
use crate::peer::{Peer, Person, array_text, chain_message, listen, mined};
use crate::{Program, pairs};

/// Runs a sub-command on a data directory; its standard output.
pub fn run(program: &Program, arguments: &[&str], directory: &Path) -> String {
    let (name, rest) = arguments.split_first().expect("a sub-command");
    let mut command = program.command(&[name, "--data-dir"]);
    run::done(command.arg(directory).args(rest), b"")
}

fn start(program: &Program, place: &Place, arguments: &[&str]) -> Node {
    let node = program.launch(place).args(arguments).start();
    // No file was cut, set aside or left out of account.
    node.assert_never_said(&["[store", "damage"]);
    node
}

fn file(place: &Place, name: &str) -> Vec<u8> {
    fs::read(place.directory().join(name)).unwrap_or_default()
}

/// Looks at the files until they are as wanted.
fn await_files(what: &str, wanted: impl Fn() -> bool) {
    until(|| wanted().then_some(()).ok_or(format!("{what} never came")));
}

/// The chain, the items and the key.
fn essence(node: &mut Node) -> (Status, [Vec<String>; 2]) {
    let status = node.status();
    let items = ["3", "4"].map(|option| node.items(option));
    let (peers, bytes, lines) = (0, 0, Vec::new());
    let status = Status {
        peers,
        bytes,
        lines,
        ..status
    };
    (status, items)
}

#[test]
fn what_one_wrote_the_other_reads_and_goes_on_with() {
    for [writer, reader] in pairs() {
        let place = Place::new();
        let (listener, port) = listen();
        let mut node = start(&writer, &place, &[]);
        for item in ["saw", "a", "b", "c", "d", "e", "f", "g"] {
            node.request(item);
        }
        node.release("g");
        node.dial_port(port);
        let mut peer = Peer::accept(&listener);
        // Somebody had the saw first, so that something old is lost and the old branch is saved.
        let items: Vec<String> = (0..20).map(|number| format!("theirs-{number}")).collect();
        let items = items.iter().map(String::as_str);
        let items: Vec<&str> = std::iter::once("saw").chain(items).collect();
        peer.say(&chain_message(&Person::new(1).chain(&items)));
        node.wait_for("[consensus ⚠️]");
        node.wait_for_status("all is there again", |status| {
            (status.reserved, status.available) == (27, 1)
        });
        let before = essence(&mut node);
        node.exit();
        drop(peer);
        for name in ["chain.blx", "identity.blx", "peers.blx", "fallen.blx"] {
            assert!(!file(&place, name).is_empty(), "{name}");
        }
        let texts = |program| {
            [&["export"][..], &["export", "--branch"]]
                .map(|arguments| run(program, arguments, place.directory()))
        };
        let text = texts(&writer);
        assert!(text == texts(&reader));

        let mut node = start(&reader, &place, &[]);
        // Whom the one had reached the other dials.
        Peer::accept(&listener).expect("peer_announce");
        assert_eq!(essence(&mut node), before);
        node.request("tent");
        let before = essence(&mut node);
        node.exit();
        let mut node = start(&writer, &place, &[]);
        assert_eq!(essence(&mut node), before);
    }
}

#[test]
fn a_backup_of_one_is_restored_by_the_other() {
    for [writer, reader] in pairs() {
        let place = Place::new();
        let mut node = start(&writer, &place, &[]);
        node.request_all(&["saw", "axe"]);
        node.release("axe");
        let before = essence(&mut node);
        let saved = place.directory().join("saved");
        let saved = saved.to_str().expect("UTF-8");
        run(&writer, &["backup", saved], place.directory());
        node.exit();

        let other = Place::new();
        run(&reader, &["restore", saved], other.directory());
        for name in ["chain.blx", "identity.blx"] {
            assert_eq!(file(&other, name), file(&place, name), "{name}");
        }
        let again = other.directory().join("again");
        let words = ["backup", again.to_str().expect("UTF-8")];
        run(&reader, &words, other.directory());
        assert_eq!(fs::read(&again).expect("reads"), file(&place, "saved"));
        assert_eq!(essence(&mut start(&reader, &other, &[])), before);
    }
}

#[test]
fn the_same_chain_makes_the_same_file() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let chain = vectors.join("chain_response.line");
    for programs in pairs() {
        let files = programs.map(|program| {
            let place = Place::new();
            let words = ["import", chain.to_str().expect("UTF-8")];
            run(&program, &words, place.directory());
            (
                file(&place, "chain.blx"),
                run(&program, &["export"], place.directory()),
            )
        });
        assert!(files[0] == files[1]);
    }
}

#[test]
fn a_request_that_waits_with_one_is_fulfilled_by_the_other() {
    // A block mostly takes so long that a request is caught before it is in one. One that was mined
    // sooner is there to stay, and the next request is tried.
    let hard = ["--difficulty", "4"];
    for [writer, reader] in pairs() {
        let place = Place::new();
        for number in 0.. {
            let item = format!("item-{number}");
            let is_in = |name| {
                let bytes = file(&place, name);
                let mut parts = bytes.windows(item.len());
                parts.any(|part| part == item.as_bytes())
            };
            let mut node = start(&writer, &place, &hard);
            node.enter(&["1", &item]);
            await_files("the request", || is_in("waiting.blx") || is_in("chain.blx"));
            node.kill();
            if is_in("waiting.blx") {
                let mut node = start(&reader, &place, &hard);
                node.wait_for_status("what waited is in a block", |status| {
                    status.reserved == number + 1
                });
                assert!(node.items("3").contains(&item));
                break;
            }
        }
    }
}

/// Blocks that ask for no work, with a file that is long enough for a checkpoint.
fn long_chain() -> String {
    const BLOCK_BYTES_MIN: u64 = 50;
    let mut chain = vec![Block::genesis(Timestamp::Float(1_795_396_500.5))];
    for index in 1..CHECKPOINT_BYTES / BLOCK_BYTES_MIN {
        let mut next = Block::genesis(Timestamp::Float(1_795_396_521.41));
        (next.index, next.prev_hash) = (index, chain[chain.len() - 1].hash);
        chain.push(mined(next, 0));
    }
    array_text(&chain)
}

#[test]
fn a_checkpoint_of_one_serves_the_other() {
    let pairs = pairs();
    let chain = if pairs.is_empty() {
        String::new()
    } else {
        long_chain()
    };
    for [writer, reader] in pairs {
        let place = Place::new();
        let source = tempfile::NamedTempFile::new().expect("a file");
        fs::write(source.path(), &chain).expect("writes");
        let words = ["--difficulty", "0", source.path().to_str().expect("UTF-8")];
        run(
            &writer,
            &[&["import"], &words[..]].concat(),
            place.directory(),
        );
        assert!(file(&place, "chain.blx").len() as u64 > CHECKPOINT_BYTES);
        let mut node = start(&writer, &place, &words[..2]);
        await_files("a checkpoint", || {
            !file(&place, "checkpoint.blx").is_empty()
        });
        let before = essence(&mut node);
        node.exit();

        // One that does not serve is written anew as soon as the node has nothing else to do.
        let path = place.directory().join("checkpoint.blx");
        let written = || fs::metadata(&path).expect("it is there").modified();
        let time = written().expect("a time");
        let mut node = start(&reader, &place, &words[..2]);
        assert_eq!(essence(&mut node), before);
        node.exit();
        assert_eq!(written().expect("a time"), time, "it was written anew");
    }
}
