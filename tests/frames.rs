//! Bytes cut into frames that own their text.

use blx::wire::{Frame, FrameError, Reader};

/// A frame that owns its text.
#[derive(Debug, PartialEq)]
pub enum Piece {
    Message(Vec<u8>),
    Element(Vec<u8>),
    End(Vec<u8>),
    Broken,
    Skipped,
    Error(FrameError),
}

impl Piece {
    fn of(frame: &Result<Frame<'_>, FrameError>) -> Piece {
        match frame {
            Ok(Frame::Message(text)) => Piece::Message(text.to_vec()),
            Ok(Frame::ChainElement(text)) => Piece::Element(text.to_vec()),
            Ok(Frame::ChainEnd(text)) => Piece::End(text.to_vec()),
            Ok(Frame::ChainBroken) => Piece::Broken,
            Ok(Frame::Skipped) => Piece::Skipped,
            Err(error) => Piece::Error(*error),
        }
    }
}

/// Feeds bytes in pieces of the sizes that `chop` gives and takes every frame. `given_up` sees each frame and
/// how many there were, and says whether the rest of its line is not wanted. Returns the bytes too that were
/// not taken.
pub fn cut(
    bytes: &[u8],
    mut chop: impl FnMut() -> usize,
    mut given_up: impl FnMut(Result<Frame<'_>, FrameError>, usize) -> bool,
) -> (Vec<Piece>, usize) {
    let (mut reader, mut pieces, mut rest) = (Reader::default(), Vec::new(), bytes);
    while !rest.is_empty() {
        let space = reader.space();
        let count = chop().min(space.len()).min(rest.len());
        if count == 0 {
            break;
        }
        space[..count].copy_from_slice(&rest[..count]);
        rest = &rest[count..];
        reader.received(count);
        while let Some(frame) = reader.next() {
            pieces.push(Piece::of(&frame));
            if given_up(frame, pieces.len()) {
                reader.skip_line();
            }
        }
        assert!(!reader.waiting(), "all of it was looked at");
    }
    (pieces, rest.len())
}
