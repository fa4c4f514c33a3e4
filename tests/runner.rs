//! The program under test, started by itself or through the emulator that `BLX_RUNNER` names.

use std::env;
use std::path::Path;
use std::process::Command;

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
