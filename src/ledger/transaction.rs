//! Who asks for what: a transaction, its author's key, and the signature that binds the two.

use core::fmt;

use p256::ecdsa::signature::Signer;
use p256::elliptic_curve::sec1::ToSec1Point;

use super::canonical::{Digester, Sink, hex, number, string};
use super::tally;
use super::timestamp::Timestamp;

/// What a transaction does to its item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Takes an item that nobody holds.
    Request,
    /// Gives back an item, whoever took it.
    Release,
}

impl Kind {
    /// The number in `type` (PROTOCOL.md section 2).
    pub fn code(self) -> u8 {
        match self {
            Kind::Request => 1,
            Kind::Release => 2,
        }
    }

    /// The kind that `type` names.
    pub fn from_code(code: u64) -> Option<Kind> {
        match code {
            1 => Some(Kind::Request),
            2 => Some(Kind::Release),
            _ => None,
        }
    }
}

/// An item's name: any string that JSON can spell, so UTF-8 in which lone surrogates may stand
/// as three bytes (WTF-8). Ordered by its bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uid(Box<[u8]>);

impl Uid {
    /// A name from its bytes, as JSON's reader gives them.
    pub fn from_wtf8(bytes: Vec<u8>) -> Uid {
        Uid(bytes.into_boxed_slice())
    }

    /// A name from bytes that may be anything; `None` if JSON's reader gives no such name.
    pub fn read_wtf8(bytes: &[u8]) -> Option<Uid> {
        let mut rest = bytes;
        while let Err(error) = core::str::from_utf8(rest) {
            // Two that make a pair are one character, of four bytes.
            rest = match &rest[error.valid_up_to()..] {
                [0xed, 0xa0..=0xaf, _, 0xed, 0xb0..=0xbf, ..] => return None,
                [0xed, 0xa0..=0xbf, 0x80..=0xbf, rest @ ..] => rest,
                _ => return None,
            };
        }
        Some(Uid::from_wtf8(bytes.to_vec()))
    }

    /// The name's bytes.
    pub fn as_wtf8(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Uid {
    fn from(name: &str) -> Uid {
        Uid(name.as_bytes().into())
    }
}

/// A P-256 public key as a compressed SEC1 point, whichever way its owner spelled it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey(pub(super) [u8; 33]);

impl PublicKey {
    /// Reads a compressed or an uncompressed SEC1 point. Only the latter is checked to lie on the
    /// curve here; a compressed one is checked when its first signature is.
    pub fn from_sec1(bytes: &[u8]) -> Option<PublicKey> {
        match bytes {
            [2 | 3, ..] => bytes.try_into().ok().map(PublicKey),
            [4, ..] => {
                let point = p256::PublicKey::from_sec1_bytes(bytes).ok()?;
                let compressed = point.to_sec1_point(true);
                compressed.as_bytes().try_into().ok().map(PublicKey)
            }
            _ => None,
        }
    }

    /// A key from the first byte of its compressed point, which is 2 or 3, and x.
    pub fn from_parts(sign: u8, x: [u8; 32]) -> Option<PublicKey> {
        let mut bytes = [sign; 33];
        bytes[1..].copy_from_slice(&x);
        PublicKey::from_sec1(&bytes)
    }

    /// The first byte of the compressed point, and x.
    pub fn parts(&self) -> (u8, [u8; 32]) {
        let [sign, x @ ..] = self.0;
        (sign, x)
    }

    /// The compressed point.
    pub fn as_bytes(&self) -> &[u8; 33] {
        &self.0
    }

    pub(super) fn uncompressed(&self) -> Option<[u8; 65]> {
        let point = p256::PublicKey::from_sec1_bytes(&self.0).ok()?;
        point.to_sec1_point(false).as_bytes().try_into().ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An ECDSA P-256 signature over SHA-256: r and s, 32 bytes each, big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature(pub(super) [u8; 64]);

/// A signature in DER: at most 72 bytes.
pub type DerSignature = heapless::Vec<u8, 72>;

impl Signature {
    /// A signature from r and s; whether they fit the curve shows when they are verified.
    pub fn from_halves(r: [u8; 32], s: [u8; 32]) -> Signature {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&r);
        bytes[32..].copy_from_slice(&s);
        Signature(bytes)
    }

    /// r and s.
    pub fn halves(&self) -> ([u8; 32], [u8; 32]) {
        let (r, s) = self.0.split_first_chunk().expect("64 bytes begin with 32");
        (*r, s.try_into().expect("the other 32"))
    }

    /// Reads DER as desktop nodes do: strictly, nothing behind it, r and s in the curve's range.
    pub fn from_der(der: &[u8]) -> Option<Signature> {
        let signature = p256::ecdsa::Signature::from_der(der).ok()?;
        Some(Signature(signature.to_bytes().into()))
    }

    /// The signature in DER, as it stands on the wire.
    pub fn to_der(&self) -> DerSignature {
        let (r, s) = self.halves();
        let (r, s) = (der_integer(&r), der_integer(&s));
        let length = u8::try_from(r.len() + s.len()).expect("two integers of at most 35 bytes");
        [&[0x30, length][..], &r, &s]
            .into_iter()
            .flatten()
            .copied()
            .collect()
    }
}

/// An unsigned big-endian number as a DER INTEGER (X.690 section 8.3): shortest form, never
/// negative.
fn der_integer(number: &[u8]) -> heapless::Vec<u8, 35> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let digits = &number[zeros.min(number.len() - 1)..];
    let pad: &[u8] = if digits[0] < 0x80 { &[] } else { &[0] };
    let length = u8::try_from(pad.len() + digits.len()).expect("at most 33 bytes");
    [&[2, length][..], pad, digits]
        .into_iter()
        .flatten()
        .copied()
        .collect()
}

/// One request or release of one item, signed by the one who asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Transaction {
    /// The author's key.
    pub requester: PublicKey,
    /// The item.
    pub uid: Uid,
    /// What happens to it.
    pub kind: Kind,
    /// When its author says it was made.
    pub timestamp: Timestamp,
    /// The author's signature of the four fields above.
    pub signature: Signature,
}

impl Transaction {
    /// Puts the text that its author signs.
    pub fn put(&self, sink: &mut impl Sink) {
        sink.put(b"{\"requester\": \"");
        hex(sink, self.requester.as_bytes());
        sink.put(b"\", \"timestamp\": ");
        sink.put(self.timestamp.text().as_bytes());
        sink.put(b", \"type\": ");
        number(sink, u64::from(self.kind.code()));
        sink.put(b", \"uid\": ");
        string(sink, self.uid.as_wtf8());
        sink.put(b"}");
    }

    /// What tells it from every other one.
    pub fn id(&self) -> TransactionId {
        let mut text = Digester::default();
        self.put(&mut text);
        let digest = text.finish();
        TransactionId(*digest.first_chunk().expect("32 bytes begin with 16"))
    }

    /// Whether the two have the same id, without hashing them.
    pub fn is_same_as(&self, other: &Transaction) -> bool {
        tally::count(|done| done.compared += 1);
        self.uid == other.uid
            && self.requester == other.requester
            && self.kind == other.kind
            && self.timestamp == other.timestamp
    }
}

/// The first half of the SHA-256 of what a transaction's author signed. The signature is no part of
/// it: anybody can make another valid one of it (n - s in the place of s), and the same transaction
/// would then count twice. Shown as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId([u8; 16]);

impl TransactionId {
    /// An id from its bytes.
    pub const fn new(bytes: [u8; 16]) -> TransactionId {
        TransactionId(bytes)
    }

    /// The id's bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// This node's own key pair.
pub struct Identity {
    key: p256::ecdsa::SigningKey,
    public: PublicKey,
}

impl Identity {
    /// The key pair of a secret number; `None` for the few numbers that are no key (zero, and
    /// those beyond the curve's order).
    pub fn from_secret(secret: &[u8; 32]) -> Option<Identity> {
        let key = p256::ecdsa::SigningKey::from_slice(secret).ok()?;
        let point = key.verifying_key().to_sec1_point(true);
        let public = PublicKey::from_sec1(point.as_bytes())?;
        Some(Identity { key, public })
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Makes and signs a transaction. Deterministic (RFC 6979): no random source is asked.
    pub fn sign(&self, kind: Kind, uid: Uid, timestamp: Timestamp) -> Transaction {
        let mut transaction = Transaction {
            requester: self.public,
            uid,
            kind,
            timestamp,
            signature: Signature([0; 64]),
        };
        let mut text = Vec::new();
        transaction.put(&mut text);
        transaction.signature = self.sign_text(&text);
        transaction
    }

    /// Signs a text of the rules, and nothing that somebody else gave. Costs about as much as a check.
    pub(super) fn sign_text(&self, text: &[u8]) -> Signature {
        tally::count(|done| done.signatures += 1);
        let signature: p256::ecdsa::Signature = self.key.sign(text);
        Signature(signature.to_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(number: u8) -> Identity {
        Identity::from_secret(&[number; 32]).expect("a small number is a key")
    }

    #[test]
    fn an_id_binds_what_is_signed_and_not_the_signature() {
        let signed = identity(1).sign(Kind::Request, "cam-1".into(), Timestamp::Float(1.5));
        let mut resigned = signed.clone();
        resigned.signature.0[63] ^= 1;
        assert_eq!(signed.id(), resigned.id());
        assert!(signed.is_same_as(&resigned));
        let altered: [fn(&mut Transaction); 4] = [
            |t| t.requester = identity(2).public(),
            |t| t.uid = "cam-2".into(),
            |t| t.kind = Kind::Release,
            |t| t.timestamp = Timestamp::Integer(2),
        ];
        for alter in altered {
            let mut copy = signed.clone();
            alter(&mut copy);
            assert!(copy.id() != signed.id() && !copy.is_same_as(&signed));
        }
    }

    #[test]
    fn der_is_written_as_it_is_read() {
        for seed in 1..=64 {
            let signed = identity(seed).sign(Kind::Request, "x".into(), Timestamp::Integer(1));
            let der = signed.signature.to_der();
            assert_eq!(Signature::from_der(&der), Some(signed.signature));
            let theirs = p256::ecdsa::Signature::from_slice(&signed.signature.0);
            assert_eq!(theirs.expect("in range").to_der().as_bytes(), &der[..]);
            let mut longer = der.to_vec();
            longer.push(0);
            assert_eq!(Signature::from_der(&longer), None);
        }
    }

    #[test]
    fn a_point_beside_the_curve_is_no_key() {
        let mut point = identity(1).public().uncompressed().expect("on the curve");
        assert_eq!(PublicKey::from_sec1(&point), Some(identity(1).public()));
        point[64] ^= 2;
        assert_eq!(PublicKey::from_sec1(&point), None);
        assert_eq!(PublicKey::from_sec1(&[2; 32]), None);
        assert_eq!(PublicKey::from_sec1(&[]), None);
    }

    #[test]
    fn a_name_is_what_json_can_spell() {
        for name in [
            &b""[..],
            "na\u{ef}ve 😀\0".as_bytes(),
            b"x\xed\xa0\xbd",
            b"\xed\xb0\x80\xed\xa0\x80",
            b"\xed\xa0\xbdx\xed\xb8\x80",
        ] {
            let read = Uid::read_wtf8(name).expect("a name");
            assert_eq!(read.as_wtf8(), name);
        }
        for other in [
            &b"\xff"[..],
            b"a\x80",
            b"\xc0\xaf",
            b"\xed\xa0",
            b"\xed\xa0\x20",
            b"\xed\xa0\xbd\xed\xb8\x80",
            b"\xf4\x90\x80\x80",
            b"\xf0\x9f\x98",
        ] {
            assert_eq!(Uid::read_wtf8(other), None, "{other:x?}");
        }
    }
}
