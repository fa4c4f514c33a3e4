//! What a program asks on a control socket, instead of a person in the menu: one question a line, and
//! an answer that says where it ends (`wire::control`).

use super::UserCommand;
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
        control::CtlCommand::Request(_)
            | control::CtlCommand::Release(_)
            | control::CtlCommand::Connect(..)
    );
    let change = |kind, names: Vec<String>| {
        let items = parse_items(kind, names.iter().map(String::as_str), |name| name.into());
        items.map(|items| UserCommand::Change(kind, items))
    };
    let command = match ask {
        control::CtlCommand::Menu(echoes) => return Parsed::Menu { utf8, echoes },
        control::CtlCommand::Request(names) => change(Kind::Request, names),
        control::CtlCommand::Release(names) => change(Kind::Release, names),
        control::CtlCommand::Reserved => Ok(UserCommand::List { reserved: true }),
        control::CtlCommand::Available => Ok(UserCommand::List { reserved: false }),
        control::CtlCommand::Peers => Ok(UserCommand::Peers),
        control::CtlCommand::Connect(host, port) => match parse_host(&host).filter(|_| port > 0) {
            Some(host) => Ok(UserCommand::Connect(host.to_owned(), port)),
            None => Err("that is no host with a port.".into()),
        },
        control::CtlCommand::SyncChain => Ok(UserCommand::SyncChain),
        control::CtlCommand::Status => Ok(UserCommand::Status),
        control::CtlCommand::Events => Ok(UserCommand::Events),
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
