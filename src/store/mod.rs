//! The chain file: append-only, every block durable before anybody hears of it.
//!
//! `record` is one record as bytes, `window` reads them, `mark` says where they are, `log` appends
//! and reads back, by the `state` it holds and what it has `unfinished`; `branch` is another chain
//! within `bounds`, `reorg` takes it in the place of ours, `recover` opens the file whatever
//! happened to it, `repair` fills its holes; `checkpoint` makes that fast, `compact` keeps the file
//! small, and `disconnected` saves what an alarming switch took out. `book` and `waiting` are what a node
//! remembers over a restart beside the chain; small files like these are `sealed`. `events` is what
//! a person may read of its past. `disk` is all that is asked of the system. What the files look like
//! is drawn in [`crate::files`].

pub mod address_book;
mod behind;
pub mod bounds;
pub mod branch;
mod checkpoint;
mod compact;
pub mod disconnected;
pub mod disk;
pub mod events;
pub mod extract;
pub mod keys;
pub mod log;
mod mark;
mod opening;
pub mod record;
pub mod record_reader;
pub mod recover;
mod reorg;
pub mod repair;
mod sealed;
pub mod state;
mod unfinished;
pub mod waiting;

#[cfg(test)]
mod repair_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod upkeep_tests;
