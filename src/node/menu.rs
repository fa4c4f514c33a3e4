//! The numbered menu (PROTOCOL.md section 7): a line is first understood as a command, and only
//! then acted upon. The table below is the menu: what is shown and what is understood.

use super::answer::{Answer, done};
use super::console::{Console, Input};
use super::control::Asked;
use super::event::ConsoleKind;
use super::newer;
use super::report::Listing;
use super::{Millis, Node};
use crate::ledger::{Kind, Uid};
use crate::limits;
use crate::store::disk::Disk;
use crate::wire::address::{parse_host, parse_port};

/// What a number of the menu stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Request,
    Release,
    ListReserved,
    ListAvailable,
    RequestMany,
    Connect,
    ListPeers,
    Sync,
    Status,
    Exit,
    ListEvents,
}

const MENU: [(Choice, &str); 11] = [
    (Choice::Request, "request (single)"),
    (Choice::Release, "release (single)"),
    (Choice::ListReserved, "list reserved items"),
    (Choice::ListAvailable, "list available items"),
    (Choice::RequestMany, "request (multiple)"),
    (Choice::Connect, "connect to peer"),
    (Choice::ListPeers, "list connected peers"),
    (Choice::Sync, "sync chain from network (consensus)"),
    (Choice::Status, "report blockchain status"),
    (Choice::Exit, "exit"),
    (Choice::ListEvents, "list recent events"),
];

/// What the next line of input means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Question {
    #[default]
    Select,
    Item(Kind),
    Items,
    Host,
    Port(String),
}

impl Question {
    fn text(&self) -> &'static str {
        match self {
            Question::Select => "select > ",
            Question::Item(_) => "item ID: ",
            Question::Items => "item IDs: ",
            Question::Host => "peer host: ",
            Question::Port(_) => "peer port: ",
        }
    }

    /// Whether a tab ends the answer: some scanners send one behind what they read.
    fn ends_with_tab(&self) -> bool {
        matches!(self, Question::Item(_))
    }
}

/// Whom a console serves.
#[derive(Default)]
pub enum Mode {
    /// Somebody on a socket who has not said what he wants.
    #[default]
    Fresh,
    /// A person.
    Menu,
    /// A program, most likely `blx ctl`.
    Control(Asked),
}

/// A console's menu.
#[derive(Default)]
pub struct Menu {
    pub mode: Mode,
    question: Question,
    /// What was asked for last is being done; the next line is taken when that is done,
    pub waiting: bool,
    /// or from this time on.
    until: Option<Millis>,
    pub listing: Option<Listing>,
}

impl Menu {
    /// When it has to be looked at again.
    pub fn deadline(&self) -> Option<Millis> {
        self.until.filter(|_| self.waiting)
    }

    /// Whether nothing is left to be said of what was asked for.
    pub fn is_at_rest(&self) -> bool {
        let open = matches!(&self.mode, Mode::Control(asked) if asked.open);
        !self.waiting && self.listing.is_none() && !open
    }
}

/// Shows the whole menu.
pub fn show(console: &mut Console, port: u16) {
    console.say(&format!("=== Blockchain Node (Port {port}) ==="));
    for (number, (_, label)) in MENU.iter().enumerate() {
        console.say(&format!("{}. {label}", number + 1));
    }
    console.say("");
}

/// An item's name as a user may give it.
fn parse_item(text: &str) -> Result<Uid, String> {
    let name = text.trim();
    if name.is_empty() {
        return Err("the item ID is empty.".into());
    }
    if name.len() > limits::ITEM_BYTES_MAX {
        let (is, max) = (name.len(), limits::ITEM_BYTES_MAX);
        return Err(format!("the item ID has {is} bytes, {max} are allowed."));
    }
    if name.chars().any(char::is_control) {
        return Err("the item ID contains control characters.".into());
    }
    Ok(name.into())
}

/// Names between commas, or the tabs of a scanner; what is empty between two is passed over.
fn parse_list(text: &str) -> Result<Vec<Uid>, String> {
    let names = text.split([',', '\t']);
    parse_items(Kind::Request, names.filter(|name| !name.trim().is_empty()))
}

pub(super) fn parse_items<'a>(
    kind: Kind,
    names: impl Iterator<Item = &'a str>,
) -> Result<Vec<Uid>, String> {
    let items: Vec<Uid> = names.map(parse_item).collect::<Result<_, _>>()?;
    if items.is_empty() {
        return Err("there is no item ID in that list.".into());
    }
    if items.len() > limits::TRANSACTIONS_PER_BLOCK {
        let (are, max) = (items.len(), limits::TRANSACTIONS_PER_BLOCK);
        return Err(format!(
            "{are} items are too many, {max} are allowed at once."
        ));
    }
    let mut sorted: Vec<&Uid> = items.iter().collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!(
            "item {} is in the list twice: nothing was {}.",
            pair[0],
            done(kind)
        )),
        None => Ok(items),
    }
}

impl<D: Disk> Node<D> {
    /// Takes at most one line of a console's input; true if there is another one.
    pub(super) fn take_input_of(&mut self, at: usize) -> bool {
        self.deliver();
        if !self.is_ready(at) {
            return false;
        }
        let Some(seat) = self.seats.at_mut(at) else {
            return false;
        };
        if seat.console.typing.is_at_end() {
            let standard = matches!(seat.kind, ConsoleKind::Standard { .. });
            if standard && self.seats.at(at).is_some_and(|seat| !self.owes(seat)) {
                self.begin_end();
            }
            return false;
        }
        if !seat.console.has_room() {
            // Whoever does not read what he is told is not asked for more.
            return false;
        }
        let tab_ends = seat.menu.question.ends_with_tab();
        if matches!(seat.menu.mode, Mode::Menu) && seat.console.typing.is_waiting(tab_ends) {
            seat.console.prompt(seat.menu.question.text());
        }
        match seat.console.take_line(tab_ends) {
            None => return false,
            Some(Input::Unusable(why)) => {
                seat.menu.question = Question::Select;
                self.refuse_line(at, why);
            }
            Some(Input::Cancelled) => seat.menu.question = Question::Select,
            Some(Input::Line(line)) => self.take_line(at, &line),
        }
        self.deliver();
        // Behind an answer that is complete the next line can be taken, and its end be told.
        self.is_ready(at)
            && self.seats.at(at).is_some_and(|seat| {
                let tab_ends = seat.menu.question.ends_with_tab();
                seat.console.has_room() && seat.console.typing.is_waiting(tab_ends)
            })
    }

    /// Whether the next line may be taken; ends an answer that is complete.
    fn is_ready(&mut self, at: usize) -> bool {
        let Some(seat) = self.seats.at(at) else {
            return false;
        };
        let owes = self.owes(seat);
        let (now, ending) = (self.cx.now.mono, self.cx.ending.is_some());
        let Some(seat) = self.seats.at_mut(at) else {
            return false;
        };
        if seat.menu.waiting {
            let over = seat.menu.until.is_some_and(|until| now >= until);
            if owes && !over {
                return false;
            }
            if owes {
                seat.give_up_waiting();
            }
            seat.menu.waiting = false;
        }
        if seat.menu.listing.is_some() {
            return false;
        }
        seat.end_answer();
        !ending
    }

    fn take_line(&mut self, at: usize, line: &str) {
        let Some(seat) = self.seats.at_mut(at) else {
            return;
        };
        match seat.menu.mode {
            Mode::Menu => return self.take_answer(at, line),
            Mode::Fresh if !line.starts_with('{') => {
                seat.menu.mode = Mode::Menu;
                return self.take_answer(at, line);
            }
            Mode::Fresh | Mode::Control(_) => {}
        }
        self.take_question(at, line);
    }

    /// A line that is the answer to the menu's question.
    fn take_answer(&mut self, at: usize, line: &str) {
        let Some(seat) = self.seats.at_mut(at) else {
            return;
        };
        match core::mem::take(&mut seat.menu.question) {
            Question::Select => self.select(at, line.trim()),
            Question::Item(kind) => match parse_item(line) {
                Ok(item) => self.wish(at, kind, vec![item]),
                Err(why) => self.refuse_line(at, &why),
            },
            Question::Items => match parse_list(line) {
                Ok(items) => self.wish(at, Kind::Request, items),
                Err(why) => self.refuse_line(at, &why),
            },
            Question::Host => match parse_host(line.trim()) {
                Some(host) => seat.menu.question = Question::Port(host.to_owned()),
                None => self.refuse_line(at, "that is neither a host name nor an address."),
            },
            Question::Port(host) => match parse_port(line.trim()) {
                Ok(port) => self.connect(at, host, port),
                Err(why) => self.refuse_line(at, &format!("{why}.")),
            },
        }
    }

    fn select(&mut self, at: usize, line: &str) {
        let port = self.listen.port();
        let Some(seat) = self.seats.at_mut(at) else {
            return;
        };
        if line.is_empty() {
            return show(&mut seat.console, port);
        }
        let numbered = MENU.iter().zip(1..);
        let chosen = numbered
            .into_iter()
            .find(|(_, number)| line == format!("{number}"));
        let Some(((choice, _), _)) = chosen else {
            return seat.console.say("invalid option.");
        };
        match choice {
            Choice::Request => seat.menu.question = Question::Item(Kind::Request),
            Choice::Release => seat.menu.question = Question::Item(Kind::Release),
            Choice::RequestMany => seat.menu.question = Question::Items,
            Choice::Connect => seat.menu.question = Question::Host,
            Choice::ListReserved => self.list(at, true),
            Choice::ListAvailable => self.list(at, false),
            Choice::ListPeers => self.list_peers(at),
            Choice::Sync => self.ask_all(at),
            Choice::Status => self.report(at),
            Choice::Exit if seat.kind == ConsoleKind::Socket => {
                seat.console.say("good bye; the node goes on.");
                seat.console.typing.drop_all();
            }
            Choice::Exit => self.begin_end(),
            Choice::ListEvents => self.list_events(at),
        }
    }

    /// The next line is not taken before the outcome of this one is known; in a menu not much
    /// longer than a person waits.
    fn wait_for_answer(&mut self, at: usize) {
        let until = Millis(self.cx.now.mono.0 + limits::ANSWER_MS);
        if let Some(seat) = self.seats.at_mut(at) {
            seat.menu.waiting = true;
            seat.menu.until = matches!(seat.menu.mode, Mode::Menu).then_some(until);
        }
    }

    pub(super) fn connect(&mut self, at: usize, host: String, port: u16) {
        self.wait_for_answer(at);
        if let Some(asker) = self.seats.at(at).map(|seat| seat.asker) {
            self.links.dial(&mut self.cx, asker, host, port);
        }
    }

    /// Makes the user's wish a block, if the items allow it.
    pub(super) fn wish(&mut self, at: usize, kind: Kind, items: Vec<Uid>) {
        let time = self.cx.wish_time();
        let sign = |item| self.identity.sign(kind, item, time);
        let transactions: Vec<_> = items.into_iter().map(sign).collect();
        self.wait_for_answer(at);
        let asker = self.seats.at(at).map(|seat| seat.asker);
        if let Some(fault) = self.cx.chain.fault() {
            let text =
                format!("nothing was changed: {fault}; start blx again when that is mended.");
            self.cx.effects.answer(asker, Answer::Refused(text));
        } else if let Err(error) = self.mempool.check(&self.cx, &transactions) {
            self.mempool
                .refuse(&mut self.cx, asker, &error, &transactions);
        } else {
            self.mempool.wish(self.cx.now.mono, asker, transactions);
        }
    }

    /// Key 8: every peer is asked, whatever it has told; how that ends is said of each.
    pub(super) fn ask_all(&mut self, at: usize) {
        let now = self.cx.now.mono;
        let Some(seat) = self.seats.at_mut(at) else {
            return;
        };
        let (mut names, mut newer) = (Vec::new(), Vec::new());
        for (line, peer) in self.peers.iter_mut() {
            peer.unfollowed = None;
            if !peer.asked_by.contains(&seat.asker) {
                peer.asked_by.push(seat.asker);
            }
            match peer.is_newer() {
                true => newer.push(line),
                false => names.push(peer.remote.to_string()),
            }
            peer.ask(now);
        }
        if names.is_empty() && newer.is_empty() {
            return self.refuse_line(at, "no peers are connected.");
        }
        if !names.is_empty() {
            seat.say(&Answer::Asked(names));
        }
        if matches!(seat.menu.mode, Mode::Control(_)) {
            seat.menu.waiting = true;
            seat.menu.until = Some(Millis(now.0 + 2 * limits::ANSWER_MAX_MS));
        }
        for line in newer {
            // What it would tell is known.
            self.peers
                .tell_outcome(&mut self.cx.effects, line, &format!("it {}", newer::WHAT));
        }
    }

    /// Writes what waits for a console: an answer, else events, and the question behind them.
    pub(super) fn fill_console(&mut self, at: usize) {
        while let Some(seat) = self.seats.at_mut(at)
            && seat.console.has_room()
            && let Some(listing) = seat.menu.listing.take()
        {
            self.go_on_listing(at, listing);
            // Behind the list's end the next line can be taken.
            let ended = self.seats.at(at).is_some_and(|s| s.menu.listing.is_none());
            self.cx.effects.busy |= ended;
        }
        let ending = self.cx.ending.is_some();
        let Some(seat) = self.seats.at_mut(at) else {
            return;
        };
        if !seat.console.has_room() || !matches!(seat.menu.mode, Mode::Menu) {
            return;
        }
        if seat.menu.listing.is_none() {
            seat.console.flush_events();
        }
        if seat.menu.is_at_rest() && !ending && !seat.console.typing.is_at_end() {
            seat.console.prompt(seat.menu.question.text());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_named_in_words_of_a_kibibyte() {
        assert_eq!(parse_item("  cam 1 "), Ok("cam 1".into()));
        assert!(parse_item(" ").is_err());
        assert!(parse_item(&"x".repeat(1024)).is_ok());
        assert!(parse_item(&"x".repeat(1025)).is_err());
        assert!(parse_item("a\u{7}b").is_err());
        assert!(parse_item("a\u{9b}b").is_err());
    }

    #[test]
    fn lists_are_whole_or_refused() {
        let uids = |names: &[&str]| {
            names
                .iter()
                .map(|name| Uid::from(*name))
                .collect::<Vec<_>>()
        };
        assert_eq!(parse_list("a, b ,,c,"), Ok(uids(&["a", "b", "c"])));
        assert!(parse_list(" , ,").is_err());
        assert!(parse_list("").is_err());
        assert_eq!(parse_list("a\tb\t"), Ok(uids(&["a", "b"])));
        let twice = parse_list("cam-1,drill,cam-1").expect_err("twice");
        assert!(twice.contains("cam-1"), "{twice}");
        let many: Vec<String> = (0..201).map(|number| number.to_string()).collect();
        assert!(parse_list(&many.join(",")).is_err());
        assert_eq!(parse_list(&many[1..].join(",")).expect("200").len(), 200);
    }
}
