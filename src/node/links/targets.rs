//! Whom this node dials: the peers it was told to keep, and when it tries again.

use core::net::{IpAddr, SocketAddr};

use super::Links;
use crate::ledger::Who;
use crate::limits;
use crate::node::addresses::plain;
use crate::node::answer::{Answer, SessionId};
use crate::node::effects::Cx;
use crate::node::event::{Action, ConnId, Millis};
use crate::node::peer::{Kind, Peer};
use crate::node::peers::Peers;
use crate::store::disk::Disk;

/// What is said of somebody who is banned.
pub const LEFT_ALONE: &str = "it broke the rules and is left alone for a while";

/// Where a peer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// Dialed again at this time.
    Waiting(Millis),
    /// Being dialed with this id.
    Dialing(ConnId),
    /// Connected with this id since then.
    Open(ConnId, Millis),
}

/// A peer that was named by the command line or the user, or is dialed because it was learned.
pub struct Target {
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Kept for ever: named on the command line, or reached once.
    pub kept: bool,
    /// It comes from the address book, and is no target any more when its dial has ended.
    pub learned: bool,
    /// They wait for the outcome of this dial.
    pub asked: Vec<SessionId>,
    /// Where it stands.
    pub contact: Contact,
    /// Where a connection to it led last: for a name, the address that it stood for.
    pub led: Option<SocketAddr>,
    /// Who was met there, if it is one of ours.
    pub who: Option<Who>,
    /// Why the last attempt or connection ended.
    pub error: Option<String>,
    /// Attempts since the last healthy connection.
    attempts: usize,
}

impl Target {
    /// A target to be dialed at once.
    pub fn new(host: String, port: u16, now: Millis) -> Target {
        Target {
            host,
            port,
            kept: false,
            learned: false,
            asked: Vec::new(),
            contact: Contact::Waiting(now),
            led: None,
            who: None,
            error: None,
            attempts: 0,
        }
    }

    /// `HOST:PORT`, an IPv6 address in brackets.
    pub fn name(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Its address, if it is not named by a name.
    pub fn address(&self) -> Option<SocketAddr> {
        address(&self.host, self.port)
    }

    /// The address at which it is, as far as that is known.
    pub fn place(&self) -> Option<SocketAddr> {
        self.address().or(self.led).map(plain)
    }

    /// Whether a peer is the node that this target means, whoever of the two dialed: it is the one
    /// that was met there before, or is at that address and says that it listens on that port. Two
    /// nodes behind one NAT that listen on the same port are taken for the same one.
    pub fn is(&self, peer: &Peer) -> bool {
        match peer.kind {
            Kind::Unknown | Kind::Ours(None) => false,
            Kind::Ours(who) if self.who == who => true,
            Kind::Ours(_) | Kind::Desktop(_) | Kind::Newer(_) => {
                let there = peer.listening().map(plain);
                there.is_some() && there == self.place()
            }
        }
    }

    /// The connection or the dial ended: tries again later. `chance` is any number.
    pub fn retry(&mut self, now: Millis, error: String, chance: u64) {
        if let Contact::Open(_, since) = self.contact
            && now.0 - since.0 >= limits::HEALTHY_MS
        {
            self.attempts = 0;
        }
        let last = limits::REDIAL_MS.len() - 1;
        let delay = limits::REDIAL_MS[self.attempts.min(last)];
        self.attempts += 1;
        // Up to a tenth less or more, so that peers of a node that restarts do not all call at once.
        let jittered = delay * 9 / 10 + chance % (delay / 5 + 1);
        self.contact = Contact::Waiting(Millis(now.0 + jittered));
        self.error = Some(error);
    }

    /// Not dialed again before this time.
    pub fn back_off(&mut self, until: Millis, error: String) {
        self.contact = Contact::Waiting(until);
        self.error = Some(error);
    }

    /// The id of its dial or connection.
    pub fn conn(&self) -> Option<ConnId> {
        match self.contact {
            Contact::Waiting(_) => None,
            Contact::Dialing(conn) | Contact::Open(conn, _) => Some(conn),
        }
    }
}

impl Links {
    pub fn target_at(&self, conn: ConnId) -> Option<usize> {
        let mut targets = self.targets.iter();
        targets.position(|target| target.conn() == Some(conn))
    }

    /// Whether a connection was made to somebody who is banned although nobody asked for it; it is
    /// closed then. A user who asks for it is obeyed, and that ends the ban.
    pub fn is_unwanted<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        conn: ConnId,
        remote: SocketAddr,
    ) -> bool {
        let at = self.target_at(conn);
        if at.is_some_and(|at| !self.targets[at].asked.is_empty()) {
            self.book.bans.lift(remote);
        }
        let Some(until) = self.book.bans.until_dialed(remote, cx.now.mono) else {
            return false;
        };
        cx.effects.act(Action::Hangup { conn });
        peers.free(usize::from(conn.0));
        match at {
            Some(at) if self.targets[at].learned => self.connect_failed(cx, at, LEFT_ALONE),
            Some(at) => self.targets[at].back_off(until, LEFT_ALONE.into()),
            None => {}
        }
        true
    }

    /// The connection to the node that a target means, whoever dialed, if it is of use.
    pub fn met(&self, now: Millis, peers: &Peers, target: &Target) -> Option<ConnId> {
        let mut open = peers.iter();
        let there = open.find(|(conn, peer)| {
            let lasts = peer.gone.is_none() && !peer.is_silent(now);
            target.is(peer) && lasts && !peers.is_deaf(now, *conn)
        });
        there.map(|(conn, _)| ConnId::of_peer(conn))
    }

    /// The same of the target that is dialed with this id.
    pub fn met_at(&self, now: Millis, peers: &Peers, conn: ConnId) -> Option<ConnId> {
        self.met(now, peers, &self.targets[self.target_at(conn)?])
    }

    /// A target need not be dialed while the connection lasts that is there. From now on it is kept
    /// if it was not.
    pub fn attach<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers, at: usize, there: ConnId) {
        if self.targets[at].learned {
            return self.connect_failed(cx, at, "it is connected already");
        }
        let known = self.target_at(there).is_some();
        let peer = peers.get(usize::from(there.0));
        let who = peer.and_then(|peer| peer.who());
        let target = &mut self.targets[at];
        let name = target.name();
        let sessions = core::mem::take(&mut target.asked);
        let again = target.error.take().is_some() && sessions.is_empty();
        (target.kept, target.who) = (true, who);
        target.contact = Contact::Open(there, cx.now.mono);
        if known {
            self.targets.remove(at);
        } else if again {
            cx.effects
                .notify(format!("[network 🔗] connected to {name} again"));
        }
        for session in sessions {
            cx.effects
                .answer(Some(session), Answer::ConnectedAlready(name.clone()));
        }
    }

    /// Somebody is known now whom a target may mean that waits to be dialed.
    pub fn recognise<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers) {
        let mut at = 0;
        while at < self.targets.len() {
            let before = self.targets.len();
            if matches!(self.targets[at].contact, Contact::Waiting(_)) {
                self.need_not_dial(cx, peers, at);
            }
            // Those behind one that was given up have moved up.
            at += usize::from(self.targets.len() == before);
        }
    }

    /// Whether there is a connection to whom a target means already.
    pub fn need_not_dial<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers, at: usize) -> bool {
        let there = self.met(cx.now.mono, peers, &self.targets[at]);
        there
            .map(|there| self.attach(cx, peers, at, there))
            .is_some()
    }

    /// A dial failed: it is tried again, if its target is kept.
    pub fn connect_failed<D: Disk>(&mut self, cx: &mut Cx<D>, at: usize, reason: &str) {
        let chance = cx.jitter.number();
        if self.targets[at].learned {
            let target = self.targets.remove(at);
            if let Some(address) = target.address() {
                self.book.failed(address, cx.now.mono, chance);
            }
            return;
        }
        let target = &mut self.targets[at];
        let (name, kept) = (target.name(), target.kept);
        let sessions = core::mem::take(&mut target.asked);
        let then = if kept { "; it is dialed again" } else { "" };
        let answer = Answer::Refused(format!("cannot connect to {name}: {reason}{then}."));
        if kept {
            target.retry(cx.now.mono, reason.to_owned(), chance);
        } else {
            self.targets.remove(at);
        }
        if sessions.is_empty() && !kept {
            cx.effects.notify(answer.to_string());
        }
        for session in sessions {
            cx.effects.answer(Some(session), answer.clone());
        }
    }

    /// Dials whom it is time to dial.
    pub fn tend_targets<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers) {
        let now = cx.now.mono;
        let mut at = 0;
        while at < self.targets.len() {
            let before = self.targets.len();
            let contact = self.targets[at].contact;
            if matches!(contact, Contact::Waiting(until) if until <= now)
                && !self.need_not_dial(cx, peers, at)
                && !self.may_not_dial(cx.now.mono, at)
            {
                self.dial_target(cx, peers, at);
            }
            at += usize::from(self.targets.len() == before);
        }
    }

    /// Whether a target is left alone, if nobody asks for it now.
    fn may_not_dial(&mut self, now: Millis, at: usize) -> bool {
        let target = &mut self.targets[at];
        let place = target.place().filter(|_| target.asked.is_empty());
        let ban = place.and_then(|place| self.book.bans.until_dialed(place, now));
        ban.map(|until| target.back_off(until, LEFT_ALONE.into()))
            .is_some()
    }

    fn dial_target<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers, at: usize) {
        let Some(conn) = peers.free_conn() else {
            limits::Full::PlaceDialed.ran();
            let reason = format!("all {} places are taken", limits::PEERS);
            return self.connect_failed(cx, at, &reason);
        };
        peers.dial(conn);
        let target = &mut self.targets[at];
        target.contact = Contact::Dialing(conn);
        let (host, port) = (target.host.clone(), target.port);
        cx.effects.act(Action::Dial { conn, host, port });
    }

    /// A user wants a connection; the outcome is told when it is known.
    pub fn dial<D: Disk>(&mut self, cx: &mut Cx<D>, session: SessionId, host: String, port: u16) {
        let mut targets = self.targets.iter_mut();
        let known = targets.find(|t| t.host == host && t.port == port);
        if let Some(target) = known {
            // What was learned and is now named by the user stays.
            target.learned = false;
            match target.contact {
                Contact::Open(..) => {
                    let answer = Answer::ConnectedAlready(target.name());
                    return cx.effects.answer(Some(session), answer);
                }
                Contact::Waiting(_) => target.contact = Contact::Waiting(cx.now.mono),
                Contact::Dialing(_) => {}
            }
            if !target.asked.contains(&session) {
                target.asked.push(session);
            }
        } else if self.targets.iter().filter(|t| !t.learned).count() >= limits::PEERS {
            limits::Full::Targets.ran();
            let text = format!("{} peers are enough.", limits::PEERS);
            cx.effects.answer(Some(session), Answer::Refused(text));
        } else {
            let mut target = Target::new(host, port, cx.now.mono);
            target.asked.push(session);
            self.targets.push(target);
        }
    }
}

/// An address as a target spells it.
fn address(host: &str, port: u16) -> Option<SocketAddr> {
    let ip: IpAddr = host.parse().ok()?;
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delay(target: &mut Target, now: u64, chance: u64) -> u64 {
        target.retry(Millis(now), "gone".into(), chance);
        match target.contact {
            Contact::Waiting(until) => until.0 - now,
            _ => panic!("waiting"),
        }
    }

    #[test]
    fn delays_grow_to_a_minute_and_stay_there() {
        let mut target = Target::new("host".into(), 6000, Millis(0));
        for expected in [1, 2, 5, 10, 20, 40, 60, 60, 60] {
            let least = delay(&mut target, 5, 0);
            assert_eq!(least, expected * 900);
        }
        for chance in 0..20_000 {
            let delay = delay(&mut target, 5, chance * 977);
            assert!((54_000..=66_000).contains(&delay), "{delay}");
        }
    }

    #[test]
    fn only_a_minute_of_health_begins_anew() {
        let mut target = Target::new("host".into(), 6000, Millis(0));
        for _ in 0..4 {
            delay(&mut target, 0, 0);
        }
        target.contact = Contact::Open(ConnId(0), Millis(1_000));
        assert_eq!(delay(&mut target, 60_999, 0), 18_000);
        target.contact = Contact::Open(ConnId(0), Millis(1_000));
        assert_eq!(delay(&mut target, 61_000, 0), 900);
    }

    #[test]
    fn addresses_are_written_as_they_are_dialed() {
        assert_eq!(Target::new("::1".into(), 7, Millis(0)).name(), "[::1]:7");
        assert_eq!(
            Target::new("pi.local".into(), 7, Millis(0)).name(),
            "pi.local:7"
        );
    }
}
