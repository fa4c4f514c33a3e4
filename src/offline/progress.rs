//! How far a long check has come, on standard error.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// What takes no longer needs no word.
const QUIET: Duration = Duration::from_secs(1);

/// From one line to the next where each stays, and where each takes the place of the one before.
const APART: Duration = Duration::from_secs(5);
const APART_ON_TERMINAL: Duration = Duration::from_secs(1);

/// Says now and then how many blocks are checked.
#[derive(Debug)]
pub struct ProgressLine<W: Write> {
    out: W,
    terminal: bool,
    start: Instant,
    next: Duration,
    /// Columns that the last line took on a terminal.
    shown: usize,
}

impl ProgressLine<io::Stderr> {
    /// A check that begins now.
    pub fn begin() -> ProgressLine<io::Stderr> {
        let out = io::stderr();
        let terminal = out.is_terminal();
        ProgressLine::on(out, terminal)
    }
}

impl<W: Write> ProgressLine<W> {
    fn on(out: W, terminal: bool) -> ProgressLine<W> {
        ProgressLine {
            out,
            terminal,
            start: Instant::now(),
            next: QUIET,
            shown: 0,
        }
    }

    /// `checked` blocks are checked now, of `total` if that is known.
    pub fn at(&mut self, checked: u64, total: Option<u64>) {
        self.after(self.start.elapsed(), checked, total);
    }

    fn after(&mut self, time: Duration, checked: u64, total: Option<u64>) {
        if time < self.next {
            return;
        }
        let line = match total {
            Some(total) => format!("{} of {} blocks checked", grouped(checked), grouped(total)),
            None => format!("{} blocks checked", grouped(checked)),
        };
        // Nothing depends on it, so a standard error that is gone is no fault.
        let _ = match self.terminal {
            true => write!(self.out, "\rblx: {line}"),
            false => writeln!(self.out, "blx: {line}"),
        };
        self.next = time + self.apart();
        self.shown = "blx: ".len() + line.len();
    }

    fn apart(&self) -> Duration {
        match self.terminal {
            true => APART_ON_TERMINAL,
            false => APART,
        }
    }
}

impl<W: Write> Drop for ProgressLine<W> {
    /// Clears the line, so that what follows begins one of its own.
    fn drop(&mut self) {
        if self.terminal && self.shown > 0 {
            let _ = write!(self.out, "\r{:1$}\r", "", self.shown);
        }
    }
}

/// A number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(terminal: bool, milliseconds: &[u64]) -> String {
        let mut out = Vec::new();
        let mut progress = ProgressLine::on(&mut out, terminal);
        for (step, time) in milliseconds.iter().enumerate() {
            let checked = (step as u64 + 1) * 1_000;
            progress.after(Duration::from_millis(*time), checked, Some(1_000_000));
        }
        drop(progress);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_short_check_says_nothing() {
        for terminal in [false, true] {
            assert_eq!(said(terminal, &[0, 500, 999]), "");
        }
    }

    #[test]
    fn lines_that_stay_are_few() {
        assert_eq!(
            said(false, &[900, 1_000, 2_000, 5_999, 6_000, 7_000]),
            "blx: 2,000 of 1,000,000 blocks checked\nblx: 5,000 of 1,000,000 blocks checked\n"
        );
    }

    #[test]
    fn on_a_terminal_one_line_changes_and_goes() {
        let blank = " ".repeat("blx: 3,000 of 1,000,000 blocks checked".len());
        assert_eq!(
            said(true, &[1_000, 1_999, 2_000]),
            format!(
                "\rblx: 1,000 of 1,000,000 blocks checked\rblx: 3,000 of 1,000,000 blocks checked\r{blank}\r"
            )
        );
    }

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345_678, "12,345,678"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
