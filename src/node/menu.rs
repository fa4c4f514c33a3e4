//! The numbered menu (PROTOCOL.md section 5): a line is first understood as a command, and only
//! then acted upon. The table below is the menu: what is shown and what is understood.

use super::console::{Console, Input};
use super::gossip::menu_name;
use super::lines::Slot;
use super::peers::Contact;
use super::{Millis, Node};
use crate::ledger::{Kind, PublicKey, Timestamp, Uid};
use crate::limits;
use crate::store::disk::Disk;

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
}

const MENU: [(Command, &str); 10] = [
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

/// A list that is being written, as far as the console takes it.
struct Listing {
    reserved: bool,
    last: Option<Uid>,
}

/// The menu's state.
#[derive(Default)]
pub struct Menu {
    question: Question,
    /// The user's last wish is being fulfilled; the next line is taken when that is done, or
    /// from this time on.
    waiting: Option<Millis>,
    listing: Option<Listing>,
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

fn parse_port(text: &str) -> Result<u16, String> {
    let text = text.trim();
    let number = text
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok());
    number
        .flatten()
        .filter(|port| *port > 0)
        .ok_or_else(|| "the port must be a number from 1 to 65535.".into())
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

    fn say(&mut self, text: &str) {
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
            Question::Host => {
                let host = line.trim().trim_start_matches('[').trim_end_matches(']');
                if host.is_empty() {
                    self.say("❌ the peer host is empty.");
                } else if host.len() > 253 || host.chars().any(|c| c.is_control() || c == ' ') {
                    self.say("❌ that is no host name and no address.");
                } else {
                    self.menu.question = Question::Port(host.to_owned());
                }
            }
            Question::Port(host) => match parse_port(line) {
                Ok(port) => {
                    self.wait_for_answer();
                    self.dial(host, port);
                }
                Err(why) => self.say(&format!("❌ {why}")),
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
        }
    }

    /// Makes the user's wish a block, if the items allow it.
    fn wish(&mut self, kind: Kind, items: Vec<Uid>) {
        let count = items.len();
        let time = Timestamp::from_micros(self.now.wall);
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
            self.pool.add(transactions, true);
        }
    }

    fn ask_all(&mut self) {
        let mut asked = 0;
        for slot in &mut self.slots {
            if let Some(peer) = slot.peer() {
                peer.user_asked = true;
                peer.ask();
                asked += 1;
            }
        }
        match asked {
            0 => self.say("❌ no peers are connected."),
            1 => self.say("[consensus 📡] asked 1 peer for its chain"),
            _ => self.say(&format!(
                "[consensus 📡] asked {asked} peers for their chains"
            )),
        }
    }

    fn report(&mut self) {
        let peers = self
            .slots
            .iter()
            .filter(|slot| matches!(slot, Slot::Open(_)))
            .count();
        let (tip, items) = (self.log.tip(), self.log.items());
        let mut lines = vec![match &self.damage {
            None => "blockchain is A-OK! 😁".into(),
            Some(damage) => format!("blockchain is CORRUPTED! ⚠️ {damage}"),
        }];
        lines.push(format!("block count: {}", tip.length));
        lines.push(format!("reserved items: {}", items.reserved()));
        lines.push(format!("available items: {}", items.available()));
        lines.push(format!("connected peers: {peers}"));
        lines.push(format!("tip: {}", tip.hash));
        lines.push(format!("data file: {} bytes", self.log.bytes()));
        lines.push(format!("node key: {}", self.identity.public()));
        lines.extend(
            self.log
                .fault()
                .map(|fault| format!("writing stopped: {fault}")),
        );
        for line in lines {
            self.say(&format!("[status] {line}"));
        }
    }

    fn list_peers(&mut self) {
        let now = self.now.mono;
        let mut lines = Vec::new();
        for slot in &self.slots {
            let Slot::Open(peer) = slot else { continue };
            let sent = peer.writer.sent();
            lines.push(format!(
                "{} {}, connected {}, blocks {} in {} out, messages {} in {} out",
                peer.remote,
                if peer.outbound {
                    "(we dialed)"
                } else {
                    "(dialed us)"
                },
                duration(now.0 - peer.opened.0),
                peer.blocks_in,
                sent.blocks,
                peer.messages_in,
                sent.messages,
            ));
        }
        for target in &self.targets {
            let when = match target.contact {
                Contact::Open(..) => continue,
                Contact::Dialing(_) => "dialing now".into(),
                Contact::Waiting(until) => format!("dialing in {} s", self.seconds_until(until)),
            };
            let error = target.error.as_deref().unwrap_or("not tried yet");
            lines.push(format!(
                "{} (not connected), {when}, last error: {error}",
                target.name()
            ));
        }
        if lines.is_empty() {
            lines.push("no peers are connected.".into());
        }
        for line in lines {
            self.say(&line);
        }
    }

    fn list(&mut self, reserved: bool) {
        let items = self.log.items();
        let (count, what) = match reserved {
            true => (items.reserved(), "reserved"),
            false => (items.available(), "available"),
        };
        self.say(&format!("{what} items: {count}"));
        self.menu.listing = Some(Listing {
            reserved,
            last: None,
        });
    }

    /// Writes the next items of a list.
    fn go_on_listing(&mut self, listing: Listing) {
        let Listing { reserved, mut last } = listing;
        let before = last.clone();
        let mut found = Vec::new();
        let items = self.log.items().after(before.as_ref());
        for (uid, state) in items.take(limits::BLOCKS_PER_TURN) {
            last = Some(uid.clone());
            if state.reserved == reserved {
                found.push((uid.clone(), state.since));
            }
            if found.len() == limits::ITEMS_PER_TURN {
                break;
            }
        }
        for (uid, since) in found {
            let line = self.describe(&uid, since);
            self.say(&line);
        }
        if last != before {
            self.menu.listing = Some(Listing { reserved, last });
        }
    }

    /// An item, with who changed it last and when.
    fn describe(&mut self, uid: &Uid, since: u64) -> String {
        let block = match self.log.read(since) {
            Ok(stored) => stored.block,
            Err(error) => return format!("  {uid}  ({error})"),
        };
        let mut changes = block.transactions.iter().rev();
        let Some(change) = changes.find(|transaction| transaction.uid == *uid) else {
            return format!("  {uid}");
        };
        let verb = match change.kind {
            Kind::Request => "taken",
            Kind::Release => "returned",
        };
        let (who, when) = (
            self.person(&change.requester),
            date(change.timestamp.seconds()),
        );
        format!("  {uid}  {verb} {when} by {who}")
    }

    fn person(&self, key: &PublicKey) -> String {
        let you = if *key == self.identity.public() {
            " (this node)"
        } else {
            ""
        };
        format!("{}{you}", menu_name(&key.to_string()))
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

fn duration(ms: u64) -> String {
    match ms / 1000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

/// A day and a minute in UTC, by the rule that 400 years have 146,097 days; a time that no
/// calendar has is shown as it is.
fn date(seconds: f64) -> String {
    if !(0.0..253_402_300_800.0).contains(&seconds) {
        return format!("at {seconds} s");
    }
    let seconds = seconds as u64;
    let (days, minutes) = (seconds / 86_400, seconds % 86_400 / 60);
    // Years counted from March 1st of the year 0, so that a leap day is a year's last day.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (minutes / 60, minutes % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
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

    #[test]
    fn ports_are_numbers() {
        assert_eq!(parse_port(" 6000 "), Ok(6000));
        for wrong in ["abc", "0", "70000", "", "-1", "+6", "6000x", "1e3"] {
            assert!(parse_port(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0.0, "1970-01-01 00:00 UTC"),
            (951_782_400.0, "2000-02-29 00:00 UTC"),
            (1_795_396_853.6, "2026-11-23 01:20 UTC"),
            (4_107_542_399.0, "2100-02-28 23:59 UTC"),
            (4_107_542_400.0, "2100-03-01 00:00 UTC"),
            (253_402_300_799.0, "9999-12-31 23:59 UTC"),
        ] {
            assert_eq!(date(seconds), text);
        }
        assert_eq!(date(-5.0), "at -5 s");
    }
}
