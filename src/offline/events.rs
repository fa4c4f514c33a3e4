//! `blx events`: the event log of a node.

use std::path::Path;

use super::snapshot::{Snapshot, absent};
use crate::shell::remedy::of_disk;
use crate::store::disk::File;
use crate::store::events;

/// The events of a data directory, a line each, the oldest first. A node may be running there.
pub fn events(directory: &Path) -> Result<String, String> {
    let snapshot = Snapshot::of_events(directory)?;
    let mut snapshot = snapshot.ok_or_else(|| absent(directory, File::Events))?;
    let bytes = events::read(&mut snapshot).map_err(of_disk)?;
    let lines = events::lines(&bytes);
    Ok(lines.flat_map(|line| [line, "\n"]).collect())
}
