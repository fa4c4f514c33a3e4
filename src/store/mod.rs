//! The chain file.

pub mod disk;

pub mod branch;
pub mod keys;
pub mod log;
pub mod record;
pub mod recover;
pub mod window;

#[cfg(test)]
mod tests;
