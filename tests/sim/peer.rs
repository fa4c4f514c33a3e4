//! What a story says as a peer: it may lie, stop in the middle, or say nothing.

use blx::ledger::{Block, Identity, Kind, Timestamp, Transaction};
use blx::wire::MessageKind;

use crate::blocks;
pub use crate::blocks::{Ours, mined};
use crate::world::World;

fn line(kind: MessageKind, payload: &str) -> Vec<u8> {
    (blocks::line(kind, payload, "0.0.0.0:6000") + "\n").into_bytes()
}

/// The line that tells of a block.
pub fn new_block(block: &Block) -> Vec<u8> {
    line(MessageKind::NewBlock, &blocks::block_text(block))
}

/// The line that tells of a transaction, as a device sends it that can do no more.
pub fn new_transaction(transaction: &Transaction) -> Vec<u8> {
    let text = blocks::transaction_text(transaction);
    line(MessageKind::NewTransaction, &text)
}

/// What a desktop node says first.
pub const ANNOUNCE: &[u8] =
    b"{\"type\": \"peer_announce\", \"payload\": {}, \"sender\": \"0.0.0.0:6000\"}\n";

/// What one of ours says first, with `more` in its payload.
pub fn greeting(who: &Ours, more: &str) -> Vec<u8> {
    let says = who.says();
    format!("{{\"type\": \"peer_announce\", \"payload\": {{{says}{more}}}}}\n").into_bytes()
}

/// A connection to a host over which one of ours speaks: its blocks are taken as they are.
pub fn call_ours(world: &mut World, host: usize) -> usize {
    let call = world.call(host);
    world.say(call, &greeting(&Ours::new(call as u64 + 1), ""));
    call
}

/// A connection to a host over which a desktop node speaks: what is in its blocks is made again.
pub fn call_desktop(world: &mut World, host: usize) -> usize {
    let call = world.call(host);
    world.say(call, ANNOUNCE);
    call
}

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    Ours,
    Desktop,
}

impl Speaker {
    pub const BOTH: [Speaker; 2] = [Speaker::Ours, Speaker::Desktop];

    /// All of these, said by each.
    pub fn each_of<T: Copy>(these: impl IntoIterator<Item = T>) -> Vec<(T, Speaker)> {
        let each = these.into_iter();
        each.flat_map(|this| Speaker::BOTH.map(|speaker| (this, speaker)))
            .collect()
    }

    pub fn call(self, world: &mut World, host: usize) -> usize {
        match self {
            Speaker::Ours => call_ours(world, host),
            Speaker::Desktop => call_desktop(world, host),
        }
    }
}

/// A word that asks for an answer and means nothing.
pub const PING: &[u8] = b"{\"type\": \"ping\", \"payload\": {}}\n";

/// What answers it.
pub const PONG: &[u8] = b"{\"type\": \"pong\", \"payload\": {}}\n";

/// Asks for the chain, and has none: it would have to be told before the answer comes.
pub const ASK: &[u8] =
    b"{\"type\": \"chain_response\", \"payload\": {\"chain\": [], \"length\": 0}}\n\
                         {\"type\": \"request_chain\", \"payload\": {}}\n";

/// What a stranger signs.
pub fn sign(kind: Kind, item: &str, time: f64) -> Transaction {
    let stranger = Identity::from_secret(&[9; 32]).expect("a key");
    stranger.sign(kind, item.into(), Timestamp::Float(time))
}

/// Time goes by for a desktop node that has this chain and answers on these connections.
pub fn answer(world: &mut World, calls: &[usize], chain: &[Block], millis: u64) {
    let told = chain_response(chain);
    let mut dealt_with: Vec<usize> = Vec::new();
    dealt_with.extend(calls.iter().map(|call| world.heard(*call).len()));
    for _ in 0..millis / 50 {
        world.run(50);
        for (call, dealt_with) in calls.iter().zip(&mut dealt_with) {
            let heard = world.heard(*call);
            let end = heard.rfind('\n').map_or(0, |at| at + 1);
            for line in heard[*dealt_with..end].lines() {
                if line.contains("\"ping\"") {
                    world.say(*call, PONG);
                } else if line.contains("\"request_chain\"") {
                    world.say(*call, &told);
                }
            }
            *dealt_with = end;
        }
    }
}

/// The line that tells of a chain.
pub fn chain_response(chain: &[Block]) -> Vec<u8> {
    line(MessageKind::ChainResponse, &blocks::chain_text(chain))
}

/// A chain of `length` blocks that goes on where `chain` ends.
pub fn longer(world: &World, mut chain: Vec<Block>, length: usize) -> Vec<Block> {
    if chain.is_empty() {
        chain.push(Block::genesis(Timestamp::Integer(7)));
    }
    while chain.len() < length {
        grow(world, &mut chain, None);
    }
    chain
}

/// Adds a block, in which a stranger requests an item.
pub fn grow(world: &World, chain: &mut Vec<Block>, item: Option<&str>) {
    let items: Vec<String> = item.map(str::to_owned).into_iter().collect();
    grow_by(world, chain, &items);
}

/// Adds a block, in which a stranger requests these items.
pub fn grow_by(world: &World, chain: &mut Vec<Block>, items: &[String]) {
    let requests = items.iter().map(|item| sign(Kind::Request, item, 0.5));
    let block = behind(world, chain, requests.collect());
    chain.push(block);
}

/// The block of these transactions behind a chain.
pub fn behind(world: &World, chain: &[Block], transactions: Vec<Transaction>) -> Block {
    let last = chain.last().expect("a first block");
    let mut block = Block::genesis(last.timestamp);
    (block.index, block.prev_hash) = (last.index + 1, last.hash);
    block.transactions = transactions;
    mined(block, world.difficulty)
}

/// The chain of a host, asked for on a connection of its own.
pub fn chain_of(world: &mut World, host: usize) -> Vec<Block> {
    let call = world.call(host);
    world.say(call, ASK);
    world.run(1_000);
    let heard = world.heard(call);
    world.cut(call);
    let chain = heard.lines().find(|line| line.contains("chain_response"));
    blocks::chain_of(chain.expect("a chain"))
}
