//! The file of this node's own transactions that are in no block yet, so that a restart does not
//! lose what its user asked for.

use serde::{Deserialize, Serialize};

use super::disk::{Disk, DiskError, File};
use super::record::Time;
use super::sealed::Seal;
use crate::ledger::{Kind, PublicKey, Signature, Transaction, Uid};

const SEAL: Seal = Seal {
    file: File::Waiting,
    magic: *b"\x89BLXWTG\x01",
};

/// Transactions that go into one block or into none.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// The transactions, in their order.
    pub transactions: Vec<Transaction>,
    /// Their user has not been told an outcome.
    pub fresh: bool,
    /// For a release of a disconnected block: the request that it ended.
    pub ended: Option<Transaction>,
}

#[derive(Serialize, Deserialize)]
struct WaitingBody<'a> {
    #[serde(borrow)]
    transactions: Vec<TransactionBody<'a>>,
    fresh: bool,
    ended: Option<TransactionBody<'a>>,
}

/// Unlike in the chain file the key stands in each: this file must be read without that one.
#[derive(Serialize, Deserialize)]
struct TransactionBody<'a> {
    sign: u8,
    x: [u8; 32],
    release: bool,
    uid: &'a [u8],
    timestamp: Time,
    r: [u8; 32],
    s: [u8; 32],
}

impl TransactionBody<'_> {
    fn of(transaction: &Transaction) -> TransactionBody<'_> {
        let (sign, x) = transaction.requester.parts();
        let (r, s) = transaction.signature.halves();
        TransactionBody {
            sign,
            x,
            release: transaction.kind == Kind::Release,
            uid: transaction.uid.as_wtf8(),
            timestamp: transaction.timestamp.into(),
            r,
            s,
        }
    }

    fn into_transaction(self) -> Option<Transaction> {
        Some(Transaction {
            requester: PublicKey::from_parts(self.sign, self.x)?,
            uid: Uid::read_wtf8(self.uid)?,
            kind: match self.release {
                true => Kind::Release,
                false => Kind::Request,
            },
            timestamp: self.timestamp.timestamp()?,
            signature: Signature::from_halves(self.r, self.s),
        })
    }
}

impl WaitingBody<'_> {
    fn of(waiting: &Waiting) -> WaitingBody<'_> {
        let transactions = waiting.transactions.iter();
        WaitingBody {
            transactions: transactions.map(TransactionBody::of).collect(),
            fresh: waiting.fresh,
            ended: waiting.ended.as_ref().map(TransactionBody::of),
        }
    }

    fn into_waiting(self) -> Option<Waiting> {
        let transactions = self.transactions.into_iter();
        Some(Waiting {
            transactions: transactions
                .map(TransactionBody::into_transaction)
                .collect::<Option<_>>()?,
            fresh: self.fresh,
            ended: match self.ended {
                Some(ended) => Some(ended.into_transaction()?),
                None => None,
            },
        })
    }
}

/// Reads what waits, in its order; nothing if there is no file. A damaged file is copied into one
/// beside, whose name is returned, and emptied. Nothing of it has been checked against the chain,
/// and no signature.
pub fn read(disk: &mut impl Disk) -> Result<(Vec<Waiting>, Option<String>), DiskError> {
    let decode = |body: &[u8]| {
        let stored: Vec<WaitingBody<'_>> = postcard::from_bytes(body).ok()?;
        stored.into_iter().map(WaitingBody::into_waiting).collect()
    };
    let (waiting, aside) = SEAL.read_or_set_aside(disk, decode)?;
    Ok((waiting.unwrap_or_default(), aside))
}

/// Writes what waits in the place of what waited before, durably and at once. Where nothing waits
/// and nothing waited, the disk is not written.
pub fn write(disk: &mut impl Disk, waiting: &[Waiting]) -> Result<(), DiskError> {
    if !waiting.is_empty() {
        let bodies: Vec<WaitingBody<'_>> = waiting.iter().map(WaitingBody::of).collect();
        return SEAL.write(disk, &bodies);
    }
    match disk.len(File::Waiting)? {
        0 => Ok(()),
        _ => disk.replace(File::Waiting, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Identity, Timestamp};
    use crate::store::disk::memory::MemoryDisk;

    fn waiting() -> Vec<Waiting> {
        let identity = Identity::from_secret(&[3; 32]).expect("a key");
        let lone = Uid::from_wtf8(b"x\xed\xa0\xbd".to_vec());
        let request = identity.sign(Kind::Request, lone.clone(), Timestamp::Float(1.5));
        let other = identity.sign(Kind::Request, "a".into(), Timestamp::Integer(i128::MIN));
        let release = identity.sign(Kind::Release, lone, Timestamp::Integer(7));
        vec![
            Waiting {
                transactions: vec![request.clone(), other],
                fresh: true,
                ended: None,
            },
            Waiting {
                transactions: vec![release],
                fresh: false,
                ended: Some(request),
            },
        ]
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut disk = MemoryDisk::default();
        assert_eq!(read(&mut disk), Ok((vec![], None)));
        for list in [waiting(), waiting()[1..].to_vec(), vec![]] {
            write(&mut disk, &list).expect("writes");
            let mut cut = disk.after_power_cut(0);
            assert_eq!(read(&mut cut), Ok((list, None)));
        }
    }

    #[test]
    fn nothing_is_written_where_nothing_waits() {
        let mut disk = MemoryDisk::default();
        write(&mut disk, &[]).expect("nothing to do");
        assert_eq!(disk.syncs, 0);
        write(&mut disk, &waiting()).expect("writes");
        write(&mut disk, &[]).expect("writes");
        write(&mut disk, &[]).expect("nothing to do");
        assert_eq!(disk.syncs, 2);
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_not_met_again() {
        let mut whole = MemoryDisk::default();
        write(&mut whole, &waiting()).expect("writes");
        for at in 0..whole.live(File::Waiting).len() {
            let mut disk = whole.clone();
            disk.live(File::Waiting)[at] ^= 4;
            let bytes = disk.live(File::Waiting).clone();
            let name = Some("waiting.blx.damaged-1".to_owned());
            assert_eq!(read(&mut disk), Ok((vec![], name)));
            assert_eq!(disk.aside, [bytes]);
            assert_eq!(read(&mut disk), Ok((vec![], None)));
        }
    }

    #[test]
    fn a_key_that_is_none_makes_the_file_a_damaged_one() {
        let mut disk = MemoryDisk::default();
        let list = waiting();
        let mut bodies: Vec<WaitingBody<'_>> = list.iter().map(WaitingBody::of).collect();
        bodies[1].transactions[0].sign = 5;
        SEAL.write(&mut disk, &bodies).expect("writes");
        let (list, aside) = read(&mut disk).expect("reads");
        assert!(list.is_empty() && aside.is_some());
    }
}
