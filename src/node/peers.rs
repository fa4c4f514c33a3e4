//! The table of connections, and what it shows of several of them together. `twins` and `newer` add what
//! desktop nodes and nodes with credits show.

use super::answer::Answer;
use super::effects::Effects;
use super::event::{ConnId, Millis};
use super::peer::Peer;
use crate::limits;
use crate::wire::Reader;
use crate::wire::write::Outgoing;

/// A slot for a connection.
enum PeerSlot {
    /// Nobody.
    Free,
    /// Somebody who is being dialed.
    Dialing,
    /// Somebody.
    Open(Box<Peer>),
}

/// The connections, by their ids. Each id has buffers to read and to write with, which go from one
/// connection to the next: whoever comes and goes leaves nothing behind in memory.
pub struct Peers {
    slots: Vec<PeerSlot>,
    buffers: Vec<[Vec<u8>; 2]>,
}

impl Default for Peers {
    fn default() -> Peers {
        Peers {
            slots: (0..limits::PEERS).map(|_| PeerSlot::Free).collect(),
            buffers: (0..limits::PEERS)
                .map(|_| [Reader::buffer(), Vec::new()])
                .collect(),
        }
    }
}

impl Peers {
    /// All ids, whatever they are used for.
    pub fn conns(&self) -> core::ops::Range<usize> {
        0..self.slots.len()
    }

    /// The connection with this id, if it is open.
    pub fn get(&self, conn: usize) -> Option<&Peer> {
        match &self.slots[conn] {
            PeerSlot::Open(peer) => Some(peer),
            PeerSlot::Free | PeerSlot::Dialing => None,
        }
    }

    /// The same to be changed.
    pub fn get_mut(&mut self, conn: usize) -> Option<&mut Peer> {
        match &mut self.slots[conn] {
            PeerSlot::Open(peer) => Some(peer),
            PeerSlot::Free | PeerSlot::Dialing => None,
        }
    }

    /// All connections with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Peer)> {
        let conns = self.conns();
        conns.filter_map(|conn| Some((conn, self.get(conn)?)))
    }

    /// The same to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Peer)> {
        let slots = self.slots.iter_mut().enumerate();
        slots.filter_map(|(conn, slot)| match slot {
            PeerSlot::Open(peer) => Some((conn, &mut **peer)),
            PeerSlot::Free | PeerSlot::Dialing => None,
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.iter().count()
    }

    /// How many slots are used, including those of dials.
    pub fn used(&self) -> usize {
        let slots = self.slots.iter();
        slots.filter(|slot| !matches!(slot, PeerSlot::Free)).count()
    }

    /// The id of a free slot.
    pub fn free_conn(&self) -> Option<ConnId> {
        let mut slots = self.slots.iter();
        let free = slots.position(|slot| matches!(slot, PeerSlot::Free))?;
        Some(ConnId::of_peer(free))
    }

    /// A slot is used for a dial.
    pub fn dial(&mut self, conn: ConnId) {
        self.slots[usize::from(conn.0)] = PeerSlot::Dialing;
    }

    /// A slot has a connection.
    pub fn open(&mut self, conn: ConnId, mut peer: Peer) {
        let conn = usize::from(conn.0);
        let [read, write] = core::mem::take(&mut self.buffers[conn]);
        peer.reader.exchange(read);
        peer.writer.exchange(write);
        self.slots[conn] = PeerSlot::Open(Box::new(peer));
    }

    /// Frees a slot; returns its connection, if it had one.
    pub fn free(&mut self, conn: usize) -> Option<Box<Peer>> {
        match core::mem::replace(&mut self.slots[conn], PeerSlot::Free) {
            PeerSlot::Open(mut peer) => {
                let read = peer.reader.exchange(Vec::new());
                self.buffers[conn] = [read, peer.writer.exchange(Vec::new())];
                Some(peer)
            }
            PeerSlot::Free | PeerSlot::Dialing => None,
        }
    }

    /// This node was busy or stopped for `ms` milliseconds, which do not count against any peer.
    pub fn excuse(&mut self, now: Millis, ms: u64) {
        for (_, peer) in self.iter_mut() {
            peer.excuse(now, ms);
        }
    }

    /// Nobody is read now: whose first message waits has said it in time.
    pub fn excuse_unread(&mut self, now: Millis) {
        for (_, peer) in self.iter_mut().filter(|(_, peer)| peer.is_unread()) {
            peer.awaited = now;
        }
    }

    /// Another chain may be looked at now: the one that has waited longest is asked for at once.
    pub fn freed(&mut self, now: Millis) {
        let waiting = self.iter_mut().filter_map(|(_, peer)| {
            let since = peer.waits_since(now)?;
            Some((since, peer))
        });
        if let Some((_, peer)) = waiting.min_by_key(|(since, _)| *since) {
            peer.deferred = Some(now);
        }
    }

    /// Pings the peers that have been quiet for long and, if there are any, those that soon will have
    /// been.
    pub fn tend_quiet(&mut self, now: Millis) {
        let quiet = |(_, peer): (usize, &Peer)| peer.is_quiet(now, limits::IDLE_MS);
        if self.iter().any(quiet) {
            let soon = limits::IDLE_MS - limits::PINGS_TOGETHER_MS;
            let peers = self.iter_mut();
            for (_, peer) in peers.filter(|(_, peer)| peer.is_quiet(now, soon)) {
                peer.ping(now);
            }
        }
    }

    /// A peer sent a line that is not JSON.
    pub fn skipped(&self, conn: usize) {
        if let Some(peer) = self.get(conn) {
            log::info!("{}: a line that is not JSON is skipped", peer.remote);
        }
    }

    /// A peer that has hung up and whose last words were looked at, and why it hung up. Each is returned
    /// once.
    pub fn next_gone(&mut self) -> Option<(usize, String)> {
        let mut read = self.iter_mut().filter(|(_, peer)| !peer.is_unread());
        read.find_map(|(conn, peer)| peer.gone.take().map(|reason| (conn, reason)))
    }

    /// Tells every peer but one. One of ours need not hear the transactions of a block before it; who
    /// has not spoken yet may be a desktop node, which hears what it lacks when it is known what that
    /// is.
    pub fn relay(&mut self, message: Outgoing, but: Option<usize>) {
        for (conn, peer) in self.iter_mut() {
            if Some(conn) == but || peer.is_newer() {
                continue;
            }
            let (ours, known) = (peer.is_ours(), peer.has_spoken());
            match (message, peer.desktop()) {
                (Outgoing::Block(_) | Outgoing::OwnBlock(_), None) if !known => {
                    peer.missed = true;
                }
                (Outgoing::Block(_) | Outgoing::OwnBlock(_), Some(desktop)) => {
                    if desktop.is_device() {
                        peer.push(message);
                    }
                }
                (Outgoing::OwnBlock(height), None) if ours => peer.push(Outgoing::Block(height)),
                _ => peer.push(message),
            }
        }
    }

    /// Tells the users who asked a peer for its chain how that ended.
    pub fn tell_outcome(&mut self, effects: &mut Effects, conn: usize, outcome: &str) {
        let Some(peer) = self.get_mut(conn) else {
            return;
        };
        let answer = Answer::Outcome {
            peer: peer.remote.to_string(),
            outcome: outcome.to_owned(),
        };
        for session in core::mem::take(&mut peer.asked_by) {
            effects.answer(Some(session), answer.clone());
        }
    }
}

#[cfg(test)]
#[path = "peers_tests.rs"]
mod tests;
