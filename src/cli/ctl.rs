//! `blx ctl`: asks a running node something over its control socket, or opens its menu.

use std::io::{self, BufRead, BufReader, ErrorKind, IsTerminal, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::prelude::{Long, Short, Value, ValueExt};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde_json::value::RawValue;

use super::{EXIT_FAULT, Subcommand, Usage};
use super::{complain, sentence, write_out};
use crate::limits::INPUT_BYTES;
use crate::shell::console::standard::shows_utf8;
use crate::shell::reason;
use crate::wire::address::parse_host_port;
use crate::wire::control::{self, Ask, Reply};

/// The sub-command.
pub const NAME: &str = "ctl";

/// Where the service has its socket.
pub const SOCKET_DEFAULT: &str = "/run/blx/blx.sock";

/// Its usage line.
pub const USAGE: &str = "       blx ctl [--socket PATH] [--json] [COMMAND]\n";

/// Its meaning.
pub const MEANING: &str = "
blx ctl asks a running node at its control socket (/run/blx/blx.sock), and without COMMAND opens its
menu. Exit code 0: done; 1: refused, with the reason; 3: the status of a node that is not OK. --json
prints an object for each thing.
  request ITEM ...     takes these items: all or none
  release ITEM ...     gives them back
  reserved, available  lists items
  peers                lists connections
  connect HOST:PORT    dials a peer, and keeps dialing it once it was reached
  sync                 asks every peer for its chain
  status               tells the node's state; exit code 3: it writes nothing, or there is damage
  events               lists what happened lately
";

/// What is asked, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The control socket.
    pub socket: PathBuf,
    /// What is asked; without it, the menu.
    pub command: Option<control::CtlCommand>,
    /// In which form the answer is wanted.
    pub json: bool,
}

/// Reads the arguments behind [`NAME`].
pub fn parse(mut parser: lexopt::Parser) -> Usage<Subcommand> {
    let mut socket = PathBuf::from(SOCKET_DEFAULT);
    let mut json = false;
    let mut words: Vec<String> = Vec::new();
    while let Some(argument) = parser.next().map_err(sentence)? {
        match argument {
            Short('h') | Long("help") => return Ok(Subcommand::Help),
            Long("socket") => socket = parser.value().map_err(sentence)?.into(),
            Long("json") => json = true,
            Value(word) => words.push(word.string().map_err(sentence)?),
            other => return Err(sentence(other.unexpected())),
        }
    }
    let command = match words.split_first() {
        None if json => return Err("--json needs a command: the menu is for people".to_owned()),
        None => None,
        Some((name, rest)) => Some(parse_command(name, rest)?),
    };
    Ok(Subcommand::Ctl(Question {
        socket,
        command,
        json,
    }))
}

fn parse_command(name: &str, rest: &[String]) -> Usage<control::CtlCommand> {
    let command = match (name, rest) {
        ("request" | "release", []) => return Err(format!("{name} needs an item ID")),
        ("request", items) => return Ok(control::CtlCommand::Request(items.to_vec())),
        ("release", items) => return Ok(control::CtlCommand::Release(items.to_vec())),
        ("connect", [peer]) => {
            let peer = parse_host_port(peer).map_err(|error| format!("connect: {error}"))?;
            return Ok(control::CtlCommand::Connect(peer.0, peer.1));
        }
        ("connect", _) => return Err("connect needs one HOST:PORT".to_owned()),
        ("reserved", _) => control::CtlCommand::Reserved,
        ("available", _) => control::CtlCommand::Available,
        ("peers", _) => control::CtlCommand::Peers,
        ("sync", _) => control::CtlCommand::SyncChain,
        ("status", _) => control::CtlCommand::Status,
        ("events", _) => control::CtlCommand::Events,
        _ => return Err(format!("blx ctl knows no command {name:?}")),
    };
    match rest.first() {
        None => Ok(command),
        Some(more) => Err(format!("{name} takes no {more:?}")),
    }
}

/// Asks, and prints the answer.
pub fn run(question: &Question) -> ExitCode {
    let asked = connect(&question.socket).and_then(|socket| {
        let utf8 = shows_utf8(|name| std::env::var(name).ok());
        match &question.command {
            Some(command) => {
                let ask = Ask {
                    ask: command.clone(),
                    json: question.json,
                    utf8,
                };
                ask_once(socket, &ask)
            }
            None => open_menu(socket, utf8).map(|()| ExitCode::SUCCESS),
        }
    });
    asked.unwrap_or_else(|fault| complain(&format!("blx: {fault}\n"), EXIT_FAULT))
}

fn connect(path: &Path) -> Result<UnixStream, String> {
    UnixStream::connect(path).map_err(|error| {
        let way_out = match error.kind() {
            ErrorKind::PermissionDenied => "become a member of the group that owns it, or use sudo",
            _ => "start a node with --console unix:PATH, or name its socket with --socket PATH",
        };
        format!(
            "no node answers at {}: {}: {way_out}",
            path.display(),
            reason(&error)
        )
    })
}

fn lost(error: &io::Error) -> String {
    format!("the node does not answer any more: {}", reason(error))
}

fn ask_once(mut socket: UnixStream, ask: &Ask) -> Result<ExitCode, String> {
    let line = ask.to_line();
    if line.len() > INPUT_BYTES {
        return Err(format!(
            "that request has {} bytes, {INPUT_BYTES} are allowed: ask for fewer items at once",
            line.len()
        ));
    }
    // A node without a free slot says so, and does not read what we say.
    let sent = socket.write_all(line.as_bytes());
    for line in BufReader::new(socket).lines() {
        let line = line.map_err(|error| lost(&error))?;
        match serde_json::from_str(&line) {
            Ok(Reply::Exit(code)) => return Ok(ExitCode::from(code)),
            Ok(Reply::Out(thing)) => write_out(&format!("{}\n", printed(thing)))?,
            Err(_) => return Err(line),
        }
    }
    match sent {
        Err(error) => Err(lost(&error)),
        Ok(()) => Err("the node ended before it had answered".to_owned()),
    }
}

/// A string as it is, everything else as JSON.
fn printed(thing: &RawValue) -> String {
    serde_json::from_str(thing.get()).unwrap_or_else(|_| thing.get().to_owned())
}

/// Carries what is typed to the node and what it says back, until one of them ends. A node that waits
/// until it is read from is read from.
fn open_menu(mut socket: UnixStream, utf8: bool) -> Result<(), String> {
    let input = io::stdin();
    let ask = Ask {
        ask: control::CtlCommand::Menu(input.is_terminal()),
        json: false,
        utf8,
    };
    socket.set_nonblocking(true).map_err(|error| lost(&error))?;
    let mut unsent = ask.to_line().into_bytes();
    let mut bytes = [0; 4096];
    let mut open = true;
    loop {
        let (typed, said) = await_either(&socket, &input, open && unsent.is_empty(), &unsent)?;
        if said {
            match socket.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(count) => show(&bytes[..count])?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(lost(&error)),
            }
        }
        if typed {
            // Not `Stdin::read`: its buffer would hold bytes back that poll(2) knows nothing of.
            let count = rustix::io::read(input.as_fd(), &mut bytes);
            let count = count.map_err(|errno| lost(&errno.into()))?;
            unsent.extend_from_slice(&bytes[..count]);
            open = count > 0;
            if !open {
                let shut = socket.shutdown(Shutdown::Write);
                shut.map_err(|error| lost(&error))?;
            }
        }
        if unsent.is_empty() {
            continue;
        }
        match socket.write(&unsent) {
            Ok(count) => drop(unsent.drain(..count)),
            // What it said last comes before that.
            Err(error) if said && error.kind() == ErrorKind::BrokenPipe => unsent.clear(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(lost(&error)),
        }
    }
}

/// Waits until something is typed, if that is wanted, or the node says something, or takes more.
fn await_either(
    socket: &UnixStream,
    input: &io::Stdin,
    typing: bool,
    unsent: &[u8],
) -> Result<(bool, bool), String> {
    let mut wanted = PollFlags::IN;
    wanted.set(PollFlags::OUT, !unsent.is_empty());
    let mut ready = [
        PollFd::new(socket, wanted),
        PollFd::new(input, PollFlags::IN),
    ];
    let count = if typing { 2 } else { 1 };
    match poll(&mut ready[..count], None) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(lost(&errno.into())),
    }
    let ends = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
    let came = |at: usize| ready[at].revents().intersects(ends);
    Ok((typing && came(1), came(0)))
}

fn show(bytes: &[u8]) -> Result<(), String> {
    let mut output = io::stdout();
    let written = output.write_all(bytes).and_then(|()| output.flush());
    written.map_err(|error| format!("cannot print: {}", reason(&error)))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn parsed(words: &[&str]) -> Usage<Question> {
        let words = words.iter().map(OsString::from);
        match parse(lexopt::Parser::from_args(words))? {
            Subcommand::Ctl(question) => Ok(question),
            other => panic!("no question: {other:?}"),
        }
    }

    #[test]
    fn every_command_is_read() {
        let asked = |words: &[&str]| parsed(words).expect("a question").command;
        let items = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(asked(&[]), None);
        for (words, command) in [
            (
                &["request", "a", "b"][..],
                control::CtlCommand::Request(items(&["a", "b"])),
            ),
            (
                &["release", "a"],
                control::CtlCommand::Release(items(&["a"])),
            ),
            (&["reserved"], control::CtlCommand::Reserved),
            (&["available"], control::CtlCommand::Available),
            (&["peers"], control::CtlCommand::Peers),
            (
                &["connect", "pi:6000"],
                control::CtlCommand::Connect("pi".into(), 6000),
            ),
            (&["sync"], control::CtlCommand::SyncChain),
            (&["status"], control::CtlCommand::Status),
            (&["events"], control::CtlCommand::Events),
        ] {
            assert_eq!(asked(words), Some(command));
            assert!(MEANING.contains(&format!("  {}", words[0])) || MEANING.contains(words[0]));
        }
        let question = parsed(&["--json", "status", "--socket=/tmp/s"]).expect("a question");
        assert_eq!((question.json, question.socket), (true, "/tmp/s".into()));
        let question = parsed(&["request", "--", "-a"]).expect("a question");
        assert_eq!(
            question.command,
            Some(control::CtlCommand::Request(items(&["-a"])))
        );
        assert_eq!(question.socket, PathBuf::from(SOCKET_DEFAULT));
        assert!(MEANING.contains(SOCKET_DEFAULT));
        for wrong in [
            &["request"][..],
            &["connect"],
            &["connect", "a:1", "b:2"],
            &["connect", "a"],
            &["status", "now"],
            &["dance"],
            &["--json"],
            &["--headless"],
        ] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }
}
