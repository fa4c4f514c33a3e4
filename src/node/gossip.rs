//! What peers say, and what becomes of it; who comes and who goes.

use core::net::SocketAddr;

use super::lines::{Held, Origin, Peer, Slot};
use super::peers::{Contact, Target};
use super::{Action, Line, Millis, Node};
use crate::ledger::{Block, Changes, Kind, RuleError, Transaction};
use crate::limits;
use crate::store::disk::Disk;
use crate::store::log::AppendError;
use crate::wire::frame::{Frame, FrameError};
use crate::wire::message::{
    self, BlockError, Envelope, InvalidBlock, LineError, Message, MessageKind,
};
use crate::wire::write::Intent;

/// A frame, understood.
enum Heard {
    Line(Result<Envelope, LineError>),
    ChainBlock(Result<Block, BlockError>),
    ChainEnd(Result<Envelope, LineError>),
    ChainBroken,
    Unreadable(FrameError),
}

impl<D: Disk> Node<D> {
    pub(super) fn incoming(&mut self, from: SocketAddr) {
        let Some(line) = self.free_line() else {
            log::info!("{from} is refused: all {} places are taken", limits::PEERS);
            return self.actions.push_back(Action::Refuse);
        };
        let peer = Peer::new(self.now.mono, from, false);
        self.slots[usize::from(line.0)] = Slot::Open(Box::new(peer));
        self.actions.push_back(Action::Accept { line });
        log::info!("{from} connected");
    }

    fn free_line(&self) -> Option<Line> {
        let free = self
            .slots
            .iter()
            .position(|slot| matches!(slot, Slot::Free))?;
        u8::try_from(free).ok().map(Line)
    }

    fn target_on(&mut self, line: Line) -> Option<&mut Target> {
        self.targets
            .iter_mut()
            .find(|target| target.line() == Some(line))
    }

    pub(super) fn connected(&mut self, line: Line, local: SocketAddr, remote: SocketAddr) {
        let now = self.now.mono;
        let itself = local.ip() == remote.ip()
            && remote.port() == self.listen.port()
            && (self.listen.ip().is_unspecified() || self.listen.ip() == remote.ip());
        let twice = self.slots.iter_mut().any(|slot| {
            slot.peer()
                .is_some_and(|peer| peer.outbound && peer.remote == remote)
        });
        if itself || twice || local == remote {
            let reason = if twice {
                "it is connected already"
            } else {
                "that is this node itself"
            };
            self.actions.push_back(Action::Hangup { line });
            return self.forget_target(line, reason);
        }
        let mut peer = Peer::new(now, remote, true);
        peer.push(Intent::Plain(MessageKind::PeerAnnounce));
        peer.ask();
        self.slots[usize::from(line.0)] = Slot::Open(Box::new(peer));
        log::info!("connected to {remote}");
        let Some(target) = self.target_on(line) else {
            return;
        };
        target.contact = Contact::Open(line, now);
        target.kept = true;
        let again = target.error.take().is_some();
        let name = target.name();
        if core::mem::take(&mut target.asked) {
            self.answer(&format!("✅ connected to {name}"));
        } else if again {
            self.notify(&format!("[network 🔗] connected to {name} again"));
        }
    }

    pub(super) fn dial_failed(&mut self, line: Line, reason: &str) {
        self.slots[usize::from(line.0)] = Slot::Free;
        let chance = self.random();
        let now = self.now.mono;
        let Some(target) = self.target_on(line) else {
            return;
        };
        if !target.kept {
            return self.forget_target(line, reason);
        }
        target.retry(now, reason.to_owned(), chance);
        if core::mem::take(&mut target.asked) {
            let name = target.name();
            self.answer(&format!(
                "❌ cannot connect to {name}: {reason}; it is dialed again."
            ));
        }
    }

    /// Gives a target up for good: it cannot be dialed, or need not.
    fn forget_target(&mut self, line: Line, reason: &str) {
        self.slots[usize::from(line.0)] = Slot::Free;
        let Some(at) = self
            .targets
            .iter()
            .position(|target| target.line() == Some(line))
        else {
            return;
        };
        let target = self.targets.remove(at);
        let text = format!("❌ cannot connect to {}: {reason}.", target.name());
        if target.asked {
            self.answer(&text)
        } else {
            self.notify(&text)
        }
    }

    pub(super) fn closed(&mut self, line: Line, reason: Option<&str>) {
        if line == super::CONSOLE {
            if let Some(console) = &mut self.console {
                match reason {
                    None => console.end_input(),
                    Some(_) => {
                        console.break_output();
                        self.menu.stop_listing();
                    }
                }
            }
            return;
        }
        self.drop_line(
            usize::from(line.0),
            reason.unwrap_or("the other end closed"),
            None,
        );
    }

    /// Ends a connection that deserves it.
    pub(super) fn hang_up(&mut self, line: usize, reason: &str, rest: Option<u64>) {
        let number = u8::try_from(line).expect("a slot's number");
        self.actions
            .push_back(Action::Hangup { line: Line(number) });
        self.drop_line(line, reason, rest);
    }

    fn drop_line(&mut self, line: usize, reason: &str, rest: Option<u64>) {
        let Slot::Open(peer) = core::mem::replace(&mut self.slots[line], Slot::Free) else {
            return;
        };
        log::info!("{}: connection closed: {reason}", peer.remote);
        self.drop_candidate(line);
        let chance = self.random();
        let now = self.now.mono;
        let number = u8::try_from(line).expect("a slot's number");
        let Some(target) = self.target_on(Line(number)) else {
            return;
        };
        match rest {
            None => target.retry(now, reason.to_owned(), chance),
            Some(ms) => target.rest(now, ms, reason.to_owned()),
        }
        let name = target.name();
        let then = match rest {
            None => "dialing again".into(),
            Some(ms) => format!("not dialed for {} minutes", ms / 60_000),
        };
        self.notify(&format!("[network 🔗] lost {name}: {reason}; {then}"));
    }

    /// Looks after everything that waits for a time.
    pub(super) fn tend(&mut self) {
        let now = self.now.mono;
        for line in 0..self.slots.len() {
            let verdict = self.slots[line].peer().and_then(|peer| peer.tend(now));
            if let Some(reason) = verdict {
                self.hang_up(line, reason, None);
            }
        }
        if self.ending.is_some() {
            return;
        }
        for at in 0..self.targets.len() {
            if !matches!(self.targets[at].contact, Contact::Waiting(until) if until <= now) {
                continue;
            }
            let Some(line) = self.free_line() else {
                let reason = format!("all {} places are taken", limits::PEERS);
                let chance = self.random();
                let target = &mut self.targets[at];
                let text = format!("❌ cannot connect to {}: {reason}.", target.name());
                target.retry(now, reason, chance);
                if core::mem::take(&mut target.asked) {
                    self.answer(&text);
                }
                continue;
            };
            self.slots[usize::from(line.0)] = Slot::Dialing;
            let target = &mut self.targets[at];
            target.contact = Contact::Dialing(line);
            let (host, port) = (target.host.clone(), target.port);
            self.actions.push_back(Action::Dial { line, host, port });
        }
        self.targets
            .retain(|target| target.kept || target.line().is_some());
    }

    /// Reads at most one frame of a line, or goes on with the block it holds; true if there may
    /// be more to do.
    pub(super) fn read(&mut self, line: usize) -> bool {
        let free = self.sync.is_free();
        let Some(peer) = self.slots[line].peer() else {
            return false;
        };
        match peer.held.take() {
            Some(Held::Checking {
                block,
                origin,
                next,
            }) => {
                self.check(line, block, origin, next);
                return true;
            }
            Some(Held::Queued(block)) if free => {
                self.chain_block(line, block);
                return true;
            }
            Some(queued) => {
                peer.held = Some(queued);
                return false;
            }
            None => {}
        }
        let heard = match peer.reader.next() {
            None => return false,
            Some(Err(error)) => Heard::Unreadable(error),
            Some(Ok(Frame::Message(text))) => Heard::Line(message::read(text)),
            Some(Ok(Frame::ChainElement(text))) => Heard::ChainBlock(message::block(text)),
            Some(Ok(Frame::ChainEnd(text))) => Heard::ChainEnd(message::read(text)),
            Some(Ok(Frame::ChainBroken)) => Heard::ChainBroken,
        };
        peer.framed = self.now.mono;
        self.take(line, heard);
        true
    }

    fn take(&mut self, line: usize, heard: Heard) {
        match heard {
            Heard::Line(Ok(envelope)) => self.message(line, envelope),
            Heard::ChainEnd(Ok(envelope)) => {
                if let Message::ChainEnd { .. } = envelope.message {
                    self.chain_end(line);
                } else {
                    self.drop_candidate(line);
                }
                self.message(line, envelope);
            }
            Heard::ChainBlock(Ok(block)) => {
                if let Some(peer) = self.slots[line].peer() {
                    peer.blocks_in += 1;
                }
                self.chain_block(line, Box::new(block));
            }
            Heard::ChainBlock(Err(BlockError::Rule(invalid))) => {
                self.chain_invalid(line, &invalid.to_string());
            }
            Heard::Line(Err(LineError::Shape(reason)))
            | Heard::ChainEnd(Err(LineError::Shape(reason)))
            | Heard::ChainBlock(Err(BlockError::Shape(reason))) => {
                self.hang_up(line, &reason, None);
            }
            Heard::Unreadable(error) => self.hang_up(line, &error.to_string(), None),
            Heard::Line(Err(LineError::NotJson)) => self.skipped(line),
            Heard::ChainEnd(Err(LineError::NotJson)) | Heard::ChainBroken => {
                self.drop_candidate(line);
                self.skipped(line);
            }
            Heard::ChainBlock(Err(BlockError::NotJson)) => {
                self.drop_candidate(line);
                if let Some(peer) = self.slots[line].peer() {
                    peer.reader.skip_line();
                }
                self.skipped(line);
            }
        }
    }

    fn skipped(&mut self, line: usize) {
        if let Some(peer) = self.slots[line].peer() {
            log::info!("{}: a line that is not JSON is skipped", peer.remote);
        }
    }

    fn message(&mut self, line: usize, envelope: Envelope) {
        let Some(peer) = self.slots[line].peer() else {
            return;
        };
        peer.messages_in += 1;
        peer.port = envelope.sender.or(peer.port);
        if !peer.greeted {
            peer.greeted = true;
            if !peer.outbound {
                peer.ask();
            }
        }
        match envelope.message {
            Message::PeerAnnounce => peer.push(Intent::PeerList),
            Message::RequestChain => peer.push(Intent::Chain),
            Message::Ping => peer.push(Intent::Plain(MessageKind::Pong)),
            Message::PeerList { .. } | Message::ChainEnd { .. } | Message::Pong => {}
            Message::NewBlock(read) => {
                peer.blocks_in += 1;
                match read {
                    Ok(block) => self.new_block(line, Box::new(block)),
                    Err(invalid) => self.strike(line, &invalid.to_string()),
                }
            }
            Message::NewTransaction(Ok(transaction)) => self.new_transaction(line, &transaction),
            Message::NewTransaction(Err(error)) => {
                self.strike(line, &format!("a transaction: {error}"));
            }
        }
    }

    fn new_transaction(&mut self, line: usize, transaction: &Transaction) {
        if !self.verifier.verify(transaction) {
            return self.strike(line, "a transaction: its signature does not verify");
        }
        let verb = match transaction.kind {
            Kind::Request => "request",
            Kind::Release => "release",
        };
        let who = menu_name(&transaction.requester.to_string());
        self.notify(&format!(
            "[network 📨] {verb} of {} by {who}",
            transaction.uid
        ));
    }

    /// A block on its own (PROTOCOL.md section 4). Cheapest test first.
    fn new_block(&mut self, line: usize, block: Box<Block>) {
        let tip = self.log.tip();
        let links = block.index == tip.length && block.prev_hash == tip.hash;
        let rivals = block.index == tip.length - 1 && block.hash < tip.hash;
        if self.log.fault().is_some() || (block.index < tip.length && !rivals) {
            return;
        }
        let mut verdict = block.check_alone(self.log.difficulty());
        if links && verdict.is_ok() {
            let items = Changes::default().apply_block(self.log.items(), &block);
            verdict = items.map(|_| ());
        }
        if let Err(error) = verdict {
            return self.strike(line, &invalid(&block, error));
        }
        let Some(peer) = self.slots[line].peer() else {
            return;
        };
        if links {
            peer.held = Some(Held::Checking {
                block,
                origin: Origin::NewBlock,
                next: 0,
            });
        } else {
            peer.ask();
            peer.seen = peer.seen.max(block.index);
        }
    }

    /// Goes on checking a block's signatures.
    fn check(&mut self, line: usize, block: Box<Block>, origin: Origin, next: usize) {
        let end = block
            .transactions
            .len()
            .min(next + limits::SIGNATURES_PER_TURN);
        for position in next..end {
            if !self.verifier.verify(&block.transactions[position]) {
                let text = invalid(&block, RuleError::WrongSignature(position));
                return match origin {
                    Origin::NewBlock => self.strike(line, &text),
                    Origin::Chain => self.chain_invalid(line, &text),
                };
            }
        }
        if end < block.transactions.len() {
            if let Some(peer) = self.slots[line].peer() {
                peer.held = Some(Held::Checking {
                    block,
                    origin,
                    next: end,
                });
            }
            return;
        }
        match origin {
            Origin::Chain => self.stage(line, block),
            Origin::NewBlock => self.take_block(line, block),
        }
    }

    /// Takes a checked block, if it still extends the chain.
    fn take_block(&mut self, line: usize, block: Box<Block>) {
        let tip = self.log.tip();
        if block.index != tip.length || block.prev_hash != tip.hash {
            return self.new_block(line, block);
        }
        match self.log.append(&block) {
            Ok(()) => {
                self.notify(&format!(
                    "[network 📦] received and added block #{}",
                    block.index
                ));
                self.relay(Intent::Block(block.index), Some(line));
                self.tip_changed();
            }
            Err(AppendError::Rule(error)) => self.strike(line, &invalid(&block, error)),
            Err(AppendError::Disk(error)) => self.disk_failed(&error),
        }
    }

    /// A rule was broken: the third time ends the connection.
    pub(super) fn strike(&mut self, line: usize, reason: &str) {
        let Some(peer) = self.slots[line].peer() else {
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

    /// The user wants a connection; the outcome is told when it is known.
    pub(super) fn dial(&mut self, host: String, port: u16) {
        let known = self
            .targets
            .iter()
            .position(|t| t.host == host && t.port == port);
        if let Some(at) = known {
            let target = &mut self.targets[at];
            match target.contact {
                Contact::Open(..) => {
                    let name = target.name();
                    return self.answer(&format!("✅ connected to {name} already"));
                }
                Contact::Waiting(_) => target.contact = Contact::Waiting(self.now.mono),
                Contact::Dialing(_) => {}
            }
            self.targets[at].asked = true;
        } else if self.targets.len() >= limits::PEERS {
            return self.answer(&format!("❌ {} peers are enough.", limits::PEERS));
        } else {
            let mut target = Target::new(host, port, self.now.mono);
            target.asked = true;
            self.targets.push(target);
        }
        self.wait_for_answer();
    }

    /// The time left until a target is dialed again.
    pub(super) fn seconds_until(&self, until: Millis) -> u64 {
        until.0.saturating_sub(self.now.mono.0).div_ceil(1000)
    }
}

fn invalid(block: &Block, error: RuleError) -> String {
    InvalidBlock {
        index: Some(block.index),
        error,
    }
    .to_string()
}

/// A key as people tell it apart: its first digits.
pub(super) fn menu_name(key: &str) -> String {
    key.chars().take(12).collect()
}
