//! `blx verify`: a chain checked without a running node, from its first byte to its last.

use core::fmt;
use core::ops::ControlFlow;
use std::fs;
use std::io::{self, Cursor, Read};
use std::path::Path;

use super::progress::ProgressLine;
use super::snapshot::Snapshot;
use crate::ledger::{Block, Changes, Hash, Items, RuleError, Verifier};
use crate::limits;
use crate::shell::reason;
use crate::store::log::Log;
use crate::store::record::{self, Header};
use crate::store::recover::{Ending, OpenError};
use crate::wire::document;
use crate::wire::{BlockError, InvalidBlock};

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
        /// The number of void transactions, which change nothing (PROTOCOL.md section 3).
        void: u64,
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
    /// It is the chain of a desktop release with credits (PROTOCOL.md section 6).
    Newer {
        /// This block shows it.
        block: u64,
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
                void,
                ..
            } => {
                write!(
                    f,
                    "valid: {blocks} blocks, tip {tip}, reserved {reserved}, available {available}"
                )?;
                match void {
                    0 => Ok(()),
                    1 => f.write_str(", 1 transaction is void"),
                    count => write!(f, ", {count} transactions are void"),
                }
            }
            Verdict::Invalid { block, reason } => write!(f, "invalid at block {block}: {reason}"),
            Verdict::Newer { block } => {
                write!(
                    f,
                    "not followed: block {block} shows that {}",
                    RuleError::Newer
                )
            }
        }
    }
}

/// Why a chain cannot be read, as a sentence.
pub fn unreadable(path: &Path, error: &io::Error) -> String {
    format!(
        "cannot read {}: {}: give the file of a chain, or -",
        path.display(),
        reason(error)
    )
}

/// Checks the chain in a file, or in standard input for `-`: a chain file or JSON. `difficulty` is
/// that of a JSON chain; a chain file has its own. An error is one sentence.
pub fn run(path: &Path, difficulty: Option<u8>) -> Result<Verdict, String> {
    let failed = |error: io::Error| unreadable(path, &error);
    let mut progress = ProgressLine::begin();
    let mut json = |reader: &mut dyn Read| {
        let checker = Checker::new(difficulty.unwrap_or(limits::DIFFICULTY_DEFAULT));
        document(reader, checker, &mut progress, &mut |_| Ok(()))
    };
    let mut head = Vec::new();
    let snapshot = if path.as_os_str() == "-" {
        let mut input = io::stdin().lock();
        input
            .by_ref()
            .take(record::HEADER_BYTES as u64)
            .read_to_end(&mut head)
            .map_err(failed)?;
        if record::read_header(&head) == Header::Foreign {
            return json(&mut Cursor::new(head).chain(input));
        }
        input.read_to_end(&mut head).map_err(failed)?;
        Snapshot::of_bytes(head)
    } else {
        let mut file = fs::File::open(path).map_err(failed)?;
        file.by_ref()
            .take(record::HEADER_BYTES as u64)
            .read_to_end(&mut head)
            .map_err(failed)?;
        if record::read_header(&head) == Header::Foreign {
            return json(&mut Cursor::new(head).chain(file));
        }
        Snapshot::of_file(file).map_err(failed)?
    };
    chain_file(snapshot, difficulty, &mut progress)
}

/// The rules, block after block.
pub struct Checker {
    difficulty: u8,
    blocks: u64,
    tip: Hash,
    items: Items,
    void: u64,
    verifier: Verifier,
}

impl Checker {
    /// At the beginning of a chain of this difficulty.
    pub fn new(difficulty: u8) -> Checker {
        Checker {
            difficulty,
            blocks: 0,
            tip: Hash::ZERO,
            items: Items::default(),
            void: 0,
            verifier: Verifier::default(),
        }
    }

    fn take(&mut self, block: &Block) -> Result<(), RuleError> {
        block.check_link(self.blocks, &self.tip)?;
        block.check_alone(self.difficulty)?;
        let mut changes = Changes::default();
        let undo_data = changes.apply_block(&self.items, block)?;
        for (position, transaction) in block.transactions.iter().enumerate() {
            if !self.verifier.verify(transaction) {
                return Err(RuleError::WrongSignature(position));
            }
        }
        self.items.commit(changes);
        let void = undo_data.iter().filter(|before| before.is_void());
        self.void += void.count() as u64;
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

    /// What is to be said of a block that cannot be read.
    fn unread(&self, error: &BlockError) -> Verdict {
        match error {
            BlockError::Rule(InvalidBlock { error, .. }) => match error {
                RuleError::Newer => Verdict::Newer { block: self.blocks },
                error => self.invalid(error),
            },
            error => self.invalid(error),
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
            void: self.void,
            note,
        }
    }
}

/// Checks a chain of JSON and hands each sound block to `keep`, whose error ends it all.
pub fn document<W: io::Write>(
    reader: &mut dyn Read,
    mut checker: Checker,
    progress: &mut ProgressLine<W>,
    keep: &mut dyn FnMut(&Block) -> Result<(), String>,
) -> Result<Verdict, String> {
    let mut end = None;
    let read = document::read(reader, &mut |read| {
        end = match &read {
            Ok(block) => match checker.take(block) {
                Ok(()) => keep(block).err().map(Err),
                Err(error) => Some(Ok(checker.invalid(error))),
            },
            Err(error) => Some(Ok(checker.unread(error))),
        };
        progress.at(checker.blocks, None);
        if end.is_some() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    if let Some(end) = end {
        return end;
    }
    read.map_err(|error| {
        format!(
            "this is no chain: {error}; give a chain file, a chain_response or an array of blocks"
        )
    })?;
    Ok(checker.valid(None))
}

fn chain_file<W: io::Write>(
    snapshot: Snapshot,
    difficulty: Option<u8>,
    progress: &mut ProgressLine<W>,
) -> Result<Verdict, String> {
    let (mut log, ending) = match Log::examine(snapshot) {
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
        progress.at(checker.blocks, Some(log.tip().length));
    }
    Ok(match ending {
        Ending::Clean => checker.valid(None),
        Ending::Torn => checker.valid(Some(
            "behind it is an unfinished record, which a start of blx cuts",
        )),
        Ending::OpenBranch => checker.valid(Some(
            "behind it is an unfinished reorg, which a start of blx cuts",
        )),
        Ending::Damaged | Ending::Hole | Ending::NoHeader => {
            checker.invalid("the file is damaged here")
        }
    })
}
