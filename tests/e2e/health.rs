//! What a node that is not well says of itself, to people and to programs.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use super::harness::{Home, Launch, PROMPT};
use super::runner;

fn with_socket(home: &Home) -> (Launch, PathBuf) {
    let socket = home.path().join("blx.sock");
    let launch = home.node().arg("--console=stdio");
    let place = format!("--console=unix:{}", socket.display());
    (launch.arg(place), socket)
}

/// What `blx ctl` prints, and with which code it ends.
fn ctl(socket: &Path, words: &[&str]) -> (String, i32) {
    let mut command = runner::blx();
    command.arg("ctl").arg("--socket").arg(socket).args(words);
    command.env_clear().envs(runner::environment());
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    let output = command.output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    (text, output.status.code().expect("no signal killed it"))
}

/// The state as a program is told it, with this exit code.
fn object(socket: &Path, code: i32) -> Value {
    let (text, ended) = ctl(socket, &["--json", "status"]);
    assert_eq!(ended, code, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn a_node_whose_disk_is_full_is_not_ok() {
    let home = Home::new();
    let (launch, socket) = with_socket(&home);
    // No file may grow beyond a few kilobytes: what a full disk looks like to a program.
    let mut node = launch.shell("trap '' XFSZ; ulimit -f 16").start();
    assert_eq!(object(&socket, 0)["ok"], true);
    let (text, code) = ctl(&socket, &["status"]);
    assert!(
        text.starts_with("[status] blockchain is A-OK! 😁\n"),
        "{text}"
    );
    assert_eq!(code, 0);
    let full = (0..50).any(|number| {
        let item = format!("{number}-{}", "x".repeat(900));
        node.enter(&["1", &item]);
        !node.expect(PROMPT).contains("✅ requested ")
    });
    assert!(full, "the disk never fills");

    let first = "[status] ❌ nothing is written any more: cannot write chain.blx: ";
    let (text, code) = ctl(&socket, &["status"]);
    assert!(text.starts_with(first) && !text.contains("A-OK"), "{text}");
    assert_eq!(code, 3);
    let state = object(&socket, 3);
    assert_eq!(state["ok"], false);
    let why = state["writing_stopped"].as_str().expect("a reason");
    assert!(why.starts_with("cannot write chain.blx: "), "{why}");
    assert_eq!(state["damage"], Value::Null);
    let typed = node.ask(&["9"], "[status] node key: ");
    assert!(typed.trim_start().starts_with(first), "{typed}");
    assert!(!typed.contains("A-OK"), "{typed}");
    // What was refused is one thing, what is told another: the next answer is not the node's state.
    assert_eq!(ctl(&socket, &["request", "small"]).1, 1);
    assert_eq!(ctl(&socket, &["reserved"]).1, 0);
}

#[test]
fn a_node_with_damage_is_not_ok() {
    let home = Home::new();
    let (launch, socket) = with_socket(&home);
    let mut node = launch.start();
    for item in ["saw", "axe", "drill"] {
        node.request(item);
    }
    node.kill();
    let file = home.chain_file(node.port);
    let at = fs::read(&file).expect("reads").len() / 2;
    let open = OpenOptions::new().read(true).write(true).open(&file);
    let open = open.expect("opens");
    let mut byte = [0];
    open.read_exact_at(&mut byte, at as u64).expect("reads");
    open.write_all_at(&[byte[0] ^ 4], at as u64)
        .expect("writes");

    let mut node = launch.port(node.port).start();
    let first = "[status] blockchain is CORRUPTED! ⚠️ block ";
    let (text, code) = ctl(&socket, &["status"]);
    assert!(text.starts_with(first) && !text.contains("A-OK"), "{text}");
    assert_eq!(code, 3);
    let state = object(&socket, 3);
    assert_eq!(state["ok"], false);
    assert!(
        state["damage"]
            .as_str()
            .is_some_and(|why| why.starts_with("block "))
    );
    assert_eq!(state["writing_stopped"], Value::Null);
    let typed = node.ask(&["9"], "[status] node key: ");
    assert!(typed.trim_start().starts_with(first), "{typed}");
}
