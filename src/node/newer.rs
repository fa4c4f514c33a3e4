//! Desktop nodes whose ledger has credits (PROTOCOL.md section 6): known for what they are before
//! anything of theirs is judged, told nothing of our chain, and asked for theirs now and then, as
//! they may have taken one that we can follow.

use super::desktop::Desktop;
use super::effects::Effects;
use super::event::Millis;
use super::peer::{Kind, Peer};
use super::peers::Peers;
use crate::ledger::{Block, RuleError};
use crate::limits;
use crate::wire::write::Outgoing;
use crate::wire::{BlockError, InvalidBlock, Message};

/// What a user is told of such a node, behind its name.
pub const WHAT: &str = "is a desktop node of release 0.0.2 or newer: its chain has credits, \
                        which this node and release 0.0.1 cannot follow, and what is taken there \
                        is not seen here";

impl Peer {
    /// Whether it is a desktop node whose ledger has credits.
    pub fn is_newer(&self) -> bool {
        matches!(self.kind, Kind::Newer(_))
    }

    /// When it has to be asked for its chain again, or be answered.
    pub fn newer_deadline(&self) -> Option<Millis> {
        let ask = match &self.kind {
            Kind::Newer(ask) => Some(*ask),
            _ => None,
        };
        let early = self.ledger.early.as_ref().map(|(_, until)| *until);
        ask.into_iter()
            .chain(self.ledger.question)
            .chain(early)
            .min()
    }

    /// Its question is answered, if it has one: what its ledger is, is known as far as it will be.
    fn answer_question(&mut self) {
        self.ledger.known = true;
        if self.ledger.question.take().is_some() {
            let newer = self.is_newer();
            match self.desktop() {
                // It hears it when that is its turn.
                Some(desktop) => desktop.asks = true,
                None if newer => self.push(Outgoing::NoChain(0)),
                None => self.push(Outgoing::Chain),
            }
        }
    }
}

impl Peers {
    /// What a peer says, unless it is of no concern to our chain: of a ledger with credits, from a
    /// node that has one, or a question that has to wait.
    pub fn sieve(
        &mut self,
        effects: &mut Effects,
        now: Millis,
        conn: usize,
        message: Message,
    ) -> Option<Message> {
        let peer = self.get_mut(conn)?;
        let newer = peer.is_newer();
        match &message {
            _ if peer.is_ours() => return Some(message),
            Message::NewBlock(Err(InvalidBlock { error, .. }))
            | Message::NewTransaction(Err(error))
                if *error == RuleError::Newer =>
            {
                self.meet_newer(effects, now, conn);
            }
            Message::NewBlock(_) | Message::NewTransaction(_) if newer => {}
            Message::RequestChain(_) if newer => peer.push(Outgoing::NoChain(0)),
            Message::NewBlock(Ok(block))
                if !peer.ledger.known && peer.ledger.early.is_none() && peer.has_spoken() =>
            {
                // Whether it is one that this node can follow, its chain tells.
                let latest = Millis(now.0 + limits::QUESTION_MS);
                peer.ledger.early = Some((Box::new(block.clone()), latest));
            }
            Message::RequestChain(None) if !peer.ledger.known => {
                let latest = Millis(now.0 + limits::QUESTION_MS);
                peer.ledger.question.get_or_insert(latest);
            }
            _ => return Some(message),
        }
        if let Message::NewBlock(_) = message
            && let Some(peer) = self.get_mut(conn)
        {
            peer.blocks_in += 1;
        }
        None
    }

    /// Whether a block of a chain is none here because its node has another ledger.
    pub fn has_credits(&self, conn: usize, error: &BlockError) -> bool {
        let Some(peer) = self.get(conn) else {
            return false;
        };
        match error {
            BlockError::NotJson => false,
            BlockError::Rule(invalid) if invalid.error == RuleError::Newer => !peer.is_ours(),
            BlockError::Rule(_) | BlockError::Shape(_) => peer.is_newer(),
        }
    }

    /// A peer has shown that its ledger has credits.
    pub fn meet_newer(&mut self, effects: &mut Effects, now: Millis, conn: usize) {
        let Some(peer) = self.get_mut(conn) else {
            return;
        };
        if !peer.is_newer() {
            peer.kind = Kind::Newer(Millis(now.0 + limits::NEWER_POLL_MS));
            peer.writer.withhold();
        }
        (peer.again, peer.deferred, peer.misbehaviours) = (false, None, 0);
        peer.ledger.early = None;
        peer.answer_question();
        if core::mem::replace(&mut peer.ledger.told, true) {
            return;
        }
        let name = peer.remote;
        effects.alert(format!("[network ⚠️] {name} {WHAT}."));
    }

    /// A peer that is not one of ours has told all of its chain, and there are no credits in it. If
    /// there were before, it has taken another one, and is a desktop node like others.
    pub fn note_no_credits(&mut self, now: Millis, conn: usize, is_empty: bool) {
        let Some(peer) = self.get_mut(conn) else {
            return;
        };
        if peer.is_newer() && !is_empty {
            peer.kind = Kind::Desktop(Box::new(Desktop::new(now, true)));
            log::info!("{}: its chain has no credits any more", peer.remote);
        }
        peer.answer_question();
    }

    /// The block that came before the chain of its node: that is known now, or will not come.
    pub fn take_early(&mut self, conn: usize) -> Option<Box<Block>> {
        let peer = self.get_mut(conn).filter(|peer| peer.held.is_none())?;
        peer.ledger.early.take().map(|(block, _)| block)
    }

    /// The same, if it has waited long enough.
    pub fn take_late(&mut self, now: Millis, conn: usize) -> Option<Box<Block>> {
        let early = self.get(conn)?.ledger.early.as_ref();
        early.filter(|(_, latest)| *latest <= now)?;
        self.take_early(conn)
    }

    /// Answers one who waited long enough, and asks one with credits for its chain that was not asked
    /// for long.
    pub fn tend_newer(&mut self, now: Millis, conn: usize) {
        let Some(peer) = self.get_mut(conn) else {
            return;
        };
        if peer.ledger.question.is_some_and(|latest| latest <= now) {
            peer.answer_question();
        }
        let Kind::Newer(ask) = &mut peer.kind else {
            return;
        };
        if *ask <= now {
            *ask = Millis(now.0 + limits::NEWER_POLL_MS);
            if !peer.reader.is_skipping() && peer.asked.is_none() {
                peer.question(now);
            }
        }
    }
}

#[cfg(test)]
#[path = "newer_tests.rs"]
mod tests;
