//! Taking another chain: `candidate` compares it with ours while it streams in, `settle` puts it in
//! place when it wins, and reads it for what ours lacks when it does not.
//!
//! A desktop node tells all of its chain in one message. One of ours tells what is missing, in
//! answers of a bounded size: each that goes on where our chain ends is taken at once, as its
//! blocks would be if they came one by one; what leaves our chain further back is staged until it
//! is complete.

use super::candidate::Candidate;
use super::desktop::Stand;
use super::settle::{Gleaning, Settling, Stage};
use super::{Millis, Node};
use crate::ledger::{Hash, RuleError, Tip};
use crate::limits;
use crate::store::branch::Fallen;
use crate::store::disk::{Disk, DiskError};

/// What is going on. There is one candidate at a time; other chains are skipped and asked for again.
pub enum Sync {
    /// Nothing.
    Free,
    /// A peer's chain streams in.
    Candidate(Candidate),
    /// It won. Until it is in place nothing else may touch the chain.
    Settling(Settling),
    /// It lost, and is read for what ours lacks.
    Gleaning(Gleaning),
}

impl Sync {
    /// Whether a new candidate may begin.
    pub fn is_free(&self) -> bool {
        matches!(self, Sync::Free)
    }

    /// Goes on where a switch was cut off by the end of the process: the chain is in place, and
    /// what fell out is still to be seen to.
    pub fn resume(last_switch: Option<Fallen>) -> Sync {
        last_switch.map_or(Sync::Free, |fallen| {
            let next = fallen.from;
            Sync::Settling(Settling {
                source: None,
                equal: false,
                goes_on: None,
                stage: Stage::Differing { fallen, next },
            })
        })
    }

    /// The candidate has come so many blocks or signatures further.
    pub fn progress(&mut self, count: usize) {
        if let Sync::Candidate(candidate) = self {
            candidate.progress += count;
        }
    }

    /// A transaction of the candidate was taken, which does not link there.
    pub fn salvaged(&mut self) {
        if let Sync::Candidate(candidate) = self {
            candidate.salvaged += 1;
        }
    }

    /// When it has to be looked at again.
    pub fn deadline(&self) -> Option<Millis> {
        match self {
            Sync::Candidate(candidate) => Some(Millis(candidate.since.0 + limits::STALL_MS)),
            Sync::Free | Sync::Settling(_) | Sync::Gleaning(_) => None,
        }
    }

    /// Whether nothing else may touch the chain.
    pub fn is_settling(&self) -> bool {
        matches!(self, Sync::Settling(_))
    }

    /// Whether a chain that lost is read on now. Each may take as long as a call should: while a block
    /// is to be made too, they take turns.
    pub fn gleans(&mut self, mines: bool) -> bool {
        let Sync::Gleaning(gleaning) = self else {
            return false;
        };
        gleaning.rests = mines && !gleaning.rests;
        !gleaning.rests
    }

    /// Whether a chain is being read that lost.
    pub fn is_gleaning(&self) -> bool {
        matches!(self, Sync::Gleaning(_))
    }

    /// The length and last hash of what a line has told of its chain, if it is to go on there.
    pub fn continues(&self, line: usize) -> Option<(u64, Hash)> {
        match self {
            Sync::Candidate(candidate) if candidate.line == line && candidate.continued => {
                Some((candidate.next, candidate.prev_hash))
            }
            Sync::Settling(settling) if settling.source == Some(line) => settling.goes_on,
            _ => None,
        }
    }

    /// The line whose chain is being looked at.
    pub fn line(&self) -> Option<usize> {
        match self {
            Sync::Candidate(candidate) => Some(candidate.line),
            _ => None,
        }
    }
}

impl<D: Disk> Node<D> {
    /// Looks after the time: gives a candidate up that trickles, and asks for a chain that was
    /// skipped.
    pub(super) fn tend_sync(&mut self) {
        let now = self.cx.now.mono;
        for (_, peer) in self.peers.iter_mut() {
            peer.unfollowed = peer.unfollowed.filter(|until| now < *until);
        }
        match &mut self.sync {
            Sync::Settling(_) => self.peers.excuse(self.cx.now.mono, u64::from(u32::MAX)),
            Sync::Candidate(candidate) if now.0 >= candidate.since.0 + limits::STALL_MS => {
                let enough = candidate.progress >= limits::PROGRESS_MIN;
                (candidate.progress, candidate.since) = (0, now);
                let line = candidate.line;
                if !enough {
                    self.hang_up(line, "its chain comes too slowly", None);
                }
            }
            Sync::Candidate(_) | Sync::Gleaning(_) => {}
            Sync::Free => {
                let mut peers = self.peers.iter_mut();
                let due = peers.find(|(_, peer)| peer.deferred.is_some_and(|at| at <= now));
                if let Some((_, peer)) = due {
                    peer.deferred = None;
                    peer.ask(now);
                }
            }
        }
    }

    /// Another chain may be looked at now: the first that was skipped is asked for at once.
    pub(super) fn freed(&mut self) {
        let mut peers = self.peers.iter_mut();
        if let Some((_, peer)) = peers.find(|(_, peer)| peer.deferred.is_some()) {
            peer.deferred = Some(self.cx.now.mono);
        }
    }

    /// Whether a longer chain of one of ours is coming in, or was just asked for: what would be
    /// put on top of our chain now would fall out again at once. If so, until when at most, or
    /// when that chain is looked at again.
    pub(super) fn catching_up(&self) -> Option<Millis> {
        let (tip, now) = (self.cx.chain.tip(), self.cx.now.mono);
        let candidate = self.sync.line();
        let ahead = self.peers.iter().filter_map(|(line, peer)| {
            if candidate == Some(line) {
                return self.sync.deadline().filter(|_| peer.is_ahead_of(&tip));
            }
            let until = Millis(peer.asked?.0 + limits::LOOK_AHEAD_MS);
            (now < until && peer.is_ahead_of(&tip)).then_some(until)
        });
        ahead.max()
    }

    /// A peer's chain, or a part of it, is complete. `told` is the length that it says its chain
    /// has, if this was a part.
    pub(super) fn chain_end(&mut self, line: usize, told: Option<u64>) {
        let now = self.cx.now.mono;
        let ours = self.cx.chain.tip();
        let end = match &self.sync {
            Sync::Candidate(candidate) if candidate.line == line => Some(candidate.end()),
            _ => None,
        };
        let length = end.map(|end| end.length);
        if told.is_none() {
            self.has_no_credits(line, end.is_none());
        }
        let Some(peer) = self.peers.get_mut(line) else {
            return;
        };
        let asked = peer.asked.take();
        let ask_again = peer.seen;
        let is_desktop = peer.desktop().is_some();
        let told_before = peer
            .desktop()
            .is_some_and(|desktop| desktop.has_told(now, asked, end));
        self.desktops
            .compare_twin(&mut self.cx, &mut self.peers, line);
        let branch = length.and_then(|_| self.cx.chain.branch_tip());
        // While there is a hole, what is behind it counts too.
        let whole = self.cx.chain.gap().unwrap_or(0);
        // Equally long, a desktop node's chain made again would win by chance, and so would ours in
        // the next turn.
        let beats = |tip: &Tip| match is_desktop {
            true => tip.length > ours.length || (tip.beats(&ours) && ours.length == 1),
            false => tip.beats(&ours),
        };
        let wins = branch.is_some_and(|tip| beats(&tip) && tip.length > whole);
        let extends = self.cx.chain.branch_fork() == Some(ours.length);
        if let (Some(length), Some(told)) = (length, told)
            && length < told
            && told >= ours.length
            && !(wins && extends)
        {
            return self.go_on(line);
        }
        if wins && self.give_up_hole() {
            let equal = branch.is_some_and(|tip| tip.length == ours.length);
            let more = told.is_some_and(|told| length.is_some_and(|length| length < told));
            self.switch(line, equal, branch.filter(|_| more));
            if let Some(end) = end
                && told_before
                && (extends || ours.length == 1)
            {
                self.peers.note_unsaid(self.cx.now.mono, line, &end.hash);
            }
            return;
        }
        if let Some(peer) = self.peers.get_mut(line)
            && let Some(told) = told
            && length.is_none()
            && told <= ours.length
        {
            // It has nothing for us, whatever it said before.
            peer.tip = peer.tip.filter(|tip| !tip.beats(&ours));
        }
        self.kept(line, length, told);
        self.leave(line, end.is_some_and(|end| end.forked && !end.same));
        if ask_again >= ours.length
            && !is_desktop
            && let Some(peer) = self.peers.get_mut(line)
        {
            peer.ask(now);
        }
    }

    /// A chain that won is put in place. It `goes_on` behind what has come, if that is not all of it.
    fn switch(&mut self, line: usize, equal: bool, goes_on: Option<Tip>) {
        self.sync = Sync::Settling(Settling {
            source: Some(line),
            equal,
            goes_on: goes_on.map(|tip| (tip.length, tip.hash)),
            stage: Stage::Adopting,
        });
        self.step_in(line);
        if goes_on.is_some()
            && let Some(peer) = self.peers.get_mut(line)
        {
            // It can send while we write.
            peer.ask(self.cx.now.mono);
        }
    }

    /// The rest of a chain is asked for.
    fn go_on(&mut self, line: usize) {
        if let Sync::Candidate(candidate) = &mut self.sync {
            candidate.continued = true;
        }
        if let Some(peer) = self.peers.get_mut(line) {
            peer.ask(self.cx.now.mono);
        }
    }

    /// A desktop node whose chain we take has the same blocks as we do. If it has more that do not link,
    /// its monitor has to cut these first, which only its next chain proves.
    fn step_in(&mut self, line: usize) {
        let length = self.cx.chain.branch_tip().map(|tip| tip.length);
        if let Some(length) = length
            && let Some(desktop) = self.peers.desktop_of(line)
        {
            desktop.proven &= !matches!(desktop.stand, Stand::Spoiled(..));
            desktop.stand = Stand::Same(length);
        }
    }

    /// Does with a chain that does not win what is left to do: if its content is another than that
    /// of ours, it is read for what ours lacks.
    fn leave(&mut self, line: usize, differs: bool) {
        if differs && !self.mempool.drops() && self.cx.chain.gap().is_none() {
            let salvage = self.peers.desktop_at(line).map(|_| line);
            self.sync = Sync::Gleaning(Gleaning::new(self.cx.chain.staged(), salvage));
            self.cx.effects.busy = true;
        } else {
            self.forget_candidate(line);
        }
    }

    /// Tells the user who asked that our chain stays.
    fn kept(&mut self, line: usize, length: Option<u64>, told: Option<u64>) {
        let (ours, length) = (self.cx.chain.tip(), told.or(length).unwrap_or(0));
        let shared = !matches!(&self.sync, Sync::Candidate(candidate) if candidate.forked);
        let Some(peer) = self.peers.get_mut(line) else {
            return;
        };
        peer.from = None;
        if peer.asked_by.is_empty() {
            return;
        }
        self.cx.effects.notify(format!(
            "[consensus 📡] received chain (length {length}) vs ours (length {})",
            ours.length
        ));
        self.cx
            .effects
            .notify("[consensus ℹ️] kept current chain (already longest)");
        let outcome = match shared && length == ours.length {
            true => "it has the same chain".into(),
            false => format!("ours is kept, its chain has {length} blocks"),
        };
        self.peers
            .tell_outcome(&mut self.cx.effects, line, &outcome);
    }

    /// Forgets the candidate of a line, if it has one. `why` is told to a user who asked for it.
    pub(super) fn drop_candidate(&mut self, line: usize, why: Option<&str>) {
        self.forget_candidate(line);
        if let Some(peer) = self.peers.get_mut(line) {
            (peer.asked, peer.from) = (None, None);
        }
        if let Some(why) = why {
            self.peers.tell_outcome(&mut self.cx.effects, line, why);
        }
    }

    fn forget_candidate(&mut self, line: usize) {
        if self.sync.line() == Some(line) {
            self.cx.chain.abandon();
            self.sync = Sync::Free;
            self.freed();
        }
    }

    /// A chain breaks a rule.
    pub(super) fn chain_invalid(&mut self, line: usize, reason: &str) {
        if self.peers.get_mut(line).is_some_and(|peer| peer.is_newer()) {
            return self.pass_over_credits(line);
        }
        self.drop_candidate(line, Some(&format!("its chain is invalid, {reason}")));
        if let Some(peer) = self.peers.get_mut(line) {
            peer.skip();
            // What it says of its chain is not worth asking for.
            peer.tip = None;
        }
        self.cx.effects.notify(format!(
            "[consensus ❌] peer chain failed validation: {reason}"
        ));
        self.strike(line, reason);
    }

    /// A chain, or a block, is beyond what this node follows, through no fault of the peer.
    pub(super) fn not_followed(&mut self, line: usize, limit: &RuleError) {
        let now = self.cx.now.mono;
        let whole = self.sync.line() == Some(line);
        self.drop_candidate(line, Some(&format!("its chain is not followed: {limit}")));
        let until = Some(Millis(now.0 + limits::UNFOLLOWED_MS));
        if let Some(peer) = self.peers.get_mut(line) {
            if whole {
                peer.skip();
            }
            (peer.deferred, peer.unfollowed) = (None, until);
        }
        if self.unfollowed.is_none_or(|told| now >= told) {
            self.unfollowed = until;
            let option = match limit {
                RuleError::TooManyItems(_) => "--items-max",
                _ => "--staging-max",
            };
            self.cx.effects.alert(format!(
                "[consensus ⚠️] a peer's chain is not followed: {limit} (see {option})."
            ));
        }
    }

    /// A chain could not be looked at, through no fault of the peer.
    pub(super) fn candidate_failed(&mut self, line: usize, error: &DiskError) {
        self.drop_candidate(line, Some("its chain was not looked at"));
        if let Some(peer) = self.peers.get_mut(line) {
            peer.skip();
        }
        self.cx.effects.alert(format!(
            "[store ❌] a peer's chain was not looked at: {error}."
        ));
    }
}
