//! What a frame says: the frames of a connection are cut by `frame` and understood here.

use super::content::{BlockError, read_block};
use super::frame::{Frame, FrameError};
use super::message::{self, Envelope, LineError};
use crate::ledger::Block;

/// A frame, understood.
pub enum Incoming {
    /// A message.
    Line(Result<Envelope, LineError>),
    /// A block of a chain that comes in.
    ChainBlock(Result<Block, BlockError>),
    /// The end of that chain, and what stood around it.
    ChainEnd(Result<Envelope, LineError>),
    /// The text around that chain is no JSON.
    ChainBroken,
    /// What was to be skipped is over.
    Skipped,
    /// The connection is of no use any more.
    Unreadable(FrameError),
}

impl Incoming {
    /// Understands a frame, and says how many bytes of text that took.
    pub fn read(frame: Result<Frame<'_>, FrameError>) -> (Incoming, usize) {
        match frame {
            Err(error) => (Incoming::Unreadable(error), 0),
            Ok(Frame::Message(text)) => (Incoming::Line(message::read(text)), text.len()),
            Ok(Frame::ChainElement(text)) => (Incoming::ChainBlock(read_block(text)), text.len()),
            Ok(Frame::ChainEnd(text)) => (Incoming::ChainEnd(message::read(text)), 0),
            Ok(Frame::ChainBroken) => (Incoming::ChainBroken, 0),
            Ok(Frame::Skipped) => (Incoming::Skipped, 0),
        }
    }
}
