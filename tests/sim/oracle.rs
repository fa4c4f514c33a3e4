//! What must be true, found out without the ledger's own code: chains as JSON from the wire,
//! replayed through a plain map, the words that users were shown, and what desktop nodes hold.

use std::collections::{BTreeMap, BTreeSet};

use blx::ledger::{Timestamp, Transaction};
use blx::store::log::Log;
use blx::store::waiting;
use serde_json::Value;

use crate::foe;
use crate::net::End;
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
        let call = world.call(host);
        world.say(call, b"{\"type\": \"request_chain\", \"payload\": {}}\n");
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

    /// Checks every link; returns which items are reserved and which are not.
    pub fn replay(&self) -> [BTreeSet<String>; 2] {
        let mut before = "0".repeat(64);
        for (index, block) in self.0.iter().enumerate() {
            assert_eq!(block["index"], index);
            assert_eq!(text(block, "prev_hash"), before);
            before = text(block, "hash").to_owned();
        }
        let (_, items) = self.effective();
        let of = |wanted: bool| {
            let those = items.iter().filter(|(_, reserved)| **reserved == wanted);
            those.map(|(uid, _)| uid.clone()).collect()
        };
        [of(true), of(false)]
    }

    /// The transactions that are not void, and whether each item is reserved behind them: a release
    /// of what nobody holds, and a request of what somebody does, change nothing.
    fn effective(&self) -> (Vec<&Value>, BTreeMap<String, bool>) {
        let mut items = BTreeMap::new();
        let mut effective = Vec::new();
        for transaction in self.transactions() {
            let uid = text(transaction, "uid").to_owned();
            let request = transaction["type"] == 1;
            if items.get(&uid).copied().unwrap_or(false) != request {
                items.insert(uid, request);
                effective.push(transaction);
            }
        }
        (effective, items)
    }

    /// Whether everything happened once. A desktop node mines again what it is told again.
    pub fn check_once(&self) {
        let mut seen = BTreeSet::new();
        for transaction in self.effective().0 {
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

    /// How many requests and releases of each item somebody has in the chain; what a desktop node
    /// made a second block of counts once.
    pub fn deeds(&self, key: &str) -> BTreeMap<(String, String), usize> {
        let mut deeds = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for transaction in self.transactions() {
            if text(transaction, "requester") == key && seen.insert(identity(transaction)) {
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

/// What a user was shown of the requests and releases: done, and lost after that.
#[derive(Default)]
pub struct Words {
    pub done: BTreeMap<(String, String), usize>,
    pub lost: BTreeMap<(String, String), usize>,
    /// Done, and no other chain was adopted since.
    pub firm: BTreeMap<(String, String), usize>,
    /// The length of the chain as far as it was shown.
    pub length: u64,
    pub key: Option<String>,
    /// Some events were not shown.
    pub gaps: bool,
}

impl Words {
    pub fn of(shown: &str) -> Words {
        let mut words = Words::default();
        for line in shown.lines() {
            // An answer may stand behind a prompt.
            let line = line
                .rsplit("> ")
                .next()
                .unwrap_or(line)
                .trim_start_matches("item ID: ");
            let line = line.trim_start_matches("item IDs: ");
            let deed = |verb: &str, uid: &str| (verb.to_owned(), uid.to_owned());
            if let Some(uid) = line.strip_prefix("✅ requested ") {
                *words.done.entry(deed("request", uid)).or_default() += 1;
                *words.firm.entry(deed("request", uid)).or_default() += 1;
            } else if let Some(uid) = line.strip_prefix("✅ released ") {
                *words.done.entry(deed("release", uid)).or_default() += 1;
                *words.firm.entry(deed("release", uid)).or_default() += 1;
            } else if let Some(rest) = line.strip_prefix("[consensus ❌] your ") {
                let (verb, rest) = rest.split_once(" of ").expect("verb of item");
                let (uid, _) = rest.split_once(" is lost").expect("item is lost");
                *words.lost.entry(deed(verb, uid)).or_default() += 1;
            } else if let Some(rest) = line.strip_prefix("[consensus] your ")
                && let Some((verb, rest)) = rest.split_once(" of ")
                && let Some((uid, _)) = rest.split_once(" lost to ")
            {
                *words.lost.entry(deed(verb, uid)).or_default() += 1;
            } else if let Some(rest) = line.strip_prefix("[consensus ✅] your ")
                && let Some((verb, rest)) = rest.split_once(" of ")
                && let Some((uid, _)) = rest.split_once(" counts after all")
                && let Some(lost) = words.lost.get_mut(&deed(verb, uid))
            {
                *lost = lost.saturating_sub(1);
            } else if line.starts_with("[consensus ✅] adopted") {
                words.firm.clear();
                words.see(line, "(", " blocks)", 0);
            } else if line.starts_with("[network 📦] received") {
                words.see(line, "#", "", 1);
            } else if let Some(key) = line.strip_prefix("[status] node key: ") {
                words.key = Some(key.to_owned());
            }
            words.gaps |= line.starts_with("[console]");
        }
        words
    }

    /// Notes the length that a line tells between two marks.
    fn see(&mut self, line: &str, from: &str, to: &str, more: u64) {
        let number = line
            .rsplit(from)
            .next()
            .and_then(|rest| rest.strip_suffix(to));
        let number: u64 = number.and_then(|digits| digits.parse().ok()).unwrap_or(0);
        self.length = self.length.max(number + more);
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

/// The ends of our nodes' chains, as their disks have them.
fn tips(world: &World) -> BTreeSet<(u64, String)> {
    let tip = |host: usize| {
        let disk = world.hosts[host].disk.copy();
        let (log, _) = Log::open(disk, None, Timestamp::Integer(0)).expect("it opens");
        (log.tip().length, log.tip().hash.to_string())
    };
    world.ours().into_iter().map(tip).collect()
}

/// Waits until all of ours have the same tip; false if they do not have it in this time.
pub fn one_tip_within(world: &mut World, millis: u64) -> bool {
    let end = world.now + millis;
    loop {
        if tips(world).len() <= 1 {
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
    }
    for host in ours {
        assert_eq!(
            honest(listed(world, host, "3")),
            reserved,
            "reserved at host {host}"
        );
        assert_eq!(
            honest(listed(world, host, "4")),
            available,
            "available at host {host}"
        );
        check_words(world, host, chain);
    }
    let mut missing = Vec::new();
    for host in world.desktops() {
        let desktop = world.desktop(host);
        assert_eq!(
            honest(desktop.items(true)),
            reserved,
            "reserved at desktop {host}"
        );
        assert_eq!(
            honest(desktop.items(false)),
            available,
            "available at desktop {host}"
        );
        for done in &desktop.done {
            if chain.count(done) == 0 && !chain.has_rivals(done) {
                missing.push(format!("{:?} of {} at {host}", done.kind, done.uid));
            }
        }
    }
    missing
}

/// What the user of a host was shown as done is in the chain, or was reported as lost.
fn check_words(world: &World, host: usize, chain: &Chain) {
    let words = Words::of(&world.shown(host));
    if words.gaps {
        return;
    }
    let deeds = chain.deeds(&words.key.expect("the status was shown"));
    for (deed, done) in &words.done {
        let there = deeds.get(deed).copied().unwrap_or(0);
        let lost = words.lost.get(deed).copied().unwrap_or(0);
        // After a restart a loss may be told once more.
        let kept = match world.hosts[host].starts {
            1 => there + lost == *done,
            _ => there + lost >= *done,
        };
        assert!(
            kept,
            "host {host} showed {deed:?} {done} times; {there} are in the chain, {lost} lost"
        );
    }
}

/// Right after a machine lost its power: what it showed as done is on its disk.
pub fn check_disk(world: &World, host: usize, key: &str, shown: &str) {
    let words = Words::of(shown);
    if words.gaps {
        return;
    }
    let disk = world.hosts[host].disk.copy();
    let (mut log, _) = Log::open(disk, None, Timestamp::Integer(0)).expect("it opens");
    let heights = 0..log.tip().length;
    let blocks = heights.map(|height| log.read(height).expect("sound").block);
    let mut kept: Vec<Transaction> = blocks.flat_map(|block| block.transactions).collect();
    // What a switch took out, of which the console has not heard yet, waits to be made again.
    let (waiting, aside) = waiting::read(log.disk()).expect("reads");
    assert_eq!(aside, None);
    let fallen = waiting.into_iter().filter(|waits| !waits.fresh);
    kept.extend(fallen.flat_map(|waits| waits.transactions));
    let mut there: BTreeMap<(String, String), usize> = BTreeMap::new();
    for transaction in kept {
        if transaction.requester.to_string() == key {
            let verb = match transaction.kind {
                blx::ledger::Kind::Request => "request",
                blx::ledger::Kind::Release => "release",
            };
            *there
                .entry((verb.into(), transaction.uid.to_string()))
                .or_default() += 1;
        }
    }
    assert!(
        log.tip().length >= words.length,
        "host {host} showed {} blocks, its disk has {}",
        words.length,
        log.tip().length
    );
    for (deed, done) in words.firm {
        assert!(
            there.get(&deed).copied().unwrap_or(0) >= done,
            "host {host} showed {deed:?}, and its disk does not have it"
        );
    }
}
