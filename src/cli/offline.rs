//! The sub-commands that carry chains and data directories: their arguments, and what they print.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::prelude::{Long, Short, Value};

use super::{EXIT_FAULT, PORT_DEFAULT, Subcommand, Usage};
use super::{complain, default_data_dir, parse_difficulty, parse_directory, print, remark};
use super::{sentence, text};
use crate::offline::backup::{self, Saved};
use crate::offline::compact::{self, Compacted};
use crate::offline::events;
use crate::offline::transfer;
use crate::offline::verify::Verdict;
use crate::wire::address::parse_port;

/// The sub-commands.
pub const NAMES: [&str; 6] = ["export", "import", "backup", "restore", "compact", "events"];

/// Their usage lines.
pub const USAGE: &str = "       \
blx export [--branch] [WHERE] [FILE]
       blx import [WHERE] [--difficulty N] FILE
       blx backup [WHERE] FILE
       blx restore [WHERE] FILE
       blx compact [WHERE]
       blx events [WHERE]
";

/// Their meaning.
pub const MEANING: &str = "
WHERE is --data-dir DIR, or --port PORT for that port's default data directory. A node may be
running there during export, backup and events, and none during the others. No file is overwritten.
  export   writes the chain as a JSON array of blocks to FILE, or to standard output; with --branch
           the blocks that the last reorg with a warning disconnected
  import   checks an array or a chain_response (- is standard input), then puts it into an empty DIR
  backup   writes chain and key as one file; whoever has it can act as this node
  restore  checks such a file, then puts it into an empty DIR
  compact  writes the chain file anew without stale blocks; a node does so by itself
  events   prints the starts, stops, recoveries, losses and faults that were kept, oldest first
";

/// What to do with a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Write its chain as JSON.
    Export {
        /// Instead, the blocks that the last alarming reorg disconnected.
        branch: bool,
        /// Standard output without one.
        file: Option<PathBuf>,
    },
    /// Take a chain of JSON into it.
    Import {
        /// An array or a `chain_response`; `-` is standard input.
        file: PathBuf,
        /// Leading hexadecimal zeros of a block's hash.
        difficulty: Option<u8>,
    },
    /// Save it in one file.
    Backup(PathBuf),
    /// Put such a file into it.
    Restore(PathBuf),
    /// Write its chain file anew.
    Compact,
    /// Print its event log.
    Events,
}

/// Reads the arguments behind one of [`NAMES`].
pub fn parse(
    name: &OsStr,
    mut parser: lexopt::Parser,
    home: Option<OsString>,
) -> Usage<Subcommand> {
    let mut file: Option<PathBuf> = None;
    let mut directory = None;
    let mut port = None;
    let mut difficulty = None;
    let mut branch = false;
    let takes_file = name != "compact" && name != "events";
    while let Some(argument) = parser.next().map_err(sentence)? {
        match argument {
            Short('h') | Long("help") => return Ok(Subcommand::Help),
            Long("data-dir") => directory = Some(parse_directory(&mut parser)?),
            Long("port") => port = Some(parse_port(&text(&mut parser)?)?),
            Long("difficulty") if name == "import" => {
                difficulty = Some(parse_difficulty(&text(&mut parser)?)?);
            }
            Long("branch") if name == "export" => branch = true,
            Value(value) if takes_file && file.is_none() && !value.is_empty() => {
                file = Some(value.into())
            }
            other => return Err(sentence(other.unexpected())),
        }
    }
    let directory = match (directory, port) {
        (Some(_), Some(_)) => return Err("give --data-dir or --port, not both".to_owned()),
        (Some(directory), None) => directory,
        (None, port) => default_data_dir(home, port.unwrap_or(PORT_DEFAULT))?,
    };
    let piped = file.as_ref().is_some_and(|file| file.as_os_str() == "-");
    let task = match (name.to_str(), file) {
        (Some("export"), file) => {
            let file = file.filter(|_| !piped);
            Task::Export { branch, file }
        }
        (Some("compact"), _) => Task::Compact,
        (Some("events"), _) => Task::Events,
        (Some("import"), Some(file)) => Task::Import { file, difficulty },
        (Some("backup"), Some(file)) if !piped => Task::Backup(file),
        (Some("restore"), Some(file)) if !piped => Task::Restore(file),
        (_, _) => {
            let or = match name == "import" {
                true => ", or - for standard input",
                false => "",
            };
            return Err(format!("{} needs a FILE{or}", name.to_string_lossy()));
        }
    };
    Ok(Subcommand::Offline { directory, task })
}

/// Does what the arguments ask for.
pub fn run(directory: &Path, task: &Task) -> ExitCode {
    let done = match task {
        Task::Export { branch, file } => export(directory, *branch, file.as_deref()),
        Task::Import { file, difficulty } => transfer::import(directory, file, *difficulty)
            .map(|verdict| imported(directory, &verdict)),
        Task::Backup(file) => backup::backup(directory, file)
            .map(|saved| told(&format!("saved in {}", file.display()), saved)),
        Task::Restore(file) => backup::restore(directory, file)
            .map(|saved| told(&format!("restored in {}", directory.display()), saved)),
        Task::Compact => compact::compact(directory).map(compacted),
        Task::Events => events::events(directory).map(|lines| print(&lines)),
    };
    done.unwrap_or_else(|fault| complain(&format!("blx: {fault}\n"), EXIT_FAULT))
}

fn export(directory: &Path, branch: bool, file: Option<&Path>) -> Result<ExitCode, String> {
    let (blocks, tip) = if branch {
        let (from, tip) = transfer::export_branch(directory, file)?;
        (format!("blocks {from} to {}", tip.length - 1), tip)
    } else {
        let tip = transfer::export(directory, file)?;
        (format!("{} blocks", tip.length), tip)
    };
    Ok(match file {
        Some(file) => print(&format!(
            "written to {}: {blocks}, tip {}\n",
            file.display(),
            tip.hash
        )),
        // The blocks are there, and nothing else may be.
        None => ExitCode::SUCCESS,
    })
}

fn imported(directory: &Path, verdict: &Verdict) -> ExitCode {
    match verdict {
        Verdict::Valid { blocks, tip, .. } => print(&format!(
            "imported in {}: {blocks} blocks, tip {tip}\n",
            directory.display()
        )),
        Verdict::Invalid { .. } | Verdict::Newer { .. } => {
            print(&format!("{verdict}\n"));
            ExitCode::from(EXIT_FAULT)
        }
    }
}

fn compacted(done: Compacted) -> ExitCode {
    remark(done.note);
    let Compacted { before, after, .. } = done;
    print(&format!("compacted: {before} bytes before, {after} now\n"))
}

fn told(what: &str, saved: Saved) -> ExitCode {
    remark(saved.note);
    let key = match saved.key {
        Some(key) => format!("key {key}"),
        None => "no key".to_owned(),
    };
    let tip = saved.tip;
    print(&format!(
        "{what}: {} blocks, tip {}, {key}\n",
        tip.length, tip.hash
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Usage<Subcommand> {
        super::super::parse(words.iter().map(OsString::from), Some("/home/u".into()))
    }

    fn task(words: &[&str]) -> (PathBuf, Task) {
        match parsed(words) {
            Ok(Subcommand::Offline { directory, task }) => (directory, task),
            other => panic!("{words:?} became {other:?}"),
        }
    }

    #[test]
    fn each_has_its_file_and_its_directory() {
        let default = PathBuf::from("/home/u/.databox/material/6000");
        let export = |branch, file: Option<&str>| Task::Export {
            branch,
            file: file.map(PathBuf::from),
        };
        assert_eq!(task(&["export"]), (default.clone(), export(false, None)));
        assert_eq!(task(&["export", "-"]).1, export(false, None));
        assert_eq!(task(&["export", "f"]).1, export(false, Some("f")));
        assert_eq!(task(&["export", "--branch"]).1, export(true, None));
        assert_eq!(
            task(&["export", "f", "--branch"]).1,
            export(true, Some("f"))
        );
        assert_eq!(
            task(&["backup", "--port", "6001", "f"]),
            (
                "/home/u/.databox/material/6001".into(),
                Task::Backup("f".into())
            )
        );
        assert_eq!(
            task(&["restore", "f", "--data-dir=x"]),
            ("x".into(), Task::Restore("f".into()))
        );
        let (file, difficulty) = ("-".into(), Some(3));
        assert_eq!(
            task(&["import", "--difficulty", "3", "-"]),
            (default, Task::Import { file, difficulty })
        );
    }

    #[test]
    fn wrong_usage_is_refused() {
        for words in [
            &["import"][..],
            &["backup"],
            &["restore"],
            &["backup", "-"],
            &["restore", "-"],
            &["export", ""],
            &["export", "a", "b"],
            &["export", "--difficulty", "2"],
            &["export", "--branch=x"],
            &["backup", "--branch", "f"],
            &["compact", "f"],
            &["events", "f"],
            &["export", "--data-dir", "x", "--port", "6000"],
            &["export", "--port", "0"],
            &["export", "--data-dir="],
            &["import", "--difficulty", "17", "f"],
            &["backup", "--headless", "f"],
        ] {
            assert!(parsed(words).is_err(), "{words:?}");
        }
        let refused = parsed(&["import"]).expect_err("has no file");
        assert_eq!(refused, "import needs a FILE, or - for standard input");
    }

    #[test]
    fn help_names_each() {
        for name in NAMES {
            assert_eq!(parsed(&[name, "--help"]), Ok(Subcommand::Help));
            assert!(USAGE.contains(&format!("blx {name} ")));
            assert!(MEANING.contains(&format!("\n  {name} ")));
        }
    }
}
