//! Stories of a chain of 100,000 blocks.

use blx::ledger::{Block, Timestamp, Work};
use blx::limits;
use blx::store::disk::File;

use crate::oracle::{self, Chain};
use crate::peer::chain_response;
use crate::world::World;

const LENGTH: usize = 100_000;

/// A chain of empty blocks, all valid but the last.
fn rotten_at_its_end() -> Vec<Block> {
    let mut chain = vec![Block::genesis(Timestamp::Integer(7))];
    while chain.len() < LENGTH {
        let last = chain.last().expect("a first block");
        let mut block = Block::genesis(last.timestamp);
        (block.index, block.prev_hash) = (last.index + 1, last.hash);
        let mut work = Work::new(block, 0);
        assert!(work.step(1), "no work is asked for");
        chain.push(work.into_block());
    }
    chain.last_mut().expect("the last").nonce += 1;
    chain
}

#[test]
fn a_chain_of_100_000_blocks_that_is_invalid_in_its_last_leaves_no_trace() {
    let mut world = World::new(1);
    world.difficulty = 0;
    world.add(&[]);
    world.start(0);
    world.type_in(0, "1\ndrill\n");
    world.run(1_000);
    let before = world.hosts[0].disk.live(File::Chain);
    let call = world.call(0);
    world.say(call, &chain_response(&rotten_at_its_end()));
    let failed = format!("block {}", LENGTH - 1);
    let mut answers = 0;
    while !world.shown(0).contains(&failed) {
        world.run_steps(200);
        if world.shown(0).contains(&failed) {
            break;
        }
        // While it streams in, the menu answers.
        let shown = world.shown(0).matches("[status] node key").count();
        world.type_in(0, "9\n");
        world.run_steps(500);
        let now = world.shown(0).matches("[status] node key").count();
        assert_eq!(now, shown + 1, "answer {answers}");
        answers += 1;
        assert!(answers < 1_000, "it ends");
    }
    assert!(answers > 10, "{answers}");
    assert!(
        !world.is_over(call),
        "it is the first of {}",
        limits::MISBEHAVIOURS_MAX
    );
    assert!(world.hosts[0].disk.live(File::Chain) == before);
    assert!(world.hosts[0].disk.live(File::Candidate).is_empty());
    world.cut(call);
    assert_eq!(Chain::of(&mut world, 0).length(), 2);
    oracle::check(&mut world);
}
