//! `blx export` and `blx import`: the chain as the text that desktop nodes exchange.

use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use super::output::{self, Output};
use super::progress::ProgressLine;
use super::snapshot::{Snapshot, open_chain};
use super::staging::Staging;
use super::verify::{self, Checker, Verdict};
use crate::ledger::Tip;
use crate::limits;
use crate::shell::reason;
use crate::shell::remedy::of_disk;
use crate::store::disk::{Disk, DiskError, File};
use crate::store::extract::Extract;
use crate::store::log::Log;
use crate::store::record::{self, StoredBlock};
use crate::store::recover::Ending;
use crate::store::state::AppendError;
use crate::wire::text;

/// Anyone who may see the file may see the chain, which every peer is told anyway.
const MODE: u32 = 0o666;

/// Writes the chain of a data directory as a JSON array into a new file, or to standard output
/// without one. Returns its length and last hash.
pub fn export(directory: &Path, file: Option<&Path>) -> Result<Tip, String> {
    let (mut log, ending) = open_chain(directory)?;
    if let Ending::Damaged | Ending::Hole | Ending::NoHeader = ending {
        return Err(format!(
            "the chain in {} is damaged behind block {}: start blx there and it asks peers for the \
             rest, or save what is sound with blx backup",
            directory.display(),
            log.tip().length - 1
        ));
    }
    let mut heights = 0..log.tip().length;
    write_array(file, || {
        let read = heights.next().map(|height| log.read(height));
        read.transpose().map_err(of_disk)
    })?;
    Ok(log.tip())
}

/// Writes the blocks that the last alarming reorg disconnected in a data directory, as [`export`]
/// writes the chain. Returns the height of the first one, and the length and last hash of the chain
/// that they ended.
pub fn export_branch(directory: &Path, file: Option<&Path>) -> Result<(u64, Tip), String> {
    let shown = directory.display();
    let failed = |error: DiskError| {
        format!("{error}: a node in {shown} may be writing it: try again in a minute")
    };
    let mut snapshot = Snapshot::of_disconnected(directory)?;
    let saved = match &mut snapshot {
        Some(snapshot) => Extract::disconnected(snapshot)
            .map_err(failed)?
            .zip(Some(snapshot)),
        None => None,
    };
    let Some((mut saved, snapshot)) = saved else {
        return Err(format!(
            "there is no branch in {shown}: no reorg has lost or changed anything old there"
        ));
    };
    write_array(file, || saved.next(snapshot).map_err(failed))?;
    Ok((saved.before.length, saved.tip))
}

/// Writes blocks as a JSON array into a new file, or to standard output without one.
fn write_array(
    file: Option<&Path>,
    next: impl FnMut() -> Result<Option<StoredBlock>, String>,
) -> Result<(), String> {
    match file {
        Some(path) => {
            let mut output = Output::create(path, MODE)?;
            let failed = |error: io::Error| output::failed(path, &error);
            write_blocks(next, &mut output, failed)?;
            output.commit()
        }
        None => {
            let failed = |error: io::Error| {
                format!(
                    "cannot write to standard output: {}: give a FILE",
                    reason(&error)
                )
            };
            write_blocks(next, &mut io::stdout().lock(), failed)
        }
    }
}

fn write_blocks(
    mut next: impl FnMut() -> Result<Option<StoredBlock>, String>,
    out: &mut impl Write,
    failed: impl Fn(io::Error) -> String,
) -> Result<(), String> {
    let mut out = BufWriter::with_capacity(limits::FILE_READ_BYTES, out);
    let mut piece = b"[".to_vec();
    while let Some(stored) = next()? {
        text::block(&mut piece, &stored.block);
        match out.write_all(&piece) {
            // A reader that has seen enough, such as `head`, is no fault.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            result => result.map_err(&failed)?,
        }
        piece.clear();
        piece.shrink_to(limits::FILE_READ_BYTES);
        piece.extend_from_slice(b", ");
    }
    match out.write_all(b"]\n").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(failed),
    }
}

/// Takes the chain in a JSON file, or in standard input for `-`, into a data directory that has
/// none. Nothing is left of one that breaks a rule.
pub fn import(directory: &Path, file: &Path, difficulty: Option<u8>) -> Result<Verdict, String> {
    let mut input: Box<dyn Read> = match file.as_os_str() == "-" {
        true => Box::new(io::stdin().lock()),
        false => Box::new(fs::File::open(file).map_err(|error| verify::unreadable(file, &error))?),
    };
    let difficulty = difficulty.unwrap_or(limits::DIFFICULTY_DEFAULT);
    let mut staging = Staging::open(directory, &[File::Chain])?;
    let header = record::header(difficulty);
    staging.write(File::Chain, 0, &header).map_err(of_disk)?;
    let (mut log, _) = Log::examine(staging).map_err(|error| error.to_string())?;
    let checker = Checker::new(difficulty);
    let mut progress = ProgressLine::begin();
    let verdict = verify::document(&mut input, checker, &mut progress, &mut |block| {
        log.append(block).map_err(|error| match error {
            AppendError::Rule(error) => error.to_string(),
            AppendError::Disk(error) => of_disk(error),
        })
    })?;
    if let Verdict::Valid { .. } = verdict {
        log.disk().commit()?;
    }
    Ok(verdict)
}
