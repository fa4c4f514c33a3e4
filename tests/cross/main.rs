//! Nodes for two kinds of processor side by side: what one writes the other reads, and both are
//! nodes of one LAN.
//!
//! One kind is the program as it was built for this test, the other one the program that
//! `BLX_NATIVE` names. Without it these tests are passed over, which is said, and is a failure if
//! `BLX_REQUIRE_NATIVE` is 1. `cross/test.sh` runs them.

mod files;
#[path = "../harness/mod.rs"]
mod harness;
// The tests beside desktop nodes use the rest of these.
#[allow(dead_code)]
#[path = "../needs.rs"]
mod needs;
#[allow(dead_code)]
#[path = "../desktop/nodes.rs"]
mod nodes;
#[allow(dead_code)]
#[path = "../desktop/relay.rs"]
mod relay;
mod walkthrough;

use std::path::PathBuf;
use std::process::Command;

use harness::{Launch, peer, run, runner};
use nodes::Place;

/// One of the two.
#[derive(Clone)]
enum Program {
    /// Built for this test.
    Built,
    /// For the processor of this machine.
    Native(PathBuf),
}

impl Program {
    /// With these words, to run to its end.
    fn command(&self, words: &[&str]) -> Command {
        match self {
            Program::Built => run::command(words),
            Program::Native(path) => {
                let mut command = Command::new(path);
                command.args(words).env_remove(runner::RUNNER);
                command
            }
        }
    }

    /// A node in this place.
    fn launch(&self, place: &Place) -> Launch {
        match self {
            Program::Built => place.launch().name("blx as built"),
            Program::Native(path) => place.launch().program(&[path]).name("native blx"),
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
