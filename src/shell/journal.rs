//! Standard error when it is the journal of systemd: a priority before each line, and neither time
//! nor name, which the journal knows itself. The service's unit limits how many lines it takes.

use std::borrow::Cow;
use std::env;
use std::fmt::Write as _;
use std::io;
use std::os::fd::AsFd;

use log::Level;

/// Whether standard error is the journal: `JOURNAL_STREAM` names its device and inode
/// (systemd.exec(5)).
pub fn is_there() -> bool {
    let stream = env::var("JOURNAL_STREAM").unwrap_or_default();
    rustix::fs::fstat(io::stderr().as_fd())
        .is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// Every line of `text` with its priority (sd-daemon(3)).
pub fn marked(level: Level, text: &str) -> String {
    let priority = match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    let mut lines = String::new();
    for line in text.lines() {
        // Writing to a string never fails.
        let _ = writeln!(lines, "<{priority}>{line}");
    }
    lines
}

/// `text` for standard error, as a fault is written that ends the process.
pub fn fault(text: &str) -> Cow<'_, str> {
    match is_there() {
        true => marked(Level::Error, text.strip_prefix("blx: ").unwrap_or(text)).into(),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_a_text_has_its_priority() {
        let levels = [Level::Error, Level::Warn, Level::Info, Level::Debug];
        let lines = levels.map(|level| marked(level, "x")).concat();
        assert_eq!(lines, "<3>x\n<4>x\n<6>x\n<7>x\n");
        assert_eq!(marked(Level::Trace, "one\ntwo"), "<7>one\n<7>two\n");
    }
}
