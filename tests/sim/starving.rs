//! Peers that keep a node busy: with chains that never end, with words that nothing comes of, and with
//! valid blocks as fast as they can. What honest nodes have is taken all the same.

use blx::ledger::Block;
use blx::store::disk::File;

use crate::blocks;
use crate::oracle::{self, tip_of};
use crate::peer::{
    self, Ours, Speaker, call_ours, chain_of, chain_response, greeting, grow, longer, new_block,
    new_transaction, sign,
};
use crate::rows::with_one;
use crate::scenario::connect;
use crate::stories::star;
use crate::world::World;
use blx::ledger::Kind;

/// What a chain begins with that never ends.
const HEAD: &str = "{\"type\": \"chain_response\", \"payload\": {\"chain\": [";

/// Milliseconds in which an honest chain is looked at at the latest: somebody else's turn, the question,
/// and the answer.
const TURN_MS: u64 = 60_000 + 15_000;

/// A host alone, another one that has a chain of this length, and the address of a third.
fn victim(seed: u64, length: usize) -> World {
    let mut world = World::new(seed);
    world.difficulty = 1;
    for _ in 0..3 {
        world.add(&[]);
    }
    world.start(0);
    world.start(1);
    let chain = longer(&world, Vec::new(), length);
    let call = call_ours(&mut world, 1);
    world.say(call, &chain_response(&chain));
    assert!(world.run_until(10_000, |world| tip_of(world, 1).0 == length as u64));
    world.cut(call);
    world.run(1_000);
    world
}

/// A connection from the third host's address, over which one of ours speaks.
fn call_third(world: &mut World) -> usize {
    let call = world.call_from(2, 0);
    world.say(call, &greeting(&Ours::new(255), ""));
    call
}

/// Whether the first host has taken the chain of the second.
fn has_taken(world: &World) -> bool {
    tip_of(world, 0) == tip_of(world, 1)
}

#[test]
fn a_chain_without_end_takes_turns_with_the_others() {
    for (seed, speaker) in Speaker::each_of([1, 2]) {
        let mut world = victim(seed, 600);
        let call = match speaker {
            Speaker::Ours => call_third(&mut world),
            Speaker::Desktop => world.call_from(2, 0),
        };
        let mut chain = longer(&world, Vec::new(), 2);
        let text = |block: &Block| blocks::block_text(block);
        let begun = format!("{HEAD}{}, {}", text(&chain[0]), text(&chain[1]));
        world.say(call, begun.as_bytes());
        world.run(2_000);
        connect(&mut world, 0, 1);
        let began = world.now;
        while !has_taken(&world) {
            let waited = world.now - began;
            assert!(waited < TURN_MS, "{seed} {speaker:?}: {}", world.shown(0));
            grow(&world, &mut chain, None);
            world.say(
                call,
                format!(", {}", text(&chain[chain.len() - 1])).as_bytes(),
            );
            world.run(300);
        }
    }
}

#[test]
fn a_chain_without_end_in_parts_takes_turns_with_the_others() {
    let mut world = victim(3, 2_200);
    let call = call_third(&mut world);
    let mut chain = chain_of(&mut world, 0);
    let told = |chain: &[Block]| {
        let (start, length) = (chain.len() - 1, chain.len() + 9_000);
        let block = blocks::block_text(&chain[start]);
        let begin = format!(
            "{{\"type\": \"chain_response\", \"payload\": {{\"start\": {start}, \"chain\": [{block}"
        );
        (begin, format!("], \"length\": {length}}}}}\n"))
    };
    grow(&world, &mut chain, None);
    let (begin, mut end) = told(&chain);
    world.say(call, begin.as_bytes());
    world.run(200);
    connect(&mut world, 0, 1);
    let began = world.now;
    while !has_taken(&world) {
        let waited = world.now - began;
        assert!(waited < TURN_MS, "{}", world.shown(0));
        world.run(50);
        // Whatever is asked of others, it is the first to answer.
        grow(&world, &mut chain, None);
        let (begin, next) = told(&chain);
        world.say(call, (end + &begin).as_bytes());
        end = next;
    }
}

#[test]
fn a_chain_that_is_broken_off_after_it_was_checked_broke_the_rules() {
    for speaker in Speaker::BOTH {
        let mut world = star(4, 1);
        let call = speaker.call(&mut world, 0);
        let mut chain = longer(&world, Vec::new(), 1);
        for item in 0..20 {
            grow(&world, &mut chain, Some(&format!("theirs-{item}")));
        }
        let texts: Vec<String> = chain.iter().map(blocks::block_text).collect();
        let broken = format!("{HEAD}{}\n", texts.join(", "));
        for round in 0..3 {
            assert!(!world.is_over(call), "{round} {speaker:?}");
            world.say(call, broken.as_bytes());
            world.run(1_000);
        }
        assert!(world.is_over(call), "{speaker:?}");
        // A notebook may be closed at any time.
        for _ in 0..5 {
            let call = speaker.call(&mut world, 0);
            world.say(call, format!("{HEAD}{}", texts.join(", ")).as_bytes());
            world.run(1_000);
            world.cut(call);
            world.run(100);
        }
        let call = speaker.call(&mut world, 0);
        world.say(call, &chain_response(&chain));
        world.run(3_000);
        assert!(tip_of(&world, 0).0 >= 21, "{speaker:?}: {}", world.shown(0));
        oracle::check(&mut world);
    }
}

/// Time goes by, in which one says after the other on these connections that it has a longer chain, and
/// none of it as soon as it was waited for it for nearly as long as anybody waits.
fn boast(world: &mut World, calls: &[usize], millis: u64) {
    let each = 1_900 / calls.len() as u64;
    for _ in 0..millis / each {
        let turn = world.now / each;
        let call = calls[(turn % calls.len() as u64) as usize];
        let length = 1_000 + turn;
        let said = format!(
            "{{\"type\": \"chain_response\", \"payload\": {{\"start\": 0, \"chain\": [], \"length\": {length}}}}}\n\
             {{\"type\": \"ping\", \"payload\": {{\"length\": {length}, \"tip\": \"{}\"}}}}\n",
            "0".repeat(64)
        );
        world.say(call, said.as_bytes());
        world.run(each);
    }
}

#[test]
fn words_alone_keep_nothing_waiting_for_long() {
    let mut world = star(5, 1);
    world.type_in(0, "1\nmine\n");
    world.run(2_000);
    let calls: Vec<usize> = (0..8).map(|_| call_ours(&mut world, 0)).collect();
    world.run(500);
    // Ours falls out, and a device says something.
    let other = longer(&world, Vec::new(), 4);
    world.say(calls[0], &chain_response(&other));
    let device = world.call(0);
    world.say(
        device,
        &new_transaction(&sign(Kind::Request, "theirs", 0.5)),
    );
    let in_chain = |world: &mut World| {
        let reserved = oracle::reserved(world, 0);
        reserved.contains("mine") && reserved.contains("theirs")
    };
    let began = world.now;
    loop {
        boast(&mut world, &calls, 500);
        if in_chain(&mut world) {
            break;
        }
        assert!(world.now - began < 16_000, "{}", world.shown(0));
    }
    oracle::check(&mut world);
}

#[test]
fn desktop_nodes_hear_what_is_new_although_somebody_boasts() {
    let (mut world, desktop) = with_one(6, 1);
    world.run(20_000);
    let calls: Vec<usize> = (0..8).map(|_| call_ours(&mut world, 0)).collect();
    world.type_in(0, "1\nmine\n");
    let length = tip_of(&world, 0).0;
    let began = world.now;
    loop {
        boast(&mut world, &calls, 500);
        if world.desktop(desktop).items(true).contains("mine") {
            break;
        }
        assert!(
            world.now - began < 20_000,
            "{}",
            world.desktop(desktop).items(true).len()
        );
    }
    boast(&mut world, &calls, 60_000);
    assert!(
        tip_of(&world, 0).0 <= length + 2,
        "blocks without a transaction"
    );
}

#[test]
fn of_blocks_that_replace_our_last_one_one_a_second_does() {
    let mut world = star(7, 1);
    let ours = chain_of(&mut world, 0);
    let mut rivals: Vec<Block> = (0..60)
        .map(|item| {
            let mut chain = ours.clone();
            grow(&world, &mut chain, Some(&format!("theirs-{item}")));
            chain.pop().expect("it grew")
        })
        .collect();
    rivals.sort_by_key(|block| core::cmp::Reverse(block.hash));
    let call = call_ours(&mut world, 0);
    world.run(200);
    let before = world.hosts[0].disk.syncs(File::Chain);
    let mut best = ours;
    for rival in &rivals {
        world.say(call, &new_block(rival));
        best.truncate(1);
        best.push(rival.clone());
        peer::answer(&mut world, &[call], &best, 50);
    }
    let shown = world.shown(0);
    let switches = shown.matches("adopted equally long chain").count();
    let syncs = world.hosts[0].disk.syncs(File::Chain) - before;
    println!(
        "60 blocks of one height in 3 s: {switches} switches, {syncs} syncs of the chain file"
    );
    assert!((1..=4).contains(&switches), "{switches}: {shown}");
    // What it has at last is taken when it is time.
    peer::answer(&mut world, &[call], &best, 3_000);
    // Its transactions, and those of the others behind it.
    assert_eq!(chain_of(&mut world, 0)[1].hash, rivals[59].hash);
    oracle::check(&mut world);
}

#[test]
fn of_many_blocks_a_second_those_that_came_together_are_one_change() {
    for speaker in Speaker::BOTH {
        let mut world = World::new(8);
        world.difficulty = 0;
        world.add(&[]);
        world.start(0);
        let mut chain = chain_of(&mut world, 0);
        let call = speaker.call(&mut world, 0);
        peer::answer(&mut world, &[call], &chain, 1_000);
        let before = world.hosts[0].disk.syncs(File::Chain);
        let began = world.now;
        for item in 0..400 {
            grow(&world, &mut chain, Some(&format!("theirs-{item}")));
            let last = chain.last().expect("it grew");
            world.say(call, &new_block(last));
            if item % 10 == 9 {
                peer::answer(&mut world, &[call], &chain, 50);
            }
        }
        let syncs = world.hosts[0].disk.syncs(File::Chain) - before;
        let ms = world.now - began;
        println!("400 blocks in {ms} ms, {speaker:?}: {syncs} syncs of the chain file");
        // Each change takes a few, and so does a reorg.
        assert!(
            syncs as u64 <= 4 * (10 + ms / 100),
            "{speaker:?}: {syncs} in {ms} ms"
        );
        peer::answer(&mut world, &[call], &chain, 60_000);
        let reserved = oracle::reserved(&world, 0).len();
        assert_eq!(reserved, 400, "{speaker:?}: {}", world.shown(0));
        oracle::check(&mut world);
    }
}
