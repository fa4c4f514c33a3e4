//! The menu on a pseudo-terminal, as a person sees it.

use super::harness::{Home, Launch, Node, PROMPT};
use super::peer::{Peer, Person, after, block_message, block_of, chain_message};
use super::pty;

/// A node on a terminal of its own, at its first prompt.
pub fn on_terminal(launch: Launch) -> Node {
    let (master, name) = pty::terminal();
    let mut node = launch.spawn_on(pty::other_side(&name), master);
    node.expect("select > ");
    node
}

/// What is on the terminal from the first prompt on.
pub fn shown(node: &Node) -> String {
    let text = node.said();
    text[text.find(PROMPT).expect("a prompt")..].replace("\r\n", "\n")
}

#[test]
fn what_is_typed_stands_behind_the_prompts_and_is_written_once() {
    let mut node = on_terminal(Launch::new());
    let port = node.port;
    for (typed, prompt) in [
        ("1", "item ID: "),
        ("saw", PROMPT),
        ("5", "item IDs: "),
        ("axe,rope", PROMPT),
        ("6", "peer host: "),
        ("localhost", "peer port: "),
        ("x", PROMPT),
        ("", PROMPT),
        ("2", "item ID: "),
        ("axe", PROMPT),
    ] {
        node.enter(&[typed]);
        node.expect(prompt);
    }
    let menu = node.said().replace("\r\n", "\n");
    let menu = &menu[..menu.find(PROMPT).expect("a prompt")];
    let expected = format!(
        "select > 1\nitem ID: saw\n✅ requested saw\n\
         select > 5\nitem IDs: axe,rope\n✅ requested axe\n✅ requested rope\n\
         select > 6\npeer host: localhost\npeer port: x\n\
         ❌ the port must be a number from 1 to 65535, not \"x\".\n\
         select > \n{menu}\
         select > 2\nitem ID: axe\n✅ released axe\nselect > "
    );
    assert_eq!(shown(&node), expected, "port {port}");
}

#[test]
fn an_event_stands_on_a_line_of_its_own_and_the_prompt_comes_back() {
    let mut node = on_terminal(Launch::new());
    let (mut peer, chain) = Peer::join(node.port);
    let person = Person::new(1);
    let first = after(&chain[0], vec![person.requests("saw")]);
    peer.say(&block_message(&first));
    node.expect(PROMPT);
    node.enter(&["1"]);
    node.expect("item ID: ");
    // In the middle of a question.
    peer.say(&block_message(&after(&first, vec![person.requests("axe")])));
    node.expect("item ID: ");
    node.enter(&["rope"]);
    node.expect(PROMPT);
    assert_eq!(
        shown(&node),
        "select > \n[network 📦] received and added block #1\n\
         select > 1\nitem ID: \n[network 📦] received and added block #2\n\
         item ID: rope\n✅ requested rope\nselect > "
    );
}

/// A name of a hundred characters that has its place in a list by its first ones.
fn long_name(number: usize) -> String {
    format!("{number:03}-{}", "x".repeat(96))
}

#[test]
fn an_event_waits_until_the_answer_that_is_being_printed_is_complete() {
    const COUNT: usize = 800;
    let mut node = on_terminal(Launch::new());
    let person = Person::new(1);
    let mut all = Peer::dial(node.port).chain();
    for start in (0..COUNT).step_by(200) {
        let names = (start..start + 200).map(long_name);
        let transactions = names.map(|name| person.requests(&name)).collect();
        all.push(after(&all[all.len() - 1], transactions));
    }
    // Not before: who says nothing for long is given up.
    let (mut peer, _) = Peer::join(node.port);
    let (mut other, _) = Peer::join(node.port);
    peer.say(&chain_message(&all));
    node.expect("adopted longer chain (5 blocks)");
    node.expect(PROMPT);
    other.settle();

    // A list too long for the terminal stops in its middle while nobody reads it.
    let count = format!("reserved items: {COUNT}");
    node.out.hold_at(&count);
    node.enter(&["3"]);
    node.expect(&count);
    let block = after(&all[4], vec![person.requests("!")]);
    peer.say(&block_message(&block));
    assert_eq!(block_of(&other.expect("new_block")), block, "it was taken");
    node.out.let_go();
    node.expect("received and added block #5");
    node.expect(PROMPT);

    let text = shown(&node);
    let list = &text[text.find("reserved items: ").expect("a list")..];
    let mut lines = list.lines();
    assert_eq!(lines.next(), Some("reserved items: 800"));
    for number in 0..COUNT {
        let line = lines.next().unwrap_or_default();
        assert!(
            line.starts_with(&format!("  {}  taken ", long_name(number))),
            "{line}"
        );
    }
    let rest: Vec<&str> = lines.collect();
    assert_eq!(
        rest,
        ["[network 📦] received and added block #5", "select > "]
    );
}

#[test]
fn control_d_ends_the_node() {
    let mut node = on_terminal(Launch::new());
    node.enter_bytes(b"\x04");
    assert_eq!(node.code(), 0);
    assert_eq!(node.err.text(), "");
}

#[test]
fn control_c_ends_the_node_cleanly() {
    // The terminal has to be the one that controls the process.
    let launch = Launch::new().env("PATH", "/usr/bin:/bin");
    let mut node = on_terminal(launch.shell("exec setsid --ctty \"$0\" \"$@\""));
    node.enter_bytes(b"\x03");
    assert_eq!(node.code(), 0);
    assert_eq!(node.err.text(), "");
}

#[test]
fn a_scanner_may_end_an_item_with_a_tab_and_the_terminal_gets_its_settings_back() {
    let home = Home::new();
    let mut node = on_terminal(home.node().env("PATH", "/usr/bin:/bin").shell(
        "stty -a >\"$HOME/before\"; setsid --ctty \"$0\" \"$@\"; stty -a >\"$HOME/after\"; exit",
    ));
    let settings = |name: &str| std::fs::read_to_string(home.path().join(name));
    node.enter(&["1"]);
    node.expect("item ID: ");
    node.enter_bytes(b"laptop-001\t");
    node.expect("✅ requested laptop-001\r\n");
    node.expect(PROMPT);
    // Elsewhere a tab is nothing but a space.
    node.enter_bytes(b"\t9\t\n");
    node.expect("[status] reserved items: 1\r\n");
    node.expect(PROMPT);
    node.exit();
    let (before, after) = (settings("before"), settings("after"));
    assert_eq!(before.expect("stty ran"), after.expect("stty ran"));
}
