//! Blocks, the lines in which peers tell of them, and how one of ours says and proves who it is. Shared by the tests of the simulator and of the
//! real program.

use blx::ledger::{Block, Claim, End, Identity, Transaction, Who, Work};
use blx::wire::{Message, MessageKind, message, read_block, text};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A line, without its end, of one that says that it listens there.
pub fn line(kind: MessageKind, payload: &str, sender: &str) -> String {
    let name = kind.name();
    format!(r#"{{"type": "{name}", "payload": {payload}, "sender": "{sender}"}}"#)
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = Vec::new();
    write(&mut bytes);
    String::from_utf8(bytes).expect("ASCII")
}

pub fn block_text(block: &Block) -> String {
    written(|bytes| text::block(bytes, block))
}

pub fn transaction_text(transaction: &Transaction) -> String {
    written(|bytes| text::transaction(bytes, transaction))
}

/// An array of blocks.
pub fn array_text(chain: &[Block]) -> String {
    let blocks: Vec<String> = chain.iter().map(block_text).collect();
    format!("[{}]", blocks.join(", "))
}

/// What is said of a whole chain.
pub fn chain_text(chain: &[Block]) -> String {
    let (blocks, length) = (array_text(chain), chain.len());
    format!(r#"{{"chain": {blocks}, "length": {length}}}"#)
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[derive(Deserialize)]
struct Chain<'a> {
    #[serde(borrow)]
    chain: Vec<&'a RawValue>,
    length: usize,
}

/// The text of a line's payload.
pub fn payload(line: &str) -> &str {
    let envelope: Envelope<'_> = serde_json::from_str(line).expect("an envelope");
    envelope.payload.get()
}

/// The blocks of a `chain_response`.
pub fn chain_of(line: &str) -> Vec<Block> {
    let chain: Chain<'_> = serde_json::from_str(payload(line)).expect("a chain");
    let read = |raw: &&RawValue| read_block(raw.get().as_bytes()).expect("a block");
    let blocks: Vec<Block> = chain.chain.iter().map(read).collect();
    assert_eq!(chain.length, blocks.len());
    blocks
}

/// The block with the first nonce, from its own on, that is work enough, and with its hash.
pub fn mined(block: Block, difficulty: u8) -> Block {
    let mut work = Work::new(block, difficulty);
    while !work.step(1 << 16) {}
    work.into_block()
}

/// One of ours, each number another one.
pub struct Ours {
    identity: Identity,
    end: End,
}

impl Ours {
    pub fn new(number: u64) -> Ours {
        let mut secret = [3; 32];
        secret[24..].copy_from_slice(&number.to_be_bytes());
        let identity = Identity::from_secret(&secret).expect("a key");
        let who = Who::new(identity.public(), number);
        let nonce = [7; 16];
        let end = End { who, nonce };
        Ours { identity, end }
    }

    /// What stands in its greeting.
    pub fn says(&self) -> String {
        says_end(&self.end)
    }

    /// What proves that to whoever greeted with this line, of a connection that it `dialed` or not.
    pub fn proves(&self, dialed: bool, greeting: &str) -> String {
        let claim = Claim {
            signer: self.end,
            dialed,
            other: end_of(greeting),
        };
        let proof = self.identity.prove(&claim).to_der();
        let digits: String = proof.iter().map(|byte| format!("{byte:02x}")).collect();
        format!(r#"{{"proof": "{digits}"}}"#)
    }
}

/// What stands in the greeting of this one.
pub fn says_end(end: &End) -> String {
    let End { who, nonce } = end;
    let nonce = u128::from_be_bytes(*nonce);
    format!(
        r#""id": "{:016x}", "key": "{}", "nonce": "{nonce:032x}""#,
        who.id, who.key
    )
}

/// Who has greeted with this line.
pub fn end_of(greeting: &str) -> End {
    let read = message::read(greeting.trim_end().as_bytes()).expect("a line");
    match read.message {
        Message::PeerAnnounce(greeting) => greeting.from.expect("one of ours"),
        other => panic!("{other:?}"),
    }
}
