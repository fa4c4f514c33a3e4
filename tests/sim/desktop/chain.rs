//! The chain of a desktop node. It has no lock: whoever changes it says on which state of it
//! they began, and what others changed meanwhile spoils it.
//!
//! What is valid, and who has what, is found out here and by [`crate::plain`], since a mistake of the
//! ledger must not be its own judge. Blocks are the ledger's: they are read, signed, mined and written
//! by the product, and whether it does that right is seen when they are judged.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

use blx::ledger::{Block, Hash, Kind, PublicKey, Timestamp, Transaction, TransactionId, Uid, Work};
use blx::node::Millis;
use blx::wire::read_block;
use serde_json::Value;

use crate::heard::Heard;
use crate::plain;
use crate::plain::rules::{is_hashed, is_signed};

/// Who changes the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A message of the peer at this address.
    Peer(SocketAddr),
    User,
    Monitor,
}

/// Two changed the chain at the same time.
#[derive(Clone, Debug)]
pub struct Spoil {
    pub at: Millis,
    /// Who changed it while the other was at work.
    pub before: Vec<Who>,
    pub by: Who,
    pub how: &'static str,
}

impl fmt::Display for Spoil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, by, how) = (self.at.0, self.by, self.how);
        write!(f, "{at} ms: {by:?} beside {:?}, {how}", self.before)
    }
}

/// The state of the chain on which a change was begun.
#[derive(Clone, Copy)]
pub struct Base {
    version: usize,
    last: Hash,
    length: usize,
}

/// What it finds again when it is started again, and what is counted over all its runs.
pub struct Saved {
    chain: Vec<Rc<Block>>,
    /// Every item seen, and who has it.
    items: BTreeMap<Uid, Option<PublicKey>>,
    /// Blocks whose hash and signatures were found right before: they need not be checked twice.
    known: BTreeMap<Hash, Rc<Block>>,
    /// Who changed the chain, each time.
    changes: Vec<Who>,
    /// What its users were told to be done.
    pub done: Vec<Transaction>,
    /// What was not in the block that was told when it was done.
    pub raced: BTreeSet<TransactionId>,
    pub spoils: Vec<Spoil>,
    /// How often its users acted, and how often a message was handled at the same time.
    pub acts: usize,
    pub crowded: usize,
}

impl Saved {
    pub fn new(time: Timestamp) -> Saved {
        Saved {
            chain: vec![Rc::new(Block::genesis(time))],
            items: BTreeMap::new(),
            known: BTreeMap::new(),
            changes: Vec::new(),
            done: Vec::new(),
            raced: BTreeSet::new(),
            spoils: Vec::new(),
            acts: 0,
            crowded: 0,
        }
    }

    pub fn chain(&self) -> &[Rc<Block>] {
        &self.chain
    }

    /// The items that are reserved, or those that are not.
    pub fn items(&self, reserved: bool) -> BTreeSet<String> {
        let those = self
            .items
            .iter()
            .filter(|(_, who)| who.is_some() == reserved);
        those
            .map(|(uid, _)| String::from_utf8_lossy(uid.as_wtf8()).into_owned())
            .collect()
    }

    /// What its users were told to be done, is none of what ours have heard, and is not in its chain
    /// any more. Of some its own threads have seen to that, which nobody can make good; the rest it
    /// had no chance to say.
    pub fn unheard(&self, heard: &Heard) -> [Vec<&Transaction>; 2] {
        let blocks = self.chain.iter();
        let there: BTreeSet<TransactionId> = blocks
            .flat_map(|block| block.transactions.iter().map(Transaction::id))
            .collect();
        let gone = |id| !heard.has(&id) && !there.contains(&id);
        let gone = self.done.iter().filter(|done| gone(done.id()));
        gone.partition(|done| self.raced.contains(&done.id()))
            .into()
    }

    pub fn allows(&self, transaction: &Transaction) -> bool {
        allows(&self.items, transaction)
    }

    /// Whether a single block of these would be in order.
    pub fn takes(&self, transactions: &[Transaction]) -> bool {
        let mut items = self.items.clone();
        transactions.iter().all(|transaction| {
            let fine = allows(&items, transaction) && is_signed(&transaction.into());
            apply(&mut items, transaction);
            fine
        })
    }

    pub fn base(&self) -> Base {
        Base {
            version: self.changes.len(),
            last: self.chain.last().expect("a first block").hash,
            length: self.chain.len(),
        }
    }

    /// Adds a block of these, which was begun on an earlier state. If that was left meanwhile, it
    /// either stands behind a block that it does not link to, or is made on the new one with what
    /// was checked against the old one.
    pub fn append(
        &mut self,
        transactions: Vec<Transaction>,
        base: Base,
        links: bool,
        (time, difficulty): (Timestamp, u8),
    ) -> Rc<Block> {
        let on = match links {
            true => self.base(),
            false => base,
        };
        let mut block = Block::genesis(time);
        (block.index, block.prev_hash) = (on.length as u64, on.last);
        block.transactions = transactions;
        let mut work = Work::new(block, difficulty);
        while !work.step(1 << 16) {}
        let block = Rc::new(work.into_block());
        for transaction in &block.transactions {
            apply(&mut self.items, transaction);
        }
        self.chain.push(block.clone());
        block
    }

    /// Reads a chain and checks hashes, links and signatures, and nothing else.
    pub fn check(&mut self, blocks: &[Value]) -> Option<Vec<Rc<Block>>> {
        let mut chain: Vec<Rc<Block>> = Vec::new();
        for value in blocks {
            let block = read_block(value.to_string().as_bytes()).ok()?;
            let links = chain.last().is_none_or(|last| last.hash == block.prev_hash);
            chain.push(self.sound(block).filter(|_| links)?);
        }
        Some(chain)
    }

    /// Its chain is another one now, or its file is.
    pub fn put(&mut self, chain: Vec<Rc<Block>>) {
        self.chain = chain;
        self.replay();
    }

    /// The first block that does not link.
    pub fn damage(&self) -> Option<usize> {
        let pairs = self.chain.windows(2);
        let torn = pairs.map(|pair| pair[0].hash != pair[1].prev_hash);
        torn.into_iter().position(|torn| torn).map(|at| at + 1)
    }

    pub fn cut(&mut self, length: usize) {
        self.chain.truncate(length);
        self.replay();
        self.changed(Who::Monitor);
    }

    pub fn changed(&mut self, who: Who) {
        self.changes.push(who);
    }

    /// Who changed the chain since then.
    pub fn since(&self, base: Base) -> &[Who] {
        &self.changes[base.version..]
    }

    fn replay(&mut self) {
        self.items.clear();
        for transaction in self.chain.iter().flat_map(|block| &block.transactions) {
            apply(&mut self.items, transaction);
        }
    }

    fn sound(&mut self, block: Block) -> Option<Rc<Block>> {
        if let Some(known) = self.known.get(&block.hash)
            && **known == block
        {
            return Some(known.clone());
        }
        let plain = plain::Block::from(&block);
        let sound = is_hashed(&plain) && plain.transactions.iter().all(is_signed);
        let block = Rc::new(block);
        sound.then(|| self.known.insert(block.hash, block.clone()));
        sound.then_some(block)
    }
}

type Items = BTreeMap<Uid, Option<PublicKey>>;

fn allows(items: &Items, transaction: &Transaction) -> bool {
    let reserved = items.get(&transaction.uid).is_some_and(Option::is_some);
    reserved == (transaction.kind == Kind::Release)
}

/// What is not in order changes nothing: whoever held the item holds it.
fn apply(items: &mut Items, transaction: &Transaction) {
    match transaction.kind {
        Kind::Request => {
            let holder = items.entry(transaction.uid.clone()).or_default();
            holder.get_or_insert(transaction.requester);
        }
        Kind::Release => {
            if let Some(holder) = items.get_mut(&transaction.uid) {
                *holder = None;
            }
        }
    }
}
