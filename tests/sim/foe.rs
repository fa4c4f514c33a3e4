//! A peer that means harm, everything about it drawn from the seed: it sends what is too long, too
//! much, wrong, at the edges of what a number holds, and half of a line. What it says that is valid
//! has to be taken, like anybody's.

use std::sync::OnceLock;

use blx::ledger::{Block, Hash, Kind, Signature, Timestamp, Transaction};
use blx::limits::BLOCK_TEXT_MAX;
use blx::store::log::Log;
use blx::wire::text;

use crate::peer::{
    Ours, chain_response, greeting, longer, mined, new_block, new_transaction, sign,
};
use crate::random::Random;
use crate::world::World;

/// What all of its items begin with: nobody else wants them.
pub const ITEMS: &str = "foe-";

/// A third of what fits into a block: of more each seed would take seconds.
const REQUESTS: usize = 1_200;

/// Requests of items of its own, made once: signing takes the most time of all.
fn many() -> &'static [Transaction] {
    static MANY: OnceLock<Vec<Transaction>> = OnceLock::new();
    MANY.get_or_init(|| {
        let request = |item: usize| sign(Kind::Request, &format!("{ITEMS}{item}"), 0.5);
        (0..REQUESTS).map(request).collect()
    })
}

/// The peer.
pub struct Foe {
    random: Random,
    calls: Vec<(usize, usize)>,
    /// Names that it made up.
    names: u64,
    /// Lines of about a megabyte that it will still send: they take time.
    heavy: u32,
}

impl Foe {
    pub fn new(seed: u64) -> Foe {
        Foe {
            random: Random::new(!seed),
            calls: Vec::new(),
            names: 0,
            heavy: 3,
        }
    }

    /// Does something to one of ours.
    pub fn act(&mut self, world: &mut World) {
        let ours = world.ours();
        let host = ours[self.random.place(ours.len())];
        if world.hosts[host].node.is_none() {
            return;
        }
        let call = self.call(world, host);
        for _ in 0..1 + self.random.below(3) {
            let bytes = self.line(world, host);
            world.say(call, &bytes);
        }
        if self.random.one_in(6) {
            let bytes = self.line(world, host);
            let half = self.random.place(bytes.len());
            world.say(call, &bytes[..half]);
            if self.random.one_in(2) {
                world.cut(call);
            }
        }
    }

    /// It goes.
    pub fn leave(self, world: &mut World) {
        for (_, call) in self.calls {
            world.cut(call);
        }
    }

    /// A connection to a host, mostly the one that is there.
    fn call(&mut self, world: &mut World, host: usize) -> usize {
        self.calls.retain(|(_, call)| !world.is_over(*call));
        let open = self.calls.iter().find(|(to, _)| *to == host);
        if let Some((_, call)) = open
            && !self.random.one_in(5)
        {
            return *call;
        }
        let call = world.call(host);
        if self.random.one_in(3) {
            let (id, length) = (self.random.next(), self.edge());
            let tip = format!("\"length\": {length}, \"tip\": \"{}\"", "0".repeat(64));
            world.say(call, &greeting(&Ours::new(id), &format!(", {tip}")));
        }
        if self.random.one_in(4) {
            world.deafen(call);
        }
        self.calls.push((host, call));
        call
    }

    /// One thing that it says.
    fn line(&mut self, world: &World, host: usize) -> Vec<u8> {
        match self.random.below(8) {
            0 | 1 => self.long_name(),
            2 => self.long_names(),
            3 => self.on_top(world, host),
            4 => self.losing(world, host),
            5 => self.wrong_chain(world, host),
            _ => self.edges(),
        }
    }

    fn spend(&mut self) -> bool {
        let may = self.heavy > 0;
        self.heavy = self.heavy.saturating_sub(1);
        may
    }

    /// A name of about `length` bytes of text.
    fn name(&mut self, length: usize) -> String {
        self.names += 1;
        let fill = ["x", "\u{1}", "\u{e9}", "\u{1f600}"][self.random.place(4)];
        let bytes = match fill {
            "x" => 1,
            "\u{1f600}" => 12,
            _ => 6,
        };
        format!("{ITEMS}{}-{}", self.names, fill.repeat(length / bytes))
    }

    fn request(&mut self, length: usize) -> Transaction {
        let name = self.name(length);
        sign(Kind::Request, &name, 0.5)
    }

    fn long_name(&mut self) -> Vec<u8> {
        let length = match self.random.below(6) {
            0 if self.spend() => BLOCK_TEXT_MAX - 1_000,
            1 if self.spend() => 250_000,
            2 => 60_000,
            3 => 5_000,
            _ => 1_015 + self.random.place(12),
        };
        new_transaction(&self.request(length))
    }

    /// As many as make a block that is longer than a line.
    fn long_names(&mut self) -> Vec<u8> {
        if !self.spend() {
            return self.long_name();
        }
        let (count, length) = match self.random.below(3) {
            0 => (8, 200_000),
            1 => (40, 30_000),
            _ => (64, 6_000),
        };
        let lines = (0..count).map(|_| new_transaction(&self.request(length)));
        lines.collect::<Vec<_>>().concat()
    }

    /// As much of a block as it feels like, up to the most that fits.
    fn content(&mut self) -> Vec<Transaction> {
        match self.random.below(4) {
            0 if self.spend() => vec![self.request(BLOCK_TEXT_MAX - 1_000)],
            1 if self.spend() => many().to_vec(),
            2 => many()[..self.random.place(300)].to_vec(),
            _ => vec![self.request(2_000)],
        }
    }

    fn on_top(&mut self, world: &World, host: usize) -> Vec<u8> {
        let chain = chain_on(world, host);
        let mut block = self.behind(world, &chain);
        self.spoil_sometimes(&mut block);
        new_block(&block)
    }

    /// A block for a height at which ours have one already, the last one's included.
    fn losing(&mut self, world: &World, host: usize) -> Vec<u8> {
        let mut chain = chain_on(world, host);
        let kept = 1 + self.random.place(chain.len());
        chain.truncate(kept);
        let mut block = self.behind(world, &chain);
        self.spoil_sometimes(&mut block);
        new_block(&block)
    }

    /// A chain that would win, if it were not for one of its blocks. Sometimes nothing is wrong.
    fn wrong_chain(&mut self, world: &World, host: usize) -> Vec<u8> {
        let mut chain = chain_on(world, host);
        let length = chain.len();
        let kept = self.random.place(chain.len() + 1);
        chain.truncate(kept);
        let mut chain = longer(world, chain, length.saturating_sub(1));
        for _ in 0..1 + self.random.below(4) {
            let block = self.behind(world, &chain);
            chain.push(block);
        }
        let at = self.random.place(chain.len());
        self.spoil_sometimes(&mut chain[at]);
        chain_response(&chain)
    }

    fn behind(&mut self, world: &World, chain: &[Block]) -> Block {
        let last = chain.last().expect("a first block");
        let mut block = Block::genesis(last.timestamp);
        (block.index, block.prev_hash) = (last.index + 1, last.hash);
        block.transactions = self.content();
        while text::block_bytes(&block) > BLOCK_TEXT_MAX {
            block.transactions.pop();
        }
        mined(block, world.difficulty)
    }

    /// Breaks one of the rules, and keeps the others.
    fn spoil_sometimes(&mut self, block: &mut Block) {
        match self.random.below(8) {
            0 => block.nonce = self.edge(),
            1 => block.hash = Hash::ZERO,
            2 => {
                if let Some(last) = block.transactions.last_mut() {
                    let (r, s) = last.signature.halves();
                    last.signature = Signature::from_halves(s, r);
                }
            }
            3 => block.prev_hash = Hash::new(self.random.bytes()),
            4 => {
                block.index = self.edge();
                *block = mined(block.clone(), 1);
            }
            5 => {
                // The hash is right, and no work was done for it.
                block.nonce = self.random.next();
                block.hash = block.content_hash();
            }
            6 => {
                // The model of a desktop node reads no greater one without a loss.
                block.timestamp = Timestamp::Integer(u64::MAX.into());
                *block = mined(block.clone(), 1);
            }
            _ => {}
        }
    }

    fn edge(&mut self) -> u64 {
        let edges = [0, 1, u64::MAX, u64::MAX - 1, 1 << 63, (1 << 53) + 1];
        edges[self.random.place(edges.len())]
    }

    fn edges(&mut self) -> Vec<u8> {
        let (one, other) = (self.edge(), self.edge());
        let hash = ["0".repeat(64), "f".repeat(64)][self.random.place(2)].clone();
        let tip = format!("\"length\": {one}, \"tip\": \"{hash}\"");
        let hashes = vec![format!("\"{hash}\""); self.random.place(70)].join(", ");
        let time = [
            "1e999",
            "-1e999",
            "-0.0",
            "NaN",
            "1e-400",
            "18446744073709551616",
        ];
        let time = time[self.random.place(time.len())];
        match self.random.below(8) {
            0 => said("ping", &format!("{{{tip}}}")),
            1 => said("pong", &format!("{{{tip}}}")),
            2 => said(
                "request_chain",
                &format!("{{\"length\": {one}, \"locator\": [{hashes}]}}"),
            ),
            3 => said(
                "chain_response",
                &format!("{{\"chain\": [], \"length\": {one}, \"start\": {other}}}"),
            ),
            4 => said(
                "peer_list",
                "{\"peers\": [\"10.0.0.1:0\", \"[::]:65535\", \":\", \"\"]}",
            ),
            5 => said(
                "new_block",
                &format!(
                    "{{\"index\": {one}, \"prev_hash\": \"{hash}\", \"transactions\": [], \
                     \"nonce\": {other}, \"timestamp\": {time}, \"hash\": \"{hash}\"}}"
                ),
            ),
            6 => said("request_chain", "{}"),
            _ => vec![b'['; self.random.place(5_000)],
        }
    }
}

pub fn said(kind: &str, payload: &str) -> Vec<u8> {
    format!("{{\"type\": \"{kind}\", \"payload\": {payload}}}\n").into_bytes()
}

/// The chain of a host, as its disk has it.
pub fn chain_on(world: &World, host: usize) -> Vec<Block> {
    let disk = world.hosts[host].disk.copy();
    let (mut log, _) = Log::open(disk, None, Timestamp::Integer(0)).expect("it opens");
    let length = log.tip().length;
    let read = |height| log.read(height).expect("sound").block;
    (0..length).map(read).collect()
}
