//! Damage that is found while the node runs, without a node around it.

use super::*;
use crate::ledger::{Kind, Signature, Transaction};
use crate::node::effects::Notice;
use crate::node::effects::testing::{sign, who};
use crate::node::event::ConnId;
use crate::node::peer::{self, Peer};
use crate::store::disk::File;
use crate::store::disk::memory::MemoryDisk;
use crate::store::repair::Filled;
use Kind::Request;

const EVERY: Millis = Millis(1_000_000);

/// The monitor, and as much of a node as drives it.
struct World {
    cx: Cx<MemoryDisk>,
    peers: Peers,
    monitor: Monitor,
    /// Something of our own waits; no other chain is looked at; there is somebody to dial.
    beside: Surroundings,
    /// Disconnected transactions wait outside of memory.
    outside: bool,
}

impl World {
    fn new() -> World {
        let cx = Cx::on(MemoryDisk::default(), 0);
        World {
            monitor: Monitor::new(cx.now.mono, Some(EVERY)),
            cx,
            peers: Peers::default(),
            beside: Surroundings {
                free: true,
                ..Surroundings::default()
            },
            outside: false,
        }
    }

    /// One whose chain has these blocks behind its first one, so far apart that no two of them are
    /// read at once.
    fn long(blocks: usize) -> (World, Vec<(usize, Block)>) {
        let mut world = World::new();
        let mut all = Vec::new();
        for number in 0..blocks {
            let start = world.cx.chain.disk().live(File::Chain).len();
            let name = format!("{number}{}", "x".repeat(2 * limits::FILE_READ_BYTES));
            let block = world.cx.append(vec![sign(2, Request, &name, 1)]);
            all.push((start, block));
        }
        (world, all)
    }

    fn flip(&mut self, start: usize) {
        // What was read before is not kept beside this.
        let last = self.cx.chain.tip().length - 1;
        self.cx.chain.read(0).expect("reads");
        self.cx.chain.read(last).expect("reads");
        self.cx.chain.disk().live(File::Chain)[start + 40] ^= 1;
    }

    /// One whose chain has a hole where its second block was.
    fn with_hole() -> (World, Vec<Block>) {
        let (mut world, blocks) = World::long(3);
        world.flip(blocks[1].0);
        world.cx.chain.read(2).expect_err("damaged");
        world.connect();
        assert!(world.tend());
        assert_eq!(
            (world.cx.chain.hole(), world.cx.chain.tip().length),
            (Some(4), 2)
        );
        world.peers.free(0);
        world.words();
        (world, blocks.into_iter().map(|(_, block)| block).collect())
    }

    fn connect(&mut self) {
        let remote = ([10, 0, 0, 1], 6000).into();
        let mut peer = Peer::new(self.cx.now.mono, remote, true);
        peer.kind = peer::Kind::Ours(Some(who(1)));
        peer.no_help = true;
        self.peers.open(ConnId::of_peer(0), peer);
    }

    fn is_asked(&self) -> bool {
        let peer = self.peers.get(0).expect("it is connected");
        assert_eq!(peer.no_help, peer.asked.is_none());
        peer.asked.is_some()
    }

    fn tend(&mut self) -> bool {
        self.monitor
            .tend(&mut self.cx, &mut self.peers, self.beside)
    }

    /// One call of a node; true if it would call again at once.
    fn turn(&mut self) -> bool {
        self.cx.effects.busy = false;
        self.tend();
        self.cx.effects.busy || self.monitor.upkeep(&mut self.cx, self.outside)
    }

    fn due(&self) -> Option<Millis> {
        self.monitor.due(&self.cx, self.beside.waits)
    }

    /// Calls until nothing is to be done now, each so many milliseconds long; what is left lies in the
    /// future.
    fn rest(&mut self, millis: u64) {
        for _ in 0..1_000 {
            let busy = self.turn();
            let now = self.cx.now.mono;
            if !busy && self.due().is_none_or(|due| due > now) {
                return;
            }
            self.cx.pass(millis);
        }
        panic!("it never rests");
    }

    /// Lets this many milliseconds go by, and wakes only when something is due.
    fn live(&mut self, millis: u64) {
        let end = Millis(self.cx.now.mono.0 + millis);
        loop {
            self.rest(0);
            let next = self.due().filter(|due| *due <= end).unwrap_or(end);
            self.cx.pass(next.0 - self.cx.now.mono.0);
            if next == end {
                return;
            }
        }
    }

    fn words(&mut self) -> Vec<String> {
        let text = |word| match word {
            Notice::Alert(text) => text,
            other => panic!("{other:?}"),
        };
        self.cx.words().into_iter().map(text).collect()
    }
}

#[test]
fn a_pass_finds_a_flipped_bit_and_says_so_once() {
    let (mut world, blocks) = World::long(3);
    world.flip(blocks[1].0);
    world.live(limits::SCRUB_FIRST_MS - 1);
    assert_eq!((world.words(), world.cx.chain.damaged()), (vec![], None));
    world.live(limits::SCRUB_FIRST_MS);
    assert_eq!(world.cx.chain.damaged(), Some(2));
    let told = "[monitor ⚠️] corruption detected at block 2 -- repairing...";
    assert_eq!(world.words(), [told]);
    let damage = world.monitor.damage(&world.cx);
    assert_eq!(damage.as_deref(), Some("block 2 cannot be read"));
    world.live(3 * EVERY.0);
    assert_eq!(world.words(), [""; 0]);
    assert_eq!(world.cx.chain.verified(), None, "not while it is damaged");
}

#[test]
fn a_pass_finds_a_wrong_signature_and_says_so_once() {
    let mut world = World::new();
    let forged = Transaction {
        signature: Signature::from_halves([1; 32], [1; 32]),
        ..sign(2, Request, "a", 1)
    };
    world.cx.append(vec![sign(2, Request, "b", 1), forged]);
    world.cx.append(vec![sign(2, Request, "c", 1)]);
    world.live(EVERY.0);
    let why = "block 1 is invalid: the signature of a is wrong";
    let told = format!("[monitor ⚠️] corruption detected: {why}.");
    assert_eq!(world.words(), [told]);
    assert_eq!(world.monitor.damage(&world.cx).as_deref(), Some(why));
}

#[test]
fn a_pass_over_a_sound_chain_is_noted_and_the_next_one_comes_so_long_after_it_began() {
    let mut world = World::new();
    (0..5).for_each(|_| drop(world.cx.append(vec![])));
    let began = Millis(world.cx.now.mono.0 + limits::SCRUB_FIRST_MS);
    assert_eq!(world.due(), Some(began));
    let never = "verified: 6 blocks when they came, not yet again from disk";
    assert_eq!(world.monitor.scrub_report(&world.cx), never);
    world.live(limits::SCRUB_FIRST_MS + 10_000);
    assert_eq!(world.due(), Some(Millis(began.0 + EVERY.0)));
    let verified = world.cx.chain.verified().expect("it is noted");
    assert_eq!(verified.length, 6);
    assert_eq!(
        (world.words(), world.monitor.damage(&world.cx)),
        (vec![], None)
    );
    let mut off = World::new();
    off.monitor = Monitor::new(off.cx.now.mono, None);
    off.live(10 * EVERY.0);
    assert_eq!((off.due(), off.cx.chain.verified()), (None, None));
}

#[test]
fn slices_grow_and_shrink_with_the_time_they_took_and_it_rests_a_hundred_times_as_long() {
    let mut world = World::new();
    (0..600).for_each(|_| drop(world.cx.append(vec![])));
    world.cx.pass(limits::SCRUB_FIRST_MS);
    let mut slice = |took: u64| {
        let before = world.monitor.next;
        assert!(world.turn(), "the time it took is seen in the next turn");
        let count = world.monitor.next - before;
        world.cx.pass(took);
        assert!(!world.turn());
        let now = world.cx.now.mono;
        let rest = Millis(now.0 + took.max(1) * limits::SCRUB_REST);
        assert_eq!(world.due(), Some(rest));
        world.cx.pass(rest.0 - now.0);
        count
    };
    let grows = [0, 0, 2, 2, 2, 2, 0, 0].map(&mut slice);
    assert_eq!(grows, [1, 2, 4, 8, 16, 32, 64, 64]);
    let shrinks = [limits::SCRUB_SLICE_MS, 3, 6, 100, 6, 0].map(&mut slice);
    assert_eq!(shrinks, [64, 64, 64, 32, 16, 8]);
}

#[test]
fn a_reorg_under_a_pass_begins_it_anew() {
    let mut world = World::new();
    (0..8).for_each(|_| drop(world.cx.append(vec![])));
    world.cx.pass(limits::SCRUB_FIRST_MS);
    while world.monitor.next < 3 {
        world.turn();
        world.cx.pass(limits::SCRUB_REST);
    }
    world.cx.reorg(1, vec![vec![]; 19]);
    let reached = world.monitor.next;
    while world.monitor.next == reached {
        world.turn();
        world.cx.pass(limits::SCRUB_REST);
    }
    assert_eq!((world.monitor.next, world.cx.chain.verified()), (0, None));
    world.live(20_000);
    let verified = world.cx.chain.verified().expect("it is noted");
    assert_eq!((verified.length, world.words()), (20, vec![]));
}

#[test]
fn damage_is_read_again_and_asked_for_where_somebody_is_there() {
    let (mut world, blocks) = World::long(3);
    world.flip(blocks[1].0);
    world.cx.chain.read(2).expect_err("damaged");
    assert_eq!(world.due(), Some(world.cx.now.mono), "the user is to know");
    assert!(
        !world.tend() && world.cx.chain.hole().is_none(),
        "nobody is there"
    );
    assert_eq!(world.words().len(), 1);
    world.connect();
    world.beside.free = false;
    assert!(
        !world.tend() && !world.is_asked(),
        "another chain is staged"
    );
    world.beside.free = true;
    assert!(world.tend() && world.is_asked());
    assert_eq!(
        (world.cx.chain.hole(), world.cx.chain.damaged()),
        (Some(4), None)
    );
    let damage = world.monitor.damage(&world.cx).expect("a hole");
    assert!(damage.contains("up to block 3 is kept"), "{damage}");
    assert!(!world.tend(), "once");
    world.rest(1);
    world.cx.chain.begin_filling();
    assert_eq!(world.cx.chain.fill_hole(&blocks[1].1), Ok(Filled::Done));
    world.monitor.repaired(&mut world.cx);
    assert_eq!(world.words(), ["[monitor ✅] repair completed."]);
    assert_eq!(world.cx.chain.tip().length, 4);
    assert_eq!(world.monitor.damage(&world.cx), None);
}

#[test]
fn damage_behind_which_nothing_is_sound_is_cut_and_asked_for() {
    let (mut world, blocks) = World::long(2);
    world.cx.chain.read(0).expect("reads");
    world.cx.chain.disk().live(File::Chain)[blocks[1].0 + 40] ^= 1;
    world.cx.chain.read(2).expect_err("damaged");
    world.connect();
    assert!(world.tend() && world.is_asked());
    assert_eq!(
        (world.cx.chain.hole(), world.cx.chain.tip().length),
        (None, 2)
    );
    let words = world.words();
    assert_eq!(
        words[0],
        "[monitor ⚠️] corruption detected at block 2 -- repairing..."
    );
    assert!(
        words[1].starts_with("[monitor ❌] the chain file ended in damaged bytes"),
        "{words:?}"
    );
    assert_eq!(words.len(), 2, "it is not repaired");
    world.cx.append(vec![]);
}

#[test]
fn a_hole_is_given_up_at_once_where_nobody_can_help_and_something_of_our_own_waits() {
    let (mut world, _) = World::with_hole();
    world.live(10 * limits::HOLE_WAIT_MS);
    assert_eq!(world.cx.chain.hole(), Some(4), "nothing waits");
    world.beside.waits = true;
    assert_eq!(world.due(), Some(world.cx.now.mono));
    assert!(world.tend() && world.cx.chain.hole().is_none());
    let told = "[monitor ❌] nobody had block 2: what can be read behind it is made again, and all of it is kept as ";
    let words = world.words();
    assert!(words.len() == 1 && words[0].starts_with(told), "{words:?}");
    assert_eq!(world.cx.chain.disk().aside.len(), 1);
    world.rest(0);
    let start = world.cx.chain.disk().live(File::Chain).len();
    for name in ["y", "z"] {
        let name = name.repeat(2 * limits::FILE_READ_BYTES);
        world.cx.append(vec![sign(2, Request, &name, 1)]);
    }
    world.flip(start);
    world.cx.chain.read(2).expect_err("damaged");
    world.tend();
    let told = "[monitor ⚠️] corruption detected at block 2 -- repairing...";
    assert_eq!(world.words(), [told], "it is other damage");
}

#[test]
fn a_hole_is_given_up_after_its_patience_where_somebody_may_help() {
    for connected in [true, false] {
        let (mut world, _) = World::with_hole();
        world.beside.calls = !connected;
        if connected {
            world.connect();
        }
        world.beside.waits = true;
        let until = Millis(world.cx.now.mono.0 + limits::HOLE_WAIT_MS);
        assert!(!world.tend());
        assert_eq!(world.due(), Some(until));
        world.live(limits::HOLE_WAIT_MS - 1);
        assert_eq!(world.cx.chain.hole(), Some(4));
        world.cx.pass(1);
        assert!(world.tend() && world.cx.chain.hole().is_none());
    }
}

#[test]
fn patience_begins_anew_when_nothing_waited_meanwhile() {
    let (mut world, _) = World::with_hole();
    (world.beside.calls, world.beside.waits) = (true, true);
    world.live(limits::HOLE_WAIT_MS - 1);
    world.beside.waits = false;
    world.live(limits::HOLE_WAIT_MS);
    world.beside.waits = true;
    world.live(limits::HOLE_WAIT_MS - 1);
    assert_eq!(world.cx.chain.hole(), Some(4));
    world.live(2);
    assert_eq!(world.cx.chain.hole(), None);
}

#[test]
fn nothing_is_due_while_the_node_ends() {
    let (mut world, _) = World::with_hole();
    world.beside.waits = true;
    world.cx.ending = Some(Millis(u64::MAX));
    assert_eq!(world.due(), None);
}

/// A chain file of which more than half is stale.
fn mostly_stale() -> World {
    let (mut world, _) = World::long(2);
    world.cx.reorg(1, vec![vec![]; 3]);
    assert!(world.cx.chain.wants_compaction());
    world
}

#[test]
fn the_file_is_compacted_only_when_nothing_in_it_waits_outside() {
    let mut world = mostly_stale();
    let before = world.cx.chain.bytes();
    world.outside = true;
    world.rest(1);
    assert_eq!(world.cx.chain.bytes(), before);
    world.outside = false;
    world.rest(1);
    assert!(world.cx.chain.bytes() < before / 10);
    assert_eq!((world.words(), world.cx.chain.stale_bytes()), (vec![], 0));
}

#[test]
fn a_file_that_cannot_be_compacted_is_told_once_and_left_as_it_is() {
    let mut world = mostly_stale();
    let before = world.cx.chain.bytes();
    world.cx.chain.disk().room = Some(10);
    world.rest(1);
    world.live(EVERY.0);
    let words = world.words();
    assert_eq!(words.len(), 1, "{words:?}");
    assert!(words[0].ends_with("the chain file is not compacted in this run."));
    assert_eq!(world.cx.chain.bytes(), before);
}

#[test]
fn a_hole_that_cannot_be_given_up_is_told_once_and_the_node_rests() {
    let (mut world, blocks) = World::with_hole();
    world.cx.chain.begin_filling();
    world.cx.chain.disk().sync_fails = true;
    world
        .cx
        .chain
        .fill_hole(&blocks[1])
        .expect_err("the disk fails");
    world.beside.waits = true;
    for _ in 0..5 {
        world.turn();
    }
    let now = world.cx.now.mono;
    assert!(world.words().len() <= 1);
    assert!(world.due().is_none_or(|due| due > now));
}

#[test]
fn what_was_wrong_with_a_block_is_forgotten_when_it_is_in_the_chain_no_more() {
    let mut world = World::new();
    let forged = Transaction {
        signature: Signature::from_halves([1; 32], [1; 32]),
        ..sign(2, Request, "a", 1)
    };
    world.cx.append(vec![forged]);
    world.live(EVERY.0);
    assert!(world.monitor.damage(&world.cx).is_some());
    assert!(world.cx.chain.verified().is_none());
    world.cx.reorg(1, vec![vec![]; 2]);
    world.live(2 * EVERY.0);
    assert_eq!(world.cx.chain.verified().map(|it| it.length), Some(3));
    assert_eq!(world.monitor.damage(&world.cx), None);
}
