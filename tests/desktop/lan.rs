//! Nodes of both kinds with wires between them, and what must be true when they are left alone:
//! one tip among ours, the same items everywhere, and every request in the chain or reported as
//! lost, once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use blx::ledger::{Block, Transaction, TransactionId};
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::harness::{LIMIT, Status, run};
use crate::nodes::{Node, Place, desktop_from};
use crate::peer::{Peer, Person, array_text, chain_of, plain};
use crate::relay::Relay;

/// From one look at everything to the next.
const PAUSE: Duration = Duration::from_millis(500);
/// Items that are reserved in [`Lan::begun`]'s chain.
const BASE: [&str; 3] = ["base-1", "base-2", "base-3"];

/// The nodes; ours come first.
pub struct Lan {
    members: Vec<Member>,
    wires: Vec<Relay>,
    deeds: Vec<Deed>,
    base: &'static [&'static str],
}

struct Member {
    node: Node,
    /// Of ours only.
    place: Option<Place>,
}

/// Something that a member's user was shown as done.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Deed {
    who: usize,
    item: String,
    verb: &'static str,
}

/// What the user of one of ours has of a deed.
fn code(verb: &str) -> u64 {
    if verb == "request" { 1 } else { 2 }
}

impl Lan {
    /// Some of ours and some stand-ins, each with a first block of its own, not connected.
    pub fn apart(python: &str, ours: usize, desktops: usize) -> Lan {
        Lan::new(python, ours, desktops, None)
    }

    /// The same, but all have the same chain of four blocks.
    pub fn begun(python: &str, ours: usize, desktops: usize) -> Lan {
        let chain = Person::new(99).chain(&BASE);
        let file = NamedTempFile::new().expect("a file");
        fs::write(file.path(), array_text(&chain)).expect("a file");
        let mut lan = Lan::new(python, ours, desktops, Some(file.path()));
        lan.base = &BASE;
        lan
    }

    fn new(python: &str, ours: usize, desktops: usize, chain: Option<&Path>) -> Lan {
        let our = |number| {
            let place = Place::new();
            if let Some(chain) = chain {
                import(place.directory(), chain);
            }
            let node = place.start_as(&format!("blx {number}"));
            let place = Some(place);
            Member { node, place }
        };
        let their = |number| Member {
            node: desktop_from(python, &format!("desktop {number}"), chain),
            place: None,
        };
        Lan {
            members: (0..ours)
                .map(our)
                .chain((ours..ours + desktops).map(their))
                .collect(),
            wires: Vec::new(),
            deeds: Vec::new(),
            base: &[],
        }
    }

    /// Member `from` dials member `to`; returns when it is connected.
    pub fn link(&mut self, from: usize, to: usize) -> usize {
        let port = self.members[to].node.port;
        let wire = self.members[from].node.dial_by_wire(port);
        self.wires.push(wire);
        self.wires.len() - 1
    }

    /// The wire of a [`Lan::link`].
    pub fn wire(&self, link: usize) -> &Relay {
        &self.wires[link]
    }

    /// A member as its user has it.
    pub fn node(&mut self, who: usize) -> &mut Node {
        &mut self.members[who].node
    }

    /// Two members at once, the one with the lower number first.
    pub fn pair(&mut self, a: usize, b: usize) -> [&mut Node; 2] {
        let (first, rest) = self.members.split_at_mut(b);
        [&mut first[a].node, &mut rest[0].node]
    }

    /// The data directory of one of ours.
    pub fn directory(&self, who: usize) -> &Path {
        let place = self.members[who].place.as_ref();
        place.expect("one of ours").directory()
    }

    /// Takes an item and waits until that is shown as done.
    pub fn request(&mut self, who: usize, item: &str) {
        self.members[who].node.request(item);
        self.done(who, "request", item);
    }

    /// Gives an item back and waits until that is shown as done.
    pub fn release(&mut self, who: usize, item: &str) {
        self.members[who].node.release(item);
        self.done(who, "release", item);
    }

    /// Something was shown as done.
    pub fn done(&mut self, who: usize, verb: &'static str, item: &str) {
        let item = item.to_owned();
        self.deeds.push(Deed { who, item, verb });
    }

    /// Waits until these have in their chains what was done by any of them, and nothing else.
    pub fn agree(&mut self, among: &[usize]) {
        let base = self.base.iter().map(|item| (*item, true));
        let mut items: BTreeMap<&str, bool> = base.collect();
        for deed in self.deeds.iter().filter(|deed| among.contains(&deed.who)) {
            items.insert(&deed.item, deed.verb == "request");
        }
        let reserved = items.values().filter(|reserved| **reserved).count();
        let counts = (reserved, items.len() - reserved);
        for who in among {
            let node = &mut self.members[*who].node;
            node.wait_for_status(&format!("{counts:?} reserved and available"), |status| {
                (status.reserved, status.available) == counts
            });
        }
    }

    /// Waits until all is as it must be at the end, and returns the chain of ours.
    pub fn settle(&mut self) -> Vec<Value> {
        let end = Instant::now() + LIMIT;
        loop {
            match self.verdict() {
                Ok(chain) => return chain,
                Err(why) => assert!(Instant::now() < end, "{why}"),
            }
            thread::sleep(PAUSE);
        }
    }

    fn verdict(&mut self) -> Result<Vec<Value>, String> {
        let (mut keys, mut tips) = (Vec::new(), Vec::new());
        for member in &mut self.members {
            let Status { key, tip, .. } = member.node.status();
            keys.push(key);
            tips.extend(member.place.is_some().then_some(tip));
        }
        if tips.iter().any(|tip| *tip != tips[0]) {
            return Err(format!("not one tip among ours: {tips:#?}"));
        }
        let chain = export(self.directory(0));
        if chain.last().is_none_or(|tip| tip["hash"] != *tips[0]) {
            return Err("the tip moves on".into());
        }
        let (items, count) = replay(&chain)?;
        for member in &mut self.members {
            for (option, reserved) in [("3", true), ("4", false)] {
                let here = items.iter().filter(|(_, is)| **is == reserved);
                let here: Vec<&String> = here.map(|(item, _)| item).collect();
                let mut there = member.node.items(option);
                there.sort_unstable();
                if there.iter().collect::<Vec<_>>() != here {
                    return Err(format!("{option}: {there:?}, not {here:?}"));
                }
            }
        }
        self.seen_to(&keys, &count)?;
        Ok(chain)
    }

    /// Every deed is in the chain or was reported as lost, once.
    fn seen_to(&self, keys: &[String], count: &Count) -> Result<(), String> {
        let mut deeds = self.deeds.clone();
        deeds.sort_unstable();
        for same in deeds.chunk_by(|a, b| a == b) {
            let Deed { who, item, verb } = &same[0];
            let place = (keys[*who].clone(), item.clone(), code(verb));
            let there = count.get(&place).copied().unwrap_or(0);
            let said = self.members[*who].node.said();
            let told = |end: &str| {
                said.matches(&format!("your {verb} of {item} {end}"))
                    .count()
            };
            let lost = told("is lost: ") + told("lost to ");
            let returned = told("counts after all");
            // A desktop node does not tell its user, whose request somebody else made, too.
            let rivals = deeds
                .iter()
                .any(|deed| deed.item == *item && deed.verb == *verb && deed.who != *who);
            let excused = self.members[*who].place.is_none() && rivals && there < same.len();
            if !excused && there + lost != same.len() + returned {
                return Err(format!(
                    "{verb} of {item} by member {who}, done {} times: {there} in the chain, \
                     {lost} reported as lost, {returned} as counting after all",
                    same.len()
                ));
            }
        }
        Ok(())
    }
}

type Count = BTreeMap<(String, String, u64), usize>;

/// The items and whether they are reserved, and how often who did what to which item.
fn replay(chain: &[Value]) -> Result<(BTreeMap<String, bool>, Count), String> {
    let (mut items, mut count, mut times) = (BTreeMap::new(), Count::new(), BTreeMap::new());
    let transactions = chain
        .iter()
        .filter_map(|block| block["transactions"].as_array());
    for transaction in transactions.flatten() {
        let text = |name: &str| transaction[name].as_str().expect("a text").to_owned();
        let kind = transaction["type"].as_u64().expect("a number");
        items.insert(text("uid"), kind == 1);
        let place = (text("requester"), text("uid"), kind);
        let time = transaction["timestamp"].to_string();
        if times.insert((place.clone(), time), ()).is_some() {
            return Err(format!("twice in the chain: {transaction}"));
        }
        *count.entry(place).or_default() += 1;
    }
    Ok((items, count))
}

/// Puts a chain into an empty data directory.
fn import(directory: &Path, chain: &Path) {
    run::done(run::on(&["import"], directory).arg(chain), b"");
}

/// The chain in a data directory, with a node on it or without.
pub fn export(directory: &Path) -> Vec<Value> {
    exported(directory, &[])
}

/// The same with more arguments.
pub fn exported(directory: &Path, arguments: &[&str]) -> Vec<Value> {
    let mut export = run::on(&["export"], directory);
    let text = run::done(export.args(arguments), b"");
    serde_json::from_str(&text).expect("an array of blocks")
}

/// In each block of the one chain are the transactions of the other one, in their order.
pub fn assert_same_content(blx: &Node, desktop: &Node) {
    let mut theirs = Peer::dial(desktop.port);
    theirs.say(&plain("request_chain"));
    let theirs = chain_of(&theirs.expect("chain_response"));
    let mut ours = Peer::dial(blx.port);
    ours.greet();
    let ours = ours.chain();
    assert_eq!(ours.len(), theirs.len());
    let signed = |block: &Block| -> Vec<TransactionId> {
        block.transactions.iter().map(Transaction::id).collect()
    };
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(signed(ours), signed(theirs), "{ours:?} {theirs:?}");
    }
}
