//! Peers that wear a node out: with what is expensive to send, to look at, or to show.

use std::collections::BTreeSet;

use blx::ledger::{Kind, Transaction, tally};
use blx::limits;
use blx::node::{CONSOLE, ConnId, ConsoleKind, Event};

use crate::foe::ITEMS;
use crate::oracle::{self, Chain};
use crate::peer::{ASK, behind, call_ours, chain_of, new_block, new_transaction, sign};
use crate::stories::star;
use crate::world::World;

/// What one call may do: microseconds of a desktop, as [`World::heaviest`] has it.
pub const HEAVIEST: u64 = 20_000;

/// A name as a screen of ours shows it: without the middle of a long one. Nobody here gives an item a name
/// that hides anything; what is shown already stays so.
pub fn shown(name: &str) -> String {
    let count = name.chars().count();
    if count <= limits::NAME_SHOWN || name.contains("-more]") {
        return name.to_owned();
    }
    let tail = limits::NAME_SHOWN / 4;
    let head: String = name.chars().take(limits::NAME_SHOWN - tail).collect();
    let tail: String = name.chars().skip(count - tail).collect();
    format!("{head}\\[{}-more]{tail}", count - limits::NAME_SHOWN)
}

/// These names as a screen of ours shows them.
pub fn as_shown(names: &BTreeSet<String>) -> BTreeSet<String> {
    names.iter().map(|name| shown(name)).collect()
}

/// Requests with names of so many control characters, each of which takes six bytes of text.
fn long_names(count: usize, characters: usize) -> Vec<Transaction> {
    let name = |number| format!("{ITEMS}{number:04}{}", "\u{1}".repeat(characters));
    let request = |number| sign(Kind::Request, &name(number), 0.5);
    (0..count).map(request).collect()
}

/// A world of one, with a block of these in its chain; and how many bytes of text that takes.
fn with_block(seed: u64, requests: Vec<Transaction>) -> (World, usize) {
    let mut world = star(seed, 1);
    let call = call_ours(&mut world, 0);
    let ours = chain_of(&mut world, 0);
    let line = new_block(&behind(&world, &ours, requests));
    world.say(call, &line);
    world.run(2_000);
    world.cut(call);
    assert_eq!(chain_of(&mut world, 0).len(), ours.len() + 1);
    (world, line.len())
}

/// Many short parts, and one name that is many parts by itself.
#[test]
fn what_is_sent_is_made_once_however_slowly_it_is_taken() {
    for (count, characters) in [(60, 2_000), (1, 150_000)] {
        let (mut world, bytes) = with_block(1, long_names(count, characters));
        let calls: Vec<usize> = (0..4).map(|_| world.call(0)).collect();
        let before = tally::total();
        for call in &calls {
            world.net.connections[*call].pipes[1].capacity = 1 << 12;
            world.say(*call, ASK);
        }
        world.run(20_000);
        let made = (tally::total() - before).rendered;
        let heard: usize = calls.iter().map(|call| world.heard(*call).len()).sum();
        assert!(heard > calls.len() * bytes, "{heard} of {bytes} each");
        let most = u64::try_from(heard).expect("some megabytes");
        assert!(made <= most + most / 100, "{made} bytes made, {most} sent");
        let turn = (limits::TEXT_PER_TURN + limits::WRITE_BYTES + limits::PART_TEXT_MAX) as u64;
        let most = world.most.rendered;
        assert!(
            most <= turn,
            "{most} bytes made in one call, at most {turn}"
        );
        oracle::check(&mut world);
    }
}

/// All lines but that of whoever looks send what takes longest to look at: blocks that the chain has, full
/// of names, transactions that are signed, and questions whose answers are long.
#[test]
fn no_call_takes_long_however_many_lines_are_busy() {
    let (mut world, _) = with_block(2, long_names(60, 2_000));
    let known = new_block(&chain_of(&mut world, 0)[1]);
    let calls: Vec<usize> = (0..limits::PEERS - 2)
        .map(|_| call_ours(&mut world, 0))
        .collect();
    world.run(2_000);
    world.heaviest = 0;
    for (number, call) in calls.iter().enumerate() {
        let mut lines = known.repeat(3);
        for item in 0..40 {
            let name = format!("{ITEMS}{number}-{item}");
            lines.extend(new_transaction(&sign(Kind::Request, &name, 0.5)));
        }
        lines.extend(ASK);
        world.say(*call, &lines);
    }
    let told = world.says(0, "9\n", 20_000);
    assert!(told.contains("node key: "), "{told}");
    world.run(20_000);
    assert!(world.heaviest <= HEAVIEST, "{} us", world.heaviest);
    oracle::check(&mut world);
}

/// Somebody types at a console of the first host, whose user sits at another one.
fn type_at(world: &mut World, conn: ConnId, text: &str) {
    let node = world.hosts[0].node.as_mut().expect("it runs");
    node.rx_space(conn)[..text.len()].copy_from_slice(text.as_bytes());
    let count = text.len();
    world.tell(0, Event::Received { conn, count });
}

/// One says nothing, one half a question, one drips, and one asks whole questions, the last one with
/// half of another behind it.
#[test]
fn a_program_that_does_not_end_its_question_is_hung_up_on() {
    let mut world = star(3, 1);
    let all = [1, 2].map(|at| ConnId(CONSOLE.0 + at));
    let question = "{\"ask\":\"peers\"}\n";
    for (first, second) in [("", "{\"ask\""), (question, "{")] {
        world.let_go.clear();
        let kind = ConsoleKind::Socket;
        for conn in all {
            world.tell(0, Event::ConsoleOpened { conn, kind });
        }
        type_at(&mut world, all[1], second);
        for _ in 0..limits::CONTROL_LINE_MS / 500 - 1 {
            world.run(500);
            if first.is_empty() {
                type_at(&mut world, all[1], " ");
            } else {
                type_at(&mut world, all[0], first);
            }
        }
        assert!(world.let_go.is_empty());
        world.run(600);
        let late = if first.is_empty() {
            &all[..]
        } else {
            &all[1..]
        };
        assert_eq!(world.let_go, late);
        world.run(60_000);
        assert_eq!(world.let_go, late, "who has asked may think");
        let reason = None;
        all.iter().for_each(|conn| {
            world.tell(
                0,
                Event::Closed {
                    conn: *conn,
                    reason,
                },
            )
        });
        world.run(1_000);
    }
    let told = world.says(0, "9\n", 20_000);
    assert!(told.contains("node key: "), "{told}");
    oracle::check(&mut world);
}

/// What the first host's user is told of this.
fn told(world: &mut World, words: &str) -> String {
    let before = world.shown(0).len();
    world.type_in(0, &format!("{words}9\n"));
    let all = |world: &mut World| world.shown(0)[before..].contains("node key: ");
    assert!(world.run_until(60_000, all), "{words}");
    world.shown(0)[before..].to_owned()
}

#[test]
fn what_is_shown_of_an_odd_name_can_be_typed() {
    let odd = [
        "\u{1b}[2J",
        "\\u001b[2J",
        "a\u{61c}\u{200b}\u{2066}\u{e0041}\u{fe0f}",
        "a\\",
        "\u{3164},\t",
    ];
    let named = odd.map(|name| format!("{ITEMS}{name}"));
    let requests = named.iter().map(|name| sign(Kind::Request, name, 0.5));
    let (mut world, _) = with_block(4, requests.collect());
    let list = told(&mut world, "3\n");
    let shown = list.lines().filter_map(|line| line.strip_prefix("  "));
    let shown: Vec<&str> = shown.filter_map(|line| line.split("  ").next()).collect();
    assert_eq!(shown.len(), odd.len(), "{list}");
    for name in shown {
        let answer = told(&mut world, &format!("2\n{name}\n"));
        let done = format!("released {name}\n");
        assert!(answer.contains(&done), "{done}: {answer}");
    }
    assert!(told(&mut world, "3\n").contains("reserved items: 0\n"));
    let chain = Chain::of(&mut world, 0);
    let [_, available] = chain.replay();
    assert_eq!(available, named.into_iter().collect());
}

/// Blocks as fast as each is taken for itself, and then a hundred transactions with names of a kilobyte in
/// two seconds.
#[test]
fn events_that_come_faster_than_anybody_reads_are_counted() {
    const BLOCKS: u64 = 50;
    const ALONE: u64 = 100;
    let mut world = star(5, 1);
    let call = call_ours(&mut world, 0);
    let mut chain = chain_of(&mut world, 0);
    let (begun, before) = (world.now, world.shown(0).len());
    let name = |what: &str, number| format!("{ITEMS}{what}-{number}-{}", "x".repeat(1_000));
    for number in 0..BLOCKS {
        let request = sign(Kind::Request, &name("block", number), 0.5);
        let block = behind(&world, &chain, vec![request]);
        world.say(call, &new_block(&block));
        chain.push(block);
        world.run(limits::PACE_MS);
    }
    for number in 0..ALONE {
        let request = sign(Kind::Request, &name("alone", number), 0.5);
        world.say(call, &new_transaction(&request));
        world.run(20);
    }
    world.run(2_000);
    let shown = world.shown(0)[before..].to_owned();
    let seconds = (world.now - begun).div_ceil(limits::EVENTS_SECOND_MS);
    for (kind, all) in [
        ("\n[network 📦] received", BLOCKS),
        ("\n[network 📨] request", ALONE),
    ] {
        let count = shown.matches(kind).count() as u64;
        let most = seconds * u64::from(limits::EVENTS_PER_SECOND);
        assert!(count > 0 && count <= most && most < all, "{count}: {shown}");
    }
    assert!(shown.contains("[console] "), "{shown}");
    let last = format!("received and added block #{BLOCKS}\n");
    assert!(shown.contains(&last), "{shown}");
    assert!(shown.len() < 20_000, "{} bytes", shown.len());
}

/// A name of each large block: all of them are read for a list, some in each call.
#[test]
fn a_list_of_long_names_is_short_and_read_in_pieces() {
    const BLOCKS: usize = 24;
    let mut world = star(6, 1);
    world.capacity = 1 << 22;
    let call = call_ours(&mut world, 0);
    let mut chain = chain_of(&mut world, 0);
    for number in 0..BLOCKS {
        let name = format!("{ITEMS}{number}{}", "x".repeat(1_000_000));
        let block = behind(&world, &chain, vec![sign(Kind::Request, &name, 0.5)]);
        world.say(call, &new_block(&block));
        world.run(500);
        chain.push(block);
    }
    world.heaviest = 0;
    let list = told(&mut world, "3\n");
    let names = list.lines().filter(|line| line.contains("-more]"));
    assert_eq!(names.count(), BLOCKS, "{list}");
    assert!(list.len() < BLOCKS * 2 * limits::NAME_SHOWN, "{list}");
    assert!(world.heaviest <= HEAVIEST, "{} us", world.heaviest);
    oracle::check(&mut world);
}
