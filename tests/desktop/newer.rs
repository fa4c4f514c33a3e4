//! Our node beside desktop nodes whose ledger has credits: each keeps what it has, and the user of
//! ours is told so once.

use crate::harness::{free_port, run};
use crate::nodes::{Node, Place, desktop, desktop_at, python, wait_in_step};

const WHAT: &str = "is a desktop node of release 0.0.2 or newer: its chain has credits";
const LISTED: &str =
    "desktop of release 0.0.2 or newer, has credits: what is taken there is not seen here";
/// Said of who is wrong, or of a chain that is.
const TROUBLE: [&str; 3] = ["failed validation", "[network 📨]", "lost "];

/// A console of release 0.0.3, or a window that asks often.
fn credits(python: &str, name: &str, window: bool, more: &[&str]) -> Node {
    let mut arguments = vec!["--release", "0.0.3", "--ask", "1.5"];
    arguments.extend(window.then_some("--window"));
    arguments.extend(more);
    desktop_at(python, name, free_port(), &arguments)
}

fn count(node: &Node, text: &str) -> usize {
    node.said().matches(text).count()
}

/// What blx said and logged of a node with credits: one line for each connection, and no fault.
fn check(blx: &Node, connections: usize) {
    blx.assert_never_said(&TROUBLE);
    assert_eq!(count(blx, WHAT), connections, "once for each connection");
    let log = blx.err.text();
    assert!(!log.contains("dropped: "), "{log}");
    assert!(!log.contains("connection closed"), "{log}");
}

#[test]
fn a_window_with_credits_beside_one_without() {
    let Some(python) = python() else { return };
    for we_dial in [false, true] {
        let (place, mut old) = (Place::new(), desktop(&python, "release 0.0.1"));
        let mut blx = place.start(&[]);
        blx.connect(&mut old);
        for item in 1..=4 {
            blx.request(&format!("ours-{item}"));
        }
        let mut window = credits(&python, "window of release 0.0.3", true, &[]);
        window.request("theirs-1");
        match we_dial {
            true => blx.connect(&mut window),
            false => window.connect(&mut blx),
        }
        blx.wait_for(WHAT);
        window.request("theirs-2");
        old.request("old-1");
        blx.request("ours-5");
        wait_in_step(&mut [&mut blx, &mut old], 7, 6, 0);
        // It has asked, and was told nothing that it could take.
        let kept = "[consensus ℹ️] kept current chain (already longest)";
        window.wait_for_count(kept, 3);
        assert_eq!(
            count(&window, "received chain (length 0) vs ours"),
            count(&window, kept)
        );
        window.assert_never_said(&[
            "adopted longer chain",
            "failed validation",
            "received and added",
        ]);
        window.release("theirs-1");
        wait_in_step(&mut [&mut window], 4, 1, 1);
        window.assert_reserved(&["theirs-2"]);
        let ours = ["old-1", "ours-1", "ours-2", "ours-3", "ours-4", "ours-5"];
        blx.assert_reserved(&ours);
        old.assert_reserved(&ours);
        check(&blx, 1);

        let listed = blx.told(&["7"]);
        assert_eq!(listed.matches(LISTED).count(), 1, "{listed}");
        let asked = blx.told(&["8"]);
        assert!(asked.contains(&format!("it {WHAT}")), "{asked}");
        blx.assert_never_said(&TROUBLE);
        // Its user dials once more: another connection, another line.
        window.dial_port(blx.port);
        blx.wait_for_count(&format!(" {WHAT}"), 3);
        wait_in_step(&mut [&mut window], 4, 1, 1);
        wait_in_step(&mut [&mut blx, &mut old], 7, 6, 0);
    }
}

#[test]
fn requests_without_an_amount_are_not_taken() {
    let Some(python) = python() else { return };
    let mut console = credits(&python, "console of release 0.0.3", false, &[]);
    let mut blx = Place::new().start(&[]);
    blx.request("ours");
    blx.connect(&mut console);
    blx.wait_for(WHAT);
    for item in ["ours", "theirs", "more"] {
        console.request(item);
    }
    console.sync();
    console.wait_for("received chain (length 0) vs ours (length 4)");
    let (ours, theirs) = (blx.status(), console.status());
    assert_eq!((ours.blocks, ours.reserved, theirs.blocks), (2, 1, 4));
    blx.request("last");
    blx.assert_reserved(&["last", "ours"]);
    wait_in_step(&mut [&mut console], 4, 0, 0);
    check(&blx, 1);
}

#[test]
fn who_has_our_chain_is_like_others_until_its_user_takes_something() {
    let Some(python) = python() else { return };
    let place = Place::new();
    let mut blx = place.start(&[]);
    blx.request("ours-1");
    let file = place.directory().join("exported");
    run::done(run::on(&["export"], place.directory()).arg(&file), b"");
    let chain = ["--chain", file.to_str().expect("UTF-8")];
    let mut window = credits(&python, "window of release 0.0.3", true, &chain);
    window.connect(&mut blx);
    blx.request("ours-2");
    // Nothing is held there by what we take.
    wait_in_step(&mut [&mut window], 3, 0, 0);
    check(&blx, 0);
    window.request("theirs");
    blx.wait_for(WHAT);
    blx.request("ours-3");
    window.request("more");
    wait_in_step(&mut [&mut window], 5, 2, 0);
    blx.assert_reserved(&["ours-1", "ours-2", "ours-3"]);
    check(&blx, 1);
}
