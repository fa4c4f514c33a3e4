//! Batches: transactions that go into one block or into none, and where they come from.

use core::net::IpAddr;

use crate::ledger::{PublicKey, Transaction, TransactionId, Uid};
use crate::limits;
use crate::node::answer::SessionId;
use crate::node::event::Millis;

/// Where a batch comes from, which says how long it waits and who is told of its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchOrigin {
    /// Our user waits for the outcome.
    User,
    /// Our user was told that it is done, and then its block was disconnected.
    Own,
    /// Somebody else's, of a chain or block that lost.
    Other,
    /// Sent by this peer.
    Peer(IpAddr),
}

/// Transactions that go into one block or into none.
#[derive(Clone)]
pub struct Batch {
    /// The transactions, in order: one, or what our user asked for at once.
    pub transactions: Vec<Transaction>,
    /// Their ids.
    pub ids: Vec<TransactionId>,
    /// Whose.
    pub origin: BatchOrigin,
    /// Who waits for the outcome, if that is known.
    pub session: Option<SessionId>,
    /// For a release of a disconnected block: the request that it ended.
    pub ended: Option<Transaction>,
    /// When a block is made for it.
    pub due: Millis,
    /// When it is forgotten, if it is in no block by then.
    pub expires: Option<Millis>,
    /// Its number among all that waits to be sent.
    pub number: u64,
    /// Its user was told that it takes a while, so it must survive a restart.
    pub kept: bool,
}

impl Batch {
    /// A batch that waits for nothing.
    pub fn new(transactions: Vec<Transaction>, origin: BatchOrigin, due: Millis) -> Batch {
        Batch {
            ids: transactions.iter().map(Transaction::id).collect(),
            transactions,
            origin,
            session: None,
            ended: None,
            due,
            expires: None,
            number: 0,
            kept: false,
        }
    }

    /// One that was in the chain, for which a block is made at the first of these times if it is our
    /// user's, of the key `own`, and else at the second.
    pub fn again(transaction: &Transaction, own: PublicKey, [own_due, due]: [Millis; 2]) -> Batch {
        let (origin, due) = match transaction.requester == own {
            true => (BatchOrigin::Own, own_due),
            false => (BatchOrigin::Other, due),
        };
        Batch::new(vec![transaction.clone()], origin, due)
    }

    /// Takes these transactions out of it.
    pub fn forget(&mut self, is_known: impl Fn(&TransactionId) -> bool) {
        let mut known = self.ids.iter().map(&is_known);
        self.transactions.retain(|_| known.next() == Some(false));
        self.ids.retain(|id| !is_known(id));
    }

    /// Whether it is our user's.
    pub fn is_own(&self) -> bool {
        matches!(self.origin, BatchOrigin::User | BatchOrigin::Own)
    }

    /// Whether it survives a restart.
    pub fn is_saved(&self) -> bool {
        self.origin == BatchOrigin::Own || self.kept
    }

    /// The items that it changes.
    pub fn items(&self) -> impl Iterator<Item = &Uid> {
        self.transactions.iter().map(|transaction| &transaction.uid)
    }

    /// What it costs in memory: bytes.
    pub fn bytes(&self) -> usize {
        let all = self.transactions.iter().chain(&self.ended);
        let bytes = |t: &Transaction| size_of::<Transaction>() + t.uid.as_wtf8().len();
        size_of::<Batch>() + limits::MEMPOOL_ENTRY_BYTES + all.map(bytes).sum::<usize>()
    }

    /// Whether peers take it as a message of its own.
    pub fn is_told_alone(&self) -> bool {
        self.origin != BatchOrigin::User && self.transactions.iter().all(may_stand_alone)
    }
}

/// Whether a peer may send it as a transaction on its own, and we to a peer: not with a name that no menu
/// takes (PROTOCOL.md section 4).
pub fn may_stand_alone(transaction: &Transaction) -> bool {
    !limits::Full::NameLong.when(transaction.uid.as_wtf8().len() > limits::ITEM_BYTES_MAX)
}
