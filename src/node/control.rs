//! What a program asks on a control socket, instead of a person in the menu: one question a line, and
//! an answer that says where it ends (`wire::control`).

use super::Node;
use super::answer::Answer;
use super::menu::{self, Mode};
use crate::ledger::Kind;
use crate::store::disk::Disk;
use crate::wire::address::parse_host;
use crate::wire::control::{Ask, Command};

/// What a program asked for last.
#[derive(Default)]
pub struct Asked {
    /// It wants JSON.
    pub json: bool,
    /// Else text that may be more than ASCII.
    pub utf8: bool,
    /// Something of it is impossible.
    pub refused: bool,
    /// The answer is that the node is not OK.
    pub not_ok: bool,
    /// It is done only if somebody says so.
    pub needs_answer: bool,
    /// The end of the answer has not been told.
    pub open: bool,
}

impl<D: Disk> Node<D> {
    /// A line of a program.
    pub(super) fn take_question(&mut self, at: usize, line: &str) {
        let Ask { ask, json, utf8 } = match Ask::read(line) {
            Ok(ask) => ask,
            Err(why) => return self.refuse_line(at, &format!("{why}.")),
        };
        let port = self.listen.port();
        let Some(seat) = self.seats.at_mut(at) else {
            return;
        };
        if let Command::Menu(echoes) = ask {
            seat.menu.mode = Mode::Menu;
            seat.console.shows(utf8, echoes);
            return menu::show(&mut seat.console, port);
        }
        // JSON is UTF-8; what the asker cannot show is escaped in it.
        seat.console.shows(true, true);
        seat.menu.mode = Mode::Control(Asked {
            json,
            utf8,
            refused: false,
            not_ok: false,
            needs_answer: matches!(
                ask,
                Command::Request(_) | Command::Release(_) | Command::Connect(..)
            ),
            open: true,
        });
        self.cx.effects.busy = true;
        match ask {
            Command::Menu(_) => {}
            Command::Request(names) => self.wish_named(at, Kind::Request, &names),
            Command::Release(names) => self.wish_named(at, Kind::Release, &names),
            Command::Reserved => self.list(at, true),
            Command::Available => self.list(at, false),
            Command::Peers => self.list_peers(at),
            Command::Connect(host, port) => match parse_host(&host).filter(|_| port > 0) {
                Some(host) => self.connect(at, host.to_owned(), port),
                None => self.refuse_line(at, "that is no host with a port."),
            },
            Command::Sync => self.ask_all(at),
            Command::Status => self.report(at),
            Command::Events => self.list_events(at),
        }
    }

    /// What was typed or asked cannot be.
    pub(super) fn refuse_line(&mut self, at: usize, why: &str) {
        let Some(seat) = self.seats.at_mut(at) else {
            return;
        };
        if matches!(seat.menu.mode, Mode::Fresh) {
            seat.menu.mode = Mode::Control(Asked::default());
        }
        if let Mode::Control(asked) = &mut seat.menu.mode {
            (asked.refused, asked.open) = (true, true);
            self.cx.effects.busy = true;
        }
        seat.say(&Answer::Refused(why.to_owned()));
    }

    fn wish_named(&mut self, at: usize, kind: Kind, names: &[String]) {
        match menu::parse_items(kind, names.iter().map(String::as_str)) {
            Ok(items) => self.wish(at, kind, items),
            Err(why) => self.refuse_line(at, &why),
        }
    }
}
