//! What a process has used of the machine.

use std::fs;
use std::time::Duration;

/// The resident memory of a process, in bytes.
#[derive(Clone, Copy)]
pub struct Memory {
    /// Now.
    pub resident: u64,
    /// The most so far.
    pub peak: u64,
}

/// What a process keeps in memory now.
pub fn memory(id: u32) -> Memory {
    let field = |name| number(id, "status", name) * 1024;
    Memory {
        resident: field("VmRSS:"),
        peak: field("VmHWM:"),
    }
}

/// How long a process has had a processor, if it has one thread; `thread-self` is this thread.
pub fn processor_time(id: &str) -> Duration {
    let times = fs::read_to_string(format!("/proc/{id}/schedstat")).expect("a process that runs");
    let nanos = times.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.expect("the kernel counts it"))
}

/// How often a process has gone to sleep by itself.
pub fn switches(id: u32) -> u64 {
    number(id, "status", "voluntary_ctxt_switches:")
}

/// The number behind a name in a file of /proc.
pub fn number(id: u32, file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/{file}")).expect("a process that runs");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let word = line.and_then(|line| line.split_whitespace().next());
    word.and_then(|word| word.parse().ok()).expect("a number")
}
