//! The real binary, with real processes, sockets, files and terminals.
//!
//! Nothing here sleeps to wait: every wait is for something a process says, with a limit that only a
//! failure reaches. What sleeps is the pace of a slow serial line, and the minute in which an idle
//! node is measured.

mod consoles;
mod events;
mod harness;
mod kill;
mod memory;
mod menu;
mod peer;
mod reach;
mod repair;
#[path = "../runner.rs"]
mod runner;
mod serial;
mod service;
mod start;
mod stream;
mod terminal;
mod walkthrough;
mod wire;
