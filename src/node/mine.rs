//! Blocks of what waits: which of it goes into the next one, and what is said of it.

use super::gossip::menu_name;
use super::menu::done;
use super::pool::{Batch, Origin};
use super::report::Answer;
use super::seats::Asker;
use super::{Millis, Node};
use crate::ledger::{Block, Changes, Kind, PublicKey, RuleError, Transaction, Uid, Work};
use crate::limits;
use crate::store::disk::Disk;
use crate::store::log::AppendError;
use crate::wire::write::Intent;

/// What a transaction does, as a word.
pub(super) fn verb(transaction: &Transaction) -> &'static str {
    match transaction.kind {
        Kind::Request => "request",
        Kind::Release => "release",
    }
}

/// Whoever changed an item last, and the height of the block.
struct Winner {
    key: PublicKey,
    height: u64,
}

/// A block that is being put together.
#[derive(Default)]
struct Draft {
    transactions: Vec<Transaction>,
    changes: Changes,
    /// Items that something changes which has to wait, and until when.
    waiting: Vec<(Uid, Millis)>,
}

impl Draft {
    /// Until when a batch has to wait for others in front of it.
    fn blocks(&self, batch: &Batch) -> Option<Millis> {
        let before = self.waiting.iter().filter(|(uid, _)| batch.touches(uid));
        before.map(|(_, until)| *until).max()
    }

    /// Nothing behind it may change what it changes.
    fn pass_over(&mut self, batch: &Batch) {
        let items = batch.transactions.iter();
        self.waiting
            .extend(items.map(|t| (t.uid.clone(), batch.due)));
    }
}

impl<D: Disk> Node<D> {
    /// Goes on making a block of what waits.
    pub(super) fn mine(&mut self) {
        if !self.wants_block() {
            return;
        }
        if let Some(fault) = self.log.fault() {
            let nothing = format!("nothing was changed: {fault}.");
            let later = format!("not done yet: {fault}; it is tried again at the next start.");
            let answer = |wish: &Batch| {
                let text = if wish.kept { &later } else { &nothing };
                (wish.asker, Answer::Refused(text.clone()))
            };
            let answers: Vec<_> = self.pool.wishes().map(answer).collect();
            self.pool.clear();
            self.work = None;
            for (asker, answer) in answers {
                self.answer(asker, &answer);
            }
            return;
        }
        // The tip may have changed without a block: damage in the last record takes it away.
        let tip = self.log.tip().hash;
        self.work = self.work.take().filter(|w| w.block().prev_hash == tip);
        if self.work.is_none() {
            self.begin_work();
        }
        let Some(work) = &mut self.work else {
            return;
        };
        if !work.step(limits::NONCES_PER_TURN) {
            // It takes longer than a turn: a wish must survive a restart meanwhile.
            self.pool.keep_wishes();
        } else if let Some(work) = self.work.take() {
            self.found(&work.into_block());
        }
    }

    /// Whether a block is to be made now. While a chain comes in that will be ours, only for our
    /// user.
    pub(super) fn wants_block(&self) -> bool {
        let now = self.now.mono;
        match self.catching_up() {
            _ if self.work.is_some() => true,
            Some(_) => self.pool.wishes().any(|wish| wish.due <= now),
            None => self.pool.due().is_some_and(|due| due <= now),
        }
    }

    /// When a block is to be made, or something has waited too long.
    pub(super) fn block_deadline(&self) -> Option<Millis> {
        let all = self.pool.due();
        let due = match self.catching_up() {
            Some(until) => {
                let later = all.map(|due| due.max(until));
                self.pool.wishes().map(|wish| wish.due).chain(later).min()
            }
            None => all,
        };
        due.filter(|_| self.may_append())
            .into_iter()
            .chain(self.pool.expires())
            .min()
    }

    /// Whether what waits may go into a block now. What fell out of the chain is first left to who
    /// made it; if our user wants the same item, it goes in front of his wish.
    fn is_ripe(&self, batch: &Batch, wanted: &[Uid]) -> bool {
        match batch.origin {
            Origin::User => true,
            _ if self.catching_up().is_some() => false,
            Origin::Own | Origin::Peer(_) => true,
            Origin::Other => {
                batch.due <= self.now.mono || wanted.iter().any(|uid| batch.touches(uid))
            }
        }
    }

    /// Starts a block of as much as fits; what is no longer possible is reported.
    fn begin_work(&mut self) {
        let height = self.log.tip().length;
        let wanted = self.pool.wishes().flat_map(|wish| &wish.transactions);
        let wanted: Vec<Uid> = wanted.map(|t| t.uid.clone()).collect();
        let mut draft = Draft::default();
        let mut at = 0;
        while draft.transactions.len() < limits::TRANSACTIONS_PER_BLOCK
            && let Some(batch) = self.pool.batches.get(at)
        {
            let count = draft.transactions.len() + batch.transactions.len();
            let full = count > limits::TRANSACTIONS_PER_BLOCK && !draft.transactions.is_empty();
            let blocked = draft.blocks(batch);
            if full || blocked.is_some() || !self.is_ripe(batch, &wanted) {
                // Not looked at again before something can have changed.
                let soon = Millis(self.now.mono.0 + limits::LOOK_AGAIN_MS);
                let batch = &mut self.pool.batches[at];
                if !full && batch.due <= self.now.mono {
                    batch.due = blocked.map_or(soon, |until| until.max(soon));
                }
                draft.pass_over(batch);
                at += 1;
            } else if self.draw_up(at, &mut draft) {
                at += 1;
            } else if let Some(batch) = self.pool.batches.remove(at) {
                self.pool.ended(&[batch]);
            }
        }
        let lengthen = core::mem::take(&mut self.pool.lengthen);
        if draft.transactions.is_empty() && !lengthen {
            return;
        }
        let mut block = Block::genesis(self.block_time());
        block.index = height;
        block.prev_hash = self.log.tip().hash;
        block.transactions = draft.transactions;
        self.work = Some(Work::new(block, self.log.difficulty()));
    }

    /// Takes a batch into the draft; if that is not possible, says so to whom it concerns.
    fn draw_up(&mut self, at: usize, draft: &mut Draft) -> bool {
        let height = self.log.tip().length;
        let batch = self.pool.batches[at].clone();
        let several = batch.transactions.len() > 1;
        let before = several.then(|| draft.changes.clone());
        let refused = match &batch.ended {
            Some(ended) if self.is_held_by_another(ended, draft) => {
                Some((&batch.transactions[0], None))
            }
            _ => batch.transactions.iter().find_map(|transaction| {
                let applied = draft.changes.apply(self.log.items(), transaction, height);
                applied.err().map(|error| (transaction, Some(error)))
            }),
        };
        let Some((transaction, error)) = refused else {
            draft.transactions.extend(batch.transactions);
            return true;
        };
        if let Some(before) = before {
            draft.changes = before;
        }
        match (batch.origin, error) {
            (Origin::User, Some(error)) if !batch.kept => {
                self.refuse(batch.asker, &error, &batch.transactions);
            }
            (Origin::Own | Origin::User, error) => {
                let winner = self.winner(&transaction.uid, &draft.transactions);
                self.lost_to(transaction, winner, error.as_ref());
                let text = format!("somebody else was first with {}.", transaction.uid);
                self.answer_program(batch.asker, &Answer::Refused(text));
            }
            (Origin::Other | Origin::Peer(_), _) => {}
        }
        false
    }

    /// Whether the item that `ended` took is held by another request now, in the chain or the
    /// draft: a release must not end that one.
    fn is_held_by_another(&mut self, ended: &Transaction, draft: &Draft) -> bool {
        let state = draft.changes.get(self.log.items(), &ended.uid);
        let Some(state) = state.filter(|state| state.reserved) else {
            return false;
        };
        let mut drafted = draft.transactions.iter().rev();
        if let Some(last) = drafted.find(|t| t.uid == ended.uid) {
            return !last.is_same_as(ended);
        }
        let Ok(stored) = self.log.read(state.since) else {
            return true;
        };
        let mut changes = stored.block.transactions.iter().rev();
        let holder = changes.find(|t| t.uid == ended.uid);
        holder.is_none_or(|holder| !holder.is_same_as(ended))
    }

    /// Who changed the item last, in the chain or in a draft behind it.
    fn winner(&mut self, uid: &Uid, draft: &[Transaction]) -> Option<Winner> {
        if let Some(last) = draft.iter().rev().find(|t| t.uid == *uid) {
            return Some(Winner {
                key: last.requester,
                height: self.log.tip().length,
            });
        }
        let height = self.log.items().get(uid)?.since;
        let stored = self.log.read(height).ok()?;
        let mut changes = stored.block.transactions.iter().rev();
        let key = changes.find(|t| t.uid == *uid)?.requester;
        Some(Winner { key, height })
    }

    /// Tells the user that somebody else came first.
    fn lost_to(
        &mut self,
        transaction: &Transaction,
        winner: Option<Winner>,
        error: Option<&RuleError>,
    ) {
        let Some(Winner { key, height }) = winner else {
            let why = error.map_or_else(|| "its item is gone".into(), ToString::to_string);
            return self.lost(transaction, &why);
        };
        self.remember_lost(transaction);
        let (verb, uid, key) = (verb(transaction), &transaction.uid, key.to_string());
        self.alert(&format!(
            "[consensus] your {verb} of {uid} lost to {} at block {height}",
            menu_name(&key)
        ));
    }

    /// Tells the user that something of his will not come back.
    pub(super) fn lost(&mut self, transaction: &Transaction, why: &str) {
        self.remember_lost(transaction);
        let (verb, uid) = (verb(transaction), &transaction.uid);
        self.alert(&format!(
            "[consensus ❌] your {verb} of {uid} is lost: {why}."
        ));
    }

    fn remember_lost(&mut self, transaction: &Transaction) {
        let told = &mut self.pool.lost;
        told.push_back(transaction.clone());
        if told.len() > limits::LOST_REMEMBERED {
            told.pop_front();
        }
    }

    /// Tells the user why a wish was not fulfilled.
    pub(super) fn refuse(&mut self, asker: Option<Asker>, error: &RuleError, wish: &[Transaction]) {
        let text = match error {
            RuleError::NotAvailable(uid) => format!("item {uid} is not available."),
            RuleError::NotReserved(uid) => format!("item {uid} is ready for request."),
            other => format!("{other}."),
        };
        let rest = match wish {
            [first, _, ..] => format!(" nothing was {}.", done(first.kind)),
            _ => String::new(),
        };
        self.answer(asker, &Answer::Refused(format!("{text}{rest}")));
    }

    /// The block is made: first to disk, then to the user, then to the peers.
    fn found(&mut self, block: &Block) {
        match self.log.append(block) {
            Ok(()) => {}
            Err(AppendError::Disk(error)) => return self.disk_failed(&error),
            Err(AppendError::Rule(error)) => return self.unfit(block, &error),
        }
        let (count, index) = (block.transactions.len(), block.index);
        let own = self.identity.public();
        let others = block.transactions.iter().filter(|t| t.requester != own);
        match others.count() {
            _ if count == 0 => self.notify(&format!(
                "[consensus ℹ️] made block #{index} without content, so that a desktop node takes our chain"
            )),
            0 => {}
            others => self.notify(&format!(
                "[network 📦] made block #{index} of what others asked for ({others})"
            )),
        }
        let fresh = self.strike_done(block);
        let intent = if fresh {
            Intent::OwnBlock
        } else {
            Intent::Block
        };
        self.relay(intent(block.index), None);
        self.tip_changed();
    }

    /// A block that was made is none: what it was made of cannot be tried for ever.
    fn unfit(&mut self, block: &Block, error: &RuleError) {
        log::error!("block {} was made in vain: {error}", block.index);
        for batch in self.pool.take_done(&block.transactions) {
            for transaction in batch.transactions.iter().filter(|_| batch.is_own()) {
                self.lost(transaction, &error.to_string());
                self.answer_program(batch.asker, &Answer::Refused(format!("{error}.")));
            }
        }
    }

    /// A block is in the chain: what waited and is in it is done, and that is told. True if the
    /// user waited for something of it.
    pub(super) fn strike_done(&mut self, block: &Block) -> bool {
        self.tell_found(block);
        let done = self.pool.take_done(&block.transactions);
        let mut fresh = false;
        for batch in done {
            fresh |= batch.origin == Origin::User;
            for transaction in batch.transactions.iter().filter(|_| batch.is_own()) {
                let uid = transaction.uid.to_string();
                if batch.origin == Origin::User {
                    let answer = match transaction.kind {
                        Kind::Request => Answer::Requested(uid),
                        Kind::Release => Answer::Released(uid),
                    };
                    self.answer(batch.asker, &answer);
                } else {
                    let (verb, index) = (verb(transaction), block.index);
                    self.notify(&format!(
                        "[consensus ✅] your {verb} of {uid} is in the chain again, block #{index}"
                    ));
                }
            }
        }
        fresh
    }

    /// Says what the end of the node leaves undone.
    pub(super) fn report_unfinished(&mut self) {
        let own = self.pool.batches.iter().filter(|b| b.is_own());
        let told = |batch: &Batch| {
            let texts = batch.transactions.iter().map(|transaction| {
                let (verb, uid) = (verb(transaction), &transaction.uid);
                format!("not done yet: {verb} of {uid}; it is tried again at the next start")
            });
            (batch.asker, texts.collect::<Vec<_>>())
        };
        for (asker, texts) in own.map(told).collect::<Vec<_>>() {
            for text in texts {
                log::warn!("{text}");
                self.answer_program(asker, &Answer::Refused(format!("{text}.")));
            }
        }
        for batch in &mut self.pool.batches {
            batch.asker = None;
        }
    }
}
