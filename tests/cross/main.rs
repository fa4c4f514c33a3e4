//! Nodes for two kinds of processor side by side: what one writes the other reads, and both are
//! nodes of one LAN.
//!
//! One kind is the program as it was built for this test, the other one the program that
//! `BLX_NATIVE` names. Without it these tests are passed over, which is said, and is a failure if
//! `BLX_REQUIRE_NATIVE` is 1. `cross/test.sh` runs them.

#[path = "../blocks.rs"]
mod blocks;
mod files;
// The tests beside desktop nodes use the rest of these.
#[allow(dead_code)]
#[path = "../desktop/harness.rs"]
mod harness;
#[allow(dead_code)]
#[path = "../needs.rs"]
mod needs;
#[allow(dead_code)]
#[path = "../desktop/nodes.rs"]
mod nodes;
#[allow(dead_code)]
#[path = "../e2e/peer.rs"]
mod peer;
#[allow(dead_code)]
#[path = "../desktop/relay.rs"]
mod relay;
#[path = "../runner.rs"]
mod runner;
mod walkthrough;

use std::path::PathBuf;
use std::process::Command;

/// One of the two.
#[derive(Clone)]
enum Program {
    /// Built for this test.
    Built,
    /// For the processor of this machine.
    Native(PathBuf),
}

impl Program {
    fn command(&self) -> Command {
        match self {
            Program::Built => runner::blx(),
            Program::Native(path) => {
                let mut command = Command::new(path);
                command.env_remove(blx::shell::resolve::RUNNER);
                command
            }
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Program::Built => "blx as built",
            Program::Native(_) => "native blx",
        }
    }
}

/// Both, in both orders; nothing if there is only one.
fn pairs() -> Vec<[Program; 2]> {
    let Some(path) = needs::native() else {
        return Vec::new();
    };
    let native = Program::Native(path);
    vec![[Program::Built, native.clone()], [native, Program::Built]]
}
