//! Blocks of what waits: which of it goes into the next one, and what is said of it.

use std::collections::{BTreeMap, BTreeSet};

use super::answer::{Answer, SessionId, done, menu_name, verb};
use super::follow::Making;
use super::pool::{Batch, Origin};
use super::{Millis, Node};
use crate::ledger::{Block, Changes, Kind, PublicKey, RuleError, Transaction, Uid, Work};
use crate::limits;
use crate::store::disk::Disk;
use crate::store::state::AppendError;
use crate::wire::text;
use crate::wire::write::Intent;

/// Whoever changed an item last, and the height of the block.
struct Winner {
    key: PublicKey,
    height: u64,
}

/// A block that is being put together.
#[derive(Default)]
struct Draft {
    transactions: Vec<Transaction>,
    /// Bytes of text of the block without them, and with them.
    bare: usize,
    text: usize,
    changes: Changes,
    /// Items that something changes which has to wait, and until when.
    waiting: BTreeMap<Uid, Millis>,
}

/// What became of a batch that was to go into a draft.
enum Drawn {
    /// It is in it.
    In,
    /// It waits for a later block.
    Later,
    /// It never will be.
    Never,
}

impl Draft {
    /// Until when a batch has to wait for others in front of it.
    fn blocks(&self, batch: &Batch) -> Option<Millis> {
        batch
            .items()
            .filter_map(|uid| self.waiting.get(uid))
            .max()
            .copied()
    }

    /// Nothing behind it may change what it changes.
    fn pass_over(&mut self, batch: &Batch) {
        for uid in batch.items() {
            let until = self.waiting.entry(uid.clone()).or_insert(batch.due);
            *until = batch.due.max(*until);
        }
    }

    /// Whether nothing more goes in.
    fn is_full(&self) -> bool {
        self.transactions.len() >= limits::TRANSACTIONS_PER_BLOCK
    }

    /// Whether a batch with so much text fits behind what is there: a block that any node would
    /// have to refuse is not made (PROTOCOL.md section 1). One of more than a block's usual number
    /// of transactions has a block for itself.
    fn has_room_for(&self, batch: &Batch, text: usize) -> bool {
        let count = self.transactions.len() + batch.transactions.len();
        let few = count <= limits::TRANSACTIONS_PER_BLOCK || self.transactions.is_empty();
        few && self.text + text <= limits::TEMPLATE_TEXT_MAX
    }
}

/// The text that a batch adds to a block's: bytes.
fn text_bytes(batch: &Batch) -> usize {
    let all = batch.transactions.iter();
    all.map(|t| text::transaction_bytes(t) + ", ".len()).sum()
}

impl<D: Disk> Node<D> {
    /// Goes on making a block of what waits.
    pub(super) fn mine(&mut self) {
        if !self.wants_block() {
            return;
        }
        if let Some(fault) = self.cx.chain.fault() {
            let nothing = format!("nothing was changed: {fault}.");
            let later = format!("not done yet: {fault}; it is tried again at the next start.");
            let answer = |wish: &Batch| {
                let text = if wish.kept { &later } else { &nothing };
                (wish.asker, Answer::Refused(text.clone()))
            };
            let answers: Vec<_> = self.pool.wishes().map(answer).collect();
            self.pool.clear();
            self.drop_making();
            for (asker, answer) in answers {
                self.cx.effects.answer(asker, answer);
            }
            return;
        }
        // The tip may have changed without a block: damage in the last record takes it away.
        let tip = self.cx.chain.tip().hash;
        let stale = |making: &Making| making.work.block().prev_hash != tip;
        if self.work.as_ref().is_some_and(stale) {
            self.drop_making();
        }
        if self.work.is_none() {
            self.begin_work();
        }
        let Some(Making { work, .. }) = &mut self.work else {
            return;
        };
        if !work.turn() {
            // It takes longer than a turn: a wish must survive a restart meanwhile.
            self.pool.keep_wishes();
        } else if let Some(making) = self.work.take() {
            self.found(making);
        }
    }

    /// Whether a block is to be made now. While a chain comes in that will be ours, only for our
    /// user; while more is looked for that may go into it, for the others a moment later.
    pub(super) fn wants_block(&self) -> bool {
        let now = self.cx.now.mono;
        let wished = || self.pool.wishes().any(|wish| wish.due <= now);
        let wait = match self.inquiries.is_empty() {
            true => 0,
            false => limits::LOOK_AGAIN_MS,
        };
        match self.catching_up() {
            _ if self.work.is_some() => true,
            Some(_) => wished(),
            None => wished() || self.pool.due().is_some_and(|due| due.0 + wait <= now.0),
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
    fn is_ripe(&self, batch: &Batch, wanted: &BTreeSet<Uid>) -> bool {
        match batch.origin {
            Origin::User => true,
            _ if self.catching_up().is_some() => false,
            Origin::Own | Origin::Peer(_) => true,
            Origin::Other => {
                batch.due <= self.cx.now.mono || batch.items().any(|uid| wanted.contains(uid))
            }
        }
    }

    /// Starts a block of as much as fits; what is no longer possible is reported. Where that takes
    /// much reading, the rest is looked at for the next block.
    fn begin_work(&mut self) {
        let tip = self.cx.chain.tip();
        let wanted = self.pool.wishes().flat_map(Batch::items);
        let wanted: BTreeSet<Uid> = wanted.cloned().collect();
        let mut block = Block::behind(&tip, self.block_time());
        let bare = text::block_bytes(&block);
        let mut draft = Draft {
            bare,
            text: bare,
            ..Draft::default()
        };
        let (budget, mut refused) = (self.cx.chain.budget(), 0);
        let all: Vec<u64> = self.pool.iter().map(|batch| batch.number).collect();
        let mut left = all.into_iter();
        while !draft.is_full()
            && refused < limits::HISTORY_PER_TURN
            && !self.cx.chain.is_over(budget)
        {
            let Some(number) = left.next() else { break };
            match self.draw_up(number, &wanted, &mut draft) {
                Drawn::In | Drawn::Later => {}
                Drawn::Never => {
                    refused += 1;
                    if let Some(batch) = self.pool.remove(number) {
                        self.pool.ended(&[batch]);
                    }
                }
            }
        }
        let through = left.next().is_none();
        let lengthen = through && core::mem::take(&mut self.pool.lengthen);
        if draft.transactions.is_empty() && !lengthen {
            return;
        }
        block.transactions = draft.transactions;
        self.work = Some(Making {
            work: Work::new(block, self.cx.chain.difficulty()),
            from: None,
            ended: false,
        });
    }

    /// Takes a batch into the draft, if it is its turn and possible.
    fn draw_up(&mut self, number: u64, wanted: &BTreeSet<Uid>, draft: &mut Draft) -> Drawn {
        let Some(batch) = self.pool.get(number).cloned() else {
            return Drawn::Later;
        };
        let text = text_bytes(&batch);
        if draft.bare + text > limits::TEMPLATE_TEXT_MAX {
            self.cannot_fit(&batch);
            return Drawn::Never;
        }
        let full = !draft.has_room_for(&batch, text);
        let blocked = draft.blocks(&batch);
        if full || blocked.is_some() || !self.is_ripe(&batch, wanted) {
            draft.pass_over(&batch);
            // Not looked at again before something can have changed.
            let soon = Millis(self.cx.now.mono.0 + limits::LOOK_AGAIN_MS);
            if !full && batch.due <= self.cx.now.mono {
                let due = blocked.map_or(soon, |until| until.max(soon));
                self.pool.postpone(number, due);
            }
            return Drawn::Later;
        }
        let height = self.cx.chain.tip().length;
        let error = match &batch.ended {
            Some(ended) if self.is_held_by_another(ended, draft) => None,
            _ => {
                let all = &batch.transactions;
                match draft.changes.apply_all(self.cx.chain.items(), all, height) {
                    Ok(()) => {
                        draft.text += text;
                        draft.transactions.extend(batch.transactions);
                        return Drawn::In;
                    }
                    Err(error) => Some(error),
                }
            }
        };
        self.is_impossible(&batch, error, &draft.transactions);
        Drawn::Never
    }

    /// Tells whom it concerns that a batch will not be in the chain: what it breaks, or `None` if
    /// what it ended is over.
    fn is_impossible(&mut self, batch: &Batch, error: Option<RuleError>, draft: &[Transaction]) {
        match (batch.origin, error) {
            (Origin::User, Some(error)) if !batch.kept => {
                self.refuse(batch.asker, &error, &batch.transactions);
            }
            (Origin::Own | Origin::User, error) => {
                let Some(first) = batch.transactions.first() else {
                    return;
                };
                let its = |uid: &Uid| batch.transactions.iter().find(|t| t.uid == *uid);
                let transaction = match &error {
                    Some(RuleError::NotAvailable(uid) | RuleError::NotReserved(uid)) => its(uid),
                    _ => None,
                };
                let transaction = transaction.unwrap_or(first);
                let winner = self.winner(&transaction.uid, draft);
                self.lost_to(transaction, winner, error.as_ref());
                let text = format!("somebody else was first with {}.", transaction.uid);
                self.cx
                    .effects
                    .answer_program(batch.asker, Answer::Refused(text));
            }
            (Origin::Other | Origin::Peer(_), _) => {}
        }
    }

    /// No block of ours is long enough for this: it stood in one whose text was a little shorter.
    fn cannot_fit(&mut self, batch: &Batch) {
        for transaction in &batch.transactions {
            if batch.is_own() {
                self.lost(transaction, "its text fits into no block");
            } else {
                log::warn!("a transaction of another node is dropped: its text fits into no block");
            }
        }
    }

    /// Whether the item that `ended` took is held by another request now, in the chain or the
    /// draft: a release must not end that one.
    fn is_held_by_another(&mut self, ended: &Transaction, draft: &Draft) -> bool {
        let state = draft.changes.get(self.cx.chain.items(), &ended.uid);
        let Some(state) = state.filter(|state| state.reserved) else {
            return false;
        };
        let mut drafted = draft.transactions.iter().rev();
        if let Some(last) = drafted.find(|t| t.uid == ended.uid) {
            return !last.is_same_as(ended);
        }
        let Ok(stored) = self.cx.chain.read(state.since) else {
            return true;
        };
        let holder = stored.last_change(|uid| *uid == ended.uid);
        holder.is_none_or(|holder| !holder.is_same_as(ended))
    }

    /// Who changed the item last, in the chain or in a draft behind it.
    fn winner(&mut self, uid: &Uid, draft: &[Transaction]) -> Option<Winner> {
        if let Some(last) = draft.iter().rev().find(|t| t.uid == *uid) {
            return Some(Winner {
                key: last.requester,
                height: self.cx.chain.tip().length,
            });
        }
        let height = self.cx.chain.items().get(uid)?.since;
        let stored = self.cx.chain.read(height).ok()?;
        let key = stored.last_change(|its| its == uid)?.requester;
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
        self.cx.effects.alert(format!(
            "[consensus] your {verb} of {uid} lost to {} at block {height}",
            menu_name(&key)
        ));
    }

    /// Tells the user that something of his will not come back.
    pub(super) fn lost(&mut self, transaction: &Transaction, why: &str) {
        self.remember_lost(transaction);
        let (verb, uid) = (verb(transaction), &transaction.uid);
        self.cx.effects.alert(format!(
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
    pub(super) fn refuse(
        &mut self,
        asker: Option<SessionId>,
        error: &RuleError,
        wish: &[Transaction],
    ) {
        let text = match error {
            RuleError::NotAvailable(uid) => format!("item {uid} is not available."),
            RuleError::NotReserved(uid) => format!("item {uid} is ready for request."),
            other => format!("{other}."),
        };
        let rest = match wish {
            [first, _, ..] => format!(" nothing was {}.", done(first.kind)),
            _ => String::new(),
        };
        self.cx
            .effects
            .answer(asker, Answer::Refused(format!("{text}{rest}")));
    }

    /// The block is made: first to disk, then to the user, then to the peers.
    fn found(&mut self, Making { work, from, ended }: Making) {
        let block = &work.into_block();
        match self.cx.chain.append(block) {
            Ok(()) => {}
            Err(AppendError::Disk(error)) => return self.disk_failed(&error),
            Err(AppendError::Rule(error)) => return self.unfit(block, &error),
        }
        let (count, index) = (block.transactions.len(), block.index);
        let own = self.identity.public();
        let others = block.transactions.iter().filter(|t| t.requester != own);
        match others.count() {
            _ if from.is_some() => self.cx.effects.notify(format!(
                "[network 📦] received and added block #{index}"
            )),
            _ if count == 0 => self.cx.effects.notify(format!(
                "[consensus ℹ️] made block #{index} without content, so that a desktop node takes our chain"
            )),
            0 => {}
            others => self.cx.effects.notify(format!(
                "[network 📦] made block #{index} of what others asked for ({others})"
            )),
        }
        let fresh = self.strike_done(block);
        let intent = if fresh {
            Intent::OwnBlock
        } else {
            Intent::Block
        };
        if fresh {
            self.own_block = Some(block.index);
        }
        let from = from.filter(|_| !ended);
        self.relay(intent(block.index), from);
        self.tip_changed();
        if let Some(line) = from {
            self.followed(line, block.index);
        }
    }

    /// A block that was made is none: what it was made of cannot be tried for ever.
    fn unfit(&mut self, block: &Block, error: &RuleError) {
        log::error!("block {} was made in vain: {error}", block.index);
        for batch in self.pool.take_done(&block.transactions) {
            for transaction in batch.transactions.iter().filter(|_| batch.is_own()) {
                self.lost(transaction, &error.to_string());
                self.cx
                    .effects
                    .answer_program(batch.asker, Answer::Refused(format!("{error}.")));
            }
        }
    }

    /// A block is in the chain: what waited and is in it is done, and that is told. True if the
    /// user waited for something of it.
    pub(super) fn strike_done(&mut self, block: &Block) -> bool {
        for transaction in &block.transactions {
            self.tell_found(transaction, block.index);
        }
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
                    self.cx.effects.answer(batch.asker, answer);
                } else {
                    let (verb, index) = (verb(transaction), block.index);
                    self.cx.effects.notify(format!(
                        "[consensus ✅] your {verb} of {uid} is in the chain again, block #{index}"
                    ));
                }
            }
        }
        fresh
    }

    /// Says what the end of the node leaves undone.
    pub(super) fn report_unfinished(&mut self) {
        let later = self.disconnected.iter().flat_map(|rest| rest.own());
        let own = self.pool.iter().chain(later).filter(|b| b.is_own());
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
                self.cx
                    .effects
                    .answer_program(asker, Answer::Refused(format!("{text}.")));
            }
        }
        self.pool.forget_askers();
    }
}
