//! Blocks of the chain file in a file of their own.
//!
//! ```text
//! header | closing record of the blocks before | block | block | ... | closing record
//! ```
//!
//! Header and records are those of a chain file, and no record needs anything that is not in this
//! file. Each record's check depends on all before it, so a file that begins with a header and ends
//! with the second closing record is whole; what a crash leaves of one is not.

use super::disk::{Disk, DiskError, File};
use super::keys::KeyTable;
use super::record::{
    self, BlockBody, Body, CHECK_BYTES, HEADER_BYTES, Header, StoredBlock, too_long,
};
use super::record_reader::{Found, RecordReader};
use crate::ledger::{Hash, Tip};
use crate::limits;

/// How far such a file is written.
pub(super) struct Writer {
    file: File,
    keys: KeyTable,
    /// What is not written yet.
    bytes: Vec<u8>,
    end: u64,
    check: u32,
    /// The end of what was synced.
    synced: u64,
}

impl Writer {
    /// Begins the file in the place of what it had, for blocks behind a chain that ends so.
    pub fn begin(
        disk: &mut impl Disk,
        file: File,
        difficulty: u8,
        before: Tip,
    ) -> Result<Writer, DiskError> {
        let header = record::header(difficulty);
        let mut writer = Writer {
            file,
            keys: KeyTable::default(),
            bytes: header.to_vec(),
            end: 0,
            check: record::le_u32(&header[HEADER_BYTES - CHECK_BYTES..]),
            synced: 0,
        };
        writer.close(before)?;
        disk.set_len(file, 0)?;
        Ok(writer)
    }

    /// Adds a block.
    pub fn add(&mut self, stored: &StoredBlock) -> Result<(), DiskError> {
        let body = BlockBody::new(&stored.block, &stored.undo_data, &mut self.keys);
        let check = Body::Block(body).write(self.check, &mut self.bytes);
        self.check = check.map_err(too_long(self.file))?;
        Ok(())
    }

    /// Whether as much waits as is written at once.
    pub fn is_full(&self) -> bool {
        self.bytes.len() as u64 >= limits::BYTES_PER_TURN
    }

    /// Writes what was added.
    pub fn flush(&mut self, disk: &mut impl Disk) -> Result<(), DiskError> {
        disk.write(self.file, self.end, &self.bytes)?;
        self.end += self.bytes.len() as u64;
        self.bytes.clear();
        // Not all at the end: a sync of the whole file would stop everything for long.
        if self.end - self.synced > limits::COPY_SYNC_BYTES {
            self.sync(disk)?;
        }
        Ok(())
    }

    /// Ends the file with the chain that the blocks led to, durably.
    pub fn finish(mut self, disk: &mut impl Disk, tip: Tip) -> Result<(), DiskError> {
        self.close(tip)?;
        self.flush(disk)?;
        self.sync(disk)
    }

    fn sync(&mut self, disk: &mut impl Disk) -> Result<(), DiskError> {
        disk.sync(self.file)?;
        self.synced = self.end;
        Ok(())
    }

    fn close(&mut self, tip: Tip) -> Result<(), DiskError> {
        let check = Body::close(tip).write(self.check, &mut self.bytes);
        self.check = check.map_err(too_long(self.file))?;
        Ok(())
    }
}

/// Reads such a file.
pub struct Extract {
    /// The chain in front of the first block.
    pub before: Tip,
    /// The chain that the last one ended.
    pub tip: Tip,
    file: File,
    reader: RecordReader,
    keys: KeyTable,
    /// Where the next record is, and what its block stands behind.
    offset: u64,
    last: Tip,
}

impl Extract {
    /// Finds the blocks that the last alarming switch took out; `None` if there are none. A file that
    /// is not whole is an error.
    pub fn disconnected(disk: &mut impl Disk) -> Result<Option<Extract>, DiskError> {
        Extract::open(disk, File::Disconnected)
    }

    /// Finds those that stood behind damage that was given up.
    pub fn behind(disk: &mut impl Disk) -> Result<Option<Extract>, DiskError> {
        Extract::open(disk, File::Behind)
    }

    fn open(disk: &mut impl Disk, file: File) -> Result<Option<Extract>, DiskError> {
        if disk.len(file)? == 0 {
            return Ok(None);
        }
        // Nothing is handed out of a file that turns out to have no end.
        let mut extract = Extract::begin(disk, file)?;
        while extract.next(disk)?.is_some() {}
        let tip = extract.last;
        extract = Extract::begin(disk, file)?;
        extract.tip = tip;
        Ok(Some(extract))
    }

    fn begin(disk: &mut impl Disk, file: File) -> Result<Extract, DiskError> {
        let mut reader = RecordReader::new(file);
        let header = reader.get(disk, 0, HEADER_BYTES)?;
        let Header::Ours { .. } = record::read_header(header) else {
            return Err(not_whole(file, 0));
        };
        let first = HEADER_BYTES as u64;
        let Found::Record { body, next, .. } = reader.record(disk, first)? else {
            return Err(not_whole(file, first));
        };
        let Some(Body::Close { length, tip }) = Body::read(body) else {
            return Err(not_whole(file, first));
        };
        let hash = Hash::new(tip);
        let before = Tip { length, hash };
        Ok(Extract {
            before,
            tip: before,
            file,
            reader,
            keys: KeyTable::default(),
            offset: next,
            last: before,
        })
    }

    /// The next block, from the first one on; `None` behind the last one.
    pub fn next(&mut self, disk: &mut impl Disk) -> Result<Option<StoredBlock>, DiskError> {
        let (file, at) = (self.file, self.offset);
        let Found::Record { body, next, .. } = self.reader.record(disk, at)? else {
            return Err(not_whole(file, at));
        };
        let Tip { length, hash } = self.last;
        // Behind damage some are missing, and an earlier one's may follow.
        let fits = |index: u64| file == File::Behind || index == length;
        match Body::read(body) {
            Some(Body::Block(body)) if fits(body.index) && body.index < u64::MAX => {
                let length = body.index + 1;
                let stored = body.into_block(hash, &mut self.keys);
                let stored = stored.ok_or_else(|| not_whole(file, at))?;
                let hash = stored.block.hash;
                (self.last, self.offset) = (Tip { length, hash }, next);
                Ok(Some(stored))
            }
            Some(Body::Close { length: end, tip })
                if end == length && Hash::new(tip) == hash && self.last != self.before =>
            {
                Ok(None)
            }
            _ => Err(not_whole(file, at)),
        }
    }
}

fn not_whole(file: File, offset: u64) -> DiskError {
    DiskError {
        file,
        action: "read",
        reason: format!("it is damaged or was not finished at byte {offset}"),
    }
}
