//! The address book: the addresses that this node has heard of, whom of them to dial next, and which
//! are worth keeping over a restart.
//!
//! An address counts as proven when a connection to it was made and it spoke. Whoever tells
//! addresses can fill only a part of the book, and none of them takes a proven one's place.

use core::cmp::Reverse;
use core::hash::{BuildHasher, BuildHasherDefault};
use core::net::{IpAddr, SocketAddr};
use std::hash::DefaultHasher;

use super::bans::Bans;
use super::hearsay::Dials;
use crate::limits;
use crate::node::addresses::plain;
use crate::node::event::Millis;
use crate::store::address_book::Entry;

/// An address, and how it went with it in this run.
struct Known {
    entry: Entry,
    /// One of the two best of the last run.
    favourite: bool,
    /// Milliseconds connected, without the connection that is open.
    connected: u64,
    /// The connection that is open began at this time.
    since: Option<Millis>,
    /// Failed dials and connections that did not last, since the last one that did.
    failures: u32,
    /// Not dialed before this time.
    due: Millis,
}

impl Known {
    fn new(entry: Entry) -> Known {
        Known {
            entry,
            favourite: false,
            connected: 0,
            since: None,
            failures: 0,
            due: Millis(0),
        }
    }

    /// Sorts the more valuable first. Equals stay in their order: that of the last run, then that in
    /// which they were learned.
    fn rank(&self, now: Millis) -> (Reverse<u64>, bool) {
        let open = self.since.map_or(0, |since| now.0.saturating_sub(since.0));
        (Reverse(self.connected + open), !self.entry.proven)
    }

    /// Waits longer after each failure; `chance` is any number.
    fn back_off(&mut self, now: Millis, chance: u64) {
        let delay = limits::ADDRESS_BOOK_BACKOFF_MS
            << self.failures.min(limits::ADDRESS_BOOK_DOUBLINGS_MAX);
        self.failures += 1;
        // Up to a tenth more, so that peers of a node that was away do not all call at once.
        self.due = Millis(now.0 + delay + chance % (delay / 10 + 1));
    }
}

/// The addresses that this node knows.
pub struct AddressBook {
    /// In the order of the last run, behind them in the order in which they were learned.
    known: Vec<Known>,
    capacity: usize,
    /// Who is not dialed, known here or not.
    pub bans: Bans,
    /// How often others were believed.
    dials: Dials,
    /// Addresses that lead back to this node.
    ours: heapless::HistoryBuf<SocketAddr, { limits::ADDRESS_BOOK_OURS }>,
    /// The checksum of what the file says, and the two best there.
    written: u64,
    written_best: [Option<SocketAddr>; 2],
    /// What the file says has been wrong since then.
    changed: Option<Millis>,
    last_write: Option<Millis>,
}

impl AddressBook {
    /// The address book as the last run left it, best first. Its first two are dialed first.
    pub fn new(entries: Vec<Entry>) -> AddressBook {
        AddressBook::with_capacity(entries, limits::ADDRESS_BOOK)
    }

    fn with_capacity(entries: Vec<Entry>, capacity: usize) -> AddressBook {
        let mut book = AddressBook {
            known: Vec::new(),
            capacity,
            bans: Bans::default(),
            dials: Dials::default(),
            ours: heapless::HistoryBuf::new(),
            written: 0,
            written_best: [None; 2],
            changed: None,
            last_write: None,
        };
        for entry in entries {
            let address = plain(entry.address);
            let room = book.known.len() < capacity;
            if room && may_be_dialed(address, entry.source) && book.find(address).is_none() {
                let favourite = book.known.len() < 2;
                let entry = Entry { address, ..entry };
                book.known.push(Known {
                    favourite,
                    ..Known::new(entry)
                });
            }
        }
        book.remember_written(Millis(0));
        book
    }

    /// Takes an address that `source` told; whether it is new and was taken. Refused is what nobody
    /// can dial, what leads back to this node, loopback from elsewhere, one port more of a host with
    /// [`limits::UNPROVEN_PORTS`] that are not proven, and what there is no room for.
    pub fn learn(&mut self, address: SocketAddr, source: IpAddr, now: Millis) -> bool {
        let (address, source) = (plain(address), source.to_canonical());
        self.vouch(address, source, now);
        let unwanted = !may_be_dialed(address, source)
            || self.find(address).is_some()
            || self.ours.as_slice().contains(&address)
            || !self.make_port_room(address.ip(), source, now);
        // Those that nobody has tried are as good as the new one.
        if unwanted
            || !self.make_room(source, now, |known| {
                !known.entry.proven && known.failures > 0
            })
        {
            return false;
        }
        self.known.push(Known::new(Entry {
            address,
            source,
            proven: false,
        }));
        self.note(now);
        true
    }

    /// Somebody told an address whose own source is not believed any more for a while: it is the new
    /// one's then. Otherwise whoever tells where others are would keep them from being dialed by lies.
    fn vouch(&mut self, address: SocketAddr, source: IpAddr, now: Millis) {
        let Some(before) = self.find(address).map(|known| known.entry) else {
            return;
        };
        let spent = |entry: Entry| self.dials.until(entry).is_some_and(|until| until > now);
        let after = Entry { source, ..before };
        if spent(before) && !spent(after) {
            self.find(address).expect("it is known").entry = after;
        }
    }

    /// Makes room for one more port of a host, on which many nodes may listen only if it is this machine.
    /// Somebody may have told of ports where no node listens: forgotten is one that did not answer, or
    /// whose source is not believed now, or any where the host tells its own.
    fn make_port_room(&mut self, ip: IpAddr, source: IpAddr, now: Millis) -> bool {
        let known = self.known.iter();
        let unproven = known.filter(|known| !known.entry.proven && known.entry.address.ip() == ip);
        if ip.is_loopback() || unproven.clone().count() < limits::UNPROVEN_PORTS {
            return true;
        }
        let spent = |entry: Entry| self.dials.until(entry).is_some_and(|until| until > now);
        let may_go = unproven
            .filter(|known| source == ip || known.failures > 0 || spent(known.entry))
            .max_by_key(|known| known.failures)
            .map(|known| known.entry.address);
        limits::Full::BookPorts.when(may_go.is_none());
        may_go.map(|address| self.forget(address, now)).is_some()
    }

    /// An address is dialed.
    pub fn dialed(&mut self, address: SocketAddr, now: Millis) {
        if let Some(entry) = self.find(address).map(|known| known.entry) {
            self.dials.add(entry, now);
        }
    }

    /// A peer spoke on a connection that we dialed, or one that called us answered a dial at this
    /// address. An address that is not known is taken, in the place of another if need be.
    pub fn reached(&mut self, address: SocketAddr, now: Millis) {
        let address = plain(address);
        let source = address.ip();
        if self.find(address).is_none() {
            let taken = may_be_dialed(address, source) && self.make_room(source, now, |_| true);
            if !taken {
                return;
            }
            self.known.push(Known::new(Entry {
                address,
                source,
                proven: true,
            }));
        }
        let known = self.find(address).expect("it was there or was added");
        known.entry.proven = true;
        known.since.get_or_insert(now);
        self.note(now);
    }

    /// A dial failed, or the peer never spoke: it is tried again later, or forgotten if it never
    /// answered. `chance` is any number.
    pub fn failed(&mut self, address: SocketAddr, now: Millis, chance: u64) {
        let address = plain(address);
        let Some(known) = self.find(address) else {
            return;
        };
        known.back_off(now, chance);
        if !known.entry.proven && known.failures >= limits::ADDRESS_BOOK_FAILURES_MAX {
            self.forget(address, now);
        }
    }

    /// The connection to a peer that was reached has ended after `connected_ms` milliseconds. It
    /// may be dialed again at once if it had lasted, else later.
    pub fn left(&mut self, address: SocketAddr, now: Millis, connected_ms: u64) {
        let address = plain(address);
        let Some(known) = self.find(address) else {
            return;
        };
        known.since = None;
        known.connected += connected_ms;
        if connected_ms >= limits::HEALTHY_MS {
            known.failures = 0;
            known.due = now;
        } else {
            known.back_off(now, 0);
        }
        self.note(now);
    }

    /// The address leads back to this node: it is forgotten and not learned again in this run.
    pub fn forget_own(&mut self, address: SocketAddr, now: Millis) {
        let address = plain(address);
        if !self.ours.as_slice().contains(&address) {
            self.ours.write(address);
        }
        self.forget(address, now);
    }

    /// Whom to dial now: the two best of the last run first, then the proven ones by their worth,
    /// then the others. Those of which `taken` is true are passed over.
    pub fn next(&self, now: Millis, taken: impl Fn(&SocketAddr) -> bool) -> Option<SocketAddr> {
        let ready = self
            .known
            .iter()
            .filter(|known| self.due(known, now) <= now);
        ready
            .filter(|known| !taken(&known.entry.address))
            .min_by_key(|known| {
                let proven = known.entry.proven;
                (!known.favourite, !proven, known.rank(now), known.failures)
            })
            .map(|known| known.entry.address)
    }

    /// When `next` may give something.
    pub fn deadline(&self, now: Millis, taken: impl Fn(&SocketAddr) -> bool) -> Option<Millis> {
        let free = self.known.iter().filter(|k| !taken(&k.entry.address));
        free.map(|known| self.due(known, now)).min()
    }

    /// When an address may be dialed: not while it is banned, or too many of its source were dialed,
    /// whatever else is known of it.
    fn due(&self, known: &Known, now: Millis) -> Millis {
        let ban = self.bans.until_dialed(known.entry.address, now);
        let spent = self.dials.until(known.entry);
        limits::Full::BookDials.when(spent.is_some_and(|until| until > now));
        ban.into_iter().chain(spent).fold(known.due, Millis::max)
    }

    /// What is to be kept over a restart, best first: by the time connected in this run, then as
    /// the last run left it.
    pub fn entries(&self, now: Millis) -> Vec<Entry> {
        let mut sorted: Vec<&Known> = self.known.iter().collect();
        sorted.sort_by_key(|known| known.rank(now));
        sorted.into_iter().map(|known| known.entry).collect()
    }

    /// When the book is to be written, if what the file says is wrong.
    pub fn write_due(&self) -> Option<Millis> {
        let settled = self.changed?.0 + limits::ADDRESS_BOOK_SETTLE_MS;
        let rested = self
            .last_write
            .map_or(0, |at| at.0 + limits::ADDRESS_BOOK_WRITE_MS);
        Some(Millis(settled.max(rested)))
    }

    /// Whether it may be written again already.
    pub fn may_write(&self, now: Millis) -> bool {
        self.last_write
            .is_none_or(|at| now.0 >= at.0 + limits::ADDRESS_BOOK_WRITE_MS)
    }

    /// Whether the file says something wrong: the addresses, which are proven, or the two best.
    pub fn is_dirty(&self, now: Millis) -> bool {
        self.checksum() != self.written || self.best(now) != self.written_best
    }

    /// The entries were written.
    pub fn written(&mut self, now: Millis) {
        self.remember_written(now);
        self.last_write = Some(now);
    }

    /// They could not be written: tried again when the next write would be due.
    pub fn write_failed(&mut self, now: Millis) {
        self.last_write = Some(now);
    }

    fn find(&mut self, address: SocketAddr) -> Option<&mut Known> {
        let mut known = self.known.iter_mut();
        known.find(|known| known.entry.address == address)
    }

    /// The two best, whichever is first.
    fn best(&self, now: Millis) -> [Option<SocketAddr>; 2] {
        let known = || self.known.iter();
        let first = known().min_by_key(|known| known.rank(now));
        let first = first.map(|known| known.entry.address);
        let second = known()
            .filter(|known| Some(known.entry.address) != first)
            .min_by_key(|known| known.rank(now));
        let mut best = [first, second.map(|known| known.entry.address)];
        if best[0] > best[1] {
            best.swap(0, 1);
        }
        best
    }

    /// Of the addresses, in whatever order, and of which are proven.
    fn checksum(&self) -> u64 {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let entries = self.known.iter().map(|known| known.entry);
        let sums = entries.map(|entry| hasher.hash_one((entry.address, entry.proven)));
        sums.fold(0, u64::wrapping_add)
    }

    fn remember_written(&mut self, now: Millis) {
        (self.written, self.written_best) = (self.checksum(), self.best(now));
        self.changed = None;
    }

    /// What the book says may have changed.
    fn note(&mut self, now: Millis) {
        self.changed = match self.is_dirty(now) {
            true => self.changed.or(Some(now)),
            false => None,
        };
    }

    fn forget(&mut self, address: SocketAddr, now: Millis) {
        self.known.retain(|known| known.entry.address != address);
        self.note(now);
    }

    /// Makes room for one more address of `source` by forgetting one of those that `may_go`; if
    /// `source` has filled its part, one of its own. Unproven ones go first, and of these the one
    /// with the most failures; of the proven ones, the one that is worth least.
    fn make_room(&mut self, source: IpAddr, now: Millis, may_go: impl Fn(&Known) -> bool) -> bool {
        let same = |known: &&Known| known.entry.source == source;
        let share = self.capacity / limits::ADDRESS_BOOK_SHARE;
        let exhausted = self.known.iter().filter(same).count() >= share;
        let full = limits::Full::BookFull.when(self.known.len() >= self.capacity);
        if !limits::Full::BookSource.when(exhausted) && !full {
            return true;
        }
        let victim = self.known.iter().filter(|known| may_go(known));
        let victim = victim.filter(|known| !exhausted || same(known));
        let victim = victim.max_by_key(|known| {
            let failures = match known.entry.proven {
                true => 0,
                false => known.failures,
            };
            (failures, known.rank(now))
        });
        let victim = victim.map(|known| known.entry.address);
        limits::Full::BookRefused.when(victim.is_none());
        victim.map(|address| self.forget(address, now)).is_some()
    }
}

/// Whether an address that `source` told can be dialed from here.
fn may_be_dialed(address: SocketAddr, source: IpAddr) -> bool {
    let ip = address.ip();
    let fit = match ip {
        IpAddr::V4(ip) => !ip.is_broadcast(),
        // It means nothing without the interface, which the book does not keep.
        IpAddr::V6(ip) => !ip.is_unicast_link_local(),
    };
    let near = !ip.is_loopback() || source.is_loopback();
    fit && near && address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast()
}

#[cfg(test)]
#[path = "address_book_tests.rs"]
mod tests;
