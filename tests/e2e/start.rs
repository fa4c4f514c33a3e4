//! Starts that succeed, starts that are refused, and how a node ends.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::harness::{Home, LIMIT, Launch, PROMPT, Signal, Stream, free_port, run, wait_for};
use super::peer::{Peer, listen};

/// A start that is refused: exit code 1, nothing on standard output, and this on standard error.
fn refused(launch: Launch, sentence: &str) {
    let mut node = launch.spawn(Stdio::piped());
    assert_eq!(node.code(), 1);
    assert_eq!(node.said(), "");
    let said = node.err.text();
    assert!(
        said.starts_with("blx: ") && said.contains(sentence),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn help_and_version_are_printed() {
    for option in ["-h", "--help"] {
        let help = run::done(&mut run::command(&[option]), b"");
        assert!(help.contains("Usage: blx [OPTIONS] [PORT]\n"));
    }
    for option in ["-V", "--version"] {
        let version = run::done(&mut run::command(&[option]), b"");
        assert_eq!(version, concat!("blx ", env!("CARGO_PKG_VERSION"), "\n"));
    }
}

#[test]
fn wrong_usage_is_exit_code_2_and_one_sentence() {
    let table: [(&[&str], &str); 9] = [
        (&["--nonsense"], "--nonsense"),
        (&["6000", "6001"], "6001"),
        (&["0"], "the port must be a number from 1 to 65535"),
        (&["70000"], "the port must be a number from 1 to 65535"),
        (&["abc"], "the port must be a number from 1 to 65535"),
        (&["--connect", "nowhere"], "expected HOST:PORT"),
        (&["--bind", "localhost"], "--bind needs an IP address"),
        (
            &["--difficulty", "17"],
            "--difficulty must be a number from 0 to 16",
        ),
        (&["--data-dir", ""], "--data-dir needs a directory"),
    ];
    for (arguments, sentence) in table {
        let (code, out, said) = run::run(&mut run::command(arguments), b"");
        assert_eq!((code, &*out), (2, ""), "{arguments:?}: {said}");
        assert!(said.contains(sentence), "{arguments:?}: {said}");
        assert!(said.ends_with("try blx --help\n"), "{said}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let home = Home::new();
    let (_other, port) = listen();
    refused(
        home.node().port(port),
        &format!("port {port} is in use on 127.0.0.1: stop "),
    );
    assert!(!home.chain_file(port).exists());
}

#[test]
fn a_data_directory_in_use_is_named_and_the_first_node_goes_on() {
    let home = Home::new();
    let directory = home.path().join("files");
    let launch = home.node().arg("--data-dir").arg(&directory);
    let mut first = launch.start();
    refused(launch.clone(), "in use by another blx");
    first.request("saw");
    first.kill();
    assert_eq!(
        launch.start().reserved(),
        ["saw"],
        "a kill leaves no lock behind"
    );
}

#[test]
fn a_data_directory_that_cannot_be_written_is_named() {
    let home = Home::new();
    let file = home.path().join("file");
    fs::write(&file, "in the way").expect("writes");
    for path in [file.clone(), file.join("below"), "/proc/blx".into()] {
        let launch = home.node().arg("--data-dir").arg(&path);
        refused(launch, &format!("data directory {}", path.display()));
    }
    assert_eq!(fs::read(&file).expect("reads"), b"in the way");
}

#[test]
fn a_chain_file_of_another_kind_is_refused_untouched() {
    let home = Home::new();
    let port = free_port();
    let mut newer = b"\x89BLX\r\n\x1a\n\x09\0\x02\0".to_vec();
    newer.extend(crc32fast::hash(&newer).to_le_bytes());
    newer.extend_from_slice(b"whatever a later version writes");
    let table = [
        (
            newer,
            "chain.blx has format 9 and this blx reads 2: update blx",
        ),
        (
            b"[{\"index\": 0}]\n".to_vec(),
            "chain.blx is not a chain file: move it away",
        ),
    ];
    fs::create_dir_all(home.data(port)).expect("a directory");
    for (bytes, sentence) in table {
        fs::write(home.chain_file(port), &bytes).expect("writes");
        refused(home.node().port(port), sentence);
        assert_eq!(fs::read(home.chain_file(port)).expect("reads"), bytes);
    }
}

#[test]
fn a_data_directory_remembers_its_difficulty() {
    let home = Home::new();
    let port = free_port();
    let with = |difficulty| home.node().port(port).args(&["--difficulty", difficulty]);
    let mut node = with("3").start();
    node.request("saw");
    assert!(node.status().tip.starts_with("000"));
    node.exit();
    refused(
        with("2"),
        "chain.blx was made with difficulty 3, not 2: start without --difficulty",
    );
    let mut node = home.node().port(port).start();
    node.request("axe");
    assert!(node.status().tip.starts_with("000"));
}

#[test]
fn the_key_is_made_once_and_only_its_owner_reads_it() {
    let home = Home::new();
    let mut node = home.node().start();
    let key = node.status().key;
    node.kill();
    let mut modes = Vec::new();
    for entry in fs::read_dir(home.data(node.port)).expect("reads") {
        let entry = entry.expect("reads");
        modes.push(entry.metadata().expect("reads").permissions().mode() & 0o077);
    }
    assert_eq!(modes, vec![0; modes.len()]);
    assert_eq!(home.node().port(node.port).start().status().key, key);
    assert_ne!(home.node().start().status().key, key);
}

#[test]
fn a_key_that_others_may_read_is_refused_with_what_mends_it() {
    let home = Home::new();
    let mut node = home.node().start();
    let (port, key) = (node.port, node.status().key);
    node.kill();
    let file = home.data(port).join("identity.blx");
    let before = fs::read(&file).expect("reads");
    for mode in [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o644] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("its owner may");
        let mends = format!("chmod 600 {}", file.display());
        refused(
            home.node().port(port),
            &format!("others may read it: {mends}\n"),
        );
        assert_eq!(fs::read(&file).expect("reads"), before);
        let mended = Command::new("/bin/sh").args(["-c", &mends]).status();
        assert!(mended.expect("a shell").success());
        let mut node = home.node().port(port).start();
        assert_eq!(node.status().key, key);
        node.kill();
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).expect("its owner may");
    assert_eq!(home.node().port(port).start().status().key, key);
}

#[test]
fn the_end_of_input_ends_the_node_after_the_last_line_is_answered() {
    let home = Home::new();
    let mut node = home.node().start();
    node.enter_bytes(b"1\nsaw\n9\n1\naxe");
    let text = node.finish();
    for part in [
        "✅ requested saw\n",
        "[status] node key: ",
        "✅ requested axe\n",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(node.err.text(), "");
    assert_eq!(
        home.node().port(node.port).start().reserved(),
        ["axe", "saw"]
    );
}

#[test]
fn a_node_that_is_to_have_a_menu_and_no_input_ends_at_once() {
    let launch = Launch::new().arg("--console").arg("stdio");
    let mut node = launch.spawn(Stdio::null());
    assert_eq!(node.code(), 0);
    assert_eq!(node.err.text(), "");
}

#[test]
fn both_signals_end_a_node_with_a_menu_cleanly() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut node = Launch::new().start();
        node.signal(signal);
        assert_eq!(node.code(), 0, "{signal:?}");
        assert_eq!(node.err.text(), "");
    }
}

#[test]
fn both_signals_end_a_headless_node_cleanly_and_its_input_does_not() {
    for signal in [Signal::TERM, Signal::INT] {
        let (listener, port) = listen();
        let launch = Launch::new().connect(port).arg("--headless");
        let mut node = launch.spawn(Stdio::null());
        // Its call says that it runs.
        let mut peer = Peer::accept(&listener);
        peer.expect("peer_announce");
        peer.settle();
        node.signal(signal);
        assert_eq!(node.code(), 0, "{signal:?}");
        assert_eq!(node.said() + &node.err.text(), "");
        peer.expect_close();
    }
}

#[test]
fn a_headless_node_serves_without_reading_its_input() {
    let (listener, port) = listen();
    let launch = Launch::new().connect(port).arg("--headless");
    let mut node = launch.spawn(Stdio::piped());
    let mut peer = Peer::accept(&listener);
    node.enter(&["1", "saw", "10"]);
    node.end_input();
    peer.settle();
    assert_eq!(peer.chain().len(), 1);
    node.stop();
}

#[test]
fn an_output_that_nobody_reads_any_more_ends_the_node_cleanly_at_its_next_word() {
    let mut command = Launch::new().command(free_port());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut node = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let errors = Stream::of(node.stderr.take().expect("a pipe"));
    let mut output = node.stdout.take().expect("a pipe");
    let mut shown = Vec::new();
    while !shown.ends_with(PROMPT.as_bytes()) {
        let mut byte = [0];
        output.read_exact(&mut byte).expect("it speaks");
        shown.push(byte[0]);
    }
    drop(output);
    // The input stays open, so that it is not what ends the node.
    let input = node.stdin.as_mut().expect("a pipe");
    let ended = wait_for(LIMIT, || {
        // A process that another test is just starting has a copy of the other end for a moment, so
        // the first word may still find somebody. That it has ended shows below.
        let _ = input.write_all(b"9\n");
        errors.ended().then_some(())
    });
    if ended.is_none() {
        node.kill().expect("it is there");
    }
    assert_eq!(node.wait().expect("it was started").code(), Some(0));
    assert_eq!(errors.text(), "");
}
