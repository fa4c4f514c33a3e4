//! What concerns several organs at once: a connection that ends and what ends with it, a new end of the
//! chain and who has to know, what becomes of a fault.

use core::net::SocketAddr;

use super::desktops::Desktops;
use super::effects::Fault;
use super::links::{LEFT_ALONE, Met};
use super::newer;
use super::peer::Peer;
use super::sync::announce;
use super::{Action, Line, Millis, Node};
use crate::ledger::Block;
use crate::limits;
use crate::store::disk::Disk;

impl<D: Disk> Node<D> {
    /// Somebody has come: where all places are taken, they may have that of somebody who is worth less.
    pub(super) fn incoming(&mut self, from: SocketAddr) {
        let (now, syncing) = (self.cx.now.mono, self.sync.line());
        if self.peers.free_line().is_none()
            && let Some(line) = self.links.eviction_candidate(now, &self.peers, syncing)
        {
            self.hang_up(line, "its place was given to a newcomer", None);
        }
        self.links.incoming(&mut self.cx, &mut self.peers, from);
    }

    /// A line is free: its other end has closed, or failed for this reason.
    pub(super) fn closed(&mut self, line: Line, reason: Option<&str>) {
        if let Some(at) = line.console() {
            return self.sessions.closed(at, reason);
        }
        let line = usize::from(line.0);
        let reason = reason.unwrap_or("the other end closed");
        self.take_early(line);
        match self.peers.get_mut(line) {
            // What somebody said before they hung up still counts: a device may send a line and go.
            Some(peer) if peer.is_unread() => {
                peer.gone = Some(reason.to_owned());
                self.cx.effects.busy = true;
            }
            _ => self.drop_line(line, reason),
        }
    }

    /// Ends the connections of those who hung up and whose last words were looked at.
    pub(super) fn drop_gone(&mut self) {
        for line in self.peers.lines() {
            if let Some(peer) = self.peers.get_mut(line)
                && !peer.is_unread()
                && let Some(reason) = peer.gone.take()
            {
                self.drop_line(line, &reason);
            }
        }
    }

    /// Ends a connection that deserves it. If it deserves to `rest`, the other end is left alone
    /// for so many milliseconds.
    pub(super) fn hang_up(&mut self, line: usize, reason: &str, rest: Option<u64>) {
        let now = self.cx.now.mono;
        if let Some(ms) = rest
            && let Some(peer) = self.peers.get(line)
        {
            self.links.ban(now, peer, ms);
        }
        let own = Line::of_peer(line);
        self.cx.effects.act(Action::Hangup { line: own });
        self.drop_line(line, reason);
    }

    /// Hangs up on somebody who is left alone and has come by himself.
    pub(super) fn is_sent_away(&mut self, line: usize) -> bool {
        let (now, peer) = (self.cx.now.mono, self.peers.get(line));
        let banned = peer.is_some_and(|peer| self.links.is_banned(now, peer));
        if banned {
            self.hang_up(line, LEFT_ALONE, None);
        }
        banned
    }

    /// Looks at a block that came before the chain of its node.
    pub(super) fn take_early(&mut self, line: usize) {
        if let Some(block) = self.peers.take_early(line) {
            self.desktop_block(line, block);
        }
    }

    /// Forgets the candidate of a line, if it has one. `why` is told to a user who asked for it.
    pub(super) fn drop_candidate(&mut self, line: usize, why: Option<&str>) {
        let (sync, cx) = (&mut self.sync, &mut self.cx);
        sync.drop(cx, &mut self.peers, line, why);
    }

    fn drop_line(&mut self, line: usize, reason: &str) {
        if self.peers.get(line).is_none() {
            return;
        }
        self.drop_candidate(line, Some(reason));
        self.mempool.ends_making_of(line);
        let now = self.cx.now.mono;
        self.desktops.leaves_under_way(now, &mut self.peers, line);
        let Some(peer) = self.peers.free(line) else {
            return;
        };
        log::info!("{}: connection closed: {reason}", peer.remote);
        let (links, cx) = (&mut self.links, &mut self.cx);
        links.lost(cx, &self.peers, (line, &peer), reason);
        self.desktops.lose_voice(now, &self.peers, &peer);
    }

    /// Closes a connection in favour of another one to the same node.
    pub(super) fn retire(&mut self, line: usize, kept: usize) {
        self.drop_candidate(
            line,
            Some("it is connected twice; one connection is closed"),
        );
        self.mempool.ends_making_of(line);
        let (links, cx) = (&mut self.links, &mut self.cx);
        links.retire(cx, &mut self.peers, (line, kept));
    }

    /// The block that was being made will not be.
    pub(super) fn drop_making(&mut self) {
        let (desktops, cx) = (&mut self.desktops, &mut self.cx);
        desktops.drop_making(cx, &mut self.peers, &mut self.mempool);
    }

    /// Speaks to desktop nodes, and to the others of ours about them.
    pub(super) fn tend_desktops(&mut self) {
        let settled = self.sync.is_free() || self.sync.is_salvage();
        self.desktops
            .tend_voices(&mut self.cx, &mut self.peers, settled);
        if self.cx.ending.is_some() || self.sync.is_reorg() {
            return;
        }
        let now = self.cx.now.mono;
        if self.cx.chain.fault().is_none() {
            let mut from = 0;
            while let Some([line, voice]) = self.peers.next_twin(now, from) {
                let busy = self.peers.is_busy(line);
                self.retire(line, voice);
                if let Some(desktop) = self.peers.desktop_of(voice).filter(|_| busy) {
                    desktop.quiet = Millis(now.0 + limits::DESKTOP_QUIET_MS);
                }
                from = line + 1;
            }
            Desktops::dial_deaf(now, &mut self.peers, &mut self.links);
        }
        let (desktops, cx, free) = (&mut self.desktops, &mut self.cx, self.sync.is_free());
        desktops.tell(cx, &mut self.peers, &mut self.mempool, free);
    }

    /// One of ours has told its id. False if its connection has ended by that.
    pub(super) fn meet_again(&mut self, line: usize, id: u64) -> bool {
        let (links, cx) = (&mut self.links, &mut self.cx);
        match links.meet(cx, &mut self.peers, line, id) {
            Met::Itself => false,
            Met::Alone | Met::Theirs => true,
            Met::Twice { closed, kept } => {
                self.retire(closed, kept);
                closed != line
            }
        }
    }

    /// Looks after everything that waits for a time.
    pub(super) fn tend(&mut self) {
        let now = self.cx.now.mono;
        for line in self.peers.lines() {
            let verdict = self.peers.get_mut(line).and_then(|peer| peer.tend(now));
            if let Some(reason) = verdict {
                self.hang_up(line, reason, None);
            }
            self.tend_question(line);
        }
        for line in self.peers.lines() {
            if let Some(block) = self.peers.take_late(now, line) {
                self.desktop_block(line, block);
            }
            self.peers.tend_newer(now, line);
        }
        self.peers.tend_quiet(now);
        if let Some(line) = self.sync.tend(&self.cx, &mut self.peers) {
            self.hang_up(line, "its chain comes too slowly", None);
        }
        if self.mempool.making.is_none() {
            self.mempool.queue.expire(now);
        }
        let own = self.mempool.has_own();
        let (free, calls) = (self.sync.is_free(), !self.links.targets.is_empty());
        let (monitor, cx) = (&mut self.monitor, &mut self.cx);
        if monitor.tend(cx, &mut self.peers, [own, free, calls]) {
            self.tip_changed();
        }
        self.links.tend(&mut self.cx, &mut self.peers);
    }

    /// A peer that was asked for its chain and does not answer is taken as having none for us.
    fn tend_question(&mut self, line: usize) {
        let now = self.cx.now.mono;
        let Some(peer) = self.peers.get_mut(line) else {
            return;
        };
        if peer.tend_question(now) {
            peer.tip = None;
            self.drop_candidate(line, Some("it does not answer"));
        }
    }

    /// What a peer said came to nothing, if it did: what it deserves for that.
    pub(super) fn act_on(&mut self, line: usize, taken: Result<(), Fault>) {
        let Err(fault) = taken else { return };
        let (sync, cx) = (&mut self.sync, &mut self.cx);
        match fault {
            Fault::Rule(reason) => self.strike(line, &reason),
            Fault::ChainRule(_) if self.peers.get(line).is_some_and(Peer::is_newer) => {
                self.pass_over_credits(line);
            }
            Fault::ChainRule(reason) => {
                sync.invalid(cx, &mut self.peers, line, &reason);
                self.strike(line, &reason);
            }
            Fault::Limit(limit) => sync.not_followed(cx, &mut self.peers, line, &limit),
            Fault::Disk(error) => sync.failed(cx, &mut self.peers, line, &error),
        }
    }

    /// A peer's chain is one with credits, or of one who has them and nothing else: no more of it is
    /// read.
    pub(super) fn pass_over_credits(&mut self, line: usize) {
        self.drop_candidate(line, Some(&format!("it {}", newer::WHAT)));
        if let Some(peer) = self.peers.get_mut(line) {
            peer.blocks_in += 1;
            peer.skip();
        }
        self.meet(line, None, true);
        let (effects, now) = (&mut self.cx.effects, self.cx.now.mono);
        self.peers.meet_newer(effects, now, line);
    }

    /// A block that may fill the hole in our chain.
    pub(super) fn mend(&mut self, line: usize, block: &Block) {
        let (sync, cx) = (&mut self.sync, &mut self.cx);
        let mended = sync.mend(cx, &mut self.peers, line, block);
        if mended == Ok(true) {
            self.monitor.repaired(&mut self.cx);
            self.cx.chain.begin_mending();
            self.tip_changed();
        }
        self.act_on(line, mended.map(|_| ()));
    }

    /// A peer's chain, or a part of it, is complete. `told` is the length that it says its chain
    /// has, if this was a part.
    pub(super) fn chain_end(&mut self, line: usize, told: Option<u64>) {
        if told.is_none() {
            let (now, is_empty) = (self.cx.now.mono, self.sync.end_of(line).is_none());
            self.peers.has_no_credits(now, line, is_empty);
            self.take_early(line);
        }
        let (sync, cx, drops) = (&mut self.sync, &mut self.cx, self.mempool.drops());
        let Some(winner) = sync.chain_end(cx, &mut self.peers, line, told, drops) else {
            return;
        };
        let (sync, monitor) = (&mut self.sync, &mut self.monitor);
        let Some(changed) = monitor.give_up_hole(&mut self.cx) else {
            return sync.lose(&mut self.cx, &mut self.peers, line, told, drops);
        };
        if changed {
            self.tip_changed();
        }
        self.sync.win(&mut self.cx, &mut self.peers, line, winner);
    }

    /// Goes on with a reorg, or with a chain that lost.
    pub(super) fn step(&mut self) {
        let due = self.sync.salvages_of().map(|line| self.salvage_due(line));
        let (cx, peers) = (&mut self.cx, &mut self.peers);
        if let Some(source) = self.sync.step(cx, peers, &mut self.mempool, due) {
            self.tip_changed();
            announce(&mut self.cx, &mut self.peers, source);
        }
    }
}
