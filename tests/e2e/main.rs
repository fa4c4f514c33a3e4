//! The real binary, with real processes, sockets, files and terminals.
//!
//! Nothing here sleeps to wait: every wait is for something a process says, with a limit that only a
//! failure reaches. What sleeps is the pace of a slow serial line, and the seconds in which an idle
//! node is measured.

#[path = "../blocks.rs"]
mod blocks;
mod consoles;
mod edges;
mod events;
mod flood;
mod harness;
mod health;
mod kill;
mod memory;
mod menu;
// The other tests use the rest of it.
#[allow(dead_code)]
#[path = "../needs.rs"]
mod needs;
#[path = "../numbers.rs"]
mod numbers;
// The other tests use the rest of it.
#[allow(dead_code)]
#[path = "../readme.rs"]
mod page;
mod peer;
mod pty;
mod reach;
mod readme;
mod repair;
mod rules;
#[path = "../runner.rs"]
mod runner;
mod serial;
mod service;
mod start;
mod stream;
mod terminal;
mod walkthrough;
mod wire;
