//! Desktop nodes beside this one: which of ours speaks to which (`voices`, `speaking`), what they are told
//! and asked (`telling`), and what becomes of what their users did (`follow`).

mod follow;
mod speaking;
mod telling;
mod voices;

use core::net::SocketAddr;

use super::addresses::heard_from;
use super::desktop::Remembered;
use super::effects::Cx;
use super::event::Millis;
use super::mempool::Mempool;
use super::peer::Peer;
use super::peers::Peers;
use crate::ledger::Who;
use crate::limits;
use crate::store::disk::Disk;
use crate::wire::extension::Voice;
use crate::wire::write::Outgoing;
pub use voices::Voices;
use voices::in_order;

/// What this node knows of desktop nodes together.
pub struct Desktops {
    /// Who is connected to which.
    pub voices: Voices,
    remembered: Remembered,
    /// The height of the last block that has something our user waited for.
    own_block: Option<u64>,
}

impl Desktops {
    /// Those of a node of this number.
    pub fn new(id: u64) -> Desktops {
        Desktops {
            voices: Voices::new(id),
            remembered: Remembered::default(),
            own_block: None,
        }
    }

    /// A block has something that our user waited for.
    pub fn made_own(&mut self, height: u64) {
        self.own_block = Some(height);
    }

    /// When something has to be done; `free` says whether another chain could be looked at, `reorg`
    /// whether one is put in place.
    pub fn due<D: Disk>(
        &self,
        cx: &Cx<D>,
        peers: &Peers,
        mempool: &Mempool,
        free: bool,
        reorg: bool,
    ) -> Option<Millis> {
        let tell = match reorg {
            true => None,
            false => self.tell_due(cx, peers, mempool, free),
        };
        tell.into_iter().chain(self.voices_due(cx, peers)).min()
    }

    /// Notes what this node is connected to, and tells the others of ours what changed, or that
    /// it is still there. `settled`: no other chain is being looked at.
    pub fn tend_voices<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers, settled: bool) {
        let now = cx.now.mono;
        let writes = cx.chain.fault().is_none() && cx.chain.hole().is_none();
        let connected = connected(now, peers);
        self.voices.set_own(now, connected, writes && settled);
        self.voices.own.made = peers.marks(now);
        if cx.ending.is_some() {
            return;
        }
        let news = self.voices.news();
        for (_, peer) in peers.iter_mut() {
            if peer.voices_due(news).is_some_and(|due| due <= now) {
                peer.told.at = Some(now);
                match peer.pinged {
                    // It is given up when it is silent for too long, however often it is asked.
                    Some(_) => peer.push(Outgoing::Ping),
                    None => peer.ping(now),
                }
            }
        }
    }

    /// One of ours has told who is connected to whom.
    pub fn hear_voices(
        &mut self,
        now: Millis,
        peers: &mut Peers,
        conn: usize,
        mut told: Vec<Voice>,
    ) {
        let before = self.voices.news();
        let Some(peer) = peers.get_mut(conn) else {
            return;
        };
        let Some(Who { id, .. }) = peer.who() else {
            return;
        };
        heard_from(peer.remote.ip(), &mut told);
        let made = told.iter().flat_map(|voice| &voice.made);
        for (by, mark) in made {
            peers.note_mark(now, *by, mark);
        }
        let Some(peer) = peers.get_mut(conn) else {
            return;
        };
        let count = self.voices.own.count;
        let news = self.voices.hear(now, id, &told);
        if news && peer.told.news == before && self.voices.own.count == count {
            // It knows what it has told.
            peer.told.news = self.voices.news();
        }
    }

    /// A connection has ended.
    pub fn lose_voice(&mut self, now: Millis, peers: &Peers, peer: &Peer) {
        let Some(Who { id, .. }) = peer.who() else {
            return;
        };
        let mut others = peers.iter();
        if !others.any(|(_, other)| other.who().is_some_and(|who| who.id == id)) {
            self.voices.lost(now, id);
        }
    }

    /// This node was stopped for `ms` milliseconds.
    pub fn note_stall(&mut self, now: Millis, ms: u64) {
        if ms >= limits::VOICE_STALL_MS {
            self.voices.stalled(now);
        }
    }

    fn voices_due<D>(&self, cx: &Cx<D>, peers: &Peers) -> Option<Millis> {
        let (news, now) = (self.voices.news(), cx.now.mono);
        if connected(now, peers) != self.voices.own.desktops {
            return Some(now);
        }
        let conns = peers.conns().filter_map(|conn| peers.desktop_at(conn));
        let aliases = conns.filter_map(|desktop| desktop.alias_ends());
        let on = cx.ending.is_none();
        let due = peers.iter();
        let due = due.filter_map(|(_, peer)| peer.voices_due(news).filter(|_| on));
        due.chain(self.voices.deadline(now))
            .chain(aliases.filter(|at| *at > now))
            .min()
    }
}

/// The desktop nodes that this node is connected to.
fn connected(now: Millis, peers: &Peers) -> Vec<SocketAddr> {
    let known = |conn: &usize| peers.desktop_at(*conn).is_some_and(|it| !it.is_device());
    let conns = peers.conns().filter(known);
    in_order(
        conns
            .filter_map(|conn| peers.desktop_id(now, conn))
            .collect(),
    )
}

#[cfg(test)]
mod follow_tests;
#[cfg(test)]
mod speaking_tests;
#[cfg(test)]
mod telling_tests;
#[cfg(test)]
mod tests;
