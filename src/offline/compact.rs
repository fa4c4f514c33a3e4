//! `blx compact`: the chain file without stale blocks.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::snapshot::absent;
use crate::ledger::Timestamp;
use crate::shell::disk::SystemDisk;
use crate::shell::remedy::of_disk;
use crate::store::disk::File;
use crate::store::log::Log;

/// Blocks copied in one go.
const BLOCKS: usize = 1024;

/// What it came to.
#[derive(Debug)]
pub struct Compacted {
    /// The file's size before, in bytes.
    pub before: u64,
    /// Its size now.
    pub after: u64,
    /// What opening the file found.
    pub note: Option<String>,
}

/// Writes the chain file of a directory, in which no node may be running, anew.
pub fn compact(directory: &Path) -> Result<Compacted, String> {
    if !directory.join(File::Chain.name()).exists() {
        return Err(absent(directory, File::Chain));
    }
    let disk = SystemDisk::open(directory).map_err(|fault| fault.to_string())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = now.map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(0));
    let (mut log, recovery) =
        Log::open(disk, None, Timestamp::from_micros(micros)).map_err(|error| error.to_string())?;
    if let Some(length) = log.hole() {
        return Err(format!(
            "the chain file is damaged between blocks {} and {length}: start a node, which has its \
             peers repair it, and compact then",
            log.tip().length
        ));
    }
    let before = log.bytes() + recovery.cut;
    while !log.compact(BLOCKS).map_err(of_disk)? {}
    Ok(Compacted {
        before,
        after: log.bytes(),
        note: recovery.notice(),
    })
}
