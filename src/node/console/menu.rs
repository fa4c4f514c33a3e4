//! The numbered menu (PROTOCOL.md section 7): what is shown, and how a line is understood. The table below
//! is both.

use super::UserCommand;
use super::report::Listing;
use super::stream::Console;
use crate::ledger::{Kind, Uid};
use crate::limits;
use crate::node::answer::done;
use crate::node::event::Millis;
use crate::wire::address::{parse_host, parse_port};

/// What a number of the menu stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MenuEntry {
    Request,
    Release,
    ListReserved,
    ListAvailable,
    RequestMany,
    Connect,
    ListPeers,
    SyncChain,
    Status,
    Exit,
    ListEvents,
}

const MENU: [(MenuEntry, &str); 11] = [
    (MenuEntry::Request, "request (single)"),
    (MenuEntry::Release, "release (single)"),
    (MenuEntry::ListReserved, "list reserved items"),
    (MenuEntry::ListAvailable, "list available items"),
    (MenuEntry::RequestMany, "request (multiple)"),
    (MenuEntry::Connect, "connect to peer"),
    (MenuEntry::ListPeers, "list connected peers"),
    (MenuEntry::SyncChain, "sync chain from network (consensus)"),
    (MenuEntry::Status, "report blockchain status"),
    (MenuEntry::Exit, "exit"),
    (MenuEntry::ListEvents, "list recent events"),
];

/// What the next line of input means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Question {
    #[default]
    Select,
    Item(Kind),
    Items,
    Host,
    Port(String),
}

impl Question {
    /// Its words.
    pub fn text(&self) -> &'static str {
        match self {
            Question::Select => "select > ",
            Question::Item(_) => "item ID: ",
            Question::Items => "item IDs: ",
            Question::Host => "peer host: ",
            Question::Port(_) => "peer port: ",
        }
    }

    /// Whether a tab ends the answer: some scanners send one behind what they read.
    pub fn ends_with_tab(&self) -> bool {
        matches!(self, Question::Item(_))
    }
}

/// What a program asked for last.
#[derive(Default)]
pub struct Asked {
    /// The answer is wanted as JSON.
    pub json: bool,
    /// The answer is wanted as text that may hold more than ASCII.
    pub utf8: bool,
    /// A part of it was refused.
    pub refused: bool,
    /// The answer is that the node is not OK.
    pub not_ok: bool,
    /// It counts as done only if that is said.
    pub needs_answer: bool,
    /// The end of the answer has not been told.
    pub open: bool,
}

/// Whom a console serves.
#[derive(Default)]
pub enum Mode {
    /// A connection to a socket that has not said what it wants.
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
    pub question: Question,
    /// What was asked for last is being done: the next line is taken when that is done, or at
    /// `until`.
    pub waiting: bool,
    /// While `waiting`, when the next line is taken at the latest.
    pub until: Option<Millis>,
    pub listing: Option<Listing>,
}

impl Menu {
    /// When it has to be looked at again.
    pub fn due(&self) -> Option<Millis> {
        self.until.filter(|_| self.waiting)
    }

    /// The next line is not taken before the outcome of this one is known. In a menu, it is taken
    /// after about as long as a person waits, even without an outcome.
    pub fn wait(&mut self, now: Millis) {
        let until = Millis(now.0 + limits::ANSWER_MS);
        self.wait_until(matches!(self.mode, Mode::Menu).then_some(until));
    }

    /// The same, until this time at the latest.
    pub fn wait_until(&mut self, until: Option<Millis>) {
        (self.waiting, self.until) = (true, until);
    }

    /// Whether nothing is left to be said of what was asked for.
    pub fn is_at_rest(&self) -> bool {
        let open = matches!(&self.mode, Mode::Control(asked) if asked.open);
        !self.waiting && self.listing.is_none() && !open
    }
}

/// What a line means.
pub enum Parsed {
    /// Something to do.
    UserCommand(UserCommand),
    /// What a program asks for, if that can be.
    Asked(Asked, Result<UserCommand, String>),
    /// Somebody on a socket wants the menu, on what shows UTF-8 or echoes what is typed.
    Menu { utf8: bool, echoes: bool },
    /// The menu has another question.
    Question,
    /// An empty line.
    Nothing,
    /// No number of the menu.
    Unknown,
    /// It cannot be: a sentence.
    Refused(String),
}

impl Menu {
    /// A line that is the answer to the menu's question.
    pub fn answer(&mut self, line: &str) -> Parsed {
        let change = |kind, items: Result<Vec<Uid>, String>| match items {
            Ok(items) => Parsed::UserCommand(UserCommand::Change(kind, items)),
            Err(why) => Parsed::Refused(why),
        };
        match core::mem::take(&mut self.question) {
            Question::Select => self.select(line.trim()),
            Question::Item(kind) => change(
                kind,
                parse_item(line, Uid::read_shown).map(|item| vec![item]),
            ),
            Question::Items => change(Kind::Request, parse_list(line)),
            Question::Host => match parse_host(line.trim()) {
                Some(host) => self.ask(Question::Port(host.to_owned())),
                None => Parsed::Refused("that is neither a host name nor an address.".into()),
            },
            Question::Port(host) => match parse_port(line.trim()) {
                Ok(port) => Parsed::UserCommand(UserCommand::Connect(host, port)),
                Err(why) => Parsed::Refused(format!("{why}.")),
            },
        }
    }

    fn ask(&mut self, question: Question) -> Parsed {
        self.question = question;
        Parsed::Question
    }

    fn select(&mut self, line: &str) -> Parsed {
        if line.is_empty() {
            return Parsed::Nothing;
        }
        let mut numbered = MENU.iter().zip(1..);
        let chosen = numbered.find(|(_, number)| line == format!("{number}"));
        let Some(((entry, _), _)) = chosen else {
            return Parsed::Unknown;
        };
        let command = match entry {
            MenuEntry::Request => return self.ask(Question::Item(Kind::Request)),
            MenuEntry::Release => return self.ask(Question::Item(Kind::Release)),
            MenuEntry::RequestMany => return self.ask(Question::Items),
            MenuEntry::Connect => return self.ask(Question::Host),
            MenuEntry::ListReserved => UserCommand::List { reserved: true },
            MenuEntry::ListAvailable => UserCommand::List { reserved: false },
            MenuEntry::ListPeers => UserCommand::Peers,
            MenuEntry::SyncChain => UserCommand::SyncChain,
            MenuEntry::Status => UserCommand::Status,
            MenuEntry::Exit => UserCommand::Exit,
            MenuEntry::ListEvents => UserCommand::Events,
        };
        Parsed::UserCommand(command)
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

/// An item's name as a user may give it, and how that is read: a person types what they see, in which some
/// characters are escaped, and a program says what it means.
fn parse_item(text: &str, read: fn(&str) -> Uid) -> Result<Uid, String> {
    let text = text.trim();
    if text.chars().any(char::is_control) {
        return Err("the item ID contains control characters.".into());
    }
    let name = read(text);
    let is = name.as_wtf8().len();
    if is == 0 {
        return Err("the item ID is empty.".into());
    }
    if limits::Full::NameTyped.when(is > limits::ITEM_BYTES_MAX) {
        let max = limits::ITEM_BYTES_MAX;
        return Err(format!("the item ID has {is} bytes, {max} are allowed."));
    }
    Ok(name)
}

/// Names between commas, or the tabs of a scanner; what is empty between two is passed over.
fn parse_list(text: &str) -> Result<Vec<Uid>, String> {
    let names = text.split([',', '\t']);
    let names = names.filter(|name| !name.trim().is_empty());
    parse_items(Kind::Request, names, Uid::read_shown)
}

pub fn parse_items<'a>(
    kind: Kind,
    names: impl Iterator<Item = &'a str>,
    read: fn(&str) -> Uid,
) -> Result<Vec<Uid>, String> {
    let items = names.map(|name| parse_item(name, read));
    let items: Vec<Uid> = items.collect::<Result<_, _>>()?;
    if items.is_empty() {
        return Err("there is no item ID in that list.".into());
    }
    if limits::Full::NamesTyped.when(items.len() > limits::TRANSACTIONS_PER_BLOCK) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_named_in_words_of_a_kibibyte() {
        for read in [Uid::read_shown as fn(&str) -> Uid, |name| Uid::from(name)] {
            assert_eq!(parse_item("  cam 1 ", read), Ok("cam 1".into()));
            assert!(parse_item(" ", read).is_err());
            assert!(parse_item(&"x".repeat(1024), read).is_ok());
            assert!(parse_item(&"x".repeat(1025), read).is_err());
            assert!(parse_item("a\u{7}b", read).is_err());
            assert!(parse_item("a\u{9b}b", read).is_err());
        }
    }

    #[test]
    fn a_person_types_what_is_shown_and_a_program_what_it_means() {
        let odd = Uid::from("a\u{1b}b\\");
        assert_eq!(parse_item(&odd.to_string(), Uid::read_shown), Ok(odd));
        let typed = "a\\u001bb";
        assert_eq!(parse_item(typed, |name| Uid::from(name)), Ok(typed.into()));
        assert_eq!(
            parse_list("\\u002c,x\\\\"),
            Ok(vec![",".into(), "x\\".into()])
        );
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
