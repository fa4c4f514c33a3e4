//! Looks for damage in the chain file, a little at a time, and sees to its repair and upkeep.

use core::ops::Range;

use super::clock::date;
use super::effects::Cx;
use super::event::Millis;
use super::peers::Peers;
use crate::ledger::{Block, Hash, Timestamp};
use crate::limits;
use crate::store::disk::{Disk, DiskError};
use crate::store::recover::Recovery;
use crate::store::state::Verified;

/// What goes on beside that work.
#[derive(Clone, Copy, Default)]
pub struct Surroundings {
    /// Something of our own is in no block yet.
    pub waits: bool,
    /// No other chain is being looked at.
    pub free: bool,
    /// Somebody is to be dialed.
    pub calls: bool,
}

/// The state of that work.
pub struct Monitor {
    /// The time from one pass to the next; never, if there is none.
    every: Option<Millis>,
    /// When the next slice is due.
    due: Option<Millis>,
    /// The last slice began then; how long it took shows in the next turn.
    began: Option<Millis>,
    /// Blocks and signatures in a slice.
    slice: usize,
    /// The next block of this pass, and the hash of the one before.
    next: u64,
    prev_hash: Hash,
    /// The next of its transactions whose signature is checked.
    position: usize,
    /// When this pass began.
    pass: Millis,
    /// What is wrong with a block that reads back soundly.
    invalid: Option<String>,
    /// The user was told of damage that is not repaired yet.
    told: bool,
    /// Until then a pending request waits for the repair.
    patience: Option<Millis>,
    /// Such a wait follows a failed attempt to give the hole up: nobody tries again before it is
    /// over.
    failed: bool,
    /// A block of this pass is invalid.
    found: bool,
}

impl Monitor {
    /// Work that begins some time after the start.
    pub fn new(now: Millis, every: Option<Millis>) -> Monitor {
        Monitor {
            every,
            due: every.map(|every| Millis(now.0 + every.0.min(limits::SCRUB_FIRST_MS))),
            began: None,
            slice: 1,
            next: 0,
            prev_hash: Hash::ZERO,
            position: 0,
            pass: now,
            invalid: None,
            told: false,
            patience: None,
            failed: false,
            found: false,
        }
    }
}

impl Monitor {
    /// What the chain file needs now and then, when there is nothing else to do and nothing in it
    /// waits for a later record; true if there is more of it.
    pub fn upkeep<D: Disk>(&mut self, cx: &mut Cx<D>, waits_outside: bool) -> bool {
        cx.chain.checkpoint();
        // Disconnected blocks are still read from the file as it is.
        if !cx.chain.wants_compaction() || waits_outside {
            return self.scrub(cx);
        }
        let before = cx.chain.bytes();
        match cx.chain.compact(limits::BLOCKS_PER_TURN) {
            Ok(true) => log::info!(
                "the chain file is compacted: {before} bytes before, {} now",
                cx.chain.bytes()
            ),
            Ok(false) => {}
            Err(error) => cx.effects.alert(format!(
                "[store ⚠️] {error}: the chain file is not compacted in this run."
            )),
        }
        true
    }

    /// What is wrong with the chain file, as a clause.
    pub fn damage<D: Disk>(&self, cx: &Cx<D>) -> Option<String> {
        if let Some(length) = cx.chain.hole() {
            let (from, behind) = (cx.chain.tip().length, length);
            return Some(format!(
                "block {from} is damaged; up to block {} is kept until a peer has what is missing",
                behind - 1
            ));
        }
        let unread = cx.chain.damaged();
        unread
            .map(|height| format!("block {height} cannot be read"))
            .or_else(|| self.invalid.clone())
    }

    /// When something has to be done; `waits`: something of our own is in no block yet.
    pub fn due<D: Disk>(&self, cx: &Cx<D>, waits: bool) -> Option<Millis> {
        if cx.ending.is_some() {
            return None;
        }
        let unrepaired = cx.chain.damaged().is_some() && !self.told;
        let waits = cx.chain.hole().is_some() && waits && cx.chain.fault().is_none();
        let impatient = waits && self.patience.is_none();
        let now = (unrepaired || impatient).then_some(cx.now.mono);
        let patience = self.patience;
        self.due.into_iter().chain(now).chain(patience).min()
    }

    /// Sees to damage that was found, and to what waits for its repair. True if the chain has another
    /// end.
    pub fn tend<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        beside: Surroundings,
    ) -> bool {
        let height = cx.chain.damaged();
        let found = height.or_else(|| cx.chain.hole().map(|_| cx.chain.tip().length));
        let Some(found) = found else {
            return false;
        };
        if !core::mem::replace(&mut self.told, true) {
            cx.effects.alert(format!(
                "[monitor ⚠️] corruption detected at block {found} -- repairing..."
            ));
        }
        let connected = peers.count() > 0;
        let may_write = cx.chain.fault().is_none();
        let mut changed = false;
        if height.is_some() && cx.chain.hole().is_none() && connected && may_write && beside.free {
            changed = self.reread(cx, peers);
        }
        changed | self.lose_patience(cx, beside.waits, !connected && !beside.calls)
    }

    /// Somebody is there who may have what is damaged: the file is read again up to the damage,
    /// and the rest comes back when that is filled.
    fn reread<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers) -> bool {
        let before = cx.chain.tip();
        match reopen(cx) {
            Ok(cut) => {
                if let Some(notice) = cut.and_then(|recovery| recovery.notice()) {
                    self.told = cx.chain.hole().is_some();
                    cx.effects.alert(format!("[monitor ❌] {notice}"));
                }
                self.repaired(cx);
            }
            Err(error) => cx
                .effects
                .alert(format!("[monitor ❌] repair failed: {error}.")),
        }
        let changed = cx.chain.hole().is_some() || cx.chain.tip() != before;
        if changed {
            for (_, peer) in peers.iter_mut() {
                peer.no_help = false;
                peer.ask(cx.now.mono);
            }
        }
        changed
    }

    /// A pending request waits some time for the repair; if nobody is there who could help, not at
    /// all.
    fn lose_patience<D: Disk>(&mut self, cx: &mut Cx<D>, waits: bool, alone: bool) -> bool {
        if cx.chain.hole().is_none() || !waits || cx.chain.fault().is_some() {
            (self.patience, self.failed) = (None, false);
            return false;
        }
        let now = cx.now.mono;
        let until = Millis(now.0 + limits::HOLE_WAIT_MS);
        let until = *self.patience.get_or_insert(until);
        if now < until && (!alone || self.failed) {
            return false;
        }
        let given_up = self.give_up_hole(cx);
        self.failed = given_up.is_none();
        // What failed is tried again after as long.
        let again = Millis(now.0 + limits::HOLE_WAIT_MS);
        self.patience = self.failed.then_some(again);
        given_up == Some(true)
    }

    /// The last resort: what is behind a hole is moved into a file of its own. `None` if the chain
    /// cannot grow; else whether it has another tip.
    pub fn give_up_hole<D: Disk>(&mut self, cx: &mut Cx<D>) -> Option<bool> {
        let from = cx.chain.tip().length;
        let time = Timestamp::from_micros(cx.now.wall);
        let given_up = cx.chain.give_up();
        let begun = given_up.and_then(|name| cx.chain.begin_chain(time).map(|()| name));
        match begun {
            Ok(None) => Some(false),
            Ok(Some(name)) => {
                self.told = false;
                cx.effects.alert(format!(
                    "[monitor ❌] nobody had block {from}: what can be read behind it is made again, and all of it is kept as {name}."
                ));
                cx.effects.busy = true;
                Some(true)
            }
            Err(error) => {
                cx.disk_failed(&error);
                None
            }
        }
    }

    /// A hole is filled; there may be another one.
    pub fn repaired<D: Disk>(&mut self, cx: &mut Cx<D>) {
        if cx.chain.hole().is_some() {
            return;
        }
        if core::mem::take(&mut self.told) {
            cx.effects.alert("[monitor ✅] repair completed.");
        }
        self.patience = None;
        cx.effects.busy = true;
    }

    /// What `9` says of this work.
    pub fn scrub_report<D: Disk>(&self, cx: &Cx<D>) -> String {
        match (cx.chain.verified(), self.every) {
            (Some(Verified { seconds, length }), _) => format!(
                "verified: {} blocks when they came, {length} of them again from disk {}",
                cx.chain.tip().length,
                date(seconds)
            ),
            (None, Some(_)) => format!(
                "verified: {} blocks when they came, not yet again from disk",
                cx.chain.tip().length
            ),
            (None, None) => format!(
                "verified: {} blocks when they came, never again from disk ({})",
                cx.chain.tip().length,
                cx.ways.scrub_every
            ),
        }
    }

    /// Checks a slice of the chain file, if it is time; true if the time it took is to be seen in
    /// the next turn.
    pub fn scrub<D: Disk>(&mut self, cx: &mut Cx<D>) -> bool {
        let now = cx.now.mono;
        if let Some(began) = self.began.take() {
            let took = now.0 - began.0;
            self.slice = match took {
                0..3 => (self.slice * 2).min(limits::SCRUB_SLICE_MAX),
                3..=limits::SCRUB_SLICE_MS => self.slice,
                _ => (self.slice / 2).max(1),
            };
            if self.next > 0 || self.position > 0 {
                self.due = Some(Millis(now.0 + took.max(1) * limits::SCRUB_REST));
            }
            return false;
        }
        let due = self.due.is_some_and(|due| due <= now);
        if !due || cx.chain.hole().is_some() || cx.chain.damaged().is_some() {
            if due {
                self.due = Some(Millis(now.0 + limits::HOLE_WAIT_MS));
            }
            return false;
        }
        if self.next == 0 && self.position == 0 {
            self.pass = now;
        }
        self.scrub_slice(cx);
        if self.next >= cx.chain.tip().length {
            self.end_pass(cx);
        }
        self.began = Some(now);
        true
    }

    fn scrub_slice<D: Disk>(&mut self, cx: &mut Cx<D>) {
        let (mut left, budget) = (self.slice, cx.chain.budget());
        while left > 0 && self.next < cx.chain.tip().length && !cx.chain.is_over(budget) {
            let height = self.next;
            // Damage is remembered by the log, and seen to in the next turn.
            let Ok(stored) = cx.chain.read(height) else {
                return;
            };
            let block = stored.block;
            if height > 0 && block.prev_hash != self.prev_hash {
                // A reorg since the last slice: what it brought was verified when it came.
                self.begin_pass();
                return;
            }
            let from = self.position.min(block.transactions.len());
            let end = block.transactions.len().min(from + left);
            if let Err(why) = scrub_block(cx, &block, from..end) {
                let text = format!("block {height} is invalid: {why}");
                cx.effects
                    .alert(format!("[monitor ⚠️] corruption detected: {text}."));
                (self.invalid, self.found) = (Some(text), true);
            } else if end < block.transactions.len() {
                self.position = end;
                return;
            }
            left = left.saturating_sub(1 + end - from);
            self.position = 0;
            (self.next, self.prev_hash) = (height + 1, block.hash);
        }
    }

    fn begin_pass(&mut self) {
        (self.position, self.found) = (0, false);
        (self.next, self.prev_hash) = (0, Hash::ZERO);
    }

    fn end_pass<D: Disk>(&mut self, cx: &mut Cx<D>) {
        if !self.found {
            // What was wrong is in the chain no more.
            self.invalid = None;
            cx.chain.note_verified(Verified {
                seconds: cx.now.wall as f64 / 1e6,
                length: self.next,
            });
        }
        self.begin_pass();
        let next = |every: Millis| Millis(self.pass.0 + every.0.max(1_000));
        self.due = self.every.map(next);
    }
}

/// Reads the file again. Where not even its first block is left, a chain begins.
fn reopen<D: Disk>(cx: &mut Cx<D>) -> Result<Option<Recovery>, DiskError> {
    let cut = cx.chain.reopen()?;
    if cx.chain.hole().is_none() {
        let time = Timestamp::from_micros(cx.now.wall);
        cx.chain.begin_chain(time)?;
    }
    Ok(cut)
}

/// What is wrong with a block: its hash, its work, or the signatures of some of its
/// transactions.
fn scrub_block<D: Disk>(cx: &mut Cx<D>, block: &Block, some: Range<usize>) -> Result<(), String> {
    if some.start == 0 {
        let alone = block.check_alone(cx.chain.difficulty());
        alone.map_err(|error| error.to_string())?;
    }
    let mut some = block.transactions[some].iter();
    match some.find(|transaction| !cx.verifier.verify(transaction)) {
        Some(wrong) => Err(format!("the signature of {} is wrong", wrong.uid)),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "monitor_tests.rs"]
mod tests;
