//! The chain file: append-only, every block durable before anybody hears of it.
//!
//! `record` is one record as bytes, `window` reads them, `log` appends and reads back, `branch`
//! takes another chain, `recover` opens the file whatever happened to it, `repair` fills its holes; `checkpoint` makes that
//! fast and `compact` keeps the file small. `disk` is all that is asked of the system.

pub mod branch;
mod checkpoint;
mod compact;
pub mod disk;
pub mod keys;
pub mod log;
mod opening;
pub mod record;
pub mod recover;
pub mod repair;
pub mod window;

#[cfg(test)]
mod repair_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod upkeep_tests;
