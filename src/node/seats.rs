//! The consoles, each with a menu of its own: who sits there, what he is told, and how he leaves.

use super::answer::{Answer, SessionId};
use super::console::{Console, printable};
use super::effects::Notice;
use super::event::ConsoleKind;
use super::menu::{self, Menu, Mode};
use super::report::Report;
use super::{Action, Line, Node};
use crate::limits;
use crate::store::disk::Disk;
use crate::wire::control;

/// A console that somebody may sit at.
pub struct Seat {
    /// Who.
    pub asker: SessionId,
    /// What it is.
    pub kind: ConsoleKind,
    /// Its stream.
    pub console: Console,
    /// Its menu.
    pub menu: Menu,
}

impl Seat {
    /// Writes a line or more of an answer, in the form that is wanted there.
    pub fn say(&mut self, report: &impl Report) {
        let text = report.to_string();
        match &self.menu.mode {
            Mode::Control(asked) if asked.json => self.console.say_raw(&control::out(report)),
            Mode::Control(asked) => {
                let shown = printable(&text, asked.utf8);
                for line in shown.lines() {
                    self.console.say_raw(&control::out(&line));
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
    pub fn give_up_waiting(&mut self) {
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
    pub fn end_answer(&mut self) {
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
                (true, _) => control::REFUSED,
                (false, true) => control::NOT_OK,
                (false, false) => control::DONE,
            };
            self.console.say_raw(&control::exit(code));
        }
    }

    /// Whether events are shown here.
    fn is_menu(&self) -> bool {
        matches!(self.menu.mode, Mode::Menu)
    }
}

/// All of them, by their number.
pub struct Seats {
    all: Vec<Option<Box<Seat>>>,
    /// How many ever were.
    count: u64,
}

impl Default for Seats {
    fn default() -> Seats {
        Seats {
            all: (0..limits::CONSOLES).map(|_| None).collect(),
            count: 0,
        }
    }
}

impl Seats {
    /// The console of a line, if it is one's line and somebody is there.
    pub fn at(&self, at: usize) -> Option<&Seat> {
        self.all[at].as_deref()
    }

    /// The same to be changed.
    pub fn at_mut(&mut self, at: usize) -> Option<&mut Seat> {
        self.all[at].as_deref_mut()
    }

    /// Every one that is open.
    pub fn iter(&self) -> impl Iterator<Item = &Seat> {
        self.all.iter().filter_map(Option::as_deref)
    }

    /// The same to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Seat> {
        self.all.iter_mut().filter_map(Option::as_deref_mut)
    }

    /// Those at which events are shown.
    pub fn menus(&mut self) -> impl Iterator<Item = &mut Seat> {
        self.iter_mut().filter(|seat| seat.is_menu())
    }

    /// The place of whoever is named so, while he is there.
    fn of(&mut self, asker: Option<SessionId>) -> Option<&mut Seat> {
        self.iter_mut().find(|seat| Some(seat.asker) == asker)
    }

    /// Whether everything was written.
    pub fn are_idle(&self) -> bool {
        self.iter().all(|seat| seat.console.is_idle())
    }
}

impl<D: Disk> Node<D> {
    /// Somebody can sit down.
    pub(super) fn open_console(&mut self, line: Line, kind: ConsoleKind) {
        let Some(at) = line.console() else { return };
        self.seats.count += 1;
        let mut seat = Seat {
            asker: SessionId(self.seats.count),
            kind,
            console: Console::new(kind),
            menu: Menu::default(),
        };
        if kind != ConsoleKind::Socket {
            seat.menu.mode = Mode::Menu;
            menu::show(&mut seat.console, self.listen.port());
        }
        if seat.is_menu() {
            let early = self.early.iter();
            early.for_each(|notice| seat.console.notify(&format!("[store ⚠️] {notice}")));
        }
        self.seats.all[at] = Some(Box::new(seat));
    }

    /// What there was to say before the first console opened is for the log and the ring as well.
    pub(super) fn log_early(&mut self) {
        for notice in core::mem::take(&mut self.early) {
            let event = format!("[store ⚠️] {notice}");
            self.keep_event(&event);
            self.log_event(log::Level::Warn, &event);
        }
    }

    /// A console's input ended, or with a reason its stream.
    pub(super) fn console_closed(&mut self, at: usize, reason: Option<&str>) {
        let Some(seat) = self.seats.at_mut(at) else {
            return;
        };
        match (seat.kind, reason) {
            (ConsoleKind::Serial, _) | (ConsoleKind::Socket, Some(_)) => self.seats.all[at] = None,
            (ConsoleKind::Standard { .. } | ConsoleKind::Socket, None) => seat.console.typing.end(),
            (ConsoleKind::Standard { .. }, Some(_)) => {
                seat.console.break_output();
                seat.menu.listing = None;
            }
        }
    }

    /// Carries out what the organs have to say, in its order.
    pub(super) fn deliver(&mut self) {
        while let Some(notice) = self.cx.effects.next_notice() {
            match notice {
                Notice::Event(event) => self.tell_all_users(log::Level::Info, &event),
                Notice::Alert(event) => {
                    self.keep_event(&event);
                    self.tell_all_users(log::Level::Warn, &event);
                }
                Notice::Answer(session, answer) => match self.seats.of(session) {
                    Some(seat) => seat.tell(&answer),
                    None => self.tell_all_users(log::Level::Info, &answer.to_string()),
                },
                Notice::AnswerProgram(session, answer) => {
                    if let Some(seat) = self.seats.of(session).filter(|seat| !seat.is_menu()) {
                        seat.tell(&answer);
                    }
                }
            }
        }
    }

    /// Shows an event on every console, and logs it.
    fn tell_all_users(&mut self, level: log::Level, event: &str) {
        self.seats
            .menus()
            .for_each(|seat| seat.console.notify(event));
        self.log_event(level, event);
    }

    /// Logs an event, unless it stands on a standard output already, which is the log's neighbour.
    pub(super) fn log_event(&self, level: log::Level, event: &str) {
        let standard = |seat: &Seat| matches!(seat.kind, ConsoleKind::Standard { .. });
        if !self.seats.iter().any(standard) {
            log::log!(level, "{event}");
        }
    }

    /// Whether something that was asked for at this console is not done yet. A menu's user need not
    /// wait for the chains of the peers.
    pub(super) fn owes(&self, seat: &Seat) -> bool {
        let asker = seat.asker;
        let chains = matches!(seat.menu.mode, Mode::Control(_));
        self.mempool.queue.owes(asker)
            || self.links.owes(asker)
            || (chains
                && self
                    .peers
                    .iter()
                    .any(|(_, peer)| peer.asked_by.contains(&asker)))
    }

    /// Takes at most one line of input of each console; true if there are others.
    pub(super) fn take_input(&mut self) -> bool {
        let mut more = false;
        for at in 0..limits::CONSOLES {
            more |= self.take_input_of(at);
        }
        more
    }

    /// Writes what waits for each console: an answer, else events, and the question behind them.
    pub(super) fn fill_consoles(&mut self) {
        for at in 0..limits::CONSOLES {
            self.fill_console(at);
        }
    }

    /// Closes the sockets of those who have left and were told everything.
    pub(super) fn let_go(&mut self) {
        for at in 0..limits::CONSOLES {
            let gone = self.seats.at(at).is_some_and(|seat| {
                seat.kind == ConsoleKind::Socket
                    && seat.console.typing.is_at_end()
                    && seat.menu.is_at_rest()
                    && seat.console.is_idle()
            });
            if gone {
                self.seats.all[at] = None;
                let line = Line::of_console(at);
                self.cx.effects.act(Action::Hangup { line });
            }
        }
    }
}
