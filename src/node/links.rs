//! Who comes and who goes: connections are accepted, dialed, given up, and dialed again.

use core::net::SocketAddr;

use super::answer::Answer;
use super::peer::Peer;
use super::targets::{Contact, LEFT_ALONE};
use super::{Action, Line, Millis, Node};
use crate::limits;
use crate::store::disk::Disk;

impl<D: Disk> Node<D> {
    pub(super) fn incoming(&mut self, from: SocketAddr) {
        if self.peers.free_line().is_none()
            && let Some(line) = self.least_worth()
        {
            self.hang_up(line, "its place was given to a newcomer", None);
        }
        let Some(line) = self.peers.free_line() else {
            log::info!("{from} is refused: all {} places are taken", limits::PEERS);
            return self.cx.effects.act(Action::Refuse);
        };
        let peer = Peer::new(self.cx.now.mono, from, false);
        self.peers.open(line, peer);
        self.cx.effects.act(Action::Accept { line });
        log::info!("{from} connected");
    }

    pub(super) fn connected(&mut self, line: Line, local: SocketAddr, remote: SocketAddr) {
        let now = self.cx.now.mono;
        let itself = local.ip() == remote.ip()
            && remote.port() == self.listen.port()
            && (self.listen.ip().is_unspecified() || self.listen.ip() == remote.ip());
        if itself || local == remote {
            self.cx.effects.act(Action::Hangup { line });
            if itself {
                self.forget_own(remote);
            }
            return self.forget_target(line, "that is this node itself");
        }
        if let Some(at) = self.target_at(line) {
            self.targets[at].led = Some(remote);
        }
        if self.is_unwanted(line, remote) {
            return;
        }
        if let Some(there) = self.dialed_before(remote).or(self.met_at(line)) {
            return self.connected_twice(line, there);
        }
        let mut peer = Peer::new(now, remote, true);
        peer.announce();
        self.peers.open(line, peer);
        log::info!("connected to {remote}");
        let Some(at) = self.target_at(line) else {
            return;
        };
        if self.targets[at].learned {
            // From here on the book remembers it.
            self.targets.remove(at);
            return;
        }
        let target = &mut self.targets[at];
        target.contact = Contact::Open(line, now);
        target.kept = true;
        let again = target.error.take().is_some();
        let name = target.name();
        let askers = core::mem::take(&mut target.asked);
        let unasked = askers.is_empty();
        for asker in askers {
            self.cx
                .effects
                .answer(Some(asker), Answer::Connected(name.clone()));
        }
        if unasked && again {
            self.cx
                .effects
                .notify(format!("[network 🔗] connected to {name} again"));
        }
    }

    /// The connection that we made to this address before.
    fn dialed_before(&self, remote: SocketAddr) -> Option<Line> {
        let mut peers = self.peers.iter();
        let there =
            peers.find(|(_, peer)| peer.outbound && peer.remote == remote && peer.gone.is_none());
        there.map(|(line, _)| Line::of_peer(line))
    }

    /// A dial has reached a peer that we are connected to, by another name or because it dialed
    /// us: the connection stays that is there.
    fn connected_twice(&mut self, line: Line, there: Line) {
        self.cx.effects.act(Action::Hangup { line });
        self.peers.free(usize::from(line.0));
        if let Some(at) = self.target_at(line) {
            self.attach(at, there);
        }
    }

    pub(super) fn dial_failed(&mut self, line: Line, reason: &str) {
        self.peers.free(usize::from(line.0));
        if let Some(at) = self.target_at(line)
            && !self.need_not_dial(at)
        {
            self.missed(at, reason);
        }
    }

    /// A connection that was made is of no use, now or later.
    fn forget_target(&mut self, line: Line, reason: &str) {
        self.peers.free(usize::from(line.0));
        if let Some(at) = self.target_at(line) {
            self.targets[at].kept = false;
            self.missed(at, reason);
        }
    }

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
    /// for so many milliseconds: where we dialed it, and where it says that it listens.
    pub(super) fn hang_up(&mut self, line: usize, reason: &str, rest: Option<u64>) {
        let now = self.cx.now.mono;
        if let Some(ms) = rest
            && let Some(peer) = self.peers.get(line)
        {
            let (until, place) = (Millis(now.0 + ms), peer.place());
            self.book.bans.add(place, now, until);
            if peer.port.is_some() {
                self.book.bans.add((place.0, peer.port), now, until);
            }
        }
        let own = Line::of_peer(line);
        self.cx.effects.act(Action::Hangup { line: own });
        self.drop_line(line, reason);
    }

    /// Hangs up on somebody who is left alone and has come by himself.
    pub(super) fn is_sent_away(&mut self, line: usize) -> bool {
        let now = self.cx.now.mono;
        let peer = self.peers.get(line);
        let banned = peer.and_then(|peer| self.book.bans.until(peer.place(), now));
        if banned.is_some() {
            self.hang_up(line, LEFT_ALONE, None);
        }
        banned.is_some()
    }

    fn drop_line(&mut self, line: usize, reason: &str) {
        if self.peers.get(line).is_none() {
            return;
        }
        self.drop_candidate(line, Some(reason));
        self.ends_making_of(line);
        self.leaves_under_way(line);
        let Some(peer) = self.peers.free(line) else {
            return;
        };
        log::info!("{}: connection closed: {reason}", peer.remote);
        self.left(&peer);
        self.lose_voice(&peer);
        let now = self.cx.now.mono;
        let banned = self.book.bans.until(peer.place(), now);
        for at in 0..self.targets.len() {
            if self.targets[at].line() != Some(Line::of_peer(line)) {
                continue;
            }
            let (chance, other) = (self.cx.jitter.number(), self.met(&self.targets[at]));
            let target = &mut self.targets[at];
            let then = match (banned, other) {
                (Some(until), _) => {
                    target.rest(until, reason.to_owned());
                    let minutes = (until.0 - now.0).div_ceil(60_000);
                    format!("not dialed for {minutes} minutes")
                }
                // It was one of two.
                (None, Some(other)) => {
                    target.contact = Contact::Open(other, now);
                    continue;
                }
                (None, None) => {
                    target.retry(now, reason.to_owned(), chance);
                    "dialing again".into()
                }
            };
            let name = target.name();
            self.cx
                .effects
                .notify(format!("[network 🔗] lost {name}: {reason}; {then}"));
        }
    }

    /// Closes a connection in favour of another one to the same node.
    pub(super) fn retire(&mut self, line: usize, kept: usize) {
        let Some(peer) = self.peers.get(line) else {
            return;
        };
        let (remote, outbound) = (peer.remote, peer.outbound);
        log::info!("{remote}: a second connection to the same node is closed");
        self.drop_candidate(
            line,
            Some("it is connected twice; one connection is closed"),
        );
        self.ends_making_of(line);
        let (now, chance) = (self.cx.now.mono, self.cx.jitter.number());
        if outbound {
            // Another address of the same node: no use while the first one lasts.
            self.book.missed(remote, now, chance);
        }
        let line = Line::of_peer(line);
        self.cx.effects.act(Action::Hangup { line });
        self.peers.free(usize::from(line.0));
        for target in self.targets.iter_mut().filter(|t| t.line() == Some(line)) {
            target.contact = Contact::Open(Line::of_peer(kept), now);
        }
    }

    /// One of ours has told its id. A connection to ourselves is closed, and of two to the same
    /// node the one that the node with the greater id dialed, so that both ends mean the same one;
    /// of two in the same direction, the later. Whoever dialed it closes it, for who finds his dial
    /// closed without a word does not know why and dials again. False if it is this one.
    pub(super) fn meet_again(&mut self, line: usize, id: u64) -> bool {
        if id == self.id {
            let own = Line::of_peer(line);
            self.cx.effects.act(Action::Hangup { line: own });
            log::info!("a connection to this node itself is closed");
            if let Some(peer) = self.peers.get(line)
                && peer.outbound
            {
                self.forget_own(peer.remote);
            }
            self.forget_target(own, "that is this node itself");
            return false;
        }
        for target in self.targets.iter_mut() {
            if target.line() == Some(Line::of_peer(line)) {
                target.id = Some(id);
            }
        }
        let met = self.peers.iter().filter_map(|(at, peer)| {
            let there = peer.gone.is_none() && peer.id() == Some(id);
            there.then_some((at, peer.outbound))
        });
        let (own, others): (Vec<_>, Vec<_>) = met.partition(|(at, _)| *at == line);
        let outbound = own.first().is_some_and(|(_, outbound)| *outbound);
        let other = others.first().copied();
        let Some((at, there)) = other else {
            self.reached(line);
            return true;
        };
        let now = self.cx.now.mono;
        // The other end may have given it up already.
        let dead = self.peers.get(at).is_some_and(|peer| peer.is_silent(now));
        let this = there == outbound || outbound == (self.id > id);
        let (closed, ours) = match this && !dead {
            true => (line, outbound),
            false => (at, there),
        };
        if !ours && !dead {
            return true;
        }
        let kept = if closed == line { at } else { line };
        self.retire(closed, kept);
        closed != line
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
        self.tend_quiet();
        self.tend_sync();
        if self.mempool.making.is_none() {
            self.mempool.queue.expire(now);
        }
        self.tend_damage();
        if self.ending.is_some() {
            return;
        }
        self.tend_places();
        self.tend_targets();
    }

    /// Pings who has been quiet for long; with the first of them also who will have been soon.
    fn tend_quiet(&mut self) {
        let now = self.cx.now.mono;
        let quiet = |(_, peer): (usize, &Peer)| peer.is_quiet(now, limits::IDLE_MS);
        if self.peers.iter().any(quiet) {
            let soon = limits::IDLE_MS - limits::PINGS_TOGETHER_MS;
            let peers = self.peers.iter_mut();
            for (_, peer) in peers.filter(|(_, peer)| peer.is_quiet(now, soon)) {
                peer.ping(now);
            }
        }
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
