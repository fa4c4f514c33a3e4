//! What peers say, and what becomes of it.

use super::desktop::Desktop;
use super::desktops::Desktops;
use super::effects::Fault;
use super::mempool::{Due, Received};
use super::peer::{Held, Kind, Origin};
use super::{Millis, Node};
use crate::ledger::{Block, Changes, RuleError, Tip};
use crate::limits;
use crate::store::disk::Disk;
use crate::store::state::AppendError;
use crate::wire::extension::{Greeting, Locator};
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
            Heard::Line(Err(LineError::NotJson)) => self.skipped(line),
            Heard::ChainEnd(Err(LineError::NotJson)) | Heard::ChainBroken => {
                self.drop_candidate(line, Some("its chain broke off"));
                self.skipped(line);
            }
            Heard::ChainBlock(Err(BlockError::NotJson)) => {
                self.drop_candidate(line, Some("its chain broke off"));
                if let Some(peer) = self.peers.get_mut(line) {
                    peer.skip();
                }
                self.skipped(line);
            }
        }
    }

    fn skipped(&mut self, line: usize) {
        if let Some(peer) = self.peers.get_mut(line) {
            log::info!("{}: a line that is not JSON is skipped", peer.remote);
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
            Message::RequestChain(locator) => self.tell_chain(line, locator),
            Message::Ping(tip, voices) => {
                peer.push(Intent::Pong);
                self.desktops
                    .hear_voices(now, &mut self.peers, line, voices);
                self.hear_tip(line, tip);
            }
            Message::Pong(tip, voices) => {
                peer.ponged(now);
                self.desktops
                    .hear_voices(now, &mut self.peers, line, voices);
                self.hear_tip(line, tip);
            }
            Message::NewBlock(read) => {
                peer.blocks_in += 1;
                match read {
                    Ok(block) => self.new_block(line, Box::new(block)),
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
        let [told, _] = &mut peer.listed;
        if told.is_none_or(|at| now.0 >= at.0 + limits::PEER_LIST_MS) {
            *told = Some(now);
            peer.push(Intent::PeerList);
        }
        self.desktops
            .hear_voices(now, &mut self.peers, line, greeting.voices);
        self.hear_tip(line, greeting.tip);
    }

    /// The other end has spoken: from its first word it is known whether it is one of ours, or else
    /// whether it is a node at all. One of ours may have had something else to say before it knew of
    /// us; then it is known from its greeting. False if the connection has ended by that.
    pub(super) fn meet(&mut self, line: usize, id: Option<u64>, is_node: bool) -> bool {
        let now = self.cx.now.mono;
        let Some(peer) = self.peers.get_mut(line) else {
            return false;
        };
        let known = match peer.kind {
            Kind::Unknown => false,
            Kind::Desktop(_) => id.is_none(),
            Kind::Ours(_) | Kind::Newer(_) => true,
        };
        if known {
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
                self.meet_again(line, id)
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

    /// One of ours says where its chain ends: if it would win, it is asked for what we lack.
    fn hear_tip(&mut self, line: usize, tip: Option<Tip>) {
        let ours = self.cx.chain.tip();
        let Some(peer) = self.peers.get_mut(line) else {
            return;
        };
        if let Some(end) = tip
            && peer.is_ours()
            && peer.unfollowed.is_none()
        {
            peer.tip = Some(end);
            if peer.is_ahead_of(&ours) {
                self.ask_chain(line);
            }
        }
    }

    /// Asks a peer for its chain. One of ours is not asked while another chain is being looked at:
    /// its answer would only be thrown away.
    fn ask_chain(&mut self, line: usize) {
        let now = self.cx.now.mono;
        let busy = self.sync.line().is_some_and(|other| other != line);
        let Some(peer) = self.peers.get_mut(line) else {
            return;
        };
        if busy && peer.is_ours() {
            let at = Millis(now.0 + limits::DEFERRED_MS);
            peer.deferred.get_or_insert(at);
        } else {
            peer.ask(now);
        }
    }

    /// Tells what somebody lacks who says where he stands, or the whole chain: to a desktop node when
    /// that is its turn.
    fn tell_chain(&mut self, line: usize, locator: Option<Locator>) {
        let fork = locator.map(|locator| self.fork_of(&locator));
        let Some(peer) = self.peers.get_mut(line) else {
            return;
        };
        match (fork, peer.desktop()) {
            (Some(fork), _) => peer.push(Intent::Part(fork)),
            (None, Some(desktop)) => desktop.asks = true,
            (None, None) => peer.push(Intent::Chain),
        }
    }

    /// The height of the first block that somebody lacks.
    fn fork_of(&mut self, locator: &Locator) -> u64 {
        let length = self.cx.chain.tip().length;
        let heights = Locator::heights(locator.length).zip(&locator.hashes);
        for (height, hash) in heights.filter(|(height, _)| *height < length) {
            match self.cx.chain.hash(height) {
                Ok(ours) if ours == *hash => return height + 1,
                Ok(_) => {}
                Err(error) => log::warn!("{error}"),
            }
        }
        0
    }

    /// A block on its own (PROTOCOL.md section 4). Cheapest test first.
    fn new_block(&mut self, line: usize, block: Box<Block>) {
        let tip = self.cx.chain.tip();
        let whole = self.cx.chain.gap().is_none();
        let links = block.index == tip.length && block.prev_hash == tip.hash && whole;
        // What its chain would be: only one that would win is worth a look.
        let claim = Tip {
            length: block.index.saturating_add(1),
            hash: block.hash,
        };
        if self.cx.chain.fault().is_some() {
            return;
        }
        let Some(peer) = self.peers.get_mut(line) else {
            return;
        };
        if !peer.is_ours() {
            return self.desktop_block(line, block);
        }
        if !peer.is_ahead_of(&claim) {
            peer.tip = Some(claim);
        }
        if !claim.beats(&tip) {
            return;
        }
        let mut verdict = block.check_alone(self.cx.chain.difficulty());
        if links && verdict.is_ok() {
            let all = &block.transactions;
            verdict = Changes::default().check(self.cx.chain.items(), all);
        }
        if let Err(error) = verdict {
            return self.refuse_block(line, &block, &error);
        }
        let origin = match links {
            true => Origin::NewBlock,
            false if whole && self.sync.is_rival(&mut self.cx, &block) => Origin::Rival,
            false => return self.ask_for_block(line, &block),
        };
        if let Some(peer) = self.peers.get_mut(line) {
            peer.hold(block, origin, 0);
        }
    }

    /// A desktop node has made a block.
    pub(super) fn desktop_block(&mut self, line: usize, block: Box<Block>) {
        let (cx, peers) = (&mut self.cx, &mut self.peers);
        let taken = Desktops::block(cx, peers, line, block);
        self.act_on(line, taken);
    }

    /// When a block is made of what the desktop node of a line said and no block of ours has.
    pub(super) fn salvage_due(&self, line: usize) -> Due {
        self.desktops
            .salvage_due(self.cx.now.mono, &self.peers, line)
    }

    /// A block belongs to a chain that would win.
    pub(super) fn ask_for_block(&mut self, line: usize, block: &Block) {
        self.ask_chain(line);
        if let Some(peer) = self.peers.get_mut(line) {
            peer.seen = peer.seen.max(block.index);
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
        match origin {
            Origin::Chain => {
                let (sync, cx) = (&mut self.sync, &mut self.cx);
                let staged = sync.stage(cx, &mut self.peers, line, block);
                self.act_on(line, staged);
            }
            Origin::Hole => self.mend(line, &block),
            Origin::NewBlock => self.take_block(line, block),
            Origin::Rival => match self.sync.take_rival(&mut self.cx, line, &block) {
                Ok(true) => {}
                Ok(false) => self.ask_for_block(line, &block),
                Err(error) => self.refuse_block(line, &block, &error),
            },
            Origin::Desktop => {
                let (desktops, cx) = (&mut self.desktops, &mut self.cx);
                desktops.follow(cx, &mut self.peers, &mut self.mempool, line, &block);
            }
            Origin::Salvage => {}
        }
    }

    /// Takes a checked block, if it still extends the chain.
    fn take_block(&mut self, line: usize, block: Box<Block>) {
        let tip = self.cx.chain.tip();
        let hole = self.cx.chain.gap().is_some();
        if hole || block.index != tip.length || block.prev_hash != tip.hash {
            return self.new_block(line, block);
        }
        match self.cx.chain.append(&block) {
            Ok(()) => {
                self.cx.effects.notify(format!(
                    "[network 📦] received and added block #{}",
                    block.index
                ));
                if let Some(peer) = self.peers.get_mut(line) {
                    peer.brought = Some(self.cx.now.mono);
                }
                self.mempool.confirmed(&mut self.cx, &block);
                self.peers.relay(Intent::Block(block.index), Some(line));
                self.tip_changed();
            }
            Err(AppendError::Rule(error)) => self.refuse_block(line, &block, &error),
            Err(AppendError::Disk(error)) => self.cx.disk_failed(&error),
        }
    }

    /// A block breaks a rule, or is beyond what this node follows. One with something void may stand
    /// in a chain that would win.
    pub(super) fn refuse_block(&mut self, line: usize, block: &Block, error: &RuleError) {
        if error.is_void() {
            return self.ask_for_block(line, block);
        }
        match error.is_limit() {
            true => self.act_on(line, Err(Fault::Limit(error.clone()))),
            false => self.act_on(line, Err(Fault::block(block.index, error.clone()))),
        }
    }

    /// A rule was broken: the third time ends the connection.
    pub(super) fn strike(&mut self, line: usize, reason: &str) {
        let Some(peer) = self.peers.get_mut(line).filter(|peer| !peer.is_newer()) else {
            return;
        };
        peer.strikes += 1;
        log::info!("{}: dropped: {reason}", peer.remote);
        if peer.strikes >= limits::STRIKES {
            self.hang_up(
                line,
                "it broke the rules three times",
                Some(limits::BANISHED_MS),
            );
        }
    }
}
