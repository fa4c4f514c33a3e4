//! Who comes and who goes: connections are accepted, dialed, given up, and dialed again.
//!
//! How a connection ended counts twice, both from [`Links::lost`]: in its target, which says when it is
//! dialed again, and in the address book.
//!
//! `targets` are dialed for ever, the addresses in `address_book` now and then, as far as `hearsay`
//! believes them. `places` says who is accepted, `slots` which connection is evicted for a newcomer,
//! `misbehaviour` who breaks rules, `bans` who is left alone.

mod address_book;
mod bans;
mod hearsay;
mod misbehaviour;
mod places;
mod slots;
mod targets;

use core::net::SocketAddr;

use super::answer::{Answer, SessionId};
use super::effects::Cx;
use super::event::{Action, ConnId, Millis, Network};
use super::peer::Peer;
use super::peers::Peers;
use crate::ledger::Who;
use crate::limits;
use crate::store::disk::Disk;
use address_book::AddressBook;
use misbehaviour::Misbehaviours;
pub use targets::{Contact, LEFT_ALONE, Target};

/// Whom this node dials, and whom it knows.
pub struct Links {
    /// Where it listens.
    listen: SocketAddr,
    /// Who this node is.
    pub own: Who,
    /// Peers that are dialed.
    pub targets: Vec<Target>,
    book: AddressBook,
    misbehaviours: Misbehaviours,
    /// The subnets that this machine is in.
    networks: Vec<Network>,
    /// Nobody who was learned is dialed before this time.
    next_learned: Millis,
}

/// What one of ours is that has proven who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// This node itself.
    Itself,
    /// Somebody who has no other connection that counts.
    Alone,
    /// The same as another connection: one of the two is closed, and the other one kept.
    Twice {
        /// The connection that is closed.
        closed: usize,
        /// The connection that is kept.
        kept: usize,
    },
    /// The same as another connection, one of which the other end closes.
    Theirs,
}

impl Links {
    /// Those of this node, which listens here; `connect` is dialed for ever. The
    /// address book is read; what is wrong with it is added to `notices`.
    pub fn open(
        disk: &mut impl Disk,
        now: Millis,
        (listen, own): (SocketAddr, Who),
        connect: Vec<(String, u16)>,
        notices: &mut Vec<String>,
    ) -> Links {
        let connect = connect.into_iter().map(|(host, port)| {
            let mut target = Target::new(host, port, now);
            target.kept = true;
            target
        });
        Links {
            listen,
            own,
            targets: connect.collect(),
            book: slots::open_book(disk, notices),
            misbehaviours: Misbehaviours::default(),
            networks: Vec::new(),
            next_learned: now,
        }
    }

    /// This machine is in these subnets now.
    pub fn move_to(&mut self, networks: &[Network]) {
        self.networks = networks.to_vec();
    }

    /// When something has to be done.
    pub fn due<D: Disk>(&self, cx: &Cx<D>, peers: &Peers) -> Option<Millis> {
        if cx.ending.is_some() {
            // An ending node dials nobody, so that no time comes at which it would.
            return None;
        }
        let dials = self
            .targets
            .iter()
            .filter_map(|target| match target.contact {
                Contact::Waiting(until) => Some(until),
                Contact::Dialing(_) | Contact::Open(..) => None,
            });
        dials.chain(self.slots_due(cx.now.mono, peers)).min()
    }

    /// Does what it is time for.
    pub fn tend<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers) {
        if cx.ending.is_some() {
            return;
        }
        self.tend_slots(cx, peers);
        self.tend_targets(cx, peers);
    }

    /// Whether this user waits for the outcome of a dial.
    pub fn owes(&self, session: SessionId) -> bool {
        let mut targets = self.targets.iter();
        targets.any(|target| target.asked.contains(&session))
    }

    /// Somebody has connected, and is accepted if there is a place for callers.
    pub fn incoming<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers, from: SocketAddr) {
        let refusal = self.refusal(cx.now.mono, peers, from);
        let Some(conn) = peers.free_conn().filter(|_| refusal.is_none()) else {
            log::info!("{from} is refused: {}", refusal.unwrap_or_default());
            return cx.effects.act(Action::Refuse);
        };
        let mut peer = Peer::new(cx.now.mono, from, false);
        peer.nonce = cx.nonces.draw();
        peers.open(conn, peer);
        cx.effects.act(Action::Accept { conn });
        log::info!("{from} connected");
    }

    /// A dial has reached somebody: our end and theirs.
    pub fn connected<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        conn: ConnId,
        [local, remote]: [SocketAddr; 2],
    ) {
        let now = cx.now.mono;
        let itself = local.ip() == remote.ip()
            && remote.port() == self.listen.port()
            && (self.listen.ip().is_unspecified() || self.listen.ip() == remote.ip());
        if itself || local == remote {
            cx.effects.act(Action::Hangup { conn });
            if itself {
                self.book.forget_own(remote, now);
            }
            return self.forget_target(cx, peers, conn, "that is this node itself");
        }
        if let Some(at) = self.target_at(conn) {
            self.targets[at].led = Some(remote);
        }
        if self.is_unwanted(cx, peers, conn, remote) {
            return;
        }
        if let Some(there) =
            self.dialed_before(peers, remote)
                .or(self.met_at(cx.now.mono, peers, conn))
        {
            return self.connected_twice(cx, peers, conn, there);
        }
        let mut peer = Peer::new(now, remote, true);
        peer.nonce = cx.nonces.draw();
        peer.announce();
        peers.open(conn, peer);
        log::info!("connected to {remote}");
        let Some(at) = self.target_at(conn) else {
            return;
        };
        if self.targets[at].learned {
            // From here on the address book remembers it.
            self.targets.remove(at);
            return;
        }
        let target = &mut self.targets[at];
        target.contact = Contact::Open(conn, now);
        target.kept = true;
        let again = target.error.take().is_some();
        let name = target.name();
        let sessions = core::mem::take(&mut target.asked);
        let unasked = sessions.is_empty();
        for session in sessions {
            cx.effects
                .answer(Some(session), Answer::Connected(name.clone()));
        }
        if unasked && again {
            cx.effects
                .notify(format!("[network 🔗] connected to {name} again"));
        }
    }

    /// The connection that we made to this address before.
    fn dialed_before(&self, peers: &Peers, remote: SocketAddr) -> Option<ConnId> {
        let mut open = peers.iter();
        let there =
            open.find(|(_, peer)| peer.outbound && peer.remote == remote && peer.gone.is_none());
        there.map(|(conn, _)| ConnId::of_peer(conn))
    }

    /// A dial has reached a peer that we are connected to, by another name or because it dialed
    /// us: the connection stays that is there.
    fn connected_twice<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        conn: ConnId,
        there: ConnId,
    ) {
        cx.effects.act(Action::Hangup { conn });
        if let Some(at) = self.ended(peers, conn) {
            self.attach(cx, peers, at, there);
        }
    }

    /// A dial has failed.
    pub fn dial_failed<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        conn: ConnId,
        reason: &str,
    ) {
        if let Some(at) = self.ended(peers, conn)
            && !self.need_not_dial(cx, peers, at)
        {
            self.connect_failed(cx, at, reason);
        }
    }

    /// A dial has ended without a connection that stays: its id is free. The target that it was for.
    fn ended(&self, peers: &mut Peers, conn: ConnId) -> Option<usize> {
        peers.free(usize::from(conn.0));
        self.target_at(conn)
    }

    /// A connection that was made is of no use, now or later.
    fn forget_target<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        conn: ConnId,
        reason: &str,
    ) {
        if let Some(at) = self.ended(peers, conn) {
            self.targets[at].kept = false;
            self.connect_failed(cx, at, reason);
        }
    }

    /// Those who wait to be dialed and are there are dialed now.
    pub fn call(&mut self, now: Millis, is_there: impl Fn(SocketAddr) -> bool) {
        for target in &mut self.targets {
            let waits = matches!(target.contact, Contact::Waiting(_));
            if waits && target.place().is_some_and(&is_there) {
                target.contact = Contact::Waiting(now);
            }
        }
    }

    /// Dials an address now; if it is not reached, not again. Who is left alone is not, and would keep
    /// others from being dialed.
    pub fn dial_once(&mut self, now: Millis, there: SocketAddr) {
        if self.book.bans.until_dialed(there, now).is_some() {
            return;
        }
        let mut target = Target::new(there.ip().to_string(), there.port(), now);
        target.learned = true;
        self.targets.push(target);
    }

    /// A peer has broken a rule; whether that is the last that is suffered of it, or of all at its
    /// address, on whatever connections.
    pub fn misbehaved(&mut self, now: Millis, peer: &mut Peer) -> bool {
        peer.misbehaviours += 1;
        let known = self.misbehaviours.add(peer.remote.ip(), now);
        known || peer.misbehaviours >= limits::MISBEHAVIOURS_MAX
    }

    /// Bans the other end of a connection for `ms` milliseconds: its address, or on this machine the
    /// port that we dialed, and the one where it says that it listens.
    pub fn ban(&mut self, now: Millis, peer: &Peer, ms: u64) {
        let (until, place) = (Millis(now.0 + ms), peer.place());
        self.book.bans.add(place, now, until);
        if peer.port.is_some() {
            self.book.bans.add((place.0, peer.port), now, until);
        }
    }

    /// Whether somebody is left alone.
    pub fn is_banned(&self, now: Millis, peer: &Peer) -> bool {
        self.book.bans.until(peer.place(), now).is_some()
    }

    /// A connection is lost: who has to be dialed again is, later.
    pub fn lost<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &Peers,
        (conn, peer): (usize, &Peer),
        reason: &str,
    ) {
        self.left(cx, peer);
        let (now, conn) = (cx.now.mono, ConnId::of_peer(conn));
        let banned = self.book.bans.until(peer.place(), now);
        for at in 0..self.targets.len() {
            if self.targets[at].conn() != Some(conn) {
                continue;
            }
            let (chance, other) = (cx.jitter.number(), self.met(now, peers, &self.targets[at]));
            let target = &mut self.targets[at];
            let then = match (banned, other) {
                (Some(until), _) => {
                    target.back_off(until, reason.to_owned());
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
            cx.effects
                .notify(format!("[network 🔗] lost {name}: {reason}; {then}"));
        }
    }

    /// Closes a connection in favour of another one to the same node.
    pub fn retire<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        (conn, kept): (usize, usize),
    ) {
        let Some(peer) = peers.free(conn) else {
            return;
        };
        let (remote, outbound) = (peer.remote, peer.outbound);
        log::info!("{remote}: a second connection to the same node is closed");
        let (now, chance) = (cx.now.mono, cx.jitter.number());
        if outbound {
            // Another address of the same node: no use while the first one lasts.
            self.book.failed(remote, now, chance);
        }
        let conn = ConnId::of_peer(conn);
        cx.effects.act(Action::Hangup { conn });
        for target in self.targets.iter_mut().filter(|t| t.conn() == Some(conn)) {
            target.contact = Contact::Open(ConnId::of_peer(kept), now);
        }
    }

    /// A node of this project has proven who it is. A connection to ourselves is closed. Of two to the
    /// same node, the one is closed that the node with the greater id dialed, so that both ends
    /// close the same one; of two in the same direction, the later. Whoever dialed it closes it: a
    /// dial that the other end closes without a word would be tried again.
    pub fn meet<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        conn: usize,
        who: Who,
    ) -> Met {
        let now = cx.now.mono;
        if who == self.own {
            let own = ConnId::of_peer(conn);
            cx.effects.act(Action::Hangup { conn: own });
            log::info!("a connection to this node itself is closed");
            if let Some(peer) = peers.get(conn)
                && peer.outbound
            {
                self.book.forget_own(peer.remote, now);
            }
            self.forget_target(cx, peers, own, "that is this node itself");
            return Met::Itself;
        }
        for target in self.targets.iter_mut() {
            if target.conn() == Some(ConnId::of_peer(conn)) {
                target.who = Some(who);
            }
        }
        let met = peers.iter().filter_map(|(at, peer)| {
            let there = peer.gone.is_none() && peer.who() == Some(who);
            there.then_some((at, peer.outbound))
        });
        let (own, others): (Vec<_>, Vec<_>) = met.partition(|(at, _)| *at == conn);
        let outbound = own.first().is_some_and(|(_, outbound)| *outbound);
        let Some((at, there)) = others.first().copied() else {
            self.reached(cx, peers, conn);
            return Met::Alone;
        };
        // The other end may have given it up already.
        let dead = peers.get(at).is_some_and(|peer| peer.is_silent(now));
        let this = there == outbound || outbound == (self.own.id > who.id);
        let (closed, ours) = match this && !dead {
            true => (conn, outbound),
            false => (at, there),
        };
        if !ours && !dead {
            return Met::Theirs;
        }
        let kept = if closed == conn { at } else { conn };
        Met::Twice { closed, kept }
    }
}

#[cfg(test)]
mod slots_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod who_tests;
