//! Which of ours speaks to a desktop node, and on which of its connections; who else may be connected
//! to it.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeSet;

use super::addresses::friend;
use super::desktop::{Desktop, Unsure};
use super::links::{Contact, Target};
use super::peer::Kind;
use super::twins::known_as;
use super::{Millis, Node};
use crate::limits;
use crate::store::disk::Disk;

impl<D: Disk> Node<D> {
    /// Whether of all of ours this node speaks to the desktop node of a line, and on this line.
    pub(super) fn speaks_to(&self, line: usize) -> bool {
        let id = self.peers.desktop_id(self.cx.now.mono, line);
        let speaks = id.is_some_and(|id| self.voices.speaks(self.cx.now.mono, id));
        speaks && self.peers.voice_of(self.cx.now.mono, line) == line
    }

    /// Whether what the desktop node of a line said is this node's to make: it speaks to it, or knows
    /// its chain and nobody else of ours can have heard it, or it has hung up.
    pub(super) fn makes_for(&self, line: usize) -> bool {
        let voice = self.peers.voice_of(self.cx.now.mono, line);
        let Some((desktop, id)) = self
            .peers
            .desktop_at(voice)
            .zip(self.peers.desktop_id(self.cx.now.mono, voice))
        else {
            return true;
        };
        let alone = || self.voices.is_alone_beside(self.cx.now.mono, id);
        self.speaks_to(voice) || (desktop.said.is_some() && alone())
    }

    /// When the desktop node of a line on which it is not spoken to is asked for its chain all the
    /// same: where two of them are behind a router they show one address. Right behind the one on
    /// which it is spoken to, as long as what both told proves neither.
    pub(super) fn twin_asks_at(&self, line: usize) -> Option<Millis> {
        let voice = self.peers.voice_of(self.cx.now.mono, line);
        let alike = self.peers.shows(voice) == self.peers.shows(line);
        if voice == line || !alike || !self.speaks_to(voice) {
            return None;
        }
        let (own, spoken) = self
            .peers
            .desktop_at(line)
            .zip(self.peers.desktop_at(voice))?;
        let (_, told) = spoken.answer?;
        let compared = own.answer.is_some_and(|(_, at)| at >= told);
        let known = own.is_twin || own.alias(self.cx.now.mono).is_some() || compared;
        (!known && spoken.is_unchanged(told)).then_some(own.ask_at)
    }

    /// A desktop node has told its chain on a line on which it is not spoken to.
    pub(super) fn compare_twin(&mut self, line: usize) {
        let voice = self.peers.voice_of(self.cx.now.mono, line);
        let Some((own, spoken)) = self
            .peers
            .desktop_at(line)
            .zip(self.peers.desktop_at(voice))
        else {
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
        if let Some(desktop) = self.peers.desktop_of(line) {
            desktop.is_twin = same && !ours;
            desktop.apart = if same { 0 } else { desktop.apart + 1 };
        }
    }

    /// Closes connections that we dialed to a desktop node which has another one. One that it dialed
    /// is never closed: it knows its peers by their names, and would forget us (PROTOCOL.md section
    /// 5).
    pub(super) fn close_twins(&mut self) {
        for line in self.peers.lines() {
            let voice = self.peers.voice_of(self.cx.now.mono, line);
            let Some(peer) = self.peers.get(line) else {
                continue;
            };
            if voice == line || !peer.outbound {
                continue;
            }
            let busy = self
                .peers
                .desktop_at(line)
                .is_some_and(|d| d.under_way.is_some());
            let now = self.cx.now.mono;
            self.retire(line, voice);
            if let Some(desktop) = self.peers.desktop_of(voice)
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
        let Some(peer) = self.peers.get(line) else {
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
        let others = self
            .peers
            .lines_to(self.cx.now.mono, id)
            .filter(|at| *at != line);
        for at in others.collect::<Vec<_>>() {
            if let Some(desktop) = self.peers.desktop_of(at) {
                desktop.unsure = Some(Unsure::default());
                desktop.doubt(now);
            }
        }
    }

    /// A desktop node has said whom it is connected to. If that is somebody this node is not connected
    /// to, it may be one of ours that speaks to it: he is called at once, and has some time to tell.
    pub(super) fn hear_friends(&mut self, line: usize, peers: &[String]) {
        let Some(peer) = self.peers.get(line) else {
            return;
        };
        let there = peer.remote.ip().to_canonical();
        let friends = peers.iter().filter_map(|text| friend(text, there));
        let friends: Vec<SocketAddr> = friends.collect();
        let now = self.cx.now.mono;
        let connected = |host: IpAddr| {
            let open = self.peers.iter();
            let mut open = open.map(|(_, peer)| peer.remote.ip().to_canonical());
            host.is_loopback() || open.any(|there| there == host)
        };
        let hosts = friends.iter().map(|friend| friend.ip().to_canonical());
        let strangers: BTreeSet<IpAddr> = hosts.filter(|host| !connected(*host)).collect();
        let Some(desktop) = self.peers.desktop_of(line) else {
            return;
        };
        desktop.friends = friends;
        if core::mem::replace(&mut desktop.is_met, true) || strangers.is_empty() {
            return;
        }
        let until = Millis(now.0 + limits::DESKTOP_QUIET_MS);
        desktop.quiet = desktop.quiet.max(until);
        let is_there = |place: SocketAddr| strangers.contains(&place.ip().to_canonical());
        for target in &mut self.links.targets {
            if matches!(target.contact, Contact::Waiting(_)) && target.place().is_some_and(is_there)
            {
                target.contact = Contact::Waiting(now);
            }
        }
    }

    /// Dials those desktop nodes that know no connection to us any more.
    pub(super) fn dial_deaf(&mut self) {
        let now = self.cx.now.mono;
        for line in self.peers.lines() {
            if !self.peers.is_deaf(self.cx.now.mono, line)
                || self.peers.voice_of(self.cx.now.mono, line) != line
            {
                continue;
            }
            let Some(peer) = self.peers.get_mut(line) else {
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
                self.links.targets.push(target);
            }
        }
    }
}
