//! Opening the chain file.
//!
//! | what stands at the end of what is sound | what is done |
//! | --- | --- |
//! | nothing | nothing: a clean end |
//! | a record that goes on behind the file's end, nothing sound after | cut: it was never acknowledged |
//! | a branch without its closing record | cut: it never counted |
//! | bytes that are no record, or a record that does not fit its chain | copied into a file beside, then cut |
//!
//! | what stands at the file's beginning | what is done |
//! | --- | --- |
//! | nothing: an empty file, or none | a new chain with a first block of our own |
//! | a header that fails its check | the file is copied into one beside, then as if it were empty |
//! | a newer format, or something else altogether | refused, nothing is touched |
//!
//! Bytes that failed their check never get a new one: what follows them is only ever copied or
//! cut. Whatever is cut and was once acknowledged comes back from any peer that has it.

use core::fmt;

use super::branch::Branch;
use super::checkpoint;
use super::disk::{Disk, DiskError, File};
use super::log::{Log, Mark, State, mark};
use super::record::{self, Body, HEADER_BYTES, Header};
use super::window::{Found, Window};
use crate::ledger::{Block, Changes, Hash, Timestamp};

/// How a file's sound part ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With its last record.
    Clean,
    /// In the middle of a record that was being written.
    Torn,
    /// In a branch that was being written.
    OpenBranch,
    /// In damage.
    Damaged,
    /// It had none: the header was damaged.
    NoHeader,
}

/// What opening a chain file found and did.
#[derive(Debug, PartialEq, Eq)]
pub struct Opening {
    /// How its sound part ended.
    pub ending: Ending,
    /// The bytes that were cut.
    pub cut: u64,
    /// The name of the file that has them now; only damage is kept.
    pub aside: Option<String>,
}

/// What a user should know of it: `None` if nothing happened.
impl Opening {
    /// One sentence about what was cut.
    pub fn notice(&self) -> Option<String> {
        let (cut, what) = match self.ending {
            Ending::Clean => return None,
            Ending::Torn => (self.cut, "an unfinished record"),
            Ending::OpenBranch => (self.cut, "an unfinished switch to another chain"),
            Ending::Damaged | Ending::NoHeader => (self.cut, "damaged bytes"),
        };
        let after = match &self.aside {
            Some(name) => format!("kept as {name}, peers will be asked for what is missing"),
            None => "nothing that was confirmed is lost".into(),
        };
        Some(format!(
            "the chain file ended in {what}: {cut} bytes cut, {after}."
        ))
    }
}

/// Why a chain file cannot be opened.
#[derive(Debug, PartialEq)]
pub enum OpenError {
    /// The disk does not do as asked.
    Disk(DiskError),
    /// It is no chain file.
    Foreign,
    /// Its header is damaged.
    Header,
    /// It was written in this later format.
    Newer(u16),
    /// Its difficulty is another one than was asked for.
    Difficulty {
        /// The file's.
        file: u8,
        /// What was asked for.
        asked: u8,
    },
}

impl From<DiskError> for OpenError {
    fn from(error: DiskError) -> OpenError {
        OpenError::Disk(error)
    }
}

/// What a user can do about a disk that does not do as it should.
pub const WAY_OUT: &str = "make room or mend the disk, or choose another directory with --data-dir";

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = File::Chain.name();
        match self {
            OpenError::Disk(error) => write!(f, "{error}: {WAY_OUT}"),
            OpenError::Foreign => write!(
                f,
                "{name} is not a chain file: move it away, or choose another directory with --data-dir"
            ),
            OpenError::Header => write!(f, "the header of {name} is damaged"),
            OpenError::Newer(version) => write!(
                f,
                "{name} has format {version} and this blx reads {}: update blx, or choose another directory with --data-dir",
                record::VERSION
            ),
            OpenError::Difficulty { file, asked } => write!(
                f,
                "{name} was made with difficulty {file}, not {asked}: start without --difficulty, or choose another directory with --data-dir"
            ),
        }
    }
}

/// What became of a branch in the file.
#[derive(PartialEq, Eq)]
enum Replayed {
    /// It is the chain now.
    Closed,
    /// The file's sound part ends in it.
    Unfinished,
    /// A sound record in it does not fit.
    Unfit,
}

impl<D: Disk> Log<D> {
    /// Opens the chain file, or makes it with `difficulty` and a first block made at `now`.
    pub fn open(
        mut disk: D,
        difficulty: Option<u8>,
        now: Timestamp,
    ) -> Result<(Log<D>, Opening), OpenError> {
        let mut opening = Opening {
            ending: Ending::Clean,
            cut: 0,
            aside: None,
        };
        let new = difficulty.unwrap_or(crate::limits::DIFFICULTY_DEFAULT);
        let size = disk.len(File::Chain)?;
        if size == 0 {
            disk.replace(File::Chain, &record::header(new))?;
        }
        if read_header(&mut disk)? == Header::Damaged {
            let aside = Some(disk.set_aside(File::Chain, 0)?);
            opening = Opening {
                ending: Ending::NoHeader,
                cut: size,
                aside,
            };
            disk.replace(File::Chain, &record::header(new))?;
        }
        let (mut log, ending) = Log::examine(disk)?;
        if let Some(asked) = difficulty
            && asked != log.difficulty()
        {
            let file = log.difficulty();
            return Err(OpenError::Difficulty { file, asked });
        }
        if ending != Ending::Clean {
            opening = log.cut(ending)?;
        }
        if log.tip().length == 0 {
            log.append(&Block::genesis(now))
                .map_err(|error| match error {
                    super::log::AppendError::Disk(error) => OpenError::Disk(error),
                    super::log::AppendError::Rule(_) => {
                        unreachable!("a first block breaks no rule")
                    }
                })?;
        }
        Ok((log, opening))
    }

    /// Reads a chain file as far as it is sound, and says how that part ends. Writes nothing.
    pub fn examine(mut disk: D) -> Result<(Log<D>, Ending), OpenError> {
        let (difficulty, check) = match read_header(&mut disk)? {
            Header::Ours { difficulty, check } => (difficulty, check),
            Header::Newer(version) => return Err(OpenError::Newer(version)),
            Header::Foreign => return Err(OpenError::Foreign),
            Header::Damaged => return Err(OpenError::Header),
        };
        let mut window = Window::new(File::Chain);
        let state = checkpoint::read(&mut disk, &mut window).unwrap_or_else(|error| {
            log::warn!("{error}: the whole chain file is read");
            None
        });
        let skips = state.is_some();
        let start = || State::new(HEADER_BYTES as u64, check);
        let state = state.unwrap_or_else(start);
        let mut log = Log::new(disk, difficulty, state, window);
        let ending = match log.replay() {
            // A branch may begin in damage that the checkpoint skipped.
            Err(_) if skips => {
                let Log { disk, window, .. } = log;
                log = Log::new(disk, difficulty, start(), window);
                log.replay()?
            }
            ending => ending?,
        };
        Ok((log, ending))
    }

    /// Takes every sound record in, and says why it stopped.
    fn replay(&mut self) -> Result<Ending, DiskError> {
        loop {
            let found = self.window.record(&mut self.disk, self.state.end)?;
            let Found::Record { body, check, next } = found else {
                return self.ending(Ending::Torn);
            };
            let sound = match Body::read(body) {
                Some(Body::Block(body)) if body.index == self.state.tip.length => {
                    let stored = body.into_block(self.state.tip.hash, &mut self.state.keys);
                    stored.is_some_and(|stored| {
                        let mut changes = Changes::default();
                        let befores = changes.apply_block(&self.state.items, &stored.block);
                        let sound = befores == Ok(stored.befores);
                        if sound {
                            self.last_switch = None;
                            self.state.extend(&stored.block, changes, next, check);
                        }
                        sound
                    })
                }
                Some(Body::Branch { fork }) if fork <= self.state.tip.length => {
                    let keys = self.state.keys.count();
                    let replayed = self.replay_branch(fork, next)?;
                    if replayed != Replayed::Closed {
                        self.branch = None;
                        self.state.keys.truncate(keys);
                    }
                    if replayed == Replayed::Unfinished {
                        return self.ending(Ending::OpenBranch);
                    }
                    replayed == Replayed::Closed
                }
                _ => false,
            };
            if !sound {
                return Ok(Ending::Damaged);
            }
        }
    }

    /// Takes a branch in whose first block is at `offset`.
    fn replay_branch(&mut self, fork: u64, mut offset: u64) -> Result<Replayed, DiskError> {
        let before = self.hash_before(fork)?;
        self.branch = Some(Branch::new(fork, self.state.tip.length, before));
        while !self.unwind(usize::MAX)? {}
        let mut marks: Vec<Mark> = Vec::new();
        loop {
            let found = self.window.record(&mut self.disk, offset)?;
            let Found::Record { body, check, next } = found else {
                return Ok(Replayed::Unfinished);
            };
            let branch = self.branch.as_mut().expect("it was opened above");
            match Body::read(body) {
                Some(Body::Block(body)) => {
                    let stored = body.into_block(branch.tip().hash, &mut self.state.keys);
                    let Some(stored) = stored else {
                        return Ok(Replayed::Unfit);
                    };
                    let befores = branch.extend(&self.state.items, &stored.block);
                    if befores != Ok(stored.befores) {
                        return Ok(Replayed::Unfit);
                    }
                    mark(&mut marks, &stored.block, offset);
                }
                Some(Body::Close { length, tip })
                    if length == branch.tip().length
                        && Hash::new(tip) == branch.tip().hash
                        && length > fork =>
                {
                    let branch = self.branch.take().expect("it was opened above");
                    self.last_switch = Some(self.switch(branch, marks, next, check));
                    return Ok(Replayed::Closed);
                }
                _ => return Ok(Replayed::Unfit),
            }
            offset = next;
        }
    }

    /// What the file's end is called where replaying found no record that could follow: clean if
    /// nothing is there, damage if a sound record comes later or the bytes are no record's
    /// beginning, else `unfinished`.
    fn ending(&mut self, unfinished: Ending) -> Result<Ending, DiskError> {
        let mut offset = self.state.end;
        let mut torn = unfinished;
        // What is sound behind the end belongs to an unfinished branch; damage comes after it.
        loop {
            match self.window.record(&mut self.disk, offset)? {
                Found::Record { next, .. } if unfinished == Ending::OpenBranch => offset = next,
                Found::Record { .. } => return Ok(Ending::Damaged),
                Found::End if offset == self.state.end => return Ok(Ending::Clean),
                Found::End => return Ok(unfinished),
                Found::Torn => break,
                Found::Bad => {
                    torn = Ending::Damaged;
                    break;
                }
            }
        }
        let size = self.disk.len(File::Chain)?;
        for offset in offset + 1..size {
            if let Found::Record { .. } = self.window.record(&mut self.disk, offset)? {
                torn = Ending::Damaged;
                break;
            }
        }
        Ok(torn)
    }

    /// Cuts what is behind the last record that counts.
    fn cut(&mut self, ending: Ending) -> Result<Opening, DiskError> {
        let size = self.disk.len(File::Chain)?;
        let aside = match ending {
            Ending::Damaged => Some(self.disk.set_aside(File::Chain, self.state.end)?),
            _ => None,
        };
        self.disk.set_len(File::Chain, self.state.end)?;
        self.disk.sync(File::Chain)?;
        self.window.forget();
        Ok(Opening {
            ending,
            cut: size - self.state.end,
            aside,
        })
    }
}

fn read_header(disk: &mut impl Disk) -> Result<Header, DiskError> {
    let mut bytes = [0; HEADER_BYTES];
    let read = disk.read(File::Chain, 0, &mut bytes)?;
    Ok(record::read_header(&bytes[..read]))
}
