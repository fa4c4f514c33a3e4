//! Arguments, help, exit codes, and the sub-commands that need no running node.
//!
//! First the words become a [`Command`], and only then is anything done.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::prelude::{Long, Short, Value, ValueExt};

use crate::limits::DIFFICULTY_MAX;
use crate::offline::verify::{self, Verdict};
use crate::shell::{self, Settings, journal, resolve};
use crate::wire::address::{digits, parse_host_port, parse_port, unbracketed};

mod offline;

pub use offline::Task;

/// The port without an argument.
pub const PORT_DEFAULT: u16 = 6000;

/// A fault at run time.
const EXIT_FAULT: u8 = 1;

/// Wrong usage.
const EXIT_USAGE: u8 = 2;

/// The options as `--help` shows them: names, two spaces or more, meaning.
const OPTIONS: [&str; 9] = [
    "    --bind ADDR          IP address to listen on (0.0.0.0)",
    "    --connect HOST:PORT  dial this peer at start and keep dialing it; may be repeated",
    "    --data-dir DIR       where the files lie (~/.databox/material/PORT/)",
    "    --difficulty N       leading hex zeros of a block's hash (2, or the data directory's own)",
    "    --scrub HOURS        time from one check of the chain file to the next, or off (24)",
    "    --orphans WHAT       what falls out of the chain when a longer one comes: remake, or drop",
    "    --headless           no menu; standard input is not read",
    "-h, --help               print this",
    "-V, --version            print the version",
];

/// What the arguments ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run a node.
    Run(Settings),
    /// Check a chain.
    Verify {
        /// A chain file or JSON; `-` is standard input.
        file: PathBuf,
        /// Leading hexadecimal zeros of a block's hash; the file's own if not given.
        difficulty: Option<u8>,
    },
    /// Carry a chain or a whole data directory from one place to another.
    Offline {
        /// The data directory.
        directory: PathBuf,
        /// What to do with it.
        task: Task,
    },
    /// Look up a name for the node that started this process.
    Resolve {
        /// The name.
        host: String,
        /// The port to print with each address.
        port: u16,
    },
    /// Print the help.
    Help,
    /// Print the version.
    Version,
}

/// What `parse` makes of wrong usage: one sentence.
type Usage<T> = Result<T, String>;

/// Reads the arguments and does what they ask for. `home` is the user's home directory.
pub fn main(arguments: impl IntoIterator<Item = OsString>, home: Option<OsString>) -> ExitCode {
    match parse(arguments, home) {
        Ok(Command::Run(settings)) => match shell::run(settings) {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => complain(&format!("blx: {fault}\n"), EXIT_FAULT),
        },
        Ok(Command::Verify { file, difficulty }) => verify(&file, difficulty),
        Ok(Command::Offline { directory, task }) => offline::run(&directory, &task),
        Ok(Command::Resolve { host, port }) => match resolve::child(&host, port) {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(EXIT_FAULT),
        },
        Ok(Command::Help) => print(&help()),
        Ok(Command::Version) => print(concat!("blx ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(usage) => complain(&format!("blx: {usage}\ntry blx --help\n"), EXIT_USAGE),
    }
}

fn verify(file: &Path, difficulty: Option<u8>) -> ExitCode {
    let verdict = match verify::run(file, difficulty) {
        Ok(verdict) => verdict,
        Err(error) => return complain(&format!("blx: {error}\n"), EXIT_FAULT),
    };
    let printed = print(&format!("{verdict}\n"));
    match verdict {
        Verdict::Invalid { .. } => ExitCode::from(EXIT_FAULT),
        Verdict::Valid { note, .. } => {
            remark(note);
            printed
        }
    }
}

/// Says what the exit code does not tell.
fn remark(note: Option<impl Display>) {
    if let Some(note) = note {
        // Without a standard error nobody asked for it.
        let _ = io::stderr().write_all(format!("blx: note: {note}\n").as_bytes());
    }
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        // A reader that has seen enough, such as `head`, is no fault.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            complain(&format!("blx: cannot print: {error}\n"), EXIT_FAULT)
        }
        _ => ExitCode::SUCCESS,
    }
}

fn complain(text: &str, code: u8) -> ExitCode {
    // Without a standard error, the exit code has to tell it all.
    let _ = io::stderr().write_all(journal::fault(text).as_bytes());
    ExitCode::from(code)
}

fn help() -> String {
    let mut text = format!(
        "{}\n\n\
         Usage: blx [OPTIONS] [PORT]\n\
         \x20      blx verify [--difficulty N] FILE\n\
         {}\n\
         The first runs a node that listens on PORT ({PORT_DEFAULT}). The second checks a chain \
         without one;\nFILE is a chain file, a chain_response line or an array of blocks, and - is \
         standard input.\n{}\n\
         Options:\n",
        concat!(env!("CARGO_PKG_DESCRIPTION"), "."),
        offline::USAGE,
        offline::MEANING,
    );
    for option in OPTIONS {
        text.push_str(&format!("  {option}\n"));
    }
    text
}

/// Reads the arguments, without the program's name.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    home: Option<OsString>,
) -> Usage<Command> {
    let mut arguments = arguments.into_iter().peekable();
    match arguments.peek() {
        Some(first) if first == resolve::COMMAND => {
            arguments.next();
            parse_resolve(arguments)
        }
        Some(first) if first == "verify" => {
            arguments.next();
            parse_verify(lexopt::Parser::from_args(arguments))
        }
        Some(first) if offline::NAMES.iter().any(|name| first == name) => {
            let name = arguments.next().unwrap_or_default();
            offline::parse(&name, lexopt::Parser::from_args(arguments), home)
        }
        _ => parse_run(lexopt::Parser::from_args(arguments), home),
    }
}

/// No option is looked for: a host's name may begin with a dash.
fn parse_resolve(arguments: impl Iterator<Item = OsString>) -> Usage<Command> {
    let words: Vec<String> = arguments
        .filter_map(|word| word.into_string().ok())
        .collect();
    match words.as_slice() {
        [host, port] => Ok(Command::Resolve {
            host: host.clone(),
            port: parse_port(port)?,
        }),
        _ => Err(format!("{} needs a host and a port", resolve::COMMAND)),
    }
}

fn parse_verify(mut parser: lexopt::Parser) -> Usage<Command> {
    let mut file = None;
    let mut difficulty = None;
    while let Some(argument) = parser.next().map_err(sentence)? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("difficulty") => difficulty = Some(parse_difficulty(&text(&mut parser)?)?),
            Value(value) if file.is_none() => file = Some(PathBuf::from(value)),
            other => return Err(sentence(other.unexpected())),
        }
    }
    let file = file.ok_or("verify needs a FILE, or - for standard input")?;
    Ok(Command::Verify { file, difficulty })
}

fn parse_run(mut parser: lexopt::Parser, home: Option<OsString>) -> Usage<Command> {
    let mut port = None;
    let mut bind = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let mut connect = Vec::new();
    let mut data_dir = None;
    let mut difficulty = None;
    let mut scrub_hours = Some(24);
    let mut headless = false;
    let mut drop_orphans = false;
    while let Some(argument) = parser.next().map_err(sentence)? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Short('V') | Long("version") => return Ok(Command::Version),
            Long("bind") => bind = parse_bind(&text(&mut parser)?)?,
            Long("connect") => connect.push(
                parse_host_port(&text(&mut parser)?)
                    .map_err(|error| format!("--connect: {error}"))?,
            ),
            Long("data-dir") => data_dir = Some(parse_directory(&mut parser)?),
            Long("difficulty") => difficulty = Some(parse_difficulty(&text(&mut parser)?)?),
            Long("scrub") => scrub_hours = parse_scrub(&text(&mut parser)?)?,
            Long("orphans") => drop_orphans = parse_orphans(&text(&mut parser)?)?,
            Long("headless") => headless = true,
            Value(value) if port.is_none() => port = Some(parse_port(&value.to_string_lossy())?),
            other => return Err(sentence(other.unexpected())),
        }
    }
    let port = port.unwrap_or(PORT_DEFAULT);
    let data_dir = match data_dir {
        Some(directory) => directory,
        None => default_data_dir(home, port)?,
    };
    Ok(Command::Run(Settings {
        listen: SocketAddr::new(bind, port),
        data_dir,
        difficulty,
        connect,
        scrub_hours,
        headless,
        drop_orphans,
    }))
}

fn sentence(error: lexopt::Error) -> String {
    error.to_string()
}

fn text(parser: &mut lexopt::Parser) -> Usage<String> {
    parser.value().and_then(ValueExt::string).map_err(sentence)
}

fn parse_directory(parser: &mut lexopt::Parser) -> Usage<PathBuf> {
    let value = parser.value().map_err(sentence)?;
    if value.is_empty() {
        return Err("--data-dir needs a directory, not an empty name".to_owned());
    }
    Ok(PathBuf::from(value))
}

fn default_data_dir(home: Option<OsString>, port: u16) -> Usage<PathBuf> {
    let home = home.filter(|home| !home.is_empty()).ok_or(
        "HOME is not set, so there is no default data directory: choose one with --data-dir DIR",
    )?;
    Ok(PathBuf::from(home)
        .join(".databox/material")
        .join(port.to_string()))
}

fn parse_bind(text: &str) -> Usage<IpAddr> {
    let inner = unbracketed(text).unwrap_or(text);
    inner.parse().map_err(|_| {
        format!("--bind needs an IP address of this machine, such as 0.0.0.0 or ::, not {text:?}")
    })
}

fn parse_scrub(text: &str) -> Usage<Option<u32>> {
    match digits(text).map(u32::try_from) {
        Some(Ok(hours @ 1..=8_760)) => Ok(Some(hours)),
        _ if text == "off" => Ok(None),
        _ => Err(format!(
            "--scrub must be a number of hours from 1 to 8760, or off, not {text:?}"
        )),
    }
}

fn parse_orphans(text: &str) -> Usage<bool> {
    match text {
        "drop" => Ok(true),
        "remake" => Ok(false),
        _ => Err(format!("--orphans must be remake or drop, not {text:?}")),
    }
}

fn parse_difficulty(text: &str) -> Usage<u8> {
    match digits(text) {
        Some(number) if number <= u64::from(DIFFICULTY_MAX) => Ok(number as u8),
        _ => Err(format!(
            "--difficulty must be a number from 0 to {DIFFICULTY_MAX}, not {text:?}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &[&str]) -> Usage<Command> {
        parse(words.iter().map(OsString::from), Some("/home/u".into()))
    }

    fn settings(words: &[&str]) -> Settings {
        match parse_words(words) {
            Ok(Command::Run(settings)) => settings,
            other => panic!("{words:?} became {other:?}"),
        }
    }

    fn refused(words: &[&str]) -> String {
        parse_words(words).expect_err("is wrong usage")
    }

    #[test]
    fn without_arguments_everything_has_its_default() {
        let expected = Settings {
            listen: ([0, 0, 0, 0], 6000).into(),
            data_dir: "/home/u/.databox/material/6000".into(),
            difficulty: None,
            connect: Vec::new(),
            scrub_hours: Some(24),
            headless: false,
            drop_orphans: false,
        };
        assert_eq!(settings(&[]), expected);
    }

    #[test]
    fn every_option_is_read() {
        let words = [
            "--bind=::1",
            "6001",
            "--connect",
            "pi:6000",
            "--connect=[::1]:6002",
            "--data-dir",
            "/tmp/x",
            "--difficulty",
            "3",
            "--orphans=drop",
            "--headless",
        ];
        let expected = Settings {
            listen: "[::1]:6001".parse().expect("an address"),
            data_dir: "/tmp/x".into(),
            difficulty: Some(3),
            connect: vec![("pi".to_owned(), 6000), ("::1".to_owned(), 6002)],
            scrub_hours: Some(24),
            headless: true,
            drop_orphans: true,
        };
        assert_eq!(settings(&words), expected);
    }

    #[test]
    fn help_shows_the_options_and_the_parser_knows_each() {
        let help = help();
        for option in OPTIONS {
            assert!(help.contains(option), "{help}");
            let (short, long) = option.split_at(4);
            let (long, _) = long.split_once("  ").expect("names and meaning");
            let option = match long.split_once(' ') {
                Some((name, "ADDR")) => format!("{name}=::"),
                Some((name, "HOST:PORT")) => format!("{name}=h:1"),
                Some((name, "WHAT")) => format!("{name}=drop"),
                Some((name, _)) => format!("{name}=1"),
                None => long.to_owned(),
            };
            assert!(parse_words(&[&option]).is_ok(), "{option}");
            if let Some((short, _)) = short.split_once(',') {
                assert_eq!(parse_words(&[short]), parse_words(&[&option]));
            }
        }
        assert!(!help.contains(resolve::COMMAND));
        assert!(help.lines().all(|line| line.len() <= 100), "{help}");
    }

    #[test]
    fn a_port_is_checked() {
        assert_eq!(
            refused(&["70000"]),
            "the port must be a number from 1 to 65535, not \"70000\""
        );
    }

    #[test]
    fn an_address_to_listen_on_is_an_ip_address() {
        assert_eq!(
            settings(&["--bind", "[::1]"]).listen,
            settings(&["--bind", "::1"]).listen
        );
        for text in ["localhost", "", "1.2.3", "[1.2.3.4", "::1]"] {
            assert!(refused(&["--bind", text]).starts_with("--bind needs an IP address"));
        }
    }

    #[test]
    fn a_peer_needs_a_port() {
        assert!(refused(&["--connect", "host"]).starts_with("--connect: expected"));
        assert!(refused(&["--connect", "host:0"]).contains("from 1 to 65535"));
    }

    #[test]
    fn difficulty_has_a_limit() {
        assert_eq!(settings(&["--difficulty", "0"]).difficulty, Some(0));
        assert_eq!(settings(&["--difficulty", "16"]).difficulty, Some(16));
        refused(&["--orphans", "keep"]);
        for text in ["17", "-1", "two", "", "256"] {
            let error = refused(&[&format!("--difficulty={text}")]);
            assert!(error.contains("from 0 to 16"), "{error}");
        }
    }

    #[test]
    fn without_a_home_the_directory_must_be_given() {
        for home in [None, Some(OsString::new())] {
            let error = parse([], home.clone()).expect_err("has no directory");
            assert!(
                error.contains("HOME") && error.contains("--data-dir"),
                "{error}"
            );
            parse(["--data-dir=x".into()], home).expect("is given");
        }
        refused(&["--data-dir="]);
    }

    #[test]
    fn verify_takes_a_file_and_a_difficulty() {
        let expected = |file: &str, difficulty| {
            let file = file.into();
            Ok(Command::Verify { file, difficulty })
        };
        assert_eq!(parse_words(&["verify", "a.blx"]), expected("a.blx", None));
        assert_eq!(
            parse_words(&["verify", "-", "--difficulty", "4"]),
            expected("-", Some(4))
        );
        assert_eq!(parse_words(&["verify", "--help"]), Ok(Command::Help));
        assert!(refused(&["verify"]).contains("needs a FILE"));
        refused(&["verify", "a", "b"]);
        refused(&["verify", "--headless", "a"]);
    }

    #[test]
    fn other_words_are_refused() {
        refused(&["6000", "6001"]);
        refused(&["--no-such-option"]);
        refused(&["--connect"]);
        refused(&["--headless=yes"]);
        refused(&["-x"]);
    }

    #[test]
    fn the_resolver_takes_any_host() {
        let expected = Command::Resolve {
            host: "--help".to_owned(),
            port: 6000,
        };
        assert_eq!(
            parse_words(&["resolve-host", "--help", "6000"]),
            Ok(expected)
        );
        refused(&["resolve-host", "pi"]);
    }
}
