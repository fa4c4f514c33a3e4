//! Who gets a place: callers have most of them, and no address more than a few; the others are for dials.

use core::net::SocketAddr;

use super::Links;
use super::targets::{Contact, LEFT_ALONE, Target};
use crate::limits;
use crate::node::event::Millis;
use crate::node::peer::Peer;
use crate::node::peers::Peers;

/// Places that callers can have.
const CALLERS: usize = limits::PEERS - limits::PLACES_FOR_DIALS;

/// What a caller would be refused for.
enum Obstacle {
    /// Whatever gives way: it is left alone.
    Banned,
    /// Its address has as many connections as it may have.
    Crowd,
    /// Callers have all the places that they may have.
    Callers,
    /// There is no place at all.
    Full,
}

impl Links {
    /// Why a caller cannot be accepted now: a clause.
    pub fn refusal(&self, now: Millis, peers: &Peers, from: SocketAddr) -> Option<String> {
        let why = match self.obstacle(now, peers, from)? {
            Obstacle::Banned => LEFT_ALONE.into(),
            Obstacle::Crowd => {
                limits::Full::PlaceAddress.ran();
                format!(
                    "there are {} connections from its address",
                    limits::PEERS_PER_ADDRESS
                )
            }
            Obstacle::Callers => {
                limits::Full::PlaceRefused.ran();
                format!("all {CALLERS} places of callers are taken")
            }
            Obstacle::Full => {
                limits::Full::PlaceFull.ran();
                format!("all {} places are taken", limits::PEERS)
            }
        };
        Some(why)
    }

    fn obstacle(&self, now: Millis, peers: &Peers, from: SocketAddr) -> Option<Obstacle> {
        let callers = || peers.iter().filter(|(_, peer)| !peer.outbound);
        let near = callers().filter(|(_, peer)| is_near(peer, from));
        if self.book.bans.until_dialed(from, now).is_some() {
            return Some(Obstacle::Banned);
        }
        if near.count() >= limits::PEERS_PER_ADDRESS && !self.may_crowd(from) {
            return Some(Obstacle::Crowd);
        }
        if callers().count() >= CALLERS {
            return Some(Obstacle::Callers);
        }
        peers.free_conn().is_none().then_some(Obstacle::Full)
    }

    /// Whether as many may come from this address as there are places: this machine is trusted, and so
    /// are those that were named.
    fn may_crowd(&self, from: SocketAddr) -> bool {
        let from = from.ip().to_canonical();
        let mut named = self.targets.iter().filter(|target| !target.learned);
        from.is_loopback() || named.any(|named| named.place().is_some_and(|at| at.ip() == from))
    }

    /// Whose place a caller gets, if there is none for it otherwise. Of those from its own address that
    /// is one that is of no use any more, as those of a machine are that was without a cable.
    pub fn gives_way_to_caller(
        &self,
        now: Millis,
        peers: &Peers,
        from: SocketAddr,
        syncing: Option<usize>,
    ) -> Option<usize> {
        let obstacle = self.obstacle(now, peers, from)?;
        let idle = |peer: &Peer| !peer.has_spoken() || peer.is_silent(now);
        let may = |peer: &Peer| {
            let settled = now.0 >= peer.opened.0 + limits::NEWCOMER_MS;
            settled
                && match obstacle {
                    Obstacle::Banned => false,
                    Obstacle::Crowd => !peer.outbound && is_near(peer, from) && idle(peer),
                    Obstacle::Callers => !peer.outbound,
                    Obstacle::Full => true,
                }
        };
        self.eviction_candidate(peers, syncing, &may)
    }

    /// Whose place a peer gets that was named and is to be dialed now, if there is none for it otherwise:
    /// that of anybody, however new.
    pub fn gives_way_to_named(
        &self,
        now: Millis,
        peers: &Peers,
        syncing: Option<usize>,
    ) -> Option<usize> {
        let free = limits::PEERS - peers.used();
        let mut due = self
            .targets
            .iter()
            .filter(|target| self.is_dialed_now(now, peers, target));
        // As many as are free need nobody's place.
        due.nth(free)?;
        self.eviction_candidate(peers, syncing, &|_| true)
    }

    fn is_dialed_now(&self, now: Millis, peers: &Peers, target: &Target) -> bool {
        let waits = matches!(target.contact, Contact::Waiting(until) if until <= now);
        let ban = |at| self.book.bans.until_dialed(at, now).is_some();
        let banned = target.asked.is_empty() && target.place().is_some_and(ban);
        waits && !target.learned && !banned && self.met(now, peers, target).is_none()
    }
}

/// Whether a peer has the same address as a caller.
fn is_near(peer: &Peer, from: SocketAddr) -> bool {
    peer.remote.ip().to_canonical() == from.ip().to_canonical()
}

#[cfg(test)]
#[path = "places_tests.rs"]
mod tests;
