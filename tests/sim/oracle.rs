//! What must be true, found out without the ledger's own code: chains as JSON from the wire,
//! replayed through a plain map, the words that users were shown, and what desktop nodes hold.

use std::collections::{BTreeMap, BTreeSet};

use blx::ledger::{Block, Kind, Timestamp, Tip, Transaction, TransactionId};
use blx::limits;
use blx::store::log::Log;
use serde_json::Value;

use crate::blocks;
use crate::foe;
use crate::net::End;
use crate::peer::ASK;
use crate::wearing::as_shown;
use crate::words::Words;
use crate::world::World;

/// A chain as its node tells it.
pub struct Chain(Vec<Value>);

/// What a transaction is known by: its signature may be another one of the same.
type Identity = (String, String, u64, String);

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().expect("a string")
}

fn identity(transaction: &Value) -> Identity {
    (
        text(transaction, "requester").to_owned(),
        text(transaction, "uid").to_owned(),
        transaction["type"].as_u64().expect("a number"),
        transaction["timestamp"].to_string(),
    )
}

/// The same of a transaction that was never JSON.
fn identity_of(transaction: &Transaction) -> Identity {
    let time: Value = serde_json::from_str(&transaction.timestamp.text()).expect("a number");
    (
        transaction.requester.to_string(),
        transaction.uid.to_string(),
        transaction.kind.code().into(),
        time.to_string(),
    )
}

impl Chain {
    /// Asks a node for its chain.
    pub fn of(world: &mut World, host: usize) -> Chain {
        if cfg!(feature = "tiny-limits") {
            // There may be no place for whoever asks.
            let text = blocks::array_text(&on_disk(world, host));
            return Chain(serde_json::from_str(&text).expect("JSON"));
        }
        let call = world.call(host);
        world.say(call, ASK);
        let told = |world: &mut World| {
            if let End::Story(heard) = &world.net.connections[call].ends[0]
                && !heard.ends_with(b"}\n")
            {
                return None;
            }
            let heard = world.heard(call);
            let mut lines = heard.split_inclusive('\n');
            let line =
                lines.find(|line| line.contains("chain_response") && line.ends_with("}\n"))?;
            Some(serde_json::from_str::<Value>(line).expect("JSON"))
        };
        assert!(
            world.run_until(5_000, |world| told(world).is_some()),
            "host {host} tells its chain"
        );
        let line = told(world).expect("it was told");
        world.cut(call);
        let chain = line["payload"]["chain"].as_array().expect("an array");
        assert_eq!(line["payload"]["length"], chain.len());
        Chain(chain.clone())
    }

    pub fn length(&self) -> usize {
        self.0.len()
    }

    pub fn tip(&self) -> &str {
        text(self.0.last().expect("a first block"), "hash")
    }

    pub fn blocks(&self) -> impl Iterator<Item = &Value> {
        self.0.iter()
    }

    pub fn transactions(&self) -> impl Iterator<Item = &Value> {
        let blocks = self.0.iter();
        blocks.flat_map(|block| block["transactions"].as_array().expect("an array"))
    }

    /// Checks every link; returns which items are reserved and which are not. A request of what is
    /// reserved and a release of what is free are void.
    pub fn replay(&self) -> [BTreeSet<String>; 2] {
        let mut before = "0".repeat(64);
        for (index, block) in self.0.iter().enumerate() {
            assert_eq!(block["index"], index);
            assert_eq!(text(block, "prev_hash"), before);
            before = text(block, "hash").to_owned();
        }
        let mut items: BTreeMap<String, bool> = BTreeMap::new();
        for (transaction, _) in self.effects().filter(|(_, changes)| *changes) {
            let uid = text(transaction, "uid").to_owned();
            items.insert(uid, transaction["type"] == 1);
        }
        let of = |wanted: bool| {
            let those = items.iter().filter(|(_, reserved)| **reserved == wanted);
            those.map(|(uid, _)| uid.clone()).collect()
        };
        [of(true), of(false)]
    }

    /// The transactions, and whether each changed something.
    fn effects(&self) -> impl Iterator<Item = (&Value, bool)> {
        let mut items: BTreeMap<&str, bool> = BTreeMap::new();
        self.transactions().map(move |transaction| {
            let request = transaction["type"] == 1;
            let before = items.insert(text(transaction, "uid"), request);
            (transaction, before.unwrap_or(false) != request)
        })
    }

    /// The void transactions: none of ours makes one.
    pub fn void(&self) -> Vec<&Value> {
        let void = self.effects().filter(|(_, changes)| !changes);
        void.map(|(transaction, _)| transaction).collect()
    }

    /// Whether everything happened once. A desktop node mines again what it is told again.
    pub fn check_once(&self) {
        let mut seen = BTreeSet::new();
        for (transaction, _) in self.effects().filter(|(_, changes)| *changes) {
            let new = seen.insert(identity(transaction));
            assert!(new, "{transaction} is in the chain twice");
        }
    }

    /// How often a transaction is in the chain.
    pub fn count(&self, transaction: &Transaction) -> usize {
        let wanted = identity_of(transaction);
        self.transactions()
            .filter(|found| identity(found) == wanted)
            .count()
    }

    /// Whether its item was changed by other transactions, so that it may have become impossible.
    fn has_rivals(&self, transaction: &Transaction) -> bool {
        let mine = identity_of(transaction);
        let mut all = self.transactions().map(identity);
        all.any(|other| other.1 == mine.1 && other != mine)
    }

    /// How many requests and releases of each item somebody has in the chain that changed something;
    /// what a desktop node made a second block of counts once.
    pub fn deeds(&self, key: &str) -> BTreeMap<(String, String), usize> {
        let mut deeds = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for (transaction, changes) in self.effects() {
            let theirs = changes && text(transaction, "requester") == key;
            if theirs && seen.insert(identity(transaction)) {
                let verb = if transaction["type"] == 1 {
                    "request"
                } else {
                    "release"
                };
                let deed = (verb.to_owned(), text(transaction, "uid").to_owned());
                *deeds.entry(deed).or_default() += 1;
            }
        }
        deeds
    }
}

/// What a node lists behind a number of its menu.
pub fn listed(world: &mut World, host: usize, number: &str) -> BTreeSet<String> {
    let before = world.shown(host).len();
    world.type_in(host, &format!("{number}\n9\n"));
    let key = "node key: ";
    let all = |world: &mut World| world.shown(host)[before..].contains(key);
    assert!(world.run_until(5_000, all), "host {host} lists");
    world.run(100);
    let shown = world.shown(host);
    let items = shown[before..]
        .lines()
        .filter_map(|line| line.strip_prefix("  "));
    items
        .map(|line| line.split(' ').next().unwrap_or(line).to_owned())
        .collect()
}

/// Those items that are not a foe's.
fn honest(mut items: BTreeSet<String>) -> BTreeSet<String> {
    items.retain(|item| !item.starts_with(foe::ITEMS));
    items
}

/// The chain of one of our nodes, as its disk has it.
fn on_disk(world: &World, host: usize) -> Vec<Block> {
    let disk = world.hosts[host].disk.copy();
    disk.set_broken(false);
    let (mut log, _) = Log::open(disk, None, Timestamp::Integer(0)).expect("it opens");
    let heights = 0..log.tip().length;
    heights
        .map(|at| log.read(at).expect("sound").block)
        .collect()
}

/// What is in the chain of one of our nodes, as its disk has it.
pub fn ids_on_disk(world: &World, host: usize) -> BTreeSet<TransactionId> {
    let blocks = on_disk(world, host);
    let all = blocks.iter().flat_map(|block| &block.transactions);
    all.map(Transaction::id).collect()
}

/// What is reserved according to a host.
pub fn reserved(world: &World, host: usize) -> BTreeSet<String> {
    if !world.hosts[host].is_ours() {
        return world.desktop(host).items(true);
    }
    let mut items = BTreeSet::new();
    for transaction in on_disk(world, host).iter().flat_map(|b| &b.transactions) {
        match transaction.kind {
            Kind::Request => items.insert(transaction.uid.to_string()),
            Kind::Release => items.remove(&transaction.uid.to_string()),
        };
    }
    items
}

/// The end of the chain of one of our nodes, as its disk has it.
pub fn tip_of(world: &World, host: usize) -> Tip {
    let disk = world.hosts[host].disk.copy();
    let (log, _) = Log::open(disk, None, Timestamp::Integer(0)).expect("it opens");
    log.tip()
}

/// Whether all of ours have the same tip.
pub fn one_tip(world: &World) -> bool {
    let ours = world.ours();
    let tips: Vec<Tip> = ours.iter().map(|host| tip_of(world, *host)).collect();
    tips.windows(2).all(|two| two[0] == two[1])
}

/// Waits until all of ours have the same tip; false if they do not have it in this time.
pub fn one_tip_within(world: &mut World, millis: u64) -> bool {
    let end = world.now + millis;
    loop {
        if one_tip(world) {
            return true;
        }
        if world.now >= end {
            return false;
        }
        world.run(200.min(end - world.now));
    }
}

/// One tip, one state, and every promise kept; all hosts run, ours are connected, and so is every
/// desktop to one of ours.
pub fn check(world: &mut World) {
    let missing = check_all(world);
    assert!(missing.is_empty(), "lost without a reason: {missing:?}");
}

/// The same; returns what the users of desktop nodes were shown as done, is not in the chain, and
/// had no rival.
pub fn check_all(world: &mut World) -> Vec<String> {
    let ours = world.ours();
    let chains: Vec<Chain> = ours.iter().map(|host| Chain::of(world, *host)).collect();
    let tips: Vec<_> = chains
        .iter()
        .map(|chain| (chain.length(), chain.tip()))
        .collect();
    assert!(
        tips.iter().all(|tip| *tip == tips[0]),
        "the tips differ: {tips:?}"
    );
    let chain = &chains[0];
    // A console shows what a foe called its items in other words.
    let [reserved, available] = chain.replay().map(honest);
    if world.desktops().is_empty() {
        chain.check_once();
        let mut void = chain.void();
        void.retain(|transaction| !text(transaction, "uid").starts_with(foe::ITEMS));
        assert!(
            void.is_empty(),
            "seed {}: nobody makes void ones: {void:?}",
            world.seed
        );
    }
    for host in ours {
        assert_eq!(
            honest(listed(world, host, "3")),
            as_shown(&reserved),
            "reserved at host {host}"
        );
        assert_eq!(
            honest(listed(world, host, "4")),
            as_shown(&available),
            "available at host {host}"
        );
        let broken = broken_words(world, host, chain);
        assert!(broken.is_empty(), "seed {}: {broken:?}", world.seed);
    }
    let mut missing = Vec::new();
    for host in world.desktops() {
        let seed = world.seed;
        let desktop = world.desktop(host);
        assert_eq!(
            as_shown(&honest(desktop.items(true))),
            as_shown(&reserved),
            "seed {seed}: reserved at desktop {host}"
        );
        assert_eq!(
            as_shown(&honest(desktop.items(false))),
            as_shown(&available),
            "seed {seed}: available at desktop {host}"
        );
        missing.extend(vanished(world, host, chain));
    }
    missing
}

/// What the users of a desktop node were shown as done and is not in the chain, although nobody
/// wanted the same and it could say it.
pub fn vanished(world: &World, host: usize, chain: &Chain) -> Vec<String> {
    let desktop = world.desktop(host);
    let unheard = desktop.unheard(&world.heard).concat();
    let unheard: BTreeSet<TransactionId> = unheard.iter().map(|gone| gone.id()).collect();
    let gone = |done: &&Transaction| {
        !unheard.contains(&done.id()) && chain.count(done) == 0 && !chain.has_rivals(done)
    };
    let gone = desktop.done.iter().filter(gone);
    gone.map(|done| format!("{:?} of {} at {host}", done.kind, done.uid))
        .collect()
}

/// What the user of a host was shown as done and is neither in the chain nor was reported as lost.
pub fn broken_words(world: &World, host: usize, chain: &Chain) -> Vec<String> {
    let words = Words::of(&world.shown(host));
    let mut broken = Vec::new();
    if words.gaps || world.hosts[host].screen.unseen {
        return broken;
    }
    let deeds = chain.deeds(&words.key.expect("the status was shown"));
    for (deed, done) in &words.done {
        let there = deeds.get(deed).copied().unwrap_or(0);
        let lost = words.lost.get(deed).copied().unwrap_or(0);
        // After a restart a loss may be told once more, and one that is forgotten is not taken back.
        let remembers = words.lost_most <= limits::LOST_REMEMBERED;
        let kept = match world.hosts[host].starts {
            1 if remembers => there + lost == *done,
            _ => there + lost >= *done,
        };
        if !kept {
            broken.push(format!(
                "host {host} showed {deed:?} {done} times; {there} are in the chain, {lost} lost"
            ));
        }
    }
    broken
}
