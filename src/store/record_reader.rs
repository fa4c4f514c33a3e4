//! Reads records from a file through a buffer, so that reading on costs a system call now and then.

use super::disk::{Disk, DiskError, File};
use super::record::{self, CHECK_BYTES, PREFIX_BYTES};
use crate::ledger::tally;
use crate::limits;

/// What stands at an offset.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// The end of the file.
    End,
    /// A sound record.
    Record {
        /// Its body.
        body: &'a [u8],
        /// Its check.
        check: u32,
        /// The offset of the next one.
        next: u64,
    },
    /// The beginning of a record that goes on behind the file's end: what a write leaves that
    /// did not come to its end.
    Torn,
    /// Bytes that are no record.
    Bad,
}

/// Reads records of a file, of which it keeps one piece in memory.
pub struct RecordReader {
    file: File,
    offset: u64,
    bytes: Vec<u8>,
}

impl RecordReader {
    /// A reader of this file that has read nothing yet.
    pub fn new(file: File) -> RecordReader {
        RecordReader {
            file,
            offset: 0,
            bytes: Vec::new(),
        }
    }

    /// Forgets what was read: needed after bytes that were read have been changed.
    pub fn forget(&mut self) {
        self.bytes.clear();
    }

    /// `count` bytes from `offset` on; fewer only where the file ends.
    pub fn get(
        &mut self,
        disk: &mut impl Disk,
        offset: u64,
        count: usize,
    ) -> Result<&[u8], DiskError> {
        let inside = |reader: &RecordReader| {
            let from = usize::try_from(offset.checked_sub(reader.offset)?).ok()?;
            (from.checked_add(count)? <= reader.bytes.len()).then_some(from)
        };
        if let Some(from) = inside(self) {
            return Ok(&self.bytes[from..from + count]);
        }
        self.bytes.resize(count.max(limits::FILE_READ_BYTES), 0);
        // One large record must not keep its memory for ever.
        self.bytes.shrink_to(limits::FILE_READ_BYTES);
        self.offset = offset;
        let read = match disk.read(self.file, offset, &mut self.bytes) {
            Ok(read) => read,
            Err(error) => {
                self.bytes.clear();
                return Err(error);
            }
        };
        self.bytes.truncate(read);
        Ok(&self.bytes[..count.min(read)])
    }

    /// Whether the record at `offset` is sound if the one in front of it has this check.
    pub fn follows(
        &mut self,
        disk: &mut impl Disk,
        offset: u64,
        check: u32,
    ) -> Result<bool, DiskError> {
        let prefix = self.get(disk, offset, PREFIX_BYTES)?.first_chunk();
        let Some(length) = prefix.and_then(record::body_length) else {
            return Ok(false);
        };
        let size = PREFIX_BYTES + length + CHECK_BYTES;
        let bytes = self.get(disk, offset, size)?;
        Ok(bytes.len() == size && record::open(bytes, check).is_some())
    }

    /// The record at `offset`, which is behind a header or another record.
    pub fn record(&mut self, disk: &mut impl Disk, offset: u64) -> Result<Found<'_>, DiskError> {
        let start = offset - CHECK_BYTES as u64;
        let head = self.get(disk, start, CHECK_BYTES + PREFIX_BYTES)?;
        if head.len() <= CHECK_BYTES {
            return Ok(Found::End);
        }
        let before = record::le_u32(head);
        let Some(prefix) = head[CHECK_BYTES..].first_chunk() else {
            return Ok(Found::Torn);
        };
        let Some(length) = record::body_length(prefix) else {
            return Ok(Found::Bad);
        };
        let size = PREFIX_BYTES + length + CHECK_BYTES;
        let bytes = self.get(disk, start, CHECK_BYTES + size)?;
        if bytes.len() < CHECK_BYTES + size {
            return Ok(Found::Torn);
        }
        tally::count(|done| done.read += tally::bytes(size));
        Ok(match record::open(&bytes[CHECK_BYTES..], before) {
            Some((body, check)) => Found::Record {
                body,
                check,
                next: offset + size as u64,
            },
            None => Found::Bad,
        })
    }
}
