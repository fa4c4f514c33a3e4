//! What a node that is not well says of itself, to people and to programs.

use std::path::Path;

use serde_json::Value;

use super::consoles::{ctl, launch_with_socket};
use super::harness::Home;
use super::kill::fill;
use super::repair::rot;

/// The state as a program is told it, with this exit code.
fn object(socket: &Path, code: i32) -> Value {
    let (text, ended) = ctl(socket, &["--json", "status"]);
    assert_eq!(ended, code, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn a_node_whose_disk_is_full_is_not_ok() {
    let (launch, socket) = launch_with_socket(&Home::new());
    let mut node = launch.full_disk(16).start();
    assert_eq!(object(&socket, 0)["ok"], true);
    let (text, code) = ctl(&socket, &["status"]);
    assert!(
        text.starts_with("[status] blockchain is A-OK! 😁\n"),
        "{text}"
    );
    assert_eq!(code, 0);
    fill(&mut node);

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
    let (launch, socket) = launch_with_socket(&home);
    let mut node = launch.start();
    for item in ["saw", "axe", "drill"] {
        node.request(item);
    }
    node.kill();
    rot(&home.chain_file(node.port), |size| size / 2);

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
