//! The table of connections, and what it shows of several of them together.

use super::answer::Answer;
use super::effects::Effects;
use super::event::{Line, Millis};
use super::peer::Peer;
use crate::limits;
use crate::wire::write::Intent;

/// A line's place in the table.
enum Slot {
    /// Nobody.
    Free,
    /// Somebody who is being dialed.
    Dialing,
    /// Somebody.
    Open(Box<Peer>),
}

/// The connections, by their lines.
pub struct Peers {
    slots: Vec<Slot>,
}

impl Default for Peers {
    fn default() -> Peers {
        Peers {
            slots: (0..limits::PEERS).map(|_| Slot::Free).collect(),
        }
    }
}

impl Peers {
    /// All lines, whatever they are used for.
    pub fn lines(&self) -> core::ops::Range<usize> {
        0..self.slots.len()
    }

    /// The connection of a line, if it has one.
    pub fn get(&self, line: usize) -> Option<&Peer> {
        match &self.slots[line] {
            Slot::Open(peer) => Some(peer),
            Slot::Free | Slot::Dialing => None,
        }
    }

    /// The same to be changed.
    pub fn get_mut(&mut self, line: usize) -> Option<&mut Peer> {
        match &mut self.slots[line] {
            Slot::Open(peer) => Some(peer),
            Slot::Free | Slot::Dialing => None,
        }
    }

    /// All connections with their lines.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Peer)> {
        let lines = self.lines();
        lines.filter_map(|line| Some((line, self.get(line)?)))
    }

    /// The same to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Peer)> {
        let slots = self.slots.iter_mut().enumerate();
        slots.filter_map(|(line, slot)| match slot {
            Slot::Open(peer) => Some((line, &mut **peer)),
            Slot::Free | Slot::Dialing => None,
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.iter().count()
    }

    /// The lines that are used, for somebody who is being dialed too.
    pub fn used(&self) -> usize {
        let slots = self.slots.iter();
        slots.filter(|slot| !matches!(slot, Slot::Free)).count()
    }

    /// A line that nobody uses.
    pub fn free_line(&self) -> Option<Line> {
        let mut slots = self.slots.iter();
        let free = slots.position(|slot| matches!(slot, Slot::Free))?;
        Some(Line::of_peer(free))
    }

    /// Somebody is being dialed on a line.
    pub fn dial(&mut self, line: Line) {
        self.slots[usize::from(line.0)] = Slot::Dialing;
    }

    /// A line has a connection.
    pub fn open(&mut self, line: Line, peer: Peer) {
        self.slots[usize::from(line.0)] = Slot::Open(Box::new(peer));
    }

    /// A line is free; returns its connection, if it had one.
    pub fn free(&mut self, line: usize) -> Option<Box<Peer>> {
        match core::mem::replace(&mut self.slots[line], Slot::Free) {
            Slot::Open(peer) => Some(peer),
            Slot::Free | Slot::Dialing => None,
        }
    }

    /// So many milliseconds that went by were ours.
    pub fn excuse(&mut self, now: Millis, ms: u64) {
        for (_, peer) in self.iter_mut() {
            peer.excuse(now, ms);
        }
    }

    /// Another chain may be looked at now: the first that was skipped is asked for at once.
    pub fn freed(&mut self, now: Millis) {
        let mut peers = self.iter_mut();
        if let Some((_, peer)) = peers.find(|(_, peer)| peer.deferred.is_some()) {
            peer.deferred = Some(now);
        }
    }

    /// Pings who has been quiet for long; with the first of them also who will have been soon.
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

    /// What somebody said is nothing.
    pub fn skipped(&self, line: usize) {
        if let Some(peer) = self.get(line) {
            log::info!("{}: a line that is not JSON is skipped", peer.remote);
        }
    }

    /// One that has hung up and whose last words were looked at, and why it did: each once.
    pub fn next_gone(&mut self) -> Option<(usize, String)> {
        let mut read = self.iter_mut().filter(|(_, peer)| !peer.is_unread());
        read.find_map(|(line, peer)| peer.gone.take().map(|reason| (line, reason)))
    }

    /// Tells every peer but one. One of ours need not hear the transactions of a block before it; who
    /// has not spoken yet may be a desktop node, which hears what it lacks when it is known what that
    /// is.
    pub fn relay(&mut self, intent: Intent, but: Option<usize>) {
        for (line, peer) in self.iter_mut() {
            if Some(line) == but || peer.is_newer() {
                continue;
            }
            let (ours, known) = (peer.is_ours(), peer.has_spoken());
            match (intent, peer.desktop()) {
                (Intent::Block(_) | Intent::OwnBlock(_), None) if !known => {
                    peer.missed = true;
                }
                (Intent::Block(_) | Intent::OwnBlock(_), Some(desktop)) => {
                    if desktop.is_device() {
                        peer.push(intent);
                    }
                }
                (Intent::OwnBlock(height), None) if ours => peer.push(Intent::Block(height)),
                _ => peer.push(intent),
            }
        }
    }

    /// Tells how it ended to those who asked a peer for its chain.
    pub fn tell_outcome(&mut self, effects: &mut Effects, line: usize, outcome: &str) {
        let Some(peer) = self.get_mut(line) else {
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
