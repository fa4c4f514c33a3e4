//! What a desktop node is told, and what of its words becomes a block of ours, at the limits.

use blx::ledger::{Block, Kind, Timestamp};
use blx::limits;
use blx::wire::text;

use crate::oracle;
use crate::peer::{
    ANNOUNCE, PONG, answer, behind, call_desktop, chain_of, chain_response, longer, mined,
    new_block, sign,
};
use crate::stories::star;
use crate::world::World;

const ASKED: &str = "\"request_chain\"";

/// A block behind a chain, of one request, whose text is as long as a block's may be.
fn longest(world: &World, chain: &[Block]) -> Block {
    let named = |bytes: usize| {
        let request = sign(Kind::Request, &"x".repeat(bytes), 0.5);
        let block = Block {
            // Ours would have a longer one.
            timestamp: Timestamp::Integer(1),
            nonce: 0,
            ..behind(world, chain, vec![request])
        };
        mined(block, world.difficulty)
    };
    let short = named(1);
    let mut bytes = limits::BLOCK_TEXT_MAX - text::block_bytes(&short);
    loop {
        let block = named(bytes);
        // Its nonce may have another number of digits.
        match text::block_bytes(&block) {
            long if long > limits::BLOCK_TEXT_MAX => bytes -= long - limits::BLOCK_TEXT_MAX,
            long if long + 8 < limits::BLOCK_TEXT_MAX => bytes += 1,
            _ => return block,
        }
    }
}

#[test]
fn no_block_is_made_of_a_desktops_that_others_would_refuse() {
    for (in_chain, seed) in [(false, 3), (true, 4)] {
        let mut world = star(seed, 2);
        world.capacity = 4 << 20;
        let call = call_desktop(&mut world, 0);
        let mut chain = chain_of(&mut world, 0);
        world.say(call, &chain_response(&chain));
        world.run(2_000);
        if in_chain {
            // Behind a block of its own, of the same content, what comes has to be made again.
            world.type_in(0, "1\nsaw\n");
            world.run(1_000);
            let ours = chain_of(&mut world, 0);
            let own = Block {
                nonce: ours[1].nonce + 1,
                ..ours[1].clone()
            };
            chain.push(mined(own, world.difficulty));
        }
        let block = longest(&world, &chain);
        if in_chain {
            chain.push(block);
            world.say(call, &chain_response(&chain));
        } else {
            world.say(call, &new_block(&block));
        }
        world.run(60_000);
        let told = chain_of(&mut world, 0);
        let bytes = told.iter().map(text::block_bytes).max();
        assert!(
            bytes <= Some(limits::BLOCK_TEXT_MAX),
            "{in_chain}: {bytes:?}"
        );
        assert_eq!(chain_of(&mut world, 1), told, "{in_chain}");
        assert!(world.held_against.is_empty(), "{:?}", world.held_against);
        world.type_in(1, "1\ndrill\n");
        world.run(5_000);
        assert!(oracle::reserved(&world, 0).contains("drill"));
    }
}

#[test]
fn who_does_not_take_our_chain_is_told_it_now_and_then() {
    let mut world = star(5, 1);
    world.type_in(0, "1\nsaw\n1\naxe\n1\ndrill\n");
    world.run(2_000);
    let first = chain_of(&mut world, 0)[..1].to_vec();
    let call = call_desktop(&mut world, 0);
    let other = longer(&world, first, 2);
    answer(&mut world, &[call], &other, 60_000);
    let count = |world: &mut World, words: &str| world.heard(call).matches(words).count();
    let told = count(&mut world, "\"chain_response\"");
    let most = 60_000 / (limits::DESKTOP_POLL_MS as usize / 3) + 1;
    assert!((2..=most).contains(&told), "{told} times");
    let asked = count(&mut world, ASKED);
    assert!(asked <= 2 * most, "asked {asked} times");
}

/// A chain in which the block behind `first` is missing, so that the other `count` do not link to it.
fn loose(world: &World, first: Block, count: usize) -> Vec<Block> {
    let mut chain = longer(world, vec![first], count + 2);
    chain.remove(1);
    chain
}

#[test]
fn a_chain_that_does_not_link_is_outgrown_and_no_word_lets_ours_grow_without_end() {
    // A real one of 40 blocks, and one that somebody made up.
    for (count, minutes) in [(40, 1), (3_000, 5)] {
        let mut world = star(9, 2);
        world.capacity = 4 << 20;
        let first = chain_of(&mut world, 0)[0].clone();
        let call = call_desktop(&mut world, 0);
        let chain = loose(&world, first, count);
        let within = match count {
            40 => 30_000,
            _ => minutes * 60_000,
        };
        world.say(call, &chain_response(&chain));
        answer(&mut world, &[call], &chain, within);
        let length = chain_of(&mut world, 0).len();
        let most = limits::EMPTY_BLOCKS as usize + minutes as usize + 1;
        match count {
            40 => assert!((42..50).contains(&length), "{length}"),
            _ => assert!((most - 5..=most).contains(&length), "{length}"),
        }
        let held = world
            .held_against
            .iter()
            .find(|(_, line)| !line.contains("does not answer"));
        assert_eq!(held, None);
    }
}

#[test]
fn who_does_not_answer_is_not_asked_twice_unless_the_question_was_passed_over() {
    for passes_over in [false, true] {
        let mut world = star(10, 1);
        let chain = chain_of(&mut world, 0);
        let call = call_desktop(&mut world, 0);
        world.say(call, &chain_response(&chain));
        answer(&mut world, &[call], &chain, 10_000);
        let count = |world: &mut World, words: &str| world.heard(call).matches(words).count();
        let asked = count(&mut world, ASKED);
        let mut pongs = count(&mut world, "\"ping\"");
        let mut again = false;
        for _ in 0..90 {
            world.run(1_000);
            if passes_over && pongs < count(&mut world, "\"ping\"") {
                pongs += 1;
                world.say(call, PONG);
            }
            again |= count(&mut world, ASKED) > asked + 1;
        }
        assert_eq!(again, passes_over);
        assert!(!world.is_over(call), "it may have slept");
        // Awake again, it answers, and all is as before.
        world.say(call, PONG);
        world.say(call, &chain_response(&chain));
        world.type_in(0, "1\nsaw\n");
        answer(&mut world, &[call], &chain, 5_000);
        assert!(world.heard(call).contains("saw"));
    }
}

/// One desktop node, connected to two of ours; the first of the two speaks.
fn beside_two(seed: u64) -> (World, [usize; 2], [usize; 2], Vec<Block>) {
    let mut world = star(seed, 2);
    let desktop = world.add_desktop();
    let chain = chain_of(&mut world, 0);
    let calls = [0, 1].map(|host| {
        let call = world.call_from(desktop, host);
        world.say(call, ANNOUNCE);
        world.say(call, &chain_response(&chain));
        call
    });
    answer(&mut world, &calls, &chain, 6_000);
    let speaks = [0, 1].map(|host| world.says(host, "7\n", 100).contains(", we speak"));
    match speaks {
        [true, false] => (world, [0, 1], calls, chain),
        [false, true] => (world, [1, 0], [calls[1], calls[0]], chain),
        both => panic!("{both:?}"),
    }
}

/// What can change a chain, as it was said on a connection.
fn changes(world: &mut World, call: usize) -> usize {
    let heard = world.heard(call);
    let chains = heard.matches("\"chain_response\"").count();
    let nothing = heard.matches("{\"chain\": []").count();
    chains - nothing + heard.matches("\"new_block\"").count()
}

#[test]
fn who_takes_the_turn_hears_first_also_where_it_is_asked() {
    for seed in 0..8 {
        let (mut world, [_, next], [first, call], mut chain) = beside_two(seed);
        // What its user did last nobody has heard.
        crate::peer::grow(&world, &mut chain, Some("saw"));
        let ask = b"{\"type\": \"request_chain\", \"payload\": {}}\n";
        world.cut(first);
        let asked = |world: &mut World| world.heard(call).matches(ASKED).count();
        let (before, mut rounds) = (asked(&mut world), 0);
        while asked(&mut world) == before {
            assert!(rounds < 100, "it takes the turn");
            rounds += 1;
            world.say(call, ask);
            world.run(50);
        }
        world.say(call, ask);
        world.run(2_000);
        assert_eq!(changes(&mut world, call), 0, "seed {seed}");
        world.say(call, &chain_response(&chain));
        world.run(2_000);
        assert!(
            oracle::reserved(&world, next).contains("saw"),
            "seed {seed}"
        );
        // Whoever tells nothing is answered all the same.
        world.run(5_000);
        world.say(call, ask);
        world.run(10_000);
        assert!(world.heard(call).contains("\"chain_response\""));
    }
}

#[test]
fn what_was_under_way_counts_so_until_two_answers_are_the_same() {
    for seed in 0..8 {
        let (mut world, [speaker, _], [first, call], chain) = beside_two(seed);
        world.type_in(speaker, "1\nsaw\n");
        world.run(1_000);
        assert_eq!(changes(&mut world, first), 1, "told, and no answer");
        world.cut(first);
        let asked = |world: &mut World| world.heard(call).matches(ASKED).count();
        let before = asked(&mut world);
        let own = |nonce: u64| {
            let mut block = longer(&world, chain.clone(), 2)[1].clone();
            block.nonce = nonce;
            [&chain[..], &[mined(block, world.difficulty)]].concat()
        };
        let (one, other) = (own(1), own(1_000_000));
        assert_ne!(one[1].hash, other[1].hash);
        let mut told = Vec::new();
        for (round, answer) in [&chain, &one, &other, &other].into_iter().enumerate() {
            assert!(
                world.run_until(20_000, |world| asked(world) > before + round),
                "seed {seed}, {round}"
            );
            told.push(world.now);
            assert_eq!(changes(&mut world, call), 0, "seed {seed}, {round}");
            world.say(call, &chain_response(answer));
            world.run(100);
        }
        assert!(
            told.windows(2).all(|two| two[1] - two[0] >= 4_900),
            "{told:?}"
        );
        let done = |world: &mut World| changes(world, call) > 0;
        assert!(world.run_until(30_000, done), "seed {seed}");
    }
}

#[test]
fn a_block_that_two_desktops_announced_once_makes_them_no_single_one() {
    let mut world = star(6, 1);
    let calls = [call_desktop(&mut world, 0), call_desktop(&mut world, 0)];
    let chain = chain_of(&mut world, 0);
    for call in calls {
        world.say(call, &chain_response(&chain));
    }
    world.run(2_000);
    let block = |item| behind(&world, &chain, vec![sign(Kind::Request, item, 0.5)]);
    let theirs = block("saw");
    world.say(calls[0], &new_block(&theirs));
    world.run(1_000);
    // It stands where its own was meant to.
    world.say(calls[1], &new_block(&theirs));
    world.run(1_000);
    let listed = |world: &mut World| {
        let list = world.says(0, "7\n", 100);
        (list.matches(", we speak").count(), list)
    };
    let (speaks, list) = listed(&mut world);
    assert_eq!(speaks, 2, "{list}");
    // Two of them are no chance.
    let chain = chain_of(&mut world, 0);
    let again = behind(&world, &chain, vec![sign(Kind::Request, "axe", 0.5)]);
    for call in calls {
        world.say(call, &new_block(&again));
        world.run(1_000);
    }
    let (speaks, list) = listed(&mut world);
    assert_eq!(speaks, 1, "{list}");
    assert!(list.contains("2 connections"), "{list}");
}

#[test]
fn what_came_too_late_is_told_on_our_consoles() {
    let mut world = star(7, 1);
    world.type_in(0, "1\nsaw\n1\naxe\n2\naxe\n1\naxe\n");
    world.run(2_000);
    let chain = chain_of(&mut world, 0);
    let call = call_desktop(&mut world, 0);
    world.say(call, &chain_response(&chain));
    world.run(1_000);
    // The one is asked for by a user who did not know that it was taken, the other given back by one
    // whose clock is far behind that of whoever has it.
    for (kind, item, verb) in [
        (Kind::Request, "saw", "request"),
        (Kind::Release, "axe", "release"),
    ] {
        let late = behind(&world, &chain[..2], vec![sign(kind, item, 0.5)]);
        world.say(call, &new_block(&late));
        world.run(10_000);
        let told = format!("'s {verb} of {item} came late: it was taken at block ");
        let shown = world.shown(0);
        assert_eq!(shown.matches(&told).count(), 1, "{verb}: {shown}");
    }
    assert_eq!(chain_of(&mut world, 0), chain);
}

#[test]
fn nobody_is_said_to_differ_for_a_block_that_he_will_have_in_a_moment() {
    let mut world = star(8, 2);
    let call = call_desktop(&mut world, 0);
    let chain = chain_of(&mut world, 0);
    world.say(call, &chain_response(&chain));
    world.run(15_000);
    world.say(call, &chain_response(&chain));
    world.run(1_000);
    for number in 0..20 {
        let list = world.says(0, &format!("1\nitem-{number}\n7\n"), 300);
        assert_eq!(list.matches(" (dialed us").count(), 2, "{list}");
        assert!(!list.contains("differs from us"), "{list}");
    }
}
