//! Scripted runs: peers that lie, and disks that fail.

use crate::oracle::{self, Chain};
use crate::peer::{chain_of, chain_response, grow, longer, new_block, new_transaction, sign};
use crate::scenario::connect;
use crate::stories::star;
use blx::ledger::Kind;

#[test]
fn lines_that_are_mangled_anywhere_do_no_harm() {
    let mut world = star(1, 2);
    world.type_in(0, "5\na,b,c\n2\na\n");
    world.run(1_000);
    let ours = chain_of(&mut world, 0);
    let mut chain = longer(&world, ours, 6);
    grow(&world, &mut chain, Some("x\u{1f600}y"));
    let mut lines = vec![chain_response(&chain)];
    lines.extend(chain.iter().map(new_block));
    lines.extend(
        ["peer_announce", "peer_list", "request_chain", "ping"].map(|kind| {
            format!("{{\"type\": \"{kind}\", \"payload\": {{\"peers\": [\"a:1\"]}}}}\n")
                .into_bytes()
        }),
    );
    for _ in 0..400 {
        let call = world.call(0);
        for _ in 0..1 + world.random.below(3) {
            let mut line = lines[world.random.place(lines.len())].clone();
            for _ in 0..world.random.below(3) {
                let at = world.random.place(line.len());
                match world.random.below(4) {
                    0 => line[at] = world.random.next() as u8,
                    1 => line[at] ^= 1,
                    2 => drop(line.remove(at)),
                    _ => {
                        let to = at + world.random.place((line.len() - at).min(200));
                        let part = line[at..to].to_vec();
                        line.splice(at..at, part);
                    }
                }
            }
            world.say(call, &line);
        }
        let pause = world.random.below(100);
        world.run(pause);
        world.cut(call);
    }
    world.run(5_000);
    oracle::check(&mut world);
}

#[test]
fn a_node_whose_disk_fails_says_so_and_goes_on_serving() {
    for seed in 0..20 {
        let mut world = star(seed, 3);
        world.type_in(0, "1\na\n");
        world.run(500);
        let pause = world.random.below(200);
        world.type_in(1, "5\nb,c\n");
        world.run(pause);
        world.hosts[0].disk.set_broken(true);
        world.type_in(0, "1\nd\n");
        world.type_in(2, "1\ne\n");
        world.run(5_000);
        let shown = world.shown(0);
        assert!(!shown.contains("✅ requested d"), "{shown}");
        assert!(shown.contains("[store ❌]"), "{shown}");
        assert!(Chain::of(&mut world, 0).length() >= 2);
        // A new disk, the same content.
        world.stop(0, false);
        world.hosts[0].disk.set_broken(false);
        world.start(0);
        world.run(60_000);
        oracle::check(&mut world);
    }
}

#[test]
fn a_node_whose_disk_fails_costs_a_desktop_nothing() {
    for seed in 0..6 {
        let mut world = star(seed, 1);
        world.type_in(0, "1\na\n1\nb\n");
        world.run(500);
        world.hosts[0].disk.set_broken(true);
        world.type_in(0, "1\nd\n");
        let window = world.add_window();
        world.start(window);
        world.type_in(window, "1\nc\n");
        world.run(500);
        connect(&mut world, window, 0);
        // It asks every 30 s. Told our chain, which is longer, it would give up its own, of which
        // nothing can be taken here.
        world.run(100_000);
        assert!(world.shown(0).contains("[store ❌]"), "{seed}");
        assert!(world.linked(window, 0), "{seed}");
        assert!(world.desktop(window).items(true).contains("c"), "{seed}");
        world.stop(0, false);
        world.hosts[0].disk.set_broken(false);
        world.start(0);
        connect(&mut world, window, 0);
        world.run(30_000);
        oracle::check(&mut world);
        assert_eq!(world.desktop(window).items(true).len(), 3, "{seed}");
    }
}

#[test]
fn a_peer_that_asks_and_never_listens_harms_itself_only() {
    let mut world = star(2, 2);
    let call = world.call(0);
    world.deafen(call);
    for round in 0..300 {
        world.say(call, b"{\"type\": \"ping\", \"payload\": {}}\n");
        world.say(call, b"{\"type\": \"request_chain\", \"payload\": {}}\n");
        if round % 10 == 0 {
            world.type_in(1, &format!("1\nitem-{round}\n"));
        }
        world.run(50);
    }
    world.run(40_000);
    assert!(world.is_over(call));
    oracle::check(&mut world);
}

/// A world of two in which the first follows no more than 20 items and stages no more than 64 KiB.
fn small(seed: u64) -> crate::world::World {
    let mut world = star(seed, 2);
    world.stop(0, true);
    (world.hosts[0].items_max, world.hosts[0].staging_max) = (20, 64 << 10);
    world.start(0);
    world.run(2_000);
    world
}

fn told(world: &mut crate::world::World, text: &str) -> usize {
    world.shown(0).matches(text).count()
}

#[test]
fn a_chain_with_too_many_items_is_not_followed_and_its_peer_not_blamed() {
    for seed in 0..4 {
        let mut world = small(seed);
        let ours = chain_of(&mut world, 0);
        let mut chain = longer(&world, ours.clone(), 3);
        for item in 0..21 {
            grow(&world, &mut chain, Some(&format!("item-{item}")));
        }
        let call = world.call(0);
        for length in [chain.len(), chain.len() - 1, chain.len()] {
            world.say(call, &chain_response(&chain[..length]));
            world.run(2_000);
        }
        assert!(!world.is_over(call), "no strikes");
        assert_eq!(told(&mut world, "is not followed"), 1);
        assert_eq!(chain_of(&mut world, 0).len(), ours.len());
        // From somebody who has said nothing of the kind, up to the last item that fits.
        let other = world.call(0);
        world.say(other, &chain_response(&chain[..chain.len() - 1]));
        world.run(5_000);
        assert!(chain_of(&mut world, 0).len() >= chain.len() - 1);
        assert_eq!(told(&mut world, "is not followed"), 1);
        // Nor is one block more taken, nor a transaction, nor a request of the user.
        let more = world.call(0);
        let mut longer = chain_of(&mut world, 0);
        grow(&world, &mut longer, Some("one-more"));
        let block = new_block(longer.last().expect("a block"));
        for _ in 0..5 {
            world.say(more, &block);
            world.say(
                more,
                &new_transaction(&sign(Kind::Request, "two-more", 0.5)),
            );
        }
        world.type_in(0, "1\nthree-more\n");
        world.run(20_000);
        assert!(!world.is_over(more), "no strikes");
        let refused = "this node follows no chain of more than 20 items";
        assert!(told(&mut world, refused) >= 1, "{}", world.shown(0));
        let text = format!("{:?}", chain_of(&mut world, 0));
        assert!(!text.contains("-more"), "{text}");
        // What is there stays of use.
        world.type_in(0, "2\nitem-3\n");
        world.run(20_000);
        assert!(
            world.shown(0).contains("released item-3"),
            "{}",
            world.shown(0)
        );
    }
}

#[test]
fn a_chain_file_with_more_items_than_are_followed_opens_all_the_same() {
    let mut world = star(3, 1);
    let items: Vec<String> = (0..30).map(|item| format!("item-{item}")).collect();
    world.type_in(0, &format!("5\n{}\n", items.join(",")));
    world.run(20_000);
    let before = chain_of(&mut world, 0);
    world.stop(0, true);
    world.hosts[0].items_max = 20;
    world.start(0);
    world.run(1_000);
    assert_eq!(chain_of(&mut world, 0), before);
    assert!(
        world
            .shown(0)
            .contains("30 items, more than 20 (see --items-max)")
    );
    world.type_in(0, "2\nitem-7\n1\nitem-7\n1\nnew\n");
    world.run(20_000);
    let shown = world.shown(0);
    assert!(shown.contains("released item-7"), "{shown}");
    assert!(!shown.contains("requested new"), "{shown}");
    oracle::check(&mut world);
}

#[test]
fn a_chain_that_takes_too_much_of_the_disk_is_not_followed() {
    let mut world = small(5);
    let ours = chain_of(&mut world, 0);
    let mut chain = ours.clone();
    let name = "x".repeat(9_000);
    for item in 0..8 {
        grow(&world, &mut chain, Some(&format!("{name}{item}")));
    }
    let call = world.call(0);
    // It takes as much as may be staged, and 1 block more.
    world.say(call, &chain_response(&chain));
    world.run(5_000);
    assert!(!world.is_over(call), "no strikes");
    assert_eq!(told(&mut world, "takes more than 64 KiB"), 1);
    assert_eq!(chain_of(&mut world, 0).len(), ours.len());
    let other = world.call(0);
    world.say(other, &chain_response(&chain[..chain.len() - 1]));
    world.run(5_000);
    assert!(chain_of(&mut world, 0).len() >= chain.len() - 1);
    oracle::check(&mut world);
}
