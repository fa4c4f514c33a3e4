//! x
#![forbid(unsafe_code)]

pub mod cli;
pub mod ledger;
pub mod limits;
pub mod node;
pub mod shell;
pub mod store;
pub mod verify;
pub mod wire;
