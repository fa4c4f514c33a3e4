//! Which of ours speaks to a desktop node, and on which of its connections; who else may be connected
//! to it.

use core::net::{IpAddr, SocketAddr};

use super::Desktops;
use crate::limits;
use crate::node::addresses::friend;
use crate::node::desktop::{Desktop, Unsure};
use crate::node::effects::Cx;
use crate::node::event::Millis;
use crate::node::links::Links;
use crate::node::peer::Kind;
use crate::node::peers::Peers;
use crate::node::twins::known_as;
use crate::store::disk::Disk;

impl Desktops {
    /// Whether of all of ours this node speaks to the desktop node of a connection, and over this
    /// connection.
    pub fn speaks_to(&self, now: Millis, peers: &Peers, conn: usize) -> bool {
        let id = peers.desktop_id(now, conn);
        let speaks = id.is_some_and(|id| self.voices.speaks(now, id));
        speaks && peers.voice_of(now, conn) == conn
    }

    /// Whether of all of ours this node makes blocks of what the desktop node of a connection said: it
    /// speaks to that, or knows its chain and no other of ours is connected to it, or the desktop node
    /// has hung up.
    pub fn makes_for(&self, now: Millis, peers: &Peers, conn: usize) -> bool {
        let voice = peers.voice_of(now, conn);
        let Some((desktop, id)) = peers.desktop_at(voice).zip(peers.desktop_id(now, voice)) else {
            return true;
        };
        let alone = || self.voices.is_alone_beside(now, id);
        self.speaks_to(now, peers, voice) || (desktop.said.is_some() && alone())
    }

    /// When the desktop node of a connection over which it is not spoken to is asked for its chain
    /// all the same: two of them behind a router show one address. That is right after the connection
    /// over which it is spoken to has brought a chain, as long as the two chains have not shown
    /// whether there are one or two.
    pub fn twin_asks_at(&self, now: Millis, peers: &Peers, conn: usize) -> Option<Millis> {
        let voice = peers.voice_of(now, conn);
        let alike = peers.shows(voice) == peers.shows(conn);
        if voice == conn || !alike || !self.speaks_to(now, peers, voice) {
            return None;
        }
        let (own, spoken) = peers.desktop_at(conn).zip(peers.desktop_at(voice))?;
        let (_, told) = spoken.answer?;
        let compared = own.answer.is_some_and(|(_, at)| at >= told);
        let known = own.is_twin || own.alias(now).is_some() || compared;
        (!known && spoken.is_unchanged(told)).then_some(own.ask_at)
    }

    /// A desktop node has told its chain over a connection over which it is not spoken to.
    pub fn compare_twin<D: Disk>(cx: &mut Cx<D>, peers: &mut Peers, conn: usize) {
        let now = cx.now.mono;
        let voice = peers.voice_of(now, conn);
        let Some((own, spoken)) = peers.desktop_at(conn).zip(peers.desktop_at(voice)) else {
            return;
        };
        let Some(((chain, at), (other, since))) = own.answer.zip(spoken.answer) else {
            return;
        };
        if voice == conn || at < now || !own.is_unchanged(since) || !spoken.is_unchanged(since) {
            return;
        }
        let same = chain.is_as(&other);
        let last = chain.length.saturating_sub(1);
        let ours = last < cx.chain.tip().length && cx.chain.hash(last) == Ok(chain.hash);
        if let Some(desktop) = peers.desktop_of(conn) {
            desktop.is_twin = same && !ours;
            desktop.apart = if same { 0 } else { desktop.apart + 1 };
        }
    }

    /// A connection ends. Its desktop node has a thread for each connection (PROTOCOL.md section 5), so
    /// that it may handle what it was told last here after what the next connection brings.
    pub fn leaves_under_way(&mut self, now: Millis, peers: &mut Peers, conn: usize) {
        let Some(peer) = peers.get(conn) else {
            return;
        };
        let Kind::Desktop(desktop) = &peer.kind else {
            return;
        };
        if desktop.under_way.is_none() {
            return;
        }
        let id = known_as(peer, desktop, now);
        limits::Full::LeftForgotten.when(self.remembered.left.is_full());
        self.remembered.left.write((id, now));
        let others = peers.lines_to(now, id).filter(|at| *at != conn);
        for at in others.collect::<Vec<_>>() {
            if let Some(desktop) = peers.desktop_of(at) {
                desktop.unsure = Some(Unsure::default());
                desktop.doubt(now);
            }
        }
    }

    /// A desktop node has said whom it is connected to. Somebody among them to whom this node is
    /// not connected may be a node of this project that speaks to it: that one is dialed at once,
    /// and has some time to tell.
    pub fn hear_friends(
        now: Millis,
        peers: &mut Peers,
        links: &mut Links,
        conn: usize,
        told: &[String],
    ) {
        let Some(peer) = peers.get(conn) else {
            return;
        };
        let there = peer.remote.ip().to_canonical();
        let friends = told.iter().filter_map(|text| friend(text, there));
        let friends: Vec<SocketAddr> = friends.collect();
        let connected = |host: IpAddr| {
            let open = peers.iter();
            let mut open = open.map(|(_, peer)| peer.remote.ip().to_canonical());
            host.is_loopback() || open.any(|there| there == host)
        };
        let hosts = friends.iter().map(|friend| friend.ip().to_canonical());
        let strangers: Vec<IpAddr> = hosts.filter(|host| !connected(*host)).collect();
        let Some(desktop) = peers.desktop_of(conn) else {
            return;
        };
        desktop.friends = friends;
        if core::mem::replace(&mut desktop.is_met, true) || strangers.is_empty() {
            return;
        }
        let until = Millis(now.0 + limits::DESKTOP_QUIET_MS);
        desktop.quiet = desktop.quiet.max(until);
        let is_there = |place: SocketAddr| strangers.contains(&place.ip().to_canonical());
        links.call(now, is_there);
    }

    /// Dials those desktop nodes that know no connection to us any more.
    pub fn dial_deaf(now: Millis, peers: &mut Peers, links: &mut Links) {
        for conn in peers.conns() {
            if !peers.is_deaf(now, conn) || peers.voice_of(now, conn) != conn {
                continue;
            }
            let Some(peer) = peers.get_mut(conn) else {
                continue;
            };
            let there = peer.listening();
            let due = |desktop: &&mut Desktop| desktop.dial_at <= now;
            let Some(desktop) = peer.desktop().filter(due) else {
                continue;
            };
            desktop.dial_at = Millis(now.0 + limits::DESKTOP_DEAF_MS);
            if let Some(there) = there {
                links.dial_once(now, there);
            }
        }
    }
}
