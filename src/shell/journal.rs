//! Standard error when it is the journal of systemd: a priority before each line, no time and no
//! name, which the journal knows itself. A flood of lines of one kind becomes a line and a count.

use std::borrow::Cow;
use std::env;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use log::{Level, Record};

use crate::limits::{LOG_TEXTS, LOG_WINDOW_MS};

/// There if standard error is the journal.
static LIMITER: OnceLock<Mutex<Limiter>> = OnceLock::new();

/// Whether standard error is the journal: `JOURNAL_STREAM` names its device and inode
/// (systemd.exec(5)). From then on [`write()`] may be used.
pub fn detect() -> bool {
    let stream = env::var("JOURNAL_STREAM").unwrap_or_default();
    let found = rustix::fs::fstat(io::stderr().as_fd())
        .is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino));
    if found {
        LIMITER.get_or_init(Mutex::default);
    }
    found
}

/// Writes a record, or only counts it.
pub fn write(out: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
    let text = record.args().to_string();
    let kind = Kind {
        module: record.module_path_static().unwrap_or_default(),
        line: record.line().unwrap_or_default(),
        tag: tag(&text).to_owned(),
    };
    let Some(mut limiter) = limiter() else {
        return Ok(());
    };
    let now = Instant::now();
    let mut lines = limiter.ended(Some(now));
    if limiter.admits(now, kind, record.level(), &text) {
        mark(&mut lines, record.level(), &text);
    }
    out.write_all(lines.as_bytes())
}

/// When [`flush`] has something to write: only while something is being counted.
pub fn deadline() -> Option<Instant> {
    limiter()?.deadline()
}

/// Writes the counts whose time is over.
pub fn flush() {
    flush_until(Some(Instant::now()));
}

/// Writes all counts, as the process ends.
pub fn finish() {
    flush_until(None);
}

/// `text` for standard error, as a fault is written that ends the process.
pub fn fault(text: &str) -> Cow<'_, str> {
    if LIMITER.get().is_none() {
        return text.into();
    }
    let mut lines = String::new();
    mark(
        &mut lines,
        Level::Error,
        text.strip_prefix("blx: ").unwrap_or(text),
    );
    lines.into()
}

fn limiter() -> Option<MutexGuard<'static, Limiter>> {
    let limiter = LIMITER.get()?;
    Some(limiter.lock().unwrap_or_else(PoisonError::into_inner))
}

fn flush_until(now: Option<Instant>) {
    let Some(mut limiter) = limiter() else { return };
    let lines = limiter.ended(now);
    if !lines.is_empty() {
        // Without a standard error nobody asked for it.
        let _ = io::stderr().write_all(lines.as_bytes());
    }
}

/// Appends every line of `text` with its priority (sd-daemon(3)).
fn mark(lines: &mut String, level: Level, text: &str) {
    let priority = match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    for line in text.lines() {
        // Writing to a string never fails.
        let _ = writeln!(lines, "<{priority}>{line}");
    }
}

/// The events that the node shows to its user come from one place in the source, and begin with
/// their kind in brackets: a word of ours and a sign. An IPv6 address is none.
fn tag(text: &str) -> &str {
    let inner = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (tag, _) = inner.unwrap_or_default();
    let (word, _) = tag.split_once(' ').unwrap_or((tag, ""));
    match !word.is_empty() && word.chars().all(|letter| letter.is_ascii_lowercase()) {
        true => tag,
        false => "",
    }
}

/// Where an event comes from: the line of the source that tells it, and its tag. There are only as
/// many as the source has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kind {
    module: &'static str,
    line: u32,
    tag: String,
}

/// A line was written, and what is like it is counted.
#[derive(Debug)]
struct Window {
    kind: Kind,
    level: Level,
    /// The line that was written.
    text: String,
    end: Instant,
    /// Lines that were not written.
    more: u64,
}

/// One line of a kind in [`LOG_WINDOW_MS`], then a count. Of warnings and errors each text is one of
/// its own, up to [`LOG_TEXTS`] at a time: another fault must not hide behind the first.
#[derive(Debug, Default)]
struct Limiter {
    open: Vec<Window>,
}

impl Limiter {
    /// Whether this line is to be written; else it is counted.
    fn admits(&mut self, now: Instant, kind: Kind, level: Level, text: &str) -> bool {
        let most = match level {
            Level::Error | Level::Warn => LOG_TEXTS,
            _ => 1,
        };
        let of_kind = self.open.iter_mut().filter(|window| window.kind == kind);
        let mut of_kind: Vec<&mut Window> = of_kind.collect();
        let same = of_kind.iter().position(|window| window.text == text);
        // One text too many counts with the oldest, which is told first.
        if let Some(at) = same.or((of_kind.len() >= most).then_some(0)) {
            of_kind[at].more += 1;
            return false;
        }
        self.open.push(Window {
            kind,
            level,
            text: text.to_owned(),
            end: now + Duration::from_millis(LOG_WINDOW_MS),
            more: 0,
        });
        true
    }

    /// The counts of the windows that end before or at `now`, else of all, with priorities.
    fn ended(&mut self, now: Option<Instant>) -> String {
        let over = |window: &mut Window| now.is_none_or(|now| window.end <= now);
        let mut lines = String::new();
        for window in self.open.extract_if(.., over) {
            if window.more > 0 {
                let seconds = LOG_WINDOW_MS / 1_000;
                let text = format!(
                    "and {} more like this in {seconds} s: {}",
                    window.more, window.text
                );
                mark(&mut lines, window.level, &text);
            }
        }
        lines
    }

    fn deadline(&self) -> Option<Instant> {
        let counting = self.open.iter().filter(|window| window.more > 0);
        counting.map(|window| window.end).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(line: u32) -> Kind {
        Kind {
            module: "blx::node",
            line,
            tag: String::new(),
        }
    }

    #[test]
    fn a_flood_is_a_line_and_a_count() {
        let mut limiter = Limiter::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert!(limiter.admits(at(0), kind(1), Level::Info, "a comes"));
        assert_eq!(limiter.deadline(), None, "nothing is counted yet");
        assert!(!limiter.admits(at(1), kind(1), Level::Info, "b comes"));
        assert!(limiter.admits(at(2), kind(2), Level::Warn, "another kind"));
        assert!(!limiter.admits(at(9_999), kind(1), Level::Info, "c comes"));
        assert_eq!(limiter.deadline(), Some(at(10_000)));
        assert_eq!(limiter.ended(Some(at(9_999))), "");
        assert_eq!(
            limiter.ended(Some(at(10_000))),
            "<6>and 2 more like this in 10 s: a comes\n"
        );
        assert_eq!(limiter.deadline(), None);
        assert!(limiter.admits(at(10_001), kind(1), Level::Info, "d comes"));
        assert_eq!(limiter.ended(Some(at(30_000))), "", "one line is no flood");
        assert!(limiter.open.is_empty());
    }

    #[test]
    fn a_warning_is_not_swallowed_by_another() {
        let mut limiter = Limiter::default();
        let now = Instant::now();
        for level in [Level::Error, Level::Warn] {
            let mut admits = |text| limiter.admits(now, kind(level as u32), level, text);
            assert!(admits("the peer book was damaged"));
            assert!(admits("what waited for a block was damaged"));
            assert!(!admits("the peer book was damaged"));
        }
        let told = "<3>and 1 more like this in 10 s: the peer book was damaged\n\
                    <4>and 1 more like this in 10 s: the peer book was damaged\n";
        assert_eq!(limiter.ended(None), told);
    }

    #[test]
    fn a_flood_of_warnings_that_differ_is_some_lines_and_a_count() {
        let mut limiter = Limiter::default();
        let start = Instant::now();
        for number in 0..1_000 {
            let now = start + Duration::from_millis(number as u64);
            let written = limiter.admits(now, kind(1), Level::Warn, &format!("block {number}"));
            assert_eq!(written, number < LOG_TEXTS, "{number}");
        }
        let admits =
            |limiter: &mut Limiter, text| limiter.admits(start, kind(1), Level::Warn, text);
        assert!(!admits(&mut limiter, "block 7"));
        assert!(limiter.admits(start, kind(2), Level::Warn, "another place"));
        let told = "<4>and 992 more like this in 10 s: block 0\n\
                    <4>and 1 more like this in 10 s: block 7\n";
        assert_eq!(limiter.ended(None), told);
        assert!(admits(&mut limiter, "block 1000"));
    }

    #[test]
    fn the_end_of_the_process_leaves_no_count_untold() {
        let mut limiter = Limiter::default();
        for text in ["x", "x"] {
            limiter.admits(Instant::now(), kind(1), Level::Error, text);
        }
        let told = "<3>and 1 more like this in 10 s: x\n";
        assert_eq!(limiter.ended(None), told);
    }

    #[test]
    fn every_line_of_a_text_has_its_priority() {
        let levels = [Level::Error, Level::Warn, Level::Info, Level::Debug];
        let mut lines = String::new();
        for level in levels {
            mark(&mut lines, level, "x");
        }
        mark(&mut lines, Level::Trace, "one\ntwo");
        assert_eq!(lines, "<3>x\n<4>x\n<6>x\n<7>x\n<7>one\n<7>two\n");
    }

    #[test]
    fn the_tag_of_an_event_is_ours_and_never_a_peers() {
        assert_eq!(tag("[store ⚠️] cut"), "store ⚠️");
        assert_eq!(tag("[consensus] taken"), "consensus");
        for text in [
            "[fe80::1]:6000 connected",
            "[::1]:7: lost",
            "[",
            "x [store] y",
            "[]",
        ] {
            assert_eq!(tag(text), "", "{text}");
        }
    }
}
