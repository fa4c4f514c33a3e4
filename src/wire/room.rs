//! A text that is made in pieces, as there is room for it.

use crate::ledger::canonical::Sink;

/// Takes the part of a text that fits, behind what was taken before.
pub(super) struct Room<'a> {
    pub(super) skip: usize,
    pub(super) out: &'a mut [u8],
    pub(super) filled: usize,
    pub(super) cut: bool,
    /// Bytes of text, whether they were taken or not.
    pub(super) rendered: usize,
}

impl Sink for Room<'_> {
    fn put(&mut self, piece: &[u8]) {
        self.rendered += piece.len();
        let skipped = self.skip.min(piece.len());
        self.skip -= skipped;
        let piece = &piece[skipped..];
        let room = &mut self.out[self.filled..];
        let count = piece.len().min(room.len());
        room[..count].copy_from_slice(&piece[..count]);
        self.filled += count;
        self.cut |= count < piece.len();
    }
}
