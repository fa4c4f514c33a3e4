//! The consoles, each with a menu of its own: who sits there, what they are told, and how they leave.

use super::UserCommand;
use super::control;
use super::menu::{self, Asked, Menu, Mode, Parsed, Question};
use super::pace::Pace;
use super::report::Report;
use super::stream::{Console, printable};
use super::typing::Input;
use crate::limits;
use crate::node::answer::{Answer, SessionId};
use crate::node::event::{ConnId, ConsoleKind, Millis};
use crate::wire::control as wire;

/// Somebody at a console.
pub struct Session {
    /// Names it among all sessions that ever were.
    pub id: SessionId,
    /// What it is.
    pub kind: ConsoleKind,
    /// Its stream.
    pub console: Console,
    /// Its menu.
    pub menu: Menu,
    /// Until when a program has to end the line that it has begun.
    late: Option<Millis>,
}

impl Session {
    /// Writes a line or more of an answer, in the form that is wanted there.
    pub fn say(&mut self, report: &impl Report) {
        let text = report.to_string();
        match &self.menu.mode {
            Mode::Control(asked) if asked.json => self.console.say_raw(&wire::out(report)),
            Mode::Control(asked) => {
                let shown = printable(&text, asked.utf8);
                for line in shown.lines() {
                    self.console.say_raw(&wire::out(&line));
                }
            }
            Mode::Menu | Mode::Fresh => text.lines().for_each(|line| self.console.say(line)),
        }
    }

    /// Whether an answer is to have nothing but its objects.
    pub fn wants_json(&self) -> bool {
        matches!(&self.menu.mode, Mode::Control(asked) if asked.json)
    }

    /// Says how something ended that took a while.
    fn tell(&mut self, answer: &Answer) {
        if let Mode::Control(asked) = &mut self.menu.mode {
            match answer {
                Answer::Refused(_) => asked.refused = true,
                _ => asked.needs_answer = false,
            }
        } else if !self.menu.waiting {
            return self.console.notify(&answer.to_string());
        }
        self.say(answer);
    }

    /// It takes longer than is waited for.
    fn give_up_waiting(&mut self) {
        match self.menu.mode {
            Mode::Control(_) => {
                self.tell(&Answer::Refused("not every peer has answered.".into()));
            }
            Mode::Menu | Mode::Fresh => self
                .console
                .say("that takes a while; the outcome will be shown here."),
        }
    }

    /// Nothing more is to be said of what a program asked for last.
    fn end_answer(&mut self) {
        let Mode::Control(asked) = &mut self.menu.mode else {
            return;
        };
        if !core::mem::take(&mut asked.open) {
            return;
        }
        if asked.needs_answer && !asked.refused {
            // Whatever became of it: without a word that it is done, it is not.
            asked.refused = true;
            self.say(&Answer::Refused("it came to nothing.".into()));
        }
        if let Mode::Control(asked) = &self.menu.mode {
            let code = match (asked.refused, asked.not_ok) {
                (true, _) => wire::REFUSED,
                (false, true) => wire::NOT_OK,
                (false, false) => wire::DONE,
            };
            self.console.say_raw(&wire::exit(code));
        }
    }

    /// Whether the next line may be taken; `owes`: what was asked for last is not done yet. Ends an
    /// answer that is complete.
    pub fn is_ready(&mut self, now: Millis, owes: bool) -> bool {
        if self.menu.waiting {
            let over = self.menu.until.is_some_and(|until| now >= until);
            if owes && !over {
                return false;
            }
            if owes {
                self.give_up_waiting();
            }
            self.menu.waiting = false;
        }
        if self.menu.listing.is_some() {
            return false;
        }
        self.end_answer();
        true
    }

    /// The next line, if one was typed.
    fn next_input(&mut self) -> Option<Input> {
        let room = self.console.has_room();
        if limits::Full::InputWaits.when(!room) {
            // Whoever does not read what they are told is not asked for more.
            return None;
        }
        let tab_ends = self.menu.question.ends_with_tab();
        if self.is_menu() && self.console.typing.is_waiting(tab_ends) {
            self.console.prompt(self.menu.question.text());
        }
        let input = self.console.take_line(tab_ends);
        if input.is_some() {
            self.late = None;
        }
        input
    }

    /// What is wanted by the next line, if one was typed: something to do, or nothing more.
    pub fn next_command(&mut self, port: u16) -> Option<Option<UserCommand>> {
        Some(match self.next_input()? {
            Input::Unusable(why) => {
                self.menu.question = Question::Select;
                self.refuse(why);
                None
            }
            Input::Cancelled => {
                self.menu.question = Question::Select;
                None
            }
            Input::Line(line) => self.understand(&line, port),
        })
    }

    /// Whether there is another one.
    pub fn has_input(&self) -> bool {
        let tab_ends = self.menu.question.ends_with_tab();
        self.console.has_room() && self.console.typing.is_waiting(tab_ends)
    }

    /// Writes the events that wait, and the question behind them.
    pub fn fill(&mut self, ending: bool) {
        if !self.console.has_room() || !self.is_menu() {
            return;
        }
        if self.menu.listing.is_none() {
            self.console.flush_events();
        }
        if self.menu.is_at_rest() && !ending && !self.console.typing.is_at_end() {
            self.console.prompt(self.menu.question.text());
        }
    }

    /// What a line means that was typed or asked here: something to do, or nothing more.
    fn understand(&mut self, line: &str, port: u16) -> Option<UserCommand> {
        let parsed = match self.menu.mode {
            Mode::Fresh if !line.starts_with('{') => {
                self.menu.mode = Mode::Menu;
                self.menu.answer(line)
            }
            Mode::Menu => self.menu.answer(line),
            Mode::Fresh | Mode::Control(_) => control::read(line),
        };
        match parsed {
            Parsed::UserCommand(UserCommand::Exit) if self.kind == ConsoleKind::Socket => {
                self.console.say("good bye; the node goes on.");
                self.console.typing.drop_all();
            }
            Parsed::UserCommand(command) => return Some(command),
            Parsed::Asked(asked, command) => {
                // JSON is UTF-8; what the asker cannot show is escaped in it.
                self.console.shows(true, true);
                self.menu.mode = Mode::Control(asked);
                match command {
                    Ok(command) => return Some(command),
                    Err(why) => self.refuse(&why),
                }
            }
            Parsed::Menu { utf8, echoes } => {
                self.menu.mode = Mode::Menu;
                self.console.shows(utf8, echoes);
                menu::show(&mut self.console, port);
            }
            Parsed::Question => {}
            Parsed::Nothing => menu::show(&mut self.console, port),
            Parsed::Unknown => self.console.say("invalid option."),
            Parsed::Refused(why) => self.refuse(&why),
        }
        None
    }

    /// What was typed or asked cannot be.
    pub fn refuse(&mut self, why: &str) {
        if matches!(self.menu.mode, Mode::Fresh) {
            self.menu.mode = Mode::Control(Asked::default());
        }
        if let Mode::Control(asked) = &mut self.menu.mode {
            (asked.refused, asked.open) = (true, true);
        }
        self.say(&Answer::Refused(why.to_owned()));
    }

    /// Whether it is somebody on a socket who has left and was told everything.
    fn has_left(&self) -> bool {
        self.kind == ConsoleKind::Socket
            && self.console.typing.is_at_end()
            && self.menu.is_at_rest()
            && self.console.is_idle()
    }

    /// Whether somebody on a socket owes a line: the first, or the rest of one. A person in the menu may
    /// take their time.
    fn owes_line(&self) -> bool {
        let typing = &self.console.typing;
        let begun = match self.menu.mode {
            Mode::Fresh => true,
            Mode::Control(_) => self.menu.is_at_rest() && typing.has_begun(),
            Mode::Menu => false,
        };
        self.kind == ConsoleKind::Socket && begun && !typing.is_waiting(false)
    }

    /// Whether it has taken too long for a line. Who sends it byte by byte has no more time.
    fn is_late(&mut self, now: Millis) -> bool {
        let owes = self.owes_line();
        let until = Millis(now.0 + limits::CONTROL_LINE_MS);
        self.late = owes.then(|| self.late.unwrap_or(until));
        self.late.is_some_and(|late| late <= now)
    }

    /// Whether it is a program.
    pub fn is_control(&self) -> bool {
        matches!(self.menu.mode, Mode::Control(_))
    }

    /// Whether events are shown here.
    pub fn is_menu(&self) -> bool {
        matches!(self.menu.mode, Mode::Menu)
    }
}

/// All sessions, by the number of their console.
pub struct Sessions {
    all: Vec<Option<Box<Session>>>,
    /// How many ever were.
    count: u64,
    pace: Pace,
}

impl Default for Sessions {
    fn default() -> Sessions {
        Sessions {
            all: (0..limits::CONSOLES).map(|_| None).collect(),
            count: 0,
            pace: Pace::default(),
        }
    }
}

impl Sessions {
    /// The session at the console of this number, if somebody is there.
    pub fn at(&self, at: usize) -> Option<&Session> {
        self.all[at].as_deref()
    }

    /// The same to be changed.
    pub fn at_mut(&mut self, at: usize) -> Option<&mut Session> {
        self.all[at].as_deref_mut()
    }

    /// Every one that is open.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.all.iter().filter_map(Option::as_deref)
    }

    /// The same to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.all.iter_mut().filter_map(Option::as_deref_mut)
    }

    /// Those at which events are shown.
    pub fn menus(&mut self) -> impl Iterator<Item = &mut Session> {
        self.iter_mut().filter(|session| session.is_menu())
    }

    /// The session with this id, while it is there.
    fn of(&mut self, id: Option<SessionId>) -> Option<&mut Session> {
        self.iter_mut().find(|session| Some(session.id) == id)
    }

    /// Whether everything was written.
    pub fn are_idle(&self) -> bool {
        self.iter().all(|session| session.console.is_idle())
    }

    /// Somebody can sit down; `early` is what there was to say before.
    pub fn open(&mut self, conn: ConnId, kind: ConsoleKind, port: u16, early: &[String]) {
        let Some(at) = conn.console() else { return };
        self.count += 1;
        let mut session = Session {
            id: SessionId(self.count),
            kind,
            console: Console::new(kind),
            menu: Menu::default(),
            late: None,
        };
        if kind != ConsoleKind::Socket {
            session.menu.mode = Mode::Menu;
            menu::show(&mut session.console, port);
        }
        if session.is_menu() {
            for notice in early {
                session.console.notify(&format!("[store ⚠️] {notice}"));
            }
        }
        self.all[at] = Some(Box::new(session));
    }

    /// A console's input ended or, if there is a reason, its stream failed.
    pub fn closed(&mut self, at: usize, reason: Option<&str>) {
        let Some(session) = self.at_mut(at) else {
            return;
        };
        match (session.kind, reason) {
            (ConsoleKind::Serial, _) | (ConsoleKind::Socket, Some(_)) => self.all[at] = None,
            (ConsoleKind::Standard { .. } | ConsoleKind::Socket, None) => {
                session.console.typing.end();
            }
            (ConsoleKind::Standard { .. }, Some(_)) => {
                session.console.break_output();
                session.menu.listing = None;
            }
        }
    }

    /// The same as `tell_all` with something that happens as often as others want it: of each kind so many
    /// a second, and then how many there were. What is said of a user's own wishes is always shown.
    pub fn tell_event(&mut self, now: Millis, event: &str) {
        if event.contains("] your ") || self.pace.shows(now, event) {
            self.tell_all(log::Level::Info, event);
        }
    }

    /// Says how many events were not shown in the seconds that are over, or in `all`.
    pub fn tell_counts(&mut self, now: Millis, all: bool) {
        for event in self.pace.over(now, all) {
            self.tell_all(log::Level::Info, &event);
        }
    }

    /// Shows an event on every console, and logs it.
    pub fn tell_all(&mut self, level: log::Level, event: &str) {
        self.menus()
            .for_each(|session| session.console.notify(event));
        self.log(level, event);
    }

    /// Says how something ended to whoever asked for it; everybody hears it if they are gone.
    pub fn answer(&mut self, id: Option<SessionId>, answer: &Answer) {
        match self.of(id) {
            Some(session) => session.tell(answer),
            None => self.tell_all(log::Level::Info, &answer.to_string()),
        }
    }

    /// The same where a person in the menu has seen it as an event.
    pub fn answer_program(&mut self, id: Option<SessionId>, answer: &Answer) {
        if let Some(session) = self.of(id).filter(|session| !session.is_menu()) {
            session.tell(answer);
        }
    }

    /// Logs an event, unless it stands on a standard output already, which is the log's neighbour.
    pub fn log(&self, level: log::Level, event: &str) {
        let standard = |session: &Session| matches!(session.kind, ConsoleKind::Standard { .. });
        if !self.iter().any(standard) {
            log::log!(level, "{event}");
        }
    }

    /// Takes those off the list who have left by a socket and were told everything, and those who hold
    /// one and do not say what they want; their ids.
    pub fn let_go(&mut self, now: Millis) -> Vec<ConnId> {
        let mut gone = Vec::new();
        for (at, place) in self.all.iter_mut().enumerate() {
            let Some(session) = place else { continue };
            let late = session.is_late(now);
            if late {
                log::info!("a program at a control socket does not end its question: hung up");
            }
            if late || session.has_left() {
                *place = None;
                gone.push(ConnId::of_console(at));
            }
        }
        gone
    }

    /// When one of them has to be looked at again.
    pub fn due(&self) -> Option<Millis> {
        let due = |session: &Session| session.menu.due().into_iter().chain(session.late);
        self.iter().flat_map(due).chain(self.pace.due()).min()
    }

    /// Shows how far a long transfer is, on terminals, and with `lines` also where each text stays on a
    /// line of its own. Returns whether there is a menu, and whether one is on a terminal.
    pub fn show_progress(&mut self, text: &str, lines: bool) -> [bool; 2] {
        let (mut terminal, mut shown) = (false, false);
        for session in self.menus() {
            shown = true;
            terminal |= session.console.is_terminal();
            if session.console.is_terminal() || lines {
                session.console.progress(text);
            }
        }
        [shown, terminal]
    }

    /// The transfer has ended.
    pub fn end_progress(&mut self) {
        self.menus()
            .for_each(|session| session.console.end_progress());
    }
}
