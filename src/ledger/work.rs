//! Proof of work, in slices: whoever drives it decides how long a slice may take.

use super::block::Block;
use super::canonical::{self, Digester, Sink};
use super::hash::Hash;
use crate::limits;

/// The search for a block's nonce.
pub struct Work {
    block: Block,
    before: Vec<u8>,
    after: Vec<u8>,
    difficulty: u8,
}

impl Work {
    /// Starts the search for `block`, whose nonce and hash are still to be found.
    pub fn new(block: Block, difficulty: u8) -> Work {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        block.put_before_nonce(&mut before);
        block.put_after_nonce(&mut after);
        Work {
            block,
            before,
            after,
            difficulty,
        }
    }

    /// The block that is being made.
    pub fn block(&self) -> &Block {
        &self.block
    }

    /// Tries the next `tries` nonces; true when the block is found.
    pub fn step(&mut self, tries: u32) -> bool {
        for _ in 0..tries {
            let mut text = Digester::default();
            text.put(&self.before);
            canonical::number(&mut text, self.block.nonce);
            text.put(&self.after);
            let hash = Hash::new(text.finish());
            if hash.meets(self.difficulty) {
                self.block.hash = hash;
                return true;
            }
            self.block.nonce += 1;
        }
        false
    }

    /// Tries as many nonces as fit into one call. A nonce stands in front of a block's
    /// transactions, so each try hashes all of them.
    pub fn turn(&mut self) -> bool {
        let tries = limits::WORK_BYTES_PER_TURN / (self.before.len() + self.after.len());
        let found = self.step(u32::try_from(tries.max(1)).unwrap_or(u32::MAX));
        !limits::Full::WorkTurn.when(!found)
    }

    /// The block as it stands.
    pub fn into_block(self) -> Block {
        self.block
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Timestamp;

    #[test]
    fn slices_find_what_one_run_finds() {
        let mut template = Block::genesis(Timestamp::Integer(7));
        template.index = 1;
        let mut whole = Work::new(template.clone(), 3);
        assert!(whole.step(1_000_000));
        let mut sliced = Work::new(template, 3);
        while !sliced.step(10) {}
        assert_eq!(whole.block(), sliced.block());
        assert_eq!(sliced.into_block().check_alone(3), Ok(()));
    }
}
