//! The chain file.

pub mod disk;
