//! What the chain file says up to some record, in a file of its own, so that a start reads only
//! what came after. It is a copy of what can be found out again: a checkpoint that is missing,
//! damaged, or of another chain file is ignored.
//!
//! ```text
//! magic 8 | length of the head 4 | head, as postcard writes it | keys | marks | items | CRC-32 of all 4
//! ```
//!
//! What there can be many of has rows of a fixed size, which go from the tables to the file and
//! back through a small buffer: beside a table of so many items there is no room for another one.

use serde::{Deserialize, Serialize};

use super::disk::{Disk, DiskError, File};
use super::log::Log;
use super::mark::Mark;
use super::record::{self, Body, CHECK_BYTES, HEADER_BYTES};
use super::record_reader::{Found, RecordReader};
use super::state::{State, Verified};
use crate::ledger::{Hash, ItemKey, ItemState, PublicKey, Tip};
use crate::limits;

/// The last byte is the format's number.
const MAGIC: [u8; 8] = *b"\x89BLXCHK\x02";

/// What stands in front of the head.
const FRONT_BYTES: usize = MAGIC.len() + 4;

#[derive(Serialize, Deserialize)]
struct Head {
    end: u64,
    check: u32,
    length: u64,
    tip: [u8; 32],
    tip_time: record::Time,
    stale_bytes: u64,
    verified: Option<(f64, u64)>,
    keys: u64,
    marks: u64,
    items: u64,
}

impl Head {
    fn of(state: &State) -> Head {
        Head {
            end: state.end,
            check: state.check,
            length: state.tip.length,
            tip: *state.tip.hash.as_bytes(),
            tip_time: state.tip_time.into(),
            stale_bytes: state.stale_bytes,
            verified: state.verified.map(|v| (v.seconds, v.length)),
            keys: state.keys.count() as u64,
            marks: state.marks.len() as u64,
            items: state.items.count() as u64,
        }
    }

    fn into_state(self) -> Option<State> {
        let mut state = State::new(self.end, self.check);
        state.tip = Tip {
            length: self.length,
            hash: Hash::new(self.tip),
        };
        state.tip_time = self.tip_time.timestamp()?;
        state.stale_bytes = self.stale_bytes;
        state.verified = self
            .verified
            .map(|(seconds, length)| Verified { seconds, length });
        Some(state)
    }
}

const KEY_BYTES: usize = 33;
const MARK_BYTES: usize = 48;
const ITEM_BYTES: usize = 40;

fn mark_row(mark: &Mark) -> [u8; MARK_BYTES] {
    let mut row = [0; MARK_BYTES];
    row[..8].copy_from_slice(&mark.height.to_le_bytes());
    row[8..16].copy_from_slice(&mark.offset.to_le_bytes());
    row[16..].copy_from_slice(mark.prev_hash.as_bytes());
    row
}

fn item_row(key: &ItemKey, state: ItemState) -> [u8; ITEM_BYTES] {
    let mut row = [0; ITEM_BYTES];
    row[..8].copy_from_slice(&state.since.to_le_bytes());
    row[8] = u8::from(state.reserved);
    row[9..].copy_from_slice(key.as_bytes());
    row
}

/// Puts what a row says into a state; `None` if it says nothing.
type Take = fn(&mut State, &[u8]) -> Option<()>;

/// Takes a number off the front of a row.
fn number(row: &mut &[u8]) -> Option<u64> {
    let (number, rest) = row.split_first_chunk()?;
    *row = rest;
    Some(u64::from_le_bytes(*number))
}

fn take_key(state: &mut State, row: &[u8]) -> Option<()> {
    let key = PublicKey::from_sec1(row)?;
    if state.keys.number(&key).is_some() {
        return None;
    }
    state.keys.add(key);
    Some(())
}

fn take_mark(state: &mut State, mut row: &[u8]) -> Option<()> {
    state.marks.push(Mark {
        height: number(&mut row)?,
        offset: number(&mut row)?,
        prev_hash: Hash::new(row.try_into().ok()?),
    });
    Some(())
}

fn take_item(state: &mut State, mut row: &[u8]) -> Option<()> {
    let since = number(&mut row)?;
    let (reserved, key) = row.split_first()?;
    let reserved = *reserved != 0;
    let key = ItemKey::read(key.try_into().ok()?)?;
    if since >= state.tip.length {
        return None;
    }
    state.items.restore(key, ItemState { reserved, since });
    Some(())
}

/// The file while it is read: from its start to its end.
struct Reading<'a, D> {
    disk: &'a mut D,
    reader: RecordReader,
    at: u64,
}

impl<D: Disk> Reading<'_, D> {
    /// The next bytes; `None` if there are fewer.
    fn next(&mut self, count: usize) -> Result<Option<&[u8]>, DiskError> {
        let bytes = self.reader.get(self.disk, self.at, count)?;
        self.at += count as u64;
        Ok((bytes.len() == count).then_some(bytes))
    }

    fn rows(
        &mut self,
        count: u64,
        bytes: usize,
        state: &mut State,
        take: Take,
    ) -> Result<Option<()>, DiskError> {
        for _ in 0..count {
            let row = self.next(bytes)?;
            if row.and_then(|row| take(state, row)).is_none() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }

    /// Whether the file is as it was written.
    fn is_sound(&mut self, size: u64) -> Result<bool, DiskError> {
        let mut hasher = crc32fast::Hasher::new();
        let mut left = size.saturating_sub(CHECK_BYTES as u64);
        while left > 0 {
            let count = usize::try_from(left).map_or(limits::FILE_READ_BYTES, |left| {
                left.min(limits::FILE_READ_BYTES)
            });
            let Some(bytes) = self.next(count)? else {
                return Ok(false);
            };
            hasher.update(bytes);
            left -= count as u64;
        }
        let check = self.next(CHECK_BYTES)?.map(record::le_u32);
        Ok(check == Some(hasher.finalize()))
    }

    fn state(&mut self) -> Result<Option<State>, DiskError> {
        let front = self.next(FRONT_BYTES)?;
        let Some(length) = front.and_then(|front| front.strip_prefix(&MAGIC)) else {
            return Ok(None);
        };
        let length = usize::try_from(record::le_u32(length)).unwrap_or(usize::MAX);
        if length > limits::FILE_READ_BYTES {
            return Ok(None);
        }
        let head = self.next(length)?;
        let Some(head) = head.and_then(|head| postcard::from_bytes::<Head>(head).ok()) else {
            return Ok(None);
        };
        let tables: [(u64, usize, Take); 3] = [
            (head.keys, KEY_BYTES, take_key),
            (head.marks, MARK_BYTES, take_mark),
            (head.items, ITEM_BYTES, take_item),
        ];
        let Some(mut state) = head.into_state() else {
            return Ok(None);
        };
        for (count, bytes, take) in tables {
            if self.rows(count, bytes, &mut state, take)?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(state))
    }
}

/// Reads the checkpoint, if there is one that belongs to the chain file.
pub(super) fn read(
    disk: &mut impl Disk,
    reader: &mut RecordReader,
) -> Result<Option<State>, DiskError> {
    let size = disk.len(File::Checkpoint)?;
    if size < (FRONT_BYTES + CHECK_BYTES) as u64 {
        return Ok(None);
    }
    let mut reading = Reading {
        disk,
        reader: RecordReader::new(File::Checkpoint),
        at: 0,
    };
    if !reading.is_sound(size)? {
        return Ok(None);
    }
    reading.at = 0;
    let state = reading.state()?;
    let whole = reading.at + CHECK_BYTES as u64 == size;
    let Some(state) = state.filter(|_| whole) else {
        return Ok(None);
    };
    Ok(fits(&state, disk, reader)?.then_some(state))
}

/// Whether some chain file can have brought this about.
fn is_possible(state: &State) -> bool {
    let first = state.marks.first();
    let begins = first.is_some_and(|mark| mark.height == 0 && mark.prev_hash == Hash::ZERO);
    let heights = state.marks.iter().map(|mark| mark.height);
    let inside = |mark: &Mark| {
        (HEADER_BYTES as u64..state.end).contains(&mark.offset) && mark.height < state.tip.length
    };
    let verified = state.verified.is_none_or(|v| v.seconds.is_finite());
    begins
        && heights.is_sorted_by(|one, next| one < next)
        && state.marks.iter().all(inside)
        && state.tip.length.max(state.stale_bytes) <= state.end
        && verified
}

/// Whether the chain file has the checkpoint's last record, and a block where the last mark says.
fn fits(state: &State, disk: &mut impl Disk, reader: &mut RecordReader) -> Result<bool, DiskError> {
    if !is_possible(state) {
        return Ok(false);
    }
    let at = state.end - CHECK_BYTES as u64;
    let check = reader.get(disk, at, CHECK_BYTES)?;
    if check.len() < CHECK_BYTES || record::le_u32(check) != state.check {
        return Ok(false);
    }
    let Some(last) = state.marks.last() else {
        return Ok(false);
    };
    let found = match reader.record(disk, last.offset)? {
        Found::Record { body, .. } => Body::read(body),
        _ => None,
    };
    Ok(matches!(found, Some(Body::Block(body)) if body.index == last.height))
}

/// The file while it is written, beside the one that is there.
struct Writing<'a, D> {
    disk: &'a mut D,
    bytes: Vec<u8>,
    at: u64,
    hasher: crc32fast::Hasher,
}

impl<D: Disk> Writing<'_, D> {
    fn add(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.hasher.update(bytes);
        self.bytes.extend_from_slice(bytes);
        match self.bytes.len() < limits::FILE_READ_BYTES {
            true => Ok(()),
            false => self.flush(),
        }
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.disk.write(File::Draft, self.at, &self.bytes)?;
        self.at += self.bytes.len() as u64;
        self.bytes.clear();
        Ok(())
    }
}

/// Writes the checkpoint of a state, in the place of the one that is there.
fn write(disk: &mut impl Disk, state: &State) -> Result<(), DiskError> {
    disk.set_len(File::Draft, 0)?;
    let mut writing = Writing {
        disk,
        bytes: Vec::with_capacity(2 * limits::FILE_READ_BYTES),
        at: 0,
        hasher: crc32fast::Hasher::new(),
    };
    let head = postcard::to_extend(&Head::of(state), Vec::new());
    let head = head.expect("memory takes what came from memory");
    let length = u32::try_from(head.len()).expect("a head is small");
    writing.add(&MAGIC)?;
    writing.add(&length.to_le_bytes())?;
    writing.add(&head)?;
    for key in state.keys.all() {
        writing.add(key.as_bytes())?;
    }
    for mark in &state.marks {
        writing.add(&mark_row(mark))?;
    }
    for (key, item) in state.items.after(None) {
        writing.add(&item_row(key, item))?;
    }
    let check = writing.hasher.clone().finalize();
    writing.add(&check.to_le_bytes())?;
    writing.flush()?;
    disk.sync(File::Draft)?;
    disk.rename(File::Draft, File::Checkpoint)
}

impl<D: Disk> Log<D> {
    /// Writes a checkpoint if a start without it would take noticeably longer. One that cannot be
    /// written costs time at the next start and nothing else.
    pub fn checkpoint(&mut self) {
        let behind = self.state.end.saturating_sub(self.checkpointed);
        if behind >= limits::CHECKPOINT_BYTES && self.may_checkpoint() {
            self.write_checkpoint();
        }
    }

    pub(super) fn may_checkpoint(&self) -> bool {
        self.fault().is_none() && self.hole.is_none() && !self.state.forked
    }

    /// Writes a checkpoint, however little it saves, if the file says all that there is.
    pub fn write_checkpoint(&mut self) {
        if !self.may_checkpoint() {
            return;
        }
        self.checkpointed = self.state.end;
        if let Err(error) = write(&mut self.disk, &self.state) {
            log::warn!("{error}: the next start reads the whole chain file");
        }
    }
}
