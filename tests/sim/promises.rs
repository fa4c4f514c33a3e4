//! Promises that nothing else here would miss: to peers, to who was named, and about the times of
//! blocks.

use blx::ledger::{Block, Timestamp};
use blx::limits;

use crate::oracle::{self, Chain};
use crate::peer::{
    PING, call_desktop, call_ours, chain_of, chain_response, grow, longer, mined, new_block,
};
use crate::plain::Transaction;
use crate::scenario::connect;
use crate::stories::star;
use crate::world::{WALL, World, address};

#[test]
fn what_we_did_not_look_at_is_not_counted_against_a_peer() {
    let mut world = star(1, 1);
    let call = world.call(0);
    let (half, rest) = PING.split_at(9);
    world.say(call, &[PING, half].concat());
    world.run(1_000);
    // Neither its half message nor its silence was ours to see.
    world.hosts[0].works = world.now + limits::STALL_MS + limits::ANSWER_MAX_MS;
    world.run(limits::STALL_MS + limits::ANSWER_MAX_MS + 5_000);
    assert!(!world.is_over(call));
    world.say(call, rest);
    world.run(1_000);
    assert_eq!(world.heard(call).matches("\"pong\"").count(), 2);
    // The same silence while we do look ends it.
    world.say(call, half);
    world.run(limits::STALL_MS + 2_000);
    assert!(world.is_over(call));
    oracle::check(&mut world);
}

/// The other end of the connection that host 1 dialed to host 0 breaks the rules three times.
fn break_rules(world: &mut World) {
    let mut block = Block::genesis(Timestamp::Integer(7));
    block.index = 7;
    let lines = new_block(&block).repeat(3);
    let those = world.net.connections.iter().rposition(|connection| {
        let hosts = connection.hosts();
        hosts == [Some(1), Some(0)]
    });
    let now = world.now;
    let connection = &mut world.net.connections[those.expect("they are connected")];
    connection.pipes[1].push(now, &lines);
    assert!(
        world.run_until(1_000, |world| !world.linked(1, 0)),
        "it is banned"
    );
}

#[test]
fn who_is_banned_is_not_dialed_before_its_time() {
    for named in [true, false] {
        let mut world = World::new(2);
        // A desktop node connects to nobody by itself.
        world.add_desktop();
        world.add(if named { &[0] } else { &[] });
        (0..2).for_each(|host| world.start(host));
        if !named {
            let call = world.call(1);
            let address = address(0);
            let list = format!(
                "{{\"type\": \"peer_list\", \"payload\": {{\"peers\": [\"{address}\"]}}}}\n"
            );
            world.say(call, list.as_bytes());
        }
        // Long enough that who is only lost would be dialed at once.
        let there = |world: &mut World| world.linked(1, 0);
        assert!(world.run_until(30_000, there));
        world.run(2 * limits::HEALTHY_MS);
        break_rules(&mut world);
        let early = world.run_until(limits::BAN_MS - 2_000, there);
        assert!(!early, "dialed at {} ms, named: {named}", world.now);
        assert!(
            world.run_until(60_000, there),
            "dialed again, named: {named}"
        );
    }
}

#[test]
fn who_is_named_keeps_its_place() {
    let mut world = World::new(3);
    world.add(&[]);
    world.add_desktop();
    (0..2).for_each(|host| world.start(host));
    // What the other has is nothing to us: who brings blocks keeps its place for that.
    world.type_in(0, "1\nsaw\n");
    world.run(500);
    let callers = limits::PEERS - limits::PLACES_FOR_DIALS;
    let idlers: Vec<usize> = (1..callers).map(|_| world.call(0)).collect();
    for call in &idlers {
        world.say(*call, PING);
    }
    world.run(1_000);
    // It comes last, and then nothing is heard of it: without its name it were worth least.
    connect(&mut world, 1, 0);
    assert!(world.run_until(2_000, |world| world.linked(0, 1)));
    world.run(500);
    connect(&mut world, 0, 1);
    world.run(500);
    let shown = world.shown(0);
    assert!(shown.contains("10.0.0.2:6000 already"), "{shown}");
    world.net.islands[1] = 1;
    world.run(limits::NEWCOMER_MS + 1_000);
    let newcomer = world.call(0);
    world.say(newcomer, PING);
    world.run(500);
    assert!(world.heard(newcomer).contains("\"pong\""));
    let over = idlers.iter().filter(|call| world.is_over(**call)).count();
    assert_eq!(over, 1, "somebody made way");
    assert!(world.linked(0, 1));
}

/// A node's chain, and what it has shown, after a block of its user and one of a stranger were disconnected
/// for a longer chain, and a block and a chain came that lose.
fn with_orphans(drop_disconnected: bool) -> (Chain, String) {
    let mut world = World::new(4);
    world.add(&[]);
    world.hosts[0].drop_disconnected = drop_disconnected;
    world.start(0);
    world.type_in(0, "1\nours\n");
    world.run(1_000);
    let call = call_ours(&mut world, 0);
    let mut chain = chain_of(&mut world, 0);
    grow(&world, &mut chain, Some("theirs"));
    world.say(call, &new_block(&chain[2]));
    world.run(1_000);
    assert_eq!(Chain::of(&mut world, 0).length(), 3);
    world.say(call, &chain_response(&longer(&world, Vec::new(), 6)));
    world.run(30_000);
    world.cut(call);
    let call = call_desktop(&mut world, 0);
    let mut lost = longer(&world, Vec::new(), 3);
    grow(&world, &mut lost, Some("in a block"));
    world.say(call, &new_block(&lost[3]));
    world.run(30_000);
    grow(&world, &mut lost, Some("in a chain"));
    world.say(call, &chain_response(&lost));
    world.run(30_000);
    world.cut(call);
    (Chain::of(&mut world, 0), world.shown(0))
}

#[test]
fn what_falls_out_is_dropped_if_that_is_wanted() {
    let items = |chain: &Chain| {
        let items = chain.transactions().map(Transaction::item);
        let mut items: Vec<String> = items.collect();
        items.sort();
        items
    };
    let (chain, shown) = with_orphans(false);
    assert_eq!(
        items(&chain),
        ["in a block", "in a chain", "ours", "theirs"],
        "{shown}"
    );
    let (chain, shown) = with_orphans(true);
    assert!(items(&chain).is_empty(), "{shown}");
    assert_eq!(chain.length(), 6, "{shown}");
    let told = "your request of ours is lost: another chain was longer, and nothing is made again";
    assert!(shown.contains(told), "{shown}");
}

#[test]
fn the_time_of_a_block_follows_the_tip_that_a_reorg_put_in_place() {
    let mut world = World::new(5);
    world.add(&[]);
    world.start(0);
    world.run(1_000);
    let now = WALL as f64 / 1e6;
    let chain = |world: &World, length: usize, time: f64| {
        let mut chain = longer(world, Vec::new(), length - 1);
        let mut last = Block::genesis(Timestamp::Float(time));
        let tip = &chain[length - 2];
        (last.index, last.prev_hash) = (tip.index + 1, tip.hash);
        chain.push(mined(last, world.difficulty));
        chain
    };
    let mut made = |item: &str, length: usize, time: f64| {
        let chain = chain(&world, length, time);
        let call = call_ours(&mut world, 0);
        world.say(call, &chain_response(&chain));
        world.run(2_000);
        world.type_in(0, &format!("1\n{item}\n"));
        world.run(2_000);
        world.cut(call);
        let chain = Chain::of(&mut world, 0);
        let block = chain.blocks().nth(length).expect("a block behind it");
        block.time.seconds()
    };
    let ahead = now + 5_000.5;
    assert_eq!(made("a", 4, ahead), ahead, "never before the tip");
    let back = made("b", 8, 7.0);
    assert!(
        (now..now + 1_000.0).contains(&back),
        "the clock counts again: {back}"
    );
}
