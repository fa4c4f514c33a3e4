//! Stories of somebody who says that he is another node of ours, with all that one has told him.

use crate::foe::said;
use crate::oracle;
use crate::peer::{Ours, call_ours, greeting};
use crate::reach::open;
use crate::world::World;

/// The first host has dialed the second, which it was told to keep.
fn named(seed: u64) -> World {
    let mut world = World::new(seed);
    world.add(&[1]);
    world.add(&[]);
    world.start(1);
    world.start(0);
    let met = |world: &mut World| open(world, 0, 1).len() == 1;
    assert!(world.run_until(5_000, met), "seed {seed}");
    world.run(1_000);
    world
}

fn greeting_in(heard: &str) -> String {
    let mut lines = heard.lines();
    let line = lines.find(|line| line.contains("peer_announce"));
    line.expect("a greeting").to_owned()
}

/// What this host says and proves to somebody who calls it and proves who he is: the content of its
/// greeting, and its proof.
fn recorded(world: &mut World, host: usize) -> (String, String) {
    let (call, who) = (world.call(host), Ours::new(7));
    world.say(call, &greeting(&who, ""));
    world.run(500);
    let first = greeting_in(&world.heard(call));
    world.say(call, &said("ping", &who.proves(true, &first)));
    world.run(500);
    let heard = world.heard(call);
    world.cut(call);
    let (_, proof) = heard.split_once("\"proof\": \"").expect("it proves itself");
    let (proof, _) = proof.split_once('"').expect("its end");
    let (_, content) = first.split_once("\"payload\": ").expect("a payload");
    let (content, _) = content.split_once(", \"sender\"").expect("its end");
    (content.to_owned(), format!("\"proof\": \"{proof}\""))
}

/// A voice with a desktop node that nobody is connected to, as the node says it whose greeting this is.
fn voice(content: &str) -> String {
    let (_, id) = content.split_once("\"id\": \"").expect("a number");
    format!(
        "\"voices\": [{{\"id\": \"{}\", \"count\": 1000, \"healthy\": true, \
         \"desktops\": [\"10.0.99.99:6000\"]}}]",
        &id[..16]
    )
}

const NOWHERE: &str = "10.0.99.99";

#[test]
fn who_says_that_he_is_a_node_that_was_dialed_is_not_taken_for_it() {
    for seed in 0..12 {
        let mut world = named(seed);
        let kept = open(&world, 0, 1);
        let (content, proof) = recorded(&mut world, 1);
        let own = Ours::new(9).proves(true, &greeting_in(&said_line(&content)));
        let watcher = call_ours(&mut world, 0);
        // One says no more, one repeats what was proven to him, one signs with a key of his own.
        let more = ["{}".to_owned(), format!("{{{proof}}}"), own];
        let liars = more.map(|proof| {
            let call = world.call(0);
            world.say(call, &said("peer_announce", &content));
            world.say(call, &said("ping", &proof));
            world.say(call, &said("ping", &format!("{{{}}}", voice(&content))));
            call
        });
        world.run(40_000);
        assert_eq!(open(&world, 0, 1), kept, "seed {seed}");
        let shown = world.shown(0);
        assert!(!shown.contains("] lost "), "seed {seed}: {shown}");
        assert!(!world.heard(watcher).contains(NOWHERE), "seed {seed}");
        // The one that was dialed is gone, and is not taken to be still there.
        world.stop(1, false);
        world.run(2_000);
        let list = world.says(0, "7\n", 3_000);
        let waits = list.contains("10.0.0.2:6000 (not connected), dialing in");
        assert!(waits, "seed {seed}: {list}");
        world.start(1);
        let met = |world: &mut World| open(world, 0, 1).len() == 1;
        assert!(world.run_until(70_000, met), "seed {seed}");
        for call in liars {
            world.cut(call);
        }
        world.cut(watcher);
        oracle::check(&mut world);
    }
}

fn said_line(content: &str) -> String {
    String::from_utf8(said("peer_announce", content)).expect("ASCII")
}

#[test]
fn who_proves_who_he_is_is_heard() {
    let mut world = named(3);
    let (call, who) = (world.call(0), Ours::new(9));
    let watcher = world.call(0);
    world.say(call, &greeting(&who, ""));
    world.say(watcher, &greeting(&Ours::new(8), ""));
    world.run(500);
    let voice = voice(&format!("{{{}}}", who.says()));
    for (call, who) in [(call, &who), (watcher, &Ours::new(8))] {
        let proof = who.proves(true, &greeting_in(&world.heard(call)));
        world.say(call, &said("ping", &proof));
    }
    world.say(call, &said("ping", &format!("{{{voice}}}")));
    let told = |world: &mut World| world.heard(watcher).contains(NOWHERE);
    assert!(world.run_until(5_000, told), "{}", world.heard(watcher));
}

#[test]
fn a_proof_that_is_wrong_is_a_broken_rule() {
    let mut world = named(4);
    let (call, who) = (world.call(0), Ours::new(9));
    world.say(call, &greeting(&who, ""));
    world.run(500);
    let first = greeting_in(&world.heard(call));
    // Of the other end: what it signs itself would be taken for ours.
    for count in 0..3 {
        assert!(!world.is_over(call), "after {count}");
        world.say(call, &said("ping", &who.proves(false, &first)));
        world.run(500);
    }
    assert!(world.is_over(call));
    assert!(!world.heard(call).contains("\"proof\""));
    world.run(1_000);
    assert_eq!(open(&world, 0, 1).len(), 1);
}
