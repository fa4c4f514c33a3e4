//! Block assembly: which waiting transactions go into the next block.

use std::collections::{BTreeMap, BTreeSet};

use super::Mempool;
use super::batch::{Batch, BatchOrigin};
use crate::ledger::{Block, Changes, Transaction, Uid, Work};
use crate::limits;
use crate::node::answer::Answer;
use crate::node::effects::Cx;
use crate::node::event::Millis;
use crate::store::disk::Disk;
use crate::store::state::AppendError;
use crate::wire::text;

/// A block that is being made.
pub struct Making {
    /// The search for its nonce.
    pub work: Work,
    /// The connection of the desktop node that made one of the same content.
    pub from: Option<usize>,
    /// That connection has ended: somebody else may have this block now.
    pub ended: bool,
}

/// A block that was made and is in the chain.
pub struct Made {
    /// Its height.
    pub height: u64,
    /// Our user waited for something in it.
    pub awaited: bool,
    /// The connection of the desktop node that made one of the same content, if it is still there.
    pub from: Option<usize>,
}

/// A block template: a block that is being put together.
#[derive(Default)]
struct Template {
    transactions: Vec<Transaction>,
    /// Bytes of text of the block without its transactions, and with them.
    bare: usize,
    text: usize,
    changes: Changes,
    /// Items that are changed by something that has to wait, and until when it waits.
    waiting: BTreeMap<Uid, Millis>,
}

/// What became of a batch that was to go into the template.
enum Drawn {
    /// It is in it.
    In,
    /// It waits for a later block.
    Later,
    /// It never will be.
    Never,
}

impl Template {
    /// Until when a batch has to wait for others in front of it.
    fn blocks(&self, batch: &Batch) -> Option<Millis> {
        batch
            .items()
            .filter_map(|uid| self.waiting.get(uid))
            .max()
            .copied()
    }

    /// Passes a batch over: nothing behind it may change what it changes.
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

    /// Whether a batch with this much text fits behind what is there: a block that any node would
    /// have to refuse is not made (PROTOCOL.md section 1). A batch of more than the usual number of
    /// transactions gets a block of its own.
    fn has_room_for(&self, batch: &Batch, text: usize) -> bool {
        let count = self.transactions.len() + batch.transactions.len();
        let few = count <= limits::TRANSACTIONS_PER_BLOCK || self.transactions.is_empty();
        let long = self.text + text > limits::TEMPLATE_TEXT_MAX;
        !limits::Full::BlockCount.when(!few) && !limits::Full::BlockText.when(long)
    }
}

/// The text that a batch adds to a block's: bytes.
fn text_bytes(batch: &Batch) -> usize {
    let all = batch.transactions.iter();
    all.map(|t| text::transaction_bytes(t) + ", ".len()).sum()
}

impl Mempool {
    /// Continues to make a block of what waits; returns the block when it is in the chain. If a
    /// longer chain comes in, `ahead` is until when.
    pub fn make<D: Disk>(&mut self, cx: &mut Cx<D>, ahead: Option<Millis>) -> Option<Made> {
        if self.making.is_none() {
            self.begin_block(cx, ahead);
        }
        let making = self.making.as_mut()?;
        if !making.work.turn() {
            // It takes longer than a turn: a pending request must survive a restart meanwhile.
            self.queue.keep_pending_requests();
            return None;
        }
        let making = self.making.take()?;
        self.found(cx, making)
    }

    /// Whether the block that is being made follows a tip that is none any more: damage in the last
    /// record removes the tip without a new block.
    pub fn is_stale<D: Disk>(&self, cx: &Cx<D>) -> bool {
        let tip = cx.chain.tip().hash;
        let stale = |making: &Making| making.work.block().prev_hash != tip;
        self.making.as_ref().is_some_and(stale)
    }

    /// Nothing is written any more: users who wait are told so, and everything else is dropped.
    pub fn give_up<D: Disk>(&mut self, cx: &mut Cx<D>) {
        let Some(fault) = cx.chain.fault() else {
            return;
        };
        let nothing = format!("nothing was changed: {fault}.");
        let later = format!("not done yet: {fault}; it is tried again at the next start.");
        for request in self.queue.pending_requests() {
            let kept = request.kept && !self.unkept;
            let text = if kept { &later } else { &nothing };
            let answer = Answer::Refused(text.clone());
            cx.effects.answer(request.session, answer);
        }
        self.queue.clear();
    }

    /// Whether a block is to be made now. While a chain comes in that will be ours, a block is made
    /// for our user only. While more is being looked up that may go into it, a block for others is
    /// made a moment after the last one. Otherwise, transactions that came together would become a
    /// block each on a machine that is slow at looking them up.
    pub fn wants_block<D>(&self, cx: &Cx<D>, ahead: Option<Millis>) -> bool {
        let now = cx.now.mono;
        let awaited = || {
            self.queue
                .pending_requests()
                .any(|request| request.due <= now)
        };
        let ripe = |due: Millis| match self.lookups.is_empty() {
            true => due <= now,
            false => due.max(self.made).0 + limits::LOOK_AGAIN_MS <= now.0,
        };
        match ahead {
            _ if self.making.is_some() => true,
            Some(_) => awaited(),
            None => awaited() || self.queue.due().is_some_and(ripe),
        }
    }

    /// When a block is to be made, or something has waited too long.
    pub fn due<D: Disk>(&self, cx: &Cx<D>, ahead: Option<Millis>) -> Option<Millis> {
        let all = self.queue.due();
        let due = match ahead {
            Some(until) => {
                let later = all.map(|due| due.max(until));
                self.queue
                    .pending_requests()
                    .map(|request| request.due)
                    .chain(later)
                    .min()
            }
            None => all,
        };
        due.filter(|_| cx.may_append())
            .into_iter()
            .chain(self.queue.expires())
            .min()
    }

    /// Whether a batch may go into a block now. Transactions of disconnected blocks are first left
    /// to the node that made them. If our user wants the same item, such a transaction goes in
    /// front of the request.
    fn is_ripe<D>(
        cx: &Cx<D>,
        ahead: Option<Millis>,
        batch: &Batch,
        wanted: &BTreeSet<Uid>,
    ) -> bool {
        match batch.origin {
            BatchOrigin::User => true,
            _ if ahead.is_some() => false,
            BatchOrigin::Own | BatchOrigin::Peer(_) => true,
            BatchOrigin::Other => {
                batch.due <= cx.now.mono || batch.items().any(|uid| wanted.contains(uid))
            }
        }
    }

    /// Starts a block of as much as fits; what is no longer possible is reported. If that takes
    /// much reading, the rest is left to the next block.
    fn begin_block<D: Disk>(&mut self, cx: &mut Cx<D>, ahead: Option<Millis>) {
        let tip = cx.chain.tip();
        let wanted = self.queue.pending_requests().flat_map(Batch::items);
        let wanted: BTreeSet<Uid> = wanted.cloned().collect();
        let mut block = Block::behind(&tip, cx.block_time());
        let bare = text::block_bytes(&block);
        let mut template = Template {
            bare,
            text: bare,
            ..Template::default()
        };
        let (budget, mut refused) = (cx.chain.budget(), 0);
        let all: Vec<u64> = self.queue.iter().map(|batch| batch.number).collect();
        let mut left = all.into_iter();
        while !template.is_full() && refused < limits::HISTORY_PER_TURN && !cx.chain.is_over(budget)
        {
            let Some(number) = left.next() else { break };
            match self.draw_up(cx, number, (&wanted, ahead), &mut template) {
                Drawn::In | Drawn::Later => {}
                Drawn::Never => {
                    refused += 1;
                    if let Some(batch) = self.queue.remove(number) {
                        self.queue.ended(&[batch]);
                    }
                }
            }
        }
        let through = left.next().is_none();
        limits::Full::BlockCount.when(!through && template.is_full());
        limits::Full::Refused.when(!through && refused >= limits::HISTORY_PER_TURN);
        limits::Full::DraftRecords.when(!through && cx.chain.is_over(budget));
        let lengthen = through && core::mem::take(&mut self.queue.lengthen);
        if template.transactions.is_empty() && !lengthen {
            return;
        }
        block.transactions = template.transactions;
        self.making = Some(Making {
            work: Work::new(block, cx.chain.difficulty()),
            from: None,
            ended: false,
        });
    }

    /// Takes a batch into the template, if it is its turn and possible.
    fn draw_up<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        number: u64,
        (wanted, ahead): (&BTreeSet<Uid>, Option<Millis>),
        template: &mut Template,
    ) -> Drawn {
        let Some(batch) = self.queue.get(number).cloned() else {
            return Drawn::Later;
        };
        let text = text_bytes(&batch);
        if template.bare + text > limits::TEMPLATE_TEXT_MAX {
            limits::Full::BlockNever.ran();
            self.cannot_fit(cx, &batch);
            return Drawn::Never;
        }
        if self.waits_for_behind(number) {
            template.pass_over(&batch);
            return Drawn::Later;
        }
        let full = !template.has_room_for(&batch, text);
        let blocked = template.blocks(&batch);
        if full || blocked.is_some() || !Mempool::is_ripe(cx, ahead, &batch, wanted) {
            template.pass_over(&batch);
            // Not looked at again before something can have changed.
            let soon = Millis(cx.now.mono.0 + limits::LOOK_AGAIN_MS);
            if !full && batch.due <= cx.now.mono {
                let due = blocked.map_or(soon, |until| until.max(soon));
                self.queue.postpone(number, due);
            }
            return Drawn::Later;
        }
        let height = cx.chain.tip().length;
        let error = match &batch.ended {
            Some(ended) if self.is_held_by_another(cx, ended, template) => None,
            _ => {
                let all = &batch.transactions;
                match template.changes.apply_all(cx.chain.items(), all, height) {
                    Ok(()) => {
                        template.text += text;
                        template.transactions.extend(batch.transactions);
                        return Drawn::In;
                    }
                    Err(error) => Some(error),
                }
            }
        };
        self.tell_impossible(cx, &batch, error, &template.transactions);
        Drawn::Never
    }

    /// Whether the item that `ended` took is held by another request now, in the chain or the
    /// template: a release must not end that one.
    fn is_held_by_another<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        ended: &Transaction,
        template: &Template,
    ) -> bool {
        let state = template.changes.get(cx.chain.items(), &ended.uid);
        let Some(state) = state.filter(|state| state.reserved) else {
            return false;
        };
        let mut taken = template.transactions.iter().rev();
        if let Some(last) = taken.find(|t| t.uid == ended.uid) {
            return !last.is_same_as(ended);
        }
        let Ok(stored) = cx.chain.read(state.since) else {
            return true;
        };
        let holder = stored.last_change(|uid| *uid == ended.uid);
        holder.is_none_or(|holder| !holder.is_same_as(ended))
    }

    /// The block is made: first to disk, then to the user, then to the peers.
    fn found<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        Making { work, from, ended }: Making,
    ) -> Option<Made> {
        let block = &work.into_block();
        match cx.chain.append(block) {
            Ok(()) => {}
            Err(AppendError::Disk(error)) => {
                cx.disk_failed(&error);
                return None;
            }
            Err(AppendError::Rule(error)) => {
                self.unfit(cx, block, &error);
                return None;
            }
        }
        self.made = cx.now.mono;
        let (count, height) = (block.transactions.len(), block.index);
        let others = block.transactions.iter();
        let others = others.filter(|t| t.requester != self.own);
        match others.count() {
            _ if from.is_some() => cx.effects.notify(format!(
                "[network 📦] received and added block #{height}"
            )),
            _ if count == 0 => cx.effects.notify(format!(
                "[consensus ℹ️] made block #{height} without content, so that a desktop node takes our chain"
            )),
            0 => {}
            others => cx.effects.notify(format!(
                "[network 📦] made block #{height} of what others asked for ({others})"
            )),
        }
        Some(Made {
            height,
            awaited: self.confirmed(cx, block),
            from: from.filter(|_| !ended),
        })
    }
}
