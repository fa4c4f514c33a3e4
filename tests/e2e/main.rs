//! The real binary, with real processes, sockets, files and terminals: as a node, and its sub-commands.
//!
//! Nothing here sleeps to wait. What sleeps is the pace of a slow serial line, and the seconds in
//! which an idle node is measured.

mod consoles;
mod crowding;
mod edges;
mod events;
mod flood;
#[path = "../harness/mod.rs"]
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
mod offline;
// The other tests use the rest of it.
#[allow(dead_code)]
#[path = "../readme.rs"]
mod page;
mod pty;
mod reach;
mod readme;
#[path = "../records.rs"]
mod records;
mod repair;
mod rules;
mod serial;
mod service;
mod start;
mod starving;
mod terminal;
mod walkthrough;
mod wearing;
mod wire;

use harness::{blocks, peer};
