//! Nodes as processes: how long one takes to its prompt, and how much memory it keeps.

use std::ops::Deref;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Launch, Node, Signal, free_port};
use crate::usage::{self, Memory};

/// A process that takes less than this in a second is idle.
const BUSY_MIN: Duration = Duration::from_millis(10);

/// A process that is ended when this is dropped.
pub struct Process(pub Node);

impl Drop for Process {
    fn drop(&mut self) {
        // Its node ends as it should, so the next start finds nothing to remark on.
        self.0.signal(Signal::TERM);
        self.0.ended();
    }
}

impl Deref for Process {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.0
    }
}

impl Process {
    /// What it keeps in memory now.
    pub fn memory(&self) -> Memory {
        usage::memory(self.id())
    }

    /// Waits until it does next to nothing for a second.
    pub fn await_rest(&self) {
        let busy = || usage::processor_time(&self.id().to_string());
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

/// Starts it and waits for its prompt; says how long that took.
pub fn prompt(command: Command) -> (Process, Duration) {
    let start = Instant::now();
    let node = Node::start("what is measured", command, 0);
    (Process(node), start.elapsed())
}

/// The node of this crate in a data directory, on its way to the prompt.
pub fn blx(directory: &Path) -> Command {
    Launch::on(directory).command(free_port())
}

/// The same without a menu, when it is idle.
pub fn idle(directory: &Path) -> Process {
    let launch = Launch::on(directory).arg("--headless");
    let process = Process(launch.spawn(Stdio::null()));
    process.await_rest();
    process
}
