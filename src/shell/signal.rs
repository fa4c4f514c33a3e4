//! SIGINT and SIGTERM as one more descriptor to poll.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

/// The signals that end a node.
#[derive(Debug)]
pub struct Signals {
    arrived: UnixStream,
}

impl Signals {
    /// Catches them from now on. The first makes the descriptor readable; the second ends the
    /// process on the spot, with exit code 0, whatever it is waiting for. That loses nothing: what
    /// was told to anybody is on disk.
    pub fn catch() -> io::Result<Signals> {
        let (arrived, write) = UnixStream::pair()?;
        arrived.set_nonblocking(true)?;
        let stopping = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // Actions run in the order of their registration, so the first signal finds the flag
            // down.
            flag::register_conditional_shutdown(signal, 0, Arc::clone(&stopping))?;
            flag::register(signal, Arc::clone(&stopping))?;
            low_level::pipe::register(signal, write.try_clone()?)?;
        }
        Ok(Signals { arrived })
    }

    /// What to poll for input.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.arrived.as_fd()
    }

    /// Whether a signal came; takes it.
    pub fn take(&mut self) -> bool {
        matches!(self.arrived.read(&mut [0; 8]), Ok(count) if count > 0)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Signals that come when something is written to the stream, and only then.
    pub fn pretended() -> (Signals, UnixStream) {
        let (arrived, write) = UnixStream::pair().expect("a pair");
        arrived.set_nonblocking(true).expect("nonblocking");
        (Signals { arrived }, write)
    }

    // The only test that raises a signal: a second one would end the test process.
    #[test]
    fn a_signal_is_told_once() {
        let mut signals = Signals::catch().expect("catches");
        assert!(!signals.take());
        low_level::raise(SIGTERM).expect("raises");
        assert!(signals.take());
        assert!(!signals.take());
    }
}
