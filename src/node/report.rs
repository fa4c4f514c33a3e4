//! What the node tells its user when asked: its state, its peers, its items. Each report is a text
//! for people and an object for programs.

use core::fmt;
use core::time::Duration;

use serde::Serialize;

use super::answer::menu_name;
use super::clock::date;
use super::menu::Mode;
use super::{Node, Summary};
use crate::ledger::ItemKey;
use crate::limits;
use crate::store::disk::Disk;

/// Something that is told in both forms. A text may have several lines.
pub trait Report: fmt::Display + Serialize {}

impl<T: fmt::Display + Serialize> Report for T {}

/// The node's state.
#[derive(Serialize)]
struct Status {
    /// Blocks are written, and all of them can be read.
    ok: bool,
    /// Why nothing is written any more.
    writing_stopped: Option<String>,
    /// What is wrong with the chain file.
    damage: Option<String>,
    blocks: u64,
    reserved: usize,
    available: usize,
    peers: usize,
    tip: String,
    /// Of the chain file, and how many of them are of use no more.
    file_bytes: u64,
    garbage_bytes: u64,
    last_sync_us: u64,
    slowest_sync_us: u64,
    verified: String,
    /// Why the wall clock is not set.
    clock_not_set: Option<String>,
    unclean_stops: u32,
    key: String,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(fault) = &self.writing_stopped {
            writeln!(
                f,
                "[status] ❌ nothing is written any more: {fault}; start blx again when that is mended"
            )?;
        }
        match &self.damage {
            Some(damage) => writeln!(f, "[status] blockchain is CORRUPTED! ⚠️ {damage}")?,
            None if self.ok => writeln!(f, "[status] blockchain is A-OK! 😁")?,
            None => {}
        }
        writeln!(f, "[status] block count: {}", self.blocks)?;
        writeln!(f, "[status] reserved items: {}", self.reserved)?;
        writeln!(f, "[status] available items: {}", self.available)?;
        writeln!(f, "[status] connected peers: {}", self.peers)?;
        writeln!(f, "[status] tip: {}", self.tip)?;
        let (bytes, share) = (
            self.file_bytes,
            self.garbage_bytes * 100 / self.file_bytes.max(1),
        );
        writeln!(
            f,
            "[status] data file: {bytes} bytes, {share} % of it garbage"
        )?;
        let last = Duration::from_micros(self.last_sync_us);
        let slowest = Duration::from_micros(self.slowest_sync_us);
        writeln!(
            f,
            "[status] disk sync: last {last:.1?}, slowest {slowest:.1?}"
        )?;
        writeln!(f, "[status] {}", self.verified)?;
        let unclean = self.unclean_stops;
        writeln!(f, "[status] starts after an unclean stop: {unclean}")?;
        if let Some(why) = &self.clock_not_set {
            writeln!(f, "[status] clock not set: {why}")?;
        }
        write!(f, "[status] node key: {}", self.key)
    }
}

/// An item, with who changed it last and when, as far as that is known.
#[derive(Serialize)]
struct ItemReport {
    item: String,
    reserved: bool,
    /// The block of that change.
    block: u64,
    /// Seconds since 1970.
    time: Option<f64>,
    /// A public key.
    by: Option<String>,
    this_node: bool,
    /// Why it is not known.
    error: Option<String>,
}

impl fmt::Display for ItemReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {}", self.item)?;
        if let Some(error) = &self.error {
            write!(f, "  ({error})")?;
        }
        let (Some(time), Some(by)) = (self.time, &self.by) else {
            return Ok(());
        };
        let verb = if self.reserved { "taken" } else { "returned" };
        let you = if self.this_node { " (this node)" } else { "" };
        write!(f, "  {verb} {} by {}{you}", date(time), menu_name(by))
    }
}

/// A list that is being written, as far as the console takes it.
pub struct Listing {
    /// Reserved items, else available ones.
    pub reserved: bool,
    /// The last item that was looked at.
    pub last: Option<ItemKey>,
}

impl<D: Disk> Node<D> {
    /// How the node is, in short.
    pub fn summary(&self) -> Summary {
        Summary {
            height: self.cx.chain.tip().length.saturating_sub(1),
            peers: self.peers.count(),
            ending: self.cx.ending.is_some(),
            ok: self.is_ok(),
        }
    }

    /// Whether blocks are written, and all of them can be read.
    fn is_ok(&self) -> bool {
        self.cx.chain.fault().is_none() && self.damage().is_none()
    }

    /// Key 9.
    pub(super) fn report(&mut self, at: usize) {
        let (tip, items, syncs) = (
            self.cx.chain.tip(),
            self.cx.chain.items(),
            self.cx.chain.syncs(),
        );
        let status = Status {
            ok: self.is_ok(),
            writing_stopped: self.cx.chain.fault().map(ToString::to_string),
            damage: self.damage(),
            blocks: tip.length,
            reserved: items.reserved(),
            available: items.available(),
            peers: self.peers.count(),
            tip: tip.hash.to_string(),
            file_bytes: self.cx.chain.bytes(),
            garbage_bytes: self.cx.chain.garbage(),
            last_sync_us: micros(syncs.last),
            slowest_sync_us: micros(syncs.slowest),
            verified: self.scrub_report(),
            clock_not_set: self.cx.clock_doubt(self.built),
            unclean_stops: self.unclean_stops,
            key: self.identity.public().to_string(),
        };
        self.say(at, &status);
        if let Some(seat) = self.seats.at_mut(at)
            && let Mode::Control(asked) = &mut seat.menu.mode
        {
            asked.not_ok = !status.ok;
        }
    }

    pub(super) fn say(&mut self, at: usize, report: &impl Report) {
        if let Some(seat) = self.seats.at_mut(at) {
            seat.say(report);
        }
    }

    /// Keys 3 and 4.
    pub(super) fn list(&mut self, at: usize, reserved: bool) {
        let items = self.cx.chain.items();
        let (count, what) = match reserved {
            true => (items.reserved(), "reserved"),
            false => (items.available(), "available"),
        };
        let Some(seat) = self.seats.at_mut(at) else {
            return;
        };
        if !seat.wants_json() {
            seat.say(&format!("{what} items: {count}"));
        }
        seat.menu.listing = Some(Listing {
            reserved,
            last: None,
        });
    }

    /// Writes the next items of a list.
    pub(super) fn go_on_listing(&mut self, at: usize, listing: Listing) {
        let Listing { reserved, mut last } = listing;
        let before = last;
        let mut found = Vec::new();
        let items = self.cx.chain.items().after(before.as_ref());
        for (key, state) in items.take(limits::BLOCKS_PER_TURN) {
            last = Some(*key);
            if state.reserved == reserved {
                found.push((*key, state.since));
            }
            if found.len() == limits::ITEMS_PER_TURN {
                break;
            }
        }
        let mut found = found.into_iter().peekable();
        while let Some((key, since)) = found.next() {
            let item = self.describe(&key, reserved, since);
            self.say(at, &item);
            let full = self.seats.at(at).is_some_and(|s| !s.console.has_room());
            if full && found.peek().is_some() {
                // A name can be as long as a block: the others wait until this one is written.
                last = Some(key);
                break;
            }
        }
        if let Some(seat) = self.seats.at_mut(at).filter(|_| last != before) {
            seat.menu.listing = Some(Listing { reserved, last });
        }
    }

    /// A long name is read from the block that changed the item last.
    fn describe(&mut self, key: &ItemKey, reserved: bool, since: u64) -> ItemReport {
        let mut report = ItemReport {
            item: key.beginning().to_string(),
            reserved,
            block: since,
            time: None,
            by: None,
            this_node: false,
            error: None,
        };
        match self.cx.chain.read(since) {
            Ok(stored) => {
                let last = stored.last_change(|uid| ItemKey::of(uid) == *key);
                if let Some(change) = last {
                    report.item = change.uid.to_string();
                    report.time = Some(change.timestamp.seconds());
                    report.by = Some(change.requester.to_string());
                    report.this_node = change.requester == self.identity.public();
                }
            }
            Err(error) => report.error = Some(error.to_string()),
        }
        report
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

pub(super) fn duration(seconds: u64) -> String {
    match seconds {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}
