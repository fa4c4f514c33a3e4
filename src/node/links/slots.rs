//! Addresses that were learned are dialed while there are few connections, and where all places are
//! taken a newcomer may have that of the connection that is worth least.

use core::cmp::Reverse;
use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeSet;

use super::Links;
use super::address_book::AddressBook;
use super::hearsay::is_plausible;
use super::targets::Target;
use crate::limits;
use crate::node::addresses::plain;
use crate::node::effects::Cx;
use crate::node::event::Millis;
use crate::node::peer::{Kind, Peer};
use crate::node::peers::Peers;
use crate::store::address_book;
use crate::store::disk::Disk;
use crate::wire::write::Outgoing;

/// Reads the address book; what is wrong with it is added to `notices`.
pub fn open_book(disk: &mut impl Disk, notices: &mut Vec<String>) -> AddressBook {
    match address_book::read(disk) {
        Ok((entries, aside)) => {
            notices.extend(aside.map(|name| {
                format!(
                    "the address book was damaged and is kept as {name}: peers are learned anew."
                )
            }));
            AddressBook::new(entries)
        }
        Err(error) => {
            notices.push(format!("{error}: peers are learned anew."));
            AddressBook::new(Vec::new())
        }
    }
}

impl Links {
    /// A peer tells whom it knows.
    pub fn learn(&mut self, now: Millis, peer: &mut Peer, told: &[String]) {
        let [_, heard] = &mut peer.listed;
        if heard.is_some_and(|at| now.0 < at.0 + limits::PEER_LIST_MS) {
            return;
        }
        *heard = Some(now);
        let source = peer.remote.ip();
        for address in told.iter().filter_map(|text| text.parse().ok()) {
            self.learn_one(address, source, now);
        }
    }

    fn learn_one(&mut self, address: SocketAddr, source: IpAddr, now: Millis) {
        if is_plausible(&self.networks, address, source) {
            self.book.learn(address, source, now);
        }
    }

    /// Tells a peer of others, unless it was told lately.
    pub fn list(now: Millis, peer: &mut Peer) {
        let [told, _] = &mut peer.listed;
        if told.is_none_or(|at| now.0 >= at.0 + limits::PEER_LIST_MS) {
            *told = Some(now);
            peer.push(Outgoing::PeerList);
        }
    }

    /// A peer has spoken for the first time.
    pub fn reached<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers, conn: usize) {
        let now = cx.now.mono;
        let Some(peer) = peers.get_mut(conn) else {
            return;
        };
        let (remote, outbound) = (peer.remote, peer.outbound);
        match peer.listening() {
            Some(address) if outbound => self.book.reached(address, now),
            Some(address) => self.learn_one(address, remote.ip(), now),
            None => {}
        }
        self.recognise(cx, peers);
    }

    /// A connection has ended.
    pub fn left<D: Disk>(&mut self, cx: &mut Cx<D>, peer: &Peer) {
        let (now, chance) = (cx.now.mono, cx.jitter.number());
        match peer.kind {
            _ if !peer.outbound => {}
            Kind::Unknown => self.book.failed(peer.remote, now, chance),
            Kind::Ours(_) | Kind::Desktop(_) | Kind::Newer(_) => {
                self.book.left(peer.remote, now, now.0 - peer.opened.0);
            }
        }
    }

    /// The addresses that need not be dialed: connected, being dialed, or somebody's to dial.
    fn taken(&self, peers: &Peers) -> BTreeSet<SocketAddr> {
        let open = peers.iter().filter_map(|(_, peer)| peer.listening());
        let targets = self.targets.iter().filter_map(Target::place);
        open.chain(targets).map(plain).collect()
    }

    fn wants_peers(&self, peers: &Peers) -> bool {
        let dialing = self.targets.iter().any(|target| target.learned);
        // One that is connected is no target of its own any more.
        !limits::Full::Learned.when(peers.used() >= limits::LEARNED_PEERS) && !dialing
    }

    /// When a learned address is dialed, or the address book is written.
    pub fn slots_due(&self, now: Millis, peers: &Peers) -> Option<Millis> {
        let write = self.book.write_due();
        let dial = match self.wants_peers(peers) {
            true => {
                let taken = self.taken(peers);
                self.book.deadline(now, |address| taken.contains(address))
            }
            false => None,
        };
        let dial = dial.map(|due| due.max(self.next_learned));
        dial.into_iter().chain(write).min()
    }

    /// Dials a learned address and writes the address book, if it is time.
    pub fn tend_slots<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers) {
        let now = cx.now.mono;
        if self.book.write_due().is_some_and(|due| due <= now) {
            self.write_book(cx);
        }
        if now < self.next_learned || !self.wants_peers(peers) {
            return;
        }
        let taken = self.taken(peers);
        let next = self.book.next(now, |address| taken.contains(address));
        if let Some(address) = next {
            self.next_learned = Millis(now.0 + limits::LEARNED_APART_MS);
            self.book.dialed(address, now);
            self.dial_once(now, address);
        }
    }

    fn write_book<D: Disk>(&mut self, cx: &mut Cx<D>) {
        let now = cx.now.mono;
        if !self.book.is_dirty(now) || cx.chain.fault().is_some() {
            return self.book.write_failed(now);
        }
        let entries = self.book.entries(now);
        match address_book::write(cx.chain.disk(), &entries) {
            Ok(()) => self.book.written(now),
            Err(error) => {
                log::warn!("{error}: the peers of this run may be forgotten");
                self.book.write_failed(now);
            }
        }
    }

    /// At the end of the node: what is known of peers is kept, if that was not done just now.
    pub fn save_book<D: Disk>(&mut self, cx: &mut Cx<D>) {
        if self.book.may_write(cx.now.mono) {
            self.write_book(cx);
        }
    }

    /// The eviction candidate: whose slot a newcomer gets, of those that `may` give it up. It is
    /// neither a peer that the user named, nor one of the two that answer fastest, nor one of the two
    /// that brought the last blocks. Of the others it is one that has not said anything, else the one
    /// that came last: whoever opens many connections only evicts their own.
    pub fn eviction_candidate(
        &self,
        peers: &Peers,
        syncing: Option<usize>,
        may: &dyn Fn(&Peer) -> bool,
    ) -> Option<usize> {
        let open: Vec<(usize, &Peer)> = peers.iter().collect();
        let mut pings: Vec<_> = open
            .iter()
            .filter_map(|(conn, peer)| Some((peer.ping_ms?, *conn)))
            .collect();
        pings.sort_unstable();
        let mut brought: Vec<_> = open
            .iter()
            .filter_map(|(conn, peer)| Some((Reverse(peer.brought?), *conn)))
            .collect();
        brought.sort_unstable();
        let fast = pings
            .iter()
            .take(limits::PLACES_KEPT)
            .map(|(_, conn)| *conn);
        let useful = brought
            .iter()
            .take(limits::PLACES_KEPT)
            .map(|(_, conn)| *conn);
        let named = self.targets.iter().filter(|target| !target.learned);
        let named = named.filter_map(|target| Some(usize::from(target.conn()?.0)));
        let safe: Vec<usize> = fast.chain(useful).chain(named).chain(syncing).collect();
        open.iter()
            .filter(|(conn, peer)| !safe.contains(conn) && may(peer))
            .max_by_key(|(_, peer)| (matches!(peer.kind, Kind::Unknown), peer.opened))
            .map(|(conn, _)| *conn)
    }
}
