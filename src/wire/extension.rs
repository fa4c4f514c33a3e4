//! What nodes of this project tell each other beyond what desktop nodes say. It rides inside
//! payloads whose content desktop nodes ignore (PROTOCOL.md section 1), so what is missing or
//! malformed there means that the other end is no such node, and nothing else.

use serde_json::value::RawValue;

use super::json;
use super::message::{digest, hex, whole_number};
use crate::ledger::canonical::{self, Sink};
use crate::ledger::{Hash, Tip, TransactionId};
use crate::limits;

/// The first word of a node: who it is and how far it has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greeting {
    /// A number that the node drew when it started: a connection to itself, and a second one to
    /// the same node, are told by it. A desktop node has none.
    pub id: Option<u64>,
    /// Its chain's end.
    pub tip: Option<Tip>,
    /// The transactions that it has and no block has, at most [`limits::POOL_IDS`].
    pub pool: Vec<TransactionId>,
}

impl Greeting {
    pub(super) fn read(
        id: Option<&RawValue>,
        tip: Option<Tip>,
        pool: Option<&RawValue>,
    ) -> Greeting {
        let id = id.and_then(|id| hex::<8>(&json::string(id)?));
        let id = id.and_then(|id| Some(u64::from_be_bytes(id.as_slice().try_into().ok()?)));
        let mut known = Vec::new();
        let _ = pool.map(|pool| {
            json::elements(pool, |entry| {
                let bytes = json::string(entry).and_then(|text| hex::<16>(&text));
                let bytes = bytes.and_then(|bytes| bytes.as_slice().try_into().ok());
                if known.len() < limits::POOL_IDS {
                    known.extend(bytes.map(TransactionId::new));
                }
                Ok::<(), ()>(())
            })
        });
        Greeting {
            id,
            tip,
            pool: known,
        }
    }

    pub(super) fn write(&self, sink: &mut impl Sink) {
        let (Some(id), Some(tip)) = (self.id, &self.tip) else {
            return sink.put(b"{}");
        };
        sink.put(b"{\"id\": \"");
        canonical::hex(sink, &id.to_be_bytes());
        sink.put(b"\", ");
        put_tip(sink, tip);
        sink.put(b", \"pool\": [");
        for (position, id) in self.pool.iter().enumerate() {
            sink.put(if position > 0 { b", \"" } else { b"\"" });
            canonical::hex(sink, id.as_bytes());
            sink.put(b"\"");
        }
        sink.put(b"]}");
    }
}

/// Where a chain stands, for somebody who looks for what the two chains share: hashes of it at
/// heights that are further and further apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locator {
    /// The chain's length.
    pub length: u64,
    /// The hashes at distances 1, 2, 4, ... from the length, as [`Locator::heights`] gives them.
    pub hashes: Vec<Hash>,
}

impl Locator {
    /// The heights that a locator of a chain of this length names, the last one first; at most 65.
    pub fn heights(length: u64) -> impl Iterator<Item = u64> {
        let mut next = length.checked_sub(1);
        let mut distance = 1u64;
        core::iter::from_fn(move || {
            let height = next?;
            distance = distance.saturating_mul(2);
            next = (height > 0).then(|| length.saturating_sub(distance));
            Some(height)
        })
    }

    pub(super) fn read(length: Option<u64>, hashes: Option<&RawValue>) -> Option<Locator> {
        let mut read = Vec::new();
        let all = json::elements(hashes?, |hash| {
            let hash = json::string(hash).and_then(|text| digest(&text));
            if read.len() < limits::LOCATOR {
                read.push(hash.ok_or(())?);
            }
            Ok::<(), ()>(())
        });
        let locator = Locator {
            length: length?,
            hashes: read,
        };
        matches!(all, Some(Ok(()))).then_some(locator)
    }

    pub(super) fn write(&self, sink: &mut impl Sink) {
        sink.put(b"{\"length\": ");
        canonical::number(sink, self.length);
        sink.put(b", \"locator\": [");
        for (position, hash) in self.hashes.iter().enumerate() {
            sink.put(if position > 0 { b", \"" } else { b"\"" });
            canonical::hex(sink, hash.as_bytes());
            sink.put(b"\"");
        }
        sink.put(b"]}");
    }
}

/// The end of a chain in a payload.
pub(super) fn read_tip(length: Option<&RawValue>, tip: Option<&RawValue>) -> Option<Tip> {
    Some(Tip {
        length: length.and_then(json::number).and_then(whole_number)?,
        hash: digest(&json::string(tip?)?)?,
    })
}

/// Puts the two fields that tell of a chain's end.
pub(super) fn put_tip(sink: &mut impl Sink, tip: &Tip) {
    sink.put(b"\"length\": ");
    canonical::number(sink, tip.length);
    sink.put(b", \"tip\": \"");
    canonical::hex(sink, tip.hash.as_bytes());
    sink.put(b"\"");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locator_reaches_back_in_doubling_steps_to_block_0() {
        let heights = |length| Locator::heights(length).collect::<Vec<_>>();
        assert!(heights(0).is_empty());
        assert_eq!(heights(1), [0]);
        assert_eq!(heights(2), [1, 0]);
        assert_eq!(heights(3), [2, 1, 0]);
        assert_eq!(heights(10), [9, 8, 6, 2, 0]);
        assert_eq!(heights(100_000).len(), 18);
        let most = heights(u64::MAX);
        assert!(most.len() <= limits::LOCATOR && most.last() == Some(&0));
    }
}
