//! Small files that are read and written whole: a new one takes the old one's place at once.
//!
//! ```text
//! magic 8 | body, as postcard writes it | CRC-32 of both 4
//! ```

use serde::Serialize;

use super::disk::{Disk, DiskError, File};
use super::record::{self, CHECK_BYTES};

/// A file, and the eight bytes that it begins with; the last of them is the format's number.
pub(super) struct Seal {
    pub file: File,
    pub magic: [u8; 8],
}

/// What such a file holds.
pub(super) enum Sealed {
    /// Nothing, or there is no file.
    Empty,
    /// Something else than was written.
    Damaged,
    /// This body.
    Whole(Vec<u8>),
}

impl Seal {
    /// Reads the file.
    pub fn read(&self, disk: &mut impl Disk) -> Result<Sealed, DiskError> {
        let size = disk.len(self.file)?;
        if size == 0 {
            return Ok(Sealed::Empty);
        }
        let size = usize::try_from(size).unwrap_or(0);
        let Some(end) = size
            .checked_sub(CHECK_BYTES)
            .filter(|end| *end >= self.magic.len())
        else {
            return Ok(Sealed::Damaged);
        };
        let mut bytes = vec![0; size];
        let read = disk.read(self.file, 0, &mut bytes)?;
        let (covered, check) = bytes.split_at(end);
        let sound = read == size
            && covered.starts_with(&self.magic)
            && crc32fast::hash(covered) == record::le_u32(check);
        if !sound {
            return Ok(Sealed::Damaged);
        }
        bytes.truncate(end);
        Ok(Sealed::Whole(bytes.split_off(self.magic.len())))
    }

    /// Reads the file and what `decode` makes of its body. A damaged file is copied into one beside
    /// and emptied; the name of the copy is returned as well.
    pub fn read_or_set_aside<T>(
        &self,
        disk: &mut impl Disk,
        decode: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<(Option<T>, Option<String>), DiskError> {
        let content = match self.read(disk)? {
            Sealed::Empty => return Ok((None, None)),
            Sealed::Damaged => None,
            Sealed::Whole(body) => decode(&body),
        };
        if content.is_some() {
            return Ok((content, None));
        }
        let aside = disk.set_aside(self.file, 0)?;
        disk.replace(self.file, &[])?;
        Ok((None, Some(aside)))
    }

    /// Writes the file, durably.
    pub fn write(&self, disk: &mut impl Disk, body: &impl Serialize) -> Result<(), DiskError> {
        let mut bytes = postcard::to_extend(body, self.magic.to_vec())
            .expect("memory takes what came from memory");
        let check = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&check.to_le_bytes());
        disk.replace(self.file, &bytes)
    }
}
