//! What peers say, and what becomes of it.

use super::Node;
use super::lines::{Held, Origin};
use super::pool::verb;
use crate::ledger::{Block, Changes, RuleError, Tip, Transaction};
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
    /// Reads at most one frame of a line, or goes on with the block it holds; true if there may
    /// be more to do.
    pub(super) fn read(&mut self, line: usize) -> bool {
        let Some(peer) = self.slots[line].peer() else {
            return false;
        };
        if let Some(held) = peer.held.take() {
            self.check(line, held);
            return true;
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
        let verb = verb(transaction);
        let who = menu_name(&transaction.requester.to_string());
        self.notify(&format!(
            "[network 📨] {verb} of {} by {who}",
            transaction.uid
        ));
    }

    /// A block on its own (PROTOCOL.md section 4). Cheapest test first.
    fn new_block(&mut self, line: usize, block: Box<Block>) {
        let tip = self.log.tip();
        let links =
            block.index == tip.length && block.prev_hash == tip.hash && self.log.gap().is_none();
        // What its chain would be: only one that would win is worth a look.
        let claim = Tip {
            length: block.index.saturating_add(1),
            hash: block.hash,
        };
        if self.log.fault().is_some() || !claim.beats(&tip) {
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
            peer.held = Some(Held {
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
        if origin != Origin::NewBlock {
            self.sync.progress(end - next);
        }
        for position in next..end {
            if !self.verifier.verify(&block.transactions[position]) {
                let text = invalid(&block, RuleError::WrongSignature(position));
                return match origin {
                    Origin::NewBlock => self.strike(line, &text),
                    Origin::Chain | Origin::Hole => self.chain_invalid(line, &text),
                };
            }
        }
        if end < block.transactions.len() {
            if let Some(peer) = self.slots[line].peer() {
                peer.held = Some(Held {
                    block,
                    origin,
                    next: end,
                });
            }
            return;
        }
        match origin {
            Origin::Chain => self.stage(line, block),
            Origin::Hole => self.mend(line, &block),
            Origin::NewBlock => self.take_block(line, block),
        }
    }

    /// Takes a checked block, if it still extends the chain.
    fn take_block(&mut self, line: usize, block: Box<Block>) {
        let tip = self.log.tip();
        let hole = self.log.gap().is_some();
        if hole || block.index != tip.length || block.prev_hash != tip.hash {
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
}

/// What is wrong with which block.
pub(super) fn invalid(block: &Block, error: RuleError) -> String {
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
