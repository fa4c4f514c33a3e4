//! Desktop nodes with credits (PROTOCOL.md section 6): what they say is known for what it is, and
//! neither taken nor held against them, and of our chain they hear nothing.

use blx::ledger::{Block, Kind};

use crate::oracle::{self, Chain};
use crate::peer::{
    ANNOUNCE, PING, answer, behind, call_desktop, chain_of, chain_response, grow, longer,
    new_block, new_transaction, sign,
};
use crate::stories::star;
use crate::world::World;

const QUESTION: &[u8] = b"{\"type\": \"request_chain\", \"payload\": {}}\n";
const NOTHING: &str = "{\"chain\": [], \"length\": 0}";
const GRANT: &str = "[{\"requester\": \"\", \"uid\": \"credits\", \"type\": 0, \"timestamp\": 1.5, \
                     \"amount\": 100, \"recipient\": \"\", \"signature\": \"GENESIS\"}]";
const WHAT: &str = "is a desktop node of release 0.0.2 or newer: its chain has credits";

/// A line with an amount in its last transaction.
fn with_amount(line: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8(line).expect("UTF-8");
    let at = text.rfind("\"uid\": ").expect("a transaction");
    format!("{}\"amount\": 10, {}", &text[..at], &text[at..]).into_bytes()
}

/// The line that tells of a chain of `length` blocks whose first one grants credits.
fn credits(world: &World, length: usize) -> Vec<u8> {
    let line = chain_response(&longer(world, Vec::new(), length));
    let text = String::from_utf8(line).expect("UTF-8");
    text.replacen("[]", GRANT, 1).into_bytes()
}

/// A connection of a desktop node with credits, whose chain is known.
fn call_newer(world: &mut World, host: usize) -> usize {
    let call = world.call(host);
    world.say(call, ANNOUNCE);
    world.run(100);
    world.say(call, &credits(world, 5));
    world.run(100);
    call
}

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

/// What a connection heard of a chain, a block or a transaction.
fn told(world: &mut World, call: usize) -> Vec<String> {
    let heard = world.heard(call);
    let words = ["\"chain_response\"", "\"new_block\"", "\"new_transaction\""];
    let lines = heard.lines().filter(|line| {
        let mut words = words.iter();
        words.any(|word| line.contains(word))
    });
    lines.map(str::to_owned).collect()
}

/// Time goes by for a connection that answers nothing.
fn wait(world: &mut World, call: usize, millis: u64) {
    for _ in 0..millis / 5_000 {
        world.say(call, PING);
        world.run(5_000);
    }
}

#[test]
fn whatever_it_says_is_told_once_and_taken_by_nobody() {
    let mut world = star(1, 2);
    world.type_in(0, "1\nkey\n");
    world.run(2_000);
    let ours = chain_of(&mut world, 0);
    let call = call_newer(&mut world, 0);
    for round in 0..10 {
        let request = |item: &str| sign(Kind::Request, item, f64::from(round));
        // On top of our chain, and on top of its own: what a console makes looks valid here.
        let plain = new_block(&behind(&world, &ours, vec![request("drill")]));
        let theirs = longer(&world, Vec::new(), 1);
        let loser = new_block(&behind(&world, &theirs, vec![request("axe")]));
        let far = new_block(&behind(
            &world,
            &longer(&world, theirs, 5),
            vec![request("saw")],
        ));
        for line in [&plain, &loser, &far] {
            world.say(call, line);
            world.say(call, &with_amount(line.clone()));
        }
        world.say(call, &new_transaction(&request("cup")));
        world.say(call, &with_amount(new_transaction(&request("cup"))));
        // What has an impossible value or a hash of its own is not invalid from there.
        world.say(
            call,
            &String::from_utf8_lossy(&far)
                .replace("\"nonce\": ", "\"nonce\": -9")
                .into_bytes(),
        );
        world.run(1_000);
    }
    assert!(!world.is_over(call), "no strikes");
    assert_eq!(count(&world.heard(call), "request_chain"), 1);
    world.type_in(1, "1\nlamp\n");
    world.run(20_000);
    assert!(chain_of(&mut world, 0).len() == ours.len() + 1);
    assert_eq!(
        Chain::of(&mut world, 0).replay().map(|names| names.len()),
        [2, 0]
    );
    assert_eq!(told(&mut world, call), Vec::<String>::new());

    world.type_in(0, "7\n8\n");
    world.run(1_000);
    let shown = world.shown(0);
    assert_eq!(count(&shown, "[network ⚠️] "), 1, "{shown}");
    let seen =
        "desktop of release 0.0.2 or newer, has credits: what is taken there is not seen here";
    assert!(shown.contains(seen), "{shown}");
    assert_eq!(
        count(&shown, WHAT),
        2,
        "as an event, and as the answer to 8: {shown}"
    );
    assert!(!shown.contains("❌"), "{shown}");
    assert!(!shown.contains("[network 📨]"), "{shown}");
    assert_eq!(count(&world.heard(call), "request_chain"), 1);

    // Each connection is told.
    let again = call_newer(&mut world, 0);
    let shown = world.shown(0);
    assert_eq!(count(&shown, "[network ⚠️] "), 2, "{shown}");
    world.cut(again);
    oracle::check(&mut world);
}

#[test]
fn a_question_waits_for_the_chain_of_who_asks() {
    let mut world = star(2, 1);
    world.type_in(0, "1\nkey\n");
    world.run(1_000);
    let chain = chain_of(&mut world, 0);
    let ours = chain_response(&chain).len();
    let is_all = |told: &[String]| told.len() == 1 && told[0].len() + 1 == ours;
    for question in [[ANNOUNCE, QUESTION], [QUESTION, PING]] {
        let ask = |world: &mut World| {
            let call = world.call(0);
            question.iter().for_each(|line| world.say(call, line));
            world.run(1_000);
            assert_eq!(told(world, call), Vec::<String>::new());
            call
        };
        let newer = ask(&mut world);
        world.say(newer, QUESTION);
        world.say(newer, &credits(&world, 3));
        world.run(100);
        let heard = told(&mut world, newer);
        assert!(heard.len() == 1 && heard[0].contains(NOTHING), "{heard:?}");
        world.say(newer, QUESTION);
        world.run(10_000);
        let heard = told(&mut world, newer);
        assert!(heard.len() == 2 && heard[1].contains(NOTHING), "{heard:?}");

        let silent = ask(&mut world);
        world.run(3_800);
        assert_eq!(told(&mut world, silent), Vec::<String>::new());
        world.run(400);
        assert!(is_all(&told(&mut world, silent)), "after 5 s");
        // It answers no ping, and might be the next one under another address.
        world.cut(silent);

        let old = ask(&mut world);
        world.say(old, &chain_response(&longer(&world, Vec::new(), 1)));
        world.run(100);
        assert!(is_all(&told(&mut world, old)), "its chain is known");
        world.cut(old);
    }
}

#[test]
fn who_asks_and_has_the_same_chain_is_told_so() {
    let mut world = star(6, 1);
    world.type_in(0, "1\nkey\n");
    world.run(1_000);
    let chain = chain_of(&mut world, 0);
    let call = call_desktop(&mut world, 0);
    world.say(call, QUESTION);
    world.say(call, &chain_response(&chain));
    world.run(1_000);
    let heard = told(&mut world, call);
    let same = "{\"chain\": [], \"length\": 2}";
    assert!(heard.len() == 1 && heard[0].contains(same), "{heard:?}");
}

#[test]
fn nothing_of_its_chain_is_salvaged() {
    let mut world = star(3, 2);
    world.type_in(0, "1\nkey\n");
    world.run(2_000);
    let ours = chain_of(&mut world, 0);
    let unlike = longer(&world, Vec::new(), 1);
    for base in [ours.clone(), unlike] {
        let mut chain = base;
        for item in ["drill", "saw", "axe"] {
            grow(&world, &mut chain, Some(item));
        }
        let call = world.call(0);
        world.say(call, ANNOUNCE);
        world.say(call, &with_amount(chain_response(&chain)));
        world.run(20_000);
        assert!(!world.is_over(call), "no strikes");
    }
    assert!(chain_of(&mut world, 0) == ours && chain_of(&mut world, 1) == ours);
    assert_eq!(count(&world.shown(0), "[network ⚠️] "), 2);
}

#[test]
fn who_takes_a_chain_without_credits_is_a_desktop_node_like_others() {
    let mut world = star(4, 1);
    let call = call_newer(&mut world, 0);
    wait(&mut world, call, 590_000);
    assert_eq!(count(&world.heard(call), "request_chain"), 1);
    wait(&mut world, call, 15_000);
    assert_eq!(
        count(&world.heard(call), "request_chain"),
        2,
        "every ten minutes"
    );
    // An empty answer shows nothing.
    world.say(
        call,
        b"{\"type\": \"chain_response\", \"payload\": {\"chain\": []}}\n",
    );
    world.type_in(0, "1\nkey\n");
    wait(&mut world, call, 10_000);
    assert_eq!(told(&mut world, call), Vec::<String>::new());

    let ours = chain_of(&mut world, 0);
    world.say(call, &chain_response(&ours));
    world.type_in(0, "1\nlamp\n");
    answer(&mut world, &[call], &ours, 2_000);
    let heard = told(&mut world, call);
    assert!(
        heard.iter().any(|line| line.contains("\"new_block\"")),
        "{heard:?}"
    );
    let mut theirs = chain_of(&mut world, 0);
    grow(&world, &mut theirs, Some("drill"));
    world.say(call, &new_block(&theirs[theirs.len() - 1]));
    world.run(2_000);
    let content = |chain: &[Block]| -> Vec<_> {
        let blocks = chain.iter();
        blocks.map(|block| block.transactions.clone()).collect()
    };
    assert!(content(&chain_of(&mut world, 0)) == content(&theirs));

    // Its user takes something there all the same.
    let before = told(&mut world, call).len();
    let request = sign(Kind::Request, "saw", 7.0);
    world.say(
        call,
        &with_amount(new_block(&behind(&world, &theirs, vec![request]))),
    );
    world.run(1_000);
    world.type_in(0, "1\ncup\n");
    wait(&mut world, call, 30_000);
    assert_eq!(told(&mut world, call).len(), before);
    assert_eq!(
        count(&world.shown(0), "[network ⚠️] "),
        1,
        "one line for a connection"
    );
    assert!(!world.is_over(call));
}

#[test]
fn a_chain_that_is_on_its_way_breaks_off() {
    let mut world = star(5, 1);
    let shared = chain_of(&mut world, 0);
    let chain = longer(&world, shared, 400);
    let call = world.call(0);
    world.say(call, &chain_response(&chain));
    world.run(5_000);
    assert!(chain_of(&mut world, 0).len() == 400);
    let slow = world.call(0);
    world.deafen(slow);
    world.say(slow, ANNOUNCE);
    world.say(slow, QUESTION);
    // It is answered after 5 s, and does not take much of that.
    world.run(6_000);
    world.say(slow, &credits(&world, 3));
    world.run(1_000);
    world.net.connections[slow].pipes[1].capacity = 1 << 20;
    world.run(10_000);
    let heard = told(&mut world, slow);
    assert!(
        heard.len() == 1 && heard[0].contains("{\"index\": 9, "),
        "{heard:?}"
    );
    assert!(!heard[0].contains("\"length\": 400"), "it has no end");
    assert!(!world.is_over(slow));
}

/// A desktop node that says a block, before anybody knows its chain: the world, our chain, and its
/// connection.
fn early(seed: u64) -> (World, Vec<Block>, usize) {
    let mut world = star(seed, 1);
    let ours = chain_of(&mut world, 0);
    let call = call_desktop(&mut world, 0);
    let block = behind(&world, &ours, vec![sign(Kind::Request, "saw", 0.5)]);
    world.say(call, &new_block(&block));
    (world, ours, call)
}

#[test]
fn a_block_that_comes_before_its_chain_waits_for_it() {
    for credits_follow in [true, false] {
        let (mut world, ours, call) = early(9);
        world.run(3_000);
        assert_eq!(chain_of(&mut world, 0).len(), 1, "nobody knows what it is");
        if credits_follow {
            world.say(call, &credits(&world, 5));
        } else {
            world.say(call, &chain_response(&ours));
        }
        world.run(3_000);
        let made = chain_of(&mut world, 0).len();
        assert_eq!(made, if credits_follow { 1 } else { 2 });
    }
}

#[test]
fn a_block_whose_node_never_tells_its_chain_counts() {
    for hangs_up in [true, false] {
        let (mut world, _, call) = early(10);
        world.run(1_000);
        if hangs_up {
            world.cut(call);
        }
        world.run(20_000);
        assert_eq!(chain_of(&mut world, 0).len(), 2, "hangs up: {hangs_up}");
    }
}
