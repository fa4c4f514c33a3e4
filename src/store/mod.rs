//! The chain file: append-only, every block durable before anybody hears of it.
//!
//! - The file: `record` is one record as bytes, `record_reader` reads records, `mark` says where they
//!   are. `log` appends blocks and reads them back; `state` is what it holds in memory, `unfinished`
//!   what it is in the middle of.
//! - Another chain: `branch` holds one within `bounds`, `reorg` puts it in the place of ours, and
//!   `disconnected` saves the blocks that an alarming reorg disconnected.
//! - Upkeep: `recover` opens the file whatever happened to it, `opening` says what that found,
//!   `repair` fills holes, `checkpoint` makes a start fast, `compact` keeps the file small.
//! - Beside the chain: `address_book`, `waiting` and `keys` are small files that a node keeps over a
//!   restart; `sealed` is what they have in common. `events` is the event log.
//! - `disk` is all that is asked of the system.
//!
//! What the files look like is drawn in [`crate::files`].

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
