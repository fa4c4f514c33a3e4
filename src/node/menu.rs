//! The numbered menu (PROTOCOL.md section 5): a line is first understood as a command, and only
//! then acted upon. The table below is the menu: what is shown and what is understood.

use super::console::{Console, Input};
use super::lines::Slot;
use super::pool::{Batch, Origin};
use super::report::Listing;
use super::{Millis, Node};
use crate::ledger::{Kind, Uid};
use crate::limits;
use crate::store::disk::Disk;
use crate::wire::address::{parse_host, parse_port};

/// What a number of the menu stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
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

const MENU: [(Command, &str); 11] = [
    (Command::Request, "request (single)"),
    (Command::Release, "release (single)"),
    (Command::ListReserved, "list reserved items"),
    (Command::ListAvailable, "list available items"),
    (Command::RequestMany, "request (multiple)"),
    (Command::Connect, "connect to peer"),
    (Command::ListPeers, "list connected peers"),
    (Command::Sync, "sync chain from network (consensus)"),
    (Command::Status, "report blockchain status"),
    (Command::Exit, "exit"),
    (Command::ListEvents, "list recent events"),
];

/// What the next line of input means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Question {
    #[default]
    Select,
    Item(Command),
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
}

/// The menu's state.
#[derive(Default)]
pub struct Menu {
    question: Question,
    /// The user's last wish is being fulfilled; the next line is taken when that is done, or
    /// from this time on.
    waiting: Option<Millis>,
    pub listing: Option<Listing>,
}

impl Menu {
    /// When it has to be looked at again.
    pub fn deadline(&self) -> Option<Millis> {
        self.waiting
    }

    /// Nobody reads the rest of the list.
    pub fn stop_listing(&mut self) {
        self.listing = None;
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

/// Names between commas; what is empty between two commas is passed over.
fn parse_items(text: &str) -> Result<Vec<Uid>, String> {
    let names = text.split(',').filter(|name| !name.trim().is_empty());
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
            "item {} is in the list twice: nothing was requested.",
            pair[0]
        )),
        None => Ok(items),
    }
}

impl<D: Disk> Node<D> {
    /// Writes to the one who asked: at once while he waits, else as an event.
    pub(super) fn answer(&mut self, text: &str) {
        let waiting = self.menu.waiting.is_some();
        match &mut self.console {
            Some(console) if waiting => console.say(text),
            _ => self.notify(text),
        }
    }

    pub(super) fn say(&mut self, text: &str) {
        if let Some(console) = &mut self.console {
            console.say(text);
        }
    }

    /// The next line is not taken before the outcome of this one is known, or some time is over.
    pub(super) fn wait_for_answer(&mut self) {
        self.menu.waiting = Some(Millis(self.now.mono.0 + limits::ANSWER_MS));
    }

    fn owes_answer(&self) -> bool {
        self.pool.owes_answer() || self.targets.iter().any(|target| target.asked)
    }

    /// Takes at most one line of input; true if there is another one.
    pub(super) fn take_input(&mut self) -> bool {
        if let Some(until) = self.menu.waiting {
            if !self.owes_answer() {
                self.menu.waiting = None;
            } else if self.now.mono >= until {
                self.say("that takes a while; the outcome will be shown here.");
                self.menu.waiting = None;
            } else {
                return false;
            }
        }
        if self.menu.listing.is_some() || self.ending.is_some() {
            return false;
        }
        let Some(console) = &mut self.console else {
            return false;
        };
        if console.is_at_end() {
            if !self.owes_answer() {
                self.begin_end();
            }
            return false;
        }
        if console.has_line() {
            console.prompt(self.menu.question.text());
        }
        match console.take_line() {
            None => return false,
            Some(Input::Unusable(why)) => {
                console.say(&format!("❌ {why}"));
                self.menu.question = Question::Select;
            }
            Some(Input::Line(line)) => self.take_line(&line),
        }
        if !self.owes_answer() {
            self.menu.waiting = None;
        }
        let free = self.menu.waiting.is_none() && self.menu.listing.is_none();
        free && self.console.as_ref().is_some_and(Console::has_line)
    }

    fn take_line(&mut self, line: &str) {
        match core::mem::take(&mut self.menu.question) {
            Question::Select => self.select(line.trim()),
            Question::Item(command) => {
                let kind = if command == Command::Release {
                    Kind::Release
                } else {
                    Kind::Request
                };
                match parse_item(line) {
                    Ok(item) => self.wish(kind, vec![item]),
                    Err(why) => self.say(&format!("❌ {why}")),
                }
            }
            Question::Items => match parse_items(line) {
                Ok(items) => self.wish(Kind::Request, items),
                Err(why) => self.say(&format!("❌ {why}")),
            },
            Question::Host => match parse_host(line.trim()) {
                Some(host) => self.menu.question = Question::Port(host.to_owned()),
                None => self.say("❌ that is neither a host name nor an address."),
            },
            Question::Port(host) => match parse_port(line.trim()) {
                Ok(port) => {
                    self.wait_for_answer();
                    self.dial(host, port);
                }
                Err(why) => self.say(&format!("❌ {why}.")),
            },
        }
    }

    fn select(&mut self, line: &str) {
        let Some(console) = &mut self.console else {
            return;
        };
        if line.is_empty() {
            return show(console, self.listen.port());
        }
        let numbered = MENU.iter().zip(1..);
        let chosen = numbered
            .into_iter()
            .find(|(_, number)| line == format!("{number}"));
        let Some(((command, _), _)) = chosen else {
            return console.say("invalid option.");
        };
        match command {
            Command::Request | Command::Release => self.menu.question = Question::Item(*command),
            Command::RequestMany => self.menu.question = Question::Items,
            Command::Connect => self.menu.question = Question::Host,
            Command::ListReserved => self.list(true),
            Command::ListAvailable => self.list(false),
            Command::ListPeers => self.list_peers(),
            Command::Sync => self.ask_all(),
            Command::Status => self.report(),
            Command::Exit => self.begin_end(),
            Command::ListEvents => self.list_events(),
        }
    }

    /// Makes the user's wish a block, if the items allow it.
    fn wish(&mut self, kind: Kind, items: Vec<Uid>) {
        let count = items.len();
        let time = self.wish_time();
        let sign = |item| self.identity.sign(kind, item, time);
        let transactions: Vec<_> = items.into_iter().map(sign).collect();
        self.wait_for_answer();
        if let Some(fault) = self.log.fault() {
            let text =
                format!("❌ nothing was changed: {fault}; start blx again when that is mended.");
            self.answer(&text);
        } else if let Err(error) = self.check_wish(&transactions) {
            self.refuse(&error, count);
        } else {
            let now = self.now.mono;
            self.pool.add(Batch::new(transactions, Origin::User, now));
        }
    }

    /// Key 11: what happened lately, also to earlier runs.
    fn list_events(&mut self) {
        let events = self.recent_events();
        if events.is_empty() {
            self.say("no events are kept.");
        }
        for event in events {
            self.say(&event);
        }
    }

    /// Key 8: every peer is asked, whatever it has told; how that ends is said of each.
    fn ask_all(&mut self) {
        let now = self.now.mono;
        let mut names = Vec::new();
        for peer in self.slots.iter_mut().filter_map(Slot::peer) {
            peer.user_asked = true;
            peer.ask(now);
            names.push(peer.remote.to_string());
        }
        let names = names.join(", ");
        match names.is_empty() {
            true => self.say("❌ no peers are connected."),
            false => self.say(&format!("[consensus 📡] asked for their chains: {names}")),
        }
    }

    /// Tells how it ended to the user who asked a peer for its chain.
    pub(super) fn tell_outcome(&mut self, line: usize, outcome: &str) {
        let Some(peer) = self.slots[line].peer() else {
            return;
        };
        let name = peer.remote;
        if core::mem::take(&mut peer.user_asked) {
            self.notify(&format!("[consensus ℹ️] {name}: {outcome}"));
        }
    }

    /// Writes what waits for the console: an answer, else events, and the question behind them.
    pub(super) fn fill_console(&mut self) {
        while self.console.as_ref().is_some_and(Console::has_room) {
            let Some(listing) = self.menu.listing.take() else {
                break;
            };
            self.go_on_listing(listing);
            // Behind the list's end the next line can be taken.
            self.busy |= self.menu.listing.is_none();
        }
        let Some(console) = &mut self.console else {
            return;
        };
        let answering = self.menu.listing.is_some() || self.menu.waiting.is_some();
        if !console.has_room() {
            return;
        }
        if self.menu.listing.is_none() {
            console.flush_events();
        }
        if !answering && self.ending.is_none() && !console.is_at_end() {
            console.prompt(self.menu.question.text());
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
        assert_eq!(parse_items("a, b ,,c,"), Ok(uids(&["a", "b", "c"])));
        assert!(parse_items(" , ,").is_err());
        assert!(parse_items("").is_err());
        let twice = parse_items("cam-1,drill,cam-1").expect_err("twice");
        assert!(twice.contains("cam-1"), "{twice}");
        let many: Vec<String> = (0..201).map(|number| number.to_string()).collect();
        assert!(parse_items(&many.join(",")).is_err());
        assert_eq!(parse_items(&many[1..].join(",")).expect("200").len(), 200);
    }
}
