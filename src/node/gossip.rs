//! What peers say and what becomes of it, and how they come and go.

use core::net::SocketAddr;

use super::desktops::Desktops;
use super::effects::Fault;
use super::links::LEFT_ALONE;
use super::mempool::Received;
use super::newer;
use super::peer::{BlockOrigin, Held, Peer};
use super::sync::tell_chain;
use super::{Action, ConnId, Node};
use crate::ledger::{Block, RuleError, Transaction};
use crate::limits;
use crate::store::disk::Disk;
use crate::wire::write::Outgoing;
use crate::wire::{BlockError, Envelope, Incoming, InvalidBlock, LineError, Message};

impl<D: Disk> Node<D> {
    /// Reads at most one frame of a connection, or goes on with the block it holds; true if there may
    /// be more to do.
    pub(super) fn read(&mut self, conn: usize) -> bool {
        let Some(peer) = self.peers.get_mut(conn) else {
            return false;
        };
        if peer.still_rests(self.cx.now.mono) {
            return false;
        }
        if let Some(held) = peer.held.take() {
            self.check(conn, held);
            return true;
        }
        let Some(frame) = peer.reader.next() else {
            return false;
        };
        let (incoming, bytes) = Incoming::read(frame);
        self.read_bytes += bytes;
        if matches!(incoming, Incoming::ChainBlock(_)) && self.sync.conn() == Some(conn) {
            self.sync.comes_on(bytes / limits::PROGRESS_TEXT);
        }
        peer.framed = self.cx.now.mono;
        self.take(conn, incoming);
        true
    }

    fn take(&mut self, conn: usize, incoming: Incoming) {
        match incoming {
            Incoming::Line(Ok(envelope)) => self.message(conn, envelope),
            Incoming::ChainEnd(Ok(envelope)) => {
                if let Message::ChainEnd { length, start } = envelope.message {
                    self.chain_end(conn, start.and(length));
                } else {
                    self.drop_candidate(conn, None);
                }
                self.message(conn, envelope);
            }
            Incoming::Skipped => {
                if let Some(peer) = self.peers.get_mut(conn)
                    && core::mem::take(&mut peer.again)
                {
                    peer.ask(self.cx.now.mono);
                }
            }
            Incoming::ChainBlock(Ok(block)) => {
                if let Some(peer) = self.peers.get_mut(conn) {
                    peer.blocks_in += 1;
                }
                let (sync, cx) = (&mut self.sync, &mut self.cx);
                let taken = sync.chain_block(cx, &mut self.peers, conn, Box::new(block));
                self.act_on(conn, taken);
            }
            Incoming::ChainBlock(Err(error)) if self.peers.has_credits(conn, &error) => {
                self.pass_over_credits(conn);
            }
            Incoming::ChainBlock(Err(BlockError::Rule(invalid))) => {
                self.act_on(conn, Err(Fault::ChainRule(invalid.to_string())));
            }
            Incoming::Line(Err(LineError::Shape(reason)))
            | Incoming::ChainEnd(Err(LineError::Shape(reason)))
            | Incoming::ChainBlock(Err(BlockError::Shape(reason))) => {
                self.hang_up(conn, &reason, None);
            }
            Incoming::Unreadable(error) => self.hang_up(conn, &error.to_string(), None),
            Incoming::Line(Err(LineError::NotJson)) => self.peers.skipped(conn),
            Incoming::ChainEnd(Err(LineError::NotJson))
            | Incoming::ChainBroken
            | Incoming::ChainBlock(Err(BlockError::NotJson)) => self.broken_off(conn),
        }
    }

    /// The text of a peer's chain is no JSON. Who has it checked and breaks it off, over and over, would
    /// keep the others waiting.
    fn broken_off(&mut self, conn: usize) {
        let checked = self.sync.has_checked(conn);
        self.drop_candidate(conn, Some("its chain broke off"));
        if let Some(peer) = self.peers.get_mut(conn) {
            peer.skip();
        }
        self.peers.skipped(conn);
        if checked {
            self.misbehaved(conn, "its chain broke off");
        }
    }

    fn message(&mut self, conn: usize, envelope: Envelope) {
        let Some(peer) = self.peers.get_mut(conn) else {
            return;
        };
        peer.messages_in += 1;
        peer.port = envelope.sender.or(peer.port);
        if self.is_sent_away(conn) {
            return;
        }
        if let Message::PeerAnnounce(greeting) = envelope.message {
            return self.greeted(conn, greeting);
        }
        let is_node = matches!(envelope.message, Message::PeerList { .. });
        self.meet(conn, None, is_node);
        if let Some(desktop) = self.peers.desktop_of(conn)
            && is_node
        {
            desktop.mark_node();
        }
        let (effects, now) = (&mut self.cx.effects, self.cx.now.mono);
        let Some(message) = self.peers.sieve(effects, now, conn, envelope.message) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(conn) else {
            return;
        };
        match message {
            Message::PeerAnnounce(_) | Message::ChainEnd { .. } => {}
            Message::PeerList { peers } => {
                Desktops::hear_friends(now, &mut self.peers, &mut self.links, conn, &peers);
                if let Some(peer) = self.peers.get_mut(conn) {
                    self.links.learn(now, peer, &peers);
                }
            }
            Message::RequestChain(locator) => {
                tell_chain(&mut self.cx, &mut self.peers, conn, locator);
            }
            Message::Ping(life) => {
                peer.push(Outgoing::Pong);
                self.hear_life(conn, life);
            }
            Message::Pong(life) => {
                peer.ponged(now);
                self.hear_life(conn, life);
            }
            Message::NewBlock(read) => self.single_block(conn, read),
            Message::NewTransaction(read) => self.single_transaction(conn, read),
        }
    }

    fn single_block(&mut self, conn: usize, read: Result<Block, InvalidBlock>) {
        if let Some(peer) = self.peers.get_mut(conn) {
            peer.blocks_in += 1;
        }
        match read {
            Ok(block) => {
                let (sync, cx) = (&self.sync, &mut self.cx);
                let taken = sync.new_block(cx, &mut self.peers, conn, Box::new(block));
                self.act_on(conn, taken);
            }
            Err(invalid) => self.misbehaved(conn, &invalid.to_string()),
        }
    }

    fn single_transaction(&mut self, conn: usize, read: Result<Transaction, RuleError>) {
        let (now, Some(peer)) = (self.cx.now.mono, self.peers.get(conn)) else {
            return;
        };
        match read {
            Ok(transaction) => {
                let from = (peer.remote.ip(), conn);
                let received = self.mempool.receive(&mut self.cx, from, transaction);
                if received == Ok(Received::Impossible) {
                    // What a desktop node takes and we do not is behind something that we lack.
                    self.peers.doubt(now, conn);
                }
                self.act_on(conn, received.map(|_| ()));
            }
            Err(error) => self.misbehaved(conn, &format!("a transaction: {error}")),
        }
    }

    /// Goes on checking a block's signatures. Of one that is salvaged, each transaction counts by
    /// itself.
    fn check(&mut self, conn: usize, held: Held) {
        let (block, origin, next) = (held.block, held.origin, held.next);
        let end = block
            .transactions
            .len()
            .min(next + limits::SIGNATURES_PER_TURN);
        self.cx.checked += end - next;
        let in_chain = matches!(origin, BlockOrigin::Chain | BlockOrigin::Hole);
        if in_chain {
            self.sync.checked(end - next);
        }
        let (now, salvaged) = (self.cx.now.mono, origin == BlockOrigin::Salvage);
        let due = salvaged.then(|| self.desktops.salvage_due(now, &self.peers, conn));
        for position in next..end {
            let transaction = &block.transactions[position];
            let good = self.cx.verifier.verify(transaction);
            if let Some(due) = due {
                let (mempool, cx) = (&mut self.mempool, &mut self.cx);
                if good && self.sync.may_salvage() && mempool.salvage(cx, due, transaction, None) {
                    self.sync.salvaged();
                }
                continue;
            }
            if !good {
                let error = RuleError::WrongSignature(position);
                let fault = match in_chain {
                    true => Fault::chain(block.index, error),
                    false => Fault::block(block.index, error),
                };
                return self.act_on(conn, Err(fault));
            }
        }
        let rests = (origin == BlockOrigin::Desktop).then(|| self.sync.pace.next());
        let rests = rests.filter(|at| now < *at);
        if end < block.transactions.len() || rests.is_some() {
            if let Some(peer) = self.peers.get_mut(conn) {
                peer.hold(block, origin, end);
                peer.rests = rests;
            }
            return;
        }
        let (sync, cx, peers) = (&mut self.sync, &mut self.cx, &mut self.peers);
        let mempool = &mut self.mempool;
        let grown = match origin {
            BlockOrigin::Chain => sync.stage(cx, peers, conn, block).map(|()| false),
            BlockOrigin::Hole => sync.fill_hole(cx, peers, conn, &block),
            BlockOrigin::NewBlock => sync.take_block(cx, peers, mempool, conn, block),
            BlockOrigin::Rival => sync.take_rival(cx, peers, conn, &block).map(|()| false),
            BlockOrigin::Desktop => {
                self.desktops.follow(cx, peers, mempool, conn, &block);
                Ok(false)
            }
            BlockOrigin::Salvage => Ok(false),
        };
        if grown == Ok(true) {
            if origin == BlockOrigin::Hole {
                self.monitor.repaired(&mut self.cx);
                self.cx.chain.begin_filling();
            }
            self.tip_changed();
        }
        self.act_on(conn, grown.map(|_| ()));
    }

    /// A rule was broken: the third time ends the connection, and the first ones may have been on others
    /// from the same address.
    pub(super) fn misbehaved(&mut self, conn: usize, reason: &str) {
        let Some(peer) = self.peers.get_mut(conn).filter(|peer| !peer.is_newer()) else {
            return;
        };
        log::info!("{}: dropped: {reason}", peer.remote);
        if self.links.misbehaved(self.cx.now.mono, peer) {
            self.hang_up(conn, "it broke the rules three times", Some(limits::BAN_MS));
        }
    }

    /// What a peer said came to nothing, if it did: what it deserves for that.
    fn act_on(&mut self, conn: usize, taken: Result<(), Fault>) {
        let Err(fault) = taken else { return };
        let newer = self.peers.get(conn).is_some_and(Peer::is_newer);
        if newer && matches!(fault, Fault::ChainRule(_)) {
            return self.pass_over_credits(conn);
        }
        let (sync, cx) = (&mut self.sync, &mut self.cx);
        if let Some(rule) = sync.fails(cx, &mut self.peers, conn, fault) {
            self.misbehaved(conn, &rule);
        }
    }

    /// A peer's chain is one with credits, or of one who has them and nothing else: no more of it is
    /// read.
    fn pass_over_credits(&mut self, conn: usize) {
        self.drop_candidate(conn, Some(&format!("it {}", newer::WHAT)));
        if let Some(peer) = self.peers.get_mut(conn) {
            peer.blocks_in += 1;
            peer.skip();
        }
        self.meet(conn, None, true);
        let (effects, now) = (&mut self.cx.effects, self.cx.now.mono);
        self.peers.meet_newer(effects, now, conn);
    }

    /// A peer's chain, or a part of it, is complete; `told` is the length that it says its chain has,
    /// if this was a part.
    fn chain_end(&mut self, conn: usize, told: Option<u64>) {
        if told.is_none() {
            let (now, is_empty) = (self.cx.now.mono, self.sync.end_of(conn).is_none());
            self.peers.note_no_credits(now, conn, is_empty);
            self.take_early(conn);
        }
        let (sync, cx, drops) = (&mut self.sync, &mut self.cx, self.mempool.drops());
        let Some(winner) = sync.chain_end(cx, &mut self.peers, conn, told, drops) else {
            return;
        };
        let (sync, monitor) = (&mut self.sync, &mut self.monitor);
        let Some(changed) = monitor.give_up_hole(&mut self.cx) else {
            return sync.lose(&mut self.cx, &mut self.peers, conn, told, drops);
        };
        if changed {
            self.tip_changed();
        }
        self.sync.win(&mut self.cx, &mut self.peers, conn, winner);
    }

    /// Somebody has come: where all places are taken, they may have that of somebody who is worth less.
    pub(super) fn incoming(&mut self, from: SocketAddr) {
        let (now, syncing) = (self.cx.now.mono, self.sync.conn());
        let (links, peers) = (&self.links, &self.peers);
        if let Some(conn) = links.gives_way_to_caller(now, peers, from, syncing) {
            limits::Full::PlaceGiven.ran();
            self.hang_up(conn, "its place was given to a newcomer", None);
        }
        self.links.incoming(&mut self.cx, &mut self.peers, from);
    }

    /// Dials whom it is time to dial. Who was named has a place, be it that of somebody else.
    pub(super) fn tend_links(&mut self) {
        let (now, syncing) = (self.cx.now.mono, self.sync.conn());
        while self.cx.ending.is_none()
            && let Some(conn) = self.links.gives_way_to_named(now, &self.peers, syncing)
        {
            limits::Full::PlaceNamed.ran();
            self.hang_up(conn, "its place was given to a peer that was named", None);
        }
        self.links.tend(&mut self.cx, &mut self.peers);
    }

    /// A connection is gone: its other end has closed, or failed for this reason.
    pub(super) fn closed(&mut self, conn: ConnId, reason: Option<&str>) {
        if let Some(at) = conn.console() {
            return self.sessions.closed(at, reason);
        }
        let conn = usize::from(conn.0);
        let reason = reason.unwrap_or("the other end closed");
        self.take_early(conn);
        match self.peers.get_mut(conn) {
            // What somebody said before they hung up still counts: a device may send a line and go.
            Some(peer) if peer.is_unread() => {
                peer.gone = Some(reason.to_owned());
                self.cx.effects.busy = true;
            }
            _ => self.drop_conn(conn, reason),
        }
    }

    /// Ends the connections of those who hung up and whose last words were looked at.
    pub(super) fn drop_gone(&mut self) {
        while let Some((conn, reason)) = self.peers.next_gone() {
            self.drop_conn(conn, &reason);
        }
    }

    /// Ends a connection that deserves it. If it deserves to `rest`, the other end is left alone
    /// for as many milliseconds.
    pub(super) fn hang_up(&mut self, conn: usize, reason: &str, rest: Option<u64>) {
        let now = self.cx.now.mono;
        if let Some(ms) = rest
            && let Some(peer) = self.peers.get(conn)
        {
            self.links.ban(now, peer, ms);
        }
        let own = ConnId::of_peer(conn);
        self.cx.effects.act(Action::Hangup { conn: own });
        self.drop_conn(conn, reason);
    }

    /// Hangs up on somebody who is left alone and has come unasked.
    fn is_sent_away(&mut self, conn: usize) -> bool {
        let (now, peer) = (self.cx.now.mono, self.peers.get(conn));
        let banned = peer.is_some_and(|peer| self.links.is_banned(now, peer));
        if banned {
            self.hang_up(conn, LEFT_ALONE, None);
        }
        banned
    }

    /// A desktop node has made a block.
    pub(super) fn desktop_block(&mut self, conn: usize, block: Box<Block>) {
        let taken = Desktops::block(&mut self.cx, &mut self.peers, conn, block);
        self.act_on(conn, taken);
    }

    /// Looks at a block that came before the chain of its node.
    fn take_early(&mut self, conn: usize) {
        if let Some(block) = self.peers.take_early(conn) {
            self.desktop_block(conn, block);
        }
    }

    /// Forgets the candidate of a connection, if it has one. `why` is told to a user who asked for it.
    fn drop_candidate(&mut self, conn: usize, why: Option<&str>) {
        let (sync, cx) = (&mut self.sync, &mut self.cx);
        sync.drop(cx, &mut self.peers, conn, why);
    }

    fn drop_conn(&mut self, conn: usize, reason: &str) {
        if self.peers.get(conn).is_none() {
            return;
        }
        self.drop_candidate(conn, Some(reason));
        self.mempool.ends_making_of(conn);
        let now = self.cx.now.mono;
        self.desktops.leaves_under_way(now, &mut self.peers, conn);
        let Some(peer) = self.peers.free(conn) else {
            return;
        };
        log::info!("{}: connection closed: {reason}", peer.remote);
        let (links, cx) = (&mut self.links, &mut self.cx);
        links.lost(cx, &self.peers, (conn, &peer), reason);
        self.desktops.lose_voice(now, &self.peers, &peer);
    }

    /// Closes a connection in favour of another one to the same node.
    pub(super) fn retire(&mut self, conn: usize, kept: usize) {
        self.drop_candidate(
            conn,
            Some("it is connected twice; one connection is closed"),
        );
        self.mempool.ends_making_of(conn);
        let (links, cx) = (&mut self.links, &mut self.cx);
        links.retire(cx, &mut self.peers, (conn, kept));
    }
}
