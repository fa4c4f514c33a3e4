//! The model of a desktop node against what real ones said and did, as `tests/vectors` has it.

use std::path::Path;

use serde_json::Value;

use crate::peer::{ASK, PING, chain_of, chain_response, grow, longer, new_block};
use crate::world::World;

fn vector(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    std::fs::read_to_string(root.join(name)).expect("a vector")
}

/// A desktop node alone, and a connection to it.
fn desktop(seed: u64) -> (World, usize) {
    let mut world = World::new(seed);
    world.add_desktop();
    world.start(0);
    let call = world.call(0);
    (world, call)
}

#[test]
fn it_takes_the_chain_of_real_ones_and_tells_it_as_they_do() {
    let (mut world, call) = desktop(1);
    let line = vector("chain_response.line");
    world.say(call, line.as_bytes());
    world.say(call, ASK);
    world.run(1_000);
    let (theirs, _) = line.split_once("\"sender\"").expect("a sender");
    assert!(world.heard(call).starts_with(theirs), "the same text");
    let state: Value = serde_json::from_str(&vector("chain_state.json")).expect("JSON");
    let saved = world.desktop(0);
    assert_eq!(saved.chain().len(), state["length"]);
    for (reserved, name) in [(true, "reserved"), (false, "available")] {
        let items = state[name].as_array().expect("a list").iter();
        let items = items.map(|item| item.as_str().expect("a name").to_owned());
        assert_eq!(saved.items(reserved), items.collect(), "{name}");
    }
}

#[test]
fn it_says_of_altered_chains_what_real_ones_say() {
    let cases: Vec<Value> = serde_json::from_str(&vector("verdicts.json")).expect("JSON");
    assert!(cases.len() > 20);
    for case in cases {
        let (mut world, call) = desktop(2);
        let chain = &case["chain"];
        let line =
            format!("{{\"type\": \"chain_response\", \"payload\": {{\"chain\": {chain}}}}}\n");
        world.say(call, line.as_bytes());
        world.run(1_000);
        let adopted = world.shown(0).contains("adopted longer chain");
        assert_eq!(case["desktop_accepts"], adopted, "{}", case["name"]);
    }
}

#[test]
fn it_hangs_up_on_what_it_does_not_understand_and_skips_what_is_no_json() {
    for (line, over) in [
        (&b"{\"type\": \"ping\", \"payload\": {}\n"[..], false),
        (b"\n", false),
        (b"{\"type\": \"ping\", \"payload\": 7}\n", false),
        (b"[1]\n", true),
        (b"{\"type\": \"ping\"}\n", true),
        (b"{\"type\": \"gossip\", \"payload\": {}}\n", true),
        (b"\xff\n", true),
    ] {
        let (mut world, call) = desktop(3);
        world.say(call, line);
        world.say(call, PING);
        world.run(1_000);
        let line = String::from_utf8_lossy(line);
        assert_eq!(world.is_over(call), over, "{line}");
        assert_eq!(world.heard(call).contains("pong"), !over, "{line}");
    }
}

#[test]
fn of_a_block_only_index_and_transactions_count() {
    let (mut world, call) = desktop(4);
    let mut chain = longer(&world, Vec::new(), 1);
    grow(&world, &mut chain, Some("drill"));
    let other = world.call(0);
    // It links to nothing there.
    world.say(call, &new_block(&chain[1]));
    world.run(1_000);
    let mined = chain_of(&mut world, 0);
    assert_eq!(mined[1].transactions, chain[1].transactions);
    assert_ne!(mined[1].hash, chain[1].hash);
    // Its index is taken now; and what is impossible is not mined.
    world.say(call, &new_block(&chain[1]));
    grow(&world, &mut chain, Some("drill"));
    world.say(call, &new_block(&chain[2]));
    world.run(1_000);
    assert_eq!(world.desktop(0).chain().len(), 2);
    // An empty one is.
    chain.pop();
    grow(&world, &mut chain, None);
    world.say(call, &new_block(&chain[2]));
    world.run(1_000);
    assert_eq!(world.desktop(0).chain().len(), 3);
    assert_eq!(world.heard(other), "", "it relays nothing");
}

#[test]
fn it_takes_longer_chains_unasked_keeps_its_own_and_finds_it_again() {
    let (mut world, call) = desktop(5);
    world.run(100);
    world.type_in(0, "1\ndrill\n1\ndrill\n");
    world.run(1_000);
    let ours = chain_of(&mut world, 0);
    assert_eq!(ours.len(), 2);
    assert!(world.heard(call).contains("\"new_block\""));
    let mut rival = longer(&world, Vec::new(), 2);
    world.say(call, &chain_response(&rival));
    world.run(1_000);
    assert_eq!(chain_of(&mut world, 0), ours, "as long as its own");
    grow(&world, &mut rival, Some("saw"));
    world.say(call, &chain_response(&rival));
    world.run(1_000);
    assert_eq!(chain_of(&mut world, 0), rival);
    world.type_in(0, "10\n");
    world.run(1_000);
    assert!(world.hosts[0].node.is_none() && world.is_over(call));
    world.start(0);
    assert_eq!(chain_of(&mut world, 0), rival);
    assert_eq!(world.desktop(0).items(true).len(), 1);
}
