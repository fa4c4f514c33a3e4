//! The chain file on disks that lose power, lose calls and lose bits.
//!
//! `BLX_FAULTS=full` tries everything; without it a share is tried that does not take long.

mod crafted;
mod crash;
mod damage;
mod disk;
mod errors;
mod events;
mod history;
mod last_resort;
// The simulator uses the rest of it.
#[allow(dead_code)]
#[path = "../random.rs"]
mod random;
#[path = "../records.rs"]
mod records;

/// Whether everything is to be tried.
fn full() -> bool {
    std::env::var("BLX_FAULTS").is_ok_and(|value| value == "full")
}
