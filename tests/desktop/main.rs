//! Our node beside desktop nodes, over real sockets: what a user does on one of them is seen on the
//! others, although desktop nodes mine each block anew and pass none on.

mod blows;
#[path = "../harness/mod.rs"]
mod harness;
mod lan;
mod meetings;
// The other tests use the rest of it.
#[allow(dead_code)]
#[path = "../needs.rs"]
mod needs;
mod newer;
mod nodes;
// The tests of the real binary use the rest of it.
#[allow(dead_code)]
#[path = "../readme.rs"]
mod page;
mod readme;
// The benchmark uses the rest of it.
#[allow(dead_code)]
mod relay;
mod rows;
mod splits;
mod streams;
mod street;

use std::path::Path;

use harness::{peer, runner};
use lan::assert_same_content;
use nodes::{Node, Place, desktop, python, script, wait_in_step};

/// Said when transactions of ours were disconnected, or a peer broke a rule.
const TROUBLE: [&str; 4] = [
    "is lost: ",
    "lost to ",
    "in the chain again",
    "failed validation",
];

#[test]
fn the_stand_in_keeps_to_the_recorded_words_and_has_the_faults() {
    let Some(python) = python() else { return };
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let output = script(&python, "check.py").arg(vectors).output();
    let output = output.expect("check.py runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    for line in [
        "verdicts.json: 23 of 23 hold",
        "faults: 31 of 31 hold",
        "habits: 24 of 24 hold",
    ] {
        assert!(said.contains(line), "{said}");
    }
}

#[test]
fn a_desktop_node_that_we_dial_stays_in_step() {
    let Some(python) = python() else { return };
    let mut desktop = desktop(&python, "desktop");
    let mut blx = Place::new().start(&[]);
    blx.connect(&mut desktop);
    use_in_turn(&mut blx, &mut desktop);
}

#[test]
fn a_desktop_node_that_dials_us_stays_in_step() {
    let Some(python) = python() else { return };
    let mut desktop = desktop(&python, "desktop");
    let mut blx = Place::new().start(&[]);
    desktop.connect(&mut blx);
    use_in_turn(&mut blx, &mut desktop);
}

fn use_in_turn(blx: &mut Node, desktop: &mut Node) {
    blx.request("laptop-001");
    let states = wait_in_step(&mut [blx, desktop], 2, 1, 0);
    assert_ne!(states[0].tip, states[1].tip, "it mined the block anew");
    desktop.assert_reserved(&["laptop-001"]);
    desktop.assert_request_refused("laptop-001");

    desktop.release("laptop-001");
    let states = wait_in_step(&mut [blx, desktop], 3, 0, 1);
    assert_ne!(states[0].tip, states[1].tip, "its block was made anew");
    assert_same_content(blx, desktop);
    blx.assert_available(&["laptop-001"]);

    desktop.request_all(&["cam-1", "cam-2", "tripod"]);
    wait_in_step(&mut [blx, desktop], 4, 3, 1);
    blx.assert_reserved(&["cam-1", "cam-2", "tripod"]);
    blx.assert_request_refused("cam-2");
    blx.request_all(&["drill", "saw"]);
    wait_in_step(&mut [blx, desktop], 5, 5, 1);
    desktop.assert_reserved(&["cam-1", "cam-2", "drill", "saw", "tripod"]);
    blx.release("cam-1");
    wait_in_step(&mut [blx, desktop], 6, 4, 2);
    desktop.assert_available(&["cam-1", "laptop-001"]);

    for round in 0..4 {
        blx.request(&format!("ours-{round}"));
        wait_in_step(&mut [blx, desktop], 7 + 2 * round, 5 + 2 * round, 2);
        desktop.request(&format!("theirs-{round}"));
        wait_in_step(&mut [blx, desktop], 8 + 2 * round, 6 + 2 * round, 2);
    }
    assert_same_content(blx, desktop);
    blx.assert_never_said(&TROUBLE);
    desktop.assert_never_said(&TROUBLE);
}

#[test]
fn two_desktop_nodes_see_each_other_through_us() {
    let Some(python) = python() else { return };
    let mut a = desktop(&python, "desktop A");
    let mut b = desktop(&python, "desktop B");
    let mut blx = Place::new().start(&[]);
    a.connect(&mut blx);
    blx.connect(&mut b);

    a.request("from-a");
    wait_in_step(&mut [&mut a, &mut blx, &mut b], 2, 1, 0);
    b.assert_reserved(&["from-a"]);
    b.assert_request_refused("from-a");
    b.request("from-b");
    wait_in_step(&mut [&mut a, &mut blx, &mut b], 3, 2, 0);
    a.assert_reserved(&["from-a", "from-b"]);
    a.release("from-b");
    wait_in_step(&mut [&mut a, &mut blx, &mut b], 4, 1, 1);
    b.assert_available(&["from-b"]);
    // The second block of one node in a row links to our tip: no chain is asked for.
    a.request("again-from-a");
    wait_in_step(&mut [&mut a, &mut blx, &mut b], 5, 2, 1);
    blx.wait_for("[network 📦] received and added block #4\n");
    blx.request("from-blx");
    wait_in_step(&mut [&mut a, &mut blx, &mut b], 6, 3, 1);
    for node in [&mut a, &mut blx, &mut b] {
        node.assert_reserved(&["again-from-a", "from-a", "from-blx"]);
        node.assert_never_said(&TROUBLE);
    }
}

#[test]
fn the_walk_through_with_us_in_the_middle() {
    let Some(python) = python() else { return };
    let mut a = desktop(&python, "desktop A");
    let mut b = desktop(&python, "desktop B");
    let place = Place::new();
    let mut blx = place.start(&[]);
    a.connect(&mut blx);
    b.connect(&mut blx);

    blx.request("laptop-001");
    wait_in_step(&mut [&mut a, &mut blx, &mut b], 2, 1, 0);
    b.release("laptop-001");
    wait_in_step(&mut [&mut a, &mut blx, &mut b], 3, 0, 1);

    blx.kill();
    a.wait_for_peers(0);
    b.wait_for_peers(0);
    a.request_all(&["cam-1", "cam-2", "tripod"]);

    // Desktop nodes dial nobody by themselves. B comes first: they hear of a block only while
    // they are connected.
    let mut blx = place.start(&["--connect", &b.address()]);
    wait_in_step(&mut [&mut blx, &mut b], 3, 0, 1);
    blx.wait_for_peers(1);
    blx.connect(&mut a);
    wait_in_step(&mut [&mut a, &mut blx, &mut b], 4, 3, 1);
    b.request("drill");
    let before = wait_in_step(&mut [&mut blx, &mut a, &mut b], 5, 4, 1);
    for node in [&mut a, &mut blx, &mut b] {
        node.assert_reserved(&["cam-1", "cam-2", "drill", "tripod"]);
    }

    blx.kill();
    let mut blx = place.start(&[]);
    let after = wait_in_step(&mut [&mut blx], 5, 4, 1);
    assert_eq!(before[0].tip, after[0].tip);
    blx.assert_reserved(&["cam-1", "cam-2", "drill", "tripod"]);
    blx.assert_never_said(&TROUBLE);
}

#[test]
fn we_adopt_the_longer_chain_of_a_desktop_node() {
    let Some(python) = python() else { return };
    let mut desktop = desktop(&python, "desktop");
    for number in 1..=5 {
        desktop.request(&format!("item-{number}"));
    }
    let mut blx = Place::new().start(&[]);
    blx.connect(&mut desktop);
    blx.wait_for("[consensus ✅] adopted longer chain (6 blocks)");
    let states = wait_in_step(&mut [&mut blx, &mut desktop], 6, 5, 0);
    assert_eq!(states[0].tip, states[1].tip);
    blx.sync();
    blx.wait_for("[consensus ℹ️] kept current chain (already longest)");
    blx.release("item-3");
    wait_in_step(&mut [&mut blx, &mut desktop], 7, 4, 1);
}

#[test]
fn we_adopt_the_longer_chain_of_a_desktop_node_that_dials_us() {
    let Some(python) = python() else { return };
    let mut desktop = desktop(&python, "desktop");
    desktop.request("drill");
    desktop.request("saw");
    let mut blx = Place::new().start(&[]);
    desktop.connect(&mut blx);
    let states = wait_in_step(&mut [&mut blx, &mut desktop], 3, 2, 0);
    assert_eq!(states[0].tip, states[1].tip);
}

#[test]
fn a_desktop_node_whose_user_asks_has_what_we_have() {
    let Some(python) = python() else { return };
    let mut desktop = desktop(&python, "desktop");
    let mut blx = Place::new().start(&[]);
    for number in 1..=5 {
        blx.request(&format!("item-{number}"));
    }
    desktop.connect(&mut blx);
    desktop.sync();
    // As our chain, or as blocks that it makes anew.
    wait_in_step(&mut [&mut blx, &mut desktop], 6, 5, 0);
    desktop.wait_for("[consensus 📡] received chain");
    desktop.release("item-3");
    wait_in_step(&mut [&mut blx, &mut desktop], 7, 4, 1);
    blx.assert_never_said(&TROUBLE);
}

#[test]
fn a_desktop_node_that_is_behind_is_brought_up_without_its_user() {
    let Some(python) = python() else { return };
    for we_dial in [true, false] {
        let mut desktop = desktop(&python, "desktop");
        let mut blx = Place::new().start(&[]);
        for number in 1..=5 {
            blx.request(&format!("item-{number}"));
        }
        desktop.request("theirs");
        if we_dial {
            blx.connect(&mut desktop);
        } else {
            desktop.connect(&mut blx);
        }
        // What its user was shown as done is not lost.
        for node in [&mut blx, &mut desktop] {
            node.wait_for_status("6 reserved", |status| status.reserved == 6);
        }
        desktop.wait_for("[consensus ✅] adopted longer chain");
        blx.assert_never_said(&TROUBLE);
    }
}

#[test]
fn what_we_requested_comes_back_on_top_of_a_longer_chain() {
    let Some(python) = python() else { return };
    let mut desktop = desktop(&python, "desktop");
    for item in ["saw", "drill", "lamp"] {
        desktop.request(item);
    }
    let mut blx = Place::new().start(&[]);
    blx.request("tripod");
    blx.request("drill");
    blx.connect(&mut desktop);
    blx.wait_for("[consensus ✅] adopted longer chain (4 blocks)");
    blx.wait_for("[consensus ✅] your request of tripod is in the chain again, block #4\n");
    blx.wait_for(&format!(
        "[consensus] your request of drill lost to {} at block 2\n",
        desktop.short_key()
    ));
    wait_in_step(&mut [&mut blx, &mut desktop], 5, 4, 0);
    for node in [&mut blx, &mut desktop] {
        node.assert_reserved(&["drill", "lamp", "saw", "tripod"]);
    }
    desktop.release("tripod");
    wait_in_step(&mut [&mut blx, &mut desktop], 6, 3, 1);
    blx.assert_never_said(&["request of saw", "failed validation"]);
}

#[test]
fn a_release_that_somebody_made_before_us_is_reported() {
    let Some(python) = python() else { return };
    let (place, mut desktop) = (Place::new(), desktop(&python, "desktop"));
    let mut blx = place.start(&[]);
    blx.connect(&mut desktop);
    desktop.request_all(&["saw", "drill"]);
    wait_in_step(&mut [&mut blx, &mut desktop], 2, 2, 0);
    blx.kill();
    desktop.wait_for_peers(0);
    desktop.release("saw");
    desktop.request("lamp");

    let mut blx = place.start(&[]);
    blx.release("saw");
    blx.connect(&mut desktop);
    blx.wait_for(&format!(
        "[consensus] your release of saw lost to {} at block 2\n",
        desktop.short_key()
    ));
    wait_in_step(&mut [&mut blx, &mut desktop], 4, 2, 1);
    assert_same_content(&blx, &desktop);
}

#[test]
fn our_release_does_not_end_a_reservation_that_was_made_since() {
    let Some(python) = python() else { return };
    let (place, mut desktop) = (Place::new(), desktop(&python, "desktop"));
    let mut blx = place.start(&[]);
    blx.connect(&mut desktop);
    desktop.request_all(&["saw", "drill"]);
    wait_in_step(&mut [&mut blx, &mut desktop], 2, 2, 0);
    blx.kill();
    desktop.wait_for_peers(0);
    desktop.release("saw");
    desktop.request("saw");

    let mut blx = place.start(&[]);
    blx.release("drill");
    blx.release("saw");
    desktop.request("lamp");
    blx.connect(&mut desktop);
    // There the item was released and taken again.
    let lost = format!(
        "[consensus] your release of saw lost to {} at block ",
        desktop.short_key()
    );
    blx.wait_for_any(&[&format!("{lost}2\n"), &format!("{lost}3\n")]);
    wait_in_step(&mut [&mut blx, &mut desktop], 6, 2, 1);
    desktop.assert_reserved(&["lamp", "saw"]);
}

#[test]
fn our_release_of_an_item_that_we_did_not_get_is_lost_with_the_request() {
    let Some(python) = python() else { return };
    let (place, mut desktop) = (Place::new(), desktop(&python, "desktop"));
    for item in ["drill", "lamp", "saw", "vice"] {
        desktop.request(item);
    }
    let mut blx = place.start(&[]);
    blx.request("drill");
    blx.release("drill");
    blx.request("tripod");
    blx.connect(&mut desktop);
    let place = format!("drill lost to {} at block 1\n", desktop.short_key());
    blx.wait_for(&format!("[consensus] your request of {place}"));
    // Nobody else released it; but somebody else took what it would have released.
    blx.wait_for_any(&[
        &format!("[consensus] your release of {place}"),
        "[consensus ❌] your release of drill is lost: ",
    ]);
    wait_in_step(&mut [&mut blx, &mut desktop], 6, 5, 0);
    desktop.assert_reserved(&["drill", "lamp", "saw", "tripod", "vice"]);
}

#[test]
fn items_of_all_languages_arrive_in_both_directions() {
    let Some(python) = python() else { return };
    let mut desktop = desktop(&python, "desktop");
    let mut blx = Place::new().start(&[]);
    blx.connect(&mut desktop);
    desktop.request("kamera-é-😀");
    wait_in_step(&mut [&mut blx, &mut desktop], 2, 1, 0);
    blx.assert_reserved(&["kamera-é-😀"]);
    blx.release("kamera-é-😀");
    wait_in_step(&mut [&mut blx, &mut desktop], 3, 0, 1);
    blx.request("三脚架-\u{10ffff}");
    wait_in_step(&mut [&mut blx, &mut desktop], 4, 1, 1);
    desktop.assert_reserved(&["三脚架-\u{10ffff}"]);
    desktop.assert_available(&["kamera-é-😀"]);
}

#[test]
fn a_locale_without_utf8_shows_ascii_only() {
    let Some(python) = python() else { return };
    let mut desktop = desktop(&python, "desktop");
    let place = Place::new();
    let mut blx = place.launch().env("LC_ALL", "C").start();
    desktop.connect(&mut blx);
    desktop.request("kamera-é-😀");
    wait_in_step(&mut [&mut blx, &mut desktop], 2, 1, 0);
    blx.assert_reserved(&["kamera-\\u{e9}-\\u{1f600}"]);
    let released = "[ok] released kamera-\\u{e9}-\\u{1f600}\n";
    blx.ask(&["2", "kamera-é-😀"], released);
    wait_in_step(&mut [&mut blx, &mut desktop], 3, 0, 1);
    desktop.assert_available(&["kamera-é-😀"]);
    assert!(blx.said().is_ascii());
}
