//! What a user types: bytes in, lines out. A terminal edits its lines itself, and a pipe or a scanner
//! needs no editing; on a serial line this is the line discipline, which shows what is typed.

use crate::limits;

/// A line that the user typed, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    /// The line, without its end.
    Line(String),
    /// It was too long, or no text: one sentence.
    Unusable(&'static str),
    /// The user dropped it, and what it was to answer.
    Cancelled,
}

/// The keys of the line discipline, as terminals send them.
const CTRL_C: u8 = 0x03;
const BACKSPACE: u8 = 0x08;
const CTRL_U: u8 = 0x15;
const DELETE: u8 = 0x7f;

/// Takes the last character off the screen.
const RUBOUT: &[u8] = b"\x08 \x08";
const BELL: u8 = 0x07;

/// The receiving half of a console.
pub struct Typing {
    buffer: Box<[u8]>,
    filled: usize,
    /// The line so far, where it is edited here.
    line: Option<Vec<u8>>,
    overlong: bool,
    /// A line feed that comes next belongs to the line end before.
    after_return: bool,
    ended: bool,
}

impl Typing {
    /// From something that edits lines itself, or needs no editing.
    pub fn whole_lines() -> Typing {
        Typing::new(limits::INPUT_BYTES, None)
    }

    /// From a serial line.
    pub fn edited() -> Typing {
        Typing::new(limits::SERIAL_LINE_BYTES, Some(Vec::new()))
    }

    fn new(size: usize, line: Option<Vec<u8>>) -> Typing {
        Typing {
            buffer: vec![0; size].into_boxed_slice(),
            filled: 0,
            line,
            overlong: false,
            after_return: false,
            ended: false,
        }
    }

    /// Where typed bytes go.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.buffer[self.filled..]
    }

    /// `count` bytes were typed.
    pub fn received(&mut self, count: usize) {
        self.filled += count;
    }

    /// No more will be typed.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// No more will be typed, and what was typed does not count.
    pub fn drop_all(&mut self) {
        (self.ended, self.filled) = (true, 0);
    }

    /// Whether all that was typed was taken, and no more will be typed.
    pub fn is_at_end(&self) -> bool {
        self.ended && self.filled == 0
    }

    /// Whether something was typed that was not taken.
    pub fn has_begun(&self) -> bool {
        self.filled > 0
    }

    /// What stands behind the question on the screen, as far as it was written from here.
    pub fn shown(&self) -> &[u8] {
        self.line.as_deref().unwrap_or_default()
    }

    /// Whether `take` has something to do.
    pub fn is_waiting(&self, tab_ends: bool) -> bool {
        let typed = &self.buffer[..self.filled];
        match self.line {
            Some(_) => !typed.is_empty(),
            None => {
                typed.iter().any(|byte| ends_line(*byte, tab_ends))
                    || self.filled == self.buffer.len()
                    || (self.ended && self.filled > 0)
            }
        }
    }

    /// The next line: up to CR, LF or CR LF, or a tab if `tab_ends`. A last one without an end
    /// counts when no more will be typed. What the user is to see of it is added to `echo`.
    pub fn take(&mut self, tab_ends: bool, echo: &mut Vec<u8>) -> Option<Input> {
        match self.line.take() {
            None => self.take_whole(tab_ends),
            Some(mut line) => {
                let input = self.edit(tab_ends, &mut line, echo);
                self.line = Some(line);
                input
            }
        }
    }

    fn take_whole(&mut self, tab_ends: bool) -> Option<Input> {
        let start = match self.buffer[..self.filled].first() {
            Some(b'\n') if self.after_return => 1,
            _ => 0,
        };
        if self.filled > 0 {
            self.after_return = false;
        }
        let typed = &self.buffer[start..self.filled];
        let end = typed.iter().position(|byte| ends_line(*byte, tab_ends));
        let (line, taken) = match end {
            Some(end) => {
                self.after_return = typed[end] == b'\r';
                (&typed[..end], start + end + 1)
            }
            None if self.filled == self.buffer.len() => {
                limits::Full::TypedLong.ran();
                self.overlong = true;
                self.filled = 0;
                return None;
            }
            None if self.ended && !typed.is_empty() => (typed, self.filled),
            None => {
                self.consume(start);
                return None;
            }
        };
        let input = match (core::mem::take(&mut self.overlong), str::from_utf8(line)) {
            (true, _) => Input::Unusable("that line is too long."),
            (false, Ok(line)) => Input::Line(line.to_owned()),
            (false, Err(_)) => Input::Unusable("that line is not UTF-8 text."),
        };
        self.consume(taken);
        Some(input)
    }

    fn consume(&mut self, count: usize) {
        self.buffer.copy_within(count..self.filled, 0);
        self.filled -= count;
    }

    fn edit(&mut self, tab_ends: bool, line: &mut Vec<u8>, echo: &mut Vec<u8>) -> Option<Input> {
        for at in 0..self.filled {
            let byte = self.buffer[at];
            let after_return = core::mem::take(&mut self.after_return);
            let input = match byte {
                b'\n' if after_return => continue,
                _ if ends_line(byte, tab_ends) => {
                    self.after_return = byte == b'\r';
                    echo.push(b'\n');
                    match core::mem::take(&mut self.overlong) {
                        true => Input::Unusable("that line is too long."),
                        false => Input::Line(String::from_utf8_lossy(line).into_owned()),
                    }
                }
                CTRL_C => {
                    echo.extend(b"^C\n");
                    Input::Cancelled
                }
                CTRL_U => {
                    line.drain(..).for_each(|_| echo.extend(RUBOUT));
                    self.overlong = false;
                    continue;
                }
                BACKSPACE | DELETE => {
                    line.pop().into_iter().for_each(|_| echo.extend(RUBOUT));
                    continue;
                }
                b' '..=b'~' if line.len() < limits::SERIAL_LINE_BYTES => {
                    line.push(byte);
                    echo.push(byte);
                    continue;
                }
                b' '..=b'~' => {
                    limits::Full::TypedLongSerial.ran();
                    self.overlong = true;
                    echo.push(BELL);
                    continue;
                }
                // Noise: a wrong speed, a plug being pulled, keys that send escape sequences.
                _ => continue,
            };
            self.overlong = false;
            line.clear();
            self.consume(at + 1);
            return Some(input);
        }
        self.filled = 0;
        None
    }
}

fn ends_line(byte: u8, tab_ends: bool) -> bool {
    matches!(byte, b'\n' | b'\r') || (tab_ends && byte == b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(typing: &mut Typing, bytes: &[u8]) {
        typing.space()[..bytes.len()].copy_from_slice(bytes);
        typing.received(bytes.len());
    }

    /// The next line, and what it shows.
    fn take(typing: &mut Typing, tab_ends: bool) -> (Option<Input>, String) {
        let mut echo = Vec::new();
        let input = typing.take(tab_ends, &mut echo);
        (input, String::from_utf8(echo).expect("ASCII"))
    }

    fn line(text: &str) -> Option<Input> {
        Some(Input::Line(text.into()))
    }

    #[test]
    fn lines_come_however_they_are_typed() {
        let mut typing = Typing::whole_lines();
        typed(&mut typing, b"1\r\nlap");
        assert_eq!(take(&mut typing, false).0, line("1"));
        assert_eq!(take(&mut typing, false).0, None);
        typed(&mut typing, b"top\nrest");
        assert_eq!(take(&mut typing, false).0, line("laptop"));
        assert_eq!(take(&mut typing, false).0, None);
        typing.end();
        assert_eq!(take(&mut typing, false).0, line("rest"));
        assert!(typing.is_at_end());
    }

    /// The same for a pipe and a serial line, a byte at a time and all at once.
    #[test]
    fn every_line_end_of_a_scanner_ends_an_item() {
        let bytes = b"cr\rlf\ncrlf\r\n\ntab\t\tdone\r";
        let expected = ["cr", "lf", "crlf", "", "tab", "", "done"];
        for (mut typing, step) in [
            (Typing::whole_lines(), 1),
            (Typing::whole_lines(), bytes.len()),
            (Typing::edited(), 1),
            (Typing::edited(), bytes.len()),
        ] {
            let mut lines = Vec::new();
            for piece in bytes.chunks(step) {
                typed(&mut typing, piece);
                while typing.is_waiting(true) {
                    if let Some(Input::Line(line)) = take(&mut typing, true).0 {
                        lines.push(line);
                    }
                }
            }
            assert_eq!(lines, expected, "{step}");
        }
    }

    #[test]
    fn a_tab_is_a_character_where_it_ends_nothing() {
        let mut typing = Typing::whole_lines();
        typed(&mut typing, b"a\tb\n");
        assert_eq!(take(&mut typing, false).0, line("a\tb"));
        let mut typing = Typing::edited();
        typed(&mut typing, b"a\tb\r");
        assert_eq!(take(&mut typing, false), (line("ab"), "ab\n".into()));
    }

    #[test]
    fn an_overlong_line_is_one_line() {
        let mut typing = Typing::whole_lines();
        for _ in 0..3 {
            let room = typing.space().len();
            typed(&mut typing, &vec![b'x'; room]);
            assert!(typing.is_waiting(false));
            assert_eq!(take(&mut typing, false).0, None);
        }
        typed(&mut typing, b"x\n9\n\xff\n");
        let overlong = Some(Input::Unusable("that line is too long."));
        assert_eq!(take(&mut typing, false).0, overlong);
        assert_eq!(take(&mut typing, false).0, line("9"));
        assert!(matches!(
            take(&mut typing, false).0,
            Some(Input::Unusable(_))
        ));
        let mut typing = Typing::edited();
        for _ in 0..2 {
            typed(&mut typing, &[b'x'; limits::SERIAL_LINE_BYTES]);
            assert_eq!(take(&mut typing, false).0, None);
        }
        typed(&mut typing, b"\x08y\r9\r");
        assert_eq!(take(&mut typing, false).0, overlong);
        assert_eq!(take(&mut typing, false).0, line("9"));
        typed(&mut typing, &[b'x'; limits::SERIAL_LINE_BYTES]);
        take(&mut typing, false);
        typed(&mut typing, b"x\x15ok\r");
        assert_eq!(take(&mut typing, false).0, line("ok"));
    }

    #[test]
    fn a_serial_line_is_edited_and_shown() {
        let mut typing = Typing::edited();
        typed(&mut typing, b"lab\x7fp\x01\xff\x1b");
        let shown = take(&mut typing, false);
        assert_eq!(shown, (None, "lab\x08 \x08p".into()));
        assert_eq!(typing.shown(), b"lap");
        typed(&mut typing, b"\x15\x08c\r");
        let rubout = "\x08 \x08".repeat(3);
        let shown = take(&mut typing, false);
        assert_eq!(shown, (line("c"), format!("{rubout}c\n")));
        typed(&mut typing, b"half\x03whole\r");
        let shown = take(&mut typing, false);
        assert_eq!(shown, (Some(Input::Cancelled), "half^C\n".into()));
        assert_eq!(take(&mut typing, false).0, line("whole"));
    }
}
