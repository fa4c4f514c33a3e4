//! Bytes into frames: lines, and of a `chain_response` its blocks one by one while it arrives.
//!
//! The cutting knows just enough of JSON to find the array at `payload.chain` and the ends of its
//! elements: strings, and how deep brackets are nested. Whether a piece is JSON at all is found
//! out when it is read: each element on its own, and the line around them at its end.

use core::fmt;
use core::ops::Range;

use crate::limits::{ENVELOPE_TEXT_MAX, Full, MESSAGE_TEXT_MAX, READ_BYTES_MAX};

/// The longest line, its carriage return and its line feed.
const BUFFER_BYTES: usize = MESSAGE_TEXT_MAX + 2;

/// A piece of a peer's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A whole line without its end. Blank lines are swallowed.
    Message(&'a [u8]),
    /// One element of the array at `payload.chain`, long before its line ends.
    ChainElement(&'a [u8]),
    /// The line around a chain has ended. This is its text with the chain emptied, to be read as a
    /// message.
    ChainEnd(&'a [u8]),
    /// The line around a chain is no JSON: its elements are void, the rest of it is skipped.
    ChainBroken,
    /// The line that [`Reader::skip_line`] gave up has ended.
    Skipped,
}

/// Why a connection's bytes are no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A limit is passed; the text says what is limited to how much.
    TooLong(&'static str),
}

impl FrameError {
    const MESSAGE: FrameError = FrameError::TooLong("a message of more than 1 MiB");
    const ELEMENT: FrameError = FrameError::TooLong("a block of more than 1 MiB");
    const ENVELOPE: FrameError = FrameError::TooLong("more than 4 KiB of text around a chain");
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FrameError::TooLong(what) = self;
        f.write_str(what)
    }
}

impl core::error::Error for FrameError {}

/// Where in a line the next byte stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a line that has shown no chain yet, or before its first byte.
    Line,
    /// Between the brackets of the chain.
    Chain(Place),
    /// Behind the chain.
    Tail,
    /// In a line that nobody wants any more.
    Skip,
    /// In a line that is no JSON.
    Void,
    /// A limit was passed: nothing is read again.
    Dead,
}

/// Where between the chain's brackets the next byte stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first element, or the end of an empty chain.
    First,
    /// In an element.
    Element,
    /// Behind an element: a comma or the end.
    Behind,
    /// Behind a comma: an element.
    Comma,
}

/// What was cut: the frame before it borrows the buffer.
enum Cut {
    Message(Range<usize>),
    Element(Range<usize>),
    ChainEnd,
    ChainBroken,
    Skipped,
}

/// What a connection's buffer has while messages are short.
const BUFFER_BYTES_SHORT: usize = 2 * READ_BYTES_MAX;

/// Cuts one connection's bytes. It looks at each byte once, however they are chopped, and holds a buffer of
/// two [`READ_BYTES_MAX`], up to `MESSAGE_TEXT_MAX` + 2 bytes while a piece is that long, and
/// `ENVELOPE_TEXT_MAX` bytes beside it. Limits: a line without a chain, and an element of a chain,
/// [`MESSAGE_TEXT_MAX`]; the text around a chain, [`ENVELOPE_TEXT_MAX`]; a chain, none.
pub struct Reader {
    /// Four positions in order: 0, `start` of the unfinished piece, `scanned`, `end` of the bytes.
    buffer: Vec<u8>,
    start: usize,
    scanned: usize,
    end: usize,
    state: State,
    nesting: Nesting,
    path: Path,
    envelope: heapless::Vec<u8, ENVELOPE_TEXT_MAX>,
}

impl Default for Reader {
    fn default() -> Reader {
        Reader {
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            end: 0,
            state: State::Line,
            nesting: Nesting::default(),
            path: Path::default(),
            envelope: heapless::Vec::new(),
        }
    }
}

impl Reader {
    /// A buffer to lend to one reader after the other. It is asked for at a size that comes from the
    /// system itself and not from the heap: what it gives up when it shrinks, the system has at once,
    /// whatever lies beside it.
    pub fn buffer() -> Vec<u8> {
        let mut buffer = Vec::with_capacity(4 * BUFFER_BYTES);
        buffer.shrink_to(BUFFER_BYTES_SHORT);
        buffer
    }

    /// Reads with this buffer from now on, and returns the one before, shrunk. To be asked of a reader that
    /// has read nothing, or is to read nothing more.
    pub fn exchange(&mut self, buffer: Vec<u8>) -> Vec<u8> {
        let mut old = core::mem::replace(&mut self.buffer, buffer);
        self.buffer.clear();
        (self.start, self.scanned, self.end) = (0, 0, 0);
        old.clear();
        old.shrink_to(BUFFER_BYTES_SHORT);
        old
    }

    /// Where the next bytes go, at most [`READ_BYTES_MAX`]. Empty while received bytes wait to be
    /// taken by [`Reader::next`], so that a peer who sends faster than its blocks are checked
    /// fills its own buffers and not ours; and for ever after an error.
    pub fn space(&mut self) -> &mut [u8] {
        if Full::Unread.when(self.waiting()) || self.state == State::Dead {
            return &mut [];
        }
        // What is left is the beginning of one piece. It moves at most once: from then on it
        // stands at the front until it is taken.
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.scanned = self.end;
        self.start = 0;
        let stop = BUFFER_BYTES.min(self.end + READ_BYTES_MAX);
        self.fit(stop);
        &mut self.buffer[self.end..stop]
    }

    /// Makes room up to there. It grows by as much again, and when a long piece has gone it shrinks.
    fn fit(&mut self, stop: usize) {
        let room = self.buffer.capacity();
        if stop > room {
            let more = stop.max(BUFFER_BYTES.min(2 * room)) - self.buffer.len();
            self.buffer.reserve_exact(more);
        } else if Full::LineShrinks.when(stop <= BUFFER_BYTES_SHORT && room > BUFFER_BYTES_SHORT) {
            self.buffer.truncate(stop);
            self.buffer.shrink_to(BUFFER_BYTES_SHORT);
        }
        if stop > self.buffer.len() {
            self.buffer.resize(stop, 0);
        }
    }

    /// Takes over the first `count` bytes of the space that was lent.
    ///
    /// # Panics
    /// If `count` is more than was lent.
    pub fn received(&mut self, count: usize) {
        assert!(
            count
                <= self
                    .buffer
                    .len()
                    .saturating_sub(self.end)
                    .min(READ_BYTES_MAX)
        );
        self.end += count;
    }

    /// Whether received bytes wait to be looked at: [`Reader::next`] is to be called until `None`.
    pub fn waiting(&self) -> bool {
        self.scanned < self.end
    }

    /// Whether a line has begun and not ended; to be asked when nothing is waiting.
    pub fn mid_line(&self) -> bool {
        self.state != State::Line || self.start < self.end
    }

    /// Whether the rest of a line is being passed over.
    pub fn is_skipping(&self) -> bool {
        self.state == State::Skip
    }

    /// Forgets the rest of the line that the last frame came from, as its chain is of no use any
    /// more; [`Frame::Skipped`] tells its end. Does nothing between lines.
    pub fn skip_line(&mut self) {
        let begun = match self.state {
            State::Line => self.start < self.scanned,
            State::Chain(_) | State::Tail => true,
            State::Skip | State::Void | State::Dead => false,
        };
        if begun {
            self.start = self.scanned;
            self.state = State::Skip;
        }
    }

    /// The next frame, if it has arrived. After an error there is nothing more: neither frames
    /// nor space. Looks at no more bytes than were received.
    #[expect(
        clippy::should_implement_trait,
        reason = "the frame borrows the reader, which no Iterator can lend"
    )]
    pub fn next(&mut self) -> Option<Result<Frame<'_>, FrameError>> {
        match self.cut() {
            Ok(None) => None,
            Ok(Some(Cut::Message(range))) => Some(Ok(Frame::Message(&self.buffer[range]))),
            Ok(Some(Cut::Element(range))) => Some(Ok(Frame::ChainElement(&self.buffer[range]))),
            Ok(Some(Cut::ChainEnd)) => Some(Ok(Frame::ChainEnd(&self.envelope))),
            Ok(Some(Cut::ChainBroken)) => Some(Ok(Frame::ChainBroken)),
            Ok(Some(Cut::Skipped)) => Some(Ok(Frame::Skipped)),
            Err(error) => {
                Full::LineLong.when(error == FrameError::MESSAGE);
                Full::ElementLong.when(error == FrameError::ELEMENT);
                Full::EnvelopeLong.when(error == FrameError::ENVELOPE);
                self.state = State::Dead;
                self.scanned = self.end;
                self.start = self.end;
                Some(Err(error))
            }
        }
    }

    fn cut(&mut self) -> Result<Option<Cut>, FrameError> {
        assert!(self.start <= self.scanned && self.scanned <= self.end);
        while self.scanned < self.end {
            let byte = self.buffer[self.scanned];
            self.scanned += 1;
            let cut = match self.state {
                _ if byte == b'\n' => self.line_end()?,
                State::Line => self.in_line(byte)?,
                State::Chain(place) => self.in_chain(place, byte)?,
                State::Tail | State::Skip | State::Void | State::Dead => None,
            };
            if cut.is_some() {
                return Ok(cut);
            }
        }
        self.release()?;
        Ok(None)
    }

    /// Lets go of bytes that need not wait for the end of their piece, and refuses a piece that
    /// can only become too long.
    fn release(&mut self) -> Result<(), FrameError> {
        let held = self.scanned - self.start;
        match self.state {
            State::Line if held > MESSAGE_TEXT_MAX + 1 => return Err(FrameError::MESSAGE),
            State::Chain(Place::Element) if held > MESSAGE_TEXT_MAX => {
                return Err(FrameError::ELEMENT);
            }
            State::Line | State::Chain(Place::Element) => return Ok(()),
            State::Tail => self.keep(self.start..self.scanned)?,
            State::Chain(_) | State::Skip | State::Void | State::Dead => {}
        }
        self.start = self.scanned;
        Ok(())
    }

    /// Adds a part of the buffer to the text around the chain.
    fn keep(&mut self, range: Range<usize>) -> Result<(), FrameError> {
        self.envelope
            .extend_from_slice(&self.buffer[range])
            .map_err(|_| FrameError::ENVELOPE)
    }

    fn line_end(&mut self) -> Result<Option<Cut>, FrameError> {
        let mut line = self.start..self.scanned - 1;
        if self.buffer[line.clone()].ends_with(b"\r") {
            line.end -= 1;
        }
        let state = core::mem::replace(&mut self.state, State::Line);
        self.start = self.scanned;
        self.nesting = Nesting::default();
        self.path = Path::default();
        match state {
            State::Line if self.buffer[line.clone()].trim_ascii().is_empty() => Ok(None),
            State::Line if line.len() > MESSAGE_TEXT_MAX => Err(FrameError::MESSAGE),
            State::Line => Ok(Some(Cut::Message(line))),
            State::Chain(_) => Ok(Some(Cut::ChainBroken)),
            State::Tail => {
                self.keep(line)?;
                // A carriage return may have arrived, and been kept, ahead of the line feed.
                if self.envelope.ends_with(b"\r") {
                    self.envelope.pop();
                }
                Ok(Some(Cut::ChainEnd))
            }
            State::Skip => Ok(Some(Cut::Skipped)),
            State::Void | State::Dead => Ok(None),
        }
    }

    fn in_line(&mut self, byte: u8) -> Result<Option<Cut>, FrameError> {
        let depth = self.nesting.depth;
        let seen = self.nesting.step(byte);
        if self.path.step(depth, seen) {
            self.envelope.clear();
            self.keep(self.start..self.scanned)?;
            self.start = self.scanned;
            self.state = State::Chain(Place::First);
        }
        Ok(None)
    }

    fn in_chain(&mut self, place: Place, byte: u8) -> Result<Option<Cut>, FrameError> {
        let space = matches!(byte, b' ' | b'\t' | b'\r');
        match (place, byte) {
            (Place::Element, _) => {
                let scalar = self.nesting.at_top();
                if scalar && (space || matches!(byte, b',' | b']')) {
                    // Only the byte behind it tells that a number has ended.
                    self.scanned -= 1;
                    return self.element();
                }
                let seen = self.nesting.step(byte);
                if self.nesting.at_top() && matches!(seen, Seen::Close | Seen::StringEnd) {
                    return self.element();
                }
            }
            (_, _) if space => {}
            (Place::Behind, b',') => self.state = State::Chain(Place::Comma),
            (Place::First | Place::Behind, b']') => {
                self.start = self.scanned - 1;
                self.state = State::Tail;
            }
            (Place::First | Place::Comma, first) if !matches!(first, b',' | b']' | b'}' | b':') => {
                self.start = self.scanned - 1;
                self.state = State::Chain(Place::Element);
                self.nesting = Nesting::default();
                self.nesting.step(first);
            }
            _ => {
                self.state = State::Void;
                return Ok(Some(Cut::ChainBroken));
            }
        }
        Ok(None)
    }

    fn element(&mut self) -> Result<Option<Cut>, FrameError> {
        let range = self.start..self.scanned;
        self.start = self.scanned;
        self.state = State::Chain(Place::Behind);
        if range.len() > MESSAGE_TEXT_MAX {
            return Err(FrameError::ELEMENT);
        }
        Ok(Some(Cut::Element(range)))
    }
}

/// What a byte is to the nesting of brackets and strings.
#[derive(Clone, Copy)]
enum Seen {
    Open(u8),
    Close,
    Colon,
    Comma,
    StringStart,
    StringByte(u8),
    StringEnd,
    Other,
}

/// How deep in brackets a byte stands, and whether in a string. Which bracket closes which is not
/// looked at: reading the text finds it out.
#[derive(Default)]
struct Nesting {
    depth: usize,
    string: bool,
    escape: bool,
}

impl Nesting {
    fn at_top(&self) -> bool {
        self.depth == 0 && !self.string
    }

    fn step(&mut self, byte: u8) -> Seen {
        if self.string {
            let escaped = core::mem::replace(&mut self.escape, false);
            match byte {
                b'"' if !escaped => {
                    self.string = false;
                    return Seen::StringEnd;
                }
                b'\\' if !escaped => self.escape = true,
                _ => {}
            }
            return Seen::StringByte(byte);
        }
        match byte {
            b'"' => {
                self.string = true;
                Seen::StringStart
            }
            b'{' | b'[' => {
                self.depth += 1;
                Seen::Open(byte)
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                Seen::Close
            }
            b':' => Seen::Colon,
            b',' => Seen::Comma,
            _ => Seen::Other,
        }
    }
}

/// A key whose value may lead to a chain.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Key {
    #[default]
    Other,
    Type,
    Payload,
    Chain,
}

/// Finds the array at `payload.chain`, unless the line's `type` stood before it and is another:
/// there such a key has no meaning (PROTOCOL.md section 1) and its content need not be blocks.
#[derive(Default)]
struct Path {
    /// The keys whose values are being read, in the outermost object and in the one within.
    outer: Key,
    inner: Key,
    /// The beginning of the last string, as it is spelled; 16 bytes tell all the words apart.
    word: heapless::Vec<u8, 16>,
    other_type: bool,
}

impl Path {
    /// Takes the next byte, which stood at `depth`; true if it opens the chain.
    fn step(&mut self, depth: usize, seen: Seen) -> bool {
        match (depth, seen) {
            (1 | 2, Seen::StringStart) => self.word.clear(),
            (1 | 2, Seen::StringByte(byte)) => {
                // The end of a long string tells nothing.
                let _ = self.word.push(byte);
            }
            (1, Seen::StringEnd) if self.outer == Key::Type => {
                let escaped = self.word.contains(&b'\\');
                self.other_type = !escaped && self.word != b"chain_response";
            }
            (1, Seen::Colon) => {
                self.outer = match &self.word[..] {
                    b"type" => Key::Type,
                    b"payload" => Key::Payload,
                    _ => Key::Other,
                };
            }
            (2, Seen::Colon) => {
                self.inner = match &self.word[..] {
                    b"chain" => Key::Chain,
                    _ => Key::Other,
                };
            }
            (1, Seen::Comma) => self.outer = Key::Other,
            (1, Seen::Open(_)) | (2, Seen::Comma) => self.inner = Key::Other,
            (2, Seen::Open(b'[')) => {
                return self.outer == Key::Payload && self.inner == Key::Chain && !self.other_type;
            }
            _ => {}
        }
        false
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
