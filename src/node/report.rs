//! What the node tells its user when asked: its state, its peers, its items.

use super::Node;
use super::gossip::menu_name;
use super::lines::{Kind as PeerKind, Peer, Slot};
use super::peers::Contact;
use crate::ledger::{Kind, PublicKey, Uid};
use crate::limits;
use crate::store::disk::Disk;

/// A list that is being written, as far as the console takes it.
pub struct Listing {
    /// Reserved items, else available ones.
    pub reserved: bool,
    /// The last item that was looked at.
    pub last: Option<Uid>,
}

impl<D: Disk> Node<D> {
    pub(super) fn report(&mut self) {
        let peers = self
            .slots
            .iter()
            .filter(|slot| matches!(slot, Slot::Open(_)))
            .count();
        let (tip, items) = (self.log.tip(), self.log.items());
        let mut lines = vec![match self.damage() {
            None => "blockchain is A-OK! 😁".into(),
            Some(damage) => format!("blockchain is CORRUPTED! ⚠️ {damage}"),
        }];
        lines.push(format!("block count: {}", tip.length));
        lines.push(format!("reserved items: {}", items.reserved()));
        lines.push(format!("available items: {}", items.available()));
        lines.push(format!("connected peers: {peers}"));
        lines.push(format!("tip: {}", tip.hash));
        let (bytes, garbage) = (self.log.bytes(), self.log.garbage());
        let share = garbage * 100 / bytes.max(1);
        lines.push(format!("data file: {bytes} bytes, {share} % of it garbage"));
        let syncs = self.log.syncs();
        lines.push(format!(
            "disk sync: last {:.1?}, slowest {:.1?}",
            syncs.last, syncs.slowest
        ));
        lines.push(self.scrub_report());
        let unclean = self.unclean_stops;
        lines.push(format!("starts after an unclean stop: {unclean}"));
        let doubt = self.clock_doubt();
        lines.extend(doubt.map(|why| format!("clock not set: {why}")));
        lines.push(format!("node key: {}", self.identity.public()));
        lines.extend(
            self.log
                .fault()
                .map(|fault| format!("writing stopped: {fault}")),
        );
        for line in lines {
            self.say(&format!("[status] {line}"));
        }
    }

    pub(super) fn list_peers(&mut self) {
        let mut lines: Vec<String> = Vec::new();
        for slot in &self.slots {
            if let Slot::Open(peer) = slot {
                lines.push(self.describe_peer(peer));
            }
        }
        for target in &self.targets {
            let when = match target.contact {
                Contact::Open(..) => continue,
                Contact::Dialing(_) => "dialing now".into(),
                Contact::Waiting(until) => format!("dialing in {} s", self.seconds_until(until)),
            };
            let error = target.error.as_deref().unwrap_or("not tried yet");
            lines.push(format!(
                "{} (not connected), {when}, last error: {error}",
                target.name()
            ));
        }
        if lines.is_empty() {
            lines.push("no peers are connected.".into());
        }
        for line in lines {
            self.say(&line);
        }
    }

    fn describe_peer(&self, peer: &Peer) -> String {
        let (now, tip, sent) = (self.now.mono, self.log.tip(), peer.writer.sent());
        let direction = match peer.port {
            _ if peer.outbound => "we dialed".into(),
            Some(port) => format!("dialed us, listens on {port}"),
            None => "dialed us".into(),
        };
        let agreement = |same| match same {
            true => "agrees with us",
            false => "differs from us",
        };
        let kind = match &peer.kind {
            PeerKind::Unknown => "has not spoken yet".into(),
            PeerKind::Ours(_) => match peer.tip {
                Some(theirs) => format!(
                    "blx, {} blocks, {}",
                    theirs.length,
                    agreement(theirs == tip)
                ),
                None => "blx".into(),
            },
            PeerKind::Desktop(desktop) => match desktop.length {
                Some(length) => format!(
                    "desktop, {length} blocks, {}",
                    agreement(length == tip.length && desktop.in_step)
                ),
                None => "desktop, length not known yet".into(),
            },
        };
        let ping = match peer.ping_ms {
            Some(ms) => format!("ping {ms} ms"),
            None => "not pinged yet".into(),
        };
        format!(
            "{} ({direction}), {kind}, {ping}, connected {}, blocks {} in {} out, messages {} in {} out",
            peer.remote,
            duration(now.0 - peer.opened.0),
            peer.blocks_in,
            sent.blocks,
            peer.messages_in,
            sent.messages,
        )
    }

    pub(super) fn list(&mut self, reserved: bool) {
        let items = self.log.items();
        let (count, what) = match reserved {
            true => (items.reserved(), "reserved"),
            false => (items.available(), "available"),
        };
        self.say(&format!("{what} items: {count}"));
        self.menu.listing = Some(Listing {
            reserved,
            last: None,
        });
    }

    /// Writes the next items of a list.
    pub(super) fn go_on_listing(&mut self, listing: Listing) {
        let Listing { reserved, mut last } = listing;
        let before = last.clone();
        let mut found = Vec::new();
        let items = self.log.items().after(before.as_ref());
        for (uid, state) in items.take(limits::BLOCKS_PER_TURN) {
            last = Some(uid.clone());
            if state.reserved == reserved {
                found.push((uid.clone(), state.since));
            }
            if found.len() == limits::ITEMS_PER_TURN {
                break;
            }
        }
        for (uid, since) in found {
            let line = self.describe(&uid, since);
            self.say(&line);
        }
        if last != before {
            self.menu.listing = Some(Listing { reserved, last });
        }
    }

    /// An item, with who changed it last and when.
    fn describe(&mut self, uid: &Uid, since: u64) -> String {
        let block = match self.log.read(since) {
            Ok(stored) => stored.block,
            Err(error) => return format!("  {uid}  ({error})"),
        };
        let mut changes = block.transactions.iter().rev();
        let Some(change) = changes.find(|transaction| transaction.uid == *uid) else {
            return format!("  {uid}");
        };
        let verb = match change.kind {
            Kind::Request => "taken",
            Kind::Release => "returned",
        };
        let (who, when) = (
            self.person(&change.requester),
            date(change.timestamp.seconds()),
        );
        format!("  {uid}  {verb} {when} by {who}")
    }

    fn person(&self, key: &PublicKey) -> String {
        let you = if *key == self.identity.public() {
            " (this node)"
        } else {
            ""
        };
        format!("{}{you}", menu_name(&key.to_string()))
    }
}

fn duration(ms: u64) -> String {
    match ms / 1000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

/// A day and a minute in UTC, by the rule that 400 years have 146,097 days; a time that no
/// calendar has is shown as it is.
pub(super) fn date(seconds: f64) -> String {
    if !(0.0..253_402_300_800.0).contains(&seconds) {
        return format!("at {seconds} s");
    }
    let [year, month, day, hour, minute, _] = calendar(seconds as u64);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

/// A time in UTC as files have it, of microseconds since 1970: `2026-11-25T11:52:03Z`. What is later
/// than the last year of four digits is its last second.
pub(super) fn stamp(micros: u64) -> String {
    let seconds = (micros / 1_000_000).min(253_402_300_799);
    let [year, month, day, hour, minute, second] = calendar(seconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month, day, hour, minute and second in UTC.
fn calendar(seconds: u64) -> [u64; 6] {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years counted from March 1st of the year 0, so that a leap day is a year's last day.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (minutes, second) = (rest / 60, rest % 60);
    [year, month, day, minutes / 60, minutes % 60, second]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0.0, "1970-01-01 00:00 UTC"),
            (951_782_400.0, "2000-02-29 00:00 UTC"),
            (1_795_396_853.6, "2026-11-23 01:20 UTC"),
            (4_107_542_399.0, "2100-02-28 23:59 UTC"),
            (4_107_542_400.0, "2100-03-01 00:00 UTC"),
            (253_402_300_799.0, "9999-12-31 23:59 UTC"),
        ] {
            assert_eq!(date(seconds), text);
        }
        assert_eq!(date(-5.0), "at -5 s");
        assert_eq!(stamp(1_795_396_853_600_000), "2026-11-23T01:20:53Z");
        assert_eq!(stamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(stamp(u64::MAX), "9999-12-31T23:59:59Z");
    }
}
