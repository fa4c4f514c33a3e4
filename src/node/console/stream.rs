//! A console: lines in, text out. Events wait while an answer is being given; the prompt comes
//! back behind them.

use std::collections::VecDeque;

pub use super::typing::Input;
use super::typing::Typing;
use crate::limits;
use crate::node::event::ConsoleKind;

/// The stream.
pub struct Console {
    utf8: bool,
    /// The other end shows what is typed, line ends too.
    echoes: bool,
    /// Text may take the place of what was written before.
    overwrites: bool,
    open: bool,
    /// What is typed.
    pub typing: Typing,
    output: Vec<u8>,
    start: usize,
    /// Bytes of output, and of events, that may wait.
    room: usize,
    /// Lines that were left out at the start of `output`, and the bytes there that say so.
    cut: (u64, usize),
    /// Whether lines are left out when there is no room.
    cuts: bool,
    events: VecDeque<String>,
    event_bytes: usize,
    lost: u64,
    at_prompt: bool,
    /// Columns of the line of progress that stands at the cursor and will be written over.
    progress: usize,
}

impl Console {
    /// A console of this kind.
    pub fn new(kind: ConsoleKind) -> Console {
        let (utf8, echoes) = match kind {
            ConsoleKind::Standard { utf8, echoes } => (utf8, echoes),
            ConsoleKind::Serial | ConsoleKind::Socket => (false, true),
        };
        let serial = kind == ConsoleKind::Serial;
        let (typing, room) = match serial {
            true => (Typing::edited(), limits::SERIAL_OUTPUT_BYTES),
            false => (Typing::whole_lines(), limits::OUTPUT_BYTES),
        };
        Console {
            utf8,
            echoes,
            overwrites: echoes && !serial,
            open: true,
            typing,
            output: Vec::new(),
            start: 0,
            room,
            cut: (0, 0),
            cuts: serial,
            events: VecDeque::new(),
            event_bytes: 0,
            lost: 0,
            at_prompt: false,
            progress: 0,
        }
    }

    /// What the other end shows, as it says itself.
    pub fn shows(&mut self, utf8: bool, echoes: bool) {
        (self.utf8, self.echoes, self.overwrites) = (utf8, echoes, echoes);
    }

    /// Whether it is a terminal, on which a line can be written over.
    pub fn is_terminal(&self) -> bool {
        self.overwrites
    }

    /// Nobody reads any more.
    pub fn break_output(&mut self) {
        self.open = false;
        self.typing.drop_all();
        self.output.clear();
        (self.start, self.cut) = (0, (0, 0));
        self.events.clear();
        (self.event_bytes, self.lost) = (0, 0);
    }

    /// The next line, if one was typed.
    pub fn take_line(&mut self, tab_ends: bool) -> Option<Input> {
        let mut echo = Vec::new();
        let input = self.typing.take(tab_ends, &mut echo);
        if self.open {
            self.output.append(&mut echo);
            self.cut();
        }
        if input.is_some() {
            self.progress = 0;
            if !self.echoes {
                self.put("\n");
            }
            self.at_prompt = false;
        }
        input
    }

    /// Writes a line for a program as it is.
    pub fn say_raw(&mut self, line: &str) {
        if self.open {
            self.output.extend_from_slice(line.as_bytes());
            self.output.push(b'\n');
        }
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
            if self.open {
                self.output.extend_from_slice(self.typing.shown());
            }
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
        self.event_bytes += event.len();
        self.events.push_back(event.to_owned());
        while self.event_bytes > self.room
            && let Some(oldest) = self.events.pop_front()
        {
            limits::Full::EventsLost.ran();
            self.event_bytes -= oldest.len();
            self.lost += 1;
        }
    }

    /// Writes the events that wait, on lines of their own.
    pub fn flush_events(&mut self) {
        while self.has_room() {
            let event = if self.lost > 0 {
                let lost = core::mem::take(&mut self.lost);
                format!("[console] {lost} events came too fast to be shown.")
            } else if let Some(event) = self.events.pop_front() {
                self.event_bytes -= event.len();
                event
            } else {
                return;
            };
            if self.at_prompt {
                self.put("\n");
            }
            self.progress = 0;
            self.say(&event);
        }
        limits::Full::EventsWait.when(self.open && !self.events.is_empty());
    }

    /// Whether it takes more text now.
    pub fn has_room(&self) -> bool {
        self.open && self.output.len() - self.start < self.room / 4
    }

    /// The bytes to write now.
    pub fn pending(&self) -> &[u8] {
        &self.output[self.start..]
    }

    /// The first `count` of them were written.
    pub fn advance(&mut self, count: usize) {
        self.start += count;
        // Whoever reads has come to what says that something is missing.
        self.cut = (0, 0);
        // Who reads all the time may never have read everything.
        if self.start == self.output.len() || self.start >= self.room {
            self.output.drain(..self.start);
            self.output.shrink_to(self.room);
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
        let shown = printable(text, self.utf8);
        self.output.extend_from_slice(shown.as_bytes());
        self.cut();
    }

    /// Leaves out the oldest lines if more waits than there is room for, and says so in their place.
    fn cut(&mut self) {
        let excess = self.pending().len().saturating_sub(self.room);
        if !self.cuts || excess == 0 {
            return;
        }
        limits::Full::LinesCut.ran();
        let (mut lines, told) = self.cut;
        let from = self.start + told;
        let mut rest = self.output.split_off(from + excess);
        let end = rest.iter().position(|byte| *byte == b'\n');
        let rest = rest.split_off(end.map_or(rest.len(), |end| end + 1));
        let gone = &self.output[from..];
        lines += 1 + gone.iter().filter(|byte| **byte == b'\n').count() as u64;
        let notice = format!("\n[console] {lines} lines came too fast for this console.\n");
        self.output.clear();
        self.output.extend_from_slice(notice.as_bytes());
        self.output.extend_from_slice(&rest);
        (self.start, self.cut) = (0, (lines, notice.len()));
    }
}

/// The text as a console shows it: without UTF-8 a tag for each picture and an escape for each other
/// character. A name that somebody gave an item cannot move the cursor.
pub fn printable(text: &str, utf8: bool) -> String {
    let text = if utf8 { text.to_owned() } else { tagged(text) };
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' | ' '..='~' => shown.push(character),
            _ if utf8 && !character.is_control() => shown.push(character),
            _ => shown.extend(character.escape_unicode()),
        }
    }
    shown
}

/// The text with a tag for each picture.
fn tagged(text: &str) -> String {
    const TAGS: [(&str, &str); 18] = [
        ("[network 📦]", "[network]"),
        ("[network 📨]", "[network]"),
        ("[network 🔗]", "[network]"),
        ("[network ⚠️]", "[network] [warning]"),
        ("[consensus 📡]", "[consensus]"),
        ("[consensus ℹ️]", "[consensus]"),
        ("[consensus ✅]", "[consensus] [ok]"),
        ("[consensus ❌]", "[consensus] [failed]"),
        ("[consensus ⚠️]", "[consensus] [warning]"),
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
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(utf8: bool, echoes: bool) -> Console {
        Console::new(ConsoleKind::Standard { utf8, echoes })
    }

    fn shown(console: &mut Console) -> String {
        let text = String::from_utf8(console.pending().to_vec()).expect("UTF-8");
        console.advance(text.len());
        text
    }

    #[test]
    fn events_stand_on_lines_of_their_own_and_the_prompt_comes_back() {
        let mut console = opened(true, true);
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
        let mut console = opened(true, true);
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
        let mut console = opened(true, false);
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
        let mut console = opened(true, true);
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
        assert!(text.starts_with("[console] 35 events came too fast to be shown.\n"));
    }

    #[test]
    fn a_console_that_nobody_reads_is_idle() {
        let mut console = opened(true, true);
        for _ in 0..2 {
            for _ in 0..100 {
                console.notify(&"x".repeat(1000));
            }
            console.break_output();
            assert!(console.is_idle() && console.typing.is_at_end());
        }
        console.notify(&"x".repeat(limits::OUTPUT_BYTES + 1));
        assert!(console.is_idle());
    }

    #[test]
    fn a_slow_line_gets_the_last_of_it_and_is_told_what_is_missing() {
        let mut console = Console::new(ConsoleKind::Serial);
        console.prompt("select > ");
        let sent = console.pending().len();
        console.advance(sent);
        for number in 0..1000 {
            console.say(&format!("line {number}"));
            assert!(console.pending().len() <= limits::SERIAL_OUTPUT_BYTES + 60);
        }
        let text = shown(&mut console);
        let (notice, rest) = text[1..].split_once('\n').expect("lines");
        let number = notice.strip_prefix("[console] ").expect("a notice");
        let number: usize = number
            .split(' ')
            .next()
            .expect("a word")
            .parse()
            .expect("a number");
        let lines: Vec<String> = (number..1000)
            .map(|number| format!("line {number}"))
            .collect();
        assert_eq!(rest.lines().collect::<Vec<_>>(), lines);
        assert!(number > 0 && rest.len() > limits::SERIAL_OUTPUT_BYTES / 2);
    }

    #[test]
    fn an_event_does_not_hide_what_was_typed_on_a_serial_line() {
        let mut console = Console::new(ConsoleKind::Serial);
        console.prompt("item ID: ");
        console.typing.space()[..3].copy_from_slice(b"lap");
        console.typing.received(3);
        assert_eq!(console.take_line(true), None);
        console.notify("[network 📦] one");
        console.flush_events();
        console.prompt("item ID: ");
        assert_eq!(
            shown(&mut console),
            "item ID: lap\n[network] one\nitem ID: lap"
        );
    }

    #[test]
    fn what_others_named_cannot_move_the_cursor() {
        let mut console = opened(true, true);
        console.say("  é\u{1b}[2J\u{9b}");
        assert_eq!(shown(&mut console), "  é\\u{1b}[2J\\u{9b}\n");
    }

    #[test]
    fn without_utf8_everything_is_ascii() {
        let mut console = opened(false, true);
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
