//! The lock that keeps a second node out of a data directory, and the note of how the last one ended.

use std::fs::{self, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::{Fault, reason};

/// The name of the lock file. It is never removed: between opening and locking a removed file, a
/// second node could lock the new one of the same name.
const LOCK: &str = "lock";

/// The locked file. Its first line is the process that runs, or a word when that has ended as it
/// should; its second line counts those that have not.
#[derive(Debug)]
pub struct Lock {
    file: fs::File,
    unclean: u32,
    /// The last one has not ended as it should.
    last: bool,
}

impl Lock {
    /// Takes the lock, and notes that a node runs.
    pub fn take(directory: &Path) -> Result<Lock, Fault> {
        let shown = directory.display();
        let path = directory.join(LOCK);
        let unusable = |error: io::Error| {
            let way_out = match error.kind() {
                ErrorKind::StorageFull => "make room on the disk or ",
                ErrorKind::PermissionDenied => "correct its permissions or ",
                _ => "",
            };
            Fault(format!(
                "cannot write in the data directory {shown}: {}: {way_out}choose another directory \
                 with --data-dir",
                reason(&error)
            ))
        };
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = match holder(&path) {
                    Some(pid) => format!("another blx (process {pid})"),
                    None => "another blx".to_owned(),
                };
                return Err(Fault(format!(
                    "the data directory {shown} is in use by {holder}: stop that one or choose \
                     another directory with --data-dir"
                )));
            }
            Err(TryLockError::Error(error)) => {
                return Err(Fault(format!(
                    "cannot lock the data directory {shown}: {}: choose one on a local disk with \
                     --data-dir",
                    reason(&error)
                )));
            }
        }
        let before = fs::read_to_string(&path).map_err(unusable)?;
        let (unclean, last) = (unclean_stops(&before), was_running(&before));
        let pid = std::process::id().to_string();
        let lock = Lock {
            file: lock,
            unclean,
            last,
        };
        lock.note(&pid).map_err(unusable)?;
        Ok(lock)
    }

    /// How often a node in this directory was killed, or lost its power, since it was made.
    pub fn unclean_stops(&self) -> u32 {
        self.unclean
    }

    /// Whether the last one was.
    pub fn unclean_stop(&self) -> bool {
        self.last
    }

    fn note(&self, state: &str) -> io::Result<()> {
        let text = format!("{state}\nunclean stops: {}\n", self.unclean);
        self.file.write_all_at(text.as_bytes(), 0)?;
        self.file.set_len(text.len() as u64)
    }
}

/// Unclean stops up to the start that finds this text in the lock file.
fn unclean_stops(text: &str) -> u32 {
    let count = text
        .lines()
        .nth(1)
        .and_then(|line| line.strip_prefix("unclean stops: "));
    let before: u32 = count.and_then(|count| count.parse().ok()).unwrap_or(0);
    before.saturating_add(u32::from(was_running(text)))
}

/// Whether this text was left by a process that did not end as it should.
fn was_running(text: &str) -> bool {
    let process = text.lines().next();
    process.is_some_and(|line| line.parse::<u32>().is_ok())
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Without the note the next start counts an unclean stop too many.
        let _ = self.note("stopped");
        // Closing is not enough: a child that is just being made holds a copy of the descriptor,
        // and with it the lock. A failure leaves the lock to the end of the process.
        let _ = self.file.unlock();
    }
}

fn holder(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.lines().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::disk::SystemDisk;
    use super::*;

    #[test]
    fn a_stop_without_a_note_is_an_unclean_one() {
        for (text, count) in [
            ("", 0),
            ("4711\n", 1),
            ("stopped\nunclean stops: 0\n", 0),
            ("stopped\nunclean stops: 3\n", 3),
            ("4711\nunclean stops: 3\n", 4),
            ("4711\nunclean stops: 4294967295\n", u32::MAX),
            ("rubbish\nrubbish\n", 0),
        ] {
            assert_eq!(unclean_stops(text), count, "{text:?}");
        }
        let home = tempfile::tempdir().expect("a directory");
        for _ in 0..2 {
            let disk = SystemDisk::open(home.path()).expect("opens");
            assert_eq!((disk.unclean_stops(), disk.unclean_stop()), (0, false));
        }
        let killed = fs::read_to_string(home.path().join(LOCK)).expect("reads");
        let killed = killed.replace("stopped", "4711");
        fs::write(home.path().join(LOCK), killed).expect("writes");
        for last in [true, false] {
            let disk = SystemDisk::open(home.path()).expect("opens");
            assert_eq!((disk.unclean_stops(), disk.unclean_stop()), (1, last));
        }
    }
}
