//! Scripted runs.

use blx::ledger::Block;
use blx::ledger::Timestamp;
use blx::wire::MessageKind;
use blx::wire::text;

use crate::world::World;

/// Hosts that all run, the first of which the others connect to.
fn star(seed: u64, count: usize) -> World {
    let mut world = World::new(seed);
    for host in 0..count {
        let connect: &[usize] = if host == 0 { &[] } else { &[0] };
        world.add(connect);
        world.start(host);
    }
    world.run(3_000);
    world
}

/// The line that tells of a block.
fn new_block(block: &Block) -> Vec<u8> {
    let mut line = Vec::new();
    text::open(&mut line, MessageKind::NewBlock);
    text::block(&mut line, block);
    text::close(&mut line, "0.0.0.0:6000");
    line
}

#[test]
fn a_block_at_the_last_height_of_all_is_no_danger() {
    let mut world = star(1, 1);
    let call = world.call(0);
    let mut block = Block::genesis(Timestamp::Integer(0));
    block.index = u64::MAX;
    world.say(call, &new_block(&block));
    world.run(1_000);
    assert!(world.hosts[0].node.is_some());
}

#[test]
fn an_ending_node_that_has_something_to_dial_sleeps() {
    let mut world = star(2, 2);
    world.stop(0, false);
    // Somebody does not take what is sent, so the end waits for the last moment.
    let call = world.call(1);
    world.deafen(call);
    world.say(call, b"{\"type\": \"request_chain\", \"payload\": {}}\n");
    world.run(100);
    world.type_in(1, "10\n");
    let before = world.steps;
    world.run(5_000);
    assert!(world.hosts[1].node.is_none(), "it ended");
    assert!(world.steps - before < 5_000, "{}", world.steps - before);
}
