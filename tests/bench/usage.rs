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
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("a process that runs");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next());
        let kib: Option<u64> = kib.and_then(|kib| kib.parse().ok());
        kib.expect("the kernel knows its memory") * 1024
    };
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
