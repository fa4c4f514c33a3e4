//! Peers and users that fill what a node has, each in one way: places, queues, lists, consoles. They
//! keep the rules or break them; what they say that is valid has to be taken, like anybody's.

use blx::ledger::{Block, Identity, Kind, Timestamp, Transaction};
use blx::limits;
use blx::node::{CONSOLE, ConnId, ConsoleKind, Event};

use crate::foe::{ITEMS, chain_on, said};
use crate::host::{address, alias};
use crate::peer::{
    ANNOUNCE, ASK, Ours, PING, behind, call_desktop, call_ours, chain_response, greeting, longer,
    new_block, new_transaction,
};
use crate::random::Random;
use crate::world::World;

/// How somebody fills something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Connects, and says nothing.
    Idlers,
    /// Sends transactions.
    Lines,
    /// Tells lists that are too long.
    Lists,
    /// Asks much, and takes nothing.
    Deaf,
    /// Breaks rules until it is left alone.
    Breakers,
    /// Tells a chain that is longer than is staged.
    LongChains,
    /// Says what is too long.
    LongLines,
    /// Tells, as a desktop node, a chain that does not link.
    Loose,
    /// Does not look at the screen for long.
    Sleepers,
    /// Types what is too long, and names too many.
    Typists,
    /// Sits at a serial line.
    Serial,
}

pub const WAYS: [Way; 11] = [
    Way::Idlers,
    Way::Lines,
    Way::Lists,
    Way::Deaf,
    Way::Breakers,
    Way::LongChains,
    Way::LongLines,
    Way::Loose,
    Way::Sleepers,
    Way::Typists,
    Way::Serial,
];

impl Way {
    /// Whether it would keep desktop nodes from what they need, as nobody who keeps the rules does.
    pub fn is_for_ours_alone(self) -> bool {
        matches!(self, Way::Lists | Way::LongChains)
    }
}

/// All of them in a run.
pub struct Throng {
    random: Random,
    ways: Vec<Way>,
    calls: Vec<usize>,
    names: u64,
}

impl Throng {
    pub fn new(seed: u64, ways: Vec<Way>) -> Throng {
        Throng {
            random: Random::new(seed ^ 0x7417_0000),
            ways,
            calls: Vec::new(),
            names: 0,
        }
    }

    /// Whether what somebody says may take the place of what others did.
    pub fn is_hostile(&self) -> bool {
        let harm = [Way::LongChains, Way::Loose, Way::LongLines];
        self.ways.iter().any(|way| harm.contains(way))
    }

    /// Does something to one of ours.
    pub fn act(&mut self, world: &mut World) {
        let ours = world.ours();
        let host = ours[self.random.place(ours.len())];
        if self.ways.is_empty() || world.hosts[host].node.is_none() {
            return;
        }
        match self.ways[self.random.place(self.ways.len())] {
            Way::Idlers => self.idle(world, host),
            Way::Lines => self.lines(world, host),
            Way::Lists => self.lists(world, host),
            Way::Deaf => self.deaf(world, host),
            Way::Breakers => self.breaks(world, host),
            Way::LongChains => self.long_chain(world, host),
            Way::LongLines => self.long_lines(world, host),
            Way::Loose => self.loose(world, host),
            Way::Sleepers => {
                world.hosts[host].screen.asleep = world.now + 20_000;
                for _ in 0..8 {
                    self.lines(world, host);
                }
            }
            Way::Typists => self.types(world, host),
            Way::Serial => self.serial(world, host),
        }
    }

    /// They go.
    pub fn leave(self, world: &mut World) {
        for call in self.calls {
            world.cut(call);
        }
    }

    fn call(&mut self, world: &mut World, host: usize) -> usize {
        let call = world.call(host);
        self.calls.push(call);
        if self.calls.len() > 6 {
            world.cut(self.calls.remove(0));
        }
        call
    }

    fn idle(&mut self, world: &mut World, host: usize) {
        // Some have a single address.
        let source = self.random.one_in(2).then(|| [10, 9, 99, 1].into());
        for _ in 0..1 + self.random.below(4) {
            let call = self.call(world, host);
            world.net.connections[call].source = source;
            if self.random.one_in(3) {
                world.say(call, PING);
            }
        }
    }

    /// A request by one of several strangers.
    fn request(&mut self, length: usize) -> Transaction {
        self.names += 1;
        let name = format!("{ITEMS}{}{}", self.names, "x".repeat(length));
        self.sign(Kind::Request, &name)
    }

    fn sign(&mut self, deed: Kind, name: &str) -> Transaction {
        let secret = [20 + self.random.below(6) as u8; 32];
        let stranger = Identity::from_secret(&secret).expect("a key");
        stranger.sign(deed, name.into(), Timestamp::Float(0.5))
    }

    fn lines(&mut self, world: &mut World, host: usize) {
        for _ in 0..1 + self.random.below(3) {
            let call = self.call(world, host);
            for _ in 0..1 + self.random.below(5) {
                let length = self.random.place(60);
                world.say(call, &new_transaction(&self.request(length)));
            }
        }
    }

    fn lists(&mut self, world: &mut World, host: usize) {
        let call = self.call(world, host);
        let count = self.random.place(12) as u64;
        let list = |one: &dyn Fn(u64) -> String| (0..count).map(one).collect::<Vec<_>>().join(", ");
        let ids = list(&|at| format!("\"{at:032x}\""));
        let there = list(&|at| format!("\"10.0.7.{at}:6000\""));
        let from = self.random.below(1_000);
        let voices = list(&|at| {
            let id = from + at;
            format!(
                "{{\"id\": \"{id:016x}\", \"count\": 1, \"healthy\": true, \"desktops\": [{there}]}}"
            )
        });
        let end = format!("\"length\": 1, \"tip\": \"{}\"", "0".repeat(64));
        let more = format!(", {end}, \"pool\": [{ids}], \"voices\": [{voices}]");
        world.say(call, &greeting(&Ours::new(call as u64 + 9_000), &more));
        let mut known: Vec<String> = world
            .ours()
            .iter()
            .flat_map(|host| [address(*host), alias(*host)])
            .map(|address| format!("\"{address}\""))
            .collect();
        known.push(format!("\"{}:6000\"", "x".repeat(300)));
        let first = self.random.place(known.len());
        known.rotate_left(first);
        world.say(
            call,
            &said(
                "peer_list",
                &format!("{{\"peers\": [{}]}}", known.join(", ")),
            ),
        );
        let hash = format!("\"{}\"", "f".repeat(64));
        let hashes = vec![hash; self.random.place(9)].join(", ");
        let asked = format!("{{\"length\": 7, \"locator\": [{hashes}]}}");
        world.say(call, &said("request_chain", &asked));
    }

    fn deaf(&mut self, world: &mut World, host: usize) {
        let call = match self.random.below(3) {
            0 => call_ours(world, host),
            1 => call_desktop(world, host),
            _ => world.call(host),
        };
        self.calls.push(call);
        if self.random.one_in(2) {
            world.say(call, ASK);
        }
        world.run(100);
        world.deafen(call);
        for _ in 0..self.random.below(12) {
            let bytes = match self.random.below(4) {
                0 => ASK.to_vec(),
                1 => ANNOUNCE.to_vec(),
                2 => new_transaction(&self.request(3)),
                _ => PING.to_vec(),
            };
            world.say(call, &bytes);
        }
    }

    fn breaks(&mut self, world: &mut World, host: usize) {
        let call = call_ours(world, host);
        self.calls.push(call);
        let mut forged = self.request(3);
        forged.uid = "foe-forged".into();
        for _ in 0..limits::MISBEHAVIOURS_MAX {
            world.say(call, &new_transaction(&forged));
        }
    }

    fn long_chain(&mut self, world: &mut World, host: usize) {
        if !self.random.one_in(8) {
            return self.lines(world, host);
        }
        let call = call_ours(world, host);
        self.calls.push(call);
        let chain = longer(world, Vec::new(), 700);
        world.say(call, &chain_response(&chain));
    }

    /// A block behind the chain of a host: of `count` requests, with names of `length` bytes of text.
    fn on_top(&mut self, world: &World, host: usize, count: usize, length: usize) -> Block {
        let chain = chain_on(world, host);
        let requests = (0..count).map(|_| self.request(length)).collect();
        behind(world, &chain, requests)
    }

    fn long_lines(&mut self, world: &mut World, host: usize) {
        let call = match self.random.one_in(2) {
            true => call_ours(world, host),
            false => call_desktop(world, host),
        };
        self.calls.push(call);
        let bytes = match self.random.below(8) {
            0 => [b'x'; 5_000].to_vec(),
            1 => {
                let block = self.on_top(world, host, 1, 5_000);
                chain_response(&[block])
            }
            2 => {
                let pad = "x".repeat(limits::ENVELOPE_TEXT_MAX);
                let payload = format!("{{\"chain\": [], \"length\": 0, \"pad\": \"{pad}\"}}");
                said("chain_response", &payload)
            }
            // What it takes beside its name.
            3 => new_transaction(&self.request(limits::BLOCK_TEXT_MAX - 200)),
            4 => {
                let length = 3_100 + self.random.place(500);
                new_block(&self.on_top(world, host, 1, length))
            }
            5 => {
                let (count, length) = (3 + self.random.place(6), 100 + self.random.place(200));
                new_block(&self.on_top(world, host, count, length))
            }
            6 => new_transaction(&self.request(limits::ITEM_BYTES_MAX)),
            _ => {
                let length = 900 + self.random.place(300);
                let block = self.on_top(world, host, 2, length);
                let mut chain = chain_on(world, host);
                chain.push(block);
                chain_response(&chain)
            }
        };
        world.say(call, &bytes);
    }

    fn loose(&mut self, world: &mut World, host: usize) {
        let call = call_desktop(world, host);
        self.calls.push(call);
        let mut chain = chain_on(world, host);
        for _ in 0..2 + self.random.below(3) {
            let count = 1 + self.random.place(4);
            let requests = (0..count).map(|_| self.request(3)).collect();
            let mut block = behind(world, &chain, requests);
            block.index -= self.random.below(2).min(block.index);
            chain.push(block);
        }
        world.say(call, &chain_response(&chain));
    }

    fn types(&mut self, world: &mut World, host: usize) {
        let to = self.random.below(8);
        let words = match self.random.below(6) {
            0 => format!(
                "{}\n",
                "9".repeat(limits::INPUT_BYTES + self.random.place(300))
            ),
            1 => format!("1\n{}\n", "x".repeat(limits::ITEM_BYTES_MAX + 1)),
            2 => "5\na,b,c,d,e,f,g\n".into(),
            3 => "11\n9\n4\n3\n11\n11\n4\n3\n".into(),
            4 => format!(
                "6\n{}\n6000\n6\n{}\n6000\n",
                address(host).ip(),
                alias(host).ip()
            ),
            _ => format!("6\n10.0.{}.{}\n6000\n", to % 2, 1 + to / 2),
        };
        world.type_in(host, &words);
    }

    fn serial(&mut self, world: &mut World, host: usize) {
        let conn = ConnId(CONSOLE.0 + 1 + self.random.below(2) as u8);
        let kind = ConsoleKind::Serial;
        let node = world.hosts[host].node.as_mut().expect("it runs");
        if node.tx_pending(conn).is_empty() {
            return world.tell(host, Event::ConsoleOpened { conn, kind });
        }
        if self.random.one_in(5) {
            let count = node.tx_pending(conn).len();
            return world.tell(host, Event::Sent { conn, count });
        }
        let words = ["9\r", "3\r", "7\r11\r4\r", "\r", "1\rserial\r2\rserial\r"];
        let words = match self.random.below(4) {
            0 => "y".repeat(2 * limits::SERIAL_LINE_BYTES) + "\r",
            _ => words[self.random.place(words.len())].repeat(4),
        };
        for bytes in words.as_bytes().chunks(limits::SERIAL_LINE_BYTES / 2) {
            let Some(node) = &mut world.hosts[host].node else {
                return;
            };
            let space = node.rx_space(conn);
            let count = space.len().min(bytes.len());
            space[..count].copy_from_slice(&bytes[..count]);
            world.tell(host, Event::Received { conn, count });
        }
    }
}
