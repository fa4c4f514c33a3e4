//! The real binary as a process: started, spoken to, waited for, ended; and who it speaks to.
//!
//! Nothing here sleeps to wait: every wait is for something a process says, with a limit that only a
//! failure reaches. Where nobody says it, of a file or a status, one looks and pauses in turn.

// Each of the test programs uses a part of it.
#![allow(dead_code, unused_imports)]

#[path = "../blocks.rs"]
pub mod blocks;
mod launch;
pub mod netns;
mod node;
pub mod peer;
pub mod run;
pub mod runner;
mod stream;
pub mod usage;

pub use launch::{Home, Launch};
pub use node::{Node, PROMPT, Signal, Status, shown};
pub use runner::free_port;
pub use stream::{LIMIT, Stream, until, wait_for};
