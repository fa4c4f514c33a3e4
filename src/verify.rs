//! `blx verify`: a chain checked without a running node, from its first byte to its last.

use core::fmt;
use core::ops::ControlFlow;
use core::time::Duration;
use std::fs;
use std::io::{self, Cursor, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::ledger::{Block, Changes, Hash, Items, RuleError, Verifier};
use crate::limits;
use crate::store::disk::{Disk, DiskError, File};
use crate::store::log::Log;
use crate::store::record::{self, Header};
use crate::store::recover::{Ending, OpenError};
use crate::wire::document;
use crate::wire::message::{BlockError, InvalidBlock};

/// What a chain is found to be.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// Every rule holds.
    Valid {
        /// The number of blocks.
        blocks: u64,
        /// The last one's hash.
        tip: Hash,
        /// The number of reserved items.
        reserved: usize,
        /// The number of available items.
        available: usize,
        /// What else is to be said of a file that is still being written.
        note: Option<&'static str>,
    },
    /// A rule is broken.
    Invalid {
        /// At this block.
        block: u64,
        /// How.
        reason: String,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Valid {
                blocks,
                tip,
                reserved,
                available,
                ..
            } => write!(
                f,
                "valid: {blocks} blocks, tip {tip}, reserved {reserved}, available {available}"
            ),
            Verdict::Invalid { block, reason } => write!(f, "invalid at block {block}: {reason}"),
        }
    }
}

/// Checks the chain in a file, or in standard input for `-`: a chain file or JSON. `difficulty` is
/// that of a JSON chain; a chain file has its own. An error is one sentence.
pub fn run(path: &Path, difficulty: Option<u8>) -> Result<Verdict, String> {
    let failed = |error: io::Error| {
        format!(
            "cannot read {}: {error}: give the file of a chain, or -",
            path.display()
        )
    };
    let mut head = Vec::new();
    if path.as_os_str() == "-" {
        let mut input = io::stdin().lock();
        input
            .by_ref()
            .take(record::HEADER_BYTES as u64)
            .read_to_end(&mut head)
            .map_err(failed)?;
        if record::read_header(&head) == Header::Foreign {
            return document(Cursor::new(head).chain(input), difficulty);
        }
        input.read_to_end(&mut head).map_err(failed)?;
        let size = head.len() as u64;
        return chain_file(Bytes::Memory(head), size, difficulty);
    }
    let mut file = fs::File::open(path).map_err(failed)?;
    file.by_ref()
        .take(record::HEADER_BYTES as u64)
        .read_to_end(&mut head)
        .map_err(failed)?;
    if record::read_header(&head) == Header::Foreign {
        return document(Cursor::new(head).chain(file), difficulty);
    }
    let size = file.metadata().map_err(failed)?.len();
    chain_file(Bytes::File(file), size, difficulty)
}

/// The rules, block after block.
struct Checker {
    difficulty: u8,
    blocks: u64,
    tip: Hash,
    items: Items,
    verifier: Verifier,
}

impl Checker {
    fn new(difficulty: u8) -> Checker {
        Checker {
            difficulty,
            blocks: 0,
            tip: Hash::ZERO,
            items: Items::default(),
            verifier: Verifier::default(),
        }
    }

    fn take(&mut self, block: &Block) -> Result<(), RuleError> {
        block.check_link(self.blocks, &self.tip)?;
        block.check_alone(self.difficulty)?;
        let mut changes = Changes::default();
        changes.apply_block(&self.items, block)?;
        for (position, transaction) in block.transactions.iter().enumerate() {
            if !self.verifier.verify(transaction) {
                return Err(RuleError::WrongSignature(position));
            }
        }
        self.items.commit(changes);
        self.blocks += 1;
        self.tip = block.hash;
        Ok(())
    }

    fn invalid(&self, reason: impl fmt::Display) -> Verdict {
        Verdict::Invalid {
            block: self.blocks,
            reason: reason.to_string(),
        }
    }

    fn valid(&self, note: Option<&'static str>) -> Verdict {
        if self.blocks == 0 {
            return self.invalid("there is none, and a chain has at least its first block");
        }
        Verdict::Valid {
            blocks: self.blocks,
            tip: self.tip,
            reserved: self.items.reserved(),
            available: self.items.available(),
            note,
        }
    }
}

fn document(reader: impl Read, difficulty: Option<u8>) -> Result<Verdict, String> {
    let mut checker = Checker::new(difficulty.unwrap_or(limits::DIFFICULTY_DEFAULT));
    let mut broken = None;
    let read = document::read(reader, |read| {
        let reason = match read {
            Ok(block) => checker.take(&block).err().map(|error| error.to_string()),
            Err(BlockError::Rule(InvalidBlock { error, .. })) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        broken = reason.map(|reason| checker.invalid(reason));
        if broken.is_some() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    if let Some(verdict) = broken {
        return Ok(verdict);
    }
    read.map_err(|error| {
        format!(
            "this is no chain: {error}; give a chain file, a chain_response or an array of blocks"
        )
    })?;
    Ok(checker.valid(None))
}

fn chain_file(bytes: Bytes, size: u64, difficulty: Option<u8>) -> Result<Verdict, String> {
    let (mut log, ending) = match Log::examine(Snapshot { bytes, size }) {
        Ok(examined) => examined,
        Err(OpenError::Header) => {
            return Ok(Checker::new(0).invalid("the file's header is damaged"));
        }
        Err(OpenError::Newer(version)) => {
            return Err(format!(
                "the file has format {version}, which this blx cannot read: update blx"
            ));
        }
        Err(error) => return Err(format!("cannot check the chain: {error}")),
    };
    if difficulty.is_some_and(|asked| asked != log.difficulty()) {
        let own = log.difficulty();
        return Err(format!(
            "the file's difficulty is {own}: leave --difficulty away"
        ));
    }
    let mut checker = Checker::new(log.difficulty());
    while checker.blocks < log.tip().length {
        let block = match log.read(checker.blocks) {
            Ok(stored) => stored.block,
            Err(error) => return Ok(checker.invalid(error)),
        };
        if let Err(error) = checker.take(&block) {
            return Ok(checker.invalid(error));
        }
    }
    Ok(match ending {
        Ending::Clean => checker.valid(None),
        Ending::Torn => checker.valid(Some(
            "behind it is an unfinished record, which a start of blx cuts",
        )),
        Ending::OpenBranch => checker.valid(Some(
            "behind it is an unfinished switch, which a start of blx cuts",
        )),
        Ending::Damaged | Ending::NoHeader => checker.invalid("the file is damaged here"),
    })
}

/// Where the bytes of a chain file are.
enum Bytes {
    File(fs::File),
    Memory(Vec<u8>),
}

/// A chain file as it was when it was opened: a node may be writing to it.
struct Snapshot {
    bytes: Bytes,
    size: u64,
}

impl Snapshot {
    fn refuse(file: File, action: &'static str) -> DiskError {
        DiskError {
            file,
            action,
            reason: "it is only being checked".into(),
        }
    }
}

impl Disk for Snapshot {
    /// Only the chain file: no checkpoint may stand in for what is to be checked.
    fn len(&mut self, file: File) -> Result<u64, DiskError> {
        Ok(if file == File::Chain { self.size } else { 0 })
    }

    fn read(&mut self, file: File, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = buffer.len().min(left);
        let buffer = &mut buffer[..count];
        match &self.bytes {
            Bytes::File(source) => {
                source
                    .read_exact_at(buffer, offset)
                    .map_err(|error| DiskError {
                        file,
                        action: "read",
                        reason: error.to_string(),
                    })?
            }
            Bytes::Memory(bytes) => {
                let from = usize::try_from(offset)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                buffer.copy_from_slice(&bytes[from..from + count]);
            }
        }
        Ok(count)
    }

    fn write(&mut self, file: File, _: u64, _: &[u8]) -> Result<(), DiskError> {
        Err(Snapshot::refuse(file, "write"))
    }

    fn set_len(&mut self, file: File, _: u64) -> Result<(), DiskError> {
        Err(Snapshot::refuse(file, "cut"))
    }

    fn sync(&mut self, file: File) -> Result<Duration, DiskError> {
        Err(Snapshot::refuse(file, "sync"))
    }

    fn rename(&mut self, file: File, _: File) -> Result<(), DiskError> {
        Err(Snapshot::refuse(file, "rename"))
    }

    fn replace(&mut self, file: File, _: &[u8]) -> Result<(), DiskError> {
        Err(Snapshot::refuse(file, "replace"))
    }

    fn set_aside(&mut self, file: File, _: u64) -> Result<String, DiskError> {
        Err(Snapshot::refuse(file, "copy"))
    }
}
