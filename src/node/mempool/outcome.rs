//! What becomes of waiting transactions, told to whoever is concerned.

use super::Mempool;
use super::batch::{Batch, BatchOrigin};
use crate::ledger::{Block, Kind, PublicKey, RuleError, Transaction, Uid};
use crate::limits;
use crate::node::answer::{Answer, SessionId, done, menu_name, verb};
use crate::node::effects::Cx;
use crate::store::disk::Disk;

/// Who changed an item last, and the height of the block.
struct Winner {
    key: PublicKey,
    height: u64,
}

impl Mempool {
    /// Tells whoever is concerned that a batch will not be in the chain, and what rule it breaks;
    /// `None` if the reservation that it ended is over.
    pub fn tell_impossible<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        batch: &Batch,
        error: Option<RuleError>,
        template: &[Transaction],
    ) {
        match (batch.origin, error) {
            (BatchOrigin::User, Some(error)) if !batch.kept => {
                self.refuse(cx, batch.session, &error, &batch.transactions);
            }
            (BatchOrigin::Own | BatchOrigin::User, error) => {
                let Some(first) = batch.transactions.first() else {
                    return;
                };
                let its = |uid: &Uid| batch.transactions.iter().find(|t| t.uid == *uid);
                let transaction = match &error {
                    Some(RuleError::NotAvailable(uid) | RuleError::NotReserved(uid)) => its(uid),
                    _ => None,
                };
                let transaction = transaction.unwrap_or(first);
                let winner = self.winner(cx, &transaction.uid, template);
                self.lost_to(cx, transaction, winner, error.as_ref());
                let text = format!("somebody else was first with {}.", transaction.uid);
                cx.effects
                    .answer_program(batch.session, Answer::Refused(text));
            }
            (BatchOrigin::Other | BatchOrigin::Peer(_), _) => {}
        }
    }

    /// No block of ours is long enough for this batch: it stood in a block whose text was a little
    /// shorter.
    pub fn cannot_fit<D: Disk>(&mut self, cx: &mut Cx<D>, batch: &Batch) {
        for transaction in &batch.transactions {
            if batch.is_own() {
                self.lost(cx, transaction, "its text fits into no block");
            } else {
                log::warn!("a transaction of another node is dropped: its text fits into no block");
            }
        }
    }

    /// Who changed the item last, in the chain or in a template behind it.
    fn winner<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        uid: &Uid,
        template: &[Transaction],
    ) -> Option<Winner> {
        if let Some(last) = template.iter().rev().find(|t| t.uid == *uid) {
            return Some(Winner {
                key: last.requester,
                height: cx.chain.tip().length,
            });
        }
        let height = cx.chain.items().get(uid)?.since;
        let stored = cx.chain.read(height).ok()?;
        let key = stored.last_change(|its| its == uid)?.requester;
        Some(Winner { key, height })
    }

    /// Tells the user that somebody else came first.
    fn lost_to<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        transaction: &Transaction,
        winner: Option<Winner>,
        error: Option<&RuleError>,
    ) {
        let Some(Winner { key, height }) = winner else {
            let why = error.map_or_else(|| "its item is gone".into(), ToString::to_string);
            return self.lost(cx, transaction, &why);
        };
        self.remember_lost(transaction);
        let (verb, uid, key) = (verb(transaction), &transaction.uid, key.to_string());
        cx.effects.alert(format!(
            "[consensus] your {verb} of {uid} lost to {} at block {height}",
            menu_name(&key)
        ));
    }

    /// Tells the user that a transaction of theirs is lost for good.
    pub fn lost<D>(&mut self, cx: &mut Cx<D>, transaction: &Transaction, why: &str) {
        self.remember_lost(transaction);
        let (verb, uid) = (verb(transaction), &transaction.uid);
        cx.effects.alert(format!(
            "[consensus ❌] your {verb} of {uid} is lost: {why}."
        ));
    }

    fn remember_lost(&mut self, transaction: &Transaction) {
        let told = &mut self.queue.lost;
        told.push_back(transaction.clone());
        if limits::Full::LostForgotten.when(told.len() > limits::LOST_REMEMBERED) {
            told.pop_front();
        }
    }

    /// Tells the user why a request is refused.
    pub fn refuse<D>(
        &mut self,
        cx: &mut Cx<D>,
        session: Option<SessionId>,
        error: &RuleError,
        request: &[Transaction],
    ) {
        let text = match error {
            RuleError::NotAvailable(uid) => format!("item {uid} is not available."),
            RuleError::NotReserved(uid) => format!("item {uid} is ready for request."),
            other => format!("{other}."),
        };
        let rest = match request {
            [first, _, ..] => format!(" nothing was {}.", done(first.kind)),
            _ => String::new(),
        };
        cx.effects
            .answer(session, Answer::Refused(format!("{text}{rest}")));
    }

    /// A block that was made cannot be added: its transactions cannot be tried for ever.
    pub fn unfit<D: Disk>(&mut self, cx: &mut Cx<D>, block: &Block, error: &RuleError) {
        log::error!("block {} was made in vain: {error}", block.index);
        for batch in self.queue.take_done(&block.transactions) {
            for transaction in batch.transactions.iter().filter(|_| batch.is_own()) {
                self.lost(cx, transaction, &error.to_string());
                cx.effects
                    .answer_program(batch.session, Answer::Refused(format!("{error}.")));
            }
        }
    }

    /// A block is in the chain: waiting transactions that are in it are done, and that is told.
    /// True if the user waited for one of them.
    pub fn confirmed<D>(&mut self, cx: &mut Cx<D>, block: &Block) -> bool {
        for transaction in &block.transactions {
            self.tell_found(cx, transaction, block.index);
        }
        let done = self.queue.take_done(&block.transactions);
        let mut fresh = false;
        for batch in done {
            fresh |= batch.origin == BatchOrigin::User;
            for transaction in batch.transactions.iter().filter(|_| batch.is_own()) {
                let uid = &transaction.uid;
                if batch.origin == BatchOrigin::User {
                    let answer = match transaction.kind {
                        Kind::Request => Answer::Requested(uid.clone()),
                        Kind::Release => Answer::Released(uid.clone()),
                    };
                    cx.effects.answer(batch.session, answer);
                } else {
                    let (verb, index) = (verb(transaction), block.index);
                    cx.effects.notify(format!(
                        "[consensus ✅] your {verb} of {uid} is in the chain again, block #{index}"
                    ));
                }
            }
        }
        fresh
    }

    /// Says what is left undone when the node ends.
    pub fn report_unfinished<D>(&mut self, cx: &mut Cx<D>) {
        let later = self.disconnected.iter().flat_map(|rest| rest.own());
        let own = self.queue.iter().chain(later).filter(|b| b.is_own());
        let then = match self.unkept {
            true => "and it could not be kept for the next start",
            false => "it is tried again at the next start",
        };
        let told = |batch: &Batch| {
            let texts = batch.transactions.iter().map(|transaction| {
                let (verb, uid) = (verb(transaction), &transaction.uid);
                format!("not done yet: {verb} of {uid}; {then}")
            });
            (batch.session, texts.collect::<Vec<_>>())
        };
        for (session, texts) in own.map(told).collect::<Vec<_>>() {
            for text in texts {
                log::warn!("{text}");
                cx.effects
                    .answer_program(session, Answer::Refused(format!("{text}.")));
            }
        }
        self.queue.forget_sessions();
    }
}
