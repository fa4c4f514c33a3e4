//! A program with the menu, driven through its standard input and output as a user drives it.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Far more than anything here takes on a slow, busy machine.
pub const LIMIT: Duration = Duration::from_secs(120);
/// From one look at a status to the next.
const PAUSE: Duration = Duration::from_millis(20);

/// What menu option 9 says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub blocks: usize,
    pub reserved: usize,
    pub available: usize,
    pub peers: usize,
    pub tip: String,
    pub key: String,
}

/// A running program. Dropping it kills it, and in a failing test prints all it said.
pub struct Process {
    name: String,
    child: Child,
    input: ChildStdin,
    said: Arc<Stream>,
    complained: Arc<Stream>,
    /// What was typed, and how much had been said by then.
    typed: Vec<(usize, String)>,
}

impl Process {
    pub fn start(name: &str, command: &mut Command) -> Process {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let input = child.stdin.take().expect("a pipe");
        let said = Stream::of(child.stdout.take().expect("a pipe"));
        let complained = Stream::of(child.stderr.take().expect("a pipe"));
        Process {
            name: name.to_owned(),
            child,
            input,
            said,
            complained,
            typed: Vec::new(),
        }
    }

    pub fn type_line(&mut self, line: &str) {
        let said = self.said.lock().text.len();
        self.typed.push((said, line.to_owned()));
        self.input
            .write_all(format!("{line}\n").as_bytes())
            .unwrap_or_else(|error| panic!("{} does not take {line:?}: {error}", self.name));
    }

    /// The system's number for it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it said so far.
    pub fn said(&self) -> String {
        self.said.lock().text.clone()
    }

    /// Everything it wrote to standard error so far.
    #[allow(dead_code)]
    pub fn complained(&self) -> String {
        self.complained.lock().text.clone()
    }

    /// Waits until it has said `text` so often.
    #[allow(dead_code)]
    pub fn wait_for_count(&self, text: &str, count: usize) {
        self.wait_until(text, |said| {
            (said.matches(text).count() >= count).then_some(())
        });
    }

    /// Whether it says `text` so often within a moment.
    #[allow(dead_code)]
    pub fn has_said(&self, text: &str, count: usize) -> bool {
        let has = |said: &str| (said.matches(text).count() >= count).then_some(());
        self.find_within(Duration::from_secs(2), has).is_some()
    }

    /// Waits until it has said `text`, at whatever time.
    pub fn wait_for(&self, text: &str) {
        self.wait_until(text, |said| said.contains(text).then_some(()));
    }

    /// Waits until it has said one of these, and says which.
    pub fn wait_for_any(&self, texts: &[&str]) -> usize {
        self.wait_until(&texts.join(" or "), |said| {
            texts.iter().position(|text| said.contains(text))
        })
    }

    /// Types `lines` into the menu; what it said from then on up to the end of a status.
    pub fn ask(&mut self, lines: &[&str]) -> String {
        let start = self.said.lock().text.len();
        for line in lines {
            self.type_line(line);
        }
        self.type_line("9");
        self.wait_until("a status", |said| {
            let answer = said.get(start..)?;
            let last = answer.find("[status] node key: ")?;
            let end = answer[last..].find('\n')?;
            Some(answer[..last + end].to_owned())
        })
    }

    pub fn status(&mut self) -> Status {
        let answer = self.ask(&[]);
        let fields: HashMap<&str, &str> = answer
            .lines()
            .filter_map(|line| line.strip_prefix("[status] ")?.split_once(": "))
            .collect();
        let number = |name| fields[name].parse().expect("a number");
        Status {
            blocks: number("block count"),
            reserved: number("reserved items"),
            available: number("available items"),
            peers: number("connected peers"),
            tip: fields["tip"].to_owned(),
            key: fields["node key"].to_owned(),
        }
    }

    /// Asks for the status until it `holds`.
    pub fn wait_for_status(&mut self, wanted: &str, holds: impl Fn(&Status) -> bool) -> Status {
        let deadline = Instant::now() + LIMIT;
        loop {
            let status = self.status();
            if holds(&status) {
                return status;
            }
            let name = &self.name;
            assert!(
                Instant::now() < deadline,
                "{name}: not {wanted}: {status:?}"
            );
            thread::sleep(PAUSE);
        }
    }

    /// Ends it by its menu, and waits until it is gone.
    #[allow(dead_code)]
    pub fn exit(&mut self) {
        self.type_line("10");
        let deadline = Instant::now() + LIMIT;
        let mut said = self.said.lock();
        while !said.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} does not end", self.name);
            said = self.said.wait(said, left);
        }
        drop(said);
        let status = self.child.wait().expect("it was started");
        assert!(status.success(), "{}: {status}", self.name);
    }

    /// Ends it at once, whatever it is doing.
    pub fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn wait_until<T>(&self, wanted: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let found = self.find_within(LIMIT, find);
        found.unwrap_or_else(|| panic!("{} did not say {wanted:?}", self.name))
    }

    /// Looks for something in what it says; `None` if it is not there by then.
    fn find_within<T>(&self, time: Duration, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + time;
        let mut said = self.said.lock();
        loop {
            let found = find(&said.text);
            let left = deadline.saturating_duration_since(Instant::now());
            if found.is_some() || said.ended || left.is_zero() {
                return found;
            }
            said = self.said.wait(said, left);
        }
    }

    /// What it said, with what was typed where it was typed; without the menu and what answers a
    /// look at status, items and peers, which is taken all the time.
    fn transcript(&self) -> String {
        let (said, complained) = (self.said(), self.complained.lock().text.clone());
        let mut text = String::new();
        let mut at = 0;
        for (position, line) in &self.typed {
            text += &said[at..*position];
            if !["3", "4", "7", "9"].contains(&line.as_str()) {
                text += &format!("\u{ab}{line}\u{bb}");
            }
            at = *position;
        }
        text += &said[at..];
        let lines = text.lines().filter(|line| {
            let menu =
                line.contains(". ") && line.starts_with(|first: char| first.is_ascii_digit());
            let noise = [
                "[status] ",
                "  ",
                "=== ",
                "reserved items: ",
                "available items: ",
            ];
            let empty = ["", "select > "].contains(line);
            let peer = line.contains(" (we dialed), ") || line.contains(" (dialed us");
            !menu && !empty && !peer && !noise.iter().any(|start| line.starts_with(start))
        });
        let lines: Vec<&str> = lines.collect();
        format!(
            "==== {} ====\n{}\n---- its standard error ----\n{complained}",
            self.name,
            lines.join("\n")
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("{}", self.transcript());
        }
    }
}

/// A pipe that a thread empties, so that its writer never waits.
#[derive(Default)]
struct Stream {
    heard: Mutex<Heard>,
    more: Condvar,
}

#[derive(Default)]
struct Heard {
    text: String,
    ended: bool,
}

impl Stream {
    fn of(mut pipe: impl Read + Send + 'static) -> Arc<Stream> {
        let stream = Arc::new(Stream::default());
        let writer = Arc::clone(&stream);
        thread::spawn(move || {
            let (mut pending, mut buffer) = (Vec::new(), [0; 4096]);
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                pending.extend_from_slice(&buffer[..count]);
                // A character may be cut by a read: its rest comes with the next one.
                let whole = match str::from_utf8(&pending) {
                    Err(error) if error.error_len().is_none() => error.valid_up_to(),
                    _ => pending.len(),
                };
                let text = String::from_utf8_lossy(&pending[..whole]).into_owned();
                pending.drain(..whole);
                writer.lock().text += &text;
                writer.more.notify_all();
            }
            writer.lock().ended = true;
            writer.more.notify_all();
        });
        stream
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, heard: MutexGuard<'a, Heard>, limit: Duration) -> MutexGuard<'a, Heard> {
        let waited = self.more.wait_timeout(heard, limit);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
