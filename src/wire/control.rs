//! The words between `blx ctl` and the control socket of a running node: one JSON object a line. The
//! client sends an [`Ask`]; the node answers with [`Reply::Out`] for each line that is to be printed,
//! and ends with [`Reply::Exit`]. A first line that is no object was typed by a person, who gets the
//! menu.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What is asked for, and in which form the answer is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// What is asked for.
    pub ask: CtlCommand,
    /// Whether the answer is an object for each thing. Otherwise it is text, as the menu shows it.
    #[serde(default)]
    pub json: bool,
    /// Whether that text may hold more than ASCII.
    #[serde(default)]
    pub utf8: bool,
}

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CtlCommand {
    /// The menu, from here on. `true`: what is typed is shown by the asker's terminal.
    Menu(bool),
    /// Take items: all or none.
    Request(Vec<String>),
    /// Give items back: all or none.
    Release(Vec<String>),
    /// The items that somebody has.
    Reserved,
    /// The items that the chain has seen and nobody has.
    Available,
    /// The connections.
    Peers,
    /// Dial a host at a port.
    Connect(String, u16),
    /// Ask every peer for its chain.
    #[serde(rename = "sync")]
    SyncChain,
    /// The node's state.
    Status,
    /// What happened lately, also to earlier runs.
    Events,
}

/// A line of the answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply<'a> {
    /// To be printed: a string, or an object if JSON was asked for.
    #[serde(borrow)]
    Out(&'a RawValue),
    /// The end of the answer: [`DONE`], [`REFUSED`] or [`NOT_OK`].
    Exit(u8),
}

/// What was asked for is done, or told.
pub const DONE: u8 = 0;
/// It is not, and why was told.
pub const REFUSED: u8 = 1;
/// The node's state was told: it writes nothing any more, or its chain file is damaged. 2 is wrong
/// usage, which no node hears of.
pub const NOT_OK: u8 = 3;

impl Ask {
    /// The line to send.
    pub fn to_line(&self) -> String {
        let text = serde_json::to_string(self).expect("strings and numbers become JSON");
        format!("{text}\n")
    }

    /// Reads a line. The error is a sentence without its full stop.
    pub fn read(line: &str) -> Result<Ask, String> {
        serde_json::from_str(line)
            .map_err(|error| format!("that is no question to a node: {error}"))
    }
}

/// The line that says this is to be printed.
pub fn out(thing: &impl Serialize) -> String {
    let value = serde_json::value::to_raw_value(thing).expect("reports become JSON");
    line(&Reply::Out(&value))
}

/// The line that ends an answer.
pub fn exit(code: u8) -> String {
    line(&Reply::Exit(code))
}

fn line(reply: &Reply<'_>) -> String {
    serde_json::to_string(reply).expect("a reply becomes JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for ask in [
            CtlCommand::Menu(true),
            CtlCommand::Request(vec!["a \"b\"".into(), "c".into()]),
            CtlCommand::Connect("::1".into(), 6000),
            CtlCommand::Status,
        ] {
            let (json, utf8) = (true, false);
            let ask = Ask { ask, json, utf8 };
            assert_eq!(Ask::read(ask.to_line().trim_end()), Ok(ask));
        }
        let word = |ask| serde_json::to_string(&ask).expect("JSON");
        // A blx of another build may ask.
        assert_eq!(word(CtlCommand::SyncChain), r#""sync""#);
        assert_eq!(word(CtlCommand::Menu(false)), r#"{"menu":false}"#);
        let short = Ask::read("{\"ask\":\"peers\"}").expect("the rest has its default");
        assert_eq!((short.json, short.utf8), (false, false));
        assert!(Ask::read("{\"ask\":\"dance\"}").is_err());
        assert_eq!(out(&"one\ntwo"), r#"{"out":"one\ntwo"}"#);
        assert_eq!(exit(REFUSED), r#"{"exit":1}"#);
        let reply: Reply<'_> = serde_json::from_str(r#"{"out":{"item":"a"}}"#).expect("a reply");
        assert!(matches!(reply, Reply::Out(value) if value.get() == r#"{"item":"a"}"#));
    }
}
