//! `blx backup` and `blx restore`: what makes a node that node, in one file.
//!
//! ```text
//! backup  header | file | file | ... | check 4
//!
//! header  magic 8 | version 2 | number of files 2 | check 4             16 bytes
//! file    name length 1 | name | size 8 | check 4 | contents `size` | check 4
//! ```
//!
//! Numbers are little-endian, checks are CRC-32. A header's check and the first of a file cover what
//! stands before them in it, so a damaged size is never followed; the second of a file covers its
//! contents; the last one covers every byte before it. A file has the name that it has in the data
//! directory. Nothing follows the last check.

use std::fs;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Seek, Write};
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
/// The format that this program writes, and the newest it reads.
const VERSION: u16 = 1;

const VERSION_AT: usize = MAGIC.len();
const COUNT_AT: usize = VERSION_AT + 2;
const HEADER_CHECK_AT: usize = COUNT_AT + 2;
const SIZE_BYTES: usize = 8;
const CHECK_BYTES: usize = 4;

/// The files of a data directory that are worth keeping. The first one has to be there.
const FILES: [File; 2] = [File::Chain, File::Identity];

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
    let mut output = Output::create(file, MODE)?;
    let mut writer = Writer::new(BufWriter::with_capacity(limits::WINDOW_BYTES, &mut output));
    let failed = |error: io::Error| output::failed(file, &error);
    writer
        .header(if key.is_some() { 2 } else { 1 })
        .map_err(failed)?;
    let size = log.bytes();
    write_chain(&mut writer, log.disk(), size, failed)?;
    if key.is_some() {
        writer
            .head(File::Identity, identity.len() as u64)
            .and_then(|()| writer.contents(&identity))
            .and_then(|()| writer.close())
            .map_err(failed)?;
    }
    writer.end().map_err(failed)?;
    drop(writer);
    output.settle()?;
    let note = matches!(ending, Ending::Damaged | Ending::Gap).then(|| {
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

/// Copies the first `size` bytes of the chain file: those that were found sound.
fn write_chain<W: Write>(
    writer: &mut Writer<W>,
    disk: &mut Snapshot,
    size: u64,
    failed: impl Fn(io::Error) -> String,
) -> Result<(), String> {
    writer.head(File::Chain, size).map_err(&failed)?;
    let mut buffer = vec![0; limits::WINDOW_BYTES];
    let mut offset = 0;
    while offset < size {
        let left = usize::try_from(size - offset).unwrap_or(usize::MAX);
        let room = buffer.len().min(left);
        let part = &mut buffer[..room];
        if disk.read(File::Chain, offset, part).map_err(of_disk)? < room {
            return Err(format!(
                "{} became shorter while it was read: try again",
                File::Chain.name()
            ));
        }
        writer.contents(part).map_err(&failed)?;
        offset += room as u64;
    }
    writer.close().map_err(failed)
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
    let failed = |error: io::Error| {
        format!(
            "cannot read {}: {}: give the file of a backup",
            file.display(),
            reason(&error)
        )
    };
    let mut source = fs::File::open(file).map_err(failed)?;
    let mut identity = Vec::new();
    unpack(file, &source, |name, _, part| {
        if name == File::Identity {
            identity.extend_from_slice(part);
        }
        Ok(())
    })?;
    let damaged = || {
        refused(
            file,
            "is damaged inside what it saved",
            "use another backup",
        )
    };
    let key = public_key(&identity).map_err(|_| damaged())?;
    let kept = key.is_some() && identity_in(directory)? == identity;
    let mut staging = Staging::open(directory, if kept { &FILES[..1] } else { &FILES })?;
    source.rewind().map_err(failed)?;
    unpack(file, &source, |name, offset, part| match name {
        File::Chain => staging.write(File::Chain, offset, part).map_err(of_disk),
        _ => Ok(()),
    })?;
    let (mut log, ending) = Log::examine(staging).map_err(|_| damaged())?;
    let tip = log.tip();
    if ending != Ending::Clean || tip.length == 0 {
        return Err(damaged());
    }
    if key.is_some() && !kept {
        log.disk().put(File::Identity, &identity)?;
    }
    log.disk().settle()?;
    let shared = key.is_some() && is_shared(&source).unwrap_or(false);
    let note = shared.then(|| {
        let shown = file.display();
        format!(
            "{shown} has this node's secret key in it, and others may read it: chmod 600 {shown}"
        )
    });
    Ok(Saved { tip, key, note })
}

/// Writes the parts of a backup in their order.
struct Writer<W> {
    out: W,
    all: crc32fast::Hasher,
    contents: crc32fast::Hasher,
}

impl<W: Write> Writer<W> {
    fn new(out: W) -> Writer<W> {
        Writer {
            out,
            all: crc32fast::Hasher::new(),
            contents: crc32fast::Hasher::new(),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.all.update(bytes);
        self.out.write_all(bytes)
    }

    fn checked(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.put(bytes)?;
        self.put(&crc32fast::hash(bytes).to_le_bytes())
    }

    fn header(&mut self, count: u16) -> io::Result<()> {
        let mut bytes = [0; HEADER_CHECK_AT];
        bytes[..VERSION_AT].copy_from_slice(&MAGIC);
        bytes[VERSION_AT..COUNT_AT].copy_from_slice(&VERSION.to_le_bytes());
        bytes[COUNT_AT..].copy_from_slice(&count.to_le_bytes());
        self.checked(&bytes)
    }

    fn head(&mut self, file: File, size: u64) -> io::Result<()> {
        let name = file.name();
        let length = u8::try_from(name.len()).expect("our files have short names");
        let mut bytes = vec![length];
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&size.to_le_bytes());
        self.checked(&bytes)
    }

    fn contents(&mut self, part: &[u8]) -> io::Result<()> {
        self.contents.update(part);
        self.put(part)
    }

    /// Ends a file's contents.
    fn close(&mut self) -> io::Result<()> {
        let check = std::mem::take(&mut self.contents).finalize();
        self.put(&check.to_le_bytes())
    }

    fn end(&mut self) -> io::Result<()> {
        let check = self.all.clone().finalize();
        self.put(&check.to_le_bytes())?;
        self.out.flush()
    }
}

fn refused(path: &Path, what: &str, way_out: &str) -> String {
    format!("{} {what}: {way_out}", path.display())
}

/// Reads a backup to its end and hands over its files in pieces: the file, the piece's offset in
/// it, the piece. What was handed over counts only if this returns without an error.
fn unpack(
    path: &Path,
    source: &fs::File,
    each: impl FnMut(File, u64, &[u8]) -> Result<(), String>,
) -> Result<(), String> {
    let mut reader = Reader {
        source: BufReader::with_capacity(limits::WINDOW_BYTES, source),
        at: 0,
        all: crc32fast::Hasher::new(),
    };
    reader.unpack(each).map_err(|error| match error {
        BackupError::Io(error) if error.kind() != ErrorKind::UnexpectedEof => refused(
            path,
            &format!("cannot be read: {}", reason(&error)),
            "give the file of a backup",
        ),
        BackupError::Io(_) => refused(
            path,
            &format!("is cut off at byte {}", reader.at),
            "use another backup",
        ),
        BackupError::Foreign => refused(path, "is no backup", "give a file that blx backup made"),
        BackupError::Newer => refused(path, "was made by a newer blx", "update blx"),
        BackupError::Damaged => refused(
            path,
            &format!("is damaged before byte {}", reader.at),
            "use another backup",
        ),
        BackupError::Taker(sentence) => sentence,
    })
}

enum BackupError {
    Io(io::Error),
    Foreign,
    Newer,
    Damaged,
    /// Whoever took the contents failed.
    Taker(String),
}

impl From<io::Error> for BackupError {
    fn from(error: io::Error) -> BackupError {
        BackupError::Io(error)
    }
}

struct Reader<R> {
    source: R,
    at: u64,
    all: crc32fast::Hasher,
}

impl<R: Read> Reader<R> {
    fn get(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.source.read_exact(bytes)?;
        self.all.update(bytes);
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn check(&mut self, expected: u32) -> Result<(), BackupError> {
        let mut bytes = [0; CHECK_BYTES];
        self.get(&mut bytes)?;
        match u32::from_le_bytes(bytes) == expected {
            true => Ok(()),
            false => Err(BackupError::Damaged),
        }
    }

    fn unpack(
        &mut self,
        mut each: impl FnMut(File, u64, &[u8]) -> Result<(), String>,
    ) -> Result<(), BackupError> {
        let count = self.header()?;
        let mut left = &FILES[..];
        for _ in 0..count {
            let (file, size) = self.head()?;
            // In our order, so none comes twice.
            let place = left.iter().position(|known| *known == file);
            left = &left[place.ok_or(BackupError::Damaged)? + 1..];
            if file != File::Chain && size > limits::BACKUP_SMALL_BYTES_MAX {
                return Err(BackupError::Damaged);
            }
            self.contents(size, |offset, part| each(file, offset, part))?;
        }
        let expected = self.all.clone().finalize();
        self.check(expected)?;
        match self.source.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(BackupError::Damaged),
        }
    }

    /// The number of files.
    fn header(&mut self) -> Result<u16, BackupError> {
        let mut bytes = [0; HEADER_CHECK_AT];
        match self.get(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Err(BackupError::Foreign);
            }
            result => result?,
        }
        if !bytes.starts_with(&MAGIC) {
            return Err(BackupError::Foreign);
        }
        self.check(crc32fast::hash(&bytes))?;
        let number = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        match number(VERSION_AT) {
            VERSION => Ok(number(COUNT_AT)),
            _ => Err(BackupError::Newer),
        }
    }

    fn head(&mut self) -> Result<(File, u64), BackupError> {
        let mut head = vec![0];
        self.get(&mut head)?;
        let name_end = 1 + usize::from(head[0]);
        head.resize(name_end + SIZE_BYTES, 0);
        self.get(&mut head[1..])?;
        self.check(crc32fast::hash(&head))?;
        let size = head[name_end..]
            .first_chunk()
            .expect("eight bytes are left");
        let file = FILES
            .into_iter()
            .find(|file| file.name().as_bytes() == &head[1..name_end]);
        Ok((file.ok_or(BackupError::Newer)?, u64::from_le_bytes(*size)))
    }

    fn contents(
        &mut self,
        size: u64,
        mut each: impl FnMut(u64, &[u8]) -> Result<(), String>,
    ) -> Result<(), BackupError> {
        let mut own = crc32fast::Hasher::new();
        let mut buffer = vec![0; limits::WINDOW_BYTES];
        let mut offset = 0;
        while offset < size {
            let left = usize::try_from(size - offset).unwrap_or(usize::MAX);
            let room = buffer.len().min(left);
            let part = &mut buffer[..room];
            self.get(part)?;
            own.update(part);
            each(offset, part).map_err(BackupError::Taker)?;
            offset += room as u64;
        }
        self.check(own.finalize())
    }
}
