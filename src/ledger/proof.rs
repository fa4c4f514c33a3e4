//! How a node shows another one that it has the key behind its number: it signs who the two are and what
//! each of them drew for this connection.

use super::canonical::{Digester, Sink, hex};
use super::transaction::{Identity, PublicKey, Signature};
use super::verifier::Verifier;

/// What a node draws for a connection, so that nothing that was signed for another one is of use on it.
pub type Nonce = [u8; 16];

/// A node of this project. A number alone is not enough to tell two apart: half of it follows from the
/// key, and a key that gives the same half is found in some minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    /// The number that it drew at its start.
    pub id: u64,
    /// Its key.
    pub key: PublicKey,
}

impl Who {
    /// The node with this key that has drawn this number at its start: the first half of its own is of
    /// that, the other of the key.
    pub fn new(key: PublicKey, drawn: u64) -> Who {
        let id = drawn << 32 | Who::half(&key);
        Who { id, key }
    }

    fn half(key: &PublicKey) -> u64 {
        let (_, [a, b, c, d, ..]) = key.parts();
        u32::from_be_bytes([a, b, c, d]).into()
    }

    /// Whether a node with this key can have this number.
    pub fn is_possible(&self) -> bool {
        self.id & 0xffff_ffff == Who::half(&self.key)
    }
}

/// One end of a connection: who is there, and what it drew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Who is there, as it says.
    pub who: Who,
    /// What it drew for this connection.
    pub nonce: Nonce,
}

/// Who somebody says that it is, and to whom.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// The end that signs.
    pub signer: End,
    /// Whether it dialed: what it signs cannot be sent back to it as another's word.
    pub dialed: bool,
    /// The end that checks.
    pub other: End,
}

impl Claim {
    /// Puts the text that is signed. A transaction's begins with a brace, so that neither can ever stand
    /// for the other (PROTOCOL.md section 4).
    fn put(&self, sink: &mut impl Sink) {
        sink.put(match self.dialed {
            true => b"blx greeting 1\ndialed\n",
            false => b"blx greeting 1\ncalled\n",
        });
        for End { who, nonce } in [&self.signer, &self.other] {
            for bytes in [who.key.as_bytes().as_slice(), &who.id.to_be_bytes(), nonce] {
                hex(sink, bytes);
                sink.put(b"\n");
            }
        }
    }

    fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        self.put(&mut text);
        text
    }
}

impl Identity {
    /// Shows that this is who it is said to be.
    pub fn prove(&self, claim: &Claim) -> Signature {
        self.sign_text(&claim.text())
    }
}

impl Verifier {
    /// Whether this was signed by whom it claims.
    pub fn proves(&mut self, claim: &Claim, proof: &Signature) -> bool {
        self.is_good(&claim.signer.who.key, proof, &claim.text())
    }
}

/// Where nonces come from: a secret that others learn nothing of by them, and a count.
pub struct Nonces {
    secret: [u8; 32],
    count: u64,
}

impl Nonces {
    /// Those of these random bytes, which are used for nothing else.
    pub fn new(secret: [u8; 32]) -> Nonces {
        Nonces { secret, count: 0 }
    }

    /// One that never was before.
    pub fn draw(&mut self) -> Nonce {
        self.count += 1;
        let mut text = Digester::default();
        text.put(&self.secret);
        text.put(&self.count.to_be_bytes());
        *text.finish().first_chunk().expect("32 bytes begin with 16")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(number: u8) -> Identity {
        Identity::from_secret(&[number; 32]).expect("a small number is a key")
    }

    fn end(number: u8) -> End {
        let who = Who {
            id: number.into(),
            key: identity(number).public(),
        };
        let nonce = [number; 16];
        End { who, nonce }
    }

    #[test]
    fn a_proof_is_good_for_one_claim_of_one_key() {
        let claim = Claim {
            signer: end(1),
            dialed: true,
            other: end(2),
        };
        let proof = identity(1).prove(&claim);
        let mut verifier = Verifier::default();
        assert!(verifier.proves(&claim, &proof));
        assert!(!verifier.proves(&claim, &identity(2).prove(&claim)));
        let altered: [fn(&mut Claim); 8] = [
            |claim| claim.dialed = false,
            |claim| claim.signer.nonce[15] ^= 1,
            |claim| claim.signer.who.id += 1,
            |claim| claim.signer.who.key = end(3).who.key,
            |claim| claim.other.nonce[0] ^= 1,
            |claim| claim.other.who.id += 1,
            |claim| claim.other.who.key = end(3).who.key,
            |claim| core::mem::swap(&mut claim.signer, &mut claim.other),
        ];
        for alter in altered {
            let mut copy = claim;
            alter(&mut copy);
            assert!(!verifier.proves(&copy, &proof), "{copy:?}");
        }
    }

    #[test]
    fn what_is_signed_is_no_transaction() {
        let claim = Claim {
            signer: end(1),
            dialed: false,
            other: end(2),
        };
        let text = String::from_utf8(claim.text()).expect("ASCII");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["blx greeting 1", "called"]);
        let lengths: Vec<usize> = lines[2..].iter().map(|line| line.len()).collect();
        assert_eq!(lengths, [66, 16, 32, 66, 16, 32]);
        assert!(text.ends_with('\n') && !text.contains('{'));
    }

    #[test]
    fn no_nonce_comes_twice_and_each_secret_has_its_own() {
        let mut drawn: Vec<Nonce> = Vec::new();
        for secret in [[1; 32], [2; 32]] {
            let mut nonces = Nonces::new(secret);
            drawn.extend([(); 50].map(|()| nonces.draw()));
        }
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 100);
    }
}
