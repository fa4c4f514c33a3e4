//! Keys: those of everybody in the chain file, by number, and this node's own in a file of its own.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use super::disk::{Disk, DiskError, File};
use crate::ledger::{Identity, PublicKey};
use crate::limits;

/// The keys that a chain file calls by number, in the order in which they first appear. About 100
/// bytes a key, and no more than [`limits::KEYS_MAX`] but for what a file of format 1 may bring.
#[derive(Clone, Debug, Default)]
pub struct KeyTable {
    keys: Vec<PublicKey>,
    numbers: BTreeMap<PublicKey, u32>,
    /// Where the records that told them may be missing, the numbers that nobody can explain.
    gaps: Option<BTreeSet<u32>>,
}

impl KeyTable {
    /// How many there are; also the number of the next one.
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// All of them, by number.
    pub fn all(&self) -> &[PublicKey] {
        &self.keys
    }

    /// The key with this number.
    pub fn key(&self, number: u32) -> Option<PublicKey> {
        if self
            .gaps
            .as_ref()
            .is_some_and(|gaps| gaps.contains(&number))
        {
            return None;
        }
        self.keys.get(usize::try_from(number).ok()?).copied()
    }

    /// From now on records may be missing, and with them the keys that they told.
    pub fn allow_gaps(&mut self) {
        self.gaps.get_or_insert_default();
    }

    /// Passes over the numbers before this one, which nobody explains, if there may be such and they are
    /// not more than a file has.
    fn skip_to(&mut self, number: u32, key: PublicKey) {
        let Some(gaps) = &mut self.gaps else { return };
        let next = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        let most = u32::try_from(limits::KEYS_MAX).unwrap_or(u32::MAX);
        if number > next && number - next <= most {
            gaps.extend(next..number);
            // Their places, which nobody looks at.
            let places = usize::try_from(number - next).unwrap_or(0);
            self.keys.extend(core::iter::repeat_n(key, places));
        }
    }

    /// What a record is to say of this key, which is added if it is new and there is room.
    pub fn number_or_add(&mut self, key: PublicKey) -> Numbered {
        match self.number(&key) {
            Some(number) => Numbered::Known(number),
            None if self.keys.len() < limits::KEYS_MAX => Numbered::New(self.add(key)),
            None => {
                limits::Full::KeyTable.ran();
                Numbered::Unnumbered
            }
        }
    }

    /// The number of this key.
    pub fn number(&self, key: &PublicKey) -> Option<u32> {
        self.numbers.get(key).copied()
    }

    /// Adds a key that is not in the table and returns its number.
    pub fn add(&mut self, key: PublicKey) -> u32 {
        let number = u32::try_from(self.keys.len()).expect("a file has fewer keys than bytes");
        self.keys.push(key);
        let known = self.numbers.insert(key, number);
        assert_eq!(known, None, "a key has one number");
        number
    }

    /// Takes a key that a record introduces by its number: the next one, or one that was read
    /// before and is read again. `None` if it is neither.
    pub fn learn(&mut self, number: u32, key: PublicKey) -> Option<()> {
        match self.key(number) {
            Some(known) => (known == key).then_some(()),
            None if self.number(&key).is_none() => {
                self.skip_to(number, key);
                (self.add(key) == number).then_some(())
            }
            None => None,
        }
    }

    /// Forgets all keys from `count` on: those of a branch that does not count.
    pub fn truncate(&mut self, count: usize) {
        for key in self.keys.drain(count.min(self.keys.len())..) {
            self.numbers.remove(&key);
        }
    }
}

/// What a record is to say of a key.
pub enum Numbered {
    /// Only this number.
    Known(u32),
    /// The key, and this number for it from now on.
    New(u32),
    /// The key: the table is full.
    Unnumbered,
}

/// The first bytes of an identity file; behind them the secret and a CRC-32 of both.
const MAGIC: [u8; 8] = *b"\x89BLXKEY\x01";
const SECRET_AT: usize = MAGIC.len();
const CHECK_AT: usize = SECRET_AT + 32;
const IDENTITY_BYTES: usize = CHECK_AT + 4;

/// Why there is no identity.
#[derive(Debug)]
pub enum IdentityError {
    /// The disk does not do as asked.
    Disk(DiskError),
    /// The file is there and is no identity.
    Damaged,
    /// The random bytes that were given are no key; other ones will be.
    BadLuck,
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdentityError::Disk(error) => error.fmt(f),
            IdentityError::Damaged => write!(f, "{} is damaged", File::Identity.name()),
            IdentityError::BadLuck => f.write_str("no key could be made"),
        }
    }
}

impl From<DiskError> for IdentityError {
    fn from(error: DiskError) -> IdentityError {
        IdentityError::Disk(error)
    }
}

/// Reads this node's key, or makes it of `secret` if there is none yet. Whoever gives `secret` makes
/// nothing else of these bytes.
pub fn identity(disk: &mut impl Disk, secret: &[u8; 32]) -> Result<Identity, IdentityError> {
    let mut bytes = [0; IDENTITY_BYTES];
    let size = disk.len(File::Identity)?;
    if size == 0 {
        let identity = Identity::from_secret(secret).ok_or(IdentityError::BadLuck)?;
        bytes[..SECRET_AT].copy_from_slice(&MAGIC);
        bytes[SECRET_AT..CHECK_AT].copy_from_slice(secret);
        let check = crc32fast::hash(&bytes[..CHECK_AT]);
        bytes[CHECK_AT..].copy_from_slice(&check.to_le_bytes());
        disk.replace(File::Identity, &bytes)?;
        return Ok(identity);
    }
    let read = disk.read(File::Identity, 0, &mut bytes)?;
    let check = crc32fast::hash(&bytes[..CHECK_AT]).to_le_bytes();
    let whole = size == IDENTITY_BYTES as u64 && read == IDENTITY_BYTES;
    if !whole || !bytes.starts_with(&MAGIC) || bytes[CHECK_AT..] != check {
        return Err(IdentityError::Damaged);
    }
    let secret = bytes[SECRET_AT..]
        .first_chunk()
        .expect("32 bytes and the check follow");
    Identity::from_secret(secret).ok_or(IdentityError::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::memory::MemoryDisk;

    #[test]
    fn an_identity_is_made_once_and_kept() {
        let mut disk = MemoryDisk::default();
        let made = identity(&mut disk, &[5; 32]).expect("made").public();
        assert_eq!(identity(&mut disk, &[6; 32]).expect("kept").public(), made);
    }

    #[test]
    fn a_damaged_identity_is_never_replaced() {
        let mut disk = MemoryDisk::default();
        identity(&mut disk, &[5; 32]).expect("made");
        for at in 0..IDENTITY_BYTES {
            let mut copy = disk.clone();
            copy.live(File::Identity)[at] ^= 4;
            let before = copy.live(File::Identity).clone();
            assert!(matches!(
                identity(&mut copy, &[6; 32]),
                Err(IdentityError::Damaged)
            ));
            assert_eq!(*copy.live(File::Identity), before);
        }
    }

    #[test]
    fn a_number_names_one_key() {
        let key = |n| Identity::from_secret(&[n; 32]).expect("a key").public();
        let mut table = KeyTable::default();
        assert_eq!(table.learn(0, key(1)), Some(()));
        assert_eq!(table.learn(0, key(1)), Some(()));
        assert_eq!(table.learn(0, key(2)), None);
        assert_eq!(table.learn(1, key(1)), None);
        table.truncate(0);
        assert_eq!(table.number(&key(1)), None);
    }
}
