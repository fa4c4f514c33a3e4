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
    Hole,
    /// It had none: the header was damaged.
    NoHeader,
}

/// What stands where the sound part of a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Nothing: the file's end.
    Nothing,
    /// A record's beginning, up to the file's end.
    Beginning,
    /// Bytes that are no record.
    Garbage,
    /// A sound record that cannot stand here.
    Unexpected,
}

/// A row of the table: where the sound part stops, whether in a branch that is not closed, whether
/// a sound record stands somewhere behind, and what that is called. `None` is either.
type Row = (Stop, Option<bool>, Option<bool>, Ending);

/// How a file's sound part ended, by what stands there and behind.
const ENDINGS: [Row; 9] = [
    (Stop::Nothing, Some(false), None, Ending::Clean),
    (Stop::Nothing, Some(true), None, Ending::OpenBranch),
    (Stop::Beginning, Some(false), Some(false), Ending::Torn),
    (Stop::Beginning, Some(true), Some(false), Ending::OpenBranch),
    (Stop::Beginning, None, Some(true), Ending::Hole),
    (Stop::Garbage, None, Some(false), Ending::Damaged),
    (Stop::Garbage, None, Some(true), Ending::Hole),
    (Stop::Unexpected, None, Some(false), Ending::Damaged),
    (Stop::Unexpected, None, Some(true), Ending::Hole),
];

fn applies(row: &Row, stop: Stop, in_branch: bool, behind: bool) -> bool {
    let fits = |wanted: Option<bool>, is| wanted.is_none_or(|wanted| wanted == is);
    row.0 == stop && fits(row.1, in_branch) && fits(row.2, behind)
}

impl Ending {
    /// The one row that applies.
    pub(super) fn of(stop: Stop, in_branch: bool, behind: bool) -> Ending {
        let row = ENDINGS
            .iter()
            .find(|row| applies(row, stop, in_branch, behind));
        row.expect("the table is total").3
    }
}

/// What opening a chain file found and did.
#[derive(Debug, PartialEq, Eq)]
pub struct Recovery {
    /// How its sound part ended.
    pub ending: Ending,
    /// The bytes that were cut.
    pub cut: u64,
    /// The name of the file that has them now; only damage is kept.
    pub aside: Option<String>,
    /// Damage was passed over, among stale blocks.
    pub passed: bool,
}

/// What a user should know of it: `None` if nothing happened.
impl Recovery {
    /// One sentence about what was cut.
    pub fn notice(&self) -> Option<String> {
        let (cut, what) = match self.ending {
            Ending::Clean | Ending::Hole if self.passed => {
                let text = "damage was found among stale blocks: nothing is lost.";
                return Some(text.into());
            }
            Ending::Clean | Ending::Hole => return None,
            Ending::Torn => (self.cut, "an unfinished record"),
            Ending::OpenBranch => (self.cut, "an unfinished reorg to another chain"),
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

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = File::Chain.name();
        match self {
            OpenError::Disk(error) => error.fmt(f),
            OpenError::Foreign => write!(f, "{name} is not a chain file"),
            OpenError::Header => write!(f, "the header of {name} is damaged"),
            OpenError::Newer(version) => write!(
                f,
                "{name} has format {version} and this blx reads {}",
                record::VERSION
            ),
            OpenError::Difficulty { file, asked } => {
                write!(f, "{name} was made with difficulty {file}, not {asked}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_one_row_for_everything() {
        let stops = [
            Stop::Nothing,
            Stop::Beginning,
            Stop::Garbage,
            Stop::Unexpected,
        ];
        let mut used = [0; ENDINGS.len()];
        for stop in stops {
            for (in_branch, behind) in [(false, false), (false, true), (true, false), (true, true)]
            {
                let rows = ENDINGS.iter().enumerate();
                let rows: Vec<usize> = rows
                    .filter(|(_, row)| applies(row, stop, in_branch, behind))
                    .map(|(at, _)| at)
                    .collect();
                assert_eq!(rows.len(), 1, "{stop:?} {in_branch} {behind}: {rows:?}");
                used[rows[0]] += 1;
            }
        }
        assert!(
            used.iter().all(|used| *used > 0),
            "no row without a case: {used:?}"
        );
    }
}
