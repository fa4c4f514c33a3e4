//! What the node tells its user when asked: its state, its peers, its items. Each report is a text
//! for people and an object for programs.
//!
//! The names of fields are the keys of `--json` and stay as they are; what is absent is null. The man
//! page has a table of them. The first line of a state is the verdict and the last one the key: whoever
//! reads it by program waits for that.

use core::fmt;
use core::time::Duration;

use serde::Serialize;

use crate::ledger::{ItemKey, PublicKey, Transaction, Uid};
use crate::node::answer::{menu_name, spell};
use crate::node::clock::date;
use crate::store::disk::DiskError;

/// Something that is told in both forms. A text may have several lines.
pub trait Report: fmt::Display + Serialize {}

impl<T: fmt::Display + Serialize> Report for T {}

/// The node's state.
#[derive(Serialize)]
pub struct Status {
    /// Blocks are written, and all of them can be read.
    pub ok: bool,
    /// Why nothing is written any more.
    pub writing_stopped: Option<String>,
    /// What is wrong with the chain file.
    pub damage: Option<String>,
    pub blocks: u64,
    pub reserved: usize,
    pub available: usize,
    pub peers: usize,
    pub tip: String,
    /// The size of the chain file.
    pub file_bytes: u64,
    /// How much of the chain file is stale blocks.
    pub garbage_bytes: u64,
    pub last_sync_us: u64,
    pub slowest_sync_us: u64,
    pub verified: String,
    /// Why the wall clock is not set.
    pub clock_not_set: Option<String>,
    pub unclean_stops: u32,
    pub key: String,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(fault) = &self.writing_stopped {
            writeln!(
                f,
                "[status] ❌ nothing is written any more: {fault}; start blx again once that is fixed"
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
            "[status] data file: {bytes} bytes, {share} % of it stale blocks"
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
pub struct ItemReport {
    #[serde(serialize_with = "spell")]
    pub item: Uid,
    pub reserved: bool,
    /// The block of that change.
    pub block: u64,
    /// Seconds since 1970.
    pub time: Option<f64>,
    /// A public key.
    pub by: Option<String>,
    pub this_node: bool,
    /// Why it is not known.
    pub error: Option<String>,
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

impl ItemReport {
    /// What is told of an item since that block; `last` is its change there, if that can be read.
    pub fn of(
        key: &ItemKey,
        (reserved, since): (bool, u64),
        last: Result<Option<Transaction>, DiskError>,
        ours: PublicKey,
    ) -> ItemReport {
        let mut report = ItemReport {
            item: key.beginning(),
            reserved,
            block: since,
            time: None,
            by: None,
            this_node: false,
            error: None,
        };
        match last {
            Ok(Some(change)) => {
                report.item = change.uid.clone();
                report.time = Some(change.timestamp.seconds());
                report.by = Some(change.requester.to_string());
                report.this_node = change.requester == ours;
            }
            Ok(None) => {}
            Err(error) => report.error = Some(error.to_string()),
        }
        report
    }
}

/// An event that was kept.
#[derive(Serialize)]
pub struct Kept<'a> {
    /// As the ring has it.
    pub event: &'a str,
}

impl fmt::Display for Kept<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.event)
    }
}

/// A list that is being written, as far as the console takes it.
pub struct Listing {
    /// Reserved items, else available ones.
    pub reserved: bool,
    /// The last item that was looked at.
    pub last: Option<ItemKey>,
}

/// A time in whole microseconds.
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A time in seconds as people say it.
pub fn duration(seconds: u64) -> String {
    match seconds {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}
