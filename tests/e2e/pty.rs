//! Pseudo-terminals. Whoever leads a session and opens a terminal without `O_NOCTTY` becomes its
//! owner, and is hung up with it; the tests may well be run by such a process.

use std::env;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use blx::shell::resolve::starting;
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// A new terminal: the side that a person or a line is at, and the name of the other side.
pub fn terminal() -> (File, PathBuf) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let near = openpt(flags).expect("a terminal");
    grantpt(&near).expect("it is ours");
    unlockpt(&near).expect("it is ours");
    let name = ptsname(&near, Vec::new()).expect("its name");
    (File::from(near), name.to_str().expect("ASCII").into())
}

/// The other side.
pub fn other_side(name: &Path) -> File {
    let flags = OFlags::NOCTTY.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(flags);
    options.open(name).expect("opens")
}

/// Under `setsid` the tests lead a session without a terminal: the first one that they opened without
/// `O_NOCTTY` would be theirs, and would end them when it closes.
#[test]
fn tests_that_lead_a_session_do_not_own_the_terminals_that_they_open() {
    let tests = env::current_exe().expect("its name");
    let tests = starting(&tests);
    let mut command = Command::new("setsid");
    command.arg(tests.get_program()).args(tests.get_args());
    command.args(["--exact", "terminal::control_d_ends_the_node"]);
    let output = command.output().expect("setsid is there");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}: {said}", output.status);
    assert!(said.contains("1 passed"), "{said}");
}
