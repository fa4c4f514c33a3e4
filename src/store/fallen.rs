//! The file of the blocks that the last alarming switch took out of the chain, so that whoever is
//! alarmed can look at them after the chain file was compacted.
//!
//! ```text
//! header | closing record of the blocks before | block | block | ... | closing record
//! ```
//!
//! Header and records are those of a chain file, and no record needs anything that is not in this
//! file. Each record's check depends on all before it, so a file that begins with a header and ends
//! with the second closing record is whole; what a crash leaves of one is not.

use super::branch::Fallen;
use super::disk::{Disk, DiskError, File};
use super::keys::KeyTable;
use super::log::Log;
use super::mark::Mark;
use super::record::{
    self, BlockBody, Body, CHECK_BYTES, HEADER_BYTES, Header, StoredBlock, too_long,
};
use super::window::{Found, Window};
use crate::ledger::{Hash, Tip};
use crate::limits;

/// How far the fallen blocks are saved.
#[derive(Default)]
pub struct Saving {
    /// The record behind the last block that was read.
    cursor: Option<Mark>,
    keys: KeyTable,
    end: u64,
    check: u32,
    /// The end of what was synced.
    synced: u64,
}

impl<D: Disk> Log<D> {
    /// Saves at most `blocks` more of what a switch took out, in the place of what an earlier one
    /// did; true when all of them are there and durable. Begins with a new [`Saving`], and has to
    /// end before the next switch and before the chain file is compacted. After an error the file
    /// is not whole; the chain is not concerned.
    pub fn save_fallen(
        &mut self,
        fallen: &Fallen,
        saving: &mut Saving,
        blocks: usize,
    ) -> Result<bool, DiskError> {
        self.check_writable()?;
        if fallen.from == fallen.to {
            return Ok(true);
        }
        let mut bytes = Vec::new();
        let first = saving.cursor.map_or(fallen.from, |cursor| cursor.height);
        for height in first..fallen.to.min(first + blocks as u64) {
            if bytes.len() as u64 >= limits::BYTES_PER_TURN {
                break;
            }
            let read = self.read_from(fallen.place(height, saving.cursor), height)?;
            let block = &read.stored.block;
            if height == fallen.from {
                let header = record::header(self.difficulty());
                saving.check = record::le_u32(&header[HEADER_BYTES - CHECK_BYTES..]);
                bytes.extend_from_slice(&header);
                saving.close(height, block.prev_hash, &mut bytes)?;
                self.disk.set_len(File::Fallen, 0)?;
            }
            let body = BlockBody::new(block, &read.stored.befores, &mut saving.keys);
            let check = Body::Block(body).write(saving.check, &mut bytes);
            saving.check = check.map_err(too_long(File::Fallen))?;
            saving.cursor = Some(read.after);
        }
        let last = saving.cursor.filter(|cursor| cursor.height == fallen.to);
        if let Some(last) = last {
            saving.close(last.height, last.prev_hash, &mut bytes)?;
        }
        self.disk.write(File::Fallen, saving.end, &bytes)?;
        saving.end += bytes.len() as u64;
        // Not all at the end: a sync of the whole file would stop everything for long.
        if last.is_some() || saving.end - saving.synced > limits::COPY_SYNC_BYTES {
            self.disk.sync(File::Fallen)?;
            saving.synced = saving.end;
        }
        Ok(last.is_some())
    }
}

impl Saving {
    fn close(&mut self, length: u64, hash: Hash, bytes: &mut Vec<u8>) -> Result<(), DiskError> {
        let check = Body::close(Tip { length, hash }).write(self.check, bytes);
        self.check = check.map_err(too_long(File::Fallen))?;
        Ok(())
    }
}

/// The blocks that a switch took out, as they were saved.
pub struct Saved {
    /// The height of the first one.
    pub from: u64,
    /// The length and the last hash of the chain that they ended.
    pub tip: Tip,
    window: Window,
    keys: KeyTable,
    /// Where the next record is, and what its block stands behind.
    offset: u64,
    before: Tip,
}

impl Saved {
    /// Finds what was saved; `None` if nothing was. A file that is not whole is an error.
    pub fn open(disk: &mut impl Disk) -> Result<Option<Saved>, DiskError> {
        if disk.len(File::Fallen)? == 0 {
            return Ok(None);
        }
        // Nothing is handed out of a file that turns out to have no end.
        let mut saved = Saved::begin(disk)?;
        while saved.next(disk)?.is_some() {}
        let tip = saved.before;
        saved = Saved::begin(disk)?;
        saved.tip = tip;
        Ok(Some(saved))
    }

    fn begin(disk: &mut impl Disk) -> Result<Saved, DiskError> {
        let mut window = Window::new(File::Fallen);
        let header = window.get(disk, 0, HEADER_BYTES)?;
        let Header::Ours { .. } = record::read_header(header) else {
            return Err(not_whole(0));
        };
        let first = HEADER_BYTES as u64;
        let Found::Record { body, next, .. } = window.record(disk, first)? else {
            return Err(not_whole(first));
        };
        let Some(Body::Close { length, tip }) = Body::read(body) else {
            return Err(not_whole(first));
        };
        let hash = Hash::new(tip);
        let before = Tip { length, hash };
        Ok(Saved {
            from: length,
            tip: before,
            window,
            keys: KeyTable::default(),
            offset: next,
            before,
        })
    }

    /// The next block, from the first one on; `None` behind the last one.
    pub fn next(&mut self, disk: &mut impl Disk) -> Result<Option<StoredBlock>, DiskError> {
        let at = self.offset;
        let Found::Record { body, next, .. } = self.window.record(disk, at)? else {
            return Err(not_whole(at));
        };
        let Tip { length, hash } = self.before;
        match Body::read(body) {
            Some(Body::Block(body)) if body.index == length && length < u64::MAX => {
                let stored = body.into_block(hash, &mut self.keys);
                let stored = stored.ok_or_else(|| not_whole(at))?;
                self.before = Tip {
                    length: length + 1,
                    hash: stored.block.hash,
                };
                self.offset = next;
                Ok(Some(stored))
            }
            Some(Body::Close { length: end, tip })
                if end == length && Hash::new(tip) == hash && end > self.from =>
            {
                Ok(None)
            }
            _ => Err(not_whole(at)),
        }
    }
}

fn not_whole(offset: u64) -> DiskError {
    DiskError {
        file: File::Fallen,
        action: "read",
        reason: format!("it is damaged or was not finished at byte {offset}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Block;
    use crate::store::disk::memory::MemoryDisk;
    use crate::store::tests::{check, stage, tip, toggle};
    use crate::store::upkeep_tests::grown;

    /// A long chain of which a switch takes the blocks from `fork` on, and those.
    fn switched(fork: u64) -> (Log<MemoryDisk>, Fallen, Vec<Block>) {
        let mut log = grown(200);
        for step in 0..100 {
            let author = u8::try_from(step % 7 + 1).expect("small");
            toggle(&mut log, author, &format!("item-{}", step % 13)).expect("appended");
        }
        let (length, _) = tip(&log);
        let old = (fork..length).map(|height| log.read(height).expect("reads").block);
        let old = old.collect();
        stage(&mut log, fork, length - fork + 1, "other");
        loop {
            if let Some(fallen) = log.adopt(50).expect("adopts") {
                return (log, fallen, old);
            }
        }
    }

    fn save(log: &mut Log<MemoryDisk>, fallen: &Fallen, blocks: usize) -> Result<(), DiskError> {
        let mut saving = Saving::default();
        while !log.save_fallen(fallen, &mut saving, blocks)? {}
        Ok(())
    }

    fn saved(mut disk: MemoryDisk) -> Result<Option<Vec<Block>>, DiskError> {
        let disk = &mut disk;
        let Some(mut saved) = Saved::open(disk)? else {
            return Ok(None);
        };
        let mut blocks: Vec<Block> = Vec::new();
        while let Some(stored) = saved.next(disk)? {
            assert_eq!(stored.block.index, saved.from + blocks.len() as u64);
            blocks.push(stored.block);
        }
        let last = blocks.last().map(|last| (last.index + 1, last.hash));
        assert_eq!(last, Some((saved.tip.length, saved.tip.hash)));
        Ok(Some(blocks))
    }

    #[test]
    fn what_fell_out_is_read_back_when_the_chain_file_has_forgotten_it() {
        let cases = [
            (0, 7),
            (1, 1_000),
            (64, 1),
            (130, 7),
            (196, 1),
            (300, 1_000),
        ];
        for (fork, slice) in cases {
            let (mut log, fallen, old) = switched(fork);
            save(&mut log, &fallen, slice).expect("saved");
            while !log.compact(1_000).expect("compacts") {}
            assert_eq!(saved(log.disk.clone()), Ok(Some(old)), "{fork} {slice}");
            check(&mut log);
        }
    }

    #[test]
    fn a_later_switch_takes_an_earlier_ones_place() {
        let (mut log, fallen, _) = switched(10);
        assert_eq!(saved(log.disk.clone()), Ok(None));
        save(&mut log, &fallen, 50).expect("saved");
        let (length, _) = tip(&log);
        let last = vec![log.read(length - 1).expect("reads").block];
        stage(&mut log, length - 1, 2, "third");
        let fallen = loop {
            if let Some(fallen) = log.adopt(50).expect("adopts") {
                break fallen;
            }
        };
        let before = log.disk.live(File::Fallen).len();
        save(&mut log, &fallen, 50).expect("saved");
        assert!(log.disk.live(File::Fallen).len() < before);
        assert_eq!(saved(log.disk.clone()), Ok(Some(last.clone())));
        // A chain that only grew lost nothing.
        let length = tip(&log).0;
        stage(&mut log, length, 2, "fourth");
        let fallen = log.adopt(50).expect("adopts").expect("at once");
        save(&mut log, &fallen, 50).expect("nothing to do");
        assert_eq!(saved(log.disk.clone()), Ok(Some(last)));
    }

    #[test]
    fn half_a_file_is_not_taken_for_a_whole_one() {
        let (mut log, fallen, old) = switched(290);
        save(&mut log, &fallen, 4).expect("saved");
        let whole = log.disk.clone();
        let size = whole.clone().live(File::Fallen).len();
        for cut in 0..=size {
            let mut disk = whole.clone();
            disk.live(File::Fallen).truncate(cut);
            let read = saved(disk);
            match cut {
                0 => assert_eq!(read, Ok(None)),
                _ if cut == size => assert_eq!(read, Ok(Some(old.clone()))),
                _ => assert!(read.is_err(), "{cut} of {size}"),
            }
        }
        for at in 0..size {
            let mut disk = whole.clone();
            disk.live(File::Fallen)[at] ^= 2;
            assert!(saved(disk).is_err(), "byte {at} of {size}");
        }
    }

    #[test]
    fn a_file_without_blocks_is_none_of_ours() {
        let mut bytes = record::header(2).to_vec();
        let mut saving = Saving {
            check: record::le_u32(&bytes[HEADER_BYTES - CHECK_BYTES..]),
            ..Saving::default()
        };
        for _ in 0..2 {
            saving.close(0, Hash::ZERO, &mut bytes).expect("short");
        }
        let mut disk = MemoryDisk::default();
        *disk.live(File::Fallen) = bytes;
        assert!(saved(disk).is_err());
    }

    #[test]
    fn what_was_saved_survives_a_power_cut() {
        let (mut log, fallen, old) = switched(280);
        let mut saving = Saving::default();
        while !log.save_fallen(&fallen, &mut saving, 3).expect("saves") {
            for kept in [0, 100, 100_000] {
                let read = saved(log.disk.after_power_cut(kept));
                assert!(!matches!(read, Ok(Some(_))), "it is not whole yet");
            }
        }
        assert_eq!(saved(log.disk.after_power_cut(0)), Ok(Some(old)));
    }

    #[test]
    fn a_full_disk_costs_the_copy_and_nothing_else() {
        let (mut log, fallen, _) = switched(200);
        log.disk.room = Some(3_000);
        let error = save(&mut log, &fallen, 10).expect_err("is full");
        assert_eq!(error.file, File::Fallen);
        assert!(saved(log.disk.clone()).is_err());
        log.disk.room = None;
        toggle(&mut log, 1, "after").expect("the chain is not concerned");
        check(&mut log);
    }
}
