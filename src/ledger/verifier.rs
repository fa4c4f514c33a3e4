//! The check of signatures, which is most of what a chain costs.

use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use sha2::{Digest, Sha256};

use super::tally;
use super::transaction::{PublicKey, Signature, Transaction};
use crate::limits;

/// Checks signatures. It remembers the keys it has unpacked, as reading a compressed point costs
/// about a third of a verification. It also remembers which signatures are good: beside desktop
/// nodes the same transactions come again and again. The memory is of a fixed size (57 KiB), and a
/// new entry replaces the one in its slot.
pub struct Verifier {
    points: Vec<Option<(PublicKey, [u8; 65])>>,
    /// The SHA-256 of a good signature and the text below it, in which its key stands.
    good: Vec<[u8; 32]>,
    text: Vec<u8>,
}

impl Default for Verifier {
    fn default() -> Verifier {
        Verifier {
            points: vec![None; limits::VERIFIER_KEYS],
            good: vec![[0; 32]; limits::VERIFIER_GOOD],
            text: Vec::new(),
        }
    }
}

impl Verifier {
    /// Whether the transaction's signature is its requester's.
    pub fn verify(&mut self, transaction: &Transaction) -> bool {
        self.text.clear();
        transaction.put(&mut self.text);
        let place = self.place(transaction);
        if let Some((place, digest)) = place
            && self.good[place] == digest
        {
            return true;
        }
        let text = core::mem::take(&mut self.text);
        let good = self.is_good(&transaction.requester, &transaction.signature, &text);
        self.text = text;
        if let Some((place, digest)) = place
            && good
        {
            limits::Full::GoodForgotten.when(self.good[place] != [0; 32]);
            self.good[place] = digest;
        }
        self.text.shrink_to(limits::VERIFIER_TEXT_MAX);
        good
    }

    /// Where a transaction is remembered, and as what: a long one is not, as hashing it costs as much
    /// as checking it.
    fn place(&self, transaction: &Transaction) -> Option<(usize, [u8; 32])> {
        if limits::Full::LongUnchecked.when(self.text.len() > limits::VERIFIER_TEXT_MAX) {
            return None;
        }
        tally::count(|done| done.hashed += tally::bytes(self.text.len()));
        let digest = Sha256::new()
            .chain_update(transaction.signature.0)
            .chain_update(&self.text);
        let digest: [u8; 32] = digest.finalize().into();
        let [first, second, ..] = digest;
        let place = usize::from(u16::from_be_bytes([first, second])) % self.good.len();
        Some((place, digest))
    }

    /// Whether the signature below a text is of this key.
    pub(super) fn is_good(&mut self, key: &PublicKey, signature: &Signature, text: &[u8]) -> bool {
        tally::count(|done| {
            done.signatures += 1;
            done.hashed += tally::bytes(text.len());
        });
        let Some(point) = self.point(key) else {
            return false;
        };
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(text, &signature.0)
            .is_ok()
    }

    fn point(&mut self, key: &PublicKey) -> Option<[u8; 65]> {
        // The last bytes of an x coordinate are as good as random.
        let place = usize::from(key.0[32]) % self.points.len();
        match self.points[place] {
            Some((known, point)) if known == *key => Some(point),
            _ => {
                let point = key.uncompressed()?;
                limits::Full::KeyForgotten.when(self.points[place].is_some());
                self.points[place] = Some((*key, point));
                Some(point)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Identity, Kind, Timestamp};

    fn identity(number: u8) -> Identity {
        Identity::from_secret(&[number; 32]).expect("a small number is a key")
    }

    #[test]
    fn a_signature_binds_every_field() {
        let mut verifier = Verifier::default();
        let signed = identity(1).sign(Kind::Request, "cam-1".into(), Timestamp::Float(1.5));
        assert!(verifier.verify(&signed));
        let altered: [fn(&mut Transaction); 5] = [
            |t| t.requester = identity(2).public(),
            |t| t.uid = "cam-2".into(),
            |t| t.kind = Kind::Release,
            |t| t.timestamp = Timestamp::Integer(2),
            |t| t.signature.0[63] ^= 1,
        ];
        for alter in altered {
            let mut copy = signed.clone();
            alter(&mut copy);
            assert!(!verifier.verify(&copy), "{copy:?}");
        }
    }

    #[test]
    fn what_was_good_is_not_checked_again_and_what_was_not_is() {
        let mut verifier = Verifier::default();
        let signed = identity(1).sign(Kind::Request, "cam-1".into(), Timestamp::Float(1.5));
        let mut broken = signed.clone();
        broken.signature.0[63] ^= 1;
        let before = tally::total();
        for _ in 0..3 {
            assert!(verifier.verify(&signed) && !verifier.verify(&broken));
        }
        assert_eq!((tally::total() - before).signatures, 1 + 3);
    }

    #[test]
    fn keys_that_share_a_place_in_the_verifier_do_not_mix() {
        let mut verifier = Verifier {
            points: vec![None; 1],
            good: vec![[0; 32]; 1],
            text: Vec::new(),
        };
        for number in [1, 2, 1, 3, 2] {
            let signed = identity(number).sign(Kind::Release, "x".into(), Timestamp::Integer(1));
            assert!(verifier.verify(&signed));
        }
    }
}
