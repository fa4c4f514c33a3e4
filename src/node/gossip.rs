//! What peers say and what becomes of it, and how they come and go.

use core::net::SocketAddr;

use super::desktop::Desktop;
use super::desktops::Desktops;
use super::effects::Fault;
use super::links::{LEFT_ALONE, Links, Met};
use super::mempool::{Due, Received};
use super::newer;
use super::peer::{Held, Kind, Origin, Peer};
use super::sync::tell_chain;
use super::{Action, Line, Node};
use crate::ledger::{Block, RuleError, Tip};
use crate::limits;
use crate::store::disk::Disk;
use crate::wire::extension::{Greeting, Voice};
use crate::wire::frame::{Frame, FrameError};
use crate::wire::message;
use crate::wire::write::Intent;
use crate::wire::{BlockError, Envelope, LineError, Message, read_block};

/// A frame, understood.
enum Heard {
    Line(Result<Envelope, LineError>),
    ChainBlock(Result<Block, BlockError>),
    ChainEnd(Result<Envelope, LineError>),
    ChainBroken,
    Skipped,
    Unreadable(FrameError),
}

impl<D: Disk> Node<D> {
    /// Reads at most one frame of a line, or goes on with the block it holds; true if there may
    /// be more to do.
    pub(super) fn read(&mut self, line: usize) -> bool {
        let Some(peer) = self.peers.get_mut(line) else {
            return false;
        };
        if let Some(held) = peer.held.take() {
            self.check(line, held);
            return true;
        }
        let heard = match peer.reader.next() {
            None => return false,
            Some(Err(error)) => Heard::Unreadable(error),
            Some(Ok(Frame::Message(text))) => {
                self.read_bytes += text.len();
                Heard::Line(message::read(text))
            }
            Some(Ok(Frame::ChainElement(text))) => {
                self.read_bytes += text.len();
                if self.sync.line() == Some(line) {
                    self.sync.comes_on(text.len() / limits::PROGRESS_TEXT);
                }
                Heard::ChainBlock(read_block(text))
            }
            Some(Ok(Frame::ChainEnd(text))) => Heard::ChainEnd(message::read(text)),
            Some(Ok(Frame::ChainBroken)) => Heard::ChainBroken,
            Some(Ok(Frame::Skipped)) => Heard::Skipped,
        };
        peer.framed = self.cx.now.mono;
        self.take(line, heard);
        true
    }

    fn take(&mut self, line: usize, heard: Heard) {
        match heard {
            Heard::Line(Ok(envelope)) => self.message(line, envelope),
            Heard::ChainEnd(Ok(envelope)) => {
                if let Message::ChainEnd { length, start } = envelope.message {
                    self.chain_end(line, start.and(length));
                } else {
                    self.drop_candidate(line, None);
                }
                self.message(line, envelope);
            }
            Heard::Skipped => {
                if let Some(peer) = self.peers.get_mut(line)
                    && core::mem::take(&mut peer.again)
                {
                    peer.ask(self.cx.now.mono);
                }
            }
            Heard::ChainBlock(Ok(block)) => {
                if let Some(peer) = self.peers.get_mut(line) {
                    peer.blocks_in += 1;
                }
                let (sync, cx) = (&mut self.sync, &mut self.cx);
                let taken = sync.chain_block(cx, &mut self.peers, line, Box::new(block));
                self.act_on(line, taken);
            }
            Heard::ChainBlock(Err(error)) if self.peers.has_credits(line, &error) => {
                self.pass_over_credits(line);
            }
            Heard::ChainBlock(Err(BlockError::Rule(invalid))) => {
                self.act_on(line, Err(Fault::ChainRule(invalid.to_string())));
            }
            Heard::Line(Err(LineError::Shape(reason)))
            | Heard::ChainEnd(Err(LineError::Shape(reason)))
            | Heard::ChainBlock(Err(BlockError::Shape(reason))) => {
                self.hang_up(line, &reason, None);
            }
            Heard::Unreadable(error) => self.hang_up(line, &error.to_string(), None),
            Heard::Line(Err(LineError::NotJson)) => self.peers.skipped(line),
            Heard::ChainEnd(Err(LineError::NotJson)) | Heard::ChainBroken => {
                self.drop_candidate(line, Some("its chain broke off"));
                self.peers.skipped(line);
            }
            Heard::ChainBlock(Err(BlockError::NotJson)) => {
                self.drop_candidate(line, Some("its chain broke off"));
                if let Some(peer) = self.peers.get_mut(line) {
                    peer.skip();
                }
                self.peers.skipped(line);
            }
        }
    }

    fn message(&mut self, line: usize, envelope: Envelope) {
        let Some(peer) = self.peers.get_mut(line) else {
            return;
        };
        peer.messages_in += 1;
        peer.port = envelope.sender.or(peer.port);
        if self.is_sent_away(line) {
            return;
        }
        if let Message::PeerAnnounce(greeting) = envelope.message {
            return self.greeted(line, greeting);
        }
        let is_node = matches!(envelope.message, Message::PeerList { .. });
        self.meet(line, None, is_node);
        if let Some(desktop) = self.peers.desktop_of(line)
            && is_node
        {
            desktop.is_node();
        }
        let (effects, now) = (&mut self.cx.effects, self.cx.now.mono);
        let Some(message) = self.peers.sieve(effects, now, line, envelope.message) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(line) else {
            return;
        };
        match message {
            Message::PeerAnnounce(_) | Message::ChainEnd { .. } => {}
            Message::PeerList { peers } => {
                Desktops::hear_friends(now, &mut self.peers, &mut self.links, line, &peers);
                if let Some(peer) = self.peers.get_mut(line) {
                    self.links.learn(now, peer, &peers);
                }
            }
            Message::RequestChain(locator) => {
                tell_chain(&mut self.cx, &mut self.peers, line, locator);
            }
            Message::Ping(tip, voices) => {
                peer.push(Intent::Pong);
                self.hear_life(line, tip, voices);
            }
            Message::Pong(tip, voices) => {
                peer.ponged(now);
                self.hear_life(line, tip, voices);
            }
            Message::NewBlock(read) => {
                peer.blocks_in += 1;
                match read {
                    Ok(block) => {
                        let (sync, cx) = (&self.sync, &mut self.cx);
                        let taken = sync.new_block(cx, &mut self.peers, line, Box::new(block));
                        self.act_on(line, taken);
                    }
                    Err(invalid) => self.strike(line, &invalid.to_string()),
                }
            }
            Message::NewTransaction(Ok(transaction)) => {
                let from = (peer.remote.ip(), line);
                let received = self.mempool.receive(&mut self.cx, from, transaction);
                if received == Ok(Received::Impossible) {
                    // What a desktop node takes and we do not is behind something that we lack.
                    self.peers.doubt(now, line);
                }
                self.act_on(line, received.map(|_| ()));
            }
            Message::NewTransaction(Err(error)) => {
                self.strike(line, &format!("a transaction: {error}"));
            }
        }
    }

    /// The other end says who it is.
    fn greeted(&mut self, line: usize, greeting: Greeting) {
        if !self.meet(line, greeting.id, true) {
            return;
        }
        let now = self.cx.now.mono;
        let Some(peer) = self.peers.get_mut(line) else {
            return;
        };
        if peer.is_ours() {
            peer.announce();
            for number in self.mempool.queue.lacking(&greeting.pool) {
                peer.push(Intent::Transaction(number));
            }
        }
        Links::list(now, peer);
        self.hear_life(line, greeting.tip, greeting.voices);
    }

    /// One of ours says where its chain ends, and which desktop nodes it and others speak to.
    fn hear_life(&mut self, line: usize, tip: Option<Tip>, voices: Vec<Voice>) {
        let (now, peers) = (self.cx.now.mono, &mut self.peers);
        self.desktops.hear_voices(now, peers, line, voices);
        self.sync.hear_tip(&self.cx, peers, line, tip);
    }

    /// The other end has spoken: from its first word it is known whether it is one of ours, or else
    /// whether it is a node at all. One of ours may have had something else to say before it knew of
    /// us; then it is known from its greeting. False if the connection has ended by that.
    fn meet(&mut self, line: usize, id: Option<u64>, is_node: bool) -> bool {
        let now = self.cx.now.mono;
        let Some(peer) = self.peers.get_mut(line) else {
            return false;
        };
        if peer.is_known(id) {
            return true;
        }
        match id {
            Some(id) => {
                let kept = core::mem::take(&mut peer.missed) || peer.desktop().is_some();
                peer.kind = Kind::Ours(id);
                if kept && peer.announced {
                    // Blocks were kept from it: it hears how far we are.
                    peer.ping(now);
                }
                let (links, cx) = (&mut self.links, &mut self.cx);
                match links.meet(cx, &mut self.peers, line, id) {
                    Met::Itself => false,
                    Met::Alone | Met::Theirs => true,
                    Met::Twice { closed, kept } => {
                        self.retire(closed, kept);
                        closed != line
                    }
                }
            }
            None => {
                peer.announce();
                let is_node = is_node || peer.outbound;
                peer.kind = Kind::Desktop(Box::new(Desktop::new(now, is_node)));
                peer.ask(now);
                let (links, cx) = (&mut self.links, &mut self.cx);
                links.reached(cx, &mut self.peers, line);
                true
            }
        }
    }

    /// Goes on checking a block's signatures. Of one that is salvaged, each transaction counts by
    /// itself.
    fn check(&mut self, line: usize, held: Held) {
        let Held {
            block,
            origin,
            next,
        } = held;
        let end = block
            .transactions
            .len()
            .min(next + limits::SIGNATURES_PER_TURN);
        self.cx.checked += end - next;
        let in_chain = matches!(origin, Origin::Chain | Origin::Hole);
        if in_chain {
            self.sync.comes_on(end - next);
        }
        let due = (origin == Origin::Salvage).then(|| self.salvage_due(line));
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
                return self.act_on(line, Err(fault));
            }
        }
        if end < block.transactions.len() {
            if let Some(peer) = self.peers.get_mut(line) {
                peer.hold(block, origin, end);
            }
            return;
        }
        let (sync, cx, peers) = (&mut self.sync, &mut self.cx, &mut self.peers);
        let mempool = &mut self.mempool;
        let grown = match origin {
            Origin::Chain => sync.stage(cx, peers, line, block).map(|()| false),
            Origin::Hole => sync.mend(cx, peers, line, &block),
            Origin::NewBlock => sync.take_block(cx, peers, mempool, line, block),
            Origin::Rival => sync.take_rival(cx, peers, line, &block).map(|()| false),
            Origin::Desktop => {
                self.desktops.follow(cx, peers, mempool, line, &block);
                Ok(false)
            }
            Origin::Salvage => Ok(false),
        };
        if grown == Ok(true) {
            if origin == Origin::Hole {
                self.monitor.repaired(&mut self.cx);
                self.cx.chain.begin_mending();
            }
            self.tip_changed();
        }
        self.act_on(line, grown.map(|_| ()));
    }

    /// A rule was broken: the third time ends the connection.
    fn strike(&mut self, line: usize, reason: &str) {
        let Some(peer) = self.peers.get_mut(line).filter(|peer| !peer.is_newer()) else {
            return;
        };
        peer.strikes += 1;
        log::info!("{}: dropped: {reason}", peer.remote);
        if peer.strikes >= limits::STRIKES {
            let rest = Some(limits::BANISHED_MS);
            self.hang_up(line, "it broke the rules three times", rest);
        }
    }

    /// What a peer said came to nothing, if it did: what it deserves for that.
    fn act_on(&mut self, line: usize, taken: Result<(), Fault>) {
        let Err(fault) = taken else { return };
        let newer = self.peers.get(line).is_some_and(Peer::is_newer);
        if newer && matches!(fault, Fault::ChainRule(_)) {
            return self.pass_over_credits(line);
        }
        let (sync, cx) = (&mut self.sync, &mut self.cx);
        if let Some(rule) = sync.fails(cx, &mut self.peers, line, fault) {
            self.strike(line, &rule);
        }
    }

    /// A peer's chain is one with credits, or of one who has them and nothing else: no more of it is
    /// read.
    fn pass_over_credits(&mut self, line: usize) {
        self.drop_candidate(line, Some(&format!("it {}", newer::WHAT)));
        if let Some(peer) = self.peers.get_mut(line) {
            peer.blocks_in += 1;
            peer.skip();
        }
        self.meet(line, None, true);
        let (effects, now) = (&mut self.cx.effects, self.cx.now.mono);
        self.peers.meet_newer(effects, now, line);
    }

    /// A peer's chain, or a part of it, is complete; `told` is the length that it says its chain has,
    /// if this was a part.
    fn chain_end(&mut self, line: usize, told: Option<u64>) {
        if told.is_none() {
            let (now, is_empty) = (self.cx.now.mono, self.sync.end_of(line).is_none());
            self.peers.has_no_credits(now, line, is_empty);
            self.take_early(line);
        }
        let (sync, cx, drops) = (&mut self.sync, &mut self.cx, self.mempool.drops());
        let Some(winner) = sync.chain_end(cx, &mut self.peers, line, told, drops) else {
            return;
        };
        let (sync, monitor) = (&mut self.sync, &mut self.monitor);
        let Some(changed) = monitor.give_up_hole(&mut self.cx) else {
            return sync.lose(&mut self.cx, &mut self.peers, line, told, drops);
        };
        if changed {
            self.tip_changed();
        }
        self.sync.win(&mut self.cx, &mut self.peers, line, winner);
    }

    /// Somebody has come: where all places are taken, they may have that of somebody who is worth less.
    pub(super) fn incoming(&mut self, from: SocketAddr) {
        let (now, syncing) = (self.cx.now.mono, self.sync.line());
        if self.peers.free_line().is_none()
            && let Some(line) = self.links.eviction_candidate(now, &self.peers, syncing)
        {
            limits::Full::PlaceGiven.ran();
            self.hang_up(line, "its place was given to a newcomer", None);
        }
        self.links.incoming(&mut self.cx, &mut self.peers, from);
    }

    /// A line is free: its other end has closed, or failed for this reason.
    pub(super) fn closed(&mut self, line: Line, reason: Option<&str>) {
        if let Some(at) = line.console() {
            return self.sessions.closed(at, reason);
        }
        let line = usize::from(line.0);
        let reason = reason.unwrap_or("the other end closed");
        self.take_early(line);
        match self.peers.get_mut(line) {
            // What somebody said before they hung up still counts: a device may send a line and go.
            Some(peer) if peer.is_unread() => {
                peer.gone = Some(reason.to_owned());
                self.cx.effects.busy = true;
            }
            _ => self.drop_line(line, reason),
        }
    }

    /// Ends the connections of those who hung up and whose last words were looked at.
    pub(super) fn drop_gone(&mut self) {
        while let Some((line, reason)) = self.peers.next_gone() {
            self.drop_line(line, &reason);
        }
    }

    /// Ends a connection that deserves it. If it deserves to `rest`, the other end is left alone
    /// for so many milliseconds.
    pub(super) fn hang_up(&mut self, line: usize, reason: &str, rest: Option<u64>) {
        let now = self.cx.now.mono;
        if let Some(ms) = rest
            && let Some(peer) = self.peers.get(line)
        {
            self.links.ban(now, peer, ms);
        }
        let own = Line::of_peer(line);
        self.cx.effects.act(Action::Hangup { line: own });
        self.drop_line(line, reason);
    }

    /// Hangs up on somebody who is left alone and has come by himself.
    fn is_sent_away(&mut self, line: usize) -> bool {
        let (now, peer) = (self.cx.now.mono, self.peers.get(line));
        let banned = peer.is_some_and(|peer| self.links.is_banned(now, peer));
        if banned {
            self.hang_up(line, LEFT_ALONE, None);
        }
        banned
    }

    /// When a block is made of what the desktop node of a line said and no block of ours has.
    pub(super) fn salvage_due(&self, line: usize) -> Due {
        self.desktops
            .salvage_due(self.cx.now.mono, &self.peers, line)
    }

    /// A desktop node has made a block.
    pub(super) fn desktop_block(&mut self, line: usize, block: Box<Block>) {
        let taken = Desktops::block(&mut self.cx, &mut self.peers, line, block);
        self.act_on(line, taken);
    }

    /// Looks at a block that came before the chain of its node.
    fn take_early(&mut self, line: usize) {
        if let Some(block) = self.peers.take_early(line) {
            self.desktop_block(line, block);
        }
    }

    /// Forgets the candidate of a line, if it has one. `why` is told to a user who asked for it.
    fn drop_candidate(&mut self, line: usize, why: Option<&str>) {
        let (sync, cx) = (&mut self.sync, &mut self.cx);
        sync.drop(cx, &mut self.peers, line, why);
    }

    fn drop_line(&mut self, line: usize, reason: &str) {
        if self.peers.get(line).is_none() {
            return;
        }
        self.drop_candidate(line, Some(reason));
        self.mempool.ends_making_of(line);
        let now = self.cx.now.mono;
        self.desktops.leaves_under_way(now, &mut self.peers, line);
        let Some(peer) = self.peers.free(line) else {
            return;
        };
        log::info!("{}: connection closed: {reason}", peer.remote);
        let (links, cx) = (&mut self.links, &mut self.cx);
        links.lost(cx, &self.peers, (line, &peer), reason);
        self.desktops.lose_voice(now, &self.peers, &peer);
    }

    /// Closes a connection in favour of another one to the same node.
    pub(super) fn retire(&mut self, line: usize, kept: usize) {
        self.drop_candidate(
            line,
            Some("it is connected twice; one connection is closed"),
        );
        self.mempool.ends_making_of(line);
        let (links, cx) = (&mut self.links, &mut self.cx);
        links.retire(cx, &mut self.peers, (line, kept));
    }
}
