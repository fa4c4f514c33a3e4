//! What desktop nodes have said and ours have read, as far as ours had the time to make it part of
//! the chain: nobody can keep what was heard a moment before the power went.

use std::collections::BTreeMap;

use blx::ledger::TransactionId;
use blx::limits;

/// So long after it was read a transaction is in the chain of whoever runs and can write: the
/// longest that is waited for somebody else's block of it, and a second to look it up and to make
/// one. Milliseconds.
const KEPT_MS: u64 = limits::DELAY_MS + limits::DELAY_SPREAD_MS + 1_000;

#[derive(Default)]
pub struct Heard(BTreeMap<TransactionId, Vec<Ear>>);

/// A host that has read a transaction.
struct Ear {
    host: usize,
    /// When it did first, later by the time for which it stood still.
    at: u64,
}

impl Heard {
    /// A host that can write has read this.
    pub fn add(&mut self, id: TransactionId, host: usize, now: u64) {
        let ears = self.0.entry(id).or_default();
        if ears.iter().all(|ear| ear.host != host) {
            ears.push(Ear { host, at: now });
        }
    }

    pub fn has(&self, id: &TransactionId) -> bool {
        self.0.contains_key(id)
    }

    /// Whether a host has read something a moment ago.
    pub fn is_new(&self, host: usize, now: u64) -> bool {
        let mut ears = self.0.values().flatten();
        ears.any(|ear| ear.host == host && ear.at + KEPT_MS > now)
    }

    /// A host stood still since then.
    pub fn stood_still(&mut self, host: usize, since: u64, now: u64) {
        let ears = self.0.values_mut().flatten();
        for ear in ears.filter(|ear| ear.host == host && ear.at + KEPT_MS > since) {
            ear.at += now - since;
        }
    }

    /// A host can write no more, or is gone: what it has read a moment ago counts as unheard, unless
    /// it is on its disk.
    pub fn interrupted(&mut self, host: usize, now: u64, on_disk: impl Fn(&TransactionId) -> bool) {
        self.0.retain(|id, ears| {
            ears.retain(|ear| ear.host != host || ear.at + KEPT_MS <= now || on_disk(id));
            !ears.is_empty()
        });
    }
}
