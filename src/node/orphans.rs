//! What a switch took out of the chain and we had signed: found, compared with the new chain, and
//! made again where that still means what it meant.

use super::Node;
use super::pool::verb;
use super::sync::Stage;
use crate::ledger::{Block, Kind, Transaction};
use crate::limits;
use crate::store::branch::Fallen;
use crate::store::disk::{Disk, DiskError};
use crate::store::record::StoredBlock;

/// A transaction of ours that fell out of the chain.
pub struct Orphan {
    /// The transaction.
    pub transaction: Transaction,
    /// For a release, the request that it ended.
    pub ended: Option<Transaction>,
}

impl<D: Disk> Node<D> {
    /// Gathers what we signed from the next blocks that fell out.
    pub(super) fn collect(
        &mut self,
        fallen: Fallen,
        next: u64,
        mut lost: Vec<Orphan>,
    ) -> Option<Stage> {
        let end = fallen.to.min(next + limits::BLOCKS_PER_TURN as u64);
        for height in next..end {
            let found = self.orphans_of(&fallen, height, &mut lost);
            if let Err(error) = found {
                self.notify(&format!(
                    "[store ❌] block {height} of the chain before cannot be read, \
                     so what you asked for in it is not made again: {error}."
                ));
            }
        }
        if end < fallen.to {
            let next = end;
            return Some(Stage::Collecting { fallen, next, lost });
        }
        let next = fallen.from;
        Some(Stage::Comparing { next, lost })
    }

    fn orphans_of(
        &mut self,
        fallen: &Fallen,
        height: u64,
        lost: &mut Vec<Orphan>,
    ) -> Result<(), DiskError> {
        let stored = self.log.read_fallen(fallen, height)?;
        let ours = self.identity.public();
        let transactions = stored.block.transactions.iter();
        for (position, transaction) in transactions.enumerate() {
            if transaction.requester == ours {
                let ended = match transaction.kind {
                    Kind::Request => None,
                    Kind::Release => self.ended_by(fallen, &stored, position)?,
                };
                let transaction = transaction.clone();
                lost.push(Orphan { transaction, ended });
            }
        }
        Ok(())
    }

    /// The request that the release at `position` ended, in the chain before.
    fn ended_by(
        &mut self,
        fallen: &Fallen,
        stored: &StoredBlock,
        position: usize,
    ) -> Result<Option<Transaction>, DiskError> {
        let uid = &stored.block.transactions[position].uid;
        let Some(height) = stored.befores[position].checked_sub(1) else {
            return Ok(None);
        };
        let mut before = if height == stored.block.index {
            stored.block.transactions[..position].to_vec()
        } else if height >= fallen.from {
            self.log.read_fallen(fallen, height)?.block.transactions
        } else {
            self.log.read(height)?.block.transactions
        };
        before.retain(|transaction| transaction.uid == *uid);
        Ok(before.pop())
    }

    /// Strikes off what the new chain has too.
    pub(super) fn compare(&mut self, next: u64, mut lost: Vec<Orphan>) -> Option<Stage> {
        let length = self.log.tip().length;
        let end = length.min(next + limits::BLOCKS_PER_TURN as u64);
        for height in next..end {
            match self.log.read(height) {
                Ok(stored) => self.strike_off(&stored.block, &mut lost),
                Err(error) => self.notify(&format!("[store ❌] {error}.")),
            }
        }
        if end < length {
            let next = end;
            return Some(Stage::Comparing { next, lost });
        }
        for at in 0..lost.len() {
            self.make_again(&lost, at);
        }
        None
    }

    fn strike_off(&mut self, block: &Block, lost: &mut Vec<Orphan>) {
        let ours = self.identity.public();
        for mine in block.transactions.iter().filter(|t| t.requester == ours) {
            lost.retain(|orphan| orphan.transaction != *mine);
            let told = self.pool.lost.iter().position(|told| told == mine);
            if told.is_some_and(|at| self.pool.lost.remove(at).is_some()) {
                let (verb, uid, index) = (verb(mine), &mine.uid, block.index);
                self.notify(&format!(
                    "[consensus ✅] your {verb} of {uid} counts after all, block #{index}"
                ));
            }
        }
    }

    /// Puts an orphan back into the pool. Whether its item allows it shows there; but a release
    /// must not end another reservation than the one it was made for.
    fn make_again(&mut self, lost: &[Orphan], at: usize) {
        let Orphan { transaction, ended } = &lost[at];
        let earlier =
            |ended: &Transaction| lost[..at].iter().any(|before| before.transaction == *ended);
        let why = match ended {
            Some(ended) if !earlier(ended) => match self.holder(transaction) {
                Ok(Some(holder)) if holder != *ended => Some("somebody else has it now".to_owned()),
                Ok(_) => None,
                Err(error) => Some(error.to_string()),
            },
            _ => None,
        };
        match why {
            None => self.pool.add_orphan(Orphan {
                transaction: transaction.clone(),
                ended: ended.clone(),
            }),
            Some(why) => self.lost(transaction, &why),
        }
    }

    /// The request by which a transaction's item is reserved.
    fn holder(&mut self, transaction: &Transaction) -> Result<Option<Transaction>, DiskError> {
        let state = self.log.items().get(&transaction.uid);
        let Some(state) = state.filter(|state| state.reserved) else {
            return Ok(None);
        };
        let mut changes = self.log.read(state.since)?.block.transactions;
        changes.retain(|change| change.uid == transaction.uid);
        Ok(changes.pop())
    }
}
