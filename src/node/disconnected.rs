//! What a switch took out of the chain and the pool has no room for: read from the chain file, part
//! by part, as what is in the pool goes into blocks.

use super::Node;
use super::orphans::{Gathered, Lost};
use super::pool::Batch;
use crate::limits;
use crate::store::branch::Fallen;
use crate::store::disk::Disk;

/// What fell out of the chain and is not in the pool yet, because that has no room for more.
pub struct Disconnected {
    fallen: Fallen,
    /// From this height on the chain of today is another one.
    from: u64,
    gathered: Gathered,
    /// Our own from there on: kept over a restart, which what is others' is not.
    own: Vec<(u64, Batch)>,
    lost: Lost,
    /// The next block of the chain that is compared with `lost`; none while that is gathered.
    compared: Option<u64>,
}

impl Disconnected {
    pub fn new(fallen: Fallen, from: u64, next: u64) -> Disconnected {
        Disconnected {
            fallen,
            from,
            gathered: Gathered::to(next),
            own: Vec::new(),
            lost: Lost::default(),
            compared: None,
        }
    }

    /// Adds something of our own that stood at this height.
    pub fn keep_own(&mut self, height: u64, batch: Batch) {
        self.own.push((height, batch));
    }

    /// What of our own is in no pool yet.
    pub fn own(&self) -> impl Iterator<Item = &Batch> {
        self.own.iter().map(|(_, batch)| batch)
    }

    /// The chain is another one from this height on.
    pub fn switched(&mut self, fork: u64) {
        self.from = self.from.min(fork);
        self.compared = self.compared.map(|_| self.from);
    }
}

impl<D: Disk> Node<D> {
    /// Goes on with what fell out and had no room in the pool; true if there is more to do now.
    pub(super) fn restore_some(&mut self) -> bool {
        let room = self.pool.usage().restored() <= limits::RESTORED_BYTES / 2;
        if !self.may_append() {
            return false;
        }
        let Some(mut rest) = self.disconnected.pop_front() else {
            return false;
        };
        if rest.compared.is_none() && rest.lost.is_empty() && !room {
            self.disconnected.push_front(rest);
            return false;
        }
        if let Some(at) = &mut rest.compared {
            if self.strike_off(at, &mut rest.lost, 0) {
                rest.compared = None;
                self.restore(&mut rest);
                if rest.gathered.next() == rest.fallen.to {
                    return true;
                }
            }
        } else if self.gather(&rest.fallen, &mut rest.gathered, &mut rest.lost) {
            rest.compared = Some(rest.from);
        }
        self.disconnected.push_front(rest);
        true
    }

    /// Puts what was gathered and is not in the chain into the pool.
    fn restore(&mut self, rest: &mut Disconnected) {
        let lost = core::mem::take(&mut rest.lost);
        self.forget_gathered(&lost);
        for (_, batch) in lost.into_lacking() {
            self.pool.add(batch);
        }
        let next = rest.gathered.next();
        rest.own.retain(|(height, _)| *height >= next);
        self.pool.save_anew();
    }

    /// Whether something of our own is in no block yet.
    pub(super) fn has_own(&self) -> bool {
        let mut later = self.disconnected.iter().flat_map(Disconnected::own);
        self.pool.has_own() || later.next().is_some()
    }
}
