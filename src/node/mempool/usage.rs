//! How much memory waiting transactions take. Those that peers sent and those that were restored
//! have a bound each.

use core::net::IpAddr;
use std::collections::BTreeMap;

use super::batch::{Batch, BatchOrigin};
use crate::limits;

/// The memory that batches of others take, by where they came from.
#[derive(Default)]
pub struct Usage {
    by_peer: BTreeMap<IpAddr, usize>,
    restored: usize,
}

impl Usage {
    /// The bytes that count against this origin's share; `None` for what is never refused.
    fn share(&self, origin: BatchOrigin) -> Option<(usize, usize)> {
        match origin {
            BatchOrigin::Peer(from) => {
                let used = self.by_peer.get(&from).copied();
                Some((used.unwrap_or(0), limits::MEMPOOL_BYTES_PER_PEER))
            }
            BatchOrigin::Other => Some((self.restored, limits::RESTORED_BYTES)),
            BatchOrigin::User | BatchOrigin::Own => None,
        }
    }

    /// What was restored takes: bytes.
    pub fn restored(&self) -> usize {
        self.restored
    }

    /// A batch is there.
    pub fn add(&mut self, batch: &Batch) {
        match batch.origin {
            BatchOrigin::Peer(from) => *self.by_peer.entry(from).or_default() += batch.bytes(),
            BatchOrigin::Other => self.restored += batch.bytes(),
            BatchOrigin::User | BatchOrigin::Own => {}
        }
    }

    /// A batch is gone.
    pub fn remove(&mut self, batch: &Batch) {
        match batch.origin {
            BatchOrigin::Peer(from) => {
                if let Some(used) = self.by_peer.get_mut(&from) {
                    *used -= batch.bytes();
                    if *used == 0 {
                        self.by_peer.remove(&from);
                    }
                }
            }
            BatchOrigin::Other => self.restored -= batch.bytes(),
            BatchOrigin::User | BatchOrigin::Own => {}
        }
    }

    /// Whether a batch fits in, beside what waits here and in `other`.
    pub fn has_room_beside(&self, other: &Usage, batch: &Batch) -> bool {
        let shares = [self.share(batch.origin), other.share(batch.origin)];
        let [Some((here, share)), Some((there, _))] = shares else {
            return true;
        };
        let all = |usage: &Usage| usage.by_peer.values().sum::<usize>();
        let fits = here + there + batch.bytes() <= share;
        match batch.origin {
            BatchOrigin::Peer(_) => {
                let all = all(self) + all(other) + batch.bytes();
                !limits::Full::PoolPeer.when(!fits)
                    && !limits::Full::PoolAll.when(all > limits::MEMPOOL_BYTES)
            }
            _ => !limits::Full::PoolRestored.when(!fits),
        }
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::super::Millis;
    use super::*;
    use crate::ledger::{Identity, Kind, Timestamp};

    fn batch(origin: BatchOrigin) -> Batch {
        let identity = Identity::from_secret(&[7; 32]).expect("a key");
        let name = "x".repeat(limits::ITEM_BYTES_MAX);
        let request = identity.sign(Kind::Request, name.as_str().into(), Timestamp::Integer(1));
        Batch::new(vec![request], origin, Millis(0))
    }

    fn peer(number: u8) -> BatchOrigin {
        BatchOrigin::Peer(IpAddr::V4(Ipv4Addr::new(10, 0, 0, number)))
    }

    /// Adds batches in turn to what is in the mempool and what is looked for, while there is room;
    /// returns their bytes.
    fn fill(both: &mut [Usage; 2], batch: &Batch) -> usize {
        let mut count = 0;
        while both[0].has_room_beside(&both[1], batch) {
            both[count % 2].add(batch);
            count += 1;
            assert!(count < 1_000_000, "there is an end");
        }
        count * batch.bytes()
    }

    fn is_just_below(bytes: usize, limit: usize, step: usize) -> bool {
        bytes <= limit && bytes + step > limit
    }

    #[test]
    fn an_address_has_a_quarter_and_all_together_the_whole() {
        let mut both = [Usage::default(), Usage::default()];
        let step = batch(peer(0)).bytes();
        let mut total = 0;
        for number in 0..3 {
            let bytes = fill(&mut both, &batch(peer(number)));
            assert!(is_just_below(bytes, limits::MEMPOOL_BYTES_PER_PEER, step));
            total += bytes;
        }
        total += fill(&mut both, &batch(peer(3))) + fill(&mut both, &batch(peer(4)));
        assert!(is_just_below(total, limits::MEMPOOL_BYTES, step));
        assert_eq!(fill(&mut both, &batch(peer(5))), 0);
        // What is gone makes room for whoever comes.
        both[0].remove(&batch(peer(0)));
        assert_eq!(fill(&mut both, &batch(peer(5))), step);
    }

    #[test]
    fn what_fell_out_has_a_bound_of_its_own_and_what_is_ours_none() {
        let mut both = [Usage::default(), Usage::default()];
        let other = batch(BatchOrigin::Other);
        let bytes = fill(&mut both, &other);
        assert!(is_just_below(bytes, limits::RESTORED_BYTES, other.bytes()));
        assert!(both[0].has_room_beside(&both[1], &batch(peer(0))));
        for origin in [BatchOrigin::User, BatchOrigin::Own] {
            both[0].add(&batch(origin));
            assert!(both[0].has_room_beside(&both[1], &batch(origin)));
        }
        assert_eq!(both[0].restored() + both[1].restored(), bytes);
    }
}
