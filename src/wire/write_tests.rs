use super::*;
use crate::ledger::{End, Hash, Identity, Kind, Signature, Timestamp, Who};
use crate::wire::extension::Voice;

impl Writer {
    /// What waits to be sent, for the tests of those who queue it.
    pub fn queued(&self) -> Vec<Outgoing> {
        self.queue.iter().copied().collect()
    }
}

fn me() -> End {
    let key = Identity::from_secret(&[3; 32]).expect("a key").public();
    let who = Who::new(key, 1);
    let nonce = [5; 16];
    End { who, nonce }
}

struct Chain(Vec<Block>);

impl Source for Chain {
    fn tip(&self) -> Tip {
        Tip {
            length: self.0.len() as u64,
            hash: self.0.last().map_or(Hash::ZERO, |block| block.hash),
        }
    }
    fn transaction(&self, number: u64) -> Option<Transaction> {
        let block = self.0.get(usize::try_from(number).ok()?)?;
        block.transactions.first().cloned()
    }
    fn greeting(&self) -> Greeting {
        Greeting {
            from: Some(me()),
            tip: Some(self.tip()),
            mempool: Vec::new(),
            voices: Vec::new(),
        }
    }
    fn locator(&mut self) -> Locator {
        Locator {
            length: 1,
            hashes: vec![self.0[0].hash],
        }
    }
    fn block(&mut self, height: u64) -> Option<Rc<Block>> {
        let block = self.0.get(usize::try_from(height).ok()?)?;
        Some(Rc::new(block.clone()))
    }
    /// Nobody takes a first block that is told alone.
    fn single(&mut self, height: u64) -> Option<Rc<Block>> {
        self.block(height).filter(|block| block.index > 0)
    }
    fn peers(&self) -> Vec<SocketAddr> {
        vec![
            "10.0.0.1:6000".parse().expect("an address"),
            "[::1]:7".parse().expect("an address"),
        ]
    }
    fn life(&self) -> Life {
        Life {
            tip: Some(self.tip()),
            ..Life::default()
        }
    }
    fn sender(&self) -> &str {
        "0.0.0.0:6000"
    }
}

fn chain(length: u64, name_bytes: usize) -> Chain {
    let identity = Identity::from_secret(&[3; 32]).expect("a key");
    let name = "x".repeat(name_bytes);
    let time = Timestamp::Integer(1);
    let request = identity.sign(Kind::Request, name.as_str().into(), time);
    let block = |index| {
        let mut block = Block::genesis(Timestamp::Float(0.5));
        block.index = index;
        block.transactions.push(request.clone());
        block
    };
    Chain((0..length).map(block).collect())
}

/// Takes everything in bites of `bite` bytes.
fn drain(writer: &mut Writer, source: &mut impl Source, bite: usize) -> String {
    let mut out = Vec::new();
    loop {
        writer.fill(source);
        let bytes = writer.pending();
        if bytes.is_empty() {
            return String::from_utf8(out).expect("ASCII");
        }
        let count = bytes.len().min(bite);
        out.extend_from_slice(&bytes[..count]);
        writer.advance(count);
    }
}

#[test]
fn the_same_text_leaves_whatever_the_room() {
    for name_bytes in [10, 3 * limits::WRITE_BYTES] {
        let mut source = chain(5, name_bytes);
        let mut whole = Vec::new();
        text::open(&mut whole, MessageKind::NewBlock);
        text::block(&mut whole, &source.0[4]);
        text::close(&mut whole, "0.0.0.0:6000");
        let mut texts = Vec::new();
        for bite in [1000, 1013, limits::WRITE_BYTES] {
            let mut writer = Writer::default();
            writer.push(Outgoing::Chain).expect("room");
            writer.push(Outgoing::Chain).expect("answered by the first");
            writer.push(Outgoing::OwnBlock(4)).expect("room");
            writer.push(Outgoing::PeerList).expect("room");
            texts.push(drain(&mut writer, &mut source, bite));
            assert!(writer.is_idle());
            assert_eq!(
                writer.sent(),
                Sent {
                    blocks: 6,
                    messages: 4
                }
            );
        }
        assert!(texts.iter().all(|text| *text == texts[0]));
        let lines: Vec<_> = texts[0].lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[0].ends_with(r#"], "length": 5}, "sender": "0.0.0.0:6000"}"#));
        assert!(lines[1].starts_with(r#"{"type": "new_transaction", "payload": {"requester": "#));
        assert_eq!(format!("{}\n", lines[2]).as_bytes(), whole);
        assert_eq!(
            lines[3],
            r#"{"type": "peer_list", "payload": {"peers": ["10.0.0.1:6000", "[::1]:7"]}, "sender": "0.0.0.0:6000"}"#
        );
    }
}

#[test]
fn nothing_is_made_twice() {
    for name_bytes in [10, 20 * limits::WRITE_BYTES] {
        let mut source = chain(3, name_bytes);
        for bite in [100, limits::WRITE_BYTES] {
            let mut writer = Writer::default();
            writer.push(Outgoing::Chain).expect("room");
            writer.push(Outgoing::PeerList).expect("room");
            let (mut made, mut sent) = (0, 0);
            loop {
                let bytes = writer.fill(&mut source);
                assert!(bytes <= BUFFER_BYTES, "{bytes}");
                made += bytes;
                let pending = writer.pending().len();
                if pending == 0 {
                    break;
                }
                assert!(pending <= limits::WRITE_BYTES);
                writer.advance(pending.min(bite));
                sent += pending.min(bite);
            }
            assert!(sent > 3 * name_bytes);
            assert_eq!(made, sent);
            assert!(writer.is_idle() && writer.bytes.capacity() <= BUFFER_BYTES);
        }
    }
}

#[test]
fn a_chain_that_is_overtaken_by_a_reorg_is_told_anew() {
    let mut source = chain(200, 10);
    let mut writer = Writer::default();
    writer.push(Outgoing::Chain).expect("room");
    writer.fill(&mut source);
    let begun = writer.pending().len();
    let mut start = String::from_utf8(writer.pending().to_vec()).expect("ASCII");
    writer.advance(begun);
    writer.reorged(150);
    writer.reorged(2);
    for block in &mut source.0[2..] {
        block.hash = Hash::new([7; 32]);
    }
    start += &drain(&mut writer, &mut source, 1 << 20);
    let lines: Vec<_> = start.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(!lines[0].contains("length"), "cut before its end");
    assert!(lines[1].ends_with(r#""length": 200}, "sender": "0.0.0.0:6000"}"#));
    assert!(lines[1].contains("0707070707"));
}

#[test]
fn a_block_that_is_gone_is_not_sent() {
    let mut source = chain(2, 1);
    let mut writer = Writer::default();
    writer.push(Outgoing::Block(2)).expect("room");
    writer.push(Outgoing::OwnBlock(7)).expect("room");
    writer.push(Outgoing::Pong).expect("room");
    let text = drain(&mut writer, &mut source, 1 << 20);
    assert_eq!(text, sign_of_life(&source, "pong"));
}

#[test]
fn a_block_that_nobody_takes_alone_is_not_told_alone() {
    let mut source = chain(2, 1);
    let mut writer = Writer::default();
    writer.push(Outgoing::Block(0)).expect("room");
    let text = drain(&mut writer, &mut source, 1 << 20);
    assert_eq!(text, sign_of_life(&source, "ping"));
}

fn sign_of_life(source: &impl Source, kind: &str) -> String {
    let Tip { length, hash } = source.tip();
    format!(
        "{{\"type\": \"{kind}\", \"payload\": {{\"length\": {length}, \"tip\": \"{hash}\"}}, \
         \"sender\": \"0.0.0.0:6000\"}}\n"
    )
}

#[test]
fn a_part_ends_at_its_limit_and_the_next_goes_on_behind_it() {
    let mut source = chain(2_000, 10);
    let mut told = 0;
    let mut answers = 0;
    while told < 2_000 {
        let mut writer = Writer::default();
        writer.push(Outgoing::PartialResponse(told)).expect("room");
        writer
            .push(Outgoing::PartialResponse(7))
            .expect("answered by the first");
        let text = drain(&mut writer, &mut source, 1 << 20);
        assert_eq!(text.lines().count(), 1);
        assert!(
            text.len() <= limits::PARTIAL_RESPONSE_TEXT_MAX,
            "{}",
            text.len()
        );
        let start = format!("{{\"start\": {told}, \"chain\": [{{\"index\": {told}, ");
        assert!(text.contains(&start), "{}", &text[..200]);
        assert!(text.ends_with("], \"length\": 2000}, \"sender\": \"0.0.0.0:6000\"}\n"));
        told += writer.sent().blocks;
        answers += 1;
    }
    assert!((3..10).contains(&answers), "{answers}");
}

#[test]
fn a_block_that_is_longer_than_a_part_is_told_alone() {
    let mut source = chain(3, limits::PARTIAL_RESPONSE_TEXT_MAX);
    let mut writer = Writer::default();
    writer.push(Outgoing::PartialResponse(1)).expect("room");
    drain(&mut writer, &mut source, 1 << 20);
    assert_eq!(writer.sent().blocks, 1);
}

#[test]
fn a_part_of_what_is_gone_is_empty() {
    let mut source = chain(3, 1);
    let mut writer = Writer::default();
    writer.push(Outgoing::PartialResponse(9)).expect("room");
    let text = drain(&mut writer, &mut source, 1 << 20);
    assert!(text.contains("{\"start\": 3, \"chain\": [], \"length\": 3}"));
}

#[test]
fn a_part_that_is_overtaken_by_a_reorg_ends() {
    let mut source = chain(400, 10);
    let mut writer = Writer::default();
    writer.push(Outgoing::PartialResponse(100)).expect("room");
    writer.fill(&mut source);
    let mut text = String::from_utf8(writer.pending().to_vec()).expect("ASCII");
    writer.advance(text.len());
    writer.reorged(399);
    writer.reorged(100);
    text += &drain(&mut writer, &mut source, 1 << 20);
    assert_eq!(text.lines().count(), 1);
    let line: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let told = line["payload"]["chain"].as_array().expect("blocks").len();
    assert!((1..300).contains(&told), "{told}");
    assert_eq!(line["payload"]["length"], 400);
}

#[test]
fn who_asks_says_where_he_stands() {
    let mut source = chain(1, 1);
    let mut writer = Writer::default();
    writer.push(Outgoing::Announce).expect("room");
    writer.push(Outgoing::Request).expect("room");
    writer.push(Outgoing::Transaction(0)).expect("room");
    writer.push(Outgoing::Transaction(5)).expect("room");
    let text = drain(&mut writer, &mut source, 1 << 20);
    let lines: Vec<_> = text.lines().collect();
    let hash = source.tip().hash;
    assert_eq!(lines.len(), 3);
    assert_eq!(
        lines[0],
        format!(
            "{{\"type\": \"peer_announce\", \"payload\": {{\"id\": \"{:016x}\", \
             \"key\": \"{}\", \"nonce\": \"{}\", \"length\": 1, \"tip\": \"{hash}\", \"pool\": []}}, \"sender\": \"0.0.0.0:6000\"}}",
            me().who.id,
            me().who.key,
            "05".repeat(16)
        )
    );
    assert_eq!(
        lines[1],
        format!(
            "{{\"type\": \"request_chain\", \"payload\": {{\"length\": 1, \"locator\": \
             [\"{hash}\"]}}, \"sender\": \"0.0.0.0:6000\"}}"
        )
    );
    assert!(lines[2].starts_with("{\"type\": \"new_transaction\", "));
}

#[test]
fn a_full_queue_says_so() {
    let mut writer = Writer::default();
    let taken = (0..1000).take_while(|height| writer.push(Outgoing::Block(*height)).is_ok());
    assert_eq!(taken.count(), limits::OUTGOING_MESSAGES);
    assert!(writer.drop_blocks());
    assert!(!writer.drop_blocks());
    assert!(writer.is_idle());
}

#[test]
fn a_chain_that_breaks_behind_a_full_queue_is_told_anew_all_the_same() {
    let mut source = chain(200, 10);
    let mut writer = Writer::default();
    writer.push(Outgoing::Chain).expect("room");
    writer.fill(&mut source);
    while writer.push(Outgoing::Pong).is_ok() {}
    writer.reorged(1);
    let text = drain(&mut writer, &mut source, 1 << 20);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2 + limits::OUTGOING_MESSAGES - 1);
    assert!(!lines[0].contains("length"), "cut before its end");
    assert!(lines[1].contains("\"length\": 200"));
}

#[test]
fn who_is_to_hear_nothing_of_the_chain_hears_no_more_of_it() {
    let mut source = chain(200, 10);
    for begun in [
        None,
        Some(Outgoing::Chain),
        Some(Outgoing::PartialResponse(1)),
        Some(Outgoing::OwnBlock(4)),
    ] {
        let mut writer = Writer::default();
        if let Some(begun) = begun {
            writer.push(begun).expect("room");
            writer.fill(&mut source);
            assert!(!writer.pending().is_empty());
        }
        for waits in [
            Outgoing::Chain,
            Outgoing::Block(3),
            Outgoing::Transaction(0),
        ] {
            writer.push(waits).expect("room");
        }
        writer.push(Outgoing::Pong).expect("room");
        writer.withhold();
        for _ in 0..2 * limits::OUTGOING_MESSAGES {
            writer
                .push(Outgoing::NoChain(0))
                .expect("one answers for all");
        }
        let text = drain(&mut writer, &mut source, 1000);
        let mut lines: Vec<&str> = text.lines().collect();
        let nothing = r#"{"type": "chain_response", "payload": {"chain": [], "length": 0}, "sender": "0.0.0.0:6000"}"#;
        assert_eq!(lines.pop(), Some(nothing), "{begun:?}");
        assert_eq!(
            lines.pop(),
            Some(sign_of_life(&source, "pong").trim_end()),
            "{begun:?}"
        );
        if let Some(Outgoing::Chain | Outgoing::PartialResponse(_)) = begun {
            let broken = lines.pop().expect("its beginning");
            let short = broken.len() < 2 * limits::WRITE_BYTES;
            assert!(short && !broken.contains("\"length\""), "it has no end");
        }
        assert!(writer.is_idle());
    }
}

/// Somebody who knows as much of others as is told at most.
struct Crowd(Chain);

impl Source for Crowd {
    fn tip(&self) -> Tip {
        self.0.tip()
    }
    fn transaction(&self, number: u64) -> Option<Transaction> {
        self.0.transaction(number)
    }
    fn greeting(&self) -> Greeting {
        Greeting {
            voices: self.voices(),
            ..self.0.greeting()
        }
    }
    fn locator(&mut self) -> Locator {
        self.0.locator()
    }
    fn block(&mut self, height: u64) -> Option<Rc<Block>> {
        self.0.block(height)
    }
    fn single(&mut self, height: u64) -> Option<Rc<Block>> {
        self.0.single(height)
    }
    fn peers(&self) -> Vec<SocketAddr> {
        self.0.peers()
    }
    fn life(&self) -> Life {
        Life {
            voices: self.voices(),
            proof: Some(longest_proof()),
            ..self.0.life()
        }
    }
    fn sender(&self) -> &str {
        self.0.sender()
    }
}

impl Crowd {
    fn voices(&self) -> Vec<Voice> {
        let longest = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
        let voice = Voice {
            age: limits::VOICE_MAX_MS / 1_000,
            id: u64::MAX,
            count: u64::MAX,
            healthy: false,
            desktops: vec![longest.parse().expect("an address"); limits::VOICE_DESKTOPS],
            made: vec![(longest.parse().expect("an address"), [0xff; 8])],
        };
        vec![voice; limits::VOICES]
    }
}

fn longest_proof() -> Signature {
    Signature::from_halves([0xff; 32], [0xff; 32])
}

#[test]
fn all_voices_leave_in_pieces_and_take_no_more_than_their_share() {
    let mut source = Crowd(chain(1, 1));
    let mut writer = Writer::default();
    for message in [Outgoing::Announce, Outgoing::Ping, Outgoing::Pong] {
        assert!(!writer.will_tell());
        writer.push(message).expect("room");
        assert!(writer.will_tell());
        let text = drain(&mut writer, &mut source, limits::WRITE_BYTES);
        assert!(text.len() < limits::TEXT_PER_TURN / 4, "{}", text.len());
        let told = text.matches("\"healthy\": false").count();
        assert_eq!((text.lines().count(), told), (1, limits::VOICES));
        assert!(
            text.contains(
                ", \"voices\": [{\"id\": \"ffffffffffffffff\", \"age\": 45, \"count\": 18"
            )
        );
    }
}
