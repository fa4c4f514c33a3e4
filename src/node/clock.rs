//! What the wall clock is used for, on a machine that may have none: the times in blocks and
//! signatures, and to say that it is not set. No timer asks it.

use std::collections::BTreeMap;

use super::effects::Cx;
use crate::ledger::{Kind, Timestamp, Transaction, Uid};
use crate::limits;
use crate::store::disk::Disk;

impl<D: Disk> Cx<D> {
    /// The time of a block that is made now: never before the tip (PROTOCOL.md section 3).
    pub fn block_time(&self) -> Timestamp {
        Timestamp::from_micros(self.now.wall).max(self.chain.tip_time())
    }

    /// A time to sign with that is not before this one. Where that time stands still, every block puts it
    /// a microsecond further: what is the same in all as an earlier transaction would be taken for that
    /// one.
    ///
    /// A time so late that microseconds vanish in it was shown by no clock, and is not followed.
    fn not_before(&self, least: Timestamp) -> Timestamp {
        let (now, least) = (Timestamp::from_micros(self.now.wall), least.seconds());
        if now.seconds() > least || least >= limits::CLOCK_EXACT_S {
            return now;
        }
        let micros = (least * 1e6).round() as u64;
        Timestamp::from_micros(micros + self.chain.tip().length)
    }
}

/// The machine's wall clock beside the times in the chain.
pub struct WallClock {
    /// When this program was built: microseconds since 1970.
    built: u64,
    /// The user was told that the last block is ahead of the clock.
    told: bool,
}

impl WallClock {
    /// Of a program that was built then.
    pub fn new(built: u64) -> WallClock {
        WallClock { built, told: false }
    }

    /// Why the wall clock is not set, if that shows.
    pub fn doubt<D: Disk>(&self, cx: &Cx<D>) -> Option<String> {
        let now = cx.now.wall as f64 / 1e6;
        let (built, tip) = (self.built as f64 / 1e6, cx.chain.tip_time().seconds());
        let why = if now < built {
            format!("this blx was built {}", date(built))
        } else if tip - now > limits::CLOCK_BEHIND_S {
            format!("the last block is of {}", date(tip))
        } else {
            return None;
        };
        Some(format!("it shows {}, but {why}", date(now)))
    }

    /// Whether the last block is so far ahead of a clock that was set that the block is what is wrong.
    fn is_left_behind<D: Disk>(&self, cx: &Cx<D>) -> bool {
        let ahead = cx.chain.tip_time().seconds() - cx.now.wall as f64 / 1e6;
        cx.now.wall >= self.built && ahead > limits::TIP_AHEAD_S
    }

    /// The chain has a new end: says so, once, if its time is far ahead.
    pub fn tip_changed<D: Disk>(&mut self, cx: &mut Cx<D>) {
        let ahead = self.is_left_behind(cx);
        if ahead && !self.told {
            let (tip, now) = (cx.chain.tip_time().seconds(), cx.now.wall as f64 / 1e6);
            cx.effects.alert(format!(
                "[consensus ⚠️] the last block is of {}, and this clock shows {}: requests and \
                 releases made here have the clock's time.",
                date(tip),
                date(now)
            ));
        }
        self.told = ahead;
    }

    /// The times that this node's user signs a change of these items with: never before the tip. Signed
    /// in 1970, a release would be older than the request that it ends, and whoever finds it in a block
    /// that lost would not let it count (`salvage_from_chain`).
    ///
    /// If the last block is far ahead of a clock that was set, only that is kept which matters, that a
    /// release is not before its request, which `waiting` has or the chain. Anybody can date a block.
    pub fn times<'a, D: Disk>(
        &self,
        cx: &mut Cx<D>,
        kind: Kind,
        items: &[Uid],
        waiting: impl Iterator<Item = &'a Transaction>,
    ) -> Vec<Timestamp> {
        let tip = cx.chain.tip_time();
        if !self.is_left_behind(cx) {
            return vec![cx.not_before(tip); items.len()];
        }
        let now = Timestamp::from_micros(cx.now.wall);
        if kind == Kind::Request {
            return vec![now; items.len()];
        }
        let requests = waiting.filter(|waits| waits.kind == Kind::Request);
        let requests: BTreeMap<&Uid, Timestamp> =
            requests.map(|it| (&it.uid, it.timestamp)).collect();
        let budget = cx.chain.budget();
        let release = |uid: &Uid| {
            let ended = requests.get(uid).copied();
            let ended = ended.or_else(|| requested(cx, uid, budget)).unwrap_or(tip);
            cx.not_before(ended).max(ended)
        };
        items.iter().map(release).collect()
    }
}

/// When an item was requested, by the chain. `None` also if it cannot be read, or so much was read already.
fn requested<D: Disk>(cx: &mut Cx<D>, uid: &Uid, budget: u64) -> Option<Timestamp> {
    let height = cx.chain.items().get(uid)?.since;
    if cx.chain.is_over(budget) {
        return None;
    }
    let stored = cx.chain.read(height).ok()?;
    let last = stored.last_change(|changed| changed == uid)?;
    Some(last.timestamp)
}

/// A day and a minute in UTC, by the rule that 400 years have 146,097 days; a time that no
/// calendar has is shown as it is.
pub fn date(seconds: f64) -> String {
    if !(0.0..253_402_300_800.0).contains(&seconds) {
        return format!("at {seconds} s");
    }
    let [year, month, day, hour, minute, _] = calendar(seconds as u64);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

/// A time in UTC as files have it, of microseconds since 1970: `2026-11-25T11:52:03Z`. What is later
/// than the last year of four digits is its last second.
pub fn stamp(micros: u64) -> String {
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
