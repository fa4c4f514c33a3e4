//! The menu over pipes: what is understood, and a clear word for what is not.

use std::process::Stdio;

use super::harness::{Home, Launch, Node, PROMPT, Status, free_port};

const MENU: &str = "1. request (single)
2. release (single)
3. list reserved items
4. list available items
5. request (multiple)
6. connect to peer
7. list connected peers
8. sync chain from network (consensus)
9. report blockchain status
10. exit
11. list recent events

select > ";

#[test]
fn the_menu_is_shown_at_the_start_and_for_an_empty_line() {
    let mut node = Launch::new().start();
    let menu = format!("=== Blockchain Node (Port {}) ===\n{MENU}", node.port);
    assert_eq!(node.said(), menu);
    for line in ["", "   ", "\r"] {
        assert_eq!(node.ask(&[line], "11. list"), format!("\n{menu}"));
    }
}

#[test]
fn what_is_no_option_is_called_invalid() {
    let mut node = Launch::new().start();
    for line in [
        "text", "99", "0", "-1", "12", "1.", "01", "1 1", "٣", "\u{7}",
    ] {
        let answer = node.ask(&[line], "invalid option.\n");
        assert_eq!(answer, format!("\ninvalid option.\n{PROMPT}"), "{line:?}");
    }
    // Blanks around a number are none of its digits.
    node.ask(&["  9 "], "[status] node key: ");
}

#[test]
fn every_option_answers_as_on_the_desktop() {
    let home = Home::new();
    let mut node = home.node().start();
    let answer = node.ask(&["1", "laptop-001"], "laptop-001\n");
    assert_eq!(
        answer,
        format!("\nitem ID: \n✅ requested laptop-001\n{PROMPT}")
    );
    let answer = node.ask(&["5", " cam-1 , cam-2,,tripod,"], "tripod\n");
    let three = "✅ requested cam-1\n✅ requested cam-2\n✅ requested tripod\n";
    assert_eq!(answer, format!("\nitem IDs: \n{three}{PROMPT}"));
    let answer = node.ask(&["2", "cam-1"], "cam-1\n");
    assert_eq!(answer, format!("\nitem ID: \n✅ released cam-1\n{PROMPT}"));
    let status = node.status();
    assert_eq!(
        (status.blocks, status.reserved, status.available),
        (4, 3, 1)
    );
    assert_eq!(
        status.lines[..5],
        [
            "blockchain is A-OK! 😁",
            "block count: 4",
            "reserved items: 3",
            "available items: 1",
            "connected peers: 0",
        ]
    );
    let size = home.chain_file(node.port).metadata().expect("a file").len();
    assert_eq!(status.bytes, size);
    assert_eq!((status.tip.len(), status.key.len()), (64, 66));

    let list = node.ask(&["3"], "reserved items: 3\n");
    let taken = format!(" UTC by {} (this node)\n", &status.key[..12]);
    assert_eq!(list.matches(&taken).count(), 3, "{list}");
    assert!(list.contains("  laptop-001  taken 20"), "{list}");
    let list = node.ask(&["4"], "available items: 1\n");
    assert!(list.contains("  cam-1  returned 20"), "{list}");
    node.ask(&["7"], "no peers are connected.\n");
    node.ask(&["8"], "❌ no peers are connected.\n");
    node.exit();
    assert_eq!(node.err.text(), "");
}

/// A node that holds `saw`, and has `axe` to give.
fn with_two_items() -> Node {
    let mut node = Launch::new().start();
    node.request("saw");
    node.request("axe");
    node.release("axe");
    node
}

/// Each option with a line behind it gets its answer, and nothing changes.
fn refused(node: &mut Node, table: &[(&str, &str, &str)]) {
    let before = node.status();
    for (option, line, answer) in table {
        node.ask(&[option, line], answer);
        assert_eq!(node.status(), before, "{option} {line:?}");
    }
}

#[test]
fn bad_items_get_a_sentence_and_change_nothing() {
    let mut node = with_two_items();
    let long = "x".repeat(1025);
    let longer = "x".repeat(100_000);
    let table = [
        ("1", "saw", "❌ item saw is not available.\n"),
        ("2", "axe", "❌ item axe is ready for request.\n"),
        ("2", "rope", "❌ item rope is ready for request.\n"),
        ("1", "", "❌ the item ID is empty.\n"),
        ("2", " \t", "❌ the item ID is empty.\n"),
        (
            "1",
            &long,
            "❌ the item ID has 1025 bytes, 1024 are allowed.\n",
        ),
        (
            "2",
            &long,
            "❌ the item ID has 1025 bytes, 1024 are allowed.\n",
        ),
        ("1", &longer, "❌ that line is too long.\n"),
        (
            "1",
            "a\u{7}b",
            "❌ the item ID contains control characters.\n",
        ),
        (
            "1",
            "a\u{1b}[2Jb",
            "❌ the item ID contains control characters.\n",
        ),
        (
            "2",
            "a\u{9b}b",
            "❌ the item ID contains control characters.\n",
        ),
    ];
    refused(&mut node, &table);
    let before = node.status();
    node.enter_bytes(b"1\n\xff\xfe\n");
    node.expect("❌ that line is not UTF-8 text.\n");
    assert_eq!(node.status(), before);
    node.request(&long[1..]);
}

#[test]
fn bad_lists_of_items_are_refused_as_a_whole() {
    let mut node = with_two_items();
    let in_list = format!("rope,{}", "x".repeat(1025));
    let many: Vec<String> = (0..201).map(|number| format!("i{number}")).collect();
    let many = many.join(",");
    let table = [
        ("5", "", "❌ there is no item ID in that list.\n"),
        ("5", ",, ,", "❌ there is no item ID in that list.\n"),
        (
            "5",
            "rope,saw,tent",
            "❌ item saw is not available. nothing was requested.\n",
        ),
        (
            "5",
            "rope,tent,rope",
            "❌ item rope is in the list twice: nothing was requested.\n",
        ),
        (
            "5",
            "rope, rope",
            "❌ item rope is in the list twice: nothing was requested.\n",
        ),
        (
            "5",
            &in_list,
            "❌ the item ID has 1025 bytes, 1024 are allowed.\n",
        ),
        (
            "5",
            "rope,a\0b",
            "❌ the item ID contains control characters.\n",
        ),
        (
            "5",
            &many,
            "❌ 201 items are too many, 200 are allowed at once.\n",
        ),
    ];
    refused(&mut node, &table);
}

#[test]
fn bad_peers_get_a_sentence_and_the_node_goes_on() {
    let mut node = Launch::new().start();
    let own = node.port.to_string();
    let nobody = free_port().to_string();
    let long = "x".repeat(254);
    let before: Status = node.status();
    let port = "❌ the port must be a number from 1 to 65535, not ";
    for text in ["abc", "0", "70000", "", "-1", "60 00"] {
        node.ask(&["6", "localhost", text], port);
    }
    for host in ["", "  "] {
        node.ask(
            &["6", host],
            "❌ that is neither a host name nor an address.\n",
        );
    }
    for host in ["two words", "a\u{7}b", &long] {
        node.ask(
            &["6", host],
            "❌ that is neither a host name nor an address.\n",
        );
    }
    for host in ["127.0.0.1", "localhost"] {
        let failed = format!("❌ cannot connect to {host}:");
        let refused = format!("{failed}{nobody}: connection refused.\n");
        node.ask(&["6", host, &nobody], &refused);
        let itself = format!("{failed}{own}: that is this node itself.\n");
        node.ask(&["6", host, &own], &itself);
    }
    node.ask(&["7"], "no peers are connected.\n");
    assert_eq!(node.status(), before);
}

#[test]
fn a_host_that_does_not_resolve_is_told_and_the_menu_answers_meanwhile() {
    let mut node = Launch::new().start();
    node.enter(&["6", "no-such-host.invalid", "6000", "9"]);
    let mut text = node.expect("[status] node key: ");
    let failed = "❌ cannot connect to no-such-host.invalid:6000: ";
    if !text.contains(failed) {
        assert!(text.contains("that takes a while; the outcome will be shown here.\n"));
        text += &node.expect(failed);
        node.expect("\n");
    }
    node.ask(&["7"], "no peers are connected.\n");
}

#[test]
fn the_menu_answers_while_a_block_is_being_made_that_will_never_be_found() {
    let mut node = Launch::new().logging().arg("--difficulty=16").start();
    node.ask(
        &["1", "saw"],
        "that takes a while; the outcome will be shown here.\n",
    );
    assert_eq!(node.status().blocks, 1);
    // What waits counts, although no block holds it yet.
    node.ask(&["1", "saw"], "❌ item saw is not available.\n");
    node.exit();
    node.expect_log("not done yet: request of saw; it is tried again at the next start\n");
}

#[test]
fn without_a_utf8_locale_everything_is_plain_ascii() {
    let mut node = Launch::new().env("LC_ALL", "C").start();
    node.ask(&["1", "kamera-é"], "[ok] requested kamera-\\u{e9}\n");
    node.ask(
        &["1", "kamera-é"],
        "[failed] item kamera-\\u{e9} is not available.\n",
    );
    node.ask(&["9"], "[status] blockchain is A-OK!\n");
    assert!(node.said().is_ascii());
}

#[test]
fn the_locale_is_looked_for_in_the_usual_order() {
    for (name, value, picture) in [
        ("LANG", "de_DE.UTF-8", "✅ requested saw\n"),
        ("LC_CTYPE", "en_US.utf8", "✅ requested saw\n"),
        ("LANG", "de_DE.ISO-8859-1", "[ok] requested saw\n"),
        ("LANG", "", "[ok] requested saw\n"),
    ] {
        let launch = Launch::new().env("LC_ALL", "").env(name, value);
        launch.start().ask(&["1", "saw"], picture);
    }
}

#[test]
fn lines_that_come_all_at_once_are_answered_one_after_another() {
    let mut node = Launch::new().spawn(Stdio::piped());
    node.enter(&[
        "1", "saw", "1", "saw", "2", "saw", "nonsense", "3", "10", "9",
    ]);
    assert_eq!(node.code(), 0);
    let text = node.said();
    let answers = [
        "✅ requested saw\n",
        "❌ item saw is not available.\n",
        "✅ released saw\n",
        "invalid option.\n",
        "reserved items: 0\n",
    ];
    let mut at = 0;
    for answer in answers {
        at += text[at..]
            .find(answer)
            .unwrap_or_else(|| panic!("no {answer}"))
            + answer.len();
    }
    assert!(
        !text.contains("[status]"),
        "nothing is read behind the exit"
    );
}
