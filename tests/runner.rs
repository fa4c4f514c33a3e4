//! The program under test, started by itself or through the emulator that `BLX_RUNNER` names, and
//! ports for it.

use std::env;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use blx::shell::resolve::{RUNNER, starting};

/// The program as it was built for this test.
pub fn blx() -> Command {
    starting(Path::new(env!("CARGO_BIN_EXE_blx")))
}

/// What it said on standard error, but for how far a check was: on a slow machine a short one says
/// so too.
#[allow(dead_code)]
pub fn remarks(errors: &str) -> String {
    let lines = errors.split_inclusive('\n');
    lines
        .filter(|line| !line.starts_with("blx: ") || !line.ends_with(" blocks checked\n"))
        .collect()
}

/// What a program that is started in an empty environment still needs.
#[allow(dead_code)]
pub fn environment() -> Option<(&'static str, String)> {
    Some((RUNNER, env::var(RUNNER).ok()?))
}

/// Below the ports that the system gives to connections, so that a node that is started again
/// finds its port free.
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

/// A port that nobody has now.
#[allow(dead_code)]
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    // Runs of the tests at the same time begin at different places.
    let start = std::process::id().wrapping_mul(997);
    loop {
        let step = u32::from(NEXT_PORT.fetch_add(1, Ordering::Relaxed));
        let port = (FIRST + start.wrapping_add(step) % COUNT) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
