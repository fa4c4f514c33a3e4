//! Arguments, help, exit codes, and the sub-commands that need no running node.
//!
//! First the words become a [`Subcommand`], and only then is anything done.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::prelude::{Long, Short, Value, ValueExt};

use crate::limits::DIFFICULTY_MAX;
use crate::offline::verify::{self, Verdict};
use crate::shell::{self, Settings, journal, resolve};
use crate::wire::address::{digits, parse_port};

mod ctl;
mod offline;
mod run;

pub use ctl::Question;
pub use offline::Task;

/// The port without an argument.
pub const PORT_DEFAULT: u16 = 6000;

/// A fault at run time.
const EXIT_FAULT: u8 = 1;

/// Wrong usage.
const EXIT_USAGE: u8 = 2;

/// What the arguments ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subcommand {
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
    /// Ask a running node.
    Ctl(Question),
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
        Ok(Subcommand::Run(settings)) => match shell::run(settings) {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => complain(&format!("blx: {fault}\n"), EXIT_FAULT),
        },
        Ok(Subcommand::Verify { file, difficulty }) => verify(&file, difficulty),
        Ok(Subcommand::Offline { directory, task }) => offline::run(&directory, &task),
        Ok(Subcommand::Ctl(question)) => ctl::run(&question),
        Ok(Subcommand::Resolve { host, port }) => match resolve::child(&host, port) {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(EXIT_FAULT),
        },
        Ok(Subcommand::Help) => print(&help()),
        Ok(Subcommand::Version) => print(concat!("blx ", env!("CARGO_PKG_VERSION"), "\n")),
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
        Verdict::Invalid { .. } | Verdict::Newer { .. } => ExitCode::from(EXIT_FAULT),
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
    match write_out(text) {
        Err(fault) => complain(&format!("blx: {fault}\n"), EXIT_FAULT),
        Ok(()) => ExitCode::SUCCESS,
    }
}

fn write_out(text: &str) -> Result<(), String> {
    match io::stdout().write_all(text.as_bytes()) {
        // A reader that has seen enough, such as `head`, is no fault.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("cannot print: {}", shell::reason(&error)))
        }
        _ => Ok(()),
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
         {}{}\n\
         The first runs a node that listens on PORT ({PORT_DEFAULT}). The second checks a chain \
         without one;\nFILE is a chain file, a chain_response line or an array of blocks, and - is \
         standard input.\n{}{}\n\
         Options:\n",
        concat!(env!("CARGO_PKG_DESCRIPTION"), "."),
        offline::USAGE,
        ctl::USAGE,
        offline::MEANING,
        ctl::MEANING,
    );
    for option in run::OPTIONS {
        text.push_str(&format!("  {option}\n"));
    }
    text + run::CONSOLES
}

/// Reads the arguments, without the program's name.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    home: Option<OsString>,
) -> Usage<Subcommand> {
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
        Some(first) if first == ctl::NAME => {
            arguments.next();
            ctl::parse(lexopt::Parser::from_args(arguments))
        }
        Some(first) if offline::NAMES.iter().any(|name| first == name) => {
            let name = arguments.next().unwrap_or_default();
            offline::parse(&name, lexopt::Parser::from_args(arguments), home)
        }
        _ => run::parse(lexopt::Parser::from_args(arguments), home),
    }
}

/// No option is looked for: a host's name may begin with a dash.
fn parse_resolve(arguments: impl Iterator<Item = OsString>) -> Usage<Subcommand> {
    let words: Vec<String> = arguments
        .filter_map(|word| word.into_string().ok())
        .collect();
    match words.as_slice() {
        [host, port] => Ok(Subcommand::Resolve {
            host: host.clone(),
            port: parse_port(port)?,
        }),
        _ => Err(format!("{} needs a host and a port", resolve::COMMAND)),
    }
}

fn parse_verify(mut parser: lexopt::Parser) -> Usage<Subcommand> {
    let mut file = None;
    let mut difficulty = None;
    while let Some(argument) = parser.next().map_err(sentence)? {
        match argument {
            Short('h') | Long("help") => return Ok(Subcommand::Help),
            Long("difficulty") => difficulty = Some(parse_difficulty(&text(&mut parser)?)?),
            Value(value) if file.is_none() => file = Some(PathBuf::from(value)),
            other => return Err(sentence(other.unexpected())),
        }
    }
    let file = file.ok_or("verify needs a FILE, or - for standard input")?;
    Ok(Subcommand::Verify { file, difficulty })
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

    fn parse_words(words: &[&str]) -> Usage<Subcommand> {
        parse(words.iter().map(OsString::from), Some("/home/u".into()))
    }

    fn refused(words: &[&str]) -> String {
        parse_words(words).expect_err("is wrong usage")
    }

    #[test]
    fn help_shows_the_options_and_the_parser_knows_each() {
        let help = help();
        for option in run::OPTIONS {
            assert!(help.contains(option), "{help}");
            let (short, long) = option.split_at(4);
            let (long, _) = long.split_once("  ").expect("names and meaning");
            let option = match long.split_once(' ') {
                Some((name, "ADDR")) => format!("{name}=::"),
                Some((name, "HOST:PORT")) => format!("{name}=h:1"),
                Some((name, "WHAT")) => format!("{name}=drop"),
                Some((name, "PLACE")) => format!("{name}=none"),
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
    fn verify_takes_a_file_and_a_difficulty() {
        let expected = |file: &str, difficulty| {
            let file = file.into();
            Ok(Subcommand::Verify { file, difficulty })
        };
        assert_eq!(parse_words(&["verify", "a.blx"]), expected("a.blx", None));
        assert_eq!(
            parse_words(&["verify", "-", "--difficulty", "4"]),
            expected("-", Some(4))
        );
        assert_eq!(parse_words(&["verify", "--help"]), Ok(Subcommand::Help));
        assert!(refused(&["verify"]).contains("needs a FILE"));
        refused(&["verify", "a", "b"]);
        refused(&["verify", "--headless", "a"]);
    }

    #[test]
    fn the_resolver_takes_any_host() {
        let expected = Subcommand::Resolve {
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
