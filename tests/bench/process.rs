//! Nodes as processes: how long one takes to its prompt, and how much memory it keeps.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::runner;
use crate::usage::{self, Memory};

/// What a menu asks at rest; the stand-in says the same.
pub const PROMPT: &str = "select > ";

/// A process that takes less than this in a second is idle.
const BUSY_MIN: Duration = Duration::from_millis(10);

/// A process that is ended when this is dropped.
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Its node ends as it should, so the next start finds nothing to remark on.
        let _ = kill_process(self.pid(), Signal::TERM);
        let _ = self.0.wait();
    }
}

impl Process {
    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    /// What it keeps in memory now.
    pub fn memory(&self) -> Memory {
        usage::memory(self.0.id())
    }

    /// Waits until it does next to nothing for a second.
    pub fn await_rest(&self) {
        let busy = || usage::processor_time(&self.0.id().to_string());
        let mut before = busy();
        loop {
            thread::sleep(Duration::from_secs(1));
            let now = busy();
            if now <= before + BUSY_MIN {
                return;
            }
            before = now;
        }
    }
}

/// The node of this crate in a data directory.
pub fn blx(directory: &Path) -> Command {
    let port = runner::free_port();
    let mut command = runner::blx();
    command.args(["--bind", "127.0.0.1", "--data-dir"]);
    command.arg(directory).arg(port.to_string());
    command.env("LC_ALL", "C.UTF-8");
    command
}

/// Starts it and waits for its prompt; says how long that took.
pub fn prompt(mut command: Command) -> (Process, Duration) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let start = Instant::now();
    let mut process = Process(command.spawn().expect("the program starts"));
    let mut out = process.0.stdout.take().expect("its output is a pipe");
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = out.read(&mut buffer).expect("a pipe can be read");
        assert!(count > 0, "the node ended before it asked anything");
        text.extend_from_slice(&buffer[..count]);
        if text
            .windows(PROMPT.len())
            .any(|part| part == PROMPT.as_bytes())
        {
            break;
        }
    }
    let took = start.elapsed();
    // A node whose output nobody takes any more would end.
    process.0.stdout = Some(out);
    (process, took)
}

/// Starts it without a menu and waits until it is idle.
pub fn idle(mut command: Command) -> Process {
    command.arg("--headless");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let process = Process(command.spawn().expect("the program starts"));
    process.await_rest();
    process
}
