//! A LAN in one process: real nodes, and around them disks, wires and users drawn from a seed.
//!
//! `BLX_SEEDS=n` runs `n` seeds, from 0 or from `BLX_FIRST_SEED=x`, and `BLX_SEED=x` the one that failed.
//! Stories with desktop nodes that race are told with `BLX_STORY_SEEDS=n`; each prints a line that begins
//! with `ROW`.
//!
//! `cargo test --features tiny-limits --test sim -- --nocapture tiny` runs `tiny` alone, where everything is
//! full that can be; the other stories count on the usual limits.

mod beside;
#[path = "../blocks.rs"]
mod blocks;
mod clocks;
mod crowding;
mod crowds;
mod desktop;
mod disk;
mod edges;
mod events;
mod foe;
mod greetings;
mod guards;
mod heard;
mod host;
mod hostile;
mod journal;
mod lines;
mod lives;
mod long;
mod machine;
mod model;
mod named;
mod net;
mod newer;
#[path = "../numbers.rs"]
mod numbers;
mod oracle;
mod peer;
mod plain;
mod promises;
mod races;
#[path = "../random.rs"]
mod random;
mod reach;
#[path = "../records.rs"]
mod records;
mod reorgs;
mod repair;
mod ring;
mod rows;
mod scenario;
mod splits;
mod starving;
mod stories;
mod telling;
#[cfg(feature = "tiny-limits")]
mod throng;
#[cfg(feature = "tiny-limits")]
mod tiny;
mod troubles;
mod twins;
mod verdict;
mod voices;
mod void;
mod wearing;
mod words;
#[cfg(not(feature = "tiny-limits"))]
mod work;
mod world;
