//! What makes a chain valid, and who has what in it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use ring::digest;

use super::text::sha256;
use super::{Block, Transaction};

/// What a transaction finds of its item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Before {
    New,
    /// It was changed in this block last.
    At(u64),
    /// The transaction changes nothing.
    Void,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub reserved: bool,
    /// Who changed it last.
    pub by: [u8; 33],
    /// The block in which that was.
    pub since: u64,
}

/// A valid chain, and what is so behind its last block.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub difficulty: u8,
    pub blocks: Vec<Rc<Block>>,
    pub items: BTreeMap<Vec<u8>, Item>,
}

impl Ledger {
    pub fn new(difficulty: u8) -> Ledger {
        Ledger {
            difficulty,
            ..Ledger::default()
        }
    }

    /// A chain whose every block is valid.
    pub fn of(difficulty: u8, blocks: Vec<Block>) -> Result<Ledger, String> {
        let mut ledger = Ledger::new(difficulty);
        for block in blocks {
            ledger.push(block)?;
        }
        Ok(ledger)
    }

    pub fn length(&self) -> u64 {
        self.blocks.len() as u64
    }

    pub fn tip(&self) -> [u8; 32] {
        self.blocks.last().map_or([0; 32], |last| last.hash)
    }

    /// Adds the next block if it is valid; what each of its transactions found.
    pub fn push(&mut self, block: Block) -> Result<Vec<Before>, String> {
        let height = self.length();
        let check = |fine: bool, what: &str| match fine {
            true => Ok(()),
            false => Err(format!("block {height}: {what}")),
        };
        check(block.index == height, "its index")?;
        check(block.prev_hash == self.tip(), "its link")?;
        check(is_hashed(&block), "its hash")?;
        check(
            height == 0 || zeros(&block.hash) >= self.difficulty.into(),
            "its work",
        )?;
        check(block.transactions.iter().all(is_signed), "a signature")?;
        let found = self.apply(&block);
        self.blocks.push(Rc::new(block));
        Ok(found)
    }

    fn apply(&mut self, block: &Block) -> Vec<Before> {
        let all = block.transactions.iter();
        all.map(|transaction| {
            let item = self.items.get(&transaction.name);
            let reserved = item.is_some_and(|item| item.reserved);
            if reserved != transaction.release {
                return Before::Void;
            }
            let before = item.map_or(Before::New, |item| Before::At(item.since));
            let item = Item {
                reserved: !transaction.release,
                by: transaction.key,
                since: block.index,
            };
            self.items.insert(transaction.name.clone(), item);
            before
        })
        .collect()
    }

    /// The same chain with fewer blocks.
    pub fn back_to(&mut self, length: u64) {
        self.blocks.truncate(length as usize);
        self.items.clear();
        for block in self.blocks.clone() {
            self.apply(&block);
        }
    }

    pub fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        self.blocks.iter().flat_map(|block| &block.transactions)
    }

    /// The transactions, and whether each changed something.
    pub fn effects(&self) -> Vec<(&Transaction, bool)> {
        let mut again = Ledger::default();
        let blocks = self.blocks.iter();
        let effects = blocks.flat_map(|block| {
            let found = again.apply(block);
            let changes = found.into_iter().map(|before| before != Before::Void);
            block.transactions.iter().zip(changes)
        });
        effects.collect()
    }

    /// The names of what is reserved, or of what is not, and who has seen to that.
    pub fn listed(&self, reserved: bool) -> BTreeMap<String, [u8; 33]> {
        let those = self.items.iter();
        let those = those.filter(|(_, item)| item.reserved == reserved);
        those
            .map(|(name, item)| (String::from_utf8_lossy(name).into_owned(), item.by))
            .collect()
    }

    /// The same without who.
    pub fn names(&self, reserved: bool) -> BTreeSet<String> {
        self.listed(reserved).into_keys().collect()
    }
}

/// Whether a block's hash is that of its text.
pub fn is_hashed(block: &Block) -> bool {
    sha256(&block.text()) == block.hash
}

/// How many hexadecimal digits a hash begins with that are zero.
fn zeros(hash: &[u8]) -> usize {
    let digits = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.take_while(|digit| *digit == 0).count()
}

/// Verdicts that are remembered. Every host has every transaction, and a check takes as long as
/// hundreds of steps of the world.
const REMEMBERED: usize = 50_000;

thread_local! {
    static VERDICTS: RefCell<HashMap<[u8; 32], bool>> = RefCell::default();
}

/// Whether a signature is its author's.
pub fn is_signed(transaction: &Transaction) -> bool {
    let text = transaction.text();
    let mut all = digest::Context::new(&digest::SHA256);
    all.update(&transaction.signature);
    // The key is in the text.
    all.update(text.as_bytes());
    let name: [u8; 32] = all.finish().as_ref().try_into().expect("32 bytes");
    VERDICTS.with_borrow_mut(|verdicts| {
        if verdicts.len() >= REMEMBERED {
            verdicts.clear();
        }
        *verdicts
            .entry(name)
            .or_insert_with(|| verifies(transaction, text.as_bytes()))
    })
}

fn verifies(transaction: &Transaction, text: &[u8]) -> bool {
    let key = VerifyingKey::from_sec1_bytes(&transaction.key);
    let signature = Signature::from_slice(&transaction.signature);
    let (Ok(key), Ok(signature)) = (key, signature) else {
        return false;
    };
    key.verify(text, &signature).is_ok()
}
