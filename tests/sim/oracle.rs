//! What must be true, found out without the ledger's own code ([`crate::plain`]): chains as their
//! nodes tell them and as their disks have them, the words that users were shown, and what desktop
//! nodes hold.

use std::cell::RefMut;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use blx::ledger;
use blx::ledger::TransactionId;
use blx::limits;
use blx::store::disk::File;

use crate::foe;
use crate::net::End;
use crate::peer::ASK;
use crate::plain::file::ChainFile;
use crate::plain::json::{self, Json};
use crate::plain::rules::Ledger;
use crate::plain::{Block, Transaction, hex};
use crate::wearing::{as_shown, shown};
use crate::words::Words;
use crate::world::World;

/// A valid chain, as its node tells it.
pub struct Chain(Ledger);

/// The blocks of a line that tells a chain.
fn told_in(line: &str) -> Result<Vec<Block>, String> {
    let line = json::read(line)?;
    let payload = line.get("payload")?;
    let blocks = payload.get("chain")?.list()?.iter().map(Json::block);
    let blocks: Vec<Block> = blocks.collect::<Result<_, String>>()?;
    match payload.get("length")?.whole()? == blocks.len() as u64 {
        true => Ok(blocks),
        false => Err("its length".into()),
    }
}

impl Chain {
    /// Asks a node for its chain.
    pub fn of(world: &mut World, host: usize) -> Chain {
        if cfg!(feature = "tiny-limits") {
            // There may be no place for whoever asks.
            return Chain(on_disk(world, host).ledger().clone());
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
            let line = lines.find(|line| line.contains("chain_response") && line.ends_with("}\n"));
            line.map(str::to_owned)
        };
        assert!(
            world.run_until(5_000, |world| told(world).is_some()),
            "host {host} tells its chain"
        );
        let line = told(world).expect("it was told");
        world.cut(call);
        let ledger = told_in(&line).and_then(|blocks| Ledger::of(world.difficulty, blocks));
        let seed = world.seed;
        Chain(ledger.unwrap_or_else(|error| panic!("seed {seed}: host {host} tells {error}")))
    }

    pub fn length(&self) -> usize {
        self.0.blocks.len()
    }

    pub fn tip(&self) -> String {
        hex(&self.0.tip())
    }

    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.0.blocks.iter().map(Rc::as_ref)
    }

    pub fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        self.0.transactions()
    }

    /// Which items are reserved and which are not.
    pub fn replay(&self) -> [BTreeSet<String>; 2] {
        [true, false].map(|reserved| self.0.names(reserved))
    }

    /// The void transactions: none of ours makes one.
    pub fn void(&self) -> Vec<&Transaction> {
        let effects = self.0.effects().into_iter();
        let void = effects.filter(|(_, changes)| !changes);
        void.map(|(transaction, _)| transaction).collect()
    }

    /// Whether everything happened once. A desktop node mines again what it is told again.
    pub fn check_once(&self) {
        let mut seen = BTreeSet::new();
        let effects = self.0.effects().into_iter();
        for (transaction, _) in effects.filter(|(_, changes)| *changes) {
            let new = seen.insert(transaction.text());
            assert!(new, "{transaction:?} is in the chain twice");
        }
    }

    /// How often a transaction is in the chain. Its signature may be another one of the same.
    pub fn count(&self, transaction: &ledger::Transaction) -> usize {
        let wanted = Transaction::from(transaction).text();
        let found = self.transactions();
        found.filter(|found| found.text() == wanted).count()
    }

    /// Whether its item was changed by other transactions, so that it may have become impossible.
    fn has_rivals(&self, transaction: &ledger::Transaction) -> bool {
        let mine = Transaction::from(transaction);
        let of_it = self.transactions().filter(|other| other.name == mine.name);
        of_it.into_iter().any(|other| other.text() != mine.text())
    }

    /// How many requests and releases of each item somebody has in the chain that changed something;
    /// what a desktop node made a second block of counts once.
    pub fn deeds(&self, key: &str) -> BTreeMap<(String, String), usize> {
        let mut deeds = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for (transaction, changes) in self.0.effects() {
            let theirs = changes && hex(&transaction.key) == key;
            if theirs && seen.insert(transaction.text()) {
                let deed = (transaction.verb().to_owned(), transaction.item());
                *deeds.entry(deed).or_default() += 1;
            }
        }
        deeds
    }
}

/// What a node lists behind a number of its menu.
pub fn listed(world: &mut World, host: usize, number: &str) -> BTreeSet<String> {
    listed_by(world, host, number).into_keys().collect()
}

/// The same, and what it says of who took or returned each.
fn listed_by(world: &mut World, host: usize, number: &str) -> BTreeMap<String, String> {
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
    let split = |line: &str| {
        let item = line.split(' ').next().unwrap_or(line);
        let by = line.rsplit_once(" by ").map_or("", |(_, by)| by);
        let by = by.split(' ').next().unwrap_or(by);
        (item.to_owned(), by.to_owned())
    };
    items.map(split).collect()
}

/// Those items that are not a foe's.
fn honest(mut items: BTreeSet<String>) -> BTreeSet<String> {
    items.retain(|item| !item.starts_with(foe::ITEMS));
    items
}

/// A host's chain file, as far as its disk has made it durable. Whatever is in it is valid.
pub fn on_disk(world: &World, host: usize) -> RefMut<'_, ChainFile> {
    let host_of = &world.hosts[host];
    let mut judged = host_of.judged.borrow_mut();
    let file = host_of.disk.durable(File::Chain);
    if let Err(error) = judged.read(&file) {
        panic!("seed {}: the file of host {host}: {error}", world.seed);
    }
    let ledger = judged.ledger();
    let usual = ledger.blocks.is_empty() || ledger.difficulty == world.difficulty;
    assert!(usual, "the difficulty of host {host}");
    judged
}

/// What is in the chain of one of our nodes, as its disk has it.
pub fn ids_on_disk(world: &World, host: usize) -> BTreeSet<TransactionId> {
    let file = on_disk(world, host);
    let all = file.ledger().transactions();
    all.map(|it| TransactionId::new(it.id())).collect()
}

/// What is reserved according to a host.
pub fn reserved(world: &World, host: usize) -> BTreeSet<String> {
    match world.hosts[host].is_ours() {
        true => on_disk(world, host).ledger().names(true),
        false => world.desktop(host).items(true),
    }
}

/// The end of the chain of one of our nodes, as its disk has it: its length and last hash.
pub fn tip_of(world: &World, host: usize) -> (u64, String) {
    let file = on_disk(world, host);
    let ledger = file.ledger();
    (ledger.length(), hex(&ledger.tip()))
}

/// Whether all of ours have the same tip.
pub fn one_tip(world: &World) -> bool {
    let ours = world.ours();
    let tips: Vec<(u64, String)> = ours.iter().map(|host| tip_of(world, *host)).collect();
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
    for host in &ours {
        let same = on_disk(world, *host).ledger().blocks == chain.0.blocks;
        assert!(same, "seed {}: the disk of host {host}", world.seed);
    }
    if world.desktops().is_empty() {
        chain.check_once();
        let mut void = chain.void();
        void.retain(|transaction| !transaction.item().starts_with(foe::ITEMS));
        assert!(
            void.is_empty(),
            "seed {}: nobody makes void ones: {void:?}",
            world.seed
        );
    }
    for host in ours {
        for (number, items) in [("3", &reserved), ("4", &available)] {
            let said = listed_by(world, host, number);
            let items = as_shown(items);
            let whose = chain.0.listed(number == "3").into_iter();
            let whose: BTreeMap<_, _> = whose.map(|(item, key)| (shown(&item), key)).collect();
            for (item, by) in said.iter().filter(|(item, _)| items.contains(*item)) {
                let key = hex(&whose[item]);
                assert_eq!(key[..12], **by, "seed {}: who has {item}", world.seed);
            }
            let said = honest(said.into_keys().collect());
            assert_eq!(said, items, "listed behind {number} at host {host}");
        }
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
    let gone = |done: &&ledger::Transaction| {
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
