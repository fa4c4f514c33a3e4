//! What stands behind damage that nobody can mend. Its blocks, as far as they can be read, are copied
//! into a file of their own before the chain file is cut in front of the damage, and stay there until
//! their transactions are in the chain again (see `extract`; blocks are missing where damage was).

use core::ops::Range;

use super::disk::{Disk, DiskError, File};
use super::extract::{Extract, Writer};
use super::log::Log;
use super::mark::tip_of;
use super::record::{Body, StoredBlock};
use super::record_reader::Found;
use crate::ledger::{Hash, Tip};

/// Blocks of the chain behind the damage, in records that begin at this offset.
struct Run {
    heights: Range<u64>,
    offset: u64,
}

/// A branch behind the damage: the height of its first block, and how many runs there are before it.
#[derive(Clone, Copy)]
struct Fork {
    height: u64,
    runs: usize,
}

/// The branch counts: what it takes the place of is no part of the chain.
fn close(runs: &mut [Run], fork: Option<Fork>) {
    let Some(Fork {
        height,
        runs: first,
    }) = fork
    else {
        return;
    };
    if runs.len() > first {
        for run in &mut runs[..first] {
            run.heights.end = run.heights.end.min(height);
        }
    }
}

impl<D: Disk> Log<D> {
    /// Copies the blocks behind damage that is given up, from `offset` on; true if there are any.
    pub(super) fn save_behind(&mut self, offset: u64) -> Result<bool, DiskError> {
        let runs = self.runs_behind(offset)?;
        let kept = runs.iter().filter(|run| !run.heights.is_empty());
        let Some(first) = kept.map(|run| run.heights.start).min() else {
            return Ok(false);
        };
        let before = Tip {
            length: first.min(self.state.tip.length),
            hash: Hash::ZERO,
        };
        let difficulty = self.difficulty();
        let mut writer = Writer::begin(&mut self.disk, File::Draft, difficulty, before)?;
        let mut keys = self.state.keys.clone();
        keys.allow_gaps();
        let (mut from, mut last, mut begun) = (offset, before, None);
        while let Some(offset) = self.next_sound(from)? {
            let found = self.reader.record(&mut self.disk, offset)?;
            let Found::Record { body, next, .. } = found else {
                break;
            };
            from = next;
            let Some(Body::Block(body)) = Body::read(body) else {
                continue;
            };
            let begun_before = runs.partition_point(|run| run.offset <= offset);
            let run = runs[..begun_before].last();
            let counts = run.is_some_and(|run| run.heights.contains(&body.index));
            // Also of what does not count: keys may be told there first. One that was told in the
            // damage is known to nobody.
            let stored = body.into_block(last.hash, &mut keys);
            if let Some(stored) = stored.filter(|_| counts) {
                writer.add(&stored)?;
                last = tip_of(&stored.block);
                begun.get_or_insert(last.hash);
            }
            if writer.is_full() {
                writer.flush(&mut self.disk)?;
            }
        }
        if last == before {
            return Ok(false);
        }
        // What is not made again yet of what stood behind earlier damage comes behind this.
        if let Ok(Some(mut earlier)) = Extract::behind(&mut self.disk) {
            let begins = earlier.next(&mut self.disk)?;
            let hash = |stored: &StoredBlock| stored.block.hash;
            if begins.as_ref().map(hash) == begun {
                // The process ended between this and the cut.
                return Ok(true);
            }
            let mut next = begins;
            while let Some(stored) = next {
                writer.add(&stored)?;
                last = tip_of(&stored.block);
                if writer.is_full() {
                    writer.flush(&mut self.disk)?;
                }
                next = earlier.next(&mut self.disk)?;
            }
        }
        writer.finish(&mut self.disk, last)?;
        self.disk.rename(File::Draft, File::Behind)?;
        Ok(true)
    }

    /// The blocks of the chain behind the damage, in the order of the file and of their heights.
    fn runs_behind(&mut self, offset: u64) -> Result<Vec<Run>, DiskError> {
        let mut runs: Vec<Run> = Vec::new();
        let mut fork: Option<Fork> = None;
        let mut from = offset;
        while let Some(offset) = self.next_sound(from)? {
            let found = self.reader.record(&mut self.disk, offset)?;
            let Found::Record { body, next, .. } = found else {
                break;
            };
            match Body::read(body) {
                Some(Body::Block(body)) if body.index < u64::MAX => {
                    let begins = fork.is_some_and(|fork| fork.runs == runs.len());
                    let goes_on = |run: &&mut Run| run.heights.end == body.index && !begins;
                    match runs.last_mut().filter(goes_on) {
                        Some(run) => run.heights.end += 1,
                        None => runs.push(Run {
                            heights: body.index..body.index + 1,
                            offset,
                        }),
                    }
                }
                Some(Body::Branch { fork: height }) => {
                    // No branch follows one that was not closed.
                    close(&mut runs, fork);
                    let runs = runs.len();
                    fork = Some(Fork { height, runs });
                }
                Some(Body::Close { .. }) => close(&mut runs, fork.take()),
                Some(Body::Block(_)) | None => {}
            }
            from = next;
        }
        if let Some(open) = fork {
            match self.reader.record(&mut self.disk, from)? {
                // It was being written when the process ended, and never counted.
                Found::End | Found::Torn => {
                    for run in &mut runs[open.runs..] {
                        run.heights.end = run.heights.start;
                    }
                }
                Found::Record { .. } | Found::Bad => close(&mut runs, fork),
            }
        }
        Ok(runs)
    }
}

#[cfg(test)]
#[path = "behind_tests.rs"]
mod tests;
