//! Which connections lead to the same desktop node.

use core::net::SocketAddr;

use super::addresses::{common, plain};
use super::desktop::{Desktop, FOR_GOOD, Stand};
use super::event::Millis;
use super::peer::{Kind, Peer};
use super::peers::Peers;
use crate::ledger::Hash;
use crate::limits;
use crate::wire::extension::BlockMark;

/// The address by which the desktop node behind a connection is known.
pub fn known_as(peer: &Peer, desktop: &Desktop, now: Millis) -> SocketAddr {
    let own = || match desktop.is_apart() {
        true => peer.remote,
        false => peer.listening().unwrap_or(peer.remote),
    };
    desktop.alias(now).unwrap_or_else(|| plain(own()))
}

/// How a block was announced.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Announced {
    /// For the first time.
    First,
    /// By the same desktop node, over another connection.
    Twice,
    /// Again, or by another desktop node: it stands for something else that its user did.
    Elsewhere,
}

impl Peers {
    /// What is known of the desktop node of a connection, which may have hung up.
    pub fn desktop_of(&mut self, conn: usize) -> Option<&mut Desktop> {
        self.get_mut(conn).and_then(Peer::desktop)
    }

    /// The same, unless it has hung up.
    pub fn desktop_at(&self, conn: usize) -> Option<&Desktop> {
        let peer = self.get(conn).filter(|peer| peer.gone.is_none())?;
        match &peer.kind {
            Kind::Desktop(desktop) => Some(desktop),
            Kind::Unknown | Kind::Ours(_) | Kind::Newer(_) => None,
        }
    }

    /// Whether something is under way to the desktop node of a connection.
    pub fn is_busy(&self, conn: usize) -> bool {
        let desktop = self.desktop_at(conn);
        desktop.is_some_and(|desktop| desktop.under_way.is_some())
    }

    /// The address at which the desktop node of a connection listens, the same for all its connections.
    pub fn desktop_id(&self, now: Millis, conn: usize) -> Option<SocketAddr> {
        let desktop = self.desktop_at(conn)?;
        self.get(conn).map(|peer| known_as(peer, desktop, now))
    }

    /// The address that the other end of a connection shows.
    pub fn shows(&self, conn: usize) -> Option<SocketAddr> {
        self.get(conn)?.listening().map(plain)
    }

    /// The connections to the desktop node of this address.
    pub fn lines_to(&self, now: Millis, id: SocketAddr) -> impl Iterator<Item = usize> {
        self.conns()
            .filter(move |conn| self.desktop_id(now, *conn) == Some(id))
    }

    /// The connection over which the desktop node of a connection is spoken to: one that it knows
    /// of before one that it forgot, one that it dialed before one that we did, the oldest first.
    pub fn voice_of(&self, now: Millis, conn: usize) -> usize {
        let Some(id) = self.desktop_id(now, conn) else {
            return conn;
        };
        let rank = |at: &usize| match self.get(*at) {
            Some(peer) => (self.is_deaf(now, *at), peer.outbound, peer.opened, *at),
            None => (true, true, Millis(u64::MAX), *at),
        };
        self.lines_to(now, id).min_by_key(rank).unwrap_or(conn)
    }

    /// The next connection, from this one on, that we dialed to a desktop node which has another
    /// one, and that one: it is closed. One that it dialed never is: it knows its peers by their
    /// names, and would forget us (PROTOCOL.md section 5).
    pub fn next_twin(&self, now: Millis, from: usize) -> Option<[usize; 2]> {
        let mut twins = (from..self.conns().end).filter_map(|conn| {
            let (voice, peer) = (self.voice_of(now, conn), self.get(conn)?);
            (voice != conn && peer.outbound).then_some([conn, voice])
        });
        twins.next()
    }

    /// A desktop node has announced a block of this hash. It passes none on, so two connections over
    /// which the same ones came lead to the same node: two of them, as its threads may announce one
    /// that another node made (PROTOCOL.md section 5).
    pub fn note_maker(&mut self, now: Millis, conn: usize, hash: Hash) -> Announced {
        let mut conns = self.conns().filter(|at| *at != conn);
        let twin = conns.find(|at| {
            let desktop = self.desktop_at(*at);
            desktop.is_some_and(|desktop| desktop.has_made(&hash))
        });
        let shared = twin.and_then(|twin| self.desktop_at(twin).zip(self.desktop_at(conn)));
        let sure = shared.is_some_and(|(twin, own)| own.shares_with(twin));
        let (own, other) = (
            self.desktop_id(now, conn),
            twin.and_then(|at| self.desktop_id(now, at)),
        );
        let Some(desktop) = self.desktop_of(conn) else {
            return Announced::Twice;
        };
        match other.filter(|_| sure && other != own) {
            // By what it said it was another one: that has to show anew.
            Some(_) if desktop.is_apart() => desktop.apart = 0,
            Some(other) => desktop.note_address(other, FOR_GOOD),
            None => {}
        }
        match (desktop.makes(now, hash), twin) {
            (true, None) => Announced::First,
            (true, Some(_)) if sure || other == own => Announced::Twice,
            _ => Announced::Elsewhere,
        }
    }

    /// What tells the last blocks that came from desktop nodes.
    pub fn marks(&self, now: Millis) -> Vec<(SocketAddr, BlockMark)> {
        let mark = |conn| Some((self.desktop_id(now, conn)?, self.desktop_at(conn)?.mark()?));
        let marks = self.conns().filter_map(mark);
        marks.map(|(id, mark)| (common(id), mark)).collect()
    }

    /// Another one of ours heard such a block from a desktop node at this address. If it came here
    /// too, from another address, both mean the same node by the lower one of the two: for a while,
    /// and for good when there is a second.
    pub fn note_mark(&mut self, now: Millis, there: SocketAddr, mark: &BlockMark) {
        for conn in self.conns() {
            let Some(id) = self.desktop_id(now, conn).filter(|id| common(*id) >= there) else {
                continue;
            };
            let apart = self.desktop_at(conn).is_some_and(Desktop::is_apart);
            if apart && self.shows(conn).map(common) == Some(there) {
                // By that the other one is known.
                continue;
            }
            let desktop = self.desktop_of(conn);
            let until = desktop.and_then(|desktop| desktop.shares_mark(now, there, mark));
            let Some(until) = until else { continue };
            for twin in self.lines_to(now, id).collect::<Vec<_>>() {
                if let Some(desktop) = self.desktop_of(twin) {
                    desktop.note_address(there, until);
                }
            }
        }
    }

    /// Whether a desktop node does not know this connection any more.
    pub fn is_deaf(&self, now: Millis, conn: usize) -> bool {
        let deaf = self.desktop_at(conn).and_then(|desktop| desktop.deaf);
        deaf.is_some_and(|at| at <= now)
    }

    /// A desktop node's chain ends with this block, behind all that we have. If that never came by
    /// itself, its node does not know this connection any more: it keeps its peers by their names,
    /// and forgets one with another one of the same name (PROTOCOL.md section 5).
    pub fn note_unsaid(&mut self, now: Millis, conn: usize, last: &Hash) {
        let at = Millis(now.0 + limits::DESKTOP_QUIET_MS);
        let Some(peer) = self.get_mut(conn) else {
            return;
        };
        if peer.outbound {
            // Our own name for a connection is no other's.
            return;
        }
        if let Some(desktop) = peer.desktop()
            && !desktop.has_made(last)
        {
            // Its block may be right behind.
            desktop.deaf.get_or_insert(at);
        }
    }

    /// Asks a desktop node for its chain, over the connection over which it is spoken to.
    pub fn doubt(&mut self, now: Millis, conn: usize) {
        let voice = self.voice_of(now, conn);
        if let Some(desktop) = self.desktop_of(voice) {
            desktop.doubt(now);
        }
    }

    /// Our chain has other content from a height on: what desktop nodes have has to be compared
    /// again, but for the one that told it.
    pub fn doubt_all(&mut self, now: Millis, but: Option<usize>) {
        let others = self.iter_mut().filter(|(conn, _)| Some(*conn) != but);
        for desktop in others.filter_map(|(_, peer)| peer.desktop()) {
            desktop.stand = Stand::Unknown;
            desktop.doubt(now);
        }
    }
}
