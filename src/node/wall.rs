//! What the wall clock is used for, on a machine that may have none: the times in blocks and
//! signatures, and to say that it is not set. No timer asks it.

use super::Node;
use super::report::date;
use crate::ledger::Timestamp;
use crate::limits;
use crate::store::disk::Disk;

impl<D: Disk> Node<D> {
    /// The time of a block that is made now: never before the tip (PROTOCOL.md section 3).
    pub(super) fn block_time(&self) -> Timestamp {
        Timestamp::from_micros(self.now.wall).max(self.log.tip_time())
    }

    /// The time that this node's user signs with: never before the tip either. Signed in 1970, a
    /// release would be older than the request that it ends, and whoever finds it in a block that
    /// lost would not let it count (`glean`).
    ///
    /// Where the tip's time stands still, every block puts it a microsecond further: what is the
    /// same in all as an earlier transaction would be taken for that one. A tip so late that
    /// microseconds vanish in it was made by no clock, and is not followed.
    pub(super) fn wish_time(&self) -> Timestamp {
        let now = Timestamp::from_micros(self.now.wall);
        let tip = self.log.tip_time().seconds();
        if now.seconds() > tip || tip >= limits::CLOCK_EXACT_S {
            return now;
        }
        let micros = (tip * 1e6).round() as u64;
        Timestamp::from_micros(micros + self.log.tip().length)
    }

    /// Why the wall clock is not set, if that shows.
    pub(super) fn clock_doubt(&self) -> Option<String> {
        let now = self.now.wall as f64 / 1e6;
        let (built, tip) = (self.built as f64 / 1e6, self.log.tip_time().seconds());
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
