//! Connections that end, and what ends with them.

use core::net::SocketAddr;

use super::desktops::Desktops;
use super::links::{LEFT_ALONE, Met};
use super::sync::Sync;
use super::{Action, Line, Millis, Node};
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
            return self.console_closed(at, reason);
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
        let settled = matches!(self.sync, Sync::Free | Sync::Gleaning(_));
        self.desktops
            .tend_voices(&mut self.cx, &mut self.peers, settled);
        if self.cx.ending.is_some() || self.sync.is_settling() {
            return;
        }
        let now = self.cx.now.mono;
        if self.cx.chain.fault().is_none() {
            let mut from = 0;
            while let Some([line, voice]) = self.desktops.next_twin(now, &self.peers, from) {
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
        self.tend_newer();
        self.peers.tend_quiet(now);
        self.tend_sync();
        if self.mempool.making.is_none() {
            self.mempool.queue.expire(now);
        }
        self.tend_damage();
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
}
