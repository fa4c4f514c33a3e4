//! What the chain file says up to some record, in a file of its own, so that a start reads only
//! what came after. It is a copy of what can be found out again: a checkpoint that is missing,
//! damaged, or of another chain file is ignored.

use serde::{Deserialize, Serialize};

use super::disk::{Disk, DiskError, File};
use super::log::{Log, Mark, State, Verified};
use super::record::{self, Body, CHECK_BYTES, HEADER_BYTES};
use super::sealed::{Seal, Sealed};
use super::window::{Found, Window};
use crate::ledger::{Hash, ItemState, PublicKey, Tip, Uid};
use crate::limits;

const SEAL: Seal = Seal {
    file: File::Checkpoint,
    magic: *b"\x89BLXCHK\x01",
};

#[derive(Serialize, Deserialize)]
struct Checkpoint<'a> {
    end: u64,
    check: u32,
    length: u64,
    tip: [u8; 32],
    tip_time: record::Time,
    garbage: u64,
    verified: Option<(f64, u64)>,
    keys: Vec<(u8, [u8; 32])>,
    marks: Vec<(u64, u64, [u8; 32])>,
    #[serde(borrow)]
    items: Vec<(&'a [u8], bool, u64)>,
}

impl Checkpoint<'_> {
    fn of(state: &State) -> Checkpoint<'_> {
        let marks = state.marks.iter();
        let items = state.items.after(None);
        Checkpoint {
            end: state.end,
            check: state.check,
            length: state.tip.length,
            tip: *state.tip.hash.as_bytes(),
            tip_time: state.tip_time.into(),
            garbage: state.garbage,
            verified: state.verified.map(|v| (v.seconds, v.length)),
            keys: state.keys.all().iter().map(PublicKey::parts).collect(),
            marks: marks
                .map(|m| (m.height, m.offset, *m.prev_hash.as_bytes()))
                .collect(),
            items: items
                .map(|(uid, s)| (uid.as_wtf8(), s.reserved, s.since))
                .collect(),
        }
    }

    fn into_state(self) -> Option<State> {
        let mut state = State::new(self.end, self.check);
        for (sign, x) in self.keys {
            let key = PublicKey::from_parts(sign, x)?;
            if state.keys.number(&key).is_some() {
                return None;
            }
            state.keys.add(key);
        }
        for (uid, reserved, since) in self.items {
            if since >= self.length {
                return None;
            }
            let state_of = ItemState { reserved, since };
            state.items.restore(Uid::read_wtf8(uid)?, state_of);
        }
        let marks = self
            .marks
            .into_iter()
            .map(|(height, offset, prev_hash)| Mark {
                height,
                offset,
                prev_hash: Hash::new(prev_hash),
            });
        state.marks = marks.collect();
        state.tip = Tip {
            length: self.length,
            hash: Hash::new(self.tip),
        };
        state.tip_time = self.tip_time.timestamp()?;
        state.garbage = self.garbage;
        state.verified = self
            .verified
            .map(|(seconds, length)| Verified { seconds, length });
        Some(state)
    }
}

/// Reads the checkpoint, if there is one that belongs to the chain file.
pub(super) fn read(disk: &mut impl Disk, window: &mut Window) -> Result<Option<State>, DiskError> {
    let Sealed::Whole(body) = SEAL.read(disk)? else {
        return Ok(None);
    };
    let checkpoint = postcard::from_bytes::<Checkpoint<'_>>(&body).ok();
    let Some(state) = checkpoint.and_then(Checkpoint::into_state) else {
        return Ok(None);
    };
    Ok(fits(&state, disk, window)?.then_some(state))
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
        && state.tip.length.max(state.garbage) <= state.end
        && verified
}

/// Whether the chain file has the checkpoint's last record, and a block where the last mark says.
fn fits(state: &State, disk: &mut impl Disk, window: &mut Window) -> Result<bool, DiskError> {
    if !is_possible(state) {
        return Ok(false);
    }
    let at = state.end - CHECK_BYTES as u64;
    let check = window.get(disk, at, CHECK_BYTES)?;
    if check.len() < CHECK_BYTES || record::le_u32(check) != state.check {
        return Ok(false);
    }
    let Some(last) = state.marks.last() else {
        return Ok(false);
    };
    let found = match window.record(disk, last.offset)? {
        Found::Record { body, .. } => Body::read(body),
        _ => None,
    };
    Ok(matches!(found, Some(Body::Block(body)) if body.index == last.height))
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
        self.fault().is_none() && self.gap.is_none() && !self.state.forked
    }

    /// Writes a checkpoint, however little it saves, if the file says all that there is.
    pub fn write_checkpoint(&mut self) {
        if !self.may_checkpoint() {
            return;
        }
        self.checkpointed = self.state.end;
        if let Err(error) = SEAL.write(&mut self.disk, &Checkpoint::of(&self.state)) {
            log::warn!("{error}: the next start reads the whole chain file");
        }
    }
}
