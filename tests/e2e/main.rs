//! The real binary, with real processes, sockets, files and terminals.
//!
//! Nothing here sleeps: every wait is for something a process says, with a limit that only a
//! failure reaches.

mod harness;
mod kill;
mod menu;
mod peer;
mod reach;
mod repair;
#[path = "../runner.rs"]
mod runner;
mod start;
mod stream;
mod terminal;
mod walkthrough;
mod wire;
