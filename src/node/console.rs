//! A console: lines in, text out. Events wait while an answer is being given; the prompt comes
//! back behind them.

use std::collections::VecDeque;

use crate::limits;

/// A line that the user typed, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    /// The line, without its end.
    Line(String),
    /// It was too long, or no text: one sentence.
    Unusable(&'static str),
}

/// The stream.
pub struct Console {
    utf8: bool,
    /// The other end shows what is typed, line ends too.
    echoes: bool,
    open: bool,
    input: Box<[u8]>,
    filled: usize,
    overlong: bool,
    ended: bool,
    output: Vec<u8>,
    start: usize,
    events: VecDeque<String>,
    event_bytes: usize,
    lost: u64,
    at_prompt: bool,
    /// Columns of the line of progress that stands at the cursor and will be written over.
    progress: usize,
}

impl Console {
    /// A console; `utf8` if it shows more than ASCII.
    pub fn new(utf8: bool, echoes: bool) -> Console {
        Console {
            utf8,
            echoes,
            open: true,
            input: vec![0; limits::INPUT_BYTES].into_boxed_slice(),
            filled: 0,
            overlong: false,
            ended: false,
            output: Vec::new(),
            start: 0,
            events: VecDeque::new(),
            event_bytes: 0,
            lost: 0,
            at_prompt: false,
            progress: 0,
        }
    }

    /// Whether it is a terminal, on which a line can be written over.
    pub fn is_terminal(&self) -> bool {
        self.echoes
    }

    /// Where typed bytes go.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.input[self.filled..]
    }

    /// `count` bytes were typed.
    pub fn received(&mut self, count: usize) {
        self.filled += count;
    }

    /// No more will be typed.
    pub fn end_input(&mut self) {
        self.ended = true;
    }

    /// Nobody reads any more.
    pub fn break_output(&mut self) {
        (self.open, self.ended) = (false, true);
        self.output.clear();
        self.start = 0;
        self.events.clear();
        (self.event_bytes, self.lost) = (0, 0);
        self.filled = 0;
    }

    /// Whether nothing was typed that was not taken, and nothing will be.
    pub fn is_at_end(&self) -> bool {
        self.ended && self.filled == 0
    }

    /// Whether a line can be taken.
    pub fn has_line(&self) -> bool {
        self.input[..self.filled].contains(&b'\n')
            || self.filled == self.input.len()
            || (self.ended && self.filled > 0)
    }

    /// The next line. A last one without an end counts when no more will be typed.
    pub fn take_line(&mut self) -> Option<Input> {
        let typed = &self.input[..self.filled];
        let end = typed.iter().position(|byte| *byte == b'\n');
        let (line, taken) = match end {
            Some(end) => (&typed[..end], end + 1),
            None if self.filled == self.input.len() => {
                self.overlong = true;
                self.filled = 0;
                return None;
            }
            None if self.ended && self.filled > 0 => (typed, self.filled),
            None => return None,
        };
        self.progress = 0;
        let input = if self.overlong {
            Input::Unusable("that line is too long.")
        } else {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            match str::from_utf8(line) {
                Ok(line) => Input::Line(line.to_owned()),
                Err(_) => Input::Unusable("that line is not UTF-8 text."),
            }
        };
        self.overlong = false;
        self.input.copy_within(taken..self.filled, 0);
        self.filled -= taken;
        if !self.echoes {
            self.put("\n");
        }
        self.at_prompt = false;
        Some(input)
    }

    /// Writes a line of an answer.
    pub fn say(&mut self, line: &str) {
        self.put(line);
        self.put("\n");
        self.at_prompt = false;
    }

    /// Writes the question, unless it stands there already.
    pub fn prompt(&mut self, question: &str) {
        if !self.at_prompt {
            self.put(question);
            self.at_prompt = true;
        }
    }

    /// Shows how far something is: on a terminal in the place of what was shown of it before.
    pub fn progress(&mut self, text: &str) {
        if !self.is_terminal() {
            return self.notify(text);
        }
        if !self.has_room() {
            return;
        }
        let blank = self.progress.saturating_sub(text.len());
        let start = match self.at_prompt && self.progress == 0 {
            true => "\n",
            false => "\r",
        };
        self.put(&format!("{start}{text}{:blank$}", ""));
        self.progress = text.len() + blank;
        self.at_prompt = true;
    }

    /// It has ended: the line stays, and the prompt comes back.
    pub fn end_progress(&mut self) {
        if core::mem::take(&mut self.progress) > 0 {
            self.put("\n");
            self.at_prompt = false;
        }
    }

    /// Notes an event; it is written when no answer is being given.
    pub fn notify(&mut self, event: &str) {
        if !self.open {
            return;
        }
        if self.event_bytes + event.len() > limits::OUTPUT_BYTES {
            self.lost += 1;
        } else {
            self.event_bytes += event.len();
            self.events.push_back(event.to_owned());
        }
    }

    /// Writes the events that wait, on lines of their own.
    pub fn flush_events(&mut self) {
        while self.has_room() {
            let event = match self.events.pop_front() {
                Some(event) => {
                    self.event_bytes -= event.len();
                    event
                }
                None if self.lost > 0 => {
                    let lost = core::mem::take(&mut self.lost);
                    format!("[console] {lost} events came too fast to be shown.")
                }
                None => return,
            };
            if self.at_prompt {
                self.put("\n");
            }
            self.progress = 0;
            self.say(&event);
        }
    }

    /// Whether it takes more text now.
    pub fn has_room(&self) -> bool {
        self.open && self.output.len() - self.start < limits::OUTPUT_BYTES / 4
    }

    /// The bytes to write now.
    pub fn pending(&self) -> &[u8] {
        &self.output[self.start..]
    }

    /// The first `count` of them were written.
    pub fn advance(&mut self, count: usize) {
        self.start += count;
        if self.start == self.output.len() {
            self.output.clear();
            self.start = 0;
        }
    }

    /// Whether everything was written.
    pub fn is_idle(&self) -> bool {
        self.pending().is_empty() && self.events.is_empty() && self.lost == 0
    }

    fn put(&mut self, text: &str) {
        if !self.open {
            return;
        }
        if self.utf8 {
            self.output.extend_from_slice(text.as_bytes());
        } else {
            self.output.extend_from_slice(plain(text).as_bytes());
        }
    }
}

/// The same in ASCII: a tag for each picture, an escape for each other character.
fn plain(text: &str) -> String {
    const TAGS: [(&str, &str); 16] = [
        ("[network 📦]", "[network]"),
        ("[network 📨]", "[network]"),
        ("[network 🔗]", "[network]"),
        ("[consensus 📡]", "[consensus]"),
        ("[consensus ℹ️]", "[consensus]"),
        ("[consensus ✅]", "[consensus] [ok]"),
        ("[consensus ❌]", "[consensus] [failed]"),
        ("[monitor ⚠️]", "[monitor] [warning]"),
        ("[monitor ✅]", "[monitor] [ok]"),
        ("[monitor ❌]", "[monitor] [failed]"),
        ("[store ❌]", "[store] [failed]"),
        ("[store ⚠️]", "[store] [warning]"),
        ("✅", "[ok]"),
        ("❌", "[failed]"),
        (" 😁", ""),
        (" ⚠️", ""),
    ];
    let mut text = text.to_owned();
    for (picture, tag) in TAGS {
        if text.contains(picture) {
            text = text.replace(picture, tag);
        }
    }
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() {
            out.push(character);
        } else {
            out.extend(character.escape_unicode());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(console: &mut Console, bytes: &[u8]) {
        console.space()[..bytes.len()].copy_from_slice(bytes);
        console.received(bytes.len());
    }

    fn shown(console: &mut Console) -> String {
        let text = String::from_utf8(console.pending().to_vec()).expect("UTF-8");
        console.advance(text.len());
        text
    }

    #[test]
    fn lines_come_however_they_are_typed() {
        let mut console = Console::new(true, true);
        typed(&mut console, b"1\r\nlap");
        assert_eq!(console.take_line(), Some(Input::Line("1".into())));
        assert_eq!(console.take_line(), None);
        typed(&mut console, b"top\nrest");
        assert_eq!(console.take_line(), Some(Input::Line("laptop".into())));
        assert_eq!(console.take_line(), None);
        console.end_input();
        assert_eq!(console.take_line(), Some(Input::Line("rest".into())));
        assert!(console.is_at_end());
    }

    #[test]
    fn an_overlong_line_is_one_line() {
        let mut console = Console::new(true, true);
        for _ in 0..3 {
            let room = console.space().len();
            typed(&mut console, &vec![b'x'; room]);
            assert!(console.has_line());
            assert_eq!(console.take_line(), None);
        }
        typed(&mut console, b"x\n9\n\xff\n");
        assert_eq!(
            console.take_line(),
            Some(Input::Unusable("that line is too long."))
        );
        assert_eq!(console.take_line(), Some(Input::Line("9".into())));
        assert!(matches!(console.take_line(), Some(Input::Unusable(_))));
    }

    #[test]
    fn events_stand_on_lines_of_their_own_and_the_prompt_comes_back() {
        let mut console = Console::new(true, true);
        console.prompt("select > ");
        console.prompt("select > ");
        console.notify("[network 📦] one");
        console.notify("[network 📦] two");
        console.flush_events();
        console.prompt("select > ");
        assert_eq!(
            shown(&mut console),
            "select > \n[network 📦] one\n[network 📦] two\nselect > "
        );
    }

    #[test]
    fn progress_is_one_line_on_a_terminal_and_a_line_each_elsewhere() {
        let mut console = Console::new(true, true);
        console.prompt("select > ");
        console.progress("10 of 20, slow");
        console.prompt("select > ");
        console.progress("11 of 20");
        console.notify("event");
        console.flush_events();
        console.prompt("select > ");
        console.progress("12 of 20");
        console.end_progress();
        console.end_progress();
        console.prompt("select > ");
        assert_eq!(
            shown(&mut console),
            "select > \n10 of 20, slow\r11 of 20      \nevent\nselect > \n12 of 20\nselect > "
        );
        let mut console = Console::new(true, false);
        console.prompt("select > ");
        console.progress("10 of 20");
        console.progress("11 of 20");
        console.flush_events();
        console.end_progress();
        console.prompt("select > ");
        assert_eq!(
            shown(&mut console),
            "select > \n10 of 20\n11 of 20\nselect > "
        );
    }

    #[test]
    fn events_that_do_not_fit_are_counted() {
        let mut console = Console::new(true, true);
        let event = "x".repeat(1000);
        for _ in 0..100 {
            console.notify(&event);
        }
        let mut text = String::new();
        while !console.is_idle() {
            console.flush_events();
            text += &shown(&mut console);
        }
        assert_eq!(text.matches(&event).count(), 65);
        assert!(text.ends_with("[console] 35 events came too fast to be shown.\n"));
    }

    #[test]
    fn a_console_that_nobody_reads_is_idle() {
        let mut console = Console::new(true, true);
        for _ in 0..2 {
            for _ in 0..100 {
                console.notify(&"x".repeat(1000));
            }
            console.break_output();
            assert!(console.is_idle() && console.is_at_end());
        }
        console.notify(&"x".repeat(limits::OUTPUT_BYTES + 1));
        assert!(console.is_idle());
    }

    #[test]
    fn without_utf8_everything_is_ascii() {
        let mut console = Console::new(false, true);
        console.say("✅ requested kamera-é");
        console.say("[status] blockchain is A-OK! 😁");
        console.say("[consensus ❌] peer chain failed validation");
        assert_eq!(
            shown(&mut console),
            "[ok] requested kamera-\\u{e9}\n[status] blockchain is A-OK!\n\
             [consensus] [failed] peer chain failed validation\n"
        );
    }
}
