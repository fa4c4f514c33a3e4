//! Numbers at the edges, in whatever a peer can say. The node is built with checks of its arithmetic
//! here: one number too many and it panics.

use blx::ledger::Kind;
use blx::limits;

use crate::numbers::{
    edge_block, edges, far_blocks, greeting, lines, stranger, times, transaction_line,
};
use crate::oracle;
use crate::peer::{PING, Speaker, chain_of, chain_response, new_block};
use crate::world::World;

/// Two nodes that take every nonce, with one block.
fn pair(seed: u64) -> World {
    let mut world = World::new(seed);
    world.difficulty = 0;
    for connect in [&[][..], &[0]] {
        let host = world.add(connect);
        world.start(host);
    }
    world.run(3_000);
    world.type_in(0, "1\nsaw\n");
    world.run(1_000);
    world
}

/// Says each line on a connection of its own: as a stranger, as a desktop node, and as one of ours.
fn say_each(world: &mut World, lines: &[String]) {
    let ours = greeting("1", &chain_of(world, 0)[0]) + "\n";
    let ping = String::from_utf8_lossy(PING).into_owned();
    for line in lines {
        let calls = ["", &ping, &ours].map(|first| {
            let call = world.call(0);
            world.say(call, format!("{first}{line}\n").as_bytes());
            call
        });
        world.run(2 * world.delay);
        for call in calls {
            world.cut(call);
        }
        world.run(world.delay);
    }
}

#[test]
fn no_number_in_any_field_of_any_message_ends_a_node() {
    let mut world = pair(1);
    let tip = chain_of(&mut world, 0).pop().expect("a block");
    say_each(&mut world, &lines(&tip));
    // What a desktop node says at no height of ours is its user's act all the same.
    world.run(10_000);
    assert_eq!(chain_of(&mut world, 0).len(), 3);
    oracle::check(&mut world);
}

#[test]
fn no_index_of_a_block_that_is_valid_alone_ends_a_node() {
    let mut world = pair(2);
    let tip = chain_of(&mut world, 0).pop().expect("a block");
    say_each(&mut world, &far_blocks(&tip, 0));
    // What a desktop node says at no height of ours is its user's act all the same.
    world.run(10_000);
    assert_eq!(chain_of(&mut world, 0).len(), 3);
    oracle::check(&mut world);
}

#[test]
fn no_number_in_what_is_taken_ends_a_node() {
    for speaker in Speaker::BOTH {
        take_each(speaker);
    }
}

/// Each edge in a block. Of one of ours that is taken as it is, of a desktop node what is in it.
fn take_each(speaker: Speaker) {
    let mut world = pair(3);
    for (number, edge) in edges().into_iter().enumerate() {
        let chain = chain_of(&mut world, 0);
        let tip = chain.last().expect("a block");
        let block = edge_block(tip, &format!("edge-{number}"), edge);
        let call = speaker.call(&mut world, 0);
        if speaker == Speaker::Desktop {
            world.say(call, &chain_response(&chain));
        }
        // Beside another one of ours it is not spoken to at once.
        world.run(limits::VOICE_SETTLE_MS + 1_000);
        world.say(call, &new_block(&block));
        let told = format!("received and added block #{}\n", block.index);
        let taken = |world: &mut World| world.shown(1).contains(&told);
        assert!(world.run_until(2_000, taken), "{edge:?}");
        world.cut(call);
        for host in [0, 1] {
            world.type_in(host, &format!("1\nours-{host}-{number}\n9\n3\n"));
            world.run(1_000);
        }
    }
    let call = world.call(0);
    for (number, time) in times().into_iter().enumerate() {
        for kind in [Kind::Request, Kind::Release] {
            let item = format!("waits-{number}").as_str().into();
            let line = transaction_line(&stranger().sign(kind, item, time));
            world.say(call, (line + "\n").as_bytes());
        }
        world.run(3_000);
    }
    world.cut(call);
    oracle::check(&mut world);
}
