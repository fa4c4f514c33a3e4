//! What a user can do about what keeps a node from its files: the rooms inside say what is the matter
//! and know no command line.

use std::fmt::Display;

use crate::node::{self, Ways};
use crate::store::keys::IdentityError;
use crate::store::recover;

/// The way out when the disk fails.
pub const DISK: &str = "make room or repair the disk, or choose another directory with --data-dir";

/// The ways out where a running node keeps to what its command line says.
pub const WAYS: Ways = Ways {
    items_max: "see --items-max",
    staging_max: "see --staging-max",
    drop_disconnected: "--orphans drop",
    disconnected: "blx export --branch writes them",
    scrub_every: "--scrub off",
};

/// A failed call of the disk as a sentence.
pub fn of_disk(error: impl Display) -> String {
    format!("{error}: {DISK}")
}

/// A chain file that cannot be opened as a sentence.
pub fn of_chain(error: &recover::OpenError) -> String {
    use recover::OpenError::{Difficulty, Disk, Foreign, Header, Newer};
    let way = match error {
        Disk(error) => return of_disk(error),
        Foreign | Header => "move it away",
        Newer(_) => "update blx",
        Difficulty { .. } => "start without --difficulty",
    };
    format!("{error}: {way}, or choose another directory with --data-dir")
}

/// A node that cannot start as a sentence.
pub fn of_node(error: &node::OpenError) -> String {
    use node::OpenError::{Chain, Key};
    let way = match error {
        Chain(error) => return of_chain(error),
        Key(IdentityError::Disk(error)) => return of_disk(error),
        Key(IdentityError::Damaged) => "put a copy of it back, or move it away to get a new key",
        Key(IdentityError::BadLuck) => "start again",
    };
    format!("{error}: {way}")
}
