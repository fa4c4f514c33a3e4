//! Stories of ours beside desktop nodes: nobody presses 8, and nobody's request is lost.

use blx::node::{ConnId, Event};
use blx::store::disk::File;

use crate::oracle::{self, Chain};
use crate::peer::{PING, call_ours, chain_of, chain_response, grow, longer, new_block};
use crate::scenario::{agree, connect};
use crate::stories::star;
use crate::world::{Use, World};

/// Some of ours, and as the last host a desktop node that is connected to the first of them.
fn with_desktop(seed: u64, ours: usize) -> (World, usize) {
    let mut world = star(seed, ours);
    let desktop = world.add_desktop();
    world.start(desktop);
    connect(&mut world, desktop, 0);
    world.run(10_000);
    (world, desktop)
}

#[test]
fn a_desktop_that_is_behind_is_brought_up_and_nobody_presses_8() {
    for seed in 0..6 {
        let mut world = star(seed, 2);
        for item in 0..12 {
            world.type_in(1, &format!("1\nitem-{item}\n"));
            world.run(100);
        }
        let desktop = world.add_desktop();
        world.start(desktop);
        let (from, to) = match seed % 2 {
            0 => (desktop, 0),
            _ => (0, desktop),
        };
        connect(&mut world, from, to);
        world.run(500);
        agree(&mut world);
        oracle::check(&mut world);
        assert_eq!(world.desktop(desktop).items(true).len(), 12);
    }
}

#[test]
fn a_desktop_that_was_off_for_a_while_is_brought_up() {
    for seed in 0..6 {
        let (mut world, desktop) = with_desktop(seed, 2);
        world.type_in(desktop, "1\nladder\n");
        world.run(1_000);
        world.stop(desktop, seed % 2 == 0);
        world.type_in(0, "1\ndrill\n1\nsaw\n2\nladder\n");
        world.run(1_000);
        world.start(desktop);
        connect(&mut world, desktop, 1);
        world.run(500);
        agree(&mut world);
        oracle::check(&mut world);
        assert_eq!(world.desktop(desktop).items(true).len(), 2);
    }
}

#[test]
fn what_a_desktops_user_asks_is_everywhere_at_once() {
    let (mut world, desktop) = with_desktop(3, 3);
    world.type_in(desktop, "1\ndrill\n");
    world.run(2_000);
    for host in 0..3 {
        assert!(oracle::listed(&mut world, host, "3").contains("drill"));
    }
    world.type_in(2, "2\ndrill\n");
    world.run(2_000);
    assert!(world.desktop(desktop).items(false).contains("drill"));
    agree(&mut world);
    oracle::check(&mut world);
}

#[test]
fn two_desktops_with_one_of_ours_between_them_agree() {
    for seed in 0..4 {
        let (mut world, one) = with_desktop(seed, 1);
        let other = world.add_desktop();
        world.start(other);
        connect(&mut world, other, 0);
        world.run(10_000);
        for round in 0..10 {
            world.type_in(one, &format!("1\none-{round}\n"));
            world.type_in(other, &format!("1\nother-{round}\n"));
            let pause = world.random.below(3_000);
            world.run(pause);
        }
        agree(&mut world);
        oracle::check(&mut world);
        assert_eq!(world.desktop(one).items(true).len(), 20, "seed {seed}");
    }
}

#[test]
fn a_desktops_block_that_loses_is_made_again_by_ours() {
    for seed in 0..6 {
        let (mut world, desktop) = with_desktop(seed, 2);
        world.net.islands[desktop] = 1;
        world.type_in(desktop, "1\nsaw\n1\naxe\n2\nsaw\n");
        world.type_in(0, "1\na\n1\nb\n1\nc\n1\nd\n1\ne\n");
        world.run(2_000);
        world.net.islands[desktop] = 0;
        world.run(500);
        agree(&mut world);
        oracle::check(&mut world);
        let chain = Chain::of(&mut world, 0);
        for done in &world.desktop(desktop).done {
            assert_eq!(chain.count(done), 1, "seed {seed}: {done:?}");
        }
    }
}

#[test]
fn the_only_block_of_a_desktop_that_comes_with_a_chain_of_its_own_is_made_again() {
    for seed in 0..6 {
        let mut world = star(seed, 2);
        world.type_in(0, "1\na\n1\nb\n1\nc\n");
        let desktop = world.add_desktop();
        world.start(desktop);
        world.type_in(desktop, "1\nsaw\n");
        world.run(500);
        connect(&mut world, desktop, 1);
        world.run(500);
        agree(&mut world);
        oracle::check(&mut world);
        let done = world.desktop(desktop).done.clone();
        assert_eq!(Chain::of(&mut world, 0).count(&done[0]), 1, "seed {seed}");
    }
}

#[test]
fn ours_take_the_longer_chain_of_a_desktop_and_lose_nothing_of_their_own() {
    for seed in 0..6 {
        let mut world = star(seed, 2);
        world.type_in(0, "1\ndrill\n");
        world.type_in(1, "1\nsaw\n");
        let desktop = world.add_desktop();
        world.start(desktop);
        for item in 0..9 {
            world.type_in(desktop, &format!("1\nitem-{item}\n"));
        }
        world.run(1_000);
        connect(&mut world, 0, desktop);
        world.run(500);
        agree(&mut world);
        oracle::check(&mut world);
        assert_eq!(world.desktop(desktop).items(true).len(), 11, "seed {seed}");
    }
}

#[test]
fn a_desktop_is_told_the_whole_chain_unasked_once_in_five_seconds() {
    let mut world = star(7, 1);
    world.type_in(0, "5\na,b\n1\nc\n");
    world.run(500);
    let call = world.call(0);
    let mut behind = longer(&world, Vec::new(), 1);
    grow(&world, &mut behind, Some("saw"));
    let behind = chain_response(&behind);
    for _ in 0..20 {
        world.say(call, &behind);
        world.run(500);
    }
    let told = world.heard(call).matches("\"chain_response\"").count();
    assert!((1..=3).contains(&told), "{told} times in ten seconds");
    world.cut(call);
    oracle::check(&mut world);
}

#[test]
fn a_desktop_that_goes_in_the_middle_of_its_chain_is_no_hindrance() {
    for seed in 0..6 {
        let mut world = World::new(seed);
        world.capacity = 2_048;
        world.add(&[]);
        let desktop = world.add_desktop();
        world.start(desktop);
        for item in 0..60 {
            world.type_in(desktop, &format!("1\nitem-{item}\n"));
        }
        world.run(4_000);
        world.start(0);
        world.type_in(0, "1\ndrill\n");
        world.run(100);
        connect(&mut world, 0, desktop);
        let linked = |world: &mut World| world.linked(0, desktop);
        assert!(world.run_until(1_000, linked));
        let steps = 30 + world.random.below(60);
        world.run_steps(steps);
        world.stop(desktop, world.now.is_multiple_of(2));
        assert!(world.hosts[0].disk.live(File::Chain).len() < 2_000);
        let other = world.add(&[0]);
        world.start(other);
        world.run(2_000);
        world.type_in(other, "1\nsaw\n");
        world.run(2_000);
        for host in [0, other] {
            let reserved = oracle::listed(&mut world, host, "3");
            assert_eq!(reserved.len(), 2, "seed {seed}: {reserved:?}");
        }
        world.start(desktop);
        connect(&mut world, desktop, other);
        world.run(3_000);
        agree(&mut world);
        oracle::check(&mut world);
        assert_eq!(world.desktop(desktop).items(true).len(), 62);
    }
}

#[test]
fn a_desktop_between_two_of_ours_has_what_they_have_whoever_was_first() {
    for seed in 0..100 {
        let (mut world, desktop) = with_desktop(seed, 2);
        connect(&mut world, desktop, 1);
        world.run(1_000);
        for round in 0..3 {
            for host in [0, 1, desktop] {
                let count = world.random.below(3);
                for item in 0..count {
                    world.type_in(host, &format!("1\nitem-{host}-{round}-{item}\n"));
                }
            }
            let pause = world.random.below(4 * world.delay);
            world.run(pause);
        }
        agree(&mut world);
        oracle::check(&mut world);
    }
}

#[test]
fn a_desktop_is_brought_up_that_was_told_the_chain_just_before_a_reorg() {
    for seed in 0..20 {
        let mut world = star(seed, 1);
        world.type_in(0, "1\nsaw\n1\naxe\n");
        world.run(1_000);
        let call = world.call(0);
        world.say(call, PING);
        world.run(1_000);
        let desktop = world.add_desktop();
        world.start(desktop);
        world.type_in(desktop, "1\nfile\n");
        world.run(1_000);
        let wire = world.net.connections.len();
        connect(&mut world, desktop, 0);
        let conn_of = |world: &World, connection: usize| {
            let is_it = |used: &Use| matches!(used, Use::Open(number, _) if *number == connection);
            let conn = world.hosts[0].conns.iter().position(is_it)?;
            Some(ConnId(conn as u8))
        };
        let told = world.run_until(10_000, |world| {
            let node = world.hosts[0].node.as_ref().expect("it runs");
            let pending = conn_of(world, wire).map(|conn| node.tx_pending(conn));
            let text = String::from_utf8_lossy(pending.unwrap_or_default());
            text.contains("\"length\": 3}, \"sender\"")
        });
        assert!(told, "{seed}");
        // All of it comes at once, before the node has looked at anything else.
        let mut other = longer(&world, Vec::new(), 1);
        grow(&world, &mut other, Some("drill"));
        let other = chain_response(&longer(&world, other, 5));
        let conn = conn_of(&world, call).expect("it is open");
        let node = world.hosts[0].node.as_mut().expect("it runs");
        let count = other.len();
        node.rx_space(conn)[..count].copy_from_slice(&other);
        world.tell(0, Event::Received { conn, count });
        agree(&mut world);
        oracle::check(&mut world);
        assert_eq!(world.desktop(desktop).items(true).len(), 4, "{seed}");
    }
}

#[test]
fn a_desktop_that_comes_back_while_two_branches_meet_has_what_ours_agree_on() {
    for seed in 0..60 {
        let (mut world, desktop) = with_desktop(seed, 2);
        world.type_in(0, "1\nbase\n");
        world.run(1_000);
        world.stop(desktop, false);
        world.net.islands[1] = 1;
        for host in [0, 1] {
            for item in 0..1 + world.random.below(4) {
                world.type_in(host, &format!("1\nitem-{host}-{item}\n"));
            }
        }
        world.run(60_000);
        // Both of ours see that it lacks the last blocks, each those of its own branch.
        world.start(desktop);
        for host in [0, 1] {
            connect(&mut world, desktop, host);
        }
        let pause = world.random.below(4 * world.delay);
        world.run(pause);
        world.net.islands.fill(0);
        world.run(60_000);
        agree(&mut world);
        oracle::check(&mut world);
    }
}

#[test]
fn a_desktop_makes_each_block_again_and_ours_keep_their_own() {
    for seed in 0..20 {
        let (mut world, desktop) = with_desktop(seed, 2);
        world.type_in(0, "1\nsaw\n1\naxe\n");
        world.run(1_000);
        let before = chain_of(&mut world, 1);
        world.stop(1, false);
        world.type_in(desktop, "1\ndrill\n");
        world.run(1_000);
        world.start(1);
        world.run(20_000);
        let chain = chain_of(&mut world, 1);
        assert_eq!(chain.len(), before.len() + 1, "{seed}");
        assert!(chain.starts_with(&before), "{seed}: no other branch");
        // The same in each, and made by whoever has it.
        let theirs = world.file(desktop);
        assert_eq!(theirs.len(), chain.len(), "{seed}");
        for (its, ours) in theirs.iter().zip(&chain).skip(1) {
            assert_eq!(its.transactions, ours.transactions, "{seed}");
            assert_ne!(its.hash, ours.hash, "{seed}: made again");
        }
        agree(&mut world);
        oracle::check(&mut world);
    }
}

#[test]
fn an_empty_block_of_ours_is_told_to_a_desktop_that_is_in_step() {
    let (mut world, desktop) = with_desktop(1, 1);
    world.type_in(0, "1\nsaw\n");
    world.run(1_000);
    assert!(world.shown(desktop).contains("added block #1"), "in step");
    let mut chain = chain_of(&mut world, 0);
    grow(&world, &mut chain, None);
    let call = call_ours(&mut world, 0);
    world.say(call, &new_block(&chain[2]));
    world.run(1_000);
    assert_eq!(chain_of(&mut world, 0), chain);
    let theirs = world.file(desktop);
    assert_eq!(theirs.len(), 3);
    assert!(theirs[2].transactions.is_empty());
    world.cut(call);
    oracle::check(&mut world);
}

#[test]
fn a_desktop_with_something_else_hears_of_an_empty_block_with_the_whole_chain() {
    for seed in 0..6 {
        let mut world = star(seed, 1);
        let desktop = world.add_desktop();
        world.start(desktop);
        for host in [0, desktop] {
            world.type_in(host, "1\nsaw\n");
        }
        world.run(1_000);
        // Equally long, and what it has is possible nowhere else: told alone, a block would make its
        // chain as long as ours again.
        connect(&mut world, desktop, 0);
        world.run(20_000);
        assert!(chain_of(&mut world, 0)[2].transactions.is_empty());
        let shown = world.shown(desktop);
        assert!(shown.contains("adopted longer chain (3 blocks)"), "{shown}");
        assert!(!shown.contains("added block #"), "{shown}");
        agree(&mut world);
        oracle::check(&mut world);
    }
}
