//! How fast the chain may change by what others say. Each change is synced, and a card wears out by that:
//! whoever makes valid blocks as fast as they can is taken in larger pieces.

use crate::limits;
use crate::node::event::Millis;

/// The changes of late.
#[derive(Default)]
pub struct Pace {
    /// Each change of late moves this on by [`limits::PACE_MS`]: it may be so far ahead of the time
    /// as [`limits::PACE_BURST`] changes take.
    spent: Millis,
    /// When a block may be put in the place of our last one again.
    rival: Millis,
}

impl Pace {
    /// When the next change may be made; not in the future if now.
    pub fn next(&self) -> Millis {
        let burst = (limits::PACE_BURST - 1) * limits::PACE_MS;
        Millis(self.spent.0.saturating_sub(burst))
    }

    /// A change of this many blocks is made. Large ones are no waste.
    pub fn spend(&mut self, now: Millis, blocks: u64) {
        if blocks < limits::PACE_BLOCKS {
            self.spent = Millis(self.spent.max(now).0 + limits::PACE_MS);
        }
    }

    /// When our last block may give way to another one of the same height.
    pub fn rival(&self) -> Millis {
        self.rival.max(self.next())
    }

    /// It does.
    pub fn spend_rival(&mut self, now: Millis) {
        self.rival = Millis(now.0 + limits::RIVAL_MS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of the changes that are tried each millisecond are made in this time.
    fn made(pace: &mut Pace, times: core::ops::Range<u64>, blocks: u64) -> u64 {
        let mut made = 0;
        for now in times.map(Millis) {
            if pace.next() <= now {
                pace.spend(now, blocks);
                made += 1;
            }
        }
        made
    }

    #[test]
    fn some_changes_at_once_and_then_one_in_a_while() {
        let mut pace = Pace::default();
        let begin = 1_000_000;
        assert_eq!(made(&mut pace, begin..begin + 1, 1), 1);
        assert_eq!(
            made(&mut pace, begin + 1..begin + limits::PACE_MS, 1),
            limits::PACE_BURST - 1
        );
        let later = begin + limits::PACE_MS;
        assert_eq!(made(&mut pace, later..later + 50 * limits::PACE_MS, 1), 50);
        // Quiet for a while, it starts anew.
        let later = later + 500 * limits::PACE_MS;
        assert_eq!(
            made(&mut pace, later..later + 2, 1),
            limits::PACE_BURST.min(2)
        );
    }

    #[test]
    fn large_changes_are_not_counted() {
        let mut pace = Pace::default();
        assert_eq!(made(&mut pace, 0..5_000, limits::PACE_BLOCKS), 5_000);
    }

    #[test]
    fn the_last_block_gives_way_once_in_a_while() {
        let mut pace = Pace::default();
        let now = Millis(7);
        assert!(pace.rival() <= now);
        pace.spend_rival(now);
        assert_eq!(pace.rival(), Millis(7 + limits::RIVAL_MS));
        assert!(pace.next() <= now);
    }
}
