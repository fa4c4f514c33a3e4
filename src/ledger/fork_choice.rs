//! Fork choice: which of two valid chains wins. Nothing else decides that.

use super::hash::Hash;

/// A chain's end: all that fork choice looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// The number of blocks.
    pub length: u64,
    /// The last block's hash.
    pub hash: Hash,
}

impl Tip {
    /// Whether this chain replaces `ours`: the longer one does, and at the same length the one
    /// with the lower tip hash (PROTOCOL.md section 3, "Fork choice"). A total order, so nodes
    /// that know the same chains agree at once.
    pub fn beats(&self, ours: &Tip) -> bool {
        (self.length, ours.hash) > (ours.length, self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_wins_then_lower_and_nothing_beats_itself() {
        let tip = |length, first| Tip {
            length,
            hash: Hash::new([first; 32]),
        };
        assert!(tip(3, 9).beats(&tip(2, 1)));
        assert!(!tip(2, 1).beats(&tip(3, 9)));
        assert!(tip(2, 1).beats(&tip(2, 2)));
        assert!(!tip(2, 2).beats(&tip(2, 1)));
        assert!(!tip(2, 2).beats(&tip(2, 2)));
    }
}
