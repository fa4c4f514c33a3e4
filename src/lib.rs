//! x
pub mod ledger;
pub mod limits;
pub mod node;
pub mod store;
pub mod wire;
