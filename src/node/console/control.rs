//! What a program asks on a control socket, instead of a person in the menu: one question a line, and
//! an answer that says where it ends (`wire::control`).

use super::Command;
use super::menu::{Asked, Parsed, parse_items};
use crate::ledger::Kind;
use crate::wire::address::parse_host;
use crate::wire::control::{self, Ask};

/// What a line of a program means.
pub fn read(line: &str) -> Parsed {
    let Ask { ask, json, utf8 } = match Ask::read(line) {
        Ok(ask) => ask,
        Err(why) => return Parsed::Refused(format!("{why}.")),
    };
    let needs_answer = matches!(
        ask,
        control::Command::Request(_) | control::Command::Release(_) | control::Command::Connect(..)
    );
    let change = |kind, names: Vec<String>| {
        let items = parse_items(kind, names.iter().map(String::as_str));
        items.map(|items| Command::Change(kind, items))
    };
    let command = match ask {
        control::Command::Menu(echoes) => return Parsed::Menu { utf8, echoes },
        control::Command::Request(names) => change(Kind::Request, names),
        control::Command::Release(names) => change(Kind::Release, names),
        control::Command::Reserved => Ok(Command::List { reserved: true }),
        control::Command::Available => Ok(Command::List { reserved: false }),
        control::Command::Peers => Ok(Command::Peers),
        control::Command::Connect(host, port) => match parse_host(&host).filter(|_| port > 0) {
            Some(host) => Ok(Command::Connect(host.to_owned(), port)),
            None => Err("that is no host with a port.".into()),
        },
        control::Command::Sync => Ok(Command::Sync),
        control::Command::Status => Ok(Command::Status),
        control::Command::Events => Ok(Command::Events),
    };
    let asked = Asked {
        json,
        utf8,
        needs_answer,
        open: true,
        ..Asked::default()
    };
    Parsed::Asked(asked, command)
}
