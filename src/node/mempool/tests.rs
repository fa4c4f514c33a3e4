//! What waits for a block, and the blocks that are made of it, without a node around them.

use super::admission::Admitted;
use super::*;
use crate::ledger::{Block, Kind, Uid, Work};
use crate::node::answer::{Answer, menu_name};
use crate::node::effects::Notice;
use crate::node::effects::testing::{key, sign};
use crate::store::disk::File;
use crate::store::disk::memory::MemoryDisk;
use Kind::{Release, Request};
use assembly::Made;

/// Our user.
pub(super) const OWN: u8 = 1;
const ASKER: Option<SessionId> = Some(SessionId(7));

/// A mempool, and as much of a node as drives one.
pub(super) struct World {
    pub cx: Cx<MemoryDisk>,
    pub mempool: Mempool,
    /// Until then a longer chain comes in.
    pub ahead: Option<Millis>,
}

/// What one call of a node did.
#[derive(Default)]
pub(super) struct Done {
    pub admitted: Option<Admitted>,
    pub made: Option<Made>,
}

impl World {
    pub fn new() -> World {
        World::on(MemoryDisk::default(), 0, false)
    }

    pub fn on(disk: MemoryDisk, difficulty: u8, drops: bool) -> World {
        let mut cx = Cx::on(disk, difficulty);
        let (now, of) = (cx.now.mono, (key(OWN), drops));
        let mut notices = Vec::new();
        let mempool = Mempool::open(cx.chain.disk(), now, of, &mut notices);
        assert!(notices.is_empty(), "{notices:?}");
        World {
            cx,
            mempool,
            ahead: None,
        }
    }

    /// The same after a restart.
    pub fn restarted(mut self) -> World {
        self.mempool.save(&mut self.cx);
        World::on(self.cx.chain.disk().clone(), 0, self.mempool.drops)
    }

    pub fn request(&mut self, request: &[Transaction]) {
        self.mempool.check(&self.cx, request).expect("possible");
        self.mempool
            .add_request(self.cx.now.mono, ASKER, request.to_vec());
    }

    /// Something of others that a losing chain had waits, without being looked for.
    pub fn other(&mut self, transaction: Transaction) {
        let due = self.cx.delayed();
        let batch = Batch::new(vec![transaction], BatchOrigin::Other, due);
        self.mempool.queue.add(batch).expect("added");
    }

    /// Something that our user was told to be done waits again.
    pub fn own(&mut self, transaction: Transaction) {
        let batch = Batch::new(vec![transaction], BatchOrigin::Own, self.cx.now.mono);
        self.mempool.queue.add(batch).expect("added");
    }

    /// Somebody's block comes.
    pub fn comes(&mut self, transactions: &[Transaction]) {
        let block = self.cx.append(transactions.to_vec());
        self.mempool.confirmed(&mut self.cx, &block);
        self.mempool.making = None;
        self.mempool.tip_changed(&mut self.cx);
    }

    pub fn wants_block(&self) -> bool {
        self.cx.may_append() && self.mempool.wants_block(&self.cx, self.ahead)
    }

    pub fn due(&self) -> Option<Millis> {
        self.mempool.due(&self.cx, self.ahead)
    }

    /// One call of a node; `busy` says afterwards whether it would call again at once.
    pub fn turn(&mut self) -> Done {
        let now = self.cx.now.mono;
        self.ahead = self.ahead.filter(|until| now < *until);
        if self.mempool.making.is_none() {
            self.mempool.queue.expire(now);
        }
        let mut done = Done::default();
        self.cx.effects.busy = self.mempool.looks_up();
        if self.mempool.looks_up() {
            done.admitted = self.mempool.look_up(&mut self.cx);
        }
        self.cx.effects.busy |= self.mempool.restore_some(&mut self.cx);
        if self.wants_block() {
            done.made = self.mempool.make(&mut self.cx, self.ahead);
        }
        if done.made.is_some() {
            self.mempool.tip_changed(&mut self.cx);
        }
        self.cx.effects.busy |= self.wants_block();
        self.mempool.save(&mut self.cx);
        done
    }

    /// Calls until nothing is to be done now, and what is left lies in the future.
    pub fn rest(&mut self) -> Vec<Done> {
        let mut all = Vec::new();
        for _ in 0..5_000 {
            all.push(self.turn());
            if !self.cx.effects.busy {
                let now = self.cx.now.mono;
                let due = self.due();
                assert!(due.is_none_or(|due| due > now), "{due:?} at {now:?}");
                return all;
            }
        }
        panic!("it never rests");
    }

    /// Lets this many milliseconds go by, and wakes only when something is due; returns how often.
    pub fn live(&mut self, millis: u64) -> usize {
        let end = Millis(self.cx.now.mono.0 + millis);
        let mut woken = 0;
        loop {
            self.rest();
            let next = self.due().filter(|due| *due <= end).unwrap_or(end);
            self.cx.pass(next.0 - self.cx.now.mono.0);
            if next == end {
                return woken;
            }
            woken += 1;
        }
    }

    /// What the chain's blocks have, from this height on.
    pub fn blocks(&mut self, from: u64) -> Vec<Vec<Transaction>> {
        let heights = from..self.cx.chain.tip().length;
        let read = |height| self.cx.chain.read(height).expect("reads");
        heights
            .map(read)
            .map(|stored| stored.block.transactions)
            .collect()
    }

    pub fn holds(&self, name: &str) -> bool {
        let state = self.cx.chain.items().get(&name.into());
        state.is_some_and(|state| state.reserved)
    }

    pub fn waiting(&self) -> Vec<Transaction> {
        let all = self.mempool.queue.iter();
        all.flat_map(|batch| batch.transactions.clone()).collect()
    }
}

pub(super) fn event(text: impl Into<String>) -> Notice {
    Notice::Event(text.into())
}

pub(super) fn alert(text: impl Into<String>) -> Notice {
    Notice::Alert(text.into())
}

fn refused(text: &str) -> Notice {
    Notice::Answer(ASKER, Answer::Refused(text.into()))
}

fn refused_program(text: &str) -> Notice {
    Notice::AnswerProgram(ASKER, Answer::Refused(text.into()))
}

pub(super) fn name_of(author: u8) -> String {
    menu_name(&key(author).to_string())
}

#[test]
fn a_wish_becomes_a_block_and_is_answered_to_its_session() {
    let mut world = World::new();
    let request = [sign(OWN, Request, "a", 1), sign(OWN, Request, "b", 1)];
    world.request(&request);
    assert!(world.mempool.queue.owes(SessionId(7)) && !world.mempool.queue.owes(SessionId(8)));
    let made = world.turn().made.expect("in the same call");
    assert_eq!((made.height, made.awaited, made.from), (1, true, None));
    assert_eq!(world.blocks(1), [request]);
    let told = |name: &str| Notice::Answer(ASKER, Answer::Requested(name.into()));
    assert_eq!(world.cx.words(), [told("a"), told("b")]);
    world.request(&[sign(OWN, Release, "a", 2)]);
    world.rest();
    let told = Notice::Answer(ASKER, Answer::Released("a".into()));
    assert_eq!(world.cx.words(), [told]);
    assert!(world.mempool.is_empty() && !world.mempool.has_own());
}

#[test]
fn a_wish_that_somebody_elses_block_has_is_answered_by_that() {
    let mut world = World::new();
    let request = sign(OWN, Request, "a", 1);
    world.request(core::slice::from_ref(&request));
    world.comes(&[request]);
    let told = Notice::Answer(ASKER, Answer::Requested("a".into()));
    assert_eq!(world.cx.words(), [told]);
    assert!(world.rest().iter().all(|done| done.made.is_none()));
}

#[test]
fn an_impossible_wish_is_refused_with_its_reason() {
    let mut world = World::new();
    world.comes(&[sign(2, Request, "a", 1)]);
    world.request(&[sign(OWN, Request, "b", 1)]);
    let request = |kind, names: &[&str]| -> Vec<Transaction> {
        names.iter().map(|name| sign(OWN, kind, name, 2)).collect()
    };
    for (request, text) in [
        (request(Request, &["a"]), "item a is not available."),
        // What waits counts as well.
        (request(Request, &["b"]), "item b is not available."),
        (request(Release, &["c"]), "item c is ready for request."),
        (
            request(Request, &["c", "c"]),
            "item c is not available. nothing was requested.",
        ),
        (
            request(Release, &["a", "c"]),
            "item c is ready for request. nothing was released.",
        ),
    ] {
        let error = world
            .mempool
            .check(&world.cx, &request)
            .expect_err("impossible");
        world.mempool.refuse(&mut world.cx, ASKER, &error, &request);
        assert_eq!(world.cx.words(), [refused(text)]);
    }
    let behind = request(Release, &["b"]);
    assert_eq!(world.mempool.check(&world.cx, &behind), Ok(()));
}

#[test]
fn a_wish_that_became_impossible_is_refused_as_a_whole() {
    let mut world = World::new();
    world.request(&[sign(OWN, Request, "a", 1), sign(OWN, Request, "b", 1)]);
    world.request(&[sign(OWN, Request, "c", 1)]);
    world.comes(&[sign(2, Request, "b", 1)]);
    world.rest();
    let told = [
        refused("item b is not available. nothing was requested."),
        Notice::Answer(ASKER, Answer::Requested("c".into())),
    ];
    assert_eq!(world.cx.words(), told);
    assert!(!world.holds("a") && world.holds("c"));
}

#[test]
fn what_was_kept_and_became_impossible_is_told_as_lost_to_whom_and_may_count_after_all() {
    let mut world = World::new();
    let request = sign(OWN, Request, "a", 1);
    world.request(core::slice::from_ref(&request));
    world.mempool.queue.keep_pending_requests();
    world.comes(&[sign(2, Request, "a", 1)]);
    world.rest();
    let text = format!(
        "[consensus] your request of a lost to {} at block 1",
        name_of(2)
    );
    let answer = refused_program("somebody else was first with a.");
    assert_eq!(world.cx.words(), [alert(text), answer]);
    assert!(world.mempool.is_empty());
    world.comes(&[sign(2, Release, "a", 2)]);
    world.comes(&[request]);
    let text = "[consensus ✅] your request of a counts after all, block #3";
    assert_eq!(world.cx.words(), [event(text)]);
}

#[test]
fn what_is_lost_to_somebody_in_the_same_block_is_told_so() {
    let mut world = World::new();
    world.other(sign(3, Request, "a", 1));
    world.own(sign(OWN, Request, "a", 1));
    world.live(limits::DELAY_MS + limits::DELAY_SPREAD_MS);
    let text = format!(
        "[consensus] your request of a lost to {} at block 1",
        name_of(3)
    );
    assert_eq!(world.cx.words()[0], alert(text));
    assert_eq!(world.blocks(1), [[sign(3, Request, "a", 1)]]);
}

#[test]
fn what_has_to_wait_holds_back_what_comes_behind_it_on_its_item() {
    let mut world = World::new();
    let (taken, back) = (sign(3, Request, "a", 1), sign(OWN, Release, "a", 2));
    world.other(taken.clone());
    let due = world.due().expect("it waits");
    world.own(back.clone());
    world.own(sign(OWN, Request, "b", 2));
    world.rest();
    assert_eq!(world.blocks(1), [[sign(OWN, Request, "b", 2)]]);
    assert_eq!(world.due(), Some(due));
    world.live(due.0 - world.cx.now.mono.0);
    world.rest();
    assert_eq!(world.blocks(2), [[taken, back]]);
}

#[test]
fn what_our_user_wants_takes_with_it_what_stands_before_it_on_its_item() {
    let mut world = World::new();
    let (taken, back) = (sign(3, Request, "a", 1), sign(OWN, Release, "a", 2));
    world.other(taken.clone());
    world.other(sign(3, Request, "b", 1));
    world.request(core::slice::from_ref(&back));
    world.rest();
    assert_eq!(world.blocks(1), [[taken, back]]);
    assert_eq!(world.waiting(), [sign(3, Request, "b", 1)]);
}

#[test]
fn while_a_longer_chain_comes_in_only_what_our_user_waits_for_is_made() {
    let mut world = World::new();
    world.own(sign(OWN, Request, "a", 1));
    let until = Millis(world.cx.now.mono.0 + limits::LOOK_AHEAD_MS);
    world.ahead = Some(until);
    world.rest();
    assert_eq!(world.due(), Some(until));
    let request = sign(OWN, Request, "b", 1);
    world.request(core::slice::from_ref(&request));
    world.rest();
    assert_eq!(world.blocks(1), [[request]]);
    world.live(limits::LOOK_AHEAD_MS - 1);
    assert_eq!(world.blocks(1).len(), 1);
    world.live(limits::LOOK_AGAIN_MS + 1);
    assert_eq!(world.blocks(2), [[sign(OWN, Request, "a", 1)]]);
}

#[test]
fn a_block_has_so_many_transactions_and_the_next_one_the_rest() {
    let mut world = World::new();
    let most = limits::TRANSACTIONS_PER_BLOCK;
    for number in 0..=most {
        world.own(sign(OWN, Request, &format!("{number}"), 1));
    }
    let waiting = world.waiting();
    world.rest();
    assert_eq!(world.blocks(1), [&waiting[..most], &waiting[most..]]);
}

#[test]
fn what_fits_into_no_block_is_told_as_lost_and_holds_up_nobody() {
    let mut world = World::new();
    let name = "x".repeat(limits::TEMPLATE_TEXT_MAX);
    world.own(sign(OWN, Request, &name, 1));
    world.other(sign(3, Request, &name, 2));
    world.own(sign(OWN, Request, "a", 1));
    world.rest();
    assert_eq!(world.blocks(1), [[sign(OWN, Request, "a", 1)]]);
    assert!(world.waiting().is_empty());
    let (name, why) = (Uid::from(&*name), "its text fits into no block");
    let text = format!("[consensus ❌] your request of {name} is lost: {why}.");
    assert!(world.cx.words().contains(&alert(text)));
}

#[test]
fn a_block_without_content_is_made_where_one_is_wanted() {
    let mut world = World::new();
    world.mempool.queue.lengthen();
    assert!(!world.mempool.is_empty());
    world.rest();
    assert_eq!(world.blocks(1), [[]]);
    let text =
        "[consensus ℹ️] made block #1 without content, so that a desktop node takes our chain";
    assert_eq!(world.cx.words(), [event(text)]);
    world.mempool.queue.lengthen();
    world.comes(&[sign(2, Request, "a", 1)]);
    assert!(world.mempool.is_empty(), "it is longer already");
}

#[test]
fn a_wish_whose_block_takes_longer_than_a_turn_survives_a_restart() {
    let mut slow = World::on(MemoryDisk::default(), limits::DIFFICULTY_MAX, false);
    let request = [sign(OWN, Request, "a", 1), sign(OWN, Request, "b", 1)];
    slow.request(&request);
    slow.mempool.save(&mut slow.cx);
    assert!(slow.cx.chain.disk().live(File::Waiting).is_empty());
    assert!(slow.turn().made.is_none() && slow.mempool.making.is_some());
    let mut disk = MemoryDisk::default();
    *disk.live(File::Waiting) = slow.cx.chain.disk().live(File::Waiting).clone();
    let mut world = World::on(disk, 0, false);
    world.rest();
    assert_eq!(world.blocks(1), [request]);
    // Whoever asked is gone, so everybody hears it.
    let told = |name: &str| Notice::Answer(None, Answer::Requested(name.into()));
    assert_eq!(world.cx.words(), [told("a"), told("b")]);
    assert!(world.cx.chain.disk().live(File::Waiting).is_empty());
}

#[test]
fn our_own_waiting_is_made_after_a_restart_unless_it_is_in_the_chain_by_then() {
    let mut world = World::new();
    let all = ["a", "b", "c"].map(|name| sign(OWN, Request, name, 1));
    for transaction in &all {
        world.own(transaction.clone());
    }
    world.other(sign(3, Request, "d", 1));
    let mut world = world.restarted();
    // It comes while the file still says that it waits.
    world.cx.append(vec![all[1].clone()]);
    let mut world = World::on(world.cx.chain.disk().clone(), 0, false);
    world.rest();
    assert_eq!(world.blocks(2).concat(), [all[0].clone(), all[2].clone()]);
    let texts = [
        "[consensus ✅] your request of b is in the chain, block #1",
        "[consensus ✅] your request of a is in the chain again, block #2",
        "[consensus ✅] your request of c is in the chain again, block #2",
    ];
    assert_eq!(world.cx.words(), texts.map(event));
    assert!(world.restarted().mempool.is_empty());
}

#[test]
fn a_full_disk_answers_every_wish_and_what_was_kept_is_kept() {
    let mut world = World::new();
    let kept = sign(OWN, Request, "a", 1);
    world.request(core::slice::from_ref(&kept));
    world.mempool.queue.keep_pending_requests();
    world.mempool.save(&mut world.cx);
    world.request(&[sign(OWN, Request, "b", 1)]);
    world.other(sign(3, Request, "c", 1));
    world.mempool.give_up(&mut world.cx);
    assert!(world.cx.words().is_empty() && !world.mempool.is_empty());
    world.cx.chain.disk().room = Some(10);
    assert!(world.turn().made.is_none());
    let fault = "cannot write chain.blx: no space left on device";
    assert!(matches!(&world.cx.words()[..], [Notice::Alert(text)] if text.contains(fault)));
    world.mempool.give_up(&mut world.cx);
    let told = [
        format!("not done yet: {fault}; it is tried again at the next start."),
        format!("nothing was changed: {fault}."),
    ];
    assert_eq!(world.cx.words(), told.map(|text| refused(&text)));
    assert!(world.mempool.is_empty() && world.due().is_none());
    let mut world = world.restarted();
    world.cx.chain.disk().room = None;
    world.rest();
    assert_eq!(world.blocks(1), [[kept]]);
}

#[test]
fn a_block_that_is_made_on_an_end_that_is_none_any_more_is_stale_and_comes_to_nothing() {
    let mut world = World::new();
    let request = sign(OWN, Request, "a", 1);
    world.request(core::slice::from_ref(&request));
    assert!(!world.mempool.is_stale(&world.cx));
    let mut block = Block::behind(&world.cx.chain.tip(), world.cx.block_time());
    block.transactions = vec![request];
    world.mempool.making = Some(Making {
        work: Work::new(block, 0),
        from: None,
        ended: false,
    });
    assert!(!world.mempool.is_stale(&world.cx));
    world.cx.append(vec![]);
    assert!(world.mempool.is_stale(&world.cx));
    assert!(world.turn().made.is_none());
    let why = "its index is 1 and should be 2";
    let lost = format!("[consensus ❌] your request of a is lost: {why}.");
    let answer = refused_program(&format!("{why}."));
    assert_eq!(world.cx.words(), [alert(lost), answer]);
    assert!(world.mempool.is_empty());
}

#[test]
fn what_could_not_be_kept_is_not_promised_for_the_next_start() {
    let mut world = World::new();
    world.request(&[sign(OWN, Request, "a", 1)]);
    world.mempool.queue.keep_pending_requests();
    world.cx.chain.disk().sync_fails = true;
    world.mempool.save(&mut world.cx);
    assert!(world.turn().made.is_none());
    world.mempool.give_up(&mut world.cx);
    world.own(sign(OWN, Request, "b", 2));
    world.mempool.save_undone(&mut world.cx);
    world.mempool.report_unfinished(&mut world.cx);
    let told = world.cx.words();
    let promised = |notice: &Notice| format!("{notice:?}").contains("at the next start");
    assert!(!told.iter().any(promised), "{told:?}");
    let disk = world.cx.chain.disk().after_power_cut(0);
    let mut world = World::on(disk, 0, false);
    world.rest();
    assert!(!world.holds("a"));
}
