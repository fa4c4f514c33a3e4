//! Salvage: a chain that lost is read for transactions that ours lacks.

use std::collections::BTreeMap;

use crate::ledger::changes::Undo;
use crate::ledger::{Kind, Transaction, Uid};
use crate::limits;
use crate::node::effects::Cx;
use crate::node::mempool::{Due, Looked, Mempool};
use crate::store::branch::Staged;
use crate::store::disk::Disk;
use crate::store::record::StoredBlock;

/// A chain that lost, while it is read.
pub struct Salvage {
    staged: Staged,
    /// The connection of the desktop node whose chain it is.
    pub conn: Option<usize>,
    /// The block that is being read, and the next of its transactions.
    block: Option<StoredBlock>,
    position: usize,
    /// The requests that are open at the end of what was read, and the bytes of their names.
    open: BTreeMap<Uid, Transaction>,
    open_bytes: usize,
    /// The block of our chain in which the request that a release ended was looked up last.
    looked: Option<Looked>,
    /// Transactions that were taken.
    taken: usize,
    /// It waits for a turn.
    pub rests: bool,
}

impl Salvage {
    /// Begins at its first block that is not ours.
    pub fn new(staged: Staged, conn: Option<usize>) -> Salvage {
        Salvage {
            staged,
            conn,
            block: None,
            position: 0,
            open: BTreeMap::new(),
            open_bytes: 0,
            looked: None,
            taken: 0,
            rests: false,
        }
    }

    /// Whether no more of it is read. A desktop node makes nothing again when it takes ours, so all
    /// that it did is read.
    fn is_enough(&self) -> bool {
        let enough = self.taken >= limits::SALVAGED_FROM_CHAIN_MAX || self.notes_no_more();
        self.conn.is_none() && limits::Full::Enough.when(enough)
    }

    /// Whether there is no room to note further requests.
    fn notes_no_more(&self) -> bool {
        self.open_bytes >= limits::RESTORED_BYTES
    }

    /// Notes a request, which a release further on may end.
    fn note(&mut self, request: &Transaction) {
        if limits::Full::NotesFull.when(self.notes_no_more()) {
            return;
        }
        self.open_bytes += size_of::<Transaction>() + 2 * request.uid.as_wtf8().len();
        self.open.insert(request.uid.clone(), request.clone());
    }

    /// Reads on in a chain that lost, for what ours lacks. What there is no room for waits if a
    /// desktop node did it, and else is left: one of ours that has that chain makes it again when
    /// it takes ours.
    pub fn step<D: Disk>(
        mut self,
        cx: &mut Cx<D>,
        mempool: &mut Mempool,
        due: Option<Due>,
    ) -> Option<Salvage> {
        let budget = cx.chain.budget();
        for _ in 0..limits::BLOCKS_PER_TURN {
            if mempool.is_half_full() || cx.chain.is_over(budget) {
                break;
            }
            let stored = match self.block.take() {
                Some(stored) => stored,
                None if self.is_enough() => return None,
                None => match cx.chain.next_staged(&mut self.staged) {
                    Ok(Some(stored)) => stored,
                    Ok(None) => return None,
                    Err(error) => {
                        cx.effects
                            .alert(format!("[store ❌] a losing chain was not read: {error}."));
                        return None;
                    }
                },
            };
            self.take_some(cx, mempool, due, &stored);
            match self.position < stored.block.transactions.len() {
                true => self.block = Some(stored),
                false => self.position = 0,
            }
        }
        Some(self)
    }

    /// Takes some of the transactions of a block of a chain that lost.
    fn take_some<D: Disk>(
        &mut self,
        cx: &mut Cx<D>,
        mempool: &mut Mempool,
        due: Option<Due>,
        stored: &StoredBlock,
    ) {
        let budget = cx.chain.budget();
        let all = stored.block.transactions.iter().zip(&stored.undo_data);
        let some = all.skip(self.position).take(limits::ITEMS_PER_TURN);
        for (transaction, before) in some {
            if due.is_some() && mempool.is_half_full_of_all() {
                return;
            }
            self.position += 1;
            if before.is_void() {
                continue;
            }
            let ended = match transaction.kind {
                Kind::Request => {
                    self.note(transaction);
                    None
                }
                Kind::Release => {
                    let ended = self.open.remove(&transaction.uid);
                    let ended = ended
                        .or_else(|| shared_request(cx, &mut self.looked, transaction, *before));
                    if ended.is_none() && (due.is_none() || !self.notes_no_more()) {
                        // A release is of no use if nobody can tell its reservation.
                        continue;
                    }
                    ended
                }
            };
            let ended = ended.as_ref();
            let taken = match due {
                Some(due) => mempool.salvage(cx, due, transaction, ended),
                None => mempool.salvage_from_chain(cx, transaction, ended),
            };
            self.taken += usize::from(taken);
            if cx.chain.is_over(budget) {
                return;
            }
        }
    }
}

/// The request that a release of a losing chain ended, if that stands in what the two chains
/// share.
fn shared_request<D: Disk>(
    cx: &mut Cx<D>,
    looked: &mut Option<Looked>,
    release: &Transaction,
    before: Undo,
) -> Option<Transaction> {
    let height = before.height()?;
    if height >= cx.chain.tip().length {
        return None;
    }
    let read = || cx.chain.read(height);
    Looked::last(looked, height, &release.uid, read).ok()?
}
