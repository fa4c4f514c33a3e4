//! What users were shown, and that their disks keep it.

use std::collections::BTreeMap;

use blx::store::disk::File;

use crate::oracle::on_disk;
use crate::plain::file::waiting;
use crate::plain::{Transaction, hex};
use crate::world::World;

/// What a user was shown of the requests and releases: done, and lost after that.
#[derive(Default)]
pub struct Words {
    pub done: BTreeMap<(String, String), usize>,
    pub lost: BTreeMap<(String, String), usize>,
    /// The most that were lost at a time.
    pub lost_most: usize,
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
            // An answer may stand behind a prompt, and that behind a line about progress.
            let prompts = ["> ", "item ID: ", "item IDs: "];
            let line = prompts.iter().fold(line, |line, prompt| {
                line.rsplit(prompt).next().unwrap_or(line)
            });
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
            words.lost_most = words.lost_most.max(words.lost.values().sum());
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

/// Right after a machine lost its power: what it showed as done is on its disk.
pub fn check_disk(world: &World, host: usize, key: &str, shown: &str) {
    let words = Words::of(shown);
    if !words.gaps && !world.hosts[host].screen.unseen {
        words.check(world, host, key);
    }
}

impl Words {
    /// What is firm is on a host's disk.
    fn check(&self, world: &World, host: usize, key: &str) {
        let file = on_disk(world, host);
        let length = file.ledger().length();
        assert!(
            length >= self.length,
            "host {host} showed {} blocks, its disk has {length}",
            self.length,
        );
        // What a reorg disconnected, of which the console has not heard yet, waits to be made again.
        let waiting = waiting(&world.hosts[host].disk.durable(File::Waiting)).expect("sound");
        let disconnected = waiting.iter().filter(|waits| !waits.fresh);
        let disconnected = disconnected.flat_map(|waits| &waits.transactions);
        let kept = file.ledger().transactions().chain(disconnected);
        let kept: Vec<&Transaction> = kept.filter(|it| hex(&it.key) == key).collect();
        for ((verb, item), done) in &self.firm {
            let there = kept.iter().filter(|it| it.verb() == verb);
            let there = there.filter(|it| it.item() == *item).count();
            assert!(
                there >= *done,
                "host {host} showed {verb} of {item}, and its disk does not have it"
            );
        }
    }
}
