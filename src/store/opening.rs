//! What opening a chain file finds, and why it cannot be opened.

use core::fmt;

use super::disk::{DiskError, File};
use super::record;

/// How a file's sound part ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With its last record.
    Clean,
    /// In the middle of a record that was being written.
    Torn,
    /// In a branch that was being written.
    OpenBranch,
    /// In damage with nothing sound behind it.
    Damaged,
    /// In damage with sound records behind it: a hole.
    Gap,
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
            Ending::Clean | Ending::Gap => return None,
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
