//! What is kept of a node's past, as `blx events` and key 11 tell it.

use std::fs;

use super::harness::{Home, PROMPT, free_port, run};
use super::kill::fill;
use super::offline::events::told;

/// What `blx events` prints, without the times; the version is V.
fn events(home: &Home, port: u16) -> Vec<String> {
    let mut command = run::command(&["events", "--port", &port.to_string()]);
    let text = run::done(command.env("HOME", home.path()), b"");
    told(&text)
}

#[test]
fn a_start_after_a_kill_is_told_from_one_after_a_stop() {
    let home = Home::new();
    let port = free_port();
    let mut node = home.node().port(port).start();
    assert_eq!(events(&home, port), ["start blx V, block count 1"]);
    node.request("saw");
    node.exit();
    let mut node = home.node().port(port).start();
    node.kill();
    let mut node = home.node().port(port).start();
    node.stop();
    let mut node = home.node().port(port).start();
    let expected = [
        "start blx V, block count 1",
        "stop, block count 2",
        "start blx V, block count 2",
        "start blx V, block count 2, after an unclean stop",
        "stop, block count 2",
        "start blx V, block count 2",
    ];
    assert_eq!(events(&home, port), expected);

    // Key 11 has the same words.
    let file = fs::read_to_string(home.data(port).join("events.blx")).expect("text");
    assert_eq!(node.ask(&["11"], &file), format!("\n{file}{PROMPT}"));
}

#[test]
fn the_menu_lists_the_last_twenty() {
    let home = Home::new();
    let port = free_port();
    for _ in 0..11 {
        let mut node = home.node().port(port).start();
        node.exit();
    }
    let mut node = home.node().port(port).start();
    let all = fs::read_to_string(home.data(port).join("events.blx")).expect("text");
    assert_eq!(all.lines().count(), 23);
    let last: Vec<&str> = all.lines().skip(3).collect();
    let listed = format!("\n{}\n{PROMPT}", last.join("\n"));
    assert_eq!(node.ask(&["11"], last[19]), listed);
}

#[test]
fn a_disk_that_is_full_is_told_and_a_ring_that_is_full_costs_nothing() {
    let home = Home::new();
    // The first nonce will do, so no request is kept, and written at the next start.
    let launch = home.node().arg("--difficulty=0").full_disk(16);
    let mut node = launch.start();
    let port = node.port;
    fill(&mut node);
    let fault = "store: cannot write chain.blx: ";
    let told = events(&home, port);
    assert!(
        told.iter().any(|event| event.starts_with(fault)),
        "{told:?}"
    );
    node.exit();

    // Now the ring is what has no room.
    let ring = home.data(port).join("events.blx");
    let old = "1970-01-01T00:00:00Z old\n".repeat(400);
    fs::write(&ring, &old).expect("writes");
    let mut node = home.node().port(port).full_disk(16).logging().start();
    node.expect_log("events.blx: ");
    assert!(
        node.rest_of_log_line()
            .ends_with(": no events are kept for an hour"),
        "{}",
        node.err.text()
    );
    assert_eq!(node.status().lines[0], "blockchain is A-OK! 😁");
    node.exit();
    assert_eq!(node.err.text().matches("no events are kept").count(), 1);
    assert_eq!(
        events(&home, port),
        vec!["old"; 400],
        "the old ones are there"
    );
}
