//! `blx backup` and `blx restore`: what makes a node that node, in one file.
//!
//! ```text
//! magic 8 | version 2 | size of the key 2 | size of the chain 8 | identity.blx | chain.blx | check 4
//! ```
//!
//! Numbers are little-endian. The check is a CRC-32 of every byte before it; every version ends with
//! it, so that damage is not taken for another version. Both files are as in the data directory, with
//! the checks that they have there; without a key the first one is empty.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::output::{self, Output};
use super::snapshot::{Snapshot, identity_in, open_chain};
use super::staging::Staging;
use crate::ledger::{PublicKey, Tip};
use crate::limits;
use crate::shell::disk::is_shared;
use crate::shell::reason;
use crate::shell::remedy::of_disk;
use crate::store::disk::{Disk, File};
use crate::store::keys::{self, IdentityError};
use crate::store::log::Log;
use crate::store::recover::Ending;

/// The first bytes of a backup: not text, and broken by whatever alters line ends.
const MAGIC: [u8; 8] = *b"\x89BLXBAK\n";
/// The format that this program writes, and the only one that it reads.
const VERSION: u16 = 2;

const VERSION_AT: usize = MAGIC.len();
const KEY_SIZE_AT: usize = VERSION_AT + 2;
const CHAIN_SIZE_AT: usize = KEY_SIZE_AT + 2;
const HEAD_BYTES: usize = CHAIN_SIZE_AT + 8;
const CHECK_BYTES: usize = 4;

/// The CRC-32 of anything that has its own CRC-32 behind it.
const SOUND: u32 = 0x2144_df1c;

/// The backup has this node's secret key in it.
const MODE: u32 = 0o600;

/// What a backup holds.
#[derive(Debug, PartialEq)]
pub struct Saved {
    /// The chain's length and last hash.
    pub tip: Tip,
    /// The node's key, if there was one.
    pub key: Option<PublicKey>,
    /// What else is to be said.
    pub note: Option<String>,
}

/// Saves a data directory in a new file. A node may be running there: what it adds in the meantime
/// is not in the backup.
pub fn backup(directory: &Path, file: &Path) -> Result<Saved, String> {
    let (mut log, ending) = open_chain(directory)?;
    let identity = identity_in(directory)?;
    let key = public_key(&identity).map_err(|_| {
        format!(
            "{} in {} is damaged: put a sound copy of it in its place, or move it away to save the \
             chain alone",
            File::Identity.name(),
            directory.display()
        )
    })?;
    let size = log.bytes();
    let mut output = Output::create(file, MODE)?;
    let mut check = crc32fast::Hasher::new();
    let mut put = |bytes: &[u8]| {
        check.update(bytes);
        let written = output.write_all(bytes);
        written.map_err(|error| output::failed(file, &error))
    };
    let key_size = u16::try_from(identity.len()).expect("a sound one has 44 bytes");
    put(&MAGIC)?;
    put(&VERSION.to_le_bytes())?;
    put(&key_size.to_le_bytes())?;
    put(&size.to_le_bytes())?;
    put(&identity)?;
    in_pieces(size, |offset, piece| {
        let disk = log.disk();
        if disk.read(File::Chain, offset, piece).map_err(of_disk)? < piece.len() {
            return Err(format!(
                "{} became shorter while it was read: try again",
                File::Chain.name()
            ));
        }
        put(piece)
    })?;
    let check = check.finalize();
    let written = output.write_all(&check.to_le_bytes());
    written.map_err(|error| output::failed(file, &error))?;
    output.commit()?;
    let note = matches!(ending, Ending::Damaged | Ending::Hole).then(|| {
        format!(
            "the chain file is damaged behind block {}, and the backup ends there; peers have the \
             rest",
            log.tip().length - 1
        )
    });
    Ok(Saved {
        tip: log.tip(),
        key,
        note,
    })
}

/// Calls `each` for every piece of the `size` bytes, with its offset and room for it.
fn in_pieces(
    size: u64,
    mut each: impl FnMut(u64, &mut [u8]) -> Result<(), String>,
) -> Result<(), String> {
    let mut buffer = vec![0; limits::FILE_READ_BYTES];
    let mut offset = 0;
    while offset < size {
        let left = usize::try_from(size - offset).unwrap_or(usize::MAX);
        let room = buffer.len().min(left);
        each(offset, &mut buffer[..room])?;
        offset += room as u64;
    }
    Ok(())
}

/// The key in an identity file's bytes; none without any.
fn public_key(identity: &[u8]) -> Result<Option<PublicKey>, IdentityError> {
    if identity.is_empty() {
        return Ok(None);
    }
    // The random bytes are for a file that is not there yet.
    let identity = keys::identity(&mut Snapshot::of_identity(identity.to_vec()), &[0; 32])?;
    Ok(Some(identity.public()))
}

/// Puts a backup into a data directory that has neither a chain nor a key.
///
/// The chain gets its name last. A restore that is killed before that can be done again: a key that
/// is the backup's own is no hindrance.
pub fn restore(directory: &Path, file: &Path) -> Result<Saved, String> {
    let shown = file.display();
    let failed = unreadable(file);
    let damaged = || format!("{shown} is damaged inside what it saved: use another backup");
    let mut source = fs::File::open(file).map_err(&failed)?;
    let (identity, size) = open(file, &mut source)?;
    let key = public_key(&identity).map_err(|_| damaged())?;
    let kept = key.is_some() && identity_in(directory)? == identity;
    let files = [File::Chain, File::Identity];
    let mut staging = Staging::open(directory, if kept { &files[..1] } else { &files })?;
    in_pieces(size, |offset, piece| {
        source.read_exact(piece).map_err(&failed)?;
        staging.write(File::Chain, offset, piece).map_err(of_disk)
    })?;
    let (mut log, ending) = Log::examine(staging).map_err(|_| damaged())?;
    let tip = log.tip();
    if ending != Ending::Clean || tip.length == 0 {
        return Err(damaged());
    }
    if key.is_some() && !kept {
        log.disk().put(File::Identity, &identity)?;
    }
    log.disk().commit()?;
    let shared = key.is_some() && is_shared(&source).unwrap_or(false);
    let note = shared.then(|| {
        format!(
            "{shown} has this node's secret key in it, and others may read it: chmod 600 {shown}"
        )
    });
    Ok(Saved { tip, key, note })
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> String {
    move |error| {
        format!(
            "cannot read {}: {}: give the file of a backup",
            path.display(),
            reason(&error)
        )
    }
}

/// Checks a backup to its end: the bytes of its key, and the size of its chain, which is what
/// `source` reads next.
fn open(path: &Path, source: &mut fs::File) -> Result<(Vec<u8>, u64), String> {
    let failed = unreadable(path);
    let refused = |why: &str| Err(format!("{} {why}", path.display()));
    let damaged = "is damaged or cut off: use another backup";
    let mut head = Vec::new();
    let mut start = (&*source).take(HEAD_BYTES as u64);
    start.read_to_end(&mut head).map_err(&failed)?;
    if !head.starts_with(&MAGIC) {
        return refused("is no backup: give a file that blx backup made");
    }
    let size = source.metadata().map_err(&failed)?.len();
    let mut check = crc32fast::Hasher::new();
    check.update(&head);
    in_pieces(size.saturating_sub(head.len() as u64), |_, piece| {
        source.read_exact(piece).map_err(&failed)?;
        check.update(piece);
        Ok(())
    })?;
    let Some(head) = head.first_chunk::<HEAD_BYTES>() else {
        return refused(damaged);
    };
    if check.finalize() != SOUND {
        return refused(damaged);
    }
    let number = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
    match number(VERSION_AT) {
        VERSION => {}
        ..VERSION => {
            return refused(
                "was made by an older blx, whose backups this one does not read: restore it with \
                 that one, then make another backup with this one",
            );
        }
        _ => return refused("was made by a newer blx: update blx"),
    }
    let chain_size = u64::from_le_bytes(*head.last_chunk().expect("it ends with these eight"));
    let mut identity = vec![0; number(KEY_SIZE_AT).into()];
    let beside = (HEAD_BYTES + identity.len() + CHECK_BYTES) as u64;
    if chain_size.checked_add(beside) != Some(size) {
        return refused(damaged);
    }
    source
        .seek(SeekFrom::Start(HEAD_BYTES as u64))
        .map_err(&failed)?;
    source.read_exact(&mut identity).map_err(&failed)?;
    Ok((identity, chain_size))
}
