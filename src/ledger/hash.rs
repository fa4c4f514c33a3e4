//! Digests.

use core::fmt;

/// A SHA-256 digest. Shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// What block 0 names as the block before it.
    pub const ZERO: Hash = Hash([0; 32]);

    /// A digest from its bytes.
    pub const fn new(bytes: [u8; 32]) -> Hash {
        Hash(bytes)
    }

    /// The digest's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether it begins with `difficulty` hexadecimal zeros.
    pub fn meets(&self, difficulty: u8) -> bool {
        let digits = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits.take(usize::from(difficulty)).all(|digit| digit == 0)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn difficulty_counts_hexadecimal_digits() {
        let mut bytes = [0xff; 32];
        bytes[0] = 0;
        bytes[1] = 0x0f;
        assert!(Hash::new(bytes).meets(3));
        assert!(!Hash::new(bytes).meets(4));
        assert!(Hash::ZERO.meets(64));
    }
}
