//! What the wall clock is used for, on a machine that may have none: the times in blocks and
//! signatures, and to say that it is not set. No timer asks it.

use super::effects::Cx;
use crate::ledger::Timestamp;
use crate::limits;
use crate::store::disk::Disk;

impl<D: Disk> Cx<D> {
    /// The time of a block that is made now: never before the tip (PROTOCOL.md section 3).
    pub fn block_time(&self) -> Timestamp {
        Timestamp::from_micros(self.now.wall).max(self.chain.tip_time())
    }

    /// The time that this node's user signs with: never before the tip either. Signed in 1970, a
    /// release would be older than the request that it ends, and whoever finds it in a block that
    /// lost would not let it count (`salvage_from_chain`).
    ///
    /// Where the tip's time stands still, every block puts it a microsecond further: what is the
    /// same in all as an earlier transaction would be taken for that one. A tip so late that
    /// microseconds vanish in it was made by no clock, and is not followed.
    pub fn request_time(&self) -> Timestamp {
        let now = Timestamp::from_micros(self.now.wall);
        let tip = self.chain.tip_time().seconds();
        if now.seconds() > tip || tip >= limits::CLOCK_EXACT_S {
            return now;
        }
        let micros = (tip * 1e6).round() as u64;
        Timestamp::from_micros(micros + self.chain.tip().length)
    }

    /// Why the wall clock is not set, if that shows.
    pub fn clock_doubt(&self, built: u64) -> Option<String> {
        let now = self.now.wall as f64 / 1e6;
        let (built, tip) = (built as f64 / 1e6, self.chain.tip_time().seconds());
        let why = if now < built {
            format!("this blx was built {}", date(built))
        } else if tip - now > limits::CLOCK_BEHIND_S {
            format!("the last block is of {}", date(tip))
        } else {
            return None;
        };
        Some(format!("it shows {}, but {why}", date(now)))
    }
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
