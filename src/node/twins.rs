//! Which connections lead to the same desktop node, on which of them it is spoken to, and who else may
//! be connected to it.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeSet;

use super::addresses::{common, friend, plain};
use super::desktop::{Desktop, FOR_GOOD, Unsure};
use super::lines::{Kind, Peer, Slot};
use super::peers::{Contact, Target};
use super::{Millis, Node};
use crate::ledger::Hash;
use crate::limits;
use crate::store::disk::Disk;
use crate::wire::extension::BlockMark;

/// The address by which the desktop node behind a connection is known.
fn known_as(peer: &Peer, desktop: &Desktop, now: Millis) -> SocketAddr {
    let own = || match desktop.is_apart() {
        true => peer.remote,
        false => peer.listening().unwrap_or(peer.remote),
    };
    desktop.alias(now).unwrap_or_else(|| plain(own()))
}

/// How a block was announced.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// For the first time.
    First,
    /// By the same desktop node, over another connection.
    Twice,
    /// Again, or by another desktop node: it stands for something else that its user did.
    Elsewhere,
}

impl<D: Disk> Node<D> {
    /// What is known of the desktop node of a line, which may have hung up.
    pub(super) fn desktop_of(&mut self, line: usize) -> Option<&mut Desktop> {
        self.slots[line].peer().and_then(Peer::desktop)
    }

    /// The same, unless it has hung up.
    pub(super) fn desktop_at(&self, line: usize) -> Option<&Desktop> {
        match &self.slots[line] {
            Slot::Open(peer) if peer.gone.is_none() => match &peer.kind {
                Kind::Desktop(desktop) => Some(desktop),
                Kind::Unknown | Kind::Ours(_) | Kind::Newer(_) => None,
            },
            _ => None,
        }
    }

    /// The address at which the desktop node of a line listens, the same for all its connections.
    pub(super) fn desktop_id(&self, line: usize) -> Option<SocketAddr> {
        let desktop = self.desktop_at(line)?;
        match &self.slots[line] {
            Slot::Open(peer) => Some(known_as(peer, desktop, self.cx.now.mono)),
            Slot::Free | Slot::Dialing => None,
        }
    }

    /// The address that the other end of a line shows.
    fn shows(&self, line: usize) -> Option<SocketAddr> {
        match &self.slots[line] {
            Slot::Open(peer) => peer.listening().map(plain),
            Slot::Free | Slot::Dialing => None,
        }
    }

    /// The lines to the desktop node of this address.
    pub(super) fn lines_to(&self, id: SocketAddr) -> impl Iterator<Item = usize> {
        (0..self.slots.len()).filter(move |line| self.desktop_id(*line) == Some(id))
    }

    /// The line on which the desktop node of a line is spoken to: one that it knows of before one that
    /// it forgot, one that it dialed before one that we did, the oldest first.
    pub(super) fn voice_of(&self, line: usize) -> usize {
        let Some(id) = self.desktop_id(line) else {
            return line;
        };
        let rank = |at: &usize| match &self.slots[*at] {
            Slot::Open(peer) => (self.is_deaf(*at), peer.outbound, peer.opened, *at),
            _ => (true, true, Millis(u64::MAX), *at),
        };
        self.lines_to(id).min_by_key(rank).unwrap_or(line)
    }

    /// Whether of all of ours this node speaks to the desktop node of a line, and on this line.
    pub(super) fn speaks_to(&self, line: usize) -> bool {
        let id = self.desktop_id(line);
        let speaks = id.is_some_and(|id| self.voices.speaks(self.cx.now.mono, id));
        speaks && self.voice_of(line) == line
    }

    /// Whether what the desktop node of a line said is this node's to make: it speaks to it, or knows
    /// its chain and nobody else of ours can have heard it, or it has hung up.
    pub(super) fn makes_for(&self, line: usize) -> bool {
        let voice = self.voice_of(line);
        let Some((desktop, id)) = self.desktop_at(voice).zip(self.desktop_id(voice)) else {
            return true;
        };
        let alone = || self.voices.is_alone_beside(self.cx.now.mono, id);
        self.speaks_to(voice) || (desktop.said.is_some() && alone())
    }

    /// A desktop node has announced a block of this hash. It passes none on, so two connections over
    /// which the same ones came lead to the same node: two of them, as its threads may announce one
    /// that another node made (PROTOCOL.md section 5).
    pub(super) fn note_maker(&mut self, line: usize, hash: Hash) -> Heard {
        let now = self.cx.now.mono;
        let mut lines = (0..self.slots.len()).filter(|at| *at != line);
        let twin = lines.find(|at| {
            let desktop = self.desktop_at(*at);
            desktop.is_some_and(|desktop| desktop.has_made(&hash))
        });
        let shared = twin.and_then(|twin| self.desktop_at(twin).zip(self.desktop_at(line)));
        let sure = shared.is_some_and(|(twin, own)| own.shares_with(twin));
        let (own, other) = (
            self.desktop_id(line),
            twin.and_then(|at| self.desktop_id(at)),
        );
        let Some(desktop) = self.desktop_of(line) else {
            return Heard::Twice;
        };
        match other.filter(|_| sure && other != own) {
            // By what it said it was another one: that has to show anew.
            Some(_) if desktop.is_apart() => desktop.apart = 0,
            Some(other) => desktop.is_known_as(other, FOR_GOOD),
            None => {}
        }
        match (desktop.makes(now, hash), twin) {
            (true, None) => Heard::First,
            (true, Some(_)) if sure || other == own => Heard::Twice,
            _ => Heard::Elsewhere,
        }
    }

    /// When the desktop node of a line on which it is not spoken to is asked for its chain all the
    /// same: where two of them are behind a router they show one address. Right behind the one on
    /// which it is spoken to, as long as what both told proves neither.
    pub(super) fn twin_asks_at(&self, line: usize) -> Option<Millis> {
        let voice = self.voice_of(line);
        let alike = self.shows(voice) == self.shows(line);
        if voice == line || !alike || !self.speaks_to(voice) {
            return None;
        }
        let (own, spoken) = self.desktop_at(line).zip(self.desktop_at(voice))?;
        let (_, told) = spoken.answer?;
        let compared = own.answer.is_some_and(|(_, at)| at >= told);
        let known = own.is_twin || own.alias(self.cx.now.mono).is_some() || compared;
        (!known && spoken.is_unchanged(told)).then_some(own.ask_at)
    }

    /// A desktop node has told its chain on a line on which it is not spoken to.
    pub(super) fn compare_twin(&mut self, line: usize) {
        let voice = self.voice_of(line);
        let Some((own, spoken)) = self.desktop_at(line).zip(self.desktop_at(voice)) else {
            return;
        };
        let Some(((chain, at), (other, since))) = own.answer.zip(spoken.answer) else {
            return;
        };
        if voice == line
            || at < self.cx.now.mono
            || !own.is_unchanged(since)
            || !spoken.is_unchanged(since)
        {
            return;
        }
        let same = chain.is_as(&other);
        let last = chain.length.saturating_sub(1);
        let ours = last < self.cx.chain.tip().length && self.cx.chain.hash(last) == Ok(chain.hash);
        if let Some(desktop) = self.desktop_of(line) {
            desktop.is_twin = same && !ours;
            desktop.apart = if same { 0 } else { desktop.apart + 1 };
        }
    }

    /// What tells the last blocks that came from desktop nodes.
    pub(super) fn marks(&self) -> Vec<(SocketAddr, BlockMark)> {
        let mark = |line| Some((self.desktop_id(line)?, self.desktop_at(line)?.mark()?));
        let marks = (0..self.slots.len()).filter_map(mark);
        marks.map(|(id, mark)| (common(id), mark)).collect()
    }

    /// Another one of ours heard such a block from a desktop node at this address. If it came here
    /// too, from another address, both mean the same node by the lower one of the two: for a while,
    /// and for good when there is a second.
    pub(super) fn note_mark(&mut self, there: SocketAddr, mark: &BlockMark) {
        let now = self.cx.now.mono;
        for line in 0..self.slots.len() {
            let Some(id) = self.desktop_id(line).filter(|id| common(*id) >= there) else {
                continue;
            };
            let apart = self.desktop_at(line).is_some_and(Desktop::is_apart);
            if apart && self.shows(line).map(common) == Some(there) {
                // By that the other one is known.
                continue;
            }
            let desktop = self.desktop_of(line);
            let until = desktop.and_then(|desktop| desktop.shares_mark(now, there, mark));
            let Some(until) = until else { continue };
            for twin in self.lines_to(id).collect::<Vec<_>>() {
                if let Some(desktop) = self.desktop_of(twin) {
                    desktop.is_known_as(there, until);
                }
            }
        }
    }

    /// Closes connections that we dialed to a desktop node which has another one. One that it dialed
    /// is never closed: it knows its peers by their names, and would forget us (PROTOCOL.md section
    /// 5).
    pub(super) fn close_twins(&mut self) {
        for line in 0..self.slots.len() {
            let voice = self.voice_of(line);
            let Slot::Open(peer) = &self.slots[line] else {
                continue;
            };
            if voice == line || !peer.outbound {
                continue;
            }
            let busy = self.desktop_at(line).is_some_and(|d| d.under_way.is_some());
            let now = self.cx.now.mono;
            self.retire(line, voice);
            if let Some(desktop) = self.desktop_of(voice)
                && busy
            {
                desktop.quiet = Millis(now.0 + limits::DESKTOP_QUIET_MS);
            }
        }
    }

    /// A line ends. What its desktop node was told last may be handled later than what the next one
    /// brings: by a thread of its own (PROTOCOL.md section 5).
    pub(super) fn leaves_under_way(&mut self, line: usize) {
        let now = self.cx.now.mono;
        let Slot::Open(peer) = &self.slots[line] else {
            return;
        };
        let Kind::Desktop(desktop) = &peer.kind else {
            return;
        };
        if desktop.under_way.is_none() {
            return;
        }
        let id = known_as(peer, desktop, now);
        self.remembered.left.write((id, now));
        let others = self.lines_to(id).filter(|at| *at != line);
        for at in others.collect::<Vec<_>>() {
            if let Some(desktop) = self.desktop_of(at) {
                desktop.unsure = Some(Unsure::default());
                desktop.doubt(now);
            }
        }
    }

    /// A desktop node has said whom it is connected to. If that is somebody this node is not connected
    /// to, it may be one of ours that speaks to it: he is called at once, and has some time to tell.
    pub(super) fn hear_friends(&mut self, line: usize, peers: &[String]) {
        let Slot::Open(peer) = &self.slots[line] else {
            return;
        };
        let there = peer.remote.ip().to_canonical();
        let friends = peers.iter().filter_map(|text| friend(text, there));
        let friends: Vec<SocketAddr> = friends.collect();
        let now = self.cx.now.mono;
        let connected = |host: IpAddr| {
            let mut open = self.slots.iter().filter_map(|slot| match slot {
                Slot::Open(peer) => Some(peer.remote.ip().to_canonical()),
                Slot::Free | Slot::Dialing => None,
            });
            host.is_loopback() || open.any(|there| there == host)
        };
        let hosts = friends.iter().map(|friend| friend.ip().to_canonical());
        let strangers: BTreeSet<IpAddr> = hosts.filter(|host| !connected(*host)).collect();
        let Some(desktop) = self.desktop_of(line) else {
            return;
        };
        desktop.friends = friends;
        if core::mem::replace(&mut desktop.is_met, true) || strangers.is_empty() {
            return;
        }
        let until = Millis(now.0 + limits::DESKTOP_QUIET_MS);
        desktop.quiet = desktop.quiet.max(until);
        let is_there = |place: SocketAddr| strangers.contains(&place.ip().to_canonical());
        for target in &mut self.targets {
            if matches!(target.contact, Contact::Waiting(_)) && target.place().is_some_and(is_there)
            {
                target.contact = Contact::Waiting(now);
            }
        }
    }

    /// A desktop node's chain ends with this block, behind all that we have. If that never came by
    /// itself, its node does not know this connection any more: it keeps its peers by their names,
    /// and forgets one with another one of the same name (PROTOCOL.md section 5).
    pub(super) fn note_unsaid(&mut self, line: usize, last: &Hash) {
        let at = Millis(self.cx.now.mono.0 + limits::DESKTOP_QUIET_MS);
        let Some(peer) = self.slots[line].peer() else {
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

    /// Whether a desktop node does not know the connection of a line any more.
    pub(super) fn is_deaf(&self, line: usize) -> bool {
        let deaf = self.desktop_at(line).and_then(|desktop| desktop.deaf);
        deaf.is_some_and(|at| at <= self.cx.now.mono)
    }

    /// Dials those desktop nodes that know no connection to us any more.
    pub(super) fn dial_deaf(&mut self) {
        let now = self.cx.now.mono;
        for line in 0..self.slots.len() {
            if !self.is_deaf(line) || self.voice_of(line) != line {
                continue;
            }
            let Slot::Open(peer) = &mut self.slots[line] else {
                continue;
            };
            let there = peer.listening();
            let due = |desktop: &&mut Desktop| desktop.dial_at <= now;
            let Some(desktop) = peer.desktop().filter(due) else {
                continue;
            };
            desktop.dial_at = Millis(now.0 + limits::DESKTOP_DEAF_MS);
            if let Some(there) = there {
                let mut target = Target::new(there.ip().to_string(), there.port(), now);
                target.learned = true;
                self.targets.push(target);
            }
        }
    }
}
