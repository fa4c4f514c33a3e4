//! What processes write, read in threads, and the one way to wait for it.

use std::fmt::Display;
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long something may take before it counts as not happening.
pub const LIMIT: Duration = Duration::from_secs(120);

/// From one look to the next, where nobody tells.
const PAUSE: Duration = Duration::from_millis(20);

/// Held while any stream changes, so that one bell serves all who wait.
static BOARD: Mutex<()> = Mutex::new(());
static BELL: Condvar = Condvar::new();

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until some process has written what makes `condition` give something; `None` when the
/// limit is over.
pub fn wait_for<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    let mut board = locked(&BOARD);
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        let left = end.checked_duration_since(Instant::now())?;
        board = BELL
            .wait_timeout(board, left)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
    }
}

/// Looks again and again until there is what is wanted: of a file or a status nobody tells when it
/// changes. What is in the way is said if it stays.
pub fn until<T, E: Display>(mut look: impl FnMut() -> Result<T, E>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        match look() {
            Ok(found) => return found,
            Err(why) => assert!(Instant::now() < end, "{why}"),
        }
        thread::sleep(PAUSE);
    }
}

#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    ended: bool,
    /// Nothing is read behind this.
    hold: Option<String>,
}

impl Written {
    fn is_held(&self) -> bool {
        let hold = self.hold.as_deref();
        hold.is_some_and(|hold| find(&self.bytes, hold).is_some())
    }
}

/// Where the first `text` begins.
fn find(bytes: &[u8], text: &str) -> Option<usize> {
    let mut windows = bytes.windows(text.len());
    windows.position(|window| window == text.as_bytes())
}

/// What a process has written so far.
#[derive(Clone, Default)]
pub struct Stream(Arc<Mutex<Written>>);

impl Stream {
    /// Reads `source` to its end in a thread.
    pub fn of(mut source: impl Read + Send + 'static) -> Stream {
        let stream = Stream::default();
        let reader = stream.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                // A terminal whose other side is closed fails instead of ending.
                let count = source.read(&mut buffer).unwrap_or(0);
                let mut board = locked(&BOARD);
                let mut written = locked(&reader.0);
                written.bytes.extend_from_slice(&buffer[..count]);
                written.ended = count == 0;
                BELL.notify_all();
                if count == 0 {
                    return;
                }
                drop(written);
                while locked(&reader.0).is_held() {
                    board = BELL.wait(board).unwrap_or_else(PoisonError::into_inner);
                }
            }
        });
        stream
    }

    /// Stops reading when `text` has come: at most a buffer behind it is taken.
    pub fn hold_at(&self, text: &str) {
        locked(&self.0).hold = Some(text.to_owned());
    }

    /// Goes on reading.
    pub fn let_go(&self) {
        let _board = locked(&BOARD);
        locked(&self.0).hold = None;
        BELL.notify_all();
    }

    pub fn text(&self) -> String {
        self.text_from(0)
    }

    pub fn text_from(&self, from: usize) -> String {
        self.text_between(from, self.len())
    }

    pub fn text_between(&self, from: usize, to: usize) -> String {
        String::from_utf8_lossy(&locked(&self.0).bytes[from..to]).into_owned()
    }

    pub fn len(&self) -> usize {
        locked(&self.0).bytes.len()
    }

    pub fn ended(&self) -> bool {
        locked(&self.0).ended
    }

    /// Where the first `text` behind `from` ends.
    fn find(&self, from: usize, text: &str) -> Option<usize> {
        let written = locked(&self.0);
        let at = find(&written.bytes[from..], text)?;
        Some(from + at + text.len())
    }

    /// Waits for `text` behind `from` and says where it ends; `None` if it never comes.
    pub fn await_text(&self, from: usize, text: &str) -> Option<usize> {
        self.await_within(LIMIT, from, text)
    }

    /// Waits until `text` has come `count` times; false if it does not.
    pub fn await_count(&self, limit: Duration, text: &str, count: usize) -> bool {
        let end = Instant::now() + limit;
        let mut at = 0;
        (0..count).all(|_| {
            let left = end.saturating_duration_since(Instant::now());
            let found = self.await_within(left, at, text);
            at = found.unwrap_or(at);
            found.is_some()
        })
    }

    fn await_within(&self, limit: Duration, from: usize, text: &str) -> Option<usize> {
        // What was searched is not searched again: megabytes may come in pieces of a page.
        let mut searched = from;
        let found = wait_for(limit, || {
            let ended = self.ended();
            match self.find(searched, text) {
                Some(at) => Some(Some(at)),
                None => {
                    searched = searched.max(self.len().saturating_sub(text.len()));
                    ended.then_some(None)
                }
            }
        });
        found.flatten()
    }
}
