//! Blocks, and the lines in which peers tell of them. Shared by the tests of the simulator and of the
//! real program.

use blx::ledger::{Block, Transaction, Work};
use blx::wire::{MessageKind, read_block, text};
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
