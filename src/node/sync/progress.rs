//! How far a chain has come in, if that takes long.

use crate::limits;
use crate::node::event::Millis;

/// A chain that comes in.
#[derive(Clone, Copy)]
struct Transfer {
    conn: usize,
    began: Millis,
    /// The height at which it began, and where it is.
    first: u64,
    height: u64,
    /// The length that it will have, if that is known.
    goal: Option<u64>,
    /// When it is shown next: where one line replaces the one before, and where each stays.
    next: Millis,
    next_line: Millis,
}

/// The chain that comes in, if there is one.
#[derive(Default)]
pub struct TransferProgress(Option<Transfer>);

impl TransferProgress {
    /// The chain of a peer has come to this height.
    pub fn at(&mut self, now: Millis, conn: usize, height: u64, goal: Option<u64>) {
        match &mut self.0 {
            Some(transfer) if transfer.conn == conn => {
                (transfer.height, transfer.goal) = (height, goal);
            }
            empty => {
                let first_shown = Millis(now.0 + limits::PROGRESS_QUIET_MS);
                *empty = Some(Transfer {
                    conn,
                    began: now,
                    first: height,
                    height,
                    goal,
                    next: first_shown,
                    next_line: first_shown,
                });
            }
        }
    }

    /// When it is to be shown.
    pub fn due(&self) -> Option<Millis> {
        self.0.map(|transfer| transfer.next)
    }
}

impl Transfer {
    /// Blocks done, of how many, the rate, the time left.
    fn text(&self, now: Millis) -> String {
        let Transfer {
            first,
            height,
            goal,
            ..
        } = *self;
        let (done, ms) = (height.saturating_sub(first), (now.0 - self.began.0).max(1));
        let rate = match done * 1000 / ms {
            0 => "less than one".into(),
            rate => rate.to_string(),
        };
        let Some(goal) = goal.filter(|goal| *goal >= height) else {
            return format!("[consensus] {height} blocks have come, {rate} a second");
        };
        let left = match done {
            0 => "no end in sight".into(),
            _ => {
                let left = (goal - height).saturating_mul(ms) / done;
                format!("{} s left", left.div_ceil(1000))
            }
        };
        format!("[consensus] {height} of {goal} blocks have come, {rate} a second, {left}")
    }
}

impl TransferProgress {
    /// The connection whose chain comes in.
    pub fn conn(&self) -> Option<usize> {
        self.0.map(|transfer| transfer.conn)
    }

    /// It has ended.
    pub fn end(&mut self) {
        self.0 = None;
    }

    /// What is to be shown now, and whether on lines of its own too.
    pub fn text(&self, now: Millis) -> Option<(String, bool)> {
        let transfer = self.0.filter(|transfer| transfer.next <= now)?;
        Some((transfer.text(now), transfer.next_line <= now))
    }

    /// It was shown: with `lines`, on lines of their own too; perhaps on a terminal.
    pub fn shown(&mut self, now: Millis, lines: bool, terminal: bool) {
        let Some(transfer) = &mut self.0 else { return };
        if lines {
            transfer.next_line = Millis(now.0 + limits::PROGRESS_APART_MS);
        }
        transfer.next = match terminal {
            true => Millis(now.0 + limits::PROGRESS_APART_TERMINAL_MS),
            false => transfer.next_line,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_far_how_fast_and_how_long() {
        let mut progress = TransferProgress::default();
        progress.at(Millis(1_000), 3, 100, Some(1_100));
        progress.at(Millis(3_000), 3, 600, Some(1_100));
        let transfer = progress.0.expect("it began");
        assert_eq!(progress.due(), Some(Millis(3_000)));
        assert_eq!(
            transfer.text(Millis(3_000)),
            "[consensus] 600 of 1100 blocks have come, 250 a second, 2 s left"
        );
        progress.at(Millis(5_000), 3, 700, None);
        let transfer = progress.0.expect("it goes on");
        assert_eq!(
            transfer.text(Millis(5_000)),
            "[consensus] 700 blocks have come, 150 a second"
        );
        // Large blocks over a slow link.
        progress.at(Millis(5_000), 4, 0, Some(10));
        progress.at(Millis(25_000), 4, 8, Some(10));
        let transfer = progress.0.expect("another one");
        assert_eq!(
            transfer.text(Millis(25_000)),
            "[consensus] 8 of 10 blocks have come, less than one a second, 5 s left"
        );
    }
}
