//! What the README shows, done: its session on a terminal, its commands with the real binary.

use std::fs;

use serde_json::Value;

use super::consoles::{ctl, with_socket};
use super::harness::{Home, Launch, PROMPT, run};
use super::page::{self, Command, Page};
use super::terminal::{on_terminal, shown};

/// What a command is that the page names, and what shows that it does what the page says.
enum Runs {
    /// A test of this file runs it, or one of `tests/desktop/readme.rs`.
    Here,
    /// This file has these words.
    By(&'static str, &'static str),
    /// It takes the internet, or a second machine.
    Nowhere,
}

/// How a command is run.
fn runs(words: &[&str]) -> Runs {
    use Runs::{By, Here, Nowhere};
    match words {
        ["cargo", "run", "--release"] => By(".ci/run", "cargo run --release -- --version"),
        ["cargo", "test"] => By(".ci/run", "cargo test; }"),
        ["cargo", "install", "--locked", "--path", "."] => {
            By(".ci/run", "cargo install --locked --path . --root ")
        }
        ["cargo", "doc", "--open"] => By(".ci/run", "cargo doc "),
        ["cross/package.sh"] => By("cross/test-package.sh", "$(cross/package.sh "),
        ["cross/package.sh", "arm64"] => By("tests/nightly", "cross/test-package.sh \"$arch\""),
        ["sudo", "apt", "install", package] => {
            assert_eq!(*package, format!("./{}", package_name()));
            By("cross/test-package.sh", "dpkg --install \"$package\"")
        }
        ["sudo", rest @ ..] => runs(rest),
        ["blx", "ctl" | "backup" | "restore", ..] => Here,
        ["blx"] | ["blx", "--connect", ..] => Here,
        ["blx", "6000" | "6001" | "6002" | "6003" | "6004"] => Here,
        ["man", "blx"] => By("cross/package.sh", "usr/share/man/man1/blx.1"),
        [".ci/run"] => By(".ci/run", "PARTS="),
        ["tests/nightly"] => By("tests/nightly", "PARTS="),
        ["curl", ..] | ["ssh", "keeper@shelf.local"] => Nowhere,
        ["scp", package, "keeper@shelf.local:"] => {
            assert_eq!(*package, format!("target/debian/{}", package_name()));
            Nowhere
        }
        _ => panic!("the page names {words:?}: say here how it is run"),
    }
}

/// What `cross/package.sh arm64` makes.
fn package_name() -> String {
    let changelog = fs::read_to_string(page::path("cross/debian/changelog")).expect("it is there");
    let version = changelog.split(['(', ')']).nth(1).expect("a version");
    format!("blx_{version}_arm64.deb")
}

#[test]
fn every_command_of_the_page_is_run() {
    let page = Page::read();
    let mut commands = page::commands(&page.lines());
    let programs = ["blx", "cargo", "cross/", ".ci/", "tests/", "man"];
    let spans = page.spans().into_iter().filter(|span| {
        let first = span.split(' ').next().expect("a word");
        programs.iter().any(|program| match program.ends_with('/') {
            true => first.starts_with(program),
            false => first == *program && span.contains(' '),
        })
    });
    commands.extend(spans.map(page::command));
    assert!(commands.len() > 20, "{commands:?}");
    for Command { words, .. } in &commands {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if let Runs::By(file, text) = runs(&words) {
            let file_text = fs::read_to_string(page::path(file)).expect("it is there");
            assert!(
                file_text.contains(text),
                "{file} has no {text:?} for {words:?}"
            );
        }
    }
}

/// A line without what is another one each time.
fn without_time_and_key(line: &str) -> String {
    let Some((item, rest)) = line.split_once("  taken ") else {
        return line.trim_end().to_owned();
    };
    let other = |letter: char| match letter.is_ascii_hexdigit() {
        true => '0',
        false => letter,
    };
    let rest: String = rest.replace(" by ", " of ").chars().map(other).collect();
    format!("{item}  taken {rest}")
}

#[test]
fn the_session_of_the_page_is_what_a_terminal_shows() {
    let page = Page::read();
    let session = page.session();
    let mut first = Launch::new().start();
    first.request("laptop-001");

    let start = page::command(session[0]).words;
    let [program, option, peer, _port] = &start[..] else {
        panic!("{start:?}")
    };
    assert_eq!([program, option], ["blx", "--connect"]);
    let peer = page::with_ports(peer, |there| (there == "6000").then_some(first.port));
    let mut node = on_terminal(Launch::new().arg(option).arg(peer));
    assert_eq!(session[1], "...", "the menu is left out");
    let lines = &session[2..];
    assert_eq!(lines[0], PROMPT.trim_end());
    for line in &lines[1..] {
        let typed = [PROMPT, "item ID: "].into_iter().find_map(|question| {
            let typed = line.strip_prefix(question)?;
            Some((question, typed))
        });
        match typed {
            Some((question, typed)) => {
                node.expect(question);
                node.enter(&[typed]);
                node.expect(&format!("{typed}\r\n"));
            }
            None if line.contains("  taken ") => {}
            None => {
                node.expect(line);
            }
        }
    }
    let text = shown(&node);
    let text: Vec<String> = text.lines().map(without_time_and_key).collect();
    let expected: Vec<String> = lines
        .iter()
        .map(|line| without_time_and_key(line))
        .collect();
    assert_eq!(text, expected);
}

#[test]
fn the_menu_of_the_page_is_that_of_the_program() {
    let page = Page::read();
    let tables = page::tables(&page.section("Menu"));
    let lines: Vec<String> = tables[0]
        .iter()
        .map(|row| format!("{}. {}", row[0], row[1]))
        .collect();
    let node = Launch::new().start();
    let text = node.said();
    let menu: Vec<&str> = text
        .lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
        .collect();
    assert_eq!(lines, menu);
}

#[test]
fn the_commands_for_a_running_node_do_what_the_page_says() {
    let (mut node, socket) = with_socket();
    let run = |words: &[String]| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ["blx", "ctl", words @ ..] = &words[..] else {
            panic!("{words:?}")
        };
        ctl(&socket, words)
    };
    let page = Page::read();
    let commands = page::commands(&page.section("blx ctl"));
    assert_eq!(commands.len(), 5);
    for Command { words, comment } in commands {
        let (text, code) = run(&words);
        assert_eq!(code, 0, "{words:?}: {text}");
        match words.get(2).map(String::as_str) {
            None => assert!(text.contains("1. request (single)"), "{text}"),
            Some("request") => {
                assert!(text.contains("✅ requested laptop-001"), "{text}");
                let (why, code) = run(&words);
                assert_eq!(code, 1, "{why}");
                assert!(why.contains("laptop-001 is not available"), "{why}");
                assert!(comment.contains("0: done; 1: refused"), "{comment}");
            }
            Some("release") => assert!(text.contains("✅ released laptop-001"), "{text}"),
            Some("status") => assert!(text.contains("A-OK"), "{text}"),
            Some("--json") => {
                let others = comment
                    .strip_prefix("or ")
                    .and_then(|rest| rest.split(';').next());
                for other in others.expect("others").split(", ") {
                    let words = [&words[..3], &[other.to_owned()]].concat();
                    let (text, code) = run(&words);
                    assert_eq!(code, 0, "{words:?}: {text}");
                    for line in text.lines() {
                        serde_json::from_str::<Value>(line).expect("an object");
                    }
                }
            }
            Some(other) => panic!("{other} is new on the page"),
        }
    }
    node.exit();
}

#[test]
fn a_new_card_gets_chain_and_key_by_the_commands_of_the_page() {
    let page = Page::read();
    let spans = page.spans();
    for command in ["blx backup FILE", "blx restore FILE"] {
        assert!(spans.contains(&command), "{command}");
    }
    let (old, new) = (Home::new(), Home::new());
    let mut node = old.node().start();
    node.request("laptop-001");
    let before = node.status();
    node.exit();
    // Without a word about the place it is that of a node on port 6000.
    fs::rename(old.data(node.port), old.data(6000)).expect("it is there");
    let file = old.path().join("copy");
    for (command, home) in [("backup", &old), ("restore", &new)] {
        let mut blx = run::command(&[command]);
        run::done(blx.arg(&file).env("HOME", home.path()), b"");
    }
    fs::rename(new.data(6000), new.data(node.port)).expect("it is there");
    let mut node = new.node().port(node.port).start();
    let after = node.status();
    assert_eq!((after.ledger(), &after.key), (before.ledger(), &before.key));
}
