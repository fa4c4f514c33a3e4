//! What desktop nodes are told and asked. What can change the chain of one comes to it one thing after
//! the other, over one connection: behind each goes a ping, and nothing more before the pong.

use super::Desktops;
use crate::limits;
use crate::node::desktop::{Need, Stand};
use crate::node::effects::Cx;
use crate::node::event::Millis;
use crate::node::mempool::Mempool;
use crate::node::peer::Kind;
use crate::node::peers::Peers;
use crate::store::disk::Disk;
use crate::wire::write::Outgoing;

impl Desktops {
    /// When a desktop node has to be looked at again; `free` says whether a chain could be.
    pub fn tell_due<D: Disk>(
        &self,
        cx: &Cx<D>,
        peers: &Peers,
        mempool: &Mempool,
        free: bool,
    ) -> Option<Millis> {
        if cx.ending.is_some() || cx.chain.fault().is_some() {
            return None;
        }
        let now = cx.now.mono;
        let conns = peers.iter().filter_map(|(conn, peer)| {
            let Kind::Desktop(desktop) = &peer.kind else {
                return None;
            };
            if desktop.is_device() {
                return None;
            }
            let speaks = self.speaks_to(now, peers, conn);
            if speaks != desktop.spoken_to.is_some() {
                return Some(now);
            }
            let turn = Desktops::asks_from(cx, peers, free, conn);
            if !speaks {
                let ask = self.twin_asks_at(now, peers, conn).zip(turn);
                let ask = ask.filter(|_| peer.may_ask());
                return ask.map(|(ask, turn)| ask.max(turn));
            }
            let ask = turn.map(|turn| turn.max(desktop.ask_at));
            let ask = ask.filter(|_| peer.may_ask());
            let look = self.look_at(cx, peers, mempool, free, conn);
            let spoiled = match desktop.stand {
                Stand::Spoiled(_, since) => Some(Millis(since.0 + limits::DESKTOP_MONITOR_MS)),
                _ => None,
            };
            let spoiled = spoiled.filter(|at| *at > now);
            let dial = desktop.deaf.map(|deaf| deaf.max(desktop.dial_at));
            [ask, look, spoiled, dial, Some(desktop.announce_at)]
                .into_iter()
                .flatten()
                .min()
        });
        conns.min()
    }

    /// Tells the desktop nodes what they lack, and asks for their chains.
    pub fn tell<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        mempool: &mut Mempool,
        free: bool,
    ) {
        for conn in peers.conns() {
            self.tend_desktop(cx, peers, mempool, free, conn);
        }
    }

    fn tend_desktop<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        mempool: &mut Mempool,
        free: bool,
        conn: usize,
    ) {
        let (now, writes) = (cx.now.mono, cx.chain.fault().is_none());
        let (speaks, id) = (
            self.speaks_to(now, peers, conn),
            peers.desktop_id(cx.now.mono, conn),
        );
        let twin = self.twin_asks_at(now, peers, conn);
        let turn = Desktops::asks_from(cx, peers, free, conn);
        let Some(peer) = peers.get_mut(conn) else {
            return;
        };
        let opened = peer.opened;
        let may_ask = peer.may_ask() && turn.is_some_and(|turn| turn <= now);
        let Some(desktop) = peer.desktop() else {
            return;
        };
        if desktop.is_device() {
            if core::mem::take(&mut desktop.asks) {
                peer.push(Outgoing::Chain);
            }
            return;
        }
        if !writes {
            // What it has and we have not cannot be taken, and our chain would cost it that.
            if core::mem::take(&mut desktop.asks) {
                peer.push(Outgoing::NoChain(0));
            }
            return;
        }
        if !speaks {
            desktop.spoken_to = None;
            if core::mem::take(&mut desktop.asks) {
                peer.push(Outgoing::NoChain(0));
            }
            if may_ask && twin.is_some_and(|at| at <= now) {
                peer.ask(now);
            }
            return;
        }
        if desktop.spoken_to.is_none() {
            let left = id.is_some_and(|id| self.remembered.has_left(now, id));
            desktop.mark_spoken_to(now, left || now.0 >= opened.0 + limits::DESKTOP_QUIET_MS);
        }
        if desktop.announce_at <= now {
            desktop.announce_at = Millis(now.0 + limits::PEER_LIST_MS);
            peer.push(Outgoing::Announce);
        }
        let Some(desktop) = peer.desktop() else {
            return;
        };
        if desktop.ask_at <= now && may_ask {
            peer.ask(now);
        }
        if Desktops::tell_at(now, peers, conn).is_some_and(|at| at <= now) {
            self.tell_desktop(cx, peers, mempool, free, conn);
        }
    }

    /// From when on a desktop node may be asked for its chain. One chain at a time is looked at: another
    /// one that came meanwhile would have been sent for nothing. `None` while none can be looked at.
    fn asks_from<D: Disk>(cx: &Cx<D>, peers: &Peers, free: bool, conn: usize) -> Option<Millis> {
        if !free || cx.chain.fault().is_some() {
            return None;
        }
        let others = peers.iter().filter(|(at, _)| *at != conn);
        let asked = others.filter_map(|(_, peer)| match peer.kind {
            Kind::Desktop(_) => peer.asked,
            _ => None,
        });
        let answered = asked.map(|at| Millis(at.0 + limits::DESKTOP_TURN_MS)).max();
        Some(answered.unwrap_or(Millis(0)))
    }

    /// When a desktop node may be told what changes its chain: all that went before was handled, also
    /// what went over another connection that may lead to the same node. `None` while that is not
    /// known.
    fn tell_at(now: Millis, peers: &Peers, conn: usize) -> Option<Millis> {
        let (own, id) = peers.desktop_at(conn).zip(peers.desktop_id(now, conn))?;
        if own.under_way.is_some() {
            return None;
        }
        let mut at = own.quiet;
        if own.said.is_none() {
            // Ours would take the place of what it has and nobody has heard.
            let since = own.spoken_to.filter(|_| own.asks)?;
            at = at.max(Millis(since.0 + limits::DESKTOP_WORDS_MS));
        }
        for other in peers.conns().filter(|other| *other != conn) {
            let under_way = peers.desktop_at(other).and_then(|other| other.under_way);
            let Some(((_, since), other)) = under_way.zip(peers.desktop_id(now, other)) else {
                continue;
            };
            if other == id {
                return None;
            }
            if other.port() == id.port() {
                at = at.max(Millis(since.0 + limits::DESKTOP_TURN_MS));
            }
        }
        Some(at)
    }

    /// When something is told to a desktop node, if there is something for it.
    fn look_at<D: Disk>(
        &self,
        cx: &Cx<D>,
        peers: &Peers,
        mempool: &Mempool,
        free: bool,
        conn: usize,
    ) -> Option<Millis> {
        let (now, ours) = (cx.now.mono, cx.chain.tip().length);
        let desktop = peers.desktop_at(conn)?;
        let need = match desktop.need(ours, now) {
            Need::Block(height) => self.friend_tells(now, peers, conn, height).or(Some(now)),
            Need::Chain => Some(desktop.chain_at),
            // Until what is being made is there.
            Need::Longer if mempool.queue.lengthen || !is_calm(cx, mempool, free) => None,
            Need::Longer => {
                let may = self.remembered.allowance.due(now);
                Some(desktop.tie.unwrap_or(now).max(may))
            }
            Need::Nothing => None,
        };
        let answer = match desktop.has_all(ours) {
            true => now,
            false => desktop.chain_at,
        };
        let answer = Some(answer).filter(|_| desktop.asks);
        let what = need.into_iter().chain(answer).min()?;
        Some(what.max(Desktops::tell_at(now, peers, conn)?))
    }

    /// Tells one thing that a desktop node lacks, or has asked for.
    fn tell_desktop<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        mempool: &mut Mempool,
        free: bool,
        conn: usize,
    ) {
        let (now, ours) = (cx.now.mono, cx.chain.tip().length);
        self.tend_tie(cx, peers, mempool, free, conn);
        let Some(peer) = peers.get_mut(conn) else {
            return;
        };
        let Some(desktop) = peer.desktop() else {
            return;
        };
        let (need, has_all) = (desktop.need(ours, now), desktop.has_all(ours));
        let may_all = desktop.chain_at <= now;
        let asks = (may_all || has_all) && core::mem::take(&mut desktop.asks);
        match need {
            Need::Nothing if asks && has_all => peer.push(Outgoing::NoChain(ours)),
            Need::Chain if may_all => self.tell_all(cx, peers, conn),
            _ if asks => self.tell_all(cx, peers, conn),
            Need::Block(height) => self.tell_block(cx, peers, conn, height),
            Need::Chain | Need::Nothing | Need::Longer => {}
        }
    }

    /// Makes our chain longer than that of a desktop node which would keep its own.
    fn tend_tie<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        peers: &mut Peers,
        mempool: &mut Mempool,
        free: bool,
        conn: usize,
    ) {
        let (now, ours) = (cx.now.mono, cx.chain.tip().length);
        let Some(desktop) = peers.desktop_at(conn) else {
            return;
        };
        let tie = match (desktop.need(ours, now), desktop.tie) {
            (Need::Longer, Some(at)) => Some(at),
            // Its monitor had its time.
            (Need::Longer, None) if desktop.is_spoiled() => Some(now),
            (Need::Longer, None) => Some(cx.delayed()),
            _ => None,
        };
        let due = tie.is_some_and(|at| at <= now) && is_calm(cx, mempool, free);
        let fires = due && self.remembered.allowance.take(now);
        if let Some(desktop) = peers.desktop_of(conn) {
            desktop.tie = tie;
            if fires {
                // It may take some more blocks, which nobody has to wait for.
                desktop.tie = desktop.tie.filter(|_| desktop.is_near(ours));
            }
        }
        if fires {
            mempool.queue.lengthen();
            cx.effects.busy = true;
        }
    }

    /// Tells the next block, unless that is on its way from another desktop node.
    fn tell_block<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers, conn: usize, height: u64) {
        let now = cx.now.mono;
        if self
            .friend_tells(now, peers, conn, height)
            .is_some_and(|until| now < until)
        {
            return;
        }
        if cx.chain.read(height).is_ok_and(|read| read.has_void()) {
            // It is taken by nobody but as part of a chain.
            return self.tell_void(cx, peers, conn);
        }
        let own = self.own_block == Some(height);
        let message = if own {
            Outgoing::OwnBlock
        } else {
            Outgoing::Block
        };
        if let Some(peer) = peers.get_mut(conn) {
            peer.push(message(height));
            let ping = peer.probe();
            if let Some(desktop) = peer.desktop() {
                desktop.tell(now, ping, Stand::Same(height + 1));
            }
        }
    }

    /// Tells the whole chain for a block that is taken by nobody alone, as soon as that may be.
    fn tell_void<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers, conn: usize) {
        let now = cx.now.mono;
        let Some(desktop) = peers.desktop_of(conn) else {
            return;
        };
        match desktop.chain_at <= now {
            true => self.tell_all(cx, peers, conn),
            false => desktop.quiet = desktop.quiet.max(desktop.chain_at),
        }
    }

    /// Tells the whole chain; what came of it shows when it tells its own.
    fn tell_all<D: Disk>(&mut self, cx: &mut Cx<D>, peers: &mut Peers, conn: usize) {
        let (now, ours) = (cx.now.mono, cx.chain.tip().length);
        if let Some(peer) = peers.get_mut(conn) {
            peer.push(Outgoing::Chain);
            let ping = peer.probe();
            if let Some(desktop) = peer.desktop() {
                desktop.tell_chain(now, ping, ours);
            }
            peer.ask(now);
        }
    }

    /// Until when a block may be under way from the desktop node that made it, if this one is
    /// connected to that.
    fn friend_tells(&self, now: Millis, peers: &Peers, conn: usize, height: u64) -> Option<Millis> {
        let (own, id) = peers.desktop_at(conn).zip(peers.desktop_id(now, conn))?;
        let mut followed = self.remembered.followed.iter();
        let (_, maker, since) = followed.find(|(at, ..)| *at == height)?;
        let mut makers = peers.lines_to(now, *maker);
        let knows = |at: usize| {
            peers
                .desktop_at(at)
                .is_some_and(|it| it.friends.contains(&id))
        };
        let friends = own.friends.contains(maker) || makers.any(knows);
        friends.then_some(Millis(since.0 + limits::DESKTOP_FRIEND_MS))
    }
}

/// Whether our chain can be made longer, and nothing is on its way that could do that by itself.
fn is_calm<D: Disk>(cx: &Cx<D>, mempool: &Mempool, free: bool) -> bool {
    free && cx.chain.fault().is_none() && mempool.is_empty()
}
