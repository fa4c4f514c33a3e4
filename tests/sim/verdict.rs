//! What has to hold on a LAN with desktop nodes, each property on its own: of a run that breaks one
//! it is told whether it keeps the others.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::host::{address, alias};
use crate::oracle::{self, Chain};
use crate::scenario::{WHOLE_MS, number};
use crate::world::World;

/// What became of a run.
#[derive(Default)]
pub struct Verdict {
    /// How hosts differ when they have had their time, and after how many milliseconds they differed
    /// last.
    pub apart: Vec<String>,
    pub settled: u64,
    /// What ours have heard of desktop nodes, is nowhere, and nobody else wanted.
    pub vanished: Vec<String>,
    /// Promises to users of ours that were not kept.
    pub broken: Vec<String>,
    /// How often desktop nodes were spoiled: by two messages of ours, by their users beside a
    /// message, and otherwise.
    pub spoiled: [usize; 3],
    /// The same by two messages of ours, where that was known by two addresses: before it has made a
    /// block that comes to both, nobody can tell that it is one.
    pub two_named: usize,
    /// Desktop nodes' lines that ours held against them, and closed for that.
    pub misbehaviours: usize,
    pub banned: Vec<String>,
    /// What desktop nodes' users did, how often beside a message, and what of it their own threads
    /// have eaten before anybody was told.
    pub acts: usize,
    pub crowded: usize,
    pub eaten: Vec<String>,
    /// The same, but it was in what they told, or was done beside nobody.
    pub unheard: usize,
    /// What spoiled desktop nodes, each time, and what ours held against them.
    pub causes: Vec<String>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [ours, user, other] = self.spoiled;
        write!(
            f,
            "whole after {} ms, apart {:?}, vanished {:?}, broken {:?}, spoiled by ours {ours} by \
             users {user} otherwise {other}, strikes {}, banned {}, eaten {:?} of {} beside a \
             message of {}, unheard {}\n    {}",
            self.settled,
            self.apart,
            self.vanished,
            self.broken,
            self.misbehaviours,
            self.banned.len(),
            self.eaten,
            self.crowded,
            self.acts,
            self.unheard,
            self.causes.join("\n    ")
        )
    }
}

/// Waits for as long as may be needed to have everything everywhere, and looks what there is. The
/// last fault is over, and everybody is connected.
pub fn judge(world: &mut World, relation: Ours) -> Verdict {
    let mut verdict = Verdict::default();
    let begin = world.now;
    while world.now < begin + WHOLE_MS {
        world.run(1_000);
        verdict.apart = differences(world, relation);
        if !verdict.apart.is_empty() {
            verdict.settled = world.now - begin;
        }
    }
    let ours = world.ours();
    for host in &ours {
        // The status has the key by which the words are looked up.
        world.type_in(*host, "9\n");
    }
    world.run(1_000);
    let mut chains = Vec::new();
    for host in ours {
        let chain = Chain::of(world, host);
        let broken = oracle::broken_words(world, host, &chain);
        verdict.broken.extend(broken);
        chains.push(chain);
    }
    for host in world.desktops() {
        // Where one of ours lacks what another has, they are apart.
        let gone = chains.iter().map(|it| oracle::vanished(world, host, it));
        let gone = gone.min_by_key(Vec::len);
        verdict.vanished.extend(gone.unwrap_or_default());
        let spoiled = world.spoiled(host);
        (0..3).for_each(|place| verdict.spoiled[place] += spoiled[place]);
        if world.two_named.contains(&host) {
            verdict.two_named += spoiled[0];
        }
        let desktop = world.desktop(host);
        verdict.acts += desktop.acts;
        verdict.crowded += desktop.crowded;
        let [eaten, unheard] = desktop.unheard(&world.heard);
        verdict.unheard += unheard.len();
        let eaten = eaten.into_iter();
        let causes = desktop.spoils.iter();
        verdict
            .causes
            .extend(causes.map(|spoil| format!("{host}, {spoil}")));
        verdict
            .eaten
            .extend(eaten.map(|gone| format!("{} at {host}", gone.uid)));
        let names = [address(host), alias(host)].map(|it| format!("{}:", it.ip()));
        let held = world
            .held_against
            .iter()
            .filter(|(_, line)| names.iter().any(|name| line.starts_with(name)));
        for (by, line) in held {
            verdict.misbehaviours += usize::from(line.contains(": dropped: "));
            verdict
                .causes
                .push(format!("{host}, held against it by {by}: {line}"));
            if line.contains("it broke the rules") {
                verdict.banned.push(format!("{host} by {by}: {line}"));
            }
        }
    }
    verdict
}

/// How the hosts that run differ: ours by the ends of their chains if they are connected, all by what
/// is reserved.
fn differences(world: &World, relation: Ours) -> Vec<String> {
    let mut apart = Vec::new();
    if relation != Ours::Strangers && !oracle::one_tip(world) {
        apart.push("ours have different tips".to_owned());
    }
    let all: Vec<BTreeSet<String>> = (0..world.hosts.len())
        .map(|host| oracle::reserved(world, host))
        .collect();
    let union: BTreeSet<&String> = all.iter().flatten().collect();
    for (host, items) in all.iter().enumerate() {
        let lacks: Vec<&&String> = union
            .iter()
            .filter(|item| !items.contains(**item))
            .collect();
        if !lacks.is_empty() {
            apart.push(format!("{host} lacks {lacks:?}"));
        }
    }
    apart
}

/// Whether ours can know of each other: then no two of their messages spoil a chain.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ours {
    Linked,
    /// As far as they can tell one desktop node from two.
    Crowd,
    /// At the end, but not all the time.
    Interrupted,
    Strangers,
}

/// Whether it is asked how rarely a desktop node's own threads eat what its user did.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Eaten {
    Rare,
    Whatever,
}

/// Acts beside a message that show how rarely one is eaten.
const ACTS_MIN: usize = 1_000;

/// Seeds of each story where nothing else is said.
const STORY_SEEDS: u64 = 6;

/// Tells a story with several seeds.
pub fn hold(name: &str, ours: Ours, eaten: Eaten, story: impl Fn(u64) -> World) {
    let seeds = number("BLX_STORY_SEEDS").unwrap_or(STORY_SEEDS);
    hold_for(name, 0..seeds, ours, eaten, story);
}

/// Tells a story with these seeds; it ends with its last fault. Each property has its say.
pub fn hold_for(
    name: &str,
    seeds: Range<u64>,
    ours: Ours,
    eaten: Eaten,
    story: impl Fn(u64) -> World,
) {
    let seeds = match number("BLX_SEED") {
        Some(seed) => seed..seed + 1,
        None => seeds,
    };
    let mut verdicts = Vec::new();
    let mut disconnected = Vec::new();
    for seed in seeds {
        let run = || judge(&mut story(seed), ours);
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(verdict) => verdicts.push((seed, verdict)),
            Err(_) => disconnected.push(seed),
        }
    }
    say(name, &verdicts, &disconnected);
    assert!(
        disconnected.is_empty(),
        "{name}: these seeds did not end: {disconnected:?}"
    );
    each(name, "what a desktop node said vanished", &verdicts, |v| {
        v.vanished.is_empty()
    });
    each(
        name,
        "a promise to a user of ours was broken",
        &verdicts,
        |v| v.broken.is_empty(),
    );
    each(
        name,
        "not everybody had everything in 30 s",
        &verdicts,
        |v| v.apart.is_empty(),
    );
    let spoiled = "two messages of ours spoiled a chain";
    match ours {
        Ours::Linked => each(name, spoiled, &verdicts, |v| v.spoiled[0] == 0),
        Ours::Crowd => each(name, spoiled, &verdicts, |v| v.spoiled[0] == v.two_named),
        Ours::Interrupted | Ours::Strangers => {}
    }
    each(
        name,
        "something was held against a desktop node",
        &verdicts,
        |v| v.banned.is_empty() && v.misbehaviours == 0,
    );
    // Elsewhere one may be cut off from everybody, with what its user has just done.
    if matches!(ours, Ours::Linked | Ours::Strangers) {
        each(name, "nobody heard what was done", &verdicts, |v| {
            v.unheard == 0
        });
    }
    if eaten == Eaten::Rare {
        let lost: usize = verdicts.iter().map(|(_, v)| v.eaten.len()).sum();
        let crowded: usize = verdicts.iter().map(|(_, v)| v.crowded).sum();
        // A few of a few hundred are no rate.
        assert!(
            crowded < ACTS_MIN || lost * 100 <= crowded,
            "{name}: {lost} of {crowded} acts were eaten"
        );
    }
}

fn each(name: &str, what: &str, verdicts: &[(u64, Verdict)], holds: impl Fn(&Verdict) -> bool) {
    let broken = verdicts.iter().filter(|(_, verdict)| !holds(verdict));
    let broken: Vec<String> = broken
        .map(|(seed, verdict)| format!("seed {seed}: {verdict}"))
        .collect();
    assert!(broken.is_empty(), "{name}: {what}:\n{}", broken.join("\n"));
}

/// How many seeds kept what.
fn say(name: &str, verdicts: &[(u64, Verdict)], disconnected: &[u64]) {
    let count = |holds: &dyn Fn(&Verdict) -> bool| {
        let broken = verdicts.iter().filter(|(_, verdict)| !holds(verdict));
        broken.count()
    };
    let sum = |of: &dyn Fn(&Verdict) -> usize| -> usize {
        verdicts.iter().map(|(_, verdict)| of(verdict)).sum()
    };
    println!(
        "ROW {name} | {} seeds | vanished {} | broken {} | apart {} | spoiled by ours {} ({}, {} by two names), by \
         users {}, otherwise {} | banned {}, strikes {} | eaten {} of {} of {}, unheard {} | slowest {} ms | \
         fallen {disconnected:?}",
        verdicts.len() + disconnected.len(),
        count(&|v| v.vanished.is_empty()),
        count(&|v| v.broken.is_empty()),
        count(&|v| v.apart.is_empty()),
        count(&|v| v.spoiled[0] == 0),
        sum(&|v| v.spoiled[0]),
        sum(&|v| v.two_named),
        sum(&|v| v.spoiled[1]),
        sum(&|v| v.spoiled[2]),
        count(&|v| v.banned.is_empty()),
        sum(&|v| v.misbehaviours),
        sum(&|v| v.eaten.len()),
        sum(&|v| v.crowded),
        sum(&|v| v.acts),
        sum(&|v| v.unheard),
        verdicts.iter().map(|(_, v)| v.settled).max().unwrap_or(0),
    );
}
