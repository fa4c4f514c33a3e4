//! What was seen to go wrong on LANs where desktop nodes do all that they do: nothing that a user
//! saw as taken may get lost, whichever connections there are and whoever stops when.

use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::nodes::python;
use crate::peer::{Person, after, array_text};
use crate::street::Street;

/// A user's pace, and that of a hurried one.
const PACE: Duration = Duration::from_millis(700);
pub const HURRY: Duration = Duration::from_millis(400);

/// Two of ours that are connected, and two desktop nodes whose users connect to both.
fn square(python: &str, arguments: &[&str]) -> Street {
    let mut street = Street::new(python);
    let ours = [street.blx(&[]), street.blx(&[])];
    let desktops = [street.desktop(arguments), street.desktop(arguments)];
    street.dial(ours[0], ours[1]);
    for desktop in desktops {
        for blx in ours {
            street.dial(desktop, blx);
        }
    }
    street.wait_for_peers(&[(0, 3), (1, 3), (2, 2), (3, 2)]);
    street
}

#[test]
fn two_windows_each_connected_to_the_same_two() {
    let Some(python) = python() else { return };
    let mut street = square(&python, &["--window"]);
    street.take_in_turn(&[0, 2, 1, 3], "item", 40, PACE);
    street.settle();
}

#[test]
fn two_consoles_each_connected_to_the_same_two() {
    let Some(python) = python() else { return };
    let mut street = square(&python, &[]);
    street.take_in_turn(&[0, 2, 1, 3], "item", 20, HURRY);
    street.settle();
}

#[test]
fn a_desktop_node_that_is_dialed_and_dials() {
    let Some(python) = python() else { return };
    let mut street = Street::new(&python);
    let desktop = street.desktop(&[]);
    let blx = street.blx(&["--connect", &street.address(desktop)]);
    street.wait_for_peers(&[(desktop, 1), (blx, 1)]);
    street.dial(desktop, blx);
    street.take_in_turn(&[blx, blx, desktop], "item", 12, HURRY);
    street.settle();
}

#[test]
fn a_desktop_node_whose_user_dials_twice() {
    let Some(python) = python() else { return };
    let mut street = Street::new(&python);
    let (desktop, blx) = (street.desktop(&[]), street.blx(&[]));
    street.dial(desktop, blx);
    street.dial(desktop, blx);
    street.take_in_turn(&[blx, blx, desktop], "item", 12, HURRY);
    street.settle();
}

#[test]
fn a_desktop_node_that_is_dialed_at_two_of_its_addresses() {
    let Some(python) = python() else { return };
    let mut street = Street::new(&python);
    let desktop = street.desktop(&["--bind", "0.0.0.0"]);
    let first = street.address(desktop);
    let second = first.replace("127.0.0.1:", "127.0.0.2:");
    let blx = street.blx(&["--connect", &first, "--connect", &second]);
    street
        .node(desktop)
        .wait_for_status("connected at both", |status| status.peers > 1);
    street.take_in_turn(&[blx, blx, desktop], "item", 12, HURRY);
    street.settle();
}

/// Two halves of one of ours and a desktop node, which have made three blocks together, are apart
/// for ten more each; then ours find each other, and each desktop user dials the other half too, or
/// does not, while all is quiet or items are taken on. All of it by wires, or ours would find a way
/// around the cut.
fn halves(crosswise: bool, quiet: bool) {
    let Some(python) = python() else { return };
    let mut street = Street::new(&python);
    let ours = [street.blx(&[]), street.blx(&[])];
    let desktops = [street.desktop(&[]), street.desktop(&[])];
    for half in 0..2 {
        street.wire(desktops[half], ours[half]);
    }
    let bridge = street.wire(ours[0], ours[1]);
    street.wait_for_peers(&[(ours[0], 2), (ours[1], 2)]);
    street.take_in_turn(&ours, "before", 3, PACE);
    street.answered();
    street.cut(bridge);
    for blx in ours {
        street.node(blx).wait_for_peers(1);
    }
    let everybody = [ours[0], ours[1], desktops[0], desktops[1]];
    street.take_in_turn(&everybody, "apart", 20, HURRY);
    street.answered();
    street.reconnect(bridge);
    if crosswise {
        street.wire(desktops[0], ours[1]);
        street.wire(desktops[1], ours[0]);
    }
    if !quiet {
        street.take_in_turn(&everybody, "meanwhile", 12, HURRY);
    }
    let joined = if crosswise { 3 } else { 2 };
    street.wait_for_peers(&[(ours[0], joined), (ours[1], joined)]);
    street.settle();
    street.take_in_turn(&everybody, "after", 8, PACE);
    street.settle();
}

/// The same for 45 s, with two desktop nodes on each side.
#[test]
fn halves_of_three_that_are_apart_for_45_seconds() {
    let Some(python) = python() else { return };
    let mut street = Street::new(&python);
    let ours = [street.blx(&[]), street.blx(&[])];
    let desktops: Vec<usize> = (0..4).map(|_| street.desktop(&[])).collect();
    for (number, desktop) in desktops.iter().enumerate() {
        street.wire(*desktop, ours[number % 2]);
    }
    let bridge = street.wire(ours[0], ours[1]);
    street.wait_for_peers(&[(ours[0], 3), (ours[1], 3)]);
    street.take_in_turn(&ours, "before", 3, PACE);
    street.answered();
    street.cut(bridge);
    for blx in ours {
        street.node(blx).wait_for_peers(2);
    }
    let everybody: Vec<usize> = ours.iter().copied().chain(desktops).collect();
    let pace = Duration::from_secs(45) / 24;
    street.take_in_turn(&everybody, "apart", 24, pace);
    street.answered();
    street.reconnect(bridge);
    street.wait_for_peers(&[(ours[0], 3), (ours[1], 3)]);
    street.settle();
}

#[test]
fn halves_that_ours_join() {
    halves(false, true);
}

#[test]
fn halves_that_ours_join_while_items_are_taken() {
    halves(false, false);
}

#[test]
fn halves_that_desktop_users_join_too() {
    halves(true, true);
}

#[test]
fn halves_that_desktop_users_join_too_while_items_are_taken() {
    halves(true, false);
}

/// A desktop node stops while blocks are made, and goes on.
fn sleeper(seconds: u64, dials: bool) {
    let Some(python) = python() else { return };
    let mut street = Street::new(&python);
    let desktop = street.desktop(&[]);
    let blx = match dials {
        true => street.blx(&[]),
        false => street.blx(&["--connect", &street.address(desktop)]),
    };
    if dials {
        street.dial(desktop, blx);
    }
    street.wait_for_peers(&[(desktop, 1), (blx, 1)]);
    street.take_in_turn(&[blx, desktop], "before", 4, PACE);
    street.answered();
    street.stop(desktop, true);
    street.take_in_turn(&[blx], "asleep", 12, Duration::from_secs(seconds) / 12);
    street.answered();
    street.stop(desktop, false);
    street.settle();
    street.take_in_turn(&[blx, desktop], "after", 4, PACE);
    street.settle();
}

#[test]
fn a_desktop_node_that_sleeps_for_a_moment() {
    sleeper(12, true);
}

#[test]
fn a_desktop_node_that_dialed_and_sleeps_for_70_seconds() {
    sleeper(70, true);
}

#[test]
fn a_desktop_node_that_was_dialed_and_sleeps_for_70_seconds() {
    sleeper(70, false);
}

/// A square in which ten items were taken, and which of ours speaks.
pub fn busy_square(python: &str) -> (Street, usize) {
    let mut street = square(python, &[]);
    street.take_in_turn(&[0, 2, 1, 3], "before", 10, HURRY);
    street.answered();
    let speaker = street.speaker(&[0, 1]);
    (street, speaker)
}

#[test]
fn who_speaks_is_killed_in_the_middle() {
    let Some(python) = python() else { return };
    let (mut street, speaker) = busy_square(&python);
    street.kill(speaker);
    street.take_in_turn(&[2, 1 - speaker, 3], "after", 10, HURRY);
    street.settle();
}

/// It is silent for longer than anybody is believed to be there, and is replaced.
#[test]
fn who_speaks_stops_for_70_seconds_in_the_middle() {
    let Some(python) = python() else { return };
    let (mut street, speaker) = busy_square(&python);
    let other = 1 - speaker;
    street.stop(speaker, true);
    street.take_in_turn(&[2, other, 3], "meanwhile", 14, Duration::from_secs(5));
    street.stop(speaker, false);
    street.take_in_turn(&[0, 2, 1, 3], "after", 10, HURRY);
    street.settle();
}

#[test]
fn who_speaks_is_started_again_in_the_middle() {
    let Some(python) = python() else { return };
    let (mut street, speaker) = busy_square(&python);
    let other = 1 - speaker;
    street.kill(speaker);
    street.take_in_turn(&[2, other, 3], "meanwhile", 5, HURRY);
    comes_back(&mut street, speaker);
}

/// One of ours of a square, which was killed, is started again.
pub fn comes_back(street: &mut Street, who: usize) {
    // Nobody else dials again, and what it has learned is not yet written down.
    let address = street.address(1 - who);
    street.restart(who, &["--connect", &address]);
    street.dial(2, who);
    street.take_in_turn(&[0, 2, 1, 3], "after", 10, HURRY);
    street.settle();
}

/// Blx that is started again dials a desktop node again, whose user then dials it too.
#[test]
fn a_desktop_node_that_is_dialed_again_and_dials() {
    let Some(python) = python() else { return };
    let mut street = Street::new(&python);
    let desktop = street.desktop(&[]);
    let blx = street.blx(&["--connect", &street.address(desktop)]);
    street.wait_for_peers(&[(desktop, 1), (blx, 1)]);
    street.take_in_turn(&[blx, desktop], "before", 6, HURRY);
    street.answered();
    street.kill(blx);
    street.restart(blx, &[]);
    street.wait_for_peers(&[(blx, 1)]);
    street.dial(desktop, blx);
    street.take_in_turn(&[blx, blx, desktop], "after", 12, HURRY);
    street.settle();
}

/// Three of ours in a row; the desktop node is connected to both ends.
#[test]
fn two_of_ours_that_are_connected_over_a_third() {
    let Some(python) = python() else { return };
    let mut street = Street::new(&python);
    let ours = [street.blx(&[]), street.blx(&[]), street.blx(&[])];
    let desktop = street.desktop(&[]);
    street.dial(ours[0], ours[1]);
    street.dial(ours[1], ours[2]);
    street.dial(desktop, ours[0]);
    street.dial(desktop, ours[2]);
    street.wait_for_peers(&[(desktop, 2)]);
    street.take_in_turn(&[0, 3, 1, 2], "item", 20, HURRY);
    street.settle();
}

#[test]
fn three_of_ours_beside_one_desktop_node() {
    let Some(python) = python() else { return };
    let mut street = Street::new(&python);
    let ours = [street.blx(&[]), street.blx(&[]), street.blx(&[])];
    let desktop = street.desktop(&[]);
    for other in &ours[1..] {
        street.dial(ours[0], *other);
    }
    for blx in ours {
        street.dial(desktop, blx);
    }
    street.wait_for_peers(&[(desktop, 3)]);
    street.take_in_turn(&[0, 3, 1, 2], "item", 20, HURRY);
    street.settle();
}

/// Ours hear of each other by the desktop node's list alone, and are told of each other later.
#[test]
fn two_of_ours_that_are_connected_later() {
    let Some(python) = python() else { return };
    let mut street = Street::new(&python);
    let ours = [street.blx(&[]), street.blx(&[])];
    let desktop = street.desktop(&[]);
    for blx in ours {
        street.dial(desktop, blx);
    }
    street.wait_for_peers(&[(desktop, 2)]);
    street.take_in_turn(&[0, 2, 1], "before", 12, HURRY);
    street.answered();
    street.dial(ours[0], ours[1]);
    street.take_in_turn(&[0, 2, 1], "after", 12, HURRY);
    street.settle();
}

/// Two desktop nodes whose users have connected them too, beside `count` of ours.
fn friends(count: usize) {
    let Some(python) = python() else { return };
    let mut street = Street::new(&python);
    let ours: Vec<usize> = (0..count).map(|_| street.blx(&[])).collect();
    let desktops = [street.desktop(&[]), street.desktop(&[])];
    for other in &ours[1..] {
        street.dial(ours[0], *other);
    }
    street.dial(desktops[0], desktops[1]);
    for desktop in desktops {
        for blx in &ours {
            street.dial(desktop, *blx);
        }
    }
    let everybody: Vec<usize> = ours.iter().copied().chain(desktops).collect();
    street.take_in_turn(&everybody, "item", 20, PACE);
    street.settle();
}

#[test]
fn two_desktop_nodes_that_are_connected_beside_one_of_ours() {
    friends(1);
}

#[test]
fn two_desktop_nodes_that_are_connected_beside_two_of_ours() {
    friends(2);
}

/// One of ours dials two desktop nodes, and one of them is started again, with what it saved at
/// first or with nothing.
fn started_again(old: bool) {
    let Some(python) = python() else { return };
    let folder = TempDir::new().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (file, copy) = (path("chain.json"), path("old.json"));
    let mut street = Street::new(&python);
    let desktops = [street.desktop(&["--file", &file]), street.desktop(&[])];
    let addresses = desktops.map(|desktop| street.address(desktop));
    let blx = street.blx(&["--connect", &addresses[0], "--connect", &addresses[1]]);
    street.wait_for_peers(&[(blx, 2)]);
    let everybody = [blx, desktops[0], desktops[1]];
    street.take_in_turn(&everybody, "before", 6, PACE);
    street.answered();
    std::fs::copy(&file, &copy).expect("it was saved");
    street.take_in_turn(&everybody, "then", 6, HURRY);
    street.answered();
    street.kill(desktops[0]);
    street.take_in_turn(&[blx, desktops[1]], "meanwhile", 4, HURRY);
    let chain = ["--chain", &copy];
    street.restart(desktops[0], if old { &chain } else { &[] });
    street.take_in_turn(&everybody, "after", 9, HURRY);
    street.settle();
}

#[test]
fn a_desktop_node_is_started_again() {
    started_again(false);
}

#[test]
fn a_desktop_node_is_started_again_with_an_old_chain() {
    started_again(true);
}

#[test]
fn a_desktop_user_asks_for_chains_in_the_middle() {
    let Some(python) = python() else { return };
    let mut street = square(&python, &[]);
    for round in 0..5 {
        let name = format!("round-{round}");
        street.take_in_turn(&[0, 2, 1, 3], &name, 4, HURRY / 4);
        street.node(2).sync();
        street.take_in_turn(&[1, 0, 3], &format!("{name}-asked"), 3, HURRY / 4);
    }
    street.settle();
}

#[test]
fn two_desktop_users_act_in_the_same_moment() {
    let Some(python) = python() else { return };
    let mut street = Street::new(&python);
    let desktops = [street.desktop(&[]), street.desktop(&[])];
    let blx = street.blx(&[]);
    for desktop in desktops {
        street.dial(desktop, blx);
    }
    for round in 0..10 {
        for desktop in desktops {
            street.take(desktop, &format!("round-{round}-by-{desktop}"));
        }
        thread::sleep(PACE);
    }
    street.settle();
}

/// Each of four users types as fast as that.
#[test]
fn bursts_of_ten_items_a_second_from_everybody() {
    let Some(python) = python() else { return };
    let mut street = square(&python, &[]);
    for round in 0..4 {
        let name = format!("burst-{round}");
        street.take_in_turn(&[0, 2, 1, 3], &name, 40, Duration::from_millis(25));
        street.answered();
    }
    street.settle();
}

/// A chain with transactions that are void: a request of what somebody has, a release of what nobody
/// has. Two items of it are reserved.
fn void_chain(folder: &TempDir) -> String {
    let person = Person::new(5);
    let mut chain = person.chain(&["lamp", "vice"]);
    for void in [person.requests("lamp"), person.releases("anvil")] {
        chain.push(after(&chain[chain.len() - 1], vec![void]));
    }
    let path = folder.path().join("chain.json");
    std::fs::write(&path, array_text(&chain)).expect("a file");
    path.display().to_string()
}

#[test]
fn a_desktop_chain_with_void_transactions() {
    let Some(python) = python() else { return };
    let folder = TempDir::new().expect("a folder");
    let mut street = Street::new(&python);
    let desktop = street.desktop(&["--chain", &void_chain(&folder)]);
    let (blx, other) = (street.blx(&[]), street.desktop(&[]));
    street.take(blx, "saw");
    street.answered();
    street.dial(desktop, blx);
    street.dial(other, blx);
    for item in ["lamp", "vice"] {
        street.owe(item);
    }
    street.take_in_turn(&[desktop, blx, other], "item", 9, PACE);
    street.settle();
}

#[test]
fn a_chain_with_void_transactions_meets_another_after_a_split() {
    let Some(python) = python() else { return };
    let folder = TempDir::new().expect("a folder");
    let mut street = Street::new(&python);
    let ours = [street.blx(&[]), street.blx(&[])];
    let desktops = [
        street.desktop(&["--chain", &void_chain(&folder)]),
        street.desktop(&[]),
    ];
    for half in 0..2 {
        street.wire(desktops[half], ours[half]);
    }
    street.wait_for_peers(&[(ours[0], 1), (ours[1], 1)]);
    for item in ["lamp", "vice"] {
        street.owe(item);
    }
    let everybody = [ours[0], ours[1], desktops[0], desktops[1]];
    street.take_in_turn(&everybody, "apart", 16, HURRY);
    street.answered();
    street.dial(ours[0], ours[1]);
    street.settle();
    street.take_in_turn(&everybody, "after", 8, PACE);
    street.settle();
}
