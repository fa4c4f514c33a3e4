//! Looks for damage in the chain file, a little at a time, and sees to its repair and upkeep.

use core::ops::Range;

use super::clock::date;
use super::{Millis, Node};
use crate::ledger::{Block, Hash, Timestamp};
use crate::limits;
use crate::store::disk::{Disk, DiskError};
use crate::store::recover::Opening;
use crate::store::state::Verified;

/// The state of that work.
pub struct Monitor {
    /// One pass begins so long after the one before; never, if there is none.
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
    /// Until then a wish waits for the repair.
    patience: Option<Millis>,
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
        }
    }
}

impl<D: Disk> Node<D> {
    /// What the chain file needs now and then, when there is nothing else to do and nothing in it
    /// waits for a later record; true if there is more of it.
    pub(super) fn upkeep(&mut self) -> bool {
        self.cx.chain.checkpoint();
        // What fell out of the chain is still read from the file as it is.
        if !self.cx.chain.wants_compaction() || self.mempool.waits_outside() {
            return self.scrub();
        }
        let before = self.cx.chain.bytes();
        match self.cx.chain.compact(limits::BLOCKS_PER_TURN) {
            Ok(true) => log::info!(
                "the chain file is compacted: {before} bytes before, {} now",
                self.cx.chain.bytes()
            ),
            Ok(false) => {}
            Err(error) => self.cx.effects.alert(format!(
                "[store ⚠️] {error}: the chain file is not compacted in this run."
            )),
        }
        true
    }

    /// What is wrong with the chain file, as a clause.
    pub(super) fn damage(&self) -> Option<String> {
        if let Some(length) = self.cx.chain.gap() {
            let (from, behind) = (self.cx.chain.tip().length, length);
            return Some(format!(
                "block {from} is damaged; up to block {} is kept until a peer has what is missing",
                behind - 1
            ));
        }
        let unread = self.cx.chain.damaged();
        unread
            .map(|height| format!("block {height} cannot be read"))
            .or_else(|| self.monitor.invalid.clone())
    }

    pub(super) fn monitor_deadline(&self) -> Option<Millis> {
        if self.cx.ending.is_some() {
            return None;
        }
        let unrepaired = self.cx.chain.damaged().is_some() && !self.monitor.told;
        let waits = self.cx.chain.gap().is_some() && self.mempool.has_own();
        let impatient = waits && self.monitor.patience.is_none();
        let now = (unrepaired || impatient).then_some(self.cx.now.mono);
        let patience = self.monitor.patience;
        self.monitor
            .due
            .into_iter()
            .chain(now)
            .chain(patience)
            .min()
    }

    /// Sees to damage that was found, and to wishes that wait for its repair.
    pub(super) fn tend_damage(&mut self) {
        let height = self.cx.chain.damaged();
        let found = height.or_else(|| self.cx.chain.gap().map(|_| self.cx.chain.tip().length));
        let Some(found) = found else { return };
        if !core::mem::replace(&mut self.monitor.told, true) {
            self.cx.effects.alert(format!(
                "[monitor ⚠️] corruption detected at block {found} -- repairing..."
            ));
        }
        let peers = self.peers.count() > 0;
        let may_write = self.cx.chain.fault().is_none();
        if height.is_some()
            && self.cx.chain.gap().is_none()
            && peers
            && may_write
            && self.sync.is_free()
        {
            self.reread();
        }
        self.lose_patience(peers);
    }

    /// Somebody is there who may have what is damaged: the file is read again up to the damage,
    /// and the rest comes back when that is filled.
    fn reread(&mut self) {
        let before = self.cx.chain.tip();
        match self.reopen() {
            Ok(cut) => {
                if let Some(notice) = cut.and_then(|opening| opening.notice()) {
                    self.monitor.told = self.cx.chain.gap().is_some();
                    self.cx.effects.alert(format!("[monitor ❌] {notice}"));
                }
                self.repaired();
            }
            Err(error) => self
                .cx
                .effects
                .alert(format!("[monitor ❌] repair failed: {error}.")),
        }
        if self.cx.chain.gap().is_some() || self.cx.chain.tip() != before {
            self.tip_changed();
            for (_, peer) in self.peers.iter_mut() {
                peer.no_help = false;
                peer.ask(self.cx.now.mono);
            }
        }
    }

    /// Reads the file again. Where not even its first block is left, a chain begins.
    fn reopen(&mut self) -> Result<Option<Opening>, DiskError> {
        let cut = self.cx.chain.reopen()?;
        if self.cx.chain.gap().is_none() {
            let time = Timestamp::from_micros(self.cx.now.wall);
            self.cx.chain.begin_chain(time)?;
        }
        Ok(cut)
    }

    /// A wish waits some time for the repair; if nobody is there who could help, not at all.
    fn lose_patience(&mut self, peers: bool) {
        if self.cx.chain.gap().is_none() || !self.mempool.has_own() {
            self.monitor.patience = None;
            return;
        }
        let now = self.cx.now.mono;
        let until = Millis(now.0 + limits::HOLE_WAIT_MS);
        let until = *self.monitor.patience.get_or_insert(until);
        let alone = !peers && self.links.targets.is_empty();
        if now >= until || alone {
            self.monitor.patience = None;
            self.give_up_hole();
        }
    }

    /// The last resort: what is behind a hole is kept in a file beside. True if the chain can grow.
    pub(super) fn give_up_hole(&mut self) -> bool {
        let from = self.cx.chain.tip().length;
        let time = Timestamp::from_micros(self.cx.now.wall);
        let given_up = self.cx.chain.give_up();
        let begun = given_up.and_then(|name| self.cx.chain.begin_chain(time).map(|()| name));
        match begun {
            Ok(None) => true,
            Ok(Some(name)) => {
                self.monitor.told = false;
                self.cx.effects.alert(format!(
                    "[monitor ❌] nobody had block {from}: it and what is behind it are kept as {name}."
                ));
                self.tip_changed();
                self.cx.effects.busy = true;
                true
            }
            Err(error) => {
                self.cx.disk_failed(&error);
                false
            }
        }
    }

    /// A hole is filled; there may be another one.
    pub(super) fn repaired(&mut self) {
        if self.cx.chain.gap().is_some() {
            return;
        }
        if core::mem::take(&mut self.monitor.told) {
            self.cx.effects.alert("[monitor ✅] repair completed.");
        }
        self.monitor.patience = None;
        self.cx.effects.busy = true;
    }

    /// What `9` says of this work.
    pub(super) fn scrub_report(&self) -> String {
        match (self.cx.chain.verified(), self.monitor.every) {
            (Some(Verified { seconds, length }), _) => format!(
                "verified: {} blocks when they came, {length} of them again from disk {}",
                self.cx.chain.tip().length,
                date(seconds)
            ),
            (None, Some(_)) => format!(
                "verified: {} blocks when they came, not yet again from disk",
                self.cx.chain.tip().length
            ),
            (None, None) => format!(
                "verified: {} blocks when they came, never again from disk (--scrub off)",
                self.cx.chain.tip().length
            ),
        }
    }

    /// Checks a slice of the chain file, if it is time; true if the time it took is to be seen in
    /// the next turn.
    pub(super) fn scrub(&mut self) -> bool {
        let now = self.cx.now.mono;
        if let Some(began) = self.monitor.began.take() {
            let took = now.0 - began.0;
            self.monitor.slice = match took {
                0..3 => (self.monitor.slice * 2).min(limits::SCRUB_SLICE_MAX),
                3..=limits::SCRUB_SLICE_MS => self.monitor.slice,
                _ => (self.monitor.slice / 2).max(1),
            };
            if self.monitor.next > 0 || self.monitor.position > 0 {
                self.monitor.due = Some(Millis(now.0 + took.max(1) * limits::SCRUB_REST));
            }
            return false;
        }
        let due = self.monitor.due.is_some_and(|due| due <= now);
        if !due || self.cx.chain.gap().is_some() || self.cx.chain.damaged().is_some() {
            if due {
                self.monitor.due = Some(Millis(now.0 + limits::HOLE_WAIT_MS));
            }
            return false;
        }
        if self.monitor.next == 0 && self.monitor.position == 0 {
            self.monitor.pass = now;
        }
        self.scrub_slice();
        if self.monitor.next >= self.cx.chain.tip().length {
            self.end_pass();
        }
        self.monitor.began = Some(now);
        true
    }

    fn scrub_slice(&mut self) {
        let (mut left, budget) = (self.monitor.slice, self.cx.chain.budget());
        while left > 0
            && self.monitor.next < self.cx.chain.tip().length
            && !self.cx.chain.is_over(budget)
        {
            let height = self.monitor.next;
            // Damage is remembered by the log, and seen to in the next turn.
            let Ok(stored) = self.cx.chain.read(height) else {
                return;
            };
            let block = stored.block;
            if height > 0 && block.prev_hash != self.monitor.prev_hash {
                // A switch since the last slice: what it brought was verified when it came.
                self.begin_pass();
                return;
            }
            let from = self.monitor.position.min(block.transactions.len());
            let end = block.transactions.len().min(from + left);
            if let Err(why) = self.scrub_block(&block, from..end) {
                let text = format!("block {height} is invalid: {why}");
                self.cx
                    .effects
                    .alert(format!("[monitor ⚠️] corruption detected: {text}."));
                self.monitor.invalid = Some(text);
            } else if end < block.transactions.len() {
                self.monitor.position = end;
                return;
            }
            left = left.saturating_sub(1 + end - from);
            self.monitor.position = 0;
            (self.monitor.next, self.monitor.prev_hash) = (height + 1, block.hash);
        }
    }

    /// What is wrong with a block: its hash, its work, or the signatures of some of its
    /// transactions.
    fn scrub_block(&mut self, block: &Block, some: Range<usize>) -> Result<(), String> {
        if some.start == 0 {
            let alone = block.check_alone(self.cx.chain.difficulty());
            alone.map_err(|error| error.to_string())?;
        }
        let mut some = block.transactions[some].iter();
        match some.find(|transaction| !self.cx.verifier.verify(transaction)) {
            Some(wrong) => Err(format!("the signature of {} is wrong", wrong.uid)),
            None => Ok(()),
        }
    }

    fn begin_pass(&mut self) {
        self.monitor.position = 0;
        (self.monitor.next, self.monitor.prev_hash) = (0, Hash::ZERO);
    }

    fn end_pass(&mut self) {
        self.cx.chain.note_verified(Verified {
            seconds: self.cx.now.wall as f64 / 1e6,
            length: self.monitor.next,
        });
        self.begin_pass();
        let next = |every: Millis| Millis(self.monitor.pass.0 + every.0.max(1_000));
        self.monitor.due = self.monitor.every.map(next);
    }
}
