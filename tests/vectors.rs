//! What desktop nodes said (`tests/vectors`, PROTOCOL.md section 8), through the rooms that read
//! and write it: every text comes out as it went in, every verdict as listed; and the same lines
//! broken in every place, which must neither panic nor outlive their line feed.

#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use blx::ledger::canonical::{self, Sink};
use blx::ledger::{Block, Changes, Hash, Items, Transaction, Uid, Verifier};
use blx::wire::{
    BlockError, Frame, LineError, Message, MessageKind, document, message, read_block, text,
};
use serde_json::Value;

mod frames;
use frames::{Piece, cut};

macro_rules! vector {
    ($name:literal) => {
        include_str!(concat!("vectors/", $name))
    };
}

fn cases(json: &str) -> Vec<Value> {
    serde_json::from_str(json).unwrap()
}

fn field<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().unwrap()
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    assert!(out.is_ascii());
    String::from_utf8(out).unwrap()
}

fn block(text: &str) -> Block {
    read_block(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn blocks_come_out_as_they_went_in() {
    let mut verifier = Verifier::default();
    let cases = cases(vector!("blocks.json"));
    assert_eq!(cases.len(), 200);
    for case in &cases {
        let block = block(field(case, "wire"));
        assert_eq!(written(|out| text::block(out, &block)), field(case, "wire"));
        let canonical = written(|out| block.put(out));
        assert_eq!(canonical, field(case, "canonical"));
        assert_eq!(block.hash.to_string(), field(case, "hash"));
        assert_eq!(block.check_alone(2), Ok(()));
        let signed = case["transactions"].as_array().unwrap();
        assert_eq!(signed.len(), block.transactions.len());
        for (transaction, case) in block.transactions.iter().zip(signed) {
            let canonical = written(|out| transaction.put(out));
            let expected = case
                .as_object()
                .unwrap()
                .values()
                .any(|text| *text == canonical);
            assert!(expected, "{case}: {canonical}");
            assert!(verifier.verify(transaction));
        }
    }
}

#[test]
fn numbers_are_hashed_as_desktop_nodes_hash_them() {
    let cases = cases(vector!("numbers.json"));
    assert_eq!(cases.len(), 2325);
    for case in &cases {
        let zeros = "0".repeat(64);
        let json = field(case, "json");
        let block = block(&format!(
            "{{\"index\": 0, \"prev_hash\": \"{zeros}\", \"transactions\": [], \"nonce\": 0, \
             \"timestamp\": {json}, \"hash\": \"{zeros}\"}}"
        ));
        assert_eq!(block.timestamp.text(), field(case, "canonical"), "{json}");
    }
}

#[test]
fn strings_are_hashed_as_desktop_nodes_hash_them() {
    let blocks = cases(vector!("blocks.json"));
    let template: Value = serde_json::from_str(field(&blocks[1], "wire")).unwrap();
    for case in cases(vector!("strings.json")) {
        let hex = field(&case, "value_utf8_hex").as_bytes();
        let bytes: Vec<u8> = hex
            .chunks(2)
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        let canonical = field(&case, "canonical");
        assert_eq!(written(|out| canonical::string(out, &bytes)), canonical);
        let uid = template["transactions"][0]["uid"].to_string();
        for spelling in [
            canonical,
            &serde_json::to_string(str::from_utf8(&bytes).unwrap()).unwrap(),
        ] {
            let read = block(&template.to_string().replacen(&uid, spelling, 1));
            let uids = read.transactions.iter().map(|transaction| &transaction.uid);
            assert!(
                uids.clone()
                    .any(|uid| *uid == Uid::from_wtf8(bytes.clone())),
                "{canonical}"
            );
        }
    }
}

/// The verdict of this node on a chain, as PROTOCOL.md section 3 lists the checks.
fn accepts(blocks: &[Result<Block, BlockError>]) -> Result<(), String> {
    let (items, mut changes) = (Items::default(), Changes::from_nothing());
    let (mut verifier, mut prev_hash) = (Verifier::default(), Hash::ZERO);
    for (index, block) in (0..).zip(blocks) {
        let block = block.as_ref().map_err(ToString::to_string)?;
        let check = block
            .check_link(index, &prev_hash)
            .and_then(|()| block.check_alone(2))
            .and_then(|()| changes.apply_block(&items, block));
        check.map_err(|error| format!("{index}: {error}"))?;
        if !block
            .transactions
            .iter()
            .all(|transaction| verifier.verify(transaction))
        {
            return Err(format!("{index}: a signature"));
        }
        prev_hash = block.hash;
    }
    Ok(())
}

/// The elements of a JSON array as they are spelled; serde_json's `Value` would respell numbers.
fn spelled(array: &serde_json::value::RawValue) -> Vec<String> {
    let elements: Vec<&serde_json::value::RawValue> = serde_json::from_str(array.get()).unwrap();
    elements
        .iter()
        .map(|element| element.get().to_owned())
        .collect()
}

/// The blocks of a document.
fn document(text: &str) -> Vec<Result<Block, BlockError>> {
    let mut blocks = Vec::new();
    let read = document::read(&mut text.as_bytes(), &mut |block| {
        blocks.push(block);
        ControlFlow::Continue(())
    });
    assert!(read.is_ok());
    blocks
}

#[test]
fn verdicts_are_as_listed() {
    let texts: Vec<&serde_json::value::RawValue> =
        serde_json::from_str(vector!("verdicts.json")).unwrap();
    assert_eq!(texts.len(), 23);
    for text in texts {
        let case: std::collections::BTreeMap<String, &serde_json::value::RawValue> =
            serde_json::from_str(text.get()).unwrap();
        let expected = case["this_node_accepts"].get() == "true";
        let texts = spelled(case["chain"]).into_iter();
        let blocks: Vec<_> = texts.map(|text| read_block(text.as_bytes())).collect();
        let verdict = accepts(&blocks);
        assert_eq!(verdict.is_ok(), expected, "{}: {verdict:?}", case["name"]);
        assert_eq!(document(case["chain"].get()), blocks);
    }
}

/// The frames of bytes that come in pieces of the sizes that `chop` gives.
fn frames(bytes: &[u8], chop: impl FnMut() -> usize) -> Vec<Piece> {
    let (pieces, rest) = cut(bytes, chop, |frame, _| {
        assert_ne!(frame, Ok(Frame::Skipped), "nothing is skipped here");
        false
    });
    assert_eq!(rest, 0);
    pieces
}

/// A small generator (xorshift64*), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let value = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(value).unwrap() % limit
    }
}

#[test]
fn the_chain_is_cut_alike_in_every_chopping() {
    let line = vector!("chain_response.line").as_bytes();
    let whole = frames(line, || usize::MAX);
    let wires = cases(vector!("blocks.json"));
    assert_eq!(whole.len(), wires.len() + 1);
    for (piece, case) in whole.iter().zip(&wires) {
        assert_eq!(*piece, Piece::Element(field(case, "wire").into()));
    }
    let Some(Piece::End(envelope)) = whole.last() else {
        panic!("{:?}", whole.last())
    };
    let envelope = message::read(envelope).unwrap();
    let (length, start) = (Some(200), None);
    assert_eq!(envelope.message, Message::ChainEnd { length, start });
    assert_eq!(envelope.sender, Some(6000));

    assert_eq!(frames(line, || 1), whole);
    for seed in 1..20 {
        let mut random = Random(seed);
        let longest = 1 << random.below(12);
        assert_eq!(
            frames(line, || 1 + random.below(longest)),
            whole,
            "seed {seed}"
        );
    }
}

#[test]
fn the_chain_is_written_as_desktop_nodes_write_it() {
    let line = written(|out| {
        text::open(out, MessageKind::ChainResponse);
        out.put(b"{\"chain\": [");
        for (position, case) in cases(vector!("blocks.json")).iter().enumerate() {
            if position > 0 {
                out.put(b", ");
            }
            text::block(out, &block(field(case, "wire")));
        }
        out.put(b"], \"length\": 200}");
        text::close(out, "0.0.0.0:6000");
    });
    assert!(line == vector!("chain_response.line"));
}

#[test]
fn the_chain_ends_in_the_state_that_desktop_nodes_show() {
    let expected: Value = serde_json::from_str(vector!("chain_state.json")).unwrap();
    let (mut items, mut changes) = (Items::default(), Changes::from_nothing());
    let mut tip = None;
    for block in document(vector!("chain_response.line")) {
        let block = block.unwrap();
        changes.apply_block(&items, &block).unwrap();
        tip = Some(block);
    }
    items.commit(changes);
    let tip = tip.unwrap();
    assert_eq!(tip.index + 1, expected["length"]);
    assert_eq!(tip.hash.to_string(), field(&expected, "tip"));
    for (list, reserved) in [("reserved", true), ("available", false)] {
        let names = expected[list].as_array().unwrap();
        let all = items.after(None);
        let listed = all.filter(|(_, state)| state.reserved == reserved);
        assert_eq!(listed.count(), names.len());
        for name in names {
            let state = items.get(&name.as_str().unwrap().into());
            assert_eq!(state.map(|state| state.reserved), Some(reserved), "{name}");
        }
    }
}

fn session() -> Vec<String> {
    let lines = vector!("session.jsonl").lines();
    lines
        .map(|line| {
            let entry: Value = serde_json::from_str(line).unwrap();
            field(&entry, "line").to_owned()
        })
        .collect()
}

#[test]
fn a_session_is_understood_and_said_again() {
    let mut kinds = Vec::new();
    for line in session() {
        let again = |kind, payload: &dyn Fn(&mut Vec<u8>)| {
            let sender = &line[line.rfind("0.0.0.0").unwrap()..line.len() - 2];
            let said = written(|out| {
                text::open(out, kind);
                payload(out);
                text::close(out, sender);
            });
            assert_eq!(said, format!("{line}\n"));
            kinds.push(kind.name());
        };
        let mut blocks = Vec::new();
        for piece in frames(format!("{line}\n").as_bytes(), || 10) {
            match piece {
                Piece::Element(text) => blocks.push(read_block(&text).unwrap()),
                Piece::Message(text) | Piece::End(text) => {
                    let envelope = message::read(&text).unwrap();
                    assert!(matches!(envelope.sender, Some(6000 | 6001)));
                    say_again(envelope.message, &blocks, again);
                    break;
                }
                other => panic!("{line}: {other:?}"),
            }
        }
    }
    kinds.sort_unstable();
    kinds.dedup();
    assert!(kinds.len() >= 5, "{kinds:?}");
}

fn say_again(
    message: Message,
    blocks: &[Block],
    again: impl FnOnce(MessageKind, &dyn Fn(&mut Vec<u8>)),
) {
    let empty = |out: &mut Vec<u8>| out.put(b"{}");
    match message {
        Message::PeerAnnounce(_) => again(MessageKind::PeerAnnounce, &empty),
        Message::RequestChain(None) => again(MessageKind::RequestChain, &empty),
        Message::Ping(life) if life.tip.is_none() => again(MessageKind::Ping, &empty),
        Message::Pong(life) if life.tip.is_none() => again(MessageKind::Pong, &empty),
        Message::PeerList { peers } => again(MessageKind::PeerList, &|out| {
            let quoted: Vec<String> = peers.iter().map(|peer| format!("\"{peer}\"")).collect();
            out.put(format!("{{\"peers\": [{}]}}", quoted.join(", ")).as_bytes());
        }),
        Message::NewBlock(block) => again(MessageKind::NewBlock, &|out| {
            text::block(out, block.as_ref().unwrap());
        }),
        Message::NewTransaction(transaction) => again(MessageKind::NewTransaction, &|out| {
            let transaction: &Transaction = transaction.as_ref().unwrap();
            text::transaction(out, transaction);
        }),
        Message::ChainEnd {
            length,
            start: None,
        } => again(MessageKind::ChainResponse, &|out| {
            out.put(b"{\"chain\": [");
            for (position, block) in blocks.iter().enumerate() {
                out.put(if position > 0 { b", " } else { b"" });
                text::block(out, block);
            }
            out.put(format!("], \"length\": {}}}", length.unwrap()).as_bytes());
        }),
        other => panic!("no desktop node says {other:?}"),
    }
}

const PROBE: &[u8] = b"{\"type\": \"ping\", \"payload\": {}}";

/// Reads a broken line as a node would; what matters is that nothing panics and that the line
/// behind it is read. Returns what became of it: skipped, refused or read.
fn survive(broken: &[u8], chop: usize) -> [usize; 3] {
    let bytes = [broken, b"\n", PROBE, b"\n"].concat();
    let pieces = frames(&bytes, || chop);
    let shown = || broken.escape_ascii().to_string();
    assert_eq!(
        pieces.last(),
        Some(&Piece::Message(PROBE.to_vec())),
        "{}",
        shown()
    );
    let mut counts = [0; 3];
    for piece in &pieces[..pieces.len() - 1] {
        let outcome = match piece {
            Piece::Message(text) | Piece::End(text) => match message::read(text) {
                Err(LineError::NotJson) => 0,
                Err(LineError::Shape(_)) => 1,
                Ok(_) => 2,
            },
            Piece::Element(text) => match read_block(text) {
                Err(BlockError::NotJson) => 0,
                Err(BlockError::Shape(_)) => 1,
                Err(BlockError::Rule(_)) | Ok(_) => 2,
            },
            Piece::Broken => 0,
            Piece::Skipped => unreachable!("frames refuses it"),
            Piece::Error(error) => panic!("{error}: {}", shown()),
        };
        counts[outcome] += 1;
    }
    counts
}

#[test]
fn a_line_cut_or_flipped_anywhere_harms_no_other() {
    let mut counts = [0; 3];
    let mut add = |more: [usize; 3]| (0..3).for_each(|place| counts[place] += more[place]);
    for line in session() {
        let line = line.as_bytes();
        for place in 0..line.len() {
            add(survive(&line[..place], 64));
            let mut flipped = line.to_vec();
            flipped[place] ^= [0x01, 0x02, 0x20, 0x80, flipped[place] ^ b'\n'][place % 5];
            add(survive(&flipped, 64));
        }
    }
    assert!(counts.iter().all(|count| *count > 1000), "{counts:?}");
}

/// A random JSON value out of the words that matter to the cutting, in random white space.
fn random_json(random: &mut Random, depth: usize, out: &mut String) {
    const WORDS: [&str; 8] = [
        "\"chain\"",
        "\"payload\"",
        "\"type\"",
        "\"chain_response\"",
        "\"x\\\"\\\\\"",
        "\"]}\"",
        "\"\"",
        "\"ping\"",
    ];
    let gap = |random: &mut Random| ["", "", " ", "\t\r "][random.below(4)];
    let kind = if depth == 0 {
        random.below(2)
    } else {
        random.below(6)
    };
    match kind {
        0 => out.push_str(WORDS[random.below(WORDS.len())]),
        1 => out.push_str(["1", "-2.5e+7", "null", "true"][random.below(4)]),
        _ => {
            let object = random.below(3) > 0;
            out.push(if object { '{' } else { '[' });
            for position in 0..random.below(5) {
                out.push_str(if position > 0 { "," } else { "" });
                out.push_str(gap(random));
                if object {
                    out.push_str(WORDS[random.below(3) * random.below(2) + random.below(2)]);
                    out.push_str(gap(random));
                    out.push(':');
                    out.push_str(gap(random));
                }
                random_json(random, depth - 1, out);
                out.push_str(gap(random));
            }
            out.push(if object { '}' } else { ']' });
        }
    }
}

/// What the cutting must come to, told by a reader of whole lines; `None` where a key stands
/// twice, which leaves it open.
fn expected(line: &str) -> Option<Vec<Piece>> {
    let whole = || Some(vec![Piece::Message(line.into())]);
    let pairs = |text: &str| -> Option<Vec<(String, String)>> {
        struct Pairs(Vec<(String, String)>);
        impl<'de> serde::Deserialize<'de> for Pairs {
            fn deserialize<D: serde::Deserializer<'de>>(reader: D) -> Result<Pairs, D::Error> {
                struct Visit;
                impl<'de> serde::de::Visitor<'de> for Visit {
                    type Value = Pairs;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<Pairs, A::Error> {
                        let mut pairs = Vec::new();
                        while let Some(key) = map.next_key()? {
                            let value: Box<serde_json::value::RawValue> = map.next_value()?;
                            pairs.push((key, value.get().to_owned()));
                        }
                        Ok(Pairs(pairs))
                    }
                }
                reader.deserialize_map(Visit)
            }
        }
        serde_json::from_str::<Pairs>(text)
            .ok()
            .map(|pairs| pairs.0)
    };
    let Some(outer) = pairs(line) else {
        return whole();
    };
    let places = |pairs: &[(String, String)], name: &str| -> Vec<usize> {
        (0..pairs.len())
            .filter(|place| pairs[*place].0 == name)
            .collect()
    };
    let (payloads, types) = (places(&outer, "payload"), places(&outer, "type"));
    if payloads.len() > 1 || types.len() > 1 {
        return None;
    }
    let Some(payload) = payloads.first() else {
        return whole();
    };
    let hidden = types.iter().any(|place| {
        let value = &outer[*place].1;
        let other = value.starts_with('"') && value != "\"chain_response\"";
        // A spelling with escapes might still mean it.
        place < payload && other && !value.contains('\\')
    });
    let Some(inner) = pairs(&outer[*payload].1) else {
        return whole();
    };
    let chains = places(&inner, "chain");
    if chains.len() > 1 {
        return None;
    }
    match chains.first().map(|place| &inner[*place].1) {
        Some(chain) if chain.starts_with('[') && !hidden => {
            let raw: &serde_json::value::RawValue = serde_json::from_str(chain).unwrap();
            let elements = spelled(raw).into_iter();
            let mut pieces: Vec<_> = elements.map(|text| Piece::Element(text.into())).collect();
            pieces.push(Piece::End(Vec::new()));
            Some(pieces)
        }
        _ => whole(),
    }
}

#[test]
fn random_lines_are_cut_as_a_reader_of_whole_lines_would() {
    let mut random = Random(2);
    let mut chains = 0;
    for round in 0..20_000 {
        let mut line = String::new();
        if round % 2 == 0 {
            let mut inner = String::new();
            random_json(&mut random, 3, &mut inner);
            line =
                format!("{{\"payload\": {{\"chain\": {inner}, \"x\": {inner}}}, \"x\": {inner}}}");
        } else {
            random_json(&mut random, 6, &mut line);
        }
        let bytes = format!("{line}\n");
        let mut pieces = frames(bytes.as_bytes(), || usize::MAX);
        assert_eq!(frames(bytes.as_bytes(), || 1), pieces, "{line}");
        let Some(expected) = expected(&line) else {
            continue;
        };
        if let Some(Piece::End(text)) = pieces.last_mut() {
            chains += 1;
            assert!(serde_json::from_slice::<Value>(text).is_ok(), "{line}");
            text.clear();
        }
        // Not assert_eq: the pieces only repeat the line, as numbers.
        assert!(pieces == expected, "round {round}: {line}");
    }
    assert!(chains > 1_000, "{chains}");
}

#[test]
fn random_garbage_ends_with_its_line() {
    const WORDS: [&[u8]; 16] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"",
        b"\\",
        b" ",
        b"\"payload\":",
        b"\"chain\":",
        b"1",
        b"{\"payload\": {\"chain\": [",
        b"\r",
        b"\xff",
        b"\"type\": \"x\"",
    ];
    let mut random = Random(3);
    for _ in 0..20_000 {
        let mut line = Vec::new();
        for _ in 0..random.below(20) {
            line.extend_from_slice(WORDS[random.below(WORDS.len())]);
        }
        assert_eq!(
            survive(&line, 1),
            survive(&line, 1000),
            "{}",
            line.escape_ascii()
        );
    }
}
