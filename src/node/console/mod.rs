//! What a user sees and says: `sessions` are the consoles, `typing` and `stream` what comes in and goes
//! out, `pace` how fast events may come, `menu` understands a person's lines and `control` a program's,
//! `report` and `roster` are what they are told.

mod control;
mod menu;
mod pace;
mod report;
mod roster;
mod sessions;
mod stream;
mod typing;

use crate::ledger::{Kind, Uid};
pub use menu::Mode;
pub use report::{ItemReport, Kept, Listing, Status, micros};
pub use roster::{PeerReport, TargetReport};
pub use sessions::{Session, Sessions};

/// What somebody wants, in the menu or by a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserCommand {
    /// Take items or give them back: all or none.
    Change(Kind, Vec<Uid>),
    /// The items that somebody has, or those that nobody has.
    List { reserved: bool },
    /// Dial a host at a port.
    Connect(String, u16),
    /// The connections.
    Peers,
    /// Ask every peer for its chain.
    SyncChain,
    /// The node's state.
    Status,
    /// What happened lately, also to earlier runs.
    Events,
    /// End the node.
    Exit,
}

#[cfg(test)]
mod program_tests;
#[cfg(test)]
mod tests;
