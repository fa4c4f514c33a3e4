//! The file of the blocks that the last alarming reorg disconnected, so that whoever is alarmed can
//! look at them after the chain file was compacted: an `extract` of the chain file.

use super::branch::DisconnectedBlocks;
use super::disk::{Disk, DiskError, File};
use super::extract::Writer;
use super::log::Log;
use super::mark::{Mark, tip_of};
use crate::ledger::Tip;
use crate::limits;

/// How far the disconnected blocks are saved.
#[derive(Default)]
pub struct Saving {
    /// The record behind the last block that was read.
    cursor: Option<Mark>,
    writer: Option<Writer>,
}

impl<D: Disk> Log<D> {
    /// Saves at most `blocks` more of the blocks that a reorg disconnected, in the place of those
    /// of an earlier reorg; true when all of them are durable. Begins with a new [`Saving`], and
    /// has to end before the next reorg and before the chain file is compacted. After an error the
    /// file is not whole; the chain is not affected.
    pub fn save_disconnected(
        &mut self,
        disconnected: &DisconnectedBlocks,
        saving: &mut Saving,
        blocks: usize,
    ) -> Result<bool, DiskError> {
        self.check_writable()?;
        if disconnected.from == disconnected.to {
            return Ok(true);
        }
        let first = saving
            .cursor
            .map_or(disconnected.from, |cursor| cursor.height);
        let mut last = None;
        for height in first..disconnected.to.min(first + blocks as u64) {
            if saving.writer.as_ref().is_some_and(Writer::is_full) {
                break;
            }
            let read = self.read_from(disconnected.place(height, saving.cursor), height)?;
            let block = &read.stored.block;
            let writer = match &mut saving.writer {
                Some(writer) => writer,
                none => {
                    let (length, hash) = (height, block.prev_hash);
                    let (file, before) = (File::Disconnected, Tip { length, hash });
                    let difficulty = self.difficulty();
                    none.insert(Writer::begin(&mut self.disk, file, difficulty, before)?)
                }
            };
            writer.add(&read.stored)?;
            saving.cursor = Some(read.after);
            last = (height + 1 == disconnected.to).then(|| tip_of(block));
        }
        if let Some(tip) = last
            && let Some(writer) = saving.writer.take()
        {
            writer.finish(&mut self.disk, tip)?;
            return Ok(true);
        }
        if let Some(writer) = &mut saving.writer {
            writer.flush(&mut self.disk)?;
        }
        limits::Full::TurnSaved.ran();
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Block, Hash};
    use crate::store::disk::memory::MemoryDisk;
    use crate::store::extract::Extract;
    use crate::store::tests::{check, stage, tip, toggle};
    use crate::store::upkeep_tests::grown;

    /// A long chain whose blocks from `fork` on a reorg disconnects, and those blocks.
    fn reorged(fork: u64) -> (Log<MemoryDisk>, DisconnectedBlocks, Vec<Block>) {
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
            if let Some(disconnected) = log.adopt(50).expect("adopts") {
                return (log, disconnected, old);
            }
        }
    }

    fn save(
        log: &mut Log<MemoryDisk>,
        disconnected: &DisconnectedBlocks,
        blocks: usize,
    ) -> Result<(), DiskError> {
        let mut saving = Saving::default();
        while !log.save_disconnected(disconnected, &mut saving, blocks)? {}
        Ok(())
    }

    fn saved(mut disk: MemoryDisk) -> Result<Option<Vec<Block>>, DiskError> {
        let disk = &mut disk;
        let Some(mut saved) = Extract::disconnected(disk)? else {
            return Ok(None);
        };
        let mut blocks: Vec<Block> = Vec::new();
        while let Some(stored) = saved.next(disk)? {
            assert_eq!(
                stored.block.index,
                saved.before.length + blocks.len() as u64
            );
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
            let (mut log, disconnected, old) = reorged(fork);
            save(&mut log, &disconnected, slice).expect("saved");
            while !log.compact(1_000).expect("compacts") {}
            assert_eq!(saved(log.disk.clone()), Ok(Some(old)), "{fork} {slice}");
            check(&mut log);
        }
    }

    #[test]
    fn a_later_reorg_takes_an_earlier_ones_place() {
        let (mut log, disconnected, _) = reorged(10);
        assert_eq!(saved(log.disk.clone()), Ok(None));
        save(&mut log, &disconnected, 50).expect("saved");
        let (length, _) = tip(&log);
        let last = vec![log.read(length - 1).expect("reads").block];
        stage(&mut log, length - 1, 2, "third");
        let disconnected = loop {
            if let Some(disconnected) = log.adopt(50).expect("adopts") {
                break disconnected;
            }
        };
        let before = log.disk.live(File::Disconnected).len();
        save(&mut log, &disconnected, 50).expect("saved");
        assert!(log.disk.live(File::Disconnected).len() < before);
        assert_eq!(saved(log.disk.clone()), Ok(Some(last.clone())));
        // A chain that only grew lost nothing.
        let length = tip(&log).0;
        stage(&mut log, length, 2, "fourth");
        let disconnected = log.adopt(50).expect("adopts").expect("at once");
        save(&mut log, &disconnected, 50).expect("nothing to do");
        assert_eq!(saved(log.disk.clone()), Ok(Some(last)));
    }

    #[test]
    fn half_a_file_is_not_taken_for_a_whole_one() {
        let (mut log, disconnected, old) = reorged(290);
        save(&mut log, &disconnected, 4).expect("saved");
        let whole = log.disk.clone();
        let size = whole.clone().live(File::Disconnected).len();
        for cut in 0..=size {
            let mut disk = whole.clone();
            disk.live(File::Disconnected).truncate(cut);
            let read = saved(disk);
            match cut {
                0 => assert_eq!(read, Ok(None)),
                _ if cut == size => assert_eq!(read, Ok(Some(old.clone()))),
                _ => assert!(read.is_err(), "{cut} of {size}"),
            }
        }
        for at in 0..size {
            let mut disk = whole.clone();
            disk.live(File::Disconnected)[at] ^= 2;
            assert!(saved(disk).is_err(), "byte {at} of {size}");
        }
    }

    #[test]
    fn a_file_without_blocks_is_none_of_ours() {
        let mut disk = MemoryDisk::default();
        let before = Tip {
            length: 0,
            hash: Hash::ZERO,
        };
        let writer = Writer::begin(&mut disk, File::Disconnected, 2, before).expect("begins");
        writer.finish(&mut disk, before).expect("ends");
        assert!(saved(disk).is_err());
    }

    #[test]
    fn what_was_saved_survives_a_power_cut() {
        let (mut log, disconnected, old) = reorged(280);
        let mut saving = Saving::default();
        while !log
            .save_disconnected(&disconnected, &mut saving, 3)
            .expect("saves")
        {
            for kept in [0, 100, 100_000] {
                let read = saved(log.disk.after_power_cut(kept));
                assert!(!matches!(read, Ok(Some(_))), "it is not whole yet");
            }
        }
        assert_eq!(saved(log.disk.after_power_cut(0)), Ok(Some(old)));
    }

    #[test]
    fn a_full_disk_costs_the_copy_and_nothing_else() {
        let (mut log, disconnected, _) = reorged(200);
        log.disk.room = Some(3_000);
        let error = save(&mut log, &disconnected, 10).expect_err("is full");
        assert_eq!(error.file, File::Disconnected);
        assert!(saved(log.disk.clone()).is_err());
        log.disk.room = None;
        toggle(&mut log, 1, "after").expect("the chain is not concerned");
        check(&mut log);
    }
}
