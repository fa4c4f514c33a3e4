//! What a desktop node is told, and what of its words becomes a block of ours, at the limits.

use blx::ledger::{Block, Kind, Timestamp};
use blx::limits;
use blx::wire::text;

use crate::oracle;
use crate::peer::{behind, call_desktop, chain_of, chain_response, longer, mined, new_block, sign};
use crate::stories::star;
use crate::world::World;

/// A block behind a chain, of one request, whose text is as long as a block's may be.
fn longest(world: &World, chain: &[Block]) -> Block {
    let named = |bytes: usize| {
        let wish = sign(Kind::Request, &"x".repeat(bytes), 0.5);
        let block = Block {
            // Ours would have a longer one.
            timestamp: Timestamp::Integer(1),
            nonce: 0,
            ..behind(world, chain, vec![wish])
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
    let count = |world: &mut World, words: &str| world.heard(call).matches(words).count();
    let (begin, mut answered) = (world.now, 0);
    while world.now < begin + 60_000 {
        let asked = count(&mut world, "request_chain");
        if answered < asked {
            answered += 1;
            world.say(call, &chain_response(&other));
        }
        world.say(call, b"{\"type\": \"pong\", \"payload\": {}}\n");
        world.run(20);
    }
    let told = count(&mut world, "\"chain_response\"");
    let most = 60_000 / (limits::DESKTOP_POLL_MS as usize / 3) + 1;
    assert!((2..=most).contains(&told), "{told} times");
    assert!(answered <= 2 * most, "asked {answered} times");
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
        let before = world.shown(0).len();
        world.type_in(0, "7\n");
        world.run(100);
        let list = world.shown(0)[before..].to_owned();
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
        let before = world.shown(0).len();
        world.type_in(0, &format!("1\nitem-{number}\n7\n"));
        world.run(300);
        let list = world.shown(0)[before..].to_owned();
        assert_eq!(list.matches(" (dialed us").count(), 2, "{list}");
        assert!(!list.contains("differs from us"), "{list}");
    }
}
