//! Scripted runs: peers that lie, and disks that fail.

use crate::oracle::{self, Chain};
use crate::peer::{chain_of, chain_response, grow, longer, new_block};
use crate::stories::star;

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
