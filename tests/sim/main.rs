//! A LAN in one process: real nodes, and around them disks, wires and users drawn from a seed.
//!
//! `BLX_SEEDS=n` runs so many seeds, `BLX_SEED=x` the one that failed.

mod beside;
mod clocks;
mod desktop;
mod disk;
mod edges;
mod events;
mod foe;
mod guards;
mod hostile;
mod lines;
mod long;
mod machine;
mod model;
mod named;
mod net;
#[path = "../numbers.rs"]
mod numbers;
mod oracle;
mod peer;
mod promises;
mod random;
mod reach;
mod repair;
mod ring;
mod scenario;
mod splits;
mod stories;
mod switches;
mod void;
mod work;
mod world;
