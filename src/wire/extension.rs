//! What nodes of this project tell each other beyond what desktop nodes say. It stands in payloads
//! whose content desktop nodes ignore (PROTOCOL.md section 4). What is malformed there is as if it were
//! missing, and a greeting without an id is a desktop node's.

use core::net::SocketAddr;

use serde_json::value::RawValue;

use super::json::{self, digest, hex, whole_number};
use crate::ledger::canonical::{self, Sink};
use crate::ledger::{End, Hash, Signature, Tip, TransactionId, Who};
use crate::limits;

/// The first word of a node: who it is and how far it has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greeting {
    /// Who it says that it is, and what it drew for this connection; a desktop node says nothing of
    /// the kind. A connection to itself, and a second one to the same node, are told by its number and
    /// key, once it has proven them.
    pub from: Option<End>,
    /// Its chain's end.
    pub tip: Option<Tip>,
    /// The transactions in its mempool, at most [`limits::MEMPOOL_IDS`].
    pub mempool: Vec<TransactionId>,
    /// Who is connected to which desktop nodes, as far as it knows.
    pub voices: Vec<Voice>,
}

impl Greeting {
    pub(super) fn read(
        from: Option<End>,
        tip: Option<Tip>,
        mempool: Option<&RawValue>,
        voices: Vec<Voice>,
    ) -> Greeting {
        let mut known = Vec::new();
        let _ = mempool.map(|mempool| {
            json::elements(mempool, |entry| {
                let bytes = json::string(entry).and_then(|text| hex::<16>(&text));
                let bytes = bytes.and_then(|bytes| bytes.as_slice().try_into().ok());
                if !limits::Full::ToldPool.when(known.len() >= limits::MEMPOOL_IDS) {
                    known.extend(bytes.map(TransactionId::new));
                }
                Ok::<(), ()>(())
            })
        });
        Greeting {
            from,
            tip,
            mempool: known,
            voices,
        }
    }

    pub(super) fn write(&self, sink: &mut impl Sink) {
        let (Some(End { who, nonce }), Some(tip)) = (&self.from, &self.tip) else {
            return sink.put(b"{}");
        };
        sink.put(b"{\"id\": \"");
        canonical::hex(sink, &who.id.to_be_bytes());
        sink.put(b"\", \"key\": \"");
        canonical::hex(sink, who.key.as_bytes());
        sink.put(b"\", \"nonce\": \"");
        canonical::hex(sink, nonce);
        sink.put(b"\", ");
        put_tip(sink, tip);
        sink.put(b", \"pool\": [");
        for (position, id) in self.mempool.iter().enumerate() {
            sink.put(if position > 0 { b", \"" } else { b"\"" });
            canonical::hex(sink, id.as_bytes());
            sink.put(b"\"");
        }
        sink.put(b"]");
        put_voices(sink, &self.voices);
        sink.put(b"}");
    }
}

/// A sign of life of a node of this project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// Its chain's end.
    pub tip: Option<Tip>,
    /// Who is connected to which desktop nodes, as far as it knows.
    pub voices: Vec<Voice>,
    /// That it is who it said that it is; once on a connection.
    pub proof: Option<Signature>,
}

impl Life {
    pub(super) fn read(tip: Option<Tip>, voices: Vec<Voice>, proof: Option<&RawValue>) -> Life {
        Life {
            tip,
            voices,
            proof: proof.and_then(|proof| json::signature(&json::string(proof)?)),
        }
    }

    pub(super) fn write(&self, sink: &mut impl Sink) {
        let Some(tip) = &self.tip else {
            return sink.put(b"{}");
        };
        sink.put(b"{");
        put_tip(sink, tip);
        if let Some(proof) = &self.proof {
            sink.put(b", \"proof\": \"");
            canonical::hex(sink, &proof.to_der());
            sink.put(b"\"");
        }
        put_voices(sink, &self.voices);
        sink.put(b"}");
    }
}

/// What is known of one node of this project. Of those that are connected to the same desktop node,
/// only one speaks to it, and this tells them which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voice {
    /// Its number: the first half is drawn at its start, the second half stays the same as long as
    /// its key does.
    pub id: u64,
    /// It was said this many seconds ago, or fewer.
    pub age: u64,
    /// Of two voices about the same node, the one with the greater count was said later.
    pub count: u64,
    /// It writes, is not catching up, and was not stopped.
    pub healthy: bool,
    /// The desktop nodes that it is connected to, by the addresses on which they listen.
    pub desktops: Vec<SocketAddr>,
    /// The mark of the last block that came to it from each of these, as far as one did.
    pub made: Vec<(SocketAddr, BlockMark)>,
}

/// The first 8 bytes of the hash of a block that a desktop node made. It passes none on, so where the
/// same one comes from two addresses there is one desktop node behind both.
pub type BlockMark = [u8; 8];

impl Voice {
    fn read(value: &RawValue) -> Option<Voice> {
        let names = ["id", "age", "count", "healthy", "desktops"];
        let [id, age, count, healthy, list] = json::fields(value, &names)?;
        let number = |field: Option<&RawValue>| field.and_then(json::number).and_then(whole_number);
        let (mut desktops, mut made) = (Vec::new(), Vec::new());
        let _ = list.map(|list| {
            json::elements(list, |desktop| {
                let read = json::string(desktop).and_then(|text| read_desktop(&text));
                if let Some((address, mark)) = read
                    && !limits::Full::ToldDesktops.when(desktops.len() >= limits::VOICE_DESKTOPS)
                {
                    desktops.push(address);
                    made.extend(mark.map(|mark| (address, mark)));
                }
                Ok::<(), ()>(())
            })
        });
        Some(Voice {
            id: id.and_then(read_id)?,
            age: number(age).unwrap_or_default(),
            count: number(count)?,
            healthy: healthy.is_some_and(|healthy| healthy.get() == "true"),
            desktops,
            made,
        })
    }

    fn write(&self, sink: &mut impl Sink) {
        sink.put(b"{\"id\": \"");
        canonical::hex(sink, &self.id.to_be_bytes());
        sink.put(b"\", ");
        if self.age > 0 {
            sink.put(b"\"age\": ");
            canonical::number(sink, self.age);
            sink.put(b", ");
        }
        sink.put(b"\"count\": ");
        canonical::number(sink, self.count);
        sink.put(match self.healthy {
            true => b", \"healthy\": true, \"desktops\": [",
            false => b", \"healthy\": false, \"desktops\": [",
        });
        for (position, desktop) in self.desktops.iter().enumerate() {
            if position > 0 {
                sink.put(b", ");
            }
            sink.put(b"\"");
            sink.put(desktop.to_string().as_bytes());
            if let Some((_, mark)) = self.made.iter().find(|(by, _)| by == desktop) {
                sink.put(b"/");
                canonical::hex(sink, mark);
            }
            sink.put(b"\"");
        }
        sink.put(b"]}");
    }
}

/// An address, and the mark of a block if one stands behind it.
fn read_desktop(text: &[u8]) -> Option<(SocketAddr, Option<BlockMark>)> {
    let text = str::from_utf8(text).ok()?;
    let (address, mark) = match text.split_once('/') {
        Some((address, mark)) => (address, Some(hex::<8>(mark.as_bytes())?)),
        None => (text, None),
    };
    let address: SocketAddr = address.parse().ok()?;
    let mark = mark.and_then(|mark| mark.as_slice().try_into().ok());
    (address.port() > 0).then_some((address, mark))
}

/// The voices in a payload: the first of those that can be read.
pub(super) fn read_voices(voices: Option<&RawValue>) -> Vec<Voice> {
    let mut read = Vec::new();
    let _ = voices.map(|voices| {
        json::elements(voices, |voice| {
            if !limits::Full::ToldVoices.when(read.len() >= limits::VOICES) {
                read.extend(Voice::read(voice));
            }
            Ok::<(), ()>(())
        })
    });
    read
}

/// Puts the field with the voices behind others; nothing if there are none, as for a desktop node.
fn put_voices(sink: &mut impl Sink, voices: &[Voice]) {
    for (position, voice) in voices.iter().enumerate() {
        sink.put(if position > 0 {
            b", "
        } else {
            b", \"voices\": ["
        });
        voice.write(sink);
    }
    if !voices.is_empty() {
        sink.put(b"]");
    }
}

/// The number that a node drew at its start.
fn read_id(id: &RawValue) -> Option<u64> {
    let bytes = hex::<8>(&json::string(id)?)?;
    Some(u64::from_be_bytes(bytes.as_slice().try_into().ok()?))
}

/// Who somebody says that it is; without any part of it, nobody.
pub(super) fn read_end(
    id: Option<&RawValue>,
    key: Option<&RawValue>,
    nonce: Option<&RawValue>,
) -> Option<End> {
    let who = Who {
        id: read_id(id?)?,
        key: json::public_key(&json::string(key?)?)?,
    };
    let nonce = hex::<16>(&json::string(nonce?)?)?;
    let nonce = nonce.as_slice().try_into().ok()?;
    who.is_possible().then_some(End { who, nonce })
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
            if !limits::Full::ToldLocator.when(read.len() >= limits::LOCATOR) {
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
fn put_tip(sink: &mut impl Sink, tip: &Tip) {
    sink.put(b"\"length\": ");
    canonical::number(sink, tip.length);
    sink.put(b", \"tip\": \"");
    canonical::hex(sink, tip.hash.as_bytes());
    sink.put(b"\"");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::{self, Message};

    /// What a message with this payload says.
    fn said(kind: &str, payload: &str) -> Message {
        let text = format!("{{\"type\": \"{kind}\", \"payload\": {payload}}}");
        message::read(text.as_bytes()).expect(payload).message
    }

    /// A sign of life that tells these and no more.
    fn life(voices: &[Voice]) -> Life {
        Life {
            voices: voices.to_vec(),
            ..Life::default()
        }
    }

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

    #[test]
    fn voices_are_read_as_they_are_written_and_what_is_malformed_there_is_left_out() {
        let voice = |id, desktops: &[&str]| Voice {
            id,
            age: 0,
            count: 4,
            healthy: true,
            desktops: desktops
                .iter()
                .map(|text| text.parse().expect("an address"))
                .collect(),
            made: Vec::new(),
        };
        let mut first = voice(255, &["10.0.0.9:6000", "[::1]:7"]);
        first.made = vec![(first.desktops[1], *b"\x01234567\xff")];
        let voices = vec![
            first,
            Voice {
                age: 44,
                healthy: false,
                ..voice(u64::MAX, &[])
            },
        ];
        let mut out = b"{\"length\": 1".to_vec();
        put_voices(&mut out, &voices);
        out.push(b'}');
        let payload = String::from_utf8(out).expect("ASCII");
        assert_eq!(said("pong", &payload), Message::Pong(life(&voices)));
        let Message::PeerAnnounce(greeting) = said("peer_announce", &payload) else {
            panic!("a greeting")
        };
        assert_eq!(greeting.voices, voices);
        let good = "\"id\": \"00000000000000ff\", \"count\": 4";
        for (text, expected) in [
            ("{}".into(), vec![]),
            ("5".into(), vec![]),
            (
                format!("[5, null, [], {{}}, {{{good}, \"healthy\": true}}]"),
                vec![voice(255, &[])],
            ),
            ("[{\"id\": \"ff\", \"count\": 4}]".into(), vec![]),
            (
                "[{\"id\": \"00000000000000ff\", \"count\": -1}]".into(),
                vec![],
            ),
            (
                format!(
                    "[{{{good}, \"x\": 1, \"healthy\": true, \"desktops\": \
                     [5, \"a:1\", \"10.0.0.9:0\", \"10.0.0.9:1/5\", \"\\ud800\", \"10.0.0.9:6000\"]}}]"
                ),
                vec![voice(255, &["10.0.0.9:6000"])],
            ),
            (
                format!("[{{{good}, \"healthy\": 1, \"desktops\": \"10.0.0.9:6000\"}}]"),
                vec![Voice {
                    healthy: false,
                    ..voice(255, &[])
                }],
            ),
        ] {
            let read = said("ping", &format!("{{\"voices\": {text}}}"));
            assert_eq!(read, Message::Ping(life(&expected)), "{text}");
        }
    }

    #[test]
    fn voices_are_bounded() {
        let addresses: Vec<String> = (0..100).map(|n| format!("\"10.0.0.{n}:6000\"")).collect();
        let one = |id| {
            let list = addresses.join(",");
            format!("{{\"id\": \"{id:016x}\", \"count\": 1, \"desktops\": [{list}]}}")
        };
        let all: Vec<String> = (0..100).map(one).collect();
        let text = format!("{{\"voices\": [{}]}}", all.join(","));
        let Message::Ping(Life { voices, .. }) = said("ping", &text) else {
            panic!("a ping")
        };
        assert_eq!(voices.len(), limits::VOICES);
        assert!(
            voices
                .iter()
                .all(|voice| voice.desktops.len() == limits::VOICE_DESKTOPS)
        );
    }
}
